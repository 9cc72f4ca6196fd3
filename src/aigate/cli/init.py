"""`aigate init`: the first manifest, policy and test, from what the registry holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aigate.cli.options import deadline_option, tracking_option, world
from aigate.cli.terminal import show
from aigate.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from aigate.collect.first_look import Found
    from aigate.gate import World
    from aigate.scaffold import Seen


@click.command("init")
@click.option("--model", metavar="NAME", help="The registered model.  [default: the only one there is]")
@click.option(
    "--owner", metavar="TEAM", help="The team that answers for the whole path.  [default: its tag `owner`]"
)
@click.option("--contact", metavar="PLACE", help="Where to ask that team: a channel, a mailbox.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where to write.  [default: here]",
)
@click.option(
    "--schema", is_flag=True, help="Write the manifest's JSON Schema too, so that editors complete it."
)
@click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True)
@tracking_option
@deadline_option
def command(
    model: str | None,
    owner: str | None,
    contact: str | None,
    folder: Path,
    schema: bool,
    shape: str,
    tracking_uri: str | None,
    deadline: float,
) -> int:
    """Write a manifest, a runbook, and one policy with its test, from what the registry holds.

    Nothing that exists is overwritten. What only people can know (the owner,
    the stages and their promises) is left in the manifest as lines to fill in;
    until they are, `aigate evaluate` says no and names them.
    """
    from aigate.cli.write_new import write_new
    from aigate.collect.first_look import first_look
    from aigate.collect.manifest_file import parse_manifest
    from aigate.scaffold import files

    around = world(deadline)
    found = first_look(around.environ, around.home, around.now, deadline, tracking_uri, model)
    seen = seen_by(found, owner, contact, around)
    wanted = files(seen, schema=schema)
    parse_manifest(wanted["aigate.yaml"].encode(), "aigate.yaml")
    written, notes = write_new(folder, wanted), tuple(explained(found, seen))
    if shape == "json":
        import json

        told = {"model": found.model, "wrote": [str(path) for path in written], "notes": notes}
        click.echo(json.dumps(told, indent=2))
        return 0
    for path in written:
        show(f"wrote {path}")
    for line in notes:
        show(line)
    show("next: fill in what stands between < and > in aigate.yaml, and take away the # before it; then")
    show("aigate doctor", "what is reachable, and what is missing", widths=(15,), indent="  ")
    show("aigate test", "can every policy say no?", widths=(15,), indent="  ")
    show("aigate evaluate", "may the challenger take the alias?", widths=(15,), indent="  ")
    return 0


def seen_by(found: "Found", owner: str | None, contact: str | None, world: "World") -> "Seen":
    """Join what the registry holds with who asks; a robot signs nothing.

    Raises UsageError for a name that no manifest can hold: MLflow takes names
    with line breaks and escape sequences in them.
    """
    from aigate.collect.strict import quote
    from aigate.scaffold import Seen

    for what, name in (("model", found.model), ("owner", owner), ("contact", contact)):
        if name is not None and not fits(name):
            raise UsageError(
                f"the {what}'s name {quote(name)} cannot stand in a manifest",
                fix="give it one of at most 200 characters, all of them visible",
            )
    _, _, user = world.actor.name.partition(":")
    return Seen(
        model=found.model,
        champion=found.champion,
        challenger=found.challenger,
        owner=owner or (found.owner if found.owner and fits(found.owner) else None),
        contact=contact,
        version=found.version,
        metrics=tuple(metric for metric in found.metrics if fits(metric.name)),
        user=None if user == "unknown" or user.endswith("[bot]") or not fits(user) else user,
        today=world.now.date(),
    )


def fits(name: str) -> bool:
    """Whether a manifest can hold a name, and gives it back as it is."""
    from aigate.collect.manifest_file import parse_manifest
    from aigate.scaffold import quoted

    try:
        held, _ = parse_manifest(f"version: 1\nsystem: {quoted(name)}\nmodel: {{name: x}}\n".encode(), "")
    except (ConfigError, UnicodeEncodeError):  # a lone surrogate cannot even be written
        return False
    return held.system == name


def explained(found: "Found", seen: "Seen") -> Iterator[str]:
    """Say where the proposed limits come from, and what could not be proposed."""
    from aigate.scaffold import MARGIN, REVIEW, propose
    from aigate.values import show_number

    proposal = propose(seen.metrics)
    if proposal is not None:
        measured = proposal.metric
        yield (
            f"proposed: {measured.name} at least {show_number(proposal.floor)}, and at most "
            f"{show_number(MARGIN)} below the version in service "
            f"(version {seen.version} has {show_number(measured.value)}, from run {measured.run_id}); "
            f"signed by {seen.user or 'nobody yet'}, to be reviewed by {seen.today + REVIEW}"
        )
    elif found.trouble:
        yield f"no limit is proposed, for the metrics could not be read: {found.trouble}"
    elif found.version is None:
        yield "no limit is proposed: the model has no version yet"
    else:
        yield (
            f"no limit is proposed: on version {found.version} no share such as accuracy was measured "
            "that the gate could rely on"
        )
    if found.owner and found.owner != seen.owner:
        yield "the registry's owner tag does not say the same as the manifest: the gate will ask which is true"
