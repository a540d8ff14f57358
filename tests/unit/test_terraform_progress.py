"""Durations of a plan's resources, and the progress of an apply."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarkkit.catalog.facts import resource_durations
from jarkkit.decisions.durations.estimate import cluster_layer_seconds
from jarkkit.decisions.durations.terraform_progress import (
    ProgressEstimator,
    critical_path_seconds,
)
from jarkkit.decisions.terraform_messages import area_of
from jarkkit.model.events import ResourceProgress, StepEvent, StepMessage
from jarkkit.model.records import Action, ResourceChange
from jarkkit.settings import Settings
from tests.support.stacks import resolved


def change(kind: str, name: str = "", action: Action = "create") -> ResourceChange:
    address = f"{kind}.{name or 'this'}"
    return ResourceChange(address=address, type=kind, area=area_of(kind), action=action, name=name)


def test_resources_of_a_stage_run_concurrently() -> None:
    cluster = [change("aws_eks_cluster")]
    estimator = [*cluster, change("aws_nat_gateway")]
    assert critical_path_seconds(estimator) == critical_path_seconds(cluster)
    nodes = resource_durations("create")["aws_eks_node_group"].seconds
    both = [*estimator, change("aws_eks_node_group")]
    assert critical_path_seconds(both) == critical_path_seconds(estimator) + nodes


def test_an_empty_plan_takes_no_time() -> None:
    assert critical_path_seconds([]) == 0


def done(subject: str) -> ResourceProgress:
    return ResourceProgress(subject, "create", "done")


def annotated(
    progress: ProgressEstimator, events: Iterable[StepEvent], elapsed: Iterator[float]
) -> list[ResourceProgress]:
    found = list(progress.annotate(events, elapsed))
    return [event for event in found if isinstance(event, ResourceProgress)]


def test_the_time_left_starts_with_the_published_figure_and_ends_at_zero() -> None:
    changes = (change("aws_vpc"), change("aws_eks_cluster"))
    begun = ResourceProgress("aws_vpc.this", "create", "started")
    events = [begun, done("aws_vpc.this"), done("aws_eks_cluster.this")]
    seen = annotated(ProgressEstimator(changes), events, itertools.count(0.0, 1.0))
    assert seen[0].seconds_left == critical_path_seconds(changes)
    assert [e.done for e in seen] == [0, 1, 2]
    assert seen[-1].seconds_left == 0


@given(st.floats(0.01, 10.0))
def test_the_estimate_adapts_to_the_observed_pace(pace: float) -> None:
    changes = (change("aws_eks_cluster"), change("aws_eks_addon"))
    progress = ProgressEstimator(changes)
    published = resource_durations("create")["aws_eks_cluster"].seconds
    list(progress.annotate([done("aws_eks_cluster.this")], iter([published * pace])))
    left = progress.seconds_left(published * pace)
    remaining = critical_path_seconds([change("aws_eks_addon")])
    assert left == pytest.approx(remaining * (1 + (pace - 1) * 0.88), rel=0.15, abs=2)


def test_the_time_left_includes_the_steps_after_terraform() -> None:
    change = ResourceChange(address="aws_vpc.x", type="aws_vpc", area="network", action="create")
    after = cluster_layer_seconds(resolved(Settings()))
    assert after > 60
    estimator = ProgressEstimator((change,), after)
    assert estimator.seconds_left(0) == pytest.approx(critical_path_seconds([change]) + after)
    (seen,) = annotated(estimator, [done("aws_vpc.x")], iter([72.0]))
    assert seen.seconds_left is not None
    assert seen.seconds_left == pytest.approx(after)


def test_a_message_has_no_progress_and_takes_no_estimate() -> None:
    message = StepMessage("Argument is deprecated", "warning")
    progress = ProgressEstimator((change("aws_vpc"),))
    seen = list(progress.annotate([message, done("aws_vpc.this")], iter([1.0])))
    assert seen[0] == message
    assert len(seen) == 2


def test_a_rehearsal_is_estimated_by_its_own_pace() -> None:
    changes = tuple(
        ResourceChange(address=f"aws_vpc.x{n}", type="aws_vpc", area="network", action="create")
        for n in range(10)
    )
    progress = ProgressEstimator(changes, after=300.0, rehearsal=True)
    events = [done(change.address) for change in changes]
    left = [e.seconds_left for e in annotated(progress, events, iter(range(2, 22, 2)))]
    assert left[0] is None  # one of ten is too few for an estimate
    assert left[1] == pytest.approx(4 / 2 * 8)
    assert left[-1] == 0
