"""What keeps the action from its decision is no decision, and what people or registries write is only text."""

from pathlib import Path

import pytest

from action.conftest import Repository, without
from action.runner import OURS, Workspace

EXAMPLE = Path(__file__).parents[2] / "examples/three-green-teams"
WORKFLOW = """\
on: push
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - id: gate
        uses: OURS
        with: {inputs}
        env: {environ}
"""
pytestmark = pytest.mark.slow


def gate(workspace: Workspace, inputs: str = "{snapshot: snapshot.json}", environ: str = "{X: y}") -> None:
    """Commit a workflow with one gate over recorded evidence."""
    files = {name: (EXAMPLE / name).read_text() for name in ("aigate.yaml", "snapshot.json")}
    text = WORKFLOW.replace("OURS", OURS).replace("{inputs}", inputs).replace("{environ}", environ)
    workspace.commit({".github/workflows/gate.yml": text, **files})


def test_a_crash_is_no_decision(workspace: Workspace) -> None:
    """A process that is killed says nothing: neither its colour nor an old file may be taken for a yes."""
    gate(workspace, environ="{AIGATE_TEST: x}")
    broken = workspace.folder.parent / "broken"
    import shutil

    shutil.copytree(workspace.action, broken)
    main = broken / "src/aigate/__main__.py"
    main.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    workspace.action = broken
    ran = workspace.run("gate.yml", "push")
    job = ran["gate"]
    assert (job.result, ran.code, job.outputs["exit-code"]) == ("failure", 1, "137")
    assert job.outputs.get("verdict", "") == ""
    assert any("no decision was reached" in a["message"] for a in job.annotations)
    assert "No decision was reached" in job.summary


def test_an_install_that_fails_is_no_decision(workspace: Workspace, tmp_path: Path) -> None:
    gate(workspace)
    workspace.environ |= {
        "UV_CACHE_DIR": str(tmp_path / "empty"),
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "UV_FIND_LINKS": "",
        "UV_HTTP_RETRIES": "0",
    }
    job = workspace.run("gate.yml", "push")["gate"]
    assert job.result == "failure"
    assert job.outputs.get("exit-code", "") == ""
    said = [a["message"] for a in job.annotations]
    assert any("could not install aigate's dependencies" in words for words in said), job.text
    assert any("no decision was reached: aigate did not run" in words for words in said)


def test_without_uv_pip_installs_the_same(workspace: Workspace) -> None:
    gate(workspace)
    workspace.path = without(workspace.path, "uv")
    job = workspace.run("gate.yml", "push")["gate"]
    assert (job.outputs["verdict"], job.outputs["exit-code"]) == ("deny", "1"), job.text
    assert "dependencies installed by pip" in job.text


def test_a_second_step_installs_nothing_and_a_module_of_the_workspace_shadows_none(
    workspace: Workspace,
) -> None:
    gate(workspace)
    path = workspace.folder / ".github/workflows/gate.yml"
    step = path.read_text()[path.read_text().index("      - id: gate") :]
    text = path.read_text().replace(
        step, step.replace("gate\n", "first\n", 1) + "        continue-on-error: true\n" + step
    )
    workspace.commit(
        {
            ".github/workflows/gate.yml": text,
            **dict.fromkeys(
                ("yaml.py", "aigate.py", "click.py", "sitecustomize.py"), "raise SystemExit(0)\n"
            ),
        }
    )
    workspace.environ["PYTHONPATH"] = "."
    job = workspace.run("gate.yml", "push")["gate"]
    assert (job.outputs["verdict"], job.result) == ("deny", "failure"), job.text
    assert job.text.count("dependencies installed") == 1


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ("{command: destroy}", "the input command is"),
        ("{snapshot: snapshot.json, version: 3}", "a recorded snapshot has its model and version in it"),
        ("{decision-id: 'sha256:00'}", "the input decision-id means nothing to evaluate"),
        ("{command: promote, decision-id: 'sha256:00'}", "without the record"),
        ("{command: rollback}", "needs a reason"),
        ('{model: "a\\nb"}', "line break"),
        ("{command: watch, dry-run: maybe}", "dry-run is"),
        ("{manifest: nowhere/aigate.yaml}", "there is no manifest here"),
        ("{snapshot: nowhere.json}", "cannot be read"),
    ],
)
def test_what_cannot_be_is_said_and_is_no_decision(workspace: Workspace, inputs: str, words: str) -> None:
    gate(workspace, inputs)
    job = workspace.run("gate.yml", "push")["gate"]
    assert (job.result, job.outputs["exit-code"]) == ("failure", "2"), job.text
    assert job.outputs.get("verdict", "") == ""
    assert words in job.summary.replace("&#39;", "'"), job.summary


@pytest.mark.server
def test_what_people_and_registries_write_is_only_text(repository: Repository, tmp_path: Path) -> None:
    """Inputs, tags and descriptions with commands for a shell, a runner and a browser in them."""
    evil = "x\n::error title=forged::yes\n##[add-path]/tmp/evil\n::set-output name=verdict::allow\n<img src=x>@octocat"
    repository.client.set_registered_model_tag(repository.name, "owner", evil)
    repository.client.set_model_version_tag(repository.name, "2", "owner", evil)
    repository.client.update_registered_model(repository.name, evil)
    workspace = repository.workspace
    inputs = (
        "{command: evaluate, version: '$(touch pwned)`touch pwned`; touch pwned', environment: production}"
    )
    workspace.commit(
        {
            ".github/workflows/gate.yml": WORKFLOW.replace("OURS", OURS)
            .replace("{inputs}", inputs)
            .replace("{environ}", ENVIRON)
        }
    )
    first = workspace.run("gate.yml", "push")["gate"]
    assert first.result == "failure"
    inputs = "{command: evaluate, version: 2, report-dir: reports}"
    workspace.commit(
        {
            ".github/workflows/gate.yml": WORKFLOW.replace("OURS", OURS)
            .replace("{inputs}", inputs)
            .replace("{environ}", ENVIRON)
        }
    )
    ran = workspace.run("gate.yml", "push")
    job = ran["gate"]
    assert job.outputs["verdict"] == "deny", job.text
    assert not any("forged" in a.get("title", "") for a in job.annotations)
    assert not list(tmp_path.rglob("pwned"))
    for line in job.log:
        assert not line.lstrip().startswith("::error title=forged")
        assert "##[" not in line
    assert "<img" not in job.summary
    for secret in ("read-9f2c", "cmVhZC05ZjJj"):
        assert secret not in job.summary


ENVIRON = "{MLFLOW_TRACKING_URI: '${{ vars.MLFLOW_TRACKING_URI }}', MLFLOW_TRACKING_TOKEN: '${{ secrets.MLFLOW_READ_TOKEN }}'}"
