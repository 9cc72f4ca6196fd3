"""Windows and calls: what it takes until something is called for, and what never does."""

from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.decision import Actor
from aigate.ledger import Adopt, Body, Clear, Entry, Halt, Intent, Outcome, Resume
from aigate.manifest import RollbackRules, WatchRules
from aigate.reading import Incumbent, Read, Reading
from aigate.standing import Standing, fold
from aigate.testing import NOW
from aigate.window import (
    LARGEST,
    Call,
    CallName,
    Heartbeat,
    Window,
    bounded,
    called,
    drifted,
    oldest,
    read_heartbeat,
    since,
    take,
    write_heartbeat,
)
from watching import DAY, HOUR, MINUTE, RULES, START, follow, identity, incumbent


def reading(verdict: Read, mark: int = 0, *, version: str | None = "1", short: str = "") -> Reading:
    marks = (f"{mark:08x}",) if verdict in ("keep", "rollback") and not short else ()
    held = None if version is None else incumbent(version)
    return Reading(at=NOW, verdict=verdict, champion=held, evidence=marks, short=short)


_LETTERS: dict[str, Read] = {"k": "keep", "r": "rollback", "h": "halt", "-": "hold"}


def row(text: str) -> list[Reading]:
    """Readings written down: `k1 r2 h -`; the number is that of the measurement."""
    return [reading(_LETTERS[word[0]], int(word[1:] or 0)) for word in text.split()]


# Windows and calls


@pytest.mark.parametrize(
    ("text", "call", "bad"),
    [
        pytest.param("k1", "keep", 0, id="well"),
        pytest.param("-", "hold", 0, id="nobody-knows"),
        pytest.param("r1", "wait", 1, id="once-is-noise"),
        pytest.param("r1 r2", "rollback", 2, id="twice-is-not"),
        pytest.param("r1 r1 r1 r1", "wait", 1, id="one-number-read-again"),
        pytest.param("r1 k2 r3", "rollback", 2, id="two-of-three"),
        pytest.param("r1 k2 k3 r4", "wait", 1, id="two-of-four"),
        pytest.param("r1 k2 k2 k2 k2 r3", "rollback", 2, id="a-good-number-read-again"),
        pytest.param("r1 r2 k3", "keep", 0, id="it-is-well-again"),
        pytest.param("r1 - - - - r2", "rollback", 2, id="silence-is-no-good-reading"),
        pytest.param("r1 - - -", "hold", 0, id="silence-is-no-bad-reading"),
        pytest.param("r1 h h r1", "wait", 1, id="the-same-number-after-late-data"),
        pytest.param("h", "wait", 1, id="late-once"),
        pytest.param("h h", "halt", 2, id="late-twice"),
        pytest.param("h k1 h", "halt", 2, id="late-twice-of-three"),
        pytest.param("h k1 k1 h", "wait", 1, id="late-twice-of-four"),
        pytest.param("h - - h", "halt", 2, id="late-before-and-after-silence"),
        pytest.param("r1 h", "wait", 1, id="each-cause-counts-by-itself"),
        pytest.param("h r1", "wait", 1, id="and-the-other-way"),
        pytest.param("r1 r2 r2 r2", "rollback", 2, id="still-called-for"),
    ],
)
def test_what_a_row_of_readings_calls_for(text: str, call: CallName, bad: int) -> None:
    found = follow(row(text))[1]
    assert (found.call, found.bad) == (call, bad)
    assert found.acts is (call in ("rollback", "halt"))
    assert found.exit_code == {"keep": 0, "hold": 3}.get(call, 1)
    if call == "wait":
        assert "1 of 2 bad readings" in " ".join(found.reasons)


def test_a_new_champion_starts_a_new_window() -> None:
    first = row("r1 r2")
    window, call = follow([*first, reading("rollback", 3, version="2")])
    assert (window and window.champion, call.call, call.bad) == (incumbent("2"), "wait", 1)


