"""Evaluation: the version is good enough, on data that can be named, by numbers that can be believed.

Values are exact decimals: 0.90 against 0.92 - 0.02 passes. Readings that
cannot be (outside the declared range, at MLflow's stand-in for infinity, dated
in the future) are unknown, never good or bad.
"""

from contextlib import suppress
from decimal import Decimal

from aigate import Finding, Findings, Skip, Snapshot, Unknown, deny, note, policy
from aigate.compare import SKEW, Compared, Pair, believable, brief, scorer
from aigate.limits import Limit, show_origin
from aigate.manifest import Metric, Slice
from aigate.snapshot import Judge, Measurement, Version
from aigate.values import show_instant, show_number


@policy("evaluation.limits", severity="critical", blames="process")
def limits(s: Snapshot) -> Findings:
    """At least one evaluation metric has a limit that can be applied.

    A gate that demands nothing of the model allows everything. A largest drop
    alone is no limit while there is no champion to compare with: the first
    version, and a champion asked about its own stay, need a floor (a ceiling,
    an anchor).
    """
    limited = [metric for metric in s.metrics if metric.rule.limited]
    absolute = [m for m in limited if m.rule.floor or m.rule.ceiling or m.rule.anchor]
    if absolute or (limited and s.question == "promote" and s.champion is not None):
        return
    if limited:
        message = (
            f"{', '.join(m.name for m in limited)}: only a drop against a champion is limited, "
            "and there is none to compare with"
        )
    else:
        message = "no evaluation metric has a limit"
    name = limited[0].name if limited else _any_metric(s)
    yield deny(
        message,
        key="metrics",
        owner=_team(s),
        fix=(
            "add to the manifest:\n"
            "metrics:\n"
            f"  {name}: {{range: [0, 1], floor: {{value: <least>, provenance: {{set_by: <name>, "
            f"set_on: {s.now.date().isoformat()}, environment: {s.environment}, run: <run id>}}}}}}"
        ),
    )


def _any_metric(s: Snapshot) -> str:
    """Return the name of a metric that the version has, for an example."""
    with suppress(Unknown):
        for measurement in s.judged.measurements:
            return measurement.name
    return "<metric>"


@policy("evaluation.floor", severity="critical", blames="model")
def floor(s: Snapshot) -> Findings:
    """No metric is below its floor or above its ceiling.

    Held against the limit is the point estimate that was logged; one that was
    measured on several datasets, on every one of them.
    """
    wanted = [metric for metric in s.metrics if metric.rule.floor or metric.rule.ceiling]
    if not wanted:
        raise Skip("no metric declares a floor or a ceiling")
    for metric in wanted:
        with suppress(Unknown):
            first = s.judged.metric(metric.name)
            yield from _beyond(s, metric.rule, metric.rule, first, metric.name, metric.name)
        for other in _others(s, metric.name):
            with suppress(Unknown):
                on = f"{other.dataset.name}@{other.dataset.digest}" if other.dataset else "data not logged"
                what = f"{metric.name} on {on}"
                yield from _beyond(s, metric.rule, metric.rule, other, what, f"{metric.name}@{on}")


def _others(s: Snapshot, name: str) -> list[Measurement]:
    """Return a metric's measurements but for the one that counts first."""
    with suppress(Unknown):
        return [measured for measured in s.judged.measurements if measured.name == name][1:]
    return []


def _beyond(
    s: Snapshot, rule: Metric, part: Metric | Slice, measured: Measurement, what: str, key: str
) -> Findings:
    """Hold a measurement against a floor and a ceiling."""
    value = believable(measured, rule, s.now).value
    for limit, words, broken in (
        (part.floor, "below its floor of", part.floor is not None and value < part.floor.value),
        (part.ceiling, "above its ceiling of", part.ceiling is not None and value > part.ceiling.value),
    ):
        if limit is not None and broken:
            yield deny(
                f"{what} is {brief(value, limit.value)}, {words} {show_number(limit.value)}",
                key=key,
                value=value,
                limit=limit.value,
                origin=show_origin(limit.provenance),
                owner=_team(s),
                fix=f"look into run {measured.run_id}; a limit that is wrong needs a new value with its own provenance",
            )


