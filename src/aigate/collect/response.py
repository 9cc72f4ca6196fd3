"""What a fetch ends in: a whole answer, or a failure whose text is safe to show."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from aigate.errors import AigateError

Code = Literal[
    "refused_url",
    "blocked_address",
    "dns",
    "connect",
    "tls",
    "deadline",
    "transport",
    "status",
    "redirect",
    "content_type",
    "encoding",
    "too_large",
]

_FIXES: dict[Code, str] = {
    "refused_url": "correct the address",
    "blocked_address": "name the host in the manifest of the protected branch, or use a reachable address",
    "dns": "check the host's name, and that it resolves from here",
    "connect": "check that the service runs, and that this machine may reach it",
    "tls": "check the service's certificate, and the CA bundle given for it",
    "deadline": "find out why the source is slow, or raise the run's deadline",
    "transport": "ask the owner of the source: it breaks off, or does not speak HTTP",
    "status": "ask the owner of the source, or correct the address",
    "redirect": "give the final address instead of one that redirects",
    "content_type": "give the address of the data itself: a log-in page or an error page answers here",
    "encoding": "ask the owner of the source to honour `Accept-Encoding: identity`",
    "too_large": "give an address that answers with the one value instead of everything",
}
_STATUS_FIXES = {
    401: "give a credential for this source, or renew it",
    403: "give the credential the right to read this, or use another one",
    404: "correct the address: there is nothing at it",
    429: "the source limits its readers: ask its owner for a higher limit, or run less often",
}


@dataclass(frozen=True)
class Attempt:
    """One try of a request: how it ended (`200`, `503`, `connect`), and the pause that followed, in seconds."""

    outcome: str
    pause: float = 0.0


class FetchError(AigateError):
    """Nothing usable came back. A collector turns it into `Missing`; at a door it means hold.

    `code` says what kind of failure it was, `shown` where (origin and path),
    `status` the HTTP status where there was one, and `attempts` every try.
    """

    exit_code = 3

    def __init__(
        self,
        code: Code,
        reason: str,
        *,
        shown: str,
        status: int | None = None,
        retry_after: float | None = None,
        attempts: tuple[Attempt, ...] = (),
    ) -> None:
        tries = f" ({len(attempts)} tries)" if len(attempts) > 1 else ""
        fix = _STATUS_FIXES.get(status, _FIXES[code]) if status and code == "status" else _FIXES[code]
        super().__init__(f"{shown}: {reason}{tries}", fix=fix)
        self.code = code
        self.reason = reason
        self.shown = shown
        self.status = status
        self.retry_after = retry_after
        self.attempts = attempts

    def after(self, attempts: tuple[Attempt, ...]) -> "FetchError":
        """Return the same failure with the tries it took."""
        return FetchError(
            self.code,
            self.reason,
            shown=self.shown,
            status=self.status,
            retry_after=self.retry_after,
            attempts=attempts,
        )


@dataclass(frozen=True)
class Response:
    """A whole answer. `url_shown` has no query; `elapsed_ms` covers every try."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """In the order received, names in lower case."""
    body: bytes
    url_shown: str
    elapsed_ms: int
    server_date: datetime | None
    """The `Date` header, in UTC; None where there is none that can be read."""
    attempts: tuple[Attempt, ...] = ()

    def header(self, name: str) -> str | None:
        """Return a header's value; None where it is absent, or stands there twice with two values."""
        found = {value for key, value in self.headers if key == name.lower()}
        return found.pop() if len(found) == 1 else None

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty where there is none."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()


def server_date(headers: tuple[tuple[str, str], ...]) -> datetime | None:
    """Return the `Date` header as an instant; None where there is not exactly one that can be read."""
    values = [value for name, value in headers if name == "date"]
    return _http_date(values[0]) if len(values) == 1 else None


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def retry_after(answer: Response) -> float | None:
    """Return the seconds that `Retry-After` asks for, by the server's own clock where it names a time."""
    value = answer.header("retry-after")
    if value is None:
        return None
    if value.isdecimal():
        return float(value[:9])
    moment = _http_date(value)
    if moment is None or answer.server_date is None:
        return None
    return max(0.0, (moment - answer.server_date).total_seconds())
