"""The proof of policies: every way in which a rule can be no rule is found, and honest rules are proven."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

import pytest
from pydantic import ValidationError

from aigate.collect.policy_files import declared
from aigate.decision import Finding, PolicyInfo, PolicyResult
from aigate.digest import digest_bytes
from aigate.isolate import Limits
from aigate.mutate import Change, Mutation, around, for_policy, placed, places, related, singles
from aigate.policy import PolicyFile
from aigate.prove import Case, Coverage, Covered, Flaw, Proof, Proven, Suite, cover, settle
from aigate.provoke import constants, elsewhere, guesses, joint, together
from aigate.report import ReportContext
from aigate.report.proof import render
from aigate.rules import read_standard
from aigate.snapshot import Snapshot, Tag
from aigate.testing import passing_snapshot
from aigate.trial import Base, Trial, base_of
from aigate.trial.sites import deny_sites
from standard_pack import pack

PASSING = passing_snapshot()
DATA = json.loads(PASSING.model_dump_json(by_alias=True))
EVERY = (*joint(PASSING, DATA), *singles(PASSING))
BASES = (base_of("passing", PASSING), base_of("champion", passing_snapshot("retain"), mutated=False))

TOP = """\
import random
import sys
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

from aigate import Findings, Skip, Snapshot, deny, policy
from aigate.values import Missing

remembered = []


