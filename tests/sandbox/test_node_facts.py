"""What an instance is told, and what its Node says: pure functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from jarkkit.sandbox import user_data
from jarkkit.sandbox.account.ec2 import catalogue
from jarkkit.sandbox.eks import devices, node_facts
from jarkkit.sandbox.eks.node_facts import Machine
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
        config = user_data.read(KARPENTER)
        assert config == NodeConfig(
            cluster="mine",
            labels={"karpenter.sh/nodepool": "gpu", "team": "ml", "more": "yes"},
            taints=({"key": "karpenter.sh/unregistered", "value": "", "effect": "NoExecute"},),
            max_pods=58,
        )

    def test_bottlerocket_says_it_in_toml(self) -> None:
        taint = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
        assert user_data.read(BOTTLEROCKET) == NodeConfig("mine", {"team": "ml"}, (taint,), 29)

    @given(some.dictionaries(LABEL, LABEL, max_size=5))
    def test_what_is_written_is_read(self, labels: dict[str, str]) -> None:
        taint = {"key": "a", "value": "b", "effect": "NoSchedule"}
        config = NodeConfig("mine", labels, (taint,))
        assert user_data.read(user_data.write(config)) == config

    @pytest.mark.parametrize(
        "text", ["", "#!/bin/sh\necho hello", "[settings.kubernetes]\nx=", "x"]
    )
    def test_others_join_nothing(self, text: str) -> None:
        assert user_data.read(text) is None

    def test_a_group_words_taints_differently(self) -> None:
        given = [{"key": "k", "value": "v", "effect": "PREFER_NO_SCHEDULE"}]
        (taint,) = user_data.group_taints(given)
        assert taint["effect"] == "PreferNoSchedule"


def machine(instance_type: str) -> Machine:
    """An instance of a type."""
    return Machine(
        instance_id="i-0123456789abcdef0",
        instance_type=instance_type,
        facts=catalogue.facts_of(instance_type),
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
        launched=0.0,
    )


class TestNodes:
    def test_it_is_its_instance(self) -> None:
        node = node_facts.node(machine("m5.xlarge"), NodeConfig("mine", {"team": "ml"}), "1.36.3")
        assert node["spec"]["providerID"] == "aws:///us-west-2a/i-0123456789abcdef0"
        labels = node["metadata"]["labels"]
        assert labels["team"] == "ml"
        assert labels["node.kubernetes.io/instance-type"] == "m5.xlarge"
        assert node["status"]["capacity"]["cpu"] == "4"
        assert node["status"]["allocatable"]["cpu"] == "3920m"

    # https://github.com/awslabs/amazon-eks-ami/blob/main/nodeadm/internal/kubelet/eni-max-pods.txt
    @pytest.mark.parametrize(
        ("instance_type", "pods"),
        [("m5.xlarge", 58), ("g5.2xlarge", 58), ("t3.medium", 17), ("m5.24xlarge", 737)],
    )
    def test_pods_are_limited_by_addresses(self, instance_type: str, pods: int) -> None:
        assert node_facts.max_pods(catalogue.facts_of(instance_type)) == pods

    @pytest.mark.parametrize(
        ("instance_type", "there"),
        [
            ("m5.xlarge", {}),
            ("g5.12xlarge", {"nvidia.com/gpu": 4, "vpc.amazonaws.com/efa": 1}),
            ("inf2.xlarge", {"aws.amazon.com/neuron": 1, "aws.amazon.com/neuroncore": 2}),
        ],
    )
    def test_accelerators_are_those_of_the_type(
        self, instance_type: str, there: dict[str, int]
    ) -> None:
        assert node_facts.devices(catalogue.facts_of(instance_type)) == there


def plugin(name: str, image: str, *, ready: bool) -> dict[str, object]:
    """A pod of a device plugin on node `n`."""
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    container = {"name": name, "image": image}
    return {
        "metadata": {"name": name},
        "spec": {"nodeName": "n", "containers": [container]},
        "status": {"conditions": [condition]},
    }


class TestDevices:
    IMAGE = "nvcr.io/nvidia/k8s-device-plugin:v0.18.0"

    def test_a_plugin_announces_when_it_is_ready(self) -> None:
        for ready in (True, False):
            announced, _ = devices.announcers([plugin("ctr", self.IMAGE, ready=ready)])
            assert announced["n"] == ({"nvidia.com/gpu"} if ready else set())

    def test_feature_discovery_announces_nothing(self) -> None:
        pod = plugin("gpu-feature-discovery-ctr", self.IMAGE, ready=True)
        announced, discovered = devices.announcers([pod])
        assert not announced["n"]
        assert discovered == {"n"}

    @pytest.mark.parametrize(
        ("capacity", "announced", "change"),
        [
            ({}, {"nvidia.com/gpu"}, {"nvidia.com/gpu": "1"}),
            ({"nvidia.com/gpu": "1"}, {"nvidia.com/gpu"}, {}),
            ({"nvidia.com/gpu": "1"}, set(), {"nvidia.com/gpu": "0"}),
            ({}, set(), {}),
        ],
    )
    def test_only_what_differs_is_changed(
        self, capacity: dict[str, str], announced: set[str], change: dict[str, str]
    ) -> None:
        facts = catalogue.facts_of("g5.2xlarge")
        node = {"status": {"capacity": capacity}}
        assert devices.resources(node, facts, announced) == change
