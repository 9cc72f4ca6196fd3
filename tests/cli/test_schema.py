"""`aigate schema`: what editors complete the manifest with, and what they underline."""

import json
from typing import Any

import jsonschema
import pytest

from aigate.cli import run
from aigate.collect.manifest_file import parse_manifest
from aigate.collect.strict_yaml import load_yaml
from aigate.errors import ConfigError
from declared import DESIGN


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
    assert complaints(schema, DESIGN) == []
    parse_manifest(DESIGN.encode(), "aigate.yaml")


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
    text = DESIGN.replace(old, new, 1)
    assert text != DESIGN
    refused = False
    try:
        parse_manifest(text.encode(), "aigate.yaml")
    except ConfigError:
        refused = True
    assert bool(complaints(schema, text)) == refused


ENTRY = """\
version: 1
waivers:
  - policy: freshness.stage
    key: features
    registry: https://mlflow.example
    model: churn
    version: 2
    reason: the backfill runs on Monday
    approver: user:kai
    approved_on: 2026-11-21
    expires: 2026-12-01
"""


@pytest.mark.parametrize(
    ("old", "new", "fine"),
    [
        ("version: 2", "version: '2'", True),
        ("version: 2", "version: 2\n    covers: fail\n    findings: 3", True),
        ("key: features", "key: ''", True),
        ("    key: features\n", "", False),
        ("    expires: 2026-12-01\n", "", False),
        ("expires", "expiry", False),
        ("freshness.stage", "'*'", False),
        ("version: 2", "version: 2\n    covers: error", False),
        ("version: 1", "version: 3", False),
    ],
)
def test_editors_complete_waivers_too(
    capsys: pytest.CaptureFixture[str], old: str, new: str, fine: bool
) -> None:
    assert run(["schema", "--waivers"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert complaints(schema, ENTRY) == []
    assert (complaints(schema, ENTRY.replace(old, new, 1)) == []) is fine


def test_a_misspelt_key_is_named(schema: dict[str, Any]) -> None:
    (complaint,) = complaints(
        schema, DESIGN.replace("system:", "sistem:").replace("version", "system: a\nversion")
    )
    assert "'sistem' was unexpected" in complaint
