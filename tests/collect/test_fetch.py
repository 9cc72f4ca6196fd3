import gzip
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from aigate.collect.credential import Credential
from aigate.collect.deadline import Deadline
from aigate.collect.fetch import Fetcher
from aigate.collect.network import NetworkRule, parse_networks
from aigate.collect.origin import RefusedUrlError
from aigate.collect.redact import Redactor
from aigate.collect.response import FetchError, Response
from aigate.errors import AigateError, ConfigError, UsageError
from fake_ca import Authority
from fakes import OK_HEAD, Asked, Handler, RawServer, Reply, WebServer, drip, flood, json_reply, raw, silent

Make = Callable[..., Fetcher]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make a fetcher whose rule names the given addresses, and close it at the end."""
    made: list[Fetcher] = []

    def fetcher(
        *urls: str, seconds: float = 10, rule: NetworkRule | None = None, **options: object
    ) -> Fetcher:
        rule = rule or NetworkRule.build(urls, trusted=True)
        fetcher = Fetcher(deadline=Deadline(seconds), rule=rule, **options)  # type: ignore[arg-type]
        made.append(fetcher)
        return fetcher

    yield fetcher
    for each in made:
        each.close()


def failure(call: Callable[[], object]) -> FetchError:
    with pytest.raises(FetchError) as caught:
        call()
    return caught.value


class TestAnswers:
    def test_a_whole_answer(self, make: Make) -> None:
        with WebServer(
            {"/a": json_reply({"x": 1}, x_kind="v", date="Sat, 21 Nov 2026 12:00:00 GMT")}
        ) as server:
            answer = make(server.url()).get(server.url("/a?token=t"), params={"q": "a b&c"})
        assert isinstance(answer, Response)
        assert answer.status == 200
        assert answer.body == b'{"x": 1}'
        assert answer.header("X-Kind") == "v"
        assert answer.header("absent") is None
        assert answer.media_type == "application/json"
        assert answer.url_shown == server.url("/a")
        assert answer.server_date is not None
        assert answer.server_date.isoformat() == "2026-11-21T12:00:00+00:00"
        assert answer.elapsed_ms >= 0
        assert [attempt.outcome for attempt in answer.attempts] == ["200"]
        asked = server.asked[0]
        assert asked.query == {"token": ["t"], "q": ["a b&c"]}
        assert asked.headers["accept-encoding"] == "identity"
        assert asked.headers["cache-control"] == "no-cache"
        assert asked.headers["host"] == f"127.0.0.1:{server.port}"
        assert not {"cookie", "authorization"} & set(asked.headers)

    def test_a_body_is_sent_as_json(self, make: Make) -> None:
        def echo(asked: Asked) -> Reply:
            return Reply(asked.body, headers={"x-type": asked.headers["content-type"]})

        with WebServer({"/": echo}) as server:
            answer = make(server.url()).request("POST", server.url("/"), json={"ü": [1, None]})
        assert answer.body == '{"ü":[1,null]}'.encode()
        assert answer.header("x-type") == "application/json"

    def test_head_has_headers_and_no_body(self, make: Make) -> None:
        with WebServer({"/": Reply(b"x" * 5_000_000, content_type="text/html")}) as server:
            answer = make(server.url()).head(server.url("/"))
        assert answer.body == b""
        assert answer.header("content-length") == "5000000"

    def test_an_accepted_error_status_keeps_its_body(self, make: Make) -> None:
        with WebServer({"/": json_reply({"error_code": "RESOURCE_DOES_NOT_EXIST"}, 404)}) as server:
            answer = make(server.url()).get(server.url("/"), accept_status=(200, 400, 404))
        assert answer.status == 404
        assert b"RESOURCE_DOES_NOT_EXIST" in answer.body

    def test_a_problem_document_is_json(self, make: Make) -> None:
        with WebServer({"/": Reply(b"{}", content_type="application/problem+json; charset=utf-8")}) as server:
            assert make(server.url()).get(server.url("/")).body == b"{}"

    def test_the_headers_alone_where_no_body_is_wanted(self, make: Make) -> None:
        with RawServer(flood(OK_HEAD + b"Content-Encoding: identity\r\n\r\n", b"x" * 65_536)) as server:
            answer = make(server.url()).get(server.url(), read_body=False)
        assert answer.body == b""
        assert answer.media_type == "application/json"

    def test_no_cookie_is_kept(self, make: Make) -> None:
        with WebServer({"/": json_reply({}, set_cookie="session=1")}) as server:
            fetcher = make(server.url())
            fetcher.get(server.url("/"))
            fetcher.get(server.url("/"))
        assert "cookie" not in server.asked[1].headers

    def test_plain_http_connects_anew_each_time(self, make: Make) -> None:
        with WebServer({"/": json_reply({})}) as server:
            fetcher = make(server.url())
            fetcher.get(server.url("/"))
            fetcher.get(server.url("/"))
            assert server.connections == 2

    def test_a_name_with_a_dead_first_address(self, make: Make) -> None:
        with WebServer({"/": json_reply({})}) as server:
            url = server.url("/", host="data.example")
            fetcher = make(url, resolve=lambda host, port: ["127.0.0.9", "127.0.0.1"])
            assert fetcher.get(url).status == 200
        assert server.asked[0].headers["host"] == f"data.example:{server.port}"

    def test_from_many_threads(self, make: Make) -> None:
        with WebServer(default=lambda asked: json_reply(asked.path)) as server:
            fetcher = make(server.url())
            found: dict[int, bytes] = {}

            def read(number: int) -> None:
                found[number] = fetcher.get(server.url(f"/{number}")).body

            threads = [threading.Thread(target=read, args=(n,)) for n in range(24)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert found == {n: f'"/{n}"'.encode() for n in range(24)}

    def test_a_caller_cannot_set_a_credential_as_a_header(self, make: Make) -> None:
        with pytest.raises(ValueError, match="Credential"):
            make().get("http://127.0.0.1/", headers={"Authorization": "Bearer x"})


BOMB = gzip.compress(b"0" * 50_000_000)
HUNDRED_THOUSAND = b"".join(b"x-%d: y\r\n" % n for n in range(100_000))

HOSTILE: dict[str, tuple[Handler, str]] = {
    "silence": (silent, "deadline"),
    "headers drip": (drip(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"), "deadline"),
    "one header drips": (drip(b"HTTP/1.1 200 OK\r\nx: ", b"y"), "deadline"),
    "status line drips": (drip(b"HTTP/1.1 2", b"0"), "deadline"),
    "body drips": (drip(OK_HEAD + b"Content-Length: 900000\r\n\r\n", b"1"), "deadline"),
    "chunks drip": (drip(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n1\r\n"), "deadline"),
    "chunk extensions for ever": (
        flood(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 4096),
        "transport",
    ),
    "informational replies drip": (drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), "deadline"),
    "informational replies flood": (
        flood(b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 100),
        "deadline",
    ),
    "endless body": (flood(OK_HEAD + b"\r\n", b"1" * 65_536), "too_large"),
    "endless chunks": (
        flood(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"1" * 4096 + b"\r\n"),
        "too_large",
    ),
    "huge content-length": (raw(OK_HEAD + b"Content-Length: 99999999999\r\n\r\n"), "too_large"),
    "absurd content-length": (raw(OK_HEAD + b"Content-Length: " + b"9" * 19 + b"\r\n\r\n"), "too_large"),
    "gzip bomb": (
        raw(OK_HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
        "encoding",
    ),
    "encoding named twice": (
        raw(OK_HEAD + b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n\r\nx"),
        "encoding",
    ),
    "gzip as a transfer encoding": (raw(OK_HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n"), "transport"),
    "short body": (raw(OK_HEAD + b"Content-Length: 100\r\n\r\n{}"), "transport"),
    "short chunks": (raw(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"), "transport"),
    "two content-lengths": (raw(OK_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), "transport"),
    "negative content-length": (raw(OK_HEAD + b"Content-Length: -2\r\n\r\n{}"), "transport"),
    "a hundred thousand headers": (raw(b"HTTP/1.1 200 OK\r\n" + HUNDRED_THOUSAND + b"\r\n"), "transport"),
    "headers for ever": (flood(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 500), "transport"),
    "garbage": (raw(b"\x00\xff garbage \r\n\r\n"), "transport"),
    "another protocol": (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "transport"),
    "hangs up": (raw(b""), "transport"),
    "hangs up in the headers": (raw(b"HTTP/1.1 200 OK\r\ncontent-"), "transport"),
    "no headers": (raw(b"HTTP/1.1 200 OK\r\n\r\n{}"), "content_type"),
    "a page at 200": (raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>"), "content_type"),
    "two content types": (
        raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Type: text/html\r\n\r\n{}"),
        "content_type",
    ),
    "no content": (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), "status"),
    "part of the content": (
        raw(b"HTTP/1.1 206 Partial Content\r\nContent-Type: application/json\r\n\r\n{}"),
        "status",
    ),
    "not modified": (raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"), "status"),
    "switches protocols": (
        raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        "transport",
    ),
    "status 999": (raw(b"HTTP/1.1 999 Odd\r\n\r\n"), "status"),
    "redirect to metadata": (
        raw(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data/\r\n\r\n"),
        "redirect",
    ),
    "redirect to another host": (
        raw(b"HTTP/1.1 307 Found\r\nLocation: https://elsewhere.example/\r\n\r\n"),
        "redirect",
    ),
    "redirect to a file": (raw(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"), "redirect"),
    "redirect to userinfo": (
        raw(b"HTTP/1.1 302 Found\r\nLocation: http://a:canary@127.0.0.1/\r\n\r\n"),
        "redirect",
    ),
    "redirect to nowhere": (raw(b"HTTP/1.1 302 Found\r\n\r\n"), "redirect"),
    "redirect to two places": (
        raw(b"HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\n\r\n"),
        "redirect",
    ),
}
DEADLINE = 0.8


def peak_memory(reset: bool = False) -> int:
    """Return the process's peak resident set in bytes, since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.parametrize(("handler", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_ends_in_time_with_its_code_and_little_memory(
    handler: Handler, code: str, make: Make
) -> None:
    measured = os.access("/proc/self/clear_refs", os.W_OK)
    with RawServer(handler) as server:
        fetcher = make(server.url(), seconds=DEADLINE)
        before = peak_memory(reset=True) if measured else 0
        began = time.monotonic()
        error = failure(lambda: fetcher.get(server.url("/path?canary=1")))
        took = time.monotonic() - began
        grown = peak_memory() - before if measured else 0
    assert error.code == code
    assert took < DEADLINE + 0.5
    assert grown < 64 * 1024 * 1024
    assert "canary" not in f"{error} {error.fix}"
    assert str(error).startswith(f"{server.url('/path')}: ")
    assert error.fix
    assert error.exit_code == 3
    if code == "deadline":
        assert took >= DEADLINE - 0.05


