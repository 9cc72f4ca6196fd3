"""The account that a model's history gives: what is in service, why a version was allowed, what does not agree.

Pure. In: the chain, what the registry says now, and what became of the
documents beside the ledger. What could not be had is `Missing`, and is said.
"""

import json
import shlex
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from aigate.decision import Decision, Verdict
from aigate.ledger import (
    MOVED,
    Adopt,
    Chain,
    Entry,
    Fault,
    Head,
    Identity,
    Intent,
    Kept,
    Outcome,
    check_anchor,
)
from aigate.manifest import Owner
from aigate.snapshot import Runbook
from aigate.standing import Glass, HaltInForce, Open, Quarantine, Standing, Tenure, standing
from aigate.values import (
    Digest,
    Duration,
    Evident,
    Instant,
    Model,
    Name,
    Text,
    VersionNumber,
    gap,
    missing,
    show_instant,
)

Gravity = Literal["broken", "unseen", "warning", "note"]
"""`broken`: something is not what was recorded. `unseen`: it could not be looked at. `warning`: nothing is
proven wrong, and somebody has to see to it. `note`: worth knowing."""

GRAVITIES: tuple[Gravity, ...] = ("broken", "unseen", "warning", "note")
"""In the order in which they are listed."""

Answer = Literal["promoted", "glass", "returned", "adopted", "not_then", "never"]
"""How a version came to serve: `promoted` by a decision, past one by break-`glass`, `returned` to by a rollback,
`adopted` without a decision; `not_then`: it served, but not on that day; `never`."""


# ---- facts, as they are handed in


class Seen(Model):
    """One version as the registry has it now."""

    number: VersionNumber
    identity: Evident[Identity | None]
    """None where there is no such version."""
    receipt: str | None = None
    """Its tag `aigate.receipt`, as it stands."""
    files: bool = False
    """Whether its files were read for their digest."""


class Held(Model):
    """An alias as the registry spells it, and the version it points to."""

    alias: Text
    version: VersionNumber


class Registry(Model):
    """What the registry says now about the model."""

    shown: Text
    aliases: tuple[Held, ...] = ()
    anchor: str | None = None
    """The model's tag `aigate.ledger`, as it stands."""
    watch: str | None = None
    """The model's tag `aigate.watch`, as it stands."""
    versions: tuple[Seen, ...] = ()

    def holder(self, alias: str) -> VersionNumber | None:
        """Return the version that holds an alias; None where nothing does."""
        return next((found.version for found in self.aliases if found.alias == alias), None)

    def version(self, number: str) -> Seen | None:
        """Return what is known of a version; None where nobody looked."""
        return next((seen for seen in self.versions if seen.number == number), None)


class Book(Model):
    """The ledger as it was read."""

    line: Text
    """Where it is kept, and what that promises."""
    chain: Chain
    stored: Annotated[int, Field(ge=0)]
    """Entries that the store holds, believed or not."""


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


# ---- what is told


class KnownGood(Model):
    """The version that a rollback would return to, by the ledger alone."""

    identity: Identity
    until: Instant | None
    lived: Duration
    soaked: bool
    """Whether it served long enough to be known good, or somebody vouched for it."""


class Status(Model):
    """What is in service, and what stands in the way of the next move."""

    schema_: Annotated[Literal["aigate.status/v1"], Field(alias="schema")] = "aigate.status/v1"
    model: Name
    alias: Name
    now: Instant
    holder: Evident[VersionNumber | None]
    """What the registry says."""
    tenure: Evident[Tenure | None]
    """What the ledger says; None where it has never heard of the alias."""
    drift: Text = ""
    """How the two differ; empty where they do not, or where one of them is not known."""
    known_good: Evident[KnownGood | None] = None
    halts: tuple[HaltInForce, ...] = ()
    quarantined: tuple[Quarantine, ...] = ()
    open: tuple[Open, ...] = ()
    unreviewed: tuple[Glass, ...] = ()
    leave: tuple[Glass, ...] = ()
    """Break-glass that was given, not yet used, and still holds."""
    watched: Evident[Instant | None] = None
    """When the watcher last looked; None where it never did."""
    head: Head | None = None
    faults: tuple[Text, ...] = ()
    """What is wrong with the ledger itself."""
    ledger: Text = ""
    registry: Text = ""
    owner: Owner | None = None
    runbooks: tuple[Runbook, ...] = ()
    unknown: tuple[Text, ...] = ()
    """What could not be had, each in a sentence."""

    @property
    def exit_code(self) -> int:
        """3 where something is not known or cannot be believed, else 0."""
        return 3 if self.unknown or self.faults else 0


