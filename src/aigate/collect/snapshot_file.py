"""Recorded snapshots, read again only if they are sound."""

from pathlib import Path

from pydantic import ValidationError

from aigate.collect.strict import StrictError, load_json
from aigate.errors import ConfigError
from aigate.snapshot import Snapshot

MAX_BYTES = 16 * 1024 * 1024
"""Longest snapshot, in bytes."""


def load_snapshot(path: Path) -> Snapshot:
    """Read a recorded snapshot; raises ConfigError where it is not one, or says something twice."""
    shown = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as e:
        raise ConfigError(f"cannot be read: {e.strerror}", place=shown) from e
    return parse_snapshot(data, shown)


def parse_snapshot(data: bytes, shown: str) -> Snapshot:
    """Turn a recorded snapshot's bytes into the snapshot; raises ConfigError with places in `shown`."""
    try:
        load_json(data, source=shown, max_bytes=MAX_BYTES)
    except StrictError as e:
        raise ConfigError(e.message, place=e.place) from e
    try:
        return Snapshot.model_validate_json(data)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        where = "/".join(str(step) for step in first["loc"])
        raise ConfigError(
            f"not a snapshot of this version of aigate: /{where}: {first['msg']}",
            place=shown,
            fix="take it anew with `aigate evaluate --save-snapshot`",
        ) from e