def test_a_version_made_anew_under_the_same_number_is_a_new_champion() -> None:
    anew = Incumbent(version="1", created_at=incumbent("1").created_at + HOUR)
    window, call = follow([*row("r1"), reading("rollback", 2).model_copy(update={"champion": anew})])
    assert (call.call, call.bad) == ("wait", 1)
    assert window is not None
    assert window.champion == anew


def test_a_failure_of_several_metrics_is_new_where_one_of_them_was_measured_anew() -> None:
    def failing(*marks: int) -> Reading:
        return reading("rollback").model_copy(update={"evidence": tuple(f"{m:08x}" for m in marks)})

    assert follow([failing(1, 2), failing(1)])[1].bad == 1
    assert follow([failing(1, 2), failing(2)])[1].bad == 1
    assert follow([failing(1), failing(1, 2)])[1].bad == 2
    assert follow([failing(1), failing(2), failing(1, 2)])[1].bad == 2


def test_rules_of_one_act_at_once() -> None:
    assert follow(row("r1"), WatchRules(bad=1, of=1))[1].call == "rollback"
    assert follow(row("h"), WatchRules(bad=1, of=1))[1].call == "halt"


def test_a_narrower_window_forgets_what_is_too_long_ago() -> None:
    window = follow(row("h h h h k1 r2 r3"), WatchRules(bad=5, of=100))[0]
    assert window is not None
    narrow = take(window, reading("keep", 9), 2)
    assert narrow is not None
    assert (narrow.letters, len(narrow.measured)) == ("rk", 2)


ROWS = st.lists(
    st.builds(reading, st.sampled_from(get_args(Read)), st.integers(0, 5), version=st.sampled_from("12")),
    min_size=1,
    max_size=30,
)
ANY_RULES = st.integers(1, 6).flatmap(
    lambda of: st.builds(WatchRules, bad=st.integers(1, of), of=st.just(of))
)


@given(ROWS, ANY_RULES)
def test_an_act_needs_enough_bad_readings_of_the_champion_that_is_read(
    readings: list[Reading], rules: WatchRules
) -> None:
    call, last = follow(readings, rules)[1], readings[-1]
    if not call.acts:
        return
    mine: list[Reading] = []
    for one in reversed(readings):
        if one.verdict != "hold" and one.champion != last.champion:
            break
        mine.append(one)
    bad = [one for one in mine if one.verdict == last.verdict]
    assert last.verdict in ("rollback", "halt")
    assert call.call == last.verdict
    assert len(bad) >= rules.bad
    if last.verdict == "rollback":
        assert len({one.evidence for one in bad}) >= rules.bad


@given(ROWS, ANY_RULES)
def test_ignorance_calls_for_nothing_and_changes_nothing(readings: list[Reading], rules: WatchRules) -> None:
    before, call = follow(readings, rules)
    held = readings[-1].model_copy(update={"verdict": "hold", "evidence": ()})
    after, silent = follow([*readings, held], rules)
    assert (silent.call, silent.acts) == ("hold", False)
    if before is not None:
        assert after == before
        assert follow([*readings[:-1], held, readings[-1]], rules) == (before, call)


@given(ROWS, ANY_RULES, st.data())
def test_a_worse_past_never_calls_for_less(readings: list[Reading], rules: WatchRules, data: Any) -> None:
    """Where a good reading before was a bad one instead, what acted still acts; each measurement is a new one."""
    readings = [reading(one.verdict, n) for n, one in enumerate(readings)]
    good = [n for n, one in enumerate(readings[:-1]) if one.verdict == "keep"]
    if not good or not follow(readings, rules)[1].acts or readings[-1].verdict != "rollback":
        return
    place = data.draw(st.sampled_from(good))
    worse = [*readings]
    worse[place] = reading("rollback", 100 + place)
    assert follow(worse, rules)[1].call == "rollback"


