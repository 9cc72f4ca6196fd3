"""What a decision is bound to in the registry: the facts that must not change before the alias moves. Pure.

A decision rests on the whole snapshot. Between decision and move the data may
become fresher, and that is no reason to stop; but tags, metrics, parameters,
sources, files and aliases of the model must be what they were. Each such part
has a digest of its own, so that what changed can be named.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from aigate.digest import digest_bytes
from aigate.snapshot import Snapshot
from aigate.values import Digest, Model

OWN_TAGS = ("aigate.ledger", "aigate.receipt", "aigate.watch", "aigate.quarantine")
"""Tags that aigate itself writes while it works; they bind nothing."""

_WHOLE = ("comparisons", "thresholds")
_ROLES = ("challenger", "champion")


class Part(Model):
    """One part of the evidence, and the digest of it."""

    at: str
    """Where it stands in the snapshot, as a JSON pointer."""
    digest: Digest


def parts(snapshot: Snapshot) -> tuple[Part, ...]:
    """Return every part of a snapshot that binds, in order."""
    data = snapshot.model_dump(mode="json", by_alias=True)
    return tuple(Part(at=at, digest=_digest(value)) for at, value in _parts(data))


def whole(found: Iterable[Part]) -> Digest:
    """Return one digest over all parts."""
    return _digest([part.model_dump() for part in found])


def differing(before: Iterable[Part], now: Iterable[Part]) -> tuple[str, ...]:
    """Return where two sets of parts differ, as JSON pointers in order; nothing where they are the same."""
    old = {part.at: part.digest for part in before}
    new = {part.at: part.digest for part in now}
    return tuple(at for at in sorted({*old, *new}) if old.get(at) != new.get(at))


def _parts(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from _fields("/model", data["model"])
    for role in _ROLES:
        version = data[role]
        if not isinstance(version, dict) or "subject" not in version:
            yield f"/{role}", version
            continue
        yield from _fields(f"/{role}/subject", version["subject"])
        yield from _fields(f"/{role}/run", version["run"])
        rest = {key: value for key, value in version.items() if key not in ("subject", "run")}
        yield from _fields(f"/{role}", rest)
    for name in _WHOLE:
        yield f"/{name}", data[name]


def _fields(at: str, holder: Any) -> Iterator[tuple[str, Any]]:
    """Return an object's fields one by one; anything else is one part."""
    if not isinstance(holder, dict):
        yield at, holder
        return
    for key, value in holder.items():
        if key == "tags":
            yield f"{at}/tags", [tag for tag in value if tag["key"] not in OWN_TAGS]
        else:
            yield f"{at}/{key}", value


def _digest(value: Any) -> Digest:
    """Return the digest of plain data; its keys are our own, so that their order is everywhere the same."""
    return digest_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
