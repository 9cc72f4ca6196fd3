"""Provenance: each policy seen to pass, fail, go unknown where it can, and skip."""

from datetime import UTC, date, datetime, timedelta

import pytest

from aigate.limits import Provenance
from aigate.snapshot import AppliedValue, Tag
from aigate.testing import missing
from standard_pack import ask, expect, passing, with_

FLOOR = "metrics.accuracy.floor"
SERVING = "thresholds.retrieval_confidence"
AGE = "stages.features.freshness.max_age"
ALL = [
    "provenance.method",
    "provenance.environment",
    "provenance.review",
    "provenance.edited",
    "provenance.run",
    "provenance.data",
    "provenance.measured_with",
]


def at(name: str, place: str, value: object) -> dict[str, object]:
    """A change of one threshold."""
    return {f"/thresholds/{name}/{place}": value}


def everywhere(place: str, value: object, *, ages: bool = True) -> dict[str, object]:
    """A change of every threshold."""
    return {
        f"/thresholds/{index}/{place}": value
        for index, threshold in enumerate(passing().thresholds)
        if ages or threshold.kind != "age"
    }


@pytest.mark.parametrize("id", [*ALL, "provenance.recorded", "provenance.applied"])
def test_the_passing_snapshot_passes(id: str) -> None:
    expect(id, {}, "pass")


@pytest.mark.parametrize("id", ALL)
def test_without_any_provenance_the_rest_is_a_skip(id: str) -> None:
    expect(id, everywhere("provenance", None), "skip")


@pytest.mark.parametrize("name", [FLOOR, SERVING, AGE], ids=["limit", "serving", "age"])
def test_a_limit_of_any_kind_without_provenance_fails_and_shows_the_lines_to_add(name: str) -> None:
    found = expect("provenance.recorded", at(name, "provenance", None), "fail", keys=(name,))
    key = name.rpartition(".")[2]
    assert f"{key}: {{value: " in found.findings[0].fix
    assert "set_on: 2026-11-21, environment: production" in found.findings[0].fix
    assert found.findings[0].owner == ("data-eng" if name == AGE else "retention-platform")


def test_a_stage_limit_shows_the_lines_of_a_limit_that_can_be_pasted() -> None:
    changes = at(AGE, "provenance", None) | at(AGE, "value", "1d 12h")
    fix = expect("provenance.recorded", changes, "fail").findings[0].fix
    assert "max_age: {value: 1d12h, provenance: {set_by: <name>" in fix


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        pytest.param("set_by", None, "who set it", id="nobody"),
        pytest.param("set_by", "<name>", "who set it", id="a-placeholder"),
        pytest.param("set_by", "renovate[bot]", "who set it", id="a-bot"),
        pytest.param("set_on", None, "when", id="no-day"),
        pytest.param("environment", None, "where", id="no-environment"),
        pytest.param("run", None, "from what", id="no-run"),
        pytest.param("run", " ", "from what", id="a-blank-run"),
    ],
)
def test_every_part_of_an_origin_is_needed(place: str, value: object, words: str) -> None:
    changes = at(FLOOR, f"provenance/{place}", value)
    expect("provenance.recorded", changes, "fail", f"does not say {words}", keys=(FLOOR,))


def test_a_link_does_for_a_run_and_an_argument_where_nothing_is_measured() -> None:
    lost = at(FLOOR, "provenance/run", None)
    expect("provenance.recorded", lost | at(FLOOR, "provenance/evidence", "https://wiki.example/1"), "pass")
    argued = lost | at(FLOOR, "provenance/rationale", "the regulator says so")
    expect("provenance.recorded", argued, "fail", "from what")
    expect("provenance.recorded", argued | at(FLOOR, "provenance/method", "regulatory"), "pass")
    expect("provenance.recorded", at(AGE, "provenance/rationale", None), "fail", "from what")


def test_the_kinds_that_need_an_origin_can_be_narrowed() -> None:
    lost = at(AGE, "provenance", None)
    expect("provenance.recorded", lost, "pass", kinds=("limit", "serving"))
    expect("provenance.recorded", lost, "skip", kinds=("none",))
    expect("provenance.recorded", {"/thresholds": (), "/metrics": ()}, "skip")


