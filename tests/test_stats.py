"""The statistics: published numbers, exact error rates by enumeration, and what must never pass."""

import math
import random
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from statistics import NormalDist, fmean, stdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.stats import (
    MIN_ROWS,
    Comparison,
    Interval,
    Mean,
    detectable,
    harm_paired_binary,
    harm_proportions,
    holm,
    noninferiority_means,
    noninferiority_paired_binary,
    noninferiority_paired_mean,
    noninferiority_proportions,
    sample_size_means,
    sample_size_paired_binary,
    sample_size_paired_mean,
    sample_size_proportions,
    wilson_interval,
)

Z95 = NormalDist().inv_cdf(0.95)
TWO_SIDED_95 = 0.975  # published intervals are two-sided; ours bound each side at the level given


def near(value: float, digits: int = 4) -> Any:
    return pytest.approx(value, abs=0.51 * 10**-digits)


# -- published numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "n", "lower", "upper"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(hits: int, n: int, lower: float, upper: float) -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3."""
    assert wilson_interval(hits / n, n, TWO_SIDED_95) == Interval(near(lower), near(upper))


@pytest.mark.parametrize(
    ("x1", "n1", "x0", "n0", "lower", "upper"),
    [(56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090), (10, 10, 0, 20, 0.6791, 1.0)],
)
def test_newcombe_as_published(x1: int, n1: int, x0: int, n0: int, lower: float, upper: float) -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10."""
    found = noninferiority_proportions(x1 / n1, n1, x0 / n0, n0, margin=0.1, confidence=TWO_SIDED_95)
    assert (found.lower, found.upper) == (near(lower), near(upper))


def test_tango_as_published() -> None:
    """Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014), the airway example: 1, 1, 7, 12."""
    found = noninferiority_paired_binary(21, 1, 7, margin=0.1, confidence=TWO_SIDED_95)
    assert (found.lower, found.upper) == (near(-0.517, 3), near(-0.026, 3))
    assert found.difference == near(-0.286, 3)


@pytest.mark.parametrize(
    ("n", "level", "t"),
    [(30, 0.95, 1.699127), (30, 0.975, 2.045230), (30, 0.99, 2.462021), (61, 0.95, 1.670649), (10**6, 0.95, 1.644857)],
)  # fmt: skip
def test_students_t_as_tabled(n: int, level: float, t: float) -> None:
    found = noninferiority_paired_mean(n, 0.0, math.sqrt(n), margin=5, confidence=level)
    assert found.upper == pytest.approx(t, abs=1e-4)
    assert found.lower == pytest.approx(-t, abs=1e-4)


@pytest.mark.parametrize(
    ("margin", "paired", "unpaired"),
    [
        (0.01, (1237, 3710, 6183, 12366), (11129, 25967)),
        (0.02, (310, 928, 1546, 3092), (2783, 6492)),
        (0.03, (138, 413, 687, 1374), (1237, 2886)),
        (0.05, (50, 149, 248, 495), (446, 1039)),
    ],
)
def test_sample_sizes_as_tabled(margin: float, paired: tuple[int, ...], unpaired: tuple[int, ...]) -> None:
    found = tuple(sample_size_paired_binary(share, margin=margin) for share in (0.02, 0.06, 0.10, 0.20))
    assert found == paired
    assert tuple(sample_size_proportions(p, margin=margin) for p in (0.9, 0.7)) == unpaired


def test_holm_as_r_does_it() -> None:
    """p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == (0.03, 0.06, 0.06, 0.02)
    assert holm([Decimal("0.5"), 0.9]) == (1.0, 1.0)
    assert holm([]) == ()


def test_mcnemar_exactly() -> None:
    assert harm_paired_binary(0, 5) == 0.03125
    assert harm_paired_binary(0, 4) == 0.0625  # with fewer than five it cannot reach 0.05
    assert harm_paired_binary(1, 7) == 9 / 256
    assert harm_paired_binary(5, 5) == near(0.623, 3)
    assert harm_paired_binary(0, 0) == 1.0
    assert harm_paired_binary(9, 0) == 1.0
    assert harm_paired_binary(950, 1050) == near(0.0134, 4)
    # The exact tail and the normal one meet where the one takes over from the other.
    assert harm_paired_binary(960, 1041) == pytest.approx(harm_paired_binary(960, 1040), abs=0.003)
    assert harm_paired_binary(960, 1041) < harm_paired_binary(960, 1040)


