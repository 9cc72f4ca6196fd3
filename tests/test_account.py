"""What a model's history comes to: status and explanation, from facts that are handed in."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from aigate.account import Answer, head_of, span, status, watched_at
from aigate.cli.why import _asked
from aigate.errors import UsageError
from aigate.history import status_of, why
from aigate.history.explain import explain
from aigate.ledger import BreakGlass, Outcome
from aigate.values import gap
from aigate.wording import command
from story import KAI, NOBODY, START, Story, book_of, registry_of, told

# ---- the time that is asked about


@pytest.mark.parametrize(
    ("text", "start", "last"),
    [
        ("2027-03-03", "2027-03-03T00:00:00Z", "2027-03-03T23:59:59.999999Z"),
        ("2027-03-03T14:02:55Z", "2027-03-03T14:02:55Z", "2027-03-03T14:02:55Z"),
        ("2027-03-03T14:02:55+09:00", "2027-03-03T05:02:55Z", "2027-03-03T05:02:55Z"),
    ],
)
def test_a_day_is_the_whole_day_in_utc(text: str, start: str, last: str) -> None:
    found = span(text)
    assert (found.start, found.last) == (datetime.fromisoformat(start), datetime.fromisoformat(last))


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2027-3-3", "2027-02-30", "2027-03-03T14:02:55", "20270303"]
)
def test_a_time_that_nobody_can_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write a day"):
        span(text)


@pytest.mark.parametrize(
    ("version", "on", "answer"),
    [
        pytest.param("1", None, "returned", id="the last time it served"),
        pytest.param("1", "2026-11-03", "promoted", id="the first time"),
        pytest.param("1", "2026-11-08", "promoted", id="the day on which it was left"),
        pytest.param("2", "2026-11-08", "promoted", id="the day on which it came"),
        pytest.param("2", "2026-11-08T12:03:59Z", "not_then", id="a second before it came"),
        pytest.param("2", "2026-11-08T12:04:00Z", "promoted", id="the second in which it came"),
        pytest.param("2", "2026-11-10T12:06:00Z", "not_then", id="the second in which it was left"),
        pytest.param("2", "2026-11-30", "not_then", id="long after"),
        pytest.param("3", "2026-11-30", "promoted", id="it still serves"),
        pytest.param("4", None, "never", id="never asked for"),
    ],
)
def test_what_served_when(version: str, on: str | None, answer: Answer) -> None:
    story = told()
    when = None if on is None else span(on)
    got = explain("churn", "champion", version, when, story.now, book_of(story.lines))
    assert got.answer == answer
    assert got.exit_code == (0 if answer in ("promoted", "returned") else 1)


def test_who_served_instead_is_named() -> None:
    story = told()
    got = explain("churn", "champion", "2", span("2026-11-03"), story.now, book_of(story.lines))
    assert [t.identity.version for t in got.instead if t.identity] == ["1"]
    assert len(got.tenures) == 1


def test_a_rollback_rests_on_how_the_version_was_allowed_once() -> None:
    story = told()
    got = explain("churn", "champion", "1", None, story.now, book_of(story.lines))
    assert got.tenure is not None
    assert got.tenure.seq == 5
    assert got.entry is not None
    assert got.entry.seq == 1


def test_adopted_and_break_glass_are_no_allow() -> None:
    story = Story()
    story.adopt("1")
    leave = story.write(
        BreakGlass(
            alias="champion",
            to=story.identity("2"),
            reason="outage",
            role="approver",
            expires=story.now + timedelta(hours=1),
        ),
        KAI,
    )
    story.promote("2", glass=leave.seq)
    answers = {n: explain("churn", "champion", n, None, story.now, book_of(story.lines)) for n in "12"}
    assert [answers[n].answer for n in "12"] == ["adopted", "glass"]
    assert [answers[n].exit_code for n in "12"] == [1, 1]


# ---- past the gate


def _by_hand(story: Story, number: str = "4") -> None:
    story.fake.aliases["churn", "champion"] = number


def _rolled_back_from(story: Story) -> None:
    _by_hand(story)
    story.rollback("3")


def _looked_at_and_left(story: Story) -> None:
    _by_hand(story)
    story.rollback("3", outcome="not_applied")
    story.rollback("3", outcome="abandoned")


def _found_in_a_conflict(story: Story) -> None:
    story.promote("2", outcome=None)
    _by_hand(story)
    story.write(Outcome(of=9, result="conflict", found="4"))


@pytest.mark.parametrize(
    ("change", "seq", "until", "words"),
    [
        pytest.param(
            _rolled_back_from, 9, True, "rollback of @champion from v4 to v3", id="rolled back from"
        ),
        pytest.param(
            _looked_at_and_left, 11, False, "from v4 to v3 (abandoned)", id="a rollback that failed"
        ),
        pytest.param(_found_in_a_conflict, 10, False, "found to hold the alias", id="a conflict"),
    ],
)
def test_a_version_that_served_past_the_gate_is_not_called_one_that_never_served(
    change: Callable[[Story], None], seq: int, until: bool, words: str
) -> None:
    story = told()
    change(story)
    got = explain("churn", "champion", "4", None, story.now, book_of(story.lines))
    assert (got.answer, got.exit_code, got.tenure) == ("ungated", 1, None)
    (passage,) = got.passages
    assert (passage.seq, passage.until is not None) == (seq, until)
    assert passage.after == datetime(2026, 11, 11, 12, 8, tzinfo=UTC)
    assert any(words in mention.words for mention in got.mentions)
    others = [explain("churn", "champion", n, None, story.now, book_of(story.lines)) for n in "123"]
    assert [other.passages for other in others] == [()] * 3


@pytest.mark.parametrize(
    ("on", "answer"),
    [
        pytest.param("2026-11-11", "ungated", id="the day after which it may have come"),
        pytest.param("2026-11-10", "never", id="before the ledger put another one there"),
        pytest.param("2026-11-12", "ungated", id="the day on which it was found"),
        pytest.param("2026-11-30", "never", id="after it was rolled back from"),
    ],
)
def test_when_it_may_have_served_past_the_gate(on: str, answer: Answer) -> None:
    story = told()
    _rolled_back_from(story)
    got = explain("churn", "champion", "4", span(on), story.now, book_of(story.lines))
    assert got.answer == answer


def test_a_version_that_was_allowed_once_and_served_last_past_the_gate_is_no_allow() -> None:
    story = told()
    _by_hand(story, "2")
    story.rollback("3")
    got = explain("churn", "champion", "2", None, story.now, book_of(story.lines))
    assert (got.answer, got.exit_code) == ("ungated", 1)
    then = explain("churn", "champion", "2", span("2026-11-09"), story.now, book_of(story.lines))
    assert (then.answer, then.exit_code) == ("promoted", 0)


def test_a_version_that_holds_the_alias_now_past_the_gate() -> None:
    story = told()
    _by_hand(story)
    got = why(story.sight(), "champion", "4", None)
    assert (got.answer, got.exit_code) == ("ungated", 1)
    assert got.passages[-1].seq is None


def test_an_open_intent_explains_what_holds_the_alias_now() -> None:
    story = told()
    story.promote("4", outcome=None)
    _by_hand(story)
    got = why(story.sight(), "champion", "4", None)
    assert (got.answer, got.passages) == ("never", ())
    assert [attempt.result for attempt in got.attempts] == ["open"]


def _glass_for_4(story: Story) -> None:
    until = story.now + timedelta(hours=1)
    body = BreakGlass(
        alias="champion", to=story.identity("4"), reason="outage", role="approver", expires=until
    )
    story.write(body, KAI)


def _another_alias(story: Story) -> None:
    story.promote("4", alias="shadow")


def _lost(story: Story) -> None:
    story.adopt("3", lost="the receipt on v4 has sha256:… for entry 40")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(_glass_for_4, "break-glass for @champion (approver): outage", id="break-glass"),
        pytest.param(_another_alias, "promote of @shadow from v3 to v4 (applied)", id="another alias"),
        pytest.param(_lost, "accepted as lost: the receipt on v4", id="a loss"),
    ],
)
def test_every_entry_that_names_a_version_is_named(change: Callable[[Story], None], words: str) -> None:
    story = told()
    change(story)
    got = explain("churn", "champion", "4", None, story.now, book_of(story.lines))
    assert got.answer == "never"
    assert [words in mention.words for mention in got.mentions] == [True]


# ---- returned to


def _adopted_first(story: Story) -> None:
    story.adopt("1")


def _glass_first(story: Story) -> None:
    leave = BreakGlass(
        alias="champion",
        to=story.identity("1"),
        reason="outage",
        role="approver",
        expires=story.now + timedelta(hours=1),
    )
    story.promote("1", glass=story.write(leave, KAI).seq)


def _decided_and_adopted(story: Story) -> None:
    story.promote("1")
    story.adopt("1")


@pytest.mark.parametrize(
    ("before", "origin", "code"),
    [
        pytest.param(_adopted_first, "adopted", 1, id="adopted"),
        pytest.param(_glass_first, "glass", 1, id="break-glass"),
        pytest.param(lambda story: None, "undecided", 1, id="never decided"),
        pytest.param(lambda story: story.promote("1"), "promoted", 0, id="decided"),
        pytest.param(_decided_and_adopted, "promoted", 0, id="decided, and adopted later"),
    ],
)
def test_a_rollback_is_no_allow_where_none_was_given_before(
    before: Callable[[Story], object], origin: str, code: int
) -> None:
    story = Story()
    before(story)
    story.promote("2")
    story.rollback("1")
    got = why(story.sight(), "champion", "1", None)
    assert (got.answer, got.origin, got.exit_code) == ("returned", origin, code), got.looks


@pytest.mark.parametrize(
    ("version", "fix"),
    [
        ("M", "write it as aigate why M@3"),
        ("M@", "write it as aigate why M@3"),
        ("my model@x", "write it as aigate why 'my model@3'"),
    ],
)
def test_a_question_without_a_version_is_answered_with_that_model(version: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        _asked(version)
    assert caught.value.fix == fix


def test_what_was_tried_and_moved_nothing_is_told() -> None:
    story = Story()
    story.promote("1")
    story.promote("2", outcome="changed")
    story.promote("2", outcome=None)
    got = explain("churn", "champion", "2", None, story.now, book_of(story.lines))
    assert got.answer == "never"
    assert [attempt.result for attempt in got.attempts] == ["changed", "open"]


def test_without_a_ledger_nobody_can_say() -> None:
    got = explain("churn", "champion", "2", None, START, NOBODY)
    assert gap(got.answer) is not None
    assert got.exit_code == 3


# ---- status


def test_status_of_a_story() -> None:
    story = told()
    story.halt()
    got = status("churn", "champion", story.now, book_of(story.lines), registry_of(story))
    assert (got.holder, got.drift, got.faults, got.exit_code) == ("3", "", (), 0)
    assert got.tenure is not None
    assert got.tenure.since == datetime(2026, 11, 11, 12, 8, tzinfo=UTC)
    assert [halt.halt.reason for halt in got.halts] == ["features 12h late"]
    assert [left.identity.version for left in got.quarantined] == ["2"]


def test_status_sees_an_alias_that_was_moved_by_hand() -> None:
    story = told()
    story.fake.aliases["churn", "champion"] = "4"
    got = status_of(story.sight(), "champion", "production")
    assert "@champion is on v4; aigate put it on v3" in got.drift
    assert "MLflow does not record who" in got.drift


def test_status_names_twins_and_accepted_losses() -> None:
    story = told()
    story.adopt("3", lost="the receipt on v2 has sha256:… for entry 40")
    story.fake.aliases["churn", "Champion"] = "4"
    story.fake.aliases["churn", "challenger"] = "4"
    got = status_of(story.sight(), "champion", "production")
    assert [(twin.alias, twin.version) for twin in got.twins] == [("Champion", "4")]
    assert [(loss.seq, loss.by, loss.lost[:17]) for loss in got.losses] == [
        (9, "user:kai", "the receipt on v2")
    ]


@pytest.mark.parametrize("down", ["registry", "ledger", "both"])
def test_status_says_what_is_not_known_and_still_tells_the_rest(down: str) -> None:
    story = told()
    book = NOBODY if down != "registry" else book_of(story.lines)
    registry = NOBODY if down != "ledger" else registry_of(story)
    got = status("churn", "champion", story.now, book, registry)
    assert got.exit_code == 3
    assert len(got.unknown) == (2 if down == "both" else 1)
    assert (gap(got.holder) is None) == (down == "ledger")
    assert (gap(got.tenure) is None) == (down == "registry")
    assert got.drift == ""


def test_status_does_not_believe_a_ledger_that_was_cut_off() -> None:
    story = told()
    got = status("churn", "champion", story.now, book_of(story.lines[:6]), registry_of(story))
    assert got.exit_code == 3
    assert "its end has been cut off" in got.faults[0]


@pytest.mark.parametrize("tag", ["", "null", "[]", "{}", '{"at": 3}', '{"at": "yesterday"}', "[" * 100_000])
def test_a_heartbeat_that_anybody_may_have_written(tag: str) -> None:
    assert gap(watched_at(tag)) is not None


def test_a_heartbeat() -> None:
    assert watched_at('{"at": "2026-11-21T12:00:00Z", "more": 1}') == datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert watched_at(None) is None


@pytest.mark.parametrize(
    "tag", ["", "null", "[]", "1", '{"seq": 1}', '{"seq": "1", "digest": "x"}', "[" * 100_000]
)
def test_a_tag_that_is_no_anchor(tag: str) -> None:
    assert head_of(tag) is None


def test_commands_are_quoted() -> None:
    assert (
        command("adopt", "my model; rm -rf", "--reason", "…")
        == "aigate adopt 'my model; rm -rf' --reason '…'"
    )
