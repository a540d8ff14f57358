"""Checks for names that are already taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jarkkit.model.checks import Check
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import EksCluster, UniqueName
from jarkkit.model.unknown import Unknown
from jarkkit.ports.aws.inventory import DEPLOYMENT_TAG
from jarkkit.steps.check_engine import CheckGroup, not_checked, passed
from jarkkit.steps.own_cluster import is_own
from jarkkit.steps.preflight.context import CheckContext
from jarkkit.steps.preflight.unique_names import unique_names

CHECKS = CheckGroup[CheckContext]("Name conflicts and leftovers")

MAX_LISTED = 6


# -- the cluster's name ----------------------------------------------------------------------------


@CHECKS.check("Cluster name")
def cluster_name(context: CheckContext) -> Check:
    """Check that no other cluster has the name."""
    cluster = context.account.cluster(context.settings.name)
    ours = cluster is not None and is_own(cluster, context.workspace)
    return judge_cluster(context.settings.name, cluster, ours=ours)


def judge_cluster(name: str, cluster: EksCluster | None, *, ours: bool) -> Check:
    """Check that the name is free, or that its cluster is usable."""
    if cluster is None:
        return passed(f"no cluster is named {name}")
    if not ours:
        raise JarkkitError(
            "JK-NAME-TAKEN",
            f"The cluster {name} already exists, and jarkkit did not create it.",
            "Choose another name: jarkkit init NAME",
        )
    if cluster.status in _UNUSABLE:
        why, fix = _UNUSABLE[cluster.status]
        return Check(
            name="",
            status="fail",
            found=f"the deployment's own cluster is {cluster.status}",
            why=why,
            fix=fix.format(name=name),
            code="JK-LEFTOVER",
        )
    return passed(f"the cluster is this deployment's own, {cluster.status}")


_UNUSABLE = {
    "DELETING": (
        "You can create a cluster of the same name only after it is gone.",
        "Wait about ten minutes, then check again: jarkkit preflight {name}",
    ),
    "FAILED": (
        "AWS could not create it, and it does not recover.",
        "Delete it and start over: jarkkit cleanup {name} --confirm {name}",
    ),
}


# -- all other names -------------------------------------------------------------------------------


@CHECKS.check("Names of roles, keys, queues and other resources")
def other_names(context: CheckContext) -> Check:
    """Check that all names that must be unique are free, or this deployment's own."""
    caller = context.account.caller()
    names = unique_names(context.stack, caller.account_id)
    return judge_names(
        context.settings.name, context.account.name_conflicts.tags_by_name(names, caller)
    )


def judge_names(
    deployment: str, holders: Mapping[UniqueName, Mapping[str, str] | Unknown | None]
) -> Check:
    """Check that all names are free, or used by this deployment."""
    refused = [tags.reason for tags in holders.values() if isinstance(tags, Unknown)]
    taken = [
        f"{resource_label(name.terraform_type)} {name.name}"
        for name, tags in holders.items()
        if isinstance(tags, Mapping) and _foreign(deployment, name, tags)
    ]
    if taken:
        return Check(
            name="",
            status="fail",
            found=f"already taken: {short_list(taken)}",
            why="They do not carry this deployment's tag, so jarkkit does not touch them, and "
            "Terraform cannot create them a second time.",
            fix="Choose another name (jarkkit init NAME), or delete them if no one needs them.",
            code="JK-NAME-TAKEN",
        )
    if refused:
        return not_checked(refused[0]).model_copy(
            update={"found": f"{len(refused)} of {len(holders)} unknown: {refused[0].message}"}
        )
    own = sum(tags is not None for tags in holders.values())
    if own == len(holders):
        return passed(f"all {own} are this deployment's own")
    some = f"{own} are this deployment's own, {len(holders) - own} are free"
    return passed(some if own else f"{len(holders)}, all free")


def _foreign(deployment: str, name: UniqueName, tags: Mapping[str, str]) -> bool:
    """Return True when it does not belong to the deployment.

    EKS and the agents in a cluster create log groups again while they shut down, without tags;
    Terraform imports those.
    """
    if name.terraform_type == "aws_cloudwatch_log_group" and not tags:
        return False
    return tags.get(DEPLOYMENT_TAG) != deployment


def resource_label(terraform_type: str) -> str:
    """Return a readable name of the type: `iam role`."""
    return terraform_type.removeprefix("aws_").replace("_", " ")


def short_list(items: Iterable[str]) -> str:
    """Join the first items, and count the rest."""
    every = list(items)
    more = f" and {len(every) - MAX_LISTED} more" if len(every) > MAX_LISTED else ""
    return ", ".join(every[:MAX_LISTED]) + more
