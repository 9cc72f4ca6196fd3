"""Revert: an alias that was moved past the gate goes back to the version that the ledger says holds it.

Not a rollback, which leaves a version that the ledger put there: here the
version returned to is the one that was promoted or adopted, and the one that
is left was never judged. In the ledger it is a rollback by nobody's hand all
the same: the version that is left is quarantined, and the same bounds hold,
so that two who fight over an alias do not move it to and fro for ever.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from aigate.act.desk import (
    LEASE,
    Acting,
    Desk,
    RegistryTroubleError,
    elapsed,
    open_desk,
    settings,
)
from aigate.collect.manifest_file import LoadedManifest
from aigate.enforce.ledger import LostTicketError
from aigate.enforce.move import MoveDone, carry_out, reconcile
from aigate.ledger import Identity, Intent
from aigate.manifest import PRODUCTION, RollbackRules
from aigate.plan import DAY, Act, Blocker, drift, move_effects
from aigate.standing import Open, Standing
from aigate.target import Candidate, Check, Facts, weigh
from aigate.values import Evident, Instant, Model, Name, Text, missing, show_duration, show_instant
from aigate.wording import at, command, shown

_SECONDS = 60.0
_TRIES = 3
_SKEW = timedelta(seconds=60)
_MUST_BE_WELL = ("version", "status", "artifact", "quarantine")
"""What is asked of the version to return to. It held the alias until a moment ago: how long it did, and whether
its inputs are those of a version that nobody judged, is no question."""

Whereabouts = Literal["covered", "ungated", "unknown_holder", "under_way"]
"""`covered` the alias is where the ledger has it; `ungated` somebody moved it past the gate; `unknown_holder` the
ledger never said what holds it; `under_way` aigate itself is moving it, or its writer died doing so."""


class Place(Model):
    """Where an alias is, against where the ledger has it."""

    state: Whereabouts
    alias: Name
    live: Identity | None
    """What holds it; None where nothing does."""
    expected: Identity | None = None
    """What the ledger has; None where that is nothing, or it does not know."""
    seq: int | None = None
    """The entry that brought it there."""
    since: Instant | None = None
    by: Text = ""
    """Who did that by the ledger; who moved it past the gate, MLflow does not record."""
    message: Text = ""
    fix: Text = ""
    unfinished: bool = False
    """Whether a writer died before it wrote down what became of its move."""


class Reverted(Model):
    """Where the alias was found, and what was done about it."""

    place: Place
    act: Annotated[Act | None, Field(description="None where nothing was to be done.")] = None


@dataclass(frozen=True)
class RevertRequest:
    """Which alias is looked after."""

    model: str
    alias: str
    environment: str = PRODUCTION
    distrusted: str = ""
    """Why the version to return to is not to be put back by itself; empty where nothing is known against it."""


def whereabouts(acting: Acting, model: str, alias: str) -> Place:
    """Say whether an alias is where the ledger has it. Writes nothing.

    Raises AigateError where registry or ledger cannot say, or the ledger
    cannot be believed.
    """
    with open_desk(acting, model, seconds=acting.world.deadline) as desk:
        return _look(desk, alias)


def revert(loaded: LoadedManifest | None, asked: RevertRequest, acting: Acting) -> Reverted:
    """Finish what earlier runs left open, and put an alias back to where the ledger has it, if it is elsewhere.

    Never where aigate itself may be moving it, where the ledger cannot be
    believed, or where nothing was ever promoted or adopted. Raises AigateError
    where registry or ledger do not answer, UncertainError where the end is
    open.
    """
    with open_desk(acting, asked.model, seconds=_SECONDS) as desk:
        return _Revert(loaded, asked, desk).run()


def _look(desk: Desk, alias: str) -> Place:
    """Read ledger and alias until no entry was written while both were read."""
    desk.read_ledger()
    for _ in range(_TRIES):
        live, head = desk.live(alias), desk.ledger.chain.head
        place = _place(desk.ledger.standing, alias, live, desk.now())
        if place.state == "covered":
            return place
        desk.read_ledger()
        if desk.ledger.chain.head == head:
            return place
    return Place(state="under_way", alias=alias, live=live, message="others write the ledger all the time")


def _is_dead(open_: Open, now: datetime) -> bool:
    """Whether a move without an outcome has outlived its writer's lease."""
    return now > open_.intent.expires + _SKEW


