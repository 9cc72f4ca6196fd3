"""When a champion's failing is a fact and not noise: the window that readings make, and what it calls for. Pure.

One decision about the champion is one reading. A window holds the last of
them about one champion, in two views, since a failure of the model and one of
the data are known in different ways:

- `measured`, for the model: one entry for each measurement, however often it
  was read. Reading a number again proves nothing, neither bad nor good.
- `ticks`, for data and pipeline: one letter for each time somebody looked. An
  hour that a stage is late is a fact of its own each time it is seen.

A `hold` enters neither: ignorance is neither bad nor good.

The window lives in a tag of the registered model, which is a heartbeat and no
record: whoever may edit the model may forge it. So it is believed only as far
as something else bears it out. Nothing is done unless the present reading is
bad by itself, and every bound is counted in the ledger. A reading counts only
with a time of its own, before the present one (one moment is one reading), at
most `oldest` ago, and not from before the alias was last moved, by the ledger.
Whether the alias is where it should be is never read from the tag.

What remains to be forged is a well-formed heartbeat with times since that
move. It can take readings away and so put an act off; or it can add them, so
that a single look that finds the champion bad is enough for an act within the
bounds. A watcher that goes on (`--every`) remembers its own readings and
believes them alone. Who may write the tag may move the alias as well.
"""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from aigate.digest import canonical
from aigate.manifest import RollbackRules, WatchRules
from aigate.reading import Incumbent, Mark, Read, Reading
from aigate.standing import Standing, Tenure
from aigate.values import (
    Duration,
    Instant,
    Model,
    Name,
    Text,
    show_duration,
    show_instant,
)

TAG = "aigate.watch"
"""The registered model's tag that holds the heartbeat."""

LARGEST = 4_499
"""Characters of a heartbeat. Registries cut or refuse a tag of more than 5,000."""

SKEW = timedelta(seconds=60)
"""How far clocks may differ before an instant counts as the future."""

DAY = timedelta(hours=24)

_WEEKLY = timedelta(days=8)
"""A week, and a day for a weekly look that comes late."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_STAMP = 6
_FIRST = 1_577_836_800
"""2020-01-01T00:00:00Z in Unix seconds. Six digits to base 36 reach 68 years beyond it."""

CallName = Literal["keep", "rollback", "halt", "hold", "wait"]
"""What is called for. `wait`: the reading was bad, and not yet often enough, or not for long enough."""

CALL_EXIT_CODES: dict[CallName, int] = {"keep": 0, "rollback": 1, "halt": 1, "wait": 1, "hold": 3}

Seen = Annotated[str, StringConstraints(pattern=r"^[kr][0-9a-z]{6}([0-9a-f]{8}){1,3}$", max_length=31)]
"""A measurement that was read, as a tag keeps it: `k` or `r`, when it was last read, and its marks.

The time is in seconds since 2020, to base 36: a hundred entries have to fit into a tag.
"""

_LETTERS: dict[Read, str] = {"keep": "k", "rollback": "r", "halt": "h"}


class Window(Model):
    """The last readings of one champion."""

    champion: Incumbent
    ticks: Annotated[str, StringConstraints(pattern=r"^([krh][0-9a-z]{6}){0,100}$")] = ""
    """A letter and a time for each reading: keep, rollback, halt; the newest is the last."""
    measured: Annotated[tuple[Seen, ...], Field(max_length=100)] = ()
    """One entry a measurement, the newest last."""

    @property
    def looks(self) -> tuple[str, ...]:
        """Return the readings of `ticks` one by one."""
        size = 1 + _STAMP
        return tuple(self.ticks[n : n + size] for n in range(0, len(self.ticks), size))

    @property
    def letters(self) -> str:
        """Return what was read, without when: a letter each."""
        return "".join(look[0] for look in self.looks)

    @property
    def results(self) -> tuple[str, ...]:
        """Return what was measured, without when it was read."""
        return tuple(entry[0] + entry[1 + _STAMP :] for entry in self.measured)


class Heartbeat(Model):
    """That the watcher lives, what it last saw, and the window it looks through."""

    schema_: Annotated[Literal["aigate.watch/v1"], Field(alias="schema")] = "aigate.watch/v1"
    at: Instant
    environment: Name
    alias: Name
    verdict: Read
    call: CallName
    every: Duration | None
    """How often it looks; None where something else starts it each time."""
    drift: bool = False
    """Whether the alias was not where the ledger last put it, or nobody could tell."""
    window: Window | None


class Call(Model):
    """What the readings call for, and why."""

    call: CallName
    acts: bool = False
    """Whether something is to be done now. Not where it was done before, and not while it waits."""
    bad: int = 0
    """Bad readings of the kind in question among the last `of`."""
    needed: int
    of: int
    reasons: tuple[Text, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 keep, 1 where the champion does not do, 3 where nobody can tell."""
        return CALL_EXIT_CODES[self.call]


_HEARTBEAT: TypeAdapter[Heartbeat] = TypeAdapter(Heartbeat)


