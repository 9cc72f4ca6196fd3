"""What every ledger store must do, whatever keeps it: one suite, run over all of them.

A test module subclasses `StoreContract` as `Test…` and gives it two fixtures:
`store`, an open store, and `reopen`, which opens one more store object on the
same place. Names of models are never used twice, so a place may be shared.
"""

import contextlib
import json
import random
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import astuple

import pytest
from pydantic import TypeAdapter

from aigate.digest import digest_bytes
from aigate.enforce.store import LedgerError, LedgerStore, TooLargeError
from aigate.ledger import MAX_ENTRY
from aigate.values import Name

Reopen = Callable[[], LedgerStore]

ENTRIES = {
    "plain": b'{"a":1}',
    "non-ascii": '{"a":"Łódź 東京 🚀 é e\u0301 \u202e"}'.encode(),
    "quotes": json.dumps({"a": 'it\'s "quoted" \\ `x` $1 %s :b {c} --'}).encode(),
    "escapes": b'{"a":"\\u0000\\n\\t\\\\n"}',
    "edge spaces": b'{"a":"  "} ',
    "longest": b'{"a":"' + b"x" * (MAX_ENTRY - 8) + b'"}',
    "longest, two bytes a letter": '{{"a":"{}"}}'.format("é" * ((MAX_ENTRY - 8) // 2)).encode(),
}
"""Lines that a careless store changes."""

NAMES = {
    "slashes": ("a/b/{}", "a\\b\\{}", "a/b//{}", "a b {}"),
    "quotes": ("o'neill {}", 'o"neill {}', "o`neill {}", "o''neill {}"),
    "case": ("Churn-{}", "churn-{}", "CHURN-{}"),
    "unicode": ("straße-{}", "strasse-{}", "caf\u00e9-{}", "cafe\u0301-{}", "東京-{}"),
    "look-alikes": ("champion-{}", "\u0441hampion-{}", "champion-{}\u200b"),
    "wildcards": ("a%-{}", "a_-{}", "ab-{}", "a*-{}", "a?-{}", "[a]-{}"),
    "statements": ("x'; DROP TABLE aigate_entry; --{}", "x' OR '1'='1 {}", ":model {}", "%s {}"),
    "long": ("n" * 168 + "{}", "n" * 167 + "m{}"),
}
"""Names that a careless store takes for each other; `{}` takes a part that makes them new."""


def fresh(pattern: str = "churn-{}") -> str:
    """Return the name of a model that nobody has used."""
    return pattern.format(uuid.uuid4().hex)


class StoreContract:
    """The tests; see the module."""

    racers = 8
    numbers = 20
    """How many write at once, and for how many numbers."""
    largest = 300_000
    """Bytes of the largest document that a store of this kind must take."""

    # Reading and writing

    def test_an_unknown_model_reads_empty_and_nothing_is_made(
        self, store: LedgerStore, reopen: Reopen
    ) -> None:
        model = fresh()
        assert store.read(model) == ()
        assert store.read(model) == ()
        assert reopen().read(model) == ()
        assert store.append(model, 1, b'{"a":1}') is True

    @pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
    def test_an_entry_comes_back_byte_for_byte(
        self, store: LedgerStore, reopen: Reopen, entry: bytes
    ) -> None:
        model = fresh()
        assert store.append(model, 1, entry) is True
        assert store.read(model) == (entry,)
        assert reopen().read(model) == (entry,)

    def test_entries_come_back_in_their_order(self, store: LedgerStore) -> None:
        """More than nine of them, so that an order of text would show."""
        model = fresh()
        lines = tuple(json.dumps({"n": 100 - n}).encode() for n in range(12))
        for seq, line in enumerate(lines, 1):
            assert store.append(model, seq, line) is True
        assert store.read(model) == lines

    def test_a_number_that_is_taken_is_refused_and_the_first_entry_stays(
        self, store: LedgerStore, reopen: Reopen
    ) -> None:
        model = fresh()
        assert store.append(model, 1, b'{"a":1}') is True
        assert store.append(model, 1, b'{"a":2}') is False
        assert reopen().append(model, 1, b'{"a":3}') is False
        assert store.read(model) == (b'{"a":1}',)

    def test_a_number_further_back_is_refused_too(self, store: LedgerStore) -> None:
        model = fresh()
        for seq in (1, 2, 3):
            assert store.append(model, seq, b'{"n":%d}' % seq) is True
        assert store.append(model, 2, b'{"n":9}') is False
        assert store.read(model) == (b'{"n":1}', b'{"n":2}', b'{"n":3}')

    def test_the_very_same_write_again_is_still_ours(self, store: LedgerStore, reopen: Reopen) -> None:
        model = fresh()
        assert store.append(model, 1, b'{"a":1}') is True
        assert store.append(model, 1, b'{"a":1}') is True
        assert reopen().append(model, 1, b'{"a":1}') is True
        assert store.read(model) == (b'{"a":1}',)

    @pytest.mark.parametrize("seq", [3, 20])
    def test_a_gap_is_refused(self, store: LedgerStore, seq: int) -> None:
        model = fresh()
        assert store.append(model, 1, b'{"a":1}') is True
        with pytest.raises(LedgerError):
            store.append(model, seq, b'{"a":2}')
        assert store.read(model) == (b'{"a":1}',)
        assert store.append(model, 2, b'{"a":2}') is True

    def test_the_first_entry_is_number_one(self, store: LedgerStore) -> None:
        model = fresh()
        with pytest.raises(LedgerError):
            store.append(model, 2, b'{"a":2}')
        assert store.read(model) == ()

    @pytest.mark.parametrize("patterns", NAMES.values(), ids=NAMES.keys())
    def test_models_do_not_mix(self, store: LedgerStore, reopen: Reopen, patterns: tuple[str, ...]) -> None:
        mark = uuid.uuid4().hex
        names = [pattern.format(mark) for pattern in patterns]
        for number, name in enumerate(names):
            assert store.read(name) == ()
            assert store.append(name, 1, b'{"n":%d}' % number) is True
        for number, name in enumerate(names):
            assert reopen().read(name) == (b'{"n":%d}' % number,)

    def test_a_second_store_sees_what_the_first_wrote(self, store: LedgerStore, reopen: Reopen) -> None:
        model = fresh()
        other = reopen()
        assert other.read(model) == ()
        assert store.append(model, 1, b'{"a":1}') is True
        assert other.read(model) == (b'{"a":1}',)
        assert other.append(model, 2, b'{"a":2}') is True
        assert store.read(model) == (b'{"a":1}', b'{"a":2}')

    def test_of_many_writers_exactly_one_has_each_number(self, store: LedgerStore, reopen: Reopen) -> None:
        """Every racer has a store of its own, and all begin each number at once."""
        model = fresh()
        stores = [reopen() for _ in range(self.racers)]
        won: list[list[bytes]] = [[] for _ in range(self.numbers)]
        trouble: list[BaseException] = []
        gate = threading.Barrier(self.racers)

        def race(who: int) -> None:
            try:
                for number in range(self.numbers):
                    line = json.dumps({"by": who, "n": number}).encode()
                    gate.wait(timeout=60)
                    if stores[who].append(model, number + 1, line):
                        won[number].append(line)
            except BaseException as e:
                trouble.append(e)
                gate.abort()

        threads = [threading.Thread(target=race, args=(who,)) for who in range(self.racers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
        assert not trouble
        assert [len(lines) for lines in won] == [1] * self.numbers
        assert store.read(model) == tuple(lines[0] for lines in won)

    # Documents

    @pytest.mark.parametrize("size", [0, 1, 5_900, 70_000])
    def test_a_document_comes_back_byte_for_byte(self, store: LedgerStore, reopen: Reopen, size: int) -> None:
        self._round_trip(store, reopen, random.Random(size).randbytes(size))

    def test_a_large_document_that_cannot_be_packed_comes_back(
        self, store: LedgerStore, reopen: Reopen
    ) -> None:
        self._round_trip(store, reopen, random.Random(1).randbytes(self.largest))

    def test_a_document_past_the_largest_is_kept_whole_or_refused_by_name(
        self, store: LedgerStore, reopen: Reopen
    ) -> None:
        with contextlib.suppress(TooLargeError):
            self._round_trip(store, reopen, random.Random(2).randbytes(self.largest * 2))

    def test_the_same_document_twice_leaves_every_reference_good(
        self, store: LedgerStore, reopen: Reopen
    ) -> None:
        model, content = fresh(), uuid.uuid4().bytes
        places = [one.keep(model, digest_bytes(content), content) for one in (store, store, reopen())]
        assert [store.document(model, place) for place in places] == [content] * 3

    def test_documents_kept_together_come_back_each(self, store: LedgerStore, reopen: Reopen) -> None:
        model = fresh()
        contents = [b"first", b"", b"first", bytes(range(256)) * 40]
        pairs = [(digest_bytes(content), content) for content in contents]
        places = store.keep_together(model, pairs)
        assert [reopen().document(model, place) for place in places] == contents
        assert len(store.keep_together(model, pairs[1:])) == 3
        assert store.keep_together(model, []) == ()

    def test_a_document_of_two_models_is_there_for_both(self, store: LedgerStore) -> None:
        content = uuid.uuid4().bytes
        models = fresh(), fresh()
        places = [store.keep(model, digest_bytes(content), content) for model in models]
        assert [store.document(*pair) for pair in zip(models, places, strict=True)] == [content, content]

    @pytest.mark.parametrize(
        "place", ["", "nowhere", "sha256:" + "0" * 64, "../../etc/passwd", "' OR 1=1 --"]
    )
    def test_an_unknown_reference_is_an_error(self, store: LedgerStore, place: str) -> None:
        model = fresh()
        with pytest.raises(LedgerError):
            store.document(model, place)
        store.keep(model, digest_bytes(b"x"), b"x")
        with pytest.raises(LedgerError):
            store.document(model, place)

    def test_a_document_makes_no_entry(self, store: LedgerStore) -> None:
        model = fresh()
        store.keep(model, digest_bytes(b"x"), b"x")
        assert store.read(model) == ()
        assert store.append(model, 1, b'{"a":1}') is True
        assert store.read(model) == (b'{"a":1}',)

    # The rest

    def test_what_it_promises_is_in_words_and_without_credentials(self, store: LedgerStore) -> None:
        promised = store.guarantees()
        assert all(re.search(r"\w", words) and words == words.strip() for words in astuple(promised))
        assert not re.search(r"://[^/\s]*@|password|token=|[?#]", promised.line())

    def test_closing_is_quiet_and_may_be_done_twice(self, reopen: Reopen) -> None:
        other = reopen()
        other.read(fresh())
        other.close()
        other.close()
        reopen().close()

    def _round_trip(self, store: LedgerStore, reopen: Reopen, content: bytes) -> None:
        model = fresh()
        place = store.keep(model, digest_bytes(content), content)
        TypeAdapter(Name).validate_python(place)
        assert store.document(model, place) == content
        assert reopen().document(model, place) == content
