"""One model version read whole: its identity, its run, its measurements and its judges.

What cannot be had becomes `Missing` in its own place; only a version that
cannot be identified raises.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from aigate.collect.concurrent import gather
from aigate.collect.deadline import Deadline, DeadlineError
from aigate.collect.mlflow import judges, typed
from aigate.collect.mlflow.files import artifact_digest
from aigate.collect.mlflow.measure import GENAI, Measured, Point, measurements, model_points, run_points
from aigate.collect.mlflow.reader import ArtifactRoot, Json, RegistryError, RegistryReader
from aigate.manifest import Metric
from aigate.snapshot import Dataset, Judge, Measurement, Run, Subject, Version
from aigate.values import Digest, Evident, gap, missing

T = TypeVar("T")

RUNS_LIMIT = 50
"""Runs that may have measured one version; beyond that nobody can say which ones count."""

GONE = "MODEL_GONE"
"""The status of a version whose LoggedModel has been deleted; MLflow goes on saying READY."""

CHAIN_LIMIT = 10
"""Copies of copies that are followed."""

NAMES_LIMIT = 100
"""Undeclared metrics of a run that are named, so that a misspelt one can be found."""


@dataclass
class _Once:
    """One run that several ask for at the same time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    found: Json | None = None


@dataclass(frozen=True)
class Reading:
    """How one version is to be read."""

    reader: RegistryReader
    deadline: Deadline
    now: datetime
    metrics: Mapping[str, Metric]
    """What the manifest demands, by MLflow's name of the metric; slices are metrics of their own."""
    clock: str = ""
    """Why the registry's clock cannot be ours, where it cannot; then no time in it can be judged."""
    _runs: dict[str, "_Once"] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def run(self, run_id: str) -> Json:
        """Return a run, read once for all who ask for it."""
        with self._lock:
            asked = self._runs.setdefault(run_id, _Once())
        with asked.lock:
            if asked.found is None:
                asked.found = self.reader.run(run_id)
            return asked.found

    def missing(self, reason: str) -> Any:
        """Return a gap that names the registry as its source."""
        return missing(reason, self.reader.registry)

    def all(self, tasks: Mapping[str, Callable[[], T]]) -> dict[str, T | RegistryError]:
        """Ask several questions at once; what the registry could not answer is a value."""
        return {name: answered(outcome) for name, outcome in gather(tasks, self.deadline).items()}


@dataclass(frozen=True)
class VersionRead:
    """A version, and what a comparison with another one needs."""

    version: Version
    points: tuple[Point, ...] = ()
    measured: Measured | None = None
    sources: tuple[tuple[str, str], ...] = ()
    """What was read, and why nothing came of it (empty: something did)."""

    def preferring(self, other: Version) -> "VersionRead":
        """Return it with its measurements ordered so that those on the other version's data come first."""
        if self.measured is None or gap(other.measurements) is not None:
            return self
        data: dict[str, Dataset | None] = {}
        for measurement in other.measurements:
            data.setdefault(measurement.name, measurement.dataset)
        found = measurements(self.points, self.measured, preferred=data)
        named = {measurement.name for measurement in found}
        rest = tuple(m for m in self.version.measurements if m.name not in named)
        version = Version(**{**dict(self.version), "measurements": (*found, *rest)})
        return replace(self, version=version)


def answered(outcome: T | BaseException) -> T | RegistryError:
    """Return an outcome of `gather`; what is not the registry's trouble is raised."""
    if isinstance(outcome, DeadlineError):
        return RegistryError("deadline", outcome.message)
    if isinstance(outcome, BaseException) and not isinstance(outcome, RegistryError):
        raise outcome
    return outcome


