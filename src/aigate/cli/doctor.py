"""`aigate doctor`: is everything there that a decision needs?"""

from pathlib import Path

import click

from aigate.cli.options import deadline_option, manifest_option, tracking_option, world

MARKS = {"ok": "✓", "warn": "!", "bad": "✗"}


@click.command("doctor")
@manifest_option
@tracking_option
@deadline_option
@click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(manifest: Path, tracking_uri: str | None, deadline: float, shape: str) -> int:
    """Say what is reachable, who can move the alias, and what is missing, each with the fix.

    Leaves with 3 where something is missing that a decision needs.
    """
    import json

    from aigate.collect.manifest_file import load_manifest
    from aigate.examine import examine
    from aigate.report.clean import clean

    loaded = load_manifest(manifest) if manifest.exists() or manifest != Path("aigate.yaml") else None
    checks = []
    for check in examine(loaded, tracking_uri, world(deadline)):
        checks.append(check)
        if shape == "text":
            click.echo(f"{MARKS[check.state]} {clean(check.what)}")
            if check.fix:
                click.echo(f"    fix: {clean(check.fix)}")
    bad = sum(check.state == "bad" for check in checks)
    if shape == "json":
        rows = [{"state": check.state, "what": check.what, "fix": check.fix} for check in checks]
        click.echo(json.dumps({"schema": "aigate.doctor/v1", "checks": rows}, indent=2))
    else:
        click.echo(
            f"{bad} of {len(checks)} checks keep a decision from being reached" if bad else "ready to decide"
        )
    return 3 if bad else 0
