"""What entries say of a version besides that they brought it: that it was found there, and who named it. Pure."""

import re
from datetime import datetime

from aigate.account import Mention, Passage, outcomes_of
from aigate.ledger import (
    MOVED,
    Adopt,
    BreakGlass,
    Chain,
    Clear,
    Drill,
    Entry,
    Identity,
    Intent,
    Outcome,
)
from aigate.wording import shown


class _Passing:
    """What the ledger says of an alias while its entries are read, and where a version was found instead."""

    def __init__(self, chain: Chain, alias: str, version: str) -> None:
        self.alias = alias
        self.version = version
        self.holder: Identity | None = None
        self.since: datetime | None = None
        self.found: list[Passage] = []
        self.open: dict[int, Entry] = {}
        self._results = outcomes_of(chain)

    def take(self, entry: Entry) -> None:
        body = entry.body
        if isinstance(body, Intent) and body.alias == self.alias:
            self.open[entry.seq] = entry
            if body.from_ is not None:
                self.see(body.from_, entry)
        elif isinstance(body, Outcome) and body.of in self.open:
            self._close(entry, body, self.open.pop(body.of))
        elif isinstance(body, Adopt) and body.alias == self.alias:
            self.holder, self.since = body.to, entry.at

    def see(self, identity: Identity, entry: Entry) -> None:
        """Note that a version holds the alias, where that is the one in question and the ledger put it elsewhere."""
        expected = self.holder is not None and self.holder.same_version(identity)
        if identity.version == self.version and not expected:
            self._note(identity, entry)

    def _close(self, entry: Entry, outcome: Outcome, intent: Entry) -> None:
        body = intent.body
        assert isinstance(body, Intent)  # nothing else is kept as open
        if outcome.result in MOVED:
            if self.found and self.found[-1].seq == intent.seq:
                left = {"until": entry.at, "left_by": body.action}
                self.found[-1] = self.found[-1].model_copy(update=left)
            self.holder, self.since = body.to, entry.at
        elif outcome.result == "conflict" and outcome.found == self.version:
            self._note(None, entry)  # neither where it was nor where it should be

    def _note(self, identity: Identity | None, entry: Entry) -> None:
        reason = getattr(entry.body, "reason", "") or getattr(entry.body, "detail", "")
        seen = entry.at
        last = self.found[-1] if self.found else None
        if last is not None and last.after == self.since and last.until is None:
            seen = last.seen  # found there before, and still there
            self.found.pop()
        self.found.append(
            Passage(
                identity=identity,
                after=self.since,
                seen=seen,
                seq=entry.seq,
                by=entry.actor.name,
                reason=reason,
            )
        )


def passages_of(
    chain: Chain, alias: str, version: str, now: datetime, holding: Identity | None
) -> tuple[Passage, ...]:
    """Return every time a version was found to hold an alias that the ledger had put elsewhere, oldest first."""
    passing = _Passing(chain, alias, version)
    for entry in chain.entries:
        passing.take(entry)
    found = passing.found
    explained = [passing.holder, *(e.body.to for e in passing.open.values() if isinstance(e.body, Intent))]
    if holding is not None and not any(who is not None and who.same_version(holding) for who in explained):
        found.append(Passage(identity=holding, after=passing.since, seen=now))
    return tuple(found)


def mentions_of(chain: Chain, version: str) -> tuple[Mention, ...]:
    """Return every entry that names a version, oldest first."""
    outcomes = outcomes_of(chain)
    return tuple(
        Mention(seq=entry.seq, at=entry.at, by=entry.actor.name, words=words)
        for entry in chain.entries
        if (words := _words(entry, version, outcomes))
    )


def _words(entry: Entry, version: str, outcomes: dict[int, Outcome]) -> str:
    """Say how an entry names a version; empty where it does not."""

    def meant(*those: Identity | None) -> bool:
        return any(one is not None and one.version == version for one in those)

    match entry.body:
        case Intent() as body if meant(body.from_, body.to):
            outcome = outcomes.get(entry.seq)
            result = "no outcome" if outcome is None else outcome.result
            moved = f"{body.action} of @{body.alias} from {shown(body.from_)} to {shown(body.to)}"
            return f"{moved} ({result}): {body.reason}"
        case Outcome() as body if body.found == version and body.result == "conflict":
            return f"it was found to hold the alias that entry {body.of} was to move: {body.detail}"
        case Adopt() as body if meant(body.from_, body.to):
            return f"@{body.alias} was adopted on {shown(body.to)}, expected on {shown(body.from_)}: {body.reason}"
        case Adopt() as body if re.search(rf"\bv{version}\b", body.lost):
            return f"accepted as lost: {body.lost}"
        case BreakGlass() as body if meant(body.to):
            return f"break-glass for @{body.alias} ({body.role}): {body.reason}"
        case Clear() as body if meant(body.version):
            return f"its quarantine was lifted ({body.role}): {body.reason}"
        case Drill() as body if meant(body.from_, body.to):
            rehearsed = f"from {shown(body.from_)} to {shown(body.to)}"
            return f"a rollback of @{body.alias} {rehearsed} was rehearsed {body.detail}".rstrip()
        case _:
            return ""