def _place(standing: Standing, alias: str, live: Identity | None, now: datetime) -> Place:
    tenure = standing.tenure(alias)
    found: dict[str, Any] = {"alias": alias, "live": live}
    if tenure is not None:
        found |= {
            "expected": tenure.identity,
            "seq": tenure.seq,
            "since": tenure.since,
            "by": tenure.actor.name,
        }
    if any(_is_dead(one, now) for one in standing.open):
        found["unfinished"] = True
    wrong = drift(standing, alias, live)
    if not wrong:
        return Place(state="covered", **found)
    found |= {"message": wrong[0].message, "fix": wrong[0].fix}
    for one in reversed(standing.open):
        if one.intent.alias != alias:
            continue
        words = (
            f"@{alias} is on {shown(live)}: {one.actor.name} began to move it to "
            f"{shown(one.intent.to)} at {show_instant(one.at)}"
        )
        if not _is_dead(one, now):
            return Place(
                state="under_way", **found | {"message": f"{words}, and may still be at it", "fix": ""}
            )
        if live is not None and one.intent.to.same_version(live):
            words += ", and did not finish; the next act finds that out and records it"
            return Place(state="under_way", **found | {"message": words, "fix": ""})
    return Place(state="unknown_holder" if tenure is None else "ungated", **found)


class _Revert:
    def __init__(self, loaded: LoadedManifest | None, asked: RevertRequest, desk: Desk) -> None:
        self.asked = asked
        self.desk = desk
        self.rules = settings(loaded, asked.environment).rollback
        self.started = desk.deadline.now()

    def run(self) -> Reverted:
        self.desk.acting.step("revert")
        for _ in range(_TRIES):
            place = _look(self.desk, self.asked.alias)
            if self._reconciled():
                place = _look(self.desk, self.asked.alias)
            if place.state != "ungated":
                return Reverted(place=place)
            try:
                return Reverted(place=place, act=self._back(place))
            except LostTicketError:
                continue
        raise LostTicketError(
            f"others write the ledger of {self.desk.model!r} all the time", fix="the next look tries again"
        )

    def _reconciled(self) -> bool:
        """Find out what became of the moves whose writers are dead; False where there is none, or one may live."""
        desk, now = self.desk, self.desk.now()
        open_ = desk.ledger.standing.open
        if not open_ or not all(_is_dead(one, now) for one in open_):
            return False
        for outcome in reconcile(desk.site, patience=0.0):
            desk.warnings.append(
                f"an earlier run had not finished (entry {outcome.of}): {outcome.result}, {outcome.detail}"
            )
        return True

    def _back(self, place: Place) -> Act:
        """Put the alias back, or say why that is not done. Raises LostTicketError where somebody else wrote first."""
        desk, asked, to = self.desk, self.asked, place.expected
        if to is None:
            words = f"the ledger says that nothing holds @{asked.alias}, and aigate takes no alias away"
            return self._act("refused", 1, words, place, (), blockers=(self._blocker(words, "target"),))
        if asked.distrusted:
            return self._act(
                "refused", 1, asked.distrusted, place, (), blockers=(self._blocker(asked.distrusted),)
            )
        if blockers := revert_bounds(desk.ledger.standing, asked.alias, self.rules, desk.now()):
            return self._act("refused", 1, blockers[0].message, place, (), blockers=blockers)
        desk.acting.step("choose")
        checks = self._checks(to)
        bad = [check.words for check in checks if check.state in ("bad", "unknown")]
        if bad or not checks:
            words = f"{shown(to)} is not put back by itself: {'; '.join(bad) or 'nothing was looked at'}"
            return self._act("refused", 1, words, place, checks, blockers=(self._blocker(words, "target"),))
        intent = Intent(
            action="rollback",
            alias=asked.alias,
            from_=place.live,
            to=to,
            environment=asked.environment,
            reason=_reason(place),
            automatic=True,
            expires=desk.now() + timedelta(seconds=LEASE),
        )
        return self._done(carry_out(desk.site, intent, lambda: ""), place, checks)

    def _checks(self, to: Identity) -> tuple[Check, ...]:
        """Look at the version to return to: it must be the one that served, with the files that it had."""
        standing = self.desk.ledger.standing
        tenure = standing.tenure(self.asked.alias)
        assert tenure is not None  # it is what the ledger has
        candidate = Candidate(
            identity=to,
            since=tenure.since,
            until=None,
            lived=timedelta(0),
            vouched=tenure.by == "adopt",
            decision=tenure.decision,
        )
        unasked: Any = missing("not compared", self.desk.reader.registry)
        found = weigh(candidate, self._facts(to.version), unasked, standing, self.rules)
        return tuple(check for check in found if check.name in _MUST_BE_WELL)

    def _facts(self, version: str) -> Evident[Facts]:
        try:
            found = self.desk.look_at(version)
        except RegistryTroubleError as e:
            return missing(e.message, self.desk.reader.registry)
        return Facts(
            identity=found.identity,
            status=found.status,
            stage=found.stage,
            signature=None,
            gone=found.gone,
        )

    def _blocker(self, words: str, code: Literal["bound", "target"] = "bound") -> Blocker:
        return Blocker(code=code, message=words, fix=_by_hand(self.desk.model, self.asked.alias))

    def _done(self, done: MoveDone, place: Place, checks: tuple[Check, ...]) -> Act:
        if done.moved:
            result, code = ("unconfirmed", 4) if done.warnings else ("done", 0)
            words = f"{shown(place.live)} → {shown(place.expected)}, read back"
            return self._act(
                result,
                code,
                words,
                place,
                checks,
                seq=done.seq,
                warnings=(*done.remarks, *done.warnings),
                next=self._next(place),
            )
        code = 4 if done.result in ("not_applied", "refused", "conflict") else 3
        words = f"nothing moved: {done.detail}" if code == 3 else done.detail
        return self._act("changed" if code == 3 else "unconfirmed", code, words, place, checks, seq=done.seq)

    def _next(self, place: Place) -> tuple[str, ...]:
        left: tuple[str, ...] = ()
        if place.live is not None:
            clear = command("clear", f"{self.desk.model}@{place.live.version}", "--reason", "…")
            left = (
                f"v{place.live.version} is quarantined: nobody judged it; to let it be promoted: {clear}",
            )
        return (
            *left,
            "not covered: servers that loaded the model meanwhile; reload them (see the runbook)",
            "who moved it, MLflow does not record: its server's access log may",
        )

    def _act(
        self, result: str, exit_code: int, reason: str, place: Place, checks: tuple[Check, ...], **more: Any
    ) -> Act:
        desk, asked = self.desk, self.asked
        effects = (
            move_effects("rollback", desk.model, asked.alias, place.live, place.expected)
            if result in ("done", "unconfirmed") and place.expected is not None
            else ()
        )
        warnings = (*desk.warnings, *more.pop("warnings", ()))
        return Act.model_validate(
            {
                "act": "rollback",
                "model": desk.model,
                "alias": asked.alias,
                "result": result,
                "exit_code": exit_code,
                "reason": reason,
                "now": desk.now(),
                "from": place.live,
                "to": place.expected,
                "given": _reason(place),
                "automatic": True,
                "head": desk.ledger.chain.head,
                "checks": checks,
                "effects": effects,
                "warnings": warnings,
                "ledger": desk.promises,
                "seconds": elapsed(self.started, desk),
                **more,
            }
        )


