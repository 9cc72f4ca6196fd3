"""Drills: every known failure shows in the evidence as it would, and what catches it is told truly."""

from datetime import timedelta
from decimal import Decimal

import pytest

from aigate import breakage
from aigate.again.drills import NothingToDrillError, drill
from aigate.again.rules import Rules
from aigate.breakage import Found
from aigate.collect.policy_files import declared
from aigate.digest import digest_bytes
from aigate.drill import DrillReport
from aigate.injections import INJECTIONS, Injection
from aigate.manifest import Level
from aigate.policy import PolicyFile
from aigate.report import ReportContext
from aigate.report.drill import headline, markdown, render
from aigate.rules import read_standard
from aigate.snapshot import Snapshot
from aigate.testing import change, missing, passing_manifest, passing_snapshot
from aigate.values import gap
from aigate.waiver import WaiverBook

PLAIN = ReportContext(columns=100)
SOUND = passing_snapshot()


def drilled(
    snapshot: Snapshot = SOUND,
    levels: dict[str, Level] | None = None,
    files: tuple[PolicyFile, ...] | None = None,
) -> DrillReport:
    manifest = passing_manifest()
    rules = Rules("test", read_standard() if files is None else files, levels or {}, {}, manifest)
    return drill(snapshot, rules, manifest, WaiverBook())


@pytest.fixture(scope="module")
def sound() -> DrillReport:
    return drilled()


def test_the_standard_pack_catches_every_known_failure(sound: DrillReport) -> None:
    assert sound.verdict == "allow"
    assert {one.name: one.status for one in sound.drilled} == {one.name: "caught" for one in INJECTIONS}
    assert sound.exit_code == 0
    assert headline(sound) == f"{len(INJECTIONS)} of {len(INJECTIONS)} failures caught"


def test_a_hypothesis_stands_beside_each(sound: DrillReport) -> None:
    found = {one.name: one.hypothesis for one in sound.drilled}
    assert (
        found["stage-late"] == "We believe that a stage that is 12 hours late is caught by freshness.stage."
    )
    text, page = render(sound, PLAIN), markdown(sound, PLAIN)
    for one in INJECTIONS:
        assert one.name in text
        assert f"`{one.name}`" in page


def test_the_demos_numbers_stand_in_it(sound: DrillReport) -> None:
    (fell,) = (one for one in sound.drilled if one.name == "accuracy-fell")
    place = next(shown for shown in fell.places if shown.place.startswith("accuracy"))
    assert place.place == "accuracy 0.943 → 0.71"
    assert {catch.by for catch in place.catches} >= {"evaluation.floor", "evaluation.regression"}
    assert place.verdict == "deny"


def test_a_moved_alias_is_caught_by_the_ledger(sound: DrillReport) -> None:
    (moved,) = (one for one in sound.drilled if one.name == "alias-moved")
    assert moved.places[0].catches[0].by == "ledger"
    assert "Somebody moved it past the gate" in moved.places[0].catches[0].message


def test_an_alias_that_nobody_held_can_be_set_by_hand_too() -> None:
    (only,) = made(breakage.moved_by_hand(change(SOUND, "/champion", None)))
    assert only.place.startswith("@champion nobody → v")
    assert "the ledger does not know how it got there" in only.guard
    holder = only.snapshot.champion
    assert gap(holder) is None
    assert holder is not None
    assert holder.aliases == ("champion",)


def test_what_only_advises_catches_nothing() -> None:
    found = drilled(levels={"ownership": "advise"})
    missed = {one.name: one for one in found.missed}
    assert set(missed) == {"owner-gone", "stage-owner-gone"}
    assert found.exit_code == 1
    shown = missed["owner-gone"].places[0]
    assert (shown.verdict, shown.caught) == ("allow", False)
    assert [(catch.by, catch.counts) for catch in shown.catches] == [("ownership.accountable", False)]
    text = render(found, PLAIN)
    assert "nothing catches owner-gone (owner), stage-owner-gone (" in text
    assert "only advises" in text
    assert "to do: let ownership.accountable count" in text


def test_what_nothing_looks_at_is_missed() -> None:
    source = b"from aigate import *\n@policy('mine.owner')\ndef one(s):\n    'T'\n    if s.owner is None: yield deny('no owner')\n"
    file = PolicyFile("policies/mine.py", source, digest_bytes(source), declared(source, "mine.py"))
    found = drilled(files=(file,))
    states = {one.name: one.status for one in found.drilled}
    assert states.pop("owner-gone") == "otherwise"
    # The gate holds where nobody knows the version, whatever the policies say.
    assert states.pop("registry-down") == "caught"
    assert states.pop("alias-moved") == "caught"
    assert set(states.values()) == {"missed"}


