"""The decision record: canonical, carrying its own digest, and read back only as it was written."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.decision import Finding
from aigate.digest import digest_bytes
from aigate.errors import ConfigError
from aigate.report.context import ReportContext
from aigate.report.json import decision_id, harmless, read_record, record, render, short
from report.cases import CASES, decision, judgement
from report.hostile import HOSTILE, commands, everywhere, unseen

_CTX = ReportContext()
_DENY = CASES["deny"].decision


def _fields() -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(record(_DENY))
    return fields


def _signed(fields: dict[str, Any]) -> bytes:
    """A canonical record with a right id, whatever is in it."""
    rest = {key: value for key, value in fields.items() if key != "id"}
    return rfc8785.dumps({**rest, "id": digest_bytes(rfc8785.dumps(rest))})


@pytest.mark.parametrize("case", CASES)
def test_a_record_is_read_back_as_it_was(case: str) -> None:
    made = CASES[case].decision
    assert read_record(record(made)) == made
    assert read_record(render(made, _CTX).encode()) == made
    assert record(read_record(record(made))) == record(made)


def test_the_id_is_the_digest_of_the_record_without_it() -> None:
    fields = _fields()
    said = fields.pop("id")
    assert said == decision_id(_DENY) == digest_bytes(rfc8785.dumps(fields))
    assert short(said) == said[7:19]


def test_the_record_is_canonical_and_the_same_every_time() -> None:
    assert record(_DENY) == rfc8785.dumps(_fields())
    assert record(CASES["deny"].decision.model_copy(deep=True)) == record(_DENY)
    assert b"\n" not in record(_DENY)


def test_the_record_has_these_fields_and_no_others() -> None:
    """A new field is a decision about the schema's version, not an accident of the model."""
    assert set(_fields()) == {
        "schema", "id", "verdict", "exit_code", "reason", "question", "system", "environment", "model", "alias",
        "subject", "holder", "owner", "runbooks", "now", "judgements", "waivers", "waivers_digest", "counts", "bound", "evidence",
        "snapshot_digest", "manifest_digest", "policies_digest", "isolation", "versions", "actor", "previous",
    }  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_survives_the_record_and_commands_nothing_on_the_way(text: str) -> None:
    made = everywhere(text)
    shown = render(made, _CTX)
    assert json.loads(shown) == json.loads(record(made))
    assert read_record(shown.encode()) == made
    plain = render(made, ReportContext(unicode=False))
    assert plain.isascii()
    assert read_record(plain.encode()) == made
    assert not commands(shown)
    dangerous = {sign for sign in unseen(shown) if sign < "\xa0" or "\u200b" <= sign <= "\u206f"}
    assert not dangerous
    assert shown.count("\n") == 1


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.sampled_from(["##[x]", "\\##[x]", "##vso[x]"])
)
def test_any_text_survives(text: str) -> None:
    made = decision(judgement("a.b", "fail", Finding(message=text, key=text)))
    assert read_record(record(made)) == made
    assert read_record(render(made, _CTX).encode()) == made
    assert not commands(render(made, _CTX))


def test_plain_records_are_printed_canonically() -> None:
    assert render(_DENY, _CTX).encode() == record(_DENY) + b"\n"
    assert harmless('{"a":"\u202e##[x] \U000e0041"}') == '{"a":"\\u202e#\\u0023[x] \\udb40\\udc41"}'


Edit = Callable[[dict[str, Any]], None]


def _verdict(fields: dict[str, Any]) -> None:
    fields["verdict"] = "allow"


def _no_id(fields: dict[str, Any]) -> None:
    del fields["id"]


def _other_id(fields: dict[str, Any]) -> None:
    fields["id"] = "sha256:" + "0" * 64


def _odd_id(fields: dict[str, Any]) -> None:
    fields["id"] = ["\x1b[31m"]


def _finding(fields: dict[str, Any]) -> None:
    fields["judgements"][0]["result"]["findings"] = []


