"""Secrets of a run, and texts without them. Pure.

GitHub masks its own secrets in its own log, and nothing else: not a comment,
not an artifact, not a credential that came from elsewhere.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, unquote, urlsplit

SHORTEST: Final = 4
"""Characters below which masking would tear holes into ordinary text."""

MASK: Final = "***"

_VARIABLES: Final = (
    "AIGATE_GITHUB_TOKEN",
    "AIGATE_SIGNING_KEY",
    "GITHUB_TOKEN",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "DATABRICKS_TOKEN",
    "DATABRICKS_CLIENT_SECRET",
    "PGPASSWORD",
)
_ADDRESSES: Final = (
    "AIGATE_LEDGER",
    "AIGATE_INPUT_LEDGER",
    "MLFLOW_TRACKING_URI",
    "AIGATE_INPUT_MLFLOW_TRACKING_URI",
)
"""Variables with an address that may have a password in it."""


def secrets_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return every text that must not be shown, longest first: each line of each secret, and how it travels."""
    found: set[str] = set()
    for name in _VARIABLES:
        found.update(line.strip() for line in environ.get(name, "").splitlines() if not _is_frame(line))
    for name in _ADDRESSES:
        found.update(_credentials(environ.get(name, "")))
    user, password = environ.get("MLFLOW_TRACKING_USERNAME", ""), environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if password:
        found.add(base64.b64encode(f"{user}:{password}".encode()).decode())
    for secret in tuple(found):
        found.update((quote(secret, safe=""), base64.b64encode(secret.encode()).decode()))
    return tuple(sorted((text for text in found if len(text) >= SHORTEST), key=len, reverse=True))


def _is_frame(line: str) -> bool:
    """Whether a line only says what stands between it and its twin, as in PEM (RFC 7468)."""
    return line.startswith("-----")


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return a text without any of the secrets."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def _credentials(address: str) -> tuple[str, ...]:
    """Return an address's password, as it stands there, as it is meant, and as it is sent with its user."""
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return ()
    user, password = parts.username or "", parts.password or ""
    if not password:
        return ()
    basic = f"{unquote(user)}:{unquote(password)}"
    return password, unquote(password), base64.b64encode(basic.encode()).decode()
