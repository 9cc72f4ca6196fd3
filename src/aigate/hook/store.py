"""MLflow's own registry store, with the guard before it. The only file that rests on what MLflow keeps private.

MLflow finds `build` by its entry point for the scheme `aigate+…`, in every
process that imports its registry; so nothing heavy is imported before a store
is built. `PRIVATE` and `SINCE_3_10` list what is used of MLflow; where a
version of MLflow lacks any of it, the guard is broken and refuses everything
it knows of.
"""

import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

from aigate.hook.fits import Move, Rules, Seen, TagWrite, judge_tag_ticket, judge_ticket
from aigate.hook.guard import Condition, Guard, Operation, closed_tags, judge
from aigate.hook.shown import instead, presented, take, tell, used_table
from aigate.ticket import DEFAULT_WORKSPACE, Refusal, TagTicket, Ticket

if TYPE_CHECKING:
    _Store = Any
else:
    _Store = object

PREFIX = "aigate+"
PRIVATE: Mapping[str, tuple[str, ...]] = {
    "mlflow.server.handlers:ModelRegistryStoreRegistryWrapper": ("_get_sqlalchemy_store",),
    "mlflow.store.model_registry.sqlalchemy_store:SqlAlchemyStore": (
        "_get_registered_model",
        "_get_registered_model_alias",
        "_get_sql_model_version",
        "create_model_version",
        "create_registered_model",
        "delete_model_version",
        "delete_model_version_tag",
        "delete_registered_model",
        "delete_registered_model_alias",
        "delete_registered_model_tag",
        "rename_registered_model",
        "set_model_version_tag",
        "set_registered_model_alias",
        "set_registered_model_tag",
        "transition_model_version_stage",
    ),
    "mlflow.store.model_registry.dbmodels.models:SqlRegisteredModelAlias": ("name", "alias", "version"),
    "mlflow.store.model_registry.dbmodels.models:SqlModelVersion": (
        "version",
        "creation_time",
        "run_id",
        "source",
    ),
    "mlflow.store.model_registry.dbmodels.models:SqlModelVersionTag": (
        "__table__",
        "name",
        "version",
        "key",
        "value",
    ),
    "mlflow.utils.validation:": ("_validate_model_alias_name", "_validate_model_version_tag"),
}
"""What is used of MLflow, 2 and 3: `module:class` (or `module:`) and the names in it."""

SINCE_3_10: Mapping[str, tuple[str, ...]] = {
    "mlflow.store.model_registry.sqlalchemy_store:SqlAlchemyStore": ("_get_active_workspace",),
    "mlflow.store.model_registry.dbmodels.models:SqlRegisteredModelAlias": ("workspace",),
    "mlflow.store.model_registry.dbmodels.models:SqlModelVersion": ("workspace",),
    "mlflow.store.model_registry.dbmodels.models:SqlModelVersionTag": ("workspace",),
    "mlflow.utils.validation:": ("_validate_model_alias_name_reserved",),
}
"""What is used beside it of an MLflow that has workspaces."""

BUILT = ("engine", "ManagedSessionMaker")
"""What is used of a store once it is built."""

_CLIENT_ERRORS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_log = logging.getLogger("aigate.hook")


def workspaces() -> bool:
    """Whether this MLflow has workspaces. By its number: what a later one took away must not look like never there."""
    from mlflow.version import VERSION

    major, minor = VERSION.split(".")[:2]
    return (int(major), int(minor)) >= (3, 10)


def lacking(private: Mapping[str, tuple[str, ...]] | None = None) -> tuple[str, ...]:
    """Return what is not there of what is used of this MLflow, or of what is listed, as `module:class.name`."""
    if private is None:
        return lacking(PRIVATE) + (lacking(SINCE_3_10) if workspaces() else ())
    found = []
    for place, names in private.items():
        module, _, kind = place.partition(":")
        try:
            holder: Any = import_module(module)
            holder = getattr(holder, kind) if kind else holder
        except (ImportError, AttributeError):
            found.append(place)
            continue
        found += [f"{place}.{name}" for name in names if not hasattr(holder, name)]
    return tuple(found)


