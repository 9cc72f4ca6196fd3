"""What the ledger asks of MLflow's tracking store: runs whose params can be set once, and experiments of one name.

A param cannot be changed through MLflow once it is set, and no two experiments
have the same name. These two are the only atomic registers that MLflow has,
and the ledger rests on nothing else. As with the registry, no write is
repeated, and none is believed: whoever writes reads back.
"""

from collections.abc import Mapping
from typing import Protocol

from aigate.collect.mlflow.reader import Json, RegistryError

NOT_WRITTEN = frozenset({"denied", "not_found", "refused"})
"""Codes of a failed write after which it is certain that nothing was written."""

CHANGED_PARAM = "Changing param values is not allowed."
"""How MLflow's message begins where a param has another value already (its code is that of any bad request)."""

MOST_PARAMS = 100
"""Params in one request; MLflow takes no more."""

RUN_BYTES = 16 * 1024 * 1024
"""Bytes taken of a run: 500 entries of 5,900 bytes, each byte escaped at worst threefold, and what goes with them."""


class TakenError(RegistryError):
    """A write-once param has another value, or an experiment's name is taken: nothing of ours was written."""

    def __init__(self, message: str) -> None:
        super().__init__("refused", message)


class Tracking(Protocol):
    """Reads and writes runs. Methods raise RegistryError; of those that write, its code says what `RegistryWriter` says."""

    place: str
    """The tracking store's address for people and records: no credentials, no query."""

    def experiment(self, name: str) -> Json | None:
        """Return an experiment, deleted ones included; None only where MLflow says that there is none."""

    def create_experiment(self, name: str, tags: Mapping[str, str]) -> None:
        """Make an experiment with its tags in one step. Raises TakenError where the name is taken."""

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
        """Make a run and return its id."""

    def run(self, run_id: str) -> Json:
        """Return a run of up to `RUN_BYTES`, deleted ones included: look at `info.lifecycle_stage`."""

    def log_param(self, run_id: str, key: str, value: str) -> None:
        """Set a param that is not yet set. Raises TakenError where it has another value."""

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Set up to `MOST_PARAMS` params in one step. Raises TakenError where one has another value."""

    def finish_run(self, run_id: str) -> None:
        """Mark a run as finished, so that nobody takes it for one at work."""

    def close(self) -> None:
        """Let go of connections. Raises nothing."""