def test_the_pooled_z_test() -> None:
    assert harm_proportions(0.85, 1000, 0.90, 1000) == near(
        NormalDist().cdf(-0.05 / math.sqrt(0.875 * 0.125 / 500)), 9
    )
    assert harm_proportions(0.9, 100, 0.9, 200) == 0.5
    assert harm_proportions(1, 10, 1, 10) == 1.0
    assert harm_proportions(0, 10, 0, 10) == 1.0


# -- error rates -----------------------------------------------------------------------------------


def binomial(n: int, p: float) -> list[float]:
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


@pytest.mark.parametrize(
    ("n", "margin", "discordance"),
    [
        pytest.param(100, 0.02, 0.02, id="all-discordant-items-are-losses"),
        pytest.param(200, 0.01, 0.01, id="none-seen-is-not-none"),
        pytest.param(100, 0.05, 0.06, id="nearly-all-losses"),
        pytest.param(200, 0.02, 0.06, id="the-usual-case"),
        pytest.param(300, 0.03, 0.10, id="much-discordance"),
        pytest.param(50, 0.10, 0.20, id="few-items"),
    ],
)
def test_a_paired_drop_of_the_margin_rarely_passes(n: int, margin: float, discordance: float) -> None:
    """The exact chance, over all outcomes: nominal 5 %."""
    worse = (discordance + margin) / 2 / discordance
    chance = 0.0
    for total, likely in enumerate(binomial(n, discordance)):
        if likely > 1e-7:
            for lost, share in enumerate(binomial(total, worse)):
                found = noninferiority_paired_binary(n, total - lost, lost, margin=margin)
                chance += likely * share * (found.verdict == "pass")
    assert chance <= 0.065


@pytest.mark.parametrize(
    ("n", "margin", "p0"),
    [(50, 0.05, 0.5), (50, 0.05, 1.0), (50, 0.02, 0.98), (60, 0.05, 0.9), (40, 0.1, 0.99)],
)
def test_an_unpaired_drop_of_the_margin_rarely_passes(n: int, margin: float, p0: float) -> None:
    champion = binomial(n, p0)
    chance = 0.0
    for x1, likely1 in enumerate(binomial(n, p0 - margin)):
        for x0, likely0 in enumerate(champion):
            if likely1 * likely0 > 1e-7:
                found = noninferiority_proportions(x1 / n, n, x0 / n, n, margin=margin)
                chance += likely1 * likely0 * (found.verdict == "pass")
    assert chance <= 0.065


def test_a_drop_in_a_mean_rarely_passes() -> None:
    """Skewed differences and scores of two kinds, each worse by exactly the margin."""
    chance = random.Random(7)
    paired = unpaired = bounded = 0
    runs = 1500
    for _ in range(runs):
        differences = [chance.gauss(-0.5, 2) for _ in range(40)]
        paired += passes(noninferiority_paired_mean(40, fmean(differences), stdev(differences), margin=0.5))
        ours = [chance.gauss(9.5, 2) for _ in range(40)]
        theirs = [chance.gauss(10, 3) for _ in range(60)]
        unpaired += passes(
            noninferiority_means(
                Mean(fmean(ours), 40, stdev(ours)), Mean(fmean(theirs), 60, stdev(theirs)), margin=0.5
            )
        )
        # Scores from 1 to 5, at one end or the other: as much variance as there can be.
        low = [5 if chance.random() < 0.80 else 1 for _ in range(50)]
        high = [5 if chance.random() < 0.90 else 1 for _ in range(50)]
        bounded += passes(
            noninferiority_means(Mean(fmean(low), 50), Mean(fmean(high), 50), margin=0.4, bounds=(1, 5))
        )
    assert 0.035 < paired / runs < 0.065
    assert 0.02 < unpaired / runs < 0.065
    assert 0.02 < bounded / runs < 0.065


def passes(found: Comparison) -> bool:
    return found.verdict == "pass"


