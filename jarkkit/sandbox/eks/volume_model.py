"""What the EBS and EFS CSI drivers and their sidecars decide: pure functions over objects.

Names, tags, defaults and words are those of aws-ebs-csi-driver 1.6x (docs/tagging.md,
docs/parameters.md), aws-efs-csi-driver 2.2, external-provisioner 6 and external-attacher 4, read
2026-11.
"""

from __future__ import annotations

import hashlib
import posixpath
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from jarkkit.sandbox.cluster.api import Object

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
# A StorageClass may name these in any case.
_EBS_KEYS = frozenset(
    (
        "type", "iopspergb", "allowautoiopspergbincrease", "allowautoiopsincreaseonmodify", "iops",
        "throughput", "encrypted", "kmskeyid", "fstype", "blocksize", "inodesize", "bytesperinode",
        "numberofinodes", "ext4bigalloc", "ext4clustersize", "ext4encryptionsupport",
        "volumeinitializationrate",
    )
)  # fmt: skip
_GIDS = (50000, 60000)


class RefusedError(Exception):
    """What a driver answers instead of a volume.

    Args:
        code: of gRPC; none where the sidecar itself refuses.
        reschedule: the scheduler is to choose another node.
    """

    def __init__(self, code: str, message: str, *, reschedule: bool = False) -> None:
        super().__init__(f"rpc error: code = {code} desc = {message}" if code else message)
        self.reschedule = reschedule


@dataclass(frozen=True)
class Order:
    """A volume that a claim asks for.

    Attributes:
        name: of the PersistentVolume to be, and the drivers' token against making it twice.
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
class Made:
    """A volume that a driver made; `zone` is empty for one that is everywhere."""

    handle: str
    size: int
    zone: str = ""


# -- claims --------------------------------------------------------------------------------------


def is_due(claim: Object, storage_class: Object, driver: str) -> bool:
    """True for a claim that waits for a volume from that driver."""
    meta, spec = claim["metadata"], claim["spec"]
    notes = meta.get("annotations", {})
    asked = any(notes.get(name) == driver for name in _PROVISIONERS)
    if not asked or spec.get("volumeName") or "deletionTimestamp" in meta:
        return False
    return not waits_for_pod(storage_class) or bool(notes.get(SELECTED_NODE))


def waits_for_pod(storage_class: Object) -> bool:
    """True where the pod's node decides about the zone."""
    return storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def order_of(claim: Object, storage_class: Object, zone: str) -> Order:
    """What the claim asks for."""
    meta, spec = claim["metadata"], claim["spec"]
    given = storage_class.get("parameters") or {}
    return Order(
        name=f"pvc-{meta['uid']}",
        namespace=meta["namespace"],
        claim=meta["name"],
        size=bytes_of(spec["resources"]["requests"]["storage"]),
        parameters={k: v for k, v in given.items() if not k.startswith(_SIDECARS)},
        access_modes=tuple(spec["accessModes"]),
        block=spec.get("volumeMode") == "Block",
        zone=zone,
    )


def bytes_of(quantity: Any) -> int:
    """A Kubernetes quantity in bytes."""
    value: Decimal = parse_quantity(quantity)  # type: ignore[no-untyped-call]
    return int(value.to_integral_value(ROUND_CEILING))


