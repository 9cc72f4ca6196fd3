"""`aigate promote`: decide, and on `allow` move the alias."""

import sys
from pathlib import Path

import click

from aigate.cli.acting import (
    acting,
    files_only,
    format_option,
    ledger_option,
    outputs_option,
    page,
    result_option,
    told,
    verbose_option,
)
from aigate.cli.complain import complain
from aigate.cli.evaluate import saved, subject_of
from aigate.cli.options import deadline_option, environment_option, manifest_option, tracking_option
from aigate.errors import ConfigError, UsageError


@click.command("promote")
@click.argument("model", required=False, metavar="[MODEL[@VERSION|@ALIAS]]")
@click.option("--version", metavar="N", help="The version that is to take the alias.")
@manifest_option
@environment_option
@click.option("--to", metavar="ALIAS", help="The alias to move.  [default: the manifest's champion]")
@click.option(
    "--decision",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Act only if nothing has changed since this decision record was made.",
)
@click.option(
    "--decision-id",
    metavar="DIGEST",
    help="The id that this record must have: what another job says that it decided.",
)
@click.option("--reason", default="", metavar="TEXT", help="Kept in the ledger beside the decision.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@tracking_option
@ledger_option
@deadline_option
@click.option(
    "--save-snapshot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the evidence to this file.",
)
@outputs_option
@result_option
@format_option
@verbose_option
def command(
    model: str | None,
    version: str | None,
    manifest: Path,
    environment: str,
    to: str | None,
    decision: Path | None,
    decision_id: str | None,
    reason: str,
    dry_run: bool,
    tracking_uri: str | None,
    ledger_uri: str | None,
    deadline: float,
    save_snapshot: Path | None,
    outputs: tuple[str, ...],
    result: Path | None,
    shape: str,
    verbose: bool,
) -> int:
    """Decide whether a model version may take the alias, and move it if so.

    What is intended is in the ledger before anything moves. Killed at any
    point, the next run finds out what happened and finishes or abandons it;
    doing it twice changes nothing.
    """
    from aigate.act import PromoteRequest, promote
    from aigate.collect.manifest_file import load_manifest
    from aigate.gate import Request
    from aigate.report import Delivery, deliver, parse_outputs

    files = files_only(outputs)
    loaded = load_manifest(manifest)
    number, candidate = subject_of(model, loaded.manifest.model.name)
    if version is not None:
        if number is not None or candidate is not None:
            raise UsageError("a version is named twice", fix="give MODEL@N or --version N")
        number, candidate = subject_of(f"{loaded.manifest.model.name}@{version}", loaded.manifest.model.name)
        if number is None:
            raise UsageError(f"{version!r} is not a version's number", fix="write --version 3")
    request = Request(
        environment=environment, version=number, candidate=candidate, to=to, tracking_uri=tracking_uri
    )
    asked = PromoteRequest(
        request=request,
        decision=bound_to(decision, decision_id),
        dry_run=dry_run,
        reason=reason.strip(),
        words=() if manifest == Path("aigate.yaml") else ("--manifest", str(manifest)),
    )
    done = promote(loaded, asked, acting(tracking_uri, ledger_uri, deadline))
    code = done.act.exit_code
    if done.answer is not None:
        wanted = files if done.act.result != "denied" or shape == "json" else (*parse_outputs(()), *files)
        delivery = deliver(done.answer.decision, wanted, page(done.answer, loaded, manifest, verbose=verbose))
        click.echo(delivery.shown, nl=False)
        troubles = [*delivery.troubles, *(saved(done.answer, save_snapshot) if save_snapshot else [])]
        for trouble in troubles:
            complain(trouble)
        code = Delivery("", tuple(troubles)).exit_code(code)
    if done.act.result == "denied" and shape == "text":
        click.echo()
    sys.stdout.flush()
    return told(done.act, shape, verbose=verbose, result=result) or code


def bound_to(path: Path | None, id: str | None) -> bytes | None:
    """Return the record that is to be acted upon, which has this id; raise where it has another one.

    A record carries the digest of itself, so one with the right id is the one
    that was decided, whichever way it came here.
    """
    from aigate.report.clean import clean
    from aigate.report.json import decision_id, read_record

    if path is None:
        if id is not None:
            raise UsageError(
                "--decision-id names a record that is not given",
                fix="give the record itself too: --decision FILE",
            )
        return None
    content = read_decision(path)
    found = decision_id(read_record(content))
    if id is not None and id != found:
        raise ConfigError(
            f"the record is decision {found}, not {clean(id, 80)}",
            place=str(path),
            fix="take the record of the job that decided; nothing was moved",
        )
    return content


def read_decision(path: Path) -> bytes:
    """Return the bytes of a decision record that can be acted upon; raise ConfigError where it is none."""
    from aigate.report.json import MAX_RECORD, read_record

    try:
        with path.open("rb") as file:
            content = file.read(MAX_RECORD + 1)
    except OSError as e:
        raise ConfigError(
            f"cannot be read: {e.strerror}",
            place=str(path),
            fix="give the file that `aigate evaluate -o json:FILE` wrote",
        ) from e
    try:
        read_record(content)
    except ConfigError as e:
        raise ConfigError(e.message, place=str(path), fix=e.fix) from e
    return content
