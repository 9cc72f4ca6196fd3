"""`make bench`: every figure that aigate claims, measured side by side in one run, medians printed."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import acts
import engines
import replays
import world
from measure import ROOT, in_turn, middle, ratio

import action
import hook

PYTHON = sys.executable
AIGATE = [PYTHON, "-P", "-m", "aigate"]
ROUNDS = 7
SLOW = 0.5
"""Seconds by which each of the eight slow endpoints is late."""


def main() -> None:
    """Measure everything and print one table."""
    rows: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory(prefix="aigate-bench-") as name:
        folder = Path(name)
        say("starting an MLflow server and logging two versions")
        with world.mlflow_server(folder) as url, world.endpoints(4) as urls, world.endpoints(8, SLOW) as slow:
            env = environment(folder, url)
            run = world.seed(url)
            rows += live(folder, urls, run, env)
            rows += collection(folder, slow, run, env)
            rows += offline(folder, env)
            say(f"promotions, rollbacks and looks against the live server, {acts.ROUNDS} rounds")
            rows += acts.rows(folder, url, urls, env)
            say(f"the guard in the server, {hook.ROUNDS} rounds of every call, and audits")
            rows += hook.rows(folder)
            say(f"the action as a step of a workflow, {action.ROUNDS} rounds each way")
            rows += action.rows(folder, urls, env)
    say("10,000 snapshots through each engine")
    rows += engines.rows()
    say("a replay of 10,000 recorded snapshots")
    with tempfile.TemporaryDirectory(prefix="aigate-bench-") as name:
        rows += replays.rows(Path(name), AIGATE, os.environ, 3)
    say("installing the base in a fresh environment")
    rows += install()
    print(f"\n{datetime.now(UTC):%Y-%m-%d} · {machine()}\n")
    print("| what | measured | beside it |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def live(folder: Path, urls: list[str], run: str, env: dict[str, str]) -> list[tuple[str, str, str]]:
    """Cold processes that decide the same thing against the same server."""
    say(f"cold processes against the live server, {ROUNDS} rounds in turn")
    manifest = world.write_manifest(folder, urls, run)
    runs = in_turn(
        {
            "aigate": [
                *AIGATE,
                "evaluate",
                "-m",
                str(manifest),
                "--save-snapshot",
                str(folder / "snapshot.json"),
            ],
            "import": [PYTHON, "-c", "import mlflow"],
            "script": [PYTHON, str(ROOT / "bench" / "script_15.py"), *urls],
            "validate": [PYTHON, str(ROOT / "bench" / "validate.py")],
        },
        env,
        rounds=ROUNDS,
        expect={"aigate": 1, "script": 1, "validate": 1},
    )
    ours = runs["aigate"]
    return [
        (
            "`aigate evaluate`, cold, live MLflow, 4 endpoints",
            f"{middle(ours, lambda r: r.wall):.2f} s wall, {middle(ours, lambda r: r.cpu):.2f} s CPU, "
            f"{middle(ours, lambda r: r.peak):.0f} MiB",
            "",
        ),
        *(
            (
                f"… as a share of {words}",
                f"{ratio(ours, runs[name]):.2f} ×",
                f"{middle(runs[name], lambda r: r.wall):.2f} s wall, {middle(runs[name], lambda r: r.peak):.0f} MiB",
            )
            for name, words in (
                ("import", '`python -c "import mlflow"`'),
                ("script", "the 15-line MlflowClient script"),
                ("validate", "`mlflow.validate_evaluation_results`"),
            )
        ),
    ]


def collection(folder: Path, slow: list[str], run: str, env: dict[str, str]) -> list[tuple[str, str, str]]:
    """How much longer than the slowest endpoint the whole collection takes."""
    say("eight slow endpoints")
    code = "import sys; from bench_collect import main; main(sys.argv[1])"
    manifest = world.write_manifest(folder, slow, run)
    path = {**env, "PYTHONPATH": str(ROOT / "bench")}
    times = [
        float(
            subprocess.run(
                [PYTHON, "-c", code, str(manifest)], env=path, capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(5)
    ]
    return [
        (
            f"collection, MLflow and 8 endpoints that take {SLOW} s each",
            f"{median(times):.3f} s",
            f"{median(times) / SLOW:.2f} × the slowest endpoint",
        )
    ]


def offline(folder: Path, env: dict[str, str]) -> list[tuple[str, str, str]]:
    """A recorded snapshot, evaluated by a cold process."""
    say("offline evaluation")
    example = ROOT / "examples" / "silent-lag"
    command = [
        *AIGATE,
        "evaluate",
        "-m",
        str(example / "aigate.yaml"),
        "--snapshot",
        str(example / "snapshot.json"),
    ]
    runs = in_turn({"offline": command}, env, rounds=ROUNDS, expect={"offline": 1})["offline"]
    return [
        (
            "`aigate evaluate --snapshot`, cold process",
            f"{middle(runs, lambda r: r.cpu):.2f} s CPU, {middle(runs, lambda r: r.wall):.2f} s wall, "
            f"{middle(runs, lambda r: r.peak):.0f} MiB",
            "",
        )
    ]


def install() -> list[tuple[str, str, str]]:
    """The base install, from the lock, into a fresh environment: seconds, and megabytes on disk."""
    ways: dict[str, Callable[[Path], None]] = {"venv and pip": by_pip}
    if shutil.which("uv"):
        ways["uv"] = by_uv
    rows = []
    for name, way in ways.items():
        with tempfile.TemporaryDirectory(prefix="aigate-bench-") as place:
            started = time.perf_counter()
            way(Path(place, "venv"))
            took = time.perf_counter() - started
            (packages,) = Path(place, "venv", "lib").glob("python*/site-packages")
            ours = size(packages) - sum(size(packages / name) for name in ("pip", "setuptools"))
            rows.append((f"base install from the lock, by {name}", f"{took:.1f} s, {ours:.0f} MB", ""))
    return rows


LOCK = str(ROOT / "requirements" / "base.txt")


def by_pip(environment: Path) -> None:
    """Make an environment with what every Python brings."""
    quiet(PYTHON, "-m", "venv", str(environment))
    pip = (str(environment / "bin" / "python"), "-m", "pip", "install", "-q")
    quiet(*pip, "--require-hashes", "--no-deps", "-r", LOCK)


def by_uv(environment: Path) -> None:
    """Make an environment with uv."""
    quiet("uv", "venv", "-q", "--python", PYTHON, str(environment))
    python = ("--python", str(environment / "bin" / "python"))
    quiet("uv", "pip", "install", "-q", *python, "--require-hashes", "--no-deps", "-r", LOCK)


def size(folder: Path) -> float:
    """Return megabytes of all files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def quiet(*command: str) -> None:
    """Run a command; stop the bench with its output where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"bench: {command[0]} failed: {done.stderr[-2000:]}")


def environment(folder: Path, url: str) -> dict[str, str]:
    """Return an environment with MLflow's address, and nothing of ours."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "MLFLOW_TRACKING_URI": url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def machine() -> str:
    """Return what the figures were measured on."""
    return (
        f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def say(words: str) -> None:
    """Tell what is being measured; progress is no part of the table."""
    print(f"· {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
