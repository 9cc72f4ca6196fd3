"""Reading instants: one table of what sources send, and what must never look fresh."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aigate.collect.instants import BadInstant, ParsedInstant, parse_http_date, parse_instant, zone_named

NOW = datetime(2026, 11, 21, 21, 11, 30, tzinfo=UTC)


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


TEN = at(2026, 11, 21, 10)

GOOD = [
    pytest.param("2026-11-21T10:00:00Z", TEN, id="zulu"),
    pytest.param("2026-11-21t10:00:00z", TEN, id="lower-case"),
    pytest.param("2026-11-21 10:00:00Z", TEN, id="space"),
    pytest.param("2026-11-21T10:00:00+00:00", TEN, id="zero-offset"),
    pytest.param("2026-11-21T10:00:00-00:00", TEN, id="minus-zero-offset"),
    pytest.param("2026-11-21T19:00:00+09:00", TEN, id="tokyo"),
    pytest.param("2026-11-21T04:30:00-05:30", TEN, id="west-with-minutes"),
    pytest.param("2026-11-21T19:00:00+0900", TEN, id="offset-without-colon"),
    pytest.param("2026-11-21 10:00:00+00", TEN, id="postgres"),
    pytest.param("2026-11-21 10:00:00 UTC", TEN, id="bigquery"),
    pytest.param("2026-11-21T10:00:00.5Z", at(2026, 11, 21, 10, 0, 0, 500_000), id="fraction"),
    pytest.param("2026-11-21T10:00:00.123456999Z", at(2026, 11, 21, 10, 0, 0, 123_456), id="nanoseconds-cut"),
    pytest.param("2026-11-21T21:12:30Z", at(2026, 11, 21, 21, 12, 30), id="60-s-ahead"),
    pytest.param("1990-01-01T00:00:00Z", at(1990, 1, 1), id="oldest"),
    pytest.param(datetime(2026, 11, 21, 19, tzinfo=timezone(timedelta(hours=9))), TEN, id="aware-datetime"),
]

BAD = [
    pytest.param("2026-11-21T21:12:30.000001Z", "future", id="beyond-60-s"),
    pytest.param("2027-11-21T10:00:00Z", "future", id="next-year"),
    pytest.param("9999-12-31T23:59:59Z", "future", id="end-of-time"),
    pytest.param("9999-12-31T23:59:59-10:00", "future", id="beyond-the-end-of-time"),
    pytest.param("2026-11-21T10:00:00", "zone", id="naive"),
    pytest.param("2026-11-21 10:00:00.5", "zone", id="naive-with-fraction"),
    pytest.param(datetime(2026, 11, 21, 10), "zone", id="naive-datetime"),  # noqa: DTZ001 - the case
    pytest.param("2026-11-21", "form", id="bare-date"),
    pytest.param("20261121", "form", id="basic-date"),
    pytest.param("20261121T211130Z", "form", id="basic-time"),
    pytest.param("2026-W47-6T10:00:00Z", "form", id="week-date"),
    pytest.param("2026-11-21T10:00Z", "form", id="without-seconds"),
    pytest.param("2026-11-21T10:00:00+00:00Z", "form", id="offset-and-zulu"),
    pytest.param("2026-11-21T10:00:00,5Z", "form", id="comma"),
    pytest.param("2026-11-21T10:00:00.Z", "form", id="empty-fraction"),
    pytest.param("2026-11-21T10:00:00 Europe/Berlin", "form", id="zone-name-in-text"),
    pytest.param("2026-11-21T10:00:00+9:00", "form", id="short-offset"),
    pytest.param("2026-11-21T10:00:00+24:00", "form", id="offset-of-a-day"),
    pytest.param("2026-11-21T10:00:00+00:60", "form", id="offset-of-60-minutes"),
    pytest.param("2026-11-21T24:00:00Z", "form", id="hour-24"),
    pytest.param("2016-12-31T23:59:60Z", "form", id="leap-second"),
    pytest.param("2026-02-29T10:00:00Z", "form", id="no-such-day"),
    pytest.param("2026-13-01T10:00:00Z", "form", id="no-such-month"),
    pytest.param(" 2026-11-21T10:00:00Z", "form", id="leading-space"),
    pytest.param("2026-11-21T10:00:00Z\n", "form", id="trailing-newline"),
    pytest.param("２０２６-11-21T10:00:00Z", "form", id="full-width-digits"),
    pytest.param("−2026-11-21T10:00:00Z", "form", id="minus-sign"),
    pytest.param("21/11/2026 10:00", "form", id="slashes"),
    pytest.param("now", "form", id="word"),
    pytest.param("NaN", "form", id="nan-text"),
    pytest.param("0001-01-01T00:00:00Z", "sentinel", id="dbt-empty-table"),
    pytest.param("0001-01-01T00:00:00+09:00", "sentinel", id="before-the-beginning"),
    pytest.param("0001-01-01 00:00:00", "sentinel", id="naive-sentinel"),
    pytest.param("1970-01-01T00:00:00Z", "sentinel", id="epoch"),
    pytest.param("1989-12-31T23:59:59Z", "sentinel", id="last-of-1989"),
    pytest.param("1990-01-01T00:00:00+01:00", "sentinel", id="1989-in-utc"),
    pytest.param("1732222222", "unit", id="digits"),
    pytest.param("1732222222.5", "unit", id="digits-with-fraction"),
    pytest.param("0", "unit", id="zero-text"),
    pytest.param(1732222222, "unit", id="number"),
    pytest.param(Decimal("1732222222.5"), "unit", id="decimal"),
    pytest.param(20261121, "unit", id="date-number"),
    pytest.param(True, "kind", id="true"),
    pytest.param(False, "kind", id="false"),
    pytest.param([], "kind", id="list"),
    pytest.param({"at": 1}, "kind", id="mapping"),
    pytest.param(b"2026-11-21T10:00:00Z", "kind", id="bytes"),
    pytest.param(date(2026, 11, 21), "kind", id="date-object"),
    pytest.param(None, "absent", id="none"),
    pytest.param("", "absent", id="empty"),
]


@pytest.mark.parametrize(("value", "expected"), GOOD)
def test_reads(value: object, expected: datetime) -> None:
    read = parse_instant(value, now=NOW)
    assert read == ParsedInstant(expected)
    assert isinstance(read, ParsedInstant)
    assert read.at.tzinfo is UTC
    assert parse_instant(value, now=NOW, unit="s", zone="Asia/Tokyo") == read


@pytest.mark.parametrize(("value", "fault"), BAD)
def test_refuses(value: object, fault: str) -> None:
    read = parse_instant(value, now=NOW)
    assert isinstance(read, BadInstant)
    assert read.fault == fault
    assert read.reason.isprintable()


S, MS, US, NS = 1732222222, 1732222222123, 1732222222123456, 1732222222123456789
MOMENT = at(2024, 11, 21, 20, 50, 22)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        pytest.param(S, "s", MOMENT, id="s"),
        pytest.param(str(S), "s", MOMENT, id="s-text"),
        pytest.param("1.732222222e+09", "s", MOMENT, id="prometheus"),
        pytest.param(float(S) + 0.5, "s", MOMENT.replace(microsecond=500_000), id="s-float"),
        pytest.param(Decimal("1732222222.123456789"), "s", MOMENT.replace(microsecond=123_456), id="s-cut"),
        pytest.param(MS, "ms", MOMENT.replace(microsecond=123_000), id="ms"),
        pytest.param(US, "us", MOMENT.replace(microsecond=123_456), id="us"),
        pytest.param(NS, "ns", MOMENT.replace(microsecond=123_456), id="ns"),
    ],
)
def test_counts_from_the_epoch(value: object, unit: str, expected: datetime) -> None:
    assert parse_instant(value, now=NOW, unit=unit) == ParsedInstant(expected)
    told = parse_instant(value, now=NOW, unit="auto")
    assert told == ParsedInstant(expected, inferred=True, note=f"unit {unit} told from the size")


@pytest.mark.parametrize("year", [1991, 2000, 2026])
def test_the_unit_is_told_from_the_size_at_all_times(year: int) -> None:
    seconds = int(at(year, 2, 3).timestamp())
    for unit, count in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        told = parse_instant(seconds * count, now=NOW, unit="auto")
        assert told == ParsedInstant(at(year, 2, 3), inferred=True, note=f"unit {unit} told from the size")


@pytest.mark.parametrize(
    ("value", "unit", "fault"),
    [
        pytest.param(MS, "s", "future", id="ms-as-s"),
        pytest.param(NS, "us", "future", id="ns-as-us"),
        pytest.param(S, "ms", "sentinel", id="s-as-ms"),
        pytest.param(0, "s", "sentinel", id="zero"),
        pytest.param(-1, "s", "sentinel", id="minus-one"),
        pytest.param("-62135596800", "s", "sentinel", id="year-one"),
        pytest.param("20261121", "s", "sentinel", id="date-as-s"),
        pytest.param(20261121, "auto", "unit", id="date-as-auto"),
        pytest.param(0, "auto", "unit", id="zero-auto"),
        pytest.param(-S, "auto", "unit", id="negative-auto"),
        pytest.param(10**20, "auto", "unit", id="beyond-auto"),
        pytest.param(int(NOW.timestamp()) + 61, "s", "future", id="61-s-ahead"),
        pytest.param(S, "minutes", "unit", id="no-such-unit"),
        pytest.param(253_402_300_800, "s", "future", id="year-10000"),
        pytest.param(10**5000, "s", "form", id="absurd-integer"),
        pytest.param("1e999999", "s", "form", id="absurd-exponent"),
        pytest.param("1" * 60, "s", "form", id="absurd-text"),
        pytest.param(Decimal("NaN"), "s", "form", id="nan"),
        pytest.param(Decimal("-Infinity"), "auto", "form", id="infinity"),
        pytest.param(float("inf"), "s", "form", id="float-infinity"),
        pytest.param("NaN", "s", "form", id="nan-text"),
        pytest.param("+1732222222", "s", "form", id="plus"),
        pytest.param(True, "s", "kind", id="true"),
    ],
)
def test_refuses_numbers(value: object, unit: str, fault: str) -> None:
    read = parse_instant(value, now=NOW, unit=unit)
    assert isinstance(read, BadInstant)
    assert read.fault == fault
    assert len(read.reason) < 140


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        pytest.param("2026-11-21 10:00:00", "UTC", TEN, id="utc"),
        pytest.param("2026-11-21T19:00:00", "Asia/Tokyo", TEN, id="tokyo"),
        pytest.param("2026-11-21T19:00:00", "+09:00", TEN, id="offset"),
        pytest.param("2026-11-21T05:00:00", "-0500", TEN, id="west"),
        pytest.param("2026-07-01T12:00:00", "Europe/Berlin", at(2026, 7, 1, 10), id="summer"),
        # 02:30 comes twice: 00:30 and 01:30 UTC. The earlier one makes the data older.
        pytest.param("2026-10-25T02:30:00", "Europe/Berlin", at(2026, 10, 25, 0, 30), id="twice"),
    ],
)
def test_a_declared_zone(text: str, zone: str, expected: datetime) -> None:
    note = f"read as time in {zone}, as declared"
    assert parse_instant(text, now=NOW, zone=zone) == ParsedInstant(expected, note=note)
    naive = datetime.fromisoformat(text).replace(fold=1)
    assert parse_instant(naive, now=NOW, zone=zone) == ParsedInstant(expected, note=note)


@pytest.mark.parametrize(
    ("text", "zone", "fault"),
    [
        pytest.param("2026-11-21 10:00:00", "Europe/Atlantis", "zone", id="unknown"),
        pytest.param("2026-11-21 10:00:00", "../../etc/passwd", "zone", id="path"),
        pytest.param("2026-11-21 10:00:00", "Europe", "zone", id="directory"),
        pytest.param("2026-11-21 10:00:00", "", "zone", id="empty"),
        pytest.param("2026-11-21 10:00:00", "+25:00", "zone", id="impossible-offset"),
        pytest.param("2026-11-21 10:00:00", "x" * 5000, "zone", id="long"),
        pytest.param("2026-03-29T02:30:00", "Europe/Berlin", "zone", id="in-the-gap"),
        pytest.param("9999-12-31T23:00:00", "-05:00", "future", id="end-of-time"),
        # Local time taken for UTC would be an hour fresher than fresh.
        pytest.param("2026-11-21T22:11:30", "UTC", "future", id="local-time-as-utc"),
    ],
)
def test_a_declared_zone_that_does_not_fit(text: str, zone: str, fault: str) -> None:
    read = parse_instant(text, now=NOW, zone=zone)
    assert isinstance(read, BadInstant)
    assert read.fault == fault


def test_a_zone_is_known_or_not() -> None:
    assert zone_named("UTC") is UTC
    assert zone_named("Nowhere/Land") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", at(1994, 11, 6, 8, 49, 37), id="imf-fixdate"),
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", at(1994, 11, 6, 8, 49, 37), id="rfc-850"),
        pytest.param(
            "Wednesday, 18-Nov-26 08:49:37 GMT", at(2026, 11, 18, 8, 49, 37), id="rfc-850-this-century"
        ),
        pytest.param("Sun Nov  6 08:49:37 1994", at(1994, 11, 6, 8, 49, 37), id="asctime"),
        pytest.param("Sat Nov 21 08:49:37 2026", at(2026, 11, 21, 8, 49, 37), id="asctime-two-digits"),
        pytest.param("Sat, 21 Nov 2026 21:12:30 GMT", at(2026, 11, 21, 21, 12, 30), id="60-s-ahead"),
    ],
)
def test_http_dates(value: str, expected: datetime) -> None:
    assert parse_http_date(value, now=NOW) == ParsedInstant(expected)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        pytest.param("Sat, 21 Nov 2026 21:12:31 GMT", "future", id="future"),
        pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", "sentinel", id="epoch"),
        pytest.param("Tuesday, 18-Nov-70 08:49:37 GMT", "future", id="rfc-850-within-50-years"),
        pytest.param("Friday, 18-Nov-77 08:49:37 GMT", "sentinel", id="rfc-850-beyond-50-years"),
        pytest.param("Mon, 06 Nov 1994 08:49:37 GMT", "form", id="wrong-weekday"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 -0000", "form", id="minus-zero"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 +0900", "form", id="offset"),
        pytest.param("Sun, 06 Nov 1994 08:49:37", "form", id="no-zone"),
        pytest.param("sun, 06 nov 1994 08:49:37 gmt", "form", id="case"),
        pytest.param("Sun, 6 Nov 1994 08:49:37 GMT", "form", id="one-digit-day"),
        pytest.param("Wed, 31 Feb 2026 08:49:37 GMT", "form", id="no-such-day"),
        pytest.param("Sun, 06 Nov 1994 08:49:60 GMT", "form", id="leap-second"),
        pytest.param("Sun, 00 Nov 1994 08:49:37 GMT", "form", id="day-zero"),
        pytest.param("2026-11-21T10:00:00Z", "form", id="rfc-3339"),
        pytest.param("0", "form", id="expires-zero"),
        pytest.param("", "absent", id="empty"),
        pytest.param(None, "absent", id="none"),
        pytest.param(1732222222, "kind", id="number"),
    ],
)
def test_refuses_http_dates(value: object, fault: str) -> None:
    read = parse_http_date(value, now=NOW)
    assert isinstance(read, BadInstant)
    assert read.fault == fault


def test_a_naive_now_is_the_callers_mistake() -> None:
    for reader in (parse_instant, parse_http_date):
        with pytest.raises(ValueError, match="`now` needs a zone"):
            reader("2026-11-21T10:00:00Z", now=NOW.replace(tzinfo=None))


def test_the_allowance_can_be_set() -> None:
    value = "2026-11-21T21:13:30Z"
    assert isinstance(parse_instant(value, now=NOW), BadInstant)
    assert isinstance(parse_instant(value, now=NOW, max_skew=timedelta(minutes=2)), ParsedInstant)
    ahead = "Sat, 21 Nov 2026 21:13:30 GMT"
    assert isinstance(parse_http_date(ahead, now=NOW, max_skew=timedelta(minutes=2)), ParsedInstant)


ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1991, 1, 1), datetime(2026, 11, 20), timezones=ZONES))  # noqa: DTZ001
def test_reads_what_python_writes(moment: datetime) -> None:
    expected = ParsedInstant(moment.astimezone(UTC))
    assert parse_instant(moment.isoformat(), now=NOW) == expected
    assert parse_instant(moment, now=NOW) == expected
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert parse_instant(micros, now=NOW, unit="us") == expected
    assert parse_instant(Decimal(micros) / 10**6, now=NOW, unit="s") == expected


ANYTHING = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals(allow_nan=True) | st.text(max_size=30)
    | st.datetimes() | st.datetimes(timezones=ZONES) | st.binary(max_size=5) | st.dates()
    | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{8,14}(Z|[+-][0-9:]{2,5})?", fullmatch=True)
    | st.from_regex(r"-?[0-9]{1,22}(\.[0-9]{1,4})?(e[0-9]{1,7})?", fullmatch=True)
)  # fmt: skip


@given(
    ANYTHING,
    st.sampled_from([None, "s", "ms", "us", "ns", "auto", "h"]),
    st.sampled_from([None, "UTC", "Europe/Berlin", "+14:00", "-12", "nowhere"]),
)
def test_never_raises_and_never_answers_a_future_or_a_sentinel(
    value: object, unit: str | None, zone: str | None
) -> None:
    read = parse_instant(value, now=NOW, unit=unit, zone=zone)
    if isinstance(read, ParsedInstant):
        assert read.at.tzinfo is UTC
        assert at(1990, 1, 1) <= read.at <= NOW + timedelta(seconds=60)
    else:
        assert read.reason
        assert read.reason.isprintable()
    assert isinstance(parse_http_date(value, now=NOW), BadInstant)


@given(st.text(max_size=40))
def test_text_without_zone_or_unit_is_never_a_time(text: str) -> None:
    assume(not text.upper().endswith(("Z", "UTC")) and "+" not in text and "-" not in text)
    assert isinstance(parse_instant(text, now=NOW), BadInstant)
