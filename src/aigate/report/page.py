"""What the accounts of a model's history share on a terminal: cleaned text in columns, with marks."""

from dataclasses import dataclass
from datetime import timedelta

from aigate.digest import canonical
from aigate.report.clean import clean, disarm
from aigate.report.context import ReportContext
from aigate.report.json import harmless
from aigate.report.layout import pad, width, wrap
from aigate.values import Model, show_duration

RED, GREEN, YELLOW, DIM, BOLD = "31", "32", "33", "2", "1"

_MARKS = {"ok": "✓", "bad": "✗", "unknown": "?", "warn": "!", "note": "·", "": " "}
_ASCII = _MARKS | {"ok": "+", "bad": "x", "note": "."}
_COLORS = {"ok": GREEN, "bad": RED, "unknown": YELLOW, "warn": YELLOW}


@dataclass(frozen=True)
class Page:
    """Cleans, measures and colours what is put on a page."""

    ctx: ReportContext

    @property
    def columns(self) -> int:
        """Width of the page in terminal cells."""
        return max(self.ctx.columns, 60)

    def say(self, text: str, limit: int = 1000) -> str:
        """Return text from anywhere as one harmless line."""
        return clean(text, limit, ascii_only=not self.ctx.unicode)

    def paint(self, text: str, color: str) -> str:
        """Colour a text, where the reader wants that."""
        return f"\x1b[{color}m{text}\x1b[0m" if self.ctx.color and text and color else text

    def row(self, mark: str, name: str, words: str, *, cells: int = 10, most: int = 3) -> list[str]:
        """Lay out a mark, a name and what there is to say, in at most `most` lines; all of it where asked for."""
        sign = self.paint((_MARKS if self.ctx.unicode else _ASCII)[mark], _COLORS.get(mark, ""))
        named = pad(self.say(name, 60), cells)
        column = 4 + max(width(named), cells) + 2
        said = wrap(
            self.say(words, 4000),
            max(self.columns - column, 30),
            40 if self.ctx.verbose else most,
            self.say("…"),
        )
        begin = f"  {sign} {self.paint(named, BOLD if mark in _COLORS else '')}  "
        return [begin + said[0], *(" " * column + line for line in said[1:])]

    def order(self, command: str, *, cells: int = 10) -> list[str]:
        """Lay out a command under a row. It is never cut or broken: it is there to be copied."""
        return [" " * (4 + cells + 2) + self.paint(self.say(command, 4000), BOLD)] if command else []

    def join(self, lines: list[str]) -> str:
        """Return the finished page, with nothing in it that a runner obeys."""
        return disarm("\n".join(line.rstrip() for line in lines)) + "\n"


def age(value: timedelta, after: str = "") -> str:
    """Write how long something has been; a beginning in the future is said, and never a negative age."""
    if value < timedelta(0):
        return "in the future by this machine's clock"
    return f"{show_duration(value)}{after}"


def program(model: Model, ctx: ReportContext) -> str:
    """Return an account for a program: canonical JSON with every field, and a newline."""
    return harmless(canonical(model).decode(), ascii_only=not ctx.unicode) + "\n"
