"""Is the challenger no worse than the champion by more than a margin? Intervals, and honest sizes.

"Not lower than the champion" blocks an equal model half of the time, and "no significant
drop" passes a bad one whenever the set is small. A non-inferiority test has three answers:

    lower > -margin   pass      the data exclude a drop as large as the margin
    upper < -margin   fail      the data show one
    otherwise         unknown   too few rows to tell; `n_needed` says how many would do

Conventions, everywhere in this module:

- A difference is challenger - champion with higher meaning better. For a metric where
  lower is better the caller turns both signs first.
- Every limit is one-sided at `confidence`: 0.95 means that the truth lies below `lower` in
  one case of twenty, and above `upper` in another.
- `n` counts independent units: items, or clusters of items that share a source; never
  items times repeats of a judge.
- Numbers may be `Decimal`, int or float. One that is not finite or out of its range is a
  ValueError. Results are rounded to 12 decimals, so that two machines agree on them.

Where the textbook's first formula is known to pass too much, a better one is used: the
plain (Wald) interval for two proportions called up to 74 % of the models that were worse by
exactly the margin fine at a nominal 5 %, Newcombe's at most 6.5 %; for paired outcomes
Agresti and Min's reached 13 %, Tango's 7 % (all by enumeration, 30 to 2000 rows).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist
from typing import Literal

Real = Decimal | float
"""A number from a metric or a manifest; integers count."""

MIN_ROWS = 30
"""Fewer rows than this carry no interval of a mean: it would rest on a normality that nobody checked."""

_NORMAL = NormalDist()
_DIGITS = 12
_MOST_ROWS = 10**15
_MOST_EXACT = 2000  # discordant items up to which the binomial tail is summed

Verdict = Literal["pass", "fail", "unknown"]
"""Non-inferior; inferior; cannot be told from these data."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outcome of a non-inferiority test.

    `lower` and `upper` bound the difference, each one-sided; both are None where the data
    carry no interval, and `reason` says why. `n_needed` is the number of rows (for each
    model, where they are not paired) that would show non-inferiority four times out of five
    if the two were truly equal; None where no number would, or none can be told.
    """

    verdict: Verdict
    difference: float
    lower: float | None
    upper: float | None
    n_needed: int | None
    method: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """Two limits, each one-sided at the confidence that was asked for."""

    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean as a run reports it: its value, the number of rows, and their standard deviation if logged."""

    mean: Real
    n: int
    sd: Real | None = None


def noninferiority_paired_binary(
    n: int, gained: int, lost: int, *, margin: Real, confidence: Real = 0.95
) -> Comparison:
    """Compare two models on the same `n` items, each right or wrong.

    `gained` items only the challenger got right, `lost` only the champion. The interval is
    Tango's score interval for paired proportions (Statistics in Medicine 17, 1998, 891-908).
    """
    _counts(n, gained, lost)
    if gained + lost > n:
        raise ValueError(f"{gained} gained and {lost} lost are more than {n} items")
    m, z = _margin(margin), _z(confidence)
    lower, upper = _tango_lower(n, gained, lost, z), -_tango_lower(n, lost, gained, z)
    discordance = min((gained + lost + 1) / (n + 2), 1.0)  # never nought, however equal the models look
    needed = sample_size_paired_binary(discordance, margin=m, confidence=confidence) if m else None
    return _compare((gained - lost) / n, lower, upper, m, n, needed, "paired, score interval (Tango)")


def noninferiority_paired_mean(
    n: int, mean_difference: Real, sd_difference: Real, *, margin: Real, confidence: Real = 0.95
) -> Comparison:
    """Compare two models on the same `n` items, each with a numeric score.

    `mean_difference` and `sd_difference` (n - 1 in the denominator) are those of the differences
    item by item. Student's t interval; below `MIN_ROWS` items the answer is `unknown`.
    """
    _counts(n)
    m, level = _margin(margin), _level(confidence)
    d, sd = _finite(mean_difference, "mean_difference"), _deviation(sd_difference)
    method = "paired, t interval"
    needed = max(sample_size_paired_mean(sd, margin=m, confidence=level), MIN_ROWS) if m else None
    if n < MIN_ROWS:
        reason = f"{n} rows carry no interval of a mean; {MIN_ROWS} are the least"
        return Comparison("unknown", _rounded(d), None, None, needed, method, reason)
    half = _t(level, n - 1) * sd / math.sqrt(n)
    return _compare(d, d - half, d + half, m, n, needed, method)


