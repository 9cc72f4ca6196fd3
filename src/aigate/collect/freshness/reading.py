"""What every adapter works with: its world, its answer, and the checks that no source escapes."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from aigate.collect.fetch import Fetcher
from aigate.collect.instants import MAX_SKEW, BadInstant, ParsedInstant, parse_http_date, parse_instant
from aigate.collect.response import Response
from aigate.snapshot import FreshnessEvidence, InputRead, Source
from aigate.sources import Freshness
from aigate.values import Digest, Evident, show_instant

_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_AGE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class World:
    """What an adapter may touch, handed in by the caller.

    `folder` is the manifest's own; relative files start there. With
    `trusted=False` (a manifest from a pull request's head) no file outside of
    it is opened.
    """

    fetcher: Fetcher
    folder: Path
    now: datetime
    trusted: bool = True


@dataclass(frozen=True)
class Found:
    """What an adapter brought back, from where, and the digest of the body it read."""

    evidence: FreshnessEvidence
    shown: str
    digest: Digest | None


@dataclass(frozen=True)
class Reading:
    """The answer about one stage, and the record of having asked."""

    freshness: Evident[FreshnessEvidence]
    source: Source


class NoEvidenceError(Exception):
    """A source gave nothing that a decision can rest on; becomes `Missing`."""

    def __init__(self, reason: str, shown: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.shown = shown


def name_of(value: object, what: str, shown: str) -> str:
    """Return a name or version from a source as text, or refuse it."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise NoEvidenceError(f"{what} is not a short text on one line", shown)
    return text


class Clock:
    """Reads instants from one source, and remembers what had to be inferred."""

    def __init__(self, world: World, declared: Freshness, shown: str) -> None:
        self._now = world.now
        self._zone = declared.zone
        self._shown = shown
        self.notes: list[str] = []

    def read(self, value: object, what: str, *, unit: str | None = None) -> datetime:
        """Return the instant that `value` states; raise NoEvidenceError, naming `what`, where it states none."""
        return self._keep(parse_instant(value, now=self._now, zone=self._zone, unit=unit), what)

    def read_http(self, value: str | None, what: str) -> datetime:
        """Return the instant of an HTTP header."""
        return self._keep(parse_http_date(value, now=self._now), what)

    def observed(self, response: Response) -> datetime:
        """Return when the server itself looked: its `Date`, or now less a cache's `Age`, whichever is older.

        A cache answers with what it was told long ago; its `Age` says how
        long. A server whose clock runs ahead of ours proves nothing about
        when anything happened.
        """
        looked = [self._now]
        if response.header("date") is not None:
            looked.append(self.read_http(response.header("date"), "the Date header"))
        ages = [value for name, value in response.headers if name == "age"]
        if ages:
            if len(ages) > 1 or not _AGE.fullmatch(ages[0]):
                raise NoEvidenceError("the Age header of a cache on the way cannot be read", self._shown)
            looked.append(self._now - timedelta(seconds=int(ages[0])))
        return min(looked)

    def _keep(self, read: ParsedInstant | BadInstant, what: str) -> datetime:
        if isinstance(read, BadInstant):
            raise NoEvidenceError(f"{what}: {read.reason}", self._shown)
        if read.note:
            self.notes.append(f"{what}: {read.note}")
        return read.at


def evidence(
    declared: Freshness,
    clock: Clock,
    shown: str,
    *,
    as_of: datetime,
    observed_at: datetime,
    built_at: datetime | None = None,
    read_at: datetime | None = None,
    version: str | None = None,
    inputs: tuple[InputRead, ...] = (),
    claimed: str | None = None,
) -> FreshnessEvidence:
    """Put an answer together, and refuse the impossible: nobody sees data before they exist."""
    if as_of - observed_at > MAX_SKEW:
        raise NoEvidenceError(
            f"its newest data are of {show_instant(as_of)}, later than it looked ({show_instant(observed_at)})",
            shown,
        )
    if built_at is not None and read_at is not None and read_at - built_at > MAX_SKEW:
        raise NoEvidenceError("it was built before its inputs were read", shown)
    return FreshnessEvidence(
        kind=declared.kind,
        as_of=as_of,
        observed_at=observed_at,
        built_at=built_at,
        read_at=read_at,
        version=version,
        inputs=inputs,
        claimed=claimed,
        inferred=tuple(dict.fromkeys(clock.notes)),
    )
