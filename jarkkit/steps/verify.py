"""Does it really work? The account is asked, not the state."""

from __future__ import annotations

from jarkkit import addons
from jarkkit.aws_layer import AwsLayer
from jarkkit.checks import Check, Report
from jarkkit.errors import JarkkitError
from jarkkit.records import Cluster, Deployed, Part
from jarkkit.settings import Settings


def verify(layer: AwsLayer) -> Report:
    """Check every part of the AWS layer in the account. Raises JK-PLAN-MISSING before a deploy."""
    deployed = layer.workspace.load("deployed", Deployed)
    if deployed is None:
        raise JarkkitError(
            "JK-PLAN-MISSING", "Nothing has been deployed yet.", "Deploy first: jarkkit deploy"
        )
    layer.target()
    cluster = layer.account.cluster(layer.settings.name)
    parts = layer.account.parts(layer.settings.name) if cluster else ()
    checks = (
        *judge_cluster(layer.settings, cluster),
        *judge_parts(layer.settings, parts),
        *judge_outputs(layer.settings, deployed),
    )
    return Report(title="Does it work?", checks=checks)


def judge_cluster(settings: Settings, cluster: Cluster | None) -> tuple[Check, ...]:
    """The control plane: there, active, of the right version, with an endpoint."""
    if cluster is None:
        return (
            Check(
                name="Cluster",
                status="fail",
                found="none of this name",
                needed=settings.name,
                fix="Deploy again: jarkkit plan, then jarkkit deploy",
                code="JK-VERIFY-FAILED",
            ),
        )
    return (
        _equal("Cluster", cluster.status, "ACTIVE"),
        _equal("Kubernetes version", cluster.version, settings.cluster_version),
        Check(
            name="API endpoint",
            status="pass" if cluster.endpoint else "fail",
            found="given" if cluster.endpoint else "none",
            code="" if cluster.endpoint else "JK-VERIFY-FAILED",
        ),
    )


def judge_parts(settings: Settings, parts: tuple[Part, ...]) -> tuple[Check, ...]:
    """Node groups and EKS add-ons: all that the settings ask for, all active."""
    by_name = {(part.kind, part.name): part for part in parts}
    wanted_addons = [a.name for a in addons.chosen(settings) if a.install == "eks"]
    groups = [part for part in parts if part.kind == "node group"]
    expected_groups = 2 if settings.static_gpu_nodes else 1
    checks = [
        Check(
            name="Node groups",
            status="pass" if len(groups) >= expected_groups else "fail",
            found=str(len(groups)),
            needed=str(expected_groups),
            code="" if len(groups) >= expected_groups else "JK-VERIFY-FAILED",
            fix="" if len(groups) >= expected_groups else "Deploy again: jarkkit plan, deploy",
        ),
        *(_judge_part(f"Node group {group.name}", group) for group in groups),
    ]
    checks += [
        _judge_part(f"Add-on {name}", by_name.get(("add-on", name))) for name in wanted_addons
    ]
    return tuple(checks)


def _judge_part(name: str, part: Part | None) -> Check:
    if part is None:
        return Check(
            name=name,
            status="fail",
            found="not installed",
            needed="ACTIVE",
            fix="Make a plan and deploy again: jarkkit plan, jarkkit deploy",
            code="JK-VERIFY-FAILED",
        )
    check = _equal(name, part.status, "ACTIVE")
    version = f"{part.status} {part.version}".strip()
    return check.model_copy(update={"found": version, "why": "; ".join(part.issues)})


def judge_outputs(settings: Settings, deployed: Deployed) -> tuple[Check, ...]:
    """What later steps need to know is known."""
    outputs = deployed.outputs
    zones = outputs.get("availability_zones")
    count = len(zones) if isinstance(zones, list) else 0
    checks = [_equal("Availability Zones", str(count), str(settings.az_count))]
    for setting, name, title in (
        (settings.karpenter, "karpenter", "Karpenter's AWS side"),
        (addons.needs_file_system(settings), "efs", "Shared file system"),
        (settings.artifact_bucket, "artifact_bucket", "Artifact bucket"),
        (settings.managed_prometheus, "prometheus", "Managed Prometheus"),
    ):
        if setting:
            found = "there" if outputs.get(name) else "missing"
            checks.append(_equal(title, found, "there"))
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
