"""A finding lies where the manifest declares what it is about."""

import pytest

from aigate.manifest import Manifest
from aigate.register import register
from aigate.report.context import ReportContext
from aigate.report.places import _ANYTHING, _things, place_of
from report.cases import MANIFEST, loaded, places
from standard_pack import pack

_CTX = ReportContext(places=places)
_LINES = MANIFEST.decode().splitlines()


def _line(policy: str, key: str) -> str:
    line, column = place_of(policy, key, "production", _CTX)
    return _LINES[line - 1][column - 1 :]


@pytest.mark.parametrize(
    ("policy", "key", "begins"),
    [
        ("evaluation.floor", "accuracy", "accuracy:"),
        ("evaluation.floor", "val/f1.macro", "val/f1.macro:"),
        ("evaluation.regression", "accuracy", "accuracy:"),
        ("evaluation.slices", "accuracy/segment 01", "segment 01:"),
        ("evaluation.slices", "accuracy/segment 01/drop", "segment 01:"),
        ("evaluation.limits", "metrics", "metrics:"),
        ("evaluation.finished", "run", "metrics:"),
        ("evaluation.floor", "", "metrics:"),
        ("freshness.stage", "transactions", "name: transactions"),
        ("freshness.stage", "scoring", "{name: scoring"),
        ("freshness.cache", "features/transactions", "{name: features"),
        ("freshness.promised", "stages", "stages:"),
        ("freshness.end_to_end", "end_to_end_age", "end_to_end_age:"),
        ("freshness.end_to_end", "", "objectives:"),
        ("ownership.accountable", "owner", "owner:"),
        ("ownership.accountable", "contact", "contact:"),
        ("ownership.stages", "scoring", "{name: scoring"),
        ("ownership.registry", "aigate.owner", "owner:"),
        ("pipeline.runbook", "data", "data:"),
        ("pipeline.runbook", "model", "runbooks:"),
        ("pipeline.runbook", "runbooks", "runbooks:"),
        ("pipeline.attainable", "end_to_end_age", "end_to_end_age:"),
        ("pipeline.status", "status", "model:"),
        ("pipeline.status", "alias/Champion", "model:"),
        ("pipeline.status", "model", "model:"),
        ("pipeline.watched", "heartbeat", "pipeline.watched:"),
        ("provenance.recorded", "metrics.accuracy.floor", "floor: {value: 0.92"),
        ("provenance.recorded", "metrics.val/f1.macro.floor", "floor: 0.8"),
        ("provenance.review", "metrics.accuracy.floor/set_on", "set_on:"),
        ("provenance.review", "metrics.accuracy.floor/due", "floor: {value: 0.92"),
        ("provenance.applied", "thresholds.retrieval.confidence", "retrieval.confidence:"),
        ("provenance.run", "thresholds.retrieval.confidence/retrieval_confidence", "retrieval.confidence:"),
        ("provenance.recorded", "stages.features.freshness.max_age", "max_age: 6h"),
        ("provenance.recorded", "objectives.end_to_end_age", "end_to_end_age:"),
        ("provenance.applied", "", "thresholds:"),
        ("business.margin", "accuracy", "accuracy:"),
        ("business.margin", "features", "{name: features"),
        ("business.margin", "retrieval.confidence", "retrieval.confidence:"),
        ("business.margin", "metrics.accuracy.max_drop", "max_drop:"),
        ("business.margin", "nothing of the kind", "model:"),
        ("business.margin", "", "model:"),
    ],
)
def test_the_place_is_that_of_the_thing(policy: str, key: str, begins: str) -> None:
    assert _line(policy, key).startswith(begins)


def test_what_is_not_declared_lies_where_the_manifest_begins() -> None:
    ctx = ReportContext(
        places=lambda keys: loaded(b"version: 1\nsystem: x\nmodel: {name: x}\n").locate(*keys)
    )
    for policy in ("ownership.accountable", "evaluation.limits", "freshness.promised", "provenance.recorded"):
        assert place_of(policy, "owner", "production", ctx) == (1, 1)


def test_without_a_manifest_everything_is_where_it_begins() -> None:
    assert place_of("evaluation.floor", "accuracy", "production", ReportContext()) == (1, 1)


def test_every_limit_of_the_register_is_found_by_its_name() -> None:
    found = loaded()
    manifest: Manifest = found.manifest
    for limit in register(manifest):
        line, column = place_of("provenance.recorded", limit.name, "production", _CTX)
        begins = _LINES[line - 1][column - 1 :]
        assert begins.startswith(str(limit.keys[-1])), limit.name


def test_the_longest_reading_of_a_name_with_dots_wins() -> None:
    manifest = b"""\
version: 1
system: x
model: {name: x}
metrics:
  a: {slices: {b: {metric: m, floor: 1}}}
  a.slices: {floor: 2}
  a.b: {floor: 3}
"""
    found = loaded(manifest)
    assert found.locate("metrics.a.slices.b.floor")[0] == 5
    assert found.locate("metrics.a.slices.floor")[0] == 6
    assert found.locate("metrics", "a.slices")[0] == 6
    assert found.locate("metrics", "a.b.floor")[0] == 7
    assert found.locate("metrics", "a", "slices", "b", "floor")[0] == 5
    assert found.locate("metrics", "none", "floor") == (4, 1)
    assert found.locate("metrics", ".a.") == (4, 1)
    assert found.locate() == (1, 1)


def test_a_stage_is_found_by_name_and_by_number() -> None:
    found = loaded()
    assert found.locate("stages", "features") == found.locate("stages", 1)
    assert found.locate("stages", "features", "freshness", "max_age") == found.locate(
        "stages", 1, "freshness", "max_age"
    )
    assert found.locate("stages", 7) == found.locate("stages")


def test_every_standard_policy_has_a_thing_that_it_is_about() -> None:
    """With a manifest that declares everything, no policy falls back to line 1."""
    policies = set(pack())
    assert "pipeline.watched" in policies
    for policy in policies:
        assert _things(policy, "production") is not _ANYTHING
        assert place_of(policy, "", "production", _CTX) != (1, 1)