@policy("evaluation.regression", severity="high", blames="model")
def regression(s: Snapshot, *, min_overlap: Decimal = Decimal("0.95")) -> Findings:
    """No metric is worse than the champion's by more than its margin; point estimates without `confidence`.

    Compared is only what was measured on the same dataset digest. With
    `confidence` the version must be shown to be no worse than the margin
    (non-inferiority): from rows that both versions were scored on, else from
    means and row counts. What too few rows cannot show is unknown.
    """
    wanted = [(metric, margin) for metric in s.metrics if (margin := _margin(metric.rule)) is not None]
    if not wanted:
        raise Skip("no metric declares max_drop or max_rise")
    if s.question != "promote":
        raise Skip("the champion itself is asked about: there is nothing to compare it with")
    if s.champion is None:
        raise Skip(f"nothing holds @{s.alias}, so there is nothing to compare with")
    for metric, margin in wanted:
        with suppress(Unknown):
            of = Compared(metric.name, metric.rule, margin, metric.rule.lower_is_better)
            yield from _regressed(Pair(s, of), min_overlap, _team(s))


def _margin(part: Metric | Slice) -> Limit | None:
    return part.max_drop or part.max_rise


def _regressed(pair: Pair, min_overlap: Decimal, owner: str) -> Findings:
    name, confidence = pair.of.metric, pair.of.rule.confidence
    beyond = pair.worse > pair.of.margin.value
    if confidence is None:
        note(pair.caveat())
        if beyond:
            yield _worse(pair, name, name, "by point estimates", owner)
        return
    found = pair.test(confidence, min_overlap)
    if found.verdict == "fail":
        yield _worse(pair, name, name, f"by {found.method} at {(confidence * 100).normalize():f} %", owner)
    elif found.verdict != "pass":
        need = f"about {found.n_needed} would do" if found.n_needed else "no number of rows would do"
        raise Unknown(f"{name}: {found.reason} ({found.method}); {need}")
    elif beyond:
        raise Unknown(
            f"{name}: its rows say no worse, its value says worse: they cannot be of one evaluation"
        )


def _worse(pair: Pair, what: str, key: str, how: str, owner: str) -> Finding:
    """Say that the challenger is worse than the champion by more than allowed."""
    mine, theirs, margin = pair.mine.value, pair.theirs.value, pair.of.margin
    sign = "+" if pair.of.lower_is_better else "-"
    bound = theirs + margin.value if pair.of.lower_is_better else theirs - margin.value
    return deny(
        f"{what} went from {brief(theirs, mine)} to {brief(mine, theirs)} "
        f"({sign}{brief(pair.worse, margin.value)}, allowed {sign}{show_number(margin.value)}) "
        f"against champion v{pair.champion} on the same data {pair.data}, {how}",
        key=key,
        value=mine,
        limit=bound,
        origin=show_origin(margin.provenance),
        owner=owner,
        fix=f"compare run {pair.mine.run_id} with run {pair.theirs.run_id}; if data is late, cure that first",
    )


@policy("evaluation.anchor", severity="high", blames="model")
def anchor(s: Snapshot) -> Findings:
    """No metric has crept too far from its anchor.

    Twelve versions, each half a point worse than the last, all pass against
    the one before. The anchor is the fixed point that they are held against
    together.
    """
    wanted = [(metric, metric.rule.anchor) for metric in s.metrics if metric.rule.anchor is not None]
    if not wanted:
        raise Skip("no metric declares an anchor")
    for metric, fixed in wanted:
        with suppress(Unknown):
            measured = believable(s.judged.metric(metric.name), metric.rule, s.now)
            start, most = fixed.value.value, fixed.max_creep.value
            crept = measured.value - start if metric.rule.lower_is_better else start - measured.value
            if crept > most:
                yield deny(
                    f"{metric.name} is {brief(measured.value, start)}, {brief(crept, most)} worse than its anchor "
                    f"of {show_number(start)} (at most {show_number(most)} in all)",
                    key=metric.name,
                    value=measured.value,
                    limit=start + most if metric.rule.lower_is_better else start - most,
                    origin=show_origin(fixed.value.provenance),
                    owner=_team(s),
                    fix="find the versions that lost it; a new anchor is a decision of its own, with provenance",
                )


