"""Two versions on one metric: whether they can be compared at all, and by which test. Pure.

What cannot be compared raises `Unknown`, so that a policy ends without a
verdict: other data, another judge, rows that do not match.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from aigate import stats
from aigate.limits import Limit
from aigate.manifest import Metric
from aigate.policy import Unknown
from aigate.snapshot import Measurement, PairedRows, Snapshot, Version
from aigate.values import show_instant, show_number

SKEW = timedelta(seconds=60)
"""How far clocks may differ before an instant counts as the future."""

INFINITE = Decimal("1.79e308")
"""MLflow stores infinity as the largest double, which would pass any floor."""


def believable(measured: Measurement, rule: Metric, now: datetime) -> Measurement:
    """Return a measurement whose value can be; raise Unknown for one outside its range, or of the future."""
    value = measured.value
    low, high = rule.range or (
        (Decimal(0), Decimal(1)) if rule.kind == "proportion" else (-INFINITE, INFINITE)
    )
    if not low <= value <= high or abs(value) >= INFINITE:
        bounds = "finite" if high == INFINITE else f"between {show_number(low)} and {show_number(high)}"
        raise Unknown(f"{measured.name} is {value:.6g}, which cannot be: it is {bounds}")
    if measured.recorded_at > now + SKEW:
        raise Unknown(f"{measured.name} is dated {show_instant(measured.recorded_at)}, in the future")
    return measured


_ROUNDING = Decimal("1e-9")


@dataclass(frozen=True)
class Compared:
    """What is compared: a metric, or one slice of it."""

    metric: str
    """The MLflow metric."""
    rule: Metric
    """The metric's demands; for a slice, those of the metric it is a part of."""
    margin: Limit
    """How much worse it may be, in the metric's unit."""
    lower_is_better: bool
    whole: str | None = None
    """For a slice, the MLflow metric that it is a part of."""


