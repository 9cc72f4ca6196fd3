"""The strict JSON loader: what it reads, what it refuses, and where it says the fault is."""

import json
import math
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.collect import strict
from aigate.collect.strict import StrictError, decimal_from_text, integer_from_text, load_json


def refused(data: bytes | str, **limits: int) -> StrictError:
    with pytest.raises(StrictError) as caught:
        load_json(data, source="f.json", **limits)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("0.90", Decimal("0.90"), id="fraction-is-decimal"),
        pytest.param("1e3", Decimal("1E+3"), id="exponent-is-decimal"),
        pytest.param("1.10", Decimal("1.10"), id="trailing-zero-kept"),
        pytest.param("-0", 0, id="minus-zero"),
        pytest.param("12", 12, id="integer"),
        pytest.param("true", True, id="true"),
        pytest.param("null", None, id="null"),
        pytest.param('"NaN"', "NaN", id="text-stays-text"),
        pytest.param('"\\ud83d\\ude00"', "\U0001f600", id="surrogate-pair"),
        pytest.param('"\\\\ud800"', "\\ud800", id="escaped-backslash-is-no-surrogate"),
        pytest.param('"\\u00e9"', "é", id="ordinary-escape"),
        pytest.param("1.7976931348623157e308", Decimal("1.7976931348623157e308"), id="largest-double"),
        pytest.param("5e-324", Decimal("5e-324"), id="smallest-double"),
        pytest.param("0.000", Decimal("0.000"), id="zero"),
        pytest.param('\ufeff{"a": [1]}', {"a": [1]}, id="one-bom-ignored"),
        pytest.param('{"a": 1, "b": {"a": 2}}', {"a": 1, "b": {"a": 2}}, id="same-key-in-two-objects"),
    ],
)
def test_reads(text: str, value: object) -> None:
    for data in (text, text.encode()):
        read = load_json(data, source="f.json")
        assert read == value
        assert type(read) is type(value)
        assert str(read) == str(value)


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        pytest.param('{"a": 1,\n "b": 2,\n "a": 3}', "the key 'a' comes twice", (3, 2), id="duplicate-key"),
        pytest.param('{"a": 1, "\\u0061": 3}', "the key 'a' comes twice", (1, 10), id="duplicate-by-escape"),
        pytest.param(
            '[{"k":{}},{"k":{"x":1,"y":[1],"x":2}}]', "'x' comes twice", (1, 31), id="nested-duplicate"
        ),
        pytest.param('{"a:b": ":", "c": NaN}', "NaN is not a JSON number", (1, 19), id="nan"),
        pytest.param("[1, Infinity]", "Infinity is not", (1, 5), id="infinity"),
        pytest.param("[1, -Infinity]", "-Infinity is not", (1, 5), id="minus-infinity"),
        pytest.param('{"v": 1e999}', "too large", (1, 7), id="1e999"),
        pytest.param("[-1E+999]", "too large", (1, 2), id="minus-1e999"),
        pytest.param("[2e308]", "too large", (1, 2), id="beyond-double"),
        pytest.param("[0e-999999999]", "absurd exponent", (1, 2), id="zero-with-absurd-exponent"),
        pytest.param("[0e99999999999999999999]", "absurd exponent", (1, 2), id="beyond-decimal"),
        pytest.param("[1e-400]", "too small", (1, 2), id="underflow"),
        pytest.param("[\n  " + "9" * 401 + "]", "a number of 401 characters", (2, 3), id="401-digit-integer"),
        pytest.param("[" + "9" * 5000 + "]", "a number of 5000 characters", (1, 2), id="5000-digit-integer"),
        pytest.param("[-" + "9" * 350 + "]", "too large", (1, 2), id="350-digit-integer"),
        pytest.param("[0." + "1" * 500 + "]", "a number of 502 characters", (1, 2), id="500-digit-fraction"),
        pytest.param('["ok", "\\ud800"]', "lone surrogate", (1, 9), id="lone-high"),
        pytest.param('["\\udc00\\ud800"]', "lone surrogate", (1, 3), id="lone-low"),
        pytest.param('["\\ud800\\u0041"]', "lone surrogate", (1, 3), id="high-then-letter"),
        pytest.param('["\\ud83d\\ude00\\ud83d"]', "lone surrogate", (1, 15), id="pair-then-high"),
        pytest.param('{"\\udfff": 1}', "lone surrogate", (1, 3), id="surrogate-in-key"),
        pytest.param("", "empty, not JSON", (1, 1), id="empty"),
        pytest.param(" \n ", "empty, not JSON", (1, 1), id="blank"),
        pytest.param("<!DOCTYPE html>", "not JSON: expecting value", (1, 1), id="html"),
        pytest.param('{"a": 1}\n{"a": 2}', "not JSON: extra data", (2, 1), id="two-texts"),
        # Python 3.13 points at the comma, earlier ones behind it.
        pytest.param(
            '{"a": 1,}', "not JSON", (1, 8 if sys.version_info >= (3, 13) else 9), id="trailing-comma"
        ),
        pytest.param("{'a': 1}", "not JSON", (1, 2), id="single-quotes"),
        pytest.param("[01]", "not JSON", (1, 3), id="leading-zero"),
        pytest.param("[+1]", "not JSON", (1, 2), id="plus"),
        pytest.param("[.5]", "not JSON", (1, 2), id="bare-fraction"),
        pytest.param("[1] // c", "not JSON", (1, 5), id="comment"),
        pytest.param('["a\nb"]', "not JSON: invalid control character", (1, 4), id="raw-control-character"),
        pytest.param("\ufeff\ufeff1", "not JSON", (1, 1), id="two-boms"),
        pytest.param("[" * 33 + "]" * 33, "nested deeper than 32", (1, 33), id="depth-33"),
        pytest.param('{"a":\n' * 40 + "1" + "}" * 40, "nested deeper than 32", (33, 1), id="deep-objects"),
        pytest.param("[" * 200_000, "nested deeper than 32", (1, 33), id="depth-bomb"),
    ],
)
def test_refuses(text: str, message: str, place: tuple[int, int]) -> None:
    error = refused(text.encode())
    assert message in error.message
    assert (error.line, error.column) == place
    assert str(error) == f"f.json:{place[0]}:{place[1]}: {error.message}"
    assert error.place == f"f.json:{place[0]}:{place[1]}"


