"""An alias that can be read and written, and everything that may go wrong with that."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from aigate.collect.mlflow.reader import Json, RegistryError
from aigate.decision import Actor
from aigate.enforce.ledger import Ledger
from aigate.enforce.move import Site
from aigate.enforce.present import Entered
from aigate.enforce.writer import Shown
from aigate.ledger import Identity, Intent
from memory_store import MemoryStore

MODEL = "churn"
ALIAS = "champion"
START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CREATED = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)


def identity(number: int, *, files: str = "a") -> Identity:
    """Version `number`, as the ledger knows it."""
    return Identity(
        version=str(number),
        created_at=CREATED + timedelta(days=number),
        run_id=f"{number:032x}",
        source=f"models:/m-{number:032x}",
        model_id=f"m-{number:032x}",
        artifact_digest="sha256:" + files * 64,
    )


def version(number: int) -> Json:
    """Version `number`, as the registry shows it."""
    who = identity(number)
    return {
        "name": MODEL,
        "version": who.version,
        "creation_timestamp": int(who.created_at.timestamp() * 1000),
        "run_id": who.run_id,
        "source": who.source,
        "status": "READY",
    }


class FakeAlias:
    """A registry with one alias, as far as a move needs it: reader and writer in one."""

    def __init__(self, holder: int | None = 1) -> None:
        self.registry = "fake"
        self.holder = holder
        self.tags: dict[tuple[str, str], str] = {}
        self.writes: list[int] = []
        self.entered: list[Entered | None] = []
        """What each write was made for."""
        self.says = Shown(ticket=False, guard=None)
        self.moves: list[int] = []
        """Every version the alias was ever put on, in order."""
        self.on_write: Callable[[int], None] = self.move
        self.on_read: Callable[[], None] = lambda: None
        self.tagging: RegistryError | None = None

    def move(self, number: int) -> None:
        self.holder = number
        self.moves.append(number)

    def version_by_alias(self, name: str, alias: str) -> Json | None:
        self.on_read()
        return None if self.holder is None else version(self.holder)

    def set_alias(self, name: str, alias: str, number: str, entered: Entered | None = None) -> Shown:
        self.entered.append(entered)
        self.writes.append(int(number))
        self.on_write(int(number))
        return self.says

    def set_version_tag(self, name: str, number: str, key: str, value: str) -> None:
        if self.tagging is not None:
            raise self.tagging
        self.tags[(number, key)] = value

    def delete_version_tag(self, name: str, number: str, key: str) -> None:
        self.tags.pop((number, key), None)

    def set_model_tag(self, name: str, key: str, value: str) -> None:
        self.tags[("", key)] = value


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = START
        self.nonces = 0

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return (self.now - START).total_seconds()

    def nonce(self) -> str:
        self.nonces += 1
        return f"{self.nonces:016x}"


def site(
    alias: FakeAlias, store: MemoryStore, clock: Clock, step: Callable[[str], None] = lambda name: None
) -> Site:
    """A place to make moves in, with the ledger read."""
    ledger = Ledger(store, MODEL, actor=Actor(name="user:kai"), clock=clock, nonce=clock.nonce)
    ledger.refresh()
    made: Any = alias
    return Site(ledger, made, made, clock, step, clock.sleep, clock.monotonic)


def intent(
    to: int, *, was: int | None = 1, action: Any = "promote", seconds: float = 45.0, now: datetime = START
) -> Intent:
    """The intent to move the alias."""
    return Intent(
        action=action,
        alias=ALIAS,
        from_=None if was is None else identity(was),
        to=identity(to),
        environment="production",
        reason="because",
        expires=now + timedelta(seconds=seconds),
    )
