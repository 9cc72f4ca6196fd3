"""What one look at the champion is told as: data for programs, and the commands for whoever is called."""

from typing import Annotated, Literal

from pydantic import Field

from aigate.collect.manifest_file import LoadedManifest
from aigate.decision import Blames, Decision
from aigate.ledger import LONGEST_REASON
from aigate.manifest import PRODUCTION, Owner
from aigate.plan import Act
from aigate.reading import Read, Reading
from aigate.values import Digest, Instant, Model, Name, Text, VersionNumber
from aigate.window import Call, CallName
from aigate.wording import command

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
        if judgement.counts and judgement.result.outcome in ("unknown", "error")
    )


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
    words = (loaded.manifest.model.name, *_where(loaded, decision.environment))
    lines = []
    if call.call in ("rollback", "halt") and call.acts and done != "done":
        lines.append(command(call.call, *words, "--reason", because(decision, call)))
    elif call.call == "wait" and reading.verdict == "rollback" and call.bad >= call.needed:
        lines.append(command("rollback", *words, "--reason", "…"))
    if drift:
        # The way back comes first, as where a promotion meets a drift.
        if not any(line.startswith(command("rollback")) for line in lines):
            lines.append(command("rollback", *words, "--reason", "…"))
        lines.append(command("adopt", *words, "--reason", "…"))
    return tuple(lines)


def is_command(words: str) -> bool:
    """Whether what an act says about what is next is a command, and not a note."""
    return words.startswith("aigate ")


def _where(loaded: LoadedManifest, environment: str) -> tuple[str, ...]:
    """Return the options without which a command would speak of something else."""
    manifest = () if loaded.shown == "aigate.yaml" else ("--manifest", loaded.shown)
    return manifest + (() if environment == PRODUCTION else ("--environment", environment))


def runbook_of(decision: Decision) -> str:
    """Return the runbook for what fails: that of its kind, else the default one; empty where there is none."""
    kinds = {said.blames for said in failures_of(decision)}
    books: dict[str, str] = {book.blames: book.path for book in decision.runbooks}
    worst = next((kind for kind in ("data", "process", "model") if kind in kinds), "default")
    return books.get(worst) or books.get("default", "")
