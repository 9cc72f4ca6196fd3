"""What every report says to do next."""

import pytest

from aigate.decision import Decision, Finding
from aigate.manifest import Owner
from aigate.report.context import ReportContext
from aigate.report.outline import Outline, outline
from aigate.report.problems import problems
from aigate.snapshot import Runbook
from aigate.values import missing
from report.cases import CASES, LATE, OWNER, RUNBOOKS, decision, judgement, passes, source


def _outline(made: Decision, act: str = "") -> Outline:
    return outline(made, ReportContext(act=act))


def _words(made: Decision) -> list[str]:
    return [step.words for step in _outline(made).steps]


def _failed(policy: str, **how: object) -> Decision:
    return decision(judgement(policy, "fail", Finding(message="x")), **how)  # type: ignore[arg-type]  # any field


def test_the_seed_story_says_what_to_do() -> None:
    assert [(step.words, step.command) for step in _outline(CASES["deny"].decision).steps] == [
        ("late or broken data may explain what the model fails at: mend the data first", ""),
        ("rerun the job that builds features, or ask data-eng why it is late", ""),
        ("find out why accuracy fell: compare the training data of v1 and v2", ""),
        ("read runbooks/late-data.md (data) and runbooks/churn.md (model)", ""),
        ("ask retention-platform: #churn-oncall, at night page https://pager.example/churn", ""),
        ("then ask again:", "aigate evaluate"),
    ]


@pytest.mark.parametrize(
    ("policy", "runbooks", "step"),
    [
        ("freshness.stage", RUNBOOKS, "read runbooks/late-data.md (data)"),
        ("evaluation.floor", RUNBOOKS, "read runbooks/churn.md (model)"),
        ("freshness.stage", (), None),
        ("freshness.stage", RUNBOOKS[1:], "read runbooks/late-data.md (data)"),
        ("evaluation.floor", RUNBOOKS[1:], None),
        (
            "a.b",
            (Runbook(blames="process", path="p.md", exists=False),),
            "read p.md (process; it is not there!)",
        ),
        (
            "a.b",
            (Runbook(blames="default", path="p.md", exists=missing("no disk", "x")),),
            "read p.md (process; nobody checked whether it is there)",
        ),
    ],
    ids=["its own", "default", "none", "only its own", "another's", "not there", "not checked"],
)
def test_the_runbook_fits_the_trouble(policy: str, runbooks: tuple[Runbook, ...], step: str | None) -> None:
    read = [words for words in _words(_failed(policy, runbooks=runbooks)) if words.startswith("read ")]
    assert read == ([step] if step else [])


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (OWNER, "ask retention-platform: #churn-oncall, at night page https://pager.example/churn"),
        (Owner(team="ml", contact="#ml"), "ask ml: #ml"),
        (Owner(team="ml", escalation="pager"), "ask ml: at night page pager"),
        (Owner(team="ml"), "ask ml"),
        (None, None),
    ],
)
def test_the_owner_is_named_with_every_way_to_reach_him(owner: Owner | None, step: str | None) -> None:
    asked = [words for words in _words(_failed("a.b", owner=owner)) if words.startswith("ask ")]
    assert asked == ([step] if step else [])


@pytest.mark.parametrize("case", ["rollback", "halt"])
def test_in_service_one_acts_and_pages_before_one_mends(case: str) -> None:
    steps = _outline(CASES[case].decision, act="aigate now").steps
    assert steps[0].command == "aigate now"
    assert steps[1].words == "tell retention-platform: page https://pager.example/churn, #churn-oncall"
    assert steps[2].words.startswith("read runbooks/")
    assert _words(CASES[case].decision)[0].startswith("tell ")


@pytest.mark.parametrize("case", ["deny", "hold", "keep", "hold-champion"])
def test_no_verdict_but_allow_rollback_and_halt_calls_for_an_act(case: str) -> None:
    assert "aigate now" not in [
        step.command for step in _outline(CASES[case].decision, act="aigate now").steps
    ]


def test_allow_needs_no_steps_but_the_move() -> None:
    assert _words(CASES["allow"].decision) == []
    assert _words(CASES["keep"].decision) == []
    assert [s.command for s in _outline(CASES["allow"].decision, act="aigate promote").steps] == [
        "aigate promote"
    ]


