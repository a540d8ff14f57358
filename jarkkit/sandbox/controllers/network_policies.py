"""Whether network policies allow a connection: pure functions.

https://kubernetes.io/docs/concepts/services-networking/network-policies/, as the VPC CNI applies
them: a CIDR block also covers the addresses of pods, and pods in the host's network are not
restricted. https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from jarkkit.sandbox.kubernetes.api import Object

Direction = Literal["Ingress", "Egress"]


@dataclass(frozen=True)
class NetworkEndpoint:
    """One end of a connection.

    Attributes:
        namespace: of the pod; empty for an address that belongs to no pod.
        named_ports: port numbers of the pod's containers, by name.
        in_host_network: it has the address of its node.
    """

    address: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    named_ports: Mapping[str, int] = field(default_factory=dict)
    in_host_network: bool = False


@dataclass(frozen=True)
class Connection:
    """A connection that a pod opens."""

    source: NetworkEndpoint
    target: NetworkEndpoint
    port: int
    protocol: str = "TCP"


def is_allowed(
    connection: Connection,
    policies: Sequence[Object],
    namespaces: Mapping[str, Mapping[str, str]],
) -> bool:
    """Return True when the policies of both ends allow the connection.

    Args:
        policies: all NetworkPolicies.
        namespaces: labels of all namespaces, by name.
    """
    source, target = connection.source, connection.target
    return _is_open("Egress", source, target, connection, policies, namespaces) and _is_open(
        "Ingress", target, source, connection, policies, namespaces
    )


def _is_open(
    direction: Direction,
    at: NetworkEndpoint,
    other: NetworkEndpoint,
    connection: Connection,
    policies: Iterable[Object],
    namespaces: Mapping[str, Mapping[str, str]],
) -> bool:
    """Return True when no policy isolates an end in this direction, or one allows the other end."""
    isolating = [policy for policy in policies if _isolates(policy, direction, at)]
    rules = [
        (policy["metadata"]["namespace"], rule)
        for policy in isolating
        for rule in policy["spec"].get(direction.lower()) or ()
    ]
    peers = "from" if direction == "Ingress" else "to"
    return not isolating or any(
        _has_port(rule.get("ports"), connection)
        and _has_peer(rule.get(peers), other, namespace, namespaces)
        for namespace, rule in rules
    )


def _isolates(policy: Object, direction: Direction, at: NetworkEndpoint) -> bool:
    spec = policy["spec"]
    kinds = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    return (
        direction in kinds
        and not at.in_host_network
        and policy["metadata"]["namespace"] == at.namespace
        and selects(spec.get("podSelector") or {}, at.labels)
    )


def _has_port(ports: Sequence[Mapping[str, Any]] | None, connection: Connection) -> bool:
    return not ports or any(_is_port(port, connection) for port in ports)


def _is_port(wanted: Mapping[str, Any], connection: Connection) -> bool:
    if wanted.get("protocol", "TCP") != connection.protocol:
        return False
    first = wanted.get("port")
    if isinstance(first, str):
        return connection.target.named_ports.get(first) == connection.port
    return first is None or first <= connection.port <= wanted.get("endPort", first)


def _has_peer(
    peers: Sequence[Mapping[str, Any]] | None,
    other: NetworkEndpoint,
    namespace: str,
    namespaces: Mapping[str, Mapping[str, str]],
) -> bool:
    return not peers or any(_is_peer(peer, other, namespace, namespaces) for peer in peers)


def _is_peer(
    peer: Mapping[str, Any],
    other: NetworkEndpoint,
    namespace: str,
    namespaces: Mapping[str, Mapping[str, str]],
) -> bool:
    if block := peer.get("ipBlock"):
        return _is_in(other.address, block["cidr"]) and not any(
            _is_in(other.address, excluded) for excluded in block.get("except") or ()
        )
    if not other.namespace or other.in_host_network:
        return False
    chosen = peer.get("namespaceSelector")
    right_namespace = (
        other.namespace == namespace
        if chosen is None
        else selects(chosen, namespaces.get(other.namespace, {}))
    )
    return right_namespace and selects(peer.get("podSelector") or {}, other.labels)


def _is_in(address: str, block: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(block)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return True when a label selector matches; an empty one matches everything."""
    return (selector.get("matchLabels") or {}).items() <= labels.items() and all(
        _matches(expression, labels) for expression in selector.get("matchExpressions") or ()
    )


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    return {
        "In": value in expression.get("values", ()),
        "NotIn": value not in expression.get("values", ()),
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]
