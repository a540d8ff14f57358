"""Makes skipped tests fail: a run that is to show that everything works must run everything.

A plugin of pytest, which tests/conftest.py registers while the environment has NO_SKIPS.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import pytest

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)


# First, so that the report is the one of all other plugins: an expected failure is a skip before.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that was skipped."""
    return _without_skip((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a module that was skipped."""
    return _without_skip((yield))


def _without_skip(report: R) -> R:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, and NO_SKIPS is set. {reason}"
    return report
