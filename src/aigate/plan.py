"""From a decision and a history to what is to be done, as data before anything is done. Pure.

Here is also what stands in the way (a halt, a drift, a quarantine, a bound),
which version a rollback returns to, and the account that every act gives of
itself.
"""

import shlex
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from aigate.decision import Verdict
from aigate.ledger import Head, Identity
from aigate.manifest import RollbackRules
from aigate.standing import Standing, Tenure
from aigate.values import (
    Digest,
    Duration,
    Evident,
    Instant,
    Model,
    Name,
    Number,
    Text,
    gap,
    show_duration,
    show_instant,
)

READY = "READY"
DAY = timedelta(hours=24)
USUAL_ALIAS = "champion"
"""What a command takes where neither an option nor a manifest names the alias."""
_LONGEST = timedelta(days=36_500)
"""The longest span that can be written down."""

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


class Check(Model):
    """One thing that was looked at before a version is returned to."""

    name: Name
    state: Literal["ok", "warn", "bad", "unknown"]
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


def shown(identity: Identity | None) -> str:
    """Name a version for people."""
    return "no version" if identity is None else f"v{identity.version}"


def command(*words: str) -> str:
    """Return a command line of aigate, quoted for a shell."""
    return shlex.join(["aigate", *words])


def at(alias: str) -> tuple[str, ...]:
    """Return the option that names an alias; nothing for the usual one."""
    return () if alias == USUAL_ALIAS else ("--alias", alias)


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


class Candidate(Model):
    """A version that held the alias before, as a rollback may return to it."""

    identity: Identity
    since: Instant
    """The beginning of its last tenure."""
    until: Instant | None
    lived: Duration
    """Its longest tenure."""
    vouched: bool
    """Whether somebody adopted it: it counts as known good on his word."""
    decision: Digest | None
    served: bool = True
    """Whether it ever held the alias by a decision or on somebody's word."""


def candidates(
    standing: Standing, alias: str, leaving: Identity | None, now: datetime
) -> tuple[Candidate, ...]:
    """Return every version that held the alias and is not the one to be left, the last one first."""
    found: list[Candidate] = []
    for tenure in reversed(standing.tenures):
        identity = tenure.identity
        if (
            tenure.alias != alias
            or identity is None
            or (leaving is not None and identity.same_version(leaving))
        ):
            continue
        if any(identity.same_version(known.identity) for known in found):
            continue
        served = [t for t in standing.tenures if t.alias == alias and _is(t, identity)]
        if not any(t.by in ("promote", "adopt") for t in served):
            continue  # named by a person at night: nobody ever allowed it or vouched for it
        found.append(
            Candidate(
                identity=identity,
                since=tenure.since,
                until=tenure.until,
                lived=min(max(t.lived(now) for t in served), _LONGEST),
                vouched=any(t.by == "adopt" for t in served),
                decision=tenure.decision,
            )
        )
    return tuple(found)


def _is(tenure: Tenure, identity: Identity) -> bool:
    return tenure.identity is not None and tenure.identity.same_version(identity)


class Facts(Model):
    """What the registry says now about a version that may be returned to."""

    identity: Identity
    status: str
    stage: str | None
    signature: Evident[Digest | None]
    """Of its inputs and outputs; None where it declares none."""
    gone: bool = False
    """Whether the registry says that it has no files."""


def weigh(
    candidate: Candidate,
    facts: Evident[Facts],
    leaving: Evident[Digest | None],
    standing: Standing,
    rules: RollbackRules,
) -> tuple[Check, ...]:
    """Return what speaks for and against returning to a version. `leaving` is the other one's signature."""
    if (lost := gap(facts)) is not None:
        return (Check(name="version", state="bad", words=f"cannot be read: {lost.missing}"),)
    return (
        _same(candidate, facts),
        _ready(facts),
        _files(candidate, facts),
        _compatible(facts, leaving),
        _free(candidate, standing),
        _soaked(candidate, rules),
    )


