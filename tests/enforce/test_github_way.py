"""The way to GitHub: TLS, and the proxy of a self-hosted runner."""

import base64
import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aigate.collect.network import NetworkRule, parse_networks
from aigate.enforce.github import GitHub, GitHubError, proxy_for
from fake_ca import Authority
from fake_github import JOB_TOKEN, FakeGitHub

HOST = "ghe.corp.example"
MARKER = "<!-- aigate:production -->"
LOGIN = "Basic " + base64.b64encode(b"runner:pass/word").decode()


class Proxy:
    """An HTTP proxy that tunnels every name to one port of this machine. Use it as a context."""

    def __init__(self, port: int, *, login: str | None = None) -> None:
        self.asked: list[str] = []
        self._port = port
        self._login = login

    def __enter__(self) -> "Proxy":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            self.asked.append(head.decode())
            if self._login is not None and f"Proxy-Authorization: {self._login}" not in head.decode():
                client.sendall(b"HTTP/1.1 407 Say who you are\r\nContent-Length: 0\r\n\r\n")
                return
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with socket.create_connection(("127.0.0.1", self._port)) as server:
                pipe(client, server)


def pipe(one: socket.socket, other: socket.socket) -> None:
    while True:
        for source in select.select([one, other], [], [])[0]:
            data = source.recv(65_536)
            if not data:
                return
            (other if source is one else one).sendall(data)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def enterprise(authority: Authority) -> Iterator[FakeGitHub]:
    """A GitHub of one's own, by TLS and under a path."""
    with FakeGitHub(tls=authority.certificate("ghe", HOST), prefix="/api/v3") as fake:
        yield fake


def upsert(proxy: str | None, ca_file: Path | None, *, url: str = f"https://{HOST}/api/v3") -> str:
    with GitHub(
        url, "acme/churn", JOB_TOKEN, proxy=proxy, ca_file=ca_file, seconds=5, sleep=lambda _: None
    ) as github:
        return github.upsert_comment(7, MARKER, "DENY")


def test_through_a_proxy_to_an_enterprise_server(enterprise: FakeGitHub, authority: Authority) -> None:
    with Proxy(enterprise.port) as proxy:
        assert upsert(f"http://127.0.0.1:{proxy.port}", authority.bundle).startswith("created")
        again = upsert(f"127.0.0.1:{proxy.port}", authority.bundle, url=f"https://{HOST}/api/v3/")
        assert again.startswith("unchanged")
    assert proxy.asked[0].startswith(f"CONNECT {HOST}:443 HTTP/1.1\r\n")
    assert JOB_TOKEN not in "".join(proxy.asked)
    assert not enterprise.violations


def test_a_proxy_is_told_who_asks(enterprise: FakeGitHub, authority: Authority) -> None:
    with Proxy(enterprise.port, login=LOGIN) as proxy:
        way = f"http://runner:pass%2Fword@127.0.0.1:{proxy.port}"
        assert upsert(way, authority.bundle).startswith("created")
        with pytest.raises(GitHubError) as caught:
            upsert(f"http://runner:wrong-word@127.0.0.1:{proxy.port}", authority.bundle)
    assert "the proxy refuses" in caught.value.message
    assert "(407)" in caught.value.message
    assert "wrong-word" not in caught.value.message + caught.value.fix
    assert JOB_TOKEN not in "".join(proxy.asked)


def test_a_proxy_that_is_gone(authority: Authority) -> None:
    with Proxy(1) as proxy:
        pass
    with pytest.raises(GitHubError) as caught:
        upsert(f"http://127.0.0.1:{proxy.port}", authority.bundle)
    assert caught.value.code == "unreachable"


def test_a_certificate_that_is_not_accepted(enterprise: FakeGitHub) -> None:
    with Proxy(enterprise.port) as proxy, pytest.raises(GitHubError) as caught:
        upsert(f"http://127.0.0.1:{proxy.port}", None)
    assert caught.value.code == "unreachable"
    assert "certificate is not accepted" in caught.value.message
    assert not enterprise.requests


def test_a_certificate_of_another_host(enterprise: FakeGitHub, authority: Authority) -> None:
    with pytest.raises(GitHubError, match="certificate is not accepted"):
        upsert(None, authority.bundle, url=enterprise.url)
    assert not enterprise.requests


def test_operators_can_narrow_what_is_reached(enterprise: FakeGitHub, authority: Authority) -> None:
    rule = NetworkRule.build([enterprise.url], operator=parse_networks("public"), trusted=True)
    github = GitHub(enterprise.url, "acme/churn", JOB_TOKEN, ca_file=authority.bundle, rule=rule)
    with github, pytest.raises(GitHubError, match="AIGATE_NETWORK"):
        github.upsert_comment(7, MARKER, "DENY")


def test_a_bundle_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(GitHubError) as caught:
        upsert(None, tmp_path / "missing.pem")
    assert caught.value.code == "usage"
    assert "CA bundle" in caught.value.message


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"HTTPS_PROXY": "http://p:3128"}, "http://p:3128", id="upper case"),
        pytest.param(
            {"https_proxy": "http://l:1", "HTTPS_PROXY": "http://u:1"}, "http://l:1", id="lower wins"
        ),
        pytest.param({"HTTP_PROXY": "http://p:3128"}, None, id="for http only"),
        pytest.param({"HTTPS_PROXY": "http://p", "NO_PROXY": "*"}, None, id="all spared"),
        pytest.param({"HTTPS_PROXY": "http://p", "no_proxy": "a, .Corp.example"}, None, id="domain spared"),
        pytest.param({"HTTPS_PROXY": "http://p", "no_proxy": "ghe.corp.example:443"}, None, id="port spared"),
        pytest.param({"HTTPS_PROXY": "http://p", "NO_PROXY": "orp.example,,"}, "http://p", id="half a name"),
    ],
)
def test_the_environment_names_the_proxy(environ: dict[str, str], expected: str | None) -> None:
    assert proxy_for("https://ghe.corp.example/api/v3", environ) == expected


def test_loopback_needs_no_proxy() -> None:
    with FakeGitHub() as fake:
        assert proxy_for(fake.url, {"HTTPS_PROXY": "http://p"}) is None
        assert upsert("http://proxy.invalid:1", None, url=fake.url).startswith("created")
