"""A real workflow, run by `act` on this machine: jobs as processes, no container, no network but loopback."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fake_github import JOB_TOKEN

ROOT = Path(__file__).parents[2]
STUBS = Path(__file__).parent / "stubs"
ACT = Path(sys.executable).parent / "act"
OURS = re.findall(r"aigate-mlops/aigate@[0-9a-f]{40}", (ROOT / "examples/github/promote.yml").read_text())[0]
PINS = {
    "actions/upload-artifact@043fb46d1a93c77aae656e7c1c64a875d1fc6a0a": STUBS / "upload-artifact",
    "actions/download-artifact@70fc10c6e5e1ce46ad2ea6f2b72d43f7d47b13c3": STUBS / "download-artifact",
}
"""What the examples use, and what stands for it here."""


@dataclass
class Job:
    """What a job said, as the runner read it."""

    name: str
    result: str = ""
    log: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    """Of all its steps, the later over the earlier."""
    summary: str = ""
    annotations: list[dict[str, str]] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)
    """What became of each step, by its name; of a composite action's too."""

    @property
    def text(self) -> str:
        """The whole log."""
        return "\n".join(self.log)


@dataclass(frozen=True)
class Ran:
    """A workflow that came to its end."""

    code: int
    jobs: dict[str, Job]
    raw: str

    def __getitem__(self, job: str) -> Job:
        return self.jobs[job]


class Workspace:
    """A repository with a workflow, and the machine that it runs on."""

    def __init__(self, folder: Path, action: Path) -> None:
        self.folder = folder / "repository"
        self.folder.mkdir()
        self.artifacts = folder / "artifacts"
        self.home = folder / "home"
        self.home.mkdir()
        self.action = action
        self._cache = folder / "cache"
        self.environ: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        self.path = os.environ["PATH"]
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str) -> str:
        """Run git in the repository and return what it says."""
        identity = (
            "-c",
            "user.name=someone",
            "-c",
            "user.email=someone@example.invalid",
            "-c",
            "commit.gpgsign=false",
        )
        done = subprocess.run(
            ["git", *identity, *words], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str], message: str = "a change") -> str:
        """Write files, commit all of them, and return the commit."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def run(
        self,
        workflow: str,
        event: str,
        payload: Mapping[str, Any] | None = None,
        *,
        words: Sequence[str] = (),
    ) -> Ran:
        """Run a workflow of the repository for an event."""
        file = self.folder.parent / "event.json"
        file.write_text(json.dumps(payload or {}))
        shutil.rmtree(self.artifacts, ignore_errors=True)
        command = [str(ACT), event, "--workflows", f".github/workflows/{workflow}", "--eventpath", str(file)]
        command += [f"--platform={name}=-self-hosted" for name in ("ubuntu-latest", "ubuntu-24.04")]
        command += ["--no-cache-server", "--rm", "--json", *words]
        for name, value in {"GITHUB_TOKEN": JOB_TOKEN, **self.secrets}.items():
            command += ["--secret", f"{name}={value}"]
        for name, value in self.variables.items():
            command += ["--var", f"{name}={value}"]
        for name, value in {"TEST_ARTIFACTS": str(self.artifacts), **self.environ}.items():
            command += ["--env", f"{name}={value}"]
        command += ["--local-repository", f"{OURS}={self.action}"]
        for pin, stub in PINS.items():
            command += ["--local-repository", f"{pin}={stub}"]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environ(),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Ran(done.returncode, read(done.stdout), done.stdout + done.stderr)

    def _environ(self) -> dict[str, str]:
        left = ("AIGATE_", "GITHUB_", "MLFLOW_", "ACTIONS_", "RUNNER_", "GIT_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(left)}
        return kept | {
            "PATH": self.path,
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self._cache),
            "DOCKER_HOST": "unix:///nonexistent",
        }


def read(output: str) -> dict[str, Job]:
    """Read what act prints with --json, a line an event, into jobs."""
    jobs: dict[str, Job] = {}
    for line in output.splitlines():
        try:
            event: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        if "jobID" not in event:
            continue
        job = jobs.setdefault(event["jobID"], Job(event["jobID"]))
        message = str(event.get("msg", ""))
        kind = event.get("command")
        if kind == "set-output":
            job.outputs[event["name"]] = str(event.get("arg", ""))
        elif kind == "summary":
            job.summary += str(event.get("content", ""))
        elif kind in ("error", "warning", "notice"):
            told = {"kind": kind, **event.get("kvPairs", {}), "message": str(event.get("arg", ""))}
            job.annotations.append(told)
        if event.get("raw_output"):
            job.log.append(message.rstrip("\n"))
        if "stepResult" in event and event.get("step"):
            job.steps[event["step"]] = event["stepResult"]
        if "jobResult" in event:
            job.result = event["jobResult"]
    return jobs
