"""Rollback on a real MLflow server: to the last known good, and nowhere else."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from act.conftest import Shop
from aigate.act import RollbackRequest, adopt, clear, halt, resume, rollback
from aigate.enforce.receipts import ANCHOR, QUARANTINE
from aigate.errors import UsageError
from aigate.ledger import Drill, Halt, Intent

pytestmark = pytest.mark.server


@pytest.fixture
def served(shop: Shop) -> Shop:
    """v1 was adopted, v2 has been promoted."""
    assert shop.promote().act.result == "done"
    return shop


@pytest.mark.parametrize("ledger", ["mlflow", "sqlite"], indirect=True)
def test_one_command_goes_back_and_says_what_was_checked(served: Shop) -> None:
    act = served.rollback("INC-2291 accuracy 0.71")
    assert (act.result, act.exit_code, served.holder) == ("done", 0, "1")
    assert {check.name: check.state for check in act.checks} == {
        "version": "ok",
        "status": "ok",
        "artifact": "ok",
        "signature": "warn",
        "quarantine": "ok",
        "soak": "ok",
    }
    assert served.client.get_model_version(served.name, "2").tags[QUARANTINE] == "INC-2291 accuracy 0.71"
    assert served.kinds() == ["adopt", "intent", "applied", "intent", "applied"]
    assert "servers that keep the model in memory" in act.next[-1]
    assert act.seconds is not None


def test_twice_is_once_and_another_reason_needs_a_version(served: Shop) -> None:
    served.rollback("INC-1")
    again = served.rollback("INC-1")
    assert (again.result, again.exit_code, served.holder) == ("already", 0, "1")
    other = served.rollback("INC-2")
    assert (other.result, other.exit_code, served.holder) == ("refused", 1, "1")
    assert "--to" in other.blockers[0].fix
    assert served.kinds().count("intent") == 2


def test_without_a_manifest_and_with_dead_endpoints(served: Shop) -> None:
    (served.folder / "fresh.json").unlink()
    (served.folder / "aigate.yaml").write_text("{ broken")
    assert (served.rollback(bare=True).result, served.holder) == ("done", "1")


def test_a_version_that_was_rolled_back_from_is_quarantined_until_it_is_cleared(served: Shop) -> None:
    served.rollback()
    act = served.promote("2").act
    assert (act.result, act.blockers[0].code, served.holder) == ("refused", "quarantined", "1")
    third = served.add(0.946)
    assert served.promote(third).act.result == "done"
    assert served.rollback("INC-3").to is not None
    assert served.holder == "1"
    owner = served.asked("it was the data", "retention-platform")
    assert clear(served.loaded, owner, served.acting(), version="2").result == "done"
    assert QUARANTINE not in served.client.get_model_version(served.name, "2").tags
    assert served.promote("2").act.result == "done"


def _overwrite(shop: Shop) -> None:
    """Put other bytes where the first version's files lie."""
    model_id = shop.versions[0].model_id
    place = shop.client.get_logged_model(model_id).artifact_location
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    path = shop.folder / "weights.txt"
    path.write_text("EVIL")
    get_artifact_repository(place, tracking_uri=shop.uri).log_artifact(str(path))


def _recreate(shop: Shop) -> None:
    shop.client.delete_model_version(shop.name, "1")


def _empty(shop: Shop) -> None:
    """Take the first version's files away."""
    for path in Path(shop.server_files).rglob(f"{shop.versions[0].model_id}/artifacts/**/*"):
        if path.is_file():
            path.unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [(_overwrite, "overwritten"), (_recreate, "cannot be read"), (_empty, "its files are gone")],
    ids=["files", "deleted", "emptied"],
)
def test_a_version_that_is_not_what_served_is_not_returned_to(harm: Any, words: str, own: Shop) -> None:
    served = own
    assert served.promote().act.result == "done"
    harm(served)
    act = served.rollback()
    assert (act.result, act.exit_code, served.holder) == ("refused", 1, "2")
    assert words in act.reason
    named = served.rollback("INC-1", to="1") if harm is _overwrite else act
    assert (named.result, served.holder) == ("refused", "2")


