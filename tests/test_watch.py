"""One look: what it does and what it leaves alone, and a thousand of them at a metric that trembles."""

import importlib
import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest

import aigate.watch
from aigate.cli import COMMANDS
from aigate.collect.manifest_file import LoadedManifest, load_manifest
from aigate.decision import Actor
from aigate.enforce.store import LedgerError, UncertainError
from aigate.errors import AigateError
from aigate.gate import Answer, Request, World
from aigate.ledger import Intent
from aigate.manifest import RollbackRules
from aigate.reading import Read, Reading, read
from aigate.testing import NOW
from aigate.watch import Manner, Ticked, tick
from aigate.watch.memory import Memory
from aigate.watch.tell import commands
from aigate.window import Heartbeat, called, read_heartbeat, take, write_heartbeat
from watching import RULES, Clock, FakeHands, answer, evidence, identity, incumbent, unreachable

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MANIFEST = """\
version: 1
system: churn
owner: {{team: retention-platform, contact: "#churn-oncall"}}
model: {{name: churn}}
environments: {{production: {{rollback: {{mode: {mode}}}, watch: {{bad: 2, of: 3}}}}}}
"""
LATE = "late"


class Story:
    """A champion, its watcher, and what happens to both."""

    def __init__(self, loaded: LoadedManifest, mode: str) -> None:
        self.loaded = loaded
        self.clock = Clock(NOW)
        self.hands = FakeHands(self.clock, RollbackRules.model_validate({"mode": mode}))
        self.answer: Answer | None = None
        self.steps: list[str] = []
        self.last: Memory | None = None
        self.receipt: str | None = None
        self.anchor: str | None = None

    def look(
        self,
        accuracy: str = "0.94",
        *,
        after: timedelta = HOUR,
        measured: datetime | None = None,
        dry: bool = False,
    ) -> Ticked:
        """Let time pass, then look; `accuracy` may be `late`, `gone`, or a number measured a minute ago."""
        self.clock.now += after
        now, held = self.clock.now, self.hands.version or "1"
        if accuracy == "gone":
            self.answer = unreachable(now)
        else:
            seen = evidence(
                now,
                accuracy="0.94" if accuracy == LATE else accuracy,
                measured=measured,
                version=held,
                tag=self.hands.tag,
                receipt=self.receipt,
                anchor=self.anchor,
            )
            self.answer = answer(seen, late=accuracy == LATE)
        world = World(now, {}, Path("/nonexistent"), Actor(name="user:watch"), 10)
        return tick(
            self.loaded,
            Request(),
            world,
            self.hands,
            manner=Manner(every=HOUR, dry=dry),
            last=self.last,
            step=self.steps.append,
        )

    def beat(self) -> Heartbeat:
        """The heartbeat as it stands in the tag."""
        assert self.hands.tag is not None
        found = read_heartbeat(self.hands.tag, self.clock.now)
        assert isinstance(found, Heartbeat)
        return found


