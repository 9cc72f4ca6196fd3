"""Instants as sources write them: read exactly, or refused with the reason. Never guessed, never "fresh".

A time from an endpoint is evidence, so nothing here raises for what a source sent:
the answer is a `ParsedInstant` or a `BadInstant`. Python's own readers are too kind
for a gate: `datetime.fromisoformat` takes `20261121`, bare dates and times without a
zone; pydantic takes `20261121` for seconds; both would call the result fresh.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Literal

from aigate.collect.strict import JSON_NUMBER, quote

MAX_SKEW: Final = timedelta(seconds=60)
"""How far a source's clock may be ahead of ours before its time is one in the future."""

OLDEST_YEAR: Final = 1990
"""Earlier times are sentinels (`0001-01-01`, the epoch): they say that there are no data."""

Fault = Literal["absent", "kind", "form", "zone", "unit", "sentinel", "future"]
"""What is wrong with an instant, in a word that code may test."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_MICROSECOND: Mapping[str, Decimal] = MappingProxyType(
    {"s": Decimal(1_000_000), "ms": Decimal(1000), "us": Decimal(1), "ns": Decimal("0.001")}
)
_SIZES = (("ns", 10**17), ("us", 10**14), ("ms", 10**11), ("s", 10**8))
_LARGEST_POWER = 30  # of ten; what is longer is no time in any unit and is not worth computing with
_LAST_MICROSECOND = Decimal(253_402_300_800_000_000)  # the first one of the year 10000
# RFC 3339 §5.6 (with its note on the space), and three neighbours that can be read in one way
# only and that databases and Java write: `+0900`, `+09` and ` UTC`. No zone at all is a naive time.
_WRITTEN = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.(?P<fraction>[0-9]{1,18}))?"
    r"(?P<zone>[Zz]| UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_DATE_ONLY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}")
_OFFSET = re.compile(r"([+-])([0-9]{2})(?::?([0-9]{2}))?")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY, _MONTH = "(?P<name>" + "|".join(_DAYS) + ")", "(?P<month>" + "|".join(_MONTHS) + ")"
_CLOCK = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
# RFC 9110 §5.6.7: what servers must send, and the two older forms that readers must accept.
_HTTP_DATES = (
    re.compile(f"{_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_CLOCK} GMT"),
    re.compile(f"{_DAY}(?:s|nes|rs|ur)?day, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_CLOCK} GMT"),
    re.compile(f"{_DAY} {_MONTH} (?P<day>[ 0-9][0-9]) {_CLOCK} (?P<year>[0-9]{{4}})"),
)


@dataclass(frozen=True, slots=True)
class ParsedInstant:
    """A moment that a source stated, in UTC.

    `inferred` is True where the unit of a number was told from its size; `note` says
    what had to be assumed (the unit, the declared zone), and is empty otherwise.
    """

    at: datetime
    inferred: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class BadInstant:
    """Why a value is no moment that a decision can rest on, for people and for code."""

    reason: str
    fault: Fault


def parse_instant(
    value: object,
    *,
    now: datetime,
    zone: str | None = None,
    unit: str | None = None,
    max_skew: timedelta = MAX_SKEW,
) -> ParsedInstant | BadInstant:
    """Read the instant a source sent.

    Text is RFC 3339 with a zone; without one it is read in `zone` (an IANA name or
    an offset such as `+09:00`) where that is declared. A number, also one in text,
    counts from the epoch in `unit`: `s`, `ms`, `us`, `ns`, or `auto` for the size
    to decide (1e8 to 1e11 s, to 1e14 ms, to 1e17 us, to 1e20 ns). What is finer than a
    microsecond is cut off towards the past. `now` is the decision's clock; a naive
    `now` is a ValueError, since it is the caller's mistake and no evidence.
    """
    if now.tzinfo is None:
        raise ValueError("`now` needs a zone")
    if value is None or value == "":
        return BadInstant("no time at all", "absent")
    read: ParsedInstant | BadInstant
    if isinstance(value, datetime):
        read = _placed(value, zone)
    elif isinstance(value, str) and (unit is None or not JSON_NUMBER.fullmatch(value)):
        read = _written(value, zone)
    elif isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
        read = _counted(value, unit)
    else:
        return BadInstant(f"a value of type {type(value).__name__} is no time", "kind")
    return read if isinstance(read, BadInstant) else _plausible(read, now, max_skew)


def parse_http_date(
    value: object, *, now: datetime, max_skew: timedelta = MAX_SKEW
) -> ParsedInstant | BadInstant:
    """Read the time in an HTTP header (`Date`, `Last-Modified`): RFC 9110 §5.6.7, all three forms.

    A weekday that contradicts its date is refused: one of the two is wrong.
    """
    if now.tzinfo is None:
        raise ValueError("`now` needs a zone")
    if value is None or value == "":
        return BadInstant("no time at all", "absent")
    if not isinstance(value, str):
        return BadInstant(f"a value of type {type(value).__name__} is no time", "kind")
    match = next(filter(None, (form.fullmatch(value) for form in _HTTP_DATES)), None)
    if match is None:
        return BadInstant(f"{quote(value, 40)} is not an HTTP date", "form")
    year = int(match["year"])
    if len(match["year"]) == 2:  # RFC 9110: over 50 years ahead means the most recent past year
        year += now.year - now.year % 100
        year -= 100 if year > now.year + 50 else 0
    try:
        at = datetime(
            year,
            _MONTHS.index(match["month"]) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            int(match["second"]),
            tzinfo=UTC,
        )
    except ValueError as error:
        return BadInstant(f"{quote(value, 40)} is not an HTTP date: {error}", "form")
    if _DAYS[at.weekday()] != match["name"]:
        return BadInstant(f"{quote(value, 40)} names the wrong weekday", "form")
    return _plausible(ParsedInstant(at), now, max_skew)


def zone_named(name: str) -> tzinfo | None:
    """The zone called `name` (`UTC`, `Europe/Berlin`, `+09:00`), or None if there is none here."""
    if name in ("UTC", "Z"):
        return UTC
    if offset := _OFFSET.fullmatch(name):
        return _fixed(offset)
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown; a path; a directory of zones
        return None


def _written(text: str, zone: str | None) -> ParsedInstant | BadInstant:
    shown = quote(text, 40)
    if _DATE_ONLY.fullmatch(text):
        return BadInstant(f"{shown} is a date without a time", "form")
    if JSON_NUMBER.fullmatch(text):
        return BadInstant(f"{shown} has no unit: declare s, ms, us, ns or auto", "unit")
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return BadInstant(f"{shown} is not a time in the form of RFC 3339", "form")
    try:
        # The fraction is cut off, not rounded: a time must not become later than it was.
        at = datetime.fromisoformat(f"{match['date']}T{match['time']}.{(match['fraction'] or '')[:6]:0<6}")
    except ValueError as error:
        return BadInstant(f"{shown} is no time: {error}", "form")
    if match["zone"] is None:
        return _placed(at, zone)
    own = zone_named(match["zone"].strip().upper())
    if own is None:
        return BadInstant(f"{shown} has an impossible offset", "form")
    return _placed(at.replace(tzinfo=own), None)


def _placed(value: datetime, zone: str | None) -> ParsedInstant | BadInstant:
    """`value` in UTC; a naive one is read in the declared `zone`."""
    if value.year < OLDEST_YEAR:  # first, since such years do not survive a change of zone
        return _sentinel(value.isoformat())
    note = ""
    try:
        if value.tzinfo is None:
            if zone is None:
                return BadInstant(f"{value.isoformat()} has no zone, and none is declared", "zone")
            declared = zone_named(zone)
            if declared is None:
                return BadInstant(f"the declared zone {quote(zone)} is not known", "zone")
            # In the hour that comes twice, fold=0 is the earlier: data count as older, never as fresher.
            placed = value.replace(tzinfo=declared, fold=0)
            if placed.astimezone(UTC).astimezone(declared).replace(tzinfo=None) != value:
                return BadInstant(f"{value.isoformat()} does not exist in {zone}", "zone")
            value, note = placed, f"read as time in {zone}, as declared"
        return ParsedInstant(value.astimezone(UTC), note=note)
    except OverflowError:  # the last hours of the year 9999
        return BadInstant(f"{value.isoformat()} is in the future", "future")


def _counted(value: str | float | Decimal, unit: str | None) -> ParsedInstant | BadInstant:
    """The instant that a number counts from the epoch."""
    number = Decimal(value) if isinstance(value, str | int) else Decimal(str(value))
    if not number.is_finite() or abs(number.adjusted()) > _LARGEST_POWER:
        return BadInstant("a number that is not finite or of absurd size is no time", "form")
    shown = f"{number}"[:40]
    if unit is None:
        return BadInstant(f"{shown} has no unit: declare s, ms, us, ns or auto", "unit")
    inferred = unit == "auto"
    if inferred:
        unit = next((name for name, least in _SIZES if number >= least), "")
        if not unit or number >= 10**20:
            return BadInstant(f"the unit of {shown} cannot be told from its size", "unit")
    if unit not in _PER_MICROSECOND:
        return BadInstant(f"{quote(unit)} is no unit of time: declare s, ms, us, ns or auto", "unit")
    microseconds = number * _PER_MICROSECOND[unit]
    if microseconds < 0:
        return _sentinel(f"{shown} {unit}")
    if microseconds >= _LAST_MICROSECOND:
        return BadInstant(f"{shown} {unit} is beyond the year 9999; is the unit right?", "future")
    at = _EPOCH + timedelta(microseconds=int(microseconds))
    return ParsedInstant(at, inferred, f"unit {unit} told from the size" if inferred else "")


def _plausible(read: ParsedInstant, now: datetime, max_skew: timedelta) -> ParsedInstant | BadInstant:
    if read.at.year < OLDEST_YEAR:
        return _sentinel(read.at.isoformat())
    if read.at - now > max_skew:
        return BadInstant(f"{read.at.isoformat()} is in the future", "future")
    return read


def _sentinel(shown: str) -> BadInstant:
    return BadInstant(f"{shown} is before {OLDEST_YEAR}: a sentinel, no data (or the wrong unit)", "sentinel")


def _fixed(offset: re.Match[str]) -> tzinfo | None:
    hours, minutes = int(offset[2]), int(offset[3] or 0)
    if hours > 23 or minutes > 59:
        return None
    span = timedelta(hours=hours, minutes=minutes)
    return timezone(-span if offset[1] == "-" else span)
