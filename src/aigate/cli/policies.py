"""`aigate policies`: the catalogue of what is in force."""

import json
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
def command(manifest: Path, environment: str, shape: str) -> int:
    """List the policies in force, with level, parameters and what a failure of each blames.

    Without a manifest in this folder it lists the standard pack.
    """
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
