"""The one strict JSON loader, and the error it shares with the strict YAML loader.

What two parsers could read in two ways is refused here, once, for files and for
bodies of endpoints alike: duplicate keys, NaN and Infinity (also as `1e999`),
lone surrogates, text that is not UTF-8, and anything absurdly deep, long or
large. Numbers with a fraction or an exponent become `Decimal` from their text.

The C scanner of the standard library does the work. It does not say *where* a
hook refused something, so the place is looked up afterwards, on the bad path only.
"""

import json
import math
import re
from decimal import Decimal, InvalidOperation
from typing import Final, NoReturn

MAX_JSON_BYTES: Final = 1_048_576
"""Default cap on a JSON text, in bytes of UTF-8 (1 MiB)."""

MAX_DEPTH: Final = 32
"""Default cap on nesting: a scalar has depth 0, `[]` has depth 1."""

MAX_NUMBER_CHARACTERS: Final = 400
"""No number is written with more characters; it is refused before it is converted."""

JSON_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
"""How JSON writes an integer (use `fullmatch`)."""

JSON_NUMBER: Final = re.compile(JSON_INTEGER.pattern + r"(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
"""How JSON writes any number (use `fullmatch`)."""

_CONTAINERS = (dict, list)  # exactly what the scanner builds
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # both halves of a character
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
_TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\]|\\.)*")|(?P<open>[\[{])|(?P<close>[\]}])|(?P<colon>:)'
    r"|(?P<constant>NaN|-?Infinity)|(?P<number>-?[0-9][0-9.eE+-]*)",
    re.DOTALL,
)


class StrictError(ValueError):
    """A text that the strict loaders refuse, and the place in it.

    `line` and `column` count characters from 1. Callers translate: a user's file
    becomes a `ConfigError` with `place`, an endpoint's body becomes `Missing`.
    `source` is what the caller passed (a file name, a redacted URL), never opened here.
    """

    def __init__(self, message: str, line: int, column: int, *, source: str = "") -> None:
        super().__init__(f"{source or 'text'}:{line}:{column}: {message}")
        self.message = message
        self.line = line
        self.column = column
        self.source = source

    @property
    def place(self) -> str:
        """`source:line:column`, as compilers print it."""
        return f"{self.source}:{self.line}:{self.column}"


class _RefusedError(Exception):
    """A hook of the JSON scanner met something bad; the place is not known yet."""


def quote(text: str, limit: int = 60) -> str:
    """`text` in quotes for a message: cut at `limit`, with unprintable characters escaped."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def decimal_from_text(text: str) -> Decimal:
    """Read a number in JSON's spelling, exactly, as `Decimal`.

    Refused (`ValueError` with a message for people) are any other spelling, what is
    longer than `MAX_NUMBER_CHARACTERS`, and what lies beyond the range of a binary64:
    an accepted number is finite and stays so (and non-zero stays non-zero) as a float.
    """
    if JSON_NUMBER.fullmatch(text) is None:
        raise ValueError(f"{quote(text, 30)} is not a number in JSON's spelling")
    if len(text) < 300 and "e" not in text and "E" not in text:
        return Decimal(text)  # so short and plain that none of the limits can be met
    _check_length(text)
    near = float(text)
    if math.isinf(near):
        raise ValueError(f"the number {quote(text, 30)} is too large")
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond what even Decimal takes
        raise ValueError(f"the number {quote(text, 30)} has an absurd exponent") from None
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # infinity and NaN have no digits and never get here
    # A zero keeps its exponent, and `0e-999999999` would print as a gigabyte.
    if abs(exponent) > MAX_NUMBER_CHARACTERS or (near == 0 and number != 0):
        raise ValueError(f"the number {quote(text, 30)} is too small or has an absurd exponent")
    return number


def integer_from_text(text: str) -> int:
    """Read a JSON integer, exactly; the limits and errors are those of `decimal_from_text`."""
    if JSON_INTEGER.fullmatch(text) is None:
        raise ValueError(f"{quote(text, 30)} is not an integer in JSON's spelling")
    _check_length(text)
    if len(text) > 300 and math.isinf(float(text)):
        raise ValueError(f"the number {quote(text, 30)} is too large")
    return int(text)


def load_json(
    data: bytes | str, *, source: str, max_bytes: int = MAX_JSON_BYTES, max_depth: int = MAX_DEPTH
) -> object:
    """Read one JSON text into dict, list, str, int, `Decimal`, bool and None.

    One leading UTF-8 byte order mark is ignored (RFC 8259 §8.1 allows that, and it
    cannot change what the text means); every other encoding is refused.
    Raises `StrictError` with line and column.
    """
    text = decode_utf8(data, source=source, max_bytes=max_bytes)
    if not text.strip():
        raise StrictError("empty, not JSON", 1, 1, source=source)
    try:
        value: object = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=_refusing_decimal,
            parse_int=_refusing_integer,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg[0].lower()}{error.msg[1:]}"
        raise StrictError(message, error.lineno, error.colno, source=source) from error
    except (_RefusedError, RecursionError) as error:
        _raise_at_fault(text, source, max_depth, cause=error)
    if _deeper_than(value, max_depth):
        _raise_at_fault(text, source, max_depth, cause=None)
    if "\\u" in text:
        _check_surrogates(text, source)
    return value


def decode_utf8(data: bytes | str, *, source: str, max_bytes: int) -> str:
    """`data` as text without a leading byte order mark, or a `StrictError`.

    Text that is already decoded is held to the same rules: its size in UTF-8, and
    no lone surrogates.
    """
    if len(data) > max_bytes:
        raise StrictError(_too_large(len(data), max_bytes, data), 1, 1, source=source)
    if isinstance(data, str):
        try:
            size = len(data.encode())
        except UnicodeEncodeError as error:
            line, column = place_of(data, error.start)
            raise StrictError("a lone surrogate is not text", line, column, source=source) from error
        if size > max_bytes:
            raise StrictError(_too_large(size, max_bytes, b""), 1, 1, source=source)
        return data.removeprefix("\ufeff")
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        line, column = place_of(before, len(before))
        raise StrictError(
            f"not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}", line, column, source=source
        ) from error


def place_of(text: str, index: int) -> tuple[int, int]:
    """Line and column, from 1, of the character at `index`; only a line feed ends a line."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def _too_large(size: int, max_bytes: int, data: bytes | str) -> str:
    unit = "characters" if isinstance(data, str) else "bytes"
    return f"{size} {unit}, more than the {max_bytes} bytes that are allowed"


