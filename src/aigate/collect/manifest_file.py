"""The manifest read from disk: strictly, with a place for everything that is wrong with it."""

import difflib
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aigate.collect.strict import StrictError, quote
from aigate.collect.strict_yaml import MAX_YAML_BYTES, Place, YamlDocument, load_yaml
from aigate.digest import digest_bytes
from aigate.errors import ConfigError
from aigate.limits import spread_provenance
from aigate.manifest import ID_PATTERN, Manifest
from aigate.register import register
from aigate.sources import ADAPTERS, FRESHNESS, URL_PATTERN
from aigate.values import NAME_PATTERN, VERSION_PATTERN, Digest, Model

NAME = "aigate.yaml"
MOST_SHOWN = 8
"""Mistakes shown at once; more than a screen of them helps nobody."""


@dataclass(frozen=True)
class LoadedManifest:
    """A manifest, the bytes' digest, and where it stands on disk."""

    manifest: Manifest
    digest: Digest
    path: Path
    shown: str
    document: YamlDocument

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the manifest start from."""
        return self.path.parent

    def place(self, *keys: str | int) -> str:
        """Return `file:line:column` of what stands under these keys, or of its nearest parent."""
        line, column = self.document.place(keys)
        return f"{self.shown}:{line}:{column}"

    def locate(self, *keys: str | int) -> Place:
        """Return line and column of the deepest of these keys that the manifest has, as findings name them.

        A stage goes by its name. Several steps may be one text, with dots or
        slashes between (`metrics.accuracy.floor`, `features/transactions`),
        and `slices` and `provenance` may be left out of it.
        """
        here: tuple[str | int, ...] = ()
        for key in keys:
            steps: tuple[str | int, ...] = (key,) if (*here, key) in self.document.positions else ()
            if not steps and isinstance(key, str):
                _, steps = _followed(_at(self.document.data, here), key)
            if not steps:
                break
            here = (*here, *steps)
        return self.document.place(here, key=True)


_LEFT_OUT = ("slices", "provenance")
"""Steps that a finding's key does not spell out."""


def _at(data: Any, keys: Iterable[str | int]) -> Any:
    for key in keys:
        data = data[key]
    return data


def _followed(node: object, name: str) -> tuple[int, tuple[str | int, ...]]:
    """Follow a text below a node as far as it leads: how many of its characters were keys, and those keys.

    Names have dots and slashes too, so every reading is tried and the longest one wins.
    """
    best: tuple[int, tuple[str | int, ...]] = (0, ())
    for step, label, child in _children(node):
        if name == label or name.startswith((f"{label}.", f"{label}/")):
            read, steps = _followed(child, name[len(label) + 1 :])
            best = max(best, (len(label) + read, (step, *steps)), key=lambda found: found[0])
        if step in _LEFT_OUT:
            read, steps = _followed(child, name)
            best = max(best, (read, (step, *steps) if read else ()), key=lambda found: found[0])
    return best


def _children(node: object) -> Iterable[tuple[str | int, str, object]]:
    """Return the parts of a node: step, name and value; in a list, those that have a name."""
    if isinstance(node, dict):
        return [(key, key, value) for key, value in node.items()]
    if isinstance(node, list):
        named = [(i, part.get("name"), part) for i, part in enumerate(node) if isinstance(part, dict)]
        return [(i, name, part) for i, name, part in named if isinstance(name, str)]
    return ()


def load_manifest(path: Path) -> LoadedManifest:
    """Read and check a manifest; raises ConfigError that names every mistake and its place."""
    shown = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_YAML_BYTES + 1)
    except FileNotFoundError as e:
        raise ConfigError(
            "there is no manifest here",
            place=shown,
            fix="write one with `aigate init`, or name it: --manifest FILE",
        ) from e
    except OSError as e:
        raise ConfigError(f"cannot be read: {e.strerror}", place=shown) from e
    manifest, document = parse_manifest(data, shown)
    return LoadedManifest(manifest, digest_bytes(data), path.absolute(), shown, document)


def parse_manifest(data: bytes, shown: str) -> tuple[Manifest, YamlDocument]:
    """Turn a manifest's bytes into a manifest; raises ConfigError with places in `shown`."""
    try:
        document = load_yaml(data, source=shown)
    except StrictError as e:
        raise ConfigError(e.message, place=e.place, fix="correct the YAML at this place") from e
    try:
        manifest = Manifest.model_validate(spread_provenance(frozen(document.data)))
    except ValidationError as e:
        raise _explain(e.errors(include_url=False), document) from e
    _check_names(manifest, document)
    return manifest, document


def _check_names(manifest: Manifest, document: YamlDocument) -> None:
    """Refuse two limits of one name: `a.slices.b` may be a metric, or a slice of the metric `a`."""
    seen: set[str] = set()
    for item in register(manifest):
        if item.name in seen:
            line, column = document.place(item.keys)
            raise ConfigError(
                f"two limits are called {item.name}",
                place=f"{document.source}:{line}:{column}",
                fix="give the metric or the slice another name",
            )
        seen.add(item.name)


def frozen(data: object) -> object:
    """Return loaded data with tuples for lists, as strict models take them."""
    if isinstance(data, dict):
        return {key: frozen(value) for key, value in data.items()}
    return tuple(frozen(item) for item in data) if isinstance(data, list) else data


def _explain(errors: list[ErrorDetails], document: YamlDocument) -> ConfigError:
    lines = sorted({_line(error, document) for error in errors if not _repeated(error, document)})
    places = [
        f"{document.source}:{line}:{column}: {message}" for (line, column), message in lines[:MOST_SHOWN]
    ]
    if len(lines) > MOST_SHOWN:
        places.append(f"and {len(lines) - MOST_SHOWN} more")
    first, *rest = places
    place, _, message = first.partition(": ")
    return ConfigError(
        "\n".join([message, *rest]),
        place=place,
        fix="`aigate schema` prints the whole shape; editors complete the file with it",
    )


