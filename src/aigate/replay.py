"""A recorded decision, decided once more: is it the same, and where does it first differ? Pure.

The same snapshot, policies and waivers always give the same bytes. What a
replay takes from the record is only who asked, and with which versions of the
tools: nothing of that can be found again. Everything else is computed anew and
held against what was written.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from aigate.decision import Decision, Verdict, Versions
from aigate.values import Digest, Instant, Model, Name, Text, VersionNumber, gap

LONGEST_VALUE = 300
"""Characters of a differing value that are shown."""

ABSENT = "(nothing)"
"""Stands where one of the two has no such place."""


class Difference(Model):
    """One place at which two decisions differ."""

    at: Text
    """A JSON pointer into the record."""
    recorded: Text
    """What stands there in the record, as JSON; `(nothing)` where nothing does."""
    now: Text
    """What stands there when it is decided once more."""
    policy: Name | None = None
    """Whose answer it is a part of, where it is one's."""


class Changed(Model):
    """Something that a decision is made with, and that is another one now."""

    what: Text
    recorded: Text
    now: Text


class Replay(Model):
    """What came of deciding a recorded decision once more."""

    schema_: Annotated[Literal["aigate.replay/v1"], Field(alias="schema")] = "aigate.replay/v1"
    decision: Digest
    """The id in the record."""
    model: Name
    version: VersionNumber | None
    alias: Name
    environment: Name
    decided_at: Instant
    recorded: Verdict
    now: Verdict
    identical: bool
    """Whether every byte of the record came out again."""
    first: Difference | None = None
    """The first place at which they differ, in the order of the record."""
    policies: tuple[Name, ...] = ()
    """The policies that answer otherwise; those that are gone or new are among them."""
    changed: tuple[Changed, ...] = ()
    """What went into the decision and is another now; the reason for a difference, or for none."""

    @property
    def exit_code(self) -> int:
        """0 where it is the same, byte for byte; else 1."""
        return 0 if self.identical else 1


def once_more(recorded: Decision, again: Decision) -> Decision:
    """Return a decision that was made anew as it would have been written under the circumstances of its record.

    Who asked, with which tools, and what came before is the record's. That the
    snapshot's bytes are those that the record names is the caller's to see:
    one that an older aigate wrote has fewer places than ours, so its digest
    cannot be computed from what was read.
    """
    kept = ("actor", "versions", "isolation", "previous", "snapshot_digest")
    return again.model_copy(update={name: getattr(recorded, name) for name in kept})


def compared(
    id: Digest,
    recorded: Decision,
    again: Decision,
    changed: tuple[Changed, ...] = (),
    *,
    whole: bool = True,
) -> Replay:
    """Hold a decision that was made once more against its record, whose id is `id`.

    A `whole` record has every place that this aigate writes. One of another
    version may lack some, which is no difference then; in one of ours,
    somebody took them out.
    """
    old = recorded.model_dump(mode="json", by_alias=True, exclude_unset=True)
    new = again.model_dump(mode="json", by_alias=True)
    first = first_difference(old, new, whole=whole)
    subject = recorded.subject
    return Replay(
        decision=id,
        model=recorded.model,
        version=None if gap(subject) is not None else subject.version,
        alias=recorded.alias,
        environment=recorded.environment,
        decided_at=recorded.now,
        recorded=recorded.verdict,
        now=again.verdict,
        identical=first is None,
        first=None if first is None else _named(first, old, new),
        policies=_otherwise(recorded, again),
        changed=(*_files(recorded, again), *changed),
    )


def younger(recorded: Versions, now: Versions) -> tuple[Changed, ...]:
    """Return which of the tools that made a decision are others now."""
    return tuple(
        Changed(what=name, recorded=getattr(recorded, name), now=getattr(now, name))
        for name in Versions.model_fields
        if getattr(recorded, name) != getattr(now, name)
    )


def first_difference(
    one: Any, other: Any, at: str = "", *, whole: bool = False
) -> tuple[str, Any, Any] | None:
    """Return where two plain values first differ, as a JSON pointer, and both values; None where nowhere.

    Unless `one` is `whole`, what only `other` has as a key is younger, and no difference.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other} if whole else one):
            place = f"{at}/{_escape(key)}"
            if key not in other or key not in one:
                return place, one.get(key, _NOTHING), other.get(key, _NOTHING)
            if (found := first_difference(one[key], other[key], place, whole=whole)) is not None:
                return found
        return None
    if isinstance(one, list) and isinstance(other, list):
        for index, (a, b) in enumerate(zip(one, other, strict=False)):
            if (found := first_difference(a, b, f"{at}/{index}", whole=whole)) is not None:
                return found
        if len(one) == len(other):
            return None
        place, least = f"{at}/{min(len(one), len(other))}", min(len(one), len(other))
        return (place, one[least], _NOTHING) if len(one) > len(other) else (place, _NOTHING, other[least])
    # JSON knows no difference between 1 and true that Python would see.
    return None if type(one) is type(other) and one == other else (at, one, other)


_NOTHING = object()


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _named(found: tuple[str, Any, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    at, one, other = found
    _, begin, rest = at.partition("/judgements/")
    policy = None
    if begin:
        index = int(rest.partition("/")[0])
        rows = [rows[index] for rows in (old["judgements"], new["judgements"]) if index < len(rows)]
        policy = rows[0]["info"]["id"]
    return Difference(at=at or "/", recorded=_shown(one), now=_shown(other), policy=policy)


def _shown(value: Any) -> str:
    if value is _NOTHING:
        return ABSENT
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _otherwise(recorded: Decision, again: Decision) -> tuple[str, ...]:
    """Return the policies whose outcome, findings, reason or level is another now."""
    old, new = (
        {j.info.id: (j.level, j.result) for j in decision.judgements} for decision in (recorded, again)
    )
    return tuple(sorted(id for id in {*old, *new} if old.get(id) != new.get(id)))


def _files(recorded: Decision, again: Decision) -> tuple[Changed, ...]:
    """Return which policy files have other bytes now, are gone, or are new."""
    old, new = ({j.info.file: j.info.file_digest for j in d.judgements} for d in (recorded, again))
    return tuple(
        Changed(what=f"policy file {file}", recorded=old.get(file, ABSENT), now=new.get(file, ABSENT))
        for file in sorted({*old, *new})
        if old.get(file) != new.get(file)
    )
