"""What a model's history says about now: who is in service since when, what is halted, quarantined, open. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from aigate.decision import Actor
from aigate.ledger import (
    MOVED,
    Action,
    Adopt,
    BreakGlass,
    Chain,
    Clear,
    Drill,
    Entry,
    Halt,
    Identity,
    Intent,
    Outcome,
    Resume,
    Review,
    Void,
)
from aigate.values import Digest, Instant, Model, Name

Way = Literal["promote", "rollback", "adopt"]


class Tenure(Model):
    """A time in which one version held an alias, as far as the ledger tells."""

    alias: Name
    identity: Identity | None
    """None where somebody adopted that nothing holds the alias."""
    since: Instant
    until: Instant | None = None
    """None while it lasts."""
    by: Way
    """How it came."""
    left_by: Way | None = None
    """How it ended."""
    seq: int
    """The entry that brought it: the intent, or the adoption."""
    decision: Digest | None = None
    actor: Actor
    reason: str

    def lived(self, now: datetime) -> timedelta:
        """Return how long it held the alias."""
        return (self.until or now) - self.since


class Quarantine(Model):
    """A version that was rolled back from; it is not promoted or returned to until somebody clears it."""

    identity: Identity
    seq: int
    at: Instant
    actor: Actor
    reason: str


class HaltInForce(Model):
    """A halt that nobody has resumed and whose time is not up."""

    seq: int
    at: Instant
    actor: Actor
    halt: Halt

    def over(self, now: datetime) -> bool:
        """Whether it set itself an end that has come."""
        return self.halt.until is not None and self.halt.until <= now


class Glass(Model):
    """A break-glass entry and what became of it."""

    seq: int
    at: Instant
    actor: Actor
    glass: BreakGlass
    used_by: int | None = None
    """The intent that used it."""
    reviewed: bool = False


class Open(Model):
    """An intent without an outcome: its writer is at work, or dead."""

    seq: int
    at: Instant
    actor: Actor
    intent: Intent


class Moved(Model):
    """One move of the alias that was made."""

    seq: int
    at: Instant
    action: Action
    alias: Name
    from_: Identity | None
    to: Identity
    automatic: bool
    reason: str
    actor: Actor


class Rehearsed(Model):
    """A drill and when it was."""

    seq: int
    at: Instant
    actor: Actor
    drill: Drill


class Standing(Model):
    """A model's state according to its ledger."""

    model: Name
    tenures: tuple[Tenure, ...] = ()
    """Oldest first, of every alias."""
    quarantined: tuple[Quarantine, ...] = ()
    halts: tuple[HaltInForce, ...] = ()
    glasses: tuple[Glass, ...] = ()
    open: tuple[Open, ...] = ()
    moves: tuple[Moved, ...] = ()
    drills: tuple[Rehearsed, ...] = ()

    def known(self, alias: str) -> bool:
        """Whether the ledger has ever said what holds an alias."""
        return any(tenure.alias == alias for tenure in self.tenures)

    def tenure(self, alias: str) -> Tenure | None:
        """Return the present tenure of an alias; None where the ledger knows of none."""
        return next((t for t in reversed(self.tenures) if t.alias == alias), None)

    def holder(self, alias: str) -> Identity | None:
        """Return what the ledger says holds an alias; None where nothing does or it does not know."""
        tenure = self.tenure(alias)
        return None if tenure is None else tenure.identity

    def quarantine(self, identity: Identity) -> Quarantine | None:
        """Return the quarantine a version is in; None where it is in none."""
        return next((q for q in self.quarantined if q.identity.same_version(identity)), None)

    def halted(self, now: datetime) -> tuple[HaltInForce, ...]:
        """Return the halts in force."""
        return tuple(halt for halt in self.halts if not halt.over(now))

    def glass_for(self, alias: str, identity: Identity, now: datetime) -> Glass | None:
        """Return unused leave to promote exactly this version to exactly this alias."""
        for found in reversed(self.glasses):
            fits = found.glass.alias == alias and found.glass.to == identity
            if fits and found.used_by is None and found.at <= now < found.glass.expires:
                return found
        return None

    def unreviewed(self) -> tuple[Glass, ...]:
        """Return the uses of break-glass that nobody has looked at."""
        return tuple(glass for glass in self.glasses if glass.used_by is not None and not glass.reviewed)


