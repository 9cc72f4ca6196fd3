"""action.yml and the shipped workflows, read as the runner reads them."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from action.runner import OURS, PINS, ROOT
from aigate.action.inputs import PREFIX, Inputs
from aigate.action.outcome import Outcome

TEXT = (ROOT / "action.yml").read_text()
ACTION: dict[str, Any] = yaml.safe_load(TEXT)
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
EXAMPLES = sorted((ROOT / "examples/github").glob("*.yml"))
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
SECRETIVE = re.compile(r"token|password|secret|key\b", re.IGNORECASE)


def read(path: Path) -> dict[str, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text())
    if True in loaded:  # `on` is a truth value to YAML 1.1
        loaded["on"] = loaded.pop(True)
    return loaded


def test_it_is_made_of_our_own_scripts_alone() -> None:
    assert ACTION["runs"]["using"] == "composite"
    for step in STEPS:
        assert "uses" not in step
        assert step["shell"] == "bash"
        script = re.fullmatch(r'"\$GITHUB_ACTION_PATH/(scripts/action/[a-z]+\.sh)"', step["run"])
        assert script is not None, step["run"]
        assert (ROOT / script[1]).stat().st_mode & 0o111, "the runner starts it"


def test_no_expression_is_a_part_of_a_script() -> None:
    for step in STEPS:
        assert "${{" not in step["run"]
        assert set(step) <= {"name", "id", "if", "shell", "env", "run", "continue-on-error"}
    for script in (ROOT / "scripts/action").glob("*.sh"):
        assert "${{" not in script.read_text()


def test_the_steps_come_in_their_order_and_only_the_last_has_a_say() -> None:
    names = [step["name"] for step in STEPS]
    assert names == ["Install", "Decide", "Advise", "Publish", "Enforce"]
    install, decide, advise, publish, enforce = STEPS
    for step in (install, decide, enforce):
        assert "continue-on-error" not in step
    for step in (advise, publish):
        assert step["continue-on-error"] is True
    assert "if" not in install
    assert "if" not in decide
    assert publish["if"] == enforce["if"] == "always()"
    assert set(EXPRESSION.findall(str(enforce["env"]))) == {
        " steps.run.outputs.exit-code ",
        " steps.run.outputs.yes ",
        " steps.run.outputs.said ",
    }


def test_every_input_is_used_in_an_environment_and_means_what_it_is_called() -> None:
    used: dict[str, set[str]] = {}
    for step in STEPS:
        for name, value in step["env"].items():
            for expression in EXPRESSION.findall(str(value)):
                assert value == f"${{{{{expression}}}}}", "whole, or a value could be taken for a part"
                if found := re.fullmatch(r" inputs\.([a-z-]+) ", expression):
                    used.setdefault(found[1], set()).add(name)
    assert set(used) == set(ACTION["inputs"])
    for name, variables in used.items():
        plain = name.upper().replace("-", "_")
        special = {"installer": "AIGATE_INSTALLER", "github-token": "AIGATE_GITHUB_TOKEN"}
        assert variables == {special.get(name, f"{PREFIX}{plain}")}
    for step in STEPS:
        assert "inputs." not in step["run"]


def test_every_variable_that_a_step_reads_is_set_by_it() -> None:
    set_by = {step["name"]: set(step["env"]) for step in STEPS}
    wanted = {f"{PREFIX}{field.name.upper()}" for field in fields(Inputs)}
    assert wanted <= set_by["Decide"], "what a step does not set, a caller's environment could"
    source = "".join(path.read_text() for path in (ROOT / "src/aigate/action").glob("*.py"))
    everything = set().union(*set_by.values()) | {"AIGATE_ACTION_TOKEN", "AIGATE_INPUT_"}
    for name in re.findall(r"\bAIGATE_(?:INPUT|ACTION)_[A-Z_]*", source):
        assert name in everything or f"{name}_" in everything, name
    publish = (ROOT / "src/aigate/action/publish.py").read_text()
    for name in re.findall(r"\bAIGATE_(?:INPUT|ACTION|GITHUB)_[A-Z_]+[A-Z]", publish):
        assert name in set_by["Publish"], name
    for flag in re.findall(r'_wanted\(environ, "([a-z]+)"\)', publish):
        assert f"{PREFIX}{flag.upper()}" in set_by["Publish"]


def test_every_output_is_written() -> None:
    written = set(Outcome().outputs) | {
        "exit-code",
        "report-dir",
        "record",
        "snapshot",
        "report",
        "sarif",
        "junit",
    }
    for name, output in ACTION["outputs"].items():
        assert output["value"] == f"${{{{ steps.run.outputs.{name} }}}}"
        assert name in written
        assert output["description"]
    for output in re.findall(r"steps\.run\.outputs\.([a-z-]+)", TEXT):
        assert output in written | {"advise"}
    for output in re.findall(r"steps\.install\.outputs\.([a-z-]+)", TEXT):
        assert f'echo "{output}=' in (ROOT / "scripts/action/install.sh").read_text()


def test_inputs_have_defaults_and_no_credential_is_one() -> None:
    for name, input_ in ACTION["inputs"].items():
        assert set(input_) == {"description", "default"}
        assert name == "github-token" or "${{" not in input_["default"]
        assert name == "github-token" or not SECRETIVE.search(name)
    defaults = {field.name: field.default for field in fields(Inputs) if field.name != "command"}
    for name, default in defaults.items():
        said = ACTION["inputs"][name.replace("_", "-")]["default"]
        assert said == (str(default).lower() if isinstance(default, bool) else default)
    assert ACTION["inputs"]["command"]["default"] == "evaluate"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_pinned_and_has_no_more_rights_than_it_says_why(path: Path) -> None:
    text, loaded = path.read_text(), read(path)
    uses = re.findall(r"^\s*-?\s*uses:\s*(.*)$", text, re.MULTILINE)
    assert uses
    for used in uses:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used
        pin = used.split(" ")[0]
        assert pin == OURS or pin in PINS or pin.startswith("actions/checkout@")
    assert loaded["permissions"] == {}
    granted = 0
    for name, job in loaded["jobs"].items():
        assert job["permissions"], f"{name} says what it may do"
        assert "timeout-minutes" in job
        granted += len(job["permissions"])
        for right, level in job["permissions"].items():
            assert re.search(rf"^ +{right}: {level} # \w+", text, re.MULTILINE), f"why {right}: {level}"
            assert (right, level) in {("contents", "read"), ("pull-requests", "write"), ("statuses", "write")}
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
                assert "ref" not in step["with"]
            assert "run" not in step
    assert len(re.findall(r"^ {6}[a-z-]+: (?:read|write) # ", text, re.MULTILINE)) == granted


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_nothing_of_a_stranger_beside_a_secret(path: Path) -> None:
    text, loaded = path.read_text(), read(path)
    assert not {"pull_request_target", "issue_comment", "workflow_run"} & set(loaded["on"])
    for name, job in loaded["jobs"].items():
        for step in job["steps"]:
            inputs = step.get("with", {})
            assert not EXPRESSION.findall(str(step.get("run", "")))
            if inputs.get("command") in ("promote", "rollback") or "WRITE" in str(step.get("env", "")):
                assert job.get("environment"), f"{name}: only a protected environment has the writing token"
            if inputs.get("command") == "check":
                assert "secrets." not in str(job)
    assert "secrets: inherit" not in text


def test_the_gate_job_cannot_be_skipped() -> None:
    """GitHub takes a job that was skipped for one that passed."""
    jobs = read(ROOT / "examples/github/promote.yml")["jobs"]
    gate = jobs["gate"]
    assert "if" not in gate
    assert "needs" not in gate
    assert "continue-on-error" not in str(gate)
    step = next(step for step in gate["steps"] if step.get("id") == "gate")
    assert "if" not in step
    promote = jobs["promote"]
    assert promote["needs"] == "gate"
    assert "needs.gate.outputs.verdict == 'allow'" in promote["if"]
    given = next(step for step in promote["steps"] if step.get("id") == "promote")["with"]
    assert given["decision-id"] == "${{ needs.gate.outputs.decision-id }}"
    assert given["version"] == "${{ needs.gate.outputs.evaluated-version }}"
