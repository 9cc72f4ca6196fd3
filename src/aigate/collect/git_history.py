"""When each threshold's value last changed, from the manifest's own history in git.

The line's author says little (`git blame` on a shallow clone names the wrong
commit, and a flow-style line changes with its provenance), so the values
themselves are compared, commit by commit, until one differs. A date is the
committer's claim: whoever may rewrite history may rewrite it too.
"""

import contextlib
import subprocess
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO

from aigate.collect.deadline import Deadline
from aigate.collect.strict import StrictError
from aigate.collect.strict_yaml import MAX_YAML_BYTES, load_yaml
from aigate.values import Evident, missing, parse_duration, parse_number

MOST_COMMITS = 200
"""How far back a value is followed; one unchanged for longer has no known date."""

SOURCE = "git"
_GIT = (
    *("git", "-c", "safe.directory=*"),
    *("-c", "safe.bareRepository=explicit"),  # a folder of the tree is not taken for a repository
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "log.showSignature=false"),
    *("-c", "log.follow=false"),
)
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "LC_ALL": "C",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
}
"""A checkout of another user may be read, as long as its configuration can make git run and fetch nothing."""
_RENAMES = ("diff-tree", "-r", "-z", "-M", "--no-commit-id", "--name-status", "--diff-filter=R")
_PARTIAL = r"^(extensions\.partialclone|remote\..*\.promisor)$"
Keys = tuple[str | int, ...]


class _GitError(Exception):
    """Git, or what it knows, is not enough for an answer."""


def edited_on(
    manifest: Path, values: Mapping[str, tuple[Keys, object]], now: datetime, deadline: Deadline
) -> dict[str, Evident[datetime | None]]:
    """Return, by threshold, when its value last changed.

    `values` gives each threshold's keys in the file and the value in force.
    None where the manifest is not under version control; missing where it is
    and its history does not reach back far enough, or cannot be read. An
    uncommitted change counts as made now; a commit whose manifest cannot be
    read counts as one with other values.
    """
    try:
        file = _tracked(manifest.resolve(), deadline)
        return dict.fromkeys(values) if file is None else _search(*file, values, now, deadline)
    except _GitError as e:
        return {name: missing(str(e), SOURCE) for name in values}


def value_at(data: object, keys: Keys) -> object:
    """Return what stands under keys; a number with provenance counts as its number.

    What is written in two ways is one value: `"0.92"` and `0.92`, `120m` and `2h`.
    """
    for key in keys:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, str):
            data = next((item for item in data if isinstance(item, dict) and item.get("name") == key), None)
        else:
            return None
    return _meaning(data.get("value") if isinstance(data, dict) else data)


def _meaning(value: object) -> object:
    """Return the number or the span of time that is written; anything else as it is."""
    for parse in (parse_number, parse_duration):
        with contextlib.suppress(ValueError):
            return parse(value)
    return value


def _tracked(manifest: Path, deadline: Deadline) -> tuple[Path, str] | None:
    """Return the work tree and the manifest's path in it; None where git does not keep the file."""
    try:
        where = _git(manifest.parent, deadline, "rev-parse", "--show-toplevel", "--show-prefix")
    except FileNotFoundError as e:
        if any((folder / ".git").exists() for folder in manifest.parents):
            raise _GitError("the manifest is in a git work tree, and git is not installed") from e
        return None
    if where is None:
        return None
    root, prefix, *more = where.decode("utf-8", "surrogateescape").split("\n")
    path = prefix + manifest.name
    if more != [""] or "\n" in path:
        raise _GitError("the manifest's path has a line break in it, and git cannot be asked about it")
    listed = _git(Path(root), deadline, "ls-files", "-z", "--", path)
    return (Path(root), path) if listed else None


def _search(
    root: Path, path: str, values: Mapping[str, tuple[Keys, object]], now: datetime, deadline: Deadline
) -> dict[str, Evident[datetime | None]]:
    """Walk from the newest commit to the oldest, until every value has been seen to differ."""
    found: dict[str, Evident[datetime | None]] = {}
    open_ = dict(values)
    newer: Evident[datetime | None] = now
    try:
        with _Blobs(root, deadline) as blobs:
            for commit, made, path_then in _history(root, path, deadline):
                data = _data(blobs.read(f"{commit}:{path_then}"))
                for threshold, (keys, value) in list(open_.items()):
                    if value_at(data, keys) != value:
                        found[threshold] = newer
                        del open_[threshold]
                newer = made
                if not open_:
                    break
    except _GitError as e:
        newer = missing(str(e), SOURCE)
    return found | dict.fromkeys(open_, newer)


