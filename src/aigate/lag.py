"""How old is what the last stage serves: end-to-end age over the stages, from the versions really read.

Every stage can be green while the whole is hours late: each looks at its own last
build, and nobody at what that build had read. A watermark is the time up to which
the data of a version are complete. It is handed down the stages as read:

    W(v) = min(read_at(v), data_time(v) if stated, W of the version of each input that v read)
    age  = now - W(the sink's present version)

What is not known stays unknown. Then there is still a lower bound, since nothing is
newer than the moment it was read, and a bound above the objective is a plain failure.

Nothing here judges. Readings go in, ages and states come out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from graphlib import CycleError, TopologicalSorter
from typing import Literal

MAX_SKEW = timedelta(seconds=60)
"""A time further ahead of `now` is one in the future, and no time at all."""


def _check_aware(reading: object) -> None:
    for field in fields(reading):  # type: ignore[arg-type]
        value = getattr(reading, field.name)
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError(f"{field.name} has no zone")


@dataclass(frozen=True, slots=True)
class InputRead:
    """Which version of an upstream stage was read, as far as its reader recorded it.

    A version is told by its name (a snapshot id, a digest, a run id) or by when it was
    built; `data_time` is the time up to which its data are complete, through all stages
    before it: whoever records it has followed it there.
    """

    stage: str
    version: str | None = None
    built_at: datetime | None = None
    data_time: datetime | None = None

    def __post_init__(self) -> None:
        _check_aware(self)


@dataclass(frozen=True, slots=True)
class StageReading:
    """One version of a stage's data, and what is known of it. None means: not known.

    `data_time` is the time up to which the data are complete, `built_at` when this
    version became visible, `read_at` when its inputs were read. `reads` are the stages
    it is built from, as declared; a stage that reads none is a source. `live` marks a
    stage that holds no data of its own and serves its inputs' present versions.
    `reason` says what was asked for and not had (an endpoint that did not answer): the
    age of such a version is not known, whatever else is.
    """

    name: str
    reads: tuple[str, ...] = ()
    data_time: datetime | None = None
    built_at: datetime | None = None
    read_at: datetime | None = None
    version: str | None = None
    inputs: tuple[InputRead, ...] = ()
    live: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        _check_aware(self)

    def input(self, stage: str) -> InputRead:
        """What is recorded of the version of `stage` that was read; possibly nothing."""
        return next((read for read in self.inputs if read.stage == stage), InputRead(stage))


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """How old the data are that a stage serves, through all stages before it.

    `age` is None where it is not known, and `reason` says why; `lower_bound` then is
    what the age is at least, None where even that is not known. `watermark` is the time
    behind `age`, or behind the bound. `weakest` is the stage whose time decides, and
    `path` leads to it from the sink. `hidden_lag` is what no stage's own age shows: the
    age less the greatest age of a single stage on the way. `assumed` lists each (stage,
    input) whose version was not recorded and was taken to be the newest at `read_at`.
    """

    age: timedelta | None
    lower_bound: timedelta | None
    watermark: datetime | None
    hidden_lag: timedelta | None
    weakest: str
    path: tuple[str, ...]
    reason: str
    assumed: tuple[tuple[str, str], ...] = ()


def end_to_end(
    stages: Sequence[StageReading],
    sink: str,
    *,
    now: datetime,
    history: Iterable[StageReading] = (),
    assume_newest: bool = True,
    max_skew: timedelta = MAX_SKEW,
) -> EndToEnd:
    """The age of what `sink` serves at `now`.

    `stages` holds the present version of each stage, `history` the earlier ones that
    are known. Where a stage did not record which version of an input it read, it is taken
    to have read the newest that was built by its `read_at`, as far as that is known, and
    `assumed` says so; with `assume_newest=False` it is unknown. Under that assumption a gap in
    `history` makes the age larger, never smaller, as long as data times do not run backwards.

    Raises ValueError where a name stands twice in `stages`, or `sink` does not.
    """
    versions = _versions(stages, history)
    if sink not in versions:
        raise ValueError(f"no stage is called {sink!r}")
    order = _upstream(versions, sink)
    if isinstance(order, str):
        return EndToEnd(None, None, None, None, sink, (sink,), order)
    known = _Known(versions, now + max_skew, assume_newest)
    for name in order:
        known.add(name)
    mark = known.marks[sink][0]
    if mark.upper is None:
        return EndToEnd(None, None, None, None, sink, (sink,), mark.reason, mark.assumed)
    least = max(now - mark.upper, timedelta(0))
    if not mark.exact:
        return EndToEnd(None, least, mark.upper, None, mark.path[-1], mark.path, mark.reason, mark.assumed)
    own = [
        now - time for name in order if (time := versions[name][0].data_time or versions[name][0].built_at)
    ]
    hidden = max(least - max(own), timedelta(0)) if own else None
    return EndToEnd(least, least, mark.upper, hidden, mark.path[-1], mark.path, "", mark.assumed)


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is known of a version's watermark: a time it does not exceed, and whether it is that time."""

    upper: datetime | None
    exact: bool
    path: tuple[str, ...]
    reason: str = ""
    assumed: tuple[tuple[str, str], ...] = ()


