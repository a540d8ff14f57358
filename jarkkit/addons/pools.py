"""Karpenter's pools: what it may launch, from the settings. Pure.

One pool for CPUs and one per chosen accelerator family. Pods choose a pool by its label
`jarkkit/pool`, or simply ask for an accelerator and tolerate its taint. Formats:
https://karpenter.sh/docs/concepts/nodepools/ and …/nodeclasses/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from jarkkit.settings import Accelerator, Settings

Object = dict[str, Any]

POOL = "jarkkit/pool"
ACCELERATOR = "accelerator"
CORE = {"jarkkit/nodes": "core"}
_TAINTS = {"nvidia": "nvidia.com/gpu", "neuron": "aws.amazon.com/neuron"}
# Images of CUDA and Neuron frameworks have 10 to 20 GiB each, and models come on top.
DISK_GIB = {"cpu": 100, "accelerator": 300}


def maker(family: str) -> Literal["nvidia", "neuron"]:
    """Whose accelerators a family has."""
    return "neuron" if family.startswith(("inf", "trn")) else "nvidia"


def resource(family: str) -> str:
    """The resource by which pods ask for one; it is the key of the nodes' taint as well."""
    return _TAINTS[maker(family)]


def taint(family: str) -> Object:
    """Keeps pods away that do not ask for an accelerator."""
    return {"key": resource(family), "value": "true", "effect": "NoSchedule"}


def toleration(family: str) -> Object:
    """For pods that do."""
    return {"key": resource(family), "operator": "Exists", "effect": "NoSchedule"}


def labels(family: str = "") -> dict[str, str]:
    """The labels of a pool's nodes; without a family those of the CPU pool."""
    return {POOL: family, ACCELERATOR: maker(family)} if family else {POOL: "cpu"}


def node_pools(settings: Settings) -> list[Object]:
    """The NodePools."""
    return [_cpu(settings), *(_accelerated(pool) for pool in settings.accelerators)]


def node_classes(settings: Settings, outputs: Mapping[str, Any], ami_version: str) -> list[Object]:
    """The EC2NodeClasses: how instances are launched. AL2023's alias picks NVIDIA's or Neuron's
    image by itself."""
    return [
        _node_class(name, gib, settings, outputs, ami_version) for name, gib in DISK_GIB.items()
    ]


def _cpu(settings: Settings) -> Object:
    requirements = [
        _in("karpenter.k8s.aws/instance-category", "c", "m", "r"),
        {"key": "karpenter.k8s.aws/instance-generation", "operator": "Gt", "values": ["4"]},
        # The smallest hold little beside the DaemonSets; the largest are a quota's worth.
        {"key": "karpenter.k8s.aws/instance-cpu", "operator": "Gt", "values": ["3"]},
        {"key": "karpenter.k8s.aws/instance-cpu", "operator": "Lt", "values": ["33"]},
        _in("karpenter.sh/capacity-type", *settings.cpu_capacity),
    ]
    return _pool("cpu", "cpu", requirements, settings.cpu_max_vcpus, labels(), [])


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
        labels(pool.family),
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
            # A notebook or a training that runs on an accelerator is never moved to save money.
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
            # Pods have no way to the node's credentials: they have Pod Identity.
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