@given(ROWS, ANY_RULES)
def test_a_window_stays_small(readings: list[Reading], rules: WatchRules) -> None:
    window = follow(readings, rules)[0]
    if window is not None:
        assert len(window.letters) <= rules.of
        assert len(window.measured) <= rules.of


# The heartbeat


def beat(window: Window | None = None, **changes: Any) -> Heartbeat:
    fields: dict[str, Any] = {
        "at": NOW,
        "environment": "production",
        "alias": "champion",
        "verdict": "keep",
        "call": "keep",
        "every": timedelta(minutes=5),
        "window": window,
    }
    return Heartbeat(**{**fields, **changes})


@given(ROWS, ANY_RULES)
def test_a_heartbeat_is_read_as_it_was_written(readings: list[Reading], rules: WatchRules) -> None:
    first = beat(follow(readings, rules)[0])
    assert read_heartbeat(write_heartbeat(first), NOW) == first


def test_the_largest_window_fits_into_a_tag() -> None:
    readings = [
        reading("rollback").model_copy(
            update={"evidence": tuple(f"{m:08x}" for m in range(3 * n, 3 * n + 3))}
        )
        for n in range(100)
    ]
    window = follow(readings, WatchRules(bad=100, of=100))[0]
    assert window is not None
    text = write_heartbeat(beat(window))
    assert len(text) <= LARGEST
    again = read_heartbeat(text, NOW)
    assert isinstance(again, Heartbeat)
    assert again.window == window
    assert called(window, readings[-1], WatchRules(bad=100, of=100)).call == "rollback"
    named = beat(window, environment="e" * 200, alias="a" * 200)
    cut = read_heartbeat(write_heartbeat(named), NOW)
    assert isinstance(cut, Heartbeat), "the oldest readings make room"
    assert cut.window is not None
    assert cut.window.measured == window.measured[-len(cut.window.measured) :]


FIRST, SECOND = "k3h0000", "r3h0001"
WHOLE = write_heartbeat(beat(Window(champion=incumbent("1"), ticks=FIRST + SECOND)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "no heartbeat", id="empty"),
        pytest.param("alive", "no heartbeat", id="no-json"),
        pytest.param("[]", "no heartbeat", id="a-list"),
        pytest.param("{}", "no heartbeat", id="an-object"),
        pytest.param("[" * 3000, "no heartbeat", id="deep"),
        pytest.param(WHOLE + " ", "not in the form", id="white-space"),
        pytest.param(WHOLE.replace(SECOND, "x3h0001"), "window.ticks", id="another-letter"),
        pytest.param(WHOLE.replace(SECOND, "r"), "window.ticks", id="no-time"),
        pytest.param(WHOLE.replace(SECOND, "r3h0000"), "one after the other", id="at-the-same-time"),
        pytest.param(WHOLE.replace(SECOND, "r3gzzzz"), "one after the other", id="out-of-order"),
        pytest.param(WHOLE.replace(SECOND, "rzzzzzz"), "later than itself", id="a-reading-of-the-future"),
        pytest.param(WHOLE.replace("watch/v1", "watch/v2"), "schema", id="another-schema"),
        pytest.param(WHOLE.replace('"drift":false', '"drift":0'), "drift", id="loose-type"),
        pytest.param(WHOLE.replace('"drift"', '"more":1,"drift"'), "more", id="another-key"),
        pytest.param(WHOLE.replace('{"alias"', '{"alias":"x","alias"', 1), "not in the form", id="twice"),
        pytest.param(WHOLE.replace("PT300S", "PT299S "), "every", id="a-bad-span"),
        pytest.param("x" * (LARGEST + 1), "at most", id="too-long"),
        pytest.param(write_heartbeat(beat(at=NOW + timedelta(seconds=61))), "in the future", id="future"),
    ],
)
def test_a_tag_that_cannot_be_a_heartbeat_is_not_believed(text: str, words: str) -> None:
    found = read_heartbeat(text, NOW)
    assert isinstance(found, str), found
    assert words in found


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("utf-8", "surrogateescape")))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert isinstance(read_heartbeat(text, NOW), str)