class Span(Model):
    """The time that is asked about: an instant, or a whole day in UTC."""

    said: Name
    start: Instant
    last: Instant
    """The last instant that belongs to it."""

    def covers(self, tenure: Tenure) -> bool:
        """Whether a tenure lasted at any moment of it."""
        return tenure.since <= self.last and (tenure.until is None or tenure.until > self.start)


class Attempt(Model):
    """An intent to move the alias to a version that moved nothing, or of which nobody knows yet."""

    seq: int
    at: Instant
    action: Literal["promote", "rollback"]
    by: Name
    result: Name
    """The outcome, or `open`."""
    detail: Text = ""


class Look(Model):
    """One thing that was verified."""

    name: Name
    state: Literal["ok", "bad", "unknown", "note"]
    words: Text


class Explanation(Model):
    """Why a version was in service, or that it was not."""

    schema_: Annotated[Literal["aigate.why/v1"], Field(alias="schema")] = "aigate.why/v1"
    model: Name
    alias: Name
    version: VersionNumber
    on: Text = ""
    """The day or instant that was asked about; empty for the last time it served."""
    now: Instant
    answer: Evident[Answer]
    tenure: Tenure | None = None
    tenures: tuple[Tenure, ...] = ()
    """Every time it served."""
    instead: tuple[Tenure, ...] = ()
    """What served at the time that was asked about, where that was another version."""
    attempts: tuple[Attempt, ...] = ()
    entry: Entry | None = None
    """The entry that the answer rests on; for a rollback, the promotion by which the version was allowed."""
    digest: Digest | None = None
    entries: int = 0
    head: Head | None = None
    decision_id: Digest | None = None
    decision: Decision | None = None
    looks: tuple[Look, ...] = ()
    ledger: Text = ""

    @property
    def exit_code(self) -> int:
        """0 for a verified decision; 1 where there was none or something is broken; 3 where nobody can say."""
        if any(look.state == "bad" for look in self.looks):
            return 1
        if gap(self.answer) is not None:
            return 3
        if self.answer not in ("promoted", "returned"):
            return 1
        return 3 if any(look.state == "unknown" for look in self.looks) else 0


class Remark(Model):
    """One thing that an audit has to say."""

    gravity: Gravity
    code: Name
    where: Text
    what: Text
    fix: Text = ""


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


def command(*words: str) -> str:
    """Return a command line of aigate, quoted for a shell."""
    return shlex.join(["aigate", *words])


# ---- status


