"""What a plan destroys or replaces, in plain words, and which of it needs the deployment's name.

Pure: takes planned changes, and the cluster's volumes where it answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jarkkit.decisions.terraform_messages import short_address
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import Loss, Plan, ResourceChange

CLUSTER, FILE_SYSTEM = "aws_eks_cluster", "aws_efs_file_system"
_EFS_DRIVER = "efs.csi.aws.com"


class _Words(NamedTuple):
    """What a resource is called and what is gone with it.

    `confirm` is True where the loss cannot be undone, or stops everybody's work.
    """

    resource: str
    lost: str
    confirm: bool = True


_WORDS: dict[str, _Words] = {
    CLUSTER: _Words(
        "cluster",
        "the cluster with everything in it: add-ons, running notebooks and jobs, and every claim "
        "that is not on the shared file system",
    ),
    FILE_SYSTEM: _Words(
        "file system",
        "all files on it: the home folders of all JupyterHub users, the shared folder, and every "
        "claim of the storage class efs",
    ),
    "aws_s3_bucket": _Words("bucket", "every object in the bucket, with all versions"),
    "aws_prometheus_workspace": _Words("Prometheus workspace", "all metrics in the workspace"),
    "aws_eks_node_group": _Words(
        "node group", "its nodes, with every pod on them and the files on the nodes' own disks"
    ),
    "aws_vpc": _Words("VPC", "the network, and the cluster and nodes that are in it"),
    "aws_subnet": _Words("subnet", "the nodes, load balancers and mount targets that are in it"),
    "aws_nat_gateway": _Words(
        "NAT gateway", "the connections of all nodes that use it, and its public IP address"
    ),
    "aws_kms_key": _Words(
        "KMS key", "what it encrypts: the Kubernetes secrets, which nothing can read afterwards"
    ),
    "aws_efs_mount_target": _Words(
        "mount target",
        "the connection of one zone to the file system; its files stay",
        confirm=False,
    ),
    "aws_efs_access_point": _Words(
        "access point", "this way into the file system; its files stay", confirm=False
    ),
    "aws_cloudwatch_log_group": _Words("log group", "the logs in it", confirm=False),
    "aws_eks_access_entry": _Words(
        "access entry", "this principal's access to the cluster", confirm=False
    ),
    "aws_eks_addon": _Words("EKS add-on", "its pods in the cluster", confirm=False),
}


def plan_losses(
    changes: Iterable[ResourceChange], *, ignore_tainted: bool = False
) -> tuple[Loss, ...]:
    """Return what the changes destroy, what needs a confirmation first.

    Args:
        ignore_tainted: a tainted resource never worked, because AWS does not report it as ready
            after an interrupted run; replacing it loses nothing.
    """
    found = []
    for change in changes:
        words = _WORDS.get(change.type)
        if words is None or change.action not in ("replace", "delete"):
            continue
        if ignore_tainted and change.reason == "tainted":
            continue
        found.append(
            Loss(
                address=change.address,
                action="replace" if change.action == "replace" else "delete",
                resource=f"{words.resource} {change_name(change)}",
                lost=words.lost,
                confirm=words.confirm,
            )
        )
    return tuple(sorted(found, key=lambda loss: not loss.confirm))


def change_name(change: ResourceChange) -> str:
    """Return the name of a changed resource for people: name and ID, else its short address."""
    names = dict.fromkeys(filter(None, (change.name, change.resource_id)))
    shown, *rest = names or (short_address(change.address),)
    return f"{shown} ({rest[0]})" if rest else shown


def loses(changes: Iterable[ResourceChange], terraform_type: str) -> bool:
    """Return True if the changes destroy or replace a resource of that type."""
    return any(c.type == terraform_type and c.action in ("replace", "delete") for c in changes)


def name_claims(plan: Plan, volumes: Sequence[Mapping[str, Any]]) -> Plan:
    """Return the plan with the claims that are lost with the cluster or the file system.

    Args:
        volumes: the cluster's persistent volumes.
    """
    addresses = {change.address: change.type for change in plan.changes}
    files, others = _claims(volumes, on_file_system=True), _claims(volumes, on_file_system=False)
    objects = {FILE_SYSTEM: files, CLUSTER: others}
    losses = tuple(
        loss.model_copy(update={"objects": objects.get(addresses[loss.address], ())})
        for loss in plan.losses
    )
    return plan.model_copy(update={"losses": losses})


def _claims(volumes: Iterable[Mapping[str, Any]], *, on_file_system: bool) -> tuple[str, ...]:
    """Return the claims that are bound to these volumes, as `namespace/name`."""
    found = []
    for volume in volumes:
        spec = volume["spec"]
        is_file_system = spec.get("csi", {}).get("driver") == _EFS_DRIVER
        if (claim := spec.get("claimRef")) and is_file_system is on_file_system:
            found.append(f"{claim['namespace']}/{claim['name']}")
    return tuple(sorted(found))


def require_confirmation(name: str, plan: Plan, confirm: str) -> None:
    """Raise JK-CONFIRM if the plan loses what needs a confirmation, and `confirm` is not `name`."""
    if not plan.needs_confirmation or confirm == name:
        return
    losses = [loss for loss in plan.losses if loss.confirm]
    named = ", ".join(f"{_VERB[loss.action]} {loss.resource}" for loss in losses[:3])
    more = f" and {len(losses) - 3} more" if len(losses) > 3 else ""
    raise JarkkitError(
        "JK-CONFIRM",
        f"The plan would {named}{more}, and you did not confirm it with the deployment's name.",
        f"Read what is lost: jarkkit plan {name}. Then confirm with the name: jarkkit deploy "
        f"{name} --confirm {name} (in notebook 04: confirm_destroy = {name!r}). To keep "
        "everything, set the setting back and plan again.",
        evidence="\n".join(loss_lines(losses)),
    )


_VERB = {"replace": "replace", "delete": "destroy"}


def loss_lines(losses: Iterable[Loss]) -> list[str]:
    """Return a line of text per loss."""
    return [
        f"{_VERB[loss.action]} {loss.resource}: {loss.lost}"
        + (f". Claims: {', '.join(loss.objects)}" if loss.objects else "")
        for loss in losses
    ]
