"""A ledger in an SQLite file while files, disks and processes fail."""

import os
import random
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aigate.enforce import sql_databases
from aigate.enforce.sql_store import SqlStore, open_sql_store
from aigate.enforce.store import LedgerError, UncertainError
from enforce.conftest import Child
from enforce.sql_child import entry

WITHOUT_PRIVILEGE = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner") if os.geteuid() == 0 else ()
)
"""Runs a program for which the rights of files count, even as root."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "ledger.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    path.parent.mkdir()
    opened = open_sql_store(f"sqlite:///{path}")
    yield opened
    opened.close()


@pytest.fixture
def begun(store: SqlStore) -> SqlStore:
    """A store with three entries."""
    for seq in (1, 2, 3):
        assert store.append("churn", seq, entry(seq)) is True
    return store


def raw(path: Path, *statements: str) -> list[Any]:
    """Do something to the file behind the store's back; return what the last statement gives."""
    with sqlite3.connect(path) as conn:
        rows = [list(conn.execute(statement)) for statement in statements]
    conn.close()
    return rows[-1]


def refused(ask: Callable[[], object], path: Path, what: str) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        ask()
    assert what in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.fix
    return caught.value


# Where there is nothing, or something else


def test_reading_makes_no_file(store: SqlStore, path: Path) -> None:
    assert store.read("churn") == ()
    with pytest.raises(LedgerError):
        store.document("churn", "sha256:0")
    assert list(path.parent.iterdir()) == []


def test_the_file_is_for_its_owner_only_and_stands_alone(begun: SqlStore, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["ledger.db"]


def test_a_folder_that_is_not_there_is_no_empty_ledger(tmp_path: Path) -> None:
    store = open_sql_store(f"sqlite:///{tmp_path}/nowhere/ledger.db")
    refused(lambda: store.read("churn"), tmp_path / "nowhere", "is not there")
    refused(lambda: store.append("churn", 1, b"{}"), tmp_path / "nowhere", "is not there")
    refused(lambda: store.keep("churn", "d", b"{}"), tmp_path / "nowhere", "is not there")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_its_place_is_said(store: SqlStore, path: Path) -> None:
    path.mkdir()
    refused(lambda: store.read("churn"), path, "is a folder")
    refused(lambda: store.append("churn", 1, b"{}"), path, "is a folder")


def test_a_relative_path_stays_where_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_sql_store("sqlite:///a b#c%20é.db")
    monkeypatch.chdir("/")
    assert store.append("churn", 1, b"{}") is True
    assert [found.name for found in tmp_path.iterdir()] == ["a b#c%20é.db"]


def test_another_application_s_file_is_shared_and_left_alone(store: SqlStore, path: Path) -> None:
    raw(path, "PRAGMA journal_mode = WAL", "CREATE TABLE theirs (a)", "INSERT INTO theirs VALUES (1)")
    assert store.read("churn") == ()
    assert store.append("churn", 1, b"{}") is True
    assert raw(path, "SELECT a FROM theirs") == [(1,)]
    assert raw(path, "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_an_entry_is_synced_before_it_is_promised(store: SqlStore, path: Path, journal: str) -> None:
    raw(path, f"PRAGMA journal_mode = {journal}")
    with store._database.transaction(lock="churn") as conn:
        assert conn.exec_driver_sql("PRAGMA synchronous").scalar() == 3  # EXTRA


# What must not be believed


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE aigate_meta SET value = '2'", "another version"),
        ("DELETE FROM aigate_meta", "another version"),
        ("DROP TABLE aigate_meta", "lacks a table"),
        ("DROP TABLE aigate_entry", "lacks a table"),
        ("DROP TABLE aigate_document", "lacks a table"),
    ],
)
def test_tables_that_are_not_as_we_made_them_are_refused(
    begun: SqlStore, path: Path, statement: str, what: str
) -> None:
    raw(path, statement)
    refused(lambda: begun.read("churn"), path, what)
    refused(lambda: begun.append("churn", 4, b"{}"), path, what)
    refused(lambda: begun.keep("churn", "d", b"{}"), path, what)
    refused(lambda: begun.document("churn", "d"), path, what)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM aigate_entry WHERE seq = 2", "lacks entry 2"),
        ("DELETE FROM aigate_entry WHERE seq = 1", "lacks entry 1"),
        ("UPDATE aigate_entry SET entry = 'text' WHERE seq = 2", "no entry"),
        ("UPDATE aigate_entry SET entry = 5 WHERE seq = 2", "no entry"),
        ("UPDATE aigate_entry SET seq = 'x' WHERE seq = 3", "lacks entry 3"),
    ],
)
def test_entries_that_were_tampered_with_are_no_history(
    begun: SqlStore, path: Path, statement: str, what: str
) -> None:
    raw(path, "DROP TRIGGER aigate_entry_update", "DROP TRIGGER aigate_entry_delete", statement)
    refused(lambda: begun.read("churn"), path, what)


