"""A node with a GPU comes when a pod needs one, and goes after it. On AWS that costs money."""

from __future__ import annotations

from tests.contract.cluster import PATIENCE, Space, until
from tests.contract.conftest import GPU
from tests.contract.manifests import container, pod


def test_a_gpu_pod_gets_a_node_that_goes_after_it(space: Space, gpu_pool: None) -> None:
    resources = {"requests": {"cpu": "100m"}, "limits": {GPU: "1"}}
    toleration = {"key": GPU, "operator": "Exists"}
    cuda = pod("cuda", container(resources=resources), tolerations=[toleration])
    made = space.create(cuda)
    assert "Insufficient" in until(lambda: space.said("cuda", "FailedScheduling"))
    until(lambda: made.status["phase"] == "Running", 2 * PATIENCE)
    name = made.now["spec"]["nodeName"]
    node = space.cluster.find("Node", name)
    assert node
    assert int(node["status"]["allocatable"][GPU]) >= 1
    assert GPU in {taint["key"] for taint in node["spec"]["taints"]}
    assert node["metadata"]["labels"]["karpenter.sh/nodepool"]
    made.delete()
    until(lambda: not space.cluster.find("Node", name), 2 * PATIENCE)
