"""What `aigate doctor` looks at: is everything there that a decision needs, and who could go round it."""

import importlib.metadata
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from aigate.collect.concurrent import gather
from aigate.collect.deadline import Deadline
from aigate.collect.everything import credentials_file
from aigate.collect.manifest_file import LoadedManifest
from aigate.collect.mlflow import Address, address, open_registry
from aigate.collect.mlflow.reader import Json, RegistryError, RegistryReader
from aigate.collect.network import NetworkRule, parse_networks
from aigate.collect.stages import NETWORK_VARIABLE, read_all
from aigate.gate import World, policies_in_force
from aigate.values import gap, show_duration

State = Literal["ok", "warn", "bad"]
"""`bad` keeps a decision from being reached; `warn` is worth knowing before it hurts."""

MOST_SKEW = timedelta(minutes=2)
"""How far the server's clock may be from ours before its times cannot be compared with ours."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    state: State
    what: str
    fix: str = ""


def examine(loaded: LoadedManifest | None, tracking_uri: str | None, world: World) -> Iterator[Check]:
    """Look at the installation, the registry, the manifest and every freshness source, in that order.

    Yields each finding as soon as it is known. Raises UsageError where no
    MLflow address is given.
    """
    yield from _installation()
    deadline = Deadline(world.deadline)
    place = address(world.environ, uri=tracking_uri, credentials_file=credentials_file(world.home))
    rule = NetworkRule.build(
        [],
        tracking_uri=place.tracking_uri,
        operator=parse_networks(world.environ.get(NETWORK_VARIABLE)),
        trusted=True,
    )
    reader = open_registry(place, deadline=deadline, rule=rule)
    yield from _registry(reader, place, world, deadline, rule, loaded)
    if loaded is None:
        yield Check("warn", "no manifest here", "write one with `aigate init`")
        return
    yield from _manifest(loaded)
    yield from _sources(loaded, world)


def _installation() -> Iterator[Check]:
    """Warn of the unrelated package that owns our name on the public index."""
    owners = importlib.metadata.packages_distributions().get("aigate", [])
    strangers = sorted({name for name in owners if name.lower() not in ("aigate-mlops", "aigate_mlops")})
    if strangers:
        yield Check(
            "bad",
            f"another package installs `aigate` here too: {', '.join(strangers)}",
            f"pip uninstall {strangers[0]}; this tool is distributed as aigate-mlops",
        )


def _registry(
    reader: RegistryReader,
    place: Address,
    world: World,
    deadline: Deadline,
    rule: NetworkRule,
    loaded: LoadedManifest | None,
) -> Iterator[Check]:
    started = time.monotonic()
    name = loaded.manifest.model.name if loaded is not None else None
    models = gather({"models": reader.registered_models}, deadline)["models"]
    server = gather({"server": reader.server}, deadline)["server"]
    took = round((time.monotonic() - started) * 1000)
    if isinstance(models, BaseException):
        yield Check("bad", f"MLflow at {place.shown}: {_words(models)}", _registry_fix(models))
        return
    facts = None if isinstance(server, BaseException) else server
    version = f" {facts.version}" if facts is not None and facts.version else ""
    store = f" · {facts.store}" if facts is not None and facts.store else ""
    yield Check("ok", f"MLflow{version} at {place.shown} answers ({took} ms){store} · {_number(len(models))}")
    if facts is not None and facts.date is not None and abs(facts.date - world.now) > MOST_SKEW:
        yield Check(
            "bad",
            f"its clock is {show_duration(abs(facts.date - world.now))} away from ours",
            "set both clocks by NTP: ages across them mean nothing",
        )
    if not models:
        yield Check(
            "bad",
            "the store holds no registered model",
            "is this the store you meant? look at MLFLOW_TRACKING_URI",
        )
    yield from _who_may_move(place, deadline, rule)
    yield from _model(models, name, loaded)


def _who_may_move(place: Address, deadline: Deadline, rule: NetworkRule) -> Iterator[Check]:
    """Say who can move the alias past the gate: MLflow has no right of its own for that."""
    if place.by_client:
        yield Check(
            "warn", "whoever can write to this store can move the alias; MLflow keeps no record of who did"
        )
        return
    open_place = Address(place.registry_uri, place.tracking_uri, by_client=False)
    try:
        open_registry(open_place, deadline=deadline, rule=rule).registered_models()
    except RegistryError as e:
        if e.code == "denied":
            yield Check(
                "warn",
                "the server asks for credentials; everyone with EDIT on the model can move its aliases, "
                "and MLflow keeps no record of who did",
            )
        return
    yield Check(
        "warn",
        "the server asks for no credentials: everyone who reaches it can move the alias, and MLflow keeps no "
        "record of who did",
        "start it with --app-name basic-auth, and keep the gate's write token in CI only",
    )


def _model(models: Sequence[Json], name: str | None, loaded: LoadedManifest | None) -> Iterator[Check]:
    """Say which versions hold the aliases, and which names could be mistaken for them."""
    if name is None or loaded is None:
        names = ", ".join(str(model.get("name")) for model in models[:10])
        if names:
            yield Check("ok", f"models: {names}{' …' if len(models) > 10 else ''}")
        return
    model = next((model for model in models if model.get("name") == name), None)
    if model is None:
        known = ", ".join(str(m.get("name")) for m in models[:10]) or "none"
        yield Check(
            "bad",
            f"there is no model {name!r} in it (it has: {known})",
            f"correct {loaded.place('model', 'name')}",
        )
        return
    aliases = {str(a.get("alias")): str(a.get("version")) for a in model.get("aliases", [])}
    declared = loaded.manifest.model
    for alias, role in ((declared.champion, "in service"), (declared.challenger, "asks for the alias")):
        if alias in aliases:
            yield Check("ok", f"{name}@{alias} → v{aliases[alias]} ({role})")
        else:
            yield Check("warn", f"{name}@{alias} is not set: nothing {role}")
    for alias in aliases:
        if alias not in (declared.champion, declared.challenger) and alias.casefold() in (
            declared.champion.casefold(),
            declared.challenger.casefold(),
        ):
            yield Check("warn", f"the alias {alias!r} differs from a declared one by case alone", "delete it")
    tags = {str(t.get("key")): str(t.get("value")) for t in model.get("tags", [])}
    if "owner" not in tags and "aigate.owner" not in tags:
        yield Check(
            "warn", f"{name} has no owner tag in the registry", "set the registered model's tag `owner`"
        )


def _manifest(loaded: LoadedManifest) -> Iterator[Check]:
    """Say what the mission cannot do without and the manifest does not have."""
    manifest = loaded.manifest
    files = policies_in_force(loaded)
    count = sum(len(file.policies) for file in files)
    yield Check("ok", f"{loaded.shown}: {count} policies in force from {len(files)} files")
    if manifest.owner is None:
        yield Check("bad", "the manifest names no owner", 'add  owner: {team: …, contact: "#…"}')
    if not any(metric.limited for metric in manifest.metrics.values()):
        yield Check(
            "bad", "no metric has a limit", "add  metrics: {accuracy: {floor: {value: …, provenance: {…}}}}"
        )
    if not any(stage.freshness for stage in manifest.stages):
        yield Check(
            "bad",
            "no stage promises freshness",
            "add  stages: [{name: …, owner: …, freshness: {…, max_age: 2h}}]",
        )
    for path in manifest.runbooks.values():
        if not path.startswith(("http://", "https://")) and not (loaded.folder / path).is_file():
            yield Check(
                "bad", f"the runbook {path} is not there", f"write it, or correct {loaded.place('runbooks')}"
            )


def _sources(loaded: LoadedManifest, world: World) -> Iterator[Check]:
    """Ask every freshness source once, and say how old what it answers for is."""
    for stage, reading in read_all(loaded, world.now, world.environ, world.deadline).items():
        lost = gap(reading.freshness)
        if lost is not None:
            yield Check(
                "bad",
                f"freshness of {stage}: {lost.missing} ({lost.source})",
                "see the stage in the manifest",
            )
            continue
        age = world.now - reading.freshness.as_of
        limit = next(
            s.freshness.max_age.value for s in loaded.manifest.stages if s.name == stage and s.freshness
        )
        late = age > limit
        yield Check(
            "warn" if late else "ok",
            f"freshness of {stage}: {show_duration(age)} old (promised {show_duration(limit)}) by {reading.source.adapter}",
        )


def _words(failure: BaseException) -> str:
    return getattr(failure, "message", None) or type(failure).__name__


def _registry_fix(failure: BaseException) -> str:
    if getattr(failure, "code", "") == "denied":
        return "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    return "check MLFLOW_TRACKING_URI, and that the server runs"


def _number(models: int) -> str:
    return "1 registered model" if models == 1 else f"{models} registered models"
