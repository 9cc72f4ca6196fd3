"""`aigate why` for an auditor: how a version came to serve, what that rested on, and what of it was verified."""

from aigate.account import Answer, Explanation, Passage
from aigate.decision import Decision
from aigate.ledger import Intent
from aigate.report.context import ReportContext
from aigate.report.json import short
from aigate.report.page import BOLD, GREEN, RED, YELLOW, Page, age
from aigate.standing import Tenure
from aigate.values import gap, show_instant

_WORDS: dict[Answer, tuple[str, str]] = {
    "promoted": ("ALLOWED", GREEN),
    "glass": ("BREAK-GLASS", YELLOW),
    "returned": ("RETURNED TO", GREEN),
    "adopted": ("WITHOUT A DECISION", RED),
    "ungated": ("PAST THE GATE", RED),
    "not_then": ("NOT IN SERVICE", YELLOW),
    "never": ("NEVER IN SERVICE", YELLOW),
}
_MOST_FINDINGS = 8


def render(told: Explanation, ctx: ReportContext) -> str:
    """Return the explanation as text."""
    page = Page(ctx)
    lines = [_head(page, told), *_service(page, told), *_record(page, told), *_elsewhere(page, told)]
    if told.looks:
        lines += ["", page.paint("Verified", BOLD)]
        for look in told.looks:
            lines += page.row(look.state, look.name, look.words)
    return page.join(lines)


def _head(page: Page, told: Explanation) -> str:
    if (lost := gap(told.answer)) is not None:
        return f"{page.paint('UNKNOWN', f'{BOLD};{YELLOW}')}  {_asked(page, told)}: {page.say(lost.missing)}"
    word, color = _WORDS[told.answer]
    if (told.exit_code == 1 and told.answer == "returned") or any(look.state == "bad" for look in told.looks):
        color = RED
    return f"{page.paint(word, f'{BOLD};{color}')}  {page.paint(_asked(page, told), BOLD)}{_when(page, told)}"


def _asked(page: Page, told: Explanation) -> str:
    return f"{page.say(told.model, 80)} v{told.version} {page.say('→')} @{page.say(told.alias, 40)}"


def _when(page: Page, told: Explanation) -> str:
    if told.tenure is None:
        return f" on {page.say(told.on, 40)}" if told.on else ""
    return f"  {show_instant(told.tenure.since)} by {page.say(told.tenure.actor.name, 120)}"


def _service(page: Page, told: Explanation) -> list[str]:
    tenure, lines = told.tenure, []
    if tenure is None:
        return []
    if tenure.actor.run:
        lines += page.row("", "run", tenure.actor.run)
    lines += page.row("", "served", _served(tenure, told))
    lines += page.row("", "reason", tenure.reason)
    entry = told.entry
    lines += _allowed(page, told, tenure)
    if entry is not None and isinstance(entry.body, Intent):
        was = "nothing" if entry.body.from_ is None else f"v{entry.body.from_.version}"
        lines += page.row("", "previous", was)
    return lines


def _allowed(page: Page, told: Explanation, tenure: Tenure) -> list[str]:
    """Lay out how the version first came to serve, where it was not by the entry that brought it."""
    entry = told.entry
    if told.answer == "adopted" or (told.origin == "adopted" and entry is not None):
        at, by = (tenure.since, tenure.actor) if entry is None else (entry.at, entry.actor)
        first = "it first became" if told.answer == "returned" else "it became"
        words = f"{first} @{told.alias} without a decision, found at {show_instant(at)} and adopted by "
        words += (
            f"{by.name} (entry {entry.seq if entry else tenure.seq}); who moved it MLflow does not record"
        )
        return page.row("bad", "decision", words)
    if told.origin == "undecided":
        role = entry.body.role if entry is not None and isinstance(entry.body, Intent) else None
        words = f"none: it had never come to @{told.alias} by a promotion or an adoption"
        words += f"; it was named in the right of {role}" if role else ""
        return page.row("bad", "decision", words)
    if told.origin is None or entry is None:
        return []
    words = f"{entry.actor.name} promoted it at {show_instant(entry.at)} (entry {entry.seq})"
    if told.origin == "glass":
        return page.row("bad", "decision", f"past one, by break-glass: {words}")
    return page.row("", "allowed", words)


def _served(tenure: Tenure, told: Explanation) -> str:
    lived = age(tenure.lived(told.now))
    until = f"until {show_instant(tenure.until)}" if tenure.until else "and still does"
    left = {"rollback": ", then rolled back from", "adopt": ", then moved past the gate"}.get(
        tenure.left_by or "", ""
    )
    times = f"; the last of {len(told.tenures)} times" if len(told.tenures) > 1 and not told.on else ""
    return f"from {show_instant(tenure.since)} {until} ({lived}){left}{times}"


