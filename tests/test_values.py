"""A value that cannot be trusted cannot be built, and what was built survives being written down."""

import threading
import time
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from aigate.values import (
    DURATION_SCHEMA,
    LARGEST_INTEGER,
    NUMBER_SCHEMA,
    Day,
    Digest,
    Duration,
    Evident,
    Instant,
    Integer,
    Missing,
    Model,
    Name,
    Number,
    Text,
    VersionNumber,
    gap,
    missing,
    parse_duration,
    parse_number,
    show_duration,
    show_instant,
    show_number,
)


class Holder(Model):
    """One place of each kind."""

    number: Number | None = None
    instant: Instant | None = None
    duration: Duration | None = None
    day: Day | None = None
    name: Name | None = None
    text: Text | None = None
    digest: Digest | None = None
    version: VersionNumber | None = None
    integer: Integer | None = None
    evident: Evident[Number | None] = None


def again(holder: Holder) -> Holder:
    """What comes back from the written form."""
    return Holder.model_validate_json(holder.model_dump_json())


# --- numbers ---------------------------------------------------------------------------------------------------

NUMBERS = {
    "plain": ("0.92", "0.92"),
    "with its zeros": ("0.90", "0.90"),
    "whole": ("7", "7"),
    "negative": ("-3.5", "-3.5"),
    "negative zero": ("-0", "-0"),
    "scientific": ("1.5e-3", "0.0015"),
    "large power": ("1E+20", "100000000000000000000"),
    "an integer": (7, "7"),
    "a decimal": (Decimal("0.10"), "0.10"),
    "the largest double": ("1.7976931348623157e308", "17976931348623157" + "0" * 292),
    "the smallest double": ("5e-324", "0." + "0" * 323 + "5"),
}


@pytest.mark.parametrize(("given_", "shown"), NUMBERS.values(), ids=NUMBERS.keys())
def test_a_number_is_taken_exactly(given_: object, shown: str) -> None:
    holder = Holder.model_validate({"number": given_})
    assert holder.number == Decimal(str(given_))
    assert holder.number is not None
    assert show_number(holder.number) == shown
    assert again(holder) == holder
    assert again(holder).model_dump_json() == holder.model_dump_json()


NO_NUMBERS: dict[str, object] = {
    "float": 0.92,
    "true": True,
    "nan": "NaN",
    "not a number": Decimal("NaN"),
    "signalling": Decimal("sNaN"),
    "infinity": "Infinity",
    "infinite": Decimal("-Infinity"),
    "text": "high",
    "empty": "",
    "underscore": "1_0",
    "leading zero": "012",
    "leading space": " 1",
    "trailing space": "1 ",
    "line feed": "1\n",
    "plus": "+1",
    "hexadecimal": "0x1f",
    "bare point": ".5",
    "trailing point": "5.",
    "comma": "0,92",
    "sexagesimal": "1:30",
    "percent": "92%",
    "arabic-indic digits": "٠.٩٢",
    "full-width digits": "1２",
    "absurd power": "1e999",
    "a power just too large": "1e400",
    "a power just too small": "1e-399",
    "tiny power": "1e-999",
    "zero with an absurd power": Decimal("0E-9999"),
    "far too long": "1" * 401,
    "long and large": "1" * 300 + "e300",
    "an integer of 500 digits": 10**500,
    "none in a list": [],
    "a mapping": {},
}


@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS.keys())
def test_what_is_no_plain_finite_number_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Holder.model_validate({"number": value})
    with pytest.raises(ValueError, match=r"number"):
        parse_number(value)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_number_that_is_taken_comes_back_as_it_was(value: Decimal) -> None:
    try:
        holder = Holder(number=value)
    except ValidationError:
        return
    assert holder.number is not None
    assert len(show_number(holder.number)) <= 400
    assert again(holder).model_dump_json() == holder.model_dump_json()
    assert again(holder).number == value


@given(st.text("0123456789.eE+-", max_size=30))
def test_text_is_a_number_or_refused_and_nothing_else_is_raised(text: str) -> None:
    try:
        value = parse_number(text)
    except ValueError:
        return
    assert value.is_finite()
    assert parse_number(show_number(value)) == value


