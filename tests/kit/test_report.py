"""The page that tells a run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from jarkkit.aws import Account
from jarkkit.cluster.layer import ClusterLayer
from jarkkit.cluster.map import ClusterMap, MapNode, MapPods
from jarkkit.headless import Ran, Run
from jarkkit.kit import Kit
from jarkkit.report import page
from jarkkit.scrub import Scrub, words_of
from jarkkit.terraform import Terraform
from tests.kit.cluster_fakes import FakeKube
from tests.kit.conftest import World

RUN = Run(
    deployment="demo",
    rehearsal=True,
    started="2026-11-27T10:00:00Z",
    seconds=60,
    notebooks=(Ran(name="00-start", status="ok", seconds=1),),
)
NODE = MapNode(name="a", group="core", instance_type="m5.xlarge", zone="us-west-2a", ready=True)
MAP = ClusterMap(
    made=RUN.started,
    nodes=(NODE,),
    pods=(MapPods(node="a", addon="CoreDNS", count=2, ready=2),),
)


def told(world: World) -> str:
    words = words_of(Path("/nowhere"), account_id=world.account.account_id)
    return page(world.kit, RUN, Scrub(words))


def test_it_has_a_picture_of_everything_that_is_known(world: World) -> None:
    world.account.offers.regions = ("us-west-2", "eu-west-1")
    world.kit.regions()
    world.kit.quotas()
    world.deploy()
    world.kit.workspace.save("reports/map", MAP)
    list(world.kit.cleanup(confirm="demo"))
    text = told(world)
    for words in (
        "Heat map of 2 Regions",
        "Quotas in us-west-2",
        "By area, in USD per hour",
        "Resources that the plan changes",
        "Timeline of",
        "Map of the cluster: 1 node",
        "<h2>Cleanup</h2>",
    ):
        assert words in text
    assert world.account.account_id not in text


def test_what_is_not_known_is_left_out(world: World) -> None:
    text = told(world)
    for title in ("Regions", "Quotas", "Plan", "Cluster", "Cleanup"):
        assert f"<h2>{title}</h2>" not in text
    assert "<h2>Cost</h2>" in text


def test_where_things_run_is_asked_of_the_cluster_and_kept(world: World) -> None:
    world.deploy()
    assert not world.kit.cluster_map().nodes  # this account has no clusters
    kube = FakeKube()
    made = {"name": "a", "creationTimestamp": "2026-11-27T10:00:00Z"}
    kube.put({"kind": "Node", "metadata": made})
    kube.put({"kind": "Pod", "metadata": {"name": "p", "namespace": "jupyterhub"}})
    cluster = cast(ClusterLayer, SimpleNamespace(kube=kube))
    kit = Kit(
        world.kit.workspace,
        {},
        account=cast(Account, world.account),
        terraform=cast(Terraform, world.terraform),
        connect=lambda outputs: cluster,
    )
    found = kit.cluster_map()
    assert [node.name for node in found.nodes] == ["a"]
    assert found.addons() == ("JupyterHub",)
    assert kit.last_cluster_map() == found
