"""What a manifest asks for and can never get, or can never miss. Pure.

A limit that nothing can break protects nobody, and looks as if it did; one
that nothing can keep stops everything, and somebody will switch it off. Both
are told before the first decision, with the place and what to write instead.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from aigate import stats
from aigate.compare import scorer
from aigate.lag import StageLimit, worst_case
from aigate.limits import Limit
from aigate.manifest import PRODUCTION, Environment, Manifest, Metric, Slice, level_of
from aigate.snapshot import Snapshot
from aigate.values import gap, show_duration, show_number

Keys = tuple[str | int, ...]
_Rows = Mapping[str, int]


@dataclass(frozen=True)
class Vacuous:
    """One thing in a manifest that is without effect, or can never be."""

    keys: Keys
    """Where it stands."""
    message: str
    fix: str
    certain: bool = True
    """Whether it is a mistake; else it is worth knowing, and another rule holds or more evidence would do."""


def vacuous(manifest: Manifest, policies: Collection[str], rows: _Rows) -> tuple[Vacuous, ...]:
    """Return everything in a manifest that is without effect, or can never be.

    `policies` are the ids in force. `rows` says on how many rows metrics were
    measured, where recorded evidence tells (`rows_of`); else what the manifest
    declares counts.
    """
    known = {name: metric.rows for name, metric in manifest.metrics.items() if metric.rows} | dict(rows)
    found = [
        *_levels(manifest, policies),
        *_absent(manifest, policies),
        *_unheld(manifest, policies),
        *_objective(manifest),
        *_unused(manifest),
        *_watching(manifest, known),
    ]
    for name, metric in manifest.metrics.items():
        found += _metric(name, metric)
        found += _margin(name, metric, known.get(name))
    return tuple(found)


def rows_of(snapshot: Snapshot) -> dict[str, int]:
    """Return on how many rows each metric was measured, as far as recorded evidence tells: the most that is said."""
    found: dict[str, int] = {}
    for version in (snapshot.challenger, snapshot.champion):
        if gap(version) is not None or version is None or gap(version.measurements) is not None:
            continue
        for measured in version.measurements:
            data = None if measured.dataset is None else measured.dataset.rows
            said = [rows for rows in (measured.rows, data) if rows]
            found[measured.name] = max([found.get(measured.name, 0), min(said, default=0)])
    return {name: rows for name, rows in found.items() if rows}


# What blocks.


def _levels(manifest: Manifest, policies: Collection[str]) -> Iterator[Vacuous]:
    """Find environments in which no policy can say no."""
    for name, settings in _environments(manifest):
        if not policies or any(level_of(id, settings.levels) != "advise" for id in policies):
            continue
        keys = ("environments", name, "levels")
        if name == PRODUCTION:
            yield Vacuous(
                keys,
                f"every policy only advises in {name}: every version is allowed, whatever is found",
                "let what matters block:  levels: {ownership: require, evaluation: block, freshness: block}",
            )
        elif settings.alias is not None:
            yield Vacuous(
                keys,
                f"every policy only advises in {name}: every version that asks for @{settings.alias} gets it",
                "let one block, if that alias is served to anybody:  levels: {evaluation: block}",
                certain=False,
            )


def _absent(manifest: Manifest, policies: Collection[str]) -> Iterator[Vacuous]:
    """Find what the mission cannot do without; certain where no policy that blocks would miss it."""
    levels = dict(_environments(manifest))[PRODUCTION].levels
    limited = [metric for metric in manifest.metrics.values() if metric.limited]
    fixed = any(metric.floor or metric.ceiling or metric.anchor for metric in limited)
    metric_fix = (
        "add  metrics: {accuracy: {range: [0, 1], floor: <least>, provenance: {set_by: <name>, set_on: <date>, "
        "environment: production, run: <run id>}}}"
    )
    stage_fix = (
        "add  stages: [{name: <stage>, owner: <team>, freshness: {url: https://<host>/freshness.json, "
        "time: <field>, max_age: 2h}}]"
    )
    wanted = (
        (bool(limited), "metrics", "evaluation.limits", "no metric has a limit", metric_fix),
        (
            any(stage.freshness for stage in manifest.stages),
            "stages",
            "freshness.promised",
            "no stage promises how fresh its data is",
            stage_fix,
        ),
    )
    for there, key, policy, words, fix in wanted:
        if there:
            continue
        blocks = policy in policies and level_of(policy, levels) != "advise"
        said = f"{policy} will deny every version" if blocks else "and no policy that blocks would say so"
        yield Vacuous((key,), f"{words}: {said}", fix, certain=not blocks)
    if limited and not fixed:
        yield Vacuous(
            ("metrics",),
            "metrics are only held against the champion's: the first version, and a champion, against nothing",
            "add a floor (or a ceiling) to one of them",
            certain=False,
        )


_HOLD = (
    ("metrics", "the limits of metrics", ("evaluation.floor", "evaluation.regression", "evaluation.anchor")),
    ("stages", "the freshness that stages promise", ("freshness.stage",)),
)
"""What is declared, in words, and the policies that hold anybody to it."""


def _unheld(manifest: Manifest, policies: Collection[str]) -> Iterator[Vacuous]:
    """Find what is declared and held by no standard policy that blocks; one of the author's own may."""
    levels = dict(_environments(manifest))[PRODUCTION].levels
    blocking = {id for id in policies if level_of(id, levels) != "advise"}
    declared = {
        "metrics": any(metric.limited for metric in manifest.metrics.values()),
        "stages": any(stage.freshness for stage in manifest.stages),
    }
    for key, what, holders in _HOLD:
        if declared[key] and blocking and blocking.isdisjoint(holders):
            theme = holders[0].partition(".")[0]
            yield Vacuous(
                (key,),
                f"{what} block nothing in {PRODUCTION}: of {', '.join(holders)} none is in force at a level that blocks",
                f"let them block:  levels: {{{theme}: block}},  unless a policy of your own holds them",
                certain=False,
            )


