"""What one look at the champion is told as: data for programs, and the commands for whoever is called."""

from typing import Annotated, Literal

from pydantic import Field

from aigate.collect.manifest_file import LoadedManifest
from aigate.decision import Blames, Decision, WaiverUse
from aigate.ledger import LONGEST_REASON
from aigate.manifest import PRODUCTION, Owner
from aigate.plan import Act
from aigate.reading import Read, Reading
from aigate.values import Digest, Instant, Model, Name, Text, VersionNumber
from aigate.waiver import show_until
from aigate.window import Call, CallName
from aigate.wording import at, command

Mode = Literal["auto", "propose", "off"]

Done = Literal[
    "nothing", "told", "proposed", "planned", "done", "refused", "failed", "aborted", "unconfirmed"
]
"""What became of a call: `told` where the mode is `off`, `proposed` as a command, `planned` where it was
only to be shown, `done`; `refused` by a bound
or by the model's state; `failed` before anything moved; `aborted` because the champion is another one by now;
`unconfirmed` where nobody can say."""


class Said(Model):
    """One failure, as it is told."""

    policy: Name
    blames: Blames
    message: Text
    owner: str = ""
    fix: Text = ""


class Tick(Model):
    """What one look found, what it called for, and what came of that."""

    schema_: Annotated[Literal["aigate.tick/v1"], Field(alias="schema")] = "aigate.tick/v1"
    at: Instant
    system: Name
    model: Name
    alias: Name
    environment: Name
    champion: VersionNumber | None
    """None where nothing holds the alias, or nobody could say what does."""
    verdict: Read
    reason: Text
    """The decision's own sentence."""
    decision: Digest
    call: CallName
    bad: int
    needed: int
    of: int
    why: tuple[Text, ...] = ()
    failures: tuple[Said, ...] = ()
    unclear: tuple[Text, ...] = ()
    """Policies that count and could not be assessed, with why."""
    waived: tuple[Text, ...] = ()
    """What somebody let stand: policy, key, and who, why and until when; and waivers that do not count."""
    mode: Mode
    done: Done = "nothing"
    next: tuple[Text, ...] = ()
    """Commands for whoever is called."""
    owner: Owner | None = None
    runbook: Text = ""
    acts: tuple[Act, ...] = ()
    drift: Text = ""
    """That the alias is not where the ledger last put it."""
    warnings: tuple[Text, ...] = ()
    exit_code: int


def failures_of(decision: Decision) -> tuple[Said, ...]:
    """Return every failure that counts and that nobody has waived."""
    return tuple(
        Said(
            policy=judgement.info.id,
            blames=judgement.info.blames,
            message=finding.message,
            owner=finding.owner,
            fix=finding.fix,
        )
        for judgement in decision.judgements
        if judgement.counts and judgement.result.outcome == "fail"
        for finding in judgement.standing
    )


def unclear_of(decision: Decision) -> tuple[str, ...]:
    """Return every policy that counts and could not be assessed, with why."""
    return tuple(
        f"{judgement.info.id}: {judgement.result.reason}"
        for judgement in decision.judgements
        if judgement.counts and judgement.open
    )


def waived_of(decision: Decision) -> tuple[str, ...]:
    """Return what is let stand, that of which the time is nearly up, and the waivers that do not count."""
    found = decision.waivers
    lines = [
        f"{_named(use)} waived by {use.who} until {'?' if use.until is None else show_until(use.until)}: {use.reason}"
        + (" (it runs out soon)" if use.soon else "")
        for use in found.applied
    ]
    idle = (*found.expired, *found.refused, *found.unused)
    return (*lines, *(f"{_named(use)}: its waiver does not count: {use.why}" for use in idle))


def _named(use: WaiverUse) -> str:
    return f"{use.policy} {use.key}".strip()


def because(decision: Decision, call: Call) -> str:
    """Return the reason that an entry carries: the first failure, and what the readings came to."""
    first = next(iter(failures_of(decision)), None)
    words = decision.reason if first is None else f"{first.policy}: {first.message}"
    text = " ".join(f"watch: {words}; {'; '.join(call.reasons)}".split())
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"


def commands(
    loaded: LoadedManifest, decision: Decision, reading: Reading, call: Call, done: Done, *, drift: bool
) -> tuple[str, ...]:
    """Return the commands for a person: what was called for and not done, and what ends a drift."""
    back = ("rollback", *_where(loaded, decision))
    lines = []
    if call.call == "rollback" and call.acts and done != "done":
        lines.append(command(*back, "--reason", because(decision, call)))
    elif call.call == "halt" and call.acts and done != "done":
        lines.append(command("halt", *_state(loaded, decision), "--reason", because(decision, call)))
    elif call.call == "wait" and reading.verdict == "rollback" and call.bad >= call.needed:
        lines.append(command(*back, "--reason", "…"))
    if drift:
        # The way back comes first, as where a promotion meets a drift.
        if not any(line.startswith(command("rollback")) for line in lines):
            lines.append(command(*back, "--reason", "…"))
        lines.append(command("adopt", *_state(loaded, decision), "--reason", "…"))
    return tuple(lines)


def is_command(words: str) -> bool:
    """Whether what an act says about what is next is a command, and not a note."""
    return words.startswith("aigate ")


def _where(loaded: LoadedManifest, decision: Decision) -> tuple[str, ...]:
    """Return the model and the options without which a command would speak of something else."""
    place = () if decision.environment == PRODUCTION else ("--environment", decision.environment)
    return (*_model(loaded), *place)


def _state(loaded: LoadedManifest, decision: Decision) -> tuple[str, ...]:
    """Return the same for a command that speaks of an alias, and knows no environment."""
    return (*_model(loaded), *at(decision.alias))


def _model(loaded: LoadedManifest) -> tuple[str, ...]:
    manifest = () if loaded.shown == "aigate.yaml" else ("--manifest", loaded.shown)
    return (loaded.manifest.model.name, *manifest)


def runbook_of(decision: Decision) -> str:
    """Return the runbook for what fails: that of its kind, else the default one; empty where there is none."""
    kinds = {said.blames for said in failures_of(decision)}
    books: dict[str, str] = {book.blames: book.path for book in decision.runbooks}
    worst = next((kind for kind in ("data", "process", "model") if kind in kinds), "default")
    return books.get(worst) or books.get("default", "")