def noninferiority_proportions(
    p1: Real, n1: int, p0: Real, n0: int, *, margin: Real, confidence: Real = 0.95
) -> Comparison:
    """Compare the challenger's rate `p1` of `n1` rows with the champion's `p0` of `n0`.

    Newcombe's interval from the two Wilson intervals (Statistics in Medicine 17, 1998, 873-890,
    method 10). It takes the rows for independent; when both models saw the same rows it
    is cautious, and the paired test needs far fewer of them.
    """
    challenger, champion = wilson_interval(p1, n1, confidence), wilson_interval(p0, n0, confidence)
    m, rate1, rate0 = _margin(margin), float(p1), float(p0)
    pooled = (rate1 * n1 + rate0 * n0) / (n1 + n0)
    needed = None
    if m:
        needed = max(sample_size_proportions(pooled, margin=m, confidence=confidence), _least(m, confidence))
    lower, upper = _square_and_add(rate1, challenger, rate0, champion)
    return _compare(rate1 - rate0, lower, upper, m, min(n1, n0), needed, "unpaired, Newcombe interval")


def noninferiority_means(
    challenger: Mean,
    champion: Mean,
    *,
    margin: Real,
    bounds: tuple[Real, Real] | None = None,
    confidence: Real = 0.95,
) -> Comparison:
    """Compare two means of scores, from what their runs report.

    With a standard deviation and `MIN_ROWS` rows a mean gets its t interval. Without,
    and with `bounds` (the least and greatest score there can be), it gets the Wilson interval of a
    proportion of that range: no bounded score varies more than one that is always at an
    end (Bhatia and Davis 2000: variance <= (greatest - mean)(mean - least)). A standard deviation
    of nought is taken for one that was not measured. The two limits are joined as
    Newcombe's are. Without bounds too there is no interval, and the answer is `unknown`.
    """
    m, level = _margin(margin), _level(confidence)
    span = None if bounds is None else _span(bounds)
    arms = [_arm(mean, span, level) for mean in (challenger, champion)]
    (mean1, interval1, sd1), (mean0, interval0, sd0) = arms
    d = mean1 - mean0
    method, least = "unpaired, t interval", MIN_ROWS
    if interval1 is None or interval0 is None:
        reason = (
            f"an interval needs the standard deviation of {MIN_ROWS} rows or more, or the range of the score"
        )
        return Comparison("unknown", _rounded(d), None, None, None, method, reason)
    if span is not None and not (_measured(challenger) and _measured(champion)):
        method = "unpaired, interval from the range of the score (Bhatia-Davis)"
        least = _least(m / (span[1] - span[0]), level) if m else MIN_ROWS
    spread = math.sqrt((sd1**2 + sd0**2) / 2)
    needed = max(sample_size_means(spread, margin=m, confidence=level), least) if m else None
    lower, upper = _square_and_add(mean1, interval1, mean0, interval0)
    return _compare(d, lower, upper, m, min(challenger.n, champion.n), needed, method)


def wilson_interval(p: Real, n: int, confidence: Real = 0.95) -> Interval:
    """Wilson's score interval for a rate `p` of `n` rows (JASA 22, 1927, 209-212)."""
    rate, z = _rate(p), _z(confidence)
    _counts(n)
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return Interval(_rounded(max(centre - half, 0.0)), _rounded(min(centre + half, 1.0)))


def sample_size_paired_binary(
    discordance: Real,
    *,
    margin: Real,
    confidence: Real = 0.95,
    power: Real = 0.8,
    difference: Real = 0.0,
) -> int:
    """Items that show non-inferiority with `power` if the truth is `difference`.

    `discordance` is the share of items on which one model is right and the other wrong.
    n = (z(confidence) + z(power))^2 (discordance - difference^2) / (margin + difference)^2
    (Connor, Biometrics 43, 1987, 207-211, moved by the margin).
    """
    share, d = _rate(discordance), _finite(difference, "difference")
    if abs(d) > share:
        raise ValueError("a difference cannot exceed the discordance")
    return _size(share - d * d, margin, confidence, power, d)


def sample_size_paired_mean(
    sd_difference: Real,
    *,
    margin: Real,
    confidence: Real = 0.95,
    power: Real = 0.8,
    difference: Real = 0.0,
) -> int:
    """Items that show non-inferiority with `power`: n = (z + z)^2 sd^2 / (margin + difference)^2."""
    return _size(_deviation(sd_difference) ** 2, margin, confidence, power, _finite(difference, "difference"))


