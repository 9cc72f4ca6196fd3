"""The registry over MLflow's REST API, without MLflow: what every http(s) address gets.

Each question is one bounded request (`Wire`); its answer goes through `checks`.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from aigate.collect.fetch import Fetcher
from aigate.collect.mlflow import checks
from aigate.collect.mlflow.files import Hashing, check_listing, walk
from aigate.collect.mlflow.reader import (
    MODELS_LIMIT,
    POINTS_LIMIT,
    TRACES_LIMIT,
    ArtifactFile,
    ArtifactRoot,
    Json,
    RegistryError,
    ServerFacts,
)
from aigate.collect.mlflow.wire import Wire, error_of, parsed, raise_for, translated
from aigate.collect.redact import shown_url
from aigate.collect.response import FetchError

_TRACES_PAGE = 200
_LIST_PAGE = 1_000


class RestReader:
    """Reads an MLflow server; `workspace` is `Wire`'s."""

    def __init__(
        self, fetcher: Fetcher, registry_uri: str, tracking_uri: str, *, workspace: bool = False
    ) -> None:
        self._wire = Wire(fetcher, registry_uri, tracking_uri, workspace=workspace)
        self.registry = shown_url(self._wire.registry)

    def server(self) -> ServerFacts:
        """Return what the registry's server says about itself; MLflow 2 tells its version only."""
        shown = f"{self.registry}/version"
        answer = self._wire.send(
            "GET", self._wire.registry, "/version", "the server's version", max_bytes=1_000
        )
        text = answer.body.decode("utf-8", "replace").strip()
        if answer.status != 200 or not re.fullmatch(r"[0-9][0-9A-Za-z.+-]{0,40}", text):
            raise RegistryError("broken", f"{shown}: this is no MLflow server, or not its base address")
        info = self._wire.description(self._wire.registry)
        store, workspaces = info.get("store_type"), info.get("workspaces_enabled")
        return ServerFacts(
            version=text,
            store=store if isinstance(store, str) else None,
            workspaces=workspaces if isinstance(workspaces, bool) else None,
            date=answer.server_date,
        )

    def date(self) -> datetime | None:
        """Return the registry's `Date` header, as of its last answer."""
        return self._wire.date(self._wire.registry)

    def registered_model(self, name: str) -> Json:
        """Return a registered model."""
        asked = f"model {name!r}"
        body = self._wire.ask("registered-models/get", asked, {"name": name}, base=self._wire.registry)
        return checks.registered_model(checks.take(body, "registered_model", asked), name)

    def registered_models(self) -> Sequence[Json]:
        """Return every registered model; MLflow leaves prompts out by itself."""
        return self._wire.pages(
            "registered-models/search",
            "registered_models",
            "the registered models",
            {"max_results": str(_LIST_PAGE)},
            base=self._wire.registry,
            limit=MODELS_LIMIT,
            check=lambda model: checks.registered_model(model, str(model.get("name"))),
        )

    def version(self, name: str, version: str) -> Json:
        """Return one model version."""
        checks.ask_version(version)
        asked = f"model {name!r} version {version}"
        params = {"name": name, "version": version}
        body = self._wire.ask("model-versions/get", asked, params, base=self._wire.registry)
        return checks.version(checks.take(body, "model_version", asked), name, version)

    def version_by_alias(self, name: str, alias: str) -> Json | None:
        """Return the version an alias points to, or None where MLflow says exactly that it is not set."""
        asked = f"{name}@{alias}"
        answer = self._wire.send(
            "GET", self._wire.registry, "registered-models/alias", asked, {"name": name, "alias": alias}
        )
        body = parsed(answer, asked)
        if answer.status in (400, 404):
            code, message = error_of(body)
            if checks.is_alias_missing(code, message, alias):
                return None
        raise_for(answer, body, asked)
        return checks.aliased(checks.take(body, "model_version", asked), name, alias)

    def served_from(self, name: str, version: str) -> str:
        """Return the address from which clients load a version."""
        checks.ask_version(version)
        asked = f"where model {name!r} version {version} is loaded from"
        params = {"name": name, "version": version}
        body = self._wire.ask("model-versions/get-download-uri", asked, params, base=self._wire.registry)
        return checks.place(body.get("artifact_uri"), asked)

    def run(self, run_id: str) -> Json:
        """Return a run, deleted ones included."""
        asked = f"run {checks.ask_id(run_id)}"
        body = self._wire.ask("runs/get", asked, {"run_id": run_id})
        return checks.run(checks.take(body, "run", asked), run_id)

    def logged_model(self, model_id: str) -> Json | None:
        """Return a LoggedModel, or None where the server has no such endpoint."""
        asked = f"LoggedModel {checks.ask_model_id(model_id)}"
        try:
            body = self._wire.ask(f"logged-models/{model_id}", asked)
        except RegistryError as e:
            if e.code == "unsupported":
                return None
            raise
        return checks.logged_model(checks.take(body, "model", asked), model_id)

    def metric_history(self, run_id: str, key: str) -> Sequence[Json]:
        """Return every point of one metric of a run, page by page."""
        asked = f"metric {key!r} of run {checks.ask_id(run_id)}"
        return self._wire.pages(
            "metrics/get-history",
            "metrics",
            asked,
            {"run_id": run_id, "metric_key": key, "max_results": str(_LIST_PAGE)},
            limit=POINTS_LIMIT,
            check=lambda point: checks.metric_point(point, key, asked),
        )

    def traces(self, experiment_id: str, run_id: str) -> Sequence[Json]:
        """Return a run's traces with their assessments, page by page."""
        checks.ask_id(experiment_id, "experiment")
        question = {
            "locations": [
                {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}
            ],
            "filter": f"run_id = '{checks.ask_id(run_id)}'",
            "max_results": _TRACES_PAGE,
        }
        return self._wire.pages(
            "/api/3.0/mlflow/traces/search",
            "traces",
            f"traces of run {run_id}",
            question,
            limit=TRACES_LIMIT,
            check=lambda trace: checks.trace(trace, experiment_id),
            method="POST",
        )

    def artifacts(self, root: ArtifactRoot) -> Sequence[ArtifactFile]:
        """Return every file under a root, as the server lists them wherever they lie."""
        return walk(root, lambda folder: self._folder(root, folder))

    def artifact(self, root: ArtifactRoot, path: str, max_bytes: int) -> bytes:
        """Return one file, which the server fetches from wherever it lies."""
        place, params, asked = _file(root, path)
        # An error's own body may be larger than the file that was asked for.
        answer = self._wire.send(
            "GET", self._wire.tracking, place, asked, params, max_bytes=max(max_bytes, 65_536)
        )
        if answer.status != 200:
            raise_for(answer, parsed(answer, asked), asked)
        if len(answer.body) > max_bytes:
            raise RegistryError("limit", f"{asked}: more than {max_bytes} bytes")
        return answer.body

    def sha256(self, root: ArtifactRoot, path: str, size: int) -> str:
        """Return the SHA-256 of one file, hashed as it arrives."""
        place, params, asked = _file(root, path)
        self._wire.check_workspace(self._wire.tracking)
        hashing = Hashing()
        try:
            self._wire.fetcher.request(
                "GET",
                self._wire.tracking + place,
                params=params,
                max_bytes=size,
                accept=(),
                sink=hashing.take,
            )
        except FetchError as e:
            raise translated(e, asked) from e
        return hashing.result(path, size)

    def _folder(self, root: ArtifactRoot, folder: str) -> list[Json]:
        asked = f"files of {root.kind} {root.id}"
        if root.kind == "run":
            place, params = "artifacts/list", {"run_id": checks.ask_id(root.id)}
            params |= {"path": folder} if folder else {}
        else:
            place = f"logged-models/{checks.ask_model_id(root.id)}/artifacts/directories"
            params = {"artifact_directory_path": folder} if folder else {}
        return self._wire.pages(
            place, "files", asked, params, check=lambda found: check_listing(found, folder)
        )


def _file(root: ArtifactRoot, path: str) -> tuple[str, dict[str, str], str]:
    """Return where a file is asked for, with what, and how the question is called in messages."""
    asked = f"file {checks.ask_path(path)!r} of {root.kind} {root.id}"
    if root.kind == "run":
        return "/get-artifact", {"run_uuid": checks.ask_id(root.id), "path": path}, asked
    place = f"/ajax-api/2.0/mlflow/logged-models/{checks.ask_model_id(root.id)}/artifacts/files"
    return place, {"artifact_file_path": path}, asked
