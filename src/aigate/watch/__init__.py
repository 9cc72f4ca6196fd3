"""One look at the champion in service: judge it, see what the readings come to, and act where that is wanted.

A look costs what `aigate evaluate` costs and one write, the heartbeat. The
ledger is asked only where something may have to be done, where the champion
is another one than last time, and while the alias is not where it should be.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from aigate.act.desk import Acting
from aigate.collect.manifest_file import LoadedManifest
from aigate.decision import Decision
from aigate.digest import digest
from aigate.errors import AigateError
from aigate.gate import Answer, Request, World, check_alias, environment_of, evaluate
from aigate.manifest import Environment
from aigate.plan import Act
from aigate.reading import Incumbent, Reading, read
from aigate.snapshot import Snapshot
from aigate.values import gap
from aigate.watch.hands import DeskHands, Hands
from aigate.watch.tell import Done, Mode, Tick, because, commands, failures_of, runbook_of, unclear_of
from aigate.window import (
    TAG,
    Call,
    Heartbeat,
    Window,
    bounded,
    called,
    drifted,
    read_heartbeat,
    take,
    write_heartbeat,
)

UNCONFIRMED = 4
_HOLD = 3


@dataclass(frozen=True)
class Ticked:
    """A tick, and the heartbeat that a watcher keeps for the case that the tag cannot be read next time."""

    tick: Tick
    beat: Heartbeat | None


@dataclass(frozen=True)
class _Look:
    """What is known of one look before anything is done."""

    loaded: LoadedManifest
    answer: Answer
    rules: Environment
    reading: Reading
    before: Heartbeat | None
    window: Window | None
    every: timedelta | None

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
        """Whether the look before saw this champion, and knew it to be where the ledger put it."""
        before = self.before
        return (
            before is not None
            and before.window is not None
            and before.window.champion == self.reading.champion
            and not before.drift
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
            and (before.window.champion, before.window.measured)
            == (self.window.champion, self.window.measured)
        )


@dataclass(frozen=True)
class _Outcome:
    """What was called for in the end, and what was done about it."""

    call: Call
    done: Done = "nothing"
    acts: tuple[Act, ...] = ()
    drift: str = ""
    unsure: bool = False
    """Whether the next look has to ask the ledger again."""
    warnings: tuple[str, ...] = ()
    code: int | None = None
    """The exit code, where it is not the call's own."""


def watch(
    loaded: LoadedManifest,
    request: Request,
    acting: Acting,
    *,
    every: timedelta | None = None,
    last: Heartbeat | None = None,
) -> Ticked:
    """Look at the champion once, and act on it in MLflow and in the ledger. See `tick`."""
    alias = request.to or loaded.manifest.alias_of(request.environment)
    check_alias(loaded, request.environment, alias)
    hands = DeskHands(loaded, alias, request.environment, acting)
    return tick(loaded, request, acting.world, hands, every=every, last=last, step=acting.step)


def tick(
    loaded: LoadedManifest,
    request: Request,
    world: World,
    hands: Hands,
    *,
    every: timedelta | None = None,
    last: Heartbeat | None = None,
    step: Callable[[str], None] = lambda name: None,
) -> Ticked:
    """Look at the champion once; act where the readings call for it and the environment's mode lets it.

    `every` is how often somebody looks, for the heartbeat. `last` is the
    heartbeat of the look before, for when the tag cannot be read. The
    heartbeat is written last, so that it tells of what was done; one that
    cannot be written turns a 0 into 4. Raises AigateError where nothing could
    be judged at all.
    """
    rules = environment_of(loaded, request.environment)
    answer = evaluate(loaded, replace(request, question="retain"), world)
    step("judged")
    reading = read(answer.decision, answer.snapshot, rules.watch)
    before, trouble = _before(answer.snapshot, last)
    window = take(None if before is None else before.window, reading, rules.watch.of)
    look = _Look(loaded, answer, rules, reading, before, window, every)
    outcome = _follow(look, hands)
    warnings = [*([trouble] if trouble else []), *outcome.warnings]
    code = outcome.call.exit_code if outcome.code is None else outcome.code
    if before is None and gap(answer.snapshot.model) is not None:
        warnings.append(f"the tag {TAG} could not be read, so it is left as it is")
        return Ticked(_told(look, outcome, tuple(warnings), code), None)
    step("heartbeat")
    beat = _heartbeat(look, outcome)
    if lost := _beat(hands, beat):
        warnings.append(lost)
        code = code or UNCONFIRMED
    return Ticked(_told(look, outcome, tuple(warnings), code), beat)


def _before(snapshot: Snapshot, last: Heartbeat | None) -> tuple[Heartbeat | None, str]:
    """Return the heartbeat before this one, and why the tag's was not believed."""
    if gap(snapshot.model) is not None:
        return last, ""
    text = snapshot.model.tag(TAG)
    if text is None:
        return None, ""
    found = read_heartbeat(text, snapshot.now)
    if isinstance(found, str):
        return None, f"the tag {TAG} is not believed ({found}): the window starts anew"
    if (found.environment, found.alias) != (snapshot.environment, snapshot.alias):
        return None, (
            f"the tag {TAG} is of a watcher of @{found.alias} in {found.environment}: the window starts anew; "
            "of one registered model only one alias in one environment can be watched"
        )
    return found, ""


def _follow(look: _Look, hands: Hands) -> _Outcome:
    """Ask the ledger where that is needed, and do what is called for."""
    call = called(look.window, look.reading, look.rules.watch)
    champion = look.reading.champion
    if champion is None or (look.settled and not call.acts):
        return _Outcome(call)
    try:
        standing = hands.standing()
    except AigateError as e:
        words = f"what the ledger says is not known: {e.message}"
        if not call.acts:
            return _Outcome(call, unsure=True, warnings=(words,))
        return _Outcome(_held(call, words), done="failed", unsure=True)
    moved = drifted(champion, standing, look.alias)
    known = standing.known(look.alias)
    if call.acts:
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
            call = call.model_copy(update={"call": "halt", "acts": False, "reasons": (*call.reasons, words)})
    outcome = _Outcome(
        call,
        drift=moved if known else "",
        unsure=bool(moved and known),
        warnings=() if known or not moved else (moved,),
    )
    if not call.acts:
        return outcome
    if look.mode != "auto":
        return replace(outcome, done="proposed" if look.mode == "propose" else "told")
    return _act(look, outcome, champion, hands)


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
        every=look.every,
        drift=outcome.unsure,
        window=look.window,
    )


def _beat(hands: Hands, beat: Heartbeat) -> str:
    """Write the heartbeat; return why that did not work."""
    try:
        hands.beat(write_heartbeat(beat))
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
