"""What a deployment needs of quotas that count things: networks, load balancers, roles, … Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from jarkkit.addons import choice
from jarkkit.addons.pools import DISK_GIB
from jarkkit.costs.amounts import volumes_gib
from jarkkit.quotas import codes
from jarkkit.quotas.codes import Quota
from jarkkit.quotas.families import family_of
from jarkkit.quotas.launches import Launch, vcpus_each
from jarkkit.quotas.values import Need
from jarkkit.records import InstanceType
from jarkkit.settings import Settings

# EKS makes two to four network interfaces for a control plane:
# https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
_CONTROL_PLANE_INTERFACES = 4
# With prefix delegation the CNI needs a second interface of a node only for many pods.
_NODE_INTERFACES = 2
# Roles that are always there: control plane, nodes. The network adds one for its flow log.
_ROLES = 2
# Karpenter's four (terraform/modules/karpenter), and the one of EC2 Auto Scaling.
_EVENT_RULES = {True: 5, False: 1}


@dataclass(frozen=True)
class Nodes:
    """How many nodes there are now and at most, and their disks in GiB."""

    now: int
    most: int
    gib_now: int
    gib_most: int


def count_nodes(launching: Iterable[Launch], types: Mapping[str, InstanceType]) -> Nodes:
    now = most = gib_now = gib_most = 0
    for launch in launching:
        family = family_of(launch.family)
        disk = DISK_GIB["cpu" if family == "Standard" else "accelerator"]
        at_most = launch.most_count or launch.max_vcpus // vcpus_each(launch, types)
        now, most = now + launch.count, most + at_most
        gib_now, gib_most = gib_now + launch.count * disk, gib_most + at_most * disk
    return Nodes(now, most, gib_now, gib_most)


def things(
    settings: Settings, launching: Iterable[Launch], types: Mapping[str, InstanceType]
) -> Iterator[Need]:
    """What is counted; what is needed not at all has 0."""
    nodes = count_nodes(launching, types)
    yield from _network(settings)
    yield from _interfaces(settings, nodes)
    yield from _cluster(settings)
    yield _same(codes.NLBS, _load_balancers(settings), "add-ons")
    yield _same(codes.FILE_SYSTEMS, choice.needs_file_system(settings), "JupyterHub's folders")
    # The core nodes' disk is a setting.
    core = settings.core_disk_gib - DISK_GIB["cpu"]
    claimed = volumes_gib(settings)
    now = nodes.gib_now + settings.core_nodes * core + claimed
    most = nodes.gib_most + settings.core_nodes_max * core + claimed
    tib = now / 1024, most / 1024
    yield Need(codes.GP3_TIB, tib[0], tib[0], tib[1], ("disks of the nodes, volumes of add-ons",))


def _network(settings: Settings) -> Iterator[Need]:
    if settings.vpc_id:
        return
    yield _same(codes.VPCS, 1, "the deployment's own")
    yield _same(codes.INTERNET_GATEWAYS, 1, "the VPC's")
    yield _same(codes.CIDR_BLOCKS, 2, "the VPC's range and the pods'")
    yield _same(codes.SUBNETS, 3 * settings.az_count, "three in each zone")
    yield _same(codes.NAT_GATEWAYS, 1, "one in a zone")
    yield _same(codes.ELASTIC_IPS, _nats(settings), "NAT gateways")


def _nats(settings: Settings) -> int:
    if settings.vpc_id:
        return 0
    return 1 if settings.nat == "single" else settings.az_count


def _interfaces(settings: Settings, nodes: Nodes) -> Iterator[Need]:
    balancers, efs = _load_balancers(settings), choice.needs_file_system(settings)
    per_zone = (balancers + efs) * settings.az_count
    around = _CONTROL_PLANE_INTERFACES + _nats(settings) + per_zone
    yield Need(
        codes.NETWORK_INTERFACES,
        around + nodes.now * _NODE_INTERFACES,
        around + nodes.now * _NODE_INTERFACES,
        around + nodes.most * _NODE_INTERFACES,
        ("control plane, nodes, NAT, EFS, load balancers",),
    )
    # The VPC's default group, the cluster's, EFS'; each load balancer has one, and they share one.
    groups = (not settings.vpc_id) + 1 + efs + (balancers + 1 if balancers else 0)
    yield _same(codes.SECURITY_GROUPS, groups, "cluster, EFS, load balancers")
    # A load balancer's: HTTP and HTTPS. The cluster's: its own nodes, and the load balancers.
    yield _same(codes.SECURITY_GROUP_RULES, 2, "the largest group")
    yield _same(codes.GROUPS_PER_INTERFACE, 2, "a load balancer's")


def _cluster(settings: Settings) -> Iterator[Need]:
    yield _same(codes.CLUSTERS, 1, "the deployment's own")
    yield _same(codes.NODE_GROUPS, 1 + bool(settings.static_gpu_nodes), "core, static GPU")
    now = max(settings.core_nodes, settings.static_gpu_nodes)
    most = max(settings.core_nodes_max, settings.static_gpu_nodes)
    yield Need(codes.NODES, now, now, most, ("the largest group",))
    identities = choice.pod_identities(settings)
    roles = _ROLES + (not settings.vpc_id) + len(identities) + settings.karpenter
    yield _same(codes.ROLES, roles, "control plane, nodes, service accounts")
    policies = max((len(i["managed_policies"]) for i in identities.values()), default=0)
    yield _same(codes.POLICIES_PER_ROLE, max(3, policies), "the nodes' role")
    yield _same(codes.EVENT_RULES, _EVENT_RULES[settings.karpenter], "Karpenter, Auto Scaling")


def _load_balancers(settings: Settings) -> int:
    services = (service for addon in choice.chosen(settings) for service in addon.services)
    return sum(service.type == "LoadBalancer" for service in services)


def _same(quota: Quota, count: float, part: str) -> Need:
    """Needed from the beginning, and never more."""
    return Need(quota, float(count), float(count), float(count), (part,))
