"""Which number counts: properties that hold whatever is logged."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.collect.mlflow.measure import Measured, Point, measurements
from aigate.collect.mlflow.reader import RegistryError
from aigate.snapshot import Dataset, Run
from aigate.values import gap
from fake_registry import NOW

VALUES = st.sampled_from([Decimal("0.71"), Decimal("0.94"), Decimal("0.940"), "no number"])
RUNS = ("a", "b", "c")


def run(
    run_id: str, *, status: str = "FINISHED", deleted: bool = False, datasets: tuple[Dataset, ...] = ()
) -> Run:
    return Run(
        run_id=run_id,
        status=status,
        user=None,
        started_at=NOW - timedelta(hours=2),
        ended_at=NOW - timedelta(hours=1),
        deleted=deleted,
        datasets=datasets,
    )


POINTS = st.builds(
    Point,
    key=st.just("accuracy"),
    value=VALUES,
    recorded_at=st.integers(-7200, 120).map(lambda s: NOW + timedelta(seconds=s)),
    step=st.sampled_from([0, 1, 10**9]),
    run_id=st.sampled_from(RUNS),
    dataset=st.sampled_from([None, ("eval", "1"), ("more", "2")]),
)
KNOWN = st.fixed_dictionaries(
    {
        run_id: st.one_of(
            st.builds(
                run,
                st.just(run_id),
                status=st.sampled_from(["FINISHED", "RUNNING"]),
                deleted=st.booleans(),
                datasets=st.sampled_from([(), (Dataset(name="more", digest="2", context="training"),)]),
            ),
            st.just(RegistryError("denied", "no")),
        )
        for run_id in RUNS
    }
)


@given(st.lists(POINTS, min_size=1, max_size=8), KNOWN)
def test_a_value_is_one_that_was_logged_and_that_nothing_on_its_data_contradicts(
    points: list[Point], runs: dict[str, Run | RegistryError]
) -> None:
    found = measurements(points, Measured("r", runs, NOW))
    assert found, "a metric that was logged is never silently absent"
    for measurement in found:
        if gap(measurement.value) is not None:
            continue
        mine = runs[measurement.run_id]
        assert isinstance(mine, Run)
        assert not mine.deleted
        assert mine.status == "FINISHED"
        data = measurement.dataset and (measurement.dataset.name, measurement.dataset.digest)
        same = [p for p in points if p.dataset == data and not deleted(runs[p.run_id])]
        assert same
        for point in same:
            assert point.value == measurement.value
            assert point.recorded_at <= NOW + timedelta(seconds=60)
            assert isinstance(runs[point.run_id], Run)


def deleted(known: Run | RegistryError) -> bool:
    return isinstance(known, Run) and known.deleted


@given(st.lists(POINTS, min_size=1, max_size=6), POINTS, KNOWN)
def test_a_further_point_never_turns_ignorance_into_a_value_on_the_same_data(
    points: list[Point], more: Point, runs: dict[str, Run | RegistryError]
) -> None:
    """Poisoning never helps: what is missing on some data stays missing, whatever is added to it."""
    before = {m.dataset: m for m in measurements(points, Measured("r", runs, NOW))}
    after = {m.dataset: m for m in measurements([*points, more], Measured("r", runs, NOW))}
    alive = [p for p in points if not deleted(runs[p.run_id])]
    for data, measurement in before.items():
        if gap(measurement.value) is None or data is None or data not in after:
            continue
        if any(p.dataset == (data.name, data.digest) for p in alive):
            assert gap(after[data].value) is not None


@given(st.lists(POINTS, min_size=1, max_size=8), KNOWN, st.randoms())
def test_the_order_of_points_does_not_matter(
    points: list[Point], runs: dict[str, Run | RegistryError], random: object
) -> None:
    shuffled = list(points)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' Random
    plain, mixed = (measurements(some, Measured("r", runs, NOW)) for some in (points, shuffled))
    assert [(m.dataset, shown(m.value)) for m in plain] == [(m.dataset, shown(m.value)) for m in mixed]


def test_at_one_moment_the_same_run_counts_whatever_the_order() -> None:
    eval_ = ("eval", "1")
    points = [
        Point("accuracy", Decimal("0.71"), NOW, 0, *of) for of in (("a", eval_), ("b", None), ("b", eval_))
    ]
    for order in (points, points[::-1]):
        found = measurements(order, Measured("r", {"a": run("a"), "b": run("b")}, NOW))
        assert [m.run_id for m in found] == ["b", "b"]
        assert [m.dataset is None for m in found] == [False, True]


def test_at_one_moment_what_names_its_data_comes_first() -> None:
    points = [Point("accuracy", Decimal("0.71"), NOW, 0, "a", data) for data in (None, ("eval", "1"))]
    for order in (points, points[::-1]):
        found = measurements(order, Measured("r", {"a": run("a")}, NOW))
        assert [m.dataset is None for m in found] == [False, True]


def shown(value: object) -> object:
    return "missing" if gap(value) is not None else value


@given(st.lists(POINTS, min_size=1, max_size=8))
def test_steps_do_not_choose(points: list[Point]) -> None:
    """Only MLflow lets a step decide which value is the latest."""
    runs: dict[str, Run | RegistryError] = {run_id: run(run_id) for run_id in RUNS}
    flat = [replace(point, step=0) for point in points]
    with_steps, without = (measurements(some, Measured("r", runs, NOW)) for some in (points, flat))
    assert [shown(m.value) for m in with_steps] == [shown(m.value) for m in without]


@pytest.mark.parametrize("key", ["accuracy", "hit/mean"])
def test_metrics_do_not_mix(key: str) -> None:
    points = [
        Point(name, Decimal(value), NOW - timedelta(hours=1), 0, "a", ("eval", "1"))
        for name, value in (("accuracy", "0.9"), ("hit/mean", "0.7"), ("hit/variance", "0.16"))
    ]
    found = {m.name: m for m in measurements(points, Measured("r", {"a": run("a")}, NOW))}
    assert found[key].value == {"accuracy": Decimal("0.9"), "hit/mean": Decimal("0.7")}[key]
    assert found["hit/mean"].deviation == Decimal("0.4")
    assert found["accuracy"].deviation is None
