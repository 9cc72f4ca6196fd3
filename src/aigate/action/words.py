"""What an act, or a watcher's look, came to, as Markdown for a job summary or a comment. Pure."""

import contextlib
from collections.abc import Iterable

from pydantic import ValidationError

from aigate.plan import Act
from aigate.report.check import Check, render_markdown
from aigate.report.clean import clean, markdown_code, markdown_text
from aigate.watch.tell import Tick, is_command
from aigate.wording import shown

_SIGNS = {
    "done": "✅",
    "already": "✅",
    "planned": "📝",
    "refused": "⛔",
    "denied": "⛔",
    "changed": "⏸️",
    "unconfirmed": "⚠️",
}
_CALLS = {"keep": "✅", "rollback": "⏪", "halt": "🛑", "hold": "⏸️", "wait": "⏳"}
_MOST = 12


def of_result(data: bytes | None) -> str:
    """Return the result file's content for people; empty where there is none, or none that can be read."""
    if data is None:
        return ""
    with contextlib.suppress(ValidationError):
        return _act(Act.model_validate_json(data))
    with contextlib.suppress(ValidationError):
        return _tick(Tick.model_validate_json(data))
    with contextlib.suppress(ValidationError):
        return render_markdown(Check.model_validate_json(data))
    return ""


def _act(act: Act) -> str:
    where = f"{_say(act.model)} {_code(f'@{act.alias}')}" if act.alias else _say(act.model)
    lines = [
        f"### {_SIGNS[act.result]} {act.act} {act.result}: {where}",
        _say(act.reason[:1].upper() + act.reason[1:]),
    ]
    if act.result in ("done", "planned") and act.to is not None:
        lines.append(f"From {shown(act.from_)} to **{shown(act.to)}**" + _entry(act) + ".")
    lines += _listed("In the way", (b.message for b in act.blockers))
    lines += _listed("Warnings", act.warnings)
    fixes = tuple(b.fix for b in act.blockers if b.fix)
    return "\n\n".join([*lines, *_following((*fixes, *act.next))]) + "\n"


def _tick(tick: Tick) -> str:
    held = f"v{tick.champion}" if tick.champion else "version unknown"
    lines = [
        f"### {_CALLS[tick.call]} watch: {tick.call.upper()} {_say(tick.model)} {held} ({_code(f'@{tick.alias}')})",
        f"{_say(tick.reason[:1].upper() + tick.reason[1:])} What was done: {tick.done}.",
    ]
    lines += _listed("Why", tick.why)
    lines += _listed("Drift", (tick.drift,) if tick.drift else ())
    if tick.owner is not None:
        lines.append(f"Owner: **{_say(tick.owner.team)}**, {_say(tick.owner.contact or '')}")
    if tick.runbook:
        lines.append(f"Runbook: {_code(tick.runbook)}")
    lines += _listed("Done", (f"{act.act} {act.result}: {act.reason}" for act in tick.acts))
    lines += _listed("Warnings", tick.warnings)
    return "\n\n".join([*lines, *_following(tick.next)]) + "\n"


def _entry(act: Act) -> str:
    if act.seq is None or act.result == "planned":
        return ""
    anchor = f", head `{act.head.digest.removeprefix('sha256:')[:12]}`" if act.head is not None else ""
    return f" (ledger entry {act.seq}{anchor})"


def _listed(title: str, lines: Iterable[str]) -> list[str]:
    rows = [f"- {_say(line)}" for line in lines]
    left = len(rows) - _MOST
    rows = rows[:_MOST] + ([f"- {left} more"] if left > 0 else [])
    return ["\n".join([f"**{title}**", "", *rows])] if rows else []


def _following(lines: tuple[str, ...]) -> list[str]:
    rows = [
        f"{n}. {_code(line) if is_command(line) else _say(line)}" for n, line in enumerate(lines[:_MOST], 1)
    ]
    return ["**What to do next**\n\n" + "\n".join(rows)] if rows else []


def _say(text: str) -> str:
    return markdown_text(clean(text, 600))


def _code(text: str) -> str:
    return markdown_code(clean(text, 800))
