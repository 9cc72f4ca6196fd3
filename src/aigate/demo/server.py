"""A real MLflow server of our own: started in a folder, on loopback, and ended whatever happens."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from aigate.errors import AigateError

LOOPBACK = "127.0.0.1"
PATIENCE = 120.0
"""Seconds the server may take to answer; five to sixteen are usual, more on a busy machine."""

_FOREIGN = ("MLFLOW_", "_MLFLOW_", "DATABRICKS_", "AIGATE_")
_SETTINGS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "NO_PROXY": LOOPBACK,
    "no_proxy": LOOPBACK,
    "PYTHONUTF8": "1",
}


def environment(environ: Mapping[str, str], folder: Path, tracking_uri: str = "") -> dict[str, str]:
    """Return an environment for child processes that knows no MLflow but ours, and no folder but this one.

    Nobody's settings and no token of another server come along: what the
    demonstration writes, it must write to what it started. MLflow leaves
    downloaded models behind in the temporary folder, so that is inside, too.
    """
    (folder / "tmp").mkdir(exist_ok=True)
    kept = {name: value for name, value in environ.items() if not name.startswith(_FOREIGN)}
    address = {"MLFLOW_TRACKING_URI": tracking_uri} if tracking_uri else {}
    return kept | _SETTINGS | address | {"TMPDIR": str(folder / "tmp")}


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


class MlflowServer:
    """`mlflow server` with one worker on SQLite; a context manager that ends what it started, by its id."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.url = f"http://{LOOPBACK}:{free_port()}"
        self.log = folder / "server.log"
        self._folder = folder
        self._environ = environment(environ, folder)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the server; it answers only after `wait`."""
        with self.log.open("wb") as log:
            # A session of its own, so that whatever it starts in turn can be ended with it.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter; the words are a folder and a port
                self._command(),
                cwd=self._folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the server, gently first, and see that nothing of it is left."""
        if self._process is not None:
            end_group(self._process)

    def wait(self, patience: float = PATIENCE) -> str:
        """Wait until the server answers, and return its version; raises AigateError where it does not."""
        assert self._process is not None  # entered
        end = time.monotonic() + patience
        while time.monotonic() < end and self._process.poll() is None:
            if (version := self._version()) is not None:
                return version
            time.sleep(0.1)
        code = self._process.poll()
        said = self.log.read_text(errors="replace").strip().splitlines()
        state = (
            f"ended with exit code {code}" if code is not None else f"did not answer within {patience:.0f} s"
        )
        raise AigateError(f"the MLflow server {state}; it last said: {said[-1] if said else 'nothing'}")

    def _command(self) -> list[str]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        where = ("--host", host, "--port", port, "--workers", "1")
        return [sys.executable, "-m", "mlflow", "server", *where, *store_options(self._folder)]

    def _version(self) -> str | None:
        host, _, port = self.url.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/version")
            answer = connection.getresponse()
            return answer.read(200).decode(errors="replace").strip() if answer.status == 200 else None
        return None


def store_options(folder: Path) -> list[str]:
    """Return where an MLflow server of the demonstration keeps its data, as options of `mlflow server`."""
    return [
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]


def end_group(process: subprocess.Popen[bytes], patience: float = 10.0) -> None:
    """End a process that leads its own group, and the group with it; nothing else is touched."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + patience
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
            while time.monotonic() < end:
                process.poll()  # a child that has ended keeps its group until it is asked about
                os.killpg(process.pid, 0)
                time.sleep(0.05)
            continue
        process.wait()
        return
