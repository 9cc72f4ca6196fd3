"""A ledger store in memory, and what a test may break in it."""

from collections.abc import Sequence

from aigate.enforce.store import Guarantees, LedgerError, UncertainError
from aigate.values import Digest


class MemoryStore:
    """Keeps a ledger in a dictionary."""

    def __init__(self) -> None:
        self.entries: dict[str, list[bytes]] = {}
        self.documents: dict[str, bytes] = {}
        self.dead = False
        self.uncertain = False

    def guarantees(self) -> Guarantees:
        return Guarantees("memory", "this process", "exclusive", "not durable", "not tamper-evident")

    def read(self, model: str) -> tuple[bytes, ...]:
        self._alive()
        return tuple(self.entries.get(model, ()))

    def append(self, model: str, seq: int, entry: bytes) -> bool:
        self._alive()
        if self.uncertain:
            raise UncertainError("the store does not say whether it wrote")
        lines = self.entries.setdefault(model, [])
        if seq > len(lines) + 1:
            raise LedgerError("a gap")
        if seq <= len(lines):
            return lines[seq - 1] == entry
        lines.append(entry)
        return True

    def keep(self, model: str, digest: Digest, content: bytes) -> str:
        self._alive()
        self.documents[digest] = content
        return digest

    def keep_together(self, model: str, documents: Sequence[tuple[Digest, bytes]]) -> tuple[str, ...]:
        """Keep several documents, one after the other."""
        return tuple(self.keep(model, digest, content) for digest, content in documents)

    def document(self, model: str, place: str) -> bytes:
        self._alive()
        if place not in self.documents:
            raise LedgerError("no such document")
        return self.documents[place]

    def close(self) -> None:
        pass

    def _alive(self) -> None:
        if self.dead:
            raise LedgerError("the store does not answer")
