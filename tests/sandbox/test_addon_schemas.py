"""The configuration values of EKS add-ons against their schemas."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from jarkkit.catalog.addons import addon_catalog
from jarkkit.sandbox.account import eks_reference_data as facts
from jarkkit.sandbox.account.eks.addon_schemas import schema, validation_errors
from jarkkit.settings import Settings
from tests.support.account import cluster, error_of
from tests.support.stacks import resolved

REGION = "eu-west-1"


@pytest.mark.parametrize(
    ("addon", "values", "error"),
    [
        (
            "aws-ebs-csi-driver",
            {"nodeSelector": {"a": "b"}},
            "$.nodeSelector: is not defined in the schema and the schema does not allow additional "
            "properties",
        ),
        (
            "vpc-cni",
            {"env": {"AWS_VPC_K8S_CNI_EXTERNAL_SNAT": "true"}},
            "$.env.AWS_VPC_K8S_CNI_EXTERNAL_SNAT: is not defined in the schema and the schema does "
            "not allow additional properties",
        ),
        (
            "vpc-cni",
            {"env": {"ENABLE_PREFIX_DELEGATION": True}},
            "$.env.ENABLE_PREFIX_DELEGATION: boolean found, string expected",
        ),
        (
            "vpc-cni",
            {"env": {"WARM_PREFIX_TARGET": "one"}},
            "$.env.WARM_PREFIX_TARGET: does not match the regex pattern ^[0-9]+$",
        ),
        (
            "vpc-cni",
            {"enableNetworkPolicy": "yes"},
            "$.enableNetworkPolicy: does not match the regex pattern ^(true|false)$",
        ),
        (
            "kube-proxy",
            {"mode": "ebpf"},
            "$.mode: does not have a value in the enumeration ['iptables', 'ipvs', 'nftables']",
        ),
        (
            "coredns",
            {"affinity": [], "replicaCount": "2"},
            "$.affinity: array found, object or null expected",
        ),
        (
            "coredns",
            {"resources": {"limits": {"cpu": 1}}},
            "$.resources.limits.cpu: integer found, string expected",
        ),
        (
            "amazon-cloudwatch-observability",
            {"manager": {"applicationSignals": {"autoMonitor": {"languages": ["java", "go"]}}}},
            "$.manager.applicationSignals.autoMonitor.languages[1]: does not have a value in the "
            "enumeration ['java', 'python', 'dotnet', 'nodejs']",
        ),
        (
            "aws-ebs-csi-driver",
            {"controller": {"extraVolumeTags": {"a": "x" * 257}}},
            "$.controller.extraVolumeTags.a: may only be 256 characters long",
        ),
    ],
)
def test_an_invalid_value_is_named_in_the_wording_of_eks(
    addon: str, values: dict[str, Any], error: str
) -> None:
    assert validation_errors(values, schema(addon))[0] == error


@pytest.mark.parametrize("addon", facts.ADDONS)
def test_every_addon_has_a_schema_that_rejects_unknown_keys(addon: str) -> None:
    assert validation_errors({}, schema(addon)) == []
    assert len(validation_errors({"noSuchKey": 1}, schema(addon))) == 1


def test_our_own_configurations_match() -> None:
    every = {name: True for name, addon in addon_catalog().items() if addon.install == "eks"}
    variables = resolved(Settings(name="lab", region="us-west-2", addons=every)).eks_addons
    assert variables.keys() >= every.keys()
    for name, variable in variables.items():
        values = json.loads(variable["configuration"] or "{}")
        assert validation_errors(values, schema(name)) == [], name


class TestApi:
    def test_invalid_values_are_rejected(self, client: Callable[[str], Any]) -> None:
        eks = cluster(client, "configured")
        addon = {"clusterName": "configured", "addonName": "aws-efs-csi-driver"}
        wrong = json.dumps({"controller": {"replicas": 1}})
        code, message = error_of(eks.create_addon, **addon, configurationValues=wrong)
        assert code == "InvalidParameterException"
        assert message == (
            "ConfigurationValue provided in request is not supported: Json schema validation "
            "failed with error: [$.controller.replicas: is not defined in the schema and the "
            "schema does not allow additional properties]"
        )
        eks.create_addon(**addon)
        code, _ = error_of(eks.update_addon, **addon, configurationValues=wrong)
        assert code == "InvalidParameterException"

    def test_the_schema_of_a_build_is_returned(self, client: Callable[[str], Any]) -> None:
        eks = client("eks")
        build = facts.addon_versions("vpc-cni", "1.36")[0]
        found = eks.describe_addon_configuration(addonName="vpc-cni", addonVersion=build)
        values = {"enableNetworkPolicy": "true"}
        assert validation_errors(values, json.loads(found["configurationSchema"])) == []
        code, message = error_of(
            eks.describe_addon_configuration, addonName="vpc-cni", addonVersion="v0.1"
        )
        assert code == "InvalidParameterException"
        assert message == "Addon version specified is not supported: v0.1"

    def test_older_builds_are_offered_and_the_newest_is_the_default(
        self, client: Callable[[str], Any]
    ) -> None:
        eks = cluster(client, "built")
        (offer,) = eks.describe_addon_versions(
            addonName="amazon-cloudwatch-observability", kubernetesVersion="1.36"
        )["addons"]
        newest, older = offer["addonVersions"]
        assert newest["addonVersion"] == "v6.4.0-eksbuild.1"
        assert newest["compatibilities"][0]["defaultVersion"]
        assert not older["compatibilities"][0]["defaultVersion"]
        addon = {"clusterName": "built", "addonName": offer["addonName"]}
        eks.create_addon(**addon, addonVersion=older["addonVersion"])
        eks.update_addon(**addon, addonVersion=newest["addonVersion"])
        found = eks.describe_addon(**addon)["addon"]
        assert found["addonVersion"] == newest["addonVersion"]
