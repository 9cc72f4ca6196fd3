"""What people do with MLflow all day is the same before and behind the guard; and what its absence is told."""

import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mlflow_seed
from act.conftest import _opened
from aigate.enforce.keys import VARIABLE, generate, private_pem
from hook.conftest import GuardedServer
from servers import MlflowServer

pytestmark = pytest.mark.server


def transcript(uri: str, folder: Path) -> list[str]:
    """Do a day's work with MLflow's own client; return what each step answered, without times, ids and addresses."""
    client = mlflow_seed.connect(uri)
    name = f"daily-{uuid.uuid4().hex[:10]}"
    said: list[str] = []

    def do(what: str, act: Callable[[], object]) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            found = act()
            said.append(f"{what}: {_shown(found)}")
        except MlflowException as e:
            found = None
            said.append(f"{what}: {e.error_code} {e.message}")
        said[-1] = _plain(said[-1].replace(name, "NAME").replace(uri, "URI").replace(str(folder), "FOLDER"))
        return found

    _runs(client, do, name, folder)
    _models(client, do, name)
    _versions(client, do, name)
    _prompts(client, do, f"{name}-prompt")
    do("delete version", lambda: client.delete_model_version(name, "2"))
    do("delete version again", lambda: client.delete_model_version(name, "2"))
    do("rename", lambda: client.rename_registered_model(name, f"{name}-b"))
    do("old name", lambda: client.get_registered_model(name))
    do("delete", lambda: client.delete_registered_model(f"{name}-b"))
    do("gone", lambda: client.get_registered_model(f"{name}-b"))
    return said


Do = Callable[[str, Callable[[], object]], Any]


def _runs(client: Any, do: Do, name: str, folder: Path) -> None:
    experiment = client.create_experiment(name)
    run = client.create_run(experiment, run_name="one").info.run_id
    (folder / "weights.txt").write_text("w")
    do("param", lambda: client.log_param(run, "p", 1))
    do("param changed", lambda: client.log_param(run, "p", 2))
    do("metric", lambda: client.log_metric(run, "accuracy", 0.9))
    do("artifact", lambda: client.log_artifact(run, str(folder / "weights.txt")))
    do("artifacts", lambda: client.list_artifacts(run))
    do("run tag", lambda: client.set_tag(run, "aigate.receipt", "x"))
    do("run", lambda: client.get_run(run).data)
    do("end", lambda: client.set_terminated(run))
    do(
        "search runs",
        lambda: [r.data.metrics for r in client.search_runs([experiment], "metrics.accuracy > 0.5")],
    )


def _models(client: Any, do: Do, name: str) -> None:
    do("model", lambda: client.create_registered_model(name, tags={"owner": "a"}, description="d"))
    do("twice", lambda: client.create_registered_model(name))
    do("bad name", lambda: client.create_registered_model("a/b:c"))
    do("tag", lambda: client.set_registered_model_tag(name, "k", "v"))
    do("aigate's tag", lambda: client.set_registered_model_tag(name, "aigate.ledger", "v"))
    do("untag", lambda: client.delete_registered_model_tag(name, "owner"))
    do("describe", lambda: client.update_registered_model(name, "other"))
    do("search", lambda: client.search_registered_models(f"name = '{name}'"))
    do("search tag", lambda: client.search_registered_models(f"tags.k = 'v' AND name LIKE '{name}%'"))


