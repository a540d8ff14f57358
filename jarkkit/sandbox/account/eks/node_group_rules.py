"""What EKS rejects of a managed node group: pure functions that return the message, or None."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

DEFAULT_AMI_TYPE = "AL2023_x86_64_STANDARD"
_SIZES = ("minSize", "maxSize", "desiredSize")


def why_not_created_with(scaling: Mapping[str, int]) -> str | None:
    """Check the sizes of a new group: all three, and minimum <= desired <= maximum."""
    if missing := [name for name in _SIZES if name not in scaling]:
        return f"{', '.join(missing)} must be specified in scalingConfig"
    for low, high in (("minSize", "desiredSize"), ("desiredSize", "maxSize")):
        if scaling[low] > scaling[high]:
            return f"{low} can't be greater than {high}"
    return None


def why_not_scaled_to(scaling: Mapping[str, int]) -> str | None:
    """Check the sizes of an existing group; EKS has other words for it."""
    low, high, desired = (scaling[name] for name in _SIZES)
    if low > desired:
        return f"Minimum capacity {low} can't be greater than desired size {desired}"
    if desired > high:
        return f"desired capacity {desired} can't be greater than max size {high}"
    return None


def why_not_instance_types(
    ami_type: str, types: Iterable[str], known: Mapping[str, Mapping[str, Any]]
) -> str | None:
    """Check instance types against the type of their AMI: processor, GPU and Neuron.

    Args:
        known: the types that the Region offers, as DescribeInstanceTypes returns them.
    """
    given = list(types)
    if unknown := [name for name in given if name not in known]:
        return f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
    if ami_type == "CUSTOM":
        return None
    if wrong := [name for name in given if not _fits(ami_type, known[name])]:
        return f"[{', '.join(wrong)}] is not a valid instance type for requested amiType {ami_type}"
    return None


def _fits(ami_type: str, facts: Mapping[str, Any]) -> bool:
    architectures = facts.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
    if ("arm64" if "ARM_64" in ami_type else "x86_64") not in architectures:
        return False
    gpus = facts.get("GpuInfo", {}).get("Gpus", [])
    has_nvidia = any(gpu.get("Manufacturer") == "NVIDIA" for gpu in gpus)
    has_neuron = bool(facts.get("NeuronInfo"))
    return (has_nvidia, has_neuron) == ("NVIDIA" in ami_type, "NEURON" in ami_type)


def why_not_ami_type(ami_type: str) -> str | None:
    """Check that EKS publishes AMIs of the type for the versions on offer: AL2 ended with 1.32."""
    if not ami_type.startswith("AL2_"):
        return None
    return f"AMI Type {ami_type} is only supported for kubernetes versions 1.32 or earlier"


def why_not_version(
    requested: str | None, cluster: str, *, present: str | None = None
) -> str | None:
    """Check the version of a group: the cluster's own.

    An existing group may also keep its version, or be one behind, for a rollback of the cluster.

    Args:
        present: the version of an existing group; None for a new one.
    """
    if requested is None or requested == cluster:
        return None
    if present is not None and requested in (present, _before(cluster)):
        return None
    return f"Version {requested} is not supported for nodegroup: the cluster's version is {cluster}"


def _before(version: str) -> str:
    major, _, minor = version.partition(".")
    return f"{major}.{int(minor) - 1}"


def why_not_release(requested: str | None, published: Iterable[str]) -> str | None:
    """Check the AMI release version against the published ones, newest first."""
    allowed = list(published)
    if requested is None or requested in allowed:
        return None
    return (
        f"Requested Nodegroup release version {requested} is invalid. Allowed release version is "
        f"{allowed[0] if allowed else 'none'}"
    )


def why_not_template(
    requested: Mapping[str, str] | None, present: Mapping[str, str] | None
) -> str | None:
    """Check the launch template of an update: another version of the group's own."""
    if not requested:
        return None
    if not present:
        return "The nodegroup was created without a launch template"
    if any(requested[word] != present[word] for word in ("id", "name") if word in requested):
        return "The launch template must be the one that the nodegroup was created with"
    return None
