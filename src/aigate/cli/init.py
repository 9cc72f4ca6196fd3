"""`aigate init`: the first manifest, policy and test, from what the registry holds."""

from pathlib import Path

import click

from aigate.cli.options import deadline_option, tracking_option, world
from aigate.errors import UsageError
from aigate.gate import World
from aigate.scaffold import Seen, files


@click.command("init")
@click.option("--model", metavar="NAME", help="The registered model.  [default: the only one there is]")
@click.option(
    "--owner", metavar="TEAM", help="The team that answers for the whole path.  [default: its tag `owner`]"
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where to write.  [default: here]",
)
@tracking_option
@deadline_option
def command(
    model: str | None, owner: str | None, folder: Path, tracking_uri: str | None, deadline: float
) -> None:
    """Write a manifest, a runbook, and one policy with its test, from what the registry holds.

    Nothing that exists is overwritten. What only people can know (the owner,
    the stages and their promises) is left in the manifest as lines to fill in;
    until they are, `aigate evaluate` says no and names them.
    """
    from aigate.collect.manifest_file import parse_manifest

    seen = look(model, owner, tracking_uri, world(deadline))
    wanted = files(seen)
    parse_manifest(wanted["aigate.yaml"].encode(), "aigate.yaml")
    there = [path for path in wanted if (folder / path).exists()]
    if there:
        raise UsageError(f"already there: {', '.join(there)}", fix="remove them, or name another --folder")
    for path, text in wanted.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        click.echo(f"wrote {target}")
    click.echo("next: fill in the lines that begin with #, then")
    click.echo("  aigate doctor      what is reachable and what is missing")
    click.echo("  aigate evaluate    may the challenger take the alias?")


def look(model: str | None, owner: str | None, tracking_uri: str | None, world: World) -> Seen:
    """Ask the registry about the model, or about the only one that it has."""
    from aigate.collect.first_look import first_look

    found = first_look(world.environ, world.home, world.deadline, tracking_uri, model)
    return Seen(
        model=found.model,
        champion=found.champion,
        challenger=found.challenger,
        owner=owner or found.owner,
        metrics=found.metrics,
        user=world.actor.name.partition(":")[2] or "unknown",
        today=world.now.date(),
    )
