"""Ed25519 keys: who may sign leave to move an alias, and who is believed.

The private key is with whoever promotes (CI), the public keys are with the
server. A private key is never shown, and only ever written to a file of its
owner. Needs the extra `[sign]` (cryptography), which is imported when a key
is used.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aigate.errors import AigateError, UsageError
from aigate.ticket import (
    Envelope,
    Payload,
    TagTicket,
    Ticket,
    TicketError,
    pae,
    payload_of,
    read_ticket,
    sealed,
    signature_of,
    to_sign,
)
from aigate.values import show_instant

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

VARIABLE = "AIGATE_SIGNING_KEY"
"""Holds the private key itself, as PEM."""

FILE_VARIABLE = "AIGATE_SIGNING_KEY_FILE"
"""Holds the private key's path."""

MOST_BYTES = 16 * 1024
"""Bytes read of a file with a key; one has some hundred."""

_EXTRA = "install aigate-mlops[sign]"


class KeysNotWrittenError(AigateError):
    """A key pair could not be written; nothing is left of it."""

    exit_code = 4


@dataclass(frozen=True)
class SigningKey:
    """A private key, which does not show itself."""

    id: str
    key: "Ed25519PrivateKey" = field(repr=False)


@dataclass(frozen=True)
class TrustedKey:
    """A public key, and until when it is believed."""

    id: str
    key: "Ed25519PublicKey" = field(repr=False)
    until: datetime | None = None


class KeyPair(NamedTuple):
    """Where a new key pair was written."""

    id: str
    private: Path
    public: Path


def generate() -> SigningKey:
    """Return a new key. Raises UsageError without the extra."""
    key = _library().Ed25519PrivateKey.generate()
    return SigningKey(_id_of(key.public_key()), key)


def private_pem(key: SigningKey) -> bytes:
    """Return a private key as PEM (PKCS 8, not encrypted)."""
    from cryptography.hazmat.primitives import serialization as s

    return key.key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())


def public_pem(key: "Ed25519PublicKey") -> bytes:
    """Return a public key as PEM (SubjectPublicKeyInfo)."""
    from cryptography.hazmat.primitives import serialization as s

    return key.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)


def read_signing_key(pem: bytes, what: str) -> SigningKey:
    """Read a private key; `what` names it in messages. Raises UsageError, which repeats nothing of it."""
    library = _library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UsageError(f"{what} holds no private key that can be read", fix=_MAKE) from None
    if not isinstance(key, library.Ed25519PrivateKey):
        raise UsageError(f"{what} holds a key that is not of Ed25519", fix=_MAKE)
    return SigningKey(_id_of(key.public_key()), key)


_MAKE = "make one: aigate keys new"


def read_public_key(pem: bytes, what: str, until: datetime | None = None) -> TrustedKey:
    """Read a public key; `what` names it in messages. Raises UsageError."""
    library = _library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UsageError(f"{what} holds no public key that can be read", fix=_MAKE) from None
    if not isinstance(key, library.Ed25519PublicKey):
        raise UsageError(f"{what} holds a key that is not of Ed25519", fix=_MAKE)
    return TrustedKey(_id_of(key), key, until)


def public_of(pem: bytes, what: str) -> TrustedKey:
    """Return the public key in a file that holds either half. Raises UsageError."""
    if b"PRIVATE KEY" in pem:
        key = read_signing_key(pem, what)
        return TrustedKey(key.id, key.key.public_key())
    return read_public_key(pem, what)


def read_file(path: Path, what: str) -> bytes:
    """Return a key file's bytes. Raises UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as e:
        reason = e.strerror or type(e).__name__
        raise UsageError(f"{what} cannot be read: {reason}", fix="name a file with a key") from e
    if len(data) > MOST_BYTES:
        raise UsageError(f"{what} has more than {MOST_BYTES} bytes, and is no key", fix=_MAKE)
    return data


def signing_key(environ: Mapping[str, str]) -> SigningKey | None:
    """Return the key that the environment names; None where it names none. Raises UsageError."""
    text, path = environ.get(VARIABLE, "").strip(), environ.get(FILE_VARIABLE, "").strip()
    if text and path:
        raise UsageError(f"both {VARIABLE} and {FILE_VARIABLE} are set", fix="unset one of them")
    if text:
        return read_signing_key(text.encode(), VARIABLE)
    return read_signing_key(read_file(Path(path), FILE_VARIABLE), FILE_VARIABLE) if path else None


def write_pair(key: SigningKey, folder: Path) -> KeyPair:
    """Write both halves to new files; the private one for its owner alone.

    Raises KeysNotWrittenError; nothing that exists is overwritten.
    """
    pair = KeyPair(key.id, folder / f"aigate-{key.id}.key.pem", folder / f"aigate-{key.id}.pub.pem")
    made: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, data, mode in (
            (pair.public, public_pem(key.key.public_key()), 0o644),
            (pair.private, private_pem(key), 0o600),
        ):
            _write(path, data, mode, made)
    except OSError as e:
        for path in made:
            with contextlib.suppress(OSError):
                path.unlink()
        raise KeysNotWrittenError(
            f"the keys cannot be written to {folder}: {e.strerror or type(e).__name__}",
            fix="name a folder that can be written: --out DIR",
        ) from e
    return pair


def _write(path: Path, data: bytes, mode: int, made: list[Path]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(path, flags, mode)
    made.append(path)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sign(ticket: Ticket | TagTicket, key: SigningKey) -> Envelope:
    """Return a ticket in its signed envelope. Raises TicketError for one that lives too long."""
    return sealed(ticket, ((key.id, key.key.sign(to_sign(ticket))),))


def verify(envelope: Envelope, keys: Sequence[TrustedKey], now: datetime, kind: type[Payload]) -> Payload:
    """Return the ticket in an envelope that a trusted key signed, where it is of this kind.

    One good signature is enough. Whom an envelope names as its signer is a
    hint for the message only: every key in force is tried. Raises TicketError.
    """
    from cryptography.exceptions import InvalidSignature

    signed = pae(envelope.payload_type, payload_of(envelope))
    for signature in envelope.signatures:
        for key in keys:
            with contextlib.suppress(InvalidSignature):
                key.key.verify(signature_of(signature), signed)
                if key.until is not None and now >= key.until:
                    raise TicketError(f"key {key.id} was trusted until {show_instant(key.until)}")
                return read_ticket(envelope, kind)
    named = {signature.keyid for signature in envelope.signatures}
    if named & {key.id for key in keys}:
        raise TicketError("the ticket's signature does not fit: it was changed, or signed by another key")
    raise TicketError(
        f"the ticket is signed by key {', '.join(sorted(named))}, which this server does not trust"
    )


def _id_of(key: "Ed25519PublicKey") -> str:
    from cryptography.hazmat.primitives import serialization as s

    der = key.public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:16]


def _library() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as e:
        raise UsageError("signing needs cryptography, which is not installed", fix=_EXTRA) from e
    return ed25519
