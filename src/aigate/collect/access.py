"""Where MLflow is, what of the network a run may reach, and which secrets it must not repeat."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aigate.collect.deadline import Deadline
from aigate.collect.mlflow import Address, address, open_registry
from aigate.collect.mlflow.reader import RegistryReader
from aigate.collect.network import NetworkRule, parse_networks

NETWORK_VARIABLE = "AIGATE_NETWORK"

MOST_CREDENTIALS = 64 * 1024
"""Bytes read of MLflow's credentials file."""

_CLIENT_SECRETS = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "DATABRICKS_TOKEN",
    "DATABRICKS_PASSWORD",
    "DATABRICKS_CLIENT_SECRET",
)
"""Variables from which MLflow's own library takes credentials; the REST reader's are in its address."""


@dataclass(frozen=True)
class Access:
    """The registry's address, and the rule for everything that a run reaches."""

    place: Address
    rule: NetworkRule

    def registry(self, deadline: Deadline) -> RegistryReader:
        """Return a reader of the registry. Nothing is asked yet."""
        return open_registry(self.place, deadline=deadline, rule=self.rule)


def access(
    environ: Mapping[str, str],
    home: Path,
    *,
    uri: str | None = None,
    urls: Iterable[str] = (),
    trusted: bool = True,
) -> Access:
    """Read where MLflow is; `urls` are the addresses that the manifest spells out.

    `uri` wins over `MLFLOW_TRACKING_URI`. Raises UsageError where there is no
    address that can be used, and for an `AIGATE_NETWORK` that is none.
    """
    place = address(environ, uri=uri, credentials_file=credentials_file(home))
    named = (*urls, place.registry_uri, place.tracking_uri)
    return Access(place, network_rule(named, environ, trusted=trusted))


def network_rule(urls: Iterable[str], environ: Mapping[str, str], *, trusted: bool = True) -> NetworkRule:
    """Return what may be reached: private addresses for the named hosts, as far as the operator lets them."""
    operator = parse_networks(environ.get(NETWORK_VARIABLE))
    return NetworkRule.build(urls, operator=operator, trusted=trusted)


def credentials_file(home: Path) -> str:
    """Return the content of MLflow's own credentials file; empty where there is none to read."""
    try:
        with (home / ".mlflow" / "credentials").open(encoding="utf-8") as file:
            return file.read(MOST_CREDENTIALS)
    except (OSError, UnicodeDecodeError):
        return ""


def secrets_of(place: Address, environ: Mapping[str, str]) -> Iterator[str]:
    """Return every secret that goes to MLflow, for `Redactor`."""
    for credential in place.credentials:
        yield from credential.secrets
    if place.by_client:
        yield from (environ[name] for name in _CLIENT_SECRETS if environ.get(name))
        for uri in (place.registry_uri, place.tracking_uri):
            yield from _passwords(uri)


def _passwords(uri: str) -> Iterator[str]:
    """Return the password in a database's address, as written and as meant."""
    try:
        password = urlsplit(uri).password
    except ValueError:  # brackets that are no IPv6 address
        password = None
    if password:
        yield password
        yield unquote(password)
