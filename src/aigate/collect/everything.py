"""All the evidence a snapshot needs, collected at once under one deadline.

A collector that fails, hangs or lies leaves a gap with its reason; no gap
keeps the others from being collected.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from aigate.assemble import Asked, Collected
from aigate.collect.access import Access, access, secrets_of
from aigate.collect.concurrent import gather
from aigate.collect.deadline import Deadline
from aigate.collect.fetch import Fetcher
from aigate.collect.freshness import World
from aigate.collect.git_history import edited_on, value_at
from aigate.collect.manifest_file import LoadedManifest
from aigate.collect.redact import Redactor
from aigate.collect.registry import ModelEvidence, collect_model
from aigate.collect.stages import Keys, addresses, keys_of, settle, tasks, why
from aigate.manifest import Manifest
from aigate.register import register
from aigate.values import Evident, missing

_MLFLOW, _GIT, _STAGE = "mlflow", "git", "freshness:"


def collect(
    loaded: LoadedManifest,
    asked: Asked,
    *,
    version: str | None,
    candidate: str,
    tracking_uri: str | None,
    environ: Mapping[str, str],
    home: Path,
    seconds: float,
    trusted: bool,
) -> tuple[Collected, Redactor]:
    """Ask MLflow, every freshness source, the files and the manifest's history; return what came of it,
    and the redactor that knows every credential that was used.

    Raises UsageError and ConfigError for settings that cannot work; whatever
    the other ends do is in the result.
    """
    manifest = loaded.manifest
    deadline = Deadline(seconds)
    way = access(environ, home, uri=tracking_uri, urls=addresses(manifest), trusted=trusted)
    keys = keys_of(manifest, environ, trusted=trusted)
    with Fetcher(deadline=deadline, rule=way.rule, credentials=keys.credentials) as fetcher:
        world = World(fetcher=fetcher, folder=loaded.folder, now=asked.now, trusted=trusted)
        done = gather(
            {
                _MLFLOW: lambda: _model(way, deadline, manifest, asked, version, candidate),
                _GIT: lambda: _edited(loaded, asked.now, deadline),
                **{f"{_STAGE}{name}": task for name, task in tasks(manifest, world, keys).items()},
            },
            deadline,
        )
    redactor = Redactor([*keys.secrets, *secrets_of(way.place, environ)])
    return _join(loaded, asked, done, keys, way.place.shown), redactor


def _model(
    way: Access,
    deadline: Deadline,
    manifest: Manifest,
    asked: Asked,
    version: str | None,
    candidate: str,
) -> ModelEvidence:
    return collect_model(
        way.registry(deadline),
        manifest,
        question=asked.question,
        champion_alias=asked.alias,
        candidate_alias=candidate,
        candidate_version=version,
        provenance_runs=_named_runs(manifest),
        now=asked.now,
        deadline=deadline,
    )


def _named_runs(manifest: Manifest) -> tuple[str, ...]:
    """Return the runs that provenance names, each once."""
    named = (item.provenance.run for item in register(manifest) if item.provenance is not None)
    return tuple(dict.fromkeys(run for run in named if run is not None))


def _edited(loaded: LoadedManifest, now: datetime, deadline: Deadline) -> dict[str, Evident[datetime | None]]:
    """Ask git about the thresholds that say when they were set; the others claim nothing to hold it against."""
    data = loaded.document.data
    values = {
        item.name: (item.keys, value_at(data, item.keys))
        for item in register(loaded.manifest)
        if item.provenance is not None and item.provenance.set_on is not None
    }
    return edited_on(loaded.path, values, now, deadline) if values else {}


def aside(
    loaded: LoadedManifest, now: datetime, seconds: float = 10.0
) -> tuple[dict[str, Evident[bool]], dict[str, Evident[datetime | None]]]:
    """Return what a manifest needs that lies beside it and in its history: runbooks, and when limits changed."""
    runbooks = {path: runbook_exists(loaded.folder, path) for path in loaded.manifest.runbooks.values()}
    return runbooks, _edited(loaded, now, Deadline(seconds))


def _join(
    loaded: LoadedManifest, asked: Asked, done: Mapping[str, Any], keys: Keys, registry: str
) -> Collected:
    """Put what every task brought, or why it brought nothing, into one whole."""
    model = done[_MLFLOW]
    runs: Mapping[str, Any]
    if isinstance(model, ModelEvidence):
        runs = model.runs
    else:
        reason = why(model)
        model = ModelEvidence.nothing(reason, registry, asked.question, asked.now)
        runs = dict.fromkeys(_named_runs(loaded.manifest), missing(reason, registry))
    answers = {name.removeprefix(_STAGE): got for name, got in done.items() if name.startswith(_STAGE)}
    stages = settle(loaded.manifest, answers, keys, asked.now)
    edited = done[_GIT]
    return Collected(
        model=model.model,
        challenger=model.challenger,
        champion=model.champion,
        comparisons=model.comparisons,
        runs=runs,
        freshness={name: reading.freshness for name, reading in stages.items()},
        runbooks={path: runbook_exists(loaded.folder, path) for path in loaded.manifest.runbooks.values()},
        edited={item.name: missing(why(edited), "git") for item in register(loaded.manifest)}
        if isinstance(edited, BaseException)
        else edited,
        sources=(*model.sources, *(reading.source for reading in stages.values())),
    )


def runbook_exists(folder: Path, path: str) -> Evident[bool]:
    """Say whether a runbook is there: a file in the manifest's tree, or an address, which is not opened."""
    if path.startswith(("http://", "https://")):
        return True
    try:
        return (folder / path).is_file()
    except OSError as e:
        return missing(f"cannot be looked for: {e.strerror}", path)
