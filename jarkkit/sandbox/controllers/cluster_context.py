"""What a controller may use of its cluster: an interface, so that no controller needs the class."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jarkkit.sandbox.account_backends import Backends, SandboxAccount
from jarkkit.sandbox.cluster_host import AddonHealth, ControlPlaneSpec
from jarkkit.sandbox.controllers.operator_builder import OperatorBuilder
from jarkkit.sandbox.kubernetes.api import Api, Object
from jarkkit.sandbox.kubernetes.control_plane import LocalControlPlane
from jarkkit.sandbox.kubernetes.informer import Informer
from jarkkit.sandbox.kubernetes.toolchain import Toolchain


@dataclass(frozen=True)
class SandboxContext:
    """What every cluster needs from its sandbox.

    Attributes:
        endpoint: URL of the simulated account, for processes that run in place of pods.
        home: the sandbox's folder, which marks its processes.
    """

    account: SandboxAccount
    endpoint: str
    home: Path
    toolchain: Toolchain
    builder: OperatorBuilder


class ClusterContext(Protocol):
    """The cluster as its controllers see it.

    Attributes:
        api: client of the API server, with administrator rights.
        spec: what CreateCluster asked for.
        folder: the cluster's own folder, mode 0700.
        ready_instances: instance ids of the Ready nodes; the node controller writes it.
        addon_health: health by EKS add-on; the add-on controller writes it.
    """

    api: Api
    name: str
    region: str
    spec: ControlPlaneSpec
    folder: Path
    sandbox: SandboxContext
    control_plane: LocalControlPlane
    ready_instances: frozenset[str]
    addon_health: dict[str, AddonHealth]

    def read_account(self) -> AbstractContextManager[Backends]:
        """Lock the account in the cluster's Region for reading. Call no API server meanwhile."""

    def change_account(self) -> AbstractContextManager[Backends]:
        """Lock the account in the cluster's Region for writing. Call no API server meanwhile."""

    def informer(self, path: str) -> Informer:
        """Return the informer of a resource, shared by all controllers. Raises ApiError."""

    def pods(self) -> list[Object]:
        """Return all pods, reduced to the fields that controllers read."""

    def has_ready_pod(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Return True when a Ready pod of the namespace has these labels."""

    def find_ready_pod(self, namespace: str, labels: Mapping[str, str]) -> Object | None:
        """Return a Ready pod of the namespace with these labels; None when there is none."""

    def log(self, line: str) -> None:
        """Append a line to the cluster's own log."""
