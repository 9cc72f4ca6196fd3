from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aigate.snapshot import FreshnessEvidence
from aigate.values import Missing
from asking import Ask, served
from fakes import WebServer

WORDS = [
    "t",
    "metadata",
    "generated_at",
    "dbt_schema_version",
    "results",
    "unique_id",
    "max_loaded_at",
    "snapshotted_at",
    "status",
    "error",
    "data",
    "resultType",
    "result",
    "value",
    "metric",
    "warnings",
    "assets",
    "asset_events",
    "datasets",
    "dataset_events",
    "id",
    "uri",
    "name",
    "asset_id",
    "dataset_id",
    "timestamp",
    "extra",
    "source_run_id",
    "total_entries",
]
TEXTS = [
    "success",
    "vector",
    "scalar",
    "error",
    "pass",
    "raw.orders",
    "source.shop.raw.orders",
    "s3://lake/features",
    "NaN",
    "1795255200",
    "2026-11-21T09:00:00Z",
    "2026-11-21T09:00:00",
    "0001-01-01T00:00:00Z",
    "2027-01-01T00:00:00Z",
    "https://schemas.getdbt.com/dbt/sources/v3.json",
]

scalars = st.none() | st.booleans() | st.integers(-2, 3) | st.floats(allow_nan=False) | st.text(max_size=3)
times = st.sampled_from([1795255200, 1795255200.5, 1795255200000, 10**30, -1, *TEXTS])
bodies = st.recursive(
    scalars | times,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=25,
)


@pytest.mark.parametrize(
    "declared",
    [
        {"url": "", "time": "t", "unit": "auto"},
        {"dbt": "", "source": "raw.orders"},
        {"prometheus": "", "query": "q"},
        {"prometheus": "", "query": "q", "is_age": True},
        {"airflow": "", "asset": "s3://lake/features"},
    ],
    ids=["json", "dbt", "prometheus", "prometheus age", "airflow"],
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies)
def test_whatever_a_source_says_it_is_possible_or_missing(
    ask: Ask, now: datetime, declared: dict[str, object], body: object
) -> None:
    place = next(iter(declared))
    with WebServer(default=served(body, now)) as server:
        found: object = ask({**declared, place: server.url("/")}).freshness
    assert isinstance(found, FreshnessEvidence | Missing)
    if isinstance(found, FreshnessEvidence):
        assert found.observed_at <= now
        assert found.as_of <= found.observed_at + timedelta(seconds=60)
        assert found.as_of.year >= 1990 or declared.get("is_age")
