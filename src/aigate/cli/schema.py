"""`aigate schema`: the shape of the manifest and of the waivers, for editors."""

import json

import click


@click.command("schema")
@click.option("--waivers", is_flag=True, help="That of waivers.yaml.")
def command(waivers: bool) -> int:
    """Print the JSON Schema of aigate.yaml, or of waivers.yaml.

    An editor with a YAML language server completes the file with it: write it
    to a file, and name that file in the manifest's first line
    (`# yaml-language-server: $schema=aigate.schema.json`); `aigate init
    --schema` does both.
    """
    if waivers:
        from aigate.waiver import json_schema
    else:
        from aigate.manifest import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
    return 0