def test_advice_is_a_step_only_where_nothing_else_is_wrong() -> None:
    advice = judgement("a.b", "fail", Finding(message="x", fix="tidy up"), level="advise")
    assert _words(decision(*passes("freshness.stage"), advice)) == ["tidy up"]
    assert "tidy up" not in _words(
        decision(*passes("freshness.stage"), advice, judgement("freshness.stage", "fail", LATE))
    )


def test_a_waived_finding_asks_for_nothing() -> None:
    waived = LATE.model_copy(update={"waived": "by s.kai until tomorrow"})
    made = decision(
        judgement("a.b", "fail", waived), judgement("c.d", "fail", Finding(message="x", fix="mend it"))
    )
    assert _words(made)[0] == "mend it"
    assert LATE.fix not in _words(made)
    assert [row.status for row in _outline(made).rows] == ["fail", "WAIVED"]


def test_partly_waived_counts_as_failed_and_shows_both() -> None:
    waived = LATE.model_copy(update={"waived": "by s.kai until tomorrow", "key": "other"})
    made = decision(judgement("freshness.stage", "fail", LATE, waived))
    assert made.verdict == "deny"
    assert [row.status for row in _outline(made).rows] == ["fail", "WAIVED"]
    assert _outline(made).coverage == ("1 of 1 failed", "1/1 assessed", "1 waived")


def test_what_must_not_be_waived_is_a_failure_though_a_waiver_was_written() -> None:
    waived = LATE.model_copy(update={"waived": "by s.kai until tomorrow"})
    made = decision(judgement("freshness.stage", "fail", waived, level="require"))
    assert made.verdict == "deny"
    assert [row.status for row in _outline(made).rows] == ["fail"]
    assert _outline(made).coverage == ("1 of 1 failed", "1/1 assessed")
    assert _words(made)[0] == LATE.fix


def test_what_a_broken_policy_found_before_it_broke_is_shown() -> None:
    made = decision(judgement("a.b", "error", LATE, reason="it raised KeyError"))
    assert [(row.status, row.said) for row in _outline(made).rows] == [
        ("error", "it raised KeyError"),
        ("error", LATE.message),
    ]


def test_a_denial_says_so_where_the_versions_are_not_known() -> None:
    made = decision(judgement("a.b", "fail", LATE), champion=missing("no answer", "mlflow"))
    assert made.verdict == "deny"
    assert _outline(made).why == made.reason
    assert _outline(made).setting[-1] == "@champion now: unknown"


def test_times_are_shown_to_the_second() -> None:
    made = CASES["keep"].decision
    odd = made.model_copy(update={"now": made.now.replace(microsecond=307_353)})
    assert _outline(odd).setting == ("production", "2026-11-21T21:18:00Z")


def test_nothing_in_service_is_said() -> None:
    assert (
        _outline(decision(*passes("freshness.stage"), champion=None)).setting[-1] == "@champion now: nothing"
    )


def test_each_fix_once_the_first_of_each_policy_first_and_the_rest_counted() -> None:
    many = [Finding(message="x", fix=f"mend {n}") for n in range(9)]
    made = decision(
        judgement("a.b", "fail", *many, many[0]),
        judgement("c.d", "fail", Finding(message="x", fix="  mend it ")),
        owner=None,
        runbooks=(),
    )
    assert _words(made)[:5] == ["mend 0", "mend it", "mend 1", "mend 2", "6 more such steps, one with each further finding: see the JSON record"]  # fmt: skip


def test_lines_to_add_stay_lines() -> None:
    step = _outline(_failed("a.b")).steps
    assert step[0].block == ()
    fix = "add to the manifest:\nowner:\n  team: ml"
    made = decision(judgement("a.b", "fail", Finding(message="x", fix=fix)))
    assert _outline(made).steps[0].words == "add to the manifest:"
    assert _outline(made).steps[0].block == ("owner:", "  team: ml")


def test_silent_sources_are_named_where_something_is_unknown() -> None:
    silent = tuple(source(f"freshness:{n}", f"https://{n}.example", "refused") for n in "abcd")
    unknown = judgement("freshness.stage", "unknown", reason="refused")
    assert _words(decision(unknown, evidence=silent))[0] == (
        "get an answer from freshness:a (https://a.example), freshness:b (https://b.example), "
        "freshness:c (https://c.example) and 1 more"
    )
    assert (
        _words(decision(unknown, evidence=()))[0] == "supply the evidence that freshness.stage could not read"
    )
    assert not [w for w in _words(_failed("a.b", evidence=silent)) if "freshness" in w]


