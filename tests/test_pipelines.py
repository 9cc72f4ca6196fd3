"""The steps for other pipelines, run as those run them: against a real MLflow server, with a good and a bad version."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

import mlflow_seed
from cli.conftest import System
from cli.conftest import system as system  # a fixture
from fakes import Reply
from servers import MlflowServer

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
GITLAB = ROOT / "examples/gitlab/.gitlab-ci.yml"
JENKINS = ROOT / "examples/jenkins/Jenkinsfile"
SHELL = ROOT / "examples/shell/gate.sh"
GOOD, BAD = "3", "2"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Ran:
    """A script that came to its end."""

    code: int
    out: str
    err: str


@pytest.fixture
def seeded(mlflow_server: MlflowServer) -> mlflow_seed.Churn:
    """A model of the test's own: v1 in service, v2 bad, v3 good and asking."""
    client = mlflow_seed.connect(mlflow_server.url)
    churn = mlflow_seed.seed_churn(client, f"pipelines-{os.getpid()}-{next(_numbers)}")
    good = mlflow_seed.register(client, churn.name, churn.experiment_id, accuracy=0.945, weights="better")
    assert good.version == GOOD
    client.set_registered_model_alias(churn.name, "challenger", GOOD)
    return churn


@pytest.fixture
def adopted(system: System) -> System:
    """The system with a ledger."""
    words = ("adopt", "--reason", "before aigate", "--as", "retention-platform")
    assert system.aigate(*words).code == 0
    (system.folder / ".aigate-env").symlink_to(BIN.parent)
    return system


def ask(system: System, version: str) -> None:
    """Let a version ask for the alias."""
    mlflow_seed.connect(system.uri).set_registered_model_alias(system.churn.name, "challenger", version)


def holder(system: System) -> str:
    """The version that holds the alias."""
    client = mlflow_seed.connect(system.uri)
    return str(client.get_registered_model(system.churn.name).aliases["champion"])


