"""Policies run apart: in processes without credentials, with an empty environment and limits.

They are trusted code that may be wrong; this is no sandbox for hostile code.
What it buys: a policy that crashes, hangs, eats memory, exits or patches what
it finds spoils the answer of its own file and no other, and the gate never
takes silence for a yes. What it does not: files can be read and emptied, and
sockets opened, with the rights of the user who runs the gate.

A process that has loaded what all need (`nursery`) forks one a group of files,
each with a pipe of its own to the gate, and keeps watch over what they leave
behind. The gate reads the pipes and the clock itself, so no
policy stands between it and another policy's answer, and it accepts only a
complete, well-formed answer for exactly the policies it asked.
"""

import contextlib
import json
import os
import selectors
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic
from typing import IO, Literal

from pydantic import ValidationError

from aigate.decision import PolicyInfo, PolicyResult
from aigate.errors import AigateError, PolicyCodeError
from aigate.isolate.linux import hidden
from aigate.isolate.nursery import start
from aigate.policy import PolicyFile
from aigate.snapshot import Snapshot
from aigate.values import Model

MAX_ANSWER = 8 * 1024 * 1024
"""Bytes one answer may have."""

PATIENCE = 30.0
"""Seconds the interpreter may take to start and load; no policy runs before it has."""

FAREWELL = 1.0
"""Seconds the interpreter gets to clear away what policies left behind."""


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
    """What one group's process said. `config` is a mistake in a file or in its parameters."""

    nonce: str
    status: Literal["answered", "config", "broken"]
    reason: str = ""
    fix: str = ""
    infos: tuple[PolicyInfo, ...] = ()
    results: tuple[PolicyResult, ...] = ()
    broken: dict[str, str] = {}
    """Policies that load and can only end as `error`, and why."""


@dataclass(frozen=True)
class Answers:
    """Everything that was asked, and what was answered to it."""

    infos: tuple[PolicyInfo, ...]
    results: Mapping[str, PolicyResult] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    """Policies that load and can only end as `error`, and why."""


class Isolate:
    """A child process that has the policies' bytes and waits for a snapshot.

    Starting it early lets its imports overlap with the collection of evidence.
    Use it as a context manager; leaving ends the child and all it started. It
    answers one question.
    """

    def __init__(
        self,
        files: tuple[PolicyFile, ...],
        params: Mapping[str, Mapping[str, object]],
        *,
        limits: Limits = Limits(),
    ) -> None:
        self.limits = limits
        self._groups = _groups(files)
        self._nonce = os.urandom(16).hex()
        self._pids: list[int] = []
        self._child, self._pipes = start(len(self._groups), "child")
        self._unsent = json.dumps(
            {
                "nonce": self._nonce,
                "seconds": limits.seconds,
                "memory": limits.memory,
                "params": {id: _plain(values) for id, values in params.items()},
                "groups": [{"files": [_packed(file) for file in group]} for group in self._groups],
            }
        ).encode()
        self._send(b"\n", until=None)

    def __enter__(self) -> "Isolate":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child and every process it started; closing twice is once."""
        self._kill_groups()
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.close()
        self._child.close(FAREWELL)

    def describe(self) -> Answers:
        """Load the policies and say what they are, without a snapshot."""
        return self._ask(None)

    def run(self, snapshot: Snapshot) -> Answers:
        """Run every policy on a snapshot.

        What a policy does wrong is an `error` in its answer. Raises
        PolicyCodeError for a file that does not load and for parameters that do
        not fit, AigateError where the child cannot be started at all.
        """
        return self._ask(snapshot)

    def _ask(self, snapshot: Snapshot | None) -> Answers:
        if self._pids:
            raise AigateError("a policy process answers one question: start another for the next")
        question = "null" if snapshot is None else snapshot.model_dump_json(by_alias=True)
        with hidden():
            until = monotonic() + PATIENCE
            self._send(question.encode() + b"\n", until=until)
            self._pids = self._read_pids(until)
            said = self._read_answers(monotonic() + self.limits.seconds)
            self._kill_groups()
        infos: list[PolicyInfo] = []
        results: dict[str, PolicyResult] = {}
        broken: dict[str, str] = {}
        for group, line in zip(self._groups, said, strict=True):
            answer = self._accept(line)
            infos_, results_ = _settle(group, answer, asked=snapshot is not None)
            infos.extend(infos_)
            results.update(results_)
            broken.update(answer.broken)
        return Answers(tuple(infos), results, broken)

    def _send(self, data: bytes, *, until: float | None) -> None:
        """Send data after what is still unsent: what the pipe takes now, or all of it by `until`.

        A child that is gone reads nothing and answers nothing, which is met there.
        """
        self._unsent += data
        stdin = self._child.stdin
        os.set_blocking(stdin.fileno(), False)
        with contextlib.suppress(BrokenPipeError), selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            while self._unsent and selector.select(0 if until is None else max(0.0, until - monotonic())):
                self._unsent = self._unsent[os.write(stdin.fileno(), self._unsent) :]

    def _read_pids(self, until: float) -> list[int]:
        """Read which process runs which group; they wait until this is written, so none can forge it."""
        stdout = self._child.stdout
        (line,) = _read({0: stdout}, until, 1 << 20, enough=b"\n").values()
        if not isinstance(line, bytes) or not line.endswith(b"\n"):
            raise AigateError(
                "the process that runs the policies did not start",
                fix=f"see why: {sys.executable} -c 'import aigate.isolate.nurse'",
            )
        pids: list[int] = json.loads(line)
        return pids

    def _read_answers(self, until: float) -> list[bytes | str]:
        """Read each group's line: until all ended, or the time is over. Text says why there is none."""
        said = _read(dict(enumerate(self._pipes)), until, MAX_ANSWER)
        late = f"it took longer than {self.limits.seconds:g} s"
        return [late if line is None else line for line in said.values()]

    def _kill_groups(self) -> None:
        """Kill each group's process and what still shares its process group.

        Nobody has collected these processes, so their ids cannot have become somebody else's.
        """
        for pid in self._pids:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(pid, signal.SIGKILL)

    def _accept(self, line: bytes | str) -> Answer:
        if isinstance(line, str):
            return Answer(nonce=self._nonce, status="broken", reason=line)
        broken = Answer(
            nonce=self._nonce, status="broken", reason="its process ended without an answer, or with nonsense"
        )
        if line.count(b"\n") != 1 or not line.endswith(b"\n"):
            return broken
        try:
            answer = Answer.model_validate_json(line)
        except ValidationError:
            return broken
        return answer if answer.nonce == self._nonce else broken


