"""The names that Terraform will use and that may already be taken. Pure.

terraform/*.tf defines them; a test compares this list with a plan. Names inside a VPC of our own,
and names that AWS generates, cannot conflict and are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.records import UniqueName

_LONGEST_ROLE_NAME = 64
_CONTAINER_INSIGHTS = "amazon-cloudwatch-observability"


def unique_names(stack: ResolvedStack, account_id: str) -> tuple[UniqueName, ...]:
    """List the names that the deployment needs, without the cluster's own name."""
    return tuple(
        UniqueName(
            terraform_type=terraform_type,
            name=name,
            vpc_id=stack.settings.vpc_id if terraform_type == "aws_security_group" else "",
        )
        for terraform_type, name in _names(stack, account_id)
    )


def role_name(prefix: str, suffix: str) -> str:
    """Return a role's name, as terraform/identity.tf shortens it: the end of one that is too long
    for IAM becomes a hash.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    name = f"{prefix}-{suffix}"
    if len(name) <= _LONGEST_ROLE_NAME:
        return name
    return f"{name[:57]}-{hashlib.sha256(suffix.encode()).hexdigest()[:6]}"


def _names(stack: ResolvedStack, account_id: str) -> Iterator[tuple[str, str]]:
    settings, name = stack.settings, stack.settings.name
    yield "aws_kms_alias", f"alias/eks/{name}"
    for role in _roles(stack):
        yield "aws_iam_role", role_name(f"{name}-{settings.region}", role)
    for group in _log_groups(stack):
        yield "aws_cloudwatch_log_group", group
    yield "aws_launch_template", f"{name}-core"
    if settings.static_gpu_nodes:
        yield "aws_launch_template", f"{name}-static-gpu"
    if settings.karpenter:
        yield "aws_iam_instance_profile", f"{name}-{settings.region}-node"
        yield "aws_sqs_queue", f"karpenter-{name}"
        for event in ("health", "spot", "rebalance", "state-change", "reservation"):
            yield "aws_cloudwatch_event_rule", f"{name}-karpenter-{event}"
    if settings.shared_files:
        yield "aws_efs_file_system", name
        if settings.vpc_id:
            yield "aws_security_group", f"{name}-efs"
    if settings.artifact_bucket:
        yield "aws_s3_bucket", f"{name}-artifacts-{account_id}-{settings.region}"
    if settings.budget_usd_per_month:
        yield "aws_budgets_budget", name


def _roles(stack: ResolvedStack) -> Iterator[str]:
    """Yield the role names' suffixes, after the deployment's name and the Region."""
    yield from ("cluster", "node")
    if not stack.settings.vpc_id:
        yield "flow-log"
    if stack.settings.karpenter:
        yield "karpenter"
    yield from stack.pod_identities


def _log_groups(stack: ResolvedStack) -> Iterator[str]:
    settings = stack.settings
    yield f"/aws/eks/{settings.name}/cluster"
    if not settings.vpc_id:
        yield f"/aws/vpc/{settings.name}/rejected"
    if _CONTAINER_INSIGHTS in stack.eks_addons:
        for kind in ("application", "dataplane", "host", "performance"):
            yield f"/aws/containerinsights/{settings.name}/{kind}"
