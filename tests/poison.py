"""Every place of a snapshot where evidence stands, and ways to spoil each of them."""

import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from aigate.snapshot import Snapshot
from aigate.testing import NOW, missing
from aigate.values import Missing, Model

DECLARED = re.compile(
    r"/(schema|now|question|environment|system|alias|manifest_digest|owner.*|metrics.*)"
    r"|/stages/[^/]+(/(name|owner|contact|reads|promise.*|evidence_limit.*|allowance))"
    r"|/end_to_end/limit.*"
    r"|/thresholds/[^/]+(/(name|value|kind|provenance.*|declared_applied))"
    r"|/runbooks/[^/]+(/(blames|path))"
)
"""What the manifest says and what was asked: no evidence."""


@dataclass(frozen=True)
class Place:
    """One place in a snapshot."""

    pointer: str
    value: object
    evident: bool
    """Whether `Missing` can stand there."""


@dataclass(frozen=True)
class Poison:
    """One way to spoil one place."""

    pointer: str
    kind: str
    value: object

    def __str__(self) -> str:
        return f"{self.pointer} {self.kind}"


def places(snapshot: Snapshot) -> list[Place]:
    """Every place of evidence, tuples and models and what is in them."""
    return [place for place in _inside(snapshot, "") if not DECLARED.fullmatch(place.pointer)]


def _inside(model: Model, at: str) -> Iterator[Place]:
    for name, field in type(model).model_fields.items():
        value, pointer = getattr(model, name), f"{at}/{field.alias or name}"
        yield Place(pointer, value, Missing in typing.get_args(field.annotation))
        if isinstance(value, Model):
            yield from _inside(value, pointer)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, Model):
                    yield from _inside(item, f"{pointer}/{_name(item, index)}")


def _name(item: Model, index: int) -> str:
    name = getattr(item, "name", None) or getattr(item, "key", None) or str(index)
    return str(name).replace("~", "~0").replace("/", "~1")


def poisons(place: Place) -> Iterator[Poison]:
    """Ways to spoil a place: some of them cannot stand there, which is as well."""
    value = place.value
    if place.evident:
        yield Poison(place.pointer, "missing", missing("gone"))
    if value is not None:
        yield Poison(place.pointer, "none", None)
    for kind, spoilt in _spoilt(value):
        yield Poison(place.pointer, kind, spoilt)


def _spoilt(value: object) -> list[tuple[str, object]]:
    match value:
        case bool():
            return [("turned", not value)]
        case int():
            return [("huge", 10**12), ("negative", -5), ("nought", 0)]
        case Decimal():
            return [
                ("huge", Decimal("1e300")),
                ("infinite", Decimal("1.7976931348623157E+308")),
                ("negative", Decimal(-7)),
            ]
        case datetime():
            return [("future", NOW + timedelta(days=1)), ("past", NOW - timedelta(days=4000))]
        case timedelta():
            return [("huge", timedelta(days=30_000))]
        case str() if value.startswith("sha256:"):
            return [("other", f"sha256:{'0' * 64}")]
        case str():
            return [("other", "99" if value.isdigit() else "other")]
        case tuple() if value:
            return [("empty", ())]
        case _:
            return []
