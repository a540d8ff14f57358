"""Builds Karpenter's node pools from the settings: the instances that it may launch. Pure.

There is one pool for CPUs and one per accelerator family of the settings. Pods select a pool by the
label `jarkkit/pool`, or just request an accelerator and tolerate its taint. Formats:
https://karpenter.sh/docs/concepts/nodepools/ and …/nodeclasses/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from jarkkit.settings import Accelerator, Settings

Object = dict[str, Any]

POOL_LABEL = "jarkkit/pool"
ACCELERATOR_LABEL = "accelerator"
CORE_LABELS = {"jarkkit/nodes": "core"}
_TAINTS = {"nvidia": "nvidia.com/gpu", "neuron": "aws.amazon.com/neuron"}
# Images with CUDA or Neuron frameworks have 10 to 20 GiB each, plus the models.
DISK_GIB = {"cpu": 100, "accelerator": 300}
# EKS' own limit for instances with fewer than 30 vCPUs. Without it Karpenter assumes that each pod
# uses an address of its own and not one of a prefix (catalog/addons/vpc-cni.yaml): 58 pods on an
# xlarge. https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html
MAX_PODS = 110


def accelerator_vendor(family: str) -> Literal["nvidia", "neuron"]:
    """Return the vendor of an instance family's accelerators."""
    return "neuron" if family.startswith(("inf", "trn")) else "nvidia"


def accelerator_resource(family: str) -> str:
    """Return the resource by which pods request an accelerator; it is also the taint's key."""
    return _TAINTS[accelerator_vendor(family)]


def taint(family: str) -> Object:
    """Return the taint that repels pods without an accelerator."""
    return {"key": accelerator_resource(family), "value": "true", "effect": "NoSchedule"}


def toleration(family: str) -> Object:
    """Return the toleration for pods with an accelerator."""
    return {"key": accelerator_resource(family), "operator": "Exists", "effect": "NoSchedule"}


def node_labels(family: str = "") -> dict[str, str]:
    """Return the labels of a pool's nodes; without a family those of the CPU pool."""
    return (
        {POOL_LABEL: family, ACCELERATOR_LABEL: accelerator_vendor(family)}
        if family
        else {POOL_LABEL: "cpu"}
    )


def node_pools(settings: Settings) -> list[Object]:
    """Build the NodePools; none without Karpenter."""
    if not settings.karpenter:
        return []
    return [_cpu(settings), *(_accelerated(pool) for pool in settings.accelerators)]


def node_classes(settings: Settings, outputs: Mapping[str, Any], ami_version: str) -> list[Object]:
    """Build the EC2NodeClasses: how Karpenter launches instances.

    The alias of AL2023 selects the AMI for NVIDIA or Neuron by itself.
    """
    return [
        _node_class(name, gib, settings, outputs, ami_version) for name, gib in DISK_GIB.items()
    ]


def _cpu(settings: Settings) -> Object:
    requirements = [
        _in("karpenter.k8s.aws/instance-category", "c", "m", "r"),
        {"key": "karpenter.k8s.aws/instance-generation", "operator": "Gt", "values": ["4"]},
        # The smallest hold little besides DaemonSets; the largest use up a whole quota.
        {"key": "karpenter.k8s.aws/instance-cpu", "operator": "Gt", "values": ["3"]},
        {"key": "karpenter.k8s.aws/instance-cpu", "operator": "Lt", "values": ["33"]},
        _in("karpenter.sh/capacity-type", *settings.cpu_capacity),
    ]
    return _pool("cpu", "cpu", requirements, settings.cpu_max_vcpus, node_labels(), [])


def _accelerated(pool: Accelerator) -> Object:
    requirements = [
        _in("karpenter.k8s.aws/instance-family", pool.family),
        _in("karpenter.sh/capacity-type", *pool.capacity),
    ]
    return _pool(
        pool.family,
        "accelerator",
        requirements,
        pool.max_vcpus,
        node_labels(pool.family),
        [taint(pool.family)],
    )


def _pool(
    name: str,
    node_class: str,
    requirements: list[Object],
    max_vcpus: int,
    labelled: dict[str, str],
    taints: list[Object],
) -> Object:
    spec = {
        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": node_class},
        "requirements": [_in("kubernetes.io/arch", "amd64"), *requirements],
        "expireAfter": "720h",
        **({"taints": taints} if taints else {}),
    }
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name},
        "spec": {
            "template": {"metadata": {"labels": labelled}, "spec": spec},
            "limits": {"cpu": str(max_vcpus)},
            # Consolidation never evicts a notebook or training that runs on an accelerator.
            "disruption": {
                "consolidationPolicy": "WhenEmpty" if taints else "WhenEmptyOrUnderutilized",
                "consolidateAfter": "2m" if taints else "1m",
            },
        },
    }


def _node_class(
    name: str, gib: int, settings: Settings, outputs: Mapping[str, Any], ami_version: str
) -> Object:
    disk = {
        "volumeSize": f"{gib}Gi",
        "volumeType": "gp3",
        "encrypted": True,
        "deleteOnTermination": True,
    }
    reserved = [{"id": reservation} for reservation in settings.capacity_reservations]
    return {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": name},
        "spec": {
            "amiSelectorTerms": [{"alias": f"al2023@{ami_version}"}],
            "instanceProfile": outputs["node_instance_profile_name"],
            "subnetSelectorTerms": [{"id": i} for i in outputs["node_subnet_ids"]],
            "securityGroupSelectorTerms": [{"id": outputs["node_security_group_id"]}],
            **({"capacityReservationSelectorTerms": reserved} if reserved else {}),
            "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": disk}],
            "kubelet": {"maxPods": MAX_PODS},
            # Pods are one hop further away, so they cannot get the node's credentials; they use Pod
            # Identity.
            "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
            "tags": {
                **settings.tags,
                "jarkkit:deployment": settings.name,
                "jarkkit:managed-by": "karpenter",
            },
        },
    }


def _in(key: str, *values: str) -> Object:
    return {"key": key, "operator": "In", "values": list(values)}
