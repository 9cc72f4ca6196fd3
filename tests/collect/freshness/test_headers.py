from datetime import UTC, datetime, timedelta

import pytest

from asking import Ask, fresh, http_date, why_missing
from fakes import Asked, RawServer, Reply, WebServer, flood


def dated(now: datetime, changed: timedelta | None, **headers: str) -> Reply:
    found = {"date": http_date(now), **{name.replace("_", "-"): value for name, value in headers.items()}}
    if changed is not None:
        found["last-modified"] = http_date(now - changed)
    return Reply(b"x" * 10_000_000, headers=found, content_type="application/vnd.apache.parquet")


def test_last_modified(ask: Ask, now: datetime) -> None:
    with WebServer({"/f": dated(now, timedelta(hours=4))}) as server:
        reading = ask({"headers": server.url("/f?sig=secret"), "kind": "built"})
    found = fresh(reading)
    assert found.kind == "built"
    assert found.as_of == now - timedelta(hours=4)
    assert found.observed_at == now
    assert reading.source.adapter == "headers"
    assert reading.source.digest is None
    assert "secret" not in reading.source.shown
    asked = server.asked[0]
    assert asked.method == "HEAD"
    assert not {"if-modified-since", "if-none-match"} & set(asked.headers)


@pytest.mark.parametrize("refusal", [400, 403, 404, 405, 501])
def test_where_head_is_refused_a_get_reads_headers_only(ask: Ask, now: datetime, refusal: int) -> None:
    def route(asked: Asked) -> Reply:
        return Reply(status=refusal) if asked.method == "HEAD" else dated(now, timedelta(hours=4))

    with WebServer({"/": route}) as server:
        assert fresh(ask({"headers": server.url("/")})).as_of == now - timedelta(hours=4)
        assert [asked.method for asked in server.asked] == ["HEAD", "GET"]


def test_a_get_does_not_wait_for_an_endless_body(ask: Ask, now: datetime) -> None:
    head = f"HTTP/1.1 200 OK\r\nLast-Modified: {http_date(now)}\r\nDate: {http_date(now)}\r\n\r\n"

    class Server(RawServer):
        pass

    with Server(flood(head.encode(), b"x" * 65_536)) as server:
        # A raw server answers the HEAD with a body too; httpcore reads none of it.
        assert fresh(ask({"headers": server.url()}, seconds=3)).as_of == now


def test_gone_for_get_as_well(ask: Ask) -> None:
    with WebServer() as server:
        assert "404" in why_missing(ask({"headers": server.url("/")}))


@pytest.mark.parametrize("status", [204, 304, 401, 500])
def test_other_statuses(ask: Ask, now: datetime, status: int) -> None:
    with WebServer({"/": Reply(status=status, headers={"last-modified": http_date(now)})}) as server:
        assert str(status) in why_missing(ask({"headers": server.url("/")}))


def test_without_last_modified(ask: Ask, now: datetime) -> None:
    with WebServer({"/": dated(now, None, etag='"x"')}) as server:
        assert "without a (single) Last-Modified" in why_missing(ask({"headers": server.url("/")}))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("Sat, 21 Nov 2026 13:00:00 GMT", "future"),
        ("Thu, 01 Jan 1970 00:00:00 GMT", "sentinel"),
        ("2026-11-21T09:00:00Z", "not an HTTP date"),
        ("Fri, 21 Nov 2026 09:00:00 GMT", "weekday"),
        ("Sat, 21 Nov 2026 09:00:00 -0000", "not an HTTP date"),
        ("0", "not an HTTP date"),
    ],
)
def test_times_that_are_none(ask: Ask, now: datetime, value: str, why: str) -> None:
    with WebServer({"/": dated(now, None, last_modified=value)}) as server:
        assert why in why_missing(ask({"headers": server.url("/")}))


@pytest.mark.parametrize("value", ["Saturday, 21-Nov-26 09:00:00 GMT", "Sat Nov 21 09:00:00 2026"])
def test_the_two_older_forms(ask: Ask, now: datetime, value: str) -> None:
    with WebServer({"/": dated(now, None, last_modified=value)}) as server:
        assert fresh(ask({"headers": server.url("/")})).as_of == datetime(2026, 11, 21, 9, tzinfo=UTC)


def test_a_cdn_answer_is_as_old_as_its_age_header(ask: Ask, now: datetime) -> None:
    with WebServer({"/": dated(now, timedelta(hours=4), age="7200")}) as server:
        found = fresh(ask({"headers": server.url("/")}))
    assert found.observed_at == now - timedelta(hours=2)
    assert found.as_of == now - timedelta(hours=4)


def test_changed_after_the_cache_looked_is_impossible(ask: Ask, now: datetime) -> None:
    with WebServer({"/": dated(now, timedelta(hours=1), age="7200")}) as server:
        assert "later than it looked" in why_missing(ask({"headers": server.url("/")}))


def test_a_page_made_anew_each_time_is_marked(ask: Ask, now: datetime) -> None:
    with WebServer({"/": dated(now, timedelta(0))}) as server:
        assert "made anew each time" in fresh(ask({"headers": server.url("/")})).inferred[0]
    with WebServer({"/": dated(now, timedelta(seconds=90))}) as server:
        assert fresh(ask({"headers": server.url("/")})).inferred == ()
