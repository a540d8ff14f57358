"""All preflight checks, by topic. A new check is a function in the module of its topic, listed at
that module's end; a new topic is a module, listed here. `runner` runs them."""

from __future__ import annotations

from jarkkit.model.checks import Report
from jarkkit.steps.preflight import (
    account,
    addons,
    capacity,
    cost_and_time,
    existing_vpc,
    leftovers,
    machine,
    name_conflicts,
    named_resources,
    network,
    permissions,
    quotas,
)
from jarkkit.steps.preflight.runner import (
    CheckContext,
    CheckFunction,
    fail_fast_without_access,
    run_checks,
)

# Grouped by topic, in the order in which you would check them.
CHECKS: dict[str, tuple[CheckFunction, ...]] = {
    "This machine": (*machine.CHECKS, *network.CHECKS),
    "Account and Region": (*account.CHECKS, *existing_vpc.CHECKS, *capacity.CHECKS),
    "Quotas": quotas.CHECKS,
    "Permissions": permissions.CHECKS,
    "Resources that settings name": named_resources.CHECKS,
    "Name conflicts and leftovers": (*name_conflicts.CHECKS, *leftovers.CHECKS),
    "Add-ons": addons.CHECKS,
    "Cost and time": cost_and_time.CHECKS,
}


def preflight(context: CheckContext) -> Report:
    """Run all checks."""
    return Report(
        title="Will it work here?", checks=run_checks(CHECKS, fail_fast_without_access(context))
    )


def check_tools(context: CheckContext) -> Report:
    """Run only the checks of this machine."""
    return Report(title="Is this machine ready?", checks=run_checks({"": machine.CHECKS}, context))
