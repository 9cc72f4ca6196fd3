"""Who is believed: signature, age, replay, order of the checks; and what a payload may do, which is to wake."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.listen.delivery import WINDOW, Deliveries, Seen
from aigate.listen.http import MOST_BODY, Conversation, Reply
from sending import MODEL, SECRET, body, request, signature

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SENT = str(int(NOW.timestamp()))


class Door:
    """A receiver without a socket."""

    def __init__(self, model: str = MODEL) -> None:
        self.now = NOW
        self.woken = 0
        self.well = True
        self.deliveries = Deliveries(SECRET, model, lambda: self.now, self._wake, self._health)

    def _wake(self) -> None:
        self.woken += 1

    def _health(self) -> tuple[bool, dict[str, object]]:
        return self.well, {"ok": self.well}

    def send(self, data: bytes) -> Reply:
        reply = Conversation(self.deliveries).feed(data)
        assert reply is not None
        self.deliveries.count(reply)
        return reply


@pytest.fixture
def door() -> Door:
    return Door()


def test_a_signed_delivery_about_the_model_wakes(door: Door) -> None:
    assert door.send(request(sent=SENT)) == Reply(202, "accepted")
    assert door.woken == 1


REFUSED = {
    "another secret": (request(sent=SENT, secret=b"x" * 32), 401, "signature"),
    "no signature": (request(sent=SENT, drop=("x-mlflow-signature",)), 401, "unsigned"),
    "an empty signature": (request(sent=SENT, x_mlflow_signature=""), 401, "signature"),
    "a signature that is not ASCII": (request(sent=SENT, x_mlflow_signature="v1,\xe4\xff"), 401, "signature"),
    "a signature of another scheme": (
        request(sent=SENT, id="a", x_mlflow_signature=signature(SECRET, "a", SENT, body()).replace("v1", "v2")),
        401,
        "signature",
    ),
    "a signature cut short": (
        request(sent=SENT, id="a", x_mlflow_signature=signature(SECRET, "a", SENT, body())[:-2]),
        401,
        "signature",
    ),
    "another body": (
        request(body(version="4"), sent=SENT, id="a", x_mlflow_signature=signature(SECRET, "a", SENT, body())),
        401,
        "signature",
    ),
    "another id": (
        request(sent=SENT, id="b", x_mlflow_signature=signature(SECRET, "a", SENT, body())),
        401,
        "signature",
    ),
    "another timestamp": (
        request(
            sent=str(int(SENT) + 1), id="a", x_mlflow_signature=signature(SECRET, "a", SENT, body())
        ),
        401,
        "signature",
    ),
    "too old": (request(sent=int(SENT) - 301), 401, "stale"),
    "in the future": (request(sent=int(SENT) + 301), 401, "stale"),
    "in milliseconds": (request(sent=SENT + "000"[:2]), 401, "stale"),
    "beyond all years": (request(sent="9" * 12), 401, "stale"),
    "no timestamp": (request(sent=SENT, drop=("x-mlflow-timestamp",)), 400, "malformed"),
    "a signed timestamp": (request(sent="+" + SENT), 400, "malformed"),
    "a timestamp with a fraction": (request(sent=SENT + ".5"), 400, "malformed"),
    "no id": (request(sent=SENT, drop=("x-mlflow-delivery-id",)), 400, "malformed"),
    "an id with a dot": (request(sent=SENT, id="a.b"), 400, "malformed"),
    "a long id": (request(sent=SENT, id="a" * 65), 400, "malformed"),
    "no length": (request(sent=SENT, drop=("content-length",)), 411, "length"),
    "chunked": (request(sent=SENT, transfer_encoding="chunked"), 411, "length"),
    "chunked without a length": (
        request(sent=SENT, drop=("content-length",), transfer_encoding="chunked"),
        411,
        "length",
    ),
    "too long": (request(sent=SENT, content_length=str(MOST_BODY + 1)), 413, "size"),
    "an expectation": (request(sent=SENT, expect="100-continue"), 417, "malformed"),
    "GET": (request(sent=SENT, method="GET"), 405, "method"),
    "PUT": (request(sent=SENT, method="PUT"), 405, "method"),
    "post": (request(sent=SENT, method="post"), 405, "method"),
    "a health check that posts": (request(sent=SENT, path="/healthz"), 405, "method"),
    **{
        f"path {path}": (request(sent=SENT, path=path), 404, "path")
        for path in (
            "/", "/mlflow/", "/mlflow?x=1", "/mlflow#x", "//mlflow", "/./mlflow", "/x/../mlflow", "/MLFLOW",
            "/%6dlflow", "/mlflow%00", "/mlflow;x", "http://127.0.0.1/mlflow", "*", "/admin",
        )
    },
    "no JSON": (request(b"junk", sent=SENT), 400, "json"),
    "nothing": (request(b"", sent=SENT), 400, "json"),
    "not UTF-8": (request(b'{"entity":"\xff"}', sent=SENT), 400, "json"),
    "a list": (request(b"[]", sent=SENT), 400, "json"),
    "no data": (request(b'{"entity":"model_version_alias"}', sent=SENT), 400, "json"),
    "data that is none": (request(b'{"entity":"model_version_alias","data":[]}', sent=SENT), 400, "json"),
    "an entity that is none": (request(b'{"entity":{},"data":{"name":"churn"}}', sent=SENT), 400, "json"),
    "a key twice": (request(b'{"entity":"a","data":{"name":"x","name":"churn"}}', sent=SENT), 400, "json"),
    "NaN": (request(b'{"entity":"a","data":{"name":NaN}}', sent=SENT), 400, "json"),
    "deep": (request(b"[" * 20_000 + b"]" * 20_000, sent=SENT), 400, "json"),
    "deep objects": (request(b'{"a":' * 9_000 + b"1" + b"}" * 9_000, sent=SENT), 400, "json"),
    "a huge number": (request(b'{"a":' + b"9" * 60_000 + b"}", sent=SENT), 400, "json"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_a_delivery_is_refused_and_wakes_nobody(door: Door, name: str) -> None:
    data, status, why = REFUSED[name]
    began = time.process_time()
    reply = door.send(data)
    assert (reply.status, reply.why, door.woken) == (status, why, 0)
    assert time.process_time() - began < 1
    assert door.deliveries.counts() == ({}, {why: 1})


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(body("other"), id="another-model"),
        pytest.param(body("Churn"), id="another-case"),
        pytest.param(body("churn\n"), id="a-line-more"),
        pytest.param(body(["churn"]), id="a-list"),
        pytest.param(body(entity="registered_model_tag"), id="what-each-look-writes"),
        pytest.param(body(entity="prompt_alias"), id="a-prompt"),
        pytest.param(b'{"entity":"model_version_alias","data":{}}', id="no-name"),
    ],
)
def test_what_is_about_something_else_is_taken_and_ignored(door: Door, data: bytes) -> None:
    assert door.send(request(data, sent=SENT)) == Reply(200, "ignored")
    assert door.woken == 0


def test_the_window_is_open_for_five_minutes_both_ways(door: Door) -> None:
    for second in (-300, 300):
        assert door.send(request(sent=int(SENT) + second)).status == 202
    assert timedelta(minutes=5) == WINDOW


def test_a_delivery_that_comes_again_wakes_once(door: Door) -> None:
    data = request(sent=SENT, id="the-same")
    assert [door.send(data).why for _ in range(3)] == ["accepted", "repeated", "repeated"]
    assert door.send(data).status == 200, "MLflow sends again what was not answered with 2xx"
    other = request(body(version="9"), sent=SENT, id="the-same")
    assert door.send(other).why == "repeated"
    assert door.woken == 1
    assert door.deliveries.counts().taken == {"accepted": 1, "repeated": 4}
    assert door.deliveries.counts() == ({}, {})


def test_who_cannot_sign_cannot_use_up_an_id(door: Door) -> None:
    door.send(request(sent=SENT, id="mine", secret=b"x" * 32))
    assert door.send(request(sent=SENT, id="mine")).why == "accepted"


def test_no_recorded_delivery_can_be_replayed_at_any_time(door: Door) -> None:
    data = request(sent=int(SENT) + 290)
    assert door.send(data).why == "accepted"
    for second in range(0, 900, 7):
        door.now = NOW + timedelta(seconds=second)
        assert door.send(data).why in ("repeated", "stale")
    assert door.woken == 1


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(-300, 300), st.integers(0, 200)), max_size=60))
def test_ids_are_remembered_as_long_as_they_could_be_used(steps: list[tuple[int, int, int]]) -> None:
    """An id passes twice only after its first timestamp has left the window."""
    seen, now, until = Seen(), NOW, dict[str, datetime]()
    for number, offset, pause in steps:
        now += timedelta(seconds=pause)
        sent, id = now + timedelta(seconds=offset), str(number)
        if seen.add(id, sent, now):
            assert until.get(id, NOW) <= now
            until[id] = sent + WINDOW


def test_memory_of_ids_is_bounded() -> None:
    seen = Seen(most=100)
    for number in range(1000):
        assert seen.add(str(number), NOW, NOW)
    assert len(seen) == 100
    assert not seen.add("999", NOW, NOW)
    later = NOW + timedelta(minutes=10)
    assert seen.add("one more", later, later)
    assert len(seen) == 1


def test_health_is_the_watcher_s(door: Door) -> None:
    get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (door.send(get).status, json.loads(door.send(get).text)) == (200, {"ok": True})
    door.well = False
    assert door.send(get).status == 503
    assert door.deliveries.counts() == ({}, {}), "nobody counts health checks"


def test_the_secret_is_in_no_answer(door: Door) -> None:
    for data, _, _ in REFUSED.values():
        reply = door.send(data)
        assert SECRET.decode() not in f"{reply}"
    assert SECRET.decode() not in f"{door.deliveries!r}"
