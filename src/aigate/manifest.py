"""The manifest: the system as its owner declares it. Pure data; reading the file is `collect`'s work.

Every limit in it is a threshold, so every limit may carry its provenance:
`floor: 0.92` and `floor: {value: 0.92, provenance: {...}}` mean the same floor.
"""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from aigate.values import (
    DURATION_SCHEMA,
    LARGEST_INTEGER,
    NUMBER_SCHEMA,
    Day,
    Duration,
    Model,
    Name,
    Number,
    Text,
    VersionNumber,
)

Level = Literal["advise", "block", "require"]
"""How much an outcome counts. `require` is `block` that no waiver can lift."""

LEVELS: tuple[Level, ...] = ("advise", "block", "require")

ID_PATTERN = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$"
PolicyId = Annotated[str, StringConstraints(pattern=ID_PATTERN, max_length=100)]
PRODUCTION = "production"


class Owner(Model):
    """Who answers for the whole path: one team, reachable."""

    team: Name
    contact: Name | None = None
    """Where to ask in working hours: a channel, a list, a mailbox."""
    escalation: Name | None = None
    """Where to page at 03:00."""


class DatasetRef(Model):
    """The data a threshold was measured on."""

    name: Name
    digest: Name | None = None
    rows: Annotated[int, Field(ge=1, le=LARGEST_INTEGER)] | None = None


class Provenance(Model):
    """Where a threshold came from. Every field is a claim that a policy can check."""

    method: (
        Literal["measured", "fitted", "cost_model", "expert", "regulatory", "copied", "default"] | None
    ) = None
    set_by: Name | None = None
    set_on: Day | None = None
    environment: Name | None = None
    """The environment it was tuned in."""
    run: Name | None = None
    """The MLflow run it was measured in."""
    evidence: Name | None = None
    """A link to the measurement, where it is not an MLflow run."""
    rationale: Text | None = None
    dataset: DatasetRef | None = None
    model: VersionNumber | None = None
    """The model version whose scores it was fitted to."""
    measured_with: dict[Name, Name] = {}
    """What else it depends on, by parameter name: embedding model, judge, prompt digest."""
    reviewed_by: Name | None = None
    reviewed_on: Day | None = None
    review_by: Day | None = None
    portable: Text | None = None
    """Why it holds in an environment it was not tuned in."""
    copied_from: Name | None = None


def _bare(value: object) -> object:
    return value if isinstance(value, dict | Model) else {"value": value}


def _team_alone(value: object) -> object:
    return {"team": value} if isinstance(value, str) else value


def _not_negative(value: Duration) -> Duration:
    if value < timedelta(0):
        raise ValueError("a span of time cannot be negative here")
    return value


class _OrBare:
    """For the published schema: the bare value stands for the object that holds it."""

    def __init__(self, bare: dict[str, Any]) -> None:
        self.bare = bare

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [self.bare, handler(core)]}


class Limit(Model):
    """A number that something is held against, and where that number came from."""

    value: Number
    provenance: Provenance | None = None


class AgeLimit(Model):
    """A span of time that something is held against, and where it came from."""

    value: Duration
    provenance: Provenance | None = None

    @field_validator("value")
    @classmethod
    def _positive(cls, value: Duration) -> Duration:
        if value.total_seconds() <= 0:
            raise ValueError("an age limit must be longer than nothing")
        return value


NumberLimit = Annotated[Limit, BeforeValidator(_bare), _OrBare(NUMBER_SCHEMA)]
SpanLimit = Annotated[AgeLimit, BeforeValidator(_bare), _OrBare(DURATION_SCHEMA)]


class Slice(Model):
    """A part of the evaluation data that must hold on its own."""

    metric: Name
    """The MLflow metric that measures this slice."""
    floor: NumberLimit | None = None
    ceiling: NumberLimit | None = None
    max_drop: NumberLimit | None = None
    max_rise: NumberLimit | None = None


class Anchor(Model):
    """A fixed point that many small steps down are measured from."""

    value: NumberLimit
    max_creep: NumberLimit
    """How far, in the metric's unit, the metric may ever be on the worse side of the anchor."""