def sample_size_proportions(
    p: Real, *, margin: Real, confidence: Real = 0.95, power: Real = 0.8, difference: Real = 0.0
) -> int:
    """Rows for each model that show non-inferiority with `power`, the champion's rate being `p`.

    n = (z + z)^2 (p1 (1 - p1) + p (1 - p)) / (margin + difference)^2 with p1 = p + difference.
    """
    rate, d = _rate(p), _finite(difference, "difference")
    other = _rate(rate + d)
    return _size(rate * (1 - rate) + other * (1 - other), margin, confidence, power, d)


def sample_size_means(
    sd: Real, *, margin: Real, confidence: Real = 0.95, power: Real = 0.8, difference: Real = 0.0
) -> int:
    """Rows for each model that show non-inferiority with `power`: n = (z + z)^2 2 sd^2 / (margin + difference)^2."""
    return _size(2 * _deviation(sd) ** 2, margin, confidence, power, _finite(difference, "difference"))


def detectable(n: int, p: Real, *, confidence: Real = 0.95, power: Real = 0.8) -> float | None:
    """The smallest drop from a rate `p` that `n` rows for each model would show with `power`.

    It solves drop^2 n = (z + z)^2 (p (1 - p) + p1 (1 - p1)) with p1 = p - drop, and says what a comparison
    of two points could have seen at best. None: not even a drop to nought.
    """
    _counts(n)
    rate, k = _rate(p), (_z(confidence) + _z(power)) ** 2
    slope, constant = k * (2 * rate - 1), 2 * k * rate * (1 - rate)
    drop = (slope + math.sqrt(slope * slope + 4 * (n + k) * constant)) / (2 * (n + k))
    return _rounded(drop) if 0 < drop <= rate else None


def harm_paired_binary(gained: int, lost: int) -> float:
    """The p-value of "the challenger is no worse": McNemar's exact test, one-sided.

    The chance of losing at least `lost` of the items on which the two differ, if gain and
    loss were equally likely; beyond 2000 such items from the normal distribution,
    with the correction for continuity.
    """
    total = gained + lost
    _counts(total + 1, gained, lost)
    if total > _MOST_EXACT:
        return _rounded(_NORMAL.cdf((2 * gained + 1 - total) / math.sqrt(total)))
    # As integers, term by term: exact, and no float is asked to hold 2**total.
    term = tail = 1
    for k in range(gained):
        term = term * (total - k) // (k + 1)
        tail += term
    return _rounded(tail / (1 << total))


def harm_proportions(p1: Real, n1: int, p0: Real, n0: int) -> float:
    """The p-value of "the challenger is no worse" for two unpaired rates: the pooled z test, one-sided."""
    _counts(n1)
    _counts(n0)
    rate1, rate0 = _rate(p1), _rate(p0)
    pooled = (rate1 * n1 + rate0 * n0) / (n1 + n0)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n0))
    return 1.0 if error == 0 else _rounded(_NORMAL.cdf((rate1 - rate0) / error))


def holm(p_values: Sequence[Real]) -> tuple[float, ...]:
    """The p-values adjusted for how many they are, in the same order (Holm, Scand. J. Stat. 6, 1979, 65-70).

    Whatever is then at most alpha may be called significant, and the chance that any
    such call is wrong is at most alpha.
    """
    values = [_rate(p) for p in p_values]
    adjusted = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min((len(values) - rank) * values[index], 1.0))
        adjusted[index] = _rounded(highest)
    return tuple(adjusted)


def _compare(
    difference: float, lower: float, upper: float, margin: float, n: int, needed: int | None, method: str
) -> Comparison:
    low, high = _rounded(lower), _rounded(upper)
    verdict: Verdict = "pass" if low > -margin else "fail" if high < -margin else "unknown"
    reason = ""
    if verdict == "unknown":
        enough = needed is None or n >= needed
        reason = "the difference is too near the margin to tell" if enough else "the rows are too few to tell"
    return Comparison(verdict, _rounded(difference), low, high, needed, method, reason)


def _tango_lower(n: int, gained: int, lost: int, z: float) -> float:
    """The difference at which the score statistic is `z`; it falls as the difference grows."""
    low, high = -1.0, (gained - lost) / n
    for _ in range(60):
        middle = (low + high) / 2
        # Under "the difference is `middle`", the likeliest share of lost items is the root of a x^2 + b x + c.
        a, c = 2 * n, -lost * middle * (1 - middle)
        b = -gained - lost + (2 * n - gained + lost) * middle
        share = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = max(n * (2 * share + middle * (1 - middle)), 0.0)
        if gained - lost - n * middle > z * math.sqrt(variance):
            low = middle
        else:
            high = middle
    return low


