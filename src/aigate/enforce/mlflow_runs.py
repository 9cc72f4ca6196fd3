"""The runs that the ledger keeps inside MLflow: made, found and read, with what to do where one is gone."""

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from aigate.collect.deadline import Deadline
from aigate.collect.mlflow import checks
from aigate.collect.mlflow.reader import Json, RegistryError
from aigate.enforce.store import LedgerError
from aigate.enforce.tracking import Tracking

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds in which something just written is looked for: MLflow may read from a replica that lags."""

_PAUSES = (0.02, 0.05, 0.1, 0.2)
"""Seconds between looks; the last one repeats."""


class Runs:
    """The runs of one experiment. Every failure is a LedgerError: none of this writes an entry."""

    def __init__(
        self,
        tracking: Tracking,
        deadline: Deadline,
        experiment: str,
        *,
        patience: float = PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.tracking = tracking
        self.name = experiment
        self._deadline = deadline
        self._patience = patience
        self._sleep = sleep
        self._id: str | None = None

    def experiment(self, name: str) -> Json | None:
        """Return an experiment that is not deleted; None where there is none."""
        try:
            found = self.tracking.experiment(name)
        except RegistryError as e:
            raise unreadable(f"experiment {name!r}", e) from e
        if found is not None and found["lifecycle_stage"] != "active":
            number = found["experiment_id"]
            raise LedgerError(
                f"the ledger's experiment {name!r} in MLflow is deleted",
                fix=f"restore it, and find out who deleted it: mlflow experiments restore -x {number}",
            )
        return found

    def experiment_id(self) -> str:
        """Return the id of the experiment that holds the runs; it is made where it is not there."""
        if self._id is None:
            found = self.experiment(self.name) or self.make_experiment(self.name, {"aigate.kind": "ledger"})
            self._id = str(found["experiment_id"])
        return self._id

    def make_experiment(self, name: str, tags: Mapping[str, str]) -> Json:
        """Make an experiment and return it; where another was quicker, return his."""
        error: RegistryError | None = None
        try:
            self.tracking.create_experiment(name, tags)
        except RegistryError as e:
            error = e
        found = self.wait_for(lambda: self.experiment(name))
        if found is None:
            reason = f": {error.message}" if error else ", though MLflow says that it was"
            raise LedgerError(
                f"the ledger's experiment {name!r} was not made{reason}",
                fix="give the credential the right to make experiments, or keep the ledger elsewhere",
            ) from error
        return found

    def make(self, name: str, tags: Mapping[str, str]) -> str:
        """Make a run and return its id."""
        experiment = self.experiment_id()
        try:
            return self.tracking.create_run(experiment, name, tags)
        except RegistryError as e:
            raise LedgerError(
                f"a run for the ledger cannot be made in MLflow: {e.message}",
                fix=f"give the credential the right to write to experiment {self.name!r}, "
                "or find out why MLflow does not answer",
            ) from e

    def finish(self, run_id: str) -> None:
        """Mark a run as finished. It is for people only, so that a failure is none."""
        with contextlib.suppress(RegistryError):
            self.tracking.finish_run(run_id)

    def params(self, run_id: str, what: str) -> dict[str, str]:
        """Return the params of a run that must be there; `what` says what it is."""
        try:
            found = self.tracking.run(checks.ask_id(run_id))
        except RegistryError as e:
            if e.code == "not_found":
                raise LedgerError(
                    f"{what} (run {run_id}) is gone from MLflow",
                    fix="it was deleted for good: restore MLflow's database from a backup that holds it",
                ) from e
            raise unreadable(what, e) from e
        if found["info"]["lifecycle_stage"] != "active":
            raise LedgerError(
                f"{what} (run {run_id}) is deleted in MLflow",
                fix=f"restore it, and find out who deleted it: mlflow runs restore --run-id {run_id}",
            )
        return params_of(found, what)

    def wait_for(self, look: Callable[[], T | None]) -> T | None:
        """Look again and again until something is seen, for as long as MLflow's replicas may lag.

        Returns None where nothing was; raises what the last look raised.
        """
        end = self._deadline.now() + self._patience
        pauses = list(_PAUSES)
        while True:
            trouble: LedgerError | None = None
            try:
                found = look()
            except LedgerError as e:
                found, trouble = None, e
            if found is not None:
                return found
            pause = pauses.pop(0) if len(pauses) > 1 else pauses[0]
            if self._deadline.now() + pause > end or self._deadline.remaining() <= pause:
                if trouble is not None:
                    raise trouble
                return None
            self._sleep(pause)


def params_of(run: Json, what: str) -> dict[str, str]:
    """Return a run's params; a key that stands there twice is no param of MLflow's."""
    pairs = [(pair["key"], pair.get("value", "")) for pair in run.get("data", {}).get("params", [])]
    found = dict(pairs)
    if len(found) != len(pairs):
        raise LedgerError(f"{what} has a param twice", fix="find out what answers in place of MLflow")
    return found


def unreadable(what: str, error: RegistryError) -> LedgerError:
    """Return the LedgerError for something that MLflow did not let us read."""
    return LedgerError(
        f"{what} cannot be read from MLflow: {error.message}",
        fix="find out why MLflow does not answer, or whether the credential may read the ledger; then try again",
    )
