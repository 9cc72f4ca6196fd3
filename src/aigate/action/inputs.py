"""The action's inputs, and the command line that they come to. Pure.

The runner hands every input over as text, the ones nobody gave as well, and
enforces nothing: not that one is there, not that it is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal, get_args

from aigate.errors import UsageError

Command = Literal["evaluate", "promote", "watch", "rollback", "check"]

PREFIX: Final = "AIGATE_INPUT_"
LONGEST: Final = 4_000

_BELONGS: Final[dict[str, tuple[Command, ...]]] = {
    "model": ("evaluate", "promote", "watch", "rollback"),
    "version": ("evaluate", "promote", "rollback"),
    "decision": ("promote",),
    "decision_id": ("promote", "watch"),
    "snapshot": ("evaluate", "watch", "check"),
    "reason": ("promote", "rollback"),
    "dry_run": ("promote", "watch", "rollback"),
    "mlflow_tracking_uri": ("evaluate", "promote", "watch", "rollback"),
    "ledger": ("promote", "watch", "rollback"),
}
"""The commands that an input means something to; one that is not here means something to all."""

RECORD, SNAPSHOT, RESULT = "record.json", "snapshot.json", "result.json"
REPORT, SARIF, JUNIT, ANNOTATIONS = "report.md", "aigate.sarif", "junit.xml", "annotations.txt"
ADVICE, ADVICE_RECORD = "advice.json", "advice-record.json"
REPORTS_VARIABLE: Final = "AIGATE_ACTION_REPORTS"
"""Names the folder of the reports."""

REPORTS: Final = {"json": RECORD, "markdown": REPORT, "sarif": SARIF, "junit": JUNIT, "github": ANNOTATIONS}
"""Every report that is written, by its format, and its name in the folder of reports."""


@dataclass(frozen=True)
class Inputs:
    """What the workflow gave. Texts that it did not give are empty."""

    command: Command
    manifest: str = "aigate.yaml"
    model: str = ""
    version: str = ""
    environment: str = "production"
    decision: str = ""
    decision_id: str = ""
    snapshot: str = ""
    reason: str = ""
    dry_run: bool = False
    mlflow_tracking_uri: str = ""
    ledger: str = ""
    deadline: str = "30"

    @property
    def changes(self) -> bool:
        """Whether the command may move an alias or stop others from doing so."""
        return self.command not in ("evaluate", "check") and not self.dry_run


def read_inputs(environ: Mapping[str, str]) -> Inputs:
    """Read every input from its variable; raises UsageError that names the input."""
    given: dict[str, str] = {}
    for field in fields(Inputs):
        text = environ.get(PREFIX + field.name.upper(), "").strip()
        if len(text) > LONGEST or not text.isprintable():
            raise UsageError(
                f"the input {_name(field.name)} has a line break, a control character, or over {LONGEST} characters",
                fix="give it on one line",
            )
        if text:
            given[field.name] = text
    command = given.pop("command", "evaluate")
    if command not in get_args(Command):
        raise UsageError(
            f"the input command is {command[:40]!r}", fix=f"it is one of {', '.join(get_args(Command))}"
        )
    dry_run = flag(given.pop("dry_run", "false"), "dry-run")
    inputs = Inputs(command=command, dry_run=dry_run, **given)  # type: ignore[arg-type]  # checked above
    _refuse_strangers(inputs)
    return inputs


def flag(text: str, name: str) -> bool:
    """Read true or false; raises UsageError for anything else, since `yes` would be a guess."""
    known = {"true": True, "false": False, "": False}
    if text.lower() in known:
        return known[text.lower()]
    raise UsageError(f"the input {name} is {text[:40]!r}", fix="it is true or false")


def _refuse_strangers(inputs: Inputs) -> None:
    for name, commands in _BELONGS.items():
        if getattr(inputs, name) and inputs.command not in commands:
            raise UsageError(
                f"the input {_name(name)} means nothing to {inputs.command}",
                fix=f"it is for {', '.join(commands)}",
            )
    if inputs.decision_id and not (inputs.decision or inputs.snapshot):
        raise UsageError(
            "decision-id is given without the record that it names",
            fix="give the record's path as decision: the gate job's output `record`, brought along as an artifact",
        )
    if inputs.command == "rollback" and not inputs.reason:
        raise UsageError("a rollback needs a reason", fix="give the input reason; it is kept in the ledger")
    if inputs.command == "rollback" and inputs.version.startswith("@"):
        raise UsageError("rollback takes a version's number, not an alias", fix="such as version: 3")
    if "@" in inputs.model:
        raise UsageError("the input model is a name alone", fix="give the version as the input version")
    if inputs.snapshot and (inputs.model or inputs.version):
        raise UsageError(
            "a recorded snapshot has its model and version in it", fix="leave out model and version"
        )


def _name(field: str) -> str:
    return field.replace("_", "-")


def arguments(inputs: Inputs, manifest: str, reports: Path, start: Path) -> list[str]:
    """Return aigate's command line.

    `manifest` is the manifest that is in force, from where the command runs;
    `reports` is the folder of the reports, and `start` the one that paths in
    inputs start from.
    """
    if inputs.command == "check":
        return ["check", f"--result={reports / RESULT}", *_recorded(inputs, start), "--", manifest]
    words = [inputs.command, f"--manifest={manifest}", f"--environment={inputs.environment}"]
    if inputs.command != "rollback":
        words += [f"-o{kind}:{reports / file}" for kind, file in REPORTS.items()]
        words.append(f"--deadline={inputs.deadline}")
    if inputs.command != "evaluate":
        words.append(f"--result={reports / RESULT}")
    if inputs.mlflow_tracking_uri and not (inputs.command == "evaluate" and inputs.snapshot):
        words.append(f"--tracking-uri={inputs.mlflow_tracking_uri}")
    if inputs.ledger:
        words.append(f"--ledger={inputs.ledger}")
    if inputs.dry_run:
        words.append("--dry-run")
    words += _OWN[inputs.command](inputs, reports, start)
    subject = _subject(inputs)
    return [*words, "--", subject] if subject else words


def _evaluate(inputs: Inputs, reports: Path, start: Path) -> list[str]:
    return ["-otext", *_evidence(inputs, reports, start)]


def _evidence(inputs: Inputs, reports: Path, start: Path) -> list[str]:
    return _recorded(inputs, start) or [f"--save-snapshot={reports / SNAPSHOT}"]


def _recorded(inputs: Inputs, start: Path) -> list[str]:
    return [f"--snapshot={start / inputs.snapshot}"] if inputs.snapshot else []


def _promote(inputs: Inputs, reports: Path, start: Path) -> list[str]:
    words = [f"--save-snapshot={reports / SNAPSHOT}"]
    words += [f"--reason={inputs.reason}"] if inputs.reason else []
    words += [f"--decision={start / inputs.decision}"] if inputs.decision else []
    return words + ([f"--decision-id={inputs.decision_id}"] if inputs.decision_id else [])


def _watch(inputs: Inputs, reports: Path, start: Path) -> list[str]:
    words = ["--once", *_evidence(inputs, reports, start)]
    return words + ([f"--decision-id={inputs.decision_id}"] if inputs.decision_id else [])


def _rollback(inputs: Inputs, reports: Path, start: Path) -> list[str]:
    words = [f"--reason={inputs.reason}"]
    return words + ([f"--to={inputs.version}"] if inputs.version else [])


_OWN: Final = {"evaluate": _evaluate, "promote": _promote, "watch": _watch, "rollback": _rollback}


def _subject(inputs: Inputs) -> str:
    """Return MODEL[@VERSION|@ALIAS] as the command takes it; `@3` leaves the model to the manifest."""
    version = inputs.version.removeprefix("@")
    if inputs.command in ("watch", "rollback") or not version:
        return inputs.model
    return f"{inputs.model}@{version}"
