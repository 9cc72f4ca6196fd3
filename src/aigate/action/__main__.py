"""`python -m aigate.action STEP`: one step of the action. Every exit code but 0 is no yes."""

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import NoReturn

from aigate.errors import AigateError
from aigate.report.clean import clean

STEPS: dict[str, str] = {
    "run": "aigate.action.run",
    "advise": "aigate.action.advice",
    "publish": "aigate.action.publish",
}
"""Every step, and the module with a function of its name."""


def main(arguments: list[str], environ: Mapping[str, str]) -> NoReturn:
    """Run a step and leave with its exit code."""
    if len(arguments) != 1 or arguments[0] not in STEPS:
        sys.exit(f"aigate.action: one of {', '.join(STEPS)}")
    step: Callable[[Mapping[str, str]], int] = getattr(import_module(STEPS[arguments[0]]), arguments[0])
    try:
        code = step(environ)
    except AigateError as e:
        lines = [f"aigate: {clean(e.message, 1_000)}", *([f"  fix: {clean(e.fix, 600)}"] if e.fix else [])]
        sys.stderr.write("\n".join(lines) + "\n")
        code = e.exit_code
    except Exception as e:  # noqa: BLE001 - Python's own 1 would look like a denial
        sys.stderr.write(f"aigate: a fault in aigate, or in its folder of reports: {type(e).__name__}\n")
        code = 70
    sys.stdout.flush()
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:], dict(os.environ))  # noqa: TID251 - this is a door
