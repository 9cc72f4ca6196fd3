"""Whether a ticket whose signature holds fits what is asked for at this moment. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from aigate.digest import digest_bytes
from aigate.ledger import LONGEST_SOURCE, Identity
from aigate.ticket import LONGEST_LIFE, SKEW, Refusal, TagOp, TagTicket, Ticket, again
from aigate.values import show_instant
from aigate.wording import command, shown


@dataclass(frozen=True)
class Seen:
    """A version as the registry's table has it."""

    version: str
    created_ms: int
    """When it was made, in milliseconds since 1970."""
    run_id: str | None
    source: str

    def is_identity(self, identity: Identity) -> bool:
        """Whether this is the version that is meant, and no other of its number."""
        return (
            self.version == identity.version
            and self.created_ms == round(identity.created_at.timestamp() * 1000)
            and (self.run_id or None) == identity.run_id
            and self.source[:LONGEST_SOURCE] == identity.source
        )


@dataclass(frozen=True)
class Move:
    """The move that is asked for, and what the registry holds at that moment."""

    workspace: str
    model: str
    alias: str
    held: Seen | None
    """What holds the alias; None where nothing does."""
    to: Seen


@dataclass(frozen=True)
class TagWrite:
    """One of aigate's own tags that is to be set or taken away."""

    workspace: str
    model: str
    version: str | None
    """The version's number; None for a tag of the model."""
    op: TagOp
    key: str
    value: str | None = None
    """None where the tag is taken away."""


@dataclass(frozen=True)
class Rules:
    """What a server asks of a ticket beside its signature."""

    registry: tuple[str, ...]
    """The addresses under which this server is known."""
    max_age: timedelta = LONGEST_LIFE


def judge_ticket(ticket: Ticket, move: Move, rules: Rules, now: datetime) -> Refusal | None:
    """Return why a ticket does not fit a move; None where it does."""
    reason = _first(MOVE_CHECKS, ticket, move, rules, now)
    return Refusal(reason, again(move.model, move.alias, move.to.version, ticket.action)) if reason else None


def judge_tag_ticket(ticket: TagTicket, write: TagWrite, rules: Rules, now: datetime) -> Refusal | None:
    """Return why a ticket does not fit the writing of a tag; None where it does."""
    reason = _first(TAG_CHECKS, ticket, write, rules, now)
    return Refusal(reason, command("status", write.model)) if reason else None


_T = TypeVar("_T", Ticket, TagTicket)
_A = TypeVar("_A", Move, TagWrite)


def _first(
    checks: tuple[Callable[[_T, _A, Rules, datetime], str], ...],
    ticket: _T,
    asked: _A,
    rules: Rules,
    now: datetime,
) -> str:
    return next((reason for check in checks if (reason := check(ticket, asked, rules, now))), "")


def _registry(ticket: Ticket | TagTicket, asked: Move | TagWrite, rules: Rules, now: datetime) -> str:
    known = [name.rstrip("/") for name in rules.registry]
    if ticket.registry.rstrip("/") in known:
        return ""
    return f"the ticket is for the registry {ticket.registry}, and this one is {', '.join(known)}"


def _workspace(ticket: Ticket | TagTicket, asked: Move | TagWrite, rules: Rules, now: datetime) -> str:
    return _differs("workspace", ticket.workspace, asked.workspace)


def _model(ticket: Ticket | TagTicket, asked: Move | TagWrite, rules: Rules, now: datetime) -> str:
    return _differs("model", ticket.model, asked.model)


def _alias(ticket: Ticket, move: Move, rules: Rules, now: datetime) -> str:
    return _differs("alias", ticket.alias, move.alias)


def _version(ticket: Ticket, move: Move, rules: Rules, now: datetime) -> str:
    return _differs("version", ticket.to.version, move.to.version)


def _same_version(ticket: Ticket, move: Move, rules: Rules, now: datetime) -> str:
    if move.to.is_identity(ticket.to):
        return ""
    return f"v{move.to.version} is not the one that was decided on: its creation time, run or source differs"


def _from(ticket: Ticket, move: Move, rules: Rules, now: datetime) -> str:
    held, meant = move.held, ticket.from_
    if held is None and meant is None:
        return ""
    if held is not None and meant is not None and held.is_identity(meant):
        return ""
    found = "no version" if held is None else f"v{held.version}"
    if meant is not None and held is not None and meant.version == held.version:
        found = f"another {found}"
    return f"the ticket moves @{move.alias} away from {shown(meant)}, and {found} holds it"


def _life(ticket: Ticket | TagTicket, asked: Move | TagWrite, rules: Rules, now: datetime) -> str:
    life = ticket.expires_at - ticket.issued_at
    most = min(rules.max_age, LONGEST_LIFE)
    if timedelta(0) < life <= most:
        return ""
    return f"the ticket is good for {life}, and this server takes at most {most}"


def _future(ticket: Ticket | TagTicket, asked: Move | TagWrite, rules: Rules, now: datetime) -> str:
    if ticket.issued_at <= now + SKEW:
        return ""
    return f"the ticket is of {show_instant(ticket.issued_at)}, and here it is {show_instant(now)}: compare the clocks"


def _expired(ticket: Ticket | TagTicket, asked: Move | TagWrite, rules: Rules, now: datetime) -> str:
    if now < ticket.expires_at:
        return ""
    return f"the ticket expired at {show_instant(ticket.expires_at)}, and here it is {show_instant(now)}"


def _tag(ticket: TagTicket, write: TagWrite, rules: Rules, now: datetime) -> str:
    meant = (ticket.op, ticket.key, ticket.version)
    if meant == (write.op, write.key, write.version):
        return ""
    return f"the ticket is to {_words(*meant)}, not to {_words(write.op, write.key, write.version)}"


def _value(ticket: TagTicket, write: TagWrite, rules: Rules, now: datetime) -> str:
    value = None if write.value is None else digest_bytes(write.value.encode("utf-8", "surrogatepass"))
    return "" if ticket.value == value else f"the ticket is for another value of the tag {write.key}"


def _words(op: TagOp, key: str, version: str | None) -> str:
    return f"{op} the tag {key!a} of {'the model' if version is None else f'version {version!a}'}"


def _differs(what: str, given: str, wanted: str) -> str:
    return "" if given == wanted else f"the ticket is for {what} {given!a}, not {wanted!a}"


MOVE_CHECKS: tuple[Callable[[Ticket, Move, Rules, datetime], str], ...] = (
    _registry,
    _workspace,
    _model,
    _alias,
    _version,
    _same_version,
    _life,
    _future,
    _expired,
    _from,
)
"""What is asked of a ticket for a move, in this order; each returns what differs, empty where nothing does."""

TAG_CHECKS: tuple[Callable[[TagTicket, TagWrite, Rules, datetime], str], ...] = (
    _registry,
    _workspace,
    _model,
    _tag,
    _value,
    _life,
    _future,
    _expired,
)
"""The same of a ticket for a tag."""
