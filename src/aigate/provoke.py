"""Changes of evidence that a single place does not tell: of several places at once, and guesses of what is awaited. Pure.

What happens together in the world is changed together: a stage is late by its
instant and by its age. What a policy compares with stands in its own file, so
that is put where it reads. And what it does not read is changed all at once,
which its answer cannot follow.
"""

import ast
from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta
from decimal import Decimal

from aigate.mutate import (
    FAR,
    FIXED,
    MANY,
    OTHER,
    SOURCE,
    Change,
    Json,
    Kind,
    Mutation,
    Place,
    around,
    escaped,
    one_place,
    places,
    related,
    span,
)
from aigate.snapshot import Snapshot
from aigate.values import gap, show_instant, show_number
from aigate.window import Heartbeat, write_heartbeat

_ABSOLUTE = ("/rule/floor", "/rule/ceiling", "/rule/anchor")
"""Limits of a metric that hold without a champion to compare with."""

MOST_PAIRS = 300
"""Pairs of changes that are tried where no single one is enough."""

_LONGEST_CONSTANT = 60

_MOST_CONSTANTS = 24


def joint(snapshot: Snapshot, data: Json) -> Iterator[Mutation]:
    """Yield changes of several places that happen together: a late stage, a swapped champion, other data."""
    yield from _late(snapshot)
    yield from _replaced(snapshot)
    yield from _swapped(data)
    found = places(snapshot)
    for version in ("challenger", "champion"):
        at = [place for place in found if place.pointer.startswith(f"/{version}/measurements/")]
        digests = [place for place in at if place.pointer.endswith("/dataset/digest")]
        yield _several("dataset", f"other data under all metrics of /{version}", digests, "otherdata")
        values = [place for place in at if place.pointer.endswith("/value")]
        for words, number in (("the least", "0"), ("far too much", str(MANY))):
            yield _several("range", f"{words} in all metrics of /{version}", values, number)
    fixed = [p for p in found if p.pointer.startswith("/metrics/") and p.pointer.endswith(_ABSOLUTE)]
    drops = _several("removed", "nothing but drops limited in /metrics", fixed, None)
    yield drops
    lost = Change("/champion", ("champion",), {"missing": "nobody could tell", "source": SOURCE})
    yield Mutation("missing", f"{drops.name}, and missing /champion", (*drops.changes, lost))
    paired = [p for p in found if p.pointer.startswith("/comparisons/") and p.pointer.endswith("/dataset")]
    yield _several("dataset", "other data under all rows of /comparisons", paired, "otherdata")
    origins = [p for p in found if p.pointer.startswith("/thresholds/") and p.pointer.endswith("/provenance")]
    yield _several("removed", "no provenance anywhere in /thresholds", origins, None)
    beat = Heartbeat(
        at=snapshot.now,
        environment=snapshot.environment,
        alias=snapshot.alias,
        verdict="keep",
        call="keep",
        every=None,
        window=None,
    )
    yield from _tagged(data, ("model", "tags"), "/model/tags", "aigate.watch", write_heartbeat(beat))


def _several(kind: Kind, name: str, at: Iterable[Place], value: Json) -> Mutation:
    return Mutation(kind, name, tuple(Change(place.pointer, place.keys, value) for place in at))


def _late(snapshot: Snapshot) -> Iterator[Mutation]:
    """Yield stages whose instants and ages agree: late, answered for long ago, dated ahead."""
    now = snapshot.now
    every: list[Change] = []
    for number, stage in enumerate(snapshot.stages):
        if stage.freshness is None or gap(stage.freshness) is not None:
            continue
        for instant, lasting in (("as_of", "age"), ("observed_at", "evidence_age")):
            at, length = (number, "freshness", instant), (number, lasting)
            for kind, words, away in (
                ("stale", "ten years late", FAR),
                ("future", "ten years ahead", -FAR),
            ):
                changes = (
                    _at_stage(stage.name, at, show_instant(now - away)),
                    _at_stage(stage.name, length, span(max(away, timedelta(0)))),
                )
                every += changes if kind == "stale" else ()
                yield Mutation(kind, f"{words} by {instant} /stages/{escaped(stage.name)}", changes)  # type: ignore[arg-type]
    if every:
        yield Mutation("stale", "every stage ten years late in /stages", tuple(every))


def _replaced(snapshot: Snapshot) -> Iterator[Mutation]:
    """Yield stages that serve what an upstream of theirs has replaced long ago."""
    then = show_instant(snapshot.now - FAR)
    for number, stage in enumerate(snapshot.stages):
        for upstream in stage.reads:
            stale = {
                "upstream": upstream,
                "owner": None,
                "upstream_built_at": then,
                "built_from": then,
                "behind": span(FAR),
            }
            change = _at_stage(stage.name, (number, "stale_inputs"), [stale])
            yield Mutation("stale", f"{upstream} replaced ten years ago behind {change.pointer}", (change,))


def _at_stage(name: str, keys: tuple[str | int, ...], value: Json) -> Change:
    words = "/".join(str(key) for key in keys[1:])
    return Change(f"/stages/{escaped(name)}/{words}", ("stages", *keys), value)


def _swapped(data: Json) -> Iterator[Mutation]:
    mine, theirs = data.get("challenger"), data.get("champion")
    if isinstance(mine, dict) and isinstance(theirs, dict):
        one = Change("/challenger", ("challenger",), theirs)
        other = Change("/champion", ("champion",), mine)
        yield Mutation("swapped", "the champion and the challenger swapped at /champion", (one, other))
        yield Mutation("swapped", "the challenger holds the alias already at /champion", (other,))
        yield Mutation("swapped", "the champion asks at /challenger", (one,))


