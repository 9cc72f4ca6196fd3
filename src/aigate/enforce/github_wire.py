"""One exchange with GitHub's API: bounded in time and size, to one origin, with a token that stays there.

It rests on the sockets of the bounded fetch, where every operation ends at
one deadline, and adds what only GitHub needs: a way through the proxy of a
self-hosted runner, and one repetition.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlencode, urlsplit

from aigate.collect.credential import Credential, tls_context
from aigate.collect.deadline import Deadline, DeadlineError
from aigate.collect.network import BlockedAddressError, NetworkRule
from aigate.collect.origin import Origin, RefusedUrlError, Url
from aigate.collect.redact import Redactor, quiet_http_loggers
from aigate.enforce.github_error import REPEATABLE, GitHubError, refusal
from aigate.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import httpcore

VERSION = "2022-11-28"
"""The version of GitHub's REST API that is spoken (`X-GitHub-Api-Version`)."""

_PAUSE = 0.3
"""Seconds before the one repetition."""

_QUOTED = 200
"""Characters that are repeated of what GitHub says."""


@dataclass(frozen=True)
class Answer:
    """A whole answer with a status that was expected. Header names are in lower case."""

    headers: Mapping[str, str]
    value: object
    """The JSON of its body."""


@dataclass(frozen=True)
class Question:
    """One request, and what is expected of its answer."""

    asked: str
    """What it is for, as a message begins: `reading the comments of #7`."""
    method: str
    place: str
    """The path under the API's address."""
    expect: int
    """The status of a good answer."""
    most: int
    """Bytes of the largest answer."""
    needs: str = ""
    """The permission that it takes of a job's token."""
    params: Mapping[str, str] | None = None
    body: Mapping[str, object] | None = None


