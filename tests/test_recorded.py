"""What a ledger keeps, as a source for replays."""

import pytest

from aigate.enforce.store import LedgerError
from aigate.history.recorded import kept, kept_decision
from aigate.report.json import decision_id, read_record
from aigate.values import missing
from story import Story, told


def pieces(story: Story, **fields: object) -> list[tuple[str, str]]:
    since = fields.pop("since", None)
    found = kept(story.sight(**fields), since, lambda done, whole: None)  # type: ignore[arg-type]
    return [(piece.kind, piece.where) for piece in found]


def test_records_come_before_their_snapshots_in_the_order_of_the_ledger() -> None:
    assert pieces(told()) == [
        (role, f"ledger entry {seq}, {role}") for seq in (1, 3, 7) for role in ("record", "snapshot")
    ]


def test_only_entries_since_then_are_read() -> None:
    story = told()
    since = story.ledger.chain.entries[6].at
    assert [where for _, where in pieces(story, since=since)] == [
        "ledger entry 7, record",
        "ledger entry 7, snapshot",
    ]


def test_a_document_that_was_altered_is_broken_and_not_left_out() -> None:
    story = told()
    for place, content in list(story.store.documents.items()):
        story.store.documents[place] = content.replace(b'"allow"', b'"deny"', 1)
    kinds = [kind for kind, _ in pieces(story)]
    assert kinds == ["broken", "snapshot"] * 3


def test_a_decision_is_found_by_the_beginning_of_its_id() -> None:
    story = told()
    entry = story.ledger.chain.entries[2]
    id = entry.body.decision  # type: ignore[union-attr]
    assert id is not None
    data, snapshot = kept_decision(story.sight(), id.removeprefix("sha256:")[:12])
    assert decision_id(read_record(data)) == id
    assert b'"aigate.snapshot/v1"' in snapshot
    with pytest.raises(LedgerError, match="no decision"):
        kept_decision(story.sight(), "ffffffffffff")


def test_a_ledger_that_cannot_be_read_or_believed_is_no_source() -> None:
    story = told()
    with pytest.raises(LedgerError, match="503"):
        pieces(story, book=missing("it answered 503", "memory"))
    story.lines[2] = story.lines[2].replace(b"allow", b"Allow", 1)
    with pytest.raises(LedgerError, match="cannot be believed"):
        pieces(story)
