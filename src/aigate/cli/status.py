"""`aigate status`: what is in service, and what stands in the way."""

from pathlib import Path

import click

from aigate.cli.acting import (
    acting,
    alias_for,
    alias_option,
    context,
    format_option,
    ledger_option,
    manifest_for,
)
from aigate.cli.options import deadline_option, environment_option, manifest_option, tracking_option


@click.command("status")
@click.argument("model", required=False)
@alias_option
@manifest_option
@environment_option
@tracking_option
@ledger_option
@deadline_option
@format_option
def command(
    model: str | None,
    alias: str | None,
    manifest: Path,
    environment: str,
    tracking_uri: str | None,
    ledger_uri: str | None,
    deadline: float,
    shape: str,
) -> int:
    """Say what is in service since when and by which decision, and what stands in the way of the next move.

    Changes nothing. What cannot be had is said, and then the exit code is 3.
    """
    from aigate.history import open_sight, status_of
    from aigate.report.page import program
    from aigate.report.status import render

    loaded, name = manifest_for(manifest, model)
    with open_sight(acting(tracking_uri, ledger_uri, deadline), name, loaded) as sight:
        found = status_of(sight, alias_for(loaded, alias, environment), environment)
    click.echo(render(found, context()) if shape == "text" else program(found, context()), nl=False)
    return found.exit_code
