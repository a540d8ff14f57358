"""What the EBS and EFS CSI drivers and their sidecars decide: pure functions over objects.

Names, tags, defaults and messages are those of aws-ebs-csi-driver 1.6x (docs/tagging.md,
docs/parameters.md), aws-efs-csi-driver 2.2, external-provisioner 6 and external-attacher 4, read
2026-11.
"""

from __future__ import annotations

import hashlib
import math
import posixpath
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jarkkit.model.kubernetes_values import quantity_value
from jarkkit.sandbox.controllers.objects import provider_path
from jarkkit.sandbox.kubernetes.api import Object

EBS = "ebs.csi.aws.com"
EFS = "efs.csi.aws.com"
ZONE = "topology.kubernetes.io/zone"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PROVISIONER_FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
ATTACHER_FINALIZER = "external-attacher/ebs-csi-aws-com"
_PROVISIONERS = (
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
)
_SECRETS = "volume.kubernetes.io/provisioner-deletion-secret"
_SIDECARS = "csi.storage.k8s.io/"
_GIB = 2**30
# Parameters of a StorageClass, in lower case; the driver ignores case.
_EBS_KEYS = frozenset(
    (
        "type", "iopspergb", "allowautoiopspergbincrease", "allowautoiopsincreaseonmodify", "iops",
        "throughput", "encrypted", "kmskeyid", "fstype", "blocksize", "inodesize", "bytesperinode",
        "numberofinodes", "ext4bigalloc", "ext4clustersize", "ext4encryptionsupport",
        "volumeinitializationrate",
    )
)  # fmt: skip
_GIDS = (50000, 60000)


class CsiDriverError(Exception):
    """An error of a driver or a sidecar.

    Args:
        code: of gRPC; empty when the sidecar itself rejects the request.
        reschedule: ask the scheduler to choose another node.
    """

    def __init__(self, code: str, message: str, *, reschedule: bool = False) -> None:
        super().__init__(f"rpc error: code = {code} desc = {message}" if code else message)
        self.reschedule = reschedule


@dataclass(frozen=True)
class VolumeRequest:
    """The volume that a claim requests.

    Attributes:
        name: of the future PersistentVolume, and the drivers' idempotency token.
        parameters: of the StorageClass, without those of the sidecars.
    """

    name: str
    namespace: str
    claim: str
    size: int
    parameters: Mapping[str, str]
    access_modes: tuple[str, ...]
    block: bool
    zone: str = ""


@dataclass(frozen=True)
class ProvisionedVolume:
    """A volume that a driver created; `zone` is empty for one that all zones can use."""

    handle: str
    size: int
    zone: str = ""


# -- claims --------------------------------------------------------------------------------------


def needs_provisioning(claim: Object, storage_class: Object, driver: str) -> bool:
    """Return True for a claim that waits for a volume from that driver."""
    meta, spec = claim["metadata"], claim["spec"]
    notes = meta.get("annotations", {})
    is_requested = any(notes.get(name) == driver for name in _PROVISIONERS)
    if not is_requested or spec.get("volumeName") or "deletionTimestamp" in meta:
        return False
    return not waits_for_pod(storage_class) or bool(notes.get(SELECTED_NODE))


def waits_for_pod(storage_class: Object) -> bool:
    """Return True when the pod's node determines the zone."""
    return storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def volume_request(claim: Object, storage_class: Object, zone: str) -> VolumeRequest:
    """Return the volume that the claim requests."""
    meta, spec = claim["metadata"], claim["spec"]
    given = storage_class.get("parameters") or {}
    return VolumeRequest(
        name=f"pvc-{meta['uid']}",
        namespace=meta["namespace"],
        claim=meta["name"],
        size=quantity_bytes(spec["resources"]["requests"]["storage"]),
        parameters={k: v for k, v in given.items() if not k.startswith(_SIDECARS)},
        access_modes=tuple(spec["accessModes"]),
        block=spec.get("volumeMode") == "Block",
        zone=zone,
    )


def quantity_bytes(quantity: Any) -> int:
    """Return a Kubernetes quantity in bytes."""
    return math.ceil(quantity_value(quantity))


