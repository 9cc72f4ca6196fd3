"""Runs promotions and rollbacks in processes of their own that die where they are told to.

A program: every line on standard input is a JSON list of jobs that are to run
at the same time, and every line on standard output the list of what became of
them. It imports everything once and forks for each job, so that a run costs
little more than its own work, and is the real `aigate.act` against the real
server. A job says what to do, when the process kills itself, after which time
it is killed from outside, and under which faults strace runs it.
"""

import ctypes
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from aigate.act import Acting, PromoteRequest, RollbackRequest, desk, promote, rollback
from aigate.collect.deadline import Deadline
from aigate.collect.manifest_file import load_manifest
from aigate.collect.mlflow.wire import Wire
from aigate.decision import Actor
from aigate.enforce import mlflow, rest, sql_databases, sql_store
from aigate.errors import AigateError
from aigate.gate import Request, World

LIMIT = 90.0
"""Seconds after which a process counts as hanging, and is killed."""

_IMPORTED = (mlflow, rest, sql_databases, sql_store)
_ANY_TRACER = -1
_PR_SET_PTRACER = 0x59616D61


def acting(job: dict[str, Any], step: Callable[[str], None]) -> Acting:
    """Return what an act is handed in. `offset` moves the ledger's clock, so that nobody waits for the dead."""
    offset = timedelta(seconds=job.get("offset", 0))

    def now() -> datetime:
        return datetime.now(UTC).replace(microsecond=0)

    world = World(
        now=now(),
        environ={"MLFLOW_TRACKING_URI": job["uri"]},
        home=Path(job["manifest"]).parent,
        actor=Actor(name="user:torture"),
        deadline=job.get("deadline", 20),
    )
    return Acting(
        world=world,
        clock=lambda: now() + offset,
        nonce=lambda: os.urandom(8).hex(),
        step=step,
        ledger_uri=job["ledger"],
    )


def hurry(seconds: float) -> None:
    """Give an act so many seconds at most: what never answers is waited for until its time is up."""

    def deadline(wanted: float) -> Deadline:
        return Deadline(min(wanted, seconds))

    vars(desk)["Deadline"] = deadline


def run(job: dict[str, Any], made: Acting) -> Any:
    """Do what a job asks and return the act."""
    loaded = load_manifest(Path(job["manifest"]))
    model = loaded.manifest.model
    if job["act"] == "rollback":
        asked = RollbackRequest(model.name, model.champion, "torture", to=job["to"])
        return rollback(loaded, asked, made)
    return promote(loaded, PromoteRequest(Request(version=job["to"])), made).act


@dataclass
class _Process:
    """A forked job as its parent sees it."""

    job: dict[str, Any]
    pid: int
    said: int
    go: int
    strace: subprocess.Popen[bytes] | None = None
    text: bytes = b""
    started: float = 0.0
    how: str = ""
    steps: list[str] = field(default_factory=list)


def _child(job: dict[str, Any], said: int, go: int) -> NoReturn:
    """Wait for the signal to start, do the job, say each step at once, and end without cleaning up."""

    def say(**words: Any) -> None:
        os.write(said, json.dumps(words).encode() + b"\n")

    def die() -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")

    def step(name: str) -> None:
        name = name.partition(":")[0]
        say(step=name)
        if name == job.get("meet"):
            say(arrived=True)
            os.read(go, 1)
        if name == job.get("die"):
            die()

    _count_writes(job, say, die)
    if "within" in job:
        hurry(job["within"])
    os.read(go, 1)
    try:
        act = run(job, acting(job, step))
        words = {"code": act.exit_code, "result": act.result, "reason": act.reason}
        blockers = [blocker.message for blocker in act.blockers]
        say(
            done={**words, "warnings": act.warnings, "blockers": blockers, "seconds": float(act.seconds or 0)}
        )
    except AigateError as e:
        say(done={"code": e.exit_code, "result": type(e).__name__, "reason": e.message})
    except BaseException as e:
        say(done={"code": 70, "result": type(e).__name__, "reason": repr(e)})
    os._exit(0)


