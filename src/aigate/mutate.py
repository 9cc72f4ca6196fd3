"""What could be otherwise in evidence, as data: places, values, and the trouble each stands for. Pure.

A mutation changes a snapshot's JSON and nothing else, so that the same ones
come out for the same snapshot, and whether the gate could ever have made the
result is for the snapshot's own validation to say. `NaN` cannot stand in a
snapshot: where it would enter, the gate puts missing evidence, and so does this.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from aigate.snapshot import Snapshot
from aigate.values import Missing, Model, show_instant, show_number

Kind = Literal[
    "missing", "nan", "removed", "emptied", "stale", "future", "range", "swapped", "dataset", "other", "added"
]
"""What happened: evidence gone; no number; a fact gone; a list without items; an instant or an age far in
the past; one far ahead; a number beyond bounds; versions exchanged; other data; another text; a text more."""

Json = Any

SOURCE = "aigate test"
"""Who says that evidence is missing, where a mutation made it so."""

FAR = timedelta(days=3650)
FIXED = frozenset({"/schema_", "/question", "/manifest_digest", "/environment", "/system", "/alias"})
"""What was asked, not what was found."""


OTHER = "otherwise"
"""A text that no policy waits for."""

_DIGEST = "sha256:" + "f" * 64
MANY = 1_000_000_000

SAMPLES = 2
"""Places of one shape (`/thresholds/*/provenance/set_on`) that are tried with one value, for one policy."""


@dataclass(frozen=True)
class Place:
    """One place of a snapshot, and what may stand there."""

    pointer: str
    """As a policy's reads name it."""
    keys: tuple[str | int, ...]
    """As it is found in the snapshot's JSON."""
    value: object
    evident: bool
    """Whether evidence can be missing here."""
    optional: bool
    """Whether None is a fact here."""
    kinds: tuple[object, ...]
    """The types that a fact can have here."""


@dataclass(frozen=True)
class Change:
    """One place and what is put there, as JSON."""

    pointer: str
    keys: tuple[str | int, ...]
    value: Json


@dataclass(frozen=True)
class Mutation:
    """Evidence made otherwise, in one place or in several at once."""

    kind: Kind
    name: str
    """In words: what was done, and where."""
    changes: tuple[Change, ...]

    @property
    def shape(self) -> tuple[object, ...]:
        """What it has in common with the same change elsewhere in a list."""
        at = (tuple("*" if isinstance(key, int) else key for key in change.keys) for change in self.changes)
        return (self.kind, self.name.partition(" /")[0], *at)

    def touches(self, around_reads: Collection[str]) -> bool:
        """Whether it changes a place that was read, or one around it: `around` of what was read."""
        return any(change.pointer in around_reads for change in self.changes)

    def explains(self, reads: Collection[str]) -> bool:
        """Whether who reads these places may answer otherwise: it read what changed, around it or in it."""
        return any(
            related(change.pointer, read) or related(read, change.pointer)
            for change in self.changes
            for read in reads
        )

    def apply(self, data: Json) -> Json:
        """Return a snapshot's JSON with the changes; what did not change is shared with the original."""
        for change in self.changes:
            data = _put(data, change.keys, change.value)
        return data


def around(reads: Iterable[str]) -> frozenset[str]:
    """Return the places that were read, and all that hold them."""
    found: set[str] = set()
    for read in reads:
        while read and read not in found:
            found.add(read)
            read = read.rpartition("/")[0]
    return frozenset(found)


def related(holder: str, read: str) -> bool:
    """Whether a place is the one that was read, or holds it."""
    return read == holder or read.startswith(f"{holder}/")


def _put(data: Json, keys: tuple[str | int, ...], value: Json) -> Json:
    if not keys:
        return value
    copy = list(data) if isinstance(data, list) else dict(data)
    key: Any = keys[0]
    copy[key] = _put(copy.get(key) if isinstance(copy, dict) else copy[key], keys[1:], value)
    return copy


