"""The command in this process: as in one of its own, but without its start, for tables of many cases.

That a real process ends with the same code and the same words is shown once a
command, and for the streams in `cli/test_door.py`.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess

from aigate.cli import run


def aigate_here(folder: Path, *args: object, **environ: str) -> CompletedProcess[str]:
    """Run `aigate` with these words, in this folder, with nothing in its environment but this and a PATH."""
    words = [str(word) for word in args]
    out, err = _text(), _text()
    with (
        contextlib.chdir(folder),
        _environment({"PATH": os.environ["PATH"], **environ}),
        Path(os.devnull).open() as nothing,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        before, sys.stdin = sys.stdin, nothing
        try:
            code = run(words)
        finally:
            sys.stdin = before
    said = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]  # a BytesIO
    assert "Traceback" not in said[0] + said[1]
    return CompletedProcess(["aigate", *words], code, *said)


def _text() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


@contextlib.contextmanager
def _environment(environ: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
