"""Where acts are done: the registry to read and to write, and one model's ledger, opened together."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from aigate.collect.access import access, secrets_of
from aigate.collect.deadline import Deadline
from aigate.collect.identity import Found, look_at
from aigate.collect.manifest_file import LoadedManifest
from aigate.collect.mlflow.reader import Json, RegistryError, RegistryReader
from aigate.collect.redact import Redactor
from aigate.digest import digest_bytes
from aigate.enforce.keys import VARIABLE as SIGNING_KEY
from aigate.enforce.ledger import Ledger
from aigate.enforce.move import Site, is_version
from aigate.enforce.present import Presenter
from aigate.enforce.receipts import ANCHOR, RECEIPT, anchor, head_in, store_in
from aigate.enforce.store import LedgerError, LedgerStore, TooLargeError
from aigate.enforce.writer import RegistryWriter
from aigate.errors import AigateError, UsageError
from aigate.gate import World
from aigate.ledger import Head, Identity, Kept
from aigate.manifest import Environment, Manifest
from aigate.report.file import ReportError, write_file
from aigate.values import gap

LEDGER_VARIABLE = "AIGATE_LEDGER"
"""Where the ledger is, when it is not inside MLflow: `sqlite:///…` or `postgresql://…`."""

INSIDE_MLFLOW = "mlflow"

LEDGER_LINE = "ledger: "
"""Begins the step that says where the ledger is, and what that promises."""

LEASE = 30.0
"""Seconds that a move has beyond the time for reading the evidence again; the last twelve are for the write."""


class RegistryTroubleError(AigateError):
    """The registry does not say what an act needs to know. Nothing was changed."""

    exit_code = 3


@dataclass(frozen=True)
class Acting:
    """What a door hands in for an act, beside the world of a decision."""

    world: World
    clock: Callable[[], datetime]
    """Reads the time; an act lasts, and each of its entries has its own."""
    nonce: Callable[[], str]
    """Returns sixteen random hexadecimal digits."""
    step: Callable[[str], None] = lambda name: None
    """Told each step as it is taken."""
    tracking_uri: str | None = None
    ledger_uri: str | None = None
    """Where the ledger is; None asks the environment, else it is inside MLflow."""


Accept = Literal["nothing", "anchors", "loss"]
"""What may be wrong with a ledger that is read: see `Desk.read_ledger`."""


class Read(NamedTuple):
    """What was wrong with a ledger and is accepted."""

    lost: str
    """Why an anchor does not fit; empty where all do."""
    void: int | None
    """The last line, where it is none of aigate's."""


