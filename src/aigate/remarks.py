"""What an audit remarks, and the remarks that a ledger's own entries give: no outside is asked for them. Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal

from aigate.account import Book, outcomes_of
from aigate.guarded import State, Told
from aigate.ledger import MOVED, Adopt, Chain, Entry, Identity, Intent, Outcome, Void
from aigate.standing import Standing
from aigate.values import Model, Name, Text, show_instant
from aigate.wording import command, shown

Gravity = Literal["broken", "unseen", "warning", "note"]
"""`broken`: something is not what was recorded. `unseen`: it could not be looked at. `warning`: nothing is
proven wrong, and somebody has to see to it. `note`: worth knowing."""

GRAVITIES: tuple[Gravity, ...] = ("broken", "unseen", "warning", "note")
"""In the order in which they are listed."""


class Remark(Model):
    """One thing that an audit has to say."""

    gravity: Gravity
    code: Name
    where: Text
    what: Text
    fix: Text = ""


def say(gravity: Gravity, code: str, where: str, what: str, fix: str = "") -> Remark:
    """Return a remark."""
    return Remark(gravity=gravity, code=code, where=where, what=what, fix=fix)


def numbered(seq: int) -> str:
    """Name an entry for people; 0 is the ledger as a whole."""
    return f"entry {seq}" if seq else "the ledger"


_GRAVITY: Mapping[State, Gravity] = {"ok": "note", "warn": "warning", "bad": "broken", "unknown": "unseen"}


def guard_remark(found: Told) -> Remark:
    """Say whether the registry's server guards the alias."""
    return say(_GRAVITY[found.state], "guard", "the server", found.what, found.fix)


def chain_remarks(model: str, book: Book) -> Iterator[Remark]:
    """Say where the chain breaks. Nothing after that can be believed."""
    for fault in book.chain.faults:
        after = book.stored - len(book.chain.entries) - 1
        more = f"; {after} after it cannot be believed" if after > 0 else ""
        yield say(
            "broken",
            "chain",
            numbered(fault.seq),
            f"{fault.what}{more}",
            "keep the store as it is, and compare it with a backup or an earlier export: "
            + command("audit", model, "--export", f"{model}.zip"),
        )


def history_remarks(model: str, chain: Chain, now: datetime) -> Iterator[Remark]:
    """Read the entries in order, and find what does not follow from what came before."""
    outcomes = outcomes_of(chain)
    holders: dict[str, Identity | None] = {}
    intents: dict[int, Intent] = {}
    ended: set[int] = set()
    vouched: list[tuple[str, Identity]] = []
    before: datetime | None = None
    for entry in chain.entries:
        where, body = numbered(entry.seq), entry.body
        if isinstance(body, Void):  # its time is the entry's before it
            yield _void(chain, entry, body)
            continue
        if before is not None and entry.at < before - _SKEW:
            yield say(
                "warning",
                "time",
                where,
                f"it is dated {show_instant(entry.at)}, before the entry before it: whose clock was wrong?",
            )
        before = entry.at
        if isinstance(body, Intent):
            intents[entry.seq] = body
            if entry.seq not in outcomes:
                yield from () if chain.faults else (_unfinished(model, entry, body, now),)
            elif outcomes[entry.seq].result in MOVED:
                yield from _moved(entry, body, holders)
                yield from _unvouched(entry, body, vouched)
                holders[body.alias] = body.to
                if body.action == "promote":
                    vouched.append((body.alias, body.to))
        elif isinstance(body, Outcome):
            yield from _ended(model, entry, body, intents, ended)
            ended.add(body.of)
        elif isinstance(body, Adopt):
            yield _adopted(entry, body)
            holders[body.alias] = body.to
            if body.to is not None:
                vouched.append((body.alias, body.to))


_SKEW = timedelta(seconds=60)


def _moved(entry: Entry, body: Intent, holders: Mapping[str, Identity | None]) -> Iterator[Remark]:
    where = numbered(entry.seq)
    if body.alias in holders:
        was = holders[body.alias]
        same = (was is None and body.from_ is None) or (
            was is not None and body.from_ is not None and was.same_version(body.from_)
        )
        if not same:
            yield say(
                "broken",
                "ungated",
                where,
                f"it found @{body.alias} on {shown(body.from_)} where the ledger had put it on {shown(was)}: "
                "in between it was moved without an entry",
            )
    if body.action == "promote" and body.decision is None and body.glass is None:
        yield say("broken", "decision", where, f"it promoted v{body.to.version} and names no decision")
    elif body.action == "promote" and body.record is None and body.decision is not None:
        yield say("warning", "decision", where, "its decision's record was not kept")
    if body.glass is not None:
        yield say(
            "note", "glass", where, f"v{body.to.version} was promoted by break-glass (entry {body.glass})"
        )


