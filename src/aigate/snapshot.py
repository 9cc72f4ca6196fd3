"""The snapshot: all evidence about one subject at one instant, and the only thing a policy sees.

Frozen and typed. A place holds the fact, or None where the source answered
"there is none", or `Missing` where nobody knows. Policies read it through a
view (`aigate.policy`) that notes each reading and stops at what is missing.
"""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from aigate.limits import AgeLimit, Provenance
from aigate.manifest import Metric, Owner
from aigate.sources import Kind
from aigate.values import (
    Digest,
    Duration,
    Evident,
    Instant,
    Integer,
    Model,
    Name,
    Number,
    Text,
    VersionNumber,
    missing,
)

Question = Literal["promote", "retain"]
"""`promote`: may this version take the alias? `retain`: may the champion stay?"""


class Source(Model):
    """One reading of the world: who was asked, when, and how it went."""

    name: Name
    """A stable name, such as `mlflow:run:champion` or `freshness:features`."""
    adapter: Name
    shown: Text
    """The address without query and credentials, or the file's path as declared."""
    status: Literal["ok", "missing"]
    reason: Text = ""
    """Why nothing came of it, where `status` is `missing`."""
    fetched_at: Instant
    observed_at: Instant | None = None
    """When the source itself says it looked."""
    digest: Digest | None = None
    """Of the body as received."""


class Tag(Model):
    """A tag or parameter: a key and its text."""

    key: str
    value: Text


class Subject(Model):
    """The exact model version. A name and a number alone are not one: both can be made anew."""

    registry: Text
    name: Name
    version: VersionNumber
    created_at: Instant
    run_id: Name | None
    source: Text
    model_id: Name | None
    """The LoggedModel it was registered from, where there is one."""
    artifact_digest: Evident[Digest]
    """Over path and SHA-256 of every file of the model."""


class Dataset(Model):
    """Data that was logged with a run or a metric."""

    name: Name
    digest: Name
    context: Name | None = None
    """`training`, `evaluation`, or None where none was logged."""
    rows: Integer | None = None


class Measurement(Model):
    """One metric of one version, as MLflow holds it."""

    name: Name
    value: Evident[Number]
    dataset: Dataset | None
    """The data it was measured on; None where the measurement names none."""
    run_id: Name
    recorded_at: Instant
    step: Integer = 0
    rows: Integer | None = None
    """Rows behind it, where they are logged."""
    deviation: Number | None = None
    """Standard deviation of the score per row, where it is logged."""
    after_finish: bool = False
    """Whether it was written after its run had finished."""


class Judge(Model):
    """How far a scorer's mean can be trusted: what it judged, and what it failed on."""

    name: Name
    rows: Annotated[int, Field(ge=0)]
    """Rows that were put before it."""
    judged: Annotated[int, Field(ge=0)]
    """Rows on which it gave a value."""
    failed: Annotated[int, Field(ge=0)]
    """Rows on which it raised, or gave none."""
    digest: Name | None = None
    """The scorer's own digest, where it is logged."""


class Run(Model):
    """The MLflow run behind a version or a threshold."""

    run_id: Name
    status: Name
    user: Text | None
    started_at: Instant | None
    ended_at: Instant | None
    deleted: bool
    params: tuple[Tag, ...] = ()
    tags: tuple[Tag, ...] = ()
    metrics: tuple[Tag, ...] = ()
    """The run's latest metrics, as text: what a threshold's claim can be held against."""
    datasets: tuple[Dataset, ...] = ()

    def param(self, key: str) -> str | None:
        """Return a parameter's text; None where the run has no such parameter."""
        return next((tag.value for tag in self.params if tag.key == key), None)

    def tag(self, key: str) -> str | None:
        """Return a tag's text; None where the run has no such tag."""
        return next((tag.value for tag in self.tags if tag.key == key), None)