def test_subtraction_of_thresholds_is_exact() -> None:
    assert parse_number("0.92") - parse_number("0.02") == parse_number("0.90")


@pytest.mark.parametrize("value", [0, LARGEST_INTEGER, LARGEST_INTEGER + 1, -(2**63), 10**30])
def test_a_whole_number_survives_json_readers_that_round(value: int) -> None:
    holder = Holder(integer=value)
    dumped = holder.model_dump(mode="json")["integer"]
    assert dumped == (value if abs(value) <= LARGEST_INTEGER else str(value))
    assert again(holder) == holder


@pytest.mark.parametrize("value", ["5", True, 5.0, "9007199254740991", "１" * 20])
def test_text_is_a_whole_number_only_where_it_has_to_be(value: object) -> None:
    with pytest.raises(ValidationError):
        Holder.model_validate({"integer": value})


# --- instants and days -----------------------------------------------------------------------------------------

INSTANTS = {
    "utc": ("2026-08-02T09:30:00Z", "2026-08-02T09:30:00Z"),
    "offset": ("2026-08-02T09:30:00+09:00", "2026-08-02T00:30:00Z"),
    "microseconds": ("2026-08-02T09:30:00.000001Z", "2026-08-02T09:30:00.000001Z"),
    "tenths": ("2026-08-02T09:30:00.5Z", "2026-08-02T09:30:00.500000Z"),
}


@pytest.mark.parametrize(("written", "shown"), INSTANTS.values(), ids=INSTANTS.keys())
def test_an_instant_is_aware_and_in_utc(written: str, shown: str) -> None:
    holder = Holder.model_validate({"instant": written})
    assert holder.instant is not None
    assert holder.instant.tzinfo is UTC
    assert show_instant(holder.instant) == shown
    assert again(holder) == holder


NO_INSTANTS: dict[str, object] = {
    "no zone": "2026-08-02T09:30:00",
    "naive": datetime(2026, 8, 2, 9, 30),  # noqa: DTZ001 - what is refused
    "a day": "2026-08-02",
    "basic form": "20260802T093000Z",
    "digits alone": "20261121",
    "a number": 1_732_222_222,
    "a number as text": "1732222222",
    "no such day": "2026-02-30T00:00:00Z",
    "no such hour": "2026-08-02T24:00:01Z",
    "leap second": "2026-06-30T23:59:60Z",
    "a space": "2026-08-02 09:30:00Z",
    "a line feed": "2026-08-02T09:30:00Z\n",
    "other digits": "２０２６-08-02T09:30:00Z",
    "no such offset": "2026-08-02T09:30:00+24:00",
    "before the year 1": "0001-01-01T00:00:00+10:00",
    "after the year 9999": "9999-12-31T23:59:59-10:00",
    "beyond, as an object": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=10))),
    "true": True,
}


@pytest.mark.parametrize("value", NO_INSTANTS.values(), ids=NO_INSTANTS.keys())
def test_what_is_no_certain_instant_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Holder.model_validate({"instant": value})


OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=OFFSETS))
def test_an_instant_comes_back_as_it_was(value: datetime) -> None:
    try:
        holder = Holder(instant=value)
    except ValidationError:
        assert value.year in (1, 9999)
        return
    assert holder.instant == value
    assert again(holder) == holder


DAYS = {"a day": ("2026-08-02", True), "no such day": ("2026-02-30", False), "points": ("02.08.2026", False)}
DAYS |= {
    "digits": ("20260802", False),
    "other digits": ("２０２６-08-02", False),
    "a week": ("2026-W31", False),
}


@pytest.mark.parametrize(("text", "good"), DAYS.values(), ids=DAYS.keys())
def test_a_day_is_written_one_way(text: str, good: bool) -> None:
    if good:
        assert again(Holder.model_validate({"day": text})).day == date(2026, 8, 2)
    else:
        with pytest.raises(ValidationError):
            Holder.model_validate({"day": text})


def test_an_instant_is_no_day() -> None:
    with pytest.raises(ValidationError):
        Holder.model_validate({"day": datetime(2026, 8, 2, tzinfo=UTC)})


