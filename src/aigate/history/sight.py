"""What can be looked at: the registry to read, and one model's ledger where it answers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aigate.account import Book
from aigate.act import Acting, open_desk
from aigate.collect.access import access
from aigate.collect.deadline import Deadline
from aigate.collect.manifest_file import LoadedManifest
from aigate.collect.mlflow.reader import RegistryError, RegistryReader
from aigate.decision import Actor
from aigate.enforce.keys import signing_key
from aigate.enforce.probe import probe
from aigate.enforce.store import LedgerError, LedgerStore
from aigate.errors import AigateError
from aigate.guarded import Told, no_server, told, unheard
from aigate.ledger import read_chain
from aigate.values import Evident, missing


@dataclass(frozen=True)
class Sight:
    """A model's registry and its ledger as it was read; what could not be had is a gap."""

    model: str
    now: datetime
    actor: Actor
    deadline: Deadline
    reader: RegistryReader
    store: LedgerStore | None
    """None where the ledger could not even be opened."""
    book: Evident[Book]
    lines: tuple[bytes, ...] = ()
    """Every entry as it is stored, those too that cannot be believed."""
    loaded: LoadedManifest | None = None
    folder: Path = Path()
    """Where documents lie for which the ledger had no room."""
    guard: Callable[[str], Told | None] = lambda alias: None
    """Asks the server whether it guards an alias; None where no signing key is set, and nothing is asked."""


def read_book(store: LedgerStore, model: str) -> tuple[Evident[Book], tuple[bytes, ...]]:
    """Read a model's ledger, and say what is wrong with it; one that does not answer is a gap."""
    promises = store.guarantees()
    try:
        lines = store.read(model)
    except LedgerError as e:
        return missing(e.message, promises.place), ()
    return Book(line=promises.line(), chain=read_chain(model, lines), stored=len(lines)), lines


@contextmanager
def open_sight(acting: Acting, model: str, loaded: LoadedManifest | None) -> Iterator[Sight]:
    """Open registry and ledger to look at them.

    Raises UsageError and ConfigError for settings that cannot work.
    """
    world = acting.world
    with ExitStack() as stack:
        store: LedgerStore | None = None
        lines: tuple[bytes, ...] = ()
        try:
            desk = stack.enter_context(open_desk(acting, model, seconds=world.deadline))
        except LedgerError as e:
            deadline = Deadline(world.deadline)
            reader = access(world.environ, world.home, uri=acting.tracking_uri).registry(deadline)
            book: Evident[Book] = missing(e.message, "ledger")
        else:
            deadline, reader, store = desk.deadline, desk.reader, desk.ledger.store
            book, lines = read_book(store, model)
        yield Sight(
            model=model,
            now=world.now,
            actor=world.actor,
            deadline=deadline,
            reader=reader,
            store=store,
            book=book,
            lines=lines,
            loaded=loaded,
            folder=Path() if loaded is None else loaded.folder,
            guard=lambda alias: _guard(acting, model, alias, deadline),
        )


def _guard(acting: Acting, model: str, alias: str, deadline: Deadline) -> Told | None:
    """Ask the server whether it guards an alias, where a signing key is set: who has one expects that it does.

    The request is one for a move that cannot happen (`enforce.probe`). Whoever
    audits with the right to read alone has no key, and asks for nothing.
    """
    world = acting.world
    try:
        key = signing_key(world.environ)
        if key is None:
            return None
        way = access(world.environ, world.home, uri=acting.tracking_uri)
        if way.place.by_client:
            return no_server(way.place.shown, key.id)
        return told(probe(way, deadline, model, alias), model, alias, key.id)
    except (AigateError, RegistryError) as e:
        return unheard(e.message)
