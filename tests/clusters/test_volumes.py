"""Claims become volumes of the account, which are attached and go again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jarkkit.sandbox.cluster.api import Object
from tests.clusters.conftest import NAME, World, wait_for
from tests.clusters.things import SYSTEM, a_node, instance_of, running, said, zone_of

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
VOLUMES = "/api/v1/persistentvolumes"
ATTACHMENTS = "/apis/storage.k8s.io/v1/volumeattachments"
EBS, EFS = "ebs.csi.aws.com", "efs.csi.aws.com"

MakeClass = Callable[..., str]


@pytest.fixture
def storage_class(world: World, namespace: str) -> Iterator[MakeClass]:
    made = []

    def make(provisioner: str, *, waits: bool = False, **parameters: str) -> str:
        name = f"{namespace}-{len(made)}"
        mode = "WaitForFirstConsumer" if waits else "Immediate"
        world.api.create(
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
        world.api.delete(f"{CLASSES}/{name}")


@pytest.fixture
def node(world: World) -> Object:
    return a_node(world, "storage")


@pytest.fixture
def ebs_driver(world: World, node: Object) -> Iterator[None]:
    with running(world, SYSTEM, "ebs-csi-controller-0", labels={"app": "ebs-csi-controller"}):
        yield


@pytest.fixture
def efs_driver(world: World, node: Object) -> Iterator[None]:
    with running(world, SYSTEM, "efs-csi-controller-0", labels={"app": "efs-csi-controller"}):
        yield


def claim(
    world: World,
    namespace: str,
    storage_class: str,
    size: str = "4Gi",
    *,
    name: str = "data",
    **spec: Any,
) -> Callable[[], Object]:
    """Make a claim; answers how it is now."""
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    requests = {"requests": {"storage": size}}
    wanted = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": requests,
        **spec,
    }
    world.api.create(path, {"metadata": {"name": name}, "spec": wanted})
    return lambda: world.api.get(f"{path}/{name}")


def is_bound(now: Callable[[], Object]) -> bool:
    return bool(now()["status"]["phase"] == "Bound")


def volumes(world: World, name: str) -> list[dict[str, Any]]:
    """Of the account, by the driver's tag."""
    filters = [{"Name": "tag:CSIVolumeName", "Values": [name]}]
    return list(world.client("ec2").describe_volumes(Filters=filters)["Volumes"])


