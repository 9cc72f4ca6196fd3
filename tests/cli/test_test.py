"""`aigate test` at its door: the tests run, the proof is told, and only 0 is a yes."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from aigate.cli import run
from aigate.prove import Proof
from aigate.report.context import ReportContext
from aigate.report.proof import render, render_json, render_junit
from aigate.scaffold import Seen, files
from aigate.testing import change, passing_snapshot
from aigate.trial.runs import run_tests, usual_tests

MANIFEST = """\
version: 1
system: churn
model: {name: churn}
policies: {standard: false}
environments: {staging: {params: {house.owned: {least: 3}}}}
"""
POLICY = """\
from aigate import Findings, Snapshot, deny, policy


@policy("house.owned", severity="low")
def owned(s: Snapshot, *, least: int = 0) -> Findings:
    \"\"\"Somebody owns the model.\"\"\"
    if s.owner is None:
        yield deny("nobody")
    elif len(s.model.name) < least:
        yield deny("too short")
"""
NEVER = """\
from aigate import Findings, Snapshot, deny, policy


@policy("house.never", severity="low")
def never(s: Snapshot) -> Findings:
    \"\"\"It never says no.\"\"\"
    if s.owner is not None and s.owner is None:
        yield deny("<script>::error::\\x1b[31m")
"""
TESTS = """\
from aigate.testing import change


def test_it_is_owned(gate, passing):
    assert gate.run("house.owned", passing).outcome == "pass"


def test_it_is_not(gate, passing):
    assert gate.run("house.owned", change(passing, "/owner", None)).outcome == "fail"
