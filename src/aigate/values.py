"""The kinds of value everything else is made of: frozen, finite, aware, never silently absent.

A value that cannot be trusted cannot be built. Numbers are `Decimal` from
text, instants are aware and in UTC, containers are tuples, and what could not
be had is `Missing` with a reason: never None, 0 or -1.
"""

import re
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

T = TypeVar("T")


_building = threading.RLock()


class Model(BaseModel):
    """Base of all data: frozen, strict, and closed to keys it does not know.

    A validator is built when it is first needed: no command needs them all.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        defer_build=True,
        populate_by_name=True,  # a field called `from` can only be given as `from_` in Python
    )

    @classmethod
    def model_rebuild(cls, **options: Any) -> bool | None:
        """Build the validator, one thread at a time.

        Collectors are threads. In pydantic before 2.14, two that build one model
        at once undo each other's work, and its base's validator answers instead.
        """
        with _building:
            return super().model_rebuild(**options)


_LONGEST_REASON = 2000


def _short(text: object) -> object:
    return (
        f"{text[: _LONGEST_REASON - 1]}…" if isinstance(text, str) and len(text) > _LONGEST_REASON else text
    )


Reason = Annotated[str, BeforeValidator(_short)]
"""Why something could not be had; a source that goes on and on is cut short."""


class Missing(Model):
    """Ignorance with a reason: evidence that was asked for and could not be had.

    It is not "the answer was none": a source that answered "none" is a fact,
    and its place holds None.
    """

    missing: Reason
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
    Evident = Annotated[T | Missing, Field(union_mode="left_to_right")]


def missing(reason: str, source: str) -> Any:
    """Return `Missing(reason, source)`, typed so that it fits any `Evident` place."""
    return Missing(missing=reason, source=source)


def gap(value: object) -> Missing | None:
    """Return the gap in an `Evident` place, or None where a fact stands in it."""
    return value if isinstance(value, Missing) else None


# [0-9] and never \d: the digits of other scripts are not what was declared.
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_SHORT = re.compile(r"(?=[0-9])(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")
_ISO = re.compile(
    r"P(?=.)(?:([0-9]+)W)?(?:([0-9]+)D)?"
    r"(?:T(?=.)(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+(?:\.[0-9]{1,6})?)S)?)?"
)
_LONGEST = timedelta(days=36_500)
_NO_DURATION = "not a duration: write 90s, 15m, 2h, 7d or PT12H"
_NO_NUMBER = "not a number: write it in digits, such as 0.92"
_REMEMBERED = 4096
"""Texts whose value is kept: a replay of many records reads the same limits and times again and again."""
_DIGITS = 400
"""Longest number taken, in characters of its plain form; a longer one is an attack or a mistake."""


@lru_cache(maxsize=_REMEMBERED)
def _instant_of(text: str) -> datetime:
    if not _INSTANT.fullmatch(text):
        raise ValueError("not an instant: write 2026-08-02T09:30:00Z, with its zone")
    return _in_utc(datetime.fromisoformat(text))


def _instant(value: object) -> datetime:
    if isinstance(value, str):
        return _instant_of(value)
    if not isinstance(value, datetime):
        raise ValueError("not an instant: write 2026-08-02T09:30:00Z, with its zone")
    if value.tzinfo is None:
        raise ValueError("an instant without a zone: nobody can say when that was")
    return _in_utc(value)


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as e:
        raise ValueError("an instant outside of the years 1 to 9999") from e


NUMBER_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{_NUMBER.pattern}$"}]
}
"""JSON Schema of a number, for editors of manifests."""

DURATION_SCHEMA: dict[str, Any] = {
    "type": "string",
    "pattern": f"^({_SHORT.pattern}|{_ISO.pattern})$",
    "examples": ["15m", "2h", "7d", "PT12H"],
}
"""JSON Schema of a span of time."""


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


@lru_cache(maxsize=_REMEMBERED)
def _number_of(text: str) -> Decimal:
    if len(text) > _DIGITS or not _NUMBER.fullmatch(text):
        raise ValueError(_NO_NUMBER)
    return Decimal(text)


def parse_number(value: object) -> Decimal:
    """Read a finite number from its text, an integer or a decimal; never from a float.

    Raises ValueError for anything else, and for a number so long that its
    plain form (`show_number`) could not be read again.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise ValueError(_NO_NUMBER)
    number = _number_of(value) if isinstance(value, str) else Decimal(value)
    if not number.is_finite():
        raise ValueError("not a finite number")
    if _plain_length(number) > _DIGITS:
        raise ValueError("a number beyond all measure")
    return number


