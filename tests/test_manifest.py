"""The manifest's shape: what it takes, what it refuses, and the schema that says the same to editors."""

import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aigate.collect.manifest_file import frozen
from aigate.collect.strict_yaml import load_yaml
from aigate.manifest import (
    ADAPTERS,
    FRESHNESS,
    LEVELS,
    AgeLimit,
    Level,
    Limit,
    Manifest,
    Metric,
    Provenance,
    json_schema,
    level_of,
    show_origin,
    spread_provenance,
)

DESIGN = """
version: 1
system: churn
owner: {team: retention-platform, contact: "#churn-oncall", escalation: https://pager.example/churn}
model: {name: churn, champion: champion, challenger: challenger}
metrics:
  accuracy: {range: [0, 1], floor: {value: 0.92, provenance: {set_by: m.ito, set_on: 2026-08-02, environment: production, run: 1f0c55aa, review_by: 2027-02-02}}, max_drop: 0.02}
stages:
  - {name: transactions, owner: data-eng, freshness: {url: https://data.example/freshness.json, time: loaded_at, max_age: 2h}}
  - {name: features, owner: data-eng, reads: [transactions], freshness: {dbt: target/sources.json, source: raw.features, max_age: 6h}}
  - {name: embeddings, owner: ml, reads: [features], freshness: {prometheus: https://prom.example, query: embeddings_built_timestamp_seconds, max_age: 12h}}
  - {name: scoring, owner: platform, reads: [embeddings]}
objectives: {end_to_end_age: 18h}
thresholds:
  retrieval_confidence: {value: 0.72, applied: {param: retrieval_confidence}, provenance: {method: measured, set_by: m.ito}}
runbooks: {default: runbooks/churn.md, data: runbooks/late-data.md}
environments: {production: {levels: {ownership: require}}, staging: {levels: {"*": advise}}}
"""
"""The example of the design, with its ellipses filled in."""

FIRST = """
version: 1
system: churn
owner: retention-platform
model: {name: churn}
metrics:
  accuracy: {floor: 0.92, max_drop: 0.02}
stages:
  - name: features
    owner: data-eng
    freshness: {file: freshness.json, time: loaded_at, max_age: 6h}
runbooks: {default: runbooks/churn.md}
"""
"""A first useful manifest: at most 15 lines."""


def data_of(text: str) -> Any:
    return load_yaml(text, source="aigate.yaml").data


def read(data: Any) -> Manifest:
    return Manifest.model_validate(spread_provenance(frozen(data)))


def with_(**parts: Any) -> dict[str, Any]:
    return {"version": 1, "system": "churn", "model": {"name": "churn"}, **parts}


def metric(**parts: Any) -> Metric:
    return read(with_(metrics={"a": parts})).metrics["a"]


def test_the_designs_example_is_read_as_it_is_meant() -> None:
    manifest = read(data_of(DESIGN))
    accuracy = manifest.metrics["accuracy"]
    assert accuracy.floor is not None
    assert accuracy.max_drop is not None
    assert (accuracy.floor.value, accuracy.max_drop.value) == (Decimal("0.92"), Decimal("0.02"))
    assert accuracy.floor.value - accuracy.max_drop.value == Decimal("0.90")
    assert accuracy.floor.provenance is not None
    assert accuracy.floor.provenance.run == "1f0c55aa"
    assert accuracy.max_drop.provenance is None
    kinds = [type(stage.freshness).__name__ for stage in manifest.stages]
    assert kinds == ["JsonFreshness", "DbtFreshness", "PrometheusFreshness", "NoneType"]
    assert manifest.environments["staging"].levels == {"*": "advise"}
    assert manifest.policies.standard is True


def test_a_first_manifest_is_short() -> None:
    assert len(FIRST.strip().splitlines()) <= 15
    manifest = read(data_of(FIRST))
    assert manifest.owner is not None
    assert manifest.owner.team == "retention-platform"
    assert (manifest.model.champion, manifest.model.challenger) == ("champion", "challenger")


def test_a_manifest_written_down_is_read_again() -> None:
    manifest = read(data_of(DESIGN))
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


# --- a limit is a number, or a number with its origin, wherever it can stand ---------------------------------------

