"""The project's own files agree with each other."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_conda_brings_what_pip_does() -> None:
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(item["pip"] for item in dependencies if isinstance(item, dict))
    assert sorted(pip) == sorted(PROJECT["dependencies"])
    assert f"python{PROJECT['requires-python']}" in dependencies


def test_every_dependency_is_pinned_with_a_hash_and_no_host_is_named() -> None:
    text = (ROOT / "requirements.txt").read_text()
    pinned = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", text, flags=re.MULTILINE))
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    names = {re.split(r"[\[<>=!~ ]", item)[0].lower() for item in wanted}
    assert names - pinned == set()
    assert text.count("--hash=") >= len(pinned)
    assert "://" not in text


def test_every_direct_import_is_a_declared_dependency() -> None:
    names = (re.split(r"[\[<>=!~ ]", item)[0] for item in PROJECT["dependencies"])
    declared = {name.replace("-", "_") for name in names}
    called = {
        "yaml": "pyyaml", "IPython": "ipython", "botocore": "boto3", "pydantic_core": "pydantic",
        "helm_python": "helm_python_sdk",
    }  # fmt: skip
    imported = set()
    for path in (ROOT / "jarkkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).split(".")[0])
    foreign = {called.get(n, n) for n in imported if n not in sys.stdlib_module_names}
    assert foreign - declared - {"jarkkit"} == set()


def test_terraforms_readme_names_every_variable_and_output() -> None:
    readme = (ROOT / "terraform" / "README.md").read_text()
    for kind in ("variable", "output"):
        text = (ROOT / "terraform" / f"{kind}s.tf").read_text()
        for name in re.findall(rf'^{kind} "([a-z_0-9]+)"', text, flags=re.MULTILINE):
            assert f"`{name}`" in readme, f"terraform/README.md does not name {kind} {name}"


def test_nothing_that_may_hold_a_secret_is_in_git() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert [name for name in listed if re.search(r"tfstate|tfplan|kubeconfig|\.pem$", name)] == []
