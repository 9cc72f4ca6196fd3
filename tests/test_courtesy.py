"""The rules before MLflow's own client: the address `aigate+http://…` refuses what needs aigate, and says it is a courtesy."""

import inspect
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mlflow_seed
from aigate.collect.mlflow import address
from aigate.errors import UsageError
from aigate.hook.courtesy import LABEL, Courteous, load
from aigate.hook.guard import Operation, judge
from aigate.hook.store import Guarded
from cli.conftest import System
from cli.conftest import system as system  # a fixture
from servers import MlflowServer

GUARD = """\
version: 1
registry: [r]
protected:
  - {{model: "prod*", aliases: [champion, "live-*"]}}
  - {{model: "sealed*", versions: closed}}
keys: [{{file: not-here.pem}}]
mode: {mode}
"""


@pytest.fixture(scope="module")
def seeded(mlflow_server: MlflowServer) -> mlflow_seed.Churn:
    """A model of this file alone, with files, for `system`."""
    return mlflow_seed.seed_churn(mlflow_seed.connect(mlflow_server.url), "courtesy-churn")


@pytest.fixture
def model(mlflow_server: MlflowServer) -> str:
    """A model of this test alone: two versions, of which the first holds @champion."""
    client = mlflow_seed.connect(mlflow_server.url)
    name = f"prod-courtesy-{uuid.uuid4().hex[:8]}"
    client.create_registered_model(name)
    for number in (1, 2):
        client.create_model_version(name, f"s3://nowhere/{name}/{number}")
    client.set_registered_model_alias(name, "champion", "1")
    return name


def aliases(server: MlflowServer, name: str) -> dict[str, str]:
    found = mlflow_seed.connect(server.url).get_registered_model(name).aliases
    return {alias: str(version) for alias, version in found.items()}


def client_of(server: MlflowServer) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(server.url, f"aigate+{server.url}")


def store_of(server: MlflowServer) -> Any:
    """A store that was built just now: MLflow keeps the one that it built first for an address."""
    from aigate.hook.courtesy import build

    return build(f"aigate+{server.url}", server.url)


def refused(act: Callable[[], object]) -> str:
    """Do what must be refused, and return the words."""
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException) as caught:
        act()
    assert caught.value.error_code == "PERMISSION_DENIED"
    assert caught.value.get_http_status_code() == 403
    words = str(caught.value.message)
    assert words.startswith("aigate: ")
    assert LABEL in words, "nobody may take it for a control"
    return words


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIGATE_GUARD", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.server
def test_the_client_is_told_what_to_run_instead(mlflow_server: MlflowServer, model: str) -> None:
    client = client_of(mlflow_server)
    words = refused(lambda: client.set_registered_model_alias(model, "champion", "2"))
    assert words.endswith(f"; run: aigate promote {model}@2")
    assert f"aigate rollback {model}" in refused(
        lambda: client.delete_registered_model_alias(model, "champion")
    )
    assert "looks like" in refused(lambda: client.set_registered_model_alias(model, "Champion", "2"))
    assert aliases(mlflow_server, model) == {"champion": "1"}


@pytest.mark.server
def test_what_takes_an_alias_away_is_refused_too(mlflow_server: MlflowServer, model: str) -> None:
    client = client_of(mlflow_server)
    for act in (
        lambda: client.delete_model_version(model, "1"),
        lambda: client.delete_registered_model(model),
        lambda: client.rename_registered_model(model, f"{model}-old"),
        lambda: store_of(mlflow_server).transition_model_version_stage(model, "2", "Production", False),
    ):
        refused(act)
    assert aliases(mlflow_server, model) == {"champion": "1"}
    assert client.get_model_version(model, "1").version == "1"


@pytest.mark.server
def test_everything_else_works_as_without_it(mlflow_server: MlflowServer, model: str) -> None:
    client = client_of(mlflow_server)
    client.set_registered_model_alias(model, "challenger", "2")
    assert client.get_model_version_by_alias(model, "challenger").version == "2"
    client.delete_registered_model_alias(model, "challenger")
    assert client.create_model_version(model, "s3://nowhere/x").version == "3"
    client.set_model_version_tag(model, "3", "note", "x")
    assert client.copy_model_version(f"models:/{model}/2", f"{model}-copy").version == "1"
    assert {m.name for m in client.search_registered_models(f"name LIKE '{model}%'")} == {
        model,
        f"{model}-copy",
    }
    assert aliases(mlflow_server, model) == {"champion": "1"}


@pytest.mark.server
def test_it_is_no_control(mlflow_server: MlflowServer, model: str) -> None:
    """The plain address goes past it, which is what the label says."""
    mlflow_seed.connect(mlflow_server.url).set_registered_model_alias(model, "champion", "2")
    assert aliases(mlflow_server, model) == {"champion": "2"}


