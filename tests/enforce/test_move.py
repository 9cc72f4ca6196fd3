"""One move of an alias: every way in which it can go wrong, and what the next run makes of that."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aigate.collect.mlflow.reader import Code, RegistryError
from aigate.enforce.ledger import LostTicketError
from aigate.enforce.move import MARGIN, STEPS, carry_out, reconcile
from aigate.enforce.receipts import QUARANTINE, RECEIPT, head_in
from aigate.enforce.store import LedgerError, UncertainError
from aigate.enforce.writer import Shown
from aigate.ledger import Halt, Head, Intent, Outcome
from aigate.ticket import GuardSays
from fake_alias import ALIAS, START, Clock, FakeAlias, identity, intent, site
from memory_store import MemoryStore


class Killed(BaseException):
    """The process is gone."""


def nothing() -> str:
    return ""


def die_at(name: str) -> Callable[[str], None]:
    def step(passed: str) -> None:
        if passed == name:
            raise Killed

    return step


def outcomes(store: MemoryStore) -> list[Outcome]:
    found = site(FakeAlias(), store, Clock()).ledger.chain
    assert not found.faults
    return [entry.body for entry in found.entries if isinstance(entry.body, Outcome)]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_move_is_written_ahead_made_read_back_and_receipted(store: MemoryStore, clock: Clock) -> None:
    passed: list[str] = []
    alias = FakeAlias()
    here = site(alias, store, clock, passed.append)
    done = carry_out(here, intent(2), nothing)
    assert (done.result, done.moved, done.warnings, alias.holder, alias.writes) == (
        "applied",
        True,
        (),
        2,
        [2],
    )
    assert tuple(passed) == STEPS
    receipt = head_in({RECEIPT: alias.tags[("2", RECEIPT)]}, RECEIPT)
    assert receipt == Head(seq=1, digest=here.ledger.chain.digests[0])
    assert [outcome.result for outcome in outcomes(store)] == ["applied"]
    assert here.ledger.standing.holder(ALIAS) == identity(2)


def test_a_rollback_marks_the_version_it_leaves(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias(2)
    here = site(alias, store, clock)
    assert carry_out(here, intent(1, was=2, action="rollback"), nothing).moved
    assert alias.tags[("2", QUARANTINE)] == "because"
    assert here.ledger.standing.quarantine(identity(2)) is not None


def trouble(code: Code) -> RegistryError:
    return RegistryError(code, "MLflow says so")


def failing_before(code: Code) -> Callable[[FakeAlias], Callable[[int], None]]:
    def make(alias: FakeAlias) -> Callable[[int], None]:
        def write(number: int) -> None:
            raise trouble(code)

        return write

    return make


def failing_after(alias: FakeAlias) -> Callable[[int], None]:
    def write(number: int) -> None:
        alias.move(number)
        raise trouble("unreachable")

    return write


def doing_nothing(alias: FakeAlias) -> Callable[[int], None]:
    return lambda number: None


def beaten(alias: FakeAlias) -> Callable[[int], None]:
    def write(number: int) -> None:
        alias.move(number)
        alias.move(7)

    return write


@pytest.mark.parametrize(
    ("write", "result", "holder"),
    [
        (doing_nothing, "not_applied", 1),
        (failing_before("unreachable"), "not_applied", 1),
        (failing_before("broken"), "not_applied", 1),
        (failing_before("denied"), "refused", 1),
        (failing_before("not_found"), "refused", 1),
        (failing_after, "applied", 2),
        (beaten, "conflict", 7),
    ],
    ids=[
        "200-and-nothing",
        "no-answer",
        "nonsense",
        "denied",
        "no-such-version",
        "503-after-commit",
        "beaten",
    ],
)
def test_what_mlflow_answers_is_not_believed_and_what_it_did_is_found_out(
    write: Callable[[FakeAlias], Callable[[int], None]],
    result: str,
    holder: int,
    store: MemoryStore,
    clock: Clock,
) -> None:
    alias = FakeAlias()
    alias.on_write = write(alias)
    done = carry_out(site(alias, store, clock), intent(2), nothing)
    assert (done.result, alias.holder, alias.writes) == (result, holder, [2])
    assert [outcome.result for outcome in outcomes(store)] == [result]
    assert (("2", RECEIPT) in alias.tags) == (result == "applied")


def test_the_write_is_told_which_entry_it_is_for(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias()
    assert carry_out(site(alias, store, clock), intent(2), nothing).moved
    assert carry_out(site(alias, store, clock), intent(1, was=2, action="rollback"), nothing).moved
    assert [(e.intent.to.version, e.seq) for e in alias.entered if e is not None] == [("2", 1), ("1", 3)]


@pytest.mark.parametrize(
    ("signs", "says", "words"),
    [
        (False, Shown(ticket=False, guard=None), ""),
        (True, Shown(ticket=True, guard=GuardSays("enforce")), ""),
        (True, Shown(ticket=True, guard=None), "did not ask for a ticket: @champion is not guarded"),
        (True, Shown(ticket=True, guard=GuardSays("observe")), "only observes"),
        (True, Shown(ticket=False, guard=None), "in a way that shows no ticket"),
    ],
    ids=["no key", "guarded", "not guarded", "observed", "no way"],
)
def test_a_server_that_does_not_look_at_tickets_is_remarked(
    store: MemoryStore, clock: Clock, signs: bool, says: Shown, words: str
) -> None:
    alias = FakeAlias()
    alias.says = says
    done = carry_out(replace(site(alias, store, clock), signs=signs), intent(2), nothing)
    assert (done.result, done.warnings) == ("applied", ())
    assert len(done.remarks) == bool(words)
    assert words in "".join(done.remarks)


def test_a_late_replica_is_waited_for(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias()
    shown = iter([0, 0, 0, 0])

    def write(number: int) -> None:
        def read() -> None:
            alias.holder = 1 if next(shown, None) is not None else 2

        alias.on_read = read

    alias.on_write = write
    assert carry_out(site(alias, store, clock), intent(2), nothing).result == "applied"


def test_where_it_cannot_be_read_back_nobody_says_that_it_was_done(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias()

    def write(number: int) -> None:
        def read() -> None:
            raise trouble("unreachable")

        alias.on_read = read

    alias.on_write = write
    with pytest.raises(UncertainError, match="cannot be read back") as caught:
        carry_out(site(alias, store, clock), intent(2), nothing)
    assert caught.value.exit_code == 4
    assert outcomes(store) == []


@pytest.mark.parametrize(
    ("recheck", "word"),
    [(lambda: "changed: /challenger/tags", "changed"), (nothing, "changed")],
    ids=["evidence", "alias"],
)
def test_what_changed_meanwhile_stops_the_move(
    recheck: Callable[[], str], word: str, store: MemoryStore, clock: Clock
) -> None:
    alias = FakeAlias(1 if recheck() else 5)
    done = carry_out(site(alias, store, clock), intent(2), recheck)
    assert (done.result, alias.writes) == (word, [])
    assert done.detail


def test_a_version_made_anew_under_the_same_number_is_another_one(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias(1)
    anew = intent(2).model_copy(update={"from_": identity(1).model_copy(update={"created_at": START})})
    assert carry_out(site(alias, store, clock), anew, nothing).result == "changed"
    assert alias.writes == []


def test_a_halt_that_comes_in_between_stops_the_move(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias()

    def halts() -> str:
        site(alias, store, clock).ledger.append(Halt(reason="late data", role="owner of stage features"))
        return ""

    done = carry_out(site(alias, store, clock), intent(2), halts)
    assert (done.result, alias.writes) == ("abandoned", [])
    assert "halt" in done.detail
    assert [outcome.result for outcome in outcomes(store)] == ["abandoned"]


def test_a_writer_that_was_paused_too_long_does_not_write(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias()

    def pauses() -> str:
        clock.sleep(45 - MARGIN.total_seconds() + 1)
        return ""

    done = carry_out(site(alias, store, clock), intent(2), pauses)
    assert (done.result, alias.writes) == ("abandoned", [])


def test_a_recheck_that_fails_abandons_and_is_raised(store: MemoryStore, clock: Clock) -> None:
    def fails() -> str:
        raise LedgerError("gone")

    alias = FakeAlias()
    with pytest.raises(LedgerError, match="gone"):
        carry_out(site(alias, store, clock), intent(2), fails)
    assert [outcome.result for outcome in outcomes(store)] == ["abandoned"]
    assert alias.writes == []


def test_without_a_ledger_nothing_moves(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias()
    here = site(alias, store, clock)
    store.dead = True
    with pytest.raises(LedgerError):
        carry_out(here, intent(2), nothing)
    assert alias.writes == []


def test_an_intent_of_which_nobody_knows_whether_it_was_written_moves_nothing(
    store: MemoryStore, clock: Clock
) -> None:
    alias = FakeAlias()
    here = site(alias, store, clock)
    store.uncertain = True
    with pytest.raises(UncertainError):
        carry_out(here, intent(2), nothing)
    assert alias.writes == []


def test_a_ledger_that_dies_after_the_move_is_said_and_found_out(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias()

    def write(number: int) -> None:
        alias.move(number)
        store.dead = True

    alias.on_write = write
    with pytest.raises(UncertainError, match="could not be written down"):
        carry_out(site(alias, store, clock), intent(2), nothing)
    store.dead = False
    found = reconcile(site(alias, store, clock), patience=0.5)
    assert [outcome.result for outcome in found] == ["recovered"]


def test_receipts_that_cannot_be_set_are_warnings(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias()
    alias.tagging = trouble("unreachable")
    done = carry_out(site(alias, store, clock), intent(2), nothing)
    assert done.result == "applied"
    assert RECEIPT in done.warnings[0]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_killed_at_any_step_the_next_run_finds_out(
    step: str, action: Any, store: MemoryStore, clock: Clock
) -> None:
    alias = FakeAlias()
    with pytest.raises(Killed):
        carry_out(site(alias, store, clock, die_at(step)), intent(2, action=action), nothing)
    moved = alias.holder == 2
    after = site(alias, store, clock)
    found = reconcile(after, patience=1.0)
    if step == "before_intent":
        assert (found, store.entries) == ((), {})
        return
    # What dies in between without a chance to write is cut off by the test below; here Python still unwinds.
    assert after.ledger.standing.open == ()
    assert (after.ledger.standing.holder(ALIAS) == identity(2)) == moved
    if moved:
        assert ("2", RECEIPT) in alias.tags
        assert (("1", QUARANTINE) in alias.tags) == (action == "rollback")
    assert reconcile(after, patience=1.0) == ()


@pytest.fixture(params=["reader's clock", "long ago", "clock ahead"])
def waited(request: pytest.FixtureRequest) -> tuple[timedelta, float]:
    """How far the other writer's clock is off, and how long may be waited."""
    return {
        "reader's clock": (timedelta(0), 3.0),
        "long ago": (timedelta(hours=-2), 3.0),
        "clock ahead": (timedelta(days=400), 3.0),
    }[request.param]


