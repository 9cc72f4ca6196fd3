"""Snapshots and decision records as people keep them: a file, lines of a file, or a folder of files.

They are streamed: no more than one document is held at a time. What cannot be
read is handed out with its reason, for a backtest that leaves out in silence
what it cannot read says yes by accident.
"""

import gzip
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeAlias

from aigate.collect.snapshot_file import MAX_BYTES
from aigate.errors import ConfigError, UsageError

Stream: TypeAlias = IO[bytes] | gzip.GzipFile

Kind = Literal["snapshot", "record", "other", "broken"]

SUFFIXES = (".json", ".jsonl", ".ndjson")
"""Files of a folder that are looked into; each may be compressed (`.gz`)."""

_SCHEMA = re.compile(rb'"schema"\s*:\s*"aigate\.(snapshot|decision)/')
"""Within a JSON text, quotes that are not escaped are never inside of a string."""


@dataclass(frozen=True)
class Piece:
    """One document of a source."""

    where: str
    """The file, and the line in it where it has several."""
    kind: Kind
    data: bytes = b""
    """Without white space around it."""
    why: str = ""
    """Why it cannot be read, where it is broken."""
    of_record: bool = False
    """Whether what is broken is known to be a record, and no snapshot."""


class Records:
    """The documents in a file or a folder, read as often as they are asked for."""

    def __init__(self, path: Path) -> None:
        """Find the files. Raises UsageError where there is nothing of the kind, ConfigError where a folder is closed."""
        self.path = path
        self.files = tuple(_files(path))
        if not self.files:
            raise UsageError(
                f"{path} has no snapshots in it" if path.exists() else f"there is no {path}",
                fix=f"name a folder, or a file that ends in {', '.join(SUFFIXES)} or in one of these and .gz",
            )

    @property
    def size(self) -> int:
        """Bytes of all files together, as they lie on disk."""
        return sum(_size(file) for file in self.files)

    def read(self, tell: Callable[[int], None] = lambda done: None) -> Iterator[Piece]:
        """Yield every record, and then everything else; so each record comes before its snapshot.

        `tell` is given the bytes read, of twice `size`.
        """
        done = 0
        for wanted in (True, False):
            for file in self.files:
                for piece, at in _pieces(file):
                    if (piece.kind == "record") == wanted:
                        yield piece
                    tell(done + at)
                done += _size(file)


def kind_of(data: bytes) -> Kind:
    """Tell by its schema what a document is; whether it is sound is its reader's to see."""
    found = _SCHEMA.search(data)
    if found is None:
        return "other"
    return "snapshot" if found[1] == b"snapshot" else "record"


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    found = []
    for folder, below, names in os.walk(path, onerror=_refuse):
        below[:] = [name for name in below if not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    yield from (file for file in sorted(found) if _named(file).endswith(SUFFIXES) and file.is_file())


def _refuse(error: OSError) -> None:
    """A folder that cannot be looked into may hold what would have changed; one that is not there holds nothing."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise ConfigError(f"cannot be read: {error.strerror}", place=str(error.filename)) from error


def _named(file: Path) -> str:
    return file.name.lower().removesuffix(".gz")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _pieces(file: Path) -> Iterator[tuple[Piece, int]]:
    """Yield the documents of one file, and how many of its bytes are read by then.

    Where it ends before its end, the last of them says so.
    """
    try:
        with file.open("rb") as raw:
            packed = file.name.lower().endswith(".gz")
            stream: Stream = gzip.GzipFile(fileobj=raw) if packed else raw
            lines = _named(file).endswith((".jsonl", ".ndjson"))
            for piece in _lines(stream, str(file)) if lines else _whole(stream, str(file)):
                yield piece, raw.tell()
    except (OSError, EOFError, zlib.error) as e:
        words = e.strerror if isinstance(e, OSError) and e.strerror else str(e) or type(e).__name__
        yield Piece(str(file), "broken", why=f"cannot be read: {words}"), 0


def _whole(stream: Stream, shown: str) -> Iterator[Piece]:
    yield _piece(stream.read(MAX_BYTES + 1), shown)


def _lines(stream: Stream, shown: str) -> Iterator[Piece]:
    number = 0
    while line := stream.readline(MAX_BYTES + 1):
        number += 1
        rest = line
        while len(rest) > MAX_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_BYTES + 1)  # the end of a line that is too long
        if line.strip():
            yield _piece(line, f"{shown}:{number}")


def _piece(data: bytes, shown: str) -> Piece:
    if len(data) > MAX_BYTES:
        return Piece(shown, "broken", why=f"larger than {MAX_BYTES} bytes")
    data = data.strip()
    kind = kind_of(data)
    return _searched(shown, data) if kind == "other" else Piece(shown, kind, data)


def _searched(shown: str, data: bytes) -> Piece:
    """Look closer at what does not name its kind: one that was cut off named it further on, or in other letters."""
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError) as e:
        why = f"not JSON, or not all of it ({str(e)[:120]})" if data else "it is empty"
        return Piece(shown, "broken", why=why)
    found = value.get("schema") if isinstance(value, dict) else None
    return Piece(shown, kind_of(b'"schema":' + json.dumps(found).encode()), data)