def watched_at(tag: str | None) -> Evident[Instant | None]:
    """Return when the watcher last looked, from its tag; the tag is anybody's to write."""
    if tag is None:
        return None
    try:
        found = json.loads(tag)
        at: datetime = _INSTANT.validate_python(found["at"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return missing("the tag aigate.watch cannot be read", "aigate.watch")
    return at


def differing(model: str, alias: str, tenure: Tenure | None, live: Evident[Identity | None]) -> str:
    """Say how the registry's alias differs from the ledger; empty where it does not or nobody knows."""
    if gap(live) is not None:
        return ""
    if tenure is None:
        return (
            "" if live is None else f"@{alias} is on v{live.version}, and the ledger has no entry about that"
        )
    expected = tenure.identity
    if expected is None and live is None:
        return ""
    if expected is not None and live is not None and expected.same_version(live):
        return ""
    anew = expected is not None and live is not None and expected.version == live.version
    made = ", another version of that number: it was deleted and made anew" if anew else ""
    return (
        f"@{alias} is on {named(live)}{made}, and the ledger put it on {named(expected)} at "
        f"{show_instant(tenure.since)}: nobody recorded who moved it, MLflow does not keep that"
    )


def named(identity: Identity | None) -> str:
    """Name a version for people."""
    return "no version" if identity is None else f"v{identity.version}"


def status(
    model: str,
    alias: str,
    now: datetime,
    book: Evident[Book],
    registry: Evident[Registry],
    *,
    known_good: KnownGood | None = None,
    owner: Owner | None = None,
    runbooks: tuple[Runbook, ...] = (),
) -> Status:
    """Return what is in service; what is not known is said, and hides nothing that is."""
    unknown: list[str] = []
    holder: Evident[VersionNumber | None]
    live: Evident[Identity | None]
    watched: Evident[Instant | None]
    if (lost := gap(registry)) is not None:
        unknown.append(f"what holds @{alias} now: {lost.missing}")
        holder = live = watched = missing(lost.missing, lost.source)
    else:
        holder = registry.holder(alias)
        live = _live(registry, holder)
        watched = watched_at(registry.watch)
        unknown += [
            f"{what}: {lost.missing}"
            for what, part in ((f"which version v{holder} is", live), ("the watcher's heartbeat", watched))
            if (lost := gap(part)) is not None
        ]
    told: dict[str, Any] = {
        "model": model,
        "alias": alias,
        "now": now,
        "holder": holder,
        "watched": watched,
        "registry": "" if gap(registry) is not None else registry.shown,
        "owner": owner,
        "runbooks": runbooks,
    }
    if (lost := gap(book)) is not None:
        unknown.append(f"what the ledger says: {lost.missing}")
        absent = missing(lost.missing, lost.source)
        return Status(**told, tenure=absent, known_good=absent, unknown=tuple(unknown))
    chain = book.chain
    found = standing(chain)
    faults = (*chain.faults, *_off(book, registry))
    tenure: Evident[Tenure | None] = found.tenure(alias)
    drift = "" if faults else differing(model, alias, tenure, live)
    if gap(live) is None and _under_way(found, alias, live):
        drift = ""
    if faults:  # what stands behind the fault may have changed all of it
        tenure = missing("the ledger cannot be believed", book.line)
    return Status(
        **told,
        tenure=tenure,
        drift=drift,
        known_good=missing("the ledger cannot be believed", book.line) if faults else known_good,
        halts=found.halts,
        quarantined=found.quarantined,
        open=found.open,
        unreviewed=found.unreviewed(),
        leave=tuple(g for g in found.glasses if g.used_by is None and g.at <= now < g.glass.expires),
        head=chain.head,
        faults=tuple(f"entry {fault.seq}: {fault.what}" for fault in faults),
        ledger=book.line,
        unknown=tuple(unknown),
    )


def _under_way(found: Standing, alias: str, live: Identity | None) -> bool:
    """Whether an intent without an outcome explains where an alias is: who finds that out next, records it."""
    return any(
        o.intent.alias == alias and live is not None and o.intent.to.same_version(live) for o in found.open
    )


def _off(book: Book, registry: Evident[Registry]) -> Iterator[Fault]:
    """Yield what the model's own anchor has against the chain."""
    tag = None if gap(registry) is not None else registry.anchor
    if tag is None or book.chain.faults:
        return
    head = head_of(tag)
    fault = None if head is None else check_anchor(book.chain, head, "the model's tag aigate.ledger")
    if fault is not None:
        yield fault


def _live(registry: Registry, holder: VersionNumber | None) -> Evident[Identity | None]:
    if holder is None:
        return None
    seen = registry.version(holder)
    if seen is None:
        return missing("nobody looked", registry.shown)
    if gap(seen.identity) is None and seen.identity is None:
        return missing(f"the alias points to v{holder}, and there is no such version", registry.shown)
    return seen.identity


# ---- why


def span(text: str) -> Span:
    """Read `2027-03-03` (that whole day, in UTC) or an instant with its zone. Raises ValueError."""
    try:
        if len(text) == 10:
            start = datetime.combine(date.fromisoformat(text), time(), UTC)
            return Span(said=text, start=start, last=start + _DAY_LESS)
        at: datetime = _INSTANT.validate_python(text)
    except (ValueError, OverflowError) as e:
        raise ValueError("write a day as 2027-03-03 or an instant as 2027-03-03T14:02:55Z") from e
    return Span(said=text, start=at, last=at)


_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
_DAY_LESS = timedelta(days=1) - timedelta(microseconds=1)


def tenures_of(found: Standing, alias: str, version: str) -> tuple[Tenure, ...]:
    """Return every time a version of that number held an alias, oldest first."""
    return tuple(
        t
        for t in found.tenures
        if t.alias == alias and t.identity is not None and t.identity.version == version
    )


def attempts_of(chain: Chain, alias: str, version: str) -> tuple[Attempt, ...]:
    """Return the intents to move an alias to a version that moved nothing, oldest first."""
    outcomes = _outcomes(chain)
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
    model: str, alias: str, version: str, on: Span | None, now: datetime, book: Evident[Book]
) -> Explanation:
    """Say how a version came to serve, from the ledger alone; what verifies it is added by who can look."""
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
    then = served if on is None else tuple(t for t in served if on.covers(t))
    tenure = then[-1] if then else None
    entry = None if tenure is None else chain.entry(_allowed_by(chain, found, tenure))
    at = None if tenure is None else on
    return Explanation(
        **told,
        answer=_answer(chain, tenure, served),
        tenure=tenure,
        tenures=served,
        instead=()
        if on is None or at is not None
        else tuple(t for t in found.tenures if t.alias == alias and on.covers(t)),
        attempts=attempts_of(chain, alias, version),
        entry=entry,
        digest=None if entry is None else chain.digests[entry.seq - 1],
        entries=len(chain.entries),
        head=chain.head,
        ledger=book.line,
    )


def _answer(chain: Chain, tenure: Tenure | None, served: tuple[Tenure, ...]) -> Answer:
    if tenure is None:
        return "not_then" if served else "never"
    entry = chain.entry(tenure.seq)
    if entry is not None and isinstance(entry.body, Intent) and entry.body.glass is not None:
        return "glass"
    ways: dict[str, Answer] = {"promote": "promoted", "rollback": "returned", "adopt": "adopted"}
    return ways[tenure.by]


def _allowed_by(chain: Chain, found: Standing, tenure: Tenure) -> int:
    """Return the entry that a tenure's right rests on: for a rollback, how the version first came to serve."""
    identity = tenure.identity
    if tenure.by != "rollback" or identity is None:
        return tenure.seq
    before = [t for t in found.tenures if t.alias == tenure.alias and t.since < tenure.since]
    same = [t for t in before if t.identity is not None and t.identity.same_version(identity)]
    promoted = [t.seq for t in same if t.by == "promote"] or [t.seq for t in same if t.by == "adopt"]
    return promoted[-1] if promoted else tenure.seq


# ---- audit


def head_of(tag: str) -> Head | None:
    """Return the anchor in a tag; None where the tag is not one that aigate wrote."""
    try:
        found = json.loads(tag)
        return Head.model_validate({"seq": found["seq"], "digest": found["digest"]})
    except (ValueError, TypeError, KeyError, RecursionError, ValidationError):
        return None


def audit(
    model: str,
    alias: str,
    now: datetime,
    book: Evident[Book],
    registry: Evident[Registry],
    *,
    papers: tuple[Paper, ...] = (),
    handed: tuple[Head, ...] = (),
) -> Audit:
    """Hold ledger, registry and documents against each other. `handed` are anchors from a job's log."""
    remarks: list[Remark] = []
    anchors: list[Anchor] = []
    lost_book, lost_registry = gap(book), gap(registry)
    if lost_book is not None:
        remarks.append(_remark("unseen", "ledger", "ledger", f"the ledger was not read: {lost_book.missing}"))
    if lost_registry is not None:
        remarks.append(
            _remark("unseen", "registry", "registry", f"the registry was not read: {lost_registry.missing}")
        )
    else:
        remarks += _twins(registry, {alias} if lost_book is not None else {alias, *_aliases(book.chain)})
    if lost_book is None:
        chain = book.chain
        remarks += _chain(model, book)
        anchors = [
            Anchor(kept_in=place, head=head, holds=_holds(chain, head))
            for head, place in anchors_of(registry, handed)
        ]
        remarks += _anchored(model, chain, anchors, registry)
        remarks += _history(model, chain, now)
        if chain.faults:
            words = "what is in service, halted or open by now is not known, for the entries after it are not"
            remarks.append(_remark("unseen", "chain", _at(len(chain.entries)), words))
        remarks += _papers(papers)
        if lost_registry is None:
            remarks += _receipts(model, chain, registry)
            remarks += () if chain.faults else _drift(model, chain, registry, alias)
            remarks += _versions(model, chain, registry, alias)
        remarks += () if chain.faults else _state(model, standing(chain), now)
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


def _remark(gravity: Gravity, code: str, where: str, what: str, fix: str = "") -> Remark:
    return Remark(gravity=gravity, code=code, where=where, what=what, fix=fix)


def _at(seq: int) -> str:
    return f"entry {seq}" if seq else "the ledger"


def _outcomes(chain: Chain) -> dict[int, Outcome]:
    """Return the first outcome of every intent: it is the one that counts."""
    found: dict[int, Outcome] = {}
    for entry in chain.entries:
        if isinstance(entry.body, Outcome):
            found.setdefault(entry.body.of, entry.body)
    return found


def _aliases(chain: Chain) -> set[str]:
    return {entry.body.alias for entry in chain.entries if isinstance(entry.body, Intent | Adopt)}


def _chain(model: str, book: Book) -> Iterator[Remark]:
    """Say where the chain breaks. Nothing after that can be believed."""
    for fault in book.chain.faults:
        after = book.stored - len(book.chain.entries) - 1
        more = f"; {after} after it cannot be believed" if after > 0 else ""
        yield _remark(
            "broken",
            "chain",
            _at(fault.seq),
            f"{fault.what}{more}",
            "keep the store as it is, and compare it with a backup or an earlier export: "
            + command("audit", model, "--export", f"{model}.zip"),
        )


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
        yield _remark(
            "warning" if accepted else "broken",
            "anchor",
            _at(fault.seq),
            f"{fault.what}{accepted}",
            ""
            if accepted
            else "name the right ledger (--ledger), restore it from a backup, or accept the loss: "
            + command("adopt", model, "--reason", "…"),
        )
    if gap(registry) is None and registry.anchor is not None and head_of(registry.anchor) is None:
        yield _remark(
            "broken", "anchor", "the model's tag aigate.ledger", "it is not an anchor that aigate wrote"
        )
    size = len(chain.entries)
    if size and gap(registry) is None and registry.anchor is None:
        yield _remark(
            "warning",
            "anchor",
            "the model's tag aigate.ledger",
            "it is gone: the next act writes it anew; until then a cut-off end may not show",
        )
    if covered < size and not chain.faults:
        first = f"entries {covered + 1} to {size} are" if covered + 1 < size else f"entry {size} is"
        yield _remark("note", "anchor", _at(size), f"{first} covered by no anchor that was found")


def _accepted(chain: Chain, head: Head) -> str:
    """Return who accepted an anchor's loss, where somebody did; the ledger's own word, so never more than a warning."""
    for entry in chain.entries:
        if isinstance(entry.body, Adopt) and head.digest[:19] in entry.body.lost:
            return f"; accepted by {entry.actor.name} at {show_instant(entry.at)} (entry {entry.seq}): {entry.body.reason}"
    return ""


def _receipts(model: str, chain: Chain, registry: Registry) -> Iterator[Remark]:
    """Find receipts that the ledger never gave: copied with a version, or written by hand; and lost ones."""
    outcomes = _outcomes(chain)
    for seen in registry.versions:
        if seen.receipt is None:
            continue
        where, head = f"v{seen.number}", head_of(seen.receipt)
        if head is None:
            yield _remark(
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
            yield _remark(
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
            yield _remark(
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
        for other in registry.aliases:
            if other.alias != alias and _folded(other.alias) == _folded(alias):
                yield _remark(
                    "broken",
                    "twin",
                    f"@{other.alias}",
                    f"it stands beside @{alias} and looks like it: which one serving reads nobody knows",
                    "delete it in MLflow",
                )


def _folded(alias: str) -> str:
    return unicodedata.normalize("NFKC", alias).casefold().strip()


def _drift(model: str, chain: Chain, registry: Registry, asked: str) -> Iterator[Remark]:
    """Find aliases that are not where the ledger last put them."""
    found = standing(chain)
    for alias in sorted({asked, *_aliases(chain)}):
        live = _live(registry, registry.holder(alias))
        tenure = found.tenure(alias)
        if (lost := gap(live)) is not None:
            yield _remark(
                "unseen", "drift", f"@{alias}", f"which version holds it is not known: {lost.missing}"
            )
        elif _under_way(found, alias, live):
            continue  # said with the open intents
        elif what := differing(model, alias, tenure, live):
            yield _remark(
                "broken",
                "drift" if tenure else "unknown_holder",
                f"@{alias}",
                what,
                f"put it back: {command('rollback', model, '--reason', '…')}; or accept it: "
                + command("adopt", model, "--reason", "…"),
            )


def _history(model: str, chain: Chain, now: datetime) -> Iterator[Remark]:
    """Read the entries in order, and find what does not follow from what came before."""
    outcomes = _outcomes(chain)
    holders: dict[str, Identity | None] = {}
    intents: dict[int, Intent] = {}
    ended: set[int] = set()
    before: datetime | None = None
    for entry in chain.entries:
        where, body = _at(entry.seq), entry.body
        if before is not None and entry.at < before - _SKEW:
            yield _remark(
                "warning",
                "time",
                where,
                f"it is dated {show_instant(entry.at)}, before the entry before it: whose clock was wrong?",
            )
        before = entry.at
        if isinstance(body, Intent):
            intents[entry.seq] = body
            if entry.seq not in outcomes:
                yield from () if chain.faults else (_unfinished(model, entry, body, now),)
            elif outcomes[entry.seq].result in MOVED:
                yield from _moved(entry, body, holders)
                holders[body.alias] = body.to
        elif isinstance(body, Outcome):
            yield from _ended(model, entry, body, intents, ended)
            ended.add(body.of)
        elif isinstance(body, Adopt):
            yield _adopted(entry, body)
            holders[body.alias] = body.to


_SKEW = timedelta(seconds=60)


def _moved(entry: Entry, body: Intent, holders: Mapping[str, Identity | None]) -> Iterator[Remark]:
    where = _at(entry.seq)
    if body.alias in holders:
        was = holders[body.alias]
        same = (was is None and body.from_ is None) or (
            was is not None and body.from_ is not None and was.same_version(body.from_)
        )
        if not same:
            yield _remark(
                "broken",
                "ungated",
                where,
                f"it found @{body.alias} on {named(body.from_)} where the ledger had put it on {named(was)}: "
                "in between it was moved without an entry",
            )
    if body.action == "promote" and body.decision is None and body.glass is None:
        yield _remark("broken", "decision", where, f"it promoted v{body.to.version} and names no decision")
    elif body.action == "promote" and body.record is None and body.decision is not None:
        yield _remark("warning", "decision", where, "its decision's record was not kept")
    if body.glass is not None:
        yield _remark(
            "note", "glass", where, f"v{body.to.version} was promoted by break-glass (entry {body.glass})"
        )


def _unfinished(model: str, entry: Entry, body: Intent, now: datetime) -> Remark:
    running = now < body.expires
    return _remark(
        "note" if running else "warning",
        "open",
        _at(entry.seq),
        f"{entry.actor.name} meant to move @{body.alias} to v{body.to.version} at {show_instant(entry.at)}, and "
        + ("may still be at it" if running else "no outcome was ever recorded"),
        ""
        if running
        else f"the next act finds out what became of it: {command('promote', model, '--dry-run')}",
    )


def _ended(
    model: str, entry: Entry, body: Outcome, intents: Mapping[int, Intent], ended: set[int]
) -> Iterator[Remark]:
    where = _at(entry.seq)
    if body.of not in intents:
        yield _remark(
            "broken", "outcome", where, f"it is an outcome of entry {body.of}, which is no intent before it"
        )
    elif body.of in ended:
        yield _remark(
            "warning",
            "outcome",
            where,
            f"entry {body.of} had an outcome already; this one ({body.result}) does not count",
        )
    elif body.result == "conflict":
        yield _remark(
            "warning",
            "conflict",
            where,
            f"when entry {body.of} was to move the alias, somebody else moved it too: "
            f"it was found on {'v' + body.found if body.found else 'no version'}",
            f"see what holds it now: {command('status', model)}",
        )


def _adopted(entry: Entry, body: Adopt) -> Remark:
    lost = f"; accepted as lost: {body.lost}" if body.lost else ""
    return _remark(
        "note",
        "adopted",
        _at(entry.seq),
        f"{named(body.to)} became @{body.alias} without a decision, found at {show_instant(entry.at)} and adopted by "
        f"{entry.actor.name} ({body.role}): {body.reason}{lost}",
    )


_PAPERS = {"record": "decision's record", "snapshot": "evidence"}


def _papers(papers: Iterable[Paper]) -> Iterator[Remark]:
    """Say which records and snapshots are not what was kept."""
    for paper in papers:
        where, what = _at(paper.seq), _PAPERS[paper.role]
        if paper.state == "altered":
            yield _remark("broken", "document", where, f"its {what} is not what was kept: {paper.why}")
        elif paper.state == "lost":
            yield _remark("broken", "document", where, f"its {what} is gone: {paper.why}")
        elif paper.state == "unseen":
            yield _remark("unseen", "document", where, f"its {what} could not be read: {paper.why}")


def mismatches(body: Intent, record: Paper) -> str:
    """Return how a sound record is not the one that an intent rests on; empty where it is."""
    if record.id != body.decision:
        return "it is the record of another decision"
    if body.snapshot is not None and record.snapshot != body.snapshot.digest:
        return "it rests on other evidence than the entry names"
    if body.action == "promote" and (record.subject is None or not record.subject.same_version(body.to)):
        return f"it is about {named(record.subject)}, and the entry moved the alias to {named(body.to)}"
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
            yield _remark("unseen", "version", where, f"it could not be read: {lost.missing}")
        elif seen.identity is None:
            serving = registry.holder(alias) == number
            yield _remark(
                "broken" if serving else "warning",
                "version",
                where,
                "it was deleted from the registry: what it was can no longer be looked at",
            )
        elif not known.same_version(seen.identity):
            yield _remark(
                "broken",
                "version",
                where,
                f"it is not the version that the ledger knows: {_how(known, seen.identity)}; it was deleted and made anew",
            )
        elif seen.files:
            yield from _files(model, where, known, seen.identity)


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
    return f"{', '.join(changed)} differ{'s' if len(changed) == 1 else ''}"


def _files(model: str, where: str, known: Identity, now: Identity) -> Iterator[Remark]:
    if (lost := gap(now.artifact_digest)) is not None:
        yield _remark("unseen", "artifact", where, f"its files could not be read: {lost.missing}")
    elif (lost := gap(known.artifact_digest)) is not None:
        yield _remark(
            "note", "artifact", where, f"its files were not known when it was recorded: {lost.missing}"
        )
    elif known.artifact_digest != now.artifact_digest:
        yield _remark(
            "broken",
            "artifact",
            where,
            f"its files are not the ones that were recorded: {known.artifact_digest[:19]}… then, "
            f"{now.artifact_digest[:19]}… now",
            f"do not serve it: {command('halt', model, '--reason', f'files of {where} were overwritten')}",
        )


def _state(model: str, found: Standing, now: datetime) -> Iterator[Remark]:
    """Say what is in force, and what waits for somebody."""
    for glass in found.unreviewed():
        yield _remark(
            "warning",
            "glass",
            _at(glass.seq),
            f"{glass.actor.name} broke glass for v{glass.glass.to.version} at {show_instant(glass.at)} and nobody "
            f"has reviewed it: {glass.glass.reason}",
            command("review", model, str(glass.seq), "--reason", "…"),
        )
    for halt in found.halts:
        over = halt.over(now)
        until = f", until {show_instant(halt.halt.until)}" if halt.halt.until else ""
        yield _remark(
            "note",
            "halt",
            _at(halt.seq),
            f"{'a halt whose time is up' if over else 'halted'} since {show_instant(halt.at)}{until} by "
            f"{halt.actor.name} ({halt.halt.role}): {halt.halt.reason}",
            "" if over else command("resume", model, "--reason", "…"),
        )
    for left in found.quarantined:
        yield _remark(
            "note",
            "quarantine",
            f"v{left.identity.version}",
            f"rolled back from at {show_instant(left.at)} by {left.actor.name}: {left.reason}",
        )
