"""Which of the numbers logged under a metric's name is the version's measurement. Pure.

MLflow's own "latest" is by step, so one write with a huge step pins a value
for ever, and its metrics stay writable after the run has finished. So every
point is looked at, and the rules are strict:

1. Points tied to the version's LoggedModel are its measurements; only where
   there are none, the history of the run it was registered from is.
2. Points of deleted runs do not count. A point of a run that has not finished,
   or that cannot be read, cannot be trusted.
3. Data logged with the context `training` does not count beside other data.
4. All points on one dataset must agree. Where they differ nobody can say which
   one belongs to the model's weights (the last step's, or the best one's), or
   which repetition counts: the measurement is missing.
5. Measured on several datasets in several runs, the newest comes first, or the
   one on the data that the comparison is about. Several datasets under one
   name in one run: missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from aigate.collect.mlflow import typed
from aigate.collect.mlflow.reader import Json, RegistryError
from aigate.snapshot import Dataset, Measurement, Run
from aigate.values import Evident, missing, show_instant

GENAI = ("mlflow.runType", "genai_evaluate")
"""The tag of a run that MLflow's GenAI evaluation made."""


@dataclass(frozen=True)
class Point:
    """One logged value."""

    key: str
    value: Decimal | str
    """The number, or why it is none."""
    recorded_at: datetime
    step: int
    run_id: str
    dataset: tuple[str, str] | None
    """Name and digest, where MLflow ties the value to its data."""

    @property
    def shown(self) -> str:
        """The value for a message."""
        return f"{self.value:f}" if isinstance(self.value, Decimal) else "no number"


@dataclass(frozen=True)
class Measured:
    """The measurements of one version, and whose numbers they rest on."""

    source: str
    """The registry, for what is missing."""
    runs: Mapping[str, Run | RegistryError]
    """Every run that logged one of the points."""
    now: datetime


def model_points(model: Json) -> tuple[Point, ...]:
    """Return every point tied to a LoggedModel, each with its data and its run."""
    return tuple(_point(found, str(found["run_id"])) for found in model.get("data", {}).get("metrics", ()))


def run_points(history: Iterable[Json], run_id: str) -> tuple[Point, ...]:
    """Return a run's history of one metric; it knows no data."""
    return tuple(_point(found, run_id) for found in history)


def _point(found: Json, run_id: str) -> Point:
    key = str(found["key"])
    name, digest = found.get("dataset_name"), found.get("dataset_digest")
    return Point(
        key=key,
        value=typed.number(found.get("value")),
        recorded_at=typed.instant(found["timestamp"], f"the time of metric {key!r}"),
        step=found.get("step", 0),
        run_id=run_id,
        dataset=(name, digest) if isinstance(name, str) and isinstance(digest, str) and name else None,
    )


def measurements(
    points: Sequence[Point], measured: Measured, *, preferred: Mapping[str, Dataset | None] | None = None
) -> tuple[Measurement, ...]:
    """Return each metric's measurements, the one that counts first.

    `preferred` names, by metric, the data that the other version was measured
    on, so that the two can be compared.
    """
    found: list[Measurement] = []
    for key in sorted({point.key for point in points}):
        wanted = (preferred or {}).get(key)
        mine = [point for point in points if point.key == key]
        found.extend(_of_one_metric(key, mine, points, measured, wanted))
    return tuple(found)


def _of_one_metric(
    key: str, points: list[Point], others: Sequence[Point], measured: Measured, wanted: Dataset | None
) -> list[Measurement]:
    counting = [point for point in points if not _deleted(measured.runs.get(point.run_id))]
    if not counting:
        return [_lost(points, f"{key} was measured only in runs that are deleted", measured)]
    groups: dict[Dataset | None, list[Point]] = {}
    for point in counting:
        groups.setdefault(_dataset(point, measured), []).append(point)
    if any(not _training(data) for data in groups):
        groups = {data: group for data, group in groups.items() if not _training(data)}
    found = [_of_one_dataset(key, data, group, others, measured) for data, group in groups.items()]
    found.sort(key=_newest, reverse=True)
    for at, (data, group) in enumerate(groups.items()):
        for other, rest in list(groups.items())[at + 1 :]:
            if {p.run_id for p in group} & {p.run_id for p in rest} and not _same(group + rest):
                names = " and on ".join(d.name if d else "data not logged" for d in (data, other))
                return [
                    _lost(
                        counting,
                        f"one run measured {key} on {names} under one name: name each apart",
                        measured,
                    )
                ]
    if wanted is not None:
        found.sort(key=lambda m: m.dataset is None or m.dataset.digest != wanted.digest)
    return found


def _newest(measurement: Measurement) -> tuple[datetime, str, bool, str, str]:
    """Sort by time; at one moment, what names its data comes before what does not."""
    data = measurement.dataset
    named = (data.name, data.digest) if data is not None else ("", "")
    return measurement.recorded_at, measurement.run_id, data is not None, *named


