"""The stages as one path: how old the end of it is, and who serves what has been replaced. Pure.

Brings snapshot stages into `aigate.lag`'s terms and its answers back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aigate import lag
from aigate.limits import AgeLimit
from aigate.snapshot import EndToEnd, FreshnessEvidence, InputRead, Stage, StaleInput
from aigate.values import Evident, gap, missing


@dataclass(frozen=True)
class Traced:
    """The stages with what was found between them, and the age at the end of the path."""

    stages: tuple[Stage, ...]
    end_to_end: EndToEnd | None


def trace(stages: Sequence[Stage], objective: AgeLimit | None, now: datetime) -> Traced:
    """Follow what each stage read from the sources to the last stages."""
    if not stages:
        return Traced((), None)
    sources = {stage.name for stage in stages if not stage.reads}
    readings = [_reading(stage, sources) for stage in stages]
    ages = lag.input_ages(readings, now=now)
    owners = {stage.name: stage.owner for stage in stages}
    joined = tuple(
        _with(stage, _stale(stage, [age for age in ages if age.stage == stage.name], owners))
        for stage in stages
    )
    return Traced(joined, _end_to_end(stages, readings, objective, now))


def _reading(stage: Stage, sources: set[str]) -> lag.StageReading:
    evidence = stage.freshness
    if (lost := gap(evidence)) is not None:
        return lag.StageReading(stage.name, stage.reads, reason=f"{lost.missing} ({lost.source})")
    if evidence is None:
        # A stage with a source but no data of its own hands on what its inputs have now.
        why = "" if stage.reads else "it promises nothing"
        return lag.StageReading(stage.name, stage.reads, live=bool(stage.reads), reason=why)
    is_source = not stage.reads
    return lag.StageReading(
        stage.name,
        stage.reads,
        data_time=evidence.as_of
        if evidence.kind == "event" or (is_source and evidence.kind != "heartbeat")
        else None,
        built_at=_built(evidence),
        read_at=evidence.read_at,
        version=evidence.version,
        inputs=tuple(_input(read, sources) for read in evidence.inputs),
    )


def _input(read: InputRead, sources: set[str]) -> lag.InputRead:
    """Return a recorded input. What a source loaded is as old as its load: it reads no other stage."""
    loaded = read.built_at if read.stage in sources else None
    return lag.InputRead(read.stage, read.version, read.built_at, read.as_of or loaded)


def _built(evidence: FreshnessEvidence) -> datetime | None:
    if evidence.built_at is not None:
        return evidence.built_at
    return evidence.as_of if evidence.kind in ("loaded", "built") else None


def _stale(
    stage: Stage, ages: Sequence[lag.InputAge], owners: dict[str, str | None]
) -> Evident[tuple[StaleInput, ...]]:
    """Return what a stage serves though it was replaced; a gap where it should tell and does not."""
    unknown = next((age for age in ages if age.state == "unknown"), None)
    if unknown is not None and _tells(stage):
        return missing(
            f"whether {stage.name} is behind {unknown.input} is not known: {unknown.reason}", stage.name
        )
    return tuple(
        StaleInput(
            upstream=age.input,
            owner=owners.get(age.input),
            upstream_built_at=age.since,
            built_from=age.read_at,
            behind=age.behind_for,
        )
        for age in ages
        if age.state in ("stale", "behind") and age.since is not None and age.behind_for is not None
    )


def _tells(stage: Stage) -> bool:
    """Whether a stage claims to know what it was built from: by its evidence, or as a declared cache."""
    evidence = stage.freshness
    if stage.allowance is not None or gap(evidence) is not None:
        return stage.allowance is not None
    return evidence is not None and (evidence.read_at is not None or bool(evidence.inputs))


def _with(stage: Stage, stale: Evident[tuple[StaleInput, ...]]) -> Stage:
    """Return the stage with its stale inputs, built anew."""
    fields = {name: getattr(stage, name) for name in type(stage).model_fields}
    return Stage(**{**fields, "stale_inputs": stale})


def _end_to_end(
    stages: Sequence[Stage], readings: Sequence[lag.StageReading], objective: AgeLimit | None, now: datetime
) -> EndToEnd:
    """Return the worst of the last stages; one of which the age is not known makes the whole unknown."""
    read = {name for stage in stages for name in stage.reads}
    ends = [lag.end_to_end(readings, stage.name, now=now) for stage in stages if stage.name not in read]
    unknown = next((end for end in ends if end.age is None), None)
    worst = max(ends, key=lambda end: (end.lower_bound is not None, end.lower_bound or now - now))
    worst_case = lag.worst_case([lag.StageLimit(stage.name, stage.reads, stage.limit) for stage in stages])
    return EndToEnd(
        limit=objective,
        age=missing(unknown.reason if unknown is not None else "", "stages")
        if unknown or worst.age is None
        else worst.age,
        lower_bound=worst.lower_bound,
        hidden=worst.hidden_lag if unknown is None else None,
        weakest=worst.weakest,
        path=worst.path,
        assumed=tuple(f"{reader} read the newest {upstream}" for reader, upstream in worst.assumed),
        worst_case=worst_case.total if worst_case.path and any(s.limit for s in stages) else None,
    )
