"""Volumes of the driver ebs.csi.aws.com: provisioning, zone, attachment and deletion."""

from __future__ import annotations

import pytest

from tests.contract.cluster import USER_KUBECONFIG, LiveObject, Object, ScratchNamespace
from tests.contract.manifests import claim, container, make_object, pod
from tests.support.poll import wait_for

pytestmark = pytest.mark.usefixtures("ebs_driver")
DRIVER = "ebs.csi.aws.com"
ZONES = ("topology.kubernetes.io/zone", "topology.ebs.csi.aws.com/zone")


@pytest.fixture
def volume_claim(namespace: ScratchNamespace) -> LiveObject:
    """A claim with a storage class like gp3 in jarkkit's clusters."""
    gp3 = make_object(
        "StorageClass",
        namespace.name,
        "storage.k8s.io/v1",
        provisioner=DRIVER,
        parameters={"type": "gp3", "encrypted": "true"},
        volumeBindingMode="WaitForFirstConsumer",
        allowVolumeExpansion=True,
    )
    namespace.create(gp3)
    return namespace.create(claim("data", namespace.name))


def create_pod(namespace: ScratchNamespace) -> LiveObject:
    """Create a pod that mounts the claim."""
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    mounted = container(volumeMounts=[{"name": "data", "mountPath": "/data"}])
    return namespace.create(pod("user", mounted, volumes=[volume]))


def volume_of(namespace: ScratchNamespace, volume_claim: LiveObject) -> Object:
    """Return the volume to which the claim is bound."""
    wait_for(lambda: volume_claim.status["phase"] == "Bound")
    found = namespace.cluster.find("PersistentVolume", volume_claim.current["spec"]["volumeName"])
    assert found
    return found


def is_ready(made: LiveObject) -> bool:
    return bool(made.condition("Ready")["status"] == "True")


def test_a_claim_waits_for_its_first_consumer(
    namespace: ScratchNamespace, volume_claim: LiveObject
) -> None:
    message = wait_for(lambda: namespace.event_messages("data", "WaitForFirstConsumer"))
    assert message == "waiting for first consumer to be created before binding"
    assert volume_claim.status["phase"] == "Pending"


def test_a_volume_is_in_the_zone_of_its_pod(
    namespace: ScratchNamespace, volume_claim: LiveObject
) -> None:
    running = create_pod(namespace)
    volume = volume_of(namespace, volume_claim)
    assert volume["spec"]["csi"]["driver"] == DRIVER
    assert volume["spec"]["csi"]["volumeHandle"].startswith("vol-")
    assert volume["spec"]["capacity"] == {"storage": "1Gi"}
    wait_for(lambda: is_ready(running))
    node = namespace.cluster.find("Node", running.current["spec"]["nodeName"])
    assert node
    (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    zones = {e["key"]: e["values"] for e in term["matchExpressions"]}
    assert {*zones} <= {*ZONES}
    assert all(z == [node["metadata"]["labels"][ZONES[0]]] for z in zones.values())
    wait_for(lambda: namespace.event_messages("data", "ProvisioningSucceeded"))


def test_a_volume_is_attached_to_the_node_of_its_pod(
    namespace: ScratchNamespace, volume_claim: LiveObject
) -> None:
    running = create_pod(namespace)
    name = volume_of(namespace, volume_claim)["metadata"]["name"]

    def attached_to() -> list[str]:
        found = namespace.cluster.all("VolumeAttachment", "storage.k8s.io/v1")
        ours = [a for a in found if a["spec"]["source"].get("persistentVolumeName") == name]
        return [a["spec"]["nodeName"] for a in ours if (a.get("status") or {}).get("attached")]

    wait_for(attached_to)
    assert attached_to() == [running.current["spec"]["nodeName"]]
    assert "AttachVolume.Attach succeeded" in wait_for(
        lambda: namespace.event_messages("user", "SuccessfulAttachVolume")
    )


def test_a_claim_in_use_is_kept_until_its_pod_is_gone(
    namespace: ScratchNamespace, volume_claim: LiveObject
) -> None:
    running = create_pod(namespace)
    name = volume_of(namespace, volume_claim)["metadata"]["name"]
    wait_for(lambda: is_ready(running))
    volume_claim.delete()
    assert volume_claim.current["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    running.delete()
    wait_for(volume_claim.is_gone)
    wait_for(lambda: not namespace.cluster.find("PersistentVolume", name))


def test_a_volume_grows_with_its_claim(
    namespace: ScratchNamespace, volume_claim: LiveObject
) -> None:
    running = create_pod(namespace)
    wait_for(lambda: is_ready(running))
    volume_claim.patch({"spec": {"resources": {"requests": {"storage": "2Gi"}}}})
    wait_for(lambda: volume_claim.status["capacity"]["storage"] == "2Gi")


@pytest.mark.xfail(not USER_KUBECONFIG, reason="no kubelet registers drivers in the sandbox")
def test_nodes_list_the_driver(namespace: ScratchNamespace) -> None:
    nodes = namespace.cluster.all("CSINode", "storage.k8s.io/v1")
    drivers = [d for node in nodes for d in node["spec"].get("drivers") or ()]
    ebs = [driver for driver in drivers if driver["name"] == DRIVER]
    assert ebs
    assert all(driver["nodeID"].startswith("i-") for driver in ebs)
    assert all(driver["allocatable"]["count"] > 0 for driver in ebs)
