"""The guard file, read once when the server starts. What is wrong with it closes the guard, and never opens it."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from aigate.collect.strict import StrictError
from aigate.collect.strict_yaml import MAX_YAML_BYTES, YamlDocument, load_yaml
from aigate.enforce.keys import TrustedKey, read_file, read_public_key
from aigate.errors import AigateError, ConfigError, UsageError
from aigate.hook.guard import Guard, GuardFile, KeyFile
from aigate.ticket import LONGEST_LIFE

VARIABLE = "AIGATE_GUARD"
"""Names the guard file."""


def load_guard(environ: Mapping[str, str]) -> Guard:
    """Return the guard that the environment names; a broken one where it cannot be had, and never raises."""
    named = environ.get(VARIABLE, "").strip()
    if not named:
        return Guard(None, broken=f"{VARIABLE} is not set")
    try:
        return read_guard(Path(named))
    except AigateError as e:
        return Guard(None, broken=e.message)
    except Exception as e:  # noqa: BLE001 - whatever goes wrong here must close the guard
        return Guard(None, broken=f"{VARIABLE}: {type(e).__name__}")


def read_guard(path: Path) -> Guard:
    """Read a guard file and the keys that it names, whose paths begin at its folder. Raises AigateError."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_YAML_BYTES + 1)
    except OSError as e:
        raise UsageError(f"{path.name} cannot be read: {e.strerror or type(e).__name__}") from e
    file = parse_guard(data, path.name)
    keys = tuple(_key(path.parent, entry) for entry in file.keys)
    return Guard(file, keys)


def parse_guard(data: bytes, shown: str) -> GuardFile:
    """Turn a guard file's bytes into a configuration. Raises ConfigError with the place."""
    try:
        document = load_yaml(data, source=shown)
    except StrictError as e:
        raise ConfigError(e.message, place=e.place) from e
    try:
        file = GuardFile.model_validate(_frozen(document.data))
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ConfigError(f"{where}: {first['msg']}", place=_place(document, first["loc"])) from e
    if file.max_age > LONGEST_LIFE:
        raise ConfigError(f"at most {LONGEST_LIFE}", place=_place(document, ("max_age",)))
    if file.mode == "enforce" and not file.keys:
        raise ConfigError("no key may sign: name one, or set mode: observe", place=_place(document, ()))
    return file


def _place(document: YamlDocument, steps: tuple[str | int, ...]) -> str:
    line, column = document.place(steps)
    return f"{document.source}:{line}:{column}"


def _key(folder: Path, entry: KeyFile) -> TrustedKey:
    return read_public_key(read_file(folder / entry.file, entry.file), entry.file, entry.until)


def _frozen(data: object) -> object:
    """Return loaded data with tuples for lists, as strict models take them."""
    if isinstance(data, dict):
        return {key: _frozen(value) for key, value in data.items()}
    return tuple(_frozen(item) for item in data) if isinstance(data, list) else data