def _read(
    streams: Mapping[int, IO[bytes]], until: float, most: int, *, enough: bytes | None = None
) -> dict[int, bytes | str | None]:
    """Read streams to their ends, or to `enough`: the bytes, None where time ran out, text where it is too long."""
    got = {number: bytearray() for number in streams}
    said: dict[int, bytes | str | None] = dict.fromkeys(streams)
    with selectors.DefaultSelector() as selector:
        for number, stream in streams.items():
            selector.register(stream, selectors.EVENT_READ, number)
        while selector.get_map() and (ready := selector.select(max(0.0, until - monotonic()))):
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 20)
                data = got[key.data]
                data += chunk
                if chunk and len(data) <= most and not (enough and data.endswith(enough)):
                    continue
                said[key.data] = (
                    bytes(data) if len(data) <= most else f"its answer is larger than {most} bytes"
                )
                selector.unregister(key.fileobj)
    return said


def _groups(files: tuple[PolicyFile, ...]) -> list[list[PolicyFile]]:
    """The standard pack shares one process; every other file has its own."""
    standard = [file for file in files if file.standard]
    return ([standard] if standard else []) + [[file] for file in files if not file.standard]


def _packed(file: PolicyFile) -> dict[str, object]:
    # Any bytes survive this: what is not UTF-8 travels as lone surrogates, escaped.
    source = file.source.decode("utf-8", "surrogateescape")
    return {"shown": file.shown, "source": source, "digest": file.digest}


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    """Return parameters as JSON; a number with a fraction keeps its digits and is not mistaken for text."""
    return {
        name: {"number": str(value)} if isinstance(value, Decimal) else _listed(value)
        for name, value in values.items()
    }


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _settle(
    group: list[PolicyFile], answer: Answer, *, asked: bool
) -> tuple[list[PolicyInfo], dict[str, PolicyResult]]:
    """Hold an answer against what was asked: exactly these policies, each once, or all are errors."""
    if answer.status == "config":
        raise PolicyCodeError(answer.reason, fix=answer.fix)
    broken = answer.status == "broken"
    reason = (answer.reason or "it gave no answer") if broken else _what_is_wrong(group, answer, asked=asked)
    if not reason:
        return list(answer.infos), {result.policy: result for result in answer.results}
    wanted = [(id, file) for file in group for id in file.policies]
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
    return infos, {id: PolicyResult(policy=id, outcome="error", reason=reason) for id, _ in wanted}


def _what_is_wrong(group: list[PolicyFile], answer: Answer, *, asked: bool) -> str:
    wanted = sorted((id, file.shown, file.digest) for file in group for id in file.policies)
    given = sorted((info.id, info.file, info.file_digest) for info in answer.infos)
    results = sorted(result.policy for result in answer.results)
    ids = [id for id, _, _ in wanted]
    if [id for id, _, _ in given] != ids:
        return f"the file defines other policies than it declares: {_differing(ids, given)}"
    if given != wanted:
        return "its process answered for another file"
    if results != (ids if asked else []):
        return "its process did not answer for each of its policies"
    if any(finding.waived for result in answer.results for finding in result.findings):
        return "a policy waived its own finding: only the gate does that"
    return ""


def _differing(ids: list[str], given: list[tuple[str, str, str]]) -> str:
    found = [id for id, _, _ in given]
    more = sorted({id for id in found if found.count(id) > ids.count(id)})
    less = sorted({id for id in ids if ids.count(id) > found.count(id)})
    words = [f"{', '.join(less)} is declared and not there"] if less else []
    words += [f"{', '.join(more)} is there and not declared by @policy('...')"] if more else []
    return "; ".join(words)
