"""What a policy may do and what becomes of it: never a pass that rests on ignorance, accident or nothing."""

import asyncio
import copy
import pickle
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate import Finding, Findings, MissingEvidence, Skip, Snapshot, Unknown, deny, note, policy
from aigate.decision import PolicyResult
from aigate.errors import PolicyCodeError
from aigate.policy import CONTEXT, MOST_FINDINGS, Policy, PolicyFunction, View, say, show_params
from aigate.testing import change, missing, passing_snapshot

PASSING = passing_snapshot()
LOST = "MLflow answered 503 (registry)"
BLIND = change(PASSING, "/model", missing("MLflow answered 503", "registry"))
"""A snapshot without the registered model."""


def ask(function: PolicyFunction, snapshot: Snapshot = PASSING, **params: object) -> PolicyResult:
    function.__doc__ = function.__doc__ or "A policy."
    return policy("test.it")(function).run(snapshot, **params)


# --- what does not count as an answer ---------------------------------------------------------------------------


def test_a_policy_that_finds_nothing_in_what_it_read_passes() -> None:
    def it(s: Snapshot) -> Findings:
        if s.owner is None:
            yield deny("nobody")

    result = ask(it)
    assert (result.outcome, result.reason, result.findings) == ("pass", "", ())
    assert result.reads == ("/owner",)


async def is_async(s: Snapshot) -> None:
    """It is a coroutine, and a coroutine is true."""
    assert s.owner


async def is_async_generator(s: Snapshot) -> AsyncIterator[Finding]:
    """It yields where nobody waits."""
    assert s.owner
    yield deny("x")


def returns_a_list(s: Snapshot) -> list[Finding]:
    """It returns what it should yield."""
    return [deny("x")] if s.owner else []


def returns_nothing(s: Snapshot) -> None:
    """It returns nothing, which is no answer."""
    assert s.owner


