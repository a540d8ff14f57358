"""Keeps pods from starting whose EFS volumes the file system's policy would not let a node mount.

The EFS CSI driver's node pod mounts with its service account's role when the volume has the mount
option `iam`, else as an anonymous client. The API server marks new pods that use a claim whose
mount EFS would refuse (as in `pod_faults`), and kwok_stages/pod.yaml reports what kubelet would.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from jarkkit.sandbox.account.efs.mounts import MOUNT, NfsClient
from jarkkit.sandbox.account_backends import Backends
from jarkkit.sandbox.controllers import pod_identity, process_admission
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.controllers.objects import PODS, pod_path
from jarkkit.sandbox.controllers.pod_faults import FAULT_ANNOTATION
from jarkkit.sandbox.controllers.volume_model import EFS
from jarkkit.sandbox.kubernetes.api import Object, key_of
from jarkkit.sandbox.kubernetes.informer import Informer

MOUNT_DENIED = "mount-denied"
_VOLUMES = "/api/v1/persistentvolumes"
_VOLUME_ANNOTATION = "sandbox.jarkkit.io/denied-volume"
_NAME = "mounts.sandbox.jarkkit.io"
_CONFIG = {"name": "sandbox-denied-mounts", "namespace": "kube-system"}
_DRIVER_ACCOUNT = ("kube-system", "efs-csi-node-sa")


class MountRequest(NamedTuple):
    """What the driver's node pod asks EFS for: a file system, an access point, options."""

    file_system: str
    access_point: str
    with_identity: bool
    encrypted: bool


def mount_request(volume: Object) -> MountRequest:
    """Parse a PersistentVolume of the EFS CSI driver.

    https://github.com/kubernetes-sigs/aws-efs-csi-driver/blob/master/docs/parameters.md
    """
    csi = volume["spec"]["csi"]
    system, _, rest = csi["volumeHandle"].partition(":")
    return MountRequest(
        file_system=system,
        access_point=rest.rpartition(":")[2],
        with_identity="iam" in (volume["spec"].get("mountOptions") or ()),
        encrypted=(csi.get("volumeAttributes") or {}).get("encryptInTransit") != "false",
    )


def policy_manifests() -> list[Object]:
    """Return the policy and its binding.

    A line is a claim as `namespace/name` and the name of its volume.
    """
    used = (
        "object.spec.?volumes.orValue([]).exists(v, has(v.persistentVolumeClaim) && "
        "request.namespace + '/' + v.persistentVolumeClaim.claimName == line.split(' ')[0])"
    )
    lines = f"params.data.lines.split('\\n').filter(line, line != '' && {used})"
    variables = {"hits": f"has(params.data) ? {lines} : []"}
    marks = (
        f"{{'{FAULT_ANNOTATION}': '{MOUNT_DENIED}', "
        f"'{_VOLUME_ANNOTATION}': variables.hits[0].split(' ')[1]}}"
    )
    policy, binding = process_admission.mutating_policy(
        _NAME, variables, "size(variables.hits) == 0", marks
    )
    policy["spec"]["paramKind"] = {"apiVersion": "v1", "kind": "ConfigMap"}
    binding["spec"]["paramRef"] = {**_CONFIG, "parameterNotFoundAction": "Allow"}
    return [policy, binding]


class MountController(Controller):
    """Reconciles the list of claims that cannot be mounted, and the marks of their pods."""

    name = "file system mounts"
    follows_account = True
    rest = 0.2

    def start(self) -> None:
        """Start; what an earlier run has written is unknown."""
        self._written: list[str] | None = None
        super().start()

    def watched(self) -> tuple[Informer, ...]:
        """Return the informers of volumes and pods.

        The API server reads the list of claims again within a second, and may mark a pod meanwhile
        whose volume is no longer denied.
        """
        return self.cluster.informer(_VOLUMES), self.cluster.informer(PODS)

    def reconcile(self) -> float | None:
        """Write the claims whose mount EFS would refuse; release the pods of the others."""
        volumes = [
            volume
            for volume in self.cluster.informer(_VOLUMES).all()
            if volume["spec"].get("csi", {}).get("driver") == EFS
        ]
        with self.cluster.read_account() as aws:
            lines = sorted(_denied(aws, self.cluster.name, volumes))
        if lines != self._written:
            self._write(lines)
            self._written = lines
        self._release({line.split()[1] for line in lines})
        return None

    def _write(self, lines: list[str]) -> None:
        data = {"lines": "\n".join(lines)}
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _CONFIG, "data": data}
        self.cluster.api.apply(config)

    def _release(self, denied: set[str]) -> None:
        """Remove the marks of pods whose volume EFS now lets the driver mount."""
        for pod in self.cluster.pods():
            volume = (pod["metadata"].get("annotations") or {}).get(_VOLUME_ANNOTATION)
            path = pod_path(pod)
            if volume and volume not in denied and self.cluster.api.find(path) is not None:
                marks = {FAULT_ANNOTATION: None, _VOLUME_ANNOTATION: None}
                self.cluster.api.patch(path, {"metadata": {"annotations": marks}})
                self.cluster.log(f"{key_of(pod)}: EFS lets the node mount {volume}")


def _denied(aws: Backends, cluster: str, volumes: list[Object]) -> Iterator[str]:
    for volume in volumes:
        claim = volume["spec"].get("claimRef")
        if claim and not _can_mount(aws, cluster, mount_request(volume)):
            yield f"{claim['namespace']}/{claim['name']} {volume['metadata']['name']}"


def _can_mount(aws: Backends, cluster: str, request: MountRequest) -> bool:
    """Return the file system's decision; one that does not exist is another fault."""
    if request.file_system not in aws.efs.file_systems_by_id:
        return True
    role = pod_identity.associated_role(aws, cluster, *_DRIVER_ACCOUNT)
    point = aws.efs.access_points.get(request.access_point)
    client = NfsClient(
        principal=(role or "") if request.with_identity else "",
        access_point=point.access_point_arn if point else "",
        encrypted=request.encrypted,
    )
    return bool(aws.efs.mount_decision(request.file_system, client, MOUNT) == "allowed")
