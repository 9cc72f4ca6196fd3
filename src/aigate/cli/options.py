"""Options that several commands share, and the world as the terminal's door sees it."""

import getpass
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from aigate.decision import Actor
from aigate.errors import ConfigError
from aigate.manifest import PRODUCTION

if TYPE_CHECKING:  # `--help` needs neither
    from aigate.collect.manifest_file import LoadedManifest
    from aigate.gate import World

DEADLINE = 30.0
"""Seconds for all evidence together, unless it is said otherwise."""

LONGEST_NAME = 200
LONGEST_RUN = 500

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


def _a_number(ctx: click.Context, param: click.Parameter, value: float) -> float:
    """Refuse `nan`, which no comparison keeps out of a range."""
    if value != value:
        raise click.BadParameter("nan is no number of seconds.", ctx, param)
    return value


deadline_option = click.option(
    "--deadline",
    type=click.FloatRange(0.1, 3600),
    callback=_a_number,
    default=DEADLINE,
    show_default=True,
    metavar="SECONDS",
    help="For all evidence together.",
)


def world(deadline: float = DEADLINE) -> "World":
    """Read the clock, the environment and who asks; everything below is handed these and reads none."""
    from aigate.gate import World

    environ = dict(os.environ)  # noqa: TID251 - this is a door
    return World(
        now=datetime.now(UTC).replace(microsecond=0),  # noqa: TID251 - the one reading of the clock
        environ=environ,
        home=home(),
        actor=actor(environ),
        deadline=deadline,
    )


def home() -> Path:
    """Return the user's folder; one that holds nothing where the user has none, as in some containers."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


def load_if_there(manifest: Path) -> "LoadedManifest | None":
    """Load the manifest; None where none was named and there is none in this folder."""
    from aigate.collect.manifest_file import load_manifest

    named = click.get_current_context().get_parameter_source("manifest") is not ParameterSource.DEFAULT
    try:
        return load_manifest(manifest)
    except ConfigError as e:
        if named or not isinstance(e.__cause__, FileNotFoundError):
            raise
        return None


def actor(environ: Mapping[str, str]) -> Actor:
    """Return who asks: the pipeline's own account of itself, else the user's name."""
    if environ.get("GITHUB_ACTIONS") == "true":
        repository = environ.get("GITHUB_REPOSITORY", "")
        server, run = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_RUN_ID", "")
        return Actor(
            name=_one_line("github", environ.get("GITHUB_ACTOR", "")),
            run=f"{server}/{repository}/actions/runs/{run}"[:LONGEST_RUN] if server and run else "",
        )
    if environ.get("GITLAB_CI") == "true":
        return Actor(
            name=_one_line("gitlab", environ.get("GITLAB_USER_LOGIN", "")),
            run=environ.get("CI_JOB_URL", "")[:LONGEST_RUN],
        )
    try:
        return Actor(name=_one_line("user", getpass.getuser()))
    except (OSError, KeyError, ImportError):
        return Actor(name="user:unknown")


def _one_line(kind: str, name: str) -> str:
    """Return a name that a record takes, whatever stands in the environment."""
    shown = "".join(c for c in name if c.isprintable()).strip()
    return f"{kind}:{shown or 'unknown'}"[:LONGEST_NAME]
