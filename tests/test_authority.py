"""Who may stop and who may let go on. Nobody who was refused comes in by saying that he is somebody else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.authority import ANYBODY, NO_MANIFEST, Need, NotAllowedError, role_of
from aigate.ledger import Halt
from aigate.manifest import Manifest

OWNER, STAGE, STRANGER, APPROVER = "user:kai", "user:ada", "user:eve", "github:robin"


def manifest(
    owner: str | None = "platform",
    teams: dict[str, list[str]] | None = None,
    approvers: tuple[str, ...] = (),
    stages: tuple[tuple[str, str | None], ...] = (("features", "data-eng"), ("scoring", None)),
) -> Manifest:
    fields: dict[str, Any] = {
        "version": 1,
        "system": "churn",
        "model": {"name": "churn"},
        "stages": [{"name": name, **({"owner": team} if team else {})} for name, team in stages],
        "authority": {
            "teams": {team: tuple(members) for team, members in (teams or {}).items()},
            "approvers": approvers,
        },
    }
    if owner is not None:
        fields["owner"] = {"team": owner, "contact": "#oncall"}
    fields["stages"] = tuple(fields["stages"])
    return Manifest.model_validate(fields)


TEAMS = {"platform": [OWNER], "data-eng": [STAGE], "other": [STRANGER]}
FULL = manifest(teams=TEAMS, approvers=(APPROVER,))
NO_APPROVERS = manifest(teams=TEAMS)
ONLY_APPROVERS = manifest(approvers=(APPROVER,))
NO_TEAMS = manifest()
STAGE_TEAM = manifest(teams={"data-eng": [STAGE]})
NO_OWNER = manifest(owner=None, teams={"data-eng": [STAGE]})
NOBODY = manifest(owner=None, stages=())
EMPTY_TEAM = manifest(teams={"platform": []})

REFUSED = ""
# manifest, who, as which team, role for halt, role for lift
TABLE: dict[str, tuple[Manifest | None, str, str | None, str, str]] = {
    "owner": (FULL, OWNER, None, "accountable owner, platform", "accountable owner, platform"),
    "stage owner": (FULL, STAGE, None, "owner of stage features, data-eng", REFUSED),
    "approver": (FULL, APPROVER, None, "approver", "approver"),
    "stranger": (FULL, STRANGER, None, REFUSED, REFUSED),
    "stranger claims the owner": (FULL, STRANGER, "platform", REFUSED, REFUSED),
    "stranger claims a stage": (FULL, STRANGER, "data-eng", REFUSED, REFUSED),
    "stranger claims his own team": (FULL, STRANGER, "other", REFUSED, REFUSED),
    "stranger claims nothing in words": (FULL, STRANGER, "", REFUSED, REFUSED),
    "stage owner claims the owner": (
        FULL,
        STAGE,
        "platform",
        "owner of stage features, data-eng",
        REFUSED,
    ),
    "owner claims himself": (
        FULL,
        OWNER,
        "platform",
        "accountable owner, platform",
        "accountable owner, platform",
    ),
    "in other letters": (FULL, OWNER.upper(), None, REFUSED, REFUSED),
    "by another door": (FULL, "github:kai", None, REFUSED, REFUSED),
    "with a space": (FULL, f"{OWNER} ", None, REFUSED, REFUSED),
    "no approvers: owner": (
        NO_APPROVERS,
        OWNER,
        None,
        "accountable owner, platform",
        "accountable owner, platform",
    ),
    "no approvers: stranger": (NO_APPROVERS, STRANGER, None, REFUSED, REFUSED),
    "no approvers: stranger claims": (NO_APPROVERS, STRANGER, "platform", REFUSED, REFUSED),
    "only approvers: approver": (ONLY_APPROVERS, APPROVER, None, "approver", "approver"),
    "only approvers: stranger": (ONLY_APPROVERS, STRANGER, None, ANYBODY, REFUSED),
    "only approvers: stranger claims": (
        ONLY_APPROVERS,
        STRANGER,
        "platform",
        "accountable owner, platform (claimed)",
        REFUSED,
    ),
    "no teams: anybody": (NO_TEAMS, STRANGER, None, ANYBODY, REFUSED),
    "no teams: claims the owner": (
        NO_TEAMS,
        STRANGER,
        "platform",
        "accountable owner, platform (claimed)",
        "accountable owner, platform (claimed)",
    ),
    "no teams: claims a stage": (
        NO_TEAMS,
        STRANGER,
        "data-eng",
        "owner of stage features, data-eng (claimed)",
        REFUSED,
    ),
    "no teams: claims another": (NO_TEAMS, STRANGER, "other", ANYBODY, REFUSED),
    "a team without members is none": (
        EMPTY_TEAM,
        STRANGER,
        "platform",
        "accountable owner, platform (claimed)",
        "accountable owner, platform (claimed)",
    ),
    "only a stage's team: its member": (
        STAGE_TEAM,
        STAGE,
        None,
        "owner of stage features, data-eng",
        REFUSED,
    ),
    "only a stage's team: stranger": (STAGE_TEAM, STRANGER, None, REFUSED, REFUSED),
    "only a stage's team: claims it": (STAGE_TEAM, STRANGER, "data-eng", REFUSED, REFUSED),
    "no owner: stage owner": (NO_OWNER, STAGE, None, "owner of stage features, data-eng", REFUSED),
    "no owner: stranger": (NO_OWNER, STRANGER, None, REFUSED, REFUSED),
    "no owner: claims a stage": (NO_OWNER, STAGE, "data-eng", "owner of stage features, data-eng", REFUSED),
    "nobody owns anything": (NOBODY, STRANGER, None, ANYBODY, REFUSED),
    "nobody owns anything, claimed": (NOBODY, STRANGER, "platform", ANYBODY, REFUSED),
    "no manifest": (None, STRANGER, None, NO_MANIFEST, REFUSED),
    "no manifest, claimed": (None, STRANGER, "platform", NO_MANIFEST, REFUSED),
}


@pytest.mark.parametrize("need", ["halt", "lift"])
@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE.keys())
def test_in_what_right_somebody_acts(
    case: tuple[Manifest | None, str, str | None, str, str], need: Need
) -> None:
    found, actor, claimed, halt, lift = case
    expected = halt if need == "halt" else lift
    if expected != REFUSED:
        assert role_of(found, actor, need, claimed) == expected
        return
    with pytest.raises(NotAllowedError) as refused:
        role_of(found, actor, need, claimed)
    assert refused.value.message
    assert refused.value.fix
    assert str(refused.value) == refused.value.message


REFUSALS: dict[str, tuple[Manifest | None, Need, str | None, str, str]] = {
    "no team of mine": (
        FULL,
        "halt",
        None,
        "user:eve is in no team that owns churn or one of its stages",
        "platform: ['user:eve']",
    ),
    "nobody to ask for a halt": (NO_OWNER, "halt", None, "user:eve is in no team", "TEAM: ['user:eve']"),
    "nobody is accountable": (NOBODY, "lift", "x", "nobody is accountable for churn", "name an owner"),
    "the owner's people are not named": (
        NO_TEAMS,
        "lift",
        None,
        "that is for platform to say",
        "--as platform",
    ),
    "not that team": (NO_TEAMS, "lift", "other", "('other' is not it)", "--as platform"),
    "neither owner nor approver": (
        FULL,
        "lift",
        "platform",
        "user:eve is neither of platform nor an approver",
        "ask one of: user:kai, github:robin",
    ),
    "no approver": (ONLY_APPROVERS, "lift", "platform", "user:eve is neither", "ask one of: github:robin"),
    "no manifest": (None, "lift", None, "none was found here", "--manifest FILE"),
}


@pytest.mark.parametrize(
    ("found", "need", "claimed", "message", "fix"), REFUSALS.values(), ids=REFUSALS.keys()
)
def test_a_refusal_says_why_and_who_may(
    found: Manifest | None, need: Need, claimed: str | None, message: str, fix: str
) -> None:
    with pytest.raises(NotAllowedError) as refused:
        role_of(found, STRANGER, need, claimed)
    assert message in refused.value.message
    assert fix in refused.value.fix


def test_where_a_claim_opens_nothing_no_fix_tells_anybody_to_claim() -> None:
    for found in (FULL, NO_APPROVERS, ONLY_APPROVERS):
        with pytest.raises(NotAllowedError) as refused:
            role_of(found, STRANGER, "lift")
        assert "--as" not in refused.value.fix


def test_who_is_several_things_acts_as_the_one_that_counts_most() -> None:
    found = manifest(teams={"platform": [OWNER], "data-eng": [OWNER]}, approvers=(OWNER,))
    assert role_of(found, OWNER, "halt") == "approver"
    found = manifest(teams={"platform": [OWNER], "data-eng": [OWNER]})
    assert role_of(found, OWNER, "halt") == "accountable owner, platform"
    found = manifest(teams={"platform": [OWNER]}, stages=(("a", "platform"), ("b", "platform")))
    assert role_of(found, OWNER, "halt") == "accountable owner, platform"


def test_a_team_of_two_stages_is_named_by_the_first() -> None:
    found = manifest(teams={"data-eng": [STAGE]}, stages=(("a", "data-eng"), ("b", "data-eng")))
    assert role_of(found, STAGE, "halt") == "owner of stage a, data-eng"


_TEAM = st.sampled_from(("platform", "data-eng", "ml", "other"))
_WHO = st.sampled_from((OWNER, STAGE, STRANGER, APPROVER))
_MANIFESTS = st.builds(
    manifest,
    owner=st.none() | _TEAM,
    teams=st.dictionaries(_TEAM, st.lists(_WHO, max_size=2)),
    approvers=st.lists(_WHO, max_size=1).map(tuple),
    stages=st.lists(st.none() | _TEAM, max_size=3).map(lambda teams: tuple(enumerate_stages(teams))),
)


def enumerate_stages(teams: list[str | None]) -> list[tuple[str, str | None]]:
    return [(f"stage{number}", team) for number, team in enumerate(teams)]


def may(found: Manifest, actor: str, need: Need, claimed: str | None = None) -> str | None:
    try:
        return role_of(found, actor, need, claimed)
    except NotAllowedError:
        return None


@given(_MANIFESTS, _WHO, _TEAM)
def test_no_claim_lets_anybody_in_where_people_are_named(found: Manifest, actor: str, claimed: str) -> None:
    owner = None if found.owner is None else found.owner.team
    teams, approvers = found.authority.teams, found.authority.approvers
    if approvers or teams.get(owner or ""):
        assert (may(found, actor, "lift", claimed) is None) is (may(found, actor, "lift") is None)
    if teams.get(claimed):
        assert (may(found, actor, "halt", claimed) is None) is (may(found, actor, "halt") is None)


@given(_MANIFESTS, _WHO, st.none() | _TEAM)
def test_whoever_may_lift_may_halt_and_a_lift_is_never_for_anybody(
    found: Manifest, actor: str, claimed: str | None
) -> None:
    role = may(found, actor, "lift", claimed)
    if role is None:
        return
    assert may(found, actor, "halt", claimed) is not None
    assert role != ANYBODY
    owner = None if found.owner is None else found.owner.team
    named = actor in found.authority.approvers or actor in found.authority.teams.get(owner or "", ())
    assert named is not role.endswith("(claimed)"), "a right that was only claimed is recorded as claimed"
    assert named or claimed == owner


@given(_MANIFESTS, _WHO, _WHO, st.none() | _TEAM)
def test_to_be_named_never_takes_a_right_away(
    found: Manifest, actor: str, other: str, claimed: str | None
) -> None:
    approved = found.authority.model_copy(update={"approvers": (*found.authority.approvers, other)})
    after = found.model_copy(update={"authority": approved})
    assert may(after, other, "lift", claimed) == "approver"
    assert may(after, other, "halt", claimed) == "approver"


def test_a_role_fits_an_entry_however_long_the_names() -> None:
    found = manifest(owner=None, teams={"t" * 150: ["user:kai"]}, stages=(("s" * 150, "t" * 150),))
    Halt(reason="late", role=role_of(found, "user:kai", "halt"))
    Halt(reason="late", role=role_of(None, "user:kai", "halt", "team\nx"))
