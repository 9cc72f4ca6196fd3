"""What was decided and why: the outcome of each policy, and the record of the whole. Pure data."""

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from aigate.bound import Part
from aigate.manifest import PRODUCTION, Level, Owner, PolicyId
from aigate.snapshot import Question, Runbook, Source, Subject, Tag
from aigate.values import NAME_PATTERN, Digest, Evident, Instant, Model, Name, Text, VersionNumber

Outcome = Literal["pass", "fail", "unknown", "error", "skip"]
"""`fail`: it found something. `unknown`: evidence is missing. `error`: the policy or
the evidence is broken. `skip`: it does not apply, with a reason."""

OUTCOMES: tuple[Outcome, ...] = ("fail", "unknown", "error", "skip", "pass")
"""In the order in which a report lists them."""

Severity = Literal["low", "medium", "high", "critical"]
Blames = Literal["model", "data", "process"]
"""Whose trouble a failure is. Only a failing model is cured by another model."""

Verdict = Literal["allow", "deny", "hold", "keep", "rollback", "halt"]

EXIT_CODES: dict[Verdict, int] = {"allow": 0, "keep": 0, "deny": 1, "rollback": 1, "halt": 1, "hold": 3}


class Finding(Model):
    """One thing a policy reports."""

    message: Text
    """What is wrong: the reading first."""
    key: str = ""
    """What it is about, stable between runs: a stage, a metric, a threshold."""
    fix: Text = ""
    """The next step for the person who reads it."""
    owner: str = ""
    """Who can do something about it."""
    value: str = ""
    """The reading, where there is one."""
    limit: str = ""
    """What it was held against."""
    origin: str = ""
    """Where that limit comes from."""
    waived: Text = ""
    """Who let it stand, why and until when; empty where nobody did."""


class PolicyInfo(Model):
    """What is known of a policy without running it."""

    id: Name
    title: Text
    """The first line of its docstring."""
    detail: Text = ""
    """The rest of its docstring."""
    severity: Severity
    blames: Blames
    url: str = ""
    file: str
    """The file's name, as shown to people."""
    file_digest: Digest
    params: tuple[Tag, ...] = ()
    """Parameters and the values in force, as text."""


class PolicyResult(Model):
    """What one policy answered."""

    policy: Name
    outcome: Outcome
    reason: Text = ""
    """Why it is unknown, an error or a skip; for a pass or a fail, what it leaves open."""
    findings: tuple[Finding, ...] = ()
    reads: tuple[str, ...] = ()
    """The evidence it rests on, as JSON pointers into the snapshot."""
    partial: bool = False
    """Whether it failed and could not assess the rest; the reason says what. Written only where it is so, as records
    have no place for it that are older."""

    @model_validator(mode="after")
    def _consistent(self) -> "PolicyResult":
        """A failure without a finding would weigh nothing, a pass with one would hide it."""
        if self.outcome == "fail" and not self.findings:
            raise ValueError("a failure needs a finding")
        if self.outcome not in ("fail", "error") and self.findings:
            raise ValueError(f"a {self.outcome} has no findings")
        if self.outcome in ("unknown", "error", "skip") and not self.reason.strip():
            raise ValueError(f"outcome {self.outcome} needs a reason")
        if self.partial and (self.outcome != "fail" or not self.reason.strip()):
            raise ValueError("only a failure is partial, and it needs a reason")
        return self

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = write(self)
        if not self.partial:
            data.pop("partial", None)
        return data


class Judgement(Model):
    """A policy's answer with its level and identity: one row of the record."""

    info: PolicyInfo
    level: Level
    result: PolicyResult
    waived: Text = ""
    """Who let it stand that this, or the rest of it, could not be assessed, why and until when; empty where
    nobody did. What failed is waived finding by finding."""

    @property
    def counts(self) -> bool:
        """Whether its outcome can keep the gate shut."""
        return self.level != "advise"

    @property
    def standing(self) -> tuple[Finding, ...]:
        """The findings that nobody has waived; at level `require`, nobody can."""
        required = self.level == "require"
        return tuple(finding for finding in self.result.findings if required or not finding.waived)

    @property
    def excused(self) -> bool:
        """Whether somebody let it stand that this, or the rest of it, could not be assessed; never at `require`."""
        unassessed = self.result.outcome == "unknown" or self.result.partial
        return unassessed and bool(self.waived) and self.level != "require"

    @property
    def open(self) -> bool:
        """Whether it came to no answer, and nobody may let that stand, or did. What is broken is never waived.

        A failure whose every finding is waived is open where the rest of it could not be assessed.
        """
        if self.result.outcome == "unknown" or (self.result.partial and not self.standing):
            return not self.excused
        return self.result.outcome == "error"


Covers = Literal["fail", "unknown"]
"""What a waiver is leave for: a finding of a policy that fails, or that a policy could not be assessed."""


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _day_begins(value: object) -> object:
    """Take a day for its first instant in UTC: never longer than anybody meant by `until` that day."""
    if isinstance(value, str) and _DAY.fullmatch(value):
        day = date.fromisoformat(value)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    return value


Moment = Annotated[
    Instant,
    BeforeValidator(_day_begins),
    WithJsonSchema({"type": "string", "examples": ["2026-12-01", "2026-12-01T09:30:00Z"]}),
]
"""An instant, or a day for its first instant in UTC."""


def _number_as_text(value: object) -> object:
    return str(value) if type(value) is int else value


