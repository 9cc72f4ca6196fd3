"""Freshness: each policy seen to pass, fail, go unknown and skip; ages at their limits."""

from datetime import timedelta

import pytest

from aigate.limits import AgeLimit
from aigate.snapshot import StaleInput
from aigate.testing import NOW, missing
from standard_pack import ask, expect, passing, with_

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def test_a_promise_on_one_stage_is_enough() -> None:
    expect("freshness.promised", {}, "pass")
    expect(
        "freshness.promised", {"/stages/transactions/promise": None, "/stages/features/promise": None}, "pass"
    )


def test_no_promise_fails_and_shows_the_lines_to_add() -> None:
    changes = {f"/stages/{name}/promise": None for name in ("transactions", "features", "embeddings")}
    expect(
        "freshness.promised", {**changes}, "fail", "transactions, features", "max_age: 2h", keys=("stages",)
    )
    expect("freshness.promised", {"/stages": ()}, "fail", "no stage is declared")


@pytest.mark.parametrize(
    ("age", "grace", "outcome"),
    [
        pytest.param(6 * HOUR, None, "pass", id="at-the-limit"),
        pytest.param(6 * HOUR + SECOND, None, "fail", id="a-second-beyond"),
        pytest.param(7 * HOUR, "1h", "pass", id="within-grace"),
        pytest.param(7 * HOUR + SECOND, "1h", "fail", id="beyond-grace"),
    ],
)
def test_a_stage_keeps_its_promise(age: timedelta, grace: str | None, outcome: str) -> None:
    params = {} if grace is None else {"grace": grace}
    expect("freshness.stage", {"/stages/features/age": age}, outcome, **params)  # type: ignore[arg-type]  # from the table


def test_a_late_stage_says_how_old_whose_and_since_when() -> None:
    changes: dict[str, object] = {"/stages/features/age": 12 * HOUR, "/stages/transactions/age": 3 * HOUR}
    found = expect("freshness.stage", changes, "fail", keys=("transactions", "features"))
    late = found.findings[1]
    assert "features is 12h old, promised 6h (newest data 2026-11-21T10:45:00Z)" in late.message
    assert (late.value, late.limit, late.owner) == ("12h", "6h", "data-eng (#data-eng)")
    assert late.origin == "set by d.silva 2026-08-02, review by 2027-02-02"


def test_the_instant_wins_over_an_age_that_says_better() -> None:
    expect("freshness.stage", {"/stages/features/freshness/as_of": NOW - 7 * HOUR}, "fail", "7h old")


@pytest.mark.parametrize("skew", [60, 61], ids=["within-skew", "beyond-skew"])
def test_data_of_the_future_is_unknown(skew: int) -> None:
    changes = {"/stages/features/freshness/as_of": NOW + timedelta(seconds=skew)}
    expect("freshness.stage", {**changes}, "pass" if skew == 60 else "unknown")


def test_one_silent_stage_does_not_hide_another_that_is_late() -> None:
    changes = {"/stages/transactions/age": missing("time-out"), "/stages/features/age": 9 * HOUR}
    expect("freshness.stage", changes, "fail", "time-out", keys=("features",))


@pytest.mark.parametrize("value", [missing("time-out"), None], ids=["missing", "a-promise-without-an-answer"])
@pytest.mark.parametrize(
    ("id", "place"),
    [("freshness.stage", "age"), ("freshness.stage", "freshness"), ("freshness.evidence", "evidence_age")],
)
def test_a_promise_that_nobody_can_check_is_unknown(id: str, place: str, value: object) -> None:
    expect(id, {f"/stages/features/{place}": value}, "unknown")


@pytest.mark.parametrize("id", ["freshness.stage", "freshness.evidence"])
def test_without_promises_there_is_nothing_to_check(id: str) -> None:
    expect(id, {"/stages": ()}, "skip", "freshness.promised")


def test_evidence_at_its_limit_passes_and_beyond_fails() -> None:
    expect("freshness.evidence", {"/stages/features/evidence_age": timedelta(minutes=15)}, "pass")
    old = {"/stages/features/evidence_age": timedelta(minutes=15) + SECOND}
    expect("freshness.evidence", {**old}, "fail", "15m 01s old", "the default", keys=("features",))
    observed = {"/stages/features/freshness/observed_at": NOW - HOUR}
    expect("freshness.evidence", {**observed}, "fail", keys=("features",))


