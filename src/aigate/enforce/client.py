"""Writes through MLflow's own library: databases opened directly, Databricks, plugins, signed requests.

MLflow is imported in here only inside functions, with its repetitions of
failed requests turned off (`Library`). What Databricks' own library repeats
below that is not in its hands.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aigate.collect.deadline import Deadline
from aigate.collect.mlflow import checks
from aigate.collect.mlflow.client import Library, as_json
from aigate.collect.mlflow.reader import Json, RegistryError
from aigate.collect.redact import shown_url
from aigate.enforce.present import Entered
from aigate.enforce.tracking import CHANGED_PARAM, NOT_WRITTEN, RUN_BYTES, TakenError
from aigate.enforce.writer import Shown

T = TypeVar("T")


class ClientWriter:
    """Writes to a registry through `MlflowClient`."""

    def __init__(self, registry_uri: str, tracking_uri: str, deadline: Deadline) -> None:
        self._library = Library(registry_uri, tracking_uri, deadline, writes=True)

    def set_alias(self, name: str, alias: str, version: str, entered: Entered | None = None) -> Shown:
        """Point an alias to a version. MLflow's library has no way to hand a ticket on, and none is."""
        checks.ask_version(version)
        self._write(
            f"setting {name}@{alias}",
            lambda client: client.set_registered_model_alias(name, alias, version),
        )
        return Shown(ticket=False, guard=None)

    def set_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Set a version's tag."""
        checks.ask_version(version)
        self._write(
            f"tagging model {name!r} version {version}",
            lambda client: client.set_model_version_tag(name, version, key, value),
        )

    def delete_version_tag(self, name: str, version: str, key: str) -> None:
        """Take a version's tag away; one that is not there is no error."""
        checks.ask_version(version)
        self._write(
            f"untagging model {name!r} version {version}",
            lambda client: client.delete_model_version_tag(name, version, key),
        )

    def set_model_tag(self, name: str, key: str, value: str) -> None:
        """Set a registered model's tag."""
        self._write(
            f"tagging model {name!r}", lambda client: client.set_registered_model_tag(name, key, value)
        )

    def _write(self, asked: str, send: Callable[[Any], object]) -> None:
        write(self._library, asked, send)


class ClientTracking:
    """Reads and writes runs through `MlflowClient`, as the ledger needs it."""

    def __init__(self, registry_uri: str, tracking_uri: str, deadline: Deadline) -> None:
        self._library = Library(registry_uri, tracking_uri, deadline, writes=True)
        self.place = shown_url(tracking_uri)

    def experiment(self, name: str) -> Json | None:
        """Return an experiment, deleted ones included; None only where MLflow says that there is none."""
        asked = f"experiment {name!r}"

        def ask() -> Json | None:
            found = self._library.client().get_experiment_by_name(name)
            return None if found is None else as_json(found, asked)

        found = self._library.bounded(asked, ask)
        return None if found is None else checks.experiment(found, name)

    def create_experiment(self, name: str, tags: Mapping[str, str]) -> None:
        """Make an experiment with its tags in one step."""
        write(
            self._library,
            f"making experiment {name!r}",
            lambda client: client.create_experiment(name, tags=dict(tags)),
        )

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
        """Make a run and return its id."""
        asked = f"making a run {name!r}"
        run = write(
            self._library,
            asked,
            lambda client: as_json(client.create_run(experiment_id, tags=dict(tags), run_name=name), asked),
        )
        return checks.new_run(run, asked)

    def run(self, run_id: str) -> Json:
        """Return a run, deleted ones included."""
        asked = f"run {checks.ask_id(run_id)}"
        found = self._library.bounded(
            asked, lambda: as_json(self._library.client().get_run(run_id), asked, RUN_BYTES)
        )
        return checks.run(found, run_id)

    def log_param(self, run_id: str, key: str, value: str) -> None:
        """Set a param that is not yet set."""
        checks.ask_id(run_id)
        write(
            self._library,
            f"writing {key} of run {run_id}",
            lambda client: client.log_param(run_id, key, value),
        )

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Set several params in one step."""
        checks.ask_id(run_id)

        def send(client: Any) -> None:
            from mlflow.entities import Param

            client.log_batch(run_id, params=[Param(key, value) for key, value in params.items()])

        write(self._library, f"writing to run {run_id}", send)

    def finish_run(self, run_id: str) -> None:
        """Mark a run as finished. (`set_terminated` would print the run's address.)"""
        checks.ask_id(run_id)
        write(
            self._library,
            f"finishing run {run_id}",
            lambda client: client.update_run(run_id, status="FINISHED"),
        )

    def close(self) -> None:
        """Do nothing: MLflow keeps its connections for the process."""


def write(library: Library, asked: str, send: Callable[[Any], T]) -> T:
    """Let MLflow's client write, once, and return what it returns.

    Raises RegistryError as `RegistryWriter` says; TakenError where MLflow says
    that a write-once value or a unique name is another's.
    """
    try:
        client = library.bounded(asked, library.client)
    except RegistryError as e:  # the store could not even be opened
        raise RegistryError(e.code if e.code in NOT_WRITTEN else "refused", e.message) from e

    def once() -> T:
        from mlflow.exceptions import MlflowException

        try:
            return send(client)
        except MlflowException as e:
            code, message = str(e.error_code), str(e.message)
            if code == "RESOURCE_ALREADY_EXISTS":
                raise TakenError(f"{asked}: it is there already") from e
            if code == "INVALID_PARAMETER_VALUE" and message.startswith(CHANGED_PARAM):
                raise TakenError(f"{asked}: it has another value already") from e
            if code == "INVALID_PARAMETER_VALUE":
                # What MLflow adds for people who log params has nothing to say here.
                first = message.partition("\n")[0]
                raise RegistryError("refused", f"{asked}: MLflow refuses it: {first[:300]}") from e
            raise

    return library.bounded(asked, once)
