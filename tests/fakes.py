"""Loopback servers that run: an ordinary one that answers from a table, and hostile ones by name."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def param(self, name: str) -> str | None:
        return self.query.get(name, [None])[0]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What to answer."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = "application/json"


def json_reply(value: object, status: int = 200, **headers: str) -> Reply:
    """Answer with a JSON document; `last_modified=...` sets `Last-Modified`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(json.dumps(value).encode(), status, named)


Route = Reply | Callable[[Asked], Reply]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, or fails the TLS handshake, is not the test's concern."""


class WebServer:
    """An ordinary HTTP server on loopback. `routes` maps a path to a `Reply` or to a function of `Asked`.

    `asked` lists the requests received. `default` answers unknown paths.
    """

    def __init__(
        self,
        routes: Mapping[str, Route] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        default: Route | None = None,
    ) -> None:
        self.routes: dict[str, Route] = dict(routes or {})
        self.default: Route = default or Reply(b'{"error": "not found"}', 404)
        self.asked: list[Asked] = []
        self.connections = 0
        self._tls = tls
        self._host = host

    def __enter__(self) -> Self:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def setup(self) -> None:
                owner.connections += 1
                super().setup()

            def answer(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                query = parse_qs(parts.query, keep_blank_values=True)
                asked = Asked(self.command, parts.path, query, headers, body)
                owner.asked.append(asked)
                route = owner.routes.get(parts.path, owner.default)
                reply = route if isinstance(route, Reply) else route(asked)
                given = {name.lower() for name in reply.headers}
                self.send_response_only(reply.status)
                if "date" not in given:
                    self.send_header("Date", self.date_time_string())
                if reply.content_type is not None and "content-type" not in given:
                    self.send_header("Content-Type", reply.content_type)
                for name, value in reply.headers.items():
                    if value:
                        self.send_header(name, value)
                if "content-length" not in given and reply.status not in (204, 304):
                    self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply.body)

            do_GET = do_POST = do_HEAD = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the library's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                pass

        self._server = _Quiet((self._host, 0), Handler)
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str = "", host: str | None = None) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{host or self._host}:{self.port}{path}"


Handler = Callable[[socket.socket, threading.Event], None]


class RawServer:
    """A server that hands each connection, its request already read, to a function: for what no server should do."""

    def __init__(self, handler: Handler, *, read_request: bool = True) -> None:
        self._handler = handler
        self._read_request = read_request
        self._stop = threading.Event()
        self.connections = 0

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._socket.settimeout(0.02)
        self.port = int(self._socket.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(20)
            try:
                head = b""
                while self._read_request and b"\r\n\r\n" not in head:
                    piece = connection.recv(65_536)
                    if not piece:
                        return
                    head += piece
                self._handler(connection, self._stop)
                # Closing with unread input resets the connection and may lose what was just sent.
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2)
        self._socket.close()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


OK_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def raw(data: bytes) -> Handler:
    """Send these bytes and hang up."""
    return lambda connection, stop: connection.sendall(data)


def silent(connection: socket.socket, stop: threading.Event) -> None:
    """Take the request and say nothing."""
    stop.wait(20)


def drip(head: bytes, piece: bytes, pause: float = 0.05) -> Handler:
    """Send `head`, then `piece` again and again, slowly enough that no single read times out."""

    def handler(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(head)
        while not stop.wait(pause):
            connection.sendall(piece)

    return handler


def flood(head: bytes, piece: bytes) -> Handler:
    """Send `head`, then `piece` for ever, as fast as it is taken."""

    def handler(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(head)
        while not stop.is_set():
            connection.sendall(piece)

    return handler
