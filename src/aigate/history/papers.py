"""The documents beside the ledger: read again, and held against what the entries say of them."""

import errno
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aigate.audit import Paper, mismatches
from aigate.digest import digest_bytes
from aigate.enforce.store import LedgerError
from aigate.errors import ConfigError
from aigate.history.sight import Sight
from aigate.ledger import Chain, Halt, Identity, Intent, Kept
from aigate.report.json import MAX_RECORD, read_record
from aigate.values import Digest, gap

IN_A_FILE = "file:"
"""Begins the reference of a document that the store had no room for."""

Progress = Callable[[str], None]
"""Is told what is being looked at, for a person who waits."""


def papers_of(
    sight: Sight, chain: Chain, kept: dict[Digest, bytes] | None, progress: Progress
) -> Iterator[Paper]:
    """Read every record and snapshot again; a document that several entries share is read once."""
    read: dict[Kept, Paper] = {}
    for entry in chain.entries:
        body = entry.body
        if not isinstance(body, Intent | Halt):
            continue
        if body.record is not None:
            progress(f"reading the documents of entry {entry.seq} of {len(chain.entries)}")
            content = content_of(sight, body.record)
            yield paper_of(entry.seq, body, "record", body.record, content)
            _hold(kept, body.record, content)
        if isinstance(body, Intent) and body.snapshot is not None:
            if body.snapshot not in read:
                content = content_of(sight, body.snapshot)
                read[body.snapshot] = paper_of(entry.seq, body, "snapshot", body.snapshot, content)
                _hold(kept, body.snapshot, content)
            yield read[body.snapshot].model_copy(update={"seq": entry.seq})


def _hold(kept: dict[Digest, bytes] | None, where: Kept, content: bytes | Paper) -> None:
    if kept is not None and isinstance(content, bytes):
        kept[where.digest] = content


def content_of(sight: Sight, kept: Kept) -> bytes | Paper:
    """Return a document's bytes, or what became of it."""

    def lost(state: Any, why: str) -> Paper:
        return Paper(seq=1, role="record", kept=kept, state=state, why=why)

    try:
        if kept.place.startswith(IN_A_FILE):
            content = _from_file(sight, kept.place.removeprefix(IN_A_FILE))
        else:
            assert sight.store is not None  # a chain was read from it
            content = sight.store.document(sight.model, kept.place)
    except OSError as e:
        where = f"the ledger had no room for it, and {kept.place} cannot be read here"
        return lost("unseen", f"{where}: {e.strerror}")
    except LedgerError as e:
        return lost("lost" if _answers(sight) else "unseen", e.message)
    found = digest_bytes(content)
    if found != kept.digest:
        return lost("altered", f"its digest is {found[:19]}…, kept was {kept.digest[:19]}…")
    return content


def _from_file(sight: Sight, name: str) -> bytes:
    """Return a document from the file beside the manifest into which it was put. Raises OSError."""
    if Path(name).name != name:
        raise FileNotFoundError(errno.ENOENT, "that is no file's name")
    with (sight.folder / name).open("rb") as file:
        return file.read(MAX_RECORD)


def _answers(sight: Sight) -> bool:
    """Whether the store still answers: only then is a document that it does not give gone."""
    assert sight.store is not None
    try:
        return bool(sight.store.read(sight.model))
    except LedgerError:
        return False


def paper_of(seq: int, body: Intent | Halt, role: Any, kept: Kept, content: bytes | Paper) -> Paper:
    """Return what became of one document of an entry: is it what was kept, and does it say what the entry says?"""
    if isinstance(content, Paper):
        return content.model_copy(update={"seq": seq, "role": role})
    paper = Paper(seq=seq, role=role, kept=kept, state="same")
    if role == "snapshot":
        return paper
    try:
        decision = read_record(content)
    except ConfigError as e:
        return paper.model_copy(update={"state": "altered", "why": e.message})
    paper = paper.model_copy(
        update={
            "id": id_of(content),
            "snapshot": decision.snapshot_digest,
            "verdict": decision.verdict,
            "subject": None if gap(decision.subject) is not None else Identity.of(decision.subject),
        }
    )
    wrong = mismatches(body, paper)
    return paper.model_copy(update={"state": "altered", "why": wrong}) if wrong else paper


def id_of(record: bytes) -> Digest:
    """Return the id in a record's own bytes.

    A decision that an older aigate recorded has fewer fields than ours, so its
    id cannot be computed from what was read.
    """
    found: Digest = json.loads(record)["id"]
    return found
