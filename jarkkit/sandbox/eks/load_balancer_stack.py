"""What AWS Load Balancer Controller does in the account: a stack as it should be, or gone.

Everything here is called with the account's lock held, and may be called again at any time: what is
there is found by the controller's tags.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.exceptions import DependencyViolationError

from jarkkit.sandbox.backends import Backends
from jarkkit.sandbox.eks import load_balancer_model as model
from jarkkit.sandbox.eks.load_balancer_model import (
    Action,
    BuildError,
    Listener,
    Rule,
    Stack,
    Subnet,
    Target,
    TargetGroup,
)

SHARED = "elbv2.k8s.aws/targetGroupBinding=shared"
# Lowest and highest port by protocol; None for all.
Ports = Mapping[str, tuple[int, int] | None]


@dataclass(frozen=True)
class Place:
    """Where a cluster is.

    Attributes:
        nodes: the security group of its nodes.
    """

    cluster: str
    vpc: str
    nodes: str


@dataclass(frozen=True)
class Deployed:
    """What others must know of a stack: the balancer's host name, target groups by resource."""

    host: str
    target_groups: Mapping[str, str]


def place_of(aws: Backends, cluster: str) -> Place:
    """Where that cluster is."""
    network = aws.eks.clusters[cluster].resources_vpc_config
    return Place(cluster, network["vpcId"], network["clusterSecurityGroupId"])


def subnets_of(aws: Backends, vpc: str) -> list[Subnet]:
    """The subnets of a VPC."""
    return [
        Subnet(
            identity=subnet.id,
            zone=subnet.availability_zone,
            tags=dict(aws.ec2.tags.get(subnet.id, {})),
            free=subnet.available_ip_address_count,
            public=_is_public(aws, subnet),
        )
        for subnet in aws.ec2.describe_subnets(filters={"vpc-id": [vpc]})
    ]


def _is_public(aws: Backends, subnet: Any) -> bool:
    tables = aws.ec2.describe_route_tables(filters={"vpc-id": [subnet.vpc_id]})
    own = [t for t in tables if any(a.get("SubnetId") == subnet.id for a in t.associations)]
    main = [t for t in tables if t.main_association_id]
    routes = (own or main)[0].routes if own or main else []
    return any(str(route.gateway_id or "").startswith("igw-") for route in routes)


def words(error: ServiceException) -> str:
    """An error as AWS' SDK for Go words it."""
    return f"operation error, https response error StatusCode: 400, api error {error}"


# -- a stack ---------------------------------------------------------------------------------------


def choose_subnets(aws: Backends, place: Place, stack: Stack) -> list[str]:
    """The subnets of a stack's balancer: those that it has, if it is there. Raises BuildError."""
    balancer = _balancer_of(aws, place, stack)
    if balancer and balancer.scheme == stack.scheme and not stack.subnets:
        return [subnet.id for subnet in balancer.subnets]
    return model.choose_subnets(
        subnets_of(aws, place.vpc),
        cluster=place.cluster,
        scheme=stack.scheme,
        kind=stack.kind,
        asked=stack.subnets,
    )


def deploy(
    aws: Backends,
    place: Place,
    stack: Stack,
    subnets: list[str],
    targets: Mapping[str, frozenset[Target]],
) -> Deployed:
    """Make the account as the stack says. Raises BuildError and what AWS refuses."""
    groups = _security_groups(aws, place, stack)
    balancer = _balancer(aws, place, stack, subnets, groups)
    arns = {g.resource: _target_group(aws, place, stack, g) for g in stack.target_groups}
    _listeners(aws, place, stack, balancer, arns)
    for resource, arn in arns.items():
        _register(aws, arn, targets[resource])
    for arn in _tagged(aws, aws.elbv2.target_groups, _tags(place, stack)):
        if arn not in arns.values():
            aws.elbv2.delete_target_group(arn)
    return Deployed(balancer.dns_name, arns)


def remove(aws: Backends, place: Place, prefix: str, identity: str) -> None:
    """Delete all that belongs to a stack. Raises what AWS refuses."""
    tags = {model.CLUSTER_TAG: place.cluster, f"{prefix}/stack": identity}
    for arn in _tagged(aws, aws.elbv2.load_balancers, tags):
        aws.elbv2.delete_load_balancer(arn)
    for arn in _tagged(aws, aws.elbv2.target_groups, tags):
        aws.elbv2.delete_target_group(arn)
    for group in _groups_tagged(aws, place, tags):
        aws.ec2.delete_security_group(group_id=group.id)


def _tags(place: Place, stack: Stack, resource: str = "") -> dict[str, str]:
    """Tags of a stack; with a resource those of one part of it."""
    mine = {model.CLUSTER_TAG: place.cluster, f"{stack.prefix}/stack": stack.identity}
    return {**stack.tags, **mine, f"{stack.prefix}/resource": resource} if resource else mine


def _listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _tagged(aws: Backends, arns: Iterable[str], tags: Mapping[str, str]) -> list[str]:
    known = aws.elbv2.tagging_service.get_tag_dict_for_resource
    return [arn for arn in arns if tags.items() <= known(arn).items()]


