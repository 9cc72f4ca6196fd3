"""Halt, resume, adopt, clear, break-glass and review: who may, what is written, and what twice does."""

from datetime import timedelta

import pytest

from act.conftest import Shop
from aigate.act import adopt, break_glass, clear, halt, resume, review
from aigate.digest import canonical
from aigate.enforce.receipts import ANCHOR, RECEIPT, head_in
from aigate.enforce.store import LedgerError
from aigate.errors import UsageError
from aigate.ledger import Adopt, Head

pytestmark = pytest.mark.server

TEAMS = """\
authority:
  teams: {retention-platform: ["user:kai"], data-eng: ["user:ann"]}
  approvers: ["user:mo"]
  four_eyes: true
"""


def test_an_owner_of_a_stage_halts_and_an_approver_resumes(shop: Shop) -> None:
    shop.extend(TEAMS)
    shop.actor = "user:ann"
    assert halt(shop.loaded, shop.asked("late data"), shop.acting()).result == "done"
    again = halt(shop.loaded, shop.asked("late data"), shop.acting())
    assert (again.result, again.exit_code) == ("already", 0)
    refused = resume(shop.loaded, shop.asked("mended"), shop.acting())
    assert (refused.result, refused.exit_code) == ("refused", 1)
    assert "user:mo" in refused.blockers[0].fix
    shop.actor = "user:mo"
    assert resume(shop.loaded, shop.asked("mended"), shop.acting()).result == "done"
    assert resume(shop.loaded, shop.asked("mended"), shop.acting()).result == "already"
    assert shop.kinds() == ["adopt", "halt", "resume"]


def test_a_stranger_may_neither_halt_nor_resume(shop: Shop) -> None:
    shop.extend(TEAMS)
    shop.actor = "user:eve"
    act = halt(shop.loaded, shop.asked("no reason", "data-eng"), shop.acting())
    assert (act.result, act.exit_code, shop.kinds()) == ("refused", 1, ["adopt"])


def test_nobody_resumes_his_own_halt_where_four_eyes_are_asked_for(shop: Shop) -> None:
    shop.extend(TEAMS)
    halt(shop.loaded, shop.asked("late data"), shop.acting())
    assert resume(shop.loaded, shop.asked("mended"), shop.acting()).exit_code == 1
    assert shop.standing.halted(shop.clock())


def test_a_halt_may_end_by_itself(shop: Shop) -> None:
    halt(shop.loaded, shop.asked("deploy freeze"), shop.acting(), until=shop.clock() + timedelta(hours=1))
    assert shop.standing.halted(shop.clock())
    assert not shop.standing.halted(shop.clock() + timedelta(hours=1, seconds=1))
    with pytest.raises(UsageError, match="past"):
        halt(shop.loaded, shop.asked("x"), shop.acting(), until=shop.clock() - timedelta(hours=1))


def test_adopting_leaves_a_receipt_and_twice_is_once(shop: Shop) -> None:
    found = head_in(shop.client.get_model_version(shop.name, "1").tags, RECEIPT)
    assert found == Head(seq=1, digest=shop.chain.digests[0])
    assert shop.adopt().result == "already"
    assert shop.kinds() == ["adopt"]


def test_adopting_needs_the_owner(empty: Shop) -> None:
    empty.client.set_registered_model_alias(empty.name, "champion", "1")
    act = adopt(empty.loaded, empty.asked("mine"), empty.acting())
    assert (act.result, act.exit_code) == ("refused", 1)
    assert "--as retention-platform" in act.blockers[0].fix


def test_a_loss_of_the_ledger_can_be_accepted_and_is_written_down(shop: Shop) -> None:
    tags = shop.client.get_registered_model(shop.name).tags
    shop.client.set_registered_model_tag(shop.name, ANCHOR, tags[ANCHOR].replace('"seq":1', '"seq":4'))
    act = shop.adopt()
    assert act.result == "done"
    body = shop.chain.entries[-2].body
    assert isinstance(body, Adopt)
    assert "cut off" in body.lost
    assert shop.kinds() == ["adopt", "adopt", "halt"]
    assert shop.promote().act.blockers[0].code == "halted"
    resume(shop.loaded, shop.asked("understood", "retention-platform"), shop.acting())
    assert shop.promote().act.result == "done"


def _ledger_run(shop: Shop) -> str:
    experiment = shop.client.get_experiment_by_name("aigate")
    (run,) = shop.client.search_runs(
        [experiment.experiment_id],
        filter_string=f"tags.`aigate.model` = '{shop.name}' and tags.`aigate.kind` = 'ledger'",
    )
    return str(run.info.run_id)


@pytest.mark.parametrize("ledger", ["mlflow"], indirect=True)
def test_junk_in_the_ledger_locks_nobody_out(shop: Shop) -> None:
    run = _ledger_run(shop)
    shop.client.log_param(run, "note", "hello")
    shop.client.log_param(run, "entry.0000002", "hello")
    assert shop.promote().act.result == "done"
    assert shop.kinds() == ["adopt", "void", "intent", "applied"]
    assert shop.rollback().result == "done"


@pytest.mark.parametrize("ledger", ["mlflow"], indirect=True)
def test_a_forged_entry_that_does_not_fit_is_given_up_by_adopting(shop: Shop) -> None:
    line = shop.chain.entries[0].model_copy(update={"seq": 2, "prev": None})
    shop.client.log_param(_ledger_run(shop), "entry.0000002", canonical(line).decode())
    with pytest.raises(LedgerError, match="cannot be believed") as caught:
        shop.promote()
    assert "aigate adopt" in caught.value.fix
    act = shop.adopt()
    assert (act.result, "given up" in act.reason) == ("done", True)
    assert shop.kinds() == ["adopt", "void", "adopt"]
    assert shop.promote().act.result == "done"


def test_without_a_manifest_nothing_is_lifted(shop: Shop) -> None:
    halt(None, shop.asked("late data"), shop.acting())
    act = resume(None, shop.asked("mended", "retention-platform"), shop.acting())
    assert (act.result, act.exit_code) == ("refused", 1)
    assert "--manifest" in act.blockers[0].fix


def test_clearing_what_is_not_quarantined_is_nothing(shop: Shop) -> None:
    owner = shop.asked("x", "retention-platform")
    assert clear(shop.loaded, owner, shop.acting(), version="2").result == "already"


def test_break_glass_is_short_and_needs_the_owner(shop: Shop) -> None:
    owner = shop.asked("INC-7", "retention-platform")
    with pytest.raises(UsageError, match="1h"):
        break_glass(shop.loaded, owner, shop.acting(), version="2", lasting=timedelta(hours=2))
    act = break_glass(shop.loaded, shop.asked(), shop.acting(), version="2", lasting=timedelta(minutes=5))
    assert act.result == "refused"
    made = break_glass(shop.loaded, owner, shop.acting(), version="2", lasting=timedelta(minutes=5))
    assert made.seq is not None
    unused = review(shop.loaded, owner, shop.acting(), seq=made.seq)
    assert (unused.result, "not used" in unused.reason) == ("refused", True)
    assert review(shop.loaded, owner, shop.acting(), seq=1).result == "refused"


def test_a_reason_is_needed_and_is_not_a_novel(shop: Shop) -> None:
    for reason in ("", "x" * 501):
        with pytest.raises(UsageError, match="reason"):
            halt(shop.loaded, shop.asked(reason), shop.acting())
