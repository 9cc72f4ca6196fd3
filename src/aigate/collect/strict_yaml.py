"""The one strict YAML loader: YAML's comfort, JSON's data, and a place for every value.

A scalar means the same to every reader or it stays text: `true`, `false`, `null`
and `~` (in the spellings of the YAML 1.2 core schema) and numbers in JSON's grammar
are values; `no`, `012`, `1:30`, `0x1f`, `1_000`, `.5`, `+1` and dates stay text, so
that the field they stand in says what it wants. Anchors, aliases, merge keys, tags,
directives, further documents, duplicate keys, `.inf`, `.nan`, control characters
and bidirectional overrides are refused.

The data are built from parser events and never from PyYAML's constructors, so
nothing is resolved twice and a bomb is met at its first anchor.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn

import yaml

from aigate.collect.strict import (
    JSON_INTEGER,
    JSON_NUMBER,
    MAX_DEPTH,
    StrictError,
    decimal_from_text,
    decode_utf8,
    integer_from_text,
    place_of,
    quote,
)

MAX_YAML_BYTES: Final = 262_144
"""Default cap on a YAML text, in bytes of UTF-8 (256 KiB)."""

KeyPath = tuple[str | int, ...]
"""The keys and indexes that lead from the document to a value; `()` is the document."""

Place = tuple[int, int]
"""Line and column, both from 1."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_CONSTANTS: Final[Mapping[str, bool | None]] = MappingProxyType(
    {"": None, "~": None, "null": None, "Null": None, "NULL": None}
    | {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
)
_DIRECTIVE = re.compile(r"(?:[ \t\r]*(?:#[^\n]*)?\n)*%")
_GLUED_COMMENT = re.compile(r"[|>][-+0-9]*#")
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # controls, without tab and line feed
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # further line ends and what turns text round
    "\ud800-\udfff\ufeff\ufffe\uffff]"  # no characters at all
    "|\r(?!\n)"
)


class Position(NamedTuple):
    """Where a value is written, and where its key is (None in a sequence and for the document)."""

    key: Place | None
    value: Place


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """The data of one YAML document and the place of every value in it.

    `data` is built of dict (with text keys), list, str, int, `Decimal`, bool and None.
    """

    data: object
    positions: Mapping[KeyPath, Position]
    source: str

    def place(self, path: KeyPath, *, key: bool = False) -> Place:
        """The place of the value at `path` (of its key, with `key`), or of its nearest parent.

        Steps that the document does not have are passed over, so that the location of
        a validation error, which also names absent fields and members of unions, fits.
        """
        here: KeyPath = ()
        for step in path:
            if (*here, step) in self.positions:
                here = (*here, step)
        position = self.positions[here]
        return position.key if key and position.key is not None else position.value


def load_yaml(
    text: bytes | str, *, source: str, max_bytes: int = MAX_YAML_BYTES, max_depth: int = MAX_DEPTH
) -> YamlDocument:
    """Read one YAML document; raises `StrictError` with line and column.

    The encoding is UTF-8, one leading byte order mark is ignored. A text without any
    content is the document `null`.
    """
    decoded = decode_utf8(text, source=source, max_bytes=max_bytes)
    if hidden := _HIDDEN.search(decoded):
        raise StrictError(_hidden(hidden[0]), *place_of(decoded, hidden.start()), source=source)
    # A tab ends a plain scalar for libyaml and is an error for PyYAML: no tab, no doubt.
    if "\t" in decoded:
        tab = place_of(decoded, decoded.index("\t"))
        raise StrictError("a tab is not allowed: use spaces, or \\t in double quotes", *tab, source=source)
    if directive := _DIRECTIVE.match(decoded):
        raise StrictError(
            "a directive is not allowed", *place_of(decoded, directive.end() - 1), source=source
        )
    builder = _Builder(decoded, source, max_depth)
    try:
        data = builder.document()
    except StrictError:
        raise
    # PyYAML's own scanner lets chr() refuse an escape such as "\U00110000".
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        line, column = builder.here if mark is None else (mark.line + 1, mark.column + 1)
        raise StrictError(f"not YAML: {problem}", line, column, source=source) from error
    return YamlDocument(data, MappingProxyType(builder.positions), source)


