"""Policies run apart: in a child process without credentials, with an empty environment and limits.

They are trusted code that may be wrong; this is no sandbox for hostile code.
What it buys: a policy that crashes, hangs, eats memory, exits or patches what
it finds spoils its own answer and no other, and the gate never takes silence
for a yes. The parent accepts only a complete, well-formed answer for exactly
the policies it asked.
"""

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Literal

from pydantic import ValidationError

from aigate.collect.policy_files import PolicyFile
from aigate.decision import PolicyInfo, PolicyResult
from aigate.errors import PolicyCodeError
from aigate.snapshot import Snapshot
from aigate.values import Model

MAX_ANSWER = 8 * 1024 * 1024
"""Bytes one answer may have."""

GRACE = 2.0
"""Seconds past the policies' own limit that the child gets to say which of them ran over."""


@dataclass(frozen=True)
class Limits:
    """What a policy file may use. A file that uses more ends as `error`."""

    seconds: float = 10.0
    """Wall-clock time for all the policies of one file."""
    memory: int = 1024 * 1024 * 1024
    """Bytes of address space."""

    def __str__(self) -> str:
        return f"process (time {self.seconds:g} s, memory {self.memory // 1024 // 1024} MiB, no environment)"


class Answer(Model):
    """What one policy file's process said. `config` is a mistake in the file or its parameters."""

    nonce: str
    group: int
    status: Literal["answered", "config", "broken"]
    reason: str = ""
    infos: tuple[PolicyInfo, ...] = ()
    results: tuple[PolicyResult, ...] = ()


@dataclass(frozen=True)
class Answers:
    """Everything that was asked, and what was answered to it."""

    infos: tuple[PolicyInfo, ...]
    results: Mapping[str, PolicyResult] = field(default_factory=dict)


class Isolate:
    """A child process that has the policies' bytes and waits for a snapshot.

    Starting it early lets its imports overlap with the collection of evidence.
    Use it as a context manager; leaving ends the child and all it started.
    """

    def __init__(
        self,
        files: tuple[PolicyFile, ...],
        params: Mapping[str, Mapping[str, object]],
        *,
        limits: Limits = Limits(),
    ) -> None:
        self.limits = limits
        self._files = files
        self._groups = _groups(files)
        self._nonce = secrets.token_hex(16)
        self._child = _start()
        self._send(
            {
                "nonce": self._nonce,
                "seconds": limits.seconds,
                "memory": limits.memory,
                "params": {id: _plain(values) for id, values in params.items()},
                "groups": [
                    [
                        {
                            "shown": file.shown,
                            "source": file.source.decode("utf-8", "surrogateescape"),
                            "digest": file.digest,
                            "standard": file.standard,
                        }
                        for file in group
                    ]
                    for group in self._groups
                ],
            }
        )

    def __enter__(self) -> "Isolate":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child and every process it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._child.wait()

    def describe(self) -> Answers:
        """Load the policies and say what they are, without a snapshot."""
        return self._ask(None)

    def run(self, snapshot: Snapshot) -> Answers:
        """Run every policy on a snapshot.

        What a policy does wrong is an `error` in its answer. Raises
        PolicyCodeError for a file that does not load and for parameters that do
        not fit.
        """
        return self._ask(snapshot)

    def _ask(self, snapshot: Snapshot | None) -> Answers:
        self._send(
            {"snapshot": None if snapshot is None else snapshot.model_dump(mode="json", by_alias=True)}
        )
        got = {answer.group: answer for line in self._lines() if (answer := self._accept(line))}
        infos: list[PolicyInfo] = []
        results: dict[str, PolicyResult] = {}
        for number, group in enumerate(self._groups):
            answer = got.get(number)
            if answer is not None and answer.status == "config":
                raise PolicyCodeError(answer.reason)
            infos_, results_ = _settle(group, answer, asked=snapshot is not None)
            infos.extend(infos_)
            results.update(results_)
        return Answers(tuple(infos), results)

    def _send(self, message: object) -> None:
        stdin = self._child.stdin
        assert stdin is not None  # opened as a pipe below
        with contextlib.suppress(OSError):  # a child that is gone gives no answers, which are errors
            stdin.write(json.dumps(message).encode() + b"\n")
            stdin.flush()

    def _lines(self) -> list[bytes]:
        """Read the child's lines until all groups answered, it ends, or its time is over."""
        stdout = self._child.stdout
        assert stdout is not None  # opened as a pipe below
        end = monotonic() + self.limits.seconds + GRACE
        data = b""
        while data.count(b"\n") < len(self._groups) and len(data) <= MAX_ANSWER * len(self._groups):
            ready, _, _ = select.select([stdout], [], [], max(0.0, end - monotonic()))
            chunk = os.read(stdout.fileno(), 1 << 20) if ready else b""
            if not chunk:
                break
            data += chunk
        return data.split(b"\n")[:-1]

    def _accept(self, line: bytes) -> Answer | None:
        try:
            answer = Answer.model_validate_json(line)
        except ValidationError:
            return None
        return answer if secrets.compare_digest(answer.nonce, self._nonce) else None


def _groups(files: tuple[PolicyFile, ...]) -> list[list[PolicyFile]]:
    """The standard pack shares one process; every other file has its own."""
    standard = [file for file in files if file.standard]
    return ([standard] if standard else []) + [[file] for file in files if not file.standard]


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    return {
        name: list(v) if isinstance(v, tuple) else v if isinstance(v, bool | int) else str(v)
        for name, v in values.items()
    }


def _settle(
    group: list[PolicyFile], answer: Answer | None, *, asked: bool
) -> tuple[list[PolicyInfo], dict[str, PolicyResult]]:
    """Hold an answer against what was asked: exactly these policies, each once, or all are errors."""
    wanted = [(id, file) for file in group for id in file.policies]
    ids = [id for id, _ in wanted]
    digests = {id: file.digest for id, file in wanted}
    if answer is None:
        reason = "it gave no answer: its process ended, ran out of time or of memory, or answered nonsense"
    elif answer.status == "broken":
        reason = answer.reason
    elif sorted(info.id for info in answer.infos) != sorted(ids) or (
        asked and sorted(result.policy for result in answer.results) != sorted(ids)
    ):
        reason = "its process answered for other policies than the file declares"
    elif any(info.file_digest != digests[info.id] for info in answer.infos):
        reason = "its process answered for other bytes than the file has"
    else:
        return list(answer.infos), {result.policy: result for result in answer.results}
    infos = [
        PolicyInfo(
            id=id,
            title="(not loaded)",
            severity="critical",
            blames="process",
            file=file.shown,
            file_digest=file.digest,
        )
        for id, file in wanted
    ]
    return infos, {id: PolicyResult(policy=id, outcome="error", reason=reason) for id in ids}


def _start() -> subprocess.Popen[bytes]:
    """Start an interpreter that knows the parent's import path and nothing else of it."""
    package = str(Path(__file__).parent.parent.parent)
    path = [package, *(entry for entry in sys.path if entry and entry != package and Path(entry).exists())]
    code = f"import sys; sys.path[:] = {path!r}; from aigate.isolate.child import main; main()"
    return subprocess.Popen(  # noqa: S603 - our own interpreter, our own code
        [sys.executable, "-I", "-S", "-X", "utf8", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )
