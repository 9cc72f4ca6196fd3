"""Real MLflow servers whose registry is guarded, over SQLite and PostgreSQL."""

import contextlib
import json
import os
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from aigate.digest import digest_bytes
from aigate.enforce.keys import SigningKey, generate, sign, write_pair
from aigate.ledger import Identity
from aigate.ticket import GUARD_HEADER, HEADER, Envelope, TagTicket, Ticket, header_value
from aigate.values import missing
from enforce.conftest import PostgresServer
from enforce.conftest import postgres as postgres  # a fixture
from servers import free_port, mlflow_serving

API = "/api/2.0/mlflow/"


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    body: str
    guard: str = ""
    """What it said of its guard."""

    @property
    def message(self) -> str:
        """MLflow's message; the whole body where it is none."""
        with contextlib.suppress(ValueError):
            return str(json.loads(self.body).get("message", ""))
        return self.body


_Rows = dict[str, list[dict[str, Any]]]
"""Rows of a database, by table."""


@dataclass
class GuardedServer:
    """A running MLflow server with the guard, the key that it trusts, and its database."""

    url: str
    database: str
    """Its address for SQLAlchemy."""
    log: Path
    key: SigningKey
    key_file: Path
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with every request."""
    workspace: str = "default"
    workspaces: bool = True
    """Whether the tables of its MLflow have a column for them."""
    engine: sa.Engine = field(init=False)
    _patterns: "dict[tuple[str, int], _Rows]" = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.engine = sa.create_engine(self.database, poolclass=sa.pool.NullPool)

    def send(
        self,
        method: str,
        place: str,
        body: object = None,
        *,
        ticket: str = "",
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request as it is, below MLflow's API or, where it begins with a slash, from the root."""
        import http.client

        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        line = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        given = {"Content-Type": "application/json"} | ({HEADER: ticket} if ticket else {})
        try:
            given = given | self.headers | dict(headers or {})
            line.request(method, place if place.startswith("/") else API + place, data, given)
            answer = line.getresponse()
            said = answer.getheader(GUARD_HEADER) or ""
            return Answer(answer.status, answer.read().decode("utf-8", "replace"), said)
        finally:
            line.close()

    def set_alias(self, model: str, version: str, ticket: str = "", alias: str = "champion") -> Answer:
        """Ask for an alias to be moved."""
        body = {"name": model, "alias": alias, "version": version}
        return self.send("POST", "registered-models/alias", body, ticket=ticket)

    def tag(self, model: str, version: str | None, key: str, value: str | None, ticket: str = "") -> Answer:
        """Ask for a version's or the model's tag to be set, or to be taken away."""
        body = {"name": model, "key": key, "version": version, "value": value}
        place = "registered-models" if version is None else "model-versions"
        method, act = ("DELETE", "delete-tag") if value is None else ("POST", "set-tag")
        filled = {name: text for name, text in body.items() if text is not None}
        return self.send(method, f"{place}/{act}", filled, ticket=ticket)

    def tags(self, model: str) -> list[tuple[Any, ...]]:
        """Return the tags of a model and its versions from the tables: (version, key, value)."""
        versions = "SELECT version, key, value FROM model_version_tags WHERE name = :n"
        models = "SELECT 0, key, value FROM registered_model_tags WHERE name = :n"
        return sorted([*self.rows(versions, n=model), *self.rows(models, n=model)])

    def rows(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Read the database, past the server."""
        with self.engine.connect() as line:
            return [tuple(row) for row in line.execute(sa.text(statement), values)]

    def execute(self, statement: str, **values: object) -> None:
        """Write to the database, past the server."""
        with self.engine.begin() as line:
            line.execute(sa.text(statement), values)

    def aliases(self, model: str) -> dict[str, str]:
        """Return a model's aliases from the table."""
        found = self.rows("SELECT alias, version FROM registered_model_aliases WHERE name = :n", n=model)
        return {alias: str(version) for alias, version in found}

    def model(self, prefix: str, versions: int = 3, holder: int | None = 1) -> str:
        """Make a model with versions, of which one holds @champion and has tags, as it was before there was a guard."""
        name = f"{prefix}{uuid.uuid4().hex[:10]}"
        self._copy(self._pattern(versions), name)
        if holder is not None:
            column, w = ("workspace, ", ":w, ") if self.workspaces else ("", "")
            alias = f"INSERT INTO registered_model_aliases ({column}name, alias, version) VALUES "
            tag = f"INSERT INTO model_version_tags ({column}name, version, key, value) VALUES "
            anchor = f"INSERT INTO registered_model_tags ({column}name, key, value) VALUES "
            with self.engine.begin() as line:
                for statement in (
                    alias + f"({w}:n, 'champion', :v)",
                    tag + f"({w}:n, :v, 'aigate.receipt', 'old')",
                    tag + f"({w}:n, :v, 'aigate.artifact_digest', 'old')",
                    anchor + f"({w}:n, 'aigate.ledger', 'old')",
                ):
                    values = {"w": self.workspace, "n": name, "v": holder}
                    line.execute(
                        sa.text(statement), {key: v for key, v in values.items() if f":{key}" in statement}
                    )
        return name

    def _pattern(self, versions: int) -> "_Rows":
        """Return the rows of a model with so many versions, which MLflow made once."""
        at = (self.workspace, versions)
        if at not in self._patterns:
            name = f"pattern-{uuid.uuid4().hex[:10]}"
            assert self.send("POST", "registered-models/create", {"name": name}).status == 200
            for number in range(versions):
                body = {"name": name, "source": f"s3://nowhere/{name}/{number}"}
                assert self.send("POST", "model-versions/create", body).status == 200
            self._patterns[at] = {
                table: self._rows_of(table, name) for table in ("registered_models", "model_versions")
            }
        return self._patterns[at]

    def _rows_of(self, table: str, name: str) -> list[dict[str, Any]]:
        with self.engine.connect() as line:
            found = line.execute(sa.text(f"SELECT * FROM {table} WHERE name = :n"), {"n": name})
            return [dict(row._mapping) for row in found]

    def _copy(self, rows: "_Rows", name: str) -> None:
        """Write a model's rows once more, under another name."""
        with self.engine.begin() as line:
            for table, found in rows.items():
                for row in found:
                    renamed = {
                        key: value.replace(row["name"], name) if isinstance(value, str) else value
                        for key, value in row.items()
                    }
                    into, given = ", ".join(renamed), ", ".join(f":{key}" for key in renamed)
                    line.execute(sa.text(f"INSERT INTO {table} ({into}) VALUES ({given})"), renamed)

    def identity(self, model: str, version: int) -> Identity:
        """Return who a version is, by the table."""
        ((created, run_id, source),) = self.rows(
            "SELECT creation_time, run_id, source FROM model_versions WHERE name = :n AND version = :v",
            n=model,
            v=version,
        )
        return Identity(
            version=str(version),
            created_at=datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=created),
            run_id=run_id or None,
            source=source,
            model_id=None,
            artifact_digest=missing("not read", "test"),
        )

    def ticket(self, model: str, number: int, held: int | None = 1, **changes: Any) -> Ticket:
        """Return a ticket that is in order, but for the changes."""
        now = datetime.now(UTC).replace(microsecond=0)
        fields: dict[str, Any] = {
            "registry": self.url,
            "workspace": self.workspace,
            "model": model,
            "alias": "champion",
            "action": "promote",
            "from_": None if held is None else self.identity(model, held),
            "to": self.identity(model, number),
            "decision": "sha256:" + "a" * 64,
            "entry": 1,
            "issued_at": now,
            "expires_at": now + timedelta(minutes=2),
            "nonce": os.urandom(16).hex(),
        }
        return Ticket(**fields | changes)

    def signed(self, model: str, number: int, held: int | None = 1, **changes: Any) -> str:
        """Return the header's value for such a ticket."""
        return header_value(self.envelope(model, number, held, **changes))

    def tag_ticket(self, model: str, version: str | None, key: str, value: str | None, **changes: Any) -> str:
        """Return the header's value for a ticket to write a tag, which is in order but for the changes."""
        now = datetime.now(UTC).replace(microsecond=0)
        fields: dict[str, Any] = {
            "registry": self.url,
            "workspace": self.workspace,
            "model": model,
            "version": version,
            "op": "delete" if value is None else "set",
            "key": key,
            "value": None if value is None else digest_bytes(value.encode()),
            "issued_at": now,
            "expires_at": now + timedelta(minutes=2),
            "nonce": os.urandom(16).hex(),
        }
        return header_value(sign(TagTicket(**fields | changes), self.key))

    def envelope(self, model: str, number: int, held: int | None = 1, **changes: Any) -> Envelope:
        """Return such a ticket in its envelope."""
        return sign(self.ticket(model, number, held, **changes), self.key)


GUARD = """\
version: 1
registry: [{url}]
protected:
  - {{model: "prod*", aliases: [champion, "live-*"]}}
  - {{model: "sealed*", versions: closed}}
  - {{model: "act-churn-*"}}
  - {{model: "every*", aliases: ["*"]}}
keys: [{{file: {key}}}]
"""


@contextlib.contextmanager
def serving(
    folder: Path,
    *,
    database: str = "",
    workers: int = 1,
    options: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> Iterator[GuardedServer]:
    """Run a guarded server, with further options and environment where they are given; `python` has the MLflow."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    pair_key = generate()
    pair = write_pair(pair_key, folder)
    database = database or f"sqlite:///{folder}/mlflow.db"
    (folder / "guard.yaml").write_text(GUARD.format(url=url, key=pair.public.name))
    with mlflow_serving(
        folder,
        port=port,
        database=database,
        workers=workers,
        options=("--registry-store-uri", f"aigate+{database}", *options),
        environ={"AIGATE_GUARD": str(folder / "guard.yaml")} | dict(environ or {}),
        python=python,
    ) as server:
        yield GuardedServer(url, database, server.log, pair_key, pair.private)


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedServer]:
    """A server that enforces, over SQLite."""
    with serving(tmp_path_factory.mktemp("guarded")) as server:
        yield server


@pytest.fixture(scope="session")
def guarded_postgres(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> Iterator[GuardedServer]:
    """A server of two workers that enforces, over PostgreSQL."""
    database = postgres.uri(postgres.new_database()).replace("postgresql://", "postgresql+psycopg://")
    with serving(tmp_path_factory.mktemp("guarded-pg"), database=database, workers=2) as server:
        yield server


@pytest.fixture(params=["guarded", "guarded_postgres"])
def server(request: pytest.FixtureRequest) -> GuardedServer:
    """Both databases."""
    found: GuardedServer = request.getfixturevalue(request.param)
    return found


def all_at_once(acts: Sequence[Callable[[], object]]) -> None:
    """Do everything at the same time, and wait until all is done."""
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)


def late(minutes: int, life: int = 2) -> dict[str, Any]:
    """Return the times of a ticket that was signed by a clock so many minutes ahead."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=minutes)
    return {"issued_at": at, "expires_at": at + timedelta(minutes=life)}
