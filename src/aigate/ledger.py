"""The ledger's entries and the chain that joins them. Pure data; where they are kept is `enforce`'s work.

One chain per registered model. An entry is canonical JSON (RFC 8785), carries
its number and the digest of the entry before it, and is never changed. What a
chain cannot show by itself, that nothing was cut off its end and that it was
not written anew as a whole, is shown by anchors: `seq` and digest of an entry,
kept where the chain's keeper cannot quietly change them.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from aigate.decision import Actor
from aigate.digest import canonical, digest_bytes
from aigate.snapshot import Subject
from aigate.values import Digest, Evident, Instant, Model, Name, Number, VersionNumber, gap, missing

SCHEMA = "aigate.entry/v1"

MAX_ENTRY = 5_900
"""Bytes of one entry. MLflow cuts a parameter's value off at 6,000 characters, without a word."""

LONGEST_REASON = 500
"""Characters of a reason that a person gives."""

LONGEST_SOURCE = 400
"""Characters kept of where a version's files come from."""

_LONGEST_GAP = 200

Said = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_REASON, pattern=r"\S")]
"""A reason in somebody's own words; never empty."""

Seq = Annotated[int, Field(ge=1, le=10_000_000)]
"""The number of an entry, from 1."""

Action = Literal["promote", "rollback"]

Result = Literal["applied", "recovered", "not_applied", "changed", "abandoned", "refused", "conflict"]
"""What became of an intent.

`applied` the alias was moved and read back; `recovered` the writer died after
moving it and a later run found that; `not_applied` the alias is where it was;
`changed` something the decision rests on changed before the move, so nothing
moved; `abandoned` the writer gave up before the move; `refused` the registry
said no; `conflict` the alias is neither where it was nor where it should be.
"""

MOVED: tuple[Result, ...] = ("applied", "recovered")
"""The results after which the alias points to where the intent said."""


class Identity(Model):
    """One model version as a ledger knows it: enough to see that it is not another one of the same number."""

    version: VersionNumber
    created_at: Instant
    run_id: Name | None
    source: Annotated[str, StringConstraints(max_length=LONGEST_SOURCE)]
    model_id: Name | None
    artifact_digest: Evident[Digest]
    """Over the model's files; a gap where they could not be read."""

    @classmethod
    def of(cls, subject: Subject) -> "Identity":
        """Return what a ledger keeps of a subject. A source or a reason that goes on is cut short."""
        lost = gap(subject.artifact_digest)
        return cls(
            version=subject.version,
            created_at=subject.created_at,
            run_id=subject.run_id,
            source=subject.source[:LONGEST_SOURCE],
            model_id=subject.model_id,
            artifact_digest=subject.artifact_digest
            if lost is None
            else missing(lost.missing[:_LONGEST_GAP], lost.source[:_LONGEST_GAP]),
        )

    def same_version(self, other: "Identity") -> bool:
        """Whether both are the same version of the registry; its files are another question."""
        return self._key() == other._key()

    def _key(self) -> tuple[object, ...]:
        return (self.version, self.created_at, self.run_id, self.source, self.model_id)


class Kept(Model):
    """A document beside the ledger: where it is, and the digest of its bytes."""

    digest: Digest
    place: Name
    """The store's own reference, or `file:` and a file's name."""


class Intent(Model):
    """What is about to be done; written before anything is."""

    kind: Literal["intent"] = "intent"
    action: Action
    alias: Name
    from_: Annotated[Identity | None, Field(alias="from")]
    """What holds the alias now; None where nothing does."""
    to: Identity
    environment: Name
    reason: Said
    automatic: bool = False
    """Whether no person asked for it."""
    expires: Instant
    """Until when the writer may still act; later, anybody may find out what became of it."""
    decision: Digest | None = None
    """The decision it rests on; None for a rollback, which needs none."""
    gate: Digest | None = None
    """The earlier decision that was handed in and still holds, where there is one."""
    record: Kept | None = None
    """The decision's record."""
    snapshot: Kept | None = None
    """The evidence the decision rests on."""
    bound: Digest | None = None
    """Over everything in the registry that must not change before the move."""
    manifest: Digest | None = None
    policies: Digest | None = None
    glass: Seq | None = None
    """The break-glass entry that stands in for an `allow`, where one was used."""
    role: Name | None = None
    """In what right a version was named that never served; None where none was needed."""


class Outcome(Model):
    """What became of an intent."""

    kind: Literal["outcome"] = "outcome"
    of: Seq
    result: Result
    detail: Annotated[str, StringConstraints(max_length=LONGEST_REASON)] = ""
    found: VersionNumber | None = None
    """The version that held the alias when it was read back; None where nothing did, or nobody could read it."""


