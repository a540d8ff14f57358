"""The shipped configuration with the real Terraform and provider, without an account."""

from __future__ import annotations

from pathlib import Path

import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.ports.paths import terraform_folder
from jarkkit.ports.provider import LOCK_FILE, is_installed, lock_file
from jarkkit.ports.terraform import Terraform
from jarkkit.ports.workspace import Workspace
from jarkkit.settings import Settings
from tests.support.account import CLEAN


@pytest.fixture(scope="module", params=["terraform", "tofu"])
def initialized(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Terraform:
    """The configuration in a folder, initialized with its provider by one of the products."""
    program = str(request.getfixturevalue(request.param))
    workspace = Workspace(tmp_path_factory.mktemp("valid") / "demo")
    workspace.create(Settings(), rehearsal=True)
    workspace.copy_configuration(terraform_folder())
    environ = {**CLEAN, "JARKKIT_TERRAFORM": program}
    runner = Terraform(workspace.folder, environ, workspace.new_log)
    workspace.save_lock_file(lock_file(runner.tool.product))
    list(runner.init())
    return runner


def test_the_configuration_is_valid(initialized: Terraform) -> None:
    initialized.validate()


def test_the_lock_file_has_the_checksums_of_what_was_installed(initialized: Terraform) -> None:
    shipped = lock_file(initialized.tool.product).read_text()
    assert (initialized.folder / LOCK_FILE).read_text() == shipped
    assert is_installed(initialized.folder, initialized.tool.product)


def test_an_invalid_configuration_is_an_error_with_its_cause(initialized: Terraform) -> None:
    broken = Path(initialized.folder) / "broken.tf"
    broken.write_text('output "broken" {\n  value = local.nothing\n}\n')
    try:
        with pytest.raises(JarkkitError) as caught:
            initialized.validate()
        assert caught.value.code == "JK-TF-INVALID"
        assert "nothing" in caught.value.message + caught.value.evidence
    finally:
        broken.unlink()


def test_terraform_variables_of_the_environment_are_ignored(initialized: Terraform) -> None:
    conflicting = {**initialized.environ, "TF_CLI_ARGS": "-no-such-flag", "TF_WORKSPACE": "other"}
    Terraform(initialized.folder, conflicting, initialized.new_log).validate()
