"""`aigate schema`: the manifest's shape, for editors."""

import json

import click


@click.command("schema")
def command() -> int:
    """Print the JSON Schema of aigate.yaml.

    An editor with a YAML language server completes the file with it: write it
    to a file, and name that file in the manifest's first line
    (`# yaml-language-server: $schema=aigate.schema.json`); `aigate init
    --schema` does both.
    """
    from aigate.manifest import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
    return 0
