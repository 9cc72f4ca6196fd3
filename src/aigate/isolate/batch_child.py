"""The child's side of a batch: read many snapshots, run the policies on all of them in a fork a group.

As in `child`, this process runs no policy itself, so what it says of the
snapshots is the gate's own word. The forks of one batch are gone before the
next one is read: what a policy keeps to itself cannot reach further than that,
and that it kept something is said.
"""

import contextlib
import json
import os
import selectors
import sys
import time
from types import CodeType, ModuleType
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from aigate.decision import Finding
from aigate.digest import digest_bytes
from aigate.errors import PolicyCodeError
from aigate.evaluate import subject_of, unclear
from aigate.isolate import FAREWELL, MAX_ANSWER
from aigate.isolate.child import _clear_up, _compile, _end, _info, _limit, _load, _say, _unpacked, private
from aigate.isolate.linux import adopt
from aigate.isolate.memory import Kept
from aigate.policy import Policy, run_briefly
from aigate.snapshot import Snapshot
from aigate.values import gap, show_instant

# Kept here: what a policy puts in their place does not change how its process ends.
_exit = os._exit

Codes = list[CodeType | PolicyCodeError]


def main(_: list[int]) -> None:
    """Read what to load; then, until the gate hangs up, snapshots to judge."""
    adopt()
    stdin = sys.stdin.buffer
    header = json.loads(stdin.readline() or b"null")
    if header is None:
        return
    codes = [[_compile(file) for file in group["files"]] for group in header["groups"]]
    while line := stdin.readline():
        asked = json.loads(line)
        read = [_looked_at(stdin.read(size), header) for size in asked["sizes"]]
        snapshots = [snapshot for _, snapshot in read if snapshot is not None]
        said = _judged(header, codes, asked["groups"], snapshots) if snapshots else []
        reply = {
            "facts": [facts for facts, _ in read],
            "sizes": [len(answer or b"") for answer in said],
            "late": [group for group, answer in zip(asked["groups"], said, strict=False) if answer is None],
        }
        _say(1, json.dumps(reply).encode() + b"\n")
        for answer in said:
            _say(1, answer or b"")


def _looked_at(data: bytes, header: dict[str, Any]) -> tuple[dict[str, Any], Snapshot | None]:
    """Return what a recorded snapshot says of itself, and the snapshot where it is one to judge.

    One that does not come out again as it went in may say something twice;
    that is for a stricter reader than pydantic's.
    """
    try:
        if to_json(from_json(data)) != data:
            return {"state": "odd"}, None
    except ValueError:
        return {"state": "odd"}, None
    try:
        snapshot = Snapshot.model_validate_json(data)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        where = "/".join(str(step) for step in first["loc"])
        return {"state": "unreadable", "why": f"/{where}: {first['msg']}"[:500]}, None
    subject = subject_of(snapshot)
    now = show_instant(snapshot.now)
    lost = gap(subject)
    facts = {
        "state": "judged",
        "question": snapshot.question,
        "environment": snapshot.environment,
        "system": snapshot.system,
        "alias": snapshot.alias,
        "now": now,
        "model": snapshot.system if lost is not None else subject.name,
        "version": None if lost is not None else subject.version,
        "digest": digest_bytes(data),
        "unclear": unclear(snapshot),
    }
    if snapshot.environment != header["environment"]:
        return {**facts, "state": "elsewhere"}, None
    if header["since"] is not None and snapshot.now.timestamp() < header["since"]:
        return {**facts, "state": "before"}, None
    return facts, snapshot


def _judged(
    header: dict[str, Any], codes: list[Codes], groups: list[int], snapshots: list[Snapshot]
) -> list[bytes | None]:
    """Fork a process a group; return what each said, None where one did not end in its time."""
    pipes = [os.pipe() for _ in groups]
    wait, go = os.pipe()
    pids: list[int] = []
    for number, (_, mine) in zip(groups, pipes, strict=True):
        pid = os.fork()
        if pid == 0:
            _become(header, codes, number, snapshots, wait, mine, [go, *private, *_others(pipes, mine)])
        pids.append(pid)
    for _, write in pipes:
        os.close(write)
    os.close(wait)
    os.close(go)  # all of them are there: now they begin
    try:
        return _heard([read for read, _ in pipes], time.monotonic() + header["seconds"])
    finally:
        for read, _ in pipes:
            os.close(read)
        for pid in pids:
            _end(pid)
        _clear_up(pids)


