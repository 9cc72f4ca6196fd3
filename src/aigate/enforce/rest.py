"""Writes to an MLflow server over its REST API. Every write is sent once, and a redirect of one is refused."""

from collections.abc import Callable, Mapping
from typing import Any

from aigate.collect.mlflow import checks
from aigate.collect.mlflow.reader import Json, RegistryError
from aigate.collect.mlflow.wire import Wire, error_of, good, parsed, translated
from aigate.collect.redact import shown_url
from aigate.collect.response import FetchError, Response
from aigate.enforce.present import Entered, NoTickets, Tickets
from aigate.enforce.tracking import CHANGED_PARAM, NOT_WRITTEN, RUN_BYTES, TakenError
from aigate.enforce.writer import Shown
from aigate.errors import AigateError
from aigate.ticket import GUARD_HEADER, HEADER, read_guard_header

_UNSENT = frozenset({"refused_url", "blocked_address", "dns", "connect"})
"""Failures before a byte of the request was sent. TLS is none of them: it can fail in the answer too."""

_REFUSALS = frozenset({"INVALID_PARAMETER_VALUE", "MALFORMED_REQUEST"})
"""Codes with which MLflow answers 400 before it writes. BAD_REQUEST is none: a commit that failed has it too."""


class RestWriter:
    """Writes to the registry of an MLflow server, each write with a ticket from `tickets`."""

    def __init__(self, wire: Wire, tickets: Tickets | None = None) -> None:
        self._wire = wire
        self._tickets = tickets or NoTickets()

    def set_alias(self, name: str, alias: str, version: str, entered: Entered | None = None) -> Shown:
        """Point an alias to a version, as an intent in the ledger says."""
        asked = f"setting {name}@{alias}"
        body = {"name": name, "alias": alias, "version": checks.ask_version(version)}
        ticket = self._ticket(asked, lambda: self._tickets.move(name, entered)) if entered else ""
        answer = self._write("POST", "registered-models/alias", asked, body, ticket)
        return Shown(bool(ticket), read_guard_header(answer.header(GUARD_HEADER) or ""))

    def set_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Set a version's tag."""
        self._tag("POST", "model-versions/set-tag", name, checks.ask_version(version), key, value)

    def delete_version_tag(self, name: str, version: str, key: str) -> None:
        """Take a version's tag away; one that is not there is no error."""
        self._tag("DELETE", "model-versions/delete-tag", name, checks.ask_version(version), key, None)

    def set_model_tag(self, name: str, key: str, value: str) -> None:
        """Set a registered model's tag."""
        self._tag("POST", "registered-models/set-tag", name, None, key, value)

    def _tag(
        self, method: str, place: str, name: str, version: str | None, key: str, value: str | None
    ) -> None:
        does = "untagging" if value is None else "tagging"
        asked = f"{does} model {name!r}" + ("" if version is None else f" version {version}")
        fields = {"name": name, "version": version, "key": key, "value": value}
        body = {field: text for field, text in fields.items() if text is not None}
        ticket = self._ticket(asked, lambda: self._tickets.tag(name, version, key, value))
        self._write(method, place, asked, body, ticket)

    def _ticket(self, asked: str, make: Callable[[], str]) -> str:
        try:
            return make()
        except AigateError as e:
            raise RegistryError("refused", f"{asked}: {e.message}, so nothing was sent") from e

    def _write(self, method: str, place: str, asked: str, body: Mapping[str, Any], ticket: str) -> Response:
        headers = {HEADER: ticket} if ticket else None
        return write(self._wire, method, self._wire.registry, place, asked, body, headers)[0]


