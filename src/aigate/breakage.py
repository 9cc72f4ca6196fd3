"""Ways to break sound evidence, each as a known failure would show in it. Pure.

Each takes a snapshot and returns it with the failure in it, once for every
place where it can happen, or says why it cannot happen here. Everything that is
counted from what changes (ages, stale inputs, the age end to end) is counted
anew, and the outcome is built through validation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from aigate.compare import scorer
from aigate.decision import Actor
from aigate.digest import canonical
from aigate.ledger import Identity
from aigate.plan import drift
from aigate.snapshot import (
    FreshnessEvidence,
    InputRead,
    Judge,
    Measurement,
    Run,
    Snapshot,
    Stage,
    Subject,
    Tag,
    Threshold,
    Version,
    age,
)
from aigate.standing import Standing, Tenure
from aigate.trace import trace
from aigate.values import gap, missing

LATE = timedelta(hours=12)
"""By how much a stage is late: the delay that was on nobody's screen."""

MOMENT = timedelta(minutes=1)
"""How long ago a busy stage published what it has now."""

FELL = (Decimal("0.94"), Decimal("0.71"))
"""From what accuracy to what it fell."""

_OTHER_DIGEST = "sha256:" + "d" * 64


@dataclass(frozen=True)
class Injected:
    """The evidence with one failure in it, and where it was put."""

    place: str
    snapshot: Snapshot
    guard: str = ""
    """What beside the policies keeps the gate shut, in its own words; empty where nothing does."""


Found: TypeAlias = tuple[Injected, ...] | str
"""The evidence for every place where a failure can happen; why it cannot, where it cannot."""


def _sound(snapshot: Snapshot, **changes: Any) -> Snapshot:
    """Return a snapshot with other fields, built through validation: nothing the gate could not have made."""
    changed = snapshot.model_copy(update=changes)
    return Snapshot.model_validate_json(canonical(changed))


# Owner


def owner_gone(s: Snapshot) -> Found:
    """Let nobody answer for the path."""
    if s.owner is None:
        return "the manifest names no owner who could go"
    return (Injected("owner", _sound(s, owner=None)),)


def stage_owner_gone(s: Snapshot) -> Found:
    """Let nobody answer for a stage."""
    owned = [stage for stage in s.stages if stage.owner is not None]
    made = (_with_stage(s, stage.model_copy(update={"owner": None})) for stage in owned)
    found = tuple(Injected(stage.name, changed) for stage, changed in zip(owned, made, strict=True))
    return found or "no stage has an owner who could go"


# Data


def _with_stage(s: Snapshot, *changed: Stage) -> Snapshot:
    """Return the snapshot with other stages, every age and every stale input counted anew."""
    new = {stage.name: stage for stage in changed}
    stages = [_aged(new.get(stage.name, stage), s.now) for stage in s.stages]
    objective = None if s.end_to_end is None else s.end_to_end.limit
    traced = trace(stages, objective, s.now)
    return _sound(s, stages=traced.stages, end_to_end=traced.end_to_end)


def _aged(stage: Stage, now: datetime) -> Stage:
    found = stage.freshness
    if (lost := gap(found)) is not None:
        unknown = missing(lost.missing, lost.source)
        return stage.model_copy(update={"age": unknown, "evidence_age": unknown, "stale_inputs": ()})
    ages = (
        {} if found is None else {"age": age(now, found.as_of), "evidence_age": age(now, found.observed_at)}
    )
    return stage.model_copy(update={**ages, "stale_inputs": ()})


def _known(s: Snapshot) -> list[tuple[Stage, FreshnessEvidence]]:
    """Return the stages whose freshness is known, with what is known."""
    return [
        (stage, stage.freshness)
        for stage in s.stages
        if gap(stage.freshness) is None and stage.freshness is not None
    ]


def _as(stage: Stage, found: FreshnessEvidence, **changes: Any) -> Stage:
    return stage.model_copy(update={"freshness": found.model_copy(update=changes)})


def _older(found: FreshnessEvidence, by: timedelta) -> dict[str, Any]:
    """Return when everything about a stage's data was, so much earlier."""
    moments = ("as_of", "built_at", "read_at")
    return {name: at - by for name in moments if (at := getattr(found, name)) is not None}


def late(s: Snapshot) -> Found:
    """Let a stage's newest data be 12 hours older than was promised, and what it read with it."""
    found = tuple(
        Injected(stage.name, _with_stage(s, _as(stage, known, **_older(known, _until_late(s, stage, known)))))
        for stage, known in _known(s)
    )
    return found or "no stage says how fresh its data is"


def _until_late(s: Snapshot, stage: Stage, known: FreshnessEvidence) -> timedelta:
    """Return by how much a stage's data must be older to be 12 hours late; 12 hours for one that is already."""
    lacking = (stage.limit or timedelta(0)) + LATE - (s.now - known.as_of)
    return lacking if lacking > timedelta(0) else LATE


