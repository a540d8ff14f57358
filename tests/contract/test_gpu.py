"""A GPU node is launched for a pod and deleted again. On AWS this costs money."""

from __future__ import annotations

import pytest

from tests.contract.cluster import GPU, ScratchNamespace
from tests.contract.manifests import container, pod
from tests.support.poll import TIMEOUT_SECONDS, wait_for


def test_a_gpu_pod_gets_a_node_that_is_deleted_with_its_claim(
    namespace: ScratchNamespace, gpu_pool: None
) -> None:
    resources = {"requests": {"cpu": "100m"}, "limits": {GPU: "1"}}
    toleration = {"key": GPU, "operator": "Exists"}
    cuda = pod("cuda", container(resources=resources), tolerations=[toleration])
    before = {node["metadata"]["name"] for node in namespace.cluster.all("Node")}
    made = namespace.create(cuda)
    wait_for(lambda: made.status["phase"] == "Running", 2 * TIMEOUT_SECONDS)
    name = made.current["spec"]["nodeName"]
    if name in before:
        pytest.skip("there was a free GPU already")
    node = namespace.cluster.find("Node", name)
    assert node
    assert int(node["status"]["allocatable"][GPU]) >= 1
    assert GPU in {taint["key"] for taint in node["spec"]["taints"]}
    assert node["metadata"]["labels"]["karpenter.sh/nodepool"]
    # Karpenter would delete the node itself, but later.
    namespace.cluster.kubectl("delete", "nodeclaim", "--wait=false", node_claim_of(namespace, name))
    wait_for(lambda: not namespace.cluster.find("Node", name), 2 * TIMEOUT_SECONDS)


def node_claim_of(namespace: ScratchNamespace, node: str) -> str:
    """Return the name of a node's NodeClaim."""
    claims = namespace.cluster.all("NodeClaim", "karpenter.sh/v1")
    (found,) = [c["metadata"]["name"] for c in claims if c["status"].get("nodeName") == node]
    return str(found)
