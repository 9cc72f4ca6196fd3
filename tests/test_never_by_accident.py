"""The standing rule: never yes by accident.

Whatever is taken away from the evidence of a system that is well, or spoilt in
it, the answer is not `allow`; but for what is provably not needed, which is
listed here with its reason, and nothing else is.
"""

import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aigate.decision import Actor, Decision, PolicyResult, Versions
from aigate.evaluate import Setting, decide, judge
from aigate.snapshot import Snapshot
from aigate.testing import change, missing, passing_snapshot
from poison import Place, Poison, places, poisons
from standard_pack import infos, pack, passing, with_

NAMES = "names the thing for the reader and the record; nothing is held against it"
ASSEMBLED = "what follows from it stands in the snapshot already, and is read there"
ABSENT = "a fact, not a gap: there is none, and then there is nothing to hold"

NOT_NEEDED: list[tuple[str, str]] = [
    # The versions
    (r"/(challenger|champion)/(aliases|lineage) empty", NAMES),
    (r"/(challenger|champion)/subject/(registry|source|model_id) \w+", NAMES),
    (r"/(challenger|champion)/subject/created_at past", "an old version may be promoted"),
    (r"/champion/subject/(created_at future|run_id \w+)", "the champion's measurements are compared, not its run"),
    (r"/(challenger|champion)/tags( empty|/[^/]+/key other)", f"no artifact digest was recorded: {ABSENT}"),
    (r"/challenger/run/(user|started_at|tags|metrics) \w+", NAMES),
    (r"/challenger/run/ended_at none", f"no end was logged: {ABSENT}"),
    (r"/challenger/run/params/retrieval_confidence/(key|value) other", ASSEMBLED),
    (r"/challenger/run/datasets.*", "the data of the metrics is read; this tells only which of it was trained on"),
    (r"/champion/run( missing| none|/.*)", "the champion's measurements are compared, not its run"),
    # Measurements
    (r"/(challenger|champion)/measurements/[^/]+/(step|run_id) \w+", NAMES),
    (r"/(challenger|champion)/measurements/[^/]+/recorded_at past", "an evaluation does not age; its data does"),
    (r"/(challenger|champion)/measurements/[^/]+/dataset/(name|context) \w+", "the digest says which data it is"),
    (
        r"/challenger/measurements/(?!latency)[^/]+/(dataset/)?rows \w+"
        r"|/challenger/measurements/latency_p95_ms/(dataset/)?rows (huge|none)"
        r"|/champion/measurements/[^/]+/(dataset/)?rows \w+",
        "paired rows are counted in the comparison, point estimates are compared without a count",
    ),
    (
        r"/champion/(judges( \w+|/.*)|measurements/correctness~1mean/.*)",
        "the metric has no margin, so the champion's value of it is not compared",
    ),
    (r"/challenger/judges/correctness/digest \w+", "judges are held against each other for a margin only"),
    (r"/challenger/judges/correctness/failed nought", "coverage counts the rows that were judged"),
    # Comparisons
    (r"/comparisons( empty|/\d/(metric other|rows none))", "values and row counts are tested in the place of rows"),
    (r"/comparisons/[12]/rows.*", "a slice that is within its margin by its value needs no test of it"),
    (r"/comparisons/0/rows/deviation \w+", "the spread of a binary score follows from its counts"),
    (r"/comparisons/0/rows/binary turned", "the same mean and spread pass the test for other scores"),
    # Stages
    (r"/stages/scoring/(age|evidence_age) missing", "the stage promises nothing"),
    (r"/stages/[^/]+/freshness/(inputs.*|version \w+|read_at \w+)", ASSEMBLED),
    (r"/stages/[^/]+/freshness/(claimed none|inferred empty)", ABSENT),
    (r"/end_to_end/(hidden|path|weakest) \w+", "words of a finding"),
    (r"/end_to_end/(lower_bound|worst_case) none", ABSENT),
    # Thresholds
    (r"/thresholds/(?!thresholds\.).*/applied missing", "no place of application is declared for it"),
    (r"/thresholds/thresholds\.retrieval_confidence/applied/place other", NAMES),
    (r"/thresholds/.*/edited_on (none|past)", "not under version control, or not changed since it was set"),
    (r"/thresholds/(stages|objectives)\..*/run missing", "its provenance names no run"),
    (r"/thresholds/.*/run/(user|started_at|ended_at|tags|metrics) \w+", NAMES),
    (r"/thresholds/.*/run/datasets.*", "the dataset that its provenance names is held against the evaluation's"),
    (r"/thresholds/.*/run/params( empty|/retrieval_confidence/key other)", "the run says nothing of the threshold"),
    (r"/thresholds/metrics.*/run/params/retrieval_confidence/value other", "it is a parameter of another name"),
    # The registered model, and the list of sources
    (r"/model/(created_at|description) \w+", NAMES),
    (r"/model/tags( empty|/owner/key other)", f"no owner tag: {ABSENT}"),
    (r"/model/aliases/challenger/(name|version) other", "the alias that is asked for is the other one"),
    (r"/evidence.*", "it lists who was asked; what they said stands in its own place"),
]  # fmt: skip


def decision(snapshot: Snapshot) -> Decision:
    """Evaluate the whole pack and decide, as the gate does."""
    results = {id: policy.run(snapshot) for id, policy in pack().items()}
    return decide(snapshot, judge(infos(), results, {}), SETTING)


SETTING = Setting(
    policies_digest=f"sha256:{'0' * 64}",
    isolation="none",
    versions=Versions(aigate="0", python="3", pydantic="2"),
    actor=Actor(name="test"),
)


@cache
def everywhere() -> tuple[Place, ...]:
    return tuple(places(passing()))


