"""The waivers read from disk: strictly, and never leniently.

A file that is no list of entries stops the gate (ConfigError): nobody can tell
what was meant to be in force. An entry that is malformed stops nothing and
lifts nothing: it counts as expired, and every report says why.
"""

import re
import stat
from pathlib import Path, PurePath

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aigate.collect.manifest_file import frozen, unknown_key
from aigate.collect.strict import StrictError
from aigate.collect.strict_yaml import MAX_YAML_BYTES, YamlDocument, load_yaml
from aigate.decision import Waiver, WaiverUse
from aigate.digest import digest_bytes
from aigate.errors import ConfigError
from aigate.manifest import ID_PATTERN
from aigate.values import NAME_PATTERN
from aigate.waiver import Entry, WaiverBook, leave

NAME = "waivers.yaml"
"""Stands beside the manifest."""

MOST = 500
"""Entries that a file may have; whoever needs more waives too much, or keeps what has run out."""

_KEYS = ("version", "waivers")
_MOST_MISTAKES = 3
_LONGEST = 400
_UNREADABLE = "(unreadable)"


def load_waivers(folder: Path, shown: str = NAME) -> WaiverBook:
    """Read the waivers beside a manifest; none where there is no file. Raises ConfigError."""
    data = read_waivers(folder / NAME, shown)
    return WaiverBook() if data is None else parse_waivers(data, shown)


def beside(manifest: str) -> str:
    """Return how the waivers' file is shown to people, from how its manifest is."""
    return str(PurePath(manifest).with_name(NAME))


def read_waivers(path: Path, shown: str = NAME) -> bytes | None:
    """Return the bytes of a waivers' file; None where there is none. Raises ConfigError where it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError("is no file", place=shown)
        with path.open("rb") as file:
            return file.read(MAX_YAML_BYTES + 1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as e:
        words = (e.strerror if isinstance(e, OSError) else None) or type(e).__name__
        raise ConfigError(f"cannot be read: {words}", place=shown) from e


def parse_waivers(data: bytes, shown: str = NAME) -> WaiverBook:
    """Turn a file's bytes into waivers; raises ConfigError where it is no list of entries, or two are the same."""
    try:
        document = load_yaml(data, source=shown)
    except StrictError as e:
        raise ConfigError(e.message, place=e.place, fix="correct the YAML at this place") from e
    rows = _rows(document)
    entries = tuple(_entry(row, nth, document) for nth, row in enumerate(rows))
    _refuse_doubles(entries, shown)
    return WaiverBook(entries=entries, digest=digest_bytes(data))


def with_one_more(book: WaiverBook, waiver: Waiver, shown: str = NAME) -> WaiverBook:
    """Return a book with an entry more at its end. Raises ConfigError where it has one for the same."""
    entries = (*book.entries, Entry(nth=len(book.entries) + 1, line=0, waiver=waiver))
    _refuse_doubles(entries, shown)
    return book.model_copy(update={"entries": entries})


def _rows(document: YamlDocument) -> list[object]:
    """Return the entries as they are written. Raises ConfigError where the file is none of ours."""
    data = document.data
    if data is None:
        return []
    if not isinstance(data, dict):
        raise _wrong(document, (), "must be a mapping: version: 1, and waivers: a list")
    for key in data:
        if key not in _KEYS:
            raise _wrong(document, (key,), unknown_key(key, _KEYS, "key"))
    if type(data.get("version")) is not int or data["version"] != 1:
        raise _wrong(document, ("version",), "version must be 1")
    rows = data.get("waivers")
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise _wrong(document, ("waivers",), "waivers must be a list: - {policy: …, key: …, …}")
    if len(rows) > MOST:
        raise _wrong(document, ("waivers",), f"{len(rows)} waivers, and at most {MOST} are read")
    return rows


def _wrong(document: YamlDocument, keys: tuple[str, ...], words: str) -> ConfigError:
    line, column = document.place(keys, key=True)
    return ConfigError(
        words,
        place=f"{document.source}:{line}:{column}",
        fix="`aigate schema --waivers` prints the whole shape; `aigate waive` writes an entry",
    )


def _entry(row: object, index: int, document: YamlDocument) -> Entry:
    line, _ = document.place(("waivers", index))
    try:
        waiver = Waiver.model_validate(frozen(row))
    except ValidationError as e:
        why = "malformed: " + "; ".join(_mistakes(e.errors(include_url=False)))
        return Entry(nth=index + 1, line=line, malformed=_malformed(row, index + 1, line, why))
    return Entry(nth=index + 1, line=line, waiver=waiver)


def _mistakes(errors: list[ErrorDetails]) -> list[str]:
    """Say what is wrong with an entry, the first mistakes of it; no value is repeated."""
    said = list(dict.fromkeys(_mistake(error) for error in errors))
    more = len(said) - _MOST_MISTAKES
    return [*said[:_MOST_MISTAKES], *([f"and {more} more"] if more > 0 else [])]


def _mistake(error: ErrorDetails) -> str:
    at = ".".join(str(step) for step in error["loc"])
    match error["type"]:
        case "extra_forbidden":
            return unknown_key(at[:60], Waiver.model_fields, "key")
        case "missing":
            return f"the key {at!r} is required"
        case "model_type" | "model_attributes_type":
            return "it must be a mapping of keys to values"
        case "string_pattern_mismatch":
            return _PATTERNS.get(f"{at}", f"{at} is not of the form that it must have")
        case _:
            words = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
            words = words.replace("should be ", "must be ", 1)
            return f"{at}: {words}" if at else words


_PATTERNS = {
    "policy": "policy must be one policy's id, such as freshness.stage",
    "version": "version must be one version's number, such as 7",
    "digest": "digest must be sha256: and 64 hexadecimal digits",
}


def _malformed(row: object, nth: int, line: int, why: str) -> WaiverUse:
    """Return what can be said of an entry that is none."""
    told = row if isinstance(row, dict) else {}
    policy = _text(told.get("policy"))
    return WaiverUse(
        policy=policy if re.fullmatch(ID_PATTERN, policy) else _UNREADABLE,
        key=_text(told.get("key")),
        who=_text(told.get("approver")) or "nobody",
        reason=_text(told.get("reason")),
        until=None,
        why=why[:_LONGEST],
        nth=nth,
        line=line,
    )


def _text(value: object) -> str:
    """Return a text that a name's place takes; nothing where it is none."""
    fits = isinstance(value, str) and len(value) <= 200 and re.fullmatch(NAME_PATTERN, value)
    return value if isinstance(value, str) and fits else ""


def _refuse_doubles(entries: tuple[Entry, ...], shown: str) -> None:
    """Refuse two entries for the same thing: which of them is meant, nobody can tell."""
    seen: dict[tuple[object, ...], Entry] = {}
    for entry in entries:
        if entry.waiver is None:
            continue
        if (other := seen.setdefault(leave(entry.waiver), entry)) is not entry:
            raise ConfigError(
                f"the entry in line {other.line} waives the same already",
                place=f"{shown}:{entry.line}" if entry.line else shown,
                fix="take the older one out: version control remembers it",
            )
