"""Pipeline: what must be in place before anything moves, and for when it has to move back."""

from contextlib import suppress
from datetime import timedelta

from aigate import Findings, Skip, Snapshot, Unknown, deny, policy
from aigate.limits import show_origin
from aigate.snapshot import Version
from aigate.values import show_duration, show_instant

_READY = "READY"
_KINDS = ("model", "data", "process")
_DIGEST_TAG = "aigate.artifact_digest"
_HEARTBEAT_TAG = "aigate.watch"

_SKEW = timedelta(seconds=60)
"""How far clocks may differ before an instant counts as the future."""


@policy("pipeline.runbook", severity="medium", blames="process")
def runbook(s: Snapshot) -> Findings:
    """For every kind of failure there is a runbook, and it is there to be read.

    The person who is paged should find steps, not a dead link. `default`
    covers the kinds (`model`, `data`, `process`) that have none of their own.
    """
    declared = {book.blames for book in s.runbooks}
    lacking = () if "default" in declared else tuple(kind for kind in _KINDS if kind not in declared)
    if lacking:
        yield deny(
            f"no runbook for failures of {', '.join(lacking)}" if declared else "no runbook is declared",
            key="runbooks",
            owner=s.owner.team if s.owner else "",
            fix=f"add to the manifest:\nrunbooks: {{default: runbooks/{s.system}.md}}",
        )
    for book in s.runbooks:
        with suppress(Unknown):
            if not book.exists:
                yield deny(
                    f"the {book.blames} runbook {book.path} is not there",
                    key=book.blames,
                    owner=s.owner.team if s.owner else "",
                    fix=f"write {book.path}, or correct runbooks.{book.blames} in the manifest",
                )


@policy("pipeline.rollback_target", severity="high", blames="process")
def rollback_target(s: Snapshot) -> Findings:
    """There is a way back: the version in service now can be returned to.

    After a promotion the present champion is what a rollback returns to. It
    must be READY, and where its digest was recorded its files must be the ones
    that served. With nothing in service there is no way back to keep.
    """
    champion = s.champion
    if champion is None:
        raise Skip(f"nothing holds @{s.alias} yet, so there is nothing to return to")
    number = champion.subject.version
    if s.question != "promote":
        raise Skip(f"whether v{number} may stay is asked: only a promotion leaves a version behind")
    if champion.status != _READY:
        yield deny(
            f"v{number}, which a rollback would return to, is {champion.status}",
            key="status",
            value=champion.status,
            limit=_READY,
            owner=s.owner.team if s.owner else "",
            fix=f"see in MLflow why v{number} is not {_READY}; without it a bad promotion can only be halted",
        )
    recorded = champion.tag(_DIGEST_TAG)
    if recorded is None:
        return
    known = champion.subject.artifact_digest
    if recorded != known:
        yield deny(
            f"the artifact of v{number}, which a rollback would return to, has changed since it was recorded",
            key="artifact",
            value=known,
            limit=recorded,
            origin=f"tag {_DIGEST_TAG} of v{number}",
            owner=s.owner.team if s.owner else "",
            fix=f"restore the artifact of v{number}, or register what serves now as a new version",
        )


@policy("pipeline.artifact", severity="critical", blames="process")
def artifact(s: Snapshot) -> Findings:
    """The model's files are the ones that were recorded for this version.

    MLflow lets the files of a registered version be overwritten without a
    trace. The digest is held against the version's tag `aigate.artifact_digest`;
    without that tag there is nothing to compare with.
    """
    version = s.judged
    recorded = version.tag(_DIGEST_TAG)
    if recorded is None:
        raise Skip(f"v{version.subject.version} has no tag {_DIGEST_TAG} to compare with")
    digest = version.subject.artifact_digest
    if recorded != digest:
        yield deny(
            f"the files of v{version.subject.version} are not the ones that were recorded for it",
            key="artifact",
            value=digest,
            limit=recorded,
            origin=f"tag {_DIGEST_TAG} of v{version.subject.version}",
            owner=s.owner.team if s.owner else "",
            fix="find out who overwrote them; register the intended files as a new version",
        )


@policy("pipeline.status", severity="high", blames="process")
def status(s: Snapshot) -> Findings:
    """The version in question is ready, of this model, and not in service; the registry tells one story.

    An alias that moved while it was read, and a second alias that differs in
    case only, leave open which version anybody gets.
    """
    version = s.judged
    number = version.subject.version
    team = s.owner.team if s.owner else ""
    if version.status != _READY:
        yield deny(
            f"v{number} is {version.status}, not {_READY}",
            key="status",
            value=version.status,
            limit=_READY,
            owner=team,
            fix=f"see in MLflow why v{number} is not {_READY}, then evaluate again",
        )
    if version.stage == "Archived":
        yield deny(
            f"v{number} has been archived in MLflow",
            key="stage",
            value="Archived",
            owner=team,
            fix=f"ask whoever archived v{number}; take it out of that stage if it was a mistake",
        )
    if version.subject.name != s.model.name:
        yield deny(
            f"v{number} belongs to {version.subject.name}, the question is about {s.model.name}",
            key="model",
            value=version.subject.name,
            limit=s.model.name,
            owner=team,
            fix="name a version of the model that the manifest declares",
        )
    with suppress(Unknown):
        yield from _one_story(s, version)
    if s.question == "promote" and s.champion is not None and s.champion.subject.version == number:
        yield deny(
            f"v{number} holds @{s.alias} already: there is nothing to promote",
            key="champion",
            owner=team,
            fix=f"to ask whether v{number} may stay, ask about the champion instead",
        )