ORIGIN = {"set_by": "m.ito", "set_on": "2026-08-02"}
FRESH = {"file": "f.json", "time": "t", "max_age": "2h"}
PLACES: dict[str, tuple[tuple[str | int, ...], Any, Any]] = {
    # name: (keys, a value, what surrounds it)
    "floor": (("metrics", "a", "floor"), "0.92", {}),
    "ceiling": (("metrics", "a", "ceiling"), 250, {}),
    "max_drop": (("metrics", "a", "max_drop"), "0.02", {}),
    "max_rise": (("metrics", "a", "max_rise"), "20", {}),
    "min_coverage": (("metrics", "a", "min_coverage"), "0.9", {}),
    "anchor": (("metrics", "a", "anchor", "value"), "0.94", {"max_creep": "0.03"}),
    "max_creep": (("metrics", "a", "anchor", "max_creep"), "0.03", {"value": "0.94"}),
    "slice floor": (("metrics", "a", "slices", "new", "floor"), "0.88", {"metric": "a_new"}),
    "slice ceiling": (("metrics", "a", "slices", "new", "ceiling"), "9", {"metric": "a_new"}),
    "slice max_drop": (("metrics", "a", "slices", "new", "max_drop"), "0.04", {"metric": "a_new"}),
    "slice max_rise": (("metrics", "a", "slices", "new", "max_rise"), "4", {"metric": "a_new"}),
    "max_age": (("stages", 0, "freshness", "max_age"), "2h", {"file": "f.json", "time": "t"}),
    "max_evidence_age": (("stages", 0, "freshness", "max_evidence_age"), "5m", FRESH),
    "end_to_end_age": (("objectives", "end_to_end_age"), "18h", {}),
    "threshold": (("thresholds", "confidence"), "0.72", {}),
}


def placed(keys: tuple[str | int, ...], value: Any, beside: dict[str, Any]) -> dict[str, Any]:
    """A manifest with a value under keys, and other keys beside the last one."""
    first, *middle, last = keys
    inner: Any = {**beside, last: value}
    for key in reversed(middle):
        inner = ({"name": "s", **inner},) if key == 0 and middle else {key: inner}
    if first == "stages":
        inner = ({"name": "s", "freshness": {**beside, last: value}},)
    return with_(**{str(first): inner})


def found(manifest: Manifest, keys: tuple[str | int, ...]) -> Any:
    here: Any = manifest
    for key in keys:
        here = here[key] if isinstance(here, dict | tuple) else getattr(here, str(key))
    return here


@pytest.mark.parametrize(("keys", "value", "beside"), PLACES.values(), ids=PLACES.keys())
def test_a_limit_may_be_bare_or_say_where_it_comes_from(
    keys: tuple[str | int, ...], value: Any, beside: dict[str, Any]
) -> None:
    bare = found(read(placed(keys, value, beside)), keys)
    alone = found(read(placed(keys, {"value": value}, beside)), keys)
    told = found(read(placed(keys, {"value": value, "provenance": ORIGIN}, beside)), keys)
    assert bare == alone
    assert bare.value == told.value
    assert bare.provenance is None
    assert told.provenance == Provenance.model_validate(ORIGIN)


@pytest.mark.parametrize(("keys", "value", "beside"), PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize(
    "wrong", ["high", True, [1], {"valu": 1}, {"value": None}, {}, "1:30", "٩"], ids=repr
)
def test_what_is_no_limit_is_refused_in_every_place(
    keys: tuple[str | int, ...], value: Any, beside: dict[str, Any], wrong: Any
) -> None:
    with pytest.raises(ValidationError):
        read(placed(keys, wrong, beside))


def test_provenance_beside_limits_holds_for_each_that_has_none() -> None:
    other = {"set_by": "d.silva"}
    one = metric(
        floor="0.9", max_drop={"value": "0.02", "provenance": other}, ceiling=None, provenance=ORIGIN
    )
    assert one.floor == Limit(value=Decimal("0.9"), provenance=Provenance.model_validate(ORIGIN))
    assert one.max_drop == Limit(value=Decimal("0.02"), provenance=Provenance.model_validate(other))
    assert one.ceiling is None
    stages = ({"name": "s", "freshness": {**FRESH, "max_evidence_age": "1m", "provenance": ORIGIN}},)
    freshness = read(with_(stages=stages)).stages[0].freshness
    assert freshness is not None
    for limit in (freshness.max_age, freshness.max_evidence_age):
        assert isinstance(limit, AgeLimit)
        assert limit.provenance == Provenance.model_validate(ORIGIN)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "text",
        {"metrics": []},
        {"metrics": {"a": 1}},
        {"stages": "x"},
        {"stages": (1,)},
        {"stages": ({"freshness": 6},)},
    ],
    ids=repr,
)
def test_spreading_leaves_what_it_does_not_know_to_validation(data: Any) -> None:
    assert spread_provenance(data) == data


