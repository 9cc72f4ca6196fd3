"""The stages as one path: what is handed to `lag`, and what comes back into the snapshot."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aigate.limits import AgeLimit
from aigate.snapshot import FreshnessEvidence, InputRead, Stage
from aigate.trace import trace
from aigate.values import gap, missing

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def evidence(kind: Any = "loaded", **ago: Any) -> FreshnessEvidence:
    """Build evidence; times are given in hours before now."""
    times = {key: NOW - hours(value) for key, value in ago.items() if isinstance(value, int | float)}
    rest = {key: value for key, value in ago.items() if key not in times}
    return FreshnessEvidence(kind=kind, observed_at=NOW, **{**times, **rest})


def stage(
    name: str, found: Any = None, *, reads: tuple[str, ...] = (), limit: float | None = 6, **more: Any
) -> Stage:
    lost = gap(found)
    known = None if found is None or lost is not None else NOW - found.as_of
    age = known if lost is None else missing(lost.missing, lost.source)
    return Stage(
        name=name,
        owner=f"{name}-team",
        reads=reads,
        promise=None if limit is None else AgeLimit(value=hours(limit)),
        freshness=found,
        age=age,
        evidence_age=age,
        **more,
    )


def three(features: FreshnessEvidence, index: FreshnessEvidence) -> tuple[Stage, ...]:
    """Transactions, features made from them, an index made from those, and a live stage at the end."""
    return (
        stage("transactions", evidence(as_of=1)),
        stage("features", features, reads=("transactions",)),
        stage("index", index, reads=("features",)),
        stage("scoring", None, reads=("index",), limit=None),
    )


def test_the_end_is_as_old_as_what_the_stages_read() -> None:
    stages = three(evidence("built", as_of=3, read_at=4), evidence("built", as_of=2, read_at=2.5))
    # Transactions were loaded an hour ago, but features read them four hours ago, from an older load.
    found = trace(stages, AgeLimit(value=hours(18)), NOW).end_to_end
    assert found is not None
    assert gap(found.age) is not None
    assert found.lower_bound == hours(4)


def test_versions_that_are_named_make_the_age_known() -> None:
    stages = (
        stage("transactions", evidence("event", as_of=9, version="t1")),
        stage(
            "features",
            evidence(
                "built",
                as_of=5,
                read_at=5.5,
                version="f1",
                inputs=(InputRead(stage="transactions", version="t1"),),
            ),
            reads=("transactions",),
        ),
        stage("scoring", None, reads=("features",), limit=None),
    )
    found = trace(stages, None, NOW).end_to_end
    assert found is not None
    assert (found.age, found.weakest, found.path) == (
        hours(9),
        "transactions",
        ("scoring", "features", "transactions"),
    )


def test_a_healthy_pipeline_of_which_every_stage_has_moved_on_has_a_known_age() -> None:
    """Sources load every quarter of an hour, features are built hourly: what was read is never the newest."""
    stages = (
        stage("transactions", evidence(as_of=0.1, version="t9")),
        stage(
            "features",
            evidence(
                "built",
                as_of=0.5,
                read_at=0.75,
                version="f3",
                inputs=(InputRead(stage="transactions", version="t7", built_at=NOW - hours(1)),),
            ),
            reads=("transactions",),
        ),
        stage(
            "index",
            evidence(
                "built",
                as_of=2,
                read_at=2.5,
                inputs=(InputRead(stage="features", version="f1", as_of=NOW - hours(4)),),
            ),
            reads=("features",),
        ),
        stage("scoring", None, reads=("index",), limit=None),
    )
    found = trace(stages, AgeLimit(value=hours(18)), NOW).end_to_end
    assert found is not None
    assert (found.age, found.weakest, found.hidden) == (hours(4), "features", hours(2))


def test_what_is_assumed_is_said() -> None:
    stages = (
        stage("transactions", evidence(as_of=5)),
        stage("features", evidence("built", as_of=1, read_at=2), reads=("transactions",)),
    )
    found = trace(stages, None, NOW).end_to_end
    assert found is not None
    assert (found.age, found.assumed) == (hours(5), ("features read the newest transactions",))


def test_two_ends_are_as_old_as_the_older_one() -> None:
    stages = (stage("a", evidence(as_of=1)), stage("b", evidence(as_of=5)))
    found = trace(stages, None, NOW).end_to_end
    assert found is not None
    assert (found.age, found.weakest) == (hours(5), "b")


def test_an_end_of_unknown_age_makes_the_whole_unknown_with_the_larger_bound() -> None:
    stages = (stage("a", evidence(as_of=5)), stage("b", missing("503", "b.example")))
    found = trace(stages, None, NOW).end_to_end
    assert found is not None
    lost = gap(found.age)
    assert lost is not None
    assert "503" in lost.missing
    assert found.lower_bound == hours(5)


def test_a_heartbeat_says_nothing_of_the_data() -> None:
    found = trace((stage("a", evidence("heartbeat", as_of=0)),), None, NOW).end_to_end
    assert found is not None
    assert gap(found.age) is not None


def test_the_worst_case_is_the_longest_sum_of_limits() -> None:
    stages = three(evidence(as_of=3), evidence(as_of=2))
    found = trace(stages, None, NOW).end_to_end
    assert found is not None
    assert found.worst_case == hours(18)


def test_a_cache_built_before_its_upstream_changed_is_behind() -> None:
    stages = (
        stage("features", evidence("built", as_of=2)),
        stage("index", evidence("built", as_of=5, read_at=6), reads=("features",)),
    )
    stale = trace(stages, None, NOW).stages[1].stale_inputs
    assert [(s.upstream, s.owner, s.behind) for s in stale] == [("features", "features-team", hours(2))]


def test_a_cache_built_after_its_upstream_is_not() -> None:
    stages = (
        stage("features", evidence("built", as_of=6)),
        stage("index", evidence("built", as_of=2, read_at=3), reads=("features",)),
    )
    assert trace(stages, None, NOW).stages[1].stale_inputs == ()


@pytest.mark.parametrize(
    "found", [missing("503", "x"), evidence("built", as_of=2)], ids=["silent", "says-not-when-it-read"]
)
def test_a_declared_cache_that_does_not_tell_is_a_gap(found: Any) -> None:
    stages = (
        stage("features", evidence("built", as_of=3)),
        stage("index", found, reads=("features",), allowance=hours(1)),
    )
    stale = trace(stages, None, NOW).stages[1].stale_inputs
    if gap(found) is None:
        assert stale == () or gap(stale) is not None
    else:
        assert gap(stale) is not None


def test_no_stages_no_path() -> None:
    assert trace((), None, NOW).end_to_end is None
