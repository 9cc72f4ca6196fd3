"""A ledger in an SQL database: SQLite on a local disk, or PostgreSQL. Needs the extra `[sql]`."""

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aigate.enforce.store import Guarantees, LedgerError, TooLargeError, UncertainError
from aigate.errors import UsageError
from aigate.values import Digest

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from aigate.enforce.sql_databases import Database

LARGEST_DOCUMENT = 32 * 1024 * 1024
"""Bytes of a document, before it is packed."""

_SCHEMA = "1"
"""The version of the tables that this code reads and writes."""

_HOW = "write it as sqlite:///folder/ledger.db or postgresql://user@host:5432/database"
_AUDIT = "put a backup back, and run `aigate audit`"


def open_sql_store(uri: str) -> "SqlStore":
    """Return the ledger store at an address: `sqlite:///path`, `postgresql://…` or `postgresql+psycopg://…`.

    Asks nothing of the world yet. Raises UsageError for any other address,
    and where the extra `[sql]` is not installed.
    """
    try:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        from aigate.enforce.sql_databases import Postgres, Sqlite
    except ImportError as e:
        raise _lacking() from e
    if uri.startswith("sqlite:"):
        return SqlStore(Sqlite(uri))
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        # Its text repeats the address, password and all.
        raise UsageError("the ledger's address cannot be read", fix=_HOW) from None
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        try:
            return SqlStore(Postgres(url))
        except ImportError as e:
            raise _lacking() from e
    raise UsageError(f"a ledger cannot be kept in {url.drivername!r}", fix=_HOW)


def _lacking() -> UsageError:
    return UsageError(
        "a ledger in a database needs packages that are not installed",
        fix='install them: pip install "aigate-mlops[sql]"',
    )


