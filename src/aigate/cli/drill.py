"""`aigate drill`: what would happen if it happened here?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from aigate.cli.acting import context
from aigate.cli.evaluate import refuse_beside_snapshot, refuse_other, subject_of
from aigate.cli.options import (
    deadline_option,
    environment_option,
    manifest_option,
    tracking_option,
    world,
)
from aigate.cli.replay import bar
from aigate.errors import ConfigError, UsageError

if TYPE_CHECKING:  # `--help` needs none of them
    from aigate.collect.manifest_file import LoadedManifest
    from aigate.snapshot import Snapshot


@click.command("drill")
@click.argument("model", required=False, metavar="[MODEL[@VERSION|@ALIAS]]")
@manifest_option
@environment_option
@click.option(
    "--question",
    type=click.Choice(["promote", "retain"]),
    default="promote",
    show_default=True,
    help="Whether the challenger's evidence is taken, or the champion's.",
)
@tracking_option
@deadline_option
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Put the failures into this recorded snapshot; asks nothing of the world.",
)
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
)
@click.option("-v", "--verbose", is_flag=True, help="Show every place of every failure.")
def command(
    model: str | None,
    manifest: Path,
    environment: str,
    question: str,
    tracking_uri: str | None,
    deadline: float,
    snapshot: Path | None,
    shape: str,
    verbose: bool,
) -> int:
    """Put each known failure into the evidence, and show which policy catches it. Changes nothing.

    The evidence is collected now, or taken from a recorded snapshot; the
    failures are in the copy that the policies judge, and nowhere else. Exit
    code 0: every failure that can happen here is caught. 1: nothing catches at
    least one. 3: there is no evidence to put them into.
    """
    from aigate.again.drills import drill
    from aigate.again.rules import rules
    from aigate.collect.manifest_file import load_manifest
    from aigate.collect.waiver_file import beside, load_waivers
    from aigate.report.drill import markdown, render
    from aigate.report.page import program

    loaded = load_manifest(manifest)
    if snapshot is not None:
        refuse_beside_snapshot(model, None, tracking_uri, None)
        evidence = _recorded(loaded, snapshot, environment, question)
    else:
        evidence = _collected(loaded, model, environment, question, tracking_uri, deadline)
    with bar("drilling") as tell:
        found = drill(
            evidence,
            rules(loaded, evidence.environment),
            loaded.manifest,
            load_waivers(loaded.folder, beside(loaded.shown)),
            tell=tell,
        )
    how = context(verbose=verbose)
    write: dict[str, Any] = {"text": render, "markdown": markdown, "json": program}
    click.echo(write[shape](found, how), nl=False)
    return found.exit_code


def _recorded(loaded: "LoadedManifest", path: Path, environment: str, question: str) -> "Snapshot":
    from aigate.collect.snapshot_file import load_snapshot

    found = load_snapshot(path)
    refuse_other(environment, found.environment)
    named = click.get_current_context().get_parameter_source("question") is not ParameterSource.DEFAULT
    if named and question != found.question:
        raise UsageError(
            f"the snapshot answers the question {found.question!r}, not {question!r}",
            fix=f"--question {found.question}, or a snapshot of the other question",
        )
    if found.manifest_digest != loaded.digest:
        raise ConfigError(
            f"the snapshot was taken under another manifest than {loaded.shown}",
            place=str(path),
            fix="take it anew with `aigate evaluate --save-snapshot`, or name the manifest of that time",
        )
    return found


def _collected(
    loaded: "LoadedManifest",
    model: str | None,
    environment: str,
    question: str,
    tracking_uri: str | None,
    deadline: float,
) -> "Snapshot":
    from aigate.gate import Request, look

    version, candidate = subject_of(model, loaded.manifest.model.name)
    request = Request(
        question="promote" if question == "promote" else "retain",
        environment=environment,
        version=version,
        candidate=candidate,
        tracking_uri=tracking_uri,
    )
    return look(loaded, request, world(deadline))
