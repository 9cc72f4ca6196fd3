"""From REST-shaped data to the snapshot's types. Pure; what cannot be true raises `RegistryError`.

Here MLflow's silent losses become visible: NaN that arrives as text, infinity
that arrives as the largest double, parameters and tags cut at their limits.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, TypeVar

import pydantic

from aigate.collect.mlflow.reader import Json, RegistryError
from aigate.collect.strict import StrictError, load_json
from aigate.snapshot import Alias, Dataset, RegisteredModel, Run, Tag

T = TypeVar("T")

SKEW = timedelta(seconds=60)
"""How far ahead of our clock an instant may lie and still be now."""

INFINITY = Decimal("1.7976931348623157e308")
"""What MLflow stores for infinity: the largest double, which passes any floor."""

PARAM_LIMIT = 6_000
"""Characters of a parameter that MLflow keeps; the rest it drops without a word."""

RUN_TAG_LIMIT = 8_000
"""Characters of a run's tag that MLflow keeps."""

TEXT_LIMIT = 19_000
"""Characters of any one text that a snapshot takes from MLflow."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION_SOURCE = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>[1-9][0-9]{0,9})")
_MODEL_SOURCE = re.compile(r"models:/(?P<model_id>m-[0-9a-f]{32})/?")


def instant(milliseconds: object, what: str) -> datetime:
    """Return a moment that MLflow gives in milliseconds since 1970."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int):
        raise RegistryError("broken", f"{what} is not a number of milliseconds")
    # Seconds, or microseconds, would be read as another century: MLflow's own times lie in between.
    if not 946_684_800_000 <= milliseconds < 4_102_444_800_000:
        raise RegistryError("broken", f"{what} ({milliseconds}) lies outside of the years 2000 to 2100")
    return _EPOCH + timedelta(milliseconds=milliseconds)


def number(value: object) -> Decimal | str:
    """Return a metric's value, or why it is none."""
    if isinstance(value, str):
        return f"MLflow holds {value[:20]!r}, which is no number"
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return "MLflow holds no number"
    found = Decimal(value)
    if abs(found) >= INFINITY:
        return "MLflow holds the largest number there is, which is how it stores infinity"
    return found


def short(value: Decimal) -> Decimal:
    """Round a computed number to 15 significant digits, what the doubles behind it hold."""
    with localcontext(prec=15):
        return +value


def copied_from(source: str) -> tuple[str, str] | None:
    """Return name and number of the version that a version was copied from; None where it was not copied."""
    match = _VERSION_SOURCE.fullmatch(source)
    return None if match is None else (match["name"], match["version"])


def model_id_of(source: str) -> str | None:
    """Return the LoggedModel that a version was registered from; None where there is none (MLflow 2)."""
    match = _MODEL_SOURCE.fullmatch(source)
    return None if match is None else match["model_id"]


def built(what: str, make: Callable[[], T]) -> T:
    """Return what `make` builds; data that a snapshot cannot hold is broken evidence."""
    try:
        return make()
    except pydantic.ValidationError as e:
        first = e.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RegistryError("broken", f"{what}: {place}: {first['msg']}") from None


def registered_model(found: Json) -> RegisteredModel:
    """Return the registered model."""
    what = f"model {found['name']!r}"
    return built(
        what,
        lambda: RegisteredModel(
            name=found["name"],
            created_at=instant(found["creation_timestamp"], f"the creation of {what}"),
            description=_kept(found.get("description") or "", None),
            tags=tags(found.get("tags", ()), None),
            aliases=tuple(
                Alias(name=alias["alias"], version=alias["version"])
                for alias in sorted(found.get("aliases", ()), key=lambda a: a["alias"])
            ),
        ),
    )


def run(found: Json) -> Run:
    """Return a run with what it logged."""
    info, data = found["info"], found.get("data", {})
    what = f"run {info['run_id']}"
    return built(
        what,
        lambda: Run(
            run_id=info["run_id"],
            status=info["status"],
            user=info.get("user_id") or None,
            started_at=_optional(info.get("start_time"), f"the start of {what}"),
            ended_at=_optional(info.get("end_time"), f"the end of {what}"),
            deleted=info["lifecycle_stage"] != "active",
            params=tags(data.get("params", ()), PARAM_LIMIT),
            tags=tags(data.get("tags", ()), RUN_TAG_LIMIT),
            metrics=tuple(
                Tag(key=point["key"], value=_shown(point.get("value")))
                for point in sorted(data.get("metrics", ()), key=lambda p: str(p["key"]))
            ),
            datasets=datasets(found),
        ),
    )


def datasets(found: Json) -> tuple[Dataset, ...]:
    """Return the data that a run names as its input, with contexts where they were logged."""
    result = []
    for given in found.get("inputs", {}).get("dataset_inputs", ()):
        dataset = given["dataset"]
        context = next((tag.value for tag in tags(given.get("tags", ()), None) if tag.key == _CONTEXT), None)
        result.append(
            built(
                "a run's dataset",
                lambda d=dataset, c=context: Dataset(  # type: ignore[misc]  # defaults bind the loop's values
                    name=d.get("name"),
                    digest=d.get("digest"),
                    context=c or None,
                    rows=_rows(d.get("profile")),
                ),
            )
        )
    return tuple(sorted(result, key=lambda d: (d.name, d.digest, d.context or "")))


_CONTEXT = "mlflow.data.context"


def tags(pairs: Iterable[Any], limit: int | None) -> tuple[Tag, ...]:
    """Return keys and values, by key; a value at MLflow's own limit is marked, for it may have been cut."""
    found = [Tag(key=pair["key"], value=_kept(pair.get("value", ""), limit)) for pair in pairs]
    return tuple(sorted(found, key=lambda tag: tag.key))


def _shown(value: object) -> str:
    """Return a metric's value as text, infinity by its own name."""
    if isinstance(value, Decimal) and abs(value) >= INFINITY:
        return "Infinity" if value > 0 else "-Infinity"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _kept(text: str, limit: int | None) -> str:
    """Return a text, marked where it is not known to be whole, so that it equals nothing by accident."""
    if limit is not None and len(text) >= limit:
        return f"{text} […cut: MLflow keeps {limit} characters]"
    if len(text) > TEXT_LIMIT:
        return f"{text[:TEXT_LIMIT]} […cut: {len(text)} characters]"
    return text


def _optional(milliseconds: object, what: str) -> datetime | None:
    # A run that was never ended has no end, or 0 in older stores.
    return None if milliseconds in (None, 0) else instant(milliseconds, what)


def _rows(profile: object) -> int | None:
    """Return the rows that a dataset's profile tells, where it tells them in a way that can be read."""
    if not isinstance(profile, str) or not profile:
        return None
    try:
        found = load_json(profile, source="profile")
    except StrictError:
        return None
    rows = found.get("num_rows") if isinstance(found, dict) else None
    return rows if isinstance(rows, int) and not isinstance(rows, bool) and rows >= 0 else None
