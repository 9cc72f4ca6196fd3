"""What every report says about a decision, before anybody lays it out.

The formats differ in form only: which findings there are, in which order, and
what to do next is settled here, once. Nothing here is cleaned yet; a format
cleans what it takes from here for the place where it puts it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from aigate.decision import Decision, Finding, Judgement, Severity, WaiverUse
from aigate.report.context import ReportContext
from aigate.snapshot import Runbook
from aigate.values import gap, show_duration, show_instant
from aigate.waiver import show_until

Status = Literal["fail", "unknown", "error", "WAIVED", "advice"]

STATUSES: tuple[Status, ...] = ("fail", "unknown", "error", "WAIVED", "advice")
"""In the order in which they are listed. The first three keep the gate shut."""

_SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")

MOST_FIXES = 4
"""Fixes listed; past these a reader wants the findings themselves."""


@dataclass(frozen=True, slots=True)
class Row:
    """One finding, or one policy that came to none."""

    status: Status
    policy: str
    said: str
    """What is wrong, with the reading and the limit."""
    origin: str = ""
    """Where the limit comes from; for a waived finding, who waived it."""
    owner: str = ""
    nth: int = 0
    """Which finding of its policy it is. Where room is short, every policy is heard once first."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do next: words, and what goes with them as it is to be typed."""

    words: str
    command: str = ""
    block: tuple[str, ...] = ()
    """Lines to add to a file."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A decision, in the parts of which every report is made."""

    version: str
    """`v2`, or that it is not known."""
    coverage: tuple[str, ...]
    """`3 of 9 failed`, `9/9 assessed`, and what else there was."""
    setting: tuple[str, ...]
    """Where, when, and what holds the alias now."""
    why: str
    """The verdict in one sentence, where the counts alone do not explain it."""
    rows: tuple[Row, ...]
    passes: tuple[tuple[str, str], ...]
    """Policies that passed, with their titles."""
    skips: tuple[tuple[str, str], ...]
    """Policies that do not apply, with the reason."""
    notes: tuple[str, ...]
    """Waivers that did nothing or soon will, and what a pass or a failure leaves open."""
    steps: tuple[Step, ...]


def outline(decision: Decision, ctx: ReportContext, fixes: int = MOST_FIXES) -> Outline:
    """Return what is to be said of a decision, and in which order; at most so many fixes are spelt out."""
    return Outline(
        version=_version(decision),
        coverage=_coverage(decision),
        setting=_setting(decision),
        why=_why(decision),
        rows=_rows(decision),
        passes=tuple((j.info.id, j.info.title) for j in decision.judgements if j.result.outcome == "pass"),
        skips=tuple((j.info.id, j.result.reason) for j in decision.judgements if j.result.outcome == "skip"),
        notes=tuple(_notes(decision)),
        steps=tuple(_steps(decision, ctx, fixes)),
    )


def _version(decision: Decision) -> str:
    subject = decision.subject
    return "(version unknown)" if gap(subject) is not None else f"v{subject.version}"


def _coverage(decision: Decision) -> tuple[str, ...]:
    counts = decision.counts
    statuses = [status_of(j) for j in decision.judgements]
    failed = statuses.count("fail")
    said = [
        f"{failed} of {counts.applicable} failed" if failed else "none failed",
        f"{counts.assessed}/{counts.applicable} assessed",
    ]
    for status, number in (
        ("unknown", statuses.count("unknown")),
        ("error", statuses.count("error")),
        ("waived", sum(waived_in(j) for j in decision.judgements)),
        ("advice", statuses.count("advice")),
    ):
        if number:
            said.append(f"{number} {status}")
    return tuple(said)


def _setting(decision: Decision) -> tuple[str, ...]:
    holder = decision.holder
    if gap(holder) is not None:
        held = f"@{decision.alias} now: unknown"
    elif holder is None:
        held = f"@{decision.alias} now: nothing"
    else:
        held = f"@{decision.alias} now: v{holder.version}"
    asked = (held,) if decision.question == "promote" else ()
    return (decision.environment, show_instant(decision.now.replace(microsecond=0)), *asked)


def _why(decision: Decision) -> str:
    match decision.verdict:
        case "hold" | "halt":
            return decision.reason
        case "deny" if gap(decision.subject) is not None or gap(decision.holder) is not None:
            return decision.reason
        case "rollback":
            return "the model alone is to blame, so the last good version cures it"
        case _:
            return ""