def places(snapshot: Snapshot) -> tuple[Place, ...]:
    """Return every place of a snapshot below the snapshot itself, parents first."""
    return tuple(_inside(snapshot, "", ()))


def _inside(model: Model, pointer: str, keys: tuple[str | int, ...]) -> Iterator[Place]:
    for name, field in type(model).model_fields.items():
        at = (*keys, field.alias or name)
        kinds = tuple(_flat(field.annotation))
        yield from _place(f"{pointer}/{name}", at, getattr(model, name), kinds)


def _place(
    pointer: str, keys: tuple[str | int, ...], value: object, kinds: tuple[object, ...]
) -> Iterator[Place]:
    facts = tuple(kind for kind in kinds if kind not in (Missing, type(None)))
    yield Place(pointer, keys, value, Missing in kinds, type(None) in kinds, facts)
    if isinstance(value, Model) and not isinstance(value, Missing):
        yield from _inside(value, pointer, keys)
    elif isinstance(value, tuple):
        inner = next((get_args(kind) for kind in facts if get_origin(kind) is tuple), ())
        for number, item in enumerate(value):
            kind = inner[0] if len(inner) != len(value) or Ellipsis in inner else inner[number]
            yield from _item(f"{pointer}/{_key(item, number)}", (*keys, number), item, kind)
    elif isinstance(value, dict):
        inner = next((get_args(kind) for kind in facts if get_origin(kind) is dict), (str, str))
        for key, item in value.items():
            yield from _item(f"{pointer}/{escaped(key)}", (*keys, key), item, inner[1])


def _item(pointer: str, keys: tuple[str | int, ...], item: object, kind: object) -> Iterator[Place]:
    yield from _place(pointer, keys, item, tuple(_flat(kind)))


