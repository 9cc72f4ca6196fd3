"""Limits, and where they came from: a threshold and its provenance are one thing. Pure data.

Every limit in a manifest is a threshold, so every limit may carry its provenance:
`floor: 0.92` and `floor: {value: 0.92, provenance: {...}}` mean the same floor.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

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


def bare(value: object) -> object:
    """Return a value that stands bare as the object that would hold it."""
    return value if isinstance(value, dict | Model) else {"value": value}


class OrBare:
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


NumberLimit = Annotated[Limit, BeforeValidator(bare), OrBare(NUMBER_SCHEMA)]
SpanLimit = Annotated[AgeLimit, BeforeValidator(bare), OrBare(DURATION_SCHEMA)]


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
