"""Standard output and standard error as the terminal's door writes to them.

A reader that hangs up (`| head -1`) or a disk that is full must neither change
a verdict's exit code nor end in a traceback. So every byte goes through a
stream that lets such failures pass and remembers them; the door asks it at the
end.
"""

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

import click


class Outlet(io.RawIOBase):
    """Writes to a file descriptor until that fails for the first time; from then on it takes all and drops it."""

    def __init__(self, descriptor: int | None) -> None:
        super().__init__()
        self._descriptor = -1 if descriptor is None else descriptor  # which fails, as it should
        self.trouble: OSError | None = None
        """What the first failure was."""

    def write(self, data: object) -> int:
        """Write what the descriptor takes, and return how much that is."""
        view = memoryview(data)  # type: ignore[arg-type]  # a buffer of any kind, as the base class has it
        while self.trouble is None:
            try:
                return os.write(self._descriptor, view)
            except BlockingIOError:  # a pipe whose other end was set so, and is slow
                select.select([], [self._descriptor], [])
            except OSError as e:
                self.trouble = e
        return view.nbytes

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return os.isatty(self._descriptor)

    @property
    def lost(self) -> str:
        """Why something that was said did not arrive; empty where it did, or where nobody wanted to hear more."""
        if self.trouble is None or self.trouble.errno == errno.EPIPE:
            return ""
        return self.trouble.strerror or type(self.trouble).__name__


@contextlib.contextmanager
def outlets() -> Iterator[Outlet | None]:
    """Put an `Outlet` behind standard output and standard error; yield that of standard output."""
    before = sys.stdout, sys.stderr
    out, err = _outlet(sys.stdout), _outlet(sys.stderr)
    if out is not None:
        sys.stdout = _text(out, sys.stdout)
    if err is not None:
        sys.stderr = _text(err, sys.stderr)
    try:
        yield out
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def _outlet(stream: TextIO | None) -> Outlet | None:
    """Return the outlet for a stream; None for one that is not of the operating system.

    A process that was started with its output closed has no stream there, and
    must not write to the number: something else may be open under it by now.
    """
    if stream is None:
        return Outlet(None)
    try:
        stream.flush()
        return Outlet(stream.fileno())
    except OSError:  # what a test put there in its place
        return None


def _text(raw: Outlet, like: object) -> io.TextIOWrapper:
    encoding = getattr(like, "encoding", None) or "utf-8"
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, encoding=encoding, errors="backslashreplace", line_buffering=True)


def show(*cells: str, widths: Sequence[int] = (), indent: str = "") -> None:
    """Print one line on standard output, its cells padded to widths: foreign text made harmless.

    Where the terminal knows no more than ASCII, it gets no more.
    """
    from aigate.report.clean import clean

    plain = "utf" not in (getattr(sys.stdout, "encoding", None) or "").lower()
    shown = [clean(cell, 2000, ascii_only=plain) for cell in cells]
    padded = [cell.ljust(width) for cell, width in zip(shown, widths, strict=False)]
    click.echo((indent + "  ".join([*padded, *shown[len(padded) :]])).rstrip())