def _check_length(text: str) -> None:
    if len(text) > MAX_NUMBER_CHARACTERS:
        raise ValueError(f"a number of {len(text)} characters, {MAX_NUMBER_CHARACTERS} are allowed")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The object of these pairs, refusing a key that comes twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RefusedError
    return found


def _refusing_decimal(text: str) -> Decimal:
    try:
        return decimal_from_text(text)
    except ValueError as error:
        raise _RefusedError from error


def _refusing_integer(text: str) -> int:
    try:
        return integer_from_text(text)
    except ValueError as error:
        raise _RefusedError from error


def _constant(_: str) -> NoReturn:
    raise _RefusedError


def _deeper_than(value: object, max_depth: int) -> bool:
    """Whether containers nest deeper than `max_depth`, level by level and without recursion."""
    level = [value] if type(value) in _CONTAINERS else []
    depth = 0
    while level:
        depth += 1
        if depth > max_depth:
            return True
        level = [
            child
            for container in level
            for child in (container.values() if isinstance(container, dict) else container)  # type: ignore[attr-defined]
            if type(child) in _CONTAINERS
        ]
    return False


def _check_surrogates(text: str, source: str) -> None:
    """Refuse `\\ud800` without its other half; in valid JSON every backslash is in a string."""
    for escape in _ESCAPE.finditer(text):
        if escape["lone"]:
            line, column = place_of(text, escape.start())
            raise StrictError("a lone surrogate is not text", line, column, source=source)


def _raise_at_fault(text: str, source: str, max_depth: int, *, cause: BaseException | None) -> NoReturn:
    """Raise the `StrictError` for the first thing the hooks or the depth limit refuse in `text`."""
    fault = _first_fault(text, max_depth)
    if fault is None:
        # Only a caller who has used up the stack himself gets here: his trouble, not the text's.
        assert cause is not None
        raise cause
    message, index = fault
    line, column = place_of(text, index)
    raise StrictError(message, line, column, source=source) from cause


def _first_fault(text: str, max_depth: int) -> tuple[str, int] | None:
    """What is wrong with `text`, whose syntax is right up to that place, and its index."""
    scopes: list[set[str] | None] = []  # the keys seen so far in each open object; None for an array
    last_string, last_index = "", 0
    for token in _TOKEN.finditer(text):
        kind, written, index = token.lastgroup, token[0], token.start()
        if kind == "string":
            last_string, last_index = written, index
        elif kind == "colon":
            key: str = json.loads(last_string)
            keys = scopes[-1]
            assert keys is not None  # a colon stands in objects only
            if key in keys:
                return f"the key {quote(key)} comes twice in one object", last_index
            keys.add(key)
        elif kind == "open":
            scopes.append(set() if written == "{" else None)
            if len(scopes) > max_depth:
                return f"nested deeper than {max_depth} levels", index
        elif kind == "close":
            scopes.pop()
        elif kind == "constant":
            return f"{written} is not a JSON number", index
        elif (reason := _number_fault(written)) is not None:
            return reason, index
    return None


def _number_fault(text: str) -> str | None:
    try:
        if text.lstrip("-").isdigit():
            integer_from_text(text)
        else:
            decimal_from_text(text)
    except ValueError as error:
        return str(error)
    return None