# --- rules between keys ---------------------------------------------------------------------------------------------

SLICE = {"metric": "a_new"}
TWO_WAYS: dict[str, dict[str, Any]] = {
    "floor and ceiling": {"floor": 1, "ceiling": 2},
    "floor and max_rise": {"floor": 1, "max_rise": 2},
    "max_drop and ceiling": {"max_drop": 1, "ceiling": 2},
    "max_drop and max_rise": {"max_drop": 1, "max_rise": 2},
    "a slice against its metric": {"floor": 1, "slices": {"new": {**SLICE, "ceiling": 2}}},
    "two slices": {"slices": {"new": {**SLICE, "floor": 1}, "old": {**SLICE, "max_rise": 2}}},
    "within a slice": {"slices": {"new": {**SLICE, "floor": 1, "ceiling": 2}}},
}


@pytest.mark.parametrize("parts", TWO_WAYS.values(), ids=TWO_WAYS.keys())
def test_a_metric_has_one_direction(parts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="choose one"):
        metric(**parts)


def test_the_direction_is_what_the_limits_say() -> None:
    assert not metric(floor=1).lower_is_better
    assert not metric(max_drop=1).lower_is_better
    assert metric(ceiling=1).lower_is_better
    assert metric(max_rise=1).lower_is_better
    assert [metric().limited, metric(floor=1).limited, metric(max_rise=0).limited] == [False, True, True]


METRIC_MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "range backwards": ({"range": [1, 0]}, "low first"),
    "range of nothing": ({"range": [1, 1]}, "low first"),
    "range of one": ({"range": [1]}, "Field required"),
    "range of three": ({"range": [0, 1, 2]}, "at most 2 items"),
    "floor beyond the range": ({"range": [0, 1], "floor": 92}, "floor is outside"),
    "floor below the range": ({"range": [0, 1], "floor": "-0.1"}, "floor is outside"),
    "ceiling beyond the range": ({"range": [0, 1], "ceiling": 2}, "ceiling is outside"),
    "negative drop": ({"max_drop": "-0.1"}, "zero or more"),
    "negative rise": ({"max_rise": "-0.1"}, "zero or more"),
    "negative drop in a slice": ({"slices": {"n": {**SLICE, "max_drop": "-0.1"}}}, "zero or more"),
    "negative creep": ({"anchor": {"value": 1, "max_creep": "-0.1"}}, "zero or more"),
    "coverage in percent": ({"min_coverage": 98}, "from 0 to 1"),
    "negative coverage": ({"min_coverage": "-0.1"}, "from 0 to 1"),
    "confidence without a margin": ({"floor": 1, "confidence": "0.95"}, "confidence needs max_drop"),
    "confidence of a coin": ({"max_drop": 1, "confidence": "0.5"}, "greater than 0.5"),
    "confidence in percent": ({"max_drop": 1, "confidence": 95}, "less than 1"),
    "rows of nothing": ({"rows": 0}, "greater than or equal to 1"),
    "rows beyond counting": ({"rows": 2**53}, "less than or equal to"),
    "rows of truth": ({"rows": True}, "valid integer"),
    "another kind": ({"kind": "median"}, "'proportion' or 'mean'"),
    "a slice without a metric": ({"slices": {"n": {"floor": 1}}}, "Field required"),
}


