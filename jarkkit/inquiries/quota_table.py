"""What a deployment needs of quotas, against what the account has: asked side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from jarkkit import zones
from jarkkit.aws import Account
from jarkkit.aws.asking import together
from jarkkit.errors import JarkkitError
from jarkkit.quotas.codes import P5_SPOT, Quota
from jarkkit.quotas.demand import demand, relevant
from jarkkit.quotas.judge import judge, strange, vcpus_in_use
from jarkkit.quotas.launches import patterns
from jarkkit.quotas.table import QuotaTable
from jarkkit.quotas.values import Demand, Increase, InForce, InUse, Running
from jarkkit.records import InstanceType
from jarkkit.settings import Settings
from jarkkit.survey.region import known


def quota_table(account: Account, settings: Settings) -> QuotaTable:
    """Ask and compare. What could not be asked is in its rows, with the reason."""
    return standing(account, settings, patterns(settings), relevant(settings)).table(settings)


@dataclass(frozen=True)
class Standing:
    """How an account stands with its quotas in one Region: what it said, or why not.

    Attributes:
        home: where the quotas of services without Regions are kept.
    """

    region: str
    home: str
    types: Mapping[str, InstanceType] | JarkkitError
    values: Mapping[str, InForce | JarkkitError | None]
    running: tuple[Running, ...] | JarkkitError
    counts: Mapping[str, InUse | JarkkitError]
    requests: tuple[Increase, ...] | JarkkitError

    @property
    def p5_apart(self) -> bool:
        """Whether the Region still lists the older quota of Spot P5 instances."""
        return isinstance(self.values.get(P5_SPOT.code), InForce)

    def table(self, settings: Settings) -> QuotaTable:
        """What the settings need against it. Calls nobody."""
        needed = demand(settings, known(self.types) or {}, p5_apart=self.p5_apart)
        requests = self.requests
        rows = judge(
            needed,
            self.values,
            self.uses(needed),
            region=self.region,
            home=self.home,
            pending=known(requests) or (),
        )
        return QuotaTable(
            region=self.region,
            rows=rows,
            strange=strange(known(self.running) or ()),
            pending_unknown=requests.message if isinstance(requests, JarkkitError) else "",
            pending_code=requests.code if isinstance(requests, JarkkitError) else "",
        )

    def uses(self, needed: Demand) -> dict[str, InUse | JarkkitError]:
        """What is in use, by quota code."""
        found = dict(self.counts)
        for quota in (need.quota for need in needed.needs if need.quota.family):
            if isinstance(self.types, JarkkitError):
                found[quota.code] = self.types  # without sizes the need is not known either
            elif isinstance(self.running, JarkkitError):
                found[quota.code] = self.running
            else:
                found[quota.code] = vcpus_in_use(self.running, quota, p5_apart=self.p5_apart)
        return found


def standing(
    account: Account, settings: Settings, types: Iterable[str], quotas: Iterable[Quota]
) -> Standing:
    """Ask.

    Args:
        types: patterns of the instance types that must be known.
        quotas: those that count.
    """
    questions: dict[str, Callable[[], Any]] = {
        "types": lambda: account.instance_types.matching(types),
        "values": lambda: account.quotas.in_force(quotas),
        "running": lambda: account.usage.running(settings.name, settings.capacity_reservations),
        "counts": lambda: account.usage.counts(settings.name, _zones(account, settings)),
        "requests": account.quotas.requests,
    }
    # Two of them have an error per quota, and raise none.
    answers = cast("dict[str, Any]", together(questions))
    return Standing(account.region, account.quotas.home, **answers)


def _zones(account: Account, settings: Settings) -> tuple[str, ...]:
    """The zones that will be used; none where that is not known yet."""
    try:
        offered = account.offerings(zones.instance_patterns(settings))
        return zones.choose(settings, account.zones(), offered)
    except JarkkitError:
        return ()