@pytest.mark.parametrize(
    ("data", "place"),
    [
        pytest.param('{"a": "é"}'.encode("latin-1"), (1, 8), id="latin-1"),
        pytest.param(b'{"a":\n "\xed\xa0\x80"}', (2, 3), id="encoded-surrogate"),
        pytest.param(b'"\xc0\xaf"', (1, 2), id="overlong"),
        pytest.param("[1]".encode("utf-16"), (1, 1), id="utf-16-with-bom"),
        pytest.param("[1]".encode("utf-16-le"), (1, 2), id="utf-16-without-bom"),
    ],
)
def test_refuses_other_encodings(data: bytes, place: tuple[int, int]) -> None:
    error = refused(data)
    assert (error.line, error.column) == place


def test_refuses_a_lone_surrogate_in_decoded_text() -> None:
    error = refused('["a",\n "\ud800"]')
    assert (error.message, error.line, error.column) == ("a lone surrogate is not text", 2, 3)


def test_depth_counts_containers_of_both_kinds() -> None:
    assert load_json('[{"a": [1]}]', source="", max_depth=3) == [{"a": [1]}]
    assert "deeper than 2" in refused('[{"a": [1]}]', max_depth=2).message
    assert load_json("[" * 32 + "]" * 32, source="")
    assert load_json("7", source="", max_depth=0) == 7


