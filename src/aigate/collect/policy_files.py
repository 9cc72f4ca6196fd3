"""Policies read from disk: their bytes, their digest, and the policies they declare.

What a file declares is found without running it, so that the gate knows which
answers to demand before any policy has had a say. A file that would be left
out in silence is an error: a rule that nobody reads protects nobody.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from aigate.digest import digest_bytes
from aigate.errors import AigateError, ConfigError, PolicyCodeError
from aigate.manifest import ID_PATTERN
from aigate.policy import PolicyFile

MAX_BYTES = 1_000_000
"""Longest policy file, in bytes."""

_ID = re.compile(ID_PATTERN)
_LONGEST_ID = 100


def standard_folder() -> Path:
    """Return the folder of the standard pack: in the wheel, or in a checkout beside `src`."""
    package = Path(__file__).parent.parent
    for folder in (package / "standard", package.parent.parent / "policies"):
        if folder.is_dir():
            return folder
    raise ConfigError("the standard policies are not installed", fix="install aigate-mlops again")


def read_policies(folder: Path, *, shown: str, standard: bool = False) -> tuple[PolicyFile, ...]:
    """Read every policy file of a folder, in the order of their names.

    Files that begin with `_`, `test_` or `conftest` are not policies, nor is
    what stands in a folder `tests`. Raises ConfigError where the folder or a
    file cannot be read, or holds policies in a folder of its own;
    PolicyCodeError where a file is not Python, declares no policy, or declares
    one without a literal id.
    """
    files, errors = look_through(folder, shown=shown, standard=standard)
    if errors:
        raise errors[0]
    return files


def look_through(
    folder: Path, *, shown: str, standard: bool = False
) -> tuple[tuple[PolicyFile, ...], tuple[AigateError, ...]]:
    """Return the policy files of a folder that can be read, and what `read_policies` has against the others."""
    files: list[PolicyFile] = []
    errors: list[AigateError] = []
    try:
        entries = sorted(folder.iterdir())
    except OSError as e:
        return (), (_unreadable(e, shown),)
    for entry in sorted(entries, key=lambda path: not path.is_dir()):  # what would be lost comes first
        name = f"{shown}/{entry.name}"
        try:
            if entry.is_dir():
                _refuse_nested(entry, name)
            if _is_policy(entry):
                files.append(_read(entry, name, standard))
        except OSError as e:
            errors.append(_unreadable(e, name))
        except (ConfigError, PolicyCodeError) as e:
            errors.append(e)
    return tuple(files), tuple(errors)


def is_folder(path: Path, shown: str) -> bool:
    """Whether there is a folder. Raises ConfigError where nobody can tell."""
    try:
        return path.is_dir()
    except OSError as e:
        raise _unreadable(e, shown) from e


def _unreadable(error: OSError, shown: str) -> ConfigError:
    made = ConfigError(f"cannot be read: {error.strerror or error}", place=shown)
    made.__cause__ = error
    return made


def _is_policy(path: Path) -> bool:
    return path.suffix.lower() == ".py" and not path.name.startswith(("_", "test_", "conftest"))


def _refuse_nested(folder: Path, shown: str) -> None:
    """Refuse a folder inside the policies' folder that holds policies: only the folder itself is read."""
    if folder.name.startswith(("_", ".")) or folder.name in ("test", "tests"):
        return
    lost = next(filter(_is_policy, sorted(folder.rglob("*"))), None)
    if lost is not None:
        raise ConfigError(
            f"{lost.name} would not be read: policies stand in the folder itself, not in one below it",
            place=shown,
            fix="move it up, or begin the folder's name with `_`",
        )


def _read(path: Path, shown: str, standard: bool) -> PolicyFile:
    if not shown.isprintable():
        raise ConfigError("a policy file's name must be plain text", place=ascii(shown))
    if not path.is_file():  # a pipe would be waited for, for ever
        raise ConfigError("is not a file", place=shown)
    with path.open("rb") as file:
        source = file.read(MAX_BYTES + 1)
    if len(source) > MAX_BYTES:
        raise PolicyCodeError(f"{shown}: larger than {MAX_BYTES} bytes")
    return PolicyFile(shown, source, digest_bytes(source), declared(source, shown), standard)


@lru_cache(maxsize=256)
def declared(source: bytes, shown: str) -> tuple[str, ...]:
    """Return the ids of the policies that a file declares, by reading it, not by running it.

    Remembered for the same bytes: a watcher reads the same files at every look.
    """
    try:
        tree = ast.parse(source, filename=shown)
    except SyntaxError as e:
        raise PolicyCodeError(f"{shown}:{e.lineno or 1}: not Python: {e.msg}") from e
    except (ValueError, RecursionError, MemoryError) as e:  # a null byte; nesting without end
        raise PolicyCodeError(f"{shown}:1: not Python: {str(e) or type(e).__name__}") from e
    ids = tuple(
        _literal_id(decorator, shown)
        for node in _functions(tree)
        for decorator in node.decorator_list
        if _is_policy_decorator(decorator)
    )
    if not ids:
        raise PolicyCodeError(
            f"{shown}: declares no policy",
            fix="decorate a generator with @policy('theme.name'), or begin the file's name with `_`",
        )
    return ids


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function in order, however deep; expressions hold none, and most of a tree is expressions.

    It walks without recursion: an `elif` is one level below the one before it.
    """
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, _HOLDERS)]
        waiting.extend(reversed(inner))


_HOLDERS = (ast.stmt, ast.excepthandler, ast.match_case)


def _is_policy_decorator(node: ast.expr) -> bool:
    function = node.func if isinstance(node, ast.Call) else node
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "policy"


def _literal_id(node: ast.expr, shown: str) -> str:
    given: list[ast.expr] = []
    if isinstance(node, ast.Call):
        given = node.args[:1] or [keyword.value for keyword in node.keywords if keyword.arg == "id"]
    found = given[0].value if given and isinstance(given[0], ast.Constant) else None
    if not isinstance(found, str):
        raise PolicyCodeError(
            f"{shown}:{node.lineno}: the policy's id must be written out",
            fix="write @policy('theme.name', ...)",
        )
    if len(found) > _LONGEST_ID or not _ID.fullmatch(found):
        raise PolicyCodeError(
            f"{shown}:{node.lineno}: {found[:_LONGEST_ID]!r} is no policy id",
            fix="write theme.name in lower-case letters, digits and underscores",
        )
    return found


def check_unique(files: Iterable[PolicyFile]) -> None:
    """Refuse two policies with one id: which of them answered would be anybody's guess."""
    for error in doubles(files):
        raise error


def doubles(files: Iterable[PolicyFile]) -> Iterator[PolicyCodeError]:
    """Yield an error for every policy whose id another one has already."""
    seen: dict[str, str] = {}
    for file in files:
        for id in file.policies:
            if id in seen:
                yield PolicyCodeError(f"policy {id} is declared in {seen[id]} and again in {file.shown}")
            seen.setdefault(id, file.shown)
