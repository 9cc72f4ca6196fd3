"""Who may halt, resume, adopt, clear and break glass, by what the manifest says. Pure.

Names come from the environment (`user:kai`, `github:kai`) and are no proof;
what keeps a stranger from acting is the token that he does not have. A right
that was only claimed is recorded as claimed.
"""

from typing import Literal

from aigate.manifest import Manifest

Need = Literal["halt", "lift"]
"""`halt` stops promotions; `lift` is everything that lets them go on or goes round the gate."""

ANYBODY = "anybody: the manifest names no teams"
NO_MANIFEST = "no manifest at hand"
_LONGEST = 200


class NotAllowedError(Exception):
    """Why somebody may not, and what would let him. Within the house; a blocker outside."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


def role_of(manifest: Manifest | None, actor: str, need: Need, claimed: str | None = None) -> str:
    """Return in what right somebody acts, in words that fit an entry.

    Anyone who owns a stage or the system may halt, and where the manifest
    names no members of any team, anyone: a halt is the safe side. To lift one
    takes an approver or a member of the team that owns the system; where the
    manifest names neither, the owner's team must be claimed by name. Raises
    NotAllowedError.
    """
    right = _without_manifest(need) if manifest is None else _right(manifest, actor, need, claimed)
    return "".join(c if c.isprintable() else " " for c in right)[:_LONGEST]


def _right(manifest: Manifest, actor: str, need: Need, claimed: str | None) -> str:
    authority = manifest.authority
    if actor in authority.approvers:
        return "approver"
    owner = None if manifest.owner is None else manifest.owner.team
    rights = {owner: "accountable owner"} if owner is not None else {}
    if need == "halt":
        for stage in manifest.stages:
            if stage.owner is not None:
                rights.setdefault(stage.owner, f"owner of stage {stage.name}")
    for team, right in rights.items():
        if actor in authority.teams.get(team, ()):
            return f"{right}, {team}"
    unnamed = need == "halt" or not authority.approvers
    if claimed is not None and claimed in rights and unnamed and not authority.teams.get(claimed):
        return f"{rights[claimed]}, {claimed} (claimed)"
    if need == "halt" and not any(authority.teams.get(team) for team in rights):
        return ANYBODY
    raise NotAllowedError(*_refusal(manifest, actor, need, owner, claimed))


def _without_manifest(need: Need) -> str:
    if need == "halt":
        return NO_MANIFEST
    raise NotAllowedError(
        "who may do that stands in the manifest, and none was found here",
        "run it where aigate.yaml is, or name it: --manifest FILE",
    )


def _refusal(
    manifest: Manifest, actor: str, need: Need, owner: str | None, claimed: str | None
) -> tuple[str, str]:
    authority = manifest.authority
    if need == "halt":
        return (
            f"{actor} is in no team that owns {manifest.system} or one of its stages",
            f"ask one who is; or add to authority.teams in the manifest: {owner or 'TEAM'}: [{actor!r}]",
        )
    if owner is None:
        return (
            f"nobody is accountable for {manifest.system}, so nobody may do that",
            "name an owner in the manifest: owner: {team: …, contact: …}",
        )
    if not authority.approvers and not authority.teams.get(owner):
        said = f" ({claimed!r} is not it)" if claimed else ""
        return (
            f"that is for {owner} to say, who answers for {manifest.system}{said}",
            f"where you act for them, say so: --as {owner}; better, name the people in the manifest: "
            f"authority: {{teams: {{{owner}: [{actor!r}]}}}}",
        )
    people = ", ".join((*authority.teams.get(owner, ()), *authority.approvers))
    return (f"{actor} is neither of {owner} nor an approver", f"ask one of: {people}")
