"""The deployment's settings, defined once.

The fields of `Settings` feed the settings file, the environment (`JARKKIT_…`), `-p KEY=VALUE`, the
notebooks' parameters, the form, Terraform's variables and docs/settings.md. This module does no
I/O: `sources` reads values, `fields` defines them, `validation` checks them against each other.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import yaml
from pydantic import (
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import NetworkLayout
from jarkkit.settings.fields import GROUPS, SettingsFields
from jarkkit.settings.validation import rule_violations


class Settings(SettingsFields):
    """The settings of one deployment. Frozen; rejects unknown names."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if found := rule_violations(self):
            problems = "; ".join(violation.message for violation in found)
            names = [name for violation in found for name in violation.settings]
            raise PydanticCustomError("rules", "{problems}", {"problems": problems, "names": names})
        return self

    # -- reading -----------------------------------------------------------------------------

    @classmethod
    def from_values(cls, values: Mapping[str, Any], *, source: str = "settings") -> Self:
        """Return the settings with these values, and defaults for all others.

        `source` is where the values came from, for the message. Raises JK-SETTINGS-UNKNOWN for
        unknown names, JK-SETTINGS-INVALID for all invalid values at once.
        """
        unknown = [name for name in values if name not in cls.model_fields]
        if unknown:
            raise unknown_name_error(unknown[0], cls.model_fields, source=source)
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            details = error.errors()
            raise JarkkitError(
                "JK-SETTINGS-INVALID",
                f"In {source}: " + "; ".join(_messages(details)) + ".",
                "Correct the value. docs/settings.md describes each setting and its limits.",
                subjects=[name for detail in details for name in _names(detail)],
            ) from None

    def with_changes(self, values: Mapping[str, Any], *, source: str = "the change") -> Self:
        """Return these settings with some values replaced.

        Raises JK-SETTINGS-UNKNOWN and JK-SETTINGS-INVALID.
        """
        return self.from_values({**self.model_dump(), **values}, source=source)

    # -- writing -----------------------------------------------------------------------------

    def to_yaml(self) -> str:
        """Return the settings file: every setting by group, each with an explanation."""
        dumped = self.model_dump(mode="json")
        parts = ["# Settings of a jarkkit deployment. docs/settings.md describes each of them."]
        for group in GROUPS:
            parts.append(f"\n# --- {group} " + "-" * (86 - len(group)))
            for name in fields_of(group):
                parts += [
                    f"# {line}"
                    for line in _wrapped(type(self).model_fields[name].description or "")
                ]
                text = yaml.safe_dump({name: dumped[name]}, sort_keys=False, allow_unicode=True)
                parts.append(text.rstrip())
        return "\n".join(parts) + "\n"

    def digest(self) -> str:
        """Return a short fingerprint: equal settings have equal digests."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def to_tfvars(
        self,
        *,
        layout: NetworkLayout,
        cluster_version: str,
        node_version: str,
        node_release_version: str,
        eks_addons: Mapping[str, Any],
        pod_identities: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return Terraform's variables (terraform.tfvars.json).

        The plan step decides the versions, pins the zones and the nodes' AMI, and the add-on maps
        come from the catalog; every other variable is a setting of the same name. Secrets are not
        variables: Terraform writes its variables into its state.
        """
        same = {name: getattr(self, name) for name in _TERRAFORM_NAMES}
        existing = {
            "vpc_id": self.vpc_id,
            "private_subnet_ids": self.private_subnet_ids,
            "public_subnet_ids": self.public_subnet_ids,
            "initial_subnet_ids": layout.initial_subnets,
        }
        return {
            **same,
            "existing_vpc": existing if self.vpc_id else None,
            "availability_zones": list(layout.zones),
            "initial_zones": list(layout.initial_zones),
            "cluster_version": cluster_version,
            "node_version": node_version,
            "node_release_version": node_release_version or None,
            "eks_addons": dict(eks_addons),
            "pod_identities": dict(pod_identities),
            "efs": self.shared_files,
        }


# Of one setting: a list can have many invalid items.
_MAX_MESSAGES = 3
_TERRAFORM_NAMES = (
    "name", "region", "tags", "vpc_cidr", "pod_cidr", "nat",
    "endpoint_public_cidrs", "cluster_log_types", "log_retention_days", "admin_principals",
    "permissions_boundary_arn",
    "core_instance_type", "core_nodes", "core_nodes_max", "core_disk_gib", "karpenter",
    "static_gpu_instance_type", "static_gpu_nodes", "artifact_bucket", "managed_prometheus",
    "budget_usd_per_month", "budget_emails",
)  # fmt: skip


# -- field metadata --------------------------------------------------------------------------------


def fields_of(group: str) -> list[str]:
    """Return the names of the settings in a group, in their order."""
    fields = Settings.model_fields.items()
    return [name for name, field in fields if field_metadata(field)["group"] == group]


def field_metadata(field: Any) -> dict[str, str]:
    """Return group and unit of a field of `Settings`, and what its pattern expects."""
    return dict(field.json_schema_extra)


def unknown_name_error(name: str, known: Iterable[str], *, source: str) -> JarkkitError:
    """Return a JK-SETTINGS-UNKNOWN error that suggests the nearest known name."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else "Use a name that docs/settings.md lists."
    return JarkkitError(
        "JK-SETTINGS-UNKNOWN", f"{source} names {shorten(repr(name))}, which does not exist.", hint
    )


# -- validation messages ---------------------------------------------------------------------------


def _explain(detail: ErrorDetails) -> str:
    """Return the message about one invalid value. Never shows the value of a secret reference."""
    name = shorten(".".join(str(part) for part in detail["loc"]))
    if detail["type"] == "rules":
        return shorten(detail["msg"], 600)
    if detail["type"] in ("secret", "cidr"):
        value = "" if detail["type"] == "secret" else f" {shorten(repr(detail['input']))}"
        return f"{name}{value} {shorten(detail['msg'])}"
    if detail["type"] == "extra_forbidden":
        return f"{name} does not exist"
    field = Settings.model_fields.get(str(detail["loc"][0])) if detail["loc"] else None
    if detail["type"] == "string_pattern_mismatch" and field:
        return (
            f"{name} = {shorten(repr(detail['input']))} is not {field_metadata(field)['expects']}"
        )
    message = shorten(f"{detail['msg'][0].lower()}{detail['msg'][1:]}")
    return f"{name} = {shorten(repr(detail['input']))}: {message}"


def _messages(details: Sequence[ErrorDetails]) -> Iterable[str]:
    """Yield the messages, of each setting the first few, and how many more there are."""
    counts: dict[str, int] = {}
    for detail in details:
        name = str(detail["loc"][:1])
        counts[name] = counts.get(name, 0) + 1
        if counts[name] <= _MAX_MESSAGES or detail["type"] == "rules":
            yield _explain(detail)
    if more := sum(max(0, n - _MAX_MESSAGES) for name, n in counts.items() if name != "()"):
        yield f"and {more} more"


def shorten(text: str, limit: int = 120) -> str:
    """Return the text, cut where it is too long to read."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _names(detail: ErrorDetails) -> Sequence[str]:
    """Return the settings that an invalid value is about."""
    names: Sequence[str] = detail["ctx"]["names"] if detail["type"] == "rules" else ()
    return names or [str(part) for part in detail["loc"][:1]]


def _wrapped(text: str, width: int = 94) -> list[str]:
    return textwrap.wrap(text, width)