def test_an_intent_of_a_dead_writer_is_settled_in_bounded_time(
    waited: tuple[timedelta, float], store: MemoryStore, clock: Clock
) -> None:
    off, patience = waited
    alias = FakeAlias()
    here = site(alias, store, clock)
    here.ledger.append(intent(2, now=START + off))
    found = reconcile(site(alias, store, clock), patience=patience)
    assert [outcome.result for outcome in found] == ["not_applied"]
    assert clock.monotonic() <= patience + 0.5
    assert (clock.monotonic() == 0) == (off < timedelta(0))


def test_a_writer_at_work_is_waited_for(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias()
    other = site(alias, store, clock)
    seq = other.ledger.append(intent(2)).seq
    here = site(alias, store, clock)
    slept = here.sleep

    def sleep(seconds: float) -> None:
        slept(seconds)
        if clock.monotonic() > 1 and not outcomes(store):
            alias.move(2)
            other.ledger.append(Outcome(of=seq, result="applied", found="2"))

    waiting = type(here)(here.ledger, here.reader, here.writer, here.clock, here.step, sleep, here.monotonic)
    assert reconcile(waiting, patience=30.0) == ()
    assert here.ledger.standing.holder(ALIAS) == identity(2)
    assert clock.monotonic() < 2


def test_a_writer_taken_for_dead_finds_its_intent_closed_and_stops(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias()

    def overtaken() -> str:
        reconcile(site(alias, store, clock), patience=0.5)
        return ""

    done = carry_out(site(alias, store, clock), intent(2), overtaken)
    assert alias.writes == []
    assert not done.moved
    assert len(outcomes(store)) == 1


def test_a_writer_that_was_taken_for_dead_and_writes_all_the_same_says_so(
    store: MemoryStore, clock: Clock
) -> None:
    alias = FakeAlias()

    def write(number: int) -> None:
        reconcile(site(alias, store, clock), patience=0.5)
        alias.move(number)

    alias.on_write = write
    done = carry_out(site(alias, store, clock), intent(2), nothing)
    assert (done.result, done.moved) == ("conflict", False)
    assert [outcome.result for outcome in outcomes(store)] == ["not_applied", "conflict"]
    assert site(alias, store, clock).ledger.standing.holder(ALIAS) is None


def test_two_that_want_the_same_number_of_the_ledger(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias()
    first, second = site(alias, store, clock), site(alias, store, clock)
    assert carry_out(first, intent(2), nothing).moved
    with pytest.raises(LostTicketError):
        carry_out(second, intent(3), nothing)
    assert alias.moves == [2]


def test_a_ledger_that_cannot_be_believed_stops_the_move(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias()

    def tampered() -> str:
        store.entries["churn"][0] = store.entries["churn"][0].replace(b"because", b"becauze")
        return ""

    done = carry_out(site(alias, store, clock), intent(2), tampered)
    assert (done.result, alias.writes) == ("abandoned", [])
    assert "tampered" in done.detail


def test_what_holds_the_alias_must_be_readable_to_settle_an_intent(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias()
    site(alias, store, clock).ledger.append(intent(2, now=START - timedelta(hours=1)))

    def read() -> None:
        raise trouble("unreachable")

    alias.on_read = read
    with pytest.raises(LedgerError, match="did not finish") as caught:
        reconcile(site(alias, store, clock), patience=0.5)
    assert caught.value.exit_code == 3


def test_an_intent_whose_alias_is_elsewhere_is_a_conflict(store: MemoryStore, clock: Clock) -> None:
    alias = FakeAlias(9)
    site(alias, store, clock).ledger.append(intent(2, now=START - timedelta(hours=1)))
    (found,) = reconcile(site(alias, store, clock), patience=0.5)
    assert (found.result, found.found) == ("conflict", "9")
    assert isinstance(site(alias, store, clock).ledger.chain.entries[0].body, Intent)


def test_a_write_that_hangs_may_still_be_done_so_its_end_is_left_open(
    store: MemoryStore, clock: Clock
) -> None:
    alias = FakeAlias()
    alias.on_write = failing_before("deadline")(alias)
    with pytest.raises(UncertainError, match="may do it yet"):
        carry_out(site(alias, store, clock), intent(2), nothing)
    assert outcomes(store) == []
    alias.move(2)  # it was
    assert [found.result for found in reconcile(site(alias, store, clock), patience=0.5)] == ["recovered"]