"""


def made(shown: str, **policies: str) -> PolicyFile:
    """A file with a policy each: its id after the theme, its parameters after `(`, and its body."""
    text = TOP
    for name, body in policies.items():
        head, _, rest = body.partition("|") if "|" in body else ("", "", body)
        text += f'@policy("house.{name}")\ndef {name}(s: Snapshot{head and ", *, " + head}) -> Findings:\n'
        text += f'    """It is {name}."""\n' + "".join(f"    {line}\n" for line in rest.strip().splitlines())
        text += "    if False:\n        yield deny('')\n\n\n"
    data = text.encode()
    return PolicyFile(shown, data, digest_bytes(data), declared(data, shown))


def tried(
    *files: PolicyFile,
    params: Mapping[str, Mapping[str, object]] | None = None,
    bases: tuple[Base, ...] = BASES,
) -> dict[str, Proven]:
    trial = Trial(files, params or {}, Limits(seconds=3), workers=2)
    return {
        id.removeprefix("house."): settle(case, environment="production", level="block", standard=False)
        for id, case in trial.run(bases).items()
    }


# --- policies that are no rules ---------------------------------------------------------------------------

BAD = {
    "never": ("if s.model.name == 'x' and s.model.name == 'y': yield deny('no')", "never_fails", "cannot block"),
    "yes": ("s.model.name", "never_fails", "cannot block"),
    "no": ("yield deny(s.model.name)", "never_passes", "nothing made it pass"),
    "crashes": ("if s.stages[0].name == 'x': yield deny('no')", "error", r"IndexError in line \d+: .*nothing in /stages"),
    "divides": (
        "if 1 / s.judged.metric('accuracy').value > 100: yield deny('no')",
        "error",
        "DivisionByZero in line",
    ),
    "exits": ("if s.owner is None: sys.exit(0)\nif s.model.name != 'churn': yield deny('no')", "error", "SystemExit"),
    "loses": ("if not s.owner: deny('no')\nif s.model.name != 'churn': yield deny('no')", "error", "did not yield"),
    "guesses": ("yield deny(f'{s.model.name} {random.random()}')", "unsteady", "asked twice"),
    "swallows": (
        "raw = s._at[0]\nif isinstance(raw.model, Missing): s.__dict__['_'] = 1; s.owner; return\n"
        "if s.model.name != 'churn': yield deny('no')",
        "swallows",
        "passes with missing /model",
    ),
    "hides": (
        "raw = s._at[0]\nif not raw.model.tags: yield deny('no tags')\nif s.owner is None: yield deny('no')",
        "hides",
        "/model/tags, which it does not say it reads",
    ),
    "skips": ("raise Skip(s.model.name)", "never_fails", "seen: skip"),
    "deaf": (
        "try: name = s._at[0].model.name\nexcept AttributeError: name = 'churn'\n"
        "if name != 'churn' or (s.owner is None): yield deny('no')",
        "hides",
        "which it does not say it reads",
    ),
}  # fmt: skip

HONEST = {
    "tag": "if s.model.tag('pii') == 'raw': yield deny('no')",
    "both": "if s.judged.metric('accuracy').value < Decimal('0.5') "
    "and s.judged.metric('latency_p95_ms').value > 1000: yield deny('no')",
    "narrow": "v = s.judged.metric('accuracy').value\n"
    "if Decimal('0.9431') < v < Decimal('0.9439'): yield deny('no')",
    "owned": "if s.owner is None: yield deny('no')",
    "aged": "most: timedelta = timedelta(hours=3)|for stage in s.stages:\n"
    "    with suppress(Exception):\n        if stage.age is not None and stage.age > most: yield deny('late')",
    "off": "on: bool = False|if not on: raise Skip(f'off for {s.model.name}')\nyield deny('on')",
}


@pytest.fixture(scope="module")
def judged() -> dict[str, Proven]:
    """Every policy in a file of its own: one that exits takes nobody along."""
    bodies = {**{name: body for name, (body, _, _) in BAD.items()}, **HONEST}
    return tried(*(made(f"policies/{name}.py", **{name: body}) for name, body in bodies.items()))


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_a_rule_that_is_none_is_found(name: str, judged: dict[str, Proven]) -> None:
    _, kind, words = BAD[name]
    found = judged[name]
    assert found.state == "unproven"
    assert kind in [flaw.kind for flaw in found.flaws], found.flaws
    assert any(re.search(words, flaw.message) for flaw in found.flaws), found.flaws
    assert all(flaw.fix for flaw in found.flaws)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tag", "both", "narrow", "owned", "aged"])
def test_an_honest_rule_is_proven(name: str, judged: dict[str, Proven]) -> None:
    found = judged[name]
    assert found.state == "proven", found.flaws
    assert {seen.outcome for seen in found.seen} >= set(found.needed)


@pytest.mark.slow
def test_what_reads_no_evidence_need_not_be_unknown(judged: dict[str, Proven]) -> None:
    assert judged["owned"].needed == ("pass", "fail")
    assert judged["tag"].needed == ("pass", "fail", "unknown")


@pytest.mark.slow
def test_a_rule_that_is_switched_off_is_told_from_one_that_says_nothing(judged: dict[str, Proven]) -> None:
    assert judged["off"].state == "off"
    assert judged["off"].note == "off in production: it fails with on: true"
    assert judged["skips"].state == "unproven"


def test_one_that_hangs_is_ended_and_named() -> None:
    body = "if s.owner is None:\n    while True: pass\nif s.model.name != 'churn': yield deny('no')"
    trial = Trial((made("policies/h.py", hangs=body),), {}, Limits(seconds=0.7), workers=2)
    case = trial.run(BASES[:1])["house.hangs"]
    assert case.flaws["error"].startswith("it took longer than 0.7 s (passing, ")
    assert trial.tried > 2


def test_what_a_policy_remembers_is_forgotten() -> None:
    """Each answer is of a process of its own, as in the gate: a policy that counts cannot pass the second time."""
    body = "remembered.append(1)\nif len(remembered) == 1 or s.model.name != 'churn': yield deny('first')"
    found = tried(made("policies/r.py", counts=body))["counts"]
    assert [flaw.kind for flaw in found.flaws] == ["never_passes"]


def test_parameters_of_the_environment_decide() -> None:
    """A bound that the manifest sets so that nothing reaches it is no bound."""
    body = "most: int = 3|if len(s.stages) < most: yield deny('few')"
    file = made("policies/b.py", bound=body)
    assert tried(file)["bound"].state == "proven"
    loose = tried(file, params={"house.bound": {"most": 0}})["bound"]
    assert [flaw.kind for flaw in loose.flaws] == ["never_fails"]


def test_evidence_of_tests_is_evidence_to_begin_with() -> None:
    """A rule about a stage that the shipped snapshot does not have is proven from its author's own snapshot."""
    body = "stage = s.stage('-'.join(('a', 'graph')))\nif stage is None: raise Skip(f'no graph in {len(s.stages)} stages')\n"
    body += "if stage.owner != 'ml': yield deny('no')"
    file = made("policies/g.py", graph=body)
    assert tried(file)["graph"].state == "unproven"
    stages = [
        {**stage, "name": "a-graph", "owner": "ml"} if stage["name"] == "scoring" else stage
        for stage in DATA["stages"]
    ]
    own = Base(
        "test_graph.py::test_it", {**DATA, "stages": stages}, frozenset({"house.graph"}), by_tests=True
    )
    found = tried(file, bases=(*BASES, own))["graph"]
    assert found.state == "proven", found.flaws
    assert [seen.by for seen in found.seen if seen.outcome == "pass"] == ["tests"]


