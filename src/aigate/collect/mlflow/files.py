"""The files of a model: walked, capped, and reduced to one digest."""

import hashlib
from collections.abc import Callable

from aigate.collect.concurrent import gather
from aigate.collect.deadline import Deadline
from aigate.collect.mlflow import checks
from aigate.collect.mlflow.reader import (
    FILES_LIMIT,
    FOLDERS_LIMIT,
    TOTAL_BYTES,
    ArtifactFile,
    ArtifactRoot,
    Json,
    RegistryError,
    RegistryReader,
)


def check_listing(found: Json, folder: str) -> Json:
    """Return a listed entry that lies directly in `folder`, and nowhere else."""
    path, size = found.get("path"), found.get("file_size", 0)
    if not isinstance(path, str) or path.rpartition("/")[0] != folder:
        raise RegistryError("broken", f"a listing of {folder or 'a root'} names a file that is not in it")
    try:
        checks.ask_path(path)
    except RegistryError as e:
        raise RegistryError("broken", f"a listing names {path[:60]!r}, which leads elsewhere") from e
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise RegistryError("broken", f"a listing gives {path[:60]!r} a size that is none")
    return found


def walk(root: ArtifactRoot, list_folder: Callable[[str], list[Json]]) -> tuple[ArtifactFile, ...]:
    """Return every file below `root.path`, by path; entries are already checked by `check_listing`."""
    files: dict[str, ArtifactFile] = {}
    folders = [checks.ask_path(root.path)]
    for position in range(FOLDERS_LIMIT):
        if position == len(folders):
            return tuple(files[path] for path in sorted(files))
        for entry in list_folder(folders[position]):
            path: str = entry["path"]
            if path in files or path in folders:
                raise RegistryError("broken", f"{path[:60]!r} is listed twice")
            if entry.get("is_dir") is True:
                folders.append(path)
            else:
                files[path] = ArtifactFile(path, entry.get("file_size", 0))
            if len(files) > FILES_LIMIT:
                raise RegistryError("limit", f"the model has more than {FILES_LIMIT} files")
    raise RegistryError("limit", f"the model has more than {FOLDERS_LIMIT} folders")


def artifact_digest(
    reader: RegistryReader,
    root: ArtifactRoot,
    deadline: Deadline,
    *,
    total_bytes: int = TOTAL_BYTES,
) -> str:
    """Return `sha256:` and the digest over path and content of every file of a model.

    It is the digest of what `sha256sum` prints for the files, sorted by path
    and relative to the model's folder, so that anybody can compute it again.
    Raises RegistryError `limit` where the model is larger than is read, and
    `not_found` where there are no files at all.
    """
    files = reader.artifacts(root)
    if not files:
        raise RegistryError("not_found", f"{root.kind} {root.id} has no files at {root.path or 'its root'}")
    total = sum(file.size for file in files)
    if total > total_bytes:
        raise RegistryError("limit", f"the model has {total} bytes; {total_bytes} are read for its digest")
    digests: dict[str, str] = {}
    for path, outcome in gather(
        {file.path: _ask_digest(reader, root, file) for file in files}, deadline, workers=4
    ).items():
        if isinstance(outcome, BaseException):
            raise outcome
        digests[path] = outcome
    below = len(root.path) + 1 if root.path else 0
    lines = "".join(f"{digests[file.path]}  {file.path[below:]}\n" for file in files)
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def _ask_digest(reader: RegistryReader, root: ArtifactRoot, file: ArtifactFile) -> Callable[[], str]:
    return lambda: reader.sha256(root, file.path, file.size)


class Hashing:
    """Takes a file's content piece by piece and keeps its digest and its size."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.size = 0

    def take(self, piece: bytes) -> None:
        """Take the next piece."""
        self._digest.update(piece)
        self.size += len(piece)

    def result(self, path: str, size: int) -> str:
        """Return the digest; raise where the file is not as large as it was listed."""
        if self.size != size:
            raise RegistryError(
                "broken", f"{path} is listed with {size} bytes and has {self.size}: it changed?"
            )
        return self._digest.hexdigest()
