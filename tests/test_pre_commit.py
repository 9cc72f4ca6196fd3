"""The hook for pre-commit: it is set off by the right files, and says what `aigate check` says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
HOOK: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]
MANIFEST = """\
version: 1
system: churn
model: {name: churn}
metrics: {accuracy: {range: [0, 1], floor: 0.9}}
stages: [{name: raw, freshness: {file: fresh.json, time: at, max_age: 2h}}]
"""


def test_the_hook_runs_what_this_project_installs() -> None:
    assert (HOOK["id"], HOOK["language"], HOOK["require_serial"]) == ("aigate-check", "python", True)
    assert HOOK["entry"] == "aigate check"
    assert HOOK.get("pass_filenames", True), "it is told the files"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("aigate.yaml", True),
        ("aigate.yml", True),
        ("models/churn/aigate.yaml", True),
        ("churn.aigate.yaml", True),
        ("models/churn.aigate.yaml", True),
        ("policies/house.py", True),
        ("models/churn/policies/house.py", True),
        ("policies/tests/test_house.py", False),
        ("policies/house.yaml", False),
        ("mypolicies/house.py", False),
        ("notaigate.yaml", False),
        ("aigate.yaml.orig", False),
        ("aigate.yaml/readme.md", False),
        ("aigateXyaml", False),
        ("src/aigate.py", False),
    ],
)
def test_files_that_set_it_off(path: str, wanted: bool) -> None:
    assert bool(re.search(HOOK["files"], path)) is wanted  # as pre-commit does


def hook(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run the hook's entry as pre-commit does: in the root, with the names of the files that changed."""
    found = [name for name in names if re.search(HOOK["files"], name)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [*shlex.split(HOOK["entry"]), *found],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_commit_that_breaks_a_rule_is_stopped(tmp_path: Path) -> None:
    house = tmp_path / "models/churn/policies/house.py"
    house.parent.mkdir(parents=True)
    house.write_text((ROOT / "policies/ownership.py").read_text().replace('"ownership.', '"house.'))
    (tmp_path / "models/churn/aigate.yaml").write_text(MANIFEST)
    (tmp_path / "aigate.yaml").write_text(MANIFEST)
    names = ("README.md", "aigate.yaml", "models/churn/aigate.yaml", "models/churn/policies/house.py")
    done = hook(tmp_path, *names)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["ok", "aigate.yaml"],
        ["ok", "models/churn/aigate.yaml"],
    ]
    house.write_text(house.read_text() + "\nimport nonsense_7f\n")
    done = hook(tmp_path, "models/churn/policies/house.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("aigate: models/churn/policies/house.py:")
