"""Volumes by the driver ebs.csi.aws.com: when they are made, where, and when they go."""

from __future__ import annotations

import pytest

from tests.contract.cluster import FOREIGN, Object, Space, Thing, until
from tests.contract.manifests import claim, container, pod, thing

pytestmark = pytest.mark.usefixtures("ebs_driver")
DRIVER = "ebs.csi.aws.com"
ZONES = ("topology.kubernetes.io/zone", "topology.ebs.csi.aws.com/zone")


@pytest.fixture
def data(space: Space) -> Thing:
    """A claim of a class like gp3 in the kit's clusters."""
    gp3 = thing(
        "StorageClass",
        space.name,
        "storage.k8s.io/v1",
        provisioner=DRIVER,
        parameters={"type": "gp3", "encrypted": "true"},
        volumeBindingMode="WaitForFirstConsumer",
        allowVolumeExpansion=True,
    )
    space.create(gp3)
    return space.create(claim("data", space.name))


def user(space: Space) -> Thing:
    """A pod that wants the claim."""
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    mounted = container(volumeMounts=[{"name": "data", "mountPath": "/data"}])
    return space.create(pod("user", mounted, volumes=[volume]))


def volume_of(space: Space, data: Thing) -> Object:
    """The volume that a claim is bound to."""
    until(lambda: data.status["phase"] == "Bound")
    found = space.cluster.find("PersistentVolume", data.now["spec"]["volumeName"])
    assert found
    return found


def is_ready(made: Thing) -> bool:
    return bool(made.condition("Ready")["status"] == "True")


def test_a_claim_waits_for_the_pod_that_wants_it(space: Space, data: Thing) -> None:
    said = until(lambda: space.said("data", "WaitForFirstConsumer"))
    assert said == "waiting for first consumer to be created before binding"
    assert data.status["phase"] == "Pending"


def test_a_volume_is_in_the_zone_of_its_pod(space: Space, data: Thing) -> None:
    running = user(space)
    volume = volume_of(space, data)
    assert volume["spec"]["csi"]["driver"] == DRIVER
    assert volume["spec"]["csi"]["volumeHandle"].startswith("vol-")
    assert volume["spec"]["capacity"] == {"storage": "1Gi"}
    until(lambda: is_ready(running))
    node = space.cluster.find("Node", running.now["spec"]["nodeName"])
    assert node
    (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    zones = {e["key"]: e["values"] for e in term["matchExpressions"]}
    assert {*zones} <= {*ZONES}
    assert all(z == [node["metadata"]["labels"][ZONES[0]]] for z in zones.values())
    until(lambda: space.said("data", "ProvisioningSucceeded"))


def test_a_volume_is_attached_to_the_node_of_its_pod(space: Space, data: Thing) -> None:
    running = user(space)
    name = volume_of(space, data)["metadata"]["name"]

    def attached_to() -> list[str]:
        found = space.cluster.all("VolumeAttachment", "storage.k8s.io/v1")
        ours = [a for a in found if a["spec"]["source"].get("persistentVolumeName") == name]
        return [a["spec"]["nodeName"] for a in ours if (a.get("status") or {}).get("attached")]

    until(attached_to)
    assert attached_to() == [running.now["spec"]["nodeName"]]
    assert "AttachVolume.Attach succeeded" in until(
        lambda: space.said("user", "SuccessfulAttachVolume")
    )


def test_a_claim_that_is_used_stays_until_its_pod_has_gone(space: Space, data: Thing) -> None:
    running = user(space)
    name = volume_of(space, data)["metadata"]["name"]
    until(lambda: is_ready(running))
    data.delete()
    assert data.now["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    running.delete()
    until(data.is_gone)
    until(lambda: not space.cluster.find("PersistentVolume", name))


def test_a_volume_grows_with_its_claim(space: Space, data: Thing) -> None:
    running = user(space)
    until(lambda: is_ready(running))
    data.patch({"spec": {"resources": {"requests": {"storage": "2Gi"}}}})
    until(lambda: data.status["capacity"]["storage"] == "2Gi")


@pytest.mark.xfail(not FOREIGN, reason="no kubelet registers drivers in the sandbox")
def test_nodes_know_the_driver(space: Space) -> None:
    nodes = space.cluster.all("CSINode", "storage.k8s.io/v1")
    drivers = [d for node in nodes for d in node["spec"].get("drivers") or ()]
    ebs = [driver for driver in drivers if driver["name"] == DRIVER]
    assert ebs
    assert all(driver["nodeID"].startswith("i-") for driver in ebs)
    assert all(driver["allocatable"]["count"] > 0 for driver in ebs)
