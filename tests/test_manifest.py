"""The manifest's models: what they take, what they refuse, and what the published schema says of it."""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from aigate.collect.manifest_file import frozen, parse_manifest
from aigate.collect.strict_yaml import load_yaml
from aigate.errors import ConfigError
from aigate.limits import AgeLimit, Limit, Provenance, spread_provenance
from aigate.manifest import (
    Anchor,
    Applied,
    Environment,
    Level,
    Manifest,
    Metric,
    ModelRef,
    Owner,
    StageDeclared,
    ThresholdDeclared,
    json_schema,
    level_of,
)
from declared import BASE, DESIGN, FULL, JSON_SOURCE, SMALL, STAGE, refused

# --- strictness --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [True, 1.0, "1", 2, 0, None, Decimal(1)], ids=repr)
def test_only_version_one_is_known(version: object) -> None:
    refused(Manifest, BASE | {"version": version}, "version")


@pytest.mark.parametrize("key", ["version", "system", "model"])
def test_what_every_manifest_needs(key: str) -> None:
    refused(Manifest, {k: v for k, v in BASE.items() if k != key}, "required")


@pytest.mark.parametrize("name", ["", "a\nb", "a\x00", "a\u2028b", "x" * 201, 7, None, True], ids=repr)
def test_a_name_is_text_on_one_line(name: object) -> None:
    refused(Manifest, BASE | {"system": name}, "system")


def test_a_manifest_cannot_be_changed() -> None:
    manifest = Manifest.model_validate(BASE)
    with pytest.raises(ValidationError, match="frozen"):
        manifest.system = "other"  # type: ignore[misc]


def test_what_is_left_out_has_a_harmless_default() -> None:
    manifest = Manifest.model_validate(BASE)
    assert manifest.owner is None
    assert (manifest.model.champion, manifest.model.challenger) == ("champion", "challenger")
    assert manifest.policies.standard is True
    assert (manifest.metrics, manifest.stages, manifest.thresholds) == ({}, (), {})


@pytest.mark.parametrize(
    "number", [0.92, float("nan"), True, "0,9", "NaN", "inf", "1_0", ".9", [], b"1"], ids=repr
)
def test_a_limit_is_a_finite_decimal_from_text(number: object) -> None:
    refused(Metric, {"floor": number}, "floor")
    refused(ThresholdDeclared, {"value": number}, "value")


def test_an_owner_may_be_a_team_alone() -> None:
    assert Manifest.model_validate(BASE | {"owner": "retention"}).owner == Owner(team="retention")
    refused(Manifest, BASE | {"owner": ""}, "team")
    refused(Manifest, BASE | {"owner": {"contact": "x"}}, "team")


@pytest.mark.parametrize("names", [("a", "a"), ("Live", "live"), ("champion", "CHAMPION"), ("ß", "SS")])
def test_champion_and_challenger_are_two(names: tuple[str, str]) -> None:
    refused(ModelRef, {"name": "m", "champion": names[0], "challenger": names[1]}, "two aliases")


# --- a limit, with provenance or without ----------------------------------------------------------

Build = Callable[[object], object]


def _metric(**more: object) -> Manifest:
    return Manifest.model_validate(BASE | {"metrics": {"m": more}})


def _anchor(**more: object) -> Anchor:
    anchor = _metric(anchor={"value": "0", "max_creep": "0", **more}).metrics["m"].anchor
    assert anchor is not None
    return anchor


def _stage(**more: object) -> Any:
    found = Manifest.model_validate(BASE | {"stages": ({**STAGE, "freshness": {**JSON_SOURCE, **more}},)})
    return found.stages[0].freshness


