"""The names that Terraform will use and that somebody else may have already. Pure.

terraform/*.tf decides them; a test compares this list with a plan. Names that are unique in a
network of our own, or that AWS makes up, cannot be taken and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from jarkkit.addons import choice
from jarkkit.records import UniqueName
from jarkkit.settings import Settings

_CONTAINER_INSIGHTS = "amazon-cloudwatch-observability"


def unique_names(settings: Settings, account_id: str) -> tuple[UniqueName, ...]:
    """The names that a deployment with these settings takes; the cluster's own left out."""
    return tuple(
        UniqueName(
            terraform_type=terraform_type,
            name=name,
            vpc_id=settings.vpc_id if terraform_type == "aws_security_group" else "",
        )
        for terraform_type, name in _names(settings, account_id)
    )


def _names(settings: Settings, account_id: str) -> Iterator[tuple[str, str]]:
    name = settings.name
    yield "aws_kms_alias", f"alias/eks/{name}"
    for role in _roles(settings):
        yield "aws_iam_role", f"{name}-{settings.region}-{role}"
    for group in _log_groups(settings):
        yield "aws_cloudwatch_log_group", group
    yield "aws_launch_template", f"{name}-core"
    if settings.static_gpu_nodes:
        yield "aws_launch_template", f"{name}-static-gpu"
    if settings.karpenter:
        yield "aws_iam_instance_profile", f"{name}-{settings.region}-node"
        yield "aws_sqs_queue", f"karpenter-{name}"
        for event in ("health", "spot", "rebalance", "state-change"):
            yield "aws_cloudwatch_event_rule", f"{name}-karpenter-{event}"
    if choice.needs_file_system(settings):
        yield "aws_efs_file_system", name
        if settings.vpc_id:
            yield "aws_security_group", f"{name}-efs"
    if settings.artifact_bucket:
        yield "aws_s3_bucket", f"{name}-artifacts-{account_id}-{settings.region}"
    if settings.budget_usd_per_month:
        yield "aws_budgets_budget", name


def _roles(settings: Settings) -> Iterator[str]:
    """Their names after the deployment's and the Region's."""
    yield from ("cluster", "node")
    if not settings.vpc_id:
        yield "flow-log"
    if settings.karpenter:
        yield "karpenter"
    yield from choice.pod_identities(settings)


def _log_groups(settings: Settings) -> Iterator[str]:
    yield f"/aws/eks/{settings.name}/cluster"
    if not settings.vpc_id:
        yield f"/aws/vpc/{settings.name}/rejected"
    if _CONTAINER_INSIGHTS in choice.eks_addons(settings):
        for kind in ("application", "dataplane", "host", "performance"):
            yield f"/aws/containerinsights/{settings.name}/{kind}"