@pytest.mark.parametrize("edit", [_verdict, _no_id, _other_id, _odd_id, _finding])
def test_a_record_that_was_edited_is_refused(edit: Edit) -> None:
    fields = _fields()
    edit(fields)
    with pytest.raises(ConfigError, match=r"the record's id is .*, its content has sha256:[0-9a-f]{64}"):
        read_record(rfc8785.dumps(fields))


@pytest.mark.parametrize("bit", range(0, 8 * 400, 37))
def test_no_flipped_bit_goes_unnoticed(bit: int) -> None:
    data = bytearray(record(_DENY))
    data[(bit * 31) // 8 % len(data)] ^= 1 << bit % 8
    with pytest.raises(ConfigError):
        read_record(bytes(data))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda data: json.dumps(json.loads(data)).encode(), "at byte 9 it has", id="spaces"),
        pytest.param(lambda data: data + b" ", "canonical is its end", id="a space at the end"),
        pytest.param(lambda data: data + b"\n\n", "not in canonical form", id="two newlines"),
        pytest.param(lambda data: b"\xef\xbb\xbf" + data, "not JSON", id="a byte order mark"),
        pytest.param(
            lambda data: data.replace(b'{"actor"', b'{"alias":"x","actor"'),
            "not in canonical form",
            id="a key twice",
        ),
        pytest.param(
            lambda data: data.replace(b'"exit_code":1', b'"exit_code":1.0'),
            "it has '.0,",
            id="another number form",
        ),
        pytest.param(
            lambda data: data.replace(b"churn", b"\\u0063hurn", 1), "not in canonical form", id="an escape"
        ),
        pytest.param(lambda data: data[:-1], "not JSON", id="cut off"),
        pytest.param(lambda data: b"", "not JSON", id="empty"),
        pytest.param(lambda data: b"\xff" + data, "not JSON", id="not UTF-8"),
        pytest.param(lambda data: b"[" * 100_000, "not JSON", id="deep"),
        pytest.param(lambda data: b"[]", "not a JSON object", id="a list"),
        pytest.param(lambda data: b'{"a":NaN}', "no canonical form", id="not a number"),
        pytest.param(lambda data: b'{"a":' + b"9" * 5000 + b"}", "not JSON", id="an absurd number"),
        pytest.param(lambda data: b'{"a":' + b"9" * 50 + b"}", "no canonical form", id="a number past 2^53"),
        pytest.param(lambda data: b'{"a":"\\ud800"}', "no canonical form", id="a lone surrogate"),
    ],
)
def test_every_other_form_is_refused_and_the_difference_named(
    change: Callable[[bytes], bytes], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_record(change(record(_DENY)))
    assert words in caught.value.message
    assert not unseen(caught.value.message)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        pytest.param(
            {"schema": "aigate.decision/v2"}, "this aigate reads 'aigate.decision/v1'", id="younger schema"
        ),
        pytest.param({"schema": None}, "this aigate reads", id="no schema"),
        pytest.param({"verdict": "yes"}, "verdict: ", id="a verdict that is none"),
        pytest.param({"extra": 1}, "extra: ", id="a field too many"),
        pytest.param({"exit_code": "1"}, "exit_code: ", id="a wrong type"),
        pytest.param(
            {"now": "2026-11-21T22:18:00+01:00"}, "now is written in another form", id="another zone"
        ),
    ],
)
def test_a_whole_record_that_is_no_decision_is_refused(edit: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_record(_signed({**_fields(), **edit}))
    assert words in caught.value.message


def test_a_record_from_before_a_field_was_added_is_still_read() -> None:
    older = _fields()
    del older["previous"]
    assert read_record(_signed(older)) == _DENY


def test_a_record_from_before_there_were_waivers_is_read() -> None:
    older = _fields()
    del older["waivers_digest"], older["waivers"]["refused"], older["waivers"]["elsewhere"]
    for row in older["judgements"]:
        del row["waived"]
    assert read_record(_signed(older)) == _DENY


def test_a_huge_record_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aigate.report.json.MAX_RECORD", 10)
    with pytest.raises(ConfigError, match="at most 10 are read"):
        read_record(record(_DENY))
