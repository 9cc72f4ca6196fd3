"""Ledgers in SQLite and in a real PostgreSQL: the contract of all stores, over both."""

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from aigate.enforce import sql_store
from aigate.enforce.sql_store import SqlStore, open_sql_store
from aigate.enforce.store import LedgerError, TooLargeError
from aigate.errors import UsageError
from enforce.conftest import PostgresServer
from enforce.contract import Reopen, StoreContract


@pytest.fixture
def opened(uri: str) -> Iterator[Reopen]:
    """Open stores at `uri`, and close them all at the end."""
    stores: list[SqlStore] = []

    def one_more() -> SqlStore:
        stores.append(open_sql_store(uri))
        return stores[-1]

    yield one_more
    for store in stores:
        store.close()


@pytest.fixture(scope="module")
def shared_database(postgres: PostgresServer) -> str:
    """A database that many tests write to; models are never named twice."""
    return postgres.new_database()


class _SqlContract(StoreContract):
    @pytest.fixture
    def reopen(self, opened: Reopen) -> Reopen:
        return opened

    @pytest.fixture
    def store(self, reopen: Reopen) -> SqlStore:
        made = reopen()
        assert isinstance(made, SqlStore)
        return made


class TestSqlite(_SqlContract):
    @pytest.fixture
    def uri(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/ledger.db"


@pytest.mark.server
class TestPostgres(_SqlContract):
    @pytest.fixture
    def uri(self, postgres: PostgresServer, shared_database: str) -> str:
        return postgres.uri(shared_database)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "ledger.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///ledger.db?mode=memory",
        "sqlite://host/ledger.db",
        "sqlite+aiosqlite:///ledger.db",
        "postgres://u:hunter22@h/db",
        "postgresql+asyncpg://u:hunter22@h/db",
        "mysql://u:hunter22@h/db",
        "postgresql://u:hunter22@h:port/db",
        "hunter22://[",
    ],
)
def test_any_other_address_is_refused_without_its_password(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_sql_store(uri)
    assert "sqlite:///" in caught.value.fix
    assert "hunter22@" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("package", ["sqlalchemy", "psycopg"])
def test_a_package_that_is_not_there_is_named_by_its_extra(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for name in ("aigate.enforce.sql_databases", "sqlalchemy.dialects.postgresql.psycopg"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(UsageError) as caught:
        open_sql_store("postgresql://gate@localhost/ledger")
    assert "aigate-mlops[sql]" in caught.value.fix


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("postgresql://gate:se/c@ret@db.example:6432/led", "postgresql://db.example:6432/led"),
        ("postgresql+psycopg://gate@/led?host=/run/pg&password=secret", "postgresql:///run/pg/led"),
        ("postgresql://db.example/led?sslmode=require&sslpassword=secret", "postgresql://db.example/led"),
    ],
)
def test_a_place_is_shown_without_anything_secret(uri: str, place: str) -> None:
    promised = open_sql_store(uri).guarantees()
    assert promised.place == place
    assert "secret" not in promised.line()
    assert "ret@" not in promised.line()


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_a_name_that_no_database_holds_is_refused(tmp_path: Path, name: str) -> None:
    store = open_sql_store(f"sqlite:///{tmp_path}/ledger.db")
    for ask in (
        lambda: store.read(name),
        lambda: store.append(name, 1, b"{}"),
        lambda: store.keep(name, "d", b""),
    ):
        with pytest.raises(LedgerError, match="cannot be kept"):
            ask()
    with pytest.raises(LedgerError):
        store.document("churn", name)


def test_a_document_past_all_bounds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_store, "LARGEST_DOCUMENT", 100)
    store = open_sql_store(f"sqlite:///{tmp_path}/ledger.db")
    assert store.document("churn", store.keep("churn", "d", b"x" * 100)) == b"x" * 100
    with pytest.raises(TooLargeError, match="101"):
        store.keep("churn", "e", b"x" * 101)
