"""The guarded store without a server, in one process of its own: `python store_child.py FOLDER [POSTGRESQL-URI]`.

Prints one JSON object. MLflow is imported once, and whoever is to be killed is
forked from here: every process that imports MLflow takes seconds.
"""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aigate.hook.store as hook

HEAVY = ("mlflow", "sqlalchemy", "flask", "cryptography", "yaml", "httpcore")
IMPORTED = [name for name in HEAVY if name in sys.modules]

URIS = (
    "aigate+sqlite:////tmp/x.db",
    "aigate+postgresql://u:p@h/d",
    "aigate+postgresql+psycopg://u:p@h/d",
    "aigate+postgresql+psycopg2://u:p@h/d",
)
GUARD = "version: 1\nmode: {mode}\nregistry: [r]\nprotected: [{{model: 'm*'}}]\nkeys: [{{file: {key}}}]\n"


class Place:
    """A database with a guarded store, and a key that it trusts."""

    def __init__(self, folder: Path, uri: str) -> None:
        from aigate.enforce.keys import generate, write_pair

        self.folder, self.uri = folder, uri
        self.key = generate()
        self.public = write_pair(self.key, folder).public.name
        self.told: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: self.told.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger("aigate.hook").handlers = [handler]

    def store(self, mode: str = "enforce", guard: str | None = GUARD) -> Any:
        """Build a store anew, with this guard file; None for none."""
        os.environ.pop("AIGATE_GUARD", None)
        if guard is not None:
            path = self.folder / "guard.yaml"
            path.write_text(guard.format(mode=mode, key=self.public))
            os.environ["AIGATE_GUARD"] = str(path)
        self.told.clear()
        return hook.build(f"aigate+{self.uri}")

    def model(self, name: str) -> str:
        """Make a model with two versions, past the guard; the first has the alias."""
        from mlflow.server.handlers import ModelRegistryStoreRegistryWrapper

        plain = ModelRegistryStoreRegistryWrapper._get_sqlalchemy_store(self.uri)
        plain.create_registered_model(name)
        for number in (1, 2):
            plain.create_model_version(name, f"s3://a/{number}")
        plain.set_registered_model_alias(name, "champion", "1")
        return name

    def ticket(self, store: Any, name: str, to: str, was: str, **changes: Any) -> str:
        """Return a ticket for a move, as the header carries it."""
        from aigate.enforce.keys import sign
        from aigate.ledger import Identity
        from aigate.ticket import Ticket, header_value
        from aigate.values import missing

        def who(number: str) -> Identity:
            found = store.get_model_version(name, number)
            return Identity(
                version=number,
                created_at=datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=found.creation_timestamp),
                run_id=None,
                source=found.source,
                model_id=None,
                artifact_digest=missing("not read", "test"),
            )

        now = datetime.now(UTC).replace(microsecond=0)
        fields: dict[str, Any] = {
            "registry": "r",
            "model": name,
            "alias": "champion",
            "action": "promote",
            "from_": who(was),
            "to": who(to),
            "decision": None,
            "entry": 1,
            "issued_at": now,
            "expires_at": now + timedelta(minutes=2),
            "nonce": os.urandom(16).hex(),
        }
        return header_value(sign(Ticket(**fields | changes), self.key))


def said(act: Callable[[], object], ticket: str = "") -> list[Any]:
    """Do something in a request; return status, message and what the answer says of the guard."""
    import flask
    from mlflow.exceptions import MlflowException

    app = flask.Flask("child")
    with app.test_request_context(headers={"X-Aigate-Ticket": ticket} if ticket else {}):
        try:
            act()
            status, words = 200, ""
        except MlflowException as e:
            status, words = e.get_http_status_code(), str(e.message)
        answer = app.process_response(flask.Response())
    return [status, words, answer.headers.get("X-Aigate-Guard", "")]


def moves(store: Any, name: str, to: str = "2", ticket: str = "") -> list[Any]:
    """Ask for the alias."""
    return said(lambda: store.set_registered_model_alias(name, "champion", to), ticket)


def holder(store: Any, name: str) -> str:
    """Return the version that holds the alias."""
    return str(store.get_model_version_by_alias(name, "champion").version)


def about_mlflow() -> dict[str, Any]:
    """What the guard finds in this MLflow."""
    from mlflow.server.handlers import _model_registry_store_registry as registry
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    public = [n for n in dir(SqlAlchemyStore) if n[0] != "_" and callable(getattr(SqlAlchemyStore, n))]
    return {
        "lacking": hook.lacking(),
        "newer": hook.lacking(hook.SINCE_3_10),
        "workspaces": hook.workspaces(),
        "methods": public,
        "schemes": {uri: registry.get_store_builder(uri) is hook.build for uri in URIS},
    }


def lacks(place: Place) -> list[list[Any]]:
    """A store whose MLflow lacks something."""
    kept = hook.lacking.__defaults__
    hook.lacking.__defaults__ = ({"mlflow.utils.validation:": ("_validate_gone",)},)
    try:
        store = place.store()
    finally:
        hook.lacking.__defaults__ = kept
    return [moves(store, "m1"), said(lambda: store.delete_registered_model("m1"))]


