"""Policies read from disk: their bytes, their digest, and the policies they declare.

What a file declares is found without running it, so that the gate knows which
answers to demand before any policy has had a say.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aigate.digest import digest_bytes
from aigate.errors import ConfigError, PolicyCodeError

MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class PolicyFile:
    """One file of policies: exactly these bytes are hashed, and exactly these bytes run."""

    shown: str
    """The path as people see it."""
    source: bytes
    digest: str
    policies: tuple[str, ...]
    """The ids it declares, in order."""
    standard: bool = False
    """Whether it belongs to the standard pack."""


def standard_folder() -> Path:
    """Return the folder of the standard pack: in the wheel, or in a checkout beside `src`."""
    package = Path(__file__).parent.parent
    for folder in (package / "standard", package.parent.parent / "policies"):
        if folder.is_dir():
            return folder
    raise ConfigError("the standard policies are not installed", fix="install aigate-mlops again")


def read_policies(folder: Path, *, shown: str, standard: bool = False) -> tuple[PolicyFile, ...]:
    """Read every policy file of a folder, in the order of their names.

    Files that begin with `_` or `test_` are not policies. Raises ConfigError
    where the folder cannot be read, PolicyCodeError where a file is not
    Python, declares no policy, or declares one without a literal id.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if _is_policy(path))
        return tuple(_read(path, f"{shown}/{path.name}", standard) for path in paths)
    except OSError as e:
        raise ConfigError(f"cannot be read: {e.strerror}", place=shown) from e


def _is_policy(path: Path) -> bool:
    return path.suffix == ".py" and not path.name.startswith(("_", "test_", "conftest"))


def _read(path: Path, shown: str, standard: bool) -> PolicyFile:
    source = path.read_bytes()
    if len(source) > MAX_BYTES:
        raise PolicyCodeError(f"{shown}: larger than {MAX_BYTES} bytes")
    return PolicyFile(shown, source, digest_bytes(source), declared(source, shown), standard)


def declared(source: bytes, shown: str) -> tuple[str, ...]:
    """Return the ids of the policies that a file declares, by reading it, not by running it."""
    try:
        tree = ast.parse(source, filename=shown)
    except (SyntaxError, ValueError) as e:
        line = getattr(e, "lineno", None) or 1
        raise PolicyCodeError(f"{shown}:{line}: not Python: {getattr(e, 'msg', e)}") from e
    ids = tuple(
        _literal_id(decorator, shown)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in node.decorator_list
        if _is_policy_decorator(decorator)
    )
    if not ids:
        raise PolicyCodeError(
            f"{shown}: declares no policy",
            fix="decorate a generator with @policy('theme.name'), or begin the file's name with `_`",
        )
    return ids


def _is_policy_decorator(node: ast.expr) -> bool:
    function = node.func if isinstance(node, ast.Call) else node
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "policy"


def _literal_id(node: ast.expr, shown: str) -> str:
    match node:
        case ast.Call(args=[ast.Constant(value=str(found)), *_]):
            return found
    raise PolicyCodeError(
        f"{shown}:{node.lineno}: the policy's id must be written out",
        fix="write @policy('theme.name', ...)",
    )


def check_unique(files: Iterable[PolicyFile]) -> None:
    """Refuse two policies with one id: which of them answered would be anybody's guess."""
    seen: dict[str, str] = {}
    for file in files:
        for id in file.policies:
            if id in seen:
                raise PolicyCodeError(f"policy {id} is declared in {seen[id]} and again in {file.shown}")
            seen[id] = file.shown
