"""`aigate why`: why was this version allowed?"""

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
from aigate.cli.evaluate import NUMBER
from aigate.cli.options import deadline_option, manifest_option, tracking_option
from aigate.errors import UsageError


@click.command("why")
@click.argument("version", metavar="MODEL@VERSION")
@click.option(
    "--on",
    metavar="DATE",
    help="A day in UTC (2027-03-03), or an instant (2027-03-03T14:02:55Z).  [default: when it served last]",
)
@alias_option
@manifest_option
@tracking_option
@ledger_option
@deadline_option
@format_option
def command(
    version: str,
    on: str | None,
    alias: str | None,
    manifest: Path,
    tracking_uri: str | None,
    ledger_uri: str | None,
    deadline: float,
    shape: str,
) -> int:
    """Say why a version was in service, and verify everything that the answer rests on.

    Exit code 0: a decision allowed it, and all of it holds. 1: there was no
    decision, it did not serve, or something is broken. 3: nobody can say.
    """
    from aigate.account import span
    from aigate.history import open_sight, why
    from aigate.report.page import program
    from aigate.report.why import render

    model, number = _asked(version)
    try:
        when = None if on is None else span(on)
    except ValueError as e:
        raise UsageError(f"--on: {e}") from e
    loaded, name = manifest_for(manifest, model)
    with open_sight(acting(tracking_uri, ledger_uri, deadline), name, loaded) as sight:
        told = why(sight, alias_for(loaded, alias), number, when)
    click.echo(render(told, context()) if shape == "text" else program(told, context()), nl=False)
    return told.exit_code


def _asked(version: str) -> tuple[str | None, str]:
    """Split MODEL@VERSION; the model may be left out where the manifest names it."""
    model, _, number = version.rpartition("@")
    number = number.removeprefix("v")
    if not NUMBER.fullmatch(number):
        from aigate.wording import command as words

        name = model or version.removesuffix("@") or "churn"
        raise UsageError(f"{version!r} names no version", fix=f"write it as {words('why', f'{name}@3')}")
    return model or None, number