class Metric(Model):
    """What is demanded of one evaluation metric.

    `floor` and `max_drop` say that higher is better, `ceiling` and `max_rise`
    that lower is; a metric has one direction, so they do not mix.
    """

    range: tuple[Number, Number] | None = None
    """The values the metric can take; one outside is broken evidence."""
    floor: NumberLimit | None = None
    ceiling: NumberLimit | None = None
    max_drop: NumberLimit | None = None
    max_rise: NumberLimit | None = None
    confidence: Annotated[Number, Field(gt=0.5, lt=1)] | None = None
    """One-sided confidence of the non-inferiority test; without it, point estimates are compared."""
    kind: Literal["proportion", "mean"] | None = None
    """`proportion`: a share of rows. `mean`: the mean of a score per row."""
    rows: Annotated[int, Field(ge=1, le=LARGEST_INTEGER)] | None = None
    """Rows it was measured on, declared for a metric whose dataset is not logged."""
    anchor: Anchor | None = None
    slices: dict[Name, Slice] = {}
    judge: Name | None = None
    """The scorer whose assessments the metric averages."""
    min_coverage: NumberLimit | None = None
    """The least share of rows that the judge must have judged without an error."""
    provenance: Provenance | None = None
    """Where the limits beside it come from that do not say so themselves; anchor and slices have their own."""

    @model_validator(mode="after")
    def _one_direction(self) -> "Metric":
        parts: tuple[Metric | Slice, ...] = (self, *self.slices.values())
        if any(part.floor or part.max_drop for part in parts) and any(
            part.ceiling or part.max_rise for part in parts
        ):
            raise ValueError(
                "floor and max_drop say higher is better, ceiling and max_rise say lower is: choose one"
            )
        for part in parts:
            for name in ("max_drop", "max_rise"):
                margin: Limit | None = getattr(part, name)
                if margin is not None and margin.value < 0:
                    raise ValueError(f"{name} is how much worse it may get: zero or more")
        if self.anchor is not None and self.anchor.max_creep.value < 0:
            raise ValueError("max_creep is how much worse it may get: zero or more")
        if self.min_coverage is not None and not 0 <= self.min_coverage.value <= 1:
            raise ValueError("min_coverage is a share: from 0 to 1")
        if self.confidence is not None and not (self.max_drop or self.max_rise):
            raise ValueError("confidence needs max_drop (or max_rise): the margin that is tested")
        return self

    @model_validator(mode="after")
    def _within_range(self) -> "Metric":
        """A limit that the metric cannot reach is no limit: 92 where the metric goes from 0 to 1."""
        if self.range is None:
            return self
        low, high = self.range
        if low >= high:
            raise ValueError("range must be [low, high], low first")
        for name in ("floor", "ceiling"):
            limit: Limit | None = getattr(self, name)
            if limit is not None and not low <= limit.value <= high:
                raise ValueError(f"{name} is outside of the metric's range")
        return self

    @property
    def lower_is_better(self) -> bool:
        """Whether smaller values are better: what a ceiling or a largest rise says."""
        return self.ceiling is not None or self.max_rise is not None

    @property
    def limited(self) -> bool:
        """Whether anything is demanded of it at all."""
        return any(
            x is not None for x in (self.floor, self.ceiling, self.max_drop, self.max_rise, self.anchor)
        )


class Auth(Model):
    """Credentials for one freshness source, by the names of environment variables; never the secret itself."""

    bearer: Name | None = None
    """The variable that holds a bearer token."""
    basic: Name | None = None
    """The variable that holds `user:password`."""
    header: Name | None = None
    """A header's name; its value is in the variable `value`."""
    value: Name | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Auth":
        ways = [self.bearer is not None, self.basic is not None, self.header is not None]
        if sum(ways) != 1 or (self.header is None) != (self.value is None):
            raise ValueError(
                "give one of bearer, basic, or header with value: each names an environment variable"
            )
        return self


URL_PATTERN = r"^https?://[^\s@]+$"
Url = Annotated[str, StringConstraints(pattern=URL_PATTERN, max_length=2000)]
Unit = Literal["auto", "s", "ms", "us", "ns"]
Kind = Literal["loaded", "event", "built", "heartbeat"]
"""What the instant says: `loaded` newest load, `event` newest complete event time,
`built` when an artifact was made, `heartbeat` when its writer last lived."""