def status_of(judgement: Judgement) -> Status | None:
    """Return how a judgement is listed; None for one that passed or does not apply."""
    match judgement.result.outcome:
        case "pass" | "skip":
            return None
        case "fail" if judgement.open:
            return "unknown" if judgement.counts else "advice"
        case "fail" if not judgement.standing:
            return "WAIVED"
        case "unknown" if not judgement.open:
            return "WAIVED"
        case outcome:
            return outcome if judgement.counts else "advice"


def unassessed(judgement: Judgement) -> Status | None:
    """Return how it is listed that a judgement came to no answer, or not to all of one; None where it did.

    What a failure left open is listed once its findings are waived; until then its reason is a note.
    """
    if judgement.excused:
        return "WAIVED"
    return status_of(judgement) if judgement.open else None


def waived_in(judgement: Judgement) -> int:
    """Return how much of a judgement is let stand: its waived findings, or that it could not be assessed."""
    return len(judgement.result.findings) - len(judgement.standing) + judgement.excused


def by_severity(decision: Decision) -> list[Judgement]:
    """Return the judgements with the gravest policies first."""
    return sorted(decision.judgements, key=lambda j: (_SEVERITIES.index(j.info.severity), j.info.id))


def _rows(decision: Decision) -> tuple[Row, ...]:
    rows = [row for judgement in by_severity(decision) for row in _rows_of(judgement)]
    return tuple(sorted(rows, key=lambda row: STATUSES.index(row.status)))


def _rows_of(judgement: Judgement) -> Iterator[Row]:
    status, result, policy = status_of(judgement), judgement.result, judgement.info.id
    if status is None:
        return
    first = 0
    if (shown := unassessed(judgement)) is not None:
        words = result.reason if shown in ("unknown", "error") else f"not assessed: {result.reason}"
        yield Row(shown, policy, words, judgement.waived if shown == "WAIVED" else "")
        first = 1
    standing = judgement.standing
    for nth, finding in enumerate(result.findings, first):
        if finding in standing:
            yield Row(status, policy, wording(finding), finding.origin, finding.owner, nth)
        else:
            yield Row("WAIVED", policy, wording(finding), finding.waived, finding.owner, nth)


def wording(finding: Finding) -> str:
    """Return the message, with the key, the reading and the limit where it names nothing of them itself."""
    words = finding.message
    if finding.key and not any(part in words for part in re.split(r"[/.:,\s]+", finding.key) if part):
        words = f"{finding.key}: {words}"
    value, limit = (
        "" if not text or _names(finding.message, text) else text for text in (finding.value, finding.limit)
    )
    if value and limit:
        return f"{words} ({value}, limit {limit})"
    return f"{words} ({value or f'limit {limit}'})" if value or limit else words


def _names(message: str, text: str) -> bool:
    """Whether a message names a reading as a word of its own: `1` is not named in `v1` or `0.1`."""
    message, text = message.replace("−", "-"), text.replace("−", "-")
    return re.search(rf"(?<![\w.-]){re.escape(text)}(?!\w|\.\d)", message) is not None


def waiver_notes(decision: Decision) -> Iterator[str]:
    """Yield what is to be said of waivers: those that soon run out, those that did not count, those not needed."""
    found = decision.waivers
    for use in found.applied:
        if use.soon and use.until is not None:
            yield f"waiver runs out in {show_duration(use.until - decision.now)}: {_waiver(use)}"
    for words, uses in (
        ("ran out", found.expired),
        ("does not count", found.refused),
        ("not needed", found.unused),
    ):
        for use in uses:
            yield f"waiver {'is no entry' if use.until is None else words}: {_waiver(use)}"


def _notes(decision: Decision) -> Iterator[str]:
    yield from waiver_notes(decision)
    for judgement in decision.judgements:
        result = judgement.result
        if result.outcome in ("pass", "fail") and result.reason and unassessed(judgement) is None:
            yield f"{judgement.info.id}: {result.reason}"


def _waiver(use: WaiverUse) -> str:
    """Name a waiver: what it is for, who gave it until when and why, and why it does not count."""
    place = f"waivers.yaml:{use.line}, " if use.line else ""
    what = f"{use.policy} {use.key}".strip()
    until = "" if use.until is None else f" until {show_until(use.until)}"
    why = "" if use.why in ("", "it ran out") else f": {use.why}"
    return f"{place}{what}, by {use.who}{until} ({use.reason or 'no reason'}){why}"


