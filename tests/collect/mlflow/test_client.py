"""The reader that goes through MLflow's own library: its hostile defaults, tamed."""

import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mlflow_seed
from aigate.collect.deadline import Deadline
from aigate.collect.mlflow.client import ClientReader
from aigate.collect.mlflow.files import artifact_digest
from aigate.collect.mlflow.reader import ArtifactRoot, RegistryError
from fakes import Asked, Reply, WebServer, json_reply

pytestmark = pytest.mark.slow

RUN = "a" * 32


def failure(ask: Callable[[], Any]) -> RegistryError:
    with pytest.raises(RegistryError) as caught:
        ask()
    return caught.value


def reader_at(uri: str, seconds: float = 60) -> ClientReader:
    return ClientReader(uri, uri, Deadline(seconds))


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """MLflow itself would make it, and answer that there are no models."""
    file = tmp_path / "mlflow.db"
    error = failure(lambda: reader_at(f"sqlite:///{file}").registered_model("churn"))
    assert (error.code, "no database file" in error.message) == ("not_found", True)
    assert list(tmp_path.iterdir()) == []


def test_a_database_in_memory_is_none() -> None:
    assert failure(lambda: reader_at("sqlite://").registered_models()).code == "not_found"
    assert failure(lambda: reader_at("sqlite:///:memory:").registered_models()).code == "not_found"


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE things (name TEXT)")
    database.close()
    before = file.read_bytes()
    error = failure(lambda: reader_at(f"sqlite:///{file}").registered_models())
    assert (error.code, "no MLflow registry" in error.message) == ("not_found", True)
    assert file.read_bytes() == before


def test_no_password_is_in_a_message() -> None:
    error = failure(lambda: reader_at("postgresql://me:s3cr3t@127.0.0.1:1/mlflow").registered_models())
    assert error.code == "unreachable"
    assert "s3cr3t" not in error.message


def test_an_unknown_scheme_is_an_error_and_no_empty_registry() -> None:
    error = failure(lambda: reader_at("nonesuch://x").registered_models())
    assert error.code in ("broken", "unreachable")


@pytest.fixture
def silent() -> Iterator[tuple[WebServer, threading.Event]]:
    """A server that takes requests and never answers."""
    release = threading.Event()

    def wait(_: Asked) -> Reply:
        release.wait(60)
        return json_reply({})

    with WebServer(default=wait) as web:
        yield web, release
        release.set()


def test_a_server_that_never_answers_ends_at_the_deadline(silent: tuple[WebServer, threading.Event]) -> None:
    web, _ = silent
    reader_at(web.url()).server()  # imports MLflow, which is not what is timed here
    reader = reader_at(web.url(), seconds=1)
    started = time.monotonic()
    assert failure(lambda: reader.run(RUN)).code == "deadline"
    assert time.monotonic() - started < 2.5


def test_an_answer_about_nothing_is_broken() -> None:
    """MLflow's client makes a version named '' of it."""
    with WebServer(default=json_reply({})) as web:
        reader = reader_at(web.url())
        for ask in (
            lambda: reader.version("churn", "1"),
            lambda: reader.version_by_alias("churn", "champion"),
            lambda: reader.registered_model("churn"),
            lambda: reader.run(RUN),
        ):
            assert failure(ask).code == "broken"


def test_a_redirect_is_not_followed() -> None:
    with WebServer(default=json_reply({})) as thief:
        moved = Reply(b"", 307, {"Location": thief.url("/api/2.0/mlflow/runs/get")})
        with WebServer(default=moved) as web:
            failure(lambda: reader_at(web.url()).run(RUN))
        assert thief.asked == []


def test_a_dead_server_is_given_up_soon() -> None:
    """MLflow's own defaults take four minutes."""
    with WebServer() as gone:
        address = gone.url()
    started = time.monotonic()
    assert failure(lambda: reader_at(address).run(RUN)).code in ("unreachable", "broken")
    assert time.monotonic() - started < 20


@pytest.mark.server
def test_a_local_store_has_its_files_at_hand(tmp_path: Path) -> None:
    """A database with files beside it, without any server: what a laptop has."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    program = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[3]); import mlflow_seed\n"
        "client = mlflow_seed.connect(sys.argv[1])\n"
        "home = pathlib.Path(sys.argv[2])\n"
        "experiment = client.create_experiment('e', artifact_location=home.as_uri())\n"
        "client.create_registered_model('churn')\n"
        "v = mlflow_seed.register(client, 'churn', experiment, accuracy=0.9, hits=[1, 0], weights='good')\n"
        "client.set_registered_model_alias('churn', 'champion', v.version)\n"
        "print(v.model_id, v.run_id, v.evaluation_run)\n"
    )
    here = str(Path(mlflow_seed.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", program, uri, str(tmp_path / "files"), here],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    model_id, run_id, evaluated = done.stdout.split()[-3:]
    reader = reader_at(uri)
    files = reader.artifacts(ArtifactRoot("model", model_id))
    assert [(f.path, f.size) for f in files] == [("MLmodel", 57), ("data/weights.txt", 4)]
    assert reader.artifact(ArtifactRoot("model", model_id), "data/weights.txt", 4) == b"good"
    assert artifact_digest(reader, ArtifactRoot("model", model_id), Deadline(20)).startswith("sha256:")
    assert b"hit" in reader.artifact(ArtifactRoot("run", evaluated), "eval_results_table.json", 10_000)
    assert (
        failure(lambda: reader.artifact(ArtifactRoot("model", model_id), "data/weights.txt", 3)).code
        == "limit"
    )
    assert failure(lambda: reader.artifact(ArtifactRoot("run", run_id), "none", 3)).code != "limit"


def test_mlflow_is_silent_and_tamed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    failure(lambda: reader_at(f"sqlite:///{tmp_path}/none.db").registered_models())
    with WebServer(default=json_reply({})) as web:
        failure(lambda: reader_at(web.url()).run(RUN))
    for name in ("mlflow", "mlflow.store.db.utils", "alembic", "sqlalchemy"):
        assert not logging.getLogger(name).isEnabledFor(logging.WARNING), name
    assert os.environ["MLFLOW_ALLOW_HTTP_REDIRECTS"] == "false"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    assert capfd.readouterr() == ("", "")