def test_a_declared_evidence_limit_counts_and_is_named() -> None:
    limit = AgeLimit(value=3 * HOUR, provenance=passing().stages[0].promise.provenance)  # type: ignore[union-attr]  # it has one
    changes: dict[str, object] = {
        "/stages/features/evidence_limit": limit,
        "/stages/features/evidence_age": 2 * HOUR,
    }
    expect("freshness.evidence", changes, "pass")
    changes["/stages/features/evidence_age"] = 4 * HOUR
    expect("freshness.evidence", changes, "fail", "set by d.silva")


def test_an_answer_of_the_future_or_without_a_limit_is_unknown() -> None:
    expect("freshness.evidence", {"/stages/features/freshness/observed_at": NOW + HOUR}, "unknown", "future")
    expect("freshness.evidence", {"/stages/features/evidence_limit": None}, "unknown")


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("pass", "pass"),
        ("OK", "pass"),
        ("warn", "fail"),
        ("Error", "fail"),
        ("runtime error", "fail"),
        ("purple", "unknown"),
    ],
)
def test_a_source_may_only_make_it_worse(word: str, outcome: str) -> None:
    expect("freshness.claimed", {"/stages/embeddings/freshness/claimed": word}, outcome)  # type: ignore[arg-type]  # from the table


def test_words_of_ones_own_can_be_welcome_but_never_bad_ones() -> None:
    purple: dict[str, object] = {"/stages/embeddings/freshness/claimed": "purple"}
    expect("freshness.claimed", purple, "pass", good=("Purple",))
    expect("freshness.claimed", {"/stages/embeddings/freshness/claimed": "error"}, "fail", good=("error",))


def test_one_silent_source_does_not_hide_the_bad_word_of_another() -> None:
    changes: dict[str, object] = {
        "/stages/features/freshness": missing("time-out"),
        "/stages/embeddings/freshness/claimed": "error",
    }
    expect("freshness.claimed", changes, "fail", "time-out", keys=("embeddings",))


def test_a_source_without_a_verdict_is_a_skip_and_a_silent_one_unknown() -> None:
    expect("freshness.claimed", {"/stages/embeddings/freshness/claimed": None}, "skip")
    expect("freshness.claimed", {"/stages/features/freshness": missing("time-out")}, "unknown", "time-out")


@pytest.mark.parametrize(
    ("age", "outcome"),
    [(18 * HOUR, "pass"), (18 * HOUR + SECOND, "fail")],
    ids=["at-the-objective", "beyond"],
)
def test_the_path_keeps_its_objective(age: timedelta, outcome: str) -> None:
    changes: dict[str, object] = {"/end_to_end/age": age, "/end_to_end/lower_bound": age}
    expect("freshness.end_to_end", changes, outcome)  # type: ignore[arg-type]  # from the table


def test_a_late_path_names_the_path_the_hidden_delay_and_the_weakest_stage() -> None:
    changes: dict[str, object] = {
        "/end_to_end/age": 20 * HOUR,
        "/end_to_end/hidden": 8 * HOUR,
        "/end_to_end/weakest": "features",
    }
    found = expect(
        "freshness.end_to_end", changes, "fail", "→ features →", "8h of it shows on no single stage"
    )
    assert found.findings[0].owner == "data-eng (#data-eng)"


def test_a_lower_bound_beyond_the_objective_is_a_failure_and_below_it_unknown() -> None:
    unknown = missing("version read not known")
    changes = {"/end_to_end/age": unknown, "/end_to_end/lower_bound": 19 * HOUR}
    expect("freshness.end_to_end", changes, "fail", "at least 19h")
    expect(
        "freshness.end_to_end", {**changes, "/end_to_end/lower_bound": 17 * HOUR}, "unknown", "version read"
    )
    expect("freshness.end_to_end", {**changes, "/end_to_end/lower_bound": None}, "unknown")


def test_without_an_objective_or_stages_there_is_nothing_to_keep() -> None:
    expect("freshness.end_to_end", {"/end_to_end/limit": None}, "skip", "objectives.end_to_end_age")
    expect("freshness.end_to_end", {"/end_to_end": None, "/stages": ()}, "skip", "freshness.promised")
    expect("freshness.end_to_end", {"/end_to_end": None}, "unknown", "not followed")


