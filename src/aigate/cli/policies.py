"""`aigate policies`: the catalogue of what is in force."""

import json
import re
from pathlib import Path

import click

from aigate.cli.options import environment_option, load_if_there, manifest_option
from aigate.cli.terminal import show
from aigate.errors import UsageError
from aigate.manifest import PRODUCTION, level_of


@click.command("policies")
@manifest_option
@environment_option
@click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--digest",
    "digest_of",
    metavar="PACKAGE|FOLDER",
    help="Print the digest that a manifest must require to have these policies in force.",
)
def command(manifest: Path, environment: str, shape: str, digest_of: str | None) -> int:
    """List the policies in force, with level, parameters and what a failure of each blames.

    Without a manifest in this folder it lists the standard pack.
    """
    if digest_of is not None:
        return print_digest(digest_of, manifest.parent, shape)
    from aigate.rules import catalogue, environment_of

    loaded = load_if_there(manifest)
    if loaded is None and environment != PRODUCTION:
        raise UsageError(
            f"no manifest here says what {environment!r} is", fix="name the manifest: --manifest FILE"
        )
    levels = environment_of(loaded, environment).levels if loaded is not None else {}
    infos = catalogue(loaded, environment)
    if shape == "json":
        rows = [{**info.model_dump(mode="json"), "level": level_of(info.id, levels)} for info in infos]
        found = {
            "schema": "aigate.policies/v1",
            "environment": environment,
            "manifest": None if loaded is None else loaded.shown,
            "policies": rows,
        }
        click.echo(json.dumps(found, indent=2))
        return 0
    width = max(len(info.id) for info in infos)
    for info in infos:
        level = level_of(info.id, levels)
        show(info.id, level, info.severity, info.blames, info.title, widths=(width, 7, 8, 7))
        for param in info.params:
            show(f"· {param.key} = {param.value or '(empty)'}", indent=" " * (width + 2))
    place = loaded.shown if loaded is not None else "no manifest here: the standard pack"
    count = "1 policy is" if len(infos) == 1 else f"{len(infos)} policies are"
    show(f"{count} in force in {environment} ({place})")
    return 0


def print_digest(name: str, folder: Path, shape: str) -> int:
    """Print the digest of policies from elsewhere, and the lines for the manifest."""
    from aigate.collect.policy_packages import files_digest, find
    from aigate.manifest import PACKAGE_PATTERN, PolicyPackage

    is_package = re.fullmatch(PACKAGE_PATTERN, name) is not None and not (folder / name).is_dir()
    kind = "package" if is_package else "folder"
    if not is_package and name.startswith(("/", "~", "\\")):
        raise UsageError(
            f"{name}: name the folder as the manifest will",
            fix="from the manifest's folder on: vendor/policies",
        )
    nothing = f"sha256:{'0' * 64}"
    files, errors = find(PolicyPackage.model_validate({kind: name, "digest": nothing}), folder)
    for error in errors:
        raise error
    digest = files_digest(files)
    if shape == "json":
        ids = [id for file in files for id in file.policies]
        click.echo(json.dumps({"schema": "aigate.digest/v1", kind: name, "digest": digest, "policies": ids}))
        return 0
    click.echo(digest)
    show(
        f"{', '.join(id for file in files for id in file.policies)} in {', '.join(file.shown for file in files)}"
    )
    show(f"policies: {{packages: [{{{kind}: {name}, digest: {digest}}}]}}")
    return 0
