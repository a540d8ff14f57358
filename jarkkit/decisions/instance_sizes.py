"""The size of an EC2 instance type, and what follows from it, from its name. Pure."""

from __future__ import annotations

import re

# AWS's normalization factors of the sizes below xlarge, in units where xlarge is its 4 vCPUs:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/apply_ri.html
_SMALL = {"nano": 0.125, "micro": 0.25, "small": 0.5, "medium": 1.0, "large": 2.0}
# The types whose vCPUs do not follow from the size: old generations, and HPC without
# hyper-threading. From EC2's DescribeInstanceTypes, with which a test compares all types.
_OTHER_VCPUS = {
    "c1.medium": 2,
    "c1.xlarge": 8,
    "m2.xlarge": 2,
    "m2.2xlarge": 4,
    "m2.4xlarge": 8,
    "c4.8xlarge": 36,
    "d2.8xlarge": 36,
    "hpc6a.48xlarge": 96,
    "hpc6id.32xlarge": 64,
    "hpc7a.12xlarge": 24,
    "hpc7a.24xlarge": 48,
    "hpc7a.48xlarge": 96,
    "hpc7a.96xlarge": 192,
    "hpc8a.96xlarge": 192,
}
# GPUs or Neuron devices of the types that have more than one, of the families that node pools can
# use. From EC2's DescribeInstanceTypes, with which a test compares them.
_MANY_ACCELERATORS = {
    "g4dn.12xlarge": 4,
    "g4dn.metal": 8,
    "g5.12xlarge": 4,
    "g5.24xlarge": 4,
    "g5.48xlarge": 8,
    "g6.12xlarge": 4,
    "g6.24xlarge": 4,
    "g6.48xlarge": 8,
    "g6e.12xlarge": 4,
    "g6e.24xlarge": 4,
    "g6e.48xlarge": 8,
    "g7e.12xlarge": 2,
    "g7e.24xlarge": 4,
    "g7e.48xlarge": 8,
    "inf2.24xlarge": 6,
    "inf2.48xlarge": 12,
    "p4d.24xlarge": 8,
    "p5.48xlarge": 8,
    "p5en.48xlarge": 8,
    "p6-b200.48xlarge": 8,
    "trn1.32xlarge": 16,
    "trn2.48xlarge": 16,
}
# Families on Xen (`Hypervisor` in DescribeInstanceTypes), whose interfaces have no prefixes.
_XEN = frozenset(
    name
    for names in ("c1 c3 c4 d2 f1 g2 g3 g3s h1 i2 i3", "m1 m2 m3 m4 p2 p3 r3 r4 t1 t2 x1 x1e")
    for name in names.split()
)
# The pods that they have addresses for: of each size, the least of these families.
_XEN_PODS = {"nano": 4, "micro": 4, "small": 8, "medium": 12, "large": 20, "xlarge": 29}


def size_factor(instance_type: str) -> float | None:
    """Return the relative size of a type in its family, which determines price and memory.

    None for `metal` and for a name without a size.
    """
    size = instance_type.partition(".")[2]
    if size in _SMALL:
        return _SMALL[size]
    found = re.fullmatch(r"(\d*)xlarge", size)
    return 4.0 * int(found[1] or 1) if found else None


def vcpus(instance_type: str) -> int:
    """Return the vCPUs of a type; 0 if the name does not contain its size.

    Burstable types smaller than `large` have two, except t2 below `medium`.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances.html
    """
    if instance_type in _OTHER_VCPUS:
        return _OTHER_VCPUS[instance_type]
    family, _, size = instance_type.partition(".")
    by_size = int(size_factor(instance_type) or 0)
    if size not in _SMALL:
        return by_size
    burstable = family.startswith("t") and (family not in ("t1", "t2") or size == "medium")
    return max(by_size, 2 if burstable else 1)


def accelerators(instance_type: str) -> int:
    """Return the GPUs or Neuron devices of a type of a family that node pools can use."""
    return _MANY_ACCELERATORS.get(instance_type, 1)


def max_pods(instance_type: str) -> int:
    """Return the pods that EKS allows on a node of a managed node group.

    Such a group calculates the limit from the type and from the VPC CNI's configuration when it is
    created, with prefix delegation here (catalog/addons/vpc-cni.yaml is installed before it): at
    most 110, and 250 from 30 vCPUs. nano, micro, small and medium may have fewer addresses.
    https://docs.aws.amazon.com/eks/latest/userguide/cni-increase-ip-addresses-procedure.html
    https://github.com/awslabs/amazon-eks-ami/blob/main/templates/al2/runtime/max-pods-calculator.sh
    """
    family, _, size = instance_type.partition(".")
    limit = 250 if vcpus(instance_type) > 30 else 110
    if family in _XEN:
        return _XEN_PODS.get(size, 44)
    if size in ("nano", "micro"):
        return 34
    few = size == "medium" and not family.startswith("t")
    return 98 if few or instance_type == "t3a.small" else limit
