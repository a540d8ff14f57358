"""Checks of an existing VPC."""

from __future__ import annotations

from collections.abc import Iterable

from jarkkit.decisions.existing_vpc import vpc_checks
from jarkkit.model.checks import Check
from jarkkit.steps.preflight.runner import CheckContext, CheckFunction


def existing_vpc(context: CheckContext) -> Iterable[Check]:
    """Existing VPC"""
    settings = context.settings
    if not settings.vpc_id:
        return []
    subnets = (*settings.private_subnet_ids, *settings.public_subnet_ids)
    return vpc_checks(settings, context.account.network.vpc(settings.vpc_id, subnets))


CHECKS: tuple[CheckFunction, ...] = (existing_vpc,)
