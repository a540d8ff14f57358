"""A node with a GPU comes when a pod needs one, and goes again. On AWS that costs money."""

from __future__ import annotations

import pytest

from tests.contract.cluster import PATIENCE, Space, until
from tests.contract.conftest import GPU
from tests.contract.manifests import container, pod


def test_a_gpu_pod_gets_a_node_that_goes_with_its_claim(space: Space, gpu_pool: None) -> None:
    resources = {"requests": {"cpu": "100m"}, "limits": {GPU: "1"}}
    toleration = {"key": GPU, "operator": "Exists"}
    cuda = pod("cuda", container(resources=resources), tolerations=[toleration])
    before = {node["metadata"]["name"] for node in space.cluster.all("Node")}
    made = space.create(cuda)
    until(lambda: made.status["phase"] == "Running", 2 * PATIENCE)
    name = made.now["spec"]["nodeName"]
    if name in before:
        pytest.skip("there was a free GPU already")
    node = space.cluster.find("Node", name)
    assert node
    assert int(node["status"]["allocatable"][GPU]) >= 1
    assert GPU in {taint["key"] for taint in node["spec"]["taints"]}
    assert node["metadata"]["labels"]["karpenter.sh/nodepool"]
    # Karpenter would take it away by itself, in its own time.
    space.cluster.kubectl("delete", "nodeclaim", "--wait=false", claim_of(space, name))
    until(lambda: not space.cluster.find("Node", name), 2 * PATIENCE)


def claim_of(space: Space, node: str) -> str:
    """The name of the claim that a node was made for."""
    claims = space.cluster.all("NodeClaim", "karpenter.sh/v1")
    (found,) = [c["metadata"]["name"] for c in claims if c["status"].get("nodeName") == node]
    return str(found)
