"""What wakes a watcher before its time: at most once at a time, and not too often."""

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue


class Bell:
    """Rung from any thread and from a signal handler; waited for by one thread.

    However often it is rung, one look is owed for it. `pause` seconds lie
    between the beginning of a wait, which is the end of a look, and the look
    that a ring brings about, so that a flood of good deliveries costs no more
    than looks that far apart.
    """

    def __init__(self, pause: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.woken = False
        """Whether the last wait ended because it was rung."""
        self._pause = pause
        self._clock = clock
        # Its `put` may interrupt its `get` in the same thread, as a signal handler does; an Event's `set` may not.
        self._rung: SimpleQueue[bool] = SimpleQueue()
        self._pending = False

    def ring(self) -> None:
        """Ask for a look soon."""
        if not self._pending:
            self._pending = True
            self._rung.put(False)

    def stop(self) -> None:
        """End the wait at once."""
        self._rung.put(True)

    def wait(self, seconds: float) -> bool:
        """Wait until it is rung, and `seconds` at most; return whether it was, or the wait was ended."""
        began = self._clock()
        self.woken = False
        stopped = self._get(seconds)
        if stopped is None or stopped:
            return bool(stopped)
        early = began + min(self._pause, seconds)
        while (left := early - self._clock()) > 0:
            if self._get(left):
                return True
        # From here on a ring is about what the coming look may not see any more.
        self._pending = False
        self.woken = True
        return True

    def _get(self, seconds: float) -> bool | None:
        try:
            return self._rung.get(timeout=seconds)
        except Empty:
            return None
