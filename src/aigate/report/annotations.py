"""The decision as workflow commands, which GitHub's runner turns into annotations. Standard output only.

This text is there to be executed, so a line is built here and nowhere else,
of cleaned and escaped parts: nothing from outside opens a command of its own.
The runner takes ten annotations of a kind from a step, all steps of a
composite action together, and one error is its own; it drops the others
without a word. So no more than `MOST` of a kind are written, and the last of
them says how many more there are.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from aigate.decision import Decision
from aigate.report.clean import clean, disarm
from aigate.report.context import ReportContext
from aigate.report.outline import waiver_notes
from aigate.report.problems import Problem, foremost, problems, said_of

Kind = Literal["error", "warning", "notice"]

MOST = 9
"""Annotations of one kind."""
MOST_NOTES = 3
"""Of those, lines about waivers."""
_TITLE = 200
_MESSAGE = 1_000
"""Characters before escaping, which may make three of one; GitHub cuts at 4,096."""


def render(decision: Decision, ctx: ReportContext) -> str:
    """Return one command a line: an error for what keeps the gate shut, a warning for the rest.

    So does one for a waiver that soon runs out, or does nothing. Where the gate is open, a notice says so.
    """
    found, said = problems(decision, ctx), _of_waivers(decision)
    lines = [
        *_annotations("error", [p for p in found if p.shuts], ctx, "that keep the gate shut"),
        *_annotations(
            "warning",
            [p for p in found if not p.shuts],
            ctx,
            "that do not count or are waived",
            MOST - len(said),
        ),
        *(_command("warning", (1, 1), "waivers", words, ctx) for words in said),
    ]
    if decision.verdict in ("allow", "keep"):
        lines.append(_command("notice", (1, 1), "aigate", said_of(decision), ctx))
    return "\n".join(lines) + "\n"


def _of_waivers(decision: Decision) -> list[str]:
    """Return what is to be said of waivers, in a few lines: findings need the room."""
    notes = list(waiver_notes(decision))
    if len(notes) <= MOST_NOTES:
        return notes
    more = len(notes) - MOST_NOTES + 1
    return [
        *notes[: MOST_NOTES - 1],
        f"{more} more to know of waivers: see the job summary, or the JSON record",
    ]


def _annotations(
    kind: Kind, found: Sequence[Problem], ctx: ReportContext, what: str, most: int = MOST
) -> Iterator[str]:
    kept = foremost(found, most if len(found) <= most else most - 1)
    for problem in kept:
        word = problem.status.lower()
        message = problem.message(_MESSAGE, ascii_only=not ctx.unicode)
        yield _command(kind, problem.place, f"{problem.policy} ({word})", message, ctx)
    if more := len(found) - len(kept):
        words = f"{more} more {what}: see the job summary, or the JSON record"
        yield _command(kind, (1, 1), f"{more} more", words, ctx)


def _command(kind: Kind, place: tuple[int, int], title: str, message: str, ctx: ReportContext) -> str:
    line, column = place
    named = {
        "file": clean(ctx.manifest, _MESSAGE, ascii_only=not ctx.unicode),
        "line": str(line),
        "col": str(column),
        "title": clean(title, _TITLE, ascii_only=not ctx.unicode),
    }
    said = disarm(clean(message, _MESSAGE, ascii_only=not ctx.unicode)) or "(nothing)"
    properties = ",".join(f"{name}={_property(value)}" for name, value in named.items() if value)
    return f"::{kind} {properties}::{_data(said)}"


def _data(text: str) -> str:
    """Escape as the runner unescapes what follows the second `::`."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape as the runner unescapes a property."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
