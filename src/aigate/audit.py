"""The audit: everything that does not agree between ledger, registry and documents.

Pure. In: the chain, what the registry says now, and what became of the
documents beside the ledger. What could not be looked at is remarked, and is
never clean.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from aigate.account import Book, Registry, Seen, head_of, live_of, outcomes_of, twins_of, under_way
from aigate.decision import Verdict
from aigate.guarded import Told
from aigate.ledger import MOVED, Adopt, Chain, Halt, Head, Identity, Intent, Kept, Outcome, check_anchor
from aigate.plan import drift
from aigate.remarks import (
    GRAVITIES,
    Gravity,
    Remark,
    chain_remarks,
    guard_remark,
    history_remarks,
    numbered,
    say,
    state_remarks,
)
from aigate.standing import standing
from aigate.values import Digest, Evident, Instant, Model, Name, Text, gap, show_instant
from aigate.wording import command, shown


class Paper(Model):
    """A document beside the ledger, and what became of it."""

    seq: int
    role: Literal["record", "snapshot"]
    kept: Kept
    state: Literal["same", "altered", "lost", "unseen"]
    """`altered`: other bytes than were kept; `lost`: not there; `unseen`: nobody could say."""
    why: Text = ""
    id: Digest | None = None
    """The decision's id, as a sound record's own bytes give it."""
    snapshot: Digest | None = None
    """The evidence that a record names."""
    verdict: Verdict | None = None
    subject: Identity | None = None
    """The version that a record is about."""


class Anchor(Model):
    """A point of the chain that is kept elsewhere."""

    kept_in: Text
    head: Head
    holds: bool | None
    """Whether it lies on the chain; None where the chain could not be read so far."""


class Audit(Model):
    """Everything that does not agree between ledger, registry and documents."""

    schema_: Annotated[Literal["aigate.audit/v1"], Field(alias="schema")] = "aigate.audit/v1"
    model: Name
    alias: Name
    now: Instant
    entries: int
    head: Head | None
    anchors: tuple[Anchor, ...] = ()
    versions: int = 0
    """Versions that were looked at."""
    files: int = 0
    """Versions whose files were read again."""
    documents: int = 0
    """Records and snapshots that were read again."""
    remarks: tuple[Remark, ...] = ()
    ledger: Text = ""
    registry: Text = ""

    def count(self, gravity: Gravity) -> int:
        """Return how many remarks have a gravity."""
        return sum(remark.gravity == gravity for remark in self.remarks)

    @property
    def exit_code(self) -> int:
        """1 where something is broken, else 3 where something could not be looked at, else 0."""
        if self.count("broken"):
            return 1
        return 3 if self.count("unseen") else 0


def audit(
    model: str,
    alias: str,
    now: datetime,
    book: Evident[Book],
    registry: Evident[Registry],
    *,
    papers: tuple[Paper, ...] = (),
    handed: tuple[Head, ...] = (),
    guard: Told | None = None,
) -> Audit:
    """Hold ledger, registry and documents against each other. `handed` are anchors from a job's log.

    `guard` says whether the registry's server guards the alias; None where nobody asked.
    """
    remarks: list[Remark] = [] if guard is None else [guard_remark(guard)]
    anchors: list[Anchor] = []
    lost_book, lost_registry = gap(book), gap(registry)
    if lost_book is not None:
        remarks.append(say("unseen", "ledger", "ledger", f"the ledger was not read: {lost_book.missing}"))
    if lost_registry is not None:
        remarks.append(
            say("unseen", "registry", "registry", f"the registry was not read: {lost_registry.missing}")
        )
    else:
        remarks += _twins(registry, {alias} if lost_book is not None else {alias, *_aliases(book.chain)})
    if lost_book is None:
        chain = book.chain
        remarks += chain_remarks(model, book)
        anchors = [
            Anchor(kept_in=place, head=head, holds=_holds(chain, head))
            for head, place in anchors_of(registry, handed)
        ]
        remarks += _anchored(model, chain, anchors, registry)
        remarks += history_remarks(model, chain, now)
        if chain.faults:
            words = "what is in service, halted or open by now is not known, for the entries after it are not"
            remarks.append(say("unseen", "chain", numbered(len(chain.entries)), words))
        remarks += _papers(papers)
        if lost_registry is None:
            remarks += _receipts(model, chain, registry)
            remarks += () if chain.faults else _drift(chain, registry, alias)
            remarks += _versions(model, chain, registry, alias)
        remarks += () if chain.faults else state_remarks(model, standing(chain), now)
    return Audit(
        model=model,
        alias=alias,
        now=now,
        entries=0 if lost_book is not None else len(book.chain.entries),
        head=None if lost_book is not None else book.chain.head,
        anchors=tuple(anchors),
        versions=0 if lost_registry is not None else len(registry.versions),
        files=0 if lost_registry is not None else sum(seen.files for seen in registry.versions),
        documents=sum(paper.state != "unseen" for paper in papers),
        remarks=tuple(sorted(remarks, key=lambda remark: GRAVITIES.index(remark.gravity))),
        ledger="" if lost_book is not None else book.line,
        registry="" if lost_registry is not None else registry.shown,
    )


def _aliases(chain: Chain) -> set[str]:
    return {entry.body.alias for entry in chain.entries if isinstance(entry.body, Intent | Adopt)}


def anchors_of(registry: Evident[Registry], handed: Iterable[Head] = ()) -> Iterator[tuple[Head, str]]:
    """Yield every anchor and where it is kept."""
    if gap(registry) is None:
        tags = [(registry.anchor, "the model's tag aigate.ledger")]
        tags += [(seen.receipt, f"the receipt on v{seen.number}") for seen in registry.versions]
        for tag, place in tags:
            head = None if tag is None else head_of(tag)
            if head is not None:
                yield head, place
    for head in handed:
        yield head, "the anchor that was handed in"


def _holds(chain: Chain, head: Head) -> bool | None:
    if chain.faults and head.seq > len(chain.entries):
        return None
    return check_anchor(chain, head, "") is None


def _anchored(
    model: str, chain: Chain, anchors: Iterable[Anchor], registry: Evident[Registry]
) -> Iterator[Remark]:
    """Say which anchors do not lie on the chain, and what no anchor covers."""
    covered = 0
    for anchor in anchors:
        fault = check_anchor(chain, anchor.head, anchor.kept_in)
        if anchor.holds is None or fault is None:
            covered = max(covered, anchor.head.seq)
            continue
        accepted = _accepted(chain, anchor.head)
        yield say(
            "warning" if accepted else "broken",
            "anchor",
            numbered(fault.seq),
            f"{fault.what}{accepted}",
            ""
            if accepted
            else "name the right ledger (--ledger), restore it from a backup, or accept the loss: "
            + command("adopt", model, "--reason", "…"),
        )
    if gap(registry) is None and registry.anchor is not None and head_of(registry.anchor) is None:
        yield say(
            "broken", "anchor", "the model's tag aigate.ledger", "it is not an anchor that aigate wrote"
        )
    size = len(chain.entries)
    if size and gap(registry) is None and registry.anchor is None:
        yield say(
            "warning",
            "anchor",
            "the model's tag aigate.ledger",
            "it is gone: the next act writes it anew; until then a cut-off end may not show",
        )
    if covered < size and not chain.faults:
        first = f"from entry {covered + 1} on, " if covered + 1 < size else ""
        yield say("note", "anchor", numbered(size), f"{first}covered by no anchor that was found")


def _accepted(chain: Chain, head: Head) -> str:
    """Return who accepted an anchor's loss, where somebody did; the ledger's own word, so never more than a warning."""
    for entry in chain.entries:
        if isinstance(entry.body, Adopt) and head.digest[:19] in entry.body.lost:
            return f"; accepted by {entry.actor.name} at {show_instant(entry.at)} (entry {entry.seq}): {entry.body.reason}"
    return ""


def _receipts(model: str, chain: Chain, registry: Registry) -> Iterator[Remark]:
    """Find receipts that the ledger never gave: copied with a version, or written by hand; and lost ones."""
    outcomes = outcomes_of(chain)
    for seen in registry.versions:
        if seen.receipt is None:
            continue
        where, head = f"v{seen.number}", head_of(seen.receipt)
        if head is None:
            yield say(
                "broken",
                "receipt",
                where,
                "its tag aigate.receipt is none that aigate wrote",
                "find out who wrote it, and delete the tag",
            )
            continue
        if _holds(chain, head) is not True:
            continue  # said with the anchors
        why = _forged(seen, head, json.loads(seen.receipt), chain, outcomes)
        if why:
            yield say(
                "broken",
                "receipt",
                where,
                f"its receipt is of entry {head.seq}, {why}: copied from another "
                "version (MLflow copies tags), or forged",
                "find out who wrote it, and delete the tag",
            )
    latest = {t.identity.version: t for t in standing(chain).tenures if t.identity is not None}
    for number, tenure in latest.items():
        found = registry.version(number)
        there = found is not None and gap(found.identity) is None and found.identity is not None
        if there and found is not None and found.receipt is None:
            yield say(
                "warning", "receipt", f"v{number}", f"its receipt is gone; entry {tenure.seq} gave it one"
            )


def _forged(
    seen: Seen, head: Head, tag: Mapping[str, object], chain: Chain, outcomes: Mapping[int, Outcome]
) -> str:
    """Return why a receipt is not this version's own; empty where it is."""
    entry = chain.entry(head.seq)
    body = None if entry is None else entry.body
    if not isinstance(body, Intent | Adopt) or body.to is None:
        return "which moved no alias"
    if body.to.version != seen.number:
        return f"which is about v{body.to.version}"
    if gap(seen.identity) is None and seen.identity is not None and not seen.identity.same_version(body.to):
        return f"which is about another version of the number {seen.number}"
    if tag.get("decision") != (body.decision if isinstance(body, Intent) else None):
        return "which rests on another decision"
    outcome = outcomes.get(head.seq)
    if outcome is not None and outcome.result not in MOVED:
        return f"which moved nothing ({outcome.result})"
    return ""


