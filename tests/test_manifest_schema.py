"""Properties of manifests: graphs, wrong values in every place, and a schema that never refuses what the model takes."""

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
from aigate.limits import spread_provenance
from aigate.manifest import LEVELS, Level, Manifest, json_schema, level_of
from declared import DESIGN, FULL, SMALL

CHECK = jsonschema.Draft202012Validator(json_schema())


def as_json(data: Any) -> Any:
    """Data as JSON has it: what an editor hands to a validator."""
    if isinstance(data, dict):
        return {key: as_json(value) for key, value in data.items()}
    if isinstance(data, list):
        return [as_json(value) for value in data]
    return float(data) if isinstance(data, Decimal) else data


def exact(data: Any) -> Any:
    """JSON data as the strict loaders give them: numbers from text."""
    if isinstance(data, dict):
        return {key: exact(value) for key, value in data.items()}
    if isinstance(data, list):
        return [exact(value) for value in data]
    return Decimal(str(data)) if isinstance(data, float) else data


def read(data: Any) -> Manifest:
    return Manifest.model_validate(spread_provenance(frozen(exact(data))))


def accepted(data: Any) -> bool:
    try:
        read(data)
    except ValidationError:
        return False
    return True


def data_of(text: str) -> Any:
    return as_json(load_yaml(text, source="aigate.yaml").data)


TEXTS = {"design": DESIGN, "full": FULL, "small": SMALL}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_manifest_written_down_is_read_again(text: str) -> None:
    manifest = read(data_of(text))
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def paths(data: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where anything stands."""
    items: Any = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*here, key)
        yield from paths(value, (*here, key))


def replaced(data: Any, where: tuple[str | int, ...], leaf: Any) -> Any:
    first, *rest = where
    inner = replaced(data[first], tuple(rest), leaf) if rest else leaf
    if isinstance(data, list):
        return [inner if n == first else item for n, item in enumerate(data)]
    return {**data, first: inner}


PLACES = [(text, where) for text in (DESIGN, FULL) for where in paths(data_of(text))]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([0.5, 1.5, "", "a", "1h", "0.5", "high", "2026-08-02", "a\u2028b", "PT1H", "-5m"]),
    st.sampled_from([[], {}, ["a"], {"value": 0.5}, {"value": "1h"}, {"a": 1}]),
)


@given(st.sampled_from(PLACES), LEAVES)
def test_what_the_schema_refuses_the_model_refuses_too(
    place: tuple[str, tuple[str | int, ...]], leaf: Any
) -> None:
    """The model knows rules between keys that no schema can say, so it may refuse more, and never less."""
    text, where = place
    data = replaced(data_of(text), where, leaf)
    if not CHECK.is_valid(data):
        assert not accepted(data), (where, leaf)


LIMITS = [
    (text, where)
    for text, where in PLACES
    if where[-1] in {"floor", "ceiling", "max_drop", "max_rise", "min_coverage", "max_creep"}
    or where[-1] in {"max_age", "max_evidence_age", "end_to_end_age"}
    or where[-2:] == ("anchor", "value")
    or (where[0] == "thresholds" and len(where) == 2)
]
NO_LIMITS = {
    "text": "high",
    "truth": True,
    "a list": [1],
    "another key": {"valu": 1},
    "nothing as its value": {"value": None},
    "an empty mapping": {},
    "minutes and seconds": "1:30",
    "other digits": "٩",
}


@pytest.mark.parametrize("leaf", NO_LIMITS.values(), ids=NO_LIMITS.keys())
def test_what_is_no_limit_is_refused_in_every_place(leaf: Any) -> None:
    assert len(LIMITS) >= 20
    for text, where in LIMITS:
        data = replaced(data_of(text), where, leaf)
        assert not accepted(data), where
        assert not CHECK.is_valid(data), where


# --- the graph of stages ---------------------------------------------------------------------------------------------


def has_circle(reads: dict[str, str]) -> bool:
    """By taking away what reads nothing that is left, until nothing changes."""
    left = dict(reads)
    while free := [name for name, up in left.items() if not set(up) & set(left)]:
        for name in free:
            del left[name]
    return bool(left)


@given(st.dictionaries(st.sampled_from("abcdef"), st.text("abcdef", max_size=4)))
def test_circles_are_found_exactly(drawn: dict[str, str]) -> None:
    reads = {name: "".join(up for up in ups if up in drawn) for name, ups in drawn.items()}
    stages = [{"name": name, "reads": list(up)} for name, up in reads.items()]
    assert accepted({**data_of(SMALL), "stages": stages}) != has_circle(reads)


@given(st.sampled_from(LEVELS), st.permutations(["*", "a", "a.b"]))
def test_the_order_in_which_levels_are_written_means_nothing(level: Level, keys: list[str]) -> None:
    levels: dict[str, Level] = {"*": "advise", "a": "block", "a.b": level}
    assert level_of("a.b", {key: levels[key] for key in keys}) == level
