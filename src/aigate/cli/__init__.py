"""The terminal's door: parse, call the gate, print. Every exit code is decided here, in one place."""

import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from aigate import __version__
from aigate.cli.complain import complain, say
from aigate.cli.terminal import outlets
from aigate.errors import AigateError

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("aigate.cli.init", "Write a manifest and a first policy from what the registry holds."),
    "doctor": ("aigate.cli.doctor", "Say what is reachable, what is missing, and how to mend it."),
    "evaluate": ("aigate.cli.evaluate", "Decide whether a model version may take the alias."),
    "promote": ("aigate.cli.promote", "Decide, and on allow move the alias."),
    "rollback": ("aigate.cli.rollback", "Move the alias back to the last known good version."),
    "halt": ("aigate.cli.state:halt", "Stop every promotion of a model until somebody resumes."),
    "resume": ("aigate.cli.state:resume", "End a halt."),
    "adopt": ("aigate.cli.state:adopt", "Accept a version that took the alias past the gate."),
    "clear": ("aigate.cli.state:clear", "Lift the quarantine of a version that was rolled back from."),
    "break-glass": ("aigate.cli.state:break_glass", "Let one version pass once, whatever the policies say."),
    "review": ("aigate.cli.state:review", "Say that a use of break-glass was looked at."),
    "watch": ("aigate.cli.watch", "Judge the champion in service, once or again and again, and act."),
    "hook": ("aigate.cli.hook", "Receive MLflow's webhooks, and find what was moved past the gate."),
    "status": ("aigate.cli.status", "Say what is in service, and what stands in the way."),
    "why": ("aigate.cli.why", "Say why a version was allowed, and verify it."),
    "audit": ("aigate.cli.audit", "Find edits of the ledger, moves without an entry, changed files."),
    "replay": (
        "aigate.cli.replay",
        "Make a recorded decision again, or backtest policies on what was recorded.",
    ),
    "drill": (
        "aigate.cli.drill",
        "Put each known failure into the evidence, and show which policy catches it.",
    ),
    "keys": ("aigate.cli.keys", "Make and show the keys for a guarded MLflow server."),
    "waive": ("aigate.cli.waive", "Write leave for the finding at hand: exact, with a reason and an end."),
    "policies": ("aigate.cli.policies", "List the policies in force, with their parameters."),
    "check": (
        "aigate.cli.check",
        "Say whether manifests and policies load, for every environment; asks nothing of the world.",
    ),
    "test": ("aigate.cli.test", "Run the tests of the policies, and prove that each of them can say no."),
    "schema": ("aigate.cli.schema", "Print the manifest's JSON Schema, or that of the waivers."),
    "demo": ("aigate.cli.demo", "Walk through a real failure on a real MLflow server."),
}
"""Every command: where it lives, and its help in one line. Only the one that is called is imported."""


COMPLETE = "_AIGATE_COMPLETE"
"""By this variable a shell asks for completions: with no arguments, and it changes nothing where there are some."""


class _Commands(click.Group):
    """Commands that are imported when they are called, so that the others cost nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name or "command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command; one that does not exist is named together with the nearest that does."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0].lower(), COMMANDS, n=1)
            words = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0]!r}: {words}", ctx)
        return super().resolve_command(ctx, args)


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
    """Run the command line and leave with its exit code; no traceback reaches the user.

    What could not be said on standard output turns a 0 into 70, for a pipeline
    may rely on it; a reader that hung up has had what it wanted.
    """
    with outlets() as out:
        code = run(args)
        sys.stdout.flush()
        if out is not None and out.lost:
            say(f"standard output cannot be written: {out.lost}", code=70)
            code = code or 70
    sys.exit(code)


def run(args: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = sys.argv[1:] if args is None else args
    completing = not args and bool(os.environ.get(COMPLETE))  # noqa: TID251 - this is a door
    if not args and not completing:
        click.echo(root.make_context("aigate", [], resilient_parsing=True).get_help(), err=True)
        return 2
    try:
        result = root.main(
            args=args,
            prog_name="aigate",
            complete_var=COMPLETE if completing else "",
            standalone_mode=False,
        )
    except click.ClickException as e:
        path = e.ctx.command_path if isinstance(e, click.UsageError) and e.ctx is not None else "aigate"
        return say(e.format_message(), fix=f"`{path} --help` says what there is", code=2)
    except (click.Abort, KeyboardInterrupt):
        return say("interrupted", code=130)
    except AigateError as e:
        return complain(e)
    except SystemExit as e:
        return e.code if completing and isinstance(e.code, int) else _internal(e)
    except Exception as e:  # noqa: BLE001 - the last door: what nobody foresaw is 70, never a yes
        return _internal(e)
    return result if isinstance(result, int) else 0


def _internal(error: BaseException) -> int:
    """Say where a fault in aigate itself lies. Its own words are not repeated: they may hold anything."""
    import traceback

    if os.environ.get("AIGATE_TRACEBACK"):  # noqa: TID251 - this is a door
        traceback.print_exception(error)
        return 70
    place = traceback.extract_tb(error.__traceback__)[-1]
    return say(
        f"internal error: {type(error).__name__} at {place.name} ({os.path.basename(place.filename)}:{place.lineno})",  # noqa: PTH119 - no path is wanted
        fix="nothing was decided; run it again with AIGATE_TRACEBACK=1 and report what it prints",
        code=70,
    )
