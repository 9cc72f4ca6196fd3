"""How an MLflow server is spoken to over HTTP, without MLflow: one bounded request, one strict answer.

Who reads (`rest`) and who writes (`aigate.enforce.rest`) speak the same way.
Answers go through the strict JSON loader. MLflow 2 answers what it does not
know with an HTML page; that is `unsupported`, and nothing is parsed that is
not JSON.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime

from aigate.collect.fetch import Fetcher
from aigate.collect.mlflow import checks
from aigate.collect.mlflow.reader import PAGE_LIMIT, Code, Json, RegistryError
from aigate.collect.response import FetchError, Response
from aigate.collect.strict import StrictError, load_json

ONE_BYTES = 4 * 1024 * 1024
"""Bytes taken of an answer about one thing."""

PAGE_BYTES = 8 * 1024 * 1024
"""Bytes taken of one page of a listing."""

_API = "/api/2.0/mlflow/"
_INFO = "/api/3.0/mlflow/server-info"
_ANSWERS = (200, 400, 401, 403, 404, 500)
_TOKENLESS = "give MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


class Wire:
    """A line to an MLflow server. The registry may be another server than the one that holds the runs.

    `workspace` says that the credential asks for one workspace. A server
    without workspaces would ignore that and answer from all it has, so it is
    asked first whether it has them. Safe to use from several threads.
    """

    def __init__(
        self, fetcher: Fetcher, registry_uri: str, tracking_uri: str, *, workspace: bool = False
    ) -> None:
        self.fetcher = fetcher
        self.registry = registry_uri.rstrip("/")
        self.tracking = tracking_uri.rstrip("/")
        self._workspace = workspace
        self._checked: set[str] = set()
        self._lock = threading.Lock()
        self._dates: dict[str, datetime] = {}

    def date(self, base: str) -> datetime | None:
        """Return the `Date` header of a server's last answer; None before the first."""
        return self._dates.get(base)

    def description(self, base: str) -> Json:
        """Return what a server tells of itself; empty where it is of MLflow 2."""
        asked = "the server's description"
        answer = self.send("GET", base, _INFO, asked)
        body = parsed(answer, asked)
        if answer.status == 404 and body is None:
            return {}
        raise_for(answer, body, asked)
        return body if isinstance(body, dict) else {}

    def check_workspace(self, base: str) -> None:
        """Raise RegistryError where a workspace is asked for and the server has none. Asks once for each server."""
        if not self._workspace:
            return
        with self._lock:
            if base not in self._checked:
                if self.description(base).get("workspaces_enabled") is not True:
                    raise RegistryError(
                        "refused", "MLFLOW_WORKSPACE is set, and this server has no workspaces: unset one"
                    )
                self._checked.add(base)

    def pages(
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
            body = self.ask(place, asked, page, base=base, method=method, max_bytes=PAGE_BYTES)
            found.extend(check(item) for item in checks.listed(body, key, asked))
            if len(found) > limit:
                raise RegistryError("limit", f"{asked}: more than {limit}")
            token = checks.next_token(body, seen, asked)
            if token is None:
                return found
        raise RegistryError("limit", f"{asked}: more than {PAGE_LIMIT} pages")

    def ask(
        self,
        place: str,
        asked: str,
        question: Mapping[str, object] | None = None,
        *,
        base: str | None = None,
        method: str = "GET",
        max_bytes: int = ONE_BYTES,
    ) -> Json:
        """Ask once, the tracking server by default, and return the JSON object of a good answer."""
        answer = self.send(method, base or self.tracking, place, asked, question, max_bytes=max_bytes)
        return good(answer, parsed(answer, asked, max_bytes), asked)

    def send(
        self,
        method: str,
        base: str,
        place: str,
        asked: str,
        question: Mapping[str, object] | None = None,
        *,
        max_bytes: int = ONE_BYTES,
    ) -> Response:
        """Send one request, its workspace checked, and return the answer; raise RegistryError where none came."""
        if place != _INFO:
            self.check_workspace(base)
        try:
            return self.exchange(method, base, place, question, max_bytes=max_bytes)
        except FetchError as e:
            raise translated(e, asked) from e

    def exchange(
        self,
        method: str,
        base: str,
        place: str,
        question: Mapping[str, object] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = ONE_BYTES,
    ) -> Response:
        """Send one request and return the answer; raise FetchError where none came.

        `place` is below MLflow's API, or absolute where it begins with a
        slash. A GET asks by its query, every other method by a JSON body.
        """
        url = base + (place if place.startswith("/") else _API + place)
        by_query = method == "GET"
        answer = self.fetcher.request(
            method,
            url,
            params={key: str(value) for key, value in (question or {}).items()} if by_query else None,
            json=None if by_query else dict(question or {}),
            headers=headers,
            max_bytes=max_bytes,
            accept=(),
            accept_status=_ANSWERS,
        )
        if answer.server_date is not None:
            self._dates[base] = answer.server_date
        return answer


def translated(error: FetchError, asked: str) -> RegistryError:
    """Return what a failed request means for the question that was asked."""
    codes: dict[str, Code] = {"deadline": "deadline", "too_large": "limit"}
    statuses: dict[int | None, Code] = {401: "denied", 403: "denied", 404: "not_found"}
    code = statuses.get(error.status) or codes.get(error.code, "unreachable")
    return RegistryError(code, f"{asked}: {error.message}")


def parsed(answer: Response, asked: str, max_bytes: int = ONE_BYTES) -> object:
    """Return the body as JSON; None where it is something else."""
    if not answer.media_type.endswith("json"):
        return None
    try:
        return load_json(answer.body, source=answer.url_shown, max_bytes=max_bytes)
    except StrictError as e:
        raise RegistryError("broken", f"{asked}: {e}") from e


def good(answer: Response, body: object, asked: str) -> Json:
    """Return the JSON object of a good answer; raise RegistryError for every other."""
    raise_for(answer, body, asked)
    if not isinstance(body, dict):
        raise RegistryError("broken", f"asked for {asked}, got something that is no JSON object")
    return body


def error_of(body: object) -> tuple[str, str]:
    """Return code and message of an MLflow error; empty where it is none."""
    if not isinstance(body, dict):
        return "", ""
    code, message = body.get("error_code"), body.get("message")
    return (code if isinstance(code, str) else ""), (message if isinstance(message, str) else "")


def raise_for(answer: Response, body: object, asked: str) -> None:
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
    code, message = error_of(body)
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
