"""What `aigate doctor` looks at: is everything there that a decision needs, and who could go round it."""

import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import aigate
from aigate.collect.access import Access, access
from aigate.collect.concurrent import gather
from aigate.collect.deadline import Deadline
from aigate.collect.everything import runbook_exists
from aigate.collect.first_look import OWNER_TAGS, aliases_of, listed, models_of, nearest, tags_of
from aigate.collect.freshness import Reading
from aigate.collect.manifest_file import LoadedManifest
from aigate.collect.mlflow.reader import Json, RegistryError, RegistryReader
from aigate.collect.registry import CLOCK_LIMIT
from aigate.collect.stages import addresses, read_each
from aigate.enforce.keys import signing_key
from aigate.enforce.present import LIFE
from aigate.enforce.probe import probe
from aigate.errors import AigateError
from aigate.gate import World
from aigate.guarded import Told, clock, no_server, told, unheard
from aigate.manifest import Owner
from aigate.register import register
from aigate.rules import catalogue
from aigate.snapshot import age
from aigate.sources import Freshness
from aigate.values import gap, show_duration

State = Literal["ok", "warn", "bad"]
"""`bad` keeps a decision from being reached, or from being a yes; `warn` is worth knowing before it hurts."""

STRANGER = "aigate"
"""A package on the public index that is not ours, and installs a command and a module of our name."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `name` is stable, for programs."""

    state: State
    name: str
    what: str
    fix: str = ""


def examine(
    loaded: LoadedManifest | None, environment: str, tracking_uri: str | None, world: World
) -> Iterator[Check]:
    """Look at the installation, the registry, the manifest and every freshness source, in that order.

    Yields each finding as soon as it is known, and raises for nothing that is
    found. All of it together takes no longer than the world's deadline.
    """
    yield from _installation()
    deadline = Deadline(world.deadline)
    try:
        urls = () if loaded is None else addresses(loaded.manifest)
        way = access(world.environ, world.home, uri=tracking_uri, urls=urls)
    except AigateError as e:
        yield _mend("mlflow", e)
    else:
        yield from _registry(way, world, deadline, loaded)
    if loaded is None:
        yield Check("warn", "manifest", "no manifest here", "write one with `aigate init`")
        return
    yield from _manifest(loaded, environment)
    yield from _sources(loaded, world, deadline)


def _installation() -> Iterator[Check]:
    """Tell whether the unrelated package that owns our name on the public index is installed too."""
    try:
        found = importlib.metadata.version(STRANGER)
    except importlib.metadata.PackageNotFoundError:
        yield Check(
            "ok",
            "installation",
            f"aigate {aigate.__version__} on Python {platform.python_version()}, not shadowed by the unrelated "
            f"package {STRANGER!r}",
        )
        return
    yield Check(
        "bad",
        "installation",
        f"the unrelated package {STRANGER!r} ({found}) is installed here too: both write the module and the "
        "command `aigate`",
        "uninstall both (`pip uninstall aigate aigate-mlops`), then install aigate-mlops again",
    )


def _registry(
    way: Access, world: World, deadline: Deadline, loaded: LoadedManifest | None
) -> Iterator[Check]:
    """Ask the registry for its models, and what it is; say who can go round the gate there."""
    reader = way.registry(deadline)
    started = deadline.now()
    models = gather({"models": reader.registered_models}, deadline)["models"]
    took = round((deadline.now() - started) * 1000)
    if isinstance(models, BaseException):
        yield Check("bad", "mlflow", f"MLflow at {way.place.shown}: {_words(models)}", _registry_fix(models))
        return
    yield Check("ok", "mlflow", _answers(reader, way, deadline, took, len(models_of(models))))
    here = world.now + timedelta(seconds=deadline.seconds - deadline.remaining())
    yield from _clock(reader.date(), here)
    yield from _who_may_move(way, deadline)
    yield from _models(models_of(models), way, loaded)
    if loaded is not None:
        yield from _guard(way, world, deadline, loaded)


def _answers(reader: RegistryReader, way: Access, deadline: Deadline, took: int, models: int) -> str:
    facts = gather({"server": reader.server}, deadline)["server"]
    version = store = ""
    if not isinstance(facts, BaseException):
        version = f" {facts.version}" if facts.version else ""
        store = f" · {facts.store}" if facts.store else ""
    return f"MLflow{version} at {way.place.shown} answers ({took} ms){store} · {_number(models, 'registered model')}"


def _clock(there: datetime | None, here: datetime) -> Iterator[Check]:
    if there is not None and abs(there - here) > CLOCK_LIMIT:
        way = "ahead of" if there > here else "behind"
        yield Check(
            "bad",
            "mlflow:clock",
            f"MLflow's clock is {show_duration(abs(there - here))} {way} this machine's",
            "set both clocks by NTP: ages across them mean nothing",
        )