def _environments(manifest: Manifest) -> Iterator[tuple[str, Environment]]:
    yield from ({PRODUCTION: Environment()} | manifest.environments).items()


# Limits of one metric.


def _metric(name: str, metric: Metric) -> Iterator[Vacuous]:
    """Find limits that no value, or every value, keeps."""
    at = ("metrics", name)
    low, high = metric.range or ((Decimal(0), Decimal(1)) if metric.kind == "proportion" else (None, None))
    if low is not None and high is not None:
        yield from _bounds(at, metric, low, high)
        yield from _anchor(at, metric, low, high)
        for key, part in metric.slices.items():
            yield from _bounds((*at, "slices", key), part, low, high)
    for key, part in metric.slices.items():
        if not (part.floor or part.ceiling or part.max_drop or part.max_rise):
            yield Vacuous(
                (*at, "slices", key),
                f"nothing is demanded of {name} on slice {key}",
                "add  floor: <least>  (or max_drop), or take the slice away",
            )
    if not metric.limited and not metric.slices and metric.min_coverage is None:
        yield Vacuous(
            at, f"nothing is demanded of {name}", "add  floor: <least>, or take it away", certain=False
        )
    if metric.min_coverage is not None:
        keys = (*at, "min_coverage")
        if scorer(name, metric) is None:
            yield Vacuous(
                keys, f"{name} has no judge that could have judged too few rows", "add  judge: <scorer>"
            )
        elif metric.min_coverage.value == 0:
            yield _never(keys, "min_coverage 0", "a judge that judged no row", "0.95")


