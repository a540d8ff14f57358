"""The catalogue: what can be installed, as data. Adding an add-on is adding one YAML file.

The AWS layer reads two things from it: which EKS managed add-ons to create, and which AWS
permissions an add-on's service account gets through EKS Pod Identity.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from jarkkit.settings import Settings, unknown_name


class Identity(BaseModel):
    """AWS permissions of a service account, given through EKS Pod Identity.

    Attributes:
        managed_policies: names of AWS managed policies, with their path.
        statements: a policy of the add-on's own. `${partition}`, `${region}`, `${account_id}`,
            `${cluster_name}`, `${cluster_arn}` and `${artifact_bucket}` are filled in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    service_account: str
    managed_policies: tuple[str, ...] = ()
    statements: tuple[dict[str, Any], ...] = ()


class Addon(BaseModel):
    """One entry of the catalogue.

    Attributes:
        what: one paragraph: what it is and why one wants it.
        install: `eks` for an EKS managed add-on; `role` for one that gets its AWS permissions
            here and is installed into the cluster by other means.
        version: of the EKS managed add-on; None takes the newest for the cluster's version.
        before_compute: installed before the first node, because nodes need it to become Ready.
        needs: settings that must be on for it to get its permissions (`artifact_bucket`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    what: str
    install: Literal["eks", "role"] = "eks"
    namespace: str
    default: bool = True
    needs: tuple[str, ...] = ()
    version: str | None = None
    before_compute: bool = False
    configuration: dict[str, Any] = Field(default_factory=dict)
    aws: Identity | None = None
    file_system: bool = False
    link: str


@cache
def catalogue() -> Mapping[str, Addon]:
    """All add-ons by name, in the order of their names."""
    folder = resources.files(__name__) / "catalog"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda f: f.name
    )
    addons = {}
    for file in files:
        name = file.name.removesuffix(".yaml")
        addons[name] = Addon.model_validate({"name": name, **yaml.safe_load(file.read_text())})
    return addons


def chosen(settings: Settings) -> tuple[Addon, ...]:
    """The add-ons that the settings switch on. Raises JK-SETTINGS-UNKNOWN for unknown names."""
    known = catalogue()
    for name in settings.addons:
        if name not in known:
            raise unknown_name(name, known, source="addons")
    return tuple(a for a in known.values() if settings.addons.get(a.name, a.default))


def eks_addons(settings: Settings) -> dict[str, Any]:
    """Terraform's `eks_addons`: the chosen EKS managed add-ons."""
    return {
        addon.name: {
            "version": addon.version,
            "configuration": json.dumps(addon.configuration, sort_keys=True)
            if addon.configuration
            else None,
            "before_compute": addon.before_compute,
        }
        for addon in chosen(settings)
        if addon.install == "eks"
    }


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
        if addon.aws is not None and all(getattr(settings, need) for need in addon.needs)
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
