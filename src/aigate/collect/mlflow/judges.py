"""How far the mean of a scorer can be trusted: its assessments, counted. Pure.

MLflow logs the mean of the rows that a scorer managed to judge. One that
raised on three rows of four leaves `flaky/mean = 1.0` and a FINISHED run; only
the assessments on the traces tell.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from aigate.collect.mlflow.reader import Json
from aigate.collect.mlflow.typed import built
from aigate.snapshot import Judge

_RUN = "mlflow.assessment.sourceRunId"
_DIGEST = "mlflow.assessment.scorerDigest"


def tallies(traces: Sequence[Json], run_id: str, rows: int | None) -> tuple[Judge, ...]:
    """Count every scorer's assessments on the traces of one evaluation run.

    A row counts as judged where the scorer's newest valid assessment in this
    run has a value and no error. People's assessments and those of other runs
    on the same traces are not the scorer's. `rows` is what the dataset says it
    has; rows that left no trace were not judged.
    """
    verdicts: dict[str, int] = {}
    digests: dict[str, set[str | None]] = {}
    for trace in traces:
        for name, assessment in _newest(trace.get("assessments", ()), run_id).items():
            verdicts[name] = verdicts.get(name, 0) + _gave_value(assessment)
            digest = _metadata(assessment).get(_DIGEST)
            digests.setdefault(name, set()).add(digest if isinstance(digest, str) else None)
    total = max(len(traces), rows or 0)
    return tuple(
        built(
            f"the assessments of scorer {name[:60]!r}",
            lambda n=name, j=judged: Judge(  # type: ignore[misc]  # defaults bind the loop's values
                name=n, rows=total, judged=j, failed=total - j, digest=_only(digests[n])
            ),
        )
        for name, judged in sorted(verdicts.items())
    )


def merged(groups: Iterable[tuple[Judge, ...]]) -> tuple[Judge, ...]:
    """Return one tally for each scorer; of several runs, the one in which it failed most."""
    worst: dict[str, Judge] = {}
    for judge in (judge for group in groups for judge in group):
        other = worst.get(judge.name)
        if other is None or judge.judged * other.rows < other.judged * judge.rows:
            worst[judge.name] = judge
    return tuple(worst[name] for name in sorted(worst))


def _newest(assessments: Iterable[Any], run_id: str) -> dict[str, Json]:
    """Return each scorer's newest valid assessment of one row in one run."""
    newest: dict[str, Json] = {}
    for assessment in assessments:
        name = assessment.get("assessment_name")
        source = assessment.get("source")
        kind = source.get("source_type") if isinstance(source, dict) else None
        elsewhere = _metadata(assessment).get(_RUN, run_id) != run_id
        if not isinstance(name, str) or not name or kind == "HUMAN" or elsewhere:
            continue
        if assessment.get("valid") is False or "feedback" not in assessment:
            continue
        other = newest.get(name)
        if other is None or _made(other) <= _made(assessment):
            newest[name] = assessment
    return newest


def _gave_value(assessment: Json) -> bool:
    feedback = assessment["feedback"]
    if not isinstance(feedback, dict) or feedback.get("error") is not None:
        return False
    value = feedback.get("value")
    return value is not None and value not in ("", "NaN", "Infinity", "-Infinity")


def _metadata(assessment: Json) -> Json:
    found = assessment.get("metadata")
    return found if isinstance(found, dict) else {}


def _made(assessment: Json) -> str:
    """Return when it was made: RFC 3339 in UTC, which sorts as text."""
    found = assessment.get("last_update_time") or assessment.get("create_time")
    return found if isinstance(found, str) else ""


def _only(found: set[str | None]) -> str | None:
    """Return the one digest that all rows agree on."""
    return next(iter(found)) if len(found) == 1 else None