def _twins(registry: Registry, wanted: Iterable[str]) -> Iterator[Remark]:
    for alias in sorted(wanted):
        for other in twins_of(registry, alias):
            yield say(
                "broken",
                "twin",
                f"@{other.alias}",
                f"it stands beside @{alias} and looks like it: which one serving reads nobody knows",
                "delete it in MLflow",
            )


def _drift(chain: Chain, registry: Registry, asked: str) -> Iterator[Remark]:
    """Find aliases that are not where the ledger last put them."""
    found = standing(chain)
    for alias in sorted({asked, *_aliases(chain)}):
        live = live_of(registry, registry.holder(alias))
        if (lost := gap(live)) is not None:
            yield say("unseen", "drift", f"@{alias}", f"which version holds it is not known: {lost.missing}")
        elif not under_way(found, alias, live):  # that is said with the open intents
            for blocker in drift(found, alias, live):
                yield say("broken", blocker.code, f"@{alias}", blocker.message, blocker.fix)


_PAPERS = {"record": "decision's record", "snapshot": "evidence"}


def _papers(papers: Iterable[Paper]) -> Iterator[Remark]:
    """Say which records and snapshots are not what was kept."""
    for paper in papers:
        where, what = numbered(paper.seq), _PAPERS[paper.role]
        if paper.state == "altered":
            yield say("broken", "document", where, f"its {what} is not what was kept: {paper.why}")
        elif paper.state == "lost":
            yield say("broken", "document", where, f"its {what} is gone: {paper.why}")
        elif paper.state == "unseen":
            yield say("unseen", "document", where, f"its {what} could not be read: {paper.why}")


