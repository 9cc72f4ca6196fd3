"""Every stage's freshness source, asked with its own credential and no other."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aigate.collect.access import network_rule
from aigate.collect.concurrent import gather
from aigate.collect.credential import Credential
from aigate.collect.deadline import Deadline
from aigate.collect.fetch import Fetcher
from aigate.collect.freshness import Reading, World, read_freshness
from aigate.collect.manifest_file import LoadedManifest
from aigate.errors import AigateError, ConfigError, UsageError
from aigate.manifest import Manifest
from aigate.snapshot import Source
from aigate.sources import Auth, Freshness
from aigate.values import missing


@dataclass(frozen=True)
class Keys:
    """The credentials for freshness sources, and the stages that get none, with why."""

    credentials: tuple[Credential, ...]
    unset: Mapping[str, str]

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that no output may show."""
        return tuple(secret for credential in self.credentials for secret in credential.secrets)


def keys_of(manifest: Manifest, environ: Mapping[str, str], *, trusted: bool = True) -> Keys:
    """Read the credentials that the manifest names by variable; raises UsageError for what cannot be used.

    One that is not trusted gets none: it could name any variable and any
    address, and have the one sent to the other.
    """
    credentials: dict[str, Credential] = {}
    unset: dict[str, str] = {}
    for stage in manifest.stages:
        if stage.freshness is None or stage.freshness.auth is None:
            continue
        variable = _variable(stage.freshness.auth)
        if not trusted:
            unset[stage.name] = f"a manifest that is not trusted is not given the variable {variable}"
            continue
        secret = environ.get(variable, "")
        if not secret:
            unset[stage.name] = f"the variable {variable}, which holds its credential, is not set"
            continue
        for url in _addresses_of(stage.freshness):
            credential = _credential(url, stage.freshness.auth, secret)
            other = credentials.setdefault(str(credential.origin), credential)
            if other != credential:
                raise UsageError(
                    f"stage {stage.name!r} gives {credential.origin} another credential than a stage before it",
                    fix="one origin has one credential",
                )
    return Keys(tuple(credentials.values()), unset)


def _variable(auth: Auth) -> str:
    return auth.bearer or auth.basic or auth.value or ""


def _credential(url: str, auth: Auth, secret: str) -> Credential:
    if auth.bearer is not None:
        return Credential.of(url, bearer=secret)
    if auth.basic is not None:
        user, colon, password = secret.partition(":")
        if not colon:
            raise UsageError(f"the variable {auth.basic} must hold user:password")
        return Credential.of(url, basic=(user, password))
    return Credential.of(url, headers=[(auth.header or "", secret)])


def addresses(manifest: Manifest) -> Iterator[str]:
    """Return every address that the manifest spells out."""
    for stage in manifest.stages:
        if stage.freshness is not None:
            yield from _addresses_of(stage.freshness)


def _addresses_of(declared: Freshness) -> Iterator[str]:
    for key in ("url", "headers", "dbt", "prometheus", "airflow"):
        value = getattr(declared, key, None)
        if isinstance(value, str) and value.startswith(("http://", "https://")):
            yield value


def tasks(manifest: Manifest, world: World, keys: Keys) -> dict[str, Callable[[], Reading]]:
    """Return one reading to carry out for each stage that can be asked, by the stage's name."""
    return {
        stage.name: _reader(stage.name, stage.freshness, world)
        for stage in manifest.stages
        if stage.freshness is not None and stage.name not in keys.unset
    }


def _reader(stage: str, declared: Freshness, world: World) -> Callable[[], Reading]:
    return lambda: read_freshness(stage, declared, world)


def settle(manifest: Manifest, done: Mapping[str, Any], keys: Keys, now: datetime) -> dict[str, Reading]:
    """Return a reading for every stage that promises freshness; a gap where its task brought none."""
    return {
        stage.name: _settled(stage.name, done.get(stage.name), keys, now)
        for stage in manifest.stages
        if stage.freshness is not None
    }


def _settled(stage: str, outcome: object, keys: Keys, now: datetime) -> Reading:
    if isinstance(outcome, Reading):
        return outcome
    reason = keys.unset.get(stage) or why(outcome)
    source = Source(
        name=f"freshness:{stage}",
        adapter="none",
        shown=stage,
        status="missing",
        reason=reason,
        fetched_at=now,
    )
    return Reading(missing(reason, stage), source)


def why(failure: object) -> str:
    """Say why a task brought nothing; raise what the user must mend before anything can be decided."""
    if isinstance(failure, UsageError | ConfigError):
        raise failure
    if isinstance(failure, AigateError):
        return failure.message
    if isinstance(failure, BaseException):
        return f"the collector failed: {type(failure).__name__}"
    return "nobody asked"


def read_each(
    loaded: LoadedManifest, now: datetime, environ: Mapping[str, str], deadline: Deadline
) -> Iterator[tuple[str, Reading]]:
    """Ask every freshness source of a trusted manifest at once; yield each answer as it comes.

    Raises UsageError and ConfigError for settings that cannot work.
    """
    keys = keys_of(loaded.manifest, environ)
    rule = network_rule(addresses(loaded.manifest), environ)
    ready: queue.SimpleQueue[str] = queue.SimpleQueue()
    found: dict[str, object] = {}
    with Fetcher(deadline=deadline, rule=rule, credentials=keys.credentials) as fetcher:
        asked = tasks(loaded.manifest, World(fetcher=fetcher, folder=loaded.folder, now=now), keys)

        def collect() -> None:
            done = gather(
                {name: _announced(name, task, found, ready) for name, task in asked.items()}, deadline
            )
            for name, outcome in done.items():  # those that did not end in time have announced nothing
                if name not in found:
                    found[name] = outcome
                    ready.put(name)

        threading.Thread(target=collect, name="aigate-stages", daemon=True).start()
        for stage in loaded.manifest.stages:
            if stage.name in keys.unset:
                yield stage.name, _settled(stage.name, None, keys, now)
        waiting = set(asked)
        while waiting:
            name = ready.get()
            if name in waiting:  # one that ends after its time is announced a second time
                waiting.remove(name)
                yield name, _settled(name, found[name], keys, now)


def _announced(
    name: str, task: Callable[[], Reading], found: dict[str, object], ready: "queue.SimpleQueue[str]"
) -> Callable[[], None]:
    """Return a task that puts its outcome where it is waited for as soon as there is one."""

    def run() -> None:
        try:
            outcome: object = task()
        except BaseException as e:  # noqa: BLE001 - its end is its result, whatever it is
            outcome = e
        found[name] = outcome
        ready.put(name)

    return run
