"""Estimates of deploy and cleanup durations without a plan: from the settings alone. Pure.

The critical path lists the stages that must wait for each other. Figures are seconds on real AWS:

- AWS resources: `catalog/facts/durations.yaml`, with sources and how far they differ.
- Add-ons on top of EKS: 3 to 10 min together in the published guides of similar stacks; divided
  here by what each add-on starts, because no source has separate figures.

Durations of this home's own deployments replace the published figure of each stage.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

from jarkkit.catalog.addons import Addon
from jarkkit.catalog.facts import resource_durations
from jarkkit.decisions.addons.dependency_order import ADDONS_AT_A_TIME, Dependencies
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.records import DurationRange, Record

TimedStep = Literal["deploy", "cleanup"]
# Uncertainty of a published figure, as factors, unless its sources say more.
_USUAL = (0.7, 2.0)
# Own runs are few, so their range is slightly wider than what they took.
_OWN = (0.9, 1.1)
_SMALL = 60.0  # IAM, security groups, log groups, and time between the stages
# Seconds of an add-on: image and start; a volume; objects that an operator creates afterwards.
_START, _VOLUME, _OPERATED, _MANAGED = 45.0, 25.0, 120.0, 5.0
_NEW_NODES = 90.0  # until a node of Karpenter is Ready
_EMPTYING, _NODES_GOING, _NETWORK_GOING = 120.0, 120.0, 40.0


@dataclass(frozen=True)
class PastDurations:
    """Past durations in seconds: by `create`, `delete` or `addon`, and Terraform type or add-on."""

    seconds: Mapping[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)

    def of(self, action: str, name: str) -> tuple[float, ...]:
        """Return the past durations of that stage."""
        return self.seconds.get((action, name), ())


class CriticalPathStage(Record):
    """One stage of the critical path.

    Attributes:
        runs: number of own runs behind the figure; 0 for a published figure.
    """

    name: str
    seconds: DurationRange
    runs: int = 0


class DurationEstimate(Record):
    """The estimated duration of a step on AWS.

    Attributes:
        path: stages of the critical path, in their order.
    """

    step: TimedStep
    path: tuple[CriticalPathStage, ...]

    @property
    def seconds(self) -> DurationRange:
        """The total duration."""
        return reduce(_plus, (stage.seconds for stage in self.path), _NO_TIME)

    @property
    def brief(self) -> str:
        """The duration in minutes, with its range."""
        whole = self.seconds
        spread = f"{format_minutes(whole.low)} to {format_minutes(whole.high)}"
        return f"about {format_minutes(whole.likely)} min ({spread})"

    @property
    def summary(self) -> str:
        """The estimate in one line, with the longest stages."""
        longest = sorted(self.path, key=lambda stage: -stage.seconds.likely)[:3]
        stages = ", ".join(
            f"{stage.name} {format_minutes(stage.seconds.likely)} min" for stage in longest
        )
        own = " Includes times of your own runs." if any(stage.runs for stage in self.path) else ""
        return f"{self.step} takes {self.brief} on AWS; the longest stages: {stages}.{own}"


class DurationEstimates(Record):
    """The estimates of deploy and cleanup."""

    deploy: DurationEstimate
    cleanup: DurationEstimate


_NO_TIME = DurationRange(low=0, likely=0, high=0)


def estimate_durations(
    stack: ResolvedStack, past: PastDurations | None = None, *, clusters: bool = True
) -> DurationEstimates:
    """Return the estimated durations of deploy and cleanup.

    Args:
        past: durations of deployments of the same kind, real or rehearsed.
        clusters: False without a cluster layer.
    """
    past = past or PastDurations()
    up, down = _aws_up(stack, past), _aws_down(stack, past)
    if clusters:
        up = [*up, *_cluster_up(stack, past)]
        down = [*_cluster_down(stack), *down]
    return DurationEstimates(
        deploy=DurationEstimate(step="deploy", path=tuple(up)),
        cleanup=DurationEstimate(step="cleanup", path=tuple(down)),
    )


def cluster_layer_seconds(stack: ResolvedStack) -> float:
    """Return the published duration of the deploy stages after Terraform."""
    return sum(stage.seconds.likely for stage in _cluster_up(stack, PastDurations()))


def format_duration(seconds: float) -> str:
    """Return a duration as text."""
    return f"{format_minutes(seconds)} min" if seconds >= 60 else f"{seconds:.0f} s"


def format_minutes(seconds: float) -> str:
    """Return a duration in minutes as text, in steps of half a minute below ten."""
    value = seconds / 60
    return f"{value:.0f}" if value >= 10 else f"{round(value * 2) / 2:g}" if value >= 1 else "1"


# -- AWS -------------------------------------------------------------------------------------------


def _aws_up(stack: ResolvedStack, past: PastDurations) -> list[CriticalPathStage]:
    settings = stack.settings
    managed = [addon for addon in stack.addons if addon.install == "eks"]
    control_plane = [_resource("create", "aws_eks_cluster", "EKS control plane", past)]
    nodes = [_resource("create", "aws_eks_node_group", "core node group", past)]
    if not settings.vpc_id:
        control_plane.append(_resource("create", "aws_nat_gateway", "NAT gateway", past))
    if settings.shared_files:
        nodes.append(_resource("create", "aws_efs_mount_target", "EFS mount targets", past))
    stages = [] if settings.vpc_id else [_resource("create", "aws_vpc", "VPC", past)]
    stages.append(_longest(control_plane))
    if any(addon.before_compute for addon in managed):
        stages.append(_resource("create", "aws_eks_addon", "EKS add-ons before nodes", past))
    stages.append(_longest(nodes))
    if not all(addon.before_compute for addon in managed):
        stages.append(_resource("create", "aws_eks_addon", "EKS add-ons", past))
    return [
        *stages,
        CriticalPathStage(
            name="roles, rules and other small resources", seconds=_published(_SMALL)
        ),
    ]


def _aws_down(stack: ResolvedStack, past: PastDurations) -> list[CriticalPathStage]:
    last = [_resource("delete", "aws_eks_cluster", "EKS control plane", past)]
    if not stack.settings.vpc_id:
        last.append(_resource("delete", "aws_nat_gateway", "NAT gateway", past))
    return [
        _resource("delete", "aws_eks_addon", "EKS add-ons", past),
        _resource("delete", "aws_eks_node_group", "core node group", past),
        _longest(last),
        CriticalPathStage(
            name="network interfaces, subnets, VPC", seconds=_published(_NETWORK_GOING)
        ),
        CriticalPathStage(name="final scan of the account", seconds=_published(_SMALL)),
    ]


def _resource(
    action: Literal["create", "delete"], kind: str, name: str, past: PastDurations
) -> CriticalPathStage:
    fact = resource_durations(action)[kind]
    before = past.of(action, kind)
    published = _published(fact.seconds, fact.spread or _USUAL)
    return CriticalPathStage(
        name=name, seconds=range_of_runs(before) or published, runs=len(before)
    )


def _longest(stages: Iterable[CriticalPathStage]) -> CriticalPathStage:
    """Return the longest of the stages that run at the same time."""
    return max(stages, key=lambda stage: stage.seconds.likely)


# -- the cluster layer -----------------------------------------------------------------------------


def _cluster_up(stack: ResolvedStack, past: PastDurations) -> list[CriticalPathStage]:
    addons = {addon.name: _addon(addon, past) for addon in stack.addons}
    path = [addons[name] for name in _chain(stack.dependencies, addons)]
    if stack.addon_nodes:
        path.append(CriticalPathStage(name="nodes for add-ons", seconds=_published(_NEW_NODES)))
    # The installer runs a limited number at a time. With many add-ons, that takes longer than the
    # longest chain of dependencies.
    work = reduce(_plus, (stage.seconds for stage in addons.values()), _NO_TIME)
    chain = sum(stage.seconds.likely for stage in path)
    if work.likely / ADDONS_AT_A_TIME > chain:
        rest = work.likely / ADDONS_AT_A_TIME - chain
        path.append(CriticalPathStage(name="the other add-ons", seconds=_published(rest)))
    return path


def _cluster_down(stack: ResolvedStack) -> Iterator[CriticalPathStage]:
    seconds = _published(_EMPTYING, (0.5, 3.0))
    yield CriticalPathStage(name="add-ons, volumes and load balancers", seconds=seconds)
    if stack.settings.karpenter:
        yield CriticalPathStage(
            name="Karpenter's nodes", seconds=_published(_NODES_GOING, (0.2, 3.0))
        )


def _addon(addon: Addon, past: PastDurations) -> CriticalPathStage:
    before = past.of("addon", addon.name)
    published = _published(_addon_seconds(addon), (0.5, 2.5))
    return CriticalPathStage(
        name=addon.name, seconds=range_of_runs(before) or published, runs=len(before)
    )


def _addon_seconds(addon: Addon) -> float:
    if addon.install == "eks":
        return _MANAGED  # Terraform has waited for it
    stateful = any(workload.kind == "StatefulSet" for workload in addon.workloads)
    operated = any(workload.by == "operator" for workload in addon.workloads)
    return _START + _VOLUME * stateful + _OPERATED * operated


def _chain(order: Dependencies, stages: Mapping[str, CriticalPathStage]) -> list[str]:
    """Return the add-ons of the longest chain of dependencies, first to last."""
    chains: dict[str, tuple[float, list[str]]] = {}

    def chain_to(name: str) -> tuple[float, list[str]]:
        if name not in chains:
            before = max((chain_to(other) for other in sorted(order[name])), default=(0.0, []))
            chains[name] = (before[0] + stages[name].seconds.likely, [*before[1], name])
        return chains[name]

    return max((chain_to(name) for name in order), default=(0.0, []))[1]


# -- seconds ---------------------------------------------------------------------------------------


def _published(seconds: float, spread: tuple[float, float] = _USUAL) -> DurationRange:
    low, high = spread
    return DurationRange(low=seconds * low, likely=seconds, high=seconds * high)


def range_of_runs(took: tuple[float, ...]) -> DurationRange | None:
    """Return the range of the durations of own runs; None without any."""
    if not took:
        return None
    low, high = _OWN
    return DurationRange(low=min(took) * low, likely=statistics.median(took), high=max(took) * high)


def _plus(one: DurationRange, other: DurationRange) -> DurationRange:
    return DurationRange(
        low=one.low + other.low, likely=one.likely + other.likely, high=one.high + other.high
    )
