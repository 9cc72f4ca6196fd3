"""Per-row results of two versions: paired rightly, or not at all."""

import json
from decimal import Decimal
from statistics import mean, stdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.collect.mlflow.reader import RegistryError
from aigate.collect.mlflow.rows import check, pair, read_table


def table(scores: list[Any], **columns: list[Any]) -> Any:
    names = [*columns, "hit/score"]
    data = [list(row) for row in zip(*columns.values(), scores, strict=True)]
    return read_table(json.dumps({"columns": names, "data": data}).encode())


def ids(count: int, first: int = 0) -> list[str]:
    return [f"c{first + at}" for at in range(count)]


def broken(call: Any) -> str:
    with pytest.raises(RegistryError) as caught:
        call()
    assert caught.value.code == "broken"
    return caught.value.message


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60), st.randoms())
def test_rows_are_paired_by_their_key_in_any_order(both: list[tuple[bool, bool]], random: Any) -> None:
    order = list(range(len(both)))
    random.shuffle(order)
    keys = ids(len(both))
    mine = table([float(m) for m, _ in both], customer=keys)
    theirs = table([float(both[at][1]) for at in order], customer=[keys[at] for at in order])
    found = pair("hit/mean", "d", mine, theirs)
    differences = [int(m) - int(t) for m, t in both]
    assert (found.rows, found.overlap, found.binary) == (len(both), Decimal(1), True)
    assert (found.gained, found.lost) == (differences.count(1), differences.count(-1))
    assert abs(float(found.mean) - mean(differences)) < 1e-12
    assert abs(float(found.deviation) - stdev(differences)) < 1e-9


def test_the_difference_is_challenger_minus_champion() -> None:
    found = pair("hit", "d", table([0.9, 0.5], k=ids(2)), table([0.4, 0.2], k=ids(2)))
    assert (found.mean, found.binary) == (Decimal("0.4"), False)
    assert (found.gained, found.lost) == (0, 0)


def test_rows_that_only_one_has_are_left_out_and_counted() -> None:
    found = pair("hit", "d", table([1.0] * 10, k=ids(10)), table([1.0] * 8, k=ids(8, first=5)))
    assert (found.rows, found.overlap) == (5, Decimal("0.5"))


def test_rows_without_a_score_are_left_out_and_counted() -> None:
    found = pair("hit", "d", table([1.0, None, 0.0, 1.0], k=ids(4)), table([1.0, 1.0, None, 0.0], k=ids(4)))
    assert (found.rows, found.overlap, found.gained) == (2, Decimal("0.5"), 1)


def test_rows_in_the_same_order_need_no_key() -> None:
    found = pair("hit", "d", table([1, 0, 1], x=[5, 5, 6]), table([1, 1, 1], x=[5, 5, 6]))
    assert (found.rows, found.lost) == (3, 1)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        pytest.param({"x": [1.5, 2.5, 2.5]}, {"x": [1.5, 2.5, 3.5]}, id="nothing agrees"),
        pytest.param({"country": ["DE"] * 3}, {"country": ["DE"] * 3}, id="a column that says nothing"),
        pytest.param({"a": ids(3)}, {"b": ids(3)}, id="no column in common"),
        pytest.param({"outputs": ids(3)}, {"outputs": ids(3)}, id="what the model said"),
        pytest.param({"k": ids(3)}, {"k": ids(3, first=9)}, id="no row in common"),
    ],
)
def test_rows_that_nothing_tells_apart_are_not_paired(mine: Any, theirs: Any) -> None:
    assert "cannot be paired" in broken(
        lambda: pair("hit", "d", table([1, 0, 1], **mine), table([1, 1, 1], **theirs))
    )


def test_two_ways_to_pair_that_contradict_each_other_pair_nothing() -> None:
    """A model's own ranking tells every row apart too."""
    mine = table([1, 0, 1], id=ids(3), rank=[1, 2, 3])
    theirs = table([1, 1, 0], id=ids(3), rank=[3, 1, 2])
    assert "differently" in broken(lambda: pair("hit", "d", mine, theirs))


def test_two_ways_to_pair_that_agree_are_one() -> None:
    mine = table([1, 0, 1], id=ids(3), number=[7, 8, 9])
    theirs = table([1, 1, 0], id=ids(3), number=[7, 8, 9])
    assert pair("hit", "d", mine, theirs).rows == 3


def test_no_scored_row_in_common_is_nothing() -> None:
    assert "no scored row" in broken(
        lambda: pair("hit", "d", table([1, None], k=ids(2)), table([None, 1], k=ids(2)))
    )


def test_one_row_has_no_spread() -> None:
    assert pair("hit", "d", table([1], k=ids(1)), table([0], k=ids(1))).deviation == 0


@pytest.mark.parametrize(
    ("metric", "column", "found"),
    [
        ("hit/mean", "hit/score", True),
        ("hit", "hit/score", True),
        ("similarity/v1/mean", "similarity/v1/score", True),
        ("latency/mean", "latency", True),
        ("latency", "latency", True),
        ("hit/p90", "hit/score", False),
        ("accuracy_score", "hit/score", False),
    ],
)
def test_a_metrics_column_is_found(metric: str, column: str, found: bool) -> None:
    rows = read_table(json.dumps({"columns": ["k", column], "data": [["a", 1.0]]}).encode())
    assert (rows.scores(metric) is not None) is found


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"columns": ["a"], "data": {}}',
        b'{"columns": "a", "data": []}',
        b'{"columns": ["a"], "data": [[1, 2]]}',
        b'{"columns": ["a"], "data": [[1], 2]}',
        b'{"columns": ["a", "a"], "data": [[1, 2]]}',
        b'{"columns": ["a"], "data": [[NaN]]}',
    ],
)
def test_what_is_no_table_is_broken(body: bytes) -> None:
    broken(lambda: read_table(body))


@pytest.mark.parametrize(
    ("rows", "value", "ok"),
    [
        (4, "0.75", True),
        (None, "0.75", True),
        (4, "0.7500000001", True),
        (4, "0.76", False),
        (5, "0.75", False),
    ],
)
def test_a_table_is_what_the_logged_mean_was_taken_over(rows: int | None, value: str, ok: bool) -> None:
    found = table([1, 1, 1, 0], k=ids(4))
    if ok:
        check(found, "hit", rows, Decimal(value))
    else:
        broken(lambda: check(found, "hit", rows, Decimal(value)))


def test_a_table_without_a_single_score_is_broken() -> None:
    assert "no score" in broken(lambda: check(table([None, None], k=ids(2)), "hit", 2, Decimal(0)))