def test_clocks_may_differ_a_little() -> None:
    assert isinstance(read_heartbeat(write_heartbeat(beat(at=NOW + timedelta(minutes=1))), NOW), Heartbeat)


# What of a window is believed


def at(one: Reading, when: timedelta) -> Reading:
    return one.model_copy(update={"at": NOW + when})


@pytest.mark.parametrize(
    ("before", "bad"),
    [
        pytest.param(MINUTE, 2, id="a-minute"),
        pytest.param(8 * DAY, 2, id="eight-days"),
        pytest.param(8 * DAY + timedelta(seconds=1), 1, id="too-old"),
        pytest.param(timedelta(0), 1, id="the-same-moment"),
        pytest.param(-MINUTE, 1, id="the-future"),
    ],
)
@pytest.mark.parametrize("verdict", ["rollback", "halt"])
def test_a_reading_counts_only_before_the_present_one_and_not_for_long(
    verdict: Read, before: timedelta, bad: int
) -> None:
    window = take(None, at(reading(verdict, 1), -before), 3)
    now = reading(verdict, 2)
    window = take(window, now, 3)
    assert called(window, now, RULES).bad == bad


def test_a_wider_window_goes_further_back() -> None:
    assert (oldest(3), oldest(8), oldest(30)) == (8 * DAY, 8 * DAY, 30 * DAY)


def test_what_is_read_again_is_as_young_as_its_last_reading() -> None:
    window = None
    for days in range(-9, 0):
        window = take(window, at(reading("rollback", 1), days * DAY), 3)
    now = reading("rollback", 2)
    assert called(take(window, now, 3), now, RULES).bad == 2


def test_what_is_dated_before_the_alias_was_moved_is_left_out() -> None:
    window = follow(row("r1 h r2 h"))[0]
    assert since(window, START) == window
    later = since(window, START + 2 * MINUTE)
    assert later is not None
    assert (later.letters, len(later.measured)) == ("rh", 1)
    none = since(window, NOW)
    assert none is not None
    assert (none.letters, none.measured) == ("", ())
    assert since(None, NOW) is None


def test_times_are_in_the_order_of_their_stamps() -> None:
    window = None
    for n in (-40 * HOUR, -36 * HOUR, -1 * MINUTE, timedelta(seconds=-1), timedelta(0)):
        window = take(window, at(reading("halt"), n), 9)
    assert window is not None
    assert len(window.looks) == 5
    assert list(window.looks) == sorted(window.looks)
    assert read_heartbeat(write_heartbeat(beat(window)), NOW) == beat(window)


# Bounds


def history(*bodies: tuple[timedelta, Body]) -> Standing:
    """What entries come to that were written so long ago."""
    return fold(
        "churn",
        [
            Entry(
                model="churn",
                seq=seq,
                prev=None if seq == 1 else "sha256:" + "0" * 64,
                at=NOW - ago,
                actor=Actor(name="user:kai"),
                nonce="0" * 16,
                body=body,
            )
            for seq, (ago, body) in enumerate(bodies, 1)
        ],
    )


def adopted(ago: timedelta, version: str) -> tuple[timedelta, Body]:
    body = Adopt(alias="champion", from_=None, to=identity(version), reason="as found", role="owner")
    return ago, body


def moved(
    ago: timedelta, of: int, before: str, after: str, action: str = "promote", automatic: bool = False
) -> tuple[tuple[timedelta, Body], ...]:
    intent = {
        "action": action,
        "alias": "champion",
        "from": identity(before),
        "to": identity(after),
        "environment": "production",
        "reason": "because",
        "automatic": automatic,
        "expires": NOW,
    }
    return (ago, Intent.model_validate(intent)), (ago, Outcome(of=of, result="applied"))


