"""Several readings at once, never past the deadline, whatever a reading does."""

import queue
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from aigate.collect.deadline import Deadline, DeadlineError

T = TypeVar("T")

WORKERS = 16
"""Readings under way at once: a manifest names a dozen sources, and no server should meet more."""

SLACK = 0.2
"""Seconds granted past the deadline, in which a reading that stops at it can say what it waited for."""


def gather(
    tasks: Mapping[str, Callable[[], T]],
    deadline: Deadline,
    *,
    workers: int = WORKERS,
) -> dict[str, T | BaseException]:
    """Run every task in a thread; return its result, or what it raised, by name in the order given.

    A task that has not ended by the deadline (and `SLACK`) has `DeadlineError`
    as its result. Its thread is abandoned, not joined: it is a daemon, so that
    a call which cannot be interrupted (a hung name look-up) keeps neither the
    run nor the process waiting.
    """
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, T | BaseException]] = queue.SimpleQueue()
    for name in tasks:
        waiting.put(name)

    def work() -> None:
        while deadline.remaining() > 0:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((name, tasks[name]()))
            except BaseException as e:  # noqa: BLE001 - a task's every end is its result, even SystemExit
                done.put((name, e))

    for number in range(min(workers, len(tasks))):
        threading.Thread(target=work, name=f"aigate-collect-{number}", daemon=True).start()

    found: dict[str, T | BaseException] = {}
    while len(found) < len(tasks):
        try:
            name, outcome = done.get(timeout=max(0.0, deadline.remaining() + SLACK))
        except queue.Empty:
            break
        found[name] = outcome
    return {name: found[name] if name in found else _unfinished(deadline) for name in tasks}


def _unfinished(deadline: Deadline) -> DeadlineError:
    return DeadlineError(
        f"not finished within the run's deadline of {deadline.seconds:g} s",
        fix="find out which source is slow, or raise the deadline",
    )
