"""Many snapshots put to the same policies: a replay over what was recorded.

The same processes, limits and checks as for one snapshot, but a process judges
many, and as many work beside each other as there are processors. Where a file's
policies cannot answer a batch cleanly, because one crashes, takes too long or
keeps something from one snapshot for the next, they are asked again snapshot by
snapshot, in a fresh process each, as the gate does.
"""

import json
import os
import selectors
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from queue import SimpleQueue
from time import monotonic
from typing import IO, TYPE_CHECKING, Literal, TypeVar

from pydantic import ValidationError

from aigate.decision import PolicyInfo, PolicyResult
from aigate.errors import AigateError, PolicyCodeError
from aigate.isolate import (
    FAREWELL,
    MAX_ANSWER,
    PATIENCE,
    Answer,
    Limits,
    _groups,
    _packed,
    _plain,
    _settle,
    _what_is_wrong,
)
from aigate.isolate.linux import hidden
from aigate.isolate.nursery import start
from aigate.policy import PolicyFile
from aigate.snapshot import Question
from aigate.values import Digest, Instant, Model, Name, Text, VersionNumber

if TYPE_CHECKING:
    from concurrent.futures import Future

K = TypeVar("K")

_USUAL = Limits()

MOST = 1000
"""Snapshots in one batch."""

MOST_FALLS = 2
"""Batches in which a group of files may fail before it is asked snapshot by snapshot from the first."""

MOST_LATE = 3
"""Snapshots on which a group may run out of time before a replay is given up."""

LARGEST = 8 * 1024 * 1024
"""Bytes of one batch; a single snapshot may be larger."""


class Facts(Model):
    """What a recorded snapshot says of itself."""

    state: Literal["judged", "odd", "unreadable", "before", "elsewhere"]
    """`odd`: not in canonical form, so it was not read here. `before` the time that was asked for, or of
    another environment (`elsewhere`): not judged."""
    why: Text = ""
    question: Question = "promote"
    environment: Name = "-"
    system: Name = "-"
    alias: Name = "-"
    now: Instant | None = None
    model: Name = "-"
    version: VersionNumber | None = None
    digest: Digest | None = None
    unclear: Text = ""
    """What is not known of the versions themselves; with anything in it, the answer is never yes."""


class _Reply(Model):
    facts: tuple[Facts, ...]
    sizes: tuple[int, ...]
    """Bytes that each group said; none at all where no snapshot was judged."""
    late: tuple[int, ...]
    """Groups that did not end in their time."""


class _Said(Model):
    """What one group's process answered to a batch."""

    nonce: str
    status: Literal["answered", "config", "broken"]
    reason: str = ""
    fix: str = ""
    infos: tuple[PolicyInfo, ...] = ()
    results: tuple[PolicyResult, ...] = ()
    """Every answer that was given, once."""
    rows: tuple[tuple[int, ...], ...] = ()
    """For each snapshot, the place among `results` of each policy's answer."""
    unsteady: tuple[str, ...] = ()
    """Policies that answered the first snapshot otherwise when they were asked again."""
    kept: bool = False
    """Whether something that they can reach is not what it was before the first snapshot."""


@dataclass(frozen=True)
class Judged:
    """A snapshot's facts and every policy's answer to it; none where it was not judged."""

    facts: Facts
    results: tuple[PolicyResult, ...] = ()


