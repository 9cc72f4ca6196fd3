"""What a pull request's own manifest would make of the evidence that the gate collected. It decides nothing.

Nothing is asked again for it: the change's manifest is held against what is
known, so it can name no address, no variable and no other model to be read.
The policies are the base's all the same: code that somebody proposes is run
in a job of its own, with nothing in it worth stealing.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aigate.action.checkout import differs
from aigate.action.event import UntrustedError, read_event
from aigate.action.inputs import ADVICE, ADVICE_RECORD, RECORD, REPORTS_VARIABLE, SNAPSHOT, read_inputs
from aigate.action.run import Rules, in_force, workspace
from aigate.action.runner import last_words
from aigate.collect.manifest_file import load_manifest
from aigate.collect.snapshot_file import load_snapshot
from aigate.decision import Decision
from aigate.errors import AigateError
from aigate.gate import evaluate_change
from aigate.report.clean import clean, markdown_code, markdown_text
from aigate.report.json import read_record, record

_MOST = 20
_BESIDE = {"policies_changed": "policies", "waivers_changed": "waivers.yaml"}
"""What else a change may touch, and what is not tried out."""


@dataclass(frozen=True)
class Advice:
    """What is to be said of a change, as two records show it."""

    now: str
    ahead: str
    """The verdict with the change; empty where it cannot be used."""
    changes: tuple[tuple[str, str, str], ...]
    """Policy, its outcome by the base's manifest, and by the change's; empty where it is not there."""


def advise(environ: Mapping[str, str]) -> int:
    """Judge the version by the change's manifest, and keep what came of it beside the reports."""
    reports = Path(environ[REPORTS_VARIABLE])
    inputs = read_inputs({**environ, "AIGATE_INPUT_COMMAND": "evaluate"})
    event, start = read_event(environ), workspace(environ)
    decided = read_record((reports / RECORD).read_bytes())
    with in_force(event, start, inputs, environ) as rules:
        touched = {name: _touches(rules, file) for name, file in _BESIDE.items()}
        (reports / ADVICE).write_text(json.dumps(touched))
        ours, theirs = rules.root / rules.manifest, rules.checkout / rules.manifest
        if theirs.is_symlink() or not theirs.resolve().is_relative_to(rules.checkout):
            raise UntrustedError(f"{rules.manifest}: it is a link, and no link of a change is followed")
        os.chdir(rules.checkout)  # so that its mistakes are named as they stand in the change
        answer = evaluate_change(
            load_manifest(ours),
            load_manifest(Path(rules.manifest)),
            load_snapshot(reports / SNAPSHOT),
            decided.actor,
        )
    (reports / ADVICE_RECORD).write_bytes(record(answer.decision))
    return 0


def _touches(rules: Rules, name: str) -> bool:
    """Whether the change touches what lies under a name beside the manifest."""
    path = str(Path(rules.manifest).parent / name)
    return bool(rules.base) and differs(rules.checkout, rules.base, "HEAD", (path,))


def compare(decided: Decision, ahead: Decision | None) -> Advice:
    """Return what differs between the decision in force and the one that the change would bring."""
    if ahead is None:
        return Advice(decided.verdict, "", ())
    before, after = _outcomes(decided), _outcomes(ahead)
    changes = tuple(
        (policy, before.get(policy, ""), after.get(policy, ""))
        for policy in sorted(before.keys() | after.keys())
        if before.get(policy) != after.get(policy)
    )
    return Advice(decided.verdict, ahead.verdict, changes)


def _outcomes(decision: Decision) -> dict[str, str]:
    return {
        j.info.id: j.result.outcome if j.counts else f"{j.result.outcome} (advice)"
        for j in decision.judgements
    }


def render(
    advice: Advice, *, policies_changed: bool, waivers_changed: bool = False, trouble: str = ""
) -> str:
    """Return the advice as Markdown, which says first that it is none of the decision."""
    lines = ["### With your change"]
    if not advice.ahead:
        why = f": {markdown_text(clean(trouble, 600))}" if trouble else "."
        lines.append(f"The manifest as you change it **cannot be used**{why}")
    elif advice.ahead == advice.now:
        lines.append(f"It would still be **{advice.ahead.upper()}**.")
    else:
        lines.append(f"It would be **{advice.ahead.upper()}** (it is **{advice.now.upper()}**).")
    if advice.changes:
        rows = [
            f"| {markdown_code(clean(policy, 120))} | {before or '-'} | {after or '-'} |"
            for policy, before, after in advice.changes[:_MOST]
        ]
        more = len(advice.changes) - _MOST
        lines.append("\n".join(["| Policy | now | with your change |", "|---|---|---|", *rows]))
        lines += [f"{more} more policies change."] if more > 0 else []
    elif advice.ahead:
        lines.append("No policy's outcome changes.")
    if policies_changed:
        lines.append(
            "The change touches `policies/` as well. Proposed code is not run here: "
            "the job of `policy-pr.yml` checks and tests it."
        )
    if waivers_changed:
        lines.append(
            "The change touches `waivers.yaml` as well. A waiver counts once it is on the protected branch: "
            "those of the change lift nothing here."
        )
    lines.append("This is advice. What decides is the base's manifest, until the change is merged.")
    return "\n\n".join(lines) + "\n"


def read_advice(reports: Path) -> str:
    """Return the advice that a step left beside the reports as Markdown; empty where there is none."""
    try:
        said = json.loads((reports / ADVICE).read_bytes())
        decided = read_record((reports / RECORD).read_bytes())
    except (OSError, ValueError, RecursionError, AigateError):
        return ""
    if not isinstance(said, dict):
        return ""
    ahead = None
    trouble = ""
    try:
        ahead = read_record((reports / ADVICE_RECORD).read_bytes())
    except (OSError, AigateError):
        trouble = last_words(reports / "advise.txt")
    touched = {name: bool(said.get(name)) for name in _BESIDE}
    return render(compare(decided, ahead), **touched, trouble=trouble)