def _steps(decision: Decision, ctx: ReportContext, fixes: int) -> Iterator[Step]:
    """Say what to do next: what the verdict calls for, what mends it, whom to ask, how to ask again."""
    if ctx.act and decision.verdict in _ACTS:
        yield Step(_ACTS[decision.verdict], ctx.act)
    if decision.verdict in ("allow", "keep"):
        yield from _fixes([j for j in by_severity(decision) if status_of(j) == "advice"], fixes)
        return
    shut = [j for j in by_severity(decision) if status_of(j) in ("fail", "unknown", "error")]
    failed = {j.info.blames for j in shut if status_of(j) == "fail"}
    hint = [Step(_DATA_FIRST)] if {"data", "model"} <= failed else []
    if hint:
        shut.sort(key=lambda j: j.info.blames != "data")
    mending = (*hint, *_fixes(shut, fixes), *_evidence(decision, shut), *_repairs(shut))
    # In service, whoever can act comes before the cure; at the gate, the other way round.
    if decision.verdict in _URGENT:
        yield from (*_owner(decision), *_runbooks(decision.runbooks, shut), *mending)
    else:
        yield from (*mending, *_runbooks(decision.runbooks, shut), *_owner(decision))
    if ctx.again:
        yield Step("then ask again:", ctx.again)


_DATA_FIRST = "late or broken data may explain what the model fails at: mend the data first"
_URGENT = ("rollback", "halt")

_ACTS = {
    "allow": "nothing has moved yet; to move the alias:",
    "rollback": "go back to the last good version:",
    "halt": "do not roll back; stop all promotions:",
}


def _fixes(judgements: Iterable[Judgement], most: int) -> Iterator[Step]:
    """List the findings' fixes, each once: those of every policy's first finding first."""
    ranked = [(nth, f.fix.strip()) for j in judgements for nth, f in enumerate(j.standing)]
    fixes = list(dict.fromkeys(fix for _, fix in sorted(ranked, key=lambda rank: rank[0]) if fix))
    for fix in fixes[:most]:
        words, _, block = fix.partition("\n")
        yield Step(words, block=tuple(block.split("\n")) if block else ())
    if (more := len(fixes) - most) > 0:
        yield Step(f"{more} more such steps, one with each further finding: see the JSON record")


def _evidence(decision: Decision, shut: Iterable[Judgement]) -> Iterator[Step]:
    unknown = [j.info.id for j in shut if status_of(j) == "unknown"]
    silent = [source for source in decision.evidence if source.status == "missing"]
    if silent and (unknown or decision.verdict == "hold"):
        named = _few(
            [f"{source.name} ({source.shown})" if source.shown else source.name for source in silent]
        )
        yield Step(f"get an answer from {named}")
    elif unknown:
        yield Step(f"supply the evidence that {_few(unknown)} could not read")


def _repairs(shut: Iterable[Judgement]) -> Iterator[Step]:
    files: dict[str, list[str]] = {}
    for judgement in shut:
        if judgement.result.outcome == "error":
            files.setdefault(judgement.info.file, []).append(judgement.info.id)
    if files:
        broken = _few([f"{_few(ids)} in {file}" for file, ids in files.items()])
        yield Step(f"mend {broken}: a broken policy is no answer")


def _runbooks(runbooks: tuple[Runbook, ...], shut: Iterable[Judgement]) -> Iterator[Step]:
    """Name the runbook for each kind of trouble; the default one where there is none of its own."""
    declared = {runbook.blames: runbook for runbook in runbooks}
    default = declared.get("default")
    use: dict[Runbook, list[str]] = {}
    for blames in dict.fromkeys(j.info.blames for j in shut):
        if runbook := declared.get(blames, default):
            use.setdefault(runbook, []).append(blames)
    if not use and default:
        use[default] = []
    if use:
        said = [f"{runbook.path}{_about(runbook, blamed)}" for runbook, blamed in use.items()]
        yield Step(f"read {' and '.join(said)}")


def _about(runbook: Runbook, blamed: list[str]) -> str:
    about = [", ".join(blamed)] if blamed else []
    if gap(runbook.exists) is not None:
        about.append("nobody checked whether it is there")
    elif not runbook.exists:
        about.append("it is not there!")
    return f" ({'; '.join(about)})" if about else ""


def _owner(decision: Decision) -> Iterator[Step]:
    owner = decision.owner
    if owner is None:
        return
    urgent = decision.verdict in _URGENT
    page = [f"page {owner.escalation}" if urgent else f"at night page {owner.escalation}"]
    ways = [owner.contact] if owner.contact else []
    if owner.escalation:
        ways = page + ways if urgent else ways + page
    said = f"{'tell' if urgent else 'ask'} {owner.team}"
    yield Step(f"{said}: {', '.join(ways)}" if ways else said)


def _few(names: Iterable[str], most: int = 3) -> str:
    listed = list(names)
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")
