"""`aigate schema`: what editors complete the manifest with, and what they underline."""

import json
from typing import Any

import jsonschema
import pytest

from aigate.cli import run
from aigate.collect.manifest_file import parse_manifest
from aigate.collect.strict_yaml import load_yaml
from aigate.errors import ConfigError

WHOLE = """\
version: 1
system: churn
owner: {team: retention-platform, contact: "#churn-oncall", escalation: https://pager.example/churn}
model: {name: churn, champion: champion, challenger: challenger}
metrics:
  accuracy: {range: [0, 1], floor: {value: 0.92, provenance: {set_by: m.ito, set_on: 2026-08-02, environment: production, run: 1f0c55aa, review_by: 2027-02-02}}, max_drop: 0.02}
stages:
  - {name: transactions, owner: data-eng, freshness: {url: https://data.example/freshness.json, time: loaded_at, max_age: 2h}}
  - {name: features, owner: data-eng, reads: [transactions], freshness: {dbt: target/sources.json, source: raw.features, max_age: 6h}}
  - {name: embeddings, owner: ml, reads: [features], freshness: {prometheus: https://prom.example, query: embeddings_built_timestamp_seconds, max_age: 12h}}
  - {name: scoring, owner: platform, reads: [embeddings]}
objectives: {end_to_end_age: 18h}
thresholds:
  retrieval_confidence: {value: 0.72, applied: {param: retrieval_confidence}, provenance: {set_by: m.ito, method: measured}}
runbooks: {default: runbooks/churn.md, data: runbooks/late-data.md}
environments: {production: {levels: {ownership: require}}, staging: {levels: {"*": advise}}}
"""
"""The manifest with everything in it."""


@pytest.fixture
def schema(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["schema"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def complaints(schema: dict[str, Any], text: str) -> list[str]:
    """What an editor would underline."""
    data = load_yaml(text, source="aigate.yaml").data
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(data)]


def test_it_is_a_schema(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_whole_manifest_is_valid_for_both(schema: dict[str, Any]) -> None:
    assert complaints(schema, WHOLE) == []
    parse_manifest(WHOLE.encode(), "aigate.yaml")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.92, ", '"0.92", '),
        ("max_drop: 0.02", "max_drop: 0.02, provenance: {set_by: m.ito}"),
        ("max_drop: 0.02", "max_drop: {value: 0.02}"),
        ("max_age: 2h", "max_age: {value: PT2H, provenance: {rationale: agreed}}"),
        ("owner: {team: retention-platform, contact", "owner: retention-platform\nx: {contact"),
        (
            "retrieval_confidence: {value: 0.72, applied",
            "a: 0.5\n  retrieval_confidence: {value: 0.72, applied",
        ),
        ("system:", "sistem:"),
        ("max_drop:", "maxdrop:"),
        ("time: loaded_at", "tme: loaded_at"),
        ("dbt: target/sources.json, ", ""),
        ("source: raw.features", "time: raw.features"),
        ("default: runbooks/churn.md", "defalt: runbooks/churn.md"),
        ("ownership: require", "ownership: always"),
        ("version: 1\n", "version: 2\n"),
        ("version: 1\n", ""),
        ("0.92, ", "high, "),
        ("max_age: 2h", "max_age: soon"),
        ("https://data.example/", "ftp://data.example/"),
        ("range: [0, 1]", "range: [0]"),
        ("name: transactions,", 'name: "",'),
    ],
)
def test_editors_and_the_gate_agree(schema: dict[str, Any], old: str, new: str) -> None:
    """What the one underlines the other refuses, and the other way round."""
    text = WHOLE.replace(old, new, 1)
    assert text != WHOLE
    refused = False
    try:
        parse_manifest(text.encode(), "aigate.yaml")
    except ConfigError:
        refused = True
    assert bool(complaints(schema, text)) == refused


def test_a_misspelt_key_is_named(schema: dict[str, Any]) -> None:
    (complaint,) = complaints(
        schema, WHOLE.replace("system:", "sistem:").replace("version", "system: a\nversion")
    )
    assert "'sistem' was unexpected" in complaint
