"""The one place that keeps secrets out of text: by value, and by the shape of an address."""

import base64
import json
import logging
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MARK = "[redacted]"

_SHORT = 4
"""Below this many characters a secret is replaced as a whole word only, or it would shred all text."""

_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s@]*(?:@[^/?#\s@]*)*@")
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s?#\"'<>]*)[?#][^\s\"'<>]*")
_LOGGERS = ("httpcore", "httpx")


class Redactor:
    """Scrubs known secrets, and the user information and query of any address, from text.

    Every text that leaves the process passes through one of these: messages,
    reports, records, logs. `secrets` are values, not names; empty ones are
    ignored. Their percent-encoded, JSON-escaped and Base64 forms go too.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if secret.strip() for form in _forms(secret)}
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._secrets = re.compile("|".join(map(_pattern, ordered))) if ordered else None

    def __repr__(self) -> str:
        return "Redactor()"

    def without_secrets(self, text: str) -> str:
        """Return `text` with secrets replaced by a mark, and nothing else changed."""
        return text if self._secrets is None else self._secrets.sub(MARK, text)

    def clean(self, text: str) -> str:
        """Return `text` with secrets replaced by a mark, and addresses cut to origin and path."""
        text = _USERINFO.sub(rf"\1{MARK}@", self.without_secrets(text))
        return _QUERY.sub(rf"\1?{MARK}", text)


def shown_url(url: str) -> str:
    """Return an address as people may see it: no user information, no query, no fragment."""
    bare = re.split(r"[?#]", url, maxsplit=1)[0]
    scheme, separator, rest = bare.partition("://")
    if separator:
        authority, slash, path = rest.partition("/")
        bare = f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    return re.sub(r"[^\x21-\x7e]", "?", bare)


def quiet_http_loggers() -> None:
    """Keep the HTTP libraries' loggers from writing addresses, headers and tokens, at any level.

    Called wherever one of them is put to use; a handler on the root logger
    would otherwise print what they trace.
    """
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def _forms(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    encoded = {base64.b64encode(raw), base64.urlsafe_b64encode(raw)}
    return {
        secret,
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        *(form.decode() for form in encoded),
        *(form.decode().rstrip("=") for form in encoded),
    }


def _pattern(form: str) -> str:
    whole_word = rf"(?<!\w){re.escape(form)}(?!\w)"
    return whole_word if len(form) < _SHORT else re.escape(form)
