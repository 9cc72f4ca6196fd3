"""When each threshold's value last changed, from the manifest's own history in git.

The line's author says little (`git blame` on a shallow clone names the wrong
commit, and a flow-style line changes with its provenance), so the values
themselves are compared, commit by commit, until one differs.
"""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from aigate.collect.deadline import Deadline
from aigate.collect.strict import StrictError
from aigate.collect.strict_yaml import MAX_YAML_BYTES, load_yaml
from aigate.values import Evident, missing

MOST_COMMITS = 200
"""How far back a value is followed; one unchanged for longer has no known date."""

SOURCE = "git"
_SAFE = (
    *("-c", "safe.directory=*"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "log.showSignature=false"),
)
"""A checkout of another user may be read, as long as its configuration can make git run nothing."""
Keys = tuple[str | int, ...]


class _GitError(Exception):
    """Git is there and did not answer."""


def edited_on(
    manifest: Path, values: Mapping[str, tuple[Keys, object]], now: datetime, deadline: Deadline
) -> dict[str, Evident[datetime | None]]:
    """Return, by threshold, when its value last changed.

    `values` gives each threshold's keys in the file and the value in force.
    None where the manifest is not under version control; missing where it is
    and its history does not reach back far enough. An uncommitted change
    counts as made now.
    """
    try:
        return _search(manifest, values, now, deadline)
    except _GitError as e:
        return {name: missing(str(e), SOURCE) for name in values}


def _search(
    manifest: Path, values: Mapping[str, tuple[Keys, object]], now: datetime, deadline: Deadline
) -> dict[str, Evident[datetime | None]]:
    folder, name = manifest.parent, manifest.name
    if _git(folder, deadline, "ls-files", "--error-unmatch", "--", name) is None:
        return dict.fromkeys(values)
    log = _git(folder, deadline, "log", f"-{MOST_COMMITS + 1}", "--format=%H %ct", "--", name)
    commits = [line.split() for line in (log or b"").decode().splitlines()]
    if not commits:
        return dict.fromkeys(values)
    open_ = dict(values)
    found: dict[str, Evident[datetime | None]] = {}
    newer = now
    for commit, seconds in commits[:MOST_COMMITS]:
        data = _at(folder, deadline, commit, name)
        for threshold, (keys, value) in list(open_.items()):
            if value_at(data, keys) != value:
                found[threshold] = newer
                del open_[threshold]
        newer = datetime.fromtimestamp(int(seconds), UTC)
        if not open_:
            return found
    complete = len(commits) <= MOST_COMMITS and not _shallow(folder, deadline)
    for threshold in open_:
        found[threshold] = (
            newer
            if complete
            else missing(
                "the manifest's history here does not reach back to when this value was set: "
                "fetch all of it (actions/checkout with fetch-depth: 0)",
                SOURCE,
            )
        )
    return found


def _shallow(folder: Path, deadline: Deadline) -> bool:
    return (_git(folder, deadline, "rev-parse", "--is-shallow-repository") or b"").strip() != b"false"


def _at(folder: Path, deadline: Deadline, commit: str, name: str) -> object:
    """Return the manifest's data as of a commit; nothing where it was not there or not readable."""
    data = _git(folder, deadline, "cat-file", "blob", f"{commit}:./{name}")
    if data is None or len(data) > MAX_YAML_BYTES:
        return None
    try:
        return load_yaml(data, source=name).data
    except StrictError:
        return None


def value_at(data: object, keys: Keys) -> object:
    """Return what stands under keys; a number with provenance counts as its number."""
    for key in keys:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, str):
            data = next((item for item in data if isinstance(item, dict) and item.get("name") == key), None)
        else:
            return None
    return data.get("value") if isinstance(data, dict) else data


def _git(folder: Path, deadline: Deadline, *args: str) -> bytes | None:
    """Run git and return its output; None where it says no."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell; the variable words are a folder, a commit and a name
            ["git", *_SAFE, "-C", str(folder), *args],  # noqa: S607 - PATH is fixed below
            capture_output=True,
            timeout=max(0.1, deadline.remaining()),
            env={"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin"},
            check=False,
        )
    except FileNotFoundError:
        return None
    except (OSError, subprocess.TimeoutExpired) as e:
        raise _GitError("git did not answer in time") from e
    return done.stdout if done.returncode == 0 else None
