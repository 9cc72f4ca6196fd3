"""End-to-end age, stale inputs and unreachable objectives: the worked example, tables and properties."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.lag import (
    EndToEnd,
    InputRead,
    StageLimit,
    StageReading,
    end_to_end,
    input_ages,
    stale_inputs,
    worst_case,
)

NOW = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


# The worked example of the reference: four stages, each green under its own limit (2, 6, 6 and
# 1 h), and thirteen hours from end to end, because the embeddings read the features of 11 h ago.
TRANSACTIONS = StageReading("transactions", data_time=ago(1), built_at=ago(0.9), read_at=ago(1), version="t9")
FEATURES = StageReading(
    "features",
    ("transactions",),
    built_at=ago(5),
    read_at=ago(5.4),
    version="f3",
    inputs=(InputRead("transactions", version="t5", data_time=ago(6.5)),),
)
EMBEDDINGS = StageReading(
    "embeddings",
    ("features",),
    built_at=ago(5.5),
    read_at=ago(5.9),
    version="e7",
    inputs=(InputRead("features", version="f2"),),
)
SCORING = StageReading(
    "scoring",
    ("embeddings",),
    built_at=ago(0.5),
    read_at=ago(0.6),
    inputs=(InputRead("embeddings", version="e7"),),
)
STAGES = (TRANSACTIONS, FEATURES, EMBEDDINGS, SCORING)
OLD_FEATURES = StageReading(
    "features",
    ("transactions",),
    built_at=ago(11),
    read_at=ago(11.5),
    version="f2",
    inputs=(InputRead("transactions", version="t1", data_time=ago(13)),),
)


def test_the_worked_example() -> None:
    end = end_to_end(STAGES, "scoring", now=NOW, history=[OLD_FEATURES])
    assert end == EndToEnd(
        age=hours(13),
        lower_bound=hours(13),
        watermark=ago(13),
        hidden_lag=hours(7.5),
        weakest="transactions",
        path=("scoring", "embeddings", "features", "transactions"),
        reason="",
    )


def test_the_naive_reading_of_the_example_is_5_9_hours() -> None:
    """What one gets who takes each input's present version for the one that was read."""
    naive = [replace(stage, inputs=(), live=bool(stage.reads)) for stage in STAGES]
    end = end_to_end(naive, "scoring", now=NOW)
    assert end.age == hours(5.9)
    assert max(NOW - (stage.data_time or stage.built_at or NOW) for stage in STAGES) == hours(5.5)


def test_the_example_without_history_is_unknown_with_a_bound() -> None:
    end = end_to_end(STAGES, "scoring", now=NOW)
    assert end.age is None
    assert end.hidden_lag is None
    assert end.lower_bound == hours(5.9)
    assert end.weakest == "embeddings"
    assert end.path == ("scoring", "embeddings")
    assert end.reason == "how old version f2 of features was that embeddings read is not known"


def test_the_version_by_time_is_the_newest_that_was_built_when_it_was_read() -> None:
    stages = [replace(stage, inputs=()) for stage in STAGES]
    history = [
        replace(OLD_FEATURES, inputs=()),
        replace(OLD_FEATURES, version="f1", built_at=ago(17), read_at=ago(17.5), inputs=()),
        StageReading("transactions", data_time=ago(13), built_at=ago(12), version="t1"),
        StageReading("transactions", data_time=ago(12.1), built_at=ago(11.4), version="t2"),
        StageReading("transactions", version="t0"),
    ]
    end = end_to_end(stages, "scoring", now=NOW, history=history)
    assert end.age == hours(13)
    assert end.assumed == (
        ("scoring", "embeddings"),
        ("embeddings", "features"),
        ("features", "transactions"),
    )
    strict = end_to_end(stages, "scoring", now=NOW, history=history, assume_newest=False)
    assert strict.age is None
    assert strict.reason == "which version of embeddings scoring read is not known"
    assert strict.lower_bound == hours(0.6)


def test_an_input_that_is_newer_than_its_reader_was_not_read() -> None:
    """Only the present upstream is known, and it was built after the stage read: no number."""
    features = replace(FEATURES, inputs=(), read_at=ago(5.4))
    transactions = replace(TRANSACTIONS, built_at=ago(0.9))
    end = end_to_end((transactions, features), "features", now=NOW)
    assert end.age is None
    assert end.lower_bound == hours(5.4)
    assert end.reason == "which version of transactions features read is not known"


