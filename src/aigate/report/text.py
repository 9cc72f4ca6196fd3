"""The decision for a person at a terminal: one screen, the verdict first, what to do next last."""

from collections.abc import Sequence
from dataclasses import dataclass

from aigate.decision import Decision, Verdict
from aigate.report.clean import clean, clean_lines, disarm
from aigate.report.context import SCREEN, ReportContext
from aigate.report.json import decision_id, short
from aigate.report.layout import cut, flow, pad, width, wrap
from aigate.report.outline import MOST_FIXES, STATUSES, Outline, Row, Step, outline
from aigate.values import show_instant

_MARKS = {
    "fail": "✗",
    "unknown": "?",
    "error": "!",
    "WAIVED": "~",
    "advice": "·",
    "pass": "✓",
    "skip": "-",
    "note": "·",
}
_MARKS_ASCII = _MARKS | {"fail": "x", "advice": ".", "note": ".", "pass": "+"}

_RED, _GREEN, _YELLOW, _DIM, _BOLD = "31", "32", "33", "2", "1"
_COLORS = {"fail": _RED, "unknown": _YELLOW, "error": _YELLOW, "WAIVED": _YELLOW, "pass": _GREEN}
_VERDICTS: dict[Verdict, str] = {
    "allow": _GREEN,
    "keep": _GREEN,
    "deny": _RED,
    "rollback": _RED,
    "halt": _RED,
    "hold": _YELLOW,
}

_ID_CELLS = 28
"""Column of policy names at its widest; a longer name pushes its own line."""

_ID_MOST = 48
"""Characters of a policy's name on a screen."""

_INDENT = 13
"""Where a policy's name begins: after the mark and the status."""

_SIZES = ((4, 2), (2, 0), (1, 0))
"""Lines that a finding may take, and its limit's origin below it: in full, without the origin, in short."""

_MOST_NOTES = 3
"""Notes shown on a screen."""

_LEAST_ROWS = 3
"""Findings shown in any case, however much else there is to say."""


def render(decision: Decision, ctx: ReportContext) -> str:
    """Return the decision as text: a screen of it at most, unless `ctx.verbose`."""
    pen = _Pen(ctx)
    for fixes in range(MOST_FIXES, 0, -1):
        sketch = outline(decision, ctx, fixes)
        head = _head(pen, decision, sketch)
        steps = _steps(pen, sketch.steps)
        tail = _tail(pen, sketch, _MOST_NOTES if fixes == MOST_FIXES else 1)
        room = SCREEN - len(head) - len(tail) - len(steps) - 1
        if ctx.verbose or room >= _heard(sketch.rows):
            break
    rows = _rows(pen, sketch.rows, room)
    record = _record(pen, decision) if ctx.verbose else []
    body = [*rows, *tail]
    lines = [*head, *([""] if body else []), *body, *record, *steps]
    return disarm("\n".join(line.rstrip() for line in lines)) + "\n"


@dataclass(frozen=True)
class _Pen:
    """Cleans, measures and colours what is put on the page."""

    ctx: ReportContext

    @property
    def columns(self) -> int:
        return max(self.ctx.columns, 60)

    @property
    def dot(self) -> str:
        return " · " if self.ctx.unicode else " - "

    def say(self, text: str, limit: int = 500) -> str:
        return clean(text, limit, ascii_only=not self.ctx.unicode)

    def paint(self, text: str, color: str) -> str:
        return f"\x1b[{color}m{text}\x1b[0m" if self.ctx.color and text and color else text

    def mark(self, kind: str) -> str:
        mark = (_MARKS if self.ctx.unicode else _MARKS_ASCII)[kind]
        return self.paint(mark, _COLORS.get(kind, ""))

    def wrap(self, text: str, cells: int, most: int, first: int | None = None) -> list[str]:
        return wrap(text, cells, 40 if self.ctx.verbose else most, self.say("…"), first)

    def cut(self, text: str, cells: int) -> str:
        return cut(text, cells, self.say("…"))