def test_the_last_one_is_skipped_where_it_is_bad_and_the_one_before_is_taken(served: Shop) -> None:
    third = served.add(0.946)
    served.promote(third)
    served.client.delete_model_version(served.name, "2")
    assert (served.rollback().result, served.holder) == ("done", "1")


def test_with_no_history_there_is_no_known_good_and_a_named_version_is_still_checked(empty: Shop) -> None:
    second = empty.add(0.71)
    empty.client.set_registered_model_alias(empty.name, "champion", second)
    act = empty.rollback()
    assert (act.result, act.exit_code, empty.holder) == ("refused", 1, second)
    assert "aigate halt" in act.blockers[0].fix
    stranger = empty.rollback("INC-1", to="1")
    assert (stranger.result, stranger.exit_code, empty.holder) == ("refused", 1, second)
    assert "--as retention-platform" in stranger.blockers[0].fix
    halt(empty.loaded, empty.asked("late data"), empty.acting())
    halted = empty.rollback("INC-1", to="1", as_team="retention-platform")
    assert (halted.result, halted.blockers[0].code, empty.holder) == ("refused", "halted", second)
    resume(empty.loaded, empty.asked("mended", "retention-platform"), empty.acting())
    named = empty.rollback("INC-1", to="1", as_team="retention-platform")
    assert (named.result, named.exit_code, empty.holder) == ("done", 0, "1")
    assert {check.name: check.state for check in named.checks}["version"] == "warn"
    body = empty.chain.entries[-2].body
    assert isinstance(body, Intent)
    assert body.role == "accountable owner, retention-platform (claimed)"


def test_an_alias_that_was_moved_by_hand_is_put_back(served: Shop) -> None:
    third = served.add(0.71)
    served.client.set_registered_model_alias(served.name, "champion", third)
    act = served.rollback("somebody moved it")
    assert (act.result, served.holder) == ("done", "2")
    assert served.standing.tenure("champion") is not None


def test_a_version_that_was_only_named_at_night_is_not_known_good(served: Shop) -> None:
    third = served.add(0.71)
    assert served.rollback("INC-1", to=third, as_team="retention-platform").result == "done"
    fourth = served.add(0.946)
    assert served.promote(fourth).act.result == "done"
    assert served.rollback("INC-2").result == "done"
    assert served.holder == "1"


@pytest.mark.parametrize("alias", ["Champion", "champoin"])
def test_an_alias_that_nobody_knows_or_that_looks_like_another_is_an_error(alias: str, served: Shop) -> None:
    asked = RollbackRequest(model=served.name, alias=alias, reason="x")
    with pytest.raises(UsageError, match="champ"):
        rollback(served.loaded, asked, served.acting())
    assert served.client.get_registered_model(served.name).aliases.keys() == {"champion", "challenger"}


def test_already_is_not_said_of_a_version_that_came_past_the_gate(served: Shop) -> None:
    third = served.add(0.71)
    served.client.set_registered_model_alias(served.name, "champion", third)
    act = served.rollback("x", to=third)
    assert (act.result, act.blockers[0].code) == ("refused", "drift")


def test_a_wrong_anchor_does_not_keep_a_bad_version_in_service(served: Shop) -> None:
    tags = served.client.get_registered_model(served.name).tags
    served.client.set_registered_model_tag(served.name, ANCHOR, tags[ANCHOR].replace('"seq":3', '"seq":9'))
    act = served.rollback()
    assert (act.result, served.holder) == ("done", "1")
    assert "cut off" in act.warnings[0]


