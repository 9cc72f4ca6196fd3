"""What a ledger keeps of decisions, handed out as a source for a replay: records, and the snapshots behind them.

A ledger keeps the decisions that were acted upon. Those that denied are where
the pipeline kept them.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

from aigate.audit import Paper
from aigate.collect.records import Piece
from aigate.enforce.store import LedgerError
from aigate.history.papers import content_of
from aigate.history.sight import Sight
from aigate.ledger import Chain, Entry, Intent, Kept
from aigate.values import Digest, gap


def kept(sight: Sight, since: datetime | None, tell: Callable[[int, int], None]) -> Iterator[Piece]:
    """Yield the records and snapshots that the ledger keeps, each record before its snapshot.

    Only entries from `since` on are read; `tell` is given how many of how
    many. A document that is lost or altered is handed out as broken. Raises
    LedgerError where the ledger cannot be read or believed.
    """
    entries = [e for e in _believed(sight).entries if since is None or e.at >= since]
    given: set[Digest] = set()
    for number, entry in enumerate(entries, 1):
        tell(number, len(entries))
        if not isinstance(entry.body, Intent):
            continue
        if entry.body.record is not None:
            yield _piece(sight, entry, entry.body.record, "record")
        document = entry.body.snapshot
        if document is not None and document.digest not in given:
            given.add(document.digest)
            yield _piece(sight, entry, document, "snapshot")


def kept_decision(sight: Sight, id: str) -> tuple[bytes, bytes]:
    """Return record and snapshot of the decision whose id begins with these digits.

    Raises LedgerError where the ledger does not keep both of exactly one.
    """
    wanted = f"sha256:{id.removeprefix('sha256:')}"
    found = {
        e.body.decision: (e, e.body)
        for e in _believed(sight).entries
        if isinstance(e.body, Intent) and e.body.decision is not None and e.body.decision.startswith(wanted)
    }
    if len(found) != 1:
        count = "no decision" if not found else f"{len(found)} decisions"
        raise LedgerError(f"the ledger has {count} whose id begins with {wanted}")
    ((entry, body),) = found.values()
    if body.record is None or body.snapshot is None:
        raise LedgerError(f"entry {entry.seq} kept no record and no snapshot of it")
    pieces = (_piece(sight, entry, body.record, "record"), _piece(sight, entry, body.snapshot, "snapshot"))
    for piece in pieces:
        if piece.kind == "broken":
            raise LedgerError(f"{piece.where}: {piece.why}")
    return pieces[0].data, pieces[1].data


def _believed(sight: Sight) -> Chain:
    if (lost := gap(sight.book)) is not None:
        raise LedgerError(f"{lost.source}: {lost.missing}")
    chain = sight.book.chain
    if chain.faults:
        fault = chain.faults[0]
        raise LedgerError(
            f"the ledger cannot be believed: entry {fault.seq}: {fault.what}", fix="see `aigate audit`"
        )
    return chain


def _piece(sight: Sight, entry: Entry, document: Kept, role: str) -> Piece:
    where = f"ledger entry {entry.seq}, {role}"
    content = content_of(sight, document)
    if isinstance(content, Paper):
        return Piece(where, "broken", why=content.why, of_record=role == "record")
    return Piece(where, "record" if role == "record" else "snapshot", content.strip())
