"""New files: all of them or none, and never over anything that is there."""

from pathlib import Path

import pytest

from aigate.cli.write_new import NotWrittenError, write_new
from aigate.errors import UsageError

FILES = {"a.yaml": "a\n", "one/two/b.md": "b → ü\n", "one/c.py": "c\n"}


def test_it_writes_all_and_says_where(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "project"
    assert write_new(folder, FILES) == [folder / path for path in FILES]
    assert {path: (folder / path).read_text("utf-8") for path in FILES} == FILES


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link", "link"])
def test_it_overwrites_nothing(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "one/two/b.md"
    target.parent.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    match kind:
        case "file":
            target.write_text("mine")
        case "folder":
            target.mkdir()
        case "dangling link":
            target.symlink_to(elsewhere)
        case _:
            elsewhere.write_text("mine")
            target.symlink_to(elsewhere)
    with pytest.raises(UsageError, match="already there") as caught:
        write_new(tmp_path, FILES)
    assert "b.md" in caught.value.message
    assert not (tmp_path / "a.yaml").exists()
    assert not (tmp_path / "one/c.py").exists()
    if kind in ("file", "link"):
        assert target.read_text() == "mine"


def test_one_that_appears_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the writing, somebody else writes."""
    monkeypatch.setattr("os.path.lexists", lambda path: False)
    (tmp_path / "one").mkdir()
    (tmp_path / "one/c.py").write_text("theirs")
    with pytest.raises(UsageError, match=r"already there: .*c\.py"):
        write_new(tmp_path, FILES)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["c.py", "one"]
    assert (tmp_path / "one/c.py").read_text() == "theirs"


@pytest.mark.parametrize("failing", [1, 2, 3])
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl-c"]
)
def test_a_failure_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, error: BaseException
) -> None:
    calls: list[int] = []

    def sync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == failing:
            raise error

    monkeypatch.setattr("os.fsync", sync)
    (tmp_path / "one").mkdir()
    with pytest.raises(NotWrittenError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        write_new(tmp_path, FILES)
    if isinstance(caught.value, NotWrittenError):
        assert "No space left on device; nothing was written" in caught.value.message
        assert caught.value.exit_code == 4
    assert [path.name for path in tmp_path.rglob("*")] == ["one"], "a folder that was there before stays"


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a file")
    with pytest.raises(NotWrittenError, match="nothing was written"):
        write_new(tmp_path, FILES)
    assert [path.name for path in tmp_path.rglob("*")] == ["one"]


def test_what_cannot_be_removed_again_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    def stuck(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.fsync", full)
    monkeypatch.setattr(Path, "unlink", stuck)
    with pytest.raises(NotWrittenError) as caught:
        write_new(tmp_path, FILES)
    assert f"these could not be removed again: {tmp_path / 'a.yaml'}" in caught.value.message
