"""The acts as processes: what is typed, what is printed, and with which exit code they end."""

import json
import os
from pathlib import Path

import pytest

import mlflow_seed
from aigate.cli import run
from cli.conftest import System

pytestmark = pytest.mark.server


@pytest.fixture
def own(system: System, request: pytest.FixtureRequest) -> System:
    """The system with a model of its own, for its alias is going to move."""
    client = mlflow_seed.connect(system.uri)
    name = f"acts-{abs(hash(request.node.nodeid)) % 10**9}-{os.getpid()}"
    churn = mlflow_seed.seed_churn(client, name)
    good = mlflow_seed.register(client, name, churn.experiment_id, accuracy=0.945, weights="better")
    client.set_registered_model_alias(name, "challenger", good.version)
    manifest = system.folder / "aigate.yaml"
    text = manifest.read_text()
    text = text.replace(f"name: {system.churn.name}", f"name: {name}")
    manifest.write_text(text.replace(system.churn.champion.run_id, churn.champion.run_id))
    system.churn = churn
    return system


def _holder(system: System) -> str:
    client = mlflow_seed.connect(system.uri)
    return str(client.get_registered_model(system.churn.name).aliases["champion"])


def test_a_morning_a_night_and_a_year_later(own: System) -> None:
    own = own.apart()
    name = own.churn.name
    first = own.aigate("promote")
    assert (first.code, "aigate adopt" in first.out) == (1, True)
    refused = own.aigate("adopt", "--reason", "before aigate")
    assert (refused.code, "--as retention-platform" in refused.out) == (1, True)
    assert own.aigate("adopt", "--reason", "before aigate", "--as", "retention-platform").code == 0

    planned = own.aigate("promote", "--dry-run", "--format", "json")
    assert (planned.code, json.loads(planned.out)["result"], _holder(own)) == (0, "planned", "1")
    denied = own.aigate("promote", f"{name}@2")
    assert denied.code == 1
    assert denied.out.startswith("DENY ")
    assert "DENIED  promote" in denied.out
    assert _holder(own) == "1"

    done = own.aigate("promote", "-o", "json:decision.json")
    assert done.code == 0, done.out + done.err
    assert done.out.startswith(f"DONE  promote {name}@champion")
    assert "ledger: 1 entry in mlflow" in done.err
    assert json.loads((own.folder / "decision.json").read_text())["verdict"] == "allow"
    assert _holder(own) == "3"
    assert own.aigate("promote").out.startswith("ALREADY")

    (own.folder / "aigate.yaml").rename(own.folder / "hidden.yaml")
    night = own.aigate("rollback", name, "--reason", "INC-2291 accuracy")
    assert night.code == 0, night.out + night.err
    assert _holder(own) == "1"
    assert own.aigate("rollback", name, "--reason", "INC-2291 accuracy").code == 0
    (own.folder / "hidden.yaml").rename(own.folder / "aigate.yaml")

    status = own.aigate("status", "--format", "json")
    assert status.code == 0
    why = own.aigate("why", f"{name}@3")
    assert (why.code, "ALLOWED" in why.out) == (0, True)
    assert own.aigate("audit").code == 0


def test_a_broken_manifest_does_not_keep_anybody_from_rolling_back(own: System) -> None:
    name = own.churn.name
    assert own.aigate("adopt", "--reason", "before aigate", "--as", "retention-platform").code == 0
    assert own.aigate("promote").code == 0
    (own.folder / "aigate.yaml").write_text("version: 1\nsystem: [\n")
    assert own.aigate("rollback", "--reason", "x").code == 2
    done = own.aigate("rollback", name, "--reason", "x")
    assert done.code == 0, done.out + done.err
    assert "going on without the manifest" in done.err


def test_a_decision_from_another_job(own: System) -> None:
    own.aigate("adopt", "--reason", "before aigate", "--as", "retention-platform")
    assert own.aigate("evaluate", "-o", "json:gate.json").code == 0
    client = mlflow_seed.connect(own.uri)
    client.set_model_version_tag(own.churn.name, "3", "note", "edited")
    changed = own.aigate("promote", "--decision", "gate.json")
    assert (changed.code, _holder(own)) == (3, "1")
    assert "/challenger/tags" in changed.out
    assert own.aigate("evaluate", "-o", "json:gate.json").code == 0
    assert own.aigate("promote", "--decision", "gate.json").code == 0
    assert _holder(own) == "3"


@pytest.mark.parametrize(
    "words",
    [
        ("promote", "--decision", "nowhere.json"),
        ("promote", "churn@0"),
        ("promote", "--ledger", "nonsense"),
        ("promote", "-o", "json"),
        ("rollback", "--reason", ""),
        ("rollback", "--reason", "x", "--to", "one"),
        ("rollback", "--reason", "x", "--drill", "--dry-run"),
        ("halt",),
        ("halt", "--reason", "x", "--for", "soon"),
        ("break-glass", "churn", "--reason", "x"),
        ("clear", "churn@v", "--reason", "x"),
        ("review", "churn", "0", "--reason", "x"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_a_usage_error(
    words: tuple[str, ...],
    system: System,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(system.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", system.uri)
    assert run(list(words)) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.startswith("aigate: ")) == ("", True)


def test_without_an_address_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert run(["rollback", "churn", "--reason", "x"]) == 2
    assert run(["rollback", "--reason", "x"]) == 2
