"""What changes a model's state without moving its alias: halt, resume, adopt, clear, break-glass, review."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from aigate.act.desk import Acting, Desk, Read, folder_of, manifest_of, open_desk
from aigate.authority import Need, NotAllowedError, role_of
from aigate.collect.manifest_file import LoadedManifest
from aigate.collect.mlflow.reader import RegistryError
from aigate.enforce.ledger import LostTicketError
from aigate.enforce.move import reconcile
from aigate.enforce.receipts import QUARANTINE, RECEIPT, receipt
from aigate.errors import UsageError
from aigate.ledger import (
    LONGEST_REASON,
    Adopt,
    Body,
    BreakGlass,
    Clear,
    Entry,
    Halt,
    Identity,
    Resume,
    Review,
)
from aigate.plan import Act, ActName, Blocker, drift
from aigate.standing import Standing
from aigate.values import Digest, show_duration, show_instant
from aigate.wording import USUAL_ALIAS, command, shown

MOST_GLASS = timedelta(hours=1)
"""How long break-glass may last at most."""

_SECONDS = 60.0
_TRIES = 5
_PATIENCE = 15.0
_ABOUT_ALIAS: tuple[ActName, ...] = ("adopt", "break-glass")


@dataclass(frozen=True)
class StateRequest:
    """Who wants a model's state changed, and why."""

    model: str
    alias: str
    reason: str
    as_team: str | None = None
    """The team that somebody says he acts for."""


def halt(
    loaded: LoadedManifest | None,
    asked: StateRequest,
    acting: Acting,
    *,
    until: datetime | None = None,
    automatic: bool = False,
    decision: Digest | None = None,
    record: bytes | None = None,
) -> Act:
    """Stop every promotion of a model until somebody resumes. Halting twice for one reason is once."""
    if until is not None and until <= acting.clock():
        raise UsageError("the halt's end is in the past", fix="give a longer --for, or leave it out")

    def change(desk: Desk, role: str) -> _Change:
        known = [h for h in desk.ledger.standing.halted(desk.now()) if h.halt.reason == asked.reason]
        if known and known[-1].actor == acting.world.actor:
            return _already(f"halted since {show_instant(known[-1].at)} for that reason", known[-1].seq)
        words = f"no version of {asked.model} is promoted until somebody resumes"
        if until is not None:
            words = f"no version of {asked.model} is promoted until {show_instant(until)}, or until somebody resumes"
        name = f"aigate-decision-{(decision or '').removeprefix('sha256:')[:12]}.json"
        body = Halt(
            reason=asked.reason,
            role=role,
            until=until,
            automatic=automatic,
            decision=decision,
            record=None if record is None else desk.keep(record, name, folder_of(loaded)),
        )
        return _Change(body, words, next=(f"to end it: {command('resume', asked.model, '--reason', '…')}",))

    right = "watch" if automatic else None
    return _change("halt", "halt", loaded, asked, acting, change, right=right)


def resume(loaded: LoadedManifest | None, asked: StateRequest, acting: Acting) -> Act:
    """End every halt in force."""

    def change(desk: Desk, role: str) -> _Change:
        halts = desk.ledger.standing.halted(desk.now())
        if not halts:
            return _already("nothing is halted", None)
        mine = [h for h in halts if h.actor.name == acting.world.actor.name and not h.halt.automatic]
        if mine and _four_eyes(loaded):
            return _refuse(
                f"{acting.world.actor.name} halted it, and the manifest asks for four eyes",
                "let somebody else resume it",
            )
        ended = "; ".join(f"{h.halt.reason} ({h.actor.name})" for h in halts)
        return _Change(Resume(reason=asked.reason, role=role), f"ended: {ended}")

    return _change("resume", "lift", loaded, asked, acting, change)


def adopt(loaded: LoadedManifest | None, asked: StateRequest, acting: Acting) -> Act:
    """Accept what holds the alias now, though aigate did not put it there, and what the ledger may have lost."""

    def change(desk: Desk, role: str) -> _Change:
        live = desk.live(asked.alias, files=True)
        standing = desk.ledger.standing
        known = standing.holder(asked.alias)
        lost, void = accepted[-1]
        fine = not lost and void is None
        if not drift(standing, asked.alias, live) and standing.known(asked.alias) and fine:
            return _already(f"@{asked.alias} is on {shown(live)}, as the ledger has it", None)
        if live is None and known is None and fine:
            return _already(f"nothing holds @{asked.alias}, and the ledger knows of nothing", None)
        body = Adopt(
            alias=asked.alias,
            from_=known,
            to=live,
            reason=asked.reason,
            role=role,
            lost=lost[:LONGEST_REASON],
            void=void,
        )
        words = f"@{asked.alias} on {shown(live)} is accepted as it is"
        if void is not None:
            words += f"; what stands in the place of entry {void} is given up"
        if lost:
            words += f"; so is a loss: {lost}"
        return _Change(body, words, from_=known, to=live, next=_after_adopting(asked, standing, live, lost))

    accepted: list[Read] = []
    return _change("adopt", "lift", loaded, asked, acting, change, lost=accepted, settled=_adopted)


