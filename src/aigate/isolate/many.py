"""Many questions to the same policies, each answered exactly as the gate would have it answered.

For those who ask again and again (tests, proofs) and cannot start an
interpreter for each. One is started; for every question it forks a process a
group of files, with the gate's limits and nothing in its environment, which
loads the files anew, runs the policies on one snapshot, answers and ends. So no
policy can remember what it was asked before, and one that hangs, exits or
crashes spoils one answer of its own file.

What differs from `Isolate`: the interpreter between reads the answers and hands
them on, so that a policy that means harm could spoil them. Nothing is promoted
on an answer from here.
"""

import contextlib
import json
import os
import selectors
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Thread
from time import monotonic

from pydantic import ValidationError

from aigate.decision import PolicyInfo, PolicyResult
from aigate.errors import AigateError
from aigate.isolate import (
    FAREWELL,
    PATIENCE,
    Answer,
    Limits,
    _packed,
    _plain,
    _settle,
)
from aigate.isolate.linux import hidden
from aigate.isolate.nursery import start
from aigate.policy import PolicyFile
from aigate.snapshot import Snapshot

_USUAL = Limits()

WORTH = 16
"""Questions for which another child is worth its start."""


class Witnessed(Answer):
    """What one group's process said, and which calls of `deny` were made on the way."""

    sites: dict[str, tuple[int, ...]] = {}
    """By policy: the lines of its file in which `deny` was called."""


@dataclass(frozen=True)
class Heard:
    """The answers to one question."""

    results: Mapping[str, PolicyResult]
    infos: tuple[PolicyInfo, ...] = ()
    sites: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By policy: the lines in which it called `deny`."""


@dataclass(frozen=True)
class Question:
    """A snapshot as JSON, and who is asked about it."""

    snapshot: str
    only: Collection[str] = ()
    """The ids of the policies that are asked, and with them all of their files; every one where it is empty."""
    params: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Parameters instead of those in force, policy by policy."""


