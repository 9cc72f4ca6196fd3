"""`aigate rollback`: back to the last known good version, in one command."""

from pathlib import Path

import click

from aigate.cli.acting import (
    acting,
    alias_for,
    alias_option,
    as_option,
    format_option,
    ledger_option,
    manifest_for,
    reason_option,
    refuse_odd,
    result_option,
    told,
    verbose_option,
)
from aigate.cli.evaluate import NUMBER
from aigate.cli.options import environment_option, manifest_option, tracking_option
from aigate.errors import UsageError

SECONDS = 30.0
"""For all that a rollback reads and writes."""


@click.command("rollback")
@click.argument("model", required=False)
@reason_option
@click.option("--to", metavar="N", help="The version to go back to.  [default: the last known good]")
@alias_option
@as_option
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--drill", is_flag=True, help="Do all but the move, and record how long it took.")
@manifest_option
@environment_option
@tracking_option
@ledger_option
@result_option
@format_option
@verbose_option
def command(
    model: str | None,
    reason: str,
    to: str | None,
    alias: str | None,
    as_team: str | None,
    dry_run: bool,
    drill: bool,
    manifest: Path,
    environment: str,
    tracking_uri: str | None,
    ledger_uri: str | None,
    result: Path | None,
    shape: str,
    verbose: bool,
) -> int:
    """Move the alias back to the last known good version.

    Needs MLflow and the ledger, and nothing else: no policy is run, no
    endpoint asked, and the manifest may be unreadable where MODEL is named.
    The version left behind is quarantined. A version that never served can
    only be named (--to) by the accountable owner or an approver.
    """
    from aigate.act import RollbackRequest, rollback

    if dry_run and drill:
        raise UsageError("--drill is recorded and --dry-run is not", fix="give one of them")
    number = None if to is None else to.removeprefix("v")
    if number is not None and not NUMBER.fullmatch(number):
        raise UsageError(f"{to!r} is not a version's number", fix="write it as MLflow counts: --to 3")
    refuse_odd(environment, "environment")
    loaded, name = manifest_for(manifest, model)
    asked = RollbackRequest(
        model=name,
        alias=alias_for(loaded, alias, environment),
        reason=reason.strip(),
        to=number,
        environment=environment,
        as_team=as_team,
        dry_run=dry_run,
        drill=drill,
    )
    done = rollback(loaded, asked, acting(tracking_uri, ledger_uri, SECONDS))
    return told(done, shape, verbose=verbose, result=result)
