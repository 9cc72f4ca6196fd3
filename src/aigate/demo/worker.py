"""The process that trains and logs: MLflow, its settings and its chatter stay in it."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aigate.demo.server import environment
from aigate.errors import AigateError


class Worker:
    """Runs `aigate.demo.models` beside us; a context manager that ends it, also when it is in the middle."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], tracking_uri: str, say: Callable[[str], None]
    ) -> None:
        self._folder, self._say = folder, say
        self._environ = environment(environ, folder, tracking_uri)
        self._log = folder / "training.log"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start it, so that its slow imports are done by when it is needed."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own code
                [sys.executable, "-m", "aigate.demo.models", str(self._folder)],
                cwd=self._folder,
                env=self._environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it: idle, it goes when it is told nothing more; at work, it is killed."""
        assert self._process is not None  # entered
        if kind is not None:
            self._process.kill()
        with self._process:
            pass  # closes its pipes and waits for it

    def do(self, act: str) -> dict[str, Any]:
        """Do one act's work, telling its progress, and return what came of it; raises AigateError if it fails."""
        assert self._process is not None  # entered
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # a pipe
        assert stdout is not None  # a pipe
        try:
            stdin.write(f"{act}\n")
            stdin.flush()
        except BrokenPipeError:
            pass  # it is gone, which shows below
        for line in stdout:
            told = json.loads(line)
            if "result" in told:
                result: dict[str, Any] = told["result"]
                return result
            self._say(told["says"])
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise AigateError(
            f"training ended with exit code {self._process.wait()}: {said[-1] if said else 'no word'}"
        )