PLACES: dict[str, Build] = {
    "floor": lambda x: _metric(floor=x).metrics["m"].floor,
    "ceiling": lambda x: _metric(ceiling=x).metrics["m"].ceiling,
    "max_drop": lambda x: _metric(max_drop=x).metrics["m"].max_drop,
    "max_rise": lambda x: _metric(max_rise=x).metrics["m"].max_rise,
    "min_coverage": lambda x: _metric(min_coverage=x).metrics["m"].min_coverage,
    "anchor.value": lambda x: _anchor(value=x).value,
    "anchor.max_creep": lambda x: _anchor(max_creep=x).max_creep,
    "slices.floor": lambda x: (
        _metric(slices={"s": {"metric": "n", "floor": x}}).metrics["m"].slices["s"].floor
    ),
    "slices.ceiling": lambda x: (
        _metric(slices={"s": {"metric": "n", "ceiling": x}}).metrics["m"].slices["s"].ceiling
    ),
    "slices.max_drop": lambda x: (
        _metric(slices={"s": {"metric": "n", "max_drop": x}}).metrics["m"].slices["s"].max_drop
    ),
    "slices.max_rise": lambda x: (
        _metric(slices={"s": {"metric": "n", "max_rise": x}}).metrics["m"].slices["s"].max_rise
    ),
    "thresholds": lambda x: Manifest.model_validate(BASE | {"thresholds": {"t": x}}).thresholds["t"],
}
AGE_PLACES: dict[str, Build] = {
    "max_age": lambda x: _stage(max_age=x).max_age,
    "max_evidence_age": lambda x: _stage(max_evidence_age=x).max_evidence_age,
    "end_to_end_age": lambda x: (
        Manifest.model_validate(BASE | {"objectives": {"end_to_end_age": x}}).objectives.end_to_end_age
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_number_may_stand_bare_or_with_provenance(place: str) -> None:
    build = PLACES[place]
    bare, whole = build("0.5"), build({"value": Decimal("0.5"), "provenance": {"set_by": "m.ito"}})
    assert isinstance(bare, Limit | ThresholdDeclared)
    assert isinstance(whole, Limit | ThresholdDeclared)
    assert bare.value == whole.value == Decimal("0.5")
    assert bare.provenance is None
    assert whole.provenance == Provenance(set_by="m.ito")
    wrong: object
    for wrong in ({"value": "0.5", "provenence": {}}, {"provenance": {}}, {}, "much", [], True):
        with pytest.raises(ValidationError):
            build(wrong)


@pytest.mark.parametrize("place", AGE_PLACES)
def test_a_span_may_stand_bare_or_with_provenance(place: str) -> None:
    build = AGE_PLACES[place]
    bare, whole = build("2h"), build({"value": "PT2H", "provenance": {"set_by": "m.ito"}})
    assert isinstance(bare, AgeLimit)
    assert isinstance(whole, AgeLimit)
    assert bare.value == whole.value == timedelta(hours=2)
    assert bare.provenance is None
    assert whole.provenance == Provenance(set_by="m.ito")
    wrong: object
    for wrong in ({"value": "2h", "vlue": 1}, {"provenance": {}}, {}, "0s", 2, True):
        with pytest.raises(ValidationError):
            build(wrong)


# --- metrics --------------------------------------------------------------------------------------


@pytest.mark.parametrize("higher", ["floor", "max_drop"])
@pytest.mark.parametrize("lower", ["ceiling", "max_rise"])
@pytest.mark.parametrize("where", ["beside", "in a slice", "in slices"])
def test_a_metric_has_one_direction(higher: str, lower: str, where: str) -> None:
    one, other = {"metric": "n", higher: "0"}, {"metric": "n", lower: "0"}
    data = {
        "beside": {higher: "0", lower: "0"},
        "in a slice": {higher: "0", "slices": {"s": other}},
        "in slices": {"slices": {"r": one, "s": other}},
    }[where]
    refused(Metric, data, "choose one")


@pytest.mark.parametrize("limit", ["floor", "ceiling", "max_drop", "max_rise"])
def test_the_direction_is_what_its_limits_say(limit: str) -> None:
    metric = Metric.model_validate({limit: "0.1"})
    assert metric.lower_is_better is (limit in ("ceiling", "max_rise"))
    assert metric.limited
    assert not Metric.model_validate({"rows": 5}).limited


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"confidence": "0.95"}, "confidence needs"),
        ({"confidence": "0.95", "floor": "0.9"}, "confidence needs"),
        ({"confidence": "0.95", "slices": {"s": {"metric": "m", "max_drop": "0"}}}, "confidence needs"),
        ({"confidence": "0.5", "max_drop": "0"}, "greater than 0.5"),
        ({"confidence": "1", "max_drop": "0"}, "less than 1"),
        ({"max_drop": "-0.01"}, "max_drop is how much worse"),
        ({"max_rise": "-1"}, "max_rise is how much worse"),
        ({"slices": {"s": {"metric": "m", "max_drop": "-1"}}}, "max_drop is how much worse"),
        ({"anchor": {"value": "1", "max_creep": "-1"}}, "max_creep is how much worse"),
        ({"anchor": {"value": "1"}}, "max_creep"),
        ({"min_coverage": "1.01"}, "share"),
        ({"min_coverage": "-0.01"}, "share"),
        ({"range": ("1", "0")}, "low first"),
        ({"range": ("1", "1")}, "low first"),
        ({"range": ("0",)}, "required"),
        ({"range": ("0", "1", "2")}, "at most 2"),
        ({"range": ["0", "1"]}, "tuple"),
        ({"range": ("0", "1"), "floor": "92"}, "floor is outside"),
        ({"range": ("0", "1"), "ceiling": "-1"}, "ceiling is outside"),
        ({"rows": 0}, "rows"),
        ({"rows": True}, "rows"),
        ({"rows": 2**53}, "rows"),
        ({"kind": "median"}, "kind"),
        ({"slices": {"s": {"floor": "1"}}}, "metric"),
        ({"slices": {"": {"metric": "m"}}}, "slices"),
    ],
    ids=str,
)
def test_a_metric_that_makes_no_sense(data: dict[str, object], words: str) -> None:
    refused(Metric, data, words)