SOURCE = StageReading("s", data_time=ago(3), built_at=ago(2), version="1")
CACHE = StageReading("c", ("s",), built_at=ago(1), read_at=ago(1.5))


def cache(*inputs: InputRead, **changes: object) -> StageReading:
    return replace(CACHE, inputs=inputs, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stages", "age", "bound", "reason"),
    [
        pytest.param((SOURCE, CACHE), 3, 3, "", id="newest-by-time"),
        pytest.param((SOURCE, cache(read_at=ago(2))), 3, 3, "", id="built-as-it-was-read"),
        pytest.param((SOURCE, cache(InputRead("s", version="1"))), 3, 3, "", id="by-version"),
        pytest.param((SOURCE, cache(InputRead("s", built_at=ago(2)))), 3, 3, "", id="by-build-time"),
        pytest.param((SOURCE, cache(InputRead("s", "1", ago(2)))), 3, 3, "", id="by-both"),
        pytest.param((SOURCE, cache(InputRead("s", "0", data_time=ago(9)))), 9, 9, "", id="by-recorded-time"),
        pytest.param((SOURCE, cache(InputRead("other", "1"))), 3, 3, "", id="record-of-no-input"),
        pytest.param(
            (SOURCE, cache(InputRead("s", "0"))), None, 1.5, "how old version 0 of s was that c read", id="other-version"
        ),
        pytest.param(
            (SOURCE, cache(InputRead("s", built_at=ago(8)))), None, 8, "how old the s was that c read", id="other-build"
        ),
        pytest.param(
            (SOURCE, cache(InputRead("s", "1", ago(8)))), None, 8, "version 1 of s", id="same-name-built-anew"
        ),
        pytest.param((SOURCE, cache(data_time=ago(7))), 7, 7, "", id="own-time-is-older"),
        pytest.param((SOURCE, cache(read_at=ago(1.5), data_time=ago(0.1))), 3, 3, "", id="own-time-is-newer"),
        pytest.param((SOURCE, cache(read_at=None)), None, 1, "which version of s c read", id="no-read-time"),
        pytest.param(
            (SOURCE, cache(read_at=None, built_at=None, reason="HTTP 503")), None, None, "c: HTTP 503; which version of s c read",
            id="nothing-known-of-the-cache",
        ),
        pytest.param(
            (SOURCE, cache(InputRead("s", "1"), reason="HTTP 503")), None, 3, "c: HTTP 503", id="own-time-was-not-had"
        ),
        pytest.param((SOURCE, cache(live=True, read_at=None, built_at=None)), 3, 3, "", id="live"),
        pytest.param(
            (replace(SOURCE, data_time=None), CACHE), None, 2, "s does not state how old its data are",
            id="source-without-data-time",
        ),
        pytest.param(
            (StageReading("s", reason="HTTP 503"), CACHE), None, 1.5, "which version of s c read", id="source-unknown"
        ),
        pytest.param(
            (StageReading("s", reason="HTTP 503"), cache(live=True)), None, 1.5, "s: HTTP 503", id="live-on-unknown"
        ),
        pytest.param((replace(SOURCE, data_time=ago(-1)), CACHE), None, 2, "s states a time in the future", id="future"),
        pytest.param((SOURCE, cache(built_at=ago(-1))), None, 3, "c states a time in the future", id="future-build"),
        pytest.param(
            (SOURCE, cache(InputRead("s", "0", data_time=ago(-1)))), None, 1.5, "version 0 of s", id="future-record"
        ),
        pytest.param((replace(SOURCE, built_at=None), CACHE), None, 1.5, "which version of s", id="no-build-time"),
    ],
)  # fmt: skip
def test_one_cache(
    stages: tuple[StageReading, ...], age: float | None, bound: float | None, reason: str
) -> None:
    end = end_to_end(stages, "c", now=NOW)
    assert end.age == (None if age is None else hours(age))
    assert end.lower_bound == (None if bound is None else hours(bound))
    assert end.watermark == (None if bound is None else ago(bound))
    assert reason in end.reason
    assert bool(end.reason) == (age is None)


def test_a_recorded_build_time_of_a_built_input_is_only_a_bound() -> None:
    """Its inputs were older than its build, and nobody recorded by how much."""
    record = InputRead("c", "old", built_at=ago(30))
    top = StageReading("t", ("c",), built_at=ago(1), read_at=ago(1), inputs=(record,))
    end = end_to_end((SOURCE, CACHE, top), "t", now=NOW)
    assert (end.age, end.lower_bound, end.path) == (None, hours(30), ("t", "c"))
    assert end.reason == "how old version old of c was that t read is not known"


