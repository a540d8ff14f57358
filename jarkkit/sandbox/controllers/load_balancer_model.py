"""The stacks that AWS Load Balancer Controller builds from Services and Ingresses: pure functions.

Names, tags, finalizers, annotations, defaults and messages are those of version 3.x of the
controller (its guide and its sources, read 2026-11). Left out: IngressClassParams, custom actions
and conditions, authentication, IPv6, certificates found by host, most settings of health checks.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jarkkit.sandbox.controllers.objects import instance_id_of, is_ready_node
from jarkkit.sandbox.kubernetes.api import Object, key_of

LOAD_BALANCER_CLASS = "service.k8s.aws/nlb"
INGRESS_CONTROLLER = "ingress.k8s.aws/alb"
SERVICE_FINALIZER = "service.k8s.aws/resources"
INGRESS_FINALIZER = "ingress.k8s.aws/resources"
GROUP_FINALIZER = "group.ingress.k8s.aws/"
BINDING_FINALIZER = "elbv2.k8s.aws/resources"
CLUSTER_TAG = "elbv2.k8s.aws/cluster"
_SERVICE = "service.beta.kubernetes.io/aws-load-balancer-"
_INGRESS = "alb.ingress.kubernetes.io/"
_SLICE_OF = "kubernetes.io/service-name"
_EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
_ROLES = {
    "internal": "kubernetes.io/role/internal-elb",
    "internet-facing": "kubernetes.io/role/elb",
}
_ADDRESSES = 8  # least number of free ones in a subnet

Action = dict[str, Any]
Target = tuple[str, int]


class BuildError(Exception):
    """The controller cannot build a stack from an object; the text is the controller's."""


@dataclass(frozen=True)
class HealthCheck:
    """How a target group checks its targets."""

    protocol: str
    port: str
    path: str
    interval_seconds: int


@dataclass(frozen=True)
class TargetGroup:
    """The target group of one port of a Service.

    Attributes:
        resource: its name within the stack; a tag.
        kind: `ip` or `instance`.
        service: `namespace/name`.
        port: the group's default port; each target has its own.
        service_port: as the Service has it.
    """

    resource: str
    name: str
    kind: str
    protocol: str
    port: int
    service: str
    service_port: Object
    health: HealthCheck


@dataclass(frozen=True)
class Rule:
    """A rule of an Application Load Balancer's listener: which requests go where."""

    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    action: Action


