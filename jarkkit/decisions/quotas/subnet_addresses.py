"""The check for free addresses in the subnets of an existing VPC. Pure.

https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html (read 2026-11-27): each subnet of
a cluster needs six addresses for EKS network interfaces; AWS recommends sixteen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jarkkit.decisions.quotas.instance_demand import instance_demands_for_attendees
from jarkkit.decisions.quotas.resource_counts import count_nodes
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.checks import Check
from jarkkit.model.records import Ec2Subnet, InstanceType

NEEDED_BY_EKS = 6
RECOMMENDED_BY_EKS = 16
# With prefix delegation (catalog/addons/vpc-cni.yaml): the node's own address, and blocks of 16
# addresses: two for the pods of a node with 4 vCPUs, and one warm prefix.
ADDRESSES_PER_NODE = 1 + 3 * 16


def check_free_addresses(
    stack: ResolvedStack,
    subnets: Iterable[Ec2Subnet],
    types: Mapping[str, InstanceType],
    *,
    running: int = 0,
) -> Check:
    """Compare the free addresses with those that nodes and pods need, now and at the limits.

    Args:
        running: nodes of the deployment that already have their addresses; with any, the cluster
            has its own addresses, too.
    """
    free = {subnet.subnet_id: subnet.free for subnet in subnets}
    nodes = count_nodes(instance_demands_for_attendees(stack, types), types)
    now, most = (max(0, count - running) * ADDRESSES_PER_NODE for count in (nodes.now, nodes.most))
    total = sum(free.values())
    full = [name for name, count in free.items() if count < NEEDED_BY_EKS and not running]
    tight = [name for name, count in free.items() if count < RECOMMENDED_BY_EKS and not running]
    check = Check(
        name="Free addresses in the subnets",
        status="pass",
        found=f"{total} ({', '.join(f'{name}: {count}' for name, count in free.items())})",
        needed=f"{now} now, {most} at the limits",
    )
    fix = "Set other subnets in private_subnet_ids, or free addresses in these."
    if full or total < now:
        why = (
            f"EKS needs {NEEDED_BY_EKS} free addresses in each subnet. Too few are free in "
            f"{', '.join(full)}."
            if full
            else f"Each node, with its pods, uses about {ADDRESSES_PER_NODE} addresses."
        )
        return check.model_copy(
            update={"status": "fail", "why": why, "fix": fix, "code": "JK-AWS-QUOTA"}
        )
    if tight or total < most:
        why = (
            f"AWS recommends {RECOMMENDED_BY_EKS} free addresses in each subnet. Fewer are free in "
            f"{', '.join(tight)}."
            if tight
            else "Enough to start, but not for all nodes that your settings allow."
        )
        fix = f"{fix} Or lower the limits in your settings."
        return check.model_copy(
            update={"status": "warn", "why": why, "fix": fix, "code": "JK-AWS-QUOTA"}
        )
    return check
