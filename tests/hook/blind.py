"""What a guard in the server cannot see, done to a model on purpose: its database's rows, its files, another server."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import mlflow_seed
from act.conftest import Shop
from servers import MlflowServer, mlflow_serving

TABLES = (
    "registered_models",
    "registered_model_tags",
    "registered_model_aliases",
    "model_versions",
    "model_version_tags",
)


@dataclass
class Victim:
    """A model that aigate promoted, with everything that somebody can do to it past the server's guard."""

    shop: Shop
    engine: sa.Engine
    second: MlflowServer
    """A server without the guard, on the same database."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.shop.name

    @property
    def other(self) -> Any:
        """MLflow's client of the second server."""
        return mlflow_seed.connect(self.second.url)

    def sql(self, statement: str, **values: object) -> None:
        """Write to the database; `:n` is the model's name. Something has to change."""
        with self.engine.begin() as line:
            text = sa.text(statement)
            done = line.execute(
                text, {key: v for key, v in ({"n": self.name} | values).items() if f":{key}" in statement}
            )
            assert done.rowcount > 0, statement

    def file(self, pattern: str) -> Path:
        """Return a file of version 1, where the server keeps it."""
        (folder,) = self.shop.server_files.rglob(self.shop.versions[0].model_id)
        (found,) = folder.rglob(pattern)
        return found

    @contextlib.contextmanager
    def put_back(self) -> Iterator[None]:
        """Put every row of the registry back, and every file of version 1, whatever happens meanwhile."""
        (folder,) = self.shop.server_files.rglob(self.shop.versions[0].model_id)
        files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        meta = sa.MetaData()
        meta.reflect(self.engine, only=(*TABLES, "logged_models", "params"))
        tables = [meta.tables[name] for name in (*TABLES, "logged_models", "params")]
        with self.engine.connect() as line:
            rows = {t.name: [dict(r._mapping) for r in line.execute(sa.select(t))] for t in tables}
        try:
            yield
        finally:
            for path in folder.rglob("*"):
                if path.is_file() and path not in files:
                    path.unlink()
            for path, content in files.items():
                path.write_bytes(content)
            with self.engine.begin() as line:
                for table in reversed(tables):
                    line.execute(table.delete())
                for table in tables:
                    if rows[table.name]:
                        line.execute(table.insert(), rows[table.name])


@contextlib.contextmanager
def plain_server(folder: Path, database: str, artifacts: Path) -> Iterator[MlflowServer]:
    """Run a server without the guard on a database that another server guards."""
    with mlflow_serving(folder, database=database, artifacts=artifacts) as server:
        yield server


def _alias_by_sql(v: Victim) -> None:
    v.sql("UPDATE registered_model_aliases SET version = 2 WHERE name = :n AND alias = 'champion'")


def _alias_away(v: Victim) -> None:
    v.sql("DELETE FROM registered_model_aliases WHERE name = :n AND alias = 'champion'")


def _twin(v: Victim) -> None:
    v.sql(
        "INSERT INTO registered_model_aliases (workspace, name, alias, version) "
        "VALUES ('default', :n, 'Champion', 2)"
    )


def _by_second(v: Victim) -> None:
    v.other.set_registered_model_alias(v.name, "champion", "2")


def _away_by_second(v: Victim) -> None:
    v.other.delete_registered_model_alias(v.name, "champion")


def _swapped(v: Victim) -> None:
    """Another model takes the name, its version 1 the alias."""
    v.other.rename_registered_model(v.name, f"{v.name}-was")
    _made_anew(v)


def _made_anew(v: Victim) -> None:
    v.other.create_registered_model(v.name)
    source = f"models:/{v.shop.versions[1].model_id}"
    v.other.create_model_version(
        v.name, source, v.shop.versions[1].run_id, model_id=v.shop.versions[1].model_id
    )
    v.other.set_registered_model_alias(v.name, "champion", "1")


def _recreated(v: Victim) -> None:
    v.other.delete_registered_model(v.name)
    _made_anew(v)


def _gone(v: Victim) -> None:
    v.other.delete_registered_model(v.name)


def _gone_by_sql(v: Victim) -> None:
    for table in reversed(TABLES):
        with contextlib.suppress(AssertionError):  # no tag of one kind or the other
            v.sql(f"DELETE FROM {table} WHERE name = :n")


def _version(column: str, value: str) -> Callable[[Victim], None]:
    def change(v: Victim) -> None:
        v.sql(
            f"UPDATE model_versions SET {column} = :v WHERE name = :n AND version = 1",
            v=value.format(model=v.shop.versions[1].model_id, run=v.shop.versions[1].run_id),
        )

    return change


