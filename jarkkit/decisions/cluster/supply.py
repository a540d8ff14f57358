"""What a cluster offers to pods: its nodes, the pools that add nodes, and bound volumes. Pure.

Labels and taints are those of Kubernetes and Karpenter:
https://karpenter.sh/docs/concepts/scheduling/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jarkkit.decisions.addons.node_pools import POOL_LABEL

Object = Mapping[str, Any]

ZONE_LABELS = ("topology.kubernetes.io/zone", "topology.ebs.csi.aws.com/zone")
# Resources of device plugins that run in clusters like this one; a pod may mistype them.
DEVICE_RESOURCES = (
    "nvidia.com/gpu", "nvidia.com/gpu.shared", "aws.amazon.com/neuron",
    "aws.amazon.com/neuroncore", "aws.amazon.com/neurondevice", "vpc.amazonaws.com/efa",
    "amd.com/gpu", "habana.ai/gaudi",
)  # fmt: skip
_EFA = "vpc.amazonaws.com/efa"
_NATIVE = re.compile(
    r"^(cpu|memory|ephemeral-storage|storage|pods|hugepages-.+|attachable-volumes-.+)$"
)
_TYPE = "node.kubernetes.io/instance-type"
# Labels that Karpenter and the cloud provider put on every node, with values of their own.
_PROVIDED = re.compile(
    r"^(kubernetes\.io/|node\.kubernetes\.io/|topology\.|karpenter\.|eks\.amazonaws\.com/)"
)
_NVIDIA = re.compile(r"^(g(?!4ad)(\d|$)|p([2-9]|$))")
_NEURON = re.compile(r"^(inf|trn)(\d|$)")
# A device plugin announces its devices this long after its node is Ready.
_ANNOUNCING = timedelta(minutes=3)


@dataclass(frozen=True)
class ClusterSupply:
    """What pods can be scheduled on.

    Attributes:
        nodes: the Node objects.
        pools: Karpenter's NodePool objects; empty without Karpenter.
        volumes: the PersistentVolume by the claim's `namespace/name`.
        now: the time of the observation.
    """

    nodes: Sequence[Object]
    pools: Sequence[Object]
    volumes: Mapping[str, Object]
    now: datetime


def name_of(item: Object) -> str:
    """Return the object's name."""
    return str(item["metadata"]["name"])


def labels_of(item: Object) -> Mapping[str, str]:
    """Return a node's labels; for a NodePool those of its future nodes."""
    if item.get("kind") != "NodePool" and "template" not in item.get("spec", {}):
        return item["metadata"].get("labels") or {}
    template = item["spec"]["template"]
    named = {"karpenter.sh/nodepool": name_of(item)}
    return {**(template.get("metadata", {}).get("labels") or {}), **named}


def taints_of(item: Object) -> Sequence[Object]:
    """Return a node's taints that keep pods away; for a NodePool those of its future nodes."""
    spec = item.get("spec", {})
    taints = spec.get("template", {}).get("spec", {}).get("taints") or spec.get("taints") or ()
    return [taint for taint in taints if taint.get("effect") != "PreferNoSchedule"]


def zone_of(volume: Object) -> str:
    """Return the zone of a volume that can be attached in one zone only; empty for others."""
    required = (volume.get("spec", {}).get("nodeAffinity") or {}).get("required") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for rule in term.get("matchExpressions") or ():
            if rule["key"] in ZONE_LABELS and rule.get("values"):
                return str(rule["values"][0])
    return ""


def node_zone(node: Object) -> str:
    """Return the node's zone."""
    return next((labels_of(node)[key] for key in ZONE_LABELS if key in labels_of(node)), "")


# -- labels and taints -----------------------------------------------------------------------------


def required_labels(pod: Object) -> dict[str, tuple[str, ...]]:
    """Return the labels that the pod requires, with the allowed values; empty for any value.

    Of several alternative terms of a node affinity, it reads only the first.
    """
    selector = pod["spec"].get("nodeSelector") or {}
    found: dict[str, tuple[str, ...]] = {k: (str(v),) for k, v in selector.items()}
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in (required.get("nodeSelectorTerms") or ())[:1]:
        for rule in term.get("matchExpressions") or ():
            if rule["operator"] in ("In", "Exists"):
                found[rule["key"]] = tuple(rule.get("values") or ())
    return found


def has_label(item: Object, key: str, values: Sequence[str]) -> bool:
    """Return True if the node has the label, or a node of the pool can have it."""
    value = labels_of(item).get(key)
    if value is not None:
        return not values or value in values
    if "template" not in item.get("spec", {}):
        return False
    rules = item["spec"]["template"].get("spec", {}).get("requirements") or ()
    rule = next((r for r in rules if r["key"] == key), None)
    if rule is None:
        return bool(_PROVIDED.match(key))
    return rule["operator"] != "In" or not values or bool(set(rule["values"]) & set(values))


def matches_labels(item: Object, required: Mapping[str, Sequence[str]]) -> bool:
    """Return True if the node, or a node of the pool, can have all these labels."""
    return all(has_label(item, key, values) for key, values in required.items())


