"""The tests that authors wrote: run by pytest in a process of its own, and then asked of the gate again."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from aigate.decision import Outcome
from aigate.errors import PolicyCodeError
from aigate.isolate import Limits
from aigate.isolate.many import Crew, Question
from aigate.policy import PolicyFile
from aigate.prove import Case, Covered, Suite, cover
from aigate.testing.record import Recorded, Summary, read_records, read_summary
from aigate.trial import Base
from aigate.trial.sites import deny_sites

MOST_RUNS = 300
"""Runs of one policy in tests that are asked of the gate again."""

FOLDERS = ("tests/policies", "policies")
"""Where tests of policies stand beside a manifest."""


@dataclass(frozen=True)
class Ran:
    """What came of the tests."""

    tested: Suite
    recorded: tuple[Recorded, ...] = ()
    output: str = ""
    """What pytest said."""


@dataclass
class Repeated:
    """What the gate says to what one policy was asked in tests."""

    outcomes: set[Outcome] = field(default_factory=set)
    fired: set[int] = field(default_factory=set)
    """The lines in which it called `deny`."""


def usual_tests(folder: Path) -> tuple[Path, ...]:
    """Return the folders beside a manifest that hold tests of policies."""
    found = (folder / name for name in FOLDERS)
    return tuple(path for path in found if path.is_dir() and _has_tests(path))


def _has_tests(folder: Path) -> bool:
    return any(next(folder.rglob(pattern), None) for pattern in ("test_*.py", "*_test.py"))


def run_tests(
    tests: Sequence[Path],
    folder: Path,
    environ: Mapping[str, str],
    *,
    manifest: Path | None,
    environment: str,
) -> Ran:
    """Run tests with pytest in `folder`, and read what they asked policies.

    Where pytest is not installed they do not run, and the answer says so.
    """
    if not tests:
        return Ran(Suite(state="none", words="there are no tests of policies"))
    if find_spec("pytest") is None:
        words = f"pytest is not installed for {sys.executable}: the tests did not run"
        return Ran(Suite(state="not_run", words=words))
    with tempfile.TemporaryDirectory(prefix="aigate-test-") as scratch:
        records = Path(scratch)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "aigate_pytest", f"--aigate-record={records}"]
        command += [f"--aigate-manifest={manifest.absolute()}"] if manifest is not None else []
        command += [f"--aigate-environment={environment}", *(str(path.absolute()) for path in tests)]
        done = subprocess.run(  # noqa: S603 - the user's own tests, by the user's own pytest
            command, cwd=folder, env=dict(environ), capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
        output = (done.stdout + done.stderr).decode("utf-8", "replace")
        return Ran(_tested(done.returncode, read_summary(records)), read_records(records), output)


def _tested(code: int, summary: Summary | None) -> Suite:
    """Say how the tests ended: only pytest's own 0, with a test that passed and none left, is a pass."""
    if summary is None:
        return Suite(state="failed", words=f"pytest did not come to its end (exit code {code})")
    passed, failed = summary.passed, summary.failed
    words = f"pytest ended with exit code {code}"
    if summary.left:
        words = f"it ended before {summary.left} of the tests had run"
    elif not passed and not failed:
        words = "no test ran and passed"
    elif code == 0 and not failed:
        return Suite(state="passed", passed=passed)
    return Suite(state="failed", passed=passed, failed=failed, words=words)


def relevant(recorded: Iterable[Recorded], files: Sequence[PolicyFile]) -> tuple[Recorded, ...]:
    """Return the runs of exactly the policies in force: of the same bytes, the first few hundred each."""
    digests = {id: file.digest for file in files for id in file.policies}
    counted: dict[str, int] = {}
    found = []
    for run in recorded:
        if run.policy in digests and run.digest in (None, digests[run.policy]):
            counted[run.policy] = counted.get(run.policy, 0) + 1
            if counted[run.policy] <= MOST_RUNS:
                found.append(run)
    return tuple(found)


def bases_of(recorded: Iterable[Recorded], environment: str) -> list[Base]:
    """Return the evidence that tests used, for the policies that were asked about it."""
    asked: dict[str, set[str]] = {}
    names: dict[str, str] = {}
    for run in recorded:
        asked.setdefault(run.snapshot, set()).add(run.policy)
        names.setdefault(run.snapshot, run.test)
    found = ((text, json.loads(text)) for text in asked)
    return [
        Base(names[text], data, frozenset(asked[text]), by_tests=True)
        for text, data in found
        if data.get("environment") == environment
    ]


def repeat(
    files: tuple[PolicyFile, ...],
    params: Mapping[str, Mapping[str, object]],
    recorded: Sequence[Recorded],
    cases: Mapping[str, Case],
    *,
    limits: Limits,
    workers: int,
    tell: Callable[[], None] = lambda: None,
) -> dict[str, Repeated]:
    """Ask the gate what the tests asked, with the tests' parameters; an answer that differs is a flaw."""
    questions = [
        Question(run.snapshot, {run.policy}, {} if run.params is None else {run.policy: run.params})
        for run in recorded
    ]
    found: dict[str, Repeated] = {}
    try:
        with Crew(files, params, limits=limits, workers=workers) as crew:
            answers = crew.answer(questions, tell)
    except PolicyCodeError:  # parameters that the gate does not take from outside, such as a negative span
        answers = [None] * len(questions)
    for run, heard in zip(recorded, answers, strict=True):
        if heard is None:
            continue
        result = heard.results[run.policy]
        kept = found.setdefault(run.policy, Repeated())
        kept.outcomes.add(result.outcome)
        kept.fired.update(heard.sites.get(run.policy, ()))
        if result.outcome != run.outcome:
            words = f"{run.outcome} in {run.test}, {result.outcome} in the gate"
            cases[run.policy].flaws.setdefault("otherwise", words)
    return found


def coverage(
    files: Sequence[PolicyFile], cases: Mapping[str, Case], repeated: Mapping[str, Repeated]
) -> tuple[Covered, ...]:
    """Count what the tests have seen of every policy that is not of the standard pack."""
    found = []
    for file in files:
        sites = {} if file.standard else deny_sites(file.source)
        for id in () if file.standard else file.policies:
            seen = repeated.get(id, Repeated())
            found.append(cover(cases[id], seen.outcomes, sites.get(id, ()), seen.fired))
    return tuple(found)