def build(store_uri: str | None = None, tracking_uri: str | None = None) -> Any:
    """Return MLflow's store for the address after `aigate+`, guarded. MLflow calls it, with these names."""
    from mlflow.server.handlers import ModelRegistryStoreRegistryWrapper

    from aigate.hook.config import load_guard

    assert store_uri is not None  # MLflow has resolved it
    store = ModelRegistryStoreRegistryWrapper._get_sqlalchemy_store(store_uri[len(PREFIX) :])
    guard = load_guard(os.environ)  # noqa: TID251 - this is a door
    absent = (*lacking(), *(f"store.{name}" for name in BUILT if not hasattr(store, name)))
    if absent:
        guard = Guard(None, broken=f"this MLflow lacks {', '.join(absent)}")
    store.__class__ = type(f"Guarded{type(store).__name__}", (Guarded, type(store)), {"aigate_guard": guard})
    _announce(guard)
    return store


def _announce(guard: Guard) -> None:
    """Say what is protected. As a warning: nobody configures this logger, and the line has to be seen."""
    if guard.broken or guard.file is None:
        _log.warning("aigate: the guard is broken and refuses everything it knows of: %s", guard.broken)
        return
    file = guard.file
    entries = "; ".join(f"{e.model} @{',@'.join(e.aliases)} (versions {e.versions})" for e in file.protected)
    keys = ", ".join(key.id for key in guard.keys) or "none"
    _log.warning("aigate: guarding, mode %s: %s; keys: %s", file.mode, entries, keys)


