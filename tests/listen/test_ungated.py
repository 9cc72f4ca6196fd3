"""An alias that was moved past the gate: told of, put back, and never by mistake."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aigate.act.revert as room
from aigate.act.revert import RevertRequest, revert
from aigate.enforce.ledger import LostTicketError
from aigate.enforce.move import STEPS
from aigate.enforce.receipts import QUARANTINE, RECEIPT
from aigate.ledger import Intent
from aigate.listen.ungated import Judged, OnUngated
from fake_alias import MODEL, identity
from gated import AUTO, QUICK, Gated


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Gated:
    """A model of which nobody knows what holds its alias; the environment's mode is auto."""
    gated = Gated(tmp_path)
    monkeypatch.setattr(room, "open_desk", gated.open)
    return gated


@pytest.fixture
def gated(opened: Gated) -> Gated:
    """The same, with v1 adopted a while ago."""
    opened.adopt(1)
    opened.pass_by(minutes=10)
    return opened


def test_it_is_put_back_by_an_entry_in_the_ledger(gated: Gated) -> None:
    assert gated.look().state == "covered"
    gated.registry.holder = 2
    found = gated.look()
    assert (found.state, found.live, found.expected, found.done, found.exit_code) == (
        "ungated", "2", "1", "reverted", 0,
    )  # fmt: skip
    assert (gated.holder, gated.kinds()) == (1, ["adopt", "intent", "applied"])
    intent = gated.chain.entries[1].body
    assert isinstance(intent, Intent)
    assert (intent.reason, intent.automatic, intent.decision) == ("ungated move to v2 found", True, None)
    assert gated.registry.tags["2", QUARANTINE] == "ungated move to v2 found"
    assert ("1", RECEIPT) in gated.registry.tags
    assert found.act is not None
    assert {check.name: check.state for check in found.act.checks} == dict.fromkeys(
        ("version", "status", "artifact", "quarantine"), "ok"
    )
    assert gated.look().state == "covered"
    assert gated.kinds() == ["adopt", "intent", "applied"], "a look that finds nothing writes nothing"


def test_a_version_of_a_minute_ago_is_put_back_though_it_has_not_soaked(gated: Gated) -> None:
    gated.promote(2)
    gated.registry.holder = 1
    assert (gated.look().done, gated.holder) == ("reverted", 2)


def test_an_alias_that_was_deleted_is_set_again(gated: Gated) -> None:
    gated.registry.holder = None
    found = gated.look()
    assert (found.live, found.done, gated.holder) == (None, "reverted", 1)
    assert gated.standing.moves[-1].reason == "ungated removal of @champion found"


@pytest.mark.parametrize(
    ("on_ungated", "mode", "done"),
    [
        ("tell", "auto", "told"),
        ("tell", "propose", "told"),
        ("revert", "propose", "proposed"),
        ("revert", "off", "proposed"),
    ],
)
def test_nothing_is_moved_unless_both_want_it(
    gated: Gated, on_ungated: OnUngated, mode: str, done: str
) -> None:
    gated.rule(AUTO.replace("auto", mode))
    gated.registry.holder = 2
    found = gated.look(on_ungated)
    assert (found.done, found.exit_code, gated.holder, gated.kinds()) == (done, 1, 2, ["adopt"])
    assert found.next[0].startswith(f"aigate rollback {MODEL} --manifest ")
    assert [words.split()[1] for words in found.next] == ["rollback", "adopt", "audit"]
    assert "Somebody moved it past the gate" in found.message


def test_two_who_fight_do_not_move_it_for_ever(gated: Gated) -> None:
    gated.rule(QUICK)
    done = []
    for _ in range(5):
        gated.registry.holder = 2
        done.append(gated.look().done)
    assert done == ["reverted", "reverted", "refused", "refused", "refused"]
    assert gated.kinds().count("intent") == 2
    found = gated.look()
    assert "2 automatic moves back in 24 hours" in (found.act.reason if found.act else "")
    assert (found.exit_code, found.next[0].split()[1]) == (1, "rollback")
    gated.pass_by(hours=25)
    assert gated.look().done == "reverted"


def test_a_second_time_waits_for_the_cool_down(gated: Gated) -> None:
    for expected in ("reverted", "refused"):
        gated.registry.holder = 2
        assert gated.look().done == expected
    gated.pass_by(minutes=61)
    assert (gated.look().done, gated.holder) == ("reverted", 1)


def test_where_nothing_was_ever_adopted_nothing_is_done(opened: Gated) -> None:
    opened.registry.holder = 1
    found = opened.look()
    assert (found.state, found.done, found.expected, opened.kinds()) == ("unknown_holder", "told", None, [])
    assert [words.split()[1] for words in found.next] == ["adopt", "audit"]
    opened.registry.holder = None
    assert opened.look().state == "covered"