def run(system: System, words: Sequence[str | Path], folder: Path | None = None, **environ: str) -> Ran:
    """Run a script in the manifest's folder, with aigate on the PATH."""
    done = subprocess.run(
        words,
        cwd=folder or system.folder,
        env={
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(system.folder),
            "MLFLOW_TRACKING_URI": system.uri,
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def silence(system: System) -> None:
    """Let a source answer with an error."""
    system.web.routes["/features.json"] = Reply(status=503)


def spoil(system: System) -> None:
    """Make the manifest one that does not load."""
    (system.folder / "aigate.yaml").write_text("version: 1\nsystem: [\n")


def deny(system: System) -> None:
    """Let the bad version ask."""
    ask(system, BAD)


TROUBLES: dict[int, Callable[[System], None]] = {1: deny, 2: spoil, 3: silence}
"""What keeps a version from being promoted, by the exit code that it comes to."""


# ---- the shell


@pytest.mark.server
def test_the_shell_promotes_what_is_allowed(adopted: System) -> None:
    ran = run(adopted, [str(SHELL)])
    assert ran.code == 0, ran.out + ran.err
    assert holder(adopted) == GOOD
    reports = adopted.folder / "aigate-reports"
    record = json.loads((reports / "record.json").read_text())
    assert (record["verdict"], record["subject"]["version"]) == ("allow", GOOD)
    assert f"version {GOOD} holds the alias, as decision {record['id']}" in ran.out
    assert json.loads((reports / "result.json").read_text())["result"] == "done"
    ElementTree.parse(reports / "junit.xml")
    assert (reports / "snapshot.json").is_file()


@pytest.mark.server
@pytest.mark.parametrize("code", TROUBLES)
def test_the_shell_ends_with_the_code_and_moves_nothing(adopted: System, code: int) -> None:
    reports = adopted.folder / "elsewhere"
    reports.mkdir()
    for name in ("record.json", "result.json", "junit.xml"):
        (reports / name).write_text("of another time")
    TROUBLES[code](adopted)
    ran = run(adopted, [str(SHELL)], REPORTS=str(reports))
    assert ran.code == code, ran.out + ran.err
    assert "gate: " in ran.err
    assert holder(adopted) == "1"
    assert not (reports / "result.json").exists()
    assert (reports / "record.json").exists() is (code != 2)
    assert (reports / "junit.xml").exists() is (code != 2)


@pytest.mark.server
def test_the_shell_takes_a_subject_and_no_option(adopted: System) -> None:
    assert run(adopted, [str(SHELL), f"{adopted.churn.name}@{BAD}"]).code == 1
    assert run(adopted, [str(SHELL), "--help"]).code == 2
    assert holder(adopted) == "1"


@pytest.mark.server
def test_the_shell_keeps_the_code_of_a_refused_promotion(system: System) -> None:
    """Nobody has adopted the champion, so the act is refused after an `allow`."""
    ran = run(system, [str(SHELL)])
    assert ran.code == 1
    assert "the alias was not moved" in ran.err
    assert holder(system) == "1"


# ---- GitLab


def gitlab(job: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(GITLAB.read_text())[job]
    return found


def gitlab_job(system: System, job: str, folder: Path | None = None, **environ: str) -> Ran:
    """Run a job's script as GitLab's runner does: one bash, that ends at the first line that fails."""
    lines = gitlab(job)["script"]
    return run(system, ["bash", "-c", "set -eo pipefail\n" + "\n".join(lines)], folder, **environ)


def brought(system: System, job: str, to: Path) -> dict[str, str]:
    """Bring a job's artifacts and the variables of its dotenv report to the next job's folder."""
    artifacts = gitlab(job)["artifacts"]
    assert artifacts["when"] == "always"
    to.mkdir()
    for name in ("aigate.yaml", "runbook.md"):
        shutil.copy(system.folder / name, to)
    for path in artifacts["paths"]:
        shutil.copytree(system.folder / path, to / path)
    dotenv = (system.folder / artifacts["reports"]["dotenv"]).read_text()
    return dict(line.split("=", 1) for line in dotenv.splitlines())


def test_gitlab_knows_every_key_of_it() -> None:
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.gitlab-ci", str(GITLAB)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_gitlab_lets_nothing_fail_in_silence() -> None:
    assert "allow_failure" not in gitlab("gate")
    assert gitlab("promote")["allow_failure"] is False, "a manual job's default is true"
    assert gitlab("promote")["needs"] == ["gate"]
    assert "||" not in "\n".join(gitlab("gate")["script"] + gitlab("promote")["script"])


@pytest.mark.server
def test_gitlab_promotes_what_the_gate_allowed(adopted: System, tmp_path: Path) -> None:
    gate = gitlab_job(adopted, "gate")
    assert gate.code == 0, gate.out + gate.err
    reports = gitlab("gate")["artifacts"]["reports"]
    ElementTree.parse(adopted.folder / reports["junit"])
    assert isinstance(json.loads((adopted.folder / reports["codequality"]).read_text()), list)
    next_job = tmp_path / "next"
    variables = brought(adopted, "gate", next_job)
    assert variables["AIGATE_VERSION"] == GOOD
    promote = gitlab_job(adopted, "promote", next_job, **variables)
    assert promote.code == 0, promote.out + promote.err
    assert holder(adopted) == GOOD
    result = json.loads((next_job / "promote/result.json").read_text())
    assert (result["result"], result["to"]["version"]) == ("done", GOOD)
    ElementTree.parse(next_job / gitlab("promote")["artifacts"]["reports"]["junit"])


@pytest.mark.server
@pytest.mark.parametrize("code", TROUBLES)
def test_gitlab_stops_at_the_gate(adopted: System, code: int) -> None:
    TROUBLES[code](adopted)
    assert gitlab_job(adopted, "gate").code == code
    assert not (adopted.folder / "gate.env").exists()
    assert (adopted.folder / "gate/codequality.json").exists() is (code != 2)
    assert holder(adopted) == "1"


@pytest.mark.server
@pytest.mark.parametrize("how", ["another-record", "no-id"])
def test_gitlab_promotes_by_no_other_record(adopted: System, tmp_path: Path, how: str) -> None:
    assert gitlab_job(adopted, "gate").code == 0
    next_job = tmp_path / "next"
    variables = brought(adopted, "gate", next_job)
    if how == "no-id":
        variables["AIGATE_DECISION_ID"] = ""
    else:  # as good as the first, and another one
        told = (
            "evaluate",
            f"@{GOOD}",
            "--environment",
            "production",
            "-o",
            f"json:{next_job}/gate/record.json",
        )
        assert adopted.aigate(*told, GITLAB_CI="true", GITLAB_USER_LOGIN="mallory").code == 0
    promote = gitlab_job(adopted, "promote", next_job, **variables)
    assert promote.code == 2, promote.out + promote.err
    assert holder(adopted) == "1"


# ---- Jenkins


def jenkins(stage: str) -> str:
    """Return the text of a stage."""
    text = JENKINS.read_text()
    begin = text.index(f"stage('{stage}')")
    end = text.find("stage('", begin + 1)
    return text[begin : end if end > 0 else text.index("post {")]


def jenkins_stage(system: System, stage: str, **environ: str) -> tuple[Ran, dict[str, str]]:
    """Run a stage's `sh` steps as Jenkins does, each in a `sh -xe` of its own; return what it kept, too."""
    kept: dict[str, str] = {}
    steps = re.findall(
        r"(?:env\.(\w+) = )?sh\(?(?:returnStdout: true, script: )?\s*'''(.*?)'''", jenkins(stage), re.DOTALL
    )
    assert steps
    ran = Ran(70, "", "")
    for name, script in steps:
        ran = run(system, ["sh", "-xe", "-c", script], None, **environ)
        if ran.code:
            break
        if name:
            kept[name] = ran.out.strip()
    return ran, kept


def test_jenkins_keeps_every_exit_code() -> None:
    text = JENKINS.read_text()
    assert "returnStatus" not in text
    assert "catchError" not in text
    assert "||" not in text
    assert text.count("{") == text.count("}")
    post = text[text.index("post {") :]
    assert re.search(r"always \{\s*junit .*allowEmptyResults: true\s*archiveArtifacts ", post)


@pytest.mark.server
def test_jenkins_promotes_what_the_gate_allowed(adopted: System) -> None:
    gate, kept = jenkins_stage(adopted, "Gate", SUBJECT="")
    assert gate.code == 0, gate.out + gate.err
    record = json.loads((adopted.folder / "gate/record.json").read_text())
    assert kept == {"AIGATE_DECISION_ID": record["id"], "AIGATE_VERSION": GOOD}
    promote, _ = jenkins_stage(adopted, "Promote", **kept)
    assert promote.code == 0, promote.out + promote.err
    assert holder(adopted) == GOOD
    for name in ("gate/junit.xml", "promote/junit.xml"):
        ElementTree.parse(adopted.folder / name)


@pytest.mark.server
def test_jenkins_asks_about_the_version_that_is_named(adopted: System) -> None:
    gate, kept = jenkins_stage(adopted, "Gate", SUBJECT=f"{adopted.churn.name}@{BAD}")
    assert (gate.code, kept) == (1, {})
    assert (adopted.folder / "gate/junit.xml").is_file()
    option, _ = jenkins_stage(adopted, "Gate", SUBJECT="--manifest=/nowhere")
    assert option.code == 2
    assert "nowhere: there is no manifest" not in option.err


@pytest.mark.server
def test_jenkins_promotes_by_no_other_record(adopted: System) -> None:
    gate, kept = jenkins_stage(adopted, "Gate", SUBJECT="")
    assert gate.code == 0
    again = ("evaluate", "-o", "json:gate/record.json")
    assert adopted.aigate(*again, GITLAB_CI="true", GITLAB_USER_LOGIN="mallory").code == 0
    promote, _ = jenkins_stage(adopted, "Promote", **kept)
    assert promote.code == 2, promote.out + promote.err
    assert holder(adopted) == "1"


# ---- how aigate gets there

INSTALLS = {
    "gitlab": "\n".join(gitlab(".aigate")["before_script"]),
    "jenkins": jenkins("Install"),
    "shell": (SHELL.parent / "README.md").read_text(),
}


@pytest.mark.parametrize("where", INSTALLS)
def test_only_what_is_locked_is_installed(where: str) -> None:
    lines = [line for line in INSTALLS[where].splitlines() if "pip install" in line]
    assert len(lines) == 2
    assert re.search(r"--require-hashes --no-deps -r \S*requirements/base\.txt$", lines[0])
    assert re.search(r"--no-deps (?:\.|\./\.aigate|/tmp/aigate)$", lines[1])
    if where != "shell":
        assert 'checkout --quiet --detach "$AIGATE_COMMIT"' in INSTALLS[where]
