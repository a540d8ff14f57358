"""Accelerators of Nodes: allocatable while the pod of their device plugin is Ready there."""

from __future__ import annotations

from collections import defaultdict

from jarkkit.sandbox.account.ec2 import instance_types
from jarkkit.sandbox.controllers import node_spec
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.controllers.objects import NODES, PODS, is_ready
from jarkkit.sandbox.kubernetes.api import Object
from jarkkit.sandbox.kubernetes.informer import Informer

# Device plugins by a part of their image; feature discovery is another container of NVIDIA's image.
_PLUGINS = {
    "k8s-device-plugin": ("nvidia.com/gpu",),
    "neuron-device-plugin": ("aws.amazon.com/neuron", "aws.amazon.com/neuroncore"),
    "aws-efa-k8s-device-plugin": ("vpc.amazonaws.com/efa",),
}
_DISCOVERY = "gpu-feature-discovery"
_TYPE = "node.kubernetes.io/instance-type"


class DevicePluginController(Controller):
    """Advertises the resources of a node's device plugins, and withdraws them with the plugins."""

    name = "devices"
    rest = 0.3

    def watched(self) -> tuple[Informer, ...]:
        """Return informers of nodes and pods: plugins start with nodes, or later."""
        return (self.cluster.informer(NODES), self.cluster.informer(PODS))

    def reconcile(self) -> None:
        """Set every node's accelerators to those that its running plugins advertise."""
        announced, discovered = running_plugins(self.cluster.pods())
        for node in self.cluster.informer(NODES).all():
            name = node["metadata"]["name"]
            facts = instance_types.type_info(node["metadata"].get("labels", {}).get(_TYPE, ""))
            if change := capacity_changes(node, facts, announced[name]):
                status = {"status": {"capacity": change, "allocatable": change}}
                self.cluster.api.patch(f"{NODES}/{name}/status", status)
            if name in discovered and (labels := missing_gpu_labels(node, facts)):
                self.cluster.api.patch(f"{NODES}/{name}", {"metadata": {"labels": labels}})


def running_plugins(pods: list[Object]) -> tuple[dict[str, set[str]], set[str]]:
    """Return resources by node whose plugin runs there, and the nodes with feature discovery."""
    announced: dict[str, set[str]] = defaultdict(set)
    discovered: set[str] = set()
    for pod in pods:
        for container in pod["spec"]["containers"]:
            if _DISCOVERY in container["name"] and is_ready(pod):
                discovered.add(pod["spec"]["nodeName"])
                continue
            words = [word for word in _PLUGINS if word in container["image"]]
            if words and is_ready(pod):
                # The EFA plugin's name contains NVIDIA's.
                announced[pod["spec"]["nodeName"]].update(_PLUGINS[max(words, key=len)])
    return announced, discovered


def capacity_changes(node: Object, facts: Object, announced: set[str]) -> dict[str, str]:
    """Return the changes of a node's capacity. The resource of a plugin that is gone becomes 0."""
    known = node["status"].get("capacity", {})
    there = {name: str(count) for name, count in node_spec.accelerators(facts).items()}
    desired = {name: count if name in announced else "0" for name, count in there.items()}
    return {n: c for n, c in desired.items() if known.get(n, "0") != c}


def missing_gpu_labels(node: Object, facts: Object) -> dict[str, str]:
    """Return the labels of NVIDIA's feature discovery that the node lacks."""
    gpus = [g for g in facts.get("GpuInfo", {}).get("Gpus", []) if g["Manufacturer"] == "NVIDIA"]
    if not gpus:
        return {}
    desired = {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.count": str(gpus[0]["Count"]),
        "nvidia.com/gpu.product": f"NVIDIA-{gpus[0]['Name'].replace(' ', '-')}",
        "nvidia.com/gpu.memory": str(gpus[0]["MemoryInfo"]["SizeInMiB"]),
    }
    known = node["metadata"].get("labels", {})
    return {} if desired.items() <= known.items() else desired
