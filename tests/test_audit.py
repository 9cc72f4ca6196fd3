"""What does not agree between ledger, registry and documents, from facts that are handed in."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.account import Book
from aigate.audit import Audit, audit
from aigate.enforce.receipts import ANCHOR, RECEIPT
from aigate.guarded import Told
from aigate.history import status_of
from aigate.ledger import Adopt, BreakGlass, Chain, Head, Outcome, Resume, Review, read_chain
from aigate.remarks import Remark
from aigate.values import missing
from story import KAI, NOBODY, Story, book_of, forge, registry_of, told


def found(given: Audit, code: str) -> list[Remark]:
    return [remark for remark in given.remarks if remark.code == code]


# ---- the chain

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
    assert remark.where == "entry 3"  # the one before it is void, and no longer what this one follows
    assert "5 after it cannot be believed" in remark.what


# ---- everything else


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


def _unvouched(story: Story) -> None:
    story.rollback("4", role="approver")


def _unvouched_from_past_the_gate(story: Story) -> None:
    story.fake.aliases["churn", "champion"] = "4"
    story.rollback("3")
    story.rollback("4")


def _junk(story: Story) -> None:
    story.lines.append(b"junk")


@pytest.mark.parametrize(
    ("change", "code", "gravity", "words"),
    [
        pytest.param(
            _unvouched,
            "unvouched",
            "warning",
            "in the right of approver",
            id="a rollback to what never served",
        ),
        pytest.param(
            _unvouched_from_past_the_gate,
            "unvouched",
            "warning",
            "user:kai rolled @champion back to v4, which had never come",
            id="a rollback to what served past the gate",
        ),
        pytest.param(_junk, "void", "warning", "junk in the place of entry 9", id="junk"),
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
        pytest.param(_moved_by_hand, "drift", "broken", "MLflow does not record who", id="moved by hand"),
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


@pytest.mark.parametrize(
    ("elsewhere", "gravity", "words"),
    [
        pytest.param("s3://elsewhere/m", "broken", "MLflow serves it from s3://elsewhere/m", id="elsewhere"),
        pytest.param(missing("no answer", "test"), "unseen", "no answer", id="not known"),
    ],
)
def test_a_version_that_is_served_from_elsewhere(elsewhere: Any, gravity: str, words: str) -> None:
    story = _TOLD
    registry = registry_of(story)
    versions = tuple(
        seen.model_copy(update={"astray": elsewhere}) if seen.number == "3" else seen
        for seen in registry.versions
    )
    registry = registry.model_copy(update={"versions": versions})
    got = audit("churn", "champion", story.now, book_of(story.lines), registry)
    (remark,) = found(got, "artifact")
    assert (remark.gravity, remark.where) == (gravity, "v3")
    assert words in remark.what
    assert got.exit_code == (1 if gravity == "broken" else 3)


@pytest.mark.parametrize(
    ("state", "gravity", "code"),
    [("ok", "note", 0), ("warn", "warning", 0), ("bad", "broken", 1), ("unknown", "unseen", 3)],
)
def test_what_the_server_says_of_its_guard(state: Any, gravity: str, code: int) -> None:
    got = examine(_TOLD, _TOLD.lines, guard=Told(state, "what", "fix"))
    (remark,) = found(got, "guard")
    assert (remark.gravity, remark.what, remark.fix, got.exit_code) == (gravity, "what", "fix", code)


def test_junk_that_was_given_up_is_still_shown() -> None:
    story = told()
    story.lines.append(b"junk")
    story.ledger.refresh()
    body = Adopt(alias="champion", from_=None, to=story.identity("3"), reason="junk", role="approver", void=9)
    story.write(body, KAI)
    (remark,) = found(examine(story, story.lines), "void")
    assert remark.gravity == "warning"
    assert "user:kai gave it up in entry 10" in remark.what
    assert not found(examine(story, story.lines), "chain")


def test_a_rollback_to_what_was_allowed_or_adopted_is_no_promotion() -> None:
    story = told()
    story.adopt("4")
    story.promote("2")
    story.rollback("4")
    story.rollback("1")
    assert not found(examine(story, story.lines), "unvouched")


@pytest.mark.parametrize(("holder", "drifted"), [("3", False), ("4", False), ("2", True)])
def test_an_open_intent_explains_where_it_may_have_left_the_alias_and_no_other_place(
    holder: str, drifted: bool
) -> None:
    story = told()
    story.promote("4", outcome=None)
    story.fake.aliases["churn", "champion"] = holder
    assert bool(found(examine(story, story.lines), "drift")) == drifted
    got = status_of(story.sight(), "champion", "production")
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
