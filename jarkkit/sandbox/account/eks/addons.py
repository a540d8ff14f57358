"""EKS managed add-ons."""

from __future__ import annotations

import json
from typing import Any

import yaml
from moto.core.utils import utcnow
from moto.moto_api._internal import mock_random as random

from jarkkit.sandbox.account.eks import addon_schemas, facts
from jarkkit.sandbox.account.eks.core import EksCore, in_use, invalid, missing
from jarkkit.sandbox.account.eks.parts import Addon, Update
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.clusters import HOST, Health, Key

# How long an add-on may be unhealthy before EKS says so. Terraform waits for 20 minutes.
_PATIENCE_SECONDS = 1200.0
_PATIENCE_AT_ONCE = 60.0  # where nothing takes time, pods still have to start
_SETTLED = ("ACTIVE", "DEGRADED")
_MODES = ("NONE", "OVERWRITE", "PRESERVE")


class Addons(EksCore):
    """CreateAddon and its kin. How an add-on's workloads do, its cluster knows."""

    def create_addon(self, cluster_name: str, addon_name: str, **given: Any) -> Addon:
        """Begin to install an add-on."""
        cluster = self.active_cluster(cluster_name)
        extras = self.extras_of(cluster_name)
        if addon_name in extras.addons:
            in_use("Addon already exists.", cluster_name)
        addon = Addon(
            cluster_name=cluster_name,
            addon_name=addon_name,
            addon_arn=self.arn("addon", cluster_name, addon_name, str(random.uuid4())),
            addon_version=_version(addon_name, cluster.version, given.get("addon_version")),
            configuration_values=_configuration(addon_name, given.get("configuration_values")),
            resolve_conflicts=_mode(given, _MODES[:2]),
            service_account_role_arn=given.get("service_account_role_arn"),
            tags=given.get("tags") or {},
        )
        extras.addons[addon_name] = addon
        extras.preserved.discard(addon_name)
        self.later.add(self, "add-on create", "addon_ready", addon)
        return addon

    def addon_ready(self, addon: Addon) -> None:
        """It has had its time: now its workloads say how it is."""
        if addon.status == "CREATING":
            self._look(addon, "CREATE_FAILED")
        if addon.status == "CREATING":
            self.later.soon("addon_ready", addon)

    def _look(self, addon: Addon, failed: str = "") -> None:
        """ACTIVE when its workloads do well, DEGRADED when they have not for long.

        Args:
            failed: its status when they could not be installed at all.
        """
        health = HOST.clusters.addon(Key(self.region_name, addon.cluster_name), addon.addon_name)
        if health.revision not in ("", addon.revision):
            health = Health(ready=False)  # of what it was before
        if health.ready:
            addon.status, addon.health, addon.unhealthy_since = "ACTIVE", {"issues": []}, 0.0
            return
        issue = _issue(health.message)
        addon.unhealthy_since = addon.unhealthy_since or CLOCK.now()
        patience = _PATIENCE_SECONDS * CLOCK.pace or _PATIENCE_AT_ONCE
        if failed and issue["code"] == "ConfigurationConflict":
            addon.status, addon.health = failed, {"issues": [issue]}
        elif CLOCK.reached(addon.unhealthy_since + patience):
            addon.status, addon.health = "DEGRADED", {"issues": [issue]}

    def describe_addon(self, cluster_name: str, addon_name: str) -> Addon:
        """One add-on, as it is now."""
        addon = self._addon(cluster_name, addon_name)
        if addon.status in _SETTLED:
            self._look(addon)
        return addon

    def _addon(self, cluster_name: str, addon_name: str) -> Addon:
        addons = self.extras_of(cluster_name).addons
        return addons.get(addon_name) or missing(
            f"No addon: {addon_name} found in cluster: {cluster_name}", cluster_name
        )

    def update_addon(self, cluster_name: str, addon_name: str, **given: Any) -> Update:
        """Begin to change an add-on's version or configuration."""
        addon = self._addon(cluster_name, addon_name)
        version = self.cluster_named(cluster_name).version
        mode = _mode(given, _MODES)
        if "configuration_values" in given:
            values = _configuration(addon_name, given["configuration_values"])
            addon.configuration_values = values
        if given.get("addon_version"):
            addon.addon_version = _version(addon_name, version, given["addon_version"])
        addon.resolve_conflicts, addon.revision = mode, str(random.uuid4())
        addon.status, addon.modified_at, addon.unhealthy_since = "UPDATING", utcnow(), 0.0
        update = self.begin_update(cluster_name, "AddonUpdate", given)
        self.later.add(self, "add-on update", "addon_updated", addon, update)
        return update

    def addon_updated(self, addon: Addon, update: Update) -> None:
        """The update has had its time; it ends when the workloads do well, or have not for long."""
        if addon.status == "UPDATING":
            self._look(addon, "UPDATE_FAILED")
        if addon.status == "UPDATING":
            self.later.soon("addon_updated", addon, update)
        elif addon.status == "ACTIVE":
            update.status = "Successful"
        else:
            update.status = "Failed"
            update.errors = [
                {"errorCode": i["code"], "errorMessage": i["message"], "resourceIds": []}
                for i in addon.health["issues"]
            ]

    def delete_addon(self, cluster_name: str, addon_name: str, **given: Any) -> Addon:
        """Begin to remove an add-on, or only EKS' hold on it."""
        addon = self._addon(cluster_name, addon_name)
        addon.status = "DELETING"
        if str(given.get("preserve", "")).lower() == "true":
            self.extras_of(cluster_name).preserved.add(addon_name)
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
        """The configuration's schema: any object where the rehearsal knows no more."""
        if addon_name not in facts.ADDONS:
            invalid(f"Addon specified is not supported: {addon_name}")
        return {
            "addonName": addon_name,
            "addonVersion": addon_version,
            "configurationSchema": json.dumps(addon_schemas.schema(addon_name)),
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


def _configuration(name: str, values: str | None) -> str | None:
    """Configuration values as they were given, if the add-on accepts them."""
    if not values:
        return None
    try:
        parsed = yaml.safe_load(values)  # which is JSON, too
    except yaml.YAMLError:
        parsed = None
    if not isinstance(parsed, dict):
        invalid("Configuration values provided are not valid JSON or YAML")
    wrong = addon_schemas.complaints(parsed, addon_schemas.schema(name))
    if wrong:
        invalid(
            "ConfigurationValue provided in request is not supported: "
            f"Json schema validation failed with error: [{', '.join(wrong)}]"
        )
    return values


def _issue(message: str) -> dict[str, Any]:
    """An AddonIssue from `Code: text`; anything else is about pods that are not there."""
    code, colon, text = message.partition(": ")
    if not colon or " " in code:
        code, text = "InsufficientNumberOfReplicas", message
    return {"code": code, "message": text, "resourceIds": []}


def _mode(given: dict[str, Any], allowed: tuple[str, ...]) -> str:
    """What becomes of fields that others have set."""
    mode: str = given.get("resolve_conflicts") or "NONE"
    if mode not in allowed:
        invalid(f"Resolve conflicts option {mode.lower()} is not supported for this operation")
    return mode


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
