"""Recorded snapshots are read again only if they are sound."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.collect import snapshot_file
from aigate.collect.snapshot_file import load_snapshot, parse_snapshot
from aigate.digest import canonical
from aigate.errors import ConfigError
from aigate.testing import passing_snapshot

TEXT = canonical(passing_snapshot())


def written(folder: Path, data: bytes) -> Path:
    path = folder / "snapshot.json"
    path.write_bytes(data)
    return path


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    assert load_snapshot(written(tmp_path, TEXT)) == passing_snapshot()
    assert load_snapshot(written(tmp_path, TEXT + b"\n")) == passing_snapshot()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "snapshot.json:1:1"),
        (b"null", "not a snapshot"),
        (b"[]", "not a snapshot"),
        (TEXT[:-1], "snapshot.json:1:"),
        (TEXT.replace(b'"now":', b'"now":"2026-11-21T12:00:00Z","now":', 1), "twice"),
        (TEXT.replace(b'"schema":"aigate.snapshot/v1"', b'"schema":"aigate.snapshot/v0"'), "/schema"),
        (TEXT.replace(b'"question":"promote"', b'"question":"allow"'), "/question"),
        (TEXT.replace(b'"value":"0.943"', b'"value":NaN'), "NaN"),
        (TEXT.replace(b'"value":"0.943"', b'"value":0.943'), "not a number"),
        (TEXT.replace(b'"value":"0.943"', b'"value":"NaN"'), "not a number"),
        (TEXT.replace(b'"now":"2026-11-21T12:00:00Z"', b'"now":"2026-11-21T12:00:00"'), "/now"),
        (TEXT.replace(b'"now":', b'"more":1,"now":', 1), "/more"),
        (b"\xff" + TEXT, "snapshot.json"),
    ],
    ids=[
        "empty",
        "null",
        "list",
        "cut",
        "twice",
        "other-schema",
        "other-question",
        "nan",
        "float",
        "nan-text",
        "no-zone",
        "unknown-key",
        "not-utf8",
    ],
)
def test_what_is_not_sound_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    assert data != TEXT
    with pytest.raises(ConfigError) as caught:
        load_snapshot(written(tmp_path, data))
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_snapshot(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="Is a directory"):
        load_snapshot(tmp_path)


def test_one_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_file, "MAX_BYTES", 1000)
    with pytest.raises(ConfigError, match="1000"):
        load_snapshot(Path("/dev/zero"))


def test_a_pipe_will_do(tmp_path: Path) -> None:
    """`--snapshot <(zcat old.json.gz)`."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(TEXT,))
    writer.start()
    assert load_snapshot(path) == passing_snapshot()
    writer.join()


@given(st.integers(0, len(TEXT) - 1), st.integers(0, 255))
def test_one_byte_that_is_other_is_never_an_unforeseen_error(at: int, byte: int) -> None:
    """Either it still is a snapshot, or it is refused; nothing else comes of it."""
    data = TEXT[:at] + bytes([byte]) + TEXT[at + 1 :]
    with suppress(ConfigError):
        parse_snapshot(data, "snapshot.json")
