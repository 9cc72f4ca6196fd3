"""What stands in the way is said with who, when, why and how on; a return goes only to what nothing speaks against."""

import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.ledger import Clear, Halt, Identity
from aigate.manifest import RollbackRules
from aigate.plan import Act, ActResult, Blocker, bounds, drift, move_effects, standing_in_the_way
from aigate.standing import Standing
from aigate.target import Candidate, Check, Facts, acceptable, candidates, soaked, weigh
from aigate.values import Digest, Evident, missing
from aigate.wording import command, shown
from histories import HOUR, MODEL, NOW, ROBIN, SECOND, History, digest_of, identity, intent

V1, V2, V3 = identity(1), identity(2), identity(3)
ANEW = identity(1, created_at=NOW)
RULES = RollbackRules(min_soak=24 * HOUR, max_per_day=2, cooldown=HOUR)
NOBODY_KNOWS = missing("MLflow answered 503", "mlflow")


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def said(blocker: Blocker, *parts: str) -> bool:
    """Whether a blocker names all of it."""
    return all(part in blocker.message for part in parts)


def commands_in(fix: str) -> list[list[str]]:
    """The aigate commands that a fix names, as a shell would read them."""
    found = [part[part.index("aigate ") :] for part in fix.split(";") if "aigate " in part]
    return [shlex.split(part) for part in found]


# --- what stands in the way --------------------------------------------------------------------------------------


def test_nothing_stands_in_the_way_of_a_first_promotion() -> None:
    assert standing_in_the_way(Standing(model=MODEL), "champion", None, V1, NOW) == ()


def test_nothing_stands_in_the_way_of_a_model_that_is_well() -> None:
    history = History()
    history.adopt(V1)
    assert standing_in_the_way(history.standing, "champion", V1, V2, NOW) == ()


def test_a_halt_says_who_when_why_and_how_to_go_on() -> None:
    history = History()
    history.add(Halt(reason="features are late", role="owner of stage features"), at=ago(2), actor=ROBIN)
    [found] = standing_in_the_way(history.standing, "champion", None, V1, NOW)
    assert found.code == "halted"
    assert said(
        found, MODEL, "2026-11-21T10:00:00Z", "github:robin", "owner of stage features", "features are late"
    )
    assert "until" not in found.message
    assert commands_in(found.fix) == [["aigate", "resume", MODEL, "--reason", "…"]]


def test_a_halt_with_an_end_says_when_it_ends_and_is_over_then() -> None:
    history = History()
    history.add(Halt(reason="late", role="watch", until=NOW + HOUR))
    [found] = standing_in_the_way(history.standing, "champion", None, V1, NOW)
    assert "is halted until 2026-11-21T13:00:00Z since" in found.message
    assert standing_in_the_way(history.standing, "champion", None, V1, NOW + HOUR) == ()


def test_every_halt_is_named() -> None:
    history = History()
    for reason in ("first", "second"):
        history.add(Halt(reason=reason, role="watch"))
    found = standing_in_the_way(history.standing, "champion", None, V1, NOW)
    assert [blocker.message.rpartition(": ")[2] for blocker in found] == ["first", "second"]


def test_a_quarantine_says_who_when_why_and_how_it_is_lifted() -> None:
    history = History()
    history.adopt(V1)
    history.move(V2, V1)
    history.move(V1, V2, "rollback", reason="accuracy 0.71", at=ago(3), actor=ROBIN)
    [found] = standing_in_the_way(history.standing, "champion", V1, V2, NOW)
    assert found.code == "quarantined"
    assert said(found, "v2", "2026-11-21T09:00:00Z", "github:robin", "accuracy 0.71")
    assert commands_in(found.fix) == [["aigate", "clear", f"{MODEL}@2", "--reason", "…"]]
    assert standing_in_the_way(history.standing, "champion", V1, V3, NOW) == ()
    assert standing_in_the_way(history.standing, "champion", V1, None, NOW) == ()


