"""Freshness sources as they are declared: which adapter one is, what it takes, and what it refuses."""

import pytest

from aigate.manifest import (
    StageDeclared,
)
from aigate.sources import FRESHNESS, Auth
from declared import JSON_SOURCE, STAGE, refused


@pytest.mark.parametrize("span", [7200, "2", "2 h", "-2h", "0s", "P", "PT", "", True], ids=repr)
def test_an_age_limit_is_a_span_longer_than_nothing(span: object) -> None:
    refused(FRESHNESS["url"], JSON_SOURCE | {"max_age": span}, "max_age")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "x.example",
        "https://",
        "https://a b",
        "https://u:p@x",
        "https://u@x",
        "HTTPS",
        "http://x\n",
    ],
)
def test_an_address_is_http_without_user(url: str) -> None:
    refused(FRESHNESS["url"], JSON_SOURCE | {"url": url}, "url")


@pytest.mark.parametrize(
    ("data", "good"),
    [
        ({"bearer": "T"}, True),
        ({"basic": "T"}, True),
        ({"header": "X-Key", "value": "T"}, True),
        ({}, False),
        ({"bearer": "T", "basic": "T"}, False),
        ({"bearer": "T", "header": "X-Key", "value": "T"}, False),
        ({"bearer": "T", "value": "T"}, False),
        ({"header": "X-Key"}, False),
        ({"value": "T"}, False),
        ({"token": "T"}, False),
    ],
    ids=str,
)
def test_credentials_go_one_way(data: dict[str, str], good: bool) -> None:
    if good:
        Auth.model_validate(data)
    else:
        refused(Auth, data, "one of bearer|Extra")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"time": "at"}, "union_tag|Unable to extract tag"),
        ({"url": "https://x.example", "file": "f", "time": "at"}, "either url or file"),
        ({"url": None, "file": None, "time": "at"}, "either url or file"),
        ({"url": "https://x.example"}, "time"),
        ({"url": "https://x.example", "time": "at", "dbt": "f"}, "Extra"),
        ({"file": "f", "time": "at", "unit": "h"}, "unit"),
        ({"prometheus": "https://x.example"}, "query"),
        ({"prometheus": "https://x.example", "query": "q", "unit": "ns"}, "unit"),
        ({"dbt": "f"}, "source"),
        ({"airflow": "https://x.example"}, "asset"),
        ({"headers": "https://x.example", "time": "at"}, "Extra"),
        ({"headers": "https://x.example", "kind": "new"}, "kind"),
    ],
    ids=str,
)
def test_a_stage_has_one_source_of_its_time(source: dict[str, object], words: str) -> None:
    refused(StageDeclared, STAGE | {"freshness": {"max_age": "2h", **source}}, words)


@pytest.mark.parametrize(
    ("source", "adapter"),
    [
        ({"url": "https://x.example", "time": "at"}, "url"),
        ({"file": "f", "time": "at"}, "url"),
        ({"headers": "https://x.example"}, "headers"),
        ({"dbt": "https://x.example/sources.json", "source": "a.b"}, "dbt"),
        ({"prometheus": "https://x.example", "query": "q"}, "prometheus"),
        ({"airflow": "https://x.example", "asset": "s3://b"}, "airflow"),
    ],
    ids=str,
)
def test_the_source_chooses_the_adapter(source: dict[str, object], adapter: str) -> None:
    stage = StageDeclared.model_validate(STAGE | {"freshness": {"max_age": "2h", **source}})
    assert type(stage.freshness) is FRESHNESS[adapter]
    assert StageDeclared.model_validate(STAGE | {"freshness": stage.freshness}).freshness == stage.freshness
