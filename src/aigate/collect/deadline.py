"""One deadline for a whole run: every wait anywhere in it asks this clock how long it may still take."""

import time
from collections.abc import Callable

from aigate.errors import AigateError


class DeadlineError(AigateError):
    """The run's time is up. What was not brought back by now is missing evidence."""

    exit_code = 3


class Deadline:
    """An instant on a monotonic clock, shared by all who work under it.

    `seconds` counts from construction. The object is immutable and may be
    used from any thread.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        if not 0 < seconds <= 86_400:
            raise ValueError("a deadline lies between 0 and 86400 seconds ahead")
        self.seconds = seconds
        self._monotonic = monotonic
        self._end = monotonic() + seconds

    def now(self) -> float:
        """Return the clock's reading in seconds; only differences mean anything."""
        return self._monotonic()

    def remaining(self) -> float:
        """Return the seconds left, negative once the deadline is past."""
        return self._end - self._monotonic()

    def left(self) -> float:
        """Return the seconds left, always positive; raise DeadlineError where there are none."""
        remaining = self.remaining()
        if remaining <= 0:
            raise DeadlineError(
                f"the run's deadline of {self.seconds:g} s is over",
                fix="find out which source is slow, or raise the deadline",
            )
        return remaining
