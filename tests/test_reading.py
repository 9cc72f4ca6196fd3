"""Readings: what a decision about a champion is read as, and which failures count."""

from datetime import timedelta
from decimal import Decimal

import pytest

from aigate.manifest import WatchRules
from aigate.reading import Reading, read
from aigate.testing import NOW, missing
from aigate.window import (
    Window,
)
from standard_pack import with_
from watching import DAY, HOUR, RULES, answer, evidence, follow, incumbent, unreachable


def test_a_champion_that_does_well_is_one_reading_of_its_measurements() -> None:
    found = answer(evidence())
    once = read(found.decision, found.snapshot, RULES)
    assert (once.verdict, once.champion, len(once.evidence), once.short) == ("keep", incumbent("1"), 1, "")
    later = answer(evidence(NOW + HOUR, measured=NOW - timedelta(minutes=1)))
    assert read(later.decision, later.snapshot, RULES).evidence == once.evidence


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({}, True, id="nothing-new"),
        pytest.param({"/champion/measurements/latency_p95_ms/value": "181"}, True, id="another-metric"),
        pytest.param({"/champion/measurements/accuracy/value": "0.51"}, False, id="another-value"),
        pytest.param(
            {"/champion/measurements/accuracy/recorded_at": NOW - HOUR}, False, id="measured-another-time"
        ),
        pytest.param({"/champion/measurements/accuracy/run_id": "beef"}, False, id="in-another-run"),
    ],
)
def test_a_failure_is_known_by_the_measurement_it_rests_on(changes: dict[str, object], same: bool) -> None:
    first = answer(evidence(accuracy="0.5"))
    then = answer(with_(changes, evidence(accuracy="0.5")))
    marks = [read(a.decision, a.snapshot, RULES).evidence for a in (first, then)]
    assert [len(m) for m in marks] == [1, 1]
    assert (marks[0] == marks[1]) is same


def test_a_failure_on_older_data_is_not_made_new_by_a_better_measurement() -> None:
    """The newest measurement comes first; a metric is held against its floor on every dataset."""
    old = evidence(accuracy="0.5", measured=NOW - DAY)
    assert old.champion is not None
    first, *others = old.champion.measurements
    other = first.dataset and first.dataset.model_copy(update={"digest": "77ab01c2"})

    def beside(value: str) -> Reading:
        newer = first.model_copy(
            update={"value": Decimal(value), "recorded_at": NOW - HOUR, "dataset": other}
        )
        champion = old.champion.model_copy(update={"measurements": (newer, first, *others)})  # type: ignore[union-attr]  # see above
        found = answer(old.model_copy(update={"champion": champion}))
        return read(found.decision, found.snapshot, RULES)

    alone = read(answer(old).decision, old, RULES)
    assert beside("0.95").evidence == alone.evidence
    worse = beside("0.51")
    assert worse.evidence[1:] == alone.evidence, "the newest mark is the first"
    assert follow([alone, beside("0.95")])[1].bad == 1
    assert follow([alone, worse])[1].bad == 2


@pytest.mark.parametrize(
    ("rows", "least", "short"),
    [
        pytest.param(500, None, "", id="not-asked"),
        pytest.param(500, 500, "", id="enough"),
        pytest.param(499, 500, "499 rows, and 500 are asked for", id="too-few"),
        pytest.param(None, 500, "not known, and 500", id="unknown"),
    ],
)
def test_a_failure_on_too_few_rows_does_not_count(rows: int | None, least: int | None, short: str) -> None:
    found = answer(evidence(accuracy="0.5", rows=rows))
    once = read(found.decision, found.snapshot, WatchRules(min_events=least))
    assert once.verdict == "rollback"
    assert (bool(once.evidence), bool(once.short)) == (not short, bool(short))
    assert short in once.short
    many = [once.model_copy(update={"at": NOW + n * HOUR}) for n in range(9)]
    if short:
        window, call = follow(many)
        assert window == Window(champion=incumbent("1"))
        assert (call.call, call.bad, call.acts) == ("wait", 0, False)


def test_late_data_and_silence_rest_on_no_measurement() -> None:
    late, lost = answer(evidence(), late=True), unreachable()
    assert read(late.decision, late.snapshot, RULES).evidence == ()
    assert read(lost.decision, lost.snapshot, RULES) == Reading(at=NOW, verdict="hold", champion=None)


def test_a_failure_while_nobody_knows_the_champion_is_nobodys() -> None:
    found = answer(with_({"/champion": missing("no answer")}, evidence()), late=True)
    once = read(found.decision, found.snapshot, RULES)
    assert (once.verdict, once.champion) == ("halt", None)
    window, call = follow([once] * 5)
    assert (window, call.call, call.acts) == (None, "hold", False)
