"""How fresh a stage's data are, as its own source tells it: one file an adapter, one answer for all.

An adapter reads what its source says and returns instants; ages, limits and
verdicts are other rooms' work. Whatever cannot be read, or cannot be true, is
`Missing` with a reason: a source that is silent, broken or dishonest is never
fresh.
"""

from collections.abc import Callable
from typing import Any

from aigate.collect.freshness import airflow, dbt, headers, json, prometheus
from aigate.collect.freshness.reading import Found, NoEvidenceError, Reading, World
from aigate.collect.response import FetchError
from aigate.snapshot import Source
from aigate.sources import (
    AirflowFreshness,
    DbtFreshness,
    Freshness,
    HeaderFreshness,
    JsonFreshness,
    PrometheusFreshness,
)
from aigate.values import missing

__all__ = ["ADAPTERS", "Reading", "World", "read_freshness"]

ADAPTERS: dict[type[Freshness], tuple[str, Callable[[Any, World], Found]]] = {
    JsonFreshness: ("json", json.read),
    HeaderFreshness: ("headers", headers.read),
    DbtFreshness: ("dbt", dbt.read),
    PrometheusFreshness: ("prometheus", prometheus.read),
    AirflowFreshness: ("airflow", airflow.read),
}
"""What is declared, the adapter's name in records, and the function that reads it."""


def read_freshness(stage: str, declared: Freshness, world: World) -> Reading:
    """Ask a stage's source how fresh its data are.

    Raises ConfigError where the declaration itself cannot be carried out (a
    JMESPath that is none, a query that hides missing data); everything the
    source does is in the answer.
    """
    name, read = ADAPTERS[type(declared)]
    try:
        found = read(declared, world)
    except NoEvidenceError as e:
        return _nothing(stage, name, e.reason, e.shown, world)
    except FetchError as e:
        tries = f", {len(e.attempts)} times" if len(e.attempts) > 1 else ""
        return _nothing(stage, name, f"{e.reason}{tries}; {e.fix}", e.shown, world)
    source = Source(
        name=f"freshness:{stage}",
        adapter=name,
        shown=found.shown,
        status="ok",
        fetched_at=world.now,
        observed_at=found.evidence.observed_at,
        digest=found.digest,
    )
    return Reading(found.evidence, source)


def _nothing(stage: str, adapter: str, reason: str, shown: str, world: World) -> Reading:
    source = Source(
        name=f"freshness:{stage}",
        adapter=adapter,
        shown=shown,
        status="missing",
        reason=reason,
        fetched_at=world.now,
    )
    return Reading(missing(reason, shown), source)
