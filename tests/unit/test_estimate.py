"""The total duration of a step: the critical path, from the settings alone."""

from __future__ import annotations

import pytest

from jarkkit.decisions.durations.estimate import (
    PastDurations,
    estimate_durations,
    format_duration,
    format_minutes,
    range_of_runs,
)
from jarkkit.render.html import html as html_of
from jarkkit.render.text import text as text_of
from jarkkit.settings import Settings
from tests.support.stacks import resolved


def stage_seconds(
    settings: Settings, step: str, past: PastDurations | None = None
) -> dict[str, float]:
    found = estimate_durations(resolved(settings), past)
    path = found.deploy.path if step == "deploy" else found.cleanup.path
    return {stage.name: stage.seconds.likely for stage in path}


def test_the_default_is_within_published_durations() -> None:
    found = estimate_durations(resolved(Settings()))
    # 25 to 30 minutes up, 20 to 30 down, in the guides of similar stacks.
    assert found.deploy.seconds.low < 25 * 60 < found.deploy.seconds.high
    assert found.cleanup.seconds.low < 25 * 60 < found.cleanup.seconds.high
    for estimate in (found.deploy, found.cleanup):
        total = estimate.seconds
        assert total.low < total.likely < total.high
        assert total.likely == pytest.approx(sum(stage.seconds.likely for stage in estimate.path))


def test_the_control_plane_takes_longest() -> None:
    for step in ("deploy", "cleanup"):
        path = stage_seconds(Settings(), step)
        assert max(path, key=lambda name: path[name]) == "EKS control plane"


def test_the_path_has_the_longest_of_concurrent_stages() -> None:
    path = stage_seconds(Settings(), "deploy")
    assert "NAT gateway" not in path
    assert "EFS mount targets" not in path


def test_add_ons_are_in_the_order_of_their_dependencies() -> None:
    names = list(stage_seconds(Settings(), "deploy"))
    assert names.index("karpenter") < names.index("kube-prometheus-stack") < names.index("opencost")


def test_without_a_cluster_layer_the_path_has_no_add_ons() -> None:
    found = estimate_durations(resolved(Settings()), clusters=False)
    assert "karpenter" not in {stage.name for stage in found.deploy.path}
    assert "Karpenter's nodes" not in {stage.name for stage in found.cleanup.path}


def test_disabled_components_are_not_in_the_path() -> None:
    existing_vpc = Settings(
        vpc_id="vpc-0123456789abcdef0", private_subnet_ids=("subnet-0a1b2c3d", "subnet-1a2b3c4d")
    )
    assert "VPC" not in stage_seconds(existing_vpc, "deploy")
    assert "Karpenter's nodes" not in stage_seconds(
        Settings(karpenter=False, accelerators=()), "cleanup"
    )


def test_add_ons_that_do_not_fit_wait_for_nodes() -> None:
    assert "nodes for add-ons" in stage_seconds(Settings(core_instance_type="m5.large"), "deploy")


def test_own_runs_replace_published_figures() -> None:
    past = PastDurations(
        {("create", "aws_eks_cluster"): (500.0, 600.0, 900.0), ("addon", "opencost"): (7.0,)}
    )
    found = estimate_durations(resolved(Settings()), past).deploy
    cluster = next(stage for stage in found.path if stage.name == "EKS control plane")
    assert (cluster.seconds.likely, cluster.runs) == (600.0, 3)
    assert cluster.seconds.low == pytest.approx(450)
    assert cluster.seconds.high == pytest.approx(990)
    assert range_of_runs(()) is None


def test_the_path_is_shown_with_its_times() -> None:
    text = text_of(estimate_durations(resolved(Settings())))
    assert "Deploy takes about" in text
    assert "9 min  EKS control plane" in text
    assert "12 s  VPC" in text
    page = html_of(estimate_durations(resolved(Settings())))
    assert page.count("<table") == 2
    assert "published" in page


@pytest.mark.parametrize(
    ("seconds", "expected"), [(30, "1"), (90, "1.5"), (100, "1.5"), (150, "2.5"), (660, "11")]
)
def test_minutes_are_formatted(seconds: float, expected: str) -> None:
    assert format_minutes(seconds) == expected
    assert format_duration(5) == "5 s"
