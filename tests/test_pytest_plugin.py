"""The pytest plugin, in sessions of pytest of its own: its fixtures, its record, and what it costs unused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aigate.testing.record import Summary, read_records, read_summary

POLICY = """\
from aigate import Findings, Snapshot, deny, policy


@policy("house.described", severity="low")
def described(s: Snapshot, *, least: int = 20) -> Findings:
    \"\"\"The model says what it is for.\"\"\"
    if len(s.model.description) < least:
        yield deny("too few words")
"""
MANIFEST = """\
version: 1
system: churn
model: {name: churn}
policies: {standard: false}
environments: {production: {params: {house.described: {least: 5}}}, staging: {params: {house.described: {least: 0}}}}
"""
TESTS = """\
from pathlib import Path

import pytest

from aigate.errors import UsageError
from aigate.testing import change, load_policy, missing

described = load_policy(Path(__file__).parents[1] / "policies" / "described.py", "house.described")


def test_the_gate_s_parameters_are_the_manifest_s(gate, passing):
    assert gate.run("house.described", change(passing, "/model/description", "churn")).outcome == "pass"
    assert gate.run(described, change(passing, "/model/description", "chur")).outcome == "fail"
    assert gate.run(described, passing, least=0).outcome == "pass"


def test_decisions(gate, passing):
    assert gate.decide(passing).verdict == "deny"
    assert gate.decide(change(passing, "/model", missing("503"))).verdict == "hold"


def test_in_this_process(passing):
    assert described.run(passing, least=3).outcome == "fail"


def test_a_policy_that_is_not_in_force(gate, passing):
    with pytest.raises(UsageError, match="no policy 'ownership.stages' is in force"):
        gate.run("ownership.stages", passing)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "aigate.yaml": MANIFEST,
        "policies/described.py": POLICY,
        "tests/test_described.py": TESTS,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def pytest_(folder: Path, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *args],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_fixtures_and_record(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    records = tmp_path_factory.mktemp("records")
    done = pytest_(project, "-p", "aigate_pytest", f"--aigate-record={records}", "tests")
    assert done.returncode == 0, done.stdout
    assert read_summary(records) == Summary(passed=4, failed=0, left=0)
    found = read_records(records)
    assert {run.outcome for run in found} == {"pass", "fail", "unknown"}
    assert {run.policy for run in found} == {"house.described"}
    in_process = [run for run in found if run.digest is not None]
    assert [(run.params, run.test.rpartition("::")[2]) for run in in_process] == [
        ({"least": 3}, "test_in_this_process")
    ]
    assert [run.params for run in found if run.digest is None and run.params] == [{"least": 0}]
    assert all(json.loads(run.snapshot)["schema"] == "aigate.snapshot/v1" for run in found)


def test_another_environment_and_manifest_can_be_named(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "test_it.py").write_text(
        "def test_it(gate, passing):\n    assert gate.run('house.described', passing).outcome == 'pass'\n"
    )
    named = (
        "-p",
        "aigate_pytest",
        f"--aigate-manifest={project / 'aigate.yaml'}",
        "--aigate-environment=staging",
    )
    assert pytest_(elsewhere, *named).returncode == 0


def test_the_nearest_manifest_within_the_repository_is_taken(project: Path) -> None:
    (project / "inner").mkdir()
    (project / "inner" / ".git").mkdir()
    (project / "inner" / "test_it.py").write_text(
        "def test_it(gate):\n    assert gate.manifest is None\n    assert 'ownership.stages' in gate.policies\n"
    )
    assert pytest_(project / "inner", "-p", "aigate_pytest").returncode == 0


def test_a_broken_manifest_is_the_test_s_error(project: Path) -> None:
    (project / "aigate.yaml").write_text("version: 2\n")
    done = pytest_(project, "-p", "aigate_pytest", "tests")
    assert done.returncode == 1
    assert "ConfigError" in done.stdout


def test_it_costs_nothing_where_it_is_not_used(tmp_path: Path) -> None:
    """As pytest finds it where aigate is installed: by its entry point, and without importing the package."""
    info = tmp_path / "site" / "aigate_plugin-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aigate-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[pytest11]\naigate_pytest = aigate_pytest\n")
    (tmp_path / "test_it.py").write_text(
        "import sys\n\n\ndef test_it(request):\n"
        "    assert request.config.pluginmanager.get_plugin('aigate_pytest')\n"
        "    assert not [name for name in sys.modules if name.partition('.')[0] == 'aigate']\n"
        "    assert 'pydantic' not in sys.modules\n"
    )
    source = Path(__file__).parents[1] / "src"
    for twice in ((), ("-p", "aigate_pytest")):
        done = pytest_(tmp_path, *twice, "test_it.py", PYTHONPATH=f"{tmp_path / 'site'}:{source}")
        assert done.returncode == 0, done.stdout + done.stderr
    assert "aigate_pytest" in (Path(__file__).parents[1] / "pyproject.toml").read_text()


def test_what_was_written_down_is_read_with_care(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_text('nonsense\n{"policy": "a"}\n[]\n{"snapshot": "../../etc/passwd"}\n')
    assert read_records(tmp_path) == ()
    assert read_summary(tmp_path) is None
