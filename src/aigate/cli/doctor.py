"""`aigate doctor`: is everything there that a decision needs?"""

import json
from pathlib import Path

import click

from aigate.cli.options import (
    deadline_option,
    environment_option,
    load_if_there,
    manifest_option,
    tracking_option,
    world,
)
from aigate.cli.terminal import show

MARKS = {"ok": "✓", "warn": "!", "bad": "✗"}


@click.command("doctor")
@manifest_option
@environment_option
@tracking_option
@deadline_option
@click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(manifest: Path, environment: str, tracking_uri: str | None, deadline: float, shape: str) -> int:
    """Say what is reachable, who can move the alias, and what is missing, each with the fix.

    Leaves with 3 where something is missing that a decision needs. Changes
    nothing, and asks every source once. To learn whether the server is
    guarded, it asks for one move that cannot happen: the alias to version 0.
    """
    from aigate.examine import examine

    checks = []
    for check in examine(load_if_there(manifest), environment, tracking_uri, world(deadline)):
        checks.append(check)
        if shape == "text":
            show(f"{MARKS[check.state]} {check.what}")
            if check.fix:
                show(f"fix: {check.fix}", indent="    ")
    bad = sum(check.state == "bad" for check in checks)
    if shape == "json":
        rows = [
            {"check": check.name, "state": check.state, "what": check.what, "fix": check.fix}
            for check in checks
        ]
        click.echo(json.dumps({"schema": "aigate.doctor/v1", "ready": not bad, "checks": rows}, indent=2))
    elif bad:
        show(f"not ready: {bad} of {len(checks)} checks found what keeps a decision from being reached")
    else:
        show("ready to decide")
    return 3 if bad else 0
