"""Promotion by a decision that rests on waivers: they bind like policies do, and a byte of them is enough."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from act.conftest import Shop
from aigate.decision import Decision
from aigate.gate import Request, evaluate
from aigate.report.json import record
from aigate.values import gap, show_instant

pytestmark = pytest.mark.server

WAIVER = """\
version: 1
waivers:
  - policy: freshness.stage
    key: features
    registry: {registry}
    model: {model}
    version: {version}
    created_at: {created}
    reason: the backfill runs on Monday
    approver: user:kai
    approved_on: {since}
    expires: {until}
"""


def decided(shop: Shop) -> Decision:
    return evaluate(shop.loaded, Request(tracking_uri=shop.uri), shop.acting().world).decision


def waive(shop: Shop, **fields: Any) -> None:
    """Let it stand that the features are late."""
    subject = decided(shop).subject
    assert gap(subject) is None
    given = {
        "registry": subject.registry,
        "model": subject.name,
        "version": subject.version,
        "created": show_instant(subject.created_at),
        "since": show_instant(shop.clock()),
        "until": show_instant(shop.clock() + timedelta(days=7)),
        **fields,
    }
    (shop.folder / "waivers.yaml").write_text(WAIVER.format(**given))


@pytest.fixture
def late(shop: Shop) -> Shop:
    """A shop whose features are late, and so denied."""
    shop.fresh(12)
    assert decided(shop).verdict == "deny"
    return shop


def test_a_waived_failure_is_promoted_and_the_ledger_says_so(late: Shop) -> None:
    waive(late)
    done = late.promote()
    assert (done.act.result, done.act.exit_code, late.holder) == ("done", 0, "2")
    assert done.answer is not None
    assert done.answer.decision.counts.waived == 1
    entry = late.chain.entries[1]
    assert "1 that failed is waived" in entry.body.reason  # type: ignore[union-attr]


def test_a_waiver_for_another_version_moves_nothing(late: Shop) -> None:
    waive(late, version="1")
    act = late.promote().act
    assert (act.result, act.exit_code, late.holder) == ("denied", 1, "1")


def _byte(shop: Shop) -> None:
    path = shop.folder / "waivers.yaml"
    path.write_text(path.read_text() + "\n")


def _gone(shop: Shop) -> None:
    (shop.folder / "waivers.yaml").unlink()


def _broken(shop: Shop) -> None:
    path = shop.folder / "waivers.yaml"
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [_byte, _gone], ids=["one byte more", "gone"])
def test_waivers_that_change_between_the_decision_and_its_use_are_named(
    late: Shop, harm: Callable[[Shop], None]
) -> None:
    waive(late)
    first = decided(late)
    harm(late)
    act = late.promote(decision=record(first)).act
    if harm is _gone:
        assert (act.result, act.exit_code) == ("denied", 1)
    else:
        assert (act.result, act.exit_code) == ("changed", 3)
        assert act.reason.endswith(": waivers")
    assert (late.holder, late.kinds()) == ("1", ["adopt"])


def test_waivers_that_come_between_the_decision_and_its_use_are_named(shop: Shop) -> None:
    """Nothing needs them, and all the same it is not what was decided."""
    first = decided(shop)
    waive(shop)
    act = shop.promote(decision=record(first)).act
    assert (act.result, act.exit_code, shop.holder) == ("changed", 3, "1")
    assert act.reason.endswith(": waivers")


@pytest.mark.parametrize("step", ["record", "after_intent"])
@pytest.mark.parametrize("harm", [_byte, _gone], ids=["one byte more", "gone"])
def test_waivers_that_change_while_it_is_acted_upon_stop_it(
    late: Shop, harm: Callable[[Shop], None], step: str
) -> None:
    waive(late)

    def interfere(name: str) -> None:
        if name == step:
            harm(late)

    act = late.promote(step=interfere).act
    assert (act.result, act.exit_code, late.holder) == ("changed", 3, "1")
    assert "waivers" in act.reason


def test_waivers_that_cannot_be_read_again_stop_it(late: Shop) -> None:
    waive(late)

    def interfere(name: str) -> None:
        if name == "after_intent":
            _broken(late)

    act = late.promote(step=interfere).act
    assert (act.result, act.exit_code, late.holder) == ("changed", 3, "1")
    assert "the waivers cannot be read again" in act.reason


def test_a_waiver_that_runs_out_while_it_is_acted_upon_stops_it(late: Shop) -> None:
    waive(late, until=show_instant(late.clock() + timedelta(seconds=40)))

    def interfere(name: str) -> None:
        if name == "after_intent":
            late.ahead = timedelta(seconds=41)

    act = late.promote(step=interfere).act
    assert (act.exit_code, late.holder) == (3, "1")
    assert "ran out meanwhile" in act.reason