@contextmanager
def full_backlog(address: str, port: int) -> Iterator[int]:
    """Listen, accept nobody, and be full: the kernel drops every further request to connect."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server((address, port), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        time.sleep(0.05)
        yield server.getsockname()[1]


class TestNames:
    def test_a_hung_look_up_ends_at_the_deadline(self, make: Make) -> None:
        release = threading.Event()

        def hang(host: str, port: int) -> list[str]:
            release.wait(20)
            return []

        fetcher = make("http://data.example/", seconds=0.4, resolve=hang)
        began = time.monotonic()
        error = failure(lambda: fetcher.get("http://data.example/"))
        release.set()
        assert error.code == "deadline"
        assert time.monotonic() - began < 0.9

    @pytest.mark.parametrize(
        "answer", [[], ["127.0.0.1"] * 20, socket.gaierror(-2, "Name or service not known")]
    )
    def test_a_name_without_a_usable_answer(self, make: Make, answer: list[str] | OSError) -> None:
        def resolve(host: str, port: int) -> list[str]:
            if isinstance(answer, OSError):
                raise answer
            return answer

        assert failure(lambda: make(resolve=resolve).get("http://data.example/")).code == "dns"

    def test_all_answers_must_pass(self, make: Make) -> None:
        fetcher = make(resolve=lambda host, port: ["93.184.216.34", "127.0.0.1"])
        error = failure(lambda: fetcher.get("http://data.example/"))
        assert error.code == "blocked_address"
        assert "127.0.0.1" in str(error)

    def test_an_answer_that_is_no_address(self, make: Make) -> None:
        fetcher = make(resolve=lambda host, port: ["evil.example"])
        assert failure(lambda: fetcher.get("http://data.example/")).code == "blocked_address"

    def test_rebinding_is_caught_at_each_connection(self, make: Make) -> None:
        with WebServer({"/": json_reply({})}) as server:
            answers = iter([["127.0.0.1"], ["169.254.169.254"]])
            url = server.url("/", host="data.example")
            fetcher = make(url, resolve=lambda host, port: next(answers))
            assert fetcher.get(url).status == 200
            assert failure(lambda: fetcher.get(url)).code == "blocked_address"

    def test_the_name_is_resolved_once_a_connection(self, make: Make) -> None:
        calls = []

        def resolve(host: str, port: int) -> list[str]:
            calls.append(host)
            return ["127.0.0.1"]

        with WebServer({"/": json_reply({})}) as server:
            url = server.url("/", host="data.example")
            make(url, resolve=resolve).get(url)
        assert calls == ["data.example"]

    @pytest.mark.parametrize(
        ("host", "address"),
        [("169.254.169.254", None), ("metadata.example", "169.254.169.254"), ("m", "::ffff:169.254.169.254")],
    )
    def test_metadata_is_not_reached_even_when_named(
        self, make: Make, host: str, address: str | None
    ) -> None:
        url = f"http://{host}/latest/meta-data/"
        options = {"resolve": lambda host, port: [address]} if address else {}
        assert failure(lambda: make(url, **options).get(url)).code == "blocked_address"

    def test_loopback_is_not_reached_unless_named(self, make: Make) -> None:
        with WebServer({"/": json_reply({})}) as server:
            assert failure(lambda: make().get(server.url("/"))).code == "blocked_address"
            head = NetworkRule.build([server.url()], trusted=False)
            assert failure(lambda: make(rule=head).get(server.url("/"))).code == "blocked_address"
            public = NetworkRule.build([server.url()], trusted=True, operator=parse_networks("public"))
            assert failure(lambda: make(rule=public).get(server.url("/"))).code == "blocked_address"
            assert server.connections == 0

    def test_nothing_listens(self, make: Make) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        pauses: list[float] = []
        error = failure(lambda: make(url, sleep=pauses.append).get(url))
        assert error.code == "connect"
        assert "refused" in str(error)
        assert "(3 tries)" in str(error)
        assert len(pauses) == 2

    def test_a_host_that_swallows_packets(self, make: Make) -> None:
        with full_backlog("127.0.0.1", 0) as port:
            url = f"http://127.0.0.1:{port}/"
            began = time.monotonic()
            error = failure(lambda: make(url, seconds=0.5).get(url))
            took = time.monotonic() - began
        assert error.code == "deadline"
        assert took < 1.0

    def test_a_dead_end_leaves_time_for_the_next_address(self, make: Make) -> None:
        with WebServer({"/": json_reply({})}) as server, full_backlog("127.0.0.2", server.port):
            url = server.url("/", host="data.example")
            fetcher = make(url, seconds=2, resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"])
            assert fetcher.get(url).status == 200


class TestRedirects:
    def test_hops_within_a_public_origin_are_followed(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # No public address can be had in a test; loopback takes its part.
        monkeypatch.setattr("aigate.collect.network.reach", lambda address: "public")
        routes = {
            "/1": Reply(status=301, headers={"location": "/2?x=1"}),
            "/2": Reply(status=308, headers={"location": "3"}),
            "/3": json_reply("there"),
        }
        with WebServer(routes) as server:
            answer = make(rule=NetworkRule()).get(server.url("/1"))
        assert answer.body == b'"there"'
        assert answer.url_shown.endswith("/3")
        assert server.asked[1].query == {"x": ["1"]}

    def test_no_more_than_three(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("aigate.collect.network.reach", lambda address: "public")
        with WebServer({"/": Reply(status=302, headers={"location": "/"})}) as server:
            error = failure(lambda: make(rule=NetworkRule()).get(server.url("/")))
        assert error.code == "redirect"
        assert len(server.asked) == 4

    def test_a_private_address_is_not_reached_through_one(self, make: Make) -> None:
        with WebServer({"/": Reply(status=302, headers={"location": "/b"}), "/b": json_reply({})}) as server:
            error = failure(lambda: make(server.url()).get(server.url("/")))
        assert error.code == "blocked_address"
        assert [asked.path for asked in server.asked] == ["/"]

    def test_a_post_is_not_redirected(self, make: Make) -> None:
        with WebServer({"/": Reply(status=307, headers={"location": "/b"}), "/b": json_reply({})}) as server:
            error = failure(lambda: make(server.url()).request("POST", server.url("/"), json={}))
        assert error.code == "redirect"
        assert len(server.asked) == 1

    @pytest.mark.parametrize("kind", [301, 302, 303, 307, 308])
    def test_no_credential_leaves_its_origin(self, make: Make, kind: int) -> None:
        with WebServer(default=json_reply({})) as sink:
            with WebServer(default=Reply(status=kind, headers={"location": sink.url("/take")})) as server:
                credential = Credential.of(server.url(), bearer="canary", headers=[("X-Api-Key", "canary")])
                fetcher = make(server.url(), sink.url(), credentials=[credential])
                error = failure(lambda: fetcher.get(server.url("/")))
                assert error.code == "redirect"
                assert server.asked[0].headers["authorization"] == "Bearer canary"
                fetcher.get(sink.url("/other"))
            assert [asked.path for asked in sink.asked] == ["/other"]
            assert "canary" not in repr(sink.asked)


class TestRetries:
    def test_a_busy_server_is_asked_again(self, make: Make) -> None:
        answers = iter([Reply(status=503), Reply(status=429, headers={"retry-after": "1"}), json_reply({})])
        pauses: list[float] = []
        with WebServer({"/": lambda asked: next(answers)}) as server:
            answer = make(server.url(), sleep=pauses.append, jitter=lambda: 1.0).get(server.url("/"))
        assert [attempt.outcome for attempt in answer.attempts] == ["503", "429", "200"]
        assert pauses == [0.1, 1.0]
        assert [attempt.pause for attempt in answer.attempts] == [0.1, 1.0, 0.0]

    @pytest.mark.parametrize("status", [400, 401, 404, 500, 501])
    def test_other_failures_are_not_repeated(self, make: Make, status: int) -> None:
        with WebServer({"/": json_reply({}, status)}) as server:
            error = failure(lambda: make(server.url()).get(server.url("/")))
        assert error.status == status
        assert len(server.asked) == 1

    def test_no_more_than_three_tries(self, make: Make) -> None:
        with WebServer({"/": Reply(status=502)}) as server:
            error = failure(lambda: make(server.url(), sleep=lambda s: None).get(server.url("/")))
        assert len(server.asked) == 3
        assert [attempt.outcome for attempt in error.attempts] == ["502"] * 3

    def test_a_post_is_never_repeated(self, make: Make) -> None:
        with WebServer({"/": Reply(status=503)}) as server:
            failure(lambda: make(server.url()).request("POST", server.url("/"), json={}))
        assert len(server.asked) == 1

    @pytest.mark.parametrize("wait", ["60", "99999999999999999999", "Sat, 21 Nov 2026 12:10:00 GMT"])
    def test_a_wait_beyond_the_deadline_is_not_begun(self, make: Make, wait: str) -> None:
        reply = Reply(status=503, headers={"retry-after": wait, "date": "Sat, 21 Nov 2026 12:00:00 GMT"})
        pauses: list[float] = []
        with WebServer({"/": reply}) as server:
            error = failure(lambda: make(server.url(), seconds=2, sleep=pauses.append).get(server.url("/")))
        assert pauses == []
        assert error.code == "status"
        assert "asks to wait" in str(error)
        assert len(server.asked) == 1

    @pytest.mark.parametrize("wait", ["-5", "soon", "", "Sat, 21 Nov 2026 11:00:00 GMT"])
    def test_an_unusable_wait_is_ignored(self, make: Make, wait: str) -> None:
        answers = iter([Reply(status=503, headers={"retry-after": wait}), json_reply({})])
        pauses: list[float] = []
        with WebServer({"/": lambda asked: next(answers)}) as server:
            make(server.url(), sleep=pauses.append, jitter=lambda: 0.0).get(server.url("/"))
        assert pauses == [0.05]

    def test_an_accepted_429_is_still_asked_again_and_then_returned(self, make: Make) -> None:
        with WebServer({"/": json_reply({"e": 1}, 429)}) as server:
            answer = make(server.url(), sleep=lambda s: None).get(
                server.url("/"), accept_status=range(200, 500)
            )
        assert answer.status == 429
        assert len(answer.attempts) == 3

    def test_nothing_is_sent_after_the_deadline(self, make: Make) -> None:
        with WebServer({"/": json_reply({})}) as server:
            fetcher = make(server.url(), seconds=0.05)
            time.sleep(0.1)
            assert failure(lambda: fetcher.get(server.url("/"))).code == "deadline"
            assert server.connections == 0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


class TestTls:
    def test_with_its_own_authority(self, make: Make, authority: Authority) -> None:
        with WebServer({"/": json_reply({})}, tls=authority.server("plain", "127.0.0.1")) as server:
            fetcher = make(server.url(), credentials=[Credential.of(server.url(), ca_file=authority.bundle)])
            fetcher.get(server.url("/"))
            fetcher.get(server.url("/"))
            assert server.connections == 1

    def test_the_name_is_verified_and_the_checked_address_is_connected(
        self, make: Make, authority: Authority
    ) -> None:
        with WebServer({"/": json_reply({})}, tls=authority.server("named", "data.example")) as server:
            for host, code in (("data.example", None), ("other.example", "tls")):
                url = server.url("/", host=host)
                credential = Credential.of(url, ca_file=authority.bundle)
                fetcher = make(url, credentials=[credential], resolve=lambda host, port: ["127.0.0.1"])
                if code is None:
                    fetcher.get(url)
                else:
                    error = failure(lambda fetcher=fetcher, url=url: fetcher.get(url))  # type: ignore[misc]
                    assert error.code == code
                    assert "certificate is not accepted" in str(error)
        assert server.asked[0].headers["host"].startswith("data.example:")

    def test_an_unknown_authority(self, make: Make, authority: Authority) -> None:
        with WebServer({"/": json_reply({})}, tls=authority.server("unknown", "127.0.0.1")) as server:
            error = failure(lambda: make(server.url()).get(server.url("/")))
        assert error.code == "tls"
        assert len(error.attempts) == 1
        assert server.asked == []

    def test_self_signed(self, make: Make, authority: Authority, tmp_path: Path) -> None:
        other = Authority(tmp_path, "self")
        with WebServer({"/": json_reply({})}, tls=other.server("self-made", "127.0.0.1")) as server:
            fetcher = make(server.url(), credentials=[Credential.of(server.url(), ca_file=authority.bundle)])
            assert failure(lambda: fetcher.get(server.url("/"))).code == "tls"

    def test_expired(self, make: Make, authority: Authority) -> None:
        with WebServer(
            {"/": json_reply({})}, tls=authority.server("old", "127.0.0.1", expired=True)
        ) as server:
            fetcher = make(server.url(), credentials=[Credential.of(server.url(), ca_file=authority.bundle)])
            error = failure(lambda: fetcher.get(server.url("/")))
        assert error.code == "tls"
        assert "expired" in str(error)

    def test_plain_http_on_the_port(self, make: Make) -> None:
        with RawServer(raw(b"HTTP/1.1 200 OK\r\n\r\n"), read_request=False) as server:
            url = server.url().replace("http", "https")
            assert failure(lambda: make(url).get(url)).code == "tls"

    def test_a_handshake_that_never_ends(self, make: Make) -> None:
        with RawServer(silent, read_request=False) as server:
            url = server.url().replace("http", "https")
            began = time.monotonic()
            assert failure(lambda: make(url, seconds=0.5).get(url)).code == "deadline"
            assert time.monotonic() - began < 1.0

    def test_a_client_certificate(self, make: Make, authority: Authority) -> None:
        cert, key = authority.certificate("client", client=True, password="hush-hush")
        with WebServer(
            {"/": json_reply({})}, tls=authority.server("mutual", "127.0.0.1", ask_client=True)
        ) as server:
            bare = Credential.of(server.url(), ca_file=authority.bundle)
            assert failure(lambda: make(server.url(), credentials=[bare]).get(server.url("/"))).code == "tls"
            mutual = Credential.of(
                server.url(),
                ca_file=authority.bundle,
                client_cert=cert,
                client_key=key,
                client_key_password="hush-hush",
            )
            assert make(server.url(), credentials=[mutual]).get(server.url("/")).status == 200

    def test_a_client_certificate_stays_with_its_origin(self, make: Make, authority: Authority) -> None:
        cert, key = authority.certificate("client-two", client=True)
        tls = authority.server("mutual-two", "127.0.0.1", ask_client=True)
        with (
            WebServer({"/": json_reply({})}, tls=tls) as first,
            WebServer({"/": json_reply({})}, tls=tls) as second,
        ):
            credentials = [
                Credential.of(first.url(), ca_file=authority.bundle, client_cert=cert, client_key=key),
                Credential.of(second.url(), ca_file=authority.bundle),
            ]
            fetcher = make(first.url(), second.url(), credentials=credentials)
            assert fetcher.get(first.url("/")).status == 200
            assert failure(lambda: fetcher.get(second.url("/"))).code == "tls"

    @pytest.mark.parametrize("password", [None, "wrong"])
    def test_an_encrypted_key_never_asks_the_terminal(
        self, make: Make, authority: Authority, password: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: list[object] = []

        load = ssl.SSLContext.load_cert_chain

        def spy(self: ssl.SSLContext, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
            given.append(password)
            load(self, certfile, keyfile, password)

        monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spy)
        cert, key = authority.certificate("locked", client=True, password="hush-hush")
        credential = Credential.of(
            "https://127.0.0.1", client_cert=cert, client_key=key, client_key_password=password
        )
        with pytest.raises(ConfigError, match="client certificate"):
            make("https://127.0.0.1", credentials=[credential]).get("https://127.0.0.1/")
        assert given == [password or ""]  # None would have OpenSSL ask

    def test_an_unreadable_bundle(self, make: Make, tmp_path: Path) -> None:
        for content in (None, "not a certificate"):
            file = tmp_path / "bundle.pem"
            if content is not None:
                file.write_text(content)
            credential = Credential.of("https://127.0.0.1", ca_file=file)
            with pytest.raises(ConfigError, match="CA bundle"):
                make("https://127.0.0.1", credentials=[credential]).get("https://127.0.0.1/")

    def test_the_environment_trusts_nobody(
        self, make: Make, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
        with WebServer({"/": json_reply({})}, tls=authority.server("env", "127.0.0.1")) as server:
            assert failure(lambda: make(server.url()).get(server.url("/"))).code == "tls"

    def test_a_kept_connection_that_was_closed_is_opened_again(
        self, make: Make, authority: Authority
    ) -> None:
        context = authority.server("closing", "127.0.0.1")
        served = []

        def once(connection: socket.socket, stop: threading.Event) -> None:
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(65_536)
                tls.sendall(OK_HEAD + b"Content-Length: 2\r\n\r\n{}")
                served.append(1)
                tls.recv(65_536)  # the second request arrives, and the connection drops unanswered

        with RawServer(once, read_request=False) as server:
            url = server.url().replace("http", "https")
            fetcher = make(url, credentials=[Credential.of(url, ca_file=authority.bundle)])
            assert fetcher.get(url).status == 200
            second = fetcher.get(url)
        assert [attempt.outcome for attempt in second.attempts] == ["connect", "200"]
        assert len(served) == 2


class TestSecrets:
    canaries = ("canary-token", "canary-password", "canary-key", "canary-query", "canary-user")

    def test_a_url_with_a_password_is_refused_and_not_shown(self, make: Make) -> None:
        url = "http://canary-user:canary-password@127.0.0.1/x?t=canary-query"
        error = failure(lambda: make().get(url))
        assert error.code == "refused_url"
        for refusal in (error, refused(lambda: Credential.of(url, bearer="canary-token"))):
            assert "canary" not in f"{refusal} {refusal.fix} {refusal!r}"

    @pytest.mark.parametrize(
        "options",
        [
            {"bearer": "canary-token\n"},
            {"bearer": ""},
            {"bearer": "canary-token", "basic": ("a", "b")},
            {"basic": ("canary:user", "x")},
            {"headers": [("X Bad", "canary-key")]},
            {"headers": [("Host", "canary-key")]},
            {"headers": [("X-Key", "canary-key\r\nHost: evil")]},
            {"headers": [("X-Key", "")]},
        ],
    )
    def test_values_that_cannot_stand_in_a_header(self, options: dict[str, object]) -> None:
        with pytest.raises(UsageError) as caught:
            Credential.of("https://host", **options)  # type: ignore[arg-type]
        assert "canary" not in f"{caught.value}{caught.value.fix}"

    def test_basic_and_further_headers_are_sent(self, make: Make) -> None:
        with WebServer({"/": json_reply({})}) as server:
            credential = Credential.of(
                server.url(), basic=("user", "pä:ss"), headers=[("X-MLFLOW-WORKSPACE", "team")]
            )
            make(server.url(), credentials=[credential]).get(server.url("/"))
        assert server.asked[0].headers["authorization"] == "Basic dXNlcjpww6Q6c3M="
        assert server.asked[0].headers["x-mlflow-workspace"] == "team"
        assert Redactor(credential.secrets).clean("Basic dXNlcjpww6Q6c3M=") == "Basic [redacted]"

    def test_two_credentials_for_one_origin(self, make: Make) -> None:
        twice = [Credential.of("https://host/a", bearer="x"), Credential.of("https://HOST:443/b", bearer="y")]
        with pytest.raises(ValueError, match="two credentials"):
            make(credentials=twice)

    def test_nothing_leaks_into_logs_errors_or_reprs(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        for name in ("httpcore", "httpx"):
            logging.getLogger(name).setLevel(logging.NOTSET)
        texts = []
        for handler in (
            raw(b"HTTP/1.1 401 No\r\n\r\n"),
            raw(OK_HEAD + b"Content-Length: 2\r\nX-Echo: canary-token\r\n\r\n{}"),
            raw(b"canary-token"),
            raw(OK_HEAD + b"X-Echo: canary-token\r\nContent-Length: 9\r\n\r\n{}"),
            raw(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/canary-key?canary-query\r\n\r\n"),
            raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"),
        ):
            with RawServer(handler) as server:
                credential = Credential.of(
                    server.url(),
                    bearer="canary-token",
                    headers=[("X-Key", "canary-key")],
                    client_key_password="canary-password",
                )
                fetcher = make(server.url(), credentials=[credential])
                texts.append(repr(credential))
                try:
                    texts.append(fetcher.get(server.url("/p?sig=canary-query")).url_shown)
                except FetchError as error:
                    texts.append(f"{error} {error!r} {error.fix} {error.shown} {error.attempts}")
        shown = "\n".join([*texts, caplog.text])
        assert [canary for canary in self.canaries if canary in shown] == []

    def test_proxies_in_the_environment_are_ignored(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with (
            WebServer(default=json_reply("proxy")) as proxy,
            WebServer({"/": json_reply("direct")}) as server,
        ):
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
                monkeypatch.setenv(name, proxy.url())
            for name in ("NO_PROXY", "no_proxy"):
                monkeypatch.delenv(name, raising=False)
            assert make(server.url()).get(server.url("/")).body == b'"direct"'
            assert proxy.connections == 0


def refused(call: Callable[[], object]) -> AigateError:
    with pytest.raises(RefusedUrlError) as caught:
        call()
    return caught.value


def test_a_reader_that_takes_a_byte_at_a_time_is_held_to_the_deadline(make: Make) -> None:
    def sip(connection: socket.socket, stop: threading.Event) -> None:
        while not stop.wait(0.02) and connection.recv(1):
            pass

    with RawServer(sip, read_request=False) as server:
        fetcher = make(server.url(), seconds=0.6)
        began = time.monotonic()
        error = failure(lambda: fetcher.request("POST", server.url(), json="x" * 20_000_000))
        took = time.monotonic() - began
    assert error.code == "deadline"
    assert took < 1.1