class Pair:
    """The challenger's measurement beside the champion's, on the same data and by the same judge."""

    def __init__(self, s: Snapshot, of: Compared) -> None:
        """Bring the two together. Raises Unknown where they cannot be compared."""
        challenger, champion = s.challenger, s.champion
        if challenger is None or champion is None:
            raise Unknown(f"{of.metric}: there are no two versions to compare")
        self.of = of
        self.mine = believable(challenger.metric(of.metric), of.rule, s.now)
        self.theirs = believable(champion.metric(of.metric), of.rule, s.now)
        self.champion = champion.subject.version
        if self.theirs.after_finish:
            raise Unknown(f"{of.metric}: the champion's value was written after its run had finished")
        self.data = _same_data(of.metric, self.mine, self.theirs)
        _same_judge(of, challenger, champion)
        self._s = s
        self._slice_of = None if of.whole is None else challenger.metric(of.whole)

    @property
    def worse(self) -> Decimal:
        """By how much the challenger is worse, in the metric's unit; negative where it is better."""
        difference = self.mine.value - self.theirs.value
        return difference if self.of.lower_is_better else -difference

    def test(self, confidence: Decimal, min_overlap: Decimal) -> stats.Comparison:
        """Test that the challenger is no worse than by the margin, at a one-sided confidence.

        The best test that the evidence allows: paired rows of both versions
        (at least `min_overlap` of them in common), else values and row counts.
        Raises Unknown where it allows none.
        """
        return self._test(self.of.margin.value, confidence, min_overlap)

    def harmed(self, confidence: Decimal, min_overlap: Decimal) -> bool:
        """Whether the challenger is shown to be worse at all. Raises Unknown where nothing can be shown."""
        return self._test(Decimal(0), confidence, min_overlap).verdict == "fail"

    def _test(self, margin: Decimal, confidence: Decimal, min_overlap: Decimal) -> stats.Comparison:
        rows = next((c.rows for c in self._s.comparisons if c.metric == self.of.metric), None)
        try:
            if rows is not None:
                return self._paired(rows, margin, confidence, min_overlap)
            return self._unpaired(margin, confidence)
        except ValueError as e:
            raise Unknown(f"{self.of.metric}: {e}") from e

    def _paired(
        self, rows: PairedRows, margin: Decimal, confidence: Decimal, min_overlap: Decimal
    ) -> stats.Comparison:
        name, n = self.of.metric, rows.rows
        if rows.dataset != self.data:
            raise Unknown(f"{name}: its rows are of dataset {rows.dataset}, its value of {self.data}")
        if not min_overlap <= rows.overlap <= 1:
            raise Unknown(
                f"{name}: the two versions have {rows.overlap * 100:.1f} % of their rows in common, "
                f"at least {min_overlap * 100:.1f} % is needed"
            )
        mean = -rows.mean if self.of.lower_is_better else rows.mean
        if not rows.binary:
            return stats.noninferiority_paired_mean(
                n, mean, rows.deviation, margin=margin, confidence=confidence
            )
        better, worse = (rows.lost, rows.gained) if self.of.lower_is_better else (rows.gained, rows.lost)
        if abs(Decimal(better - worse) / n - mean) > _ROUNDING:
            raise Unknown(
                f"{name}: {better} better and {worse} worse of {n} rows do not make a mean of {mean:f}"
            )
        return stats.noninferiority_paired_binary(n, better, worse, margin=margin, confidence=confidence)

    def _unpaired(self, margin: Decimal, confidence: Decimal) -> stats.Comparison:
        name, rule = self.of.metric, self.of.rule
        if rule.kind is None:
            raise Unknown(
                f"{name}: without rows of both versions its kind (proportion or mean) must be declared"
            )
        # Where lower is better the two change places: then higher is.
        one, other = (self.theirs, self.mine) if self.of.lower_is_better else (self.mine, self.theirs)
        n1, n0 = self._count(one), self._count(other)
        if n1 is None or n0 is None:
            raise Unknown(f"{name}: on how many rows it was measured is not known, so nothing can be shown")
        if rule.kind == "proportion":
            return stats.noninferiority_proportions(
                one.value, n1, other.value, n0, margin=margin, confidence=confidence
            )
        return stats.noninferiority_means(
            stats.Mean(one.value, n1, one.deviation),
            stats.Mean(other.value, n0, other.deviation),
            margin=margin,
            bounds=rule.range,
            confidence=confidence,
        )

    def _count(self, measured: Measurement) -> int | None:
        """Return how many rows a value rests on, the least that is stated; None where nothing is."""
        data = measured.dataset
        stated = [rows for rows in (measured.rows, None if data is None else data.rows) if rows is not None]
        if any(rows < 1 for rows in stated):
            raise Unknown(f"{measured.name}: it cannot rest on {min(stated)} rows")
        if self._slice_of is None:
            return min(stated, default=self.of.rule.rows)
        # The rows of data that the whole was measured on are not those of a slice of it.
        whole = self._slice_of.dataset
        if data is not None and whole is not None and data.digest == whole.digest:
            stated = [rows for rows in stated if rows != data.rows]
        return min(stated, default=None)

    def caveat(self) -> str:
        """Say what a comparison of point estimates leaves open."""
        name, mine, theirs = self.of.metric, self.mine.value, self.theirs.value
        words = f"{name}: point estimates, {brief(theirs, mine)} → {brief(mine, theirs)}"
        n = self._count(self.mine)
        if n is None:
            return f"{words}; on how many rows is not known, so neither is what chance alone would do"
        if self.of.rule.kind != "proportion" or not 0 <= theirs <= 1:
            return f"{words} on {n} rows; what chance alone would do is not known (declare its kind)"
        least = stats.detectable(n, 1 - theirs if self.of.lower_is_better else theirs)
        seen = "no difference" if least is None else f"no difference below {least:.3f}"
        return f"{words} on {n} rows, which tell {seen} from chance"


def brief(value: Decimal, against: Decimal) -> str:
    """Write a number with as few decimals, four or more, as tell it from another."""
    for places in (4, 6, 9, 12):
        short = round(value, places)
        if short == value or short not in (against, 0):
            return show_number(value if short == value else short)
    return show_number(value)


def _same_data(name: str, mine: Measurement, theirs: Measurement) -> str:
    """Return the digest of the data that both were measured on."""
    one, other = mine.dataset, theirs.dataset
    if one is None or other is None:
        raise Unknown(f"{name}: its data is not logged with both versions, so it may not be the same")
    if one.digest != other.digest:
        raise Unknown(
            f"{name} was measured on {one.name}@{one.digest}, the champion's on {other.name}@{other.digest}: "
            "not compared; evaluate the champion on the new data"
        )
    return one.digest


def _same_judge(of: Compared, challenger: Version, champion: Version) -> None:
    """Raise Unknown where the two versions were scored by different judges."""
    name = scorer(of.metric, of.rule)
    if name is None:
        return
    one, other = challenger.judge(name), champion.judge(name)
    mine, theirs = one.digest if one else None, other.digest if other else None
    if mine != theirs:
        raise Unknown(
            f"{of.metric}: judge {name} is {mine or 'not logged'}, the champion's {theirs or 'not logged'}: "
            "not compared; score the champion again with the new judge"
        )


def scorer(metric: str, rule: Metric) -> str | None:
    """Return the judge whose scores a metric averages: as declared, or as MLflow names it (`<scorer>/mean`)."""
    return rule.judge or (metric.removesuffix("/mean") if metric.endswith("/mean") else None)