def test_a_drill_does_all_but_the_move_and_is_recorded(served: Shop) -> None:
    act = served.rollback("quarterly drill", drill=True)
    assert (act.act, act.result, act.exit_code, served.holder) == ("drill", "done", 0, "2")
    body = served.chain.entries[-1].body
    assert isinstance(body, Drill)
    assert (body.ready, body.seconds >= 0) == (True, True)
    assert served.kinds()[-1] == "drill"
    assert served.rollback().result == "done"


def test_a_dry_run_writes_nothing(served: Shop) -> None:
    before = served.kinds()
    act = served.rollback(dry_run=True)
    assert (act.result, act.exit_code, served.holder, served.kinds()) == ("planned", 0, "2", before)


def test_a_reason_is_needed(served: Shop) -> None:
    with pytest.raises(UsageError, match="reason"):
        served.rollback("  ")


def test_automatic_rollbacks_are_bounded(served: Shop) -> None:
    judged = served.standing.holder("champion")
    at_once = served.rollback("judged bad", automatic=True, leaving=judged)
    assert (at_once.result, at_once.blockers[0].code, served.holder) == ("refused", "bound", "2")
    assert "cool-down" in at_once.reason
    served.ahead = timedelta(hours=2)
    assert (served.rollback("judged bad", automatic=True, leaving=judged).result, served.holder) == (
        "done",
        "1",
    )
    served.ahead = timedelta(hours=4)
    back = served.rollback("judged bad", automatic=True, leaving=served.standing.holder("champion"))
    assert (back.result, served.holder) == ("refused", "1")
    assert "never rolled back by itself" in back.reason


def test_an_automatic_rollback_leaves_alone_a_champion_that_was_not_judged(served: Shop) -> None:
    judged = served.standing.holder("champion")
    third = served.add(0.946)
    served.promote(third)
    act = served.rollback("judged bad", automatic=True, leaving=judged)
    assert (act.result, act.exit_code, served.holder) == ("changed", 3, third)


def test_an_automatic_rollback_with_nowhere_to_go_halts(empty: Shop) -> None:
    assert empty.promote().act.result == "done"
    empty.ahead = timedelta(days=2)
    act = empty.rollback("judged bad", automatic=True, leaving=empty.standing.holder("champion"))
    assert (act.act, act.exit_code, empty.holder) == ("halt", 1, "1")
    body = empty.chain.entries[-1].body
    assert isinstance(body, Halt)
    assert body.automatic


def test_a_soak_time_is_demanded_of_automatic_rollbacks_and_shown_for_manual_ones(empty: Shop) -> None:
    empty.promote()
    second = empty.add(0.945)
    empty.promote(second)
    empty.ahead = timedelta(hours=2)
    automatic = empty.rollback("judged bad", automatic=True, leaving=empty.standing.holder("champion"))
    assert (automatic.act, empty.holder) == ("halt", second)
    act = empty.rollback("INC-1")
    assert (act.result, empty.holder) == ("done", "1")
    assert [check.state for check in act.checks if check.name == "soak"] == ["warn"]


def test_it_does_not_wait_for_a_promotion_that_hangs(served: Shop) -> None:
    third = served.add(0.946)
    seen: list[str] = []

    def meanwhile(step: str) -> None:
        if step == "after_intent":
            seen.append(served.rollback("urgent").result)

    act = served.promote(third, step=meanwhile).act
    assert seen == ["done"]
    assert (act.exit_code, served.holder) == (3, "1")
    intents = [entry.body for entry in served.chain.entries if isinstance(entry.body, Intent)]
    assert [intent.action for intent in intents] == ["promote", "promote", "rollback"]


def test_a_drifted_alias_can_be_adopted_and_then_counts_as_known_good(served: Shop) -> None:
    third = served.add(0.946)
    served.client.set_registered_model_alias(served.name, "champion", third)
    owner = served.asked("hotfix by hand", "retention-platform")
    assert adopt(served.loaded, owner, served.acting()).result == "done"
    fourth = served.add(0.947)
    assert served.promote(fourth).act.result == "done"
    assert (served.rollback().result, served.holder) == ("done", third)
