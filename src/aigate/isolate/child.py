"""The child's side: load the policies' bytes, run them on a snapshot, answer on a pipe each.

This process runs no policy itself. Each group of files runs in a fork of it,
with limits, and answers to the gate directly. All of them are there before the
first policy is loaded, so none can keep another from running. Afterwards this
process waits for the gate to go, and clears away what the policies left behind.
"""

import contextlib
import gc
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NoReturn

from aigate.decision import PolicyInfo, PolicyResult
from aigate.errors import PolicyCodeError
from aigate.isolate import FAREWELL, Answer
from aigate.isolate.linux import adopt
from aigate.policy import Policy, run, say, show_params
from aigate.snapshot import Snapshot

ROOM = 64
"""Processes and threads that all policies together may add to what the machine runs already."""

# Kept here: what a policy puts in their place does not change how its process ends.
_exit, _write = os._exit, os.write


private: list[int] = []
"""Descriptors of this process that nothing which it forks may keep."""


def main(writes: list[int]) -> None:
    """Read what to load, then a snapshot; fork, release the forks, and clear up once the gate has gone.

    Each group of files answers on one of `writes`.
    """
    adopt()
    stdin = sys.stdin.buffer
    header = json.loads(stdin.readline() or b"null")
    if header is None:
        return
    groups: list[dict[str, Any]] = header["groups"]
    codes = [[_compile(file) for file in group["files"]] for group in groups]
    question = stdin.readline().strip()
    if not question:
        return
    snapshot = None if question == b"null" else Snapshot.model_validate_json(question)
    gc.freeze()  # what is here by now stays, and the forks share it
    gc.enable()
    pids = _fork(header, writes, codes, snapshot)
    stdin.read()  # until the gate closes it, or ends
    _clear_up(pids)


def _compile(file: dict[str, Any]) -> CodeType | PolicyCodeError:
    """Compile a file; what is wrong with it is kept for its own process to say."""
    source = file["source"].encode("utf-8", "surrogateescape")
    try:
        return compile(source, file["shown"], "exec", dont_inherit=True)
    except SyntaxError as e:
        return PolicyCodeError(f"{file['shown']}:{e.lineno or 1}: not Python: {e.msg}")
    except (ValueError, RecursionError, MemoryError, OverflowError) as e:
        return PolicyCodeError(f"{file['shown']}:1: not Python: {say(e)}")


def _fork(
    header: dict[str, Any],
    writes: list[int],
    codes: list[list[CodeType | PolicyCodeError]],
    snapshot: Snapshot | None,
) -> list[int]:
    """Fork a process a group, tell the gate which they are, and only then let them run."""
    wait, go = os.pipe()
    pids: list[int] = []
    for number in range(len(writes)):
        pid = os.fork()
        if pid == 0:
            others = [go, 1, *private, *writes[:number], *writes[number + 1 :]]
            _become(header, codes[number], number, snapshot, wait, writes[number], others)
        pids.append(pid)
    for write in writes:
        os.close(write)
    os.close(wait)
    _say(1, json.dumps(pids).encode() + b"\n")
    os.close(1)
    os.close(go)
    return pids


def _become(
    header: dict[str, Any],
    codes: list[CodeType | PolicyCodeError],
    number: int,
    snapshot: Snapshot | None,
    wait: int,
    write: int,
    others: list[int],
) -> NoReturn:
    """In a fork: wait for the others, load the files, run their policies, answer, and never return."""
    group = header["groups"][number]
    try:
        os.setsid()
        for fd in others:
            os.close(fd)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.read(wait, 1)  # ends when everybody has let go of the other end
        os.close(wait)
        _limit(header["seconds"], header["memory"])
        answer = _answer(header, codes, group["files"], snapshot)
    except BaseException as e:  # noqa: BLE001 - nothing may leave this process but an answer
        reason = f"its process failed: {type(e).__name__}"
        answer = Answer(nonce=header["nonce"], status="broken", reason=reason)
    with contextlib.suppress(BaseException):
        _say(write, answer.model_dump_json().encode() + b"\n")
    _exit(0)


