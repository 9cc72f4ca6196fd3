"""The request parser: strict, bounded, and the same however the bytes come in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.listen.http import MOST_BODY, MOST_FIELDS, MOST_HEAD, Conversation, Head, Reply, written


class Taker:
    """Takes every request, and remembers it."""

    def __init__(self, early: Reply | None = None) -> None:
        self.early = early
        self.taken: list[tuple[Head, bytes]] = []

    def head(self, head: Head) -> Reply | None:
        return self.early

    def whole(self, head: Head, body: bytes) -> Reply:
        self.taken.append((head, body))
        return Reply(202, "accepted")


def say(data: bytes, taker: Taker | None = None) -> Reply | None:
    return Conversation(taker or Taker()).feed(data)


def post(*lines: str, body: bytes = b"{}", length: int | None = None) -> bytes:
    fields = [f"Content-Length: {len(body) if length is None else length}", *lines]
    return "\r\n".join(["POST /mlflow HTTP/1.1", *fields]).encode("latin-1") + b"\r\n\r\n" + body


def test_a_request_is_read() -> None:
    taker = Taker()
    reply = say(post("X-One:  1 ", "x-two: \xe4\tb"), taker)
    assert reply == Reply(202, "accepted")
    [(head, body)] = taker.taken
    assert (head.method, head.target, body) == ("POST", "/mlflow", b"{}")
    assert head.headers == {"content-length": "2", "x-one": "1", "x-two": "\xe4\tb"}


MALFORMED = {
    "no version": b"POST /mlflow\r\n\r\n",
    "HTTP/2": b"POST /mlflow HTTP/2.0\r\n\r\n",
    "HTTP/1.10": b"POST /mlflow HTTP/1.10\r\n\r\n",
    "two spaces": b"POST  /mlflow HTTP/1.1\r\n\r\n",
    "a space in the path": b"POST /ml flow HTTP/1.1\r\n\r\n",
    "a path that is not ASCII": b"POST /ml\xfflow HTTP/1.1\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "a bare line feed": b"POST /mlflow HTTP/1.1\nContent-Length: 2\r\n\r\n{}",
    "a bare line feed in a header": post("X: a\nContent-Length: 9"),
    "a bare carriage return": post("X: a\rb"),
    "a null byte": post("X: a\x00b"),
    "a folded line": post("X: a", " b"),
    "a header without a colon": post("nonsense"),
    "a header without a name": post(": x"),
    "a space before the colon": post("Content-Type : x"),
    "a header that comes twice": post("X: 1", "x: 2"),
    "two lengths": post("Content-Length: 2"),
    "a signed length": post(length=None).replace(b": 2", b": +2"),
    "a negative length": post().replace(b": 2", b": -2"),
    "a length in hex": post().replace(b": 2", b": 0x2"),
    "a length with a list": post().replace(b": 2", b": 2, 2"),
    "a length in other digits": post().replace(b": 2", b": \xb2"),
    "an absurd length": post().replace(b": 2", b": 9999999999999999999"),
    "too many headers": post(*(f"x-{n}: 1" for n in range(MOST_FIELDS))),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_is_refused(name: str) -> None:
    taker = Taker()
    assert say(MALFORMED[name], taker) == Reply(400, "malformed")
    assert taker.taken == []


def test_a_body_has_a_length_and_that_is_small() -> None:
    assert say(b"POST /mlflow HTTP/1.1\r\n\r\n") == Reply(411, "length")
    assert say(post("Transfer-Encoding: chunked")) == Reply(411, "length")
    assert say(post(length=MOST_BODY + 1)) == Reply(413, "size")
    assert say(post(body=b"x" * MOST_BODY)) == Reply(202, "accepted")


def test_headers_are_bounded() -> None:
    conversation = Conversation(Taker())
    assert conversation.feed(b"POST /mlflow HTTP/1.1\r\nX: ") is None
    for _ in range(MOST_HEAD // 1024 - 1):
        assert conversation.feed(b"a" * 1024) is None
    assert conversation.feed(b"a" * 1024) == Reply(431, "headers")
    assert say(b"a" * 10_000_000) == Reply(431, "headers")


def test_an_early_answer_wants_no_body() -> None:
    taker = Taker(early=Reply(404, "path"))
    assert say(post(length=60_000, body=b""), taker) == Reply(404, "path")
    assert taker.taken == []


def test_what_follows_a_request_is_not_read() -> None:
    taker = Taker()
    assert say(post(body=b"one") + post(body=b"two"), taker) == Reply(202, "accepted")
    assert [body for _, body in taker.taken] == [b"one"]


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=30))
def test_any_bytes_end_in_an_answer_or_in_waiting(data: bytes, pieces: list[int]) -> None:
    one, many = say(data), Conversation(Taker())
    assert one is None or one.status in (202, 400, 411, 413, 431)
    assert _in_pieces(many, data, pieces) == one


_TOKENS = st.sampled_from(
    [
        b"POST /mlflow HTTP/1.1", b"GET /healthz HTTP/1.0", b"\r\n", b"\n", b"\r", b": ", b"Content-Length: 2",
        b"Content-Length: 0", b"content-length", b"Transfer-Encoding: chunked", b"{}", b" ", b"\x00", b"\xff", b"x",
    ]
)  # fmt: skip


@given(st.lists(_TOKENS, max_size=16), st.lists(st.integers(1, 40), max_size=30))
def test_near_requests_are_read_the_same_in_any_pieces(tokens: list[bytes], pieces: list[int]) -> None:
    data = b"".join(tokens)
    whole, parts = Taker(), Taker()
    assert say(data, whole) == _in_pieces(Conversation(parts), data, pieces)
    assert whole.taken == parts.taken
    for head, body in whole.taken:
        assert len(body) == head.length


@settings(max_examples=50)
@given(st.binary(max_size=200), st.lists(st.integers(1, 90), max_size=12))
def test_a_body_arrives_as_it_was_sent(body: bytes, pieces: list[int]) -> None:
    taker = Taker()
    assert _in_pieces(Conversation(taker), post("X: 1", body=body), pieces) == Reply(202, "accepted")
    assert [found for _, found in taker.taken] == [body]


def _in_pieces(conversation: Conversation, data: bytes, pieces: list[int]) -> Reply | None:
    for size in pieces:
        piece, data = data[:size], data[size:]
        if (reply := conversation.feed(piece)) is not None:
            return reply
    return conversation.feed(data)


def test_an_answer_ends_the_connection() -> None:
    text = written(Reply(405, "method", headers=(("Allow", "POST"),))).decode()
    assert text.startswith("HTTP/1.1 405 Method Not Allowed\r\n")
    assert "\r\nConnection: close\r\n" in text
    assert "\r\nAllow: POST\r\n\r\n" in text
    assert text.endswith('{"result":"method"}\n')