def halted(ago: timedelta, until: timedelta | None = None) -> tuple[timedelta, Body]:
    end = None if until is None else NOW + until
    return ago, Halt(reason="late data", role="watch", automatic=True, until=end)


PROMOTED = (adopted(9 * DAY, "1"), *moved(2 * HOUR, 2, "1", "2"))
WANTED = follow([reading("rollback", 1, version="2"), reading("rollback", 2, version="2")])[1]
HALT = follow([reading("halt", version="2")] * 2)[1]
AUTO = RollbackRules(mode="auto")


def bound(
    standing: Standing, call: Call = WANTED, champion: str = "2", *, automatic: bool = True, **rules: Any
) -> Call:
    return bounded(
        call,
        incumbent(champion),
        RollbackRules(mode="auto", **rules),
        standing,
        alias="champion",
        now=NOW,
        automatic=automatic,
    )


def flapped(hours: float, times: int) -> Standing:
    """Version 1 was promoted away from and rolled back to, again and again, and promoted away from at last."""
    bodies = [adopted(9 * DAY, "1")]
    for n in range(times):
        ago = timedelta(hours=hours + times - n)
        bodies += moved(ago, len(bodies) + 1, "1", str(n + 10))
        bodies += moved(ago - HOUR / 2, len(bodies) + 1, str(n + 10), "1", "rollback", True)
    bodies += moved(2 * HOUR, len(bodies) + 1, "1", "2")
    return history(*bodies)


@pytest.mark.parametrize(
    ("standing", "rules", "call", "words"),
    [
        pytest.param(history(*PROMOTED), {}, "rollback", "", id="free"),
        pytest.param(history(PROMOTED[0], *moved(HOUR, 2, "1", "2")), {}, "rollback", "", id="cooled-down"),
        pytest.param(
            history(PROMOTED[0], *moved(HOUR - timedelta(seconds=1), 2, "1", "2")),
            {},
            "wait",
            "cool-down lasts another 1s",
            id="cooling-down",
        ),
        pytest.param(flapped(3, 1), {}, "rollback", "", id="below-the-bound"),
        pytest.param(flapped(3, 2), {}, "halt", "2 in 24 hours", id="at-the-bound"),
        pytest.param(flapped(24, 2), {}, "rollback", "", id="the-bound-is-of-one-day"),
        pytest.param(history(*PROMOTED), {"max_per_day": 0}, "halt", "at most 0", id="none-allowed"),
        pytest.param(
            history(*PROMOTED, *moved(2 * HOUR, 4, "2", "1", "rollback"), *moved(HOUR, 6, "1", "3")),
            {},
            "halt",
            "the ledger last put it on v3",
            id="drifted",
        ),
        pytest.param(history(), {}, "halt", "does not know how", id="empty-ledger"),
        pytest.param(history(adopted(9 * DAY, "2")), {}, "halt", "no other version", id="nothing-before"),
        pytest.param(
            history(
                adopted(9 * DAY, "3"), *moved(8 * DAY, 2, "3", "1", "rollback"), *moved(DAY, 4, "1", "2")
            ),
            {"min_soak": timedelta(days=8)},
            "halt",
            "served 8d",
            id="nothing-soaked-and-free",
        ),
        pytest.param(
            history(adopted(9 * DAY, "3"), *moved(8 * DAY, 2, "3", "2", "rollback")),
            {},
            "halt",
            "came by a rollback",
            id="a-rollback-is-not-rolled-back",
        ),
        pytest.param(
            history(*PROMOTED, (HOUR, moved(HOUR, 1, "2", "4")[0][1])),
            {},
            "wait",
            "has been moving",
            id="somebody-is-at-it",
        ),
    ],
)
def test_what_keeps_an_automatic_rollback(
    standing: Standing, rules: dict[str, Any], call: CallName, words: str
) -> None:
    found = bound(standing, **rules)
    assert (found.call, found.acts) == (call, call != "wait")
    assert words in found.reasons[-1]
    assert found.exit_code == 1
    by_hand = bound(standing, automatic=False, **rules)
    assert (by_hand.call, by_hand.acts) == ("rollback", True), "a person decides for himself"