class Wire:
    """Exchanges under one deadline, which begins with the first of them. Not for several threads at once.

    `proxy` is where `https` goes through (`proxy_for` reads it from an
    environment), `ca_file` a PEM bundle that replaces the public authorities,
    and `rule` what may be reached; by default that is the API's host and the
    proxy's, wherever they are: both come from who runs the job. `sleep` is
    for tests. Raises GitHubError (`usage`) for what cannot be used.
    """

    def __init__(
        self,
        api_url: str,
        token: str,
        *,
        seconds: float,
        proxy: str | None = None,
        ca_file: Path | None = None,
        rule: NetworkRule | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            self._base = _base(api_url)
            self._proxy = None if proxy is None or _is_loopback(self._base.origin) else _proxy(proxy)
            credential = Credential.of(api_url, bearer=token, ca_file=ca_file)
        except (RefusedUrlError, UsageError) as e:
            raise GitHubError("usage", f"GitHub cannot be asked: {e.message}", fix=e.fix) from e
        self._credential = credential
        hosts = [self._base.shown, *([str(self._proxy[0])] if self._proxy else [])]
        self._rule = rule or NetworkRule.build(hosts, trusted=True)
        login = self._proxy[1] if self._proxy else None
        self._redactor = Redactor((*credential.secrets, *(login[1:] if login else ())))
        self._seconds = seconds
        self._sleep = sleep
        self._opened: tuple[Deadline, httpcore.ConnectionPool] | None = None

    def close(self) -> None:
        """Close what is open."""
        if self._opened is not None:
            self._opened[1].close()

    def ask(self, question: Question, *, repeat: bool = True) -> Answer:
        """Send a request and return its answer.

        Where the connection breaks off or the server is out of order for a
        moment, it is sent once more unless `repeat` is False. Raises
        GitHubError.
        """
        try:
            return self._once(question)
        except GitHubError as e:
            if not repeat or e.code not in REPEATABLE:
                raise
            self.pause(e)
        return self._once(question)

    def pause(self, failure: GitHubError) -> None:
        """Wait before another try; raise `failure` where no time is left for one."""
        deadline, _ = self._open()
        if deadline.remaining() <= 2 * _PAUSE:
            raise failure
        self._sleep(_PAUSE)

    def _open(self) -> "tuple[Deadline, httpcore.ConnectionPool]":
        if self._opened is None:
            import httpcore

            from aigate.collect.transport import GuardedBackend, system_resolve

            quiet_http_loggers()
            deadline = Deadline(self._seconds)
            backend = GuardedBackend(deadline, self._rule, system_resolve)
            context = tls_context(self._credential) if self._base.origin.scheme == "https" else None
            pool: httpcore.ConnectionPool
            if self._proxy is None:
                pool = httpcore.ConnectionPool(ssl_context=context, network_backend=backend)
            else:
                origin, login = self._proxy
                pool = httpcore.HTTPProxy(
                    str(origin), proxy_auth=login, ssl_context=context, network_backend=backend
                )
            self._opened = (deadline, pool)
        return self._opened

    def _once(self, question: Question) -> Answer:
        status, headers, raw = self._exchange(question)
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            value = json.loads(raw) if media == "application/json" else None
        except (ValueError, RecursionError) as e:  # broken off, not UTF-8, or nested without end
            if status == question.expect:
                raise GitHubError(
                    "unreadable", f"{question.asked}: GitHub answers with JSON that cannot be read"
                ) from e
            value = None
        if status != question.expect:
            raise refusal(question.asked, question.needs, status, headers, self._message(value))
        if media != "application/json":
            raise GitHubError(
                "unreadable",
                f"{question.asked}: GitHub's address answers with something other than JSON",
                fix="check GITHUB_API_URL: a log-in page or a proxy answers there",
            )
        return Answer(headers, value)

    def _exchange(self, question: Question) -> tuple[int, dict[str, str], bytes]:
        """Send once; translate whatever happens on the way into a GitHubError."""
        import httpcore

        from aigate.collect.transport import HandshakeError, ResolveError

        asked = question.asked
        query = f"?{urlencode(question.params)}" if question.params else ""
        target = self._base.path.rstrip("/") + question.place + query
        body = question.body
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        url = httpcore.URL(
            scheme=self._base.origin.scheme,
            host=self._base.origin.host,
            port=self._base.origin.port,
            target=target,
        )
        try:
            deadline, pool = self._open()
            deadline.left()
            with pool.stream(question.method, url, headers=self._headers(content), content=content) as answer:
                headers = {name.decode("latin-1").lower(): v.decode("latin-1") for name, v in answer.headers}
                return answer.status, headers, self._read(question, answer, headers, deadline)
        except (BlockedAddressError, ConfigError) as e:  # the latter from a CA bundle
            raise GitHubError("usage", f"{asked}: {e.message}", fix=e.fix) from e
        except (DeadlineError, httpcore.TimeoutException) as e:
            raise GitHubError(
                "deadline",
                f"{asked}: GitHub did not answer within {self._seconds:g} s",
                fix="look at the status page of GitHub, or at the network of the runner",
            ) from e
        except (ResolveError, HandshakeError) as e:
            raise GitHubError("unreachable", f"{asked}: GitHub cannot be reached: {e}") from e
        except httpcore.ProxyError as e:
            said = re.match(r"[0-9]{3}", str(e))
            raise GitHubError(
                "refused",
                f"{asked}: the proxy refuses the way to GitHub{f' ({said[0]})' if said else ''}",
                fix="check HTTPS_PROXY and its user name, or name GitHub's host in NO_PROXY",
            ) from e
        except httpcore.ConnectError as e:
            raise GitHubError(
                "unreachable", f"{asked}: GitHub cannot be reached: no connection at {self._base.origin}"
            ) from e
        except (httpcore.NetworkError, httpcore.ProtocolError) as e:
            raise GitHubError("broken", f"{asked}: GitHub breaks off, or does not speak HTTP") from e

    def _headers(self, content: bytes) -> list[tuple[bytes, bytes]]:
        named = {
            "Host": self._base.origin.netloc,
            "Accept": "application/vnd.github+json",
            "Accept-Encoding": "identity",
            "Authorization": self._credential.authorization or "",
            # Of a request on a kept connection that was closed, nobody knows whether it arrived.
            "Connection": "close",
            "User-Agent": "aigate",
            "X-GitHub-Api-Version": VERSION,
        }
        if content:
            named |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
        return [(name.encode(), value.encode()) for name, value in named.items()]

    def _read(
        self,
        question: Question,
        answer: "httpcore.Response",
        headers: Mapping[str, str],
        deadline: Deadline,
    ) -> bytes:
        asked, most = question.asked, question.most
        too_large = GitHubError("unreadable", f"{asked}: GitHub answers with more than {most} bytes")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise GitHubError(
                "unreadable", f"{asked}: GitHub answers with an encoded body, though asked not to"
            )
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18 or int(length) > most:
            raise too_large
        body = bytearray()
        for chunk in answer.iter_stream():
            deadline.left()
            body += chunk
            if len(body) > most:
                raise too_large
        return bytes(body)

    def _message(self, value: object) -> str:
        """Return what GitHub says for itself, on one line and without secrets."""
        said = value.get("message") if isinstance(value, dict) else None
        if not isinstance(said, str):
            return ""
        words = "".join(c if c.isprintable() else " " for c in self._redactor.clean(said[:2_000]))
        return " ".join(words.split())[:_QUOTED]


def proxy_for(api_url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy that an environment names for `https` to GitHub's API; None where there is none.

    `https_proxy` wins over `HTTPS_PROXY`, as everywhere; `no_proxy` and
    `NO_PROXY` list hosts that are reached directly. Loopback always is.
    """
    try:
        origin = Origin.of(api_url)
    except RefusedUrlError:
        return None  # refused for good where it is put to use
    proxy = environ.get("https_proxy") or environ.get("HTTPS_PROXY")
    spared = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if not proxy or _is_loopback(origin) or any(_names(entry, origin) for entry in spared.split(",")):
        return None
    return proxy


def _names(entry: str, origin: Origin) -> bool:
    """Whether an entry of `NO_PROXY` (`*`, a host, a domain, either with a port) means an origin."""
    name = entry.strip().lower().removeprefix("*.").removeprefix(".")
    own = (origin.host, f"{origin.host}:{origin.port}")
    return name == "*" or (name != "" and any(o == name or o.endswith(f".{name}") for o in own))


def _base(api_url: str) -> Url:
    base = Url.read(api_url)
    if base.query:
        raise UsageError("GITHUB_API_URL has a query", fix="write https://host/path")
    if base.origin.scheme != "https" and not _is_loopback(base.origin):
        raise UsageError(
            "GITHUB_API_URL is not https, and the token would be readable on the way", fix="write https://"
        )
    return base


def _is_loopback(origin: Origin) -> bool:
    try:
        return ip_address(origin.host).is_loopback
    except ValueError:
        return origin.host == "localhost"


def _proxy(text: str) -> tuple[Origin, tuple[str, str] | None]:
    """Return where a proxy is, and the login for it; RefusedUrlError where that cannot be read."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        where = Origin.of(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
        login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    except (ValueError, RefusedUrlError) as e:
        # Its own words could name a part of a password with a slash in it.
        raise RefusedUrlError("HTTPS_PROXY is not a plain http(s) address") from e
    return where, login
