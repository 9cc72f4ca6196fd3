"""Tickets: what is signed, how it is written, and which move one fits."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.digest import canonical, digest_bytes
from aigate.ticket import (
    LONGEST_HEADER,
    PAYLOAD_TYPE,
    TAG_PAYLOAD_TYPE,
    Envelope,
    GuardSays,
    TagTicket,
    Ticket,
    TicketError,
    guard_header,
    header_value,
    pae,
    read_envelope,
    read_guard_header,
    read_ticket,
    sealed,
    to_sign,
)
from fake_alias import identity

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def ticket(**changes: Any) -> Ticket:
    fields: dict[str, Any] = {
        "registry": "https://mlflow.example",
        "model": "churn",
        "alias": "champion",
        "action": "promote",
        "from_": identity(6),
        "to": identity(7),
        "decision": "sha256:" + "a" * 64,
        "entry": 41,
        "issued_at": NOW - timedelta(seconds=1),
        "expires_at": NOW + timedelta(minutes=2),
        "nonce": "0123456789abcdef" * 2,
    }
    return Ticket(**fields | changes)


def tag_ticket(**changes: Any) -> TagTicket:
    fields: dict[str, Any] = {
        "registry": "https://mlflow.example",
        "model": "churn",
        "version": "7",
        "op": "set",
        "key": "aigate.receipt",
        "value": digest_bytes(b"a receipt"),
        "issued_at": NOW - timedelta(seconds=1),
        "expires_at": NOW + timedelta(minutes=2),
        "nonce": "fedcba9876543210" * 2,
    }
    return TagTicket(**fields | changes)


def test_the_encoding_that_is_signed_is_the_specifications() -> None:
    """The vector of DSSE's protocol.md."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("", b"") == b"DSSEv1 0  0 "
    assert pae("é", "é".encode()) == b"DSSEv1 2 \xc3\xa9 2 \xc3\xa9"


@given(st.text(), st.binary(), st.text(), st.binary())
def test_no_two_payloads_are_encoded_alike(kind: str, body: bytes, other: str, another: bytes) -> None:
    try:
        same = pae(kind, body) == pae(other, another)
    except UnicodeEncodeError:
        return
    assert same == ((kind, body) == (other, another))


def test_an_envelope_has_the_fields_of_the_specification() -> None:
    data = json.loads(canonical(sealed(ticket(), (("0" * 16, b"signature"),))))
    assert set(data) == {"payload", "payloadType", "signatures"}
    assert data["payloadType"] == PAYLOAD_TYPE == "application/vnd.aigate.ticket+json"
    assert data["signatures"] == [
        {"keyid": "0" * 16, "sig": base64.standard_b64encode(b"signature").decode()}
    ]
    payload = base64.standard_b64decode(data["payload"])
    assert to_sign(ticket()) == pae(PAYLOAD_TYPE, payload)
    assert json.loads(payload)["schema"] == "aigate.ticket/v1"


def test_one_kind_is_never_read_as_the_other() -> None:
    """Neither by its type, nor where a type is put on the other's payload."""
    assert to_sign(tag_ticket()).startswith(
        b"DSSEv1 %d %s " % (len(TAG_PAYLOAD_TYPE), TAG_PAYLOAD_TYPE.encode())
    )
    pairs: tuple[tuple[Ticket | TagTicket, type[Ticket | TagTicket]], ...]
    pairs = ((ticket(), TagTicket), (tag_ticket(), Ticket))
    for made, other in pairs:
        envelope = sealed(made, (("0" * 16, b"x"),))
        with pytest.raises(TicketError, match="this needs leave"):
            read_ticket(envelope, other)
        wrong = TAG_PAYLOAD_TYPE if other is TagTicket else PAYLOAD_TYPE
        with pytest.raises(TicketError, match="cannot be read"):
            read_ticket(envelope.model_copy(update={"payload_type": wrong}), other)


@pytest.mark.parametrize(
    "key", ["owner", "aigate.", "Aigate.receipt", "aigate.receipt ", "aigate.a.b", "aigate"]
)
def test_no_ticket_can_be_made_out_for_another_key(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        tag_ticket(key=key)


@given(
    st.builds(
        GuardSays,
        st.sampled_from(["enforce", "observe"]),
        st.lists(st.from_regex("[0-9a-f]{16}", fullmatch=True), max_size=4).map(tuple),
    )
    | st.just(GuardSays("broken"))
)
def test_what_a_guard_says_is_read_back(says: GuardSays) -> None:
    assert read_guard_header(guard_header(says)) == says


def test_the_header_of_a_guard_has_one_form() -> None:
    assert guard_header(GuardSays("enforce", ("a" * 16, "b" * 16))) == f"enforce; keys={'a' * 16},{'b' * 16}"
    assert guard_header(GuardSays("observe")) == "observe; keys="
    for odd in (
        "",
        "enforce",
        "enforce; keys=x",
        "broken; keys=",
        "Enforce; keys=",
        f"enforce; keys={'a' * 16},",
        "on",
    ):
        assert read_guard_header(odd) is None


names = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp", "Cs")), min_size=1, max_size=40
)
tickets = st.builds(
    ticket,
    model=names,
    alias=names,
    action=st.sampled_from(["promote", "rollback", "break_glass"]),
    from_=st.one_of(st.none(), st.integers(1, 9).map(identity)),
    decision=st.one_of(st.none(), st.just("sha256:" + "b" * 64)),
    entry=st.integers(1, 10_000_000),
)