def test_a_recorded_watermark_of_a_built_input_is_believed() -> None:
    """Whoever records up to when an input's data were complete has followed it through its own inputs."""
    record = InputRead("c", "old", built_at=ago(30), data_time=ago(40))
    top = StageReading("t", ("c",), built_at=ago(1), read_at=ago(1), inputs=(record,))
    end = end_to_end((SOURCE, CACHE, top), "t", now=NOW)
    assert (end.age, end.weakest, end.path, end.reason) == (hours(40), "c", ("t", "c"), "")


def test_a_clock_a_little_ahead_is_age_zero() -> None:
    ahead = StageReading("s", data_time=NOW + timedelta(seconds=60), built_at=NOW)
    assert end_to_end([ahead], "s", now=NOW).age == timedelta(0)
    assert end_to_end([replace(ahead, built_at=None)], "s", now=NOW).age == timedelta(0)
    assert end_to_end([ahead], "s", now=NOW, max_skew=timedelta(seconds=59)).age is None


def test_the_oldest_of_several_inputs_decides() -> None:
    stages = (
        SOURCE,
        StageReading("p", data_time=ago(20), built_at=ago(4)),
        StageReading("j", ("s", "p"), built_at=ago(1), read_at=ago(1.5)),
    )
    end = end_to_end(stages, "j", now=NOW)
    assert (end.age, end.weakest, end.path) == (hours(20), "p", ("j", "p"))
    assert end.hidden_lag == timedelta(0)  # p's own light shows it
    blind = end_to_end((SOURCE, StageReading("p", reason="no answer"), replace(stages[2])), "j", now=NOW)
    assert blind.age is None
    assert (blind.lower_bound, blind.path) == (hours(3), ("j", "s"))
    assert blind.reason == "which version of p j read is not known"


def test_all_that_is_unknown_is_said() -> None:
    stages = (
        StageReading("a", reason="HTTP 500"),
        StageReading("b", reason="not JSON"),
        StageReading("j", ("a", "b"), live=True),
    )
    assert end_to_end(stages, "j", now=NOW) == EndToEnd(
        None, None, None, None, "j", ("j",),
        "a: HTTP 500; b: not JSON",
    )  # fmt: skip


def test_stages_beside_the_way_do_not_count() -> None:
    beside = StageReading("x", ("c",), data_time=ago(99))
    assert end_to_end((SOURCE, CACHE, beside), "c", now=NOW).age == hours(3)


def test_circles_and_strangers_are_unknown() -> None:
    circle = [StageReading("a", ("b",), data_time=ago(1)), StageReading("b", ("a",), data_time=ago(1))]
    end = end_to_end(circle, "a", now=NOW)
    assert end.age is None
    assert end.lower_bound is None
    assert end.reason in {
        "the stages read each other in a circle: a → b → a",
        "the stages read each other in a circle: b → a → b",
    }
    end = end_to_end([StageReading("a", ("z",), data_time=ago(1))], "a", now=NOW)
    assert (end.age, end.reason) == (None, "a reads z, which is no stage")
    # A stage that only history knows is none.
    end = end_to_end(
        [StageReading("a", ("z",), data_time=ago(1))],
        "a",
        now=NOW,
        history=[StageReading("z", data_time=ago(1))],
    )
    assert end.reason == "a reads z, which is no stage"


def test_the_callers_mistakes() -> None:
    with pytest.raises(ValueError, match="no stage is called 'z'"):
        end_to_end([SOURCE], "z", now=NOW)
    with pytest.raises(ValueError, match="named twice"):
        end_to_end([SOURCE, SOURCE], "s", now=NOW)
    with pytest.raises(ValueError, match="named twice"):
        input_ages([SOURCE, SOURCE], now=NOW)
    with pytest.raises(ValueError, match="built_at has no zone"):
        StageReading("s", built_at=NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="data_time has no zone"):
        InputRead("s", data_time=NOW.replace(tzinfo=None))


def test_a_long_chain_needs_no_stack() -> None:
    chain = [StageReading("0", data_time=ago(5), built_at=ago(5))]
    chain += [StageReading(str(n), (str(n - 1),), live=True) for n in range(1, 3000)]
    assert end_to_end(chain, "2999", now=NOW).age == hours(5)
    limits = [StageLimit(str(n), (str(n - 1),) if n else (), hours(1)) for n in range(3000)]
    assert worst_case(limits).total == hours(3000)


