"""Looking back: what is in service, why a version was allowed, and whether ledger and world still agree.

Collects the facts for `account` and `audit`, and verifies what only this side can: that a
kept record is what it was, that its verdict follows from its own outcomes, and
that the same policies still say the same of the same evidence. Nothing here
writes.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aigate.account import Explanation, KnownGood, Span, Status, explain, status
from aigate.audit import Audit, Paper, audit, identities
from aigate.gate import environment_of
from aigate.history.facts import registry_of, runbooks_of
from aigate.history.papers import Progress, papers_of
from aigate.history.sight import Sight, open_sight
from aigate.history.verify import anchor_look, chain_looks, decision_looks, version_look
from aigate.ledger import Chain, Head, Intent
from aigate.manifest import RollbackRules
from aigate.plan import candidates
from aigate.standing import Standing, standing
from aigate.values import Digest, gap, missing

__all__ = ["Audited", "Progress", "Sight", "audited", "known_good", "open_sight", "status_of", "why"]


@dataclass(frozen=True)
class Audited:
    """An audit and the bytes it looked at, for an export."""

    audit: Audit
    chain: Chain
    lines: tuple[bytes, ...] = ()
    """Every entry as it is stored."""
    documents: dict[Digest, bytes] = field(default_factory=dict)
    """Records and snapshots that are what was kept, by digest."""
    papers: tuple[Paper, ...] = ()


def status_of(sight: Sight, alias: str, environment: str) -> Status:
    """Say what is in service. Raises UsageError for a model that neither registry nor ledger knows."""
    loaded = sight.loaded
    rules = RollbackRules() if loaded is None else environment_of(loaded, environment).rollback
    book = sight.book
    registry = registry_of(sight, {alias})
    known = None if gap(book) is not None else known_good(standing(book.chain), alias, sight.now, rules)
    return status(
        sight.model,
        alias,
        sight.now,
        book,
        registry,
        known_good=known,
        owner=None if loaded is None else loaded.manifest.owner,
        runbooks=() if loaded is None else runbooks_of(loaded),
    )


def known_good(found: Standing, alias: str, now: datetime, rules: RollbackRules) -> KnownGood | None:
    """Return the version that a rollback would return to, as far as the ledger tells; None where there is none.

    The last one that served long enough, else the last one at all; the
    registry's side of it is looked at when it is returned to.
    """
    free = [c for c in candidates(found, alias, found.holder(alias), now) if not found.quarantine(c.identity)]
    known = [
        KnownGood(
            identity=c.identity, until=c.until, lived=c.lived, soaked=c.vouched or c.lived >= rules.min_soak
        )
        for c in free
    ]
    return next((k for k in known if k.soaked), known[0] if known else None)


def why(sight: Sight, alias: str, version: str, on: Span | None) -> Explanation:
    """Say why a version was in service, and verify everything that answer rests on."""
    book = sight.book
    registry = registry_of(sight, {alias}, also=(version,), files={version})
    told = explain(sight.model, alias, version, on, sight.now, book)
    if gap(book) is not None:
        return told
    looks = [*chain_looks(book.chain, told), anchor_look(book.chain, told, registry)]
    found: dict[str, Any] = {}
    if told.entry is not None and isinstance(told.entry.body, Intent):
        looks += decision_looks(sight, told.entry.body, found)
    if told.tenure is not None:
        looks.append(version_look(told.tenure.identity, version, registry))
    elif any(look.state == "bad" for look in looks):
        found["answer"] = missing(
            "the ledger cannot be believed, so that it does not speak of it says nothing", "ledger"
        )
    return told.model_copy(update={"looks": tuple(looks), **found})


def audited(
    sight: Sight,
    alias: str,
    environment: str,
    *,
    handed: tuple[Head, ...] = (),
    all_versions: bool = False,
    keep: bool = False,
    progress: Progress = lambda words: None,
) -> Audited:
    """Look at everything there is, and say what does not agree. `keep` holds the documents for an export."""
    book = sight.book
    documents: dict[Digest, bytes] = {}
    papers: tuple[Paper, ...] = ()
    chain = Chain(model=sight.model)
    files: set[str] = set()
    if gap(book) is None:
        chain = book.chain
        papers = tuple(papers_of(sight, chain, documents if keep else None, progress))
        files = _worth_reading(sight, chain, alias, environment, all_versions)
    progress("reading the registry")
    registry = registry_of(sight, {alias}, files=files, every=True)
    found = audit(sight.model, alias, sight.now, book, registry, papers=papers, handed=handed)
    return Audited(found, chain, sight.lines, documents, papers)


def _worth_reading(sight: Sight, chain: Chain, alias: str, environment: str, every: bool) -> set[str]:
    """Return the versions whose files are read again: those that serve, or that a rollback may return to."""
    known = identities(chain)
    if every:
        return set(known)
    found = standing(chain)
    aliases = {alias, *(tenure.alias for tenure in found.tenures)}
    serving = {holder.version for a in aliases if (holder := found.holder(a)) is not None}
    good = {
        candidate.identity.version
        for a in aliases
        for candidate in candidates(found, a, found.holder(a), sight.now)
        if not found.quarantine(candidate.identity)
    }
    return (serving | good) & set(known)
