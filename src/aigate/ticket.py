"""Leave to move one alias or to write one tag, once, as it is signed and sent. Pure: who signs is `enforce.keys`.

There are two kinds, and neither can be taken for the other: each is signed
with a payload type of its own. What a ticket fits is judged by the server
(`hook.fits`).

A ticket goes in an envelope of the DSSE protocol, version 1
(https://github.com/secure-systems-lab/dsse): what is signed is the
pre-authentication encoding of type and payload, never JSON that somebody
might read in two ways. Both payload and envelope are canonical JSON (RFC
8785), and nothing else is read.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from aigate.digest import canonical
from aigate.errors import AigateError
from aigate.ledger import Identity, Seq
from aigate.values import NAME_PATTERN, Digest, Instant, Model, Name, VersionNumber
from aigate.wording import at, command

PAYLOAD_TYPE = "application/vnd.aigate.ticket+json"
"""What is signed is leave to move an alias."""

TAG_PAYLOAD_TYPE = "application/vnd.aigate.tag-ticket+json"
"""What is signed is leave to write a tag."""

HEADER = "X-Aigate-Ticket"
"""The request header in which a ticket is presented."""

GUARD_HEADER = "X-Aigate-Guard"
"""The header in which a guarded server says, on each answer about a protected model, how it guards."""

LONGEST_HEADER = 6_000
"""Characters of the header's value. Proxies commonly take 8 KiB for all headers together."""

LONGEST_LIFE = timedelta(minutes=15)
"""How long a ticket may be good for, whoever signed it."""

SKEW = timedelta(seconds=60)
"""How far the signer's clock may be ahead of the server's."""

DEFAULT_WORKSPACE = "default"
"""MLflow's word for the one workspace of a server that has none."""

Action = Literal["promote", "rollback", "break_glass"]

TagOp = Literal["set", "delete"]

_PayloadType = Literal["application/vnd.aigate.ticket+json", "application/vnd.aigate.tag-ticket+json"]


class TicketError(AigateError):
    """A ticket cannot be made, or what was presented is none."""

    exit_code = 2


class Ticket(Model):
    """Leave to move one alias from one version to another, once, within minutes."""

    schema_: Annotated[Literal["aigate.ticket/v1"], Field(alias="schema")] = "aigate.ticket/v1"
    registry: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=NAME_PATTERN)]
    """The registry's address, as the signer knows it."""
    workspace: Name = DEFAULT_WORKSPACE
    model: Name
    alias: Name
    action: Action
    from_: Annotated[Identity | None, Field(alias="from")]
    """What holds the alias; None where nothing does."""
    to: Identity
    decision: Digest | None
    """The decision it rests on; None for a rollback, which needs none."""
    entry: Seq
    """The ledger's entry that says what is intended."""
    issued_at: Instant
    expires_at: Instant
    nonce: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    """Random: a server takes each once."""


class TagTicket(Model):
    """Leave to set or take away one of aigate's own tags, once, within minutes."""

    schema_: Annotated[Literal["aigate.tag-ticket/v1"], Field(alias="schema")] = "aigate.tag-ticket/v1"
    registry: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=NAME_PATTERN)]
    """The registry's address, as the signer knows it."""
    workspace: Name = DEFAULT_WORKSPACE
    model: Name
    version: VersionNumber | None
    """The version whose tag it is; None for a tag of the model."""
    op: TagOp
    key: Annotated[str, StringConstraints(pattern=r"^aigate\.[a-z_]{1,40}$")]
    value: Digest | None
    """The digest of the value's UTF-8; None where the tag is taken away."""
    issued_at: Instant
    expires_at: Instant
    nonce: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    """Random: a server takes each once."""


class Signature(Model):
    """One signature of an envelope."""

    keyid: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    sig: str


class Envelope(Model):
    """A signed payload, as DSSE writes it."""

    payload: str
    payload_type: Annotated[_PayloadType, Field(alias="payloadType")]
    signatures: Annotated[tuple[Signature, ...], Field(min_length=1, max_length=4)]


Payload = TypeVar("Payload", bound=Ticket | TagTicket)

_TYPES: dict[type[Model], _PayloadType] = {
    Ticket: "application/vnd.aigate.ticket+json",
    TagTicket: "application/vnd.aigate.tag-ticket+json",
}
_LEAVE = {PAYLOAD_TYPE: "to move an alias", TAG_PAYLOAD_TYPE: "to write a tag"}


@dataclass(frozen=True)
class Refusal:
    """Why something is not done, and the command to run instead."""

    reason: str
    command: str

    def __str__(self) -> str:
        return f"{self.reason}; run: {self.command}" if self.command else self.reason


@dataclass(frozen=True)
class GuardSays:
    """What a server says of its guard."""

    mode: Literal["enforce", "observe", "broken"]
    keys: tuple[str, ...] = ()
    """The ids of the keys that it trusts."""