@pytest.mark.parametrize(("parts", "words"), METRIC_MISTAKES.values(), ids=METRIC_MISTAKES.keys())
def test_a_metric_that_cannot_be_meant_is_refused(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        metric(**parts)


def test_limits_at_the_ends_of_the_range_are_limits() -> None:
    assert metric(range=[0, 1], floor=0).limited
    assert metric(range=[0, 1], ceiling=1).limited


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "version 2": ({"version": 2}, "be 1"),
    "version true": ({"version": True}, "be 1"),
    "version 1.0": ({"version": Decimal("1.0")}, "be 1"),
    "version as text": ({"version": "1"}, "be 1"),
    "one alias for two roles": (
        {"model": {"name": "m", "champion": "Prod", "challenger": "prod"}},
        "two aliases",
    ),
    "an owner without a team": ({"owner": {"contact": "#x"}}, "Field required"),
    "an age of nothing": ({"objectives": {"end_to_end_age": "0s"}}, "longer than nothing"),
    "a negative age": ({"objectives": {"end_to_end_age": "-5m"}}, "longer than nothing"),
    "a negative allowance": ({"stages": [{"name": "s", "allowance": "-5m"}]}, "negative"),
    "a name with a line break": ({"system": "a\nb"}, "pattern"),
    "an unknown level": (
        {"environments": {"p": {"levels": {"*": "warn"}}}},
        "'advise', 'block' or 'require'",
    ),
    "a parameter of a mapping": ({"environments": {"p": {"params": {"a.b": {"c": {}}}}}}, "valid"),
    "a parameter of nothing": ({"environments": {"p": {"params": {"a.b": {"c": None}}}}}, "valid"),
    "parameters of no policy": ({"environments": {"p": {"params": {"A.b": {}}}}}, "pattern"),
    "an unknown runbook": ({"runbooks": {"ops": "x.md"}}, "'default', 'model', 'data' or 'process'"),
    "two places of application": (
        {"thresholds": {"t": {"value": 1, "applied": {"param": "a", "run_tag": "b"}}}},
        "one of param",
    ),
    "no place of application": ({"thresholds": {"t": {"value": 1, "applied": {}}}}, "one of param"),
    "a version that is a number": (
        {"thresholds": {"t": {"value": 1, "provenance": {"model": 3}}}},
        "valid string",
    ),
    "two ways to log in": (
        {"stages": [{"name": "s", "freshness": {**FRESH, "auth": {"bearer": "A", "basic": "B"}}}]},
        "give one of",
    ),
    "a header without its value": (
        {"stages": [{"name": "s", "freshness": {**FRESH, "auth": {"header": "A"}}}]},
        "give one of",
    ),
    "a password in an address": (
        {"stages": [{"name": "s", "freshness": {"url": "https://u:p@x/", "time": "t", "max_age": "1h"}}]},
        "pattern",
    ),
    "another scheme": (
        {"stages": [{"name": "s", "freshness": {"headers": "file:///etc/passwd", "max_age": "1h"}}]},
        "pattern",
    ),
    "url and file": (
        {"stages": [{"name": "s", "freshness": {**FRESH, "url": "https://x/"}}]},
        "either url or file",
    ),
    "no source": ({"stages": [{"name": "s", "freshness": {"max_age": "1h"}}]}, "discriminator"),
    "freshness of text": ({"stages": [{"name": "s", "freshness": "6h"}]}, "discriminator"),
    "freshness of a list": ({"stages": [{"name": "s", "freshness": [FRESH]}]}, "discriminator"),
    "a stage of text": ({"stages": ["features"]}, "valid dictionary"),
    "stages by name": ({"stages": {"features": {}}}, "valid tuple"),
}