class _Folding:
    """The state while entries are read one by one."""

    def __init__(self) -> None:
        self.tenures: list[Tenure] = []
        self.quarantined: list[Quarantine] = []
        self.halts: list[HaltInForce] = []
        self.glasses: list[Glass] = []
        self.open: dict[int, Open] = {}
        self.moves: list[Moved] = []
        self.drills: list[Rehearsed] = []

    def take(self, entry: Entry) -> None:
        match entry.body:
            case Intent() as intent:
                self.open[entry.seq] = Open(seq=entry.seq, at=entry.at, actor=entry.actor, intent=intent)
                self._use_glass(intent, entry.seq)
            case Outcome() as outcome:
                self._close(entry, outcome)
            case Halt() as halt:
                self.halts.append(HaltInForce(seq=entry.seq, at=entry.at, actor=entry.actor, halt=halt))
            case Resume():
                self.halts.clear()
            case Adopt() as adopt:
                self._serve(entry, adopt.alias, adopt.to, "adopt", entry.seq, None, adopt.reason)
            case Clear() as clear:
                self.quarantined = [q for q in self.quarantined if not q.identity.same_version(clear.version)]
            case BreakGlass() as glass:
                self.glasses.append(Glass(seq=entry.seq, at=entry.at, actor=entry.actor, glass=glass))
            case Review() as review:
                self._change_glass(review.of, reviewed=True)
            case Void():
                pass
            case Drill() as drill:
                self.drills.append(Rehearsed(seq=entry.seq, at=entry.at, actor=entry.actor, drill=drill))

    def _close(self, entry: Entry, outcome: Outcome) -> None:
        found = self.open.pop(outcome.of, None)
        if found is None:
            return  # the intent had its outcome already: the first one counts
        intent = found.intent
        if outcome.result not in MOVED:
            self._give_back(found.seq)
            return
        self.moves.append(
            Moved(
                seq=found.seq,
                at=entry.at,
                action=intent.action,
                alias=intent.alias,
                from_=intent.from_,
                to=intent.to,
                automatic=intent.automatic,
                reason=intent.reason,
                actor=found.actor,
            )
        )
        if intent.action == "rollback" and intent.from_ is not None:
            self._quarantine(entry, found, intent.from_)
        self._serve(
            entry,
            intent.alias,
            intent.to,
            intent.action,
            found.seq,
            intent.decision,
            intent.reason,
            found.actor,
        )

    def _quarantine(self, entry: Entry, found: Open, left: Identity) -> None:
        self.quarantined = [q for q in self.quarantined if not q.identity.same_version(left)]
        self.quarantined.append(
            Quarantine(
                identity=left, seq=found.seq, at=entry.at, actor=found.actor, reason=found.intent.reason
            )
        )

    def _serve(
        self,
        entry: Entry,
        alias: str,
        identity: Identity | None,
        by: Way,
        seq: int,
        decision: Digest | None,
        reason: str,
        actor: Actor | None = None,
    ) -> None:
        for number, tenure in enumerate(self.tenures):
            if tenure.alias == alias and tenure.until is None:
                self.tenures[number] = tenure.model_copy(update={"until": entry.at, "left_by": by})
        self.tenures.append(
            Tenure(
                alias=alias,
                identity=identity,
                since=entry.at,
                by=by,
                seq=seq,
                decision=decision,
                actor=actor or entry.actor,
                reason=reason,
            )
        )

    def _use_glass(self, intent: Intent, seq: int) -> None:
        """Note the first use of a leave; what claims it afterwards has none."""
        for glass in self.glasses:
            if glass.seq == intent.glass and glass.used_by is None:
                self._change_glass(glass.seq, used_by=seq)

    def _give_back(self, seq: int) -> None:
        """Return the leave that an intent used and moved nothing with; what was reviewed of it was no use."""
        for glass in self.glasses:
            if glass.used_by == seq:
                self._change_glass(glass.seq, used_by=None, reviewed=False)

    def _change_glass(self, seq: int, **changes: object) -> None:
        self.glasses = [g.model_copy(update=changes) if g.seq == seq else g for g in self.glasses]


def standing(chain: Chain) -> Standing:
    """Return what a chain's entries come to."""
    return fold(chain.model, chain.entries)


def fold(model: str, entries: Iterable[Entry]) -> Standing:
    """Return what entries, taken in their order, come to."""
    folding = _Folding()
    for entry in entries:
        folding.take(entry)
    return Standing(
        model=model,
        tenures=tuple(folding.tenures),
        quarantined=tuple(folding.quarantined),
        halts=tuple(folding.halts),
        glasses=tuple(folding.glasses),
        open=tuple(folding.open[seq] for seq in sorted(folding.open)),
        moves=tuple(folding.moves),
        drills=tuple(folding.drills),
    )
