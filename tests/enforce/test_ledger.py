"""One model's ledger at work: nothing is written onto what cannot be believed, and no ticket is taken twice."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

import pytest

from aigate.decision import Actor
from aigate.digest import digest_bytes
from aigate.enforce.ledger import Ledger, LostTicketError
from aigate.enforce.store import LedgerError, UncertainError
from aigate.ledger import Body, Halt, Head, Intent, Kept, Resume, read_chain
from histories import KAI, MODEL, NOW, ROBIN, History, busy, digest_of, identity, intent, outcome
from memory_store import MemoryStore

HALT = Halt(reason="late", role="watch")


def ledger_of(
    store: MemoryStore,
    *,
    actor: Actor = KAI,
    publish: Callable[[Head], object] = lambda head: None,
    first: int = 0,
    model: str = MODEL,
) -> Ledger:
    """A ledger over a store, with a clock and nonces that go on by one."""
    ticks, nonces = count(), count(first)

    def clock() -> datetime:
        return NOW + timedelta(seconds=next(ticks))

    return Ledger(
        store, model, actor=actor, clock=clock, nonce=lambda: f"{next(nonces):016x}", publish=publish
    )


def store_with(history: History) -> MemoryStore:
    store = MemoryStore()
    store.entries[history.model] = list(history.lines)
    return store


# --- writing -----------------------------------------------------------------------------------------------------


def test_what_is_appended_is_in_the_store_linked_and_read_again() -> None:
    store, heads = MemoryStore(), list[Head]()
    ledger = ledger_of(store, publish=heads.append)
    ledger.refresh()
    bodies: list[Body] = [intent(identity(1)), outcome(1), HALT, Resume(reason="came", role="approver")]
    entries = [ledger.append(body) for body in bodies]
    chain = read_chain(MODEL, store.entries[MODEL])
    assert chain.faults == ()
    assert list(chain.entries) == entries
    assert [entry.body for entry in entries] == bodies
    assert [entry.at for entry in entries] == [NOW + timedelta(seconds=n) for n in range(4)]
    assert [entry.nonce for entry in entries] == [f"{n:016x}" for n in range(4)]
    assert {entry.actor for entry in entries} == {KAI}
    assert ledger.chain == chain
    # An intent's head is not published: its outcome follows at once.
    assert [(head.seq, head.digest) for head in heads] == list(enumerate(chain.digests, 1))[1:]
    assert ledger_of(store).refresh() == chain


def test_the_standing_follows_every_entry() -> None:
    ledger = ledger_of(MemoryStore())
    found = [len(ledger.standing.halts)]
    for body in (HALT, HALT, Resume(reason="came", role="approver")):
        ledger.append(body)
        found.append(len(ledger.standing.halts))
    assert found == [0, 1, 2, 0]


def test_the_standing_follows_a_reading() -> None:
    store = MemoryStore()
    one, two = ledger_of(store), ledger_of(store, first=100)
    assert one.standing.halts == ()
    two.append(HALT)
    assert one.standing.halts == (), "what was read last"
    one.refresh()
    assert len(one.standing.halts) == 1


def test_models_have_ledgers_of_their_own() -> None:
    store = MemoryStore()
    ledger_of(store).append(HALT)
    other = ledger_of(store, model="other")
    assert other.refresh().entries == ()
    assert other.append(HALT).seq == 1
    assert len(store.entries[MODEL]) == 1


def test_a_ledger_goes_on_where_another_one_ended() -> None:
    store = store_with(busy())
    ledger = ledger_of(store)
    ledger.refresh()
    assert ledger.append(HALT).seq == len(busy().lines) + 1
    assert ledger.refresh().faults == ()


# --- losing ------------------------------------------------------------------------------------------------------


def test_of_two_that_write_at_once_one_has_lost_and_nothing_of_his_stands() -> None:
    store, heads = MemoryStore(), list[Head]()
    one, two = ledger_of(store), ledger_of(store, actor=ROBIN, first=100, publish=heads.append)
    one.refresh()
    two.refresh()
    one.append(HALT)
    with pytest.raises(LostTicketError) as lost:
        two.append(HALT)
    assert lost.value.exit_code == 3
    assert lost.value.fix
    assert "entry 1" in lost.value.message
    assert (two.chain.entries, two.standing.halts, heads) == ((), (), [])
    assert [entry.actor for entry in two.refresh().entries] == [KAI]
    assert two.append(HALT).seq == 2


def test_the_same_words_by_the_same_person_at_the_same_time_are_not_the_same_entry() -> None:
    store = MemoryStore()
    one, two = ledger_of(store, first=1), ledger_of(store, first=2)
    one.append(HALT)
    with pytest.raises(LostTicketError):
        two.append(HALT)


def test_a_store_that_does_not_answer_stops_everything() -> None:
    store = MemoryStore()
    ledger = ledger_of(store)
    ledger.append(HALT)
    before = ledger.chain
    store.dead = True
    steps: tuple[Callable[[], object], ...] = (
        ledger.refresh,
        lambda: ledger.append(HALT),
        lambda: ledger.keep(b"x"),
        lambda: ledger.document(Kept(digest=digest_of("a"), place="x")),
    )
    for step in steps:
        with pytest.raises(LedgerError):
            step()
    assert ledger.chain == before


def test_where_nobody_knows_whether_it_was_written_nothing_is_believed() -> None:
    store, heads = MemoryStore(), list[Head]()
    ledger = ledger_of(store, publish=heads.append)
    store.uncertain = True
    with pytest.raises(UncertainError) as uncertain:
        ledger.append(HALT)
    assert uncertain.value.exit_code == 4
    assert (ledger.chain.entries, heads) == ((), [])


def test_an_entry_that_no_store_takes_is_not_written() -> None:
    store = MemoryStore()
    ledger = ledger_of(store, actor=Actor(name="user:kai", run="r" * 6_000))
    with pytest.raises(LedgerError, match="at most 5900") as long:
        ledger.append(HALT)
    assert long.value.fix
    assert store.entries == {}
    assert ledger.chain.entries == ()


# --- believing ---------------------------------------------------------------------------------------------------


def tampered() -> MemoryStore:
    store = store_with(busy())
    del store.entries[MODEL][3]
    return store


def test_faults_are_kept_and_not_raised_by_reading() -> None:
    ledger = ledger_of(tampered())
    chain = ledger.refresh()
    assert [fault.seq for fault in chain.faults] == [4]
    assert len(chain.entries) == 3


def test_nothing_is_written_onto_a_chain_with_faults() -> None:
    store = tampered()
    ledger = ledger_of(store)
    ledger.refresh()
    before = list(store.entries[MODEL])
    with pytest.raises(LedgerError) as found:
        ledger.append(HALT)
    assert store.entries[MODEL] == before
    assert found.value.exit_code == 3
    assert "entry 4: " in found.value.message
    assert "'churn'" in found.value.message
    assert "this process" in found.value.message
    assert f"aigate audit {MODEL}" in found.value.fix


def test_a_whole_chain_with_its_anchors_is_believed() -> None:
    ledger = ledger_of(store_with(busy()))
    head = ledger.refresh().head
    assert head is not None
    ledger.check()
    ledger.check(((head, "the tag"), (Head(seq=1, digest=ledger.chain.digests[0]), "the receipt on v1")))


def test_the_first_anchor_that_does_not_hold_is_named() -> None:
    ledger = ledger_of(store_with(busy()))
    head = ledger.refresh().head
    assert head is not None
    forged = (Head(seq=2, digest=digest_of("0")), "the receipt on v2")
    beyond = (Head(seq=99, digest=digest_of("0")), "the tag aigate.ledger")
    with pytest.raises(LedgerError, match=r"entry 2: the receipt on v2 has sha256:0.* written anew"):
        ledger.check(((head, "the tag"), forged, beyond))
    with pytest.raises(LedgerError, match=r"entry 99: the tag aigate.ledger names entry 99.* cut off"):
        ledger.check((beyond, forged))


def test_the_chains_own_faults_come_before_its_anchors() -> None:
    ledger = ledger_of(tampered())
    ledger.refresh()
    with pytest.raises(LedgerError, match=r"entry 4: it says that it is entry 5"):
        ledger.check(((Head(seq=99, digest=digest_of("0")), "the tag"),))


def test_a_ledger_that_is_gone_is_shown_by_its_anchor_alone() -> None:
    ledger = ledger_of(MemoryStore())
    assert ledger.refresh().faults == ()
    with pytest.raises(LedgerError, match="the ledger ends at 0"):
        ledger.check(((Head(seq=1, digest=digest_of("0")), "the tag"),))


# --- documents ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"{}", bytes(range(256)) * 40], ids=["empty", "small", "binary"])
def test_a_document_is_kept_by_its_digest(content: bytes) -> None:
    ledger = ledger_of(MemoryStore())
    kept = ledger.keep(content)
    assert kept.digest == digest_bytes(content)
    assert ledger.document(kept) == content


def test_a_document_that_was_changed_is_not_given_out() -> None:
    store = MemoryStore()
    ledger = ledger_of(store)
    kept = ledger.keep(b"the record")
    store.documents[kept.place] = b"the rec0rd"
    with pytest.raises(LedgerError, match="its digest differs"):
        ledger.document(kept)


def test_a_document_that_is_gone_is_said_to_be() -> None:
    ledger = ledger_of(MemoryStore())
    with pytest.raises(LedgerError, match="no such document"):
        ledger.document(Kept(digest=digest_of("a"), place="nowhere"))


def test_a_kept_document_stands_in_its_intent() -> None:
    ledger = ledger_of(MemoryStore())
    entry = ledger.append(intent(identity(1), record=ledger.keep(b"the record")))
    assert isinstance(entry.body, Intent)
    assert entry.body.record is not None
    assert ledger.document(entry.body.record) == b"the record"
