"""Rules for the notebooks: little code, more prose, a check at the end, no saved output."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jarkkit.headless.runner import known_parameters
from jarkkit.ports.paths import notebooks_folder

NOTEBOOKS = sorted(notebooks_folder().glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]


def cells(path: Path, kind: str) -> list[Any]:
    return [c for c in nbformat.read(str(path), as_version=4).cells if c.cell_type == kind]


def test_the_notebooks_are_complete() -> None:
    assert NAMES == [
        "00-start", "01-preflight", "02-configure", "03-plan", "04-deploy", "05-verify", "06-use",
        "07-troubleshoot", "08-cleanup",
    ]  # fmt: skip


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
class TestEveryNotebook:
    def test_has_one_cell_of_parameters_each_explained(self, path: Path) -> None:
        tagged = [c for c in cells(path, "code") if "parameters" in c.metadata.get("tags", [])]
        assert len(tagged) == 1
        for line in tagged[0].source.splitlines():
            assert re.match(r"^[a-z_]+ = .+  # .+$", line), line
        assert "deployment" in known_parameters(path)

    def test_has_short_cells_without_control_flow(self, path: Path) -> None:
        for cell in cells(path, "code"):
            tree = ast.parse(cell.source)  # magics and shell lines would not parse
            forbidden = ast.FunctionDef | ast.ClassDef | ast.For | ast.While | ast.Try | ast.Lambda
            assert not [node for node in ast.walk(tree) if isinstance(node, forbidden)]
            modules = {
                alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names
            }
            assert modules <= {"jarkkit"}
            assert len(tree.body) <= 4, cell.source

    def test_has_more_prose_than_code(self, path: Path) -> None:
        prose = sum(len(c.source) for c in cells(path, "markdown"))
        assert prose > 2 * sum(len(c.source) for c in cells(path, "code"))

    def test_ends_with_a_check_and_the_next_step(self, path: Path) -> None:
        assert "ui.check(" in cells(path, "code")[-1].source
        end = cells(path, "markdown")[-1].source
        for words in ("What you now have", "If it failed", "Exercise", "Solution", ".ipynb)"):
            assert words in end

    def test_has_no_output(self, path: Path) -> None:
        for cell in cells(path, "code"):
            assert not cell.outputs
            assert cell.execution_count is None

    def test_links_to_notebooks_that_exist(self, path: Path) -> None:
        text = "".join(c.source for c in cells(path, "markdown"))
        for linked in re.findall(r"\]\(([^)/]+\.ipynb)\)", text):
            assert (path.parent / linked).is_file()
