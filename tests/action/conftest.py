"""A repository whose workflows are run for real: against a real MLflow server, and a GitHub that reads its own rules."""

import compileall
import itertools
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

import pytest

import mlflow_seed
from action.runner import ROOT, Ran, Workspace
from aigate.act import Acting, StateRequest
from aigate.act import adopt as accept
from aigate.collect.manifest_file import load_manifest
from aigate.decision import Actor
from aigate.gate import World
from fake_github import FakeGitHub
from fakes import WebServer, json_reply
from servers import MlflowServer

LONG_AGO = "2026-08-02T08:00:00Z"
"""When the repository's manifest was committed: no later than its limits say they were set."""

MANIFEST = """\
version: 1
system: churn
owner: {{team: retention-platform, contact: "#churn-oncall"}}
model: {{name: {name}}}
metrics:
  accuracy:
    range: [0, 1]
    floor: 0.92
    max_drop: 0.02
    provenance: {{method: measured, set_by: m.ito, set_on: 2026-08-02, environment: production, run: "{run}"}}
stages:
  - name: features
    owner: data-eng
    freshness: {{url: "{url}/features.json", time: loaded_at, max_age: 2h, provenance: {origin}}}
runbooks: {{default: runbook.md}}
environments:
  production:
    rollback: {{mode: auto, min_soak: 0s, cooldown: 0s}}
    watch: {{bad: 1, of: 1}}
"""
ORIGIN = "{method: expert, set_by: d.silva, set_on: 2026-08-02, environment: production, rationale: agreed}"
_numbers = itertools.count(1)
_donors: dict[tuple[str, float], mlflow_seed.SeededVersion] = {}


@dataclass
class Repository:
    """A team's repository, the model it speaks of, and who looks on."""

    workspace: Workspace
    client: Any
    name: str
    github: FakeGitHub
    web: WebServer

    @property
    def holder(self) -> str:
        """The version that holds the alias."""
        return str(self.client.get_model_version_by_alias(self.name, "champion").version)

    def fresh(self, hours_ago: float = 0.5) -> None:
        """Let the one stage say when it was loaded."""
        at = datetime.now(UTC) - timedelta(hours=hours_ago)
        self.web.routes["/features.json"] = json_reply({"loaded_at": at.isoformat()})

    def add(self, accuracy: float) -> str:
        """Register a version and return its number; runs and files are those of other tests."""
        uri = str(self.workspace.variables["MLFLOW_TRACKING_URI"])
        donor = _donors.get((uri, accuracy))
        if donor is None:
            name = f"action-donor-{len(_donors)}"
            self.client.create_registered_model(name)
            donor = mlflow_seed.register(
                self.client,
                name,
                self.client.create_experiment(name),
                accuracy=accuracy,
                weights=f"a{accuracy}",
            )
            _donors[uri, accuracy] = donor
        made = self.client.create_model_version(
            self.name, f"models:/{donor.model_id}", donor.run_id, model_id=donor.model_id
        )
        return str(made.version)

    def point(self, alias: str, version: str) -> None:
        """Move an alias past the gate."""
        self.client.set_registered_model_alias(self.name, alias, version)

    def example(self, name: str) -> None:
        """Put a shipped workflow into the repository, as it is."""
        text = (ROOT / "examples/github" / name).read_text()
        self.workspace.commit({f".github/workflows/{name}": text}, "a workflow")

    def serve(self, version: str) -> None:
        """Let a version take the alias past the gate, and its owner accept that."""
        self.point("champion", version)
        adopt(self)

    def propose(self, files: dict[str, str], *, fork: bool = False) -> dict[str, Any]:
        """Open a pull request with these files; check out the merge as GitHub does, and return its payload."""
        workspace = self.workspace
        base = workspace.git("rev-parse", "main")
        workspace.git("checkout", "--quiet", "-b", f"change-{next(_numbers)}")
        head = workspace.commit(files)
        workspace.git("checkout", "--quiet", "--detach", base)
        workspace.git("merge", "--quiet", "--no-ff", "--message", "Merge", head)
        return {
            "action": "synchronize",
            "number": 7,
            "pull_request": {
                "number": 7,
                "head": {"sha": head, "repo": {"fork": fork}},
                "base": {"sha": base, "ref": "main"},
            },
        }

    def run(self, workflow: str, event: str, payload: dict[str, Any] | None = None) -> Ran:
        """Run a workflow."""
        return self.workspace.run(workflow, event, payload)