def test_an_open_intent_says_who_what_since_when_and_when_to_try_again() -> None:
    history = History()
    history.adopt(V1)
    history.add(intent(V2, V1, expires=NOW + SECOND), at=ago(0.5), actor=ROBIN)
    [found] = standing_in_the_way(history.standing, "champion", V1, V3, NOW)
    assert found.code == "open"
    assert said(found, "github:robin", "@champion", "v2", "2026-11-21T11:30:00Z")
    assert "2026-11-21T12:00:01Z" in found.fix


def test_everything_that_stands_in_the_way_is_said_at_once() -> None:
    history = History()
    history.adopt(V1)
    history.move(V2, V1)
    history.move(V1, V2, "rollback")
    history.add(Halt(reason="late", role="watch"))
    history.add(intent(V3, V1))
    found = standing_in_the_way(history.standing, "champion", V3, V2, NOW)
    assert [blocker.code for blocker in found] == ["halted", "drift", "quarantined", "open"]
    for blocker in found:
        assert blocker.fix
        assert blocker.message


# --- drift -------------------------------------------------------------------------------------------------------


def _unknown(history: History) -> None:
    """The ledger has never heard of the alias."""


def _elsewhere(history: History) -> None:
    history.adopt(V1, alias="staging")


def _known(history: History) -> None:
    history.adopt(V1, at=ago(5))


def _empty(history: History) -> None:
    history.adopt(None, at=ago(5))


DRIFTS: dict[str, tuple[Callable[[History], None], Identity | None, str | None, tuple[str, ...]]] = {
    "unknown, nothing there": (_unknown, None, None, ()),
    "unknown, something there": (_unknown, V1, "unknown_holder", ("@champion", "v1")),
    "another alias is known": (_elsewhere, V1, "unknown_holder", ("@champion", "v1")),
    "known, the same": (_known, V1, None, ()),
    "known, its files overwritten": (_known, identity(1, artifact_digest=digest_of("f")), None, ()),
    "known, another": (_known, V2, "drift", ("v2", "v1", "07:00:00Z", "user:kai")),
    "known, made anew": (_known, ANEW, "drift", ("deleted and made anew", "v1")),
    "known, nothing there": (_known, None, "drift", ("no version", "v1")),
    "known to be empty, and is": (_empty, None, None, ()),
    "known to be empty, and is not": (_empty, V1, "drift", ("v1", "no version")),
}


@pytest.mark.parametrize(("write", "live", "code", "parts"), DRIFTS.values(), ids=DRIFTS.keys())
def test_where_the_alias_is_not_where_it_was_put(
    write: Callable[[History], None], live: Identity | None, code: str | None, parts: tuple[str, ...]
) -> None:
    history = History()
    write(history)
    found = drift(history.standing, "champion", live)
    assert found == standing_in_the_way(history.standing, "champion", live, None, NOW)
    assert [blocker.code for blocker in found] == ([] if code is None else [code])
    for blocker in found:
        assert said(blocker, *parts)
        assert ("made anew" in blocker.message) is (live == ANEW)
        wanted = [["aigate", "adopt", MODEL, "--reason", "…"]]
        if code == "drift":
            wanted.insert(0, ["aigate", "rollback", MODEL, "--reason", "…"])
        assert commands_in(blocker.fix) == wanted


def test_an_adoption_ends_a_drift() -> None:
    history = History()
    history.adopt(V1)
    assert drift(history.standing, "champion", V2)
    history.adopt(V2, V1)
    assert drift(history.standing, "champion", V2) == ()


# --- bounds of automatic rollbacks -------------------------------------------------------------------------------


def rolled_back(*hours: float, automatic: bool = True, alias: str = "champion") -> History:
    """Promoted and rolled back so many hours ago, each time; in service by a promotion in the end."""
    history = History()
    history.adopt(V1, alias=alias)
    for hour in hours:
        history.move(V2, V1, at=ago(hour + 0.1), alias=alias)
        history.move(V1, V2, "rollback", at=ago(hour), automatic=automatic, alias=alias)
    history.move(V3, V1, at=ago(1.5), alias=alias)
    return history


