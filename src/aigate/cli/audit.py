"""`aigate audit`: do ledger, registry and records still agree?"""

import re
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

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
from aigate.cli.complain import complain
from aigate.cli.options import environment_option, manifest_option, tracking_option
from aigate.errors import UsageError

if TYPE_CHECKING:
    from aigate.history import Audited
    from aigate.ledger import Head

SECONDS = 300.0
"""For everything together: the files of models are read again."""

_ANCHOR = re.compile(r"([1-9][0-9]{0,7}):(?:sha256:)?([0-9a-f]{64})")


@click.command("audit")
@click.argument("model", required=False)
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="SEQ:DIGEST",
    help="An entry's number and digest, as a job's log kept them; may be given several times.",
)
@click.option("--all-versions", is_flag=True, help="Read the files of every version that ever served again.")
@click.option(
    "--export",
    metavar="PATH",
    help="Write a bundle that verifies itself: a zip, or a folder where PATH ends with /.",
)
@click.option(
    "--from", "since", metavar="DATE", help="List entries from this day or instant on in the export."
)
@click.option("--to", "until", metavar="DATE", help="List entries up to this day or instant in the export.")
@click.option(
    "--deadline",
    type=click.FloatRange(1, 86_400),
    default=SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="For everything that is read.",
)
@alias_option
@manifest_option
@environment_option
@tracking_option
@ledger_option
@format_option
@click.option("-v", "--verbose", is_flag=True, help="Show every remark, in full.")
def command(
    model: str | None,
    anchors: tuple[str, ...],
    all_versions: bool,
    export: str | None,
    since: str | None,
    until: str | None,
    deadline: float,
    alias: str | None,
    manifest: Path,
    environment: str,
    tracking_uri: str | None,
    ledger_uri: str | None,
    shape: str,
    verbose: bool,
) -> int:
    """Find every edit of the ledger, every move without an entry, and every file that is not what it was.

    Exit code 0: nothing is broken. 1: something is. 3: something could not be
    looked at. What somebody has to see to, such as an unreviewed use of
    break-glass, is a warning and changes no exit code.

    Nothing is written. Where a signing key is set, the server is asked for one
    move that cannot happen (the alias to version 0), to see that it refuses.
    """
    from aigate.history import audited, open_sight
    from aigate.report import ReportError
    from aigate.report.audit import render
    from aigate.report.page import program

    handed = tuple(_head(anchor) for anchor in anchors)
    if export is None and (since or until):
        raise UsageError("--from and --to choose what an export lists", fix="add --export PATH")
    span = _instant("--from", since, last=False), _instant("--to", until, last=True)
    loaded, name = manifest_for(manifest, model)
    with open_sight(acting(tracking_uri, ledger_uri, deadline), name, loaded) as sight:
        found = audited(
            sight,
            alias_for(loaded, alias, environment),
            environment,
            handed=handed,
            all_versions=all_versions,
            keep=export is not None,
            progress=progress(),
        )
    how = context(verbose=verbose)
    click.echo(render(found.audit, how) if shape == "text" else program(found.audit, how), nl=False)
    try:
        if export is not None:
            _export(found, export, *span)
    except ReportError as e:
        code = complain(e)
        return found.audit.exit_code or code
    return found.audit.exit_code


def _head(anchor: str) -> "Head":
    from aigate.ledger import Head

    match = _ANCHOR.fullmatch(anchor.strip())
    if match is None:
        raise UsageError(
            "--anchor is an entry's number and digest", fix="write 12:sha256:… as it was printed"
        )
    return Head(seq=int(match[1]), digest=f"sha256:{match[2]}")


def _instant(option: str, text: str | None, *, last: bool) -> datetime | None:
    """Return the first or the last instant of the time that is named."""
    if text is None:
        return None
    from aigate.account import span

    try:
        found = span(text)
    except ValueError as e:
        raise UsageError(f"{option}: {e}") from e
    return found.last if last else found.start


def _export(found: "Audited", export: str, since: datetime | None, until: datetime | None) -> None:
    """Write the bundle, and say on standard error what to keep of it."""
    from aigate.report.bundle import bundle, write_bundle
    from aigate.report.clean import clean

    files = bundle(found.audit, found.chain, found.lines, found.documents, since, until)
    manifest = write_bundle(Path(export), files, folder=export.endswith("/"))
    click.echo(f"aigate: wrote {clean(export, 300)}: {len(files)} files, MANIFEST {manifest}", err=True)


def progress() -> Callable[[str], None]:
    """Return what tells a person at a terminal, from the first second on, what is being looked at."""
    started = last = time.monotonic()
    person = sys.stderr.isatty()

    def tell(words: str) -> None:
        nonlocal last
        now = time.monotonic()
        if person and now - started > 1 and now - last > 1:
            last = now
            click.echo(f"aigate: {words}", err=True)

    return tell
