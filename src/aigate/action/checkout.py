"""Git, as the action needs it: what is checked out, and another commit's files in a folder of their own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aigate.action.event import Checkout, Event, UntrustedError

_GIT = ("git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
}
"""Nothing is fetched, no hook runs, and no credential is at hand."""

_SECONDS = 120.0


def checkout_of(folder: Path, event: Event) -> Checkout | None:
    """Return what is checked out in a folder; None where it is in no work tree, or there is no git."""
    listed = _git(folder, "rev-list", "--parents", "--max-count=1", "HEAD")
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


def root_of(folder: Path) -> Path | None:
    """Return the root of the work tree that a folder is in; None where it is in none."""
    said = _git(folder, "rev-parse", "--show-toplevel")
    return None if said is None else Path(said.removesuffix("\n"))


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
    if _git(root, "worktree", "add", "--detach", "--force", str(at), commit) is None:
        raise UntrustedError(
            f"git cannot lay out the files of commit {commit[:12]}",
            fix="check out with fetch-depth: 0 and without a filter",
        )
    try:
        yield at
    finally:
        _git(root, "worktree", "remove", "--force", "--force", str(at))


def _git(folder: Path, *words: str) -> str | None:
    """Return what git prints; None where it fails, is not there, or takes too long."""
    try:
        done = subprocess.run(  # noqa: S603 - git, with words of our own and checked commit ids
            [*_GIT, *words],
            cwd=folder,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else None
