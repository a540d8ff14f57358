"""Objects of an add-on that Kubernetes cannot change into what the settings describe now. Pure.

A volume's source, a claim's volume and a storage class' parameters are fixed once they exist
(https://kubernetes.io/docs/concepts/storage/persistent-volumes/). A new file system has a new ID,
so the objects that name it must be made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jarkkit.model.errors import JarkkitError

Object = Mapping[str, Any]

_FIXED: dict[str, tuple[str, ...]] = {
    "PersistentVolume": ("spec.csi.driver", "spec.csi.volumeHandle"),
    "PersistentVolumeClaim": ("spec.volumeName", "spec.storageClassName"),
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
}
FIXED_KINDS = frozenset(_FIXED)


def fixed_differences(existing: Object, desired: Object) -> tuple[str, ...]:
    """Return the fixed fields that the desired object sets to another value."""
    return tuple(
        path
        for path in _FIXED.get(desired["kind"], ())
        if _value(desired, path) not in (None, _value(existing, path))
    )


def replacement_note(existing: Object, desired: Object, volume: Object | None = None) -> str:
    """Return what becomes of an object that is made again, for people.

    Raises JK-ADDON-FAILED for a volume or a claim whose deletion would delete its data.

    Args:
        volume: that a claim is bound to; None if it is not bound.
    """
    kind, name = desired["kind"], desired["metadata"]["name"]
    if kind == "PersistentVolumeClaim" and volume is not None:
        _require_retained_data(name, desired["metadata"].get("namespace", ""), volume)
    if kind != "PersistentVolume":
        return f"{kind} {name} is made again: Kubernetes cannot change it"
    before, after = (_value(o, "spec.csi.volumeHandle") for o in (existing, desired))
    if _value(existing, "spec.persistentVolumeReclaimPolicy") != "Retain":
        raise JarkkitError(
            "JK-ADDON-FAILED",
            f"The volume {name} is at {before} and should be at {after}, but deleting it would "
            "delete its data.",
            f"Move the data, then delete it: kubectl delete pv {name}. Deploy again.",
        )
    return (
        f"The volume {name} was at {before} and is now at {after}, which starts empty. jarkkit "
        "deleted no files of the old one: they are where it is, if it still exists"
    )


def _require_retained_data(claim: str, namespace: str, volume: Object) -> None:
    if _value(volume, "spec.persistentVolumeReclaimPolicy") == "Retain":
        return
    raise JarkkitError(
        "JK-ADDON-FAILED",
        f"The claim {namespace}/{claim} has fixed fields that changed, but deleting it would "
        f"delete the data on its volume {volume['metadata']['name']}.",
        f"Move the data, then delete it: kubectl delete pvc {claim} -n {namespace}. Deploy again. "
        "Or set the add-on back to what it was.",
    )


def _value(manifest: Object, path: str) -> Any:
    value: Any = manifest
    for word in path.split("."):
        value = value.get(word) if isinstance(value, Mapping) else None
    return value
