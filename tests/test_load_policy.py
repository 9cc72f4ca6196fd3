"""One policy of a file, for its test: as the gate loads it, and never another one."""

from pathlib import Path

import pytest

from aigate.collect.policy_files import standard_folder
from aigate.testing import load_policy, passing_snapshot

HOUSE = """\
from __future__ import annotations

from aigate import Findings, Snapshot, deny, policy


@policy("house.one")
def one(s: Snapshot, *, least: int = 1) -> Findings:
    \"\"\"The first.\"\"\"
    if s.owner is None:
        yield deny("no", key="x")


@policy("house.two")
def two(s: Snapshot) -> Findings:
    \"\"\"The second.\"\"\"
    if s.owner is not None:
        yield deny("no", key="x")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "house.py"
    path.write_text(HOUSE)
    return path


def test_it_is_the_one_that_was_named(file: Path) -> None:
    one, two = load_policy(file, "house.one"), load_policy(file, "house.two")
    assert (one.id, two.id) == ("house.one", "house.two")
    assert (one.title, two.title) == ("The first.", "The second.")
    assert one.run(passing_snapshot(), least=2).outcome == "pass"
    assert two.run(passing_snapshot()).outcome == "fail"


def test_one_that_is_not_there_names_those_that_are(file: Path) -> None:
    with pytest.raises(
        KeyError, match=r"house\.py has no policy 'house.three' \(it has: house.one, house.two\)"
    ):
        load_policy(file, "house.three")
    file.write_text("X = 1\n")
    with pytest.raises(KeyError, match="it has: none"):
        load_policy(file, "house.one")


def test_a_file_that_cannot_be_loaded_says_so(file: Path) -> None:
    file.write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        load_policy(file, "house.one")
    with pytest.raises(FileNotFoundError):
        load_policy(file.with_name("none.py"), "house.one")


def test_the_standard_ones_too() -> None:
    policy = load_policy(standard_folder() / "ownership.py", "ownership.accountable")
    assert policy.run(passing_snapshot()).outcome == "pass"
