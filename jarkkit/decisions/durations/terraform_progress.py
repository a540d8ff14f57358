"""Durations of Terraform's changes: published figures, and a self-correcting estimate.

All figures are seconds on real AWS. Sources: the averages that AWS's `rain forecast` ships
(EKS cluster 544, node group 160, add-on 15, NAT gateway 106, VPC 12); a cluster's deletion from a
provider log (15 min 6 s in 2020, today usually around half of that); the others are round figures
for calls that return immediately.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jarkkit.model.records import Event, ResourceChange

CREATE_SECONDS = {
    "aws_eks_cluster": 544.0,
    "aws_eks_node_group": 160.0,
    "aws_eks_addon": 15.0,
    "aws_nat_gateway": 106.0,
    "aws_vpc": 12.0,
    "aws_efs_mount_target": 90.0,
    "aws_prometheus_workspace": 30.0,
}
DELETE_SECONDS = {
    "aws_eks_cluster": 480.0,
    "aws_eks_node_group": 300.0,
    "aws_eks_addon": 15.0,
    "aws_nat_gateway": 60.0,
    "aws_efs_mount_target": 60.0,
}
_OTHER = 3.0
# The share of a rehearsal's changes that allows an estimate of the others.
_ENOUGH = 0.15
_OVERHEAD = 60.0  # between the long parts: IAM propagation, small resources

# Dependencies: changes of one stage run at the same time, stages one after the other.
_STAGES: tuple[tuple[str, ...], ...] = (
    ("aws_vpc",),
    ("aws_eks_cluster", "aws_nat_gateway"),
    ("aws_eks_node_group", "aws_efs_mount_target", "aws_prometheus_workspace"),
    ("aws_eks_addon",),
)


def change_seconds(change: ResourceChange) -> float:
    """Return the duration of one change, in seconds."""
    table = DELETE_SECONDS if change.action == "delete" else CREATE_SECONDS
    if change.action in ("update", "import", "read", "no-op"):
        return _OTHER
    both = change.action == "replace"
    return table.get(change.type, _OTHER) + (DELETE_SECONDS.get(change.type, 0.0) if both else 0.0)


def critical_path_seconds(changes: Iterable[ResourceChange]) -> float:
    """Return the duration of all changes, in seconds: the sum of each stage's longest change."""
    longest = [0.0] * len(_STAGES)
    busy = False
    for change in changes:
        busy = True
        for index, types in enumerate(_STAGES):
            if change.type in types:
                longest[index] = max(longest[index], change_seconds(change))
    return sum(longest) + (_OVERHEAD if busy else 0.0)


@dataclass
class ProgressEstimator:
    """Adds progress and remaining time to a stream of events.

    The first estimate comes from the published durations. The duration of the finished changes
    corrects it, so that it soon reflects a slow day at AWS.

    Args:
        after: published seconds of what follows these changes in the same step.
        rehearsal: whether this is a rehearsal, for which no published durations exist.
    """

    changes: tuple[ResourceChange, ...]
    after: float = 0.0
    rehearsal: bool = False
    _left: dict[str, ResourceChange] = field(init=False)
    _all: float = field(init=False)

    def __post_init__(self) -> None:
        self._left = {change.address: change for change in self.changes}
        self._all = critical_path_seconds(self.changes) + self.after

    def annotate(self, events: Iterable[Event], elapsed: Iterator[float]) -> Iterator[Event]:
        """Yield the same events with `done`, `total` and `seconds_left`.

        `elapsed` yields the seconds since the start.
        """
        for event in events:
            if event.kind == "resource" and event.status == "done":
                self._left.pop(event.subject, None)
            yield event.model_copy(
                update={
                    "done": len(self.changes) - len(self._left),
                    "total": len(self.changes),
                    "seconds_left": self.seconds_left(next(elapsed)),
                }
            )

    def seconds_left(self, elapsed: float) -> float | None:
        """Return the seconds left after `elapsed` seconds; None if no estimate is possible yet.

        It is the published duration of the remaining changes, scaled by the pace of this run.
        """
        if self.rehearsal:
            return self._by_count(elapsed)
        left = critical_path_seconds(self._left.values()) + self.after
        done = self._all - left
        trust = done / self._all if self._all else 1.0
        pace = elapsed / done if done else 1.0
        return round(left * (trust * pace + (1 - trust)), 1)

    def _by_count(self, elapsed: float) -> float | None:
        """Return the estimate if each remaining change takes as long as the finished ones."""
        left, done = len(self._left), len(self.changes) - len(self._left)
        if done < _ENOUGH * len(self.changes):
            return None
        return round(elapsed / done * left, 1) if done else 0.0