@pytest.mark.parametrize(
    ("hours", "most", "allowed"),
    [
        pytest.param((), 0, False, id="none are allowed"),
        pytest.param((), 1, True, id="the first of one"),
        pytest.param((5,), 1, False, id="one of one was made"),
        pytest.param((5,), 2, True, id="one of two was made"),
        pytest.param((6, 5), 2, False, id="two of two were made"),
        pytest.param((24, 5), 2, True, id="24 hours ago is another day"),
        pytest.param((24 - 1 / 3600, 5), 2, False, id="a second less is not"),
        pytest.param((30, 26), 1, True, id="yesterday's"),
    ],
)
def test_so_many_in_a_day_that_slides(hours: tuple[float, ...], most: int, allowed: bool) -> None:
    rules = RULES.model_copy(update={"max_per_day": most})
    found = bounds(rolled_back(*hours).standing, "champion", rules, NOW)
    assert (found == ()) is allowed
    for blocker in found:
        assert blocker.code == "bound"
        assert said(blocker, f"{sum(h < 24 for h in hours)} automatic", "24 hours", f"at most {most}")
        assert commands_in(blocker.fix) == [["aigate", "rollback", MODEL, "--reason", "…"]]


def test_only_automatic_rollbacks_of_this_alias_are_counted() -> None:
    assert bounds(rolled_back(6, 5, automatic=False).standing, "champion", RULES, NOW) == ()
    other = rolled_back(6, 5, alias="staging")
    other.adopt(V1, at=ago(3))
    assert bounds(other.standing, "champion", RULES, NOW) == ()
    assert bounds(other.standing, "staging", RULES, NOW)


def test_a_rollback_that_came_to_nothing_is_not_counted() -> None:
    history = History()
    history.adopt(V2, at=ago(50))
    for _ in range(5):
        history.move(V1, V2, "rollback", at=ago(2), automatic=True, result="not_applied")
    assert bounds(history.standing, "champion", RULES, NOW) == ()


@pytest.mark.parametrize(
    ("since", "left"),
    [
        pytest.param(timedelta(0), "1h", id="at once"),
        pytest.param(HOUR - SECOND, "1s", id="a second too early"),
        pytest.param(HOUR, None, id="when it is over"),
        pytest.param(-10 * SECOND, "1h", id="a clock that is ahead"),
    ],
)
@pytest.mark.parametrize("by", ["promote", "adopt"])
def test_after_any_move_it_cools_down(since: timedelta, left: str | None, by: str) -> None:
    history = History()
    history.adopt(V1, at=ago(100))
    if by == "promote":
        history.move(V2, V1, at=NOW - since)
    else:
        history.adopt(V2, V1, at=NOW - since)
    found = bounds(history.standing, "champion", RULES, NOW)
    if left is None:
        assert found == ()
    else:
        [blocker] = found
        assert said(blocker, "@champion moved at", f"another {left}")
        assert blocker.code == "bound"
        assert blocker.fix


def test_a_rollback_is_never_rolled_back_by_itself() -> None:
    history = History()
    history.adopt(V1)
    history.move(V2, V1, at=ago(900))
    history.move(V1, V2, "rollback", at=ago(800))
    [found] = bounds(history.standing, "champion", RULES, NOW)
    assert said(found, "v1 is in service by a rollback", "never rolled back by itself")
    history.adopt(V1, V1, at=ago(700))
    assert bounds(history.standing, "champion", RULES, NOW) == ()


def test_every_bound_is_said() -> None:
    history = History()
    history.adopt(V1)
    for hour in (3, 2, 0.5):
        history.move(V2, V1, at=ago(hour + 0.1))
        history.move(V1, V2, "rollback", at=ago(hour), automatic=True)
    assert len(bounds(history.standing, "champion", RULES, NOW)) == 3


def test_of_an_alias_that_nobody_knows_only_the_count_is_bounded() -> None:
    empty = Standing(model=MODEL)
    assert bounds(empty, "champion", RULES, NOW) == ()
    assert len(bounds(empty, "champion", RULES.model_copy(update={"max_per_day": 0}), NOW)) == 1


# --- where a rollback may return to ------------------------------------------------------------------------------


