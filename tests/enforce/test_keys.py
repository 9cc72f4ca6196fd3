"""Keys: made, kept, read and believed; and what a key that is none is told."""

import base64
import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.digest import digest_bytes
from aigate.enforce.keys import (
    FILE_VARIABLE,
    VARIABLE,
    KeysNotWrittenError,
    SigningKey,
    TrustedKey,
    generate,
    private_pem,
    public_of,
    public_pem,
    read_public_key,
    read_signing_key,
    sign,
    signing_key,
    verify,
    write_pair,
)
from aigate.enforce.present import LIFE, Entered, Presenter
from aigate.errors import UsageError
from aigate.ledger import Intent
from aigate.ticket import Envelope, Signature, TagTicket, Ticket, TicketError, read_envelope, sealed
from fake_alias import START, identity
from test_ticket import NOW, tag_ticket, ticket

KEY = generate()
ENVIRON = {VARIABLE: private_pem(KEY).decode()}


def trusted(key: SigningKey, **more: Any) -> TrustedKey:
    return TrustedKey(key.id, key.key.public_key(), **more)


def test_a_pair_is_written_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        pair = write_pair(KEY, tmp_path / "new")
    finally:
        os.umask(before)
    assert pair.private.stat().st_mode & 0o777 == 0o600
    assert pair.public.stat().st_mode & 0o777 == 0o644
    assert read_signing_key(pair.private.read_bytes(), "it").id == KEY.id
    assert read_public_key(pair.public.read_bytes(), "it").id == KEY.id
    assert (
        public_of(pair.private.read_bytes(), "it").id
        == public_of(pair.public.read_bytes(), "it").id
        == KEY.id
    )
    kept = pair.private.read_bytes()
    with pytest.raises(KeysNotWrittenError, match="cannot be written"):
        write_pair(KEY, tmp_path / "new")
    assert pair.private.read_bytes() == kept


def test_half_a_pair_is_not_left(tmp_path: Path) -> None:
    (tmp_path / f"aigate-{KEY.id}.key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeysNotWrittenError):
        write_pair(KEY, tmp_path)
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / f"aigate-{KEY.id}.pub.pem").exists()


def test_the_id_is_the_digest_of_the_public_key() -> None:
    lines = public_pem(KEY.key.public_key()).decode().splitlines()
    assert lines[0] == "-----BEGIN PUBLIC KEY-----"
    assert KEY.id == hashlib.sha256(base64.b64decode("".join(lines[1:-1]))).hexdigest()[:16]


def test_a_private_key_does_not_show_itself() -> None:
    secret = private_pem(KEY).decode().splitlines()[1]
    presenter = Presenter(ENVIRON, "r", lambda: NOW, lambda: "")
    assert presenter.key is not None
    for shown in (repr(KEY), str(KEY), repr(presenter)):
        assert secret[20:40] not in shown
        assert "key=" not in shown.replace("key=SigningKey(", "")


def _rsa() -> bytes:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())


def test_the_environment_names_a_key_in_two_ways(tmp_path: Path) -> None:
    pair = write_pair(KEY, tmp_path)
    assert signing_key({}) is None
    assert signing_key({VARIABLE: " ", FILE_VARIABLE: ""}) is None
    for environ in ({VARIABLE: private_pem(KEY).decode()}, {FILE_VARIABLE: str(pair.private)}):
        found = signing_key(environ)
        assert found is not None
        assert found.id == KEY.id


@pytest.mark.parametrize("name", ["both", "text", "public", "other kind", "absent", "large"])
def test_a_key_that_cannot_be_used_is_said_so_without_repeating_it(tmp_path: Path, name: str) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 20_000)
    environ = {
        "both": {VARIABLE: "canary", FILE_VARIABLE: "canary"},
        "text": {VARIABLE: "canary"},
        "public": {VARIABLE: public_pem(KEY.key.public_key()).decode()},
        "other kind": {VARIABLE: _rsa().decode()},
        "absent": {FILE_VARIABLE: str(tmp_path / "none")},
        "large": {FILE_VARIABLE: str(large)},
    }[name]
    with pytest.raises(UsageError) as caught:
        signing_key(environ)
    assert VARIABLE in caught.value.message
    assert "canary" not in caught.value.message
    assert "BEGIN" not in caught.value.message
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, OSError)


def test_what_one_signs_the_other_believes() -> None:
    made = ticket()
    assert verify(sign(made, KEY), (trusted(generate()), trusted(KEY)), NOW, Ticket) == made


def test_two_signatures_of_which_one_is_trusted_are_enough() -> None:
    """While a key is changed for another, both may sign."""
    other, made = generate(), ticket()
    both = sealed(made, tuple((k.id, sign_raw(k)) for k in (other, KEY)))
    assert verify(both, (trusted(KEY),), NOW, Ticket) == made


def sign_raw(key: SigningKey) -> bytes:
    from aigate.ticket import to_sign

    return key.key.sign(to_sign(ticket()))


def test_a_key_is_believed_until_its_time() -> None:
    envelope = sign(ticket(), KEY)
    verify(envelope, (trusted(KEY, until=NOW + timedelta(seconds=1)),), NOW, Ticket)
    with pytest.raises(TicketError, match=f"key {KEY.id} was trusted until 2026"):
        verify(envelope, (trusted(KEY, until=NOW),), NOW, Ticket)


