"""The list of everything that plays a part of EKS beside a control plane."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from jarkkit.sandbox.cluster import answering
from jarkkit.sandbox.cluster.control_plane import AUTHENTICATOR
from jarkkit.sandbox.eks.access import AccessEntries
from jarkkit.sandbox.eks.addons import Addons
from jarkkit.sandbox.eks.classic_load_balancers import ClassicLoadBalancers
from jarkkit.sandbox.eks.controller import Controller
from jarkkit.sandbox.eks.devices import Devices
from jarkkit.sandbox.eks.load_balancers import LoadBalancers
from jarkkit.sandbox.eks.nodes import Nodes
from jarkkit.sandbox.eks.pod_faults import PodFaults
from jarkkit.sandbox.eks.processes import Processes
from jarkkit.sandbox.eks.scripted import ScriptedStages
from jarkkit.sandbox.eks.simulated_pods import SimulatedPods
from jarkkit.sandbox.eks.simulated_services import SimulatedServices
from jarkkit.sandbox.eks.volumes import Volumes

if TYPE_CHECKING:
    from jarkkit.sandbox.cluster.egress import Answering
    from jarkkit.sandbox.eks.cluster import Cluster

CONTROLLERS: tuple[type[Controller], ...] = (
    AccessEntries,
    Nodes,
    Devices,
    Processes,
    PodFaults,
    ScriptedStages,
    SimulatedPods,
    SimulatedServices,
    Addons,
    Volumes,
    LoadBalancers,
    ClassicLoadBalancers,
)


def route(cluster: Cluster, host: str, port: int) -> Answering:
    """Who answers the API server beyond loopback."""
    if host == AUTHENTICATOR:
        return lambda asking: answering.serve(asking, cluster.part(AccessEntries).answer)
    with contextlib.suppress(StopIteration):  # the API server asks before the controllers are made
        return cluster.part(SimulatedServices).answering(host, port)
    return None


def parts(cluster: Cluster) -> list[dict[str, Any]]:
    """The cluster's components, each with how real it is."""
    return []
