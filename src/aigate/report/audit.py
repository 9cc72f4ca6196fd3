"""`aigate audit` as text: the answer first, then every remark with the next step, then what was looked at."""

from aigate.audit import Audit
from aigate.remarks import Gravity, Remark
from aigate.report.context import ReportContext
from aigate.report.json import short
from aigate.report.page import BOLD, GREEN, RED, YELLOW, Page
from aigate.values import show_instant

_MARKS: dict[Gravity, str] = {"broken": "bad", "unseen": "unknown", "warning": "warn", "note": "note"}
_NAMES: dict[Gravity, str] = {"broken": "BROKEN", "unseen": "UNSEEN", "warning": "WARNING", "note": "note"}
_MOST = 40
"""Remarks on a screen; a ledger that was written anew has thousands."""


def render(found: Audit, ctx: ReportContext) -> str:
    """Return the audit as text; at most `_MOST` remarks, unless `ctx.verbose`."""
    page = Page(ctx)
    lines = [_head(page, found), *_looked(page, found)]
    shown = found.remarks if ctx.verbose else found.remarks[:_MOST]
    if shown:
        lines.append("")
    for remark in shown:
        lines += _remark(page, remark)
    if len(shown) < len(found.remarks):
        more = f"{len(found.remarks) - len(shown)} more: all of them with --verbose or --format json"
        lines += page.row("note", "", more, cells=0)
    return page.join(lines)


def _head(page: Page, found: Audit) -> str:
    broken, unseen = found.count("broken"), found.count("unseen")
    word, color = ("ATTENTION", YELLOW) if found.count("warning") else ("CLEAN", GREEN)
    if broken or unseen:
        word, color = ("BROKEN", RED) if broken else ("INCOMPLETE", YELLOW)
    counts = [
        f"{number} {words}"
        for number, words in (
            (broken, "broken"),
            (unseen, "could not be looked at"),
            (found.count("warning"), "to be seen to"),
            (found.count("note"), "notes" if found.count("note") > 1 else "note"),
        )
        if number
    ]
    dot = " · " if page.ctx.unicode else " - "
    said = "".join(f"{dot}{count}" for count in counts)
    asked = f"{page.say(found.model, 80)}@{page.say(found.alias, 40)}"
    return (
        f"{page.paint(word, f'{BOLD};{color}')}  {page.paint(asked, BOLD)}{said}  {show_instant(found.now)}"
    )


def _looked(page: Page, found: Audit) -> list[str]:
    count = "1 entry" if found.entries == 1 else f"{found.entries} entries"
    head = "no entry" if found.head is None else f"{count} to head {short(found.head.digest)}"
    held = sum(anchor.holds is True for anchor in found.anchors)
    lines = page.row("", "chain", head, most=2)
    lines += page.row("", "anchors", f"{held} of {len(found.anchors)} lie on the chain")
    looked = f"{found.versions} versions, files of {found.files}, {found.documents} records and snapshots"
    lines += page.row("", "looked at", looked)
    if found.ledger:
        lines += page.row("", "ledger", found.ledger, most=2)
    if found.head is not None and not found.count("broken"):
        lines += page.row("", "keep", f"--anchor {found.head.seq}:{found.head.digest}")
    return lines


def _remark(page: Page, remark: Remark) -> list[str]:
    lines = page.row(_MARKS[remark.gravity], _NAMES[remark.gravity], f"{remark.where}: {remark.what}")
    return [*lines, *(page.row("", "", remark.fix) if remark.fix else [])]
