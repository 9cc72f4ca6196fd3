"""An MLflow registry in memory, in the shapes of its REST API, to be broken piece by piece."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aigate.collect.mlflow.files import Hashing
from aigate.collect.mlflow.reader import ArtifactFile, ArtifactRoot, Json, RegistryError, ServerFacts

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = 3_600_000


def ms(moment: datetime) -> int:
    """A moment as MLflow writes it."""
    return int(moment.timestamp() * 1000)


START = ms(NOW) - 48 * HOUR
"""When the champion's runs began."""

EVAL = {"name": "churn-eval", "digest": "08b584b7"}
TRAIN = {"name": "churn-train", "digest": "5be5aa04"}


def hexes(letter: str) -> str:
    """An id of 32 characters."""
    return letter * 32


def run_of(
    run_id: str,
    *,
    metrics: Sequence[Json] = (),
    params: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    datasets: Sequence[tuple[Json, str | None, int | None]] = (),
    status: str = "FINISHED",
    lifecycle: str = "active",
    start: int = START,
    end: int | None = START + HOUR,
) -> Json:
    """A run; `datasets` are data, context and rows."""
    info = {
        "run_id": run_id,
        "experiment_id": "1",
        "status": status,
        "lifecycle_stage": lifecycle,
        "user_id": "ci",
        "start_time": start,
        "artifact_uri": f"mlflow-artifacts:/1/{run_id}/artifacts",
    }
    inputs: list[Json] = [
        {
            "dataset": {**data, **({} if rows is None else {"profile": json.dumps({"num_rows": rows})})},
            **({} if context is None else {"tags": [{"key": "mlflow.data.context", "value": context}]}),
        }
        for data, context, rows in datasets
    ]
    return {
        "info": info | ({} if end is None else {"end_time": end}),
        "data": {
            "metrics": list(metrics),
            "params": [{"key": key, "value": value} for key, value in (params or {}).items()],
            "tags": [{"key": key, "value": value} for key, value in (tags or {}).items()],
        },
        "inputs": {"dataset_inputs": inputs},
    }


def point(
    key: str,
    value: Any,
    *,
    run_id: str | None = None,
    data: Json | None = None,
    at: int = START + HOUR // 2,
    step: int = 0,
) -> Json:
    """A logged value; numbers are written as text and become exact."""
    found: Json = {"key": key, "value": value, "timestamp": at, "step": step}
    if isinstance(value, str) and value not in ("NaN", "Infinity"):
        found["value"] = Decimal(value)
    if run_id is not None:
        found["run_id"] = run_id
    if data is not None:
        found |= {"dataset_name": data["name"], "dataset_digest": data["digest"]}
    return found


@dataclass
class FakeRegistry:
    """A `RegistryReader` over dictionaries; `fails` maps a question to what it raises."""

    registry: str = "https://mlflow.example"
    models: dict[str, Json] = field(default_factory=dict)
    versions: dict[tuple[str, str], Json] = field(default_factory=dict)
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    runs: dict[str, Json] = field(default_factory=dict)
    logged: dict[str, Json | None] = field(default_factory=dict)
    history: dict[tuple[str, str], list[Json]] = field(default_factory=dict)
    served: dict[tuple[str, str], str] = field(default_factory=dict)
    """Where a version is served from, where that is not where its files lie."""
    traced: dict[str, list[Json]] = field(default_factory=dict)
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    clock: datetime | None = None
    fails: dict[str, BaseException] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def _answer(self, question: str, find: Callable[[], Any]) -> Any:
        self.asked.append(question)
        for name, error in self.fails.items():
            if question.startswith(name):
                raise error
        try:
            return find()
        except KeyError:
            raise RegistryError("not_found", f"{question}: not found") from None

    def server(self) -> ServerFacts:
        return ServerFacts("3.17.2", "SqlStore", False, self.clock)

    def date(self) -> datetime | None:
        return self.clock

    def registered_model(self, name: str) -> Json:
        found: Json = self._answer(f"model {name}", lambda: self.models[name])
        held = [{"alias": alias, "version": v} for (model, alias), v in self.aliases.items() if model == name]
        return {"aliases": held, **found}

    def registered_models(self) -> Sequence[Json]:
        return list(self.models.values())

    def version(self, name: str, version: str) -> Json:
        found: Json = self._answer(f"version {name} {version}", lambda: self.versions[name, version])
        held = [a for (model, a), v in self.aliases.items() if (model, v) == (name, version)]
        return {"aliases": held, **found}

    def version_by_alias(self, name: str, alias: str) -> Json | None:
        number: str | None = self._answer(f"alias {name} {alias}", lambda: self.aliases.get((name, alias)))
        return None if number is None else self.version(name, number)

    def served_from(self, name: str, version: str) -> str:
        def find() -> str:
            if (name, version) in self.served:
                return self.served[name, version]
            source = str(self.versions[name, version]["source"])
            model = self.logged.get(source.removeprefix("models:/"))
            return source if model is None else str(model["info"].get("artifact_uri", ""))

        found: str = self._answer(f"served {name} {version}", find)
        return found

    def run(self, run_id: str) -> Json:
        found: Json = self._answer(f"run {run_id}", lambda: self.runs[run_id])
        return found

    def logged_model(self, model_id: str) -> Json | None:
        found: Json | None = self._answer(f"logged {model_id}", lambda: self.logged[model_id])
        return found

    def metric_history(self, run_id: str, key: str) -> Sequence[Json]:
        found: list[Json] = self._answer(
            f"history {run_id} {key}", lambda: self.history.get((run_id, key), [])
        )
        return found

    def traces(self, experiment_id: str, run_id: str) -> Sequence[Json]:
        found: list[Json] = self._answer(
            f"traces {experiment_id} {run_id}", lambda: self.traced.get(run_id, [])
        )
        return found

    def artifacts(self, root: ArtifactRoot) -> Sequence[ArtifactFile]:
        below = f"{root.path}/" if root.path else ""

        def find() -> list[ArtifactFile]:
            return sorted(
                (
                    ArtifactFile(path, len(content))
                    for (owner, path), content in self.files.items()
                    if owner == root.id and path.startswith(below)
                ),
                key=lambda file: file.path,
            )

        found: list[ArtifactFile] = self._answer(f"files {root.id}", find)
        return found

    def artifact(self, root: ArtifactRoot, path: str, max_bytes: int) -> bytes:
        found: bytes = self._answer(f"file {root.id} {path}", lambda: self.files[root.id, path])
        if len(found) > max_bytes:
            raise RegistryError("limit", f"{path}: more than {max_bytes} bytes")
        return found

    def sha256(self, root: ArtifactRoot, path: str, size: int) -> str:
        hashing = Hashing()
        hashing.take(self.artifact(root, path, 1_000_000))
        return hashing.result(path, size)

    # What tests change, by the version's number.

    def model_of(self, number: str) -> Json:
        """The LoggedModel of a version of the churn story."""
        found = self.logged[model_id(number)]
        assert found is not None
        return found

    def points_of(self, number: str) -> list[Json]:
        """The points tied to the model of a version."""
        points: list[Json] = self.model_of(number)["data"]["metrics"]
        return points


