"""A ledger in a real PostgreSQL while it is stopped, frozen, killed, locked and tampered with."""

import contextlib
import os
import random
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from aigate.enforce import sql_databases
from aigate.enforce.sql_store import SqlStore, open_sql_store
from aigate.enforce.store import LedgerError, UncertainError
from enforce.conftest import PASSWORD, Child, PostgresServer
from enforce.sql_child import entry

pytestmark = pytest.mark.server


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def store(postgres: PostgresServer, database: str) -> Iterator[SqlStore]:
    opened = open_sql_store(postgres.uri(database))
    yield opened
    opened.close()


@pytest.fixture
def begun(store: SqlStore) -> SqlStore:
    """A store with three entries."""
    for seq in (1, 2, 3):
        assert store.append("churn", seq, entry(seq)) is True
    return store


@pytest.fixture
def behind(postgres: PostgresServer, database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that goes round the store."""
    with postgres.connect(database) as conn:
        yield conn


THREE = tuple(map(entry, (1, 2, 3)))


def refused(ask: Callable[[], object], what: str) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        ask()
    assert what in caught.value.message
    assert "postgresql://127.0.0.1" in caught.value.message
    assert caught.value.fix
    return caught.value


def at_commit(monkeypatch: pytest.MonkeyPatch, store: SqlStore, act: Callable[[int], None]) -> None:
    """Do something to the server process behind the store's next COMMIT, just before it is sent."""
    commit = store._commit

    def hooked(conn: Connection) -> None:
        monkeypatch.setattr(store, "_commit", commit)
        act(conn.connection.driver_connection.info.backend_pid)  # type: ignore[union-attr]
        commit(conn)

    monkeypatch.setattr(store, "_commit", hooked)


def end_process(behind: psycopg.Connection[Any], pid: int) -> None:
    """End a server process and wait until it is gone."""
    behind.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


# Connections


def test_a_server_that_is_stopped_in_between_is_said_and_used_again(
    begun: SqlStore, postgres: PostgresServer
) -> None:
    postgres.stop()
    try:
        assert "cannot be reached" in refused(lambda: begun.read("churn"), "cannot be reached").message
        refused(lambda: begun.append("churn", 4, entry(4)), "nothing was written")
        refused(lambda: begun.keep("churn", "d", b"x"), "was not kept")
    finally:
        postgres.start()
    assert begun.read("churn") == THREE
    assert begun.append("churn", 4, entry(4)) is True


def test_a_server_that_came_back_in_between_is_not_even_noticed(
    begun: SqlStore, postgres: PostgresServer
) -> None:
    postgres.stop(signal.SIGQUIT)  # as in a crash: what was promised must come out of its log
    postgres.start()
    assert begun.append("churn", 4, entry(4)) is True
    assert begun.read("churn") == (*THREE, entry(4))


def test_nobody_there_is_said_soon() -> None:
    with socket.socket() as listening:  # a port that accepts and says nothing
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        store = open_sql_store(f"postgresql://gate@127.0.0.1:{listening.getsockname()[1]}/ledger")
        begun = time.monotonic()
        refused(lambda: store.read("churn"), "cannot be reached")
        assert time.monotonic() - begun < 3 * sql_databases.PATIENCE


def test_a_wrong_password_is_not_repeated(postgres: PostgresServer) -> None:
    for uri in (postgres.uri(password="hunter22"), postgres.uri("nowhere"), postgres.uri(user="nobody")):
        store = open_sql_store(uri)
        for ask in (lambda: store.read("churn"), lambda: store.append("churn", 1, b"{}")):  # noqa: B023
            error = refused(ask, "does not let us in")
            told = "".join(traceback.format_exception(error)) + error.fix
            assert not [word for word in ("hunter22", PASSWORD, "%20") if word in told]


# COMMIT in doubt


def test_a_connection_ended_before_commit_leaves_nothing(
    begun: SqlStore, behind: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_commit(monkeypatch, begun, lambda pid: end_process(behind, pid))
    refused(lambda: begun.append("churn", 4, entry(4)), "nothing was written")
    assert begun.read("churn") == THREE
    assert begun.append("churn", 4, entry(4)) is True


def test_a_commit_whose_answer_was_lost_is_found(
    begun: SqlStore, behind: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = begun._commit

    def deaf(conn: Connection) -> None:
        monkeypatch.setattr(begun, "_commit", commit)
        commit(conn)
        end_process(behind, conn.connection.driver_connection.info.backend_pid)  # type: ignore[union-attr]
        conn.exec_driver_sql("COMMIT")

    monkeypatch.setattr(begun, "_commit", deaf)
    assert begun.append("churn", 4, entry(4)) is True
    assert begun.read("churn") == (*THREE, entry(4))


def test_another_writer_s_entry_is_not_taken_for_ours(
    begun: SqlStore, behind: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(pid: int) -> None:
        end_process(behind, pid)
        behind.execute("INSERT INTO aigate_entry VALUES ('churn', 4, 'theirs')")

    at_commit(monkeypatch, begun, overtaken)
    assert begun.append("churn", 4, entry(4)) is False
    assert begun.read("churn") == (*THREE, b"theirs")


def test_a_doubt_that_cannot_be_resolved_is_said(
    begun: SqlStore, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_commit(monkeypatch, begun, lambda pid: postgres.stop())
    try:
        with pytest.raises(UncertainError, match="while it wrote entry 4") as caught:
            begun.append("churn", 4, entry(4))
    finally:
        postgres.start()
    assert caught.value.fix
    assert begun.read("churn") == THREE


def test_a_server_process_that_froze_leaves_a_doubt_and_not_a_guess(
    begun: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has our COMMIT and will carry it out when it thaws: that nothing is there yet proves nothing."""
    monkeypatch.setattr(sql_databases, "PATIENCE", 10)
    monkeypatch.setattr(sql_databases, "HANG_UP", 0.7)
    frozen: list[int] = []

    def freeze(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        frozen.append(pid)

    at_commit(monkeypatch, begun, freeze)
    start = time.monotonic()
    try:
        with pytest.raises(UncertainError):
            begun.append("churn", 4, entry(4))
        assert time.monotonic() - start < 8
        assert begun.read("churn") == THREE
    finally:
        os.kill(frozen[0], signal.SIGCONT)
    end = time.monotonic() + 10
    while len(begun.read("churn")) == 3 and time.monotonic() < end:
        time.sleep(0.05)
    assert begun.read("churn") == (*THREE, entry(4))


def test_connections_ended_all_the_time_lose_nothing_that_was_promised(
    store: SqlStore, behind: psycopg.Connection[Any]
) -> None:
    stop, ended, dice = threading.Event(), [0], random.Random(11)

    def reaper() -> None:
        while not stop.wait(dice.uniform(0.02, 0.3)):
            rows = behind.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
            ended[0] += len(rows)

    thread = threading.Thread(target=reaper)
    thread.start()
    promised: list[bytes] = []
    troubles = 0
    end = time.monotonic() + 4
    try:
        while time.monotonic() < end:
            line = entry(len(promised) + 1)
            try:
                assert store.append("churn", len(promised) + 1, line) is True
            except (LedgerError, UncertainError) as e:
                troubles += 1
                certain = isinstance(e, LedgerError)
                with contextlib.suppress(LedgerError):
                    there = store.read("churn")
                    assert there == tuple(promised) if certain else there[: len(promised)] == tuple(promised)
                continue
            promised.append(line)
    finally:
        stop.set()
        thread.join()
    assert min(ended[0], troubles, len(promised)) > 5, "nothing struck"
    assert store.read("churn") in (tuple(promised), (*promised, entry(len(promised) + 1)))


def test_writers_killed_at_random_lose_nothing_that_was_promised(
    postgres: PostgresServer, database: str, child: Child
) -> None:
    said = child("kill", postgres.uri(database), "churn", 30, 0.25)
    assert said["killed"] == 30
    assert said["lost"] == []
    assert said["promised"] > 3, "there was something to lose"


# Rights, locks, settings


def test_reading_makes_no_table_and_writing_leaves_the_rest_alone(
    store: SqlStore, behind: psycopg.Connection[Any]
) -> None:
    behind.execute("CREATE TABLE theirs AS SELECT 1 AS a")
    tables = "SELECT relname FROM pg_class WHERE relname LIKE 'aigate%' AND relkind = 'r' ORDER BY 1"
    assert store.read("churn") == ()
    assert behind.execute(tables).fetchall() == []
    assert store.append("churn", 1, b"{}") is True
    assert behind.execute(tables).fetchall() == [("aigate_document",), ("aigate_entry",), ("aigate_meta",)]
    assert behind.execute("SELECT a FROM theirs").fetchall() == [(1,)]


def test_first_entries_of_several_models_at_once_make_the_tables_once(
    postgres: PostgresServer, database: str
) -> None:
    came: list[object] = []

    def first(number: int) -> None:
        store = open_sql_store(postgres.uri(database))
        try:
            came.append(store.append(f"m{number}", 1, b"{}"))
        except Exception as e:
            came.append(e)
        store.close()

    threads = [threading.Thread(target=first, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert came == [True] * 8


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE aigate_entry SET entry = 'x'",
        "DELETE FROM aigate_entry WHERE seq = 3",
        "TRUNCATE aigate_entry",
        "INSERT INTO aigate_entry VALUES ('churn', 3, 'x') ON CONFLICT (model, seq) DO UPDATE SET entry = 'x'",
        "SET session_replication_role = replica; DELETE FROM aigate_entry",
    ],
)
def test_changing_the_past_meets_a_hurdle(
    begun: SqlStore, behind: psycopg.Connection[Any], statement: str
) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        behind.execute(statement)
    assert begun.read("churn") == THREE


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE aigate_meta SET value = '2'", "another version"),
        ("DROP TABLE aigate_entry", "lacks a table"),
        (
            "ALTER TABLE aigate_entry DISABLE TRIGGER ALL; DELETE FROM aigate_entry WHERE seq = 2",
            "lacks entry 2",
        ),
    ],
)
def test_tables_that_are_not_as_we_made_them_are_refused(
    begun: SqlStore, behind: psycopg.Connection[Any], statement: str, what: str
) -> None:
    behind.execute(statement)
    refused(lambda: begun.read("churn"), what)


def test_settings_of_the_database_do_not_weaken_an_entry(
    store: SqlStore, behind: psycopg.Connection[Any], database: str
) -> None:
    behind.execute(f"ALTER DATABASE {database} SET synchronous_commit = off")
    behind.execute(f"ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'")
    with store._database.transaction(lock="churn") as conn:
        names = ("synchronous_commit", "statement_timeout", "transaction_isolation")
        found = [conn.exec_driver_sql(f"SHOW {name}").scalar() for name in names]
    assert found == ["on", "5s", "read committed"]


@pytest.mark.parametrize(
    "lock",
    ["LOCK TABLE aigate_entry IN ACCESS EXCLUSIVE MODE", "LOCK TABLE aigate_meta IN ACCESS EXCLUSIVE MODE"],
)
def test_a_lock_that_stays_is_an_error_after_a_while(
    begun: SqlStore, behind: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, lock: str
) -> None:
    monkeypatch.setattr(sql_databases, "PATIENCE", 1)
    with behind.transaction():
        behind.execute(lock)
        refused(lambda: begun.read("churn"), "did not finish in time")
        refused(lambda: begun.append("churn", 4, entry(4)), "nothing was written")
    assert begun.append("churn", 4, entry(4)) is True


def test_a_database_that_takes_no_writes_is_read(
    begun: SqlStore, behind: psycopg.Connection[Any], database: str
) -> None:
    behind.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    begun.close()
    refused(lambda: begun.append("churn", 4, entry(4)), "takes no writes now; nothing was written")
    assert begun.read("churn") == THREE


def test_a_user_without_rights_is_told_which(
    postgres: PostgresServer, behind: psycopg.Connection[Any], database: str
) -> None:
    user = f"u{database[1:9]}"
    behind.execute(f"CREATE USER {user} PASSWORD 'hunter22'")
    behind.execute("REVOKE CREATE ON SCHEMA public FROM public")
    store = open_sql_store(postgres.uri(database, user=user, password="hunter22"))
    assert store.read("churn") == ()
    assert "grant it CREATE" in refused(lambda: store.append("churn", 1, b"{}"), "does not let this user").fix
    store.close()
