"""The pytest plugin of aigate: fixtures for tests of policies.

It stands beside the package and not in it: pytest imports every plugin that is
installed, in every project, and this one costs nothing until a fixture is used.

    def test_stale_features(gate, passing) -> None:
        stale = change(passing, "/stages/features/age", timedelta(hours=12))
        assert gate.run("freshness.stage", stale).outcome == "fail"
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aigate.snapshot import Snapshot
    from aigate.testing import Gate
    from aigate.testing.record import Recorder

_RECORDER: pytest.StashKey[Recorder] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that `aigate test` sets."""
    group = parser.getgroup("aigate", "policies of aigate")
    group.addoption(
        "--aigate-manifest",
        metavar="FILE",
        help="The manifest whose policies the fixture `gate` runs.  [default: the nearest aigate.yaml]",
    )
    group.addoption(
        "--aigate-environment",
        metavar="NAME",
        default="production",
        help="Whose levels and parameters apply.",
    )
    group.addoption(
        "--aigate-record", metavar="FOLDER", help="Write down every run of a policy; `aigate test` reads it."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin to write down what policies are asked, where that is wanted."""
    if folder := config.getoption("--aigate-record"):
        from aigate.testing.record import Recorder

        config.stash[_RECORDER] = recorder = Recorder(Path(folder))
        recorder.start()
        if not hasattr(config, "workerinput"):
            config.pluginmanager.register(_Count(recorder))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop writing down."""
    if _RECORDER in config.stash:
        config.stash[_RECORDER].stop()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say which test is running."""
    if _RECORDER in item.config.stash:
        item.config.stash[_RECORDER].test = item.nodeid


class _Count:
    """Counts how tests ended; only the process that reports has one."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.passed: set[str] = set()
        self.ended = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test as passed by its call alone."""
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)

    def pytest_runtest_logfinish(self) -> None:
        """Count every test that came to its end."""
        self.ended += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write it down. Tests that another process collected are not counted again."""
        spread = session.config.pluginmanager.hasplugin("dsession")
        left = 0 if spread else session.testscollected - self.ended
        self.recorder.finish(len(self.passed), session.testsfailed, left)


@pytest.fixture
def passing() -> Snapshot:
    """A snapshot on which everything is well: change one fact of it with `aigate.testing.change`."""
    from aigate.testing import passing_snapshot

    return passing_snapshot()


@pytest.fixture(scope="session")
def _aigate_gates() -> Iterator[dict[tuple[Path | None, str], Gate]]:
    """Every gate that was opened in this session, by manifest and environment."""
    gates: dict[tuple[Path | None, str], Gate] = {}
    yield gates
    for gate in gates.values():
        gate.close()


@pytest.fixture
def gate(request: pytest.FixtureRequest, _aigate_gates: dict[tuple[Path | None, str], Gate]) -> Gate:
    """The policies in force by the nearest manifest, run exactly as the gate runs them."""
    from aigate.testing import Gate
    from aigate.testing.runner import find_manifest

    named = request.config.getoption("--aigate-manifest")
    manifest = Path(named).absolute() if named else find_manifest(request.path)
    key = (manifest, request.config.getoption("--aigate-environment"))
    if key not in _aigate_gates:
        _aigate_gates[key] = Gate(*key)
    return _aigate_gates[key]