def returns_a_generator(s: Snapshot) -> Iterator[Finding]:
    """It is not a generator itself."""
    return iter([deny("x")] if s.owner else [])


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (is_async, "it is async"),
        (is_async_generator, "it is async"),
        (returns_a_list, "it is not a generator"),
        (returns_nothing, "it is not a generator"),
        (returns_a_generator, "it is not a generator"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_no_generator_function_is_an_error(function: PolicyFunction, reason: str) -> None:
    result = ask(function)
    assert result.outcome == "error"
    assert result.reason.startswith(reason)


def test_a_policy_without_a_title_is_an_error() -> None:
    def it(s: Snapshot) -> Findings:
        if not s.owner:
            yield deny("x")

    for doc in ("", "\n \n", None):
        it.__doc__ = doc
        assert policy("test.it")(it).run(PASSING).reason == "it has no docstring: its first line is the title"


@dataclass
class Looksalike:
    message: str = "x"
    waived: str = ""


class Truth:
    def __bool__(self) -> bool:
        return True


async def a_coroutine() -> None:
    """Never awaited."""


def a_generator() -> Iterator[Finding]:
    yield deny("x")


WRONG: dict[str, Callable[[], object]] = {
    "None": lambda: None,
    "True": lambda: True,
    "False": lambda: False,
    "zero": lambda: 0,
    "text": lambda: "deny",
    "empty text": lambda: "",
    "bytes": lambda: b"deny",
    "decimal": lambda: Decimal("0.92"),
    "fraction": lambda: Fraction(1, 2),
    "a list of findings": lambda: [Finding(message="x")],
    "a tuple": lambda: (),
    "a dictionary": lambda: {"message": "x"},
    "a generator": a_generator,
    "a lambda": lambda: lambda: Finding(message="x"),
    "a truth": Truth,
    "a look-alike": Looksalike,
    "the class": lambda: Finding,
    "a result": lambda: PolicyResult(policy="test.it", outcome="pass"),
    "missing": lambda: missing("why"),
    "an exception": lambda: Skip("it does not apply"),
    "not implemented": lambda: NotImplemented,
    "ellipsis": lambda: ...,
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_what_is_not_a_finding_is_an_error(make: Callable[[], object]) -> None:
    def it(s: Snapshot) -> Any:
        assert s.owner
        yield Finding(message="before")
        yield make()

    result = ask(it)
    assert result.outcome == "error"
    assert re.fullmatch(r"it yielded \w+, not what deny\(\) makes", result.reason)
    assert [finding.message for finding in result.findings] == ["before"]


def test_a_coroutine_that_is_yielded_is_an_error() -> None:
    coroutine = a_coroutine()

    def it(s: Snapshot) -> Any:
        assert s.owner
        yield coroutine

    assert ask(it).outcome == "error"
    asyncio.run(coroutine)


def test_a_finding_of_a_subclass_is_an_error() -> None:
    class Quiet(Finding):
        pass

    def it(s: Snapshot) -> Findings:
        assert s.owner
        yield Quiet(message="x")

    assert ask(it).outcome == "error"


def test_a_finding_that_is_made_and_not_yielded_is_an_error() -> None:
    def it(s: Snapshot) -> Findings:
        if s.owner:
            deny("no escalation")
        yield from ()

    result = ask(it)
    assert (result.outcome, result.reason) == (
        "error",
        "it made a finding and did not yield it: no escalation",
    )


def test_one_of_two_equal_findings_must_not_stand_for_both() -> None:
    def it(s: Snapshot) -> Findings:
        assert s.owner
        deny("x")
        yield deny("x")

    assert ask(it).outcome == "error"


def test_a_returned_finding_is_an_error() -> None:
    def it(s: Snapshot) -> Any:
        if s.owner:
            return [deny("x")]
        yield deny("y")

    assert ask(it).outcome == "error"


def test_a_finding_may_be_yielded_later_and_in_another_order() -> None:
    def it(s: Snapshot) -> Findings:
        found = [deny(stage.name, key=stage.name) for stage in s.stages]
        yield from reversed(found)

    result = ask(it)
    assert result.outcome == "fail"
    assert [finding.key for finding in result.findings] == [
        "scoring",
        "embeddings",
        "features",
        "transactions",
    ]


def test_a_policy_cannot_waive_what_it_finds() -> None:
    def it(s: Snapshot) -> Findings:
        assert s.owner
        yield Finding(message="x", waived="by me, for ever")

    result = ask(it)
    assert (result.outcome, result.reason) == ("error", "it waived its own finding: only the gate does that")


def test_findings_without_end_are_an_error() -> None:
    def it(s: Snapshot) -> Findings:
        assert s.owner
        while True:
            yield deny("more")

    result = ask(it)
    assert (result.outcome, len(result.findings)) == ("error", MOST_FINDINGS)


# --- what it raises -----------------------------------------------------------------------------------------------


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise SystemExit(0)


class RootError(BaseException):
    """Not even an Exception."""


class CutError(Exception):
    def __str__(self) -> str:
        return "\ud800" + "x" * 30_000


RAISED: dict[str, Callable[[], BaseException]] = {
    "SystemExit 0": lambda: SystemExit(0),
    "SystemExit None": SystemExit,
    "SystemExit text": lambda: SystemExit("allow"),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "StopIteration": StopIteration,
    "StopIteration with a finding": lambda: StopIteration(Finding(message="x")),
    "StopAsyncIteration": StopAsyncIteration,
    "RecursionError": RecursionError,
    "MemoryError": MemoryError,
    "Exception": Exception,
    "BaseException": BaseException,
    "AttributeError": AttributeError,
    "LookupError": LookupError,
    "KeyError": lambda: KeyError("auc"),
    "IndexError": IndexError,
    "ZeroDivisionError": ZeroDivisionError,
    "AssertionError": AssertionError,
    "TimeoutError": TimeoutError,
    "CancelledError": asyncio.CancelledError,
    "OSError": lambda: OSError(2, "No such file"),
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    "ExceptionGroup": lambda: ExceptionGroup("many", [ValueError("x")]),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("many", [SystemExit(0)]),
    "PolicyCodeError": lambda: PolicyCodeError("not at this time"),
    "Warning": lambda: UserWarning("x"),
    "what cannot speak": SpeechlessError,
    "a root of its own": RootError,
    "long and half a character": CutError,
}


@pytest.mark.parametrize("make", RAISED.values(), ids=RAISED.keys())
def test_whatever_it_raises_is_an_error(make: Callable[[], BaseException]) -> None:
    def it(s: Snapshot) -> Findings:
        assert s.owner
        yield from ()
        raise make()

    result = ask(it)
    line = it.__code__.co_firstlineno + 3
    assert result.outcome == "error"
    assert re.match(rf"it raised \w+ in line {line}: ", result.reason), result.reason
    assert len(result.reason) < 700
    assert result.model_dump_json()


@pytest.mark.parametrize(
    "error",
    [CutError(), SpeechlessError(), RootError(), ValueError("x" * 9999)],
    ids=lambda e: type(e).__name__,
)
def test_an_exceptions_words_can_be_written_anywhere(error: BaseException) -> None:
    assert len(say(error).encode()) <= 500


def test_an_error_keeps_the_findings_that_came_before_it() -> None:
    def it(s: Snapshot) -> Findings:
        assert s.owner
        yield deny("first")
        raise ValueError("then this")

    result = ask(it)
    assert (result.outcome, [finding.message for finding in result.findings]) == ("error", ["first"])


def test_an_error_in_a_helper_of_the_same_file_is_placed_there() -> None:
    def helper(value: object) -> None:
        raise ValueError(value)

    def it(s: Snapshot) -> Findings:
        helper(s.system)
        yield from ()

    assert f"in line {helper.__code__.co_firstlineno + 1}: churn" in ask(it).reason


def test_a_policy_that_recurses_for_ever_ends() -> None:
    def deeper(n: int) -> int:
        return deeper(n + 1)

    def it(s: Snapshot) -> Findings:
        assert s.owner
        deeper(0)
        yield from ()

    assert ask(it).reason.startswith("it raised RecursionError")


# --- what it read ---------------------------------------------------------------------------------------------------


def reads_nothing(s: Snapshot) -> Findings:
    yield from ()


def reads_only_what_was_asked(s: Any) -> Findings:
    if not all([s.now, s.question, s.environment, s.system, s.alias, s.manifest_digest, s.schema_]):
        yield deny("never")


def looks_without_reading(s: Any) -> Findings:
    if not s or repr(s) == "" or not isinstance(s, Snapshot) or type(s) is Snapshot:
        yield deny("never")


@pytest.mark.parametrize(
    "function",
    [reads_nothing, reads_only_what_was_asked, looks_without_reading],
    ids=lambda f: str(f.__name__),
)
def test_a_pass_that_rests_on_no_evidence_is_an_error(function: PolicyFunction) -> None:
    result = ask(function)
    assert (result.outcome, result.reason) == ("error", "it read no evidence, so it cannot know")


def test_context_is_named_as_the_snapshot_names_it() -> None:
    assert {path[1:] for path in CONTEXT} < set(Snapshot.model_fields)
    assert ask(reads_only_what_was_asked).reads == tuple(sorted(CONTEXT))


def test_a_skip_that_rests_on_no_evidence_is_an_error() -> None:
    def it(s: Snapshot) -> Findings:
        yield from ()
        raise Skip("it does not apply")

    assert ask(it).reason == "it read no evidence, so it cannot know"


@pytest.mark.parametrize("reason", ["", "  ", None, 0, [], b"bytes"], ids=repr)
@pytest.mark.parametrize("signal", [Skip, Unknown])
def test_a_signal_without_a_reason_is_an_error(signal: type[Skip | Unknown], reason: Any) -> None:
    def it(s: Snapshot) -> Findings:
        assert s.owner
        yield from ()
        raise signal(reason)

    result = ask(it)
    outcome = "skip" if signal is Skip else "unknown"
    assert (result.outcome, result.reason) == ("error", f"it ended as {outcome} without a reason")


@pytest.mark.parametrize("signal", [Skip, Unknown])
def test_a_signal_that_is_only_named_is_an_error(signal: Any) -> None:
    def it(s: Snapshot) -> Findings:
        assert s.owner
        yield from ()
        raise signal

    assert ask(it).reason.startswith("it raised TypeError")


def test_a_skip_says_why() -> None:
    def it(s: Snapshot) -> Findings:
        assert s.owner
        yield from ()
        raise Skip("no stages are declared")

    result = ask(it)
    assert (result.outcome, result.reason, result.reads) == ("skip", "no stages are declared", ("/owner",))


def test_findings_weigh_more_than_a_skip() -> None:
    def it(s: Snapshot) -> Findings:
        assert s.owner
        yield deny("found")
        raise Skip("and yet it does not apply")

    assert ask(it).outcome == "fail"


def test_long_words_are_cut() -> None:
    def it(s: Snapshot) -> Findings:
        assert s.owner
        note("x" * 50_000)
        note("\ud800")
        yield from ()
        raise Skip("y" * 50_000)

    result = ask(it)
    assert (result.outcome, len(result.reason)) == ("skip", 2000)


def test_a_note_that_is_no_text_is_left_out() -> None:
    def it(s: Snapshot) -> Findings:
        assert s.owner
        note(None)  # type: ignore[arg-type]  # what an author may do
        note("half \ud800")
        yield from ()

    assert ask(it).reason == "half \\ud800"


# --- what is missing -------------------------------------------------------------------------------------------------


def reads_it(s: Snapshot) -> Findings:
    if s.model.name != "churn":
        yield deny("another model")


def swallows_it(s: Any) -> Findings:
    try:  # noqa: SIM105 - what an author may do
        assert s.model.name
    except:  # noqa: E722 - the same
        pass
    yield from ()


def suppresses_it(s: Any) -> Findings:
    assert s.owner
    with suppress(Exception):
        assert s.model
    yield from ()


def asks_with_a_default(s: Snapshot) -> Findings:
    if getattr(s, "model", None) is not None:
        yield deny("there is a model")


def asks_whether_it_is_there(s: Snapshot) -> Findings:
    if not hasattr(s, "model"):
        yield deny("there is no model")


def compares_the_whole(s: Any) -> Findings:
    if s != PASSING:
        yield deny("another snapshot")


def compares_with_none(s: Any) -> Findings:
    if s.challenger == None:  # noqa: E711 - what an author may do
        yield deny("nobody asks")


def looks_for_it_in_a_list(s: Snapshot) -> Findings:
    if s.challenger in [s.champion]:
        yield deny("the same")


def puts_it_in_a_set(s: Snapshot) -> Findings:
    if len({s.challenger, s.champion}) == 1:
        yield deny("the same")


def matches_it(s: object) -> Findings:
    match s:
        case Snapshot(model=model) if model.name != "churn":
            yield deny("another model")
        case _:
            pass


def copies_it(s: Any) -> Findings:
    assert s.owner
    if copy.copy(s).model is None or pickle.dumps(s):
        yield deny("copied")


def is_a_skip(s: Any) -> Findings:
    with suppress(Exception):
        assert s.model
    yield from ()
    raise Skip("there is nothing to see")


def leaves_by_return(s: Any) -> Findings:
    yield from ()
    try:
        assert s.model
    finally:
        return  # noqa: B012 - what an author may do


UNKNOWN = [
    reads_it,
    swallows_it,
    suppresses_it,
    asks_with_a_default,
    asks_whether_it_is_there,
    compares_the_whole,
    matches_it,
    is_a_skip,
    leaves_by_return,
]


@pytest.mark.filterwarnings("ignore:'return' in a 'finally':SyntaxWarning")
@pytest.mark.parametrize("function", UNKNOWN, ids=lambda f: str(f.__name__))
def test_missing_evidence_ends_a_policy_as_unknown(function: PolicyFunction) -> None:
    result = ask(function, BLIND)
    assert (result.outcome, result.reason) == ("unknown", LOST)
    assert not result.findings
    assert {"", "/model"} & set(result.reads)


@pytest.mark.parametrize(
    "function",
    [compares_with_none, looks_for_it_in_a_list, puts_it_in_a_set, copies_it],
    ids=lambda f: str(f.__name__),
)
def test_what_lies_deeper_inside_is_missing_too(function: PolicyFunction) -> None:
    """A comparison of two versions is one of all that they hold."""
    deep = change(BLIND, "/challenger/subject/artifact_digest", missing("MLflow answered 503", "registry"))
    result = ask(function, deep)
    assert result.outcome in ("unknown", "error")
    assert not result.findings


def test_a_gap_in_a_list_ends_the_walk_through_it() -> None:
    blind = change(PASSING, "/challenger/measurements", missing("MLflow answered 503", "registry"))

    def it(s: Snapshot) -> Findings:
        assert s.challenger
        for measurement in s.challenger.measurements:
            yield deny(measurement.name)

    assert (ask(it, blind).outcome, ask(it, blind).reason) == ("unknown", LOST)


def test_a_metric_that_was_never_logged_is_missing() -> None:
    def it(s: Snapshot) -> Findings:
        if s.judged.metric("auc").value < 1:
            yield deny("low")

    result = ask(it)
    assert result.outcome == "unknown"
    assert result.reason.startswith("version 2 has no metric 'auc' (it has: accuracy, ")
    assert "/challenger/metric/auc" in result.reads


def test_findings_weigh_more_than_what_is_missing_and_both_are_told() -> None:
    def it(s: Any) -> Findings:
        assert s.owner
        yield deny("found")
        assert s.model

    assert (ask(it, BLIND).outcome, ask(it, BLIND).reason) == ("fail", LOST)


def test_an_error_weighs_more_than_what_is_missing() -> None:
    def it(s: Any) -> Findings:
        with suppress(Exception):
            assert s.model
        yield from ()
        raise ValueError("x")

    assert ask(it, BLIND).outcome == "error"


def test_missing_evidence_says_where_and_why() -> None:
    caught: list[MissingEvidence] = []

    def it(s: Any) -> Findings:
        try:
            assert s.model
        except MissingEvidence as e:
            caught.append(e)
        yield from ()

    ask(it, BLIND)
    assert (caught[0].path, caught[0].gap.missing) == ("/model", "MLflow answered 503")
    assert isinstance(caught[0], LookupError)
    assert not isinstance(caught[0], AttributeError)


GAPS = [
    "/model",
    "/challenger",
    "/champion",
    "/challenger/run",
    "/challenger/measurements",
    "/challenger/subject/artifact_digest",
    "/stages/features/age",
    "/stages/features/freshness",
    "/end_to_end/age",
    "/runbooks/0/exists",
    "/comparisons/0/rows",
]


@settings(deadline=None, max_examples=60)
@given(gaps=st.sets(st.sampled_from(GAPS), min_size=1), swallow=st.booleans())
def test_no_policy_that_met_a_gap_passes(gaps: set[str], swallow: bool) -> None:
    """Whatever is missing and however it is swallowed: a walk through everything does not pass."""
    snapshot = PASSING
    for gap in sorted(gaps, key=len, reverse=True):
        with suppress(KeyError):
            snapshot = change(snapshot, gap, missing("gone"))

    def walk(value: Any, depth: int = 0) -> None:
        if isinstance(value, tuple):
            for item in value:
                walk(item, depth + 1)
        elif issubclass(type(value), View):
            for name in type(value._at[0]).model_fields:
                try:
                    walk(getattr(value, name), depth + 1)
                except Unknown:
                    if not swallow:
                        raise

    def it(s: Snapshot) -> Findings:
        walk(s)
        yield from ()

    result = ask(it, snapshot)
    assert (result.outcome, result.reason) == ("unknown", "gone (test)")


# --- the view ---------------------------------------------------------------------------------------------------------


def seen(function: Callable[[Snapshot], object], snapshot: Snapshot = PASSING) -> tuple[str, ...]:
    def it(s: Snapshot) -> Findings:
        function(s)
        yield from ()

    return ask(it, snapshot).reads


READS: dict[str, tuple[Callable[[Any], object], tuple[str, ...]]] = {
    "a fact": (lambda s: s.owner.team, ("/owner/team",)),
    "that a part is there": (lambda s: s.owner is None, ("/owner",)),
    "a part and then a fact of it": (lambda s: s.owner and s.owner.contact, ("/owner/contact",)),
    "None": (lambda s: s.challenger.stage, ("/challenger/stage",)),
    "a list": (lambda s: len(s.stages), ("/stages",)),
    "one of a list, by name": (lambda s: s.stages[1].age, ("/stages", "/stages/features/age")),
    "one of a list without names": (lambda s: s.runbooks[0].path, ("/runbooks", "/runbooks/0/path")),
    "a property": (lambda s: s.judged.status, ("/challenger/status", "/question")),
    "a property of a part": (
        lambda s: s.stages[0].limit,
        ("/stages", "/stages/transactions/limit", "/stages/transactions/promise/value"),
    ),
    "a method": (
        lambda s: s.challenger.metric("accuracy").value,
        (
            "/challenger/measurements",
            "/challenger/measurements/accuracy/name",
            "/challenger/measurements/accuracy/value",
        ),
    ),
    "a method with a named argument": (
        lambda s: s.model.tag(key="owner"),
        ("/model/tag/owner", "/model/tags", "/model/tags/owner/key", "/model/tags/owner/value"),
    ),
    "a method that finds nothing": (
        lambda s: s.challenger.run.param("a/b~c"),
        (
            "/challenger/run/param/a~1b~0c",
            "/challenger/run/params",
            "/challenger/run/params/embedding_model/key",
            "/challenger/run/params/retrieval_confidence/key",
        ),
    ),
    "a whole part, to compare it": (lambda s: s.owner == s.owner, ("/owner",)),
    "a dictionary": (
        lambda s: s.metrics[0].rule.slices["new"].floor.value,
        ("/metrics", "/metrics/accuracy/rule/slices", "/metrics/accuracy/rule/slices/new/floor/value"),
    ),
    "the same thing twice": (lambda s: (s.alias, s.owner.team, s.owner.team), ("/alias", "/owner/team")),
}


@pytest.mark.parametrize(("function", "paths"), READS.values(), ids=READS.keys())
def test_what_was_read_is_noted_exactly(function: Callable[[Any], object], paths: tuple[str, ...]) -> None:
    assert seen(function) == paths


def test_a_name_with_a_slash_is_one_step() -> None:
    def it(s: Any) -> object:
        return s.challenger.metric("correctness/mean").step

    assert "/challenger/measurements/correctness~1mean/step" in seen(it)


def test_a_view_is_what_it_shows() -> None:
    def it(s: Any) -> Findings:
        assert isinstance(s, Snapshot)
        s = cast(Any, s)
        assert s.owner == PASSING.owner
        assert s.owner != s.model
        assert s.owner != "retention-platform"
        assert s.stages[0] in s.stages
        assert s.stages[0] == s.stage("transactions")
        assert len({s.stages[0], s.stage("transactions"), s.stages[1]}) == 2
        assert repr(s.owner) == "<Owner /owner>"
        match s.champion:
            case None:
                yield deny("no champion")
            case _:
                pass

    assert ask(it).outcome == "pass"


def test_equal_parts_are_one_in_a_set() -> None:
    """The data that both versions were measured on are the same data, wherever they are read."""

    def it(s: Snapshot) -> Findings:
        assert s.challenger
        assert s.champion
        data = {version.metric("accuracy").dataset for version in (s.challenger, s.champion)}
        if len(data) > 1:
            yield deny("measured on different data")

    assert ask(it).outcome == "pass"


FORBIDDEN: dict[str, Callable[[Any], object]] = {
    "set a fact": lambda s: setattr(s.owner, "team", "mine"),
    "set a part": lambda s: setattr(s, "owner", None),
    "set something new": lambda s: setattr(s, "extra", 1),
    "delete a fact": lambda s: delattr(s, "owner"),
    "become another class": lambda s: setattr(s, "__class__", object),
    "dump the model": lambda s: s.model_dump(),
    "copy the model with changes": lambda s: s.model_copy(update={"owner": None}),
    "make one that was never validated": lambda s: s.model_construct(),
    "reach for the fields": lambda s: s.__pydantic_fields__,
    "write into the fields": lambda s: s.__fields_set__.add("x"),
    "iterate over it": lambda s: list(s),
    "index it": lambda s: s["owner"],
    "call it": lambda s: s(),
    "order it": lambda s: sorted([s.owner, s.owner]),
    "what is not there": lambda s: s.ownr,
    "old pydantic's copy": lambda s: s.copy(),
    "old pydantic's dump": lambda s: s.dict(),
    "change a list": lambda s: s.stages.append(1),
    "replace in a list": lambda s: s.stages.__setitem__(0, None),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("act", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_a_snapshot_is_read_only_and_shows_its_facts_alone(act: Callable[[Any], object]) -> None:
    def it(s: Snapshot) -> Findings:
        assert s.owner
        act(s)
        yield from ()

    result = ask(it)
    assert result.outcome == "error", result
    assert re.match(r"it raised (TypeError|AttributeError)", result.reason), result.reason
    assert passing_snapshot() == PASSING


def test_changing_what_a_dictionary_gave_changes_nothing() -> None:
    def it(s: Snapshot) -> Findings:
        slices = s.metrics[0].rule.slices
        slices.clear()
        if len(s.metrics[0].rule.slices) != 2:
            yield deny("it was changed")

    assert ask(it).outcome == "pass"


def test_policies_do_not_see_each_others_reads() -> None:
    def first(s: Snapshot) -> Findings:
        assert s.owner
        yield from ()

    def second(s: Snapshot) -> Findings:
        assert s.stages
        yield from ()

    assert (ask(first).reads, ask(second).reads, ask(first).reads) == (("/owner",), ("/stages",), ("/owner",))


def test_a_policy_that_runs_another_keeps_its_own_account() -> None:
    def inner(s: Snapshot) -> Findings:
        assert s.owner
        yield deny("inner")

    def outer(s: Snapshot) -> Findings:
        if ask(inner).outcome != "fail" or not s.stages:
            yield deny("never")

    result = ask(outer)
    assert (result.outcome, result.reads) == ("pass", ("/stages",))


def test_what_a_policy_makes_after_it_ran_another_is_still_its_own() -> None:
    def outer(s: Snapshot) -> Findings:
        assert ask(reads_nothing).outcome == "error"
        if s.stages:
            deny("lost")
        yield from ()

    assert ask(outer).outcome == "error"


def test_the_models_own_methods_are_not_part_of_what_it_shows() -> None:
    def it(s: Snapshot) -> Findings:
        assert s.model_dump()
        yield from ()

    assert ask(it).reason.endswith("Snapshot has no 'model_dump'")


# --- findings ------------------------------------------------------------------------------------------------------------


def test_deny_writes_values_as_people_read_them() -> None:
    finding = deny(
        "late",
        key="features",
        fix="run it",
        owner=None,
        value=timedelta(hours=12, minutes=5),
        limit=Decimal("0.90"),
    )
    assert (finding.value, finding.limit, finding.owner) == ("12h 05m", "0.90", "")
    assert deny("x", value=3, limit=date(2026, 8, 2)).limit == "2026-08-02"


@pytest.mark.parametrize("message", [None, 5, b"x", ["x"]], ids=repr)
def test_a_finding_needs_words(message: Any) -> None:
    def it(s: Snapshot) -> Findings:
        assert s.owner
        yield deny(message)

    assert ask(it).reason.startswith("it raised ValidationError")


def test_outside_of_a_run_deny_only_makes() -> None:
    assert deny("x") == Finding(message="x")


# --- parameters -----------------------------------------------------------------------------------------------------------


def typed(
    s: Snapshot,
    *,
    span: timedelta = timedelta(hours=1),
    number: Decimal = Decimal("0.1"),
    whole: int = 1,
    yes: bool = False,
    text: str = "a",
    texts: tuple[str, ...] = ("x",),
) -> Findings:
    """It has one of each."""
    assert s.owner
    yield deny(repr((span, number, whole, yes, text, texts)))


TYPED = policy("test.typed")(typed)
DEFAULTS = {
    "span": timedelta(hours=1),
    "number": Decimal("0.1"),
    "whole": 1,
    "yes": False,
    "text": "a",
    "texts": ("x",),
}

FITTING: dict[str, tuple[str, object, object]] = {
    "span from text": ("span", "90m", timedelta(minutes=90)),
    "span from iso": ("span", "P90D", timedelta(days=90)),
    "span": ("span", timedelta(1), timedelta(1)),
    "number from text": ("number", "0.010", Decimal("0.010")),
    "number from a whole one": ("number", 2, Decimal(2)),
    "number": ("number", Decimal("0.02"), Decimal("0.02")),
    "whole": ("whole", 7, 7),
    "whole from a decimal": ("whole", Decimal("7.0"), 7),
    "truth": ("yes", True, True),
    "text": ("text", "5m", "5m"),
    "texts from a list": ("texts", ["a", "b"], ("a", "b")),
    "no texts": ("texts", (), ()),
}


@pytest.mark.parametrize(("name", "given_", "expected"), FITTING.values(), ids=FITTING.keys())
def test_a_parameter_is_brought_to_its_type(name: str, given_: object, expected: object) -> None:
    bound = TYPED.bind({name: given_})
    assert bound == {**DEFAULTS, name: expected}
    assert type(bound[name]) is type(expected)
    assert repr(expected) in TYPED.run(PASSING, **{name: given_}).findings[0].message


UNFIT: dict[str, tuple[str, object]] = {
    "span of words": ("span", "soon"),
    "span of a number": ("span", 5),
    "span with a sign": ("span", "-5m"),
    "number of words": ("number", "many"),
    "number nan": ("number", "NaN"),
    "number infinite": ("number", Decimal("Infinity")),
    "number with underscores": ("number", "1_0"),
    "number with spaces": ("number", " 1 "),
    "number of other digits": ("number", "١"),
    "number of truth": ("number", True),
    "number of float": ("number", 0.1),
    "whole of text": ("whole", "7"),
    "whole of a fraction": ("whole", Decimal("7.5")),
    "whole of truth": ("whole", True),
    "whole of nan": ("whole", Decimal("NaN")),
    "truth of text": ("yes", "yes"),
    "truth of a number": ("yes", 1),
    "text of a number": ("text", Decimal("1.5")),
    "text of none": ("text", None),
    "texts of text": ("texts", "ab"),
    "texts of numbers": ("texts", (1, 2)),
}


@pytest.mark.parametrize(("name", "value"), UNFIT.values(), ids=UNFIT.keys())
def test_a_parameter_that_does_not_fit_is_refused(name: str, value: object) -> None:
    with pytest.raises(PolicyCodeError, match=f"^policy test.typed, parameter {name}: "):
        TYPED.bind({name: value})


def test_an_unknown_parameter_is_refused_and_the_known_are_named() -> None:
    with pytest.raises(PolicyCodeError, match="has no parameter 'spam'") as caught:
        TYPED.bind({"spam": 1})
    assert caught.value.fix == "its parameters: span, number, whole, yes, text, texts"
    with pytest.raises(PolicyCodeError) as caught:
        policy("test.none")(reads_nothing_documented).bind({"spam": 1})
    assert caught.value.fix == "its parameters: none"


def reads_nothing_documented(s: Snapshot) -> Findings:
    """It reads nothing."""
    yield from ()


def test_binding_changes_no_default() -> None:
    TYPED.bind({"whole": 9})
    assert TYPED.bind({}) == DEFAULTS


def test_parameters_are_shown_sorted_and_as_text() -> None:
    shown = [(tag.key, tag.value) for tag in show_params(TYPED.bind({"texts": ("a", "b")}))]
    assert shown == [
        ("number", "0.1"),
        ("span", "1h"),
        ("text", "a"),
        ("texts", "a, b"),
        ("whole", "1"),
        ("yes", "False"),
    ]


def untyped(s, *, a=1):  # type: ignore[no-untyped-def]  # what is refused
    """A."""
    yield


def without_default(s: Snapshot, *, a: int) -> Findings:
    """A."""
    yield deny("x")


def of_a_strange_type(s: Snapshot, *, a: float = 0.5) -> Findings:
    """A."""
    yield deny("x")


def of_an_optional_type(s: Snapshot, *, a: int | None = None) -> Findings:
    """A."""
    yield deny("x")


def with_two_snapshots(s: Snapshot, t: Snapshot) -> Findings:
    """A."""
    yield deny("x")


def with_no_snapshot() -> Findings:
    """A."""
    yield deny("x")


def with_anything(s: Snapshot, **more: int) -> Findings:
    """A."""
    yield deny("x")


def with_a_default_of_another_type(s: Snapshot, *, a: Decimal = 0.5) -> Findings:  # type: ignore[assignment]  # the same
    """A."""
    yield deny("x")


def with_a_broken_annotation(s: "Nowhere") -> Findings:  # type: ignore[name-defined]  # noqa: F821 - the same
    """A."""
    yield deny("x")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (untyped, "parameter 'a' needs a default and one of the types"),
        (without_default, "parameter 'a' needs a default and one of the types"),
        (of_a_strange_type, "parameter 'a' needs a default and one of the types"),
        (of_an_optional_type, "parameter 'a' needs a default and one of the types"),
        (with_two_snapshots, "must take one snapshot"),
        (with_no_snapshot, "must take one snapshot"),
        (with_anything, "must take one snapshot"),
        (with_a_default_of_another_type, "parameter a: not a number"),
        (with_a_broken_annotation, "its annotations cannot be read"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_signature_that_cannot_be_bound_is_refused_at_once(function: PolicyFunction, message: str) -> None:
    with pytest.raises(PolicyCodeError, match=re.escape(message)):
        policy("test.it")(function)


@pytest.mark.parametrize("words", [{"severity": "urgent"}, {"blames": "them"}, {"severity": None}], ids=str)
def test_a_word_that_is_not_one_of_ours_is_refused_at_once(words: Any) -> None:
    with pytest.raises(PolicyCodeError, match="is not one of"):
        policy("test.it", **words)(reads_nothing)


def test_the_docstring_is_title_and_detail() -> None:
    def it(s: Snapshot) -> Findings:
        """Every stage has an owner.

        When a stage is late, the person on call
        needs a name.
        """
        yield from ()

    made = policy("ownership.stages", severity="critical", blames="data", url="https://x.example")(it)
    assert isinstance(made, Policy)
    assert (made.title, made.detail) == (
        "Every stage has an owner.",
        "When a stage is late, the person on call\nneeds a name.",
    )
    assert (made.id, made.severity, made.blames, made.url) == (
        "ownership.stages",
        "critical",
        "data",
        "https://x.example",
    )


def test_a_traceback_hook_is_no_way_out() -> None:
    """What a policy sets in `sys` for errors is never asked: errors are answers, not crashes."""
    before = sys.excepthook

    def it(s: Snapshot) -> Findings:
        assert s.owner
        sys.excepthook = lambda *a: None
        yield from ()
        raise ValueError("x")

    try:
        assert ask(it).outcome == "error"
    finally:
        sys.excepthook = before
