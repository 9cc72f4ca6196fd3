"""Whole acts of aigate on a guarded server: with a key they are done, without one the server refuses."""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from act.conftest import Shop, _opened
from aigate.act import break_glass, clear, halt, resume
from aigate.act.revert import RevertRequest, revert
from aigate.enforce.keys import VARIABLE, generate, private_pem
from aigate.plan import Act
from hook.conftest import GuardedServer, all_at_once
from servers import MlflowServer

pytestmark = pytest.mark.server


def opened(folder: Path, server: GuardedServer) -> Shop:
    """A model without a champion on a guarded server, and who acts has the key."""
    place = MlflowServer(server.url, server.database, server.log)
    shop = _opened(folder, place, f"sqlite:///{folder}/ledger.db", own=False)
    shop.environ = {VARIABLE: private_pem(server.key).decode()}
    return shop


@pytest.fixture
def each_shop(tmp_path: Path, server: GuardedServer) -> Shop:
    """A shop over each of both databases."""
    return opened(tmp_path, server)


@pytest.fixture
def shop(tmp_path: Path, guarded: GuardedServer) -> Shop:
    """A shop over SQLite: what aigate does with a refusal does not hang on the database."""
    return opened(tmp_path, guarded)


def test_a_promotion_and_a_rollback_with_a_key_work_from_end_to_end(
    each_shop: Shop, server: GuardedServer
) -> None:
    shop = each_shop
    first = shop.promote().act
    assert (first.result, first.exit_code, shop.holder) == ("done", 0, "1"), first
    shop.add(0.945)
    shop.client.set_registered_model_alias(shop.name, "challenger", "2")
    assert shop.promote().act.result == "done"
    back = shop.rollback()
    assert (back.result, back.exit_code, back.warnings) == ("done", 0, ())
    assert shop.holder == "1"
    assert {(version, key) for version, key, _ in server.tags(shop.name) if key[:7] == "aigate."} == {
        (0, "aigate.ledger"),
        (1, "aigate.receipt"),
        (2, "aigate.receipt"),
        (2, "aigate.quarantine"),
    }
    made = clear(shop.loaded, shop.asked("mended", "retention-platform"), shop.acting(), version="2")
    assert (made.exit_code, made.warnings) == (0, ())
    assert (2, "aigate.quarantine") not in {row[:2] for row in server.tags(shop.name)}
    assert server.rows("SELECT count(*) FROM aigate_tickets")[0][0] >= 3


class Starter:
    """Lets promotions decide one after the other, and then write all at the same time."""

    def __init__(self, count: int) -> None:
        self._deciding = threading.Lock()
        self._ready = threading.Barrier(count)

    def step(self) -> Callable[[str], None]:
        """Return what one promotion tells its steps."""
        first = {"evaluate", "before_intent"}

        def step(name: str) -> None:
            if name not in first:
                return
            first.discard(name)
            if name == "evaluate":
                self._deciding.acquire()
            else:
                self._deciding.release()
                self._ready.wait(60)

        return step


def test_of_many_promotions_that_race_one_wins(tmp_path: Path, guarded_postgres: GuardedServer) -> None:
    """Eight whole promotions whose decisions are made before any of them writes, with the ledger inside MLflow.

    Over two workers and PostgreSQL; `test_server` has tickets race over both databases.
    """
    server = guarded_postgres
    shop = opened(tmp_path, server)
    shop.ledger = None
    for _ in range(8):
        shop.add(0.94)
    assert shop.promote("1").act.result == "done"
    acts: dict[str, Act] = {}
    numbers = [str(number) for number in range(2, 10)]
    starter = Starter(len(numbers))

    def go(number: str) -> None:
        acts[number] = shop.promote(number, step=starter.step()).act

    all_at_once([partial(go, number) for number in numbers])
    winners = [number for number, act in acts.items() if act.exit_code == 0]
    assert len(winners) == 1, {n: (a.result, a.reason) for n, a in acts.items()}
    assert sorted(act.exit_code for act in acts.values()) == [0, *[3] * 7]
    assert server.aliases(shop.name)["champion"] == winners[0]
    assert shop.kinds() == ["intent", "applied"] * 2


def test_what_was_moved_past_the_guard_is_put_back_with_a_ticket(shop: Shop, guarded: GuardedServer) -> None:
    assert shop.promote().act.result == "done"
    shop.add(0.945)
    guarded.execute("UPDATE registered_model_aliases SET version = 2 WHERE name = :n", n=shop.name)
    asked, key = RevertRequest(model=shop.name, alias="champion"), shop.environ
    shop.environ = {}
    without = revert(shop.loaded, asked, shop.acting()).act
    assert without is not None
    assert (without.exit_code, shop.holder, "no ticket is shown" in without.reason) == (4, "2", True)
    shop.environ = key
    done = revert(shop.loaded, asked, shop.acting()).act
    assert done is not None
    assert (done.result, done.exit_code, shop.holder) == ("done", 0, "1")
    assert revert(shop.loaded, asked, shop.acting()).place.state == "covered"


def test_without_the_key_the_server_refuses_and_the_ledger_says_so(shop: Shop) -> None:
    shop.environ = {}
    act = shop.promote().act
    assert (act.result, act.exit_code, shop.holder) == ("unconfirmed", 4, None)
    assert "aigate: @champion" in act.reason
    assert "no ticket is shown" in act.reason
    assert f"run: aigate promote {shop.name}@1" in act.reason
    shop.environ = {VARIABLE: private_pem(generate()).decode()}
    act = shop.promote().act
    assert (act.exit_code, shop.holder) == (4, None)
    assert "which this server does not trust" in act.reason
    assert shop.kinds()[-2:] == ["intent", "refused"]


def test_halting_needs_no_key(shop: Shop) -> None:
    """What counts is in the ledger; that the anchor lags behind it is said, with the reason."""
    for environ, reason in (({}, "no ticket is shown"), ({VARIABLE: "no key"}, VARIABLE)):
        shop.environ = environ
        act = halt(shop.loaded, shop.asked("INC-7"), shop.acting())
        assert (act.result, act.exit_code) == ("done", 0)
        assert "the model's tag aigate.ledger" in act.warnings[0]
        assert reason in act.warnings[0]
        assert shop.standing.halted(shop.clock())
        resume(shop.loaded, shop.asked("mended", "retention-platform"), shop.acting())
        assert not shop.standing.halted(shop.clock())


def test_break_glass_takes_a_version_past_the_policies_and_not_past_the_guard(
    shop: Shop, guarded: GuardedServer
) -> None:
    shop.fresh(hours_ago=9)
    assert shop.promote().act.result == "denied"
    asked = shop.asked("INC-7", "retention-platform")
    made = break_glass(shop.loaded, asked, shop.acting(), version="1", lasting=timedelta(minutes=5))
    assert made.exit_code == 0, made
    shop.environ, key = {}, shop.environ
    assert shop.promote("1").act.exit_code == 4
    assert shop.holder is None
    shop.environ = key
    made = break_glass(shop.loaded, asked, shop.acting(), version="1", lasting=timedelta(minutes=5))
    assert shop.promote("1").act.result == "done"
    assert guarded.aliases(shop.name)["champion"] == "1"
