"""The guide to a first policy works: its files are written and its commands run, in order, in an empty folder."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aigate.lint import lint
from aigate.lint_tables import SAYS, Kind

GUIDE = Path(__file__).parent.parent / "policies" / "WRITING.md"
_BLOCK = re.compile(
    r"(?:^`(?P<file>[\w./]+)`(?P<more>, at its end)?:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One block of the guide."""

    kind: str
    text: str
    file: str | None
    more: bool
    """Whether it is added to the file's end."""


def blocks() -> Iterator[Block]:
    for found in _BLOCK.finditer(GUIDE.read_text()):
        yield Block(found["kind"], found["text"], found["file"], found["more"] is not None)


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command with the lines that it is to print."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *lines = part.splitlines()
        yield command, lines


def agrees(said: str, wanted: str) -> bool:
    """Whether what was said is what is written, an ellipsis standing for anything."""
    pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
    return re.fullmatch(pattern, said, re.DOTALL) is not None


def shell(command: str, folder: Path) -> str:
    """Run a command as a user would, and return what it says, on both streams."""
    tools = Path(sys.executable).parent
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    code = f"[exit {done.returncode}]\n" if done.returncode else ""
    return done.stdout + code


@pytest.mark.slow
def test_the_guide_works_in_an_empty_folder(tmp_path: Path) -> None:
    ran = 0
    for block in blocks():
        if block.file is not None:
            path = tmp_path / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((path.read_text() if block.more else "") + block.text)
        elif block.kind == "console":
            for command, lines in commands(block.text):
                said = shell(command, tmp_path)
                assert agrees(said.rstrip("\n"), "\n".join(lines)), f"$ {command}\n{said}"
                ran += 1
    assert ran == GUIDE.read_text().count("\n$ ")
    assert ran >= 12


def test_every_file_of_the_guide_is_written_by_a_block() -> None:
    files = [block.file for block in blocks() if block.file]
    assert files == [
        "aigate.yaml",
        "policies/house.py",
        "tests/policies/test_house.py",
        "aigate.yaml",
        "policies/age.py",
        "policies/age.py",
    ]
    assert {block.kind for block in blocks() if not block.file} == {"console", "text", "toml"}


def test_what_the_guide_calls_sound_is_sound() -> None:
    """And its one bad example is bad for the reason that it gives."""
    sources = [block.text for block in blocks() if block.file and block.file.startswith("policies/")]
    found = [[item.kind for item in lint(source.encode())] for source in sources]
    assert found == [[], ["clock"], []]
    (exempted,) = [block.text for block in blocks() if block.kind == "text"]
    assert [item.allowed for item in lint(exempted.encode())] == ["only its linear algebra is used"]


NAMES: dict[Kind, str] = {
    "clock": "the clock",
    "random": "chance",
    "environment": "the environment",
    "network": "the network",
    "files": "files",
    "process": "processes",
    "code": "code that is made while it runs",
    "state": "state",
    "swallow": "except Exception",
    "import": "What only computes",
    "exemption": "needs a comment",
}


@pytest.mark.parametrize("kind", SAYS)
def test_the_guide_names_everything_that_is_looked_for(kind: Kind) -> None:
    hide = " ".join(GUIDE.read_text().partition("## 5.")[2].split())
    assert NAMES[kind] in hide
