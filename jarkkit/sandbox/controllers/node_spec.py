"""The Node object of an instance, computed from the instance and its user data: pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jarkkit.sandbox.kubernetes.api import Object
from jarkkit.sandbox.user_data import NodeConfig

# The kernel and the hypervisor keep a part of an instance's memory. Karpenter assumes this share
# until it has seen a node of the type (its setting VM_MEMORY_OVERHEAD_PERCENT).
_OVERHEAD = 0.075
_EVICTION_MIB = 100
# CPU that kubelet reserves, by core: https://github.com/awslabs/amazon-eks-ami, nodeadm's defaults.
_CPU_SHARES = ((1, 60), (1, 10), (2, 5))
_CPU_REST = 2.5
_ZONE = "topology.kubernetes.io/zone"
_REGION = "topology.kubernetes.io/region"
_TYPE = "node.kubernetes.io/instance-type"
_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}


@dataclass(frozen=True)
class NodeInstance:
    """What a Node shows of its instance.

    Attributes:
        facts: its type, as DescribeInstanceTypes returns it.
        disk_gib: the root volume.
        role: of its instance profile, with which it authenticates to the cluster.
        version: the minor version of Kubernetes on its image; empty for an image of your own.
        cut_off: why its network does not let it join; empty if it does.
    """

    instance_id: str
    instance_type: str
    facts: dict[str, Any]
    region: str
    zone: str
    private_ip: str
    private_dns: str
    architecture: str
    disk_gib: int
    spot: bool
    role: str
    image: str
    user_data: str
    launched_at: float
    version: str = ""
    cut_off: str = ""


def node_manifest(machine: NodeInstance, config: NodeConfig, version: str) -> Object:
    """Return the Node that the instance's kubelet registers."""
    pods = config.max_pods or max_pods(machine.facts)
    arch = _ARCHITECTURES.get(machine.architecture, "amd64")
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": machine.private_dns,
            # Without this annotation the controller manager attaches no volumes to the node.
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
            "labels": {
                **config.labels,
                "kubernetes.io/hostname": machine.private_dns,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": arch,
                "beta.kubernetes.io/os": "linux",
                "beta.kubernetes.io/arch": arch,
                _TYPE: machine.instance_type,
                "beta.kubernetes.io/instance-type": machine.instance_type,
                _ZONE: machine.zone,
                "failure-domain.beta.kubernetes.io/zone": machine.zone,
                _REGION: machine.region,
                "failure-domain.beta.kubernetes.io/region": machine.region,
                "k8s.io/cloud-provider-aws": "sandbox",
            },
        },
        "spec": {
            "providerID": f"aws:///{machine.zone}/{machine.instance_id}",
            "taints": [dict(taint) for taint in config.taints],
        },
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": machine.private_ip},
                {"type": "InternalDNS", "address": machine.private_dns},
                {"type": "Hostname", "address": machine.private_dns},
            ],
            "capacity": capacity(machine, pods),
            "allocatable": allocatable(machine, pods),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": _info(machine, arch, version),
        },
    }


def kubelet_version(image: str, cluster: str, binary: str) -> str:
    """Return the version that the node's kubelet reports.

    Karpenter reads the version of the API server, which is always that of our binary, so that its
    images can be newer than the cluster; those nodes report the cluster's version.

    Args:
        image: the minor version on the node's image; empty if unknown.
        cluster: the minor version of the cluster.
        binary: the version of the control plane's programs, with its patch.
    """
    version = min(image or cluster, cluster, key=lambda v: int(v.partition(".")[2]))
    return binary if binary.startswith(f"{version}.") else f"{version}.0"


def capacity(machine: NodeInstance, pods: int) -> dict[str, str]:
    """Return the capacity without accelerators, which device plugins advertise."""
    cores, memory = _size(machine.facts)
    return {
        "cpu": str(cores),
        "memory": f"{int(memory * (1 - _OVERHEAD)) * 1024}Ki",
        "pods": str(pods),
        "ephemeral-storage": f"{machine.disk_gib * 1024 * 1024 - 16 * 1024}Ki",
    }


def allocatable(machine: NodeInstance, pods: int) -> dict[str, str]:
    """Return what kubelet and system reservations leave for pods."""
    cores, memory = _size(machine.facts)
    reserved = 11 * pods + 255 + _EVICTION_MIB
    return {
        "cpu": f"{cores * 1000 - reserved_millicores(cores)}m",
        "memory": f"{(int(memory * (1 - _OVERHEAD)) - reserved) * 1024}Ki",
        "pods": str(pods),
        "ephemeral-storage": str(int(machine.disk_gib * 2**30 * 0.9) - 2**30),
    }


def reserved_millicores(cores: int) -> int:
    """Return the millicores that kubelet reserves."""
    reserved, left = 0.0, cores
    for count, share in _CPU_SHARES:
        reserved += min(left, count) * share
        left = max(0, left - count)
    return int(reserved + left * _CPU_REST)


def max_pods(facts: dict[str, Any]) -> int:
    """Return the pods that the VPC CNI has addresses for, without prefix delegation.

    https://github.com/awslabs/amazon-eks-ami (eni-max-pods): ENIs x (addresses - 1) + 2.
    """
    network = facts.get("NetworkInfo", {})
    cards = network.get("NetworkCards") or [{}]
    interfaces = cards[0].get("MaximumNetworkInterfaces") or network.get(
        "MaximumNetworkInterfaces", 4
    )
    return int(interfaces) * (int(network.get("Ipv4AddressesPerInterface", 15)) - 1) + 2


def accelerators(facts: dict[str, Any]) -> dict[str, int]:
    """Return an instance type's accelerators, by the resource that a device plugin advertises."""
    gpus = facts.get("GpuInfo", {}).get("Gpus", [])
    found = {"nvidia.com/gpu": sum(g["Count"] for g in gpus if g["Manufacturer"] == "NVIDIA")}
    neuron = facts.get("NeuronInfo", {}).get("NeuronDevices", [])
    found["aws.amazon.com/neuron"] = sum(d["Count"] for d in neuron)
    found["aws.amazon.com/neuroncore"] = sum(d["Count"] * d["CoreInfo"]["Count"] for d in neuron)
    efa = facts.get("NetworkInfo", {}).get("EfaInfo", {})
    found["vpc.amazonaws.com/efa"] = efa.get("MaximumEfaInterfaces", 0)
    return {name: count for name, count in found.items() if count}


def _size(facts: dict[str, Any]) -> tuple[int, int]:
    """Return vCPUs and MiB."""
    cores = facts.get("VCpuInfo", {}).get("DefaultVCpus", 2)
    return int(cores), int(facts.get("MemoryInfo", {}).get("SizeInMiB", 4096))


def _info(machine: NodeInstance, arch: str, version: str) -> dict[str, str]:
    serial = machine.instance_id.removeprefix("i-").ljust(32, "0")
    return {
        "architecture": arch,
        "bootID": serial,
        "containerRuntimeVersion": "containerd://2.1.5",
        "kernelVersion": "6.12.58-82.121.amzn2023",
        "kubeProxyVersion": f"v{version}",
        "kubeletVersion": f"v{version}-eks-sandbox",
        "machineID": serial,
        "operatingSystem": "linux",
        "osImage": machine.image,
        "systemUUID": f"ec2{serial[3:]}",
    }
