"""Where a ledger is kept: one protocol, whatever keeps it. One contract suite runs over all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aigate.errors import AigateError
from aigate.values import Digest


class LedgerError(AigateError):
    """The ledger cannot be read, or an entry cannot be written. Nothing has moved, and nothing moves without it."""

    exit_code = 3


class UncertainError(AigateError):
    """Something was asked for, and whether it was done cannot be found out now."""

    exit_code = 4


class TooLargeError(AigateError):
    """The store has no room for a document of this size; it goes into a file instead."""


@dataclass(frozen=True)
class Guarantees:
    """What a store promises, each in words that also say against whom."""

    kind: str
    """`mlflow`, `sqlite`, `postgresql`."""
    place: str
    """Where it is, without credentials."""
    exclusive: str
    """Whether two writers can both believe that they wrote the same entry, and why not."""
    durable: str
    """What an entry that was written survives."""
    tamper_evident: str
    """Who could change the past, and what would show it."""

    def line(self) -> str:
        """Return the promises on one line, as it is shown at the start of every act."""
        return f"{self.kind} at {self.place}: {self.exclusive}; {self.durable}; {self.tamper_evident}"


class LedgerStore(Protocol):
    """Keeps the entries of every model, and the documents beside them. Safe to use from several processes."""

    def guarantees(self) -> Guarantees:
        """Return what this store promises. Asks nothing of the world."""

    def read(self, model: str) -> tuple[bytes, ...]:
        """Return a model's entries as they were written, first to last; none where it has no ledger yet.

        Creates nothing. Raises LedgerError where they cannot all be had: a
        store that does not answer, a ledger that was deleted, a number that
        is lacking before the last one.
        """

    def append(self, model: str, seq: int, entry: bytes) -> bool:
        """Write entry number `seq`, once and for ever; return whether it is ours that now stands there.

        False: another writer's entry has that number (or an entry with other
        bytes); read again and decide anew. When it returns True the entry is
        durable. It is only asked for the number after the last one read; a
        store may refuse a gap with LedgerError. Raises LedgerError where
        nothing was written, UncertainError where it cannot be found out
        whether it was.
        """

    def keep(self, model: str, digest: Digest, content: bytes) -> str:
        """Keep a document of a model and return the store's reference to it.

        The same content twice may be kept once or twice: a reference stays
        good either way. Raises TooLargeError for one it has no room for,
        LedgerError where it was not kept.
        """

    def keep_together(self, model: str, documents: Sequence[tuple[Digest, bytes]]) -> tuple[str, ...]:
        """Keep several documents, as `keep` does each; cheaper where the store has a long way to go."""

    def document(self, model: str, place: str) -> bytes:
        """Return a document by its reference. Raises LedgerError where it is not to be had."""

    def close(self) -> None:
        """Let go of connections. Raises nothing."""
