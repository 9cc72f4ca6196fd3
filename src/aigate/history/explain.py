"""How a version came to serve, by the ledger alone. Pure: what verifies the answer is added by who can look."""

from datetime import datetime
from typing import Any

from aigate.account import Answer, Attempt, Book, Explanation, Origin, Passage, Span, outcomes_of
from aigate.history.mentions import mentions_of, passages_of
from aigate.ledger import MOVED, Chain, Entry, Identity, Intent
from aigate.standing import Standing, Tenure, standing
from aigate.values import Evident, gap, missing


def tenures_of(found: Standing, alias: str, version: str) -> tuple[Tenure, ...]:
    """Return every time a version of that number held an alias, oldest first."""
    return tuple(
        t
        for t in found.tenures
        if t.alias == alias and t.identity is not None and t.identity.version == version
    )


def attempts_of(chain: Chain, alias: str, version: str) -> tuple[Attempt, ...]:
    """Return the intents to move an alias to a version that moved nothing, oldest first."""
    outcomes = outcomes_of(chain)
    found = []
    for entry in chain.entries:
        body = entry.body
        if not isinstance(body, Intent) or body.alias != alias or body.to.version != version:
            continue
        outcome = outcomes.get(entry.seq)
        if outcome is not None and outcome.result in MOVED:
            continue
        found.append(
            Attempt(
                seq=entry.seq,
                at=entry.at,
                action=body.action,
                by=entry.actor.name,
                result="open" if outcome is None else outcome.result,
                detail="" if outcome is None else outcome.detail,
            )
        )
    return tuple(found)


def explain(
    model: str,
    alias: str,
    version: str,
    on: Span | None,
    now: datetime,
    book: Evident[Book],
    holding: Identity | None = None,
) -> Explanation:
    """Say how a version came to serve. `holding` is who it is, where the registry says that it holds the alias now."""
    told: dict[str, Any] = {
        "model": model,
        "alias": alias,
        "version": version,
        "on": on.said if on else "",
        "now": now,
    }
    if (lost := gap(book)) is not None:
        return Explanation(**told, answer=missing(lost.missing, lost.source))
    chain = book.chain
    found = standing(chain)
    served = tenures_of(found, alias, version)
    passages = passages_of(chain, alias, version, now, holding)
    tenure = next((t for t in reversed(served) if on is None or on.covers(t)), None)
    passage = next((p for p in reversed(passages) if on is None or _covers(on, p, now)), None)
    if tenure is not None and passage is not None and _later(passage, tenure, on):
        tenure = None  # it served last past the gate: what had allowed it once had ended
    entry, origin = _rests_on(chain, found, tenure)
    answer = "ungated" if tenure is None and passage is not None else _answer(chain, tenure, served)
    instead = on is not None and tenure is None and passage is None
    return Explanation(
        **told,
        answer=answer,
        tenure=tenure,
        tenures=served,
        instead=tuple(t for t in found.tenures if t.alias == alias and on is not None and on.covers(t))
        if instead
        else (),
        passages=passages,
        attempts=attempts_of(chain, alias, version),
        mentions=mentions_of(chain, version),
        origin=origin if answer == "returned" else None,
        entry=entry,
        digest=None if entry is None else chain.digests[entry.seq - 1],
        entries=len(chain.entries),
        head=chain.head,
        ledger=book.line,
    )


def _later(passage: Passage, tenure: Tenure, on: Span | None) -> bool:
    """Whether a version was found past the gate after a tenure began, and within the time asked about for sure."""
    return tenure.since < passage.seen and (on is None or passage.seen <= on.last)


def _covers(on: Span, passage: Passage, now: datetime) -> bool:
    """Whether a passage may have lasted at any moment of the time asked about: since when is never known."""
    until = passage.until or (passage.seen if passage.seq is not None else now)
    return (passage.after is None or passage.after <= on.last) and until >= on.start


def _answer(chain: Chain, tenure: Tenure | None, served: tuple[Tenure, ...]) -> Answer:
    if tenure is None:
        return "not_then" if served else "never"
    if _is_glass(chain.entry(tenure.seq)):
        return "glass"
    ways: dict[str, Answer] = {"promote": "promoted", "rollback": "returned", "adopt": "adopted"}
    return ways[tenure.by]


def _is_glass(entry: Entry | None) -> bool:
    return entry is not None and isinstance(entry.body, Intent) and entry.body.glass is not None


def _rests_on(chain: Chain, found: Standing, tenure: Tenure | None) -> tuple[Entry | None, Origin | None]:
    """Return the entry that a tenure's right rests on: for a rollback, how the version first came to serve.

    A decision that allowed it goes before a use of break-glass, and that before an adoption.
    """
    if tenure is None:
        return None, None
    own, identity = chain.entry(tenure.seq), tenure.identity
    if tenure.by != "rollback" or identity is None:
        return own, None
    same = [
        t
        for t in found.tenures
        if t.alias == tenure.alias
        and t.seq < tenure.seq
        and t.identity is not None
        and t.identity.same_version(identity)
    ]
    ways: tuple[tuple[Origin, list[Tenure]], ...] = (
        ("promoted", [t for t in same if t.decision is not None and not _is_glass(chain.entry(t.seq))]),
        ("glass", [t for t in same if _is_glass(chain.entry(t.seq))]),
        ("adopted", [t for t in same if t.by == "adopt"]),
    )
    for origin, tenures in ways:
        allowed = [t for t in tenures if t.by != "rollback"]
        if allowed:
            return chain.entry(allowed[-1].seq), origin
    return own, "undecided"
