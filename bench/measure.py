"""Whole processes timed by the operating system's own accounting, several in turn."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Run:
    """One finished process with all that it started: seconds, and the largest process's peak in MiB."""

    wall: float
    cpu: float
    peak: float
    code: int


def run(command: Sequence[str], env: Mapping[str, str]) -> Run:
    """Run a command to its end, its output thrown away."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(env))
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode)


def in_turn(
    commands: Mapping[str, Sequence[str]], env: Mapping[str, str], *, rounds: int, expect: Mapping[str, int]
) -> dict[str, list[Run]]:
    """Run every command once unmeasured, then all in turn, so that a slow spell hits each alike.

    Stops the bench where a command ends with another code than the one expected: a figure for work that
    was not done is worth nothing.
    """
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            result = run(command, env)
            if result.code != expect.get(name, 0):
                sys.exit(
                    f"bench: {name!r} ended with {result.code}, expected {expect.get(name, 0)}: {command}"
                )
            if number:
                runs[name].append(result)
    return runs


def middle(runs: Sequence[Run], what: Callable[[Run], float]) -> float:
    """Return the median of one figure."""
    return median(what(run) for run in runs)


def ratio(ours: Sequence[Run], theirs: Sequence[Run]) -> float:
    """Return the median of the ratios of wall time, pair by pair."""
    return median(a.wall / b.wall for a, b in zip(ours, theirs, strict=True))