@cache
def everything() -> tuple[Poison, ...]:
    return tuple(poison for place in everywhere() for poison in poisons(place))


def needed(poison: Poison) -> bool:
    return not any(re.fullmatch(pattern, str(poison)) for pattern, _ in NOT_NEEDED)


def spoil(snapshot: Snapshot, poison: Poison) -> Snapshot | None:
    """The snapshot with one place spoilt; None where such a snapshot cannot be."""
    try:
        return change(snapshot, poison.pointer, poison.value)
    except (ValidationError, KeyError):
        return None


@pytest.mark.parametrize(("question", "verdict"), [("promote", "allow"), ("retain", "keep")])
def test_a_system_that_is_well_is_allowed(question: str, verdict: str) -> None:
    found = passing_snapshot("promote" if question == "promote" else "retain")
    if question == "retain":
        # The threshold was fitted to the version that asks; whether the champion may stay is another manifest.
        found = change(found, "/thresholds/thresholds.retrieval_confidence/provenance/model", "1")
    made = decision(found)
    assert made.verdict == verdict
    assert made.counts.unknown == made.counts.error == made.counts.failed == 0


def losses(*, idle: bool) -> list[str]:
    """The places where evidence can be missing: those where it is needed, or all."""
    found = [place.pointer for place in everywhere() if place.evident]
    return [at for at in found if idle or needed(Poison(at, "missing", None))]


@pytest.mark.parametrize("place", losses(idle=False))
def test_evidence_that_is_missing_never_allows(place: str) -> None:
    assert decision(change(passing(), place, missing("gone"))).verdict != "allow"


@pytest.mark.parametrize("place", losses(idle=True))
def test_whoever_rests_on_evidence_cannot_pass_without_it(place: str) -> None:
    """What a policy says it has read, it has read: without it, it does not pass."""
    spoilt = change(passing(), place, missing("gone"))
    for id, policy in pack().items():
        reads = policy.run(passing()).reads
        if any(read == place or read.startswith(f"{place}/") for read in reads):
            assert policy.run(spoilt).outcome not in ("pass", "skip"), id


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(everything()), min_size=1, max_size=3))
def test_spoilt_evidence_never_allows(spoils: list[Poison]) -> None:
    snapshot = passing()
    done = []
    for poison in spoils:
        if (spoilt := spoil(snapshot, poison)) is not None:
            snapshot = spoilt
            done.append(poison)
    if any(needed(poison) for poison in done):
        assert decision(snapshot).verdict != "allow", done


@pytest.mark.slow
def test_the_list_of_what_is_not_needed_is_exact() -> None:
    """Every single way to spoil every place: allowed is what is listed, and all that is listed is allowed."""
    built = {
        str(poison): spoilt for poison in everything() if (spoilt := spoil(passing(), poison)) is not None
    }
    allowed = {name for name, spoilt in built.items() if decision(spoilt).verdict == "allow"}
    listed = {name for name in built if any(re.fullmatch(pattern, name) for pattern, _ in NOT_NEEDED)}
    assert sorted(allowed - listed) == []
    assert sorted(listed - allowed) == []
    idle = [pattern for pattern, _ in NOT_NEEDED if not any(re.fullmatch(pattern, name) for name in built)]
    assert idle == []


FAILING: list[tuple[str, object]] = [
    ("/owner", None),
    ("/stages/features/owner", None),
    ("/model/tags/owner/value", "growth"),
    ("/challenger/measurements/accuracy/value", "0.71"),
    ("/challenger/measurements/accuracy/dataset", None),
    ("/challenger/run/deleted", True),
    ("/challenger/judges/correctness/judged", 10),
    ("/thresholds/metrics.accuracy.floor/provenance", None),
    ("/thresholds/thresholds.retrieval_confidence/provenance/environment", "dev"),
    ("/thresholds/thresholds.retrieval_confidence/applied/value", "0.60"),
    ("/stages/features/age", "PT12H"),
    ("/stages/features/freshness/claimed", "error"),
    ("/end_to_end/age", "PT20H"),
    ("/runbooks/0/exists", False),
    ("/champion/status", "FAILED_REGISTRATION"),
    ("/challenger/subject/artifact_digest", f"sha256:{'f' * 64}"),
]


@settings(max_examples=40, deadline=None)
@given(
    broken=st.lists(st.sampled_from(FAILING), min_size=1, max_size=3, unique_by=lambda item: item[0]),
    lost=st.lists(st.sampled_from(losses(idle=True)), min_size=1, max_size=3),
)
def test_losing_evidence_never_makes_an_answer_better(
    broken: list[tuple[str, object]], lost: list[str]
) -> None:
    before = with_(dict(broken))
    after = before
    for pointer in lost:
        after = spoil(after, Poison(pointer, "missing", missing("gone"))) or after
    good = ("pass", "skip")
    for id, policy in pack().items():
        if policy.run(before).outcome not in good:
            assert policy.run(after).outcome not in good, id
    assert decision(after).verdict != "allow"


@pytest.mark.parametrize("id", sorted(pack()))
def test_a_policy_that_gives_no_answer_never_allows(id: str) -> None:
    results = {other: policy.run(passing()) for other, policy in pack().items() if other != id}
    made = decide(passing(), judge(infos(), results, {}), SETTING)
    assert (made.verdict, made.exit_code) == ("hold", 3)


def test_no_policies_and_only_skips_never_allow() -> None:
    assert decide(passing(), (), SETTING).verdict == "hold"
    skips = {id: PolicyResult(policy=id, outcome="skip", reason="does not apply") for id in pack()}
    assert decide(passing(), judge(infos(), skips, {}), SETTING).verdict == "hold"
