"""A credential is taken out of whatever is published, in the ways in which it travels."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.action.secret import MASK, SHORTEST, masked, secrets_of

TOKEN = "tok/en+7f=9"
VARIABLES = (
    "AIGATE_GITHUB_TOKEN",
    "AIGATE_SIGNING_KEY",
    "GITHUB_TOKEN",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "DATABRICKS_TOKEN",
    "DATABRICKS_CLIENT_SECRET",
    "PGPASSWORD",
)
ADDRESSES = (
    "AIGATE_LEDGER",
    "AIGATE_INPUT_LEDGER",
    "MLFLOW_TRACKING_URI",
    "AIGATE_INPUT_MLFLOW_TRACKING_URI",
)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("way", [str, quote, encoded, lambda text: quote(text, safe="")])
def test_a_variables_secret_is_masked_however_it_travels(name: str, way: object) -> None:
    text = f"it said {way(TOKEN)}."  # type: ignore[operator]
    shown = masked(text, secrets_of({name: TOKEN}))
    assert TOKEN not in shown
    assert (
        shown == f"it said {MASK}." or way is quote
    )  # `/` is left in place by it, and so masked in part or whole


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_password_in_an_address_is_masked(name: str) -> None:
    secrets = secrets_of({name: "https://ana:p%40ss-word@host/path"})
    for text in ("p%40ss-word", "p@ss-word", encoded("ana:p@ss-word")):
        assert masked(f"<{text}>", secrets) == f"<{MASK}>", text
    assert masked("ana at host", secrets) == "ana at host"


@pytest.mark.parametrize("address", ["https://[bad", "", "mlflow", "https://host", "http://u@h", "://:@"])
def test_an_address_without_a_password_masks_nothing(address: str) -> None:
    assert secrets_of({"MLFLOW_TRACKING_URI": address}) == ()


def test_user_and_password_are_masked_as_they_are_sent_together() -> None:
    secrets = secrets_of({"MLFLOW_TRACKING_USERNAME": "ana", "MLFLOW_TRACKING_PASSWORD": "hunter2222"})
    assert masked(f"Basic {encoded('ana:hunter2222')}", secrets) == f"Basic {MASK}"


def test_each_line_of_a_key_is_masked_and_no_ordinary_word() -> None:
    secrets = secrets_of({"GITHUB_TOKEN": "first-line\r\n  second-line\n\nab\n"})
    assert masked("second-line, ab, first-line", secrets) == f"{MASK}, ab, {MASK}"
    assert all(len(secret) >= SHORTEST for secret in secrets)


def test_the_longest_goes_first() -> None:
    secrets = secrets_of({"GITHUB_TOKEN": "abcd", "PGPASSWORD": "abcdefgh"})
    assert masked("abcdefgh", secrets) == MASK


@given(st.dictionaries(st.sampled_from(VARIABLES), st.text(min_size=SHORTEST, max_size=20)), st.text())
def test_no_secret_is_left_in_any_text(values: dict[str, str], around: str) -> None:
    secrets = secrets_of(values)
    for value in values.values():
        for line in (part.strip() for part in value.splitlines()):
            if len(line) >= SHORTEST and "*" not in line:
                assert line not in masked(f"{around}{line}{around}", secrets)


def test_a_key_is_masked_and_what_frames_it_is_not() -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAA\n-----END PRIVATE KEY-----\n"
    shown = masked(pem, secrets_of({"AIGATE_SIGNING_KEY": pem}))
    assert shown == f"-----BEGIN PRIVATE KEY-----\n{MASK}\n-----END PRIVATE KEY-----\n"
