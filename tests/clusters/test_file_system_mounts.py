"""Pods start only when EFS would let the CSI driver's node pod mount their volumes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from jarkkit.sandbox.controllers.file_system_mounts import MountRequest, mount_request
from jarkkit.sandbox.kubernetes.api import Object
from tests.support.cluster_objects import ensure_node, event_message, make_pod
from tests.support.clusters import NAME, RehearsalCluster
from tests.support.file_systems import put_policy
from tests.support.poll import wait_for

VOLUMES = "/api/v1/persistentvolumes"
POD_IDENTITY = {
    "Effect": "Allow",
    "Principal": {"Service": "pods.eks.amazonaws.com"},
    "Action": ["sts:AssumeRole", "sts:TagSession"],
}


@pytest.mark.parametrize(
    ("handle", "options", "expected"),
    [
        ("fs-1::fsap-1", ["tls", "iam"], MountRequest("fs-1", "fsap-1", True, True)),
        ("fs-1", [], MountRequest("fs-1", "", False, True)),
        ("fs-1:/path:fsap-1", ["iam"], MountRequest("fs-1", "fsap-1", True, True)),
    ],
)
def test_a_volume_says_how_the_driver_mounts_it(
    handle: str, options: list[str], expected: MountRequest
) -> None:
    volume = {"spec": {"mountOptions": options, "csi": {"volumeHandle": handle}}}
    assert mount_request(volume) == expected


@pytest.fixture
def role(cluster: RehearsalCluster, namespace: str) -> Iterator[str]:
    """The role of the CSI driver's node pods."""
    iam, eks = cluster.client("iam"), cluster.client("eks")
    trust = json.dumps({"Version": "2012-10-17", "Statement": [POD_IDENTITY]})
    arn = iam.create_role(RoleName=namespace, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    made = eks.create_pod_identity_association(
        clusterName=NAME, namespace="kube-system", serviceAccount="efs-csi-node-sa", roleArn=arn
    )["association"]
    yield str(arn)
    eks.delete_pod_identity_association(clusterName=NAME, associationId=made["associationId"])


@pytest.fixture
def handle(cluster: RehearsalCluster, namespace: str, role: str) -> str:
    """A file system with our policy, and an access point."""
    efs = cluster.client("efs")
    system = efs.create_file_system(CreationToken=namespace)["FileSystemId"]
    put_policy(efs, system, role)
    point = efs.create_access_point(ClientToken=namespace, FileSystemId=system)
    return f"{system}::{point['AccessPointId']}"


def create_volume(
    cluster: RehearsalCluster, namespace: str, handle: str, options: list[str]
) -> None:
    """Create a bound volume and claim named after the namespace."""
    shared = {"accessModes": ["ReadWriteMany"], "storageClassName": namespace}
    claim = {
        "metadata": {"name": "home"},
        "spec": {
            **shared,
            "volumeName": namespace,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    volume = {
        "metadata": {"name": namespace},
        "spec": {
            **shared,
            "capacity": {"storage": "1Gi"},
            "mountOptions": options,
            "csi": {"driver": "efs.csi.aws.com", "volumeHandle": handle},
            "claimRef": {"namespace": namespace, "name": "home"},
        },
    }
    cluster.api.create(VOLUMES, volume)
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    cluster.api.create(claims, claim)
    bound = lambda: cluster.api.get(f"{claims}/home").get("status", {}).get("phase")  # noqa: E731
    wait_for(lambda: bound() == "Bound")


def create_pod(cluster: RehearsalCluster, namespace: str, name: str) -> Any:
    """Create a pod with the claim; return a function that returns its phase."""
    volume = {"name": "home", "persistentVolumeClaim": {"claimName": "home"}}
    path = f"/api/v1/namespaces/{namespace}/pods"
    cluster.api.create(path, make_pod(name, {}, volumes=[volume]))
    return lambda: cluster.api.get(f"{path}/{name}")["status"]["phase"]


@pytest.fixture
def node(cluster: RehearsalCluster) -> Object:
    return ensure_node(cluster, "storage")


def test_a_volume_with_identity_and_access_point_is_mounted(
    cluster: RehearsalCluster, namespace: str, handle: str, node: Object
) -> None:
    create_volume(cluster, namespace, handle, ["tls", "iam"])
    phase = create_pod(cluster, namespace, "one")
    wait_for(lambda: phase() == "Running")
    cluster.api.delete(f"{VOLUMES}/{namespace}")


def test_a_volume_without_identity_is_refused_until_the_policy_allows_it(
    cluster: RehearsalCluster, namespace: str, handle: str, node: Object
) -> None:
    create_volume(cluster, namespace, handle, [])
    config = "/api/v1/namespaces/kube-system/configmaps/sandbox-denied-mounts"
    wait_for(lambda: f"{namespace}/home" in cluster.api.get(config)["data"]["lines"])

    def marked() -> bool:
        path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
        claim = {"name": "home", "persistentVolumeClaim": {"claimName": "home"}}
        made = cluster.api.create(path, make_pod("probe", {}, volumes=[claim]))
        return "sandbox.jarkkit.io/fault" in made["metadata"].get("annotations", {})

    wait_for(marked)  # the API server reads the list again within a second
    phase = create_pod(cluster, namespace, "one")
    words = f'MountVolume.SetUp failed for volume "{namespace}"'
    message = event_message(cluster, namespace, "one", "FailedMount", words)
    assert "access denied by server" in message
    assert phase() == "Pending"
    cluster.client("efs").delete_file_system_policy(FileSystemId=handle.partition(":")[0])
    wait_for(lambda: phase() == "Running")
    cluster.api.delete(f"{VOLUMES}/{namespace}")
