"""The receiver's socket: a bounded number of connections, each for a bounded time, in a thread of its own.

Connections cost a buffer and no thread. Where all places are taken, the one
that has been there longest without saying what it wants makes room: a good
sender says it at once, so that half-open connections keep nobody out.
"""

import asyncio
import contextlib
import socket
import threading
from typing import Protocol

from aigate.errors import AigateError, UsageError
from aigate.listen.http import Conversation, Judge, Reply, written

SLOTS = 64
"""Connections at a time."""

DEADLINE = 2.0
"""Seconds from a connection's beginning to its end, whatever happens."""

BACKLOG = 256
"""Connections that wait to be accepted."""

_PATIENCE = 5.0
_MOST_AFTER = 1024 * 1024


class Counting(Judge, Protocol):
    """A judge that takes note of what was answered."""

    def count(self, reply: Reply) -> None:
        """Take note of an answer."""


class Listener:
    """Listens while it is open: `with Listener(...) as listener`."""

    def __init__(
        self, host: str, port: int, judge: Counting, *, slots: int = SLOTS, deadline: float = DEADLINE
    ) -> None:
        self._judge = judge
        self._slots = slots
        self._deadline = deadline
        self._open: dict[_Connection, None] = {}
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._socket = _bound(host, port)
        self.host, self.port = self._socket.getsockname()[:2]
        self._thread = threading.Thread(target=self._run, name="aigate-listen", daemon=True)

    def __enter__(self) -> "Listener":
        self._thread.start()
        if not self._ready.wait(_PATIENCE):
            raise AigateError(f"nothing listens on {self.host}:{self.port} after {_PATIENCE:.0f} seconds")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._ending is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(_PATIENCE)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(self._trouble)
        server = await self._loop.create_server(lambda: _Connection(self), sock=self._socket, backlog=BACKLOG)
        self._ready.set()
        await self._ending.wait()
        # No more are accepted; those that were come in and go before the server is closed under them.
        self._loop.remove_reader(self._socket.fileno())
        end = self._loop.time() + _PATIENCE / 2
        while True:
            await asyncio.sleep(0.01)
            for connection in list(self._open):
                connection.abort()
            if not self._open or self._loop.time() > end:
                break
        await asyncio.sleep(0.01)
        server.close()

    def _trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """Count what went wrong with a connection; what a stranger caused is not for the log to spell out."""
        self._judge.count(Reply(500, "trouble"))

    # What a connection asks for.

    def admit(self, connection: "_Connection") -> None:
        """Give a connection a place, and take it from another one where there is none."""
        if len(self._open) >= self._slots:
            first = next((c for c in self._open if c.answered), None) or next(iter(self._open))
            if not first.answered:
                self._judge.count(Reply(503, "crowded"))
            self.forget(first)
            first.abort()
        self._open[connection] = None

    def forget(self, connection: "_Connection") -> None:
        """Take a connection's place back."""
        self._open.pop(connection, None)

    def conversation(self) -> Conversation:
        """Return what reads a new connection's bytes."""
        return Conversation(self._judge)

    def count(self, reply: Reply) -> None:
        """Take note of an answer."""
        self._judge.count(reply)

    @property
    def deadline(self) -> float:
        """Seconds that a connection has."""
        return self._deadline


class _Connection(asyncio.Protocol):
    """One connection, from its beginning to its deadline."""

    def __init__(self, listener: Listener) -> None:
        self.answered = False
        self._listener = listener
        self._conversation = listener.conversation()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._after = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(self._listener.deadline, self._late)
        self._listener.admit(self)

    def data_received(self, data: bytes) -> None:
        if self.answered:
            # What follows an answer is taken and dropped for a while: to close upon
            # unread bytes would reset the connection, and the sender would not see the answer.
            self._after += len(data)
            if self._after > _MOST_AFTER:
                self.abort()
            return
        reply = self._conversation.feed(data)
        if reply is None:
            return
        self.answered = True
        self._listener.count(reply)
        assert self._transport is not None
        self._transport.write(written(reply))
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.forget(self)
        if self._timer is not None:
            self._timer.cancel()

    def abort(self) -> None:
        """End at once."""
        if self._transport is not None:
            self._transport.abort()

    def _late(self) -> None:
        if not self.answered:
            self._listener.count(Reply(503, "slow"))
        self.abort()


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address. Raises UsageError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, UnicodeError, OverflowError) as e:
        reason = (e.strerror if isinstance(e, OSError) else None) or type(e).__name__
        raise UsageError(
            f"cannot listen on {host}:{port}: {reason}", fix="give another --host or --port"
        ) from e
