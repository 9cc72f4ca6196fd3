"""The terminal's door: parse, call the gate, print. Every exit code is decided here, in one place."""

import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from aigate import __version__
from aigate.cli.complain import complain, say
from aigate.errors import AigateError

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("aigate.cli.init", "Write a manifest and a first policy from what the registry holds."),
    "doctor": ("aigate.cli.doctor", "Say what is reachable, what is missing, and how to mend it."),
    "evaluate": ("aigate.cli.evaluate", "Decide whether a model version may take the alias."),
    "policies": ("aigate.cli.policies", "List the policies in force, with their parameters."),
    "schema": ("aigate.cli.schema", "Print the manifest's JSON Schema."),
    "demo": ("aigate.cli.demo", "Walk through a real failure on a real MLflow server."),
}
"""Every command: where it lives, and its help in one line. Only the one that is called is imported."""


class _Commands(click.Group):
    """Commands that are imported when they are called, so that the others cost nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as e:
            raise click.UsageError(f"{e.message} Commands: {', '.join(COMMANDS)}.", ctx) from e


EPILOG = """\b
Exit codes:
  0   allow, keep; or the command did its work
  1   deny, rollback or halt
  2   usage, configuration or policy code
  3   hold: evidence is missing or broken
  4   an effect could not be confirmed
  70  internal error
Only 0 lets a pipeline pass."""


@click.group(cls=_Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="aigate", message="%(prog)s %(version)s")
def root() -> None:
    """Decide, from evidence, whether a model version may take or keep the production alias in MLflow."""


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code; no traceback reaches the user."""
    sys.exit(run(args))


def run(args: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        result = root.main(args=args, prog_name="aigate", standalone_mode=False)
    except click.exceptions.Exit as e:
        return e.exit_code
    except click.Abort:
        return say("interrupted", code=130)
    except click.ClickException as e:
        e.show()
        return 2
    except AigateError as e:
        return complain(e)
    except KeyboardInterrupt:
        return say("interrupted", code=130)
    except BrokenPipeError:
        return 70
    except Exception as e:  # the last door: what nobody foresaw is 70, never a yes
        if os.environ.get("AIGATE_TRACEBACK"):  # noqa: TID251 - this is a door
            raise
        return say(
            f"internal error: {type(e).__name__}: {e}",
            fix="nothing was decided; run it again with AIGATE_TRACEBACK=1 and report what it prints",
            code=70,
        )
    return result if isinstance(result, int) else 0
