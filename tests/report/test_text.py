"""The text report: one screen, nothing hidden, nothing that commands a terminal or a runner."""

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.decision import Finding
from aigate.report.context import COLUMNS, SCREEN, ReportContext
from aigate.report.layout import cut, flow, pad, width, wrap
from aigate.report.text import render
from report.cases import CASES, SET_BY, decision, judgement
from report.hostile import HOSTILE, commands, everywhere, unseen

_CTX = ReportContext()


def _finding(**fields: str) -> Finding:
    return Finding(**{"message": "accuracy is low", **fields})


@pytest.mark.parametrize("case", CASES)
def test_a_report_fits_a_screen(case: str) -> None:
    lines = render(CASES[case].decision, CASES[case].context()).splitlines()
    assert len(lines) <= SCREEN
    assert "\n\n\n" not in "\n".join(lines)
    assert max(map(width, lines)) <= COLUMNS


@pytest.mark.parametrize(
    ("case", "begins"),
    [
        ("allow", "ALLOW  churn v2 → @champion · none failed · 10/10 assessed · decision "),
        ("deny", "DENY  churn v2 → @champion · 3 of 10 failed · 10/10 assessed · decision "),
        (
            "hold",
            "HOLD  churn v2 → @champion · none failed · 8/10 assessed · 1 unknown · 1 error\n      production · ",
        ),
        ("no-version", "HOLD  churn (version unknown) → @champion · none failed · 0/0 assessed · "),
        ("keep", "KEEP  churn v2 (@champion) · none failed · 10/10 assessed · decision "),
        ("rollback", "ROLLBACK  churn v2 (@champion) · 1 of 10 failed · 10/10 assessed · decision "),
        ("halt", "HALT  churn v2 (@champion) · 3 of 10 failed · 10/10 assessed · decision "),
        ("hold-champion", "HOLD  churn v2 (@champion) · 1 of 10 failed · 9/10 assessed · 1 unknown · "),
    ],
)
def test_the_verdict_comes_first_with_its_coverage(case: str, begins: str) -> None:
    assert render(CASES[case].decision, _CTX).startswith(begins)


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        pytest.param(_finding(), "accuracy is low", id="message alone"),
        pytest.param(_finding(key="auc"), "auc: accuracy is low", id="key not in the message"),
        pytest.param(_finding(key="accuracy"), "accuracy is low", id="key in the message"),
        pytest.param(_finding(key="low/accuracy"), "accuracy is low", id="key in the message, in parts"),
        pytest.param(
            _finding(value="0.71", limit="0.92"), "accuracy is low (0.71, limit 0.92)", id="reading and limit"
        ),
        pytest.param(_finding(value="0.71"), "accuracy is low (0.71)", id="reading"),
        pytest.param(_finding(limit="0.92"), "accuracy is low (limit 0.92)", id="limit"),
        pytest.param(
            _finding(message="0.71 is below 0.92", value="0.71", limit="0.92"),
            "0.71 is below 0.92",
            id="both are named",
        ),
        pytest.param(
            _finding(message="v1 has 10.71", value="0.71"), "v1 has 10.71 (0.71)", id="named only in part"
        ),
        pytest.param(
            _finding(message="it fell by −0.2", value="-0.2"), "it fell by −0.2", id="typographic minus"
        ),
        pytest.param(_finding(message="at 0.7.", value="0.7"), "at 0.7.", id="end of a sentence"),
    ],
)
def test_a_finding_says_reading_and_limit_once(finding: Finding, said: str) -> None:
    text = render(decision(judgement("a.b", "fail", finding)), _CTX)
    assert f"  ✗ fail     a.b  {said}\n" in text


def test_a_short_finding_is_one_line_with_origin_and_owner() -> None:
    text = render(decision(judgement("a.b", "fail", _finding(origin="the manifest", owner="ml"))), _CTX)
    assert "  ✗ fail     a.b  accuracy is low · the manifest · owner ml\n" in text


