"""Report files: there whole, or not at all."""

import os
import stat
from pathlib import Path

from aigate.errors import AigateError
from aigate.report.clean import clean


class ReportError(AigateError):
    """A report that was asked for could not be made or written.

    It never changes what was decided. But a pipeline that relies on a record
    must not go green without one, so it turns the exit code 0 into 70
    (`Delivery.exit_code`); 1, 2, 3 and 4 stay what they are.
    """


def write_file(path: Path, text: str) -> None:
    """Write a report so that a reader finds the old file or the new one, never a part of it.

    Folders that are missing are made. A link stays a link: its target is
    written. What is no regular file (`/dev/stderr`, a pipe) is written to
    directly. Raises ReportError.
    """
    try:
        data = text.encode()
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            path.write_bytes(data)
            return
        target = Path(os.path.realpath(path))
        if not target.parent.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, data)
    except (OSError, ValueError) as e:
        words = e.strerror if isinstance(e, OSError) and e.strerror else type(e).__name__
        raise ReportError(
            f"cannot write the report {clean(str(path), 200)}: {words}",
            fix="the decision stands; name a file in a folder that can be written",
        ) from e


def _replace(target: Path, data: bytes) -> None:
    """Write beside the target, then take its place in one step; a failure leaves nothing behind."""
    beside = target.with_name(f".aigate-{os.getpid()}-{os.urandom(6).hex()}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