def _after_adopting(
    asked: StateRequest, standing: Standing, live: Identity | None, lost: str
) -> tuple[str, ...]:
    found = []
    if live is not None and standing.quarantine(live) is not None:
        clear = command("clear", f"{asked.model}@{live.version}", "--reason", "…")
        found.append(f"{shown(live)} stays in quarantine, so that no rollback returns to it, until: {clear}")
    elif live is not None:
        found.append(f"{shown(live)} counts as known good from now on, on your word")
    if lost:
        resume = command("resume", asked.model, "--reason", "…")
        found.append(
            "halts, quarantines and open reviews may be among what was lost, so promotions are halted; "
            f"was an experiment or the model renamed, or restored? when all is understood: {resume}"
        )
    return tuple(found)


def clear(loaded: LoadedManifest | None, asked: StateRequest, acting: Acting, *, version: str) -> Act:
    """Lift the quarantine of a version that was rolled back from."""

    def change(desk: Desk, role: str) -> _Change:
        found = [q for q in desk.ledger.standing.quarantined if q.identity.version == version]
        if not found:
            return _already(f"v{version} is not in quarantine", None)
        words = f"v{version} may be promoted and returned to again"
        return _Change(
            Clear(version=found[-1].identity, reason=asked.reason, role=role), words, to=found[-1].identity
        )

    return _change("clear", "lift", loaded, asked, acting, change, settled=_take_quarantine)


def break_glass(
    loaded: LoadedManifest | None,
    asked: StateRequest,
    acting: Acting,
    *,
    version: str,
    lasting: timedelta,
) -> Act:
    """Let one version be promoted once without an `allow`; written down first, and shown until it is reviewed."""
    if not timedelta(0) < lasting <= MOST_GLASS:
        raise UsageError(f"break-glass lasts {show_duration(MOST_GLASS)} at most", fix="give a shorter --for")

    def change(desk: Desk, role: str) -> _Change:
        identity = desk.look_at(version).identity
        expires = desk.now() + lasting
        body = BreakGlass(alias=asked.alias, to=identity, reason=asked.reason, role=role, expires=expires)
        to = () if asked.alias == USUAL_ALIAS else ("--to", asked.alias)
        go = command("promote", f"{asked.model}@{version}", *to)
        return _Change(
            body,
            f"v{version} may take @{asked.alias} once until {show_instant(expires)}, whatever the policies say",
            to=identity,
            next=(f"now: {go}", "it is shown in every status until somebody reviews it"),
        )

    return _change("break-glass", "lift", loaded, asked, acting, change)


def review(loaded: LoadedManifest | None, asked: StateRequest, acting: Acting, *, seq: int) -> Act:
    """Say that a use of break-glass was looked at afterwards."""

    def change(desk: Desk, role: str) -> _Change:
        found = next((g for g in desk.ledger.standing.glasses if g.seq == seq), None)
        if found is None:
            return _refuse(f"entry {seq} is no break-glass", f"`{command('status', asked.model)}` names them")
        if found.reviewed:
            return _already(f"entry {seq} has been reviewed", seq)
        if found.used_by is None:
            return _refuse(f"entry {seq} was not used, there is nothing to review", "")
        if found.actor.name == acting.world.actor.name and _four_eyes(loaded):
            return _refuse(
                f"{found.actor.name} broke the glass, and the manifest asks for four eyes",
                "let somebody else review it",
            )
        return _Change(Review(of=seq, reason=asked.reason, role=role), f"entry {seq} is reviewed")

    return _change("review", "lift", loaded, asked, acting, change)


@dataclass(frozen=True)
class _Change:
    """What is to be written, or why nothing is."""

    body: Body | None
    words: str
    result: str = "done"
    exit_code: int = 0
    seq: int | None = None
    from_: Identity | None = None
    to: Identity | None = None
    fix: str = ""
    next: tuple[str, ...] = ()


