"""`aigate keys`: who may sign leave to move an alias on a guarded server."""

from pathlib import Path

import click

from aigate.cli.terminal import show


@click.group("keys")
def command() -> None:
    """Make and show the keys for a guarded MLflow server.

    `promote` and `rollback` sign with the private key, which belongs in CI's
    secrets; the server verifies with the public one, which its guard file
    names.
    """


@command.command("new")
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where to write.  [default: here]",
)
def new(folder: Path) -> int:
    """Make a key pair, in two new files. The private key is not shown."""
    from aigate.enforce.keys import FILE_VARIABLE, VARIABLE, generate, write_pair

    pair = write_pair(generate(), folder)
    show(f"key {pair.id}")
    show(f"wrote {pair.private}", "private: make it a secret of CI, and delete it here")
    show(f"wrote {pair.public}", "public: the server's guard file names it under keys")
    show(f"next: give the private key to `aigate promote` and `aigate rollback` in {VARIABLE}, or its path")
    show(f"in {FILE_VARIABLE}; put the public one on the server, and restart that")
    return 0


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path))
def show_key(file: Path) -> int:
    """Print the id and the public half of a key in FILE, whichever half that holds."""
    from aigate.enforce.keys import public_of, public_pem, read_file

    key = public_of(read_file(file, str(file)), str(file))
    show(f"key {key.id}")
    click.echo(public_pem(key.key).decode(), nl=False)
    return 0