def _record(page: Page, told: Explanation) -> list[str]:
    decision = told.decision
    if decision is None:
        return []
    made = decision.versions
    registry = "" if gap(decision.subject) is not None else f" · MLflow {decision.subject.registry}"
    name = "" if told.decision_id is None else f"{short(told.decision_id)} "
    first = f"{name}{decision.verdict} in {decision.environment} at {show_instant(decision.now)} by {decision.actor.name}"
    lines = page.row("", "decision", first)
    lines += page.row("", "rules", _rules(decision))
    for words in _findings(decision):
        lines += page.row("note", "", words, cells=10, most=2)
    lines += page.row("", "waivers", _waivers(decision))
    lines += page.row(
        "", "policies", f"{short(decision.policies_digest)}, manifest {short(decision.manifest_digest)}"
    )
    return [*lines, *page.row("", "made by", f"aigate {made.aigate}, Python {made.python}{registry}")]


def _rules(decision: Decision) -> str:
    counts = decision.counts
    said = [f"{counts.assessed}/{counts.applicable} assessed", f"{counts.passed} passed"]
    for number, word in ((counts.failed, "failed"), (counts.unknown, "unknown"), (counts.error, "error")):
        said += [f"{number} {word}"] if number else []
    said += [f"{counts.skipped} did not apply"] if counts.skipped else []
    return " · ".join(said)


def _findings(decision: Decision) -> list[str]:
    found = [
        f"{j.info.id} ({j.level}): {finding.message}"
        + (f" [waived: {finding.waived}]" if finding.waived else "")
        for j in decision.judgements
        for finding in j.result.findings
    ]
    found += [
        f"{j.info.id} ({j.level}) could not be assessed: {j.result.reason} [waived: {j.waived}]"
        for j in decision.judgements
        if j.waived
    ]
    more = len(found) - _MOST_FINDINGS
    return [*found[:_MOST_FINDINGS], *([f"… {more} more: --format json has all"] if more > 0 else [])]


def _waivers(decision: Decision) -> str:
    used = [
        f"{w.policy} {w.key} by {w.who} until {'?' if w.until is None else show_instant(w.until)}: {w.reason}"
        for w in decision.waivers.applied
    ]
    kinds = ("expired", "refused", "unused")
    idle = [f"{n} {kind}" for kind in kinds if (n := len(getattr(decision.waivers, kind)))]
    return "; ".join([*used, *([f"did not count: {', '.join(idle)}"] if idle else [])]) or "none"


def _elsewhere(page: Page, told: Explanation) -> list[str]:
    """Lay out what served instead, when else the version served, and what was tried."""
    lines: list[str] = []
    for tenure in told.instead:
        who = "nothing" if tenure.identity is None else f"v{tenure.identity.version}"
        until = f" until {show_instant(tenure.until)}" if tenure.until else ""
        how = f"{tenure.by}, entry {tenure.seq}"
        lines += page.row("", "instead", f"{who} served from {show_instant(tenure.since)}{until} ({how})")
    if told.answer == "not_then":
        for tenure in told.tenures:
            until = f"until {show_instant(tenure.until)}" if tenure.until else "till now"
            lines += page.row(
                "", "served", f"from {show_instant(tenure.since)} {until} ({tenure.by}, entry {tenure.seq})"
            )
    for attempt in told.attempts:
        words = f"{attempt.action} by {attempt.by} at {show_instant(attempt.at)} (entry {attempt.seq}): {attempt.result}"
        lines += page.row("note", "tried", f"{words} {attempt.detail}".rstrip())
    if told.answer in ("ungated", "not_then", "never"):
        lines += [line for passage in told.passages for line in _passed(page, told, passage)]
    if told.answer in ("ungated", "never"):
        lines += _mentioned(page, told)
    return lines


def _passed(page: Page, told: Explanation, passage: Passage) -> list[str]:
    """Lay out a time in which the version held the alias and no entry says how it got there."""
    since = "" if passage.after is None else f", at some time after {show_instant(passage.after)}"
    seen = show_instant(passage.seen)
    if passage.seq is None:
        words = f"it holds @{told.alias} now, past the gate{since}: no entry put it there"
    elif passage.until is None:
        words = f"held @{told.alias} past the gate{since}, found there at {seen} by {passage.by} (entry "
        words += f"{passage.seq}); until when is not known"
    else:
        left = {"rollback": "rolled back from"}.get(passage.left_by or "", "replaced")
        words = f"held @{told.alias} past the gate{since}, until {show_instant(passage.until)}; {left} by "
        words += f"{passage.by} (entry {passage.seq}): {passage.reason}"
    return page.row("bad", "held", f"{words}. Who moved it there MLflow does not record")


def _mentioned(page: Page, told: Explanation) -> list[str]:
    """Lay out every other entry that names the version."""
    known = {tenure.seq for tenure in told.tenures} | {attempt.seq for attempt in told.attempts}
    known |= {passage.seq for passage in told.passages if passage.seq is not None}
    lines: list[str] = []
    for mention in told.mentions:
        if mention.seq not in known:
            words = f"{mention.by} at {show_instant(mention.at)}: {mention.words}"
            lines += page.row("note", f"entry {mention.seq}", words)
    if not told.mentions and told.answer == "never":
        words = "the ledger has no entry about it: nobody asked for it, or it was denied (a refusal moves nothing)"
        lines += page.row("note", "entries", words)
    return lines
