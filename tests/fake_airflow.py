"""Airflow's REST API on loopback, as far as datasets and assets go: 2.x under /api/v1, 3.x under /api/v2.

It behaves as Airflow does, not as one would wish: events come oldest first
unless `order_by` says otherwise, an unknown filter filters nothing, patterns
match parts without regard to case and with SQL's wildcards, pages are capped
by the server, and Airflow 2 counts all datasets whether they match or not.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime

from fakes import Asked, Reply, WebServer, json_reply


@dataclass
class Thing:
    """A dataset or asset with the times of its events."""

    id: int
    uri: str
    name: str = ""
    events: list[str] = field(default_factory=list)
    extra: dict[str, object] = field(default_factory=dict)
    run: str | None = "scheduled__2026-11-21"


class Airflow:
    """One Airflow of generation 2 or 3."""

    def __init__(
        self,
        generation: int,
        things: list[Thing],
        now: datetime,
        *,
        page_limit: int = 100,
        sorts: bool = True,
        filters: bool = True,
    ) -> None:
        self.things = things
        self._date = format_datetime(now, usegmt=True)
        self._page_limit = page_limit
        self._sorts = sorts
        self._filters = filters
        self._generation = generation
        kind, key = ("/api/v2/assets", "assets") if generation == 3 else ("/api/v1/datasets", "datasets")
        gone = Reply(b"<h1>Airflow 404 = lots of circles</h1>", 404, content_type="text/html; charset=utf-8")
        if generation == 3:
            gone = json_reply({"detail": "/api/v1 has been removed in Airflow 3"}, 404)
        self.server = WebServer({kind: self._list(key), f"{kind}/events": self._events}, default=gone)

    def _answer(self, asked: Asked, key: str, entries: list[dict[str, object]], total: int) -> Reply:
        offset = int(asked.param("offset") or 0)
        limit = min(int(asked.param("limit") or 50), self._page_limit)
        return json_reply({key: entries[offset : offset + limit], "total_entries": total}, date=self._date)

    def _list(self, key: str):  # type: ignore[no-untyped-def]
        def route(asked: Asked) -> Reply:
            matching = [thing for thing in self.things if self._matches(thing, asked)]
            total = len(matching) if self._generation == 3 else len(self.things)
            return self._answer(asked, key, [self._show(thing) for thing in matching], total)

        return route

    def _matches(self, thing: Thing, asked: Asked) -> bool:
        pairs = [("uri_pattern", thing.uri)]
        if self._generation == 3:
            pairs.append(("name_pattern", thing.name))
        return all(_like(asked.param(param), text) for param, text in pairs if asked.param(param))

    def _show(self, thing: Thing) -> dict[str, object]:
        shown: dict[str, object] = {
            "id": thing.id,
            "uri": thing.uri,
            "extra": {},
            "created_at": "2026-01-01T00:00:00Z",
        }
        return shown | ({"name": thing.name, "group": "asset"} if self._generation == 3 else {})

    def _events(self, asked: Asked) -> Reply:
        kind = "asset" if self._generation == 3 else "dataset"
        wanted = asked.param(f"{kind}_id")
        events: list[dict[str, object]] = [
            {
                f"{kind}_id": thing.id,
                "uri" if kind == "asset" else "dataset_uri": thing.uri,
                "timestamp": timestamp,
                "extra": thing.extra,
                "source_dag_id": "build",
                "source_task_id": "load",
                "source_run_id": thing.run,
                "source_map_index": -1,
                "created_dagruns": [],
            }
            for thing in self.things
            for timestamp in thing.events
            if not self._filters or wanted is None or str(thing.id) == wanted
        ]
        newest_first = self._sorts and asked.param("order_by") == "-timestamp"
        events.sort(key=lambda event: str(event["timestamp"]), reverse=newest_first)
        return self._answer(asked, f"{kind}_events", events, len(events))


def _like(pattern: str | None, text: str) -> bool:
    regex = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern or "")
    return re.search(regex, text, re.IGNORECASE) is not None
