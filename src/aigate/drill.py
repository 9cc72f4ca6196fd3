"""Drills: each known failure of a pipeline put into sound evidence, to see what catches it. Pure.

A gate that has never been seen to say no is a hope. Beside every injection
stands the hypothesis of what ought to catch it, so that a drill can refute it.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from aigate.breakage import Found, Injected
from aigate.decision import EXIT_CODES, Decision, Judgement, Verdict
from aigate.evaluate import unclear
from aigate.injections import GATE, INJECTIONS, LEDGER, Injection
from aigate.snapshot import Snapshot
from aigate.values import Digest, Instant, Model, Name, Text, VersionNumber


class Catch(Model):
    """Something that noticed a failure."""

    by: Name
    """A policy's id, `ledger` or `gate`."""
    outcome: Literal["fail", "unknown", "error", "refused"]
    counts: bool
    """Whether it can keep the gate shut; at level `advise` it cannot, nor what is waived."""
    message: Text


class Shown(Model):
    """What came of a failure at one place."""

    place: Text
    verdict: Verdict
    caught: bool
    """Whether the gate said no, or nobody knows, because of it."""
    catches: tuple[Catch, ...]


Status = Literal["caught", "otherwise", "missed", "not_applicable"]
"""`caught` as believed; caught by something else (`otherwise`); `missed` in at least one place."""


class Drilled(Model):
    """One injection and what became of its hypothesis."""

    name: Name
    hypothesis: Text
    status: Status
    because: Text = ""
    """Why it does not apply."""
    remedy: Text = ""
    """What to do where it was missed."""
    places: tuple[Shown, ...] = ()


class DrillReport(Model):
    """What every known failure would meet in this system, as it is now."""

    schema_: Annotated[Literal["aigate.drill/v1"], Field(alias="schema")] = "aigate.drill/v1"
    system: Name
    model: Name
    version: VersionNumber | None
    environment: Name
    now: Instant
    snapshot: Digest
    verdict: Verdict
    """What the evidence gives without any failure in it."""
    drilled: tuple[Drilled, ...]

    @property
    def missed(self) -> tuple[Drilled, ...]:
        """The failures that would pass, somewhere."""
        return tuple(one for one in self.drilled if one.status == "missed")

    @property
    def exit_code(self) -> int:
        """1 where nothing catches a failure; 3 where none could be tried; else 0."""
        if self.missed:
            return 1
        return 0 if any(one.places for one in self.drilled) else 3


def prepare(snapshot: Snapshot) -> Iterator[tuple[Injection, Found]]:
    """Yield every injection with the evidence to judge, or why it does not apply."""
    for injection in INJECTIONS:
        yield injection, injection.inject(snapshot)


def concluded(injection: Injection, sound: Decision, tried: list[tuple[Injected, Decision]]) -> Drilled:
    """Say what became of an injection, from the decisions with it and the one without."""
    places = tuple(_shown(injected, decision, sound) for injected, decision in tried)
    as_believed = all(
        any(catch.counts and catch.by in injection.caught_by for catch in shown.catches) for shown in places
    )
    status: Status = "missed"
    if all(shown.caught for shown in places):
        status = "caught" if as_believed else "otherwise"
    return Drilled(
        name=injection.name,
        hypothesis=injection.hypothesis,
        status=status,
        remedy=injection.remedy if status == "missed" else "",
        places=places,
    )


def not_applicable(injection: Injection, because: str) -> Drilled:
    """Say why an injection cannot be tried here."""
    return Drilled(
        name=injection.name, hypothesis=injection.hypothesis, status="not_applicable", because=because
    )


def _shown(injected: Injected, decision: Decision, sound: Decision) -> Shown:
    before = {j.info.id: _trouble(j) for j in sound.judgements}
    catches = [
        Catch(
            by=j.info.id,
            outcome=_outcome(j),
            counts=_shuts(j),
            message=_says(j, before.get(j.info.id, set())),
        )
        for j in decision.judgements
        if j.result.outcome in ("fail", "unknown", "error") and _trouble(j) - before.get(j.info.id, set())
    ]
    if injected.guard:
        catches.insert(0, Catch(by=LEDGER, outcome="refused", counts=True, message=injected.guard))
    if (lost := unclear(injected.snapshot)) and lost not in sound.reason:
        catches.insert(0, Catch(by=GATE, outcome="unknown", counts=True, message=lost))
    return Shown(
        place=injected.place,
        verdict=decision.verdict,
        # A no that was there before is no catch; what is new, and counts, is.
        caught=any(catch.counts for catch in catches)
        and (EXIT_CODES[decision.verdict] != 0 or bool(injected.guard)),
        catches=tuple(sorted(catches, key=lambda catch: not catch.counts)),
    )


def _trouble(judgement: Judgement) -> set[str]:
    """Return what a policy has to say against the evidence, piece by piece."""
    result = judgement.result
    if result.outcome == "fail":
        found = {f"{finding.key}\n{finding.message}" for finding in result.findings}
        return found | ({result.reason} if result.reason else set())
    return {result.reason} if result.outcome in ("unknown", "error") else set()


def _outcome(judgement: Judgement) -> Literal["fail", "unknown", "error"]:
    outcome = judgement.result.outcome
    assert outcome in ("fail", "unknown", "error")  # asked only of those
    return outcome


def _shuts(judgement: Judgement) -> bool:
    return judgement.counts and (bool(judgement.standing) or judgement.open)


def _says(judgement: Judgement, before: set[str]) -> str:
    new = [f.message for f in judgement.result.findings if f"{f.key}\n{f.message}" not in before]
    return new[0] if new else judgement.result.reason