def test_size_is_counted_in_bytes() -> None:
    text = '"éé"'
    assert load_json(text, source="", max_bytes=6) == "éé"
    assert "6 bytes, more than the 5" in refused(text, max_bytes=5).message
    assert "6 bytes, more than the 5" in refused(text.encode(), max_bytes=5).message
    assert "4 characters, more than the 3" in refused(text, max_bytes=3).message
    assert "more than" in refused(b" " * (strict.MAX_JSON_BYTES + 1)).message


def test_an_exhausted_stack_is_not_blamed_on_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> object:
        raise RecursionError

    monkeypatch.setattr(json, "loads", exhausted)
    with pytest.raises(RecursionError):
        load_json("[1]", source="")


def test_a_message_shows_no_control_characters_and_no_novel() -> None:
    key = "\\u202e\\u001b" + "x" * 200
    message = refused(f'{{"{key}": 1, "{key}": 2}}').message
    assert message.isprintable()
    assert len(message) < 120


def test_reads_a_full_body() -> None:
    rows = [{"id": number, "score": f"{number}", "ok": True} for number in range(20_000)]
    text = json.dumps(rows)
    assert len(text) < strict.MAX_JSON_BYTES
    assert load_json(text, source="") == rows


WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.booleans())
def test_reads_what_python_writes(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert load_json(text, source="") == json.loads(text, parse_float=Decimal)


TEXTS = st.lists(
    st.sampled_from(
        [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            '"a"',
            '"b"',
            '"\\ud800"',
            "1",
            "1e999",
            "0.5",
            "NaN",
            "true",
            " ",
            "\n",
        ]
    ),
    max_size=12,
).map("".join)


@given(TEXTS | st.text(max_size=40))
def test_never_accepts_more_than_the_standard_library(text: str) -> None:
    places: list[tuple[int, int]] = []
    try:
        value = load_json(text, source="")
    except StrictError as refusal:
        places.append((refusal.line, refusal.column))
    for line, column in places:
        assert 1 <= line <= text.count("\n") + 1
        assert column >= 1
        return
    pairs: list[int] = []

    def count(found: list[tuple[str, object]]) -> dict[str, object]:
        pairs.append(len(found))
        assert len({key for key, _ in found}) == len(found)
        return dict(found)

    assert json.loads(text.removeprefix("\ufeff"), parse_float=Decimal, object_pairs_hook=count) == value
    json.dumps(value, ensure_ascii=False, default=str).encode()


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,330})(\.[0-9]{1,60})?[eE][+-]?[0-9]{1,4}", fullmatch=True))
def test_every_accepted_number_is_a_finite_float(text: str) -> None:
    try:
        number = decimal_from_text(text)
    except ValueError:
        near = float(text)
        exponent = Decimal(text).as_tuple().exponent
        assert math.isinf(near) or near == 0 or len(text) > 400 or abs(int(exponent)) > 400
        return
    assert math.isfinite(float(number))
    assert (float(number) == 0) == (number == 0)
    assert number == Decimal(text)


def test_integers_stop_where_doubles_stop() -> None:
    assert integer_from_text(str(int(sys.float_info.max))) == int(sys.float_info.max)
    with pytest.raises(ValueError, match="too large"):
        integer_from_text(str(int(sys.float_info.max) * 2))


@pytest.mark.parametrize(
    "text", ["NaN", "inf", "1_0", " 1", "1\n", "+1", "01", ".5", "1.", "１", "1e", "", "0x1", "--1"]
)
def test_numbers_have_one_spelling(text: str) -> None:
    with pytest.raises(ValueError, match="JSON's spelling"):
        decimal_from_text(text)
    with pytest.raises(ValueError, match="JSON's spelling"):
        integer_from_text(text)


def test_an_integer_has_no_fraction() -> None:
    assert decimal_from_text("-12") == -12
    with pytest.raises(ValueError, match="not an integer"):
        integer_from_text("1.0")
