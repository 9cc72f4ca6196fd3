"""The GitHub Action under `act`, cold and warm, beside the same job with `pip install mlflow` and a script."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from measure import ROOT

ROUNDS = 3
ACT = Path(sys.executable).parent / "act"
OURS = re.findall(r"aigate-mlops/aigate@[0-9a-f]{40}", (ROOT / "examples/github/promote.yml").read_text())[0]
WORKFLOW = """\
on: push
jobs:
  cold:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - {{uses: {ours}, continue-on-error: true}}
      - {{uses: {ours}, continue-on-error: true}}
"""
SCRIPT = """\
on: push
jobs:
  cold:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          python3 -m venv "$RUNNER_TEMP/venv"
          "$RUNNER_TEMP/venv/bin/python" -m pip install -q mlflow
      - continue-on-error: true
        run: '"$RUNNER_TEMP/venv/bin/python" script.py {urls}'
"""
PARTS = {"Install": "install", "Decide": "evaluate", "Publish": "publish"}


def rows(folder: Path, urls: list[str], env: dict[str, str]) -> list[tuple[str, str, str]]:
    """Measure in a repository of its own, with the manifest that `folder` holds."""
    repository = folder / "repository"
    (repository / ".github/workflows").mkdir(parents=True)
    shutil.copy(folder / "aigate.yaml", repository)
    shutil.copy(folder / "runbook.md", repository)
    shutil.copy(ROOT / "bench/script_15.py", repository / "script.py")
    (repository / ".github/workflows/ours.yml").write_text(WORKFLOW.format(ours=OURS))
    (repository / ".github/workflows/script.yml").write_text(SCRIPT.format(urls=" ".join(urls)))
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "all")
    action = _action(folder)
    uv = Path(sys.executable).parent / "uv"
    found = []
    for name in ("uv", "pip"):
        tools = folder / f"tools-{name}"
        tools.mkdir()
        if name == "uv":
            (tools / "uv").symlink_to(uv)
        runs = [_ours(repository, action, tools, folder / f"{name}-{n}", env) for n in range(ROUNDS)]
        cold, warm = ({part: median(run[at][part] for run in runs) for part in runs[0][at]} for at in (0, 1))
        found.append((f"the action under `act`, cold cache, by {name}", _sum(cold), "at most 12 s"))
        if name == "uv":
            found.append(("… a second step in the same job", _sum(warm), "at most 2 s"))
    took = _script(repository, folder / "script", env)
    found.append(("the same job with `pip install mlflow` and the 15-line script", f"{took:.1f} s", ""))
    return found


def _sum(parts: dict[str, float]) -> str:
    listed = ", ".join(f"{PARTS[name]} {seconds:.1f}" for name, seconds in parts.items() if name in PARTS)
    return f"{parts['all']:.1f} s ({listed})"


def _action(folder: Path) -> Path:
    """Lay out the action as a runner has it: without what an earlier run compiled."""
    action = folder / "action"
    for name in ("src", "policies", "scripts"):
        shutil.copytree(ROOT / name, action / name, ignore=shutil.ignore_patterns("__pycache__"))
    (action / "requirements").mkdir()
    shutil.copy(ROOT / "requirements/base.txt", action / "requirements")
    shutil.copy(ROOT / "action.yml", action)
    return action


def _ours(
    repository: Path, action: Path, tools: Path, place: Path, env: dict[str, str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Run the job once on a machine that has nothing yet; return the seconds of both steps, part by part."""
    events = _act(repository, "ours.yml", place, env, tools, f"--local-repository={OURS}={action}")
    steps: dict[str, dict[str, float]] = {}
    for event in events:
        if "executionTime" in event and event.get("stage") == "Main" and event["stepID"][0] in ("1", "2"):
            name = event["msg"].split(" Main ", 1)[1].split(" [", 1)[0] if len(event["stepID"]) > 1 else "all"
            steps.setdefault(event["stepID"][0], {})[name] = event["executionTime"] / 1e9
    return steps["1"], steps["2"]


def _script(repository: Path, place: Path, env: dict[str, str]) -> float:
    events = _act(repository, "script.yml", place, env, place, "--quiet")
    return sum(
        event["executionTime"] / 1e9
        for event in events
        if "executionTime" in event and event.get("stage") == "Main" and event["stepID"][0] != "0"
    )


def _act(
    repository: Path, workflow: str, place: Path, env: dict[str, str], tools: Path, *words: str
) -> list[dict[str, Any]]:
    """Run a workflow, with every cache in `place`."""
    place.mkdir(exist_ok=True)
    event = place / "event.json"
    event.write_text("{}")
    path = os.pathsep.join(
        part for part in os.environ["PATH"].split(os.pathsep) if not Path(part, "uv").exists()
    )
    command = [str(ACT), "push", "--workflows", f".github/workflows/{workflow}", "--eventpath", str(event)]
    command += ["--platform=ubuntu-latest=-self-hosted", "--no-cache-server", "--rm", "--json", *words]
    command += ["--env", f"MLFLOW_TRACKING_URI={env['MLFLOW_TRACKING_URI']}"]
    here = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AIGATE_"))}
    here.pop("PYTHONDONTWRITEBYTECODE", None)
    here |= {
        "PATH": f"{tools}{os.pathsep}{path}",
        "HOME": str(place),
        "XDG_CACHE_HOME": str(place / "cache"),
        "UV_CACHE_DIR": str(place / "uv"),
        "PIP_CACHE_DIR": str(place / "pip"),
        "DOCKER_HOST": "unix:///nonexistent",
    }
    done = subprocess.run(command, cwd=repository, env=here, capture_output=True, text=True, check=False)
    events = []
    for line in done.stdout.splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    if not any("executionTime" in event for event in events):
        sys.exit(f"bench: act failed: {done.stderr[-2000:]}")
    return events


def git(folder: Path, *words: str) -> None:
    """Run git, as somebody."""
    who = ("-c", "user.name=bench", "-c", "user.email=bench@example.invalid", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)