class Version(Model):
    """One model version with what is known of it."""

    subject: Subject
    status: Name
    """MLflow's own: `READY`, or what keeps it from being so."""
    stage: Name | None
    """The deprecated stage, where one is set."""
    aliases: tuple[Name, ...]
    tags: tuple[Tag, ...]
    lineage: tuple[Text, ...] = ()
    """The chain of sources it was copied from, nearest first."""
    run: Evident[Run | None]
    measurements: Evident[tuple[Measurement, ...]]
    judges: Evident[tuple[Judge, ...]] = ()

    def metric(self, name: str) -> Measurement:
        """Return the measurement of one metric; one that was never logged is missing evidence."""
        for measurement in self.measurements:
            if measurement.name == name:
                return measurement
        known = ", ".join(sorted(m.name for m in self.measurements)) or "none"
        number = self.subject.version
        return missing(f"version {number} has no metric {name!r} (it has: {known})", self.subject.registry)

    def judge(self, name: str) -> Judge | None:
        """Return a scorer's tally; None where no assessments of it were logged."""
        return next((judge for judge in self.judges if judge.name == name), None)

    def tag(self, key: str) -> str | None:
        """Return a version tag's text; None where there is no such tag."""
        return next((tag.value for tag in self.tags if tag.key == key), None)


class Alias(Model):
    """An alias and the version it points to."""

    name: Name
    version: VersionNumber


class RegisteredModel(Model):
    """The registered model: what all its versions share."""

    name: Name
    created_at: Instant
    description: Text = ""
    tags: tuple[Tag, ...] = ()
    aliases: tuple[Alias, ...] = ()

    def tag(self, key: str) -> str | None:
        """Return a tag's text; None where there is no such tag."""
        return next((tag.value for tag in self.tags if tag.key == key), None)


class PairedRows(Model):
    """Challenger and champion on the same rows, reduced to what a paired test needs.

    The difference is challenger minus champion, in the metric's unit.
    """

    dataset: Name
    """Digest of the dataset both were measured on."""
    rows: Annotated[int, Field(ge=1)]
    """Rows that both have."""
    overlap: Number
    """Share of the larger row set that both have."""
    binary: bool
    """Whether every row's score is 0 or 1."""
    gained: int
    """Rows the challenger has right and the champion wrong (binary scores only)."""
    lost: int
    """Rows the champion has right and the challenger wrong (binary scores only)."""
    mean: Number
    deviation: Number
    """Standard deviation of the differences."""


class RowComparison(Model):
    """Per-row results for one metric; None where neither version logged any."""

    metric: Name
    rows: Evident[PairedRows | None]


class InputRead(Model):
    """Which version of an upstream stage was read."""

    stage: Name
    version: Name | None = None
    built_at: Instant | None = None
    as_of: Instant | None = None
    """Up to when that version's data were complete, through all stages before it."""


class FreshnessEvidence(Model):
    """What one freshness source said, normalised. Ages are computed here, never taken from a source."""

    kind: Kind
    as_of: Instant
    """The instant of the newest data (see `Kind` for what it means)."""
    observed_at: Instant
    """When the source says it looked; our own clock where it does not say."""
    built_at: Instant | None = None
    read_at: Instant | None = None
    """When its inputs were read."""
    version: Name | None = None
    inputs: tuple[InputRead, ...] = ()
    claimed: Name | None = None
    """The source's own verdict (`pass`, `warn`, `error`): it can only make the outcome worse."""
    inferred: tuple[Text, ...] = ()
    """What had to be inferred, such as a time's unit."""


class StaleInput(Model):
    """An upstream that has moved on since a stage was built from it."""

    upstream: Name
    owner: Name | None
    upstream_built_at: Instant
    built_from: Instant | None
    """When the stage read its input, where it says so."""
    behind: Duration
    """How long it has gone on serving what its upstream had replaced."""