def test_the_last_one_comes_first_each_once_and_never_the_one_to_be_left() -> None:
    history = History()
    history.adopt(V1, at=ago(100))
    history.move(V2, V1, at=ago(90), decision=digest_of("b"))
    history.move(V1, V2, at=ago(50), decision=digest_of("c"))
    history.move(V3, V1, at=ago(40), decision=digest_of("d"))
    history.move(identity(4), alias="staging", at=ago(30))
    found = candidates(history.standing, "champion", V3, NOW)
    assert [c.identity for c in found] == [V1, V2]
    one, two = found
    assert (one.since, one.until, one.lived, one.vouched) == (ago(50), ago(40), 10 * HOUR, True)
    assert (two.since, two.until, two.lived, two.vouched) == (ago(90), ago(50), 40 * HOUR, False)
    assert (one.decision, two.decision) == (digest_of("c"), digest_of("b"))


def test_the_longest_tenure_counts_and_not_the_last_one() -> None:
    history = History()
    history.move(V1, at=ago(100))
    history.move(V2, V1, at=ago(50))
    history.move(V1, V2, at=ago(3))
    history.move(V3, V1, at=ago(2))
    one, two = candidates(history.standing, "champion", V3, NOW)
    assert (one.identity, one.lived) == (V1, 50 * HOUR)
    assert (two.identity, two.lived) == (V2, 47 * HOUR)


def test_one_that_serves_still_has_lived_until_now() -> None:
    history = History()
    history.move(V1, at=ago(7))
    [found] = candidates(history.standing, "champion", V2, NOW)
    assert (found.until, found.lived) == (None, 7 * HOUR)


@pytest.mark.parametrize(
    ("leaving", "expected"),
    [
        pytest.param(V2, ["1"], id="the holder"),
        pytest.param(V1, ["2"], id="the one before"),
        pytest.param(None, ["2", "1"], id="nothing"),
        pytest.param(identity(2, artifact_digest=NOBODY_KNOWS), ["1"], id="files nobody knows"),
        pytest.param(identity(2, created_at=NOW), ["2", "1"], id="made anew"),
        pytest.param(V3, ["2", "1"], id="one that the ledger does not know"),
    ],
)
def test_who_is_left_is_no_candidate(leaving: Identity | None, expected: list[str]) -> None:
    history = History()
    history.adopt(V1)
    history.adopt(None, V1)
    history.move(V2)
    found = candidates(history.standing, "champion", leaving, NOW)
    assert [c.identity.version for c in found] == expected


def test_of_an_alias_that_nobody_knows_there_is_no_candidate() -> None:
    history = History()
    history.adopt(V1, alias="staging")
    assert candidates(history.standing, "champion", None, NOW) == ()


def test_one_made_anew_is_another_candidate() -> None:
    history = History()
    history.move(V1, at=ago(9))
    history.move(ANEW, V1, at=ago(5))
    history.move(V2, ANEW, at=ago(1))
    found = candidates(history.standing, "champion", V2, NOW)
    assert [(c.identity, c.lived) for c in found] == [(ANEW, 4 * HOUR), (V1, 4 * HOUR)]


# --- what speaks for it and against it ---------------------------------------------------------------------------

SIGNED, OTHER = digest_of("5"), digest_of("6")
_CHECKS = ["version", "status", "artifact", "signature", "quarantine", "soak"]


def candidate(**changes: Any) -> Candidate:
    fields: dict[str, Any] = {
        "identity": V1,
        "since": ago(100),
        "until": ago(10),
        "lived": 90 * HOUR,
        "vouched": False,
        "decision": None,
    }
    return Candidate.model_validate(fields | changes)


def facts(**changes: Any) -> Facts:
    fields: dict[str, Any] = {"identity": V1, "status": "READY", "stage": None, "signature": SIGNED}
    return Facts.model_validate(fields | changes)


def in_quarantine(version: Identity = V1) -> Standing:
    history = History()
    history.move(V2, version, "rollback", reason="it was wrong", at=ago(20), actor=ROBIN)
    return history.standing


