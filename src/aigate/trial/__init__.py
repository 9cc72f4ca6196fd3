"""Policies on trial: they are asked, as the gate asks them, about evidence made otherwise in every way that counts.

The road from files and snapshots to `aigate.prove`'s cases. What is tried
follows from what each policy says that it reads; where that is not enough to
see it pass, fail and not know, the constants of its own file are put where it
reads, and then several places are changed at once.
"""

import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal

from aigate.decision import Outcome, PolicyInfo, PolicyResult
from aigate.errors import PolicyCodeError
from aigate.isolate import Limits
from aigate.isolate.many import Crew, Heard, Question, plain
from aigate.mutate import Json, Mutation, for_policy, places, singles
from aigate.policy import PolicyFile
from aigate.prove import Case
from aigate.provoke import constants, elsewhere, guesses, joint, together
from aigate.snapshot import Snapshot

CHUNK = 60
"""Questions that are asked before it is looked at whether more are needed."""

MOST = 1500
"""Questions that one policy is asked at the most where something was not seen yet."""

TIMES = 4
"""How often the policies are asked about the same evidence: chance shows in its second answer or a later one."""

DEEP = 3
"""Changes upon changes that are followed into the branches of a policy."""

_OTHER_VALUES: tuple[object, ...] = (
    "15m",
    True,
    False,
    Decimal(1),
    Decimal(0),
    Decimal("0.5"),
    Decimal(1000),
    "otherwise",
    ("otherwise",),
    (),
)
"""What a parameter is set to, of which only the name is known, to see whether it switches a policy on."""

_FOR_ALL = ("missing", "nan", "removed", "emptied", "swapped", "dataset")
"""Kinds of change that every policy is asked about, also where it does not say that it reads the place."""


