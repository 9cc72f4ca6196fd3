"""The decision as SARIF 2.1.0, in the form that GitHub code scanning accepts.

Every policy is a rule, every problem a result. What keeps the gate shut (a
failure, and what counts and was not assessed) is an `error`, so that the check
which code scanning makes of it agrees with the verdict; advice and what is
waived is a `note`, and the latter carries a suppression, which not every
reader honours. A result lies where the manifest declares what it is about, and
its fingerprints name that thing: an alert stays the same one from version to
version, and closes when the thing is mended.
"""

import re
from collections.abc import Iterable
from json import dumps
from typing import Any, Final
from urllib.parse import quote

from aigate.decision import Decision, PolicyInfo, Severity
from aigate.manifest import Level
from aigate.report.clean import clean
from aigate.report.context import ReportContext
from aigate.report.json import decision_id, harmless
from aigate.report.problems import DECISION, DECISION_TITLE, Problem, foremost, problems
from aigate.values import gap, show_instant

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
MOST_RESULTS = 5_000
"""Results that GitHub shows; of more it takes those it likes."""
MOST_BYTES = 10_000_000
"""Bytes, compressed with gzip, that GitHub takes."""

_WORDS = 1_000
"""Characters of a rule's description; GitHub takes 1,024."""
_NAME = 255
_SEVERITY: dict[Severity, str] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "recommendation",
}
_ADDRESS = re.compile(r"https?://[A-Za-z0-9][!#-;=?-Z_a-z~]*")
_LINK = re.compile(r"\](?=\()")
_PLACEHOLDER = re.compile(r"\{(?=\d)")


def render(decision: Decision, ctx: ReportContext) -> str:
    """Return the decision as SARIF; the same decision and context give the same text.

    Where there are too many results, the worst are kept, and a notification says how many are not.
    """
    found = problems(decision, ctx)
    most = MOST_RESULTS
    text = _text(decision, ctx, found, most)
    while most and len(text) > MOST_BYTES // 4 and _compressed(text) > MOST_BYTES:
        most //= 2
        text = _text(decision, ctx, found, most)
    return text


def _compressed(text: str) -> int:
    import gzip  # only a report of megabytes is weighed

    return len(gzip.compress(text.encode(), 6))


def _text(decision: Decision, ctx: ReportContext, found: tuple[Problem, ...], most: int) -> str:
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(decision, ctx, found, most)]}
    return harmless(dumps(log, ensure_ascii=False, indent=1), ascii_only=not ctx.unicode) + "\n"


def _run(decision: Decision, ctx: ReportContext, found: tuple[Problem, ...], most: int) -> dict[str, Any]:
    rules = [_rule(j.info, j.level) for j in decision.judgements]
    numbers = {j.info.id: number for number, j in enumerate(decision.judgements)}
    if any(problem.policy == DECISION for problem in found) and DECISION not in numbers:
        numbers[DECISION] = len(rules)
        rules.append(_RULE_OF_DECISION)
    subject = decision.subject
    return {
        "tool": {
            "driver": {"name": "aigate", "version": clean(decision.versions.aigate, 60), "rules": rules}
        },
        "automationDetails": {"id": _category(decision)},
        "invocations": [_invocation(decision, len(found) - most)],
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, numbers[problem.policy], ctx) for problem in foremost(found, most)],
        "properties": {
            "verdict": decision.verdict,
            "reason": _say(decision.reason),
            "decision": decision_id(decision),
            "question": decision.question,
            "model": _say(decision.model, _NAME),
            "alias": _say(decision.alias, _NAME),
            **({} if gap(subject) is not None else {"modelVersion": _say(subject.version, _NAME)}),
        },
    }


def _say(text: str, limit: int = _WORDS) -> str:
    """Return cleaned text that is no embedded link and no placeholder to a SARIF reader, and never empty."""
    said = _PLACEHOLDER.sub("{ ", _LINK.sub("] ", clean(text, limit)))
    return clean(said, limit) or "(nothing)"


