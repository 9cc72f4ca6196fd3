"""Canonical bytes and their digests: RFC 8785 JSON, SHA-256."""

import hashlib
import json
import re

import rfc8785

from aigate.values import Digest, Model

_BEYOND = re.compile("[\U00010000-\U0010ffff]")
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)


def canonical(model: Model) -> bytes:
    """Return a model as canonical JSON (RFC 8785): the same data gives the same bytes, everywhere.

    Models have no floating-point numbers and no whole ones beyond 2^53, so
    that the standard library's writer, sorting, writes the same bytes in a
    sixth of the time. Only keys with characters beyond the basic plane are
    sorted differently, by UTF-16.
    """
    data = model.model_dump(mode="json", by_alias=True)
    text = _ENCODER.encode(data)
    return rfc8785.dumps(data) if not text.isascii() and _BEYOND.search(text) else text.encode()


def digest_bytes(data: bytes) -> Digest:
    """Return `sha256:` and the hexadecimal digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest(model: Model) -> Digest:
    """Return the digest of a model's canonical bytes."""
    return digest_bytes(canonical(model))