def _square_and_add(
    value1: float, interval1: Interval, value0: float, interval0: Interval
) -> tuple[float, float]:
    """Limits of `value1` - `value0` from the limits of each (Newcombe's method 10; MOVER in general)."""
    d = value1 - value0
    lower = d - math.hypot(value1 - interval1.lower, interval0.upper - value0)
    upper = d + math.hypot(interval1.upper - value1, value0 - interval0.lower)
    return lower, upper


def _arm(
    reported: Mean, span: tuple[float, float] | None, level: float
) -> tuple[float, Interval | None, float]:
    """The mean, its interval if it has one, and the deviation it was made from."""
    _counts(reported.n)
    mean = _finite(reported.mean, "mean")
    if span is not None and not span[0] <= mean <= span[1]:
        raise ValueError(f"the mean {mean} is outside of the range of the score")
    sd = 0.0 if reported.sd is None else _deviation(reported.sd)
    if _measured(reported):
        half = _t(level, reported.n - 1) * sd / math.sqrt(reported.n)
        return mean, Interval(mean - half, mean + half), sd
    if span is None:
        return mean, None, sd
    least, width = span[0], span[1] - span[0]
    share = wilson_interval((mean - least) / width, reported.n, level)
    greatest_sd = math.sqrt((span[1] - mean) * (mean - least))
    return mean, Interval(least + width * share.lower, least + width * share.upper), greatest_sd


def _measured(reported: Mean) -> bool:
    """Whether the mean has a deviation to rely on."""
    return reported.sd is not None and reported.sd > 0 and reported.n >= MIN_ROWS


def _size(variance: float, margin: Real, confidence: Real, power: Real, difference: float) -> int:
    room = _margin(margin) + difference
    if room <= 0:
        raise ValueError("no number of rows shows what is not so: margin + difference must be positive")
    exact = (_z(confidence) + _z(power)) ** 2 * variance / (room * room)
    return max(math.ceil(_rounded(exact)), 1)


def _least(margin: float, confidence: Real) -> int:
    """Rows without which not even two perfect rates are proven alike: Wilson's limit of 1 is then n / (n + z^2)."""
    z = _z(confidence)
    return math.ceil(z * z * (1 - margin) / margin) if margin < 1 else 1


def _t(level: float, freedom: int) -> float:
    """Student's t quantile from the normal one (Abramowitz and Stegun 26.7.5); within 1e-4 from 29 degrees on."""
    x = _NORMAL.inv_cdf(level)
    return (
        x
        + (x**3 + x) / (4 * freedom)
        + (5 * x**5 + 16 * x**3 + 3 * x) / (96 * freedom**2)
        + (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / (384 * freedom**3)
        + (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / (92160 * freedom**4)
    )


def _rounded(value: float) -> float:
    return round(value, _DIGITS) + 0.0  # and no minus nought


def _finite(value: Real, name: str) -> float:
    if isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value}")
    return float(value)


def _rate(value: Real) -> float:
    rate = _finite(value, "a rate")
    if not 0 <= rate <= 1:
        raise ValueError(f"a rate lies between 0 and 1, not at {rate}")
    return rate


def _deviation(value: Real) -> float:
    sd = _finite(value, "a standard deviation")
    if sd < 0:
        raise ValueError(f"a standard deviation is not negative: {sd}")
    return sd


def _margin(value: Real) -> float:
    margin = _finite(value, "margin")
    if margin < 0:
        raise ValueError(f"a margin is not negative: {margin}")
    return margin


def _span(bounds: tuple[Real, Real]) -> tuple[float, float]:
    least, greatest = _finite(bounds[0], "a bound"), _finite(bounds[1], "a bound")
    if least >= greatest:
        raise ValueError(f"the range from {least} to {greatest} is empty")
    return least, greatest


def _level(value: Real) -> float:
    level = _finite(value, "confidence and power")
    if not 0.5 < level < 1:
        raise ValueError(f"confidence and power lie between 0.5 and 1, not at {level}")
    return level


def _z(level: Real) -> float:
    return _NORMAL.inv_cdf(_level(level))


def _counts(n: int, *parts: int) -> None:
    for count in (n, *parts):
        if type(count) is not int or not 0 <= count <= _MOST_ROWS:
            raise ValueError("a count of rows is a whole number, and no more than 10^15")
    if n == 0:
        raise ValueError("no rows at all")
