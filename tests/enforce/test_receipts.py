"""Tags that aigate leaves behind: read back as they were written, and nothing else is taken for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.bound import OWN_TAGS
from aigate.enforce.receipts import ANCHOR, MAX_TAG, QUARANTINE, RECEIPT, anchor, head_in, receipt, store_in
from aigate.ledger import Head
from histories import digest_of

DIGEST = digest_of("a")
HEAD = Head(seq=7, digest=DIGEST)


@given(st.integers(1, 10_000_000), st.sampled_from("0123456789abcdef"), st.booleans())
def test_what_was_written_is_read_back(seq: int, letter: str, decided: bool) -> None:
    digest = digest_of(letter)
    text = receipt(seq, digest, digest_of("d") if decided else None)
    assert head_in({RECEIPT: text}, RECEIPT) == Head(seq=seq, digest=digest)
    text = anchor(Head(seq=seq, digest=digest), "sqlite")
    assert head_in({ANCHOR: text}, ANCHOR) == Head(seq=seq, digest=digest)
    assert store_in({ANCHOR: text}) == "sqlite"


def test_the_tags_have_one_form() -> None:
    assert anchor(HEAD, "mlflow") == f'{{"digest":"{DIGEST}","seq":7,"store":"mlflow"}}'
    assert receipt(7, DIGEST, None) == f'{{"decision":null,"digest":"{DIGEST}","seq":7}}'
    assert (
        receipt(7, DIGEST, digest_of("d")) == f'{{"decision":"{digest_of("d")}","digest":"{DIGEST}","seq":7}}'
    )


def test_the_tags_are_aigates_own_and_bind_nothing() -> None:
    assert {ANCHOR, RECEIPT, QUARANTINE} < set(OWN_TAGS)


@pytest.mark.parametrize("kind", ["mlflow", "sqlite", "postgresql"])
def test_a_tag_fits_where_mlflow_cuts(kind: str) -> None:
    longest = anchor(Head(seq=10_000_000, digest=DIGEST), kind)
    assert len(longest) < len(receipt(10_000_000, DIGEST, DIGEST)) < MAX_TAG


def test_where_there_is_no_tag_there_is_no_head() -> None:
    assert head_in({}, ANCHOR) is None
    assert head_in({RECEIPT: receipt(1, DIGEST, None)}, ANCHOR) is None


def tag(**fields: object) -> str:
    return json.dumps({"seq": 7, "digest": DIGEST} | fields)


FOREIGN = {
    "empty": "",
    "words": "promoted by kai",
    "null": "null",
    "true": "true",
    "a number": "7",
    "a list": f'[7,"{DIGEST}"]',
    "text": f'"{DIGEST}"',
    "an empty object": "{}",
    "no digest": '{"seq":7}',
    "no number": f'{{"digest":"{DIGEST}"}}',
    "number null": tag(seq=None),
    "number as text": tag(seq="7"),
    "number zero": tag(seq=0),
    "number negative": tag(seq=-7),
    "number with a fraction": tag(seq=7.5),
    "number as a float": tag(seq=7.0),
    "number true": tag(seq=True),
    "number not a number": tag(seq=float("nan")),
    "number without end": f'{{"digest":"{DIGEST}","seq":1e999}}',
    "digest null": tag(digest=None),
    "digest short": tag(digest=DIGEST[:-1]),
    "digest long": tag(digest=DIGEST + "a"),
    "digest of another kind": tag(digest="md5:" + "a" * 64),
    "digest in capitals": tag(digest=DIGEST.upper()),
    "digest with a newline": tag(digest=DIGEST + "\n"),
    "cut off": anchor(HEAD, "mlflow")[:-1],
    "twice": anchor(HEAD, "mlflow") * 2,
    "deep": "[" * 1_900,
    "deeper than is read": '{"a":' * 100_000,
    "half a character": '"\ud800"',
    "longer than any tag": anchor(HEAD, "mlflow") + " " * MAX_TAG,
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize("key", [ANCHOR, RECEIPT])
def test_what_aigate_did_not_write_is_said_not_to_be(key: str, text: str) -> None:
    assert head_in({key: text}, key) == f"the tag {key} is not what aigate writes"


@given(st.text(max_size=60))
def test_no_text_stops_the_reading(text: str) -> None:
    assert isinstance(head_in({ANCHOR: text}, ANCHOR), str)
    assert store_in({ANCHOR: text}) == ""


@pytest.mark.parametrize(
    "text", [*FOREIGN.values(), tag(store=None), tag(store=7), tag(store=["mlflow"]), tag(store="x" * 21)],
    ids=[*FOREIGN, "null store", "numbered store", "listed store", "long store"],
)  # fmt: skip
def test_a_store_that_is_not_named_is_none(text: str) -> None:
    assert store_in({ANCHOR: text}) == ("mlflow" if text.endswith(" ") else "")


def test_where_there_is_no_anchor_no_store_is_named() -> None:
    assert store_in({}) == ""
    assert store_in({RECEIPT: anchor(HEAD, "mlflow")}) == ""
