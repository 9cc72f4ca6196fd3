"""Processes killed at every step, around every write, and at random: what the next run makes of it."""

import random
from collections.abc import Callable

import pytest

from aigate.enforce.move import STEPS
from torture.conftest import AMOUNT, FULL
from torture.rig import LATER, TALLY, Rig

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.sampled(16)]

ACTS = ("promote", "rollback")
LEDGERS = ("mlflow", "sqlite")
STRIDE = 1 if AMOUNT else 5
"""Every so manieth point is tried."""

OFTEN = 100 if FULL else 30 if AMOUNT else 4
"""Kills at random times."""

OWN = {"promote": ("ledger", "evaluate", "record", "recheck"), "rollback": ("ledger", "choose")}
"""Steps beside those of the move itself."""

Make = Callable[[str], Rig]


@pytest.mark.parametrize("ledger", LEDGERS)
@pytest.mark.parametrize("act", ACTS)
def test_killed_at_every_step(rig: Make, act: str, ledger: str) -> None:
    made = rig(ledger)
    made.later = LATER
    for step in (*OWN[act], *STEPS)[::STRIDE]:
        to = made.other()
        said = made.driver.run(made.job(act, to, die=step))
        assert said["how"] == "killed", (step, said["done"])
        assert said["steps"][-1] == step
        TALLY["kills at named steps"] += 1
        made.finish(act, to)
        made.sound()
        made.clear()


@pytest.mark.parametrize("ledger", LEDGERS)
@pytest.mark.parametrize("act", ACTS)
def test_killed_right_before_and_right_after_every_write_to_mlflow(rig: Make, act: str, ledger: str) -> None:
    made = rig(ledger)
    made.later = LATER
    to = made.other()
    writes = made.driver.run(made.job(act, to))["writes"]
    assert "registered-models/alias" in writes
    made.clear()
    for number, place in list(enumerate(writes, 1))[::STRIDE]:
        for side in ("before", "after"):
            to = made.other()
            said = made.driver.run(made.job(act, to, write=number, side=side))
            assert said["how"] == "killed", (number, place, side, said["writes"])
            assert len(said["writes"]) >= number
            TALLY["kills around writes to MLflow"] += 1
            made.finish(act, to)
            made.sound()
            made.clear()


def test_killed_at_random(rig: Make) -> None:
    """Half of them die in the second half of the act, where the writes are; a kill that came too late is not counted."""
    chance = random.Random(20261121)
    for ledger in LEDGERS:
        made = rig(ledger)
        made.later = LATER
        wall = {}
        for act in ACTS:
            wall[act] = made.driver.run(made.job(act, made.other()))["wall"]
            made.clear()
        hit = 0
        for _ in range(3 * OFTEN):
            if hit >= OFTEN // len(LEDGERS):
                break
            act, to = chance.choice(ACTS), made.other()
            after = wall[act] * chance.choice((chance.uniform(0, 1), chance.uniform(0.5, 1)))
            said = made.driver.run(made.job(act, to, kill_after=after))
            if said["how"] != "killed":
                wall[act] = said["wall"]
            hit += said["how"] == "killed"
            made.finish(act, to)
            made.sound()
            made.clear()
        assert hit >= OFTEN // len(LEDGERS), "most processes ended before they were killed"
        TALLY["kills at random times"] += hit