@pytest.mark.slow
def test_a_no_that_was_there_before_is_no_catch() -> None:
    late = change(SOUND, "/owner", None)
    found = drilled(late)
    assert found.verdict == "deny"
    states = {one.name: one.status for one in found.drilled}
    assert states["owner-gone"] == "not_applicable"
    assert states["stage-late"] == "caught"
    found = drilled(late, levels={"freshness": "advise"})
    assert {one.name for one in found.missed} == {
        "cache-stale",
        "cache-stale-unseen",
        "stage-late",
        "source-silent",
        "future-clock",
    }


def test_what_cannot_happen_here_says_why() -> None:
    bare = change(change(SOUND, "/stages", ()), "/thresholds", ())
    found = {one.name: one for one in drilled(bare).drilled}
    assert found["stage-late"].because == "no stage says how fresh its data is"
    assert found["cache-stale"].status == "not_applicable"
    assert found["threshold-from-dev"].status == "not_applicable"
    assert "not applicable, because no stage says" in render(drilled(bare), PLAIN)


def made(found: Found) -> tuple[breakage.Injected, ...]:
    assert not isinstance(found, str), found
    return found


def test_with_the_registry_down_there_is_nothing_to_drill() -> None:
    with pytest.raises(NothingToDrillError) as nothing:
        drilled(change(SOUND, "/challenger", missing("MLflow answered 503")))
    assert nothing.value.exit_code == 3


def test_without_a_champion_there_is_nothing_to_keep() -> None:
    with pytest.raises(NothingToDrillError, match="nothing holds @champion") as nothing:
        drilled(change(passing_snapshot("retain"), "/champion", None))
    assert "--question promote" in nothing.value.fix


# Each failure as it shows in the evidence.


def places(found: Found) -> dict[str, Snapshot]:
    assert not isinstance(found, str), found
    return {injected.place: injected.snapshot for injected in found}


def test_a_late_stage_is_late_by_twelve_hours_and_so_is_the_path() -> None:
    for name, snapshot in places(breakage.late(SOUND)).items():
        stage = snapshot.stage(name)
        assert stage is not None
        assert stage.limit is not None
        assert stage.age == stage.limit + timedelta(hours=12)
        assert snapshot.end_to_end is not None
        assert SOUND.end_to_end is not None
        if gap(snapshot.end_to_end.age) is None:
            assert snapshot.end_to_end.age >= SOUND.end_to_end.age


def test_a_stale_cache_is_traced_as_one() -> None:
    for name, snapshot in places(breakage.stale_cache(SOUND)).items():
        stage = snapshot.stage(name)
        assert stage is not None
        (stale,) = stage.stale_inputs
        allowed = stage.allowance if stage.allowance is not None else stage.limit
        assert allowed is not None
        assert stale.behind == allowed + timedelta(hours=6)


def test_the_cache_of_a_busy_upstream_is_behind_what_came_a_minute_ago(sound: DrillReport) -> None:
    for name, snapshot in places(breakage.stale_cache_of_a_busy_upstream(SOUND)).items():
        stage = snapshot.stage(name)
        assert stage is not None
        (stale,) = stage.stale_inputs
        assert stale.behind == timedelta(minutes=1)
    (unseen,) = (one for one in sound.drilled if one.name == "cache-stale-unseen")
    assert {
        catch.outcome for place in unseen.places for catch in place.catches if catch.by == "freshness.cache"
    } == {"unknown"}


def test_a_future_clock_is_never_an_age_below_zero() -> None:
    for name, snapshot in places(breakage.future(SOUND)).items():
        stage = snapshot.stage(name)
        assert stage is not None
        assert stage.age == timedelta(0)


@pytest.mark.parametrize("injection", INJECTIONS, ids=[one.name for one in INJECTIONS])
@pytest.mark.parametrize("question", ["promote", "retain"])
def test_only_one_failure_is_put_in_and_the_rest_is_left(injection: Injection, question: str) -> None:
    sound = passing_snapshot("retain" if question == "retain" else "promote")
    for place, snapshot in places(injection.inject(sound)).items():
        assert snapshot != sound, place
        assert (snapshot.now, snapshot.question) == (sound.now, sound.question)
        assert snapshot.manifest_digest == sound.manifest_digest
        assert snapshot == Snapshot.model_validate_json(snapshot.model_dump_json(by_alias=True))


def test_what_fell_is_a_share_of_which_more_is_better() -> None:
    fell = breakage.fell(SOUND)
    assert [place.split()[0] for place in places(fell)] == ["accuracy", "correctness/mean"]
    low = change(SOUND, "/challenger/measurements/accuracy/value", Decimal("0.5"))
    assert "accuracy 0.5 → 0.3777" in places(breakage.fell(low))