# --- spans of time ------------------------------------------------------------------------------------------------

SPANS = {
    "90s": (timedelta(seconds=90), "1m 30s"),
    "15m": (timedelta(minutes=15), "15m"),
    "2h": (timedelta(hours=2), "2h"),
    "12h5m": (timedelta(hours=12, minutes=5), "12h 05m"),
    "65s": (timedelta(seconds=65), "1m 05s"),
    "1d12h": (timedelta(hours=36), "1d 12h"),
    "4w": (timedelta(weeks=4), "28d"),
    "1w2d3h4m5s": (timedelta(days=9, hours=3, minutes=4, seconds=5), "9d 3h"),
    "PT12H": (timedelta(hours=12), "12h"),
    "P1D": (timedelta(days=1), "1d"),
    "P1DT2H": (timedelta(days=1, hours=2), "1d 2h"),
    "PT0.5S": (timedelta(milliseconds=500), "0s"),
    "P2W": (timedelta(weeks=2), "14d"),
    "0s": (timedelta(0), "0s"),
    "36500d": (timedelta(days=36_500), "36500d"),
}


@pytest.mark.parametrize(
    ("text", "span"), [(text, span) for text, (span, _) in SPANS.items()], ids=SPANS.keys()
)
def test_a_span_is_read(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span
    assert again(Holder(duration=span)).duration == span


@pytest.mark.parametrize(("span", "shown"), SPANS.values(), ids=SPANS.keys())
def test_a_span_is_shown_in_its_two_largest_units(span: timedelta, shown: str) -> None:
    assert show_duration(span) == shown
    assert show_duration(-span) == (f"-{shown}" if span else shown)


NO_SPANS: dict[str, object] = {
    "empty": "",
    "a number": 5,
    "a number as text": "5",
    "sexagesimal": "1:30",
    "a space": "2 h",
    "a line feed": "2h\n",
    "upper case": "2H",
    "out of order": "30m2h",
    "a sign": "-5s",
    "a fraction": "1.5h",
    "months": "P1M",
    "P alone": "P",
    "T alone": "P1DT",
    "other digits": "２h",
    "other digits of weeks": "２w",
    "a century and a day": "36501d",
    "absurd": "9" * 39 + "d",
    "far too long": "9" * 500 + "s",
    "none": None,
    "true": True,
}


@pytest.mark.parametrize("value", NO_SPANS.values(), ids=NO_SPANS.keys())
def test_what_is_no_span_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(value)


@given(st.timedeltas(timedelta(days=-36_500), timedelta(days=36_500)))
def test_a_span_comes_back_exactly(span: timedelta) -> None:
    holder = Holder(duration=span)
    assert again(holder) == holder
    assert holder.duration == span


def test_a_span_beyond_a_century_is_refused_in_both_directions() -> None:
    for days in (36_501, -36_501):
        with pytest.raises(ValidationError, match="hundred years"):
            Holder(duration=timedelta(days=days))


# --- names, digests, versions -------------------------------------------------------------------------------------

NAMES = ["churn", "ünïcode ☃", "a" * 200, " ", "::add-mask::", "=SUM(A1)"]
NO_NAMES = [
    "",
    "a" * 201,
    "a\n",
    "a\rb",
    "\x1b[31m",
    "a\x00",
    "a\x7f",
    "a\x85b",
    "a\u2028b",
    "a\u2029b",
    "\ud800",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_short_and_on_one_line(name: str) -> None:
    assert again(Holder(name=name)).name == name


@pytest.mark.parametrize("name", NO_NAMES, ids=ascii)
def test_what_would_break_a_line_is_no_name(name: str) -> None:
    with pytest.raises(ValidationError):
        Holder(name=name)


@pytest.mark.parametrize("version", ["1", "42", "9999999999"])
def test_a_version_is_a_plain_number(version: str) -> None:
    assert Holder(version=version).version == version


@pytest.mark.parametrize(
    "version",
    ["0", "01", " 1", "1 ", "1\n", "１", "-1", "+1", "1.0", "1e3", "", "10000000000", "latest", 1],
    ids=ascii,
)
def test_mlflow_takes_more_for_a_version_than_aigate(version: object) -> None:
    with pytest.raises(ValidationError):
        Holder.model_validate({"version": version})


@pytest.mark.parametrize(
    "digest",
    ["sha256:" + "A" * 64, "sha256:" + "a" * 63, "md5:" + "a" * 32, "a" * 64, "sha256:" + "a" * 64 + "\n"],
)
def test_a_digest_has_one_form(digest: str) -> None:
    Holder(digest="sha256:" + "0123456789abcdef" * 4)
    with pytest.raises(ValidationError):
        Holder(digest=digest)


# --- ignorance ------------------------------------------------------------------------------------------------------


def test_missing_is_never_true_and_never_a_fact() -> None:
    lost = Missing(missing="MLflow answered 503", source="registry")
    assert not lost
    assert gap(lost) is lost
    for fact in (None, 0, "", False, Decimal(0), ()):
        assert gap(fact) is None
        assert lost != fact


def test_missing_stands_in_an_evident_place_and_nowhere_else() -> None:
    lost = missing("MLflow answered 503", "registry")
    assert again(Holder(evident=lost)).evident == lost
    assert Holder(evident=None).evident is None
    with pytest.raises(ValidationError):
        Holder(number=lost)
    with pytest.raises(ValidationError):
        Holder.model_validate({"evident": {"missing": "why"}})
    with pytest.raises(ValidationError):
        Holder.model_validate({"evident": {"missing": "why", "source": "s", "value": "0.9"}})


# --- models ----------------------------------------------------------------------------------------------------------


def test_data_is_frozen_and_closed() -> None:
    holder = Holder(name="a")
    with pytest.raises(ValidationError, match="frozen"):
        holder.name = "b"  # type: ignore[misc]  # what is refused
    with pytest.raises(ValidationError, match="Extra inputs"):
        Holder.model_validate({"nmae": "a"})


def test_a_model_is_built_when_it_is_needed_and_by_one_thread_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Collectors are threads that meet models first; not every pydantic keeps them apart."""

    class One(Model):
        value: Number

    class Two(Model):
        value: Duration

    building: list[type[BaseModel]] = []
    most: list[int] = []
    build = BaseModel.model_rebuild.__func__  # type: ignore[attr-defined]  # a class method's function

    def slowly(cls: type[BaseModel], /, **options: object) -> object:
        building.append(cls)
        most.append(len(building))
        time.sleep(0.02)
        try:
            return build(cls, **options)
        finally:
            building.remove(cls)

    assert [One.__pydantic_complete__, Two.__pydantic_complete__] == [False, False]
    monkeypatch.setattr(BaseModel, "model_rebuild", classmethod(slowly))
    threads = [
        threading.Thread(target=lambda: One(value=Decimal(1))),
        threading.Thread(target=lambda: Two(value=timedelta(1))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert [One.__pydantic_complete__, Two.__pydantic_complete__] == [True, True]


# --- schemas ---------------------------------------------------------------------------------------------------------


SIZES = {
    "absurd power",
    "a power just too large",
    "a power just too small",
    "tiny power",
    "absurd",
    "a century and a day",
    "far too long",
    "long and large",
}


@pytest.mark.parametrize(
    ("schema", "adapter", "good", "bad"),
    [
        (NUMBER_SCHEMA, TypeAdapter[object](Number), [text for text, _ in NUMBERS.values()], NO_NUMBERS),
        (DURATION_SCHEMA, TypeAdapter[object](Duration), list(SPANS), NO_SPANS),
    ],
    ids=["number", "duration"],
)
def test_the_schema_and_the_reader_agree_on_text(
    schema: dict[str, object], adapter: TypeAdapter[object], good: list[object], bad: dict[str, object]
) -> None:
    """Sizes are the reader's alone. Python's own `$` would also let a line feed pass; JSON Schema's does not."""
    check = jsonschema.Draft202012Validator(schema)
    assert adapter.json_schema() == schema
    for value in good:
        assert check.is_valid(value) or not isinstance(value, str), value
    for name, value in bad.items():
        if isinstance(value, str) and name not in SIZES and "\n" not in value:
            assert not check.is_valid(value), value