def _bounds(at: Keys, part: Metric | Slice, low: Decimal, high: Decimal) -> Iterator[Vacuous]:
    width = high - low
    name = ".".join(str(key) for key in at[1:])
    for key, limit, worst, best in (
        ("floor", part.floor, low, high),
        ("ceiling", part.ceiling, high, low),
    ):
        if limit is None:
            continue
        words = f"{key} {show_number(limit.value)} of {name}"
        beyond = (limit.value - best) * (1 if best > worst else -1)
        if (limit.value - worst) * (1 if best > worst else -1) <= 0:
            yield _never((*at, key), words, "the worst value there is", "a value inside of the range")
        elif beyond > 0:
            yield Vacuous((*at, key), f"{words} is out of its reach: it ends at {show_number(best)}", _REACH)
        elif beyond == 0:
            yield Vacuous((*at, key), f"{words} is kept by the perfect value alone", _REACH, certain=False)
    for key, margin, limit in (
        ("max_drop", part.max_drop, part.floor),
        ("max_rise", part.max_rise, part.ceiling),
    ):
        if margin is None:
            continue
        words = f"{key} {show_number(margin.value)} of {name}"
        room = width if limit is None else high - limit.value if key == "max_drop" else limit.value - low
        if margin.value >= width:
            yield _never((*at, key), words, "a fall from the best value to the worst", "a part of the range")
        elif limit is not None and margin.value >= room:
            yield Vacuous(
                (*at, key),
                f"{words} never decides: whatever keeps its limit is no further than {show_number(room)} from the best",
                f"make it less than {show_number(room)}, or take it away",
                certain=False,
            )


_REACH = "choose one inside of the range, with its own provenance"


def _anchor(at: Keys, metric: Metric, low: Decimal, high: Decimal) -> Iterator[Vacuous]:
    if metric.anchor is None:
        return
    value, creep = metric.anchor.value.value, metric.anchor.max_creep.value
    keys: Keys = (*at, "anchor")
    words = f"anchor {show_number(value)} with max_creep {show_number(creep)} of {at[1]}"
    ends = value + creep if metric.lower_is_better else value - creep
    worst, best = (high, low) if metric.lower_is_better else (low, high)
    sign = -1 if metric.lower_is_better else 1
    if sign * (ends - best) > 0:
        yield Vacuous(
            (*keys, "value"), f"{words} is out of reach: the metric ends at {show_number(best)}", _REACH
        )
    elif sign * (ends - worst) <= 0:
        yield _never(
            (*keys, "max_creep"), words, "the worst value there is", "less than the room below the anchor"
        )


def _never(keys: Keys, what: str, even: str, instead: str) -> Vacuous:
    return Vacuous(keys, f"{what} can never fail: it lets {even} pass", f"choose {instead}")


# Ages.


def _objective(manifest: Manifest) -> Iterator[Vacuous]:
    """Find an end-to-end objective that the stages cannot keep, or that nobody could ever check."""
    objective = manifest.objectives.end_to_end_age
    if objective is None:
        return
    keys = ("objectives", "end_to_end_age")
    limits = [
        StageLimit(stage.name, stage.reads, stage.freshness.max_age.value if stage.freshness else None)
        for stage in manifest.stages
    ]
    worst = worst_case(limits)
    if all(limit.max_age is None for limit in limits):
        yield Vacuous(
            keys,
            "no stage tells how old its data is, so that the objective is never known to be kept",
            "give the stages  freshness: {url: …, time: …, max_age: …}",
        )
    elif worst.exceeds(objective.value):
        total = worst.total or timedelta(0)
        yield Vacuous(
            keys,
            f"the stages may all be green while the objective of {show_duration(objective.value)} is missed: "
            f"{' → '.join(worst.path)} add up to {show_duration(total)}",
            f"make it {show_duration(total)}, or tighten the stages' max_age, whichever is true",
        )


def _unused(manifest: Manifest) -> Iterator[Vacuous]:
    """Find thresholds that nothing is compared with."""
    for name, threshold in manifest.thresholds.items():
        if threshold.applied is None:
            yield Vacuous(
                ("thresholds", name),
                f"the value of {name} that is in use is compared with nothing",
                "say where it can be read:  applied: {param: <parameter of the version's run>}",
                certain=False,
            )


