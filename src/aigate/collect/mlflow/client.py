"""The registry through MLflow's own library: databases opened directly, Databricks, plugins, signed requests.

MLflow is imported in here only, inside functions. Its defaults are hostile to
a gate (minutes of retries, a database made where there was none, redirected
requests, telemetry), so they are set first, and every call runs in a thread
that is abandoned at the run's deadline.
"""

import json
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from aigate.collect.concurrent import gather
from aigate.collect.deadline import Deadline, DeadlineError
from aigate.collect.mlflow import checks
from aigate.collect.mlflow.files import Hashing, check_listing, walk
from aigate.collect.mlflow.reader import (
    MODELS_LIMIT,
    PAGE_LIMIT,
    POINTS_LIMIT,
    TRACES_LIMIT,
    ArtifactFile,
    ArtifactRoot,
    Code,
    Json,
    RegistryError,
    ServerFacts,
)
from aigate.collect.redact import Redactor, shown_url
from aigate.collect.strict import StrictError, load_json

T = TypeVar("T")

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
"""Schemes (before any `+driver`) that MLflow opens as a database."""

_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_SETTINGS = {
    _RETRIES: "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
}
_CODES: Mapping[str, Code] = {
    "RESOURCE_DOES_NOT_EXIST": "not_found",
    "PERMISSION_DENIED": "denied",
    "UNAUTHENTICATED": "denied",
    "CUSTOMER_UNAUTHORIZED": "denied",
    "ENDPOINT_NOT_FOUND": "unsupported",
    "FEATURE_DISABLED": "unsupported",
    "NOT_IMPLEMENTED": "unsupported",
    "TEMPORARILY_UNAVAILABLE": "unreachable",
    "REQUEST_LIMIT_EXCEEDED": "unreachable",
}
_BODY_BYTES = 8 * 1024 * 1024
_TRACES_PAGE = 200


class Library:
    """MLflow's client of two addresses: opened once, with its defaults tamed, and never waited for past the deadline.

    MLflow repeats a failed HTTP request once; with `writes` it repeats none,
    and from then on none in this process: its settings are the process's, and
    a write that is repeated blindly can undo another's.
    """

    def __init__(
        self, registry_uri: str, tracking_uri: str, deadline: Deadline, *, writes: bool = False
    ) -> None:
        self._registry_uri = registry_uri
        self._tracking_uri = tracking_uri
        self._writes = writes
        self._lock = threading.Lock()
        self._opened: Any = None
        self.deadline = deadline

    def client(self) -> Any:
        """Return the `MlflowClient`, opened at its first use. For use within `bounded`."""
        with self._lock:
            if self._opened is None:
                for uri in {self._registry_uri, self._tracking_uri}:
                    _check_database(uri)
                self._opened = _open(self._registry_uri, self._tracking_uri, writes=self._writes)
            return self._opened

    def bounded(self, asked: str, ask: Callable[[], T]) -> T:
        """Run `ask` in a thread of its own until the deadline, and translate whatever it raises to RegistryError."""
        outcome = gather({asked: ask}, self.deadline)[asked]
        if not isinstance(outcome, BaseException):
            return outcome
        raise translated(outcome, asked) from outcome


