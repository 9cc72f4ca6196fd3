import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aigate.errors import ConfigError
from asking import Ask, fresh, served, why_missing
from fakes import Asked, Reply, WebServer

QUERY = 'embeddings_built_timestamp_seconds{job="embed"}'


def sample(now: datetime, value: str, *, evaluated: float | None = None) -> dict[str, object]:
    return {"metric": {}, "value": [now.timestamp() if evaluated is None else evaluated, value]}


def vector(*samples: dict[str, object], **more: object) -> dict[str, object]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(samples)}, **more}


def built(now: datetime, **span: float) -> str:
    return str((now - timedelta(**span)).timestamp())


def asked_with(ask: Ask, now: datetime, body: object, *, status: int = 200, **declared: object):  # type: ignore[no-untyped-def]
    with WebServer({"/api/v1/query": served(body, now, status=status)}) as server:
        return ask({"prometheus": server.url(), "query": QUERY, **declared})


class TestShapes:
    def test_a_time(self, ask: Ask, now: datetime) -> None:
        def route(asked: Asked) -> Reply:
            assert asked.param("query") == QUERY
            return served(vector(sample(now, built(now, hours=5), evaluated=now.timestamp() - 2)), now)

        with WebServer({"/prom/api/v1/query": route}) as server:
            reading = ask({"prometheus": server.url("/prom/"), "query": QUERY, "kind": "built"})
        found = fresh(reading)
        assert found.kind == "built"
        assert found.as_of == now - timedelta(hours=5)
        assert found.observed_at == now - timedelta(seconds=2)
        assert reading.source.adapter == "prometheus"
        assert reading.source.shown.endswith("/prom/api/v1/query")

    def test_value_0_is_never_taken_for_the_data(self, ask: Ask, now: datetime) -> None:
        body = vector(sample(now, built(now, days=40)))
        assert fresh(asked_with(ask, now, body)).as_of == now - timedelta(days=40)

    def test_a_scalar(self, ask: Ask, now: datetime) -> None:
        body = {
            "status": "success",
            "data": {"resultType": "scalar", "result": [now.timestamp(), built(now, hours=1)]},
        }
        assert fresh(asked_with(ask, now, body)).as_of == now - timedelta(hours=1)

    def test_scientific_notation(self, ask: Ask, now: datetime) -> None:
        body = vector(sample(now, "1.7952552e+09"))
        assert fresh(asked_with(ask, now, body)).as_of == now - timedelta(hours=2)

    def test_info_annotations_do_no_harm(self, ask: Ask, now: datetime) -> None:
        body = vector(sample(now, built(now, hours=1)), infos=["metric might not be a counter"])
        fresh(asked_with(ask, now, body))

    def test_milliseconds_declared(self, ask: Ask, now: datetime) -> None:
        body = vector(sample(now, str(int((now - timedelta(hours=1)).timestamp() * 1000))))
        assert fresh(asked_with(ask, now, body, unit="ms")).as_of == now - timedelta(hours=1)

    def test_an_evaluation_long_ago_is_old_evidence(self, ask: Ask, now: datetime) -> None:
        body = vector(sample(now, built(now, hours=5), evaluated=now.timestamp() - 3600))
        assert fresh(asked_with(ask, now, body)).observed_at == now - timedelta(hours=1)


NOTHING = {
    "missing series": (vector(), "no such series"),
    "nan": ("NaN", "not a number"),
    "infinity": ("+Inf", "not a number"),
    "minus infinity": ("-Inf", "not a number"),
    "milliseconds taken for seconds": ("1795255200000", "unit"),
    "zero, as from a default": ("0", "sentinel"),
    "minus one": ("-1", "sentinel"),
    "future": ("1795269600", "future"),
    "an age where a time is declared": ("3600", "sentinel"),
    "hexadecimal": ("0x10", "not a number"),
    "empty": ("", "not a number"),
}


