"""The public names of the package: few, importable, and loaded on first use."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jarkkit

ROOT = Path(__file__).parents[2]


def test_every_public_name_is_there_and_described() -> None:
    page = (ROOT / "docs" / "library.md").read_text()
    for name in jarkkit.__all__:
        assert getattr(jarkkit, name)
        assert name in dir(jarkkit)
        assert f"`{name}`" in page
    assert len(jarkkit.__all__) <= 12


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Kit'"):
        jarkkit.Kit  # noqa: B018


def test_an_import_loads_nothing_else() -> None:
    program = (
        "import sys, jarkkit\n"
        "loaded = [m for m in sys.modules if m.startswith(('jarkkit.', 'pydantic', 'boto'))]\n"
        "assert not loaded, loaded\n"
        "from jarkkit import JarkkitError\n"
        "assert 'jarkkit.deployment' not in sys.modules\n"
        "from jarkkit import Deployment, Settings"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, cwd=ROOT)


def test_the_types_are_those_that_are_loaded() -> None:
    """What a type checker reads in `if TYPE_CHECKING` and what `__getattr__` does agree."""
    source = ast.parse((ROOT / "jarkkit" / "__init__.py").read_text())
    typed = {
        alias.name: str(node.module).removeprefix("jarkkit.")
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom)
        and node.module != "typing"
        and node.module != "importlib"
        for alias in node.names
    }
    assert typed == jarkkit._MODULES
    assert {*typed, "__version__"} == set(jarkkit.__all__)


def test_no_module_of_the_package_imports_the_public_names() -> None:
    """That would be a cycle: the package imports them from the modules."""
    for path in (ROOT / "jarkkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "jarkkit":
                names = {alias.name for alias in node.names}
                assert not names & set(jarkkit._MODULES), path


def test_the_changelog_begins_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## (\S+)", text, re.MULTILINE)[0] == jarkkit.__version__