def run_id(number: str) -> str:
    """The run that trained a version of the churn story."""
    return hexes(number)


def eval_id(number: str) -> str:
    """The run that evaluated it."""
    return f"{number}e" * 16


def model_id(number: str) -> str:
    """Its LoggedModel."""
    return f"m-{hexes(number)}"


def table(hits: Sequence[int], metric: str = "hit", *, first: int = 0) -> bytes:
    """Per-row results as MLflow's evaluation writes them."""
    rows = ",".join(
        f'["c{first + i}",{i % 2},{i % 2 if hit else 1 - i % 2},{float(hit)}]' for i, hit in enumerate(hits)
    )
    return f'{{"columns":["customer","label","outputs","{metric}\\/score"],"data":[{rows}]}}'.encode()


def churn(*, champion: str = "0.94", challenger: str = "0.71") -> FakeRegistry:
    """The churn story: 1 is champion, 2 asks for its place; both measured on the same 100 rows."""
    fake = FakeRegistry()
    fake.models["churn"] = {
        "name": "churn",
        "creation_timestamp": START,
        "description": "who will leave",
        "tags": [{"key": "owner", "value": "retention-platform"}],
    }
    for number, accuracy, hits in (
        ("1", champion, [1] * 94 + [0] * 6),
        ("2", challenger, [1] * 70 + [0] * 29 + [1]),
    ):
        fake.versions["churn", number] = {
            "name": "churn",
            "version": number,
            "creation_timestamp": START + int(number) * HOUR,
            "current_stage": "None",
            "status": "READY",
            "source": f"models:/{model_id(number)}",
            "run_id": run_id(number),
            "tags": [],
        }
        fake.runs[run_id(number)] = run_of(
            run_id(number),
            metrics=[point("train_loss", "0.31")],
            params={"retrieval_confidence": "0.72"},
            datasets=[(TRAIN, "training", 9_000)],
        )
        fake.runs[eval_id(number)] = run_of(
            eval_id(number),
            datasets=[(EVAL, "evaluation", 100)],
            tags={"mlflow.loggedArtifacts": '[{"path": "eval_results_table.json", "type": "table"}]'},
        )
        mean = Decimal(sum(hits)) / 100
        logged = {"accuracy": accuracy, "hit/mean": str(mean), "hit/variance": str(mean * (1 - mean))}
        fake.logged[model_id(number)] = {
            "info": {
                "model_id": model_id(number),
                "source_run_id": run_id(number),
                "status": "LOGGED_MODEL_READY",
            },
            "data": {
                "metrics": [
                    point(key, value, run_id=eval_id(number), data=EVAL, at=START + HOUR // 2 + twice)
                    for twice in (0, 1)
                    for key, value in logged.items()
                ]
            },
        }
        fake.files[model_id(number), "MLmodel"] = b"flavors: {}\n"
        fake.files[model_id(number), "data/weights"] = f"weights of {number}".encode()
        fake.files[eval_id(number), "eval_results_table.json"] = table(hits)
    fake.aliases["churn", "champion"] = "1"
    fake.aliases["churn", "challenger"] = "2"
    return fake
