"""All controllers that simulate EKS beside a control plane, and the API server's routes to them."""

from __future__ import annotations

from collections.abc import Sequence

from jarkkit.sandbox.controllers.access import AccessEntryController
from jarkkit.sandbox.controllers.addons import AddonController
from jarkkit.sandbox.controllers.base_controller import Controller, find
from jarkkit.sandbox.controllers.classic_load_balancers import ClassicLoadBalancerController
from jarkkit.sandbox.controllers.device_plugins import DevicePluginController
from jarkkit.sandbox.controllers.file_system_mounts import MountController
from jarkkit.sandbox.controllers.load_balancers import LoadBalancerController
from jarkkit.sandbox.controllers.nodes import NodeController
from jarkkit.sandbox.controllers.pod_faults import PodFaultController
from jarkkit.sandbox.controllers.pod_processes import PodProcessController
from jarkkit.sandbox.controllers.reachability import ReachabilityController
from jarkkit.sandbox.controllers.scripted_stages import ScriptedStageController
from jarkkit.sandbox.controllers.simulated_pods import SimulatedPodController
from jarkkit.sandbox.controllers.simulated_services import SimulatedServiceController
from jarkkit.sandbox.controllers.stage_resync import StageResyncController
from jarkkit.sandbox.controllers.volumes import VolumeController
from jarkkit.sandbox.kubernetes import http_server
from jarkkit.sandbox.kubernetes.control_plane import AUTHENTICATOR_HOST
from jarkkit.sandbox.kubernetes.egress import Upstream

CONTROLLERS: tuple[type[Controller], ...] = (
    AccessEntryController,
    NodeController,
    DevicePluginController,
    PodProcessController,
    PodFaultController,
    ReachabilityController,
    MountController,
    ScriptedStageController,
    StageResyncController,
    SimulatedPodController,
    SimulatedServiceController,
    AddonController,
    VolumeController,
    LoadBalancerController,
    ClassicLoadBalancerController,
)


def route(running: Sequence[Controller], host: str, port: int) -> Upstream:
    """Return what serves a host beyond loopback. Controllers may not have started yet."""
    entries = find(running, AccessEntryController)
    if host == AUTHENTICATOR_HOST and entries:
        return lambda connection: http_server.serve(connection, entries.review_token)
    services = find(running, SimulatedServiceController)
    return services.upstream(host, port) if services else None