class _Builder:
    """Turns parser events into data, noting the place of each value on the way."""

    def __init__(self, text: str, source: str, max_depth: int) -> None:
        self.positions: dict[KeyPath, Position] = {(): Position(None, (1, 1))}
        self.here: Place = (1, 1)
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        self._lines = text.split("\n")
        self._source = source
        self._max_depth = max_depth
        self._flow = 0  # how many brackets and braces are open

    def document(self) -> object:
        """The data of the only document."""
        data: object = None
        self._next()  # the start of the stream
        if isinstance(self._next(), yaml.DocumentStartEvent):
            data = self._value(self._next(), (), None)
            self._next()  # the end of the document
            if isinstance(self._next(), yaml.DocumentStartEvent):
                self._refuse("a second document is not allowed in one file")
        return data

    def _next(self) -> yaml.Event:
        event = next(self._events)
        if event.start_mark is not None:
            self.here = (event.start_mark.line + 1, event.start_mark.column + 1)
        return event

    def _refuse(self, message: str) -> NoReturn:
        raise StrictError(message, *self.here, source=self._source)

    def _value(self, event: yaml.Event, path: KeyPath, key: Place | None) -> object:
        if isinstance(event, yaml.AliasEvent):
            self._refuse("anchors and aliases are not allowed; write the value out")
        assert isinstance(event, yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent)
        self._check_bare(event)
        # Nothing is written nowhere: the parsers disagree about the place, and the key's is what a reader needs.
        empty = isinstance(event, yaml.ScalarEvent) and event.implicit[0] and not event.value
        place = (key or self.positions[path[:-1]].value) if empty else self.here
        self.positions[path] = Position(key, place)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if len(path) >= self._max_depth:
            self._refuse(f"nested deeper than {self._max_depth} levels")
        self._flow += bool(event.flow_style)  # None for the pair in `[a: 1]`
        data = self._sequence(path) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(path)
        self._flow -= bool(event.flow_style)
        return data

    def _check_bare(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.anchor is not None:
            self._refuse("anchors and aliases are not allowed; write the value out")
        if event.tag is not None:
            self._refuse(f"tags are not allowed; leave {quote(event.tag)} out")

    def _sequence(self, path: KeyPath) -> list[object]:
        items: list[object] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items)), None))
        return items

    def _mapping(self, path: KeyPath) -> dict[str, object]:
        items: dict[str, object] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event)
            place = self.here
            if key in items:
                first = self.positions[(*path, key)].key
                assert first is not None  # every value in a mapping has a key
                self._refuse(f"the key {quote(key)} comes twice; the first is in line {first[0]}")
            items[key] = self._value(self._next(), (*path, key), place)
        return items

    def _key(self, event: yaml.Event) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse("a key must be text, without anchors and aliases")
        self._check_bare(event)
        if event.implicit[0] and event.value == "<<":
            self._refuse("merge keys are not allowed; write the values out")
        key = self._scalar(event)
        if not isinstance(key, str):
            self._refuse(f"a key must be text; put {event.value or 'it'} in quotes")
        return key

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        value: str = event.value
        if hidden := _HIDDEN.search(value):
            self._refuse(_hidden(hidden[0]))
        if event.style in ("|", ">"):
            self._check_block_header()
        if not event.implicit[0]:  # in quotes, or a block
            return value
        if self._flow and "?" in value:  # PyYAML's own scanner ends the scalar there, libyaml reads on
            self._refuse(f"put {quote(value)} in quotes: inside brackets and braces, a ? is not always text")
        if value in _CONSTANTS:
            return _CONSTANTS[value]
        if _NOT_FINITE.fullmatch(value):
            self._refuse(f"{value} is not a finite number")
        try:
            if JSON_INTEGER.fullmatch(value):
                return integer_from_text(value)
            if JSON_NUMBER.fullmatch(value):
                return decimal_from_text(value)
        except ValueError as error:
            self._refuse(str(error))
        return value

    def _check_block_header(self) -> None:
        """Refuse `|#`, which libyaml takes for a comment and PyYAML, with the standard, does not."""
        line, column = self.here
        if _GLUED_COMMENT.match(self._lines[line - 1], column - 1):
            self._refuse("a comment needs a space before it")


def _hidden(character: str) -> str:
    return f"the character U+{ord(character):04X} is not allowed: it is invisible or turns text round"
