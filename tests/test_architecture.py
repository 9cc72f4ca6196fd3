"""The direction of the arrows: the contracts hold, and each of them bites."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

WORLDLY = {"__init__", "__main__", "examine", "gate", "rules", "testing", "cli", "action", "hook"}
"""Modules beside the rooms that are not centre: doors, the road itself, and what tests use."""


def _lint(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "lint-imports", "--no-logo", "--no-cache", *options],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_contracts_hold() -> None:
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_every_file_of_the_centre_is_kept_pure() -> None:
    """Folders touch the world; the files between them do not: a new file joins the contract with them."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pure = next(c for c in config["tool"]["importlinter"]["contracts"] if c["id"] == "pure")
    files = {path.stem for path in (ROOT / "src/aigate").glob("*.py")} - WORLDLY
    assert {f"aigate.{name}" for name in files} == set(pure["source_modules"])


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with their contracts, which hold there too."""
    root = tmp_path_factory.mktemp("architecture")
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    done = _lint(root)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.fixture
def tree(copied: Path, tmp_path: Path) -> Iterator[Path]:
    """The copy, put back as it was when the test is over."""
    kept = tmp_path / "kept"
    shutil.copytree(copied / "src", kept)
    yield copied
    shutil.rmtree(copied / "src")
    shutil.move(kept, copied / "src")


VIOLATIONS = {
    "the centre reaches the network": ("pure", {"policy.py": "import httpx"}),
    "the centre reads the clock": ("pure", {"evaluate.py": "import time"}),
    "the centre reads the environment inside a function": (
        "pure",
        {"decision.py": "def home() -> str:\n    import os\n\n    return os.sep"},
    ),
    "the centre logs": ("pure", {"stats.py": "from logging import getLogger"}),
    "evidence knows the decision": ("river", {"snapshot.py": "from aigate.evaluate import decide"}),
    "a low module takes its version from the top": ("river", {"errors.py": "from aigate import __version__"}),
    "a collector writes": (
        "river",
        {"enforce/__init__.py": '"""Effects out."""', "collect/strict.py": "import aigate.enforce"},
    ),
    "a report fetches": ("river", {"report/__init__.py": "from aigate.collect import fetch"}),
    "one door knows another": ("river", {"action.py": '"""A door."""\n\nimport aigate.cli'}),
    "a module without a room": ("river", {"helpers.py": '"""Odds and ends."""'}),
    "a report asks MLflow": ("mlflow", {"report/__init__.py": "def ask() -> None:\n    import mlflow"}),
    "a collector of another kind asks MLflow": ("mlflow", {"collect/strict.py": "import mlflow.tracking"}),
    "the road opens a connection itself": ("network", {"gate.py": "import httpx"}),
}


@pytest.mark.slow
@pytest.mark.parametrize(("contract", "additions"), VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_a_violation_is_caught(contract: str, additions: dict[str, str], tree: Path) -> None:
    for name, text in additions.items():
        path = tree / "src/aigate" / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write(f"\n\n{text}\n")
    done = _lint(tree, "--contract", contract)
    assert done.returncode == 1, done.stdout
    assert " 1 broken" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "import datetime\n\nNOW = datetime.datetime.now(datetime.UTC)\n",
        "from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)\n",
        "import os\n\nHOME = os.environ['HOME']\n",
        "from os import getenv\n",
        "from . import errors\n",
    ],
    ids=["clock", "clock by name", "environment", "getenv by name", "relative import"],
)
def test_the_linter_refuses_what_only_doors_may_do(text: str) -> None:
    done = subprocess.run(
        [BIN / "ruff", "check", "--no-cache", "--stdin-filename", "src/aigate/evaluate.py", "-"],
        cwd=ROOT,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "TID25" in done.stdout