class SqlStore:
    """Keeps a ledger in three tables of a database. See `LedgerStore` for what it promises."""

    def __init__(self, database: "Database") -> None:
        self._database = database

    def guarantees(self) -> Guarantees:
        """Return what this store promises. Asks nothing of the world."""
        return self._database.guarantees()

    def read(self, model: str) -> tuple[bytes, ...]:
        """Return a model's entries, first to last; none where it has none. Makes nothing, not even a file."""
        name = _writable(model)
        if not self._database.exists():
            return ()
        with self._told(), self._database.transaction() as conn:
            rows = self._ask(conn, _ALL, model=name) if self._ready(conn) else []
            self._commit(conn)
        for place, row in enumerate(rows, 1):
            if row[0] != place:
                raise LedgerError(f"the ledger at {self._place} lacks entry {place} of {model!r}", fix=_AUDIT)
        return tuple(self._bytes(row[1]) for row in rows)

    def append(self, model: str, seq: int, entry: bytes) -> bool:
        """Write entry number `seq` once and for ever; return whether it is ours that stands there now."""
        name = _writable(model)
        self._database.make_place()
        with self._told("; nothing was written"), self._database.transaction(lock=name) as conn:
            self._make(conn)
            last = self._ask(conn, _LAST, model=name)[0][0]
            if not isinstance(last, int):
                raise LedgerError(f"the ledger at {self._place} has an entry without a number", fix=_AUDIT)
            if not 1 <= seq <= last + 1:
                raise LedgerError(
                    f"entry {seq} of {model!r} cannot be written: the ledger at {self._place} ends at {last}",
                    fix="read the ledger again; an end that was cut off shows in `aigate audit`",
                )
            self._do(conn, _INSERT, model=name, seq=seq, entry=entry)
            ours = self._standing(conn, name, seq) == entry
            doubt = self._try_commit(conn)
        return ours if doubt is None else self._after(doubt, name, seq, entry)

    def keep(self, model: str, digest: Digest, content: bytes) -> str:
        """Keep a document under its digest, which is its reference; the models of a database share them."""
        _writable(model)
        if len(content) > LARGEST_DOCUMENT:
            raise TooLargeError(f"a document of {len(content)} bytes; at most {LARGEST_DOCUMENT} can be kept")
        self._database.make_place()
        with self._told("; the document was not kept"), self._database.transaction(lock=digest) as conn:
            self._make(conn)
            self._do(conn, _KEEP, digest=digest, content=zlib.compress(content))
            found = self._ask(conn, _DOCUMENT, digest=digest)
            self._commit(conn)
        if not found or self._unpacked(found[0][0]) != content:
            raise LedgerError(f"the ledger at {self._place} has other bytes under {digest}", fix=_AUDIT)
        return digest

    def keep_together(self, model: str, documents: Sequence[tuple[Digest, bytes]]) -> tuple[str, ...]:
        """Keep several documents, one after the other."""
        return tuple(self.keep(model, digest, content) for digest, content in documents)

    def document(self, model: str, place: str) -> bytes:
        """Return a document by its reference. Raises LedgerError where it is not to be had."""
        _writable(model)
        found: list[Any] = []
        if self._database.exists():
            with self._told(), self._database.transaction() as conn:
                found = self._ask(conn, _DOCUMENT, digest=_writable(place)) if self._ready(conn) else []
                self._commit(conn)
        if not found:
            raise LedgerError(f"the ledger at {self._place} has no document {place!r}", fix=_AUDIT)
        return self._unpacked(found[0][0])

    def close(self) -> None:
        """Let go of connections. Raises nothing."""
        with contextlib.suppress(Exception):
            self._database.engine.dispose()

    @property
    def _place(self) -> str:
        return self._database.place

    # A COMMIT in doubt

    def _after(self, doubt: Exception, name: str, seq: int, entry: bytes) -> bool:
        """Find out over a new connection what a COMMIT that failed has left behind.

        The transaction here takes the writer's lock, so it begins only when
        the one in doubt has ended, and what it sees is final.
        """
        cause = getattr(doubt, "orig", None) or doubt
        if self._database.undone(cause):
            with self._told("; nothing was written"):
                raise doubt
        try:
            with self._told(), self._database.transaction(lock=name) as conn:
                found = self._standing(conn, name, seq) if self._ready(conn) else None
                self._commit(conn)
        except LedgerError as e:
            raise self._uncertain(seq, "and now it cannot be read") from e
        if found is None:
            with self._told("; nothing was written"):
                raise doubt
        if found == entry and self._database.shaken(cause):
            raise self._uncertain(seq, "and what can be read may not be on the disk") from doubt
        return found == entry

    def _uncertain(self, seq: int, what: str) -> UncertainError:
        return UncertainError(
            f"the ledger at {self._place} failed while it wrote entry {seq}, {what}",
            fix="see that the database works, then run the command again: it finds out what happened",
        )

    def _try_commit(self, conn: "Connection") -> Exception | None:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            self._commit(conn)
        except (SQLAlchemyError, UnicodeError) as e:
            conn.invalidate()
            return e
        return None

    # The tables

    def _ready(self, conn: "Connection") -> bool:
        """Whether the tables are there, all of them and in the version known here."""
        found = {str(row[0]) for row in self._ask(conn, self._database.tables_query)}
        if not found:
            return False
        if len(found) < _TABLES:
            raise LedgerError(f"the ledger at {self._place} lacks a table that aigate made", fix=_AUDIT)
        version = self._ask(conn, _VERSION)
        if not version or version[0][0] != _SCHEMA:
            raise LedgerError(
                f"the ledger at {self._place} was made by another version of aigate: "
                f"its schema is {version[0][0] if version else 'not said'!r}, known here is {_SCHEMA!r}",
                fix="upgrade aigate to the version that the others use",
            )
        return True

    def _make(self, conn: "Connection") -> None:
        """Make the tables where they are not; one writer at a time, and all of them or none."""
        if self._ready(conn):
            return
        self._database.lock_making(conn)
        if self._ready(conn):
            return
        for statement in self._database.make_statements:
            conn.exec_driver_sql(statement, execution_options={"no_parameters": True})
        self._do(conn, _SIGN, value=_SCHEMA)

    # Statements

    def _standing(self, conn: "Connection", name: str, seq: int) -> bytes | None:
        rows = self._ask(conn, _ONE, model=name, seq=seq)
        return self._bytes(rows[0][0]) if rows else None

    def _ask(self, conn: "Connection", statement: str, **values: object) -> list[Any]:
        from sqlalchemy import text

        return list(conn.execute(text(statement), values))

    def _do(self, conn: "Connection", statement: str, **values: object) -> None:
        from sqlalchemy import text

        conn.execute(text(statement), values)

    def _commit(self, conn: "Connection") -> None:
        conn.exec_driver_sql("COMMIT")

    # Values

    def _bytes(self, found: object) -> bytes:
        """Return a value of the column `entry`; SQLite lets anybody put text or numbers there."""
        if isinstance(found, bytes | memoryview):
            return bytes(found)
        raise LedgerError(f"the ledger at {self._place} holds something that is no entry", fix=_AUDIT)

    def _unpacked(self, found: object) -> bytes:
        """Return a document's bytes; never more than any that was kept, whatever is in the table."""
        machine = zlib.decompressobj()
        try:
            content = machine.decompress(self._bytes(found), LARGEST_DOCUMENT + 1)
        except zlib.error as e:
            raise LedgerError(f"a document in the ledger at {self._place} is damaged", fix=_AUDIT) from e
        if not machine.eof or machine.unused_data:
            raise LedgerError(f"a document in the ledger at {self._place} is damaged", fix=_AUDIT)
        return content

    @contextlib.contextmanager
    def _told(self, then: str = "") -> Iterator[None]:
        """Raise what the database raises as the ledger's own error."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, UnicodeError) as e:
            raise self._database.translated(e, then) from e


def _writable(name: str) -> str:
    """Return a name that a database can hold. Raises LedgerError."""
    try:
        name.encode()
    except UnicodeEncodeError as e:
        raise LedgerError("a name with half a character in it cannot be kept in a ledger") from e
    if "\0" in name:
        raise LedgerError("a name with the character NUL in it cannot be kept in a ledger")
    return name


_TABLES = 3
_VERSION = "SELECT value FROM aigate_meta WHERE name = 'schema'"
_SIGN = "INSERT INTO aigate_meta (name, value) VALUES ('schema', :value)"
_ALL = "SELECT seq, entry FROM aigate_entry WHERE model = :model ORDER BY seq"
_ONE = "SELECT entry FROM aigate_entry WHERE model = :model AND seq = :seq"
_LAST = "SELECT coalesce(max(seq), 0) FROM aigate_entry WHERE model = :model"
_INSERT = "INSERT INTO aigate_entry (model, seq, entry) VALUES (:model, :seq, :entry) ON CONFLICT DO NOTHING"
_KEEP = "INSERT INTO aigate_document (digest, content) VALUES (:digest, :content) ON CONFLICT DO NOTHING"
_DOCUMENT = "SELECT content FROM aigate_document WHERE digest = :digest"