@pytest.mark.parametrize(
    "data",
    [
        {"confidence": "0.95", "max_drop": "0"},
        {"confidence": "0.51", "max_rise": "0"},
        {"range": ("0", "1"), "floor": "1"},
        {"range": ("0", "1"), "ceiling": "0"},
        {"min_coverage": "0"},
        {"min_coverage": "1"},
        {"range": ("-1", "1"), "floor": "-0.5", "max_drop": "0.1"},
        {},
    ],
    ids=str,
)
def test_a_metric_that_does(data: dict[str, object]) -> None:
    Metric.model_validate(data)


# --- what serving applies, and what a stage is ----------------------------------------------------------


@pytest.mark.parametrize(
    ("places", "good"),
    [
        (("param",), True),
        (("run_tag",), True),
        (("version_tag",), True),
        ((), False),
        (("param", "run_tag"), False),
    ],
    ids=str,
)
def test_what_is_applied_stands_in_one_place(places: tuple[str, ...], good: bool) -> None:
    data = dict.fromkeys(places, "x")
    if good:
        Applied.model_validate(data)
    else:
        refused(Applied, data, "give one of")


def test_an_allowance_is_not_negative() -> None:
    assert StageDeclared.model_validate(STAGE | {"allowance": "0s"}).allowance == timedelta(0)
    refused(StageDeclared, STAGE | {"allowance": "-1s"}, "negative")


# --- the path -----------------------------------------------------------------------------------------


def _path(**reads: tuple[str, ...]) -> dict[str, object]:
    return BASE | {"stages": tuple({"name": name, "reads": read} for name, read in reads.items())}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_path(a=("a",)), "circle: a → a"),
        (_path(a=("b",), b=("a",)), "circle: a → b → a"),
        (_path(x=("a",), a=("b",), b=("c",), c=("a",)), "circle: a → b → c → a"),
        (_path(x=(), y=("x",), a=("y", "b"), b=("a",)), "circle: a → b → a"),
        (_path(a=("nowhere",)), "'a' reads 'nowhere'"),
        (_path(a=(), b=("A",)), "'b' reads 'A'"),
        (BASE | {"stages": ({"name": "a"}, {"name": "b"}, {"name": "a"})}, "two stages are named 'a'"),
    ],
    ids=str,
)
def test_a_path_that_is_none(data: dict[str, object], words: str) -> None:
    refused(Manifest, data, words)