# -- properties ------------------------------------------------------------------------------------


class World:
    """A pipeline that ran: all versions of all stages, what each read, and its true watermark.

    In a steady one each stage read the newest there was, and no data time runs backwards.
    """

    def __init__(self, seed: int, *, steady: bool = False) -> None:
        self.steady = steady
        self.data: dict[str, datetime] = {}
        chance = random.Random(seed)
        self.names = [str(n) for n in range(chance.randint(1, 5))]
        self.reads = {
            name: tuple(chance.sample(self.names[:n], chance.randint(0, min(n, 2))))
            for n, name in enumerate(self.names)
        }
        self.versions: dict[str, list[StageReading]] = {}
        self.truth: dict[tuple[str, str], datetime] = {}
        for name in self.names:
            # In minutes ago, oldest first. The first of each stage comes after the first of those it reads.
            builds = [7000 - 100 * int(name), *sorted(chance.sample(range(60, 6000), 3), reverse=True)]
            builds = builds[: chance.randint(1, 4)]
            self.versions[name] = [self._build(chance, name, n, ago(b / 60)) for n, b in enumerate(builds)]

    def _build(self, chance: random.Random, name: str, number: int, built: datetime) -> StageReading:
        read = built - timedelta(minutes=30 if self.steady else chance.randint(0, 50))
        data = read - timedelta(minutes=chance.randint(0, 3000))
        if self.steady:
            data = self.data[name] = max(data, self.data.get(name, data))
        inputs, marks = [], [read]
        for upstream in self.reads[name]:
            # Mostly the newest that was there; sometimes an older one, as a stale cache reads.
            there = [v for v in self.versions[upstream] if v.built_at and v.built_at <= read]
            got = there[-1] if self.steady or chance.random() < 0.7 else chance.choice(there)
            whole = self.truth[upstream, got.version or ""] if chance.random() < 0.5 else None
            inputs.append(InputRead(upstream, got.version, got.built_at, whole))
            marks.append(self.truth[upstream, got.version or ""])
        own = not inputs or (int(name) % 2 == 0 if self.steady else chance.random() < 0.3)
        version = f"{name}.{number}"
        self.truth[name, version] = min([*marks, data] if own else marks)
        return StageReading(
            name, self.reads[name], data if own else None, built, read, version, tuple(inputs)
        )

    def __call__(
        self, lose: Callable[[StageReading], StageReading], keep: Callable[[StageReading], bool], assume: bool
    ) -> EndToEnd:
        stages = [lose(versions[-1]) for versions in self.versions.values()]
        history = [lose(v) for versions in self.versions.values() for v in versions[:-1] if keep(v)]
        return end_to_end(stages, self.names[-1], now=NOW, history=history, assume_newest=assume)

    @property
    def age(self) -> timedelta:
        last = self.versions[self.names[-1]][-1]
        return NOW - self.truth[last.name, last.version or ""]


def loss(seed: int, share: float) -> Callable[[StageReading], StageReading]:
    """Forget a part of what is known; the same part for the same seed, and more for a greater share."""

    def lose(reading: StageReading) -> StageReading:
        def gone(what: str) -> bool:
            return random.Random(f"{seed} {reading.version} {what}").random() < share

        inputs = [
            InputRead(
                read.stage,
                None if gone(f"v{read.stage}") else read.version,
                None if gone(f"b{read.stage}") else read.built_at,
                None if gone(f"d{read.stage}") else read.data_time,
            )
            for read in reading.inputs
            if not gone(f"i{read.stage}")
        ]
        return replace(
            reading,
            data_time=None if gone("data") else reading.data_time,
            reason="lost" if gone("data") and reading.data_time else "",
            built_at=None if gone("built") else reading.built_at,
            read_at=None if gone("read") else reading.read_at,
            version=None if gone("version") else reading.version,
            inputs=tuple(inputs),
        )

    return lose


def kept(seed: int, share: float) -> Callable[[StageReading], bool]:
    return lambda reading: random.Random(f"{seed} {reading.version} kept").random() >= share


SEEDS = st.integers(0, 10**9)
SHARES = st.sampled_from([0.0, 0.05, 0.2, 0.5, 0.9])