def read_version(reading: Reading, found: Json) -> VersionRead:
    """Read everything about a version that the registry returned as `found`."""
    origin = _origin(reading, found)
    # The files take longest and nothing else waits for them.
    read = reading.all(
        {"artifact": lambda: _digest(reading, origin, found), "facts": lambda: _facts(reading, found, origin)}
    )
    digest, facts = read["artifact"], read["facts"]
    if isinstance(facts, RegistryError):
        raise facts
    assert isinstance(facts, _Facts)  # the other task's type stands beside it in the dictionary
    version = typed.built(
        f"version {found['version']} of {found['name']!r}",
        lambda: Version(
            subject=_subject(reading, found, origin, digest),
            status=facts.status,
            stage=_stage(found),
            aliases=tuple(sorted(found.get("aliases", ()))),
            tags=typed.tags(found.get("tags", ()), None),
            lineage=origin.lineage,
            run=facts.run,
            measurements=facts.metrics.measurements,
            judges=facts.judges,
        ),
    )
    sources = [
        ("version", ""),
        ("run", _reason(facts.run)),
        ("artifact", digest.message if isinstance(digest, RegistryError) else ""),
        ("metrics", _reason(facts.metrics.measurements)),
    ]
    if facts.judges != ():
        sources.append(("judges", _reason(facts.judges)))
    return VersionRead(version, facts.metrics.points, facts.metrics.measured, tuple(sources))


@dataclass(frozen=True)
class Identified:
    """A version's identity, and what little else a return to it depends on."""

    subject: Subject
    status: str
    root: ArtifactRoot | RegistryError
    """Where its files lie, or why nobody can say."""
    gone: bool = False
    """Whether they were looked for, and there are none."""


def identify(reading: Reading, found: Json, *, files: bool) -> Identified:
    """Read who a version is, without its run's facts and its measurements.

    `files` says whether its files are read for their digest; else the digest
    is a gap that says so.
    """
    origin = _origin(reading, found)
    tasks: dict[str, Callable[[], Any]] = {
        "model": lambda: None if origin.model_id is None else reading.reader.logged_model(origin.model_id),
        "root": lambda: _root(reading, origin, found),
    }
    if files:
        tasks["digest"] = lambda: _digest(reading, origin, found)
    read = reading.all(tasks)
    digest = read.get("digest", RegistryError("unsupported", "its files were not read"))
    subject = typed.built(
        f"version {found['version']} of {found['name']!r}",
        lambda: _subject(reading, found, origin, digest),
    )
    root = read["root"]
    assert isinstance(root, ArtifactRoot | RegistryError)
    gone = files and isinstance(digest, RegistryError) and digest.code == "not_found"
    return Identified(subject, _status(found, read["model"]), root, gone)


@dataclass(frozen=True)
class _Facts:
    """What the run and the LoggedModel tell."""

    status: str
    run: Evident[Run | None]
    metrics: "_Metrics"
    judges: Evident[tuple[Judge, ...]]


def _facts(reading: Reading, found: Json, origin: "_Origin") -> _Facts:
    run_id: str | None = found.get("run_id") or None
    first = reading.all(
        {
            "run": lambda: None if run_id is None else reading.run(run_id),
            "model": lambda: (
                None if origin.model_id is None else reading.reader.logged_model(origin.model_id)
            ),
        }
    )
    run = _run(reading, first["run"], first["model"])
    metrics = _measured(reading, run, first["model"], origin)
    return _Facts(_status(found, first["model"]), run, metrics, _judges(reading, metrics))


@dataclass(frozen=True)
class _Origin:
    """Where a version's model comes from, at the end of its chain of copies."""

    source: str
    model_id: str | None
    lineage: tuple[str, ...]
    broken: str = ""
    """Why the chain could not be followed to its end."""


def _origin(reading: Reading, found: Json) -> _Origin:
    """Follow `models:/churn/1` from copy to copy."""
    source = str(found.get("source", ""))
    lineage: list[str] = []
    while (copied := typed.copied_from(source)) is not None:
        if source in lineage or len(lineage) >= CHAIN_LIMIT:
            return _Origin(source, None, tuple(lineage), "its chain of copies has no end")
        lineage.append(source)
        try:
            source = str(reading.reader.version(*copied).get("source", ""))
        except RegistryError as e:
            reason = f"it is a copy of {source}, which cannot be read: {e.message}"
            return _Origin(source, None, tuple(lineage), reason)
    return _Origin(source, typed.model_id_of(source), tuple(lineage))


