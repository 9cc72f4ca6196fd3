"""`aigate promote`: decide, and on `allow` move the alias."""

import sys
from pathlib import Path

import click

from aigate.cli.acting import acting, context, format_option, ledger_option, told, verbose_option
from aigate.cli.complain import complain
from aigate.cli.evaluate import again, subject_of
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
@click.option("--reason", default="", metavar="TEXT", help="Kept in the ledger beside the decision.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@tracking_option
@ledger_option
@deadline_option
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT:FILE",
    help="Write the decision as text, json or markdown to a file; may be given several times.",
)
@format_option
@verbose_option
def command(
    model: str | None,
    version: str | None,
    manifest: Path,
    environment: str,
    to: str | None,
    decision: Path | None,
    reason: str,
    dry_run: bool,
    tracking_uri: str | None,
    ledger_uri: str | None,
    deadline: float,
    outputs: tuple[str, ...],
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
    from aigate.report import deliver, parse_outputs

    files = parse_outputs(outputs) if outputs else ()
    if any(output.path is None for output in files):
        raise UsageError("-o names no file", fix="write -o FORMAT:FILE; standard output shows the act")
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
        decision=None if decision is None else read_decision(decision),
        dry_run=dry_run,
        reason=reason.strip(),
        words=() if manifest == Path("aigate.yaml") else ("--manifest", str(manifest)),
    )
    done = promote(loaded, asked, acting(tracking_uri, ledger_uri, deadline))
    code = done.act.exit_code
    if done.answer is not None:
        shown = context(verbose=verbose)
        from dataclasses import replace

        page = replace(shown, again=again(done.answer, manifest))
        wanted = files if done.act.result != "denied" or shape == "json" else (*parse_outputs(()), *files)
        delivery = deliver(done.answer.decision, wanted, page)
        click.echo(delivery.shown, nl=False)
        for trouble in delivery.troubles:
            complain(trouble)
        code = delivery.exit_code(code)
    if done.act.result == "denied" and shape == "text":
        click.echo()
    sys.stdout.flush()
    return told(done.act, shape, verbose=verbose) or code


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