def no_request(place: Place) -> list[Any]:
    """Whoever opens the database by the guarded address, past any server."""
    from mlflow.exceptions import MlflowException

    store = place.store()
    try:
        store.set_registered_model_alias("m1", "champion", "2")
    except MlflowException as e:
        return [str(e.message), holder(store, "m1")]
    return ["", holder(store, "m1")]


def observing(place: Place) -> dict[str, Any]:
    """A guard that only tells."""
    from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag

    store, name = place.store("observe"), place.model("m-observed")
    tag, digest = ModelVersionTag("aigate.receipt", "x"), ModelVersionTag("aigate.artifact_digest", "x")
    answers = [
        moves(store, name),
        moves(store, name, "1", place.ticket(store, name, "1", "2")),
        said(lambda: store.set_model_version_tag(name, "1", tag)),
        said(lambda: store.create_model_version(name, "s3://a/3", tags=[tag, digest])),
        said(lambda: store.create_registered_model("m-new", [RegisteredModelTag("aigate.ledger", "x")])),
        moves(store, name, "0"),
    ]
    made = store.get_model_version(name, "3").tags
    return {"answers": answers, "holder": holder(store, name), "tags": made, "told": list(place.told)}


def broken(place: Place, guard: str | None) -> dict[str, Any]:
    """A guard without a configuration that it can use."""
    from mlflow.entities.model_registry import RegisteredModelTag

    store = place.store(guard=guard)
    mine, other = RegisteredModelTag("aigate.ledger", "x"), RegisteredModelTag("k", "v")
    store.create_registered_model("free") if guard is None else None
    return {
        "refused": [
            said(lambda: store.create_model_version("free", "s3://a/b")),
            said(lambda: store.set_registered_model_tag("free", mine)),
            moves(store, "free", "1"),
        ],
        "done": [
            said(lambda: store.set_registered_model_tag("free", other)),
            said(lambda: store.get_registered_model("free")),
        ],
        "told": list(place.told),
    }


def fault(place: Place) -> dict[str, Any]:
    """A table of tickets that is none. The last that is done to a database."""
    import sqlalchemy as sa

    store, name = place.store(), place.model("m-fault")
    with sa.create_engine(place.uri).begin() as line:
        line.execute(sa.text("DROP TABLE IF EXISTS aigate_tickets"))
        line.execute(sa.text("CREATE TABLE aigate_tickets (something INTEGER)"))
    answer = moves(store, name, ticket=place.ticket(store, name, "2", "1"))
    return {"answer": answer, "holder": holder(store, name)}


def _die(*_: object, **__: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _at_check() -> None:
    vars(hook)["judge_ticket"] = _die


def _at(event: str) -> None:
    import sqlalchemy as sa
    from sqlalchemy.orm import Session

    sa.event.listen(Session, event, _die)


POINTS: dict[str, Callable[[], None]] = {
    "ticket taken": _at_check,
    "alias written": lambda: _at("before_commit"),
    "committed": lambda: _at("after_commit"),
}


def killed(place: Place) -> dict[str, dict[str, Any]]:
    """A server that is killed while it moves an alias, at each point; then the same ticket again."""
    store, found = place.store(), {}
    moves(store, place.model("m-first"))  # the table of tickets is made
    for point, prepare in POINTS.items():
        name = place.model(f"m-{point.replace(' ', '-')}")
        ticket = place.ticket(store, name, "2", "1")
        store.engine.dispose()
        child = os.fork()
        if child == 0:
            prepare()
            moves(store, name, ticket=ticket)
            os._exit(1)
        _, how = os.waitpid(child, 0)
        found[point] = {
            "signal": os.WTERMSIG(how) if os.WIFSIGNALED(how) else 0,
            "holder": holder(store, name),
            "again": moves(store, name, ticket=ticket)[:2],
            "then": holder(store, name),
            "twice": moves(store, name, ticket=ticket)[0],
        }
    return found


def main(folder: Path, postgres: str = "") -> dict[str, Any]:
    """Ask everything."""
    found: dict[str, Any] = {"imported": IMPORTED, "mlflow": about_mlflow()}
    if found["mlflow"]["lacking"]:
        return found  # nothing else can be asked of it
    place = Place(folder, f"sqlite:///{folder}/m.db")
    place.store()  # its tables are made
    place.model("m1")
    found |= {
        "lacks": lacks(place),
        "no request": no_request(place),
        "observing": observing(place),
        "not set": broken(place, None),
        "wrong": broken(place, GUARD + "modes: x\n"),
        "killed sqlite": killed(place),
        "fault": fault(place),
    }
    if not postgres:
        return found
    (folder / "pg").mkdir()
    there = Place(folder / "pg", postgres)
    there.store()
    return found | {"killed postgresql": killed(there)}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *sys.argv[2:]), default=str))
