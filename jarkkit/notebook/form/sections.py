"""The sections of the form: their settings, and their summaries while closed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.errors import JarkkitError
from jarkkit.settings import Settings


class Section(NamedTuple):
    """A group of related settings."""

    name: str
    what: str
    fields: tuple[str, ...]


SECTIONS = (
    Section(
        "Region",
        "Where to deploy, and which Kubernetes version. The Region determines what is available, "
        "what it costs, and which quotas apply.",
        ("region", "cluster_version"),
    ),
    Section(
        "Add-ons",
        "What runs in the cluster besides Kubernetes. Turning an add-on on also turns on its "
        "dependencies; turning it off also turns off everything that depends on it.",
        (
            "addons",
            "karpenter",
            "shared_files",
            "artifact_bucket",
            "managed_prometheus",
            "application_signals",
            "huggingface_token",
        ),
    ),
    Section(
        "Accelerators",
        "Families that Karpenter may launch when a pod requests one. Until then, no instance runs "
        "and you pay nothing.",
        (
            "accelerators",
            "capacity_reservations",
            "static_gpu_nodes",
            "static_gpu_instance_type",
        ),
    ),
    Section(
        "Size",
        "The nodes that always run, and how many vCPUs Karpenter may add.",
        (
            "core_instance_type",
            "core_nodes",
            "core_nodes_max",
            "core_disk_gib",
            "cpu_max_vcpus",
            "cpu_capacity",
        ),
    ),
    Section(
        "JupyterHub",
        "How many people use it, and how they sign in.",
        (
            "attendees",
            "jupyterhub_auth",
            "jupyterhub_oidc_issuer",
            "jupyterhub_oidc_client_id",
            "jupyterhub_oidc_client_secret",
            "jupyterhub_domain",
            "jupyterhub_certificate_arn",
        ),
    ),
    Section(
        "Network",
        "Availability Zones, address ranges, and outbound internet access.",
        ("az_count", "nat", "vpc_cidr", "pod_cidr"),
    ),
    Section(
        "Access and logs",
        "Who can reach the cluster's API, and which logs are kept.",
        (
            "endpoint_public_cidrs",
            "admin_principals",
            "permissions_boundary_arn",
            "deletion_protection",
            "cluster_log_types",
            "log_retention_days",
        ),
    ),
    Section(
        "Budget",
        "Get an email before spending exceeds your budget.",
        ("budget_usd_per_month", "budget_emails"),
    ),
    Section(
        "More",
        "Settings that you rarely change.",
        (
            "name",
            "tags",
            "state_bucket",
            "availability_zones",
            "vpc_id",
            "private_subnet_ids",
            "public_subnet_ids",
            "ami_version",
            "addon_timeout_seconds",
        ),
    ),
)
_PROVIDER = ("jupyterhub_oidc_issuer", "jupyterhub_oidc_client_id", "jupyterhub_oidc_client_secret")
_SUBNETS = ("private_subnet_ids", "public_subnet_ids")


def is_relevant(name: str, value: Callable[[str], Any]) -> bool:
    """Return False for a setting without effect given the others. The form hides it unless it has
    a value.

    Args:
        value: returns the value of a setting's input.
    """
    if value(name):
        return True
    if name in _PROVIDER:
        return bool(value("jupyterhub_auth") != "password")
    if name == "jupyterhub_certificate_arn":
        return bool(value("jupyterhub_domain"))
    return bool(value("vpc_id")) if name in _SUBNETS else True


def has_error(section: Section, error: JarkkitError | None) -> bool:
    """Return True if an error is about a setting in that section."""
    return error is not None and not set(section.fields).isdisjoint(error.subjects)


def section_summary(section: Section, stack: ResolvedStack) -> str:
    """Return the section's settings in a few words."""
    if section.name == "Add-ons":
        return _addons(stack)
    return _SUMMARIES[section.name](stack.settings)


def _addons(stack: ResolvedStack) -> str:
    try:
        return f"{len(stack.addons)} on"
    except JarkkitError:
        return "unknown name"


def _accelerators(s: Settings) -> str:
    static = f", {s.static_gpu_nodes} static" if s.static_gpu_nodes else ""
    return (", ".join(pool.family for pool in s.accelerators) or "none") + static


def _people(s: Settings) -> str:
    return f"{s.attendees} {'person' if s.attendees == 1 else 'people'}, {s.jupyterhub_auth}"


def _access(s: Settings) -> str:
    if not s.endpoint_public_cidrs:
        return "private"
    if "0.0.0.0/0" in s.endpoint_public_cidrs:
        return "open to all networks"
    count = len(s.endpoint_public_cidrs)
    return f"open to {count} network{'s' if count > 1 else ''}"


_SUMMARIES: dict[str, Callable[[Settings], str]] = {
    "Region": lambda s: f"{s.region}, {s.cluster_version}",
    "Accelerators": _accelerators,
    "Size": lambda s: f"{s.core_nodes} x {s.core_instance_type}",
    "JupyterHub": _people,
    "Network": lambda s: f"{s.az_count} zones, NAT {s.nat}" if not s.vpc_id else "existing VPC",
    "Access and logs": _access,
    "Budget": lambda s: f"{s.budget_usd_per_month} USD" if s.budget_usd_per_month else "none",
    "More": lambda s: "custom tags" if s.tags else "",
}
