"""Which pods run on which nodes, from the objects of an API."""

from __future__ import annotations

from typing import Any

from jarkkit.decisions.cluster.cluster_map import OTHERS, ClusterMap, cluster_map
from jarkkit.render import pictures
from jarkkit.settings import Settings
from tests.support.stacks import resolved

MADE = "2026-11-27T10:00:00Z"


def node(name: str, *, pool: str = "", ready: str = "True", gpus: int = 0) -> dict[str, Any]:
    group = {"karpenter.sh/nodepool": pool} if pool else {"eks.amazonaws.com/nodegroup": "core"}
    labels = {
        **group,
        "node.kubernetes.io/instance-type": "g6.xlarge" if gpus else "m5.xlarge",
        "topology.kubernetes.io/zone": "us-west-2a",
    }
    return {
        "metadata": {"name": name, "labels": labels, "creationTimestamp": MADE},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "allocatable": {"nvidia.com/gpu": str(gpus)},
        },
    }


def pod(
    namespace: str, on: str, owner: tuple[str, str] = ("", ""), *, ready: bool = True, **status: Any
) -> dict[str, Any]:
    kind, name = owner
    owners = [{"kind": kind, "name": name, "controller": True}] if kind else []
    state = {"type": "Ready", "status": str(ready)}
    return {
        "metadata": {
            "name": "p",
            "namespace": namespace,
            "labels": {"pod-template-hash": "5f6c7"},
            "ownerReferences": owners,
        },
        "spec": {"nodeName": on} if on else {},
        "status": {"phase": "Running", "conditions": [state], **status},
    }


def mapped(nodes: list[Any], pods: list[Any]) -> ClusterMap:
    return cluster_map(resolved(Settings()), nodes, pods, made=MADE)


class TestAddonOfAPod:
    def test_a_pod_belongs_to_the_add_on_of_its_workload(self) -> None:
        found = mapped(
            [node("a")],
            [
                pod("kube-system", "a", ("ReplicaSet", "coredns-5f6c7")),
                pod("kube-system", "a", ("DaemonSet", "aws-node"), ready=False),
            ],
        )
        assert found.addons() == ("Amazon VPC CNI", "CoreDNS")
        assert [(p.count, p.ready) for p in found.pods] == [(1, 0), (1, 1)]

    def test_a_replica_set_of_your_own_is_none_of_its_workloads(self) -> None:
        found = mapped([node("a")], [pod("kube-system", "a", ("ReplicaSet", "coredns-mine"))])
        assert found.addons() == (OTHERS,)

    def test_otherwise_to_the_only_add_on_of_its_namespace(self) -> None:
        found = mapped([node("a")], [pod("jupyterhub", "a"), pod("team", "a")])
        assert found.addons() == ("JupyterHub", OTHERS)

    def test_finished_pods_are_left_out(self) -> None:
        assert not mapped([node("a")], [pod("team", "a", phase="Succeeded")]).pods


class TestColumns:
    def test_a_column_describes_its_node(self) -> None:
        found = mapped([node("b", pool="g6", gpus=1), node("a", ready="False")], [])
        core, gpu = found.columns()
        assert core.lines == ("core", "m5.xlarge", "us-west-2a", "✘ not Ready")
        assert not core.ready
        assert gpu.lines == ("g6", "g6.xlarge", "us-west-2a", "1 accelerator")

    def test_many_nodes_of_a_kind_are_one_column(self) -> None:
        nodes = [node(f"n{n}", pool="cpu") for n in range(40)] + [node("a")]
        pods = [pod("jupyterhub", f"n{n}") for n in range(40)]
        found = mapped(nodes, pods)
        core, cpu = found.columns()
        assert (core.lines, cpu.lines[1]) == (("core", "1 x m5.xlarge"), "40 x m5.xlarge")
        assert found.count(cpu, "JupyterHub") == (40, 40)

    def test_pods_without_a_node_have_a_column_of_their_own(self) -> None:
        found = mapped([node("a")], [pod("jupyterhub", "", ready=False, phase="Pending")])
        assert found.columns()[-1].lines == ("no node", "yet")
        assert "Not all ready: JupyterHub" in found.summary()


def test_the_picture_has_an_alternative_text() -> None:
    picture = pictures.cluster_map(mapped([node("a")], [pod("jupyterhub", "a")]))
    assert picture.svg.startswith("<svg")
    assert "1 node (core 1 x m5.xlarge) with 1 pod of 1 add-on, 1 ready" in picture.caption
    assert "0 nodes (none)" in pictures.cluster_map(mapped([], [])).caption
