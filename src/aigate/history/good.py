"""The version that a rollback would return to: what the ledger says of it, and one look at what is left of it."""

from datetime import datetime

from aigate.account import KnownGood, Registry
from aigate.collect.identity import look_at
from aigate.collect.mlflow.reader import RegistryError
from aigate.collect.mlflow.version import GONE
from aigate.errors import AigateError
from aigate.history.sight import Sight
from aigate.ledger import Identity
from aigate.manifest import RollbackRules
from aigate.standing import Standing
from aigate.target import READY, candidates
from aigate.values import Evident, gap


def known_good(
    found: Standing,
    alias: str,
    leaving: Identity | None,
    now: datetime,
    rules: RollbackRules,
    *,
    drifted: bool = False,
) -> KnownGood | None:
    """Return the version that a rollback from `leaving` would return to, by the ledger alone; None where there is none.

    The one that the ledger has there, where the alias has `drifted` from it;
    else the last one that served long enough, else the last one at all.
    """
    free = [c for c in candidates(found, alias, leaving, now) if not found.quarantine(c.identity)]
    holder = found.holder(alias) if drifted else None
    known = [
        KnownGood(
            identity=c.identity,
            until=c.until,
            lived=c.lived,
            soaked=c.vouched or c.lived >= rules.min_soak,
        )
        for c in free
    ]
    taken = [k for k in known if holder is not None and k.identity.same_version(holder)]
    soaked = [k for k in known if k.soaked]
    return next(iter((*taken, *soaked, *known)), None)


def looked_at(sight: Sight, good: KnownGood, registry: Evident[Registry]) -> KnownGood:
    """Return what is known good with what the registry says of it now; its files are not read for that."""

    def told(state: str, words: str) -> KnownGood:
        return good.model_copy(update={"state": state, "words": words})

    if (lost := gap(registry)) is not None:  # it would not answer this question either
        return told("unknown", f"it could not be looked at: {lost.missing}")
    try:
        found = look_at(
            sight.reader, sight.model, good.identity.version, sight.deadline, now=sight.now, files=False
        )
    except RegistryError as e:
        if e.code == "not_found":
            return told("bad", "it is deleted")
        return told("unknown", f"it could not be looked at: {e.message}")
    except AigateError as e:
        return told("unknown", f"it could not be looked at: {e.message}")
    if not found.identity.same_version(good.identity):
        return told("bad", "it was deleted and made anew: that number is another version now")
    if found.status == GONE:
        return told("bad", "its model is gone: somebody deleted it in MLflow")
    if found.status == "unknown":
        return told("unknown", "whether it can be served is not known")
    if found.status != READY:
        return told("bad", f"it is {found.status}, not {READY}")
    return told("ok", "files not checked")
