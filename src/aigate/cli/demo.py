"""`aigate demo`: a real failure on a real MLflow server, and what the gate says of it."""

import os
from datetime import UTC, datetime

import click


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the folder with the data, the evidence and the records.")
def command(keep: bool) -> int:
    """Walk through a real failure on a real MLflow server.

    Three teams are green and the pipeline is broken: a cache serves old data,
    a threshold was set in dev and never again, and accuracy fell from 0.94 to
    0.71. Everything is started here, on loopback, and ended and removed again;
    no other MLflow is touched. Takes about a minute; needs aigate-mlops[mlflow].
    """
    from aigate.demo.story import run

    run(
        click.echo,
        dict(os.environ),  # noqa: TID251 - this is a door
        lambda: datetime.now(UTC),  # noqa: TID251 - the demonstration's hours pass on a real clock
        keep=keep,
    )
    return 0
