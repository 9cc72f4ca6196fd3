import base64
import json
import logging
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.collect.redact import MARK, Redactor, quiet_http_loggers, shown_url

SECRET = 'p@ss/w"rd+\\ü1'


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        json.dumps(SECRET),
        repr(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_every_written_form_of_a_secret_goes(text: str) -> None:
    cleaned = Redactor([SECRET]).clean(f"before {text} after")
    assert MARK in cleaned
    assert "ss/w" not in cleaned
    assert text.strip("\"'") not in cleaned
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")


@given(st.text(min_size=4, max_size=40).filter(lambda s: s.strip() and s not in MARK), st.text(), st.text())
def test_no_secret_survives(secret: str, before: str, after: str) -> None:
    assert secret not in Redactor([secret]).clean(before + secret + after).replace(MARK, "\x00")


def test_of_two_secrets_the_longer_goes_first() -> None:
    assert Redactor(["abcd", "abcdefgh"]).clean("abcdefgh abcd") == f"{MARK} {MARK}"


def test_a_short_secret_goes_as_a_word_and_leaves_others_alone() -> None:
    assert Redactor(["abc"]).clean("abc abcd dabc (abc)") == f"{MARK} abcd dabc ({MARK})"


def test_empty_secrets_do_nothing() -> None:
    assert Redactor(["", "  "]).clean("some text") == "some text"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET http://u:p@host/x failed", f"GET http://{MARK}@host/x failed"),
        ("postgresql://u:p@w@host/db", f"postgresql://{MARK}@host/db"),
        ("at https://h/x?token=1&y=2.", f"at https://h/x?{MARK}"),
        ("<https://h/x?sig=a#b>", f"<https://h/x?{MARK}>"),
        ("https://h/x stays, mail a@b stays", "https://h/x stays, mail a@b stays"),
    ],
)
def test_addresses_are_cut_by_shape(text: str, expected: str) -> None:
    assert Redactor().clean(text) == expected


def test_a_redactor_does_not_show_what_it_hides() -> None:
    assert SECRET not in repr(Redactor([SECRET]))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:pw@host:1/a?q#f", "https://host:1/a"),
        ("https://user:p@w@host/a", "https://host/a"),
        ("https://host/a@b", "https://host/a@b"),
        ("https://host?x=a/b@c", "https://host"),
        ("target/sources.json?x", "target/sources.json"),
        ("http://host/\x1b[31m", "http://host/?[31m"),
    ],
)
def test_shown_url(url: str, expected: str) -> None:
    assert shown_url(url) == expected


def test_the_http_loggers_are_quiet_even_when_all_is_traced(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    quiet_http_loggers()
    assert not logging.getLogger("httpcore.http11").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