def _versions(client: Any, do: Do, name: str) -> None:
    for number in range(5):
        tags = {"n": str(number), "aigate.receipt": "x"}
        do("version", lambda n=number, t=tags: client.create_model_version(name, f"s3://a/{n}", tags=t))  # type: ignore[misc]
    do("no model", lambda: client.create_model_version(f"{name}-none", "s3://a/b"))
    do("latest", lambda: client.get_latest_versions(name))
    do("describe version", lambda: client.update_model_version(name, "1", "other"))
    do("tag version", lambda: client.set_model_version_tag(name, "1", "k", "v"))
    do("untag version", lambda: client.delete_model_version_tag(name, "1", "n"))
    do("aigate's tag off", lambda: client.delete_model_version_tag(name, "1", "aigate.receipt"))
    do("tag none", lambda: client.set_model_version_tag(name, "99", "k", "v"))
    for alias, version in (
        ("champion", "1"),
        ("champion", "2"),
        ("Champion", "3"),
        ("latest", "1"),
        ("x", "99"),
    ):
        do("alias", lambda a=alias, v=version: client.set_registered_model_alias(name, a, v))  # type: ignore[misc]
    do("by alias", lambda: client.get_model_version_by_alias(name, "champion"))
    do("no alias", lambda: client.get_model_version_by_alias(name, "none"))
    do("unalias", lambda: client.delete_registered_model_alias(name, "Champion"))
    do("stage", lambda: client.transition_model_version_stage(name, "3", "Staging"))
    do("no stage", lambda: client.transition_model_version_stage(name, "3", "Nowhere"))
    do("model", lambda: client.get_registered_model(name))
    page = do("page", lambda: client.search_model_versions(f"name = '{name}'", max_results=2))
    do("next page", lambda: client.search_model_versions(f"name = '{name}'", 2, page_token=page.token))
    do("search versions", lambda: client.search_model_versions(f"name = '{name}' AND tags.n = '3'"))
    do("download", lambda: client.get_model_version_download_uri(name, "1"))
    do("copy", lambda: client.copy_model_version(f"models:/{name}/1", f"{name}-copy"))
    do("delete copy", lambda: client.delete_registered_model(f"{name}-copy"))


def _prompts(client: Any, do: Do, name: str) -> None:
    do("prompt", lambda: client.register_prompt(name, "Hello {{ you }}", tags={"k": "v"}).template)
    do("prompt again", lambda: client.register_prompt(name, "Bye {{ you }}").version)
    do("prompt alias", lambda: client.set_prompt_alias(name, "champion", 1))
    do("load", lambda: client.load_prompt(f"prompts:/{name}@champion").template)
    do("prompt tag", lambda: client.set_prompt_tag(name, "k", "w"))
    do("prompt version tag", lambda: client.set_prompt_version_tag(name, 1, "k", "w"))
    do("prompt untag", lambda: client.delete_prompt_tag(name, "k"))
    do("prompts", lambda: [p.name for p in client.search_prompts(f"name = '{name}'")])
    do("prompt unalias", lambda: client.delete_prompt_alias(name, "champion"))


def _shown(found: object) -> str:
    if isinstance(found, list):
        return f"[{', '.join(map(_shown, found))}]"
    if type(found).__module__.startswith("mlflow.entities"):
        return json.dumps(dict(found), default=_shown, sort_keys=True)  # type: ignore[call-overload]
    return str(found)


def _plain(text: str) -> str:
    text = re.sub(r"\b[0-9a-f]{32}\b", "ID", text)
    text = re.sub(r"\b1[0-9]{12}\b", "TIME", text)
    return re.sub(r"(mlflow-artifacts:)?/[0-9]+/ID", "/EXPERIMENT/ID", text)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # stages are in use, though MLflow deprecates them
def test_it_is_the_same_behind_the_guard(
    tmp_path: Path, mlflow_server: MlflowServer, guarded: GuardedServer
) -> None:
    plain, behind = transcript(mlflow_server.url, tmp_path), transcript(guarded.url, tmp_path)
    assert plain == behind
    assert len(plain) > 55
    refused = [line for line in plain if re.match(r"[\w' ]+: [A-Z_]{9,} ", line)]
    assert len(refused) >= 9, "errors of MLflow's own are compared too"
    assert "aigate: " not in "".join(behind)


def test_a_key_for_a_server_that_asks_for_none_is_remarked(
    tmp_path: Path, mlflow_server: MlflowServer
) -> None:
    shop = _opened(tmp_path, mlflow_server, f"sqlite:///{tmp_path}/ledger.db", own=False)
    shop.environ = {VARIABLE: private_pem(generate()).decode()}
    act = shop.promote().act
    assert (act.result, act.exit_code) == ("done", 0)
    assert act.warnings == (
        "a signing key is set, and the server did not ask for a ticket: @champion is not guarded",
    )
    shop.environ = {}
    shop.add(0.945)
    shop.client.set_registered_model_alias(shop.name, "challenger", "2")
    assert shop.promote().act.warnings == ()
