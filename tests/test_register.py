"""Every limit of a manifest is in one list, wherever it stands."""

from typing import Any

import pytest

from aigate.manifest import AgeLimit, Limit, Manifest, ThresholdDeclared
from aigate.register import Declared, register
from aigate.testing import passing_manifest
from aigate.values import Model

ORIGIN = {"set_by": "m.ito", "set_on": "2026-08-02"}


def limit(value: Any) -> dict[str, Any]:
    return {"value": value, "provenance": ORIGIN}


WHOLE = {
    "version": 1,
    "system": "churn",
    "model": {"name": "churn"},
    "metrics": {
        "accuracy": {
            "floor": limit("0.920"),
            "max_drop": limit("0.02"),
            "min_coverage": limit("0.9"),
            "judge": "j",
            "anchor": {"value": limit("0.94"), "max_creep": limit("0.03")},
            "slices": {"new": {"metric": "accuracy_new", "floor": limit("0.88"), "max_drop": limit("0.04")}},
        },
        "latency": {
            "ceiling": limit(250),
            "max_rise": limit(20),
            "slices": {"eu": {"metric": "latency_eu", "ceiling": limit(300), "max_rise": limit(30)}},
        },
    },
    "stages": (
        {
            "name": "features",
            "freshness": {
                "url": "https://x.example/f",
                "time": "t",
                "max_age": limit("90m"),
                "max_evidence_age": limit("10m"),
            },
        },
        {"name": "scoring"},
    ),
    "objectives": {"end_to_end_age": limit("18h")},
    "thresholds": {"confidence": {**limit("0.72"), "applied": {"param": "confidence"}}},
}
EXPECTED = [
    ("metrics.accuracy.floor", "0.920", "limit"),
    ("metrics.accuracy.max_drop", "0.02", "limit"),
    ("metrics.accuracy.min_coverage", "0.9", "limit"),
    ("metrics.accuracy.anchor.value", "0.94", "limit"),
    ("metrics.accuracy.anchor.max_creep", "0.03", "limit"),
    ("metrics.accuracy.slices.new.floor", "0.88", "limit"),
    ("metrics.accuracy.slices.new.max_drop", "0.04", "limit"),
    ("metrics.latency.ceiling", "250", "limit"),
    ("metrics.latency.max_rise", "20", "limit"),
    ("metrics.latency.slices.eu.ceiling", "300", "limit"),
    ("metrics.latency.slices.eu.max_rise", "30", "limit"),
    ("stages.features.freshness.max_age", "1h 30m", "age"),
    ("stages.features.freshness.max_evidence_age", "10m", "age"),
    ("objectives.end_to_end_age", "18h", "age"),
    ("thresholds.confidence", "0.72", "serving"),
]


def test_every_limit_is_listed_in_the_manifests_order() -> None:
    found = register(Manifest.model_validate(WHOLE))
    assert [(item.name, item.value, item.kind) for item in found] == EXPECTED
    assert all(item.provenance and item.provenance.set_by == "m.ito" for item in found)
    applied = [item for item in found if item.applied]
    assert [(item.name, item.applied.param) for item in applied if item.applied] == [
        ("thresholds.confidence", "confidence")
    ]


def limits_of(model: object) -> int:
    """Count the limits in a manifest without knowing where they stand."""
    if isinstance(model, Limit | AgeLimit | ThresholdDeclared):
        return 1
    if isinstance(model, Model):
        return sum(limits_of(getattr(model, name)) for name in type(model).model_fields)
    if isinstance(model, dict):
        return sum(map(limits_of, model.values()))
    return sum(map(limits_of, model)) if isinstance(model, tuple) else 0


@pytest.mark.parametrize(
    "manifest", [Manifest.model_validate(WHOLE), passing_manifest()], ids=["whole", "passing"]
)
def test_a_limit_that_nobody_listed_would_be_one_that_nobody_reviews(manifest: Manifest) -> None:
    """A new kind of limit in the manifest fails here until the register knows it."""
    assert len(register(manifest)) == limits_of(manifest)


def test_what_is_not_declared_is_not_listed() -> None:
    assert register(Manifest.model_validate({k: WHOLE[k] for k in ("version", "system", "model")})) == ()


def test_a_bare_limit_has_no_provenance() -> None:
    data = {**{k: WHOLE[k] for k in ("version", "system", "model")}, "metrics": {"a": {"floor": "0.9"}}}
    assert register(Manifest.model_validate(data)) == (
        Declared(("metrics", "a", "floor"), "0.9", "limit", None),
    )


def test_a_stage_is_named_and_not_numbered() -> None:
    keys = [item.keys for item in register(Manifest.model_validate(WHOLE)) if item.keys[0] == "stages"]
    assert keys[0] == ("stages", "features", "freshness", "max_age")