@policy("evaluation.slices", severity="high", blames="model")
def slices(s: Snapshot, *, min_overlap: Decimal = Decimal("0.95")) -> Findings:
    """Every declared slice of the data holds on its own.

    A good average hides a group that the model fails. Floors and ceilings are
    absolute. A drop beyond its margin is a point estimate; where the metric
    declares `confidence` it must also be shown to be no chance, corrected for
    the number of slices (Holm), since of ten slices one always looks worse.
    """
    parts = [(metric, name, part) for metric in s.metrics for name, part in metric.rule.slices.items()]
    if not parts:
        raise Skip("no metric declares slices")
    compared = s.question == "promote" and s.champion is not None
    tested: list[tuple[Pair, str]] = []
    for metric, name, part in parts:
        what, key, margin = f"{metric.name} on slice {name}", f"{metric.name}/{name}", _margin(part)
        with suppress(Unknown):
            yield from _beyond(s, metric.rule, part, s.judged.metric(part.metric), what, key)
        with suppress(Unknown):
            if compared and margin is not None:
                of = Compared(part.metric, metric.rule, margin, part.max_drop is None, whole=metric.name)
                pair = Pair(s, of)
                if metric.rule.confidence is not None:
                    tested.append((pair, key))
                elif pair.worse > margin.value:
                    yield _worse(pair, what, f"{key}/drop", "by point estimates", _team(s))
    beyond = [item for item in tested if item[0].worse > item[0].of.margin.value]
    harmed = _harmed(tested, min_overlap) if beyond else []
    for pair, key in beyond:
        what = f"{pair.of.whole} on slice {key.rpartition('/')[2]}"
        if (pair, key) in harmed:
            how = f"beyond chance among {len(tested)} slices (Holm)"
            yield _worse(pair, what, f"{key}/drop", how, _team(s))
        else:
            worse = brief(pair.worse, pair.of.margin.value)
            note(f"{what}: {worse} worse, beyond its margin; on so few rows chance may do that")


def _harmed(tested: list[tuple[Pair, str]], min_overlap: Decimal) -> list[tuple[Pair, str]]:
    """Return the slices that are shown to be worse at all, by Holm's step-down procedure.

    Holm (1979): with k slices left, each is tested at a k-th of the error
    allowed; those that are shown are taken out and the rest is tested again.
    """
    harmed: list[tuple[Pair, str]] = []
    while rest := [item for item in tested if item not in harmed]:
        found = [item for item in rest if _shown(item[0], len(rest), min_overlap)]
        if not found:
            break
        harmed += found
    return harmed


def _shown(pair: Pair, tests: int, min_overlap: Decimal) -> bool:
    with suppress(Unknown):
        error = 1 - (pair.of.rule.confidence or Decimal(0))
        return pair.harmed(1 - error / tests, min_overlap)
    return False


@policy("evaluation.data", severity="high", blames="process")
def data(s: Snapshot) -> Findings:
    """Every metric with a limit was measured on data that is logged, and not on its training data.

    A number without its data can be compared with nothing and repeated by
    nobody; one from the training data says how well the model remembers.
    """
    version = s.judged
    run = version.run
    trained = {d.digest for d in run.datasets if d.context == "training"} if run is not None else set()
    for what, name in _watched(s):
        with suppress(Unknown):
            dataset = version.metric(name).dataset
            if dataset is None:
                yield deny(
                    f"{what} names no dataset: on which data it was measured nobody can say",
                    key=name,
                    owner=_team(s),
                    fix="log it with its data: mlflow.log_metric(…, dataset=…) or mlflow.models.evaluate",
                )
            elif dataset.context == "training" or dataset.digest in trained:
                yield deny(
                    f"{what} was measured on the training data ({dataset.name}@{dataset.digest})",
                    key=name,
                    value=dataset.digest,
                    owner=_team(s),
                    fix="evaluate on data that the model has not seen",
                )


