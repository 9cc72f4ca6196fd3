"""`aigate status`, `why` and `audit` as processes, over a history that aigate itself made on a real MLflow server."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlflow_seed
from cli.conftest import MANIFEST, ORIGIN, System
from fakes import WebServer
from servers import MlflowServer

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def seeded(mlflow_server: MlflowServer) -> mlflow_seed.Churn:
    """A model of this file alone: its ledger is no other test's business."""
    return mlflow_seed.seed_churn(mlflow_seed.connect(mlflow_server.url), "history-churn")


@pytest.fixture(scope="module")
def lived(
    tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer, seeded: mlflow_seed.Churn
) -> Iterator[System]:
    """Version 1 was promoted from nothing with a decision; the ledger lives inside MLflow."""
    folder = tmp_path_factory.mktemp("lived")
    mlflow_seed.connect(mlflow_server.url).delete_registered_model_alias(seeded.name, "champion")
    with WebServer() as web:
        text = MANIFEST.format(model=seeded.name, run=seeded.champion.run_id, url=web.url(), origin=ORIGIN)
        (folder / "aigate.yaml").write_text(text)
        (folder / "runbook.md").write_text("# what to do\n")
        made = System(folder, seeded, web, mlflow_server.url)
        made.loaded(transactions=0.5, features=1)
        done = made.aigate("promote", f"{seeded.name}@1")
        assert done.code == 0, done.out + done.err
        yield made


def test_status_of_what_aigate_promoted(lived: System) -> None:
    lived = lived.apart()
    done = lived.aigate("status")
    assert done.code == 0, done.out + done.err
    first = done.out.splitlines()[0]
    assert first.startswith(f"{lived.churn.name}@champion = v1 since 20")
    assert "promoted (entry 1, decision " in done.out
    assert "runbook.md" in done.out
    assert "retention-platform" in done.out


def test_status_needs_no_manifest(lived: System, tmp_path: Path) -> None:
    away = System(tmp_path, lived.churn, lived.web, lived.uri)
    assert away.aigate("status").code == 2
    done = away.aigate("status", lived.churn.name, "--format", "json")
    assert done.code == 0, done.err
    told: dict[str, Any] = json.loads(done.out)
    assert (told["schema"], told["holder"], told["tenure"]["by"]) == ("aigate.status/v1", "1", "promote")


def test_status_with_mlflow_down_says_so_and_leaves_with_3(lived: System) -> None:
    done = lived.aigate("status", uri="http://127.0.0.1:9")
    assert done.code == 3
    assert "= unknown" in done.out
    assert "Not known" in done.out
    assert "retention-platform" in done.out


def test_status_of_a_model_that_nobody_knows(lived: System, tmp_path: Path) -> None:
    done = System(tmp_path, lived.churn, lived.web, lived.uri).aigate("status", "chrun")
    assert done.code == 2
    assert "has no model 'chrun'" in done.err


def test_why_verifies_the_decision_to_the_byte(lived: System) -> None:
    lived = lived.apart()
    done = lived.aigate("why", f"{lived.churn.name}@1")
    assert done.code == 0, done.out + done.err
    assert done.out.startswith("ALLOWED")
    assert "evaluated again today with the same evidence: same verdict, byte for byte" in done.out
    assert "entry 1 of 2, links verified to head" in done.out
    assert "v1 is the same, and so are its files" in done.out


def test_why_not(lived: System) -> None:
    done = lived.aigate("why", f"{lived.churn.name}@v2")
    assert done.code == 1
    assert done.out.startswith("NEVER IN SERVICE")
    done = lived.aigate("why", f"{lived.churn.name}@1", "--on", "2020-01-01")
    assert done.code == 1
    assert done.out.startswith("NOT IN SERVICE")


@pytest.mark.parametrize(
    "args", [("why", "churn"), ("why", "churn@x"), ("why", "history-churn@1", "--on", "soon"), ("why",)]
)
def test_why_of_nothing_is_a_mistake(lived: System, args: tuple[str, ...]) -> None:
    assert lived.aigate(*args).code == 2


def test_audit_is_clean_and_exports_what_verifies_itself(lived: System, tmp_path: Path) -> None:
    lived = lived.apart()
    done = lived.aigate("audit", "--export", str(tmp_path / "q1.zip"))
    assert done.code == 0, done.out + done.err
    assert done.out.startswith("CLEAN")
    assert "2 entries" in done.out
    manifest = done.err.rpartition("MANIFEST ")[2].strip()
    with zipfile.ZipFile(tmp_path / "q1.zip") as archive:
        archive.extractall(tmp_path / "out")
    verify = [sys.executable, "-I", "-S", "verify.py", "--manifest", manifest]
    checked = subprocess.run(
        verify, cwd=tmp_path / "out", env={}, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    assert "2 entries" in checked.stdout


def test_audit_to_a_folder_and_to_nowhere(lived: System, tmp_path: Path) -> None:
    assert lived.aigate("audit", "--export", f"{tmp_path}/q1/", "--from", "2020-01-01").code == 0
    assert (tmp_path / "q1" / "records").is_dir()
    done = lived.aigate("audit", "--export", f"{tmp_path}/q1/")
    assert done.code == 70
    assert "is not empty" in done.err


@pytest.mark.parametrize(
    "args",
    [
        ("--anchor", "nonsense"),
        ("--from", "2020-01-01"),
        ("--export", "x.zip", "--to", "soon"),
        ("--anchor", "0:" + "0" * 64),
    ],
)
def test_audit_refuses_what_it_cannot_mean(lived: System, args: tuple[str, ...]) -> None:
    assert lived.aigate("audit", *args).code == 2


def test_audit_holds_the_ledger_against_an_anchor_from_a_log(lived: System) -> None:
    told = json.loads(lived.aigate("audit", "--format", "json").out)
    head = f"{told['head']['seq']}:{told['head']['digest']}"
    assert lived.aigate("audit", "--anchor", head).code == 0
    done = lived.aigate("audit", "--anchor", "2:" + "0" * 64)
    assert done.code == 1
    assert "written anew" in done.out


def test_a_copied_version_carries_no_right(lived: System) -> None:
    """MLflow copies a version's tags with it: the receipt of version 1 then stands on a version nobody promoted."""
    client = mlflow_seed.connect(lived.uri)
    copy = client.copy_model_version(f"models:/{lived.churn.name}/1", lived.churn.name)
    try:
        done = lived.aigate("audit")
        assert done.code == 1
        assert f"v{copy.version}: its receipt is of entry 1, which is about v1" in done.out
    finally:
        client.delete_model_version(lived.churn.name, copy.version)
    assert lived.aigate("audit").code == 0


def test_an_alias_moved_by_hand_is_found_by_all_three(lived: System) -> None:
    client = mlflow_seed.connect(lived.uri)
    client.set_registered_model_alias(lived.churn.name, "champion", "2")
    try:
        status, audit, why = (
            lived.aigate(*a) for a in (("status",), ("audit",), ("why", f"{lived.churn.name}@2"))
        )
        assert "DRIFT" in status.out
        assert audit.code == 1
        assert "MLflow does not record who" in " ".join(audit.out.split())
        assert why.code == 1
    finally:
        client.set_registered_model_alias(lived.churn.name, "champion", "1")
    assert lived.aigate("audit").code == 0