def test_a_path_may_part_and_meet_again() -> None:
    path = _path(d=("b", "c"), b=("a",), c=("a", "b"), a=())
    assert len(Manifest.model_validate(path).stages) == 4


def test_a_long_path_is_followed_to_its_end() -> None:
    count = 3000
    reads = {f"s{n}": (f"s{n + 1}",) for n in range(count)}
    Manifest.model_validate(_path(**reads, **{f"s{count}": ()}))
    refused(Manifest, _path(**reads, **{f"s{count}": ("s0",)}), "circle")


# --- levels and parameters ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "level"),
    [
        ({}, "block"),
        ({"*": "advise"}, "advise"),
        ({"freshness": "require", "*": "advise"}, "require"),
        ({"freshness.stage": "advise", "freshness": "require", "*": "require"}, "advise"),
        ({"freshness.stage": "block", "*": "advise"}, "block"),
        ({"fresh": "advise", "freshness.other": "advise", "stage": "advise"}, "block"),
        ({"freshness.stage.deep": "advise"}, "block"),
    ],
    ids=str,
)
def test_the_most_exact_level_wins(levels: dict[str, Level], level: Level) -> None:
    assert level_of("freshness.stage", levels) == level


def test_a_level_is_one_of_three() -> None:
    refused(Environment, {"levels": {"*": "warn"}}, "levels")
    refused(Environment, {"levels": {"*": None}}, "levels")


@pytest.mark.parametrize("value", ["30m", True, False, 3, Decimal("0.5"), ("a", "b"), ()], ids=repr)
def test_a_parameter_is_kept_as_it_is_written(value: object) -> None:
    found = Environment.model_validate({"params": {"freshness.stage": {"p": value}}}).params[
        "freshness.stage"
    ]["p"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("value", [None, {"a": 1}, (1, 2), 0.5, (("a",),)], ids=repr)
def test_what_is_no_parameter(value: object) -> None:
    refused(Environment, {"params": {"freshness.stage": {"p": value}}}, "params")


@pytest.mark.parametrize("id", ["Freshness", "", "a.", ".a", "a b", "1a", "a-b", "x" * 101])
def test_parameters_are_given_to_a_policy(id: str) -> None:
    refused(Environment, {"params": {id: {}}}, "params")


# --- the published schema -----------------------------------------------------------------------------


def _plain(text: str) -> Any:
    """Return YAML as an editor's checker sees it: JSON's data, numbers as floats."""
    return json.loads(json.dumps(load_yaml(text.encode(), source="m").data, default=float))


def _schema_takes(text: str) -> bool:
    return bool(Draft202012Validator(json_schema()).is_valid(_plain(text)))


def _loader_takes(text: str) -> bool:
    try:
        parse_manifest(text.encode(), "aigate.yaml")
    except ConfigError:
        return False
    return True


def test_the_schema_is_one() -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(schema)) == schema


