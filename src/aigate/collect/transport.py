"""The sockets under `Fetcher`: names resolved, addresses checked and every operation timed, on one deadline.

A network backend for httpcore, by its public interface. What httpcore's
timeouts do not bound (a name look-up, a reply that drips) is bounded here:
each single socket operation gets the time that is left of the whole run.
"""

import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from aigate.collect.deadline import Deadline, DeadlineError
from aigate.collect.network import BlockedAddressError, NetworkRule

Resolve = Callable[[str, int], list[str]]
"""Name and port to literal addresses; raises OSError where the name has none."""

_MOST_ADDRESSES = 16

_EARLY = 1.0
"""Seconds in which an answer is read that a server gave before it had taken all of a request."""


class ResolveError(Exception):
    """A host's name does not resolve."""


class HandshakeError(Exception):
    """The TLS handshake failed; the text says why and holds no secret."""


def system_resolve(host: str, port: int) -> list[str]:
    """Resolve with the system's resolver: every address it gives, in its order, each once."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def resolve_within(resolve: Resolve, host: str, port: int, deadline: Deadline) -> list[str]:
    """Resolve in a thread that is abandoned at the deadline: a look-up itself cannot be interrupted."""
    answer: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answer.put(resolve(host, port))
        except Exception as e:  # noqa: BLE001 - handed to the waiting thread, which raises it
            answer.put(e)

    threading.Thread(target=look_up, name="aigate-resolve", daemon=True).start()
    try:
        found = answer.get(timeout=deadline.left())
    except queue.Empty:
        deadline.left()
        raise ResolveError(f"the name {host} did not resolve in time") from None
    if isinstance(found, OSError | UnicodeError):
        raise ResolveError(f"the name {host} does not resolve") from found
    if isinstance(found, Exception):
        raise found
    if not found or len(found) > _MOST_ADDRESSES:
        raise ResolveError(f"the name {host} has {len(found)} addresses")
    return found


class TimedStream(httpcore.NetworkStream):
    """A connection whose every operation ends at the deadline."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline
        self._answered = True
        self._exchanges = 0
        self._broken = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read up to `max_bytes`, waiting no longer than the deadline."""
        try:
            patience = self._deadline.left()
            data = self._inner.read(max_bytes, timeout=min(patience, _EARLY) if self._broken else patience)
        except httpcore.ReadError as e:
            self._dropped(e)
            raise
        if not data:
            self._dropped(None)
        self._answered = True
        return data

    def _dropped(self, cause: Exception | None) -> None:
        # The far end may close a kept connection just as it is used again. Nothing was answered, so that
        # is a failure to connect, which a GET may repeat; on a first use it is the server's own fault.
        if not self._answered and self._exchanges > 1:
            raise httpcore.ConnectError("a kept connection was closed by the other end") from cause

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of `buffer`, waiting no longer than the deadline."""
        if self._answered:
            self._answered = False
            self._exchanges += 1
        view = memoryview(buffer)
        connection: socket.socket = self._inner.get_extra_info("socket")
        try:
            # httpcore's own loop would grant the whole time anew after every byte that a slow reader takes.
            while view:
                connection.settimeout(self._deadline.left())
                view = view[connection.send(view) :]
        except TimeoutError as e:
            raise httpcore.WriteTimeout("the other end does not read") from e
        except OSError as e:
            self._broken = True
            raise httpcore.WriteError("the connection was closed while writing") from e

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Shake hands for `server_hostname`; raise HandshakeError where that fails."""
        try:
            inner = self._inner.start_tls(ssl_context, server_hostname, timeout=self._deadline.left())
        except httpcore.ConnectError as e:
            raise HandshakeError(tls_reason(e)) from e
        except DeadlineError:
            self.close()
            raise
        return TimedStream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """Return what the inner connection knows about itself."""
        return self._inner.get_extra_info(info)


def tls_reason(error: BaseException) -> str:
    """Return why TLS failed, from an exception's causes, in words that hold no secret."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or 'the connection was closed'}"
        cause = cause.__cause__ or cause.__context__
    return "the connection was closed during the TLS handshake"


def is_tls_error(error: BaseException) -> bool:
    """Whether a failed read or write comes from TLS (a refused client certificate shows up there)."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to checked literal addresses only; the name stays for `Host` and for TLS."""

    def __init__(self, deadline: Deadline, rule: NetworkRule, resolve: Resolve) -> None:
        self._deadline = deadline
        self._rule = rule
        self._resolve = resolve
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, check every answer, and connect to the first address that takes the connection."""
        addresses = resolve_within(self._resolve, host, port, self._deadline)
        for address in addresses:
            try:
                self._rule.check(host, address)
            except ValueError as e:
                raise BlockedAddressError(f"{host} resolves to something that is no address") from e
        failure: Exception = ResolveError(f"the name {host} has no address")
        for position, address in enumerate(addresses):
            # Each address gets its share of the time left: one that swallows packets leaves some to the next.
            share = self._deadline.left() / (len(addresses) - position)
            try:
                inner = self._inner.connect_tcp(
                    address, port, timeout=share, socket_options=socket_options or ()
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as e:
                failure = e
                continue
            return TimedStream(inner, self._deadline)
        raise failure

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Refuse: no address leads to a local socket."""
        raise BlockedAddressError("local sockets are not opened")
