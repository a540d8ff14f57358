"""Which tests stay together on one worker, and which tests run first."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

# Files with a shared, costly fixture form one unit of work: otherwise each worker would create the
# fixture again. They run in this order: some tests create a minimal copy of a custom resource
# definition that the operators, at the end, install in full.
_TOGETHER = {
    "the shared cluster": (
        "tests/clusters/test_stages.py",
        "tests/clusters/test_access.py",
        "tests/clusters/test_addons.py",
        "tests/clusters/test_helm.py",
        "tests/clusters/test_kube.py",
        "tests/clusters/test_load_balancers.py",
        "tests/clusters/test_nodes.py",
        "tests/clusters/test_processes.py",
        "tests/clusters/test_simulated_services.py",
        "tests/clusters/test_volumes.py",
        "tests/clusters/test_karpenter.py",
        "tests/clusters/test_operators.py",
    ),
    "the contract": ("tests/contract/",),
}
# Long files whose classes, or tests without a class, share nothing: each is a unit.
_APART = ("tests/e2e/test_failures.py", "tests/e2e/test_journey.py", "tests/e2e/test_killed.py")
# The longest units start first, so that no worker is left alone with one at the end.
_FIRST = (
    "the shared cluster",
    "tests/e2e/",
    "tests/browser/",
    "the contract",
    "tests/clusters/",
    "tests/sandbox/",
)


def unit_of(nodeid: str) -> str:
    """Return the unit of work of a test: its file, unless a table above says otherwise."""
    file, *inside = nodeid.split("::")
    for unit, starts in _TOGETHER.items():
        if file.startswith(starts):
            return unit
    return f"{file}::{inside[0]}" if file in _APART else file


def rank(nodeid: str) -> tuple[int, int]:
    """Return the place of a test in the order of the run; what is not named above is last."""
    unit = unit_of(nodeid)
    first = next((at for at, start in enumerate(_FIRST) if unit.startswith(start)), len(_FIRST))
    files = _TOGETHER.get(unit, ())
    return first, next((at for at, file in enumerate(files) if nodeid.startswith(file)), 0)


def named_files() -> set[str]:
    """Return every file and folder that is named above."""
    together = {name for names in _TOGETHER.values() for name in names}
    return together | {*_APART} | {name for name in _FIRST if name not in _TOGETHER}


class ByUnit(LoadScopeScheduling):  # type: ignore[misc]
    """Assign units of work to workers, in the order of their first tests."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False  # not by their number of tests
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