def _same(candidate: Candidate, facts: Facts) -> Check:
    if not candidate.served:
        return Check(name="version", state="warn", words="it never served: nobody vouches for it")
    if candidate.identity.same_version(facts.identity):
        return Check(name="version", state="ok", words=f"v{facts.identity.version} is the one that served")
    return Check(
        name="version",
        state="bad",
        words=f"v{facts.identity.version} is another one than served: it was deleted and made anew",
    )


def _ready(facts: Facts) -> Check:
    if facts.status == "unknown":
        return Check(name="status", state="unknown", words="whether it can be served is not known")
    if facts.status != READY:
        return Check(name="status", state="bad", words=f"it is {facts.status}, not {READY}")
    if facts.stage == "Archived":
        return Check(name="status", state="warn", words="READY, and archived in MLflow")
    return Check(name="status", state="ok", words=READY)


def _files(candidate: Candidate, facts: Facts) -> Check:
    if facts.gone:
        return Check(name="artifact", state="bad", words="its files are gone")
    if not candidate.served:
        return Check(name="artifact", state="unknown", words="nobody recorded what its files should be")
    then, now = candidate.identity.artifact_digest, facts.identity.artifact_digest
    for digest, when in ((then, "when it took the alias"), (now, "now")):
        if (lost := gap(digest)) is not None:
            return Check(
                name="artifact", state="unknown", words=f"its files are not known {when}: {lost.missing}"
            )
    if then != now:
        return Check(
            name="artifact",
            state="bad",
            words="its files are not the ones that served: they were overwritten",
        )
    return Check(name="artifact", state="ok", words="same files as when it served")


def _compatible(facts: Facts, leaving: Evident[Digest | None]) -> Check:
    for digest in (facts.signature, leaving):
        if (lost := gap(digest)) is not None:
            return Check(name="signature", state="unknown", words=f"not compared: {lost.missing}")
    if facts.signature is None and leaving is None:
        return Check(name="signature", state="warn", words="neither version declares its inputs and outputs")
    if facts.signature != leaving:
        return Check(
            name="signature",
            state="bad",
            words="its inputs and outputs differ from those of the version in service",
        )
    return Check(name="signature", state="ok", words="same inputs and outputs")


def _free(candidate: Candidate, standing: Standing) -> Check:
    found = standing.quarantine(candidate.identity)
    if found is None:
        return Check(name="quarantine", state="ok", words="never rolled back from, or cleared")
    return Check(
        name="quarantine",
        state="bad",
        words=f"rolled back from at {show_instant(found.at)} by {found.actor.name}: {found.reason}",
    )


def _soaked(candidate: Candidate, rules: RollbackRules) -> Check:
    if candidate.vouched:
        return Check(name="soak", state="ok", words="adopted: known good on the word of who adopted it")
    served = show_duration(candidate.lived)
    if candidate.lived >= rules.min_soak:
        return Check(name="soak", state="ok", words=f"served {served}")
    return Check(
        name="soak",
        state="warn",
        words=f"served only {served}, known good is {show_duration(rules.min_soak)}",
    )


_OVERRULED = ("signature",)
"""Checks that a person overrules by naming the version."""


def acceptable(checks: Iterable[Check], *, automatic: bool, named: bool) -> bool:
    """Whether a version may be returned to.

    An automatic rollback demands that everything was looked at and is well;
    a person at night may go where nothing speaks against it, and by naming a
    version may also go where its inputs differ. Where nothing was looked at,
    the answer is no.
    """
    found = tuple(checks)
    for check in found:
        if check.state == "bad" and not (named and not automatic and check.name in _OVERRULED):
            return False
        if automatic and (check.state == "unknown" or (check.state == "warn" and check.name == "soak")):
            return False
    return bool(found)


def soaked(checks: Iterable[Check]) -> bool:
    """Whether a version has served long enough to be known good."""
    return all(check.state == "ok" for check in checks if check.name == "soak")


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