@pytest.mark.parametrize(("value", "why"), NOTHING.values(), ids=NOTHING.keys())
def test_samples_that_say_nothing(ask: Ask, now: datetime, value: object, why: str) -> None:
    body = vector(sample(now, value)) if isinstance(value, str) else value
    assert why in why_missing(asked_with(ask, now, body))


SHAPES = {
    "several series": (2, "2 series"),
    "no object": ([], "not an answer of Prometheus"),
    "status unknown": ({"status": "ok"}, "not an answer of Prometheus"),
    "no data": ({"status": "success"}, "neither"),
    "a matrix": ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "neither"),
    "a string": ({"status": "success", "data": {"resultType": "string", "result": [1, "x"]}}, "neither"),
    "a result that is no list": (
        {"status": "success", "data": {"resultType": "vector", "result": {}}},
        "neither",
    ),
    "a sample that is no object": (vector([1, "2"]), "not a time and a number"),  # type: ignore[arg-type]
    "a histogram": (vector({"metric": {}, "histogram": [1, {}]}), "not a time and a number"),
    "a number instead of text": (vector({"value": [1795262400, 1795255200]}), "not a time and a number"),
    "three values": (vector({"value": [1, "2", "3"]}), "not a time and a number"),
    "an evaluation in the future": (vector({"value": [1795269600, "1795255200"]}), "time of evaluation"),
    "an evaluation without a time": (vector({"value": [None, "1795255200"]}), "time of evaluation"),
    "warnings": (
        vector({"value": [1795262400, "1795255200"]}, warnings=["store gateway down"]),
        "store gateway down",
    ),
}


@pytest.mark.parametrize(("body", "why"), SHAPES.values(), ids=SHAPES.keys())
def test_answers_that_say_nothing(ask: Ask, now: datetime, body: object, why: str) -> None:
    if body == 2:
        body = vector(*(sample(now, built(now, hours=n)) for n in (1, 2)))
    assert why in why_missing(asked_with(ask, now, body))


@pytest.mark.parametrize("status", [200, 400, 422])
def test_a_refused_query_says_why(ask: Ask, now: datetime, status: int) -> None:
    body = {"status": "error", "errorType": "bad_data", "error": "parse error:\n" + "x" * 900}
    reason = why_missing(asked_with(ask, now, body, status=status))
    assert "refuses the query: parse error: xxx" in reason
    assert len(reason) < 300


class TestAges:
    def test_an_age_counts_back_from_the_evaluation(self, ask: Ask, now: datetime) -> None:
        body = vector(sample(now, "7200", evaluated=now.timestamp() - 60))
        found = fresh(asked_with(ask, now, body, is_age=True))
        assert found.as_of == now - timedelta(seconds=7260)
        assert "stands still when its writer dies" in found.inferred[0]

    def test_in_milliseconds(self, ask: Ask, now: datetime) -> None:
        body = vector(sample(now, "7200000"))
        assert fresh(asked_with(ask, now, body, is_age=True, unit="ms")).as_of == now - timedelta(hours=2)

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            ("-1793467200000", "below zero"),
            ("-61", "below zero"),
            ("1795255200000", "more than a hundred years"),
            ("NaN", "not a number"),
            ("+Inf", "not a number"),
        ],
    )
    def test_ages_that_are_none(self, ask: Ask, now: datetime, value: str, why: str) -> None:
        assert why in why_missing(asked_with(ask, now, vector(sample(now, value)), is_age=True))

    def test_a_time_where_an_age_is_declared_is_old_and_not_fresh(self, ask: Ask, now: datetime) -> None:
        found = fresh(asked_with(ask, now, vector(sample(now, built(now))), is_age=True))
        assert now - found.as_of > timedelta(days=365)


