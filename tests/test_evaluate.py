"""From answers to a decision. `allow` is reached only on one way, and nothing else leads there."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import permutations
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aigate.decision import (
    EXIT_CODES,
    OUTCOMES,
    Actor,
    Blames,
    Decision,
    Finding,
    Judgement,
    Outcome,
    PolicyInfo,
    PolicyResult,
    Verdict,
    Versions,
)
from aigate.digest import canonical, digest
from aigate.evaluate import Setting, count, decide, judge
from aigate.manifest import LEVELS, Level
from aigate.snapshot import Question, Snapshot
from aigate.testing import change, missing, passing_snapshot
from aigate.values import gap

SETTING = Setting(
    policies_digest="sha256:" + "a" * 64,
    isolation="process",
    versions=Versions(aigate="0.1.0", python="3.11.7", pydantic="2.14.3"),
    actor=Actor(name="ci"),
)
PROMOTE, RETAIN = passing_snapshot(), passing_snapshot("retain")
NOBODY_KNOWS = missing("MLflow answered 503", "registry")


def result(id: str, outcome: Outcome, *, waived: int = 0, findings: int = 1) -> PolicyResult:
    found = tuple(
        Finding(message=f"found {n}", waived="r.okoye until Friday" if n < waived else "")
        for n in range(findings if outcome == "fail" else 0)
    )
    reason = "because" if outcome in ("unknown", "error", "skip") else ""
    return PolicyResult(policy=id, outcome=outcome, findings=found, reason=reason, reads=("/owner",))


def judgement(
    id: str,
    outcome: Outcome,
    level: Level = "block",
    blames: Blames = "process",
    *,
    waived: int = 0,
    findings: int = 1,
) -> Judgement:
    return Judgement(
        info=PolicyInfo(
            id=id,
            title="A policy.",
            severity="high",
            blames=blames,
            file="p.py",
            file_digest="sha256:" + "b" * 64,
        ),
        level=level,
        result=result(id, outcome, waived=waived, findings=findings),
    )


def verdict(judgements: Iterable[Judgement], snapshot: Snapshot = PROMOTE) -> Verdict:
    return decide(snapshot, tuple(judgements), SETTING).verdict


def named(*parts: tuple[Outcome, Level] | tuple[Outcome, Level, Blames]) -> tuple[Judgement, ...]:
    return tuple(judgement(f"p.p{n}", *part) for n, part in enumerate(parts))


# --- may this version take the alias? ----------------------------------------------------------------------------

ONE: dict[tuple[Outcome, Level], Verdict] = {
    ("pass", "advise"): "allow",
    ("pass", "block"): "allow",
    ("pass", "require"): "allow",
    ("fail", "advise"): "allow",
    ("fail", "block"): "deny",
    ("fail", "require"): "deny",
    ("unknown", "advise"): "hold",  # alone: nothing was assessed
    ("unknown", "block"): "hold",
    ("unknown", "require"): "hold",
    ("error", "advise"): "hold",  # the same
    ("error", "block"): "hold",
    ("error", "require"): "hold",
    ("skip", "advise"): "hold",  # the same
    ("skip", "block"): "hold",
    ("skip", "require"): "hold",
}


def test_the_table_is_whole() -> None:
    assert set(ONE) == {(outcome, level) for outcome in OUTCOMES for level in LEVELS}
    assert set(OUTCOMES) == set(get_args(Outcome))


@pytest.mark.parametrize(
    ("case", "expected"),
    ONE.items(),
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else value,
)
def test_one_policy_alone(case: tuple[Outcome, Level], expected: Verdict) -> None:
    assert verdict(named(case)) == expected


@pytest.mark.parametrize("case", ONE, ids="-".join)
def test_beside_one_that_passed(case: tuple[Outcome, Level]) -> None:
    """What only advises changes nothing once something was assessed."""
    outcome, level = case
    if level == "advise":
        expected = "allow"
    else:
        expected = {"pass": "allow", "skip": "allow", "fail": "deny"}.get(outcome, "hold")
    assert verdict((judgement("z.z", "pass"), *named(case))) == expected


def test_without_any_policy_it_holds() -> None:
    decision = decide(PROMOTE, (), SETTING)
    assert (decision.verdict, decision.reason) == ("hold", "nothing was assessed")


def test_a_failure_weighs_more_than_ignorance_and_both_are_told() -> None:
    judgements = named(("fail", "block"), ("unknown", "block"), ("error", "require"), ("pass", "block"))
    decision = decide(PROMOTE, judgements, SETTING)
    assert decision.verdict == "deny"
    assert decision.reason == "1 of 4 policies failed, 2 could not be assessed"


WAIVED: dict[str, tuple[Judgement, Verdict]] = {
    "all of them": (judgement("p.p", "fail", findings=2, waived=2), "allow"),
    "one of two": (judgement("p.p", "fail", findings=2, waived=1), "deny"),
    "none": (judgement("p.p", "fail", findings=2, waived=0), "deny"),
    "all, though they are required": (judgement("p.p", "fail", "require", findings=2, waived=2), "deny"),
    "all, of what only advises": (judgement("p.p", "fail", "advise", findings=2, waived=2), "allow"),
}


@pytest.mark.parametrize(("waived", "expected"), WAIVED.values(), ids=WAIVED.keys())
def test_a_waiver_lifts_findings_one_by_one_and_never_what_is_required(
    waived: Judgement, expected: Verdict
) -> None:
    assert verdict((waived, judgement("z.z", "pass"))) == expected


def test_a_failure_without_a_finding_cannot_be_built() -> None:
    """It would stand for nothing, and so count for nothing."""
    with pytest.raises(ValidationError, match="needs a finding"):
        PolicyResult(policy="p.p", outcome="fail")


INCONSISTENT: dict[str, dict[str, object]] = {
    "pass with a finding": {"outcome": "pass", "findings": (Finding(message="x"),)},
    "skip with a finding": {"outcome": "skip", "reason": "r", "findings": (Finding(message="x"),)},
    "unknown with a finding": {"outcome": "unknown", "reason": "r", "findings": (Finding(message="x"),)},
    "unknown without a reason": {"outcome": "unknown"},
    "skip without a reason": {"outcome": "skip", "reason": "  "},
    "error without a reason": {"outcome": "error"},
    "another outcome": {"outcome": "allow"},
}


@pytest.mark.parametrize("fields", INCONSISTENT.values(), ids=INCONSISTENT.keys())
def test_a_result_that_contradicts_itself_cannot_be_built(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PolicyResult.model_validate({"policy": "p.p", **fields})


# --- what is not known of the versions ------------------------------------------------------------------------------

UNKNOWN: dict[str, Snapshot] = {
    "who asks": change(PROMOTE, "/challenger", NOBODY_KNOWS),
    "who holds": change(PROMOTE, "/champion", NOBODY_KNOWS),
    "that anybody asks": change(PROMOTE, "/challenger", None),
    "who should stay": change(RETAIN, "/champion", NOBODY_KNOWS),
    "that anybody should stay": change(RETAIN, "/champion", None),
}


@pytest.mark.parametrize("snapshot", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_it_holds_where_the_versions_are_not_known(snapshot: Snapshot) -> None:
    decision = decide(snapshot, named(("pass", "block")), SETTING)
    assert decision.verdict == "hold"
    assert "not known" in decision.reason or "nobody can say" in decision.reason


@pytest.mark.parametrize("snapshot", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_a_failure_is_told_though_the_versions_are_not_known(snapshot: Snapshot) -> None:
    decision = decide(snapshot, named(("fail", "block", "model")), SETTING)
    promote = snapshot.question == "promote"
    assert decision.verdict == ("deny" if promote else "hold"), "no rollback of a version that nobody knows"
    assert decision.reason.startswith("1 of 1 policy failed")
    assert "MLflow answered 503" in decision.reason or "there is no version to judge" in decision.reason


def test_the_first_version_ever_may_take_the_alias() -> None:
    """None is a fact: nothing holds it. It is not ignorance."""
    decision = decide(change(PROMOTE, "/champion", None), named(("pass", "block")), SETTING)
    assert (decision.verdict, decision.holder) == ("allow", None)


# --- may the champion stay? -------------------------------------------------------------------------------------------

STAY: dict[str, tuple[tuple[tuple[Outcome, Level, Blames], ...], Verdict]] = {
    "all passed": ((("pass", "block", "model"),), "keep"),
    "passed and skipped": ((("pass", "block", "model"), ("skip", "block", "data")), "keep"),
    "only skipped": ((("skip", "block", "model"),), "hold"),
    "the model failed": ((("fail", "block", "model"), ("pass", "block", "data")), "rollback"),
    "the model failed twice": ((("fail", "block", "model"), ("fail", "require", "model")), "rollback"),
    "the data failed": ((("fail", "block", "data"),), "halt"),
    "the process failed": ((("fail", "block", "process"),), "halt"),
    "model and data failed": ((("fail", "block", "model"), ("fail", "block", "data")), "halt"),
    "model failed, data advise": ((("fail", "block", "model"), ("fail", "advise", "data")), "rollback"),
    "model only advises": ((("fail", "advise", "model"), ("pass", "block", "data")), "keep"),
    "model failed, data unknown": ((("fail", "block", "model"), ("unknown", "block", "data")), "hold"),
    "model failed, data broken": ((("fail", "block", "model"), ("error", "require", "data")), "hold"),
    "model failed, advice unknown": ((("fail", "block", "model"), ("unknown", "advise", "data")), "rollback"),
    "data failed, model unknown": ((("fail", "block", "data"), ("unknown", "block", "model")), "halt"),
    "unknown": ((("unknown", "block", "model"), ("pass", "block", "data")), "hold"),
    "broken": ((("error", "block", "model"), ("pass", "block", "data")), "hold"),
}


@pytest.mark.parametrize(("parts", "expected"), STAY.values(), ids=STAY.keys())
def test_a_champion_goes_back_only_where_the_model_alone_is_to_blame(
    parts: tuple[tuple[Outcome, Level, Blames], ...], expected: Verdict
) -> None:
    assert verdict(named(*parts), RETAIN) == expected


# --- for all of them ------------------------------------------------------------------------------------------------

outcomes = st.sampled_from(OUTCOMES)
levels = st.sampled_from(LEVELS)
blamed = st.sampled_from(get_args(Blames))


@st.composite
def sets_of_judgements(draw: st.DrawFn, max_size: int = 6) -> tuple[Judgement, ...]:
    parts = draw(
        st.lists(st.tuples(outcomes, levels, blamed, st.integers(1, 3), st.integers(0, 3)), max_size=max_size)
    )
    return tuple(
        judgement(f"p.p{n}", outcome, level, blames, findings=findings, waived=min(waived, findings))
        for n, (outcome, level, blames, findings, waived) in enumerate(parts)
    )


snapshots = st.sampled_from([PROMOTE, RETAIN, *UNKNOWN.values()])


def stands(judgement: Judgement) -> bool:
    """A failure that keeps the gate shut, written down once more and differently."""
    if judgement.level == "advise" or judgement.result.outcome != "fail":
        return False
    return judgement.level == "require" or not all(f.waived for f in judgement.result.findings)


@settings(max_examples=250, deadline=None)
@given(sets_of_judgements(), snapshots)
def test_yes_is_said_on_one_way_only(judgements: tuple[Judgement, ...], snapshot: Snapshot) -> None:
    decision = decide(snapshot, judgements, SETTING)
    counting = [j for j in judgements if j.level != "advise"]
    good = all(
        j.result.outcome in ("pass", "skip") or (j.result.outcome == "fail" and not stands(j))
        for j in counting
    )
    assessed = any(j.result.outcome in ("pass", "fail") for j in judgements)
    known = gap(decision.subject) is None and gap(decision.holder) is None
    assert (decision.verdict in ("allow", "keep")) == (good and assessed and known)
    assert (decision.exit_code == 0) == (good and assessed and known)


@settings(max_examples=200, deadline=None)
@given(sets_of_judgements(), snapshots)
def test_no_is_said_wherever_a_failure_stands(judgements: tuple[Judgement, ...], snapshot: Snapshot) -> None:
    got = verdict(judgements, snapshot)
    failed = [j for j in judgements if stands(j)]
    if snapshot.question == "promote":
        assert (got == "deny") == bool(failed)
    else:
        open_ = any(j.level != "advise" and j.result.outcome in ("unknown", "error") for j in judgements)
        model = {j.info.blames for j in failed} == {"model"}
        known = snapshot is RETAIN
        assert (got == "rollback") == (bool(failed) and model and not open_ and known)
        assert (got == "halt") == (bool(failed) and not model)


@settings(max_examples=200, deadline=None)
@given(sets_of_judgements(), outcomes, levels, blamed, snapshots)
def test_a_further_policy_never_relaxes(
    judgements: tuple[Judgement, ...], outcome: Outcome, level: Level, blames: Blames, snapshot: Snapshot
) -> None:
    """Nothing that is shut opens, except that a first answer ends "nothing was assessed"."""
    before = verdict(judgements, snapshot)
    after = verdict((*judgements, judgement("z.z", outcome, level, blames)), snapshot)
    assessed = count(judgements).assessed
    if after in ("allow", "keep") and before not in ("allow", "keep"):
        assert before == "hold"
        assert assessed == 0
    if before in ("deny", "halt"):
        assert after == before
    if before == "rollback":
        assert after in ("rollback", "halt", "hold")


@settings(max_examples=150, deadline=None)
@given(sets_of_judgements(), st.randoms(use_true_random=False), snapshots)
def test_the_order_of_policies_changes_not_a_byte(
    judgements: tuple[Judgement, ...], random: object, snapshot: Snapshot
) -> None:
    shuffled = list(judgements)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    results = {j.info.id: j.result for j in shuffled}
    levels_ = {j.info.id: j.level for j in shuffled}
    records = [
        canonical(decide(snapshot, judge([j.info for j in order], results, levels_), SETTING))
        for order in (judgements, shuffled)
    ]
    assert records[0] == records[1]


@settings(max_examples=50, deadline=None)
@given(sets_of_judgements(max_size=4))
def test_a_stricter_level_never_relaxes(judgements: tuple[Judgement, ...]) -> None:
    order = {"allow": 0, "hold": 1, "deny": 2}
    for n, one in enumerate(judgements):
        for level in LEVELS[LEVELS.index(one.level) :]:
            stricter = (*judgements[:n], one.model_copy(update={"level": level}), *judgements[n + 1 :])
            assert order[verdict(stricter)] >= order[verdict(judgements)]


@settings(max_examples=200, deadline=None)
@given(sets_of_judgements())
def test_the_counts_add_up(judgements: tuple[Judgement, ...]) -> None:
    counts = count(judgements)
    assert counts.total == len(judgements)
    assert counts.total == counts.passed + counts.failed + counts.unknown + counts.error + counts.skipped
    assert counts.assessed == counts.passed + counts.failed
    assert counts.applicable == counts.total - counts.skipped
    assert counts.waived == sum(bool(f.waived) for j in judgements for f in j.result.findings)


# --- judging ----------------------------------------------------------------------------------------------------------


def test_a_policy_that_gave_no_answer_is_an_error() -> None:
    (one,) = judge([judgement("p.p", "pass").info], {}, {})
    assert (one.result.outcome, one.result.reason) == ("error", "it gave no answer")
    assert verdict([one]) == "hold"


def test_an_answer_that_nobody_asked_for_counts_for_nothing() -> None:
    judged = judge([judgement("p.p", "fail").info], {"p.q": result("p.q", "pass")}, {})
    assert [(j.info.id, j.result.outcome) for j in judged] == [("p.p", "error")]


def test_judgements_are_sorted_and_levelled() -> None:
    infos = [judgement(id, "pass").info for id in ("b.x", "a.y", "a.x")]
    results = {info.id: result(info.id, "pass") for info in infos}
    judged = judge(infos, results, {"*": "advise", "a": "require", "a.y": "block"})
    assert [(j.info.id, j.level) for j in judged] == [("a.x", "require"), ("a.y", "block"), ("b.x", "advise")]


# --- the record ---------------------------------------------------------------------------------------------------------

EXITS = {"allow": 0, "keep": 0, "deny": 1, "rollback": 1, "halt": 1, "hold": 3}


def test_only_yes_lets_a_pipeline_pass() -> None:
    assert EXIT_CODES == EXITS
    assert set(EXIT_CODES) == set(get_args(Verdict))


@pytest.mark.parametrize(
    ("question", "part", "code"),
    [
        ("promote", ("pass", "block", "model"), 0),
        ("promote", ("fail", "block", "model"), 1),
        ("promote", ("unknown", "block", "model"), 3),
        ("promote", ("error", "block", "model"), 3),
        ("promote", ("skip", "block", "model"), 3),
        ("retain", ("pass", "block", "model"), 0),
        ("retain", ("fail", "block", "model"), 1),
        ("retain", ("fail", "block", "data"), 1),
        ("retain", ("unknown", "block", "data"), 3),
    ],
)
def test_the_exit_code_is_the_verdicts(
    question: Question, part: tuple[Outcome, Level, Blames], code: int
) -> None:
    decision = decide(passing_snapshot(question), named(part), SETTING)
    assert decision.exit_code == code == EXITS[decision.verdict]


def test_a_record_says_what_it_rests_on() -> None:
    decision = decide(PROMOTE, named(("pass", "block")), SETTING)
    assert decision.snapshot_digest == digest(PROMOTE)
    assert decision.manifest_digest == PROMOTE.manifest_digest
    assert (decision.model, decision.alias, decision.environment) == ("churn", "champion", "production")
    assert decision.now == PROMOTE.now
    assert decision.evidence == PROMOTE.evidence
    assert decision.subject == (PROMOTE.challenger and PROMOTE.challenger.subject)
    assert decision.holder == (PROMOTE.champion and PROMOTE.champion.subject)
    retained = decide(RETAIN, named(("pass", "block")), SETTING)
    assert retained.subject == retained.holder == (RETAIN.champion and RETAIN.champion.subject)


def test_a_record_has_a_name_for_the_model_whatever_is_missing() -> None:
    blind = change(change(PROMOTE, "/challenger", NOBODY_KNOWS), "/model", NOBODY_KNOWS)
    assert decide(blind, (), SETTING).model == "churn"
    assert decide(change(PROMOTE, "/challenger", NOBODY_KNOWS), (), SETTING).model == "churn"


@settings(max_examples=60, deadline=None)
@given(sets_of_judgements(), snapshots)
def test_a_record_is_the_same_bytes_every_time(judgements: tuple[Judgement, ...], snapshot: Snapshot) -> None:
    first, second = (decide(snapshot, judgements, SETTING) for _ in range(2))
    data = canonical(first)
    assert data == canonical(second)
    again = Decision.model_validate_json(data)
    assert again == first
    assert canonical(again) == data
    assert digest(again) == digest(first)


CHANGES: dict[str, Snapshot] = {
    "the time": change(PROMOTE, "/now", PROMOTE.now + timedelta(seconds=1)),
    "a metric": change(PROMOTE, "/challenger/measurements/accuracy/value", "0.9431"),
    "an artifact": change(PROMOTE, "/challenger/subject/artifact_digest", "sha256:" + "0" * 64),
    "the version's birth": change(PROMOTE, "/challenger/subject/created_at", PROMOTE.now),
    "a source": change(PROMOTE, "/evidence/0/fetched_at", PROMOTE.now),
    "the manifest": change(PROMOTE, "/manifest_digest", "sha256:" + "0" * 64),
}


@pytest.mark.parametrize("snapshot", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_changes_changes_the_record(snapshot: Snapshot) -> None:
    judgements = named(("pass", "block"))
    before, after = (decide(s, judgements, SETTING) for s in (PROMOTE, snapshot))
    assert digest(after) != digest(before)
    assert after.snapshot_digest != before.snapshot_digest


def test_every_order_of_three_gives_one_verdict() -> None:
    parts = named(("fail", "block"), ("unknown", "block"), ("pass", "block"))
    assert {verdict(order) for order in permutations(parts)} == {"deny"}
