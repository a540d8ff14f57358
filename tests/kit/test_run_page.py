"""The HTML page about a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from jarkkit.decisions.cluster.cluster_map import ClusterMap, MapNode, MapPods
from jarkkit.decisions.redaction import Redactor, sensitive_values
from jarkkit.deployment import Deployment
from jarkkit.model.notebook_runs import NotebookResult, NotebookRun
from jarkkit.ports.aws import Account
from jarkkit.ports.terraform import Terraform
from jarkkit.render.run_page import run_page
from jarkkit.steps.cluster.cluster_layer import ClusterLayer
from tests.support.fakes.cluster import FakeKube
from tests.support.fakes.deployment import DeploymentHarness

RUN = NotebookRun(
    deployment="demo",
    rehearsal=True,
    started="2026-11-27T10:00:00Z",
    seconds=60,
    notebooks=(NotebookResult(name="00-start", status="ok", seconds=1),),
)
NODE = MapNode(name="a", group="core", instance_type="m5.xlarge", zone="us-west-2a", ready=True)
MAP = ClusterMap(
    made=RUN.started,
    nodes=(NODE,),
    pods=(MapPods(node="a", addon="CoreDNS", count=2, ready=2),),
)


def page_of(harness: DeploymentHarness) -> str:
    words = sensitive_values({}, account_id=harness.account.account_id)
    return run_page(harness.deployment, RUN, Redactor(words))


def test_the_page_has_a_picture_of_every_known_result(harness: DeploymentHarness) -> None:
    harness.account.availability.regions = ("us-west-2", "eu-west-1")
    harness.deployment.compare_regions()
    harness.deployment.quota_table()
    harness.deploy()
    harness.deployment.workspace.save("reports/map", MAP)
    list(harness.deployment.cleanup(confirm="demo"))
    text = page_of(harness)
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
    assert harness.account.account_id not in text


@pytest.mark.parametrize(
    ("of_the_run", "words"),
    [
        ({"policies": ("some",)}, "allowed only what the policies of `jarkkit permissions` allow"),
        ({"own_policies": True}, "limited to the policies that you gave the sandbox"),
        ({}, "not limited to the policies of `jarkkit permissions`"),
        ({"rehearsal": False}, ""),
    ],
)
def test_a_run_says_what_the_account_allowed(of_the_run: dict[str, object], words: str) -> None:
    sentence = RUN.model_copy(update=of_the_run).permissions
    assert words in sentence
    assert bool(words) == bool(sentence)


def test_the_page_leaves_out_missing_results(harness: DeploymentHarness) -> None:
    text = page_of(harness)
    for title in ("Regions", "Quotas", "Plan", "Cluster", "Cleanup"):
        assert f"<h2>{title}</h2>" not in text
    assert "<h2>Cost</h2>" in text


def test_the_cluster_map_is_read_from_the_cluster_and_saved(harness: DeploymentHarness) -> None:
    harness.deploy()
    assert not harness.deployment.cluster_map().nodes  # this account has no clusters
    kube = FakeKube()
    made = {"name": "a", "creationTimestamp": "2026-11-27T10:00:00Z"}
    kube.put({"kind": "Node", "metadata": made})
    kube.put({"kind": "Pod", "metadata": {"name": "p", "namespace": "jupyterhub"}})
    cluster = cast(ClusterLayer, SimpleNamespace(kube=kube))
    deployment = Deployment(
        harness.deployment.workspace,
        {},
        account=cast(Account, harness.account),
        terraform=cast(Terraform, harness.terraform),
        connect=lambda outputs: cluster,
    )
    found = deployment.cluster_map()
    assert [node.name for node in found.nodes] == ["a"]
    assert found.addons() == ("JupyterHub",)
    assert deployment.last_cluster_map() == found
