"""How long a deploy and a cleanup take, before there is a plan: from the settings alone. Pure.

The critical path is what a reader has to wait for, part by part. Figures are seconds on real AWS:

- control plane: 8 min 33 s and 10 min 6 s in logs of 2024 and 2025, 13 to 16 min by Region in a
  survey; `rain forecast` ships 544 s. Deletion: 15 min in a log of 2020, about half of that today.
- node group 160, NAT gateway 106, EKS add-on 15, VPC 12 (`rain forecast`); deletion of a node group
  "upwards of 10 min" with four instances (cloud-nuke), otherwise about five.
- Add-ons on top of EKS: 3 to 10 min together in the published guides of similar stacks; divided
  here by what each brings up, since nobody publishes them one by one.

What this home's own deployments took replaces the published figure of each part.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

from jarkkit.addons.catalogue import Addon
from jarkkit.addons.choice import chosen, needs_file_system
from jarkkit.addons.order import Needs, needs
from jarkkit.costs.amounts import expected_cpu_nodes
from jarkkit.durations.resources import CREATE_SECONDS, DELETE_SECONDS
from jarkkit.records import Record, Seconds
from jarkkit.settings import Settings
from jarkkit.tables import Told, html_table

TimedStep = Literal["deploy", "cleanup"]
# How far a published figure may be off, as factors; where the sources differ, by what they say.
_USUAL = (0.7, 2.0)
_SPREAD: Mapping[tuple[str, str], tuple[float, float]] = {
    ("create", "aws_eks_cluster"): (0.9, 1.8),
    ("delete", "aws_eks_cluster"): (0.6, 1.9),
    ("delete", "aws_eks_node_group"): (0.5, 2.2),
}
# Own runs are few: a little wider than what they took.
_OWN = (0.9, 1.1)
_SMALL = 60.0  # IAM, security groups, log groups, and what is between the parts
# Seconds of an add-on: image and start; a volume; what an operator makes afterwards.
_START, _VOLUME, _OPERATED, _MANAGED = 45.0, 25.0, 120.0, 5.0
_AT_A_TIME = 5  # add-ons (cluster/installer.py)
_NEW_NODES = 90.0  # until Karpenter's node is Ready
_EMPTYING, _NODES_GOING, _NETWORK_GOING = 120.0, 120.0, 40.0


@dataclass(frozen=True)
class Past:
    """What parts took before, in seconds: by `create`, `delete` or `addon`, and the Terraform type
    or the add-on's name."""

    seconds: Mapping[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)

    def of(self, action: str, name: str) -> tuple[float, ...]:
        """What that part took, each time."""
        return self.seconds.get((action, name), ())


class Leg(Record):
    """One part of the way.

    Attributes:
        runs: how many own runs the figure is of; 0 for a published one.
    """

    name: str
    seconds: Seconds
    runs: int = 0


class Estimate(Told, Record):
    """How long a step takes on AWS.

    Attributes:
        path: what has to be waited for, one after the other.
    """

    step: TimedStep
    path: tuple[Leg, ...]

    @property
    def seconds(self) -> Seconds:
        """All of it."""
        return reduce(_plus, (leg.seconds for leg in self.path), _NO_TIME)

    @property
    def brief(self) -> str:
        """Minutes, with the range."""
        whole = self.seconds
        return f"about {minutes(whole.likely)} min ({minutes(whole.low)} to {minutes(whole.high)})"

    @property
    def summary(self) -> str:
        """One line, with the longest waits."""
        longest = sorted(self.path, key=lambda leg: -leg.seconds.likely)[:3]
        waits = ", ".join(f"{leg.name} {minutes(leg.seconds.likely)}" for leg in longest)
        own = " Own runs are counted." if any(leg.runs for leg in self.path) else ""
        return f"{self.step} takes {self.brief} on AWS; the longest waits: {waits} min.{own}"

    def text(self) -> str:
        """For a terminal: the critical path."""
        lines = [f"  {span(leg.seconds.likely):>8}  {leg.name}" for leg in self.path]
        return "\n".join([self.summary[:1].upper() + self.summary[1:], *lines])


class Times(Told, Record):
    """Both."""

    deploy: Estimate
    cleanup: Estimate

    def text(self) -> str:
        """For a terminal."""
        return f"{self.deploy.text()}\n{self.cleanup.text()}"

    def _repr_html_(self) -> str:
        return "".join(
            html_table(
                ("Waited for", "Likely", "At least", "At most", "From"),
                [
                    (
                        leg.name,
                        *(span(s) for s in (leg.seconds.likely, leg.seconds.low, leg.seconds.high)),
                        f"{leg.runs} own runs" if leg.runs else "published",
                    )
                    for leg in estimate.path
                ],
                title=estimate.summary[:1].upper() + estimate.summary[1:],
            )
            for estimate in (self.deploy, self.cleanup)
        )


_NO_TIME = Seconds(low=0, likely=0, high=0)


def times(settings: Settings, past: Past | None = None, *, clusters: bool = True) -> Times:
    """How long these settings take to build and to remove.

    Args:
        past: of deployments of the same kind, real or rehearsed.
        clusters: False where there is no cluster layer.
    """
    past = past or Past()
    up, down = _aws_up(settings, past), _aws_down(settings, past)
    if clusters:
        up = [*up, *_cluster_up(settings, past)]
        down = [*_cluster_down(settings), *down]
    return Times(
        deploy=Estimate(step="deploy", path=tuple(up)),
        cleanup=Estimate(step="cleanup", path=tuple(down)),
    )


def cluster_layer_seconds(settings: Settings) -> float:
    """The published part of the way up that comes after Terraform."""
    return sum(leg.seconds.likely for leg in _cluster_up(settings, Past()))


