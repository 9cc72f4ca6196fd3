"""One look at the champion in service: judge it, see what the readings come to, and act where that is wanted.

A look costs what `aigate evaluate` costs, one write (the heartbeat), and one
reading of the ledger, which is three requests at most. The heartbeat that
stands in MLflow is anybody's to write, so it spares no reading: a single look
always asks the ledger whether the alias is where it should be. A watcher that
goes on asks it where its own memory does not answer that: the champion, its
receipt or the ledger's anchor is another one than when it last asked, that
was an hour ago, or something may have to be done.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from aigate.act.desk import Acting
from aigate.collect.manifest_file import LoadedManifest
from aigate.decision import Decision
from aigate.digest import digest
from aigate.errors import AigateError, ConfigError
from aigate.gate import Answer, Request, World, check_alias, evaluate, evaluate_snapshot
from aigate.manifest import Environment
from aigate.plan import Act
from aigate.reading import Incumbent, Reading, read
from aigate.rules import environment_of
from aigate.snapshot import Snapshot
from aigate.standing import Standing
from aigate.values import gap, show_duration, show_instant
from aigate.watch.hands import DeskHands, Hands
from aigate.watch.memory import ASK_AGAIN, Confirmed, Memory, anchor, heartbeat_before, is_of, receipt
from aigate.watch.tell import (
    Done,
    Mode,
    Tick,
    because,
    commands,
    failures_of,
    runbook_of,
    unclear_of,
    waived_of,
)
from aigate.window import (
    TAG,
    Call,
    Heartbeat,
    Window,
    bounded,
    called,
    drifted,
    since,
    take,
    write_heartbeat,
)

UNCONFIRMED = 4

LOOK_VALID_FOR = timedelta(minutes=15)
"""How long the evidence of a look that somebody else took may be acted upon."""

_SKEW = timedelta(seconds=60)


class OldLookError(AigateError):
    """The evidence that is to be acted upon was collected too long ago, or is not what was judged."""

    exit_code = 3


@dataclass(frozen=True)
class Manner:
    """How a look is taken, beside what is looked at."""

    every: timedelta | None = None
    """How often somebody looks, for the heartbeat."""
    dry: bool = False
    """Only tell: nothing is done, and no heartbeat written, so that a right to read is enough."""
    seen: Snapshot | None = None
    """Evidence that was collected a moment ago, to be judged and acted upon in place of one's own."""
    decision: str = ""
    """The id that the decision on it must come to, as whoever collected it says; empty where nobody said."""


@dataclass(frozen=True)
class Ticked:
    """A tick, and what a watcher remembers of it; nothing where the registry could not be read."""

    tick: Tick
    memory: Memory | None
    answer: Answer

    @property
    def beat(self) -> Heartbeat | None:
        """Return the heartbeat; None where there was none."""
        return None if self.memory is None else self.memory.beat


@dataclass(frozen=True)
class _Look:
    """What is known of one look before anything is done."""

    loaded: LoadedManifest
    answer: Answer
    rules: Environment
    reading: Reading
    before: Heartbeat | None
    window: Window | None
    manner: Manner
    confirmed: Confirmed | None
    """What this process remembers of the ledger; None where it has to ask."""

    @property
    def decision(self) -> Decision:
        return self.answer.decision

    @property
    def alias(self) -> str:
        return self.answer.snapshot.alias

    @property
    def now(self) -> datetime:
        return self.decision.now

    @property
    def mode(self) -> Mode:
        return self.rules.rollback.mode

    @property
    def settled(self) -> bool:
        """Whether this process saw this champion before, and nothing suggests that the ledger says otherwise now."""
        before, known, snapshot = self.before, self.confirmed, self.answer.snapshot
        return (
            before is not None
            and before.window is not None
            and before.window.champion == self.reading.champion
            and known is not None
            and timedelta(0) <= self.now - known.at < ASK_AGAIN
            and known.anchor == anchor(snapshot)
            and known.seq == receipt(snapshot)
        )

    @property
    def halted_for(self) -> bool:
        """Whether these very measurements have called for a rollback before, and came to a halt."""
        before = self.before
        return (
            before is not None
            and (before.verdict, before.call) == ("rollback", "halt")
            and before.window is not None
            and self.window is not None
            and (before.window.champion, before.window.results) == (self.window.champion, self.window.results)
        )


