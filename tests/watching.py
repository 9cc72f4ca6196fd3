"""Looks at a champion without a world: real decisions about made-up evidence, and hands that keep a real ledger."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count

from aigate.decision import Actor, Finding, PolicyResult, Versions
from aigate.enforce.ledger import Ledger
from aigate.evaluate import Setting, decide, judge
from aigate.gate import Answer
from aigate.ledger import Adopt, Halt, Identity, Intent, Outcome, Resume
from aigate.manifest import RollbackRules, WatchRules
from aigate.plan import Act, bounds
from aigate.reading import Incumbent, Reading
from aigate.snapshot import Snapshot, Tag
from aigate.standing import Standing
from aigate.testing import NOW, missing, passing_snapshot
from aigate.values import gap
from aigate.window import Call, Window, called, take
from memory_store import MemoryStore
from standard_pack import infos, pack, with_

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
START = NOW - 2 * HOUR
"""When a row of readings begins."""
RULES = WatchRules(bad=2, of=3)
BORN = NOW - timedelta(days=40)
RETAIN = passing_snapshot("retain")
_SETTING = Setting(
    policies_digest="sha256:" + "a" * 64,
    isolation="process",
    versions=Versions(aigate="0.1.0", python="3.11.7", pydantic="2.14.3"),
    actor=Actor(name="user:watch"),
)
_ASKED = {info.id: info for info in infos() if info.id in ("evaluation.floor", "freshness.stage")}
LATE = Finding(
    message="features is 9h old, promised 6h", key="features", owner="data-eng", fix="ask data-eng"
)


def evidence(
    now: datetime = NOW,
    *,
    accuracy: str = "0.94",
    measured: datetime | None = None,
    rows: int | None = 5000,
    version: str = "1",
    tag: str | None = None,
    receipt: str | None = None,
    anchor: str | None = None,
) -> Snapshot:
    """What was found of a champion; each version was created an hour after the one before."""
    champion = RETAIN.champion
    assert champion is not None
    assert gap(RETAIN.model) is None
    first, *others = champion.measurements
    assert (first.name, first.dataset is None) == ("accuracy", False)
    data = first.dataset.model_copy(update={"rows": rows}) if first.dataset else None
    reading = {"value": Decimal(accuracy), "recorded_at": measured or now - timedelta(minutes=1)}
    metric = first.model_copy(update={**reading, "rows": rows, "dataset": data})
    born = {"version": version, "created_at": BORN + timedelta(hours=int(version))}
    subject = champion.subject.model_copy(update=born)
    kept = {"aigate.watch": tag, "aigate.ledger": anchor}
    tags = tuple(Tag(key=key, value=text) for key, text in kept.items() if text is not None)
    own = () if receipt is None else (Tag(key="aigate.receipt", value=receipt),)
    return RETAIN.model_copy(
        update={
            "now": now,
            "champion": champion.model_copy(
                update={"subject": subject, "measurements": (metric, *others), "tags": own}
            ),
            "model": RETAIN.model.model_copy(update={"tags": tags}),
        }
    )


def answer(snapshot: Snapshot, *, late: bool = False) -> Answer:
    """The decision about it by two policies: the floor, which blames the model, and a stage, which blames data."""
    fresh = PolicyResult(policy="freshness.stage", outcome="pass", reads=("/stages/features/age",))
    if late:
        fresh = fresh.model_copy(update={"outcome": "fail", "findings": (LATE,)})
    results = {
        "evaluation.floor": pack()["evaluation.floor"].run(snapshot),
        "freshness.stage": fresh,
    }
    return Answer(decide(snapshot, judge(_ASKED.values(), results, {}), _SETTING), snapshot)


def unreachable(now: datetime = NOW) -> Answer:
    """The decision where the registry did not answer."""
    lost = missing("MLflow did not answer", "https://mlflow.example")
    return answer(with_({"/now": now, "/model": lost, "/champion": lost}, RETAIN))


def identity(version: str) -> Identity:
    """A version as the ledger knows it."""
    champion = evidence(version=version).champion
    assert champion is not None
    return Identity.of(champion.subject)


def incumbent(version: str) -> Incumbent:
    """A version as a window knows it."""
    return Incumbent(version=version, created_at=BORN + timedelta(hours=int(version)))


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class FakeHands:
    """A registry of one alias and one tag, and a real ledger in memory."""

    def __init__(self, clock: Callable[[], datetime], rules: RollbackRules | None = None) -> None:
        self.clock = clock
        self.rules = rules or RollbackRules(mode="auto")
        self.version: str | None = None
        self.tag: str | None = None
        self.done: list[str] = []
        self.asked = 0
        """How often the ledger was read."""
        self.early: Standing | None = None
        self.fails: dict[str, Exception] = {}
        """What a method raises, by its name."""
        numbers = count(1)
        self.ledger = Ledger(
            MemoryStore(),
            "churn",
            actor=Actor(name="user:watch"),
            clock=clock,
            nonce=lambda: f"{next(numbers):016x}",
        )

    # What people do.

    def adopt(self, version: str) -> None:
        self.ledger.append(
            Adopt(alias="champion", from_=None, to=identity(version), reason="as found", role="owner")
        )
        self.version = version

    def promote(self, version: str) -> None:
        self._move("promote", version, automatic=False, reason="good")

    def resume(self) -> None:
        self.ledger.append(Resume(reason="mended", role="owner"))

    # What a watcher does.

    def prepare(self) -> None:
        self.early = self.ledger.standing

    def standing(self, *, early: bool = False) -> Standing:
        if early and self.early is not None:
            self.asked += 1
            self._try("standing")
            return self.early
        self.asked += 1
        self._try("standing")
        return self.ledger.standing

    def live(self) -> Incumbent | None:
        self._try("live")
        return None if self.version is None else incumbent(self.version)

    def rollback(self, reason: str, answer: Answer) -> Act:
        """As `act.rollback` does it: the bounds hold here too, whatever the watcher thought."""
        self._try("rollback")
        standing, now = self.ledger.standing, self.clock()
        if blockers := bounds(standing, "champion", self.rules, now):
            return self._act("rollback", "refused", 1, blockers[0].message)
        target = next(iter(self._known_good()), None)
        if target is None:
            self.ledger.append(Halt(reason=reason, role="watch", automatic=True))
            self.done.append("halt")
            return self._act("halt", "done", 1, "halted, not rolled back: no version is known good")
        self._move("rollback", target, automatic=True, reason=reason)
        self.done.append(f"rollback {target}")
        return self._act("rollback", "done", 0, f"moved to v{target}")

    def halt(self, reason: str, answer: Answer) -> Act:
        self._try("halt")
        self.ledger.append(Halt(reason=reason, role="watch", automatic=True))
        self.done.append("halt")
        return self._act("halt", "done", 0, "halted")

    def beat(self, text: str) -> None:
        self._try("beat")
        self.tag = text

    def _try(self, name: str) -> None:
        if name in self.fails:
            raise self.fails[name]

    def _known_good(self) -> Iterable[str]:
        standing = self.ledger.standing
        for tenure in reversed(standing.tenures):
            held = tenure.identity
            soaked = tenure.by == "adopt" or tenure.lived(self.clock()) >= self.rules.min_soak
            if held is not None and held.version != self.version and soaked and not standing.quarantine(held):
                yield held.version

    def _move(self, action: str, version: str, *, automatic: bool, reason: str) -> None:
        entry = self.ledger.append(
            Intent.model_validate(
                {
                    "action": action,
                    "alias": "champion",
                    "from": None if self.version is None else identity(self.version),
                    "to": identity(version),
                    "environment": "production",
                    "reason": reason,
                    "automatic": automatic,
                    "expires": self.clock() + timedelta(minutes=1),
                }
            )
        )
        self.version = version
        self.ledger.append(Outcome(of=entry.seq, result="applied"))

    def _act(self, act: str, result: str, code: int, reason: str) -> Act:
        return Act.model_validate(
            {
                "act": act,
                "model": "churn",
                "alias": "champion",
                "result": result,
                "exit_code": code,
                "reason": reason,
                "now": self.clock(),
            }
        )


def follow(readings: list[Reading], rules: WatchRules = RULES) -> tuple[Window | None, Call]:
    """What a row of readings comes to, a minute apart; one that says nothing takes no time."""
    window, call, number = None, None, 0
    for one in readings:
        one = one.model_copy(update={"at": START + number * MINUTE})
        number += one.verdict != "hold"
        window = take(window, one, rules.of)
        call = called(window, one, rules)
    assert call is not None
    return window, call
