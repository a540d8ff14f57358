"""Terraform's variables for settings, with one cluster version and no add-ons."""

from __future__ import annotations

from typing import Any

from jarkkit.model.records import NetworkLayout
from jarkkit.settings import Settings

ONE_ZONE = NetworkLayout(zones=("us-west-2a",), initial_zones=("us-west-2a",))


def terraform_variables(settings: Settings, layout: NetworkLayout = ONE_ZONE) -> dict[str, Any]:
    """Return the variables that the settings make, for a network of one zone or another one."""
    return settings.to_tfvars(
        layout=layout,
        cluster_version="1.36",
        node_version="1.36",
        node_release_version="1.36.0-20261101",
        eks_addons={},
        pod_identities={},
    )
