"""What the commands that act have in common: their options, the world they act in, and how they report."""

import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aigate.cli.options import world
from aigate.errors import UsageError
from aigate.manifest import PRODUCTION
from aigate.values import NAME_PATTERN
from aigate.wording import USUAL_ALIAS

if TYPE_CHECKING:  # `--help` needs none of them
    from aigate.act import Acting
    from aigate.collect.manifest_file import LoadedManifest
    from aigate.gate import Answer
    from aigate.plan import Act
    from aigate.report import Output, ReportContext, ReportError

ledger_option = click.option(
    "--ledger",
    "ledger_uri",
    metavar="URI",
    help="mlflow, sqlite:///FILE or postgresql://HOST/DATABASE.  [default: $AIGATE_LEDGER, else mlflow]",
)
reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept for ever.")
alias_option = click.option("--alias", metavar="ALIAS", help="[default: the manifest's champion]")
as_option = click.option("--as", "as_team", metavar="TEAM", help="The owning team that you act for.")
format_option = click.option(
    "--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True
)
outputs_option = click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT:FILE",
    help="Write the decision to a file, in any format of `aigate evaluate`; may be given several times.",
)
result_option = click.option(
    "--result",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what came of it to this file, as JSON.",
)
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Show every effect.")

STEPS = {
    "evaluate": "collecting the evidence and deciding",
    "choose": "looking for the last known good version",
    "waiting": "another run is moving the alias: waiting for it",
    "record": "keeping the decision and its evidence",
    "before_intent": "writing the intent",
    "recheck": "reading the evidence again",
    "before_alias": "moving the alias",
    "after_read_back": "writing the receipt",
}
"""What a person at a terminal is told while it happens, by step."""


def acting(tracking_uri: str | None, ledger_uri: str | None, deadline: float) -> "Acting":
    """Return what an act is handed in: the world, a clock, randomness, and who is told of its steps."""
    from aigate.act import Acting

    return Acting(
        world=world(deadline),
        clock=lambda: datetime.now(UTC).replace(microsecond=0),  # noqa: TID251 - this is a door
        nonce=lambda: os.urandom(8).hex(),
        step=progress(),
        tracking_uri=tracking_uri,
        ledger_uri=ledger_uri,
    )


def progress() -> Callable[[str], None]:
    """Return what tells of each step on standard error: a person of all, a log of the ledger and of waiting."""
    from aigate.report.clean import clean

    person = sys.stderr.isatty()
    said: set[str] = set()

    def tell(name: str) -> None:
        line = name if name.startswith("ledger: ") else STEPS.get(name, "")
        always = name.startswith("ledger: ") or name == "waiting"
        if line and (person or always) and line not in said:
            said.add(line)
            click.echo(f"aigate: {clean(line, 400)}", err=True)

    return tell


def manifest_for(manifest: Path, model: str | None) -> tuple["LoadedManifest | None", str]:
    """Return the manifest, where there is one that can be read, and the model's name.

    An act at night must not fail because a file cannot be read: where the
    model is named, a manifest that is broken is told of and done without.
    Raises UsageError where neither names a model, or both do and differ.
    """
    from aigate.cli.complain import complain
    from aigate.cli.options import load_if_there
    from aigate.errors import ConfigError

    loaded = None
    try:
        loaded = load_if_there(manifest)
    except ConfigError as e:
        if model is None:
            raise
        complain(e)
        click.echo("aigate: going on without the manifest, with the usual bounds", err=True)
    if loaded is None and model is None:
        raise UsageError(
            "which model? there is no manifest here", fix="name it, or its manifest: --manifest FILE"
        )
    if model is not None:
        refuse_odd(model, "model")
    declared = None if loaded is None else loaded.manifest.model.name
    if model is not None and declared is not None and model != declared:
        raise UsageError(
            f"the manifest is about model {declared!r}, not {model!r}",
            fix="name its manifest: --manifest FILE",
        )
    return loaded, model or declared or ""


def refuse_odd(name: str, what: str) -> None:
    """Raise UsageError for a name that no record can hold: empty, too long, or with control characters."""
    from aigate.collect.strict import quote

    if not re.fullmatch(NAME_PATTERN, name) or len(name) > 200:
        raise UsageError(
            f"{quote(name[:60])} is no name of a {what}", fix="give one of 1 to 200 visible characters"
        )


def alias_for(loaded: "LoadedManifest | None", alias: str | None, environment: str = PRODUCTION) -> str:
    """Return the alias in question: the one that was named, the manifest's, or the usual one."""
    if alias is not None:
        refuse_odd(alias, "alias")
        return alias
    return USUAL_ALIAS if loaded is None else loaded.manifest.alias_of(environment)


def context(*, verbose: bool = False) -> "ReportContext":
    """Return how standard output wants to be written to."""
    from aigate.report import ReportContext

    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")  # noqa: TID251 - this is a door
    return ReportContext(color=color, unicode="utf" in (sys.stdout.encoding or "").lower(), verbose=verbose)


def page(
    answer: "Answer", loaded: "LoadedManifest", manifest: Path, *, verbose: bool = False
) -> "ReportContext":
    """Return how a report on a decision is to be written, with the command that asks for it again."""
    from dataclasses import replace

    from aigate.cli.evaluate import again, reported

    return replace(
        context(verbose=verbose),
        again=again(answer, manifest),
        manifest=reported(manifest),
        places=lambda keys: loaded.locate(*keys),
    )


def files_only(outputs: tuple[str, ...]) -> "tuple[Output, ...]":
    """Read every `-o`; raise UsageError for one without a file, since standard output shows the act."""
    from aigate.report import parse_outputs

    files = parse_outputs(outputs) if outputs else ()
    if any(output.path is None for output in files):
        raise UsageError("-o names no file", fix="write -o FORMAT:FILE; standard output shows the act")
    return files


def write_result(path: Path, text: str) -> "list[ReportError]":
    """Write what came of an act; return the trouble there was, which never changes what was done."""
    from aigate.report.file import ReportError, write_file

    try:
        write_file(path, text)
    except ReportError as trouble:
        return [trouble]
    return []


def told(act: "Act", shape: str, *, verbose: bool = False, result: Path | None = None) -> int:
    """Print an act, write it to a file where that is asked for, and return the exit code of the whole."""
    from aigate.cli.complain import complain
    from aigate.report import Delivery
    from aigate.report.act import render, render_json
    from aigate.report.context import ReportContext

    write: dict[str, Any] = {"text": render, "json": render_json}
    click.echo(write[shape](act, context(verbose=verbose)), nl=False)
    troubles = [] if result is None else write_result(result, render_json(act, ReportContext()))
    for trouble in troubles:
        complain(trouble)
    return Delivery("", tuple(troubles)).exit_code(act.exit_code)
