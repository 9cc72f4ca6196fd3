"""What every test may use: a fixed instant, and one real MLflow server for the whole session."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from servers import LEAN, MlflowServer, mlflow_serving

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

SLOW_FIRST = ("torture", "hook", "action", "act", "listen", "enforce", "cli")
"""Folders whose tests take longest: begun first, two processes come to their end at about the same time."""

TOGETHER = ("torture", "hook", "action", "act", "listen", "enforce")
"""Folders whose tests share servers, and so a process; of the others, only those of a file do."""


EVERYTHING = bool(os.environ.get("AIGATE_TORTURE"))
"""Whether every case is tried, of the tables too that are marked as `sampled`."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the slow folders first; files, and the tests in them, stay in their order.

    Of a test that is marked as `sampled(n)` every n-th case is kept, the same every time.
    """
    here = Path(__file__).parent
    rank = {name: number for number, name in enumerate(SLOW_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.relative_to(here).parts[0], len(rank)))
    seen: Counter[str] = Counter()
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        sampled = None if EVERYTHING else item.get_closest_marker("sampled")
        test = item.nodeid.partition("[")[0]
        (kept if sampled is None or seen[test] % sampled.args[0] == 0 else left).append(item)
        seen[test] += 1
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process whole files, and of `TOGETHER` whole folders."""
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # it has no types

    class Houses(LoadFileScheduling):  # type: ignore[misc]  # for the same reason
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            folder = file.split("/")[1]
            return folder if folder in TOGETHER else file

    return Houses(config, log)


_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


@pytest.fixture(autouse=True)
def settings_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes through MLflow's library turns its retries off for the process; not for other tests."""
    monkeypatch.setenv(_RETRIES, "1")


@pytest.fixture
def now() -> datetime:
    """The instant at which everything is judged."""
    return NOW


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One real `mlflow server` with one worker on SQLite, stopped at the end of the session."""
    with mlflow_serving(tmp_path_factory.mktemp("mlflow"), options=LEAN) as server:
        yield server


def interruptible() -> None:
    """Let a child be interrupted (its `preexec_fn`): what a shell runs behind itself ignores SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
