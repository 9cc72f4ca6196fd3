"""Something changes between the decision and the move: nothing moves, and what changed is named."""

import json
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import mlflow_seed
from aigate.act import PromoteRequest, promote
from aigate.gate import Request
from fakes import WebServer, json_reply
from servers import MlflowServer
from torture.rig import ALIAS, TALLY, Driver, Model, Rig, seed

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.sampled(16)]

SUBJECT = "/challenger/subject"
RUN = "/challenger/run"


@pytest.fixture(scope="module")
def spoilt(mlflow_server: MlflowServer) -> Model:
    """A model whose versions are spoilt one after the other."""
    return seed(mlflow_server.url, mlflow_server.store, f"spoilt-{uuid.uuid4().hex[:8]}", 1)


@dataclass
class Story:
    """A rig, the version in service and the one that is to take its place."""

    rig: Rig
    was: mlflow_seed.SeededVersion
    to: mlflow_seed.SeededVersion
    web: WebServer

    def ask(self, place: str, method: str = "POST", **values: object) -> None:
        """Ask MLflow directly."""
        self.rig.model.ask(method, place, **values)  # type: ignore[arg-type]  # numbers are written as they are

    def metric(self, version: mlflow_seed.SeededVersion, value: float) -> None:
        """Log the metric once more, at a later step."""
        self.ask(
            "runs/log-metric",
            run_id=version.evaluation_run,
            key="accuracy",
            value=value,
            step=7,
            timestamp=int(time.time() * 1000),
            model_id=version.model_id,
            dataset_name=mlflow_seed.EVAL_DATASET[0],
            dataset_digest=mlflow_seed.EVAL_DATASET[1],
        )

    def overwrite(self) -> None:
        """Change a byte of the model's files, through the server's own proxy."""
        with urllib.request.urlopen(
            f"{self.rig.model.uri}/api/2.0/mlflow/logged-models/{self.to.model_id}"
        ) as got:
            root = json.load(got)["model"]["info"]["artifact_uri"].partition(":/")[2].lstrip("/")
        url = f"{self.rig.model.uri}/api/2.0/mlflow-artifacts/artifacts/{root}/data/weights.txt"
        with urllib.request.urlopen(urllib.request.Request(url, b"EVIL", method="PUT")) as answer:
            assert answer.status == 200


@pytest.fixture
def story(spoilt: Model, driver: Driver, tmp_path: Path) -> Iterator[Story]:
    """A champion and a challenger that were never spoilt."""
    client = mlflow_seed.connect(spoilt.uri)
    experiment = client.get_experiment_by_name(f"{spoilt.name}-experiment").experiment_id
    was, to = (
        mlflow_seed.register(client, spoilt.name, experiment, accuracy=0.94, weights="good") for _ in range(2)
    )
    client.set_registered_model_alias(spoilt.name, ALIAS, was.version)
    client.set_registered_model_tag(spoilt.name, "owner", "retention")
    with WebServer({"/features.json": json_reply({"loaded_at": "2026-11-20T00:00:00Z"})}) as web:
        rig = Rig(tmp_path / "rig", spoilt, f"sqlite:///{tmp_path}/ledger.db", driver)
        text = rig.manifest.read_text()
        rig.manifest.write_text(text.replace("file: features.json", f'url: "{web.url()}/features.json"'))
        yield Story(rig, was, to, web)


Change = Callable[[Story], object]


def stage(story: Story, loaded_at: str) -> None:
    story.web.routes["/features.json"] = json_reply({"loaded_at": loaded_at})


STOPS: dict[str, tuple[Change, str]] = {
    "version-tag": (
        lambda s: s.ask(
            "model-versions/set-tag", name=s.to.name, version=s.to.version, key="risk", value="high"
        ),
        "/challenger/tags",
    ),
    "owner": (
        lambda s: s.ask("registered-models/set-tag", name=s.to.name, key="owner", value="nobody"),
        "/model/tags",
    ),
    "run-tag": (lambda s: s.ask("runs/set-tag", run_id=s.to.run_id, key="risk", value="high"), f"{RUN}/tags"),
    "metric": (lambda s: s.metric(s.to, 0.95), "/challenger/measurements"),
    "param": (
        lambda s: s.ask("runs/log-parameter", run_id=s.to.run_id, key="new", value="1"),
        f"{RUN}/params",
    ),
    "champion-metric": (lambda s: s.metric(s.was, 0.95), "/champion/measurements"),
    "artifact": (lambda s: s.overwrite(), f"{SUBJECT}/artifact_digest"),
    "alias": (
        lambda s: s.ask(
            "registered-models/alias", name=s.to.name, alias=ALIAS, version=s.rig.model.versions[0].version
        ),
        "/champion/subject/version",
    ),
    "other-alias": (
        lambda s: s.ask("registered-models/alias", name=s.to.name, alias="shadow", version=s.to.version),
        "/challenger/aliases",
    ),
    "version-deleted": (
        lambda s: s.ask("model-versions/delete", "DELETE", name=s.to.name, version=s.to.version),
        "/challenger",
    ),
    "stale": (lambda s: stage(s, "2020-01-01T00:00:00Z"), "it would be deny by now"),
    "endpoint-down": (lambda s: s.web.routes.clear(), "it would be hold by now"),
}
"""What changes, and what the refusal must name."""

GOES_ON: dict[str, Change] = {
    "nothing": lambda s: None,
    "fresher": lambda s: stage(s, "2026-11-20T09:00:00Z"),
    "own-tag": lambda s: s.ask("registered-models/set-tag", name=s.to.name, key="aigate.watch", value="{}"),
}
"""What is no reason to stop."""


def promoted(story: Story, change: Change) -> tuple[int, str]:
    """Promote, while `change` happens right after the intent is written down."""
    passed = []

    def step(name: str) -> None:
        passed.append(name)
        if name == "after_intent":
            change(story)

    from aigate.collect.manifest_file import load_manifest

    made = story.rig.acting(step)
    asked = PromoteRequest(Request(version=story.to.version))
    act = promote(load_manifest(story.rig.manifest), asked, made).act
    assert "after_intent" in passed, (act.reason, act.blockers)
    return act.exit_code, act.reason


@pytest.mark.parametrize("what", STOPS)
def test_what_changes_between_decision_and_move_stops_it_and_is_named(story: Story, what: str) -> None:
    change, named = STOPS[what]
    code, said = promoted(story, change)
    TALLY["changes between decision and move"] += 1
    moved = [story.rig.model.versions[0].version] if what == "alias" else []
    assert (code, [v for a, v in story.rig.model.witnessed()[story.rig.mark :] if a == ALIAS]) == (
        3,
        moved,
    ), said
    assert named in said
    chain = story.rig.chain()
    assert chain.faults == ()
    assert [entry.body.kind for entry in chain.entries] == ["adopt", "intent", "outcome"]


@pytest.mark.parametrize("what", GOES_ON)
def test_what_binds_nothing_does_not_stop_it(story: Story, what: str) -> None:
    code, said = promoted(story, GOES_ON[what])
    assert (code, story.rig.model.holder()) == (0, story.to.version), said
    story.rig.sound()