class Guarded(_Store):  # type: ignore[misc]  # its base is whichever store MLflow chose
    """What is put before MLflow's store: each guarded operation is judged, then done by the store itself."""

    aigate_guard: Guard

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias to a version; a protected one only with a ticket, in one transaction with the checks."""
        operation = Operation("set_alias", str(name), alias=str(alias), version=str(version))
        if not self._done(operation, lambda _: _move(self, operation)):
            super().set_registered_model_alias(name, alias, version)

    def delete_registered_model_alias(self, name: str, alias: str) -> Any:
        """Take an alias away, unless it is protected."""
        self._done(Operation("delete_alias", str(name), alias=str(alias)))
        return super().delete_registered_model_alias(name, alias)

    def create_registered_model(self, name: str, tags: Any = None, *args: Any, **more: Any) -> Any:
        """Make a model, unless it is protected and to be born with tags of aigate's."""
        self._done(Operation("create_model", str(name), tags=_keys(tags)))
        return super().create_registered_model(name, tags, *args, **more)

    def create_model_version(
        self, name: str, source: str, run_id: str | None = None, tags: Any = None, *args: Any, **more: Any
    ) -> Any:
        """Make a version, unless the model is closed, and leave out tags of aigate's.

        They are left out, and not refused, because a copy of a version brings
        those of its original, of which none is true of it.
        """
        operation = Operation("create_version", str(name), tags=_keys(tags))
        self._done(operation)
        tags = _without(tags, operation, self.aigate_guard)
        return super().create_model_version(name, source, run_id, tags, *args, **more)

    def delete_model_version(self, name: str, version: str) -> Any:
        """Delete a version, unless its model is protected."""
        self._done(Operation("delete_version", str(name), version=str(version)))
        return super().delete_model_version(name, version)

    def rename_registered_model(self, name: str, new_name: str) -> Any:
        """Rename a model, unless either name is protected."""
        self._done(Operation("rename_model", str(name), new_name=str(new_name)))
        return super().rename_registered_model(name, new_name)

    def delete_registered_model(self, name: str) -> Any:
        """Delete a model, unless it is protected."""
        self._done(Operation("delete_model", str(name)))
        return super().delete_registered_model(name)

    def transition_model_version_stage(self, name: str, version: str, *args: Any, **more: Any) -> Any:
        """Move a version to a stage, unless its model is protected."""
        self._done(Operation("transition_stage", str(name), version=str(version)))
        return super().transition_model_version_stage(name, version, *args, **more)

    def set_model_version_tag(self, name: str, version: str, tag: Any) -> None:
        """Set a version's tag; one of aigate's own only with a ticket, and the digest of its files only once."""
        operation = Operation("set_tag", str(name), version=str(version), tags=(str(tag.key),))
        if not self._done(operation, lambda condition: _tag(self, operation, tag.value, condition)):
            super().set_model_version_tag(name, version, tag)

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """Take a version's tag away; one of aigate's own only with a ticket."""
        operation = Operation("delete_tag", str(name), version=str(version), tags=(str(key),))
        if not self._done(operation, lambda condition: _tag(self, operation, None, condition)):
            super().delete_model_version_tag(name, version, key)

    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        """Set a model's tag; one of aigate's own only with a ticket."""
        operation = Operation("set_tag", str(name), tags=(str(tag.key),))
        if not self._done(operation, lambda condition: _tag(self, operation, tag.value, condition)):
            super().set_registered_model_tag(name, tag)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Take a model's tag away; one of aigate's own only with a ticket."""
        operation = Operation("delete_tag", str(name), tags=(str(key),))
        if not self._done(operation, lambda condition: _tag(self, operation, None, condition)):
            super().delete_registered_model_tag(name, key)

    def _done(self, operation: Operation, under: Callable[[Condition], Refusal | bool] | None = None) -> bool:
        """Judge an operation; return whether that did it already. Raises MlflowException where it is refused.

        `under` sees to what it may be done under: it returns why not, or
        whether it has done it.
        """
        guard = self.aigate_guard
        try:
            verdict: Refusal | Condition | bool | None = _judged(operation, guard)
            if isinstance(verdict, Condition):
                assert under is not None  # only these operations are put under a condition
                verdict = under(verdict)
        except Exception as e:  # noqa: BLE001 - a fault of the guard's own refuses
            verdict = _fault(operation, e)
        if isinstance(verdict, Refusal):
            _refuse(operation, verdict, guard)
        return verdict is True


def _judged(operation: Operation, guard: Guard) -> Refusal | Condition | None:
    if guard.concerns(operation):
        tell(guard, _now())
    return judge(operation, guard)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - this is a door


def _keys(tags: Any) -> tuple[str, ...]:
    return tuple(str(tag.key) for tag in tags or ())


def _without(tags: Any, operation: Operation, guard: Guard) -> Any:
    """Return the tags of a new version without those of aigate's own; where the guard observes, only tell."""
    own = closed_tags(operation, guard) if guard.concerns(operation) else ()
    if not own:
        return tags
    did = "would leave out" if guard.observes else "left out"
    _log.warning("aigate: %s the tags %a of a new version of %a", did, own, operation.model)
    return tags if guard.observes else [tag for tag in tags if str(tag.key) not in own]


def _fault(operation: Operation, error: Exception) -> Refusal:
    """Return the refusal for what went wrong; raise it as it is where MLflow says it of the request."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException) and str(error.error_code) in _CLIENT_ERRORS:
        raise error
    _log.error("aigate: the guard failed", exc_info=error)
    return Refusal(
        f"the guard could not check this ({type(error).__name__}; the server's log says more)",
        instead(operation),
    )


def _refuse(operation: Operation, refusal: Refusal, guard: Guard) -> None:
    """Refuse with 403, which no client repeats; where the guard observes, only tell."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    did = "would refuse" if guard.observes else "refused"
    _log.warning("aigate: %s %s of %a: %s", did, operation.kind, operation.model, refusal)
    if not guard.observes:
        raise MlflowException(f"aigate: {refusal}", error_code=PERMISSION_DENIED)


def _move(store: Any, operation: Operation) -> Refusal | bool:
    """Move a protected alias by the ticket of this request, or say why not; then nothing is changed."""
    _validate_alias(operation.alias)
    now = _now()
    ticket = presented(operation, store.aigate_guard, now, Ticket)
    if isinstance(ticket, Refusal):
        return ticket
    used = used_table(store.engine)
    with _writing(store) as session:
        refusal = _compare_and_set(store, session, used, operation, ticket, now)
        if refusal is not None:
            session.rollback()
    return refusal or True