class Halt(Model):
    """No promotion until somebody resumes."""

    kind: Literal["halt"] = "halt"
    reason: Said
    role: Name
    """In what right: `owner of stage features`, `watch`."""
    until: Instant | None = None
    automatic: bool = False
    decision: Digest | None = None
    record: Kept | None = None
    """The record of the decision that called for it, where one did."""


class Resume(Model):
    """The end of every halt in force."""

    kind: Literal["resume"] = "resume"
    reason: Said
    role: Name


class Adopt(Model):
    """The alias was moved by somebody else, and that is now accepted as it is."""

    kind: Literal["adopt"] = "adopt"
    alias: Name
    from_: Annotated[Identity | None, Field(alias="from")]
    """What the ledger thought."""
    to: Identity | None
    """What holds the alias."""
    reason: Said
    role: Name
    lost: Annotated[str, StringConstraints(max_length=LONGEST_REASON)] = ""
    """What of the ledger's past is accepted as lost: an anchor that nothing matches any more."""
    void: Seq | None = None
    """The entry right before this one, where that was written by somebody who does not keep the ledger's form."""


class Clear(Model):
    """A quarantined version may be promoted or returned to again."""

    kind: Literal["clear"] = "clear"
    version: Identity
    reason: Said
    role: Name


class BreakGlass(Model):
    """Leave to promote one version once without an `allow`, for a short time."""

    kind: Literal["break_glass"] = "break_glass"
    alias: Name
    to: Identity
    reason: Said
    role: Name
    expires: Instant


class Review(Model):
    """Somebody looked at a use of break-glass afterwards."""

    kind: Literal["review"] = "review"
    of: Seq
    reason: Said
    role: Name


class Drill(Model):
    """A rollback rehearsed: everything but the write."""

    kind: Literal["drill"] = "drill"
    alias: Name
    from_: Annotated[Identity | None, Field(alias="from")]
    to: Identity | None
    ready: bool
    detail: Annotated[str, StringConstraints(max_length=LONGEST_REASON)] = ""
    seconds: Number


class Void(Model):
    """What stands where an entry should, and is none: somebody else put it there. It counts for nothing.

    Never written by aigate; made when a ledger is read, so that the entries
    after it keep their numbers.
    """

    kind: Literal["void"] = "void"
    what: str


Body: TypeAlias = Intent | Outcome | Halt | Resume | Adopt | Clear | BreakGlass | Review | Drill | Void


class Entry(Model):
    """One line of the ledger."""

    schema_: Annotated[Literal["aigate.entry/v1"], Field(alias="schema")] = "aigate.entry/v1"
    model: Name
    seq: Seq
    prev: Digest | None
    """Digest of the entry before it; None for the first."""
    at: Instant
    actor: Actor
    nonce: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    """Random, so that no two writers ever write the same bytes and both think that theirs were taken."""
    body: Annotated[Body, Field(discriminator="kind")]


class Head(Model):
    """A point of a chain: an entry's number and the digest of its bytes. Kept elsewhere, it is an anchor."""

    seq: Seq
    digest: Digest


class Fault(Model):
    """Something wrong with a chain or with what belongs to it."""

    seq: int
    """The entry it is about; 0 where it is about the whole."""
    what: str


class Chain(Model):
    """A model's history as far as it could be read and believed."""

    model: Name
    entries: tuple[Entry, ...] = ()
    digests: tuple[Digest, ...] = ()
    faults: tuple[Fault, ...] = ()
    unread: tuple[Digest, ...] = ()
    """The digests of the lines from the first fault on: they are there, and not believed."""

    @property
    def head(self) -> Head | None:
        """The last entry's number and digest; None for an empty chain."""
        return Head(seq=len(self.digests), digest=self.digests[-1]) if self.digests else None

    def entry(self, seq: int) -> Entry | None:
        """Return an entry by its number; None where there is none."""
        return self.entries[seq - 1] if 1 <= seq <= len(self.entries) else None


_BODY_KINDS: dict[str, type[Model]] = {
    "intent": Intent,
    "outcome": Outcome,
    "halt": Halt,
    "resume": Resume,
    "adopt": Adopt,
    "clear": Clear,
    "break_glass": BreakGlass,
    "review": Review,
    "drill": Drill,
}
"""Every kind of entry that is written, by the word in its body."""

KINDS: tuple[str, ...] = tuple(_BODY_KINDS)


def next_entry(head: Head | None, model: str, body: Body, *, at: Any, actor: Actor, nonce: str) -> Entry:
    """Return the entry that follows `head`."""
    return Entry(
        model=model,
        seq=1 if head is None else head.seq + 1,
        prev=None if head is None else head.digest,
        at=at,
        actor=actor,
        nonce=nonce,
        body=body,
    )


def written(entry: Entry) -> bytes:
    """Return an entry's bytes. Raises ValueError for one that no store could take."""
    data = canonical(entry)
    if len(data) > MAX_ENTRY:
        raise ValueError(f"the entry has {len(data)} bytes, at most {MAX_ENTRY} can be kept")
    return data


