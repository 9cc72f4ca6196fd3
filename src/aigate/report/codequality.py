"""The decision as GitLab's code quality report: one entry a problem, at its line of the manifest."""

from json import dumps
from typing import Any

from aigate.decision import Decision, Severity
from aigate.report.clean import clean
from aigate.report.context import ReportContext
from aigate.report.json import harmless
from aigate.report.problems import Problem, problems

_SEVERITY: dict[Severity, str] = {
    "critical": "blocker",
    "high": "critical",
    "medium": "major",
    "low": "minor",
}
"""Of what keeps the gate shut; the rest is `info`."""


def render(decision: Decision, ctx: ReportContext) -> str:
    """Return a JSON array, empty where there is nothing to say."""
    entries = [_entry(problem, ctx) for problem in problems(decision, ctx)]
    return harmless(dumps(entries, ensure_ascii=False, indent=1), ascii_only=not ctx.unicode) + "\n"


def _entry(problem: Problem, ctx: ReportContext) -> dict[str, Any]:
    word = "" if problem.shuts else f"{problem.status.lower()}: "
    return {
        "description": f"{word}{problem.message()}" or problem.policy,
        "check_name": clean(problem.policy, 255),
        "fingerprint": problem.fingerprint,
        "severity": _SEVERITY[problem.severity] if problem.shuts else "info",
        "location": {
            "path": clean(ctx.manifest, 1_000) or "aigate.yaml",
            "lines": {"begin": problem.place[0]},
        },
    }
