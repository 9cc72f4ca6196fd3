"""Where in the manifest a finding belongs: most of what is wrong with a model has no line of code. Pure.

A finding names a thing (a metric, a stage, a limit); these are the keys under
which the manifest declares that thing. Where it does not declare it, as with
an owner that is missing, the nearest thing that it has is named.
"""

from collections.abc import Iterator

from aigate.report.context import ReportContext

Keys = tuple[str | int, ...]
Place = tuple[int, int]

_THINGS: dict[str, tuple[Keys, ...]] = {
    "evaluation": (("metrics",),),
    "freshness": (("stages",),),
    "freshness.end_to_end": (("objectives",), ("stages",)),
    "ownership": (("owner",),),
    "ownership.stages": (("stages",),),
    "pipeline": (("model",),),
    "pipeline.runbook": (("runbooks",),),
    "pipeline.attainable": (("objectives",), ("stages",)),
    # A limit's key is all of its keys as one name: `metrics.accuracy.floor`.
    "provenance": ((), ("thresholds",), ("metrics",)),
}
"""What policies are about, by policy, else by theme."""

_ANYTHING: tuple[Keys, ...] = (
    (),
    ("metrics",),
    ("stages",),
    ("thresholds",),
    ("objectives",),
    ("runbooks",),
    ("model",),
)
"""What a policy of an unknown theme may be about; the last is where it lands if its key names nothing."""


def keys_for(policy: str, key: str, environment: str) -> Iterator[Keys]:
    """Return the keys in the manifest that name what a finding is about; the most exact first.

    The steps of a finding's key are left in one text (`metrics.accuracy.floor/due`,
    `features/transactions`): names have dots and slashes in them too, and only
    whoever has the manifest can tell which is which.
    """
    things = _things(policy, environment)
    if key:
        yield from ((*thing, key) for thing in things)
    yield from reversed(things) if things is _ANYTHING else things


def place_of(policy: str, key: str, environment: str, ctx: ReportContext) -> Place:
    """Return line and column, from 1, of what a finding is about; the manifest's beginning where it has nothing."""
    beginning = ctx.places(())
    things = _things(policy, environment)
    for keys in keys_for(policy, key, environment):
        # Keys that the manifest does not have lead to their parent, which says nothing yet.
        parent = beginning if keys in things else ctx.places(keys[:-1])
        found = ctx.places(keys)
        if found != parent:
            return found
    return beginning


def _things(policy: str, environment: str) -> tuple[Keys, ...]:
    if policy == "pipeline.watched":
        return (("environments", environment, "params", policy), ("model",))
    return _THINGS.get(policy) or _THINGS.get(policy.partition(".")[0], _ANYTHING)