def read_chain(model: str, lines: Iterable[bytes]) -> Chain:
    """Read a model's entries in the order in which they are kept, and say what is wrong with them.

    A line that is no entry at all is void: who may write beside aigate can put
    one there, and it must not lock anybody out. It is told from an entry that
    was tampered with by what follows: the next entry names the digest of the
    line before it, as it was then. Reading ends at the first line that cannot
    be what was written: nothing after it can be believed.
    """
    kept = tuple(lines)
    entries: list[Entry] = []
    digests: list[Digest] = []
    for number, line in enumerate(kept):
        seq = number + 1
        entry = _entry(line)
        after = kept[number + 1] if seq < len(kept) else None
        if isinstance(entry, str):
            entry = _void(entry, model, entries, digests)
        elif isinstance(entry.body, Void):
            entry = _void("it says itself that it is none", model, entries, digests)
        elif what := _misplaced(entry, model, seq, digests):
            if not _given_up(after, digest_bytes(line), seq):
                return Chain(
                    model=model,
                    entries=tuple(entries),
                    digests=tuple(digests),
                    faults=(Fault(seq=seq, what=what),),
                    unread=tuple(digest_bytes(unread) for unread in kept[number:]),
                )
            entry = _void(what, model, entries, digests)
        entries.append(entry)
        digests.append(digest_bytes(line))
    return Chain(model=model, entries=tuple(entries), digests=tuple(digests))


def give_up_last(chain: Chain) -> Chain | None:
    """Return a chain whose last line, which cannot be believed, is void; None where more than that is wrong.

    Only an adoption may follow it, which names it: see `read_chain`.
    """
    if len(chain.faults) != 1 or len(chain.unread) != 1:
        return None
    entry = _void(chain.faults[0].what, chain.model, chain.entries, chain.digests)
    return Chain(model=chain.model, entries=(*chain.entries, entry), digests=(*chain.digests, *chain.unread))


def _void(what: str, model: str, entries: Sequence[Entry], digests: Sequence[Digest]) -> Entry:
    """Return what stands for a line that is no entry; its time is that of the entry before it."""
    return Entry(
        model=model,
        seq=len(entries) + 1,
        prev=digests[-1] if digests else None,
        at=entries[-1].at if entries else _NO_TIME,
        actor=Actor(name="unknown"),
        nonce="0" * 16,
        body=Void(what=what),
    )


def _given_up(after: bytes | None, digest: Digest, seq: int) -> bool:
    """Whether the next line is an adoption that names this one as void, and links to it."""
    following = None if after is None else _entry(after)
    return (
        isinstance(following, Entry)
        and following.prev == digest
        and isinstance(following.body, Adopt)
        and following.body.void == seq
    )


_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_ADAPTER: TypeAdapter[Entry] = TypeAdapter(Entry)


def _entry(line: bytes) -> Entry | str:
    """Return the entry in a line, or what is wrong with it."""
    if len(line) > MAX_ENTRY:
        return f"it has {len(line)} bytes, at most {MAX_ENTRY} were ever written"
    try:
        entry = _ADAPTER.validate_json(line)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"it is no entry: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    try:
        same = canonical(entry) == line
    except ValueError:  # a number that canonical JSON cannot hold was never written
        same = False
    if not same:
        return "its bytes are not in the form in which entries are written"
    return entry


def _misplaced(entry: Entry, model: str, seq: int, digests: Sequence[Digest]) -> str:
    """Return why an entry cannot stand in its place; empty where it can."""
    if entry.seq != seq:
        return f"it says that it is entry {entry.seq}"
    if entry.model != model:
        return f"it is an entry of model {json.dumps(entry.model)}"
    before = digests[-1] if digests else None
    if entry.prev != before:
        return f"it follows {_short(entry.prev)}, and the entry before it is {_short(before)}"
    return ""


def check_anchor(chain: Chain, anchor: Head, kept_in: str) -> Fault | None:
    """Return what is wrong where an anchor does not lie on the chain; None where it does."""
    if anchor.seq > len(chain.digests):
        return Fault(
            seq=anchor.seq,
            what=f"{kept_in} names entry {anchor.seq}, and the ledger ends at {len(chain.digests)}: "
            "its end has been cut off, or this is another ledger",
        )
    found = chain.digests[anchor.seq - 1]
    if found != anchor.digest:
        return Fault(
            seq=anchor.seq,
            what=f"{kept_in} has {_short(anchor.digest)} for entry {anchor.seq}, the ledger has "
            f"{_short(found)}: it has been written anew",
        )
    return None


def _short(digest: Digest | None) -> str:
    return "nothing" if digest is None else f"{digest[:19]}…"