def read_heartbeat(text: str, now: datetime) -> Heartbeat | str:
    """Return the heartbeat in a tag's text, or why it cannot be believed."""
    if len(text) > LARGEST:
        return f"it has {len(text)} characters, at most {LARGEST} were ever written"
    try:
        found = _HEARTBEAT.validate_json(text)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"it is no heartbeat: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    if canonical(found) != text.encode():
        return "it is not in the form in which heartbeats are written"
    if found.at > now + SKEW:
        return f"it is dated {show_instant(found.at)}, in the future"
    return _untimely(found) or found


def _untimely(found: Heartbeat) -> str:
    """Return why the times of a heartbeat's readings cannot be; empty where they can."""
    if found.window is None:
        return ""
    for entries in (found.window.looks, found.window.measured):
        times = [_time(entry) for entry in entries]
        if any(then >= after for then, after in pairwise(times)):
            return "its readings are not one after the other"
        if times and times[-1] > _stamp(found.at):
            return "it has a reading that is later than itself"
    return ""


def write_heartbeat(heartbeat: Heartbeat) -> str:
    """Return a heartbeat's text; the oldest readings are left out where it would not fit into a tag."""
    text = canonical(heartbeat).decode()
    while len(text) > LARGEST and heartbeat.window is not None and heartbeat.window.measured:
        window = heartbeat.window.model_copy(update={"measured": heartbeat.window.measured[1:]})
        heartbeat = heartbeat.model_copy(update={"window": window})
        text = canonical(heartbeat).decode()
    return text


# The window


def take(window: Window | None, reading: Reading, of: int) -> Window | None:
    """Return the window with a reading in it: the last `of`, of the champion that is read.

    What is too old, and what is not before this reading, is left out.
    """
    if reading.champion is None:
        return window
    if window is None or window.champion != reading.champion:
        window = Window(champion=reading.champion)
    window = _between(window, _stamp(reading.at - oldest(of)), _stamp(reading.at))
    letter = _LETTERS.get(reading.verdict)
    if letter is None or reading.short:
        return _last(window, window.looks, window.measured, of)
    stamp = _stamp(reading.at)
    measured = window.measured
    if reading.evidence:
        entry = letter + stamp + "".join(reading.evidence)
        if not _known(measured, letter, reading.evidence):
            measured = (*measured, entry)
        elif _known(measured[-1:], letter, reading.evidence):
            last = measured[-1]
            measured = (*measured[:-1], letter + stamp + last[1 + _STAMP :])
    return _last(window, (*window.looks, letter + stamp), measured, of)


def oldest(of: int) -> timedelta:
    """Return how long ago a reading may be and count: eight days, or as many days as readings are looked at.

    Of a measurement it is the time at which it was last read.
    """
    return max(_WEEKLY, of * DAY)


def since(window: Window | None, moved: datetime) -> Window | None:
    """Return the window without what is dated before the alias was moved."""
    return None if window is None else _between(window, _stamp(moved), "~")


def _between(window: Window, first: str, end: str) -> Window:
    """Return the window with what was read from `first` on and before `end`."""
    looks = tuple(entry for entry in window.looks if first <= _time(entry) < end)
    measured = tuple(entry for entry in window.measured if first <= _time(entry) < end)
    return Window(champion=window.champion, ticks="".join(looks), measured=measured)


def _stamp(at: datetime) -> str:
    """Write a time so that a tag has room for many: stamps are in the order of their times."""
    left = min(max(int(at.timestamp()) - _FIRST, 0), 36**_STAMP - 1)
    text = ""
    for _ in range(_STAMP):
        left, digit = divmod(left, 36)
        text = _DIGITS[digit] + text
    return text


def _time(entry: str) -> str:
    return entry[1 : 1 + _STAMP]


def _known(measured: tuple[Seen, ...], letter: str, marks: tuple[Mark, ...]) -> bool:
    """Whether all that a reading rests on has been read with the same result before."""
    start = 1 + _STAMP
    seen = {entry[n : n + 8] for entry in measured if entry[0] == letter for n in range(start, len(entry), 8)}
    return seen.issuperset(marks)


def _last(window: Window, looks: tuple[str, ...], measured: tuple[Seen, ...], of: int) -> Window:
    return Window(champion=window.champion, ticks="".join(looks[-of:]), measured=measured[-of:])


# What is called for


def called(window: Window | None, reading: Reading, rules: WatchRules) -> Call:
    """Return what the readings call for, before anybody asks whether it may be done.

    `window` has the reading in it. Only a reading that is bad itself calls for
    anything, and only with `bad` of its own kind among the last `of`: those
    that blame the model alone for a rollback, the others for a halt.
    """
    base = Call(call="hold", needed=rules.bad, of=rules.of)
    if reading.verdict == "hold":
        return base
    if reading.champion is None or window is None:
        return _with(base, "hold", "what holds the alias is not known, so nothing can be held against it")
    if reading.verdict == "keep":
        return _with(base, "keep")
    if reading.verdict == "rollback":
        bad = sum(entry[0] == "r" for entry in window.measured[-rules.of :])
        what = "measurements" if rules.of > 1 else "measurement"
    else:
        bad = window.letters[-rules.of :].count("h")
        what = "readings" if rules.of > 1 else "reading"
    base = base.model_copy(update={"bad": bad})
    if reading.short:
        return _with(base, "wait", f"it does not count: {reading.short}")
    words = f"{bad} of {rules.bad} bad readings (of the last {rules.of} {what})"
    if bad < rules.bad:
        again = "; reading the same number again proves nothing" if reading.verdict == "rollback" else ""
        return _with(base, "wait", words + again)
    return _with(base, reading.verdict, words, acts=True)