Begin = Callable[..., Story]


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Version 1 was adopted, version 2 was promoted two days later and has served for two hours."""
    made: list[Story] = []

    def make(mode: str = "auto") -> Story:
        (tmp_path / "aigate.yaml").write_text(MANIFEST.format(mode=mode))
        loaded = load_manifest(tmp_path / "aigate.yaml")
        story = Story(replace(loaded, shown="aigate.yaml"), mode)
        story.hands.adopt("1")
        story.clock.now += 48 * HOUR
        story.hands.promote("2")
        story.clock.now += 2 * HOUR
        made.append(story)
        return story

    def judged(*_: object) -> Answer:
        found = made[-1].answer
        assert found is not None
        return found

    monkeypatch.setattr(aigate.watch, "evaluate", judged)
    return make


def test_a_look_that_only_tells_does_nothing_at_all(begin: Begin) -> None:
    """What would be done is said, with the same exit code; the history and the heartbeat stay as they are."""
    story = begin()
    story.look("0.71")
    before = (story.hands.tag, story.hands.version, len(story.hands.done))
    told = story.look("0.71", measured=story.clock.now, dry=True).tick
    assert (told.call, told.done, told.exit_code) == ("rollback", "planned", 1)
    assert any("rollback" in words for words in told.next)
    assert (story.hands.tag, story.hands.version, len(story.hands.done)) == before
    acted = story.look("0.71", measured=story.clock.now, after=MINUTE).tick
    assert (acted.call, acted.done) == ("rollback", "done")


def test_a_champion_that_does_well_stays(begin: Begin) -> None:
    story = begin()
    told = story.look().tick
    assert (told.verdict, told.call, told.done, told.exit_code) == ("keep", "keep", "nothing", 0)
    assert (told.champion, told.alias, told.environment, told.warnings) == ("2", "champion", "production", ())
    assert (told.owner, told.runbook, told.next, told.failures) == (None, "", (), ())
    assert story.hands.done == []
    assert story.steps == ["judged", "heartbeat"]
    beat = story.beat()
    assert (beat.at, beat.verdict, beat.call, beat.every, beat.drift) == (
        story.clock.now,
        "keep",
        "keep",
        HOUR,
        False,
    )
    assert beat.window is not None
    assert (beat.window.champion.version, beat.window.letters) == ("2", "k")


def settle(story: Story) -> None:
    """Let a watcher that goes on look once, at a version that has its receipt."""
    story.receipt, story.anchor = receipt(story), "head 1"
    story.last = story.look().memory


def receipt(story: Story, more: int = 0) -> str:
    tenure = story.hands.ledger.standing.tenure("champion")
    assert tenure is not None
    return json.dumps({"decision": None, "digest": "sha256:" + "0" * 64, "seq": tenure.seq + more})


def asks(story: Story, accuracy: str = "0.94", after: timedelta = MINUTE) -> bool:
    """Whether a look reads the ledger."""
    before = story.hands.asked
    story.last = story.look(accuracy, after=after).memory or story.last
    return story.hands.asked > before


def test_a_settled_watcher_asks_the_ledger_once_an_hour(begin: Begin) -> None:
    story = begin()
    settle(story)
    looks = [asks(story, accuracy) for accuracy in ("0.94", "0.5", LATE, "gone", "0.94")]
    assert looks == [False] * 5
    assert [asks(story, after=11 * MINUTE) for _ in range(6)] == [False] * 4 + [True, False]


def test_a_settled_watcher_asks_where_the_registry_says_something_new(begin: Begin) -> None:
    story = begin()
    settle(story)
    story.anchor = "head 2"
    assert [asks(story), asks(story)] == [True, False]
    story.anchor = None
    assert [asks(story), asks(story)] == [True, False]
    whole = story.receipt
    for text in (None, "broken", receipt(story, 1)):
        story.receipt = text
        assert [asks(story), asks(story)] == [True, True], text
    story.receipt = whole
    assert [asks(story), asks(story)] == [False, False]
    story.hands.version = "7"
    assert [asks(story), asks(story)] == [True, True]


def test_a_single_look_always_asks_the_ledger(begin: Begin) -> None:
    story = begin()
    settle(story)
    for _ in range(3):
        story.last = None
        assert asks(story)


def forged(story: Story, champion: str, entries: Sequence[tuple[str, timedelta]], **changes: Any) -> str:
    """A heartbeat that is well-formed in all but its truth; each entry is one letter, dated before the next look."""
    window = None
    for number, (letter, ago) in enumerate(sorted(entries, key=lambda entry: -entry[1])):
        verdict: Read = "halt" if letter == "h" else "rollback" if letter == "r" else "keep"
        marks = () if letter == "h" else (f"{number:08x}",)
        at = story.clock.now + MINUTE - ago
        one = Reading(at=at, verdict=verdict, champion=incumbent(champion), evidence=marks)
        window = take(window, one, 3)
    fields = {
        "at": story.clock.now,
        "environment": "production",
        "alias": "champion",
        "verdict": "keep",
        "call": "keep",
        "every": None,
        "drift": False,
        "window": window,
    }
    return write_heartbeat(Heartbeat.model_validate({**fields, **changes}))


def test_a_forged_heartbeat_does_not_hide_a_drift(begin: Begin) -> None:
    story = begin()
    story.look()
    story.hands.version = "7"
    story.hands.tag = forged(story, "7", [("k", 2 * MINUTE)])
    told = story.look(after=MINUTE).tick
    assert (told.call, told.champion) == ("keep", "7")
    assert "the ledger last put it on v2" in told.drift


@pytest.mark.parametrize("letter", ["r", "h"])
@pytest.mark.parametrize(
    "ago",
    [
        pytest.param(3 * HOUR, id="before-the-champion-was"),
        pytest.param(9 * 24 * HOUR, id="too-old"),
        pytest.param(timedelta(0), id="at-the-same-moment"),
        pytest.param(-MINUTE, id="in-the-future"),
    ],
)
def test_a_forged_reading_that_cannot_be_does_not_make_one_bad_look_enough(
    begin: Begin, letter: str, ago: timedelta
) -> None:
    """Version 2 took the alias two hours ago."""
    story = begin()
    at = story.clock.now + MINUTE
    story.hands.tag = forged(story, "2", [(letter, ago)], at=at - min(ago, timedelta(0)))
    told = story.look("0.5" if letter == "r" else LATE, after=MINUTE).tick
    assert (told.call, told.done, told.bad, story.hands.done) == ("wait", "nothing", 1, [])
    if ago == 3 * HOUR:
        assert "1 dated before @champion was moved" in told.why[-1]
    assert len(story.beat().window.letters) == 1  # type: ignore[union-attr]  # one there is


def test_readings_that_the_ledger_bears_out_count(begin: Begin) -> None:
    story = begin()
    story.hands.tag = forged(story, "2", [("r", HOUR)])
    assert story.look("0.5", after=MINUTE).tick.call == "rollback", "what remains to be forged: see `window`"


def test_a_watcher_that_goes_on_believes_itself_and_not_the_tag(begin: Begin) -> None:
    story = begin()
    settle(story)
    story.hands.tag = forged(story, "2", [("r", 10 * MINUTE), ("r", 5 * MINUTE)])
    told = story.look("0.5", after=MINUTE)
    assert (told.tick.call, told.tick.bad) == ("wait", 1)
    assert "is not what this watcher wrote" in told.tick.warnings[0]
    story.last = told.memory
    assert story.look("0.5", after=MINUTE).tick.warnings == ()


def test_a_move_while_it_looked_waits(begin: Begin) -> None:
    """The ledger says that the alias was moved after the moment that was judged."""
    story = begin()
    story.look("0.5")
    story.hands.adopt("2")
    told = story.look("0.5", after=-MINUTE).tick
    assert (told.call, told.done) == ("wait", "nothing")


def test_one_bad_reading_waits_and_two_roll_back(begin: Begin) -> None:
    story = begin()
    first = story.look("0.5").tick
    assert (first.call, first.done, first.exit_code, first.bad, first.needed) == ("wait", "nothing", 1, 1, 2)
    assert "1 of 2" in first.why[0]
    assert first.owner is not None
    assert [f.policy for f in first.failures] == ["evaluation.floor"]
    second = story.look("0.5").tick
    assert (second.call, second.done, second.exit_code) == ("rollback", "done", 1)
    assert (story.hands.version, story.hands.done) == ("1", ["rollback 1"])
    assert second.next == ()
    intent = next(e.body for e in reversed(story.hands.ledger.chain.entries) if isinstance(e.body, Intent))
    assert (intent.automatic, intent.to) == (True, identity("1"))
    assert intent.reason.startswith("watch: evaluation.floor: accuracy is 0.5")
    assert "2 of 2 bad readings" in intent.reason
    assert story.beat().call == "rollback"
    third = story.look().tick
    assert (third.champion, third.call, third.exit_code) == ("1", "keep", 0)
    window = story.beat().window
    assert window is not None
    assert window.letters == "k", "a new champion starts a new window"


def test_the_version_that_came_back_is_not_rolled_back_again(begin: Begin) -> None:
    story = begin()
    for _ in range(2):
        story.look("0.5")
    calls = [story.look("0.5").tick for _ in range(10)]
    assert [t.call for t in calls] == ["wait"] + ["halt"] * 9
    assert story.hands.done == ["rollback 1", "halt"]
    assert "came by a rollback" in " ".join(calls[1].why)
    assert "halted already" in calls[2].why[-1]
    assert all(t.exit_code == 1 for t in calls)


def test_late_data_halts_and_names_owner_and_command(begin: Begin) -> None:
    story = begin()
    assert story.look(LATE).tick.call == "wait"
    told = story.look(LATE).tick
    assert (told.call, told.done, told.exit_code) == ("halt", "done", 1)
    assert story.hands.done == ["halt"]
    assert story.hands.version == "2"
    assert told.owner is not None
    assert [f.owner for f in told.failures] == ["data-eng"]
    assert told.runbook == "runbooks/late-data.md"
    for _ in range(5):
        assert (story.look(LATE).tick.done, story.hands.done) == ("nothing", ["halt"])
    story.hands.resume()
    assert story.look(LATE).tick.done == "done"


def test_a_halt_does_not_keep_a_bad_model_in_service(begin: Begin) -> None:
    story = begin()
    for what in (LATE, LATE, "0.5", "0.5"):
        story.look(what)
    assert story.hands.done == ["halt", "rollback 1"]


def test_silence_does_nothing_and_says_so(begin: Begin) -> None:
    story = begin()
    story.look("0.5")
    before = story.hands.tag
    for _ in range(5):
        told = story.look("gone")
        assert (told.tick.call, told.tick.exit_code, told.tick.done) == ("hold", 3, "nothing")
        assert "left as it is" in told.tick.warnings[0]
        assert any("MLflow did not answer" in words for words in told.tick.unclear)
        assert told.beat is None
    assert story.hands.tag == before, "what could not be read is not overwritten"
    story.look("0.5")
    assert story.hands.done == ["rollback 1"]


def test_a_process_that_remembers_writes_on_through_silence(begin: Begin) -> None:
    story = begin()
    story.last = story.look("0.5").memory
    assert story.last is not None
    told = story.look("gone")
    assert told.beat is not None
    assert (told.beat.call, told.beat.at, told.beat.window) == (
        "hold",
        story.clock.now,
        story.last.beat.window,
    )
    assert story.beat() == told.beat


@pytest.mark.parametrize(
    ("mode", "done"),
    [pytest.param("propose", "proposed", id="propose"), pytest.param("off", "told", id="off")],
)
@pytest.mark.parametrize(("what", "call"), [("0.5", "rollback"), (LATE, "halt")])
def test_without_leave_to_act_the_command_is_shown(
    begin: Begin, mode: str, done: str, what: str, call: str
) -> None:
    story = begin(mode)
    story.look(what)
    told = story.look(what).tick
    assert (told.call, told.done, told.exit_code, told.acts) == (call, done, 1, ())
    assert told.next[0].startswith(f"aigate {call} churn --reason 'watch: ")
    assert (story.hands.done, story.hands.version) == ([], "2")


def test_a_person_is_shown_the_way_in_the_cool_down(begin: Begin) -> None:
    story = begin()
    story.hands.promote("3")
    for _ in range(3):
        told = story.look("0.5", after=10 * MINUTE).tick
    assert (told.call, told.exit_code, story.hands.done) == ("wait", 1, [])
    assert "cool-down" in told.why[-1]
    assert told.next == ("aigate rollback churn --reason …",) or told.next[0].startswith(
        "aigate rollback churn"
    )
    assert story.look("0.5").tick.call == "rollback"


@pytest.mark.parametrize("what", ["0.5", LATE])
def test_a_champion_that_moved_meanwhile_aborts_the_act(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    story = begin()
    story.look(what)
    monkeypatch.setattr(story.hands, "live", lambda: None)
    told = story.look(what).tick
    assert (told.call, told.done, told.exit_code) == ("hold", "aborted", 3)
    assert "nothing is done" in told.why[-1]
    assert story.hands.done == []


def test_an_alias_that_was_moved_by_hand_is_told_of_until_it_is_adopted(begin: Begin) -> None:
    story = begin()
    story.look()
    story.hands.version = "7"
    for _ in range(2):
        told = story.look().tick
        assert (told.call, told.exit_code, told.champion) == ("keep", 0, "7")
        assert "the ledger last put it on v2" in told.drift
        assert [line.split(" --")[0] for line in told.next] == ["aigate rollback churn", "aigate adopt churn"]
        assert story.beat().drift
    story.hands.adopt("7")
    assert story.look().tick.drift == ""
    assert not story.beat().drift


def test_a_move_while_the_ledger_was_read_ahead_is_no_drift(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = begin()
    before = story.hands.ledger.standing
    story.hands.promote("3")
    monkeypatch.setattr(story.hands, "prepare", lambda: setattr(story.hands, "early", before))
    told = story.look().tick
    assert (told.champion, told.drift) == ("3", "")


def test_a_drifted_champion_is_halted_and_not_moved(begin: Begin) -> None:
    story = begin()
    story.hands.version = "7"
    for _ in range(2):
        told = story.look("0.5").tick
    assert (told.call, story.hands.done, story.hands.version) == ("halt", ["halt"], "7")


def test_a_ledger_that_does_not_answer_holds_the_act(begin: Begin) -> None:
    story = begin()
    story.look("0.5")
    story.hands.fails["standing"] = LedgerError("the store does not answer")
    told = story.look("0.5").tick
    assert (told.call, told.done, told.exit_code) == ("hold", "failed", 3)
    assert "does not answer" in told.why[-1]
    del story.hands.fails["standing"]
    assert story.look("0.5").tick.done == "done", "the readings were not lost"


def test_a_ledger_that_does_not_answer_is_a_warning_where_nothing_is_to_be_done(begin: Begin) -> None:
    story = begin()
    story.hands.fails["standing"] = LedgerError("the store does not answer")
    told = story.look().tick
    assert (told.exit_code, "does not answer" in told.warnings[0]) == (0, True)
    assert story.beat().drift, "to be asked again"


@pytest.mark.parametrize(
    ("error", "done", "code"),
    [
        pytest.param(LedgerError("full", fix="make room"), "failed", 3, id="not-written"),
        pytest.param(UncertainError("no answer"), "unconfirmed", 4, id="nobody-knows"),
        pytest.param(AigateError("odd"), "failed", 70, id="odd"),
    ],
)
def test_an_act_that_fails_is_told_and_the_watcher_lives(
    begin: Begin, error: AigateError, done: str, code: int
) -> None:
    story = begin()
    story.look("0.5")
    story.hands.fails["rollback"] = error
    told = story.look("0.5").tick
    assert (told.call, told.done, told.exit_code) == ("rollback", done, code)
    assert error.message in told.warnings[-1]
    assert told.next[0].startswith("aigate rollback churn")
    assert story.beat().at == story.clock.now
    del story.hands.fails["rollback"]
    assert story.look("0.5").tick.done == "done"


def test_where_there_is_nowhere_to_go_it_is_halted_once(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry may have lost what the ledger thinks good; the act finds that out, and halts."""
    story = begin()
    monkeypatch.setattr(story.hands, "_known_good", lambda: ())
    story.look("0.5", measured=NOW)
    told = [story.look("0.5", measured=NOW + MINUTE).tick for _ in range(4)]
    assert [(t.call, t.done) for t in told] == [("halt", "done")] + [("halt", "nothing")] * 3
    assert told[0].acts[0].act == "halt"
    assert "nothing was measured since" in told[1].why[-1]
    assert story.hands.done == ["halt"]
    story.hands.resume()
    assert story.look("0.5", measured=NOW + MINUTE).tick.done == "done", "resumed, and as bad as before"


