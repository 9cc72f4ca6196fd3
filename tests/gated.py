"""A model whose alias aigate keeps: a registry that can be broken, a real ledger in memory, and a clock to be set."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from aigate.act.desk import Acting, Desk, RegistryTroubleError
from aigate.collect.deadline import Deadline
from aigate.collect.identity import Found
from aigate.collect.manifest_file import LoadedManifest, load_manifest
from aigate.collect.mlflow.reader import Json, RegistryError
from aigate.collect.redact import Redactor
from aigate.decision import Actor
from aigate.enforce.ledger import Ledger
from aigate.enforce.move import Site, carry_out
from aigate.gate import World
from aigate.ledger import Adopt, Chain, Identity, Intent
from aigate.listen.ungated import Asked, Judged, OnUngated, Ungated, check
from aigate.standing import Standing
from fake_alias import ALIAS, MODEL, Clock, FakeAlias, identity, intent
from memory_store import MemoryStore

AUTO = "environments: {production: {rollback: {mode: auto}}}\n"
QUICK = "environments: {production: {rollback: {mode: auto, cooldown: 0s, max_per_day: 2}}}\n"


class Registry(FakeAlias):
    """A registry of one model, as far as an act needs it."""

    def registered_model(self, name: str) -> Json:
        aliases = [] if self.holder is None else [{"alias": ALIAS, "version": str(self.holder)}]
        tags = [{"key": key, "value": value} for (number, key), value in self.tags.items() if not number]
        return {"name": name, "aliases": aliases, "tags": tags}


class Gated:
    """The model, and what people and aigate do with it."""

    def __init__(self, folder: Path, rules: str = AUTO) -> None:
        self.folder = folder
        self.registry = Registry(None)
        self.store = MemoryStore()
        self.clock = Clock()
        self.files: dict[str, str] = {}
        """The letter of a version's digest, where its files are not what they were; empty where they are gone."""
        self.dead = False
        """Whether the registry does not answer."""
        self.rule(rules)

    def rule(self, rules: str) -> None:
        """Write the manifest."""
        (self.folder / "aigate.yaml").write_text(
            f"version: 1\nsystem: churn\nmodel: {{name: {MODEL}}}\n{rules}"
        )

    @property
    def loaded(self) -> LoadedManifest:
        return load_manifest(self.folder / "aigate.yaml")

    def pass_by(self, **span: float) -> None:
        """Let time pass."""
        self.clock.now += timedelta(**span)

    # What is in the world.

    @property
    def holder(self) -> int | None:
        return self.registry.holder

    def ledger(self) -> Ledger:
        made = Ledger(
            self.store, MODEL, actor=Actor(name="user:kai"), clock=self.clock, nonce=self.clock.nonce
        )
        made.refresh()
        return made

    @property
    def chain(self) -> Chain:
        return self.ledger().chain

    @property
    def standing(self) -> Standing:
        return self.ledger().standing

    def kinds(self) -> list[str]:
        """What is in the ledger, entry by entry; an outcome by its result."""
        chain = self.chain
        assert not chain.faults
        return [getattr(entry.body, "result", entry.body.kind) for entry in chain.entries]

    # What people do.

    def adopt(self, number: int | None) -> None:
        """Adopt that a version holds the alias."""
        to = None if number is None else identity(number)
        self.registry.holder = number
        self.ledger().append(Adopt(alias=ALIAS, from_=None, to=to, reason="as found", role="owner"))

    def promote(self, number: int, step: Callable[[str], None] = lambda name: None) -> None:
        """Promote a version, as `aigate promote` moves the alias."""
        self._move("promote", number, step)

    def _move(self, action: str, number: int, step: Callable[[str], None]) -> None:
        ledger = self.ledger()
        made: Any = self.registry
        site = Site(ledger, made, made, self.clock, step, self.clock.sleep, self.clock.monotonic)
        carry_out(site, intent(number, was=self.holder, action=action, now=self.clock.now), lambda: "")

    def begin(self, number: int) -> None:
        """Write that a version is to be promoted, and nothing more."""
        wanted: Intent = intent(number, was=self.holder, now=self.clock.now)
        self.ledger().append(wanted)

    # What aigate does.

    def acting(self, step: Callable[[str], None] = lambda name: None) -> Acting:
        world = World(
            now=self.clock.now, environ={}, home=self.folder, actor=Actor(name="user:hook"), deadline=30
        )
        return Acting(world=world, clock=self.clock, nonce=self.clock.nonce, step=step)

    @contextlib.contextmanager
    def open(self, acting: Acting, model: str, **_: object) -> Iterator[Desk]:
        """Take the place of `open_desk`."""
        assert model == MODEL
        registry: Any = _Gone() if self.dead else self.registry
        tickets: Any = None  # nothing here asks for one
        desk = _Desk(
            model,
            acting,
            registry,
            registry,
            self.ledger(),
            Deadline(60, self.clock.monotonic),
            Redactor(),
            tickets,
        )
        desk.gated = self
        yield desk

    def look(
        self,
        on_ungated: OnUngated = "revert",
        *,
        judged: Judged | None = None,
        step: Callable[[str], None] = lambda name: None,
    ) -> Ungated:
        """Look once for moves past the gate."""
        return check(self.loaded, Asked(on_ungated=on_ungated), self.acting(step), judged or Judged())


class _Gone:
    registry = "fake"

    def __getattr__(self, name: str) -> Any:
        raise RegistryError("unreachable", "MLflow did not answer")


class _Desk(Desk):
    """A desk over what a test may break."""

    gated: Gated

    @property
    def site(self) -> Site:
        clock = self.gated.clock
        return Site(
            self.ledger, self.reader, self.writer, clock, self.acting.step, clock.sleep, clock.monotonic
        )

    def look_at(self, version: str, *, files: bool = True, signature: bool = False) -> Found:
        letter = self.gated.files.get(version, "a")
        if letter == "deleted":
            raise RegistryTroubleError(f"MLflow: there is no version {version}")
        found: Identity = identity(int(version), files=letter or "a")
        return Found(identity=found, status="READY", stage=None, tags={}, gone=not letter)
