"""Promotion on a real MLflow server: done once, bound to its decision, stopped by whatever stands in the way."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import mlflow_seed
from act.conftest import Shop
from aigate.act import break_glass, desk, halt, promote, resume, review
from aigate.act.promote import PromoteRequest
from aigate.digest import digest_bytes
from aigate.enforce import sql_store
from aigate.enforce.receipts import ANCHOR, RECEIPT, head_in
from aigate.enforce.store import LedgerError
from aigate.errors import AigateError, ConfigError, UsageError
from aigate.gate import Request, evaluate
from aigate.ledger import Head, Intent
from aigate.report.file import ReportError
from aigate.report.json import decision_id, read_record, record

pytestmark = pytest.mark.server

OWN = '''
from aigate import Findings, Snapshot, deny, policy


@policy("own.named", severity="low", blames="process")
def named(s: Snapshot) -> Findings:
    """The version has a number."""
    if not s.judged.subject.version:
        yield deny("no number", key="version")
'''


@pytest.mark.parametrize("ledger", ["mlflow", "sqlite"], indirect=True)
def test_an_allowed_version_takes_the_alias_and_everything_is_recorded(shop: Shop) -> None:
    done = shop.promote()
    assert done.answer is not None
    act, decision = done.act, done.answer.decision
    assert (act.result, act.exit_code, act.verdict, shop.holder) == ("done", 0, "allow", "2")
    assert act.warnings == ()
    assert act.decision == decision_id(decision)
    assert [effect.name for effect in act.effects] == [
        "record",
        "intent",
        "recheck",
        "alias",
        "read_back",
        "receipt",
        "outcome",
    ]
    assert shop.kinds() == ["adopt", "intent", "applied"]
    chain = shop.chain
    assert chain.head == act.head
    tags = shop.client.get_model_version(shop.name, "2").tags
    assert head_in(tags, RECEIPT) == Head(seq=2, digest=chain.digests[1])
    assert head_in(shop.client.get_registered_model(shop.name).tags, ANCHOR) == chain.head
    intent = chain.entries[1].body
    assert isinstance(intent, Intent)
    assert intent.record is not None
    assert intent.snapshot is not None
    with desk.open_desk(shop.acting(), shop.name) as opened:
        opened.ledger.refresh()
        assert read_record(opened.ledger.document(intent.record)) == decision
        kept = opened.ledger.document(intent.snapshot)
    assert digest_bytes(kept) == decision.snapshot_digest == intent.snapshot.digest


def test_twice_is_once(shop: Shop) -> None:
    assert shop.promote().act.result == "done"
    again = shop.promote()
    assert (again.act.result, again.act.exit_code, again.answer) == ("already", 0, None)
    assert shop.kinds() == ["adopt", "intent", "applied"]


def test_a_receipt_that_was_lost_is_set_again(shop: Shop) -> None:
    shop.promote()
    before = shop.client.get_model_version(shop.name, "2").tags[RECEIPT]
    shop.client.delete_model_version_tag(shop.name, "2", RECEIPT)
    assert shop.promote().act.exit_code == 0
    assert shop.client.get_model_version(shop.name, "2").tags[RECEIPT] == before


def test_the_first_version_needs_no_adoption(empty: Shop) -> None:
    assert (empty.promote().act.result, empty.holder) == ("done", "1")


def test_a_champion_that_was_there_before_has_to_be_adopted(empty: Shop) -> None:
    empty.add(0.945)
    empty.client.set_registered_model_alias(empty.name, "champion", "1")
    act = empty.promote("2").act
    assert (act.result, act.exit_code, empty.holder) == ("refused", 1, "1")
    assert [blocker.code for blocker in act.blockers] == ["unknown_holder"]
    assert f"aigate adopt {empty.name}" in act.blockers[0].fix
    assert empty.kinds() == []


def test_a_denied_version_moves_nothing_and_writes_nothing(shop: Shop) -> None:
    bad = shop.add(0.71)
    done = shop.promote(bad)
    assert (done.act.result, done.act.exit_code, done.act.verdict) == ("denied", 1, "deny")
    assert (shop.holder, shop.kinds()) == ("1", ["adopt"])


def test_missing_evidence_holds(shop: Shop) -> None:
    (shop.folder / "fresh.json").unlink()
    done = shop.promote()
    assert (done.act.result, done.act.exit_code, done.act.verdict) == ("denied", 3, "hold")
    assert (shop.holder, shop.kinds()) == ("1", ["adopt"])


@pytest.mark.parametrize("ledger", ["mlflow"], indirect=True)
def test_a_dry_run_shows_the_plan_and_changes_nothing(shop: Shop) -> None:
    act = shop.promote(dry_run=True).act
    assert (act.result, act.exit_code) == ("planned", 0)
    assert "alias" in [effect.name for effect in act.effects]
    assert (shop.holder, shop.kinds()) == ("1", ["adopt"])
    assert not _documents(shop)


def _documents(shop: Shop) -> list[Any]:
    """Runs that keep documents of this model."""
    experiment = shop.client.get_experiment_by_name("aigate")
    if experiment is None:
        return []
    found = shop.client.search_runs(
        [experiment.experiment_id], filter_string=f"tags.`aigate.model` = '{shop.name}'", max_results=50
    )
    return [run for run in found if run.data.tags.get("aigate.kind") == "document"]


def test_a_halt_stops_it_and_says_how_to_go_on(shop: Shop) -> None:
    halt(shop.loaded, shop.asked("late data"), shop.acting())
    act = shop.promote().act
    assert (act.result, act.exit_code, shop.holder) == ("refused", 1, "1")
    (blocker,) = act.blockers
    assert blocker.code == "halted"
    assert "late data" in blocker.message
    assert "user:kai" in blocker.message
    assert f"aigate resume {shop.name}" in blocker.fix
    resume(shop.loaded, shop.asked("mended", "retention-platform"), shop.acting())
    assert shop.promote().act.result == "done"


def test_an_alias_that_was_moved_past_the_gate_stops_it(shop: Shop) -> None:
    third = shop.add(0.95)
    shop.client.set_registered_model_alias(shop.name, "champion", third)
    act = shop.promote("2").act
    assert (act.result, act.exit_code, shop.holder) == ("refused", 1, third)
    assert [blocker.code for blocker in act.blockers] == ["drift"]
    assert "aigate adopt" in act.blockers[0].fix
    assert "aigate rollback" in act.blockers[0].fix
    itself = shop.promote(third).act
    assert (itself.result, itself.exit_code) == ("refused", 1)
    assert shop.adopt().result == "done"
    assert shop.standing.holder("champion") is not None


def test_another_promotion_meanwhile_is_named_and_nothing_moves(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = shop.clock()
    monkeypatch.setattr(Shop, "clock", lambda self: at)  # all of it within one second of the clock
    third = shop.add(0.95)
    steps: list[str] = []

    def meanwhile(step: str) -> None:
        steps.append(step)
        if step == "record" and steps.count("record") == 1:
            assert shop.promote("2").act.result == "done"

    act = shop.promote(third, step=meanwhile).act
    assert (act.result, act.exit_code, shop.holder) == ("changed", 3, "2"), act
    assert "was moved to v2 by user:kai while this was being decided" in act.reason


def test_what_the_ledger_had_before_is_not_a_move_meanwhile(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenure = shop.standing.tenure("champion")
    assert tenure is not None
    monkeypatch.setattr(Shop, "clock", lambda self: tenure.since)  # the clock has whole seconds
    third = shop.add(0.95)
    shop.client.set_registered_model_alias(shop.name, "champion", third)
    act = shop.promote("2").act
    assert (act.result, [blocker.code for blocker in act.blockers]) == ("refused", ["drift"])


def test_a_version_deleted_and_made_anew_is_not_the_one_in_service(shop: Shop) -> None:
    shop.promote()
    shop.client.delete_registered_model(shop.name)
    shop.client.create_registered_model(shop.name, tags={"owner": "retention-platform"})
    shop.versions.clear()
    for accuracy in (0.94, 0.945, 0.946):
        shop.add(accuracy)
    shop.client.set_registered_model_alias(shop.name, "champion", "2")
    act = shop.promote("3").act
    assert (act.result, act.exit_code) == ("refused", 1)
    assert "made anew" in act.blockers[0].message


def test_an_earlier_decision_is_acted_upon_where_nothing_changed(shop: Shop) -> None:
    first = evaluate(shop.loaded, Request(tracking_uri=shop.uri), shop.acting().world)
    done = shop.promote(decision=record(first.decision))
    assert done.act.result == "done"
    intent = shop.chain.entries[1].body
    assert isinstance(intent, Intent)
    assert intent.gate == decision_id(first.decision)


def _tag(shop: Shop) -> None:
    shop.client.set_model_version_tag(shop.name, "2", "note", "edited")


def _owner(shop: Shop) -> None:
    shop.client.set_registered_model_tag(shop.name, "owner", "somebody-else")


def _metric(shop: Shop) -> None:
    shop.client.log_metric(
        shop.versions[1].evaluation_run,
        "accuracy",
        0.946,
        step=9,
        dataset_name=mlflow_seed.EVAL_DATASET[0],
        dataset_digest=mlflow_seed.EVAL_DATASET[1],
        model_id=shop.versions[1].model_id,
    )


def _param(shop: Shop) -> None:
    shop.client.log_param(shop.versions[1].run_id, "late", "1")


def _champion(shop: Shop) -> None:
    shop.client.log_metric(
        shop.versions[0].evaluation_run,
        "accuracy",
        0.93,
        step=9,
        dataset_name=mlflow_seed.EVAL_DATASET[0],
        dataset_digest=mlflow_seed.EVAL_DATASET[1],
        model_id=shop.versions[0].model_id,
    )


def _alias(shop: Shop) -> None:
    shop.client.set_registered_model_alias(shop.name, "shadow", "1")


_CHANGES = {
    "tag": (_tag, "/challenger/tags"),
    "owner": (_owner, "/model/tags"),
    "metric": (_metric, "/challenger/measurements"),
    "param": (_param, "/challenger/run/params"),
    "champion": (_champion, "/champion/measurements"),
    "alias": (_alias, "/model/aliases"),
}


@pytest.mark.parametrize("change", ["owner", "metric", "param"])
def test_what_changes_between_decision_and_move_is_named_and_nothing_moves(change: str, own: Shop) -> None:
    shop, (make, named) = own, _CHANGES[change]

    def interfere(step: str) -> None:
        if step == "after_intent":
            make(shop)

    act = shop.promote(step=interfere).act
    assert (act.result, act.exit_code, shop.holder) == ("changed", 3, "1")
    assert named in act.reason
    assert shop.kinds() == ["adopt", "intent", "changed"]


@pytest.mark.parametrize("change", ["tag", "alias"])
def test_a_decision_that_no_longer_holds_is_not_acted_upon(change: str, shop: Shop) -> None:
    first = evaluate(shop.loaded, Request(tracking_uri=shop.uri), shop.acting().world)
    make, named = _CHANGES[change]
    make(shop)
    act = shop.promote(decision=record(first.decision)).act
    assert (act.result, act.exit_code, shop.holder) == ("changed", 3, "1")
    assert named in act.reason
    assert shop.kinds() == ["adopt"]


def test_an_old_decision_is_not_acted_upon(shop: Shop) -> None:
    first = evaluate(shop.loaded, Request(tracking_uri=shop.uri), shop.acting().world)
    shop.extend("environments: {production: {decision_valid_for: 0s}}\n")
    act = shop.promote(decision=record(first.decision)).act
    assert (act.result, act.exit_code) == ("changed", 3)
    shop.ahead = timedelta(seconds=5)
    shop.fresh()
    act = shop.promote(decision=record(first.decision)).act
    assert "old" in act.reason


def test_a_decision_about_another_version_is_not_acted_upon_though_that_one_is_live(shop: Shop) -> None:
    first = evaluate(shop.loaded, Request(tracking_uri=shop.uri), shop.acting().world)
    assert shop.promote().act.result == "done"
    other = evaluate(shop.loaded, Request(version="1", tracking_uri=shop.uri), shop.acting().world)
    act = shop.promote("2", decision=record(other.decision)).act
    assert (act.result, act.exit_code) == ("changed", 3)
    assert shop.promote("2", decision=record(first.decision)).act.result == "already"


def test_the_command_that_asks_again_is_about_the_same_version(shop: Shop) -> None:
    third = shop.add(0.946)
    first = evaluate(shop.loaded, Request(version=third, tracking_uri=shop.uri), shop.acting().world)
    shop.client.set_model_version_tag(shop.name, third, "note", "edited")
    act = shop.promote(third, decision=record(first.decision), words=("--manifest", "x.yaml")).act
    assert act.next == (f"decide anew: aigate promote {shop.name}@{third} --manifest x.yaml",)


def test_a_receipt_that_does_not_fit_the_ledger_stops_it(shop: Shop) -> None:
    tags = shop.client.get_model_version(shop.name, "1").tags
    shop.client.set_model_version_tag(shop.name, "1", RECEIPT, tags[RECEIPT].replace('"seq":1', '"seq":8'))
    with pytest.raises(LedgerError, match="the receipt on v1"):
        shop.promote()
    assert shop.holder == "1"


def test_a_decision_that_was_edited_is_none(shop: Shop) -> None:
    first = evaluate(shop.loaded, Request(tracking_uri=shop.uri), shop.acting().world)
    forged = record(first.decision).replace(b'"verdict":"allow"', b'"verdict":"allow" ')
    with pytest.raises(ConfigError):
        shop.promote(decision=forged)


def test_data_that_go_stale_before_the_move_stop_it(shop: Shop) -> None:
    def interfere(step: str) -> None:
        if step == "after_intent":
            shop.fresh(12)

    act = shop.promote(step=interfere).act
    assert (act.result, act.exit_code, shop.holder) == ("changed", 3, "1")
    assert "it would be deny by now" in act.reason


def test_data_that_become_fresher_before_the_move_do_not(shop: Shop) -> None:
    def interfere(step: str) -> None:
        if step == "after_intent":
            shop.fresh(0.01)

    assert shop.promote(step=interfere).act.result == "done"


def test_break_glass_lets_one_version_pass_once_and_is_shown_until_reviewed(shop: Shop) -> None:
    bad = shop.add(0.71)
    owner = shop.asked("INC-7 the other one leaks", "retention-platform")
    made = break_glass(shop.loaded, owner, shop.acting(), version=bad, lasting=timedelta(minutes=30))
    assert made.result == "done"
    done = shop.promote(bad).act
    assert (done.result, done.exit_code, done.verdict, shop.holder) == ("done", 0, "deny", bad)
    assert "BREAK-GLASS" in done.warnings[0]
    assert [glass.seq for glass in shop.standing.unreviewed()] == [made.seq]
    assert made.seq is not None
    assert review(shop.loaded, owner, shop.acting(), seq=made.seq).result == "done"
    assert shop.standing.unreviewed() == ()


def test_break_glass_is_for_exactly_one_version_and_a_short_time(shop: Shop) -> None:
    bad, other = shop.add(0.71), shop.add(0.70)
    owner = shop.asked("INC-7", "retention-platform")
    break_glass(shop.loaded, owner, shop.acting(), version=bad, lasting=timedelta(minutes=10))
    assert shop.promote(other).act.result == "denied"
    (glass,) = shop.standing.glasses
    late = shop.clock() + timedelta(minutes=11)
    assert shop.standing.glass_for("champion", glass.glass.to, late) is None
    assert shop.standing.glass_for("champion", glass.glass.to, shop.clock()) == glass


def test_a_ledger_whose_end_was_cut_off_stops_it(shop: Shop) -> None:
    shop.promote()
    tags = shop.client.get_registered_model(shop.name).tags
    shop.client.set_registered_model_tag(shop.name, ANCHOR, tags[ANCHOR].replace('"seq":3', '"seq":9'))
    with pytest.raises(LedgerError, match="cut off") as caught:
        shop.promote("1")
    assert caught.value.exit_code == 3
    assert shop.holder == "2"


@pytest.mark.parametrize("ledger", ["mlflow"], indirect=True)
def test_another_ledger_than_the_one_in_use_stops_it(shop: Shop) -> None:
    shop.promote()
    shop.ledger = f"sqlite:///{shop.folder}/other.db"
    with pytest.raises(LedgerError, match="is kept in mlflow"):
        shop.promote("1")
    assert shop.holder == "2"


def test_an_environment_that_is_not_declared_is_an_error(shop: Shop) -> None:
    asked = PromoteRequest(request=Request(environment="prodution", tracking_uri=shop.uri))
    with pytest.raises(Exception, match="prodution"):
        promote(shop.loaded, asked, shop.acting())


def test_the_rules_of_another_environment_do_not_move_productions_alias(shop: Shop) -> None:
    shop.extend(
        'environments: {staging: {levels: {"*": advise}}, testing: {alias: tested, levels: {"*": advise}}}\n'
    )
    bad = shop.add(0.71)
    for environment, to in (("staging", None), ("staging", "champion"), ("testing", "champion")):
        asked = PromoteRequest(
            request=Request(version=bad, environment=environment, to=to, tracking_uri=shop.uri)
        )
        with pytest.raises(UsageError, match=environment):
            promote(shop.loaded, asked, shop.acting())
    assert (shop.holder, shop.kinds()) == ("1", ["adopt"])
    own = PromoteRequest(request=Request(version="2", environment="testing", tracking_uri=shop.uri))
    act = promote(shop.loaded, own, shop.acting()).act
    assert (act.result, act.alias, shop.holder) == ("done", "tested", "1")


def test_a_policy_that_is_edited_between_decision_and_move_stops_it(shop: Shop) -> None:
    folder = shop.folder / "policies"
    folder.mkdir()
    rule = folder / "own.py"
    rule.write_text(OWN)

    def interfere(step: str) -> None:
        if step == "record":
            rule.write_text(OWN + "# one byte more\n")

    act = shop.promote(step=interfere).act
    assert (act.result, act.exit_code, shop.holder) == ("changed", 3, "1")
    assert "policies" in act.reason
    assert shop.kinds() == ["adopt"]


def test_what_the_ledger_has_no_room_for_is_kept_in_a_file_that_the_entry_names(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_store, "LARGEST_DOCUMENT", 100)
    done = shop.promote()
    assert (done.act.result, done.act.exit_code, shop.holder) == ("done", 0, "2")
    assert [words for words in done.act.warnings if "no room" in words]
    intent = shop.chain.entries[1].body
    assert isinstance(intent, Intent)
    for kept in (intent.record, intent.snapshot):
        assert kept is not None
        kind, _, name = kept.place.partition(":")
        assert kind == "file"
        assert digest_bytes((shop.folder / name).read_bytes()) == kept.digest


def test_without_room_in_the_ledger_or_beside_the_manifest_nothing_moves(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_store, "LARGEST_DOCUMENT", 100)

    def full(path: Path, text: str) -> None:
        raise ReportError(f"cannot write the report {path}: No space left on device")

    monkeypatch.setattr(desk, "write_file", full)
    with pytest.raises(AigateError, match="No space left"):
        shop.promote()
    assert shop.holder == "1"
    assert shop.kinds() == ["adopt"]
