"""Waivers: leave for one finding about one exact version, until an instant. Pure.

`apply` is the one place where a waiver is held against a decision, and the
decision's own `now` is its one clock. A waiver counts only if everything about
it fits; in every other case the finding stands, and the record says why the
waiver did not count. It lifts what failed and, only where it says so, what
could not be assessed: never what is broken, and nothing at level `require`.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from aigate.decision import Decision, Judgement, Waiver, Waivers, WaiverUse
from aigate.manifest import Manifest, WaiverRules
from aigate.snapshot import Snapshot, Subject
from aigate.values import Digest, Evident, Instant, Model, Name, gap, show_duration, show_instant

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


class Entry(Model):
    """One entry of the file: a waiver, or what is to be said of one that is malformed."""

    nth: int
    """Which entry it is, from 1."""
    line: int
    waiver: Waiver | None = None
    malformed: WaiverUse | None = None
    """What could be read of it, and why it counts as expired; None where `waiver` is there."""


class WaiverBook(Model):
    """The entries of a waivers' file, in order."""

    entries: tuple[Entry, ...] = ()
    digest: Digest | None = None
    """Of the file's bytes; None where there is no file."""


class Grounds(Model):
    """What a waiver is held against in one decision."""

    now: Instant
    environment: Name
    model: Name
    """The manifest's model."""
    subject: Evident[Subject]
    """The exact version that the question is about."""
    rules: WaiverRules
    approvers: tuple[Name, ...] = ()
    """Who may approve a waiver; empty where the manifest names nobody, and then anybody may."""
    four_eyes: bool = False
    trusted: bool = True
    """Whether the file is the protected branch's; what a change under review brings along counts for nothing."""


def grounds(
    manifest: Manifest, decided: Snapshot | Decision, subject: Evident[Subject], *, trusted: bool = True
) -> Grounds:
    """Return what waivers are held against: the manifest's rules, and the question that was asked, when it was."""
    authority, owner = manifest.authority, manifest.owner
    team = () if owner is None else authority.teams.get(owner.team, ())
    environment = manifest.environments.get(decided.environment)
    return Grounds(
        now=decided.now,
        environment=decided.environment,
        model=manifest.model.name,
        subject=subject,
        rules=WaiverRules() if environment is None else environment.waivers,
        approvers=tuple(dict.fromkeys((*authority.approvers, *team))),
        four_eyes=authority.four_eyes,
        trusted=trusted,
    )


def apply(
    book: WaiverBook, judgements: Iterable[Judgement], grounds: Grounds
) -> tuple[tuple[Judgement, ...], Waivers]:
    """Mark what is waived in the judgements, and say of every waiver what became of it.

    Marks are made here and nowhere else: any that the judgements bring along
    are taken off first.
    """
    found = {judgement.info.id: _unmarked(judgement) for judgement in judgements}
    fates: dict[Kind, list[WaiverUse]] = {kind: [] for kind in _KINDS}
    for entry in book.entries:
        fate = _fate(entry, found, grounds)
        fates[fate.kind].append(_use(entry, fate, grounds))
        if fate.marked is not None:
            found[fate.marked.info.id] = fate.marked
    return tuple(found.values()), Waivers(**{kind: tuple(uses) for kind, uses in fates.items()})


Kind = Literal["applied", "expired", "unused", "refused", "elsewhere"]
_KINDS: tuple[Kind, ...] = ("applied", "expired", "unused", "refused", "elsewhere")


class _Fate(NamedTuple):
    """What becomes of a waiver: in which list it stands, why it does not count, and what it marks."""

    kind: Kind
    why: str = ""
    marked: Judgement | None = None


def _unmarked(judgement: Judgement) -> Judgement:
    result = judgement.result
    if not judgement.waived and not any(finding.waived for finding in result.findings):
        return judgement
    findings = tuple(finding.model_copy(update={"waived": ""}) for finding in result.findings)
    result = result.model_copy(update={"findings": findings})
    return judgement.model_copy(update={"waived": "", "result": result})


def _fate(entry: Entry, judgements: dict[str, Judgement], grounds: Grounds) -> _Fate:
    waiver = entry.waiver
    if waiver is None:
        return _Fate("expired", "malformed" if entry.malformed is None else entry.malformed.why)
    if waiver.model != grounds.model:
        return _Fate("elsewhere", f"it is for the model {waiver.model}")
    if grounds.now >= waiver.expires:
        return _Fate("expired", "it ran out")
    if other := _other(waiver, grounds.environment, grounds.subject):
        return _Fate("unused", other)
    if wrong := next(_wrong(waiver, grounds), ""):
        return _Fate("refused", wrong)
    judgement = judgements.get(waiver.policy)
    if judgement is None:
        return _Fate("unused", "no policy of that name is in force")
    return _lifted(waiver, judgement)