def _history(root: Path, path: str, deadline: Deadline) -> Iterator[tuple[str, datetime, str]]:
    """Yield the commits that changed the file, newest first, with its path at the time.

    Raises _GitError where there are more than can be known.
    """
    start: tuple[str, ...] = ()
    seen = 0
    while True:
        listed = _git(root, deadline, "log", f"-{MOST_COMMITS + 1}", "--format=%H %ct", *start, "--", path)
        commits = [line.split(" ") for line in (listed or b"").decode().splitlines()]
        for commit, seconds in commits:
            seen += 1
            if seen > MOST_COMMITS:
                raise _GitError(
                    f"unchanged in the manifest's last {MOST_COMMITS} commits: its date is not known"
                )
            yield commit, _instant(seconds), path
        if not commits:
            return
        oldest = commits[-1][0]
        earlier = _renamed_from(root, oldest, path, deadline)
        if earlier is None:
            break
        if "\n" in earlier:
            raise _GitError(
                "the manifest's earlier path has a line break in it, and git cannot be asked about it"
            )
        start, path = (f"{oldest}^",), earlier
    if (_git(root, deadline, "rev-parse", "--is-shallow-repository") or b"").strip() != b"false":
        raise _GitError(
            "the manifest's history here does not reach back to when this value was set: "
            "fetch all of it (actions/checkout with fetch-depth: 0)"
        )


def _instant(seconds: str) -> datetime:
    """Return the moment that a commit claims, which may be any number, or none."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError) as e:
        raise _GitError("a commit of the manifest has a date that no calendar has") from e


def _renamed_from(root: Path, commit: str, path: str, deadline: Deadline) -> str | None:
    """Return the file's path before a commit that renamed it; None where the commit made it."""
    listed = _git(root, deadline, *_RENAMES, commit)
    words = (listed or b"").decode("utf-8", "surrogateescape").split("\0")[:-1]
    return next((old for old, new in zip(words[1::3], words[2::3], strict=True) if new == path), None)


def _data(text: bytes | None) -> object:
    """Return a manifest's data; nothing where it was not there or not readable."""
    if text is None:
        return None
    try:
        return load_yaml(text, source="manifest").data
    except StrictError:
        return None


class _Blobs:
    """One `git cat-file` for all blobs; it is ended when the deadline is."""

    def __init__(self, root: Path, deadline: Deadline) -> None:
        self._root, self._deadline = root, deadline
        self._git = subprocess.Popen(  # noqa: S603 - no shell, no words from outside
            [*_GIT, "-C", str(root), "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
        )
        self._timer = threading.Timer(max(0.0, deadline.remaining()), self._git.kill)
        self._timer.daemon = True
        self._timer.start()

    def __enter__(self) -> "_Blobs":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._git.kill()
        for stream in (self._git.stdin, self._git.stdout):
            with contextlib.suppress(OSError):
                _pipe(stream).close()
        self._git.wait()

    def read(self, name: str) -> bytes | None:
        """Return a blob; None where there was no such file, or one too large to be a manifest."""
        stdin, stdout = _pipe(self._git.stdin), _pipe(self._git.stdout)
        try:
            stdin.write(name.encode("utf-8", "surrogateescape") + b"\n")
            stdin.flush()
            head = stdout.readline()
            kind, size = head.split()[-2:]
        except (OSError, ValueError) as e:
            self._refuse_partial()  # git ends itself where it may not fetch what is elsewhere
            raise _GitError("git did not answer, or not in time") from e
        if size == b"missing":
            self._refuse_partial()
            return None
        return self._body(stdout, kind, int(size))

    def _body(self, stdout: IO[bytes], kind: bytes, size: int) -> bytes | None:
        left = size + 1
        text = stdout.read(left) if left <= MAX_YAML_BYTES + 1 else b""
        left -= len(text)
        while left:
            chunk = stdout.read(min(left, 1 << 20))
            left -= len(chunk)
            if not chunk:
                raise _GitError("git did not answer, or not in time")
        return text[:-1] if text and kind == b"blob" else None

    def _refuse_partial(self) -> None:
        """In a partial clone, a file that is not here may be elsewhere."""
        if _git(self._root, self._deadline, "config", "--get-regexp", _PARTIAL):
            raise _GitError("this is a partial clone without the manifest's history: fetch all of it")


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # opened as a pipe
    return stream


def _git(folder: Path, deadline: Deadline, *args: str) -> bytes | None:
    """Run git and return its output; None where the answer is no, and where there is no repository.

    Raises FileNotFoundError where there is no git.
    """
    try:
        done = subprocess.run(  # noqa: S603 - no shell; the variable words are paths and commits
            [*_GIT, "-C", str(folder), *args],
            capture_output=True,
            timeout=max(0.1, deadline.remaining()),
            env=_ENVIRONMENT,
            check=False,
        )
    except FileNotFoundError:
        raise
    except (OSError, subprocess.SubprocessError) as e:
        raise _GitError("git did not answer, or not in time") from e
    none = done.returncode == 1 or b"not a git repository" in done.stderr
    if done.returncode and not none and b"does not have any commits yet" not in done.stderr:
        words = done.stderr.decode(errors="replace").strip().splitlines()[:1]
        raise _GitError(f"git says: {''.join(words)[:200]}")
    return done.stdout if done.returncode == 0 else None