def not_tolerated(pod: Object, item: Object) -> list[Object]:
    """Return the taints of the node or pool that the pod does not tolerate."""
    tolerations = pod["spec"].get("tolerations") or ()
    return [t for t in taints_of(item) if not any(_tolerates(own, t) for own in tolerations)]


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    key = toleration.get("key")
    if toleration.get("operator") == "Exists":
        return key in (None, "", taint["key"])
    return bool(key == taint["key"] and toleration.get("value", "") == taint.get("value", ""))


def taint_text(taint: Object) -> str:
    """Return the taint as kubectl writes it."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint.get('effect', '')}"


def is_chosen(taint: Object) -> bool:
    """Return True for a taint that a pool or a person chose, not one that shows a problem."""
    return not re.match(
        r"(node\.kubernetes\.io|node\.cloudprovider|karpenter\.sh)/", taint["key"]
    ) and ("not-ready" not in taint["key"])


def pool_for(pod: Object, pools: Iterable[Object]) -> str:
    """Return the pool that the pod most likely means: by what it requests and by its selector."""
    names = [name_of(pool) for pool in pools if POOL_LABEL in labels_of(pool)]
    words = " ".join(v for values in required_labels(pod).values() for v in values)
    for name in names:
        if re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", words):
            return name
    devices = device_requests(pod)
    for pool in pools:
        keys = {taint["key"] for taint in taints_of(pool)}
        if name_of(pool) in names and (keys & set(devices) if devices else not keys):
            return name_of(pool)
    return ""


# -- resources -------------------------------------------------------------------------------------


def device_requests(pod: Object) -> list[str]:
    """Return the extended resources that the pod requests, such as `nvidia.com/gpu`."""
    found: dict[str, None] = {}
    for container in (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]):
        resources = container.get("resources") or {}
        for kind in ("limits", "requests"):
            found |= dict.fromkeys(resources.get(kind) or {})
    return [name for name in found if not _NATIVE.match(name)]


def is_offered(resource: str, supply: ClusterSupply) -> bool:
    """Return True if a node has, or a node of a pool should have, the resource."""
    if any(resource in (node.get("status", {}).get("capacity") or {}) for node in supply.nodes):
        return True
    there = {expected_device(item) for item in (*supply.nodes, *supply.pools)} - {""}
    if resource in there or (resource == _EFA and there):
        return True
    # The vendor's device plugin can announce shares or cores instead.
    return resource in DEVICE_RESOURCES and any(
        resource.startswith(device.rpartition("/")[0]) for device in there
    )


def known_resources(supply: ClusterSupply) -> list[str]:
    """Return the extended resources that nodes have, and those of known device plugins."""
    had = (name for node in supply.nodes for name in node.get("status", {}).get("capacity") or {})
    return list(dict.fromkeys((*(n for n in had if not _NATIVE.match(n)), *DEVICE_RESOURCES)))


def expected_device(item: Object) -> str:
    """Return the resource of the accelerators that the node, or a pool's node, has in hardware."""
    keys = {taint["key"] for taint in taints_of(item)}
    for resource in ("nvidia.com/gpu", "aws.amazon.com/neuron"):
        if resource in keys:
            return resource
    for name in _instance_types(item):
        if _NVIDIA.match(name):
            return "nvidia.com/gpu"
        if _NEURON.match(name):
            return "aws.amazon.com/neuron"
    return ""


def _instance_types(item: Object) -> list[str]:
    named = labels_of(item).get(_TYPE)
    rules = item.get("spec", {}).get("template", {}).get("spec", {}).get("requirements") or ()
    keys = (_TYPE, "karpenter.k8s.aws/instance-family", "karpenter.k8s.aws/instance-category")
    values = [v for r in rules if r["key"] in keys and r["operator"] == "In" for v in r["values"]]
    return [named] if named else values


def unannounced(supply: ClusterSupply) -> list[tuple[Object, str]]:
    """Return the Ready nodes that do not announce their accelerators, with the resource."""
    found = []
    for node in supply.nodes:
        resource = expected_device(node)
        allocatable = node.get("status", {}).get("allocatable") or {}
        if resource and not _announces(allocatable, resource) and _ready_long(node, supply):
            found.append((node, resource))
    return found


def _announces(allocatable: Mapping[str, Any], resource: str) -> bool:
    """Return True for the resource or a share of it, such as `nvidia.com/mig-1g.5gb`."""
    vendor = resource.rpartition("/")[0] + "/"
    return any(
        str(amount) != "0" for name, amount in allocatable.items() if name.startswith(vendor)
    )


def instance_type(node: Object) -> str:
    """Return the node's instance type."""
    return labels_of(node).get(_TYPE, "unknown type")


def _ready_long(node: Object, supply: ClusterSupply) -> bool:
    conditions = node.get("status", {}).get("conditions") or ()
    ready: Object = next((c for c in conditions if c["type"] == "Ready"), {})
    if ready.get("status") != "True":
        return False
    since = ready.get("lastTransitionTime") or node["metadata"].get("creationTimestamp")
    return since is None or supply.now - datetime.fromisoformat(since) > _ANNOUNCING