def _count_writes(job: dict[str, Any], say: Callable[..., None], die: Callable[[], NoReturn]) -> None:
    """Tell of every write to MLflow; die right before or after the one that the job names."""
    real, numbers = Wire.exchange, itertools.count(1)
    where = (job.get("write"), job.get("side"))

    def exchange(self: Wire, method: str, base: str, place: str, *args: Any, **more: Any) -> Any:
        if method == "GET" or place.endswith("search"):
            return real(self, method, base, place, *args, **more)
        number = next(numbers)  # documents are kept by several threads at once
        say(write=place)
        if where == (number, "before"):
            die()
        answer = real(self, method, base, place, *args, **more)
        if where == (number, "after"):
            die()
        return answer

    Wire.exchange = exchange  # type: ignore[method-assign]


def _fork(job: dict[str, Any]) -> _Process:
    said_out, said_in = os.pipe()
    go_out, go_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(said_out)
        os.close(go_in)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        if "strace" in job:
            ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(_ANY_TRACER), 0, 0, 0)
        _child(job, said_in, go_out)
    os.close(said_in)
    os.close(go_out)
    return _Process(job, pid, said_out, go_in)


def _attach(process: _Process) -> None:
    """Attach strace, with what the job wants injected, before the job begins."""
    command = ["strace", "-f", "-o", process.job["trace"], "-p", str(process.pid), *process.job["strace"]]
    strace = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert strace.stderr is not None
    line = strace.stderr.readline()
    if b"attached" not in line:
        sys.exit(f"strace: {line!r} {strace.stderr.read()!r}")
    process.strace = strace


def _together(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run jobs at the same time; all begin at one moment, and all that `meet` go on from there at one moment."""
    processes = [_fork(job) for job in jobs]
    for process in processes:
        if "strace" in process.job:
            _attach(process)
    for process in processes:
        process.started = time.monotonic()
        os.write(process.go, b"x")
    _watch(processes)
    return [_account(process) for process in processes]


def _watch(processes: list[_Process]) -> None:
    """Read what the processes say until the last one is gone; kill those whose time has come."""
    by_pipe = {process.said: process for process in processes}
    waiting: set[int] = set()
    while by_pipe:
        now = time.monotonic()
        for process in by_pipe.values():
            after = process.job.get("kill_after", LIMIT)
            if not process.how and now >= process.started + after:
                process.how = "killed from outside" if "kill_after" in process.job else "hung"
                os.kill(process.pid, signal.SIGKILL)
        for pipe in select.select(list(by_pipe), [], [], 0.002 if len(by_pipe) == 1 else 0.02)[0]:
            text = os.read(pipe, 65_536)
            by_pipe[pipe].text += text
            if b'"arrived"' in text:
                waiting.add(pipe)
            if not text:
                os.close(pipe)
                del by_pipe[pipe]
                waiting.discard(pipe)
        if waiting and waiting == set(by_pipe):
            for pipe in waiting:
                os.write(by_pipe[pipe].go, b"x")
            waiting.clear()


def _account(process: _Process) -> dict[str, Any]:
    """Return what became of a process."""
    _, status = os.waitpid(process.pid, 0)
    os.close(process.go)
    if process.strace is not None:
        process.strace.communicate(timeout=LIMIT)
    lines = [json.loads(line) for line in process.text.splitlines() if line.endswith(b"}")]
    done = next((line["done"] for line in lines if "done" in line), None)
    killed = os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    return {
        "how": "hung" if process.how == "hung" else "killed" if killed else "ended",
        "steps": [line["step"] for line in lines if "step" in line],
        "writes": [line["write"] for line in lines if "write" in line],
        "wall": time.monotonic() - process.started,
        "done": done,
    }


def main() -> None:
    """Answer every line with what became of its jobs."""
    for line in sys.stdin:
        print(json.dumps(_together(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
