"""What other policies would have said of decisions that were made: which versions they would have blocked. Pure.

A recorded snapshot has its limits, its evidence and its `now` in it, so the
same question can be put to other policies. Held against the verdict that was
recorded; where no decision is known, against that of the policies in force.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field

from aigate.decision import EXIT_CODES, Decision, Judgement, PolicyInfo, PolicyResult, Verdict
from aigate.evaluate import judge, verdict
from aigate.manifest import Level, Manifest
from aigate.snapshot import Question
from aigate.values import Digest, Instant, Model, Name, Text, VersionNumber
from aigate.waiver import apply, book_of, grounds

MOST_CASES = 2000
"""Changes of one kind that are listed one by one, the oldest; more are counted."""

MOST_CAUSES = 3
"""Policies that are named as the cause of one change."""

Kind = Literal["blocked", "let_through", "otherwise"]
"""What would have changed: a yes into no, a no into yes, or one no into another (deny into hold)."""


class Cause(Model):
    """A policy that keeps the gate shut, and the first thing it says."""

    policy: Name
    outcome: Literal["fail", "unknown", "error"]
    message: Text


class Known(Model):
    """A verdict to hold the new one against."""

    verdict: Verdict
    by: Literal["record", "policies"]
    """`record`: as it was decided. `policies`: by those in force now, since no decision is at hand."""
    causes: tuple[Cause, ...] = ()
    waived: Decision | None = None
    """The decision itself, where waivers were in force in it."""
    environment: str = ""
    at: Instant | None = None
    """When it was decided, where it was."""

    def before(self, other: "Known") -> bool:
        """Whether this one counts, where two were decided from one snapshot: a yes does, in whatever order they come."""
        return self._order() < other._order()

    def _order(self) -> tuple[bool, str, bool, str]:
        return not is_yes(self.verdict), self.verdict, self.waived is not None, repr(self.causes)


class Case(Model):
    """One recorded question to which the answer would have been another."""

    kind: Kind
    model: Name
    version: VersionNumber | None
    alias: Name
    question: Question
    at: Instant
    was: Verdict
    becomes: Verdict
    by: Literal["record", "policies"]
    causes: tuple[Cause, ...]
    """What blocks it now; for one that is let through, what blocked it then."""
    where: Text
    """Where its snapshot lies."""


class Unread(Model):
    """Something in the source that could not be used."""

    where: Text
    why: Text


class Erring(Model):
    """A policy of those put to the test that ended as `error`."""

    policy: Name
    snapshots: int
    """On how many."""
    reason: Text
    """The first it gave."""


class Backtest(Model):
    """What other policies would have changed. Every snapshot of the source is in exactly one count."""

    schema_: Annotated[Literal["aigate.backtest/v1"], Field(alias="schema")] = "aigate.backtest/v1"
    policies: Text
    """Which policies were put to the test."""
    policies_digest: Digest
    source: Text
    environment: Name
    since: Instant | None
    snapshots: int
    """All that were found: the sum of the following."""
    unchanged: int
    blocked: int
    let_through: int
    otherwise: int
    incomparable: int
    """Judged, with nothing to hold the verdict against."""
    before: int
    """Older than was asked for."""
    elsewhere: int
    """Of other environments."""
    unreadable: int
    unread: tuple[Unread, ...] = ()
    """What could not be read, records too; the first of them."""
    others: int = 0
    """JSON that is neither a snapshot nor a decision."""
    without_snapshot: int = 0
    """Decisions within what was asked for whose snapshot is not in the source: nothing is known of them."""
    erring: tuple[Erring, ...] = ()
    cases: tuple[Case, ...] = ()
    """Oldest first."""

    @property
    def changed(self) -> int:
        """How many answers would have been others."""
        return self.blocked + self.let_through + self.otherwise

    @property
    def judged(self) -> int:
        """How many were put to the policies."""
        return self.unchanged + self.changed + self.incomparable

    @property
    def broken(self) -> tuple[str, ...]:
        """Policies that ended as `error` on every snapshot: what they would have said is not known."""
        return tuple(one.policy for one in self.erring if one.snapshots == self.judged)

    def versions(self, kind: Kind) -> tuple[str, ...]:
        """Return the versions with a listed change of a kind, each once, in the order of their numbers."""
        several = len({case.model for case in self.cases}) > 1
        found = {(case.model, case.version) for case in self.cases if case.kind == kind}
        ordered = sorted(found, key=lambda pair: (pair[0], int(pair[1] or 0)))
        return tuple(
            f"{model} {_shown(version)}" if several else _shown(version) for model, version in ordered
        )


def _shown(version: str | None) -> str:
    return "an unknown version" if version is None else f"v{version}"


def is_yes(answer: Verdict) -> bool:
    """Whether an answer lets a pipeline pass."""
    return EXIT_CODES[answer] == 0


def kind_of(was: Verdict, becomes: Verdict) -> Kind | None:
    """Return what a new verdict changes; None where it is the same."""
    if was == becomes:
        return None
    if is_yes(was) == is_yes(becomes):
        return "otherwise"
    return "blocked" if is_yes(was) else "let_through"


class Jury:
    """Turns the policies' answers into verdicts by the levels of one environment."""

    def __init__(
        self, infos: tuple[PolicyInfo, ...], levels: dict[str, Level], manifest: Manifest | None
    ) -> None:
        self.infos = infos
        self._levels = levels
        self._manifest = manifest
        self._known: dict[object, Verdict] = {}

    def judgements(self, results: Iterable[PolicyResult]) -> tuple[Judgement, ...]:
        """Join answers with levels."""
        return judge(self.infos, {result.policy: result for result in results}, self._levels)

    def verdict(self, question: Question, unclear: str, results: tuple[PolicyResult, ...]) -> Verdict:
        """Return the verdict; without waivers it follows from the outcomes, so each set of them is judged once."""
        key = (question, bool(unclear), tuple([(result.policy, result.outcome) for result in results]))
        if (known := self._known.get(key)) is not None:
            return known
        self._known[key] = verdict(question, self.judgements(results), unclear)[0]
        return self._known[key]

    def with_waivers(
        self, question: Question, unclear: str, results: tuple[PolicyResult, ...], then: Decision
    ) -> tuple[Verdict, tuple[Cause, ...]]:
        """Return verdict and causes under the waivers that were in force in a recorded decision."""
        judgements = self.judgements(results)
        if self._manifest is not None:
            judgements, _ = apply(book_of(then), judgements, grounds(self._manifest, then, then.subject))
        return verdict(question, judgements, unclear)[0], causes(judgements)


