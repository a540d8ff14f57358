"""Accelerators on Nodes: there while the pod of their device plugin is Ready on the node."""

from __future__ import annotations

from collections import defaultdict

from jarkkit.sandbox.account.ec2 import catalogue
from jarkkit.sandbox.cluster.api import Object
from jarkkit.sandbox.cluster.informer import Informer
from jarkkit.sandbox.eks import node_facts
from jarkkit.sandbox.eks.controller import Controller
from jarkkit.sandbox.eks.objects import NODES, PODS, is_ready

# The plugin by a word of its image; feature discovery is another container of NVIDIA's image.
_PLUGINS = {
    "k8s-device-plugin": ("nvidia.com/gpu",),
    "neuron-device-plugin": ("aws.amazon.com/neuron", "aws.amazon.com/neuroncore"),
    "aws-efa-k8s-device-plugin": ("vpc.amazonaws.com/efa",),
}
_DISCOVERY = "gpu-feature-discovery"
_TYPE = "node.kubernetes.io/instance-type"


class Devices(Controller):
    """Announces what a node's device plugins find, and takes it back when they are gone."""

    name = "devices"
    rest = 0.3

    def watched(self) -> tuple[Informer, ...]:
        """Plugins come with nodes, and later."""
        return (self.cluster.informer(NODES), self.cluster.informer(PODS))

    def reconcile(self) -> None:
        """Every node announces what its plugins see."""
        announced, discovered = announcers(self.cluster.pods())
        for node in self.cluster.informer(NODES).all():
            name = node["metadata"]["name"]
            facts = catalogue.facts_of(node["metadata"].get("labels", {}).get(_TYPE, ""))
            if change := resources(node, facts, announced[name]):
                status = {"status": {"capacity": change, "allocatable": change}}
                self.cluster.api.patch(f"{NODES}/{name}/status", status)
            if name in discovered and (labels := features(node, facts)):
                self.cluster.api.patch(f"{NODES}/{name}", {"metadata": {"labels": labels}})


def announcers(pods: list[Object]) -> tuple[dict[str, set[str]], set[str]]:
    """By node the resources whose plugin runs there, and the nodes with feature discovery."""
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


def resources(node: Object, facts: Object, announced: set[str]) -> dict[str, str]:
    """What is to change in the node's capacity. A plugin that is gone leaves a zero behind."""
    known = node["status"].get("capacity", {})
    there = {name: str(count) for name, count in node_facts.devices(facts).items()}
    wanted = {name: count if name in announced else "0" for name, count in there.items()}
    return {n: c for n, c in wanted.items() if known.get(n, "0") != c}


def features(node: Object, facts: Object) -> dict[str, str]:
    """The labels of NVIDIA's feature discovery that the node does not have yet."""
    gpus = [g for g in facts.get("GpuInfo", {}).get("Gpus", []) if g["Manufacturer"] == "NVIDIA"]
    if not gpus:
        return {}
    wanted = {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.count": str(gpus[0]["Count"]),
        "nvidia.com/gpu.product": f"NVIDIA-{gpus[0]['Name'].replace(' ', '-')}",
        "nvidia.com/gpu.memory": str(gpus[0]["MemoryInfo"]["SizeInMiB"]),
    }
    known = node["metadata"].get("labels", {})
    return {} if wanted.items() <= known.items() else wanted
