"""`aigate evaluate`: may this version take the alias?"""

import re
import shlex
import sys
from pathlib import Path

import click
from click.core import ParameterSource

from aigate.cli.complain import complain
from aigate.cli.options import (
    actor,
    deadline_option,
    environment_option,
    manifest_option,
    tracking_option,
    world,
)
from aigate.decision import Decision
from aigate.digest import canonical
from aigate.errors import UsageError
from aigate.gate import Answer, Request, evaluate, evaluate_snapshot
from aigate.report import Delivery, ReportContext, ReportError, deliver, parse_outputs
from aigate.report.file import write_file

NUMBER = re.compile(r"[1-9][0-9]{0,9}")


@click.command("evaluate")
@click.argument("model", required=False, metavar="[MODEL[@VERSION|@ALIAS]]")
@manifest_option
@environment_option
@click.option(
    "--to", metavar="ALIAS", help="The alias that is asked for.  [default: the manifest's champion]"
)
@click.option(
    "--question",
    type=click.Choice(["promote", "retain"]),
    default="promote",
    show_default=True,
    help="promote: may the challenger take the alias? retain: may the champion keep it?",
)
@tracking_option
@deadline_option
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path),
    help="Evaluate this recorded snapshot; asks nothing of the world.",
)
@click.option("--save-snapshot", type=click.Path(path_type=Path), help="Write the evidence to this file.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT[:FILE]",
    help="text, json, markdown, sarif, junit, codequality or github (annotations), to the terminal or a file; "
    "may be given several times.  [default: text]",
)
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "json", "markdown", "sarif", "junit", "codequality", "github"]),
    help="Short for -o FORMAT.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show what passed and was skipped, and the evidence.")
@click.option(
    "--untrusted-manifest",
    is_flag=True,
    help="The manifest comes from a change under review: reach no private address for it, count no waiver.",
)
def command(
    model: str | None,
    manifest: Path,
    environment: str,
    to: str | None,
    question: str,
    tracking_uri: str | None,
    deadline: float,
    snapshot: Path | None,
    save_snapshot: Path | None,
    outputs: tuple[str, ...],
    shape: str | None,
    verbose: bool,
    untrusted_manifest: bool,
) -> int:
    """Decide whether a model version may take the alias; changes nothing.

    MODEL is the manifest's model; `churn@3` asks about version 3, `churn@shadow`
    about the version with that alias, `churn` about the challenger.
    """
    from aigate.collect.manifest_file import load_manifest
    from aigate.collect.snapshot_file import load_snapshot

    wanted = parse_outputs((*outputs, *((shape,) if shape else ())))
    loaded = load_manifest(manifest)
    version, candidate = subject_of(model, loaded.manifest.model.name)
    if snapshot is not None:
        refuse_beside_snapshot(model, to, tracking_uri, save_snapshot)
        recorded = load_snapshot(snapshot)
        refuse_other(environment, recorded.environment)
        asks = actor(dict(world().environ))
        answer = evaluate_snapshot(loaded, recorded, asks, trusted=not untrusted_manifest)
    else:
        request = Request(
            question="promote" if question == "promote" else "retain",
            environment=environment,
            version=version,
            candidate=candidate,
            to=to,
            tracking_uri=tracking_uri,
            trusted=not untrusted_manifest,
        )
        answer = evaluate(loaded, request, world(deadline))
    context = ReportContext(
        color=wants_color(),
        unicode="utf" in (sys.stdout.encoding or "").lower(),
        verbose=verbose,
        again=again(answer, manifest),
        manifest=reported(manifest),
        places=lambda keys: loaded.locate(*keys),
    )
    delivery = deliver(answer.decision, wanted, context)
    troubles = list(delivery.troubles)
    if save_snapshot is not None:
        troubles += saved(answer, save_snapshot)
    click.echo(delivery.shown, nl=False)
    for trouble in troubles:
        complain(trouble)
    return Delivery(delivery.shown, tuple(troubles)).exit_code(answer.decision.exit_code)


def saved(answer: Answer, path: Path) -> list[ReportError]:
    """Write the snapshot; return the trouble there was, which like a report's never changes the verdict."""
    try:
        write_file(path, canonical(answer.snapshot).decode() + "\n")
    except ReportError as trouble:
        return [trouble]
    return []


def subject_of(model: str | None, declared: str) -> tuple[str | None, str | None]:
    """Split MODEL into a version's number and an alias; at most one of them is given.

    `@3` and `@ALIAS` leave the model to the manifest.

    Raises UsageError where it is another model than the manifest's.
    """
    if model is None:
        return None, None
    name, at, rest = model.rpartition("@") if "@" in model else (model, "", "")
    if name != declared and not (at and name == ""):
        raise UsageError(
            f"the manifest is about model {declared!r}, not {name!r}",
            fix="name its manifest: --manifest FILE",
        )
    if at and not rest:
        raise UsageError("nothing stands after @", fix=f"write {name}@3 or {name}@ALIAS")
    number = rest.removeprefix("v")
    if not number.isdecimal():
        return None, rest or None
    if not NUMBER.fullmatch(number):
        raise UsageError(f"{rest!r} is not a version's number", fix=f"write it as MLflow counts: {name}@3")
    return number, None


def refuse_beside_snapshot(*options: object) -> None:
    """A recorded snapshot has its subject, its alias and its registry in it."""
    if any(option is not None for option in options):
        raise UsageError(
            "MODEL, --to, --tracking-uri and --save-snapshot do not go with --snapshot: they are in it already"
        )


def refuse_other(environment: str, recorded: str) -> None:
    """Raise UsageError where an environment was named, and the snapshot is about another one."""
    named = click.get_current_context().get_parameter_source("environment") is not ParameterSource.DEFAULT
    if named and environment != recorded:
        raise UsageError(
            f"the snapshot is about {recorded!r}, not {environment!r}",
            fix=f"--environment {recorded}, or a snapshot of {environment}",
        )


def reported(manifest: Path) -> str:
    """Return the manifest's path as reports name it: from the current folder, where it lies below that."""
    import os.path

    path = Path(os.path.normpath(manifest.absolute()))
    here = Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else manifest).as_posix()


def wants_color() -> bool:
    """Whether standard output is a terminal that wants colour."""
    import os

    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")  # noqa: TID251 - this is a door


def again(answer: Answer, manifest: Path) -> str:
    """Return the command that asks the same question again."""
    decision: Decision = answer.decision
    words = ["aigate", "evaluate"]
    version = getattr(decision.subject, "version", None)
    if decision.question == "promote":
        words.append(f"{decision.model}@{version}" if version else decision.model)
    else:
        words += ["--question", "retain"]
    if manifest != Path("aigate.yaml"):
        words += ["--manifest", str(manifest)]
    if decision.environment != "production":
        words += ["--environment", decision.environment]
    return shlex.join(words)
