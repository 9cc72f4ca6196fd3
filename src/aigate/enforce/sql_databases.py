"""The two databases that may keep a ledger, and all in which they differ. SQLAlchemy is imported here.

Every transaction is begun and ended by a statement of ours, so that what is
locked, for how long, and what may be in doubt can be read off the page.
"""

import contextlib
import hashlib
import os
import socket
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from aigate.collect.redact import Redactor, shown_url
from aigate.enforce import sql_trouble
from aigate.enforce.store import Guarantees, LedgerError
from aigate.errors import UsageError

PATIENCE = 5
"""Seconds that a connection, a lock or a statement may take."""

HANG_UP = 8.0
"""Seconds after which a transaction's connection is cut at this end: a server that froze obeys no timeout."""

TABLES = ("aigate_meta", "aigate_entry", "aigate_document")

_MAKE = (
    "CREATE TABLE aigate_meta (name {text} NOT NULL PRIMARY KEY, value {text} NOT NULL)",
    "CREATE TABLE aigate_entry (model {text} NOT NULL, seq INTEGER NOT NULL CHECK (seq >= 1), "
    "entry {blob} NOT NULL, PRIMARY KEY (model, seq))",
    "CREATE TABLE aigate_document (digest {text} NOT NULL PRIMARY KEY, content {blob} NOT NULL)",
)


class Database(ABC):
    """A database, opened lazily: making the object asks nothing of the world."""

    kind: ClassVar[str]
    make_statements: ClassVar[tuple[str, ...]]
    """What makes the tables and the triggers that keep entries from being changed."""
    tables_query: ClassVar[str]
    """Which of `TABLES` there are."""

    def __init__(self, place: str, engine: Engine, redactor: Redactor) -> None:
        self.place = place
        self.engine = engine
        self._redactor = redactor

    @abstractmethod
    def exists(self) -> bool:
        """Whether there may be a ledger to read. Raises LedgerError where the place itself is lacking."""

    @abstractmethod
    def make_place(self) -> None:
        """Make the place where tables can be made, where that is for us to do. Raises LedgerError."""

    @abstractmethod
    def begin(self, conn: Connection, lock: str | None) -> None:
        """Begin a transaction; with `lock`, one that writes, with no other writer of that name beside it."""

    @abstractmethod
    def lock_making(self, conn: Connection) -> None:
        """Be the only one who makes tables, until the transaction ends."""

    @abstractmethod
    def guarantees(self) -> Guarantees:
        """Return what a ledger in here promises."""

    @abstractmethod
    def meaning(self, error: BaseException) -> tuple[str, str]:
        """Return what the driver's error means, and the next step."""

    def undone(self, error: BaseException) -> bool:
        """Whether an error during COMMIT proves by itself that nothing was written."""
        return False

    def shaken(self, error: BaseException) -> bool:
        """Whether, after this error during COMMIT, what can be read need not be on the disk."""
        return False

    @contextlib.contextmanager
    def bounded(self, conn: Connection) -> Iterator[None]:
        """End what is done inside after a time."""
        yield

    @contextlib.contextmanager
    def transaction(self, lock: str | None = None) -> Iterator[Connection]:
        """Give a connection in a transaction, which ends without effect unless it is committed inside."""
        conn = self._begun(lock)
        try:
            with self.bounded(conn):
                yield conn
        except BaseException:
            # Closed for good instead of handed back: nobody knows what state it is in.
            conn.invalidate()
            raise
        finally:
            conn.close()

    def _begun(self, lock: str | None) -> Connection:
        """Return a connection with a transaction begun; a connection that went stale is replaced once."""
        for last in (False, True):
            conn = self.engine.connect()
            try:
                with self.bounded(conn):
                    self.begin(conn, lock)
            except BaseException as e:
                stale = isinstance(e, DBAPIError) and e.connection_invalidated
                conn.invalidate()
                conn.close()
                if last or not stale:
                    raise
            else:
                return conn
        raise AssertionError("unreachable")  # pragma: no cover

    def translated(self, error: Exception, then: str) -> LedgerError:
        """Return an error of the database as the ledger's own."""
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        what, fix = self.meaning(cause)
        return LedgerError(
            f"the ledger at {self.place} {what}{then} ({sql_trouble.said(cause, self._redactor)})", fix=fix
        )