class Many:
    """A child process that has the policies' bytes and answers any number of questions.

    Use it as a context manager; leaving ends the child and all it started.
    """

    def __init__(
        self,
        files: tuple[PolicyFile, ...],
        params: Mapping[str, Mapping[str, object]],
        *,
        limits: Limits = _USUAL,
        late: list[int] | None = None,
    ) -> None:
        """Start the child. A group on which time runs out goes into `late`; whoever stands there is not asked."""
        self.limits = limits
        self._group_list = [[file] for file in files]  # each by itself, so that only those asked for load
        self._params = dict(params)
        self._nonce = os.urandom(16).hex()
        self._late = late
        self._begin()

    def _begin(self) -> None:
        self._child, _ = start(0, "many_child")
        header = {
            "nonce": self._nonce,
            "seconds": self.limits.seconds,
            "memory": self.limits.memory,
            "groups": [{"files": [_packed(file) for file in group]} for group in self._group_list],
        }
        self._rest = b""
        self._started = False
        self._unsent = json.dumps(header).encode() + b"\n"

    def __enter__(self) -> "Many":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child; it clears away what the policies left behind. Closing twice is once."""
        self._child.close(FAREWELL)

    def run(self, snapshot: Snapshot, only: Collection[str] = (), **params: Mapping[str, object]) -> Heard:
        """Run policies on a snapshot: those of the files that hold `only`, or all.

        Raises PolicyCodeError for a file that does not load and for parameters
        that do not fit, AigateError where the child cannot be started at all.
        """
        heard = self.ask(snapshot.model_dump_json(by_alias=True), only, params)
        if heard is None:
            raise AigateError("a snapshot could not be handed over to the policies' process")
        return heard

    def ask(
        self, snapshot: str, only: Collection[str] = (), params: Mapping[str, Mapping[str, object]] = {}
    ) -> Heard | None:
        """Run policies on a snapshot that is given as JSON; None where it is no snapshot.

        `params` go over those given in the beginning, policy by policy. Raises
        what `run` raises.
        """
        asked = [
            number
            for number, group in enumerate(self._group_list)
            if not only or any(id in only for file in group for id in file.policies)
        ]
        open_ = [number for number in asked if number not in (self._late or ())]
        wanted = {id: plain(values) for id, values in {**self._params, **params}.items()}
        request = json.dumps({"groups": open_, "params": wanted, "snapshot": snapshot})
        with hidden():
            line = self._exchange(request.encode() + b"\n") if open_ else b'{"said": []}'
        said = json.loads(line) if line is not None else {"said": [None] * len(open_)}
        if "refused" in said:
            return None
        lines = dict(zip(open_, said["said"], strict=True))
        return self._heard({number: lines.get(number, "late") for number in asked})

    def _heard(self, lines: Mapping[int, str | None]) -> Heard:
        """Hold every group's answer against what was asked."""
        infos: list[PolicyInfo] = []
        results: dict[str, PolicyResult] = {}
        sites: dict[str, tuple[int, ...]] = {}
        for number, line in lines.items():
            if line == "late" and self._late is not None:
                self._late.append(number)
            answer = self._accept(line)
            infos_, results_ = _settle(self._group_list[number], answer, asked=True)
            infos.extend(infos_)
            results.update(results_)
            sites.update(answer.sites)
        return Heard(results, tuple(infos), sites)

    def _accept(self, line: str | None) -> Witnessed:
        """Return a group's answer; what is none is one that says so."""
        reason = "its process ended without an answer, or with nonsense"
        if line == "late":
            reason = f"it took longer than {self.limits.seconds:g} s"
        elif line:
            with contextlib.suppress(ValidationError):
                answer = Witnessed.model_validate_json(line)
                if answer.nonce == self._nonce:
                    return answer
        return Witnessed(nonce=self._nonce, status="broken", reason=reason)

    def _exchange(self, request: bytes) -> bytes | None:
        """Send one line and read one; None where the child ended over it, and another one was started."""
        patience = self.limits.seconds + FAREWELL + (5.0 if self._started else PATIENCE)
        line = self._talk(self._unsent + request, monotonic() + patience)
        self._unsent = b""
        if line is not None:
            self._started = True
            return line
        if not self._started:
            raise AigateError("the process that runs the policies did not start")
        self._child.kill()
        self.close()
        self._begin()
        return None

    def _talk(self, request: bytes, until: float) -> bytes | None:
        stdin, stdout = self._child.stdin, self._child.stdout
        os.set_blocking(stdin.fileno(), False)
        view = memoryview(request)
        with contextlib.suppress(BrokenPipeError), selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            while view and selector.select(max(0.0, until - monotonic())):
                view = view[os.write(stdin.fileno(), view) :]
        got = bytearray(self._rest)
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in got:
                if not selector.select(max(0.0, until - monotonic())):
                    return None
                chunk = os.read(stdout.fileno(), 1 << 20)
                if not chunk:
                    return None
                got += chunk
        line, _, self._rest = bytes(got).partition(b"\n")
        return line


def plain(values: Mapping[str, object]) -> dict[str, object]:
    """Return parameters as JSON; spans of time as their text."""
    return {
        name: f"PT{value / timedelta(seconds=1):.6f}S" if isinstance(value, timedelta) else value
        for name, value in _plain(values).items()
    }


class Crew:
    """Several children that share the questions; a context manager, as each of them is.

    A group of files on which time ran out once is not asked any more, by none of them.
    """

    def __init__(
        self,
        files: tuple[PolicyFile, ...],
        params: Mapping[str, Mapping[str, object]],
        *,
        limits: Limits = _USUAL,
        workers: int = 1,
    ) -> None:
        late: list[int] = []
        self._start: Callable[[], Many] = lambda: Many(files, params, limits=limits, late=late)
        self._workers = max(1, workers)
        self._members: list[Many] = []

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.close()

    def answer(
        self, questions: Iterable[Question], tell: Callable[[], None] = lambda: None
    ) -> list[Heard | None]:
        """Answer every question, in order; None where a snapshot is none.

        `tell` is called after each, from any thread. Raises what `Many.run` raises.
        """
        waiting = deque(enumerate(questions))
        while len(self._members) < min(self._workers, 1 + len(waiting) // WORTH):
            self._members.append(self._start())
        heard: list[Heard | None] = [None] * len(waiting)
        troubles: list[BaseException] = []

        def work(member: Many) -> None:
            try:
                while not troubles:
                    number, question = waiting.popleft()
                    heard[number] = member.ask(question.snapshot, question.only, question.params)
                    tell()
            except IndexError:
                return
            except BaseException as e:  # noqa: BLE001 - raised again where it can be met
                troubles.append(e)

        threads = [Thread(target=work, args=(member,)) for member in self._members[: len(waiting)]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for trouble in troubles:
            raise trouble
        return heard
