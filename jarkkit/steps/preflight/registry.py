"""All preflight checks, by topic. A new check is a decorated function in the module of its topic; a
new topic is a module, listed here."""

from __future__ import annotations

from jarkkit.model.checks import Report, with_group
from jarkkit.steps.check_engine import run_checks
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
from jarkkit.steps.preflight.context import CheckContext, fail_fast_without_access

# In the order in which you would check them.
CHECKS = (
    *machine.CHECKS,
    *network.CHECKS,
    *account.CHECKS,
    *existing_vpc.CHECKS,
    *capacity.CHECKS,
    *quotas.CHECKS,
    *permissions.CHECKS,
    *named_resources.CHECKS,
    *name_conflicts.CHECKS,
    *leftovers.CHECKS,
    *addons.CHECKS,
    *cost_and_time.CHECKS,
)


def preflight(context: CheckContext) -> Report:
    """Run all checks."""
    return Report(
        title="Will it work here?", checks=run_checks(CHECKS, fail_fast_without_access(context))
    )


def check_tools(context: CheckContext) -> Report:
    """Run only the checks of this machine."""
    checks = with_group("", run_checks(machine.CHECKS, context))
    return Report(title="Is this machine ready?", checks=checks)