@dataclass
class Desk:
    """A model's registry and ledger, open for an act."""

    model: str
    acting: Acting
    reader: RegistryReader
    writer: RegistryWriter
    ledger: Ledger
    deadline: Deadline
    redactor: Redactor
    tickets: Presenter
    """What is shown to a server that guards its registry."""
    warnings: list[str] = field(default_factory=list)
    """What went wrong beside the act itself."""
    tags: dict[str, str] = field(default_factory=dict)
    """The registered model's tags, as read last."""
    aliases: dict[str, str] = field(default_factory=dict)
    """The registered model's aliases and their versions, as read last."""

    @property
    def site(self) -> Site:
        """Where moves of the alias are made. Raises UsageError for a signing key that cannot be used."""
        acting, signs = self.acting, self.tickets.key is not None
        return Site(self.ledger, self.reader, self.writer, acting.clock, acting.step, signs=signs)

    @property
    def promises(self) -> str:
        """Say in one line where the ledger is and what that guarantees."""
        head = self.ledger.chain.head
        count = "empty" if head is None else f"{head.seq} entries" if head.seq > 1 else "1 entry"
        return f"{count} in {self.ledger.store.guarantees().line()}"

    def now(self) -> datetime:
        """Return the time, to the second."""
        return self.acting.clock()

    def read_ledger(self, *, accept: Accept = "nothing") -> Read:
        """Read the ledger and hold it against its anchors.

        `anchors`: an anchor that does not fit is a warning, for it is a tag
        that anybody may write, and a bad version must not stay in service for
        it. `loss`: what is lost is accepted, and returned. Raises LedgerError.
        """
        self.ledger.refresh()
        self.acting.step(f"{LEDGER_LINE}{self.promises}")
        void = self.ledger.give_up_last() if accept == "loss" else None
        self.ledger.check()
        self.tags = self._model_tags()
        try:
            self.ledger.check(self._anchors())
        except LedgerError as e:
            elsewhere = store_in(self.tags)
            kind = self.ledger.store.guarantees().kind
            if accept != "loss" and elsewhere not in ("", kind) and not self.ledger.chain.entries:
                raise LedgerError(
                    f"the ledger of {self.model!r} is kept in {elsewhere}, and this one, in {kind}, is empty",
                    fix=f"say where it is: {LEDGER_VARIABLE}=… or --ledger …; if it is lost: `aigate adopt`",
                ) from e
            if accept == "nothing":
                raise
            if accept == "anchors":
                self.warnings.append(e.message)
            return Read(e.message, void)
        return Read("", void)

    def _anchors(self) -> tuple[tuple[Head, str], ...]:
        found = head_in(self.tags, ANCHOR)
        if isinstance(found, str):
            self.warnings.append(found)
            return ()
        return () if found is None else ((found, f"the model's tag {ANCHOR}"),)

    def check_receipt(self, tags: dict[str, str], version: str) -> None:
        """Hold the receipt of the version in service against the ledger. Raises LedgerError."""
        found = head_in(tags, RECEIPT)
        if isinstance(found, Head):
            self.ledger.check(((found, f"the receipt on v{version}"),))

    def _model_tags(self) -> dict[str, str]:
        try:
            found = self.reader.registered_model(self.model)
        except RegistryError as e:
            if e.code == "not_found":
                raise UsageError(
                    f"there is no model {self.model!r} at {self.reader.registry}",
                    fix="name a registered model, without a version; and look at MLFLOW_TRACKING_URI",
                ) from e
            raise trouble(e) from e
        self.aliases = {str(a["alias"]): str(a["version"]) for a in found.get("aliases", ())}
        return {str(tag["key"]): str(tag.get("value", "")) for tag in found.get("tags", ())}

    def holder(self, alias: str) -> Json | None:
        """Return what the registry has for an alias. Raises RegistryTroubleError."""
        try:
            return self.reader.version_by_alias(self.model, alias)
        except RegistryError as e:
            raise trouble(e) from e

    def look_at(self, version: str, *, files: bool = True, signature: bool = False) -> Found:
        """Return who a version is now. Raises RegistryTroubleError."""
        try:
            return look_at(
                self.reader,
                self.model,
                version,
                self.deadline,
                now=self.acting.world.now,
                files=files,
                signature=signature,
            )
        except RegistryError as e:
            raise trouble(e) from e

    def live(self, alias: str, *, files: bool = False) -> Identity | None:
        """Return who holds an alias now.

        What the ledger knows of its files is kept where they were not read
        again: they are not what is asked for here.
        """
        held = self.holder(alias)
        if held is None:
            return None
        known = self.ledger.standing.holder(alias)
        if not files and known is not None and is_version(held, known):
            return known
        return self.look_at(str(held["version"]), files=files).identity

    def keep_both(
        self, first: tuple[str, bytes], second: tuple[str, bytes], folder: Path
    ) -> tuple[Kept, Kept]:
        """Keep two documents (name, content) together; where there is no room for both, each by itself."""
        try:
            one, other = self.ledger.keep_together((first[1], second[1]))
        except TooLargeError:
            return self.keep(first[1], first[0], folder), self.keep(second[1], second[0], folder)
        return one, other

    def keep(self, content: bytes, name: str, folder: Path) -> Kept:
        """Keep a document in the ledger; where that has no room, in a file in `folder`. Raises AigateError."""
        try:
            return self.ledger.keep(content)
        except TooLargeError as e:
            path = folder / name
            try:
                write_file(path, content.decode())
            except ReportError as trouble:
                raise AigateError(f"{e.message}, and {trouble.message}", fix=trouble.fix) from trouble
            self.warnings.append(f"the ledger has no room for {name}: it is in this folder, keep it")
            return Kept(digest=digest_bytes(content), place=f"file:{name}")

    def heal_anchor(self) -> None:
        """Write the anchor anew where it is gone or behind: an earlier run could not."""
        head = self.ledger.chain.head
        if head is not None and head_in(self.tags, ANCHOR) != head:
            self.publish(head)

    def publish(self, head: Head) -> None:
        """Keep the ledger's head in the registry, as an anchor; a failure is a warning."""
        kind = self.ledger.store.guarantees().kind
        try:
            self.writer.set_model_tag(self.model, ANCHOR, anchor(head, kind))
        except RegistryError as e:
            self.warnings.append(
                f"the ledger's head could not be kept in the model's tag {ANCHOR}: {e.message}"
            )


