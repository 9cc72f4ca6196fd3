"""Canonical bytes and their digests: RFC 8785 JSON, SHA-256."""

import hashlib

import rfc8785

from aigate.values import Digest, Model


def canonical(model: Model) -> bytes:
    """Return a model as canonical JSON (RFC 8785): the same data gives the same bytes, everywhere."""
    return rfc8785.dumps(model.model_dump(mode="json", by_alias=True))


def digest_bytes(data: bytes) -> Digest:
    """Return `sha256:` and the hexadecimal digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest(model: Model) -> Digest:
    """Return the digest of a model's canonical bytes."""
    return digest_bytes(canonical(model))
