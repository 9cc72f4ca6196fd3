"""Real MLflow servers on loopback, started as `mlflow server` starts them and stopped with all their processes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_PATIENCE = 180.0
"""Seconds a server may take to answer; some ten are usual, more where the machine is busy."""

LEAN = ("--gunicorn-opts", "--threads 8 --log-level warning --access-logfile -")
"""The server without FastAPI's layers around it, for those that are asked ten thousand times: a request costs
two thirds. The other servers are what MLflow starts by itself."""


@dataclass(frozen=True)
class MlflowServer:
    """A running MLflow server on loopback."""

    url: str
    """Its tracking and registry URI."""
    store: str
    """The `sqlite:///` URI of its database, for readers that go round the server."""
    log: Path


@contextlib.contextmanager
def mlflow_serving(
    folder: Path,
    *,
    port: int = 0,
    database: str = "",
    artifacts: Path | None = None,
    workers: int = 1,
    options: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> Iterator[MlflowServer]:
    """Run a server over a database of its own in `folder`, or over another; `python` has the MLflow."""
    port = port or free_port()
    database = database or f"sqlite:///{folder}/mlflow.db"
    server = MlflowServer(f"http://127.0.0.1:{port}", database, folder / "server.log")
    command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(workers), "--backend-store-uri", database]
    command += ["--artifacts-destination", str(artifacts or folder / "artifacts"), *options]
    with server.log.open("wb") as log:
        # A session of its own, so that the workers go with the server that started them.
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_quiet_environment() | dict(environ or {}),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await_health(server, process)
        yield server
    finally:
        _stop(process)


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _quiet_environment() -> dict[str, str]:
    left_out = ("MLFLOW_", "_MLFLOW_", "AIGATE_", "PYTEST_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
    return kept | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _await_health(server: MlflowServer, process: subprocess.Popen[bytes]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), opener.open(f"{server.url}/health", timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    pytest.fail(f"the MLflow server did not start (exit {process.poll()}):\n{server.log.read_text()[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
            return