def test_power_is_what_the_sample_size_promises() -> None:
    """Truly equal models pass four times out of five at n_needed."""
    chance = random.Random(11)
    n, runs, passed = sample_size_paired_binary(0.06, margin=0.02), 600, 0
    for _ in range(runs):
        total = sum(chance.random() < 0.06 for _ in range(n))
        gained = sum(chance.random() < 0.5 for _ in range(total))
        passed += passes(noninferiority_paired_binary(n, gained, total - gained, margin=0.02))
    assert 0.76 < passed / runs < 0.87


# -- verdicts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gained", "lost", "verdict"),
    [(30, 30, "pass"), (25, 35, "unknown"), (10, 60, "fail"), (0, 1000, "fail")],
)
def test_three_answers(gained: int, lost: int, verdict: str) -> None:
    found = noninferiority_paired_binary(1000, gained, lost, margin=0.02)
    assert found.verdict == verdict
    assert found.lower is not None
    assert found.upper is not None
    assert -1 <= found.lower <= found.difference <= found.upper <= 1
    assert found.difference == (gained - lost) / 1000
    assert bool(found.reason) == (verdict == "unknown")
    assert found.n_needed == sample_size_paired_binary((gained + lost + 1) / 1002, margin=0.02)


def test_unpaired_answers() -> None:
    """Nine in ten on 200 rows: a margin of two points needs 2783."""
    found = noninferiority_proportions(Decimal("0.90"), 200, Decimal("0.90"), 200, margin=Decimal("0.02"))
    assert (found.verdict, found.n_needed) == ("unknown", 2783)
    assert noninferiority_proportions(0.9, 4000, 0.9, 4000, margin=0.02).verdict == "pass"
    assert noninferiority_proportions(0.8, 1000, 0.9, 1000, margin=0.02).verdict == "fail"
    assert noninferiority_proportions(1, 5, 1, 5, margin=0.02).verdict == "unknown"


def test_models_that_never_differ_are_not_proven_equal_by_a_few_rows() -> None:
    assert noninferiority_paired_binary(100, 0, 0, margin=0.02).verdict == "unknown"
    assert noninferiority_paired_binary(200, 0, 0, margin=0.02).verdict == "pass"
    one = noninferiority_paired_binary(1, 0, 1, margin=0.02)
    assert (one.lower, one.difference, one.verdict) == (-1.0, -1.0, "unknown")
    assert noninferiority_paired_binary(1, 1, 0, margin=0.02).upper == 1.0


def test_too_few_rows_or_too_near_the_margin() -> None:
    near_margin = noninferiority_proportions(0.886, 5000, 0.9, 5000, margin=0.02)
    assert (near_margin.verdict, near_margin.reason) == (
        "unknown",
        "the difference is too near the margin to tell",
    )
    few = noninferiority_proportions(0.9, 200, 0.9, 200, margin=0.02)
    assert few.reason == "the rows are too few to tell"


@given(st.integers(1, 400), st.sampled_from([0.005, 0.02, 0.1, 0.5, 1.0, 2.0]))
def test_two_perfect_models_are_told_how_many_rows_they_need(n: int, margin: float) -> None:
    rates = noninferiority_proportions(1, n, 1, n, margin=margin)
    means = noninferiority_means(Mean(3, n), Mean(3, n), margin=margin * 2, bounds=(1, 3))
    assert rates.n_needed == means.n_needed
    assert rates.n_needed is not None
    # At the number itself the limit may fall on the margin.
    assert (rates.verdict == "pass") == (n >= rates.n_needed) or n == rates.n_needed
    assert rates.verdict == means.verdict


def test_paired_means() -> None:
    assert noninferiority_paired_mean(100, 0, 0.05, margin=0.02).verdict == "pass"
    assert noninferiority_paired_mean(100, -0.05, 0.05, margin=0.02).verdict == "fail"
    found = noninferiority_paired_mean(100, 0, 0.5, margin=0.02)
    assert (found.verdict, found.n_needed) == ("unknown", sample_size_paired_mean(0.5, margin=0.02))
    same = noninferiority_paired_mean(50, 0, 0, margin=0.02)
    assert (same.verdict, same.lower, same.upper, same.n_needed) == ("pass", 0.0, 0.0, MIN_ROWS)
    few = noninferiority_paired_mean(29, 0, 0, margin=0.02)
    assert few == Comparison(
        "unknown",
        0.0,
        None,
        None,
        30,
        "paired, t interval",
        "29 rows carry no interval of a mean; 30 are the least",
    )