def _who_may_move(way: Access, deadline: Deadline) -> Iterator[Check]:
    """Say who can move the alias past the gate: MLflow has no right of its own for that."""
    name, no_record = "mlflow:access", "and MLflow keeps no record of who did"
    if way.place.by_client:
        yield Check("warn", name, f"whoever can write to this store can move the alias, {no_record}")
        return
    # What is sent besides is kept: without its CA or its workspace, the server would answer something else.
    bare = tuple(
        replace(credential, authorization=None, client_cert=None) for credential in way.place.credentials
    )
    stranger = replace(way, place=replace(way.place, credentials=bare))
    answer: object = None
    if stranger.place != way.place:
        answer = gather({"bare": stranger.registry(deadline).registered_models}, deadline)["bare"]
    if isinstance(answer, RegistryError) and answer.code == "denied":
        yield Check(
            "warn",
            name,
            f"the server asks for credentials: everyone with EDIT on the model can move its aliases, {no_record}",
            "give EDIT to the gate alone",
        )
    elif isinstance(answer, BaseException):
        yield Check("warn", name, f"whether the server asks for credentials is not known: {_words(answer)}")
    else:
        yield Check(
            "warn",
            name,
            f"the server asks for no credentials: everyone who reaches it can move the alias, {no_record}",
            "start it with --app-name basic-auth, and keep the token that may write in CI only",
        )


def _guard(way: Access, world: World, deadline: Deadline, loaded: LoadedManifest) -> Iterator[Check]:
    """Ask the server whether it guards the alias: the one request of the doctor that asks for a move, of none."""
    name, model, alias = "guard", loaded.manifest.model.name, loaded.manifest.model.champion
    try:
        key = signing_key(world.environ)
    except AigateError as e:
        yield _mend(name, e)
        return
    signer = None if key is None else key.id
    if way.place.by_client:
        yield _told(name, no_server(way.place.shown, signer))
        return
    heard = gather({name: lambda: probe(way, deadline, model, alias)}, deadline)[name]
    if isinstance(heard, BaseException):
        yield _told(name, unheard(_words(heard)))
        return
    yield _told(name, told(heard, listed([model]), alias, signer))
    here = world.now + timedelta(seconds=deadline.seconds - deadline.remaining())
    if key is not None and (apart := clock(heard.date, here, LIFE)) is not None:
        yield _told("guard:clock", apart)


def _told(name: str, found: Told) -> Check:
    return Check("warn" if found.state == "unknown" else found.state, name, found.what, found.fix)


def _models(models: Sequence[Json], way: Access, loaded: LoadedManifest | None) -> Iterator[Check]:
    """Look for the manifest's model; without a manifest, say which models there are."""
    names = [str(model["name"]) for model in models]
    if not models:
        yield Check(
            "bad",
            "mlflow:model",
            f"{way.place.shown} holds no registered model",
            "is this the store you meant? look at MLFLOW_TRACKING_URI",
        )
    elif loaded is None:
        yield Check("ok", "mlflow:model", f"models: {listed(names)}")
    elif loaded.manifest.model.name in names:
        yield from _model(models[names.index(loaded.manifest.model.name)], loaded)
    else:
        wanted = loaded.manifest.model.name
        yield Check(
            "bad",
            "mlflow:model",
            f"there is no model {listed([wanted])} in the registry{nearest(wanted, names)} (it has {listed(names)})",
            f"correct {loaded.place('model', 'name')}, or look at MLFLOW_TRACKING_URI",
        )


def _model(model: Json, loaded: LoadedManifest) -> Iterator[Check]:
    """Say which versions hold the aliases, and which aliases could be mistaken for them."""
    declared = loaded.manifest.model
    name, aliases = listed([declared.name]), aliases_of(model)
    for alias, holds, nobody in (
        (declared.champion, "in service", "nothing is in service"),
        (declared.challenger, "asks for its place", "nothing asks for its place; name a version instead"),
    ):
        if alias in aliases:
            yield Check("ok", f"mlflow:alias:{alias}", f"{name}@{alias} → v{aliases[alias]} ({holds})")
        else:
            yield Check("warn", f"mlflow:alias:{alias}", f"{name}@{alias} is not set: {nobody}")
        for twin in sorted(other for other in aliases if other != alias and _same(other, alias)):
            yield Check(
                "bad",
                f"mlflow:alias:{alias}",
                f"{name} has the alias {listed([twin])} beside @{alias}: which one serving reads nobody knows",
                "delete one of the two",
            )
    tags = tags_of(model)
    if not any(tag in tags for tag in OWNER_TAGS):
        yield Check(
            "warn",
            "mlflow:owner",
            f"{name} has no owner tag in the registry",
            "set the registered model's tag `owner` to the manifest's team",
        )


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _manifest(loaded: LoadedManifest, environment: str) -> Iterator[Check]:
    """Say what the mission cannot do without and the manifest does not have."""
    manifest = loaded.manifest
    try:
        infos = catalogue(loaded, environment)
    except AigateError as e:
        yield _mend("policies", e)
    else:
        files = len({info.file for info in infos})
        yield Check(
            "ok",
            "policies",
            f"{loaded.shown}: {len(infos)} policies from {files} files are in force in {environment}",
        )
    yield from _owner(manifest.owner)
    if bare := [item.name for item in register(manifest) if item.provenance is None]:
        yield Check(
            "bad",
            "manifest:provenance",
            f"{_number(len(bare), 'limit')} without an origin: {listed(bare)}",
            "add  provenance: {set_by: <name>, set_on: <date>, "
            f"environment: {environment}, run: <run id>}}  beside each (rationale: <why> for an age)",
        )
    if not any(metric.limited for metric in manifest.metrics.values()):
        yield Check(
            "bad",
            "manifest:metrics",
            "no metric has a limit",
            "add  metrics: {accuracy: {range: [0, 1], floor: <least>, provenance: {set_by: <name>, "
            f"set_on: <date>, environment: {environment}, run: <run id>}}}}}}",
        )
    if not any(stage.freshness for stage in manifest.stages):
        yield Check(
            "bad",
            "manifest:stages",
            "no stage promises how fresh its data is",
            "add  stages: [{name: <stage>, owner: <team>, freshness: {url: https://<host>/freshness.json, "
            "time: <field>, max_age: 2h, provenance: {set_by: <name>, set_on: <date>, "
            f"environment: {environment}, rationale: <why 2h>}}}}}}]",
        )
    yield from _runbooks(loaded)