def _watching(manifest: Manifest, rows: _Rows) -> Iterator[Vacuous]:
    """Find rules for a champion in service that can never take effect."""
    limited = [name for name, metric in manifest.metrics.items() if metric.limited]
    most = max((rows[name] for name in limited), default=0) if all(name in rows for name in limited) else 0
    for name, settings in manifest.environments.items():
        least = settings.watch.min_events
        if least is not None and 0 < most < least:
            yield Vacuous(
                ("environments", name, "watch", "min_events"),
                f"no failing measurement would ever count: {least} rows are asked for, and there are {most} at most",
                f"make it at most {most}, or measure on more rows",
            )
        if settings.rollback.mode == "auto" and settings.rollback.max_per_day == 0:
            yield Vacuous(
                ("environments", name, "rollback", "max_per_day"),
                "mode auto with 0 rollbacks a day never rolls back",
                "write  mode: propose, or allow one a day",
            )


# Margins, and the rows that could show them.


def _margin(name: str, metric: Metric, rows: int | None) -> Iterator[Vacuous]:
    """Find a margin that a test on so many rows can never show, and one that it rarely will."""
    margin = metric.max_drop or metric.max_rise
    if metric.confidence is None or margin is None:
        return
    key = "max_drop" if metric.max_drop else "max_rise"
    keys = ("metrics", name, key)
    if margin.value == 0:
        yield Vacuous(
            keys,
            f"with {key} 0 and a confidence, an equal version is never shown to be no worse: only a better one is",
            f"give it a margin:  {key}: 0.01",
            certain=False,
        )
    elif rows is not None and _hopeless(metric, margin, rows):
        yield Vacuous(
            keys,
            f"{key} {show_number(margin.value)} of {name} can never be shown on {rows} rows at confidence "
            f"{show_number(metric.confidence)}: not even two versions that agree on every row would pass",
            f"evaluate on {_least(metric, margin, rows)} rows at the least, or widen the margin",
        )
    elif rows is not None and (needed := _needed(metric, margin)) is not None and rows < needed:
        yield Vacuous(
            keys,
            f"{key} {show_number(margin.value)} of {name} will rarely be shown on {rows} rows: two equal versions "
            f"need {needed} of them each, four times out of five, unless their rows are logged and compared in pairs",
            f"log the results per row, evaluate on {needed} rows, or widen the margin",
            certain=False,
        )
    elif metric.kind is None:
        yield Vacuous(
            keys,
            f"{name} has a confidence and no kind: where the rows of both versions are not logged, "
            "nothing can be shown",
            "add  kind: proportion  (a share of rows) or  kind: mean",
            certain=False,
        )


def _hopeless(metric: Metric, margin: Limit, rows: int) -> bool:
    """Whether two versions that agree on every row, perfectly, would not pass on so many rows."""
    confidence, low, high = metric.confidence or Decimal(0), Decimal(0), Decimal(1)
    if metric.range is not None:
        low, high = metric.range
    share = margin.value / (high - low) if metric.kind != "proportion" else margin.value
    if share >= 1:
        return False
    same = stats.noninferiority_paired_binary(rows, 0, 0, margin=share, confidence=confidence)
    alike = stats.noninferiority_proportions(1, rows, 1, rows, margin=share, confidence=confidence)
    if "pass" in (same.verdict, alike.verdict):
        return False
    # A mean of which the spread is known needs no more than these rows.
    return metric.kind == "proportion" or rows < stats.MIN_ROWS


def _least(metric: Metric, margin: Limit, rows: int) -> int:
    """Return the fewest rows on which the margin could be shown at all."""
    most = rows
    while _hopeless(metric, margin, most):
        most *= 2
    least = rows
    while most - least > 1:
        middle = (most + least) // 2
        least, most = (middle, most) if _hopeless(metric, margin, middle) else (least, middle)
    return most


def _needed(metric: Metric, margin: Limit) -> int | None:
    """Return the rows that two equal versions at the limit need, unpaired, four times out of five."""
    limit = metric.floor or metric.ceiling
    if metric.kind != "proportion" or limit is None or not 0 < limit.value < 1 or margin.value >= 1:
        return None
    return stats.sample_size_proportions(
        limit.value, margin=margin.value, confidence=metric.confidence or Decimal("0.95")
    )