def test_short_of_room_the_last_findings_give_way_first() -> None:
    long = "accuracy of the segment was measured on data that nobody remembers having put there, twice over"
    rows = [judgement(f"a.p{n}", "fail", _finding(message=f"{n} {long}", origin=SET_BY)) for n in range(8)]
    text = render(decision(*rows, owner=None, runbooks=()), ReportContext(again=""))
    assert text.count(SET_BY) == 5
    assert text.count("twice over") == 8
    rows += [judgement(f"a.q{n}", "fail", _finding(message=f"{n} {long}", origin=SET_BY)) for n in range(6)]
    text = render(decision(*rows, owner=None, runbooks=()), ReportContext(again=""))
    assert text.count(SET_BY) == 0
    assert (text.count("twice over"), text.count("…")) == (7, 7)
    assert len(text.splitlines()) <= SCREEN


def test_however_long_the_names_the_verdict_fits_the_page() -> None:
    text = render(everywhere("wide " * 40), ReportContext(columns=80))
    assert max(map(width, text.splitlines()[:8])) <= 80


def test_short_of_room_every_policy_is_heard_and_the_rest_counted() -> None:
    text = render(CASES["forty"].decision, _CTX)
    for policy in ("evaluation.floor", "evaluation.regression", "evaluation.slices", "freshness.stage"):
        assert f"✗ fail     {policy}" in text
    shown = text.count("✗ fail")
    assert f"… {40 - shown} more: {40 - shown} fail (all of them with --verbose)" in text


def test_what_is_hidden_is_counted_by_status() -> None:
    fails = [judgement(f"a.fail{n:02}", "fail", _finding()) for n in range(30)]
    gaps = [judgement(f"b.gap{n}", "unknown", reason="no answer") for n in range(2)]
    text = render(decision(*fails, *gaps), _CTX)
    assert re.search(r"… \d+ more: \d+ fail, 2 unknown \(all of them with --verbose\)", text)


def test_verbose_hides_nothing() -> None:
    text = render(CASES["forty"].decision, CASES["forty"].context(verbose=True))
    assert text.count("✗ fail") == 40
    assert text.count(SET_BY) == 39
    verbose = render(CASES["hold"].decision, CASES["hold"].context(verbose=True))
    assert "no metric declares slices" in verbose
    assert "? missing  freshness:embeddings   https://prom.example: timed out after 5s" in verbose
    assert verbose.count("✓ pass") == 8


def test_notes_are_shown_and_the_rest_counted() -> None:
    made = decision(*(judgement(f"a.p{n}", reason=f"open {n}") for n in range(5)))
    text = render(made, _CTX)
    assert "  · note     a.p0: open 0\n" in text
    assert "  · note     2 more with --verbose\n" in text
    assert text.count("· note ") == 4
    assert render(made, ReportContext(verbose=True)).count("· note ") == 5


def test_severity_orders_the_findings() -> None:
    text = render(
        decision(
            judgement("a.low", "fail", _finding(), severity="low"),
            judgement("b.critical", "fail", _finding(), severity="critical"),
            judgement("c.unknown", "unknown", reason="x", severity="critical"),
        ),
        _CTX,
    )
    assert text.index("b.critical") < text.index("a.low") < text.index("c.unknown")


def test_a_hold_says_why_under_the_verdict() -> None:
    lines = render(CASES["no-version"].decision, _CTX).splitlines()
    assert (
        lines[2] == "      the version in question is not known: 401 Unauthorized: set MLFLOW_TRACKING_TOKEN"
    )


def test_colour_only_where_it_is_asked_for() -> None:
    plain = render(CASES["deny"].decision, CASES["deny"].context())
    colored = render(CASES["deny"].decision, CASES["deny"].context(color=True))
    assert "\x1b" not in plain
    assert "\x1b[1;31mDENY\x1b[0m" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain


def test_without_unicode_all_is_ascii() -> None:
    for case in CASES.values():
        render(case.decision, case.context(unicode=False)).encode("ascii")


def test_a_command_is_never_cut() -> None:
    again = "aigate evaluate --manifest " + "deep/" * 60 + "aigate.yaml --version 2"
    assert f"       {again}\n" in render(CASES["deny"].decision, ReportContext(again=again))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("unicode", [True, False], ids=["unicode", "ascii"])
@pytest.mark.parametrize("verbose", [False, True], ids=["screen", "verbose"])
def test_hostile_text_commands_nothing(text: str, unicode: bool, verbose: bool) -> None:
    shown = render(everywhere(text), ReportContext(unicode=unicode, verbose=verbose, again=text, act=text))
    assert not unseen(shown)
    assert not commands(shown)
    assert shown.isascii() or unicode
    assert [line for line in shown.splitlines() if line[:1].strip()] == [
        line
        for line in shown.splitlines()
        if line.startswith(("DENY  ", "Evidence", "Record", "What to do next"))
    ]


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(0, 120))
def test_no_text_breaks_out_of_its_line(text: str, columns: int) -> None:
    found = _finding(message=text, key=text, origin=text, owner=text, fix=text.replace("\n", " "))
    harmless = _finding(message="x", key="x", origin="x", owner="x", fix="x")
    ctx = ReportContext(columns=columns, verbose=True)
    shown = render(decision(judgement("a.b", "fail", found)), ctx)
    assert not unseen(shown)
    assert not commands(shown)
    at_margin = [line.split(" ")[0] for line in shown.splitlines() if line[:1] not in ("", " ")]
    assert at_margin == ["DENY", "Evidence", "Record", "What"]
    assert shown.count("✗ fail ") >= 1
    assert render(decision(judgement("a.b", "fail", harmless)), ctx).count("\n\n") == shown.count("\n\n")


def test_the_text_report_imports_nothing_heavy() -> None:
    code = (
        "import sys, aigate.report\n"
        "print([m for m in ('rich', 'httpx', 'yaml', 'mlflow', 'jmespath') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Measuring and breaking lines.


@pytest.mark.parametrize(
    ("text", "cells"), [("", 0), ("abc", 3), ("模型", 4), ("é", 1), ("e\u0301", 1), ("✗ · …", 5)]
)
def test_width_is_in_terminal_cells(text: str, cells: int) -> None:
    assert width(text) == cells


def test_wrapping_breaks_at_spaces_and_cuts_what_is_left() -> None:
    assert wrap("aaa bbb ccc", 7, 3) == ["aaa bbb", "ccc"]
    assert wrap("aaa bbb ccc", 7, 1) == ["aaa bb…"]
    assert wrap("aaa bbb ccc", 11, 3, first=5) == ["aaa", "bbb ccc"]
    assert wrap("abcdefghij", 4, 3) == ["abcd", "efgh", "ij"]
    assert wrap("", 4, 3) == [""]


@given(st.text(st.sampled_from("ab 模é"), max_size=60), st.integers(2, 20), st.integers(1, 5))
def test_wrapped_lines_fit_and_lose_nothing_unsaid(text: str, cells: int, most: int) -> None:
    text = " ".join(text.split())
    lines = wrap(text, cells, most)
    assert 1 <= len(lines) <= most
    assert all(width(line) <= cells for line in lines)
    if not (lines and lines[-1].endswith("…")):
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_pieces_flow_whole_and_padding_reaches_its_width() -> None:
    assert flow(["aa", "bb", "cc"], 7, " · ") == ["aa · bb", "cc"]
    assert flow(["a" * 9, "b"], 5, " · ") == ["a" * 9, "b"]
    assert pad("模", 4) == "模  "
    assert pad("abc", 2) == "abc"
    assert cut("abcdef", 4) == "abc…"
    assert cut("abcd", 4) == "abcd"