"""


@dataclass(frozen=True)
class Project:
    """A folder with a manifest, policies and tests."""

    folder: Path

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(tmp_path)
    for name, text in {
        "aigate.yaml": MANIFEST,
        "policies/owned.py": POLICY,
        "tests/policies/test_owned.py": TESTS,
    }.items():
        made.write(name, text)
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("PYTEST_", "COV_")):
            monkeypatch.delenv(name)
    return made


def aigate(*args: str) -> int:
    return run(["test", *args])


def test_tests_and_proof(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert aigate("--coverage", "60") == 0
    out = capsys.readouterr().out
    assert "house.owned (production): pass, fail" in out
    assert "tests: 2 passed" in out
    assert "60 % wanted" in out
    assert "1 of 1 policy is proven, 0 not;" in out


@pytest.mark.slow
def test_what_tests_have_not_seen_is_named(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert aigate("--coverage", "90") == 1
    out = capsys.readouterr().out
    assert "TOO LITTLE" in out
    assert "house.owned: never unknown, deny in line 10" in out


def test_a_rule_that_cannot_block_anything(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("policies/never.py", NEVER)
    assert aigate() == 1
    out = capsys.readouterr().out
    assert "UNPROVEN house.never (production) policies/never.py" in out
    assert "this rule cannot block anything" in out
    assert "1 of 2 policies are proven, 1 not" in out


def test_tests_that_fail_are_not_a_yes(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("tests/policies/test_more.py", "def test_no():\n    assert '::error::' == 'x'\n")
    assert aigate() == 1
    said = capsys.readouterr()
    assert "TESTS FAILED: 1 of 3 failed" in said.out
    assert "test_more.py" in said.err
    assert not [line for line in said.err.splitlines() if line.strip().startswith("::")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("import nothing_of_this_name\n", "exit code", id="cannot-be-collected"),
        pytest.param("", "no test ran and passed", id="empty"),
        pytest.param(
            "import os\n\ndef test_it():\n    os._exit(0)\n", "did not come to its end", id="exits-with-0"
        ),
        pytest.param(
            "import pytest\n\ndef test_it():\n    pytest.exit('bye', 0)\n",
            "before 1 of the tests",
            id="leaves-early-with-0",
        ),
        pytest.param(
            "import pytest\n\n@pytest.mark.skip\ndef test_it(): ...\n", "no test ran and passed", id="skips"
        ),
    ],
)
def test_a_session_that_did_not_test_is_not_a_yes(
    text: str, words: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.folder / "tests/policies/test_owned.py").write_text(text)
    assert aigate() == 1
    out = capsys.readouterr().out
    assert "TESTS FAILED" in out
    assert words in out


@pytest.mark.slow
def test_a_policy_that_looks_for_pytest_is_found_out(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(
        "policies/two_faced.py",
        NEVER.replace("house.never", "house.two")
        .replace("from aigate", "import sys\n\nfrom aigate", 1)
        .replace(
            "s.owner is not None and s.owner is None",
            "s.owner is None or (s.stages and 'pytest' in sys.modules)",
        ),
    )
    project.write(
        "tests/policies/test_two.py",
        "from pathlib import Path\n\nfrom aigate.testing import load_policy\n\n"
        "path = Path(__file__).parents[2] / 'policies' / 'two_faced.py'\n\n\n"
        "def test_it(passing):\n    assert load_policy(path, 'house.two').run(passing).outcome == 'fail'\n",
    )
    assert aigate() == 1
    out = capsys.readouterr().out
    assert "tests: 3 passed" in out
    assert "fail in tests/policies/test_two.py::test_it, pass in the gate" in out


@pytest.mark.slow
def test_tests_of_another_file_of_the_same_id_count_for_nothing(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("copy/owned.py", POLICY + "\n# edited\n")
    project.write(
        "tests/policies/test_owned.py",
        "from pathlib import Path\n\nfrom aigate.testing import change, load_policy\n\n"
        "owned = load_policy(Path(__file__).parents[2] / 'copy' / 'owned.py', 'house.owned')\n\n\n"
        "def test_it(passing):\n    assert owned.run(change(passing, '/owner', None)).outcome == 'fail'\n",
    )
    assert aigate("--coverage", "1") == 1
    assert "seen by tests: 0 %" in capsys.readouterr().out


def test_without_pytest_the_proof_still_runs(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aigate.trial.runs.find_spec", lambda name: None)
    assert aigate() == 2
    out = capsys.readouterr().out
    assert "tests: NOT RUN, pytest is not installed" in out
    assert "1 of 1 policy is proven" in out


@pytest.mark.slow
def test_environments_have_their_own_parameters(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert aigate("-e", "production", "-e", "staging", "--no-tests", "--format", "json") == 0
    proof = Proof.model_validate_json(capsys.readouterr().out)
    assert [(one.policy, one.environment) for one in proof.policies] == [
        ("house.owned", "production"),
        ("house.owned", "staging"),
    ]
    assert proof.tested.state == "none"


@pytest.mark.slow
def test_recorded_evidence_is_tried_too(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    evidence = change(passing_snapshot(), "/model/name", "mine")
    project.write("evidence.json", evidence.model_dump_json(by_alias=True))
    assert aigate("--no-tests", "--snapshot", "evidence.json", "--format", "json") == 0
    more = Proof.model_validate_json(capsys.readouterr().out).tried
    assert aigate("--no-tests", "--format", "json") == 0
    assert Proof.model_validate_json(capsys.readouterr().out).tried < more


def test_reports_are_written(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("policies/never.py", NEVER)
    assert aigate("--no-tests", "-o", "junit:out/j.xml", "-o", "json:out/j.json") == 1
    tree = ET.fromstring((project.folder / "out/j.xml").read_text())
    assert (tree.attrib["tests"], tree.attrib["failures"]) == ("3", "1")
    (failure,) = tree.iter("failure")
    assert failure.attrib["message"].startswith("never_fails: this rule cannot block anything")
    assert [case.attrib["name"] for case in tree.iter("testcase")] == ["house.never", "house.owned", "tests"]
    proof = Proof.model_validate_json((project.folder / "out/j.json").read_bytes())
    assert json.loads(render_json(proof, ReportContext()))["schema"] == "aigate.test/v1"


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(("-e", "nowhere"), id="no-such-environment"),
        pytest.param(("--coverage", "101"), id="more-than-all"),
        pytest.param(("-o", "sarif:x"), id="no-such-format"),
        pytest.param(("-o", "junit"), id="no-file"),
        pytest.param(("tests/nowhere",), id="no-such-tests"),
        pytest.param(("--no-tests", "tests"), id="tests-and-none"),
        pytest.param(("--snapshot", "nowhere.json"), id="no-such-evidence"),
        pytest.param(("-m", "nowhere.yaml"), id="no-such-manifest"),
        pytest.param(("--seconds", "0"), id="no-time"),
    ],
)
def test_usage(args: tuple[str, ...], project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert aigate(*args) == 2
    assert "aigate: " in capsys.readouterr().err


def test_a_policy_that_does_not_load(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write(
        "policies/broken.py", NEVER.replace("house.never", "house.broken") + "\nraise ValueError('x')\n"
    )
    assert aigate("--no-tests") == 2
    assert "broken.py:10: does not load" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_no_yes(project: Project) -> None:
    project.write("file", "")
    assert aigate("--no-tests", "-o", "json:file/under/it.json") == 70


@pytest.mark.slow
def test_what_a_policy_says_is_harmless_in_every_format(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(
        "policies/loud.py",
        NEVER.replace("house.never", "house.loud")
        .replace('yield deny("<script>::error::\\x1b[31m")', "yield deny('')")
        .replace(
            "if s.owner is not None", "raise ValueError('</failure>\\n::error::\\x1b[31mx')\n    if s.owner"
        ),
    )
    for shape in ("text", "json", "junit"):
        assert aigate("--no-tests", "--format", shape) == 1
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert not [line for line in out.splitlines() if line.strip().startswith("::")]
        if shape == "junit":
            ET.fromstring(out)


@pytest.mark.slow
def test_the_first_policy_of_a_project_is_proven_with_its_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Seen("churn", "champion", "challenger", "o", "#c", "1", (), "m.ito", date(2026, 11, 21))
    made = Project(tmp_path)
    for name, text in files(seen).items():
        made.write(name, text)
    manifest = tmp_path / "aigate.yaml"
    manifest.write_text(manifest.read_text() + "policies: {standard: false}\n")
    monkeypatch.chdir(tmp_path)
    assert aigate("--coverage", "100") == 0, capsys.readouterr().out
    assert "tests: 3 passed" in capsys.readouterr().out


def test_tests_beside_a_manifest(tmp_path: Path) -> None:
    assert usual_tests(tmp_path) == ()
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "x.py").write_text("")
    assert usual_tests(tmp_path) == ()
    (tmp_path / "policies" / "tests").mkdir()
    (tmp_path / "policies" / "tests" / "test_x.py").write_text("")
    assert usual_tests(tmp_path) == (tmp_path / "policies",)


def test_no_tests_is_said(tmp_path: Path) -> None:
    ran = run_tests((), tmp_path, {}, manifest=None, environment="production")
    assert (ran.tested.state, ran.tested.words) == ("none", "there are no tests of policies")


def test_a_proof_of_ascii_only(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert aigate("--no-tests", "--format", "json") == 0
    proof = Proof.model_validate_json(capsys.readouterr().out)
    plain = ReportContext(unicode=False, verbose=True)
    for make in (render, render_json, render_junit):
        assert make(proof, plain).isascii()


@pytest.mark.slow
def test_the_standard_pack_without_a_manifest(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "aigate", "test"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 not" in done.stdout
    assert "pipeline.watched (production): off in production: it fails with max_silence: 15m" in done.stdout
