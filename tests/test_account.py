"""What a model's history comes to: status, explanation and audit, from facts that are handed in."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.account import (
    Answer,
    Audit,
    Book,
    Held,
    Registry,
    Remark,
    Seen,
    audit,
    command,
    explain,
    head_of,
    span,
    status,
    watched_at,
)
from aigate.enforce.receipts import ANCHOR, RECEIPT
from aigate.ledger import BreakGlass, Chain, Head, Outcome, Resume, Review, read_chain
from aigate.values import gap, missing
from story import KAI, START, Story, forge, told

NOBODY = missing("MLflow answered 503", "https://mlflow.example")


def book_of(lines: list[bytes]) -> Book:
    return Book(line="ledger in memory", chain=read_chain("churn", lines), stored=len(lines))


def found(given: Audit, code: str) -> list[Remark]:
    return [remark for remark in given.remarks if remark.code == code]


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


def registry_of(story: Story, *numbers: str) -> Registry:
    versions = story.fake.versions
    tags = {tag["key"]: tag["value"] for tag in story.fake.models["churn"]["tags"]}
    return Registry(
        shown="https://mlflow.example",
        aliases=tuple(Held(alias=a, version=v) for (_, a), v in story.fake.aliases.items()),
        anchor=tags.get(ANCHOR),
        watch=tags.get("aigate.watch"),
        versions=tuple(
            Seen(
                number=number,
                identity=story.identity(number),
                receipt={t["key"]: t["value"] for t in version["tags"]}.get(RECEIPT),
                files=True,
            )
            for (_, number), version in versions.items()
        ),
    )


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


# ---- audit: the chain

_TOLD = told()
"""For tests that change only the lines they hand in."""


def examine(story: Story, lines: list[bytes], **how: Any) -> Audit:
    return audit("churn", "champion", story.now, book_of(lines), registry_of(story), **how)


def test_a_story_that_nobody_touched_is_clean() -> None:
    story = told()
    got = examine(story, story.lines)
    assert got.exit_code == 0
    assert not got.count("broken")
    assert not got.count("warning")
    assert [anchor.holds for anchor in got.anchors] == [True] * 4


@pytest.mark.parametrize("at", range(8))
def test_every_entry_that_is_dropped_is_found(at: int) -> None:
    story = _TOLD
    lines = story.lines[:at] + story.lines[at + 1 :]
    assert examine(story, lines).exit_code == 1


@pytest.mark.parametrize("kept", range(8))
def test_every_truncation_is_found(kept: int) -> None:
    story = _TOLD
    got = examine(story, story.lines[:kept])
    assert got.exit_code == 1
    assert any("cut off" in remark.what for remark in found(got, "anchor"))


@pytest.mark.parametrize(("one", "other"), [(i, j) for i in range(8) for j in range(i + 1, 8)])
def test_every_swap_is_found(one: int, other: int) -> None:
    story = _TOLD
    lines = list(story.lines)
    lines[one], lines[other] = lines[other], lines[one]
    assert found(examine(story, lines), "chain")


@pytest.mark.parametrize("at", range(8))
def test_every_duplicate_is_found(at: int) -> None:
    story = _TOLD
    lines = story.lines[: at + 1] + story.lines[at:]
    assert examine(story, lines).exit_code == 1


@pytest.mark.parametrize("at", range(1, 9))
def test_a_chain_written_anew_from_any_entry_on_is_found(at: int) -> None:
    story = _TOLD
    lines = forge(story.lines, at, lambda entry: entry.model_copy(update={"nonce": "f" * 16}))
    assert not book_of(lines).chain.faults, "every link holds: only anchors can tell"
    got = examine(story, lines)
    assert got.exit_code == 1
    assert any("written anew" in remark.what for remark in found(got, "anchor"))


def test_a_chain_written_anew_with_its_anchors_is_found_by_one_from_a_log() -> None:
    story = told()
    handed = Head(seq=2, digest=story.ledger.chain.digests[1])
    lines = forge(story.lines, 1, lambda entry: entry.model_copy(update={"nonce": "f" * 16}))
    for number in "123":
        story.tag(number, RECEIPT, None)
    story.model_tag(ANCHOR, None)
    assert not examine(story, lines).count("broken")
    assert found(examine(story, lines, handed=(handed,)), "anchor")


@pytest.mark.slow
def test_every_byte_of_every_entry_is_covered() -> None:
    """Each byte of a chain of 30 entries changed, one at a time; the last entry is covered by its anchor alone."""
    story = Story()
    story.promote("1")
    for number in range(14):
        story.halt(f"late {number}")
        story.write(Resume(reason="in time", role="owner"))
    assert len(story.lines) == 30
    registry = registry_of(story)
    digest = story.ledger.chain.digests[-1]
    missed = 0
    for at, line in enumerate(story.lines):
        for place in range(len(line)):
            changed = line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]
            lines = [*story.lines[:at], changed, *story.lines[at + 1 : at + 2]]
            chain = read_chain("churn", lines)
            if at < 29:
                missed += not chain.faults
            else:
                missed += not chain.faults and chain.digests[-1] == digest
                if not chain.faults:
                    got = audit("churn", "champion", story.now, book_of(lines), registry)
                    missed += got.exit_code != 1
    assert missed == 0


@settings(max_examples=60)
@given(st.integers(0, 7), st.data())
def test_no_edit_of_one_entry_goes_unseen(at: int, data: st.DataObject) -> None:
    lines = list(_TOLD.lines)
    place = data.draw(st.integers(0, len(lines[at]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != lines[at][place]))
    lines[at] = lines[at][:place] + bytes([byte]) + lines[at][place + 1 :]
    assert examine(_TOLD, lines).exit_code == 1


def test_entries_after_a_fault_are_counted() -> None:
    story = told()
    lines = [story.lines[0], b"{}", *story.lines[2:]]
    (remark,) = [r for r in found(examine(story, lines), "chain") if r.gravity == "broken"]
    assert remark.where == "entry 2"
    assert "6 after it cannot be believed" in remark.what


# ---- audit: everything else


def _copy_receipt(story: Story) -> None:
    story.tag("4", RECEIPT, story.receipt_of("3"))


def _foreign_receipt(story: Story) -> None:
    story.tag("4", RECEIPT, json.dumps({"decision": None, "digest": "sha256:" + "0" * 64, "seq": 3}))


def _receipt_of_an_outcome(story: Story) -> None:
    digest = story.ledger.chain.digests[1]
    story.tag("4", RECEIPT, json.dumps({"decision": None, "digest": digest, "seq": 2}))


def _other_decision(story: Story) -> None:
    tag = json.loads(story.receipt_of("3"))
    story.tag("3", RECEIPT, json.dumps({**tag, "decision": "sha256:" + "0" * 64}))


def _lost_anchor(story: Story) -> None:
    story.model_tag(ANCHOR, None)


def _moved_by_hand(story: Story) -> None:
    story.fake.aliases["churn", "champion"] = "4"


def _taken_away(story: Story) -> None:
    del story.fake.aliases["churn", "champion"]


def _twin(name: str) -> Callable[[Story], None]:
    def change(story: Story) -> None:
        story.fake.aliases["churn", name] = "4"

    return change


def _made_anew(story: Story) -> None:
    story.fake.versions["churn", "3"]["creation_timestamp"] += 1000


def _overwritten(story: Story) -> None:
    story.fake.files["m-" + "3" * 32, "data/weights"] = b"others"


def _open(story: Story) -> None:
    story.promote("4", outcome=None)
    story.wait(hours=1)


def _second_outcome(story: Story) -> None:
    story.write(Outcome(of=7, result="conflict"))


def _no_intent(story: Story) -> None:
    story.write(Outcome(of=2, result="applied"))


def _conflict(story: Story) -> None:
    story.promote("4", outcome="conflict")


def _no_decision(story: Story) -> None:
    story.promote("4", decision=None, record=None)


def _ungated(story: Story) -> None:
    story.fake.aliases["churn", "champion"] = "2"
    story.promote("4")


def _back_in_time(story: Story) -> None:
    story.wait(hours=-40)
    story.halt()
    story.wait(hours=40)


def _glass(story: Story) -> None:
    who, until = story.identity("4"), story.now + timedelta(hours=1)
    body = BreakGlass(alias="champion", to=who, reason="outage", role="approver", expires=until)
    story.promote("4", glass=story.write(body, KAI).seq)


@pytest.mark.parametrize(
    ("change", "code", "gravity", "words"),
    [
        pytest.param(
            _copy_receipt, "receipt", "broken", "copied from another version", id="a copied receipt"
        ),
        pytest.param(_foreign_receipt, "anchor", "broken", "written anew", id="a receipt of another ledger"),
        pytest.param(
            _receipt_of_an_outcome, "receipt", "broken", "moved no alias", id="a receipt of no intent"
        ),
        pytest.param(
            _other_decision, "receipt", "broken", "another decision", id="a receipt of another decision"
        ),
        pytest.param(
            lambda s: s.tag("3", RECEIPT, "yes"), "receipt", "broken", "none that aigate", id="no receipt"
        ),
        pytest.param(
            lambda s: s.tag("3", RECEIPT, None), "receipt", "warning", "is gone", id="a lost receipt"
        ),
        pytest.param(_lost_anchor, "anchor", "warning", "is gone", id="a lost anchor"),
        pytest.param(lambda s: s.model_tag(ANCHOR, "1"), "anchor", "broken", "not an anchor", id="no anchor"),
        pytest.param(_moved_by_hand, "drift", "broken", "nobody recorded who", id="moved by hand"),
        pytest.param(_taken_away, "drift", "broken", "on no version", id="taken away"),
        pytest.param(_twin("Champion"), "twin", "broken", "looks like it", id="another case"),
        pytest.param(_twin("ｃｈａｍｐｉｏｎ"), "twin", "broken", "looks like it", id="full width"),
        pytest.param(_twin("champion\n"), "twin", "broken", "looks like it", id="a newline"),
        pytest.param(_made_anew, "version", "broken", "created_at differs", id="deleted and made anew"),
        pytest.param(_overwritten, "artifact", "broken", "not the ones that were recorded", id="files"),
        pytest.param(_open, "open", "warning", "no outcome was ever recorded", id="an open intent"),
        pytest.param(_second_outcome, "outcome", "warning", "had an outcome already", id="a second outcome"),
        pytest.param(_no_intent, "outcome", "broken", "no intent before it", id="an outcome of nothing"),
        pytest.param(_conflict, "conflict", "warning", "somebody else moved it too", id="a conflict"),
        pytest.param(
            _no_decision, "decision", "broken", "names no decision", id="a promotion without a decision"
        ),
        pytest.param(_ungated, "ungated", "broken", "moved without an entry", id="a move in between"),
        pytest.param(_back_in_time, "time", "warning", "before the entry before it", id="a clock"),
        pytest.param(_glass, "glass", "warning", "nobody has reviewed it", id="break-glass"),
        pytest.param(lambda s: s.halt(), "halt", "note", "halted since", id="a halt"),
        pytest.param(lambda s: s.halt(until=s.now), "halt", "note", "time is up", id="a halt that is over"),
        pytest.param(lambda s: s.adopt("4"), "adopted", "note", "without a decision", id="an adoption"),
    ],
)
def test_what_an_audit_finds(change: Callable[[Story], object], code: str, gravity: str, words: str) -> None:
    story = told()
    assert not [r for r in examine(story, story.lines).remarks if r.code == code and words in r.what]
    change(story)
    got = examine(story, story.lines)
    remarks = [remark for remark in found(got, code) if words in remark.what]
    assert [remark.gravity for remark in remarks] == [gravity], got.remarks
    assert got.exit_code == (1 if got.count("broken") else 0)
    if gravity == "broken":
        assert got.exit_code == 1


@pytest.mark.parametrize(("holder", "drifted"), [("3", False), ("4", False), ("2", True)])
def test_an_open_intent_explains_where_it_may_have_left_the_alias_and_no_other_place(
    holder: str, drifted: bool
) -> None:
    story = told()
    story.promote("4", outcome=None)
    story.fake.aliases["churn", "champion"] = holder
    assert bool(found(examine(story, story.lines), "drift")) == drifted
    got = status("churn", "champion", story.now, book_of(story.lines), registry_of(story))
    assert bool(got.drift) == drifted


def test_a_reviewed_use_of_break_glass_waits_for_nobody() -> None:
    story = told()
    _glass(story)
    story.write(Review(of=9, reason="looked at", role="approver"), KAI)
    assert not [r for r in found(examine(story, story.lines), "glass") if r.gravity != "note"]


def test_an_adopted_loss_stays_visible() -> None:
    """The ledger says itself that an anchor was lost: that is a word, and no proof."""
    story = Story()
    story.fake.aliases["churn", "champion"] = "1"
    old = "sha256:" + "7" * 64
    story.tag("2", RECEIPT, json.dumps({"decision": None, "digest": old, "seq": 40}))
    story.adopt("1", lost=f"the receipt on v2 has {old[:19]}… for entry 40")
    (remark,) = [r for r in found(examine(story, story.lines), "anchor") if r.gravity != "note"]
    assert remark.gravity == "warning"
    assert "accepted by user:kai" in remark.what


def test_a_version_that_was_deleted() -> None:
    story = told()
    registry = registry_of(story)
    for number, gravity in (("2", "warning"), ("3", "broken")):
        gone = tuple(
            seen.model_copy(update={"identity": None}) if seen.number == number else seen
            for seen in registry.versions
        )
        changed = registry.model_copy(update={"versions": gone})
        got = audit("churn", "champion", story.now, book_of(story.lines), changed)
        assert [remark.gravity for remark in found(got, "version")] == [gravity]


@pytest.mark.parametrize("down", ["registry", "ledger"])
def test_what_could_not_be_looked_at_is_never_clean(down: str) -> None:
    story = told()
    book = NOBODY if down == "ledger" else book_of(story.lines)
    registry = NOBODY if down == "registry" else registry_of(story)
    got = audit("churn", "champion", story.now, book, registry)
    assert got.exit_code == 3
    assert found(got, down)


def test_a_model_that_aigate_never_moved() -> None:
    story = Story()
    story.fake.aliases["churn", "champion"] = "1"
    got = audit(
        "churn",
        "champion",
        story.now,
        Book(line="", chain=Chain(model="churn"), stored=0),
        registry_of(story),
    )
    (remark,) = found(got, "unknown_holder")
    assert "adopt" in remark.fix
    assert got.exit_code == 1


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
