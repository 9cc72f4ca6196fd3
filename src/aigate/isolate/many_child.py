"""The child's side of `Many`: for each question a fork a group, which loads, runs, answers and ends.

This process runs no policy itself. It reads a line a question, and writes a
line an answer.
"""

import contextlib
import gc
import json
import os
import selectors
import signal
import sys
import time
from importlib import import_module
from types import CodeType
from typing import Any, NoReturn

from pydantic import ValidationError

import aigate
from aigate.decision import Finding, PolicyResult
from aigate.errors import PolicyCodeError
from aigate.isolate import MAX_ANSWER, child
from aigate.isolate.child import _answer, _clear_up, _collect, _compile, _exit, _limit, _say, private
from aigate.isolate.linux import adopt
from aigate.isolate.many import Witnessed
from aigate.policy import Policy, deny, run
from aigate.snapshot import Snapshot, Tag

_USUAL = ("aigate.compare", "aigate.limits", "aigate.window")
"""What the standard policies import when they are loaded or run."""

Codes = list[CodeType | PolicyCodeError]

_sites: list[tuple[str, int]] = []
"""File and line of each call of `deny` by the policy that runs."""

_by_policy: dict[str, tuple[int, ...]] = {}
"""The lines of its own file in which a policy called `deny`. A fork begins with none."""


def main(_: list[int]) -> None:
    """Read what to load, then a question a line, until there are no more."""
    adopt()
    stdin = sys.stdin.buffer
    header = json.loads(stdin.readline() or b"null")
    if header is None:
        return
    codes = [[_compile(file) for file in group["files"]] for group in header["groups"]]
    for model in (Witnessed, Tag):
        model.model_rebuild()  # once here, and not again in every fork
    for name in _USUAL:
        import_module(name)
    # A policy takes `deny` from either; the name `aigate.policy` itself is the decorator.
    for module in (aigate, sys.modules["aigate.policy"]):
        module.__dict__["deny"] = _witnessed
    child.__dict__["run"] = _witnessing
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(_witnessed, name, getattr(deny, name))
    for name in ("aigate.isolate.many", "aigate.isolate.many_child"):
        sys.modules.pop(name, None)  # a policy finds here what it finds in the gate's process
    gc.freeze()
    gc.enable()
    while line := stdin.readline():
        _say(1, json.dumps(_round(header, codes, json.loads(line))).encode() + b"\n")


def _witnessed(message: str, **more: Any) -> Finding:
    """Note which line makes a finding, and make it."""
    frame = sys._getframe(1)
    _sites.append((frame.f_code.co_filename, frame.f_lineno))
    return deny(message, **more)


def _witnessing(policy: Policy, snapshot: Snapshot, params: dict[str, object]) -> PolicyResult:
    """Run a policy as the gate does, and keep which of its lines made findings."""
    _sites.clear()
    result = run(policy, snapshot, params)
    code = getattr(policy.function, "__code__", None)
    mine = {line for file, line in _sites if code is not None and file == code.co_filename}
    _by_policy[policy.id] = tuple(sorted(mine))
    return result


def _round(header: dict[str, Any], codes: list[Codes], asked: dict[str, Any]) -> dict[str, Any]:
    """Answer one question: a line a group, None for one that gave none, `late` for one out of time."""
    try:
        snapshot = Snapshot.model_validate_json(asked["snapshot"])
    except ValidationError as e:
        return {"refused": str(e)[:500]}
    header = {**header, "params": asked["params"]}
    reads: dict[int, int] = {}
    pids: list[int] = []
    for number in asked["groups"]:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            files = header["groups"][number]["files"]
            _become(header, codes[number], files, snapshot, write, [*private, read, *reads])
        os.close(write)
        reads[read] = number
        pids.append(pid)
    said = _gather(reads, time.monotonic() + header["seconds"])
    _end(pids)
    return {"said": [said[number] for number in asked["groups"]]}


def _become(
    header: dict[str, Any],
    codes: Codes,
    files: list[dict[str, Any]],
    snapshot: Snapshot,
    write: int,
    others: list[int],
) -> NoReturn:
    """In a fork: load the files, run their policies, answer, and never return."""
    try:
        os.setsid()
        for fd in others:
            os.close(fd)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        _limit(header["seconds"], header["memory"])
        answer = _answer(header, codes, files, snapshot)
        said = Witnessed(**dict(answer), sites=_by_policy)
    except BaseException as e:  # noqa: BLE001 - nothing may leave this process but an answer
        reason = f"its process failed: {type(e).__name__}"
        said = Witnessed(nonce=header["nonce"], status="broken", reason=reason)
    with contextlib.suppress(BaseException):
        _say(write, said.model_dump_json().encode() + b"\n")
    _exit(0)


def _gather(reads: dict[int, int], until: float) -> dict[int, str | None]:
    """Read every group's answer to its end, and close it."""
    said: dict[int, str | None] = dict.fromkeys(reads.values(), "late")
    got = {read: bytearray() for read in reads}
    with selectors.DefaultSelector() as selector:
        for read in reads:
            selector.register(read, selectors.EVENT_READ)
        while selector.get_map() and (ready := selector.select(max(0.0, until - time.monotonic()))):
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 20)
                data = got[key.fd]
                data += chunk
                if chunk and len(data) <= MAX_ANSWER:
                    continue
                whole = data.count(b"\n") == 1 and data.endswith(b"\n") and len(data) <= MAX_ANSWER
                said[reads[key.fd]] = data.decode("utf-8", "replace") if whole else None
                selector.unregister(key.fd)
    for read in reads:
        os.close(read)
    return said


def _end(pids: list[int]) -> None:
    """Kill and collect the forks and what shares their groups; then, where there are some, the orphans."""
    for pid in pids:
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    if _collect():
        _clear_up([])