def test_unpaired_means() -> None:
    found = noninferiority_means(Mean(0.5, 400, 0.1), Mean(0.5, 400, 0.1), margin=0.02)
    assert (found.verdict, found.method) == ("pass", "unpaired, t interval")
    assert found.lower == near(-1.6487 * math.sqrt(2) * 0.1 / 20, 5)
    assert found.n_needed == sample_size_means(0.1, margin=0.02) == 310
    worse = noninferiority_means(Mean(0.4, 400, 0.1), Mean(0.5, 400, 0.1), margin=0.02)
    assert worse.verdict == "fail"
    ranged = noninferiority_means(Mean(0.5, 400, 0.1), Mean(0.5, 400), margin=0.02, bounds=(0, 1))
    assert (ranged.verdict, ranged.method) == (
        "unknown",
        "unpaired, interval from the range of the score (Bhatia-Davis)",
    )
    assert ranged.n_needed == sample_size_means(math.sqrt((0.01 + 0.25) / 2), margin=0.02)


@pytest.mark.parametrize(
    "champion", [Mean(0.5, 400), Mean(0.5, 400, 0), Mean(0.5, 29, 0.1)], ids=["no-sd", "zero-sd", "few-rows"]
)
def test_a_mean_without_a_spread_or_a_range_has_no_interval(champion: Mean) -> None:
    good = Mean(0.5, 400, 0.1)
    for first, second in ((good, champion), (champion, good)):
        found = noninferiority_means(first, second, margin=0.4)
        assert (found.verdict, found.lower, found.upper, found.n_needed) == ("unknown", None, None, None)
        assert "range of the score" in found.reason
    assert noninferiority_means(good, champion, margin=0.4, bounds=(0, 1)).lower is not None


def test_a_perfect_bounded_score_is_not_certain() -> None:
    """Bhatia-Davis at the observed mean would say that it cannot vary at all."""
    perfect = Mean(1, 20)
    found = noninferiority_means(perfect, perfect, margin=0.02, bounds=(0, 1))
    assert found.verdict == "unknown"
    shares = noninferiority_proportions(1, 20, 1, 20, margin=0.02)
    assert (found.lower, found.upper) == (shares.lower, shares.upper)


def test_a_margin_of_nought_asks_for_better() -> None:
    assert noninferiority_paired_binary(1000, 60, 30, margin=0).verdict == "pass"
    equal = noninferiority_paired_binary(1000, 30, 30, margin=0)
    assert (equal.verdict, equal.n_needed) == ("unknown", None)
    assert noninferiority_paired_mean(40, 1, 1, margin=0).n_needed is None
    assert noninferiority_proportions(0.5, 40, 0.5, 40, margin=0).n_needed is None
    assert noninferiority_means(Mean(1, 40, 1), Mean(1, 40, 1), margin=0).n_needed is None


def test_the_margin_itself_is_no_pass() -> None:
    at_margin = noninferiority_paired_mean(50, -0.5, 0, margin=0.5)
    assert (at_margin.lower, at_margin.upper, at_margin.verdict) == (-0.5, -0.5, "unknown")


def test_what_rows_can_show() -> None:
    """Solved back: at the drop found, the formula for the number of rows gives them."""
    k = (NormalDist().inv_cdf(0.95) + NormalDist().inv_cdf(0.8)) ** 2
    for n, p in ((200, 0.9), (1000, 0.7), (50, 1.0), (100, 0.5)):
        drop = detectable(n, Decimal(str(p)))
        assert drop is not None
        rows = k * (p * (1 - p) + (p - drop) * (1 - p + drop)) / drop**2
        assert rows == pytest.approx(n)
    assert detectable(200, 0.9) == near(0.0864, 4)
    assert detectable(5, 0.3) is None
    assert detectable(5, 0) is None
    assert detectable(10, 1, power=0.99) is not None


