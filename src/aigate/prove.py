"""What came of the trial of policies: whether each can say yes, no, and "I cannot tell". Pure.

A rule that can never fail looks like a rule that passes. A policy is proven
when it was seen to pass, to fail and, where it reads evidence, not to know;
and when nothing that was tried made it crash, pass on what nobody knows, or
answer by what it does not say that it reads.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from aigate.decision import Outcome, PolicyInfo, PolicyResult
from aigate.manifest import Level
from aigate.mutate import Mutation, around
from aigate.values import Model

FlawKind = Literal[
    "never_fails", "never_passes", "never_unknown", "swallows", "hides", "unsteady", "error", "otherwise"
]
"""`swallows`: it passes on missing evidence. `hides`: its answer follows what it does not say that it
reads. `unsteady`: two answers to one snapshot. `otherwise`: the gate's answer is not the tests'."""

State = Literal["proven", "off", "unproven"]
"""`off`: under the parameters in force it does not apply to anything, and under others it can fail."""

FIXES: dict[FlawKind, str] = {
    "never_fails": "write a test in which it fails, or take it out: a rule that cannot say no protects nobody",
    "never_passes": "write a test in which it passes; `--snapshot FILE` takes evidence of your own system",
    "never_unknown": "read evidence through the snapshot, and write a test with missing(...) in its place",
    "swallows": "do not reach behind the snapshot: missing evidence ends a policy as unknown by itself",
    "hides": "read everything through the snapshot that the policy is given",
    "unsteady": "take the time from `s.now`, and sort what has no order: no clock, no randomness",
    "error": "guard against it: None is a fact, a list may be empty, a number may be anything",
    "otherwise": "the policy behaves otherwise under pytest than in the gate: see what it looks at",
}


_ERRORS: tuple[tuple[str, str], ...] = (
    (
        "it took longer than",
        "make it end: loop over the evidence and nothing else; or allow it more with --seconds",
    ),
    (
        "it read no evidence",
        "read the snapshot before it passes or skips, whatever its parameters are: what looked at nothing cannot know",
    ),
    ("it made a finding and did not yield", "write `yield deny(...)`"),
    ("it yielded", "yield what deny() makes, and nothing else"),
    (
        "it ended as",
        'give the reason: raise Skip("<why it does not apply>"), or Unknown with what is not known',
    ),
    ("its process", "leave out what ends or fills a process: sys.exit, os._exit, lists without an end"),
    ("it is not a generator", "report with `yield deny(...)`"),
    ("it is async", "write it as a plain generator, without async and await"),
    ("it has no docstring", "write its title: one sentence that holds when the policy passes"),
)
"""How an error begins, and what helps against it; against any other, `FIXES` does."""


def _fix(kind: FlawKind, words: str) -> str:
    """Return the next step against a flaw."""
    return next((fix for begins, fix in _ERRORS if kind == "error" and words.startswith(begins)), FIXES[kind])


class Flaw(Model):
    """One thing that is wrong with a policy."""

    kind: FlawKind
    message: str
    fix: str


class Seen(Model):
    """One outcome that was seen, and where for the first time."""

    outcome: Outcome
    where: str
    by: Literal["tests", "proof"]


class Proven(Model):
    """What came of one policy in one environment."""

    policy: str
    environment: str
    file: str
    level: Level
    standard: bool
    state: State
    needed: tuple[Outcome, ...]
    """The outcomes that had to be seen."""
    seen: tuple[Seen, ...]
    flaws: tuple[Flaw, ...] = ()
    note: str = ""


class Suite(Model):
    """How the tests ended, which authors wrote."""

    state: Literal["passed", "failed", "none", "not_run"]
    passed: int = 0
    failed: int = 0
    words: str = ""
    """Why they did not run, or did not pass."""


class Covered(Model):
    """How much of one policy its tests have seen: its outcomes, and the calls of `deny` in its file."""

    policy: str
    points: int
    seen: int
    unseen: tuple[str, ...] = ()


class Coverage(Model):
    """How much the tests have seen of the policies that are not of the standard pack."""

    policies: tuple[Covered, ...]
    threshold: int | None = None
    """Percent that are demanded."""

    @property
    def percent(self) -> int:
        """Whole percent that were seen, rounded down; 100 where there is nothing to see."""
        points = sum(one.points for one in self.policies)
        return 100 if not points else sum(one.seen for one in self.policies) * 100 // points

    @property
    def enough(self) -> bool:
        """Whether as much was seen as is demanded."""
        return self.threshold is None or self.percent >= self.threshold


class Proof(Model):
    """Everything that came of `aigate test`."""

    schema_: Annotated[Literal["aigate.test/v1"], Field(alias="schema")] = "aigate.test/v1"
    environments: tuple[str, ...]
    tested: Suite
    policies: tuple[Proven, ...]
    tried: int = 0
    """Snapshots that the policies were asked about."""
    coverage: Coverage | None = None

    @property
    def unproven(self) -> tuple[Proven, ...]:
        """The policies with a flaw."""
        return tuple(policy for policy in self.policies if policy.state == "unproven")

    @property
    def exit_code(self) -> int:
        """0 where every policy is proven and the tests passed, 1 where not, 2 where the tests could not run."""
        lacking = self.coverage is not None and not self.coverage.enough
        if self.unproven or not self.policies or self.tested.state == "failed" or lacking:
            return 1
        return 2 if self.tested.state == "not_run" else 0


@dataclass
class Case:
    """What is known of one policy while it is on trial."""

    info: PolicyInfo
    evident: frozenset[str]
    """Places at which evidence can be missing."""
    seen: dict[Outcome, Seen] = field(default_factory=dict)
    reads: set[str] = field(default_factory=set)
    flaws: dict[FlawKind, str] = field(default_factory=dict)
    reads_evidence: bool = False
    """Whether it reads anything that can be missing."""
    fails_otherwise: str = ""
    """The parameters under which it was seen to fail, where those in force make it skip."""

    @property
    def needed(self) -> tuple[Outcome, ...]:
        """The outcomes that have to be seen."""
        return ("pass", "fail", "unknown") if self.reads_evidence else ("pass", "fail")

    @property
    def lacking(self) -> tuple[Outcome, ...]:
        """Those of them that were not."""
        return tuple(outcome for outcome in self.needed if outcome not in self.seen)

    @property
    def only_skips(self) -> bool:
        """Whether it was never seen to judge anything: it skips what is known."""
        return "skip" in self.seen and not {"pass", "fail", "error"} & set(self.seen)

    def hear(self, result: PolicyResult, where: str, by: Literal["tests", "proof"] = "proof") -> None:
        """Take note of an answer."""
        self.seen.setdefault(result.outcome, Seen(outcome=result.outcome, where=where, by=by))
        if not self.reads_evidence and (new := set(result.reads) - self.reads):
            self.reads_evidence = not self.evident.isdisjoint(around(new))
        self.reads.update(result.reads)
        if result.outcome == "error":
            self.flaws.setdefault("error", f"{result.reason} ({where})")

    def compare(self, mutation: Mutation, base: PolicyResult, result: PolicyResult, where: str) -> None:
        """Take note of an answer to changed evidence, beside the one to the evidence as it was."""
        self.hear(result, where)
        if "error" in (base.outcome, result.outcome):
            return
        gone = mutation.kind in ("missing", "nan") and len(mutation.changes) == 1
        if gone and result.outcome == "pass" and mutation.touches(around(base.reads)):
            self.flaws.setdefault("swallows", f"it passes with {mutation.name}, which it reads")
        if base.outcome != result.outcome and not mutation.explains({*base.reads, *result.reads}):
            words = (
                f"{base.outcome} became {result.outcome} with {mutation.name}, which it does not say it reads"
            )
            self.flaws.setdefault("hides", words)

    def steady(self, first: PolicyResult, second: PolicyResult, where: str) -> None:
        """Hold two answers to one snapshot against each other."""
        if first != second and "error" not in (first.outcome, second.outcome):
            words = (
                f"{first.outcome}, then {second.outcome}"
                if first.outcome != second.outcome
                else "other words"
            )
            self.flaws.setdefault("unsteady", f"asked twice about {where}: {words}")


def settle(case: Case, *, environment: str, level: Level, standard: bool) -> Proven:
    """Say what came of one policy."""
    flaws = dict(case.flaws)
    off = bool(case.fails_otherwise)
    if not off and "error" not in flaws:
        flaws |= {kind: words for kind, words in _never(case) if kind not in flaws}
    found = tuple(Flaw(kind=kind, message=words, fix=_fix(kind, words)) for kind, words in flaws.items())
    return Proven(
        policy=case.info.id,
        environment=environment,
        file=case.info.file,
        level=level,
        standard=standard,
        state="unproven" if found else "off" if off else "proven",
        needed=case.needed,
        seen=tuple(case.seen.values()),
        flaws=found,
        note=f"off in {environment}: it fails with {case.fails_otherwise}"
        if off
        else f"it blocks nothing in {environment}: its level there is advise"
        if level == "advise"
        else "",
    )


def _never(case: Case) -> Iterable[tuple[FlawKind, str]]:
    """Yield what was never seen, the worst first."""
    lacking = case.lacking
    seen = ", ".join(case.seen) or "nothing"
    if "fail" in lacking and set(case.seen) == {"unknown"}:
        yield (
            "never_fails",
            "this rule only holds: it knows nothing, whatever the evidence is (seen: unknown)",
        )
    elif "fail" in lacking:
        bound = ", ".join(f"{tag.key}: {tag.value}" for tag in case.info.params)
        under = f" with {bound}" if bound else ""
        yield "never_fails", f"this rule cannot block anything: nothing made it fail{under} (seen: {seen})"
    if "pass" in lacking:
        yield "never_passes", f"nothing made it pass (seen: {seen})"
    if "unknown" in lacking:
        yield "never_unknown", f"it reads evidence, and none that went missing made it unknown (seen: {seen})"


def cover(case: Case, outcomes: Collection[Outcome], sites: Iterable[int], fired: Collection[int]) -> Covered:
    """Count what tests have seen of one policy: the outcomes it needs, and the given calls of `deny`."""
    unseen = [outcome for outcome in case.needed if outcome not in outcomes]
    lines = tuple(sites)
    dark = [f"deny in line {line}" for line in lines if line not in fired]
    points = len(case.needed) + len(lines)
    return Covered(
        policy=case.info.id,
        points=points,
        seen=points - len(unseen) - len(dark),
        unseen=(*unseen, *dark),
    )