class RestTracking:
    """Reads and writes the runs of an MLflow server, as the ledger needs it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.place = shown_url(wire.tracking)

    def experiment(self, name: str) -> Json | None:
        """Return an experiment, deleted ones included; None only where MLflow says that there is none."""
        asked = f"experiment {name!r}"
        try:
            body = self._wire.ask("experiments/get-by-name", asked, {"experiment_name": name})
        except RegistryError as e:
            if e.code == "not_found":
                return None
            raise
        return checks.experiment(checks.take(body, "experiment", asked), name)

    def create_experiment(self, name: str, tags: Mapping[str, str]) -> None:
        """Make an experiment with its tags in one step."""
        self._write("experiments/create", f"making experiment {name!r}", {"name": name, "tags": _pairs(tags)})

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
        """Make a run and return its id. It begins by the server's clock."""
        asked = f"making a run {name!r}"
        body = {"experiment_id": experiment_id, "run_name": name, "tags": _pairs(tags)} | self._now(
            "start_time"
        )
        run = checks.take(self._write("runs/create", asked, body), "run", asked)
        return checks.new_run(run, asked)

    def run(self, run_id: str) -> Json:
        """Return a run, deleted ones included."""
        asked = f"run {checks.ask_id(run_id)}"
        body = self._wire.ask("runs/get", asked, {"run_id": run_id}, max_bytes=RUN_BYTES)
        return checks.run(checks.take(body, "run", asked), run_id)

    def log_param(self, run_id: str, key: str, value: str) -> None:
        """Set a param that is not yet set."""
        body = {"run_id": checks.ask_id(run_id), "key": key, "value": value}
        self._write("runs/log-parameter", f"writing {key} of run {run_id}", body)

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Set several params in one step."""
        body = {"run_id": checks.ask_id(run_id), "params": _pairs(params)}
        self._write("runs/log-batch", f"writing to run {run_id}", body)

    def finish_run(self, run_id: str) -> None:
        """Mark a run as finished, by the server's clock."""
        body = {"run_id": checks.ask_id(run_id), "status": "FINISHED"} | self._now("end_time")
        self._write("runs/update", f"finishing run {run_id}", body)

    def close(self) -> None:
        """Close the kept connections."""
        self._wire.fetcher.close()

    def _write(self, place: str, asked: str, body: Mapping[str, Any]) -> Json:
        return write(self._wire, "POST", self._wire.tracking, place, asked, body)[1]

    def _now(self, key: str) -> dict[str, int]:
        """Return the server's clock as of its last answer, in milliseconds; nothing where it does not tell."""
        date = self._wire.date(self._wire.tracking)
        return {} if date is None else {key: int(date.timestamp() * 1000)}


def write(
    wire: Wire,
    method: str,
    base: str,
    place: str,
    asked: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
) -> tuple[Response, Json]:
    """Send one write, once, and return a good answer and the JSON object in it.

    Raises RegistryError as `RegistryWriter` says; TakenError where MLflow says
    that a write-once value or a unique name is another's.
    """
    try:
        wire.check_workspace(base)
    except RegistryError as e:
        raise RegistryError(e.code if e.code in NOT_WRITTEN else "refused", e.message) from e
    if wire.fetcher.deadline.remaining() <= 0:
        raise RegistryError("refused", f"{asked}: the run's time is up, and nothing was sent")
    try:
        answer = wire.exchange(method, base, place, body, headers=headers)
    except FetchError as e:
        if e.code in _UNSENT:
            raise RegistryError("refused", f"{asked}: {e.message}, so nothing was written") from e
        raise translated(e, asked) from e
    try:
        said = parsed(answer, asked)
    except RegistryError:
        if answer.status not in (401, 403):
            raise
        said = None  # who is turned away is turned away, whatever the page says
    if answer.status == 400:
        code, message = error_of(said)
        if code == "RESOURCE_ALREADY_EXISTS":
            raise TakenError(f"{asked}: it is there already")
        if code in _REFUSALS and message.startswith(CHANGED_PARAM):
            raise TakenError(f"{asked}: it has another value already")
        if code in _REFUSALS:
            raise RegistryError("refused", f"{asked}: MLflow refuses it: {message[:300]}")
    return answer, good(answer, said, asked)


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
