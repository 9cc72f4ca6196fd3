"""`Unknown` and `note`: how a policy says that it cannot tell, and what its answer leaves open."""

from contextlib import suppress

from aigate import Findings, MissingEvidence, Skip, Snapshot, Unknown, deny, note, policy
from aigate.testing import change, missing, passing_snapshot

PASSING = passing_snapshot()


def test_unknown_ends_a_policy_with_its_reason() -> None:
    @policy("test.unknown")
    def cannot_tell(s: Snapshot) -> Findings:
        """It cannot tell."""
        yield from ()
        raise Unknown(f"{s.system}: too few rows")

    result = cannot_tell.run(PASSING)
    assert (result.outcome, result.reason) == ("unknown", "churn: too few rows")


def test_unknown_cannot_be_swallowed() -> None:
    @policy("test.swallowed")
    def swallows(s: Snapshot) -> Findings:
        """It cannot tell, and goes on."""
        for stage in s.stages:
            with suppress(Unknown):
                raise Unknown(f"{stage.name} is unclear")
        if s.system == "another":
            yield deny("never")

    result = swallows.run(PASSING)
    assert result.outcome == "unknown"
    assert result.reason.startswith("transactions is unclear; features is unclear")


def test_a_skip_after_unknown_is_unknown() -> None:
    @policy("test.skip")
    def skips(s: Snapshot) -> Findings:
        """It cannot tell, and would rather not apply."""
        with suppress(Unknown):
            raise Unknown(f"{s.owner and s.owner.team} did not say")
        yield from ()
        raise Skip("nothing to see")

    assert skips.run(PASSING).outcome == "unknown"


def test_findings_count_though_the_rest_is_unknown_and_both_are_told() -> None:
    @policy("test.both")
    def both(s: Snapshot) -> Findings:
        """It found something before it could not tell."""
        yield deny(f"{s.system} is wrong", key="x")
        raise Unknown("the rest cannot be told")

    result = both.run(PASSING)
    assert (result.outcome, result.reason) == ("fail", "the rest cannot be told")
    assert [finding.key for finding in result.findings] == ["x"]


def test_missing_evidence_is_an_unknown() -> None:
    @policy("test.missing")
    def reads(s: Snapshot) -> Findings:
        """It reads what is missing, part by part."""
        for stage in s.stages:
            with suppress(Unknown):
                if stage.age is not None and stage.age.days > 100:
                    yield deny("old", key=stage.name)

    assert issubclass(MissingEvidence, Unknown)
    result = reads.run(change(PASSING, "/stages/features/age", missing("time-out", "data.example")))
    assert (result.outcome, result.reason) == ("unknown", "time-out (data.example)")
    assert "/stages/features/age" in result.reads


def test_unknown_needs_a_reason() -> None:
    @policy("test.silent")
    def silent(s: Snapshot) -> Findings:
        """It does not say why."""
        assert s.stages
        yield from ()
        raise Unknown(" ")

    assert silent.run(PASSING).outcome == "error"


def test_an_unknown_made_before_the_run_counts_once_it_is_raised() -> None:
    early = Unknown("known to be unknown")

    @policy("test.early")
    def raises(s: Snapshot) -> Findings:
        """It raises what was made elsewhere."""
        assert s.stages
        yield from ()
        raise early

    result = raises.run(PASSING)
    assert (result.outcome, result.reason) == ("unknown", "known to be unknown")


def test_many_reasons_are_counted() -> None:
    @policy("test.many")
    def many(s: Snapshot) -> Findings:
        """It cannot tell many things."""
        for number in range(9):
            with suppress(Unknown):
                raise Unknown(f"{s.system} {number}")
        if not s.system:
            yield deny("never")

    reason = many.run(PASSING).reason
    assert reason == "churn 0; churn 1; churn 2; churn 3; and 5 more"


def test_a_note_stands_beside_a_pass_and_changes_nothing() -> None:
    @policy("test.note")
    def notes(s: Snapshot) -> Findings:
        """It passes, as far as it goes."""
        note("point estimates")
        note("point estimates")
        if not s.stages:
            yield deny("never")

    result = notes.run(PASSING)
    assert (result.outcome, result.reason) == ("pass", "point estimates")


def test_a_note_alone_rests_on_nothing() -> None:
    @policy("test.nothing")
    def nothing(s: Snapshot) -> Findings:
        """It reads nothing."""
        note("all is well")
        yield from ()

    assert nothing.run(PASSING).outcome == "error"


def test_outside_of_a_run_the_signals_are_plain() -> None:
    note("nobody listens")
    assert str(Unknown("why")) == "why"