def _moved_files(v: Victim) -> None:
    """The model's own address is set to the other version's files; what is served follows the version's."""
    v.sql(
        "UPDATE logged_models SET artifact_location = (SELECT artifact_location FROM logged_models "
        "WHERE model_id = :o) WHERE model_id = :m",
        o=v.shop.versions[1].model_id,
        m=v.shop.versions[0].model_id,
    )


def _overwritten(v: Victim) -> None:
    path = v.file("weights.txt")
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def _file_added(v: Victim) -> None:
    (v.file("weights.txt").parent / "more.py").write_text("import os")


def _file_away(v: Victim) -> None:
    v.file("weights.txt").unlink()


def _tag(table: str, key: str, value: str | None) -> Callable[[Victim], None]:
    def change(v: Victim) -> None:
        where = "name = :n AND key = :k" + ("" if table == "registered_model_tags" else " AND version = 1")
        if value is None:
            v.sql(f"DELETE FROM {table} WHERE {where}", k=key)
        else:
            v.sql(f"UPDATE {table} SET value = :v WHERE {where}", k=key, v=value)

    return change


def _copied_receipt(v: Victim) -> None:
    v.sql(
        "INSERT INTO model_version_tags (workspace, name, version, key, value) SELECT workspace, name, 2, key, value "
        "FROM model_version_tags WHERE name = :n AND version = 1 AND key = 'aigate.receipt'"
    )


def _ledger(change: str) -> Callable[[Victim], None]:
    def act(v: Victim) -> None:
        where = "run_uuid IN (SELECT run_uuid FROM tags WHERE value = :n) AND value LIKE '%\"outcome\"%'"
        v.sql(change.format(where=where))

    return act


DEEDS: dict[str, tuple[Callable[[Victim], None], int, str, str]] = {
    "alias row updated by SQL": (_alias_by_sql, 1, "drift", "v2"),
    "alias row deleted by SQL": (_alias_away, 1, "drift", ""),
    "alias row added that looks alike": (_twin, 1, "twin", "@Champion"),
    "alias moved by a second server": (_by_second, 1, "drift", "v2"),
    "alias deleted by a second server": (_away_by_second, 1, "drift", ""),
    "another model under the name": (_swapped, 1, "version", "deleted and made anew"),
    "model deleted and made anew by a second server": (_recreated, 1, "version", "deleted and made anew"),
    "model deleted by a second server": (_gone, 1, "version", "it was deleted"),
    "model deleted by SQL": (_gone_by_sql, 1, "version", "it was deleted"),
    "source of the version changed": (
        _version("source", "models:/{model}"),
        1,
        "version",
        "source, model_id differ; its row was changed",
    ),
    "run of the version changed": (
        _version("run_id", "{run}"),
        1,
        "version",
        "run_id differs; its row was changed",
    ),
    "creation of the version changed": (
        _version("creation_time", "1790000000000"),
        1,
        "version",
        "created_at",
    ),
    "where the version is served from changed": (
        _version("storage_location", "mlflow-artifacts:/9/models/{model}/artifacts"),
        1,
        "artifact",
        "MLflow serves it from mlflow-artifacts:/9/models/",
    ),
    "where the model's files lie changed": (_moved_files, 1, "artifact", ""),
    "a file overwritten on disk": (_overwritten, 1, "artifact", "its files are not the ones"),
    "a file added on disk": (_file_added, 1, "artifact", "its files are not the ones"),
    "a file deleted on disk": (_file_away, 1, "artifact", "its files are not the ones"),
    "receipt changed by SQL": (_tag("model_version_tags", "aigate.receipt", "x"), 1, "receipt", ""),
    "receipt deleted by SQL": (_tag("model_version_tags", "aigate.receipt", None), 0, "receipt", "gone"),
    "receipt copied by SQL": (_copied_receipt, 1, "receipt", "which is about v1"),
    "anchor changed by SQL": (_tag("registered_model_tags", "aigate.ledger", "x"), 1, "anchor", ""),
    "anchor deleted by SQL": (_tag("registered_model_tags", "aigate.ledger", None), 0, "anchor", "gone"),
    "an entry of the ledger changed by SQL": (
        _ledger("UPDATE params SET value = REPLACE(value, 'applied', 'refused') WHERE {where}"),
        1,
        "anchor",
        "the model's tag aigate.ledger has sha256:",
    ),
    "an entry of the ledger deleted by SQL": (
        _ledger("DELETE FROM params WHERE {where}"),
        1,
        "anchor",
        "cut off",
    ),
}
"""What is done, the audit's exit code, the code of the remark that finds it, and some of its words."""