@policy("evaluation.judges", severity="high", blames="process")
def judges(s: Snapshot, *, min_coverage: Decimal = Decimal("0.95")) -> Findings:
    """Every LLM judge behind a metric has judged nearly all of its rows.

    A scorer that raised on three rows of four still logs the mean of the
    fourth: 1.0. The share of rows judged is at least the metric's
    `min_coverage`, else the parameter's.
    """
    wanted = [(metric, scorer(metric.name, metric.rule)) for metric in s.metrics]
    found = [(metric, name, s.judged.judge(name)) for metric, name in wanted if name is not None]
    if not any(tally is not None or metric.rule.judge is not None for metric, _, tally in found):
        raise Skip("no metric is the mean of a judge")
    for metric, name, tally in found:
        declared = metric.rule.min_coverage
        with suppress(Unknown):
            if tally is None and metric.rule.judge is not None:
                raise Unknown(f"{metric.name}: no assessments of judge {name} are logged")
            least = min_coverage if declared is None else declared.value
            if tally is not None and _coverage(tally) < least:
                yield deny(
                    f"judge {name} gave a value on {tally.judged} of {tally.rows} rows, {tally.failed} failed: "
                    f"the mean of {metric.name} rests on {_percent(_coverage(tally))}, at least {_percent(least)} is needed",
                    key=metric.name,
                    value=_coverage(tally).quantize(Decimal("0.0001")),
                    limit=least,
                    origin="parameter min_coverage" if declared is None else show_origin(declared.provenance),
                    owner=_team(s),
                    fix=f"see why {name} failed (the traces' assessments hold its errors), then evaluate again",
                )


def _coverage(tally: Judge) -> Decimal:
    if tally.rows == 0 or tally.judged + tally.failed > tally.rows:
        raise Unknown(
            f"the tally of judge {tally.name} cannot be: {tally.judged} judged and {tally.failed} failed "
            f"of {tally.rows} rows"
        )
    return Decimal(tally.judged) / tally.rows


def _percent(share: Decimal) -> str:
    return f"{share * 100:.1f} %"


@policy("evaluation.finished", severity="medium", blames="process")
def finished(s: Snapshot) -> Findings:
    """The run behind the metrics has finished, exists, and its metrics were written before it did.

    A run that still goes on has no result yet, and a metric that was added
    after the end was not measured by what the run was.
    """
    version = s.judged
    for what, name in _watched(s):
        with suppress(Unknown):
            measurement = version.metric(name)
            if measurement.after_finish or _late(version, measurement):
                yield deny(
                    f"{what} was written on {show_instant(measurement.recorded_at)}, after its run had finished",
                    key=name,
                    value=show_instant(measurement.recorded_at),
                    owner=_team(s),
                    fix=f"find out who wrote it; evaluate again in a run of its own (run {measurement.run_id})",
                )
    run = version.run
    if run is None:
        raise Skip(f"v{version.subject.version} was registered without a run")
    if run.deleted or run.status != "FINISHED":
        state = "is deleted" if run.deleted else f"is {run.status}, not FINISHED"
        yield deny(
            f"run {run.run_id} behind v{version.subject.version} {state}",
            key="run",
            value="deleted" if run.deleted else run.status,
            limit="FINISHED",
            owner=_team(s),
            fix="restore the run" if run.deleted else "evaluate again and let the run finish",
        )
    elif run.ended_at is not None and run.ended_at > s.now + SKEW:
        raise Unknown(f"run {run.run_id} finished on {show_instant(run.ended_at)}, in the future")


def _late(version: Version, measurement: Measurement) -> bool:
    """Whether a measurement of the version's own run is dated after the run's end."""
    with suppress(Unknown):
        run = version.run
        if run is not None and run.ended_at is not None and measurement.run_id == run.run_id:
            return measurement.recorded_at > run.ended_at
    return False


def _watched(s: Snapshot) -> list[tuple[str, str]]:
    """Return what is demanded of, metrics and slices: in words, and the MLflow metric that measures it."""
    found = [(metric.name, metric.name) for metric in s.metrics if metric.rule.limited]
    for metric in s.metrics:
        found += [
            (f"{metric.name} on slice {name}", part.metric) for name, part in metric.rule.slices.items()
        ]
    if not found:
        raise Skip("no metric has a limit (evaluation.limits asks for one)")
    return list({name: (what, name) for what, name in reversed(found)}.values())[::-1]


def _team(s: Snapshot) -> str:
    return s.owner.team if s.owner else ""
