"""The number of resources that a deployment creates: networks, load balancers, roles, … Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from jarkkit.decisions.addons.node_pools import DISK_GIB
from jarkkit.decisions.node_demand import InstanceDemand
from jarkkit.decisions.quotas import quota_codes
from jarkkit.decisions.quotas.families import quota_family
from jarkkit.decisions.quotas.instance_demand import vcpus_per_instance
from jarkkit.decisions.quotas.models import QuotaRequirement
from jarkkit.decisions.quotas.quota_codes import ServiceQuota
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.records import InstanceType
from jarkkit.settings import Settings

# EKS creates two to four network interfaces for a control plane:
# https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
_CONTROL_PLANE_INTERFACES = 4
# With prefix delegation, the CNI needs a node's second interface only for many pods.
_NODE_INTERFACES = 2
# Roles of every deployment: control plane, nodes. The network adds one for its flow log.
_ROLES = 2
# Four of Karpenter (terraform/modules/karpenter), and one of EC2 Auto Scaling.
_EVENT_RULES = {True: 6, False: 1}


@dataclass(frozen=True)
class NodeCounts:
    """The number of nodes, now and at the limits, and their disks in GiB."""

    now: int
    most: int
    gib_now: int
    gib_most: int


def count_nodes(demands: Iterable[InstanceDemand], types: Mapping[str, InstanceType]) -> NodeCounts:
    now = most = gib_now = gib_most = 0
    for demand in demands:
        family = quota_family(demand.family)
        disk = DISK_GIB["cpu" if family == "Standard" else "accelerator"]
        at_most = demand.max_count or demand.max_vcpus // vcpus_per_instance(demand, types)
        now, most = now + demand.running, most + at_most
        gib_now, gib_most = gib_now + demand.running * disk, gib_most + at_most * disk
    return NodeCounts(now, most, gib_now, gib_most)


def resource_requirements(
    stack: ResolvedStack, demands: Iterable[InstanceDemand], types: Mapping[str, InstanceType]
) -> Iterator[QuotaRequirement]:
    """Yield the requirements that count resources; those without any have 0."""
    settings, nodes = stack.settings, count_nodes(demands, types)
    yield from _network(settings)
    yield from _interfaces(stack, nodes)
    yield from _cluster(stack)
    yield _same(quota_codes.NLBS, stack.network_load_balancers, "add-ons")
    yield _same(quota_codes.ALBS, stack.application_load_balancers, "JupyterHub")
    yield _same(quota_codes.FILE_SYSTEMS, settings.shared_files, "JupyterHub's home folders")
    # The disk size of the core nodes is a setting.
    core = settings.core_disk_gib - DISK_GIB["cpu"]
    now = nodes.gib_now + settings.core_nodes * core + stack.volumes_gib
    most = nodes.gib_most + settings.core_nodes_max * core + stack.volumes_gib
    tib = now / 1024, most / 1024
    yield QuotaRequirement(
        quota_codes.GP3_TIB, tib[0], tib[0], tib[1], ("node disks, add-on volumes",)
    )


def _network(settings: Settings) -> Iterator[QuotaRequirement]:
    if settings.vpc_id:
        return
    yield _same(quota_codes.VPCS, 1, "this deployment's VPC")
    yield _same(quota_codes.INTERNET_GATEWAYS, 1, "the VPC's gateway")
    yield _same(quota_codes.CIDR_BLOCKS, 2, "the VPC's and the pods' range")
    yield _same(quota_codes.SUBNETS, 3 * settings.az_count, "three per zone")
    yield _same(quota_codes.NAT_GATEWAYS, 1, "one per zone")
    yield _same(quota_codes.ELASTIC_IPS, _nats(settings), "NAT gateways")


def _nats(settings: Settings) -> int:
    if settings.vpc_id:
        return 0
    return 1 if settings.nat == "single" else settings.az_count


def _interfaces(stack: ResolvedStack, nodes: NodeCounts) -> Iterator[QuotaRequirement]:
    settings, efs = stack.settings, stack.settings.shared_files
    balancers = stack.network_load_balancers + stack.application_load_balancers
    per_zone = (balancers + efs) * settings.az_count
    around = _CONTROL_PLANE_INTERFACES + _nats(settings) + per_zone
    yield QuotaRequirement(
        quota_codes.NETWORK_INTERFACES,
        around + nodes.now * _NODE_INTERFACES,
        around + nodes.now * _NODE_INTERFACES,
        around + nodes.most * _NODE_INTERFACES,
        ("control plane, nodes, NAT, EFS, load balancers",),
    )
    # One each for the VPC's default, the cluster and EFS; one per load balancer and a shared one.
    groups = (not settings.vpc_id) + 1 + efs + (balancers + 1 if balancers else 0)
    yield _same(quota_codes.SECURITY_GROUPS, groups, "cluster, EFS, load balancers")
    # A load balancer's group: HTTP and HTTPS. The cluster's: its own nodes, and the load balancers.
    yield _same(quota_codes.SECURITY_GROUP_RULES, 2, "the largest group")
    yield _same(quota_codes.GROUPS_PER_INTERFACE, 2, "a load balancer's interface")


def _cluster(stack: ResolvedStack) -> Iterator[QuotaRequirement]:
    settings, identities = stack.settings, stack.pod_identities
    yield _same(quota_codes.CLUSTERS, 1, "this deployment's cluster")
    yield _same(quota_codes.NODE_GROUPS, 1 + bool(settings.static_gpu_nodes), "core, static GPU")
    now = max(settings.core_nodes, settings.static_gpu_nodes)
    most = max(settings.core_nodes_max, settings.static_gpu_nodes)
    yield QuotaRequirement(quota_codes.NODES, now, now, most, ("the largest group",))
    roles = _ROLES + (not settings.vpc_id) + len(identities) + settings.karpenter
    yield _same(quota_codes.ROLES, roles, "control plane, nodes, service accounts")
    policies = max((len(i["managed_policies"]) for i in identities.values()), default=0)
    yield _same(quota_codes.POLICIES_PER_ROLE, max(3, policies), "the nodes' role")
    yield _same(
        quota_codes.EVENT_RULES, _EVENT_RULES[settings.karpenter], "Karpenter, Auto Scaling"
    )


def _same(quota: ServiceQuota, count: float, part: str) -> QuotaRequirement:
    """Return a requirement that is the same now and at the limits."""
    return QuotaRequirement(quota, float(count), float(count), float(count), (part,))
