from datetime import datetime, timedelta

import pytest

from asking import Ask, ago, fresh, served, why_missing
from fake_airflow import Airflow, Thing
from fakes import Reply, WebServer

URI = "s3://lake/features"
BOTH = pytest.mark.parametrize("generation", [2, 3])


def things(now: datetime) -> list[Thing]:
    events = [ago(now, days=30), ago(now, hours=2), ago(now, days=3)]
    return [
        Thing(1, "s3://lake/features_v2", "features_v2", [ago(now, minutes=1)]),
        Thing(2, URI, "features", events),
        Thing(3, "s3://LAKE/features", "Features", [ago(now, minutes=2)]),
        Thing(4, "s3://lake/other", "other", [ago(now, minutes=3)]),
    ]


@BOTH
def test_the_newest_event_of_exactly_this_one(ask: Ask, now: datetime, generation: int) -> None:
    with Airflow(generation, things(now), now).server as server:
        reading = ask({"airflow": server.url("/"), "asset": URI})
    found = fresh(reading)
    assert found.as_of == now - timedelta(hours=2)
    assert found.observed_at == now
    assert found.version == "scheduled__2026-11-21"
    assert found.inferred == ()
    assert reading.source.adapter == "airflow"
    assert reading.source.shown.endswith(
        "/api/v2/assets/events" if generation == 3 else "/api/v1/datasets/events"
    )


def test_an_asset_by_its_name(ask: Ask, now: datetime) -> None:
    with Airflow(3, things(now), now).server as server:
        assert fresh(ask({"airflow": server.url(), "asset": "features"})).as_of == now - timedelta(hours=2)


def test_a_dataset_whose_uri_is_a_plain_word(ask: Ask, now: datetime) -> None:
    plain = [Thing(1, "features", events=[ago(now, hours=1)]), Thing(2, "features_v2", events=[ago(now)])]
    unrelated = [Thing(n, f"gs://{n}") for n in range(1000, 1300)]
    with Airflow(2, [*unrelated, *plain], now).server as server:
        fresh(ask({"airflow": server.url(), "asset": "features"}))
    assert server.asked[1].param("uri_pattern") == "features"
    assert len(server.asked) == 3


@BOTH
@pytest.mark.parametrize("page_limit", [1, 7, 100])
def test_one_far_down_the_list(ask: Ask, now: datetime, generation: int, page_limit: int) -> None:
    many = [Thing(n, f"{URI}/{n}", f"features-{n}") for n in range(10, 10 + min(12, 6 * page_limit))]
    many.append(Thing(500, URI, "features", [ago(now, hours=1)]))
    unrelated = [Thing(n, f"gs://{n}", f"x{n}") for n in range(1000, 1200)]
    with Airflow(generation, [*unrelated, *many], now, page_limit=page_limit).server as server:
        assert fresh(ask({"airflow": server.url(), "asset": URI})).as_of == now - timedelta(hours=1)


@BOTH
def test_an_unknown_one_shows_similar_ones(ask: Ask, now: datetime, generation: int) -> None:
    with Airflow(generation, things(now), now).server as server:
        reason = why_missing(ask({"airflow": server.url(), "asset": "s3://lake/feat"}))
    assert "no active" in reason
    assert "s3://lake/features_v2" in reason
    # Airflow 3 says how many match. Airflow 2 counts all datasets, so that only an empty page is the end;
    # it was asked for assets before.
    listings = [asked for asked in server.asked if asked.param("offset") is not None]
    assert len(listings) == (1 if generation == 3 else 3)


@BOTH
def test_events_cleaned_away_by_retention(ask: Ask, now: datetime, generation: int) -> None:
    with Airflow(generation, [Thing(2, URI, "features")], now).server as server:
        assert "cleaned away" in why_missing(ask({"airflow": server.url(), "asset": URI}))


@BOTH
def test_a_server_that_ignores_the_order(ask: Ask, now: datetime, generation: int) -> None:
    with Airflow(generation, things(now), now, sorts=False).server as server:
        assert "newest event first" in why_missing(ask({"airflow": server.url(), "asset": URI}))


@BOTH
def test_a_server_that_ignores_the_filter(ask: Ask, now: datetime, generation: int) -> None:
    with Airflow(generation, things(now), now, filters=False).server as server:
        assert "other assets" in why_missing(ask({"airflow": server.url(), "asset": URI}))


@BOTH
@pytest.mark.parametrize(
    ("timestamp", "why"),
    [
        ("2026-11-21T13:00:00Z", "future"),
        ("2026-11-21T09:00:00", "zone"),
        ("", "no time"),
        ("0001-01-01T00:00:00Z", "sentinel"),
    ],
)
def test_times_that_are_none(ask: Ask, now: datetime, generation: int, timestamp: str, why: str) -> None:
    with Airflow(generation, [Thing(2, URI, "features", [timestamp])], now).server as server:
        assert why in why_missing(ask({"airflow": server.url(), "asset": URI}))


@BOTH
def test_an_event_that_somebody_posted_is_marked(ask: Ask, now: datetime, generation: int) -> None:
    posted = Thing(2, URI, "features", [ago(now, hours=1)], {"from_rest_api": True}, run=None)
    with Airflow(generation, [posted], now).server as server:
        found = fresh(ask({"airflow": server.url(), "asset": URI}))
    assert "posted through the API" in found.inferred[0]
    assert found.version is None


def test_two_with_one_name_are_nobody(ask: Ask, now: datetime) -> None:
    twins = [Thing(1, "s3://a", "features", [ago(now)]), Thing(2, "s3://b", "features", [ago(now)])]
    with Airflow(3, twins, now).server as server:
        assert "2 assets" in why_missing(ask({"airflow": server.url(), "asset": "features"}))


def test_the_credential_is_sent_and_a_refusal_says_what_to_do(ask: Ask) -> None:
    with WebServer(default=Reply(b'{"detail": "no"}', 401)) as server:
        declared = {"airflow": server.url("/base?x=1"), "asset": URI}
        reason = why_missing(ask(declared, token="canary"))
    assert "401" in reason
    assert "credential" in reason
    assert "canary" not in reason
    assert len(server.asked) == 1
    assert server.asked[0].headers["authorization"] == "Bearer canary"
    assert server.asked[0].path == "/base/api/v2/assets"
    assert server.asked[0].param("x") == "1"


def test_no_airflow_at_all(ask: Ask) -> None:
    with WebServer() as server:
        assert "no Airflow" in why_missing(ask({"airflow": server.url(), "asset": URI}))
        assert [asked.path for asked in server.asked] == ["/api/v2/assets", "/api/v1/datasets"]


@pytest.mark.parametrize(
    "body", [[], {}, {"assets": {}}, {"assets": ["x"]}, {"assets": [{"uri": URI, "id": "2"}]}]
)
def test_answers_of_another_shape(ask: Ask, now: datetime, body: object) -> None:
    with WebServer(default=served(body, now)) as server:
        why_missing(ask({"airflow": server.url(), "asset": URI}))


def test_a_server_that_lists_for_ever_is_not_followed_for_ever(ask: Ask, now: datetime) -> None:
    endless = served({"assets": [{"uri": "s3://other", "name": "x", "id": 1}], "total_entries": 10**9}, now)
    with WebServer(default=endless) as server:
        assert "no active" in why_missing(ask({"airflow": server.url(), "asset": URI}))
        assert len(server.asked) < 25