def _others(pipes: list[tuple[int, int]], mine: int) -> list[int]:
    return [end for pipe in pipes for end in pipe if end != mine]


def _heard(reads: list[int], until: float) -> list[bytes | None]:
    got: dict[int, bytearray] = {read: bytearray() for read in reads}
    said: dict[int, bytes | None] = dict.fromkeys(reads)
    with selectors.DefaultSelector() as selector:
        for read in reads:
            selector.register(read, selectors.EVENT_READ)
        while selector.get_map() and (ready := selector.select(max(0.0, until - time.monotonic()))):
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 20)
                got[key.fd] += chunk
                if not chunk or len(got[key.fd]) > MAX_ANSWER:
                    selector.unregister(key.fd)
                    said[key.fd] = b"" if chunk else bytes(got[key.fd])  # one that is too long is none
    return list(said.values())


def _become(
    header: dict[str, Any],
    codes: list[Codes],
    number: int,
    snapshots: list[Snapshot],
    wait: int,
    write: int,
    others: list[int],
) -> NoReturn:
    """In a fork: wait for the others, load the files, run their policies, answer, and never return."""
    try:
        os.setsid()
        for fd in others:
            os.close(fd)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.read(wait, 1)  # ends when everybody has let go of the other end
        os.close(wait)
        _limit(header["seconds"] + FAREWELL, header["memory"])
        answer = _answer(header, codes[number], header["groups"][number]["files"], snapshots)
    except BaseException as e:  # noqa: BLE001 - nothing may leave this process but an answer
        answer = {"status": "broken", "reason": f"its process failed: {type(e).__name__}"}
    with contextlib.suppress(BaseException):
        _say(write, json.dumps({"nonce": header["nonce"], **answer}).encode() + b"\n")
    _exit(0)


def _answer(
    header: dict[str, Any], codes: Codes, files: list[dict[str, Any]], snapshots: list[Snapshot]
) -> dict[str, Any]:
    bound: list[tuple[Policy, dict[str, object]]] = []
    infos: list[Any] = []
    try:
        for file, code in zip(files, codes, strict=True):
            for policy in _load(file["shown"], code):
                params = policy.bind(_unpacked(header["params"].get(policy.id, {})))
                bound.append((policy, params))
                infos.append(_info(policy, params, file).model_dump(mode="json"))
    except PolicyCodeError as e:
        return {"status": "config", "reason": e.message, "fix": e.fix}
    before = Kept(_own_modules()) if len(snapshots) > 1 else None
    known: dict[Any, int] = {}
    rows = [
        [
            known.setdefault((policy.id, *run_briefly(policy, snapshot, params)), len(known))
            for policy, params in bound
        ]
        for snapshot in snapshots
    ]
    # A policy that rolls dice shows it here, and often one that keeps something from one snapshot for the next.
    again = [
        known.get((policy.id, *run_briefly(policy, snapshots[0], params)), -1) for policy, params in bound
    ]
    return {
        "status": "answered",
        "infos": infos,
        "results": [
            {
                "policy": id,
                "outcome": outcome,
                "reason": reason,
                "findings": [_plain(f) for f in findings],
                "partial": partial,
            }
            for id, outcome, reason, findings, partial in known
        ],
        "rows": rows,
        "unsteady": [
            policy.id for (policy, _), first, then in zip(bound, rows[0], again, strict=True) if first != then
        ],
        "kept": before is not None and not before.same_as(Kept(_own_modules())),
    }


def _own_modules() -> list[ModuleType]:
    return [module for name, module in sys.modules.items() if name.startswith("aigate_policies.")]


def _plain(finding: Finding) -> dict[str, Any]:
    return finding.model_dump(mode="json")
