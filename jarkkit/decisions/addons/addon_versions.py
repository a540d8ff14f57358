"""Which version of each EKS add-on a deployment gets. Pure.

EKS publishes new builds every week. The first plan pins the newest ones, so that a deployment does
not change on its own; another version of Kubernetes, or `plan --upgrade`, moves on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jarkkit.model.records import EksAddonVersions


def kept_versions(
    before: EksAddonVersions, cluster_version: str, *, upgrade: bool
) -> dict[str, str]:
    """Return the pinned versions that stay valid, by add-on."""
    stays = before.cluster_version == cluster_version and not upgrade
    return dict(before.versions) if stays else {}


def unpinned(eks_addons: Mapping[str, Any], pinned: Mapping[str, str]) -> tuple[str, ...]:
    """Return the add-ons whose version neither the catalog nor an earlier plan names."""
    return tuple(
        name for name, addon in eks_addons.items() if not addon["version"] and name not in pinned
    )


def with_versions(eks_addons: Mapping[str, Any], pinned: Mapping[str, str]) -> dict[str, Any]:
    """Return Terraform's `eks_addons` with pinned versions. The catalog's own version wins."""
    return {
        name: {**addon, "version": addon["version"] or pinned.get(name)}
        for name, addon in eks_addons.items()
    }


def moves(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line for each add-on whose pinned version changes."""
    return tuple(
        f"EKS add-on {name}: {before[name]} → {version}"
        for name, version in after.items()
        if before.get(name, version) != version
    )
