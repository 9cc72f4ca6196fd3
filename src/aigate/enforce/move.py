"""One move of an alias, written ahead: what is intended stands in the ledger before anything is touched.

Killed at any point, the next run finds out from the ledger and the registry
what happened (`reconcile`). MLflow has no compare-and-set: between the last
look and the write there is a moment in which somebody else may move the alias.
The ledger's entries are tickets, so that two runs of aigate do not meet there;
what anybody else does is seen when the alias is read back, or by the next run.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from aigate.collect.mlflow.reader import Json, RegistryError, RegistryReader
from aigate.enforce.ledger import Ledger, LostTicketError
from aigate.enforce.present import Entered
from aigate.enforce.receipts import QUARANTINE, RECEIPT, receipt
from aigate.enforce.store import LedgerError, UncertainError
from aigate.enforce.writer import RegistryWriter, Shown
from aigate.ledger import LONGEST_REASON, MOVED, Identity, Intent, Outcome, Result
from aigate.standing import Open
from aigate.wording import shown

MARGIN = timedelta(seconds=12)
"""Time that must be left to an intent when the alias is written: longer than a write may take (`writer.WRITE`,
and ten seconds in MLflow's own library)."""

READ_BACK = 2.0
"""Seconds for which an alias is read back where it does not yet show what was written."""

_AGAIN = "run the same command again: it finds out what happened and finishes or abandons it"
_PAUSE = 0.1
_TRIES = 20
_SKEW = timedelta(seconds=60)
_NOTHING_WRITTEN = ("denied", "not_found", "refused")

STEPS = (
    "before_intent",
    "after_intent",
    "after_recheck",
    "before_alias",
    "after_alias",
    "after_read_back",
    "after_receipt",
    "after_outcome",
)
"""The points between effects, in order; whoever drives a move is told when each is passed."""


@dataclass(frozen=True)
class Site:
    """Where moves are made: one model's ledger, its registry, and the clocks."""

    ledger: Ledger
    reader: RegistryReader
    writer: RegistryWriter
    clock: Callable[[], datetime]
    step: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    signs: bool = False
    """Whether there is a key to sign tickets for a server that guards its aliases."""


@dataclass(frozen=True)
class MoveDone:
    """What became of a move."""

    result: Result
    detail: str
    seq: int
    """The intent's entry."""
    warnings: tuple[str, ...] = ()
    """What could not be written beside the alias."""
    remarks: tuple[str, ...] = ()
    """What somebody should know, though everything was done."""

    @property
    def moved(self) -> bool:
        """Whether the alias is where it was to be."""
        return self.result in MOVED


def carry_out(site: Site, intent: Intent, recheck: Callable[[], str]) -> MoveDone:
    """Make a move: intent, recheck, alias, read back, receipt, outcome.

    `recheck` returns what has changed since the decision, empty where nothing
    has. Raises LedgerError where nothing was begun, and UncertainError
    where the end cannot be told; then the next run finds out.
    """
    site.step("before_intent")
    seq = site.ledger.append(intent).seq
    digest = site.ledger.chain.digests[-1]
    site.step("after_intent")
    try:
        result, detail = _before(site, intent, seq, digest, recheck)
    except BaseException:
        _close(site, seq, "abandoned", "the run failed before the move")
        raise
    if result is not None:
        return _end(site, seq, result, detail)
    site.step("before_alias")
    written = _write(site, intent, seq)
    site.step("after_read_back")
    warnings = _receipts(site, intent, digest, seq) if written.result in MOVED else ()
    site.step("after_receipt")
    return _end(site, seq, *written[:3], warnings, written.remarks)


def _before(
    site: Site, intent: Intent, seq: int, digest: str, recheck: Callable[[], str]
) -> tuple[Result | None, str]:
    """Look once more at everything the move rests on; None where it may be made."""
    if changed := recheck():
        return "changed", changed
    site.step("after_recheck")
    try:
        held = site.reader.version_by_alias(site.ledger.model, intent.alias)
    except RegistryError as e:
        return "abandoned", f"what holds @{intent.alias} cannot be read: {e.message}"
    if not is_version(held, intent.from_):
        return "changed", f"@{intent.alias} moved from {shown(intent.from_)} to {_number(held)} meanwhile"
    if interfered := _interference(site, seq, digest):
        return "abandoned", interfered
    if site.clock() > intent.expires - MARGIN:
        return "abandoned", "it took so long that others may take the move for abandoned"
    return None, ""


def _interference(site: Site, seq: int, digest: str) -> str:
    """Return what was done to the ledger since the intent; empty where nothing was."""
    chain = site.ledger.refresh()
    if chain.faults:
        return f"the ledger cannot be believed: {chain.faults[0].what}"
    if chain.digests[seq - 1 : seq] != (digest,):
        return f"entry {seq} is not what was written: the ledger has been tampered with"
    later = chain.entries[seq:]
    if not later:
        return ""
    first = later[0]
    return f"{first.actor.name} wrote a {first.body.kind} into the ledger meanwhile (entry {first.seq})"


class _Written(NamedTuple):
    result: Result
    detail: str
    found: str | None
    remarks: tuple[str, ...] = ()


def _write(site: Site, intent: Intent, seq: int) -> _Written:
    """Move the alias and read it back; say what became of it.

    Raises UncertainError where it cannot be read back.
    """
    trouble, refused, hangs = "", False, False
    remarks: tuple[str, ...] = ()
    try:
        shown_ = site.writer.set_alias(
            site.ledger.model, intent.alias, intent.to.version, Entered(intent, seq)
        )
        remarks = _unguarded(intent.alias, shown_) if site.signs else ()
    except RegistryError as e:
        trouble, refused, hangs = e.message, e.code in _NOTHING_WRITTEN, e.code == "deadline"
    site.step("after_alias")
    held = _read_back(site, intent, patient=not refused)
    found = None if held is None else str(held["version"])
    if is_version(held, intent.to):
        detail = trouble and f"though MLflow answered: {trouble}"[:LONGEST_REASON]
        return _Written("applied", detail, found, remarks)
    if not is_version(held, intent.from_):
        return _Written("conflict", f"@{intent.alias} is on {_number(held)}: somebody else moved it", found)
    if refused:
        return _Written("refused", trouble[:LONGEST_REASON], found)
    if hangs:
        raise UncertainError(
            f"MLflow did not answer in time to setting @{intent.alias} to {shown(intent.to)}, and may do it yet",
            fix=_AGAIN,
        )
    said = trouble or "MLflow answered that it was done"
    detail = f"@{intent.alias} is still on {_number(held)}, though {said}"[:LONGEST_REASON]
    return _Written("not_applied", detail, found)


def _unguarded(alias: str, shown_: Shown) -> tuple[str, ...]:
    """Say so where the server would have moved the alias without a ticket too."""
    if not shown_.ticket:
        return ("a signing key is set, and MLflow was reached in a way that shows no ticket",)
    if shown_.guard is None:
        return (f"a signing key is set, and the server did not ask for a ticket: @{alias} is not guarded",)
    if shown_.guard.mode == "observe":
        return (f"the server's guard only observes: @{alias} would move without a ticket too",)
    return ()


def _read_back(site: Site, intent: Intent, *, patient: bool) -> Json | None:
    """Read the alias until it shows what was written, or for a bounded time."""
    end = site.monotonic() + (READ_BACK if patient else 0.0)
    while True:
        trouble: RegistryError | None = None
        held: Json | None = None
        try:
            held = site.reader.version_by_alias(site.ledger.model, intent.alias)
        except RegistryError as e:
            trouble = e
        if trouble is None and is_version(held, intent.to):
            return held
        if site.monotonic() >= end:
            if trouble is None:
                return held
            raise UncertainError(
                f"@{intent.alias} was to be set to {shown(intent.to)}, and cannot be read back: {trouble.message}",
                fix=_AGAIN,
            ) from trouble
        site.sleep(_PAUSE)


def _receipts(site: Site, intent: Intent, digest: str, seq: int) -> tuple[str, ...]:
    """Set the receipt, and the quarantine of a version that was rolled back from; return what could not be set."""
    wanted = [(intent.to.version, RECEIPT, receipt(seq, digest, intent.decision))]
    if intent.action == "rollback" and intent.from_ is not None:
        wanted.append((intent.from_.version, QUARANTINE, intent.reason))
    warnings = []
    for version, key, value in wanted:
        try:
            site.writer.set_version_tag(site.ledger.model, version, key, value)
        except RegistryError as e:
            warnings.append(f"v{version} could not be given its tag {key}: {e.message}")
    return tuple(warnings)


def _end(
    site: Site,
    seq: int,
    result: Result,
    detail: str,
    found: str | None = None,
    warnings: tuple[str, ...] = (),
    remarks: tuple[str, ...] = (),
) -> MoveDone:
    done = _close(site, seq, result, detail, found)
    site.step("after_outcome")
    if result in MOVED:  # closed by somebody else meanwhile, it may be a conflict by now
        return MoveDone(done.result, done.detail, seq, warnings, remarks)
    return MoveDone(result, detail, seq, warnings, remarks)


def _close(site: Site, seq: int, result: Result, detail: str, found: str | None = None) -> Outcome:
    """Write an intent's outcome, whatever else is written at the same time; return the one that counts.

    Where somebody closed it meanwhile, in the belief that its writer was dead,
    and the alias was moved all the same, that is a conflict and is said so.
    """
    detail = detail[:LONGEST_REASON]
    for _ in range(_TRIES):
        known = _outcome_of(site.ledger, seq)
        if known is not None and result not in MOVED:
            return known
        if known is not None and known.result in MOVED:
            return known
        if known is not None:
            result, detail = "conflict", f"closed as {known.result} by somebody else, and moved all the same"
        outcome = Outcome(of=seq, result=result, detail=detail, found=found)
        try:
            site.ledger.append(outcome)
            return outcome
        except LostTicketError:
            site.ledger.refresh()
        except (LedgerError, UncertainError) as e:
            raise UncertainError(
                f"the move of entry {seq} ended as {result!r}, and that could not be written down: {e.message}",
                fix="run the same command again: it finds out what happened and writes it down",
            ) from e
    raise UncertainError(f"the outcome of entry {seq} could not be written: others write all the time")


def _outcome_of(ledger: Ledger, seq: int) -> Outcome | None:
    for entry in ledger.chain.entries[seq:]:
        if isinstance(entry.body, Outcome) and entry.body.of == seq:
            return entry.body
    return None


def reconcile(site: Site, *, patience: float) -> tuple[Outcome, ...]:
    """Find out what became of every intent without an outcome, and write it down.

    Whose writer may still be at work is waited for, `patience` seconds at most
    by this machine's own clock; then the writer is taken for dead. One that is
    not will find its intent closed when it looks before it writes. Raises
    LedgerError and UncertainError; AigateError where the registry cannot say
    what holds the alias.
    """
    found: list[Outcome] = []
    while open_ := site.ledger.standing.open:
        _await(site, open_[0], patience)
        if site.ledger.standing.open[:1] == open_[:1]:
            found.append(_settle(site, open_[0]))
    return tuple(found)


def _await(site: Site, open_: Open, patience: float) -> None:
    """Wait until an intent is closed by its writer, or it can be taken for dead."""
    if site.clock() > open_.intent.expires + _SKEW:
        return
    end = site.monotonic() + patience
    site.step("waiting")
    while site.monotonic() < end:
        site.sleep(min(_PAUSE * 2, max(0.0, end - site.monotonic())))
        site.ledger.refresh()
        site.ledger.check()
        if site.ledger.standing.open[:1] != (open_,):
            return


def _settle(site: Site, open_: Open) -> Outcome:
    intent = open_.intent
    try:
        held = site.reader.version_by_alias(site.ledger.model, intent.alias)
    except RegistryError as e:
        raise LedgerError(
            f"{open_.actor.name} began to move @{intent.alias} to {shown(intent.to)} and did not finish; "
            f"what came of it cannot be found out: {e.message}",
            fix="run it again when MLflow answers",
        ) from e
    found = None if held is None else str(held["version"])
    if is_version(held, intent.to):
        digest = site.ledger.chain.digests[open_.seq - 1]
        _receipts(site, intent, digest, open_.seq)
        return _close(
            site, open_.seq, "recovered", "its writer did not finish; the alias had been moved", found
        )
    if is_version(held, intent.from_):
        return _close(
            site, open_.seq, "not_applied", "its writer did not finish; the alias had not been moved", found
        )
    detail = f"its writer did not finish, and @{intent.alias} is on {_number(held)}"
    return _close(site, open_.seq, "conflict", detail, found)


def is_version(held: Json | None, identity: Identity | None) -> bool:
    """Whether what the registry returned for an alias is the version that is meant, and no other of its number."""
    if held is None or identity is None:
        return held is None and identity is None
    created = held.get("creation_timestamp")
    return (
        str(held["version"]) == identity.version
        and isinstance(created, int)
        and created == round(identity.created_at.timestamp() * 1000)
        and (held.get("run_id") or None) == identity.run_id
    )


def _number(held: Json | None) -> str:
    return "no version" if held is None else f"v{held['version']}"
