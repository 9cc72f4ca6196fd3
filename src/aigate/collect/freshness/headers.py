"""The `Last-Modified` header of an address: when the thing behind it last changed, says its server."""

from datetime import timedelta

from aigate.collect.freshness.reading import Clock, Found, NoEvidenceError, World, evidence
from aigate.collect.response import FetchError, Response
from aigate.sources import HeaderFreshness

_NO_HEAD = frozenset({400, 403, 404, 405, 501})
"""How servers and signed addresses refuse a HEAD where a GET would do."""


def read(declared: HeaderFreshness, world: World) -> Found:
    """Ask for the headers. No condition is sent (a 304 says nothing), and no body is read."""
    response = _ask(declared.headers, world)
    shown = response.url_shown
    clock = Clock(world, declared, shown)
    if response.header("last-modified") is None:
        raise NoEvidenceError("answers without a (single) Last-Modified header", shown)
    as_of = clock.read_http(response.header("last-modified"), "the Last-Modified header")
    observed_at = clock.observed(response)
    if response.server_date is not None and response.server_date - as_of < timedelta(seconds=1):
        clock.notes.append(
            "Last-Modified is the moment of asking: a page made anew each time looks like this"
        )
    found = evidence(declared, clock, shown, as_of=as_of, observed_at=observed_at)
    return Found(found, shown, None)


def _ask(url: str, world: World) -> Response:
    try:
        return world.fetcher.head(url)
    except FetchError as e:
        if e.status not in _NO_HEAD:
            raise
    return world.fetcher.get(url, accept=(), read_body=False)
