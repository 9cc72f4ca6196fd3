"""Entries are written in one form, joined into a chain, and nothing in it can be changed unseen."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aigate.decision import Actor
from aigate.digest import digest_bytes
from aigate.ledger import (
    KINDS,
    LONGEST_REASON,
    MAX_ENTRY,
    Adopt,
    Body,
    Entry,
    Halt,
    Head,
    Identity,
    Outcome,
    Resume,
    Void,
    check_anchor,
    next_entry,
    read_chain,
    written,
)
from aigate.testing import change, passing_snapshot
from aigate.values import gap, missing
from histories import (
    BODIES,
    INSTANTS,
    KAI,
    MODEL,
    NAMES,
    NOW,
    ROBIN,
    History,
    busy,
    identity,
    intent,
    outcome,
)

NONCE = "0123456789abcdef"
_KIND = pytest.mark.parametrize("kind", KINDS)


def entry_of(body: Body, **changes: Any) -> Entry:
    fields: dict[str, Any] = {"at": NOW, "actor": KAI, "nonce": NONCE}
    return next_entry(None, changes.pop("model", MODEL), body, **(fields | changes))


# --- writing and reading back ------------------------------------------------------------------------------------


def test_every_kind_of_entry_is_tried_here() -> None:
    assert set(BODIES) == set(KINDS)


@_KIND
@given(data=st.data())
@settings(max_examples=60)
def test_what_was_written_is_read_back(kind: str, data: st.DataObject) -> None:
    body, at = data.draw(BODIES[kind]), data.draw(INSTANTS)
    model, actor = data.draw(NAMES), Actor(name=data.draw(NAMES), run=data.draw(st.text(max_size=20)))
    entry = next_entry(None, model, body, at=at, actor=actor, nonce=NONCE)
    line = written(entry)
    chain = read_chain(model, [line])
    assert chain.faults == ()
    assert chain.entries == (entry,)
    assert chain.entries[0].body == body
    assert type(chain.entries[0].body) is type(body)
    assert chain.digests == (digest_bytes(line),)
    assert line == rfc8785.dumps(json.loads(line))


@_KIND
@given(data=st.data())
@settings(max_examples=25)
def test_the_form_names_kind_and_schema(kind: str, data: st.DataObject) -> None:
    fields = json.loads(written(entry_of(data.draw(BODIES[kind]))))
    assert fields["schema"] == "aigate.entry/v1"
    assert fields["body"]["kind"] == kind
    assert "from_" not in fields["body"]
    assert ("from" in fields["body"]) == (kind in ("intent", "adopt", "drill"))


@given(st.lists(st.one_of(*BODIES.values()), min_size=1, max_size=6))
@settings(max_examples=40)
def test_any_bodies_in_any_order_make_a_chain(bodies: list[Body]) -> None:
    history = History()
    for body in bodies:
        history.add(body)
    chain = history.chain
    assert chain.faults == ()
    assert [entry.body for entry in chain.entries] == bodies
    assert [entry.seq for entry in chain.entries] == list(range(1, len(bodies) + 1))
    assert chain.entries[0].prev is None
    assert [entry.prev for entry in chain.entries[1:]] == list(chain.digests[:-1])
    assert chain.head == history.head


def test_no_entries_are_an_empty_chain_without_a_head() -> None:
    chain = read_chain(MODEL, [])
    assert (chain.entries, chain.digests, chain.faults, chain.head) == ((), (), (), None)


@pytest.mark.parametrize(("seq", "there"), [(-1, False), (0, False), (1, True), (8, True), (9, False)])
def test_an_entry_is_found_by_its_number(seq: int, there: bool) -> None:
    found = busy().chain.entry(seq)
    assert (None if found is None else found.seq) == (seq if there else None)


def test_the_nonce_keeps_two_writers_apart() -> None:
    body = Resume(reason="data came", role="approver")
    lines = {written(entry_of(body, nonce=nonce)) for nonce in (NONCE, "fedcba9876543210")}
    assert len(lines) == 2


@pytest.mark.parametrize(
    "nonce", ["", NONCE[:-1], f"{NONCE}0", NONCE.upper(), f"{NONCE}\n", "0123456789abcdeg", "٠" * 16]
)
def test_a_nonce_is_sixteen_hexadecimal_digits(nonce: str) -> None:
    with pytest.raises(ValidationError):
        entry_of(outcome(1), nonce=nonce)


# --- bounds ------------------------------------------------------------------------------------------------------


def _long(size: int) -> Entry:
    """An entry of exactly `size` bytes."""
    short = len(written(entry_of(outcome(1), actor=Actor(name="user:kai"))))
    return entry_of(outcome(1), actor=Actor(name="user:kai", run="r" * (size - short)))


def test_the_longest_entry_is_written_and_read() -> None:
    line = written(_long(MAX_ENTRY))
    assert len(line) == MAX_ENTRY
    assert read_chain(MODEL, [line]).faults == ()


def test_a_longer_entry_is_refused_before_it_is_written() -> None:
    with pytest.raises(ValueError, match=f"{MAX_ENTRY + 1} bytes, at most {MAX_ENTRY}"):
        written(_long(MAX_ENTRY + 1))


def test_a_longer_entry_is_not_believed() -> None:
    line = written(_long(MAX_ENTRY)).replace(b'"run":"', b'"run":"r')
    assert f"{MAX_ENTRY + 1} bytes" in void(line)


def test_length_is_counted_in_bytes() -> None:
    wide = entry_of(outcome(1), actor=Actor(name="user:kai", run="模" * 2_000))
    assert len(wide.model_dump_json()) < MAX_ENTRY
    with pytest.raises(ValueError, match="bytes"):
        written(wide)


def test_an_entry_fits_where_mlflow_cuts() -> None:
    assert MAX_ENTRY < 6_000


@pytest.mark.parametrize("reason", ["", " ", "\n\t ", "x" * (LONGEST_REASON + 1)], ids=repr)
def test_a_reason_says_something_and_not_too_much(reason: str) -> None:
    with pytest.raises(ValidationError):
        Halt(reason=reason, role="watch")


@pytest.mark.parametrize("version", ["0", "01", " 1", "1\n", "v1", "", "-1", "１"])
def test_a_version_has_one_spelling(version: str) -> None:
    with pytest.raises(ValidationError):
        identity(1, version=version)


# --- tampering ---------------------------------------------------------------------------------------------------

_LINES = tuple(busy().lines)
_HEAD = Head(seq=len(_LINES), digest=digest_bytes(_LINES[-1]))


def broken(lines: list[bytes]) -> int:
    """At which entry the chain breaks; fails where it does not."""
    chain = read_chain(MODEL, lines)
    assert len(chain.faults) == 1
    seq = chain.faults[0].seq
    assert len(chain.entries) == len(chain.digests) == seq - 1, "nothing after a fault is believed"
    assert chain.faults[0].what
    return seq


def void(line: bytes) -> str:
    """Why a line, by itself, is no entry; fails where it is one."""
    chain = read_chain(MODEL, [line])
    assert chain.faults == ()
    (entry,) = chain.entries
    assert isinstance(entry.body, Void)
    return entry.body.what


@pytest.mark.parametrize("seq", range(1, len(_LINES)))
def test_every_changed_byte_of_the_past_is_found(seq: int) -> None:
    line = _LINES[seq - 1]
    for at in range(len(line)):
        changed = line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]
        assert broken([*_LINES[: seq - 1], changed, *_LINES[seq:]]) in (seq, seq + 1)


@pytest.mark.parametrize("flip", [0x01, 0x20], ids=hex)
def test_every_changed_byte_of_the_last_entry_is_found_or_shown_by_an_anchor(flip: int) -> None:
    line, readable = _LINES[-1], 0
    for at in range(len(line)):
        chain = read_chain(MODEL, [*_LINES[:-1], line[:at] + bytes([line[at] ^ flip]) + line[at + 1 :]])
        if not chain.faults:
            readable += 1
            assert check_anchor(chain, _HEAD, "the tag") is not None
    assert readable > 0, "a changed last entry can be read: only an anchor shows it"


@pytest.mark.parametrize("seq", range(1, len(_LINES) + 1))
def test_every_lost_byte_is_found(seq: int) -> None:
    line = _LINES[seq - 1]
    for at in range(0, len(line), 5):
        lines = [*_LINES[: seq - 1], line[:at] + line[at + 1 :], *_LINES[seq:]]
        chain = read_chain(MODEL, lines)
        assert chain.faults or (seq == len(_LINES) and check_anchor(chain, _HEAD, "the tag"))


@pytest.mark.parametrize("seq", range(1, len(_LINES)))
def test_a_dropped_entry_is_found(seq: int) -> None:
    assert broken([*_LINES[: seq - 1], *_LINES[seq:]]) == seq


@pytest.mark.parametrize("seq", range(1, len(_LINES) + 1))
def test_a_doubled_entry_is_found(seq: int) -> None:
    assert broken([*_LINES[:seq], *_LINES[seq - 1 :]]) == seq + 1


def test_swapped_entries_are_found_wherever_they_are() -> None:
    for a in range(len(_LINES)):
        for b in range(a + 1, len(_LINES)):
            lines = list(_LINES)
            lines[a], lines[b] = lines[b], lines[a]
            assert broken(lines) == a + 1


@pytest.mark.parametrize("seq", range(1, len(_LINES) + 1))
def test_an_inserted_entry_is_found(seq: int) -> None:
    """Even one that itself stands rightly in its place."""
    before = read_chain(MODEL, _LINES[: seq - 1]).head
    extra = written(next_entry(before, MODEL, outcome(1), at=NOW, actor=ROBIN, nonce=NONCE))
    assert broken([*_LINES[: seq - 1], extra, *_LINES[seq - 1 :]]) == seq + 1


@pytest.mark.parametrize("seq", range(1, len(_LINES)))
def test_an_entry_written_anew_is_found_by_the_next_one(seq: int) -> None:
    before = read_chain(MODEL, _LINES[: seq - 1]).head
    other = written(next_entry(before, MODEL, outcome(1), at=NOW, actor=ROBIN, nonce=NONCE))
    assert broken([*_LINES[: seq - 1], other, *_LINES[seq:]]) == seq + 1


def test_another_models_entry_is_not_this_models() -> None:
    history = History("other")
    history.adopt(identity(1))
    assert broken(history.lines) == 1
    assert '"other"' in read_chain(MODEL, history.lines).faults[0].what


def test_a_chain_does_not_begin_in_its_middle() -> None:
    first = Head(seq=1, digest=digest_bytes(b"?"))
    line = written(next_entry(first, MODEL, outcome(1), at=NOW, actor=KAI, nonce=NONCE))
    assert broken([line]) == 1
    entry = entry_of(outcome(1)).model_copy(update={"prev": first.digest})
    assert "follows sha256:" in read_chain(MODEL, [written(entry)]).faults[0].what
    assert broken([written(entry)]) == 1


@pytest.mark.parametrize("kept", [0, 1, 7])
@pytest.mark.parametrize("more", [1, 2])
def test_an_entry_that_follows_rightly_under_a_wrong_number_is_found(kept: int, more: int) -> None:
    before = read_chain(MODEL, _LINES[:kept]).head
    entry = next_entry(before, MODEL, outcome(1), at=NOW, actor=KAI, nonce=NONCE)
    wrong = entry.model_copy(update={"seq": entry.seq + more})
    assert broken([*_LINES[:kept], written(wrong)]) == kept + 1
    assert broken([*_LINES[:kept], written(wrong), *_LINES[kept:]]) == kept + 1


def test_a_later_entry_without_a_predecessor_is_found() -> None:
    entry = entry_of(outcome(1)).model_copy(update={"seq": 2})
    assert broken([_LINES[0], written(entry)]) == 2


def _keys_last(line: bytes) -> bytes:
    fields = json.loads(line)
    return json.dumps(dict(reversed(fields.items())), separators=(",", ":"), ensure_ascii=False).encode()


SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "a space": lambda line: line.replace(b":", b": ", 1),
    "a newline at its end": lambda line: line + b"\n",
    "a byte order mark": lambda line: b"\xef\xbb\xbf" + line,
    "a null byte at its end": lambda line: line + b"\0",
    "the keys in another order": _keys_last,
    "a key twice": lambda line: line.replace(b'"model":', b'"model":"churn","model":', 1),
    "a key twice, the other one first": lambda line: line.replace(
        b'"model":', b'"model":"other","model":', 1
    ),
    "the field's name in Python": lambda line: line.replace(b'"from":', b'"from_":'),
    "the field by both names": lambda line: line.replace(b'"from":', b'"from_":null,"from":'),
    "a letter as an escape": lambda line: line.replace(b"it was so", b"it w\\u0061s so"),
    "a slash as an escape": lambda line: line.replace(b"models:/", b"models:\\/"),
    "a time with an offset": lambda line: line.replace(b'00Z","body"', b'00+00:00","body"'),
    "a time with decimals": lambda line: line.replace(b'00Z","body"', b'00.000Z","body"'),
    "a number with a fraction": lambda line: line.replace(b'"seq":1', b'"seq":1.0'),
    "a number with an exponent": lambda line: line.replace(b'"seq":1', b'"seq":1e0'),
    "a number as text": lambda line: line.replace(b'"seq":1', b'"seq":"1"'),
    "a default left out": lambda line: line.replace(b'"lost":"",', b""),
    "an unknown field": lambda line: line.replace(b'"lost":"",', b'"lost":"","more":1,'),
    "no schema": lambda line: line.replace(b',"schema":"aigate.entry/v1"', b""),
    "another schema": lambda line: line.replace(b"entry/v1", b"entry/v2"),
    "another kind": lambda line: line.replace(b'"kind":"adopt"', b'"kind":"halt"'),
    "no kind": lambda line: line.replace(b'"kind":"adopt",', b""),
    "in UTF-16": lambda line: line.decode().encode("utf-16"),
    "not UTF-8": lambda line: line.replace(b"it was so", b"it w\xe4s so"),
    "half a character": lambda line: line.replace(b"it was so", b"it w\\ud800s so"),
    "in an array": lambda line: b"[" + line + b"]",
    "twice": lambda line: line * 2,
    "empty": lambda line: b"",
    "null": lambda line: b"null",
    "a number": lambda line: b"7",
    "deep": lambda line: b'{"a":' * 900,
    "deep arrays": lambda line: b"[" * 5_000,
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_an_entry_has_one_spelling(spelling: Callable[[bytes], bytes]) -> None:
    changed = spelling(_LINES[0])
    assert changed != _LINES[0]
    assert void(changed)
    assert broken([changed, *_LINES[1:]]) == 2


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_no_rubbish_is_an_entry(line: bytes) -> None:
    assert void(line)


def test_what_somebody_else_puts_into_the_ledger_counts_for_nothing_and_stops_nothing() -> None:
    junk = b"hello"
    head = Head(seq=len(_LINES) + 1, digest=digest_bytes(junk))
    after = written(next_entry(head, MODEL, outcome(1), at=NOW, actor=ROBIN, nonce=NONCE))
    chain = read_chain(MODEL, [*_LINES, junk, after])
    assert chain.faults == ()
    assert [entry.seq for entry in chain.entries] == list(range(1, len(_LINES) + 3))
    assert isinstance(chain.entries[-2].body, Void)
    assert chain.head == Head(seq=len(_LINES) + 2, digest=digest_bytes(after))
    assert read_chain(MODEL, [*_LINES, b"hellO", after]).faults[0].seq == len(_LINES) + 2
    assert check_anchor(read_chain(MODEL, [*_LINES[:-1], junk]), _HEAD, "the tag") is not None


def test_an_entry_in_the_wrong_place_stops_all_until_it_is_given_up_by_name() -> None:
    forged = written(next_entry(None, MODEL, outcome(1), at=NOW, actor=ROBIN, nonce=NONCE))
    seq = len(_LINES) + 1
    assert broken([*_LINES, forged]) == seq
    head = Head(seq=seq, digest=digest_bytes(forged))
    for given_up, faults in ((seq, 0), (None, 1), (seq - 1, 1)):
        body = Adopt(alias="champion", from_=None, to=None, reason="junk", role="approver", void=given_up)
        after = written(next_entry(head, MODEL, body, at=NOW, actor=ROBIN, nonce=NONCE))
        assert len(read_chain(MODEL, [*_LINES, forged, after]).faults) == faults


def test_nobody_can_write_that_a_line_is_void() -> None:
    line = _LINES[0].replace(b'"kind":"adopt"', b'"kind":"void"')
    assert void(line)


def _places(value: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*way, key))
    else:
        yield way


JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 2**53 - 1, 1.5, "", "x", " ", "\x1b[2J", "9" * 400, [], {}, [[]], {"kind": "halt"}
)  # fmt: skip


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: repr(junk)[:20])
def test_junk_in_any_place_never_stops_the_reading(junk: Any) -> None:
    """A canonical entry with a wrong value somewhere is a fault, or an entry that says something else."""
    for line in (_LINES[0], _LINES[1], _LINES[2], _LINES[7]):
        for way in _places(json.loads(line)):
            fields = json.loads(line)
            holder = fields
            for key in way[:-1]:
                holder = holder[key]
            holder[way[-1]] = junk
            chain = read_chain(MODEL, [rfc8785.dumps(fields)])
            assert bool(chain.faults) != bool(chain.entries)


# --- anchors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seq", range(1, len(_LINES) + 1))
def test_every_entry_can_be_an_anchor(seq: int) -> None:
    anchor = read_chain(MODEL, _LINES[:seq]).head
    assert anchor is not None
    assert anchor.seq == seq
    assert check_anchor(read_chain(MODEL, _LINES), anchor, "the tag") is None


@pytest.mark.parametrize("kept", range(len(_LINES)))
def test_a_cut_end_is_shown_by_an_anchor(kept: int) -> None:
    chain = read_chain(MODEL, _LINES[:kept])
    assert chain.faults == ()
    fault = check_anchor(chain, _HEAD, "the tag aigate.ledger")
    assert fault is not None
    assert fault.seq == len(_LINES)
    assert fault.what.startswith(
        f"the tag aigate.ledger names entry {len(_LINES)}, and the ledger ends at {kept}"
    )


def test_a_ledger_written_anew_as_a_whole_is_shown_by_an_anchor() -> None:
    forged = History(begin=NOW)
    for entry in busy().entries:
        forged.add(entry.body)
    assert forged.chain.faults == ()
    fault = check_anchor(forged.chain, _HEAD, "the receipt on v2")
    assert fault is not None
    assert fault.seq == _HEAD.seq
    assert fault.what.startswith("the receipt on v2 has sha256:")
    assert "written anew" in fault.what


def test_an_anchor_holds_the_past_and_not_what_came_after_it() -> None:
    history = busy()
    history.add(outcome(1))
    assert check_anchor(history.chain, _HEAD, "the tag") is None


# --- who a version is --------------------------------------------------------------------------------------------


def test_an_identity_is_what_a_subject_says() -> None:
    version = passing_snapshot().challenger
    assert version is not None
    found, subject = Identity.of(version.subject), version.subject
    for name in Identity.model_fields:
        assert getattr(found, name) == getattr(subject, name)


def test_what_goes_on_and_on_is_cut_and_a_gap_stays_a_gap() -> None:
    snapshot = change(passing_snapshot(), "/challenger/subject/source", "s" * 5_000)
    snapshot = change(snapshot, "/challenger/subject/artifact_digest", missing("w" * 1_500, "u" * 900))
    version = snapshot.challenger
    assert version is not None
    found = Identity.of(version.subject)
    lost = gap(found.artifact_digest)
    assert found.source == "s" * 400
    assert lost is not None
    assert (lost.missing, lost.source) == ("w" * 200, "u" * 200)
    body = Adopt(alias="champion", from_=found, to=found, reason="r" * LONGEST_REASON, role="owner")
    assert read_chain(MODEL, [written(entry_of(body))]).faults == ()


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({}, True, id="itself"),
        pytest.param({"artifact_digest": "sha256:" + "f" * 64}, True, id="other files"),
        pytest.param({"artifact_digest": missing("no answer", "mlflow")}, True, id="files nobody knows"),
        pytest.param({"version": "2"}, False, id="another number"),
        pytest.param({"created_at": NOW}, False, id="made anew"),
        pytest.param({"run_id": "f00"}, False, id="another run"),
        pytest.param({"run_id": None}, False, id="no run"),
        pytest.param({"source": "s3://elsewhere"}, False, id="another source"),
        pytest.param({"model_id": None}, False, id="another model"),
    ],
)
def test_a_version_is_more_than_its_number(changes: dict[str, Any], same: bool) -> None:
    assert identity(1).same_version(identity(1, **changes)) is same
    assert identity(1, **changes).same_version(identity(1)) is same


def test_an_entry_cannot_be_changed() -> None:
    entry = entry_of(intent(identity(1)))
    with pytest.raises(ValidationError):
        entry.seq = 2  # type: ignore[misc]


def test_a_drills_time_is_kept_exactly() -> None:
    [*_, last] = busy().entries
    assert last.body.kind == "drill"
    assert str(last.body.seconds) == "0.40"
    assert last.body.seconds == Decimal("0.4")


def test_an_outcome_names_an_entry() -> None:
    with pytest.raises(ValidationError):
        Outcome(of=0, result="applied")


def test_a_huge_number_beside_a_rare_character_is_a_fault() -> None:
    history = History()
    history.add(outcome(1, detail="\U0001f600"))
    assert void(history.lines[0].replace(b'"of":1', b'"of":9007199254740993'))