def causes(judgements: Iterable[Judgement]) -> tuple[Cause, ...]:
    """Return the first few policies that keep the gate shut: those that failed before those that cannot tell."""
    shut = [j for j in judgements if j.counts and (_fails(j) or j.open)]
    shut.sort(key=lambda j: not _fails(j))
    return tuple(_cause(j) for j in shut[:MOST_CAUSES])


def _fails(judgement: Judgement) -> bool:
    """Whether it is a failure that keeps the gate shut, and not what a waived one left open."""
    return judgement.result.outcome == "fail" and bool(judgement.standing)


def _cause(judgement: Judgement) -> Cause:
    result, fails = judgement.result, _fails(judgement)
    outcome = "unknown" if result.outcome == "fail" and not fails else result.outcome
    assert outcome in ("fail", "unknown", "error")  # only these keep the gate shut
    return Cause(
        policy=judgement.info.id,
        outcome=outcome,
        message=judgement.standing[0].message if fails else result.reason,
    )


class Counting:
    """What has come of the snapshots so far."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._cases: dict[Kind, list[Case]] = {}
        self._erring: dict[str, Erring] = {}
        self._unread: list[Unread] = []

    def count(self, what: str, many: int = 1) -> None:
        """Count a snapshot, or `others` and decisions `without_snapshot`."""
        self._counts[what] = self._counts.get(what, 0) + many

    def unread(self, where: str, why: str, *, snapshot: bool = True) -> None:
        """Note what cannot be read; a record is no snapshot, and is not counted as one."""
        if snapshot:
            self.count("unreadable")
        if len(self._unread) < MOST_CASES:
            self._unread.append(Unread(where=where, why=why))

    def case(self, case: Case) -> None:
        """Count a change."""
        self.count(case.kind)
        cases = self._cases.setdefault(case.kind, [])
        cases.append(case)
        if len(cases) == 2 * MOST_CASES:
            cases.sort(key=_age)
            del cases[MOST_CASES:]

    def answers(self, results: Iterable[PolicyResult]) -> None:
        """Count the errors among the policies' answers to one snapshot."""
        for result in results:
            if result.outcome == "error":
                known = self._erring.get(result.policy)
                self._erring[result.policy] = Erring(
                    policy=result.policy,
                    snapshots=1 if known is None else known.snapshots + 1,
                    reason=result.reason if known is None else known.reason,
                )

    def result(self, about: Mapping[str, object]) -> Backtest:
        """Return the whole, with what it is `about`."""
        names = (
            "unchanged",
            "blocked",
            "let_through",
            "otherwise",
            "incomparable",
            "before",
            "elsewhere",
            "unreadable",
        )
        counts = {name: self._counts.get(name, 0) for name in names}
        return Backtest.model_validate(
            {
                **about,
                **counts,
                "snapshots": sum(counts.values()),
                "others": self._counts.get("others", 0),
                "unread": tuple(self._unread),
                "cases": tuple(
                    sorted(
                        (
                            case
                            for cases in self._cases.values()
                            for case in sorted(cases, key=_age)[:MOST_CASES]
                        ),
                        key=_age,
                    )
                ),
                "without_snapshot": self._counts.get("without_snapshot", 0),
                "erring": tuple(one for _, one in sorted(self._erring.items())),
            }
        )


def _age(case: Case) -> tuple[Instant, str, str]:
    return case.at, case.model, case.where
