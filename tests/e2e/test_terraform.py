"""The shipped configuration with the real program and provider, without any account."""

from __future__ import annotations

from pathlib import Path

import pytest

from jarkkit.errors import JarkkitError
from jarkkit.home import terraform_folder
from jarkkit.settings import Settings
from jarkkit.terraform import Terraform
from jarkkit.workspace import Workspace
from tests.conftest import CLEAN


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory, terraform: str) -> Terraform:
    """The configuration in a folder, with its provider."""
    workspace = Workspace(tmp_path_factory.mktemp("valid") / "demo")
    workspace.create(Settings(), rehearsal=True)
    workspace.lay_configuration(terraform_folder())
    runner = Terraform(workspace.folder, CLEAN, workspace.new_log)
    list(runner.init("plan"))
    return runner


def test_the_configuration_is_valid(initialised: Terraform) -> None:
    initialised.validate()


def test_a_broken_one_is_told_with_its_place(initialised: Terraform) -> None:
    broken = Path(initialised.folder) / "broken.tf"
    broken.write_text('output "broken" {\n  value = local.nothing\n}\n')
    try:
        with pytest.raises(JarkkitError) as caught:
            initialised.validate()
        assert caught.value.code == "JK-TF-INVALID"
        assert "nothing" in caught.value.message + caught.value.evidence
    finally:
        broken.unlink()


def test_the_kit_leaves_alone_what_would_change_what_it_asks_for(initialised: Terraform) -> None:
    strange = {**CLEAN, "TF_CLI_ARGS": "-no-such-flag", "TF_WORKSPACE": "other"}
    Terraform(initialised.folder, strange, initialised.new_log).validate()
