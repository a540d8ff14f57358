"""With NO_SKIPS, which CI sets, a skipped test fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# With this option the only test of the file is skipped.
SKIPPED = ("--without-sandbox", "tests/unit/test_without_sandbox.py")


def run(*words: str, folder: Path = ROOT, **variables: str) -> tuple[int, str]:
    """Run pytest in the folder; return its exit code and output."""
    environ = {name: value for name, value in os.environ.items() if name != "NO_SKIPS"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_ci_sets_it() -> None:
    assert "NO_SKIPS=1 make test" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_a_skipped_test_passes_without_it() -> None:
    assert run(*SKIPPED)[0] == 0


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_skipped_test_fails_with_it(workers: str) -> None:
    code, output = run("-n", workers, *SKIPPED, NO_SKIPS="1")
    name = "tests/unit/test_without_sandbox.py::test_they_can_be_imported_without_these_packages"
    assert code == 1
    assert f"{name} was skipped, and NO_SKIPS is set. Skipped: this run shows it" in output


def test_only_expected_failures_are_not_skips(tmp_path: Path) -> None:
    (tmp_path / "test_marks.py").write_text("""
import pytest

@pytest.mark.xfail
def test_expected():
    assert False

def test_found():
    pytest.xfail("known")

@pytest.mark.skip(reason="a mark")
def test_marked():
    pass
""")
    (tmp_path / "test_module.py").write_text("""
import pytest

pytest.skip("a module", allow_module_level=True)
""")
    plugin = ("-p", "tests.support.no_skips", "-n", "0")
    code, output = run(*plugin, "test_marks.py", folder=tmp_path)
    assert code == 1
    assert "test_marks.py::test_marked was skipped, and NO_SKIPS is set. Skipped: a mark" in output
    assert "2 xfailed" in output
    code, output = run(*plugin, "test_module.py", folder=tmp_path)
    assert code == 2  # interrupted
    assert "test_module.py was skipped, and NO_SKIPS is set. Skipped: a module" in output
