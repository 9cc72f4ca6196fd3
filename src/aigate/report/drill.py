"""What a drill has to say: which failure is caught by what, and which by nothing."""

from aigate.decision import EXIT_CODES
from aigate.drill import Catch, Drilled, DrillReport, Shown, Status
from aigate.report.clean import clean, disarm, markdown_code, markdown_text
from aigate.report.context import ReportContext
from aigate.report.page import BOLD, GREEN, RED, YELLOW, Page
from aigate.values import show_instant

_MOST_PLACES = 4
"""Places of one failure that are shown; all of them where asked for, and those that were missed always."""

_MARKS: dict[Status, str] = {"caught": "ok", "otherwise": "warn", "missed": "bad", "not_applicable": "note"}
_SIGNS: dict[Status, str] = {"caught": "✅", "otherwise": "🔶", "missed": "❌", "not_applicable": "➖"}
_NAME = 30


def render(found: DrillReport, ctx: ReportContext) -> str:
    """Return a drill as text."""
    page = Page(ctx)
    color = RED if found.missed else GREEN if found.exit_code == 0 else YELLOW
    version = "" if found.version is None else f" v{found.version}"
    lines = [
        f"{page.paint('DRILL', BOLD)}  {page.say(found.model, 80)}{version} ({page.say(found.environment, 80)}, "
        f"evidence of {show_instant(found.now)}: {found.verdict})  {page.paint(page.say(headline(found)), color)}"
    ]
    for one in found.drilled:
        lines += ["", *page.row(_MARKS[one.status], one.name, one.hypothesis, cells=_NAME)]
        if one.because:
            lines += page.row("", "", f"not applicable, because {one.because}", cells=_NAME)
        for shown in _places(one, verbose=ctx.verbose):
            lines += page.row(
                "ok" if shown.caught else "bad", shown.place, _said(shown, one), cells=_NAME, most=2
            )
        if one.remedy:
            lines += page.row("", "", f"to do: {one.remedy}", cells=_NAME)
        if left := len(one.places) - len(_places(one, verbose=ctx.verbose)):
            lines += page.row("", "", f"and caught in {left} more places", cells=_NAME)
    if found.exit_code == 1 and EXIT_CODES[found.verdict] != 0:
        lines += ["", page.say(f"The evidence gives {found.verdict} even without a failure in it.")]
    return page.join(lines)


def headline(found: DrillReport) -> str:
    """Say in one line how many failures are caught, and which are not."""
    tried = [one for one in found.drilled if one.places]
    caught = len(tried) - len(found.missed)
    words = f"{caught} of {len(tried)} failures caught"
    if found.missed:
        words += f"; nothing catches {', '.join(_missed(one) for one in found.missed)}"
    if other := [one for one in found.drilled if one.status == "not_applicable"]:
        words += f"; {len(other)} not applicable"
    return words


def _missed(one: Drilled) -> str:
    places = [shown.place for shown in one.places if not shown.caught]
    return f"{one.name} ({', '.join(places[:3])}{', …' if len(places) > 3 else ''})"


def _places(one: Drilled, *, verbose: bool) -> list[Shown]:
    """Return the places to show: every one that was missed, and the first few that were not."""
    if verbose:
        return list(one.places)
    missed = [shown for shown in one.places if not shown.caught]
    return [*missed, *[shown for shown in one.places if shown.caught][: max(0, _MOST_PLACES - len(missed))]]


def _said(shown: Shown, one: Drilled) -> str:
    by = [catch for catch in shown.catches if catch.counts]
    advised = [catch for catch in shown.catches if not catch.counts]
    words = f"{shown.verdict}: "
    if by:
        expected = [catch for catch in by if catch.by in _expected(one)]
        first = (expected or by)[0]
        others = [catch.by for catch in by if catch is not first]
        words += f"{_catch(first)}" + (f"; also {', '.join(others[:3])}" if others else "")
        words += f" and {len(others) - 3} more" if len(others) > 3 else ""
        return words if expected else f"{words}; not by what was believed"
    if advised:
        return f"{words}nothing that counts catches it; {', '.join(c.by for c in advised[:4])} only advises"
    return f"{words}nothing catches it"


def _expected(one: Drilled) -> str:
    """Return the hypothesis, which names what is believed to catch it."""
    return one.hypothesis


def _catch(catch: Catch) -> str:
    return f"{catch.by} ({catch.outcome}): {catch.message}"


def markdown(found: DrillReport, ctx: ReportContext) -> str:
    """Return a drill as Markdown, of at most `ctx.size` characters or a little more."""
    version = "" if found.version is None else f" v{found.version}"
    head = (
        f"## Drill: {_md(headline(found), 600)}\n\n"
        f"{_md(found.model, 80)}{version}, {_md(found.environment, 80)}, evidence of {show_instant(found.now)}: "
        f"{found.verdict}.\n\n| | Failure | Where | Verdict | Caught by |\n|---|---|---|---|---|"
    )
    rows, left = [], max(ctx.size, 4_000) - len(head)
    for one in found.drilled:
        for row in _rows(one):
            left -= len(row) + 1
            if left > 0:
                rows.append(row)
    text = disarm("\n".join([head, *rows])) + "\n"
    return text if ctx.unicode else text.encode("ascii", "xmlcharrefreplace").decode()


def _rows(one: Drilled) -> list[str]:
    hypothesis = f"{markdown_code(one.name)} {_md(one.hypothesis)}"
    if one.because:
        return [f"| {_SIGNS[one.status]} | {hypothesis} | | | not applicable, because {_md(one.because)} |"]
    return [
        f"| {_SIGNS[one.status] if shown.caught else '❌'} | {hypothesis if n == 0 else ''} | {_md(shown.place, 100)} "
        f"| {shown.verdict} | {_by(shown, one)} |"
        for n, shown in enumerate(sorted(one.places, key=lambda shown: shown.caught))
    ]


def _by(shown: Shown, one: Drilled) -> str:
    by = ", ".join(markdown_code(c.by) for c in shown.catches if c.counts)
    advised = ", ".join(markdown_code(c.by) for c in shown.catches if not c.counts)
    lacking = f"**nothing that counts** ({advised} only advises)" if advised else "**nothing**"
    return by or f"{lacking}: {_md(one.remedy)}"


def _md(text: str, limit: int = 400) -> str:
    return markdown_text(clean(text, limit))
