"""EKS managed add-ons."""

from __future__ import annotations

import json
from typing import Any

from moto.core.utils import utcnow
from moto.moto_api._internal import mock_random as random

from jarkkit.sandbox.account.eks import facts
from jarkkit.sandbox.account.eks.core import EksCore, in_use, invalid, missing
from jarkkit.sandbox.account.eks.parts import Addon, Update


class Addons(EksCore):
    """CreateAddon and its kin."""

    def create_addon(self, cluster_name: str, addon_name: str, **given: Any) -> Addon:
        """Begin to install an add-on."""
        cluster = self.active_cluster(cluster_name)
        addons = self.extras_of(cluster_name).addons
        if addon_name in addons:
            in_use("Addon already exists.", cluster_name)
        addon = Addon(
            cluster_name=cluster_name,
            addon_name=addon_name,
            addon_arn=self.arn("addon", cluster_name, addon_name, str(random.uuid4())),
            addon_version=_version(addon_name, cluster.version, given.get("addon_version")),
            configuration_values=_json(given.get("configuration_values")),
            service_account_role_arn=given.get("service_account_role_arn"),
            tags=given.get("tags") or {},
        )
        addons[addon_name] = addon
        self.later.add(self, "add-on create", "addon_ready", cluster_name, addon_name)
        return addon

    def addon_ready(self, cluster_name: str, addon_name: str) -> None:
        """The add-on is installed."""
        extras = self.extras.get(cluster_name)
        if extras and addon_name in extras.addons:
            extras.addons[addon_name].status = "ACTIVE"

    def describe_addon(self, cluster_name: str, addon_name: str) -> Addon:
        """One add-on."""
        addons = self.extras_of(cluster_name).addons
        return addons.get(addon_name) or missing(
            f"No addon: {addon_name} found in cluster: {cluster_name}", cluster_name
        )

    def update_addon(self, cluster_name: str, addon_name: str, **given: Any) -> Update:
        """Begin to change an add-on's version or configuration."""
        addon = self.describe_addon(cluster_name, addon_name)
        version = self.cluster_named(cluster_name).version
        if given.get("addon_version"):
            addon.addon_version = _version(addon_name, version, given["addon_version"])
        if "configuration_values" in given:
            addon.configuration_values = _json(given["configuration_values"])
        addon.status, addon.modified_at = "UPDATING", utcnow()
        update = self.begin_update(cluster_name, "AddonUpdate", given)
        self.later.add(self, "add-on update", "end_update", cluster_name, update.id, addon)
        return update

    def delete_addon(self, cluster_name: str, addon_name: str, **_: Any) -> Addon:
        """Begin to remove an add-on."""
        addon = self.describe_addon(cluster_name, addon_name)
        addon.status = "DELETING"
        self.later.add(self, "add-on delete", "addon_gone", cluster_name, addon_name)
        return addon

    def addon_gone(self, cluster_name: str, addon_name: str) -> None:
        """The add-on is removed."""
        if cluster_name in self.extras:
            self.extras[cluster_name].addons.pop(addon_name, None)

    def list_addons(self, cluster_name: str, **_: Any) -> dict[str, Any]:
        """Names of all add-ons."""
        return {"addons": sorted(self.extras_of(cluster_name).addons)}

    def describe_addon_versions(
        self, addon_name: str | None = None, kubernetes_version: str | None = None, **_: Any
    ) -> dict[str, Any]:
        """What could be installed."""
        names = [addon_name] if addon_name else list(facts.ADDONS)
        wanted = [kubernetes_version] if kubernetes_version else list(facts.versions())
        return {"addons": [_offer(name, wanted) for name in names if name in facts.ADDONS]}

    def describe_addon_configuration(
        self, addon_name: str, addon_version: str, **_: Any
    ) -> dict[str, Any]:
        """The configuration's schema: any object, as the rehearsal knows no more."""
        if addon_name not in facts.ADDONS:
            invalid(f"Addon specified is not supported: {addon_name}")
        schema = {"$schema": "http://json-schema.org/draft-06/schema#", "type": "object"}
        return {
            "addonName": addon_name,
            "addonVersion": addon_version,
            "configurationSchema": json.dumps(schema),
        }


def _version(name: str, cluster_version: str, wanted: str | None) -> str:
    if name not in facts.ADDONS:
        invalid(f"Addon specified is not supported: {name}")
    newest = facts.addon_version(name, cluster_version)
    if wanted not in (None, newest):
        invalid(
            f"Addon version specified is not supported: {wanted}. "
            f"Supported for Kubernetes {cluster_version}: {newest}"
        )
    return newest


def _json(values: str | None) -> str | None:
    """Configuration values must be an object, in JSON (YAML is not rehearsed)."""
    if not values:
        return None
    try:
        parsed = json.loads(values)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        invalid("Configuration values provided are not a valid JSON object")
    return values


def _offer(name: str, versions: list[str]) -> dict[str, Any]:
    builds: dict[str, list[str]] = {}
    for version in versions:
        if version in facts.versions():
            builds.setdefault(facts.addon_version(name, version), []).append(version)
    return {
        "addonName": name,
        "type": "networking" if name == "vpc-cni" else "observability",
        "publisher": "eks",
        "owner": "aws",
        "addonVersions": [
            {
                "addonVersion": build,
                "architecture": ["amd64", "arm64"],
                "compatibilities": [
                    {"clusterVersion": version, "platformVersions": ["*"], "defaultVersion": True}
                    for version in versions
                ],
                "requiresConfiguration": False,
                "requiresIamPermissions": False,
            }
            for build, versions in builds.items()
        ],
    }
