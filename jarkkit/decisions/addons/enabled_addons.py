"""Selects the enabled add-ons, applies the settings to them, and builds Terraform's variables.
Pure. `decisions/stack.py` holds the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from typing import Any

from jarkkit.catalog.addons import Addon, PodIdentity
from jarkkit.decisions.addons.templating import render, settings_values
from jarkkit.model.errors import InvalidSettings
from jarkkit.settings import Settings, unknown_name_error


def is_enabled(addon: Addon, settings: Settings) -> bool:
    """Return True when the settings enable the add-on. Karpenter has its own setting."""
    if addon.name == "karpenter":
        return settings.karpenter
    return settings.addons.get(addon.name, addon.default)


def enabled(settings: Settings, catalog: Mapping[str, Addon]) -> tuple[Addon, ...]:
    """Return the enabled add-ons, resolved. Raises JK-SETTINGS-UNKNOWN for unknown names."""
    for name in settings.addons:
        if name not in catalog:
            raise unknown_name_error(name, catalog, source="addons")
    return tuple(resolve(a, settings, catalog) for a in catalog.values() if is_enabled(a, settings))


def with_user_values(
    catalog: Mapping[str, Addon], values: Mapping[str, dict[str, Any]]
) -> dict[str, Addon]:
    """Return the catalog with the values of a deployment's folder, by add-on.

    Raises JK-SETTINGS-UNKNOWN for an unknown add-on, JK-SETTINGS-INVALID for one without a chart.
    """
    for name in values:
        if name not in catalog:
            raise unknown_name_error(name, catalog, source="The folder values")
        if catalog[name].chart is None:
            raise InvalidSettings(
                "JK-SETTINGS-INVALID",
                f"values/{name}.yaml: the add-on {name} has no Helm chart.",
                "Delete the file. docs/addons.md lists the add-ons that have a chart.",
                subjects=(name,),
            )
    return {
        name: addon.model_copy(update={"user_values": values.get(name, {})})
        for name, addon in catalog.items()
    }


def resolve(addon: Addon, settings: Settings, catalog: Mapping[str, Addon]) -> Addon:
    """Return the add-on as these settings specify it: only what meets its conditions is left.

    `${…}` references stay, because most are known only when the cluster exists.
    """

    def meets(when: Mapping[str, Any]) -> bool:
        return matches(when, settings, catalog)

    chosen = [variant for variant in addon.variants if meets(variant.when)]
    return addon.model_copy(
        update={
            "values": reduce(
                merge_values, (*(v.values for v in chosen), addon.user_values), addon.values
            ),
            "secrets": (*addon.secrets, *(secret for v in chosen for secret in v.secrets)),
            "before": (*addon.before, *(item for v in chosen for item in v.before)),
            "after": (*addon.after, *(item for v in chosen for item in v.after)),
            "workloads": tuple(w for w in addon.workloads if meets(w.when)),
            "aws": addon.aws if addon.aws and meets(addon.aws.when) else None,
            "variants": (),
        }
    )


def matches(when: Mapping[str, Any], settings: Settings, catalog: Mapping[str, Addon]) -> bool:
    """Return True when the settings meet all conditions (`Variant.when`)."""
    return all(_matches(name, expected, settings, catalog) for name, expected in when.items())


def _matches(name: str, expected: Any, settings: Settings, catalog: Mapping[str, Addon]) -> bool:
    if name.startswith("addon:"):
        addon = catalog.get(name.removeprefix("addon:"))
        return (addon is not None and is_enabled(addon, settings)) is expected
    value = getattr(settings, name)
    if isinstance(expected, bool):
        return bool(value) is expected
    return value in expected if isinstance(expected, list) else bool(value == expected)


def merge_values(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge values as Helm does: merge mappings, replace everything else."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = merge_values(old, value) if both and isinstance(old, dict) else value
    return merged


# -- Terraform -------------------------------------------------------------------------------------


def eks_addons(addons: Iterable[Addon], settings: Settings) -> dict[str, Any]:
    """Build Terraform's `eks_addons`: the EKS managed add-ons among these.

    Their configuration may refer only to settings, because no cluster exists yet.
    """
    known = settings_values(settings)
    return {
        addon.name: {
            "version": addon.version,
            "configuration": json.dumps(render(addon.configuration, known), sort_keys=True)
            if addon.configuration
            else None,
            "before_compute": addon.before_compute,
        }
        for addon in addons
        if addon.install == "eks"
    }


def pod_identities(addons: Iterable[Addon]) -> dict[str, Any]:
    """Build Terraform's `pod_identities`: the AWS permissions of each service account."""
    return dict(identity for addon in addons for identity in _identities(addon))


def _identities(addon: Addon) -> Iterator[tuple[str, dict[str, Any]]]:
    if addon.aws is not None:
        yield (
            addon.name,
            {
                "namespace": addon.namespace,
                "service_account": addon.aws.service_account,
                "managed_policies": list(addon.aws.managed_policies),
                "policy": _policy(addon.aws),
            },
        )
    if addon.mount_account:
        yield (
            f"{addon.name}-mount",
            {
                "namespace": addon.namespace,
                "service_account": addon.mount_account,
                "managed_policies": [],
                "policy": None,
                "mounts_file_system": True,
            },
        )


def _policy(identity: PodIdentity) -> str | None:
    if not identity.statements:
        return None
    return json.dumps(
        {"Version": "2012-10-17", "Statement": list(identity.statements)}, sort_keys=True
    )
