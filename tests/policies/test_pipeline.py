"""Pipeline: each policy seen to pass, fail, go unknown and skip."""

from datetime import timedelta

import pytest

from aigate.decision import Outcome
from aigate.reading import Incumbent
from aigate.snapshot import Alias, Tag
from aigate.testing import NOW, change, missing, passing_snapshot
from aigate.window import Heartbeat, Window, write_heartbeat
from standard_pack import ask, expect

OTHER = f"sha256:{'f' * 64}"


def test_runbooks_that_are_there_pass() -> None:
    expect("pipeline.runbook", {}, "pass")


def test_no_runbook_fails_and_shows_the_lines_to_add() -> None:
    expect(
        "pipeline.runbook",
        {"/runbooks": ()},
        "fail",
        "runbooks: {default: runbooks/churn.md}",
        keys=("runbooks",),
    )


def test_without_a_default_every_kind_of_failure_needs_its_own() -> None:
    expect(
        "pipeline.runbook",
        {"/runbooks/default/blames": "model"},
        "fail",
        "no runbook for failures of process",
    )


def test_a_runbook_that_is_not_there_fails_and_one_nobody_looked_for_is_unknown() -> None:
    expect(
        "pipeline.runbook", {"/runbooks/data/exists": False}, "fail", "runbooks/late-data.md", keys=("data",)
    )
    expect("pipeline.runbook", {"/runbooks/data/exists": missing("no checkout")}, "unknown", "no checkout")


def test_the_champion_is_a_way_back() -> None:
    expect("pipeline.rollback_target", {}, "pass")


def test_a_way_back_that_is_not_ready_or_was_changed_fails() -> None:
    expect("pipeline.rollback_target", {"/champion/status": "FAILED_REGISTRATION"}, "fail", keys=("status",))
    changes: dict[str, object] = {"/champion/subject/artifact_digest": OTHER}
    expect("pipeline.rollback_target", changes, "fail", "changed since", keys=("artifact",))
    expect("pipeline.rollback_target", {**changes, "/champion/tags": ()}, "pass")


@pytest.mark.parametrize("place", ["/champion", "/champion/subject/artifact_digest"])
def test_a_way_back_that_is_not_known_is_unknown(place: str) -> None:
    expect("pipeline.rollback_target", {place: missing("gone")}, "unknown", "gone")


def test_with_nothing_in_service_or_nothing_to_promote_there_is_no_way_back_to_keep() -> None:
    expect("pipeline.rollback_target", {"/champion": None}, "skip", "nothing holds @champion")
    assert ask("pipeline.rollback_target", passing_snapshot("retain")).outcome == "skip"


def test_files_are_the_ones_recorded() -> None:
    expect("pipeline.artifact", {}, "pass")
    expect(
        "pipeline.artifact",
        {"/challenger/subject/artifact_digest": OTHER},
        "fail",
        "not the ones",
        keys=("artifact",),
    )
    expect("pipeline.artifact", {"/challenger/tags": ()}, "skip", "aigate.artifact_digest")


def test_files_that_nobody_could_read_are_unknown_where_a_digest_was_recorded() -> None:
    """Without a record there is nothing to hold them against: not every server hands out its artifacts."""
    lost = {"/challenger/subject/artifact_digest": missing("not served")}
    expect("pipeline.artifact", {**lost}, "unknown", "not served")
    expect("pipeline.artifact", {**lost, "/challenger/tags": ()}, "skip", "has no tag")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        pytest.param({"/challenger/status": "PENDING_REGISTRATION"}, "status", id="not-ready"),
        pytest.param({"/challenger/subject/name": "other"}, "model", id="of-another-model"),
        pytest.param({"/challenger/stage": "Archived"}, "stage", id="archived"),
        pytest.param({"/challenger/subject/version": "1"}, "champion", id="in-service-already"),
    ],
)
def test_the_version_in_question_can_be_put_in_service(changes: dict[str, object], key: str) -> None:
    expect("pipeline.status", {}, "pass")
    expect("pipeline.status", changes, "fail", keys=(key,))


@pytest.mark.parametrize("place", ["/challenger", "/champion", "/model"])
def test_a_version_that_nobody_has_seen_is_unknown(place: str) -> None:
    expect("pipeline.status", {place: missing("no answer")}, "unknown", "no answer")


def test_the_champion_that_is_asked_about_may_hold_its_alias() -> None:
    assert ask("pipeline.status", passing_snapshot("retain")).outcome == "pass"
    assert ask("pipeline.status", change(passing_snapshot("retain"), "/champion", None)).outcome == "unknown"


