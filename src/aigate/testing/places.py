"""One place of a snapshot changed, and everything built through validation again."""

from collections.abc import Mapping
from typing import Any

from aigate.snapshot import Snapshot
from aigate.values import Missing, Model


def missing(reason: str, source: str = "test") -> Missing:
    """Return missing evidence, to put where a fact stood."""
    return Missing(missing=reason, source=source)


def change(snapshot: Snapshot, pointer: str, value: object) -> Snapshot:
    """Return a snapshot with one place changed, built through validation.

    `pointer` is a JSON pointer; items of a tuple are found by their name, key
    or position: `/stages/features/age`, `/challenger/measurements/accuracy/value`.
    Raises KeyError where there is no such place, and pydantic's
    ValidationError where the value cannot stand there.
    """
    *way, last = [_unescape(part) for part in pointer.removeprefix("/").split("/")]
    data = snapshot.model_dump(by_alias=True)
    place: Any = data
    for depth, part in enumerate(way):
        at = _place(place, part, pointer)
        if isinstance(place[at], tuple):
            place[at] = list(place[at])
        place = place[at]
        if not isinstance(place, dict | list):
            raise KeyError(f"{pointer}: there is nothing inside {'/'.join(way[: depth + 1])}")
    place[_place(place, last, pointer)] = _plain(value)
    return Snapshot.model_validate(_tuples(data))


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _place(inside: dict[str, Any] | list[Any], part: str, pointer: str) -> Any:
    """Return the key or the position that one part of a pointer means."""
    if isinstance(inside, dict):
        if part not in inside:
            raise KeyError(f"{pointer}: no {part!r} among {', '.join(inside)}")
        return part
    names = [_name(item) for item in inside]
    if part in names:
        return names.index(part)
    if part.isdecimal() and int(part) < len(inside):
        return int(part)
    raise KeyError(f"{pointer}: no {part!r} among {', '.join(filter(None, names)) or 'nothing'}")


def _name(item: object) -> str | None:
    if not isinstance(item, Mapping):
        return None
    for key in ("name", "key", "metric", "blames", "upstream", "stage"):
        if isinstance(found := item.get(key), str):
            return found
    return None


def _plain(value: object) -> object:
    """Return a value as it stands in a dumped snapshot."""
    if isinstance(value, Model):
        return value.model_dump(by_alias=True)
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
