"""Three promises that only the Linux kernel makes; elsewhere each of these does nothing.

None is a wall: root passes all of them, and whoever holds the same secret in
another process of the same user (the shell that started the gate, say) is not
covered by hiding this one.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36

_lock = threading.Lock()
_hiding = 0
_before = 1


@cache
def _libc() -> Any:
    """Return the C library, or None where it knows no `prctl`."""
    if sys.platform != "linux":
        return None
    import ctypes

    return getattr(ctypes.CDLL(None), "prctl", None)


def _prctl(option: int, value: int = 0) -> int:
    """Call prctl(2); -1 where it is refused or unknown."""
    call = _libc()
    return -1 if call is None else int(call(option, value, 0, 0, 0))


def hide() -> None:
    """Close this process's memory, descriptors and environment to other processes of the same user."""
    _prctl(_PR_SET_DUMPABLE, 0)


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Hide this process while the block runs, and leave it as it was found; blocks may overlap."""
    global _hiding, _before  # the attribute belongs to the whole process
    with _lock:
        if _hiding == 0:
            _before = _prctl(_PR_GET_DUMPABLE)
            hide()
        _hiding += 1
    try:
        yield
    finally:
        with _lock:
            _hiding -= 1
            if _hiding == 0 and _before == 1:
                _prctl(_PR_SET_DUMPABLE, 1)


def adopt() -> None:
    """Become the parent of every orphan among this process's descendants, so that none gets away."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
