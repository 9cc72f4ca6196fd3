"""From a decision and a history to what is to be done, as data before anything is done. Pure.

Here is also what stands in the way (a halt, a drift, a quarantine, a bound),
and the account that every act gives of itself.
"""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from aigate.decision import Verdict
from aigate.ledger import Head, Identity
from aigate.manifest import RollbackRules
from aigate.standing import Standing
from aigate.target import Check
from aigate.values import (
    Digest,
    Instant,
    Model,
    Name,
    Number,
    Text,
    show_duration,
    show_instant,
)
from aigate.wording import at, command, shown

DAY = timedelta(hours=24)

ActName = Literal["promote", "rollback", "drill", "halt", "resume", "adopt", "clear", "break-glass", "review"]

ActResult = Literal["done", "already", "planned", "refused", "denied", "changed", "unconfirmed"]
"""`done`; `already` so, nothing to do; `planned` and not done, as asked; `refused` by the model's state, a
bound or a lack of authority; `denied` by the decision; `changed` meanwhile, so nothing moved; `unconfirmed`:
whether it was done cannot be said, or it was not."""


class Blocker(Model):
    """Something that keeps a move from being made: who, when, why, and the command that ends it."""

    code: Literal[
        "halted", "drift", "unknown_holder", "quarantined", "open", "bound", "authority", "target", "twin"
    ]
    message: Text
    fix: Text = ""


class Effect(Model):
    """One thing that an act does to the world."""

    name: Literal[
        "record", "intent", "recheck", "alias", "read_back", "receipt", "quarantine", "outcome", "entry"
    ]
    words: Text


class Act(Model):
    """What was asked, what came of it, and what it rests on."""

    schema_: Annotated[Literal["aigate.act/v1"], Field(alias="schema")] = "aigate.act/v1"
    act: ActName
    model: Name
    alias: Name | None
    result: ActResult
    exit_code: int
    reason: Text
    """What came of it, in one sentence."""
    now: Instant
    from_: Annotated[Identity | None, Field(alias="from")] = None
    to: Identity | None = None
    given: Text = ""
    """The reason that was given for it."""
    automatic: bool = False
    decision: Digest | None = None
    """The id of the decision it rests on."""
    verdict: Verdict | None = None
    seq: int | None = None
    """The ledger's entry for it."""
    head: Head | None = None
    """The ledger's head afterwards: an anchor, worth keeping."""
    blockers: tuple[Blocker, ...] = ()
    effects: tuple[Effect, ...] = ()
    """The plan; where it was carried out, what was done."""
    checks: tuple[Check, ...] = ()
    warnings: tuple[Text, ...] = ()
    next: tuple[Text, ...] = ()
    """What to do now: commands, and what this act does not cover."""
    ledger: Text = ""
    """Where the history is kept, and what that promises."""
    seconds: Number | None = None
    """How long the act itself took, without evaluation."""


def standing_in_the_way(
    standing: Standing, alias: str, live: Identity | None, to: Identity | None, now: datetime
) -> tuple[Blocker, ...]:
    """Return everything in a model's state that keeps a version from being promoted."""
    return (
        *halts(standing, now),
        *drift(standing, alias, live),
        *_quarantined(standing, to),
        *_open(standing),
    )


def halts(standing: Standing, now: datetime) -> tuple[Blocker, ...]:
    """Return the halts in force, as what stands in the way."""
    found = []
    for halt in standing.halted(now):
        until = f" until {show_instant(halt.halt.until)}" if halt.halt.until else ""
        found.append(
            Blocker(
                code="halted",
                message=f"{standing.model} is halted{until} since {show_instant(halt.at)} by {halt.actor.name} "
                f"({halt.halt.role}): {halt.halt.reason}",
                fix=command("resume", standing.model, "--reason", "…"),
            )
        )
    return tuple(found)