@dataclass(frozen=True)
class _Outcome:
    """What was called for in the end, and what was done about it."""

    call: Call
    window: Window | None
    """The window, as far as the ledger bears it out."""
    done: Done = "nothing"
    acts: tuple[Act, ...] = ()
    drift: str = ""
    unsure: bool = False
    """Whether the alias is not where the ledger put it, or nobody could tell."""
    confirmed: Confirmed | None = None
    warnings: tuple[str, ...] = ()
    code: int | None = None
    """The exit code, where it is not the call's own."""


def watch(
    loaded: LoadedManifest,
    request: Request,
    acting: Acting,
    *,
    manner: Manner = Manner(),
    last: Memory | None = None,
) -> Ticked:
    """Look at the champion once, and act on it in MLflow and in the ledger. See `tick`."""
    alias = request.to or loaded.manifest.alias_of(request.environment)
    check_alias(loaded, request.environment, alias)
    hands = DeskHands(loaded, alias, request.environment, acting)
    return tick(loaded, request, acting.world, hands, manner=manner, last=last, step=acting.step)


def tick(
    loaded: LoadedManifest,
    request: Request,
    world: World,
    hands: Hands,
    *,
    manner: Manner = Manner(),
    last: Memory | None = None,
    step: Callable[[str], None] = lambda name: None,
) -> Ticked:
    """Look at the champion once; act where the readings call for it and the environment's mode lets it.

    `last` is what this same process remembers of the look before. The
    heartbeat is written last, so that it tells of what was done; one that
    cannot be written turns a 0 into 4. Raises AigateError where nothing could
    be judged at all.
    """
    rules = environment_of(loaded, request.environment)
    if last is None:
        hands.prepare()
    answer = _answer(loaded, replace(request, question="retain"), world, manner)
    step("judged")
    reading = read(answer.decision, answer.snapshot, rules.watch)
    mine = last if last is not None and is_of(last.beat, answer.snapshot) else None
    before, trouble = heartbeat_before(answer.snapshot, mine)
    window = take(None if before is None else before.window, reading, rules.watch.of)
    confirmed = None if mine is None else mine.confirmed
    look = _Look(loaded, answer, rules, reading, before, window, manner, confirmed)
    outcome = _follow(look, hands)
    warnings = [*([trouble] if trouble else []), *outcome.warnings]
    code = outcome.call.exit_code if outcome.code is None else outcome.code
    if before is None and gap(answer.snapshot.model) is not None:
        warnings.append(f"the tag {TAG} could not be read, so it is left as it is")
        return Ticked(_told(look, outcome, tuple(warnings), code), None, answer)
    if manner.dry:
        return Ticked(_told(look, outcome, tuple(warnings), code), None, answer)
    step("heartbeat")
    beat = _heartbeat(look, outcome)
    text = write_heartbeat(beat)
    lost = _beat(hands, text)
    if lost:
        warnings.append(lost)
        code = code or UNCONFIRMED
    memory = Memory(beat, None if lost else text, outcome.confirmed)
    return Ticked(_told(look, outcome, tuple(warnings), code), memory, answer)


