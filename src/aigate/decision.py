"""What was decided and why: the outcome of each policy, and the record of the whole. Pure data."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from aigate.bound import Part
from aigate.manifest import Level, Owner
from aigate.snapshot import Question, Runbook, Source, Subject, Tag
from aigate.values import Digest, Evident, Instant, Model, Name, Text

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

    @model_validator(mode="after")
    def _consistent(self) -> "PolicyResult":
        """A failure without a finding would weigh nothing, a pass with one would hide it."""
        if self.outcome == "fail" and not self.findings:
            raise ValueError("a failure needs a finding")
        if self.outcome not in ("fail", "error") and self.findings:
            raise ValueError(f"a {self.outcome} has no findings")
        if self.outcome in ("unknown", "error", "skip") and not self.reason.strip():
            raise ValueError(f"outcome {self.outcome} needs a reason")
        return self


class Judgement(Model):
    """A policy's answer with its level and identity: one row of the record."""

    info: PolicyInfo
    level: Level
    result: PolicyResult

    @property
    def counts(self) -> bool:
        """Whether its outcome can keep the gate shut."""
        return self.level != "advise"

    @property
    def standing(self) -> tuple[Finding, ...]:
        """The findings that nobody has waived; at level `require`, nobody can."""
        required = self.level == "require"
        return tuple(finding for finding in self.result.findings if required or not finding.waived)


class WaiverUse(Model):
    """A waiver and what became of it in this decision."""

    policy: Name
    key: str
    who: Name
    reason: Text
    until: Instant


class Waivers(Model):
    """Every waiver in force, by what became of it; none is ever left out."""

    applied: tuple[WaiverUse, ...] = ()
    expired: tuple[WaiverUse, ...] = ()
    unused: tuple[WaiverUse, ...] = ()


class Counts(Model):
    """How many policies ended how. Assessed are those that passed or failed."""

    total: int
    passed: int
    failed: int
    unknown: int
    error: int
    skipped: int
    waived: int

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