def _stale(behind: timedelta, read: timedelta | None = None) -> StaleInput:
    """An input that was replaced, for the last time so long ago; read as long ago, where nothing else is said."""
    return StaleInput(
        upstream="features",
        owner="data-eng",
        upstream_built_at=NOW - behind,
        built_from=NOW - (behind if read is None else read),
        behind=behind,
    )


@pytest.mark.parametrize(
    ("behind", "outcome"),
    [(4 * HOUR, "pass"), (4 * HOUR + SECOND, "fail")],
    ids=["within-allowance", "beyond"],
)
def test_a_cache_is_stale_beyond_its_allowance(behind: timedelta, outcome: str) -> None:
    expect("freshness.cache", {"/stages/embeddings/stale_inputs": (_stale(behind),)}, outcome)  # type: ignore[arg-type]  # from the table


def test_without_an_allowance_a_stage_may_be_behind_for_as_long_as_it_promised() -> None:
    stage = passing().stage("embeddings")
    assert stage is not None
    assert stage.limit is not None
    changes: dict[str, object] = {"/stages/embeddings/allowance": None}
    within = {**changes, "/stages/embeddings/stale_inputs": (_stale(stage.limit),)}
    expect("freshness.cache", within, "pass")
    beyond = {**changes, "/stages/embeddings/stale_inputs": (_stale(stage.limit + SECOND),)}
    found = expect("freshness.cache", beyond, "fail", "declares no allowance", keys=("embeddings/features",))
    assert "stale for at least" in found.findings[0].message


@pytest.mark.parametrize(
    ("read", "outcome"), [(4 * HOUR, "pass"), (4 * HOUR + SECOND, "unknown"), (90 * HOUR, "unknown")]
)
def test_a_busy_upstream_hides_since_when_a_cache_is_stale(read: timedelta, outcome: str) -> None:
    """It was replaced a minute ago; how often before, since it was read, nobody tells."""
    changes: dict[str, object] = {"/stages/embeddings/stale_inputs": (_stale(MINUTE, read),)}
    expect("freshness.cache", changes, outcome)  # type: ignore[arg-type]  # from the table


@pytest.mark.parametrize(
    ("kind", "as_of", "built", "outcome"),
    [
        ("loaded", 4 * HOUR, None, "pass"),
        ("built", 4 * HOUR + SECOND, None, "unknown"),
        ("event", 90 * HOUR, 4 * HOUR, "pass"),
        ("event", HOUR, None, "unknown"),
        ("heartbeat", HOUR, None, "unknown"),
    ],
)
def test_a_cache_that_does_not_say_when_it_read_has_read_when_it_was_built(
    kind: str, as_of: timedelta, built: timedelta | None, outcome: str
) -> None:
    changes: dict[str, object] = {
        "/stages/embeddings/stale_inputs": (_stale(MINUTE).model_copy(update={"built_from": None}),),
        "/stages/embeddings/freshness/kind": kind,
        "/stages/embeddings/freshness/as_of": NOW - as_of,
        "/stages/embeddings/freshness/built_at": None if built is None else NOW - built,
    }
    words = () if outcome == "pass" else ("or before" if kind == "built" else "as of an unknown time",)
    expect("freshness.cache", changes, outcome, *words)  # type: ignore[arg-type]  # from the table


def test_the_instant_of_the_replacement_wins_and_one_of_the_future_is_unknown() -> None:
    stale = _stale(5 * HOUR).model_dump()
    early = StaleInput.model_validate({**stale, "behind": HOUR})
    expect("freshness.cache", {"/stages/embeddings/stale_inputs": (early,)}, "fail", "5h")
    later = StaleInput.model_validate({**stale, "behind": HOUR, "upstream_built_at": NOW + HOUR})
    expect("freshness.cache", {"/stages/embeddings/stale_inputs": (later,)}, "unknown", "future")


def test_a_cache_that_cannot_tell_is_unknown_and_none_that_tells_a_skip() -> None:
    expect(
        "freshness.cache", {"/stages/features/stale_inputs": missing("cannot tell")}, "unknown", "cannot tell"
    )
    silent: dict[str, object] = {
        f"/stages/{name}/freshness/read_at": None for name in ("features", "embeddings")
    }
    expect("freshness.cache", silent, "skip", "no stage tells")
    assert (
        ask("freshness.cache", with_({"/stages/transactions/freshness": missing("x")})).outcome == "unknown"
    )