def span(seconds: float) -> str:
    """A time for people."""
    return f"{minutes(seconds)} min" if seconds >= 60 else f"{seconds:.0f} s"


def minutes(seconds: float) -> str:
    """Minutes, with halves below ten."""
    value = seconds / 60
    return f"{value:.0f}" if value >= 10 else f"{round(value * 2) / 2:g}" if value >= 1 else "1"


# -- AWS -------------------------------------------------------------------------------------------


def _aws_up(settings: Settings, past: Past) -> list[Leg]:
    addons = chosen(settings)
    managed = [addon for addon in addons if addon.install == "eks"]
    control_plane = [_resource("create", "aws_eks_cluster", "EKS control plane", past)]
    nodes = [_resource("create", "aws_eks_node_group", "core node group", past)]
    if not settings.vpc_id:
        control_plane.append(_resource("create", "aws_nat_gateway", "NAT gateway", past))
    if needs_file_system(settings):
        nodes.append(_resource("create", "aws_efs_mount_target", "EFS mount targets", past))
    legs = [] if settings.vpc_id else [_resource("create", "aws_vpc", "VPC", past)]
    legs.append(_longest(control_plane))
    if any(addon.before_compute for addon in managed):
        legs.append(_resource("create", "aws_eks_addon", "EKS add-ons before nodes", past))
    legs.append(_longest(nodes))
    if not all(addon.before_compute for addon in managed):
        legs.append(_resource("create", "aws_eks_addon", "EKS add-ons", past))
    return [*legs, Leg(name="roles, rules and other small parts", seconds=_published(_SMALL))]


def _aws_down(settings: Settings, past: Past) -> list[Leg]:
    last = [_resource("delete", "aws_eks_cluster", "EKS control plane", past)]
    if not settings.vpc_id:
        last.append(_resource("delete", "aws_nat_gateway", "NAT gateway", past))
    return [
        _resource("delete", "aws_eks_addon", "EKS add-ons", past),
        _resource("delete", "aws_eks_node_group", "core node group", past),
        _longest(last),
        Leg(name="network interfaces, subnets, VPC", seconds=_published(_NETWORK_GOING)),
        Leg(name="looking whether anything is left", seconds=_published(_SMALL)),
    ]


def _resource(action: Literal["create", "delete"], kind: str, name: str, past: Past) -> Leg:
    table = CREATE_SECONDS if action == "create" else DELETE_SECONDS
    before = past.of(action, kind)
    published = _published(table[kind], _SPREAD.get((action, kind), _USUAL))
    return Leg(name=name, seconds=own(before) or published, runs=len(before))


def _longest(legs: Iterable[Leg]) -> Leg:
    """Of parts that go on at the same time the one that is waited for."""
    return max(legs, key=lambda leg: leg.seconds.likely)


# -- the cluster layer -----------------------------------------------------------------------------


def _cluster_up(settings: Settings, past: Past) -> list[Leg]:
    addons = {addon.name: _addon(addon, past) for addon in chosen(settings)}
    order = needs(chosen(settings))
    path = [addons[name] for name in _chain(order, addons)]
    if settings.karpenter and expected_cpu_nodes(settings):
        path.append(Leg(name="nodes for add-ons", seconds=_published(_NEW_NODES)))
    # So many at a time: with many add-ons that is what takes longest, and not the chain.
    work = reduce(_plus, (leg.seconds for leg in addons.values()), _NO_TIME)
    chain = sum(leg.seconds.likely for leg in path)
    if work.likely / _AT_A_TIME > chain:
        rest = work.likely / _AT_A_TIME - chain
        path.append(Leg(name="the other add-ons", seconds=_published(rest)))
    return path


def _cluster_down(settings: Settings) -> Iterator[Leg]:
    seconds = _published(_EMPTYING, (0.5, 3.0))
    yield Leg(name="add-ons, volumes and load balancers", seconds=seconds)
    if settings.karpenter:
        yield Leg(name="Karpenter's nodes", seconds=_published(_NODES_GOING, (0.2, 3.0)))


def _addon(addon: Addon, past: Past) -> Leg:
    before = past.of("addon", addon.name)
    published = _published(_addon_seconds(addon), (0.5, 2.5))
    return Leg(name=addon.name, seconds=own(before) or published, runs=len(before))


def _addon_seconds(addon: Addon) -> float:
    if addon.install == "eks":
        return _MANAGED  # Terraform has waited for it
    stateful = any(workload.kind == "StatefulSet" for workload in addon.workloads)
    operated = any(workload.by == "operator" for workload in addon.workloads)
    return _START + _VOLUME * stateful + _OPERATED * operated


def _chain(order: Needs, legs: Mapping[str, Leg]) -> list[str]:
    """The add-ons on the way that takes longest, first to last."""
    ways: dict[str, tuple[float, list[str]]] = {}

    def way(name: str) -> tuple[float, list[str]]:
        if name not in ways:
            before = max((way(other) for other in sorted(order[name])), default=(0.0, []))
            ways[name] = (before[0] + legs[name].seconds.likely, [*before[1], name])
        return ways[name]

    return max((way(name) for name in order), default=(0.0, []))[1]


# -- seconds ---------------------------------------------------------------------------------------


def _published(seconds: float, spread: tuple[float, float] = _USUAL) -> Seconds:
    low, high = spread
    return Seconds(low=seconds * low, likely=seconds, high=seconds * high)


def own(took: tuple[float, ...]) -> Seconds | None:
    """What own runs say; None without any."""
    if not took:
        return None
    low, high = _OWN
    return Seconds(low=min(took) * low, likely=statistics.median(took), high=max(took) * high)


def _plus(one: Seconds, other: Seconds) -> Seconds:
    return Seconds(
        low=one.low + other.low, likely=one.likely + other.likely, high=one.high + other.high
    )