class Sqlite(Database):
    """A file on a local disk.

    The rollback journal is kept, and not WAL: one file is the whole ledger, so
    a copy of it is a copy of the ledger; who may only read it can read it
    (WAL needs the right to write beside it); and nobody writes often enough
    to gain by WAL. `synchronous=EXTRA` is FULL and one thing more that this
    journal needs: the folder is synced after the journal is deleted, or a
    power failure could bring the journal back and undo the last entry.
    """

    kind = "sqlite"
    tables_query = (
        "SELECT name FROM sqlite_master WHERE type = 'table' "
        "AND name IN ('aigate_meta', 'aigate_entry', 'aigate_document')"
    )
    make_statements = (
        *(line.format(text="TEXT", blob="BLOB") for line in _MAKE),
        "CREATE TRIGGER aigate_entry_update BEFORE UPDATE ON aigate_entry "
        "BEGIN SELECT RAISE(ABORT, 'aigate_entry is append-only'); END",
        "CREATE TRIGGER aigate_entry_delete BEFORE DELETE ON aigate_entry "
        "BEGIN SELECT RAISE(ABORT, 'aigate_entry is append-only'); END",
        # INSERT OR REPLACE deletes without asking the trigger above.
        "CREATE TRIGGER aigate_entry_replace BEFORE INSERT ON aigate_entry "
        "WHEN EXISTS (SELECT 1 FROM aigate_entry WHERE model = NEW.model AND seq = NEW.seq) "
        "BEGIN SELECT RAISE(IGNORE); END",
    )

    def __init__(self, uri: str) -> None:
        # Taken as it is written: whether SQLAlchemy decodes %20 in it depends on its version.
        start, _, name = uri.partition(":///")
        if start != "sqlite" or name in ("", ":memory:") or "?" in name or "\0" in name:
            raise UsageError(
                "a ledger in SQLite is a file, and nothing else can be said about it",
                fix="write it as sqlite:///folder/ledger.db, or sqlite:////absolute/folder/ledger.db",
            )
        self.path = Path.cwd() / name
        engine = create_engine(
            "sqlite://", creator=self._connect, poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        super().__init__(str(self.path), engine, Redactor())

    def _connect(self) -> sqlite3.Connection:
        """Open the file, which must be there: SQLite's own habit is to make one."""
        conn = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=rw", uri=True, timeout=PATIENCE, isolation_level=None
        )
        try:
            conn.execute("PRAGMA synchronous = EXTRA")
        except sqlite3.Error:
            conn.close()
            raise
        return conn

    def exists(self) -> bool:
        """Whether the file is there. Raises LedgerError where its folder is not."""
        try:
            if not self.path.parent.is_dir():
                raise LedgerError(
                    f"the folder {self.path.parent} of the ledger is not there",
                    fix="check the path of the ledger, or make the folder",
                )
            if self.path.is_dir():
                raise LedgerError(f"the ledger {self.place} is a folder", fix="name a file in it")
            return self.path.exists()
        except OSError as e:
            raise self.translated(e, "") from e

    def make_place(self) -> None:
        """Make an empty file that nobody else may read. Raises LedgerError."""
        if self.exists():
            return
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return
        except OSError as e:
            raise self.translated(e, "; nothing was written") from e

    def begin(self, conn: Connection, lock: str | None) -> None:
        """Begin; a writer locks the whole file at once, or fails after `PATIENCE`."""
        conn.exec_driver_sql("BEGIN" if lock is None else "BEGIN IMMEDIATE")

    def lock_making(self, conn: Connection) -> None:
        """Nothing: whoever writes has locked the whole file already."""

    def guarantees(self) -> Guarantees:
        """Return what a ledger in a file promises."""
        return Guarantees(
            kind=self.kind,
            place=self.place,
            exclusive="one writer has each number (SQLite's write lock and a primary key), on a local disk; "
            "on a network file system this does not hold",
            durable="an entry survives a crash and a power failure as far as the disk keeps what it confirms",
            tamper_evident="triggers refuse to change or delete entries, but whoever may write the file can "
            "drop them; the anchors in MLflow show it",
        )

    def meaning(self, error: BaseException) -> tuple[str, str]:
        """Return what an error of `sqlite3` or of the file system means, and the next step."""
        if isinstance(error, OSError):
            return sql_trouble.SQLITE["SQLITE_CANTOPEN"]
        if isinstance(error, UnicodeError):  # a file so damaged that sqlite3 cannot even quote it
            return sql_trouble.SQLITE["SQLITE_CORRUPT"]
        return sql_trouble.sqlite_meaning(error)

    def undone(self, error: BaseException) -> bool:
        """Whether COMMIT found readers in its way: closing the connection then undoes everything."""
        return sql_trouble.sqlite_name(error).startswith("SQLITE_BUSY")

    def shaken(self, error: BaseException) -> bool:
        """Whether the disk failed: what was written can be read until the machine goes down, and then not."""
        return sql_trouble.sqlite_name(error).startswith("SQLITE_IOERR")


