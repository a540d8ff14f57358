"""Nodes as EKS' managed groups bring them, and where pods are put."""

from __future__ import annotations

import re

import pytest
from kubernetes import client
from kubernetes.utils import parse_quantity

from tests.contract.cluster import Cluster, Object, Space, refused, until
from tests.contract.conftest import GPU
from tests.contract.manifests import container, pod

GROUP = "eks.amazonaws.com/nodegroup"
ZONE = "topology.kubernetes.io/zone"


@pytest.fixture(scope="session")
def node(cluster: Cluster) -> Object:
    """A node of a managed group, without a GPU."""
    for found in cluster.all("Node", label_selector=GROUP):
        if found["status"]["allocatable"].get(GPU, "0") == "0":
            return found
    pytest.skip("no node of a managed group without a GPU")


def labels(node: Object) -> dict[str, str]:
    found: dict[str, str] = node["metadata"]["labels"]
    return found


# -- what a node says of itself ----------------------------------------------------------------


def test_a_node_of_a_managed_group_says_which_and_how_it_is_paid_for(node: Object) -> None:
    assert labels(node)[GROUP]
    assert labels(node)["eks.amazonaws.com/capacityType"] in {
        "ON_DEMAND",
        "SPOT",
        "CAPACITY_BLOCK",
    }
    assert labels(node)["eks.amazonaws.com/nodegroup-image"].startswith("ami-")


def test_a_node_has_the_labels_that_schedulers_go_by(node: Object) -> None:
    assert re.fullmatch(r"[a-z0-9-]+\.[a-z0-9-]+", labels(node)["node.kubernetes.io/instance-type"])
    assert labels(node)[ZONE].startswith(labels(node)["topology.kubernetes.io/region"])
    assert labels(node)["kubernetes.io/arch"] in {"amd64", "arm64"}
    assert labels(node)["kubernetes.io/arch"] == node["status"]["nodeInfo"]["architecture"]
    assert labels(node)["kubernetes.io/os"] == "linux"


def test_a_nodes_provider_id_is_its_zone_and_instance(node: Object) -> None:
    match = re.fullmatch(r"aws:///([a-z0-9-]+)/i-[0-9a-f]+", node["spec"]["providerID"])
    assert match
    assert match[1] == labels(node)[ZONE]


def test_a_node_is_named_as_its_private_dns_name(node: Object) -> None:
    addresses = {a["type"]: a["address"] for a in node["status"]["addresses"]}
    assert node["metadata"]["name"] == addresses["InternalDNS"]
    assert addresses["InternalIP"]


def test_kubelet_is_of_the_servers_minor_version(cluster: Cluster, node: Object) -> None:
    server = client.VersionApi(cluster.api).get_code()
    minor = f"v{server.major}.{server.minor.rstrip('+')}."
    assert node["status"]["nodeInfo"]["kubeletVersion"].startswith(minor)
    assert "-eks-" in node["status"]["nodeInfo"]["kubeletVersion"]


def test_a_node_has_room_and_keeps_some_for_itself(node: Object) -> None:
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


# -- what does not fit -------------------------------------------------------------------------


def test_without_a_device_a_gpu_pod_waits_and_is_told_so(space: Space, node: Object) -> None:
    here = {"kubernetes.io/hostname": labels(node)["kubernetes.io/hostname"]}
    made = space.create(pod("cuda", container(resources={"limits": {GPU: "1"}}), nodeSelector=here))
    said = until(lambda: space.said("cuda", "FailedScheduling"))
    assert f"1 Insufficient {GPU}" in said
    assert made.status["phase"] == "Pending"
    assert made.condition("PodScheduled")["reason"] == "Unschedulable"
    assert f"Insufficient {GPU}" in made.condition("PodScheduled")["message"]


def test_a_taint_that_is_not_tolerated_is_told(space: Space, tainted_node: Object) -> None:
    here = {"kubernetes.io/hostname": labels(tainted_node)["kubernetes.io/hostname"]}
    space.create(pod("untolerant", nodeSelector=here))
    said = until(lambda: space.said("untolerant", "FailedScheduling"))
    assert "1 node(s) had untolerated taint" in said


def test_a_selector_that_no_node_has_is_told(space: Space, node: Object) -> None:
    space.create(pod("nowhere", nodeSelector={"there-is": "no-such-node"}))
    said = until(lambda: space.said("nowhere", "FailedScheduling"))
    assert re.search(
        r"0/\d+ nodes are available: .*didn't match Pod's node affinity/selector", said
    )


def test_a_device_is_not_shared(space: Space) -> None:
    with refused(422, "must be equal to nvidia.com/gpu limit"):
        half = {"requests": {GPU: "1"}, "limits": {GPU: "2"}}
        space.create(pod("half", container(resources=half)))
    with refused(422, "Limit must be set for non overcommitable resources"):
        space.create(pod("loose", container(resources={"requests": {GPU: "1"}})))
