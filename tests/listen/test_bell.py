"""What wakes a watcher: soon, once, not too often; and a signal at any moment."""

import signal
import threading
import time
from types import FrameType

from aigate.listen.bell import Bell
from aigate.listen.health import Health


def test_nobody_rings() -> None:
    bell = Bell(0)
    assert (bell.wait(0.01), bell.woken) == (False, False)


def test_many_rings_are_one_look() -> None:
    bell = Bell(0)
    for _ in range(1000):
        bell.ring()
    assert (bell.wait(1), bell.woken) == (True, True)
    assert (bell.wait(0.01), bell.woken) == (False, False)


def test_a_ring_during_a_look_asks_for_another() -> None:
    bell = Bell(0)
    bell.ring()
    assert bell.wait(1)
    bell.ring()  # the look may have passed what this is about
    assert bell.wait(1)
    assert not bell.wait(0.01)


def test_looks_that_are_asked_for_lie_apart() -> None:
    bell = Bell(0.2)
    bell.ring()
    began = time.monotonic()
    assert bell.wait(10)
    assert 0.2 <= time.monotonic() - began < 5


def test_after_a_rest_a_ring_is_heard_at_once() -> None:
    bell = Bell(0.2)
    threading.Timer(0.3, bell.ring).start()
    began = time.monotonic()
    assert bell.wait(10)
    assert 0.25 <= time.monotonic() - began < 0.5


def test_a_pause_does_not_put_off_the_clock() -> None:
    bell = Bell(60)
    bell.ring()
    began = time.monotonic()
    assert bell.wait(0.1)
    assert time.monotonic() - began < 5


def test_a_stop_ends_any_wait() -> None:
    bell = Bell(60)
    bell.ring()
    bell.stop()
    began = time.monotonic()
    assert bell.wait(60)
    assert time.monotonic() - began < 5
    bell = Bell(0)
    threading.Timer(0.05, bell.stop).start()
    assert bell.wait(60)
    assert not bell.woken


def test_a_signal_handler_may_stop_it_at_any_moment() -> None:
    """An Event that is set by a handler in the thread that waits for it can lock itself out."""
    bell = Bell(0)

    def told(number: int, frame: FrameType | None) -> None:
        bell.stop()

    before = signal.signal(signal.SIGALRM, told)
    try:
        for _ in range(300):
            signal.setitimer(signal.ITIMER_REAL, 0.0005)
            assert bell.wait(10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_health_is_that_of_the_last_look() -> None:
    now = [100.0]
    health = Health(60, lambda: now[0])
    assert health.told() == (False, {"ok": False, "every": 60, "last_look": None})
    health.looked()
    now[0] += 119
    assert health.told() == (True, {"ok": True, "every": 60, "last_look": 119})
    now[0] += 1
    assert not health.told()[0]
