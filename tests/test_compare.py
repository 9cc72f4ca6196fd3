"""Two versions on one metric: numbers that can be believed, and how they are shown."""

from decimal import Decimal

import pytest

from aigate.compare import believable, brief, scorer
from aigate.manifest import Metric
from aigate.policy import Unknown
from aigate.snapshot import Measurement
from aigate.testing import NOW, passing_snapshot

MEASURED = passing_snapshot().judged.metric("accuracy")


@pytest.mark.parametrize(
    ("value", "against", "shown"),
    [
        pytest.param("0.71", "0.92", "0.71", id="as-given"),
        pytest.param("0.90", "0.92", "0.90", id="noughts-kept"),
        pytest.param("0.9433333333333334", "0.92", "0.9433", id="short"),
        pytest.param("0.91999", "0.92", "0.91999", id="told-apart-by-more"),
        pytest.param("0.0000123", "0.02", "0.000012", id="small"),
        pytest.param("185", "250", "185", id="whole"),
        pytest.param("1234567.891", "0", "1234567.891", id="large"),
    ],
)
def test_numbers_are_short_and_still_differ(value: str, against: str, shown: str) -> None:
    assert brief(Decimal(value), Decimal(against)) == shown


def test_a_measurement_in_its_range_is_believed() -> None:
    assert believable(MEASURED, Metric(range=(Decimal(0), Decimal(1))), NOW) is MEASURED


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        pytest.param(Metric(range=(Decimal("0.95"), Decimal(1))), "between 0.95 and 1", id="outside"),
        pytest.param(Metric(range=(Decimal(0), Decimal("0.9"))), "between 0 and 0.9", id="above"),
    ],
)
def test_one_outside_is_not(rule: Metric, outcome: str) -> None:
    with pytest.raises(Unknown, match=outcome):
        believable(MEASURED, rule, NOW)


def test_infinity_as_mlflow_stores_it_is_in_no_range() -> None:
    infinite = Measurement(**{**dict(MEASURED), "value": Decimal("1.7976931348623157E+308")})
    with pytest.raises(Unknown, match="which cannot be"):
        believable(infinite, Metric(range=(Decimal(0), Decimal("1e390"))), NOW)


def test_a_judge_is_declared_or_named_by_mlflow() -> None:
    assert scorer("correctness/mean", Metric()) == "correctness"
    assert scorer("correctness/mean", Metric(judge="j2")) == "j2"
    assert scorer("accuracy", Metric()) is None