def test_broken_policies_are_named_by_file() -> None:
    made = decision(
        judgement("a.b", "error", reason="x", file="policies/a.py"),
        judgement("a.c", "error", reason="x", file="policies/a.py"),
        judgement("d.e", "error", reason="x", file="policies/d.py"),
    )
    assert (
        _words(made)[0]
        == "mend a.b, a.c in policies/a.py, d.e in policies/d.py: a broken policy is no answer"
    )


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("deny", ""),
        ("allow", ""),
        ("keep", ""),
        ("hold", "2 policies could not be assessed"),
        ("rollback", "the model alone is to blame, so the last good version cures it"),
        ("hold-champion", None),
        ("halt", None),
    ],
)
def test_the_verdict_is_explained_where_the_counts_do_not(case: str, why: str | None) -> None:
    made = CASES[case].decision
    assert _outline(made).why == (made.reason if why is None else why)


def test_only_data_that_failed_beside_a_failed_model_is_mended_first() -> None:
    hints = [case for case in CASES if any("mend the data first" in w for w in _words(CASES[case].decision))]
    assert hints == ["deny", "deny-and-unknown", "forty", "halt"]


def test_what_a_pass_or_a_failure_leaves_open_is_said() -> None:
    made = decision(
        judgement("a.pass", reason="point estimates"),
        judgement("b.fail", "fail", LATE, reason="one stage has no promise"),
        judgement("c.unknown", "unknown", reason="no answer"),
    )
    assert _outline(made).notes == ("a.pass: point estimates", "b.fail: one stage has no promise")


def test_every_waiver_that_did_nothing_or_soon_will_is_said_and_those_of_other_models_are_not() -> None:
    assert _outline(CASES["waived"].decision).notes == (
        "waiver runs out in 2d: waivers.yaml:3, freshness.stage features, by user:kai until "
        "2026-11-23T21:18:00Z (GOV-481)",
        "waiver ran out: waivers.yaml:27, evaluation.floor accuracy, by user:kai until 2026-11-20T21:18:00Z "
        "(GOV-481)",
        "waiver is no entry: waivers.yaml:39, (unreadable), by user:kai (GOV-481): malformed: the key 'expires' "
        "is required",
        "waiver does not count: waivers.yaml:56, pipeline.rollback model, by user:kai until "
        "2026-11-30T21:18:00Z (GOV-481): the policy is at level require",
        "waiver not needed: waivers.yaml:44, freshness.stage features, by user:kai until 2026-11-30T21:18:00Z "
        "(GOV-481): it is for v1, and v2 is asked about",
    )


def test_what_could_not_be_assessed_and_is_waived_is_shown_and_counted() -> None:
    outline = _outline(CASES["waived"].decision)
    assert "2 waived" in outline.coverage
    (row,) = [row for row in outline.rows if row.policy == "freshness.end_to_end"]
    assert (row.status, row.said[:13], row.origin[:11]) == ("WAIVED", "not assessed:", "by user:kai")


def test_waivers_without_effect_are_said() -> None:
    assert _outline(CASES["advise"].decision).notes == (
        "waiver ran out: evaluation.floor, by m.ito until 2026-11-20T21:18:00Z (demo)",
    )


def test_what_a_waived_failure_left_unassessed_is_listed_as_unknown() -> None:
    late = LATE.model_copy(update={"waived": "by user:kai until 2026-12-01: GOV-481"})
    failed = judgement("freshness.stage", "fail", late, reason="embeddings gave no answer (x)")
    partial = failed.model_copy(update={"result": failed.result.model_copy(update={"partial": True})})
    told = _outline(decision(partial, *passes("freshness.stage")))
    assert [(row.status, row.said) for row in told.rows] == [
        ("unknown", "embeddings gave no answer (x)"),
        ("WAIVED", LATE.message),
    ]
    assert told.notes == ()
    found = problems(decision(partial, *passes("freshness.stage")), ReportContext())
    assert [(problem.status, problem.shuts) for problem in found] == [("unknown", True), ("WAIVED", False)]
    excused = _outline(
        decision(partial.model_copy(update={"waived": "by user:kai"}), *passes("freshness.stage"))
    )
    assert [row.status for row in excused.rows] == ["WAIVED", "WAIVED"]
    assert "2 waived" in excused.coverage