# --- the standard pack -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_standard_policy_is_proven_by_everything_there_is_to_try() -> None:
    trial = Trial(read_standard(), {}, workers=2, thorough=True)
    found = [
        settle(c, environment="production", level="block", standard=True) for c in trial.run(BASES).values()
    ]
    assert {one.policy for one in found} == set(pack())
    assert [(one.policy, one.flaws) for one in found if one.state == "unproven"] == []
    assert [one.policy for one in found if one.state == "off"] == ["pipeline.watched"]
    assert trial.tried > 500


@pytest.mark.slow
@pytest.mark.parametrize("environment", ["production", "staging"])
def test_they_are_in_another_environment_and_switched_on(environment: str) -> None:
    base = Base("moved", placed(DATA, environment, "next"))
    trial = Trial(read_standard(), {"pipeline.watched": {"max_silence": "15m"}}, workers=2)
    found = [
        settle(c, environment=environment, level="block", standard=True) for c in trial.run((base,)).values()
    ]
    assert [(one.policy, one.state, one.flaws) for one in found if one.state != "proven"] == []


# --- mutations are data ---------------------------------------------------------------------------------------------


def test_places_are_named_as_policies_name_what_they_read() -> None:
    known = {place.pointer for place in places(PASSING)}
    methods = (
        "/tag/",
        "/param/",
        "/metric/",
        "/judge/",
        "/stage/",
        "/judged",
        "/limit",
        "/lower_is_better",
        "/limited",
    )
    for policy in pack().values():
        unknown = [read for read in policy.run(PASSING).reads if read not in known]
        assert [read for read in unknown if not any(part in read for part in methods)] == []


def test_each_kind_is_among_them() -> None:
    wanted = {
        "missing",
        "nan",
        "removed",
        "emptied",
        "stale",
        "future",
        "range",
        "swapped",
        "dataset",
        "other",
        "added",
    }
    assert {mutation.kind for mutation in EVERY} == wanted


def at(data: Any, keys: tuple[str | int, ...]) -> Any:
    for key in keys:
        data = data[key]
    return data


@pytest.mark.parametrize("start", range(0, len(EVERY), 500))
def test_a_mutation_changes_what_it_says_and_nothing_else(start: int) -> None:
    before = json.dumps(DATA)
    for mutation in EVERY[start : start + 60]:
        found = mutation.apply(DATA)
        assert json.dumps(DATA) == before
        for change in mutation.changes:
            assert at(found, change.keys) == change.value
        back = found
        for change in mutation.changes:
            back = Mutation("other", "", (Change("", change.keys, at(DATA, change.keys)),)).apply(back)
        assert json.dumps(back, sort_keys=True) == json.dumps(DATA, sort_keys=True)


def test_no_mutation_counts_or_lasts_less_than_nothing() -> None:
    """The gate makes no such evidence: a rule that breaks on nothing else can never block."""
    found = {place.pointer: place for place in places(PASSING)}
    counts = [m for m in EVERY for c in m.changes if type(c.value) is int and c.value < 0]
    spans = [m for m in EVERY for c in m.changes if str(c.value).startswith("-PT")]
    assert (counts, spans) == ([], [])
    rows = "/challenger/measurements/accuracy/rows"
    guessed = [m.changes[0].value for m in guesses(PASSING, DATA, {rows}, ["0", "-5"])]
    assert found[rows].value is not None
    assert guessed == [0, 1, 1]


def test_most_mutations_are_snapshots_that_the_gate_could_have_made() -> None:
    built = 0
    for mutation in EVERY[::10]:
        try:
            Snapshot.model_validate_json(json.dumps(mutation.apply(DATA)))
            built += 1
        except ValidationError:
            continue
    assert built > len(EVERY) / 10 * 0.7


def test_missing_goes_exactly_where_evidence_can_be_missing() -> None:
    found = {m.changes[0].pointer for m in singles(PASSING) if m.kind == "missing"}
    assert {"/model", "/champion", "/challenger/run", "/stages/features/age"} <= found
    assert not {"/owner", "/now", "/stages", "/thresholds"} & found
    for mutation in (m for m in singles(PASSING) if m.kind in ("missing", "nan")):
        Snapshot.model_validate_json(json.dumps(mutation.apply(DATA)))


def test_of_one_shape_the_first_few_are_tried() -> None:
    reads = [place.pointer for place in places(PASSING) if place.pointer.endswith("/provenance/set_on")]
    assert len(reads) > 10
    found = [
        m for m in for_policy(EVERY, reads) if m.name.startswith("ten years ago at") and len(m.changes) == 1
    ]
    assert len([m for m in found if "/thresholds/" in m.changes[0].pointer]) == 2


