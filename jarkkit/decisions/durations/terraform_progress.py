"""Durations of Terraform's changes: published figures, and a self-correcting estimate.

The figures are seconds on real AWS, from `catalog/facts/durations.yaml`. A resource that is not
there is a call that returns immediately, for which `_OTHER` is a round figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from jarkkit.catalog.facts import resource_durations
from jarkkit.model.events import ResourceProgress, StepEvent
from jarkkit.model.records import ResourceChange

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
    if change.action in ("update", "import", "read", "no-op"):
        return _OTHER
    if change.action == "delete":
        return _seconds("delete", change.type, _OTHER)
    both = change.action == "replace"
    deleted = _seconds("delete", change.type, 0.0) if both else 0.0
    return _seconds("create", change.type, _OTHER) + deleted


def _seconds(action: str, kind: str, default: float) -> float:
    published = resource_durations(action).get(kind)
    return published.seconds if published else default


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

    def annotate(
        self, events: Iterable[StepEvent], elapsed: Iterator[float]
    ) -> Iterator[StepEvent]:
        """Yield the same events, those of resources with `done`, `total` and `seconds_left`.

        `elapsed` yields the seconds since the start.
        """
        for event in events:
            if not isinstance(event, ResourceProgress):
                yield event
                continue
            if event.status == "done":
                self._left.pop(event.subject, None)
            yield replace(
                event,
                done=len(self.changes) - len(self._left),
                total=len(self.changes),
                seconds_left=self.seconds_left(next(elapsed)),
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
