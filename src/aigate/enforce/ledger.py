"""One model's ledger at work: read, believed only as a whole, and written one entry at a time."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property

from aigate.decision import Actor
from aigate.digest import digest_bytes
from aigate.enforce.store import LedgerError, LedgerStore
from aigate.ledger import (
    Body,
    Chain,
    Entry,
    Head,
    Intent,
    Kept,
    check_anchor,
    give_up_last,
    next_entry,
    read_chain,
    written,
)
from aigate.standing import Standing, standing


class LostTicketError(LedgerError):
    """Somebody else wrote the next entry first: what was to be written may no longer be right."""


class Ledger:
    """Reads and writes a model's chain.

    `clock` and `nonce` are read for every entry; `publish` is told each new
    head but an intent's, to keep it as an anchor where the ledger's keeper
    does not reach.
    """

    def __init__(
        self,
        store: LedgerStore,
        model: str,
        *,
        actor: Actor,
        clock: Callable[[], datetime],
        nonce: Callable[[], str],
        publish: Callable[[Head], object] = lambda head: None,
    ) -> None:
        self.store = store
        self.model = model
        self._actor = actor
        self._clock = clock
        self._nonce = nonce
        self._publish = publish
        self.chain = Chain(model=model)

    @property
    def standing(self) -> Standing:
        """What the entries read last come to."""
        return self._folded

    @cached_property
    def _folded(self) -> Standing:
        return standing(self.chain)

    def refresh(self) -> Chain:
        """Read every entry. What is wrong with them is in the chain; raises LedgerError where they cannot be had."""
        self._take(read_chain(self.model, self.store.read(self.model)))
        return self.chain

    def check(self, anchors: tuple[tuple[Head, str], ...] = ()) -> None:
        """Raise LedgerError where the chain has faults or does not hold an anchor: (head, where it is kept)."""
        faults = [*self.chain.faults]
        faults += [fault for head, place in anchors if (fault := check_anchor(self.chain, head, place))]
        if faults:
            first = faults[0]
            where = f"entry {first.seq}: " if first.seq else ""
            raise LedgerError(
                f"the ledger of {self.model!r} in {self.store.guarantees().place} cannot be believed: "
                f"{where}{first.what}",
                fix=f"`aigate audit {self.model}` shows all of it; `aigate adopt` accepts a loss, with a reason",
            )

    def give_up_last(self) -> int | None:
        """Take the last line for void where it cannot be believed; return its number, None where nothing is wrong.

        What is written next must be an adoption that names it. Raises
        LedgerError where more than the last line is wrong.
        """
        if not self.chain.faults:
            return None
        chain = give_up_last(self.chain)
        if chain is None:
            self.check()
            raise AssertionError("a chain with faults passed its check")
        self._take(chain)
        return len(chain.entries)

    def append(self, body: Body) -> Entry:
        """Write the next entry and return it; it is durable.

        Raises LostTicketError where somebody else was first (refresh, and
        decide anew), LedgerError where it was not written, UncertainError
        where nobody knows.
        """
        if self.chain.faults:
            self.check()
        entry = next_entry(
            self.chain.head, self.model, body, at=self._clock(), actor=self._actor, nonce=self._nonce()
        )
        try:
            line = written(entry)
        except ValueError as e:
            raise LedgerError(str(e), fix="give a shorter reason") from e
        if not self.store.append(self.model, entry.seq, line):
            raise LostTicketError(
                f"somebody else wrote entry {entry.seq} of {self.model!r} at the same moment",
                fix="run the command again",
            )
        self._take(
            self.chain.model_copy(
                update={
                    "entries": (*self.chain.entries, entry),
                    "digests": (*self.chain.digests, digest_bytes(line)),
                }
            )
        )
        head = self.chain.head
        assert head is not None  # an entry has just been written
        if not isinstance(body, Intent):  # its outcome follows at once
            self._publish(head)
        return entry

    def keep(self, content: bytes) -> Kept:
        """Keep a document beside the entries. Raises TooLargeError, LedgerError."""
        digest = digest_bytes(content)
        return Kept(digest=digest, place=self.store.keep(self.model, digest, content))

    def keep_together(self, contents: Sequence[bytes]) -> tuple[Kept, ...]:
        """Keep several documents beside the entries. Raises TooLargeError, LedgerError."""
        digests = [digest_bytes(content) for content in contents]
        places = self.store.keep_together(self.model, list(zip(digests, contents, strict=True)))
        return tuple(Kept(digest=d, place=place) for d, place in zip(digests, places, strict=True))

    def document(self, kept: Kept) -> bytes:
        """Return a document; raise LedgerError where it is not to be had, or is not what was kept."""
        content = self.store.document(self.model, kept.place)
        if digest_bytes(content) != kept.digest:
            raise LedgerError(f"the document {kept.place} is not what was kept: its digest differs")
        return content

    def _take(self, chain: Chain) -> None:
        self.chain = chain
        self.__dict__.pop("_folded", None)
