"""An act, for a person at a terminal or for a program: what came of it first, what to do next last."""

from collections.abc import Iterator

from aigate.digest import canonical
from aigate.plan import Act, ActResult
from aigate.report.clean import clean, disarm
from aigate.report.context import ReportContext
from aigate.report.json import harmless, short
from aigate.report.layout import cut, wrap
from aigate.values import show_instant
from aigate.wording import shown

_WORDS: dict[ActResult, str] = {
    "done": "DONE",
    "already": "ALREADY",
    "planned": "PLAN",
    "refused": "REFUSED",
    "denied": "DENIED",
    "changed": "NOT DONE",
    "unconfirmed": "UNCONFIRMED",
}
_GREEN, _RED, _YELLOW, _BOLD = "32", "31", "33", "1"
_COLORS: dict[ActResult, str] = {
    "done": _GREEN,
    "already": _GREEN,
    "planned": _YELLOW,
    "refused": _RED,
    "denied": _RED,
    "changed": _YELLOW,
    "unconfirmed": _RED,
}
_MARKS = {"ok": "✓", "warn": "!", "bad": "✗", "unknown": "?"}
_PLAIN = {"ok": "+", "warn": "!", "bad": "x", "unknown": "?"}
_LABEL = 14
_LINES = 6


def render(act: Act, ctx: ReportContext) -> str:
    """Return an act as text."""
    return disarm("\n".join(line.rstrip() for line in _lines(act, ctx))) + "\n"


def render_json(act: Act, ctx: ReportContext) -> str:
    """Return an act as canonical JSON on one line."""
    return harmless(canonical(act).decode(), ascii_only=not ctx.unicode) + "\n"


def _lines(act: Act, ctx: ReportContext) -> Iterator[str]:
    where = f"{act.model}@{act.alias}" if act.alias else act.model
    word = _WORDS[act.result]
    title = cut(f"{act.act} {_clean(where, ctx)}", max(ctx.columns, 60) - len(word) - 2, _ellipsis(ctx))
    yield f"{_paint(word, _COLORS[act.result], ctx)}  {title}"
    yield from _wrapped("", _sentence(act), ctx)
    facts = [show_instant(act.now)]
    facts += [f"entry {act.seq}"] if act.seq is not None else []
    facts += [f"decision {short(act.decision)}"] if act.decision else []
    facts += ["automatic"] if act.automatic else []
    facts += [f"{act.seconds} s"] if act.seconds is not None else []
    yield from _wrapped("", " · ".join(facts), ctx)
    if act.given:
        yield from _wrapped("reason", act.given, ctx)
    marks = _MARKS if ctx.unicode else _PLAIN
    if act.checks:
        yield ""
        for check in act.checks:
            yield from _wrapped(f"{marks[check.state]} {check.name}", check.words, ctx)
    if act.blockers:
        yield ""
        for blocker in act.blockers:
            yield from _wrapped(f"{marks['bad']} {blocker.code.partition('_')[0]}", blocker.message, ctx)
            if blocker.fix:
                yield from _wrapped("  fix", blocker.fix, ctx)
    if act.effects and (act.result == "planned" or ctx.verbose):
        yield ""
        for number, effect in enumerate(act.effects, 1):
            yield from _wrapped(f"{number:2} {effect.name}", effect.words, ctx)
    if act.warnings:
        yield ""
        for warning in act.warnings:
            yield from _wrapped("! warning", warning, ctx, color=_YELLOW)
    if act.next:
        yield ""
        for number, words in enumerate(act.next, 1):
            yield from _wrapped("Next" if number == 1 else "", words, ctx)
    if act.head is not None and (act.result in ("done", "unconfirmed") or ctx.verbose):
        yield ""
        yield from _wrapped("ledger head", f"{act.head.seq}:{act.head.digest}", ctx)


def _sentence(act: Act) -> str:
    """Say what came of it; the versions first, where the reason does not name them."""
    if act.result in ("refused", "denied", "changed") and act.to is not None:
        return f"{shown(act.from_)} → {shown(act.to)}: {act.reason}"
    return act.reason


def _wrapped(label: str, text: str, ctx: ReportContext, *, color: str = "") -> Iterator[str]:
    room = max(ctx.columns, 60) - _LABEL - 2
    most = 99 if ctx.verbose else _LINES
    for number, line in enumerate(wrap(_clean(text, ctx), room, most, _ellipsis(ctx))):
        head = label if number == 0 else ""
        yield f"  {_paint(head, color, ctx) if head and color else head}{' ' * (_LABEL - len(head))}{line}"


def _ellipsis(ctx: ReportContext) -> str:
    return "…" if ctx.unicode else "..."


def _clean(text: str, ctx: ReportContext) -> str:
    return clean(text, 4000, ascii_only=not ctx.unicode)


def _paint(text: str, color: str, ctx: ReportContext) -> str:
    return f"\x1b[{_BOLD};{color}m{text}\x1b[0m" if ctx.color else text