def test_where_nothing_is_to_hold_it_it_is_not_taken_away(gated: Gated) -> None:
    gated.adopt(None)
    gated.registry.holder = 2
    found = gated.look()
    assert (found.done, gated.holder) == ("refused", 2)
    assert "takes no alias away" in (found.act.reason if found.act else "")


class Tick:
    """As much of a tick as is remembered."""

    def __init__(self, verdict: str, champion: str | None = "1", drift: str = "") -> None:
        self.verdict = verdict
        self.champion = champion
        self.drift = drift
        self.reason = "accuracy 0.71"


def test_a_version_that_was_found_bad_is_not_put_back_by_itself(gated: Gated) -> None:
    """Somebody rolled back in MLflow's own pages, at night: the one that the ledger has was bad."""
    judged = Judged()
    judged.take(Tick("rollback"))  # type: ignore[arg-type]
    gated.registry.holder = 2
    found = gated.look(judged=judged)
    assert (found.done, gated.holder, gated.kinds()) == ("refused", 2, ["adopt"])
    assert "accuracy 0.71" in (found.act.reason if found.act else "")
    for other in (Tick("keep", drift="moved"), Tick("hold"), Tick("keep", champion=None)):
        judged.take(other)  # type: ignore[arg-type]
        assert gated.look(judged=judged).done == "refused", "that says nothing of it"
    judged.take(Tick("keep"))  # type: ignore[arg-type]
    assert gated.look(judged=judged).done == "reverted"


@pytest.mark.parametrize(
    ("files", "words"),
    [("b", "overwritten"), ("", "its files are gone"), ("deleted", "cannot be read")],
    ids=["other-files", "no-files", "deleted"],
)
def test_a_version_that_is_not_what_served_is_not_put_back(gated: Gated, files: str, words: str) -> None:
    gated.registry.holder = 2
    gated.files["1"] = files
    found = gated.look()
    assert (found.done, gated.holder, gated.kinds()) == ("refused", 2, ["adopt"])
    assert words in (found.act.reason if found.act else "")


def test_a_version_that_was_rolled_back_from_elsewhere_is_not_put_back(gated: Gated) -> None:
    gated.promote(2)
    gated._move("rollback", 1, lambda name: None)
    gated.adopt(2)  # in quarantine still
    gated.registry.holder = 3
    found = gated.look()
    assert (found.done, gated.holder) == ("refused", 3)
    assert "rolled back from" in (found.act.reason if found.act else "")


@pytest.mark.parametrize("broken", ["ledger", "registry", "anchor", "truncated"])
def test_what_does_not_answer_or_is_not_believed_moves_nothing(gated: Gated, broken: str) -> None:
    gated.promote(2)
    with gated.open(gated.acting(), MODEL) as desk:
        desk.read_ledger()
        desk.heal_anchor()
    gated.registry.holder = 3
    lines = gated.store.entries[MODEL]
    if broken == "ledger":
        gated.store.dead = True
    elif broken == "registry":
        gated.dead = True
    elif broken == "anchor":
        lines[1] = lines[1].replace(b'"because"', b'"BECAUSE"')
    else:
        lines.pop()
    found = gated.look()
    assert (found.state, found.done, found.exit_code, gated.holder) == ("unknown", "nothing", 3, 3)
    assert "is not known" in found.message


def test_a_promotion_is_never_taken_for_a_move_past_the_gate(gated: Gated) -> None:
    """At every point of a promotion somebody looks, and would put it back."""
    seen: list[tuple[str, str, str]] = []

    def step(name: str) -> None:
        if name in STEPS:
            found = gated.look()
            seen.append((name, found.state, found.done))

    gated.promote(2, step)
    assert [name for name, _, _ in seen] == list(STEPS), "the looks were taken"
    assert {done for _, _, done in seen} == {"nothing"}
    assert {state for _, state, _ in seen} == {"covered", "under_way"}
    assert (gated.holder, gated.kinds()) == (2, ["adopt", "intent", "applied"])


def test_a_promotion_that_moves_the_alias_between_the_two_readings_is_seen(gated: Gated) -> None:
    """The ledger was read before it began, and the alias after it had moved."""
    once = [True]

    def read() -> None:
        if once:
            once.clear()
            gated.promote(2)

    gated.registry.on_read = read
    found = gated.look()
    assert (found.state, found.done, gated.holder) == ("covered", "nothing", 2)


def test_nothing_is_moved_while_a_promotion_may_be_at_work_and_the_alias_is_elsewhere(gated: Gated) -> None:
    gated.begin(2)
    gated.registry.holder = 3
    found = gated.look()
    assert (found.state, found.done, found.exit_code, gated.holder) == ("under_way", "nothing", 3, 3)
    gated.pass_by(minutes=5)
    found = gated.look()
    assert (found.done, gated.holder) == ("reverted", 1)
    assert gated.kinds() == ["adopt", "intent", "conflict", "intent", "applied"]


