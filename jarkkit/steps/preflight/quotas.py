"""Checks of service quotas."""

from __future__ import annotations

from collections.abc import Iterator

from jarkkit.decisions.quotas.checks import attendee_checks, quota_checks
from jarkkit.decisions.quotas.subnet_addresses import check_free_addresses
from jarkkit.model.checks import Check
from jarkkit.steps.check_engine import CheckGroup
from jarkkit.steps.preflight.context import CheckContext
from jarkkit.steps.queries.quota_table import quota_table

CHECKS = CheckGroup[CheckContext]("Quotas")


@CHECKS.check("Service quotas")
def quotas(context: CheckContext) -> Iterator[Check]:
    """Check that the quotas suffice, one result per quota."""
    yield from quota_checks(quota_table(context.account, context.stack))


@CHECKS.check("Pool limits")
def pool_limits(context: CheckContext) -> Iterator[Check]:
    """Check that the pools' limits suffice for the attendees."""
    types = context.account.instance_types.matching(context.stack.instance_patterns)
    yield from attendee_checks(context.stack, types)


@CHECKS.check("Free addresses in the subnets")
def addresses(context: CheckContext) -> Iterator[Check]:
    """Check that the subnets of an existing VPC have enough free addresses."""
    ids = context.settings.private_subnet_ids
    if ids:
        types = context.account.instance_types.matching(context.stack.instance_patterns)
        usage = context.account.usage
        running = usage.running_instances(
            context.settings.name, context.settings.capacity_reservations
        )
        own = sum(item.count for item in running if item.own and not item.idle)
        yield check_free_addresses(context.stack, usage.subnets(ids), types, running=own)
