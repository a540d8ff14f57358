"""One sandbox EKS cluster: a real control plane, and controllers that simulate the EKS side."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from jarkkit.model.errors import JarkkitError
from jarkkit.sandbox import kwok_stages
from jarkkit.sandbox.account_backends import Backends
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.cluster_host import AddonHealth, ClusterKey, ClusterStatus, ControlPlaneSpec
from jarkkit.sandbox.controllers import (
    components,
    file_system_mounts,
    node_leases,
    pod_faults,
    process_admission,
    registry,
)
from jarkkit.sandbox.controllers.base_controller import Controller, find
from jarkkit.sandbox.controllers.cluster_context import SandboxContext
from jarkkit.sandbox.controllers.objects import PODS, is_ready, slim_pod, without_managed_fields
from jarkkit.sandbox.controllers.pod_processes import PodProcessController
from jarkkit.sandbox.kubernetes.api import Api, NoResponseError, Object
from jarkkit.sandbox.kubernetes.control_plane import LocalControlPlane
from jarkkit.sandbox.kubernetes.informer import Informer
from jarkkit.sandbox.kubernetes.toolchain import CLUSTER, PROGRAMS

# Programs that every cluster needs.
REQUIRED_PROGRAMS = tuple(program.name for program in PROGRAMS if program.group == CLUSTER)
_LOOK_SECONDS = 1.0
_SYNC_SECONDS = 30.0
_SETTLED_SECONDS = 10.0


class SandboxCluster:
    """A cluster from CreateCluster to DeleteCluster.

    Attributes:
        api: client of the API server, with administrator rights; set before controllers start.
    """

    api: Api

    def __init__(self, key: ClusterKey, spec: ControlPlaneSpec, sandbox: SandboxContext) -> None:
        self.key = key
        self.name = key.name
        self.region = key.region
        self.spec = spec
        self.sandbox = sandbox
        self.folder = sandbox.home / "clusters" / spec.identity
        self.control_plane = LocalControlPlane(
            self.folder,
            sandbox.toolchain.require(REQUIRED_PROGRAMS),
            service_cidr=spec.service_cidr,
            pod_cidr=spec.pod_cidr,
            mark=str(sandbox.home),
        )
        self.current_status = ClusterStatus("starting")
        self.ready_instances: frozenset[str] = frozenset()
        self.addon_health: dict[str, AddonHealth] = {}
        self._versions: dict[str, str] = {}
        self._informers: dict[str, Informer] = {}
        self._controllers: tuple[Controller, ...] = ()
        self._restarted: dict[str, float] = {}
        self._started = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"cluster {key.name}", daemon=True)

    # -- lifecycle -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to start the cluster; `current_status` shows the progress."""
        self._thread.start()

    def wait(self) -> None:
        """Return when the cluster is ready or has failed."""
        self._started.wait()

    def stop(self) -> None:
        """End all processes and return when they are gone. The cluster's state stays on disk."""
        self._stopping.set()
        self._thread.join()
        for controller in self._controllers:
            controller.stop()
        for informer in self._informers.values():
            informer.stop()
        self.control_plane.stop()

    def remove(self) -> None:
        """Stop the cluster and delete its state."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wake(self) -> None:
        """Notify the controllers that follow the account of a change in it."""
        for controller in self._controllers:
            if controller.follows_account:
                controller.wake()

    def _live(self) -> None:
        try:
            self._begin()
            while not self._stopping.wait(_LOOK_SECONDS):
                self._restart_dead()
        except JarkkitError as error:
            self._fail(f"{error.message} {error.evidence}".strip())
        except Exception as error:  # DescribeCluster shows it
            self._fail(f"{type(error).__name__}: {error}")

    def _begin(self) -> None:
        self.control_plane.egress.route = lambda host, port: registry.route(
            self._controllers, host, port
        )
        self.control_plane.start()
        self.api = self.control_plane.api()
        node_leases.take_over(self.control_plane, self.api, self._stopping)
        for manifest in (
            *kwok_stages.base_stages(CLOCK.speed),
            *pod_faults.policy_manifests(),
            *file_system_mounts.policy_manifests(),
            *process_admission.policy_manifests(),
        ):
            self.api.apply(manifest)
        self._controllers = tuple(make(self) for make in registry.CONTROLLERS)
        for controller in self._controllers:
            controller.start()
        process_admission.wait_until_enforced(self.api)
        self.current_status = ClusterStatus(
            "ready", self.control_plane.endpoint, self.control_plane.certificate_authority
        )
        self._started.set()
        self.log("ready")

    def _restart_dead(self) -> None:
        """Restart a dead component once; when it dies again soon, the cluster has failed."""
        dead = self.control_plane.dead_components()
        if not dead:
            return
        tails = {name: self.control_plane.log_tail(name, 3) for name in dead}
        for name, tail in tails.items():
            self.log(f"{name} died\n{tail}")
        now = time.monotonic()
        if again := [
            name
            for name in dead
            if now - self._restarted.get(name, -_SETTLED_SECONDS) < _SETTLED_SECONDS
        ]:
            raise JarkkitError(
                "JK-SANDBOX-CLUSTER",
                f"{', '.join(again)} died again.",
                "Read the lines below, then run `jarkkit sandbox down` and `jarkkit sandbox up`.",
                evidence="\n".join(f"{name}: {tail}" for name, tail in tails.items()),
            )
        self._restarted.update(dict.fromkeys(dead, now))
        before = {component.name: component.pid for component in self.control_plane.components()}
        self.control_plane.restart_dead()
        self._log_replaced(before)
        if node_leases.KWOK_CONTROLLER in dead:
            node_leases.take_over(self.control_plane, self.api, self._stopping)

    def _log_replaced(self, before: Mapping[str, int]) -> None:
        """Log the components that died, and were restarted, while others were restarted.

        Args:
            before: process ids by name, of the components that ran then.
        """
        after = {component.name: component.pid for component in self.control_plane.components()}
        for name, pid in before.items():
            if after.get(name, pid) != pid:
                self.log(f"{name} died while others were restarted")

    def _fail(self, message: str) -> None:
        self.log(f"failed: {message}")
        self.current_status = ClusterStatus("failed", message=message)
        self._started.set()

    # -- for controllers -----------------------------------------------------------------------

    @contextlib.contextmanager
    def read_account(self) -> Iterator[Backends]:
        """Lock the account in the cluster's Region for reading. Call no API server meanwhile."""
        with self.sandbox.account.read(self.region) as backends:
            yield backends

    @contextlib.contextmanager
    def change_account(self) -> Iterator[Backends]:
        """Lock the account in the cluster's Region for writing. Call no API server meanwhile."""
        with self.sandbox.account.change(self.region) as backends:
            yield backends

    def informer(self, path: str) -> Informer:
        """Return the informer of a resource; all controllers share it. Raises ApiError."""
        if path not in self._informers:
            keep = slim_pod if path == PODS else without_managed_fields
            made = Informer(self.api, path, transform=keep)
            self._informers[path] = made
            made.start()
            if not made.wait_until_synced(_SYNC_SECONDS):
                raise NoResponseError(f"{path} cannot be watched")
        return self._informers[path]

    def pods(self) -> list[Object]:
        """Return all pods, reduced to the fields that controllers read."""
        return self.informer(PODS).all()

    def has_ready_pod(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Return True when a Ready pod of the namespace has these labels."""
        return self.find_ready_pod(namespace, labels) is not None

    def find_ready_pod(self, namespace: str, labels: Mapping[str, str]) -> Object | None:
        """Return a Ready pod of the namespace with these labels; None when there is none."""
        found = (
            pod
            for pod in self.pods()
            if pod["metadata"]["namespace"] == namespace
            and labels.items() <= pod["metadata"].get("labels", {}).items()
            and is_ready(pod)
        )
        return next(found, None)

    def log(self, line: str) -> None:
        """Append a line to the cluster's own log."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "eks.log").open("a") as file:
            file.write(f"{moment} {line}\n")

    # -- components -------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Return the cluster with its components, for `jarkkit sandbox status`."""
        return {
            "name": self.name,
            "region": self.region,
            "state": self.current_status.state,
            "message": self.current_status.message,
            "components": self._components(),
        }

    def _components(self) -> list[dict[str, Any]]:
        processes = find(self._controllers, PodProcessController)
        if not self._versions:  # asking a program of this machine takes a moment, so only once
            programs = self.sandbox.toolchain.describe()
            self._versions = {program.name: program.version for program in programs}
        return components.components(
            self.control_plane,
            processes.pods() if processes else (),
            self._versions,
            is_ready=self.current_status.state == "ready",
        )