def test_quarantine_leaves_nothing_to_return_to_until_it_is_cleared() -> None:
    left = [adopted(9 * DAY, "3"), *moved(8 * DAY, 2, "3", "1", "rollback"), *moved(7 * DAY, 4, "1", "2")]
    strict: dict[str, Any] = {"min_soak": timedelta(hours=25)}
    assert bound(history(*left), **strict).call == "halt"
    cleared: Body = Clear(version=identity("3"), reason="retrained", role="owner")
    assert bound(history(*left, (HOUR, cleared)), **strict).call == "rollback"


def test_what_is_halted_is_not_halted_again() -> None:
    standing = history(*PROMOTED, halted(HOUR))
    again = bound(standing, HALT)
    assert (again.call, again.acts) == ("halt", False)
    assert "halted already" in again.reasons[-1]
    assert "late data" in again.reasons[-1]
    instead = bound(standing, max_per_day=0)
    assert (instead.call, instead.acts) == ("halt", False)
    assert bound(standing).acts, "a halt stops promotions, and not the way back"


def test_a_halt_that_is_over_or_resumed_is_none() -> None:
    over = history(*PROMOTED, halted(HOUR, timedelta(0)))
    resumed = history(*PROMOTED, halted(HOUR), (HOUR, Resume(reason="mended", role="owner")))
    for standing in (over, resumed):
        assert bound(standing, HALT).acts
    assert not bound(history(*PROMOTED, halted(HOUR, HOUR)), HALT).acts


@pytest.mark.parametrize("text", ["k1", "-", "r1", "h"])
def test_bounds_never_make_an_act_of_what_is_none(text: str) -> None:
    call = follow(row(text))[1]
    for standing in (history(), history(*PROMOTED), flapped(3, 2), history(*PROMOTED, halted(HOUR))):
        found = bound(standing, call)
        assert (found.call, found.acts) == (call.call, False)


def test_drift_is_told_by_creation_time_too() -> None:
    standing = history(*PROMOTED)
    assert drifted(incumbent("2"), standing, "champion") == ""
    assert "put it on v2" in drifted(incumbent("1"), standing, "champion")
    anew = Incumbent(version="2", created_at=NOW)
    assert "past the gate" in drifted(anew, standing, "champion")
    assert "does not know" in drifted(incumbent("2"), standing, "shadow")
    nothing: Body = Adopt(alias="champion", from_=None, to=None, reason="gone", role="owner")
    assert "put it on nothing" in drifted(incumbent("2"), history((HOUR, nothing)), "champion")


def test_a_version_that_nobody_allowed_is_nothing_to_return_to() -> None:
    """A person named version 3 in a rollback: it served for days, and nobody ever promoted or adopted it."""
    named = [adopted(9 * DAY, "1"), *moved(8 * DAY, 2, "1", "3", "rollback"), *moved(3 * HOUR, 4, "3", "2")]
    found = bound(history(*named))
    assert (found.call, "no other version" in found.reasons[-1]) == ("halt", True)
    allowed = [
        adopted(12 * DAY, "3"),
        *moved(11 * DAY, 2, "3", "1"),
        *moved(10 * DAY, 4, "1", "3", "rollback"),
    ]
    back = bound(history(*allowed, *moved(3 * HOUR, 6, "3", "2")))
    assert back.call == "rollback"


def test_a_move_of_the_future_is_told_as_that() -> None:
    found = bound(history(adopted(9 * DAY, "1"), *moved(-6 * HOUR, 2, "1", "2")))
    assert found.call == "wait"
    assert "by this machine's clock in the future" in found.reasons[-1]
    assert "lasts" not in found.reasons[-1]