def guard_header(says: GuardSays) -> str:
    """Return the value of the header `GUARD_HEADER`."""
    return says.mode if says.mode == "broken" else f"{says.mode}; keys={','.join(says.keys)}"


_GUARD_SAYS = re.compile(r"(?:(broken)|(enforce|observe); keys=((?:[0-9a-f]{16}(?:,[0-9a-f]{16})*)?))")


def read_guard_header(text: str) -> GuardSays | None:
    """Read such a value; None for anything that no guard writes."""
    found = _GUARD_SAYS.fullmatch(text) if len(text) <= LONGEST_HEADER else None
    if found is None:
        return None
    if found[1]:
        return GuardSays("broken")
    mode: Literal["enforce", "observe"] = "observe" if found[2] == "observe" else "enforce"
    return GuardSays(mode, tuple(found[3].split(",")) if found[3] else ())


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def to_sign(ticket: Ticket | TagTicket) -> bytes:
    """Return the bytes that a signature of a ticket is made over. Raises TicketError for one that lives too long."""
    life = ticket.expires_at - ticket.issued_at
    if not timedelta(0) < life <= LONGEST_LIFE:
        raise TicketError(f"a ticket is good for at most {LONGEST_LIFE}, and not for {life}")
    return pae(_TYPES[type(ticket)], canonical(ticket))


def sealed(ticket: Ticket | TagTicket, signatures: tuple[tuple[str, bytes], ...]) -> Envelope:
    """Return the envelope of a ticket and its signatures (key id, bytes)."""
    return Envelope(
        payload=base64.b64encode(canonical(ticket)).decode(),
        payload_type=_TYPES[type(ticket)],
        signatures=tuple(
            Signature(keyid=keyid, sig=base64.b64encode(sig).decode()) for keyid, sig in signatures
        ),
    )


def header_value(envelope: Envelope) -> str:
    """Return an envelope as the header carries it. Raises TicketError for one that is too long for that."""
    text = base64.urlsafe_b64encode(canonical(envelope)).decode().rstrip("=")
    if len(text) > LONGEST_HEADER:
        raise TicketError(
            f"the ticket has {len(text)} characters, and a header at most {LONGEST_HEADER}",
            fix="the names or the source of the version are too long to be presented",
        )
    return text


_ENVELOPE: TypeAdapter[Envelope] = TypeAdapter(Envelope)
_PAYLOADS: dict[type[Model], TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in _TYPES}
_M = TypeVar("_M", bound=Model)


def read_envelope(text: str) -> Envelope:
    """Read the header's value. Raises TicketError for anything that `header_value` would not have written."""
    if len(text) > LONGEST_HEADER:
        raise TicketError(f"the ticket has {len(text)} characters, at most {LONGEST_HEADER} are read")
    envelope = _read(_ENVELOPE, _decoded(text, url=True), "the ticket's envelope")
    payload_of(envelope)
    for signature in envelope.signatures:
        signature_of(signature)
    return envelope


def payload_of(envelope: Envelope) -> bytes:
    """Return the signed bytes of an envelope's payload. Raises TicketError."""
    return _decoded(envelope.payload, url=False)


def signature_of(signature: Signature) -> bytes:
    """Return a signature's bytes. Raises TicketError."""
    return _decoded(signature.sig, url=False)


def read_ticket(envelope: Envelope, kind: type[Payload]) -> Payload:
    """Read the payload of an envelope whose signature was verified. Raises TicketError, also for the other kind."""
    wanted = _TYPES[kind]
    if envelope.payload_type != wanted:
        raise TicketError(
            f"what is shown is leave {_LEAVE[envelope.payload_type]}, and this needs leave {_LEAVE[wanted]}"
        )
    found: Payload = _read(_PAYLOADS[kind], payload_of(envelope), "the ticket")
    return found


def _read(adapter: TypeAdapter[_M], data: bytes, what: str) -> _M:
    try:
        found = adapter.validate_json(data)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise TicketError(f"{what} cannot be read: {place}: {first['msg']}") from e
    try:
        same = canonical(found) == data
    except ValueError:
        same = False
    if not same:  # duplicate keys end here too
        raise TicketError(f"{what} is not in the form in which tickets are written")
    return found


def _decoded(text: str, *, url: bool) -> bytes:
    padded = text + "=" * (-len(text) % 4) if url else text
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    try:
        data = base64.b64decode(padded.encode("ascii"), altchars=b"-_" if url else None, validate=True)
    except (UnicodeEncodeError, binascii.Error) as e:
        raise TicketError("the ticket is not in Base64") from e
    if encode(data).decode() != padded:  # bits that nothing reads could be anything
        raise TicketError("the ticket is not in Base64")
    return data


def again(model: str, alias: str, version: str, action: Action = "promote") -> str:
    """Return the command that asks for a move anew."""
    if action == "rollback":
        return command("rollback", model, *at(alias), "--to", version, "--reason", "…")
    return command("promote", f"{model}@{version}", *(("--to", alias) if at(alias) else ()))
