"""A JSON document from an address or a file, with the moment it was made."""

import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aigate.collect.freshness.reading import Clock, NoEvidenceError, World
from aigate.collect.redact import shown_url
from aigate.collect.response import Response
from aigate.collect.strict import MAX_JSON_BYTES, StrictError, load_json
from aigate.digest import digest_bytes
from aigate.sources import Freshness
from aigate.values import Digest

JSON_BY_ANY_NAME = (
    "application/json",
    "text/json",
    "text/plain",
    "application/octet-stream",
    "binary/octet-stream",
)
"""What file stores call a JSON document. A page of HTML is called none of these, and would not parse."""


@dataclass(frozen=True)
class Document:
    """A parsed document. `observed_at` is when whoever served it says it was made."""

    value: object
    shown: str
    digest: Digest
    clock: Clock
    observed_at: datetime


def is_url(place: str) -> bool:
    """Whether a place in the manifest is an address and not a file."""
    return place.startswith(("http://", "https://"))


def under(base: str, path: str) -> str:
    """Return the address of `path` below a service's base address, whose own query is kept."""
    place, mark, query = base.partition("#")[0].partition("?")
    return f"{place.rstrip('/')}{path}{mark}{query}"


def read_document(
    place: str, declared: Freshness, world: World, *, max_bytes: int = MAX_JSON_BYTES
) -> Document:
    """Read and parse the JSON document at a URL or in a file."""
    if is_url(place):
        response = world.fetcher.get(place, accept=JSON_BY_ANY_NAME, max_bytes=max_bytes)
        return document_of(response, declared, world, max_bytes=max_bytes)
    body, written_at = _read_file(place, world, max_bytes)
    clock = Clock(world, declared, place)
    # A file cannot have been made later than it was last written; an old one left behind shows its age so.
    return Document(_parse(body, place, max_bytes), place, digest_bytes(body), clock, written_at)


def document_of(
    response: Response, declared: Freshness, world: World, *, max_bytes: int = MAX_JSON_BYTES
) -> Document:
    """Parse a JSON answer."""
    shown = response.url_shown
    clock = Clock(world, declared, shown)
    value = _parse(response.body, shown, max_bytes)
    return Document(value, shown, digest_bytes(response.body), clock, clock.observed(response))


def _parse(body: bytes, shown: str, max_bytes: int) -> object:
    try:
        return load_json(body, source=shown_url(shown), max_bytes=max_bytes)
    except StrictError as e:
        raise NoEvidenceError(f"line {e.line}, column {e.column}: {e.message}", shown) from e


def _read_file(place: str, world: World, max_bytes: int) -> tuple[bytes, datetime]:
    path = world.folder / place
    if not world.trusted and not _within(path, world.folder):
        raise NoEvidenceError("a manifest that is not trusted may not read outside of its folder", place)
    try:
        # Not to wait at a pipe that nobody writes to.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise NoEvidenceError("not a regular file", place)
            body = file.read(max_bytes + 1)
    except OSError as e:
        raise NoEvidenceError(
            f"the file cannot be read: {(e.strerror or 'no reason given').lower()}", place
        ) from e
    if len(body) > max_bytes:
        raise NoEvidenceError(f"the file is larger than {max_bytes} bytes", place)
    try:
        return body, datetime.fromtimestamp(status.st_mtime, UTC)
    except (ValueError, OverflowError) as e:
        raise NoEvidenceError("the file's time of writing cannot be read", place) from e


def _within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
