"""What a model's history comes to: status and explanation, from facts that are handed in."""

from datetime import UTC, datetime, timedelta

import pytest

from aigate.account import Answer, command, explain, head_of, span, status, watched_at
from aigate.ledger import BreakGlass
from aigate.values import gap
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
    got = status("churn", "champion", story.now, book_of(story.lines), registry_of(story))
    assert "@champion is on v4, and the ledger put it on v3" in got.drift
    assert "MLflow does not keep that" in got.drift


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
