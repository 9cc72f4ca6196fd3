"""Every limit of a manifest in one list: what a policy on provenance goes through. Pure.

A threshold that nobody listed is a threshold that nobody reviews, so the
gate's own limits stand here beside those that serving applies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aigate.limits import AgeLimit, Limit, Provenance
from aigate.manifest import Applied, Manifest, Metric
from aigate.values import show_duration, show_number

Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class Declared:
    """One limit as declared."""

    keys: Keys
    """Where it stands in the manifest; a stage is named, not numbered."""
    value: str
    kind: Literal["limit", "age", "serving"]
    provenance: Provenance | None
    applied: Applied | None = None

    @property
    def name(self) -> str:
        """Its keys as one name, such as `metrics.accuracy.floor`."""
        return ".".join(str(key) for key in self.keys)


def register(manifest: Manifest) -> tuple[Declared, ...]:
    """Return every limit of a manifest, in the manifest's order."""
    return tuple(_all(manifest))


def _all(manifest: Manifest) -> Iterator[Declared]:
    for name, metric in manifest.metrics.items():
        yield from _metric(("metrics", name), metric)
    for stage in manifest.stages:
        if stage.freshness is not None:
            at = ("stages", stage.name, "freshness")
            yield from _age((*at, "max_age"), stage.freshness.max_age)
            yield from _age((*at, "max_evidence_age"), stage.freshness.max_evidence_age)
    yield from _age(("objectives", "end_to_end_age"), manifest.objectives.end_to_end_age)
    for name, threshold in manifest.thresholds.items():
        yield Declared(
            ("thresholds", name),
            show_number(threshold.value),
            "serving",
            threshold.provenance,
            threshold.applied,
        )


def _metric(at: Keys, metric: Metric) -> Iterator[Declared]:
    for key in ("floor", "ceiling", "max_drop", "max_rise", "min_coverage"):
        yield from _limit((*at, key), getattr(metric, key))
    if metric.anchor is not None:
        yield from _limit((*at, "anchor", "value"), metric.anchor.value)
        yield from _limit((*at, "anchor", "max_creep"), metric.anchor.max_creep)
    for name, part in metric.slices.items():
        for key in ("floor", "ceiling", "max_drop", "max_rise"):
            yield from _limit((*at, "slices", name, key), getattr(part, key))


def _limit(keys: Keys, limit: Limit | None) -> Iterator[Declared]:
    if limit is not None:
        yield Declared(keys, show_number(limit.value), "limit", limit.provenance)


def _age(keys: Keys, limit: AgeLimit | None) -> Iterator[Declared]:
    if limit is not None:
        yield Declared(keys, show_duration(limit.value), "age", limit.provenance)
