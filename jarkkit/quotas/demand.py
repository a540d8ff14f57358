"""What a deployment needs of each quota, from its settings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jarkkit.quotas import codes
from jarkkit.quotas.codes import Quota, vcpu_quota
from jarkkit.quotas.families import family_of, spot_family_of
from jarkkit.quotas.launches import Launch, attended, vcpus_each
from jarkkit.quotas.things import things
from jarkkit.quotas.values import Demand as Demand
from jarkkit.quotas.values import Either, Need
from jarkkit.records import InstanceType
from jarkkit.settings import Settings


def demand(
    settings: Settings, types: Mapping[str, InstanceType], *, p5_apart: bool = False
) -> Demand:
    """What the settings need of every quota.

    Args:
        types: the instance types that match `launches.patterns`, by name.
        p5_apart: the Region still lists the older quota of Spot P5 instances.
    """
    launching = attended(settings, types)
    parts = [part for launch in launching for part in _parts(launch, types, p5_apart)]
    vcpus = [
        _need([p for p in parts if p.quota == q]) for q in dict.fromkeys(p.quota for p in parts)
    ]
    blocks = [need for launch in launching if launch.reserved for need in _block(launch)]
    counted = things(settings, launching, types)
    return Demand(
        (*vcpus, *blocks, *(need for need in counted if need.most)),
        tuple(either for launch in launching for either in _either(launch, parts)),
    )


def relevant(settings: Settings) -> tuple[Quota, ...]:
    """The quotas that count for these settings, whatever the instance types are like."""
    both = (demand(settings, {}, p5_apart=apart) for apart in (False, True))
    found = dict.fromkeys(need.quota for each in both for need in each.needs)
    # Where that of Spot P5 is still listed, running P5 do not count against that of all other P.
    older = [codes.P5_SPOT] if vcpu_quota("P", "spot") in found else []
    return tuple(dict.fromkeys([*found, *older]))


@dataclass(frozen=True)
class _Part:
    """What one launch needs of one vCPU quota.

    Attributes:
        each: vCPUs of one instance; of a pool, of its smallest.
        only: no other quota would do.
    """

    launch: Launch
    quota: Quota
    each: int
    only: bool

    @property
    def most(self) -> int:
        """At the limit."""
        return max(self.launch.most_count * self.each, self.launch.max_vcpus)


def _parts(launch: Launch, types: Mapping[str, InstanceType], p5_apart: bool) -> Iterator[_Part]:
    quotas = _quotas(launch, p5_apart)
    for quota in quotas:
        yield _Part(launch, quota, vcpus_each(launch, types), only=len(quotas) == 1)


def _quotas(launch: Launch, p5_apart: bool) -> list[Quota]:
    families = {
        "on-demand": family_of(launch.family),
        "spot": spot_family_of(launch.family, p5_apart=p5_apart),
    }
    found = [(families[purchase], purchase) for purchase in launch.purchases]
    quotas = [vcpu_quota(family, purchase) for family, purchase in found if family]
    return [quota for quota in quotas if quota]


def _need(parts: Sequence[_Part]) -> Need:
    """Of one quota."""
    now = sum(part.launch.count * part.each for part in parts)
    starts = [part.each for part in parts if part.launch.must_start and part.only]
    least = now + max(starts, default=0)
    most = max(least, sum(part.most for part in parts))
    return Need(parts[0].quota, now, least, most, tuple(_said(part) for part in parts))


def _either(launch: Launch, parts: Iterable[_Part]) -> Iterator[Either]:
    own = [part for part in parts if part.launch == launch]
    if launch.must_start and len(own) > 1:
        yield Either(launch.what, tuple(part.quota.code for part in own), own[0].each)


def _block(launch: Launch) -> Iterator[Need]:
    quota = codes.CAPACITY_BLOCKS.get(launch.family)
    if quota:
        yield Need(quota, 0, 0, launch.max_vcpus, (f"Capacity Blocks of the {launch.what}",))


def _said(part: _Part) -> str:
    launch = part.launch
    if launch.count:
        more = f", at most {launch.most_count}" if launch.most_count > launch.count else ""
        return f"{launch.count} {launch.pattern} ({launch.what}{more})"
    least = f"from {part.each} " if launch.must_start else ""
    return f"{launch.what} {least}to {launch.max_vcpus}"
