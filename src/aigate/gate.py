"""The whole road in one place: evidence in, snapshot, policies, decision.

The only module that sees every room. Doors call it with what they read from
the world (clock, environment, disk) and print what it returns.
"""

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pydantic

import aigate
from aigate.assemble import Asked, assemble
from aigate.collect.manifest_file import LoadedManifest
from aigate.collect.redact import Redactor
from aigate.collect.waiver_file import beside, load_waivers
from aigate.decision import Actor, Decision, Versions
from aigate.errors import ConfigError, UsageError
from aigate.evaluate import Setting, decide, judge, subject_of
from aigate.isolate import Isolate, Limits
from aigate.manifest import PRODUCTION, Environment, Manifest
from aigate.policy import PolicyFile
from aigate.reuse import reuse
from aigate.rules import check_settings, environment_of, policies_digest, policies_in_force
from aigate.snapshot import Question, Snapshot
from aigate.values import Digest
from aigate.waiver import WaiverBook, apply, grounds


@dataclass(frozen=True)
class World:
    """What a door read from the world: the one clock reading, the environment, who asks."""

    now: datetime
    environ: Mapping[str, str]
    home: Path
    actor: Actor
    deadline: float
    """Seconds for all collection together."""


@dataclass(frozen=True)
class Request:
    """What is asked: may this version take (or keep) the alias in this environment?"""

    question: Question = "promote"
    environment: str = PRODUCTION
    version: str | None = None
    """A version's number; None asks about the one that holds `candidate`."""
    candidate: str | None = None
    """The alias of the version that asks; None takes the manifest's challenger."""
    to: str | None = None
    """The alias that is asked for; None takes the manifest's champion."""
    tracking_uri: str | None = None
    """MLflow's address; None takes it from the environment."""
    trusted: bool = True
    """Whether the manifest may name private addresses; one from a pull request's head may not."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Answer:
    """A decision and the snapshot it rests on."""

    decision: Decision
    snapshot: Snapshot


def evaluate(loaded: LoadedManifest, request: Request, world: World) -> Answer:
    """Collect the evidence and answer the question. Changes nothing anywhere.

    Raises UsageError and ConfigError for what the user can mend before
    anything is asked of the world; what the world does is in the answer.
    """
    with judges(loaded, request.environment, request.limits, trusted=request.trusted) as ready:
        snapshot = look(loaded, request, world)  # while the child imports what it needs
        return Answer(ready.decide(snapshot, world.actor), snapshot)


class Judges:
    """The policies in force, waiting in a process of their own for the one snapshot that they judge.

    With them are the waivers, as they were read when the policies were.
    """

    def __init__(
        self,
        isolate: Isolate,
        manifest: Manifest,
        environment: Environment,
        files: tuple[PolicyFile, ...],
        limits: Limits,
        book: WaiverBook,
        *,
        trusted: bool,
    ) -> None:
        self._isolate = isolate
        self._manifest = manifest
        self._book = book
        self._trusted = trusted
        self._environment = environment
        self._files = files
        self._limits = limits

    @property
    def policies(self) -> Digest:
        """The digest over the policies' files, as they were read for this process."""
        return policies_digest(self._files)

    @property
    def waivers(self) -> Digest | None:
        """The digest of the waivers' file, as it was read for this process; None where there was none."""
        return self._book.digest

    def decide(self, snapshot: Snapshot, actor: Actor) -> Decision:
        """Answer a snapshot's question; a second one is refused (AigateError)."""
        answers = self._isolate.run(snapshot)
        judged = judge(answers.infos, answers.results, self._environment.levels)
        held = grounds(self._manifest, snapshot, subject_of(snapshot), trusted=self._trusted)
        judged, waivers = apply(self._book, judged, held)
        setting = Setting(
            policies_digest=self.policies,
            isolation=str(self._limits),
            versions=Versions(
                aigate=aigate.__version__, python=platform.python_version(), pydantic=pydantic.VERSION
            ),
            actor=actor,
            waivers=waivers,
            waivers_digest=self._book.digest,
        )
        return decide(snapshot, judged, setting)


@contextmanager
def judges(
    loaded: LoadedManifest,
    environment: str,
    limits: Limits,
    *,
    rules: LoadedManifest | None = None,
    waivers: WaiverBook | None = None,
    trusted: bool = True,
) -> Iterator[Judges]:
    """Start the policies in force in an environment; they are ready when they are asked.

    Levels and parameters are the manifest's; policies and waivers too, unless
    `rules` names another one beside which they lie, or the waivers are handed
    in. Those of a manifest that is not `trusted` count for nothing. Raises
    UsageError and ConfigError where they cannot be read.
    """
    settings = environment_of(loaded, environment)
    base = rules or loaded
    book = load_waivers(base.folder, beside(base.shown)) if waivers is None else waivers
    files = policies_in_force(base)
    check_settings(loaded, environment, files)
    with Isolate(files, settings.params, limits=limits) as isolate:
        yield Judges(isolate, loaded.manifest, settings, files, limits, book, trusted=trusted)


def look(loaded: LoadedManifest, request: Request, world: World) -> Snapshot:
    """Collect the evidence and judge nothing. Raises what `evaluate` raises."""
    from aigate.collect.everything import collect

    asked = Asked(
        question=request.question,
        environment=request.environment,
        alias=request.to or loaded.manifest.alias_of(request.environment),
        now=world.now,
        manifest_digest=loaded.digest,
    )
    found, redactor = collect(
        loaded,
        asked,
        version=request.version,
        candidate=request.candidate or loaded.manifest.model.challenger,
        tracking_uri=request.tracking_uri,
        environ=world.environ,
        home=world.home,
        seconds=world.deadline,
        trusted=request.trusted,
    )
    return _without_secrets(assemble(loaded.manifest, asked, found), redactor)


