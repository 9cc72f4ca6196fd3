"""The readers under test and the stories they read, seeded once on the session's MLflow server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mlflow_seed
from aigate.collect.mlflow.reader import RegistryReader
from reading import reader_of
from servers import MlflowServer


@pytest.fixture(scope="session")
def rest(mlflow_server: MlflowServer) -> RegistryReader:
    """The reader that speaks HTTP itself."""
    return reader_of(mlflow_server.url, seconds=3600)


@pytest.fixture(scope="session")
def client(mlflow_server: MlflowServer) -> RegistryReader:
    """The reader that goes through MLflow's library, on the server's own database."""
    return reader_of(mlflow_server.store, seconds=3600)


@pytest.fixture(params=["rest", "client"])
def reader(request: pytest.FixtureRequest) -> RegistryReader:
    """Each reader in turn."""
    found: RegistryReader = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def writer(mlflow_server: MlflowServer) -> Any:
    """MLflow's own client, to write with."""
    return mlflow_seed.connect(mlflow_server.url)


@pytest.fixture(scope="session")
def churn(writer: Any) -> mlflow_seed.Churn:
    """The churn story."""
    return mlflow_seed.seed_churn(writer, "churn")


@pytest.fixture(scope="session")
def judged(mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> mlflow_seed.Judged:
    """The GenAI story, written by MLflow's own harness in a process of its own."""
    program = str(Path(mlflow_seed.__file__))
    done = subprocess.run(
        [sys.executable, program, "judged", mlflow_server.url, "agent"],
        cwd=tmp_path_factory.mktemp("judged"),
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return mlflow_seed.Judged(**json.loads(done.stdout.splitlines()[-1]))