@dataclass(frozen=True)
class Base:
    """Evidence to begin with."""

    name: str
    data: Json
    """A snapshot as JSON."""
    only: frozenset[str] = frozenset()
    """Whom it is for: those policies whose test used it; everybody where it is empty."""
    by_tests: bool = False
    mutated: bool = True
    """Whether it is changed in every way for everybody, and not only for those that lack something."""

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot itself."""
        return Snapshot.model_validate_json(json.dumps(self.data))


def base_of(name: str, snapshot: Snapshot, *, mutated: bool = True) -> Base:
    """Return a snapshot as evidence to begin with."""
    return Base(name, json.loads(snapshot.model_dump_json(by_alias=True)), mutated=mutated)


Tell = Callable[[int, int], None]
"""Told after each question: how many were answered, of how many so far."""


@dataclass
class _Asked:
    """A question with what it was made from."""

    base: Base
    mutation: Mutation | None
    only: frozenset[str] = frozenset()

    @property
    def words(self) -> str:
        return self.base.name if self.mutation is None else f"{self.base.name}, {self.mutation.name}"

    @property
    def question(self) -> Question:
        data = self.base.data if self.mutation is None else self.mutation.apply(self.base.data)
        return Question(json.dumps(data), self.only or self.base.only)


@dataclass
class Trial:
    """The trial of all policies in one environment."""

    files: tuple[PolicyFile, ...]
    params: Mapping[str, Mapping[str, object]]
    limits: Limits = field(default_factory=Limits)
    workers: int = 1
    tell: Tell = lambda done, of: None
    thorough: bool = False
    """Whether everything is tried on the standard policies too, and not only until they are proven."""
    tried: int = 0
    """Questions that were answered."""

    def __post_init__(self) -> None:
        self._cases: dict[str, Case] = {}
        self._plain: dict[tuple[int, str], PolicyResult] = {}
        """By base and policy: the answer to evidence as it was."""
        self._branches: list[Base] = []
        self._of = 0
        self._evident: frozenset[str] = frozenset()

    def run(self, bases: Sequence[Base]) -> dict[str, Case]:
        """Try every policy; the first of the bases are for everybody, those of tests for their policies.

        Raises PolicyCodeError where a file does not load.
        """
        everywhere = [base for base in bases if not base.by_tests]
        self._evident = frozenset(
            place.pointer for base in everywhere for place in places(base.snapshot) if place.evident
        )
        with Crew(self.files, self.params, limits=self.limits, workers=self.workers) as crew:
            self._plainly(crew, bases)
            for base in everywhere:
                if base.mutated:
                    self._mutated(crew, base)
            for id, case in self._cases.items():
                if case.only_skips:
                    self._otherwise(crew, id, case, everywhere)
                if not case.fails_otherwise:
                    self._harder(crew, id, bases)
        return self._cases

    def _ask(self, crew: Crew, asked: Sequence[_Asked]) -> list[tuple[_Asked, Heard]]:
        self._of += len(asked)

        def told() -> None:
            self.tried += 1
            self.tell(self.tried, self._of)

        heard = crew.answer([one.question for one in asked], told)
        return [(one, answer) for one, answer in zip(asked, heard, strict=True) if answer is not None]

    def _case(self, info: PolicyInfo) -> Case:
        return self._cases.setdefault(info.id, Case(info, self._evident))

    def _plainly(self, crew: Crew, bases: Sequence[Base]) -> None:
        """Ask about evidence as it is, several times: the same evidence must have the same answer."""
        asked = [_Asked(base, None) for base in bases for _ in range(1 if base.by_tests else TIMES)]
        first: dict[tuple[int, str], PolicyResult] = {}
        for one, heard in self._ask(crew, asked):
            for info in heard.infos:
                result, at = heard.results[info.id], (id(one.base), info.id)
                if one.base.only and info.id not in one.base.only:
                    continue
                if at in first:
                    self._case(info).steady(first[at], result, one.base.name)
                else:
                    first[at] = self._plain[at] = result
                    self._case(info).hear(result, one.base.name, "tests" if one.base.by_tests else "proof")

    def _mutated(self, crew: Crew, base: Base) -> None:
        """Change what anybody reads, place by place, and together where things happen together."""
        snapshot = base.snapshot
        every = [*joint(snapshot, base.data), *singles(snapshot)]
        own = frozenset(name for file in self.files if not file.standard for name in file.policies)
        wanted: dict[int, set[str]] = {}
        for name in self._cases:
            plain = self._plain.get((id(base), name))
            for mutation in for_policy(every, plain.reads if plain is not None else ()):
                wanted.setdefault(id(mutation), set()).add(name)
        for chunk in _chunks([mutation for mutation in every if id(mutation) in wanted]):
            asked = []
            for mutation in chunk:
                only = {name for name in wanted[id(mutation)] if name in own or self._open(name)}
                only |= own if _for_all(mutation) else set()
                asked += [_Asked(base, mutation, frozenset(only))] if only else []
            self._compare(self._ask(crew, asked))
        hidden = [
            _Asked(base, mutation, frozenset({name}))
            for name in sorted(own)
            if (id(base), name) in self._plain
            for mutation in elsewhere(every, self._plain[id(base), name].reads)
        ]
        self._compare(self._ask(crew, hidden))

    def _open(self, name: str) -> bool:
        """Whether more is to be tried on a standard policy: its own tests have tried the rest."""
        return self.thorough or bool(self._cases[name].lacking)

    def _compare(self, answers: Iterable[tuple[_Asked, Heard]]) -> None:
        for one, heard in answers:
            for info in heard.infos:
                plain = self._plain.get((id(one.base), info.id))
                if plain is not None and one.mutation is not None:
                    self._case(info).compare(one.mutation, plain, heard.results[info.id], one.words)

    def _harder(self, crew: Crew, name: str, bases: Sequence[Base]) -> None:
        """Look for what was not seen yet, from the evidence of its tests first.

        A change after which a policy reads what it had not read before opens a
        branch of it: from there, the search goes on.
        """
        case = self._cases[name]
        file = next(file for file in self.files if name in file.policies)
        known = (*(tag.value for tag in case.info.params), *constants(file.source))
        waiting = deque((base, 0) for base in self._nearest(name, bases))
        read: set[str] = set()
        until = self.tried + MOST
        while waiting:
            base, depth = waiting.popleft()
            snapshot, reads = base.snapshot, set(self._plain[id(base), name].reads)
            read |= reads
            if not case.lacking or "error" in case.flaws or self.tried >= until:
                return
            for way in _ways(snapshot, base.data, reads, known):
                for one, heard in self._until(crew, case, base, way, until):
                    result = heard.results[name]
                    if depth < DEEP and one.mutation is not None and not read.issuperset(result.reads):
                        read.update(result.reads)
                        waiting.append((self._branch(one, one.mutation, name, result), depth + 1))

    def _branch(self, one: _Asked, mutation: Mutation, name: str, result: PolicyResult) -> Base:
        """Return changed evidence as evidence to begin with."""
        base = Base(one.words, mutation.apply(one.base.data), frozenset({name}), one.base.by_tests)
        self._branches.append(base)  # its id is a key: it must not be somebody else's
        self._plain[id(base), name] = result
        return base

    def _nearest(self, name: str, bases: Sequence[Base]) -> list[Base]:
        """Return the evidence to begin with: what it passed on, then what else it gave a judgement on."""
        order: dict[Outcome, int] = {"pass": 0, "fail": 1, "unknown": 2, "skip": 3, "error": 4}
        answered = [base for base in bases if (id(base), name) in self._plain]
        answered.sort(key=lambda base: (order[self._plain[id(base), name].outcome], not base.by_tests))
        return answered[:2]

    def _until(
        self, crew: Crew, case: Case, base: Base, mutations: Sequence[Mutation], until: int
    ) -> Iterator[tuple[_Asked, Heard]]:
        """Ask one policy until everything that it needs was seen, or enough was tried."""
        only = frozenset({case.info.id})
        for chunk in _chunks(mutations):
            if not case.lacking or "error" in case.flaws or self.tried >= until:
                return
            answers = self._ask(crew, [_Asked(base, mutation, only) for mutation in chunk])
            self._compare(answers)
            yield from answers

    def _otherwise(self, crew: Crew, name: str, case: Case, bases: Sequence[Base]) -> None:
        """Ask a policy that skips everything under other parameters: whether it is switched off, or says nothing."""
        for tag in case.info.params:
            for value in _OTHER_VALUES:
                params = {**dict(self.params.get(name, {})), tag.key: value}
                question = Question(json.dumps(bases[0].data), {name}, {name: plain(params)})
                with suppress(PolicyCodeError):  # a value of another type
                    (heard,) = crew.answer([question])
                    if heard is not None and heard.results[name].outcome == "fail":
                        case.fails_otherwise = f"{tag.key}: {_shown(value)}"
                        return


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ways(
    snapshot: Snapshot, data: Json, reads: Collection[str], known: Sequence[str]
) -> Iterator[Sequence[Mutation]]:
    """Yield what to try on one policy, the likeliest first; made only when it is asked for."""
    every = [*joint(snapshot, data), *singles(snapshot)]
    yield for_policy(every, reads)
    yield list(guesses(snapshot, data, reads, known))
    yield list(together(every, reads))


def _chunks(mutations: Sequence[Mutation]) -> Iterator[Sequence[Mutation]]:
    for start in range(0, len(mutations), CHUNK):
        yield mutations[start : start + CHUNK]


def _for_all(mutation: Mutation) -> bool:
    return mutation.kind in _FOR_ALL and (
        len(mutation.changes) > 1 or mutation.changes[0].pointer.count("/") < 3
    )
