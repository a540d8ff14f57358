"""EKS managed add-ons."""

from __future__ import annotations

import json
from typing import Any

import yaml
from moto.core.utils import utcnow
from moto.moto_api._internal import mock_random as random

from jarkkit.sandbox.account import eks_reference_data as facts
from jarkkit.sandbox.account.eks import addon_schemas
from jarkkit.sandbox.account.eks.core import EksCore, raise_in_use, raise_invalid, raise_not_found
from jarkkit.sandbox.account.eks.records import ManagedAddon, Update
from jarkkit.sandbox.clock import CLOCK
from jarkkit.sandbox.cluster_host import CLUSTER_HOST, AddonHealth, ClusterKey

# How long an add-on can be unhealthy before EKS reports it. Terraform waits for 20 minutes.
_UNHEALTHY_TIMEOUT_SECONDS = 1200.0
_TIMEOUT_AT_SPEED_0_SECONDS = 60.0  # at speed 0, pods still need time to start
_SETTLED = ("ACTIVE", "DEGRADED")
_MODES = ("NONE", "OVERWRITE", "PRESERVE")


class AddonOperations(EksCore):
    """CreateAddon and related operations. The cluster reports the health of the workloads."""

    def create_addon(self, cluster_name: str, addon_name: str, **given: Any) -> ManagedAddon:
        """Start installing an add-on."""
        cluster = self.active_cluster(cluster_name)
        extras = self.extras_of(cluster_name)
        if addon_name in extras.addons:
            raise_in_use("Addon already exists.", cluster_name)
        addon = ManagedAddon(
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

    def addon_ready(self, addon: ManagedAddon) -> None:
        """Set the status from the workloads' health, now that the installation time is over."""
        if addon.status == "CREATING":
            self._check_health(addon, "CREATE_FAILED")
        if addon.status == "CREATING":
            self.later.retry("addon_ready", addon)

    def _check_health(self, addon: ManagedAddon, failed: str = "") -> None:
        """Set ACTIVE if the workloads are healthy, DEGRADED if they have been unhealthy too long.

        Args:
            failed: the status if the workloads could not be installed at all.
        """
        health = CLUSTER_HOST.clusters.addon_health(
            ClusterKey(self.region_name, addon.cluster_name), addon.addon_name
        )
        if health.revision not in ("", addon.revision):
            health = AddonHealth(ready=False)  # the health is of an earlier revision
        if health.ready:
            addon.status, addon.health, addon.unhealthy_since = "ACTIVE", {"issues": []}, 0.0
            return
        issue = _issue(health.message)
        addon.unhealthy_since = addon.unhealthy_since or CLOCK.now()
        timeout = _UNHEALTHY_TIMEOUT_SECONDS * CLOCK.time_scale or _TIMEOUT_AT_SPEED_0_SECONDS
        if failed and issue["code"] == "ConfigurationConflict":
            addon.status, addon.health = failed, {"issues": [issue]}
        elif CLOCK.has_reached(addon.unhealthy_since + timeout):
            addon.status, addon.health = "DEGRADED", {"issues": [issue]}

    def describe_addon(self, cluster_name: str, addon_name: str) -> ManagedAddon:
        """Return one add-on with its current status."""
        addon = self._addon(cluster_name, addon_name)
        if addon.status in _SETTLED:
            self._check_health(addon)
        return addon

    def _addon(self, cluster_name: str, addon_name: str) -> ManagedAddon:
        addons = self.extras_of(cluster_name).addons
        return addons.get(addon_name) or raise_not_found(
            f"No addon: {addon_name} found in cluster: {cluster_name}", cluster_name
        )

    def update_addon(self, cluster_name: str, addon_name: str, **given: Any) -> Update:
        """Start updating an add-on's version or configuration."""
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

    def addon_updated(self, addon: ManagedAddon, update: Update) -> None:
        """Complete the update once the workloads are healthy, or unhealthy for too long."""
        if addon.status == "UPDATING":
            self._check_health(addon, "UPDATE_FAILED")
        if addon.status == "UPDATING":
            self.later.retry("addon_updated", addon, update)
        elif addon.status == "ACTIVE":
            update.status = "Successful"
        else:
            update.status = "Failed"
            update.errors = [
                {"errorCode": i["code"], "errorMessage": i["message"], "resourceIds": []}
                for i in addon.health["issues"]
            ]

    def delete_addon(self, cluster_name: str, addon_name: str, **given: Any) -> ManagedAddon:
        """Start deleting an add-on, or only EKS' management of it (`preserve`).

        One that is being deleted is returned as it is.
        """
        addon = self._addon(cluster_name, addon_name)
        if addon.status == "DELETING":
            return addon
        addon.status = "DELETING"
        if str(given.get("preserve", "")).lower() == "true":
            self.extras_of(cluster_name).preserved.add(addon_name)
        self.later.add(self, "add-on delete", "addon_gone", cluster_name, addon_name)
        return addon

    def addon_gone(self, cluster_name: str, addon_name: str) -> None:
        """Remove the add-on."""
        if cluster_name in self.extras:
            self.extras[cluster_name].addons.pop(addon_name, None)

    def list_addons(self, cluster_name: str, **_: Any) -> dict[str, Any]:
        """List the names of all add-ons."""
        return {"addons": sorted(self.extras_of(cluster_name).addons)}

    def describe_addon_versions(
        self, addon_name: str | None = None, kubernetes_version: str | None = None, **_: Any
    ) -> dict[str, Any]:
        """Return the add-on versions that can be installed."""
        names = [addon_name] if addon_name else list(facts.ADDONS)
        wanted = [kubernetes_version] if kubernetes_version else list(facts.versions())
        return {"addons": [_offer(name, wanted) for name in names if name in facts.ADDONS]}

    def describe_addon_configuration(
        self, addon_name: str, addon_version: str, **_: Any
    ) -> dict[str, Any]:
        """Return the schema of the configuration values."""
        _check_build(addon_name, addon_version)
        return {
            "addonName": addon_name,
            "addonVersion": addon_version,
            "configurationSchema": json.dumps(addon_schemas.schema(addon_name)),
        }


def _check_build(name: str, build: str) -> None:
    """Check that the build exists for any cluster. Raises InvalidParameterException."""
    if name not in facts.ADDONS:
        raise_invalid(f"Addon specified is not supported: {name}")
    if not any(build in facts.addon_versions(name, version) for version in facts.versions()):
        raise_invalid(f"Addon version specified is not supported: {build}")


def _version(name: str, cluster_version: str, wanted: str | None) -> str:
    if name not in facts.ADDONS:
        raise_invalid(f"Addon specified is not supported: {name}")
    offered = facts.addon_versions(name, cluster_version)
    if wanted is None:
        return offered[0]
    if wanted not in offered:
        raise_invalid(f"Addon version specified is not supported: {wanted}")
    return wanted


def _configuration(name: str, values: str | None) -> str | None:
    """Return the configuration values unchanged if the add-on accepts them."""
    if not values:
        return None
    try:
        parsed = yaml.safe_load(values)  # YAML includes JSON
    except yaml.YAMLError:
        parsed = None
    if not isinstance(parsed, dict):
        raise_invalid("Configuration values provided are not valid JSON or YAML")
    wrong = addon_schemas.validation_errors(parsed, addon_schemas.schema(name))
    if wrong:
        raise_invalid(
            "ConfigurationValue provided in request is not supported: "
            f"Json schema validation failed with error: [{', '.join(wrong)}]"
        )
    return values


def _issue(message: str) -> dict[str, Any]:
    """Build an AddonIssue from `Code: text`; any other message is about missing pods."""
    code, colon, text = message.partition(": ")
    if not colon or " " in code:
        code, text = "InsufficientNumberOfReplicas", message
    return {"code": code, "message": text, "resourceIds": []}


def _mode(given: dict[str, Any], allowed: tuple[str, ...]) -> str:
    """Return how to resolve conflicts with fields that other managers have set."""
    mode: str = given.get("resolve_conflicts") or "NONE"
    if mode not in allowed:
        raise_invalid(
            f"Resolve conflicts option {mode.lower()} is not supported for this operation"
        )
    return mode


def _offer(name: str, versions: list[str]) -> dict[str, Any]:
    builds: dict[str, dict[str, bool]] = {}
    for version in versions:
        if version in facts.versions():
            for index, build in enumerate(facts.addon_versions(name, version)):
                builds.setdefault(build, {})[version] = index == 0
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
                    {"clusterVersion": v, "platformVersions": ["*"], "defaultVersion": is_default}
                    for v, is_default in compatible.items()
                ],
                "requiresConfiguration": False,
                "requiresIamPermissions": False,
            }
            for build, compatible in builds.items()
        ],
    }
