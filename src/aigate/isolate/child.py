"""The child's side: load the policies' bytes, run them on a snapshot, answer on one pipe.

This process runs no policy itself. Each group of files runs in a fork of it,
with limits, so that none can reach another's answer; the forks answer on pipes
of their own and this process passes the answers on.
"""

import json
import os
import resource
import select
import signal
import sys
from time import monotonic
from types import CodeType, ModuleType
from typing import Any, NoReturn

from aigate.decision import PolicyInfo, PolicyResult
from aigate.errors import PolicyCodeError
from aigate.isolate import MAX_ANSWER, Answer
from aigate.policy import Policy, run, show_params
from aigate.snapshot import Snapshot


def main() -> None:
    """Read what to load, then a snapshot; answer one line a group."""
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    stdin = sys.stdin.buffer
    header = json.loads(stdin.readline() or b"null")
    if header is None:
        return
    codes = [[_compile(file) for file in group] for group in header["groups"]]
    question = json.loads(stdin.readline() or b"null")
    if question is None:
        return
    given = question["snapshot"]
    snapshot = None if given is None else Snapshot.model_validate_json(json.dumps(given))
    os.dup2(null, 0)
    _serve(header, codes, snapshot, out)


def _compile(file: dict[str, Any]) -> CodeType:
    return compile(
        file["source"].encode("utf-8", "surrogateescape"), file["shown"], "exec", dont_inherit=True
    )


def _serve(header: dict[str, Any], codes: list[list[CodeType]], snapshot: Snapshot | None, out: int) -> None:
    """Fork a process a group and pass their answers on, until all are in or the time is over."""
    waiting: dict[int, tuple[int, int, bytearray]] = {}
    for group in range(len(codes)):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            for other in (*waiting, out):
                os.close(other)
            _run_group(header, codes, group, snapshot, write)
        os.close(write)
        waiting[read] = (group, pid, bytearray())
    end = monotonic() + header["seconds"]
    while waiting:
        ready, _, _ = select.select(list(waiting), [], [], max(0.0, end - monotonic()))
        if not ready:
            break
        for read in ready:
            _take(read, waiting, header, out)
    for group, pid, _ in waiting.values():
        os.kill(pid, signal.SIGKILL)
        _pass_on(out, _broken(header, group, f"it took longer than {header['seconds']:g} s"))


def _take(
    read: int, waiting: dict[int, tuple[int, int, bytearray]], header: dict[str, Any], out: int
) -> None:
    """Read from one fork; when it has ended, pass its answer on."""
    group, pid, data = waiting[read]
    chunk = os.read(read, 1 << 16)
    data += chunk
    if chunk and len(data) <= MAX_ANSWER:
        return
    del waiting[read]
    os.close(read)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    line = bytes(data)
    if line.count(b"\n") == 1 and line.endswith(b"\n") and len(line) <= MAX_ANSWER:
        os.write(out, line) if len(line) < 4096 else _pass_on(out, line)
    else:
        _pass_on(out, _broken(header, group, "its process ended without an answer"))


def _pass_on(out: int, line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[os.write(out, view) :]


def _broken(header: dict[str, Any], group: int, reason: str) -> bytes:
    return _line(Answer(nonce=header["nonce"], group=group, status="broken", reason=reason))


def _line(answer: Answer) -> bytes:
    return answer.model_dump_json().encode() + b"\n"


def _run_group(
    header: dict[str, Any], codes: list[list[CodeType]], group: int, snapshot: Snapshot | None, write: int
) -> NoReturn:
    """In a fork: load the files, run their policies, answer, and end without returning."""
    try:
        _limit(header)
        answer = _answer(header, codes[group], group, snapshot)
        _pass_on(write, _line(answer))
    except BaseException as e:  # noqa: BLE001 - nothing may leave this process but an answer
        _pass_on(write, _broken(header, group, f"its process failed: {type(e).__name__}"))
    finally:
        os._exit(0)


def _limit(header: dict[str, Any]) -> None:
    seconds = max(1, int(header["seconds"]) + 1)
    for kind, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, header["memory"]),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _answer(header: dict[str, Any], codes: list[CodeType], group: int, snapshot: Snapshot | None) -> Answer:
    infos: list[PolicyInfo] = []
    results: list[PolicyResult] = []
    try:
        for file, code in zip(header["groups"][group], codes, strict=True):
            for policy in _load(file["shown"], code):
                params = policy.bind(header["params"].get(policy.id, {}))
                infos.append(_info(policy, params, file))
                if snapshot is not None:
                    results.append(run(policy, snapshot, params))
    except PolicyCodeError as e:
        return Answer(nonce=header["nonce"], group=group, status="config", reason=e.message)
    return Answer(
        nonce=header["nonce"], group=group, status="answered", infos=tuple(infos), results=tuple(results)
    )


def _load(shown: str, code: CodeType) -> list[Policy]:
    """Execute a policy file and return the policies it defines, in order."""
    module = ModuleType("aigate_policies." + os.path.splitext(os.path.basename(shown))[0].replace("-", "_"))  # noqa: PTH119, PTH122 - text, not a place on a disk
    sys.modules[module.__name__] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 - running policies is what this process is for
    except PolicyCodeError as e:
        raise PolicyCodeError(f"{shown}: {e.message}") from e
    except Exception as e:
        line = e.__traceback__.tb_next.tb_lineno if e.__traceback__ and e.__traceback__.tb_next else 1
        raise PolicyCodeError(f"{shown}:{line}: does not load: {type(e).__name__}: {e}") from e
    return [value for value in vars(module).values() if type(value) is Policy]


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
