"""Addresses as aigate reads them: one strict form, so that no two parsers can disagree about a host."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urljoin

from aigate.errors import AigateError

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#.*)?",
    re.IGNORECASE,
)
_AUTHORITY = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
)
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")
_ODD_CHARACTER = re.compile(r"[^\x21-\x7e]|\\")
_LONGEST = 8_000
_PORTS = {"http": 80, "https": 443}


class RefusedUrlError(AigateError):
    """An address that aigate does not open. The message never repeats it."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Origin:
    """Scheme, host and port: what a credential is bound to and a redirect may not leave."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        """Return the origin of an address; raise RefusedUrlError where it is not a plain http(s) URL."""
        return Url.read(url).origin

    @property
    def netloc(self) -> str:
        """The host as the `Host` header has it: with its port where that is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


@dataclass(frozen=True)
class Url:
    """An address taken apart: what is connected to, and what is asked there."""

    origin: Origin
    path: str
    query: str

    @classmethod
    def read(cls, text: str) -> "Url":
        """Take an http(s) URL apart; raise RefusedUrlError for anything but its plain form.

        Refused besides other schemes: user information, control characters,
        spaces and backslashes, hosts that are not ASCII, and the numeric
        spellings of IPv4 that resolvers take and people do not see through
        (`0x7f.1`, `2130706433`, `127.1`).
        """
        if len(text) > _LONGEST:
            raise RefusedUrlError(f"an address longer than {_LONGEST} characters", fix="shorten it")
        if _ODD_CHARACTER.search(text):
            raise RefusedUrlError(
                "an address with a space, a backslash, a control character or a letter outside ASCII",
                fix="percent-encode it; write an international host name in its xn-- form",
            )
        match = _URL.fullmatch(text)
        if match is None:
            raise RefusedUrlError("not an http:// or https:// address", fix="write https://host/path")
        scheme = match["scheme"].lower()
        host, port = _authority(match["authority"])
        path = quote(match["path"] or "/", safe="/%:@!$&'()*+,;=~-._")
        query = quote(match["query"] or "", safe="/?%:@!$&'()*+,;=~-._")
        return cls(Origin(scheme, host, port or _PORTS[scheme]), path, query)

    @property
    def shown(self) -> str:
        """The address for people: origin and path, without the query."""
        return f"{self.origin}{self.path}"

    @property
    def target(self) -> str:
        """The request target: path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def with_params(self, params: dict[str, str]) -> "Url":
        """Return the address with parameters added to its query."""
        parts = [part for part in (self.query, urlencode(params)) if part]
        return Url(self.origin, self.path, "&".join(parts))

    def join(self, location: str) -> "Url":
        """Return where a `Location` header leads from here; raise RefusedUrlError as `read` does."""
        if _ODD_CHARACTER.search(location):
            # Joining drops tabs and newlines silently.
            raise RefusedUrlError("an address with characters that do not belong there")
        try:
            return Url.read(urljoin(f"{self.origin}{self.target}", location))
        except ValueError as e:
            raise RefusedUrlError("a redirect to an address that cannot be read") from e


def _authority(text: str) -> tuple[str, int | None]:
    if "@" in text:
        raise RefusedUrlError(
            "an address with a user name or password in it",
            fix="take them out of the address; give credentials by environment variable",
        )
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise RefusedUrlError("an address without a readable host", fix="write https://host:port/path")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65_536:
        raise RefusedUrlError("an address with an impossible port", fix="ports run from 1 to 65535")
    try:
        if match["six"]:
            return str(ipaddress.IPv6Address(match["six"])), port
        if _ENDS_IN_NUMBER.fullmatch(match["name"]):
            return str(ipaddress.IPv4Address(match["name"])), port
    except ValueError as e:
        raise RefusedUrlError(
            "an address whose host is a number in an unusual spelling",
            fix="write IPv4 as four decimal numbers, such as 10.0.0.1",
        ) from e
    # A trailing dot names the same host, and would be a second name for it in every table below.
    host = match["name"].lower().rstrip(".")
    if not host:
        raise RefusedUrlError("an address without a readable host", fix="write https://host:port/path")
    return host, port
