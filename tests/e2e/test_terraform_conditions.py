"""The tests of the shipped configuration itself, terraform/tests/, and proof that they can fail.

Their provider is mocked, but Terraform starts the real one for its schema, three times per run. So
the tests of variables, which need no resource, run in a folder without any.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from jarkkit.ports.paths import terraform_folder
from jarkkit.ports.provider import lock_file
from jarkkit.ports.terraform import Terraform
from jarkkit.ports.workspace import Workspace
from jarkkit.settings import Settings
from tests.support.account import CLEAN

SOURCE = terraform_folder()
CONDITION = re.compile(r"^( +condition += )(.+)$", re.MULTILINE)
MOCKED_PROVIDER = re.compile(r'^mock_provider "aws" \{.*?^\}\n', re.MULTILINE | re.DOTALL)
UNNOTICED = "Missing expected failure"


def conditions(*files: Path) -> list[tuple[str, int]]:
    """Return the file and number of every condition of the configuration."""
    return [
        (str(file.relative_to(SOURCE)), number)
        for file in files
        for number, _ in enumerate(CONDITION.finditer(file.read_text()))
    ]


VARIABLES = sorted(SOURCE.rglob("variables.tf"))
VALIDATIONS = conditions(*VARIABLES)
POSTCONDITIONS = conditions(*sorted(set(SOURCE.rglob("*.tf")) - set(VARIABLES)))


def run(program: str, folder: Path, tests: str) -> str:
    """Run one file of tests. Return what Terraform printed."""
    done = subprocess.run(
        [program, "test", "-no-color", f"-filter=tests/{tests}.tftest.hcl"],
        cwd=folder,
        env={**CLEAN, "CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def assert_passed(output: str) -> None:
    assert re.search(r"^Success! [1-9]\d* passed, 0 failed", output, re.MULTILINE), output


def allow_everything(file: Path, number: int) -> None:
    """Let the condition with that number in a file hold for every value."""
    text = file.read_text()
    found = list(CONDITION.finditer(text))[number]
    always = f"{found[1]}true || ({found[2]})"
    file.write_text(text[: found.start()] + always + text[found.end() :])


def with_variables_only(program: str, folder: Path) -> Path:
    """Copy the declarations of variables with their tests into a folder."""
    for file in (*VARIABLES, SOURCE / "tests/variables.tftest.hcl"):
        copy = folder / file.relative_to(SOURCE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        # OpenTofu asks for a provider that is mocked, also where no resource needs it.
        copy.write_text(MOCKED_PROVIDER.sub("", file.read_text()))
    init = [program, "init", "-input=false"]
    subprocess.run(init, cwd=folder, env=CLEAN, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def variables(terraform: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the declarations of variables and their tests."""
    return with_variables_only(terraform, tmp_path_factory.mktemp("variables"))


@pytest.fixture(scope="module")
def configuration(terraform: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the whole configuration, its tests and the provider."""
    workspace = Workspace(tmp_path_factory.mktemp("configuration") / "demo")
    workspace.create(Settings(), rehearsal=True)
    workspace.copy_configuration(SOURCE)
    shutil.copytree(SOURCE / "tests", workspace.folder / "tests")
    environ = {**CLEAN, "JARKKIT_TERRAFORM": terraform}
    runner = Terraform(workspace.folder, environ, workspace.new_log)
    workspace.save_lock_file(lock_file(runner.tool.product))
    list(runner.init())
    return workspace.folder


def test_each_validation_rejects_its_values(terraform: str, variables: Path) -> None:
    assert_passed(run(terraform, variables, "variables"))


def test_opentofu_rejects_the_same_values(tofu: str, tmp_path: Path) -> None:
    assert_passed(run(tofu, with_variables_only(tofu, tmp_path), "variables"))


@pytest.mark.parametrize(("file", "number"), VALIDATIONS)
def test_the_tests_notice_a_validation_that_allows_everything(
    terraform: str, variables: Path, tmp_path: Path, file: str, number: int
) -> None:
    changed = shutil.copytree(variables, tmp_path / "changed")
    allow_everything(changed / file, number)
    assert UNNOTICED in run(terraform, changed, "variables")


def test_variables_decide_which_resources_exist(terraform: str, configuration: Path) -> None:
    assert_passed(run(terraform, configuration, "resources"))


def test_zones_without_a_control_plane_are_rejected(terraform: str, configuration: Path) -> None:
    assert_passed(run(terraform, configuration, "zones"))


@pytest.mark.parametrize(("file", "number"), POSTCONDITIONS)
def test_the_tests_notice_a_postcondition_that_allows_everything(
    terraform: str, configuration: Path, file: str, number: int
) -> None:
    unchanged = (configuration / file).read_text()
    try:
        allow_everything(configuration / file, number)
        assert UNNOTICED in run(terraform, configuration, "zones")
    finally:
        (configuration / file).write_text(unchanged)
