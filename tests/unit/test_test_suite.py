"""Rules for the tests themselves."""

from __future__ import annotations

import ast
import contextlib
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support import scheduling

ROOT = Path(__file__).parents[2]


def imported_names(path: Path) -> Iterator[str]:
    """Yield the full names that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def test_no_module_imports_from_a_test_module() -> None:
    """Shared code belongs in tests/support, so that you can rename or move a test on its own."""
    paths = [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in paths
        for name in imported_names(path)
        if any(part.startswith("test_") or part == "conftest" for part in name.split(".")[:-1])
    ]
    assert len(paths) > 100
    assert found == []


def embedded_scripts(path: Path) -> Iterator[ast.Module]:
    """Yield the scripts that a test passes to another process as text."""
    constants = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant))
    for text in (constant.value for constant in constants):
        if isinstance(text, str) and re.match(r"(from|import) \w", text):
            with contextlib.suppress(SyntaxError):
                yield ast.parse(text)


def test_names_that_embedded_scripts_import_exist() -> None:
    """No other tool checks these scripts: without this test a rename fails minutes later."""
    count = 0
    for path in (ROOT / "tests").rglob("*.py"):
        for script in embedded_scripts(path):
            for node in ast.walk(script):
                if isinstance(node, ast.ImportFrom) and node.module:
                    module = importlib.import_module(node.module)
                    names = [alias.name for alias in node.names if alias.name != "*"]
                    missing = [name for name in names if not hasattr(module, name)]
                    assert missing == [], f"{path.relative_to(ROOT)}: {node.module}"
                    count += 1
    assert count > 5


def test_files_that_the_scheduling_names_exist() -> None:
    assert [name for name in scheduling.named_files() if not (ROOT / name).exists()] == []
