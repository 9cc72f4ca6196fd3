"""Waivers: what counts does so only where everything about it fits, and nothing else is ever lifted."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aigate.decision import (
    OUTCOMES,
    Actor,
    Decision,
    Finding,
    Judgement,
    Outcome,
    PolicyInfo,
    PolicyResult,
    Versions,
    Waiver,
    Waivers,
    WaiverUse,
)
from aigate.evaluate import Setting, decide, judge, subject_of
from aigate.manifest import LEVELS, Authority, Environment, Level, Manifest, WaiverRules
from aigate.snapshot import Snapshot
from aigate.testing import NOW, change, missing, passing_manifest, passing_snapshot
from aigate.values import gap
from aigate.waiver import (
    Entry,
    Grounds,
    WaiverBook,
    apply,
    book_of,
    grounds,
    leave,
    show_until,
    unfounded,
)
from aigate.watch.tell import failures_of, unclear_of, waived_of
from standard_pack import infos, pack, passing

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
SUBJECT = passing_snapshot().challenger
assert SUBJECT is not None
EXACT = SUBJECT.subject
FILES = "sha256:" + "a" * 64
DIGEST = "sha256:" + "c" * 64

SETTING = Setting(
    policies_digest="sha256:" + "b" * 64,
    isolation="process",
    versions=Versions(aigate="0.1.0", python="3.11.7", pydantic="2.14.3"),
    actor=Actor(name="ci"),
)


def waiver(**fields: Any) -> Waiver:
    """A waiver that counts for the finding `features` of `freshness.stage`."""
    given: dict[str, Any] = {
        "policy": "freshness.stage",
        "key": "features",
        "registry": EXACT.registry,
        "model": EXACT.name,
        "version": EXACT.version,
        "created_at": EXACT.created_at,
        "reason": "the backfill runs on Monday",
        "asked_by": "user:ana",
        "approver": "user:kai",
        "approved_on": NOW - timedelta(minutes=5),
        "expires": NOW + 7 * DAY,
    }
    return Waiver(**given | fields)


def book(*waivers: Waiver) -> WaiverBook:
    entries = tuple(Entry(nth=n, line=10 * n, waiver=one) for n, one in enumerate(waivers, 1))
    return WaiverBook(entries=entries, digest=DIGEST)


def held(**fields: Any) -> Grounds:
    given: dict[str, Any] = {
        "now": NOW,
        "environment": "production",
        "model": "churn",
        "subject": EXACT,
        "rules": WaiverRules(),
    }
    return Grounds(**given | fields)


def judgement(
    outcome: Outcome = "fail",
    *keys: str,
    id: str = "freshness.stage",
    level: Level = "block",
    partial: bool = False,
) -> Judgement:
    found = keys or (("features",) if outcome == "fail" else ())
    reason = "because" if partial or outcome in ("unknown", "error", "skip") else ""
    return Judgement(
        info=PolicyInfo(
            id=id, title="A policy.", severity="high", blames="data", file="p.py", file_digest=DIGEST
        ),
        level=level,
        result=PolicyResult(
            policy=id,
            outcome=outcome,
            reason=reason,
            findings=tuple(Finding(message=f"{key} is late", key=key) for key in found),
            partial=partial,
        ),
    )


PASSES = judgement("pass", id="z.z")


def fate(one: Waiver, *judgements: Judgement, **fields: Any) -> tuple[str, str]:
    """In which list the waiver ends, and why it does not count."""
    _, waivers = apply(book(one), judgements or (judgement(),), held(**fields))
    (found,) = [(kind, use.why) for kind, uses in waivers if isinstance(uses, tuple) for use in uses]
    return found


def decision(
    waivers: WaiverBook, *judgements: Judgement, snapshot: Snapshot | None = None, **fields: Any
) -> Decision:
    judged, used = apply(waivers, judgements, held(**fields))
    setting = SETTING.model_copy(update={"waivers": used, "waivers_digest": waivers.digest})
    return decide(snapshot or passing_snapshot(), judged, setting)


# --- what counts -------------------------------------------------------------------------------------------------


def test_a_waived_failure_is_allowed_and_shown() -> None:
    made = decision(book(waiver()), judgement(), PASSES)
    assert (made.verdict, made.exit_code, made.counts.waived) == ("allow", 0, 1)
    assert made.reason == "2 policies assessed, 1 that failed is waived, none else that counts failed"
    (finding,) = made.judgements[0].result.findings
    assert finding.waived == "by user:kai until 2026-11-28T12:00:00Z: the backfill runs on Monday"
    assert made.waivers_digest == DIGEST
    (use,) = made.waivers.applied
    assert (use.policy, use.key, use.who, use.nth, use.line) == (
        "freshness.stage",
        "features",
        "user:kai",
        1,
        10,
    )


def test_what_is_waived_of_a_champion_calls_for_no_rollback() -> None:
    retain = passing_snapshot("retain")
    subject = subject_of(retain)
    mine = waiver(version=subject.version, created_at=subject.created_at)
    failing = judgement().model_copy(update={"info": judgement().info.model_copy(update={"blames": "model"})})
    assert decision(book(), failing, PASSES, snapshot=retain, subject=subject).verdict == "rollback"
    assert decision(book(mine), failing, PASSES, snapshot=retain, subject=subject).verdict == "keep"


def test_who_watches_is_told_of_nothing_that_is_waived() -> None:
    lost = judgement("unknown", id="a.b")
    bare = decision(book(), judgement(), lost, PASSES)
    assert (len(failures_of(bare)), len(unclear_of(bare))) == (1, 1)
    both = book(waiver(), waiver(policy="a.b", key="", covers="unknown"))
    made = decision(both, judgement(), lost, PASSES)
    assert (failures_of(made), unclear_of(made)) == ((), ())
    assert waived_of(bare) == ()
    assert [line[:30] for line in waived_of(made)] == [
        "freshness.stage features waive",
        "a.b waived by user:kai until 20"[:30],
    ]
    assert waived_of(decision(book(waiver(expires=NOW)), judgement())) == (
        "freshness.stage features: its waiver does not count: it ran out",
    )


def test_that_late_data_are_let_stand_makes_no_rollback_of_a_halt() -> None:
    """The champion fails while its data are late: that somebody waived the latter blames the model no more."""
    retain = passing_snapshot("retain")
    subject = subject_of(retain)
    mine = {"version": subject.version, "created_at": subject.created_at}
    data, model = judgement(), judgement("fail", "accuracy", id="a.b")
    model = model.model_copy(update={"info": model.info.model_copy(update={"blames": "model"})})

    def verdict(*waivers: Waiver, lost: bool = False) -> str:
        both = (judgement("unknown") if lost else data, model)
        return decision(book(*waivers), *both, PASSES, snapshot=retain, subject=subject).verdict

    assert verdict() == "halt"
    assert verdict(waiver(**mine)) == "hold"
    assert verdict(waiver(**mine), waiver(**mine, policy="a.b", key="accuracy")) == "keep"
    assert verdict(waiver(**mine, policy="a.b", key="accuracy")) == "halt"
    assert verdict(waiver(**mine, key="", covers="unknown"), lost=True) == "hold"


def test_every_finding_of_a_policy_has_to_be_waived() -> None:
    two = judgement("fail", "features", "embeddings")
    assert decision(book(waiver()), two).verdict == "deny"
    assert decision(book(waiver(), waiver(key="embeddings")), two).verdict == "allow"


def test_a_finding_without_a_key_is_waived_only_by_an_empty_key() -> None:
    assert fate(waiver(key=""), judgement("fail", ""))[0] == "applied"
    assert fate(waiver(key=""), judgement("fail", "features"))[0] == "unused"
    assert fate(waiver(), judgement("fail", ""))[0] == "unused"


def test_findings_that_share_a_key_are_waived_only_where_their_number_is_said() -> None:
    two = judgement("fail", "features", "features")
    assert fate(waiver(), two) == ("refused", "2 findings have that key, and it is leave for 1")
    assert fate(waiver(findings=2), two) == ("applied", "")
    assert fate(waiver(findings=2), judgement()) == ("applied", "")


def test_the_digest_alone_is_exact_enough() -> None:
    there = EXACT.model_copy(update={"artifact_digest": FILES})
    only = {"version": None, "created_at": None, "digest": FILES}
    assert fate(waiver(**only), subject=there)[0] == "applied"
    kind, why = fate(waiver(**only), subject=there.model_copy(update={"artifact_digest": DIGEST}))
    assert (kind, why) == ("unused", "the version's files are not those that it is for")
    lost = there.model_copy(update={"artifact_digest": missing("too many files", "mlflow")})
    kind, why = fate(waiver(**only), subject=lost)
    assert kind == "unused"
    assert "too many files" in why


def test_what_could_not_be_assessed_is_waived_only_where_it_is_said() -> None:
    lost = judgement("unknown")
    assert fate(waiver(key=""), lost)[0] == "refused"
    unknown = waiver(key="", covers="unknown")
    made = decision(book(unknown), lost, PASSES)
    assert (made.verdict, made.counts.waived, made.counts.unknown) == ("allow", 1, 1)
    assert "1 that could not be is waived" in made.reason
    assert fate(unknown, judgement())[0] == "unused", "it failed, which that is no leave for"


def test_what_a_waived_failure_left_unassessed_keeps_the_gate_shut() -> None:
    """One stage is late, and of another nobody knows: leave for the first is none for the second."""
    spoilt = change(passing(), "/stages/features/age", timedelta(days=3))
    spoilt = change(spoilt, "/stages/embeddings/freshness", missing("no answer in 5 s", "https://d.example"))
    found = pack()["freshness.stage"].run(spoilt)
    assert ([f.key for f in found.findings], found.partial) == (["features"], True)
    late = judgement().model_copy(update={"result": found})
    assert decision(book(), late, PASSES).verdict == "deny"
    made = decision(book(waiver()), late, PASSES)
    assert (made.verdict, made.reason) == ("hold", "1 policy could not be assessed")
    assert unclear_of(made) == ("freshness.stage: no answer in 5 s (https://d.example)",)
    both = decision(book(waiver(), waiver(key="", covers="unknown")), late, PASSES)
    assert (both.verdict, both.counts.waived, unclear_of(both)) == ("allow", 2, ())
    assert unfounded(both) == ""
    alone = decision(book(waiver(key="", covers="unknown")), late, PASSES)
    assert (alone.verdict, len(alone.waivers.applied)) == ("deny", 1)
    required = late.model_copy(update={"level": "require"})
    assert decision(book(waiver(), waiver(key="", covers="unknown")), required, PASSES).verdict == "deny"


def test_what_a_waived_failure_left_unassessed_makes_no_rollback() -> None:
    retain = passing_snapshot("retain")
    subject = subject_of(retain)
    mine = {"version": subject.version, "created_at": subject.created_at}
    info = judgement().info.model_copy(update={"blames": "model"})
    partial = judgement(partial=True).model_copy(update={"info": info})
    worse = judgement(id="a.b").model_copy(update={"info": info.model_copy(update={"id": "a.b"})})
    for allowed in (book(waiver(**mine)), book(waiver(**mine), waiver(**mine, key="", covers="unknown"))):
        made = decision(allowed, partial, worse, PASSES, snapshot=retain, subject=subject)
        assert (made.verdict, made.waivers.unused) == ("hold", ())


@pytest.mark.parametrize("level", LEVELS)
def test_a_mark_opens_nothing_that_is_required_or_broken(level: Level) -> None:
    """Whoever made it: `decide` believes no mark where none can be."""
    unknown = judgement("unknown", level=level).model_copy(update={"waived": "by me"})
    broken = judgement("error", level=level).model_copy(update={"waived": "by me"})
    assert unknown.open is (level == "require")
    assert broken.open
    if level != "advise":
        assert decide(passing_snapshot(), (broken, PASSES), SETTING).verdict == "hold"


def test_waiving_everything_that_is_unknown_assesses_nothing() -> None:
    made = decision(book(waiver(key="", covers="unknown")), judgement("unknown"))
    assert (made.verdict, made.reason) == ("hold", "nothing was assessed")


def test_a_version_that_nobody_knows_is_never_allowed() -> None:
    lost = missing("MLflow answered 503", "mlflow")
    snapshot = change(passing_snapshot(), "/challenger", lost)
    made = decision(book(waiver()), judgement(), PASSES, snapshot=snapshot, subject=subject_of(snapshot))
    assert (made.verdict, made.counts.waived) == ("deny", 0)
    assert "503" in made.waivers.unused[0].why


# --- attacks -----------------------------------------------------------------------------------------------------

ATTACKS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "ran out this second": ({"expires": NOW}, {}, "expired", "ran out"),
    "ran out a second ago": ({"expires": NOW - SECOND}, {}, "expired", "ran out"),
    "approved in the future": ({"approved_on": NOW + SECOND}, {}, "refused", "still to come"),
    "a second too long": ({"expires": NOW - timedelta(minutes=5) + 30 * DAY + SECOND}, {}, "refused", "the longest there may be"),
    "back-dated before the version": (
        {"approved_on": EXACT.created_at - SECOND, "expires": NOW + SECOND},
        {"rules": WaiverRules(longest=timedelta(days=3650))},
        "refused",
        "approved before v2 was made",
    ),
    "another registry": ({"registry": "https://other.example"}, {}, "unused", "for the registry"),
    "another version": ({"version": "1", "created_at": None}, {}, "unused", "for v1"),
    "a number given anew": ({"created_at": EXACT.created_at - SECOND}, {}, "unused", "another one"),
    "other files": ({"digest": FILES}, {}, "unused", "files"),
    "another model": ({"model": "fraud"}, {}, "elsewhere", "fraud"),
    "another environment": ({"environment": "staging"}, {}, "unused", "staging"),
    "another policy": ({"policy": "freshness.cache"}, {}, "unused", "no policy of that name"),
    "a theme": ({"policy": "freshness"}, {}, "unused", "no policy of that name"),
    "a part of the key": ({"key": "feature"}, {}, "unused", "not on feature"),
    "the key in capitals": ({"key": "Features"}, {}, "unused", "not on Features"),
    "an approver who may not": ({}, {"approvers": ("user:boss",)}, "refused", "neither an approver"),
    "an approver's look-alike": ({}, {"approvers": ("user:kаi",)}, "refused", "neither an approver"),
    "his own approval": ({"asked_by": "user:kai"}, {"four_eyes": True}, "refused", "four eyes"),
    "his own approval, spelt otherwise": (
        {"asked_by": "user:Ｋai"},
        {"four_eyes": True},
        "refused",
        "four eyes",
    ),
    "nobody asked for it": ({"asked_by": None}, {"four_eyes": True}, "refused", "four eyes"),
    "from a change under review": ({}, {"trusted": False}, "refused", "protected branch"),
    "where none may be given": ({}, {"rules": WaiverRules(longest=timedelta(0))}, "refused", "longest"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "around", "kind", "says"), ATTACKS.values(), ids=ATTACKS.keys())
def test_a_waiver_that_does_not_fit_does_not_count(
    fields: dict[str, Any], around: dict[str, Any], kind: str, says: str
) -> None:
    found, why = fate(waiver(**fields), **around)
    assert (found, says in why) == (kind, True), (found, why)
    made = decision(book(waiver(**fields)), judgement(), PASSES, **around)
    assert (made.verdict, made.counts.waived) == ("deny", 0)


def test_the_last_second_counts() -> None:
    assert fate(waiver(expires=NOW + SECOND))[0] == "applied"
    assert fate(waiver(expires=NOW - timedelta(minutes=5) + 30 * DAY))[0] == "applied"
    assert fate(waiver(approved_on=NOW))[0] == "applied"


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("level", LEVELS)
def test_nothing_else_than_a_failure_is_ever_waived_and_nothing_at_level_require(
    outcome: Outcome, level: Level
) -> None:
    kind, _ = fate(waiver(), judgement(outcome, level=level))
    assert (kind == "applied") == (outcome == "fail" and level != "require")
    kind, _ = fate(waiver(key="", covers="unknown"), judgement(outcome, level=level))
    assert (kind == "applied") == (outcome == "unknown" and level != "require")


MALFORMED: dict[str, dict[str, Any]] = {
    "a reason that nobody sees": {"reason": "\u200b \u3164\u2800"},
    "an approver with a space after": {"approver": "user:kai "},
    "an approver with something unseen": {"approver": "user:k\u200bai"},
    "an asker with a space that is none": {"asked_by": "user:\u00a0ana"},
    "no version": {"version": None, "created_at": None},
    "any version": {"version": "*"},
    "a version with a nought": {"version": "02"},
    "any policy": {"policy": "*"},
    "any key": {"key": "*"},
    "any model": {"model": "*"},
    "any registry": {"registry": "*"},
    "any environment": {"environment": "*"},
    "no reason": {"reason": "  "},
    "an empty reason": {"reason": ""},
    "a reason of two lines": {"reason": "a\nb"},
    "no approver": {"approver": ""},
    "an end before the beginning": {"expires": NOW - 2 * DAY},
    "no end": {"expires": None},
    "a naive end": {"expires": "2026-12-01T00:00:00"},
    "an end in words": {"expires": "never"},
    "an end in a week's spelling": {"expires": "2026-W48-1"},
    "an end as a number": {"expires": 99999999999},
    "no findings": {"findings": 0},
    "errors": {"covers": "error"},
    "unknown of one key": {"covers": "unknown"},
    "a key that is none of ours": {"level": "advise"},
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_broad_or_malformed_cannot_be_built(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        waiver(**fields)


def test_a_day_is_its_first_instant() -> None:
    made = waiver(approved_on="2026-11-21", expires="2026-12-01")
    assert (made.approved_on, made.expires) == (
        datetime(2026, 11, 21, tzinfo=UTC),
        datetime(2026, 12, 1, tzinfo=UTC),
    )
    assert show_until(made.expires) == "2026-12-01"
    assert fate(made, now=datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC))[0] == "applied"
    assert fate(made, now=datetime(2026, 12, 1, tzinfo=UTC))[0] == "expired"


def test_a_second_of_approval_is_the_whole_second_for_a_version_that_was_made_in_it() -> None:
    """A registry counts milliseconds, and whoever approves writes a second."""
    second = NOW - timedelta(hours=1)
    for later, kind in ((999, "applied"), (1000, "refused")):
        made = EXACT.model_copy(update={"created_at": second + timedelta(milliseconds=later)})
        found, why = fate(waiver(created_at=made.created_at, approved_on=second), subject=made)
        assert found == kind, why


def test_a_day_of_approval_is_the_whole_day_for_a_version_that_was_made_on_it() -> None:
    made = EXACT.model_copy(update={"created_at": NOW - timedelta(hours=1)})
    fits = {"created_at": None}
    assert fate(waiver(approved_on="2026-11-21", **fits), subject=made)[0] == "applied"
    assert fate(waiver(approved_on="2026-11-20", **fits), subject=made)[0] == "refused"
    at = NOW - timedelta(hours=2)
    assert fate(waiver(approved_on=at, **fits), subject=made)[0] == "refused"


# --- two of them, near the end, of no use ------------------------------------------------------------------------


def test_of_two_for_one_finding_the_second_does_nothing() -> None:
    other = waiver(version=None, created_at=None, digest=FILES)
    there = EXACT.model_copy(update={"artifact_digest": FILES})
    _, used = apply(book(waiver(), other), [judgement()], held(subject=there))
    assert [use.nth for use in used.applied] == [1]
    assert [(use.nth, use.why) for use in used.unused] == [(2, "another waiver lets that stand already")]


def test_one_that_ran_out_does_not_hide_one_that_counts() -> None:
    old = waiver(expires=NOW, version=None, created_at=None, digest=FILES)
    there = EXACT.model_copy(update={"artifact_digest": FILES})
    _, used = apply(book(old, waiver()), [judgement()], held(subject=there))
    assert ([use.nth for use in used.applied], [use.nth for use in used.expired]) == ([2], [1])


@pytest.mark.parametrize(("left", "soon"), [(3 * DAY, True), (3 * DAY + SECOND, False), (SECOND, True)])
def test_one_that_is_about_to_run_out_is_said(left: timedelta, soon: bool) -> None:
    _, used = apply(book(waiver(expires=NOW + left)), [judgement()], held())
    assert used.applied[0].soon is soon


def test_leave_for_the_same_is_the_same_whoever_gave_it() -> None:
    assert leave(waiver()) == leave(
        waiver(approver="x", reason="y", expires=NOW + DAY, findings=2, asked_by=None)
    )
    for other in ({"key": "x"}, {"version": "3"}, {"registry": "r"}, {"environment": "staging"}):
        assert leave(waiver()) != leave(waiver(**other))


# --- the manifest's say ------------------------------------------------------------------------------------------


def test_who_may_approve_stands_in_the_manifest() -> None:
    manifest = passing_manifest()
    assert manifest.owner is not None
    team: dict[str, tuple[str, ...]] = {manifest.owner.team: ("user:kai",), "others": ("user:eve",)}
    named = manifest.model_copy(update={"authority": Authority(teams=team, approvers=("user:boss",))})
    snapshot = passing_snapshot()
    assert grounds(named, snapshot, EXACT).approvers == ("user:boss", "user:kai")
    assert grounds(manifest, snapshot, EXACT).approvers == manifest.authority.approvers
    nobody = Manifest.model_validate(named.model_dump() | {"owner": None})
    assert grounds(nobody, snapshot, EXACT).approvers == ("user:boss",)


def test_how_long_stands_in_the_environment() -> None:
    manifest = passing_manifest()
    rules = WaiverRules(longest=DAY)
    ruled = manifest.model_copy(update={"environments": {"production": Environment(waivers=rules)}})
    assert grounds(ruled, passing_snapshot(), EXACT).rules == rules
    assert grounds(manifest, passing_snapshot(), EXACT).rules.longest == 30 * DAY


# --- the record --------------------------------------------------------------------------------------------------


def mixed() -> WaiverBook:
    malformed = WaiverUse(
        policy="(unreadable)", key="", who="nobody", reason="", until=None, why="malformed: x", nth=1, line=3
    )
    rest = [
        waiver(),
        waiver(expires=NOW),
        waiver(key="x"),
        waiver(model="fraud"),
        waiver(approved_on=NOW + DAY),
    ]
    entries = [Entry(nth=n, line=n, waiver=one) for n, one in enumerate(rest, 2)]
    return WaiverBook(entries=(Entry(nth=1, line=3, malformed=malformed), *entries), digest=DIGEST)


def test_a_decision_is_made_again_from_its_record_alone() -> None:
    made = decision(mixed(), judgement(), PASSES)
    kinds = {kind: len(uses) for kind, uses in made.waivers if isinstance(uses, tuple)}
    assert kinds == {"applied": 1, "expired": 2, "unused": 1, "refused": 1, "elsewhere": 1}
    again = Decision.model_validate_json(made.model_dump_json(by_alias=True))
    assert book_of(again) == mixed()
    assert decision(book_of(again), judgement(), PASSES) == made


def test_marks_are_made_here_and_nowhere_else() -> None:
    marked = decision(book(waiver()), judgement(), PASSES).judgements
    again = decision(book(), *marked)
    assert (again.verdict, again.counts.waived) == ("deny", 0)
    lost = judgement("unknown").model_copy(update={"waived": "by me"})
    assert decision(book(), lost, PASSES).verdict == "hold"


FORGED: dict[str, Callable[[Decision], dict[str, Any]]] = {
    "no waiver": lambda d: {"waivers": Waivers()},
    "moved among the unused": lambda d: {"waivers": Waivers(unused=d.waivers.applied)},
    "one that ran out": lambda d: {"now": NOW + 7 * DAY},
    "one of another key": lambda d: {
        "waivers": Waivers(applied=(_used(d, key="other"),)),
    },
    "one of another reason": lambda d: {"waivers": Waivers(applied=(_used(d, reason="other"),))},
    "of no file": lambda d: {"waivers_digest": None},
    "one whose end is told otherwise": lambda d: {
        "waivers": Waivers(applied=(_used(d, expires=NOW - SECOND, approved_on=NOW - DAY),)),
    },
    "one of another registry": lambda d: {
        "waivers": Waivers(applied=(_used(d, registry="https://other.example"),))
    },
    "one of another version": lambda d: {
        "waivers": Waivers(applied=(_used(d, version="9", created_at=None),))
    },
    "one of another environment": lambda d: {"environment": "staging"},
    "one for a subject that is not known": lambda d: {"subject": missing("no answer", "x")},
    "one that is still to be approved": lambda d: {"now": NOW - DAY},
    "one of which the reports tell another approver": lambda d: {
        "waivers": Waivers(applied=(d.waivers.applied[0].model_copy(update={"who": "user:boss"}),))
    },
    "an entry that is none": lambda d: {
        "waivers": Waivers(
            applied=(d.waivers.applied[0], d.waivers.applied[0].model_copy(update={"waiver": None}))
        )
    },
    "that it could not be assessed, of what was": lambda d: {
        "judgements": tuple(j.model_copy(update={"waived": "by user:kai"}) for j in d.judgements)
    },
    "at level require": lambda d: {
        "judgements": tuple(j.model_copy(update={"level": "require"}) for j in d.judgements)
    },
}


def _used(made: Decision, **fields: Any) -> WaiverUse:
    (use,) = made.waivers.applied
    assert use.waiver is not None
    return use.model_copy(update={"waiver": use.waiver.model_copy(update=fields)})


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_mark_that_no_waiver_accounts_for_is_found(forge: Callable[[Decision], dict[str, Any]]) -> None:
    made = decision(book(waiver()), judgement(), PASSES)
    assert unfounded(made) == ""
    assert unfounded(made.model_copy(update=forge(made))) != ""


def test_the_record_of_a_waived_unknown_accounts_for_itself() -> None:
    made = decision(book(waiver(key="", covers="unknown")), judgement("unknown"), PASSES)
    assert unfounded(made) == ""
    assert unfounded(made.model_copy(update={"waivers": Waivers()})) != ""


# --- whatever the waivers ----------------------------------------------------------------------------------------

KEYS = ("", "features", "embeddings")
IDS = ("freshness.stage", "a.b")


@st.composite
def entries(draw: st.DrawFn, *covers: str) -> Waiver:
    begins = NOW + draw(st.sampled_from([-40 * 24, -22, -1, -1, 0, 0, 1])) * timedelta(hours=1)
    kind = draw(st.sampled_from(covers or ("fail", "unknown")))
    return waiver(
        policy=draw(st.sampled_from(IDS)),
        key="" if kind == "unknown" else draw(st.sampled_from(KEYS)),
        covers=kind,
        version=draw(st.sampled_from(["2", "2", "2", "3"])),
        created_at=None,
        findings=draw(st.integers(1, 3)),
        environment=draw(st.sampled_from(["production", "production", "staging"])),
        approver=draw(st.sampled_from(["user:kai", "user:eve"])),
        approved_on=begins,
        expires=begins + draw(st.integers(1, 45)) * DAY,
    )


@st.composite
def judged(draw: st.DrawFn) -> tuple[Judgement, ...]:
    found = []
    for id in (*IDS, "z.z"):
        outcome = draw(st.sampled_from(OUTCOMES))
        keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3)) if outcome == "fail" else []
        partial = outcome == "fail" and draw(st.booleans())
        level = draw(st.sampled_from(LEVELS))
        found.append(judgement(outcome, *keys, id=id, level=level, partial=partial))
    return tuple(found)


@settings(max_examples=300, deadline=None)
@given(judged(), st.lists(entries("fail"), max_size=4))
def test_no_waiver_of_a_failure_turns_a_hold_into_a_yes(
    judgements: tuple[Judgement, ...], waivers: list[Waiver]
) -> None:
    before = decision(book(), *judgements, approvers=("user:kai",))
    after = decision(book(*waivers), *judgements, approvers=("user:kai",))
    if before.verdict == "hold":
        assert after.verdict == "hold"
    if before.verdict != after.verdict:
        assert (before.verdict, after.waivers.applied != ()) == ("deny", True)
    if after.verdict == "allow":
        assert not any(j.result.partial for j in after.judgements if j.counts)


@settings(max_examples=300, deadline=None)
@given(judged(), st.lists(entries(), max_size=4))
def test_waivers_only_lift_what_they_name_and_without_them_nothing_is_laxer(
    judgements: tuple[Judgement, ...], waivers: list[Waiver]
) -> None:
    before = decision(book(), *judgements, approvers=("user:kai",))
    after = decision(book(*waivers), *judgements, approvers=("user:kai",))
    named = {(w.policy, w.key) for w in waivers if w.approver == "user:kai" and w.covers == "fail"}
    unknown = {w.policy for w in waivers if w.approver == "user:kai" and w.covers == "unknown"}
    for old, new in zip(before.judgements, after.judgements, strict=True):
        assert (old.info, old.level, old.result.outcome) == (new.info, new.level, new.result.outcome)
        for one, other in zip(old.result.findings, new.result.findings, strict=True):
            assert one == other.model_copy(update={"waived": ""})
            if other.waived:
                assert new.level != "require"
                assert (new.info.id, other.key) in named
        if new.waived:
            assert new.level != "require"
            assert new.result.outcome == "unknown" or new.result.partial
            assert new.info.id in unknown
    rank = {"allow": 0, "hold": 1, "deny": 2}
    assert rank[before.verdict] >= rank[after.verdict]
    assert unfounded(after) == ""
    told = after.waivers
    assert sum(len(uses) for _, uses in told if isinstance(uses, tuple)) == len(waivers)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_of_the_standard_pack_nothing_but_the_named_finding_is_lifted(data: st.DataObject) -> None:
    """Spoil several things, waive one of them: the others stand, whatever they are."""
    judgements = _spoilt()
    failing = [(j.info.id, f.key) for j in judgements for f in j.result.findings]
    assert len(failing) > 2
    policy, key = data.draw(st.sampled_from(failing))
    made, used = apply(book(waiver(policy=policy, key=key)), judgements, held())
    lifted = {(j.info.id, f.key) for j in made for f in j.result.findings if f.waived}
    assert lifted <= {(policy, key)}
    assert len(used.applied) == bool(lifted)
    setting = SETTING.model_copy(update={"waivers": used})
    assert decide(passing(), made, setting).verdict == "deny"


@cache
def _spoilt() -> tuple[Judgement, ...]:
    spoilt = change(passing(), "/stages/features/age", timedelta(days=3))
    spoilt = change(spoilt, "/challenger/measurements/accuracy/value", "0.41")
    spoilt = change(spoilt, "/owner", None)
    return judge(infos(), {id: policy.run(spoilt) for id, policy in pack().items()}, {})


def test_the_subject_in_these_tests_is_known() -> None:
    assert gap(EXACT) is None
    assert (EXACT.name, EXACT.version) == ("churn", "2")
