"""`aigate waive`: write leave for the finding at hand."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aigate.cli.options import (
    actor,
    deadline_option,
    environment_option,
    manifest_option,
    tracking_option,
    world,
)
from aigate.errors import ConfigError, UsageError

if TYPE_CHECKING:  # `--help` needs none of them
    from aigate.collect.manifest_file import LoadedManifest
    from aigate.decision import Covers, Decision, Judgement, Waiver
    from aigate.waiver import WaiverBook

_MOST_LISTED = 20


@dataclass(frozen=True)
class AtHand:
    """Something in a decision that keeps the gate shut."""

    policy: str
    key: str
    covers: "Covers"
    findings: int
    said: str
    never: str = ""
    """Why nobody can waive it."""


@click.command("waive")
@click.argument("policy", required=False, metavar="[POLICY]")
@click.option("--key", metavar="KEY", help='The finding\'s key; "" for one without.  [default: its only one]')
@click.option("--reason", required=True, metavar="TEXT", help="Why it may stand; every report shows it.")
@click.option(
    "--until", required=True, metavar="SPAN|DATE", help="14d, or 2026-12-01: the day's beginning, UTC."
)
@click.option("--approver", metavar="NAME", help="Who lets it stand, such as github:kai.  [default: you]")
@click.option(
    "--record",
    "-r",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The decision record with the finding.  [default: evaluate now]",
)
@click.option("--version", metavar="N", help="Evaluate this version.  [default: the challenger]")
@click.option(
    "--question",
    type=click.Choice(["promote", "retain"]),
    default="promote",
    show_default=True,
    help="promote: about the challenger; retain: about the champion.",
)
@manifest_option
@environment_option
@tracking_option
@deadline_option
@click.option("--dry-run", is_flag=True, help="Print the entry, and write nothing.")
def command(
    policy: str | None,
    key: str | None,
    reason: str,
    until: str,
    approver: str | None,
    record: Path | None,
    version: str | None,
    question: str,
    manifest: Path,
    environment: str,
    tracking_uri: str | None,
    deadline: float,
    dry_run: bool,
) -> int:
    """Write leave for one finding into waivers.yaml.

    It is for exactly this version, and ends by itself. What broke, and what is
    at level require, cannot be waived. The entry counts once it is on the
    protected branch: nothing is allowed by writing it.
    """
    from aigate.cli.waive_file import refuse_unwritable, rendered, replace_file, with_entry
    from aigate.collect.manifest_file import load_manifest
    from aigate.collect.waiver_file import NAME, beside, parse_waivers, read_waivers, with_one_more
    from aigate.report.json import harmless
    from aigate.waiver import WaiverBook

    loaded = load_manifest(manifest)
    around = world(deadline)
    if record is not None:
        if version is not None or question != "promote" or tracking_uri is not None:
            raise UsageError(
                "--version, --question and --tracking-uri do not go with --record: they are in it"
            )
        decision = _recorded(record, loaded, environment)
    else:
        decision = _decided(loaded, environment, version, question, tracking_uri, deadline)
    finding = chosen(decision, policy, key)
    asked_by = actor(dict(around.environ)).name
    waiver = _entry(decision, finding, reason, until, approver or asked_by, asked_by, around.now)
    refuse_unwritable(waiver)
    path = loaded.folder / NAME
    shown = beside(loaded.shown)
    before = read_waivers(path, shown)
    book = WaiverBook() if before is None else parse_waivers(before, shown)
    others = _check(loaded, decision, with_one_more(book, waiver, shown), around.now)
    content = None if dry_run else with_entry(before, waiver, shown)[0]
    click.echo(harmless(rendered(waiver)), nl=False)  # whole, as a hand may have to put it in
    if content is None:
        click.echo(f"nothing was written; it belongs into {_clean(shown)}")
        return 0
    replace_file(path, before, content, shown)
    click.echo(f"written to {_clean(shown)}")
    click.echo("it counts once it is on the protected branch: commit it, and have it approved there")
    if others:
        count = "1 other finding keeps" if others == 1 else f"{others} other findings keep"
        click.echo(f"{count} the gate shut")
    return 0


def _clean(text: str) -> str:
    """Return lines without anything that a terminal would act upon."""
    from aigate.report.clean import clean_lines

    return "\n".join(clean_lines(text)) + ("\n" if text.endswith("\n") else "")


def _decided(
    loaded: "LoadedManifest",
    environment: str,
    version: str | None,
    question: str,
    tracking_uri: str | None,
    deadline: float,
) -> "Decision":
    from aigate.cli.evaluate import subject_of
    from aigate.gate import Request, evaluate

    number = None
    if version is not None:
        number, _ = subject_of(f"{loaded.manifest.model.name}@{version}", loaded.manifest.model.name)
        if number is None:
            raise UsageError(f"{version!r} is not a version's number", fix="write --version 3")
    request = Request(
        question="promote" if question == "promote" else "retain",
        environment=environment,
        version=number,
        tracking_uri=tracking_uri,
    )
    return evaluate(loaded, request, world(deadline)).decision


def _recorded(path: Path, loaded: "LoadedManifest", environment: str) -> "Decision":
    """Return the decision in a record, which was made under this manifest."""
    from aigate.cli.evaluate import refuse_other
    from aigate.cli.promote import read_decision
    from aigate.report.json import read_record

    decision = read_record(read_decision(path))
    refuse_other(environment, decision.environment)
    if decision.manifest_digest != loaded.digest:
        raise ConfigError(
            f"it was decided under another manifest than {loaded.shown}",
            place=str(path),
            fix="leave --record out, and it is evaluated now",
        )
    return decision


def at_hand(decision: "Decision") -> tuple[AtHand, ...]:
    """Return everything that stands against a version: each policy and key once, in order."""
    return tuple(item for judgement in decision.judgements for item in _of(judgement))


def _of(judgement: "Judgement") -> list[AtHand]:
    result, policy = judgement.result, judgement.info.id
    required = judgement.level == "require"
    never = "level require: nobody can waive it" if required else ""
    if result.outcome == "error":
        return [
            AtHand(policy, "", "unknown", 0, result.reason, never or "it is broken: nobody can waive that")
        ]
    if result.outcome == "unknown" or judgement.open:
        return [AtHand(policy, "", "unknown", 1, result.reason, never)] if judgement.open else []
    standing = judgement.standing if result.outcome == "fail" else ()
    keys = [finding.key for finding in standing]
    first = {finding.key: finding.message for finding in reversed(standing)}
    return [AtHand(policy, key, "fail", keys.count(key), first[key], never) for key in dict.fromkeys(keys)]


def chosen(decision: "Decision", policy: str | None, key: str | None) -> AtHand:
    """Return the one thing that is meant. Raises UsageError where there is none, or more than one, and lists them."""
    everything = at_hand(decision)
    meant = [one for one in everything if policy in (None, one.policy) and key in (None, one.key)]
    if len(meant) != 1 and (able := [one for one in meant if not one.never]) and len(able) == 1:
        meant = able
    if not everything:
        raise UsageError("there is nothing to waive: nothing keeps the gate shut")
    if len(meant) != 1:
        asked = " ".join(word for word in (policy, key) if word) or "a finding"
        words = f"{asked!r} is none of the findings" if not meant else "which finding?"
        listed = [_listed(one) for one in (meant or everything)[:_MOST_LISTED]]
        raise UsageError("\n".join([words, *listed]), fix="name one of these, as POLICY --key KEY")
    if meant[0].never:
        raise UsageError(f"{meant[0].policy}: {meant[0].never}", fix=f"mend it: {_clean(meant[0].said)}")
    return meant[0]


def _listed(one: AtHand) -> str:
    from shlex import join

    from aigate.report.clean import clean

    words = join([one.policy, "--key", one.key])
    kind = "" if one.covers == "fail" else " (not assessed)"
    never = f" [{one.never}]" if one.never else ""
    return f"{clean(words, 200)}{kind}: {clean(one.said, 200)}{never}"


def _entry(
    decision: "Decision",
    finding: AtHand,
    reason: str,
    until: str,
    approver: str,
    asked_by: str,
    now: datetime,
) -> "Waiver":
    """Return the entry: for the exact version that was judged, from now on."""
    from pydantic import ValidationError

    from aigate.decision import Waiver
    from aigate.values import gap

    subject = decision.subject
    if (lost := gap(subject)) is not None:
        raise UsageError(f"which version is asked about is not known: {lost.missing}")
    known = gap(subject.artifact_digest) is None
    try:
        return Waiver(
            policy=finding.policy,
            key=finding.key,
            covers=finding.covers,
            findings=max(finding.findings, 1),
            environment=decision.environment,
            registry=subject.registry,
            model=subject.name,
            version=subject.version,
            created_at=subject.created_at,
            digest=subject.artifact_digest if known else None,
            reason=" ".join(reason.split()),
            asked_by=asked_by,
            approver=approver,
            approved_on=now,
            expires=_end(until, now),
        )
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        words = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"that is no waiver: {f'{where}: ' if where else ''}{words}") from e


def _end(until: str, now: datetime) -> datetime:
    """Return when it ends: so long from now, or the instant or the day's beginning that was named."""
    from pydantic import TypeAdapter, ValidationError

    from aigate.decision import Moment
    from aigate.values import parse_duration

    try:
        return now + parse_duration(until)
    except ValueError:
        pass
    try:
        end: datetime = TypeAdapter(Moment).validate_python(until)
    except ValidationError as e:
        raise UsageError(
            f"--until {until!r} is neither a span nor a date", fix="write 14d, or 2026-12-01"
        ) from e
    return end


def _check(loaded: "LoadedManifest", decision: "Decision", book: "WaiverBook", now: datetime) -> int:
    """Hold the new entry, the last one, against the decision as the gate will; return what still stands.

    Raises UsageError where it would not count.
    """
    from aigate.waiver import apply, grounds

    held = grounds(loaded.manifest, decision, decision.subject).model_copy(update={"now": now})
    judged, waivers = apply(book, decision.judgements, held)
    last = book.entries[-1].nth
    if not any(use.nth == last for use in waivers.applied):
        uses = (*waivers.expired, *waivers.unused, *waivers.refused, *waivers.elsewhere)
        why = next(use.why for use in uses if use.nth == last)
        raise UsageError(f"it would not count: {why}", fix="nothing was written")
    return sum(len(_of(judgement)) for judgement in judged if judgement.counts)
