"""The one version of the AWS provider, its lock files, and the mirror folders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.ports import provider
from jarkkit.ports.paths import terraform_folder
from jarkkit.ports.provider import ProviderPackage
from jarkkit.steps.preflight.machine import judge_mirror, judge_registry

HOST, OTHER_HOST = "registry.terraform.io", "registry.opentofu.org"
VERSION, PLATFORM = provider.pinned_version(), provider.this_platform()
NO_HOME = {"HOME": "/nowhere"}


def add_package(mirror: Path, host: str = HOST, version: str = VERSION) -> Path:
    folder = mirror / host / "hashicorp/aws" / version / PLATFORM
    folder.mkdir(parents=True)
    return folder


class TestLockFiles:
    def hashes(self, product: str) -> set[str]:
        return set(re.findall(r'"((?:h1|zh):\S+)"', provider.lock_file(product).read_text()))

    def test_every_file_names_the_same_version(self) -> None:
        files = list(terraform_folder().rglob("versions.tf"))
        versions = {
            found
            for file in files
            for found in re.findall(r'hashicorp/aws"\s+version = "(.+)"', file.read_text())
        }
        locked = {
            found
            for product in ("terraform", "tofu")
            for found in re.findall(r'(?:version|constraints) += "(.+)"', lock_text(product))
        }
        assert len(files) == 8
        assert versions == locked == {VERSION}

    @pytest.mark.parametrize(("product", "host"), [("terraform", HOST), ("tofu", OTHER_HOST)])
    def test_each_product_has_one_entry_of_its_own_registry(self, product: str, host: str) -> None:
        found = re.findall(r'^provider "(.+)"', lock_text(product), re.MULTILINE)
        assert found == [f"{host}/hashicorp/aws"]

    def test_both_list_the_checksums_of_both_builds(self) -> None:
        # 14 packages of HashiCorp with the manifest of their release, 10 of OpenTofu.
        expected = {"h1": 14 + 10, "zh": 15 + 10}
        assert self.hashes("terraform") == self.hashes("tofu")
        for kind, count in expected.items():
            assert sum(h.startswith(kind) for h in self.hashes("tofu")) == count


def lock_text(product: str) -> str:
    return provider.lock_file(product).read_text()


class TestFindMirror:
    def find(self, root: Path, product: str = "terraform", **environ: str) -> Path | None:
        return provider.find_mirror(product, {**NO_HOME, **environ}, roots=(root,), system=())

    @pytest.mark.parametrize("product", ["terraform", "tofu"])
    @pytest.mark.parametrize("host", [HOST, OTHER_HOST])
    def test_a_folder_made_for_either_product_is_found(
        self, tmp_path: Path, product: str, host: str
    ) -> None:
        add_package(tmp_path / "mirror", host)
        assert self.find(tmp_path, product) == tmp_path / "mirror"

    def test_a_folder_with_another_version_is_not_used(self, tmp_path: Path) -> None:
        add_package(tmp_path / "old", version="5.99.0")
        assert self.find(tmp_path) is None

    def test_the_folder_with_the_version_comes_first(self, tmp_path: Path) -> None:
        add_package(tmp_path / "a", version="6.2.0")
        add_package(tmp_path / "b")
        assert self.find(tmp_path) == tmp_path / "b"

    def test_an_implied_folder_with_another_version_counts(self, tmp_path: Path) -> None:
        """Terraform would download nothing, so that preflight must report it."""
        implied = tmp_path / "home/.terraform.d/plugins"
        add_package(implied, version="6.2.0")
        assert self.find(tmp_path / "none", HOME=str(tmp_path / "home")) == implied

    def test_your_cli_configuration_decides(self, tmp_path: Path) -> None:
        add_package(tmp_path / "mirror")
        (tmp_path / "my.tfrc").write_text("")
        assert self.find(tmp_path, TF_CLI_CONFIG_FILE=str(tmp_path / "my.tfrc")) is None

    def test_the_named_folder_comes_first(self, tmp_path: Path) -> None:
        add_package(tmp_path / "mirror")
        assert self.find(tmp_path, JARKKIT_TF_MIRROR=str(tmp_path)) == tmp_path


class TestMirrorView:
    def test_a_mirror_of_the_own_registry_is_used_as_it_is(self, tmp_path: Path) -> None:
        add_package(tmp_path)
        assert provider.mirror_view(tmp_path, "terraform", tmp_path / "view") == tmp_path

    def test_folders_and_archives_of_the_other_registry_are_linked(self, tmp_path: Path) -> None:
        mirror, view = tmp_path / "mirror", tmp_path / "view"
        unpacked = add_package(mirror)
        archive = mirror / HOST / f"hashicorp/aws/terraform-provider-aws_{VERSION}_linux_arm64.zip"
        archive.write_bytes(b"")
        for _ in range(2):  # the second time over its own links
            assert provider.mirror_view(mirror, "tofu", view) == view
        own = view / OTHER_HOST / "hashicorp/aws"
        assert (own / VERSION / PLATFORM).resolve() == unpacked
        assert (own / archive.name).resolve() == archive
        assert [p.platform for p in provider.packages(view)] == [PLATFORM, "linux_arm64"]

    def test_the_configuration_names_the_own_registry_only(self, tmp_path: Path) -> None:
        text = provider.cli_configuration(tmp_path, "tofu")
        assert f'include = ["{OTHER_HOST}/hashicorp/aws"]' in text
        assert HOST not in text


class TestPreflight:
    def package(self, version: str, platform: str = "linux_amd64") -> ProviderPackage:
        return ProviderPackage(HOST, version, platform, Path("x"))

    def test_a_mirror_with_the_version_passes(self) -> None:
        found = (self.package("6.2.0"), self.package("5.100.0"))
        assert judge_mirror(found, "5.100.0", "linux_amd64").status == "pass"

    @pytest.mark.parametrize(
        ("version", "platform", "words"),
        [
            ("6.2.0", "linux_amd64", "it has 6.2.0 for linux_amd64"),
            ("5.100.0", "darwin_arm64", "it has 5.100.0 for darwin_arm64"),
        ],
    )
    def test_a_mirror_without_the_version_or_the_platform_fails(
        self, version: str, platform: str, words: str
    ) -> None:
        with pytest.raises(JarkkitError, match=words) as caught:
            judge_mirror((self.package(version, platform),), "5.100.0", "linux_amd64")
        assert caught.value.code == "JK-TF-PROVIDER"
        assert "JARKKIT_TF_MIRROR" in caught.value.fix

    def test_an_empty_mirror_fails(self) -> None:
        with pytest.raises(JarkkitError, match="no package of it"):
            judge_mirror((), "5.100.0", "linux_amd64")

    def test_a_registry_that_answers_passes(self) -> None:
        assert judge_registry("5.100.0", HOST, {}).found == f"5.100.0, from {HOST}"

    def test_without_mirror_and_registry_the_provider_is_missing(self) -> None:
        with pytest.raises(JarkkitError, match="does not answer: timed out") as caught:
            judge_registry("5.100.0", HOST, {HOST: "timed out"})
        assert "terraform providers mirror" in caught.value.fix
