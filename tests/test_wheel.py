"""What users get: the built wheel, installed from the lock into an environment that has nothing else."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import aigate

ROOT = Path(__file__).parent.parent
STORY = ROOT / "examples/silent-lag"

pytestmark = pytest.mark.slow


def _do(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with the tools of the lock."""
    folder = tmp_path_factory.mktemp("dist")
    _do(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and the base lock, made by uv where it is installed."""
    folder = tmp_path_factory.mktemp("user") / "venv"
    python = folder / "bin/python"
    if shutil.which("uv"):
        _do("uv", "venv", "--quiet", "--python", sys.executable, folder)
        install = ["uv", "pip", "install", "--quiet", "--python", str(python)]
    else:
        _do(sys.executable, "-m", "venv", folder)
        install = [str(python), "-m", "pip", "install", "-qq", "--no-input", "--disable-pip-version-check"]
    _do(*install, "--require-hashes", "--no-deps", "-r", ROOT / "requirements/base.txt")
    _do(*install, "--no-deps", wheel)
    return folder


def _aigate(venv: Path, *args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed command with no environment at all."""
    return subprocess.run(
        [venv / "bin/aigate", *args], cwd=cwd, env={}, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_wheel_carries_the_package_and_the_policies_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"aigate_mlops-{aigate.__version__}.dist-info"
    policies = {f"aigate/standard/{path.name}" for path in (ROOT / "policies").glob("*.py")}
    modules = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src/aigate").rglob("*.py")}
    assert policies
    assert names >= policies | modules | {
        "aigate/standard/README.md",
        "aigate/standard/WRITING.md",
        "aigate/py.typed",
    }
    assert f"{info}/licenses/LICENSE" in names
    rest = {name for name in names - policies - modules if not name.startswith(f"{info}/")}
    assert rest == {
        "aigate/standard/README.md",
        "aigate/standard/WRITING.md",
        "aigate/py.typed",
        "aigate_pytest.py",
    }


def test_it_says_its_version(venv: Path, tmp_path: Path) -> None:
    done = _aigate(venv, "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"aigate {aigate.__version__}\n", "")


def test_it_lists_the_standard_policies(venv: Path, tmp_path: Path) -> None:
    done = _aigate(venv, "policies", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for theme in ("ownership", "evaluation", "provenance", "freshness", "pipeline"):
        assert f"\n{theme}." in f"\n{done.stdout}"


def test_it_denies_what_the_example_says_is_denied(venv: Path, tmp_path: Path) -> None:
    done = _aigate(
        venv,
        "evaluate",
        "--snapshot",
        STORY / "snapshot.json",
        "--manifest",
        STORY / "aigate.yaml",
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("DENY ")
    assert done.stderr == ""


def test_it_comes_without_mlflow(venv: Path) -> None:
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('mlflow') is not None)"
    assert subprocess.run([venv / "bin/python", "-I", "-c", code], env={}, timeout=60).returncode == 0
