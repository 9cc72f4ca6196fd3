"""Documents as people keep them: all are handed out, one at a time, and what cannot be read says why."""

import gzip
import os
from pathlib import Path

import pytest

from aigate.collect import records
from aigate.collect.records import Piece, Records, kind_of
from aigate.errors import ConfigError, UsageError

SNAPSHOT = b'{"a":1,"schema":"aigate.snapshot/v1"}'
RECORD = b'{"schema":"aigate.decision/v1"}'


def read(path: Path) -> list[Piece]:
    return list(Records(path).read())


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (SNAPSHOT, "snapshot"),
        (RECORD, "record"),
        (b'{ "schema" :\n "aigate.snapshot/v12" }', "snapshot"),
        (b'{"schema":"aigate.entry/v1"}', "other"),
        (b'{"said":"\\"schema\\":\\"aigate.snapshot/v1\\""}', "other"),
        (b"", "other"),
    ],
    ids=["snapshot", "record", "another version", "an entry", "inside a text", "nothing"],
)
def test_a_document_is_known_by_its_schema(data: bytes, kind: str) -> None:
    assert kind_of(data) == kind


def test_every_record_comes_before_every_snapshot(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(SNAPSHOT)
    (tmp_path / "b.jsonl").write_bytes(SNAPSHOT + b"\n" + RECORD + b"\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/c.json.gz").write_bytes(gzip.compress(RECORD))
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/d.json").write_bytes(SNAPSHOT)
    (tmp_path / "notes.txt").write_bytes(SNAPSHOT)
    found = read(tmp_path)
    assert [piece.kind for piece in found] == ["record", "record", "snapshot", "snapshot"]
    assert [piece.where for piece in found] == [
        f"{tmp_path}/b.jsonl:2",
        f"{tmp_path}/deep/c.json.gz",
        f"{tmp_path}/a.json",
        f"{tmp_path}/b.jsonl:1",
    ]
    assert found[2].data == SNAPSHOT


def test_what_is_cut_or_no_gzip_says_so_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(SNAPSHOT)[:-9])
    (tmp_path / "b.jsonl.gz").write_bytes(b"plain text")
    whole = gzip.compress((SNAPSHOT + b"\n") * 20_000)
    (tmp_path / "c.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "d.json").write_bytes(SNAPSHOT)
    found = read(tmp_path)
    broken = [piece for piece in found if piece.kind == "broken"]
    assert [Path(piece.where).name for piece in broken] == ["a.json.gz", "b.jsonl.gz", "c.jsonl.gz"]
    assert all(piece.why.startswith("cannot be read: ") for piece in broken)
    assert found[-1] == Piece(f"{tmp_path}/d.json", "snapshot", SNAPSHOT)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"schema":"aigate.entry/v1"}', "other"),
        (b"[1]", "other"),
        (b'{"schema":"aigate.snapshot\\/v1"}', "snapshot"),
        (b'{"\\u0073chema":"aigate.decision/v1"}', "record"),
        (b'{"schema":"aigate.snapshot/v123456"}', "snapshot"),
        (SNAPSHOT[:-20], "broken"),
        (b"", "broken"),
        (SNAPSHOT.decode().encode("utf-16"), "broken"),
        (b"[" * 100_000, "broken"),
        (b'{"a":"\xff"}', "broken"),
    ],
    ids=["entry", "list", "slash", "letters", "later", "cut off", "empty", "utf-16", "deep", "latin-1"],
)
def test_nothing_is_of_another_kind_before_it_was_read(tmp_path: Path, data: bytes, kind: str) -> None:
    (tmp_path / "a.json").write_bytes(data)
    (found,) = read(tmp_path)
    assert found.kind == kind
    assert bool(found.why) == (kind == "broken")


def test_a_folder_that_cannot_be_looked_into_is_no_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_bytes(SNAPSHOT)
    closed = tmp_path / "closed"
    closed.mkdir()
    look = os.scandir

    def refuse(path: str) -> object:
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ConfigError, match=r"closed.*cannot be read: Permission denied"):
        Records(tmp_path)


def test_a_line_that_is_too_long_is_told_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAX_BYTES", 100)
    path = tmp_path / "a.jsonl"
    path.write_bytes(SNAPSHOT + b"\n" + b"x" * 1000 + b"\n" + SNAPSHOT)
    assert [(piece.kind, piece.where[-2:]) for piece in read(path)] == [
        ("snapshot", ":1"),
        ("broken", ":2"),
        ("snapshot", ":3"),
    ]
    whole = tmp_path / "b.json"
    whole.write_bytes(b"x" * 1000)
    assert [piece.why for piece in read(whole)] == ["larger than 100 bytes"]


def test_progress_ends_at_twice_the_size(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes((SNAPSHOT + b"\n") * 100)
    (tmp_path / "b.json").write_bytes(SNAPSHOT)
    told: list[int] = []
    source = Records(tmp_path)
    list(source.read(told.append))
    assert told == sorted(told)
    assert told[-1] == 2 * source.size


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_source_without_anything_is_usage(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError):
        Records(tmp_path / name)
