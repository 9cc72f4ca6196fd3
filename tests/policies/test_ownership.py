"""Ownership: each policy seen to pass, fail, go unknown where it can, and skip."""

import pytest

from aigate.manifest import Owner
from aigate.snapshot import Tag
from aigate.testing import missing
from standard_pack import expect


def test_one_reachable_owner_passes() -> None:
    expect("ownership.accountable", {}, "pass")


def test_no_owner_fails_and_shows_the_lines_to_add() -> None:
    found = expect("ownership.accountable", {"/owner": None}, "fail", "owner: {team: <team>", keys=("owner",))
    assert "nobody answers for churn" in found.findings[0].message


@pytest.mark.parametrize(
    ("owner", "outcome"),
    [
        pytest.param(Owner(team="ml", contact="#ml"), "pass", id="contact-alone"),
        pytest.param(Owner(team="ml", escalation="https://pager.example"), "pass", id="escalation-alone"),
        pytest.param(Owner(team="ml"), "fail", id="cannot-be-reached"),
        pytest.param(Owner(team="ml", contact="<channel>"), "fail", id="a-placeholder-for-a-contact"),
        pytest.param(Owner(team="<team>", contact="#ml"), "fail", id="a-placeholder-for-a-team"),
        pytest.param(Owner(team=" ", contact="#ml"), "fail", id="a-blank-team"),
    ],
)
def test_an_owner_is_named_and_can_be_reached(owner: Owner, outcome: str) -> None:
    expect("ownership.accountable", {"/owner": owner}, outcome)  # type: ignore[arg-type]  # a literal, from the table


def test_every_stage_has_an_owner() -> None:
    expect("ownership.stages", {}, "pass")
    changes: dict[str, object] = {"/stages/features/owner": None, "/stages/scoring/owner": "<team>"}
    expect("ownership.stages", changes, "fail", "stage features has no owner", keys=("features", "scoring"))


def test_no_stages_is_a_skip_here() -> None:
    expect("ownership.stages", {"/stages": ()}, "skip", "freshness.promised")


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        pytest.param("retention-platform", "pass", id="same"),
        pytest.param(" Retention-Platform ", "pass", id="same-but-for-case-and-blanks"),
        pytest.param("growth", "fail", id="another-team"),
    ],
)
def test_the_registry_names_the_same_owner(value: str, outcome: str) -> None:
    expect("ownership.registry", {"/model/tags/owner/value": value}, outcome)  # type: ignore[arg-type]  # the same


def test_each_owner_tag_is_compared() -> None:
    tags = (Tag(key="aigate.owner", value="growth"), Tag(key="owner", value="retention-platform"))
    expect("ownership.registry", {"/model/tags": tags}, "fail", "'growth'", keys=("aigate.owner",))


def test_no_owner_tag_is_a_skip() -> None:
    expect("ownership.registry", {"/model/tags": ()}, "skip", "no tag aigate.owner or owner")
    expect("ownership.registry", {}, "skip", tags=("squad",))


def test_an_unread_registered_model_is_unknown() -> None:
    expect("ownership.registry", {"/model": missing("no answer")}, "unknown", "no answer")


def test_no_owner_to_compare_with_is_a_skip() -> None:
    expect("ownership.registry", {"/owner": None}, "skip", "ownership.accountable")
