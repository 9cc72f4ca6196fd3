"""What a report needs beside the decision. The door reads it from the world and hands it in."""

from collections.abc import Callable
from dataclasses import dataclass

COLUMNS = 100
SCREEN = 24


def _beginning(keys: tuple[str | int, ...]) -> tuple[int, int]:
    """Stand in for a manifest that is not at hand: everything is where it begins."""
    return (1, 1)


@dataclass(frozen=True, slots=True)
class ReportContext:
    """How to say it, and the commands that only the door knows how to write."""

    color: bool = False
    """Whether the reader is a terminal that wants colour (the door has asked NO_COLOR)."""
    unicode: bool = True
    """Whether the reader's encoding can show more than ASCII."""
    verbose: bool = False
    """Every finding, pass, skip and source, however long it gets."""
    columns: int = COLUMNS
    """Width of the page, in terminal cells; below 60 it is taken as 60."""
    again: str = "aigate evaluate"
    """The command that asks the same question again, quoted for a shell."""
    act: str = ""
    """The command that does what allow, rollback or halt call for; empty where the caller does it itself."""
    size: int = 60_000
    """Characters that a Markdown report may have; written in ASCII, it may come out longer.

    GitHub takes 65,536 characters in a comment and 1 MiB in a job summary.
    """
    manifest: str = "aigate.yaml"
    """The manifest's path as reports name it: relative to the repository's root, with forward slashes."""
    places: Callable[[tuple[str | int, ...]], tuple[int, int]] = _beginning
    """Line and column, from 1, of the deepest of these keys that the manifest has.

    A stage goes by its name, and several steps may be one text: `metrics.accuracy.floor`.
    """