def _answer(loaded: LoadedManifest, request: Request, world: World, manner: Manner) -> Answer:
    """Judge the champion, by fresh evidence or by evidence that was collected a moment ago.

    Raises ConfigError for evidence about something else, OldLookError for
    what is too old to act upon, or is not what was judged where it was
    collected.
    """
    seen = manner.seen
    if seen is None:
        return evaluate(loaded, request, world)
    alias = request.to or loaded.manifest.alias_of(request.environment)
    if (seen.question, seen.environment, seen.alias) != ("retain", request.environment, alias):
        raise ConfigError(
            f"the snapshot asks whether to {seen.question} @{seen.alias} in {seen.environment}, "
            f"not whether @{alias} may stay in {request.environment}",
            fix="take it with `aigate watch --once --dry-run --save-snapshot FILE`",
        )
    age = world.now - seen.now
    if not -_SKEW <= age <= LOOK_VALID_FOR:
        raise OldLookError(
            f"the snapshot is of {show_instant(seen.now)}, and may be acted upon for {show_duration(LOOK_VALID_FOR)}",
            fix="look again: aigate watch --once --dry-run --save-snapshot FILE",
        )
    answer = evaluate_snapshot(loaded, seen, world.actor)
    if manner.decision not in ("", digest(answer.decision)):
        raise OldLookError(
            f"judged here it is decision {digest(answer.decision)}, and {manner.decision[:80]} was said: "
            "evidence, rules or who asks are not the same",
            fix="look again: aigate watch --once --dry-run --save-snapshot FILE",
        )
    return answer


def _follow(look: _Look, hands: Hands) -> _Outcome:
    """Ask the ledger where that is needed, and do what is called for."""
    call = called(look.window, look.reading, look.rules.watch)
    champion = look.reading.champion
    if champion is None or (look.settled and not call.acts):
        return _Outcome(call, look.window, confirmed=look.confirmed)
    try:
        standing = hands.standing(early=not call.acts)
        if not call.acts and drifted(champion, standing, look.alias):
            standing = hands.standing()  # it may have moved while both were read
    except AigateError as e:
        words = f"what the ledger says is not known: {e.message}"
        if not call.acts:
            return _Outcome(call, look.window, unsure=True, warnings=(words,))
        return _Outcome(_held(call, words), look.window, done="failed", unsure=True)
    look, call = _borne_out(look, call, standing)
    outcome = _whereabouts(look, call, champion, standing)
    if not call.acts:
        return outcome
    outcome = replace(outcome, call=_allowed(look, call, champion, standing))
    if not outcome.call.acts:
        return outcome
    if look.mode != "auto":
        return replace(outcome, done="proposed" if look.mode == "propose" else "told")
    if look.manner.dry:
        return replace(outcome, done="planned")
    return _act(look, outcome, champion, hands)


def _borne_out(look: _Look, call: Call, standing: Standing) -> tuple[_Look, Call]:
    """Return the look without the readings that contradict the ledger, and what the others call for.

    Nothing that is dated before the alias was last moved is about the champion's present service.
    """
    tenure = standing.tenure(look.alias)
    if tenure is None:
        return look, call
    look = replace(look, window=since(look.window, tenure.since))
    again = called(look.window, look.reading, look.rules.watch)
    if again.bad < call.bad:
        lost = call.bad - again.bad
        words = f"{lost} dated before @{look.alias} was moved at {show_instant(tenure.since)}: not counted"
        again = again.model_copy(update={"reasons": (*again.reasons, words)})
    return look, again


def _whereabouts(look: _Look, call: Call, champion: Incumbent, standing: Standing) -> _Outcome:
    """Return an outcome with nothing done in it: whether the alias is where the ledger put it."""
    tenure = standing.tenure(look.alias)
    moved = drifted(champion, standing, look.alias)
    if tenure is None:
        return _Outcome(call, look.window, warnings=(moved,))
    if moved:
        return _Outcome(call, look.window, drift=moved, unsure=True)
    confirmed = Confirmed(look.now, anchor(look.answer.snapshot), tenure.seq)
    return _Outcome(call, look.window, confirmed=confirmed)