@pytest.mark.parametrize(
    ("envelope", "words"),
    [
        (sign(ticket(), generate()), "which this server does not trust"),
        (sealed(ticket(entry=42), ((KEY.id, sign_raw(KEY)),)), "does not fit"),
        (sealed(ticket(), ((KEY.id, b""),)), "does not fit"),
        (sealed(ticket(), (("0" * 16, b"x" * 64),)), "which this server does not trust"),
    ],
    ids=["stranger", "another payload", "no signature", "a stranger's id"],
)
def test_what_nobody_trusted_signed_is_refused(envelope: Envelope, words: str) -> None:
    with pytest.raises(TicketError, match=words):
        verify(envelope, (trusted(KEY),), NOW, Ticket)
    with pytest.raises(TicketError):
        verify(envelope, (), NOW, Ticket)


def test_the_key_id_is_a_hint_and_nothing_more() -> None:
    made = sign(ticket(), KEY)
    renamed = made.model_copy(update={"signatures": (Signature(keyid="0" * 16, sig=made.signatures[0].sig),)})
    assert verify(renamed, (trusted(KEY),), NOW, Ticket) == ticket()


@settings(max_examples=200)
@given(st.data())
def test_no_changed_bit_is_believed(data: st.DataObject) -> None:
    envelope = sign(ticket(), KEY)
    payload = bytearray(base64.b64decode(envelope.payload))
    signature = bytearray(base64.b64decode(envelope.signatures[0].sig))
    part = data.draw(st.sampled_from([payload, signature]))
    bit = data.draw(st.integers(0, len(part) * 8 - 1))
    part[bit // 8] ^= 1 << bit % 8
    changed = Envelope(
        payload=base64.b64encode(payload).decode(),
        payload_type="application/vnd.aigate.ticket+json",
        signatures=(Signature(keyid=KEY.id, sig=base64.b64encode(signature).decode()),),
    )
    with pytest.raises(TicketError, match="does not fit"):
        verify(changed, (trusted(KEY),), NOW, Ticket)


def intent(**changes: Any) -> Intent:
    fields: dict[str, Any] = {
        "action": "promote",
        "alias": "champion",
        "from_": identity(1),
        "to": identity(2),
        "environment": "production",
        "reason": "allow",
        "expires": START + timedelta(seconds=60),
    }
    return Intent(**fields | changes)


@pytest.mark.parametrize(
    ("meant", "action"),
    [
        (intent(decision="sha256:" + "c" * 64), "promote"),
        (intent(action="rollback", from_=None), "rollback"),
        (intent(glass=3), "break_glass"),
    ],
    ids=["promote", "rollback", "break-glass"],
)
def test_a_ticket_says_what_the_intent_says(meant: Intent, action: str) -> None:
    nonces = iter(["0" * 16, "f" * 16])
    environ = ENVIRON | {"MLFLOW_WORKSPACE": "team"}
    presenter = Presenter(environ, "https://r", lambda: NOW, lambda: next(nonces))
    text = presenter.move("churn", Entered(meant, 12))
    made = verify(read_envelope(text), (trusted(KEY),), NOW, Ticket)
    assert made.action == action
    assert (made.registry, made.workspace, made.model) == ("https://r", "team", "churn")
    assert (made.alias, made.from_, made.to, made.decision) == (
        meant.alias,
        meant.from_,
        meant.to,
        meant.decision,
    )
    assert (made.entry, made.issued_at, made.expires_at) == (12, NOW, NOW + LIFE)
    assert made.nonce == "0" * 16 + "f" * 16


def test_what_does_not_fit_in_a_ticket_is_no_crash() -> None:
    presenter = Presenter(ENVIRON, "r" * 501, lambda: NOW, lambda: "0" * 16)
    with pytest.raises(TicketError, match="registry"):
        presenter.move("churn", Entered(intent(), 1))


def test_a_ticket_for_a_tag_says_what_is_written() -> None:
    presenter = Presenter(ENVIRON, "https://r", lambda: NOW, lambda: "0" * 16)
    made = [
        verify(read_envelope(text), (trusted(KEY),), NOW, TagTicket)
        for text in (
            presenter.tag("churn", "7", "aigate.receipt", "é"),
            presenter.tag("churn", None, "aigate.ledger", ""),
            presenter.tag("churn", "7", "aigate.quarantine", None),
        )
    ]
    assert [(t.version, t.op, t.key, t.value) for t in made] == [
        ("7", "set", "aigate.receipt", digest_bytes("é".encode())),
        (None, "set", "aigate.ledger", digest_bytes(b"")),
        ("7", "delete", "aigate.quarantine", None),
    ]
    assert {(t.registry, t.workspace, t.model, t.expires_at - t.issued_at) for t in made} == {
        ("https://r", "default", "churn", LIFE)
    }


def test_nothing_is_shown_without_a_key_or_for_a_tag_of_others() -> None:
    none = Presenter({}, "https://r", lambda: NOW, lambda: "0" * 16)
    assert none.move("churn", Entered(intent(), 1)) == none.tag("churn", "7", "aigate.receipt", "x") == ""
    some = Presenter(ENVIRON, "https://r", lambda: NOW, lambda: "0" * 16)
    assert some.tag("churn", "7", "owner", "x") == ""


def test_one_kind_of_ticket_is_not_believed_for_the_other() -> None:
    pairs: tuple[tuple[Ticket | TagTicket, Ticket | TagTicket], ...]
    pairs = ((ticket(), tag_ticket()), (tag_ticket(), ticket()))
    for made, other in pairs:
        with pytest.raises(TicketError, match="this needs leave"):
            verify(sign(made, KEY), (trusted(KEY),), NOW, type(other))
        types = sign(other, KEY).payload_type
        moved = sign(made, KEY).model_copy(update={"payload_type": types})
        with pytest.raises(TicketError, match="does not fit"):
            verify(moved, (trusted(KEY),), NOW, type(other))
