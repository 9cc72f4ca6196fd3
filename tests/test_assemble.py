"""Manifest and evidence joined: nothing is lost on the way, and no gap turns into a fact."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.assemble import FILE_ANSWER, SERVICE_ANSWER, Asked, Collected, assemble
from aigate.limits import spread_provenance
from aigate.manifest import Manifest
from aigate.snapshot import FreshnessEvidence, Snapshot, Source, Stage, Threshold
from aigate.testing import NOW, missing, passing_manifest, passing_snapshot
from aigate.values import gap

WELL = passing_snapshot()
DIGEST = WELL.manifest_digest
GAP = missing("connection refused", "https://mlflow.example")

ASKED = Asked("promote", "production", "champion", NOW, DIGEST)


def manifest(**parts: Any) -> Manifest:
    return Manifest.model_validate(
        spread_provenance({"version": 1, "system": "churn", "model": {"name": "churn"}, **parts})
    )


def found(**parts: Any) -> Collected:
    known: dict[str, Any] = {"model": WELL.model, "challenger": WELL.challenger, "champion": WELL.champion}
    return Collected(**known | parts)


def reason(part: object) -> str:
    lost = gap(part)
    assert lost is not None, part
    return lost.missing


def stage(snapshot: Snapshot, name: str) -> Stage:
    found = snapshot.stage(name)
    assert found is not None
    return found


def test_the_question_and_its_circumstances_are_in_it() -> None:
    snapshot = assemble(passing_manifest(), replace(ASKED, environment="staging", alias="next"), found())
    assert (snapshot.question, snapshot.environment, snapshot.alias, snapshot.now) == (
        "promote",
        "staging",
        "next",
        NOW,
    )
    assert snapshot.manifest_digest == DIGEST
    assert snapshot.owner == passing_manifest().owner
    assert [metric.name for metric in snapshot.metrics] == list(passing_manifest().metrics)


@pytest.mark.parametrize("part", ["model", "challenger", "champion"])
def test_a_gap_of_the_registry_stays_one(part: str) -> None:
    snapshot = assemble(passing_manifest(), ASKED, found(**{part: GAP}))
    assert getattr(snapshot, part) == GAP


def test_what_nobody_brought_is_missing_and_never_absent() -> None:
    """A collector that forgot a stage, a runbook or a run must not make it a fact that there is none."""
    snapshot = assemble(passing_manifest(), ASKED, found())
    for name in ("transactions", "features", "embeddings"):
        told = stage(snapshot, name)
        assert [reason(told.freshness), reason(told.age), reason(told.evidence_age)] == ["nobody asked"] * 3
    assert {reason(book.exists) for book in snapshot.runbooks} == {"nobody looked"}
    runs = {reason(t.run) for t in snapshot.thresholds if t.provenance is not None and t.provenance.run}
    assert runs == {"nobody asked for this run"}
    assert gap(snapshot.end_to_end and snapshot.end_to_end.age) is not None


def test_a_stage_that_promises_nothing_has_no_age() -> None:
    told = stage(WELL, "scoring")
    assert (told.promise, told.evidence_limit, told.freshness, told.age, told.evidence_age) == (None,) * 5


@pytest.mark.parametrize("seconds", [-30, 0, 1, 86_400])
def test_ages_are_counted_to_the_one_now(seconds: int) -> None:
    """An instant a little ahead of our clock is now; it has no negative age."""
    at = NOW - timedelta(seconds=seconds)
    evidence = FreshnessEvidence(kind="loaded", as_of=at, observed_at=min(NOW, at + timedelta(seconds=60)))
    told = stage(assemble(passing_manifest(), ASKED, found(freshness={"features": evidence})), "features")
    assert told.age == timedelta(seconds=max(seconds, 0))
    assert told.evidence_age == timedelta(seconds=max(seconds - 60, 0))


@pytest.mark.parametrize(
    ("source", "limit"),
    [
        ({"url": "https://a.example/x", "time": "t"}, SERVICE_ANSWER),
        ({"headers": "https://a.example/x"}, SERVICE_ANSWER),
        ({"prometheus": "https://a.example", "query": "x"}, SERVICE_ANSWER),
        ({"airflow": "https://a.example", "asset": "x"}, SERVICE_ANSWER),
        ({"file": "x.json", "time": "t"}, FILE_ANSWER),
        ({"dbt": "target/sources.json", "source": "raw.x"}, FILE_ANSWER),
        ({"dbt": "https://a.example/sources.json", "source": "raw.x"}, FILE_ANSWER),
        ({"file": "x.json", "time": "t", "max_evidence_age": "5m"}, timedelta(minutes=5)),
    ],
    ids=["url", "headers", "prometheus", "airflow", "file", "dbt", "dbt-url", "declared"],
)
def test_how_old_an_answer_may_be(source: dict[str, str], limit: timedelta) -> None:
    declared = manifest(stages=({"name": "a", "freshness": {"max_age": "2h", **source}},))
    told = stage(assemble(declared, ASKED, found()), "a")
    assert told.evidence_limit is not None
    assert told.evidence_limit.value == limit


def threshold(snapshot: Snapshot, name: str) -> Threshold:
    (item,) = (item for item in snapshot.thresholds if item.name == name)
    return item


def applied(place: dict[str, str], **parts: Any) -> Any:
    declared = manifest(thresholds={"confidence": {"value": "0.72", "applied": place}})
    item = threshold(assemble(declared, parts.pop("asked", ASKED), found(**parts)), "thresholds.confidence")
    assert item.declared_applied
    return item.applied


def test_the_value_in_use_is_read_where_the_manifest_says() -> None:
    param = applied({"param": "retrieval_confidence"})
    assert param is not None
    assert (param.value, param.place.startswith("param retrieval_confidence of run 2")) == ("0.72", True)
    tag = applied({"version_tag": "aigate.artifact_digest"})
    assert tag is not None
    assert tag.place == "tag aigate.artifact_digest of version 2"
    assert applied({"run_tag": "nowhere"}) is None
    assert applied({"param": "nowhere"}) is None


def test_it_is_the_judged_versions_value() -> None:
    asked = replace(ASKED, question="retain")
    told = applied({"version_tag": "aigate.artifact_digest"}, asked=asked, challenger=None)
    assert told is not None
    assert told.place.endswith("of version 1")


@pytest.mark.parametrize(
    "place", [{"param": "x"}, {"run_tag": "x"}, {"version_tag": "x"}], ids=lambda p: next(iter(p))
)
def test_of_a_version_that_is_not_known_no_value_is_known(place: dict[str, str]) -> None:
    assert reason(applied(place, challenger=GAP)) == "connection refused"
    assert reason(applied(place, challenger=None)) == "there is no version to look at"
    challenger = WELL.challenger
    assert challenger is not None
    without_run = challenger.model_copy(update={"run": GAP})
    if "version_tag" in place:
        assert applied(place, challenger=without_run) is None
    else:
        assert reason(applied(place, challenger=without_run)) == "connection refused"
        assert applied(place, challenger=challenger.model_copy(update={"run": None})) is None


def test_a_threshold_that_names_no_run_has_none_to_miss() -> None:
    declared = manifest(metrics={"accuracy": {"floor": "0.9"}})
    item = threshold(assemble(declared, ASKED, found()), "metrics.accuracy.floor")
    assert (item.provenance, item.run, item.edited_on, item.declared_applied) == (None, None, None, False)


def test_when_a_value_changed_stays_a_gap_where_it_is_one() -> None:
    declared = manifest(metrics={"accuracy": {"floor": "0.9"}})
    lost = missing("a shallow clone", "git")
    item = threshold(
        assemble(declared, ASKED, found(edited={"metrics.accuracy.floor": lost})), "metrics.accuracy.floor"
    )
    assert item.edited_on == lost


@given(st.permutations(WELL.evidence))
def test_the_order_of_arrival_leaves_no_trace(sources: list[Source]) -> None:
    snapshot = assemble(passing_manifest(), ASKED, found(sources=tuple(sources)))
    assert snapshot.evidence == tuple(sorted(WELL.evidence, key=lambda source: source.name))
