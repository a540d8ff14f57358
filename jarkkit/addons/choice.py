"""Which add-ons a deployment has, and what Terraform makes for them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jarkkit.addons.catalogue import Addon, Chart, Identity, Secret, Workload, catalogue
from jarkkit.addons.words import fill
from jarkkit.settings import Settings, unknown_name

# Pods do not fill nodes to the brim: some of the room is in pieces too small for the next.
ROOM_SHARE = 0.85


def is_on(addon: Addon, settings: Settings) -> bool:
    """True when the settings switch it on. Karpenter has a setting of its own."""
    if addon.name == "karpenter":
        return settings.karpenter
    return settings.addons.get(addon.name, addon.default)


def chosen(settings: Settings) -> tuple[Addon, ...]:
    """The add-ons that the settings switch on. Raises JK-SETTINGS-UNKNOWN for unknown names."""
    known = catalogue()
    for name in settings.addons:
        if name not in known:
            raise unknown_name(name, known, source="addons")
    return tuple(addon for addon in known.values() if is_on(addon, settings))


def charts(settings: Settings) -> tuple[Chart, ...]:
    """The charts of the chosen add-ons."""
    return tuple(addon.chart for addon in chosen(settings) if addon.chart)


def holds(when: Mapping[str, Any], settings: Settings) -> bool:
    """True when all conditions hold (`Variant.when`)."""
    return all(_holds(name, wanted, settings) for name, wanted in when.items())


def _holds(name: str, wanted: Any, settings: Settings) -> bool:
    if name.startswith("addon:"):
        return is_on(catalogue()[name.removeprefix("addon:")], settings) is wanted
    value = getattr(settings, name)
    if isinstance(wanted, bool):
        return bool(value) is wanted
    return value in wanted if isinstance(wanted, list) else bool(value == wanted)


def values(addon: Addon, settings: Settings) -> dict[str, Any]:
    """The chart's values for these settings, `${…}` not yet filled in."""
    merged = addon.values
    for variant in addon.variants:
        if holds(variant.when, settings):
            merged = merge(merged, variant.values)
    return merged


def objects(addon: Addon, settings: Settings, moment: str) -> tuple[dict[str, Any] | str, ...]:
    """The objects `before` or `after`, `${…}` not yet filled in."""
    added = [getattr(v, moment) for v in addon.variants if holds(v.when, settings)]
    return (*getattr(addon, moment), *(thing for part in added for thing in part))


def secrets(addon: Addon, settings: Settings) -> tuple[Secret, ...]:
    """The Secrets that it wants made."""
    added = [v.secrets for v in addon.variants if holds(v.when, settings)]
    return (*addon.secrets, *(secret for part in added for secret in part))


def workloads(addon: Addon, settings: Settings) -> tuple[Workload, ...]:
    """What it brings up with these settings."""
    return tuple(w for w in addon.workloads if holds(w.when, settings))


def vcpus(settings: Settings, nodes: int) -> float:
    """What the pods of all chosen add-ons ask for together, on so many nodes."""
    return sum(w.vcpus(nodes) for a in chosen(settings) for w in workloads(a, settings))


def merge(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Helm's way: mappings are merged, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = merge(old, value) if both and isinstance(old, dict) else value
    return merged


# -- Terraform -------------------------------------------------------------------------------------


def eks_addons(settings: Settings) -> dict[str, Any]:
    """Terraform's `eks_addons`: the chosen EKS managed add-ons."""
    return {
        addon.name: {
            "version": addon.version,
            "configuration": _configuration(addon, settings),
            "before_compute": addon.before_compute,
        }
        for addon in chosen(settings)
        if addon.install == "eks"
    }


def _configuration(addon: Addon, settings: Settings) -> str | None:
    """What is known before there is a cluster may be referred to."""
    if not addon.configuration:
        return None
    known = {f"settings.{k}": v for k, v in settings.model_dump(mode="json").items()}
    return json.dumps(fill(addon.configuration, known), sort_keys=True)


def pod_identities(settings: Settings) -> dict[str, Any]:
    """Terraform's `pod_identities`: who gets which AWS permissions."""
    return {
        addon.name: {
            "namespace": addon.namespace,
            "service_account": addon.aws.service_account,
            "managed_policies": list(addon.aws.managed_policies),
            "policy": _policy(addon.aws),
        }
        for addon in chosen(settings)
        if addon.aws is not None and holds(addon.aws.when, settings)
    }


def needs_file_system(settings: Settings) -> bool:
    """True when a chosen add-on stores its data on Amazon EFS."""
    return any(addon.file_system for addon in chosen(settings))


def _policy(identity: Identity) -> str | None:
    if not identity.statements:
        return None
    return json.dumps(
        {"Version": "2012-10-17", "Statement": list(identity.statements)}, sort_keys=True
    )