@contextlib.contextmanager
def open_desk(
    acting: Acting, model: str, *, urls: tuple[str, ...] = (), seconds: float | None = None
) -> Iterator[Desk]:
    """Open everything that acts on a model need; nothing is asked yet.

    Raises UsageError where there is no MLflow address, or the ledger's is none.
    """
    world = acting.world
    deadline = Deadline(seconds or 4 * world.deadline + 60)
    way = access(world.environ, world.home, uri=acting.tracking_uri, urls=urls)
    from aigate.enforce.mlflow import open_store, open_writer

    with contextlib.closing(_store(acting, lambda: open_store(way, deadline))) as store:
        ledger = Ledger(
            store,
            model,
            actor=world.actor,
            clock=acting.clock,
            nonce=acting.nonce,
            publish=lambda head: desk.publish(head),
        )
        redactor = Redactor((*secrets_of(way.place, world.environ), world.environ.get(SIGNING_KEY, "")))
        reader = way.registry(deadline)
        tickets = Presenter(world.environ, reader.registry, acting.clock, acting.nonce)
        writer = open_writer(way, deadline, tickets=tickets)
        desk = Desk(model, acting, reader, writer, ledger, deadline, redactor, tickets)
        yield desk


def _store(acting: Acting, inside: Callable[[], LedgerStore]) -> LedgerStore:
    uri = acting.ledger_uri or acting.world.environ.get(LEDGER_VARIABLE, "").strip() or INSIDE_MLFLOW
    if uri == INSIDE_MLFLOW:
        return inside()
    if "://" not in uri:
        raise UsageError(
            "the ledger's address has no scheme",
            fix=f"write {INSIDE_MLFLOW}, sqlite:///FILE or postgresql://HOST/DATABASE",
        )
    from aigate.enforce.sql_store import open_sql_store

    return open_sql_store(uri)


def trouble(error: RegistryError) -> RegistryTroubleError:
    """Translate the registry's trouble into what a door can show."""
    return RegistryTroubleError(f"MLflow: {error.message}", fix="`aigate doctor` says what is reachable")


def settings(loaded: LoadedManifest | None, environment: str) -> Environment:
    """Return an environment's settings; the usual ones where there is no manifest at hand."""
    from aigate.rules import environment_of

    return Environment() if loaded is None else environment_of(loaded, environment)


def manifest_of(loaded: LoadedManifest | None) -> Manifest | None:
    """Return the manifest, where one was loaded."""
    return None if loaded is None else loaded.manifest


def folder_of(loaded: LoadedManifest | None) -> Path:
    """Return where files of an act go: beside the manifest, else here."""
    return Path() if loaded is None else loaded.folder


def elapsed(started: float, desk: Desk) -> Any:
    """Return the seconds since a reading of the desk's monotonic clock, as a record takes them."""
    from decimal import Decimal

    return Decimal(str(round(desk.deadline.now() - started, 3)))


def files_known(identity: Identity) -> bool:
    """Whether a version's files could be read."""
    return gap(identity.artifact_digest) is None
