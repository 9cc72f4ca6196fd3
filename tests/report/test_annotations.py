"""Workflow commands: each line is exactly one of ours, and there are never more than the runner takes."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.decision import Decision, Finding
from aigate.report.annotations import render
from aigate.report.clean import clean
from aigate.report.context import ReportContext
from aigate.report.problems import problems
from report.cases import CASES, decision, judgement, places
from report.hostile import HOSTILE, commands, everywhere, unseen
from report.readers import Command, obeyed

_CTX = ReportContext(places=places)
_MOST = 9
"""Of a kind: ten are taken from a step, and the runner adds an error of its own to one that fails."""


def _check(text: str) -> list[Command]:
    """Read the text as the runner does; every line must be one command, and carry none within."""
    lines = re.split(r"\r\n|\r|\n|\x85|\u2028|\u2029", text.removesuffix("\n"))
    found = []
    for line in lines:
        command = obeyed(line)
        assert command is not None
        assert command.name in ("error", "warning", "notice")
        assert set(command.properties) <= {"file", "line", "col", "title"}
        assert {"line", "col", "title"} <= set(command.properties)
        assert int(command.properties["line"]) >= 1
        assert int(command.properties["col"]) >= 1
        assert len(command.data) > 0
        assert len(line[line.index("::", 2) + 2 :]) <= 4_096
        assert not re.search(r"##\w*\[", line)
        for said in (command.data, *command.properties.values()):
            assert not commands(said)
            assert not unseen(said)
        found.append(command)
    counts = Counter(command.name for command in found)
    assert max(counts.values(), default=0) <= _MOST
    return found


@pytest.mark.parametrize("case", CASES)
def test_every_case_is_of_the_verdicts_colour(case: str) -> None:
    made = CASES[case].decision
    found = _check(render(made, CASES[case].context()))
    open_ = made.verdict in ("allow", "keep")
    assert any(command.name == "error" for command in found) is not open_
    assert any(command.name == "notice" for command in found) is open_
    assert {command.properties["file"] for command in found} == {"aigate.yaml"}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("unicode", [True, False], ids=["unicode", "ascii"])
def test_hostile_text_opens_no_command(text: str, unicode: bool) -> None:
    shown = render(everywhere(text), ReportContext(unicode=unicode, manifest=text, places=places))
    _check(shown)
    assert unicode or shown.isascii()


_SIGNS = st.lists(
    st.sampled_from(
        [
            "::",
            "##",
            "[",
            "]",
            "%0A",
            "%",
            "%25",
            "\n",
            "\r",
            " ",
            ":",
            ",",
            "=",
            "error ",
            "x",
            "\x1b[m",
            "\u2028",
        ]
    ),
    max_size=14,
).map("".join)


@settings(deadline=None, max_examples=150)
@given(_SIGNS | st.text(st.characters(exclude_categories=["Cs"]), max_size=40), _SIGNS)
def test_no_text_opens_a_command(text: str, manifest: str) -> None:
    _check(render(everywhere(text), ReportContext(manifest=manifest)))


@settings(deadline=None)
@given(_SIGNS)
def test_what_is_escaped_is_read_back_as_it_was(text: str) -> None:
    made = decision(judgement("a.b", "fail", Finding(message=f"x{text}x")))
    (command,) = _check(render(made, ReportContext(manifest=f"x{text}x")))
    assert command.data == problems(made, _CTX)[0].message()
    assert command.properties["file"] == clean(f"x{text}x")


def test_what_is_wrong_is_said_where_it_is() -> None:
    floor = _check(render(CASES["deny"].decision, _CTX))[0]
    assert floor.name == "error"
    assert floor.properties == {
        "file": "aigate.yaml",
        "line": "6",
        "col": "3",
        "title": "evaluation.floor (fail)",
    }
    assert floor.data.startswith("accuracy 0.71 is below its floor 0.92. The limit: set by")


def test_what_is_not_assessed_is_an_error_and_what_is_waived_a_warning() -> None:
    assert [c.properties["title"] for c in _check(render(CASES["hold"].decision, _CTX))] == [
        "freshness.end_to_end (unknown)",
        "provenance.applied (error)",
    ]
    advised = _check(render(CASES["advise"].decision, _CTX))
    assert [c.name for c in advised] == [*["warning"] * 4, "notice"]
    assert advised[-1].data.startswith("ALLOW churn v2 → @champion in production: 9 policies assessed")


def _crowd(standing: int, advice: int) -> Decision:
    return decision(
        *(judgement(f"a.n{n}", "fail", Finding(message="x"), Finding(message="y")) for n in range(standing)),
        *(judgement(f"b.n{n}", "fail", Finding(message="x"), level="advise") for n in range(advice)),
    )


@pytest.mark.parametrize(("standing", "advice"), [(4, 9), (5, 10), (40, 40), (1, 0)])
def test_past_nine_the_rest_is_counted(standing: int, advice: int) -> None:
    found = _check(render(_crowd(standing, advice), _CTX))
    for name, number, words in (
        ("error", 2 * standing, "that keep the gate shut"),
        ("warning", advice, "that do not count or are waived"),
    ):
        of_kind = [command for command in found if command.name == name]
        assert len(of_kind) == min(number, _MOST)
        if number > _MOST:
            assert of_kind[-1].data == (
                f"{number - _MOST + 1} more {words}: see the job summary, or the JSON record"
            )


def test_every_policy_is_heard_before_any_is_heard_twice() -> None:
    titles = {c.properties["title"] for c in _check(render(CASES["forty"].decision, _CTX))}
    assert "freshness.stage (fail)" in titles


def test_waivers_that_soon_run_out_or_do_nothing_are_told() -> None:
    made = CASES["waived"].decision
    told = [c.data for c in _check(render(made, _CTX)) if c.properties["title"] == "waivers"]
    assert told[0].startswith("waiver runs out in ")
    assert told[-1].endswith("more to know of waivers: see the job summary, or the JSON record")
    assert len(told) == 3
    few = made.waivers.model_copy(update={"refused": (), "unused": (), "expired": ()})
    made = made.model_copy(update={"waivers": few})
    assert [c.properties["title"] for c in _check(render(made, _CTX))].count("waivers") == 1
