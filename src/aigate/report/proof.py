"""What came of `aigate test`: as text, as JSON, and as JUnit XML with a case a policy."""

from collections.abc import Iterator
from html import escape

from aigate.digest import canonical
from aigate.prove import Coverage, Proof, Proven, Suite
from aigate.report.clean import clean, disarm
from aigate.report.context import ReportContext
from aigate.report.json import harmless

_LONGEST = 600
_UNSEEN = 8
"""Things that tests have not seen of one policy that are named."""


def render(proof: Proof, ctx: ReportContext) -> str:
    """Return a proof as text: what is wrong first, then the author's own policies, then the sum of it.

    The standard policies that are proven are left out, unless `ctx.verbose`.
    """
    lines = [line for one in proof.policies for line in _lines(one, ctx)]
    lines += [_tested(proof.tested), *_coverage(proof.coverage, ctx), _summary(proof)]
    cleaned = (_keep_indent(line, ctx) for line in lines)
    return disarm("".join(f"{line}\n" for line in cleaned))


def _keep_indent(line: str, ctx: ReportContext) -> str:
    body = line.lstrip(" ")
    return " " * (len(line) - len(body)) + clean(body, _LONGEST, ascii_only=not ctx.unicode)


def _lines(one: Proven, ctx: ReportContext) -> Iterator[str]:
    name = f"{one.policy} ({one.environment})"
    if one.state == "unproven":
        yield f"UNPROVEN  {name}  {one.file}"
        for flaw in one.flaws:
            yield f"    {flaw.message}"
            yield f"    fix: {flaw.fix}"
    elif one.state == "off":
        yield f"off       {name}: {one.note}"
    elif ctx.verbose or not one.standard:
        note = f"; {one.note}" if one.note else ""
        yield f"proven    {name}: {', '.join(one.needed)}{note}"
    if ctx.verbose:
        for seen in one.seen:
            yield f"    {seen.outcome}: {seen.where}"


def _tested(tested: Suite) -> str:
    if tested.state == "passed":
        return f"tests: {tested.passed} passed"
    if tested.state == "failed":
        counted = f"{tested.failed} of {tested.failed + tested.passed} failed; " if tested.failed else ""
        return f"TESTS FAILED: {counted}{tested.words}"
    return f"tests: {'NOT RUN, ' if tested.state == 'not_run' else ''}{tested.words}"


def _coverage(coverage: Coverage | None, ctx: ReportContext) -> Iterator[str]:
    if coverage is None or not coverage.policies:
        return
    wanted = "" if coverage.threshold is None else f", {coverage.threshold} % wanted"
    low = "" if coverage.enough else "TOO LITTLE  "
    points = sum(one.points for one in coverage.policies)
    seen = sum(one.seen for one in coverage.policies)
    yield f"{low}seen by tests: {coverage.percent} % ({seen} of {points} outcomes and denials{wanted})"
    for one in coverage.policies:
        if one.unseen and (ctx.verbose or coverage.threshold is not None):
            more = f", and {len(one.unseen) - _UNSEEN} more" if len(one.unseen) > _UNSEEN else ""
            yield f"    {one.policy}: never {', '.join(one.unseen[:_UNSEEN])}{more}"


def _summary(proof: Proof) -> str:
    counts = {
        state: sum(one.state == state for one in proof.policies) for state in ("proven", "unproven", "off")
    }
    off = f", {counts['off']} off" if counts["off"] else ""
    total = len(proof.policies)
    return (
        f"{counts['proven']} of {total} {'policy is' if total == 1 else 'policies are'} proven{off}, "
        f"{counts['unproven']} not; {proof.tried} snapshots tried in {', '.join(proof.environments)}"
    )


def render_json(proof: Proof, ctx: ReportContext) -> str:
    """Return a proof as canonical JSON on one line."""
    return harmless(canonical(proof).decode(), ascii_only=not ctx.unicode) + "\n"


def render_junit(proof: Proof, ctx: ReportContext) -> str:
    """Return a proof as JUnit XML: a suite an environment, a case a policy, and one for the author's tests."""
    suites = [_suite(proof, environment) for environment in proof.environments]
    suites.append(_author_suite(proof))
    body = "\n".join(text for text, _, _ in suites)
    cases, failures = sum(n for _, n, _ in suites), sum(f for _, _, f in suites)
    head = f'<testsuites name="aigate test" tests="{cases}" failures="{failures}" errors="0">'
    report = disarm(f'<?xml version="1.0" encoding="UTF-8"?>\n{head}\n{body}\n</testsuites>') + "\n"
    return report if ctx.unicode else report.encode("ascii", "xmlcharrefreplace").decode()


def _suite(proof: Proof, environment: str) -> tuple[str, int, int]:
    ones = [one for one in proof.policies if one.environment == environment]
    return _counted(f"aigate.proof.{environment}", [_case(one) for one in ones])


def _author_suite(proof: Proof) -> tuple[str, int, int]:
    tested, coverage = proof.tested, proof.coverage
    words = "" if tested.state == "passed" else _tested(tested)
    mark = "skipped" if tested.state == "none" else "failure"
    cases = [_xml_case("tests", "aigate.test", mark if words else "", words)]
    if coverage is not None and coverage.threshold is not None:
        line = next(_coverage(coverage, ReportContext()), "")
        cases.append(_xml_case("coverage", "aigate.test", "" if coverage.enough else "failure", line))
    return _counted("aigate.test", cases)


def _counted(name: str, cases: list[str]) -> tuple[str, int, int]:
    # Text is escaped, so that only a tag of ours can look like one.
    failures = sum("<failure " in case for case in cases)
    skipped = sum("<skipped " in case for case in cases)
    head = f'<testsuite name="{_text(name)}" tests="{len(cases)}" failures="{failures}" errors="0" '
    return (
        f'{head}skipped="{skipped}" time="0">\n' + "\n".join(cases) + "\n</testsuite>",
        len(cases),
        failures,
    )


def _case(one: Proven) -> str:
    classname = f"aigate.proof.{one.environment}"
    if one.state == "unproven":
        words = "\n".join(f"{flaw.kind}: {flaw.message} (fix: {flaw.fix})" for flaw in one.flaws)
        return _xml_case(one.policy, classname, "failure", words)
    return _xml_case(one.policy, classname, "skipped" if one.state == "off" else "", one.note)


def _xml_case(name: str, classname: str, mark: str, words: str) -> str:
    head = f'<testcase classname="{_text(classname)}" name="{_text(name)}" time="0"'
    if not mark:
        return f"{head}/>"
    first = _text(words.partition("\n")[0])
    body = "\n".join(_text(line) for line in words.split("\n"))
    inside = f'<{mark} message="{first}">{body}</{mark}>'
    return f"{head}>\n{inside}\n</testcase>"


def _text(text: str) -> str:
    return escape(clean(text, _LONGEST))


FORMATS = {"text": render, "json": render_json, "junit": render_junit}
"""How a proof can be written."""