def gib_of(size: int) -> int:
    """Bytes in whole GiB, rounded up."""
    return -(-size // _GIB)


def quantity_of(size: int) -> str:
    """Bytes as a quantity."""
    return f"{size // _GIB}Gi" if size % _GIB == 0 else str(size)


def zone_for(claim: Object, storage_class: Object, nodes: Mapping[str, Object]) -> str:
    """The zone in which the claim's volume is to be. Raises RefusedError."""
    name = claim["metadata"].get("annotations", {}).get(SELECTED_NODE)
    if waits_for_pod(storage_class):
        if name not in nodes:
            raise RefusedError(
                "", f'error getting node {name}: "{name}" not found', reschedule=True
            )
        zone = zone_of(nodes[name])
        if not zone:
            raise RefusedError("", _topology(f"no topology key found on CSINode {name}"))
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
        raise RefusedError("", _topology("no available topology found"))
    digest = hashlib.sha256(claim["metadata"]["uid"].encode()).digest()
    return zones[int.from_bytes(digest[:4], "big") % len(zones)]


def _topology(why: str) -> str:
    return f"error generating accessibility requirements: {why}"


def zone_of(node: Object) -> str:
    """The zone of a Node; empty where it says none."""
    provider = str(node["spec"].get("providerID", ""))
    known = provider.split("/")[3] if provider.startswith("aws:///") else ""
    return str(node["metadata"].get("labels", {}).get(ZONE) or known)


def instance_of(node: Object) -> str:
    """The instance behind a Node; empty for one that somebody made by hand."""
    provider = str(node["spec"].get("providerID", ""))
    return provider.rsplit("/", 1)[-1] if provider.startswith("aws:///") else ""


def persistent_volume(order: Order, made: Made, claim: Object, storage_class: Object) -> Object:
    """The PersistentVolume as external-provisioner writes it."""
    driver = storage_class["provisioner"]
    meta = claim["metadata"]
    term = {"key": ZONE, "operator": "In", "values": [made.zone]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
    kind = (storage_class.get("parameters") or {}).get(f"{_SIDECARS}fstype")
    file_system = kind or ("ext4" if driver == EBS else "")
    return {
        "metadata": {
            "name": order.name,
            "annotations": {
                PROVISIONED_BY: driver,
                f"{_SECRETS}-name": "",
                f"{_SECRETS}-namespace": "",
            },
            "finalizers": [PROVISIONER_FINALIZER],
        },
        "spec": {
            "accessModes": list(order.access_modes),
            "capacity": {"storage": quantity_of(made.size)},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                **{name: meta[name] for name in ("name", "namespace", "uid", "resourceVersion")},
            },
            "csi": {
                "driver": driver,
                "volumeHandle": made.handle,
                "volumeAttributes": {"storage.kubernetes.io/csiProvisionerIdentity": driver},
                **({"fsType": file_system} if file_system and not order.block else {}),
            },
            **({"nodeAffinity": affinity} if made.zone else {}),
            "mountOptions": storage_class.get("mountOptions") or [],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": claim["spec"].get("volumeMode") or "Filesystem",
        },
    }


# -- Amazon EBS ----------------------------------------------------------------------------------


def ebs_volume(order: Order) -> dict[str, Any]:
    """What the driver asks of EC2's CreateVolume. Raises RefusedError."""
    given = {_ebs_key(key): value for key, value in order.parameters.items()}
    kind = given.get("type") or "gp3"
    shared = "ReadWriteMany" in order.access_modes
    if "ReadOnlyMany" in order.access_modes or (shared and not order.block):
        raise RefusedError("InvalidArgument", "Volume capabilities not supported")
    if shared and kind != "io2":
        raise _not_created(order, "CreateDisk: multi-attach is only supported for io2 volumes")
    size = gib_of(order.size)
    return {
        "size": size,
        "zone_name": order.zone,
        "volume_type": kind,
        "iops": _iops(order, given, size),
        "throughput": _number(given, "throughput"),
        "encrypted": given.get("encrypted", "").lower() == "true" or "kmskeyid" in given,
        "kms_key_id": given.get("kmskeyid"),
        "multi_attach_enabled": shared,
    }


def _ebs_key(key: str) -> str:
    if key.startswith("tagSpecification"):
        return key
    if key.lower() not in _EBS_KEYS:
        raise RefusedError("InvalidArgument", f"Invalid parameter key {key} for CreateVolume")
    return key.lower()


def _iops(order: Order, given: Mapping[str, str], size: int) -> int | None:
    iops, by_size = _number(given, "iops"), _number(given, "iopspergb")
    if iops and by_size:
        raise _not_created(
            order,
            "invalid StorageClass parameters; specify either IOPS or IOPSPerGb, not both",
        )
    return by_size * size if by_size else iops


def _number(given: Mapping[str, str], key: str) -> int | None:
    try:
        return int(given[key]) if key in given else None
    except ValueError:
        raise RefusedError(
            "InvalidArgument",
            f'Could not parse invalid {key}: strconv.ParseInt: parsing "{given[key]}": '
            "invalid syntax",
        ) from None


def _not_created(order: Order, why: str, code: str = "Aborted") -> RefusedError:
    return RefusedError(code, f'Could not create volume "{order.name}": {why}')


def not_created_in_ec2(order: Order, code: str, words: str) -> RefusedError:
    """EC2 refused the volume."""
    if code == "InvalidParameterCombination":
        return _not_created(order, f"invalid argument: {words}", "InvalidArgument")
    return _not_created(order, f"could not create volume in EC2: {words}")


def ebs_tags(order: Order, cluster: str) -> dict[str, str]:
    """The volume's tags; EKS gives the driver --extra-create-metadata and --k8s-tag-cluster-id."""
    return {
        "CSIVolumeName": order.name,
        f"{EBS}/cluster": "true",
        "kubernetes.io/created-for/pvc/name": order.claim,
        "kubernetes.io/created-for/pvc/namespace": order.namespace,
        "kubernetes.io/created-for/pv/name": order.name,
        f"kubernetes.io/cluster/{cluster}": "owned",
        "Name": f"{cluster}-dynamic-{order.name}",
        "KubernetesCluster": cluster,
        f"{EBS}/cluster-name": cluster,
        **dict(_own_tags(order)),
    }


def _own_tags(order: Order) -> Iterable[tuple[str, str]]:
    """Tags of the StorageClass: `key=value`, where a value may name the claim."""
    known = {"PVCName": order.claim, "PVCNamespace": order.namespace, "PVName": order.name}
    for key, text in order.parameters.items():
        if key.startswith("tagSpecification"):
            name, _, value = text.partition("=")
            for word, meant in known.items():
                value = value.replace(f"{{{{ .{word} }}}}", meant).replace(
                    f"{{{{.{word}}}}}", meant
                )
            yield name, value


def device(taken: Iterable[str]) -> str:
    """The first device name that is free on an instance; the driver begins with /dev/xvdaa."""
    used = set(taken)
    letters = string.ascii_lowercase
    names = (f"/dev/xvd{first}{second}" for first in letters for second in letters)
    return next(name for name in names if name not in used)


# -- Amazon EFS ----------------------------------------------------------------------------------


def efs_access_point(order: Order, taken: Iterable[int]) -> dict[str, Any]:
    """What the driver asks of EFS' CreateAccessPoint. Raises RefusedError.

    Args:
        taken: group ids of the file system's other access points.
    """
    given = order.parameters
    mode = given.get("provisioningMode")
    if mode != "efs-ap":
        raise RefusedError(
            "InvalidArgument",
            f"Provisioning mode {mode} is not supported. Only Access point provisioning: "
            "'efs-ap' is supported"
            if mode
            else "Missing provisioningMode parameter",
        )
    if not given.get("fileSystemId"):
        raise RefusedError(
            "InvalidArgument", "Failed to resolve filesystem Id Missing fileSystemId parameter"
        )
    group = _efs_number(given, "gid", -1)
    user = _efs_number(given, "uid", -1)
    free = _free_group(given, set(taken)) if -1 in (group, user) else -1
    owner = {"Gid": group if group >= 0 else free, "Uid": user if user >= 0 else free}
    return {
        "client_token": order.name,
        "file_system_id": given["fileSystemId"],
        "tags": [{"Key": f"{EFS}/cluster", "Value": "true"}],
        "posix_user": owner,
        "root_directory": {
            "Path": _root(order),
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
        raise RefusedError(
            "InvalidArgument",
            f'Failed to parse invalid {key}: strconv.ParseInt: parsing "{given[key]}": '
            "invalid syntax",
        ) from None


def _free_group(given: Mapping[str, str], taken: set[int]) -> int:
    first = _efs_number(given, "gidRangeStart", _GIDS[0])
    last = _efs_number(given, "gidRangeEnd", _GIDS[1])
    free = next((gid for gid in range(first, last + 1) if gid not in taken), None)
    if free is None:
        raise RefusedError(
            "Internal",
            f"Failed to locate a free GID for given file system: {given['fileSystemId']}. "
            "Please create a new storage class with a new file-system",
        )
    return free


def _root(order: Order) -> str:
    given = order.parameters
    name, pattern = order.name, given.get("subPathPattern")
    if pattern:
        known = {".PVC.name": order.claim, ".PVC.namespace": order.namespace, ".PV.name": name}
        filled = pattern
        for word, meant in known.items():
            filled = filled.replace(f"${{{word}}}", meant)
        if "${" in filled or "}" in filled:
            raise RefusedError(
                "InvalidArgument",
                f'Path specified "{pattern}" contains invalid elements. Can only contain '
                "[.PV.name .PVC.name .PVC.namespace]",
            )
        unique = given.get("ensureUniqueDirectory", "true").lower() != "false"
        # The driver appends a random UUID; the claim's own is as unique, and stays.
        name = f"{filled}-{name.removeprefix('pvc-')}" if unique else filled
    path = posixpath.join("/", given.get("basePath", "").lstrip("/"), name)
    if len(path) > 100:
        raise RefusedError(
            "InvalidArgument", f"Proposed path '{path}' exceeds EFS limit of 100 characters"
        )
    if path.count("/") > 5:
        raise RefusedError(
            "InvalidArgument", f"Proposed path '{path}' EFS limit of 4 subdirectories"
        )
    return path
