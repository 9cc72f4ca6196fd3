"""The text of `waivers.yaml` with one entry more: what is there stays as it is, comments and all."""

import contextlib
import json
import os
import re
from pathlib import Path

from aigate.collect.strict import StrictError
from aigate.collect.strict_yaml import load_yaml
from aigate.collect.waiver_file import parse_waivers, read_waivers
from aigate.decision import Waiver
from aigate.errors import AigateError, UsageError
from aigate.waiver import WaiverBook

HEAD = """\
# Findings that somebody let stand: each for one exact version, with a reason and an end.
# An entry counts once it is on the protected branch; `aigate waive` writes one.
"""

_PLAIN = re.compile(r"[a-z][a-z_]*(\.[a-z_]+)+|fail|unknown|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")
"""Values that every reader of YAML takes for text as they stand; others are put in quotes."""

_EMPTY = re.compile(r"^waivers: *(?:\[ *\]|null|~)? *(#[^\n]*)?$", re.MULTILINE)
_DASH = re.compile(r"( *)- +")
_ALWAYS = ("environment",)
"""Written although it may be the default: a reader wants to see it."""


class NotWrittenError(AigateError):
    """The file could not be written; it is what it was."""

    exit_code = 4


def rendered(waiver: Waiver, indent: int = 2) -> str:
    """Return an entry as YAML, so far from the margin."""
    said = waiver.model_dump(mode="json", exclude_defaults=True)
    said |= {name: getattr(waiver, name) for name in _ALWAYS}
    lines = [f"{name}: {_scalar(said[name])}" for name in Waiver.model_fields if name in said]
    first, rest = " " * indent + "- ", " " * (indent + 2)
    return "".join(f"{first if n == 0 else rest}{line}\n" for n, line in enumerate(lines))


def refuse_unwritable(waiver: Waiver) -> None:
    """Raise UsageError where no file may hold an entry: its key has characters that nobody sees, say."""
    try:
        load_yaml(f"version: 1\nwaivers:\n{rendered(waiver)}", source="the entry")
    except StrictError as e:
        raise UsageError(
            f"it cannot be written down: {e.message}", fix="have the policy report it under a plain key"
        ) from e


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def with_entry(data: bytes | None, waiver: Waiver, shown: str) -> tuple[bytes, WaiverBook]:
    """Return a file's bytes with an entry more, and what is read from them.

    Raises ConfigError where the file is wrong as it is, or has such an entry
    already; UsageError where it is written so that a line at its end is no entry.
    """
    before = WaiverBook() if data is None else parse_waivers(data, shown)
    text = HEAD if data is None else data.decode("utf-8-sig")
    text += "" if not text or text.endswith("\n") else "\n"
    content = _grown(text, waiver, shown)
    after = None if content is None else _read(content, shown)
    if content is None or after is None or not _is_one_more(before, after, waiver):
        raise UsageError(
            f"{shown} is written so that no entry can be put at its end",
            fix="put it into the list by hand: --dry-run prints it",
        )
    return content, after


def _grown(text: str, waiver: Waiver, shown: str) -> bytes | None:
    """Return a text with an entry at its end; None where its list is not written line by line."""
    document = load_yaml(text, source=shown)
    if document.data is None:
        return f"{text}version: 1\nwaivers:\n{rendered(waiver)}".encode()
    if ("waivers", 0) not in document.positions:
        opened = _EMPTY.sub(lambda found: f"waivers: {found[1]}" if found[1] else "waivers:", text, count=1)
        opened += "" if _EMPTY.search(text) else "waivers:\n"
        return f"{opened}{rendered(waiver)}".encode()
    line, column = document.place(("waivers", 0))
    dash = _DASH.fullmatch(text.split("\n")[line - 1][: column - 1])
    return None if dash is None else f"{text}{rendered(waiver, len(dash[1]))}".encode()


def _read(content: bytes, shown: str) -> WaiverBook | None:
    """Return what is read from a grown file; None where that is no file of ours any more."""
    try:
        load_yaml(content, source=shown)
    except StrictError:
        return None
    return parse_waivers(content, shown)


def _is_one_more(before: WaiverBook, after: WaiverBook, waiver: Waiver) -> bool:
    *old, new = after.entries or (None,)
    return tuple(old) == before.entries and new is not None and new.waiver == waiver


def replace_file(path: Path, before: bytes | None, content: bytes, shown: str) -> None:
    """Put a file in the place of the one that was read: whole, or not at all.

    Raises UsageError where it is another one by now, NotWrittenError where it
    cannot be written.
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name}-{os.getpid()}-{os.urandom(6).hex()}.tmp")
    try:
        mode = target.stat().st_mode & 0o777 if before is not None else 0o666
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if read_waivers(path, shown) != before:
                raise UsageError(f"{shown} was changed while the entry was written", fix="run it again")
            beside.replace(target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
    except OSError as e:
        raise NotWrittenError(
            f"{shown} cannot be written: {e.strerror or type(e).__name__}; it is what it was",
            fix="make the folder writable, or put the entry in by hand: --dry-run prints it",
        ) from e
