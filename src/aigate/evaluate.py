"""From answers to a decision: the worst of what was found, and never yes by silence. Pure.

In: the snapshot, and for each policy that was asked its answer. Out: the
decision. What nobody answered is an error, an empty set of answers is a hold,
and `allow` is reached only when every policy that counts passed or had a
reason not to apply.
"""

from collections.abc import Iterable, Mapping

from aigate.bound import parts
from aigate.decision import (
    EXIT_CODES,
    Actor,
    Counts,
    Decision,
    Judgement,
    PolicyInfo,
    PolicyResult,
    Verdict,
    Versions,
    Waivers,
)
from aigate.digest import digest
from aigate.manifest import Level, level_of
from aigate.snapshot import Snapshot, Subject
from aigate.values import Digest, Evident, Model, gap, missing


class Setting(Model):
    """What surrounds a decision and is handed in by the door."""

    policies_digest: Digest
    isolation: str
    versions: Versions
    actor: Actor
    previous: Digest | None = None


def judge(
    infos: Iterable[PolicyInfo], results: Mapping[str, PolicyResult], levels: dict[str, Level]
) -> tuple[Judgement, ...]:
    """Join each policy that was asked with its answer; one without an answer is an error."""
    return tuple(
        Judgement(
            info=info,
            level=level_of(info.id, levels),
            result=results.get(info.id)
            or PolicyResult(policy=info.id, outcome="error", reason="it gave no answer"),
        )
        for info in sorted(infos, key=lambda info: info.id)
    )


def decide(snapshot: Snapshot, judgements: tuple[Judgement, ...], setting: Setting) -> Decision:
    """Answer the snapshot's question from the judgements, and record everything the answer rests on."""
    subject = _subject(snapshot)
    holder = _holder(snapshot)
    verdict, reason = _verdict(snapshot, judgements, subject, holder)
    return Decision(
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        reason=reason,
        question=snapshot.question,
        system=snapshot.system,
        environment=snapshot.environment,
        model=_model_name(subject, snapshot),
        alias=snapshot.alias,
        subject=subject,
        holder=holder,
        owner=snapshot.owner,
        runbooks=snapshot.runbooks,
        now=snapshot.now,
        judgements=judgements,
        waivers=Waivers(),
        counts=count(judgements),
        evidence=snapshot.evidence,
        snapshot_digest=digest(snapshot),
        manifest_digest=snapshot.manifest_digest,
        policies_digest=setting.policies_digest,
        isolation=setting.isolation,
        versions=setting.versions,
        actor=setting.actor,
        bound=parts(snapshot),
        previous=setting.previous,
    )


def count(judgements: Iterable[Judgement]) -> Counts:
    """Count the judgements by outcome."""
    outcomes = [judgement.result.outcome for judgement in judgements]
    return Counts(
        total=len(outcomes),
        passed=outcomes.count("pass"),
        failed=outcomes.count("fail"),
        unknown=outcomes.count("unknown"),
        error=outcomes.count("error"),
        skipped=outcomes.count("skip"),
        waived=sum(1 for j in judgements for finding in j.result.findings if finding.waived),
    )


def _subject(snapshot: Snapshot) -> Evident[Subject]:
    version = snapshot.challenger if snapshot.question == "promote" else snapshot.champion
    if (lost := gap(version)) is not None:
        return missing(lost.missing, lost.source)
    if version is None:
        return missing("there is no version to judge", snapshot.system)
    return version.subject


def _holder(snapshot: Snapshot) -> Evident[Subject | None]:
    champion = snapshot.champion
    if (lost := gap(champion)) is not None:
        return missing(lost.missing, lost.source)
    return None if champion is None else champion.subject


def _model_name(subject: Evident[Subject], snapshot: Snapshot) -> str:
    if gap(subject) is None:
        return subject.name
    return snapshot.system if gap(snapshot.model) is not None else snapshot.model.name


def _verdict(
    snapshot: Snapshot,
    judgements: tuple[Judgement, ...],
    subject: Evident[Subject],
    holder: Evident[Subject | None],
) -> tuple[Verdict, str]:
    """Return the verdict and why, in one sentence. `allow` and `keep` are the last resort."""
    promote = snapshot.question == "promote"
    counting = [j for j in judgements if j.counts]
    failed = [j for j in counting if j.result.outcome == "fail" and j.standing]
    open_ = [j for j in counting if j.result.outcome in ("unknown", "error")]
    assessed = count(judgements).assessed
    unknown = _unknown(snapshot, subject, holder)
    if failed:
        applicable = sum(j.result.outcome != "skip" for j in counting)
        return _failed(promote, failed, open_, applicable, unknown)
    if unknown:
        return "hold", unknown
    if open_:
        return "hold", f"{_number(len(open_))} could not be assessed"
    if not assessed:
        return "hold", "nothing was assessed"
    return ("allow" if promote else "keep"), f"{_number(assessed)} assessed, none that counts failed"


def _unknown(snapshot: Snapshot, subject: Evident[Subject], holder: Evident[Subject | None]) -> str:
    """Say what is not known of the versions themselves; nothing where both are."""
    if (lost := gap(subject)) is not None:
        return f"the version in question is not known: {lost.missing}"
    if (lost := gap(holder)) is not None:
        return f"nobody can say what holds @{snapshot.alias}: {lost.missing}"
    return ""


def _failed(
    promote: bool, failed: list[Judgement], open_: list[Judgement], total: int, unknown: str
) -> tuple[Verdict, str]:
    """Say no. A champion goes back only where the model alone is to blame and nothing is unclear.

    Stale data, a late stage or a broken cache are not cured by an older model.
    """
    more = f", {len(open_)} could not be assessed" if open_ else ""
    more += f"; {unknown}" if unknown else ""
    reason = f"{len(failed)} of {_number(total)} failed{more}"
    if promote:
        return "deny", reason
    blamed = {j.info.blames for j in failed}
    if blamed == {"model"} and not open_ and not unknown:
        return "rollback", reason
    if blamed == {"model"}:
        return "hold", f"{reason}: whether the model is to blame is not clear"
    return "halt", f"{reason}: an older model would not cure it"


def _number(number: int) -> str:
    return "1 policy" if number == 1 else f"{number} policies"