def test_an_entry_without_a_number_stops_writing(begun: SqlStore, path: Path) -> None:
    raw(path, "DROP TRIGGER aigate_entry_update", "UPDATE aigate_entry SET seq = 'x' WHERE seq = 3")
    refused(lambda: begun.append("churn", 4, b"{}"), path, "without a number")


@pytest.mark.parametrize("content", ["x'00'", "x''", "'text'", "NULL", "zeroblob(100)"])
def test_a_document_that_was_tampered_with_is_refused(begun: SqlStore, path: Path, content: str) -> None:
    begun.keep("churn", "d", b"content")
    if content == "NULL":
        raw(path, "DELETE FROM aigate_document")
    else:
        raw(path, f"UPDATE aigate_document SET content = {content}")
        refused(lambda: begun.keep("churn", "d", b"content"), path, "")
    refused(lambda: begun.document("churn", "d"), path, "")


def test_a_document_under_another_s_digest_is_not_taken_for_it(begun: SqlStore, path: Path) -> None:
    begun.keep("churn", "d", b"content")
    refused(lambda: begun.keep("churn", "d", b"other"), path, "other bytes")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE aigate_entry SET entry = x'00'",
        "UPDATE aigate_entry SET seq = 9 WHERE seq = 3",
        "DELETE FROM aigate_entry",
    ],
)
def test_changing_the_past_meets_a_hurdle(begun: SqlStore, path: Path, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw(path, statement)
    assert begun.read("churn") == tuple(map(entry, (1, 2, 3)))


def test_replacing_an_entry_does_nothing(begun: SqlStore, path: Path) -> None:
    raw(path, "INSERT OR REPLACE INTO aigate_entry VALUES ('churn', 2, x'00')")
    assert begun.read("churn") == tuple(map(entry, (1, 2, 3)))


def test_a_file_that_is_no_database_is_said(store: SqlStore, path: Path) -> None:
    path.write_bytes(b"something else, and long enough to be looked at" * 100)
    kept = path.read_bytes()
    refused(lambda: store.read("churn"), path, "is not an SQLite database")
    refused(lambda: store.append("churn", 1, b"{}"), path, "is not an SQLite database")
    assert path.read_bytes() == kept


@pytest.mark.parametrize("pages", [1, 2, 5])
def test_a_file_that_was_cut_off_is_said(begun: SqlStore, path: Path, pages: int) -> None:
    os.truncate(path, pages * 4096)
    refused(lambda: begun.read("churn"), path, "is damaged")
    refused(lambda: begun.append("churn", 4, b"{}"), path, "is damaged")


def test_a_file_with_bytes_changed_is_read_whole_or_refused(begun: SqlStore, path: Path) -> None:
    """What SQLite itself does not notice, the chain does; here no error may be anything but ours."""
    whole, dice = path.read_bytes(), random.Random(7)
    for _ in range(60):
        broken = bytearray(whole)
        for _ in range(20):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        path.write_bytes(broken)
        for ask in (lambda: begun.read("churn"), lambda: begun.append("churn", 4, b"{}")):
            try:
                ask()
            except (LedgerError, UncertainError) as e:
                assert str(path) in str(e)  # noqa: PT017 - it need not be raised


# Rights


def test_a_file_that_may_only_be_read_is_read_and_not_written(
    begun: SqlStore, path: Path, child: Child
) -> None:
    path.chmod(0o400)
    said = child("append", f"sqlite:///{path}", "churn", 4, under=WITHOUT_PRIVILEGE)
    assert said["error"] == "LedgerError"
    assert "cannot be written" in said["message"]
    assert "the right to write" in said["fix"]
    assert child("read", f"sqlite:///{path}", "churn", under=WITHOUT_PRIVILEGE) == 3


@pytest.mark.parametrize("there", [True, False], ids=["with a file", "empty"])
def test_a_folder_that_may_only_be_read_takes_no_entry(
    begun: SqlStore, path: Path, child: Child, there: bool
) -> None:
    if not there:
        path.unlink()
    path.parent.chmod(0o500)
    try:
        said = child("append", f"sqlite:///{path}", "churn", 4, under=WITHOUT_PRIVILEGE)
        assert child("read", f"sqlite:///{path}", "churn", under=WITHOUT_PRIVILEGE) == (3 if there else 0)
    finally:
        path.parent.chmod(0o700)
    assert said["error"] == "LedgerError"
    assert "its folder" in said["fix"]
    assert str(path) in said["message"]


def test_a_file_that_may_not_be_read_is_no_empty_ledger(begun: SqlStore, path: Path, child: Child) -> None:
    path.chmod(0o000)
    said = child("read", f"sqlite:///{path}", "churn", under=WITHOUT_PRIVILEGE)
    assert said["error"] == "LedgerError"
    path.parent.chmod(0o000)
    try:
        said = child("read", f"sqlite:///{path}", "churn", under=WITHOUT_PRIVILEGE)
    finally:
        path.parent.chmod(0o700)
    assert said["error"] == "LedgerError"


# Locks


def test_a_lock_that_stays_is_an_error_after_a_while(
    begun: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_databases, "PATIENCE", 0.1)
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        assert "run the command again" in refused(lambda: begun.read("churn"), path, "is locked").fix
        refused(lambda: begun.append("churn", 4, entry(4)), path, "nothing was written")
    finally:
        other.close()
    assert begun.append("churn", 4, entry(4)) is True


def test_a_reader_in_the_way_of_commit_means_that_nothing_was_written(
    begun: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_databases, "PATIENCE", 0.1)
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN")
        other.execute("SELECT * FROM aigate_entry").fetchone()
        refused(lambda: begun.append("churn", 4, entry(4)), path, "is locked")
        assert len(begun.read("churn")) == 3
    finally:
        other.close()
    assert begun.append("churn", 4, entry(4)) is True


# Disks and deaths


def test_a_file_that_may_not_grow_takes_no_entry(begun: SqlStore, path: Path, child: Child) -> None:
    said = child("append", f"sqlite:///{path}", "churn", 4, path.stat().st_size)
    assert said["error"] == "LedgerError"
    assert "nothing was written" in said["message"]
    assert begun.read("churn") == tuple(map(entry, (1, 2, 3)))


def test_a_full_database_takes_no_entry(begun: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`max_page_count` gives the very error of a full disk, in this process."""
    connect = sql_databases.Sqlite._connect

    def small(self: sql_databases.Sqlite) -> sqlite3.Connection:
        conn = connect(self)
        conn.execute("PRAGMA max_page_count = 1")  # no less than it has
        return conn

    with monkeypatch.context() as patched:
        patched.setattr(sql_databases.Sqlite, "_connect", small)
        narrow = open_sql_store(f"sqlite:///{path}")
        refused(lambda: narrow.append("churn", 4, b"x" * 200_000), path, "the disk is full; nothing was")
    assert begun.append("churn", 4, entry(4)) is True


FAULTS = [
    *(f"fsync,fdatasync:error=EIO:when={n}" for n in ("1", "2", "3", "4", "5", "4+", "5+")),
    *(f"pwrite64:error=ENOSPC:when={n}" for n in ("1", "6", "12+")),
    *(f"unlink:error=EIO:when={n}" for n in ("1", "1+")),
]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_disk_that_fails_at_any_point_makes_no_false_promise(
    begun: SqlStore, path: Path, tmp_path: Path, child: Child, fault: str
) -> None:
    trace = tmp_path / "trace"
    call = fault.partition(":")[0]
    under = ("strace", "-f", "-o", str(trace), "-e", f"trace={call}", "-e", f"inject={fault}")
    said = child("append", f"sqlite:///{path}", "churn", 4, under=under)
    assert "(INJECTED)" in trace.read_text(), "the fault did not strike"
    there = begun.read("churn")
    assert there[:3] == tuple(map(entry, (1, 2, 3)))
    if said is True:
        # SQLite passes over a folder that cannot be synced when the journal is made, and syncs it again at the end.
        assert fault.endswith("when=2"), "an entry was promised on a disk that failed"
        assert len(there) == 4
    elif said["error"] == "LedgerError":
        assert len(there) == 3, said
        assert "nothing was written" in said["message"]
    else:
        assert said["error"] == "UncertainError"
    assert begun.append("churn", 4, entry(4)) is True


def test_writers_killed_at_random_lose_nothing_that_was_promised(
    store: SqlStore, path: Path, child: Child
) -> None:
    said = child("kill", f"sqlite:///{path}", "churn", 30)
    assert said["killed"] == 30
    assert said["lost"] == []
    assert said["promised"] > 3, "there was something to lose"
    assert raw(path, "PRAGMA integrity_check") == [("ok",)]
