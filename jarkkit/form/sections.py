"""Which settings stand together in the form, and what a section says while it is closed. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from jarkkit.addons.choice import chosen
from jarkkit.errors import JarkkitError
from jarkkit.settings import Settings


class Section(NamedTuple):
    """Settings that are thought of together."""

    name: str
    what: str
    fields: tuple[str, ...]


SECTIONS = (
    Section(
        "Region",
        "Where it is built, and with which version of Kubernetes. The Region decides what can be "
        "had, what it costs, and which quotas count.",
        ("region", "cluster_version"),
    ),
    Section(
        "Add-ons",
        "What the cluster brings besides Kubernetes. What an add-on needs is switched on with it, "
        "and what needs it goes with it.",
        ("addons", "karpenter", "artifact_bucket", "managed_prometheus", "huggingface_token"),
    ),
    Section(
        "Accelerators",
        "Families that may be started when somebody asks for one. Nothing runs, and nothing is "
        "paid, until then.",
        (
            "accelerators",
            "capacity_reservations",
            "static_gpu_nodes",
            "static_gpu_instance_type",
        ),
    ),
    Section(
        "Size",
        "The nodes that are always there, and how far Karpenter may go beyond them.",
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
        "How many people come, and how they sign in.",
        (
            "attendees",
            "jupyterhub_auth",
            "jupyterhub_oidc_issuer",
            "jupyterhub_oidc_client_id",
            "jupyterhub_oidc_client_secret",
        ),
    ),
    Section(
        "Network",
        "Zones, and the way out to the internet.",
        ("az_count", "nat", "vpc_cidr", "pod_cidr"),
    ),
    Section(
        "Access and logs",
        "Who may reach the cluster's API, and what is written down.",
        (
            "endpoint_public_cidrs",
            "admin_principals",
            "cluster_log_types",
            "log_retention_days",
        ),
    ),
    Section(
        "Budget",
        "A mail before it becomes too much.",
        ("budget_usd_per_month", "budget_emails"),
    ),
    Section(
        "More",
        "What is seldom changed.",
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


def matters(name: str, value: Callable[[str], Any]) -> bool:
    """False for a setting that has no effect beside the others: it is left out of sight unless it
    has a value.

    Args:
        value: what stands in a setting's input.
    """
    if value(name):
        return True
    if name in _PROVIDER:
        return bool(value("jupyterhub_auth") != "password")
    return bool(value("vpc_id")) if name in _SUBNETS else True


def at_fault(section: Section, error: JarkkitError | None) -> bool:
    """Whether an error is about a setting in that section."""
    words = set(re.findall(r"\w+", error.message)) if error else set()
    return bool(words & set(section.fields))


def summary(section: Section, settings: Settings) -> str:
    """What is chosen there, in a few words."""
    return _SUMMARIES[section.name](settings)


def _addons(settings: Settings) -> str:
    try:
        return f"{len(chosen(settings))} on"
    except JarkkitError:
        return "unknown name"


def _accelerators(s: Settings) -> str:
    static = f", {s.static_gpu_nodes} always" if s.static_gpu_nodes else ""
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
    "Add-ons": _addons,
    "Accelerators": _accelerators,
    "Size": lambda s: f"{s.core_nodes} x {s.core_instance_type}",
    "JupyterHub": _people,
    "Network": lambda s: f"{s.az_count} zones, NAT {s.nat}" if not s.vpc_id else "existing VPC",
    "Access and logs": _access,
    "Budget": lambda s: f"{s.budget_usd_per_month} USD" if s.budget_usd_per_month else "none",
    "More": lambda s: "own tags" if s.tags else "",
}