def bounded(
    call: Call,
    champion: Incumbent,
    rules: RollbackRules,
    standing: Standing,
    *,
    alias: str,
    now: datetime,
    automatic: bool,
) -> Call:
    """Return what may be done of what is called for, by the model's history.

    The bounds are those of doing it without a person (`automatic`): where an
    automatic rollback is out of the question for good, a halt takes its
    place; where it only is too early, it waits. What has been halted is not
    halted again.
    """
    if call.call == "rollback" and automatic:
        if never := _never(champion, rules, standing, alias, now):
            call = _with(call, "halt", f"no automatic rollback: {never}", acts=True)
        elif early := _early(rules, standing, alias, now):
            call = _with(call, "wait", f"no automatic rollback yet: {early}")
    halts = standing.halted(now)
    if call.call == "halt" and halts:
        last = halts[-1]
        return _with(
            call,
            "halt",
            f"halted already since {show_instant(last.at)} by {last.actor.name}: {last.halt.reason}",
        )
    return call


def drifted(champion: Incumbent, standing: Standing, alias: str) -> str:
    """Say that an alias is not where the ledger last put it; empty where it is."""
    tenure = standing.tenure(alias)
    if tenure is None:
        return f"@{alias} is on v{champion.version}, and the ledger does not know how it got there"
    if champion.same(tenure.identity):
        return ""
    put = "nothing" if tenure.identity is None else f"v{tenure.identity.version}"
    return (
        f"@{alias} is on v{champion.version}, and the ledger last put it on {put} at {show_instant(tenure.since)}: "
        "it was moved past the gate"
    )


def _never(champion: Incumbent, rules: RollbackRules, standing: Standing, alias: str, now: datetime) -> str:
    """Return why an automatic rollback is out of the question; empty where it is not."""
    if moved := drifted(champion, standing, alias):
        return moved
    tenure = standing.tenure(alias)
    if tenure is not None and tenure.by == "rollback":
        return f"v{champion.version} came by a rollback itself, and such a one is never rolled back by itself"
    recent = [
        move
        for move in standing.moves
        if move.alias == alias and move.action == "rollback" and move.automatic and now - move.at < DAY
    ]
    if len(recent) >= rules.max_per_day:
        return f"{len(recent)} in 24 hours, and at most {rules.max_per_day} are allowed"
    served = [t for t in standing.tenures if t.alias == alias]
    if not any(_good(t, served, champion, rules, standing, now) for t in served):
        soak = show_duration(rules.min_soak)
        return f"the ledger knows of no other version that served {soak} and is not quarantined"
    return ""


def _good(
    tenure: Tenure,
    served: list[Tenure],
    champion: Incumbent,
    rules: RollbackRules,
    standing: Standing,
    now: datetime,
) -> bool:
    """Whether a version that served may be returned to, as far as the ledger can tell.

    The rule is that of `plan.candidates`: somebody promoted or adopted it; a
    version that only ever came by a rollback was vouched for by nobody.
    """
    identity = tenure.identity
    if identity is None or champion.same(identity) or standing.quarantine(identity) is not None:
        return False
    own = [t for t in served if t.identity is not None and t.identity.same_version(identity)]
    if not any(t.by in ("promote", "adopt") for t in own):
        return False
    return any(t.by == "adopt" or t.lived(now) >= rules.min_soak for t in own)


def _early(rules: RollbackRules, standing: Standing, alias: str, now: datetime) -> str:
    """Return why an automatic rollback has to wait; empty where it has not."""
    moving = next((found for found in standing.open if found.intent.alias == alias), None)
    if moving is not None:
        return f"{moving.actor.name} has been moving @{alias} since {show_instant(moving.at)}"
    tenure = standing.tenure(alias)
    if tenure is not None and tenure.since > now + SKEW:
        return f"@{alias} moved at {show_instant(tenure.since)}, by this machine's clock in the future"
    if tenure is not None and now - tenure.since < rules.cooldown:
        left = show_duration(rules.cooldown - (now - tenure.since))
        return f"@{alias} moved at {show_instant(tenure.since)}, and the cool-down lasts another {left}"
    return ""


def _with(call: Call, name: CallName, *reasons: str, acts: bool = False) -> Call:
    return call.model_copy(
        update={"call": name, "acts": acts, "reasons": (*call.reasons, *(text for text in reasons if text))}
    )
