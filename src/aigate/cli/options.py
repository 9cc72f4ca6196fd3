"""Options that several commands share, and the world as the terminal's door sees it."""

import getpass
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from aigate.decision import Actor
from aigate.gate import DEADLINE, World
from aigate.manifest import PRODUCTION

manifest_option = click.option(
    "--manifest",
    "-m",
    type=click.Path(path_type=Path),
    default=Path("aigate.yaml"),
    show_default=True,
    help="The system as its owner declares it.",
)
environment_option = click.option(
    "--environment",
    "-e",
    default=PRODUCTION,
    show_default=True,
    help="Whose levels and parameters apply.",
)
tracking_option = click.option(
    "--tracking-uri",
    metavar="URI",
    help="MLflow's address.  [default: $MLFLOW_TRACKING_URI]",
)
deadline_option = click.option(
    "--deadline",
    type=click.FloatRange(0.1, 3600),
    default=DEADLINE,
    show_default=True,
    metavar="SECONDS",
    help="For all evidence together.",
)


def world(deadline: float = DEADLINE) -> World:
    """Read the clock, the environment and who asks; everything below is handed these and reads none."""
    environ = dict(os.environ)  # noqa: TID251 - this is a door
    return World(
        now=datetime.now(UTC),  # noqa: TID251 - the one reading of the clock
        environ=environ,
        home=Path.home(),
        actor=actor(environ),
        deadline=deadline,
    )


def actor(environ: dict[str, str]) -> Actor:
    """Return who asks: the pipeline's own account of itself, else the user's name."""
    if environ.get("GITHUB_ACTIONS") == "true":
        repository = environ.get("GITHUB_REPOSITORY", "")
        server, run = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_RUN_ID", "")
        return Actor(
            name=f"github:{environ.get('GITHUB_ACTOR') or 'unknown'}",
            run=f"{server}/{repository}/actions/runs/{run}" if server and run else "",
        )
    if environ.get("GITLAB_CI") == "true":
        return Actor(
            name=f"gitlab:{environ.get('GITLAB_USER_LOGIN') or 'unknown'}", run=environ.get("CI_JOB_URL", "")
        )
    try:
        return Actor(name=f"user:{getpass.getuser()}")
    except (OSError, KeyError, ImportError):
        return Actor(name="user:unknown")
