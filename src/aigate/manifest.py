"""The manifest: the system as its owner declares it. Pure data; reading the file is `collect`'s work."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from unicodedata import normalize

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from aigate.limits import Limit, NumberLimit, OrBare, Provenance, SpanLimit, bare
from aigate.sources import AnyFreshness
from aigate.values import (
    LARGEST_INTEGER,
    NUMBER_SCHEMA,
    Digest,
    Duration,
    Model,
    Name,
    Number,
)

Level = Literal["advise", "block", "require"]
"""How much an outcome counts. `require` is `block` that no waiver can lift."""

LEVELS: tuple[Level, ...] = ("advise", "block", "require")

ID_PATTERN = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$"
PolicyId = Annotated[str, StringConstraints(pattern=ID_PATTERN, max_length=100)]
PACKAGE_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
PRODUCTION = "production"


class Owner(Model):
    """Who answers for the whole path: one team, reachable."""

    team: Name
    contact: Name | None = None
    """Where to ask in working hours: a channel, a list, a mailbox."""
    escalation: Name | None = None
    """Where to page at 03:00."""


def _team_alone(value: object) -> object:
    return {"team": value} if isinstance(value, str) else value


def _not_negative(value: Duration) -> Duration:
    if value < timedelta(0):
        raise ValueError("a span of time cannot be negative here")
    return value


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


class PolicyPackage(Model):
    """Policies from elsewhere: exactly the files that have this digest are in force, or none are."""

    package: Annotated[str, StringConstraints(pattern=PACKAGE_PATTERN, max_length=100)] | None = None
    """A distribution that is installed beside aigate, by its name on the package index."""
    folder: Name | None = None
    """A folder, from the manifest's on: a git submodule, a copy, another part of the repository."""
    digest: Digest
    """Over the policy files' names and bytes; `aigate policies --digest PACKAGE-OR-FOLDER` prints it."""

    @model_validator(mode="after")
    def _one_place(self) -> "PolicyPackage":
        if (self.package is None) == (self.folder is None):
            raise ValueError("give one of package, folder")
        if self.folder is not None and self.folder.startswith(("/", "\\", "~")):
            raise ValueError("folder is a path from the manifest's folder on")
        return self

    @property
    def name(self) -> str:
        """What it is called, as written."""
        return self.package or self.folder or ""


class PolicySelection(Model):
    """Which policies are in force."""

    standard: bool = True
    """The standard pack."""
    path: Name = "policies"
    """A folder beside the manifest; its policies are added."""
    packages: tuple[PolicyPackage, ...] = ()
    """Policies from elsewhere; they are added too."""


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


class WaiverRules(Model):
    """How long a finding may be let stand, and when a report begins to say that its time is nearly up."""

    longest: Span = timedelta(days=30)
    """From the approval to the expiry, at most; one that is given for longer does not count at all. `0s`: none."""
    soon: Span = timedelta(days=3)
    """Time before the expiry from which every report says that it is near."""


class Environment(Model):
    """What differs between environments: how much outcomes count, parameters of policies, what acts by itself."""

    alias: Name | None = None
    """The alias that stands for this environment; production's is the model's champion. Only with one of
    its own can a version be promoted by the rules of an environment."""
    levels: dict[str, Level] = {}
    """Keys: a policy (`freshness.stage`), a theme (`freshness`), or `*`. The most exact one wins."""
    params: dict[PolicyId, dict[Name, Parameter]] = {}
    rollback: RollbackRules = RollbackRules()
    watch: WatchRules = WatchRules()
    waivers: WaiverRules = WaiverRules()
    decision_valid_for: Span = timedelta(hours=1)
    """How long after `aigate evaluate` its decision may still be acted upon."""


class Authority(Model):
    """Who may do what to a model beside promoting it, by the names under which `aigate` sees them act.

    Such a name is `user:kai` on a machine, `github:kai` or `gitlab:kai` in a pipeline.
    """

    teams: dict[Name, tuple[Name, ...]] = {}
    """Members of the teams that own the system or its stages."""
    approvers: tuple[Name, ...] = ()
    """Who may resume, adopt, clear, break glass and approve a waiver beside the accountable owner."""
    four_eyes: bool = False
    """Whether nobody may resume his own halt, review his own use of break-glass, or approve a waiver that he asked
    for."""


class Manifest(Model):
    """`aigate.yaml`, whole."""

    version: Literal[1]
    system: Name
    owner: Annotated[Owner, BeforeValidator(_team_alone), OrBare({"type": "string"})] | None = None
    model: ModelRef
    metrics: dict[Name, Metric] = {}
    stages: tuple[StageDeclared, ...] = ()
    objectives: Objectives = Objectives()
    thresholds: dict[Name, Annotated[ThresholdDeclared, BeforeValidator(bare), OrBare(NUMBER_SCHEMA)]] = {}
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

    def alias_of(self, environment: str) -> str:
        """Return the alias that stands for an environment; production's where it has none of its own."""
        found = self.environments.get(environment)
        return self.model.champion if found is None or found.alias is None else found.alias

    @model_validator(mode="after")
    def _aliases(self) -> "Manifest":
        """No two environments share an alias: the rules of the laxer one would let versions into the other."""
        taken = {folded(self.model.champion): PRODUCTION}
        for name, environment in self.environments.items():
            if environment.alias is None:
                continue
            keys = ("environments", name, "alias")
            if name == PRODUCTION:
                raise _misplaced("production's alias is the model's champion: set model.champion", *keys)
            other = taken.setdefault(folded(environment.alias), name)
            if other != name:
                raise _misplaced(f"{other} has that alias already", *keys)
        return self

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


def folded(alias: str) -> str:
    """Return what is the same for aliases that look alike: case and compatible characters do not count."""
    return normalize("NFKC", alias).casefold().strip()


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
