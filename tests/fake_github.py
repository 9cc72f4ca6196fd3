"""GitHub's REST API on loopback: it holds every request against GitHub's own OpenAPI description.

A request that the description (`github_description`) does not allow is answered
with 422 and noted in `violations`; the fake's own answers are held against it
too, so that it cannot teach the code shapes that GitHub does not send. Comments
and statuses are kept; the other operations answer with the description's
examples. Faults are queued with `fail`.
"""

import contextlib
import copy
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from github_description import Json, Operation, by_word, deref, description, operation_of

MEMBERS_TOKEN = "ghp_thisBelongsToDana0123456789"
"""A personal token of `dana`."""
JOB_TOKEN = "ghs_thisBelongsToTheJob0123456789"
"""The token of a job; it writes as `github-actions[bot]`."""
APP_TOKEN = "ghs_thisBelongsToAnApp0123456789"
"""The token of the installation of another app, `gatekeeper`."""

LOGINS = {MEMBERS_TOKEN: "dana", JOB_TOKEN: "github-actions[bot]", APP_TOKEN: "Gatekeeper[bot]"}
USER_IDS = {"dana": 7, "github-actions[bot]": 41898282}


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    @property
    def writes(self) -> bool:
        return self.method != "GET"


class FakeGitHub:
    """The API for one repository. Use it as a context; `url` is its address.

    `tls` is a certificate and its key, and `prefix` the path before every
    other, as an Enterprise Server has it (`/api/v3`).
    """

    def __init__(
        self, repository: str = "acme/churn", *, tls: tuple[Path, Path] | None = None, prefix: str = ""
    ) -> None:
        self.prefix = prefix
        self._tls = tls
        self.repository = repository
        self.comments: dict[int, list[Json]] = {}
        self.statuses: list[Json] = []
        self.requests: list[Seen] = []
        self.violations: list[str] = []
        self.read_only: set[str] = set()
        """Tokens that may read and not write, as in a pull request from a fork."""
        self.lock = threading.RLock()
        self.stopped = threading.Event()
        self.on_request: Callable[[Seen], None] | None = None
        """Called with each request before it is answered, on its thread."""
        self._faults: list[tuple[str | None, Fault]] = []
        self._ids = 1_000

    def __enter__(self) -> "FakeGitHub":
        fake = self

        class Bound(_Handler):
            github = fake

        self._server = _Server(("127.0.0.1", 0), Bound)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}{self.prefix}"
        if self._tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.url = self.url.replace("http:", "https:")
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def written(self) -> list[Seen]:
        """The requests that would change something."""
        return [seen for seen in self.requests if seen.writes]

    def fail(self, fault: "Fault", *, method: str | None = None, times: int = 1) -> None:
        """Let the next requests (of one method) meet a fault."""
        self._faults += [(method, fault)] * times

    def take_fault(self, method: str) -> "Fault | None":
        with self.lock:
            for position, (only, fault) in enumerate(self._faults):
                if only in (None, method):
                    del self._faults[position]
                    return fault
        return None

    def comment(self, number: int, login: str, body: str, *, kind: str | None = None) -> Json:
        """Let somebody comment; returns the comment as the API shows it."""
        with self.lock:
            self._ids += 1
            made: Json = copy.deepcopy(
                deref(description()["components"]["examples"]["issue-comment"])["value"]
            )
            page = f"https://github.com/{self.repository}/pull/{number}"
            made |= {
                "id": self._ids,
                "body": body,
                "html_url": f"{page}#issuecomment-{self._ids}",
                "url": f"{self.url}/repos/{self.repository}/issues/comments/{self._ids}",
                "issue_url": f"{self.url}/repos/{self.repository}/issues/{number}",
            }
            made["user"] |= _user(login, kind)
            self.comments.setdefault(number, []).append(made)
            return made

    def bodies(self, number: int, login: str | None = None) -> list[str]:
        """The bodies of the comments, or of somebody's."""
        return [c["body"] for c in self.comments.get(number, []) if login in (None, c["user"]["login"])]

    def act(self, operation: Operation, seen: Seen, token: str) -> tuple[int, object, dict[str, str]]:
        """Do what a good request asks."""
        here = f"{operation.values.get('owner')}/{operation.values.get('repo')}"
        login = LOGINS[token]
        match operation.method, operation.path.removeprefix("/repos/{owner}/{repo}"):
            case "get", "/user":
                if token.startswith("ghs_"):
                    return _error(403, "Resource not accessible by integration")
                example: Any = operation.example()
                return 200, example | _user(login, None) | {"user_view_type": "private"}, {}
            case _ if here != self.repository:
                return _error(404, "Not Found")
            case method, _ if method != "get" and token in self.read_only:
                return _error(403, "Resource not accessible by integration")
            case "get", "/issues/{issue_number}/comments":
                return self._page(int(operation.values["issue_number"]), seen)
            case "post", "/issues/{issue_number}/comments":
                made = self.comment(int(operation.values["issue_number"]), login, seen.body["body"])
                return 201, made, {"Location": made["url"]}
            case "patch", "/issues/comments/{comment_id}":
                for one in (c for all_ in self.comments.values() for c in all_):
                    if one["id"] == int(operation.values["comment_id"]):
                        one["body"] = seen.body["body"]  # whoever may write to the repository may
                        return 200, one, {}
                return _error(404, "Not Found")
            case "post", "/statuses/{sha}":
                status: Any = operation.example()
                status |= {"target_url": None, "description": None, "context": "default"} | seen.body
                status["sha"] = operation.values["sha"]
                status["creator"] |= _user(login, None)
                self.statuses.append(status)
                return 201, {key: value for key, value in status.items() if key != "sha"}, {}
            case _:
                return operation.success, operation.example(), {}

    def _page(self, number: int, seen: Seen) -> tuple[int, object, dict[str, str]]:
        size, page = int(seen.query.get("per_page", 30)), int(seen.query.get("page", 1))
        everything = self.comments.get(number, [])
        last = max(1, -(-len(everything) // size))
        where = f"{self.url}{seen.path}?per_page={size}&page="
        links = [f'<{where}{page + 1}>; rel="next"', f'<{where}{last}>; rel="last"'] if page < last else []
        links += [f'<{where}1>; rel="first"', f'<{where}{page - 1}>; rel="prev"'] if page > 1 else []
        return 200, everything[(page - 1) * size : page * size], {"Link": ", ".join(links)} if links else {}


def _user(login: str, kind: str | None) -> Json:
    kind = kind or ("Bot" if login.endswith("[bot]") else "User")
    return {"login": login, "type": kind, "id": USER_IDS.get(login, len(login) + 100)}


def _error(status: int, message: str) -> tuple[int, object, dict[str, str]]:
    return status, {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}, {}  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        """A client that went away is what many tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    github: FakeGitHub
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw) if raw else ...
        except ValueError:
            body = "(not JSON)"
        query = parse_qsl(parts.query, keep_blank_values=True)
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = parts.path.removeprefix(self.github.prefix)
        self.seen = Seen(self.command, path, dict(query), headers, body)
        with self.github.lock:
            self.github.requests.append(self.seen)
        if self.github.on_request is not None:
            self.github.on_request(self.seen)
        self.operation = operation_of(self.command, path)
        wrong = list(self._wrong(query))
        if wrong:
            with self.github.lock:
                self.github.violations += [f"{self.command} {path}: {what}" for what in wrong]
            status, answer, _ = _error(422, "Validation Failed")
            assert isinstance(answer, dict)
            self.reply(status, answer | {"errors": [{"code": "custom", "message": w} for w in wrong]})
            return
        fault = self.github.take_fault(self.command)
        if fault is None:
            self.commit_and_reply()
        else:
            fault.meet(self)

    def _wrong(self, query: list[tuple[str, str]]) -> Iterator[str]:
        headers = self.seen.headers
        if not re.fullmatch(r"(Bearer|token) \S+", headers.get("authorization", "")):
            yield "no Authorization: Bearer"
        if headers.get("accept") != "application/vnd.github+json":
            yield "Accept is not application/vnd.github+json"
        if headers.get("x-github-api-version") not in ("2022-11-28", "2026-03-10"):
            yield "X-GitHub-Api-Version is not a version"
        if not headers.get("user-agent"):
            yield "Request forbidden by administrative rules: no User-Agent"
        if self.seen.body is not ... and headers.get("content-type", "").split(";")[0] != "application/json":
            yield "Content-Type is not application/json"
        if self.operation is None:
            yield "no such operation"
            return
        yield from self.operation.about_parameters(query)
        yield from self.operation.about_body(self.seen.body)
        yield from by_word(self.operation, self.seen.body, dict(query))

    def commit(self) -> tuple[int, object, dict[str, str]]:
        """Do what is asked, and return what is to be answered."""
        assert self.operation is not None
        token = self.headers["Authorization"].partition(" ")[2]
        if token not in LOGINS:
            return _error(401, "Bad credentials")
        with self.github.lock:
            return copy.deepcopy(self.github.act(self.operation, self.seen, token))

    def commit_and_reply(self) -> None:
        self.reply(*self.commit())

    def reply(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        """Answer, and hold the answer against the description."""
        if self.operation is not None:
            wrong = [f"answer {status}: {what}" for what in self.operation.about_answer(status, body)]
            with self.github.lock:
                self.github.violations += wrong
        content = b"" if status == 204 else json.dumps(body, ensure_ascii=False).encode()
        self.raw(status, content, {"Content-Type": "application/json; charset=utf-8"} | (headers or {}))

    def raw(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        """Answer with bytes; a Content-Length among the headers is believed."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def cut(self) -> None:
        """Close the connection with a reset."""
        self.close_connection = True
        linger = b"\x01\0\0\0\0\0\0\0"  # on, for no time: what is unsent is thrown away
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()


@dataclass(frozen=True)
class Fault:
    """A way in which an answer can go wrong. Make it with the functions below."""

    name: str
    meet: Callable[[_Handler], None] = field(repr=False)


def answers(status: int, message: str, **headers: str) -> Fault:
    """Refuse with a status and GitHub's words; a header `retry_after` is sent as `retry-after`."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(f"{status} {message}", lambda h: h.reply(*_error(status, message)[:2], sent))


def page(status: int = 200, content: bytes = b"<html>Log in</html>", kind: str = "text/html") -> Fault:
    """Answer with something of another type."""
    return Fault(f"{kind} with {status}", lambda h: h.raw(status, content, {"Content-Type": kind}))


def json_of(status: int, value: object) -> Fault:
    """Answer with any JSON, which the description is not asked about."""
    return page(status, json.dumps(value).encode(), "application/json")


def after_commit(then: Fault) -> Fault:
    """Do what is asked, and only then go wrong."""

    def meet(handler: _Handler) -> None:
        handler.commit()
        then.meet(handler)

    return Fault(f"commits, then {then.name}", meet)


def slow(seconds: float) -> Fault:
    """Answer late."""

    def meet(handler: _Handler) -> None:
        handler.github.stopped.wait(seconds)
        handler.commit_and_reply()

    return Fault(f"answers after {seconds} s", meet)


def _hang(handler: _Handler) -> None:
    handler.github.stopped.wait(60)
    handler.close_connection = True


def _endless(handler: _Handler) -> None:
    status = handler.operation.success if handler.operation else 200
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Connection", "close")
    handler.end_headers()
    while not handler.github.stopped.is_set():
        handler.wfile.write(b" " * 65_536)


def _drip(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Connection", "close")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while not handler.github.stopped.wait(0.05):
            handler.wfile.write(b" ")
            handler.wfile.flush()


def _half(handler: _Handler) -> None:
    status, body, _ = handler.commit()
    content = json.dumps(body).encode()
    handler.raw(status, content[: len(content) // 2], {"Content-Type": "application/json"})


def _short(handler: _Handler) -> None:
    status, body, _ = handler.commit()
    content = json.dumps(body).encode()
    length = {"Content-Length": str(len(content) + 100), "Content-Type": "application/json"}
    handler.raw(status, content, length | {"Connection": "close"})
    handler.close_connection = True


def redirects(status: int, location: str) -> Fault:
    """Send elsewhere."""
    return Fault(f"redirects with {status}", lambda h: h.raw(status, b"", {"Location": location}))


HANGS = Fault("never answers", _hang)
ENDLESS = Fault("a body without end", _endless)
DRIPS = Fault("a byte now and then", _drip)
HALF_JSON = Fault("half of the JSON", _half)
SHORT = Fault("less than it announced", _short)
DROPS = Fault("drops the connection", _Handler.cut)
READ_ONLY = answers(403, "Resource not accessible by integration")
