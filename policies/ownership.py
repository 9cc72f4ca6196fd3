"""Ownership: the path as a whole has one owner, each stage has its own, and the registry says the same."""

from aigate import Findings, Skip, Snapshot, deny, policy


@policy("ownership.accountable", severity="critical", blames="process")
def accountable(s: Snapshot) -> Findings:
    """One accountable owner answers for the whole path and can be reached.

    Three teams can be green while the path between them is broken. Somebody
    has to own the path itself, and whoever is paged must know where to ask.
    """
    owner = s.owner
    if owner is None or _unnamed(owner.team):
        yield deny(
            f"nobody answers for {s.system}: the manifest names no owner",
            key="owner",
            fix=(
                "add to the manifest:\n"
                'owner: {team: <team>, contact: "#<channel>", escalation: https://<pager>}'
            ),
        )
    elif _unnamed(owner.contact) and _unnamed(owner.escalation):
        yield deny(
            f"{owner.team} answers for {s.system} and cannot be reached: no contact, no escalation",
            key="contact",
            owner=owner.team,
            fix=(
                "complete the manifest's owner with where to ask:\n"
                f'owner: {{team: {owner.team}, contact: "#<channel>", escalation: https://<pager>}}'
            ),
        )


@policy("ownership.stages", severity="high", blames="process")
def stages(s: Snapshot) -> Findings:
    """Every stage of the path has an owner.

    When a stage is late, the person on call needs a name, not a search.
    """
    if not s.stages:
        raise Skip("the manifest declares no stages (freshness.promised asks for one)")
    for stage in s.stages:
        if _unnamed(stage.owner):
            yield deny(
                f"stage {stage.name} has no owner",
                key=stage.name,
                owner=s.owner.team if s.owner else "",
                fix=f"add to the manifest: {{name: {stage.name}, owner: <team>, …}}",
            )


@policy("ownership.registry", severity="medium", blames="process")
def registry(s: Snapshot, *, tags: tuple[str, ...] = ("aigate.owner", "owner")) -> Findings:
    """The registry names the same owner as the manifest.

    A model that changed hands in one place only is a model that two teams
    believe the other one keeps. Compared are the registered model's tags,
    without regard to case; a model without such a tag is skipped.
    """
    found = [(tag, value) for tag in tags if (value := s.model.tag(tag)) is not None]
    if not found:
        raise Skip(f"the registered model has no tag {' or '.join(tags)}")
    if s.owner is None:
        raise Skip("the manifest names no owner to compare with (ownership.accountable asks for one)")
    team = s.owner.team
    for tag, value in found:
        if value.strip().casefold() != team.casefold():
            yield deny(
                f"the registry's tag {tag} says {value!r}, the manifest says {team!r}",
                key=tag,
                value=value,
                limit=team,
                owner=team,
                fix=f"agree on the owner, then set the tag {tag} of {s.model.name} or the manifest's owner.team",
            )


def _unnamed(text: str | None) -> bool:
    """Whether a name is none: left out, blank, or a `<placeholder>` pasted as it stood."""
    return text is None or not text.strip() or text.startswith("<")
