"""What a deployment consists of: everything that follows from its settings, resolved once. Pure.

`Settings` say what you chose; the stack says what that means. Quotas, bill, estimated durations,
preflight, installer, verify, cleanup and the form take the stack, so that all of them see the same
add-ons, nodes and permissions. The rules are in `decisions/addons/`, `node_demand` and
`volume_claims`; this is the only module that applies them to settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from jarkkit.catalog.addons import Addon, AddonWorkload, Chart, addon_catalog
from jarkkit.decisions.addons import enabled_addons
from jarkkit.decisions.addons.dependency_order import Dependencies, dependencies
from jarkkit.decisions.addons.hub_profiles import Profile, profiles
from jarkkit.decisions.addons.node_pools import Object, node_classes, node_pools
from jarkkit.decisions.addons.templating import output_values, settings_values
from jarkkit.decisions.node_demand import (
    InstanceDemand,
    PodRequests,
    instance_demands,
    nodes_beside_core,
    pod_requests,
)
from jarkkit.decisions.volume_claims import claimed_gib
from jarkkit.model.errors import JarkkitError
from jarkkit.settings import Settings


@dataclass(frozen=True)
class ResolvedStack:
    """A deployment's add-ons, nodes, images and permissions.

    Each part is computed when it is first used, and then kept. Parts that depend on the add-ons
    raise JK-SETTINGS-UNKNOWN if the settings name an unknown one.

    Attributes:
        catalog: all known add-ons by name, enabled or not.
    """

    settings: Settings
    catalog: Mapping[str, Addon] = field(repr=False)

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        catalog: Mapping[str, Addon] | None = None,
        user_values: Mapping[str, dict[str, Any]] = MappingProxyType({}),
    ) -> ResolvedStack:
        """Return what these settings mean; without a catalog, with the shipped add-ons.

        Raises JK-SETTINGS-UNKNOWN, JK-SETTINGS-INVALID for values of an add-on without a chart.

        Args:
            user_values: a user's own Helm values, by add-on.
        """
        known = addon_catalog() if catalog is None else catalog
        return cls(settings, enabled_addons.with_user_values(known, user_values))

    # -- add-ons -------------------------------------------------------------------------------

    @cached_property
    def addons(self) -> tuple[Addon, ...]:
        """The enabled add-ons with the values, objects, Secrets, workloads and permissions that
        these settings give them."""
        return enabled_addons.enabled(self.settings, self.catalog)

    @cached_property
    def addon_names(self) -> frozenset[str]:
        """The names of the enabled add-ons."""
        return frozenset(addon.name for addon in self.addons)

    @cached_property
    def dependencies(self) -> Dependencies:
        """What each add-on must wait for. Raises JK-ADDON-INVALID."""
        return dependencies(self.addons)

    @property
    def charts(self) -> tuple[Chart, ...]:
        """The Helm charts of the add-ons."""
        return tuple(addon.chart for addon in self.addons if addon.chart)

    @cached_property
    def workloads(self) -> tuple[tuple[Addon, AddonWorkload], ...]:
        """Every workload that must be ready, with its add-on."""
        return tuple((addon, workload) for addon in self.addons for workload in addon.workloads)

    @cached_property
    def images(self) -> frozenset[str]:
        """The container images that the catalog names for the add-ons' pods."""
        return frozenset(image for _, workload in self.workloads for image in _images(workload.pod))

    def is_enabled(self, name: str) -> bool:
        """Return True if the settings enable this add-on of the catalog."""
        return enabled_addons.is_enabled(self.catalog[name], self.settings)

    def matches(self, when: Mapping[str, Any]) -> bool:
        """Return True when the settings meet all conditions (`Variant.when`)."""
        return enabled_addons.matches(when, self.settings, self.catalog)

    def check_addons(self) -> None:
        """Check that everything that an add-on needs is enabled.

        Raises JK-ADDON-INVALID, and JK-SETTINGS-INVALID for the file system. That has a setting of
        its own, so that switching an add-on off deletes no files.
        """
        self.check_file_system()
        _ = self.dependencies

    def check_file_system(self) -> None:
        """Raise JK-SETTINGS-INVALID if an add-on needs the file system that is switched off."""
        users = [addon.name for addon in self.addons if addon.file_system]
        if users and not self.settings.shared_files:
            raise JarkkitError(
                "JK-SETTINGS-INVALID",
                f"shared_files is off, but {', '.join(users)} keep their files on that file "
                "system.",
                "Set shared_files to true, or switch these off in the setting `addons`.",
            )

    def reference_values(self, outputs: Mapping[str, Any], ami_version: str) -> dict[str, Any]:
        """Return the values of all `${…}` references in add-ons.

        Args:
            outputs: Terraform's outputs.
            ami_version: version of the AMIs that Karpenter launches, such as `v20261101`.
        """
        # Terraform has outputs for them only once Karpenter's AWS resources exist.
        pools = self.settings.karpenter and outputs.get("node_instance_profile_name")
        return {
            **output_values(outputs),
            **settings_values(self.settings),
            "node_classes": node_classes(self.settings, outputs, ami_version) if pools else [],
            "node_pools": deepcopy(list(self.node_pools)),  # manifests and values may change
            "jupyterhub_profiles": deepcopy(list(self.hub_profiles)),
        }

    # -- AWS -----------------------------------------------------------------------------------

    @cached_property
    def eks_addons(self) -> Mapping[str, Any]:
        """Terraform's `eks_addons`: the EKS managed add-ons."""
        return MappingProxyType(enabled_addons.eks_addons(self.addons, self.settings))

    @cached_property
    def pod_identities(self) -> Mapping[str, Any]:
        """Terraform's `pod_identities`: the AWS permissions of each service account."""
        return MappingProxyType(enabled_addons.pod_identities(self.addons))

    @property
    def network_load_balancers(self) -> int:
        """How many Network Load Balancers the add-ons' Services create."""
        services = (service for addon in self.addons for service in addon.services)
        return sum(service.type == "LoadBalancer" for service in services)

    @property
    def application_load_balancers(self) -> int:
        """How many Application Load Balancers the add-ons' Ingresses create."""
        return int("jupyterhub" in self.addon_names and bool(self.settings.jupyterhub_domain))

    @cached_property
    def volumes_gib(self) -> float:
        """The GiB of EBS volumes that the add-ons claim."""
        return sum(claimed_gib(addon) for addon in self.addons)

    # -- nodes ---------------------------------------------------------------------------------

    @cached_property
    def pod_requests(self) -> PodRequests:
        """What the add-ons' pods request."""
        return pod_requests(workload for _, workload in self.workloads)

    @cached_property
    def addon_nodes(self) -> int:
        """How many nodes Karpenter adds for add-ons that do not fit on the core nodes."""
        return nodes_beside_core(self.pod_requests, self.settings)

    @cached_property
    def instance_demands(self) -> tuple[InstanceDemand, ...]:
        """The groups of instances: node groups and Karpenter's pools."""
        return instance_demands(self.settings, self.addon_nodes)

    @property
    def instance_patterns(self) -> tuple[str, ...]:
        """The instance types that the zones should offer, as EC2 patterns. Almost any type can
        serve the CPU pool, so it is left out."""
        # `g6.*` must not match g6e: the family ends at the dot. p6-b200 is a separate family.
        # The types do not depend on add-ons. `self.instance_demands` does, and fails for an unknown
        # add-on; zones and Regions remain usable.
        demands = instance_demands(self.settings, addon_nodes=0)
        return tuple(dict.fromkeys(d.pattern for d in demands if not d.is_cpu_pool))

    @cached_property
    def node_pools(self) -> tuple[Object, ...]:
        """Karpenter's node pools; none without Karpenter."""
        return tuple(node_pools(self.settings))

    @cached_property
    def hub_profiles(self) -> tuple[Profile, ...]:
        """JupyterHub's profiles. The first is the default."""
        return tuple(profiles(self.settings))


def _images(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "image" and isinstance(item, str):
                yield item
            else:
                yield from _images(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _images(item)