class Postgres(Database):
    """A database on a PostgreSQL server, through psycopg 3.

    All settings are made for one transaction only (`SET LOCAL`), so that they
    hold behind a pooler too and leave nothing behind. A writer first takes an
    advisory lock on the model. That makes a doubtful COMMIT decidable: who
    gets the lock afterwards knows that the transaction in doubt has ended.
    """

    kind = "postgresql"
    # Not `to_regclass`: within a transaction it remembers that a table was not there.
    tables_query = (
        "SELECT relname FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p') "
        "AND relname IN ('aigate_meta', 'aigate_entry', 'aigate_document') "
        "AND pg_catalog.pg_table_is_visible(oid)"
    )
    make_statements = (
        *(line.format(text='TEXT COLLATE "C"', blob="BYTEA") for line in _MAKE),
        "CREATE OR REPLACE FUNCTION aigate_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'aigate_entry is append-only'; END $$",
        "CREATE TRIGGER aigate_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON aigate_entry "
        "FOR EACH STATEMENT EXECUTE FUNCTION aigate_append_only()",
        "ALTER TABLE aigate_entry ENABLE ALWAYS TRIGGER aigate_append_only",
    )

    def __init__(self, url: URL) -> None:
        redactor = Redactor([url.password or "", _option(url, "password"), _option(url, "sslpassword")])
        host = url.host or _option(url, "host")
        port = f":{url.port}" if url.port else ""
        try:
            engine = create_engine(
                url.set(drivername="postgresql+psycopg"),
                poolclass=QueuePool,
                pool_size=1,
                max_overflow=-1,
                pool_timeout=PATIENCE,
                pool_reset_on_return=None,  # every transaction is ended by us, or its connection is closed
                isolation_level="AUTOCOMMIT",
                use_native_hstore=False,
                hide_parameters=True,
                connect_args={
                    "connect_timeout": PATIENCE,
                    "fallback_application_name": "aigate",
                    "client_encoding": "utf8",
                    "prepare_threshold": None,  # a pooler does not know prepared statements
                },
            )
        except (ArgumentError, TypeError, ValueError):
            # Its text may repeat the address, password and all.
            raise UsageError(
                "the ledger's address has an option that cannot be used",
                fix="write it as postgresql://user@host:5432/database, with libpq's own options after `?`",
            ) from None
        super().__init__(shown_url(f"postgresql://{host}{port}/{url.database or ''}"), engine, redactor)

    def exists(self) -> bool:
        """Whether there is a database shows when it is asked."""
        return True

    def make_place(self) -> None:
        """Nothing: the database is for its keeper to make."""

    def begin(self, conn: Connection, lock: str | None) -> None:
        """Begin with our settings; a writer then waits for the lock, or fails after `PATIENCE`."""
        conn.exec_driver_sql(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; "
            f"SET LOCAL statement_timeout = '{PATIENCE}s'; "
            f"SET LOCAL idle_in_transaction_session_timeout = '{2 * PATIENCE}s'",
            execution_options={"no_parameters": True},
        )
        if lock is not None:
            self._lock(conn, lock)

    def lock_making(self, conn: Connection) -> None:
        """Take the lock of all who make tables; two models may have their first entry at once."""
        self._lock(conn, "")

    def _lock(self, conn: Connection, name: str) -> None:
        digest = hashlib.sha256(b"aigate ledger\0" + name.encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        conn.exec_driver_sql("SELECT pg_advisory_xact_lock(%(key)s::bigint)", {"key": key})

    def guarantees(self) -> Guarantees:
        """Return what a ledger on a server promises."""
        return Guarantees(
            kind=self.kind,
            place=self.place,
            exclusive="one writer has each number (a lock on the model and a primary key)",
            durable="an entry survives a crash of the server as far as its own fsync is on, "
            "and the loss of the server as far as its standbys are synchronous",
            tamper_evident="triggers refuse to change or delete entries, but the owner of the database can "
            "drop them; the anchors in MLflow show it",
        )

    def meaning(self, error: BaseException) -> tuple[str, str]:
        """Return what an error of psycopg means, and the next step."""
        return sql_trouble.postgres_meaning(error)

    @contextlib.contextmanager
    def bounded(self, conn: Connection) -> Iterator[None]:
        """Cut the connection at this end after a time; whoever waits on it then hears that it is lost."""
        line = socket.socket(fileno=os.dup(conn.connection.driver_connection.fileno()))  # type: ignore[union-attr]
        timer = threading.Timer(HANG_UP, _hang_up, (line,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            line.close()


def _option(url: URL, key: str) -> str:
    found = url.query.get(key, "")
    return found if isinstance(found, str) else ",".join(found)


def _hang_up(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