def _other(waiver: Waiver, environment: str, subject: Evident[Subject]) -> str:
    """Return why a waiver is about something else than what was asked; empty where it is about just that."""
    if waiver.environment != environment:
        return f"it is for {waiver.environment}, and {environment} is asked about"
    if (lost := gap(subject)) is not None:
        return f"which version is asked about is not known: {lost.missing}"
    if waiver.registry != subject.registry:
        return f"it is for the registry {waiver.registry}, and {subject.registry} is asked about"
    if waiver.model != subject.name:
        return f"it is for the model {waiver.model}, and {subject.name} is asked about"
    if waiver.version not in (None, subject.version):
        return f"it is for v{waiver.version}, and v{subject.version} is asked about"
    if waiver.created_at not in (None, subject.created_at):
        return f"v{subject.version} is another one than it is for: that was made at another time"
    if waiver.digest is None:
        return ""
    if (lost := gap(subject.artifact_digest)) is not None:
        return f"it is for exact files, and which they are is not known: {lost.missing}"
    return (
        "" if waiver.digest == subject.artifact_digest else "the version's files are not those that it is for"
    )


def _wrong(waiver: Waiver, grounds: Grounds) -> Iterator[str]:
    """Yield every rule that a waiver breaks."""
    if not grounds.trusted:
        yield "it comes with a change under review: waivers count once they are on the protected branch"
    if waiver.approved_on > grounds.now:
        yield f"it says that it was approved at {show_instant(waiver.approved_on)}, which is still to come"
    longest = grounds.rules.longest
    if waiver.expires - waiver.approved_on > longest:
        given = show_duration(waiver.expires - waiver.approved_on)
        yield f"it is given for {given}, and {show_duration(longest)} is the longest there may be"
    subject = grounds.subject
    if gap(subject) is None and subject.created_at > _latest(waiver.approved_on):
        yield f"it was approved before v{subject.version} was made: nobody can have seen its findings"
    if grounds.approvers and waiver.approver not in grounds.approvers:
        yield f"{waiver.approver} is neither an approver nor of the team that answers for the system"
    if grounds.four_eyes and waiver.asked_by is None:
        yield "the manifest asks for four eyes, and it does not say who asked for it (asked_by)"
    if grounds.four_eyes and _same_name(waiver.asked_by, waiver.approver):
        yield f"the manifest asks for four eyes, and {waiver.approver} approved what he asked for himself"


def _same_name(one: str | None, other: str) -> bool:
    """Whether two names are one person's: no forge tells people apart by capitals, or by how a letter is coded."""
    folded = [unicodedata.normalize("NFKC", name or "").casefold() for name in (one, other)]
    return folded[0] == folded[1]


def _latest(approved: Instant) -> Instant:
    """Return the last instant that an approval may mean: one that says a day, or a second, means all of it."""
    if approved.microsecond:
        return approved
    midnight = approved.replace(hour=0, minute=0, second=0)
    return approved + (_DAY if approved == midnight else _SECOND) - timedelta.resolution


def _lifted(waiver: Waiver, judgement: Judgement) -> _Fate:
    """Return what a waiver that may count lifts of its policy's answer, or why it lifts nothing."""
    outcome = judgement.result.outcome
    if outcome in ("pass", "skip"):
        said = "passed" if outcome == "pass" else "does not apply"
        return _Fate("unused", f"the policy {said}: there is nothing to waive")
    if judgement.level == "require":
        return _Fate("refused", "the policy is at level require, which nobody can waive")
    if outcome == "error":
        return _Fate("refused", "the policy or its evidence is broken, which nobody can waive")
    if outcome == "unknown" and waiver.covers != "unknown":
        return _Fate("refused", "the policy could not be assessed, and it does not say covers: unknown")
    if waiver.covers == "unknown":
        if outcome != "unknown" and not judgement.result.partial:
            return _Fate("unused", "the policy failed, and it is only for what could not be assessed")
        if judgement.waived:
            return _Fate("unused", "another waiver lets that stand already")
        return _Fate("applied", marked=judgement.model_copy(update={"waived": _mark(waiver)}))
    return _finding(waiver, judgement)


def _finding(waiver: Waiver, judgement: Judgement) -> _Fate:
    result = judgement.result
    meant = [finding for finding in result.findings if finding.key == waiver.key]
    if not meant:
        known = ", ".join(sorted({finding.key or '""' for finding in result.findings})[:8])
        return _Fate(
            "unused", f"the policy failed, and not on {waiver.key or 'anything without a key'}: {known}"
        )
    if len(meant) > waiver.findings:
        return _Fate("refused", f"{len(meant)} findings have that key, and it is leave for {waiver.findings}")
    if all(finding.waived for finding in meant):
        return _Fate("unused", "another waiver lets that stand already")
    marked = {"waived": _mark(waiver)}
    findings = tuple(f.model_copy(update=marked) if f.key == waiver.key else f for f in result.findings)
    result = result.model_copy(update={"findings": findings})
    return _Fate("applied", marked=judgement.model_copy(update={"result": result}))