def test_sample_sizes_move_with_the_truth() -> None:
    assert sample_size_paired_binary(0.06, margin=0.02, difference=0.01) < 928
    assert sample_size_paired_binary(0.06, margin=0.02, difference=-0.01) > 928
    assert sample_size_proportions(0.9, margin=0.02, difference=-0.01) > 2783
    assert sample_size_proportions(0.9, margin=0.02, power=0.9) > 2783
    assert sample_size_proportions(0.9, margin=0.02, confidence=0.99) > 2783
    assert sample_size_paired_mean(0.5, margin=0.1, difference=0.1) == 39
    assert sample_size_paired_binary(0.5, margin=0.02, difference=0.3) == 25  # 6.1826 x 0.41 / 0.32^2
    assert sample_size_means(0, margin=0.1) == 1


# -- refusals --------------------------------------------------------------------------------------

NOT_FINITE = [math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("Infinity"), True]


@pytest.mark.parametrize("bad", NOT_FINITE, ids=str)
def test_what_is_not_finite_is_refused(bad: float) -> None:
    good = Mean(0.5, 40, 0.1)
    calls: list[Callable[[], object]] = [
        lambda: noninferiority_paired_binary(10, 1, 1, margin=bad),
        lambda: noninferiority_paired_binary(10, 1, 1, margin=0.1, confidence=bad),
        lambda: noninferiority_paired_mean(40, bad, 1, margin=0.1),
        lambda: noninferiority_paired_mean(40, 1, bad, margin=0.1),
        lambda: noninferiority_proportions(bad, 10, 0.5, 10, margin=0.1),
        lambda: noninferiority_proportions(0.5, 10, bad, 10, margin=0.1),
        lambda: noninferiority_means(Mean(bad, 40, 1), good, margin=0.1),
        lambda: noninferiority_means(good, Mean(0.5, 40, bad), margin=0.1),
        lambda: noninferiority_means(good, good, margin=0.1, bounds=(0, bad)),
        lambda: noninferiority_means(good, good, margin=0.1, bounds=(bad, 1)),
        lambda: wilson_interval(bad, 10),
        lambda: detectable(10, bad),
        lambda: harm_proportions(bad, 10, 0.5, 10),
        lambda: harm_proportions(0.5, 10, bad, 10),
        lambda: holm([0.1, bad]),
        lambda: sample_size_proportions(0.5, margin=0.1, power=bad),
        lambda: sample_size_proportions(0.5, margin=0.1, difference=bad),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="finite"):
            call()


def test_what_cannot_be_is_refused() -> None:
    good = Mean(0.5, 40, 0.1)
    calls: dict[str, Callable[[], object]] = {
        "no rows": lambda: wilson_interval(0.5, 0),
        "whole number": lambda: wilson_interval(0.5, -1),
        "no more than": lambda: wilson_interval(0.5, 10**16),
        "is a whole": lambda: wilson_interval(0.5, True),
        "are more than": lambda: noninferiority_paired_binary(10, 6, 5, margin=0.1),
        "count of rows": lambda: noninferiority_paired_binary(10, -1, 5, margin=0.1),
        "count of": lambda: harm_paired_binary(-1, 5),
        "between 0 and 1, not at 1.1": lambda: wilson_interval(1.1, 10),
        "between 0 and 1, not at -0.1": lambda: holm([-0.1]),
        "margin is not negative": lambda: noninferiority_paired_binary(10, 1, 1, margin=-0.1),
        "deviation is not negative": lambda: noninferiority_paired_mean(40, 0, -1, margin=0.1),
        "between 0.5 and 1": lambda: noninferiority_paired_binary(10, 1, 1, margin=0.1, confidence=95),
        "0.5 and 1, not": lambda: noninferiority_paired_binary(10, 1, 1, margin=0.1, confidence=0.05),
        "is empty": lambda: noninferiority_means(good, good, margin=0.1, bounds=(1, 1)),
        "outside of the range": lambda: noninferiority_means(good, Mean(1.5, 40), margin=0.1, bounds=(0, 1)),
        "outside": lambda: noninferiority_means(Mean(-1, 40), good, margin=0.1, bounds=(0, 1)),
        "no number of rows": lambda: sample_size_proportions(0.5, margin=0),
        "no number": lambda: sample_size_proportions(0.5, margin=0.1, difference=-0.1),
        "exceed the discordance": lambda: sample_size_paired_binary(0.01, margin=0.1, difference=0.02),
    }
    for message, call in calls.items():
        with pytest.raises(ValueError, match=message):
            call()


