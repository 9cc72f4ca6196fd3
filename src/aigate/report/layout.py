"""Measuring and breaking lines by terminal cells: what a name in another script takes up."""


def width(text: str) -> int:
    """Return how many terminal cells a text takes; wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def pad(text: str, cells: int) -> str:
    """Fill a text up with spaces to a number of cells; a longer one is left as it is."""
    return text + " " * (cells - width(text))


def cut(text: str, cells: int, ellipsis: str = "…") -> str:
    """Return a text that fits into a number of cells, with an ellipsis where it was cut."""
    if width(text) <= cells:
        return text
    return text[: _reach(text, cells - width(ellipsis))].rstrip() + ellipsis


def wrap(text: str, cells: int, most: int, ellipsis: str = "…", first: int | None = None) -> list[str]:
    """Break a text at spaces into at most `most` lines of `cells`; what is left over is cut.

    `first` is the room on the first line, where that is another. A word longer
    than a line is broken where the line ends.
    """
    lines: list[str] = []
    rest, room = text, max(cells if first is None else first, 1)
    while rest and len(lines) < most - 1 and width(rest) > room:
        head = _fitting(rest, room)
        lines.append(head)
        rest, room = rest[len(head) :].lstrip(" "), cells
    if rest or not lines:
        lines.append(cut(rest, room, ellipsis))
    return lines


def flow(pieces: list[str], cells: int, separator: str) -> list[str]:
    """Join pieces with a separator, beginning a new line where the next one does not fit; each is kept whole."""
    lines: list[str] = []
    for piece in pieces:
        if lines and width(lines[-1]) + width(separator) + width(piece) <= cells:
            lines[-1] += separator + piece
        else:
            lines.append(piece)
    return lines


def _fitting(text: str, cells: int) -> str:
    """Return the longest beginning that fits, up to a space where there is one; at least one character."""
    end = _reach(text, cells)
    if end < len(text) and text[end] != " " and (space := text.rfind(" ", 0, end)) > 0:
        end = space
    return text[: max(end, 1)].rstrip(" ") or text[:1]


def _reach(text: str, cells: int) -> int:
    """Return how many characters from the beginning fit into a number of cells."""
    used = 0
    for index, sign in enumerate(text):
        used += width(sign)
        if used > cells:
            return index
    return len(text)
