"""GitLab's code quality report: the fields that it asks for, and names that differ."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.report.codequality import render
from aigate.report.context import ReportContext
from report.cases import CASES, places
from report.hostile import HOSTILE, commands, everywhere, unseen

_CTX = ReportContext(places=places)
_SEVERITIES = {"info", "minor", "major", "critical", "blocker"}


def _check(text: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(text)
    for entry in entries:
        assert set(entry) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert entry["description"]
        assert entry["check_name"]
        assert entry["severity"] in _SEVERITIES
        assert entry["location"]["path"]
        assert entry["location"]["lines"]["begin"] >= 1
    names = [entry["fingerprint"] for entry in entries]
    assert len(set(names)) == len(names)
    assert not commands(text)
    assert not unseen(text)
    return entries


@pytest.mark.parametrize("case", CASES)
def test_every_case_is_taken_and_of_the_verdicts_weight(case: str) -> None:
    made = CASES[case].decision
    entries = _check(render(made, _CTX))
    shut = any(entry["severity"] != "info" for entry in entries)
    assert shut is (made.verdict not in ("allow", "keep"))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("unicode", [True, False], ids=["unicode", "ascii"])
def test_hostile_text_is_only_text(text: str, unicode: bool) -> None:
    shown = render(everywhere(text), ReportContext(unicode=unicode, manifest=text, places=places))
    _check(shown)
    assert unicode or shown.isascii()


@settings(deadline=None, max_examples=25)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_no_text_makes_it_invalid(text: str) -> None:
    _check(render(everywhere(text), ReportContext(manifest=text)))


def test_an_entry_says_what_where_and_how_grave() -> None:
    floor = _check(render(CASES["deny"].decision, _CTX))[0]
    assert floor["check_name"] == "evaluation.floor"
    assert floor["severity"] == "blocker"
    assert floor["description"].startswith("accuracy 0.71 is below its floor 0.92. The limit: set by m.ito")
    assert floor["location"] == {"path": "aigate.yaml", "lines": {"begin": 6}}


def test_what_does_not_count_is_marked() -> None:
    said = {entry["check_name"]: entry for entry in _check(render(CASES["advise"].decision, _CTX))}
    assert said["freshness.stage"]["description"].startswith("waived: features is 12h old")
    assert said["ownership.stages"]["description"].startswith("advice: stage scoring")


def test_where_all_is_well_the_list_is_empty() -> None:
    assert render(CASES["allow"].decision, _CTX) == "[]\n"
