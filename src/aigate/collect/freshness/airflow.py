"""Airflow: the newest event of a dataset (2.4 and later, `/api/v1`) or an asset (3, `/api/v2`).

An event says that a task which updates the thing succeeded. Airflow lists
events oldest first unless told otherwise, forgets them by retention, and (2)
answers with everybody's events where it does not understand the filter; so
the order and the owner of what comes back are checked here.
"""

from dataclasses import dataclass

from aigate.collect.freshness.document import Document, document_of, under
from aigate.collect.freshness.reading import Found, NoEvidenceError, World, evidence, name_of
from aigate.collect.response import FetchError
from aigate.sources import AirflowFreshness

_PAGE = 100
_MOST_PAGES = 20


@dataclass(frozen=True)
class _Api:
    """Where one generation of Airflow keeps its things, and what it calls them."""

    things: str
    """The path and the key of the collection."""
    prefix: str
    event_key: str
    id_param: str


_V2 = _Api("assets", "/api/v2", "asset_events", "asset_id")
_V1 = _Api("datasets", "/api/v1", "dataset_events", "dataset_id")


def read(declared: AirflowFreshness, world: World) -> Found:
    """Find out which Airflow it is, find the asset, and read its newest event."""
    api, listing = _first_page(declared, world)
    number = _find(api, listing, declared, world)
    events_path = f"{api.prefix}/{api.things}/events"
    filters = {api.id_param: str(number), "order_by": "-timestamp", "limit": "2"}
    document = _get(events_path, filters, declared, world)
    events = _listed(document, api.event_key)
    if not events:
        raise NoEvidenceError(
            f"{declared.asset} has no events: it was never updated, or they were cleaned away", document.shown
        )
    if any(event.get(api.id_param) != number for event in events):
        raise NoEvidenceError("answers with events of other assets", document.shown)
    times = [document.clock.read(event.get("timestamp"), "the event's timestamp") for event in events]
    if times != sorted(times, reverse=True):
        raise NoEvidenceError("does not list the newest event first, though asked to", document.shown)
    newest = events[0]
    extra = newest.get("extra")
    if isinstance(extra, dict) and extra.get("from_rest_api") is True:
        document.clock.notes.append("the event was posted through the API, not by a task")
    run = newest.get("source_run_id")
    found = evidence(
        declared,
        document.clock,
        document.shown,
        as_of=times[0],
        observed_at=document.observed_at,
        version=None if run is None else name_of(run, "the event's run", document.shown),
    )
    return Found(found, document.shown, document.digest)


def _first_page(declared: AirflowFreshness, world: World) -> tuple[_Api, Document]:
    """Return which API answers, and the first page of what matches the asset's name."""
    try:
        return _V2, _page(_V2, 0, declared, world)
    except FetchError as e:
        if e.status != 404:
            raise
    try:
        return _V1, _page(_V1, 0, declared, world)
    except FetchError as e:
        if e.status != 404:
            raise
        raise NoEvidenceError(
            "no Airflow with assets (/api/v2) or datasets (/api/v1, 2.4 and later) answers here", e.shown
        ) from e


def _key(api: _Api, asset: str) -> str:
    """Return what the asset is called by: datasets have no name, only a URI."""
    return "uri" if api is _V1 or "://" in asset else "name"


def _page(api: _Api, offset: int, declared: AirflowFreshness, world: World) -> Document:
    # The pattern matches parts and wildcards, so that the exact one is chosen from what comes back.
    pattern = f"{_key(api, declared.asset)}_pattern"
    filters = {pattern: declared.asset, "limit": str(_PAGE), "offset": str(offset)}
    return _get(f"{api.prefix}/{api.things}", filters, declared, world)


def _find(api: _Api, listing: Document, declared: AirflowFreshness, world: World) -> int:
    """Return the id of the one asset with exactly this URI or name.

    Pages may be shorter than asked for (`maximum_page_limit`), and Airflow 2
    counts all datasets as `total_entries` whether they match or not: only an
    empty page is the end for certain.
    """
    key, seen = _key(api, declared.asset), 0
    similar: list[str] = []
    for _ in range(_MOST_PAGES):
        things = _listed(listing, api.things)
        exact = [thing for thing in things if thing.get(key) == declared.asset]
        if exact:
            return _id_of(exact, api, declared, listing)
        similar += [str(thing.get(key))[:80] for thing in things]
        seen += len(things)
        if not things or seen == _total(listing):
            break
        listing = _page(api, seen, declared, world)
    raise NoEvidenceError(
        f"has no active {api.things[:-1]} {declared.asset} (similar ones: {', '.join(similar[:5]) or 'none'})",
        listing.shown,
    )


def _id_of(exact: list[dict[str, object]], api: _Api, declared: AirflowFreshness, listing: Document) -> int:
    number = exact[0].get("id")
    if len(exact) > 1 or not isinstance(number, int):
        raise NoEvidenceError(f"has {len(exact)} {api.things} called {declared.asset}", listing.shown)
    return number


def _total(listing: Document) -> object:
    return listing.value.get("total_entries") if isinstance(listing.value, dict) else None


def _get(path: str, params: dict[str, str], declared: AirflowFreshness, world: World) -> Document:
    response = world.fetcher.get(under(declared.airflow, path), params=params)
    return document_of(response, declared, world)


def _listed(document: Document, key: str) -> list[dict[str, object]]:
    """Return the entries of a collection."""
    value = document.value
    entries = value.get(key) if isinstance(value, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise NoEvidenceError(f"not an answer of Airflow: it has no {key}", document.shown)
    return entries
