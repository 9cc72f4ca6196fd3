"""The path from raw data to the answer, and what each stage publishes about itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aigate.values import show_instant

TRANSACTIONS, FEATURES, EMBEDDINGS, SCORING = STAGES = ("transactions", "features", "embeddings", "scoring")
"""Each reads the one before it."""


@dataclass(frozen=True)
class Built:
    """One stage's present version: when it was built, and from what.

    `read_at` is when its inputs were read, and `inputs` names the version of
    each; a stage that only loads raw data has neither.
    """

    stage: str
    built_at: datetime
    read_at: datetime | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Its name, such as `features@11-21T09:40`."""
        return version(self.stage, self.built_at)

    @property
    def document(self) -> dict[str, object]:
        """What the stage answers at its freshness endpoint."""
        said: dict[str, object] = {"stage": self.stage, "version": self.version}
        if self.read_at is None:
            return said | {"loaded_at": show_instant(self.built_at)}
        times = {"built_at": show_instant(self.built_at), "read_at": show_instant(self.read_at)}
        return said | times | {"inputs": dict(self.inputs)}


def version(stage: str, built_at: datetime) -> str:
    """Return the name of a stage's version by the minute it was built."""
    return f"{stage}@{built_at:%m-%dT%H:%M}"


def path(stage: str) -> str:
    """Return the path of a stage's freshness endpoint."""
    return f"/freshness/{stage}.json"


def documents(stages: Mapping[str, Built]) -> dict[str, object]:
    """Return every stage's document by its path."""
    return {path(name): built.document for name, built in stages.items()}


def chain(now: datetime, minutes: Mapping[str, tuple[int, int]]) -> dict[str, Built]:
    """Return stages built `(built, read)` minutes before `now`.

    Each names the version of its input that was there when it read: the
    present one, or where that is newer, one built just before.
    """
    stages: dict[str, Built] = {}
    before: Built | None = None
    for stage, (built, read) in minutes.items():
        built_at, read_at = (now - timedelta(minutes=ago) for ago in (built, read))
        if before is None:
            stages[stage] = before = Built(stage, built_at)
            continue
        seen = before.version
        if before.built_at > read_at:
            seen = version(before.stage, read_at - timedelta(minutes=5))
        stages[stage] = before = Built(stage, built_at, read_at, {before.stage: seen})
    return stages


def late(now: datetime) -> dict[str, Built]:
    """The cache was last built twelve hours ago; the features have been rebuilt since, time and again."""
    hours = 12 * 60
    return chain(
        now,
        {TRANSACTIONS: (10, 0), FEATURES: (110, 115), EMBEDDINGS: (hours, hours + 5), SCORING: (30, 30)},
    )


def backfilled(now: datetime) -> dict[str, Built]:
    """Everything was rebuilt in order, minutes ago, each stage from what the one before it has now."""
    return chain(now, {TRANSACTIONS: (6, 0), FEATURES: (4, 5), EMBEDDINGS: (2, 3), SCORING: (1, 1)})