def _owner(owner: Owner | None) -> Iterator[Check]:
    """Say whether somebody answers for the whole path and can be reached, as `ownership.accountable` does."""
    words = 'owner: {team: <team>, contact: "#<channel>", escalation: https://<pager>}'
    if owner is None or _blank(owner.team):
        yield Check("bad", "manifest:owner", "the manifest names no owner", f"add  {words}")
    elif _blank(owner.contact) and _blank(owner.escalation):
        yield Check(
            "bad",
            "manifest:owner",
            f"{owner.team} cannot be reached: no contact, no escalation",
            f"write  {words}",
        )


def _blank(name: str | None) -> bool:
    return name is None or not name.strip() or name.startswith("<")


def _number(count: int, word: str) -> str:
    return f"1 {word}" if count == 1 else f"{count} {word}s"


def _runbooks(loaded: LoadedManifest) -> Iterator[Check]:
    if not loaded.manifest.runbooks:
        yield Check(
            "bad", "manifest:runbooks", "no runbook is named", "add  runbooks: {default: runbooks/<name>.md}"
        )
    for blames, path in loaded.manifest.runbooks.items():
        there = runbook_exists(loaded.folder, path)
        lost = gap(there)
        if lost is not None or not there:
            yield Check(
                "bad",
                f"runbook:{blames}",
                f"the runbook {path} {lost.missing if lost is not None else 'is not there'}",
                f"write it, or correct {loaded.place('runbooks', blames)}",
            )


def _sources(loaded: LoadedManifest, world: World, deadline: Deadline) -> Iterator[Check]:
    """Ask every freshness source once, and say how old what it answers for is."""
    stages = {stage.name: stage for stage in loaded.manifest.stages}
    try:
        for name, reading in read_each(loaded, world.now, world.environ, deadline):
            declared = stages[name].freshness
            assert declared is not None  # only those that promise freshness are asked
            number = loaded.manifest.stages.index(stages[name])
            yield _source(
                name,
                reading,
                declared,
                world.now,
                loaded.place("stages", number, "freshness"),
                stages[name].owner,
            )
    except AigateError as e:
        yield _mend("freshness", e)


def _source(
    name: str, reading: Reading, declared: Freshness, now: datetime, place: str, owner: str | None
) -> Check:
    key = f"freshness:{name}"
    if (lost := gap(reading.freshness)) is not None:
        return Check("bad", key, f"freshness of {name}: {lost.missing} ({lost.source})", f"see {place}")
    old, limit = age(now, reading.freshness.as_of), declared.max_age.value
    words = f"{name} is {show_duration(old)} old, promised {show_duration(limit)} ({reading.source.shown})"
    if old > limit:
        return Check("warn", key, words, f"ask {owner or 'its owner'} to bring it up to date")
    return Check("ok", key, words)


def _mend(name: str, error: AigateError) -> Check:
    """Return what the user has to mend before anything can be decided."""
    return Check("bad", name, error.message, error.fix or "mend it at the place named here")


def _words(failure: BaseException) -> str:
    if isinstance(failure, AigateError | RegistryError):
        return failure.message
    return f"it cannot be asked ({type(failure).__name__})"


def _registry_fix(failure: BaseException) -> str:
    if isinstance(failure, AigateError):
        return failure.fix
    if isinstance(failure, RegistryError) and failure.code == "denied":
        return "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    return "check MLFLOW_TRACKING_URI, and that the server runs"