def _subject(reading: Reading, found: Json, origin: _Origin, digest: Any) -> Subject:
    return Subject(
        registry=reading.reader.registry,
        name=found["name"],
        version=found["version"],
        created_at=typed.instant(found["creation_timestamp"], "the version's creation"),
        run_id=found.get("run_id") or None,
        source=str(found.get("source", "")),
        model_id=origin.model_id,
        artifact_digest=reading.missing(digest.message) if isinstance(digest, RegistryError) else digest,
    )


def _status(found: Json, model: Any) -> str:
    """Return the version's status, or the LoggedModel's where that one is not ready: MLflow says READY at once."""
    if isinstance(model, RegistryError):
        return GONE if model.code == "not_found" else "unknown"
    behind = model["info"].get("status") if isinstance(model, dict) else None
    if isinstance(behind, str) and behind not in ("", "LOGGED_MODEL_READY"):
        return behind
    return found.get("status") or "unknown"


def _stage(found: Json) -> str | None:
    stage = found.get("current_stage") or "None"
    return None if stage == "None" else stage


def _digest(reading: Reading, origin: _Origin, found: Json) -> Digest:
    """Return the digest of the version's files."""
    return artifact_digest(reading.reader, _root(reading, origin, found), reading.deadline)


def _root(reading: Reading, origin: _Origin, found: Json) -> ArtifactRoot:
    """Return where the version's files lie: under its LoggedModel, or under its run (MLflow 2)."""
    if origin.broken:
        raise RegistryError("unsupported", origin.broken)
    if origin.model_id is not None:
        return ArtifactRoot("model", origin.model_id)
    run_id: str = found.get("run_id") or ""
    if not run_id:
        raise RegistryError(
            "unsupported", f"its files are at {origin.source[:200]!r}, which no run or model owns"
        )
    return ArtifactRoot("run", run_id, _below(origin.source, run_id, reading.run(run_id)))


def _below(source: str, run_id: str, run: Json) -> str:
    """Return where, under its run's files, a version's files lie."""
    for root in (f"runs:/{run_id}", str(run["info"].get("artifact_uri", "")).rstrip("/")):
        if root and source.startswith(f"{root}/"):
            return source.removeprefix(f"{root}/").rstrip("/")
    raise RegistryError("unsupported", f"its files are at {source[:200]!r}, outside of run {run_id}")


def _run(reading: Reading, run: Any, model: Any) -> Evident[Run | None]:
    if run is None:
        return None
    if isinstance(run, RegistryError):
        return reading.missing(run.message)
    if isinstance(model, dict):
        logged_by = model["info"].get("source_run_id") or ""
        run_id = run["info"]["run_id"]
        if logged_by and logged_by != run_id:
            return reading.missing(
                f"it is registered with run {run_id}, and its model was logged by run {logged_by}"
            )
    try:
        return typed.run(run)
    except RegistryError as e:
        return reading.missing(e.message)


@dataclass(frozen=True)
class _Metrics:
    measurements: Evident[tuple[Measurement, ...]]
    points: tuple[Point, ...] = ()
    measured: Measured | None = None


def _measured(reading: Reading, run: Evident[Run | None], model: Any, origin: _Origin) -> _Metrics:
    """Return the measurements: those of the LoggedModel, and for what it has none, those of the run."""
    if reading.clock or origin.broken or isinstance(model, RegistryError):
        return _Metrics(reading.missing(reading.clock or origin.broken or model.message))
    try:
        points = model_points(model) if model is not None else ()
        lost = gap(run)
        own = run if lost is None else None
        points += _history(reading, own, {point.key for point in points})
        runs = _runs(reading, own, points)
    except RegistryError as e:
        return _Metrics(reading.missing(e.message))
    measured = Measured(reading.reader.registry, runs, reading.now)
    found = measurements(points, measured)
    if lost is not None:
        named = {measurement.name for measurement in found}
        if any(name not in named for name in reading.metrics):
            # What the run would have told is not known to be absent.
            return _Metrics(reading.missing(lost.missing))
    return _Metrics((*found, *_undeclared(reading, own, points)), points, measured)


