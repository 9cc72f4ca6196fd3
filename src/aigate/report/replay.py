"""What a replay and a backtest have to say: on a terminal, and on the page of a pull request."""

from aigate.backtest import Backtest, Case, Erring, Kind
from aigate.decision import Verdict
from aigate.replay import Changed, Replay
from aigate.report.clean import clean, disarm, markdown_code, markdown_text
from aigate.report.context import ReportContext
from aigate.report.json import short
from aigate.report.page import BOLD, GREEN, RED, YELLOW, Page
from aigate.values import show_instant

MOST_LINES = 20
"""Changes and unreadable documents that are shown; all of them where asked for."""

_LEAST_SIZE = 4_000


def render(found: Replay, ctx: ReportContext) -> str:
    """Return a replay as text."""
    page = Page(ctx)
    version = "" if found.version is None else f" v{found.version}"
    what = f"{page.say(found.model, 80)}{version} {page.say('→')} @{page.say(found.alias, 40)}"
    word, color = ("IDENTICAL", GREEN) if found.identical else ("DIFFERS", RED)
    when = f"decided {show_instant(found.decided_at)}, {short(found.decision)}"
    lines = [f"{page.paint(word, f'{BOLD};{color}')}  {page.paint(what, BOLD)}  {when}"]
    same = "made again from its own evidence, byte for byte"
    verdict = f"{found.recorded}, {same}" if found.identical else _verdicts(found)
    lines += page.row("ok" if found.recorded == found.now else "bad", "verdict", verdict)
    if found.first is not None:
        first = found.first
        of = f" ({first.policy})" if first.policy else ""
        lines += page.row("bad", "first", f"{first.at}{of}")
        lines += page.row("", "recorded", first.recorded)
        lines += page.row("", "now", first.now)
    if found.policies:
        lines += page.row("bad", "policies", f"answer otherwise: {', '.join(found.policies)}", most=6)
    for changed in found.changed:
        lines += page.row("note", "another", _changed(changed))
    return page.join(lines)


def _verdicts(found: Replay) -> str:
    if found.recorded == found.now:
        return f"{found.now}, as recorded; what it rests on differs"
    return f"{found.now}, recorded was {found.recorded}"


def _changed(changed: Changed) -> str:
    return f"{changed.what}: {_brief(changed.recorded)} then, {_brief(changed.now)} now"


def _brief(text: str) -> str:
    return short(text) if text.startswith("sha256:") else text


def headline(found: Backtest) -> str:
    """Say in one line what would have changed: `would have blocked v11, v14; would have let v9 through`."""
    parts = []
    if found.blocked:
        parts.append(f"would have blocked {_listed(found, 'blocked', found.blocked)}")
    if found.let_through:
        parts.append(f"would have let {_listed(found, 'let_through', found.let_through)} through")
    if found.otherwise:
        parts.append(f"would have said another no to {_listed(found, 'otherwise', found.otherwise)}")
    if not parts and not found.judged - found.incomparable:
        parts.append("nothing to compare: no snapshot with a verdict was judged")
    elif not parts:
        parts.append("would have changed nothing")
    if found.broken:
        parts.append(f"no answer from {_few(found.broken)}: it broke on every snapshot")
    return "; ".join(parts)


def _listed(found: Backtest, kind: Kind, count: int) -> str:
    """Name the versions; where not every change is listed, say how many there are."""
    listed = sum(case.kind == kind for case in found.cases)
    more = f" and others ({count:,} answers in all)" if count > listed else ""
    return _few(found.versions(kind)) + more


def _few(versions: tuple[str, ...]) -> str:
    return ", ".join(versions[:12]) + (f" and {len(versions) - 12} more" if len(versions) > 12 else "")


def render_backtest(found: Backtest, ctx: ReportContext) -> str:
    """Return a backtest as text."""
    page = Page(ctx)
    line = headline(found)
    color = YELLOW if found.changed or not found.judged else GREEN
    lines = [
        f"{page.paint('BACKTEST', BOLD)}  {page.paint(page.say(line[:1].upper() + line[1:], 600), color)}",
        *page.row("", "policies", f"{found.policies}, {short(found.policies_digest)}"),
        *page.row("", "evidence", _evidence(found)),
    ]
    lines += page.row("", "counted", _counted(found), most=6)
    if found.incomparable:
        lines += page.row(
            "unknown", "alone", f"{_snapshots(found.incomparable)} without a decision beside it"
        )
    lines += page.row("unknown", "beside", _beside(found)) if _beside(found) else []
    for one in found.erring:
        lines += page.row("unknown", "broke", _broke(found, one), most=4)
    shown = found.cases if ctx.verbose else found.cases[:MOST_LINES]
    if shown:
        lines += ["", page.paint("Changes", BOLD)]
    for case in shown:
        mark = "bad" if case.kind == "blocked" else "warn"
        lines += page.row(mark, _name(case), _said(case), cells=12, most=4)
    lines += _more(page, found.changed - len(shown), "changes")
    unread = found.unread if ctx.verbose else found.unread[:MOST_LINES]
    if unread:
        lines += ["", page.paint("Not read", BOLD)]
    for gone in unread:
        lines += page.row("unknown", "", f"{gone.where}: {gone.why}", cells=0, most=4)
    lines += _more(page, len(found.unread) - len(unread), "documents")
    return page.join(lines)


