"""How a runner is told things: workflow commands on standard output, and files for outputs and the summary.

Sources: "Workflow commands for GitHub Actions" in GitHub's documentation, and
the runner's `ActionCommand`, which takes `::` at the start of a line and `##[`
anywhere in it for a command.
"""

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from aigate.report.clean import disarm

MOST_MESSAGE: Final = 1_000
MOST_SUMMARY: Final = 900_000
"""Bytes. A summary of over 1 MiB is dropped whole."""

MOST_OUTPUT: Final = 20_000


def tell(line: str) -> None:
    """Write a line to the log, where the runner reads it at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def annotation(kind: Literal["error", "warning", "notice"], message: str, *, title: str = "aigate") -> str:
    """Return the workflow command that annotates a run."""
    return f"::{kind} title={_escaped(title, naming=True)}::{_escaped(message[:MOST_MESSAGE])}"


def mask(secret: str) -> str:
    """Return the workflow command that keeps a text out of the log."""
    return f"::add-mask::{_escaped(secret)}"


def _escaped(text: str, *, naming: bool = False) -> str:
    for sign, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(sign, code)
    for sign, code in ((":", "%3A"), (",", "%2C")) if naming else ():
        text = text.replace(sign, code)
    return text


def write_outputs(environ: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Append outputs to the runner's file, each between lines that no value can have; nothing without a runner.

    A runner ends a line at `\\r` too and hands out `\\n`, so that is what is written.
    """
    lines = []
    for name, value in outputs.items():
        end = f"end-{secrets.token_hex(16)}"
        text = value[:MOST_OUTPUT].replace("\r\n", "\n").replace("\r", "\n")
        lines.append(f"{name}<<{end}\n{text}\n{end}\n")
    _append(environ.get("GITHUB_OUTPUT", ""), "".join(lines))


def write_summary(environ: Mapping[str, str], text: str) -> None:
    """Append to the job's summary, within what GitHub takes; nothing without a runner."""
    data = disarm(text).encode()
    if len(data) > MOST_SUMMARY:
        data = b"The report is too long for a job summary: see the file.\n"
    _append(environ.get("GITHUB_STEP_SUMMARY", ""), data.decode())


def _append(path: str, text: str) -> None:
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def last_words(path: Path, limit: int = 2_000) -> str:
    """Return the end of what aigate complained about; empty where there is nothing."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    said = [line for line in text.splitlines() if line.strip()]
    return " ".join(said[-6:])[-limit:]
