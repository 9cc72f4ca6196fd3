"""What `aigate init` needs to know of a registry: its models, one model's aliases, and what was measured."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aigate.collect.access import access
from aigate.collect.concurrent import gather
from aigate.collect.deadline import Deadline
from aigate.collect.mlflow import typed
from aigate.collect.mlflow.measure import Measured, Point, measurements, model_points, run_points
from aigate.collect.mlflow.reader import Json, RegistryError, RegistryReader
from aigate.collect.strict import quote
from aigate.errors import AigateError, UsageError
from aigate.snapshot import Measurement, Run
from aigate.values import gap

CHAMPIONS = ("champion", "production", "prod", "live")
"""Aliases that name the version in service, the likeliest first."""

CHALLENGERS = ("challenger", "candidate", "staging", "shadow")
"""Aliases that name the version that is to follow it."""

OWNER_TAGS = ("aigate.owner", "owner")
"""Tags of a registered model that name its owner; the policy `ownership.registry` reads the same."""

_PROMPT = "mlflow.prompt.is_prompt"
_SHOWN = 20

MOST_HISTORIES = 50
"""Metrics of a run that are looked into: each costs a question."""


class NoAnswerError(AigateError):
    """The registry did not say what is needed to begin."""

    exit_code = 3


@dataclass(frozen=True)
class Found:
    """One model as the registry holds it."""

    model: str
    champion: str
    """The alias of the version in service; the usual one where none is set."""
    challenger: str
    owner: str | None
    version: str | None
    """The version whose metrics these are: the one in service, else the newest."""
    metrics: tuple[Measurement, ...]
    """Those whose value can be relied on."""
    trouble: str = ""
    """Why no metrics were read, where they could not be."""


def first_look(
    environ: Mapping[str, str],
    home: Path,
    now: datetime,
    seconds: float,
    tracking_uri: str | None,
    model: str | None,
) -> Found:
    """Ask the registry about one model.

    Raises UsageError where it is not clear which one is meant, and
    NoAnswerError where the registry does not answer.
    """
    deadline = Deadline(seconds)
    way = access(environ, home, uri=tracking_uri)
    reader = way.registry(deadline)
    answer = gather({"look": lambda: _look(reader, model, way.place.shown, now)}, deadline)["look"]
    if isinstance(answer, RegistryError):
        raise NoAnswerError(
            f"MLflow at {way.place.shown}: {answer.message}", fix="`aigate doctor` says what is reachable"
        ) from answer
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _look(reader: RegistryReader, name: str | None, shown: str, now: datetime) -> Found:
    model = _choose(models_of(reader.registered_models()), name, shown)
    aliases = aliases_of(model)
    tags = tags_of(model)
    champion, challenger = chosen(aliases, CHAMPIONS), chosen(aliases, CHALLENGERS)
    version = aliases.get(champion) or _newest(model)
    metrics: tuple[Measurement, ...] = ()
    trouble = ""
    try:
        if version is not None:
            metrics = _metrics(reader, str(model["name"]), version, now)
    except RegistryError as e:
        trouble = e.message
    return Found(
        model=str(model["name"]),
        champion=champion,
        challenger=challenger,
        owner=next((tags[tag] for tag in OWNER_TAGS if tag in tags), None),
        version=version,
        metrics=metrics,
        trouble=trouble,
    )


def models_of(found: Iterable[Json]) -> list[Json]:
    """Return registered models without prompts, which MLflow keeps in the same table."""
    return [model for model in found if tags_of(model).get(_PROMPT, "").lower() != "true"]


def aliases_of(model: Json) -> dict[str, str]:
    """Return a registered model's aliases and the versions that hold them."""
    return {str(alias["alias"]): str(alias["version"]) for alias in model.get("aliases", ())}


def tags_of(model: Json) -> dict[str, str]:
    """Return a registered model's tags."""
    return {str(tag["key"]): str(tag.get("value", "")) for tag in model.get("tags", ())}


def chosen(aliases: Collection[str], usual: Sequence[str]) -> str:
    """Return the alias that goes by one of the usual names, as it is spelt there; else the first of them."""
    by_name = {alias.casefold(): alias for alias in sorted(aliases, reverse=True)}
    return next((by_name[name] for name in usual if name in by_name), usual[0])


def listed(names: Sequence[str]) -> str:
    """Return names for a message on one line: those that are odd in quotes, and not all of very many."""
    shown = [name if _plain(name) else quote(name) for name in names[:_SHOWN]]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(shown)}{more}" if shown else "none"


def nearest(name: str, names: Sequence[str]) -> str:
    """Return `: did you mean …?` where a name is much like a known one, else nothing."""
    folded = {known.casefold(): known for known in names}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    return f": did you mean {quote(folded[near[0]])}?" if near else ""


def _plain(name: str) -> bool:
    return name.isprintable() and bool(name) and name == name.strip() and not set(name) & set("\"',;")


def _choose(models: Sequence[Json], name: str | None, shown: str) -> Json:
    names = [str(model["name"]) for model in models]
    if name is not None and name in names:
        return models[names.index(name)]
    if name is None and len(models) == 1:
        return models[0]
    if not models:
        raise UsageError(
            f"{shown} holds no registered model",
            fix="is this the store you meant? look at MLFLOW_TRACKING_URI",
        )
    if name is None:
        raise UsageError(f"which model? {shown} holds {listed(names)}", fix="name one: --model NAME")
    raise UsageError(
        f"there is no model {quote(name)}{nearest(name, names)}", fix=f"{shown} holds {listed(names)}"
    )


def _newest(model: Json) -> str | None:
    numbers = [str(version.get("version", "")) for version in model.get("latest_versions", ())]
    return max((number for number in numbers if number.isdecimal()), key=int, default=None)


def _metrics(reader: RegistryReader, name: str, number: str, now: datetime) -> tuple[Measurement, ...]:
    """Return what was measured of a version as the gate reads it, where it would believe the value.

    What is tied to its LoggedModel counts; for what it has none of, the history
    of the run that the version was registered from.
    """
    version = reader.version(name, number)
    points, runs = _points(reader, version)
    found = measurements(points, Measured(reader.registry, runs, now))
    first = {measurement.name: measurement for measurement in reversed(found)}
    return tuple(m for m in first.values() if gap(m.value) is None)


def _points(
    reader: RegistryReader, version: Json
) -> tuple[tuple[Point, ...], dict[str, Run | RegistryError]]:
    model_id = typed.model_id_of(str(version.get("source", "")))
    model = None if model_id is None else reader.logged_model(model_id)
    points = model_points(model) if model is not None else ()
    runs = {run_id: _run(reader, run_id) for run_id in sorted({point.run_id for point in points})}
    own_id = str(version.get("run_id") or "")
    own = runs.setdefault(own_id, _run(reader, own_id)) if own_id else None
    if isinstance(own, Run):
        known = {point.key for point in points}
        rest = [tag.key for tag in own.metrics if tag.key not in known]
        for key in rest[:MOST_HISTORIES]:
            points += run_points(reader.metric_history(own_id, key), own_id)
    return points, runs


def _run(reader: RegistryReader, run_id: str) -> Run | RegistryError:
    try:
        return typed.run(reader.run(run_id))
    except RegistryError as e:
        return e
