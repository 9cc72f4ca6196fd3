"""SARIF: valid by the standard's schema and by GitHub's rules, whatever the world wrote."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from aigate.decision import Decision, Finding
from aigate.report import sarif
from aigate.report.context import ReportContext
from aigate.report.json import decision_id
from aigate.report.sarif import MOST_RESULTS, render
from report.cases import CASES, Case, decision, judgement, places
from report.hostile import HOSTILE, commands, everywhere, unseen
from report.readers import refused

_SCHEMA = Path(__file__).parent.parent / "data" / "sarif-2.1.0-rtm.5.json"
_CTX = ReportContext(places=places)


@cache
def _validator() -> Draft4Validator:
    schema = json.loads(_SCHEMA.read_text())
    Draft4Validator.check_schema(schema)
    return Draft4Validator(schema)


def _check(text: str) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(text)
    assert [f"{'/'.join(map(str, e.path))}: {e.message[:200]}" for e in _validator().iter_errors(log)] == []
    assert refused(log, text) == []
    assert not commands(text)
    assert not unseen(text)
    (run,) = log["runs"]
    return dict(run)


@pytest.mark.parametrize("case", CASES)
def test_every_case_is_taken(case: str) -> None:
    made = CASES[case].decision
    run = _check(render(made, CASES[case].context()))
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} >= {j.info.id for j in made.judgements}
    shut = any(result["level"] == "error" for result in run["results"])
    assert shut is (made.verdict not in ("allow", "keep"))
    assert run["properties"]["verdict"] == made.verdict
    assert run["properties"]["decision"] == decision_id(made)
    assert run["invocations"][0]["executionSuccessful"] is (made.verdict != "hold")


def test_the_checks_of_github_have_teeth() -> None:
    text = render(CASES["deny"].decision, _CTX)
    for broken in (
        text.replace('"Every metric clears its floor."', '""'),
        text.replace("aigate/churn/production/promote/", "aigate"),
        text.replace('"startColumn": 3', '"startColumn": 0'),
        text.replace('"ruleIndex": 0', '"ruleIndex": 1'),
        text.replace('"uri": "aigate.yaml"', '"uri": "a b.yaml"'),
    ):
        assert broken != text
        assert refused(json.loads(broken), broken)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("unicode", [True, False], ids=["unicode", "ascii"])
def test_hostile_text_is_only_text(text: str, unicode: bool) -> None:
    shown = render(everywhere(text), ReportContext(unicode=unicode, manifest=text or "x", places=places))
    run = _check(shown)
    assert unicode or shown.isascii()
    for result in run["results"]:
        assert "](" not in result["message"]["text"]


@settings(deadline=None, max_examples=25)
@given(st.text(max_size=40), st.text(min_size=1, max_size=40).filter(lambda path: path.strip("/")))
def test_no_text_makes_it_invalid(text: str, manifest: str) -> None:
    text = text.encode(errors="replace").decode()
    _check(render(everywhere(text), ReportContext(manifest=manifest)))


def test_the_same_decision_gives_the_same_bytes() -> None:
    read = Decision.model_validate_json(CASES["deny"].decision.model_dump_json(by_alias=True))
    assert render(read, _CTX) == render(CASES["deny"].decision, _CTX)


def test_a_result_lies_at_its_line_and_names_its_rule() -> None:
    run = _check(render(CASES["deny"].decision, _CTX))
    found = {result["ruleId"]: result for result in run["results"]}
    assert set(found) == {"evaluation.floor", "evaluation.regression", "freshness.stage"}
    floor = found["evaluation.floor"]["locations"][0]["physicalLocation"]
    assert floor["artifactLocation"] == {"uri": "aigate.yaml", "uriBaseId": "%SRCROOT%"}
    assert floor["region"] == {"startLine": 6, "startColumn": 3, "endLine": 6, "endColumn": 4}


def test_what_is_waived_is_suppressed_and_advice_is_a_note() -> None:
    run = _check(render(CASES["advise"].decision, _CTX))
    waived = [result for result in run["results"] if "suppressions" in result]
    assert [(r["ruleId"], r["level"], r["properties"]["outcome"]) for r in waived] == [
        ("freshness.stage", "note", "waived")
    ]
    assert waived[0]["suppressions"][0] == {
        "kind": "external",
        "status": "accepted",
        "justification": "by s.kai until 2026-12-01: the backfill runs on Monday",
    }
    assert {r["level"] for r in run["results"]} == {"note"}


def test_an_address_that_is_none_is_no_help() -> None:
    for url, helps in (
        ("https://docs.example/policies#floor", True),
        ("javascript:alert(1)", False),
        ("https://a b", False),
        ("", False),
    ):
        run = _check(render(decision(judgement("a.b", url=url)), _CTX))
        assert ("helpUri" in run["tool"]["driver"]["rules"][0]) is helps


@pytest.mark.parametrize(
    ("manifest", "place"),
    [
        ("ml/churn prod/aigate.yaml", {"uri": "ml/churn%20prod/aigate.yaml", "uriBaseId": "%SRCROOT%"}),
        ("c:/aigate.yaml", {"uri": "c%3A/aigate.yaml", "uriBaseId": "%SRCROOT%"}),
        ("/srv/aigate.yaml", {"uri": "file:///srv/aigate.yaml"}),
        ("m\udcfc.yaml", {"uri": "m%3F.yaml", "uriBaseId": "%SRCROOT%"}),
    ],
)
def test_a_path_becomes_an_address(manifest: str, place: dict[str, str]) -> None:
    run = _check(render(CASES["deny"].decision, ReportContext(manifest=manifest)))
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"] == place


def test_systems_and_environments_are_kept_apart() -> None:
    def category(**fields: Any) -> str:
        return str(_check(render(decision(judgement("a.b"), **fields), _CTX))["automationDetails"]["id"])

    assert category(system="churn") == "aigate/churn/production/promote/"
    assert category(system="a/b", environment="c") != category(system="a", environment="b/c")


@cache
def _many(number: int) -> Decision:
    found = (Finding(message=f"slice {n} is low", key=f"slice {n}") for n in range(number))
    return decision(judgement("a.slices", "fail", *found), judgement("b.other", "fail", Finding(message="x")))


@pytest.mark.slow
def test_of_too_many_results_the_worst_are_kept_and_the_rest_counted() -> None:
    run = _check(render(_many(MOST_RESULTS + 10), ReportContext()))
    assert len(run["results"]) == MOST_RESULTS
    assert any(result["ruleId"] == "b.other" for result in run["results"])
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "11 more results are left out for length: see the JSON record"


def test_a_file_that_would_be_too_large_has_fewer_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MOST_BYTES", 4_000)
    text = render(CASES["forty"].decision, Case(CASES["forty"].decision).context())
    run = _check(text)
    assert 0 < len(run["results"]) < 40
    assert sarif._compressed(text) <= 4_000
    assert "left out" in str(run["invocations"])