def _say(fd: int, line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[_write(fd, view) :]


def _limit(seconds: float, memory: int) -> None:
    """Bound what this process may use, in case the gate is no longer there to end it."""
    limits = [
        (resource.RLIMIT_CPU, int(seconds) + 1),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ]
    with contextlib.suppress(OSError, ValueError, IndexError):  # not Linux: no such file
        tasks = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
        limits.append((resource.RLIMIT_NPROC, tasks + ROOM))
    for kind, value in limits:
        most = resource.getrlimit(kind)[1]
        least = value if most == resource.RLIM_INFINITY else min(value, most)
        with contextlib.suppress(OSError, ValueError):  # a limit that this system does not know
            resource.setrlimit(kind, (least, least))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, seconds + FAREWELL)


def _answer(
    header: dict[str, Any],
    codes: list[CodeType | PolicyCodeError],
    files: list[dict[str, Any]],
    snapshot: Snapshot | None,
) -> Answer:
    infos: list[PolicyInfo] = []
    results: list[PolicyResult] = []
    broken: dict[str, str] = {}
    try:
        for file, code in zip(files, codes, strict=True):
            for policy in _load(file["shown"], code):
                params = policy.bind(_unpacked(header["params"].get(policy.id, {})))
                infos.append(_info(policy, params, file))
                if policy.broken:
                    broken[policy.id] = policy.broken
                if snapshot is not None:
                    results.append(_writable(run(policy, snapshot, params)))
    except PolicyCodeError as e:
        return Answer(nonce=header["nonce"], status="config", reason=e.message, fix=e.fix)
    return Answer(
        nonce=header["nonce"],
        status="answered",
        infos=tuple(infos),
        results=tuple(results),
        broken=broken,
    )


def _writable(result: PolicyResult) -> PolicyResult:
    """Return a result that can be written: words with half a character in them cannot."""
    try:
        result.model_dump_json()
    except ValueError as e:
        return PolicyResult(
            policy=result.policy, outcome="error", reason=f"its answer cannot be written: {say(e)}"
        )
    return result


def _load(shown: str, code: CodeType | PolicyCodeError) -> list[Policy]:
    """Execute a policy file and return the policies it defines, in order, each once."""
    if isinstance(code, PolicyCodeError):
        raise code
    module = ModuleType("aigate_policies." + Path(shown).stem.replace("-", "_"))
    module.__file__ = shown
    sys.modules[module.__name__] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 - running policies is what this process is for
    except PolicyCodeError as e:
        raise PolicyCodeError(f"{shown}: {e.message}", fix=e.fix) from e
    except BaseException as e:
        line = e.__traceback__.tb_next.tb_lineno if e.__traceback__ and e.__traceback__.tb_next else 1
        raise PolicyCodeError(f"{shown}:{line}: does not load: {type(e).__name__}: {say(e)}") from e
    return list({id(value): value for value in vars(module).values() if type(value) is Policy}.values())


def _unpacked(params: dict[str, Any]) -> dict[str, object]:
    from decimal import Decimal

    return {
        name: Decimal(value["number"]) if isinstance(value, dict) else value for name, value in params.items()
    }


def _info(policy: Policy, params: dict[str, object], file: dict[str, Any]) -> PolicyInfo:
    return PolicyInfo(
        id=policy.id,
        title=policy.title or "(no title)",
        detail=policy.detail,
        severity=policy.severity,
        blames=policy.blames,
        url=policy.url,
        file=file["shown"],
        file_digest=file["digest"],
        params=show_params(params),
    )


def _clear_up(pids: list[int]) -> None:
    """Kill and collect the forks and, where the kernel tells, every orphan that became ours."""
    until = time.monotonic() + FAREWELL / 2
    for pid in pids:
        _end(pid)
    while time.monotonic() < until and _collect():
        with contextlib.suppress(OSError):  # not Linux
            for line in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                _end(int(line))
        time.sleep(0.001)


def _end(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _collect() -> bool:
    """Collect children that have ended; tell whether any is left."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False
