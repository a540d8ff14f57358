"""Nodes of EKS managed node groups, and where pods are scheduled."""

from __future__ import annotations

import re

import pytest
from kubernetes import client
from kubernetes.utils import parse_quantity

from tests.contract.cluster import GPU, Cluster, Object, ScratchNamespace, rejected
from tests.contract.manifests import container, pod
from tests.support.poll import wait_for

GROUP = "eks.amazonaws.com/nodegroup"
ZONE = "topology.kubernetes.io/zone"


@pytest.fixture(scope="package")
def node(cluster: Cluster) -> Object:
    """A node of a managed group, without a GPU."""
    for found in cluster.all("Node", label_selector=GROUP):
        if found["status"]["allocatable"].get(GPU, "0") == "0":
            return found
    pytest.skip("no node of a managed group without a GPU")


def labels(node: Object) -> dict[str, str]:
    found: dict[str, str] = node["metadata"]["labels"]
    return found


# -- labels and status of a node ----------------------------------------------------------------


def test_a_node_is_labeled_with_its_group_and_capacity_type(node: Object) -> None:
    assert labels(node)[GROUP]
    assert labels(node)["eks.amazonaws.com/capacityType"] in {
        "ON_DEMAND",
        "SPOT",
        "CAPACITY_BLOCK",
    }
    assert labels(node)["eks.amazonaws.com/nodegroup-image"].startswith("ami-")


def test_a_node_has_the_labels_for_scheduling(node: Object) -> None:
    assert re.fullmatch(r"[a-z0-9-]+\.[a-z0-9-]+", labels(node)["node.kubernetes.io/instance-type"])
    assert labels(node)[ZONE].startswith(labels(node)["topology.kubernetes.io/region"])
    assert labels(node)["kubernetes.io/arch"] in {"amd64", "arm64"}
    assert labels(node)["kubernetes.io/arch"] == node["status"]["nodeInfo"]["architecture"]
    assert labels(node)["kubernetes.io/os"] == "linux"


def test_a_nodes_provider_id_names_its_zone_and_instance(node: Object) -> None:
    match = re.fullmatch(r"aws:///([a-z0-9-]+)/i-[0-9a-f]+", node["spec"]["providerID"])
    assert match
    assert match[1] == labels(node)[ZONE]


def test_a_nodes_name_is_its_private_dns_name(node: Object) -> None:
    addresses = {a["type"]: a["address"] for a in node["status"]["addresses"]}
    assert node["metadata"]["name"] == addresses["InternalDNS"]
    assert addresses["InternalIP"]


def test_kubelet_has_the_servers_minor_version(cluster: Cluster, node: Object) -> None:
    server = client.VersionApi(cluster.api).get_code()
    minor = f"v{server.major}.{server.minor.rstrip('+')}."
    assert node["status"]["nodeInfo"]["kubeletVersion"].startswith(minor)
    assert "-eks-" in node["status"]["nodeInfo"]["kubeletVersion"]


def test_a_node_reserves_some_of_its_capacity(node: Object) -> None:
    capacity, left = node["status"]["capacity"], node["status"]["allocatable"]
    for what in ("cpu", "memory", "ephemeral-storage"):
        assert parse_quantity(capacity[what]) > parse_quantity(left[what]) > 0
    assert int(left["pods"]) >= 4


def test_a_node_is_ready_and_under_no_pressure(cluster: Cluster, node: Object) -> None:
    conditions = {c["type"]: c["status"] for c in node["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    assert {conditions[f"{what}Pressure"] for what in ("Memory", "Disk", "PID")} == {"False"}
    lease = cluster.find(
        "Lease",
        node["metadata"]["name"],
        "coordination.k8s.io/v1",
        namespace="kube-node-lease",
    )
    assert lease
    assert lease["spec"]["holderIdentity"]


# -- unschedulable pods -------------------------------------------------------------------------


def test_a_gpu_pod_without_a_device_is_pending_with_the_reason(
    namespace: ScratchNamespace, node: Object
) -> None:
    here = {"kubernetes.io/hostname": labels(node)["kubernetes.io/hostname"]}
    made = namespace.create(
        pod("cuda", container(resources={"limits": {GPU: "1"}}), nodeSelector=here)
    )
    message = wait_for(lambda: namespace.event_messages("cuda", "FailedScheduling"))
    assert f"1 Insufficient {GPU}" in message
    assert made.status["phase"] == "Pending"
    assert made.condition("PodScheduled")["reason"] == "Unschedulable"
    assert f"Insufficient {GPU}" in made.condition("PodScheduled")["message"]


def test_a_taint_without_a_toleration_is_reported(
    namespace: ScratchNamespace, tainted_node: Object
) -> None:
    here = {"kubernetes.io/hostname": labels(tainted_node)["kubernetes.io/hostname"]}
    namespace.create(pod("untolerant", nodeSelector=here))
    message = wait_for(lambda: namespace.event_messages("untolerant", "FailedScheduling"))
    assert "1 node(s) had untolerated taint" in message


def test_a_selector_without_a_matching_node_is_reported(
    namespace: ScratchNamespace, node: Object
) -> None:
    namespace.create(pod("nowhere", nodeSelector={"there-is": "no-such-node"}))
    message = wait_for(lambda: namespace.event_messages("nowhere", "FailedScheduling"))
    assert re.search(
        r"0/\d+ nodes are available: .*didn't match Pod's node affinity/selector", message
    )


def test_a_fractional_or_overcommitted_device_is_rejected(namespace: ScratchNamespace) -> None:
    with rejected(422, "must be equal to nvidia.com/gpu limit"):
        half = {"requests": {GPU: "1"}, "limits": {GPU: "2"}}
        namespace.create(pod("half", container(resources=half)))
    with rejected(422, "Limit must be set for non overcommitable resources"):
        namespace.create(pod("loose", container(resources={"requests": {GPU: "1"}})))