class ClientReader:
    """Reads through `MlflowClient`. Credentials are MLflow's own matter: it takes them from its environment."""

    def __init__(self, registry_uri: str, tracking_uri: str, deadline: Deadline) -> None:
        self._registry_uri = registry_uri
        self._tracking_uri = tracking_uri
        self._library = Library(registry_uri, tracking_uri, deadline)
        self.registry = shown_url(registry_uri)

    def server(self) -> ServerFacts:
        """Return MLflow's version here and the store's scheme: there is no server to ask."""

        def facts() -> ServerFacts:
            self._library.client()
            import mlflow

            scheme = self._registry_uri.partition(":")[0]
            return ServerFacts(version=str(mlflow.__version__), store=scheme, workspaces=None, date=None)

        return self._library.bounded("the store", facts)

    def date(self) -> datetime | None:
        """Return None: MLflow's library does not tell, and a database's times are written by this clock or a server's."""
        return None

    def registered_model(self, name: str) -> Json:
        """Return a registered model."""
        asked = f"model {name!r}"
        return checks.registered_model(
            self._entity(asked, lambda client: client.get_registered_model(name)), name
        )

    def registered_models(self) -> Sequence[Json]:
        """Return every registered model; prompts are left out by MLflow."""
        found = self._pages(
            "the registered models",
            MODELS_LIMIT,
            lambda client, token: client.search_registered_models(max_results=1_000, page_token=token),
        )
        return [checks.registered_model(model, str(model.get("name"))) for model in found]

    def version(self, name: str, version: str) -> Json:
        """Return one model version."""
        checks.ask_version(version)
        found = self._entity(
            f"model {name!r} version {version}", lambda client: client.get_model_version(name, version)
        )
        return checks.version(found, name, version)

    def served_from(self, name: str, version: str) -> str:
        """Return the address from which clients load a version."""
        checks.ask_version(version)
        asked = f"where model {name!r} version {version} is loaded from"
        return checks.place(
            self._library.bounded(
                asked, lambda: self._library.client().get_model_version_download_uri(name, version)
            ),
            asked,
        )

    def version_by_alias(self, name: str, alias: str) -> Json | None:
        """Return the version an alias points to, or None where MLflow says exactly that it is not set."""
        asked = f"{name}@{alias}"

        def ask() -> Json | None:
            from mlflow.exceptions import MlflowException

            try:
                return as_json(self._library.client().get_model_version_by_alias(name, alias), asked)
            except MlflowException as e:
                if checks.is_alias_missing(str(e.error_code), str(e.message), alias):
                    return None
                raise

        found = self._library.bounded(asked, ask)
        return None if found is None else checks.aliased(found, name, alias)

    def run(self, run_id: str) -> Json:
        """Return a run, deleted ones included."""
        asked = f"run {checks.ask_id(run_id)}"
        return checks.run(self._entity(asked, lambda client: client.get_run(run_id)), run_id)

    def logged_model(self, model_id: str) -> Json | None:
        """Return a LoggedModel, or None where the store has none to offer."""
        asked = f"LoggedModel {checks.ask_model_id(model_id)}"
        try:
            found = self._entity(asked, lambda client: client.get_logged_model(model_id))
        except RegistryError as e:
            if e.code == "unsupported":
                return None
            raise
        return checks.logged_model(found, model_id)

    def metric_history(self, run_id: str, key: str) -> Sequence[Json]:
        """Return every point of one metric of a run."""
        asked = f"metric {key!r} of run {checks.ask_id(run_id)}"

        def ask() -> list[Json]:
            # A history is one page here: MLflow's client follows the server's pages by itself.
            points = list(self._library.client().get_metric_history(run_id, key))
            return _limited((as_json(point, asked) for point in points), POINTS_LIMIT, asked)

        return [checks.metric_point(point, key, asked) for point in self._library.bounded(asked, ask)]

    def traces(self, experiment_id: str, run_id: str) -> Sequence[Json]:
        """Return a run's traces with their assessments."""
        checks.ask_id(experiment_id, "experiment")
        checks.ask_id(run_id)

        def page(client: Any, token: str | None) -> Any:
            return client.search_traces(
                locations=[experiment_id],
                run_id=run_id,
                include_spans=False,
                max_results=_TRACES_PAGE,
                page_token=token,
            )

        found = self._pages(f"traces of run {run_id}", TRACES_LIMIT, page, part=lambda trace: trace.info)
        return [checks.trace(trace, experiment_id) for trace in found]

    def artifacts(self, root: ArtifactRoot) -> Sequence[ArtifactFile]:
        """Return every file under a root, where MLflow can reach its files from here."""
        asked = f"files of {root.kind} {root.id}"

        def folder(path: str) -> list[Json]:
            def ask() -> list[Json]:
                return [as_json(info, asked) for info in self._repository(root).list_artifacts(path or None)]

            return [check_listing(found, path) for found in self._library.bounded(asked, ask)]

        return walk(root, folder)

    def artifact(self, root: ArtifactRoot, path: str, max_bytes: int) -> bytes:
        """Return one file's content."""
        asked = f"file {checks.ask_path(path)!r} of {root.kind} {root.id}"

        def ask() -> bytes:
            with tempfile.TemporaryDirectory(prefix="aigate-") as folder:
                local = Path(self._repository(root).download_artifacts(path, folder))
                with local.open("rb") as file:
                    return file.read(max_bytes + 1)

        content = self._library.bounded(asked, ask)
        if len(content) > max_bytes:
            raise RegistryError("limit", f"{asked}: more than {max_bytes} bytes")
        return content

    def sha256(self, root: ArtifactRoot, path: str, size: int) -> str:
        """Return the SHA-256 of one file; MLflow's library puts it on disk first."""
        asked = f"file {checks.ask_path(path)!r} of {root.kind} {root.id}"

        def ask() -> str:
            hashing = Hashing()
            with tempfile.TemporaryDirectory(prefix="aigate-") as folder:
                local = Path(self._repository(root).download_artifacts(path, folder))
                with local.open("rb") as file:
                    while piece := file.read(1024 * 1024):
                        hashing.take(piece)
            return hashing.result(path, size)

        return self._library.bounded(asked, ask)

    def _repository(self, root: ArtifactRoot) -> Any:
        """Return MLflow's access to where a root's files lie; runs in a bounded thread."""
        client = self._library.client()
        if root.kind == "run":
            uri = client.get_run(checks.ask_id(root.id)).info.artifact_uri
        else:
            uri = client.get_logged_model(checks.ask_model_id(root.id)).artifact_location
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if uri.startswith("mlflow-artifacts:") and not self._tracking_uri.startswith("http"):
            raise RegistryError(
                "unsupported",
                f"{root.kind} {root.id}: its files are behind an MLflow server, and the store is read directly; "
                "give the server's address as MLFLOW_TRACKING_URI",
            )
        return get_artifact_repository(uri, tracking_uri=self._tracking_uri, registry_uri=self._registry_uri)

    def _entity(self, asked: str, ask: Callable[[Any], Any]) -> Json:
        return self._library.bounded(asked, lambda: as_json(ask(self._library.client()), asked))

    def _pages(
        self,
        asked: str,
        limit: int,
        ask: Callable[[Any, str | None], Any],
        *,
        part: Callable[[Any], Any] = lambda entity: entity,
    ) -> list[Json]:
        def read() -> list[Json]:
            found: list[Json] = []
            seen: set[str] = set()
            token: str | None = None
            for _ in range(PAGE_LIMIT):
                page = ask(self._library.client(), token)
                found += [as_json(part(entity), asked) for entity in page]
                _limited(found, limit, asked)
                text = page.token.decode() if isinstance(page.token, bytes) else page.token
                token = checks.next_token({"next_page_token": text}, seen, asked)
                if token is None:
                    return found
            raise RegistryError("limit", f"{asked}: more than {PAGE_LIMIT} pages")

        return self._library.bounded(asked, read)


