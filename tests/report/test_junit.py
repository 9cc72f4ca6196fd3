"""JUnit XML: valid, well formed whatever the world wrote, and of the verdict's colour."""

import re
from functools import cache
from pathlib import Path
from unittest.mock import patch
from xml.etree import ElementTree

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.decision import Decision, Finding
from aigate.report.context import ReportContext
from aigate.report.junit import MOST_SAID, render
from report.cases import CASES, decision, judgement
from report.hostile import HOSTILE, commands, everywhere, unseen

_SCHEMA = Path(__file__).parent.parent / "data" / "junit-10.xsd"
_CTX = ReportContext()
_XML = re.compile(r"[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")


@cache
def _schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(_SCHEMA))


def _check(text: str, made: Decision) -> ElementTree.Element:
    assert _XML.fullmatch(text)
    document = ElementTree.fromstring(text.encode())
    _schema().validate(document)
    assert not commands(text)
    assert not unseen(text)
    suite = document.find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    assert suite.get("tests") == document.get("tests") == str(len(cases))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert suite.get(name) == str(len(suite.findall(f"testcase/{tag}")))
    for case in cases:
        assert sum(case.find(tag) is not None for tag in ("failure", "error", "skipped")) <= 1
    red = int(suite.get("failures", "")) + int(suite.get("errors", ""))
    assert (red == 0) is (made.verdict in ("allow", "keep"))
    return suite


def _case(suite: ElementTree.Element, name: str) -> ElementTree.Element:
    found = suite.find(f"testcase[@name='{name}']")
    assert found is not None
    return found


@pytest.mark.parametrize("case", CASES)
def test_every_case_is_valid_and_of_the_verdicts_colour(case: str) -> None:
    made = CASES[case].decision
    suite = _check(render(made, _CTX), made)
    names = {each.get("name") for each in suite.findall("testcase")} - {"aigate.decision"}
    assert names == {j.info.id for j in made.judgements}
    assert {each.get("classname") for each in suite.findall("testcase")} == {"aigate.churn"}
    assert suite.get("name") == "aigate.production"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("unicode", [True, False], ids=["unicode", "ascii"])
def test_hostile_text_is_only_text(text: str, unicode: bool) -> None:
    shown = render(everywhere(text), ReportContext(unicode=unicode))
    _check(shown, everywhere(text))
    assert unicode or shown.isascii()


_SIGNS = st.lists(
    st.sampled_from(
        ["]]>", "<!--", "<failure ", "&amp;", "&", "<", ">", '"', "'", "\x00", "\x0b", "\ufffe", "x", " "]
    ),
    max_size=10,
).map("".join)


@settings(deadline=None, max_examples=60)
@given(_SIGNS | st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_no_text_makes_it_ill_formed(text: str) -> None:
    _check(render(everywhere(text), _CTX), everywhere(text))


@given(st.text(st.characters() | st.characters(categories=["Cs", "Cc"]), max_size=60))
def test_not_even_what_the_models_refuse_makes_it_ill_formed(text: str) -> None:
    finding = Finding(message="x").model_copy(update={"message": text, "key": text, "fix": text})
    made = decision(judgement("a.b", "fail", Finding(message="x")))
    odd = made.judgements[0].result.model_copy(update={"findings": (finding,)})
    made = made.model_copy(update={"judgements": (made.judgements[0].model_copy(update={"result": odd}),)})
    made = made.model_copy(update={"model": text})
    with patch("aigate.report.junit.decision_id", return_value="sha256:x"):
        _check(render(made, _CTX), made)


def test_a_case_says_what_was_found() -> None:
    suite = _check(render(CASES["deny-and-unknown"].decision, _CTX), CASES["deny-and-unknown"].decision)
    failure = _case(suite, "evaluation.floor").find("failure")
    assert failure is not None
    assert failure.get("message") == "accuracy 0.71 is below its floor 0.92"
    assert "Next: find out why accuracy fell" in (failure.text or "")
    unknown = _case(suite, "freshness.end_to_end").find("error")
    assert unknown is not None
    assert (unknown.get("type"), unknown.get("message", "")[:12]) == ("unknown", "not assessed")
    skipped = _case(suite, "evaluation.slices").find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "no metric declares slices"


def test_advice_and_what_is_waived_pass_and_are_said() -> None:
    suite = _check(render(CASES["advise"].decision, _CTX), CASES["advise"].decision)
    for name, words in (
        ("freshness.stage", "WAIVED: features is 12h old"),
        ("ownership.stages", "advice: stage scoring has no owner"),
        ("freshness.end_to_end", "advice: not assessed"),
    ):
        case = _case(suite, name)
        assert case.find("failure") is None
        assert case.findtext("system-out", "").startswith(words)


def test_a_hold_without_a_single_answer_is_red() -> None:
    suite = _check(render(decision(), _CTX), decision())
    error = _case(suite, "aigate.decision").find("error")
    assert error is not None
    assert error.get("message") == "nothing was assessed"


def test_of_very_many_findings_some_are_spelt_out_and_the_rest_counted() -> None:
    found = (Finding(message=f"finding {n}") for n in range(MOST_SAID + 5))
    made = decision(judgement("a.b", "fail", *found))
    failure = _case(_check(render(made, _CTX), made), "a.b").find("failure")
    assert failure is not None
    assert failure.get("message") == f"finding 0 (and {MOST_SAID + 4} more)"
    assert (failure.text or "").splitlines()[-1] == "and 5 more: see the JSON record"