def weighed(
    known: Candidate | None = None,
    now: Evident[Facts] | None = None,
    leaving: Evident[Digest | None] = SIGNED,
    standing: Standing | None = None,
) -> dict[str, Check]:
    found = weigh(
        known or candidate(),
        facts() if now is None else now,
        leaving,
        standing or Standing(model=MODEL),
        RULES,
    )
    return {check.name: check for check in found}


def test_of_a_version_that_is_well_everything_was_looked_at_and_is_well() -> None:
    found = weighed()
    assert list(found) == _CHECKS
    assert {check.state for check in found.values()} == {"ok"}
    assert all(check.words for check in found.values())


def test_a_version_that_cannot_be_read_is_no_place_to_go() -> None:
    found = weighed(now=NOBODY_KNOWS)
    assert list(found) == ["version"]
    assert (found["version"].state, found["version"].words) == ("bad", "cannot be read: MLflow answered 503")


OVERWRITTEN = identity(1, artifact_digest=digest_of("f"))
UNREAD = identity(1, artifact_digest=NOBODY_KNOWS)
WEIGHED: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "made anew": ({"now": facts(identity=ANEW)}, "version", "bad", "made anew"),
    "another version": (
        {"now": facts(identity=identity(2, artifact_digest=V1.artifact_digest))},
        "version",
        "bad",
        "v2 is another one",
    ),
    "not ready": ({"now": facts(status="FAILED_REGISTRATION")}, "status", "bad", "FAILED_REGISTRATION"),
    "an unknown status": ({"now": facts(status="unknown")}, "status", "unknown", "not known"),
    "ready in other letters": ({"now": facts(status="ready")}, "status", "bad", "ready"),
    "archived": ({"now": facts(stage="Archived")}, "status", "warn", "archived"),
    "archived and not ready": (
        {"now": facts(stage="Archived", status="PENDING_REGISTRATION")},
        "status",
        "bad",
        "PENDING",
    ),
    "in production": ({"now": facts(stage="Production")}, "status", "ok", "READY"),
    "overwritten": ({"now": facts(identity=OVERWRITTEN)}, "artifact", "bad", "overwritten"),
    "files not to be read": (
        {"now": facts(identity=UNREAD)},
        "artifact",
        "unknown",
        "now: MLflow answered 503",
    ),
    "files not known then": (
        {"known": candidate(identity=UNREAD)},
        "artifact",
        "unknown",
        "when it took the alias",
    ),
    "files never known": (
        {"known": candidate(identity=UNREAD), "now": facts(identity=UNREAD)},
        "artifact",
        "unknown",
        "MLflow answered 503",
    ),
    "other inputs": ({"leaving": OTHER}, "signature", "bad", "differ"),
    "it declares none": ({"now": facts(signature=None)}, "signature", "bad", "differ"),
    "the other declares none": ({"leaving": None}, "signature", "bad", "differ"),
    "neither declares any": (
        {"now": facts(signature=None), "leaving": None},
        "signature",
        "warn",
        "neither version",
    ),
    "its inputs unknown": (
        {"now": facts(signature=NOBODY_KNOWS)},
        "signature",
        "unknown",
        "MLflow answered 503",
    ),
    "the other's inputs unknown": ({"leaving": NOBODY_KNOWS}, "signature", "unknown", "MLflow answered 503"),
    "unknown and none": (
        {"now": facts(signature=None), "leaving": NOBODY_KNOWS},
        "signature",
        "unknown",
        "MLflow answered 503",
    ),
    "both unknown": (
        {"now": facts(signature=NOBODY_KNOWS), "leaving": NOBODY_KNOWS},
        "signature",
        "unknown",
        "not compared",
    ),
    "in quarantine": (
        {"standing": in_quarantine()},
        "quarantine",
        "bad",
        "2026-11-20T16:00:00Z by github:robin: it was wrong",
    ),
    "another in quarantine": ({"standing": in_quarantine(V3)}, "quarantine", "ok", "never rolled back"),
    "served a second too short": (
        {"known": candidate(lived=24 * HOUR - SECOND)},
        "soak",
        "warn",
        "served only 23h 59m, known good is 1d",
    ),
    "served just long enough": ({"known": candidate(lived=24 * HOUR)}, "soak", "ok", "served 1d"),
    "vouched for": (
        {"known": candidate(lived=timedelta(0), vouched=True)},
        "soak",
        "ok",
        "on the word of who adopted it",
    ),
}


