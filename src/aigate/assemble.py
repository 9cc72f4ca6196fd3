"""From what was declared and what was found to one snapshot. Pure: every age is counted to one `now`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aigate.limits import AgeLimit
from aigate.manifest import Applied, Manifest, StageDeclared
from aigate.register import Declared, register
from aigate.snapshot import (
    AppliedValue,
    DeclaredMetric,
    FreshnessEvidence,
    Question,
    RegisteredModel,
    RowComparison,
    Run,
    Runbook,
    Snapshot,
    Source,
    Stage,
    Threshold,
    Version,
    age,
)
from aigate.trace import trace
from aigate.values import Digest, Evident, gap, missing

SERVICE_ANSWER = timedelta(minutes=15)
"""How old a service's answer may be where the manifest does not say: it is asked now."""

FILE_ANSWER = timedelta(hours=2)
"""How old a file's answer may be where the manifest does not say: somebody's job wrote it."""


@dataclass(frozen=True)
class Asked:
    """The question, and what surrounds it."""

    question: Question
    environment: str
    alias: str
    now: datetime
    manifest_digest: Digest


@dataclass(frozen=True)
class Collected:
    """What the collectors brought back; gaps are `Missing`, never absent keys."""

    model: Evident[RegisteredModel]
    challenger: Evident[Version | None]
    champion: Evident[Version | None]
    comparisons: tuple[RowComparison, ...] = ()
    runs: Mapping[str, Evident[Run | None]] = field(default_factory=dict)
    """By run id: the runs that provenance names."""
    freshness: Mapping[str, Evident[FreshnessEvidence]] = field(default_factory=dict)
    """By stage: every stage that promises freshness."""
    runbooks: Mapping[str, Evident[bool]] = field(default_factory=dict)
    """By path as declared: whether the file is there."""
    edited: Mapping[str, Evident[datetime | None]] = field(default_factory=dict)
    """By threshold: when its value last changed."""
    sources: tuple[Source, ...] = ()


def assemble(manifest: Manifest, asked: Asked, found: Collected) -> Snapshot:
    """Join the manifest with the evidence, stage by stage and threshold by threshold."""
    judged = found.challenger if asked.question == "promote" else found.champion
    stages = tuple(_stage(stage, asked.now, found) for stage in manifest.stages)
    traced = trace(stages, manifest.objectives.end_to_end_age, asked.now)
    return Snapshot(
        now=asked.now,
        question=asked.question,
        environment=asked.environment,
        system=manifest.system,
        alias=asked.alias,
        manifest_digest=asked.manifest_digest,
        owner=manifest.owner,
        model=found.model,
        challenger=found.challenger,
        champion=found.champion,
        metrics=tuple(DeclaredMetric(name=name, rule=rule) for name, rule in manifest.metrics.items()),
        comparisons=found.comparisons,
        stages=traced.stages,
        end_to_end=traced.end_to_end,
        thresholds=tuple(_threshold(item, judged, found) for item in register(manifest)),
        runbooks=tuple(
            Runbook(blames=blames, path=path, exists=found.runbooks.get(path, missing("nobody looked", path)))
            for blames, path in manifest.runbooks.items()
        ),
        evidence=tuple(sorted(found.sources, key=lambda source: source.name)),
    )


def _stage(stage: StageDeclared, now: datetime, found: Collected) -> Stage:
    """Join a stage with its evidence; its inputs are traced afterwards, with all stages at hand."""
    declared = stage.freshness
    evidence: Evident[FreshnessEvidence | None] = None
    if declared is not None:
        evidence = found.freshness.get(stage.name, missing("nobody asked", stage.name))
    return Stage(
        name=stage.name,
        owner=stage.owner,
        contact=stage.contact,
        reads=stage.reads,
        promise=None if declared is None else declared.max_age,
        evidence_limit=None if declared is None else _answer_limit(stage),
        freshness=evidence,
        age=_since(evidence, lambda answer: answer.as_of, now),
        evidence_age=_since(evidence, lambda answer: answer.observed_at, now),
        allowance=stage.allowance,
    )


def _since(
    evidence: Evident[FreshnessEvidence | None],
    moment: Callable[[FreshnessEvidence], datetime],
    now: datetime,
) -> Evident[timedelta | None]:
    if (lost := gap(evidence)) is not None:
        return missing(lost.missing, lost.source)
    return None if evidence is None else age(now, moment(evidence))


def _answer_limit(stage: StageDeclared) -> AgeLimit:
    declared = stage.freshness
    assert declared is not None  # only called for stages that declare freshness
    if declared.max_evidence_age is not None:
        return declared.max_evidence_age
    from_file = getattr(declared, "file", None) is not None or hasattr(declared, "dbt")
    return AgeLimit(value=FILE_ANSWER if from_file else SERVICE_ANSWER)


def _threshold(item: Declared, judged: Evident[Version | None], found: Collected) -> Threshold:
    named = item.provenance.run if item.provenance is not None else None
    return Threshold(
        name=item.name,
        value=item.value,
        kind=item.kind,
        provenance=item.provenance,
        applied=None if item.applied is None else _applied(item.applied, judged),
        declared_applied=item.applied is not None,
        run=None if named is None else found.runs.get(named, missing("nobody asked for this run", named)),
        edited_on=found.edited.get(item.name),
    )


def _applied(place: Applied, judged: Evident[Version | None]) -> Evident[AppliedValue | None]:
    """Return the value in use, read from where the manifest says it is applied."""
    if (lost := gap(judged)) is not None:
        return missing(lost.missing, lost.source)
    if judged is None:
        return missing("there is no version to look at", "mlflow")
    number = judged.subject.version
    if place.version_tag is not None:
        return _found(judged.tag(place.version_tag), f"tag {place.version_tag} of version {number}")
    if (lost := gap(judged.run)) is not None:
        return missing(lost.missing, lost.source)
    if judged.run is None:
        return None
    if place.param is not None:
        return _found(judged.run.param(place.param), f"param {place.param} of run {judged.run.run_id}")
    return _found(judged.run.tag(place.run_tag or ""), f"tag {place.run_tag} of run {judged.run.run_id}")


def _found(value: str | None, place: str) -> AppliedValue | None:
    return None if value is None else AppliedValue(value=value, place=place)
