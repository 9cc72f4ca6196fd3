"""Git, as the action needs it: what is checked out, and another commit's files in a folder of their own."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from aigate.action.event import Checkout, Event, UntrustedError

_SETTINGS = (
    "safe.directory=*",
    "safe.bareRepository=explicit",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.sparseCheckout=false",
)
"""A change may hold a folder that looks like a bare repository to git; and all files of a base are in force."""

_GIT = ("git", *(word for setting in _SETTINGS for word in ("-c", setting)))
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
}
"""Nothing is fetched, no hook runs, no object stands for another, and no credential is at hand."""

_SECONDS = 120.0


def checkout_of(folder: Path, event: Event) -> Checkout | None:
    """Return what is checked out in a work tree's root; None where it is none, or there is no git."""
    listed = _git(folder, "rev-list", "--parents", "--max-count=1", "HEAD", "--")
    if listed is None:
        return None
    head, *parents = listed.split()
    # A shallow clone's commit has no parents for `rev-list`; the commit itself still names them.
    if not parents:
        text = _git(folder, "cat-file", "commit", "HEAD") or ""
        lines = text.split("\n\n", 1)[0].splitlines()
        parents = [line.removeprefix("parent ") for line in lines if line.startswith("parent ")]
    parents = [parent for parent in parents if has(folder, parent)] if len(parents) > 1 else parents
    return Checkout(head, tuple(parents), bool(event.base) and has(folder, event.base))


def root_of(folder: Path, start: Path) -> Path | None:
    """Return the root of the work tree that a folder is in; None where it is in none.

    It is the first folder from `start` on down that has a `.git`: no commit
    can hold one there, but deeper down a change may bring along a submodule,
    or what git takes for a bare repository, with a history that it made up.
    """
    if folder.is_relative_to(start):
        below = [start, *(start / part for part in _each(folder.relative_to(start)))]
        if found := next((each for each in below if os.path.lexists(each / ".git")), None):
            return found if _git(found, "rev-parse", "--is-inside-work-tree") == "true\n" else None
        folder = start
    said = _git(folder, "rev-parse", "--show-toplevel")
    return None if said is None else Path(said.removesuffix("\n"))


def _each(path: Path) -> Iterator[Path]:
    """Give every folder on a relative path, the outermost first."""
    return (Path(*path.parts[: n + 1]) for n in range(len(path.parts)))


def has(folder: Path, commit: str) -> bool:
    """Whether a commit and its files are in the clone."""
    if len(commit) not in (40, 64) or not set(commit) <= set("0123456789abcdef"):
        return False
    return _git(folder, "cat-file", "-e", f"{commit}^{{tree}}") is not None


def differs(root: Path, one: str, other: str, paths: tuple[str, ...]) -> bool:
    """Whether something under these paths is another in one commit than in the other; where unknown, yes."""
    return _git(root, "diff", "--quiet", "--no-ext-diff", "--no-textconv", one, other, "--", *paths) is None


@contextmanager
def files_of(root: Path, commit: str, at: Path) -> Iterator[Path]:
    """Lay out a commit's files in `at`, a folder that is not there yet, and give it; it is gone afterwards.

    Raises UntrustedError where git cannot do it.
    """
    try:
        words = ("worktree", "add", "--detach", "--force", str(at), commit)
        if _git(root, *words, more=_without_filters(root)) is None:
            raise UntrustedError(
                f"git cannot lay out the files of commit {commit[:12]}",
                fix="check out with fetch-depth: 0 and without a filter",
            )
        yield at
    finally:
        _git(root, "worktree", "remove", "--force", "--force", str(at))
        shutil.rmtree(at, ignore_errors=True)


def _without_filters(root: Path) -> dict[str, str]:
    """Return the environment in which git runs none of the programs that a clone's own settings pass files through.

    Git LFS would fetch, for one. Source: `GIT_CONFIG_COUNT` in git-config(1).
    """
    named = _git(root, "config", "--null", "--name-only", "--get-regexp", r"^filter\..") or ""
    drivers = sorted({name.rpartition(".")[0] for name in named.split("\0") if name})
    off = [(f"{driver}.{key}", "") for driver in drivers for key in ("smudge", "clean", "process")]
    off += [(f"{driver}.required", "false") for driver in drivers]
    settings = {"GIT_CONFIG_COUNT": str(len(off))}
    for n, (key, value) in enumerate(off):
        settings |= {f"GIT_CONFIG_KEY_{n}": key, f"GIT_CONFIG_VALUE_{n}": value}
    return settings


def _git(folder: Path, *words: str, more: Mapping[str, str] = MappingProxyType({})) -> str | None:
    """Return what git prints; None where it fails, is not there, or takes too long."""
    try:
        done = subprocess.run(  # noqa: S603 - git, with words of our own and checked commit ids
            [*_GIT, *words],
            cwd=folder,
            env={**_ENVIRONMENT, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else None
