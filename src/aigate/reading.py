"""A reading: what one decision said about one champion, and the measurements that it rests on. Pure.

A failure of the model is known by the measurements behind it, so that reading
the same number again is seen to be that. Readings make a window, see `window`.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import StringConstraints

from aigate.decision import Decision, Finding, Judgement
from aigate.digest import digest, digest_bytes
from aigate.ledger import Identity
from aigate.manifest import WatchRules
from aigate.snapshot import Measurement, Snapshot, Version
from aigate.values import Instant, Model, Text, VersionNumber, gap

MOST_MARKS = 3
"""Failing measurements that a reading is known by; further ones of the same reading are left out."""

_NUMBER_OF_MARK = 8

Read = Literal["keep", "rollback", "halt", "hold"]
"""A verdict on a champion."""

Mark = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")]
"""The first 32 bits of a digest: enough to tell a hundred measurements apart, and short enough for a tag."""


class Incumbent(Model):
    """The champion as a window knows it: a number alone could be made anew."""

    version: VersionNumber
    created_at: Instant

    def same(self, identity: Identity | None) -> bool:
        """Whether it is the version that a ledger speaks of."""
        return identity is not None and (self.version, self.created_at) == (
            identity.version,
            identity.created_at,
        )


class Reading(Model):
    """What one decision said about one champion."""

    at: Instant
    verdict: Read
    champion: Incumbent | None
    """None where nobody could say what holds the alias."""
    evidence: tuple[Mark, ...] = ()
    """Of a failure: a mark of each measurement that it rests on; else one of all that were demanded."""
    short: Text = ""
    """Why a failure does not count: the rows that it rests on are too few, or nobody knows how many."""


def read(decision: Decision, snapshot: Snapshot, rules: WatchRules) -> Reading:
    """Return the reading that a decision about a champion is, with what it rests on."""
    verdict: Read = "hold"
    if decision.verdict == "keep" or decision.verdict == "rollback" or decision.verdict == "halt":
        verdict = decision.verdict
    champion, subject = snapshot.champion, decision.subject
    if gap(champion) is not None or champion is None or gap(subject) is not None:
        return Reading(at=decision.now, verdict=verdict, champion=None)
    incumbent = Incumbent(version=subject.version, created_at=subject.created_at)
    marks: tuple[Mark, ...] = ()
    short = ""
    if verdict == "keep":
        marks = (_mark_of_all(snapshot, champion),)
    elif verdict == "rollback":
        marks, short = _failing(decision, snapshot, champion, rules.min_events)
    return Reading(at=decision.now, verdict=verdict, champion=incumbent, evidence=marks, short=short)


def _mark(text: bytes) -> Mark:
    return digest_bytes(text).removeprefix("sha256:")[:_NUMBER_OF_MARK]


def _mark_of_all(snapshot: Snapshot, champion: Version) -> Mark:
    """Return one mark of every measurement that the manifest demands something of."""
    names = {metric.name for metric in snapshot.metrics} | {
        part.metric for metric in snapshot.metrics for part in metric.rule.slices.values()
    }
    measured = () if gap(champion.measurements) is not None else champion.measurements
    return _mark("".join(digest(m) for m in measured if m.name in names).encode())


def _failing(
    decision: Decision, snapshot: Snapshot, champion: Version, least: int | None
) -> tuple[tuple[Mark, ...], str]:
    """Return the marks of what the failures that count rest on, and why others do not count."""
    found: dict[Mark, datetime] = {}
    short: list[str] = []
    for judgement, finding in _failures(decision):
        behind = _behind(finding, judgement, snapshot, champion)
        rows = [_rows(m, snapshot) for m in behind]
        known = [n for n in rows if n is not None]
        what = finding.key or judgement.info.id
        if least is not None and (not rows or len(known) < len(rows)):
            short.append(f"on how many rows {what} rests is not known, and {least} are asked for")
        elif least is not None and min(known) < least:
            short.append(f"{what} rests on {min(known)} rows, and {least} are asked for")
        elif behind:
            found |= {_mark(digest(m).encode()): m.recorded_at for m in behind}
        else:
            own = f"{judgement.info.id}\n{finding.key}\n{finding.value}"
            found[_mark(own.encode())] = decision.now
    # The newest first: it is they that make a reading a new one.
    marks = sorted(found, key=lambda mark: (found[mark], mark), reverse=True)
    return tuple(marks[:MOST_MARKS]), "" if marks else "; ".join(dict.fromkeys(short))


def _failures(decision: Decision) -> list[tuple[Judgement, Finding]]:
    """Return what stands against the model itself."""
    return [
        (judgement, finding)
        for judgement in decision.judgements
        if judgement.counts and judgement.result.outcome == "fail" and judgement.info.blames == "model"
        for finding in judgement.standing
    ]


def _behind(
    finding: Finding, judgement: Judgement, snapshot: Snapshot, champion: Version
) -> tuple[Measurement, ...]:
    """Return the measurements that a finding rests on: the one its key names, else all whose value was read."""
    measured = () if gap(champion.measurements) is not None else champion.measurements
    metric, _, part = finding.key.partition("/")
    slices = next((m.rule.slices for m in snapshot.metrics if m.name == metric), {})
    key = slices[part].metric if part in slices else finding.key
    first = next((m for m in measured if m.name == key), None)
    named = (first,) if first is not None else tuple(m for m in measured if key == _on_its_data(m))
    if named:
        return named
    values = {read for read in judgement.result.reads if read.endswith("/value")}
    return tuple(m for m in measured if f"/champion/measurements/{_escape(m.name)}/value" in values)


def _on_its_data(measured: Measurement) -> str:
    """Return the key under which the standard policies report a metric that was measured on several datasets."""
    data = measured.dataset
    return f"{measured.name}@{f'{data.name}@{data.digest}' if data else 'data not logged'}"


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _rows(measured: Measurement, snapshot: Snapshot) -> int | None:
    """Return how many rows a value rests on, the least that is stated; None where nothing is."""
    data = measured.dataset
    stated = [n for n in (measured.rows, None if data is None else data.rows) if n is not None]
    rule = next((m.rule for m in snapshot.metrics if m.name == measured.name), None)
    return min(stated, default=None if rule is None else rule.rows)
