"""Declarations, dated answers, and what tests insist on when a source is asked for freshness."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime

from aigate.collect.freshness import Reading
from aigate.snapshot import FreshnessEvidence
from aigate.sources import FRESHNESS, Freshness
from aigate.values import Missing
from fakes import Reply, json_reply

Ask = Callable[..., Reading]
"""What the fixture `ask` is: a declaration in, a reading out."""


def declare(declared: Mapping[str, object]) -> Freshness:
    """Read a declaration as the manifest does; a promise is added."""
    adapter = next((key for key in FRESHNESS if key in declared), "url")
    return FRESHNESS[adapter].model_validate({"max_age": "6h", **declared})


def served(value: object, at: datetime, *, status: int = 200, **headers: str) -> Reply:
    """Answer with JSON at a given moment of the server's clock."""
    return json_reply(value, status, date=http_date(at), **headers)


def http_date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


def ago(now: datetime, **span: float) -> str:
    """Write an instant that long ago as RFC 3339."""
    return (now - timedelta(**span)).isoformat()


def fresh(reading: Reading) -> FreshnessEvidence:
    """Insist on evidence, with a record to match."""
    assert isinstance(reading.freshness, FreshnessEvidence), reading.freshness
    assert reading.source.status == "ok"
    assert reading.source.observed_at == reading.freshness.observed_at
    return reading.freshness


def why_missing(reading: Reading) -> str:
    """Insist on missing evidence, with a record to match, and return the reason."""
    found: object = reading.freshness  # to a type checker it is always the fact: see `Evident`
    assert isinstance(found, Missing), found
    assert reading.source.status == "missing"
    assert reading.source.reason == found.missing
    assert reading.source.shown == found.source
    assert reading.source.digest is None
    return found.missing
