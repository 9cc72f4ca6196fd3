"""An MLflow that lies, fails after it has done what it was asked, or dies in the middle."""

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from aigate.act import StateRequest, adopt
from aigate.errors import AigateError
from torture import driver
from torture.lying import How, Lie, Proxy
from torture.rig import ALIAS, LATER, TALLY, Model, Rig

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.sampled(16)]

ALIASES = "registered-models/alias"
PARAM = "runs/log-parameter"
ENTRY = '"entry.'
SET_ALIAS = Lie("swallow", ALIASES, '"version"')
INTENT = Lie("swallow", PARAM, ENTRY)
OUTCOME = Lie("swallow", PARAM, ENTRY, skip=1)
DOCUMENT = Lie("swallow", "runs/log-batch")
RECEIPT = Lie("swallow", "model-versions/set-tag")
ANCHOR = Lie("swallow", "registered-models/set-tag")
RUN = Lie("swallow", "runs/create")

Make = Callable[[str, str], Rig]


@pytest.fixture
def proxy(tortured: Model) -> Iterator[Proxy]:
    """A proxy that still tells the truth."""
    with Proxy(tortured.uri) as made:
        yield made


def attempt(made: Rig, act: str, to: str, step: Callable[[str], None] = lambda name: None) -> tuple[int, str]:
    """Act in this process and return the exit code and what is said."""
    job = made.job(act, to)
    try:
        done = driver.run(job, driver.acting(job, step))
    except AigateError as e:
        return e.exit_code, f"{e.message} {e.fix}"
    return done.exit_code, " ".join((done.reason, *done.warnings))


def heal(made: Rig, act: str, to: str) -> None:
    """When MLflow tells the truth again, the same command ends it."""
    made.uri, made.later = made.model.uri, LATER
    made.finish(act, to)
    made.sound()
    made.clear()


@pytest.mark.parametrize("act", ["promote", "rollback"])
@pytest.mark.parametrize(
    ("how", "code", "moved"),
    [
        ("swallow", 4, False),
        ("refuse", 4, False),
        ("redirect", 4, False),
        ("cut", 4, False),
        ("fail_after", 0, True),
        ("cut_after", 0, True),
    ],
)
def test_a_lie_about_the_alias(rig: Make, proxy: Proxy, act: str, how: How, code: int, moved: bool) -> None:
    made = rig("mlflow", proxy.url)
    to, was = made.other(), made.model.holder()
    proxy.lies = [replace(SET_ALIAS, how=how)]
    found, said = attempt(made, act, to)
    assert proxy.lies[0].told == 1, "the alias was to be set once"
    assert (found, made.model.holder()) == (code, to if moved else was), said
    assert proxy.elsewhere == []
    made.sound()
    proxy.lies = []
    TALLY["lies of MLflow"] += 1
    heal(made, act, to)


@pytest.mark.parametrize(
    ("lie", "codes", "moved"),
    [
        pytest.param(replace(INTENT, how="swallow"), (4,), False, id="intent-swallowed"),
        pytest.param(replace(INTENT, how="refuse"), (3, 4), False, id="intent-refused"),
        pytest.param(replace(INTENT, how="redirect"), (3, 4), False, id="intent-redirected"),
        pytest.param(replace(INTENT, how="cut"), (3, 4), False, id="intent-cut"),
        pytest.param(replace(INTENT, how="fail_after"), (0,), True, id="intent-503-after"),
        pytest.param(replace(INTENT, how="cut_after"), (0,), True, id="intent-cut-after"),
        pytest.param(replace(OUTCOME, how="swallow"), (4,), True, id="outcome-swallowed"),
        pytest.param(replace(OUTCOME, how="refuse"), (4,), True, id="outcome-refused"),
        pytest.param(replace(OUTCOME, how="redirect"), (4,), True, id="outcome-redirected"),
        pytest.param(replace(OUTCOME, how="fail_after"), (0,), True, id="outcome-503-after"),
        pytest.param(replace(DOCUMENT, how="swallow"), (3,), False, id="record-swallowed"),
        pytest.param(replace(DOCUMENT, how="fail_after"), (0,), True, id="record-503-after"),
        pytest.param(replace(RUN, how="swallow"), (3,), False, id="run-swallowed"),
        pytest.param(replace(RECEIPT, how="swallow"), (0, 4), True, id="receipt-swallowed"),
        pytest.param(replace(RECEIPT, how="refuse"), (4,), True, id="receipt-refused"),
        pytest.param(replace(ANCHOR, how="swallow"), (0, 4), True, id="anchor-swallowed"),
        pytest.param(replace(ANCHOR, how="refuse"), (0, 4), True, id="anchor-refused"),
    ],
)
def test_a_lie_about_the_ledger(
    rig: Make, proxy: Proxy, lie: Lie, codes: tuple[int, ...], moved: bool
) -> None:
    made = rig("mlflow", proxy.url)
    to, was = made.other(), made.model.holder()
    proxy.lies = [replace(lie)]
    found, said = attempt(made, "promote", to)
    assert proxy.lies[0].told, "there was nothing to lie about"
    assert found in codes, said
    assert made.model.holder() == (to if moved else was), said
    assert proxy.elsewhere == []
    proxy.lies = []
    TALLY["lies of MLflow"] += 1
    heal(made, "promote", to)