def test_limits_without_a_list_of_them_are_unknown() -> None:
    expect("provenance.recorded", {"/thresholds": ()}, "unknown", "no list")


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        pytest.param({"method": "default"}, "fail", id="default"),
        pytest.param({"method": "default", "portable": "it is fine"}, "fail", id="default-with-an-excuse"),
        pytest.param({"method": "copied"}, "fail", id="copied"),
        pytest.param({"copied_from": "staging"}, "fail", id="copied-from"),
        pytest.param(
            {"method": "copied", "copied_from": "eu", "portable": "same data"}, "pass", id="portable"
        ),
        pytest.param({"method": None}, "pass", id="no-method"),
    ],
)
def test_defaults_and_copies_fail(changes: dict[str, object], outcome: str) -> None:
    changed = {f"/thresholds/{FLOOR}/provenance/{place}": value for place, value in changes.items()}
    expect("provenance.method", changed, outcome)  # type: ignore[arg-type]  # from the table


def test_a_value_of_another_environment_fails_unless_it_is_portable() -> None:
    dev = at(SERVING, "provenance/environment", "dev")
    expect("provenance.environment", dev, "fail", "tuned in dev and is used in production", keys=(SERVING,))
    expect("provenance.environment", dev | at(SERVING, "provenance/portable", "same index"), "pass")
    expect("provenance.environment", {"/environment": "staging"}, "fail", "tuned in production")


def test_without_environments_there_is_nothing_to_compare() -> None:
    changes = everywhere("provenance/environment", None)
    expect("provenance.environment", changes, "skip", "provenance.recorded")


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        pytest.param({"reviewed_by": "m.ito"}, ("reviewer",), id="its-own-reviewer"),
        pytest.param({"reviewed_by": "@M.Ito"}, ("reviewer",), id="its-own-reviewer-in-other-letters"),
        pytest.param({"review_by": date(2026, 11, 20)}, ("due",), id="due-yesterday"),
        pytest.param({"review_by": date(2026, 11, 21)}, (), id="due-today"),
        pytest.param({"set_on": date(2026, 11, 22), "reviewed_on": None}, (), id="set-tomorrow-somewhere"),
        pytest.param({"set_on": date(2026, 11, 23), "reviewed_on": None}, ("set_on",), id="set-in-future"),
        pytest.param({"reviewed_on": date(2027, 1, 1)}, ("reviewed_on",), id="reviewed-in-future"),
        pytest.param({"reviewed_on": date(2026, 8, 1)}, ("order",), id="reviewed-before-it-was-set"),
        pytest.param({"reviewed_on": None, "reviewed_by": None}, (), id="never-reviewed-and-not-due"),
    ],
)
def test_reviews(changes: dict[str, object], keys: tuple[str, ...]) -> None:
    changed = {f"/thresholds/{FLOOR}/provenance/{place}": value for place, value in changes.items()}
    expected = tuple(f"{FLOOR}/{key}" for key in keys)
    expect("provenance.review", changed, "fail" if keys else "pass", keys=expected)


@pytest.mark.parametrize(("every", "outcome"), [("110d", "pass"), ("109d", "fail")], ids=["at", "beyond"])
def test_somebody_looks_again_every_so_often(every: str, outcome: str) -> None:
    """The floor was reviewed on 3 August, 110 days before; the ages were set on 2 August."""
    ages = everywhere("provenance/reviewed_on", date(2026, 8, 3))
    expect("provenance.review", ages, outcome, review_every=every)  # type: ignore[arg-type]  # from the table


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        pytest.param(datetime(2026, 8, 5, 23, 59, tzinfo=UTC), "pass", id="within-slack"),
        pytest.param(datetime(2026, 8, 6, tzinfo=UTC), "fail", id="beyond-slack"),
        pytest.param(None, "pass", id="one-not-under-version-control"),
        pytest.param(missing("shallow clone"), "unknown", id="not-known"),
    ],
)
def test_a_value_edited_after_its_provenance_fails(changed: object, outcome: str) -> None:
    expect("provenance.edited", at(FLOOR, "edited_on", changed), outcome)  # type: ignore[arg-type]  # from the table


