"""The tests of the library need no package that only the extra `sandbox` brings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_they_can_be_imported_without_these_packages(pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("without_sandbox"):
        pytest.skip("this run shows it")
    line = [sys.executable, "-m", "pytest", "--without-sandbox", "--collect-only", "-qq", "tests"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    files = {name.partition(":")[0] for name in done.stdout.splitlines()}
    assert "tests/unit/test_settings.py" in files
    assert "tests/kit/test_steps.py" in files
    assert not [name for name in files if name.startswith("tests/unit/sandbox/")]