@pytest.mark.parametrize(("given_", "name", "state", "words"), WEIGHED.values(), ids=WEIGHED.keys())
def test_what_is_looked_at(given_: dict[str, Any], name: str, state: str, words: str) -> None:
    found = weighed(**given_)
    assert list(found) == _CHECKS
    assert found[name].state == state
    assert words in found[name].words
    assert {check.state for other, check in found.items() if other != name} == {"ok"}


def test_clearing_a_version_lets_it_be_returned_to() -> None:
    history = History()
    history.move(V2, V1, "rollback")
    history.add(Clear(version=V1, reason="mended", role="approver"))
    assert weighed(standing=history.standing)["quarantine"].state == "ok"


# --- what may be returned to -------------------------------------------------------------------------------------

STATES = ("ok", "warn", "bad", "unknown")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", _CHECKS)
@pytest.mark.parametrize("named", [False, True], ids=["chosen", "named"])
@pytest.mark.parametrize("automatic", [False, True], ids=["by hand", "automatic"])
def test_what_one_check_allows(automatic: bool, named: bool, name: str, state: Any) -> None:
    """The whole table: bad stops everybody, but a person who names a version overrules its signature."""
    checks = [Check(name=n, state=state if n == name else "ok", words="x") for n in _CHECKS]
    if state == "bad":
        expected = name == "signature" and named and not automatic
    elif automatic:
        expected = state == "ok" or (state == "warn" and name != "soak")
    else:
        expected = True
    assert acceptable(checks, automatic=automatic, named=named) is expected


_ANY_CHECKS = st.tuples(
    *(st.builds(Check, name=st.just(n), state=st.sampled_from(STATES), words=st.just("x")) for n in _CHECKS)
)


@given(_ANY_CHECKS, st.booleans())
def test_an_automatic_rollback_rests_on_nothing_unknown_or_bad(
    checks: tuple[Check, ...], named: bool
) -> None:
    if acceptable(checks, automatic=True, named=named):
        assert {check.state for check in checks} <= {"ok", "warn"}
        assert soaked(checks)


@given(_ANY_CHECKS, st.booleans())
def test_by_itself_goes_nowhere_where_a_person_may_not(checks: tuple[Check, ...], named: bool) -> None:
    if acceptable(checks, automatic=True, named=named):
        assert acceptable(checks, automatic=False, named=named)
    if acceptable(checks, automatic=False, named=False):
        assert acceptable(checks, automatic=False, named=True)


@given(_ANY_CHECKS, st.booleans(), st.booleans(), st.permutations(range(6)))
def test_the_order_of_checks_decides_nothing(
    checks: tuple[Check, ...], automatic: bool, named: bool, order: list[int]
) -> None:
    turned = [checks[n] for n in order]
    assert acceptable(turned, automatic=automatic, named=named) is acceptable(
        checks, automatic=automatic, named=named
    )


_SIGNATURES = st.sampled_from((SIGNED, OTHER, None, NOBODY_KNOWS))
_FACTS = st.builds(
    facts,
    identity=st.sampled_from((V1, ANEW, OVERWRITTEN, UNREAD)),
    status=st.sampled_from(("READY", "MODEL_GONE", "unknown")),
    stage=st.sampled_from((None, "Archived")),
    signature=_SIGNATURES,
)
_CANDIDATES = st.builds(
    candidate,
    identity=st.sampled_from((V1, UNREAD)),
    lived=st.sampled_from((timedelta(0), 24 * HOUR)),
    vouched=st.booleans(),
)


