"""`aigate check`: do manifests and policies load, in every environment?"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aigate.cli.acting import context, format_option, result_option, write_result
from aigate.cli.complain import complain, say
from aigate.cli.options import actor, world
from aigate.errors import AigateError, ConfigError, UsageError

if TYPE_CHECKING:  # `--help` needs none of them
    from aigate.collect.manifest_file import LoadedManifest
    from aigate.report.check import Check, Checked, Problem, Tried

NAMES = ("aigate.yaml", "aigate.yml")
"""What a manifest beside policies is called; `*.aigate.yaml` is one, too."""

FOLDER = "policies"

NOTE = (
    "this evidence was collected under another manifest: what was read for a stage then "
    "is taken for the stage of the same name"
)

_POLICY_PLACE = re.compile(r"(?P<place>[^\s:]+\.py(?::\d+)?): (?P<message>.*)", re.DOTALL)
_PLACE = re.compile(r":\d+:\d+(?=: )")


@click.command("check")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@click.option(
    "--snapshot",
    "snapshots",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Run the policies on this recorded evidence, too; may be given several times.",
)
@result_option
@format_option
def command(paths: tuple[Path, ...], snapshots: tuple[Path, ...], result: Path | None, shape: str) -> int:
    """Say whether manifests and policies load, for every environment.

    PATH is a manifest, or a file in a folder `policies`, which stands for the
    manifest beside that folder.  [default: aigate.yaml]

    It runs the policies' code, in a process of its own, and asks nothing of
    the world. Every mistake is listed. What policies find in recorded evidence
    changes no exit code; one that cannot be run on it is a mistake.
    """
    from aigate.report import Delivery
    from aigate.report.check import Check, render, render_json
    from aigate.report.context import ReportContext

    manifests, errors = manifests_of(paths or (Path(NAMES[0]),))
    if snapshots and len(manifests) + len(errors) != 1:
        raise UsageError(
            "--snapshot goes with one manifest", fix="name the one that the evidence is to be judged by"
        )
    checked: list[Checked] = []
    tried: list[Tried] = []
    for manifest in manifests:
        sound, loaded, wrong = look(manifest)
        checked += [sound] if sound is not None else []
        errors += wrong
        if loaded is not None and not wrong:
            for snapshot in snapshots:
                answers, wrong = try_on(loaded, snapshot)
                tried += [answers] if answers is not None else []
                errors += wrong
    check = Check(checked=tuple(checked), tried=tuple(tried), errors=tuple(errors))
    if shape == "json":
        click.echo(render_json(check, context()), nl=False)
    else:
        click.echo(render(check, context()), nl=False)
        tell(check)
    troubles = [] if result is None else write_result(result, render_json(check, ReportContext()))
    for trouble in troubles:
        complain(trouble)
    return Delivery("", tuple(troubles)).exit_code(check.exit_code)


def tell(check: "Check") -> None:
    """Say every mistake on standard error."""
    for problem in check.errors:
        place = f"{problem.place}: " if problem.place else ""
        say(f"{place}{problem.message}", fix=problem.fix, code=check.exit_code)


def manifests_of(paths: Iterable[Path]) -> "tuple[list[Path], list[Problem]]":
    """Return the manifests that paths stand for, each once, and what is wrong with the other paths."""
    from aigate.report.check import Problem

    found: dict[Path, Path] = {}
    errors: dict[Path, Problem] = {}
    for path in paths:
        if path.suffix != ".py":
            found.setdefault(path.resolve(), path)
            continue
        folder = path.parent
        beside = manifests_in(folder.parent) if folder.absolute().name == FOLDER else []
        for manifest in beside:
            found.setdefault(manifest.resolve(), manifest)
        if not beside:
            errors.setdefault(
                folder.resolve(),
                Problem(
                    place=path.as_posix(),
                    message="there is no manifest beside this file's folder"
                    if folder.absolute().name == FOLDER
                    else "is in no folder `policies` beside a manifest",
                    fix=f"name the manifest itself, or put {NAMES[0]} beside the folder {FOLDER}",
                    manifest="",
                ),
            )
    return list(found.values()), list(errors.values())


def manifests_in(folder: Path) -> list[Path]:
    """Return the manifests that stand in a folder."""
    named = [folder / name for name in NAMES]
    return [path for path in (*named, *sorted(folder.glob("*.aigate.yaml"))) if path.is_file()]


def look(manifest: Path) -> "tuple[Checked | None, LoadedManifest | None, list[Problem]]":
    """Load a manifest and its policies; return what is in force, or everything that is wrong."""
    from aigate.collect.manifest_file import load_manifest
    from aigate.report.check import Checked
    from aigate.rules import check_rules

    try:
        loaded = load_manifest(manifest)
        rules = check_rules(loaded)
    except AigateError as e:
        return None, None, list(problems(e, manifest))
    if rules.errors:
        found = [problem for e in rules.errors for problem in problems(e, manifest)]
        return None, loaded, list(dict.fromkeys(found))
    checked = Checked(
        manifest=manifest.as_posix(),
        system=loaded.manifest.system,
        policies=len(rules.policies),
        environments=rules.environments,
    )
    return checked, loaded, []


def try_on(loaded: "LoadedManifest", snapshot: Path) -> "tuple[Tried | None, list[Problem]]":
    """Run the policies on recorded evidence; return how each ended, and those that could not be run."""
    from aigate.collect.snapshot_file import load_snapshot
    from aigate.gate import evaluate_under
    from aigate.report.check import Answered, Problem, Tried

    manifest = Path(loaded.shown)
    try:
        evidence = load_snapshot(snapshot)
        decision = evaluate_under(loaded, evidence, actor(world().environ)).decision
    except AigateError as e:
        return None, list(problems(e, manifest))
    answers = tuple(
        Answered(
            policy=judgement.info.id,
            outcome=judgement.result.outcome,
            findings=len(judgement.result.findings),
            reason=judgement.result.reason,
        )
        for judgement in decision.judgements
    )
    note = "" if evidence.manifest_digest == loaded.digest else NOTE
    broken = [
        Problem(
            place=beside(manifest, judgement.info.file),
            message=f"{judgement.info.id} could not be run on {snapshot}: {judgement.result.reason}",
            manifest=manifest.as_posix(),
        )
        for judgement in decision.judgements
        if judgement.result.outcome == "error"
    ]
    tried = Tried(snapshot=snapshot.as_posix(), environment=evidence.environment, answers=answers, note=note)
    return tried, broken


def problems(error: AigateError, manifest: Path) -> "Iterator[Problem]":
    """Yield the mistakes that an error names: a manifest's stand in one, a line each."""
    from aigate.report.check import Problem

    shown = str(manifest)
    if isinstance(error, ConfigError) and error.place:
        first, *rest = error.message.removeprefix(f"{error.place}: ").split("\n")
        place = error.place if error.place.startswith(shown) else beside(manifest, error.place)
        yield Problem(place=place, message=first, fix=error.fix, manifest=manifest.as_posix())
        for line in rest:
            at = _PLACE.search(line) if line.startswith(f"{shown}:") else None
            yield Problem(
                place=line[: at.end()] if at else shown,
                message=line[at.end() + 2 :] if at else line,
                fix=error.fix,
                manifest=manifest.as_posix(),
            )
        return
    found = _POLICY_PLACE.fullmatch(error.message)
    yield Problem(
        place=beside(manifest, found["place"]) if found else shown,
        message=found["message"] if found else error.message,
        fix=error.fix,
        manifest=manifest.as_posix(),
    )


def beside(manifest: Path, place: str) -> str:
    """Return a place that is told from the manifest's folder as it is found from here; the standard pack's stays."""
    return place if place.startswith("standard/") else (manifest.parent / place).as_posix()
