"""Problems: the same weight in every format, and names that stay from run to run."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.decision import Decision, Finding
from aigate.report.context import ReportContext
from aigate.report.problems import DECISION, foremost, problems
from report.cases import CASES, NOW, decision, judgement, version

_CTX = ReportContext()


def _names(made: Decision, ctx: ReportContext = _CTX) -> list[str]:
    return [problem.fingerprint for problem in problems(made, ctx)]


@pytest.mark.parametrize("case", CASES)
def test_something_keeps_the_gate_shut_exactly_where_it_is_shut(case: str) -> None:
    made = CASES[case].decision
    shut = any(problem.shuts for problem in problems(made, _CTX))
    assert shut is (made.verdict not in ("allow", "keep"))


def test_a_hold_about_nothing_is_a_problem_of_the_decision_itself() -> None:
    for made in (CASES["no-version"].decision, decision(), decision(judgement("a.b", "skip", reason="x"))):
        assert made.verdict == "hold"
        (problem,) = problems(made, _CTX)
        assert (problem.policy, problem.status, problem.said) == (DECISION, "error", made.reason)


def test_the_findings_of_a_broken_policy_are_not_lost() -> None:
    broken = judgement("a.b", "error", Finding(message="found before it broke", key="x"), reason="it raised")
    assert [p.said for p in problems(decision(broken), _CTX)] == [
        "not assessed: it raised",
        "x: found before it broke",
    ]


def test_at_level_require_a_waiver_lifts_nothing() -> None:
    waived = Finding(message="x", waived="by me")
    (stands,) = problems(decision(judgement("a.b", "fail", waived, level="require")), _CTX)
    (lifted,) = problems(decision(judgement("a.b", "fail", waived), judgement("a.c")), _CTX)
    assert stands.status == "fail"
    assert (lifted.status, lifted.origin) == ("WAIVED", "by me")


_FAILED = Finding(message="accuracy is 0.71", key="accuracy", value="0.71")


def test_a_fingerprint_outlives_version_words_time_and_place() -> None:
    one = decision(judgement("a.b", "fail", _FAILED))
    other = decision(
        judgement(
            "a.b",
            "fail",
            Finding(message="another", key="accuracy"),
            level="require",
            severity="low",
            file="z",
        ),
        challenger=version("3"),
        now=NOW + timedelta(days=1),
    )
    waived = decision(judgement("a.b", "fail", _FAILED.model_copy(update={"waived": "by me"})))
    assert _names(one) == _names(other, ReportContext(places=lambda keys: (7, 7))) == _names(waived)


@pytest.mark.parametrize(
    "other",
    [
        decision(judgement("a.c", "fail", _FAILED)),
        decision(judgement("a.b", "fail", _FAILED.model_copy(update={"key": "recall"}))),
        decision(judgement("a.b", "fail", _FAILED), environment="staging"),
        decision(judgement("a.b", "fail", _FAILED), alias="shadow"),
        decision(judgement("a.b", "fail", _FAILED), challenger=version("2", name="other")),
        decision(judgement("a.b", "unknown", reason="x")),
    ],
    ids=["policy", "key", "environment", "alias", "model", "not-assessed"],
)
def test_a_fingerprint_is_of_one_thing_only(other: Decision) -> None:
    assert _names(decision(judgement("a.b", "fail", _FAILED))) != _names(other)


@given(st.lists(st.sampled_from(["", "x", "y", "0", "x/0"]), min_size=1, max_size=12))
def test_no_two_problems_share_a_fingerprint(keys: list[str]) -> None:
    found = tuple(Finding(message="same", key=key) for key in keys)
    made = decision(judgement("a.b", "fail", *found), judgement("a.c", "error", *found, reason="x"))
    names = _names(made)
    assert len(set(names)) == len(names) == 2 * len(keys) + 1
    assert names == _names(made)


def test_where_room_is_short_every_policy_is_heard_first() -> None:
    found = problems(CASES["forty"].decision, _CTX)
    kept = foremost(found, 4)
    assert {problem.policy for problem in kept} == {problem.policy for problem in found}
    assert [found.index(problem) for problem in kept] == sorted(found.index(problem) for problem in kept)
    assert foremost(found, 100) == found


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 60))
def test_no_more_are_kept_than_there_is_room_for(most: int) -> None:
    assert len(foremost(problems(CASES["forty"].decision, _CTX), most)) == min(most, 40)


def test_a_message_says_what_why_whose_and_what_next() -> None:
    fix = "add to the manifest:\nowner: {team: <team>}"
    finding = Finding(message="nobody.", origin="the rules", owner="ml", fix=fix)
    (problem,) = problems(decision(judgement("a.b", "fail", finding)), _CTX)
    assert (
        problem.message()
        == "nobody. The limit: the rules. Owner: ml. Next: add to the manifest: owner: {team: <team>}"
    )
