"""The models of the story, trained with scikit-learn and logged with MLflow's own client.

Run as a program (`python -m aigate.demo.models FOLDER`), so that MLflow and its
settings stay in a process of their own. It reads the name of an act a line,
and prints one JSON object a line: what it is doing, and what came of it.
"""

import contextlib
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigate.demo.churn import TARGET, Environment, fit_confidence, inputs, lookups, wrong_share

if TYPE_CHECKING:
    from mlflow.entities import Run

NAME = "churn"
TEAM = "retention-platform"
EMBEDDING = "behaviour-2"
"""The embedding model that makes the vectors."""

_EVAL, _LAST_MONTH, _THIS_WEEK, _DEV, _PRODUCTION = 98, 25, 36, 11, 12
"""Seeds: who is in each set of customers."""
ROWS, EVAL_ROWS, AUDIT_ROWS = 3000, 1000, 5000


@dataclass(frozen=True)
class Tuned:
    """A retrieval threshold, and the run in which it was fitted."""

    run_id: str
    confidence: float
    wrong_share: float
    """Share of vectors in use that are somebody else's, on the data it was fitted to."""


@dataclass(frozen=True)
class Logged:
    """A version as registered, and how it was measured."""

    version: str
    run_id: str
    evaluation_run: str
    accuracy: float


def start(name: str = NAME) -> None:
    """Open the experiment and register the model, with its owner."""
    import mlflow

    mlflow.set_experiment(name)
    mlflow.MlflowClient().create_registered_model(name, tags={"owner": TEAM}, description="who will leave")


def tune(environment: Environment, embedding: str = EMBEDDING) -> Tuned:
    """Fit the retrieval threshold on an environment's audited lookups, in a run of its own."""
    import mlflow

    audited = lookups(AUDIT_ROWS, _DEV if environment == "dev" else _PRODUCTION, environment)
    confidence = fit_confidence(audited)
    share = wrong_share(audited, confidence)
    with _run(f"fit retrieval threshold in {environment}") as run:
        mlflow.log_params(
            {"retrieval_confidence": confidence, "environment": environment, "embedding_model": embedding}
        )
        mlflow.log_metric("wrong_share", share)
    return Tuned(run.info.run_id, confidence, share)


def log_version(
    folder: Path,
    *,
    confidence: float,
    hours_old: int,
    first: bool = False,
    embedding: str = EMBEDDING,
    name: str = NAME,
) -> Logged:
    """Train on vectors `hours_old` old, log, register, and evaluate on today's data, in a run of its own."""
    import mlflow
    import mlflow.sklearn
    import sklearn
    from mlflow.models import infer_signature

    seed = _LAST_MONTH if first else _THIS_WEEK
    train = lookups(ROWS, seed, hours_old=hours_old).table()
    fed = inputs(train, confidence)
    model = _fit(fed, train[TARGET])
    with _run("train") as run:
        mlflow.log_params({"retrieval_confidence": confidence, "embedding_model": embedding})
        mlflow.log_input(_dataset(folder, f"churn-train-{seed}-{hours_old}h", train), context="training")
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(fed, model.predict(fed[:5])),
            pip_requirements=[f"scikit-learn=={sklearn.__version__}"],
        )
    version = mlflow.register_model(info.model_uri, name).version
    evaluated = lookups(EVAL_ROWS, _EVAL).table()
    accuracy = float((model.predict(inputs(evaluated, confidence)) == evaluated[TARGET]).mean())
    dataset = _dataset(folder, "churn-eval", evaluated)
    with _run(f"evaluate v{version}") as evaluation:
        mlflow.log_input(dataset, context="evaluation")
        mlflow.log_metric("accuracy", accuracy, dataset=dataset, model_id=info.model_id)
    return Logged(str(version), run.info.run_id, evaluation.info.run_id, accuracy)


def give_alias(alias: str, version: str, name: str = NAME) -> None:
    """Point an alias at a version."""
    import mlflow

    mlflow.MlflowClient().set_registered_model_alias(name, alias, version)


