"""The demonstration, as somebody runs it: the story comes out as told, and nothing of it is left."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aigate.demo import churn
from aigate.demo.endpoints import Endpoints, get
from aigate.demo.pipeline import EMBEDDINGS, FEATURES, STAGES, backfilled, late
from aigate.demo.server import environment
from aigate.errors import AigateError
from conftest import NOW, interruptible


def processes(folder: Path) -> set[int]:
    """The processes whose environment says that their temporary files go to this folder, or below it."""
    mark = f"TMPDIR={folder}".encode()
    found = set()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if any(variable.startswith(mark) for variable in entry.read_bytes().split(b"\0")):
                found.add(int(entry.parent.name))
        except OSError:
            continue
    return found


def gone(folder: Path) -> bool:
    """Whether every process of the demonstration ends within seconds."""
    end = time.monotonic() + 10
    while processes(folder) and time.monotonic() < end:
        time.sleep(0.1)
    return not processes(folder)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`aigate demo` with a temporary folder of its own, and another MLflow in its environment."""
    with subprocess.Popen(
        [sys.executable, "-m", "aigate", "demo"],
        cwd=tmp_path,
        env={
            **os.environ,
            "TMPDIR": str(tmp_path),
            "PYTHONUTF8": "1",
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
            "MLFLOW_TRACKING_TOKEN": "not-for-the-demo",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        preexec_fn=interruptible,
    ) as process:
        yield process
        for left in processes(tmp_path):
            os.kill(left, signal.SIGKILL)


@pytest.mark.server
@pytest.mark.slow
def test_tells_the_story_and_leaves_nothing(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    said, complaints = demo.communicate(timeout=300)
    assert complaints == ""
    assert demo.returncode == 0, said
    told = [said.index(words) for words in ("0.94", "0.71", "DENY", "exit code 1", "ALLOW", "exit code 0")]
    assert told == sorted(told), "in this order"
    for act in range(1, 6):
        assert f"\n{act} · " in said
    assert "not-for-the-demo" not in said
    assert list(tmp_path.iterdir()) == []
    assert gone(tmp_path)


@pytest.mark.server
@pytest.mark.slow
def test_interrupted_leaves_nothing(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    assert demo.stdout is not None
    for line in demo.stdout:
        if "answers at" in line:
            break
    assert len(processes(tmp_path)) > 2, "the server and the training are running"
    os.kill(demo.pid, signal.SIGINT)
    demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert gone(tmp_path)


def test_another_mlflow_does_not_come_along(tmp_path: Path) -> None:
    given = {"PATH": "/bin", "MLFLOW_TRACKING_TOKEN": "t", "DATABRICKS_HOST": "h", "MLFLOW_RUN_ID": "r"}
    kept = environment(given, tmp_path, "http://127.0.0.1:1")
    assert kept["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:1"
    assert kept["PATH"] == "/bin"
    assert kept.keys().isdisjoint({"MLFLOW_TRACKING_TOKEN", "DATABRICKS_HOST", "MLFLOW_RUN_ID"})


def test_endpoints_answer_with_what_was_published_last() -> None:
    with Endpoints() as endpoints:
        endpoints.publish({"/a.json": {"n": 1}})
        assert get(f"{endpoints.url}/a.json") == {"n": 1}
        endpoints.publish({"/a.json": {"n": 2}})
        assert get(f"{endpoints.url}/a.json") == {"n": 2}
        with pytest.raises(AigateError, match="no document"):
            get(f"{endpoints.url}/b.json")
    with pytest.raises(AigateError, match="does not answer"):
        get(f"{endpoints.url}/a.json")


def test_late_pipeline_serves_what_upstream_has_replaced() -> None:
    stages = late(NOW)
    assert stages[EMBEDDINGS].inputs[FEATURES] != stages[FEATURES].version
    assert stages[FEATURES].built_at > stages[EMBEDDINGS].built_at


def test_backfilled_pipeline_reads_what_is_there() -> None:
    stages = backfilled(NOW)
    for before, stage in itertools.pairwise(STAGES):
        assert stages[stage].inputs == {before: stages[before].version}
        assert stages[before].built_at <= stages[stage].built_at <= NOW


def test_stale_vectors_belong_to_the_same_customers_and_say_little() -> None:
    import numpy as np

    fresh, stale = (churn.lookups(2000, 7, hours_old=hours) for hours in (0, 12))
    assert np.array_equal(fresh.account, stale.account)
    assert np.array_equal(fresh.churned, stale.churned)
    assert np.array_equal(fresh.match, stale.match)
    alike = np.corrcoef(fresh.vectors.ravel(), stale.vectors.ravel())[0, 1]
    assert alike == pytest.approx(churn.MEMORY**12, abs=0.05)


def test_threshold_of_dev_lets_wrong_vectors_through_in_production() -> None:
    dev, production = churn.lookups(5000, 11, "dev"), churn.lookups(5000, 12, "production")
    set_in_dev = churn.fit_confidence(dev)
    assert churn.wrong_share(dev, set_in_dev) <= churn.WRONG_SHARE_ALLOWED
    assert churn.wrong_share(production, set_in_dev) > 10 * churn.WRONG_SHARE_ALLOWED
    assert churn.fit_confidence(production) > set_in_dev
