"""What is tortured: a real MLflow server with a model of many good versions, and a program that forks and kills."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enforce.conftest import PostgresServer
from enforce.conftest import postgres as postgres  # a fixture
from servers import MlflowServer
from torture.rig import TALLY, Driver, Model, Rig, seed

AMOUNT = os.environ.get("AIGATE_TORTURE", "")
FULL = AMOUNT == "full"
"""Whether everything is to be tried; it takes an hour and longer. `some` tries what SECURITY.md counts."""

_VERSIONS = 9


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    """The program that runs acts and kills them."""
    made = Driver()
    yield made
    made.close()


@pytest.fixture(scope="session")
def tortured(mlflow_server: MlflowServer) -> Model:
    """Nine versions, all good enough to be champion."""
    return seed(mlflow_server.url, mlflow_server.store, "tortured", _VERSIONS)


@pytest.fixture
def rig(
    tortured: Model, driver: Driver, tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[str], Rig]:
    """Return what begins a ledger of a kind: `mlflow`, `sqlite` or `postgresql`."""

    def make(kind: str, uri: str = "") -> Rig:
        where = "mlflow"
        if kind == "sqlite":
            where = f"sqlite:///{tmp_path}/ledger.db"
        if kind == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres")
            where = server.uri(server.new_database())
        return Rig(tmp_path / "rig", tortured, where, driver, uri=uri)

    return make


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what a process of several tried to the one that reports."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["torture"] = dict(TALLY)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what one of several processes tried."""
    TALLY.update(getattr(node, "workeroutput", {}).get("torture", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was tried: SECURITY.md quotes it."""
    if TALLY:
        terminalreporter.section("torture")
        for what, count in sorted(TALLY.items()):
            terminalreporter.write_line(f"{what}: {count}")