def drop_claim(world: World, namespace: str, name: str = "data") -> None:
    world.api.delete(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")


def test_a_claim_is_a_tagged_volume_until_it_goes(
    world: World, namespace: str, storage_class: MakeClass, ebs_driver: None
) -> None:
    gp3 = storage_class(EBS, type="gp3", iops="4000", encrypted="true", tagSpecification_1="a=b")
    now = claim(world, namespace, gp3)
    wait_for(lambda: is_bound(now))
    uid = now()["metadata"]["uid"]
    volume = world.api.get(f"{VOLUMES}/pvc-{uid}")
    (found,) = volumes(world, f"pvc-{uid}")
    assert volume["spec"]["csi"]["volumeHandle"] == found["VolumeId"]
    assert (found["Size"], found["Iops"], found["Encrypted"]) == (4, 4000, True)
    assert found["VolumeType"] == "gp3"
    tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    assert tags["ebs.csi.aws.com/cluster"] == "true"
    assert tags[f"kubernetes.io/cluster/{NAME}"] == "owned"
    assert tags["kubernetes.io/created-for/pvc/name"] == "data"
    assert tags["kubernetes.io/created-for/pvc/namespace"] == namespace
    assert tags["a"] == "b"
    assert volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"] == EBS
    assert "external-provisioner.volume.kubernetes.io/finalizer" in volume["metadata"]["finalizers"]
    drop_claim(world, namespace)
    wait_for(lambda: not volumes(world, f"pvc-{uid}"))
    wait_for(lambda: not world.api.find(f"{VOLUMES}/pvc-{uid}"))


def test_without_the_driver_claims_wait_and_volumes_are_left(
    world: World, namespace: str, storage_class: MakeClass, node: Object
) -> None:
    gp3 = storage_class(EBS)
    now = claim(world, namespace, gp3)
    said(world, namespace, "data", "ExternalProvisioning")
    assert now()["status"]["phase"] == "Pending"
    with running(world, SYSTEM, "ebs-csi-controller-1", labels={"app": "ebs-csi-controller"}):
        wait_for(lambda: is_bound(now))
    uid = now()["metadata"]["uid"]
    drop_claim(world, namespace)
    wait_for(lambda: world.api.get(f"{VOLUMES}/pvc-{uid}")["status"]["phase"] == "Released")
    assert volumes(world, f"pvc-{uid}")
    with running(world, SYSTEM, "ebs-csi-controller-2", labels={"app": "ebs-csi-controller"}):
        wait_for(lambda: not volumes(world, f"pvc-{uid}"))


def test_a_volume_follows_its_pod(
    world: World, namespace: str, storage_class: MakeClass, node: Object, ebs_driver: None
) -> None:
    gp3 = storage_class(EBS, waits=True)
    now = claim(world, namespace, gp3)
    said(world, namespace, "data", "WaitForFirstConsumer")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    uses = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    with running(world, pods, "user", volumes=uses) as pod:
        assert is_bound(now)
        (found,) = volumes(world, f"pvc-{now()['metadata']['uid']}")
        ran_on = world.api.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")
        assert found["AvailabilityZone"] == zone_of(ran_on)


def test_attached_and_detached_as_an_attachment_says(
    world: World, namespace: str, storage_class: MakeClass, node: Object, ebs_driver: None
) -> None:
    ids = [{"key": "topology.kubernetes.io/zone", "values": [zone_of(node)]}]
    gp3 = storage_class(EBS)
    world.api.delete(f"{CLASSES}/{gp3}")
    world.api.create(
        CLASSES,
        {
            "metadata": {"name": gp3},
            "provisioner": EBS,
            "allowedTopologies": [{"matchLabelExpressions": ids}],
        },
    )
    now = claim(world, namespace, gp3)
    wait_for(lambda: is_bound(now))
    name = now()["spec"]["volumeName"]
    attachment = {
        "metadata": {"name": f"csi-{namespace}"},
        "spec": {
            "attacher": EBS,
            "nodeName": node["metadata"]["name"],
            "source": {"persistentVolumeName": name},
        },
    }
    world.api.create(ATTACHMENTS, attachment)
    path = f"{ATTACHMENTS}/csi-{namespace}"
    wait_for(lambda: world.api.get(path).get("status", {}).get("attached"))
    attached = world.api.get(path)
    assert "external-attacher/ebs-csi-aws-com" in attached["metadata"]["finalizers"]
    (found,) = volumes(world, name)
    (held,) = found["Attachments"]
    assert held["InstanceId"] == instance_of(node)
    assert held["Device"] == attached["status"]["attachmentMetadata"]["devicePath"]
    drop_claim(world, namespace)
    assert "is still attached to node" in said(world, "default", name, "VolumeFailedDelete")
    world.api.delete(path)
    wait_for(lambda: not world.api.find(path))
    wait_for(lambda: not volumes(world, name))


def test_a_claim_grows(
    world: World, namespace: str, storage_class: MakeClass, ebs_driver: None
) -> None:
    now = claim(world, namespace, storage_class(EBS))
    wait_for(lambda: is_bound(now))
    more = {"spec": {"resources": {"requests": {"storage": "9Gi"}}}}
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data"
    world.api.patch(path, more)
    wait_for(lambda: now()["status"]["capacity"]["storage"] == "9Gi")
    (found,) = volumes(world, now()["spec"]["volumeName"])
    assert found["Size"] == 9


@pytest.mark.parametrize(
    ("size", "modes", "words"),
    [
        ("4Gi", "ReadWriteMany", "Volume capabilities not supported"),
        ("70000Gi", "ReadWriteOnce", "Volume of 70000GiB is too large for volume type gp3"),
        ("60000Gi", "ReadWriteOnce", "exceeded your maximum gp3 storage limit of 50 TiB"),
    ],
)
def test_what_ec2_refuses_is_an_event(
    world: World,
    namespace: str,
    storage_class: MakeClass,
    ebs_driver: None,
    size: str,
    modes: str,
    words: str,
) -> None:
    now = claim(world, namespace, storage_class(EBS), size, accessModes=[modes])
    # Another controller may first say that it does not know the new storage class yet.
    assert words in said(world, namespace, "data", "ProvisioningFailed", words)
    assert now()["status"]["phase"] == "Pending"


def test_shared_storage_is_an_access_point(
    world: World, namespace: str, storage_class: MakeClass, efs_driver: None
) -> None:
    efs = world.client("efs")
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
    now = claim(world, namespace, shared, accessModes=["ReadWriteMany"])
    wait_for(lambda: is_bound(now))
    (point,) = efs.describe_access_points(FileSystemId=system)["AccessPoints"]
    volume = world.api.get(f"{VOLUMES}/{now()['spec']['volumeName']}")
    assert volume["spec"]["csi"]["volumeHandle"] == f"{system}::{point['AccessPointId']}"
    assert "nodeAffinity" not in volume["spec"]
    assert {"Key": "efs.csi.aws.com/cluster", "Value": "true"} in point["Tags"]
    assert point["RootDirectory"]["Path"] == f"/homes/{namespace}/data"
    assert point["PosixUser"] == {"Uid": 50000, "Gid": 50000}
    drop_claim(world, namespace)
    wait_for(lambda: not efs.describe_access_points(FileSystemId=system)["AccessPoints"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"provisioningMode": "efs-ap"}, "File System does not exist"),
        ({"provisioningMode": "efs-ap", "gid": "x"}, "Failed to parse invalid gid"),
        ({}, "Missing provisioningMode parameter"),
    ],
)
def test_what_the_shared_driver_refuses_is_an_event(
    world: World,
    namespace: str,
    storage_class: MakeClass,
    efs_driver: None,
    more: dict[str, str],
    words: str,
) -> None:
    shared = storage_class(EFS, fileSystemId="fs-0123456789abcdef0", **more)
    claim(world, namespace, shared, accessModes=["ReadWriteMany"])
    # Another controller may first say that it does not know the new storage class yet.
    assert words in said(world, namespace, "data", "ProvisioningFailed", words)


def test_one_made_by_hand_is_kept_or_goes_as_its_policy_says(
    world: World, namespace: str, ebs_driver: None
) -> None:
    ec2 = world.client("ec2")
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
        world.api.create(VOLUMES, {"metadata": {"name": name}, "spec": spec})
        now = claim(world, namespace, "", "1Gi", name=policy.lower(), volumeName=name)
        wait_for(lambda now=now: is_bound(now))
        drop_claim(world, namespace, policy.lower())
    wait_for(lambda: not world.api.find(f"{VOLUMES}/delete-{namespace}"))
    left = {volume["VolumeId"] for volume in ec2.describe_volumes()["Volumes"]}
    assert made["Retain"] in left
    assert made["Delete"] not in left
    kept = world.api.get(f"{VOLUMES}/retain-{namespace}")
    assert kept["status"]["phase"] == "Released"
    world.api.delete(f"{VOLUMES}/retain-{namespace}")
