"""The account that a model's history gives: what is in service, and why a version was allowed.

Pure. In: the chain, and what the registry says now. What could not be had is
`Missing`, and is said. What does not agree is `audit`'s to find.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from aigate.decision import Decision
from aigate.ledger import Adopt, Chain, Entry, Fault, Head, Identity, Outcome, check_anchor
from aigate.manifest import Owner, folded
from aigate.snapshot import Runbook
from aigate.standing import Glass, HaltInForce, Open, Quarantine, Standing, Tenure, Way, standing
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
)

Answer = Literal["promoted", "glass", "returned", "adopted", "ungated", "not_then", "never"]
"""How a version came to serve: `promoted` by a decision, past one by break-`glass`, `returned` to by a rollback,
`adopted` without a decision, `ungated` without any entry; `not_then`: it served, but not on that day; `never`."""

Origin = Literal["promoted", "glass", "adopted", "undecided"]
"""How a version that was returned to had first come to serve; `undecided`: it had never been allowed or adopted."""


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
    astray: Evident[Text | None] = None
    """Where it is served from, where that is another place than its files'; None where it is not, or nobody asked."""


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


# ---- what is told


class KnownGood(Model):
    """The version that a rollback would return to, by the ledger alone."""

    identity: Identity
    until: Instant | None
    lived: Duration
    soaked: bool
    """Whether it served long enough to be known good, or somebody vouched for it."""
    state: Literal["ok", "bad", "unknown"] = "unknown"
    """Whether the registry still has it, and says that it can be served."""
    words: Text = "nobody looked at it"


class Loss(Model):
    """What of the ledger's past somebody accepted as lost."""

    seq: int
    at: Instant
    by: Name
    lost: Text
    reason: Text


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
    twins: tuple[Held, ...] = ()
    """Aliases that look like this one: which of them serving reads nobody knows."""
    known_good: Evident[KnownGood | None] = None
    losses: tuple[Loss, ...] = ()
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


class Passage(Model):
    """A time in which a version held the alias, and no entry says how it got there: it was moved past the gate."""

    identity: Identity | None
    """None where only its number is known."""
    after: Instant | None
    """When the ledger last put the alias elsewhere: it came after that. None where the ledger never did."""
    seen: Instant
    """When it was found there."""
    until: Instant | None = None
    """When it was moved away; None where it still holds the alias, or nobody knows until when it did."""
    left_by: Way | None = None
    seq: int | None = None
    """The entry that tells; None where the registry says so now."""
    by: Name = ""
    """Who wrote that entry."""
    reason: Text = ""


class Mention(Model):
    """An entry that names a version."""

    seq: int
    at: Instant
    by: Name
    words: Text


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
    passages: tuple[Passage, ...] = ()
    """Every time it was found to hold the alias past the gate."""
    attempts: tuple[Attempt, ...] = ()
    mentions: tuple[Mention, ...] = ()
    """Every entry that names it."""
    origin: Origin | None = None
    """For one that was returned to: how it had first come."""
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
        if self.answer != "promoted" and (self.answer, self.origin) != ("returned", "promoted"):
            return 1
        return 3 if any(look.state == "unknown" for look in self.looks) else 0


def head_of(tag: str) -> Head | None:
    """Return the anchor in a tag; None where the tag is not one that aigate wrote."""
    try:
        found = json.loads(tag)
        return Head.model_validate({"seq": found["seq"], "digest": found["digest"]})
    except (ValueError, TypeError, KeyError, RecursionError, ValidationError):
        return None


def outcomes_of(chain: Chain) -> dict[int, Outcome]:
    """Return the first outcome of every intent: it is the one that counts."""
    found: dict[int, Outcome] = {}
    for entry in chain.entries:
        if isinstance(entry.body, Outcome):
            found.setdefault(entry.body.of, entry.body)
    return found


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


def twins_of(registry: Registry, alias: str) -> tuple[Held, ...]:
    """Return the aliases that look like another one and are not."""
    return tuple(
        held for held in registry.aliases if held.alias != alias and folded(held.alias) == folded(alias)
    )


def losses_of(chain: Chain) -> tuple[Loss, ...]:
    """Return what was accepted as lost, oldest first."""
    return tuple(
        Loss(
            seq=entry.seq,
            at=entry.at,
            by=entry.actor.name,
            lost=entry.body.lost,
            reason=entry.body.reason,
        )
        for entry in chain.entries
        if isinstance(entry.body, Adopt) and entry.body.lost
    )


def status(
    model: str,
    alias: str,
    now: datetime,
    book: Evident[Book],
    registry: Evident[Registry],
    *,
    drift: str = "",
    known_good: KnownGood | None = None,
    owner: Owner | None = None,
    runbooks: tuple[Runbook, ...] = (),
) -> Status:
    """Return what is in service; what is not known is said, and hides nothing that is.

    `drift` says how the registry's alias differs from what the ledger says;
    it is told only where the ledger can be believed.
    """
    unknown: list[str] = []
    holder: Evident[VersionNumber | None]
    live: Evident[Identity | None]
    watched: Evident[Instant | None]
    if (lost := gap(registry)) is not None:
        unknown.append(f"what holds @{alias} now: {lost.missing}")
        holder = live = watched = missing(lost.missing, lost.source)
    else:
        holder = registry.holder(alias)
        live = live_of(registry, holder)
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
        "twins": () if gap(registry) is not None else twins_of(registry, alias),
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
    if faults or (gap(live) is None and under_way(found, alias, live)):
        drift = ""
    if known_good is not None and known_good.state == "unknown" and not faults and gap(registry) is None:
        unknown.append(f"the last known good, v{known_good.identity.version}: {known_good.words}")
    if faults:  # what stands behind the fault may have changed all of it
        tenure = missing("the ledger cannot be believed", book.line)
    return Status(
        **told,
        tenure=tenure,
        drift=drift,
        known_good=missing("the ledger cannot be believed", book.line) if faults else known_good,
        losses=losses_of(chain),
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


def under_way(found: Standing, alias: str, live: Identity | None) -> bool:
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


def live_of(registry: Registry, holder: VersionNumber | None) -> Evident[Identity | None]:
    """Return who the version that holds an alias is now; None where nothing holds it."""
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