def _without_secrets(snapshot: Snapshot, redactor: Redactor) -> Snapshot:
    """Return the snapshot without any credential that a source echoed into its answer.

    Raises ConfigError where the evidence is no evidence without it: a password
    such as `1` or `champion` stands in it by chance.
    """
    data = snapshot.model_dump(mode="json", by_alias=True)
    clean = _redacted(data, redactor)
    if clean == data:
        return snapshot
    try:
        return Snapshot.model_validate_json(json.dumps(clean))
    except pydantic.ValidationError:
        raise ConfigError(
            "a credential is so short or so common that the evidence cannot be told without it",
            fix="give MLflow and the freshness sources credentials that nobody would guess",
        ) from None  # its words would show what was taken out


def _redacted(data: Any, redactor: Redactor) -> Any:
    """Return loaded data with every text cleaned; keys are our own."""
    if isinstance(data, dict):
        return {key: _redacted(value, redactor) for key, value in data.items()}
    if isinstance(data, list):
        return [_redacted(item, redactor) for item in data]
    return redactor.without_secrets(data) if isinstance(data, str) else data


def evaluate_snapshot(
    loaded: LoadedManifest,
    snapshot: Snapshot,
    actor: Actor,
    *,
    limits: Limits | None = None,
    waivers: WaiverBook | None = None,
    trusted: bool = True,
) -> Answer:
    """Answer a recorded snapshot's question again, with the policies in force; asks nothing of the world.

    The waivers are those in force now unless some are handed in, and they are
    held against the snapshot's own `now`: one that was approved later does not
    count, one that has run out since does.

    Raises ConfigError where the snapshot was taken under another manifest:
    its limits are in the snapshot, its levels in the manifest, and a decision
    from two halves would be nobody's.
    """
    if snapshot.manifest_digest != loaded.digest:
        raise ConfigError(
            f"the snapshot was taken under another manifest than {loaded.shown}",
            fix="take it anew with `aigate evaluate --save-snapshot`, or name the manifest of that time",
        )
    with judges(loaded, snapshot.environment, limits or Limits(), waivers=waivers, trusted=trusted) as ready:
        return Answer(ready.decide(snapshot, actor), snapshot)


def evaluate_change(
    loaded: LoadedManifest, change: LoadedManifest, snapshot: Snapshot, actor: Actor
) -> Answer:
    """Say what a changed manifest would make of evidence that was collected under the one in force.

    Nothing is asked of the network, no policy of the change is run, and no
    waiver of it counts: who proposes a change gets none of them. It is advice; nothing acts on it. Raises
    ConfigError where the two are not about one model, UsageError for an
    environment that the change does not know.
    """
    if snapshot.manifest_digest != loaded.digest:
        raise ConfigError("the snapshot was taken under another manifest", place=loaded.shown)
    if change.manifest.model.name != loaded.manifest.model.name:
        raise ConfigError(
            f"it is about model {change.manifest.model.name!r}, and {loaded.manifest.model.name!r} was judged",
            place=change.place("model"),
            fix="merge it first: what it would make of another model cannot be told from here",
        )
    return _again(loaded.manifest, change, snapshot, actor, rules=loaded)


def evaluate_under(loaded: LoadedManifest, snapshot: Snapshot, actor: Actor) -> Answer:
    """Say what a manifest and its own policies would make of evidence that was collected under another one.

    That other one is not at hand, so a stage of the same name is taken for one
    that reads the same source. Nothing is asked of the network, and nothing
    acts on the answer. Raises ConfigError where the two are about different
    systems, UsageError for an environment that this manifest does not know.
    """
    if snapshot.system != loaded.manifest.system:
        raise ConfigError(
            f"the snapshot is about the system {snapshot.system!r}, not {loaded.manifest.system!r}",
            place=loaded.place("system"),
            fix="take one of this system: `aigate evaluate --save-snapshot`",
        )
    if snapshot.manifest_digest == loaded.digest:
        return evaluate_snapshot(loaded, snapshot, actor)
    return _again(loaded.manifest, loaded, snapshot, actor)


def _again(
    before: Manifest,
    after: LoadedManifest,
    snapshot: Snapshot,
    actor: Actor,
    *,
    rules: LoadedManifest | None = None,
) -> Answer:
    """Judge what is known by another manifest than it was collected for."""
    from aigate.collect.everything import aside

    asked = Asked(
        question=snapshot.question,
        environment=snapshot.environment,
        alias=snapshot.alias,
        now=snapshot.now,
        manifest_digest=after.digest,
    )
    runbooks, edited = aside(after, asked.now)
    found = reuse(snapshot, before, after.manifest, runbooks=runbooks, edited=edited)
    with judges(after, snapshot.environment, Limits(), rules=rules) as ready:
        again = assemble(after.manifest, asked, found)
        return Answer(ready.decide(again, actor), again)


def check_alias(loaded: LoadedManifest, environment: str, alias: str) -> None:
    """Refuse to move an alias by the rules of an environment that it does not belong to. Raises UsageError.

    Production's rules may move any; those of another environment, which are
    laxer as a rule, only its own.
    """
    if environment == PRODUCTION or alias == loaded.manifest.environments[environment].alias:
        return
    raise UsageError(
        f"the rules of {environment} are not for @{alias}",
        fix=f"leave out --environment, or give {environment} an alias of its own in {loaded.shown}: "
        f"environments: {{{environment}: {{alias: …}}}}",
    )