def _history(reading: Reading, run: Run | None, known: set[str]) -> tuple[Point, ...]:
    """Return the run's own points of every declared metric that its model has none of."""
    if run is None:
        return ()
    logged = {tag.key for tag in run.metrics}
    wanted = [name for name in reading.metrics if name in logged and name not in known]
    answers = reading.all({name: _ask_history(reading, run.run_id, name) for name in wanted})
    points: tuple[Point, ...] = ()
    for answer in answers.values():
        if isinstance(answer, RegistryError):
            raise answer
        points += run_points(answer, run.run_id)
    return points


def _ask_history(reading: Reading, run_id: str, name: str) -> Callable[[], Sequence[Json]]:
    return lambda: reading.reader.metric_history(run_id, name)


def _runs(reading: Reading, own: Run | None, points: Iterable[Point]) -> dict[str, Run | RegistryError]:
    """Read every run that logged a point."""
    ids = sorted({point.run_id for point in points} - ({own.run_id} if own else set()))
    if len(ids) > RUNS_LIMIT:
        raise RegistryError("limit", f"more than {RUNS_LIMIT} runs measured this version")
    found: dict[str, Run | RegistryError] = {own.run_id: own} if own else {}
    return found | reading.all({run_id: _ask_run(reading, run_id) for run_id in ids})


def _ask_run(reading: Reading, run_id: str) -> Callable[[], Run]:
    return lambda: typed.run(reading.run(run_id))


def _undeclared(reading: Reading, run: Run | None, points: Iterable[Point]) -> tuple[Measurement, ...]:
    """Name what the run logged and the manifest does not declare; its values are not looked into."""
    if run is None or run.started_at is None:
        return ()
    known = {point.key for point in points} | set(reading.metrics)
    names = [tag.key for tag in run.metrics if tag.key not in known and not tag.key.startswith("system/")]
    moment = run.ended_at or run.started_at
    return tuple(
        Measurement(
            name=name,
            value=reading.missing(
                f"{name} is not declared: add it to the manifest's metrics to have it read"
            ),
            dataset=None,
            run_id=run.run_id,
            recorded_at=moment,
        )
        for name in names[:NAMES_LIMIT]
        if 0 < len(name) <= 200
    )


def _judges(reading: Reading, metrics: _Metrics) -> Evident[tuple[Judge, ...]]:
    """Count the assessments in every run whose number is a judge's mean."""
    if metrics.measured is None:
        return ()
    wanted: dict[str, Run] = {}
    for name, rule in reading.metrics.items():
        chosen = next((m for m in metrics.measurements if m.name == name), None)
        run = metrics.measured.runs.get(chosen.run_id) if chosen is not None else None
        if isinstance(run, Run) and (rule.judge is not None or run.tag(GENAI[0]) == GENAI[1]):
            wanted[run.run_id] = run
    answers = reading.all({run_id: _ask_tallies(reading, run) for run_id, run in wanted.items()})
    for answer in answers.values():
        if isinstance(answer, RegistryError):
            return reading.missing(answer.message)
    return judges.merged(answer for answer in answers.values() if not isinstance(answer, RegistryError))


def _ask_tallies(reading: Reading, run: Run) -> Callable[[], tuple[Judge, ...]]:
    def ask() -> tuple[Judge, ...]:
        found = reading.run(run.run_id)
        traces = reading.reader.traces(str(found["info"].get("experiment_id", "")), run.run_id)
        rows = [data.rows for data in run.datasets if data.rows is not None]
        return judges.tallies(traces, run.run_id, max(rows, default=None))

    return ask


def _reason(part: object) -> str:
    lost = gap(part)
    return "" if lost is None else lost.missing