def test_a_number_read_again_and_again_is_one_reading(begin: Begin) -> None:
    story = begin()
    told = [story.look("0.5", measured=NOW).tick for _ in range(9)]
    assert {(t.call, t.bad) for t in told} == {("wait", 1)}
    assert story.look("0.5", measured=NOW + MINUTE).tick.call == "rollback"


@pytest.mark.parametrize(("what", "code"), [("0.94", 4), ("0.5", 1), (LATE, 1)])
def test_a_heartbeat_that_cannot_be_written_is_not_silent(begin: Begin, what: str, code: int) -> None:
    story = begin()
    story.hands.fails["beat"] = AigateError("MLflow: 503")
    told = story.look(what).tick
    assert told.exit_code == code
    assert told.warnings[-1] == "the heartbeat could not be written: MLflow: 503"


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        pytest.param("alive", "not believed", id="broken"),
        pytest.param("x" * 5000, "not believed", id="too-long"),
        pytest.param("of-the-future", "in the future", id="future"),
        pytest.param("of-staging", "of a watcher of @champion in staging", id="foreign"),
    ],
)
def test_a_tag_that_is_not_believed_starts_an_empty_window(begin: Begin, tag: str, words: str) -> None:
    story = begin()
    story.look("0.5")
    whole = story.beat()
    story.hands.tag = {
        "of-the-future": write_heartbeat(whole.model_copy(update={"at": NOW + 999 * HOUR})),
        "of-staging": write_heartbeat(whole.model_copy(update={"environment": "staging"})),
    }.get(tag, tag)
    told = story.look("0.5").tick
    assert words in told.warnings[0]
    assert (told.call, told.bad) == ("wait", 1)
    assert story.look("0.5").tick.call == "rollback"


