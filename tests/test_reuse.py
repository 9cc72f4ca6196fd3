"""Evidence of one manifest, for another: what is the same is reused whole, what is new is missing, nothing is made up."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.assemble import Asked, assemble
from aigate.digest import canonical
from aigate.manifest import Manifest
from aigate.register import register
from aigate.reuse import reuse
from aigate.snapshot import Snapshot
from aigate.testing import passing_manifest, passing_snapshot
from aigate.values import Evident, gap, missing

MANIFEST = passing_manifest()
STAGES = [stage.name for stage in MANIFEST.stages if stage.freshness is not None]
EDITED: Mapping[str, Evident[datetime | None]] = {t.name: t.edited_on for t in passing_snapshot().thresholds}
RUNBOOKS = {"runbooks/churn.md": True, "runbooks/late-data.md": True}


def changed(**parts: Any) -> Manifest:
    """Return the manifest with some of its parts exchanged."""
    return Manifest.model_validate_json(canonical(MANIFEST.model_copy(update=parts)).decode())


def again(after: Manifest, snapshot: Snapshot, before: Manifest = MANIFEST) -> Snapshot:
    """Return the snapshot that another manifest makes of what is known."""
    edited = {item.name: EDITED.get(item.name, missing("new", "test")) for item in register(after)}
    found = reuse(snapshot, before, after, runbooks=RUNBOOKS, edited=edited)
    asked = Asked(
        question=snapshot.question,
        environment=snapshot.environment,
        alias=snapshot.alias,
        now=snapshot.now,
        manifest_digest=snapshot.manifest_digest,
    )
    return assemble(after, asked, found)


def freshness(snapshot: Snapshot) -> dict[str, Any]:
    return {stage.name: stage.freshness for stage in snapshot.stages}


def with_source(name: str, **update: Any) -> Manifest:
    """Return the manifest with one stage's source, or its limits, changed."""
    stages = []
    for stage in MANIFEST.stages:
        if stage.name == name:
            assert stage.freshness is not None
            stage = stage.model_copy(update={"freshness": stage.freshness.model_copy(update=update)})
        stages.append(stage)
    return MANIFEST.model_copy(update={"stages": tuple(stages)})


@pytest.mark.parametrize("question", ["promote", "retain"])
def test_the_same_manifest_makes_the_same_bytes(question: Any) -> None:
    snapshot = passing_snapshot(question)
    assert canonical(again(MANIFEST, snapshot)) == canonical(snapshot)


@given(
    st.lists(st.sampled_from(["model", "challenger", "champion"]), unique=True),
    st.sets(st.sampled_from(STAGES)),
)
def test_gaps_stay_gaps(parts: list[str], silent: set[str]) -> None:
    snapshot = passing_snapshot()
    lost = missing("401 Unauthorized", "https://mlflow.example")
    found = reuse(
        snapshot.model_copy(update=dict.fromkeys(parts, lost)),
        MANIFEST,
        MANIFEST,
        runbooks=RUNBOOKS,
        edited=EDITED,
    )
    for part in parts:
        assert getattr(found, part) == lost
    gone = tuple(
        stage.model_copy(update={"freshness": lost}) if stage.name in silent else stage
        for stage in snapshot.stages
    )
    kept = freshness(again(MANIFEST, snapshot.model_copy(update={"stages": gone})))
    assert {name for name in STAGES if gap(kept[name]) is not None} == silent


@pytest.mark.parametrize("name", STAGES)
def test_another_source_of_a_stage_makes_exactly_that_one_missing(name: str) -> None:
    source = next(stage.freshness for stage in MANIFEST.stages if stage.name == name)
    assert source is not None
    texts = [
        key
        for key, value in source.model_dump(exclude={"max_age", "max_evidence_age"}).items()
        if isinstance(value, str)
    ]
    assert texts
    before = freshness(passing_snapshot())
    for key in texts:
        after = freshness(again(with_source(name, **{key: f"{getattr(source, key)}x"}), passing_snapshot()))
        assert gap(after[name]) is not None, key
        assert "from elsewhere" in after[name].missing
        assert {other: after[other] for other in after if other != name} == {
            other: before[other] for other in before if other != name
        }


@pytest.mark.parametrize("name", STAGES)
def test_another_promise_keeps_the_reading(name: str) -> None:
    source = next(stage.freshness for stage in MANIFEST.stages if stage.name == name)
    assert source is not None
    limit = source.max_age.model_copy(update={"value": source.max_age.value / 2})
    snapshot = again(with_source(name, max_age=limit), passing_snapshot())
    assert freshness(snapshot) == freshness(passing_snapshot())
    assert (
        next(stage for stage in snapshot.stages if stage.name == name).limit
        != next(stage for stage in passing_snapshot().stages if stage.name == name).limit
    )


def test_a_stage_that_is_new_or_promises_anew_was_not_asked() -> None:
    new = MANIFEST.stages[0].model_copy(update={"name": "brand-new"})
    after = MANIFEST.model_copy(update={"stages": (*MANIFEST.stages, new)})
    found = freshness(again(after, passing_snapshot()))
    assert "was not asked" in found["brand-new"].missing
    assert {name: found[name] for name in STAGES} == {
        name: freshness(passing_snapshot())[name] for name in STAGES
    }


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_took_anothers_name_has_not_its_reading(name: str) -> None:
    """Two stages change places: each name reads now what the other one read."""
    other = next(each for each in STAGES if each != name)
    sources = {stage.name: stage.freshness for stage in MANIFEST.stages}
    swapped = {name: sources[other], other: sources[name]}
    stages = tuple(
        stage.model_copy(update={"freshness": swapped.get(stage.name, stage.freshness)})
        for stage in MANIFEST.stages
    )
    found = freshness(again(MANIFEST.model_copy(update={"stages": stages}), passing_snapshot()))
    for each in (name, other):
        assert gap(found[each]) is not None


def test_a_run_that_the_change_names_was_not_asked_for() -> None:
    known = next(
        item.provenance.run
        for item in register(MANIFEST)
        if item.provenance is not None and item.provenance.run
    )
    text = canonical(MANIFEST).decode()
    assert known in text
    after = Manifest.model_validate_json(text.replace(known, "feedfacefeedface", 1))
    found = reuse(passing_snapshot(), MANIFEST, after, runbooks=RUNBOOKS, edited=EDITED)
    assert "nobody asked for it" in found.runs["feedfacefeedface"].missing  # type: ignore[union-attr]
    assert gap(found.runs[known]) is None, "the others still have theirs"
    named = {
        item.provenance.run for item in register(after) if item.provenance is not None and item.provenance.run
    }
    assert set(found.runs) == named


def test_what_was_in_use_is_no_evidence_for_another_value() -> None:
    """A limit that is only lowered is the change's own: its value is in the snapshot, its evidence is not made up."""
    snapshot = again(MANIFEST, passing_snapshot())
    assert snapshot.evidence == passing_snapshot().evidence
