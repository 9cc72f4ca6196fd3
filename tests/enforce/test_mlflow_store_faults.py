"""The ledger inside MLflow, when MLflow or what stands before it does not do what it says."""

import threading
import time
from collections.abc import Iterator

import pytest

from aigate.digest import digest_bytes
from aigate.enforce.mlflow_store import MlflowStore
from aigate.enforce.store import LedgerError, UncertainError
from enforce.mlflow_places import (
    HTML,
    Fault,
    Forward,
    Proxy,
    answers,
    commits_and,
    cuts,
    error,
    lags,
    new_experiment,
    store_at,
    waits,
)
from fakes import Asked, Reply, WebServer, json_reply
from servers import MlflowServer

pytestmark = pytest.mark.server

WRITE = "runs/log-parameter"
HALF = Reply(b'{"run_id": "', 200)
BUSY = error("TEMPORARILY_UNAVAILABLE", 503)
CHANGED = error(
    "INVALID_PARAMETER_VALUE",
    400,
    "Changing param values is not allowed. Param with key='entry.0000002' was already logged with value='x'",
)
REFUSED = error("INVALID_PARAMETER_VALUE", 400, "The run must be in the 'active' state.")


@pytest.fixture
def proxy(mlflow_server: MlflowServer) -> Iterator[Proxy]:
    with Proxy(mlflow_server.url) as proxy:
        yield proxy


@pytest.fixture
def experiment() -> str:
    return new_experiment()


@pytest.fixture
def truth(mlflow_server: MlflowServer, experiment: str) -> MlflowStore:
    """A ledger of one entry, seen without the proxy."""
    store = store_at(mlflow_server.url, experiment)
    assert store.append("churn", 1, b'{"n":1}')
    return store


@pytest.fixture
def store(proxy: Proxy, experiment: str, truth: MlflowStore) -> MlflowStore:
    """The same ledger through the proxy, read once, so that the next append is one write and one look."""
    store = store_at(proxy.url(), experiment, patience=0.3)
    assert len(store.read("churn")) == 1
    proxy.asked.clear()
    return store


DOUBTFUL: dict[str, Reply] = {
    "503": BUSY,
    "502 page": Reply(b"<html>bad gateway</html>", 502, content_type="text/html"),
    "500": error("INTERNAL_ERROR", 500),
    "429": error("REQUEST_LIMIT_EXCEEDED", 429),
    "400 of a failed commit": error("BAD_REQUEST", 400, "(sqlite3.IntegrityError)"),
    "400 without words": Reply(b"", 400),
    "409": error("RESOURCE_CONFLICT", 409),
    "404 page": Reply(b"<html>not found</html>", 404, content_type="text/html"),
    "200 page": HTML,
    "200 half": HALF,
    "200 empty": Reply(b"", 200),
    "200 list": Reply(b"[]", 200),
    "200": json_reply({}),
    "redirect": Reply(b"", 307, {"Location": "/elsewhere"}),
    "nothing": Reply(b"", 200, {"Content-Length": "10"}),
}


@pytest.mark.parametrize("reply", DOUBTFUL.values(), ids=DOUBTFUL.keys())
def test_an_entry_that_was_written_is_ours_whatever_is_answered(
    proxy: Proxy, store: MlflowStore, truth: MlflowStore, reply: Reply
) -> None:
    proxy.fail(WRITE, commits_and(reply))
    assert store.append("churn", 2, b'{"n":2}') is True
    assert proxy.count(WRITE) == 1
    assert truth.read("churn") == store.read("churn") == (b'{"n":1}', b'{"n":2}')


@pytest.mark.parametrize("reply", DOUBTFUL.values(), ids=DOUBTFUL.keys())
def test_an_entry_that_was_not_written_and_not_refused_is_uncertain(
    proxy: Proxy, store: MlflowStore, truth: MlflowStore, reply: Reply
) -> None:
    proxy.fail(WRITE, answers(reply))
    with pytest.raises(UncertainError, match="entry 2 of 'churn'"):
        store.append("churn", 2, b'{"n":2}')
    assert proxy.count(WRITE) == 1, "a write is never repeated"
    assert "/elsewhere" not in [asked.path for asked in proxy.asked]
    assert truth.read("churn") == (b'{"n":1}',)
    assert store.append("churn", 2, b'{"n":2}') is True