@given(_CANDIDATES, _FACTS | st.just(NOBODY_KNOWS), _SIGNATURES, st.booleans(), st.booleans(), st.booleans())
def test_altered_or_in_quarantine_is_for_nobody(
    known: Candidate,
    now: Evident[Facts],
    leaving: Evident[Digest | None],
    quarantined: bool,
    automatic: bool,
    named: bool,
) -> None:
    standing = in_quarantine() if quarantined else Standing(model=MODEL)
    checks = weigh(known, now, leaving, standing, RULES)
    if not acceptable(checks, automatic=automatic, named=named):
        return
    assert not quarantined
    assert isinstance(now, Facts)
    assert now.identity.same_version(V1)
    assert now.status == "READY" or (now.status == "unknown" and not automatic)
    if known.identity == V1:
        assert now.identity != OVERWRITTEN
    if automatic:
        assert now.identity == known.identity == V1
        assert now.signature == leaving
        assert now.signature in (SIGNED, OTHER, None)
        assert known.vouched or known.lived >= RULES.min_soak


@pytest.mark.parametrize(
    ("state", "expected"), [("ok", True), ("warn", False), ("unknown", False), ("bad", False)]
)
def test_known_good_is_what_served_long_enough(state: Any, expected: bool) -> None:
    checks = (
        Check(name="status", state="bad", words="x"),
        Check(name="soak", state=state, words="x"),
    )
    assert soaked(checks) is expected


# --- saying it ---------------------------------------------------------------------------------------------------


def test_a_command_is_quoted_for_a_shell() -> None:
    hostile = "churn; rm -rf / #'\"$(x)`y`\n"
    assert shlex.split(command("halt", hostile, "--reason", "…")) == [
        "aigate",
        "halt",
        hostile,
        "--reason",
        "…",
    ]


def test_a_version_is_named_for_people() -> None:
    assert (shown(V1), shown(None)) == ("v1", "no version")


@pytest.mark.parametrize("live", [V1, None])
def test_a_promotion_is_written_down_before_it_is_made(live: Identity | None) -> None:
    found = move_effects("promote", MODEL, "champion", live, V2)
    assert [effect.name for effect in found] == [
        "record",
        "intent",
        "recheck",
        "alias",
        "read_back",
        "receipt",
        "outcome",
    ]
    assert f"promote churn@champion {shown(live)} → v2" in found[1].words


@pytest.mark.parametrize("live", [V2, None])
def test_a_rollback_is_written_down_before_it_is_made_and_puts_what_it_left_in_quarantine(
    live: Identity | None,
) -> None:
    found = move_effects("rollback", MODEL, "champion", live, V1)
    quarantine = [] if live is None else ["quarantine"]
    assert [effect.name for effect in found] == [
        "intent",
        "recheck",
        "alias",
        "read_back",
        "receipt",
        *quarantine,
        "outcome",
    ]
    assert [e.words for e in found if e.name == "quarantine"] == ["tag v2 aigate.quarantine"] * len(
        quarantine
    )
    assert "rollback churn@champion" in found[0].words


@pytest.mark.parametrize("result", get_args(ActResult))
def test_an_act_goes_through_json(result: Any) -> None:
    act = Act(
        act="rollback",
        model=MODEL,
        alias="champion",
        result=result,
        exit_code=0,
        reason="x",
        now=NOW,
        from_=V2,
        to=V1,
        checks=tuple(weighed().values()),
        effects=move_effects("rollback", MODEL, "champion", V2, V1),
    )
    text = act.model_dump_json(by_alias=True)
    assert Act.model_validate_json(text) == act
    assert '"from":{' in text
    assert '"schema":"aigate.act/v1"' in text


def test_the_states_of_a_check_are_the_ones_tried_here() -> None:
    assert set(STATES) == set(get_args(Check.model_fields["state"].annotation))


def test_a_tenure_of_more_than_a_century_stops_nothing() -> None:
    history = History(begin=datetime(1900, 1, 1, tzinfo=UTC))
    history.adopt(identity(1))
    history.adopt(identity(2), identity(1), at=NOW)
    assert candidates(history.standing, "champion", identity(2), NOW)


def test_no_checks_are_no_yes() -> None:
    assert not acceptable((), automatic=True, named=False)
    assert not acceptable((), automatic=False, named=True)