_FRESH = "stages: [{name: a, freshness: {"
AGREED: dict[str, bool] = {
    DESIGN: True,
    FULL: True,
    SMALL: True,
    SMALL + "owner: team\n": True,
    SMALL + "owner:\n": True,
    SMALL + 'metrics: {a: {floor: "0.92"}}\n': True,
    SMALL + "metrics: {a: {floor: {value: 1}, range: [0, 1]}}\n": True,
    SMALL + _FRESH + "file: f, time: t, max_age: 1d12h}}]\n": True,
    SMALL + _FRESH + "airflow: https://x.example, asset: s3://b, max_age: {value: PT12H}}}]\n": True,
    SMALL + "thresholds: {t: 1, u: {value: 2, applied: {param: u}}}\n": True,
    SMALL + "environments: {e: {params: {a.b: {p: 30m, q: true, r: 3, s: 0.5, t: [x]}}}}\n": True,
    "": False,
    "[]": False,
    "version: 1\nsystem: s\n": False,
    "version: 2\nsystem: s\nmodel: {name: m}\n": False,
    "version: true\nsystem: s\nmodel: {name: m}\n": False,
    "version: 1\nsystem: ''\nmodel: {name: m}\n": False,
    "version: 1\nsystem: 7\nmodel: {name: m}\n": False,
    SMALL + "sytem: s\n": False,
    SMALL + "owner: {contact: c}\n": False,
    SMALL + "metrics: {a: {flor: 1}}\n": False,
    SMALL + "metrics: {a: 1}\n": False,
    SMALL + "metrics: {a: {floor: much}}\n": False,
    SMALL + "metrics: {a: {floor: true}}\n": False,
    SMALL + "metrics: {a: {floor: {value: 1, provenence: {}}}}\n": False,
    SMALL + "metrics: {a: {floor: {value: 1, provenance: {set_bye: m}}}}\n": False,
    SMALL + "metrics: {a: {range: [0]}}\n": False,
    SMALL + "metrics: {a: {range: [0, 1, 2]}}\n": False,
    SMALL + "metrics: {a: {rows: 0}}\n": False,
    SMALL + "metrics: {a: {kind: median}}\n": False,
    SMALL + "metrics: {'': {floor: 1}}\n": False,
    SMALL + "stages: {a: b}\n": False,
    SMALL + "stages: [{owner: a}]\n": False,
    SMALL + "stages: [{name: a, freshnes: {}}]\n": False,
    SMALL + _FRESH + "max_age: 2h}}]\n": False,
    SMALL + _FRESH + "dbt: f, source: s}}]\n": False,
    SMALL + _FRESH + "dbt: f, source: s, max_age: 2 hours}}]\n": False,
    SMALL + _FRESH + "dbt: f, source: s, max_age: 2}}]\n": False,
    SMALL + _FRESH + "dbt: f, headers: https://x.example, max_age: 2h}}]\n": False,
    SMALL + _FRESH + "headers: https://u:p@x.example, max_age: 2h}}]\n": False,
    SMALL + "runbooks: {dta: x}\n": False,
    SMALL + "thresholds: {t: {applied: {param: t}}}\n": False,
    SMALL + "environments: {e: {levels: {a: warn}}}\n": False,
    SMALL + "environments: {e: {params: {a.b: {p: {q: 1}}}}}\n": False,
    SMALL + "policies: {standard: no}\n": False,
}
ONLY_THE_LOADER: dict[str, str] = {
    "directions do not mix": "metrics: {a: {floor: 1, ceiling: 1}}\n",
    "confidence needs a margin": "metrics: {a: {confidence: 0.95}}\n",
    "low first": "metrics: {a: {range: [1, 0]}}\n",
    "a limit within the range": "metrics: {a: {range: [0, 1], floor: 92}}\n",
    "a span longer than nothing": "objectives: {end_to_end_age: 0s}\n",
    "a day that is in the calendar": "thresholds: {t: {value: 1, provenance: {set_on: 2026-02-30}}}\n",
    "url or file": _FRESH + "url: https://x.example, file: f, time: t, max_age: 2h}}]\n",
    "one way of credentials": _FRESH + "dbt: f, source: s, max_age: 2h, auth: {}}}]\n",
    "one place of what is applied": "thresholds: {t: {value: 1, applied: {}}}\n",
    "a stage that is there": "stages: [{name: a, reads: [b]}]\n",
    "no circle": "stages: [{name: a, reads: [a]}]\n",
    "a name once": "stages: [{name: a}, {name: a}]\n",
}
"""What JSON Schema could not say, or not so that an editor's message would help: the schema takes these."""