def _head(pen: _Pen, decision: Decision, sketch: Outline) -> list[str]:
    verdict = decision.verdict.upper()
    indent = " " * (len(verdict) + 2)
    name = f"{pen.say(decision.model, 60)} {sketch.version}"
    alias = pen.say(decision.alias, 40)
    asked = f"{name} {pen.say('→')} @{alias}" if decision.question == "promote" else f"{name} (@{alias})"
    room = pen.columns - len(indent)
    asked, named = pen.cut(asked, room), f"decision {short(decision_id(decision))}"
    setting = [pen.cut(pen.say(words), room) for words in sketch.setting]
    coverage = flow([asked, *sketch.coverage, named], room, pen.dot)
    if len(coverage) > 1:
        coverage, setting = flow([asked, *sketch.coverage], room, pen.dot), [*setting, named]
    why = pen.wrap(pen.say(sketch.why), room, 2) if sketch.why else []
    return [
        f"{pen.paint(verdict, f'{_BOLD};{_VERDICTS[decision.verdict]}')}  {pen.paint(coverage[0], _BOLD)}",
        *(indent + line for line in coverage[1:]),
        *(indent + pen.paint(line, _DIM) for line in flow(setting, room, pen.dot)),
        *(indent + line for line in why),
    ]


def _rows(pen: _Pen, rows: Sequence[Row], room: int) -> list[str]:
    """Lay out the findings: in full where they fit, else the last ones shorter, else as many as do."""
    cells = min(max((width(pen.say(row.policy, 200)) for row in rows), default=0), _ID_CELLS)
    full, middling, short = ([_row(pen, row, cells, *most) for row in rows] for most in _SIZES)
    if pen.ctx.verbose:
        return [line for laid in full for line in laid]
    for longer, shorter in ((full, middling), (middling, short)):
        for kept in range(len(rows), -1, -1) if len(rows) <= room else ():
            lines = [line for laid in (*longer[:kept], *shorter[kept:]) for line in laid]
            if len(lines) <= room:
                return lines
    chosen = _chosen(rows, short, room - 1)
    hidden = [row for index, row in enumerate(rows) if index not in chosen]
    counted = ", ".join(
        f"{number} {status}" for status in STATUSES if (number := sum(row.status == status for row in hidden))
    )
    more = f"  {pen.say('…')} {len(hidden)} more: {counted} (all of them with --verbose)"
    return [*(line for index in sorted(chosen) for line in short[index]), *([more] if hidden else [])]


def _chosen(rows: Sequence[Row], laid: Sequence[Sequence[str]], room: int) -> set[int]:
    """Choose the findings that fit into so many lines, every policy's first one before the second of any.

    `_LEAST_ROWS` are chosen in any case.
    """
    chosen: set[int] = set()
    for index in sorted(range(len(rows)), key=lambda i: (rows[i].nth, i)):
        room -= len(laid[index])
        if room < 0 and len(chosen) >= _LEAST_ROWS:
            break
        chosen.add(index)
    return chosen


def _row(pen: _Pen, row: Row, cells: int, most: int, most_below: int) -> list[str]:
    """Lay out one finding: on one line, or in so many, with the limit's origin and the owner below it."""
    policy = pad(pen.say(row.policy, 200 if pen.ctx.verbose else _ID_MOST), cells)
    begin = f"  {pen.mark(row.status)} {row.status:<7}  {pen.paint(policy, _BOLD)}  "
    indent = " " * _INDENT
    room = pen.columns - _INDENT
    first = room - width(policy) - 2
    said, origin = pen.say(row.said, 2000), pen.say(row.origin, 1000)
    owner = pen.say(f"owner {row.owner}", 120) if row.owner else ""
    below = pen.dot.join(part for part in (origin, owner) if part)
    if width(said) + len(pen.dot) + width(below) <= first:
        return [begin + said + (pen.paint(pen.dot + below, _DIM) if below else "")]
    lines = pen.wrap(said, room, most, first)
    under = pen.wrap(below, room, most_below) if most_below else []
    return [
        begin + lines[0],
        *(indent + line for line in lines[1:]),
        *(indent + pen.paint(line, _DIM) for line in under),
    ]


def _heard(rows: Sequence[Row]) -> int:
    """Return the lines it takes to hear every policy once: what is wrong comes before what to do."""
    policies = len({row.policy for row in rows})
    return policies + (1 if len(rows) > policies else 0)


