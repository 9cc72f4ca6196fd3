"""The kinds of value everything else is made of: frozen, finite, aware, never silently absent.

A value that cannot be trusted cannot be built. Numbers are `Decimal` from
text, instants are aware and in UTC, containers are tuples, and what could not
be had is `Missing` with a reason: never None, 0 or -1.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

T = TypeVar("T")


class Model(BaseModel):
    """Base of all data: frozen, strict, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Missing(Model):
    """Ignorance with a reason: evidence that was asked for and could not be had.

    It is not "the answer was none": a source that answered "none" is a fact,
    and its place holds None.
    """

    missing: str
    """Why, in words for a person: what was asked, what came back."""
    source: str
    """Who was asked, as shown to people (no query, no credentials)."""

    def __bool__(self) -> bool:
        """Missing evidence is never true."""
        return False


if TYPE_CHECKING:
    # Policy authors read evidence through a view that raises on `Missing`, so
    # what their type checker should see is the fact itself.
    Evident = Annotated[T, "evidence"]
else:
    Evident = Union[T, Missing]  # noqa: UP007 - a generic alias; `T | Missing` is not one in 3.11


def missing(reason: str, source: str) -> Any:
    """Return `Missing(reason, source)`, typed so that it fits any `Evident` place."""
    return Missing(missing=reason, source=source)


def gap(value: object) -> Missing | None:
    """Return the gap in an `Evident` place, or None where a fact stands in it."""
    return value if isinstance(value, Missing) else None


_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,3})?")
_SHORT = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_ISO = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,6})?)S)?)?")
_LONGEST = timedelta(days=36_500)
_DIGITS = 400
"""Longest number taken, in characters; a longer one is an attack or a mistake."""


def _instant(value: object) -> datetime:
    if isinstance(value, str):
        if not _INSTANT.fullmatch(value):
            raise ValueError("not an instant: write 2026-08-02T09:30:00Z, with its zone")
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise ValueError("not an instant: write 2026-08-02T09:30:00Z, with its zone")
    if value.tzinfo is None:
        raise ValueError("an instant without a zone: nobody can say when that was")
    return value.astimezone(UTC)


def show_instant(value: datetime) -> str:
    """Write an instant as RFC 3339 in UTC, with as many decimals as it needs."""
    text = value.astimezone(UTC).isoformat()
    return text.removesuffix("+00:00") + "Z"


def _day(value: object) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        return date.fromisoformat(value)
    if type(value) is date:
        return value
    raise ValueError("not a date: write 2026-08-02")


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise ValueError(f"not a number: {type(value).__name__}")
    if isinstance(value, str) and (len(value) > _DIGITS or not _NUMBER.fullmatch(value)):
        raise ValueError("not a number: write it in digits, such as 0.92")
    try:
        number = Decimal(value)
    except InvalidOperation as e:  # pragma: no cover - the pattern admits only numbers
        raise ValueError("not a number") from e
    if not number.is_finite() or abs(number.adjusted()) > _DIGITS:
        raise ValueError("not a finite number")
    return number


def show_number(value: Decimal) -> str:
    """Write a number plainly: no exponent, zeros kept as given (`0.90` stays `0.90`)."""
    return f"{value:f}"


def parse_duration(value: object) -> timedelta:
    """Read a span of time: `90s`, `15m`, `2h`, `1d12h`, `4w`, or ISO 8601 (`PT12H`).

    Raises ValueError where it is neither, is not positive, or is beyond a
    hundred years.
    """
    if isinstance(value, timedelta):
        span = value
    elif isinstance(value, str) and value and (match := _SHORT.fullmatch(value) or _ISO.fullmatch(value)):
        if len(value) > 40 or not any(match.groups()):
            raise ValueError("not a duration: write 90s, 15m, 2h, 7d or PT12H")
        weeks, days, hours, minutes, seconds = match.groups()
        try:
            span = timedelta(
                weeks=int(weeks or 0),
                days=int(days or 0),
                hours=int(hours or 0),
                minutes=int(minutes or 0),
                seconds=0,
            ) + timedelta(microseconds=int(Decimal(seconds or 0) * 1_000_000))
        except OverflowError as e:
            raise ValueError("a duration beyond a hundred years") from e
    else:
        raise ValueError("not a duration: write 90s, 15m, 2h, 7d or PT12H")
    if span > _LONGEST:
        raise ValueError("a duration beyond a hundred years")
    return span


def _write_duration(value: timedelta) -> str:
    """Write a duration exactly, as ISO 8601 seconds: the form of records, not of reports."""
    micros = round(value / timedelta(microseconds=1))
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    whole, rest = divmod(micros, 1_000_000)
    return f"{sign}PT{whole}S" if not rest else f"{sign}PT{whole}.{rest:06d}S"


def _read_duration(value: object) -> timedelta:
    if isinstance(value, str) and value.startswith("-"):
        return -parse_duration(value[1:])
    return parse_duration(value)


def show_duration(value: timedelta) -> str:
    """Write a span for people, in its two largest units: `12h 05m`, `3d 4h`, `45s`."""
    seconds = round(abs(value).total_seconds())
    sign = "-" if value < timedelta(0) else ""
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    if days:
        return f"{sign}{days}d {hours}h" if hours else f"{sign}{days}d"
    if hours:
        return f"{sign}{hours}h {minutes:02d}m" if minutes else f"{sign}{hours}h"
    if minutes:
        return f"{sign}{minutes}m {seconds:02d}s" if seconds else f"{sign}{minutes}m"
    return f"{sign}{seconds}s"


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    PlainSerializer(show_instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment: aware, in UTC; RFC 3339 in text."""

Day = Annotated[
    date,
    BeforeValidator(_day),
    PlainSerializer(date.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "format": "date"}),
]
"""A calendar day, as people sign documents with."""

Number = Annotated[
    Decimal,
    BeforeValidator(_number),
    PlainSerializer(show_number, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": _NUMBER.pattern}]}),
]
"""A finite decimal taken from text, so that 0.92 - 0.02 is 0.90."""

Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    PlainSerializer(_write_duration, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["15m", "2h", "7d", "PT12H"]}),
]
"""A span of time: `2h`, `7d`, `PT12H`."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A short name on one line."""

Text = Annotated[str, StringConstraints(max_length=20_000)]
"""Text that came from outside; reports escape it."""

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""A content digest: `sha256:` and 64 hexadecimal digits."""

VersionNumber = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,9}$")]
"""A model version as MLflow numbers them. MLflow itself also takes "01" and " 1"; aigate does not."""