def _already(words: str, seq: int | None) -> _Change:
    return _Change(None, words, "already", 0, seq)


def _refuse(words: str, fix: str) -> _Change:
    return _Change(None, words, "refused", 1, fix=fix)


def _four_eyes(loaded: LoadedManifest | None) -> bool:
    manifest = manifest_of(loaded)
    return manifest is not None and manifest.authority.four_eyes


def _change(
    act: ActName,
    need: Need,
    loaded: LoadedManifest | None,
    asked: StateRequest,
    acting: Acting,
    change: Callable[[Desk, str], _Change],
    *,
    right: str | None = None,
    lost: list[Read] | None = None,
    settled: Callable[[Desk, Entry], str] = lambda desk, entry: "",
) -> Act:
    """Check the right, read the ledger, write what is to be written, and give account of it."""
    if not asked.reason.strip():
        raise UsageError(f"{act} needs a reason", fix="--reason TEXT: somebody will ask, a year from now")
    if len(asked.reason) > LONGEST_REASON:
        raise UsageError(f"a reason has {LONGEST_REASON} characters at most", fix="link to the rest of it")
    try:
        role = right or role_of(manifest_of(loaded), acting.world.actor.name, need, asked.as_team)
    except NotAllowedError as e:
        return _refused_by_right(act, asked, acting, e)
    with open_desk(acting, asked.model, seconds=_SECONDS) as desk:
        for _ in range(_TRIES):
            gone = desk.read_ledger(accept="nothing" if lost is None else "loss")
            if lost is not None:
                lost[:] = [gone]
            if lost is not None and gone.void is None:
                reconcile(desk.site, patience=_PATIENCE)
            found = change(desk, role)
            if found.body is None:
                return _account(act, asked, desk, found, found.seq)
            try:
                entry = desk.ledger.append(found.body)
            except LostTicketError:
                continue
            if trouble := settled(desk, entry):
                desk.warnings.append(trouble)
            return _account(act, asked, desk, found, entry.seq)
    raise LostTicketError(
        f"others write the ledger of {asked.model!r} all the time", fix="run the command again"
    )


def _adopted(desk: Desk, entry: Entry) -> str:
    """Give the adopted version a receipt, and halt where a loss was accepted; return what went wrong."""
    assert isinstance(entry.body, Adopt)
    if entry.body.lost:
        words = f"the ledger's past was lost and that was accepted: {entry.body.reason}"
        desk.ledger.append(Halt(reason=words[:LONGEST_REASON], role=entry.body.role, automatic=True))
    if entry.body.to is None:
        return ""
    text = receipt(entry.seq, desk.ledger.chain.digests[entry.seq - 1], None)
    try:
        desk.writer.set_version_tag(desk.model, entry.body.to.version, RECEIPT, text)
    except RegistryError as e:
        return f"the receipt on {shown(entry.body.to)} could not be set: {e.message}"
    return ""


def _take_quarantine(desk: Desk, entry: Entry) -> str:
    """Take the tag of the quarantine away; return what went wrong."""
    assert isinstance(entry.body, Clear)
    version = entry.body.version.version
    try:
        desk.writer.delete_version_tag(desk.model, version, QUARANTINE)
    except RegistryError as e:
        return f"the tag {QUARANTINE} of v{version} could not be taken away: {e.message}"
    return ""


def _refused_by_right(act: ActName, asked: StateRequest, acting: Acting, error: NotAllowedError) -> Act:
    return Act(
        act=act,
        model=asked.model,
        alias=asked.alias if act in _ABOUT_ALIAS else None,
        result="refused",
        exit_code=1,
        reason=error.message,
        now=acting.clock(),
        given=asked.reason,
        blockers=(Blocker(code="authority", message=error.message, fix=error.fix),),
    )


def _account(act: ActName, asked: StateRequest, desk: Desk, found: _Change, seq: int | None) -> Act:
    blockers = (
        () if found.exit_code == 0 else ({"code": "authority", "message": found.words, "fix": found.fix},)
    )
    return Act.model_validate(
        {
            "act": act,
            "model": asked.model,
            "alias": asked.alias if act in _ABOUT_ALIAS else None,
            "result": found.result,
            "exit_code": found.exit_code,
            "reason": found.words,
            "now": desk.now(),
            "from": found.from_,
            "to": found.to,
            "given": asked.reason,
            "seq": seq,
            "head": desk.ledger.chain.head,
            "blockers": blockers,
            "warnings": tuple(desk.warnings),
            "next": found.next,
            "ledger": desk.promises,
        }
    )