class Killed(BaseException):
    """The process is gone."""


def die_at(name: str) -> Callable[[str], None]:
    def step(passed: str) -> None:
        if passed == name:
            raise Killed

    return step


def test_a_promotion_whose_writer_died_is_finished_first(gated: Gated) -> None:
    with pytest.raises(Killed):
        gated.promote(2, die_at("after_read_back"))
    assert (gated.look().state, gated.holder) == ("under_way", 2), "its lease is not over"
    gated.pass_by(minutes=5)
    assert (gated.look("tell").state, gated.kinds()[-1]) == ("under_way", "intent"), (
        "who only tells writes nothing"
    )
    assert (gated.look().state, gated.holder, gated.kinds()[-1]) == ("covered", 2, "recovered")
    gated.registry.holder = 1
    assert (gated.look().done, gated.holder) == ("reverted", 2)


@pytest.mark.parametrize("name", STEPS)
def test_a_revert_that_is_killed_is_finished_by_the_next(gated: Gated, name: str) -> None:
    gated.rule(QUICK)
    gated.registry.holder = 2
    with pytest.raises(Killed):
        revert(gated.loaded, RevertRequest(MODEL, "champion"), gated.acting(die_at(name)))
    gated.pass_by(minutes=5)
    gated.look()
    assert gated.holder == 1
    assert gated.look().state == "covered"
    assert not gated.standing.open, "though the alias was where it should be"
    gated.registry.holder = 2
    assert (gated.look().done, gated.holder) == ("reverted", 1)
    assert len(gated.standing.moves) == 2, "the one that was killed counts"


def test_somebody_who_moves_it_again_in_the_middle_is_told_of(gated: Gated) -> None:
    gated.rule(QUICK)
    gated.registry.holder = 2

    def step(name: str) -> None:
        if name == "after_intent":
            gated.registry.holder = 3

    found = gated.look(step=step)
    assert (found.done, found.exit_code, gated.holder, gated.kinds()[-1]) == ("changed", 3, 3, "changed")
    assert (gated.look().done, gated.holder) == ("reverted", 1)


def test_a_write_that_is_not_confirmed_is_said(gated: Gated) -> None:
    gated.registry.holder = 2
    gated.registry.on_write = lambda number: None
    found = gated.look()
    assert (found.done, found.exit_code, gated.holder) == ("unconfirmed", 4, 2)
    assert found.next[0].startswith("aigate rollback")


def test_a_ticket_that_is_lost_each_time_ends(gated: Gated, monkeypatch: pytest.MonkeyPatch) -> None:
    gated.registry.holder = 2
    tries = []

    def lose(*_: object) -> None:
        tries.append(1)
        raise LostTicketError("somebody was first")

    monkeypatch.setattr(room, "carry_out", lose)
    assert (gated.look().done, len(tries), gated.holder) == ("failed", 3, 2)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


_ACTS = st.sampled_from(["look", "look", "steal", "delete", "promote", "begin", "wait", "day"])


@settings(max_examples=60, deadline=None)
@given(acts=st.lists(_ACTS, max_size=25), data=st.data())
def test_whatever_happens_only_what_is_the_ledger_s_is_put_back(
    folder: Path, acts: list[str], data: st.DataObject
) -> None:
    """At most so many moves a day, each to where the ledger had it, none without an entry, none while one is at work."""
    gated = Gated(folder, QUICK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "open_desk", gated.open)
        gated.adopt(1)
        for act in acts:
            gated.pass_by(seconds=1)
            before, written, standing = gated.holder, list(gated.registry.writes), gated.standing
            match act:
                case "look":
                    found = gated.look()
                    if gated.registry.writes == written:
                        assert gated.holder == before
                        continue
                    assert found.done == "reverted"
                    expected = gated.standing.holder("champion")
                    assert expected is not None
                    assert expected.same_version(identity(gated.holder or 0))
                    assert all(o.intent.expires < gated.clock.now for o in standing.open)
                case "steal":
                    gated.registry.holder = data.draw(st.integers(1, 4))
                case "delete":
                    gated.registry.holder = None
                case "promote" if not gated.standing.open:
                    gated.promote(data.draw(st.integers(1, 4)))
                case "begin" if not gated.standing.open:
                    gated.begin(data.draw(st.integers(1, 4)))
                case "wait":
                    gated.pass_by(minutes=5)
                case "day":
                    gated.pass_by(hours=25)
                case _:  # one is under way
                    pass
        assert not gated.chain.faults
        back = [move.at for move in gated.standing.moves if move.automatic]
        for number in range(len(back) - 2):
            assert (back[number + 2] - back[number]).total_seconds() >= 24 * 3600
