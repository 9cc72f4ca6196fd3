"""dbt's `sources.json`, as `dbt source freshness` writes it: versions 1 to 3, and dbt Fusion's.

Silence is failure here. dbt leaves out the sources whose query failed, calls
future times `pass`, writes `0001-01-01` for an empty table, and leaves the
file of an earlier run in place when a run fails.
"""

import re

from aigate.collect.freshness.document import Document, read_document
from aigate.collect.freshness.reading import Found, NoEvidenceError, World, evidence, name_of
from aigate.sources import DbtFreshness

_SCHEMA = re.compile(r"https://schemas\.getdbt\.com/dbt/sources/v[0-9]+\.json")
_MAX_BYTES = 8 * 1024 * 1024
"""A warehouse has thousands of sources, at about a kilobyte each."""


def read(declared: DbtFreshness, world: World) -> Found:
    """Find the one source in the artifact and read its instants."""
    document = read_document(declared.dbt, declared, world, max_bytes=_MAX_BYTES)
    shown, clock = document.shown, document.clock
    metadata, results = _parts(document)
    generated_at = clock.read(metadata.get("generated_at"), "metadata.generated_at")
    row = _row(results, declared.source, shown)
    status = name_of(row.get("status"), f"the status of {declared.source}", shown).lower()
    if row.get("error") is not None or "max_loaded_at" not in row:
        raise NoEvidenceError(f"dbt could not read {declared.source} (status {status!r})", shown)
    snapshotted_at = clock.read(row.get("snapshotted_at"), f"snapshotted_at of {declared.source}")
    found = evidence(
        declared,
        clock,
        shown,
        as_of=clock.read(row["max_loaded_at"], f"max_loaded_at of {declared.source}"),
        observed_at=min(generated_at, snapshotted_at, world.now),
        claimed=status,
    )
    return Found(found, shown, document.digest)


def _parts(document: Document) -> tuple[dict[str, object], list[object]]:
    value = document.value
    metadata = value.get("metadata") if isinstance(value, dict) else None
    results = value.get("results") if isinstance(value, dict) else None
    if not isinstance(metadata, dict) or not isinstance(results, list):
        raise NoEvidenceError("not dbt's sources.json: it has no metadata and results", document.shown)
    schema = metadata.get("dbt_schema_version")
    if not isinstance(schema, str) or not _SCHEMA.fullmatch(schema):
        raise NoEvidenceError(
            "not dbt's sources.json: another dbt artifact, or a schema of its own", document.shown
        )
    return metadata, results


def _row(results: list[object], wanted: str, shown: str) -> dict[str, object]:
    rows = [row for row in results if isinstance(row, dict) and _is(wanted, row.get("unique_id"))]
    if len(rows) == 1:
        return rows[0]
    if rows:
        raise NoEvidenceError(
            f"{len(rows)} sources are called {wanted}; name one by its whole unique id", shown
        )
    known = sorted(str(row.get("unique_id"))[:80] for row in results if isinstance(row, dict))
    listed = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
    raise NoEvidenceError(
        f"{wanted} is not in it: dbt leaves out what it could not query or was not asked about"
        f" (it has: {listed or 'nothing'})",
        shown,
    )


def _is(wanted: str, unique_id: object) -> bool:
    """Whether a unique id (`source.package.name.table`) is the one meant by itself or by `name.table`."""
    if not isinstance(unique_id, str):
        return False
    return unique_id == wanted or (unique_id.startswith("source.") and unique_id.split(".", 2)[-1] == wanted)
