"""Data for a real MLflow server, written by MLflow's own client: the stories the readers are tested on.

Every function takes the names it writes under, so that test files share one
server without seeing each other. Run as a program
(`python mlflow_seed.py judged URI NAME`) it writes the GenAI story, whose
harness works only through MLflow's process-wide state, and prints its ids.
"""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

EVAL_DATASET = ("churn-eval-2026-11", "08b584b7")
"""Name and digest of the dataset both versions of the churn story are measured on."""

TRAIN_DATASET = ("churn-train-2026-10", "5be5aa04")


@dataclass(frozen=True)
class SeededVersion:
    """One registered version and what belongs to it."""

    name: str
    version: str
    run_id: str
    model_id: str
    evaluation_run: str


@dataclass(frozen=True)
class Churn:
    """The two versions of the churn story: 1 is champion, 2 asks for its place."""

    name: str
    experiment_id: str
    champion: SeededVersion
    challenger: SeededVersion


@dataclass(frozen=True)
class Judged:
    """A GenAI evaluation whose scorer `flaky` failed on 3 of 4 rows; its mean is 1.0 all the same."""

    name: str
    experiment_id: str
    version: str
    run_id: str
    model_id: str


def connect(uri: str) -> Any:
    """MLflow's own client, for writing; the readers under test never use it to write."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def start_run(
    client: Any,
    experiment_id: str,
    *,
    params: Mapping[str, str] | None = None,
    metrics: Sequence[tuple[str, float]] = (),
    tags: Mapping[str, str] | None = None,
) -> str:
    """Start a run, log to it, and leave it running."""
    run_id: str = client.create_run(experiment_id, tags=dict(tags or {})).info.run_id
    for key, value in (params or {}).items():
        client.log_param(run_id, key, value)
    for key, number in metrics:
        client.log_metric(run_id, key, number, step=0)
    return run_id


def log_model(client: Any, experiment_id: str, run_id: str, *, weights: str) -> str:
    """Log a model of two small files without loading any library; returns the LoggedModel's id."""
    from mlflow.entities import LoggedModelOutput

    model_id: str = client.create_logged_model(
        experiment_id, name="model", source_run_id=run_id, params={"C": "1.0"}
    ).model_id
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "MLmodel").write_text(f"model_id: {model_id}\nflavors: {{}}\n")
        Path(folder, "data").mkdir()
        Path(folder, "data", "weights.txt").write_text(weights)
        client.log_model_artifacts(model_id, folder)
    client.finalize_logged_model(model_id, "READY")
    client.log_outputs(run_id, models=[LoggedModelOutput(model_id, step=0)])
    return model_id


