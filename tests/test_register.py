"""Every limit of a manifest is in its register, once."""

from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aigate.collect.manifest_file import frozen, parse_manifest
from aigate.manifest import Manifest
from aigate.register import Declared, register
from declared import FULL, SMALL

LIMITS = {"floor", "ceiling", "max_drop", "max_rise", "min_coverage", "max_creep"}
AGES = {"max_age", "max_evidence_age", "end_to_end_age"}


def _registered() -> tuple[Declared, ...]:
    manifest, _ = parse_manifest(FULL.encode(), "aigate.yaml")
    return register(manifest)


def test_every_limit_of_a_full_manifest_once_in_its_order() -> None:
    assert [(item.name, item.value, item.kind, _who(item)) for item in _registered()] == [
        ("metrics.accuracy.floor", "0.92", "limit", "m.ito"),
        ("metrics.accuracy.max_drop", "0.02", "limit", "b.lind"),
        ("metrics.accuracy.min_coverage", "0.9", "limit", "m.ito"),
        ("metrics.accuracy.anchor.value", "0.94", "limit", None),
        ("metrics.accuracy.anchor.max_creep", "0.03", "limit", "b.lind"),
        ("metrics.accuracy.slices.new.floor", "0.8", "limit", None),
        ("metrics.accuracy.slices.new.max_drop", "0.05", "limit", "b.lind"),
        ("metrics.latency.ceiling", "250", "limit", None),
        ("metrics.latency.max_rise", "10", "limit", None),
        ("metrics.latency.slices.new.ceiling", "300", "limit", None),
        ("metrics.latency.slices.new.max_rise", "20", "limit", None),
        ("stages.raw.freshness.max_age", "2h", "age", "o.diaz"),
        ("stages.raw.freshness.max_evidence_age", "5m", "age", "o.diaz"),
        ("stages.features.freshness.max_age", "6h", "age", "o.diaz"),
        ("objectives.end_to_end_age", "18h", "age", "m.ito"),
        ("thresholds.confidence", "0.72", "serving", None),
        ("thresholds.cut", "3", "serving", "m.ito"),
    ]


def _who(item: Declared) -> str | None:
    return item.provenance.set_by if item.provenance else None


def test_only_what_serving_applies_says_where() -> None:
    applied = {item.name: item.applied.run_tag for item in _registered() if item.applied}
    assert applied == {"thresholds.cut": "cut"}


def test_names_are_the_keys_and_lead_to_the_limit() -> None:
    manifest, _ = parse_manifest(FULL.encode(), "aigate.yaml")
    for item in register(manifest):
        assert item.name == ".".join(str(key) for key in item.keys)
        here: Any = manifest
        for key in item.keys:
            if isinstance(here, tuple):
                here = next(stage for stage in here if stage.name == key)
            else:
                here = here[key] if isinstance(here, Mapping) else getattr(here, str(key))
        assert here.provenance == item.provenance


def test_a_manifest_without_limits_has_an_empty_register() -> None:
    assert register(parse_manifest(SMALL.encode(), "aigate.yaml")[0]) == ()


def _limit(bare: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    whole = st.fixed_dictionaries({"value": bare}, optional={"provenance": st.just({"set_by": "m.ito"})})
    return st.one_of(bare, whole)


_SHARES = _limit(st.sampled_from(["0", "0.5", "0.92"]))
_SPANS = _limit(st.sampled_from(["15m", "2h", "P1D"]))
_NAMES = st.sampled_from(["a", "b", "floor", "max_age", "metrics", "x y"])


def _metrics(upper: bool) -> st.SearchStrategy[object]:
    own = dict.fromkeys(("ceiling", "max_rise") if upper else ("floor", "max_drop"), _SHARES)
    part = st.fixed_dictionaries({"metric": st.just("m")}, optional=own)
    more = {
        "min_coverage": _SHARES,
        "anchor": st.fixed_dictionaries({"value": _SHARES, "max_creep": _SHARES}),
        "slices": st.dictionaries(_NAMES, part),
    }
    return st.fixed_dictionaries({}, optional={**own, **more})


_STAGES = st.builds(
    lambda found: tuple({"name": name, **rest} for name, rest in found.items()),
    st.dictionaries(
        _NAMES,
        st.fixed_dictionaries(
            {},
            optional={
                "freshness": st.fixed_dictionaries(
                    {"dbt": st.just("f"), "source": st.just("s"), "max_age": _SPANS},
                    optional={"max_evidence_age": _SPANS},
                )
            },
        ),
    ),
)
_MANIFESTS = st.fixed_dictionaries(
    {"version": st.just(1), "system": st.just("s"), "model": st.just({"name": "m"})},
    optional={
        "metrics": st.dictionaries(_NAMES, st.booleans().flatmap(_metrics)),
        "stages": _STAGES,
        "objectives": st.fixed_dictionaries({}, optional={"end_to_end_age": _SPANS}),
        "thresholds": st.dictionaries(_NAMES, _limit(st.sampled_from(["1", "0.72"]))),
    },
)


def _written(data: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Find the limits in plain data, by what only limits are called."""
    for name, metric in data.get("metrics", {}).items():
        yield from (("metrics", name, key) for key in metric if key in LIMITS)
        yield from (("metrics", name, "anchor", key) for key in metric.get("anchor", {}))
        for part, slice_ in metric.get("slices", {}).items():
            yield from (("metrics", name, "slices", part, key) for key in slice_ if key in LIMITS)
    for stage in data.get("stages", ()):
        found = stage.get("freshness", {})
        yield from (("stages", stage["name"], "freshness", key) for key in found if key in AGES)
    yield from (("objectives", key) for key in data.get("objectives", {}))
    yield from (("thresholds", name) for name in data.get("thresholds", {}))


@given(_MANIFESTS)
def test_as_many_are_declared_as_are_written(data: dict[str, Any]) -> None:
    found = register(Manifest.model_validate(frozen(data)))
    assert sorted(item.keys for item in found) == sorted(_written(data))
