"""Trouble, said on standard error: what went wrong, where, and the next step; never a traceback."""

import click

from aigate.errors import AigateError


def complain(error: AigateError) -> int:
    """Tell the person what keeps the gate from its work; return the exit code."""
    return say(error.message, fix=error.fix, code=error.exit_code)


def say(message: str, *, code: int, fix: str = "") -> int:
    """Print a message and the fix, with text from outside made harmless; return `code`."""
    from aigate.report.clean import clean  # not before there is something to say

    for line in message.split("\n"):
        click.echo(f"aigate: {clean(line, 2000)}", err=True)
    if fix:
        click.echo(f"  fix: {clean(fix, 2000)}", err=True)
    return code
