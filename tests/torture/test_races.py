"""Several promotions at once, of different versions, all from one champion: one of them may win."""

from collections.abc import Callable

import pytest

from aigate.ledger import Intent, Outcome
from torture.conftest import AMOUNT, FULL
from torture.rig import TALLY, Rig

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.sampled(16)]

ROUNDS = {2: 20, 8: 20} if FULL else {2: 4, 8: 1} if AMOUNT else {2: 1, 8: 1}
"""Rounds by the number of processes."""

Make = Callable[[str], Rig]


@pytest.mark.parametrize("count", [2, 8])
@pytest.mark.parametrize("ledger", ["mlflow", "sqlite", "postgresql"])
def test_of_several_promotions_at_once_one_wins_and_the_others_are_told(
    rig: Make, ledger: str, count: int
) -> None:
    """Every other round, all wait for each other right before the intent, so that they truly meet."""
    made = rig(ledger)
    for number in range(ROUNDS[count]):
        made.begin()
        champion = made.model.holder()
        racing: list[str] = []
        while len(racing) < count:
            racing.append(made.other(*racing))
        more = {} if number % 2 else {"meet": "before_intent"}
        said = made.driver.together([made.job("promote", to, **more) for to in racing])
        assert {one["how"] for one in said} == {"ended"}, "one of them hangs, or died"
        codes = [one["done"]["code"] for one in said]
        TALLY[f"races of {count}, {ledger}"] += 1
        winners = [to for to, code in zip(racing, codes, strict=True) if code == 0]
        assert set(codes) <= {0, 1, 3}, said
        assert all(one["done"]["reason"] for one in said)
        made.sound()
        entries = made.chain().entries
        outcomes = {entry.body.of: entry.body.result for entry in entries if isinstance(entry.body, Outcome)}
        applied = [
            entry.body
            for entry in entries[made.first :]
            if isinstance(entry.body, Intent) and outcomes[entry.seq] in ("applied", "recovered")
        ]
        from_champion = [
            intent.to.version for intent in applied if intent.from_ and intent.from_.version == champion
        ]
        assert len(from_champion) == 1, (from_champion, said)
        # Who began to decide only after the winner was done, races no longer: he starts from the new champion.
        assert sorted(winners) == sorted(intent.to.version for intent in applied), said
        if "meet" in more:
            assert winners == from_champion, said
        assert made.model.holder() == applied[-1].to.version