def _plain_length(number: Decimal) -> int:
    """Return how long `show_number` would be, or a little more, without writing it."""
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)  # only a number that is not finite has a word there
    return sign + (len(digits) + exponent if exponent > 0 else max(len(digits), 1 - exponent) + 1)


def show_number(value: Decimal) -> str:
    """Write a number plainly: no exponent, zeros kept as given (`0.90` stays `0.90`)."""
    return f"{value:f}"


LARGEST_INTEGER = 2**53 - 1
"""The largest whole number that every reader of JSON takes exactly (RFC 8785 refuses others)."""

_INTEGER = re.compile(r"-?[1-9][0-9]{15,398}")


def _integer(value: object) -> object:
    if isinstance(value, str) and _INTEGER.fullmatch(value) and abs(int(value)) > LARGEST_INTEGER:
        return int(value)
    return value


def _write_integer(value: int) -> int | str:
    return value if abs(value) <= LARGEST_INTEGER else str(value)


def parse_duration(value: object) -> timedelta:
    """Read a span of time: `90s`, `15m`, `2h`, `1d12h`, `4w`, or ISO 8601 (`PT12H`).

    Text has no sign: it says zero or more. Raises ValueError where it is
    neither form, or is beyond a hundred years.
    """
    if isinstance(value, str):
        return _duration_of(value)
    if not isinstance(value, timedelta):
        raise ValueError(_NO_DURATION)
    if abs(value) > _LONGEST:
        raise ValueError("a duration beyond a hundred years")
    return value


@lru_cache(maxsize=_REMEMBERED)
def _duration_of(text: str) -> timedelta:
    match = (_SHORT.fullmatch(text) or _ISO.fullmatch(text)) if 0 < len(text) <= 40 else None
    if match is None:
        raise ValueError(_NO_DURATION)
    weeks, days, hours, minutes, seconds = (Decimal(part or 0) for part in match.groups())
    total = ((weeks * 7 + days) * 24 + hours) * 3600 + minutes * 60 + seconds
    if total > _LONGEST.total_seconds():
        raise ValueError("a duration beyond a hundred years")
    return timedelta(microseconds=int(total * 1_000_000))


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
    BeforeValidator(parse_number),
    PlainSerializer(show_number, return_type=str),
    WithJsonSchema(NUMBER_SCHEMA),
]
"""A finite decimal taken from text, so that 0.92 - 0.02 is 0.90."""

Integer = Annotated[
    int,
    BeforeValidator(_integer),
    PlainSerializer(_write_integer, when_used="json"),
]
"""A whole number from outside. One that JSON's readers would round (beyond 2^53) is written as text."""

Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    PlainSerializer(_write_duration, return_type=str),
    WithJsonSchema(DURATION_SCHEMA),
]
"""A span of time: `2h`, `7d`, `PT12H`."""

NAME_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=NAME_PATTERN),
]
"""A short name on one line."""

Text = Annotated[str, StringConstraints(max_length=20_000)]
"""Text that came from outside; reports escape it."""

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""A content digest: `sha256:` and 64 hexadecimal digits."""

VERSION_PATTERN = r"^[1-9][0-9]{0,9}$"
VersionNumber = Annotated[str, StringConstraints(pattern=VERSION_PATTERN)]
"""A model version as MLflow numbers them. MLflow itself also takes "01" and " 1"; aigate does not."""
