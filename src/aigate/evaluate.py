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
from aigate.snapshot import Question, Snapshot, Subject
from aigate.values import Digest, Evident, Model, gap, missing


class Setting(Model):
    """What surrounds a decision and is handed in by the door."""

    policies_digest: Digest
    isolation: str
    versions: Versions
    actor: Actor
    previous: Digest | None = None
    waivers: Waivers = Waivers()
    """What became of each waiver; the judgements are marked by them already."""
    waivers_digest: Digest | None = None


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
    subject = subject_of(snapshot)
    holder = _holder(snapshot)
    answer, reason = verdict(snapshot.question, judgements, unclear(snapshot))
    return Decision(
        verdict=answer,
        exit_code=EXIT_CODES[answer],
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
        waivers=setting.waivers,
        waivers_digest=setting.waivers_digest,
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
    """Count the judgements by outcome, and what of them was waived."""
    judgements = tuple(judgements)
    outcomes = [judgement.result.outcome for judgement in judgements]
    return Counts(
        total=len(outcomes),
        passed=outcomes.count("pass"),
        failed=outcomes.count("fail"),
        unknown=outcomes.count("unknown"),
        error=outcomes.count("error"),
        skipped=outcomes.count("skip"),
        waived=sum(bool(j.waived) + sum(bool(f.waived) for f in j.result.findings) for j in judgements),
    )


def subject_of(snapshot: Snapshot) -> Evident[Subject]:
    """Return the exact version that a snapshot's question is about, or why nobody knows it."""
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


def verdict(question: Question, judgements: tuple[Judgement, ...], unknown: str) -> tuple[Verdict, str]:
    """Return the answer and why, in one sentence. `allow` and `keep` are the last resort.

    `unknown` says what is not known of the versions themselves (`unclear`);
    with anything in it, the answer is never yes.
    """
    promote = question == "promote"
    counting = [j for j in judgements if j.counts]
    failed = [j for j in counting if j.result.outcome == "fail" and j.standing]
    open_ = [j for j in counting if j.open]
    assessed = count(judgements).assessed
    if failed:
        applicable = sum(j.result.outcome != "skip" for j in counting)
        return _failed(promote, failed, open_, applicable, unknown, clouded=any(map(_clouds, counting)))
    if unknown:
        return "hold", unknown
    if open_:
        return "hold", f"{_number(len(open_))} could not be assessed"
    if not assessed:
        return "hold", "nothing was assessed"
    return ("allow" if promote else "keep"), f"{_number(assessed)} assessed, {_nothing_stands(counting)}"


def _nothing_stands(counting: list[Judgement]) -> str:
    """Say that nothing keeps the gate shut, and what was let stand so that nothing does."""
    failed = sum(j.result.outcome == "fail" for j in counting)
    unknown = sum(j.result.outcome == "unknown" for j in counting)
    if not failed and not unknown:
        return "none that counts failed"
    said = [f"{failed} that failed"] if failed else []
    said += [f"{unknown} that could not be"] if unknown else []
    one = failed + unknown == 1
    return f"{' and '.join(said)} {'is' if one else 'are'} waived, none else that counts failed"


def unclear(snapshot: Snapshot) -> str:
    """Say what is not known of the versions themselves; nothing where both are."""
    subject, holder = subject_of(snapshot), _holder(snapshot)
    if (lost := gap(subject)) is not None:
        return f"the version in question is not known: {lost.missing}"
    if (lost := gap(holder)) is not None:
        return f"nobody can say what holds @{snapshot.alias}: {lost.missing}"
    return ""


def _clouds(judgement: Judgement) -> bool:
    """Whether something was let stand that may be why a model fails: late data are late, waived or not."""
    if judgement.excused:
        return True
    return judgement.result.outcome == "fail" and not judgement.standing and judgement.info.blames != "model"


def _failed(
    promote: bool,
    failed: list[Judgement],
    open_: list[Judgement],
    total: int,
    unknown: str,
    *,
    clouded: bool,
) -> tuple[Verdict, str]:
    """Say no. A champion goes back only where the model alone is to blame and nothing is unclear.

    Stale data, a late stage or a broken cache are not cured by an older model.
    That somebody let them stand (`clouded`) makes nobody's blame clearer.
    """
    more = f", {len(open_)} could not be assessed" if open_ else ""
    more += f"; {unknown}" if unknown else ""
    reason = f"{len(failed)} of {_number(total)} failed{more}"
    if promote:
        return "deny", reason
    blamed = {j.info.blames for j in failed}
    if blamed == {"model"} and not open_ and not unknown and not clouded:
        return "rollback", reason
    if blamed == {"model"}:
        return "hold", f"{reason}: whether the model is to blame is not clear"
    return "halt", f"{reason}: an older model would not cure it"


def _number(number: int) -> str:
    return "1 policy" if number == 1 else f"{number} policies"
