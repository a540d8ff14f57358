"""What AWS Load Balancer Controller does in the account: it deploys or deletes a stack.

Call everything here with the account's lock held. All functions are idempotent: they find existing
resources by the controller's tags.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.exceptions import DependencyViolationError

from jarkkit.sandbox.account_backends import Backends
from jarkkit.sandbox.controllers import load_balancer_model as model
from jarkkit.sandbox.controllers.load_balancer_model import (
    Action,
    BuildError,
    Listener,
    Rule,
    Stack,
    SubnetCandidate,
    Target,
    TargetGroup,
)

SHARED_RULE_DESCRIPTION = "elbv2.k8s.aws/targetGroupBinding=shared"
# Lowest and highest port by protocol; None means all ports.
PortRanges = Mapping[str, tuple[int, int] | None]


@dataclass(frozen=True)
class ClusterNetwork:
    """A cluster's network.

    Attributes:
        node_security_group: id of its nodes' security group.
        default_tags: for everything that the controller creates.
    """

    cluster: str
    vpc: str
    node_security_group: str
    default_tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeployedStack:
    """A deployed stack: host name of its load balancer, target groups' ARNs by resource."""

    host: str
    target_groups: Mapping[str, str]


def cluster_network(
    aws: Backends, cluster: str, default_tags: Mapping[str, str] | None = None
) -> ClusterNetwork:
    """Return the network of that cluster."""
    vpc_config = aws.eks.clusters[cluster].resources_vpc_config
    group = vpc_config["clusterSecurityGroupId"]
    return ClusterNetwork(cluster, vpc_config["vpcId"], group, default_tags or {})