@pytest.mark.slow
@pytest.mark.parametrize("every", [timedelta(minutes=5), HOUR], ids=["5m", "1h"])
def test_a_metric_that_trembles_round_its_limit_moves_the_alias_seldom(
    begin: Begin, every: timedelta
) -> None:
    """1,000 looks at every version's metric trembling round 0.92; people resume and promote anew as fast as they can."""
    story = begin()
    hands, newest = story.hands, 2
    where: list[str] = []
    for number in range(1000):
        tremble = "0.91" if (number * 7919) % 13 < 7 else "0.93"
        told = story.look(tremble, after=every).tick
        assert told.exit_code in (0, 1)
        where.append(hands.version or "")
        if number % 17 == 16 and hands.standing().tenure("champion").by == "rollback":  # type: ignore[union-attr]  # one there is
            newest += 1
            hands.resume()
            hands.promote(str(newest))
    moves = [m for m in hands.standing().moves if m.automatic]
    assert moves, "the story has rollbacks in it"
    assert "halt" in hands.done, "and the bounds were met"
    for move in moves:
        day = [m for m in moves if move.at <= m.at < move.at + timedelta(hours=24)]
        assert len(day) <= hands.rules.max_per_day
    for first, then in pairwise(moves):
        assert then.at - first.at >= hands.rules.cooldown
    left = [m.from_.version for m in moves if m.from_ is not None]
    assert len(left) == len(set(left)), "nobody was rolled back from twice"
    seats = [v for n, v in enumerate(where) if n == 0 or v != where[n - 1]]
    assert not any(
        seats[n] == seats[n + 2] and seats[n + 1] == seats[n + 3] for n in range(len(seats) - 3)
    ), "no A, B, A, B"
    assert len(hands.tag or "") < 4500


