"""What can still change in the network of a deployment that exists. Pure.

EKS accepts subnets for a control plane only in the zones in which it was created, and a node group
with other subnets is another node group. So control plane and node groups keep the zones of the
first apply. A zone can be added later, for Karpenter's nodes. It cannot be removed: the nodes in
its subnets would block their deletion, and its volumes could not move.
https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import NetworkLayout
from jarkkit.settings import Settings


def check_layout(settings: Settings, applied: NetworkLayout | None) -> None:
    """Check that these settings keep what an apply has fixed. Raises JK-SETTINGS-FIXED.

    Args:
        applied: the layout of the last apply; None before the first.
    """
    if applied is None or applied.vpc_id != settings.vpc_id:  # another VPC replaces the cluster
        return
    if settings.vpc_id:
        _check_subnets(settings, applied)
    else:
        _check_zones(settings, applied)


def _check_zones(settings: Settings, applied: NetworkLayout) -> None:
    used = ", ".join(applied.zones)
    missing = [zone for zone in applied.zones if zone not in settings.availability_zones]
    if settings.availability_zones and missing:
        raise JarkkitError(
            "JK-SETTINGS-FIXED",
            f"availability_zones does not contain {', '.join(missing)}, which the deployment uses.",
            f"Keep {used} in availability_zones; you can only add zones. To leave a zone, clean up "
            "and deploy again.",
        )
    if settings.az_count < len(applied.zones):
        raise JarkkitError(
            "JK-SETTINGS-FIXED",
            f"az_count {settings.az_count} is less than the {len(applied.zones)} zones that the "
            f"deployment uses ({used}).",
            f"Set az_count to {len(applied.zones)} or more; you can only add zones. To use fewer, "
            "clean up and deploy again.",
        )


def _check_subnets(settings: Settings, applied: NetworkLayout) -> None:
    missing = [s for s in applied.initial_subnets if s not in settings.private_subnet_ids]
    if missing:
        raise JarkkitError(
            "JK-SETTINGS-FIXED",
            f"private_subnet_ids does not contain {', '.join(missing)}, where the cluster was "
            "created.",
            "Keep them in private_subnet_ids; you can only add subnets. To leave one, clean up and "
            "deploy again.",
        )


def next_layout(
    settings: Settings, zones: tuple[str, ...], applied: NetworkLayout | None
) -> NetworkLayout:
    """Return the layout to plan: what an apply has fixed stays.

    Args:
        zones: the chosen zones.
    """
    keep = applied if applied is not None and applied.vpc_id == settings.vpc_id else None
    return NetworkLayout(
        zones=zones,
        initial_zones=keep.initial_zones if keep else zones,
        vpc_id=settings.vpc_id,
        initial_subnets=keep.initial_subnets if keep else settings.private_subnet_ids,
    )


def layout_of(variables: Mapping[str, Any]) -> NetworkLayout:
    """Return the layout in Terraform's variables."""
    zones = tuple(variables["availability_zones"])
    existing = variables.get("existing_vpc") or {}
    subnets = existing.get("initial_subnet_ids") or existing.get("private_subnet_ids") or ()
    return NetworkLayout(
        zones=zones,
        initial_zones=tuple(variables.get("initial_zones") or zones),
        vpc_id=existing.get("vpc_id", ""),
        initial_subnets=tuple(subnets),
    )
