"""The bounded fetch: the only way in which aigate reads anything by HTTP.

Whatever is at the other end, a request ends within the run's one deadline,
takes no more than its cap, never leaves its origin, never carries a
credential to another one, and ends in a `Response` or in a `FetchError` whose
text is safe to show. It rests on httpcore, the network half of httpx: nothing
of httpx's client is wanted here (its redirects, cookies, proxies, environment
and logging are what this module exists to do without), and it takes twice as
long to import.
"""

import random
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import httpcore

from aigate.collect.credential import Credential, tls_context
from aigate.collect.deadline import Deadline, DeadlineError
from aigate.collect.network import BlockedAddressError, NetworkRule
from aigate.collect.origin import Origin, RefusedUrlError, Url
from aigate.collect.redact import quiet_http_loggers, shown_url
from aigate.collect.request import JSON_TYPES, MAX_BYTES, Request
from aigate.collect.response import Attempt, Code, FetchError, Response, retry_after, server_date
from aigate.collect.transport import (
    GuardedBackend,
    HandshakeError,
    Resolve,
    ResolveError,
    is_tls_error,
    system_resolve,
    tls_reason,
)

MAX_HOPS = 3
"""Redirects followed within one origin."""

MAX_ATTEMPTS = 3
"""Tries of one GET or HEAD, the first included."""

_RETRIED = frozenset({429, 502, 503, 504})
_HOPS = frozenset({301, 302, 303, 307, 308})
_FIRST_PAUSE = 0.1
"""Seconds before the first repetition; it doubles."""

_FAILURES = (
    DeadlineError,
    BlockedAddressError,
    ResolveError,
    HandshakeError,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
)