@given(SEEDS)
def test_with_everything_known_the_age_is_the_true_one(seed: int) -> None:
    world = World(seed)
    end = world(lambda reading: reading, lambda _: True, assume=False)
    assert end.age == world.age
    assert end.lower_bound == end.age
    assert end.watermark == NOW - world.age
    assert end.path[0] == world.names[-1]
    assert end.path[-1] == end.weakest
    assert all(below in world.reads[above] for above, below in zip(end.path, end.path[1:], strict=False))
    assert end.hidden_lag is not None
    assert timedelta(0) <= end.hidden_lag <= end.age


@settings(max_examples=300)
@given(SEEDS, SEEDS, SHARES, SHARES)
def test_losing_information_never_makes_the_answer_better(
    seed: int, lost: int, share: float, more: float
) -> None:
    world = World(seed)
    share, more = sorted((share, more))
    some = world(loss(lost, share), kept(lost, share), assume=False)
    less = world(loss(lost, more), kept(lost, more), assume=False)
    for end in (some, less):
        assert end.age is None or end.age == world.age
        assert end.lower_bound is None or end.lower_bound <= world.age
        assert (end.age is None) == bool(end.reason)
    if less.age is not None:
        assert some.age is not None
    if less.lower_bound is not None:
        assert some.lower_bound is not None
        assert some.lower_bound >= less.lower_bound


@settings(max_examples=200)
@given(SEEDS, SEEDS, SHARES)
def test_the_newest_by_time_is_never_fresher_than_the_truth(seed: int, lost: int, share: float) -> None:
    """In a steady pipeline, gaps in what is known can only make the age larger."""
    world = World(seed, steady=True)
    end = world(loss(lost, share), kept(lost, share), assume=True)
    assert end.age is None or end.age >= world.age
    if not share:
        assert end.age == world.age
        assert not end.assumed


@given(SEEDS, SEEDS, SHARES, st.booleans(), st.integers(0, 10**6))
def test_the_age_grows_with_now_and_is_never_below_its_bound(
    seed: int, lost: int, share: float, assume: bool, seconds: int
) -> None:
    world = World(seed)
    stages = [loss(lost, share)(versions[-1]) for versions in world.versions.values()]
    history = [v for versions in world.versions.values() for v in versions[:-1]]
    later = NOW + timedelta(seconds=seconds)
    first = end_to_end(stages, world.names[-1], now=NOW, history=history, assume_newest=assume)
    second = end_to_end(stages, world.names[-1], now=later, history=history, assume_newest=assume)
    assert (first.age is None) == (second.age is None)
    if first.age is not None and second.age is not None:
        assert second.age - first.age == later - NOW
        assert first.lower_bound == first.age
    if first.lower_bound is not None and second.lower_bound is not None:
        assert second.lower_bound >= first.lower_bound


# -- stale inputs ----------------------------------------------------------------------------------

UP = StageReading("u", built_at=ago(2), version="new")


