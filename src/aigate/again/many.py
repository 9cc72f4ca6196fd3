"""A backtest: recorded snapshots, as many as there are, put to other policies."""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import from_json, to_json

from aigate.again.rules import Rules
from aigate.backtest import MOST_CAUSES, Backtest, Case, Cause, Counting, Jury, Known, causes, is_yes, kind_of
from aigate.collect.records import Piece
from aigate.collect.snapshot_file import parse_snapshot
from aigate.decision import Decision
from aigate.digest import canonical, digest, digest_bytes
from aigate.errors import ConfigError
from aigate.isolate import Limits
from aigate.isolate.batch import Batch, Judged
from aigate.report.json import SCHEMA, read_record
from aigate.snapshot import Snapshot
from aigate.values import Digest

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_PLACES = sorted(["id", *(field.alias or name for name, field in Decision.model_fields.items())])
"""What a record of this version has, in the order of its bytes."""

_HELD_BACK = 256
"""Snapshots without a decision that wait to be put to the policies in force together."""


@dataclass(frozen=True)
class Asked:
    """What is tested, and on what."""

    rules: Rules
    today: Rules | None
    """The policies in force, for snapshots without a decision; None where these are what is tested."""
    environment: str
    since: datetime | None
    source: str
    limits: Limits = Limits()  # noqa: RUF009 - it is frozen


def backtest(pieces: Iterable[Piece], asked: Asked) -> Backtest:
    """Put every snapshot of a stream to the policies, and say where the verdict would have been another.

    A record must come before its snapshot. Raises PolicyCodeError for policies
    that do not load, and for one that answers the same snapshot in two ways.
    """
    with ExitStack() as stack:
        return _Backtest(asked, stack).run(pieces)


class _Backtest:
    """One run over a source."""

    def __init__(self, asked: Asked, stack: ExitStack) -> None:
        self.asked = asked
        self.counting = Counting()
        self.known: dict[Digest, Known] = {}
        self._met: set[Digest] = set()
        """Snapshots that `known` decisions were made from, and that are there."""
        self._stack = stack
        self._batch = self._started(asked.rules)
        self._jury: Jury | None = None
        self._today: tuple[Batch, Rules] | None = None
        self._alone: list[tuple[str, bytes, Judged]] = []

    def _started(self, rules: Rules) -> Batch:
        asked = self.asked
        batch = Batch(
            rules.files,
            rules.params,
            environment=asked.environment,
            since=asked.since,
            limits=asked.limits,
        )
        return self._stack.enter_context(batch)

    def run(self, pieces: Iterable[Piece]) -> Backtest:
        odd: list[tuple[str, bytes]] = []
        for where, data, judged in self._batch.run(self._snapshots(pieces)):
            if judged.facts.state == "odd":
                odd += self._made_even(where, data)
                if len(odd) >= _HELD_BACK:
                    self._take_all(odd)
                    odd = []
            else:
                self._take(where, data, judged)
        self._take_all(odd)
        self._compare_alone()
        self.counting.count("without_snapshot", len(self.known) - len(self._met))
        asked = self.asked
        return self.counting.result(
            {
                "policies": asked.rules.shown,
                "policies_digest": asked.rules.digest,
                "source": asked.source,
                "environment": asked.environment,
                "since": asked.since,
            }
        )

    def _snapshots(self, pieces: Iterable[Piece]) -> Iterator[tuple[str, bytes]]:
        """Yield the snapshots; keep what records say, and count the rest."""
        for piece in pieces:
            if piece.kind == "snapshot":
                yield piece.where, piece.data
            elif piece.kind == "record":
                try:
                    snapshot, known = known_from(piece.data)
                except ConfigError as e:
                    self.counting.unread(piece.where, e.message, snapshot=False)
                else:
                    self._keep(snapshot, known)
            elif piece.kind == "other":
                self.counting.count("others")
            else:
                self.counting.unread(piece.where, piece.why, snapshot=not piece.of_record)

    def _keep(self, snapshot: Digest, known: Known) -> None:
        """Keep a verdict to hold another against, where its snapshot is to be judged."""
        since = self.asked.since
        if known.environment != self.asked.environment or (since and known.at and known.at < since):
            return
        other = self.known.get(snapshot)
        if other is None or known.before(other):
            self.known[snapshot] = known

    def _made_even(self, where: str, data: bytes) -> list[tuple[str, bytes]]:
        """Return a snapshot that is not in canonical form in that form, where a strict reader takes it."""
        try:
            return [(where, canonical(parse_snapshot(data, where)))]
        except ConfigError as e:
            self.counting.unread(where, e.message.removeprefix(f"{where}: "))
            return []

    def _take_all(self, snapshots: list[tuple[str, bytes]]) -> None:
        for where, data, judged in self._batch.run(snapshots):
            if judged.facts.state == "odd":  # its keys lie beyond the basic plane
                self.counting.unread(where, "it has no form that every parser reads alike")
            else:
                self._take(where, data, judged)

    def _take(self, where: str, data: bytes, judged: Judged) -> None:
        facts = judged.facts
        if facts.state == "unreadable":
            self.counting.unread(where, f"not a snapshot of this version of aigate: {facts.why}")
            return
        if facts.state != "judged":
            self.counting.count(facts.state)
            return
        self.counting.answers(judged.results)
        if (known := self._known(facts.digest, data)) is not None:
            self._compare(where, judged, known)
        elif self.asked.today is not None:
            self._alone.append((where, data, judged))
            if len(self._alone) >= _HELD_BACK:
                self._compare_alone()
        else:
            self.counting.count("incomparable")

    def _known(self, by_bytes: Digest | None, data: bytes) -> Known | None:
        """Return the verdict on a snapshot; one that an older aigate saved has its digest as it is read."""
        if by_bytes not in self.known and self.known:
            by_bytes = digest(Snapshot.model_validate_json(data))
        known = self.known.get(by_bytes or "")
        if known is not None and by_bytes is not None:
            self._met.add(by_bytes)
        return known

    def _compare_alone(self) -> None:
        """Hold snapshots without a decision against the policies in force."""
        if not self._alone or self.asked.today is None:
            return
        if self._today is None:
            self._today = (self._started(self.asked.today), self.asked.today)
        batch, rules = self._today
        again = batch.run((str(n), data) for n, (_, data, _) in enumerate(self._alone))
        for (where, _, judged), (_, _, before) in zip(self._alone, again, strict=True):
            jury = Jury(batch.infos, rules.levels, rules.manifest)
            facts = before.facts
            was = jury.verdict(facts.question, facts.unclear, before.results)
            shut = () if is_yes(was) else causes(jury.judgements(before.results))
            self._compare(where, judged, Known(verdict=was, by="policies", causes=shut))
        self._alone = []

    def _compare(self, where: str, judged: Judged, known: Known) -> None:
        facts, rules = judged.facts, self.asked.rules
        if self._jury is None or self._jury.infos is not self._batch.infos:  # more became known of them
            self._jury = Jury(self._batch.infos, rules.levels, rules.manifest)
        jury = self._jury
        shut: tuple[Cause, ...] | None = None
        if known.waived is None:
            becomes = jury.verdict(facts.question, facts.unclear, judged.results)
        else:
            becomes, shut = jury.with_waivers(facts.question, facts.unclear, judged.results, known.waived)
        kind = kind_of(known.verdict, becomes)
        if kind is None:
            self.counting.count("unchanged")
            return
        if kind == "let_through":
            shut = known.causes
        elif shut is None:
            shut = causes(jury.judgements(judged.results))
        assert facts.now is not None  # every snapshot that was judged has one
        self.counting.case(
            Case(
                kind=kind,
                model=facts.model,
                version=facts.version,
                alias=facts.alias,
                question=facts.question,
                at=facts.now,
                was=known.verdict,
                becomes=becomes,
                by=known.by,
                causes=shut,
                where=where,
            )
        )