@dataclass(frozen=True)
class Listener:
    """A port of a load balancer. Actions that forward name a target group by its resource."""

    port: int
    protocol: str
    action: Action
    certificates: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Stack:
    """The AWS resources that the controller creates for a Service or a group of Ingresses.

    Attributes:
        prefix: of its tags.
        stack_id: `namespace/name`, or the group's name.
        kind: `network` or `application`.
        subnets: ids or names from the annotation.
        security_groups: ids or names of security groups from the annotation.
        security_group_name: of the security group that the controller creates otherwise.
        inbound: what that one allows in: protocol, port, range.
    """

    prefix: str
    stack_id: str
    kind: str
    name: str
    scheme: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    security_group_name: str
    inbound: frozenset[tuple[str, int, str]]
    target_groups: tuple[TargetGroup, ...]
    listeners: tuple[Listener, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class SubnetCandidate:
    """A subnet that a load balancer may use.

    Attributes:
        public: it has a route to an internet gateway.
    """

    subnet_id: str
    zone: str
    tags: Mapping[str, str]
    free_addresses: int
    public: bool


# -- Services ------------------------------------------------------------------------------------


def is_managed(service: Object) -> bool:
    """Return True for a Service that gets a Network Load Balancer from the controller."""
    spec = service["spec"]
    if spec.get("type") != "LoadBalancer" or "deletionTimestamp" in service["metadata"]:
        return False
    if named := spec.get("loadBalancerClass"):
        return bool(named == LOAD_BALANCER_CLASS)
    notes = _notes(service)
    kind, targets = notes.get(f"{_SERVICE}type"), notes.get(f"{_SERVICE}nlb-target-type")
    return kind == "nlb-ip" or (kind == "external" and targets in ("ip", "instance"))


def service_stack(service: Object, cluster: str) -> Stack:
    """Return the stack of a Service. Raises BuildError."""
    meta, notes = service["metadata"], _notes(service)
    scheme = notes.get(f"{_SERVICE}scheme", "internal")
    if f"{_SERVICE}scheme" not in notes and notes.get(f"{_SERVICE}internal") == "false":
        scheme = "internet-facing"
    _check_scheme(scheme)
    name = notes.get(f"{_SERVICE}name") or _name(meta, cluster, meta["uid"], scheme)
    if len(name) > 32:
        raise BuildError("load balancer name cannot be longer than 32 characters")
    ports = service["spec"]["ports"]
    groups = tuple(_service_group(service, port, cluster) for port in ports)
    return Stack(
        prefix="service.k8s.aws",
        stack_id=key_of(service),
        kind="network",
        name=name,
        scheme=scheme,
        subnets=_words(notes, f"{_SERVICE}subnets"),
        security_groups=_words(notes, f"{_SERVICE}security-groups"),
        security_group_name=_name(meta, cluster, meta["name"], meta["namespace"], meta["uid"]),
        inbound=frozenset(_service_inbound(service)),
        target_groups=groups,
        listeners=tuple(
            _service_listener(notes, port, group) for port, group in zip(ports, groups, strict=True)
        ),
        tags=_pairs(notes, f"{_SERVICE}additional-resource-tags"),
    )


def _service_inbound(service: Object) -> Iterable[tuple[str, int, str]]:
    ranges = service["spec"].get("loadBalancerSourceRanges") or _words(
        _notes(service), "service.beta.kubernetes.io/load-balancer-source-ranges"
    )
    for port in service["spec"]["ports"]:
        for cidr in ranges or ("0.0.0.0/0",):
            yield port.get("protocol", "TCP").lower(), port["port"], cidr


def _service_group(service: Object, port: Object, cluster: str) -> TargetGroup:
    meta, notes = service["metadata"], _notes(service)
    by_address = notes.get(f"{_SERVICE}type") == "nlb-ip"
    kind = "ip" if by_address else notes.get(f"{_SERVICE}nlb-target-type", "instance")
    protocol = port.get("protocol", "TCP")
    if protocol == "TCP" and notes.get(f"{_SERVICE}backend-protocol") == "ssl":
        protocol = "TLS"
    asks = notes.get(f"{_SERVICE}healthcheck-protocol", "TCP").upper()
    health = HealthCheck(
        protocol=asks,
        port=notes.get(f"{_SERVICE}healthcheck-port", "traffic-port"),
        path="" if asks == "TCP" else notes.get(f"{_SERVICE}healthcheck-path", "/"),
        interval_seconds=_number(notes, f"{_SERVICE}healthcheck-interval", 10),
    )
    number = _target_port(port, kind)
    parts = (
        cluster,
        meta["uid"],
        number,
        port["port"],
        kind,
        protocol,
        asks,
        health.interval_seconds,
    )
    return TargetGroup(
        resource=f"{key_of(service)}:{port['port']}",
        name=_name(meta, *parts),
        kind=kind,
        protocol=protocol,
        port=number,
        service=key_of(service),
        service_port=port,
        health=health,
    )


def _service_listener(notes: Mapping[str, str], port: Object, group: TargetGroup) -> Listener:
    certificates = _words(notes, f"{_SERVICE}ssl-cert")
    secured = _words(notes, f"{_SERVICE}ssl-ports")
    protocol = port.get("protocol", "TCP")
    named = not secured or {str(port["port"]), port.get("name", "")} & {*secured}
    if protocol == "TCP" and certificates and named:
        return Listener(port["port"], "TLS", _forward(group), certificates)
    return Listener(port["port"], protocol, _forward(group))


def _target_port(port: Object, kind: str) -> int:
    """Return the port of a target group. Raises BuildError."""
    if kind == "instance":
        if not port.get("nodePort"):
            raise BuildError(
                "TargetGroup port is empty. When using Instance targets, your service be must of "
                "type 'NodePort' or 'LoadBalancer'"
            )
        return int(port["nodePort"])
    wanted = port.get("targetPort", port["port"])
    return wanted if isinstance(wanted, int) else 1


# -- Ingresses -----------------------------------------------------------------------------------


def group_of(ingress: Object, classes: Mapping[str, Object]) -> str | None:
    """Return the group (a name, or `namespace/name`) of an Ingress of this controller, or None."""
    notes = _notes(ingress)
    named = notes.get("kubernetes.io/ingress.class")
    if "deletionTimestamp" in ingress["metadata"]:
        return None
    if named is None:
        known = classes.get(ingress["spec"].get("ingressClassName", ""), {})
        named = known.get("spec", {}).get("controller") == INGRESS_CONTROLLER and "alb"
    return notes.get(f"{_INGRESS}group.name") or key_of(ingress) if named == "alb" else None


def pending_groups(ingress: Object) -> list[str]:
    """Return the groups whose finalizers an Ingress still carries."""
    found = ingress["metadata"].get("finalizers", [])
    named = [f.removeprefix(GROUP_FINALIZER) for f in found if f.startswith(GROUP_FINALIZER)]
    return [*named, key_of(ingress)] if INGRESS_FINALIZER in found else named


def finalizer_of(group: str) -> str:
    """Return the finalizer of a group's Ingresses."""
    return INGRESS_FINALIZER if "/" in group else f"{GROUP_FINALIZER}{group}"


def ingress_stack(
    group: str, members: Iterable[Object], services: Mapping[str, Object], cluster: str
) -> Stack:
    """Return the stack of a group of Ingresses. Raises BuildError."""
    ordered = sorted(members, key=_order)
    scheme = _common_value(ordered, "scheme") or "internal"
    _check_scheme(scheme)
    builder = _Ingresses(group, services, cluster)
    ports = _listen_ports(ordered)
    redirect = _common_value(ordered, "ssl-redirect")
    if redirect and "HTTPS" not in (p for n, p in ports.items() if str(n) == redirect):
        raise BuildError(f"listener does not exist for SSLRedirect port: {redirect}")
    listeners = tuple(
        builder.listener(port, [i for i in ordered if port in _ports_of(i)], protocol, redirect)
        for port, protocol in sorted(ports.items())
    )
    return Stack(
        prefix="ingress.k8s.aws",
        stack_id=group,
        kind="application",
        name=_common_value(ordered, "load-balancer-name")
        or _group_name(group, cluster, group, scheme),
        scheme=scheme,
        subnets=_words({"it": _common_value(ordered, "subnets")}, "it"),
        security_groups=_words({"it": _common_value(ordered, "security-groups")}, "it"),
        security_group_name=_group_name(group, cluster, group),
        inbound=frozenset(
            ("tcp", port, cidr)
            for ingress in ordered
            for port in _ports_of(ingress)
            for cidr in _words(_notes(ingress), f"{_INGRESS}inbound-cidrs") or ("0.0.0.0/0",)
        ),
        target_groups=tuple(builder.groups.values()),
        listeners=listeners,
        tags={k: v for i in ordered for k, v in _pairs(_notes(i), f"{_INGRESS}tags").items()},
    )


def _order(ingress: Object) -> tuple[int, str]:
    return _number(_notes(ingress), f"{_INGRESS}group.order", 0), key_of(ingress)


def _common_value(members: Iterable[Object], word: str) -> str:
    """Return an annotation's value, equal in all that have it. Raises BuildError if it is not."""
    found = {_notes(i)[f"{_INGRESS}{word}"] for i in members if f"{_INGRESS}{word}" in _notes(i)}
    if len(found) > 1:
        shown = " ".join(f"{value}:{{}}" for value in sorted(found))
        raise BuildError(f"conflicting {word.replace('-', ' ')}: map[{shown}]")
    return found.pop() if found else ""


def _ports_of(ingress: Object) -> dict[int, str]:
    """Return the ports and protocols of an Ingress's listeners. Raises BuildError."""
    notes = _notes(ingress)
    raw = notes.get(f"{_INGRESS}listen-ports")
    if raw is None:
        return {443: "HTTPS"} if notes.get(f"{_INGRESS}certificate-arn") else {80: "HTTP"}
    try:
        found = {int(p): str(word) for entry in json.loads(raw) for word, p in entry.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise BuildError(
            f"ingress: {key_of(ingress)}: failed to parse listen-ports configuration: `{raw}`: "
            f"{error}"
        ) from error
    for word in found.values():
        if word not in ("HTTP", "HTTPS"):
            raise BuildError(
                f"ingress: {key_of(ingress)}: listen protocol must be within [HTTP, HTTPS]: {word}"
            )
    return found


def _listen_ports(members: Iterable[Object]) -> dict[int, str]:
    merged: dict[int, str] = {}
    for ingress in members:
        for port, protocol in _ports_of(ingress).items():
            if merged.setdefault(port, protocol) != protocol:
                raise BuildError(
                    f"failed to merge listenPort config for port: {port}: conflicting protocol"
                )
    return merged


class _Ingresses:
    """Builds listeners and collects the target groups that they need."""

    def __init__(self, group: str, services: Mapping[str, Object], cluster: str) -> None:
        self._group = group
        self._services = services
        self._cluster = cluster
        self.groups: dict[str, TargetGroup] = {}

    def listener(self, port: int, members: list[Object], protocol: str, redirect: str) -> Listener:
        certificates = tuple(
            dict.fromkeys(
                arn for i in members for arn in _words(_notes(i), f"{_INGRESS}certificate-arn")
            )
        )
        if protocol == "HTTPS" and not certificates:
            raise BuildError("A certificate must be specified for HTTPS listeners")
        if redirect and protocol == "HTTP":
            to = {"Port": redirect, "Protocol": "HTTPS", "StatusCode": "HTTP_301"}
            return Listener(port, protocol, {"Type": "redirect", "RedirectConfig": to})
        default = [i for i in members if i["spec"].get("defaultBackend")]
        if len(default) > 1:
            named = " ".join(key_of(ingress) for ingress in default)
            raise BuildError(f"multiple ingress defined default backend: [{named}]")
        action = (
            self._action(default[0], default[0]["spec"]["defaultBackend"])
            if default
            else _fixed("404", "")
        )
        rules = tuple(rule for ingress in members for rule in self._rules(ingress))
        return Listener(port, protocol, action, certificates if protocol == "HTTPS" else (), rules)

    def _rules(self, ingress: Object) -> Iterable[Rule]:
        for rule in ingress["spec"].get("rules") or ():
            host = (rule["host"],) if rule.get("host") else ()
            for path in sorted((rule.get("http") or {}).get("paths") or (), key=_precedence):
                patterns = _patterns(ingress, path)
                action = self._action(ingress, path["backend"])
                yield Rule(host, patterns or (() if host else ("/*",)), action)

    def _action(self, ingress: Object, backend: Object) -> Action:
        if "service" not in backend:
            raise BuildError(f'ingress: {key_of(ingress)}: missing required "service" field')
        named = backend["service"]
        port = named["port"].get("name") or named["port"]["number"]
        if port == "use-annotation":
            raise BuildError(
                f"ingress: {key_of(ingress)}: a rehearsal does not simulate custom actions "
                "(use-annotation)"
            )
        service = self._services.get(f"{ingress['metadata']['namespace']}/{named['name']}")
        if service is None:
            return _fixed("503", "Backend service does not exist")
        return _forward(self._target_group(ingress, service, port))

    def _target_group(self, ingress: Object, service: Object, port: int | str) -> TargetGroup:
        meta = ingress["metadata"]
        resource = f"{key_of(ingress)}-{service['metadata']['name']}:{port}"
        if resource not in self.groups:
            try:
                made = self._make(ingress, service, port, resource)
            except BuildError as error:
                raise BuildError(f"ingress: {meta['namespace']}/{meta['name']}: {error}") from error
            self.groups[resource] = made
        return self.groups[resource]

    def _make(
        self, ingress: Object, service: Object, port: int | str, resource: str
    ) -> TargetGroup:
        notes = {**_notes(service), **_notes(ingress)}
        kind = notes.get(f"{_INGRESS}target-type", "instance")
        if kind not in ("ip", "instance"):
            raise BuildError(f"unknown targetType: {kind}")
        found = next(
            (p for p in service["spec"]["ports"] if port in (p["port"], p.get("name"))), None
        )
        if found is None:
            raise BuildError(f"unable to find port {port} on service {key_of(service)}")
        protocol = notes.get(f"{_INGRESS}backend-protocol", "HTTP")
        number = _target_port(found, kind)
        meta, mine = ingress["metadata"], service["metadata"]
        parts = (self._cluster, self._group, meta["namespace"], meta["name"], mine["uid"])
        return TargetGroup(
            resource=resource,
            name=_name(mine, *parts, port, number, kind, protocol, "HTTP1"),
            kind=kind,
            protocol=protocol,
            port=number,
            service=key_of(service),
            service_port=found,
            health=HealthCheck(
                protocol=notes.get(f"{_INGRESS}healthcheck-protocol", protocol),
                port=notes.get(f"{_INGRESS}healthcheck-port", "traffic-port"),
                path=notes.get(f"{_INGRESS}healthcheck-path", "/"),
                interval_seconds=_number(notes, f"{_INGRESS}healthcheck-interval-seconds", 15),
            ),
        )


def _precedence(path: Object) -> tuple[int, int]:
    """Return a sort key: exact paths, then prefixes from the longest, then the others."""
    kind = path.get("pathType")
    rank = {"Exact": 0, "Prefix": 1}.get(str(kind), 2)
    return rank, -len(path.get("path", "")) if rank == 1 else 0


def _patterns(ingress: Object, path: Object) -> tuple[str, ...]:
    text, kind = path.get("path", ""), path.get("pathType")
    if kind in ("Exact", "Prefix") and re.search(r"[*?]", text):
        raise BuildError(
            f"ingress: {key_of(ingress)}: {kind.lower()} path shouldn't contain wildcards: {text}"
        )
    if kind != "Prefix" or not text:
        return (text,) if text else ()
    bare = text.rstrip("/")
    return (bare, f"{bare}/*") if bare else ("/*",)


def _forward(group: TargetGroup) -> Action:
    return {"Type": "forward", "TargetGroup": group.resource}


def _fixed(status: str, body: str) -> Action:
    message = {"MessageBody": body} if body else {}
    config = {"ContentType": "text/plain", "StatusCode": status, **message}
    return {"Type": "fixed-response", "FixedResponseConfig": config}


# -- targets and subnets ---------------------------------------------------------------------------


def targets(
    group: TargetGroup, slices: Iterable[Object], nodes: Iterable[Object]
) -> frozenset[Target]:
    """Return a target group's targets: Ready pods by address, or nodes by instance."""
    if group.kind == "instance":
        port = group.service_port["nodePort"]
        able = [n for n in nodes if is_ready_node(n) and instance_id_of(n)]
        return frozenset(
            (instance_id_of(node), port)
            for node in able
            if _EXCLUDED not in node["metadata"].get("labels", {})
        )
    space, name = group.service.split("/")
    return frozenset(
        (address, number)
        for piece in slices
        if piece["metadata"]["namespace"] == space
        and piece["metadata"].get("labels", {}).get(_SLICE_OF) == name
        for number in _numbers(piece, group.service_port)
        for endpoint in piece.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready") is not False
        for address in endpoint["addresses"]
    )


def _numbers(piece: Object, service_port: Object) -> list[int]:
    name = service_port.get("name") or ""
    return [p["port"] for p in piece.get("ports") or () if (p.get("name") or "") == name]


def choose_subnets(
    known: Iterable[SubnetCandidate],
    *,
    cluster: str,
    scheme: str,
    kind: str,
    requested: tuple[str, ...],
) -> list[str]:
    """Return the subnets of a load balancer, one per zone. Raises BuildError.

    Args:
        known: all subnets of the VPC.
        requested: ids or names; without them tags decide, and routes when no subnet has the tag.
    """
    subnets = list(known)
    if requested:
        chosen = [_named(subnets, word) for word in requested]
        if len({subnet.zone for subnet in chosen}) < len(chosen):
            raise BuildError("multiple subnets in same Availability Zone")
    else:
        role = _ROLES[scheme]
        fit = [s for s in subnets if s.tags.get(role) in ("", "1")]
        fit = fit or [s for s in subnets if s.public is (scheme == "internet-facing")]
        chosen = _one_per_zone(fit, cluster)
    if len(chosen) < (2 if kind == "application" else 1):
        raise BuildError(f"subnets count less than minimal required count: {len(chosen)} < 2")
    return sorted(subnet.subnet_id for subnet in chosen)


def _named(subnets: Iterable[SubnetCandidate], word: str) -> SubnetCandidate:
    found = [s for s in subnets if word in (s.subnet_id, s.tags.get("Name"))]
    if not found:
        kind = (
            "subnet ID not found"
            if word.startswith("subnet-")
            else "subnet with Name tag not found"
        )
        raise BuildError(f"{kind}: {word}")
    return found[0]


def _one_per_zone(subnets: list[SubnetCandidate], cluster: str) -> list[SubnetCandidate]:
    cluster_tag = f"kubernetes.io/cluster/{cluster}"
    others = [
        s
        for s in subnets
        if cluster_tag not in s.tags and any(t.startswith("kubernetes.io/cluster") for t in s.tags)
    ]
    full = [s for s in subnets if s not in others and s.free_addresses < _ADDRESSES]
    left = [s for s in subnets if s not in others and s not in full]
    if not left:
        raise BuildError(
            f"unable to resolve at least one subnet. Evaluated {len(subnets)} subnets: "
            f"{len(others)} are tagged for other clusters, and {len(full)} have insufficient "
            "available IP addresses"
        )
    by_zone: dict[str, SubnetCandidate] = {}
    for subnet in sorted(left, key=lambda s: (cluster_tag not in s.tags, s.subnet_id)):
        by_zone.setdefault(subnet.zone, subnet)
    return list(by_zone.values())


# -- names and annotations -------------------------------------------------------------------------


def backend_group_name(cluster: str) -> str:
    """Return the name of the group that a cluster's load balancers share towards its nodes."""
    return f"k8s-traffic-{_alphanumeric(cluster)[:232]}-{_digest(cluster)}"


def _name(meta: Object, *parts: object) -> str:
    front = f"{_alphanumeric(meta['namespace'])[:8]}-{_alphanumeric(meta['name'])[:8]}"
    return f"k8s-{front}-{_digest(*parts)}"


def _group_name(group: str, *parts: object) -> str:
    if "/" not in group:
        return f"k8s-{_alphanumeric(group)[:17]}-{_digest(*parts)}"
    space, name = group.split("/")
    return _name({"namespace": space, "name": name}, *parts)


def _alphanumeric(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", text)


def _digest(*parts: object) -> str:
    return hashlib.sha256("".join(map(str, parts)).encode()).hexdigest()[:10]


def _check_scheme(scheme: str) -> None:
    if scheme not in _ROLES:
        raise BuildError(f"unknown scheme: {scheme}")


def _notes(obj: Object) -> dict[str, str]:
    return dict(obj["metadata"].get("annotations") or {})


def _words(notes: Mapping[str, str], key: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in notes.get(key, "").split(",") if word.strip())


def _number(notes: Mapping[str, str], key: str, default: int) -> int:
    try:
        return int(notes.get(key, default))
    except ValueError:
        raise BuildError(f"failed to parse int32 annotation, {key}: {notes[key]}") from None


def _pairs(notes: Mapping[str, str], key: str) -> dict[str, str]:
    return {k.strip(): v.strip() for k, _, v in (w.partition("=") for w in _words(notes, key))}
