"""A proxy between aigate and MLflow that forwards everything, except what it is told to lie about."""

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import urlsplit

How = Literal["swallow", "refuse", "fail_after", "redirect", "cut", "cut_after", "hang_after", "stale"]
"""`swallow` answers 200 and forwards nothing; `refuse` answers 503; `fail_after` and `cut_after` do what is asked
and then answer 503 or nothing; `redirect` sends it elsewhere; `stale` gives the answer of an earlier time."""


@dataclass
class Lie:
    """Which requests are lied about, and how."""

    how: How
    about: str
    """The end of the path."""
    key: str = ""
    """What the body must hold."""
    skip: int = 0
    """So many of them are forwarded first."""
    times: int = 1_000_000
    until: float = float("inf")
    """When the lie ends, by the monotonic clock."""
    told: int = 0


class Proxy:
    """The proxy. `lies` may be changed at any time; `seen` has every request's method and path."""

    def __init__(self, behind: str) -> None:
        self.behind = urlsplit(behind).netloc
        self.lies: list[Lie] = []
        self.seen: list[tuple[str, str]] = []
        self.elsewhere: list[str] = []
        self.old: dict[str, tuple[int, bytes]] = {}
        """The last answer to every question."""
        self._over = threading.Event()
        self._servers = (_Server(self, _Handler), _Server(self, _Elsewhere))

    @property
    def url(self) -> str:
        """The proxy's address."""
        return f"http://127.0.0.1:{self._servers[0].server_address[1]}"

    @property
    def other(self) -> str:
        """Another host's address; whoever asks there is noted in `elsewhere`."""
        return f"http://127.0.0.1:{self._servers[1].server_address[1]}"

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def wait(self) -> None:
        """Hang until the proxy ends."""
        self._over.wait(120)

    def lie_for(self, path: str, body: bytes) -> Lie | None:
        """Return the lie that a request is answered with."""
        for lie in self.lies:
            if not path.endswith(lie.about) or lie.key.encode() not in body or time.monotonic() > lie.until:
                continue
            if lie.skip:
                lie.skip -= 1
            elif lie.told < lie.times:
                lie.told += 1
                return lie
        return None

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Ask MLflow."""
        line = http.client.HTTPConnection(self.behind, timeout=60)
        try:
            line.request(method, path, body, headers)
            answer = line.getresponse()
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
        finally:
            line.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: Proxy, handler: Callable[..., Any]) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is not the test's concern."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def answer(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def serve(self) -> None:
        proxy, path = self.server.proxy, urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy.seen.append((self.command, path))
        lie = proxy.lie_for(path, body)
        how = None if lie is None else lie.how
        if how == "swallow":
            return self.answer(200, "application/json", b"{}")
        if how == "refuse":
            return self.answer(503, "application/json", b'{"error_code": "TEMPORARILY_UNAVAILABLE"}')
        if how == "redirect":
            return self.answer(307, "text/plain", b"", Location=f"{proxy.other}{self.path}")
        if how == "stale" and self.path in proxy.old:
            return self.answer(proxy.old[self.path][0], "application/json", proxy.old[self.path][1])
        if how == "cut":
            self.close_connection = True
            return None
        kept = {
            key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection")
        }
        status, kind, content = proxy.forward(self.command, self.path, kept, body)
        if how == "fail_after":
            return self.answer(503, "application/json", b'{"error_code": "TEMPORARILY_UNAVAILABLE"}')
        if how in ("cut_after", "hang_after"):
            if how == "hang_after":
                proxy.wait()
            self.close_connection = True
            return None
        if self.command == "GET":
            proxy.old[self.path] = (status, content)
        return self.answer(status, kind, content)

    def __getattr__(self, name: str) -> Any:
        """Serve every method alike."""
        if name.startswith("do_"):
            return self.serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


class _Elsewhere(_Handler):
    def serve(self) -> None:
        self.server.proxy.elsewhere.append(self.path)
        self.answer(200, "application/json", b"{}")
