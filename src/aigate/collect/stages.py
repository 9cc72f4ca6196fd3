"""Every stage's freshness source, asked with its own credential and no other."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aigate.collect.concurrent import gather
from aigate.collect.credential import Credential
from aigate.collect.deadline import Deadline
from aigate.collect.fetch import Fetcher
from aigate.collect.freshness import Reading, World, read_freshness
from aigate.collect.manifest_file import LoadedManifest
from aigate.collect.network import NetworkRule, parse_networks
from aigate.errors import AigateError, ConfigError, UsageError
from aigate.manifest import Auth, Freshness, Manifest
from aigate.snapshot import Source
from aigate.values import missing

NETWORK_VARIABLE = "AIGATE_NETWORK"


@dataclass(frozen=True)
class Keys:
    """The credentials for freshness sources, and the stages whose variable is not set, with why."""

    credentials: tuple[Credential, ...]
    unset: Mapping[str, str]


def keys_of(manifest: Manifest, environ: Mapping[str, str]) -> Keys:
    """Read the credentials that the manifest names by variable; raises UsageError for what cannot be used."""
    credentials: dict[str, Credential] = {}
    unset: dict[str, str] = {}
    for stage in manifest.stages:
        if stage.freshness is None or stage.freshness.auth is None:
            continue
        variable = _variable(stage.freshness.auth)
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


def read_all(
    loaded: LoadedManifest, now: datetime, environ: Mapping[str, str], seconds: float
) -> dict[str, Reading]:
    """Ask every freshness source of a trusted manifest, and nothing else."""
    deadline = Deadline(seconds)
    keys = keys_of(loaded.manifest, environ)
    rule = NetworkRule.build(
        addresses(loaded.manifest), operator=parse_networks(environ.get(NETWORK_VARIABLE)), trusted=True
    )
    with Fetcher(deadline=deadline, rule=rule, credentials=keys.credentials) as fetcher:
        world = World(fetcher=fetcher, folder=loaded.folder, now=now)
        done = gather(tasks(loaded.manifest, world, keys), deadline)
    return settle(loaded.manifest, done, keys, now)
