"""What the kit and Terraform may do in an account: as data, as policies, as questions. Pure."""

from jarkkit.permissions.statements import Statement, needed

__all__ = ["Statement", "needed"]