def _compare_and_set(
    store: Any, session: Any, used: Any, operation: Operation, ticket: Ticket, now: datetime
) -> Refusal | None:
    """Take the ticket, look at what holds the alias, judge, and write: all in the caller's transaction.

    The first statement writes, which keeps every other writer of a SQLite
    database out; in PostgreSQL, the lock on the model's row does.
    """
    from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModelAlias

    name = operation.model
    if wrong := take(session, used, ticket.nonce, ticket.expires_at, now, entry=ticket.entry):
        return Refusal(wrong, instead(operation))
    session.refresh(store._get_registered_model(session, name), with_for_update=True)
    wanted = store._get_sql_model_version(session, name, operation.version)
    row = store._get_registered_model_alias(session, name, operation.alias)
    held = None if row is None else _seen(store._get_sql_model_version(session, name, str(row.version)))
    move = Move(_workspace(store), name, operation.alias, held, _seen(wanted))
    if refusal := judge_ticket(ticket, move, _rules(store), now):
        return refusal
    if row is None:
        place = {**_place(wanted), "name": name, "alias": operation.alias}
        session.add(SqlRegisteredModelAlias(**place, version=wanted.version))
    else:
        row.version = wanted.version
    session.flush()
    return None


def _seen(row: Any) -> Seen:
    return Seen(str(row.version), int(row.creation_time), row.run_id or None, row.source or "")


def _validate_alias(alias: str) -> None:
    """Let MLflow say whether this can be an alias; an old one says it all in one function."""
    from mlflow.utils import validation

    validation._validate_model_alias_name(alias)
    if hasattr(validation, "_validate_model_alias_name_reserved"):
        validation._validate_model_alias_name_reserved(alias)


def _writing(store: Any) -> Any:
    """Return a session that may write. Only an MLflow that reads from replicas wants to be told."""
    make = store.ManagedSessionMaker
    return make(read_only=False) if "read_only" in signature(make).parameters else make()


def _workspace(store: Any) -> str:
    """Return the workspace of this request."""
    return str(store._get_active_workspace()) if workspaces() else DEFAULT_WORKSPACE


def _place(row: Any) -> dict[str, str]:
    """Return the column that says in which workspace a row is, where there is one."""
    return {"workspace": row.workspace} if workspaces() else {}


def _rules(store: Any) -> Rules:
    file = store.aigate_guard.file
    return Rules(file.registry, file.max_age)


def _tag(store: Any, operation: Operation, value: object, condition: Condition) -> Refusal | bool:
    """See to what a tag may be written under; a ticket is taken before the store writes, and may be lost."""
    if condition is Condition.ONCE:
        return _set_once(store, operation, str(value))
    now = _now()
    ticket = presented(operation, store.aigate_guard, now, TagTicket)
    if isinstance(ticket, Refusal):
        return ticket
    write = TagWrite(
        _workspace(store),
        operation.model,
        operation.version or None,
        "delete" if value is None else "set",
        operation.tags[0],
        None if value is None else str(value),
    )
    if refusal := judge_tag_ticket(ticket, write, _rules(store), now):
        return refusal
    used = used_table(store.engine)
    with store.engine.begin() as line:
        wrong = take(line, used, ticket.nonce, ticket.expires_at, now)
    return Refusal(wrong, instead(operation)) if wrong else False


def _set_once(store: Any, operation: Operation, value: str) -> Refusal | bool:
    """Write a version's tag where it is not there yet; a database has no two of a key. The same again is no change."""
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersionTag
    from mlflow.utils.validation import _validate_model_version_tag
    from sqlalchemy.exc import IntegrityError

    (key,) = operation.tags
    _validate_model_version_tag(key, value)
    with _writing(store) as session:
        row = store._get_sql_model_version(session, operation.model, operation.version)
        where = {**_place(row), "name": operation.model, "version": row.version, "key": key}
        try:
            session.execute(SqlModelVersionTag.__table__.insert().values(**where, value=value))
        except IntegrityError:
            session.rollback()
            same = session.query(SqlModelVersionTag).filter_by(**where).one().value == value
            return same or Refusal(
                f"version {where['version']} of model {operation.model!a} has its {key} already, and it is not changed",
                instead(operation),
            )
    return True
