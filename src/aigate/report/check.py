"""What a check of manifests and policies found: every mistake with its place, or what is in force."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from aigate.decision import Outcome
from aigate.digest import canonical
from aigate.report.clean import clean, disarm, markdown_code, markdown_text
from aigate.report.context import ReportContext
from aigate.report.json import harmless
from aigate.values import Model

MOST_SHOWN = 50
"""Mistakes that a Markdown summary names."""

_LONGEST = 2_000


class Problem(Model):
    """One mistake."""

    place: str
    """`file:line:column`, as much of it as is known."""
    message: str
    fix: str = ""
    manifest: str
    """The manifest that it was found for."""


class Checked(Model):
    """A manifest without a mistake, and what it puts in force."""

    manifest: str
    system: str
    policies: int
    environments: tuple[str, ...]


class Answered(Model):
    """How one policy ended on recorded evidence."""

    policy: str
    outcome: Outcome
    findings: int
    reason: str = ""


class Tried(Model):
    """Recorded evidence that the policies were run on. What they find there changes no exit code."""

    snapshot: str
    environment: str
    answers: tuple[Answered, ...]
    note: str = ""
    """What the reader must know of it."""

    @property
    def counts(self) -> str:
        """How many policies ended in which way, the most frequent first."""
        counted = Counter(answer.outcome for answer in self.answers).most_common()
        return ", ".join(f"{count} {outcome}" for outcome, count in counted) or "no policy"


class Check(Model):
    """Everything that a check found."""

    schema_: Annotated[Literal["aigate.check/v1"], Field(alias="schema")] = "aigate.check/v1"
    checked: tuple[Checked, ...] = ()
    tried: tuple[Tried, ...] = ()
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    """What is worth knowing and changes no exit code: an exemption, a rule that more evidence would bring to life."""
    notes: tuple[str, ...] = ()
    """What was not looked at, and why."""

    @property
    def exit_code(self) -> int:
        """0 where nothing is wrong and something was looked at, else 2."""
        return 0 if self.checked and not self.errors else 2


def render(check: Check, ctx: ReportContext) -> str:
    """Return what is in force as text, a line a manifest. Mistakes are for standard error, one by one."""
    rows: list[tuple[str, ...]] = [("ok", found.manifest, _in_force(found)) for found in check.checked]
    rows += [row for tried in check.tried for row in _tried(tried)]
    rows += [("note:", note) for note in check.notes]
    cells = [[clean(cell, _LONGEST, ascii_only=not ctx.unicode) for cell in row] for row in rows]
    return disarm("".join("  ".join(row).rstrip() + "\n" for row in cells))


def render_json(check: Check, ctx: ReportContext) -> str:
    """Return a check as canonical JSON on one line."""
    return harmless(canonical(check).decode(), ascii_only=not ctx.unicode) + "\n"


def render_markdown(check: Check) -> str:
    """Return a check as Markdown, for a job's summary."""
    besides = _besides(check)
    if check.errors:
        rows = _listed(check.errors)
        return (
            f"## ⛔ {_count(len(check.errors), 'mistake')} in the rules\n\n"
            + "\n".join(rows)
            + "\n"
            + besides
        )
    rows = [f"- {_text(found.manifest)}: {_text(_in_force(found))}" for found in check.checked]
    rows += [
        f"- on {_text(tried.snapshot)}: {_text(tried.counts)}"
        + (f". {_text(tried.note)}" if tried.note else "")
        for tried in check.tried
    ]
    return "## ✅ The rules load\n\n" + "\n".join(rows) + "\n" + besides


def _listed(problems: tuple[Problem, ...]) -> list[str]:
    rows = [_problem(problem) for problem in problems[:MOST_SHOWN]]
    left = len(problems) - MOST_SHOWN
    return rows + ([f"- {left} more"] if left > 0 else [])


def _besides(check: Check) -> str:
    """Return what is worth knowing, and what was not looked at."""
    rows = [*_listed(check.warnings), *(f"- {_text(note)}" for note in check.notes)]
    return "\n**Worth knowing**\n\n" + "\n".join(rows) + "\n" if rows else ""


def summary(check: Check) -> str:
    """Return the end of it in one line of our own words."""
    if check.errors or not check.checked:
        return f"check failed, {_count(len(check.errors), 'mistake')}"
    return f"check ok, {_policies(sum(found.policies for found in check.checked))}"


def _tried(tried: Tried) -> Iterator[tuple[str, ...]]:
    yield "on", tried.snapshot, f"{tried.environment}: {tried.counts}"
    for answer in tried.answers:
        more = _count(answer.findings, "finding") if answer.findings else answer.reason
        yield "", answer.outcome, answer.policy, more
    if tried.note:
        yield "note:", tried.note


def _in_force(found: Checked) -> str:
    environments = _count(len(found.environments), "environment")
    return f"{found.system}: {_policies(found.policies)}, {environments}"


def _policies(count: int) -> str:
    return "1 policy" if count == 1 else f"{count} policies"


def _count(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _problem(problem: Problem) -> str:
    place = f"{markdown_code(clean(problem.place, 300))}: " if problem.place else ""
    fix = f" (fix: {_text(problem.fix)})" if problem.fix else ""
    return f"- {place}{_text(problem.message)}{fix}"


def _text(text: str) -> str:
    return markdown_text(clean(text, 600))