class Batch:
    """Processes that wait for snapshots to judge. Use it as a context manager; leaving ends them."""

    def __init__(
        self,
        files: tuple[PolicyFile, ...],
        params: Mapping[str, Mapping[str, object]],
        *,
        environment: str,
        since: datetime | None = None,
        limits: Limits = _USUAL,
        processes: int | None = None,
    ) -> None:
        """Start them. Judged are snapshots of one environment, none older than `since`."""
        self.infos: tuple[PolicyInfo, ...] = ()
        """The policies with their parameters; known once a snapshot was judged."""
        self._files, self._params, self._limits = files, params, limits
        self._groups = _groups(files)
        header = {
            "seconds": limits.seconds,
            "memory": limits.memory,
            "environment": environment,
            "since": None if since is None else since.timestamp(),
            "params": {id: _plain(values) for id, values in params.items()},
            "groups": [{"files": [_packed(file) for file in group]} for group in self._groups],
        }
        self._infos: dict[int, tuple[PolicyInfo, ...]] = {}
        self._lost: dict[int, tuple[PolicyInfo, ...]] = {}
        """What stands for the policies of a group that did not answer."""
        self._falls = [0] * len(self._groups)
        self._leaving = False
        self._late = [0] * len(self._groups)
        count = processes or len(os.sched_getaffinity(0))
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._workers: list[_Worker] = []
        try:
            for _ in range(count):
                self._workers.append(_Worker(header, limits))
                self._idle.put(self._workers[-1])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Batch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes and all they started."""
        for worker in self._workers:
            worker.close()

    def run(self, snapshots: Iterable[tuple[K, bytes]]) -> Iterator[tuple[K, bytes, Judged]]:
        """Judge recorded snapshots; yields each, in order, as it came in, with what came of it.

        Holds no more of them than its processes have before them. Raises
        PolicyCodeError for a file that does not load, for parameters that do
        not fit, and for a policy that answers the same snapshot in two ways.
        """
        from concurrent.futures import ThreadPoolExecutor

        waiting: deque[tuple[list[tuple[K, bytes]], Future[list[Judged]]]] = deque()
        with ThreadPoolExecutor(len(self._workers)) as pool:
            try:
                for chunk in _chunks(snapshots):
                    waiting.append((chunk, pool.submit(self._judge, [data for _, data in chunk])))
                    if len(waiting) > len(self._workers):
                        yield from _done(*waiting.popleft())
                while waiting:
                    yield from _done(*waiting.popleft())
            except BaseException:
                self._leaving = True  # nobody waits for what is still asked snapshot by snapshot
                raise
            finally:
                for _, future in waiting:
                    future.cancel()

    def _judge(self, chunk: Sequence[bytes]) -> list[Judged]:
        worker = self._idle.get()
        try:
            return self._judged_by(worker, chunk)
        finally:
            self._idle.put(worker)

    def _judged_by(self, worker: "_Worker", chunk: Sequence[bytes]) -> list[Judged]:
        """Have one worker judge a batch: together the groups that may be, and the others snapshot by snapshot."""
        together = [number for number in range(len(self._groups)) if self._falls[number] < MOST_FALLS]
        facts, lines, _ = worker.ask(chunk, together)
        places = [place for place, fact in enumerate(facts) if fact.state == "judged"]
        if not places:
            return [Judged(fact) for fact in facts]
        said = {
            number: self._taken(number, _accepted(line, worker.nonce), len(places))
            for number, line in zip(together, lines, strict=True)
        }
        for number in range(len(self._groups)):
            if said.get(number) is None:
                self._falls[number] += 1
                said[number] = [self._alone(worker, number, chunk[place]) for place in places]
        answers = [said[number] or [] for number in range(len(self._groups))]
        self._know()
        found = {
            place: tuple(result for answer in answers for result in answer[n])
            for n, place in enumerate(places)
        }
        return [Judged(fact, found.get(place, ())) for place, fact in enumerate(facts)]

    def _taken(self, number: int, said: _Said | None, count: int) -> list[tuple[PolicyResult, ...]] | None:
        """Hold what a group said against what was asked; None where it did not answer cleanly."""
        if said is None or not _fits(self._groups[number], said, count):
            return None
        if said.unsteady:
            raise PolicyCodeError(
                f"{', '.join(said.unsteady)} answered the same snapshot in two ways, so what it would have "
                "said of others cannot be told",
                fix="let it depend on its snapshot and its parameters alone: no clock, no chance, nothing kept",
            )
        if said.kept or self._infos.setdefault(number, said.infos) != said.infos:
            return None
        return [tuple(said.results[place] for place in row) for row in said.rows]

    def _alone(self, worker: "_Worker", number: int, data: bytes) -> tuple[PolicyResult, ...]:
        """Have a group judge one snapshot in a process of its own; whatever it does there is its answer."""
        if self._leaving:
            raise _no_answer()
        _, (line,), late = worker.ask([data], [number])
        rows = None if late else self._taken(number, _accepted(line, worker.nonce), 1)
        if rows is not None:
            return rows[0]
        reason = "its process ended without an answer, or with nonsense"
        if late:
            reason = f"it took longer than {self._limits.seconds:g} s"
            self._late[number] += 1
            if self._late[number] >= MOST_LATE:  # each thread sees it, and ends
                names = ", ".join(file.shown for file in self._groups[number])
                raise PolicyCodeError(
                    f"{names}: on {MOST_LATE} snapshots {reason}, so what it would have said of all of them "
                    "cannot be told",
                    fix="let its policies end: see which of their loops does not",
                )
        answer = Answer(nonce=worker.nonce, status="broken", reason=reason)
        infos, results = _settle(self._groups[number], answer, asked=True)
        self._lost.setdefault(number, tuple(infos))
        return tuple(results.values())

    def _know(self) -> None:
        """Say what the policies are, as far as that is known; what never loaded has no more than its name."""
        if not self.infos or self._lost:
            infos = [i for n in range(len(self._groups)) for i in self._infos.get(n) or self._lost.get(n, ())]
            self.infos = tuple(sorted(infos, key=lambda info: info.id))


def _done(chunk: list[tuple[K, bytes]], future: "Future[list[Judged]]") -> Iterator[tuple[K, bytes, Judged]]:
    for (key, data), judged in zip(chunk, future.result(), strict=True):
        yield key, data, judged


def _chunks(snapshots: Iterable[tuple[K, bytes]]) -> Iterator[list[tuple[K, bytes]]]:
    """Cut a stream into batches; the first are small, so that all processes soon have work."""
    chunk: list[tuple[K, bytes]] = []
    size, most = 0, MOST // 8
    for pair in snapshots:
        if chunk and (len(chunk) >= most or size + len(pair[1]) > LARGEST):
            yield chunk
            chunk, size, most = [], 0, min(MOST, most * 2)
        chunk.append(pair)
        size += len(pair[1])
    if chunk:
        yield chunk


def _accepted(line: bytes, nonce: str) -> _Said | None:
    if line.count(b"\n") != 1 or not line.endswith(b"\n"):
        return None
    try:
        said = _Said.model_validate_json(line)
    except ValidationError:
        return None
    if said.nonce == nonce and said.status == "config":
        raise PolicyCodeError(said.reason, fix=said.fix)
    return said if said.nonce == nonce and said.status == "answered" else None


def _fits(group: list[PolicyFile], said: _Said, count: int) -> bool:
    """Whether a group answered for exactly its policies, on every snapshot, each once."""
    if _what_is_wrong(group, Answer(nonce=said.nonce, status="answered", infos=said.infos), asked=False):
        return False
    if any(finding.waived for result in said.results for finding in result.findings):
        return False
    ids = [info.id for info in said.infos]
    known = [result.policy for result in said.results]
    return len(said.rows) == count and all(
        len(row) == len(ids)
        and all(0 <= place < len(known) and known[place] == id for place, id in zip(row, ids, strict=True))
        for row in said.rows
    )


class _Worker:
    """One interpreter that reads snapshots and has its forks judge them."""

    def __init__(self, header: dict[str, object], limits: Limits) -> None:
        self.nonce = os.urandom(16).hex()
        self._limits = limits
        self._child, _ = start(0, "batch_child")
        self._unsent = json.dumps({**header, "nonce": self.nonce}).encode() + b"\n"

    def ask(
        self, chunk: Sequence[bytes], groups: list[int]
    ) -> tuple[tuple[Facts, ...], list[bytes], tuple[int, ...]]:
        """Return the facts of each snapshot, each group's line, and which groups did not end in time.

        Raises AigateError where it does not answer.
        """
        asked = {"sizes": [len(data) for data in chunk], "groups": groups}
        self._unsent += b"".join((json.dumps(asked).encode(), b"\n", *chunk))
        with hidden():
            data = self._exchange(monotonic() + PATIENCE + self._limits.seconds + FAREWELL)
        try:
            head, _, rest = data.partition(b"\n")
            reply = _Reply.model_validate_json(head)
        except ValidationError:
            raise _no_answer() from None
        if len(reply.facts) != len(chunk) or sum(reply.sizes) != len(rest):
            raise _no_answer()
        ends = [sum(reply.sizes[:n]) for n in range(len(reply.sizes) + 1)]
        return reply.facts, [rest[a:b] for a, b in pairwise(ends)], reply.late

    def _exchange(self, until: float) -> bytes:
        """Send what is unsent and read one whole reply."""
        stdin, stdout = self._child.stdin, self._child.stdout
        os.set_blocking(stdin.fileno(), False)
        got, whole = bytearray(), -1
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            while whole < 0 or len(got) < whole:
                ready = selector.select(max(0.0, until - monotonic()))
                if not ready:
                    raise _no_answer()
                for key, _ in ready:
                    if key.fileobj is stdin:
                        self._write(selector, stdin)
                        continue
                    chunk = os.read(stdout.fileno(), 1 << 20)
                    got += chunk
                    if not chunk:
                        raise _no_answer()
                if whole < 0 and (end := got.find(b"\n")) >= 0:
                    whole = end + 1 + _length(bytes(got[:end]))
        return bytes(got)

    def _write(self, selector: selectors.BaseSelector, stdin: IO[bytes]) -> None:
        try:
            self._unsent = self._unsent[os.write(stdin.fileno(), memoryview(self._unsent)[: 1 << 20]) :]
        except BrokenPipeError:
            raise _no_answer() from None
        if not self._unsent:
            selector.unregister(stdin)

    def close(self) -> None:
        """End the interpreter and what it started; closing twice is once."""
        self._child.close(FAREWELL)


def _length(head: bytes) -> int:
    """Return how many bytes follow a reply's first line."""
    try:
        sizes = [int(size) for size in json.loads(head)["sizes"]]
    except (ValueError, KeyError, TypeError):
        raise _no_answer() from None
    if any(not 0 <= size <= MAX_ANSWER + (1 << 20) for size in sizes):
        raise _no_answer()
    return sum(sizes)


def _no_answer() -> AigateError:
    return AigateError(
        "a process that replays snapshots ended without an answer",
        fix="run it again; where it goes on, replay a part of them (--since)",
    )
