"""Ask one source for one stage's freshness, the way the gate does."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from aigate.collect.credential import Credential
from aigate.collect.deadline import Deadline
from aigate.collect.fetch import Fetcher
from aigate.collect.freshness import Reading, World, read_freshness
from aigate.collect.freshness.document import is_url
from aigate.collect.network import NetworkRule
from aigate.sources import FRESHNESS
from asking import Ask, declare


@pytest.fixture
def ask(now: datetime, tmp_path: Path) -> Iterator[Ask]:
    """Return a function that reads what a mapping declares, at `now`, with relative files in `tmp_path`."""
    opened: list[Fetcher] = []

    def ask(
        declared: Mapping[str, object],
        *,
        at: datetime = now,
        token: str | None = None,
        seconds: float = 10,
        trusted: bool = True,
    ) -> Reading:
        freshness = declare(declared)
        places = [getattr(freshness, key, None) for key in FRESHNESS]
        urls = [place for place in places if place is not None and is_url(place)]
        fetcher = Fetcher(
            deadline=Deadline(seconds),
            rule=NetworkRule.build(urls, trusted=True),
            credentials=[Credential.of(urls[0], bearer=token)] if token else [],
            sleep=lambda pause: None,
        )
        opened.append(fetcher)
        return read_freshness("features", freshness, World(fetcher, tmp_path, at, trusted=trusted))

    yield ask
    for fetcher in opened:
        fetcher.close()
