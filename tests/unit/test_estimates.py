"""How long things take: the critical path, from settings alone."""

from __future__ import annotations

import pytest

from jarkkit.durations.resources import Progress, critical_path
from jarkkit.durations.whole import Past, cluster_layer_seconds, minutes, own, span, times
from jarkkit.records import Event, ResourceChange
from jarkkit.settings import Settings


def legs(settings: Settings, step: str, past: Past | None = None) -> dict[str, float]:
    found = times(settings, past)
    path = found.deploy.path if step == "deploy" else found.cleanup.path
    return {leg.name: leg.seconds.likely for leg in path}


def test_the_default_is_within_what_is_published_for_such_stacks() -> None:
    found = times(Settings())
    # 25 to 30 minutes up, 20 to 30 down, in the guides of similar stacks.
    assert found.deploy.seconds.low < 25 * 60 < found.deploy.seconds.high
    assert found.cleanup.seconds.low < 25 * 60 < found.cleanup.seconds.high
    for estimate in (found.deploy, found.cleanup):
        whole = estimate.seconds
        assert whole.low < whole.likely < whole.high
        assert whole.likely == pytest.approx(sum(leg.seconds.likely for leg in estimate.path))


def test_the_control_plane_is_what_is_waited_for_longest() -> None:
    for step in ("deploy", "cleanup"):
        path = legs(Settings(), step)
        assert max(path, key=lambda name: path[name]) == "EKS control plane"


def test_of_what_goes_on_at_the_same_time_the_longest_is_named() -> None:
    path = legs(Settings(), "deploy")
    assert "NAT gateway" not in path
    assert "EFS mount targets" not in path


def test_add_ons_are_a_chain_in_the_order_of_their_needs() -> None:
    names = list(legs(Settings(), "deploy"))
    assert names.index("karpenter") < names.index("kube-prometheus-stack") < names.index("opencost")


def test_without_a_cluster_layer_no_add_ons_are_waited_for() -> None:
    found = times(Settings(), clusters=False)
    assert "karpenter" not in {leg.name for leg in found.deploy.path}
    assert "Karpenter's nodes" not in {leg.name for leg in found.cleanup.path}


def test_fewer_parts_take_less_time() -> None:
    brought = Settings(
        vpc_id="vpc-0123456789abcdef0", private_subnet_ids=("subnet-0a1b2c3d", "subnet-1a2b3c4d")
    )
    assert "VPC" not in legs(brought, "deploy")
    assert "Karpenter's nodes" not in legs(Settings(karpenter=False, accelerators=()), "cleanup")


def test_add_ons_without_room_wait_for_nodes() -> None:
    assert "nodes for add-ons" in legs(Settings(core_instance_type="m5.large"), "deploy")


def test_own_runs_go_before_published_figures() -> None:
    past = Past(
        {("create", "aws_eks_cluster"): (500.0, 600.0, 900.0), ("addon", "opencost"): (7.0,)}
    )
    found = times(Settings(), past).deploy
    cluster = next(leg for leg in found.path if leg.name == "EKS control plane")
    assert (cluster.seconds.likely, cluster.runs) == (600.0, 3)
    assert cluster.seconds.low == pytest.approx(450)
    assert cluster.seconds.high == pytest.approx(990)
    assert own(()) is None


def test_the_path_is_shown_with_its_times() -> None:
    text = times(Settings()).text()
    assert "Deploy takes about" in text
    assert "9 min  EKS control plane" in text
    assert "12 s  VPC" in text
    page = times(Settings())._repr_html_()
    assert page.count("<table") == 2
    assert "published" in page


@pytest.mark.parametrize(
    ("seconds", "said"), [(30, "1"), (90, "1.5"), (100, "1.5"), (150, "2.5"), (660, "11")]
)
def test_minutes(seconds: float, said: str) -> None:
    assert minutes(seconds) == said
    assert span(5) == "5 s"


def test_time_left_covers_what_follows_terraform() -> None:
    change = ResourceChange(address="aws_vpc.x", type="aws_vpc", area="network", action="create")
    after = cluster_layer_seconds(Settings())
    assert after > 60
    both = Progress((change,), after)
    assert both.seconds_left(0) == pytest.approx(critical_path([change]) + after)
    event = Event(time="t", step="deploy", kind="resource", subject="aws_vpc.x", status="done")
    (seen,) = both.follow([event], iter([72.0]))
    assert seen.seconds_left is not None
    assert seen.seconds_left == pytest.approx(after)


def test_a_rehearsal_goes_by_its_own_pace() -> None:
    changes = tuple(
        ResourceChange(address=f"aws_vpc.x{n}", type="aws_vpc", area="network", action="create")
        for n in range(10)
    )
    progress = Progress(changes, after=300.0, rehearsal=True)
    done = (
        Event(time="t", step="deploy", kind="resource", subject=change.address, status="done")
        for change in changes
    )
    left = [event.seconds_left for event in progress.follow(done, iter(range(2, 22, 2)))]
    assert left[0] is None  # one of ten says nothing of the rest
    assert left[1] == pytest.approx(4 / 2 * 8)
    assert left[-1] == 0
