"""Which version a rollback returns to: who served, and whether one is fit to serve again. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from aigate.ledger import Identity
from aigate.manifest import RollbackRules
from aigate.standing import Standing, Tenure
from aigate.values import (
    Digest,
    Duration,
    Evident,
    Instant,
    Model,
    Name,
    Text,
    gap,
    show_duration,
    show_instant,
)

READY = "READY"
"""MLflow's word for a version whose files are all there."""

_LONGEST = timedelta(days=36_500)
"""The longest span that can be written down."""


class Check(Model):
    """One thing that was looked at before a version is returned to."""

    name: Name
    state: Literal["ok", "warn", "bad", "unknown"]
    words: Text


class Candidate(Model):
    """A version that held the alias before, as a rollback may return to it."""

    identity: Identity
    since: Instant
    """The beginning of its last tenure."""
    until: Instant | None
    lived: Duration
    """Its longest tenure."""
    vouched: bool
    """Whether somebody adopted it: it counts as known good on his word."""
    decision: Digest | None
    served: bool = True
    """Whether it ever held the alias by a decision or on somebody's word."""


def candidates(
    standing: Standing, alias: str, leaving: Identity | None, now: datetime
) -> tuple[Candidate, ...]:
    """Return every version that held the alias and is not the one to be left, the last one first."""
    found: list[Candidate] = []
    for tenure in reversed(standing.tenures):
        identity = tenure.identity
        if (
            tenure.alias != alias
            or identity is None
            or (leaving is not None and identity.same_version(leaving))
        ):
            continue
        if any(identity.same_version(known.identity) for known in found):
            continue
        served = [t for t in standing.tenures if t.alias == alias and _is(t, identity)]
        if not any(t.by in ("promote", "adopt") for t in served):
            continue  # named by a person at night: nobody ever allowed it or vouched for it
        found.append(
            Candidate(
                identity=identity,
                since=tenure.since,
                until=tenure.until,
                lived=min(max(t.lived(now) for t in served), _LONGEST),
                vouched=any(t.by == "adopt" for t in served),
                decision=tenure.decision,
            )
        )
    return tuple(found)


def _is(tenure: Tenure, identity: Identity) -> bool:
    return tenure.identity is not None and tenure.identity.same_version(identity)


class Facts(Model):
    """What the registry says now about a version that may be returned to."""

    identity: Identity
    status: str
    stage: str | None
    signature: Evident[Digest | None]
    """Of its inputs and outputs; None where it declares none."""
    gone: bool = False
    """Whether the registry says that it has no files."""


def weigh(
    candidate: Candidate,
    facts: Evident[Facts],
    leaving: Evident[Digest | None],
    standing: Standing,
    rules: RollbackRules,
) -> tuple[Check, ...]:
    """Return what speaks for and against returning to a version. `leaving` is the other one's signature."""
    if (lost := gap(facts)) is not None:
        return (Check(name="version", state="bad", words=f"cannot be read: {lost.missing}"),)
    return (
        _same(candidate, facts),
        _ready(facts),
        _files(candidate, facts),
        _compatible(facts, leaving),
        _free(candidate, standing),
        _soaked(candidate, rules),
    )


def _same(candidate: Candidate, facts: Facts) -> Check:
    if not candidate.served:
        return Check(name="version", state="warn", words="it never served: nobody vouches for it")
    if candidate.identity.same_version(facts.identity):
        return Check(name="version", state="ok", words=f"v{facts.identity.version} is the one that served")
    return Check(
        name="version",
        state="bad",
        words=f"v{facts.identity.version} is another one than served: it was deleted and made anew",
    )


def _ready(facts: Facts) -> Check:
    if facts.status == "unknown":
        return Check(name="status", state="unknown", words="whether it can be served is not known")
    if facts.status != READY:
        return Check(name="status", state="bad", words=f"it is {facts.status}, not {READY}")
    if facts.stage == "Archived":
        return Check(name="status", state="warn", words="READY, and archived in MLflow")
    return Check(name="status", state="ok", words=READY)


def _files(candidate: Candidate, facts: Facts) -> Check:
    if facts.gone:
        return Check(name="artifact", state="bad", words="its files are gone")
    if not candidate.served:
        return Check(name="artifact", state="unknown", words="nobody recorded what its files should be")
    then, now = candidate.identity.artifact_digest, facts.identity.artifact_digest
    for digest, when in ((then, "when it took the alias"), (now, "now")):
        if (lost := gap(digest)) is not None:
            return Check(
                name="artifact", state="unknown", words=f"its files are not known {when}: {lost.missing}"
            )
    if then != now:
        return Check(
            name="artifact",
            state="bad",
            words="its files are not the ones that served: they were overwritten",
        )
    return Check(name="artifact", state="ok", words="same files as when it served")


def _compatible(facts: Facts, leaving: Evident[Digest | None]) -> Check:
    for digest in (facts.signature, leaving):
        if (lost := gap(digest)) is not None:
            return Check(name="signature", state="unknown", words=f"not compared: {lost.missing}")
    if facts.signature is None and leaving is None:
        return Check(name="signature", state="warn", words="neither version declares its inputs and outputs")
    if facts.signature != leaving:
        return Check(
            name="signature",
            state="bad",
            words="its inputs and outputs differ from those of the version in service",
        )
    return Check(name="signature", state="ok", words="same inputs and outputs")


def _free(candidate: Candidate, standing: Standing) -> Check:
    found = standing.quarantine(candidate.identity)
    if found is None:
        return Check(name="quarantine", state="ok", words="never rolled back from, or cleared")
    return Check(
        name="quarantine",
        state="bad",
        words=f"rolled back from at {show_instant(found.at)} by {found.actor.name}: {found.reason}",
    )


def _soaked(candidate: Candidate, rules: RollbackRules) -> Check:
    if candidate.vouched:
        return Check(name="soak", state="ok", words="adopted: known good on the word of who adopted it")
    served = show_duration(candidate.lived)
    if candidate.lived >= rules.min_soak:
        return Check(name="soak", state="ok", words=f"served {served}")
    return Check(
        name="soak",
        state="warn",
        words=f"served only {served}, known good is {show_duration(rules.min_soak)}",
    )


_OVERRULED = ("signature",)
"""Checks that a person overrules by naming the version."""


def acceptable(checks: Iterable[Check], *, automatic: bool, named: bool) -> bool:
    """Whether a version may be returned to.

    An automatic rollback demands that everything was looked at and is well;
    a person at night may go where nothing speaks against it, and by naming a
    version may also go where its inputs differ. Where nothing was looked at,
    the answer is no.
    """
    found = tuple(checks)
    for check in found:
        if check.state == "bad" and not (named and not automatic and check.name in _OVERRULED):
            return False
        if automatic and (check.state == "unknown" or (check.state == "warn" and check.name == "soak")):
            return False
    return bool(found)


def soaked(checks: Iterable[Check]) -> bool:
    """Whether a version has served long enough to be known good."""
    return all(check.state == "ok" for check in checks if check.name == "soak")