class _Known:
    """The marks of all versions of the stages seen so far, upstream first."""

    def __init__(
        self, versions: Mapping[str, Sequence[StageReading]], latest: datetime, assume_newest: bool
    ) -> None:
        self.marks: dict[str, list[_Mark]] = {}
        self._versions = versions
        self._latest = latest
        self._assume_newest = assume_newest

    def add(self, name: str) -> None:
        """Work out the marks of the stage `name`, whose inputs have theirs."""
        self.marks[name] = [self._mark(reading) for reading in self._versions[name]]

    def _mark(self, reading: StageReading) -> _Mark:
        stated = (reading.data_time, reading.read_at, reading.built_at)
        own = _earliest(reading.name, [time for time in stated if time and time <= self._latest])
        if any(time > self._latest for time in stated if time):
            own = _Mark(own.upper, False, own.path, f"{reading.name} states a time in the future")
        elif reading.reason:
            own = _Mark(own.upper, False, own.path, f"{reading.name}: {reading.reason}")
        elif not reading.reads and reading.data_time is None:
            own = _Mark(own.upper, False, own.path, f"{reading.name} does not state how old its data are")
        parts = [own, *(self._through(reading, name) for name in reading.reads)]
        lowest = min((part for part in parts if part.upper), key=_upper, default=own)
        return _Mark(
            lowest.upper,
            all(part.exact for part in parts),
            lowest.path,
            "; ".join(dict.fromkeys(part.reason for part in parts if part.reason)),
            tuple(dict.fromkeys(pair for part in parts for pair in part.assumed)),
        )

    def _through(self, reading: StageReading, name: str) -> _Mark:
        """The mark of the version of the stage `name` that `reading` read, seen from `reading`."""
        mark = self._read(reading, name)
        return _Mark(mark.upper, mark.exact, (reading.name, *mark.path), mark.reason, mark.assumed)

    def _read(self, reading: StageReading, name: str) -> _Mark:
        known = self._versions[name]
        if reading.live:
            return self.marks[name][0]
        record = reading.input(name)
        if record != InputRead(name):
            recorded = self._recorded(reading, record)
            same = [self.marks[name][i] for i, version in enumerate(known) if _same(record, version)]
            # Two accounts of one version: either may know it, and both bound it.
            best = next((mark for mark in (*same, recorded) if mark.exact), (*same, recorded)[0])
            upper = min((mark.upper for mark in (*same, recorded) if mark.upper), default=None)
            return _Mark(upper, best.exact, best.path, best.reason, best.assumed)
        if self._assume_newest and reading.read_at and known[0].built_at:
            by_then = [i for i, version in enumerate(known) if _built_by(version, reading.read_at)]
            if by_then:
                mark = self.marks[name][max(by_then, key=lambda i: (known[i].built_at, -i))]
                pair = (reading.name, name)
                return _Mark(mark.upper, mark.exact, mark.path, mark.reason, (pair, *mark.assumed))
        return _Mark(None, False, (name,), f"which version of {name} {reading.name} read is not known")

    def _recorded(self, reading: StageReading, record: InputRead) -> _Mark:
        """The mark of a version of which nothing is known but what its reader recorded."""
        stated = [time for time in (record.data_time, record.built_at) if time and time <= self._latest]
        mark = _earliest(record.stage, stated)
        if record.data_time in stated:
            return mark
        named = f"version {record.version} of {record.stage}" if record.version else f"the {record.stage}"
        return _Mark(
            mark.upper, False, mark.path, f"how old {named} was that {reading.name} read is not known"
        )