def _category(decision: Decision) -> str:
    """Return what GitHub keeps apart: an upload replaces the earlier results of its own category only.

    What is said of the champion must not close what is said of its challenger.
    """
    named = (decision.system, decision.environment, decision.question)
    parts = (clean(part, 100).replace("%", "%25") for part in named)
    return "".join(f"{part.replace('/', '%2F')}/" for part in ("aigate", *parts))


def _rule(info: PolicyInfo, level: Level) -> dict[str, Any]:
    title = _say(info.title)
    said = f"{info.title} {info.detail}".strip()
    return {
        "id": clean(info.id, _NAME),
        "shortDescription": {"text": title},
        "fullDescription": {"text": _say(said)},
        "help": {"text": _say(info.detail.strip() or info.title)},
        **({"helpUri": info.url} if _ADDRESS.fullmatch(info.url) and len(info.url) <= _WORDS else {}),
        "defaultConfiguration": {"level": "note" if level == "advise" else "error"},
        "properties": {
            "problem.severity": _SEVERITY[info.severity],
            "tags": [_say(info.id.partition(".")[0], 60), f"blames-{info.blames}"],
            "level": level,
        },
    }


_RULE_OF_DECISION: Final[dict[str, Any]] = {
    "id": DECISION,
    "shortDescription": {"text": DECISION_TITLE},
    "fullDescription": {"text": f"{DECISION_TITLE} Where nothing was assessed, nothing is allowed."},
    "help": {"text": "The JSON record names the evidence that is missing."},
    "defaultConfiguration": {"level": "error"},
    "properties": {"problem.severity": "error", "tags": ["aigate", "blames-process"], "level": "require"},
}


def _invocation(decision: Decision, left_out: int) -> dict[str, Any]:
    """Say how the run went: it succeeded where it came to a yes or a no."""
    notes = []
    if left_out > 0:
        words = f"{left_out} more results are left out for length: see the JSON record"
        notes = [{"level": "warning", "message": {"text": words}}]
    return {
        "executionSuccessful": decision.verdict != "hold",
        "exitCode": decision.exit_code,
        "endTimeUtc": show_instant(decision.now),
        **({"toolExecutionNotifications": notes} if notes else {}),
    }


def _result(problem: Problem, rule: int, ctx: ReportContext) -> dict[str, Any]:
    waived = problem.status == "WAIVED"
    words: Iterable[tuple[str, str]] = (("owner", problem.owner), ("fix", problem.fix))
    said = {name: _say(text, 300) for name, text in words if text.strip()}
    return {
        "ruleId": clean(problem.policy, _NAME),
        "ruleIndex": rule,
        "level": "error" if problem.shuts else "note",
        "message": {"text": _say(problem.message())},
        "locations": [{"physicalLocation": _location(problem, ctx)}],
        "partialFingerprints": {"primaryLocationLineHash": f"{problem.fingerprint[:16]}:1"},
        "fingerprints": {"aigate/v1": problem.fingerprint},
        **({"suppressions": [_suppression(problem)]} if waived else {}),
        "properties": {"outcome": problem.status.lower(), **said},
    }


def _suppression(problem: Problem) -> dict[str, str]:
    return {"kind": "external", "status": "accepted", "justification": _say(problem.origin)}


def _location(problem: Problem, ctx: ReportContext) -> dict[str, Any]:
    line, column = problem.place
    return {
        "artifactLocation": _artifact(ctx.manifest),
        "region": {"startLine": line, "startColumn": column, "endLine": line, "endColumn": column + 1},
    }


def _artifact(manifest: str) -> dict[str, str]:
    """Return the manifest's place: relative to the repository's root, or absolute where it lies elsewhere."""
    uri = quote(manifest, errors="replace")
    return {"uri": f"file://{uri}"} if uri.startswith("/") else {"uri": uri, "uriBaseId": "%SRCROOT%"}
