"""What a database's errors mean for a ledger, and what to do next. No SQL library is imported here."""

from collections.abc import Mapping

from aigate.collect.redact import Redactor

_LONGEST = 300
"""Characters of a foreign message that are passed on."""

SQLITE: Mapping[str, tuple[str, str]] = {
    "SQLITE_BUSY": (
        "is locked by another process, and it stayed locked",
        "run the command again; if it stays locked, find who holds the file: `fuser <file>`",
    ),
    "SQLITE_READONLY": (
        "cannot be written",
        "give this user the right to write the file and its folder, and check that the disk is not mounted read-only",
    ),
    "SQLITE_READONLY_ROLLBACK": (
        "was left unfinished by a writer that died, and this user may not put it right",
        "run any aigate command as a user who may write the file and its folder",
    ),
    "SQLITE_CANTOPEN": (
        "cannot be opened, or its journal cannot be made beside it",
        "give this user the right to read and write the file and to make files in its folder",
    ),
    "SQLITE_FULL": ("has no room: the disk is full", "free some space, then run the command again"),
    "SQLITE_IOERR": (
        "cannot be read or written: the disk reports an error",
        "look at the disk (`dmesg`, free space, quota, file size limits) before you run the command again",
    ),
    "SQLITE_NOTADB": (
        "is not an SQLite database",
        "check the path; if it is the right one, put a backup of the file back, and run `aigate audit`",
    ),
    "SQLITE_CORRUPT": (
        "is damaged",
        "move the file away, put a backup of it back, and run `aigate audit`",
    ),
}
"""By the start of SQLite's own name for the error; the longest that fits counts."""

POSTGRES: Mapping[str, tuple[str, str]] = {
    "25006": ("takes no writes now", "use the primary, or ask its keeper for a database that may be written"),
    "42501": (
        "does not let this user do that",
        "grant it CREATE on the schema for the first use, later SELECT and INSERT on the aigate tables",
    ),
    "42P01": ("lacks a table that aigate made", "put a backup back, and run `aigate audit`"),
    "53100": ("has no room: its disk is full", "free some space there, then run the command again"),
    "53": ("has no resources left", "run the command again when the server is less busy"),
    "55P03": ("is locked by somebody else", "run the command again; `pg_locks` shows who holds the lock"),
    "57014": (
        "did not finish in time, perhaps because somebody else holds its lock",
        "run the command again; `pg_locks` and `pg_stat_activity` show who holds it up",
    ),
    "57P": ("is shutting down or ended the connection", "run the command again when the server is up"),
    "08": ("lost the connection", "run the command again when the server can be reached"),
    "22P05": ("cannot hold the characters of this name", "make the database with the encoding UTF8"),
    "XX": ("is damaged", "look at the server's log, put a backup back, and run `aigate audit`"),
}
"""By the start of the SQLSTATE; the longest that fits counts."""

_ELSE = ("cannot be used", "see whether the database works by itself, then run the command again")
_UNREACHED = (
    "cannot be reached, or does not let us in",
    "check host, port, database, user and password, and that the server runs",
)


def sqlite_meaning(error: BaseException) -> tuple[str, str]:
    """Return what an error of `sqlite3` means, and the next step."""
    return _longest(SQLITE, sqlite_name(error))


def sqlite_name(error: BaseException) -> str:
    """Return SQLite's own name for an error, as `SQLITE_IOERR_FSYNC`; empty where it has none."""
    return str(getattr(error, "sqlite_errorname", None) or "")


def postgres_meaning(error: BaseException) -> tuple[str, str]:
    """Return what an error of psycopg means, and the next step. Without SQLSTATE the server was not heard at all."""
    state = getattr(error, "sqlstate", None)
    return _longest(POSTGRES, state) if state else _UNREACHED


def said(error: BaseException, redactor: Redactor) -> str:
    """Return a foreign message on one line, short and without secrets."""
    text = redactor.clean(" ".join(str(error).split()))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _longest(meanings: Mapping[str, tuple[str, str]], name: str) -> tuple[str, str]:
    fitting = [start for start in meanings if name.startswith(start)]
    return meanings[max(fitting, key=len)] if fitting else _ELSE