_BLANK = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters without a shape."""


def _seen(letter: str) -> bool:
    """Whether a reader sees a character: no space, no control, no blank."""
    return unicodedata.category(letter)[0] not in "CZ" and letter not in _BLANK


Line = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=NAME_PATTERN)]
"""A sentence on one line."""


class Waiver(Model):
    """Leave for one finding about one exact version, as an entry of `waivers.yaml` gives it."""

    policy: PolicyId
    """One policy by its id; neither a theme nor `*`."""
    key: Annotated[str, StringConstraints(max_length=500)]
    """The finding's key, exactly. It must be written: `""` is for a finding without one, and for no other."""
    covers: Covers = "fail"
    findings: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many findings of that key there may be; where there are more, none of them is waived."""
    environment: Name = PRODUCTION
    registry: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    """The registry's address as records show it: v2 of another one is another version."""
    model: Name
    version: Annotated[
        VersionNumber | None,
        BeforeValidator(_number_as_text),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
    ] = None
    created_at: Instant | None = None
    """When that version was made: a number can be given anew."""
    digest: Digest | None = None
    """Of the version's files."""
    reason: Line
    asked_by: Name | None = None
    """Who wants it; where the manifest asks for four eyes, somebody else than the approver."""
    approver: Name
    approved_on: Moment
    expires: Moment
    """The first instant at which it no longer counts."""

    @model_validator(mode="after")
    def _exact(self) -> "Waiver":
        """One finding of one version, for a time; nothing broader can be said."""
        if self.version is None and self.digest is None:
            raise ValueError("give the version, or the digest of its files: a waiver is for exactly one")
        named = (self.key, self.environment, self.registry, self.model)
        if any(name.strip() == "*" for name in named):
            raise ValueError("`*` stands for nothing here: a waiver is for exactly one finding")
        if self.covers == "unknown" and self.key:
            raise ValueError(
                'what could not be assessed has no findings: key must be "" with covers: unknown'
            )
        if not any(map(_seen, self.reason)):
            raise ValueError("the reason is empty")
        for name in filter(None, (self.asked_by, self.approver)):
            if name != name.strip() or not all(letter == " " or _seen(letter) for letter in name):
                raise ValueError("a name has spaces around it, or characters that nobody sees")
        if self.expires <= self.approved_on:
            raise ValueError("it ends before it begins: expires is not after approved_on")
        return self


class WaiverUse(Model):
    """A waiver and what became of it in this decision."""

    policy: Name
    key: str
    who: Name
    reason: Text
    until: Instant | None
    """None where the entry does not say it so that anybody could tell."""
    why: Text = ""
    """Why it did not count; empty where it did."""
    soon: bool = False
    """Whether it counts still, and not for long."""
    nth: int = 0
    """Which entry of the file it is, from 1."""
    line: int = 0
    """Where that begins."""
    waiver: Waiver | None = None
    """The entry itself, so that the decision can be made again; None for one that is malformed."""


class Waivers(Model):
    """Every waiver in the file, by what became of it; none is ever left out."""

    applied: tuple[WaiverUse, ...] = ()
    expired: tuple[WaiverUse, ...] = ()
    """Those that ran out, and those that are malformed."""
    unused: tuple[WaiverUse, ...] = ()
    """Those about this model that had nothing to lift."""
    refused: tuple[WaiverUse, ...] = ()
    """Those that break a rule: whose approver may not, that are given for too long, for what must not be waived."""
    elsewhere: tuple[WaiverUse, ...] = ()
    """Those about another model."""


class Counts(Model):
    """How many policies ended how. Assessed are those that passed or failed."""

    total: int
    passed: int
    failed: int
    unknown: int
    error: int
    skipped: int
    waived: int
    """Findings that were let stand, and policies of which it was let stand that they could not be assessed."""

    @property
    def assessed(self) -> int:
        """Policies that reached a yes or a no."""
        return self.passed + self.failed

    @property
    def applicable(self) -> int:
        """Policies that had something to say about this system."""
        return self.total - self.skipped


class Actor(Model):
    """Who asked, as far as the environment tells; nothing here is proof."""

    name: Name
    run: str = ""
    """Address of the pipeline run, if any."""


class Versions(Model):
    """What made the decision."""

    aigate: Name
    python: Name
    pydantic: Name


class Decision(Model):
    """The answer to one question about one subject, with everything it rests on."""

    schema_: Annotated[Literal["aigate.decision/v1"], Field(alias="schema")] = "aigate.decision/v1"
    verdict: Verdict
    exit_code: int
    reason: Text
    """The verdict in one sentence."""
    question: Question
    system: Name
    environment: Name
    model: Name
    alias: Name
    subject: Evident[Subject]
    holder: Evident[Subject | None]
    """What holds the alias now; None where nothing does."""
    owner: Owner | None
    """Who answers for the system; None where the manifest names nobody."""
    runbooks: tuple[Runbook, ...] = ()
    now: Instant
    judgements: tuple[Judgement, ...]
    waivers: Waivers = Waivers()
    waivers_digest: Digest | None = None
    """Of the waivers' file; None where there was none."""
    counts: Counts
    evidence: tuple[Source, ...]
    snapshot_digest: Digest
    manifest_digest: Digest
    policies_digest: Digest
    isolation: Name
    """How policies were kept apart: `process`, with the limits that were in force."""
    versions: Versions
    actor: Actor
    bound: tuple[Part, ...] = ()
    """What in the registry must not change before the decision is acted upon, part by part."""
    previous: Digest | None = None
    """The record before this one on the same model and alias, where a history is kept."""