def bytes_to_gib(size: int) -> int:
    """Return bytes in whole GiB, rounded up."""
    return -(-size // _GIB)


def format_quantity(size: int) -> str:
    """Return bytes as a Kubernetes quantity."""
    return f"{size // _GIB}Gi" if size % _GIB == 0 else str(size)


def zone_for(claim: Object, storage_class: Object, nodes: Mapping[str, Object]) -> str:
    """Return the zone for the claim's volume. Raises CsiDriverError."""
    name = claim["metadata"].get("annotations", {}).get(SELECTED_NODE)
    if waits_for_pod(storage_class):
        if name not in nodes:
            raise CsiDriverError(
                "", f'error getting node {name}: "{name}" not found', reschedule=True
            )
        zone = zone_of(nodes[name])
        if not zone:
            raise CsiDriverError("", _topology(f"no topology key found on CSINode {name}"))
        return zone
    allowed = [
        value
        for term in storage_class.get("allowedTopologies") or ()
        for item in term.get("matchLabelExpressions") or ()
        if item["key"] in (ZONE, f"topology.{EBS}/zone")
        for value in item["values"]
    ]
    zones: list[str] = sorted({*allowed} or {zone_of(node) for node in nodes.values()} - {""})
    if not zones:
        raise CsiDriverError("", _topology("no available topology found"))
    digest = hashlib.sha256(claim["metadata"]["uid"].encode()).digest()
    return zones[int.from_bytes(digest[:4], "big") % len(zones)]


def _topology(why: str) -> str:
    return f"error generating accessibility requirements: {why}"


def zone_of(node: Object) -> str:
    """Return the zone of a Node, empty when it has none."""
    return str(node["metadata"].get("labels", {}).get(ZONE) or provider_path(node)[0])


def persistent_volume(
    request: VolumeRequest, made: ProvisionedVolume, claim: Object, storage_class: Object
) -> Object:
    """Return the PersistentVolume as external-provisioner writes it."""
    driver = storage_class["provisioner"]
    meta = claim["metadata"]
    term = {"key": ZONE, "operator": "In", "values": [made.zone]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
    kind = (storage_class.get("parameters") or {}).get(f"{_SIDECARS}fstype")
    file_system = kind or ("ext4" if driver == EBS else "")
    return {
        "metadata": {
            "name": request.name,
            "annotations": {
                PROVISIONED_BY: driver,
                f"{_SECRETS}-name": "",
                f"{_SECRETS}-namespace": "",
            },
            "finalizers": [PROVISIONER_FINALIZER],
        },
        "spec": {
            "accessModes": list(request.access_modes),
            "capacity": {"storage": format_quantity(made.size)},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                **{name: meta[name] for name in ("name", "namespace", "uid", "resourceVersion")},
            },
            "csi": {
                "driver": driver,
                "volumeHandle": made.handle,
                "volumeAttributes": {"storage.kubernetes.io/csiProvisionerIdentity": driver},
                **({"fsType": file_system} if file_system and not request.block else {}),
            },
            **({"nodeAffinity": affinity} if made.zone else {}),
            "mountOptions": storage_class.get("mountOptions") or [],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": claim["spec"].get("volumeMode") or "Filesystem",
        },
    }


# -- Amazon EBS ----------------------------------------------------------------------------------


def create_volume_args(request: VolumeRequest) -> dict[str, Any]:
    """Return the driver's arguments for EC2's CreateVolume. Raises CsiDriverError."""
    given = {_ebs_key(key): value for key, value in request.parameters.items()}
    kind = given.get("type") or "gp3"
    shared = "ReadWriteMany" in request.access_modes
    if "ReadOnlyMany" in request.access_modes or (shared and not request.block):
        raise CsiDriverError("InvalidArgument", "Volume capabilities not supported")
    if shared and kind != "io2":
        raise _not_created(request, "CreateDisk: multi-attach is only supported for io2 volumes")
    size = bytes_to_gib(request.size)
    return {
        "size": size,
        "zone_name": request.zone,
        "volume_type": kind,
        "iops": _iops(request, given, size),
        "throughput": _number(given, "throughput"),
        "encrypted": given.get("encrypted", "").lower() == "true" or "kmskeyid" in given,
        "kms_key_id": given.get("kmskeyid"),
        "multi_attach_enabled": shared,
    }


def _ebs_key(key: str) -> str:
    if key.startswith("tagSpecification"):
        return key
    if key.lower() not in _EBS_KEYS:
        raise CsiDriverError("InvalidArgument", f"Invalid parameter key {key} for CreateVolume")
    return key.lower()


def _iops(request: VolumeRequest, given: Mapping[str, str], size: int) -> int | None:
    iops, by_size = _number(given, "iops"), _number(given, "iopspergb")
    if iops and by_size:
        raise _not_created(
            request,
            "invalid StorageClass parameters; specify either IOPS or IOPSPerGb, not both",
        )
    return by_size * size if by_size else iops


def _number(given: Mapping[str, str], key: str) -> int | None:
    try:
        return int(given[key]) if key in given else None
    except ValueError:
        raise CsiDriverError(
            "InvalidArgument",
            f'Could not parse invalid {key}: strconv.ParseInt: parsing "{given[key]}": '
            "invalid syntax",
        ) from None


def _not_created(request: VolumeRequest, why: str, code: str = "Aborted") -> CsiDriverError:
    return CsiDriverError(code, f'Could not create volume "{request.name}": {why}')


def ec2_create_error(request: VolumeRequest, code: str, words: str) -> CsiDriverError:
    """Return the driver's error for a failed CreateVolume of EC2."""
    if code == "InvalidParameterCombination":
        return _not_created(request, f"invalid argument: {words}", "InvalidArgument")
    return _not_created(request, f"could not create volume in EC2: {words}")


def ebs_tags(request: VolumeRequest, cluster: str) -> dict[str, str]:
    """Return the tags, as --extra-create-metadata and --k8s-tag-cluster-id of EKS set them."""
    return {
        "CSIVolumeName": request.name,
        f"{EBS}/cluster": "true",
        "kubernetes.io/created-for/pvc/name": request.claim,
        "kubernetes.io/created-for/pvc/namespace": request.namespace,
        "kubernetes.io/created-for/pv/name": request.name,
        f"kubernetes.io/cluster/{cluster}": "owned",
        "Name": f"{cluster}-dynamic-{request.name}",
        "KubernetesCluster": cluster,
        f"{EBS}/cluster-name": cluster,
        **dict(_own_tags(request)),
    }


def _own_tags(request: VolumeRequest) -> Iterable[tuple[str, str]]:
    """Yield the StorageClass's tags: `key=value`, where a value may name the claim."""
    known = {"PVCName": request.claim, "PVCNamespace": request.namespace, "PVName": request.name}
    for key, text in request.parameters.items():
        if key.startswith("tagSpecification"):
            name, _, value = text.partition("=")
            for word, meant in known.items():
                value = value.replace(f"{{{{ .{word} }}}}", meant).replace(
                    f"{{{{.{word}}}}}", meant
                )
            yield name, value


def free_device_name(taken: Iterable[str]) -> str:
    """Return the first free device name of an instance; the driver starts at /dev/xvdaa."""
    used = set(taken)
    letters = string.ascii_lowercase
    names = (f"/dev/xvd{first}{second}" for first in letters for second in letters)
    return next(name for name in names if name not in used)


# -- Amazon EFS ----------------------------------------------------------------------------------


def create_access_point_args(request: VolumeRequest, taken: Iterable[int]) -> dict[str, Any]:
    """Return the driver's arguments for EFS' CreateAccessPoint. Raises CsiDriverError.

    Args:
        taken: group ids of the file system's other access points.
    """
    given = request.parameters
    mode = given.get("provisioningMode")
    if mode != "efs-ap":
        raise CsiDriverError(
            "InvalidArgument",
            f"Provisioning mode {mode} is not supported. Only Access point provisioning: "
            "'efs-ap' is supported"
            if mode
            else "Missing provisioningMode parameter",
        )
    if not given.get("fileSystemId"):
        raise CsiDriverError(
            "InvalidArgument", "Failed to resolve filesystem Id Missing fileSystemId parameter"
        )
    group = _efs_number(given, "gid", -1)
    user = _efs_number(given, "uid", -1)
    free = _free_group(given, set(taken)) if -1 in (group, user) else -1
    owner = {"Gid": group if group >= 0 else free, "Uid": user if user >= 0 else free}
    return {
        "client_token": request.name,
        "file_system_id": given["fileSystemId"],
        "tags": [{"Key": f"{EFS}/cluster", "Value": "true"}],
        "posix_user": owner,
        "root_directory": {
            "Path": _root(request),
            "CreationInfo": {
                "OwnerGid": owner["Gid"],
                "OwnerUid": owner["Uid"],
                "Permissions": given.get("directoryPerms", ""),
            },
        },
    }


def _efs_number(given: Mapping[str, str], key: str, default: int) -> int:
    try:
        return int(given.get(key, default))
    except ValueError:
        raise CsiDriverError(
            "InvalidArgument",
            f'Failed to parse invalid {key}: strconv.ParseInt: parsing "{given[key]}": '
            "invalid syntax",
        ) from None


def _free_group(given: Mapping[str, str], taken: set[int]) -> int:
    first = _efs_number(given, "gidRangeStart", _GIDS[0])
    last = _efs_number(given, "gidRangeEnd", _GIDS[1])
    free = next((gid for gid in range(first, last + 1) if gid not in taken), None)
    if free is None:
        raise CsiDriverError(
            "Internal",
            f"Failed to locate a free GID for given file system: {given['fileSystemId']}. "
            "Please create a new storage class with a new file-system",
        )
    return free


def _root(request: VolumeRequest) -> str:
    given = request.parameters
    name, pattern = request.name, given.get("subPathPattern")
    if pattern:
        known = {".PVC.name": request.claim, ".PVC.namespace": request.namespace, ".PV.name": name}
        filled = pattern
        for word, meant in known.items():
            filled = filled.replace(f"${{{word}}}", meant)
        if "${" in filled or "}" in filled:
            raise CsiDriverError(
                "InvalidArgument",
                f'Path specified "{pattern}" contains invalid elements. Can only contain '
                "[.PV.name .PVC.name .PVC.namespace]",
            )
        unique = given.get("ensureUniqueDirectory", "true").lower() != "false"
        # The driver appends a random UUID; the claim's own UID is as unique, and stable.
        name = f"{filled}-{name.removeprefix('pvc-')}" if unique else filled
    path = posixpath.join("/", given.get("basePath", "").lstrip("/"), name)
    if len(path) > 100:
        raise CsiDriverError(
            "InvalidArgument", f"Proposed path '{path}' exceeds EFS limit of 100 characters"
        )
    if path.count("/") > 5:
        raise CsiDriverError(
            "InvalidArgument", f"Proposed path '{path}' EFS limit of 4 subdirectories"
        )
    return path
