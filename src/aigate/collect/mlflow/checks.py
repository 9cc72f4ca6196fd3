"""What an answer must be before it is believed: the thing that was asked for, in the shape it must have.

MLflow's own client returned a version named '' without an error when a server
dripped an empty reply; a proxy or a stale replica can answer for another
model. Here that is `broken`, for both readers alike.
"""

import re
from collections.abc import Sequence
from typing import Any

from aigate.collect.mlflow.reader import Json, RegistryError

_VERSION = re.compile(r"[1-9][0-9]{0,9}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_ALIAS_MISSING = re.compile(
    r"(?:registered model )?alias '?(?P<alias>.*?)'? (?:not found|does not exist)\.?", re.I | re.S
)


def ask_version(version: str) -> str:
    """Return a version number fit to ask for. MLflow also takes "01", " 1" and full-width digits."""
    if not _VERSION.fullmatch(version):
        raise RegistryError(
            "refused", f"{version[:40]!r} is not a version number: write it plainly, such as 3"
        )
    return version


def ask_id(run_id: str, what: str = "run") -> str:
    """Return a run's or experiment's id fit to ask for."""
    if not _ID.fullmatch(run_id):
        raise RegistryError("refused", f"{run_id[:40]!r} is not the id of a {what}")
    return run_id


def ask_model_id(model_id: str) -> str:
    """Return a LoggedModel's id fit to stand in a path."""
    if not _MODEL_ID.fullmatch(model_id):
        raise RegistryError("refused", f"{model_id[:40]!r} is not the id of a LoggedModel")
    return model_id


def ask_path(path: str) -> str:
    """Return a relative artifact path; refuse one that is absolute, climbs, or hides a separator."""
    parts = path.split("/")
    if path and (
        any(part in ("", ".", "..") for part in parts)
        or len(path) > 1_000
        or re.search(r"[\x00-\x1f\x7f\\]", path)
    ):
        raise RegistryError("refused", f"{path[:60]!r} is not a path within the model's files")
    return path


def is_alias_missing(error_code: str, message: str, alias: str) -> bool:
    """Whether an error says exactly that this alias is not set.

    MLflow answers a missing alias with the code it uses for any bad request,
    so the words decide; every other 400 (an unavailable registry among them)
    stays an error.
    """
    if error_code not in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
        return False
    match = _ALIAS_MISSING.fullmatch(message.strip())
    return match is not None and match["alias"] == alias


def take(body: object, key: str, asked: str) -> Json:
    """Return the object under `key` of an answer's body."""
    found = body.get(key) if isinstance(body, dict) else None
    if not isinstance(found, dict):
        raise RegistryError("broken", f"asked for {asked}, got an answer without {key!r}")
    return found


def listed(body: object, key: str, asked: str) -> list[Json]:
    """Return the objects under `key`; MLflow leaves an empty list out."""
    found = body.get(key, []) if isinstance(body, dict) else None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise RegistryError("broken", f"asked for {asked}, got {key!r} that is no list of objects")
    return found


def next_token(body: object, seen: set[str], asked: str) -> str | None:
    """Return the token of the next page; a token that comes twice would be an endless listing."""
    token = body.get("next_page_token") if isinstance(body, dict) else None
    if token is None or token == "":
        return None
    if not isinstance(token, str) or token in seen:
        raise RegistryError("broken", f"asked for {asked}, got pages that repeat")
    seen.add(token)
    return token


def registered_model(model: Json, name: str) -> Json:
    """Return a registered model that is the one asked for."""
    _same(model, "name", name, f"model {name!r}")
    _instant(model, "creation_timestamp", f"model {name!r}")
    for alias in listed(model, "aliases", f"model {name!r}"):
        if not isinstance(alias.get("alias"), str) or not isinstance(alias.get("version"), str):
            raise RegistryError("broken", f"model {name!r} has an alias that cannot be read")
    _pairs(model, "tags", f"model {name!r}")
    return model


