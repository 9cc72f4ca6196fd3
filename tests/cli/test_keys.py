"""`aigate keys`: a pair in two files, of which only the public half is ever printed."""

from pathlib import Path

import pytest

from aigate.cli import run
from aigate.enforce.keys import generate, private_pem, public_pem, read_public_key, write_pair


def test_a_new_pair_is_written_and_the_private_half_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "new", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    private, public = sorted(tmp_path.iterdir())
    assert (private.name, public.name) == (
        public.name.replace(".pub.pem", ".key.pem"),
        private.name.replace(".key.pem", ".pub.pem"),
    )
    key = read_public_key(public.read_bytes(), "it")
    assert said.startswith(f"key {key.id}\n")
    assert "PRIVATE" not in said
    assert private.read_text().splitlines()[1] not in said
    assert "AIGATE_SIGNING_KEY" in said


@pytest.mark.parametrize("half", ["private", "public"])
def test_show_prints_the_public_half_of_either(
    half: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = generate()
    pair = write_pair(key, tmp_path)
    assert run(["keys", "show", str(getattr(pair, half))]) == 0
    said = capsys.readouterr().out
    assert said == f"key {key.id}\n{public_pem(key.key.public_key()).decode()}"
    assert read_public_key(said.encode(), "it").id == key.id


def test_what_is_no_key_is_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_bytes(private_pem(generate())[:60])
    for file in (str(broken), str(tmp_path / "none")):
        assert run(["keys", "show", file]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert "BEGIN" not in said.err


def test_a_folder_that_cannot_be_written_is_four(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run(["keys", "new", "--out", str(tmp_path / "file")]) in (2, 4)
    assert run(["keys", "new", "--out", str(tmp_path / "file" / "below")]) == 4
    assert "--out" in capsys.readouterr().err
