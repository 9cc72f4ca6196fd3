"""What a fetch asks for, and what it takes for an answer."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

MAX_BYTES = 1024 * 1024
"""Default cap on a body: evidence is small."""

JSON_TYPES = ("application/json",)
"""The media types of a JSON answer; `application/problem+json` and the like count as it."""

_OWN_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "host", "connection", "accept"})


@dataclass(frozen=True)
class Request:
    """A request without its address: the same over all its tries and hops."""

    method: str
    headers: tuple[tuple[str, str], ...]
    content: bytes
    max_bytes: int
    accept: tuple[str, ...]
    accept_status: Collection[int]
    read_body: bool
    sink: Callable[[bytes], object] | None = None
    """Takes the body piece by piece, in place of the response."""

    @classmethod
    def of(
        cls,
        method: str,
        *,
        json: object,
        headers: Mapping[str, str] | None,
        max_bytes: int,
        accept: tuple[str, ...],
        accept_status: Collection[int],
        read_body: bool,
        sink: Callable[[bytes], object] | None = None,
    ) -> "Request":
        """Make a request; raise ValueError where a caller sets a header that is not his to set."""
        given = headers or {}
        taken = [name for name in given if name.lower() in _OWN_HEADERS]
        if taken:
            raise ValueError(f"header {taken[0]} is not a caller's to set; credentials go by `Credential`")
        own = [
            ("Accept", ", ".join(accept) or "*/*"),
            ("Accept-Encoding", "identity"),
            ("Cache-Control", "no-cache"),
            ("User-Agent", "aigate"),
        ]
        if json is not None:
            own.append(("Content-Type", "application/json"))
        return cls(
            method=method,
            headers=(*own, *given.items()),
            content=b"" if json is None else _encode(json),
            max_bytes=max_bytes,
            accept=accept,
            accept_status=accept_status,
            read_body=read_body,
            sink=sink,
        )

    def takes(self, media_type: str) -> bool:
        """Whether an answer of this type will do; an empty `accept` takes any."""
        if not self.accept or media_type in self.accept:
            return True
        structured = media_type.startswith("application/") and media_type.endswith("+json")
        return structured and "application/json" in self.accept


def _encode(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