class Freshness(Model):
    """What every freshness adapter needs: how old the data may be, and how old the evidence."""

    max_age: SpanLimit
    max_evidence_age: SpanLimit | None = None
    """How old the source's own answer may be. Default: 15m for a service, 2h for a file."""
    kind: Kind = "loaded"
    zone: Name | None = None
    """The IANA zone of times written without one. Undeclared, such a time is unknown."""
    auth: Auth | None = None
    provenance: Provenance | None = None
    """Where its limits come from, where they do not say so themselves."""


class JsonFreshness(Freshness):
    """A JSON document by URL or file, and where in it the time stands (JMESPath)."""

    url: Url | None = None
    file: Name | None = None
    time: Name
    unit: Unit | None = None
    """The unit of a time given as a number."""
    observed: Name | None = None
    """JMESPath of the moment the document was made."""
    built: Name | None = None
    read: Name | None = None
    """JMESPath of the moment its inputs were read."""
    version: Name | None = None
    inputs: Name | None = None
    """JMESPath of an object: upstream stage to the version that was read."""

    @model_validator(mode="after")
    def _one_place(self) -> "JsonFreshness":
        if (self.url is None) == (self.file is None):
            raise ValueError("give either url or file")
        return self


class HeaderFreshness(Freshness):
    """The Last-Modified header of a URL."""

    headers: Url


class DbtFreshness(Freshness):
    """One source in the `sources.json` of `dbt source freshness`, by file or URL."""

    dbt: Name
    source: Name
    """`source.table`, or the whole unique id."""


class PrometheusFreshness(Freshness):
    """An instant query whose one sample is a Unix time, or an age where `is_age` says so."""

    prometheus: Url
    query: Text
    unit: Literal["s", "ms"] = "s"
    is_age: bool = False


class AirflowFreshness(Freshness):
    """The newest event of an Airflow dataset (2.4 and later) or asset (3)."""

    airflow: Url
    asset: Name
    """The dataset's or asset's URI or name."""


ADAPTERS = ("url", "file", "headers", "dbt", "prometheus", "airflow")
"""The keys of which a freshness has one: it chooses the adapter."""


def _adapter(value: object) -> str | None:
    """Choose the adapter by the key that only it has; None, where there is no such key, is refused."""
    keys = value if isinstance(value, dict) else getattr(type(value), "model_fields", {})
    found = [key for key in ADAPTERS if key in keys]
    return {"file": "url"}.get(found[0], found[0]) if found else None


AnyFreshness = Annotated[
    Annotated[JsonFreshness, Tag("url")]
    | Annotated[HeaderFreshness, Tag("headers")]
    | Annotated[DbtFreshness, Tag("dbt")]
    | Annotated[PrometheusFreshness, Tag("prometheus")]
    | Annotated[AirflowFreshness, Tag("airflow")],
    Discriminator(_adapter),
]


FRESHNESS: dict[str, type[Freshness]] = {
    "url": JsonFreshness,
    "headers": HeaderFreshness,
    "dbt": DbtFreshness,
    "prometheus": PrometheusFreshness,
    "airflow": AirflowFreshness,
}
"""The adapters, by the key that chooses each (`file` chooses the same as `url`)."""


class StageDeclared(Model):
    """One step of the path from raw data to the answer, and who keeps it."""

    name: Name
    owner: Name | None = None
    contact: Name | None = None
    reads: tuple[Name, ...] = ()
    """The stages it takes its data from."""
    freshness: AnyFreshness | None = None
    allowance: Annotated[Duration, AfterValidator(_not_negative)] | None = None
    """For a cache: how long it may go on serving what its upstream has since replaced. Default: none."""


class Applied(Model):
    """Where the value in use can be read: a parameter or tag of the version's run, or a tag of the version."""

    param: Name | None = None
    run_tag: Name | None = None
    version_tag: Name | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "Applied":
        if sum(x is not None for x in (self.param, self.run_tag, self.version_tag)) != 1:
            raise ValueError("give one of param, run_tag, version_tag")
        return self


