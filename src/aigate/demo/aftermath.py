"""What follows an `allow`: the alias moves, once, with a record; and one command takes it back."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from aigate.demo.models import NAME

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("adopt", "--reason", "v1 was in service before aigate", "--as", "retention-platform"),
    ("promote",),
    ("status",),
    ("rollback", NAME, "--reason", "03:00, the page says accuracy"),
    ("why", f"{NAME}@3"),
)
"""What is typed, in order."""


def play(say: Callable[[str], None], folder: Path, environ: Mapping[str, str]) -> list[str]:
    """Type each command, show what it prints, and return which did not end well."""
    differing = []
    for words in COMMANDS:
        shown = " ".join(word if word.isascii() and " " not in word else f'"{word}"' for word in words)
        say(f"    $ aigate {shown}\n")
        done = subprocess.run(  # noqa: S603 - our own interpreter, our own command
            [sys.executable, "-m", "aigate", *words],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        for line in (done.stdout if done.returncode == 0 else done.stdout + done.stderr).splitlines():
            say(f"    {line}".rstrip())
        say("")
        if done.returncode != 0:
            differing.append(f"`aigate {words[0]}` left with {done.returncode}")
    return differing