def version(found: Json, name: str, number: str | None) -> Json:
    """Return a model version that is the one asked for (`number` None: any of that model)."""
    asked = f"model {name!r} version {number}" if number else f"model {name!r}"
    _same(found, "name", name, asked)
    if number is not None:
        _same(found, "version", number, asked)
    elif not isinstance(found.get("version"), str) or not _VERSION.fullmatch(found["version"]):
        raise RegistryError("broken", f"asked for {asked}, got a version number that is none")
    _instant(found, "creation_timestamp", asked)
    aliases = found.get("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise RegistryError("broken", f"{asked} has aliases that cannot be read")
    _text(found, ("status", "source", "run_id", "current_stage"), asked)
    _pairs(found, "tags", asked)
    return found


def aliased(found: Json, name: str, alias: str) -> Json:
    """Return a version that holds exactly this alias."""
    version(found, name, None)
    if alias not in found.get("aliases", []):
        held = ", ".join(found.get("aliases", [])) or "no alias"
        raise RegistryError(
            "broken", f"asked for {name}@{alias}, got version {found['version']}, which holds {held[:200]}"
        )
    return found


def run(found: Json, run_id: str) -> Json:
    """Return a run that is the one asked for."""
    asked = f"run {run_id}"
    info = take(found, "info", asked)
    _same(info, "run_id", run_id, asked)
    if info.get("lifecycle_stage") not in ("active", "deleted") or not isinstance(info.get("status"), str):
        raise RegistryError("broken", f"{asked} has no status or lifecycle that can be read")
    data = found.get("data", {})
    for key in ("tags", "params"):
        _pairs(data, key, asked)
    for point in listed(data, "metrics", asked):
        metric_point(point, None, asked)
    for given in listed(found.get("inputs", {}), "dataset_inputs", asked):
        take(given, "dataset", asked)
        _pairs(given, "tags", asked)
    return found


def experiment(found: Json, name: str) -> Json:
    """Return an experiment that is the one asked for."""
    asked = f"experiment {name!r}"
    _same(found, "name", name, asked)
    if found.get("lifecycle_stage") not in ("active", "deleted"):
        raise RegistryError("broken", f"{asked} has no lifecycle that can be read")
    if not isinstance(found.get("experiment_id"), str) or not _ID.fullmatch(found["experiment_id"]):
        raise RegistryError("broken", f"{asked} has an id that is none")
    _pairs(found, "tags", asked)
    return found


def new_run(found: Json, asked: str) -> str:
    """Return the id of a run whose id is not known before the answer."""
    run_id = take(found, "info", asked).get("run_id")
    if not isinstance(run_id, str) or not _ID.fullmatch(run_id):
        raise RegistryError("broken", f"{asked}: MLflow answers with a run without an id")
    return run_id


def logged_model(found: Json, model_id: str) -> Json:
    """Return a LoggedModel that is the one asked for."""
    asked = f"LoggedModel {model_id}"
    info = take(found, "info", asked)
    _same(info, "model_id", model_id, asked)
    for point in listed(found.get("data", {}), "metrics", asked):
        metric_point(point, None, asked)
        if not isinstance(point.get("run_id"), str):
            raise RegistryError("broken", f"{asked} has a metric without its run")
    return found


def place(found: object, asked: str) -> str:
    """Return an address that says something."""
    if not isinstance(found, str) or not found:
        raise RegistryError("broken", f"asked for {asked}, got no address")
    return found


def metric_point(point: Json, key: str | None, asked: str) -> Json:
    """Return one logged value whose key is the one asked for; its value is judged later."""
    found = point.get("key")
    if not isinstance(found, str) or (key is not None and found != key):
        raise RegistryError("broken", f"asked for {asked}, got a point of another metric")
    _instant(point, "timestamp", asked)
    step = point.get("step", 0)
    if isinstance(step, bool) or not isinstance(step, int):
        raise RegistryError("broken", f"{asked}: metric {found[:60]!r} has a step that is no integer")
    return point


def trace(found: Json, experiment_id: str) -> Json:
    """Return a trace of the experiment asked for."""
    asked = f"traces of experiment {experiment_id}"
    location = found.get("trace_location")
    place = location.get("mlflow_experiment") if isinstance(location, dict) else None
    _same(place if isinstance(place, dict) else {}, "experiment_id", experiment_id, asked)
    if not isinstance(found.get("trace_id"), str):
        raise RegistryError("broken", f"asked for {asked}, got one without an id")
    listed(found, "assessments", asked)
    return found


def _same(found: Json, key: str, wanted: str, asked: str) -> None:
    if found.get(key) != wanted:
        got = found.get(key)
        shown = f"{key} {got[:60]!r}" if isinstance(got, str) else f"no {key}"
        raise RegistryError("broken", f"asked for {asked}, got an answer with {shown}")


def _instant(found: Json, key: str, asked: str) -> None:
    value = found.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise RegistryError("broken", f"{asked} has no {key} that is a number of milliseconds")


def _text(found: Json, keys: Sequence[str], asked: str) -> None:
    for key in keys:
        if not isinstance(found.get(key, ""), str):
            raise RegistryError("broken", f"{asked} has a {key} that is no text")


def _pairs(found: Any, key: str, asked: str) -> None:
    for pair in listed(found, key, asked):
        if not isinstance(pair.get("key"), str) or not isinstance(pair.get("value", ""), str):
            raise RegistryError("broken", f"{asked} has {key} that cannot be read")
