"""The registry over MLflow's REST API, without MLflow: what every http(s) address gets.

Each question is one bounded request (`Fetcher`), its answer goes through the
strict JSON loader and through `checks`. MLflow 2 answers what it does not know
with an HTML page; that is `unsupported`, and nothing is parsed that is not JSON.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from aigate.collect.fetch import Fetcher
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
from aigate.collect.redact import shown_url
from aigate.collect.response import FetchError, Response
from aigate.collect.strict import StrictError, load_json

_API = "/api/2.0/mlflow/"
_INFO = "/api/3.0/mlflow/server-info"
_ANSWERS = (200, 400, 401, 403, 404, 500)
_ONE_BYTES = 4 * 1024 * 1024
_PAGE_BYTES = 8 * 1024 * 1024
_TRACES_PAGE = 200
_LIST_PAGE = 1_000
_TOKENLESS = "give MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


class RestReader:
    """Reads an MLflow server. The registry may be another server than the one that holds the runs.

    `workspace` says that the credential asks for one workspace. A server
    without workspaces would ignore that and answer from all it has, so it is
    asked first whether it has them.
    """

    def __init__(
        self, fetcher: Fetcher, registry_uri: str, tracking_uri: str, *, workspace: bool = False
    ) -> None:
        self._fetcher = fetcher
        self._workspace = workspace
        self._checked: set[str] = set()
        self._lock = threading.Lock()
        self._date: datetime | None = None
        self._registry = registry_uri.rstrip("/")
        self._tracking = tracking_uri.rstrip("/")
        self.registry = shown_url(self._registry)

    def server(self) -> ServerFacts:
        """Return what the registry's server says about itself; MLflow 2 tells its version only."""
        shown = f"{self.registry}/version"
        answer = self._send("GET", self._registry, "/version", "the server's version", max_bytes=1_000)
        text = answer.body.decode("utf-8", "replace").strip()
        if answer.status != 200 or not re.fullmatch(r"[0-9][0-9A-Za-z.+-]{0,40}", text):
            raise RegistryError("broken", f"{shown}: this is no MLflow server, or not its base address")
        info = self._description(self._registry)
        store, workspaces = info.get("store_type"), info.get("workspaces_enabled")
        return ServerFacts(
            version=text,
            store=store if isinstance(store, str) else None,
            workspaces=workspaces if isinstance(workspaces, bool) else None,
            date=answer.server_date,
        )

    def date(self) -> datetime | None:
        """Return the registry's `Date` header, as of its last answer."""
        return self._date

    def registered_model(self, name: str) -> Json:
        """Return a registered model."""
        asked = f"model {name!r}"
        body = self._ask("registered-models/get", asked, {"name": name}, base=self._registry)
        return checks.registered_model(checks.take(body, "registered_model", asked), name)

    def registered_models(self) -> Sequence[Json]:
        """Return every registered model; MLflow leaves prompts out by itself."""
        return self._pages(
            "registered-models/search",
            "registered_models",
            "the registered models",
            {"max_results": str(_LIST_PAGE)},
            base=self._registry,
            limit=MODELS_LIMIT,
            check=lambda model: checks.registered_model(model, str(model.get("name"))),
        )

    def version(self, name: str, version: str) -> Json:
        """Return one model version."""
        checks.ask_version(version)
        asked = f"model {name!r} version {version}"
        params = {"name": name, "version": version}
        body = self._ask("model-versions/get", asked, params, base=self._registry)
        return checks.version(checks.take(body, "model_version", asked), name, version)

    def version_by_alias(self, name: str, alias: str) -> Json | None:
        """Return the version an alias points to, or None where MLflow says exactly that it is not set."""
        asked = f"{name}@{alias}"
        answer = self._send(
            "GET", self._registry, "registered-models/alias", asked, {"name": name, "alias": alias}
        )
        body = _parsed(answer, asked)
        if answer.status in (400, 404):
            code, message = _error(body)
            if checks.is_alias_missing(code, message, alias):
                return None
        _raise_for(answer, body, asked)
        return checks.aliased(checks.take(body, "model_version", asked), name, alias)

    def run(self, run_id: str) -> Json:
        """Return a run, deleted ones included."""
        asked = f"run {checks.ask_id(run_id)}"
        body = self._ask("runs/get", asked, {"run_id": run_id})
        return checks.run(checks.take(body, "run", asked), run_id)

    def logged_model(self, model_id: str) -> Json | None:
        """Return a LoggedModel, or None where the server has no such endpoint."""
        asked = f"LoggedModel {checks.ask_model_id(model_id)}"
        try:
            body = self._ask(f"logged-models/{model_id}", asked)
        except RegistryError as e:
            if e.code == "unsupported":
                return None
            raise
        return checks.logged_model(checks.take(body, "model", asked), model_id)

    def metric_history(self, run_id: str, key: str) -> Sequence[Json]:
        """Return every point of one metric of a run, page by page."""
        asked = f"metric {key!r} of run {checks.ask_id(run_id)}"
        return self._pages(
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
        return self._pages(
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
        answer = self._send("GET", self._tracking, place, asked, params, max_bytes=max(max_bytes, 65_536))
        if answer.status != 200:
            _raise_for(answer, _parsed(answer, asked), asked)
        if len(answer.body) > max_bytes:
            raise RegistryError("limit", f"{asked}: more than {max_bytes} bytes")
        return answer.body

    def sha256(self, root: ArtifactRoot, path: str, size: int) -> str:
        """Return the SHA-256 of one file, hashed as it arrives."""
        place, params, asked = _file(root, path)
        if self._workspace:
            self._check_workspace(self._tracking)
        hashing = Hashing()
        try:
            self._fetcher.request(
                "GET", self._tracking + place, params=params, max_bytes=size, accept=(), sink=hashing.take
            )
        except FetchError as e:
            raise _translated(e, asked) from e
        return hashing.result(path, size)

    def _description(self, base: str) -> Json:
        """Return what a server tells of itself; empty where it is of MLflow 2."""
        asked = "the server's description"
        answer = self._send("GET", base, _INFO, asked)
        body = _parsed(answer, asked)
        if answer.status == 404 and body is None:
            return {}
        _raise_for(answer, body, asked)
        return body if isinstance(body, dict) else {}

    def _check_workspace(self, base: str) -> None:
        with self._lock:
            if base not in self._checked:
                if self._description(base).get("workspaces_enabled") is not True:
                    raise RegistryError(
                        "refused", "MLFLOW_WORKSPACE is set, and this server has no workspaces: unset one"
                    )
                self._checked.add(base)

    def _folder(self, root: ArtifactRoot, folder: str) -> list[Json]:
        asked = f"files of {root.kind} {root.id}"
        if root.kind == "run":
            place, params = "artifacts/list", {"run_id": checks.ask_id(root.id)}
            params |= {"path": folder} if folder else {}
        else:
            place = f"logged-models/{checks.ask_model_id(root.id)}/artifacts/directories"
            params = {"artifact_directory_path": folder} if folder else {}
        return self._pages(place, "files", asked, params, check=lambda found: check_listing(found, folder))

    def _pages(
        self,
        place: str,
        key: str,
        asked: str,
        question: Mapping[str, object],
        *,
        check: Callable[[Json], Json],
        base: str | None = None,
        limit: int = 10_000,
        method: str = "GET",
    ) -> list[Json]:
        """Ask page after page; `check` believes each item or raises."""
        found: list[Json] = []
        seen: set[str] = set()
        token: str | None = None
        for _ in range(PAGE_LIMIT):
            page = {**question, **({"page_token": token} if token else {})}
            body = self._ask(place, asked, page, base=base, method=method, max_bytes=_PAGE_BYTES)
            found.extend(check(item) for item in checks.listed(body, key, asked))
            if len(found) > limit:
                raise RegistryError("limit", f"{asked}: more than {limit}")
            token = checks.next_token(body, seen, asked)
            if token is None:
                return found
        raise RegistryError("limit", f"{asked}: more than {PAGE_LIMIT} pages")

    def _ask(
        self,
        place: str,
        asked: str,
        question: Mapping[str, object] | None = None,
        *,
        base: str | None = None,
        method: str = "GET",
        max_bytes: int = _ONE_BYTES,
    ) -> Json:
        """Ask once and return the JSON object of a good answer."""
        answer = self._send(method, base or self._tracking, place, asked, question, max_bytes=max_bytes)
        body = _parsed(answer, asked, max_bytes)
        _raise_for(answer, body, asked)
        if not isinstance(body, dict):
            raise RegistryError("broken", f"asked for {asked}, got something that is no JSON object")
        return body

    def _send(
        self,
        method: str,
        base: str,
        place: str,
        asked: str,
        question: Mapping[str, object] | None = None,
        *,
        max_bytes: int = _ONE_BYTES,
    ) -> Response:
        if self._workspace and place != _INFO:
            self._check_workspace(base)
        url = base + (place if place.startswith("/") else _API + place)
        by_body = method == "POST"
        try:
            answer = self._fetcher.request(
                method,
                url,
                params=None if by_body else {key: str(value) for key, value in (question or {}).items()},
                json=dict(question or {}) if by_body else None,
                max_bytes=max_bytes,
                accept=(),
                accept_status=_ANSWERS,
            )
        except FetchError as e:
            raise _translated(e, asked) from e
        if base == self._registry and answer.server_date is not None:
            self._date = answer.server_date
        return answer


def _file(root: ArtifactRoot, path: str) -> tuple[str, dict[str, str], str]:
    """Return where a file is asked for, with what, and how the question is called in messages."""
    asked = f"file {checks.ask_path(path)!r} of {root.kind} {root.id}"
    if root.kind == "run":
        return "/get-artifact", {"run_uuid": checks.ask_id(root.id), "path": path}, asked
    place = f"/ajax-api/2.0/mlflow/logged-models/{checks.ask_model_id(root.id)}/artifacts/files"
    return place, {"artifact_file_path": path}, asked


def _translated(error: FetchError, asked: str) -> RegistryError:
    codes: dict[str, Code] = {"deadline": "deadline", "too_large": "limit"}
    statuses: dict[int | None, Code] = {401: "denied", 403: "denied", 404: "not_found"}
    code = statuses.get(error.status) or codes.get(error.code, "unreachable")
    return RegistryError(code, f"{asked}: {error.message}")


def _parsed(answer: Response, asked: str, max_bytes: int = _ONE_BYTES) -> object:
    """Return the body as JSON; None where it is something else."""
    if not answer.media_type.endswith("json"):
        return None
    try:
        return load_json(answer.body, source=answer.url_shown, max_bytes=max_bytes)
    except StrictError as e:
        raise RegistryError("broken", f"{asked}: {e}") from e


def _error(body: object) -> tuple[str, str]:
    """Return code and message of an MLflow error; empty where it is none."""
    if not isinstance(body, dict):
        return "", ""
    code, message = body.get("error_code"), body.get("message")
    return (code if isinstance(code, str) else ""), (message if isinstance(message, str) else "")


def _raise_for(answer: Response, body: object, asked: str) -> None:
    """Raise what a bad answer means; return where it is a good one."""
    if answer.status == 200:
        if body is None:
            kind = answer.media_type[:60] or "no content type"
            raise RegistryError(
                "broken",
                f"{asked}: {answer.url_shown} answers with {kind} instead of JSON: "
                "a log-in page, or not MLflow's address?",
            )
        return
    code, message = _error(body)
    words = f": {message[:300]}" if message else ""
    if answer.status in (401, 403):
        plain = answer.body[:200].decode("utf-8", "replace") if body is None else ""
        if "Invalid Host header" in plain:
            hint = " (it does not know this host name: start it with --allowed-hosts)"
        else:
            hint = f" ({_TOKENLESS})" if answer.status == 401 else words
        raise RegistryError("denied", f"{asked}: MLflow refuses with status {answer.status}{hint}")
    if answer.status == 404 and code == "RESOURCE_DOES_NOT_EXIST":
        raise RegistryError("not_found", f"{asked}: not found{words}")
    if answer.status == 404 and body is None:
        raise RegistryError("unsupported", f"{asked}: this server has nothing at {answer.url_shown}")
    raise RegistryError("broken", f"{asked}: MLflow answers with status {answer.status}{words}")