def _other(made: Ticket | TagTicket) -> type[Ticket | TagTicket]:
    return Ticket if isinstance(made, TagTicket) else TagTicket


tag_tickets = st.builds(
    tag_ticket,
    model=names,
    version=st.one_of(st.none(), st.integers(1, 10**9).map(str)),
    key=st.from_regex(r"aigate\.[a-z_]{1,40}", fullmatch=True),
)


@given(st.one_of(tickets, tag_tickets))
def test_what_is_written_is_read_back(made: Ticket | TagTicket) -> None:
    envelope = sealed(made, (("0" * 16, b"x" * 64),))
    text = header_value(envelope)
    assert len(text) <= LONGEST_HEADER
    assert text.isascii()
    again = read_envelope(text)
    assert again == envelope
    assert read_ticket(again, type(made)) == made
    with pytest.raises(TicketError, match="this needs leave"):
        read_ticket(again, _other(made))


@given(tickets, st.data())
def test_no_other_text_is_read_as_the_same(made: Ticket, data: st.DataObject) -> None:
    """Whatever is changed in the header: it is refused, or what is signed or the signature is another."""
    text = header_value(sealed(made, (("0" * 16, b"x" * 64),)))
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[place]))
    try:
        found = read_envelope(text[:place] + letter + text[place + 1 :])
    except TicketError:
        return
    assert found != read_envelope(text)


@given(
    st.one_of(
        st.text(max_size=300), st.binary(max_size=300).map(lambda b: base64.urlsafe_b64encode(b).decode())
    )
)
def test_anything_else_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(TicketError):
        read_envelope(text)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


GOOD = canonical(sealed(ticket(), (("0" * 16, b"x" * 64),)))
ODD = {
    "empty": "",
    "standard base64": base64.b64encode(b"\xfb\xff\xfe").decode(),
    "too long": "A" * (LONGEST_HEADER + 1),
    "spaces": _encoded(b" " + GOOD),
    "duplicate keys": _encoded(GOOD[:-1] + b',"payloadType":"application/vnd.aigate.ticket+json"}'),
    "further key": _encoded(GOOD[:-1] + b',"x":1}'),
    "other type": _encoded(GOOD.replace(b"vnd.aigate.ticket", b"vnd.in-toto")),
    "no signature": _encoded(canonical(Envelope.model_construct(
        payload="", payload_type="application/vnd.aigate.ticket+json", signatures=()
    ))),
    "list": _encoded(b"[]"),
    "deep": _encoded(b"[" * 3000),
    "payload not base64": _encoded(GOOD.replace(b'"payload":"', b'"payload":"*')),
    "not utf-8": _encoded(b"\xff\xfe"),
}  # fmt: skip


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_an_envelope_that_nobody_wrote_is_refused(text: str) -> None:
    with pytest.raises(TicketError):
        read_envelope(text)


@pytest.mark.parametrize(
    "payload",
    [
        canonical(ticket()) + b" ",
        canonical(ticket()).replace(b'"entry":41', b'"entry":41,"entry":41'),
        canonical(ticket()).replace(b'"entry":41', b'"entry":41.0'),
        canonical(ticket()).replace(b"ticket/v1", b"ticket/v2"),
        canonical(ticket()).replace(b'"alias":"champion",', b""),
        canonical(ticket()).replace(b'"version":"7"', b'"version":"07"'),
        b"{}",
    ],
    ids=["space", "twice", "float", "schema", "no-alias", "version", "empty"],
)
def test_a_payload_that_nobody_wrote_is_refused(payload: bytes) -> None:
    made = sealed(ticket(), (("0" * 16, b"x" * 64),))
    envelope = made.model_copy(update={"payload": base64.b64encode(payload).decode()})
    with pytest.raises(TicketError):
        read_ticket(envelope, Ticket)


@pytest.mark.parametrize("life", [timedelta(minutes=15, seconds=1), timedelta(0), timedelta(seconds=-1)])
def test_nothing_that_lives_too_long_is_signed(life: timedelta) -> None:
    with pytest.raises(TicketError, match="good for"):
        to_sign(ticket(issued_at=NOW, expires_at=NOW + life))


def test_what_no_header_can_carry_is_refused() -> None:
    long = identity(7).model_copy(update={"source": "界" * 400, "run_id": "界" * 200, "model_id": "界" * 200})
    with pytest.raises(TicketError, match="characters"):
        header_value(sealed(ticket(model="界" * 200, from_=long, to=long), (("0" * 16, b"x" * 64),)))