def _of_one_dataset(
    key: str, data: Dataset | None, points: list[Point], others: Sequence[Point], measured: Measured
) -> Measurement:
    newest = max(points, key=lambda point: (point.recorded_at, point.step, point.run_id))
    reason = _doubt(key, points, measured)
    value: Evident[Decimal] = missing(reason or "no number", measured.source)
    if not reason and isinstance(newest.value, Decimal):
        value = newest.value
    return typed.built(
        f"metric {key!r}",
        lambda: Measurement(
            name=key,
            value=value,
            dataset=data,
            run_id=newest.run_id,
            recorded_at=newest.recorded_at,
            step=newest.step,
            rows=data.rows if data is not None else None,
            deviation=_deviation(key, newest, others),
            after_finish=any(_after_finish(point, measured.runs.get(point.run_id)) for point in points),
        ),
    )


def _doubt(key: str, points: list[Point], measured: Measured) -> str:
    """Return why the points on one dataset give no value; empty where they do."""
    for point in points:
        if point.recorded_at > measured.now + typed.SKEW:
            return f"{key} is dated {show_instant(point.recorded_at)}, in the future (run {point.run_id})"
        run = measured.runs.get(point.run_id)
        if run is None:
            return f"{key}: run {point.run_id}, which measured it, was not read"
        if isinstance(run, RegistryError):
            return f"{key}: run {point.run_id}, which measured it, cannot be read: {run.message}"
        if run.status != "FINISHED":
            return f"{key}: run {point.run_id}, which measured it, is {run.status}, not FINISHED"
        if isinstance(point.value, str):
            return f"{key}: {point.value} (run {point.run_id}, step {point.step})"
    if not _same(points):
        return _disagreement(key, points)
    return ""


def _disagreement(key: str, points: list[Point]) -> str:
    distinct = {point.value: point for point in points}
    shown = [f"{p.shown} (run {p.run_id[:8]}, step {p.step})" for p in list(distinct.values())[:4]]
    more = f" and {len(distinct) - 4} more" if len(distinct) > 4 else ""
    return (
        f"{key} has {len(distinct)} different values on the same data: {', '.join(shown)}{more}; "
        "which one counts nobody said: log the one that does under a name of its own, or evaluate once"
    )


def _same(points: list[Point]) -> bool:
    return len({point.value for point in points}) == 1


def _deleted(run: Run | RegistryError | None) -> bool:
    return isinstance(run, Run) and run.deleted


def _training(data: Dataset | None) -> bool:
    return data is not None and data.context == "training"


def _after_finish(point: Point, run: Run | RegistryError | None) -> bool:
    return isinstance(run, Run) and run.ended_at is not None and point.recorded_at > run.ended_at


def _dataset(point: Point, measured: Measured) -> Dataset | None:
    """Return the data behind a point: what it names, else what its run was clearly about.

    MLflow 2 and the GenAI evaluation tie no metric to its data. There, a run
    with exactly one dataset of the context `evaluation`, and a GenAI
    evaluation with exactly one dataset at all, measured on that.
    """
    run = measured.runs.get(point.run_id)
    logged = run.datasets if isinstance(run, Run) else ()
    if point.dataset is not None:
        name, digest = point.dataset
        same = [data for data in logged if (data.name, data.digest) == (name, digest)]
        # Logged once for training and once for evaluation, it is training data.
        same.sort(key=lambda data: (data.context != "training", data.context is None))
        return same[0] if same else typed.built("a dataset", lambda: Dataset(name=name, digest=digest))
    if isinstance(run, Run) and run.tag(GENAI[0]) == GENAI[1]:
        return logged[0] if len(logged) == 1 else None
    evaluated = [data for data in logged if data.context == "evaluation"]
    return evaluated[0] if len(evaluated) == 1 else None


def _deviation(key: str, point: Point, others: Sequence[Point]) -> Decimal | None:
    """Return the spread of the score per row, where MLflow's evaluation logged it beside the mean.

    Only its own pair `<score>/mean` and `<score>/variance` is taken: what
    people log as `accuracy_std` is mostly the spread over folds.
    """
    if not key.endswith("/mean"):
        return None
    name = f"{key.removesuffix('/mean')}/variance"
    values = {other.value for other in others if (other.run_id, other.key) == (point.run_id, name)}
    value = next(iter(values)) if len(values) == 1 else None
    return typed.short(value.sqrt()) if isinstance(value, Decimal) and value >= 0 else None


def _lost(points: list[Point], reason: str, measured: Measured) -> Measurement:
    newest = max(points, key=lambda point: (point.recorded_at, point.step, point.run_id))
    return typed.built(
        f"metric {newest.key!r}",
        lambda: Measurement(
            name=newest.key,
            value=missing(reason, measured.source),
            dataset=None,
            run_id=newest.run_id,
            recorded_at=newest.recorded_at,
            step=newest.step,
        ),
    )
