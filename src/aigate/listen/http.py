"""As much of HTTP/1.1 (RFC 9112) as a receiver of small signed posts needs, and nothing of it lenient. Pure.

One request a connection. What two parsers could read in two ways (folded
lines, bare line feeds, a header that comes twice, two ways of saying how long
a body is) is refused. Nothing here reads a socket, so that every byte a
stranger can send can be tried by a test.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

MOST_HEAD = 8 * 1024
"""Bytes of the request line and all headers; MLflow sends some 500."""

MOST_FIELDS = 64
"""Headers of one request."""

MOST_BODY = 64 * 1024
"""Bytes of a body; Standard Webhooks asks senders to stay below 20 kB."""

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]{1,2000}) HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
_LENGTH = re.compile(r"[0-9]{1,12}")
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Reply:
    """What a sender is answered; `why` is what it was counted as."""

    status: int
    why: str
    text: str = ""
    """More for the sender, as JSON; the reason alone where empty."""
    headers: tuple[tuple[str, str], ...] = ()


class RefusedError(Exception):
    """A request that is not read any further."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.reply = Reply(status, why)


@dataclass(frozen=True)
class Head:
    """A request's first line and headers."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in small letters; a value's bytes are read as Latin-1, so that none is lost."""

    @property
    def length(self) -> int | None:
        """The body's length in bytes; None where it is not said. Raises RefusedError where it is not to be had."""
        if "transfer-encoding" in self.headers:
            raise RefusedError(411, "length")
        said = self.headers.get("content-length")
        if said is None:
            return None
        if _LENGTH.fullmatch(said) is None:
            raise RefusedError(400, "malformed")
        return int(said)


class Judge(Protocol):
    """Who says what becomes of a request."""

    def head(self, head: Head) -> Reply | None:
        """Return the answer where the headers are enough for one; None where the body is wanted."""

    def whole(self, head: Head, body: bytes) -> Reply:
        """Return the answer to a request with its body."""


def read_head(data: bytes) -> Head:
    """Read a request's head, without the empty line that ends it. Raises RefusedError."""
    first, *lines = data.split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None or len(lines) > MOST_FIELDS:
        raise RefusedError(400, "malformed")
    headers: dict[str, str] = {}
    for text in lines:
        found = _FIELD.fullmatch(text)
        if found is None:
            raise RefusedError(400, "malformed")
        name = found[1].decode().lower()
        if name in headers:
            raise RefusedError(400, "malformed")
        headers[name] = found[2].decode("latin-1").strip(" \t")
    return Head(line[1].decode(), line[2].decode(), headers)


class Conversation:
    """One request as it comes in, piece by piece; holds `MOST_HEAD` and `MOST_BODY` bytes at most."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._kept = bytearray()
        self._head: Head | None = None
        self._wanted = 0

    def feed(self, data: bytes) -> Reply | None:
        """Take what has come, and return the answer as soon as there is one. What follows it is not looked at."""
        try:
            return self._feed(data)
        except RefusedError as e:
            return e.reply

    def _feed(self, data: bytes) -> Reply | None:
        if self._head is None:
            self._kept += data[: MOST_HEAD + MOST_BODY]
            end = self._kept.find(_END, 0, MOST_HEAD)
            if end < 0:
                if len(self._kept) >= MOST_HEAD:
                    raise RefusedError(431, "headers")
                return None
            self._head = read_head(bytes(self._kept[:end]))
            if (early := self._judge.head(self._head)) is not None:
                return early
            self._wanted = _wanted(self._head)
            data = bytes(self._kept[end + len(_END) :])
            self._kept.clear()
        self._kept += data[: self._wanted - len(self._kept)]
        if len(self._kept) < self._wanted:
            return None
        return self._judge.whole(self._head, bytes(self._kept))


def _wanted(head: Head) -> int:
    length = head.length
    if length is None:
        raise RefusedError(411, "length")
    if length > MOST_BODY:
        raise RefusedError(413, "size")
    return length


_REASONS = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def written(reply: Reply) -> bytes:
    """Return a reply's bytes. The connection ends with it."""
    body = (reply.text or f'{{"result":"{reply.why}"}}').encode() + b"\n"
    lines = [
        f"HTTP/1.1 {reply.status} {_REASONS[reply.status]}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *(f"{name}: {value}" for name, value in reply.headers),
    ]
    return "\r\n".join(lines).encode() + _END + body