def _tagged(data: Json, keys: tuple[str, ...], pointer: str, key: str, value: str) -> Iterator[Mutation]:
    """Yield a list of tags with one more, or with another value for the one there is."""
    held: Json = data
    for step in keys:
        held = (
            held[int(step)] if isinstance(held, list) else held.get(step) if isinstance(held, dict) else None
        )
    if isinstance(held, list):
        rest = [tag for tag in held if tag.get("key") != key]
        more = Change(pointer, keys, [*rest, {"key": key, "value": value}])
        yield Mutation("added", f"{key} = {value[:40]!r} among {pointer}", (more,))


def elsewhere(mutations: Iterable[Mutation], reads: Collection[str]) -> Iterator[Mutation]:
    """Yield changes of everything that a policy does not say it reads: its answer cannot follow them.

    Declared limits are left as they are: most others would contradict each other.
    """
    near = around(reads)
    alike: dict[tuple[Kind, str], dict[tuple[str | int, ...], Change]] = {}
    for mutation in mutations:
        words = mutation.name.partition(" /")[0]
        for change in mutation.changes if words in _HARMLESS and len(mutation.changes) == 1 else ():
            if change.pointer not in near and not any(related(read, change.pointer) for read in reads):
                alike.setdefault((mutation.kind, words), {})[change.keys] = change
    for (kind, words), changes in alike.items():
        at = tuple(change for change in changes.values() if "rule" not in change.keys)
        yield Mutation(kind, f"{words} everything that it does not read", at)


_HARMLESS = (
    "another text at",
    "another digest at",
    "another number at",
    "the opposite at",
    "ten years ago at",
    "ten years at",
    "one second at",
    "far above at",
    "half at",
    "1 at",
)
"""Changes that nearly every place takes, so that all of them together are still a snapshot."""


def constants(source: bytes) -> tuple[str, ...]:
    """Return the short texts and numbers that a policy file holds: what it may be waiting for.

    Docstrings are left out. A file that is no Python has none.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    pieces = {id(v) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for v in node.values}
    found = (
        str(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str | int | float)
        and not isinstance(node.value, bool)
        and id(node) not in said | pieces
    )
    return tuple(dict.fromkeys(text for text in found if 0 < len(text) <= _LONGEST_CONSTANT))


def guesses(
    snapshot: Snapshot, data: Json, reads: Collection[str], known: Iterable[str]
) -> Iterator[Mutation]:
    """Yield what a policy may be waiting for: the texts and numbers of its own file, where it reads some."""
    words = list(known)[:_MOST_CONSTANTS]
    read = [place for place in places(snapshot) if place.pointer in reads and place.pointer not in FIXED]
    for place in read:
        plain = [kind for kind in place.kinds if kind in (str, Decimal, int)]
        for word in words if plain else ():
            for value in _fitting(word, plain):
                yield one_place("other", f"{word!r} at", place, value)
    for pointer in sorted(reads):
        for method, among in (("tag", "tags"), ("param", "params")):
            holder, found, key = pointer.rpartition(f"/{method}/")
            keys = tuple(part for part in f"{holder}/{among}".split("/") if part)
            if found:
                for word in (*words, OTHER):
                    unescaped = key.replace("~1", "/").replace("~0", "~")
                    yield from _tagged(data, keys, f"{holder}/{among}", unescaped, word)


def _fitting(word: str, kinds: Collection[object]) -> Iterator[Json]:
    """Yield a constant as each type of place takes it; numbers a little beyond it, too."""
    if str in kinds:
        yield word
        return
    try:
        number = Decimal(word)
    except ArithmeticError:
        return
    if number.is_finite():
        unit = Decimal(1).scaleb(int(number.as_tuple().exponent)) if Decimal in kinds else Decimal(1)
        for near in (number - 1, number - unit, number, number + unit, number + 1):
            if Decimal in kinds or near >= 0:  # a count below zero is none that the gate could have made
                yield show_number(near) if Decimal in kinds else int(near)


def together(mutations: Iterable[Mutation], reads: Collection[str]) -> Iterator[Mutation]:
    """Yield changes of what a policy reads in several places at once: all of a kind, then pairs.

    For a rule that fails only where two things are wrong at a time.
    """
    single = [m for m in mutations if len(m.changes) == 1 and m.changes[0].pointer in reads]
    alike: dict[str, list[Mutation]] = {}
    for mutation in single:
        alike.setdefault(mutation.name.partition(" /")[0], []).append(mutation)
    for words, group in alike.items():
        changes = tuple(m.changes[0] for m in group)
        if len(changes) > 1 and not _nested(changes):
            yield Mutation(group[0].kind, f"{words} all of {len(changes)} places", changes)
    chosen = [m for m in single if m.kind in ("range", "other", "stale", "future", "removed", "emptied")]
    made = 0
    for number, one in enumerate(chosen):
        for other in chosen[number + 1 :]:
            changes = (*one.changes, *other.changes)
            if made < MOST_PAIRS and not _nested(changes):
                made += 1
                yield Mutation(one.kind, f"{one.name} and {other.name}", changes)


def _nested(changes: tuple[Change, ...]) -> bool:
    at = [change.keys for change in changes]
    return any(one != other and other[: len(one)] == one for one in at for other in at) or len(set(at)) < len(
        at
    )
