"""The decision as GitHub-flavoured Markdown: a job summary, or a comment on a pull request.

A summary that is too large is dropped whole by GitHub, so the size has a cap:
whole rows are left out, from the end, and the report says how many.
"""

import re
from collections.abc import Callable, Sequence

from aigate.decision import Decision, Verdict
from aigate.report.clean import clean, clean_lines, disarm, markdown_code, markdown_text
from aigate.report.context import ReportContext
from aigate.report.json import decision_id, short
from aigate.report.outline import Outline, Row, Status, Step, outline

_SIGNS: dict[Verdict, str] = {
    "allow": "✅",
    "keep": "✅",
    "deny": "⛔",
    "rollback": "⏪",
    "halt": "🛑",
    "hold": "⏸️",
}
_MARKS: dict[Status, str] = {"fail": "❌", "unknown": "❔", "error": "❗", "WAIVED": "🔖", "advice": "💬"}

LEAST_SIZE = 8_000
"""Characters below which a cap is taken as this: the verdict and the steps have to fit."""

_CELL = 600
"""Characters of foreign text in one cell."""


def render(decision: Decision, ctx: ReportContext) -> str:
    """Return the decision as Markdown of at most `ctx.size` characters (no less than `LEAST_SIZE`)."""
    sketch = outline(decision, ctx)
    head, steps, foot = _head(decision, sketch), _steps(sketch.steps), _foot(decision)
    left = max(ctx.size, LEAST_SIZE) - sum(len(part) + 2 for part in (head, steps, foot))
    parts = [head]
    for section in (_findings(sketch), _others(sketch), _evidence(decision)):
        if text := section(left):
            parts.append(text)
            left -= len(text) + 2
    # The steps come before what is folded away, and were given their room first.
    parts.insert(2 if sketch.rows and len(parts) > 1 else 1, steps)
    report = disarm("\n\n".join(part for part in [*parts, foot] if part)) + "\n"
    return report if ctx.unicode else report.encode("ascii", "xmlcharrefreplace").decode()


def _say(text: str, limit: int = _CELL) -> str:
    return markdown_text(clean(text, limit))


def _code(text: str, limit: int = 200) -> str:
    return markdown_code(clean(text, limit)) if text else ""


def _head(decision: Decision, sketch: Outline) -> str:
    name, alias = f"{_say(decision.model, 80)} {sketch.version}", _code(f"@{decision.alias}", 80)
    asked = f"{name} → {alias}" if decision.question == "promote" else f"{name} ({alias})"
    where, when, *held = sketch.setting
    setting = " · ".join([_say(where, 80), when, *(_say(words, 200) for words in held)])
    lines = [
        f"## {_SIGNS[decision.verdict]} {decision.verdict.upper()}: {asked}",
        f"**{' · '.join(sketch.coverage)}** · {setting} · decision `{short(decision_id(decision))}`",
    ]
    if sketch.why:
        lines.append(_say(sketch.why[:1].upper() + sketch.why[1:]) + ".")
    return "\n\n".join(lines)


Section = Callable[[int], str]
"""Lays out a part of the report in at most so many characters; empty where none of it fits."""


def _findings(sketch: Outline) -> Section:
    rows = [_finding(row) for row in sketch.rows]
    head = "| | Policy | Finding | Where the limit comes from | Owner |\n|---|---|---|---|---|"
    return lambda room: _table(head, rows, room, "findings")


def _finding(row: Row) -> str:
    cells = (f"{_MARKS[row.status]} {row.status}", _code(row.policy), _say(row.said), _say(row.origin))
    return f"| {' | '.join(cells)} | {_say(row.owner, 120)} |"


def _others(sketch: Outline) -> Section:
    rows = [f"| ✅ pass | {_code(id)} | {_say(words)} |" for id, words in sketch.passes]
    rows += [f"| ➖ skip | {_code(id)} | {_say(words)} |" for id, words in sketch.skips]
    rows += [f"| 💬 note | | {_say(note)} |" for note in sketch.notes]
    summed = f"{len(sketch.passes)} passed, {len(sketch.skips)} skipped"
    if sketch.notes:
        summed += f", notes: {len(sketch.notes)}"
    return _details(summed, "| | Policy | |\n|---|---|---|", rows, "policies")


def _evidence(decision: Decision) -> Section:
    rows = [
        f"| {source.status} | {_code(source.name)} | {_code(source.shown, 300)} | {_say(source.reason)} |"
        for source in sorted(decision.evidence, key=lambda source: source.status)
    ]
    silent = sum(source.status == "missing" for source in decision.evidence)
    summed = f"Evidence: {len(rows)}" + (f", of which missing: {silent}" if silent else "")
    return _details(summed, "| | Source | Address | |\n|---|---|---|---|", rows, "sources")


def _details(summed: str, head: str, rows: Sequence[str], what: str) -> Section:
    """Fold a table away under a line. `summed` is our own words, never text from outside."""
    before, after = f"<details><summary>{summed}</summary>\n\n", "\n\n</details>"

    def section(room: int) -> str:
        table = _table(head, rows, room - len(before) - len(after), what)
        return f"{before}{table}{after}" if table else ""

    return section


def _table(head: str, rows: Sequence[str], room: int, what: str) -> str:
    """Lay out whole rows as long as there is room, and say how many are left out."""
    if not rows:
        return ""
    kept = list(rows)
    size = len(head) + sum(len(row) + 1 for row in kept)
    more = ""
    while size + len(more) > room:
        if not kept:
            return ""
        size -= len(kept.pop()) + 1
        more = f"\n\n{len(rows) - len(kept)} of {len(rows)} {what} left out for length: see the JSON record."
    return "\n".join([head, *kept]) + more if kept else more.strip()


def _steps(steps: Sequence[Step]) -> str:
    if not steps:
        return ""
    return "### What to do next\n\n" + "\n".join(
        f"{number}. {_step(step)}" for number, step in enumerate(steps, 1)
    )


def _step(step: Step) -> str:
    words = _say(step.words)
    if step.command:
        words += " " + _code(step.command, 800)
    if not step.block:
        return words
    lines = clean_lines("\n".join(step.block))
    runs = re.findall("`+", "\n".join(lines))
    fence = "`" * max([3, *(len(run) + 1 for run in runs)])
    return "\n".join([words, *(f"   {line}" for line in (fence, *lines, fence))])


def _foot(decision: Decision) -> str:
    made = decision.versions
    return f"<sub>`aigate` {_code(made.aigate, 40)} · policies {_code(short(decision.policies_digest))}</sub>"