def _balancer_of(aws: Backends, place: Place, stack: Stack) -> Any:
    found = _tagged(aws, aws.elbv2.load_balancers, _tags(place, stack))
    return aws.elbv2.load_balancers[found[0]] if found else None


def _balancer(
    aws: Backends, place: Place, stack: Stack, subnets: list[str], groups: list[str]
) -> Any:
    balancer = _balancer_of(aws, place, stack)
    if balancer and (balancer.name, balancer.scheme) != (stack.name, stack.scheme):
        aws.elbv2.delete_load_balancer(balancer.arn)
        balancer = None
    if balancer is None:
        return aws.elbv2.create_load_balancer(
            name=stack.name,
            security_groups=groups,
            subnet_ids=subnets,
            scheme=stack.scheme,
            loadbalancer_type=stack.kind,
            tags=_listed(_tags(place, stack, "LoadBalancer")),
        )
    if sorted(balancer.security_groups) != sorted(groups):
        aws.elbv2.set_security_groups(balancer.arn, groups)
    if sorted(subnet.id for subnet in balancer.subnets) != sorted(subnets):
        aws.elbv2.set_subnets(balancer.arn, subnets, [])
    return balancer


# -- target groups and listeners -------------------------------------------------------------------


def _target_group(aws: Backends, place: Place, stack: Stack, wanted: TargetGroup) -> str:
    """Its ARN. All that cannot be changed is part of the name."""
    for arn, group in aws.elbv2.target_groups.items():
        if group.name == wanted.name:
            return str(arn)
    health = wanted.health
    made = aws.elbv2.create_target_group(
        wanted.name,
        vpc_id=place.vpc,
        protocol=wanted.protocol,
        port=wanted.port,
        target_type=wanted.kind,
        healthcheck_protocol=health.protocol,
        healthcheck_port=health.port,
        healthcheck_path=health.path or None,
        healthcheck_interval_seconds=health.seconds,
        tags=_listed(_tags(place, stack, wanted.resource)),
    )
    return str(made.arn)


def _register(aws: Backends, arn: str, wanted: frozenset[Target]) -> None:
    has = {(t["Id"], int(t["Port"])) for t in aws.elbv2.target_groups[arn].targets.values()}
    gone, new = has - wanted, wanted - has
    if gone:
        aws.elbv2.deregister_targets(arn, [{"Id": i, "Port": p} for i, p in sorted(gone)])
    if new:
        aws.elbv2.register_targets(arn, [{"Id": i, "Port": p} for i, p in sorted(new)])


def _listeners(
    aws: Backends, place: Place, stack: Stack, balancer: Any, arns: Mapping[str, str]
) -> None:
    """One that is not as it should be is made anew."""
    there = {int(found.port): found for found in balancer.listeners.values()}
    wanted = {listener.port: listener for listener in stack.listeners}
    for port, found in there.items():
        if port not in wanted or _shape(found) != _wanted_shape(wanted[port], arns):
            aws.elbv2.delete_listener(found.arn)
        else:
            del wanted[port]
    for listener in wanted.values():
        _listen(aws, place, stack, balancer, listener, arns)


def _listen(
    aws: Backends,
    place: Place,
    stack: Stack,
    balancer: Any,
    wanted: Listener,
    arns: Mapping[str, str],
) -> None:
    first, *others = wanted.certificates or ("",)
    made = aws.elbv2.create_listener(
        balancer.arn,
        wanted.protocol,
        wanted.port,
        "ELBSecurityPolicy-TLS13-1-2-2021-06" if first else None,
        first or None,
        [_action(wanted.action, arns)],
        tags=_listed(_tags(place, stack, str(wanted.port))),
    )
    if others:
        more = [{"CertificateArn": arn} for arn in others]
        aws.elbv2.add_listener_certificates(made.arn, more)
    for priority, rule in enumerate(wanted.rules, start=1):
        aws.elbv2.create_rule(
            made.arn,
            _conditions(rule),
            priority,
            [_action(rule.action, arns)],
            tags=_listed(_tags(place, stack, f"{wanted.port}:{priority}")),
        )


def _action(action: Action, arns: Mapping[str, str]) -> dict[str, Any]:
    if "TargetGroup" in action:
        return {"Type": "forward", "TargetGroupArn": arns[action["TargetGroup"]]}
    return dict(action)


def _conditions(rule: Rule) -> list[dict[str, Any]]:
    hosts = {"Field": "host-header", "HostHeaderConfig": {"Values": list(rule.hosts)}}
    paths = {"Field": "path-pattern", "PathPatternConfig": {"Values": list(rule.paths)}}
    return [hosts] * bool(rule.hosts) + [paths] * bool(rule.paths)


def _shape(found: Any) -> Any:
    """What decides whether a listener is as it should be."""
    rules = [r for r in found.rules.values() if not r.is_default]
    return (
        found.protocol,
        list(found.certificates),
        [action.data for action in found.default_actions],
        [(rule.conditions, [action.data for action in rule.actions]) for rule in rules],
    )


