"""A pull request's own rules, loaded where there is nothing worth stealing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from action.conftest import Repository
from action.runner import ROOT, Workspace
from fake_github import FakeGitHub
from fakes import WebServer
from standard_pack import pack

pytestmark = pytest.mark.slow

MANIFEST = "version: 1\nsystem: churn\nmodel: {name: churn}\n"
POLICY = '''\
from pathlib import Path  # aigate: allow[files] because it tells whether it ran

from aigate import Findings, Snapshot, deny, policy

READ = Path({mark!r}).exists()


@policy("house.rule")
def rule(s: Snapshot, *, most: int = 3) -> Findings:
    """The owner is known."""
    if s.owner is None:
        yield deny("no", key="x")
'''
IN_FORCE = len(pack())


@pytest.fixture
def proposed(workspace: Workspace) -> Iterator[Repository]:
    """A repository with the workflow; there is no MLflow."""
    with WebServer() as web, FakeGitHub(repository="acme/churn") as github:
        workspace.environ |= {"GITHUB_API_URL": github.url, "GITHUB_REPOSITORY": "acme/churn"}
        workspace.commit({"aigate.yaml": MANIFEST})
        made = Repository(workspace, None, "churn", github, web)
        made.example("policy-pr.yml")
        yield made
        assert github.written == []


def test_a_change_that_loads_is_green(proposed: Repository) -> None:
    text = MANIFEST + "environments: {staging: {params: {house.rule: {most: 4}}}}\n"
    payload = proposed.propose({"policies/house.py": POLICY.format(mark="/"), "aigate.yaml": text}, fork=True)
    ran = proposed.run("policy-pr.yml", "pull_request", payload)
    rules = ran["rules"]
    assert (ran.code, rules.result) == (0, "success"), ran.raw[-5000:]
    assert (rules.outputs["exit-code"], rules.outputs["verdict"]) == ("0", "")
    assert f"aigate: check ok, {IN_FORCE + 1} policies" in rules.text
    assert rules.summary.startswith("## ✅ The rules load")
    assert f"churn: {IN_FORCE + 1} policies, 2 environments" in rules.summary


def test_a_change_that_does_not_load_is_red_and_says_all_that_is_wrong(proposed: Repository) -> None:
    files = {
        "policies/house.py": POLICY.format(mark="/") + "\nimport nonsense_7f\n",
        "aigate.yaml": MANIFEST + "environments: {staging: {params: {freshness.stage: {grace: soon}}}}\n",
    }
    ran = proposed.run("policy-pr.yml", "pull_request", proposed.propose(files))
    rules = ran["rules"]
    assert rules.result == "failure", ran.raw[-5000:]
    assert (rules.outputs["exit-code"], rules.outputs["verdict"]) == ("2", "")
    assert "aigate: check failed, 2 mistakes" in rules.text
    assert rules.summary.startswith("## ⛔ 2 mistakes in the rules")
    assert "- `policies/house.py:14`: does not load: ModuleNotFoundError" in rules.summary
    assert "- `aigate.yaml:4:" in rules.summary


def test_nothing_proposed_is_run_beside_a_secret(proposed: Repository, tmp_path: Path) -> None:
    workspace = proposed.workspace
    workflow = (ROOT / "examples/github/policy-pr.yml").read_text()
    leaky = (
        workflow + "        env:\n          MLFLOW_TRACKING_TOKEN: ${{ secrets.MLFLOW_READ_TOKEN }}\n"
        "          AIGATE_LEDGER: postgresql://gate:pa55word@db.example/aigate\n"
    )
    workspace.secrets["MLFLOW_READ_TOKEN"] = "read-9f2c"
    mark = tmp_path / "was-run"
    text = POLICY.replace(".exists()", ".touch()").format(mark=str(mark))
    payload = proposed.propose({"policies/house.py": text, ".github/workflows/policy-pr.yml": leaky})
    rules = proposed.run("policy-pr.yml", "pull_request", payload)["rules"]
    assert (rules.result, rules.outputs["exit-code"]) == ("failure", "2"), rules.text
    assert "proposed code is run here, beside MLFLOW_TRACKING_TOKEN, AIGATE_LEDGER" in rules.text
    assert "leave the secrets out of this job" in rules.text
    assert "pa55word" not in rules.text
    assert not mark.exists()
