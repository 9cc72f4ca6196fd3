"""What MLflow knows about the model in question, as the snapshot's evidence.

Champion and challenger are read side by side. Whatever the registry could not
answer is `Missing` with its reason in the place where the fact would stand.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aigate.collect.concurrent import gather
from aigate.collect.deadline import Deadline
from aigate.collect.mlflow import rows, typed
from aigate.collect.mlflow.reader import ArtifactRoot, Json, RegistryError, RegistryReader
from aigate.collect.mlflow.version import Reading, VersionRead, answered, read_version
from aigate.errors import UsageError
from aigate.manifest import Manifest, Metric, folded
from aigate.snapshot import (
    Measurement,
    PairedRows,
    Question,
    RegisteredModel,
    RowComparison,
    Run,
    Source,
    Version,
)
from aigate.values import Evident, gap, missing, show_duration

CLOCK_LIMIT = timedelta(minutes=2)
"""How far MLflow's clock and ours may be apart."""

_RESERVED = re.compile(r"latest|v[0-9]+", re.IGNORECASE)


@dataclass(frozen=True)
class ModelEvidence:
    """What came of asking MLflow."""

    model: Evident[RegisteredModel]
    challenger: Evident[Version | None]
    """None where the question is whether the champion may stay."""
    champion: Evident[Version | None]
    """None where nothing holds the alias."""
    comparisons: tuple[RowComparison, ...] = ()
    runs: Mapping[str, Evident[Run | None]] = field(default_factory=dict)
    """By id: the runs that provenance names."""
    sources: tuple[Source, ...] = ()

    @classmethod
    def nothing(cls, reason: str, registry: str, question: Question, now: datetime) -> "ModelEvidence":
        """Return what is known where MLflow could not be asked at all."""
        source = Source(
            name="mlflow", adapter="mlflow", shown=registry, status="missing", reason=reason, fetched_at=now
        )
        return cls(
            model=missing(reason, registry),
            challenger=missing(reason, registry) if question == "promote" else None,
            champion=missing(reason, registry),
            sources=(source,),
        )


def collect_model(
    reader: RegistryReader,
    manifest: Manifest,
    *,
    question: Question,
    champion_alias: str,
    candidate_alias: str,
    candidate_version: str | None,
    provenance_runs: Sequence[str],
    now: datetime,
    deadline: Deadline,
) -> ModelEvidence:
    """Read the registered model, the champion and, for a promotion, the version that asks for its place.

    `candidate_version` wins over `candidate_alias`. Raises UsageError for an
    alias that is none (`latest`, `v3`), and what a reader raises besides
    RegistryError: settings that the user must mend.
    """
    name = manifest.model.name
    by_alias = question == "promote" and candidate_version is None
    for alias in (champion_alias, *((candidate_alias,) if by_alias else ())):
        _check_alias(alias)
    tasks: dict[str, Callable[[], Any]] = {
        "model": lambda: reader.registered_model(name),
        "champion": lambda: reader.version_by_alias(name, champion_alias),
    }
    if question == "promote":
        tasks["challenger"] = (
            (lambda: reader.version_by_alias(name, candidate_alias))
            if candidate_version is None
            else (lambda: reader.version(name, candidate_version))
        )
    tasks |= {f"run:{run_id}": _ask_run(reader, run_id) for run_id in provenance_runs}
    first = {task: answered(outcome) for task, outcome in gather(tasks, deadline).items()}

    clock = _clock(reader.date(), now + timedelta(seconds=deadline.seconds - deadline.remaining()))
    reading = Reading(reader, deadline, now, _wanted(manifest), clock)
    model = _model(reading, first["model"])
    found = {"champion": _held(first["champion"], first["model"], champion_alias)}
    if question == "promote":
        found["challenger"] = (
            _held(first["challenger"], first["model"], candidate_alias, needed=name)
            if by_alias
            else first["challenger"]
        )
    read = _read(reading, found)
    champion, challenger = read["champion"], read.get("challenger")
    if isinstance(champion, VersionRead) and isinstance(challenger, VersionRead):
        champion = champion.preferring(challenger.version)
    return ModelEvidence(
        model=model,
        challenger=_part(reading, challenger),
        champion=_part(reading, champion),
        comparisons=_comparisons(reading, challenger, champion),
        runs={run_id: _run(reading, first[f"run:{run_id}"]) for run_id in provenance_runs},
        sources=_sources(reading, first, {"champion": champion, "challenger": challenger}, question),
    )