def _void(chain: Chain, entry: Entry, body: Void) -> Remark:
    """Say that a line of the ledger is no entry; who may write there beside aigate can put one there."""
    after = chain.entry(entry.seq + 1)
    given_up = after is not None and isinstance(after.body, Adopt) and after.body.void == entry.seq
    accepted = f"; {after.actor.name} gave it up in entry {after.seq}" if after and given_up else ""
    return say(
        "warning",
        "void",
        numbered(entry.seq),
        f"junk in the place of entry {entry.seq}: written by somebody who may write params there, or an entry "
        f"that was tampered with; it counts for nothing ({body.what}){accepted}",
        "find out who else writes into the ledger's store",
    )


def _unvouched(entry: Entry, body: Intent, vouched: list[tuple[str, Identity]]) -> Iterator[Remark]:
    """Find a rollback to a version that nobody had ever allowed or adopted: that is a promotion without a decision."""
    known = any(alias == body.alias and body.to.same_version(identity) for alias, identity in vouched)
    if body.action != "rollback" or known:
        return
    right = f", in the right of {body.role}" if body.role else ""
    yield say(
        "warning",
        "unvouched",
        numbered(entry.seq),
        f"{entry.actor.name} rolled @{body.alias} back to v{body.to.version}{right}, which had never come to it by a "
        "promotion or an adoption: nobody decided on it",
        "see what holds it now, and have what serves decided on",
    )


def _unfinished(model: str, entry: Entry, body: Intent, now: datetime) -> Remark:
    running = now < body.expires
    return say(
        "note" if running else "warning",
        "open",
        numbered(entry.seq),
        f"{entry.actor.name} meant to move @{body.alias} to v{body.to.version} at {show_instant(entry.at)}, and "
        + ("may still be at it" if running else "no outcome was ever recorded"),
        ""
        if running
        else f"the next act finds out what became of it: {command('promote', model, '--dry-run')}",
    )


def _ended(
    model: str, entry: Entry, body: Outcome, intents: Mapping[int, Intent], ended: set[int]
) -> Iterator[Remark]:
    where = numbered(entry.seq)
    if body.of not in intents:
        yield say(
            "broken", "outcome", where, f"it is an outcome of entry {body.of}, which is no intent before it"
        )
    elif body.of in ended:
        yield say(
            "warning",
            "outcome",
            where,
            f"entry {body.of} had an outcome already; this one ({body.result}) does not count",
        )
    elif body.result == "conflict":
        yield say(
            "warning",
            "conflict",
            where,
            f"when entry {body.of} was to move the alias, somebody else moved it too: "
            f"it was found on {'v' + body.found if body.found else 'no version'}",
            f"see what holds it now: {command('status', model)}",
        )


def _adopted(entry: Entry, body: Adopt) -> Remark:
    lost = f"; accepted as lost: {body.lost}" if body.lost else ""
    return say(
        "note",
        "adopted",
        numbered(entry.seq),
        f"{shown(body.to)} became @{body.alias} without a decision, found at {show_instant(entry.at)} and adopted by "
        f"{entry.actor.name} ({body.role}): {body.reason}{lost}",
    )


def state_remarks(model: str, found: Standing, now: datetime) -> Iterator[Remark]:
    """Say what is in force, and what waits for somebody."""
    for glass in found.unreviewed():
        yield say(
            "warning",
            "glass",
            numbered(glass.seq),
            f"{glass.actor.name} broke glass for v{glass.glass.to.version} at {show_instant(glass.at)} and nobody "
            f"has reviewed it: {glass.glass.reason}",
            command("review", model, str(glass.seq), "--reason", "…"),
        )
    for halt in found.halts:
        over = halt.over(now)
        until = f", until {show_instant(halt.halt.until)}" if halt.halt.until else ""
        yield say(
            "note",
            "halt",
            numbered(halt.seq),
            f"{'a halt whose time is up' if over else 'halted'} since {show_instant(halt.at)}{until} by "
            f"{halt.actor.name} ({halt.halt.role}): {halt.halt.reason}",
            "" if over else command("resume", model, "--reason", "…"),
        )
    for left in found.quarantined:
        yield say(
            "note",
            "quarantine",
            f"v{left.identity.version}",
            f"rolled back from at {show_instant(left.at)} by {left.actor.name}: {left.reason}",
        )
