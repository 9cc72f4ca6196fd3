"""Freshness: every stage keeps its promise, and so does the path as a whole.

Ages are the snapshot's, counted from instants to one `now`. Where the instant
itself says worse than the age, the instant is believed; one that lies in the
future is not evidence of anything.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from aigate import Findings, Skip, Snapshot, Unknown, deny, note, policy
from aigate.limits import show_origin
from aigate.snapshot import Stage, StaleInput
from aigate.values import show_duration, show_instant

_SKEW = timedelta(seconds=60)
"""How far clocks may differ before an instant counts as the future."""

_WORSE = frozenset(
    {"error", "warn", "warning", "fail", "failed", "failure", "stale", "degraded", "runtime error"}
)
_GOOD = ("pass", "passed", "ok", "success", "fresh", "healthy", "up")


@policy("freshness.promised", severity="critical", blames="process")
def promised(s: Snapshot) -> Findings:
    """At least one stage promises how fresh its data is.

    A path on which nobody promises anything cannot be late, and cannot be
    trusted: a 12-hour delay shows on nobody's screen.
    """
    if any(stage.promise is not None for stage in s.stages):
        return
    names = ", ".join(stage.name for stage in s.stages)
    yield deny(
        f"no stage promises how fresh its data is (stages: {names})" if names else "no stage is declared",
        key="stages",
        owner=s.owner.team if s.owner else "",
        fix=(
            "add to the manifest:\n"
            "stages:\n"
            "  - {name: <stage>, owner: <team>, freshness: {url: https://<host>/freshness.json, "
            "time: <field>, max_age: 2h, provenance: {set_by: <name>, "
            f"set_on: {s.now.date().isoformat()}, environment: {s.environment}, rationale: <why>}}}}}}"
        ),
    )


@policy("freshness.stage", severity="high", blames="data")
def stage_freshness(s: Snapshot, *, grace: timedelta = timedelta(0)) -> Findings:
    """Every stage's data is as fresh as its owner promised.

    A model that is fed old data fails however good it is, and no other model
    would do better.
    """
    for stage in _promising(s):
        with suppress(Unknown):
            yield from _late(s, stage, grace)


def _late(s: Snapshot, stage: Stage, grace: timedelta) -> Findings:
    promise, freshness, counted = stage.promise, stage.freshness, stage.age
    if promise is None or freshness is None or counted is None:
        raise Unknown(f"stage {stage.name} promises freshness and has no age")
    age = _oldest(s.now, freshness.as_of, counted, f"the newest data of stage {stage.name}")
    limit = promise.value + grace
    if age > limit:
        yield deny(
            f"{stage.name} is {show_duration(age)} old, promised {show_duration(promise.value)}"
            + (f" with {show_duration(grace)} grace" if grace else "")
            + f" (newest data {show_instant(freshness.as_of)})",
            key=stage.name,
            value=age,
            limit=limit,
            origin=show_origin(promise.provenance),
            owner=_keeper(stage),
            fix=f"ask {_keeper(stage) or 'its owner'} to bring {stage.name} up to date, then evaluate again",
        )


@policy("freshness.evidence", severity="high", blames="data")
def evidence(s: Snapshot) -> Findings:
    """What a source says about freshness was said recently.

    A status file left behind by a dead job goes on saying "fresh" for ever.
    The limit is the stage's `max_evidence_age`: 15 minutes for a service and
    2 hours for a file where none is declared.
    """
    for stage in _promising(s):
        with suppress(Unknown):
            yield from _outdated(s, stage)


def _outdated(s: Snapshot, stage: Stage) -> Findings:
    limit, freshness, counted = stage.evidence_limit, stage.freshness, stage.evidence_age
    if limit is None or freshness is None or counted is None:
        raise Unknown(f"stage {stage.name} promises freshness, and how old its evidence is nobody can say")
    age = _oldest(s.now, freshness.observed_at, counted, f"the answer about stage {stage.name}")
    if age > limit.value:
        yield deny(
            f"what is known of {stage.name} is {show_duration(age)} old, "
            f"at most {show_duration(limit.value)} is allowed (observed {show_instant(freshness.observed_at)})",
            key=stage.name,
            value=age,
            limit=limit.value,
            origin="the default for its kind of source"
            if limit.provenance is None
            else show_origin(limit.provenance),
            owner=_keeper(stage),
            fix=f"run again what reports the freshness of {stage.name}, and see why it stopped",
        )


@policy("freshness.claimed", severity="high", blames="data")
def claimed(s: Snapshot, *, good: tuple[str, ...] = _GOOD) -> Findings:
    """No source says of its own data that it is stale.

    A source's verdict never makes the outcome better: it is heard only where
    it is worse. A word that is neither known as good nor as bad is unknown.
    """
    said = [
        (stage, stage.freshness.claimed)
        for stage in _reported(s)
        if stage.freshness is not None and stage.freshness.claimed is not None
    ]
    if not said:
        raise Skip("no source gives a verdict of its own")
    welcome = {word.casefold() for word in good}
    for stage, verdict in said:
        if verdict.casefold() in _WORSE:
            yield deny(
                f"the source of {stage.name} itself says {verdict!r}",
                key=stage.name,
                value=verdict,
                owner=_keeper(stage),
                fix=f"ask {_keeper(stage) or 'its owner'} what the check of {stage.name} found",
            )
        elif verdict.casefold() not in welcome:
            with suppress(Unknown):
                raise Unknown(
                    f"the source of {stage.name} says {verdict!r}, which is not known as good or bad "
                    "(parameter `good` of freshness.claimed)"
                )


@policy("freshness.end_to_end", severity="high", blames="data")
def end_to_end(s: Snapshot) -> Findings:
    """The oldest input behind the answer is within the objective.

    Every stage can keep its own promise while the path as a whole is late:
    what a stage read may have been old already.
    """
    path = s.end_to_end
    if path is None and s.stages:
        raise Unknown("the stages were not followed to their end")
    if path is None:
        raise Skip("the manifest declares no stages (freshness.promised asks for one)")
    if path.limit is None:
        raise Skip("the manifest declares no objectives.end_to_end_age")
    limit, least = path.limit.value, path.lower_bound or timedelta(0)
    try:
        age = max(path.age, least)
        words = show_duration(age)
    except Unknown:
        if least <= limit:
            raise
        # A bound above the objective decides, whatever keeps the age itself from being known.
        age, words = least, f"at least {show_duration(least)}"
    if path.assumed:
        note(f"no stage recorded which version it read; assumed: {', '.join(path.assumed)}")
    if age <= limit:
        return
    hidden = path.hidden
    aside = f"; {show_duration(hidden)} of it shows on no single stage" if hidden else ""
    weakest = s.stage(path.weakest) if path.weakest else None
    yield deny(
        f"the answer rests on data {words} old, the objective is {show_duration(limit)}"
        f" (path {' → '.join(path.path) or 'unknown'}{aside})",
        key="end_to_end_age",
        value=age,
        limit=limit,
        origin=show_origin(path.limit.provenance),
        owner=_keeper(weakest) if weakest is not None else (s.owner.team if s.owner else ""),
        fix=f"start at {path.weakest}: it holds the oldest input"
        if path.weakest
        else "find the oldest input",
    )


@policy("freshness.cache", severity="high", blames="data")
def cache(s: Snapshot) -> Findings:
    """No stage goes on serving what its upstream has replaced.

    A cache is stale when what it was built from is older than what its
    upstream now has. For as long as the stage's `allowance` that is expected;
    a stage that declares none may be behind for as long as its own promise.
    """
    reported = _reported(s)
    telling = any(stage.freshness is not None and stage.freshness.read_at for stage in reported)
    behind = list(_stale(s))
    if not telling and not behind:
        raise Skip("no stage tells when it read its inputs")
    for stage, stale, lag in behind:
        with suppress(Unknown):
            yield from _outlived(s, stage, stale, lag)


def _outlived(s: Snapshot, stage: Stage, stale: StaleInput, lag: timedelta) -> Findings:
    """Deny an input that was replaced for longer than is allowed; `lag` is what that is at least."""
    allowed = stage.allowance if stage.allowance is not None else stage.limit or timedelta(0)
    read, words = _read(stage, stale)
    if lag > allowed:
        yield deny(
            f"{stage.name} was built from {stale.upstream} as of {words}, "
            f"replaced {show_instant(stale.upstream_built_at)}: stale for at least {show_duration(lag)}, "
            f"allowed {show_duration(allowed)}",
            key=f"{stage.name}/{stale.upstream}",
            value=lag,
            limit=allowed,
            origin=f"stages.{stage.name}.allowance"
            if stage.allowance is not None
            else f"stages.{stage.name} declares no allowance: its own promise",
            owner=_keeper(stage),
            fix=f"rebuild {stage.name} from {stale.upstream}, or clear its cache",
        )
    elif read is None or s.now - read > allowed:
        # The upstream's present version need not be the first that replaced what was read.
        raise Unknown(
            f"{stage.name} was built from {stale.upstream} as of {words}, and whether that was first replaced "
            f"more than {show_duration(allowed)} ago is not known: its present version is of "
            f"{show_instant(stale.upstream_built_at)}"
        )


def _read(stage: Stage, stale: StaleInput) -> tuple[datetime | None, str]:
    """Return when a stage read its input, and the words for it.

    A stage that does not say is taken to have read when it was built, as far as that is known.
    """
    if stale.built_from is not None:
        return stale.built_from, show_instant(stale.built_from)
    known = stage.freshness
    built = None if known is None else known.built_at
    if built is None and known is not None and known.kind in ("loaded", "built"):
        built = known.as_of
    return built, "an unknown time" if built is None else f"{show_instant(built)} or before"


def _stale(s: Snapshot) -> Iterator[tuple[Stage, StaleInput, timedelta]]:
    """Yield each input that has been replaced, and for how long its reader has gone on with the old."""
    for stage in s.stages:
        with suppress(Unknown):
            for stale in stage.stale_inputs:
                what = f"the {stale.upstream} that {stage.name} should have read"
                yield stage, stale, _oldest(s.now, stale.upstream_built_at, stale.behind, what)


def _promising(s: Snapshot) -> list[Stage]:
    """Return the stages with a promise; a path without any is skipped."""
    found = [stage for stage in s.stages if stage.promise is not None]
    if not found:
        raise Skip("no stage promises freshness (freshness.promised asks for one)")
    return found


def _reported(s: Snapshot) -> list[Stage]:
    """Return the stages whose source answered; what is missing is noted on the way."""
    found = []
    for stage in s.stages:
        with suppress(Unknown):
            if stage.freshness is not None:
                found.append(stage)
    return found


def _oldest(now: datetime, then: datetime, counted: timedelta, what: str) -> timedelta:
    """Return the larger of an age as counted and as its instant gives it."""
    if then > now + _SKEW:
        raise Unknown(f"{what} is dated {show_instant(then)}, in the future")
    return max(counted, now - then)


def _keeper(stage: Stage) -> str:
    """Return who keeps a stage, and where to ask."""
    if stage.owner is None:
        return stage.contact or ""
    return f"{stage.owner} ({stage.contact})" if stage.contact else stage.owner
