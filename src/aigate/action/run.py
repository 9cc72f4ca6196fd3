"""The step that decides: put the right files in force, run aigate on them, and say what came of it in outputs."""

import os
import runpy
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aigate.action.checkout import checkout_of, differs, files_of, root_of
from aigate.action.event import (
    Event,
    UntrustedError,
    base_in_force,
    read_event,
    refuse_brought_evidence,
    refuse_credentials,
    refuse_to_act,
)
from aigate.action.inputs import (
    ADVICE,
    ADVICE_RECORD,
    ANNOTATIONS,
    JUNIT,
    RECORD,
    REPORT,
    REPORTS_VARIABLE,
    RESULT,
    SARIF,
    SNAPSHOT,
    Inputs,
    arguments,
    read_inputs,
)
from aigate.action.outcome import Left, outcome
from aigate.action.runner import mask, tell, write_outputs
from aigate.action.secret import secrets_of

_LARGEST = 64 * 1024 * 1024
_RULES = ("policies", "waivers.yaml")
"""What stands beside a manifest and is in force with it."""


def run(environ: Mapping[str, str]) -> int:
    """Decide or act; return aigate's exit code. Raises AigateError where it cannot be begun."""
    for secret in secrets_of(environ):
        tell(mask(secret))
    # From here on names and texts from a registry are repeated; the script that
    # called us ends the pause, whatever becomes of us.
    if token := environ.get("AIGATE_ACTION_TOKEN"):
        tell(f"::stop-commands::{token}")
    reports = Path(environ[REPORTS_VARIABLE]).absolute()
    reports.mkdir(parents=True, exist_ok=True)
    inputs = read_inputs(environ)
    event = read_event(environ)
    refuse_to_act(event, inputs)
    refuse_brought_evidence(event, inputs)
    if inputs.command == "check":
        refuse_credentials(event, environ)
    _forget(reports)
    start = workspace(environ)
    with in_force(event, start, inputs, environ) as rules:
        if rules.base:
            tell(f"aigate: manifest, policies and waivers are those of the base, {rules.base[:12]}")
        code = aigate(rules.root, arguments(inputs, rules.manifest, reports, start))
    left = Left(record=_content(reports / RECORD), result=_content(reports / RESULT))
    found = outcome(inputs, code, left)
    changed = rules.base and inputs.command == "evaluate" and not inputs.snapshot
    changed = changed and changes_rules(rules)
    paths = {
        name: str(reports / file) if (reports / file).is_file() else ""
        for name, file in (
            ("record", RECORD),
            ("snapshot", SNAPSHOT),
            ("report", REPORT),
            ("sarif", SARIF),
            ("junit", JUNIT),
        )
    }
    advise = {"advise": "true" if changed else "false"}
    write_outputs(environ, {**found.outputs, **paths, **advise})
    return code


@dataclass(frozen=True)
class Rules:
    """Where what is in force lies."""

    root: Path
    """The folder that the command runs in: the root of a repository's files."""
    manifest: str
    """From there."""
    checkout: Path
    """The root of what is checked out."""
    base: str = ""
    """The base's commit, where it is the base's; empty where it is what is checked out."""


def workspace(environ: Mapping[str, str]) -> Path:
    """Return the folder that paths in inputs start from."""
    return Path(environ.get("GITHUB_WORKSPACE") or ".").resolve()


@contextmanager
def in_force(event: Event, start: Path, inputs: Inputs, environ: Mapping[str, str]) -> Iterator[Rules]:
    """Give what is in force for an event: what is checked out, or the base's files, for as long as it is used.

    Raises UntrustedError where nobody can tell which it is.
    """
    # Without `..`: such a path would lead out of the base's files.
    given = Path(os.path.normpath(start / inputs.manifest))
    folder = next((parent for parent in given.parents if parent.is_dir()), start)
    root = root_of(folder, start)
    wants_git = event.is_pull or event.privileged
    checkout = checkout_of(root, event) if wants_git and root is not None else None
    base = None if _is_own(event, inputs) else base_in_force(event, checkout)
    top = root or start
    # A link in the change must not lead the base's manifest astray, so none is followed here.
    inside = os.path.relpath(given, top) if given.is_relative_to(top) else str(given)
    if base is None:
        yield Rules(top, inside, top)
        return
    if not given.is_relative_to(top):
        raise UntrustedError(
            "the manifest is outside of the work tree, so it has no base", fix="name one of the repository's"
        )
    with files_of(top, base, fresh(environ)) as files:
        yield Rules(files, inside, top, base)


def _is_own(event: Event, inputs: Inputs) -> bool:
    """Whether a change is to be looked at with its own files in force: in a job with nothing worth stealing."""
    return inputs.command == "check" and event.is_pull


def fresh(environ: Mapping[str, str]) -> Path:
    """Return the path of a folder that is not there, for files that are gone when the job is."""
    return Path(environ.get("RUNNER_TEMP") or "/tmp").absolute() / f"aigate-files-{os.urandom(8).hex()}"  # noqa: S108 - random


def changes_rules(rules: Rules) -> bool:
    """Whether the change touches the manifest, or what is in force with it."""
    beside = (str(Path(rules.manifest).parent / name) for name in _RULES)
    return differs(rules.checkout, rules.base, "HEAD", (rules.manifest, *beside))


def aigate(folder: Path, words: list[str]) -> int:
    """Run `aigate WORDS` in a folder, in this process: it has been started safely, and a start costs time.

    The doors of this house do not know each other, so this one runs the
    other the way a shell does, and reads nothing but its exit code.
    """
    os.chdir(folder)
    sys.argv = ["aigate", *words]
    try:
        runpy.run_module("aigate", run_name="__main__", alter_sys=True)
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else 70
    return 70


def _forget(reports: Path) -> None:
    """Take away what an earlier run left in this folder: it is not about this one."""
    for file in (RECORD, SNAPSHOT, RESULT, REPORT, SARIF, JUNIT, ANNOTATIONS, ADVICE, ADVICE_RECORD):
        (reports / file).unlink(missing_ok=True)


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError:
        return None