def _wanted(manifest: Manifest) -> dict[str, Metric]:
    """Return every metric that the manifest demands something of; a slice is measured by one of its own."""
    wanted = {part.metric: rule for rule in manifest.metrics.values() for part in rule.slices.values()}
    return {**wanted, **manifest.metrics}


def _check_alias(alias: str) -> None:
    if _RESERVED.fullmatch(alias):
        raise UsageError(
            f"{alias!r} is no alias: MLflow answers it with whatever version is newest at the moment",
            fix="name an alias that somebody sets, or a version's number",
        )


def _clock(there: datetime | None, here: datetime) -> str:
    """Return why MLflow's clock cannot be trusted beside ours; empty where it can, or where it is ours."""
    if there is None:
        return ""
    apart = there - here
    if abs(apart) <= CLOCK_LIMIT:
        return ""
    way = "ahead of" if apart > timedelta(0) else "behind"
    return f"MLflow's clock is {show_duration(abs(apart))} {way} this machine's: times cannot be compared"


def _model(reading: Reading, found: Json | RegistryError) -> Evident[RegisteredModel]:
    if isinstance(found, RegistryError):
        return reading.missing(found.message)
    try:
        return typed.registered_model(found)
    except RegistryError as e:
        return reading.missing(e.message)


def _held(
    found: Json | RegistryError | None, model: Json | RegistryError, alias: str, *, needed: str = ""
) -> Json | RegistryError | None:
    """Return the version behind an alias, believed only where the model's own list of aliases agrees.

    `needed` is the model's name where somebody must hold the alias; otherwise
    None says that nobody does, which lets a first version pass unopposed, so
    a twin that differs in case only is not overlooked.
    """
    if isinstance(found, RegistryError):
        return found
    if isinstance(model, RegistryError):
        return RegistryError(model.code, f"@{alias} is not known for sure: {model.message}")
    listed = {entry["alias"]: entry["version"] for entry in model.get("aliases", ())}
    twins = sorted(other for other in listed if other != alias and folded(other) == folded(alias))
    if twins:
        return RegistryError(
            "broken", f"beside @{alias} there is @{twins[0]}: which one serving reads nobody knows"
        )
    if listed.get(alias) != (None if found is None else found["version"]):
        return RegistryError("broken", f"@{alias} moved while it was read: try again")
    if found is None and needed:
        return RegistryError("not_found", f"no version of {needed} holds @{alias}")
    return found


def _read(
    reading: Reading, found: Mapping[str, Json | RegistryError | None]
) -> dict[str, VersionRead | RegistryError | None]:
    """Read the versions side by side; one that is both champion and challenger is read once."""
    numbers = {role: version["version"] for role, version in found.items() if isinstance(version, dict)}
    tasks: dict[str, Callable[[], VersionRead]] = {}
    for role, version in found.items():
        if isinstance(version, dict):
            tasks.setdefault(numbers[role], lambda v=version: read_version(reading, v))  # type: ignore[misc]  # a default binds the loop's value
    read = reading.all(tasks)
    return {
        role: read[numbers[role]] if isinstance(version, dict) else version for role, version in found.items()
    }


def _part(reading: Reading, read: VersionRead | RegistryError | None) -> Evident[Version | None]:
    if isinstance(read, RegistryError):
        return reading.missing(read.message)
    return None if read is None else read.version


def _ask_run(reader: RegistryReader, run_id: str) -> Callable[[], Json]:
    return lambda: reader.run(run_id)


def _run(reading: Reading, found: Json | RegistryError) -> Evident[Run | None]:
    if isinstance(found, RegistryError):
        return reading.missing(found.message)
    try:
        return typed.run(found)
    except RegistryError as e:
        return reading.missing(e.message)


