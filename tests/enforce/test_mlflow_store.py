"""The ledger inside a real MLflow: the contract of all stores by REST and by MLflow's library, and its layout."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import mlflow_seed
from aigate.collect.access import access
from aigate.collect.deadline import Deadline
from aigate.digest import digest_bytes
from aigate.enforce.mlflow import open_fetcher, open_store, open_writer
from aigate.enforce.mlflow_documents import MOST_BYTES, hash_of
from aigate.enforce.mlflow_store import MlflowStore
from aigate.enforce.store import LedgerError, LedgerStore, TooLargeError
from enforce.contract import Reopen, StoreContract, fresh
from enforce.mlflow_places import new_experiment, opened_at, store_at, tracking_at
from servers import MlflowServer

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def shared() -> str:
    """The experiment in which the contract's models are; they are never named twice."""
    return new_experiment()


class _MlflowContract(StoreContract):
    @pytest.fixture
    def reopen(self, uri: str, shared: str) -> Reopen:
        return lambda: opened_at(uri, shared)

    @pytest.fixture
    def store(self, reopen: Reopen) -> LedgerStore:
        return reopen()

    numbers = 6
    """Each costs a dozen requests of a server with one worker."""

    def test_the_same_document_twice_is_kept_once(self, store: LedgerStore, reopen: Reopen) -> None:
        """By one store; two stores keep it twice, and both references are good."""
        model, content = fresh(), b"the very same"
        first = store.keep(model, digest_bytes(content), content)
        assert store.keep(model, digest_bytes(content), content) == first
        other = reopen().keep(model, digest_bytes(content), content)
        assert store.document(model, other) == store.document(model, first) == content


class TestRest(_MlflowContract):
    @pytest.fixture
    def uri(self, mlflow_server: MlflowServer) -> str:
        return mlflow_server.url


class TestClient(_MlflowContract):
    @pytest.fixture
    def uri(self, mlflow_server: MlflowServer) -> str:
        return mlflow_server.store


@pytest.fixture
def experiment() -> str:
    return new_experiment()


def root_of(uri: str, experiment: str) -> tuple[str, dict[str, str]]:
    """The root run that the root experiment names, and its params."""
    tracking = tracking_at(uri)
    found = tracking.experiment(f"{experiment}.root")
    assert found is not None
    (root,) = [pair["value"] for pair in found["tags"] if pair["key"] == "aigate.root"]
    run = tracking.run(root)
    return root, {pair["key"]: pair["value"] for pair in run["data"]["params"]}


def params_of(uri: str, run_id: str) -> dict[str, str]:
    return {p["key"]: p["value"] for p in tracking_at(uri).run(run_id)["data"].get("params", [])}


def test_both_ways_see_one_ledger(mlflow_server: MlflowServer, experiment: str) -> None:
    rest, client = (opened_at(uri, experiment) for uri in (mlflow_server.url, mlflow_server.store))
    assert rest.append("churn", 1, b'{"n":1}')
    assert client.append("churn", 2, b'{"n":2}')
    assert client.append("churn", 2, b'{"n":0}') is rest.append("churn", 1, b'{"n":0}') is False
    place = client.keep("churn", digest_bytes(b"x" * 9_000), b"x" * 9_000)
    assert rest.read("churn") == client.read("churn") == (b'{"n":1}', b'{"n":2}')
    assert rest.document("churn", place) == b"x" * 9_000


def test_the_layout_is_what_is_documented(mlflow_server: MlflowServer, experiment: str) -> None:
    store = store_at(mlflow_server.url, experiment, segment=3)
    for seq in range(1, 8):
        assert store.append("churn", seq, b'{"n":%d}' % seq)
    _, root = root_of(mlflow_server.url, experiment)
    assert len(root.pop("width")) == 6_000
    assert sorted(root) == [f"ledger.{hash_of('churn')}.{n}" for n in (1, 2, 3)]
    last = params_of(mlflow_server.url, root[f"ledger.{hash_of('churn')}.3"])
    assert last == {"entry.0000007": '{"n":7}'}
    run = tracking_at(mlflow_server.url).run(root[f"ledger.{hash_of('churn')}.3"])
    assert (run["info"]["status"], run["info"]["run_name"]) == ("FINISHED", "aigate ledger churn")
    assert abs(run["info"]["start_time"] / 1000 - time.time()) < 60
    assert {"key": "aigate.segment", "value": "3"} in run["data"]["tags"]