class Fetcher:
    """Fetches under one deadline, one network rule and credentials bound to their origins.

    Safe to use from several threads. Plain http takes a new connection each
    time (measured faster with MLflow's server); https keeps its connections.
    `resolve`, `sleep` and `jitter` (a number from 0 to 1) are for tests.
    """

    def __init__(
        self,
        *,
        deadline: Deadline,
        rule: NetworkRule,
        credentials: Iterable[Credential] = (),
        resolve: Resolve = system_resolve,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        quiet_http_loggers()
        self.deadline = deadline
        self._rule = rule
        self._credentials: dict[Origin, Credential] = {}
        for credential in credentials:
            if credential.origin in self._credentials:
                raise ValueError(f"two credentials for {credential.origin}")
            self._credentials[credential.origin] = credential
        self._resolve = resolve
        self._sleep = sleep
        self._jitter = jitter
        self._lock = threading.Lock()
        self._pools: dict[tuple[Origin | None, bool, bool], httpcore.ConnectionPool] = {}

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
        accept: tuple[str, ...] = JSON_TYPES,
        accept_status: Collection[int] = (200,),
        read_body: bool = True,
    ) -> Response:
        """Read an address. See `request`."""
        return self.request(
            "GET",
            url,
            params=params,
            headers=headers,
            max_bytes=max_bytes,
            accept=accept,
            accept_status=accept_status,
            read_body=read_body,
        )

    def head(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        accept_status: Collection[int] = (200,),
    ) -> Response:
        """Read an address's headers only. See `request`."""
        return self.request("HEAD", url, headers=headers, accept=(), accept_status=accept_status)

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
        accept: tuple[str, ...] = JSON_TYPES,
        accept_status: Collection[int] = (200,),
        read_body: bool = True,
        sink: Callable[[bytes], object] | None = None,
    ) -> Response:
        """Send a request and return its whole answer.

        `json` is sent as the body. A status outside of `accept_status` and a
        media type outside of `accept` (empty: any) are failures. With
        `read_body=False` the answer's headers are enough. A `sink` is given the
        body piece by piece, and the response is left without one. Only GET and
        HEAD are repeated (failed connections, 429, 502, 503, 504) and
        redirected (within the origin). Raises FetchError for whatever the
        other end does; ConfigError where a certificate file of the origin's
        credential cannot be used.
        """
        started = self.deadline.now()
        try:
            target = Url.read(url)
        except RefusedUrlError as e:
            raise FetchError("refused_url", e.message, shown=shown_url(url)) from e
        if params:
            target = target.with_params(dict(params))
        ask = Request.of(
            method,
            json=json,
            headers=headers,
            max_bytes=max_bytes,
            accept=accept,
            accept_status=accept_status,
            read_body=read_body,
            sink=sink,
        )
        response = self._with_retries(ask, target)
        return replace(response, elapsed_ms=round((self.deadline.now() - started) * 1000))

    def _with_retries(self, ask: Request, target: Url) -> Response:
        most = MAX_ATTEMPTS if ask.method in ("GET", "HEAD") else 1
        attempts: tuple[Attempt, ...] = ()
        while True:
            answer: Response | FetchError
            try:
                answer = self._follow(ask, target)
            except FetchError as e:
                answer = e
            pause = self._pause(answer, len(attempts)) if len(attempts) + 1 < most else None
            attempts = (*attempts, Attempt(_outcome(answer), pause or 0.0))
            if pause is None:
                if isinstance(answer, FetchError):
                    raise answer.after(attempts) from answer.__cause__
                return replace(answer, attempts=attempts)
            self._sleep(pause)

    def _pause(self, answer: Response | FetchError, tried: int) -> float | None:
        """Return how long to wait before another try; None where another try is not due or not possible."""
        if isinstance(answer, FetchError):
            due = answer.code == "connect" or answer.status in _RETRIED
            asked = answer.retry_after
        else:
            due = answer.status in _RETRIED
            asked = retry_after(answer)
        pause = _FIRST_PAUSE * 2**tried * (0.5 + self._jitter() / 2)
        if asked is not None:
            pause = max(pause, asked)
        return pause if due and pause < self.deadline.remaining() else None

    def _follow(self, ask: Request, start: Url) -> Response:
        here = start
        for hop in range(MAX_HOPS + 1):
            response = self._send(ask, here, redirected=hop > 0)
            if response.status not in _HOPS or response.status in ask.accept_status:
                return response
            there = self._next(ask, here, response)
            here = there
        raise FetchError("redirect", f"redirects more than {MAX_HOPS} times", shown=start.shown)

    def _next(self, ask: Request, here: Url, response: Response) -> Url:
        if ask.method not in ("GET", "HEAD"):
            raise FetchError(
                "redirect", f"redirects a {ask.method}", shown=here.shown, status=response.status
            )
        location = response.header("location")
        if location is None:
            raise FetchError(
                "redirect",
                "redirects to nowhere: no usable Location",
                shown=here.shown,
                status=response.status,
            )
        try:
            there = here.join(location)
        except RefusedUrlError as e:
            raise FetchError("redirect", f"redirects to {e.message}", shown=here.shown) from e
        if there.origin != here.origin:
            raise FetchError("redirect", f"redirects to another origin, {there.origin}", shown=here.shown)
        return there

    def _send(self, ask: Request, target: Url, *, redirected: bool) -> Response:
        """Send once; translate whatever happens on the way into a FetchError."""
        try:
            self.deadline.left()
            with self._stream(ask, target, redirected=redirected) as answer:
                return self._read(ask, target, answer)
        except _FAILURES as e:
            code, reason = self._name(e)
            raise FetchError(code, reason, shown=target.shown) from e

    def _name(self, error: Exception) -> tuple[Code, str]:
        """Return what kind of failure an exception from below is, in words that hold no secret."""
        match error:
            case BlockedAddressError():
                return "blocked_address", error.message
            case ResolveError():
                return "dns", str(error)
            case HandshakeError():
                return "tls", str(error)
            case httpcore.ConnectError():
                return "connect", f"cannot be reached: {_system_reason(error)}"
            case DeadlineError() | httpcore.TimeoutException():  # every wait lasts until the deadline
                return "deadline", f"did not answer within the run's deadline of {self.deadline.seconds:g} s"
            case _ if is_tls_error(error):
                return "tls", tls_reason(error)
            case httpcore.ProtocolError():
                return "transport", "does not answer in readable HTTP, or breaks off"
            case _:
                return "transport", "breaks off the connection"

    def _stream(self, ask: Request, target: Url, *, redirected: bool) -> Any:
        origin = target.origin
        headers = [("Host", origin.netloc), *ask.headers]
        writing = ask.method not in ("GET", "HEAD")
        if origin.scheme == "http" or writing:
            headers.append(("Connection", "close"))
        credential = self._credentials.get(origin)
        if credential is not None:
            if credential.authorization is not None:
                headers.append(("Authorization", credential.authorization))
            headers.extend(credential.headers)
        if ask.content or ask.method == "POST":
            headers.append(("Content-Length", str(len(ask.content))))
        return self._pool(origin, redirected=redirected, writing=writing).stream(
            ask.method,
            httpcore.URL(
                scheme=origin.scheme.encode(),
                host=origin.host.encode(),
                port=origin.port,
                target=target.target.encode(),
            ),
            headers=[(name.encode(), value.encode("latin-1")) for name, value in headers],
            content=ask.content,
        )

    def _pool(self, origin: Origin, *, redirected: bool, writing: bool) -> httpcore.ConnectionPool:
        credential = self._credentials.get(origin)
        own = credential is not None and credential.own_tls
        # Pools are apart by TLS set-up, so that a client certificate stays with its origin, and by rule:
        # where a redirect leads, no connection to a private address may be waiting. What is written goes over
        # a connection of its own: one that was kept may be closed at the other end, and then nobody knows
        # whether the request arrived.
        key = (origin if own or origin.scheme == "https" else None, redirected, writing)
        with self._lock:
            pool = self._pools.get(key)
            if pool is None:
                # Plain http never shakes hands: a bare context spares loading the public authorities.
                bare = origin.scheme == "http"
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if bare else tls_context(credential)
                rule = self._rule.after_redirect() if redirected else self._rule
                pool = httpcore.ConnectionPool(
                    ssl_context=context,
                    max_connections=None,
                    keepalive_expiry=3.0,
                    network_backend=GuardedBackend(self.deadline, rule, self._resolve),
                )
                self._pools[key] = pool
        return pool

    def _read(self, ask: Request, target: Url, answer: httpcore.Response) -> Response:
        headers = tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in answer.headers
        )
        head = Response(answer.status, headers, b"", target.shown, 0, server_date(headers))
        if answer.status in _HOPS and answer.status not in ask.accept_status:
            return head
        if answer.status not in ask.accept_status:
            wait = retry_after(head)
            asks = "" if wait is None else f", and asks to wait {wait:g} s"
            raise FetchError(
                "status",
                f"answers with status {answer.status}{asks}",
                shown=target.shown,
                status=answer.status,
                retry_after=wait,
            )
        encoding = (head.header("content-encoding") or "identity").strip().lower()
        if encoding != "identity" or len({v for k, v in headers if k == "content-encoding"}) > 1:
            raise FetchError(
                "encoding", "answers with an encoded body, though asked not to", shown=target.shown
            )
        if not ask.takes(head.media_type):
            found = head.media_type[:60] or "no content type"
            raise FetchError(
                "content_type",
                f"answers with {found} instead of {ask.accept[0]}",
                shown=target.shown,
                status=answer.status,
            )
        if ask.method == "HEAD" or not ask.read_body:
            return head
        return replace(head, body=self._body(ask, target, head, answer))

    def _body(self, ask: Request, target: Url, head: Response, answer: httpcore.Response) -> bytes:
        too_large = FetchError(
            "too_large", f"answers with more than {ask.max_bytes} bytes", shown=target.shown
        )
        length = head.header("content-length") or "0"
        if not length.isdecimal() or len(length) > 18 or int(length) > ask.max_bytes:
            raise too_large
        body = bytearray()
        take = body.extend if ask.sink is None else ask.sink
        size = 0
        for chunk in answer.iter_stream():
            self.deadline.left()
            size += len(chunk)
            if size > ask.max_bytes:
                raise too_large
            take(chunk)
        return bytes(body)


def _outcome(answer: Response | FetchError) -> str:
    if isinstance(answer, Response):
        return str(answer.status)
    return str(answer.status) if answer.code == "status" else answer.code


def _system_reason(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return "the connection was closed"