def test_a_replica_that_is_a_second_late_is_waited_for(rig: Make, proxy: Proxy) -> None:
    made = rig("mlflow", proxy.url)
    to = made.other()
    stale = Lie("stale", ALIASES, until=0)
    proxy.lies = [stale]

    def step(name: str) -> None:
        if name == "before_alias":
            stale.until = time.monotonic() + 1

    # Only reads are stale: a write has a body.
    found, said = _stale(made, proxy, to, step)
    assert (found, made.model.holder()) == (0, to), said
    assert stale.told > 2
    proxy.lies = []
    made.sound()
    TALLY["lies of MLflow"] += 1
    heal(made, "promote", to)


def test_a_replica_that_never_shows_it_is_no_success_and_then_a_drift(rig: Make, proxy: Proxy) -> None:
    made = rig("mlflow", proxy.url)
    to = made.other()
    stale = Lie("stale", ALIASES, until=0)
    proxy.lies = [stale]

    def step(name: str) -> None:
        if name == "before_alias":
            stale.until = float("inf")

    found, said = _stale(made, proxy, to, step)
    assert found == 4, said
    assert made.model.holder() == to
    proxy.lies, made.uri, made.later = [], made.model.uri, LATER
    again = made.driver.run(made.job("promote", to))["done"]
    assert again["code"] == 1, again
    assert again["blockers"]
    done = adopt(made.loaded, StateRequest(made.model.name, ALIAS, "it was MLflow"), made.acting())
    assert done.exit_code == 0
    TALLY["lies of MLflow"] += 1
    made.begin()
    heal(made, "promote", to)


def _stale(made: Rig, proxy: Proxy, to: str, step: Callable[[str], None]) -> tuple[int, str]:
    """Act while reads of the alias, and no writes, may be stale."""
    real = proxy.lie_for

    def reads_only(path: str, body: bytes) -> Lie | None:
        return None if body else real(path, body)

    proxy.lie_for = reads_only  # type: ignore[method-assign]
    return attempt(made, "promote", to, step)


@pytest.mark.parametrize("last", ["after_intent", "before_alias", "after_alias", "after_read_back"])
@pytest.mark.parametrize("act", ["promote", "rollback"])
def test_a_server_that_dies_in_the_middle(rig: Make, proxy: Proxy, act: str, last: str) -> None:
    made = rig("mlflow", proxy.url)
    to, was = made.other(), made.model.holder()

    def step(name: str) -> None:
        if name == last:
            proxy.lies = [Lie("cut", "")]

    found, said = attempt(made, act, to, step)
    assert found == 4, said
    assert made.model.holder() == (to if last.startswith("after_") and last != "after_intent" else was)
    TALLY["lies of MLflow"] += 1
    proxy.lies = []
    heal(made, act, to)


def test_a_server_that_never_answers_the_write(
    rig: Make, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback's whole time is a minute; here it is less, so that the test is shorter."""
    monkeypatch.setattr(importlib.import_module("aigate.act.rollback"), "_SECONDS", 8.0)
    made = rig("mlflow", proxy.url)
    to = made.other()
    proxy.lies = [replace(SET_ALIAS, how="hang_after")]
    started = time.monotonic()
    found, said = attempt(made, "rollback", to)
    assert found in (0, 4), said
    assert time.monotonic() - started < 12
    proxy.lies = []
    TALLY["lies of MLflow"] += 1
    heal(made, "rollback", to)