def test_an_edit_names_both_days_and_slack_can_be_set() -> None:
    edited = at(FLOOR, "edited_on", datetime(2026, 9, 1, tzinfo=UTC))
    expect("provenance.edited", edited, "fail", "was changed on 2026-09-01, its provenance is of 2026-08-02")
    expect("provenance.edited", edited, "pass", slack="30d")


def test_a_manifest_outside_of_version_control_is_a_skip() -> None:
    changes = everywhere("edited_on", None)
    expect("provenance.edited", changes, "skip", "version control")


@pytest.mark.parametrize(
    ("changes", "outcome", "words"),
    [
        pytest.param({"run": None}, "fail", "there is no such run", id="no-such-run"),
        pytest.param({"run/deleted": True}, "fail", "deleted", id="deleted"),
        pytest.param({"run/status": "FAILED"}, "fail", "FAILED", id="failed"),
        pytest.param({"run/status": "RUNNING"}, "fail", "RUNNING", id="not-over"),
        pytest.param({"run/run_id": "beef"}, "unknown", "run beef was read", id="another-run"),
        pytest.param({"run": missing("time-out")}, "unknown", "time-out", id="not-asked"),
        pytest.param({"run/params": (Tag(key="retrieval_confidence", value="0.60"),)}, "fail", "0.60", id="another-value"),
        pytest.param({"run/params": (Tag(key="retrieval_confidence", value="0.720"),)}, "pass", "", id="the-same-number"),
        pytest.param({"run/params": (Tag(key="retrieval_confidence", value="NaN"),)}, "fail", "NaN", id="no-number"),
        pytest.param({"run/metrics": (Tag(key="retrieval_confidence", value="0.7"),)}, "fail", "0.7", id="as-a-metric"),
        pytest.param({"run/params": (Tag(key="lr", value="0.6"),)}, "pass", "", id="about-something-else"),
    ],
)  # fmt: skip
def test_the_run_exists_and_says_the_same(changes: dict[str, object], outcome: str, words: str) -> None:
    changed = {f"/thresholds/{SERVING}/{place}": value for place, value in changes.items()}
    expect("provenance.run", changed, outcome, words)  # type: ignore[arg-type]  # from the table


@pytest.mark.parametrize("key", ["accuracy.floor", "accuracy_floor", "metrics.accuracy.floor"])
def test_a_metrics_limit_is_looked_for_under_its_usual_names(key: str) -> None:
    logged = at(FLOOR, "run/params", (Tag(key=key, value="0.90"),))
    expect("provenance.run", logged, "fail", f"{key} = 0.90", keys=(f"{FLOOR}/{key}",))
    expect("provenance.run", at(FLOOR, "run/metrics", (Tag(key="accuracy", value="0.94"),)), "pass")


def test_spans_of_time_are_compared_as_such() -> None:
    run = Provenance(set_by="m.ito", run="1f0c55aa90d14f6e")
    changes = (
        at(AGE, "provenance", run) | at(AGE, "value", "1d 12h") | at(AGE, "run", passing().thresholds[0].run)
    )
    for text, outcome in (("PT36H", "pass"), ("36h", "pass"), ("35h", "fail")):
        logged = at(AGE, "run/params", (Tag(key=AGE, value=text),))
        expect("provenance.run", changes | logged, outcome)  # type: ignore[arg-type]  # from the table