def test_nothing_in_service_is_no_hindrance() -> None:
    expect("pipeline.status", {"/champion": None, "/model/aliases": ()}, "pass")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"/champion": None}, "on v1, and no version was read", id="taken-away-meanwhile"),
        pytest.param({"/model/aliases": ()}, "on no version, and v1 was read", id="given-meanwhile"),
        pytest.param(
            {"/model/aliases/champion/version": "7"}, "on v7, and v1 was read", id="moved-meanwhile"
        ),
        pytest.param({"/champion/subject/name": "other"}, "one of other", id="champion-of-another-model"),
        pytest.param({"/challenger/run/run_id": "beef"}, "run beef was read", id="another-run"),
        pytest.param(
            {"/challenger/subject/created_at": NOW + timedelta(minutes=2)},
            "in the future",
            id="of-the-future",
        ),
        pytest.param({"/challenger/run": missing("time-out")}, "time-out", id="run-not-read"),
    ],
)
def test_a_registry_that_contradicts_itself_is_unknown(changes: dict[str, object], words: str) -> None:
    expect("pipeline.status", changes, "unknown", words)


def test_an_alias_that_looks_alike_fails() -> None:
    aliases = (Alias(name="Champion", version="2"), Alias(name="champion", version="1"))
    expect("pipeline.status", {"/model/aliases": aliases}, "fail", "@Champion (v2)", keys=("alias/Champion",))


def test_a_version_without_a_run_is_no_contradiction() -> None:
    expect("pipeline.status", {"/challenger/run": None, "/challenger/subject/run_id": None}, "pass")


def test_promises_that_cannot_keep_the_objective_fail() -> None:
    hours = timedelta(hours=18)
    expect("pipeline.attainable", {"/end_to_end/worst_case": hours}, "pass")
    changes: dict[str, object] = {"/end_to_end/worst_case": hours + timedelta(seconds=1)}
    expect("pipeline.attainable", changes, "fail", "add up to", "set by d.silva", keys=("end_to_end_age",))


@pytest.mark.parametrize("place", ["/end_to_end/limit", "/end_to_end/worst_case"])
def test_promises_without_an_objective_or_a_sum_are_a_skip(place: str) -> None:
    expect("pipeline.attainable", {place: None}, "skip")
    expect("pipeline.attainable", {"/end_to_end": None, "/stages": ()}, "skip")


def test_stages_that_nobody_followed_are_unknown() -> None:
    expect("pipeline.attainable", {"/end_to_end": None}, "unknown", "not followed")


WINDOW = Window(champion=Incumbent(version="1", created_at=NOW - timedelta(days=9)))


def heartbeat(
    silent: timedelta = timedelta(minutes=5), environment: str = "production", alias: str = "champion"
) -> dict[str, object]:
    """The change that lets a watcher have been heard some time ago."""
    beat = Heartbeat(
        at=NOW - silent,
        environment=environment,
        alias=alias,
        verdict="keep",
        call="keep",
        every=timedelta(minutes=5),
        window=WINDOW,
    )
    return {"/model/tags": (Tag(key="aigate.watch", value=write_heartbeat(beat)),)}


QUARTER = timedelta(minutes=15)


def test_a_watcher_is_asked_for_only_where_that_is_said() -> None:
    expect("pipeline.watched", {}, "skip", "environments.production.params", "max_silence: 15m")
    retain = ask("pipeline.watched", passing_snapshot("retain"), max_silence=QUARTER)
    assert (retain.outcome, "whoever asks" in retain.reason) == ("skip", True)


@pytest.mark.parametrize(
    ("silent", "outcome"),
    [
        pytest.param(timedelta(0), "pass", id="just-now"),
        pytest.param(QUARTER, "pass", id="at-the-limit"),
        pytest.param(QUARTER + timedelta(seconds=1), "fail", id="a-second-late"),
        pytest.param(timedelta(seconds=-60), "pass", id="clocks-differ"),
        pytest.param(timedelta(seconds=-61), "fail", id="of-the-future"),
    ],
)
def test_a_watcher_was_heard_lately(silent: timedelta, outcome: Outcome) -> None:
    keys = ("heartbeat",) if outcome == "fail" else ()
    expect("pipeline.watched", heartbeat(silent), outcome, keys=keys, max_silence=QUARTER)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        pytest.param({"/model/tags": ()}, "no tag aigate.watch", id="none"),
        pytest.param({"/model/tags": (Tag(key="aigate.watch", value="alive"),)}, "no heartbeat", id="broken"),
        pytest.param(
            {"/model/tags": (Tag(key="aigate.watch", value="x" * 4500),)}, "4500 characters", id="long"
        ),
        pytest.param(heartbeat(environment="staging"), "@champion in staging", id="of-another-environment"),
        pytest.param(heartbeat(alias="shadow"), "@shadow in production", id="of-another-alias"),
    ],
)
def test_a_heartbeat_that_says_nothing_of_this_champion_fails(tags: dict[str, object], words: str) -> None:
    expect("pipeline.watched", tags, "fail", words, "aigate watch", keys=("heartbeat",), max_silence=QUARTER)


def test_a_heartbeat_that_nobody_could_read_is_unknown() -> None:
    expect("pipeline.watched", {"/model": missing("503")}, "unknown", "503", max_silence=QUARTER)
