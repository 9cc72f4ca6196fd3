import subprocess
import sys
import threading
import time

import pytest

from aigate.collect.concurrent import SLACK, WORKERS, gather
from aigate.collect.deadline import Deadline, DeadlineError


def test_results_and_failures_by_name_in_the_order_given() -> None:
    def fails() -> str:
        raise KeyError("x")

    def leaves() -> str:
        raise SystemExit(0)

    def slow() -> str:
        time.sleep(0.1)
        return "a"

    found = gather({"slow": slow, "bad": fails, "exit": leaves, "b": lambda: "b"}, Deadline(5))
    assert list(found) == ["slow", "bad", "exit", "b"]
    assert found["slow"] == "a"
    assert isinstance(found["bad"], KeyError)
    assert isinstance(found["exit"], SystemExit)


def test_nothing_to_do() -> None:
    assert gather({}, Deadline(1)) == {}


def test_tasks_run_at_once() -> None:
    meeting = threading.Barrier(8, timeout=5)
    found = gather({str(n): meeting.wait for n in range(8)}, Deadline(5))
    assert sorted(found.values(), key=repr) == sorted(range(8), key=repr)


def test_no_more_than_the_allowed_number_at_once() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def task() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    found = gather({str(n): task for n in range(40)}, Deadline(5))
    assert set(found.values()) == {None}
    assert 1 < most <= WORKERS


def test_hung_tasks_are_abandoned_at_the_deadline_and_what_was_done_is_kept() -> None:
    release, started_late = threading.Event(), threading.Event()
    tasks = {f"hung {n}": lambda: release.wait(20) for n in range(WORKERS)}
    began = time.monotonic()
    found = gather({"quick": lambda: True, **tasks, "never started": started_late.set}, Deadline(0.3))
    took = time.monotonic() - began
    release.set()
    assert 0.3 <= took < 0.3 + SLACK + 0.3
    assert found.pop("quick") is True
    assert len(found) == WORKERS + 1
    assert all(isinstance(outcome, DeadlineError) for outcome in found.values())
    assert not started_late.wait(0.2)


def test_a_task_that_ends_at_the_deadline_may_still_say_why() -> None:
    def late() -> None:
        time.sleep(0.25)
        raise ValueError("I waited for the database")

    assert isinstance(gather({"late": late}, Deadline(0.2))["late"], ValueError)


def test_abandoned_threads_do_not_keep_the_process() -> None:
    code = (
        "import time\n"
        "from aigate.collect.concurrent import gather\n"
        "from aigate.collect.deadline import Deadline\n"
        "print(len(gather({'a': lambda: time.sleep(60)}, Deadline(0.1))))\n"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=True)
    assert done.stdout == b"1\n"
    assert time.monotonic() - began < 10


class TestDeadline:
    def test_counts_on_the_clock_given(self) -> None:
        clock = iter([100.0, 101.0, 109.5, 111.0, 111.0])
        deadline = Deadline(10, monotonic=lambda: next(clock))
        assert deadline.left() == 9.0
        assert deadline.left() == 0.5
        with pytest.raises(DeadlineError, match="10 s"):
            deadline.left()
        assert deadline.remaining() == -1.0

    def test_is_over_when_nothing_is_left(self) -> None:
        clock = iter([5.0, 6.0])
        deadline = Deadline(1, monotonic=lambda: next(clock))
        with pytest.raises(DeadlineError):
            deadline.left()

    @pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 100_000])
    def test_is_a_sensible_span(self, seconds: float) -> None:
        with pytest.raises(ValueError, match="deadline"):
            Deadline(seconds)
