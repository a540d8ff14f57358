"""Whether the subnets of an existing VPC have addresses enough. Pure.

https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html (read 2026-11-27): each subnet
that a cluster is made with needs six addresses for its network interfaces, sixteen are recommended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jarkkit.checks import Check
from jarkkit.quotas.launches import attended
from jarkkit.quotas.things import count_nodes
from jarkkit.records import InstanceType, Subnet
from jarkkit.settings import Settings

NEEDED_BY_EKS = 6
RECOMMENDED_BY_EKS = 16
# With prefix delegation (addons/catalog/vpc-cni.yaml): the node's own address, and blocks of 16:
# two for the pods that a node of 4 vCPUs carries, one kept ready.
PER_NODE = 1 + 3 * 16


def judge_addresses(
    settings: Settings,
    subnets: Iterable[Subnet],
    types: Mapping[str, InstanceType],
    *,
    running: int = 0,
) -> Check:
    """Free addresses against what nodes and pods take, now and at the pools' limits.

    Args:
        running: nodes of the deployment that have their addresses already; where there are some,
            the cluster has its own, too.
    """
    free = {subnet.subnet_id: subnet.free for subnet in subnets}
    nodes = count_nodes(attended(settings, types), types)
    now, most = (max(0, count - running) * PER_NODE for count in (nodes.now, nodes.most))
    total = sum(free.values())
    crowded = [name for name, count in free.items() if count < NEEDED_BY_EKS and not running]
    tight = [name for name, count in free.items() if count < RECOMMENDED_BY_EKS and not running]
    check = Check(
        name="Free addresses in the subnets",
        status="pass",
        found=f"{total} ({', '.join(f'{name}: {count}' for name, count in free.items())})",
        needed=f"{now} now, {most} at the limits",
    )
    fix = "Name other subnets in private_subnet_ids, or free addresses in these."
    if crowded or total < now:
        why = (
            f"EKS needs {NEEDED_BY_EKS} free addresses in each subnet; too few in "
            f"{', '.join(crowded)}."
            if crowded
            else f"The nodes and their pods take about {PER_NODE} addresses each."
        )
        return check.model_copy(
            update={"status": "fail", "why": why, "fix": fix, "code": "JK-AWS-QUOTA"}
        )
    if tight or total < most:
        why = (
            f"EKS recommends {RECOMMENDED_BY_EKS} in each subnet; fewer in {', '.join(tight)}."
            if tight
            else "Enough to begin with, but not for all nodes that the settings allow."
        )
        fix = f"{fix} Or lower the limits in the settings."
        return check.model_copy(
            update={"status": "warn", "why": why, "fix": fix, "code": "JK-AWS-QUOTA"}
        )
    return check
