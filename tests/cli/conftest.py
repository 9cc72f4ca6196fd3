"""A system to decide about: a real MLflow server, real endpoints on loopback, and the command as a process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import mlflow_seed
from commands import aigate_here
from fakes import WebServer, json_reply
from servers import MlflowServer

MANIFEST = """\
version: 1
system: churn
owner: {{team: retention-platform, contact: "#churn-oncall"}}
model: {{name: {model}}}
metrics:
  accuracy:
    range: [0, 1]
    floor: 0.92
    max_drop: 0.02
    provenance: {{method: measured, set_by: m.ito, set_on: 2026-08-02, environment: production, run: "{run}"}}
stages:
  - name: transactions
    owner: data-eng
    freshness: {{url: "{url}/transactions.json", time: loaded_at, max_age: 2h, provenance: {origin}}}
  - name: features
    owner: data-eng
    reads: [transactions]
    freshness: {{url: "{url}/features.json", time: loaded_at, max_age: 6h, provenance: {origin}}}
runbooks: {{default: runbook.md}}
"""
ORIGIN = "{method: expert, set_by: d.silva, set_on: 2026-08-02, environment: production, rationale: agreed}"


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str


@dataclass
class System:
    """A folder with a manifest, and what it speaks of."""

    folder: Path
    churn: mlflow_seed.Churn
    web: WebServer
    uri: str
    environ: dict[str, str] = field(default_factory=dict)
    forks: bool = False
    """Whether each command has a process of its own."""

    def apart(self) -> "System":
        """Return the same system, with a process for each command."""
        return replace(self, forks=True)

    def loaded(self, **hours_ago: float) -> None:
        """Let the endpoints say when each stage was loaded."""
        for name, hours in hours_ago.items():
            at = datetime.now(UTC) - timedelta(hours=hours)
            self.web.routes[f"/{name}.json"] = json_reply({"loaded_at": at.isoformat()})

    def aigate(self, *args: str, uri: str | None = None, **environ: str) -> Done:
        """Run the command in the folder."""
        env = {
            "HOME": str(self.folder),
            "MLFLOW_TRACKING_URI": self.uri if uri is None else uri,
            **self.environ,
            **environ,
        }
        if not self.forks:
            done = aigate_here(self.folder, *args, **env)
            return Done(done.returncode, done.stdout, done.stderr)
        done = subprocess.run(
            [sys.executable, "-P", "-m", "aigate", *args],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **env},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def seeded(mlflow_server: MlflowServer) -> mlflow_seed.Churn:
    """The churn story in the real registry: v1 at 0.94 in service, v2 at 0.71 asking."""
    return mlflow_seed.seed_churn(mlflow_seed.connect(mlflow_server.url), "cli-churn")


@pytest.fixture
def system(tmp_path: Path, mlflow_server: MlflowServer, seeded: mlflow_seed.Churn) -> Iterator[System]:
    """A system whose stages are fresh."""
    with WebServer() as web:
        text = MANIFEST.format(model=seeded.name, run=seeded.champion.run_id, url=web.url(), origin=ORIGIN)
        (tmp_path / "aigate.yaml").write_text(text)
        (tmp_path / "runbook.md").write_text("# what to do\n")
        made = System(tmp_path, seeded, web, mlflow_server.url)
        made.loaded(transactions=0.5, features=1)
        yield made


def record(done: Done) -> dict[str, object]:
    """Return the decision record on standard output."""
    found: dict[str, object] = json.loads(done.out)
    return found
