"""A Prometheus instant query with one sample: a Unix time, or an age where the manifest says so.

The sample's value is `value[1]`; `value[0]` is only when the query was
evaluated. A missing series is an empty answer with status 200, several are
nobody's freshness in particular, and neither is guessed away.
"""

import re
from datetime import datetime, timedelta
from decimal import Decimal

from aigate.collect.freshness.document import Document, document_of, under
from aigate.collect.freshness.reading import Found, NoEvidenceError, World, evidence
from aigate.collect.instants import MAX_SKEW
from aigate.collect.strict import decimal_from_text
from aigate.errors import ConfigError
from aigate.sources import PrometheusFreshness

_FILLED_IN = re.compile(r"\bor\b\s*(?:(?:on|ignoring)\s*\([^)]*\)\s*)?(?:vector|absent)\s*\(", re.IGNORECASE)
_ANSWERED = (200, 400, 422)
_SECONDS = {"s": Decimal(1), "ms": Decimal("0.001")}
_LONGEST_AGE = Decimal(3_200_000_000)  # a century, in seconds


def read(declared: PrometheusFreshness, world: World) -> Found:
    """Evaluate the query now and read its one sample."""
    if _FILLED_IN.search(declared.query):
        raise ConfigError(
            "the freshness query fills in for a missing series with `or vector(...)` or `or absent(...)`",
            fix="take that out of the query: missing data must stay missing",
        )
    url = under(declared.prometheus, "/api/v1/query")
    response = world.fetcher.get(url, params={"query": declared.query}, accept_status=_ANSWERED)
    document = document_of(response, declared, world)
    evaluated, value = _sample(document)
    clock = document.clock
    evaluated_at = clock.read(evaluated, "the time of evaluation", unit="s")
    if declared.is_age:
        as_of = _aged(value, declared, evaluated_at, document.shown)
        clock.notes.append("an age as a gauge: it stands still when its writer dies")
    else:
        as_of = clock.read(value, "the sample's value", unit=declared.unit)
    found = evidence(
        declared,
        clock,
        document.shown,
        as_of=as_of,
        observed_at=min(evaluated_at, document.observed_at),
    )
    return Found(found, document.shown, document.digest)


def _sample(document: Document) -> tuple[object, str]:
    """Return the evaluation time and the value of the only sample."""
    shown, answer = document.shown, document.value
    if not isinstance(answer, dict) or answer.get("status") not in ("success", "error"):
        raise NoEvidenceError("not an answer of Prometheus", shown)
    if answer["status"] == "error":
        raise NoEvidenceError(f"Prometheus refuses the query: {_line(answer.get('error'))}", shown)
    if answer.get("warnings"):
        raise NoEvidenceError(
            f"Prometheus warns that the answer may be partial: {_line(answer['warnings'])}", shown
        )
    data = answer.get("data")
    kind = data.get("resultType") if isinstance(data, dict) else None
    result = data.get("result") if isinstance(data, dict) else None
    if kind == "vector" and isinstance(result, list):
        if len(result) != 1:
            raise NoEvidenceError(_count(len(result)), shown)
        pair = result[0].get("value") if isinstance(result[0], dict) else None
    elif kind == "scalar":
        pair = result
    else:
        raise NoEvidenceError("the query gives neither an instant vector nor a scalar", shown)
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[1], str):
        raise NoEvidenceError("the sample is not a time and a number", shown)
    return pair[0], _number(pair[1], shown)


def _count(number: int) -> str:
    if number == 0:
        return "no such series: it was never written, or its writer is gone"
    return f"{number} series; make them one, such as with min(...), or name the one that is meant"


def _number(text: str, shown: str) -> str:
    try:
        decimal_from_text(text)
    except ValueError as e:
        raise NoEvidenceError(f"the sample's value is {_line(text)}, not a number", shown) from e
    return text


def _aged(text: str, declared: PrometheusFreshness, evaluated_at: datetime, shown: str) -> datetime:
    seconds = decimal_from_text(text) * _SECONDS[declared.unit]
    if seconds > _LONGEST_AGE:
        raise NoEvidenceError("an age of more than a hundred years: a time where an age is declared?", shown)
    if seconds < -MAX_SKEW.total_seconds():
        raise NoEvidenceError("an age below zero: milliseconds taken for seconds, or a clock ahead?", shown)
    return evaluated_at - timedelta(microseconds=int(seconds * 1_000_000))


def _line(value: object) -> str:
    """Return a source's own words, cut to what a message can bear."""
    text = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
    return " ".join(text.split())[:200]