def _upper(mark: _Mark) -> datetime:
    assert mark.upper is not None
    return mark.upper


def _earliest(name: str, times: Sequence[datetime]) -> _Mark:
    return _Mark(min(times, default=None), True, (name,))


def _same(record: InputRead, version: StageReading) -> bool:
    """Whether `record` tells of this version. A name that was built anew is another version."""
    if record.built_at and version.built_at and record.built_at != version.built_at:
        return False
    if record.version and version.version:
        return record.version == version.version
    return record.built_at is not None and record.built_at == version.built_at


def _built_by(version: StageReading, time: datetime) -> bool:
    return version.built_at is not None and version.built_at <= time


def _versions(
    stages: Sequence[StageReading], history: Iterable[StageReading]
) -> dict[str, list[StageReading]]:
    """The known versions of each stage, the present one first."""
    versions = {stage.name: [stage] for stage in stages}
    if len(versions) != len(stages):
        raise ValueError("a stage is named twice")
    for earlier in history:
        if earlier.name in versions:
            versions[earlier.name].append(earlier)
    return versions


def _upstream(versions: Mapping[str, Sequence[StageReading]], sink: str) -> list[str] | str:
    """The stages that `sink` reads, directly or not, upstream first; or why there is no such order."""
    graph: dict[str, tuple[str, ...]] = {}
    waiting = [sink]
    while waiting:
        name = waiting.pop()
        if name not in graph:
            graph[name] = tuple(dict.fromkeys(read for version in versions[name] for read in version.reads))
            strangers = [read for read in graph[name] if read not in versions]
            if strangers:
                return f"{name} reads {strangers[0]}, which is no stage"
            waiting.extend(graph[name])
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return f"the stages read each other in a circle: {' → '.join(error.args[1])}"


InputState = Literal["current", "behind", "stale", "unknown"]
"""Of a stage's input: as new as upstream; newer upstream for less than allowed; for longer; cannot tell."""


@dataclass(frozen=True, slots=True)
class InputAge:
    """Whether what `stage` was built from is what `input` now has.

    `since` is when the first version was built that `stage` has not read, as far as
    is known, and `behind_for` the time from then to now. `read_at` is the stage's own.
    """

    stage: str
    input: str
    state: InputState
    read_at: datetime | None
    since: datetime | None
    behind_for: timedelta | None
    reason: str


def input_ages(
    stages: Sequence[StageReading],
    *,
    now: datetime,
    allowance: timedelta = timedelta(0),
    history: Iterable[StageReading] = (),
) -> tuple[InputAge, ...]:
    """The state of every input of every stage that holds data, in the order of `stages`.

    Versions (digests) decide where both sides state them, times otherwise. An input is
    `stale` once upstream has had something newer for longer than `allowance`. A live
    stage has no inputs that could be stale; a name in `reads` that is no stage is `unknown`.

    Raises ValueError where a name stands twice in `stages`.
    """
    versions = _versions(stages, history)
    return tuple(
        _input_age(stage, name, versions.get(name, ()), now, allowance)
        for stage in stages
        if not stage.live
        for name in stage.reads
    )