@pytest.mark.server
def test_a_guard_file_says_what_is_protected(
    mlflow_server: MlflowServer, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys are not looked at: they are the server's business."""
    (tmp_path / "guard.yaml").write_text(GUARD.format(mode="enforce"))
    monkeypatch.setenv("AIGATE_GUARD", str(tmp_path / "guard.yaml"))
    store = store_of(mlflow_server)
    refused(lambda: store.set_registered_model_alias(model, "live-eu", "2"))
    refused(lambda: store.create_model_version("sealed-1", "s3://nowhere/x"))
    free = f"free-{model}"
    client = mlflow_seed.connect(mlflow_server.url)
    client.create_registered_model(free)
    client.create_model_version(free, "s3://nowhere/x")
    store.set_registered_model_alias(free, "champion", "1")
    assert aliases(mlflow_server, free) == {"champion": "1"}


@pytest.mark.server
def test_a_guard_file_that_observes_only_tells(
    mlflow_server: MlflowServer, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "guard.yaml").write_text(GUARD.format(mode="observe"))
    monkeypatch.setenv("AIGATE_GUARD", str(tmp_path / "guard.yaml"))
    store = store_of(mlflow_server)
    with pytest.warns(UserWarning, match="done all the same"):
        store.set_registered_model_alias(model, "champion", "2")
    assert aliases(mlflow_server, model) == {"champion": "2"}


@pytest.mark.parametrize("content", [None, "version: 2\n", "\tnonsense", "version: 1\nregistry: [r]\n"])
def test_a_guard_file_that_is_broken_refuses(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "guard.yaml"
    if content is not None:
        path.write_text(content)
    guard = load({"AIGATE_GUARD": str(path)})
    assert guard.broken
    assert str(tmp_path) not in guard.broken
    assert judge(Operation("set_alias", "any", alias="free", version="1"), guard) is not None


def test_a_folder_for_a_guard_file_refuses(tmp_path: Path) -> None:
    assert load({"AIGATE_GUARD": str(tmp_path)}).broken
    assert load({"AIGATE_GUARD": "\0"}).broken


def test_without_a_guard_file_the_champion_of_every_model_is_protected() -> None:
    guard = load({})
    assert judge(Operation("set_alias", "any", alias="champion", version="1"), guard) is not None
    assert judge(Operation("set_alias", "any", alias="challenger", version="1"), guard) is None


@pytest.mark.server
def test_what_the_servers_guard_judges_is_judged_here(mlflow_server: MlflowServer, model: str) -> None:
    """Tags of aigate's own too; aigate itself writes them past this address."""
    client = client_of(mlflow_server)
    for act in (
        lambda: client.set_model_version_tag(model, "1", "aigate.receipt", "x"),
        lambda: client.delete_model_version_tag(model, "1", "aigate.receipt"),
        lambda: client.set_registered_model_tag(model, "aigate.ledger", "x"),
        lambda: client.delete_registered_model_tag(model, "aigate.ledger"),
    ):
        assert "the tag 'aigate." in refused(act)
    assert client.get_registered_model(model).tags == {}
    made = {
        name
        for name, found in vars(Guarded).items()
        if not name.startswith("_") and inspect.isfunction(found)
    }
    assert len(made) >= 12
    assert set(vars(Courteous)) & made == set(), "what the guard does before each is done once"


def test_nothing_heavy_is_imported_for_those_who_do_not_use_it() -> None:
    program = (
        "import json, sys, aigate.hook.courtesy; "
        "print(json.dumps([m for m in ('mlflow', 'sqlalchemy', 'flask', 'cryptography', 'yaml', 'httpcore') "
        "if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("scheme", ["aigate+http", "aigate+https"])
def test_mlflow_finds_it_by_the_scheme(scheme: str) -> None:
    from mlflow.tracking._model_registry.utils import _get_store_registry

    from aigate.hook.courtesy import build

    assert _get_store_registry().get_store_builder(f"{scheme}://h:1") is build


@pytest.mark.server
@pytest.mark.slow
def test_the_mlflow_command_loads_by_alias_through_it(
    mlflow_server: MlflowServer, seeded: mlflow_seed.Churn, tmp_path: Path
) -> None:
    """`models:/…@champion`, with the address in the environment as a notebook has it."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "MLFLOW_TRACKING_URI": mlflow_server.url,
        "MLFLOW_REGISTRY_URI": f"aigate+{mlflow_server.url}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    words = ["-m", "mlflow", "artifacts", "download", "--dst-path", str(tmp_path / "got")]
    words += ["--artifact-uri", f"models:/{seeded.name}@champion"]
    done = subprocess.run(
        [sys.executable, *words], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert list((tmp_path / "got").rglob("MLmodel"))
    program = (
        f"import mlflow; mlflow.MlflowClient().set_registered_model_alias({seeded.name!r}, 'champion', '2')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert f"aigate promote {seeded.name}@2" in done.stderr
    assert aliases(mlflow_server, seeded.name)["champion"] == "1"


@pytest.mark.server
def test_aigate_itself_takes_the_address_for_the_plain_one(
    system: System, mlflow_server: MlflowServer
) -> None:
    done = system.aigate(
        "doctor", "--format", "json", uri=f"aigate+{mlflow_server.url}", MLFLOW_REGISTRY_URI=""
    )
    assert done.code == 0, done.out
    assert f"at {mlflow_server.url} answers" in done.out
    done = system.aigate("evaluate", "--format", "json", MLFLOW_REGISTRY_URI=f"aigate+{mlflow_server.url}")
    assert done.code == 1, done.err
    assert "aigate+" not in done.out, "a decision is about the registry, however it was named"


@pytest.mark.parametrize("scheme", ["http", "https", "HTTPS"])
@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
def test_the_address_without_its_prefix(scheme: str, variable: str) -> None:
    environ = {"MLFLOW_TRACKING_URI": "https://h", variable: f"aigate+{scheme}://h"}
    found = address(environ)
    assert {found.tracking_uri.lower(), found.registry_uri.lower()} <= {"https://h", "http://h"}
    assert not found.by_client


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
@pytest.mark.parametrize(
    "uri",
    [
        "aigate+sqlite:///m.db",
        "AIGATE+postgresql://u:s3cr3t@h/d",
        "aigate+",
        "aigate+http:h",
        "aigate+file:x",
    ],
)
def test_a_servers_own_address_is_explained(variable: str, uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        address({"MLFLOW_TRACKING_URI": "https://h", variable: uri})
    said = caught.value.message + caught.value.fix
    assert variable in said
    assert "http(s) address" in said
    assert "s3cr3t" not in said
