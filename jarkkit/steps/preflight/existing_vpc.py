"""Checks of an existing VPC."""

from __future__ import annotations

from collections.abc import Iterable

from jarkkit.decisions.existing_vpc import vpc_checks
from jarkkit.model.checks import Check
from jarkkit.steps.check_engine import CheckGroup
from jarkkit.steps.preflight.context import CheckContext

CHECKS = CheckGroup[CheckContext]("Account and Region")


@CHECKS.check("Existing VPC")
def existing_vpc(context: CheckContext) -> Iterable[Check]:
    """Check that an existing VPC has what EKS and its nodes need."""
    settings = context.settings
    if not settings.vpc_id:
        return []
    subnets = (*settings.private_subnet_ids, *settings.public_subnet_ids)
    return vpc_checks(settings, context.account.network.vpc(settings.vpc_id, subnets))
