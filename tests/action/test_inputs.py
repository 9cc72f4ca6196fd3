"""Whatever a workflow writes into an input stays the value of that input, or is refused by its name."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aigate.action.inputs import (
    LONGEST,
    PREFIX,
    RECORD,
    REPORTS,
    RESULT,
    SNAPSHOT,
    Inputs,
    arguments,
    flag,
    read_inputs,
)
from aigate.cli import check, evaluate, promote, rollback, watch
from aigate.errors import UsageError

COMMANDS: dict[str, click.Command] = {
    "evaluate": evaluate.command,
    "promote": promote.command,
    "watch": watch.command,
    "rollback": rollback.command,
    "check": check.command,
}
NAMES = [field.name for field in fields(Inputs)]
REPORT_DIR, START = Path("/temp/reports"), Path("/given/space")
VALUES = {
    "model": "churn",
    "version": "2",
    "decision": "gate/record.json",
    "snapshot": "snapshot.json",
    "reason": "late features",
    "dry_run": "true",
    "ledger": "mlflow",
    "mlflow_tracking_uri": "http://mlflow.example",
}
MEANS = {
    "evaluate": {"model", "version", "snapshot", "mlflow_tracking_uri"},
    "promote": {"model", "version", "decision", "reason", "dry_run", "ledger", "mlflow_tracking_uri"},
    "watch": {"model", "snapshot", "dry_run", "ledger", "mlflow_tracking_uri"},
    "rollback": {"model", "version", "reason", "dry_run", "ledger", "mlflow_tracking_uri"},
    "check": {"snapshot"},
}
"""What each command knows, said anew: an input that means nothing to a command is refused, not left out."""


def environ(**given: str) -> dict[str, str]:
    return {PREFIX + name.upper(): value for name, value in given.items()}


def parse(inputs: Inputs, manifest: str = "aigate.yaml") -> dict[str, Any]:
    """Return the parameters that the real command takes from the action's command line."""
    command, *words = arguments(inputs, manifest, REPORT_DIR, START)
    assert command == inputs.command
    return COMMANDS[command].make_context(command, list(words)).params


def test_nothing_given_is_an_evaluation_of_the_challenger() -> None:
    assert read_inputs({}) == Inputs("evaluate")
    assert read_inputs(environ(**dict.fromkeys(NAMES, "  "))) == Inputs("evaluate")
    got = parse(Inputs("evaluate"))
    assert (got["model"], got["manifest"], got["environment"]) == (None, Path("aigate.yaml"), "production")
    assert got["save_snapshot"] == REPORT_DIR / SNAPSHOT
    assert set(got["outputs"]) == {"text", *(f"{kind}:{REPORT_DIR / file}" for kind, file in REPORTS.items())}