def _tail(pen: _Pen, sketch: Outline, notes: int) -> list[str]:
    """Lay out what did not fail: folded into a line each, or in full where all is asked for."""
    folded = (("pass", sketch.passes), ("skip", sketch.skips))
    if pen.ctx.verbose:
        lines = _listed(pen, [(kind, kind, id, words) for kind, listed in folded for id, words in listed])
    else:
        lines = [
            line
            for kind, listed in folded
            if listed
            for line in _folded(pen, kind, f"{len(listed)} {kind}", _names(pen, [id for id, _ in listed]), 1)
        ]
    most = len(sketch.notes) if pen.ctx.verbose else notes
    for note in sketch.notes[:most]:
        lines += _folded(pen, "note", "note", note, 2)
    if (more := len(sketch.notes) - most) > 0:
        lines += _folded(pen, "note", "note", f"{more} more with --verbose", 1)
    return lines


def _names(pen: _Pen, ids: list[str]) -> str:
    """Return policies by name, or by theme and number where the names do not fit a line."""
    names = ", ".join(ids)
    if width(pen.say(names, 1000)) <= pen.columns - _INDENT:
        return names
    themes = [id.partition(".")[0] for id in ids]
    return ", ".join(f"{theme} ({themes.count(theme)})" for theme in dict.fromkeys(themes))


def _folded(pen: _Pen, kind: str, word: str, words: str, most: int) -> list[str]:
    """Lay out a mark, a word or a count, and what there is to say, in at most so many lines."""
    column = max(_INDENT, 4 + len(word) + 2)
    said = pen.wrap(pen.say(words, 2000), pen.columns - column, most)
    begin = f"  {pen.mark(kind)} {word:<7}  "
    return [begin + said[0], *(" " * column + line for line in said[1:])]


def _listed(pen: _Pen, entries: Sequence[tuple[str, str, str, str]]) -> list[str]:
    """Lay out entries of mark, word, name and text in columns, each as long as it is."""
    names = [pen.say(name, 200) for _, _, name, _ in entries]
    cells = min(max(map(width, names), default=0), _ID_CELLS)
    lines: list[str] = []
    for (kind, word, _, words), name in zip(entries, names, strict=True):
        column = _INDENT + max(width(name), cells) + 2
        said = pen.wrap(pen.say(words, 2000), max(pen.columns - column, 30), 2)
        lines.append(f"  {pen.mark(kind)} {word:<7}  {pad(name, cells)}  {said[0]}")
        lines += [" " * column + line for line in said[1:]]
    return lines


def _steps(pen: _Pen, steps: Sequence[Step]) -> list[str]:
    if not steps:
        return []
    lines = ["", pen.paint("What to do next", _BOLD)]
    for number, step in enumerate(steps, 1):
        indent = " " * 5
        words = pen.wrap(pen.say(step.words, 1000), pen.columns - len(indent), 2)
        command = pen.say(step.command, 4000)
        # A command is never cut or broken: it is there to be copied.
        if command and words and width(words[-1]) + 2 + width(command) <= pen.columns - len(indent):
            words[-1] += "  " + pen.paint(command, _BOLD)
        elif command:
            words.append("  " + pen.paint(command, _BOLD))
        words += [f"  {line}" for line in clean_lines("\n".join(step.block), ascii_only=not pen.ctx.unicode)]
        lines += [f"{number:>3}  {words[0]}", *(indent + line for line in words[1:])]
    return lines


def _record(pen: _Pen, decision: Decision) -> list[str]:
    """Lay out what the decision rests on, for the reader who asked for everything."""
    lines = ["", pen.paint("Evidence", _BOLD)]
    entries: list[tuple[str, str, str, str]] = []
    for source in decision.evidence:
        kind = "pass" if source.status == "ok" else "unknown"
        why = f": {source.reason}" if source.reason else ""
        entries.append((kind, source.status, source.name, f"{source.shown}{why}"))
    lines += _listed(pen, entries)
    made = decision.versions
    lines += ["", pen.paint("Record", _BOLD)]
    for name, value in (
        ("decision", decision_id(decision)),
        ("snapshot", decision.snapshot_digest),
        ("manifest", decision.manifest_digest),
        ("policies", decision.policies_digest),
        ("previous", decision.previous or "none"),
        ("apart", decision.isolation),
        ("made by", f"aigate {made.aigate}, Python {made.python}, pydantic {made.pydantic}"),
        ("asked by", " ".join(part for part in (decision.actor.name, decision.actor.run) if part)),
        ("at", show_instant(decision.now)),
    ):
        lines.append(f"  {name:<9}  {pen.say(value)}")
    return lines
