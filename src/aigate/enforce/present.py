"""What is shown to an MLflow server that guards its registry: one signed ticket for one write."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple, Protocol

from pydantic import ValidationError

from aigate.digest import digest_bytes
from aigate.enforce.keys import SigningKey, sign, signing_key
from aigate.ledger import Intent
from aigate.ticket import DEFAULT_WORKSPACE, Action, TagTicket, Ticket, TicketError, header_value

LIFE = timedelta(minutes=2)
"""How long a ticket is good for. A write takes seconds; the rest is for clocks that differ."""


class Entered(NamedTuple):
    """An intent, and the number of the ledger's entry that holds it."""

    intent: Intent
    seq: int


class Tickets(Protocol):
    """Makes the header's value for a write; empty where there is no key to sign one.

    Raises AigateError: nothing can be signed, and nothing is to be sent.
    """

    def move(self, model: str, entered: Entered) -> str:
        """Return what is shown for the move that is intended."""

    def tag(self, model: str, version: str | None, key: str, value: str | None) -> str:
        """Return what is shown for a version's or the model's tag; no `value` takes it away."""


class NoTickets:
    """Shows nothing: there is no key, or nobody who would look at a ticket."""

    def move(self, model: str, entered: Entered) -> str:
        """Return nothing."""
        return ""

    def tag(self, model: str, version: str | None, key: str, value: str | None) -> str:
        """Return nothing."""
        return ""


@dataclass(frozen=True)
class Presenter:
    """Signs a ticket right before each write, with the key that the environment names."""

    environ: Mapping[str, str] = field(repr=False)
    registry: str
    """The registry's address without credentials and query."""
    clock: Callable[[], datetime]
    nonce: Callable[[], str]
    """Returns sixteen random hexadecimal digits."""

    @cached_property
    def key(self) -> SigningKey | None:
        """The key; None where the environment names none. Raises UsageError for one that cannot be used."""
        return signing_key(self.environ)

    def move(self, model: str, entered: Entered) -> str:
        """Return the header's value for the move that is intended. Raises AigateError."""
        intent = entered.intent
        action: Action = "break_glass" if intent.glass is not None else intent.action
        return self._signed(
            lambda now: Ticket(
                registry=self.registry,
                workspace=self._workspace,
                model=model,
                alias=intent.alias,
                action=action,
                from_=intent.from_,
                to=intent.to,
                decision=intent.decision,
                entry=entered.seq,
                issued_at=now,
                expires_at=now + LIFE,
                nonce=self.nonce() + self.nonce(),
            )
        )

    def tag(self, model: str, version: str | None, key: str, value: str | None) -> str:
        """Return the header's value for the writing of a tag; empty for one that is not aigate's. Raises AigateError."""
        if not key.startswith("aigate."):
            return ""
        return self._signed(
            lambda now: TagTicket(
                registry=self.registry,
                workspace=self._workspace,
                model=model,
                version=version,
                op="delete" if value is None else "set",
                key=key,
                value=None if value is None else digest_bytes(value.encode()),
                issued_at=now,
                expires_at=now + LIFE,
                nonce=self.nonce() + self.nonce(),
            )
        )

    @property
    def _workspace(self) -> str:
        return self.environ.get("MLFLOW_WORKSPACE", "").strip() or DEFAULT_WORKSPACE

    def _signed(self, make: Callable[[datetime], Ticket | TagTicket]) -> str:
        if self.key is None:
            return ""
        try:
            ticket = make(self.clock())
        except ValidationError as e:
            field = e.errors(include_url=False, include_input=False)[0]["loc"]
            raise TicketError(f"no ticket can be made: {field} does not fit in one") from e
        return header_value(sign(ticket, self.key))