@pytest.fixture(scope="session")
def action(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The action as a runner has it: its own folder, with nothing else of this repository."""
    folder = tmp_path_factory.mktemp("action") / "aigate"
    folder.mkdir()
    for name in ("src", "policies", "scripts"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "requirements").mkdir()
    for name in ("base.txt", "sign.txt"):
        shutil.copy(ROOT / "requirements" / name, folder / "requirements")
    shutil.copy(ROOT / "action.yml", folder)
    # A runner has a copy of its own for every job; here they need not all be compiled anew.
    compileall.compile_dir(folder, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    return folder


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH with uv in it, as astral-sh/setup-uv leaves one behind."""
    folder = tmp_path_factory.mktemp("tools")
    (folder / "uv").symlink_to(Path(sys.executable).parent / "uv")
    return folder


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where uv keeps what it fetched, for all workflows of the session."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture
def workspace(tmp_path: Path, action: Path, tools: Path, downloads: Path) -> Workspace:
    """A new repository on a machine with uv."""
    made = Workspace(tmp_path, action)
    made.path = f"{tools}{os.pathsep}{without(made.path, 'uv')}"
    made.environ["UV_CACHE_DIR"] = str(downloads)
    return made


def without(path: str, command: str) -> str:
    """Return a PATH that does not have a command."""
    return os.pathsep.join(
        folder for folder in path.split(os.pathsep) if folder and not (Path(folder) / command).exists()
    )


@pytest.fixture
def repository(workspace: Workspace, mlflow_server: MlflowServer) -> Iterator[Repository]:
    """Version 1 at 0.94 is champion and adopted, version 2 at 0.95 is challenger, version 3 has 0.71."""
    client = mlflow_seed.connect(mlflow_server.url)
    name = f"action-{next(_numbers)}-{os.urandom(3).hex()}"
    client.create_registered_model(name, tags={"owner": "retention-platform"}, description="who will leave")
    with WebServer() as web, FakeGitHub(repository="acme/churn") as github:
        workspace.variables["MLFLOW_TRACKING_URI"] = mlflow_server.url
        workspace.secrets |= {"MLFLOW_READ_TOKEN": "read-9f2c", "MLFLOW_WRITE_TOKEN": "write-77ab"}
        workspace.environ |= {"GITHUB_API_URL": github.url, "GITHUB_REPOSITORY": "acme/churn"}
        made = Repository(workspace, client, name, github, web)
        for accuracy in (0.94, 0.95, 0.71):
            made.add(accuracy)
        made.point("champion", "1")
        made.point("challenger", "2")
        made.fresh()
        run = client.get_model_version(name, "1").run_id
        text = MANIFEST.format(name=name, run=run, url=web.url(), origin=ORIGIN)
        os.environ |= {"GIT_COMMITTER_DATE": LONG_AGO, "GIT_AUTHOR_DATE": LONG_AGO}
        try:
            workspace.commit({"aigate.yaml": text, "runbook.md": "# what to do\n"}, "the manifest")
        finally:
            for variable in ("GIT_COMMITTER_DATE", "GIT_AUTHOR_DATE"):
                del os.environ[variable]
        adopt(made)
        yield made
        assert github.violations == [], "what the gate sends is what GitHub's own description allows"


def acting_for(repository: Repository) -> Acting:
    """Return what an act in this process is handed in: what is not the workflow's own doing."""
    now = datetime.now(UTC).replace(microsecond=0)
    return Acting(
        world=World(
            now=now, environ={}, home=Path("/nonexistent"), actor=Actor(name="user:kai"), deadline=30
        ),
        clock=lambda: datetime.now(UTC).replace(microsecond=0),
        nonce=lambda: os.urandom(8).hex(),
        step=lambda name: None,
        tracking_uri=str(repository.workspace.variables["MLFLOW_TRACKING_URI"]),
        ledger_uri=None,
    )


def adopt(repository: Repository) -> None:
    """Accept the champion that is there, in this process: the workflow is not about that."""
    loaded = load_manifest(repository.workspace.folder / "aigate.yaml")
    asked = StateRequest(
        model=repository.name,
        reason="in service before aigate",
        alias="champion",
        as_team="retention-platform",
    )
    done = accept(loaded, asked, acting_for(repository))
    assert done.exit_code == 0, done.reason


def record_of(workspace: Workspace, artifact: str) -> dict[str, Any]:
    """Return the decision record that a job left as an artifact."""
    found: dict[str, Any] = json.loads((workspace.artifacts / artifact / "record.json").read_text())
    return found