def _wanted_shape(wanted: Listener, arns: Mapping[str, str]) -> Any:
    return (
        wanted.protocol,
        list(wanted.certificates),
        [_action(wanted.action, arns)],
        [(_conditions(rule), [_action(rule.action, arns)]) for rule in wanted.rules],
    )


# -- security groups -------------------------------------------------------------------------------


def _security_groups(aws: Backends, place: Place, stack: Stack) -> list[str]:
    """Those of the balancer: asked for, or one of its own and the one that all share."""
    if stack.groups:
        return [_group_named(aws, place, word).id for word in stack.groups]
    tags = _tags(place, stack, "ManagedLBSecurityGroup")
    about = "[k8s] Managed SecurityGroup for LoadBalancer"
    group = ensure_group(aws, place, stack.group_name, about, tags)
    let_in(aws, group, stack.inbound)
    return [group.id, _backend_group(aws, place).id]


def _group_named(aws: Backends, place: Place, word: str) -> Any:
    for group in aws.ec2.groups[place.vpc].values():
        if word in (group.id, aws.ec2.tags.get(group.id, {}).get("Name")):
            return group
    raise BuildError(f"couldn't find all security groups: {word}")


def _backend_tags(place: Place) -> dict[str, str]:
    return {model.CLUSTER_TAG: place.cluster, "elbv2.k8s.aws/resource": "backend-sg"}


def _backend_group(aws: Backends, place: Place) -> Any:
    about = "[k8s] Shared Backend SecurityGroup for LoadBalancer"
    name = model.backend_group_name(place.cluster)
    return ensure_group(aws, place, name, about, _backend_tags(place))


def ensure_group(
    aws: Backends, place: Place, name: str, about: str, tags: Mapping[str, str]
) -> Any:
    """The security group of that name."""
    known = aws.ec2.get_security_group_from_name(name, place.vpc)
    return known or aws.ec2.create_security_group(name, about, vpc_id=place.vpc, tags=dict(tags))


def _groups_tagged(aws: Backends, place: Place, tags: Mapping[str, str]) -> list[Any]:
    groups = list(aws.ec2.groups[place.vpc].values())
    return [g for g in groups if tags.items() <= aws.ec2.tags.get(g.id, {}).items()]


def let_in(aws: Backends, group: Any, wanted: frozenset[tuple[str, int, str]]) -> None:
    """The group lets in these protocols and ports from these ranges, and nothing else."""
    has = {(r.ip_protocol, r.from_port, r.cidr_ipv4) for r in group.ingress_rules if r.ip_range}
    for protocol, port, cidr in has - wanted:
        ranges = [{"CidrIp": cidr}]
        aws.ec2.revoke_security_group_ingress(group.id, protocol, port, port, ranges)
    for protocol, port, cidr in sorted(wanted - has):
        ranges = [{"CidrIp": cidr}]
        aws.ec2.authorize_security_group_ingress(group.id, protocol, port, port, ranges)


def open_nodes(aws: Backends, place: Place, source: str, wanted: Ports, about: str) -> None:
    """The nodes' security group lets in these ports from another group, and no others from it."""
    group = aws.ec2.get_security_group_from_id(place.nodes)
    if group is None:
        return
    has = _opened(group, source)
    stale = [rule.id for key, rule in has.items() if key not in wanted.items()]
    if stale:
        aws.ec2.revoke_security_group_ingress(group.id, "", "", "", [], security_rule_ids=stale)
    for protocol, ports in wanted.items():
        if (protocol, ports) not in has:
            low, high = ports or (None, None)
            peers = [{"GroupId": source, "Description": about}]
            aws.ec2.authorize_security_group_ingress(
                group.id, protocol, low, high, [], source_groups=peers
            )


def _opened(group: Any, source: str) -> dict[tuple[str, tuple[int, int] | None], Any]:
    """The rules that let another group in, by protocol and ports."""
    rules = [r for r in group.ingress_rules if r.source_group.get("GroupId") == source]
    return {
        (r.ip_protocol, None if r.from_port is None else (r.from_port, r.to_port)): r for r in rules
    }


def open_backend(aws: Backends, place: Place, ports: Ports) -> None:
    """Open the nodes to the balancers; where no balancer is left, the shared group goes."""
    for group in _groups_tagged(aws, place, _backend_tags(place)):
        open_nodes(aws, place, group.id, ports, SHARED)
        if not ports:
            with contextlib.suppress(DependencyViolationError):  # a balancer was left behind
                aws.ec2.delete_security_group(group_id=group.id)


def is_open(aws: Backends, place: Place, ports: Ports) -> bool:
    """True when `open_backend` would change nothing."""
    groups = _groups_tagged(aws, place, _backend_tags(place))
    nodes = aws.ec2.get_security_group_from_id(place.nodes)
    if not ports:
        return not groups
    return nodes is None or any(set(_opened(nodes, g.id)) == set(ports.items()) for g in groups)