class ThresholdDeclared(Model):
    """A threshold that the serving system applies, so that it cannot be forgotten where it was set."""

    value: Number
    applied: Applied | None = None
    provenance: Provenance | None = None


class ModelRef(Model):
    """The registered model and the aliases the question is about."""

    name: Name
    champion: Name = "champion"
    challenger: Name = "challenger"

    @model_validator(mode="after")
    def _two_aliases(self) -> "ModelRef":
        if self.champion.casefold() == self.challenger.casefold():
            raise ValueError("champion and challenger must be two aliases: one version asks, one holds")
        return self


class Objectives(Model):
    """What the path as a whole promises."""

    end_to_end_age: SpanLimit | None = None


class PolicySelection(Model):
    """Which policies are in force."""

    standard: bool = True
    """The standard pack."""
    path: Name = "policies"
    """A folder beside the manifest; its policies are added."""


Parameter = str | bool | int | Number | tuple[str, ...]


Span = Annotated[Duration, AfterValidator(_not_negative)]


class RollbackRules(Model):
    """What may move a champion back, and how often by itself."""

    mode: Literal["auto", "propose", "off"] = "propose"
    """What `aigate watch` does when a rollback or a halt is called for: it acts, it says how, or it only tells."""
    min_soak: Span = timedelta(hours=24)
    """How long a version must have served to count as known good; demanded of automatic rollbacks."""
    max_per_day: Annotated[int, Field(ge=0, le=100)] = 2
    """Automatic rollbacks in 24 hours."""
    cooldown: Span = timedelta(hours=1)
    """Time after any move of the alias in which no automatic rollback happens."""


class WatchRules(Model):
    """When a champion's failing is a fact and not noise."""

    bad: Annotated[int, Field(ge=1, le=100)] = 2
    """So many readings of the last `of` must be bad."""
    of: Annotated[int, Field(ge=1, le=100)] = 3
    min_events: Annotated[int, Field(ge=1, le=LARGEST_INTEGER)] | None = None
    """Rows a failing measurement must rest on to count at all."""

    @model_validator(mode="after")
    def _possible(self) -> "WatchRules":
        if self.bad > self.of:
            raise ValueError("bad is how many of the last `of` readings: at most `of`")
        return self


class Environment(Model):
    """What differs between environments: how much outcomes count, parameters of policies, what acts by itself."""

    levels: dict[str, Level] = {}
    """Keys: a policy (`freshness.stage`), a theme (`freshness`), or `*`. The most exact one wins."""
    params: dict[PolicyId, dict[Name, Parameter]] = {}
    rollback: RollbackRules = RollbackRules()
    watch: WatchRules = WatchRules()
    decision_valid_for: Span = timedelta(hours=1)
    """How long after `aigate evaluate` its decision may still be acted upon."""


class Authority(Model):
    """Who may do what to a model beside promoting it, by the names under which `aigate` sees them act.

    Such a name is `user:kai` on a machine, `github:kai` or `gitlab:kai` in a pipeline.
    """

    teams: dict[Name, tuple[Name, ...]] = {}
    """Members of the teams that own the system or its stages."""
    approvers: tuple[Name, ...] = ()
    """Who may resume, adopt, clear and break glass beside the accountable owner."""
    four_eyes: bool = False
    """Whether nobody may resume his own halt, or review his own use of break-glass."""


class Manifest(Model):
    """`aigate.yaml`, whole."""

    version: Literal[1]
    system: Name
    owner: Annotated[Owner, BeforeValidator(_team_alone), _OrBare({"type": "string"})] | None = None
    model: ModelRef
    metrics: dict[Name, Metric] = {}
    stages: tuple[StageDeclared, ...] = ()
    objectives: Objectives = Objectives()
    thresholds: dict[Name, Annotated[ThresholdDeclared, BeforeValidator(_bare), _OrBare(NUMBER_SCHEMA)]] = {}
    runbooks: dict[Literal["default", "model", "data", "process"], Name] = {}
    environments: dict[Name, Environment] = {}
    authority: Authority = Authority()
    policies: PolicySelection = PolicySelection()

    @field_validator("version", mode="before")
    @classmethod
    def _integer(cls, value: object) -> object:
        if type(value) is not int:
            raise ValueError("should be 1")  # `true` and 1.0 equal 1, and are not what was meant
        return value

    @model_validator(mode="after")
    def _graph(self) -> "Manifest":
        names = [stage.name for stage in self.stages]
        for number, stage in enumerate(self.stages):
            if stage.name in names[:number]:
                raise _misplaced(f"two stages are named {stage.name!r}", "stages", number, "name")
            for at, upstream in enumerate(stage.reads):
                if upstream not in names:
                    words = f"stage {stage.name!r} reads {upstream!r}, which is not a stage"
                    raise _misplaced(words, "stages", number, "reads", at)
        if loop := _loop({stage.name: stage.reads for stage in self.stages}):
            words = f"stages read in a circle: {' → '.join(loop)}"
            raise _misplaced(words, "stages", names.index(loop[0]), "reads")
        return self


