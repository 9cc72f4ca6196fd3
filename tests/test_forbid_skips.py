"""The plugin that makes a skip a failure: every way to skip, and what is left alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pytest

@pytest.mark.skip(reason="by mark")
def test_mark(): pass

@pytest.mark.skipif(True, reason="by condition")
def test_condition(): pass

def test_call():
    pytest.skip("by call")

@pytest.fixture
def absent():
    pytest.skip("by fixture")

def test_fixture(absent): pass

@pytest.fixture
def late():
    yield
    pytest.skip("at the end")

def test_end(late): pass

@pytest.mark.xfail(reason="known", strict=True)
def test_expected(): assert False

def test_good(): pass
"""

MODULE = """
import pytest

pytest.importorskip("no_such_module_anywhere")

def test_good(): pass
"""


def _run(folder: Path, suite: str, value: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_suite.py").write_text(suite)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -ra -p forbid_skips -p no:cacheprovider\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=folder,
        env=os.environ
        | {
            "AIGATE_FORBID_SKIPS": value,
            "PYTHONPATH": str(Path(__file__).parent),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


def _closing(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.strip().splitlines()[-1]


def test_every_skip_fails(tmp_path: Path) -> None:
    done = _run(tmp_path, SUITE, "1")
    assert done.returncode == 1
    assert _closing(done).startswith("1 failed, 2 passed, 1 xfailed, 4 errors in ")
    for reason in ("by mark", "by condition", "by call", "by fixture", "at the end"):
        assert reason in done.stdout
    assert "AIGATE_FORBID_SKIPS" in done.stdout


def test_a_module_that_skips_itself_fails(tmp_path: Path) -> None:
    done = _run(tmp_path, MODULE, "1")
    assert done.returncode != 0
    assert "no_such_module_anywhere" in done.stdout


@pytest.mark.parametrize("value", ["", "0"])
def test_without_the_variable_a_skip_is_a_skip(value: str, tmp_path: Path) -> None:
    done = _run(tmp_path, SUITE, value)
    assert done.returncode == 0
    assert _closing(done).startswith("2 passed, 5 skipped, 1 xfailed in ")


def test_the_suite_loads_it(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.has_plugin("forbid_skips")
