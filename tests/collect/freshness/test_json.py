import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aigate.collect.concurrent import gather
from aigate.collect.deadline import Deadline
from aigate.collect.freshness import Reading
from aigate.errors import ConfigError
from aigate.snapshot import InputRead
from asking import Ask, ago, fresh, http_date, served, why_missing
from fakes import RawServer, Reply, WebServer, flood, raw


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


class TestAge:
    def test_data_and_evidence_are_aged_apart(self, ask: Ask, server: WebServer, now: datetime) -> None:
        server.routes["/"] = served({"loaded_at": ago(now, hours=3), "made": ago(now, minutes=5)}, now)
        reading = ask(
            {"url": server.url("/?sig=secret"), "time": "loaded_at", "observed": "made", "kind": "event"}
        )
        found = fresh(reading)
        assert found.kind == "event"
        assert found.as_of == now - timedelta(hours=3)
        assert found.observed_at == now - timedelta(minutes=5)
        assert found.inferred == ()
        assert found.claimed is None
        assert reading.source.name == "freshness:features"
        assert reading.source.adapter == "json"
        assert reading.source.shown == server.url("/")
        assert reading.source.fetched_at == now
        assert reading.source.digest is not None

    def test_what_the_server_says_of_its_own_clock_counts(
        self, ask: Ask, server: WebServer, now: datetime
    ) -> None:
        server.routes["/"] = served({"t": ago(now, hours=3)}, now - timedelta(minutes=20))
        assert fresh(ask({"url": server.url("/"), "time": "t"})).observed_at == now - timedelta(minutes=20)

    def test_a_cdn_answer_is_as_old_as_its_age_header(
        self, ask: Ask, server: WebServer, now: datetime
    ) -> None:
        # The cache renews Date and keeps the body: only Age tells.
        server.routes["/"] = served({"t": ago(now, hours=3)}, now, age="5400")
        assert fresh(ask({"url": server.url("/"), "time": "t"})).observed_at == now - timedelta(seconds=5400)

    def test_an_age_header_also_bounds_what_the_document_claims(
        self, ask: Ask, server: WebServer, now: datetime
    ) -> None:
        server.routes["/"] = served({"t": ago(now, hours=3), "made": ago(now)}, now, age="60")
        found = fresh(ask({"url": server.url("/"), "time": "t", "observed": "made"}))
        assert found.observed_at == now - timedelta(seconds=60)

    @pytest.mark.parametrize("age", ["-5", "1.5", "soon", "99999999999", "1, 2"])
    def test_an_unreadable_age_header_is_no_evidence(
        self, ask: Ask, server: WebServer, now: datetime, age: str
    ) -> None:
        server.routes["/"] = served({"t": ago(now, hours=3)}, now, age=age)
        assert "Age header" in why_missing(ask({"url": server.url("/"), "time": "t"}))

    def test_two_caches_that_disagree_are_no_evidence(self, ask: Ask, now: datetime) -> None:
        body = json.dumps({"t": ago(now, hours=3)}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nAge: 5\r\nAge: 9000\r\n\r\n"
        with RawServer(raw(head + body)) as server:
            assert "Age header" in why_missing(ask({"url": server.url(), "time": "t"}))

    def test_without_a_date_our_own_clock_stands_in(self, ask: Ask, server: WebServer, now: datetime) -> None:
        server.routes["/"] = Reply(json.dumps({"t": ago(now, hours=3)}).encode(), headers={"date": ""})
        assert fresh(ask({"url": server.url("/"), "time": "t"})).observed_at == now

    def test_a_server_whose_clock_runs_ahead_proves_nothing(
        self, ask: Ask, server: WebServer, now: datetime
    ) -> None:
        server.routes["/"] = served({"t": ago(now, hours=3)}, now + timedelta(minutes=3))
        assert "Date header" in why_missing(ask({"url": server.url("/"), "time": "t"}))

    def test_a_little_skew_is_forgiven_and_never_counts_as_the_future(
        self, ask: Ask, server: WebServer, now: datetime
    ) -> None:
        server.routes["/"] = served({"t": ago(now, seconds=-30)}, now + timedelta(seconds=30))
        found = fresh(ask({"url": server.url("/"), "time": "t"}))
        assert found.as_of == now + timedelta(seconds=30)
        assert found.observed_at == now

    def test_data_newer_than_the_look_at_them_are_impossible(
        self, ask: Ask, server: WebServer, now: datetime
    ) -> None:
        server.routes["/"] = served({"t": ago(now, minutes=1), "made": ago(now, hours=1)}, now)
        reason = why_missing(ask({"url": server.url("/"), "time": "t", "observed": "made"}))
        assert "later than it looked" in reason


TIMES = {
    "naive": ("2026-11-21T09:00:00", "no zone"),
    "future": ("2026-11-21T12:02:00Z", "future"),
    "far future": (4_102_444_800, "future"),
    "sentinel year 1": ("0001-01-01T00:00:00Z", "sentinel"),
    "sentinel epoch": ("1970-01-01T00:00:00Z", "sentinel"),
    "epoch zero": (0, "sentinel"),
    "minus one": (-1, "sentinel"),
    "date alone": ("2026-11-21", "date without a time"),
    "digits that are a date": ("20261121", "date without a time"),
    "double zone": ("2026-11-21T09:00:00+00:00Z", "not a time"),
    "words": ("yesterday", "not a time"),
    "empty": ("", "no time at all"),
    "null": (None, "nothing at `t`"),
    "boolean": (True, "no time"),
    "object": ({"at": "2026-11-21T09:00:00Z"}, "no time"),
    "list of one": (["2026-11-21T09:00:00Z"], "list of 1"),
    "empty list": ([], "list of 0"),
    "milliseconds taken for seconds": (1_795_000_000_000, "unit"),
}


@pytest.mark.parametrize(("value", "why"), TIMES.values(), ids=TIMES.keys())
def test_times_that_are_none(ask: Ask, server: WebServer, now: datetime, value: object, why: str) -> None:
    server.routes["/"] = served({"t": value}, now)
    unit = {"unit": "s"} if isinstance(value, int) and not isinstance(value, bool) else {}
    assert why in why_missing(ask({"url": server.url("/"), "time": "t", **unit}))


def test_a_number_needs_a_unit(ask: Ask, server: WebServer, now: datetime) -> None:
    server.routes["/"] = served({"t": now.timestamp() - 60}, now)
    declared = {"url": server.url("/"), "time": "t"}
    assert "unit" in why_missing(ask(declared))
    assert fresh(ask({**declared, "unit": "s"})).inferred == ()
    guessed = fresh(ask({**declared, "unit": "auto"}))
    assert guessed.as_of == now - timedelta(seconds=60)
    assert "told from the size" in guessed.inferred[0]


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_units(ask: Ask, server: WebServer, now: datetime, unit: str, factor: int) -> None:
    server.routes["/"] = served({"t": int((now.timestamp() - 90) * factor)}, now)
    assert fresh(ask({"url": server.url("/"), "time": "t", "unit": unit})).as_of == now - timedelta(
        seconds=90
    )


def test_microseconds_of_a_fraction_survive(ask: Ask, server: WebServer, now: datetime) -> None:
    server.routes["/"] = Reply(b'{"t": 1795262399.123456}', headers={"date": http_date(now)})
    at = datetime(2026, 11, 21, 11, 59, 59, 123456, UTC)
    found = fresh(ask({"url": server.url("/"), "time": "t", "unit": "s"}))
    assert abs(found.as_of - at) <= timedelta(microseconds=1)


def test_a_declared_zone_reads_naive_times_and_says_so(ask: Ask, server: WebServer, now: datetime) -> None:
    server.routes["/"] = served({"t": "2026-11-21T10:00:00"}, now)
    found = fresh(ask({"url": server.url("/"), "time": "t", "zone": "Europe/Berlin"}))
    assert found.as_of == datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
    assert "Europe/Berlin" in found.inferred[0]


class TestPlaces:
    document = {
        "tables": [
            {"name": "orders", "loaded_at": "2026-11-21T09:00:00Z"},
            {"name": "clicks", "loaded_at": "2026-11-21T08:00:00Z"},
        ],
        "seconds": [1795255200.5, 1795251600.25],
    }

    @pytest.mark.parametrize(
        ("expression", "hour"),
        [
            ("tables[?name=='orders'].loaded_at | [0]", 9),
            ("min(tables[].loaded_at)", 8),
            ("sort_by(tables, &loaded_at)[-1].loaded_at", 9),
        ],
    )
    def test_jmespath(self, ask: Ask, server: WebServer, now: datetime, expression: str, hour: int) -> None:
        server.routes["/"] = served(self.document, now)
        found = fresh(ask({"url": server.url("/"), "time": expression}))
        assert found.as_of == datetime(2026, 11, 21, hour, tzinfo=UTC)

    def test_functions_work_on_fractions(self, ask: Ask, server: WebServer, now: datetime) -> None:
        server.routes["/"] = served(self.document, now)
        found = fresh(ask({"url": server.url("/"), "time": "min(seconds)", "unit": "s"}))
        assert found.as_of == datetime(2026, 11, 21, 9, 0, 0, 250_000, UTC)

    def test_several_values_are_nobodys(self, ask: Ask, server: WebServer, now: datetime) -> None:
        server.routes["/"] = served(self.document, now)
        reason = why_missing(ask({"url": server.url("/"), "time": "tables[].loaded_at"}))
        assert "list of 2" in reason
        assert "[0]" in reason

    def test_a_place_that_is_not_there_shows_what_is(
        self, ask: Ask, server: WebServer, now: datetime
    ) -> None:
        server.routes["/"] = served(self.document, now)
        assert "tables, seconds" in why_missing(ask({"url": server.url("/"), "time": "loaded_at"}))

    @pytest.mark.parametrize("value", [[], [1, 2], "text", 5, {}])
    def test_a_document_of_another_shape(
        self, ask: Ask, server: WebServer, now: datetime, value: object
    ) -> None:
        server.routes["/"] = served(value, now)
        assert "nothing at" in why_missing(ask({"url": server.url("/"), "time": "loaded_at"}))

    def test_an_expression_that_does_not_fit(self, ask: Ask, server: WebServer, now: datetime) -> None:
        server.routes["/"] = served({"t": "text"}, now)
        assert "does not fit" in why_missing(ask({"url": server.url("/"), "time": "max(t)"}))

    @pytest.mark.parametrize("expression", ["$.loaded_at", "a[", "max(", "nothing_of(@) |"])
    def test_what_is_no_jmespath_is_the_manifests_fault(
        self, ask: Ask, server: WebServer, expression: str
    ) -> None:
        with pytest.raises(ConfigError, match="JMESPath"):
            ask({"url": server.url("/"), "time": expression})
        assert server.asked == []


class TestBuilt:
    body = {
        "t": "2026-11-21T08:00:00Z",
        "built": "2026-11-21T09:00:00Z",
        "read": "2026-11-21T08:30:00Z",
        "version": 17,
        "inputs": {"transactions": "v3", "clicks": {"version": 9, "built_at": "2026-11-21T07:00:00Z"}},
    }
    declared = {"time": "t", "built": "built", "read": "read", "version": "version", "inputs": "inputs"}

    def test_everything_declared_is_read(self, ask: Ask, server: WebServer, now: datetime) -> None:
        server.routes["/"] = served(self.body, now)
        found = fresh(ask({"url": server.url("/"), **self.declared}))
        assert found.built_at == datetime(2026, 11, 21, 9, tzinfo=UTC)
        assert found.read_at == datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
        assert found.version == "17"
        assert found.inputs == (
            InputRead(stage="clicks", version="9", built_at=datetime(2026, 11, 21, 7, tzinfo=UTC)),
            InputRead(stage="transactions", version="v3"),
        )

    @pytest.mark.parametrize("key", ["built", "read", "version", "inputs"])
    def test_what_is_declared_and_absent_is_missing(
        self, ask: Ask, server: WebServer, now: datetime, key: str
    ) -> None:
        server.routes["/"] = served({k: v for k, v in self.body.items() if k != key}, now)
        assert f"nothing at `{key}`" in why_missing(ask({"url": server.url("/"), **self.declared}))

    @pytest.mark.parametrize(
        ("key", "value", "why"),
        [
            ("built", "2026-11-21T09:00:00", "zone"),
            ("read", "2026-11-21T10:00:00Z", "before its inputs were read"),
            ("version", True, "`version`"),
            ("version", 1.5, "`version`"),
            ("version", "a\nb", "`version`"),
            ("version", "x" * 201, "`version`"),
            ("inputs", ["transactions"], "list of 1"),
            ("inputs", "transactions", "not an object"),
            ("inputs", {"transactions": None}, "version of input"),
            ("inputs", {"transactions": {}}, "neither version nor built_at"),
            ("inputs", {"transactions": {"built_at": "2027-01-01T00:00:00Z"}}, "future"),
            ("inputs", {"": "v1"}, "an upstream's name"),
        ],
    )
    def test_what_cannot_be_read_is_missing(
        self, ask: Ask, server: WebServer, now: datetime, key: str, value: object, why: str
    ) -> None:
        server.routes["/"] = served({**self.body, key: value}, now)
        assert why in why_missing(ask({"url": server.url("/"), **self.declared}))


BODIES = {
    "html": b"<!doctype html><title>Log in</title>",
    "empty": b"",
    "not utf-8": b'{"t": "\xff"}',
    "duplicate key": b'{"t": "2026-11-21T09:00:00Z", "t": "2026-11-21T11:00:00Z"}',
    "two documents": b'{"t": "2026-11-21T09:00:00Z"} {}',
    "nan": b'{"t": NaN}',
    "infinity by exponent": b'{"t": 1e999}',
    "deep": b'{"a":' * 50 + b"1" + b"}" * 50,
    "cut off": b'{"t": "2026-11-2',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_bodies_that_are_no_strict_json(ask: Ask, server: WebServer, now: datetime, body: bytes) -> None:
    server.routes["/"] = Reply(body, headers={"date": http_date(now)})
    assert "line 1" in why_missing(ask({"url": server.url("/"), "time": "t"}))


class TestTransport:
    def test_a_page_at_200(self, ask: Ask, server: WebServer) -> None:
        server.routes["/"] = Reply(b"<html>", content_type="text/html; charset=utf-8")
        reason = why_missing(ask({"url": server.url("/"), "time": "t"}))
        assert "text/html" in reason
        assert "log-in page" in reason

    @pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "application/vnd.x+json"])
    def test_what_file_stores_call_json(self, ask: Ask, server: WebServer, now: datetime, kind: str) -> None:
        body = json.dumps({"t": ago(now, hours=1)}).encode()
        server.routes["/"] = Reply(body, headers={"date": http_date(now)}, content_type=kind)
        fresh(ask({"url": server.url("/"), "time": "t"}))

    def test_a_failing_server_is_asked_again_and_then_missing(self, ask: Ask, server: WebServer) -> None:
        server.routes["/"] = Reply(status=503)
        reason = why_missing(ask({"url": server.url("/?key=secret"), "time": "t"}))
        assert "503" in reason
        assert "3 times" in reason
        assert "secret" not in reason

    def test_an_endless_body(self, ask: Ask) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
        with RawServer(flood(head, b" " * 65_536)) as server:
            assert "more than" in why_missing(ask({"url": server.url(), "time": "t"}))

    def test_nothing_there(self, ask: Ask) -> None:
        with WebServer() as gone:
            url = gone.url("/")
        assert "cannot be reached" in why_missing(ask({"url": url, "time": "t"}))