def _allowed(look: _Look, call: Call, champion: Incumbent, standing: Standing) -> Call:
    """Return what may be done of what is called for."""
    automatic = look.mode == "auto"
    call = bounded(
        call,
        champion,
        look.rules.rollback,
        standing,
        alias=look.alias,
        now=look.now,
        automatic=automatic,
    )
    if call.acts and automatic and look.halted_for and standing.halted(look.now):
        words = "halted already: there was no version to return to, and nothing was measured since"
        return call.model_copy(update={"call": "halt", "acts": False, "reasons": (*call.reasons, words)})
    return call


def _act(look: _Look, outcome: _Outcome, champion: Incumbent, hands: Hands) -> _Outcome:
    """Do what is called for, unless the champion is no longer the one that was judged."""
    try:
        live = hands.live()
        if live != champion:
            holder = "nothing" if live is None else f"v{live.version}"
            words = (
                f"@{look.alias} is on {holder} by now, and v{champion.version} was judged: nothing is done"
            )
            return replace(outcome, call=_held(outcome.call, words), done="aborted")
        do = hands.halt if outcome.call.call == "halt" else hands.rollback
        return _after(outcome, do(because(look.decision, outcome.call), look.answer))
    except AigateError as e:
        done: Done = "unconfirmed" if e.exit_code == UNCONFIRMED else "failed"
        words = f"{e.message} ({e.fix})" if e.fix else e.message
        return replace(outcome, done=done, warnings=(*outcome.warnings, words), code=e.exit_code, unsure=True)


def _after(outcome: _Outcome, act: Act) -> _Outcome:
    """Return the outcome with an act in it; a rollback with nowhere to go comes back as a halt."""
    call, code = outcome.call, None
    if act.act == "halt" and call.call == "rollback":
        call = call.model_copy(update={"call": "halt", "reasons": (*call.reasons, act.reason)})
    done: Done
    match act.result:
        case "done" | "already":
            done = "done"
        case "unconfirmed":
            done, code = "unconfirmed", UNCONFIRMED
        case "changed":
            done, call = "aborted", _held(call, act.reason)
        case _:
            done = "refused"
    warnings = (*outcome.warnings, *act.warnings)
    return replace(outcome, call=call, done=done, acts=(*outcome.acts, act), code=code, warnings=warnings)


def _held(call: Call, words: str) -> Call:
    """Return the call as one that nobody can follow now."""
    return call.model_copy(update={"call": "hold", "acts": False, "reasons": (*call.reasons, words)})


def _heartbeat(look: _Look, outcome: _Outcome) -> Heartbeat:
    return Heartbeat(
        at=look.now,
        environment=look.decision.environment,
        alias=look.alias,
        verdict=look.reading.verdict,
        call=outcome.call.call,
        every=look.manner.every,
        drift=outcome.unsure,
        window=outcome.window,
    )


def _beat(hands: Hands, text: str) -> str:
    """Write the heartbeat; return why that did not work."""
    try:
        hands.beat(text)
    except AigateError as e:
        return f"the heartbeat could not be written: {e.message}"
    return ""


def _told(look: _Look, outcome: _Outcome, warnings: tuple[str, ...], code: int) -> Tick:
    decision, call, champion = look.decision, outcome.call, look.reading.champion
    bad = call.exit_code == 1
    return Tick(
        at=look.now,
        system=decision.system,
        model=look.loaded.manifest.model.name,
        alias=decision.alias,
        environment=decision.environment,
        champion=None if champion is None else champion.version,
        verdict=look.reading.verdict,
        reason=decision.reason,
        decision=digest(decision),
        call=call.call,
        bad=call.bad,
        needed=call.needed,
        of=call.of,
        why=call.reasons,
        failures=failures_of(decision),
        unclear=unclear_of(decision),
        waived=waived_of(decision),
        mode=look.mode,
        done=outcome.done,
        next=commands(look.loaded, decision, look.reading, call, outcome.done, drift=bool(outcome.drift)),
        owner=decision.owner if bad else None,
        runbook=runbook_of(decision) if bad else "",
        acts=outcome.acts,
        drift=outcome.drift,
        warnings=warnings,
        exit_code=code,
    )