@pytest.mark.parametrize(("parts", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_manifest_that_cannot_be_meant_is_refused(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        read(with_(**parts))


# --- the graph -------------------------------------------------------------------------------------------------------


def stages(**reads: str) -> dict[str, Any]:
    return with_(stages=[{"name": name, "reads": list(up)} for name, up in reads.items()])


def test_stages_may_form_any_graph_without_a_circle() -> None:
    assert len(read(stages(a="", b="a", c="ab", d="bc", e="")).stages) == 5


CIRCLES = {
    "itself": ({"a": "a"}, "a → a"),
    "two": ({"a": "b", "b": "a"}, "a → b → a"),
    "three, entered from outside": ({"x": "a", "a": "b", "b": "c", "c": "a"}, "a → b → c → a"),
    "beside a tree": ({"r": "", "s": "r", "a": "sb", "b": "a"}, "a → b → a"),
}


@pytest.mark.parametrize(("reads", "words"), CIRCLES.values(), ids=CIRCLES.keys())
def test_a_circle_is_named(reads: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=f"in a circle: {words}"):
        read(stages(**reads))


def has_circle(reads: dict[str, str]) -> bool:
    """By taking away what reads nothing that is left, until nothing changes."""
    left = dict(reads)
    while free := [name for name, up in left.items() if not set(up) & set(left)]:
        for name in free:
            del left[name]
    return bool(left)


@given(st.dictionaries(st.sampled_from("abcdef"), st.text("abcdef", max_size=4)))
def test_circles_are_found_exactly(reads: dict[str, str]) -> None:
    reads = {name: "".join(up for up in ups if up in reads) for name, ups in reads.items()}
    try:
        read(stages(**reads))
    except ValidationError as e:
        assert "circle" in str(e)
        assert has_circle(reads)
    else:
        assert not has_circle(reads)


def test_an_upstream_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValidationError, match="stage 'b' reads 'x', which is not a stage"):
        read(stages(a="", b="ax"))


def test_two_stages_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two stages are named 'a'"):
        read(with_(stages=[{"name": "a"}, {"name": "b"}, {"name": "a"}]))


# --- levels -----------------------------------------------------------------------------------------------------------

RESOLVED: dict[str, tuple[dict[str, Level], Level]] = {
    "nothing said": ({}, "block"),
    "the policy's own": ({"*": "advise", "freshness": "advise", "freshness.stage": "require"}, "require"),
    "its theme's": ({"*": "advise", "freshness": "require"}, "require"),
    "everybody's": ({"*": "advise"}, "advise"),
    "another policy's": ({"freshness.other": "advise"}, "block"),
    "another theme's": ({"fresh": "advise", "ownership": "advise"}, "block"),
    "its own, though laxer": ({"freshness": "require", "freshness.stage": "advise"}, "advise"),
}


@pytest.mark.parametrize(("levels", "expected"), RESOLVED.values(), ids=RESOLVED.keys())
def test_the_most_exact_level_wins(levels: dict[str, Level], expected: Level) -> None:
    assert level_of("freshness.stage", levels) == expected


def test_a_policy_without_a_theme_is_its_own_theme() -> None:
    assert level_of("owner", {"owner": "require"}) == "require"
    assert level_of("a.b.c", {"a": "advise"}) == "advise"


@given(st.sampled_from(LEVELS), st.permutations(["*", "a", "a.b"]))
def test_the_order_in_which_levels_are_written_means_nothing(level: Level, keys: list[str]) -> None:
    all_: dict[str, Level] = {"*": "advise", "a": "block", "a.b": level}
    assert level_of("a.b", {key: all_[key] for key in keys}) == level


def test_parameters_keep_their_kind() -> None:
    params = {
        "text": "5m",
        "yes": True,
        "whole": 7,
        "number": Decimal("0.250"),
        "texts": ["a", "b"],
        "digits": "7",
    }
    kept = read(with_(environments={"p": {"params": {"a.b": params}}})).environments["p"].params["a.b"]
    assert kept == {**params, "texts": ("a", "b")}
    assert [type(kept[name]) for name in params] == [str, bool, int, Decimal, tuple, str]


# --- words -------------------------------------------------------------------------------------------------------------

ORIGINS: dict[str, tuple[dict[str, Any] | None, str]] = {
    "nothing": (None, "nobody wrote down where this limit comes from"),
    "empty": ({}, "set by somebody unnamed"),
    "whole": (
        {"set_by": "m.ito", "set_on": "2026-08-02", "run": "1f0c55aa90d14f6e", "review_by": "2027-02-02"},
        "set by m.ito 2026-08-02 from run 1f0c55aa…, review by 2027-02-02",
    ),
    "evidence": (
        {"set_by": "m.ito", "evidence": "https://x.example/r"},
        "set by m.ito from https://x.example/r",
    ),
    "a short run": ({"run": "1f0c"}, "set by somebody unnamed from run 1f0c"),
}


@pytest.mark.parametrize(("given_", "words"), ORIGINS.values(), ids=ORIGINS.keys())
def test_an_origin_is_said_in_a_line(given_: dict[str, Any] | None, words: str) -> None:
    assert show_origin(None if given_ is None else Provenance.model_validate(given_)) == words


# --- the published schema -----------------------------------------------------------------------------------------------

SCHEMA = json_schema()
CHECK = jsonschema.Draft202012Validator(SCHEMA)


def as_json(data: Any) -> Any:
    """Data as JSON has it: what an editor hands to a validator."""
    if isinstance(data, dict):
        return {key: as_json(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [as_json(value) for value in data]
    return float(data) if isinstance(data, Decimal) else data


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["title"] == "aigate manifest"


@pytest.mark.parametrize("text", [DESIGN, FIRST], ids=["design", "first"])
def test_the_schema_takes_the_examples(text: str) -> None:
    errors = [error.message for error in CHECK.iter_errors(as_json(data_of(text)))]
    assert errors == []


def misspelt(data: Any, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The data with each key of the model's own misspelt in turn; names that users choose are free."""
    free = {(), ("metrics",), ("thresholds",), ("environments",), ("runbooks",)} - {()}
    if isinstance(data, list):
        for n, item in enumerate(data):
            for where, wrong in misspelt(item, (*keys, n)):
                yield where, [*data[:n], wrong, *data[n + 1 :]]
    elif isinstance(data, dict):
        for key, value in data.items():
            if keys not in free and keys[-1:] != ("levels",):
                yield (*keys, key), {(f"{k}x" if k == key else k): v for k, v in data.items()}
            for where, wrong in misspelt(value, (*keys, key)):
                yield where, {**data, key: wrong}


WRONG_KEYS = list(misspelt(as_json(data_of(DESIGN))))


def test_there_are_many_keys_to_misspell() -> None:
    assert len(WRONG_KEYS) > 60


@pytest.mark.parametrize(
    "wrong", [wrong for _, wrong in WRONG_KEYS], ids=[".".join(map(str, where)) for where, _ in WRONG_KEYS]
)
def test_every_misspelt_key_is_refused_by_schema_and_model_alike(wrong: Any) -> None:
    assert not CHECK.is_valid(wrong)
    with pytest.raises(ValidationError):
        read(exact(wrong))


def exact(data: Any) -> Any:
    """JSON data as the strict loaders give them: numbers from text."""
    if isinstance(data, dict):
        return {key: exact(value) for key, value in data.items()}
    if isinstance(data, list):
        return [exact(value) for value in data]
    return Decimal(str(data)) if isinstance(data, float) else data


def accepted(data: Any) -> bool:
    try:
        read(exact(data))
    except ValidationError:
        return False
    return True


ALIKE: dict[str, dict[str, Any]] = {
    "bare": {},
    "an owner by name": {"owner": "team"},
    "an owner of a number": {"owner": 5},
    "no owner": {"owner": None},
    "a bare threshold": {"thresholds": {"t": 0.5}},
    "a threshold of text": {"thresholds": {"t": "high"}},
    "a threshold of digits": {"thresholds": {"t": "0.50"}},
    "a floor of null": {"metrics": {"a": {"floor": None}}},
    "a floor of text": {"metrics": {"a": {"floor": "high"}}},
    "a floor of truth": {"metrics": {"a": {"floor": True}}},
    "a floor of a list": {"metrics": {"a": {"floor": [1]}}},
    "a metric of null": {"metrics": {"a": None}},
    "an age of words": {"objectives": {"end_to_end_age": "soon"}},
    "an age of iso": {"objectives": {"end_to_end_age": "PT12H"}},
    "an age of a number": {"objectives": {"end_to_end_age": 12}},
    "an age with a sign": {"objectives": {"end_to_end_age": "-5m"}},
    "an allowance with a sign": {"stages": [{"name": "s", "allowance": "-5m"}]},
    "an allowance": {"stages": [{"name": "s", "allowance": "1d12h"}]},
    "a stage alone": {"stages": [{"name": "s"}]},
    "reads of text": {"stages": [{"name": "s", "reads": "s"}]},
    "a level": {"environments": {"p": {"levels": {"*": "require"}}}},
    "a wrong level": {"environments": {"p": {"levels": {"*": "warn"}}}},
    "parameters": {
        "environments": {"p": {"params": {"a.b": {"c": "5m", "d": 5, "e": 0.5, "f": True, "g": ["x"]}}}}
    },
    "a parameter of a list of numbers": {"environments": {"p": {"params": {"a.b": {"c": [1]}}}}},
    "a parameter of null": {"environments": {"p": {"params": {"a.b": {"c": None}}}}},
    "a runbook": {"runbooks": {"model": "x.md"}},
    "a wrong runbook": {"runbooks": {"ops": "x.md"}},
    "policies": {"policies": {"standard": False, "path": "rules"}},
    "policies of text": {"policies": {"standard": "no"}},
    "version 2": {"version": 2},
    "version text": {"version": "1"},
    "an empty name": {"system": ""},
    "a name on two lines": {"system": "a\nb"},
    "a wrong date": {"thresholds": {"t": {"value": 1, "provenance": {"method": "guess"}}}},
    "confidence": {"metrics": {"a": {"max_drop": 1, "confidence": 0.95}}},
    "a range of one": {"metrics": {"a": {"range": [0]}}},
    "a range of three": {"metrics": {"a": {"range": [0, 1, 2]}}},
    "a range": {"metrics": {"a": {"range": [0, 1]}}},
    "rows of nothing": {"metrics": {"a": {"rows": 0}}},
    "a password in an address": {
        "stages": [{"name": "s", "freshness": {"headers": "https://u:p@x", "max_age": "1h"}}]
    },
}


@pytest.mark.parametrize("parts", ALIKE.values(), ids=ALIKE.keys())
def test_schema_and_model_agree(parts: dict[str, Any]) -> None:
    data = with_(**parts)
    assert CHECK.is_valid(data) == accepted(data)


SOURCES: dict[str, dict[str, Any]] = {
    "url": {"url": "https://x.example/f", "time": "t"},
    "file": {"file": "f.json", "time": "t", "unit": "ms"},
    "headers": {"headers": "https://x.example/f"},
    "dbt": {"dbt": "target/sources.json", "source": "raw.f"},
    "prometheus": {"prometheus": "https://x.example", "query": "q", "is_age": True},
    "airflow": {"airflow": "https://x.example", "asset": "a"},
}


@pytest.mark.parametrize("one", ADAPTERS)
def test_every_source_is_chosen_by_its_key(one: str) -> None:
    data = with_(stages=[{"name": "s", "freshness": {"max_age": "1h", **SOURCES[one]}}])
    freshness = read(data).stages[0].freshness
    assert type(freshness) is FRESHNESS[{"file": "url"}.get(one, one)]
    assert CHECK.is_valid(data)


@pytest.mark.parametrize(("one", "other"), itertools.permutations(SOURCES, 2))
def test_a_stage_has_one_source(one: str, other: str) -> None:
    both = {"max_age": "1h", **SOURCES[one], **SOURCES[other]}
    data = with_(stages=[{"name": "s", "freshness": both}])
    assert not accepted(data)
    if {one, other} != {"url", "file"}:  # a rule between two keys of one model: no schema says it
        assert not CHECK.is_valid(data)


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from(["", "a", "1h", "0.5", "high", "2026-08-02"]),
    st.just([]),
    st.just({}),
)
PATHS = [where for where, _ in WRONG_KEYS]


@given(st.sampled_from(PATHS), leaves)
def test_what_the_schema_refuses_the_model_refuses_too(where: tuple[str | int, ...], leaf: Any) -> None:
    """The model knows rules between keys that no schema can say, so it may refuse more, and never less."""
    data = as_json(data_of(DESIGN))
    here = data
    for key in where[:-1]:
        here = here[key]
    here[where[-1]] = leaf
    if not CHECK.is_valid(data):
        assert not accepted(data)
