"""New files, all of them or none: nothing that exists is ever overwritten."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from aigate.errors import AigateError, UsageError


class NotWrittenError(AigateError):
    """A file could not be written; the message says what is left of the others, if anything is."""

    exit_code = 4


def write_new(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write every file under a folder; return their paths in the order given.

    Raises UsageError where one of them is there already, in any form, and
    NotWrittenError where one cannot be written; what was made before it is
    removed again.
    """
    targets = {folder / path: text for path, text in files.items()}
    if there := [path for path in targets if os.path.lexists(path)]:
        raise _already_there(there)
    made: list[Path] = []
    try:
        for target, text in targets.items():
            made.extend(_make_folders(target.parent))
            with target.open("x", encoding="utf-8") as file:
                made.append(target)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
    except BaseException as e:
        left = _remove(made)
        if isinstance(e, FileExistsError) and not left:
            raise _already_there([target]) from e
        if not isinstance(e, OSError):
            raise
        raise NotWrittenError(
            f"{target} cannot be written: {e.strerror or type(e).__name__}"
            + (f"; these could not be removed again: {_listed(left)}" if left else "; nothing was written"),
            fix="name a folder that can be written: --folder FOLDER",
        ) from e
    return list(targets)


def _already_there(paths: Iterable[Path]) -> UsageError:
    return UsageError(f"already there: {_listed(paths)}", fix="remove them, or name another --folder")


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(map(str, paths))


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it that are not there; return them, the outermost first."""
    wanted = [folder, *folder.parents]
    missing = [path for path in reversed(wanted) if not path.exists()]
    for path in missing:
        path.mkdir()
    return missing


def _remove(made: list[Path]) -> list[Path]:
    """Remove files and empty folders, the last made first; return those that are still there."""
    for path in reversed(made):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
    return [path for path in made if os.path.lexists(path)]