def _repeated(error: ErrorDetails, document: YamlDocument) -> bool:
    """Whether it lies in a provenance that was spread over limits; it is named where it is written, too."""
    loc = without_members(error["loc"])
    return "provenance" in loc and loc[: loc.index("provenance") + 1] not in document.positions


def _line(error: ErrorDetails, document: YamlDocument) -> tuple[Place, str]:
    """Return the place of an error and its words, for a person."""
    loc = without_members(error["loc"])
    path = ".".join(str(step) for step in _written(loc, document))
    at = f"{path}: " if path else ""
    place = document.place(loc, key=loc[-1:] == ("[key]",))
    match error["type"]:
        case "extra_forbidden":
            return document.place(loc, key=True), _extra(error["loc"], str(loc[-1]))
        case "missing" if isinstance(loc[-1], int):
            return document.place(loc[:-1]), f"{at}it has too few values"
        case "missing":
            where = f" in {path}" if path else ""
            return document.place(loc[:-1]), f"the key {loc[-1]!r} is required{where}"
        case "misplaced":
            return document.place(error["ctx"]["keys"]), error["msg"]
        case "model_type" | "model_attributes_type" | "dict_type":
            return place, f"{path or 'the manifest'} must be a mapping of keys to values"
        case _ if loc[2:3] == ("params",) and len(loc) > 5 and loc[-1] != "[key]":
            # Every kind that it could have been says that it is not of this kind.
            return place, f"{at}must be text, a number, true or false, or a list of texts"
        case _:
            return place, f"{at}{_words(error)}{_said(error['input'])}"


def _extra(loc: tuple[str | int, ...], key: str) -> str:
    if "freshness" in loc and key in ADAPTERS:
        return f"{key!r} is a second source: a stage has one of {', '.join(ADAPTERS)}"
    return unknown_key(key, known_keys(loc), "key")


def _words(error: ErrorDetails) -> str:
    """Say what is wrong with a value; pydantic's words speak to programmers."""
    if error["type"] == "string_pattern_mismatch":
        return _PATTERNS.get(error["ctx"]["pattern"], error["msg"])
    if error["type"] == "string_type" and isinstance(error["input"], bool | int | Decimal):
        return "must be text: put it in quotes"
    words = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return _WORDS.get(error["type"], words).replace("should be ", "must be ", 1)


_WORDS = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list: [...]",
    "too_long": "it has too many values",
    "union_tag_not_found": f"needs the source of the time: one of {', '.join(ADAPTERS)}",
}
_PATTERNS = {
    NAME_PATTERN: "must be text on one line",
    URL_PATTERN: "must be an address that begins with http:// or https://, without user or password",
    ID_PATTERN: "must be a policy's id, such as freshness.stage",
    VERSION_PATTERN: "must be a version's number, such as '7'",
}


def _said(given: object) -> str:
    """Repeat what is written, unless it could be an address with a password in it."""
    if isinstance(given, bool):
        return f" (it says {str(given).lower()})"
    if not isinstance(given, str | int | Decimal) or "://" in str(given):
        return ""
    return f" (it says {quote(given)})" if isinstance(given, str) else f" (it says {given})"


def _written(loc: Iterable[str | int], document: YamlDocument) -> tuple[str | int, ...]:
    """Return the steps of a location that the file has, without names of union members."""
    here: tuple[str | int, ...] = ()
    for step in loc:
        if (*here, step) in document.positions:
            here = (*here, step)
    return here


def unknown_key(key: str, known: Iterable[str], word: str) -> str:
    """Say that a key is not known, and which known one it is nearest to."""
    names = list(known)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    if near:
        return f"unknown {word} {key!r}: did you mean {near[0]!r}?"
    return f"unknown {word} {key!r}: known here are {', '.join(names)}"


def without_members(loc: Iterable[str | int]) -> tuple[str | int, ...]:
    """Return a location without the names of union members, which the file does not have."""
    here: Any = Manifest
    kept: list[str | int] = []
    for step in loc:
        if len(_models(here)) == 1 or get_origin(_parts(here)[0]) is not None or step not in FRESHNESS:
            kept.append(step)
        here = _below(here, step)
    return tuple(kept)


def known_keys(loc: Iterable[str | int]) -> list[str]:
    """Return the keys that the manifest could have where a location's last step stands."""
    *steps, _ = loc
    here: Any = Manifest
    for step in steps:
        here = _below(here, step)
    return [name for model in _models(here) for name in model.model_fields]


def _below(annotation: Any, step: str | int) -> Any:
    for part in _parts(annotation):
        if get_origin(part) is dict:
            return get_args(part)[1]
    models = _models(annotation)
    if len(models) > 1 and step in FRESHNESS:
        return FRESHNESS[str(step)]
    for model in models:
        if step in model.model_fields:
            field = model.model_fields[str(step)]
            return field.annotation
    return annotation  # an index, or the name of a union's member


def _parts(annotation: Any) -> list[Any]:
    """Return the members of a union, without what annotates them."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return _parts(get_args(annotation)[0])
    if origin in (typing.Union, UnionType):
        return [part for arg in get_args(annotation) for part in _parts(arg)]
    return [annotation]


def _models(annotation: Any) -> list[type[Model]]:
    found: list[type[Model]] = []
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, Model):
            found.append(part)
        elif get_origin(part) is tuple:
            found.extend(model for arg in get_args(part) if arg is not ... for model in _models(arg))
    return found
