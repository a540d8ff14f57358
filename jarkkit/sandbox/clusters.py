"""What the pretend EKS asks of the control planes behind its clusters.

moto's backends are saved with the account, processes are not: so the backends ask here. Without
control planes (`--account-only`) a cluster is an entry in the account, and all goes well at once.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

# Where processes that play pods ask for their credentials; the cluster's identity follows.
POD_IDENTITY = "/pod-identity/"


class Key(NamedTuple):
    """Which cluster: names are unique in a Region."""

    region: str
    name: str


@dataclass(frozen=True)
class Spec:
    """What a control plane must know before it starts.

    Attributes:
        identity: the cluster's own id; one of the same name that was deleted had another.
    """

    identity: str
    version: str
    service_cidr: str
    pod_cidr: str


@dataclass(frozen=True)
class Standing:
    """Where a control plane stands.

    Attributes:
        authority: the CA's certificate, PEM in base64.
        message: why it failed.
    """

    state: Literal["starting", "ready", "failed"]
    endpoint: str = ""
    authority: str = ""
    message: str = ""


@dataclass(frozen=True)
class Health:
    """How an EKS add-on's workloads do.

    Attributes:
        message: what is missing; empty where all is well.
        revision: of the add-on that was looked at; empty where it does not matter.
    """

    ready: bool
    message: str = ""
    revision: str = ""


class Clusters:
    """No control planes: everything is ready at once, and nothing answers at an endpoint.

    All methods but `stop` and `pod_credentials` return at once: the account is locked meanwhile.
    """

    def create(self, key: Key, spec: Spec) -> None:
        """Begin to start one."""

    def remove(self, key: Key) -> None:
        """Begin to end one; what it knew is forgotten."""

    def standing(self, key: Key) -> Standing:
        """How far it is."""
        nobody = base64.b64encode(f"nobody answers for {key.name}".encode()).decode()
        endpoint = f"https://{key.name}.gr7.{key.region}.eks.amazonaws.com"
        return Standing("ready", endpoint, nobody)

    def joined(self, key: Key, instance_ids: list[str]) -> bool:
        """True when these instances are Ready nodes."""
        return True

    def addon(self, key: Key, name: str) -> Health:
        """How the workloads of an EKS add-on do."""
        return Health(ready=True)

    def pod_credentials(self, identity: str, token: str) -> tuple[str, dict[str, str]]:
        """Status line and answer of the Pod Identity agent. Asked while the account is free."""
        return "404 Not Found", {"message": "there are no pods here"}

    def account_changed(self) -> None:
        """Something in the account is other than before."""

    def status(self) -> list[dict[str, Any]]:
        """Every cluster with its components, as `jarkkit sandbox status` shows them."""
        return []

    def stop(self) -> None:
        """End all processes; what the clusters know stays on disk."""


@dataclass
class Host:
    """Holds the one that is in use."""

    clusters: Clusters = field(default_factory=Clusters)


HOST = Host()
