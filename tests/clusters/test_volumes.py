"""Claims get volumes in the account; these are attached, detached and deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from jarkkit.sandbox.kubernetes.api import Object
from tests.support.cluster_objects import (
    SYSTEM_PODS,
    ensure_node,
    event_message,
    instance_id_of,
    running_pod,
    zone_of,
)
from tests.support.clusters import NAME, RehearsalCluster
from tests.support.poll import wait_for

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
VOLUMES = "/api/v1/persistentvolumes"
ATTACHMENTS = "/apis/storage.k8s.io/v1/volumeattachments"
EBS, EFS = "ebs.csi.aws.com", "efs.csi.aws.com"

MakeClass = Callable[..., str]


@pytest.fixture
def storage_class(cluster: RehearsalCluster, namespace: str) -> Iterator[MakeClass]:
    made: list[str] = []

    def make(provisioner: str, *, waits: bool = False, **parameters: str) -> str:
        name = f"{namespace}-{len(made)}"
        mode = "WaitForFirstConsumer" if waits else "Immediate"
        cluster.api.create(
            CLASSES,
            {
                "metadata": {"name": name},
                "provisioner": provisioner,
                "volumeBindingMode": mode,
                "allowVolumeExpansion": True,
                "parameters": parameters,
            },
        )
        made.append(name)
        return name

    yield make
    for name in made:
        cluster.api.delete(f"{CLASSES}/{name}")


@pytest.fixture
def node(cluster: RehearsalCluster) -> Object:
    return ensure_node(cluster, "storage")


@pytest.fixture
def ebs_driver(cluster: RehearsalCluster, node: Object) -> Iterator[None]:
    driver = {"name": "c", "image": "i", "args": ["controller", "--extra-tags=team=a b,x=1=2"]}
    with running_pod(
        cluster,
        SYSTEM_PODS,
        "ebs-csi-controller-0",
        labels={"app": "ebs-csi-controller"},
        containers=[driver],
    ):
        yield


@pytest.fixture
def efs_driver(cluster: RehearsalCluster, node: Object) -> Iterator[None]:
    with running_pod(
        cluster, SYSTEM_PODS, "efs-csi-controller-0", labels={"app": "efs-csi-controller"}
    ):
        yield


def create_claim(
    cluster: RehearsalCluster,
    namespace: str,
    storage_class: str,
    size: str = "4Gi",
    *,
    name: str = "data",
    **spec: Any,
) -> Callable[[], Object]:
    """Create a claim; return a function that reads its current state."""
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    requests = {"requests": {"storage": size}}
    wanted = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": requests,
        **spec,
    }
    cluster.api.create(path, {"metadata": {"name": name}, "spec": wanted})
    return lambda: cluster.api.get(f"{path}/{name}")


def is_bound(current: Callable[[], Object]) -> bool:
    return bool(current()["status"]["phase"] == "Bound")


def volumes(cluster: RehearsalCluster, name: str) -> list[dict[str, Any]]:
    """Return the account's volumes with the driver's tag."""
    filters = [{"Name": "tag:CSIVolumeName", "Values": [name]}]
    return list(cluster.client("ec2").describe_volumes(Filters=filters)["Volumes"])


def delete_claim(cluster: RehearsalCluster, namespace: str, name: str = "data") -> None:
    cluster.api.delete(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")


def test_a_claim_has_a_tagged_volume_until_it_is_deleted(
    cluster: RehearsalCluster, namespace: str, storage_class: MakeClass, ebs_driver: None
) -> None:
    gp3 = storage_class(EBS, type="gp3", iops="4000", encrypted="true", tagSpecification_1="a=b")
    current = create_claim(cluster, namespace, gp3)
    wait_for(lambda: is_bound(current))
    uid = current()["metadata"]["uid"]
    volume = cluster.api.get(f"{VOLUMES}/pvc-{uid}")
    (found,) = volumes(cluster, f"pvc-{uid}")
    assert volume["spec"]["csi"]["volumeHandle"] == found["VolumeId"]
    assert (found["Size"], found["Iops"], found["Encrypted"]) == (4, 4000, True)
    assert found["VolumeType"] == "gp3"
    tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    assert tags["ebs.csi.aws.com/cluster"] == "true"
    assert tags[f"kubernetes.io/cluster/{NAME}"] == "owned"
    assert tags["kubernetes.io/created-for/pvc/name"] == "data"
    assert tags["kubernetes.io/created-for/pvc/namespace"] == namespace
    assert (tags["a"], tags["team"], tags["x"]) == ("b", "a b", "1=2")
    assert volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"] == EBS
    assert "external-provisioner.volume.kubernetes.io/finalizer" in volume["metadata"]["finalizers"]
    delete_claim(cluster, namespace)
    wait_for(lambda: not volumes(cluster, f"pvc-{uid}"))
    wait_for(lambda: not cluster.api.find(f"{VOLUMES}/pvc-{uid}"))


def test_without_the_driver_claims_stay_pending_and_volumes_are_kept(
    cluster: RehearsalCluster, namespace: str, storage_class: MakeClass, node: Object
) -> None:
    gp3 = storage_class(EBS)
    current = create_claim(cluster, namespace, gp3)
    event_message(cluster, namespace, "data", "ExternalProvisioning")
    assert current()["status"]["phase"] == "Pending"
    with running_pod(
        cluster, SYSTEM_PODS, "ebs-csi-controller-1", labels={"app": "ebs-csi-controller"}
    ):
        wait_for(lambda: is_bound(current))
    uid = current()["metadata"]["uid"]
    delete_claim(cluster, namespace)
    wait_for(lambda: cluster.api.get(f"{VOLUMES}/pvc-{uid}")["status"]["phase"] == "Released")
    assert volumes(cluster, f"pvc-{uid}")
    with running_pod(
        cluster, SYSTEM_PODS, "ebs-csi-controller-2", labels={"app": "ebs-csi-controller"}
    ):
        wait_for(lambda: not volumes(cluster, f"pvc-{uid}"))


def test_a_volume_is_attached_where_its_pod_runs(
    cluster: RehearsalCluster,
    namespace: str,
    storage_class: MakeClass,
    node: Object,
    ebs_driver: None,
) -> None:
    gp3 = storage_class(EBS, waits=True)
    current = create_claim(cluster, namespace, gp3)
    event_message(cluster, namespace, "data", "WaitForFirstConsumer")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    uses = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    with running_pod(cluster, pods, "user", volumes=uses) as pod:
        assert is_bound(current)
        (found,) = volumes(cluster, f"pvc-{current()['metadata']['uid']}")
        ran_on = cluster.api.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")
        assert found["AvailabilityZone"] == zone_of(ran_on)


def test_a_volume_attachment_attaches_and_detaches_its_volume(
    cluster: RehearsalCluster,
    namespace: str,
    storage_class: MakeClass,
    node: Object,
    ebs_driver: None,
) -> None:
    ids = [{"key": "topology.kubernetes.io/zone", "values": [zone_of(node)]}]
    gp3 = storage_class(EBS)
    cluster.api.delete(f"{CLASSES}/{gp3}")
    cluster.api.create(
        CLASSES,
        {
            "metadata": {"name": gp3},
            "provisioner": EBS,
            "allowedTopologies": [{"matchLabelExpressions": ids}],
        },
    )
    current = create_claim(cluster, namespace, gp3)
    wait_for(lambda: is_bound(current))
    name = current()["spec"]["volumeName"]
    attachment = {
        "metadata": {"name": f"csi-{namespace}"},
        "spec": {
            "attacher": EBS,
            "nodeName": node["metadata"]["name"],
            "source": {"persistentVolumeName": name},
        },
    }
    cluster.api.create(ATTACHMENTS, attachment)
    path = f"{ATTACHMENTS}/csi-{namespace}"
    wait_for(lambda: cluster.api.get(path).get("status", {}).get("attached"))
    attached = cluster.api.get(path)
    assert "external-attacher/ebs-csi-aws-com" in attached["metadata"]["finalizers"]
    (found,) = volumes(cluster, name)
    (held,) = found["Attachments"]
    assert held["InstanceId"] == instance_id_of(node)
    assert held["Device"] == attached["status"]["attachmentMetadata"]["devicePath"]
    delete_claim(cluster, namespace)
    assert "is still attached to node" in event_message(
        cluster, "default", name, "VolumeFailedDelete"
    )
    cluster.api.delete(path)
    wait_for(lambda: not cluster.api.find(path))
    wait_for(lambda: not volumes(cluster, name))


def test_a_volume_grows_with_its_claim(
    cluster: RehearsalCluster, namespace: str, storage_class: MakeClass, ebs_driver: None
) -> None:
    current = create_claim(cluster, namespace, storage_class(EBS))
    wait_for(lambda: is_bound(current))
    more = {"spec": {"resources": {"requests": {"storage": "9Gi"}}}}
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data"
    cluster.api.patch(path, more)
    wait_for(lambda: current()["status"]["capacity"]["storage"] == "9Gi")
    (found,) = volumes(cluster, current()["spec"]["volumeName"])
    assert found["Size"] == 9


@pytest.mark.parametrize(
    ("size", "modes", "words"),
    [
        ("4Gi", "ReadWriteMany", "Volume capabilities not supported"),
        ("70000Gi", "ReadWriteOnce", "Volume of 70000GiB is too large for volume type gp3"),
        ("60000Gi", "ReadWriteOnce", "exceeded your maximum gp3 storage limit of 50 TiB"),
    ],
)
def test_a_rejection_by_ec2_is_reported_as_an_event(
    cluster: RehearsalCluster,
    namespace: str,
    storage_class: MakeClass,
    ebs_driver: None,
    size: str,
    modes: str,
    words: str,
) -> None:
    current = create_claim(cluster, namespace, storage_class(EBS), size, accessModes=[modes])
    # Another controller may first report that it does not know the new storage class yet.
    assert words in event_message(cluster, namespace, "data", "ProvisioningFailed", words)
    assert current()["status"]["phase"] == "Pending"


def test_shared_storage_gets_an_access_point(
    cluster: RehearsalCluster, namespace: str, storage_class: MakeClass, efs_driver: None
) -> None:
    efs = cluster.client("efs")
    system = efs.create_file_system(CreationToken=namespace)["FileSystemId"]
    shared = storage_class(
        EFS,
        provisioningMode="efs-ap",
        fileSystemId=system,
        directoryPerms="700",
        basePath="/homes",
        subPathPattern="${.PVC.namespace}/${.PVC.name}",
        ensureUniqueDirectory="false",
    )
    current = create_claim(cluster, namespace, shared, accessModes=["ReadWriteMany"])
    wait_for(lambda: is_bound(current))
    (point,) = efs.describe_access_points(FileSystemId=system)["AccessPoints"]
    volume = cluster.api.get(f"{VOLUMES}/{current()['spec']['volumeName']}")
    assert volume["spec"]["csi"]["volumeHandle"] == f"{system}::{point['AccessPointId']}"
    assert "nodeAffinity" not in volume["spec"]
    assert {"Key": "efs.csi.aws.com/cluster", "Value": "true"} in point["Tags"]
    assert point["RootDirectory"]["Path"] == f"/homes/{namespace}/data"
    assert point["PosixUser"] == {"Uid": 50000, "Gid": 50000}
    delete_claim(cluster, namespace)
    wait_for(lambda: not efs.describe_access_points(FileSystemId=system)["AccessPoints"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"provisioningMode": "efs-ap"}, "File System does not exist"),
        ({"provisioningMode": "efs-ap", "gid": "x"}, "Failed to parse invalid gid"),
        ({}, "Missing provisioningMode parameter"),
    ],
)
def test_a_rejection_by_the_efs_driver_is_reported_as_an_event(
    cluster: RehearsalCluster,
    namespace: str,
    storage_class: MakeClass,
    efs_driver: None,
    more: dict[str, str],
    words: str,
) -> None:
    shared = storage_class(EFS, fileSystemId="fs-0123456789abcdef0", **more)
    create_claim(cluster, namespace, shared, accessModes=["ReadWriteMany"])
    # Another controller may first report that it does not know the new storage class yet.
    assert words in event_message(cluster, namespace, "data", "ProvisioningFailed", words)


def test_a_manually_created_volume_follows_its_reclaim_policy(
    cluster: RehearsalCluster, namespace: str, ebs_driver: None
) -> None:
    ec2 = cluster.client("ec2")
    made = {}
    for policy in ("Retain", "Delete"):
        volume = ec2.create_volume(AvailabilityZone="us-west-2a", Size=1)["VolumeId"]
        name = f"{policy.lower()}-{namespace}"
        made[policy] = volume
        spec = {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "csi": {"driver": EBS, "volumeHandle": volume},
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": "",
        }
        cluster.api.create(VOLUMES, {"metadata": {"name": name}, "spec": spec})
        current = create_claim(cluster, namespace, "", "1Gi", name=policy.lower(), volumeName=name)
        wait_for(partial(is_bound, current))
        delete_claim(cluster, namespace, policy.lower())
    wait_for(lambda: not cluster.api.find(f"{VOLUMES}/delete-{namespace}"))
    left = {volume["VolumeId"] for volume in ec2.describe_volumes()["Volumes"]}
    assert made["Retain"] in left
    assert made["Delete"] not in left
    kept = cluster.api.get(f"{VOLUMES}/retain-{namespace}")
    assert kept["status"]["phase"] == "Released"
    cluster.api.delete(f"{VOLUMES}/retain-{namespace}")