def known_from(data: bytes) -> tuple[Digest, Known]:
    """Return a decision record's verdict, and the digest of the snapshot it was made from.

    Raises ConfigError, saying where, for one that is not sound: edited,
    reordered, with a key twice, or whose id is not its digest.
    """
    try:
        fields: Any = from_json(data)
        whole = to_json(fields) == data  # else it says something twice, or in another way
    except ValueError:
        return _by_reader(data)
    if not whole or not isinstance(fields, dict) or list(fields) != _PLACES or fields["schema"] != SCHEMA:
        return _by_reader(data)
    id = fields.pop("id")
    try:
        if id != digest_bytes(to_json(fields)) or fields["waivers"]["applied"]:
            return _by_reader(data)
        of: str = fields["snapshot_digest"]
        known = Known(
            verdict=fields["verdict"],
            by="record",
            causes=_stood(fields),
            environment=fields["environment"],
            at=fields["now"],
        )
    except (KeyError, TypeError, ValueError):
        return _by_reader(data)
    return (of, known) if _DIGEST.fullmatch(of) else _by_reader(data)


def _by_reader(data: bytes) -> tuple[Digest, Known]:
    """Read a record in full: ten times slower, and it says what is wrong."""
    decision = read_record(data)
    shut = () if is_yes(decision.verdict) else causes(decision.judgements)
    waived = decision if decision.waivers.applied else None
    return decision.snapshot_digest, Known(
        verdict=decision.verdict,
        by="record",
        causes=shut,
        waived=waived,
        environment=decision.environment,
        at=decision.now,
    )


def _stood(fields: dict[str, Any]) -> tuple[Cause, ...]:
    """Return what kept the gate shut, from a record's plain fields."""
    if fields["verdict"] in ("allow", "keep"):
        return ()
    rows: list[dict[str, Any]] = fields["judgements"]
    found = [
        Cause(
            policy=row["info"]["id"],
            outcome=row["result"]["outcome"],
            message=_first(row["result"]),
        )
        for row in rows
        if row["level"] != "advise" and row["result"]["outcome"] in ("fail", "unknown", "error")
    ]
    return tuple(sorted(found, key=lambda cause: cause.outcome != "fail")[:MOST_CAUSES])


def _first(result: dict[str, Any]) -> str:
    findings = result["findings"]
    return str(findings[0]["message"] if findings else result["reason"])