def mismatches(body: Intent | Halt, record: Paper) -> str:
    """Return how a sound record is not the one that an intent or a halt rests on; empty where it is."""
    if record.id != body.decision:
        return "it is the record of another decision"
    if isinstance(body, Halt):  # it names no version and no evidence of its own
        return ""
    if body.snapshot is not None and record.snapshot != body.snapshot.digest:
        return "it rests on other evidence than the entry names"
    if body.action == "promote" and (record.subject is None or not record.subject.same_version(body.to)):
        return f"it is about {shown(record.subject)}, and the entry moved the alias to {shown(body.to)}"
    if body.action == "promote" and body.glass is None and record.verdict != "allow":
        return f"its verdict is {record.verdict}, and the version was promoted without break-glass"
    return ""


def _versions(model: str, chain: Chain, registry: Registry, alias: str) -> Iterator[Remark]:
    """Find versions that served and are gone, made anew, or have other files than they had."""
    for number, known in sorted(identities(chain).items(), key=lambda item: int(item[0])):
        seen = registry.version(number)
        where = f"v{number}"
        if seen is None:
            continue
        if (lost := gap(seen.identity)) is not None:
            yield say("unseen", "version", where, f"it could not be read: {lost.missing}")
        elif seen.identity is None:
            serving = registry.holder(alias) == number
            yield say(
                "broken" if serving else "warning",
                "version",
                where,
                "it was deleted from the registry: what it was can no longer be looked at",
            )
        elif not known.same_version(seen.identity):
            yield say(
                "broken",
                "version",
                where,
                f"it is not the version that the ledger knows: {_how(known, seen.identity)}",
            )
        elif seen.files:
            yield from _files(model, where, known, seen.identity)
            yield from _astray(model, where, seen)