def _flat(kind: object) -> Iterator[object]:
    """Yield the members of a union, at any depth, without what annotates them."""
    if get_origin(kind) is Annotated:
        yield from _flat(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for member in get_args(kind):
            yield from _flat(member)
    else:
        yield kind


def escaped(key: str) -> str:
    """Return a key as it stands in a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _key(item: object, number: int) -> str:
    """Name an item of a list as a policy's reads do."""
    name = getattr(item, "name", None) or getattr(item, "key", None)
    return escaped(name) if type(name) is str else str(number)


def singles(snapshot: Snapshot) -> Iterator[Mutation]:
    """Yield every change of one place: evidence gone first, then each type's troubles."""
    found = [place for place in places(snapshot) if place.pointer not in FIXED]
    for place in found:
        yield from _gone(place)
    for place in found:
        for kind, words, value in _values(place, snapshot.now):
            yield one_place(kind, words, place, value)


def one_place(kind: Kind, words: str, place: Place, value: Json) -> Mutation:
    """Return the change of one place."""
    return Mutation(kind, f"{words} {place.pointer}", (Change(place.pointer, place.keys, value),))


def _gone(place: Place) -> Iterator[Mutation]:
    """Yield a place without its evidence, or without its fact."""
    if place.evident and not isinstance(place.value, Missing):
        lost = {"missing": "nobody could tell", "source": SOURCE}
        yield one_place("missing", "missing", place, lost)
        if Decimal in place.kinds:
            yield one_place("nan", "NaN at", place, {"missing": "not a finite number: NaN", "source": SOURCE})
    if place.optional and place.value is not None:
        yield one_place("removed", "none at", place, None)
    if isinstance(place.value, tuple) and place.value and not _pair(place):
        yield one_place("emptied", "nothing in", place, [])
    if isinstance(place.value, dict) and place.value:
        yield one_place("emptied", "nothing in", place, {})


def _pair(place: Place) -> bool:
    """Whether it is a pair such as a range: it cannot lose an item."""
    return all(Ellipsis not in get_args(kind) for kind in place.kinds if get_origin(kind) is tuple)


def _values(place: Place, now: datetime) -> Iterator[tuple[Kind, str, Json]]:
    """Yield what else could stand in a place: the kind, words, and the value as JSON."""
    value, kinds = place.value, place.kinds
    if isinstance(value, bool) or (value is None and bool in kinds):
        yield "other", "the opposite at", not value
    elif isinstance(value, datetime) or (value is None and datetime in kinds):
        yield "stale", "ten years ago at", show_instant(now - FAR)
        yield "future", "ten years ahead at", show_instant(now + FAR)
        yield "other", "now at", show_instant(now)
    elif isinstance(value, date) or (value is None and date in kinds):
        yield "stale", "ten years ago at", (now - FAR).date().isoformat()
        yield "future", "ten years ahead at", (now + FAR).date().isoformat()
    elif isinstance(value, timedelta) or (value is None and timedelta in kinds):
        yield "stale", "ten years at", span(FAR)
        yield "range", "one second at", "PT1S"
        yield "range", "no time at", "PT0S"
    elif isinstance(value, Decimal) or (value is None and Decimal in kinds):
        yield from _numbers(value if isinstance(value, Decimal) else Decimal(0))
    elif isinstance(value, int) or (value is None and int in kinds):
        for number in (0, 1, MANY):  # none below zero: a rule that only that breaks breaks on nothing
            if number != value:
                yield "range", f"{number} at", number
    elif isinstance(value, str) or (value is None and str in kinds):
        yield from _texts(value if isinstance(value, str) else None, kinds)


def _numbers(value: Decimal) -> Iterator[tuple[Kind, str, Json]]:
    tried = (Decimal(-MANY), Decimal(0), value / 2, value * 2, Decimal(MANY))
    for words, number in zip(
        ("far below at", "zero at", "half at", "twice at", "far above at"), tried, strict=True
    ):
        if number != value:
            yield "range", words, show_number(number)


def _texts(value: str | None, kinds: tuple[object, ...]) -> Iterator[tuple[Kind, str, Json]]:
    literals = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    if literals:
        for word in literals:
            if word != value:
                yield "other", f"{word!r} at", word
    elif value is not None and value.startswith("sha256:"):
        yield "other", "another digest at", _DIGEST
    elif value is not None and value.isdecimal():
        yield "other", "another number at", f"{value}9"
    else:
        yield "other", "a text at" if value is None else "another text at", OTHER
        yield "removed", "no text at", ""


def span(value: timedelta) -> str:
    """Return a span of time, none of which is below zero, as it stands in a snapshot's JSON."""
    return f"PT{round(value.total_seconds())}S"


def for_policy(mutations: Iterable[Mutation], reads: Collection[str]) -> list[Mutation]:
    """Return the mutations of what one policy reads: of places of one shape, the first few."""
    tried: dict[tuple[object, ...], int] = {}
    found: list[Mutation] = []
    near = around(reads)
    for mutation in mutations:
        if mutation.changes and mutation.touches(near):
            shape = mutation.shape
            tried[shape] = tried.get(shape, 0) + 1
            if tried[shape] <= SAMPLES:
                found.append(mutation)
    return found


def placed(data: Json, environment: str, alias: str) -> Json:
    """Return a passing snapshot's JSON as of another environment: what was tuned in its own was tuned there."""
    was = data["environment"]

    def moved(value: Json) -> Json:
        if isinstance(value, Mapping):
            return {
                key: environment if key == "environment" and item == was else moved(item)
                for key, item in value.items()
            }
        return [moved(item) for item in value] if isinstance(value, list) else value

    found = moved(data)
    for name in ("champion", "challenger"):
        held = found.get(name)
        if isinstance(held, dict):
            held["aliases"] = [alias if a == data["alias"] else a for a in held["aliases"]]
    if isinstance(found.get("model"), dict):
        for known in found["model"]["aliases"]:
            known["name"] = alias if known["name"] == data["alias"] else known["name"]
    return found | {"alias": alias}
