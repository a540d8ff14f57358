"""The list of everything that plays a part of EKS beside a control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    """Who answers the API server beyond loopback. It may ask before the controllers are there."""
    entries = cluster.find_part(AccessEntries)
    if host == AUTHENTICATOR and entries:
        return lambda asking: answering.serve(asking, entries.answer)
    services = cluster.find_part(SimulatedServices)
    return services.answering(host, port) if services else None
