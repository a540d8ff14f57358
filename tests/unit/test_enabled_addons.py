"""Which add-ons are enabled, and the permissions and values that come with them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from jarkkit.catalog.addons import Addon, addon_catalog
from jarkkit.decisions.addons import enabled_addons
from jarkkit.decisions.addons.enabled_addons import merge_values
from jarkkit.model.errors import JarkkitError
from jarkkit.settings import Settings
from tests.support.stacks import resolved
from tests.support.terraform_variables import terraform_variables


def test_disabling_and_enabling_add_ons() -> None:
    names = resolved(Settings()).addon_names
    changed = Settings(addons={"metrics-server": False, "eks-node-monitoring-agent": True})
    after = resolved(changed).addon_names
    assert names - after == {"metrics-server"}
    assert after - names == {"eks-node-monitoring-agent"}
    assert "metrics-server" not in resolved(changed).eks_addons


def test_an_unknown_add_on_gets_the_nearest_name() -> None:
    with pytest.raises(JarkkitError, match="JK-SETTINGS-UNKNOWN") as caught:
        _ = resolved(Settings(addons={"core-dns": True})).addons
    assert "coredns" in caught.value.fix


def test_identities_come_with_their_add_on() -> None:
    assert "aws-ebs-csi-driver" in resolved(Settings()).pod_identities
    data = ("aws-ebs-csi-driver", "aws-efs-csi-driver", "jupyterhub")
    off = Settings(addons=dict.fromkeys(data, False))
    assert "aws-ebs-csi-driver" not in resolved(off).pod_identities


def file_system_variable(settings: Settings) -> bool:
    """Return whether Terraform keeps the file system."""
    return bool(terraform_variables(settings)["efs"])


def test_files_have_a_setting_of_their_own() -> None:
    data = ("aws-efs-csi-driver", "jupyterhub")
    off = Settings(addons=dict.fromkeys(data, False))
    assert file_system_variable(off) is True
    gone = off.with_changes({"shared_files": False})
    assert file_system_variable(gone) is False
    resolved(gone).check_file_system()
    with pytest.raises(JarkkitError, match="shared_files is off") as caught:
        resolved(Settings(shared_files=False)).check_file_system()
    assert caught.value.code == "JK-SETTINGS-INVALID"
    assert "jupyterhub" in caught.value.message


class TestPermissionsOfAddons:
    @staticmethod
    def statements() -> list[tuple[str, dict[str, Any]]]:
        return [
            (addon.name, statement)
            for addon in addon_catalog().values()
            if addon.aws is not None
            for statement in addon.aws.statements
        ]

    def test_only_read_actions_apply_to_all_resources(self) -> None:
        for name, statement in self.statements():
            if statement["Resource"] == "*":
                read_action = re.compile(r"^[a-z0-9-]+:(Describe|List|Get)")
                assert all(read_action.match(action) for action in statement["Action"]), name

    def test_a_policy_fits_into_its_role(self) -> None:
        # IAM: the inline policies of a role have 10,240 characters at most, white space left out.
        for addon in addon_catalog().values():
            policies = resolved(Settings(artifact_bucket=True)).pod_identities
            text = policies.get(addon.name, {}).get("policy") or ""
            assert len(text.replace(" ", "")) < 9000, addon.name

    def test_add_ons_that_use_the_bucket_get_a_role_only_with_the_bucket(self) -> None:
        without = resolved(Settings()).pod_identities
        with_bucket = resolved(Settings(artifact_bucket=True)).pod_identities
        assert set(with_bucket) - set(without) == {"argo-workflows", "jupyterhub"}


def matches(when: dict[str, Any]) -> bool:
    return enabled_addons.matches(when, Settings(artifact_bucket=True), addon_catalog())


def test_conditions() -> None:
    assert matches({})
    assert matches({"artifact_bucket": True, "jupyterhub_auth": ["password", "oidc"]})
    assert matches({"addon:coredns": True})
    assert not matches({"jupyterhub_auth": "oidc"})
    assert not matches({"accelerators": False})


def test_conditions_on_an_add_on_read_the_given_catalog() -> None:
    coredns = addon_catalog()["coredns"]
    without: dict[str, Addon] = {}
    other = {"coredns": coredns.model_copy(update={"default": False})}
    for catalog in (without, other):
        stack = resolved(Settings(), catalog)
        assert stack.matches({"addon:coredns": False})
        assert not stack.matches({"addon:coredns": True})


def test_values_are_merged_as_helm_merges_them() -> None:
    defaults = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merge_values(defaults, {"a": {"c": [3]}, "e": 2}) == {
        "a": {"b": 1, "c": [3]},
        "d": 1,
        "e": 2,
    }
    assert defaults["a"] == {"b": 1, "c": [1, 2]}


class TestConfigurationOfEksAddons:
    @staticmethod
    def configuration(name: str, settings: Settings) -> Any:
        return json.loads(resolved(settings).eks_addons[name]["configuration"])

    def test_network_policies_are_enforced(self) -> None:
        assert self.configuration("vpc-cni", Settings())["enableNetworkPolicy"] == "true"

    def test_volumes_and_interfaces_get_the_tags(self) -> None:
        settings = Settings(name="lab1", tags={"CostCenter": "4711", "Owner": "Zoë A=B"})
        expected = {"CostCenter": "4711", "Owner": "Zoë A=B", "jarkkit:deployment": "lab1"}
        driver = self.configuration("aws-ebs-csi-driver", settings)["controller"]
        assert driver["extraVolumeTags"] == expected
        interfaces = self.configuration("vpc-cni", settings)["env"]["ADDITIONAL_ENI_TAGS"]
        assert json.loads(interfaces) == expected

    @pytest.mark.parametrize("chosen", [False, True])
    def test_nothing_is_instrumented_unless_chosen(self, chosen: bool) -> None:
        settings = Settings(application_signals=chosen)
        manager = self.configuration("amazon-cloudwatch-observability", settings)["manager"]
        assert manager["applicationSignals"]["autoMonitor"]["monitorAllServices"] is chosen