def drift(standing: Standing, alias: str, live: Identity | None) -> tuple[Blocker, ...]:
    """Return what is wrong where the registry's alias is not where the ledger last put it."""
    known = standing.tenure(alias)
    adopt = command("adopt", standing.model, *at(alias), "--reason", "…")
    if known is None:
        if live is None:
            return ()
        return (
            Blocker(
                code="unknown_holder",
                message=f"@{alias} is on {shown(live)}, and the ledger does not know how it got there",
                fix=f"where that is right, say so once: {adopt}",
            ),
        )
    expected = known.identity
    if (expected is None and live is None) or (
        expected is not None and live is not None and expected.same_version(live)
    ):
        return ()
    anew = (
        " (another version of the same number: it was deleted and made anew)"
        if expected is not None and live is not None and expected.version == live.version
        else ""
    )
    return (
        Blocker(
            code="drift",
            message=f"@{alias} is on {shown(live)}{anew}; aigate put it on {shown(expected)} at "
            f"{show_instant(known.since)} ({known.actor.name}). Somebody moved it past the gate; "
            "MLflow does not record who",
            fix=f"put it back: {command('rollback', standing.model, *at(alias), '--reason', '…')}; or accept it: {adopt}",
        ),
    )


def _quarantined(standing: Standing, to: Identity | None) -> tuple[Blocker, ...]:
    found = None if to is None else standing.quarantine(to)
    if found is None:
        return ()
    version = found.identity.version
    return (
        Blocker(
            code="quarantined",
            message=f"v{version} was rolled back from at {show_instant(found.at)} by {found.actor.name}: {found.reason}",
            fix=f"register the mended model as a new version; or lift the quarantine: "
            f"{command('clear', f'{standing.model}@{version}', '--reason', '…')}",
        ),
    )


def _open(standing: Standing) -> tuple[Blocker, ...]:
    return tuple(
        Blocker(
            code="open",
            message=f"{found.actor.name} has been moving @{found.intent.alias} to {shown(found.intent.to)} since "
            f"{show_instant(found.at)}, and may still be at it",
            fix=f"run it again after {show_instant(found.intent.expires)}",
        )
        for found in standing.open
    )


def bounds(standing: Standing, alias: str, rules: RollbackRules, now: datetime) -> tuple[Blocker, ...]:
    """Return what keeps an automatic rollback from being made: bounds, cool-down, and no rollback of a rollback."""
    moves = [move for move in standing.moves if move.alias == alias]
    recent = [m for m in moves if m.action == "rollback" and m.automatic and now - m.at < DAY]
    by_hand = command("rollback", standing.model, *at(alias), "--reason", "…")
    found = []
    if len(recent) >= rules.max_per_day:
        found.append(
            f"{len(recent)} automatic rollbacks in 24 hours, at most {rules.max_per_day} are allowed"
        )
    tenure = standing.tenure(alias)
    if tenure is not None and now - tenure.since < rules.cooldown:
        left = rules.cooldown - (now - tenure.since)
        found.append(
            f"@{alias} moved at {show_instant(tenure.since)}: the cool-down lasts another {show_duration(left)}"
        )
    if tenure is not None and tenure.by == "rollback":
        found.append(
            f"{shown(tenure.identity)} is in service by a rollback, and a rollback is never rolled back by itself"
        )
    return tuple(Blocker(code="bound", message=words, fix=f"by hand: {by_hand}") for words in found)


def move_effects(
    action: Literal["promote", "rollback"], model: str, alias: str, live: Identity | None, to: Identity
) -> tuple[Effect, ...]:
    """Return the effects of a move, in the order in which they are brought about."""
    name = f"{model}@{alias}"
    evidence = (Effect(name="record", words="keep the decision's record and its evidence"),)
    left = (
        (Effect(name="quarantine", words=f"tag {shown(live)} aigate.quarantine"),) if live is not None else ()
    )
    return (
        *(evidence if action == "promote" else ()),
        Effect(name="intent", words=f"write into the ledger: {action} {name} {shown(live)} → {shown(to)}"),
        Effect(
            name="recheck",
            words="read again what the decision rests on"
            if action == "promote"
            else "read again what holds the alias",
        ),
        Effect(name="alias", words=f"set {name} to {shown(to)}"),
        Effect(name="read_back", words="read it back"),
        Effect(name="receipt", words=f"tag {shown(to)} aigate.receipt"),
        *(left if action == "rollback" else ()),
        Effect(
            name="outcome",
            words="write the outcome into the ledger, and its head to the model's tag aigate.ledger",
        ),
    )
