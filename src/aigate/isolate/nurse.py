"""The interpreter that forks processes for policies: it imports what they need, and runs none itself."""

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from importlib import import_module
from typing import NoReturn

from aigate.decision import Finding, PolicyInfo, PolicyResult
from aigate.isolate import Answer, child
from aigate.isolate.linux import hide
from aigate.snapshot import Snapshot
from aigate.values import Missing

_LAST = 0.2
"""Seconds in which the last forks may end once the gate has hung up."""


def main(fd: int) -> None:
    """Fork whenever the gate asks, until it hangs up."""
    os.environ.clear()  # noqa: TID251 - nothing is read from it, and nothing is left in it
    hide()
    for model in (Answer, Snapshot, PolicyInfo, PolicyResult, Finding, Missing):
        model.model_rebuild()  # once here, and not again in every fork
    signal.signal(signal.SIGCHLD, lambda *_: _collect())
    with socket.socket(fileno=fd) as line:
        for module, files in _asked(line):
            if os.fork() == 0:
                line.close()
                _become(module, files)
            for file in files:
                os.close(file)
    until = time.monotonic() + _LAST
    while _collect() and time.monotonic() < until:
        time.sleep(0.002)


def _asked(line: socket.socket) -> Iterator[tuple[str, list[int]]]:
    """Yield what is to be forked, each with its descriptors, which may come in several messages."""
    said, here, mine = b"", list[int](), list[int]()
    while True:
        more, come, _, _ = socket.recv_fds(line, 1 << 16, 253)
        if not more:
            return
        said, here = said + more, here + come
        while b"\n" in said:
            head, _, said = said.partition(b"\n")
            asks = json.loads(head)
            mine, here = mine + here[: asks["files"]], here[asks["files"] :]
            if asks["whole"]:
                yield asks["module"], mine
                mine = []


def _become(module: str, files: list[int]) -> NoReturn:
    """In a fork: say who it is, put the pipes where they are looked for, and be what was asked for."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        stdin, stdout, life, *writes = files
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        os.close(stdin)
        os.close(stdout)
        os.write(life, b"%d\n" % os.getpid())
        child.private.append(life)
        import_module(f"aigate.isolate.{module}").main(writes)
    finally:
        os._exit(0)


def _collect() -> bool:
    """Collect the forks that have ended, so that what they used is counted; tell whether any is left."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False