@pytest.mark.parametrize("name", sorted(VALUES))
@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_an_input_is_used_or_refused(command: str, name: str) -> None:
    given = {"command": command, name: VALUES[name]}
    if command == "rollback":
        given.setdefault("reason", "a reason")
    if name not in MEANS[command]:
        with pytest.raises(UsageError, match=f"{name.replace('_', '-')} means nothing to {command}"):
            read_inputs(environ(**given))
        return
    got = parse(read_inputs(environ(**given)))
    plain = parse(
        read_inputs(environ(command=command, **({"reason": "a reason"} if command == "rollback" else {})))
    )
    assert got != plain, "it makes a difference"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"command": "destroy"}, "the input command is 'destroy'"),
        ({"command": "Evaluate"}, "the input command"),
        ({"command": "--help"}, "the input command"),
        ({"command": "watch", "dry_run": "yes"}, "the input dry-run is 'yes'"),
        ({"command": "promote", "decision_id": "sha256:00"}, "without the record"),
        ({"command": "rollback"}, "needs a reason"),
        ({"command": "rollback", "reason": " "}, "needs a reason"),
        ({"command": "rollback", "reason": "x", "version": "@old"}, "number, not an alias"),
        ({"snapshot": "s.json", "version": "2"}, "has its model and version in it"),
        ({"snapshot": "s.json", "model": "churn"}, "has its model and version in it"),
        ({"model": "a\nb"}, "the input model has a line break"),
        ({"environment": "a\x1b[2Jb"}, "the input environment"),
        ({"manifest": "a\u202eb"}, "the input manifest"),
        ({"mlflow_tracking_uri": "x" * (LONGEST + 1)}, "the input mlflow-tracking-uri"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_refused_by_its_name(given: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_inputs(environ(**given))


@pytest.mark.parametrize("text", ["yes", "1", "on", "True ", "truefalse", "0", "null", "ｔｒｕｅ"])
def test_a_flag_is_never_guessed(text: str) -> None:
    with pytest.raises(UsageError, match="the input x is"):
        flag(text, "x")


def test_a_flag_is_read_as_github_writes_it() -> None:
    assert [flag(text, "x") for text in ("true", "True", "TRUE", "false", "")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_only_evaluate_check_and_a_dry_run_change_nothing() -> None:
    for command in COMMANDS:
        inputs = Inputs(command)  # type: ignore[arg-type]
        assert inputs.changes == (command in ("promote", "watch", "rollback"))
        assert not replace(inputs, dry_run=True).changes


NASTY = st.one_of(
    st.sampled_from(
        [
            "--help",
            "--version",
            "-o",
            "-ojson:/etc/x",
            "--",
            "-",
            "--snapshot=/x",
            "--untrusted-manifest",
            "--dry-run",
            "$(id)",
            "`id`",
            "; id",
            "a b",
            "@",
            "@@",
            "@--help",
            "v2",
            "-e",
            "=",
            "--manifest",
            "'",
            '"',
            "%0A",
            "::error::x",
        ]
    ),
    st.text(max_size=30),
)


@given(st.data(), st.sampled_from(sorted(COMMANDS)))
def test_no_value_becomes_an_option_or_the_value_of_another_input(data: st.DataObject, command: str) -> None:
    """Any text: a usage error, or a command line whose every parameter is what was meant."""
    given = {name: data.draw(NASTY, name) for name in NAMES if data.draw(st.booleans(), f"with {name}")}
    given |= {"command": command}
    given.pop("deadline", None)  # a number: the command itself refuses what is none
    try:
        inputs = read_inputs(environ(**given))
    except UsageError:
        return
    got = parse(inputs, inputs.manifest)
    assert inputs.command == command
    if command == "check":
        assert got["paths"] == (Path(inputs.manifest),)
        assert got["snapshots"] == ((START / inputs.snapshot,) if inputs.snapshot else ())
        assert got["result"] == REPORT_DIR / RESULT
        return
    assert got["manifest"] == Path(inputs.manifest)
    assert got["environment"] == inputs.environment
    assert got.get("dry_run", False) == inputs.dry_run
    assert got.get("ledger_uri") == (inputs.ledger or None)
    if not (command == "evaluate" and inputs.snapshot):
        assert got["tracking_uri"] == (inputs.mlflow_tracking_uri or None)
    if command in ("promote", "rollback"):
        assert (got["reason"] or "") == inputs.reason
    if command == "promote":
        assert got["decision"] == (START / inputs.decision if inputs.decision else None)
        assert got["decision_id"] == (inputs.decision_id or None)
    version = inputs.version.removeprefix("@")
    if command == "rollback":
        assert (got["to"], got["model"]) == (inputs.version or None, inputs.model or None)
    elif version and command != "watch":
        assert got["model"] == f"{inputs.model}@{version}"
    else:
        assert got["model"] == (inputs.model or None)
    for flagged in ("untrusted_manifest", "verbose", "drill"):
        assert not got.get(flagged)
    assert got.get("question", "promote") == "promote"
    assert got.get("shape") in (None, "text")
    if command != "evaluate":
        assert got["result"] == REPORT_DIR / RESULT
    if command != "rollback":
        assert f"json:{REPORT_DIR / RECORD}" in got["outputs"]


@given(st.text(max_size=20))
def test_a_deadline_is_a_number_or_refused_by_the_command(text: str) -> None:
    try:
        inputs = read_inputs(environ(deadline=text))
    except UsageError:
        return
    assume(inputs.deadline != "30")
    try:
        got = parse(inputs)
    except click.UsageError:
        return
    assert got["deadline"] == float(inputs.deadline)
