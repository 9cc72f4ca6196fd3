"""The decision as JUnit XML, as GitLab, Jenkins and most others read it: a suite, and a test case a policy.

The colour agrees with the verdict: there are failures or errors exactly where
it is neither `allow` nor `keep`. Advice and what is waived is a passed case,
with its words as output.
"""

from collections.abc import Iterable, Iterator
from html import escape

from aigate.decision import Decision, Judgement
from aigate.report.clean import clean, disarm
from aigate.report.context import ReportContext
from aigate.report.json import decision_id
from aigate.report.problems import DECISION, Problem, problems
from aigate.values import gap

_NAME = 255
_MESSAGE = 300
"""Characters of the message that lists show; the text below it has the whole."""
MOST_SAID = 200
"""Findings of one policy that are spelt out."""


def render(decision: Decision, ctx: ReportContext) -> str:
    """Return the decision as an XML document; it is well formed whatever the world wrote."""
    found: dict[str, list[Problem]] = {}
    for problem in problems(decision, ctx):
        found.setdefault(problem.policy, []).append(problem)
    classname = f"aigate.{decision.model}"
    itself = [] if DECISION not in found else [_case(DECISION, classname, _body(None, found.pop(DECISION)))]
    rest = [_case(j.info.id, classname, _body(j, found.get(j.info.id, []))) for j in decision.judgements]
    cases = [*itself, *rest]
    # Text is escaped, so that only a tag of ours can look like one.
    counts = {
        "tests": len(cases),
        "failures": sum("<failure " in case for case in cases),
        "errors": sum("<error " in case for case in cases),
    }
    skipped = sum("<skipped " in case for case in cases)
    name = f"aigate.{decision.environment}"
    # Ant's format has the time in UTC, without a zone.
    at = decision.now.replace(tzinfo=None, microsecond=0).isoformat()
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites{_attributes(name='aigate', **counts)}>",
        f"<testsuite{_attributes(name=name, **counts, skipped=skipped, time=0, timestamp=at)}>",
        "<properties>",
        *_properties(decision),
        "</properties>",
        *cases,
        "</testsuite>",
        "</testsuites>",
    ]
    report = disarm("\n".join(lines)) + "\n"
    return report if ctx.unicode else report.encode("ascii", "xmlcharrefreplace").decode()


def _attributes(**values: object) -> str:
    return "".join(f' {name}="{escape(clean(str(value), _NAME))}"' for name, value in values.items())


def _properties(decision: Decision) -> Iterator[str]:
    subject = decision.subject
    for name, value in (
        ("verdict", decision.verdict),
        ("reason", decision.reason),
        ("decision", decision_id(decision)),
        ("system", decision.system),
        ("model", decision.model),
        ("version", "unknown" if gap(subject) is not None else subject.version),
        ("alias", decision.alias),
        ("aigate", decision.versions.aigate),
    ):
        yield f"<property{_attributes(name=name, value=value)}/>"


def _case(policy: str, classname: str, body: Iterable[str]) -> str:
    inside = "\n".join(body)
    head = f"<testcase{_attributes(classname=classname, name=policy, time=0)}"
    return f"{head}>\n{inside}\n</testcase>" if inside else f"{head}/>"


def _body(judgement: Judgement | None, found: list[Problem]) -> Iterator[str]:
    """Yield at most one of failure, error and skipped, then what is only said."""
    shut = [problem for problem in found if problem.shuts]
    if shut:
        tag = "failure" if shut[0].status == "fail" else "error"
        more = f" (and {len(shut) - 1} more)" if len(shut) > 1 else ""
        title = f"{clean(shut[0].said, _MESSAGE)}{more}"
        yield f'<{tag} type="{shut[0].status}" message="{escape(title)}">{_said(shut)}</{tag}>'
    if judgement is not None and judgement.result.outcome == "skip":
        yield f'<skipped message="{escape(clean(judgement.result.reason, _MESSAGE))}"/>'
    if others := [problem for problem in found if not problem.shuts]:
        yield f"<system-out>{_said(others)}</system-out>"


def _said(found: list[Problem]) -> str:
    lines = [f"{problem.status}: {problem.message()}" for problem in found[:MOST_SAID]]
    if (more := len(found) - MOST_SAID) > 0:
        lines.append(f"and {more} more: see the JSON record")
    return escape("\n".join(lines))
