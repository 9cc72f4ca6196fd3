"""What came of a run, read from the files that it left, and from nothing it printed. Pure.

A yes has to be said twice: by the exit code, and by the file that the command
wrote, about the command and the version that were asked for. Anything less is
no decision.
"""

import json
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from aigate.action.inputs import Inputs
from aigate.decision import Decision
from aigate.errors import AigateError
from aigate.plan import Act
from aigate.report.check import Check, summary
from aigate.report.json import decision_id, read_record, short
from aigate.values import gap
from aigate.watch.tell import Tick

_Result = TypeVar("_Result", Act, Check, Tick)

MOST_POLICIES, MOST_LISTED = 200, 15_000
"""Ids of failed policies that an output carries, and the characters of their list: a cut one would be no JSON."""


@dataclass(frozen=True)
class Left:
    """The bytes of the files that a run left behind; None for one that is not there."""

    record: bytes | None = None
    result: bytes | None = None


@dataclass(frozen=True)
class Outcome:
    """What the outputs say. All empty where no decision was reached."""

    yes: bool = False
    """Whether the step may pass."""
    verdict: str = ""
    said: str = ""
    """The end of it in one line of our own words; empty where no decision was reached."""
    decision: str = ""
    version: str = ""
    rollback: bool = False
    """Whether a rollback is called for and was not done."""
    failed: tuple[str, ...] = ()

    @property
    def outputs(self) -> dict[str, str]:
        """Return the outputs by name."""
        return {
            "yes": "yes" if self.yes else "",
            "verdict": self.verdict,
            "said": self.said,
            "decision-id": self.decision,
            "evaluated-version": self.version,
            "rollback": "true" if self.rollback else "false",
            "failed-policies": _listed(self.failed[:MOST_POLICIES]),
        }


def _listed(ids: tuple[str, ...]) -> str:
    while len(text := json.dumps(ids)) > MOST_LISTED:
        ids = ids[:-1]
    return text


def outcome(inputs: Inputs, code: int, left: Left) -> Outcome:
    """Return what came of a run that ended with an exit code."""
    decision = _decision(left.record)
    match inputs.command:
        case "evaluate":
            return Outcome() if decision is None else _of_decision(inputs, decision, code)
        case "promote" | "rollback":
            act = _read(Act, left.result)
            return Outcome() if act is None else _of_act(inputs, act, decision, code)
        case "watch":
            tick = _read(Tick, left.result)
            return Outcome() if tick is None else _of_tick(tick, decision, code)
        case "check":
            check = _read(Check, left.result)
            return Outcome() if check is None else _of_check(check, code)


def _of_decision(inputs: Inputs, decision: Decision, code: int) -> Outcome:
    said_yes = decision.verdict in ("allow", "keep")
    yes = code == 0 and decision.exit_code == 0 and said_yes
    if said_yes and not (yes and _is_about(inputs, decision)):
        return Outcome()  # whoever tests the verdict alone must not find a yes in it
    return Outcome(
        yes=yes,
        verdict=decision.verdict,
        said=f"{decision.verdict.upper()}, decision {short(decision_id(decision))}",
        decision=decision_id(decision),
        version=_version(decision),
        rollback=decision.verdict == "rollback",
        failed=_failed(decision),
    )


def _is_about(inputs: Inputs, decision: Decision) -> bool:
    """Whether a decision is about the environment and the version that were asked for.

    A recorded snapshot has its own, and the command line says nothing against it.
    """
    asked = inputs.version.removeprefix("v")
    right = not asked.isdecimal() or _version(decision) == asked
    return right and decision.environment == inputs.environment


def _of_act(inputs: Inputs, act: Act, decision: Decision | None, code: int) -> Outcome:
    done = ("planned" if inputs.dry_run else "done", "already")
    asked = inputs.version.removeprefix("v")
    wanted = not asked.isdecimal() or (act.to is not None and act.to.version == asked)
    yes = code == 0 and act.exit_code == 0 and act.act == inputs.command and act.result in done and wanted
    verdict: str = act.verdict or ""
    if inputs.command == "rollback":
        verdict = "rollback"
    elif yes and act.result == "already":
        verdict = "allow"  # by the decision that the ledger has for it
    elif not yes and verdict in ("allow", "keep"):
        verdict = ""  # it was allowed, and is not done
    return Outcome(
        yes=yes,
        verdict=verdict,
        said=f"{act.act} {act.result}"
        + (f", ledger entry {act.seq}" if act.seq is not None and act.result != "planned" else ""),
        decision=act.decision or ("" if decision is None else decision_id(decision)),
        version=act.to.version if act.to is not None else "" if decision is None else _version(decision),
        rollback=False,
        failed=() if decision is None else _failed(decision),
    )


def _of_tick(tick: Tick, decision: Decision | None, code: int) -> Outcome:
    undone = tick.call == "rollback" and tick.done in ("proposed", "planned", "told")
    return Outcome(
        yes=code == 0 and tick.exit_code == 0 and tick.call == "keep",
        verdict=tick.call,
        said=f"{tick.call.upper()} ({tick.done}), decision {short(tick.decision)}",
        decision=tick.decision,
        version=tick.champion or "",
        rollback=undone,
        failed=() if decision is None else _failed(decision),
    )


def _of_check(check: Check, code: int) -> Outcome:
    return Outcome(yes=code == 0 and check.exit_code == 0, said=summary(check))


def _version(decision: Decision) -> str:
    return "" if gap(decision.subject) is not None else decision.subject.version


def _failed(decision: Decision) -> tuple[str, ...]:
    return tuple(
        judgement.info.id
        for judgement in decision.judgements
        if judgement.counts and judgement.result.outcome == "fail" and judgement.standing
    )


def _decision(record: bytes | None) -> Decision | None:
    if record is None:
        return None
    try:
        return read_record(record)
    except AigateError:
        return None


def _read(model: type[_Result], data: bytes | None) -> _Result | None:
    if data is None:
        return None
    try:
        return model.model_validate_json(data)
    except ValidationError:
        return None
