"""Where processes for policies come from: one interpreter that has imported what they need, and forks.

To import it takes a third of a second of computing, each time; to fork takes
milliseconds. So a watcher, a promotion that looks twice and a proof that asks
hundreds of times pay for it once. The interpreter is started before any
evidence is there, with nothing of the gate's but its import path; it holds no
policy and runs none, so that every fork begins as a new interpreter would. It
ends when the gate does.
"""

import atexit
import contextlib
import json
import os
import selectors
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import IO, TYPE_CHECKING

from aigate.errors import AigateError

if TYPE_CHECKING:
    pass

MOST_FILES = 200
"""Descriptors in one message; the kernel takes 253."""

_lock = threading.Lock()
_nursery: "_Nursery | None" = None


class Nursling:
    """A process that was forked for us: its pipes, and whether it still lives.

    It is nobody's child here. It says its id on a pipe of its own, which ends
    when it does and which nothing that it forks keeps open.
    """

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes], life: IO[bytes]) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self._life = life
        self._said = b""
        self._gone = False

    @property
    def pid(self) -> int:
        """Its id, and that of its process group; 0 until it has begun."""
        self.wait(0)
        return int(self._said) if self._said.endswith(b"\n") else 0

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, and tell whether it has."""
        until = monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            if not self._gone and not self._life.closed:
                selector.register(self._life, selectors.EVENT_READ)
            while selector.get_map() and selector.select(max(0.0, until - monotonic())):
                said = os.read(self._life.fileno(), 64)
                self._said += said
                if not said:
                    self._gone = True
                    break
        return self._gone

    def kill(self) -> None:
        """Kill it and its process group. While it lives, its id is nobody else's."""
        pid = self.pid
        if pid and not self._gone:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(pid, signal.SIGKILL)

    def close(self, seconds: float) -> None:
        """Let it end by closing its input, and kill it where it has not after `seconds`; twice is once."""
        for stream in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                stream.close()
        if not self._life.closed:
            if not self.wait(seconds):
                self.kill()
                if not self.wait(seconds):
                    _forget()  # it has not even begun: whoever should have forked it is stuck
            self._life.close()


class _Nursery:
    """The interpreter that forks, and the socket on which it is asked to."""

    def __init__(self, command: tuple[str, ...]) -> None:
        import socket
        import subprocess

        self.command = command
        self.owner = os.getpid()
        self._socket, theirs = socket.socketpair()
        with theirs:
            try:
                self._process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - our own code
                    [*command, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={"PYTHONHASHSEED": "0", "PYDANTIC_DISABLE_PLUGINS": "__all__"},
                    cwd="/",
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError as e:
                self._socket.close()
                raise AigateError(
                    f"the process that runs the policies cannot be started: {e.strerror}"
                ) from e

    def fits(self, command: tuple[str, ...]) -> bool:
        """Whether it lives, is this process's, and was started as it would be now."""
        return self.owner == os.getpid() and self.command == command and self._process.poll() is None

    def fork(self, module: str, files: Sequence[int]) -> None:
        """Ask for a fork that has these descriptors; it is made as soon as the interpreter gets to it.

        One that has gone makes none, which is met where the fork is asked.
        """
        from socket import send_fds

        for start in range(0, len(files), MOST_FILES):
            some = files[start : start + MOST_FILES]
            whole = start + MOST_FILES >= len(files)
            line = json.dumps({"module": module, "files": len(some), "whole": whole}).encode() + b"\n"
            with contextlib.suppress(OSError):
                send_fds(self._socket, [line], some)

    def end(self) -> None:
        """End it. What it forked goes on until its own input is closed."""
        self._socket.close()
        if self.owner != os.getpid():
            self._process.returncode = 0  # somebody else's child
            return
        with contextlib.suppress(Exception):  # TimeoutExpired; imported only where a process is started
            self._process.wait(0.5)
        self._process.kill()
        self._process.wait()


def start(groups: int, module: str) -> tuple[Nursling, list[IO[bytes]]]:
    """Return a new process that runs `main` of a module of this package, and a pipe to read for each group.

    Raises AigateError where it cannot be started; whether it has begun shows
    when it is asked.
    """
    stdin, stdout, life = os.pipe(), os.pipe(), os.pipe()
    pipes = [os.pipe() for _ in range(groups)]
    theirs = [stdin[0], stdout[1], life[1], *(write for _, write in pipes)]
    ours = [
        open(fd, mode, buffering=0)  # noqa: PTH123, SIM115 - a pipe; whoever gets it closes it
        for fd, mode in ((stdin[1], "wb"), (stdout[0], "rb"), (life[0], "rb"), *((p[0], "rb") for p in pipes))
    ]
    try:
        with _lock:
            _at_hand().fork(module, theirs)
    except BaseException:
        for stream in ours:
            stream.close()
        raise
    finally:
        for fd in theirs:
            os.close(fd)
    _widen(ours[0])
    return Nursling(ours[0], ours[1], ours[2]), ours[3:]


def _at_hand() -> _Nursery:
    """Return the interpreter that forks; a new one where there is none that would do."""
    global _nursery  # there is one a process, as there is one import path
    command = _command()
    if _nursery is not None and not _nursery.fits(command):
        _nursery.end()
        _nursery = None
    if _nursery is None:
        _nursery = _Nursery(command)
    return _nursery


@atexit.register
def _forget() -> None:
    global _nursery
    with _lock:
        if _nursery is not None:
            _nursery.end()
            _nursery = None


def _command() -> tuple[str, ...]:
    """Return what starts an interpreter that knows this one's import path and nothing else of it."""
    package = str(Path(__file__).parent.parent.parent)
    path = [str(Path(entry).absolute()) for entry in sys.path if entry and Path(entry).exists()]
    path += [package] if package not in path else []
    # Looking for garbage among what is being imported would be a twentieth of its time.
    code = (
        f"import gc, sys; gc.disable(); sys.path[:] = {path!r}; "
        "from aigate.isolate.nurse import main; main(int(sys.argv[1]))"
    )
    # No -I, which would also ignore the hash seed: policies that walk through a set give the same
    # bytes on each run. The interpreter clears its environment before it forks.
    flags = ["-s", "-P", "-S", "-X", "utf8", *(["-B"] if sys.dont_write_bytecode else [])]
    return (sys.executable, *flags, "-c", code)


def _widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold the policies' text, so that nobody waits for the imports."""
    import fcntl

    with contextlib.suppress(OSError, AttributeError):  # more than is allowed, or not Linux
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
