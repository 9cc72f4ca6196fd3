"""What a watcher can do beside judging: read the ledger, act, and write its heartbeat."""

from concurrent.futures import Future
from datetime import datetime
from threading import Thread
from typing import Protocol

from aigate.act import RollbackRequest, StateRequest, halt, rollback
from aigate.act.desk import Acting, Desk, open_desk, trouble
from aigate.collect.manifest_file import LoadedManifest
from aigate.collect.mlflow import typed
from aigate.collect.mlflow.reader import RegistryError
from aigate.digest import canonical
from aigate.gate import Answer
from aigate.ledger import Identity
from aigate.plan import Act
from aigate.reading import Incumbent
from aigate.report.json import decision_id, record
from aigate.standing import Standing
from aigate.window import TAG


class Hands(Protocol):
    """What a watcher can do beside judging. Each raises AigateError where it cannot."""

    def prepare(self) -> None:
        """Begin to read the ledger, while something else is done."""

    def standing(self, *, early: bool = False) -> Standing:
        """Read the ledger, and return what it comes to; raises where it cannot be believed.

        `early`: what `prepare` began to read will do.
        """

    def live(self) -> Incumbent | None:
        """Return what holds the alias at this moment."""

    def rollback(self, reason: str, answer: Answer) -> Act:
        """Keep the decision, and move the alias back by its right."""

    def halt(self, reason: str, answer: Answer) -> Act:
        """Keep the decision, and stop every promotion by its right."""

    def beat(self, text: str) -> None:
        """Write the heartbeat."""


class DeskHands:
    """The hands of a watcher that reaches MLflow and the ledger. Opens what it needs, when it needs it."""

    def __init__(self, loaded: LoadedManifest, alias: str, environment: str, acting: Acting) -> None:
        self._loaded = loaded
        self._alias = alias
        self._environment = environment
        self._acting = acting
        self._model = loaded.manifest.model.name
        self._early: Future[Standing] | None = None

    def prepare(self) -> None:
        """Begin to read the ledger in a thread of its own, which nobody waits for where it is not needed."""
        found: Future[Standing] = Future()

        def read() -> None:
            try:
                found.set_result(self._read())
            except BaseException as e:  # noqa: BLE001 - every end is handed to whoever asks
                found.set_exception(e)

        Thread(target=read, name="aigate-ledger", daemon=True).start()
        self._early = found

    def standing(self, *, early: bool = False) -> Standing:
        """Read the ledger, and return what it comes to; raises LedgerError where it cannot be believed."""
        begun, self._early = self._early, None
        return begun.result() if early and begun is not None else self._read()

    def _read(self) -> Standing:
        with open_desk(self._acting, self._model) as desk:
            desk.read_ledger()
            return desk.ledger.standing

    def live(self) -> Incumbent | None:
        """Return what holds the alias at this moment."""
        with open_desk(self._acting, self._model) as desk:
            return _live(desk, self._alias)

    def rollback(self, reason: str, answer: Answer) -> Act:
        """Keep the decision, and move the alias back by its right."""
        decision = answer.decision
        asked = RollbackRequest(
            model=self._model,
            alias=self._alias,
            reason=reason,
            environment=self._environment,
            automatic=True,
            leaving=Identity.of(decision.subject),
            decision=decision_id(decision),
            record=record(decision),
            snapshot=canonical(answer.snapshot),
        )
        return rollback(self._loaded, asked, self._acting)

    def halt(self, reason: str, answer: Answer) -> Act:
        """Keep the decision, and stop every promotion by its right."""
        decision = answer.decision
        asked = StateRequest(model=self._model, reason=reason, alias=self._alias)
        return halt(
            self._loaded,
            asked,
            self._acting,
            automatic=True,
            decision=decision_id(decision),
            record=record(decision),
        )

    def beat(self, text: str) -> None:
        """Write the heartbeat into the registered model's tag."""
        with open_desk(self._acting, self._model) as desk:
            try:
                desk.writer.set_model_tag(self._model, TAG, text)
            except RegistryError as e:
                raise trouble(e) from e


def _live(desk: Desk, alias: str) -> Incumbent | None:
    held = desk.holder(alias)
    if held is None:
        return None
    try:
        created: datetime = typed.instant(held.get("creation_timestamp"), "its creation")
    except RegistryError as e:
        raise trouble(e) from e
    return Incumbent(version=str(held["version"]), created_at=created)