def stale_inputs(
    stages: Sequence[StageReading],
    *,
    now: datetime,
    allowance: timedelta = timedelta(0),
    history: Iterable[StageReading] = (),
) -> tuple[InputAge, ...]:
    """The inputs that are `stale`; mind that `input_ages` also tells which are `unknown`."""
    ages = input_ages(stages, now=now, allowance=allowance, history=history)
    return tuple(age for age in ages if age.state == "stale")


def _input_age(
    stage: StageReading, name: str, versions: Sequence[StageReading], now: datetime, allowance: timedelta
) -> InputAge:
    def answer(state: InputState, reason: str = "", since: datetime | None = None) -> InputAge:
        behind_for = None if since is None else now - since
        return InputAge(stage.name, name, state, stage.read_at, since, behind_for, reason)

    if not versions:
        return answer("unknown", f"{name} is no stage")
    present, record = versions[0], stage.input(name)
    if _same(record, present):
        return answer("current")
    if record.built_at and present.built_at and present.built_at < record.built_at:
        return answer("unknown", f"{name} now has an older version than {stage.name} read")
    had = next((version for version in versions if _same(record, version)), None)
    # Whenever it was that the stage read: nothing built after the stage itself can have been read.
    read = record.built_at or (had.built_at if had else None) or stage.read_at or stage.built_at
    unread = [
        version.built_at for version in versions if read and version.built_at and version.built_at > read
    ]
    if had or unread or (record.version and present.version):
        since = min(unread, default=present.built_at)
        if since is None:
            return answer("unknown", f"{name} has another version; since when is not known")
        return answer("stale" if now - since > allowance else "behind", since=since)
    if present.built_at and stage.read_at:
        return answer("current")
    return answer(
        "unknown", stage.reason or present.reason or f"nothing tells which {name} {stage.name} read"
    )


@dataclass(frozen=True, slots=True)
class StageLimit:
    """What the owner of a stage promises: `max_age`, or None for no promise."""

    name: str
    reads: tuple[str, ...] = ()
    max_age: timedelta | None = None


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The greatest end-to-end age at which every stage still keeps its promise.

    `total` is the sum of the limits along `path`, upstream first; None where the
    stages read each other in a circle (`cycle`). `unlimited` are the stages without a
    limit, which add nothing to `total`: the worst case is then that much or more.
    `strangers` lists each (stage, name) where `name`, which it reads, is no stage.
    """

    total: timedelta | None
    path: tuple[str, ...]
    unlimited: tuple[str, ...]
    strangers: tuple[tuple[str, str], ...]
    cycle: tuple[str, ...]

    def exceeds(self, objective: timedelta) -> bool:
        """Whether the stages may all be green while `objective` is missed."""
        return self.total is not None and self.total > objective


def worst_case(stages: Sequence[StageLimit]) -> WorstCase:
    """The sum of limits along the longest path through the stages; used when a manifest is loaded.

    Raises ValueError where a name stands twice.
    """
    limits = {stage.name: stage for stage in stages}
    if len(limits) != len(stages):
        raise ValueError("a stage is named twice")
    unlimited = tuple(stage.name for stage in stages if stage.max_age is None)
    strangers = tuple((stage.name, read) for stage in stages for read in stage.reads if read not in limits)
    graph = {stage.name: [read for read in stage.reads if read in limits] for stage in stages}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return WorstCase(None, (), unlimited, strangers, tuple(error.args[1]))
    totals: dict[str, timedelta] = {}
    before: dict[str, str] = {}
    for name in order:
        longest = max(graph[name], key=totals.__getitem__, default=None)
        own = limits[name].max_age or timedelta(0)
        totals[name] = own + (totals[longest] if longest else timedelta(0))
        if longest:
            before[name] = longest
    path: tuple[str, ...] = ()
    step = max(order, key=totals.__getitem__, default=None)
    while step:
        path = (step, *path)
        step = before.get(step)
    return WorstCase(totals[path[-1]] if path else timedelta(0), path, unlimited, strangers, ())
