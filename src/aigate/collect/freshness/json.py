"""Plain JSON by URL or file: `time` and its companions are JMESPath expressions into the document."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from aigate.collect.freshness.document import Document, read_document
from aigate.collect.freshness.reading import Found, NoEvidenceError, World, evidence, name_of
from aigate.errors import ConfigError
from aigate.snapshot import InputRead
from aigate.sources import JsonFreshness


def read(declared: JsonFreshness, world: World) -> Found:
    """Read the document and every place in it that is declared; a declared place that is empty is missing."""
    expressions = {key: _compiled(key, getattr(declared, key)) for key in _PLACES if getattr(declared, key)}
    place = declared.url or declared.file
    assert place is not None  # the manifest's own rule: one of the two
    document = read_document(place, declared, world)
    tree = _plain(document.value)

    def look(key: str) -> Any:
        return None if key not in expressions else _search(expressions[key], key, tree, declared, document)

    def instant(key: str) -> datetime | None:
        if key not in expressions:
            return None
        return document.clock.read(look(key), f"`{getattr(declared, key)}`", unit=declared.unit)

    as_of = instant("time")
    assert as_of is not None  # `time` is required
    observed_at = instant("observed")
    if observed_at is None:
        observed_at = document.observed_at
    elif declared.url is not None:
        observed_at = min(observed_at, document.observed_at)
    found = evidence(
        declared,
        document.clock,
        document.shown,
        as_of=as_of,
        observed_at=min(observed_at, world.now),
        built_at=instant("built"),
        read_at=instant("read"),
        version=name_of(look("version"), f"`{declared.version}`", document.shown)
        if declared.version
        else None,
        inputs=_inputs(look("inputs"), document) if declared.inputs else (),
    )
    return Found(found, document.shown, document.digest)


_PLACES = ("time", "observed", "built", "read", "version", "inputs")


def _compiled(key: str, expression: str) -> Any:
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.compile(expression)
    except JMESPathError as e:
        raise ConfigError(
            f"freshness `{key}: {expression}` is not a JMESPath expression",
            fix="write a path such as `loaded_at` or `tables[?name=='orders'].loaded_at | [0]`",
        ) from e


def _search(compiled: Any, key: str, tree: object, declared: JsonFreshness, document: Document) -> object:
    from jmespath.exceptions import JMESPathError

    expression = getattr(declared, key)
    try:
        found: object = compiled.search(tree)
    except (JMESPathError, TypeError, ValueError, ArithmeticError) as e:
        raise NoEvidenceError(f"`{expression}` does not fit the document", document.shown) from e
    if found is None:
        raise NoEvidenceError(f"nothing at `{expression}`; the document has {_outline(tree)}", document.shown)
    if isinstance(found, list):
        raise NoEvidenceError(
            f"`{expression}` gives a list of {len(found)}; choose one, such as with `| [0]` or `max(...)`",
            document.shown,
        )
    return found


def _outline(tree: object) -> str:
    if not isinstance(tree, dict):
        return "no keys" if not isinstance(tree, list) else f"a list of {len(tree)}"
    keys = [str(key)[:40] for key in tree]
    more = f" and {len(keys) - 8} more" if len(keys) > 8 else ""
    return f"{', '.join(keys[:8])}{more}" if keys else "no keys"


def _plain(value: object) -> object:
    """Return the document with floats for decimals: JMESPath's functions know no other fractions.

    Nothing is lost that an instant has: its microseconds survive.
    """
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _inputs(value: object, document: Document) -> tuple[InputRead, ...]:
    """Read which version of each upstream was read: `{stage: version}` or `{stage: {version, built_at, as_of}}`."""
    if not isinstance(value, dict):
        raise NoEvidenceError("`inputs` is not an object of upstream stage to version", document.shown)
    return tuple(_input(str(stage), said, document) for stage, said in sorted(value.items()))


def _input(stage: str, said: object, document: Document) -> InputRead:
    name = name_of(stage, "an upstream's name in `inputs`", document.shown)
    if not isinstance(said, dict):
        return InputRead(stage=name, version=name_of(said, f"the version of input {name}", document.shown))
    version, built, as_of = (said.get(key) for key in ("version", "built_at", "as_of"))
    if version is None and built is None and as_of is None:
        raise NoEvidenceError(f"input {name} has neither version nor built_at nor as_of", document.shown)
    return InputRead(
        stage=name,
        version=None if version is None else name_of(version, f"the version of input {name}", document.shown),
        built_at=None if built is None else document.clock.read(built, f"built_at of input {name}"),
        as_of=None if as_of is None else document.clock.read(as_of, f"as_of of input {name}"),
    )