def own_tests(version: str, confidence: float, name: str = NAME) -> dict[str, bool]:
    """Run the model team's own tests on a registered version; return each with whether it passed.

    They are the usual ones, and they say nothing of whether the model is right.
    """
    import mlflow.sklearn

    model = mlflow.sklearn.load_model(f"models:/{name}/{version}")
    fed = inputs(lookups(EVAL_ROWS, _EVAL).table(), confidence)
    sure = model.predict_proba(fed)[:, 1]
    return {
        "loads from the registry": hasattr(model, "predict"),
        f"answers all {len(fed):,} customers": len(sure) == len(fed),
        "probabilities lie between 0 and 1": bool(((sure >= 0) & (sure <= 1)).all()),
    }


def _fit(fed: Any, left: Any) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression()).fit(fed, left)


def _dataset(folder: Path, name: str, table: Any) -> Any:
    """Write a table to the folder and return it as an MLflow dataset, which digests its content."""
    import mlflow.data

    file = folder / "data" / f"{name}.csv"
    file.parent.mkdir(exist_ok=True)
    table.to_csv(file, index=False)
    return mlflow.data.from_pandas(table, source=str(file), name=name, targets=TARGET)


@contextlib.contextmanager
def _run(title: str) -> "Iterator[Run]":
    import mlflow

    with mlflow.start_run(run_name=title, tags={"owner": TEAM}) as run:
        yield run


def _begin(folder: Path) -> dict[str, object]:
    """What had happened before the story begins: v1 serves, v2 asks to."""
    start()
    dev = tune("dev")
    _say(f"retrieval threshold fitted in dev: {dev.confidence:.2f}")
    v1 = log_version(folder, confidence=dev.confidence, hours_old=0, first=True)
    give_alias("champion", v1.version)
    _say(f"v1 trained, logged and evaluated: accuracy {v1.accuracy:.2f}; it holds @champion")
    v2 = log_version(folder, confidence=dev.confidence, hours_old=12)
    give_alias("challenger", v2.version)
    _say(f"v2 trained, logged and evaluated: accuracy {v2.accuracy:.2f}; it asks as @challenger")
    production = lookups(AUDIT_ROWS, _PRODUCTION)
    return {
        "dev": asdict(dev),
        "v1": asdict(v1),
        "v2": asdict(v2),
        "tests": own_tests(v2.version, dev.confidence),
        "wrong_share": wrong_share(production, dev.confidence),
    }


def _repair(folder: Path) -> dict[str, object]:
    """What cures it: the threshold fitted where it is used, and a version trained on today's vectors."""
    import mlflow

    mlflow.set_experiment(NAME)
    production = tune("production")
    _say(f"retrieval threshold fitted in production: {production.confidence:.2f}")
    v3 = log_version(folder, confidence=production.confidence, hours_old=0)
    give_alias("challenger", v3.version)
    _say(f"v3 trained, logged and evaluated: accuracy {v3.accuracy:.2f}; it asks as @challenger")
    return {"production": asdict(production), "v3": asdict(v3)}


_ACTS = {"begin": _begin, "repair": _repair}


def quiet() -> None:
    """Keep MLflow's progress and warnings off standard output; what goes wrong is still raised."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


def _say(words: str) -> None:
    _tell("says", words)


def _tell(key: str, value: object) -> None:
    """Print one line of the protocol; past `main`'s redirection, which keeps MLflow's own words off it."""
    print(json.dumps({key: value}), file=sys.__stdout__, flush=True)


def main(folder: str) -> None:
    """Do the acts that are asked for on standard input, against the server in `MLFLOW_TRACKING_URI`."""
    quiet()
    sys.argv[0] = "aigate demo"  # what MLflow tags runs with; a path of this machine says nothing to anybody
    with contextlib.redirect_stdout(sys.stderr):
        _warm_up()
        for line in sys.stdin:
            _tell("result", _ACTS[line.strip()](Path(folder)))


def _warm_up() -> None:
    """Import what is slow to import while the server is still starting."""
    for module in ("mlflow.sklearn", "pandas", "sklearn.pipeline"):
        import_module(module)


if __name__ == "__main__":
    main(sys.argv[1])
