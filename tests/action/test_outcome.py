"""A yes is said twice, by the exit code and by the file, about what was asked; everything else is none."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.action.inputs import Command, Inputs
from aigate.action.outcome import MOST_POLICIES, Left, outcome
from aigate.action.runner import MOST_OUTPUT
from aigate.decision import Decision
from aigate.plan import Act
from aigate.report.check import Check, Checked, Problem
from aigate.report.json import decision_id, record
from aigate.watch.tell import Tick
from report.cases import (
    NOW,
    allow,
    deny,
    failing,
    forty,
    halt,
    hold,
    judgement,
    keep,
    no_version,
    passes,
    rollback,
)
from report.cases import decision as made
from watching import identity

DIGEST = "sha256:" + "cd" * 32
CODES = (0, 1, 2, 3, 4, 70, 137, 256, -9)
DECISIONS: dict[str, Callable[[], Decision]] = {
    "allow": allow,
    "deny": deny,
    "hold": hold,
    "keep": keep,
    "rollback": rollback,
    "halt": halt,
    "no-version": no_version,
}
COMMANDS: tuple[Command, ...] = ("evaluate", "promote", "watch", "rollback", "check")


def act(**fields: Any) -> bytes:
    plain = {"act": "promote", "model": "churn", "alias": "champion", "result": "done", "exit_code": 0}
    whole = {**plain, "reason": "it was done", "now": NOW, "seq": 7, "verdict": "allow", **fields}
    return Act.model_validate({**whole, "to": identity("2")}).model_dump_json(by_alias=True).encode()


def tick(**fields: Any) -> bytes:
    whole = {
        "at": NOW,
        "system": "churn",
        "model": "churn",
        "alias": "champion",
        "environment": "production",
        "champion": "1",
        "verdict": "keep",
        "reason": "all is well",
        "decision": DIGEST,
        "call": "keep",
        "bad": 0,
        "needed": 1,
        "of": 1,
        "mode": "auto",
        "exit_code": 0,
        **fields,
    }
    return Tick.model_validate(whole).model_dump_json(by_alias=True).encode()


def check(*problems: Problem, loads: bool = True) -> bytes:
    good = (Checked(manifest="aigate.yaml", system="churn", policies=9, environments=("production",)),)
    return Check(checked=good if loads else (), errors=problems).model_dump_json(by_alias=True).encode()


def is_yes(inputs: Inputs, code: int, **left: bytes | None) -> bool:
    """Whether the step may pass; whoever tests only the verdict must not be let through either."""
    found = outcome(inputs, code, Left(**left))
    assert found.outputs["yes"] == ("yes" if found.yes else "")
    assert set(found.outputs) == {
        "yes",
        "verdict",
        "said",
        "decision-id",
        "evaluated-version",
        "rollback",
        "failed-policies",
    }
    if inputs.command != "watch":
        assert found.yes or found.verdict not in ("allow", "keep"), "a verdict that lets others through"
    if not found.said:
        assert not found.yes
        assert (found.verdict, found.decision, found.version) == ("", "", "")
    return found.yes


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", DECISIONS)
def test_an_evaluation_passes_with_a_yes_in_the_record_and_by_the_code(name: str, code: int) -> None:
    decision = DECISIONS[name]()
    inputs = Inputs("evaluate")
    assert is_yes(inputs, code, record=record(decision)) is (name in ("allow", "keep") and code == 0)
    found = outcome(inputs, code, Left(record=record(decision)))
    if code == decision.exit_code:
        assert found.verdict == decision.verdict
        assert found.decision == decision_id(decision)
        assert found.version == ("" if name == "no-version" else "2")
        assert found.rollback is (name == "rollback")


@pytest.mark.parametrize(
    "inputs",
    [
        Inputs("evaluate", version="3"),
        Inputs("evaluate", version="v3"),
        Inputs("evaluate", version="22"),
        Inputs("evaluate", version="²"),
        Inputs("evaluate", version="٢"),
        Inputs("evaluate", environment="staging"),
    ],
    ids=str,
)
def test_a_decision_about_something_else_is_no_decision(inputs: Inputs) -> None:
    expected = inputs.version == "²"  # no number to Python; the command takes it for an alias
    assert is_yes(inputs, 0, record=record(allow())) is expected


@pytest.mark.parametrize("version", ["", "2", "v2", "@challenger"])
def test_a_decision_about_what_was_asked_is_one(version: str) -> None:
    assert is_yes(Inputs("evaluate", version=version), 0, record=record(allow()))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("code", CODES)
def test_without_a_file_there_is_no_decision(command: Command, code: int) -> None:
    assert outcome(Inputs(command, reason="x"), code, Left()).outputs == {
        "yes": "",
        "verdict": "",
        "said": "",
        "decision-id": "",
        "evaluated-version": "",
        "rollback": "false",
        "failed-policies": "[]",
    }


@pytest.mark.parametrize("command", ["promote", "watch", "rollback", "check"])
def test_a_record_alone_is_no_act(command: Command) -> None:
    assert not is_yes(Inputs(command), 0, record=record(allow()))


def test_an_act_alone_is_no_evaluation() -> None:
    assert not is_yes(Inputs("evaluate"), 0, result=act())
    assert not is_yes(Inputs("evaluate"), 0, result=tick())
    assert not is_yes(Inputs("evaluate"), 0, result=check())


@pytest.mark.parametrize(
    "result", ["done", "already", "planned", "refused", "denied", "changed", "unconfirmed"]
)
@pytest.mark.parametrize("dry", [False, True], ids=["", "dry"])
@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_an_act_passes_when_it_is_done(command: Command, dry: bool, result: str) -> None:
    inputs = Inputs(command, dry_run=dry)
    done = result in ("planned" if dry else "done", "already")
    for own, code in itertools.product((0, 1, 3, 4), CODES):
        left = act(act=command, result=result, exit_code=own)
        assert is_yes(inputs, code, result=left) is (done and code == 0 and own == 0)


@pytest.mark.parametrize("asked", ["", "2", "v2", "@challenger"])
def test_an_act_upon_the_version_that_was_asked_for_passes(asked: str) -> None:
    assert is_yes(Inputs("promote", version=asked), 0, result=act())


@pytest.mark.parametrize(
    "name", ["rollback", "drill", "halt", "resume", "adopt", "clear", "break-glass", "review"]
)
def test_another_act_is_none(name: str) -> None:
    assert not is_yes(Inputs("promote"), 0, result=act(act=name))


@pytest.mark.parametrize("asked", ["1", "v1", "22", "٢", "002"])
def test_an_act_upon_another_version_is_none(asked: str) -> None:
    assert not is_yes(Inputs("promote", version=asked), 0, result=act())
    without = json.loads(act()) | {"to": None}
    assert not is_yes(Inputs("promote", version="2"), 0, result=json.dumps(without).encode())


@pytest.mark.parametrize("call", ["keep", "rollback", "halt", "hold", "wait"])
@pytest.mark.parametrize("done", ["nothing", "proposed", "planned", "told", "done", "failed", "unconfirmed"])
def test_a_look_passes_when_the_champion_may_stay(done: str, call: str) -> None:
    called = call == "rollback" and done in ("proposed", "planned", "told")
    for own, code in itertools.product((0, 1, 3, 4), CODES):
        inputs, left = Inputs("watch"), tick(call=call, done=done, exit_code=own)
        assert is_yes(inputs, code, result=left) is (call == "keep" and code == 0 and own == 0)
        assert outcome(inputs, code, Left(result=left)).rollback is called


@pytest.mark.parametrize("code", CODES)
def test_a_check_passes_when_something_loads_and_nothing_is_wrong(code: int) -> None:
    problem = Problem(place="aigate.yaml:3", message="unknown key", manifest="aigate.yaml")
    assert is_yes(Inputs("check"), code, result=check()) is (code == 0)
    for left in (check(problem), check(loads=False), act(), tick(), b"{}", b'{"schema": "aigate.check/v1"}'):
        assert not is_yes(Inputs("check"), code, result=left)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_result_of_another_command_is_none(command: Command) -> None:
    own = {"promote": act(), "rollback": act(act="rollback"), "watch": tick(), "check": check()}
    for name, content in own.items():
        assert is_yes(Inputs(command), 0, result=content) is (name == command)


def test_a_record_with_any_byte_changed_is_no_decision() -> None:
    data = record(allow())
    for at in range(0, len(data) - 1, 13):
        forged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert not is_yes(Inputs("evaluate"), 0, record=forged), (at, data[at - 20 : at + 20])


@pytest.mark.parametrize(
    "edit",
    [
        {"verdict": "allow"},
        {"verdict": "allow", "exit_code": 0},
        {"verdict": "keep", "exit_code": 0},
        {"exit_code": 0},
    ],
    ids=str,
)
def test_a_denial_that_was_edited_is_no_decision(edit: dict[str, Any]) -> None:
    fields = json.loads(record(deny())) | edit
    for text in (json.dumps(fields), json.dumps(fields, separators=(",", ":"), ensure_ascii=False)):
        assert not is_yes(Inputs("evaluate"), 0, record=text.encode())


@pytest.mark.parametrize("form", [b"\xef\xbb\xbf%s", b" %s", b"%s\n\n", b"%s%s", b"[%s]", b"%s\0"], ids=repr)
def test_only_the_canonical_bytes_are_a_record(form: bytes) -> None:
    data = record(allow()).rstrip(b"\n")
    assert is_yes(Inputs("evaluate"), 0, record=data)
    assert not is_yes(Inputs("evaluate"), 0, record=form.replace(b"%s", data))


@given(st.binary(max_size=200), st.sampled_from(COMMANDS))
def test_no_bytes_by_chance_are_a_yes(content: bytes, command: Command) -> None:
    assert not is_yes(Inputs(command), 0, record=content, result=content)


@given(st.data(), st.sampled_from(["promote", "watch", "rollback", "check"]))
def test_a_result_that_was_cut_or_grew_is_no_yes(data: st.DataObject, command: Command) -> None:
    whole = {"promote": act(), "rollback": act(act="rollback"), "watch": tick(), "check": check()}[command]
    at = data.draw(st.integers(0, len(whole) - 1))
    assert not is_yes(Inputs(command), 0, result=whole[:at])
    fields = json.loads(whole) | {"more": 1}
    assert not is_yes(Inputs(command), 0, result=json.dumps(fields).encode())


def test_the_failed_policies_are_told_as_json_that_fits() -> None:
    found = outcome(Inputs("evaluate"), 1, Left(record=record(deny())))
    assert set(json.loads(found.outputs["failed-policies"])) == {
        "evaluation.floor",
        "evaluation.regression",
        "freshness.stage",
    }
    assert (
        json.loads(outcome(Inputs("evaluate"), 0, Left(record=record(allow()))).outputs["failed-policies"])
        == []
    )
    outcome(Inputs("evaluate"), 1, Left(record=record(forty())))
    finding = failing()[0].result.findings[0]
    many = [judgement(f"own.{'x' * 180}{n:03}", "fail", finding) for n in range(MOST_POLICIES + 50)]
    text = outcome(Inputs("evaluate"), 1, Left(record=record(made(*passes(), *many)))).outputs[
        "failed-policies"
    ]
    assert len(text) < MOST_OUTPUT
    assert 40 < len(json.loads(text)) <= MOST_POLICIES