def holder(*inputs: InputRead, read: float | None = 5, built: float | None = None) -> StageReading:
    return StageReading(
        "c", ("u",), read_at=None if read is None else ago(read), built_at=None if built is None else ago(built),
        inputs=inputs,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stages", "history", "state", "since"),
    [
        pytest.param((UP, holder()), (), "stale", 2, id="built-after-it-read"),
        pytest.param((UP, holder(read=1)), (), "current", None, id="built-before-it-read"),
        pytest.param((UP, holder(read=2)), (), "current", None, id="built-as-it-read"),
        pytest.param((UP, holder(read=None, built=5)), (), "stale", 2, id="built-after-it-was-built"),
        pytest.param((UP, holder(read=None, built=1)), (), "unknown", None, id="read-time-unknown"),
        pytest.param((UP, holder(read=None)), (), "unknown", None, id="nothing-known"),
        pytest.param((replace(UP, built_at=ago(0.5)), holder()), (), "behind", 0.5, id="within-allowance"),
        pytest.param((replace(UP, built_at=ago(1)), holder()), (), "behind", 1, id="at-the-allowance"),
        pytest.param(
            (replace(UP, built_at=ago(0.5)), holder()), (replace(UP, version="mid", built_at=ago(4)),), "stale", 4,
            id="an-earlier-version-was-missed",
        ),
        pytest.param(
            (replace(UP, built_at=ago(0.5)), holder()), (replace(UP, version="old", built_at=ago(6)),), "behind", 0.5,
            id="the-earlier-version-was-read",
        ),
        pytest.param((UP, holder(InputRead("u", "new"))), (), "current", None, id="same-digest"),
        pytest.param((UP, holder(InputRead("u", "old"))), (), "stale", 2, id="other-digest"),
        pytest.param((UP, holder(InputRead("u", "old"), read=1)), (), "stale", 2, id="other-digest-though-read-later"),
        pytest.param(
            (replace(UP, built_at=None), holder(InputRead("u", "old"))), (), "unknown", None, id="other-digest-no-time"
        ),
        pytest.param((UP, holder(InputRead("u", "new", ago(9)))), (), "stale", 2, id="same-name-built-anew"),
        pytest.param((UP, holder(InputRead("u", built_at=ago(2)))), (), "current", None, id="same-build"),
        pytest.param((UP, holder(InputRead("u", built_at=ago(3)), read=1)), (), "stale", 2, id="earlier-build"),
        pytest.param((UP, holder(InputRead("u", built_at=ago(1)))), (), "unknown", None, id="upstream-went-back"),
        pytest.param(
            (UP, holder(InputRead("u", "old"), read=1)),
            (replace(UP, version="old", built_at=ago(8)), replace(UP, version="mid", built_at=ago(4))), "stale", 4,
            id="its-version-is-in-history",
        ),
        pytest.param((replace(UP, built_at=None), holder()), (), "unknown", None, id="upstream-unknown"),
        pytest.param((holder(),), (UP,), "unknown", None, id="no-such-stage"),
    ],
)  # fmt: skip
def test_input_ages(
    stages: tuple[StageReading, ...], history: tuple[StageReading, ...], state: str, since: float | None
) -> None:
    (age,) = input_ages(stages, now=NOW, allowance=hours(1), history=history)
    assert (age.stage, age.input, age.state) == ("c", "u", state)
    assert age.since == (None if since is None else ago(since))
    assert age.behind_for == (None if since is None else hours(since))
    assert age.read_at == stages[-1].read_at
    assert bool(age.reason) == (state == "unknown")
    stale = stale_inputs(stages, now=NOW, allowance=hours(1), history=history)
    assert stale == ((age,) if state == "stale" else ())


def test_a_live_stage_has_no_stale_inputs() -> None:
    assert input_ages((UP, replace(holder(), live=True)), now=NOW) == ()


def test_reasons_of_whoever_asked_are_kept() -> None:
    (age,) = input_ages((UP, StageReading("c", ("u",), reason="HTTP 503")), now=NOW)
    assert age.reason == "HTTP 503"
    (age,) = input_ages((StageReading("u", reason="no answer"), holder()), now=NOW)
    assert age.reason == "no answer"


# -- the worst case --------------------------------------------------------------------------------


def test_the_worst_case_of_the_example_is_15_hours() -> None:
    stages = [
        StageLimit("scoring", ("embeddings",), hours(1)),
        StageLimit("embeddings", ("features",), hours(6)),
        StageLimit("features", ("transactions",), hours(6)),
        StageLimit("transactions", (), hours(2)),
    ]
    worst = worst_case(stages)
    assert worst.total == hours(15)
    assert worst.path == ("transactions", "features", "embeddings", "scoring")
    assert not [*worst.unlimited, *worst.strangers, *worst.cycle]
    assert worst.exceeds(hours(14))
    assert not worst.exceeds(hours(15))


def test_the_longest_way_counts() -> None:
    stages = [
        StageLimit("a", (), hours(1)),
        StageLimit("b", (), hours(5)),
        StageLimit("c", ("a", "b"), hours(2)),
        StageLimit("d", ("a",), None),
        StageLimit("e", ("d", "c"), None),
    ]
    worst = worst_case(stages)
    assert worst.total == hours(7)
    assert worst.path[:2] == ("b", "c")
    assert worst.unlimited == ("d", "e")


def test_circles_and_strangers_are_data() -> None:
    worst = worst_case([StageLimit("a", ("b", "x"), hours(1)), StageLimit("b", ("a",), hours(1))])
    assert worst.total is None
    assert set(worst.cycle) == {"a", "b"}
    assert worst.strangers == (("a", "x"),)
    assert not worst.exceeds(timedelta(0))
    alone = worst_case([StageLimit("a", ("x",), hours(1))])
    assert (alone.total, alone.path, alone.strangers) == (hours(1), ("a",), (("a", "x"),))
    own = worst_case([StageLimit("a", ("a",), hours(1))])
    assert own.total is None
    assert own.cycle


def test_no_stages_have_no_worst_case() -> None:
    assert worst_case([]).total == timedelta(0)
    assert worst_case([]).path == ()
    with pytest.raises(ValueError, match="named twice"):
        worst_case([StageLimit("a"), StageLimit("a")])
