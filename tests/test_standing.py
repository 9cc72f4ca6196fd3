"""What a history comes to: who serves since when, what is halted, in quarantine, open, and whose leave is used up."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.ledger import (
    MOVED,
    Action,
    Adopt,
    Body,
    BreakGlass,
    Clear,
    Drill,
    Halt,
    Identity,
    Result,
    Resume,
    Review,
)
from aigate.standing import Standing, fold, standing
from aigate.values import missing
from histories import (
    BODIES,
    HOUR,
    KAI,
    MODEL,
    NOW,
    ROBIN,
    SECOND,
    History,
    digest_of,
    identity,
    intent,
    outcome,
)

V1, V2, V3 = identity(1), identity(2), identity(3)
NOT_MOVED: tuple[Result, ...] = ("not_applied", "changed", "abandoned", "refused", "conflict")
_EVERY_RESULT = pytest.mark.parametrize("result", [*MOVED, *NOT_MOVED])


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def served(found: Standing, alias: str = "champion") -> list[tuple[str, str, str | None]]:
    """Who held an alias, oldest first: version, how it came, how it left."""
    return [
        ("-" if t.identity is None else t.identity.version, t.by, t.left_by)
        for t in found.tenures
        if t.alias == alias
    ]


# --- tenures -----------------------------------------------------------------------------------------------------


def _nothing(history: History) -> None:
    """No entries."""


def _adopted(history: History) -> None:
    history.adopt(V1)


def _promoted_first(history: History) -> None:
    history.move(V1)


def _promoted(history: History) -> None:
    history.adopt(V1)
    history.move(V2, V1)


def _rolled_back(history: History) -> None:
    _promoted(history)
    history.move(V1, V2, "rollback")


def _only_meant(history: History) -> None:
    history.adopt(V1)
    history.add(intent(V2, V1))


def _given_up(history: History) -> None:
    history.adopt(V1)
    for result in NOT_MOVED:
        history.move(V2, V1, result=result)


def _recovered(history: History) -> None:
    history.adopt(V1)
    history.move(V2, V1, result="recovered")


def _taken_away(history: History) -> None:
    history.adopt(V1)
    history.adopt(None, V1)


def _never_there(history: History) -> None:
    history.adopt(None)


def _come_back(history: History) -> None:
    _taken_away(history)
    history.move(V2)


def _other_alias(history: History) -> None:
    history.adopt(V1)
    history.move(V2, alias="staging")


def _rest(history: History) -> None:
    history.adopt(V1)
    history.add(Drill(alias="champion", from_=V1, to=V2, ready=True, seconds=Decimal(1)))
    history.add(Halt(reason="late", role="watch"))
    history.add(Resume(reason="came", role="approver"))
    history.add(Clear(version=V2, reason="mended", role="approver"))
    history.add(BreakGlass(alias="champion", to=V2, reason="now", role="approver", expires=NOW))
    history.add(Review(of=6, reason="seen", role="approver"))


HISTORIES = {
    "nothing": (_nothing, []),
    "adopted": (_adopted, [("1", "adopt", None)]),
    "promoted into an empty place": (_promoted_first, [("1", "promote", None)]),
    "promoted": (_promoted, [("1", "adopt", "promote"), ("2", "promote", None)]),
    "rolled back": (
        _rolled_back,
        [("1", "adopt", "promote"), ("2", "promote", "rollback"), ("1", "rollback", None)],
    ),
    "an intent moves nothing": (_only_meant, [("1", "adopt", None)]),
    "neither does one that came to nothing": (_given_up, [("1", "adopt", None)]),
    "recovered is moved": (_recovered, [("1", "adopt", "promote"), ("2", "promote", None)]),
    "taken away": (_taken_away, [("1", "adopt", "adopt"), ("-", "adopt", None)]),
    "never there": (_never_there, [("-", "adopt", None)]),
    "come back": (
        _come_back,
        [("1", "adopt", "adopt"), ("-", "adopt", "promote"), ("2", "promote", None)],
    ),
    "another alias": (_other_alias, [("1", "adopt", None)]),
    "what is no move moves nothing": (_rest, [("1", "adopt", None)]),
}


@pytest.mark.parametrize(("write", "expected"), HISTORIES.values(), ids=HISTORIES.keys())
def test_who_served(write: object, expected: list[tuple[str, str, str | None]]) -> None:
    history = History()
    assert callable(write)
    write(history)
    found = history.standing
    assert served(found) == expected
    last = None if not expected else expected[-1][0]
    holder = found.holder("champion")
    assert (None if holder is None else holder.version) == (None if last in (None, "-") else last)
    assert found.known("champion") is bool(expected)
    assert found == fold(MODEL, history.entries) == standing(history.chain)


def test_a_tenure_lasts_from_outcome_to_outcome() -> None:
    history = History()
    history.adopt(V1, at=ago(50))
    seq = history.add(intent(V2, V1, decision=digest_of("d"), reason="better"), at=ago(30))
    history.add(outcome(seq), at=ago(29), actor=ROBIN)
    back = history.add(intent(V1, V2, "rollback", reason="worse"), at=ago(10), actor=ROBIN)
    history.add(outcome(back), at=ago(9))
    first, second, third = history.standing.tenures
    assert (first.since, first.until) == (ago(50), ago(29))
    assert (second.since, second.until) == (ago(29), ago(9))
    assert (third.since, third.until) == (ago(9), None)
    assert (second.seq, second.decision, second.reason) == (seq, digest_of("d"), "better")
    assert (third.seq, third.decision, third.reason) == (back, None, "worse")
    assert second.actor == KAI, "who intended it, not who found out what became of it"
    assert third.actor == ROBIN
    assert (first.lived(NOW), second.lived(NOW), third.lived(NOW)) == (21 * HOUR, 20 * HOUR, 9 * HOUR)


def test_every_alias_has_its_own_tenures() -> None:
    history = History()
    history.adopt(V1)
    history.move(V2, alias="staging")
    history.move(V3, V2, alias="staging")
    found = history.standing
    assert served(found) == [("1", "adopt", None)]
    assert served(found, "staging") == [("2", "promote", "promote"), ("3", "promote", None)]
    assert (found.holder("champion"), found.holder("staging"), found.holder("else")) == (V1, V3, None)
    assert not found.known("else")
    assert found.tenure("else") is None


def test_that_nothing_holds_the_alias_is_known_and_not_unknown() -> None:
    history = History()
    history.adopt(None, V1)
    found = history.standing
    assert found.known("champion")
    assert found.holder("champion") is None
    tenure = found.tenure("champion")
    assert tenure is not None
    assert tenure.identity is None


@_EVERY_RESULT
@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_what_an_outcome_moves(result: Result, action: Action) -> None:
    history = History()
    history.adopt(V1)
    seq = history.move(V2, V1, action, result=result, automatic=True, reason="why", at=ago(3), actor=ROBIN)
    found, moved = history.standing, result in MOVED
    assert found.holder("champion") == (V2 if moved else V1)
    assert found.open == ()
    assert len(found.moves) == int(moved)
    assert (found.quarantine(V1) is not None) is (moved and action == "rollback")
    for move in found.moves:
        assert (move.seq, move.at, move.action, move.alias) == (seq, ago(3), action, "champion")
        assert (move.from_, move.to, move.automatic, move.reason, move.actor) == (V1, V2, True, "why", ROBIN)


@pytest.mark.parametrize("first", [*MOVED, *NOT_MOVED])
@pytest.mark.parametrize("second", [*MOVED, *NOT_MOVED])
def test_the_first_outcome_counts(first: Result, second: Result) -> None:
    history = History()
    history.adopt(V1)
    seq = history.move(V2, V1, "rollback", result=first, at=ago(5))
    once = history.standing
    history.add(outcome(seq, second), at=ago(1))
    assert history.standing == once


@pytest.mark.parametrize("of", [1, 2, 99])
def test_an_outcome_of_what_is_no_intent_is_nothing(of: int) -> None:
    history = History()
    history.adopt(V1)
    history.add(Halt(reason="late", role="watch"))
    before = history.standing
    history.add(outcome(of))
    assert history.standing == before


def test_an_outcome_cannot_come_before_its_intent() -> None:
    history = History()
    history.adopt(V1)
    history.add(outcome(3))
    history.add(intent(V2, V1))
    found = history.standing
    assert [o.seq for o in found.open] == [3]
    assert found.holder("champion") == V1


def test_open_intents_are_in_their_order_and_close_one_by_one() -> None:
    history = History()
    history.adopt(V1)
    first = history.add(intent(V2, V1), at=ago(2), actor=ROBIN)
    second = history.add(intent(V3, alias="staging"), at=ago(1))
    found = history.standing.open
    assert [(o.seq, o.at, o.actor, o.intent.to) for o in found] == [
        (first, ago(2), ROBIN, V2),
        (second, ago(1), KAI, V3),
    ]
    history.add(outcome(first, "abandoned"))
    assert [o.seq for o in history.standing.open] == [second]
    history.add(outcome(second))
    assert history.standing.open == ()


# --- quarantine --------------------------------------------------------------------------------------------------


def test_a_version_that_was_rolled_back_from_is_in_quarantine() -> None:
    history = History()
    history.adopt(V1)
    history.move(V2, V1)
    seq = history.move(V1, V2, "rollback", reason="accuracy fell", at=ago(2), actor=ROBIN)
    found = history.standing
    [kept] = found.quarantined
    assert found.quarantine(V2) == kept
    assert (kept.identity, kept.seq, kept.at, kept.actor, kept.reason) == (
        V2,
        seq,
        ago(2),
        ROBIN,
        "accuracy fell",
    )
    assert found.quarantine(V1) is None
    assert found.quarantine(identity(2, artifact_digest=digest_of("f"))) == kept, (
        "overwriting files frees nobody"
    )
    assert found.quarantine(identity(2, created_at=NOW)) is None, "another version of that number is not it"


def test_a_quarantine_holds_for_every_alias_and_until_it_is_cleared() -> None:
    history = History()
    history.move(V2, alias="staging")
    history.move(V1, V2, "rollback", alias="staging")
    history.add(Resume(reason="go on", role="approver"))
    history.adopt(V2, V1, alias="staging")
    assert history.standing.quarantine(V2) is not None, "neither resuming nor adopting clears it"
    history.add(Clear(version=V3, reason="another", role="approver"))
    assert history.standing.quarantine(V2) is not None
    history.add(Clear(version=identity(2, created_at=NOW), reason="same number", role="approver"))
    assert history.standing.quarantine(V2) is not None
    history.add(
        Clear(version=identity(2, artifact_digest=missing("x", "y")), reason="mended", role="approver")
    )
    assert history.standing.quarantined == ()


def test_a_cleared_version_that_fails_again_is_in_quarantine_again() -> None:
    history = History()
    history.move(V2)
    history.move(V1, V2, "rollback", reason="first")
    history.add(Clear(version=V2, reason="mended", role="approver"))
    history.move(V2, V1)
    again = history.move(V1, V2, "rollback", reason="second")
    [kept] = history.standing.quarantined
    assert (kept.seq, kept.reason) == (again, "second")


def test_a_version_is_in_quarantine_once_for_the_last_reason() -> None:
    history = History()
    history.move(V2)
    history.move(V1, V2, "rollback", reason="first")
    history.move(V2, V1)
    history.move(V3, V2, "rollback", reason="second")
    assert [(q.identity.version, q.reason) for q in history.standing.quarantined] == [("2", "second")]


def test_a_rollback_from_nothing_puts_nothing_in_quarantine() -> None:
    history = History()
    history.move(V1, None, "rollback")
    assert history.standing.quarantined == ()


# --- halts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "in_force"),
    [
        pytest.param(None, True, id="without an end"),
        pytest.param(NOW + SECOND, True, id="a second to go"),
        pytest.param(NOW + timedelta(microseconds=1), True, id="the last moment"),
        pytest.param(NOW, False, id="over at its instant"),
        pytest.param(NOW - SECOND, False, id="over"),
    ],
)
def test_a_halt_lasts_until_its_end(until: datetime | None, in_force: bool) -> None:
    history = History()
    history.add(Halt(reason="late", role="watch", until=until), at=ago(1), actor=ROBIN)
    found = history.standing
    assert bool(found.halted(NOW)) is in_force
    assert len(found.halts) == 1
    assert found.halts[0].over(NOW) is not in_force
    assert (found.halts[0].seq, found.halts[0].at, found.halts[0].actor) == (1, ago(1), ROBIN)


def test_resume_ends_every_halt_and_none_that_comes_later() -> None:
    history = History()
    history.add(Halt(reason="first", role="watch", automatic=True))
    history.add(Halt(reason="second", role="owner", until=NOW + HOUR))
    assert [h.halt.reason for h in history.standing.halted(NOW)] == ["first", "second"]
    history.add(Resume(reason="mended", role="approver"))
    assert history.standing.halts == ()
    history.add(Halt(reason="third", role="watch"))
    assert [h.halt.reason for h in history.standing.halted(NOW)] == ["third"]


def test_no_move_ends_a_halt() -> None:
    history = History()
    history.add(Halt(reason="late", role="watch"))
    history.adopt(V1)
    history.move(V2, V1)
    history.move(V1, V2, "rollback")
    assert len(history.standing.halted(NOW)) == 1


# --- break-glass -------------------------------------------------------------------------------------------------


def glass(to: Identity = V2, *, alias: str = "champion", expires: datetime = NOW + HOUR) -> BreakGlass:
    return BreakGlass(alias=alias, to=to, reason="fire", role="approver", expires=expires)


@pytest.mark.parametrize(
    ("alias", "version", "now", "leave"),
    [
        pytest.param("champion", V2, NOW, True, id="exactly this"),
        pytest.param("Champion", V2, NOW, False, id="another spelling of the alias"),
        pytest.param("staging", V2, NOW, False, id="another alias"),
        pytest.param("champion", V3, NOW, False, id="another version"),
        pytest.param("champion", identity(2, created_at=NOW), NOW, False, id="same number made anew"),
        pytest.param("champion", identity(2, run_id=None), NOW, False, id="another run"),
        pytest.param("champion", identity(2, artifact_digest=digest_of("f")), NOW, False, id="other files"),
        pytest.param(
            "champion", identity(2, artifact_digest=missing("no", "x")), NOW, False, id="files nobody knows"
        ),
        pytest.param("champion", V2, NOW + HOUR - SECOND, True, id="its last second"),
        pytest.param("champion", V2, NOW + HOUR, False, id="over at its instant"),
        pytest.param("champion", V2, NOW + HOUR + SECOND, False, id="over"),
        pytest.param("champion", V2, ago(1), True, id="from the instant it was given"),
        pytest.param("champion", V2, ago(1) - SECOND, False, id="before it was given"),
    ],
)
def test_leave_is_for_exactly_one_move_in_its_time(
    alias: str, version: Identity, now: datetime, leave: bool
) -> None:
    history = History()
    history.add(glass(), at=ago(1), actor=ROBIN)
    found = history.standing.glass_for(alias, version, now)
    assert (found is not None) is leave
    if found is not None:
        assert (found.seq, found.actor, found.used_by, found.reviewed) == (1, ROBIN, None, False)


def test_leave_is_used_up_as_soon_as_somebody_means_to_use_it() -> None:
    history = History()
    seq = history.add(glass(), at=ago(1))
    used = history.add(intent(V2, glass=seq))
    found = history.standing
    assert found.glass_for("champion", V2, NOW) is None
    assert found.glasses[0].used_by == used


@_EVERY_RESULT
def test_leave_is_given_back_where_nothing_moved(result: Result) -> None:
    history = History()
    seq = history.add(glass(), at=ago(1))
    history.move(V2, glass=seq, result=result)
    found = history.standing
    assert (found.glass_for("champion", V2, NOW) is None) is (result in MOVED)
    assert bool(found.unreviewed()) is (result in MOVED)


def test_a_move_on_its_own_merits_uses_nobodys_leave() -> None:
    history = History()
    history.add(glass(), at=ago(1))
    history.move(V2)
    assert history.standing.glass_for("champion", V2, NOW) is not None


def test_the_last_leave_is_used_first_and_each_once() -> None:
    history = History()
    first, second = history.add(glass(), at=ago(1)), history.add(glass(), at=ago(1))
    for expected in (second, first):
        leave = history.standing.glass_for("champion", V2, NOW)
        assert leave is not None
        assert leave.seq == expected
        history.move(V2, glass=leave.seq)
    assert history.standing.glass_for("champion", V2, NOW) is None


def test_a_use_is_shown_until_somebody_looked_at_it() -> None:
    history = History()
    seq = history.add(glass(), at=ago(1))
    assert history.standing.unreviewed() == ()
    history.move(V2, glass=seq)
    assert [g.seq for g in history.standing.unreviewed()] == [seq]
    history.add(Review(of=1_000, reason="another", role="approver"))
    assert [g.seq for g in history.standing.unreviewed()] == [seq]
    history.add(Review(of=seq, reason="seen", role="approver"))
    found = history.standing
    assert found.unreviewed() == ()
    assert found.glasses[0].reviewed
    assert found.glass_for("champion", V2, NOW) is None, "reviewed is not unused"


# --- drills, and all of it ---------------------------------------------------------------------------------------


def test_a_drill_is_remembered_and_changes_nothing() -> None:
    history = History()
    history.adopt(V1)
    before = history.standing
    drill = Drill(alias="champion", from_=V1, to=V2, ready=True, seconds=Decimal("0.8"))
    history.add(drill, at=ago(1), actor=ROBIN)
    after = history.standing
    assert [(d.seq, d.at, d.actor, d.drill) for d in after.drills] == [(2, ago(1), ROBIN, drill)]
    assert after.model_copy(update={"drills": ()}) == before


_VERSIONS = st.sampled_from((V1, V2, V3))
_MAYBE = st.none() | _VERSIONS
_ALIASES = st.sampled_from(("champion", "staging"))
_SEQS = st.integers(1, 12)
_STEPS: st.SearchStrategy[Body] = st.one_of(
    st.builds(
        lambda to, from_, action, alias, leave: intent(to, from_, action, alias=alias, glass=leave),
        _VERSIONS,
        _MAYBE,
        st.sampled_from(("promote", "rollback")),
        _ALIASES,
        st.none() | _SEQS,
    ),
    st.builds(outcome, _SEQS, st.sampled_from((*MOVED, *MOVED, *NOT_MOVED))),
    st.builds(Adopt, alias=_ALIASES, from_=_MAYBE, to=_MAYBE, reason=st.just("so"), role=st.just("owner")),
    st.builds(Clear, version=_VERSIONS, reason=st.just("mended"), role=st.just("owner")),
    st.builds(Halt, reason=st.just("late"), role=st.just("watch")),
    st.just(Resume(reason="came", role="owner")),
    st.builds(glass, _VERSIONS),
    st.builds(Review, of=_SEQS, reason=st.just("seen"), role=st.just("owner")),
)


@given(st.lists(_STEPS, max_size=14))
@settings(max_examples=150, deadline=None)
def test_every_history_comes_to_something_consistent(bodies: list[Body]) -> None:
    history = History()
    for body in bodies:
        history.add(body)
    found = fold(MODEL, history.entries)
    for alias in ("champion", "staging"):
        tenures = [t for t in found.tenures if t.alias == alias]
        assert [t.until is None for t in tenures] == [False] * (len(tenures) - 1) + [True] * bool(tenures)
        for before, after in pairwise(tenures):
            assert (before.until, before.left_by) == (after.since, after.by)
    assert len(found.moves) + sum(e.body.kind == "adopt" for e in history.entries) == len(found.tenures)
    intents = {e.seq for e in history.entries if e.body.kind == "intent"}
    assert {o.seq for o in found.open} | {m.seq for m in found.moves} <= intents
    assert not {o.seq for o in found.open} & {m.seq for m in found.moves}
    assert len({(q.identity.version, q.identity.created_at) for q in found.quarantined}) == len(
        found.quarantined
    )


@given(st.lists(st.one_of(*BODIES.values()), max_size=4))
@settings(max_examples=40, deadline=None)
def test_no_history_stops_the_folding(bodies: list[Body]) -> None:
    history = History()
    for body in bodies:
        history.add(body)
    assert fold(MODEL, history.entries).model == MODEL


def test_a_review_before_the_use_reviews_nothing() -> None:
    history = History()
    leave = BreakGlass(alias="champion", to=identity(2), reason="fire", role="x", expires=NOW + HOUR)
    glass = history.add(leave)
    first = history.add(intent(identity(2), glass=glass))
    history.add(Review(of=glass, reason="seen", role="x"))
    history.add(outcome(first, "not_applied"))
    history.move(identity(2), glass=glass)
    assert [found.seq for found in history.standing.unreviewed()] == [glass]


def test_leave_that_was_used_is_not_given_back_by_another_intent() -> None:
    history = History()
    leave = BreakGlass(alias="champion", to=identity(2), reason="fire", role="x", expires=NOW + HOUR)
    glass = history.add(leave, at=NOW)
    history.move(identity(2), glass=glass, at=NOW)
    history.move(identity(2), glass=glass, result="changed", at=NOW)
    assert history.standing.glass_for("champion", identity(2), NOW) is None