def _one_story(s: Snapshot, version: Version) -> Findings:
    """Hold what was read of the model, its versions and its run against each other."""
    number, run, champion = version.subject.version, version.run, s.champion
    aliases = {alias.name: alias.version for alias in s.model.aliases}
    for name in aliases:
        if name != s.alias and name.casefold() == s.alias.casefold():
            yield deny(
                f"the registry has @{name} (v{aliases[name]}) beside @{s.alias}: they differ in case only",
                key=f"alias/{name}",
                owner=s.owner.team if s.owner else "",
                fix=f"delete one of the two; whoever loads @{name} gets a version that nobody guards",
            )
    holder = None if champion is None else champion.subject.version
    if aliases.get(s.alias) != holder:
        raise Unknown(
            f"@{s.alias} was on {_number(aliases.get(s.alias))}, and {_number(holder)} was read: "
            "it moved meanwhile; evaluate again"
        )
    if champion is not None and champion.subject.name != version.subject.name:
        raise Unknown(f"the version that holds @{s.alias} is one of {champion.subject.name}")
    if run is not None and run.run_id != version.subject.run_id:
        raise Unknown(f"v{number} names run {version.subject.run_id}, and run {run.run_id} was read")
    if version.subject.created_at > s.now + _SKEW:
        raise Unknown(f"v{number} is dated {show_instant(version.subject.created_at)}, in the future")


def _number(version: str | None) -> str:
    return "no version" if version is None else f"v{version}"


@policy("pipeline.attainable", severity="medium", blames="process")
def attainable(s: Snapshot) -> Findings:
    """The stages' promises together can keep the end-to-end objective.

    Where the stage limits add up to more than the objective, every stage can
    be green while the objective is missed.
    """
    path = s.end_to_end
    if path is None and s.stages:
        raise Unknown("the stages were not followed to their end")
    if path is None or path.limit is None:
        raise Skip("the manifest declares no objectives.end_to_end_age for its stages")
    if path.worst_case is None:
        raise Skip("on every path there is a stage without a limit, so they do not add up to anything")
    objective = path.limit.value
    if path.worst_case > objective:
        yield deny(
            f"the stage limits add up to {show_duration(path.worst_case)}, "
            f"the objective is {show_duration(objective)}",
            key="end_to_end_age",
            value=path.worst_case,
            limit=objective,
            origin=show_origin(path.limit.provenance),
            owner=s.owner.team if s.owner else "",
            fix="tighten the stages' max_age or widen objectives.end_to_end_age, whichever is true",
        )


@policy("pipeline.watched", severity="medium", blames="process")
def watched(s: Snapshot, *, max_silence: timedelta = timedelta(0)) -> Findings:
    """Somebody watches the champion: the watcher gave a sign of life lately.

    A version that nobody looks at after its promotion is rolled back by
    nobody. `aigate watch` leaves a heartbeat in the registered model's tag
    `aigate.watch`; a watcher that died is silent, and so is one of another
    alias or environment.
    """
    team = s.owner.team if s.owner else ""
    if s.question != "promote":
        raise Skip("the champion itself is asked about: whoever asks is watching")
    if max_silence <= timedelta(0):
        key = f"environments.{s.environment}.params"
        raise Skip(f"not asked for; to ask, set {key}: {{pipeline.watched: {{max_silence: 15m}}}}")
    from aigate.window import read_heartbeat  # not before there is something to read

    text = s.model.tag(_HEARTBEAT_TAG)
    beat = None if text is None else read_heartbeat(text, s.now)
    if beat is None:
        words, value = f"nothing watches {s.model.name}: there is no tag {_HEARTBEAT_TAG}", "no heartbeat"
    elif isinstance(beat, str):
        words, value = f"the heartbeat in the tag {_HEARTBEAT_TAG} is not believed: {beat}", "broken"
    elif (beat.environment, beat.alias) != (s.environment, s.alias):
        value = f"@{beat.alias} in {beat.environment}"
        words = f"the watcher looks at {value}, and @{s.alias} in {s.environment} is asked for"
    elif s.now - beat.at > max_silence:
        value = show_duration(s.now - beat.at)
        words = f"the watcher has been silent for {value}, since {show_instant(beat.at)}"
    else:
        return
    yield deny(
        words,
        key="heartbeat",
        value=value,
        limit=max_silence,
        origin="parameter max_silence",
        owner=team,
        fix="run `aigate watch --once` on a schedule, or `aigate watch --every 5m` as a process",
    )
