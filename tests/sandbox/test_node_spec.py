"""The user data of an instance and the spec of its Node: pure functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from jarkkit.sandbox import user_data
from jarkkit.sandbox.account.ec2 import instance_types
from jarkkit.sandbox.controllers import device_plugins, node_spec
from jarkkit.sandbox.controllers.node_spec import NodeInstance
from jarkkit.sandbox.user_data import NodeConfig

# As Karpenter writes it for AL2023: quoted flags, several documents.
KARPENTER = """MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="//"

--//
Content-Type: application/node.eks.aws

apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  cluster:
    name: mine
    apiServerEndpoint: https://127.0.0.1:1
  kubelet:
    config:
      maxPods: 58
      registerWithTaints:
      - {key: karpenter.sh/unregistered, effect: NoExecute}
    flags:
    - --node-labels="karpenter.sh/nodepool=gpu,team=ml"

--//
Content-Type: application/node.eks.aws

apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  kubelet:
    flags: [--node-labels=more=yes]

--//--
"""
BOTTLEROCKET = """
[settings]
[settings.kubernetes]
cluster-name = "mine"
max-pods = 29
[settings.kubernetes.node-labels]
team = "ml"
[settings.kubernetes.node-taints]
"nvidia.com/gpu" = ["true:NoSchedule"]
"""
LABEL = some.text("abcdefghijklmnopqrstuvwxyz0123456789.-/", min_size=1, max_size=30)


class TestUserData:
    def test_documents_are_merged_as_nodeadm_does(self) -> None:
        config = user_data.parse(KARPENTER)
        assert config == NodeConfig(
            cluster="mine",
            labels={"karpenter.sh/nodepool": "gpu", "team": "ml", "more": "yes"},
            taints=({"key": "karpenter.sh/unregistered", "value": "", "effect": "NoExecute"},),
            max_pods=58,
        )

    def test_bottlerocket_user_data_is_read_from_toml(self) -> None:
        taint = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
        assert user_data.parse(BOTTLEROCKET) == NodeConfig("mine", {"team": "ml"}, (taint,), 29)

    @given(some.dictionaries(LABEL, LABEL, max_size=5))
    def test_rendered_user_data_is_read_back(self, labels: dict[str, str]) -> None:
        taint = {"key": "a", "value": "b", "effect": "NoSchedule"}
        config = NodeConfig("mine", labels, (taint,))
        assert user_data.parse(user_data.render(config)) == config

    @pytest.mark.parametrize(
        "text", ["", "#!/bin/sh\necho hello", "[settings.kubernetes]\nx=", "x"]
    )
    def test_other_user_data_joins_no_cluster(self, text: str) -> None:
        assert user_data.parse(text) is None

    def test_taints_of_node_groups_are_converted_to_kubernetes(self) -> None:
        taints = [{"key": "k", "value": "v", "effect": "PREFER_NO_SCHEDULE"}]
        (taint,) = user_data.kubernetes_taints(taints)
        assert taint["effect"] == "PreferNoSchedule"


def instance_of_type(instance_type: str) -> NodeInstance:
    """Return an instance of a type."""
    return NodeInstance(
        instance_id="i-0123456789abcdef0",
        instance_type=instance_type,
        facts=instance_types.type_info(instance_type),
        region="us-west-2",
        zone="us-west-2a",
        private_ip="10.0.0.5",
        private_dns="ip-10-0-0-5.us-west-2.compute.internal",
        architecture="x86_64",
        disk_gib=100,
        spot=False,
        role="",
        image="AL2023",
        user_data="",
        launched_at=0.0,
    )


class TestNodes:
    def test_a_node_has_the_properties_of_its_instance(self) -> None:
        node = node_spec.node_manifest(
            instance_of_type("m5.xlarge"), NodeConfig("mine", {"team": "ml"}), "1.36.3"
        )
        assert node["spec"]["providerID"] == "aws:///us-west-2a/i-0123456789abcdef0"
        labels = node["metadata"]["labels"]
        assert labels["team"] == "ml"
        assert labels["node.kubernetes.io/instance-type"] == "m5.xlarge"
        assert node["status"]["capacity"]["cpu"] == "4"
        assert node["status"]["allocatable"]["cpu"] == "3920m"

    @pytest.mark.parametrize(
        ("image", "cluster", "version"),
        [
            ("1.36", "1.36", "1.36.3"),
            ("1.35", "1.36", "1.35.0"),
            ("1.36", "1.35", "1.35.0"),
            ("", "1.34", "1.34.0"),
        ],
    )
    def test_a_kubelet_has_the_version_of_its_image_and_is_no_newer_than_the_cluster(
        self, image: str, cluster: str, version: str
    ) -> None:
        assert node_spec.kubelet_version(image, cluster, "1.36.3") == version

    # https://github.com/awslabs/amazon-eks-ami/blob/main/nodeadm/internal/kubelet/eni-max-pods.txt
    @pytest.mark.parametrize(
        ("instance_type", "pods"),
        [("m5.xlarge", 58), ("g5.2xlarge", 58), ("t3.medium", 17), ("m5.24xlarge", 737)],
    )
    def test_the_number_of_pods_is_limited_by_addresses(
        self, instance_type: str, pods: int
    ) -> None:
        assert node_spec.max_pods(instance_types.type_info(instance_type)) == pods

    @pytest.mark.parametrize(
        ("instance_type", "expected"),
        [
            ("m5.xlarge", {}),
            ("g5.12xlarge", {"nvidia.com/gpu": 4, "vpc.amazonaws.com/efa": 1}),
            ("inf2.xlarge", {"aws.amazon.com/neuron": 1, "aws.amazon.com/neuroncore": 2}),
        ],
    )
    def test_accelerators_depend_on_the_instance_type(
        self, instance_type: str, expected: dict[str, int]
    ) -> None:
        assert node_spec.accelerators(instance_types.type_info(instance_type)) == expected


def device_plugin_pod(name: str, image: str, *, ready: bool) -> dict[str, object]:
    """Return a pod of a device plugin on node `n`."""
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    container = {"name": name, "image": image}
    return {
        "metadata": {"name": name},
        "spec": {"nodeName": "n", "containers": [container]},
        "status": {"conditions": [condition]},
    }


class TestDevices:
    IMAGE = "nvcr.io/nvidia/k8s-device-plugin:v0.18.0"

    def test_only_a_ready_device_plugin_advertises_devices(self) -> None:
        for ready in (True, False):
            advertised, _ = device_plugins.running_plugins(
                [device_plugin_pod("ctr", self.IMAGE, ready=ready)]
            )
            assert advertised["n"] == ({"nvidia.com/gpu"} if ready else set())

    def test_feature_discovery_advertises_no_devices(self) -> None:
        pod = device_plugin_pod("gpu-feature-discovery-ctr", self.IMAGE, ready=True)
        advertised, discovered = device_plugins.running_plugins([pod])
        assert not advertised["n"]
        assert discovered == {"n"}

    @pytest.mark.parametrize(
        ("capacity", "advertised", "change"),
        [
            ({}, {"nvidia.com/gpu"}, {"nvidia.com/gpu": "1"}),
            ({"nvidia.com/gpu": "1"}, {"nvidia.com/gpu"}, {}),
            ({"nvidia.com/gpu": "1"}, set(), {"nvidia.com/gpu": "0"}),
            ({}, set(), {}),
        ],
    )
    def test_only_differing_capacity_is_changed(
        self, capacity: dict[str, str], advertised: set[str], change: dict[str, str]
    ) -> None:
        facts = instance_types.type_info("g5.2xlarge")
        node = {"status": {"capacity": capacity}}
        assert device_plugins.capacity_changes(node, facts, advertised) == change
