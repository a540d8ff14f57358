"""One pretend EKS cluster: its real control plane, and the controllers that play the EKS side."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jarkkit.errors import JarkkitError
from jarkkit.sandbox import stages
from jarkkit.sandbox.backends import Account, Backends
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.cluster.api import Api, ApiError, Object
from jarkkit.sandbox.cluster.control_plane import ControlPlane
from jarkkit.sandbox.cluster.informer import Informer
from jarkkit.sandbox.cluster.toolchain import CLUSTER, PROGRAMS, Toolchain
from jarkkit.sandbox.clusters import Health, Key, Spec, Standing
from jarkkit.sandbox.eks import components, controllers, images, node_leases, pod_faults
from jarkkit.sandbox.eks.builder import Builder
from jarkkit.sandbox.eks.controller import Controller
from jarkkit.sandbox.eks.objects import PODS, is_ready, slim_pod, without_managers

C = TypeVar("C", bound=Controller)
# Programs without which there is no cluster.
NEEDED = tuple(program.name for program in PROGRAMS if program.group == CLUSTER)
_LOOK_SECONDS = 1.0
_SYNC_SECONDS = 30.0
_SETTLED_SECONDS = 10.0


@dataclass(frozen=True)
class Surroundings:
    """What a cluster needs from the sandbox.

    Attributes:
        endpoint: of the account, for processes that play pods.
        home: the sandbox's folder, which marks its processes.
    """

    account: Account
    endpoint: str
    home: Path
    tools: Toolchain
    builder: Builder


class Cluster:
    """A cluster from CreateCluster to DeleteCluster.

    Attributes:
        api: the API server, as an administrator; there before the first controller is.
    """

    api: Api

    def __init__(self, key: Key, spec: Spec, around: Surroundings) -> None:
        self.key = key
        self.name = key.name
        self.region = key.region
        self.spec = spec
        self.around = around
        self.folder = around.home / "clusters" / spec.identity
        self.plane = ControlPlane(
            self.folder,
            around.tools.require(NEEDED),
            service_cidr=spec.service_cidr,
            pod_cidr=spec.pod_cidr,
            mark=str(around.home),
        )
        self.standing = Standing("starting")
        self.ready_instances: frozenset[str] = frozenset()
        self.addons: dict[str, Health] = {}
        self.versions: dict[str, str] = {}
        self._informers: dict[str, Informer] = {}
        self._controllers: tuple[Controller, ...] = ()
        self._revived: dict[str, float] = {}
        self._begun = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"cluster {key.name}", daemon=True)

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to start it; `standing` says how far it is."""
        self._thread.start()

    def wait(self) -> None:
        """Return when it answers, or has failed."""
        self._begun.wait()

    def stop(self) -> None:
        """End all its processes; returns when they are gone. What it knows stays on disk."""
        self._stopping.set()
        self._thread.join()
        for controller in self._controllers:
            controller.stop()
        for informer in self._informers.values():
            informer.stop()
        self.plane.stop()

    def remove(self) -> None:
        """End it and forget what it knew."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wake(self) -> None:
        """Something in the account has changed."""
        for controller in self._controllers:
            if controller.follows_account:
                controller.wake()

    def _live(self) -> None:
        try:
            self._begin()
            while not self._stopping.wait(_LOOK_SECONDS):
                self._look_after()
        except JarkkitError as error:
            self._fail(f"{error.message} {error.evidence}".strip())
        except Exception as error:  # shown to whoever asks for the cluster
            self._fail(f"{type(error).__name__}: {error}")

    def _begin(self) -> None:
        self.plane.egress.route = lambda host, port: controllers.route(self, host, port)
        self.plane.start()
        self.api = self.plane.api()
        node_leases.take_over(self.plane, self.api)
        for thing in (*stages.objects(CLOCK.speed), *pod_faults.objects(), *images.objects()):
            self.api.apply(thing)
        self._controllers = tuple(make(self) for make in controllers.CONTROLLERS)
        for controller in self._controllers:
            controller.start()
        images.wait_in_force(self.api)
        self.standing = Standing("ready", self.plane.endpoint, self.plane.certificate_authority)
        self._begun.set()
        self.log("ready")

    def _look_after(self) -> None:
        """A component that died is started once again; soon after that the cluster has failed."""
        dead = self.plane.dead()
        if not dead:
            return
        said = "\n".join(f"{name}: {self.plane.log(name, 3)}" for name in dead)
        self.log(f"{', '.join(dead)} died\n{said}")
        now = time.monotonic()
        if again := [
            name
            for name in dead
            if now - self._revived.get(name, -_SETTLED_SECONDS) < _SETTLED_SECONDS
        ]:
            raise JarkkitError(
                "JK-SANDBOX-CLUSTER",
                f"{', '.join(again)} died again.",
                "Look at the lines below; `jarkkit sandbox down` and `up` start it anew.",
                evidence=said,
            )
        self._revived.update(dict.fromkeys(dead, now))
        self.plane.revive()
        if node_leases.KWOK in dead:
            node_leases.take_over(self.plane, self.api)

    def _fail(self, message: str) -> None:
        self.log(f"failed: {message}")
        self.standing = Standing("failed", message=message)
        self._begun.set()

    # -- for controllers -----------------------------------------------------------------------

    @contextlib.contextmanager
    def read(self) -> Iterator[Backends]:
        """The account in the cluster's Region, to look at. Call no API server meanwhile."""
        with self.around.account.read(self.region) as backends:
            yield backends

    @contextlib.contextmanager
    def change(self) -> Iterator[Backends]:
        """The account in the cluster's Region, to change. Call no API server meanwhile."""
        with self.around.account.change(self.region) as backends:
            yield backends

    def informer(self, path: str) -> Informer:
        """The resource's objects, watched once for all controllers."""
        if path not in self._informers:
            keep = slim_pod if path == PODS else without_managers
            made = Informer(self.api, path, keep=keep)
            self._informers[path] = made
            made.start()
            if not made.wait(_SYNC_SECONDS):
                raise ApiError(0, "NoAnswer", f"{path} cannot be watched")
        return self._informers[path]

    def pods(self) -> list[Object]:
        """All pods, without what nobody here needs."""
        return self.informer(PODS).all()

    def is_up(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """True when a Ready pod of the namespace has these labels."""
        return any(
            pod["metadata"]["namespace"] == namespace
            and labels.items() <= pod["metadata"].get("labels", {}).items()
            and is_ready(pod)
            for pod in self.pods()
        )

    def find_part(self, kind: type[C]) -> C | None:
        """The controller of that kind; None before the cluster has begun."""
        return next((part for part in self._controllers if isinstance(part, kind)), None)

    def log(self, line: str) -> None:
        """A line in the cluster's own log."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "eks.log").open("a") as file:
            file.write(f"{moment} {line}\n")

    # -- what it is made of ----------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The cluster with its components, for `jarkkit sandbox status`."""
        return {
            "name": self.name,
            "region": self.region,
            "state": self.standing.state,
            "message": self.standing.message,
            "components": components.components(self),
        }
