"""Karpenter's node pools and node classes."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.decisions.addons import node_pools
from jarkkit.settings import FAMILIES, Settings

OUTPUTS: dict[str, Any] = {
    "cluster_name": "demo",
    "node_instance_profile_name": "demo-node",
    "node_subnet_ids": ["subnet-1", "subnet-2"],
    "node_security_group_id": "sg-1",
    "efs": {"file_system_id": "fs-1"},
    "karpenter": None,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pool_of_a_family_has_its_labels_and_taint(family: str) -> None:
    settings = Settings.from_values({"accelerators": [{"family": family, "max_vcpus": 96}]})
    _, pool = node_pools.node_pools(settings)
    template = pool["spec"]["template"]
    assert template["metadata"]["labels"] == node_pools.node_labels(family)
    (taint,) = template["spec"]["taints"]
    assert (
        taint["key"]
        == node_pools.accelerator_resource(family)
        == node_pools.toleration(family)["key"]
    )
    assert pool["spec"]["limits"] == {"cpu": "96"}


def test_images_are_pinned_and_instances_are_tagged() -> None:
    for node_class in node_pools.node_classes(Settings(tags={"team": "ml"}), OUTPUTS, "v20261101"):
        assert node_class["spec"]["amiSelectorTerms"] == [{"alias": "al2023@v20261101"}]
        assert node_class["spec"]["tags"] == {
            "team": "ml",
            "jarkkit:deployment": "demo",
            "jarkkit:managed-by": "karpenter",
        }


def test_pods_of_karpenters_nodes_cannot_get_the_nodes_credentials() -> None:
    for node_class in node_pools.node_classes(Settings(), OUTPUTS, "v20261101"):
        options = node_class["spec"]["metadataOptions"]
        assert options == {"httpTokens": "required", "httpPutResponseHopLimit": 1}


def test_prefix_delegation_raises_the_limit_of_pods() -> None:
    for node_class in node_pools.node_classes(Settings(), OUTPUTS, "v20261101"):
        assert node_class["spec"]["kubelet"]["maxPods"] == 110
