"""The permissions that jarkkit and Terraform need: as data, policies and simulations. Pure."""

from jarkkit.decisions.permissions.statements import (
    AppliedPermissions,
    Statement,
    applied_permissions,
    deployment_statements,
    needed_statements,
)

__all__ = [
    "AppliedPermissions",
    "Statement",
    "applied_permissions",
    "deployment_statements",
    "needed_statements",
]