def test_where_a_policy_is_waiting_for_a_text_it_is_tried() -> None:
    names = [m.name for m in guesses(PASSING, DATA, {"/model/tag/pii", "/model/name"}, ("raw", "7"))]
    assert "pii = 'raw' among /model/tags" in names
    assert "'raw' at /model/name" in names
    numbers = [
        m.changes[0].value
        for m in guesses(PASSING, DATA, {"/challenger/measurements/accuracy/value"}, ("0.91", "no number"))
    ]
    assert numbers == ["-0.09", "0.90", "0.91", "0.92", "1.91"]


def test_constants_are_those_that_code_compares_with() -> None:
    source = b'"""Words."""\nX = "raw"\n\ndef f(v):\n    """More."""\n    return v == 0.91 or v in ("a", 7, True) or f"{v} is"\n'
    assert constants(source) == ("raw", "0.91", "a", "7")
    assert constants(b"def") == ()


def test_several_at_once_never_hold_each_other() -> None:
    reads = {"/owner", "/owner/team", "/model/name", "/model/tags"}
    for mutation in islice(together(EVERY, reads), 400):
        keys = [change.keys for change in mutation.changes]
        assert len(keys) > 1
        assert not [1 for a in keys for b in keys if a != b and b[: len(a)] == a]


def test_everything_else_can_be_otherwise_at_once() -> None:
    reads = {"/model/name", "/owner"}
    found = list(elsewhere(EVERY, reads))
    built = []
    for mutation in found:
        assert not mutation.explains(reads)
        with suppress(ValidationError):
            built.append(Snapshot.model_validate_json(json.dumps(mutation.apply(DATA))))
    assert len(built) >= 7


def test_another_environment_moves_what_was_tuned_in_this_one() -> None:
    moved = Snapshot.model_validate_json(json.dumps(placed(DATA, "staging", "next")))
    assert (moved.environment, moved.alias) == ("staging", "next")
    assert {t.provenance.environment for t in moved.thresholds if t.provenance} == {"staging"}
    assert DATA["environment"] == "production"
    assert [alias.name for alias in moved.model.aliases] == ["challenger", "next"]


def test_what_holds_a_reading() -> None:
    assert around(["/a/b/c"]) == {"/a", "/a/b", "/a/b/c"}
    assert related("/a/b", "/a/b/c")
    assert not related("/a/b", "/a/bc")


# --- what came of it ----------------------------------------------------------------------------------------------

INFO = PolicyInfo(
    id="house.x",
    title="X",
    severity="low",
    blames="process",
    file="policies/x.py",
    file_digest=digest_bytes(b""),
)


def result(outcome: Any, *reads: str) -> PolicyResult:
    more: dict[str, Any] = {"findings": (Finding(message="m"),)} if outcome == "fail" else {}
    reason = "why" if outcome in ("unknown", "skip", "error") else ""
    return PolicyResult(policy="house.x", outcome=outcome, reason=reason, reads=reads, **more)


def proven(state: Any = "proven") -> Proven:
    flaws = (Flaw(kind="never_fails", message="m", fix="f"),) if state == "unproven" else ()
    return Proven(
        policy="house.x",
        environment="production",
        file="x.py",
        level="block",
        standard=False,
        state=state,
        needed=("pass", "fail"),
        seen=(),
        flaws=flaws,
    )


@pytest.mark.parametrize(
    ("policies", "tested", "threshold", "code"),
    [
        pytest.param((proven(),), "passed", None, 0, id="all-proven"),
        pytest.param((proven("off"), proven()), "none", None, 0, id="no-tests"),
        pytest.param((proven("unproven"),), "passed", None, 1, id="one-is-not"),
        pytest.param((proven(),), "failed", None, 1, id="tests-failed"),
        pytest.param((proven(),), "not_run", None, 2, id="tests-did-not-run"),
        pytest.param((proven("unproven"),), "not_run", None, 1, id="neither"),
        pytest.param((proven(),), "passed", 50, 0, id="enough-seen"),
        pytest.param((proven(),), "passed", 51, 1, id="too-little-seen"),
        pytest.param((), "passed", None, 1, id="nothing-on-trial"),
    ],
)
def test_exit_codes(policies: tuple[Proven, ...], tested: Any, threshold: int | None, code: int) -> None:
    half = Coverage(policies=(Covered(policy="house.x", points=4, seen=2),), threshold=threshold)
    proof = Proof(environments=("production",), tested=Suite(state=tested), policies=policies, coverage=half)
    assert proof.exit_code == code
    assert Proof.model_validate_json(proof.model_dump_json(by_alias=True)) == proof