def show_until(until: Instant) -> str:
    """Write an expiry as people read it: a day where it is the beginning of one, in UTC."""
    return show_instant(until).removesuffix("T00:00:00Z")


def _mark(waiver: Waiver) -> str:
    return f"by {waiver.approver} until {show_until(waiver.expires)}: {waiver.reason}"


def _use(entry: Entry, fate: _Fate, grounds: Grounds) -> WaiverUse:
    waiver = entry.waiver
    if waiver is None:
        assert entry.malformed is not None
        return entry.malformed
    return WaiverUse(
        policy=waiver.policy,
        key=waiver.key,
        who=waiver.approver,
        reason=waiver.reason,
        until=waiver.expires,
        why=fate.why,
        soon=fate.kind == "applied" and waiver.expires - grounds.now <= grounds.rules.soon,
        nth=entry.nth,
        line=entry.line,
        waiver=waiver,
    )


def book_of(decision: Decision) -> WaiverBook:
    """Return the waivers that a decision was made with, from its record alone, in the order of their file."""
    used = decision.waivers
    uses = (*used.applied, *used.expired, *used.unused, *used.refused, *used.elsewhere)
    entries = (
        Entry(
            nth=use.nth,
            line=use.line,
            waiver=use.waiver,
            malformed=use if use.waiver is None else None,
        )
        for use in sorted(uses, key=lambda use: use.nth)
    )
    return WaiverBook(entries=tuple(entries), digest=decision.waivers_digest)


def unfounded(decision: Decision) -> str:
    """Return which mark in a record no waiver in it accounts for; empty where each has one that counted.

    What is asked is what a record can show by itself: that the waiver was
    there, was about this version, policy and key, and had not run out. Whether
    its approver was entitled stands in the manifest.
    """
    applied = decision.waivers.applied
    if applied and decision.waivers_digest is None:
        return f"a waiver of {applied[0].policy} counted, and there was no file of them"
    for use in applied:
        if wrong := _miscounted(use, decision):
            return f"a waiver of {use.policy} counted {wrong}"
    for judgement in decision.judgements:
        policy = judgement.info.id
        marks = [("fail", f.key, f.waived) for f in judgement.result.findings if f.waived]
        marks += [("unknown", "", judgement.waived)] if judgement.waived else []
        for covers, key, mark in marks:
            if not any(_accounts(use, policy, covers, key, mark) for use in applied):
                return f"{policy} is marked as waived, and no waiver in the record says so"
        required = judgement.level == "require" or judgement.result.outcome not in ("fail", "unknown")
        if marks and (required or (judgement.waived and not judgement.excused)):
            return f"{policy} is marked as waived, and cannot be"
    return ""


def _miscounted(use: WaiverUse, decision: Decision) -> str:
    """Return why a waiver that counted cannot have, as far as its record shows; empty where it can."""
    waiver = use.waiver
    if waiver is None:
        return "that is no entry"
    told = (use.policy, use.key, use.who, use.reason, use.until)
    if told != (waiver.policy, waiver.key, waiver.approver, waiver.reason, waiver.expires):
        return "that is told otherwise than it was given"
    if waiver.expires <= decision.now:
        return "after it had run out"
    if waiver.approved_on > decision.now:
        return "before it was approved"
    other = _other(waiver, decision.environment, decision.subject)
    return f"for something else: {other}" if other else ""


def _accounts(use: WaiverUse, policy: str, covers: str, key: str, mark: str) -> bool:
    waiver = use.waiver
    if waiver is None:
        return False
    return (waiver.policy, waiver.covers, waiver.key, _mark(waiver)) == (policy, covers, key, mark)


class WaiverFile(Model):
    """`waivers.yaml`, whole, as editors are told of it; it is read entry by entry."""

    version: Literal[1]
    waivers: tuple[Waiver, ...] = ()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `waivers.yaml` (draft 2020-12), as `aigate schema --waivers` prints it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **WaiverFile.model_json_schema(),
        "title": "aigate waivers",
    }


_GIVEN = {"findings", "reason", "asked_by", "approver", "approved_on", "expires"}
"""How leave was given, and not what for."""


def leave(waiver: Waiver) -> tuple[object, ...]:
    """Return what a waiver is leave for: the same for two of one thing, whoever gave it, why and until when."""
    return tuple(waiver.model_dump(exclude=_GIVEN).values())
