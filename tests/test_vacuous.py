"""What a manifest asks for and can never get, or can never miss, is told with its place and a way out."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate import stats
from aigate.collect.manifest_file import frozen, load_manifest
from aigate.collect.strict_yaml import load_yaml
from aigate.limits import spread_provenance
from aigate.manifest import Manifest
from aigate.testing import change, missing, passing_manifest, passing_snapshot
from aigate.vacuous import Vacuous, rows_of, vacuous
from declared import DESIGN
from standard_pack import pack

IDS = tuple(sorted(pack()))
HEAD = "version: 1\nsystem: churn\nmodel: {name: churn}\n"
METRICS = "metrics: {accuracy: {range: [0, 1], floor: 0.9}}\n"
STAGES = "stages: [{name: raw, freshness: {file: f.json, time: at, max_age: 2h}}]\n"


def read(text: str) -> Manifest:
    return Manifest.model_validate(spread_provenance(frozen(load_yaml(text.encode(), source="x").data)))


def found(text: str, ids: tuple[str, ...] = IDS, rows: dict[str, int] | None = None) -> tuple[Vacuous, ...]:
    return vacuous(read(text), ids, rows or {})


def metric(words: str) -> str:
    return f"{HEAD}metrics: {{m: {{{words}}}, accuracy: {{range: [0, 1], floor: 0.9}}}}\n{STAGES}"


CERTAIN: dict[str, tuple[str, str, str]] = {
    "production-only-advises": (
        HEAD + METRICS + STAGES + 'environments: {production: {levels: {"*": advise}}}\n',
        "environments.production.levels",
        "every version is allowed",
    ),
    "no-limit-and-nobody-says-so": (
        HEAD + STAGES + "environments: {production: {levels: {evaluation: advise}}}\n",
        "metrics",
        "no policy that blocks would say so",
    ),
    "no-freshness-and-nobody-says-so": (
        HEAD + METRICS + "environments: {production: {levels: {freshness.promised: advise}}}\n",
        "stages",
        "no policy that blocks would say so",
    ),
    "floor-at-the-bottom": (metric("range: [0, 1], floor: 0"), "metrics.m.floor", "can never fail"),
    "ceiling-at-the-top": (metric("range: [0, 500], ceiling: 500"), "metrics.m.ceiling", "can never fail"),
    "drop-as-wide-as-the-range": (metric("range: [0, 1], floor: 0.5, max_drop: 1"), "metrics.m.max_drop", "never fail"),
    "rise-as-wide-as-the-range": (metric("range: [0, 9], max_rise: 9.5"), "metrics.m.max_rise", "never fail"),
    "proportion-without-a-range": (metric("kind: proportion, floor: 0"), "metrics.m.floor", "can never fail"),
    "slice-floor-at-the-bottom": (
        metric("range: [0, 1], floor: 0.5, slices: {new: {metric: n, floor: 0}}"),
        "metrics.m.slices.new.floor",
        "can never fail",
    ),
    "slice-floor-out-of-reach": (
        metric("range: [0, 1], floor: 0.5, slices: {new: {metric: n, floor: 92}}"),
        "metrics.m.slices.new.floor",
        "out of its reach",
    ),
    "slice-without-a-limit": (
        metric("range: [0, 1], floor: 0.5, slices: {new: {metric: n}}"),
        "metrics.m.slices.new",
        "nothing is demanded of m on slice new",
    ),
    "anchor-out-of-reach": (
        metric("range: [0, 1], anchor: {value: 1.1, max_creep: 0.05}"),
        "metrics.m.anchor.value",
        "out of reach",
    ),
    "anchor-that-lets-all-pass": (
        metric("range: [0, 1], anchor: {value: 0.9, max_creep: 0.9}"),
        "metrics.m.anchor.max_creep",
        "can never fail",
    ),
    "anchor-out-of-reach-below": (
        metric("range: [10, 90], ceiling: 80, anchor: {value: 5, max_creep: 4}"),
        "metrics.m.anchor.value",
        "out of reach",
    ),
    "anchor-that-lets-all-pass-above": (
        metric("range: [10, 90], ceiling: 80, anchor: {value: 50, max_creep: 40}"),
        "metrics.m.anchor.max_creep",
        "can never fail",
    ),
    "coverage-of-nothing": (
        metric("floor: 0.5, judge: j, min_coverage: 0"),
        "metrics.m.min_coverage",
        "can never fail",
    ),
    "coverage-without-a-judge": (metric("floor: 0.5, min_coverage: 0.9"), "metrics.m.min_coverage", "no judge"),
    "objective-below-the-stages": (
        HEAD + METRICS + "stages:\n"
        "  - {name: a, freshness: {file: f, time: at, max_age: 2h}}\n"
        "  - {name: b, reads: [a], freshness: {file: f, time: at, max_age: 6h}}\n"
        "objectives: {end_to_end_age: 7h}\n",
        "objectives.end_to_end_age",
        "a → b add up to 8h",
    ),
    "objective-that-nobody-can-check": (
        HEAD + METRICS + "stages: [{name: a}]\nobjectives: {end_to_end_age: 7h}\n",
        "objectives.end_to_end_age",
        "never known",
    ),
    "margin-that-the-rows-cannot-show": (
        metric("range: [0, 1], floor: 0.5, max_drop: 0.02, confidence: 0.95, kind: proportion, rows: 132"),
        "metrics.m.max_drop",
        "can never be shown on 132 rows",
    ),
    "mean-on-29-rows": (
        metric("range: [0, 10], floor: 5, max_drop: 0.1, confidence: 0.95, kind: mean, rows: 29"),
        "metrics.m.max_drop",
        "can never be shown on 29 rows",
    ),
    "rise-that-the-rows-cannot-show": (
        metric("range: [0, 1], ceiling: 0.5, max_rise: 0.02, confidence: 0.99, kind: proportion, rows: 200"),
        "metrics.m.max_rise",
        "can never be shown on 200 rows",
    ),
    "watch-that-never-counts": (
        HEAD + "metrics: {m: {floor: 0.5, rows: 400}}\n" + STAGES
        + "environments: {production: {watch: {min_events: 401}}}\n",
        "environments.production.watch.min_events",
        "there are 400 at most",
    ),
    "auto-that-may-not": (
        HEAD + METRICS + STAGES + "environments: {production: {rollback: {mode: auto, max_per_day: 0}}}\n",
        "environments.production.rollback.max_per_day",
        "never rolls back",
    ),
}  # fmt: skip

WORTH_KNOWING: dict[str, tuple[str, str, str]] = {
    "no-limit": (HEAD + STAGES, "metrics", "evaluation.limits will deny every version"),
    "no-freshness": (HEAD + METRICS, "stages", "freshness.promised will deny every version"),
    "a-drop-alone": (HEAD + "metrics: {m: {max_drop: 0.1}}\n" + STAGES, "metrics", "against nothing"),
    "an-alias-by-advice": (
        HEAD + METRICS + STAGES + 'environments: {staging: {alias: tested, levels: {"*": advise}}}\n',
        "environments.staging.levels",
        "every version that asks for @tested gets it",
    ),
    "a-metric-for-nothing": (metric("range: [0, 1]"), "metrics.m", "nothing is demanded of m"),
    "the-perfect-value": (metric("range: [0, 1], floor: 1"), "metrics.m.floor", "the perfect value alone"),
    "a-margin-behind-the-floor": (
        metric("range: [0, 1], floor: 0.9, max_drop: 0.1"),
        "metrics.m.max_drop",
        "never decides",
    ),
    "a-margin-behind-the-ceiling": (
        metric("range: [0, 100], ceiling: 20, max_rise: 20"),
        "metrics.m.max_rise",
        "never decides",
    ),
    "a-margin-of-nothing": (
        metric("range: [0, 1], floor: 0.5, max_drop: 0, confidence: 0.95, kind: proportion, rows: 9000"),
        "metrics.m.max_drop",
        "only a better one is",
    ),
    "few-rows": (
        metric("range: [0, 1], floor: 0.9, max_drop: 0.02, confidence: 0.95, kind: proportion, rows: 133"),
        "metrics.m.max_drop",
        "will rarely be shown on 133 rows: two equal versions need 2783 of them",
    ),
    "no-kind": (
        metric("range: [0, 1], floor: 0.9, max_drop: 0.02, confidence: 0.95, rows: 500"),
        "metrics.m.max_drop",
        "no kind",
    ),
    "a-floor-that-only-advises": (
        HEAD + METRICS + STAGES + "environments: {production: {levels: {evaluation: advise}}}\n",
        "metrics",
        "the limits of metrics block nothing in production: of evaluation.floor, ",
    ),
    "a-promise-that-only-advises": (
        HEAD + METRICS + STAGES + "environments: {production: {levels: {freshness.stage: advise}}}\n",
        "stages",
        "block nothing in production: of freshness.stage none is in force",
    ),
    "a-threshold-beside-the-road": (
        HEAD + METRICS + STAGES + "thresholds: {cut: 0.7}\n",
        "thresholds.cut",
        "compared with nothing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", [*CERTAIN, *WORTH_KNOWING])
def test_what_is_without_effect_is_found_once_and_at_its_place(kind: str) -> None:
    text, keys, says = (CERTAIN | WORTH_KNOWING)[kind]
    beside = ["stages"] if kind == "objective-that-nobody-can-check" else []
    item, *others = sorted(found(text), key=lambda item: item.keys)
    assert ".".join(map(str, item.keys)) == keys
    assert [other.keys[0] for other in others] == beside
    assert says in item.message
    assert item.fix
    assert item.certain == (kind in CERTAIN)


SOUND = {
    "small": HEAD + METRICS + STAGES,
    "staging-advises": HEAD + METRICS + STAGES + 'environments: {staging: {levels: {"*": advise}}}\n',
    "one-blocks": HEAD + METRICS + STAGES
    + 'environments: {production: {levels: {"*": advise, evaluation: block, freshness: require}}}\n',
    "no-range": metric("floor: 0, max_drop: 5, anchor: {value: 1, max_creep: 9}"),
    "an-anchor-where-lower-is-better": metric("range: [10, 90], ceiling: 80, anchor: {value: 50, max_creep: 10}"),
    "the-stages-together": HEAD + METRICS + STAGES + "objectives: {end_to_end_age: 2h}\n",
    "enough-rows": metric("range: [0, 1], floor: 0.9, max_drop: 0.02, confidence: 0.95, kind: proportion, rows: 2783"),
    "a-mean-on-30-rows": metric("range: [0, 10], floor: 5, max_drop: 0.1, confidence: 0.95, kind: mean, rows: 30"),
    "rows-that-nobody-knows": metric("range: [0, 1], floor: 0.9, max_drop: 0.001, confidence: 0.95, kind: proportion"),
    "a-judge-by-its-name": f"{HEAD}metrics: {{j/mean: {{floor: 0.5, min_coverage: 0.9}}}}\n{STAGES}",
    "min-events-within-reach": HEAD + "metrics: {m: {floor: 0.5, rows: 400}}\n" + STAGES
    + "environments: {production: {watch: {min_events: 400}}}\n",
    "min-events-beside-unknown-rows": HEAD + "metrics: {m: {floor: 0.5, rows: 4}, n: {floor: 1}}\n" + STAGES
    + "environments: {production: {watch: {min_events: 400}}}\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", SOUND)
def test_what_means_something_is_left_alone(kind: str) -> None:
    assert found(SOUND[kind]) == ()


def test_what_ships_means_something() -> None:
    assert vacuous(passing_manifest(), IDS, rows_of(passing_snapshot())) == ()
    for path in (Path(__file__).parent.parent / "examples").glob("*/aigate.yaml"):
        assert vacuous(load_manifest(path).manifest, IDS, {}) == (), path


def test_the_designs_own_example_promises_more_than_its_stages_keep() -> None:
    (item,) = found(DESIGN)
    assert item.keys == ("objectives", "end_to_end_age")
    assert "transactions → features → embeddings add up to 20h" in item.message


def test_without_the_standard_pack_nobody_else_misses_what_is_absent() -> None:
    said = found(HEAD, ids=("house.rule",))
    assert [item.certain for item in said] == [True, True]
    assert found(HEAD, ids=())[0].certain


def test_limits_that_only_policies_of_ones_own_could_hold_are_told() -> None:
    said = found(HEAD + METRICS + STAGES, ids=("house.rule",))
    assert [(item.keys, item.certain) for item in said] == [(("metrics",), False), (("stages",), False)]


def test_recorded_evidence_tells_the_rows_and_wins_over_what_is_declared() -> None:
    rows = rows_of(passing_snapshot())
    assert rows["accuracy"] == 5000
    assert rows["accuracy_new"] == 1200
    text = metric("range: [0, 1], floor: 0.5, max_drop: 0.02, confidence: 0.95, kind: proportion, rows: 9000")
    assert found(text) == ()
    (item,) = found(text, rows={"m": 40})
    assert "on 40 rows" in item.message


def test_evidence_that_is_missing_says_nothing_of_rows() -> None:
    snapshot = passing_snapshot()
    for place in ("/challenger", "/champion"):
        snapshot = change(snapshot, place, missing("MLflow answered 503"))
    assert rows_of(snapshot) == {}
    only = change(passing_snapshot(), "/challenger/measurements", missing("MLflow answered 503"))
    assert rows_of(only)["accuracy"] == 5000


@given(
    rows=st.integers(1, 3000),
    margin=st.integers(1, 99).map(lambda n: n / 100),
    confidence=st.sampled_from(["0.8", "0.9", "0.95", "0.99"]),
)
@settings(max_examples=60, deadline=None)
def test_never_means_that_no_pair_of_equal_versions_passes(rows: int, margin: float, confidence: str) -> None:
    """And the number of rows that it names is the first on which one would."""
    text = metric(
        f"range: [0, 1], max_drop: {margin}, floor: 0.001, confidence: {confidence}, kind: proportion, rows: {rows}"
    )
    never = [item for item in found(text) if "can never be shown" in item.message]

    def passes(n: int) -> bool:
        level = float(confidence)
        pair = stats.noninferiority_paired_binary(n, 0, 0, margin=margin, confidence=level)
        two = stats.noninferiority_proportions(1, n, 1, n, margin=margin, confidence=level)
        return "pass" in (pair.verdict, two.verdict)

    assert bool(never) == (not passes(rows))
    if never:
        least = int(never[0].fix.split()[2])
        assert passes(least)
        assert not passes(least - 1)
