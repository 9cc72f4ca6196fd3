"""Every problem of a decision as other programs take it: with a weight, a place, and a name that stays.

SARIF, JUnit, GitLab's code quality and GitHub's annotations differ in form
only. What counts as a problem is settled here, so that their colours agree
with the verdict: whenever it is not `allow` or `keep`, there is at least one
problem that keeps the gate shut.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aigate.decision import Decision, Judgement, Severity
from aigate.report.clean import clean
from aigate.report.context import ReportContext
from aigate.report.outline import STATUSES, Status, by_severity, status_of, unassessed, wording
from aigate.report.places import Place, place_of

DECISION = "aigate.decision"
"""Stands for a policy where the verdict itself is the problem: nothing was evaluated, or about no version."""

DECISION_TITLE = "The question could be answered."

SHUT: tuple[Status, ...] = ("fail", "unknown", "error")
"""What keeps the gate shut."""

MESSAGE = 1_000
"""Characters of one message."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding, or one policy that came to no answer. Its texts are not cleaned yet."""

    status: Status
    policy: str
    severity: Severity
    said: str
    """What is wrong, with the reading and the limit."""
    origin: str
    """Where the limit comes from; for a waived finding, who waived it."""
    owner: str
    fix: str
    place: Place
    """Line and column in the manifest."""
    fingerprint: str
    """64 hexadecimal digits: the same thing has the same ones in every run, whatever version is asked about."""
    nth: int = 0
    """Which problem of its policy it is. Where room is short, every policy is heard once first."""

    @property
    def shuts(self) -> bool:
        """Whether it keeps the gate shut."""
        return self.status in SHUT

    def message(self, limit: int = MESSAGE, *, ascii_only: bool = False) -> str:
        """Return one harmless line: what is wrong, why that is the limit, whose it is, what to do."""
        parts = [self.said]
        if self.origin:
            parts.append(f"{'Waived' if self.status == 'WAIVED' else 'The limit'}: {self.origin}")
        if self.owner:
            parts.append(f"Owner: {self.owner}")
        if self.fix and self.status != "WAIVED":
            parts.append(f"Next: {self.fix}")
        said = ". ".join(part.strip().rstrip(".") for part in parts)
        return clean(said, limit, ascii_only=ascii_only)


def problems(decision: Decision, ctx: ReportContext) -> tuple[Problem, ...]:
    """Return every problem: what keeps the gate shut first, then what is waived, then advice; worst first."""
    found = [p for judgement in by_severity(decision) for p in _problems_of(judgement, decision, ctx)]
    found.sort(key=lambda problem: STATUSES.index(problem.status))
    if decision.verdict in ("allow", "keep") or any(problem.shuts for problem in found):
        return tuple(found)
    itself = Problem(
        status="error",
        policy=DECISION,
        severity="critical",
        said=decision.reason,
        origin="",
        owner="" if decision.owner is None else decision.owner.team,
        fix="",
        place=ctx.places(()),
        fingerprint=_fingerprint(decision, DECISION, "", "verdict"),
    )
    return (itself, *found)


def foremost(found: Sequence[Problem], most: int) -> tuple[Problem, ...]:
    """Return at most so many problems, in their order: the first of every policy before the second of any."""
    if len(found) <= most:
        return tuple(found)
    ranked = sorted(range(len(found)), key=lambda index: (found[index].nth, index))
    return tuple(found[index] for index in sorted(ranked[:most]))


def said_of(decision: Decision) -> str:
    """Return the verdict in one line: `ALLOW churn v2 → @champion: 9 policies assessed, …`; not cleaned."""
    subject = decision.subject
    version = getattr(subject, "version", None)
    name = decision.model if version is None else f"{decision.model} v{version}"
    asked = f"{name} → @{decision.alias}" if decision.question == "promote" else f"{name} (@{decision.alias})"
    return f"{decision.verdict.upper()} {asked} in {decision.environment}: {decision.reason}"


def _problems_of(judgement: Judgement, decision: Decision, ctx: ReportContext) -> Iterator[Problem]:
    status, info, result = status_of(judgement), judgement.info, judgement.result
    if status is None:
        return
    if (shown := unassessed(judgement)) is not None:
        yield Problem(
            status=shown,
            policy=info.id,
            severity=info.severity,
            said=f"not assessed: {result.reason}",
            origin=judgement.waived if shown == "WAIVED" else "",
            owner="",
            fix="",
            place=place_of(info.id, "", decision.environment, ctx),
            fingerprint=_fingerprint(decision, info.id, "", "not assessed"),
        )
    standing, seen = {id(finding) for finding in judgement.standing}, Counter[str]()
    for number, finding in enumerate(result.findings, 0 if shown is None else 1):
        nth, seen[finding.key] = seen[finding.key], seen[finding.key] + 1
        stands = id(finding) in standing
        yield Problem(
            status=status if stands else "WAIVED",
            policy=info.id,
            severity=info.severity,
            said=wording(finding),
            origin=finding.origin if stands else finding.waived,
            owner=finding.owner,
            fix=finding.fix,
            place=place_of(info.id, finding.key, decision.environment, ctx),
            fingerprint=_fingerprint(decision, info.id, finding.key, "finding", nth),
            nth=number,
        )


def _fingerprint(decision: Decision, policy: str, key: str, what: str, nth: int = 0) -> str:
    """Return what names a problem from run to run; `nth` tells apart findings of one policy and key."""
    named = ["aigate/v1", decision.model, decision.alias, decision.environment, policy, key, what, nth]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()
