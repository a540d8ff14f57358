"""Compares the quotas that a deployment needs with the account's, queried in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from jarkkit.decisions import zones
from jarkkit.decisions.quotas.evaluation import compare_quotas, unknown_instance_types, vcpus_in_use
from jarkkit.decisions.quotas.models import (
    AppliedQuota,
    QuotaRequirements,
    QuotaUsage,
    RequestedQuotaIncrease,
    RunningInstances,
)
from jarkkit.decisions.quotas.quota_codes import P5_SPOT, ServiceQuota
from jarkkit.decisions.quotas.requirements import quota_requirements, relevant_quotas
from jarkkit.decisions.quotas.table import QuotaTable
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.errors import JarkkitError
from jarkkit.model.records import InstanceType
from jarkkit.model.unknown import Unknown, known_or_none
from jarkkit.ports.aws import Account
from jarkkit.ports.aws.concurrency import gather


def quota_table(account: Account, stack: ResolvedStack) -> QuotaTable:
    """Query and compare; a row whose query failed holds the reason."""
    quotas = relevant_quotas(stack)
    return quota_snapshot(account, stack, stack.instance_patterns, quotas).table(stack)


@dataclass(frozen=True)
class QuotaSnapshot:
    """An account's quotas and usage in one Region.

    Attributes:
        global_region: the Region that keeps the quotas of global services.
    """

    region: str
    global_region: str
    types: Mapping[str, InstanceType] | Unknown
    values: Mapping[str, AppliedQuota | Unknown | None]
    running: tuple[RunningInstances, ...] | Unknown
    counts: Mapping[str, QuotaUsage | Unknown]
    requests: tuple[RequestedQuotaIncrease, ...] | Unknown

    @property
    def has_p5_spot_quota(self) -> bool:
        """Whether the Region still lists the older quota for Spot P5 instances."""
        return isinstance(self.values.get(P5_SPOT.code), AppliedQuota)

    def table(self, stack: ResolvedStack) -> QuotaTable:
        """Compare the stack's needs with it. Makes no calls."""
        needed = quota_requirements(
            stack, known_or_none(self.types) or {}, has_p5_spot_quota=self.has_p5_spot_quota
        )
        requests = self.requests
        rows = compare_quotas(
            needed,
            self.values,
            self.usage(needed),
            region=self.region,
            home=self.global_region,
            pending=known_or_none(requests) or (),
        )
        return QuotaTable(
            region=self.region,
            rows=rows,
            strange=unknown_instance_types(known_or_none(self.running) or ()),
            pending_unknown=requests.reason.message if isinstance(requests, Unknown) else "",
            pending_code=requests.reason.code if isinstance(requests, Unknown) else "",
        )

    def usage(self, needed: QuotaRequirements) -> dict[str, QuotaUsage | Unknown]:
        """Return the usage by quota code."""
        found = dict(self.counts)
        for quota in (need.quota for need in needed.requirements if need.quota.family):
            if isinstance(self.types, Unknown):
                found[quota.code] = self.types  # without sizes the need is unknown, too
            elif isinstance(self.running, Unknown):
                found[quota.code] = self.running
            else:
                found[quota.code] = vcpus_in_use(
                    self.running, quota, has_p5_spot_quota=self.has_p5_spot_quota
                )
        return found


def quota_snapshot(
    account: Account, stack: ResolvedStack, types: Iterable[str], quotas: Iterable[ServiceQuota]
) -> QuotaSnapshot:
    """Query the account.

    Args:
        types: patterns of the required instance types.
        quotas: the relevant quotas.
    """
    settings = stack.settings
    queries: dict[str, Callable[[], Any]] = {
        "types": lambda: account.instance_types.matching(types),
        "values": lambda: account.quotas.applied_quotas(quotas),
        "running": lambda: account.usage.running_instances(
            settings.name, settings.capacity_reservations
        ),
        "counts": lambda: account.usage.usage_by_quota(settings.name, _zones(account, stack)),
        "requests": account.quotas.increase_requests,
    }
    # Two of the queries never fail as a whole: each of their values can be unknown.
    answers = cast("dict[str, Any]", gather(queries))
    return QuotaSnapshot(account.region, account.quotas.home_region, **answers)


def _zones(account: Account, stack: ResolvedStack) -> tuple[str, ...]:
    """Return the zones that the deployment will use; none where unknown."""
    try:
        offered = account.offerings(stack.instance_patterns)
        return zones.choose_zones(stack.settings, account.zones(), offered)
    except JarkkitError:
        return ()