def revert_bounds(standing: Standing, alias: str, rules: RollbackRules, now: datetime) -> tuple[Blocker, ...]:
    """Return what keeps an alias from being put back by itself: the bounds of automatic rollbacks.

    Both kinds count together, against `max_per_day` and for the cool-down.
    That is counted from the last automatic move alone: an alias that is taken
    past the gate right after a promotion does not flap. Nor is what a revert
    leaves a version that came by a rollback: it came by nobody's leave.
    """
    moves = [m for m in standing.moves if m.alias == alias and m.action == "rollback" and m.automatic]
    recent = [m for m in moves if now - m.at < DAY]
    found = []
    if len(recent) >= rules.max_per_day:
        found.append(
            f"{len(recent)} automatic moves back in 24 hours, at most {rules.max_per_day} are allowed: "
            "somebody else moves it again each time"
        )
    if moves and now - moves[-1].at < rules.cooldown:
        left = rules.cooldown - (now - moves[-1].at)
        found.append(
            f"@{alias} was put back at {show_instant(moves[-1].at)} already: "
            f"the cool-down lasts another {show_duration(left)}"
        )
    by_hand = _by_hand(standing.model, alias)
    return tuple(Blocker(code="bound", message=words, fix=by_hand) for words in found)


def _by_hand(model: str, alias: str) -> str:
    return f"by hand: {command('rollback', model, *at(alias), '--reason', '…')}"


def _reason(place: Place) -> str:
    """Return the reason that the entry carries."""
    if place.live is None:
        return f"ungated removal of @{place.alias} found"
    return f"ungated move to {shown(place.live)} found"
