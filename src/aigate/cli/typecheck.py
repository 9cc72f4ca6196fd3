"""Policies' types, checked by mypy where it is installed beside aigate: a misspelt fact is found before it is read."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aigate
from aigate.policy import PolicyFile

SECONDS = 90.0
"""How long mypy may take. It reads aigate's own types, too: some seconds the first time, then one."""

CACHE = Path(".cache/aigate/mypy")
"""Where mypy keeps what it knows, in the user's folder."""

_LINE = re.compile(
    r"(?P<file>p[0-9]+_\w*\.py):(?P<line>[0-9]+):(?P<column>[0-9]+): error: (?P<words>.*?)"
    r"(?:  \[(?P<code>[a-z-]+)\])?"
)
_STYLE = (
    "import-not-found",
    "import-untyped",
    "no-any-return",
    "no-untyped-call",
    "no-untyped-def",
    "redundant-cast",
    "type-arg",
    "untyped-decorator",
    "unused-ignore",
)
"""What says that mypy could have seen more, and not that something is wrong."""


@dataclass(frozen=True)
class TypeMistake:
    """One thing that mypy says of a policy file."""

    place: str
    words: str
    certain: bool
    """Whether it is a mistake; else something is only not declared."""


@dataclass(frozen=True)
class Types:
    """What mypy said, or why it said nothing."""

    mistakes: tuple[TypeMistake, ...] = ()
    note: str = ""


def check_types(files: Iterable[PolicyFile], home: Path) -> Types:
    """Run `mypy --strict` on policies' bytes, without any configuration of its own and without the environment.

    A configuration may name plug-ins, which would run beside the gate's
    credentials; so none is read. What mypy knows of aigate's types is kept in
    the user's cache below `home`, where it can be.
    """
    wanted = tuple(files)
    if not wanted:
        return Types()
    if importlib.util.find_spec("mypy") is None:
        return Types(note="types were not checked: mypy is not installed beside aigate")
    with tempfile.TemporaryDirectory(prefix="aigate-types-") as made:
        folder = Path(made)
        shown: dict[str, str] = {}
        for number, file in enumerate(wanted):
            name = f"p{number}_{re.sub(r'[^A-Za-z0-9_]', '_', Path(file.shown).stem)}.py"
            (folder / name).write_bytes(file.source)
            shown[name] = file.shown
        try:
            said = _mypy(folder, list(shown), home / CACHE if home.is_dir() else Path(os.devnull))
        except subprocess.TimeoutExpired:
            return Types(note=f"types were not checked: mypy took longer than {SECONDS:g} s")
        except OSError as e:
            return Types(note=f"types were not checked: mypy cannot be run: {e.strerror or e}")
    if said.returncode not in (0, 1):
        return Types(note="types were not checked: mypy broke off")
    return Types(tuple(_mistakes(said.stdout, shown)))


def _mypy(folder: Path, names: list[str], cache: Path) -> "subprocess.CompletedProcess[str]":
    words = (
        "--strict --config-file= --follow-imports=silent --show-column-numbers --no-pretty "
        "--hide-error-context --no-color-output --no-error-summary --cache-dir"
    )
    source = Path(aigate.__file__).parent.parent
    # An installed aigate is found by itself; mypy refuses to be shown the place twice.
    path = {} if source.name in ("site-packages", "dist-packages") else {"MYPYPATH": str(source)}
    return subprocess.run(  # noqa: S603 - our own interpreter, file names of our own
        [sys.executable, "-P", "-m", "mypy", *words.split(), str(cache), *names],
        cwd=folder,
        env=path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
        timeout=SECONDS,
        check=False,
    )


def _mistakes(said: str, shown: dict[str, str]) -> Iterator[TypeMistake]:
    for line in said.splitlines():
        if found := _LINE.fullmatch(line):
            code = found["code"] or "mypy"
            yield TypeMistake(
                place=f"{shown[found['file']]}:{found['line']}:{found['column']}",
                words=f"{found['words']} ({code})",
                certain=code not in _STYLE,
            )
