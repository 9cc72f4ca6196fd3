"""An MLflow server that sends webhooks to this machine, and models on it that are promoted for real."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import conftest as common
from act.conftest import empty as empty  # fixtures
from act.conftest import shop as shop
from conftest import MlflowServer


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One real `mlflow server` that may send to loopback, keeps its secrets, and looks for webhooks each second."""
    folder = tmp_path_factory.mktemp("mlflow-hooks")
    port = common._free_port()
    server = MlflowServer(f"http://127.0.0.1:{port}", f"sqlite:///{folder}/mlflow.db", folder / "server.log")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", server.store]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = common._quiet_environment() | {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "MLFLOW_WEBHOOK_CACHE_TTL": "1",
    }
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        common._await_health(server, process)
        yield server
    finally:
        common._stop(process)


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    """Where the ledger is: beside the model, which is faster than inside MLflow."""
    return f"sqlite:///{tmp_path}/ledger.db"