REFUSALS: dict[str, Reply] = {
    "401": Reply(b"no", 401),
    "403": error("PERMISSION_DENIED", 403),
    "404": error("RESOURCE_DOES_NOT_EXIST", 404),
    "400": REFUSED,
    "400 malformed": error("MALFORMED_REQUEST", 400),
    "400 with other words of change": error(
        "INVALID_PARAMETER_VALUE", 400, "Not so: Changing param values is not allowed."
    ),
}


@pytest.mark.parametrize("reply", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_clear_refusal_is_an_error_at_once(
    proxy: Proxy, store: MlflowStore, truth: MlflowStore, reply: Reply
) -> None:
    proxy.fail(WRITE, answers(reply))
    with pytest.raises(LedgerError, match="was not written"):
        store.append("churn", 2, b'{"n":2}')
    assert (proxy.count(WRITE), proxy.count("runs/get")) == (1, 1), "no patience is needed"
    assert truth.read("churn") == (b'{"n":1}',)


def test_even_after_a_refusal_what_stands_there_counts(proxy: Proxy, store: MlflowStore) -> None:
    proxy.fail(WRITE, commits_and(REFUSED))
    assert store.append("churn", 2, b'{"n":2}') is True


@pytest.mark.parametrize("reply", [*DOUBTFUL.values(), None], ids=[*DOUBTFUL.keys(), "as MLflow answers"])
def test_anothers_entry_is_his(
    proxy: Proxy, store: MlflowStore, truth: MlflowStore, reply: Reply | None
) -> None:
    assert truth.append("churn", 2, b'{"n":0}')
    if reply is not None:
        proxy.fail(WRITE, commits_and(reply))
    assert store.append("churn", 2, b'{"n":2}') is False
    assert store.read("churn") == (b'{"n":1}', b'{"n":0}')


def test_a_replica_that_lags_is_waited_for(proxy: Proxy, experiment: str, truth: MlflowStore) -> None:
    store = store_at(proxy.url(), experiment, patience=20)
    assert len(store.read("churn")) == 1
    proxy.fail("runs/get", lags, times=3)
    assert store.append("churn", 2, b'{"n":2}') is True


def test_anothers_entry_that_the_replica_does_not_show_is_still_not_ours(
    proxy: Proxy, store: MlflowStore, truth: MlflowStore
) -> None:
    """MLflow's own words are enough for that: they can only take away."""
    assert truth.append("churn", 2, b'{"n":0}')
    proxy.fail("runs/get", lags, times=50)
    assert store.append("churn", 2, b'{"n":2}') is False


def test_words_of_change_over_nothing_are_not_ours(proxy: Proxy, store: MlflowStore) -> None:
    proxy.fail(WRITE, answers(CHANGED))
    assert store.append("churn", 2, b'{"n":2}') is False


def test_an_entry_that_was_cut_is_an_error(proxy: Proxy, store: MlflowStore) -> None:
    proxy.fail(WRITE, cuts(5_000))
    with pytest.raises(LedgerError, match="cut to 5000 characters"):
        store.append("churn", 2, b"x" * 5_900)
    assert proxy.count(WRITE) == 1


def test_a_server_that_keeps_too_little_is_found_out_before_the_first_entry(
    proxy: Proxy, experiment: str, mlflow_server: MlflowServer
) -> None:
    proxy.fail(WRITE, cuts(500))
    with pytest.raises(LedgerError, match="of 6000 characters it kept 500"):
        store_at(proxy.url(), experiment).append("churn", 1, b"{}")
    assert store_at(mlflow_server.url, experiment).read("churn") == ()
    assert store_at(mlflow_server.url, experiment).append("churn", 1, b"{}")


@pytest.mark.parametrize("committed", [True, False])
def test_a_write_that_is_not_answered_ends_with_the_deadline(
    proxy: Proxy, experiment: str, truth: MlflowStore, committed: bool
) -> None:
    release = threading.Event()

    def fault(asked: Asked, forward: Forward) -> Reply:
        if committed:
            forward(asked)
        return waits(release)(asked, forward)

    store = store_at(proxy.url(), experiment, seconds=2)
    assert len(store.read("churn")) == 1
    proxy.fail(WRITE, fault)
    started = time.monotonic()
    try:
        with pytest.raises(UncertainError):
            store.append("churn", 2, b'{"n":2}')
    finally:
        release.set()
    assert time.monotonic() - started < 3
    assert proxy.count(WRITE) == 1
    assert len(truth.read("churn")) == 1 + committed


def test_after_the_deadline_nothing_is_sent(proxy: Proxy, experiment: str, truth: MlflowStore) -> None:
    store = store_at(proxy.url(), experiment, seconds=1.5)
    assert len(store.read("churn")) == 1
    time.sleep(1.6)
    with pytest.raises(LedgerError, match="nothing was sent"):
        store.append("churn", 2, b"{}")
    assert proxy.count(WRITE) == 0


def test_a_server_that_is_gone_is_an_error_and_nothing_is_uncertain(
    mlflow_server: MlflowServer, experiment: str, truth: MlflowStore
) -> None:
    with Proxy(mlflow_server.url) as proxy:
        store = store_at(proxy.url(), experiment)
        store.read("churn")
    with pytest.raises(LedgerError, match="so nothing was written"):
        store.append("churn", 2, b"{}")
    for ask in (
        lambda: store.read("churn"),
        lambda: store.keep("churn", digest_bytes(b"x"), b"x"),
        lambda: store.document("churn", "0" * 32),
    ):
        with pytest.raises(LedgerError):
            ask()


def test_a_redirect_of_a_write_does_not_reach_its_target(
    proxy: Proxy, store: MlflowStore, truth: MlflowStore
) -> None:
    with WebServer(default=json_reply({})) as thief:
        for status in (301, 302, 303, 307, 308):
            proxy.fail(WRITE, answers(Reply(b"", status, {"Location": thief.url("/api/2.0/mlflow/x")})))
            with pytest.raises(UncertainError):
                store.append("churn", 2, b'{"n":2}')
        assert thief.asked == []
    assert len(truth.read("churn")) == 1


UNREADABLE: dict[str, Reply] = {
    "503": BUSY,
    "500": error("INTERNAL_ERROR", 500),
    "403": error("PERMISSION_DENIED", 403),
    "page": HTML,
    "half": HALF,
    "empty": json_reply({}),
    "another run": json_reply(
        {"run": {"info": {"run_id": "a" * 32, "lifecycle_stage": "active", "status": "FINISHED"}, "data": {}}}
    ),
    "gone": error("RESOURCE_DOES_NOT_EXIST", 404),
}


@pytest.mark.parametrize("reply", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_ledger_that_cannot_be_read_is_never_an_empty_one(
    proxy: Proxy, experiment: str, truth: MlflowStore, reply: Reply
) -> None:
    for place, before in (("experiments/get-by-name", 0), ("runs/get", 0), ("runs/get", 1)):
        if place == "experiments/get-by-name" and reply is UNREADABLE["gone"]:
            continue  # that is how MLflow says that there is no ledger
        proxy._faults.clear()
        for _ in range(before):
            proxy.fail(place, lambda asked, forward: forward(asked))
        proxy.fail(place, answers(reply), times=3)  # a reading is repeated twice
        with pytest.raises(LedgerError):
            store_at(proxy.url(), experiment, seconds=20).read("churn")


@pytest.mark.parametrize("reply", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_written_entry_that_cannot_be_looked_at_is_uncertain(
    proxy: Proxy, store: MlflowStore, truth: MlflowStore, reply: Reply
) -> None:
    proxy.fail("runs/get", answers(reply), times=100)
    with pytest.raises(UncertainError):
        store.append("churn", 2, b'{"n":2}')
    proxy._faults.clear()
    assert store.append("churn", 2, b'{"n":2}') is True
    assert len(truth.read("churn")) == 2


BEGINNING = ("experiments/create", "runs/create", WRITE)
"""What is written to begin a ledger: two experiments, two runs; a probe, the register and the entry."""


@pytest.mark.sampled(5)
@pytest.mark.parametrize("place", BEGINNING)
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize(
    "fault",
    [commits_and(BUSY), answers(BUSY), answers(json_reply({})), answers(REFUSALS["403"]), commits_and(HTML)],
    ids=["503 after", "503", "200 that does nothing", "403", "page after"],
)
def test_a_ledger_that_was_begun_badly_can_be_begun_again(
    proxy: Proxy, experiment: str, mlflow_server: MlflowServer, place: str, nth: int, fault: Fault
) -> None:
    """Whatever fails on the way, what is said is true, and the next attempt makes one ledger of it."""
    for _ in range(nth - 1):
        proxy.fail(place, lambda asked, forward: forward(asked))
    proxy.fail(place, fault)
    try:
        said: bool | None = store_at(proxy.url(), experiment, patience=0.2).append("churn", 1, b'{"n":1}')
    except LedgerError:
        said = False
    except UncertainError:
        said = None
    truth = store_at(mlflow_server.url, experiment)
    found = truth.read("churn")
    assert said is None or found == ((b'{"n":1}',) if said else ())
    assert truth.append("churn", 1, b'{"n":1}') is True
    assert truth.append("churn", 2, b'{"n":2}') is True
    assert store_at(mlflow_server.url, experiment).read("churn") == (b'{"n":1}', b'{"n":2}')


class TestDocuments:
    content = bytes(range(256)) * 3

    def test_a_part_that_was_written_counts_whatever_is_answered(
        self, proxy: Proxy, store: MlflowStore
    ) -> None:
        proxy.fail("runs/log-batch", commits_and(BUSY))
        place = store.keep("churn", digest_bytes(self.content), self.content)
        assert proxy.count("runs/log-batch") == 1
        assert store.document("churn", place) == self.content

    @pytest.mark.parametrize(
        ("place", "fault"),
        [
            ("runs/create", commits_and(BUSY)),
            ("runs/create", answers(HTML)),
            ("runs/create", answers(json_reply({"run": {"info": {"run_id": "../x"}}}))),
            ("runs/log-batch", answers(BUSY)),
            ("runs/log-batch", answers(json_reply({}))),
            ("runs/log-batch", answers(REFUSED)),
        ],
    )
    def test_what_was_not_kept_is_an_error(
        self, proxy: Proxy, store: MlflowStore, place: str, fault: Fault
    ) -> None:
        proxy.fail(place, fault)
        with pytest.raises(LedgerError):
            store.keep("churn", digest_bytes(self.content), self.content)
        assert proxy.count(place) == 1
        assert store.document("churn", store.keep("churn", digest_bytes(self.content), self.content)), (
            "a second attempt is a new one"
        )

    def test_one_that_was_cut_short_between_its_parts_is_none(self, proxy: Proxy, store: MlflowStore) -> None:
        import random

        content = random.Random(0).randbytes(450_000)
        proxy.fail("runs/log-batch", lambda asked, forward: forward(asked))
        proxy.fail("runs/log-batch", answers(BUSY))
        with pytest.raises(LedgerError, match="was not kept"):
            store.keep("churn", digest_bytes(content), content)
        begun = next(asked.json()["run_id"] for asked in proxy.asked if asked.path.endswith("log-batch"))
        with pytest.raises(LedgerError, match="no whole document"):
            store.document("churn", begun)

    def test_a_run_that_is_not_marked_as_finished_holds_it_all_the_same(
        self, proxy: Proxy, store: MlflowStore
    ) -> None:
        proxy.fail("runs/update", answers(BUSY))
        place = store.keep("churn", digest_bytes(self.content), self.content)
        assert store.document("churn", place) == self.content

    def test_silence_ends_with_the_deadline(self, proxy: Proxy, experiment: str, truth: MlflowStore) -> None:
        release = threading.Event()
        store = store_at(proxy.url(), experiment, seconds=2)
        proxy.fail("runs/log-batch", waits(release))
        started = time.monotonic()
        try:
            with pytest.raises(LedgerError):
                store.keep("churn", digest_bytes(self.content), self.content)
        finally:
            release.set()
        assert time.monotonic() - started < 3