class Stage(Model):
    """A stage as declared, and what was found."""

    name: Name
    owner: Name | None
    contact: Name | None = None
    reads: tuple[Name, ...] = ()
    promise: AgeLimit | None
    """How old its data may be; None where nothing was promised."""
    evidence_limit: AgeLimit | None = None
    """How old the source's own answer may be."""
    freshness: Evident[FreshnessEvidence | None]
    """None where the stage promises nothing, so nobody asked."""
    age: Evident[Duration | None]
    """Age of the data: `now - as_of`."""
    evidence_age: Evident[Duration | None]
    """Age of the answer: `now - observed_at`."""
    stale_inputs: Evident[tuple[StaleInput, ...]] = ()
    """What it still serves though its upstream has replaced it; only stages that tell when they read."""
    allowance: Duration | None = None

    @property
    def limit(self) -> timedelta | None:
        """How old its data may be; None where nothing was promised."""
        return None if self.promise is None else self.promise.value


class EndToEnd(Model):
    """The age of the oldest input that the last stage rests on."""

    limit: AgeLimit | None
    """The objective; None where none is declared."""
    age: Evident[Duration]
    lower_bound: Duration | None = None
    """What the age is at least, where it is not known."""
    hidden: Duration | None = None
    """End-to-end age less the largest age of a single stage: the delay that no stage shows."""
    weakest: Name | None = None
    assumed: tuple[Text, ...] = ()
    """What was taken to be so though no stage recorded it: `features read the newest transactions`."""
    path: tuple[Name, ...] = ()
    worst_case: Duration | None = None
    """The largest sum of stage limits along a path; None where a stage on every path has none."""


class AppliedValue(Model):
    """A threshold's value as found in use."""

    value: Text
    place: Text
    """Where it was read, such as `param retrieval_confidence of run 1f0c`."""


class Threshold(Model):
    """A limit of any kind with its origin: one of the gate's own, or one that serving applies."""

    name: Name
    """Its path in the manifest, such as `metrics.accuracy.floor`."""
    value: Text
    """As declared: a number or a span of time."""
    kind: Literal["limit", "age", "serving"]
    provenance: Provenance | None
    applied: Evident[AppliedValue | None] = None
    """None where no place of application is declared; evidence, for one that is."""
    declared_applied: bool = False
    """Whether the manifest says where it is applied."""
    run: Evident[Run | None] = None
    """The run its provenance names; None where it names none."""
    edited_on: Evident[Instant | None] = None
    """When its line in the manifest last changed, by version control; None outside of it."""


class Runbook(Model):
    """What to read when it fails, and whether it is there to be read."""

    blames: Literal["default", "model", "data", "process"]
    path: Name
    exists: Evident[bool]


class DeclaredMetric(Model):
    """A metric's name and what the manifest demands of it."""

    name: Name
    rule: Metric


class Snapshot(Model):
    """All evidence about one subject at one instant."""

    schema_: Annotated[Literal["aigate.snapshot/v1"], Field(alias="schema")] = "aigate.snapshot/v1"
    now: Instant
    """The one instant of the decision; every age is counted to it."""
    question: Question
    environment: Name
    system: Name
    alias: Name
    """The alias that is asked for, or held."""
    manifest_digest: Digest
    owner: Owner | None
    """None where the manifest names no owner."""
    model: Evident[RegisteredModel]
    challenger: Evident[Version | None]
    """The version that asks for the alias; None where the question is whether the champion may stay."""
    champion: Evident[Version | None]
    """The version that holds the alias; None where nothing is in service."""
    metrics: tuple[DeclaredMetric, ...] = ()
    comparisons: tuple[RowComparison, ...] = ()
    stages: tuple[Stage, ...] = ()
    end_to_end: EndToEnd | None = None
    """None where there are no stages."""
    thresholds: tuple[Threshold, ...] = ()
    runbooks: tuple[Runbook, ...] = ()
    evidence: tuple[Source, ...] = ()

    @property
    def judged(self) -> Version:
        """The version in question: the challenger, or the champion where its stay is asked about."""
        version = self.challenger if self.question == "promote" else self.champion
        if version is None:
            return missing("there is no version to judge", self.system)
        return version

    def stage(self, name: str) -> Stage | None:
        """Return a stage by name; None where none is declared."""
        return next((stage for stage in self.stages if stage.name == name), None)


def age(now: datetime, then: datetime) -> timedelta:
    """Return how long ago `then` was; a moment of the near future (clock skew) counts as now."""
    return max(now - then, timedelta(0))
