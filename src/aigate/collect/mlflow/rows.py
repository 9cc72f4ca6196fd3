"""Two versions on the same rows: their per-row results, reduced to what a paired test needs. Pure.

`mlflow.models.evaluate` writes `eval_results_table.json`: the rows it was
given, the model's outputs, and a column `<metric>/score` for each metric that
scores rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from aigate.collect.mlflow.reader import RegistryError
from aigate.collect.mlflow.typed import short
from aigate.collect.strict import StrictError, load_json
from aigate.snapshot import PairedRows

TABLE = "eval_results_table.json"
"""Where MLflow's evaluation writes its per-row results, at the root of its run."""

TABLE_BYTES = 16 * 1024 * 1024
"""Largest table that is read."""

_NOT_INPUTS = ("outputs", "prediction", "predictions", "latency", "token_count")
_SUFFIXES = ("/score", "/justification")
_TOLERANCE = Decimal("1e-6")


@dataclass(frozen=True)
class Table:
    """Per-row results of one version: columns of equal length."""

    columns: dict[str, tuple[object, ...]]
    rows: int

    def scores(self, metric: str) -> tuple[Decimal | None, ...] | None:
        """Return a metric's score on each row, None where it has none; None where the table has no such column."""
        for name in (f"{metric.removesuffix('/mean')}/score", metric.removesuffix("/mean")):
            if name in self.columns:
                return tuple(_score(cell) for cell in self.columns[name])
        return None


def read_table(body: bytes) -> Table:
    """Read a table in the layout pandas calls `split`."""
    try:
        found = load_json(body, source=TABLE, max_bytes=TABLE_BYTES)
    except StrictError as e:
        raise RegistryError("broken", str(e)) from e
    columns = found.get("columns") if isinstance(found, dict) else None
    data = found.get("data") if isinstance(found, dict) else None
    if (
        not isinstance(columns, list)
        or not isinstance(data, list)
        or len(set(map(str, columns))) != len(columns)
    ):
        raise RegistryError("broken", f"{TABLE} is no table of columns and data")
    if not all(isinstance(row, list) and len(row) == len(columns) for row in data):
        raise RegistryError("broken", f"{TABLE} has rows of another length than its columns")
    return Table({str(name): tuple(row[at] for row in data) for at, name in enumerate(columns)}, len(data))


def check(table: Table, metric: str, rows: int | None, value: Decimal) -> None:
    """Raise where a table cannot be what a logged mean was taken over."""
    if rows is not None and table.rows != rows:
        raise RegistryError(
            "broken",
            f"{TABLE} has {table.rows} rows, its dataset {rows}: evaluated more than once in one run?",
        )
    scores = [score for score in table.scores(metric) or () if score is not None]
    if not scores:
        raise RegistryError("broken", f"{TABLE} has no score of {metric} on any row")
    mean = sum(scores, Decimal(0)) / len(scores)
    if abs(mean - value) > _TOLERANCE * max(Decimal(1), abs(value)):
        raise RegistryError(
            "broken", f"the rows of {TABLE} have a mean of {mean:.6g}, and {metric} is logged as {value:.6g}"
        )


def pair(metric: str, dataset: str, challenger: Table, champion: Table) -> PairedRows:
    """Return challenger minus champion over the rows that both were scored on.

    Rows are paired by an input column that tells every row apart, or by their
    order where an input column is the same in every row; ways that contradict
    each other pair nothing.
    """
    mine, theirs = challenger.scores(metric) or (), champion.scores(metric) or ()
    scored = [
        (mine_score, theirs_score)
        for at, other in _pairs(challenger, champion)
        if (mine_score := mine[at]) is not None and (theirs_score := theirs[other]) is not None
    ]
    if not scored:
        raise RegistryError("broken", f"{metric}: the two versions have no scored row in common")
    binary = all(score in (0, 1) for both in scored for score in both)
    with localcontext(prec=28):
        differences = [a - b for a, b in scored]
        count = len(differences)
        mean = sum(differences, Decimal(0)) / count
        spread = sum(((d - mean) ** 2 for d in differences), Decimal(0))
        deviation = (spread / (count - 1)).sqrt() if count > 1 else Decimal(0)
        overlap = Decimal(count) / max(challenger.rows, champion.rows)
    return PairedRows(
        dataset=dataset,
        rows=count,
        overlap=short(overlap),
        binary=binary,
        gained=sum(a > b for a, b in scored) if binary else 0,
        lost=sum(a < b for a, b in scored) if binary else 0,
        mean=short(mean),
        deviation=short(deviation),
    )


def _pairs(one: Table, other: Table) -> tuple[tuple[int, int], ...]:
    """Return which row of the one is which row of the other."""
    found: dict[str, tuple[tuple[int, int], ...]] = {}
    for name in (name for name in one.columns if name in other.columns and _is_input(name)):
        mine, theirs = one.columns[name], other.columns[name]
        if (by_key := _by_key(mine, theirs)) is not None:
            found[name] = by_key
        elif mine == theirs and len({repr(cell) for cell in mine}) > 1:
            found["their order"] = tuple((at, at) for at in range(one.rows))
    longest = max((len(pairs) for pairs in found.values()), default=0)
    ways = {name: pairs for name, pairs in found.items() if len(pairs) == longest}
    if longest == 0:
        raise RegistryError(
            "broken", f"the rows of {TABLE} cannot be paired: nothing tells them apart in both"
        )
    if len(set(ways.values())) > 1:
        raise RegistryError(
            "broken", f"the rows of {TABLE} are paired differently by {' and by '.join(sorted(ways))[:200]}"
        )
    return next(iter(ways.values()))


def _by_key(mine: Sequence[object], theirs: Sequence[object]) -> tuple[tuple[int, int], ...] | None:
    """Return the rows paired by a column that tells every row apart in both; None where it does not."""
    here, there = _unique(mine), _unique(theirs)
    if here is None or there is None:
        return None
    return tuple((here[key], there[key]) for key in here if key in there)


def _is_input(name: str) -> bool:
    return name not in _NOT_INPUTS and not name.endswith(_SUFFIXES)


def _unique(cells: Sequence[object]) -> dict[tuple[str, str], int] | None:
    """Return each cell's row; None where two rows share one, or a cell is no plain value."""
    found: dict[tuple[str, str], int] = {}
    for at, cell in enumerate(cells):
        if isinstance(cell, bool) or not isinstance(cell, str | int):
            return None
        key = (type(cell).__name__, str(cell))
        if key in found:
            return None
        found[key] = at
    return found


def _score(cell: object) -> Decimal | None:
    """Return a score; true and false are 1 and 0."""
    return Decimal(cell) if isinstance(cell, bool | int | Decimal) else None