@pytest.mark.parametrize(
    "query",
    [
        "time() - up or vector(0)",
        "x OR vector ( time() )",
        "x or on() vector(0)",
        "x or ignoring(job) vector(0)",
        "x or on(a, b)\n  absent(x)",
    ],
)
def test_a_query_that_fills_in_for_missing_data_is_the_manifests_fault(ask: Ask, query: str) -> None:
    with WebServer() as server:
        with pytest.raises(ConfigError, match="fills in"):
            ask({"prometheus": server.url(), "query": query})
        assert server.asked == []


def test_other_uses_of_or_are_fine(ask: Ask, now: datetime) -> None:
    body = vector(sample(now, built(now, hours=1)))
    fresh(asked_with(ask, now, body, query="max(a or b_vector) or vector_x"))


EXPORTED = """\
built_seconds {seconds}
built_milliseconds {milliseconds}
shard_built_seconds{{shard="a"}} {seconds}
shard_built_seconds{{shard="b"}} {older}
age_seconds 7200
nothing_seconds NaN
unbounded_seconds +Inf
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Prometheus that scrapes what a job would export."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("prometheus is not installed (Debian: apt-get install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    at = datetime.now(UTC).timestamp() - 3600
    text = EXPORTED.format(seconds=at, milliseconds=at * 1000, older=at - 3600)
    with WebServer({"/metrics": Reply(text.encode(), content_type="text/plain; version=0.0.4")}) as exporter:
        config = folder / "prometheus.yml"
        target = {
            "job_name": "embed",
            "scrape_interval": "1s",
            "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}],
        }
        config.write_text(json.dumps({"scrape_configs": [target]}))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [binary, f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            _await_sample(url, process, folder / "log")
            yield url
        finally:
            process.terminate()
            process.wait(30)


def _await_sample(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/api/v1/query?query=age_seconds", timeout=5) as answer:
                if json.load(answer)["data"]["result"]:
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.mark.server
@pytest.mark.slow
class TestRealPrometheus:
    def ask(self, ask: Ask, real: str, query: str, **declared: object):  # type: ignore[no-untyped-def]
        return ask({"prometheus": real, "query": query, **declared}, at=datetime.now(UTC))

    @pytest.mark.parametrize(
        ("query", "declared", "age"),
        [
            ("built_seconds", {}, 3600),
            ("built_milliseconds", {"unit": "ms"}, 3600),
            ("min(shard_built_seconds)", {}, 7200),
            ("scalar(built_seconds)", {}, 3600),
            ("age_seconds", {"is_age": True}, 7200),
            ("time() - built_seconds", {"is_age": True}, 3600),
        ],
    )
    def test_what_it_says(
        self, ask: Ask, real: str, query: str, declared: dict[str, object], age: int
    ) -> None:
        found = fresh(self.ask(ask, real, query, **declared))
        assert abs(found.observed_at - found.as_of - timedelta(seconds=age)) < timedelta(seconds=120)
        assert abs(datetime.now(UTC) - found.observed_at) < timedelta(seconds=60)

    @pytest.mark.parametrize(
        ("query", "declared", "why"),
        [
            ("never_written", {}, "no such series"),
            ("shard_built_seconds", {}, "2 series"),
            ("nothing_seconds", {}, "not a number"),
            ("unbounded_seconds", {}, "not a number"),
            ("built_milliseconds", {}, "unit"),
            ("time() - built_milliseconds", {"is_age": True}, "below zero"),
            ("scalar(never_written)", {}, "not a number"),
            ("built_seconds[5m]", {}, "neither"),
            ('"text"', {}, "neither"),
            ("built_seconds{", {}, "refuses the query"),
        ],
    )
    def test_where_it_says_nothing(
        self, ask: Ask, real: str, query: str, declared: dict[str, object], why: str
    ) -> None:
        assert why in why_missing(self.ask(ask, real, query, **declared))

    def test_every_query_is_quoted_whole(self, ask: Ask, real: str) -> None:
        odd = 'built_seconds{job="embed"} + 0 * (1 > bool 2) # &query=up'
        fresh(self.ask(ask, real, odd))
