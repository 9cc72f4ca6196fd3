"""`aigate test`: can the policies say no? The author's tests first, then a proof of every policy in force."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aigate.cli.acting import context
from aigate.cli.complain import complain
from aigate.cli.options import load_if_there, manifest_option, world
from aigate.errors import UsageError
from aigate.manifest import PRODUCTION

if TYPE_CHECKING:  # `--help` needs none of them
    from collections.abc import Callable, Collection

    from aigate.collect.manifest_file import LoadedManifest
    from aigate.prove import Proof
    from aigate.report import ReportError
    from aigate.snapshot import Snapshot
    from aigate.trial.runs import Ran

SHAPES = ("text", "json", "junit")
MOST_WORKERS = 4


@click.command("test")
@click.argument("tests", nargs=-1, metavar="[TESTS]...", type=click.Path(exists=True, path_type=Path))
@manifest_option
@click.option(
    "--environment",
    "-e",
    "environments",
    multiple=True,
    metavar="NAME",
    help="Whose levels and parameters apply; may be given several times.  [default: production]",
)
@click.option(
    "--snapshot",
    "snapshots",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Recorded evidence to try the policies on, too; may be given several times.",
)
@click.option(
    "--coverage",
    "threshold",
    type=click.IntRange(0, 100),
    metavar="PERCENT",
    help="What the tests must have seen of your policies' outcomes and denials.",
)
@click.option("--no-tests", is_flag=True, help="Prove the policies, and run no tests.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="What one file of policies may take for one snapshot.",
)
@click.option("--thorough", is_flag=True, help="Try everything on the standard policies, too: takes longer.")
@click.option("--format", "shape", type=click.Choice(SHAPES), default="text", show_default=True)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT:FILE",
    help="Write the result to a file, as text, json or junit; may be given several times.",
)
@click.option(
    "-v", "--verbose", is_flag=True, help="Show every policy, what was seen where, and pytest's words."
)
def command(
    tests: tuple[Path, ...],
    manifest: Path,
    environments: tuple[str, ...],
    snapshots: tuple[Path, ...],
    threshold: int | None,
    no_tests: bool,
    seconds: float,
    thorough: bool,
    shape: str,
    outputs: tuple[str, ...],
    verbose: bool,
) -> int:
    """Run the tests of your policies, then prove that every policy in force can say no.

    TESTS are files and folders for pytest.  [default: tests/policies and
    policies beside the manifest]

    Each policy is run as the gate runs it, on evidence that is made otherwise
    in every way that concerns it: missing, NaN, stale, future, another
    champion, other data, out of range. It is proven when it was seen to pass,
    to fail and, where it reads evidence, not to know. One that nothing makes
    fail cannot block anything.

    Exit code 0: all proven and the tests passed. 1: a policy is not proven, a
    test failed, or they saw too little. 2: usage, configuration, policy code,
    or pytest is not installed.
    """
    from aigate.isolate import Limits
    from aigate.report import Delivery
    from aigate.report.clean import disarm
    from aigate.report.proof import FORMATS
    from aigate.trial.road import prove, rules_of

    files = written(outputs)
    loaded = load_if_there(manifest)
    rules = rules_of(loaded, tuple(dict.fromkeys(environments)) or (PRODUCTION,))
    given = recorded(snapshots, rules.environments)
    ran = run(tests, loaded, next(iter(rules.environments)), no_tests=no_tests)
    if ran.output and (verbose or ran.tested.state == "failed"):
        click.echo(disarm(ran.output), err=True)
    tell, done = progress()
    proof = prove(
        rules,
        ran,
        given,
        limits=Limits(seconds=seconds),
        workers=workers(),
        threshold=threshold,
        thorough=thorough,
        tell=tell,
    )
    done()
    click.echo(FORMATS[shape](proof, context(verbose=verbose)), nl=False)
    troubles = write(proof, files, verbose=verbose)
    return Delivery("", tuple(troubles)).exit_code(proof.exit_code)


def run(
    tests: tuple[Path, ...], loaded: "LoadedManifest | None", environment: str, *, no_tests: bool
) -> "Ran":
    """Run the tests that were named, or those beside the manifest."""
    from aigate.trial.road import tested_nothing
    from aigate.trial.runs import run_tests, usual_tests

    if no_tests and tests:
        raise UsageError("--no-tests, and tests are named", fix="leave out one of the two")
    if no_tests:
        return tested_nothing("left out (--no-tests)")
    folder = Path() if loaded is None else loaded.folder
    wanted = tests or (() if loaded is None else usual_tests(folder))
    manifest = None if loaded is None else Path(loaded.shown)
    return run_tests(wanted, folder, world().environ, manifest=manifest, environment=environment)


def recorded(paths: tuple[Path, ...], environments: "Collection[str]") -> "dict[str, Snapshot]":
    """Read recorded evidence; raise UsageError for what is of none of the environments on trial."""
    from aigate.collect.snapshot_file import load_snapshot

    found = {str(path): load_snapshot(path) for path in paths}
    for name, snapshot in found.items():
        if snapshot.environment not in environments:
            raise UsageError(
                f"{name} is of {snapshot.environment}, which is not on trial",
                fix=f"add --environment {snapshot.environment}",
            )
    return found


def workers() -> int:
    """Return how many processes to keep busy."""
    return max(1, min(MOST_WORKERS, os.cpu_count() or 1))


def progress() -> "tuple[Callable[[int, int], None], Callable[[], None]]":
    """Return what a person at a terminal is told how far the proof is, and what takes the line away again."""
    if not sys.stderr.isatty():
        return (lambda done, of: None), lambda: None

    def tell(done: int, of: int) -> None:
        if done % 10 == 0:
            click.echo(f"\raigate: {done} of {of} snapshots tried", nl=False, err=True)

    return tell, lambda: click.echo("\r\033[K", nl=False, err=True)


def written(outputs: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Read every `-o`; raise UsageError for a format that does not exist and for one without a file."""
    found = []
    for output in outputs:
        shape, _, path = output.partition(":")
        if shape not in SHAPES or not path or not path.isprintable():
            raise UsageError(
                f"-o {output!r} is no output", fix=f"write -o FORMAT:FILE, with one of {', '.join(SHAPES)}"
            )
        found.append((shape, Path(path)))
    return found


def write(proof: "Proof", files: list[tuple[str, Path]], *, verbose: bool) -> "list[ReportError]":
    """Write the result to files; return the trouble there was, which never changes what was found."""
    from aigate.report.context import ReportContext
    from aigate.report.file import ReportError, write_file
    from aigate.report.proof import FORMATS

    troubles: list[ReportError] = []
    for shape, path in files:
        try:
            write_file(path, FORMATS[shape](proof, ReportContext(verbose=verbose)))
        except ReportError as trouble:
            complain(trouble)
            troubles.append(trouble)
    return troubles
