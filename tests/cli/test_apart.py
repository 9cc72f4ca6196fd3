"""What tables of cases run in the test's process, a process of its own does with the same code and the same words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from commands import aigate_here

STORY = Path(__file__).parents[2] / "examples" / "three-green-teams"

COMMANDS = {
    "check": (("check", "--no-types"), 0),
    "check a manifest that is not there": (("check", "none.yaml"), 2),
    "evaluate": (("evaluate", "--snapshot", "snapshot.json", "--format", "json"), 1),
    "drill": (("drill", "--snapshot", "snapshot.json"), 1),
    "policies": (("policies", "--format", "json"), 0),
    "replay": (("replay", "--policies", "none", "--source", "."), 2),
    "nothing": ((), 2),
    "another word": (("evaluat",), 2),
}


@pytest.mark.slow
@pytest.mark.parametrize(("words", "code"), COMMANDS.values(), ids=COMMANDS)
def test_a_process_does_the_same(words: tuple[str, ...], code: int, tmp_path: Path) -> None:
    here = aigate_here(STORY, *words, HOME=str(tmp_path))
    there = subprocess.run(
        [sys.executable, "-P", "-m", "aigate", *words],
        cwd=STORY,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (there.returncode, there.stdout, there.stderr) == (code, here.stdout, here.stderr)
    assert here.returncode == code
