"""MLflow's registry and runs, read over REST or through MLflow's own library."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from aigate.collect.credential import Credential
from aigate.collect.deadline import Deadline
from aigate.collect.fetch import Fetcher
from aigate.collect.mlflow.auth import WORKSPACE_HEADER, credential_for, needs_client
from aigate.collect.mlflow.reader import RegistryReader
from aigate.collect.network import NetworkRule
from aigate.collect.origin import Url
from aigate.collect.redact import shown_url
from aigate.errors import UsageError

_HTTP = ("http", "https")
_COURTESY = "aigate+"
"""Before an http(s) address, it has MLflow's own clients ask first (`aigate.hook.courtesy`); aigate itself need not."""


@dataclass(frozen=True)
class Address:
    """Where the registry and the runs are, and which of the two readers goes there."""

    registry_uri: str
    tracking_uri: str
    by_client: bool
    """Whether MLflow's own library is needed."""
    credentials: tuple[Credential, ...] = ()
    """What the REST reader shows to each origin; MLflow's library finds its own."""

    @property
    def shown(self) -> str:
        """The registry's address without credentials and query."""
        return shown_url(self.registry_uri)


def address(environment: Mapping[str, str], *, uri: str | None = None, credentials_file: str = "") -> Address:
    """Read where MLflow is from MLflow's own settings (`uri` wins over `MLFLOW_TRACKING_URI`).

    `credentials_file` is the content of `~/.mlflow/credentials`. Raises
    UsageError where nothing is set (MLflow itself would make an empty database
    in the working directory and answer that there are no models), where the
    address cannot be used, and where it needs MLflow and MLflow is not
    installed.
    """
    tracking = (uri or environment.get("MLFLOW_TRACKING_URI", "")).strip()
    if not tracking:
        raise UsageError(
            "no MLflow address is given",
            fix="set MLFLOW_TRACKING_URI, such as https://mlflow.example, or give --tracking-uri",
        )
    registry = environment.get("MLFLOW_REGISTRY_URI", "").strip() or tracking
    tracking, registry = _plain(tracking, "MLFLOW_TRACKING_URI"), _plain(registry, "MLFLOW_REGISTRY_URI")
    schemes = [_scheme(tracking, "MLFLOW_TRACKING_URI"), _scheme(registry, "MLFLOW_REGISTRY_URI")]
    only_client = needs_client(environment) if set(schemes) & set(_HTTP) else None
    if set(schemes) <= set(_HTTP) and only_client is None:
        return Address(
            registry,
            tracking,
            by_client=False,
            credentials=_credentials((registry, tracking), environment, credentials_file),
        )
    if importlib.util.find_spec("mlflow") is None:
        odd = only_client or next(scheme for scheme in schemes if scheme not in _HTTP) + ":"
        raise UsageError(
            f"{odd} needs MLflow's own library, which is not installed",
            fix="install aigate-mlops[mlflow], or give the http(s) address of an MLflow server",
        )
    return Address(registry, tracking, by_client=True)


def open_registry(place: Address, *, deadline: Deadline, rule: NetworkRule) -> RegistryReader:
    """Return a reader of the registry at an address. Nothing is asked yet, and MLflow is not yet imported."""
    if place.by_client:
        from aigate.collect.mlflow.client import ClientReader

        return ClientReader(place.registry_uri, place.tracking_uri, deadline)
    from aigate.collect.mlflow.rest import RestReader

    fetcher = Fetcher(deadline=deadline, rule=rule, credentials=place.credentials)
    workspace = any(name == WORKSPACE_HEADER for c in place.credentials for name, _ in c.headers)
    return RestReader(fetcher, place.registry_uri, place.tracking_uri, workspace=workspace)


def _credentials(
    uris: tuple[str, str], environment: Mapping[str, str], credentials_file: str
) -> tuple[Credential, ...]:
    """Return one credential for each origin: MLflow knows one set for both."""
    found: dict[str, Credential] = {}
    for uri in uris:
        credential = credential_for(uri, environment, credentials_file=credentials_file)
        found[str(credential.origin)] = credential
    return tuple(found.values())


def _plain(uri: str, variable: str) -> str:
    """Return an address without `aigate+`, which is for MLflow's clients; raise UsageError for a server's own."""
    if not uri.lower().startswith(_COURTESY):
        return uri
    plain = uri[len(_COURTESY) :]
    if plain.lower().startswith(tuple(f"{scheme}://" for scheme in _HTTP)):
        return plain
    raise UsageError(
        f"{variable} begins with {uri.partition(':')[0]}: an address for `mlflow server --registry-store-uri`, which "
        "guards what it serves; nobody opens the database by it",
        fix="give that server's http(s) address",
    )


def _scheme(uri: str, variable: str) -> str:
    """Return the scheme of an address that can be used; raise UsageError for one that cannot."""
    if uri in ("databricks", "databricks-uc", "uc"):
        return uri
    scheme, separator, _ = uri.partition(":")
    scheme = scheme.lower()
    if not separator or scheme in ("", "file") or len(scheme) == 1:
        raise UsageError(
            f"{variable} names a folder: MLflow's file store has no safe way to be read while it is written",
            fix="serve it (`mlflow server`), or move it to a database with `mlflow migrate-filestore`",
        )
    if scheme in _HTTP:
        Url.read(uri)  # raises where it holds credentials or cannot be read
        if "?" in uri or "#" in uri:
            raise UsageError(f"{variable} has a query or a fragment", fix="give the server's base address")
    return scheme