@pytest.mark.parametrize("entries", [2, 3, 4, 6, 7])
def test_segments_are_read_as_one_by_new_and_old_readers(
    mlflow_server: MlflowServer, experiment: str, entries: int
) -> None:
    old = store_at(mlflow_server.url, experiment, segment=3)
    writer = store_at(mlflow_server.url, experiment, segment=3)
    lines: tuple[bytes, ...] = ()
    for seq in range(1, entries + 1):
        lines = (*lines, b'{"n":%d}' % seq)
        assert writer.append("churn", seq, lines[-1])
        assert old.read("churn") == lines
    assert store_at(mlflow_server.url, experiment, segment=3).read("churn") == lines
    assert old.append("churn", entries + 1, b"{}") is True
    assert writer.append("churn", entries + 1, b"[]") is False


def test_a_ledger_of_the_longest_entries_that_escape_worst_is_read(
    mlflow_server: MlflowServer, experiment: str
) -> None:
    """What the cap on a run's bytes is made for: a full run of entries that JSON makes three times as long."""
    store = store_at(mlflow_server.url, experiment)
    entry = "é" * 2_950
    assert store.append("churn", 1, entry.encode())
    run_id = root_of(mlflow_server.url, experiment)[1][f"ledger.{hash_of('churn')}.1"]
    tracking = tracking_at(mlflow_server.url)
    for start in range(2, 501, 100):
        numbers = range(start, min(start + 100, 501))
        tracking.log_params(run_id, {f"entry.{n:07}": entry for n in numbers})
    started = time.perf_counter()
    for reader in (store, store_at(mlflow_server.store, experiment)):
        assert reader.read("churn") == (entry.encode(),) * 500
    assert time.perf_counter() - started < 20
    assert store.append("churn", 501, b"{}")
    assert len(store.read("churn")) == 501


FOREIGN = {
    "another's param": {"note": "hello"},
    "a number of another segment": {"entry.0000900": "{}"},
    "a later number": {"entry.0000004": "{}"},
    "zero": {"entry.0000000": "{}"},
    "a badly written number": {"entry.3": "{}"},
}