def _comparisons(reading: Reading, challenger: object, champion: object) -> tuple[RowComparison, ...]:
    """Pair the two versions' rows for every metric that declares a confidence."""
    names = [name for name, rule in reading.metrics.items() if rule.confidence is not None]
    if not names or not isinstance(challenger, VersionRead) or not isinstance(champion, VersionRead):
        return ()
    both = (challenger, champion)
    chosen = {name: [_chosen(read, name) for read in both] for name in names}
    runs = {
        m.run_id: read
        for pair in chosen.values()
        for read, m in zip(both, pair, strict=True)
        if m is not None
    }
    tables = reading.all({run_id: _ask_table(reading, read, run_id) for run_id, read in runs.items()})
    return tuple(
        RowComparison(metric=name, rows=_paired(reading, name, chosen[name], tables)) for name in names
    )


def _chosen(read: VersionRead, name: str) -> Measurement | None:
    if gap(read.version.measurements) is not None:
        return None
    return next((m for m in read.version.measurements if m.name == name), None)


def _ask_table(reading: Reading, read: VersionRead, run_id: str) -> Callable[[], rows.Table | None]:
    def ask() -> rows.Table | None:
        run = read.measured.runs.get(run_id) if read.measured is not None else None
        written = run.tag("mlflow.loggedArtifacts") if isinstance(run, Run) else None
        if written is None or rows.TABLE not in written:
            return None
        return rows.read_table(
            reading.reader.artifact(ArtifactRoot("run", run_id), rows.TABLE, rows.TABLE_BYTES)
        )

    return ask


def _paired(
    reading: Reading,
    name: str,
    pair: list[Measurement | None],
    tables: Mapping[str, rows.Table | RegistryError | None],
) -> Evident[PairedRows | None]:
    """Return both versions' rows paired; None where neither logged any."""
    found = []
    for measurement in pair:
        if measurement is None or gap(measurement.value) is not None or measurement.dataset is None:
            return reading.missing(f"{name} is not known on one and the same data for both versions")
        table = tables[measurement.run_id]
        if isinstance(table, RegistryError):
            return reading.missing(table.message)
        found.append((measurement, measurement.dataset, table if table and table.scores(name) else None))
    (mine, my_data, my_table), (theirs, their_data, their_table) = found
    if my_table is None and their_table is None:
        return None
    if my_table is None or their_table is None:
        without = mine if my_table is None else theirs
        return reading.missing(f"run {without.run_id} logged no rows for {name}, the other version's did")
    if my_data.digest != their_data.digest:
        return reading.missing(f"{name} was measured on different data: {my_data.name} and {their_data.name}")
    if mine.run_id == theirs.run_id:
        return reading.missing(
            f"both versions were evaluated in run {mine.run_id}: whose rows those are nobody knows"
        )
    try:
        rows.check(my_table, name, my_data.rows, mine.value)
        rows.check(their_table, name, their_data.rows, theirs.value)
        return rows.pair(name, my_data.digest, my_table, their_table)
    except RegistryError as e:
        return reading.missing(e.message)


def _sources(
    reading: Reading,
    first: Mapping[str, Any],
    read: Mapping[str, VersionRead | RegistryError | None],
    question: Question,
) -> tuple[Source, ...]:
    """Record what was asked and how it went."""
    asked = {f"mlflow:{task}": _trouble(first[task]) for task in first if task == "model"}
    asked |= {f"mlflow:{task}": _trouble(first[task]) for task in first if task.startswith("run:")}
    for role, found in read.items():
        if isinstance(found, VersionRead):
            asked |= {f"mlflow:{part}:{role}": reason for part, reason in found.sources}
        elif role == "champion" or question == "promote":
            asked[f"mlflow:version:{role}"] = _trouble(found)
    return tuple(
        Source(
            name=name,
            adapter="mlflow",
            shown=reading.reader.registry,
            status="missing" if reason else "ok",
            reason=reason,
            fetched_at=reading.now,
        )
        for name, reason in sorted(asked.items())
    )


def _trouble(outcome: object) -> str:
    return outcome.message if isinstance(outcome, RegistryError) else ""
