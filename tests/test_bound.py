"""What a decision is bound to: each fact of the registry by its own place, and nothing that may well change."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.bound import OWN_TAGS, Part, differing, parts, whole
from aigate.enforce.receipts import ANCHOR, QUARANTINE, RECEIPT
from aigate.snapshot import (
    RegisteredModel,
    Run,
    Snapshot,
    Subject,
    Tag,
    Version,
)
from aigate.testing import NOW, change, missing, passing_snapshot
from aigate.values import Missing
from aigate.window import TAG

PROMOTE, RETAIN = passing_snapshot(), passing_snapshot("retain")
LATER = NOW + timedelta(minutes=3)
ALTERED = "sha256:" + "f" * 64


def differ(after: Snapshot, before: Snapshot = PROMOTE) -> tuple[str, ...]:
    """Where two snapshots differ; their digests must say the same."""
    found = differing(parts(before), parts(after))
    assert found == differing(parts(after), parts(before))
    assert (whole(parts(before)) == whole(parts(after))) is (found == ())
    return found


# --- what binds --------------------------------------------------------------------------------------------------

# Where a change is made, what is put there, and by which place it is named.
BINDING: dict[str, tuple[str, Any, str]] = {
    "model's name": ("/model/name", "other", "/model/name"),
    "model made anew": ("/model/created_at", LATER, "/model/created_at"),
    "model's description": ("/model/description", "mine now", "/model/description"),
    "model's tag": ("/model/tags/owner/value", "somebody", "/model/tags"),
    "alias moved": ("/model/aliases/champion/version", "2", "/model/aliases"),
    "alias renamed": ("/model/aliases/challenger/name", "canary", "/model/aliases"),
    "registry": ("/challenger/subject/registry", "https://other.example", "/challenger/subject/registry"),
    "version": ("/challenger/subject/version", "3", "/challenger/subject/version"),
    "version made anew": ("/challenger/subject/created_at", LATER, "/challenger/subject/created_at"),
    "version's run": ("/challenger/subject/run_id", None, "/challenger/subject/run_id"),
    "source": ("/challenger/subject/source", "s3://elsewhere", "/challenger/subject/source"),
    "logged model": ("/challenger/subject/model_id", "m-f", "/challenger/subject/model_id"),
    "files": ("/challenger/subject/artifact_digest", ALTERED, "/challenger/subject/artifact_digest"),
    "files no longer read": (
        "/challenger/subject/artifact_digest",
        missing("no answer"),
        "/challenger/subject/artifact_digest",
    ),
    "champion's files": ("/champion/subject/artifact_digest", ALTERED, "/champion/subject/artifact_digest"),
    "status": ("/challenger/status", "PENDING_REGISTRATION", "/challenger/status"),
    "stage": ("/challenger/stage", "Archived", "/challenger/stage"),
    "version's aliases": ("/challenger/aliases", (), "/challenger/aliases"),
    "version's tag": ("/challenger/tags/0/value", "x", "/challenger/tags"),
    "lineage": ("/challenger/lineage", ("models:/other/1",), "/challenger/lineage"),
    "metric": ("/challenger/measurements/accuracy/value", Decimal("0.99"), "/challenger/measurements"),
    "metric's spelling": ("/challenger/measurements/accuracy/value", Decimal("0.9430"), "/challenger/measurements"),
    "metric's data": ("/challenger/measurements/accuracy/dataset", None, "/challenger/measurements"),
    "metric after the fact": ("/challenger/measurements/accuracy/after_finish", True, "/challenger/measurements"),
    "champion's metric": ("/champion/measurements/accuracy/value", Decimal("0.1"), "/champion/measurements"),
    "metrics gone": ("/challenger/measurements", missing("no answer"), "/challenger/measurements"),
    "judge": ("/challenger/judges/correctness/failed", 0, "/challenger/judges"),
    "run's status": ("/challenger/run/status", "RUNNING", "/challenger/run/status"),
    "run deleted": ("/challenger/run/deleted", True, "/challenger/run/deleted"),
    "run's parameter": ("/challenger/run/params/embedding_model/value", "e6", "/challenger/run/params"),
    "run's tag": ("/challenger/run/tags", (Tag(key="a", value="b"),), "/challenger/run/tags"),
    "run's metric": ("/challenger/run/metrics", (Tag(key="a", value="1"),), "/challenger/run/metrics"),
    "run's data": ("/challenger/run/datasets/churn_eval/rows", 4999, "/challenger/run/datasets"),
    "run's user": ("/champion/run/user", "eve", "/champion/run/user"),
    "rows compared": ("/comparisons/accuracy/rows/gained", 161, "/comparisons"),
    "no longer compared": ("/comparisons/accuracy/rows", missing("no answer"), "/comparisons"),
    "limit": ("/thresholds/metrics.accuracy.floor/value", "0.1", "/thresholds"),
    "limit in use": ("/thresholds/thresholds.retrieval_confidence/applied/value", "0.1", "/thresholds"),
    "run of a limit": ("/thresholds/thresholds.retrieval_confidence/run/user", "eve", "/thresholds"),
    "no model": ("/model", missing("no answer"), "/model"),
}  # fmt: skip


@pytest.mark.parametrize(("place", "value", "named"), BINDING.values(), ids=BINDING.keys())
def test_a_changed_fact_is_named_by_its_place(place: str, value: Any, named: str) -> None:
    found = differ(change(PROMOTE, place, value))
    if place == "/model":
        fields = {*RegisteredModel.model_fields, *Missing.model_fields}
        assert set(found) == {f"/model/{field}" for field in fields}
    else:
        assert found == (named,)


@pytest.mark.parametrize("role", ["challenger", "champion"])
@pytest.mark.parametrize("value", [None, missing("no answer")], ids=["gone", "unreadable"])
def test_a_version_that_is_gone_is_named(role: str, value: Any) -> None:
    found = differ(change(PROMOTE, f"/{role}", value))
    assert f"/{role}" in found
    assert f"/{role}/subject/version" in found
    assert all(at.startswith(f"/{role}") for at in found)


@pytest.mark.parametrize(
    ("value", "more"),
    [
        pytest.param(None, {"/challenger/run"}, id="none"),
        pytest.param(
            missing("no answer"),
            {f"/challenger/run/{name}" for name in Missing.model_fields},
            id="unreadable",
        ),
    ],
)
def test_a_run_that_is_gone_is_named(value: Any, more: set[str]) -> None:
    found = differ(change(PROMOTE, "/challenger/run", value))
    assert set(found) == more | {f"/challenger/run/{name}" for name in Run.model_fields}


def test_that_nothing_is_there_is_not_that_nobody_knows() -> None:
    none, unknown = change(PROMOTE, "/champion", None), change(PROMOTE, "/champion", missing("no answer"))
    assert differ(none, unknown) == ("/champion",)


def test_every_fact_about_model_and_versions_is_a_part() -> None:
    """A field that is added to what is read from the registry binds, without anybody thinking of it."""
    expected = {f"/model/{name}" for name in RegisteredModel.model_fields}
    for role in ("challenger", "champion"):
        expected |= {f"/{role}/subject/{name}" for name in Subject.model_fields}
        expected |= {f"/{role}/run/{name}" for name in Run.model_fields}
        expected |= {f"/{role}/{name}" for name in Version.model_fields if name not in ("subject", "run")}
    expected |= {"/comparisons", "/thresholds"}
    found = [part.at for part in parts(PROMOTE)]
    assert set(found) == expected
    assert len(found) == len(expected)


def test_several_changes_are_named_in_order() -> None:
    after = change(PROMOTE, "/thresholds/metrics.accuracy.floor/value", "0.1")
    after = change(after, "/challenger/status", "x")
    assert differ(after) == ("/challenger/status", "/thresholds")


def test_for_a_champion_that_may_stay_the_same_binds() -> None:
    assert differ(change(RETAIN, "/champion/measurements/accuracy/value", Decimal("0.1")), RETAIN) == (
        "/champion/measurements",
    )
    assert [part.at for part in parts(RETAIN)].count("/challenger") == 1


# --- what does not -----------------------------------------------------------------------------------------------

FREE: dict[str, tuple[str, Any]] = {
    "the instant": ("/now", LATER),
    "age of data": ("/stages/features/age", timedelta(hours=9)),
    "age of the answer": ("/stages/features/evidence_age", timedelta(seconds=1)),
    "fresher data": ("/stages/features/freshness/as_of", NOW),
    "data not known": ("/stages/features/freshness", missing("no answer")),
    "behind": ("/stages/features/stale_inputs", missing("no answer")),
    "end to end": ("/end_to_end/age", timedelta(hours=40)),
    "when it was fetched": ("/evidence/mlflow:model/fetched_at", LATER),
    "what came of fetching": ("/evidence/freshness:features/status", "missing"),
    "runbook": ("/runbooks/0/exists", False),
}


@pytest.mark.parametrize(("place", "value"), FREE.values(), ids=FREE.keys())
def test_time_may_go_on(place: str, value: Any) -> None:
    after = change(PROMOTE, place, value)
    assert after != PROMOTE
    assert differ(after) == ()


def with_tags(place: str, *tags: tuple[str, str]) -> Snapshot:
    """The passing snapshot with more tags in a place."""
    holder: Any = PROMOTE
    for part in place.strip("/").split("/"):
        holder = getattr(holder, part)
    return change(PROMOTE, place, (*holder, *(Tag(key=key, value=value) for key, value in tags)))


_TAGS = pytest.mark.parametrize("place", ["/model/tags", "/challenger/tags", "/champion/tags"])


@_TAGS
@pytest.mark.parametrize("key", OWN_TAGS)
def test_what_aigate_writes_itself_does_not_bind(place: str, key: str) -> None:
    assert differ(with_tags(place, (key, "x"))) == ()
    assert differ(with_tags(place, (key, "x")), with_tags(place, (key, "y"))) == ()


@_TAGS
@pytest.mark.parametrize(
    "key",
    ["aigate", "aigate.ledger2", "aigate.ledge", "Aigate.ledger", " aigate.ledger", "aigate.artifact_digest",
     "aigate/ledger", "x"],
)  # fmt: skip
def test_every_other_tag_binds(place: str, key: str) -> None:
    assert differ(with_tags(place, (key, "x"))) == (place,)


def test_aigates_own_tags_are_the_ones_that_it_writes() -> None:
    assert sorted(OWN_TAGS) == sorted((ANCHOR, RECEIPT, QUARANTINE, TAG))


# --- digests -----------------------------------------------------------------------------------------------------


def test_the_same_snapshot_has_the_same_parts() -> None:
    again = Snapshot.model_validate_json(PROMOTE.model_dump_json(by_alias=True))
    assert parts(again) == parts(passing_snapshot()) == parts(PROMOTE)
    assert whole(parts(PROMOTE)).startswith("sha256:")


def test_the_whole_is_over_every_part_and_its_place() -> None:
    one, two = Part(at="/a", digest=ALTERED), Part(at="/b", digest=ALTERED)
    digests = {whole(found) for found in ((), (one,), (two,), (one, two))}
    assert len(digests) == 4


@given(st.dictionaries(st.sampled_from("abcd"), st.sampled_from("01"), max_size=4),
       st.dictionaries(st.sampled_from("abcd"), st.sampled_from("01"), max_size=4))  # fmt: skip
def test_what_differs_is_what_is_not_the_same_on_both_sides(one: dict[str, str], two: dict[str, str]) -> None:
    before, after = (
        [Part(at=f"/{at}", digest=f"sha256:{value * 64}") for at, value in found.items()]
        for found in (one, two)
    )
    expected = sorted(f"/{at}" for at in one.keys() | two.keys() if one.get(at) != two.get(at))
    assert list(differing(before, after)) == expected


@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=40, deadline=None)
def test_any_text_has_a_digest_and_only_its_own(one: str, two: str) -> None:
    before, after = (change(PROMOTE, "/model/description", text) for text in (one, two))
    assert (differ(after, before) == ()) is (one == two)