@pytest.mark.parametrize(
    ("reason", "fix"),
    [
        ("it took longer than 10 s", "make it end"),
        ("it read no evidence, so it cannot know", "read the snapshot before it passes or skips"),
        ("it made a finding and did not yield it: m", "write `yield deny"),
        ("it yielded str, not what deny() makes", "yield what deny() makes"),
        ("it ended as skip without a reason", "give the reason"),
        ("its process ended without an answer, or with nonsense", "leave out what ends or fills a process"),
        ("it is not a generator: report with `yield deny(...)`", "report with `yield deny"),
        ("it raised ValueError in line 3: boom", "guard against it"),
    ],
)
def test_each_error_has_a_fix_of_its_own(reason: str, fix: str) -> None:
    """Who is told to mind empty lists where a loop never ends looks in the wrong place."""
    case = Case(INFO, frozenset())
    case.hear(PolicyResult(policy="house.x", outcome="error", reason=reason), "here")
    (flaw,) = settle(case, environment="production", level="block", standard=False).flaws
    assert flaw.fix.startswith(fix)


def test_a_rule_that_never_knows_holds_and_does_not_block() -> None:
    case = Case(INFO, frozenset())
    case.hear(result("unknown", "/model/name"), "here")
    never = settle(case, environment="production", level="block", standard=False).flaws[0]
    assert (never.kind, never.message.partition(":")[0]) == ("never_fails", "this rule only holds")


def test_the_parameters_under_which_nothing_makes_it_fail_are_named() -> None:
    """It may be the manifest, and not the rule, that lets everything pass."""
    case = Case(INFO.model_copy(update={"params": (Tag(key="least", value="0"),)}), frozenset())
    case.hear(result("pass", "/owner"), "here")
    (never,) = settle(case, environment="production", level="block", standard=False).flaws
    assert "nothing made it fail with least: 0 (seen: pass)" in never.message


def test_a_rule_that_only_advises_is_said_to() -> None:
    case = Case(INFO, frozenset())
    for outcome in ("pass", "fail"):
        case.hear(result(outcome, "/owner"), "here")
    found = settle(case, environment="staging", level="advise", standard=False)
    assert (found.state, found.note) == ("proven", "it blocks nothing in staging: its level there is advise")
    proof = Proof(environments=("staging",), tested=Suite(state="none"), policies=(found,))
    assert "pass, fail; it blocks nothing in staging" in render(proof, ReportContext())
    assert not settle(case, environment="staging", level="block", standard=False).note


def test_nothing_to_see_is_seen() -> None:
    assert Coverage(policies=()).percent == 100
    assert Coverage(policies=(Covered(policy="a", points=3, seen=2),), threshold=66).enough
    assert not Coverage(policies=(Covered(policy="a", points=3, seen=2),), threshold=67).enough


def test_a_case_needs_unknown_once_it_has_read_evidence() -> None:
    case = Case(INFO, frozenset({"/model"}))
    case.hear(result("pass", "/owner"), "here")
    assert case.needed == ("pass", "fail")
    case.hear(result("pass", "/model/name"), "there")
    assert case.lacking == ("fail", "unknown")


def test_a_change_of_what_was_not_read_explains_nothing() -> None:
    case = Case(INFO, frozenset())
    away = Mutation("removed", "none at /owner", (Change("/owner", ("owner",), None),))
    case.compare(away, result("pass", "/model/name"), result("fail", "/model/name"), "here")
    assert list(case.flaws) == ["hides"]
    other = Case(INFO, frozenset())
    other.compare(away, result("pass", "/owner/team"), result("fail", "/owner"), "here")
    assert not other.flaws


def test_cover_counts_outcomes_and_denials() -> None:
    case = Case(INFO, frozenset({"/model"}))
    case.hear(result("pass", "/model/name"), "here")
    found = cover(case, {"pass", "fail"}, (4, 9), {9})
    assert (found.points, found.seen, found.unseen) == (5, 3, ("unknown", "deny in line 4"))


def test_denials_are_found_through_the_file_s_own_functions() -> None:
    source = b"""\
from aigate import deny, policy

def helper(s):
    return deny(
        "x")

@policy("a.b")
def one(s):
    yield helper(s)
    yield deny("y")

@policy(id="a.c")
def two(s):
    yield from again(s)

def again(s):
    yield from again(s)
    yield deny("z")
"""
    assert deny_sites(source) == {"a.b": (4, 10), "a.c": (18,)}
    assert deny_sites(b"def") == {}
