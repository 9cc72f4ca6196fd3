"""Policies from elsewhere: an installed package, or a folder, of which the manifest says the digest.

Nothing of a package is imported to find it, and nothing of it runs that was
not hashed: each file is read once, and the bytes that were hashed are the ones
that are handed on. Where they come from is therefore no matter of trust; the
digest in the manifest is.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from aigate.collect.policy_files import is_folder, look_through
from aigate.errors import AigateError, ConfigError
from aigate.manifest import PolicyPackage
from aigate.policy import PolicyFile
from aigate.values import Digest

GROUP = "aigate.policies"
"""The entry points by which a package says which of its folders holds policies."""

_TAKEN = "standard"
"""How the files of the standard pack are shown."""


def look_into(
    wanted: PolicyPackage, folder: Path, *, place: str
) -> tuple[tuple[PolicyFile, ...], tuple[AigateError, ...]]:
    """Return the policy files that a manifest names from elsewhere, or everything that is wrong with them.

    `folder` is the manifest's, `place` where it names them. Without exactly the
    digest that it requires there are no files.
    """
    try:
        files, errors = find(wanted, folder)
    except ConfigError as e:
        return (), (
            ConfigError(f"{e.message}; the manifest requires {wanted.digest}", place=place, fix=e.fix),
        )
    if errors:
        return (), errors
    if (found := files_digest(files)) != wanted.digest:
        return (), (
            ConfigError(
                f"the policies of {wanted.name} are not the ones that are required: they have {found}, "
                f"and the manifest requires {wanted.digest} ({_listed(files)})",
                place=place,
                fix="see what was changed; where the change is meant, write the new digest there "
                f"(aigate policies --digest {wanted.name})",
            ),
        )
    return files, ()


def find(wanted: PolicyPackage, folder: Path) -> tuple[tuple[PolicyFile, ...], tuple[AigateError, ...]]:
    """Read policies from elsewhere, whatever their digest is; return what can be read, and what is wrong.

    Raises ConfigError where there is no such package or folder.
    """
    own: frozenset[str] = frozenset()
    if wanted.folder is not None:
        at, shown = folder / wanted.folder, str(PurePosixPath(wanted.folder))
    else:
        at, own = _installed(wanted.package or "")
        shown = wanted.package or ""
    if shown == _TAKEN:
        raise ConfigError(
            f"{shown!r} is how the standard pack is shown", fix="give the folder or the package another name"
        )
    if not is_folder(at, shown):
        raise ConfigError(
            f"there is no folder {shown!r} beside the manifest",
            fix="check it out too; a git submodule is left out of a pull request's base: copy it, or install it",
        )
    files, errors = look_through(at, shown=shown)
    if not files and not errors:
        errors = (ConfigError("there is no policy in it", place=shown, fix="see `aigate policies --digest`"),)
    return files, (*errors, *(e for file in files for e in _unhashed(file, own)))


def files_digest(files: Iterable[PolicyFile]) -> Digest:
    """Return one digest over policy files: their names and bytes, in the order of the names.

    It is what `sha256sum *.py | sha256sum` says in a folder of nothing else, in
    the C locale.
    """
    lines = sorted((PurePosixPath(file.shown).name, file.digest.removeprefix("sha256:")) for file in files)
    text = "".join(f"{digest}  {name}\n" for name, digest in lines)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _listed(files: tuple[PolicyFile, ...]) -> str:
    names = [PurePosixPath(file.shown).name for file in files]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _installed(name: str) -> tuple[Path, frozenset[str]]:
    """Return the folder of an installed package's policies, and the names under which its own code is imported."""
    from importlib import metadata  # not before a manifest names a package

    try:
        found = metadata.distribution(name)
        files = [PurePosixPath(file.as_posix()) for file in found.files or ()]
        said = sorted({entry.value for entry in found.entry_points if entry.group == GROUP})
    except metadata.PackageNotFoundError as e:
        raise ConfigError(
            f"the package {name!r} is not installed beside aigate",
            fix="install it into the same environment, pinned and with its hash",
        ) from e
    except Exception as e:  # its parsers stumble over a mangled file in ways of their own
        raise ConfigError(
            f"what the package {name!r} says of itself cannot be read ({type(e).__name__})",
            fix="install it again",
        ) from e
    tops = frozenset(file.parts[0] for file in files if len(file.parts) > 1 and file.suffix == ".py") - {".."}
    folders = [value.partition(":")[0].replace(".", "/") for value in said] or sorted(tops)
    if len(folders) != 1:
        raise ConfigError(
            f"which folder of the package {name!r} holds its policies cannot be told "
            f"({', '.join(folders) or 'it has none: is it installed as editable?'})",
            fix=f'let it say so: [project.entry-points."{GROUP}"] policies = "<package>.<folder>"; '
            "for one that you work on, name its folder",
        )
    at = Path(str(found.locate_file(folders[0])))
    if not is_folder(at, name):
        raise ConfigError(f"the package {name!r} has no folder {folders[0]!r}", fix="install it again")
    return at, tops | {folders[0].partition("/")[0]}


def _unhashed(file: PolicyFile, own: frozenset[str]) -> Iterator[ConfigError]:
    """Yield an error for every import of the package's own code: what is imported was not hashed."""
    for node in ast.walk(ast.parse(file.source)):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            names = [str(word.value) for word in node.args[:1] if isinstance(word, ast.Constant)]
        else:
            continue
        relative = isinstance(node, ast.ImportFrom) and node.level > 0
        if relative or any(name.partition(".")[0] in own or name.startswith(".") for name in names):
            yield ConfigError(
                "imports code of its own package, which is not among what was hashed",
                place=f"{file.shown}:{node.lineno}:{node.col_offset + 1}",
                fix="write what it needs into the policy file itself",
            )


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", "") or getattr(node.func, "id", "")
