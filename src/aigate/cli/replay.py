"""`aigate replay`: make a recorded decision again, or put other policies to many of them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aigate.cli.acting import acting, context, ledger_option, manifest_for
from aigate.cli.options import (
    deadline_option,
    environment_option,
    load_if_there,
    manifest_option,
    tracking_option,
    world,
)
from aigate.errors import UsageError

if TYPE_CHECKING:  # `--help` needs none of them
    from aigate.again.rules import Rules
    from aigate.backtest import Backtest
    from aigate.collect.manifest_file import LoadedManifest
    from aigate.collect.records import Piece
    from aigate.decision import Decision
    from aigate.replay import Replay
    from aigate.snapshot import Snapshot
    from aigate.values import Digest

LEDGER = "ledger"
"""The source that is no file."""

_LEDGER_SECONDS = 300.0


@click.command("replay")
@click.argument("record", required=False, metavar="[RECORD]")
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The evidence of RECORD, where it does not lie beside it.",
)
@click.option(
    "--policies",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Policies in place of the project's own.",
)
@click.option(
    "--standard/--no-standard",
    default=None,
    help="With or without the standard pack.  [default: the manifest's]",
)
@click.option(
    "--source",
    metavar="ledger|PATH",
    help="Snapshots to judge: the ledger's, or those in a folder, a .json or .jsonl file, or one of these and .gz.",
)
@click.option("--since", metavar="SPAN|DATE", help="Only decisions of the last 90d, or from 2026-08-01 on.")
@click.option(
    "--fail-on",
    type=click.Choice(["never", "changed", "blocked"]),
    default="never",
    show_default=True,
    help="End with exit code 1 where a verdict would have been another, or a yes would have become a no.",
)
@manifest_option
@environment_option
@tracking_option
@ledger_option
@deadline_option
@click.option(
    "--format", "shape", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True
)
@click.option("-v", "--verbose", is_flag=True, help="List every change.")
def command(
    record: str | None,
    snapshot: Path | None,
    policies: Path | None,
    standard: bool | None,
    source: str | None,
    since: str | None,
    fail_on: str,
    manifest: Path,
    environment: str,
    tracking_uri: str | None,
    ledger_uri: str | None,
    deadline: float,
    shape: str,
    verbose: bool,
) -> int:
    """Make a recorded decision again from its own evidence, or backtest policies on what was recorded.

    RECORD is a decision record, or the beginning of a decision's id in the
    ledger. Exit code 0: every byte came out again. 1: it differs, and the
    first difference is named. 3: its evidence is not to be had.

    Without RECORD, the policies (or those of --policies) are put to every
    recorded snapshot of --source, the ledger's where none is named. The limits
    are those in the snapshots, levels and parameters those of the manifest.
    Exit code 0, unless --fail-on says otherwise; 3 where nothing was compared.
    """
    ledger = _Ledger(manifest, tracking_uri, ledger_uri, deadline)
    if record is None:
        if snapshot is not None:
            raise UsageError(
                "--snapshot is the evidence of one RECORD", fix="name the record, or use --source"
            )
        return _backtest(ledger, policies, standard, source, since, fail_on, environment, shape, verbose)
    if source is not None or since is not None or fail_on != "never":
        raise UsageError("--source, --since and --fail-on are for many decisions, and RECORD is one")
    if shape == "markdown":
        raise UsageError("a replay of one decision is text or json", fix="--format json")
    return _replay(ledger, record, snapshot, policies, standard, shape, verbose)


class _Ledger:
    """How to come to the ledger, where it is needed."""

    def __init__(self, manifest: Path, tracking: str | None, uri: str | None, deadline: float) -> None:
        self.manifest = manifest
        self._acting: Callable[[], Any] = lambda: acting(tracking, uri, max(deadline, _LEDGER_SECONDS))

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Open registry and ledger to look at them."""
        from aigate.history import open_sight

        loaded, name = manifest_for(self.manifest, None)
        with open_sight(self._acting(), name, loaded) as sight:
            yield sight


def _replay(
    ledger: _Ledger,
    record: str,
    snapshot: Path | None,
    policies: Path | None,
    standard: bool | None,
    shape: str,
    verbose: bool,
) -> int:
    """Make one decision again."""
    from aigate.again.record import replay
    from aigate.again.rules import rules
    from aigate.collect.manifest_file import load_manifest
    from aigate.report.page import program
    from aigate.report.replay import render

    id, recorded, evidence = _recorded(ledger, record, snapshot)
    loaded = load_manifest(ledger.manifest)
    _refuse_other_system(loaded, recorded)
    found: Replay = replay(
        recorded,
        id,
        evidence,
        rules(loaded, recorded.environment, policies, standard=standard),
        loaded.manifest,
        loaded.digest,
    )
    how = context(verbose=verbose)
    click.echo(render(found, how) if shape == "text" else program(found, how), nl=False)
    return found.exit_code


