"""The project's own files are consistent with each other."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import yaml

from jarkkit.sandbox import daemon_client

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def test_conda_installs_the_same_dependencies_as_pip() -> None:
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(item["pip"] for item in dependencies if isinstance(item, dict))
    assert sorted(pip) == sorted(PROJECT["dependencies"] + EXTRAS["sandbox"])
    assert f"python{PROJECT['requires-python']}" in dependencies


def test_every_dependency_is_pinned_with_a_hash_and_without_a_host() -> None:
    text = (ROOT / "requirements.txt").read_text()
    pinned = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", text, flags=re.MULTILINE))
    direct = [*PROJECT["dependencies"], *(each for extra in EXTRAS.values() for each in extra)]
    names = {re.split(r"[\[<>=!~ ]", item)[0].lower() for item in direct}
    assert names - pinned == set()
    assert text.count("--hash=") >= len(pinned)
    assert "://" not in text


def distributions(requirements: list[str]) -> set[str]:
    """Return the names of packages as they are imported, where the two are alike."""
    return {re.split(r"[\[<>=!~ ]", item)[0].replace("-", "_") for item in requirements}


def foreign_imports(files: Iterable[Path]) -> set[str]:
    """Return the packages that the files import, except jarkkit and the standard library."""
    called = {
        "yaml": "pyyaml", "IPython": "ipython", "botocore": "boto3", "pydantic_core": "pydantic",
        "helm_python": "helm_python_sdk",
    }  # fmt: skip
    imported = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).split(".")[0])
    known = {"jarkkit", *sys.stdlib_module_names}
    return {called.get(name, name) for name in imported - known}


def test_every_direct_import_is_a_declared_dependency() -> None:
    everything = set((ROOT / "jarkkit").rglob("*.py"))
    sandbox = set((ROOT / "jarkkit/sandbox").rglob("*.py"))
    declared = distributions(PROJECT["dependencies"])
    assert foreign_imports(everything - sandbox) - declared == set()
    assert foreign_imports(sandbox) - declared - distributions(EXTRAS["sandbox"]) == set()


def test_the_sandbox_asks_for_exactly_its_extra() -> None:
    names = {name.replace("-", "_") for name in daemon_client.EXTRA}
    assert names == distributions(EXTRAS["sandbox"])


def test_files_that_may_hold_secrets_are_not_in_git() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert [
        name for name in listed if re.search(r"tfstate|tfplan|kubeconfig(?!\.py$)|\.pem$", name)
    ] == []