def silent(s: Snapshot) -> Found:
    """Let a source's answer be 12 hours old."""
    found = tuple(
        Injected(stage.name, _with_stage(s, _as(stage, known, observed_at=known.observed_at - LATE)))
        for stage, known in _known(s)
    )
    return found or "no stage says how fresh its data is"


def future(s: Snapshot) -> Found:
    """Let a stage's newest data be of the future."""
    found = tuple(
        Injected(stage.name, _with_stage(s, _as(stage, known, as_of=s.now + timedelta(hours=2))))
        for stage, known in _known(s)
    )
    return found or "no stage says how fresh its data is"


def stale_cache(s: Snapshot) -> Found:
    """Let a cache have read, 12 hours beyond its allowance, what its upstream replaced 6 hours later."""
    return _stale_cache(s, lambda allowed: allowed + LATE / 2)


def stale_cache_of_a_busy_upstream(s: Snapshot) -> Found:
    """Let a cache have read, 12 hours beyond its allowance, what its upstream replaced again a minute ago."""
    return _stale_cache(s, lambda allowed: MOMENT)


def _stale_cache(s: Snapshot, since: Callable[[timedelta], timedelta]) -> Found:
    """Let a cache have read long ago what its upstream last replaced `since` its allowance tells."""
    known = {stage.name: (stage, found) for stage, found in _known(s)}
    made: list[Injected] = []
    for stage, found in known.values():
        inputs = [name for name in stage.reads if name in known]
        if (found.read_at is None and stage.allowance is None) or not inputs:
            continue
        allowed = stage.allowance if stage.allowance is not None else stage.limit or timedelta(0)
        replaced, read = s.now - since(allowed), s.now - allowed - LATE
        reader = _as(
            stage,
            found,
            read_at=read,
            inputs=tuple(InputRead(stage=name, version=f"{name}-before", built_at=read) for name in inputs),
        )
        upstream, newer = known[inputs[0]]
        later = (newer.built_at or newer.as_of) - replaced
        fresh = _as(upstream, newer, version=f"{upstream.name}-now", **_older(newer, later))
        made.append(Injected(stage.name, _with_stage(s, reader, fresh)))
    return tuple(made) or "no stage is declared as a cache (allowance) or tells when it read its inputs"


# The model


def _judged_version(s: Snapshot) -> tuple[str, Version] | str:
    """Return the version in question with its field in the snapshot, or why there is none."""
    field = "challenger" if s.question == "promote" else "champion"
    version: Any = getattr(s, field)
    if (lost := gap(version)) is not None:
        return lost.missing
    return "there is no version to judge" if version is None else (field, version)


def fell(s: Snapshot) -> Found:
    """Let a metric fall, where it is a share of which more is better."""
    found = _judged_version(s)
    if isinstance(found, str):
        return found
    field, version = found
    if gap(version.measurements) is not None:
        return "its metrics are not known"
    declared = {metric.name: metric.rule for metric in s.metrics}
    made = []
    for measured in version.measurements:
        rule = declared.get(measured.name)
        if (
            rule is None
            or gap(measured.value) is not None
            or rule.lower_is_better
            or not 0 < measured.value <= 1
        ):
            continue
        worse = _worse(measured.value)
        changed = tuple(
            m.model_copy(update={"value": worse}) if m is measured else m for m in version.measurements
        )
        place = f"{measured.name} {measured.value:f} → {worse:f}"
        made.append(Injected(place, _sound(s, **{field: _metrics(version, changed)})))
    return tuple(made) or "no share (a metric between 0 and 1 of which more is better) is declared and logged"


def _metrics(version: Version, measurements: tuple[Measurement, ...]) -> Version:
    return version.model_copy(update={"measurements": measurements})


def _worse(value: Decimal) -> Decimal:
    """Return what a share falls to: 0.71 from about 0.94, and as much of another value."""
    was, became = FELL
    return became if value >= Decimal("0.8") else round(value * became / was, 4)


def judge_fails(s: Snapshot) -> Found:
    """Let a judge fail on three rows of four."""
    found = _judged_version(s)
    if isinstance(found, str):
        return found
    field, version = found
    names = {name for metric in s.metrics if (name := scorer(metric.name, metric.rule)) is not None}
    if gap(version.judges) is not None:
        return "what the judges did is not known"
    tallies = [judge for judge in version.judges if judge.name in names and judge.rows > 0]
    if not tallies:
        return "no metric is the mean of a judge"
    return tuple(
        Injected(
            f"{judge.name} on {judge.rows - judge.rows // 4} of {judge.rows} rows",
            _sound(s, **{field: version.model_copy(update={"judges": _failing(version.judges, judge)})}),
        )
        for judge in tallies
    )


def _failing(judges: tuple[Judge, ...], one: Judge) -> tuple[Judge, ...]:
    few = one.rows // 4
    worse = one.model_copy(update={"judged": few, "failed": one.rows - few})
    return tuple(worse if judge is one else judge for judge in judges)


