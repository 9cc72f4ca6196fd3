"""The Markdown report: only our own structure, whatever the world wrote; never larger than its cap."""

import html
import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from aigate.decision import Decision, Finding
from aigate.report.context import ReportContext
from aigate.report.markdown import LEAST_SIZE, render
from report.cases import CASES, decision, judgement, source
from report.hostile import HOSTILE, commands, everywhere, unseen

_PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_OURS = {"<details>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>"}
_BLOCKS = {
    "heading",
    "paragraph",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "ordered_list",
    "list_item",
    "strong",
}
_LEAVES = {"inline", "text", "text_special", "code_inline", "html_block", "html_inline", "fence", "softbreak"}


def _flat(tokens: list[Token]) -> list[Token]:
    return [each for token in tokens for each in (token, *_flat(token.children or []))]


def _check(shown: str, headings: int) -> None:
    tokens = _flat(_PARSER.parse(shown))
    assert {token.type for token in tokens} <= _LEAVES | {
        f"{tag}_{end}" for tag in _BLOCKS for end in ("open", "close")
    }
    assert sum(token.type == "heading_open" for token in tokens) == headings
    for token in tokens:
        if token.type in ("html_block", "html_inline"):
            assert set(re.findall(r"<[^>]*>?", token.content)) <= _OURS
        if token.type in ("text", "text_special"):
            assert not re.search(r"@[\w-]|://|www\.|#\d|GH-\d", token.content)
    folds = "".join(token.content for token in tokens if token.type == "html_block")
    assert folds.count("<details>") == folds.count("</details>")
    assert not unseen(shown) - {"\ufe0f"}
    assert not commands(shown)


@pytest.mark.parametrize("case", CASES)
def test_every_case_is_well_formed(case: str) -> None:
    shown = render(CASES[case].decision, CASES[case].context())
    _check(shown, headings=2 if "What to do next" in shown else 1)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_only_text(text: str) -> None:
    _check(render(everywhere(text), ReportContext(again=text, act=text)), headings=2)


_SIGNS = "` ``` | \\n <b> </details> @a #1 [x](y) :: ##[ a \\ * _ &#64; - 1. ~~~ www. http://x".replace(
    "\\n", "\n"
)
_MARKUP = st.lists(st.sampled_from([*_SIGNS.split(" "), " "]), max_size=12).map("".join)


@settings(deadline=None)
@given(_MARKUP | st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_no_text_is_markup(text: str) -> None:
    _check(render(everywhere(text), ReportContext()), headings=2)


def test_every_finding_is_a_row_and_every_pass_is_folded_away() -> None:
    shown = render(CASES["deny"].decision, ReportContext())
    assert shown.startswith("## ⛔ DENY: churn v2 → `@champion`\n")
    assert shown.count("| ❌ fail |") == 3
    assert shown.count("| ✅ pass |") == 7
    assert "<summary>7 passed, 1 skipped, notes: 1</summary>" in shown
    assert "<summary>Evidence: 4</summary>" in shown
    before_folds = shown[: shown.index("<details>")]
    assert "### What to do next" in before_folds


@pytest.mark.parametrize("case", CASES)
def test_the_findings_come_before_the_steps(case: str) -> None:
    shown = render(CASES[case].decision, CASES[case].context())
    if "| Policy | Finding |" in shown and "What to do next" in shown:
        assert shown.index("| Policy | Finding |") < shown.index("What to do next") < shown.index("<details>")


def test_without_unicode_the_report_is_ascii_and_says_the_same() -> None:
    plain = render(CASES["deny"].decision, ReportContext(unicode=False))
    assert plain.isascii()
    assert html.unescape(plain) == html.unescape(render(CASES["deny"].decision, ReportContext()))


def test_lines_to_add_are_a_block_that_cannot_be_broken_out_of() -> None:
    fix = "add:\nowner:\n  team: x\n````\n# ALLOW"
    shown = render(decision(judgement("a.b", "fail", Finding(message="x", fix=fix))), ReportContext())
    assert "1. add:\n   `````\n   owner:\n     team: x\n   ````\n   # ALLOW\n   `````\n2. " in shown
    _check(shown, headings=2)


@cache
def _huge(findings: int, text: str) -> Decision:
    found = tuple(Finding(message=f"{n} {text}", origin=text, owner=text, fix=text) for n in range(findings))
    sources = tuple(source(f"source {n}", text, text or "no reason") for n in range(findings))
    return decision(
        judgement("a.b", "fail", *found),
        *(judgement(f"p.{n}", title=text) for n in range(findings)),
        evidence=sources,
    )


@pytest.mark.parametrize("size", [0, LEAST_SIZE, 20_000, 60_000])
@pytest.mark.parametrize(
    "text", ["plain", "<" * 600, "模" * 600, "a|b " * 100], ids=["plain", "tags", "wide", "pipes"]
)
def test_the_size_has_a_cap_and_what_is_left_out_is_counted(size: int, text: str) -> None:
    shown = render(_huge(150, text), ReportContext(size=size, again="x" * 900))
    assert len(shown) <= max(size, LEAST_SIZE)
    kept = shown.count("| ❌ fail |")
    left_out = f"{150 - kept} of 150 findings left out for length: see the JSON record."
    assert (left_out in shown) is (kept < 150)
    assert "### What to do next" in shown
    _check(shown, headings=2)


def test_under_the_cap_nothing_is_left_out() -> None:
    shown = render(_huge(40, "plain"), ReportContext())
    assert shown.count("| ❌ fail |") == 40
    assert "left out" not in shown


@settings(deadline=None, max_examples=25)
@given(st.integers(LEAST_SIZE, 40_000), st.integers(1, 60), st.sampled_from(["x", "<" * 200, "word " * 100]))
def test_no_decision_is_larger_than_its_cap(size: int, findings: int, text: str) -> None:
    assert len(render(_huge(findings, text), ReportContext(size=size))) <= size