def identities(chain: Chain) -> dict[str, Identity]:
    """Return every version that the ledger speaks of as in service or meant to be, as it was last known."""
    found: dict[str, Identity] = {}
    for entry in chain.entries:
        body = entry.body
        if isinstance(body, Intent | Adopt):
            for identity in (body.from_, body.to):
                if identity is not None:
                    found[identity.version] = identity
    return found


def _how(known: Identity, now: Identity) -> str:
    fields = ("created_at", "run_id", "source", "model_id")
    changed = [field for field in fields if getattr(known, field) != getattr(now, field)]
    anew = known.created_at != now.created_at
    how = "it was deleted and made anew" if anew else "its row was changed, which MLflow itself never does"
    return f"{', '.join(changed)} differ{'s' if len(changed) == 1 else ''}; {how}"


def _astray(model: str, where: str, seen: Seen) -> Iterator[Remark]:
    if (lost := gap(seen.astray)) is not None:
        yield say("unseen", "artifact", where, f"where it is served from is not known: {lost.missing}")
    elif seen.astray is not None:
        yield say(
            "broken",
            "artifact",
            where,
            f"MLflow serves it from {seen.astray}, which is not where its files lie: its row was changed, "
            "which MLflow itself never does",
            f"do not serve it: {command('halt', model, '--reason', f'{where} is served from elsewhere')}",
        )


def _files(model: str, where: str, known: Identity, now: Identity) -> Iterator[Remark]:
    if (lost := gap(now.artifact_digest)) is not None:
        yield say("unseen", "artifact", where, f"its files could not be read: {lost.missing}")
    elif (lost := gap(known.artifact_digest)) is not None:
        yield say("note", "artifact", where, f"its files were not known when it was recorded: {lost.missing}")
    elif known.artifact_digest != now.artifact_digest:
        yield say(
            "broken",
            "artifact",
            where,
            f"its files are not the ones that were recorded: {known.artifact_digest[:19]}… then, "
            f"{now.artifact_digest[:19]}… now",
            f"do not serve it: {command('halt', model, '--reason', f'files of {where} were overwritten')}",
        )