# -- properties ------------------------------------------------------------------------------------

COUNTS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 500)).map(
    lambda parts: (parts[0] + parts[1] + max(parts[2], 1), parts[0], parts[1])
)
MARGINS = st.floats(0.001, 0.5)
RATES = st.floats(0, 1)
ROWS = st.integers(1, 5000)


def constrained(n: int, gained: int, lost: int, difference: float) -> float:
    """The likeliest share of lost items under `difference`, found by search rather than by formula."""

    def likelihood(share: float) -> float:
        parts = ((gained, share + difference), (lost, share), (n - gained - lost, 1 - 2 * share - difference))
        return sum(count * math.log(max(p, 1e-300)) for count, p in parts if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    for _ in range(200):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (a, high) if likelihood(a) < likelihood(b) else (low, b)
    return (low + high) / 2


@given(COUNTS)
def test_tangos_limit_is_where_the_score_statistic_is_z(counts: tuple[int, int, int]) -> None:
    n, gained, lost = counts
    found = noninferiority_paired_binary(n, gained, lost, margin=0.1)
    assert found.lower is not None
    if found.lower > -0.999:
        share = constrained(n, gained, lost, found.lower)
        variance = n * (2 * share + found.lower * (1 - found.lower))
        assert (gained - lost - n * found.lower) / math.sqrt(variance) == pytest.approx(Z95, rel=1e-4)


@given(RATES, ROWS)
def test_wilsons_limits_are_where_the_rate_is_z_errors_away(p: float, n: int) -> None:
    found = wilson_interval(p, n)
    assert 0 <= found.lower <= p + 1e-9
    assert p - 1e-9 <= found.upper <= 1
    for limit in (found.lower, found.upper):
        if 1e-6 < limit < 1 - 1e-6:
            assert abs(p - limit) == pytest.approx(
                Z95 * math.sqrt(limit * (1 - limit) / n), rel=1e-5, abs=1e-9
            )


@given(COUNTS, MARGINS)
def test_swapping_the_models_turns_the_interval_round(counts: tuple[int, int, int], margin: float) -> None:
    n, gained, lost = counts
    found = noninferiority_paired_binary(n, gained, lost, margin=margin)
    other = noninferiority_paired_binary(n, lost, gained, margin=margin)
    assert found.lower is not None
    assert other.upper is not None
    assert found.lower == pytest.approx(-other.upper)
    assert found.difference == -other.difference


@given(COUNTS, MARGINS)
def test_one_more_loss_is_never_better(counts: tuple[int, int, int], margin: float) -> None:
    n, gained, lost = counts
    found = noninferiority_paired_binary(n, gained, lost, margin=margin)
    worse = noninferiority_paired_binary(n, gained, lost + 1, margin=margin) if gained + lost < n else found
    assert found.lower is not None
    assert worse.lower is not None
    assert worse.lower <= found.lower + 1e-12


@given(RATES, ROWS, RATES, ROWS, MARGINS, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_verdict_follows_from_the_interval(
    p1: float, n1: int, p0: float, n0: int, margin: float, confidence: float
) -> None:
    found = noninferiority_proportions(p1, n1, p0, n0, margin=margin, confidence=confidence)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower <= found.difference + 1e-9
    assert found.difference - 1e-9 <= found.upper
    expected = "pass" if found.lower > -margin else "fail" if found.upper < -margin else "unknown"
    assert found.verdict == expected
    surer = noninferiority_proportions(p1, n1, p0, n0, margin=margin, confidence=0.999)
    assert surer.lower is not None
    assert surer.lower <= found.lower


@given(st.lists(RATES, max_size=12))
def test_holm_keeps_the_order_and_only_raises(values: list[float]) -> None:
    adjusted = holm(values)
    assert len(adjusted) == len(values)
    assert all(raw <= new + 1e-12 for raw, new in zip(values, adjusted, strict=True))
    assert all(new <= 1 for new in adjusted)
    in_order = [new for _, new in sorted(zip(values, adjusted, strict=True))]
    assert all(a <= b for a, b in pairwise(in_order))
