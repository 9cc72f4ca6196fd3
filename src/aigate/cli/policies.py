"""`aigate policies`: the catalogue of what is in force."""

import json
from pathlib import Path

import click

from aigate.cli.options import environment_option, manifest_option


@click.command("policies")
@manifest_option
@environment_option
@click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(manifest: Path, environment: str, shape: str) -> None:
    """List the policies in force, with level, parameters and what a failure of each blames.

    Without a manifest in this folder it lists the standard pack.
    """
    from aigate.collect.manifest_file import load_manifest
    from aigate.gate import catalogue, environment_of
    from aigate.manifest import level_of
    from aigate.report.clean import clean

    loaded = load_manifest(manifest) if manifest.exists() or manifest != Path("aigate.yaml") else None
    infos = catalogue(loaded, environment)
    levels = environment_of(loaded, environment).levels if loaded is not None else {}
    if shape == "json":
        rows = [{**info.model_dump(mode="json"), "level": level_of(info.id, levels)} for info in infos]
        click.echo(
            json.dumps({"schema": "aigate.policies/v1", "policies": rows}, indent=2, ensure_ascii=True)
        )
        return
    width = max(len(info.id) for info in infos)
    for info in infos:
        level = level_of(info.id, levels)
        click.echo(
            f"{clean(info.id):<{width}}  {level:<7}  {info.severity:<8}  {info.blames:<7}  {clean(info.title)}"
        )
        for param in info.params:
            click.echo(f"{'':<{width}}  · {clean(param.key)} = {clean(param.value) or '(empty)'}")
    place = loaded.shown if loaded is not None else "no manifest here: the standard pack"
    click.echo(f"{len(infos)} policies in force in {environment} ({place})")
