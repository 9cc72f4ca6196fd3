"""The same data give the same bytes, everywhere; other data give others."""

import hashlib
import json
from decimal import Decimal
from typing import Any, get_args

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from aigate.decision import Decision
from aigate.digest import canonical, digest, digest_bytes
from aigate.manifest import Manifest
from aigate.snapshot import Measurement, Snapshot, Tag
from aigate.testing import change, passing_snapshot
from aigate.values import Model, Number, Text

SNAPSHOT = passing_snapshot()


class Two(Model):
    """Declared out of order: canonical JSON sorts."""

    b: Text = ""
    a: Number = Decimal(0)


def test_canonical_json_is_rfc_8785() -> None:
    assert canonical(Two(b="é\n☃", a=Decimal("0.90"))) == '{"a":"0.90","b":"é\\n☃"}'.encode()


def test_a_digest_is_sha_256_of_the_canonical_bytes() -> None:
    data = canonical(SNAPSHOT)
    assert digest(SNAPSHOT) == digest_bytes(data) == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert digest_bytes(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_what_is_read_again_has_the_same_digest() -> None:
    again = Snapshot.model_validate_json(canonical(SNAPSHOT))
    assert again == SNAPSHOT
    assert canonical(again) == canonical(SNAPSHOT)


def test_other_spelling_of_the_same_json_has_the_same_digest() -> None:
    data = json.loads(canonical(SNAPSHOT))
    spelt = json.dumps(dict(reversed(data.items())), indent=2, ensure_ascii=True)
    assert digest(Snapshot.model_validate_json(spelt)) == digest(SNAPSHOT)


def test_the_schema_is_written_under_its_own_name() -> None:
    assert json.loads(canonical(SNAPSHOT))["schema"] == "aigate.snapshot/v1"


def test_zeros_at_the_end_are_part_of_a_number_as_declared() -> None:
    """0.9 and 0.90 are one number and two texts: a record shows what was written."""
    assert Two(a=Decimal("0.9")) == Two(a=Decimal("0.90"))
    assert digest(Two(a=Decimal("0.9"))) != digest(Two(a=Decimal("0.90")))


@given(st.text(max_size=50), st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_any_text_and_number_comes_back(text: str, number: Decimal) -> None:
    try:
        two = Two(b=text, a=number)
    except ValueError:
        return  # half a character, or a number beyond all measure
    assert Two.model_validate_json(canonical(two)) == two


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_step_of_any_size_has_a_digest(step: int) -> None:
    """MLflow's steps have 64 bits, JSON's whole numbers 53: one huge step must not stop the gate."""
    assert SNAPSHOT.challenger is not None
    measured = SNAPSHOT.challenger.measurements[0]
    one = Measurement.model_validate({**measured.model_dump(), "step": step})
    data = canonical(one)
    assert rfc8785.dumps(json.loads(data)) == data
    assert Measurement.model_validate_json(data) == one


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/owner/team", "Retention-platform"),
        ("/challenger/tags", (Tag(key="a", value="b"),)),
        ("/stages/features/age", "PT1.000001S"),
        ("/champion", None),
    ],
)
def test_every_change_changes_the_digest(pointer: str, value: object) -> None:
    assert digest(change(SNAPSHOT, pointer, value)) != digest(SNAPSHOT)


class Keyed(Model):
    """With keys from outside."""

    of: dict[str, Text] = {}


KEYS = {
    "ascii": ["b", "a", "A", "_", "10", "9", ""],
    "controls": ["\x00", "\x1f", "\x7f", "\n", '"', "\\", "/", "\u2028"],
    "latin": ["é", "e", "z", "ß"],
    "planes": ["\uffff", "\U00010000", "\ue000", "\U0010ffff", "a"],
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS.keys())
def test_the_fast_way_writes_what_rfc_8785_asks_for(keys: list[str]) -> None:
    model = Keyed(of={key: key for key in keys})
    assert canonical(model) == rfc8785.dumps(model.model_dump(mode="json"))


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=8), max_size=6))
def test_both_ways_write_the_same_whatever_the_keys(of: dict[str, str]) -> None:
    model = Keyed(of=of)
    assert canonical(model) == rfc8785.dumps(model.model_dump(mode="json"))


def test_both_ways_write_the_same_snapshot() -> None:
    assert canonical(SNAPSHOT) == rfc8785.dumps(SNAPSHOT.model_dump(mode="json", by_alias=True))


def numbers_of(annotation: Any) -> set[type]:
    """The kinds of number anywhere inside a type."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return set().union(*(numbers_of(field.annotation) for field in annotation.model_fields.values()))
    if isinstance(annotation, type):
        return {annotation} & {int, float}
    return set().union(*map(numbers_of, get_args(annotation)))


@pytest.mark.parametrize("model", [Snapshot, Decision, Manifest])
def test_no_model_has_a_floating_point_number(model: type[Model]) -> None:
    """What the fast way rests on; Decimal is written as text."""
    assert numbers_of(model) <= {int}
