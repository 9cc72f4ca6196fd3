"""The choke point: no text from outside commands a terminal, a runner or a page."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from aigate.report.clean import (
    LIMIT,
    MARK,
    clean,
    clean_lines,
    disarm,
    markdown_code,
    markdown_text,
    to_ascii,
)
from report.hostile import HOSTILE, commands, unseen

_NASTY = st.text(
    st.one_of(
        st.characters(),  # lone surrogates too
        st.sampled_from(list(":#[]@`|<>&*_~$\\!().-+=/ \n\r\t\x1b\x85\u202e\u200b\u2028é模0aw")),
    ),
    max_size=80,
) | st.lists(
    st.sampled_from(
        ["::", "##[", "]", "##vso[", "::set-output::", "@", "a", "#1", "www.", "http://x", "GH-1", "`", "``", "<b>",
         "&#64;", "\\", "|", " ", "\n", "- ", "1. ", "# ", "![x](y)", "](z)", "*", "_", "~~", "$", "\u200b", "(", ")"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("ascii_only", [False, True], ids=["unicode", "ascii"])
def test_hostile_text_becomes_one_harmless_line(text: str, ascii_only: bool) -> None:
    shown = clean(text, ascii_only=ascii_only)
    assert not unseen(shown)
    assert "\n" not in shown
    assert not commands(shown)
    assert len(shown) <= LIMIT
    assert shown.isascii() or not ascii_only
    assert shown == shown.strip()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("accuracy 0.71 < 0.92", "accuracy 0.71 < 0.92", id="plain text stays"),
        pytest.param("Zoë, 模型, 😀 → −0.23", "Zoë, 模型, 😀 → −0.23", id="other scripts stay"),
        pytest.param("a\r\n  b\tc", "a b c", id="white space is one space"),
        pytest.param("\x1b[31mred", f"{MARK}[31mred", id="an escape is seen"),
        pytest.param("a\u202e\u200b\x00b", f"a{MARK}b", id="a run of the unseen is one mark"),
        pytest.param("a\ud800b", f"a{MARK}b", id="a lone surrogate"),
        pytest.param("::error::x", ": :error::x", id="a workflow command"),
        pytest.param("a ::error::x", "a ::error::x", id="colons within a line stay"),
        pytest.param("std::vector", "std::vector", id="a C++ name stays"),
        pytest.param("a ##[error]x", "a # #[error]x", id="an old workflow command"),
        pytest.param("##vso[x]", "# #vso[x]", id="an Azure command"),
        pytest.param("## heading [x]", "## heading [x]", id="hashes without a command stay"),
        pytest.param("a\u3164b\u2800c", f"a{MARK}b{MARK}c", id="fillers that count as letters"),
    ],
)
def test_cleaned_text_stays_readable(text: str, wanted: str) -> None:
    assert clean(text) == wanted


@pytest.mark.parametrize(
    ("text", "limit", "wanted"),
    [
        pytest.param("x" * 20, 10, "x" * 9 + "…", id="cut"),
        pytest.param("x" * 10, 10, "x" * 10, id="just fits"),
        pytest.param("aaaa bbbb cccc", 11, "aaaa bbbb…", id="no space before the ellipsis"),
        pytest.param("\n" * 30_000 + "x", 10, "…", id="what is not looked at is not hidden"),
    ],
)
def test_long_text_is_cut_and_says_so(text: str, limit: int, wanted: str) -> None:
    assert clean(text, limit) == wanted


def test_ascii_writes_marks_plainly_and_the_rest_as_escapes() -> None:
    assert clean("0.94 → 0.71 · −0.23 … é", ascii_only=True) == "0.94 -> 0.71 - -0.23 ... \\xe9"
    assert to_ascii("✗ ✓ ≥ 模") == "x + >= \\u6a21"


@given(_NASTY, st.booleans())
def test_cleaning_is_safe_and_done_once(text: str, ascii_only: bool) -> None:
    shown = clean(text, 60, ascii_only=ascii_only)
    assert not unseen(shown)
    assert not commands(shown)
    assert len(shown) <= 60
    assert clean(shown, 60, ascii_only=ascii_only) == shown
    shown.encode()


@given(_NASTY)
def test_disarming_leaves_no_command_and_every_line(text: str) -> None:
    safe = disarm(text)
    assert not commands(safe)
    assert safe.count("\n") == text.count("\n")
    assert disarm(safe) == safe


def test_a_command_behind_a_colour_is_disarmed_too() -> None:
    assert disarm("\x1b[2m::error::x") == "\x1b[2m: :error::x"


def test_lines_keep_their_indentation_and_say_where_they_end() -> None:
    assert clean_lines("owner:\n  team: x\n\n\x1b[0m\n::error::") == (
        "owner:",
        "  team: x",
        f"{MARK}[0m",
        ": :error::",
    )
    assert clean_lines("a\x0bb\x85c\u2028d\re") == ("a b c d e",)
    assert clean_lines("a\nb\nc", most=2) == ("a", "b", "…")
    assert clean_lines("a\nb\nc", most=2, ascii_only=True) == ("a", "b", "...")


# Markdown, read by a CommonMark parser with GitHub's tables and strikethrough.

_PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_LINKED = re.compile(r"@[\w-]|://|www\.|#\d|GH-\d", re.IGNORECASE)
"""What GitHub turns into a link or a notification after Markdown is done, outside of code."""


def _flat(tokens: list[Token]) -> list[Token]:
    return [each for token in tokens for each in (token, *_flat(token.children or []))]


def _seen(tokens: list[Token]) -> str:
    """The text a reader sees."""
    return "".join(token.content for token in tokens if token.type in ("text", "code_inline", "text_special"))


_PLACES = {
    "paragraph": "{}\n",
    "list": "1. {}\n2. next\n",
    "heading": "## {}\n",
    "table": "| a | b |\n|---|---|\n| {} | own |\n",
}


def _check_markdown(shown: str, text: str, place: str) -> None:
    tokens = _flat(_PARSER.parse(_PLACES[place].format(shown)))
    kinds = {token.type for token in tokens}
    structure = {
        "paragraph": {"paragraph_open", "paragraph_close"},
        "list": {"ordered_list_open", "ordered_list_close", "list_item_open", "list_item_close", "paragraph_open", "paragraph_close"},
        "heading": {"heading_open", "heading_close"},
        "table": {f"{tag}_{end}" for tag in ("table", "thead", "tbody", "tr", "th", "td") for end in ("open", "close")},
    }[place]  # fmt: skip
    assert kinds <= structure | {"inline", "text", "text_special", "code_inline"}
    if place == "table":
        assert [token.type for token in tokens].count("td_open") == 2
    for token in tokens:
        if token.type in ("text", "text_special"):
            assert not _LINKED.search(token.content)
    read = _seen([token for token in tokens if token.type != "inline"]).replace("\u200b", "")
    own = {"table": "abown", "list": "next"}.get(place, "")
    seen, wanted = (re.sub("[ `]", "", words) for words in (read, text + own))
    assert sorted(seen) == sorted(wanted)


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("write", [markdown_text, markdown_code], ids=["text", "code"])
def test_hostile_text_is_only_text_in_markdown(text: str, place: str, write: Callable[[str], str]) -> None:
    plain = clean(text)
    _check_markdown(write(plain), plain, place)


@given(_NASTY, st.sampled_from(sorted(_PLACES)), st.sampled_from([markdown_text, markdown_code]))
def test_no_text_is_markup_in_markdown(text: str, place: str, write: Callable[[str], str]) -> None:
    plain = clean(text)
    _check_markdown(write(plain), plain, place)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("accuracy 0.71 < 0.92", "accuracy 0.71 &lt; 0.92"),
        ("snake_case _x_", "snake_case &#95;x&#95;"),
        ("ask (https://a.example/b), now", "ask (`https://a.example/b`), now"),
        ("@octocat", "`@octocat`"),
        ("declare `confidence`, please", "declare `confidence`, please"),
        ("a `b c`", "a &#96;b c&#96;"),
        ("`<b>`", "&#96;&lt;b&gt;&#96;"),
        ("@a|b", "@&#8203;a&#124;b"),
        ("-0.23 is not a list", "-0.23 is not a list"),
        ("- a list", "&#45; a list"),
        ("1. a list", "1&#46; a list"),
        ("#churn-oncall", "#churn-oncall"),
        ("fixes #12", "fixes `#12`"),
        ("C #", "C &#35;"),
        ("|@a", "&#124;@&#8203;a"),
        ("www.a.example|", "www&#8203;.a.example&#124;"),
    ],
)
def test_escaped_markdown_stays_readable(text: str, wanted: str) -> None:
    assert markdown_text(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("aigate evaluate --version 2", "`aigate evaluate --version 2`"),
        ("x", "`x`"),
        ("a`b", "a&#96;b"),
        ("a|b", "a&#124;b"),
        ("|a", "&#124;a"),
        ("a|", "a&#124;"),
        ("<b>", "&lt;b&gt;"),
    ],
)
def test_code_is_a_code_span_where_it_can_be(text: str, wanted: str) -> None:
    assert markdown_code(text) == wanted
