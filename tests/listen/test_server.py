"""Hostile senders on loopback: however many and however slow, a good delivery is heard."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from aigate.errors import UsageError
from aigate.listen.bell import Bell
from aigate.listen.delivery import Deliveries
from aigate.listen.http import MOST_BODY, Head, Reply
from aigate.listen.server import Listener
from sending import MODEL, SECRET, answer, body, connect, request, send

DEADLINE = 0.6


class Open:
    """A listener and what it wakes."""

    def __init__(self, *, slots: int = 32) -> None:
        self.bell = Bell(0)
        self.rings = 0
        self.deliveries = Deliveries(
            SECRET, MODEL, lambda: datetime.now(UTC), self._ring, lambda: (True, {"ok": True})
        )
        self.listener = Listener("127.0.0.1", 0, self.deliveries, slots=slots, deadline=DEADLINE)

    def _ring(self) -> None:
        self.rings += 1
        self.bell.ring()

    @property
    def address(self) -> tuple[str, int]:
        return self.listener.host, self.listener.port

    def send(self, data: bytes) -> int:
        return send(self.address, data)[0]

    def empty(self) -> bool:
        """Whether every place is given back, after a while."""
        end = time.monotonic() + 10
        while self.listener.connections and time.monotonic() < end:
            time.sleep(0.01)
        return not self.listener.connections


@pytest.fixture
def server() -> Iterator[Open]:
    made = Open()
    with made.listener:
        yield made


def test_a_delivery_is_answered_at_once_and_wakes(server: Open) -> None:
    began = time.monotonic()
    assert send(server.address, request()) == (202, {"result": "accepted"})
    assert time.monotonic() - began < DEADLINE
    assert server.bell.wait(5)
    assert server.empty()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(lambda: request(secret=b"x" * 32), 401, id="another-secret"),
        pytest.param(lambda: request(x_mlflow_signature="v1,\xe4"), 401, id="not-ascii"),
        pytest.param(lambda: request(path="/"), 404, id="path"),
        pytest.param(lambda: request(method="GET"), 405, id="method"),
        pytest.param(lambda: request(drop=("content-length",)), 411, id="no-length"),
        pytest.param(lambda: request(b"x" * (MOST_BODY + 1)), 413, id="oversize"),
        pytest.param(lambda: request(b"x" * 900_000), 413, id="far-too-large"),
        pytest.param(lambda: request(b"junk"), 400, id="junk"),
        pytest.param(lambda: request(padding="a" * 9000), 431, id="headers"),
        pytest.param(lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400, id="tls"),
        pytest.param(lambda: b"GET /healthz HTTP/1.1\r\n\r\n", 200, id="health"),
    ],
)
def test_a_sender_hears_why_it_is_refused(server: Open, data: Callable[[], bytes], status: int) -> None:
    assert server.send(data()) == status
    assert server.rings == 0
    assert server.send(request()) == 202


def test_requests_in_a_row_on_one_connection_are_one(server: Open) -> None:
    assert server.send(request() + request()) == 202
    assert server.rings == 1


def test_a_body_that_comes_late_is_waited_for_and_one_that_does_not_is_not(server: Open) -> None:
    data = request()
    with connect(server.address) as sock:
        sock.sendall(data[:-5])
        time.sleep(0.1)
        sock.sendall(data[-5:])
        assert answer(sock)[0] == 202
    began = time.monotonic()
    with connect(server.address) as sock:
        sock.sendall(data[:-5])
        assert answer(sock) == (0, None)
    assert DEADLINE * 0.8 <= time.monotonic() - began < DEADLINE + 3
    assert server.deliveries.counts().refused == {"slow": 1}


@pytest.mark.parametrize(
    "begin",
    [bytes, lambda: b"POST /mlflow HTTP/1.1\r\nX: ", lambda: request()[:-40]],
    ids=["head", "header", "body"],
)
def test_dripping_buys_no_time(server: Open, begin: Callable[[], bytes]) -> None:
    """Every byte is progress, and the deadline is one of the whole connection."""
    start = begin()
    began = time.monotonic()
    with connect(server.address) as sock, contextlib.suppress(OSError):
        sock.sendall(start)
        while time.monotonic() - began < 10:
            sock.sendall(b"a" if start else b"P")
            time.sleep(0.05)
    assert time.monotonic() - began < DEADLINE + 3
    assert server.empty()


def test_half_open_connections_keep_nobody_out(server: Open) -> None:
    held = [connect(server.address) for _ in range(300)]
    try:
        for sock in held[::2]:
            with contextlib.suppress(OSError):
                sock.sendall(b"POST /mlflow HTTP/1.1\r\n")
        began = time.monotonic()
        assert server.send(request()) == 202
        assert time.monotonic() - began < DEADLINE, "it took the place of one that says nothing"
        assert server.listener.connections <= 32
    finally:
        for sock in held:
            sock.close()
    assert server.empty()
    assert server.send(request()) == 202
    assert server.deliveries.counts().refused["crowded"] >= 300 - 32 - 64


def test_they_keep_coming_and_nobody_is_kept_out(server: Open) -> None:
    over = threading.Event()

    def attack() -> None:
        held: list[socket.socket] = []
        while not over.is_set():
            with contextlib.suppress(OSError):
                held.append(connect(server.address))
            if len(held) > 100:
                held.pop(0).close()
            time.sleep(0.001)
        for sock in held:
            sock.close()

    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(attack)
        time.sleep(0.2)
        answers = [server.send(request()) for _ in range(10)]
        over.set()
    assert answers.count(202) == 10, answers
    assert server.empty()


def test_a_flood_of_good_deliveries_is_few_looks(server: Open) -> None:
    looks, over = 0, threading.Event()
    bell = server.bell

    def watch() -> None:
        nonlocal looks
        while not over.is_set():
            if bell.wait(0.2) and bell.woken:
                looks += 1
                time.sleep(0.2)  # what a look takes at least

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(server.send, [request() for _ in range(200)]))
    time.sleep(0.5)
    over.set()
    watcher.join()
    assert answers == [202] * 200
    assert server.rings == 200
    assert 1 <= looks <= 10


def test_one_delivery_at_the_same_time_many_times_is_one(server: Open) -> None:
    data = request(id="the-same")
    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(server.send, [data] * 40))
    assert answers == [200] * 39 + [202]
    assert server.rings == 1


def test_a_fault_of_ours_gives_the_place_back() -> None:
    """A permit that is lost with each exception ends in a receiver that refuses everybody for ever."""

    class Broken:
        counted: list[str] = []

        def head(self, head: Head) -> Reply | None:
            raise RuntimeError("a bug")

        def whole(self, head: Head, body: bytes) -> Reply:
            raise AssertionError

        def count(self, reply: Reply) -> None:
            self.counted.append(reply.why)

    judge = Broken()
    with Listener("127.0.0.1", 0, judge, slots=4, deadline=DEADLINE) as listener:
        for _ in range(20):
            assert send((listener.host, listener.port), request()) == (0, None)
        assert listener.connections <= 4
    assert judge.counted.count("trouble") == 20


def test_an_address_that_is_taken_is_said(server: Open) -> None:
    with pytest.raises(UsageError, match="cannot listen"):
        Listener("127.0.0.1", server.listener.port, server.deliveries)
    with pytest.raises(UsageError, match="cannot listen"):
        Listener("no.such.host.invalid", 0, server.deliveries)


def test_it_ends_with_connections_open() -> None:
    made = Open()
    began = time.monotonic()
    with made.listener:
        held = [connect(made.address) for _ in range(10)]
    assert time.monotonic() - began < 5
    for sock in held:
        sock.close()
    with pytest.raises(OSError, match="refused"):
        connect(made.address)


def test_the_answer_names_nothing_of_the_payload(server: Open) -> None:
    status, told = send(server.address, request(body("<script>\x1b[31m")))
    assert (status, told) == (200, {"result": "ignored"})