def log_dataset(
    client: Any, run_id: str, dataset: tuple[str, str], *, context: str | None, rows: int
) -> None:
    """Log a dataset input; without a context the tag is absent, as MLflow leaves it for `log_metric(dataset=)`."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    name, digest = dataset
    entity = Dataset(
        name=name,
        digest=digest,
        source_type="local",
        source=json.dumps({"uri": f"s3://lake/churn/{name}.parquet"}),
        profile=json.dumps({"num_rows": rows, "num_elements": rows * 4}),
    )
    tags = [InputTag(key="mlflow.data.context", value=context)] if context else []
    client.log_inputs(run_id, datasets=[DatasetInput(entity, tags=tags)])


def evaluate(
    client: Any,
    experiment_id: str,
    model_id: str,
    metrics: Mapping[str, float],
    *,
    hits: Sequence[int] = (),
    dataset: tuple[str, str] = EVAL_DATASET,
) -> str:
    """Evaluate in a run of its own, as `mlflow.models.evaluate` does: each metric is logged twice.

    `hits` are the per-row results of a metric `hit`, written as its `eval_results_table.json`.
    """
    from mlflow.entities import LoggedModelInput

    run_id: str = client.create_run(experiment_id).info.run_id
    log_dataset(client, run_id, dataset, context="evaluation", rows=len(hits) or 500)
    client.log_inputs(run_id, models=[LoggedModelInput(model_id)])
    logged = dict(metrics)
    if hits:
        mean = sum(hits) / len(hits)
        logged |= {"hit/mean": mean, "hit/variance": mean * (1 - mean)}
    for _ in range(2):
        for key, value in logged.items():
            client.log_metric(
                run_id, key, value, dataset_name=dataset[0], dataset_digest=dataset[1], model_id=model_id
            )
    if hits:
        log_rows(client, run_id, hits)
    client.set_terminated(run_id)
    return run_id


def log_rows(client: Any, run_id: str, hits: Sequence[int], *, first: int = 0) -> None:
    """Write per-row results in the shape and place of `mlflow.models.evaluate`."""
    table = {
        "columns": ["customer", "label", "outputs", "hit/score"],
        "data": [
            [f"c{first + i}", i % 2, i % 2 if hit else 1 - i % 2, float(hit)] for i, hit in enumerate(hits)
        ],
    }
    client.log_text(run_id, json.dumps(table), "eval_results_table.json")
    client.set_tag(
        run_id, "mlflow.loggedArtifacts", json.dumps([{"path": "eval_results_table.json", "type": "table"}])
    )


def register(
    client: Any,
    name: str,
    experiment_id: str,
    *,
    accuracy: float,
    hits: Sequence[int] = (),
    weights: str = "w",
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> SeededVersion:
    """Train, log, register and evaluate one version."""
    run_id = start_run(
        client,
        experiment_id,
        params={"retrieval_confidence": "0.72", **(params or {})},
        metrics=[("train_loss", 0.31)],
        tags={"owner": "retention-platform"},
    )
    log_dataset(client, run_id, TRAIN_DATASET, context="training", rows=9_000)
    model_id = log_model(client, experiment_id, run_id, weights=weights)
    client.set_terminated(run_id)
    version = client.create_model_version(
        name, f"models:/{model_id}", run_id, tags=dict(tags or {}), model_id=model_id
    )
    evaluation_run = evaluate(client, experiment_id, model_id, {"accuracy": accuracy}, hits=hits)
    return SeededVersion(name, str(version.version), run_id, model_id, evaluation_run)


def seed_churn(client: Any, name: str) -> Churn:
    """Two versions measured on the same dataset: 1 at 0.94 is champion, 2 at 0.71 is challenger."""
    experiment_id = client.create_experiment(f"{name}-experiment")
    client.create_registered_model(name, tags={"owner": "retention-platform"}, description="who will leave")
    champion = register(
        client,
        name,
        experiment_id,
        accuracy=0.94,
        hits=[1] * 94 + [0] * 6,
        weights="good",
        tags={"aigate.decision": "pass"},
    )
    challenger = register(
        client, name, experiment_id, accuracy=0.71, hits=[1] * 70 + [0] * 29 + [1], weights="bad"
    )
    client.set_registered_model_alias(name, "champion", champion.version)
    client.set_registered_model_alias(name, "challenger", challenger.version)
    return Churn(name, experiment_id, champion, challenger)


def seed_copy(client: Any, churn: Churn, name: str) -> str:
    """Copy the champion to another registered model: the tags come along, the aliases do not."""
    version = client.copy_model_version(f"models:/{churn.name}/{churn.champion.version}", name)
    client.set_registered_model_alias(name, "champion", version.version)
    return str(version.version)


def register_run(client: Any, name: str, run_id: str, *, alias: str | None = None) -> str:
    """Register a run's artifacts the way MLflow 2 does: no LoggedModel behind the version."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "MLmodel").write_text("flavors: {}\n")
        client.log_artifacts(run_id, folder, "model")
    source = client.get_run(run_id).info.artifact_uri + "/model"
    version = str(client.create_model_version(name, source, run_id).version)
    if alias:
        client.set_registered_model_alias(name, alias, version)
    return version


def recreate(client: Any, name: str) -> tuple[int, int]:
    """Delete and recreate a registered model with a version 1 each time; returns both creation times."""
    created: list[int] = []
    for _ in range(2):
        client.create_registered_model(name)
        run_id = start_run(client, client.create_experiment(f"{name}-{len(created)}"))
        client.set_terminated(run_id)
        version = register_run(client, name, run_id, alias="champion")
        created.append(client.get_model_version(name, version).creation_timestamp)
        if len(created) == 1:
            client.delete_registered_model(name)
    return created[0], created[1]


def seed_judged(uri: str, name: str) -> Judged:
    """Run the real GenAI harness over four rows with a scorer that dies on three of them.

    Process-wide MLflow state is set, so this runs as a program of its own.
    """
    import mlflow
    from mlflow.genai.scorers import scorer

    @scorer  # type: ignore[untyped-decorator]  # mlflow is not followed
    def flaky(outputs: str) -> float:
        if outputs != "ok":
            raise RuntimeError("the judge did not answer")
        return 1.0

    @scorer  # type: ignore[untyped-decorator]  # mlflow is not followed
    def steady(outputs: str) -> bool:
        return bool(outputs)

    mlflow.set_tracking_uri(uri)
    experiment_id = mlflow.set_experiment(f"{name}-experiment").experiment_id
    model_id = mlflow.create_external_model(name="agent").model_id
    rows = [{"inputs": {"question": str(i)}, "outputs": "ok" if i == 0 else "bad"} for i in range(4)]
    result = mlflow.genai.evaluate(data=rows, scorers=[flaky, steady], model_id=model_id)
    client = connect(uri)
    client.create_registered_model(name)
    version = client.create_model_version(name, f"models:/{model_id}", result.run_id, model_id=model_id)
    client.set_registered_model_alias(name, "challenger", version.version)
    return Judged(name, experiment_id, str(version.version), result.run_id, model_id)


def exactly(value: float) -> Decimal:
    """The decimal a float prints as: what comes back through JSON."""
    return Decimal(repr(value))


if __name__ == "__main__":
    story, uri, name = sys.argv[1:]
    assert story == "judged"
    print(json.dumps(asdict(seed_judged(uri, name))))