def _more(page: Page, count: int, what: str) -> list[str]:
    return [page.say(f"  … and {count} more {what}: see --format json, or -v")] if count > 0 else []


def _evidence(found: Backtest) -> str:
    since = f", since {show_instant(found.since)}" if found.since else ""
    return f"{_snapshots(found.snapshots)} in {found.source} ({found.environment}{since})"


def _snapshots(count: int) -> str:
    return "1 snapshot" if count == 1 else f"{count:,} snapshots"


def _counted(found: Backtest) -> str:
    counts = (
        ("unchanged", found.unchanged),
        ("blocked", found.blocked),
        ("let through", found.let_through),
        ("another no", found.otherwise),
        ("nothing to compare with", found.incomparable),
        ("older", found.before),
        ("of other environments", found.elsewhere),
        ("not readable", found.unreadable),
    )
    return ", ".join(f"{count:,} {words}" for words, count in counts if count) or "nothing"


def _beside(found: Backtest) -> str:
    """Say what else was in the source, which the counts of snapshots do not show."""
    gone, others = found.without_snapshot, found.others
    words = []
    if gone:
        words.append(
            f"{gone:,} {'decision' if gone == 1 else 'decisions'} without the snapshot, so not judged"
        )
    if others:
        words.append(
            f"{others:,} {'document that is' if others == 1 else 'documents that are'} neither snapshot nor decision"
        )
    return "; ".join(words)


def _broke(found: Backtest, one: Erring) -> str:
    return f"{one.policy} on {one.snapshots:,} of {found.judged:,}, the first time: {one.reason}"


def _name(case: Case) -> str:
    return "?" if case.version is None else f"v{case.version}"


_BECAUSE: dict[Kind, str] = {"blocked": "", "let_through": "was blocked by ", "otherwise": ""}


def _said(case: Case) -> str:
    causes = "; ".join(f"{cause.policy}: {cause.message}" for cause in case.causes)
    against = "" if case.by == "record" else " by the policies in force"
    because = f" · {_BECAUSE[case.kind]}{causes}" if causes else ""
    asked = case.model if case.question == "promote" else f"{case.model}, may it stay"
    return f"{asked}, {show_instant(case.at)}: {case.was}{against} → {case.becomes}{because}"


_SIGNS: dict[Verdict, str] = {
    "allow": "✅",
    "keep": "✅",
    "deny": "⛔",
    "rollback": "⏪",
    "halt": "🛑",
    "hold": "⏸️",
}


def backtest_markdown(found: Backtest, ctx: ReportContext) -> str:
    """Return a backtest as Markdown for a pull request, of at most `ctx.size` characters."""
    line = headline(found)
    head = [
        f"## Backtest: {_md(line, 600)}",
        f"{_md(found.policies, 200)} (`{short(found.policies_digest)}`) on {_md(_evidence(found), 300)}",
        _md("; ".join(part for part in (_counted(found), _beside(found)) if part)) + ".",
        *(f"**Broke:** {_md(_broke(found, one), 300)}" for one in found.erring[:MOST_LINES]),
    ]
    room = max(ctx.size, _LEAST_SIZE) - sum(len(part) + 2 for part in head) - 400
    cases = [
        f"| {_md(_name(case), 40)} | {show_instant(case.at)} | {_SIGNS[case.was]} {case.was} → "
        f"{_SIGNS[case.becomes]} {case.becomes} | "
        + "<br>".join(f"{markdown_code(clean(c.policy, 80))} {_md(c.message, 300)}" for c in case.causes)
        + " |"
        for case in found.cases
    ]
    unread = [f"| {_md(gone.where, 200)} | {_md(gone.why, 200)} |" for gone in found.unread]
    parts = head + _table(
        "| Version | Decided | Verdict | Because |\n|---|---|---|---|", cases, room * 3 // 4
    )
    if unread:
        parts += [f"**Not read: {len(unread)}**", *_table("| Where | Why |\n|---|---|", unread, room // 4)]
    text = disarm("\n\n".join(parts)) + "\n"
    return text if ctx.unicode else text.encode("ascii", "xmlcharrefreplace").decode()


def _table(head: str, rows: list[str], room: int) -> list[str]:
    kept: list[str] = []
    left = room - len(head)
    for row in rows:
        left -= len(row) + 1
        if left < 0:
            break
        kept.append(row)
    if not kept:
        return []
    more = len(rows) - len(kept)
    return ["\n".join([head, *kept]), *([f"{more} more left out for length: see the JSON."] if more else [])]


def _md(text: str, limit: int = 600) -> str:
    return markdown_text(clean(text, limit))
