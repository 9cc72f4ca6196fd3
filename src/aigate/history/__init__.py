"""Looking back: what is in service, why a version was allowed, and whether ledger and world still agree.

Collects the facts for `account` and `audit`, and verifies what only this side can: that a
kept record is what it was, that its verdict follows from its own outcomes, and
that the same policies still say the same of the same evidence. Nothing here
writes; an audit with a signing key asks the server for one move that cannot
happen, to see that it is refused.
"""

from dataclasses import dataclass, field
from typing import Any

from aigate.account import Book, Explanation, Registry, Span, Status, live_of, status, under_way
from aigate.audit import Audit, Paper, anchors_of, audit, identities
from aigate.history.explain import explain
from aigate.history.facts import registry_of, runbooks_of
from aigate.history.good import known_good, looked_at
from aigate.history.papers import Progress, papers_of
from aigate.history.sight import Sight, open_sight
from aigate.history.verify import anchor_look, chain_looks, decision_looks, version_look
from aigate.ledger import Chain, Head, Identity, Intent, check_anchor
from aigate.manifest import RollbackRules
from aigate.plan import drift
from aigate.rules import environment_of
from aigate.standing import standing
from aigate.target import candidates
from aigate.values import Digest, Evident, gap, missing

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
    known, drifted = None, ""
    if gap(book) is None:
        found = standing(book.chain)
        live = _live(registry, alias)
        if gap(live) is None and not under_way(found, alias, live):
            drifted = "; ".join(blocker.message for blocker in drift(found, alias, live))
        leaving = found.holder(alias) if gap(live) is not None else live
        known = known_good(found, alias, leaving, sight.now, rules, drifted=bool(drifted))
    if known is not None:
        known = looked_at(sight, known, registry)
    return status(
        sight.model,
        alias,
        sight.now,
        book,
        registry,
        drift=drifted,
        known_good=known,
        owner=None if loaded is None else loaded.manifest.owner,
        runbooks=() if loaded is None else runbooks_of(loaded),
    )


def _live(registry: Evident[Registry], alias: str) -> Evident[Identity | None]:
    """Return who holds an alias by the registry; None where nothing does."""
    if (lost := gap(registry)) is not None:
        return missing(lost.missing, lost.source)
    return live_of(registry, registry.holder(alias))


def why(sight: Sight, alias: str, version: str, on: Span | None) -> Explanation:
    """Say why a version was in service, and verify everything that answer rests on."""
    book = sight.book
    registry = registry_of(sight, {alias}, also=(version,), files={version})
    told = explain(sight.model, alias, version, on, sight.now, book, _holding(book, registry, alias, version))
    if gap(book) is not None:
        return told
    looks = [*chain_looks(book.chain, told), anchor_look(book.chain, told, registry)]
    found: dict[str, Any] = {}
    body = None if told.entry is None else told.entry.body
    if isinstance(body, Intent) and body.action == "promote":  # a rollback rests on no decision of its own
        looks += decision_looks(sight, body, found)
    if told.tenure is not None:
        looks.append(version_look(told.tenure.identity, version, registry))
    elif told.answer == "ungated":
        if (passed := told.passages[-1]).seq is not None and passed.identity is not None:
            looks.append(version_look(passed.identity, version, registry))
    elif any(look.state == "bad" for look in looks):
        found["answer"] = missing(
            "the ledger cannot be believed, so that it does not speak of it says nothing", "ledger"
        )
    return told.model_copy(update={"looks": tuple(looks), **found})


def _holding(book: Evident[Book], registry: Evident[Registry], alias: str, version: str) -> Identity | None:
    """Return who a version is that holds the alias now though the ledger put another one there; None where none does.

    Where the ledger cannot be believed, what it does not speak of says
    nothing. One that was made anew under the number is told of by its look.
    """
    live = _live(registry, alias)
    if gap(book) is not None or gap(live) is not None or live is None or live.version != version:
        return None
    chain = book.chain
    holder = standing(chain).holder(alias)
    sound = not chain.faults and not any(check_anchor(chain, head, "") for head, _ in anchors_of(registry))
    return live if sound and (holder is None or holder.version != version) else None


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
    guard = sight.guard(alias)
    found = audit(sight.model, alias, sight.now, book, registry, papers=papers, handed=handed, guard=guard)
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
