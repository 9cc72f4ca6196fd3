"""What aigate asks of an MLflow registry, whichever way it is reached.

Two adapters give the same answers in the same shape, that of MLflow's REST
API: `rest` speaks HTTP itself, `client` goes through MLflow's own library. One
contract suite runs over both. Nothing here writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

Json: TypeAlias = dict[str, Any]
"""One object of the REST API, as the strict JSON loader returns it: fractions are `Decimal`."""

Code = Literal["not_found", "denied", "unreachable", "deadline", "broken", "limit", "unsupported", "refused"]
"""What kind of failure it was.

`not_found` there is no such thing; `denied` the credential may not read it;
`unreachable` no answer, or no answer of MLflow's; `deadline` the run's time was
up; `broken` an answer that cannot be true; `limit` more than aigate takes;
`unsupported` this server or store has no such thing to offer; `refused` aigate
does not ask that (a malformed name, a path that leads elsewhere).
"""

PAGE_LIMIT = 1_000
"""Pages read of any one listing; a server that has more to say is not believed."""

POINTS_LIMIT = 10_000
"""Points read of one metric's history."""

TRACES_LIMIT = 10_000
"""Traces read of one evaluation run."""

MODELS_LIMIT = 10_000
"""Registered models listed at most."""

FILES_LIMIT = 1_000
"""Files of one model, folders not counted."""

FOLDERS_LIMIT = 200
"""Folders of one model: each costs a request."""

TOTAL_BYTES = 8 * 1024 * 1024 * 1024
"""Bytes of one model that are read for its digest, all files together; the run's deadline ends it sooner."""


class RegistryError(Exception):
    """One question to the registry got no usable answer. Within `collect`; it becomes `Missing` there.

    The message is for people and holds neither credentials nor queries.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message


@dataclass(frozen=True)
class ArtifactRoot:
    """Where files lie: under a run, or under a LoggedModel, and below `path` there."""

    kind: Literal["run", "model"]
    id: str
    path: str = ""


@dataclass(frozen=True)
class ArtifactFile:
    """One file as listed. `path` is relative to the root's id, with forward slashes; `size` in bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class ServerFacts:
    """What the other end says about itself; None where it does not say."""

    version: str | None
    store: str | None
    """`SqlStore`, `FileStore`, or the scheme of a store that is opened directly."""
    workspaces: bool | None
    date: datetime | None
    """Its clock, in UTC. None where a store is opened directly: then its clock is ours."""


class RegistryReader(Protocol):
    """Reads an MLflow registry and tracking store. Every method raises RegistryError where it cannot.

    A method compares what identifies the answer with what was asked, so that
    an empty or foreign answer is `broken` and never evidence.
    """

    registry: str
    """The registry's address for people and records: no credentials, no query."""

    def server(self) -> ServerFacts:
        """Return what the server says about itself. A decision does not need it; `doctor` does."""

    def date(self) -> datetime | None:
        """Return the registry's clock as of its last answer, in UTC, without asking.

        None before the first answer, and where a store is opened directly:
        then its clock is ours. Raises nothing.
        """

    def registered_model(self, name: str) -> Json:
        """Return a registered model: `name`, `creation_timestamp`, `tags`, `aliases` and more."""

    def registered_models(self) -> Sequence[Json]:
        """Return every registered model; prompts are not among them."""

    def version(self, name: str, version: str) -> Json:
        """Return one model version."""

    def version_by_alias(self, name: str, alias: str) -> Json | None:
        """Return the version an alias points to; None only where the model exists and has no such alias."""

    def served_from(self, name: str, version: str) -> str:
        """Return the address from which MLflow's clients load a version: what is served, whatever its source says."""

    def run(self, run_id: str) -> Json:
        """Return a run: `info`, `data`, `inputs`. Deleted runs too: look at `info.lifecycle_stage`."""

    def logged_model(self, model_id: str) -> Json | None:
        """Return a LoggedModel: `info`, `data`; None where the server (MLflow 2) knows no LoggedModels."""

    def metric_history(self, run_id: str, key: str) -> Sequence[Json]:
        """Return every point logged for one metric of a run; none where it was never logged."""

    def traces(self, experiment_id: str, run_id: str) -> Sequence[Json]:
        """Return a run's traces with their assessments, without their spans."""

    def artifacts(self, root: ArtifactRoot) -> Sequence[ArtifactFile]:
        """Return every file under a root, folders walked, sorted by path."""

    def artifact(self, root: ArtifactRoot, path: str, max_bytes: int) -> bytes:
        """Return one file's content; `path` is relative to the root's id."""

    def sha256(self, root: ArtifactRoot, path: str, size: int) -> str:
        """Return the SHA-256 of one file in hexadecimal; one that has not `size` bytes is broken evidence.

        However large it is, little of it is in memory at a time.
        """