def _open(registry_uri: str, tracking_uri: str, *, writes: bool) -> Any:
    """Import MLflow with its defaults tamed and make its client."""
    # MLflow takes its settings from the process's environment and from nowhere else.
    environ = os.environ  # noqa: TID251
    unrepeated = writes or environ.get(_RETRIES) == "0"
    environ.update(_SETTINGS | ({_RETRIES: "0"} if unrepeated else {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import logging

        from mlflow import MlflowClient

        for name in ("mlflow", "alembic", "sqlalchemy"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        client = MlflowClient(tracking_uri=tracking_uri, registry_uri=registry_uri)
        # The registry store is opened at its first use; that belongs under the quiet too.
        client._get_registry_client()
    return client


def _check_database(uri: str) -> None:
    """Refuse a database that is not MLflow's: MLflow would make its tables in it, and then find no models."""
    if uri.partition(":")[0].partition("+")[0] not in DATABASES:
        return
    import sqlalchemy

    place = shown_url(uri)
    url = sqlalchemy.make_url(uri)
    if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).is_file()):
        raise RegistryError("not_found", f"there is no database file at {place}")
    engine = sqlalchemy.create_engine(uri)
    try:
        if not sqlalchemy.inspect(engine).has_table("registered_models"):
            raise RegistryError("not_found", f"the database at {place} holds no MLflow registry")
    finally:
        engine.dispose()


def as_json(entity: Any, asked: str, max_bytes: int = _BODY_BYTES) -> Json:
    """Return an entity as the REST API would show it, through the same strict loader."""
    from mlflow.utils.proto_json_utils import message_to_json

    try:
        found = load_json(message_to_json(entity.to_proto()), source="MLflow", max_bytes=max_bytes)
    except StrictError as e:
        raise RegistryError("broken", f"{asked}: {e}") from e
    if not isinstance(found, dict):
        raise RegistryError("broken", f"asked for {asked}, got {json.dumps(found)[:60]}")
    return found


def _limited(found: Iterable[Json], limit: int, asked: str) -> list[Json]:
    items = list(found)
    if len(items) > limit:
        raise RegistryError("limit", f"{asked}: more than {limit}")
    return items


def translated(error: BaseException, asked: str) -> RegistryError:
    """Return what MLflow's library raised, in words that hold no secret."""
    if isinstance(error, RegistryError):
        return error
    if isinstance(error, DeadlineError):
        return RegistryError("deadline", f"{asked}: {error.message}")
    code = getattr(error, "error_code", None)
    if isinstance(code, str):
        # MLflow repeats the tracking URI, password included, in some of its messages.
        message = Redactor().clean(str(getattr(error, "message", error)))
        return RegistryError(_CODES.get(code, "broken"), f"{asked}: {message[:300]}")
    return RegistryError("unreachable", f"{asked}: the store cannot be read ({type(error).__name__})")
