"""Checks of the deployment's AWS resources against its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jarkkit.decisions.cluster_versions import drift_error, minor
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.checks import Check
from jarkkit.model.records import ClusterComponent, DeployResult, EksCluster
from jarkkit.model.unknown import Unknown
from jarkkit.settings import Settings
from jarkkit.steps.check_engine import CheckGroup, run_checks

# What EKS itself is changing: CREATING and DELETING end with another state, too.
_MOVING = ("CREATING", "UPDATING", "DELETING")
_CLUSTER_KEYS = ("control plane",)


@dataclass(frozen=True)
class AccountCheckContext:
    """What the checks of the account need.

    Attributes:
        cluster: None if there is none.
        get_components: returns the cluster's node groups and EKS add-ons.
    """

    stack: ResolvedStack
    deployed: DeployResult
    cluster: EksCluster | Unknown | None
    get_components: Callable[[], tuple[ClusterComponent, ...]]


CLUSTER = CheckGroup[AccountCheckContext]("Cluster")
COMPONENTS = CheckGroup[AccountCheckContext]("Node groups and EKS add-ons")
RESOURCES = CheckGroup[AccountCheckContext]("Other AWS resources")


def check_account(context: AccountCheckContext) -> tuple[Check, ...]:
    """Check every part of the AWS layer. What a call cannot answer is unknown."""
    return run_checks((*CLUSTER, *COMPONENTS, *RESOURCES), context)


@CLUSTER.check("Cluster")
def control_plane(context: AccountCheckContext) -> tuple[Check, ...] | Unknown:
    """Check the control plane."""
    if isinstance(context.cluster, Unknown):
        return context.cluster
    return judge_cluster(context.stack.settings, context.cluster)


@COMPONENTS.check("Node groups and EKS add-ons")
def components(context: AccountCheckContext) -> tuple[Check, ...]:
    """Check the node groups and EKS add-ons."""
    parts = context.get_components() if context.cluster else ()
    return judge_components(context.stack, parts)


@RESOURCES.check("Outputs")
def outputs(context: AccountCheckContext) -> tuple[Check, ...]:
    """Check what Terraform created beside the cluster."""
    return judge_outputs(context.stack.settings, context.deployed)


def judge_cluster(settings: Settings, cluster: EksCluster | None) -> tuple[Check, ...]:
    """Check the control plane: exists, is active, has the right version and an endpoint."""
    if cluster is None:
        return (
            Check(
                name="Cluster",
                status="fail",
                found="it is not in the account, although it was deployed",
                needed=settings.name,
                why="It was deleted, or your credentials are for another account.",
                fix="Compare the plan with what exists: jarkkit plan; then jarkkit deploy.",
                code="JK-VERIFY-FAILED",
                about=_CLUSTER_KEYS,
            ),
        )
    return (
        _judge_status(cluster),
        _judge_version(settings, cluster),
        Check(
            name="API endpoint",
            status="pass" if cluster.endpoint else "fail",
            found="available" if cluster.endpoint else "none",
            code="" if cluster.endpoint else "JK-VERIFY-FAILED",
            about=_CLUSTER_KEYS,
        ),
    )


def _judge_status(cluster: EksCluster) -> Check:
    """Check that it is active. It works during an update, which is a warning."""
    check = _equal("Cluster", cluster.status, "ACTIVE")
    if check.status == "pass":
        return check
    fix = (
        "It is changing: check again in a few minutes."
        if cluster.status in _MOVING
        else "It does not recover: clean up (jarkkit cleanup), then deploy again."
    )
    return check.model_copy(
        update={
            "status": "warn" if cluster.status == "UPDATING" else "fail",
            "why": "; ".join(cluster.issues),
            "fix": fix,
            "about": _CLUSTER_KEYS,
        }
    )


def _judge_version(settings: Settings, cluster: EksCluster) -> Check:
    check = _equal("Kubernetes version", cluster.version, settings.cluster_version)
    if minor(cluster.version) <= minor(settings.cluster_version):
        return check
    drift = drift_error(settings.cluster_version, cluster.version)
    return check.model_copy(update={"why": drift.message, "fix": drift.fix, "code": drift.code})


def judge_components(
    stack: ResolvedStack, parts: tuple[ClusterComponent, ...]
) -> tuple[Check, ...]:
    """Check the node groups and EKS add-ons: every one of the stack exists and is active."""
    by_name = {(part.kind, part.name): part for part in parts}
    groups = [part for part in parts if part.kind == "node group"]
    expected_groups = 2 if stack.settings.static_gpu_nodes else 1
    checks = [
        Check(
            name="Node groups",
            status="pass" if len(groups) >= expected_groups else "fail",
            found=str(len(groups)),
            needed=str(expected_groups),
            code="" if len(groups) >= expected_groups else "JK-VERIFY-FAILED",
            fix=""
            if len(groups) >= expected_groups
            else "Deploy again: jarkkit plan, then jarkkit deploy",
            about=("node group",),
        ),
        *(_judge_group(stack.settings, group) for group in groups),
    ]
    checks += [
        _judge_part(f"EKS add-on {name}", f"addon:{name}", by_name.get(("add-on", name)))
        for name in stack.eks_addons
    ]
    return tuple(checks)


def _judge_group(settings: Settings, group: ClusterComponent) -> Check:
    """Check a node group: active, and of the cluster's version."""
    check = _judge_part(f"Node group {group.name}", f"group:{group.name}", group)
    if check.status != "pass" or group.version in ("", settings.cluster_version):
        return check
    return check.model_copy(
        update={
            "status": "warn",
            "needed": settings.cluster_version,
            "why": "EKS takes a cluster's next version only when its node groups have this one.",
            "fix": "The node groups follow with the next deploy: jarkkit plan, then jarkkit deploy",
        }
    )


def _judge_part(name: str, key: str, part: ClusterComponent | None) -> Check:
    if part is None:
        return Check(
            name=name,
            status="fail",
            found="not installed",
            needed="ACTIVE",
            fix="Deploy again: jarkkit plan, then jarkkit deploy",
            code="JK-VERIFY-FAILED",
            about=(key,),
        )
    check = _equal(name, part.status, "ACTIVE")
    version = f"{part.status} {part.version}".strip()
    return check.model_copy(
        update={"found": version, "why": "; ".join(part.issues), "about": (key,)}
    )


def judge_outputs(settings: Settings, deployed: DeployResult) -> tuple[Check, ...]:
    """Check that the outputs that later steps need exist."""
    outputs = deployed.outputs
    zones = outputs.get("availability_zones")
    count = len(zones) if isinstance(zones, list) else 0
    checks = [_equal("Availability Zones", str(count), str(settings.az_count))]
    for setting, name, title in (
        (settings.karpenter, "karpenter", "Karpenter's AWS resources"),
        (settings.shared_files, "efs", "Shared file system"),
        (settings.artifact_bucket, "artifact_bucket", "Artifact bucket"),
        (settings.managed_prometheus, "prometheus", "Managed Prometheus"),
    ):
        if setting:
            found = "exists" if outputs.get(name) else "missing"
            checks.append(_equal(title, found, "exists"))
    return tuple(checks)


def _equal(name: str, found: str, needed: str) -> Check:
    same = found == needed
    return Check(
        name=name,
        status="pass" if same else "fail",
        found=found,
        needed=needed,
        code="" if same else "JK-VERIFY-FAILED",
        fix="" if same else "Run `jarkkit plan` to see what differs, then `jarkkit deploy`.",
    )
