"""`aigate check`: do manifests and policies load and mean something, in every environment?"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aigate.cli.acting import context, format_option, result_option, write_result
from aigate.cli.complain import complain, say
from aigate.cli.options import actor, home, world
from aigate.errors import AigateError, ConfigError, UsageError

if TYPE_CHECKING:  # `--help` needs none of them
    from collections.abc import Mapping

    from aigate.collect.manifest_file import LoadedManifest
    from aigate.policy import PolicyFile
    from aigate.report.check import Check, Checked, Problem, Tried
    from aigate.rules import Rules
    from aigate.snapshot import Snapshot

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
@click.option(
    "--types/--no-types",
    default=True,
    show_default=True,
    help="Run mypy on the policies, where it is installed beside aigate.",
)
@result_option
@format_option
def command(
    paths: tuple[Path, ...], snapshots: tuple[Path, ...], types: bool, result: Path | None, shape: str
) -> int:
    """Say whether manifests and policies load and mean something, for every environment.

    PATH is a manifest, or a file in a folder `policies`, which stands for the
    manifest beside that folder.  [default: aigate.yaml]

    It loads every policy with its parameters, looks for limits that nothing can
    break or keep, and reads the policies for hidden inputs: the clock, chance,
    the environment, the network. It runs their code in a process of its own,
    and asks nothing of the world. Every mistake is listed. What policies find
    in recorded evidence changes no exit code; one that cannot be run on it is a
    mistake.
    """
    from aigate.report import Delivery
    from aigate.report.check import Check, render, render_json
    from aigate.report.context import ReportContext

    manifests, errors = manifests_of(paths or (Path(NAMES[0]),))
    if snapshots and len(manifests) + len(errors) != 1:
        raise UsageError(
            "--snapshot goes with one manifest", fix="name the one that the evidence is to be judged by"
        )
    evidence, unread = evidence_of(manifests, snapshots)
    checked: list[Checked] = []
    tried: list[Tried] = []
    warnings: list[Problem] = []
    notes: list[str] = []
    for manifest in manifests:
        seen = look(manifest, [found for _, found in evidence], types=types)
        checked += [] if seen.checked is None else [seen.checked]
        errors += seen.errors
        warnings += seen.warnings
        notes += seen.notes
        if seen.loaded is not None and not seen.unsound:
            for path, found in evidence:
                answers, wrong = try_on(seen.loaded, path, found)
                tried += [answers] if answers is not None else []
                errors += wrong
    check = Check(
        checked=tuple(checked),
        tried=tuple(tried),
        errors=(*errors, *unread),
        warnings=tuple(warnings),
        notes=tuple(dict.fromkeys(notes)),
    )
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
    """Say every mistake on standard error, and what is worth knowing."""
    said = [("", problem) for problem in check.errors]
    for word, problem in (*said, *(("warning: ", problem) for problem in check.warnings)):
        place = f"{problem.place}: " if problem.place else ""
        say(f"{word}{place}{problem.message}", fix=problem.fix, code=check.exit_code)


def evidence_of(
    manifests: list[Path], snapshots: tuple[Path, ...]
) -> "tuple[list[tuple[Path, Snapshot]], list[Problem]]":
    """Load recorded evidence; return it with its files, and what is wrong with the others."""
    from aigate.collect.snapshot_file import load_snapshot

    found: list[tuple[Path, Snapshot]] = []
    errors: list[Problem] = []
    for path in snapshots:
        try:
            found.append((path, load_snapshot(path)))
        except AigateError as e:
            errors += problems(e, manifests[0] if manifests else path)
    return found, errors


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


@dataclass(frozen=True)
class Seen:
    """What was seen of one manifest and its policies."""

    checked: "Checked | None"
    """What is in force; None where something is wrong."""
    loaded: "LoadedManifest | None"
    unsound: bool
    """Whether something does not load, so that nothing can be run."""
    errors: "list[Problem]"
    warnings: "list[Problem]"
    notes: list[str]


def look(manifest: Path, evidence: "list[Snapshot]", *, types: bool) -> Seen:
    """Load a manifest and its policies; return what is in force, and everything that is wrong."""
    from aigate.collect.manifest_file import load_manifest
    from aigate.report.check import Checked
    from aigate.rules import check_rules

    try:
        loaded = load_manifest(manifest)
        rules = check_rules(loaded)
    except AigateError as e:
        return Seen(None, None, True, list(problems(e, manifest)), [], [])
    sources = {beside(manifest, file.shown): file.source for file in rules.files}
    unsound = [_complete(problem, sources) for e in rules.errors for problem in problems(e, manifest)]
    found = [
        *_without_effect(loaded, rules, evidence),
        *_hidden(loaded, rules, unsound),
        *_waivers(loaded, rules),
    ]
    notes: list[str] = []
    if types and not unsound:
        from aigate.cli.typecheck import check_types

        said = check_types(_own(loaded, rules), home())
        notes += [said.note] if said.note else []
        found += [
            (each.certain, _problem(loaded, each.place, each.words, "correct the type"))
            for each in said.mistakes
        ]
    errors = [*dict.fromkeys(unsound), *(problem for certain, problem in found if certain)]
    checked = Checked(
        manifest=manifest.as_posix(),
        system=loaded.manifest.system,
        policies=len(rules.policies),
        environments=rules.environments,
    )
    warnings = [problem for certain, problem in found if not certain]
    return Seen(None if errors else checked, loaded, bool(unsound), errors, warnings, notes)


def _complete(problem: "Problem", sources: "Mapping[str, bytes]") -> "Problem":
    """Return a mistake with the line and the fix that it lacks."""
    from aigate.cli.locate import located, remedy

    place = located(problem.place, problem.message, sources)
    code = ".py" in place or problem.message.startswith("policy ")
    return problem.model_copy(
        update={"place": place, "fix": problem.fix or (remedy(problem.message) if code else "")}
    )


def _without_effect(
    loaded: "LoadedManifest", rules: "Rules", evidence: "list[Snapshot]"
) -> "Iterator[tuple[bool, Problem]]":
    """Yield what the manifest says without effect, and whether it is a mistake."""
    from aigate.vacuous import rows_of, vacuous

    rows: dict[str, int] = {}
    for snapshot in evidence:
        rows |= {name: max(n, rows.get(name, 0)) for name, n in rows_of(snapshot).items()}
    for found in vacuous(loaded.manifest, rules.policies, rows):
        yield found.certain, _problem(loaded, loaded.place(*found.keys), found.message, found.fix)


def _hidden(
    loaded: "LoadedManifest", rules: "Rules", unsound: "list[Problem]"
) -> "Iterator[tuple[bool, Problem]]":
    """Yield the hidden inputs of policies that are not our own; one that is allowed is told with its reason.

    A file that does not load has that to say first.
    """
    from aigate.lint import lint

    broken = {problem.place.partition(".py")[0] for problem in unsound}
    for file in rules.files:
        shown = beside(Path(loaded.shown), file.shown).partition(".py")[0]
        for found in () if file.standard or shown in broken else lint(file.source):
            place = f"{file.shown}:{found.line}:{found.column}"
            if found.allowed:
                words = f"{found.message}, and is allowed: {found.allowed}"
                yield False, _problem(loaded, place, words, "")
            else:
                yield True, _problem(loaded, place, found.message, found.fix)


def _waivers(loaded: "LoadedManifest", rules: "Rules") -> "Iterator[tuple[bool, Problem]]":
    """Yield the waivers that can lift nothing, whatever is found; when each runs out is the gate's to say."""
    from aigate.collect.manifest_file import unknown_key
    from aigate.collect.waiver_file import NAME, load_waivers
    from aigate.manifest import Environment, level_of

    try:
        book = load_waivers(loaded.folder)
    except AigateError as e:
        yield from ((True, problem) for problem in problems(e, Path(loaded.shown)))
        return
    fix = "correct it, or take it out: `aigate waive` writes one for the finding at hand"
    for entry in book.entries:
        waiver, why = entry.waiver, ""
        if waiver is None:
            why = entry.malformed.why if entry.malformed is not None else "malformed"
        elif waiver.policy not in rules.policies:
            why = unknown_key(waiver.policy, rules.policies, "policy")
        elif waiver.environment not in rules.environments:
            why = unknown_key(waiver.environment, rules.environments, "environment")
        else:
            settings = loaded.manifest.environments.get(waiver.environment, Environment())
            if level_of(waiver.policy, settings.levels) == "require":
                why = f"{waiver.policy} is at level require in {waiver.environment}, which no waiver lifts"
        if why:
            yield True, _problem(loaded, f"{NAME}:{entry.line}", f"this waiver lifts nothing: {why}", fix)


def _own(loaded: "LoadedManifest", rules: "Rules") -> "Iterator[PolicyFile]":
    """Yield the policies that can be mended here: those in folders."""
    packages = [wanted.package for wanted in loaded.manifest.policies.packages if wanted.package]
    for file in rules.files:
        if not file.standard and file.shown.rpartition("/")[0] not in packages:
            yield file


def _problem(loaded: "LoadedManifest", place: str, message: str, fix: str) -> "Problem":
    from aigate.report.check import Problem

    manifest = Path(loaded.shown)
    found = place if place.startswith(loaded.shown) else beside(manifest, place)
    return Problem(place=found, message=message, fix=fix, manifest=manifest.as_posix())


def try_on(
    loaded: "LoadedManifest", snapshot: Path, evidence: "Snapshot"
) -> "tuple[Tried | None, list[Problem]]":
    """Run the policies on recorded evidence; return how each ended, and those that could not be run."""
    from aigate.gate import evaluate_under
    from aigate.report.check import Answered, Problem, Tried

    manifest = Path(loaded.shown)
    try:
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
            fix="mend the policy: `aigate test` tries it on evidence of every kind",
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