@pytest.mark.parametrize(("text", "good"), AGREED.items(), ids=lambda x: str(x)[-40:])
def test_schema_and_loader_agree(text: str, good: bool) -> None:
    assert _loader_takes(text) is good
    assert _schema_takes(text) is good


@pytest.mark.parametrize("text", ONLY_THE_LOADER.values(), ids=ONLY_THE_LOADER)
def test_what_only_the_loader_refuses(text: str) -> None:
    assert not _loader_takes(SMALL + text)
    assert _schema_takes(SMALL + text)


def _misspelt(data: Any, done: tuple[str | int, ...] = ()) -> list[Any]:
    """Return copies of data, each with one key of a fixed vocabulary misspelt."""
    free = {"metrics", "slices", "thresholds", "environments", "levels", "params", "measured_with"}
    found: list[Any] = []
    if isinstance(data, dict):
        for key, value in data.items():
            if not (done and done[-1] in free):
                found.append({(f"{k}x" if k == key else k): v for k, v in data.items()})
            found += [{**data, key: inner} for inner in _misspelt(value, (*done, key))]
    elif isinstance(data, list):
        for n, item in enumerate(data):
            found += [[*data[:n], inner, *data[n + 1 :]] for inner in _misspelt(item, (*done, n))]
    return found


@pytest.mark.parametrize("text", [DESIGN, FULL], ids=["design", "full"])
def test_no_key_can_be_misspelt_unnoticed(text: str) -> None:
    schema = Draft202012Validator(json_schema())
    wrong = _misspelt(_plain(text))
    assert len(wrong) > 40
    assert [data for data in wrong if schema.is_valid(data)] == []
    loaded = _misspelt(load_yaml(text.encode(), source="m").data)
    for data in loaded:
        with pytest.raises(ValidationError):
            Manifest.model_validate(spread_provenance(frozen(data)))


@pytest.mark.parametrize(
    ("environments", "words"),
    [
        ({"staging": {"alias": "champion"}}, "production has that alias"),
        ({"staging": {"alias": "Champion "}}, "production has that alias"),
        ({"staging": {"alias": "tried"}, "testing": {"alias": "TRIED"}}, "staging has that alias"),
        ({"production": {"alias": "live"}}, "set model.champion"),
    ],
)
def test_no_two_environments_share_an_alias(environments: dict[str, object], words: str) -> None:
    data = {"version": 1, "system": "s", "model": {"name": "m"}, "environments": environments}
    with pytest.raises(ValidationError, match=words):
        Manifest.model_validate(data)


def test_an_environment_without_an_alias_of_its_own_asks_about_productions() -> None:
    environments = {"staging": {"alias": "tried"}, "testing": {}}
    found = Manifest.model_validate(
        {"version": 1, "system": "s", "model": {"name": "m"}, "environments": environments}
    )
    aliases = [found.alias_of(name) for name in ("production", "staging", "testing", "nowhere")]
    assert aliases == ["champion", "tried", "champion", "champion"]


def _has_circle(reads: dict[str, str]) -> bool:
    """By taking away what reads nothing that is left, until nothing changes."""
    left = dict(reads)
    while free := [name for name, up in left.items() if not set(up) & set(left)]:
        for name in free:
            del left[name]
    return bool(left)


@given(st.dictionaries(st.sampled_from("abcdef"), st.text("abcdef", max_size=4)))
def test_circles_are_found_exactly(reads: dict[str, str]) -> None:
    known = {name: "".join(up for up in ups if up in reads) for name, ups in reads.items()}
    stages = tuple({"name": name, "reads": tuple(up)} for name, up in known.items())
    data = {"version": 1, "system": "s", "model": {"name": "m"}, "stages": stages}
    if _has_circle(known):
        with pytest.raises(ValidationError, match="circle"):
            Manifest.model_validate(data)
    else:
        assert len(Manifest.model_validate(data).stages) == len(known)
