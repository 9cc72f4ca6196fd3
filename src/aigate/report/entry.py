"""An entry of the ledger in the columns of a table."""

from aigate.ledger import Adopt, BreakGlass, Clear, Drill, Entry, Halt, Intent, Outcome, Resume, Review, Void
from aigate.values import Digest, show_instant


def row(entry: Entry, digest: Digest) -> dict[str, str]:
    """Return what a table says of an entry, by column."""
    told = {
        "entry": str(entry.seq),
        "at": show_instant(entry.at),
        "kind": entry.body.kind,
        "by": entry.actor.name,
        "run": entry.actor.run,
        "digest": digest,
    }
    return {**told, **details(entry)}


def details(entry: Entry) -> dict[str, str]:
    """Return what is particular to an entry's kind."""
    match entry.body:
        case Intent() as body:
            who = {"alias": body.alias, "from": _version(body.from_), "to": _version(body.to)}
            return {**who, "kind": body.action, "reason": body.reason, "decision": body.decision or ""}
        case Outcome() as body:
            return {"of": str(body.of), "result": body.result, "reason": body.detail}
        case Adopt() as body:
            who = {"alias": body.alias, "from": _version(body.from_), "to": _version(body.to)}
            return {**who, "reason": body.reason}
        case Drill() as body:
            who = {"alias": body.alias, "from": _version(body.from_), "to": _version(body.to)}
            return {**who, "result": "ready" if body.ready else "not ready", "reason": body.detail}
        case BreakGlass() as body:
            return {"alias": body.alias, "to": _version(body.to), "reason": body.reason}
        case Clear() as body:
            return {"to": _version(body.version), "reason": body.reason}
        case Review() as body:
            return {"of": str(body.of), "reason": body.reason}
        case Halt() | Resume() as body:
            return {"reason": body.reason}
        case Void() as body:
            return {"reason": f"junk: {body.what}"}


def _version(identity: object) -> str:
    number = getattr(identity, "version", None)
    return "" if number is None else f"v{number}"
