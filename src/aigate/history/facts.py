"""What the registry says now about a model, as an account takes it. What could not be read is a gap."""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError

from aigate.account import Held, Registry, Seen
from aigate.audit import identities
from aigate.collect.concurrent import gather
from aigate.collect.everything import runbook_exists
from aigate.collect.identity import astray, look_at
from aigate.collect.manifest_file import LoadedManifest
from aigate.collect.mlflow.reader import Json, RegistryError
from aigate.enforce.receipts import ANCHOR, RECEIPT
from aigate.errors import AigateError, UsageError
from aigate.history.sight import Sight
from aigate.snapshot import Runbook
from aigate.values import Evident, gap, missing
from aigate.window import TAG

MOST_VERSIONS = 5_000
"""Versions of one model that an audit looks at: each costs a request."""


def registry_of(
    sight: Sight,
    aliases: set[str],
    *,
    also: Iterable[str] = (),
    files: set[str] | None = None,
    every: bool = False,
) -> Evident[Registry]:
    """Read the registered model and its versions: `every` one, else those that hold an alias in question."""
    shown = sight.reader.registry
    known = {} if gap(sight.book) is not None else identities(sight.book.chain)
    try:
        model = sight.reader.registered_model(sight.model)
        held = tuple(Held(alias=a["alias"], version=a["version"]) for a in model.get("aliases", ()))
    except RegistryError as e:
        if e.code != "not_found":
            return missing(e.message, shown)
        if not known and gap(sight.book) is None:
            raise UsageError(
                f"the registry has no model {sight.model!r}, and the ledger has never heard of it",
                fix="is this the store you meant? look at MLFLOW_TRACKING_URI",
            ) from e
        return Registry(shown=shown, versions=tuple(Seen(number=n, identity=None) for n in known))
    except ValidationError:
        return missing(f"model {sight.model!r} has an alias that points to no version's number", shown)
    if not every:
        numbers = {*(h.version for h in held if h.alias in aliases), *also}
    else:
        last = _last(model, held, known)
        if last > MOST_VERSIONS:
            return missing(f"the model has {last} versions, at most {MOST_VERSIONS} are looked at", shown)
        numbers = {str(number) for number in range(1, last + 1)}
    tags = {str(tag["key"]): str(tag.get("value", "")) for tag in model.get("tags", ())}
    return Registry(
        shown=shown,
        aliases=held,
        anchor=tags.get(ANCHOR),
        watch=tags.get(TAG),
        versions=_versions(
            sight, numbers, {*known, *(h.version for h in held)} if every else numbers, files or set()
        ),
    )


def _last(model: Json, held: Iterable[Held], known: Iterable[str]) -> int:
    """Return the highest number a version may have: MLflow counts them from 1 and has no list that says so."""
    listed = [str(version.get("version", "")) for version in model.get("latest_versions", ())]
    numbers = [*listed, *(h.version for h in held), *known]
    return max((int(number) for number in numbers if number.isascii() and number.isdecimal()), default=0)


def _versions(
    sight: Sight, numbers: Iterable[str], identified: set[str], files: set[str]
) -> tuple[Seen, ...]:
    def ask(number: str) -> Callable[[], Seen]:
        return lambda: _seen(sight, number, number in identified, number in files)

    ordered = sorted(numbers, key=int)
    answers = gather({number: ask(number) for number in ordered}, sight.deadline)
    return tuple(
        found if isinstance(found := answers[number], Seen) else _unread(sight, number, found)
        for number in ordered
    )


def _unread(sight: Sight, number: str, error: BaseException) -> Seen:
    if isinstance(error, RegistryError) and error.code == "not_found":
        return Seen(number=number, identity=None)
    if not isinstance(error, RegistryError | AigateError):
        raise error
    return Seen(number=number, identity=missing(error.message, sight.reader.registry))


def _seen(sight: Sight, number: str, identified: bool, files: bool) -> Seen:
    """Read one version; who it is, only where somebody needs that: it costs requests."""
    if not identified:
        found = sight.reader.version(sight.model, number)
        tags = {str(tag["key"]): str(tag.get("value", "")) for tag in found.get("tags", ())}
        unasked: Any = missing("nobody asked who it is", sight.reader.registry)
        return Seen(number=number, identity=unasked, receipt=tags.get(RECEIPT))
    who = look_at(sight.reader, sight.model, number, sight.deadline, now=sight.now, files=files)
    elsewhere: Any = None
    if files:
        try:
            elsewhere = astray(sight.reader, sight.model, who.identity)
        except RegistryError as e:
            elsewhere = missing(e.message, sight.reader.registry)
    return Seen(
        number=number,
        identity=who.identity,
        receipt=who.tags.get(RECEIPT),
        files=files,
        astray=elsewhere[:500] if isinstance(elsewhere, str) else elsewhere,
    )


def runbooks_of(loaded: LoadedManifest) -> tuple[Runbook, ...]:
    """Return the manifest's runbooks, and whether they are there."""
    return tuple(
        Runbook(blames=blames, path=path, exists=runbook_exists(loaded.folder, path))
        for blames, path in loaded.manifest.runbooks.items()
    )
