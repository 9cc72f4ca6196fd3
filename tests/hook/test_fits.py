"""Which move and which tag a ticket fits."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aigate.hook.fits import Move, Rules, Seen, TagWrite, judge_tag_ticket, judge_ticket
from aigate.ledger import Identity
from aigate.ticket import TagTicket, Ticket
from fake_alias import identity
from test_ticket import NOW, tag_ticket, ticket

RULES = Rules(registry=("https://mlflow.example/",), max_age=timedelta(minutes=10))


def seen(number: int) -> Seen:
    who = identity(number)
    return Seen(who.version, round(who.created_at.timestamp() * 1000), who.run_id, who.source)


MOVE = Move("default", "churn", "champion", seen(6), seen(7))


def test_a_ticket_that_fits_is_let_pass() -> None:
    assert judge_ticket(ticket(), MOVE, RULES, NOW) is None
    assert judge_ticket(ticket(from_=None), replace(MOVE, held=None), RULES, NOW) is None
    assert judge_ticket(ticket(issued_at=NOW + timedelta(seconds=60)), MOVE, RULES, NOW) is None


def _other(number: int, **changes: Any) -> Identity:
    return identity(number).model_copy(update=changes)


MISFITS: dict[str, tuple[Ticket, Move, str]] = {
    "registry": (
        ticket(registry="https://staging.example"),
        MOVE,
        "for the registry https://staging.example",
    ),
    "workspace": (ticket(workspace="team-a"), MOVE, "workspace 'team-a', not 'default'"),
    "model": (ticket(model="churn2"), MOVE, "model 'churn2', not 'churn'"),
    "alias": (ticket(alias="Champion"), MOVE, "alias 'Champion', not 'champion'"),
    "version 7 for 8": (ticket(), replace(MOVE, to=seen(8)), "version '7', not '8'"),
    "made anew": (ticket(), replace(MOVE, to=replace(seen(7), created_ms=1)), "v7 is not the one"),
    "other run": (ticket(), replace(MOVE, to=replace(seen(7), run_id=None)), "v7 is not the one"),
    "other source": (ticket(to=_other(7, source="s3://x")), MOVE, "v7 is not the one"),
    "moved": (ticket(), replace(MOVE, held=seen(5)), "away from v6, and v5 holds it"),
    "gone": (ticket(), replace(MOVE, held=None), "away from v6, and no version holds it"),
    "there": (ticket(from_=None), MOVE, "away from no version, and v6 holds it"),
    "another six": (ticket(), replace(MOVE, held=replace(seen(6), run_id="f")), "another v6 holds it"),
    "future": (
        ticket(issued_at=NOW + timedelta(seconds=61)),
        MOVE,
        "here it is 2026-11-22T12:00:00Z: compare the clocks",
    ),
    "expired": (
        ticket(issued_at=NOW - timedelta(minutes=2), expires_at=NOW),
        MOVE,
        "expired at 2026-11-22T12:00:00Z",
    ),
    "long life": (ticket(expires_at=NOW + timedelta(minutes=11)), MOVE, "takes at most 0:10:00"),
    "no life": (ticket(issued_at=NOW, expires_at=NOW - timedelta(seconds=1)), MOVE, "good for"),
}


@pytest.mark.parametrize(("made", "move", "words"), MISFITS.values(), ids=MISFITS)
def test_a_ticket_that_does_not_fit_is_told_what_differs(made: Ticket, move: Move, words: str) -> None:
    refusal = judge_ticket(made, move, RULES, NOW)
    assert refusal is not None
    assert words in refusal.reason
    assert refusal.command == f"aigate promote churn@{move.to.version}"


def test_the_server_cannot_stretch_a_life_beyond_the_longest() -> None:
    made = ticket(expires_at=NOW + timedelta(minutes=16))
    assert judge_ticket(made, MOVE, replace(RULES, max_age=timedelta(days=1)), NOW) is not None


def test_the_command_is_that_of_the_act() -> None:
    move = replace(MOVE, alias="live", held=None)
    for action, wanted in (
        ("promote", "aigate promote churn@7 --to live"),
        ("break_glass", "aigate promote churn@7 --to live"),
        ("rollback", "aigate rollback churn --alias live --to 7 --reason …"),
    ):
        refusal = judge_ticket(ticket(action=action), move, RULES, NOW)
        assert refusal is not None
        assert refusal.command.replace("'", "") == wanted


def test_a_long_source_is_compared_as_far_as_a_ledger_keeps_it() -> None:
    long = "s3://" + "x" * 600
    held = replace(seen(7), source=long)
    assert judge_ticket(ticket(to=_other(7, source=long[:400])), replace(MOVE, to=held), RULES, NOW) is None
    assert (
        judge_ticket(ticket(to=_other(7, source=long[:399])), replace(MOVE, to=held), RULES, NOW) is not None
    )


WRITE = TagWrite("default", "churn", "7", "set", "aigate.receipt", "a receipt")


def test_a_ticket_for_a_tag_that_fits_is_let_pass() -> None:
    assert judge_tag_ticket(tag_ticket(), WRITE, RULES, NOW) is None
    gone = replace(WRITE, op="delete", value=None)
    assert judge_tag_ticket(tag_ticket(op="delete", value=None), gone, RULES, NOW) is None
    of_the_model = replace(WRITE, version=None)
    assert judge_tag_ticket(tag_ticket(version=None), of_the_model, RULES, NOW) is None


TAG_MISFITS: dict[str, tuple[TagTicket, TagWrite, str]] = {
    "registry": (tag_ticket(registry="https://staging.example"), WRITE, "for the registry"),
    "workspace": (tag_ticket(workspace="team-a"), WRITE, "workspace"),
    "model": (tag_ticket(model="churn2"), WRITE, "model"),
    "version": (
        tag_ticket(version="8"),
        WRITE,
        "version '8', not to set the tag 'aigate.receipt' of version '7'",
    ),
    "model's": (tag_ticket(version=None), WRITE, "of the model, not"),
    "key": (tag_ticket(key="aigate.ledger"), WRITE, "'aigate.ledger'"),
    "look-alike key": (
        tag_ticket(),
        replace(WRITE, key="Aigate.receipt"),
        "not to set the tag 'Aigate.receipt'",
    ),
    "delete for set": (tag_ticket(op="delete", value=None), WRITE, "to delete the tag"),
    "set for delete": (tag_ticket(), replace(WRITE, op="delete", value=None), "not to delete the tag"),
    "value": (tag_ticket(), replace(WRITE, value="a receipt "), "another value"),
    "no value": (tag_ticket(value=None), WRITE, "another value"),
    "surrogate": (tag_ticket(), replace(WRITE, value="\ud800"), "another value"),
    "future": (tag_ticket(issued_at=NOW + timedelta(seconds=61)), WRITE, "compare the clocks"),
    "expired": (tag_ticket(expires_at=NOW), WRITE, "expired"),
    "long life": (tag_ticket(expires_at=NOW + timedelta(minutes=11)), WRITE, "takes at most"),
}


@pytest.mark.parametrize(("made", "write", "words"), TAG_MISFITS.values(), ids=TAG_MISFITS)
def test_a_ticket_for_another_tag_is_told_what_differs(made: TagTicket, write: TagWrite, words: str) -> None:
    refusal = judge_tag_ticket(made, write, RULES, NOW)
    assert refusal is not None
    assert words in refusal.reason
    assert refusal.command == "aigate status churn"
