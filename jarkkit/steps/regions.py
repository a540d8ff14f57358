"""Compare Regions: query all of them in parallel with the same calls.

A Region that is unreachable or rejects a call becomes a row with unknowns and the reason; the other
rows are complete. Only a failure in every Region (no credentials, expired ones) raises an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from jarkkit.decisions.costs.price_table import PriceTable
from jarkkit.decisions.quotas.quota_codes import ServiceQuota
from jarkkit.decisions.regions import (
    RegionComparison,
    RegionFacts,
    rank_regions,
    region_result,
    settings_in_region,
)
from jarkkit.decisions.regions.capacity_signals import vcpu_quotas
from jarkkit.decisions.regions.region_result import price_sources, smallest_types
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.errors import CredentialsError, JarkkitError
from jarkkit.model.unknown import Unknown, known_or_none
from jarkkit.ports.aws import Account
from jarkkit.ports.aws.concurrency import gather
from jarkkit.settings import Settings
from jarkkit.steps.aws_layer import check_region
from jarkkit.steps.queries import capacity_signals

# Concurrent calls, five per Region: nearly all of the time is waiting, and no Region gets many
# calls.
_AT_ONCE = 96

K = TypeVar("K")


def compare_regions(
    account: Account,
    settings: Settings,
    table: PriceTable,
    *,
    made: str,
    only: Sequence[str] = (),
) -> RegionComparison:
    """Compare Regions for these settings.

    Args:
        account: the account, in any Region.
        made: the current UTC time, ISO 8601.
        only: compare only these Regions; when empty, all Regions enabled in the account.

    Raises JK-REGION-UNKNOWN, JK-AWS-NO-CREDENTIALS, JK-AWS-EXPIRED.
    """
    with_eks = account.known_regions()
    for region in only:
        check_region(region, with_eks)
    stack = ResolvedStack.from_settings(settings)
    enabled, note = _enabled(account, stack)
    names = tuple(dict.fromkeys(only)) or enabled or (settings.region,)
    found = {n: RegionFacts(n, n in with_eks, not enabled or n in enabled) for n in names}
    accounts = {n: account.in_region(n) for n, f in found.items() if f.eks and f.enabled}
    found |= _Collector(stack, account, accounts).facts()
    fresh = {k: v for a in accounts.values() for k, v in a.pricing.cached_prices().items()}
    table = table.with_fresh(fresh)
    stacks = {n: ResolvedStack.from_settings(settings_in_region(settings, n)) for n in found}
    rows = [region_result(stacks[n], f, table, today=made[:10]) for n, f in found.items()]
    sources = price_sources(rows, table)
    notes = (note, f"On-Demand prices: {sources}." if sources else "")
    return rank_regions(settings, rows, made=made, notes=filter(None, notes))


def _enabled(account: Account, stack: ResolvedStack) -> tuple[tuple[str, ...], str]:
    """Return the account's enabled Regions; if that call fails, none and the reason.

    In parallel, read the quota catalog, which the other queries need.
    """
    found = gather(
        {
            "Regions": account.availability.enabled_regions,
            "quota catalog": lambda: vcpu_quotas(stack),
        }
    )["Regions"]
    if not isinstance(found, Unknown):
        return tuple(map(str, found)), ""
    if isinstance(found.reason, CredentialsError):
        raise found.reason  # they fail in every Region
    why = f"{found.reason.message.rstrip('.')} ({found.reason.code})"
    return (), f"Cannot list the enabled Regions: {why}. Name Regions with --region."


@dataclass(frozen=True)
class _Collector:
    """Queries the Regions.

    Attributes:
        accounts: the account in each queried Region.
    """

    stack: ResolvedStack
    account: Account
    accounts: Mapping[str, Account]

    def facts(self) -> dict[str, RegionFacts]:
        """Return what each Region answered."""
        latencies = self._gather(
            {n: a.availability.connect_seconds for n, a in self.accounts.items()}
        )
        reached = [n for n, latency in latencies.items() if not isinstance(latency, Unknown)]
        answers = {n: RegionFacts(n, latency=latency) for n, latency in latencies.items()}
        answers |= self._answers(reached, answers)
        accounts = {n: self.accounts[n] for n in reached}
        types = {n: known_or_none(answers[n].types) or {} for n in reached}
        signals = capacity_signals.capacity_signals(
            self.account, accounts, self.stack.settings, types
        )
        return {n: replace(f, signals=signals.get(n, ())) for n, f in answers.items()}

    def _gather(self, queries: Mapping[K, Callable[[], Any]]) -> dict[K, Any]:
        return gather(queries, max_workers=_AT_ONCE)

    def _answers(
        self, names: Sequence[str], before: Mapping[str, RegionFacts]
    ) -> dict[str, RegionFacts]:
        """Return the facts of these Regions, with the answers to all queries."""
        quotas = vcpu_quotas(self.stack)
        queries = {
            (name, field): query
            for name in names
            for field, query in self._queries(self.accounts[name], quotas).items()
        }
        found: dict[str, dict[str, Any]] = {name: {} for name in names}
        for (name, field), answer in self._gather(queries).items():
            found[name] |= answer if isinstance(answer, dict) else {field: answer}
        return {name: replace(before[name], **answers) for name, answers in found.items()}

    def _queries(
        self, account: Account, quotas: Sequence[ServiceQuota]
    ) -> Mapping[str, Callable[[], dict[str, Any]]]:
        """Return the queries of one Region, by the first field of its facts that each fills."""
        return {
            "types": partial(self._types_and_prices, account),
            "quotas": lambda: {"quotas": account.quotas.applied_quotas(quotas)},
            "zones": lambda: {"zones": account.availability.zones()},
            "versions": lambda: {"versions": account.availability.cluster_versions()},
            "running": partial(self._running, account),
        }

    def _running(self, account: Account) -> dict[str, Any]:
        s = self.stack.settings
        return {"running": account.usage.running_instances(s.name, s.capacity_reservations)}

    def _types_and_prices(self, account: Account) -> dict[str, Any]:
        """Return the offered types and the Spot prices of the smallest ones."""
        patterns = self.stack.instance_patterns
        types = account.availability.zones_by_type(patterns)
        try:
            spot: Any = account.availability.spot_prices(smallest_types(patterns, types))
        except JarkkitError as error:
            spot = Unknown(error)
        return {"types": types, "spot": spot}