def _misplaced(words: str, *keys: str | int) -> PydanticCustomError:
    """Return an error of the whole that says in which of its parts it is to be mended."""
    return PydanticCustomError("misplaced", "{words}", {"words": words, "keys": keys})


def _loop(reads: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the stages of one circle in the graph, or nothing."""
    done: set[str] = set()
    for start in reads:
        path: list[str] = []
        stack: list[tuple[str, bool]] = [(start, True)]
        while stack:
            name, entering = stack.pop()
            if not entering:
                path.pop()
                done.add(name)
            elif name in path:
                return (*path[path.index(name) :], name)
            elif name not in done:
                path.append(name)
                stack.append((name, False))
                stack.extend((upstream, True) for upstream in reads[name])
    return ()


def show_origin(provenance: Provenance | None) -> str:
    """Say in one line where a limit came from, as far as the manifest tells."""
    if provenance is None:
        return "nobody wrote down where this limit comes from"
    day, by, run = provenance.set_on, provenance.set_by, provenance.run
    words = [f"set by {by or 'somebody unnamed'}"]
    words += [day.isoformat()] if day else []
    if run or provenance.evidence:
        words.append(f"from run {_short(run)}" if run else f"from {provenance.evidence}")
    due = f", review by {provenance.review_by.isoformat()}" if provenance.review_by else ""
    return " ".join(words) + due


def _short(run: str) -> str:
    return run if len(run) <= 12 else f"{run[:8]}…"


_METRIC_LIMITS = ("floor", "ceiling", "max_drop", "max_rise", "min_coverage")
_AGE_LIMITS = ("max_age", "max_evidence_age")


def spread_provenance(data: object) -> object:
    """Give the provenance that stands beside limits to each of them that has none of its own.

    Works on a manifest's data as loaded, before it is a `Manifest`; what is not
    of the expected shape is left as it is, for validation to name.
    """
    if not isinstance(data, dict):
        return data
    spread = dict(data)
    if isinstance(metrics := data.get("metrics"), dict):
        spread["metrics"] = {name: _spread(metric, _METRIC_LIMITS) for name, metric in metrics.items()}
    if isinstance(stages := data.get("stages"), tuple):
        spread["stages"] = tuple(
            {**stage, "freshness": _spread(stage["freshness"], _AGE_LIMITS)}
            if isinstance(stage, dict) and "freshness" in stage
            else stage
            for stage in stages
        )
    return spread


def _spread(holder: object, keys: tuple[str, ...]) -> object:
    if not isinstance(holder, dict) or not isinstance(origin := holder.get("provenance"), dict):
        return holder
    limits = {
        key: value if isinstance(value, dict) else {"value": value}
        for key, value in holder.items()
        if key in keys and value is not None
    }
    return {**holder, **{key: {"provenance": origin, **limit} for key, limit in limits.items()}}


def level_of(policy: str, levels: dict[str, Level]) -> Level:
    """Return the level of a policy: its own, else its theme's, else that of `*`, else `block`."""
    theme = policy.partition(".")[0]
    return levels.get(policy) or levels.get(theme) or levels.get("*") or "block"


def json_schema() -> dict[str, Any]:
    """Return the manifest's JSON Schema (draft 2020-12), as `aigate schema` prints it."""
    schema = Manifest.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "aigate manifest",
    }