@pytest.mark.parametrize(("environment", "alias"), [("production", "champion"), ("staging", "staged")])
@pytest.mark.parametrize("kind", ["rollback", "halt"])
def test_every_command_that_is_shown_can_be_run(
    begin: Begin, environment: str, alias: str, kind: Literal["rollback", "halt"]
) -> None:
    story = begin()
    story.look("0.5")
    assert story.answer is not None
    where = {"environment": environment, "alias": alias}
    decision = story.answer.decision.model_copy(update=where)
    reading = read(decision, story.answer.snapshot, RULES)
    call = called(take(None, reading, 3), reading, RULES).model_copy(update={"call": kind, "acts": True})
    lines = commands(replace(story.loaded, shown="o.yaml"), decision, reading, call, "proposed", drift=True)
    assert [line.split()[1] for line in lines] == list(dict.fromkeys([kind, "rollback", "adopt"]))
    for line in lines:
        name, *words = shlex.split(line)[1:]
        place, _, attribute = COMMANDS[name][0].partition(":")
        command = getattr(importlib.import_module(place), attribute or "command")
        given = command.make_context(name, words).params
        said = (
            {"environment": given["environment"]}
            if name == "rollback"
            else {"alias": given["alias"] or "champion"}
        )
        assert said.items() <= where.items()
        assert str(given["manifest"]) == "o.yaml"