def subnets_of(aws: Backends, vpc: str) -> list[SubnetCandidate]:
    """Return the subnets of a VPC."""
    return [
        SubnetCandidate(
            subnet_id=subnet.id,
            zone=subnet.availability_zone,
            tags=dict(aws.ec2.tags.get(subnet.id, {})),
            free_addresses=subnet.available_ip_address_count,
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


def sdk_error_text(error: ServiceException) -> str:
    """Return an error in the wording of AWS' SDK for Go."""
    return f"operation error, https response error StatusCode: 400, api error {error}"


# -- a stack ---------------------------------------------------------------------------------------


def choose_subnets(aws: Backends, network: ClusterNetwork, stack: Stack) -> list[str]:
    """Return the subnets of a stack's load balancer: its own when it exists. Raises BuildError."""
    balancer = _balancer_of(aws, network, stack)
    if balancer and balancer.scheme == stack.scheme and not stack.subnets:
        return [subnet.id for subnet in balancer.subnets]
    return model.choose_subnets(
        subnets_of(aws, network.vpc),
        cluster=network.cluster,
        scheme=stack.scheme,
        kind=stack.kind,
        requested=stack.subnets,
    )


def deploy(
    aws: Backends,
    network: ClusterNetwork,
    stack: Stack,
    subnets: list[str],
    targets: Mapping[str, frozenset[Target]],
) -> DeployedStack:
    """Create or update the stack's resources. Raises BuildError, ServiceException."""
    groups = _security_groups(aws, network, stack)
    balancer = _balancer(aws, network, stack, subnets, groups)
    arns = {g.resource: _target_group(aws, network, stack, g) for g in stack.target_groups}
    _listeners(aws, network, stack, balancer, arns)
    for resource, arn in arns.items():
        _register(aws, arn, targets[resource])
    for arn in _tagged(aws, aws.elbv2.target_groups, _tags(network, stack)):
        if arn not in arns.values():
            aws.elbv2.delete_target_group(arn)
    _retag(aws, network, stack)
    return DeployedStack(balancer.dns_name, arns)


def _retag(aws: Backends, network: ClusterNetwork, stack: Stack) -> None:
    """Give what exists the tags that have changed since."""
    tags = {**stack.tags, **network.default_tags}
    own = _tags(network, stack)
    for arns in (aws.elbv2.load_balancers, aws.elbv2.target_groups):
        for arn in _tagged(aws, arns, own):
            aws.elbv2.tagging_service.tag_resource(arn, _listed(tags))
    for group in _groups_tagged(aws, network, own):
        aws.ec2.create_tags([group.id], tags)


def remove(aws: Backends, network: ClusterNetwork, prefix: str, identity: str) -> None:
    """Delete all resources of a stack. Raises ServiceException."""
    tags = {model.CLUSTER_TAG: network.cluster, f"{prefix}/stack": identity}
    for arn in _tagged(aws, aws.elbv2.load_balancers, tags):
        aws.elbv2.delete_load_balancer(arn)
    for arn in _tagged(aws, aws.elbv2.target_groups, tags):
        aws.elbv2.delete_target_group(arn)
    for group in _groups_tagged(aws, network, tags):
        aws.ec2.delete_security_group(group_id=group.id)


def _tags(network: ClusterNetwork, stack: Stack, resource: str = "") -> dict[str, str]:
    """Return the tags of a stack, or of one of its resources."""
    own_tags = {model.CLUSTER_TAG: network.cluster, f"{stack.prefix}/stack": stack.stack_id}
    if not resource:
        return own_tags
    return {
        **stack.tags,
        **network.default_tags,
        **own_tags,
        f"{stack.prefix}/resource": resource,
    }


def _listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _tagged(aws: Backends, arns: Iterable[str], tags: Mapping[str, str]) -> list[str]:
    known = aws.elbv2.tagging_service.get_tag_dict_for_resource
    return [arn for arn in arns if tags.items() <= known(arn).items()]


def _balancer_of(aws: Backends, network: ClusterNetwork, stack: Stack) -> Any:
    found = _tagged(aws, aws.elbv2.load_balancers, _tags(network, stack))
    return aws.elbv2.load_balancers[found[0]] if found else None


def _balancer(
    aws: Backends, network: ClusterNetwork, stack: Stack, subnets: list[str], groups: list[str]
) -> Any:
    balancer = _balancer_of(aws, network, stack)
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
            tags=_listed(_tags(network, stack, "LoadBalancer")),
        )
    if sorted(balancer.security_groups) != sorted(groups):
        aws.elbv2.set_security_groups(balancer.arn, groups)
    if sorted(subnet.id for subnet in balancer.subnets) != sorted(subnets):
        aws.elbv2.set_subnets(balancer.arn, subnets, [])
    return balancer


# -- target groups and listeners -------------------------------------------------------------------


def _target_group(aws: Backends, network: ClusterNetwork, stack: Stack, spec: TargetGroup) -> str:
    """Create it unless it exists; return its ARN. The name covers all that cannot be changed."""
    for arn, group in aws.elbv2.target_groups.items():
        if group.name == spec.name:
            return str(arn)
    health = spec.health
    made = aws.elbv2.create_target_group(
        spec.name,
        vpc_id=network.vpc,
        protocol=spec.protocol,
        port=spec.port,
        target_type=spec.kind,
        healthcheck_protocol=health.protocol,
        healthcheck_port=health.port,
        healthcheck_path=health.path or None,
        healthcheck_interval_seconds=health.interval_seconds,
        tags=_listed(_tags(network, stack, spec.resource)),
    )
    return str(made.arn)


def _register(aws: Backends, arn: str, desired: frozenset[Target]) -> None:
    has = {(t["Id"], int(t["Port"])) for t in aws.elbv2.target_groups[arn].targets.values()}
    gone, new = has - desired, desired - has
    if gone:
        aws.elbv2.deregister_targets(arn, [{"Id": i, "Port": p} for i, p in sorted(gone)])
    if new:
        aws.elbv2.register_targets(arn, [{"Id": i, "Port": p} for i, p in sorted(new)])


def _listeners(
    aws: Backends, network: ClusterNetwork, stack: Stack, balancer: Any, arns: Mapping[str, str]
) -> None:
    """Create the listeners, and replace those that differ from the stack."""
    there = {int(found.port): found for found in balancer.listeners.values()}
    desired = {listener.port: listener for listener in stack.listeners}
    for port, found in there.items():
        if port not in desired or _shape(found) != _wanted_shape(desired[port], arns):
            aws.elbv2.delete_listener(found.arn)
        else:
            del desired[port]
    for listener in desired.values():
        _listen(aws, network, stack, balancer, listener, arns)


def _listen(
    aws: Backends,
    network: ClusterNetwork,
    stack: Stack,
    balancer: Any,
    spec: Listener,
    arns: Mapping[str, str],
) -> None:
    first, *others = spec.certificates or ("",)
    made = aws.elbv2.create_listener(
        balancer.arn,
        spec.protocol,
        spec.port,
        "ELBSecurityPolicy-TLS13-1-2-2021-06" if first else None,
        first or None,
        [_action(spec.action, arns)],
        tags=_listed(_tags(network, stack, str(spec.port))),
    )
    if others:
        more = [{"CertificateArn": arn} for arn in others]
        aws.elbv2.add_listener_certificates(made.arn, more)
    for priority, rule in enumerate(spec.rules, start=1):
        aws.elbv2.create_rule(
            made.arn,
            _conditions(rule),
            priority,
            [_action(rule.action, arns)],
            tags=_listed(_tags(network, stack, f"{spec.port}:{priority}")),
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
    """Return what `_wanted_shape` is compared with."""
    rules = [r for r in found.rules.values() if not r.is_default]
    return (
        found.protocol,
        list(found.certificates),
        [action.data for action in found.default_actions],
        [(rule.conditions, [action.data for action in rule.actions]) for rule in rules],
    )


def _wanted_shape(spec: Listener, arns: Mapping[str, str]) -> Any:
    return (
        spec.protocol,
        list(spec.certificates),
        [_action(spec.action, arns)],
        [(_conditions(rule), [_action(rule.action, arns)]) for rule in spec.rules],
    )


# -- security groups -------------------------------------------------------------------------------


def _security_groups(aws: Backends, network: ClusterNetwork, stack: Stack) -> list[str]:
    """Return the requested groups, or the stack's own one and the one that all stacks share."""
    if stack.security_groups:
        return [_group_named(aws, network, word).id for word in stack.security_groups]
    tags = _tags(network, stack, "ManagedLBSecurityGroup")
    about = "[k8s] Managed SecurityGroup for LoadBalancer"
    group = ensure_security_group(aws, network, stack.security_group_name, about, tags)
    sync_ingress(aws, group, stack.inbound)
    return [group.id, _backend_group(aws, network).id]


def _group_named(aws: Backends, network: ClusterNetwork, word: str) -> Any:
    for group in aws.ec2.groups[network.vpc].values():
        if word in (group.id, aws.ec2.tags.get(group.id, {}).get("Name")):
            return group
    raise BuildError(f"couldn't find all security groups: {word}")


def _backend_tags(network: ClusterNetwork) -> dict[str, str]:
    return {model.CLUSTER_TAG: network.cluster, "elbv2.k8s.aws/resource": "backend-sg"}


def _backend_group(aws: Backends, network: ClusterNetwork) -> Any:
    about = "[k8s] Shared Backend SecurityGroup for LoadBalancer"
    name = model.backend_group_name(network.cluster)
    tags = {**network.default_tags, **_backend_tags(network)}
    return ensure_security_group(aws, network, name, about, tags)


def ensure_security_group(
    aws: Backends, network: ClusterNetwork, name: str, about: str, tags: Mapping[str, str]
) -> Any:
    """Return the security group of that name; create it when it does not exist."""
    known = aws.ec2.get_security_group_from_name(name, network.vpc)
    return known or aws.ec2.create_security_group(name, about, vpc_id=network.vpc, tags=dict(tags))


def _groups_tagged(aws: Backends, network: ClusterNetwork, tags: Mapping[str, str]) -> list[Any]:
    groups = list(aws.ec2.groups[network.vpc].values())
    return [g for g in groups if tags.items() <= aws.ec2.tags.get(g.id, {}).items()]


def sync_ingress(aws: Backends, group: Any, desired: frozenset[tuple[str, int, str]]) -> None:
    """Make these protocols, ports and ranges the only ones that the group allows in."""
    has = {(r.ip_protocol, r.from_port, r.cidr_ipv4) for r in group.ingress_rules if r.ip_range}
    for protocol, port, cidr in has - desired:
        ranges = [{"CidrIp": cidr}]
        aws.ec2.revoke_security_group_ingress(group.id, protocol, port, port, ranges)
    for protocol, port, cidr in sorted(desired - has):
        ranges = [{"CidrIp": cidr}]
        aws.ec2.authorize_security_group_ingress(group.id, protocol, port, port, ranges)


def sync_node_ingress(
    aws: Backends, network: ClusterNetwork, source: str, desired: PortRanges, about: str
) -> None:
    """Make these ports the only ones that nodes allow in from another security group."""
    group = aws.ec2.get_security_group_from_id(network.node_security_group)
    if group is None:
        return
    has = _opened(group, source)
    stale = [rule.id for key, rule in has.items() if key not in desired.items()]
    if stale:
        aws.ec2.revoke_security_group_ingress(group.id, "", "", "", [], security_rule_ids=stale)
    for protocol, ports in desired.items():
        if (protocol, ports) not in has:
            low, high = ports or (None, None)
            peers = [{"GroupId": source, "Description": about}]
            aws.ec2.authorize_security_group_ingress(
                group.id, protocol, low, high, [], source_groups=peers
            )


def _opened(group: Any, source: str) -> dict[tuple[str, tuple[int, int] | None], Any]:
    """Return the rules that allow another group in, by protocol and ports."""
    rules = [r for r in group.ingress_rules if r.source_group.get("GroupId") == source]
    return {
        (r.ip_protocol, None if r.from_port is None else (r.from_port, r.to_port)): r for r in rules
    }


def sync_backend_ingress(aws: Backends, network: ClusterNetwork, ports: PortRanges) -> None:
    """Allow the load balancers into the nodes; delete the shared group without any of them."""
    for group in _groups_tagged(aws, network, _backend_tags(network)):
        sync_node_ingress(aws, network, group.id, ports, SHARED_RULE_DESCRIPTION)
        if not ports:
            with contextlib.suppress(DependencyViolationError):  # a leftover load balancer uses it
                aws.ec2.delete_security_group(group_id=group.id)


def is_backend_ingress_in_sync(aws: Backends, network: ClusterNetwork, ports: PortRanges) -> bool:
    """Return True when `sync_backend_ingress` would change nothing."""
    groups = _groups_tagged(aws, network, _backend_tags(network))
    nodes = aws.ec2.get_security_group_from_id(network.node_security_group)
    if not ports:
        return not groups
    return nodes is None or any(set(_opened(nodes, g.id)) == set(ports.items()) for g in groups)
