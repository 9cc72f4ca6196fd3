"""A pytest plugin: where AIGATE_FORBID_SKIPS is 1, a test that skips has failed.

A skip says "not here, not now", which on one's own machine is a fair answer.
In continuous integration it is the way a test stops running without anybody
noticing. An expected failure (xfail) is no skip.
"""

import os
from collections.abc import Generator

import pytest

VARIABLE = "AIGATE_FORBID_SKIPS"


def pytest_configure(config: pytest.Config) -> None:
    """Register the hooks that turn skips into failures, where that is asked for."""
    if os.environ.get(VARIABLE) == "1":
        config.pluginmanager.register(_Forbid())


class _Forbid:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.skipped and not hasattr(report, "wasxfail"):
            report.outcome, report.longrepr = "failed", _refusal(report.longrepr)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if report.skipped:
            report.outcome, report.longrepr = "failed", _refusal(report.longrepr)
        return report


def _refusal(longrepr: object) -> str:
    """Say what was skipped and why, in place of the skip's (file, line, reason)."""
    told = f"{longrepr[2]} ({longrepr[0]}:{longrepr[1]})" if isinstance(longrepr, tuple) else str(longrepr)
    return f"{told}: a skip is a failure where {VARIABLE} is 1"
