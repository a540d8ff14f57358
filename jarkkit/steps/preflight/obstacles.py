"""Questions about names that somebody has already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jarkkit.aws.inventory import TAG
from jarkkit.checks import Check
from jarkkit.errors import JarkkitError
from jarkkit.records import Cluster, UniqueName
from jarkkit.steps.preflight.asking import Look, Question, failed, passed
from jarkkit.steps.preflight.names import unique_names

SHOWN = 6


# -- the cluster's name ----------------------------------------------------------------------------


def cluster_name(look: Look) -> Check:
    """The cluster's name"""
    cluster = look.account.cluster(look.settings.name)
    ours = cluster is not None and is_ours(look, cluster)
    return judge_cluster(look.settings.name, cluster, ours=ours)


def judge_cluster(name: str, cluster: Cluster | None, *, ours: bool) -> Check:
    """Whether the name is free, or its cluster can be worked with."""
    if cluster is None:
        return passed(f"no cluster is called {name}")
    if not ours:
        raise JarkkitError(
            "JK-NAME-TAKEN",
            f"A cluster called {name} exists and was not made by this kit.",
            "Choose another name: jarkkit init NAME",
        )
    if cluster.status in _UNFIT:
        why, fix = _UNFIT[cluster.status]
        return Check(
            name="",
            status="fail",
            found=f"the deployment's own cluster is {cluster.status}",
            why=why,
            fix=fix.format(name=name),
            code="JK-LEFTOVER",
        )
    return passed(f"the cluster is this deployment's own, {cluster.status}")


_UNFIT = {
    "DELETING": (
        "A cluster of the same name can be made only when it is gone.",
        "Wait about ten minutes, then look again: jarkkit preflight {name}",
    ),
    "FAILED": (
        "AWS could not make it, and it does not mend.",
        "Take it away and begin again: jarkkit cleanup {name} --confirm {name}",
    ),
}


def is_ours(look: Look, cluster: Cluster) -> bool:
    """True when the cluster carries the deployment's tag."""
    return look.account.cluster_tags(cluster.name).get(TAG) == look.settings.name


# -- all other names -------------------------------------------------------------------------------


def other_names(look: Look) -> Check:
    """The names of roles, keys, queues and the like"""
    caller = look.account.caller()
    names = unique_names(look.settings, caller.account_id)
    return judge_names(look.settings.name, look.account.leftovers.holders(names, caller))


def judge_names(
    deployment: str, holders: Mapping[UniqueName, Mapping[str, str] | JarkkitError | None]
) -> Check:
    """Whether all of the names are free, or the deployment's own."""
    refused = [error for error in holders.values() if isinstance(error, JarkkitError)]
    taken = [
        f"{kind(name.terraform_type)} {name.name}"
        for name, tags in holders.items()
        if isinstance(tags, Mapping) and _foreign(deployment, name, tags)
    ]
    if taken:
        return Check(
            name="",
            status="fail",
            found=f"somebody else has {listed(taken)}",
            why="They do not carry this deployment's tag, so they are not touched, and Terraform "
            "cannot make them a second time.",
            fix="Choose another name (jarkkit init NAME), or delete them if nobody needs them.",
            code="JK-NAME-TAKEN",
        )
    if refused:
        return failed(refused[0]).model_copy(
            update={"found": f"{len(refused)} of {len(holders)} unknown: {refused[0].message}"}
        )
    own = sum(tags is not None for tags in holders.values())
    if own == len(holders):
        return passed(f"all {own} are this deployment's own")
    some = f"{own} are this deployment's own, {len(holders) - own} are free"
    return passed(some if own else f"{len(holders)}, all free")


def _foreign(deployment: str, name: UniqueName, tags: Mapping[str, str]) -> bool:
    """True when it is not the deployment's. EKS and the agents in a cluster make log groups anew
    while they go down, without tags; those are taken over."""
    if name.terraform_type == "aws_cloudwatch_log_group" and not tags:
        return False
    return tags.get(TAG) != deployment


def kind(terraform_type: str) -> str:
    """What people call it: `iam role`."""
    return terraform_type.removeprefix("aws_").replace("_", " ")


def listed(things: Iterable[str]) -> str:
    """The first of them, and how many more there are."""
    every = list(things)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more


QUESTIONS: tuple[Question, ...] = (cluster_name, other_names)
