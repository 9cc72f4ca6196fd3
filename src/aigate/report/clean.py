"""The one choke point for text from outside: names, tags, metrics, messages, reasons.

MLflow takes model names with newlines, escape sequences and bidirectional
controls, and a runner executes `::set-output ...` where a log line begins with
it. Whatever a report, an error message or a log line repeats passes `clean`
first; what becomes Markdown passes `markdown_text` or `markdown_code` after it;
a finished report passes `disarm` last.
"""

import re

LIMIT = 500
"""Characters that one piece of foreign text may have, unless the caller says otherwise."""

_LONGEST = 20_000
"""Characters that are looked at, at all."""

MARK = "�"
"""Stands where something invisible was, so that the reader sees that there was something."""

_HIDDEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that count as printable and show nothing: fillers, joiners, variation selectors."""

_COMMAND = re.compile(r"##(?=\w*\[)")
"""GitHub's runner obeys `##[name]` anywhere in a line, Azure's `##vso[name]`, TeamCity's `##teamcity[name]`."""

_LINE_COMMAND = re.compile(r"^((?:\s|\x1b\[[0-9;]*m)*)::", re.MULTILINE)
"""GitHub's runner obeys `::name::` where a line begins with it, after white space."""

_ASCII = str.maketrans(
    {
        "→": "->",
        "←": "<-",
        "…": "...",
        "·": "-",
        "−": "-",
        "–": "-",
        "—": "-",
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "×": "x",
        "≥": ">=",
        "≤": "<=",
        "≠": "!=",
        "±": "+-",
        "✓": "+",
        "✗": "x",
        MARK: "?",
    }
)


def clean(text: str, limit: int = LIMIT, *, ascii_only: bool = False) -> str:
    """Return text as one harmless line of at most `limit` characters.

    White space of any kind becomes one space. Runs of what does not print
    (controls, escape sequences, bidirectional and zero-width characters, lone
    surrogates, unassigned and private ones) become one visible mark. Workflow
    commands are broken up, in a way that leaves them readable. With
    `ascii_only`, what ASCII lacks is transliterated or written as an escape.
    Cleaning twice changes nothing.
    """
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    if not (text.isascii() and text.isprintable()):
        text = to_ascii(_printable(text)) if ascii_only else _printable(text)
    return _cut(disarm(" ".join(text.split())), limit, "..." if ascii_only else "…")


def clean_lines(
    text: str, limit: int = LIMIT, *, most: int = 12, ascii_only: bool = False
) -> tuple[str, ...]:
    """Return text that may have lines of its own, such as the lines to add to a file, each cleaned.

    Indentation by spaces is kept. Lines past the first `most` are left out,
    and an ellipsis says so.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        body = clean(line, limit, ascii_only=ascii_only)
        if body:
            lines.append(" " * min(len(line) - len(line.lstrip(" ")), 40) + body)
    more = ("..." if ascii_only else "…",) if len(lines) > most else ()
    return (*lines[:most], *more)


def disarm(report: str) -> str:
    """Break up every workflow command in a text of one or many lines; the line structure stays."""
    report = _COMMAND.sub("# #", report) if "##" in report else report
    return _LINE_COMMAND.sub(r"\1: :", report) if "::" in report else report


def to_ascii(text: str) -> str:
    """Return text in ASCII: typographic marks by their plain likeness, the rest as escapes."""
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def _printable(text: str) -> str:
    """Replace white space by spaces, and each run of what cannot be seen by one mark."""
    shown = "".join(
        character if character.isprintable() else " " if character.isspace() else MARK for character in text
    )
    return re.sub(f"{MARK}+", MARK, _HIDDEN.sub(MARK, shown))


def _cut(text: str, limit: int, ellipsis: str) -> str:
    return text if len(text) <= limit else text[: max(limit - len(ellipsis), 0)].rstrip() + ellipsis


_TOKEN = re.compile(r"""(?P<before>[('"\[]*)(?P<core>.*?)(?P<after>[)'"\],.;:!?]*)""", re.DOTALL)
_QUOTED = re.compile(r"""`(?P<core>[^`]+)`(?P<after>[)'"\],.;:!?]*)""")
_LIVE = re.compile(r"@|://|www\.|#\d|GH-\d", re.IGNORECASE)
"""What GitHub makes links and notifications of, even where Markdown is escaped."""

_LITERAL = re.compile(r"[^`|<>&\\\s](?:[^`|<>&\\\n]*[^`|<>&\\\s])?")
"""What can stand in a code span, in a table too, with nothing to escape."""

_ENTITIES = {ord(sign): f"&#{ord(sign)};" for sign in "\\`*[]|~$"} | {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord('"'): "&quot;",
}
_EDGE_SCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BLOCK = re.compile(r"(?P<digits>\d{1,9}(?=[.)])|(?=[-+#=]))(?P<sign>.)(?=[-+#=]*(?:\s|$))")
"""What begins a heading, a list or an underline where a line begins with it."""
_BREAK = "&#8203;"
"""A zero-width space, written as an entity: the way dependency bots keep `@name` from notifying anybody."""


def markdown_text(text: str) -> str:
    """Return cleaned text as Markdown that shows just that text: in a paragraph, a list, a table, in HTML.

    Signs with a meaning become entities, which no parser takes for markup.
    Words that GitHub itself would turn into links or notifications (addresses,
    `@name`, `#12`) become code, or are broken up where they cannot be. A word
    in backticks stays code.
    """
    shown = " ".join(_word(word) for word in text.split(" "))
    if begins := _BLOCK.match(shown):
        shown = f"{begins['digits']}&#{ord(begins['sign'])};{shown[begins.end() :]}"
    # A heading would lose the hashes at its end.
    return f"{shown[:-1]}&#35;" if shown.endswith("#") else shown


def markdown_code(text: str) -> str:
    """Return cleaned text as a code span, or as escaped text where a code span could be broken out of."""
    return f"`{text}`" if _LITERAL.fullmatch(text) else markdown_text(text)


def _word(word: str) -> str:
    if (quoted := _QUOTED.fullmatch(word)) and _LITERAL.fullmatch(quoted["core"]):
        return f"`{quoted['core']}`{_escape(quoted['after'])}"
    if _LIVE.search(word):
        parts = _TOKEN.fullmatch(word)
        if parts and _LITERAL.fullmatch(parts["core"]):
            return f"{_escape(parts['before'])}`{parts['core']}`{_escape(parts['after'])}"
    return _escape(word)


def _escape(text: str) -> str:
    text = _EDGE_SCORE.sub("&#95;", text.translate(_ENTITIES))
    text = text.replace("@", f"@{_BREAK}").replace("://", f":{_BREAK}//")
    text = re.sub(r"(?<!&)#(?=\d)", f"#{_BREAK}", text)
    return re.sub(r"(www|GH)(?=[.-])", rf"\1{_BREAK}", text, flags=re.IGNORECASE)