@pytest.mark.parametrize(
    ("found", "outcome", "words"),
    [
        pytest.param(AppliedValue(value="0.7200", place="param"), "pass", "", id="the-same-number"),
        pytest.param(AppliedValue(value="0.60", place="param x of run y"), "fail", "0.60 in use (param x of run y)", id="another"),
        pytest.param(AppliedValue(value="", place="param"), "fail", "", id="blank"),
        pytest.param(None, "fail", "nowhere to be found", id="nowhere"),
        pytest.param(missing("run unread"), "unknown", "run unread", id="not-known"),
    ],
)  # fmt: skip
def test_the_value_in_use_is_the_value_declared(found: object, outcome: str, words: str) -> None:
    expect("provenance.applied", at(SERVING, "applied", found), outcome, words)  # type: ignore[arg-type]  # from the table


def test_a_threshold_that_names_no_place_is_a_skip() -> None:
    expect("provenance.applied", at(SERVING, "declared_applied", False), "skip")


def test_a_metrics_limit_is_held_against_that_metrics_data() -> None:
    other = at(FLOOR, "provenance/dataset/digest", "0ld0ld")
    found = expect("provenance.data", other, "fail", "churn_eval@0ld0ld", keys=(FLOOR,))
    assert "the version on churn_eval@9b21f0aa" in found.findings[0].message
    moved = {"/challenger/measurements/accuracy/dataset/digest": "new"}
    found = expect("provenance.data", {**moved}, "fail")
    assert {finding.key.split(".")[1] for finding in found.findings} == {"accuracy"}


def test_a_serving_threshold_is_held_against_the_data_of_any_limited_metric() -> None:
    expect("provenance.data", {"/challenger/measurements/accuracy/dataset/digest": "new"}, "fail")
    other = at(SERVING, "provenance/dataset/digest", "0ld0ld")
    expect("provenance.data", other, "fail", keys=(SERVING,))


def test_data_that_are_not_logged_are_unknown() -> None:
    expect("provenance.data", {"/challenger/measurements/accuracy/dataset": None}, "unknown", "not logged")
    expect("provenance.data", {"/challenger/measurements": missing("time-out")}, "unknown", "time-out")


def test_thresholds_that_name_no_digest_are_a_skip() -> None:
    expect("provenance.data", everywhere("provenance/dataset", None, ages=False), "skip")


EMBEDDING = f"{SERVING}/embedding_model"


@pytest.mark.parametrize(
    ("changes", "outcome", "keys"),
    [
        pytest.param({"/challenger/run/params/embedding_model/value": "e5-large"}, "fail", (EMBEDDING,), id="changed"),
        pytest.param({"/challenger/tags": (Tag(key="embedding_model", value="ada"),)}, "fail", (EMBEDDING,), id="tag-differs"),
        pytest.param({"/challenger/run/params": ()}, "unknown", (), id="not-logged"),
        pytest.param({"/challenger/run": None}, "unknown", (), id="no-run"),
        pytest.param({"/challenger/run": missing("time-out")}, "unknown", (), id="run-not-read"),
        pytest.param({f"/thresholds/{SERVING}/provenance/model": "1"}, "fail", (f"{SERVING}/model",), id="another-version"),
    ],
)  # fmt: skip
def test_what_it_was_measured_with_is_in_use(
    changes: dict[str, object], outcome: str, keys: tuple[str, ...]
) -> None:
    expect("provenance.measured_with", changes, outcome, keys=keys)  # type: ignore[arg-type]  # from the table


def test_a_tag_of_the_version_or_its_run_does_where_there_is_no_parameter() -> None:
    for place in ("/challenger/tags", "/challenger/run/tags"):
        tags = (Tag(key="embedding_model", value="e5-small-v2"),)
        expect("provenance.measured_with", {"/challenger/run/params": (), place: tags}, "pass")


def test_a_floor_may_come_from_another_version() -> None:
    expect("provenance.measured_with", at(FLOOR, "provenance/model", "1"), "pass")


def test_thresholds_that_depend_on_nothing_are_a_skip() -> None:
    changes = at(SERVING, "provenance/model", None) | at(SERVING, "provenance/measured_with", {})
    expect("provenance.measured_with", changes, "skip")


def test_all_dates_are_counted_to_the_snapshots_now() -> None:
    later = with_({"/now": passing().now + timedelta(days=80)})
    assert ask("provenance.review", later).outcome == "fail"