def overwritten(s: Snapshot) -> Found:
    """Let the files of the version in question be others than were registered."""
    found = _judged_version(s)
    if isinstance(found, str):
        return found
    field, version = found
    subject = version.subject.model_copy(update={"artifact_digest": _OTHER_DIGEST})
    changed = version.model_copy(update={"subject": subject})
    return (Injected(f"v{subject.version}", _sound(s, **{field: changed})),)


# Thresholds


def _with_threshold(s: Snapshot, old: Threshold, new: Threshold) -> Snapshot:
    return _sound(s, thresholds=tuple(new if item is old else item for item in s.thresholds))


def from_dev(s: Snapshot) -> Found:
    """Let a threshold have been tuned in dev."""
    stated = [
        (t, t.provenance)
        for t in s.thresholds
        if t.provenance is not None and t.provenance.environment in (None, s.environment)
    ]
    found = tuple(
        Injected(
            t.name,
            _with_threshold(
                s,
                t,
                t.model_copy(
                    update={"provenance": p.model_copy(update={"environment": "dev", "portable": None})}
                ),
            ),
        )
        for t, p in stated
    )
    return (
        found
        or "no threshold says that it was set here: there is none that could be from dev without being so already"
    )


def older_than_embedding(s: Snapshot) -> Found:
    """Let a version log another embedding than the thresholds were measured with."""
    found = _judged_version(s)
    if isinstance(found, str):
        return found
    field, version = found
    if gap(version.run) is not None or version.run is None:
        return "the run behind the version is not known, so nobody can say what it embeds with"
    keys = [tag.key for tag in (*version.run.params, *version.run.tags) if "embed" in tag.key.lower()]
    keys += [
        key
        for t in s.thresholds
        if t.provenance is not None
        for key in t.provenance.measured_with
        if version.run.param(key) is not None or version.run.tag(key) is not None
    ]
    made = tuple(
        Injected(
            key, _sound(s, **{field: version.model_copy(update={"run": _other_value(version.run, key)})})
        )
        for key in dict.fromkeys(keys)
    )
    return made or "neither does the version log what it embeds with, nor does a threshold depend on it"


def _other_value(run: Run, key: str) -> Run:
    def other(tags: tuple[Tag, ...]) -> tuple[Tag, ...]:
        return tuple(
            tag.model_copy(update={"value": f"{tag.value}-next"}) if tag.key == key else tag for tag in tags
        )

    return run.model_copy(update={"params": other(run.params), "tags": other(run.tags)})


# The registry


def registry_down(s: Snapshot) -> Found:
    """Let nothing be known of the registry."""
    down = missing("MLflow did not answer (drill)", "mlflow")
    evidence = tuple(
        source.model_copy(update={"status": "missing", "reason": down.missing})
        if source.adapter.startswith("mlflow")
        else source
        for source in s.evidence
    )
    changes = {"model": down, "champion": down, "evidence": evidence}
    if s.question == "promote":
        changes["challenger"] = down
    return (Injected("MLflow", _sound(s, **changes)),)


def moved_by_hand(s: Snapshot) -> Found:
    """Let another version hold the alias than the one that the ledger put there."""
    holder: Any = s.champion
    if gap(holder) is not None:
        return "what holds the alias is not known"
    if holder is None:
        return _set_by_hand(s)
    then = holder.subject
    now = _another(then)
    moved = holder.model_copy(update={"subject": now, "aliases": holder.aliases})
    guard = drift(_ledger_of(s, then), s.alias, Identity.of(now))
    model: Any = s.model
    if gap(model) is None:
        aliases = tuple(
            a.model_copy(update={"version": now.version}) if a.name == s.alias else a for a in model.aliases
        )
        model = model.model_copy(update={"aliases": aliases})
    return (
        Injected(
            f"@{s.alias} v{then.version} → v{now.version}",
            _sound(s, champion=moved, model=model),
            guard="; ".join(blocker.message for blocker in guard),
        ),
    )


def _set_by_hand(s: Snapshot) -> Found:
    """Let a version hold the alias that nobody held: the ledger does not know how it got there."""
    found = _judged_version(s)
    if isinstance(found, str):
        return found
    now = _another(found[1].subject)
    held = found[1].model_copy(update={"subject": now, "aliases": (s.alias,)})
    guard = drift(Standing(model=now.name), s.alias, Identity.of(now))
    return (
        Injected(
            f"@{s.alias} nobody → v{now.version}",
            _sound(s, champion=held),
            guard="; ".join(blocker.message for blocker in guard),
        ),
    )


def _another(subject: Subject) -> Subject:
    number = str(int(subject.version) + 1000)
    return subject.model_copy(
        update={"version": number, "created_at": subject.created_at + timedelta(days=1)}
    )


def _ledger_of(s: Snapshot, holder: Subject) -> Standing:
    """Return what the ledger would know: that aigate put the version there which holds the alias now."""
    tenure = Tenure(
        alias=s.alias,
        identity=Identity.of(holder),
        since=s.now,
        by="promote",
        seq=1,
        actor=Actor(name="aigate"),
        reason="drill",
    )
    return Standing(model=holder.name, tenures=(tenure,))
