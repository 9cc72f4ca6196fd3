"""Whether the watcher behind the receiver is at work."""

import time
from collections.abc import Callable, Mapping


class Health:
    """When a look was last brought to its end. Written by the watcher's thread, read by the receiver's."""

    def __init__(self, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._last: float | None = None

    def looked(self) -> None:
        """Take note of a look that was brought to its end."""
        self._last = self._clock()

    def told(self) -> tuple[bool, Mapping[str, object]]:
        """Whether the last look is younger than twice the time between two, and what to tell of it."""
        last = self._last
        age = None if last is None else self._clock() - last
        well = age is not None and age < 2 * self._every
        told = {"ok": well, "every": self._every, "last_look": None if age is None else round(age, 1)}
        return well, told