@pytest.mark.parametrize("params", FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize("way", ["url", "store"])
def test_what_does_not_belong_there_locks_nobody_out(
    mlflow_server: MlflowServer, experiment: str, params: dict[str, str], way: str
) -> None:
    uri = str(getattr(mlflow_server, way))
    store = store_at(uri, experiment)
    for seq in (1, 2):
        assert store.append("churn", seq, b"{}")
    run_id = root_of(uri, experiment)[1][f"ledger.{hash_of('churn')}.1"]
    tracking_at(uri).log_params(run_id, params)
    for reader in (store, store_at(uri, experiment)):
        assert reader.read("churn") == (b"{}", b"{}")
    other = store_at(uri, experiment)
    assert other.append("churn", 3, b"[]")
    seen = store.read("churn")
    assert seen[:3] == (b"{}", b"{}", b"[]")
    assert seen[3:] == ((b"{}",) if "entry.0000004" in params else ())
    assert other.append("churn", len(seen) + 1, b"last")


def test_a_root_that_names_a_later_segment_only_is_a_fault(
    mlflow_server: MlflowServer, experiment: str
) -> None:
    store = store_at(mlflow_server.url, experiment)
    assert store.append("churn", 1, b"{}")
    root = root_of(mlflow_server.url, experiment)[0]
    tracking = tracking_at(mlflow_server.url)
    tracking.log_param(root, f"ledger.{hash_of('other')}.2", "0" * 32)
    with pytest.raises(LedgerError, match="not all before"):
        store.read("other")
    tracking.log_param(root, f"ledger.{hash_of('churn')}.2", root)
    with pytest.raises(LedgerError, match="lacks entries after number 1"):
        store_at(mlflow_server.url, experiment).read("churn")
    tracking.log_param(root, f"ledger.{hash_of('odd')}.1", "no run's id!")
    with pytest.raises(LedgerError, match="cannot be read"):
        store.read("odd")


def request(uri: str, place: str, body: dict[str, Any]) -> None:
    """What somebody does to MLflow behind aigate's back."""
    from aigate.enforce.rest import RestTracking

    tracking = tracking_at(uri)
    assert isinstance(tracking, RestTracking)
    tracking._write(place, place, body)


@pytest.mark.parametrize("way", ["url", "store"])
@pytest.mark.parametrize("what", ["root experiment", "experiment", "ledger run", "root run"])
def test_what_is_deleted_is_an_error_that_says_how_to_restore_it(
    mlflow_server: MlflowServer, experiment: str, what: str, way: str
) -> None:
    api, uri = mlflow_server.url, str(getattr(mlflow_server, way))
    old = store_at(uri, experiment, patience=0.2)
    assert old.append("churn", 1, b"{}")
    root, params = root_of(api, experiment)
    ledger = params[f"ledger.{hash_of('churn')}.1"]
    if what.endswith("experiment"):
        name = f"{experiment}.root" if what == "root experiment" else experiment
        found = tracking_at(api).experiment(name)
        assert found is not None
        kind, body = "experiments", {"experiment_id": found["experiment_id"]}
        fix = f"mlflow experiments restore -x {found['experiment_id']}"
    else:
        kind, body = "runs", {"run_id": ledger if what == "ledger run" else root}
        fix = f"mlflow runs restore --run-id {body['run_id']}"
    request(api, f"{kind}/delete", body)
    new = store_at(uri, experiment, patience=0.2)
    for ask in (lambda: new.read("churn"), lambda: new.append("churn", 2, b"{}")):
        with pytest.raises(LedgerError, match="is deleted") as caught:
            ask()
        # A deleted experiment takes its runs with it, and one of them is met first.
        assert fix in caught.value.fix or what == "experiment"
    if what in ("experiment", "ledger run"):
        with pytest.raises(LedgerError):
            old.read("churn")
        with pytest.raises(LedgerError, match="was not written") as caught:
            old.append("churn", 2, b"{}")
        assert "mlflow runs restore" in caught.value.fix
    request(api, f"{kind}/restore", body)
    assert new.read("churn") == old.read("churn") == (b"{}",)
    assert new.append("churn", 2, b"[]")


def test_a_root_experiment_that_names_no_run_is_an_error(
    mlflow_server: MlflowServer, experiment: str
) -> None:
    tracking_at(mlflow_server.url).create_experiment(f"{experiment}.root", {})
    store = store_at(mlflow_server.url, experiment)
    with pytest.raises(LedgerError, match=r"aigate\.root"):
        store.read("churn")


def test_a_root_that_names_a_run_that_is_gone_is_an_error(
    mlflow_server: MlflowServer, experiment: str
) -> None:
    tracking_at(mlflow_server.url).create_experiment(f"{experiment}.root", {"aigate.root": "0" * 32})
    for uri in (mlflow_server.url, mlflow_server.store):
        with pytest.raises(LedgerError, match="is gone from MLflow") as caught:
            store_at(uri, experiment).read("churn")
        assert "backup" in caught.value.fix


@pytest.mark.parametrize("entry", [b"", b"\xff\xfe", b"x" * 6_001], ids=["empty", "no UTF-8", "too long"])
def test_an_entry_that_mlflow_would_change_is_refused_before_anything_is_made(
    mlflow_server: MlflowServer, experiment: str, entry: bytes
) -> None:
    with pytest.raises(LedgerError):
        store_at(mlflow_server.url, experiment).append("churn", 1, entry)
    assert tracking_at(mlflow_server.url).experiment(experiment) is None
    assert tracking_at(mlflow_server.url).experiment(f"{experiment}.root") is None


def test_reading_makes_nothing(mlflow_server: MlflowServer, experiment: str) -> None:
    for uri in (mlflow_server.url, mlflow_server.store):
        store = store_at(uri, experiment)
        assert store.read("churn") == ()
        with pytest.raises(LedgerError):
            store.append("churn", 2, b"{}")
        with pytest.raises(LedgerError):
            store.append("churn", 0, b"{}")
        with pytest.raises(LedgerError):
            store.document("churn", "0" * 32)
    assert tracking_at(mlflow_server.url).experiment(experiment) is None
    assert tracking_at(mlflow_server.url).experiment(f"{experiment}.root") is None


def test_a_model_without_a_name_for_filters_is_fine(mlflow_server: MlflowServer, experiment: str) -> None:
    """Names go into tags and into a hash, and nowhere else."""
    store = store_at(mlflow_server.url, experiment)
    assert store.append("x" * 250, 1, b"{}")
    place = store.keep("x" * 250, digest_bytes(b"a"), b"a")
    assert store.document("x" * 250, place) == b"a"


class TestDocuments:
    @pytest.fixture
    def store(self, mlflow_server: MlflowServer, experiment: str) -> MlflowStore:
        return store_at(mlflow_server.url, experiment, patience=0.2)

    def test_it_is_another_models(self, store: MlflowStore) -> None:
        place = store.keep("churn", digest_bytes(b"x"), b"x")
        with pytest.raises(LedgerError, match="no whole document of this model"):
            store.document("other", place)

    def test_a_ledger_run_is_no_document(
        self, store: MlflowStore, mlflow_server: MlflowServer, experiment: str
    ) -> None:
        assert store.append("churn", 1, b"{}")
        root, params = root_of(mlflow_server.url, experiment)
        for run_id in (root, params[f"ledger.{hash_of('churn')}.1"]):
            with pytest.raises(LedgerError, match="no whole document"):
                store.document("churn", run_id)

    def test_it_was_deleted(self, store: MlflowStore, mlflow_server: MlflowServer) -> None:
        place = store.keep("churn", digest_bytes(b"x"), b"x")
        request(mlflow_server.url, "runs/delete", {"run_id": place})
        with pytest.raises(LedgerError, match="is deleted"):
            store.document("churn", place)

    @pytest.mark.parametrize(
        ("parts", "count", "words"),
        [
            (["!!!"], "1", "cannot be unpacked"),
            (["AAAA"], "1", "cannot be unpacked"),
            (["eJw"], "1", "cannot be unpacked"),
            (["eJxLBAAAYgBi"], "2", "not whole"),
            (["eJxLBAAAYgBi"], "x", "not whole"),
            (["eJxLBAAA"], "1", "longer"),
            (["eJxLBAAAYgBi", "AAAA"], "2", "longer"),
            (["eJxLBAAAYgBi"], "1", "another digest"),
        ],
    )
    def test_it_is_not_what_was_kept(
        self,
        store: MlflowStore,
        mlflow_server: MlflowServer,
        parts: list[str],
        count: str,
        words: str,
    ) -> None:
        place = self._forged(store, mlflow_server, parts, count, "b")
        with pytest.raises(LedgerError, match=words):
            store.document("churn", place)

    def test_the_forgery_would_do_if_it_were_true(
        self, store: MlflowStore, mlflow_server: MlflowServer
    ) -> None:
        place = self._forged(store, mlflow_server, ["eJxL", "BAAAYgBi"], "2", "a")
        assert store.document("churn", place) == b"a"

    def test_a_bomb_is_not_unpacked(self, store: MlflowStore, mlflow_server: MlflowServer) -> None:
        import base64
        import tracemalloc
        import zlib

        text = base64.b64encode(zlib.compress(b"\0" * (MOST_BYTES * 4), 9)).decode()
        parts = [text[start : start + 5_900] for start in range(0, len(text), 5_900)]
        place = self._forged(store, mlflow_server, parts, str(len(parts)), "a")
        tracemalloc.start()
        with pytest.raises(LedgerError, match="larger"):
            store.document("churn", place)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES * 3
        tracemalloc.stop()

    def test_too_large_is_said_before_anything_is_written(
        self, store: MlflowStore, mlflow_server: MlflowServer, experiment: str
    ) -> None:
        for content in (os.urandom(520_000), b"\0" * (MOST_BYTES + 1)):
            with pytest.raises(TooLargeError):
                store.keep("churn", digest_bytes(content), content)
        assert tracking_at(mlflow_server.url).experiment(experiment) is None

    def _forged(self, store: MlflowStore, server: MlflowServer, parts: list[str], count: str, of: str) -> str:
        run_id = store._runs.make("forged", {})
        params = {f"part.{n:03}": part for n, part in enumerate(parts)} | {"parts": count}
        params["document"] = f"{hash_of('churn')}.{digest_bytes(of.encode()).partition(':')[2]}"
        items = list(params.items())
        for start in range(0, len(items), 100):
            tracking_at(server.url).log_params(run_id, dict(items[start : start + 100]))
        return run_id


@pytest.mark.slow
@pytest.mark.parametrize("way", ["url", "store"])
def test_who_begin_a_ledger_at_once_agree_on_one(mlflow_server: MlflowServer, way: str) -> None:
    """Eight stores, five rounds, each with an experiment and a model that nobody has seen."""
    uri = str(getattr(mlflow_server, way))
    tracking_at(uri).experiment("nonesuch")  # MLflow is imported once, and not by eight threads
    for _ in range(5):
        experiment = new_experiment()
        stores = [store_at(uri, experiment) for _ in range(8)]
        won: list[bytes] = []
        trouble: list[BaseException] = []
        gate = threading.Barrier(8)

        def begin(
            who: int,
            stores: list[MlflowStore] = stores,
            won: list[bytes] = won,
            trouble: list[BaseException] = trouble,
            gate: threading.Barrier = gate,
        ) -> None:
            line = b'{"by":%d}' % who
            try:
                gate.wait(30)
                if stores[who].append("churn", 1, line):
                    won.append(line)
            except BaseException as e:
                trouble.append(e)

        threads = [threading.Thread(target=begin, args=(who,)) for who in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert trouble == []
        assert len(won) == 1
        assert {store._root() for store in stores} == {root_of(uri, experiment)[0]}
        assert len({store._segments["churn"][1] for store in stores}) == 1
        assert sum(key.startswith("ledger.") for key in root_of(uri, experiment)[1]) == 1
        for store in stores:
            assert store.read("churn") == tuple(won)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["url"])
def test_processes_that_write_one_ledger_make_one_history(mlflow_server: MlflowServer, way: str) -> None:
    """Three processes, each adding five entries of its own to whatever it finds."""
    uri, experiment = str(getattr(mlflow_server, way)), new_experiment()
    program = (
        "import sys; sys.path.insert(0, sys.argv[4])\n"
        "from enforce.mlflow_places import opened_at\n"
        "store = opened_at(sys.argv[1], sys.argv[2])\n"
        "done = 0\n"
        "while done < 5:\n"
        "    seq = len(store.read('churn')) + 1\n"
        "    done += store.append('churn', seq, f'{{\"by\":{sys.argv[3]},\"n\":{done}}}'.encode())\n"
    )
    here = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", program, uri, experiment]
    running = [
        subprocess.Popen([*command, str(who), here], stderr=subprocess.PIPE, text=True) for who in range(3)
    ]
    for process in running:
        assert process.communicate(timeout=180)[1] == ""
        assert process.returncode == 0
    lines = opened_at(uri, experiment).read("churn")
    assert len(lines) == 15
    assert sorted(lines) == sorted(b'{"by":%d,"n":%d}' % (who, n) for who in range(3) for n in range(5))


def test_one_fetcher_serves_store_and_writer(mlflow_server: MlflowServer, experiment: str) -> None:
    place = access({}, Path("/nonexistent"), uri=mlflow_server.url)
    deadline = Deadline(60)
    model = fresh()
    mlflow_seed.connect(mlflow_server.url).create_registered_model(model)
    with open_fetcher(place, deadline) as fetcher:
        store = open_store(place, deadline, fetcher=fetcher, experiment=experiment)
        assert store.append("churn", 1, b"{}")
        store.close()
        assert store.read("churn") == (b"{}",)
        open_writer(place, deadline, fetcher=fetcher).set_model_tag(model, "aigate.ledger", "{}")
    assert store.guarantees().place == mlflow_server.url
    assert experiment not in store.guarantees().line()
