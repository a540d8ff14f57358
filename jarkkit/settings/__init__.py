"""Every choice that a user can make: `fields` defines them, `validation` says which combinations
are invalid, `definition` is `Settings`, `sources` reads files, environment and options."""

from jarkkit.settings.definition import (
    Settings,
    field_metadata,
    fields_of,
    shorten,
    unknown_name_error,
)
from jarkkit.settings.fields import (
    CLUSTER_VERSIONS,
    FAMILIES,
    GROUPS,
    Accelerator,
    CapacityType,
    Family,
)

__all__ = [
    "CLUSTER_VERSIONS",
    "FAMILIES",
    "GROUPS",
    "Accelerator",
    "CapacityType",
    "Family",
    "Settings",
    "field_metadata",
    "fields_of",
    "shorten",
    "unknown_name_error",
]