class TestFile:
    declared = {"file": "data/freshness.json", "time": "t"}

    def write(self, folder: Path, value: object, written: datetime) -> Path:
        path = folder / "data" / "freshness.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value))
        os.utime(path, (written.timestamp(), written.timestamp()))
        return path

    def test_a_file_beside_the_manifest(self, ask: Ask, tmp_path: Path, now: datetime) -> None:
        self.write(tmp_path, {"t": ago(now, hours=2)}, now - timedelta(minutes=10))
        reading = ask(self.declared)
        found = fresh(reading)
        assert found.as_of == now - timedelta(hours=2)
        assert found.observed_at == now - timedelta(minutes=10)
        assert reading.source.shown == "data/freshness.json"

    def test_an_old_file_left_behind_is_old_evidence(self, ask: Ask, tmp_path: Path, now: datetime) -> None:
        self.write(tmp_path, {"t": ago(now, days=9)}, now - timedelta(days=8))
        assert fresh(ask(self.declared)).observed_at == now - timedelta(days=8)

    def test_a_declared_moment_is_better_than_the_files(
        self, ask: Ask, tmp_path: Path, now: datetime
    ) -> None:
        for written in (
            now,
            now - timedelta(days=400),
        ):  # a checkout makes files new, an image makes them old
            self.write(tmp_path, {"t": ago(now, hours=2), "made": ago(now, hours=1)}, written)
            found = fresh(ask({**self.declared, "observed": "made"}))
            assert found.observed_at == now - timedelta(hours=1)

    def test_a_file_from_tomorrow_is_no_younger_than_now(
        self, ask: Ask, tmp_path: Path, now: datetime
    ) -> None:
        self.write(tmp_path, {"t": ago(now, hours=2)}, now + timedelta(days=1))
        assert fresh(ask(self.declared)).observed_at == now

    def test_absent(self, ask: Ask) -> None:
        assert "no such file" in why_missing(ask(self.declared))

    def test_a_folder(self, ask: Ask, tmp_path: Path) -> None:
        (tmp_path / "data" / "freshness.json").mkdir(parents=True)
        assert "directory" in why_missing(ask(self.declared)) or "regular" in why_missing(ask(self.declared))

    def test_a_pipe_is_not_waited_for(self, ask: Ask, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        os.mkfifo(tmp_path / "data" / "freshness.json")
        done = gather({"pipe": lambda: ask(self.declared)}, Deadline(3))["pipe"]
        assert isinstance(done, Reading), done
        assert "not a regular file" in why_missing(done)

    def test_too_large(self, ask: Ask, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        with (tmp_path / "data" / "freshness.json").open("wb") as file:
            file.truncate(2_000_000)
        assert "larger than" in why_missing(ask(self.declared))

    def test_an_untrusted_manifest_stays_in_its_folder(self, ask: Ask, tmp_path: Path, now: datetime) -> None:
        path = self.write(tmp_path, {"t": ago(now, hours=2)}, now)
        outside = tmp_path.parent / f"{tmp_path.name}-outside.json"
        outside.write_text(path.read_text())
        (tmp_path / "link.json").symlink_to(outside)
        fresh(ask(self.declared, trusted=False))
        for file in (str(outside), f"../{outside.name}", "link.json"):
            fresh(ask({"file": file, "time": "t"}, at=datetime.now(UTC)))
            assert "not trusted" in why_missing(ask({"file": file, "time": "t"}, trusted=False))