def _recorded(ledger: _Ledger, record: str, snapshot: Path | None) -> "tuple[Digest, Decision, Snapshot]":
    """Return a decision with its id and its evidence: from files, or from the ledger by its id."""
    import json
    import re

    from aigate.again.record import evidence, find_beside, load_evidence, load_record, parse_record

    path = Path(record)
    if not path.exists() and re.fullmatch(r"(sha256:)?[0-9a-f]{6,64}", record):
        from aigate.history.recorded import kept_decision

        with ledger.open() as sight:
            data, kept = kept_decision(sight, record)
        decision = parse_record(data, "the kept record")
        return json.loads(data)["id"], decision, evidence(decision, kept, "the kept snapshot")
    data, decision = load_record(path)
    found = find_beside(decision, path) if snapshot is None else load_evidence(decision, snapshot)
    return json.loads(data)["id"], decision, found


def _refuse_other_system(loaded: "LoadedManifest", recorded: "Decision") -> None:
    if loaded.manifest.system != recorded.system:
        raise UsageError(
            f"the decision is about the system {recorded.system!r}, {loaded.shown} about {loaded.manifest.system!r}",
            fix="name its manifest: --manifest FILE",
        )


def _backtest(
    ledger: _Ledger,
    policies: Path | None,
    standard: bool | None,
    source: str | None,
    since: str | None,
    fail_on: str,
    environment: str,
    shape: str,
    verbose: bool,
) -> int:
    """Put policies to many recorded snapshots."""
    from aigate.again.many import Asked, backtest
    from aigate.again.rules import rules
    from aigate.report.page import program
    from aigate.report.replay import backtest_markdown, render_backtest

    loaded = load_if_there(ledger.manifest)
    tested: Rules = rules(loaded, environment, policies, standard=standard)
    other = policies is not None or standard is not None
    start = _start(since)
    with ExitStack() as stack:
        shown, pieces = _pieces(ledger, source or LEDGER, start, stack)
        asked = Asked(
            rules=tested,
            today=rules(loaded, environment) if other else None,
            environment=environment,
            since=start,
            source=shown,
        )
        found = backtest(pieces, asked)
    how = context(verbose=verbose)
    write: dict[str, Any] = {"text": render_backtest, "markdown": backtest_markdown, "json": program}
    click.echo(write[shape](found, how), nl=False)
    return _code(found, fail_on)


def _code(found: "Backtest", fail_on: str) -> int:
    """Return the exit code: what was not compared cannot be said to be unchanged."""
    if not found.judged - found.incomparable:
        return 3
    if (fail_on == "changed" and found.changed) or (fail_on == "blocked" and found.blocked):
        return 1
    unsure = found.unreadable or found.unread or found.incomparable or found.without_snapshot or found.broken
    return 3 if fail_on != "never" and unsure else 0


def _start(since: str | None) -> datetime | None:
    """Return the instant that `--since` means."""
    if since is None:
        return None
    from aigate.account import span
    from aigate.values import parse_duration

    try:
        back: timedelta = parse_duration(since)
    except ValueError:
        try:
            return span(since).start.astimezone(UTC)
        except ValueError as e:
            raise UsageError(
                f"--since: {e}", fix="write a span such as 90d, or a day such as 2026-08-01"
            ) from e
    try:
        return world().now - back
    except OverflowError as e:
        raise UsageError("--since: that is before there was a calendar") from e


def _pieces(
    ledger: _Ledger, source: str, since: datetime | None, stack: ExitStack
) -> "tuple[str, Iterator[Piece]]":
    """Return what a source is called, and its documents; a bar shows a person how far it is."""
    if source == LEDGER:
        from aigate.history.recorded import kept

        sight = stack.enter_context(ledger.open())
        tell = stack.enter_context(bar("reading the ledger"))
        return f"the ledger of {sight.model}", kept(sight, since, tell)
    from aigate.collect.records import Records

    records = Records(Path(source))
    tell = stack.enter_context(bar("judging"))
    whole = 2 * records.size
    return source, records.read(lambda done: tell(done, whole))


@contextmanager
def bar(words: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error, where a person looks on."""
    if not sys.stderr.isatty():
        yield lambda done, whole: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("aigate: {task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(words, total=None)
        yield lambda done, whole: progress.update(task, completed=done, total=whole)
