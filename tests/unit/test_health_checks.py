"""Health checks of a cluster from the objects in its API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jarkkit.catalog.addons import Addon, AddonWorkload
from jarkkit.decisions.cluster import health_checks as health_checks
from jarkkit.decisions.cluster.pod_status import PodFailure
from jarkkit.decisions.cluster.readiness import ReplicaStatus
from jarkkit.model.checks import Check
from jarkkit.settings import Settings
from tests.support.stacks import resolved

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

OLD = "2026-11-25T11:00:00Z"

SETTINGS = Settings()


def pod(
    name: str = "hub-1", *, node: str = "n1", status: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "jupyterhub", "creationTimestamp": OLD},
        "spec": {"containers": [{"name": "hub", "image": "hub:1"}], "nodeName": node, **spec},
        "status": {"phase": "Pending", **(status or {})},
    }


def node(
    name: str,
    *,
    ready: str = "True",
    pool: str = "",
    age: timedelta = timedelta(hours=1),
    **more: Any,
) -> dict[str, Any]:
    labels = {"node.kubernetes.io/instance-type": more.pop("type", "m5.xlarge")}
    labels |= {"karpenter.sh/nodepool": pool} if pool else {"eks.amazonaws.com/nodegroup": "core"}
    taints = [{"key": more.pop("taint")}] if "taint" in more else []
    return {
        "metadata": {
            "name": name,
            "labels": labels,
            "creationTimestamp": (NOW - age).isoformat().replace("+00:00", "Z"),
        },
        "spec": {"taints": taints},
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "reason": "KubeletNotReady"}],
            "allocatable": more.pop("allocatable", {}),
            "nodeInfo": {"kubeletVersion": more.pop("version", f"v{SETTINGS.cluster_version}.3")},
        },
    }


class TestNodes:
    def checks(self, *nodes: dict[str, Any]) -> dict[str, Check]:
        checks = health_checks.check_nodes(
            SETTINGS, (health_checks.node_status(n, NOW) for n in nodes)
        )
        return {check.name: check for check in checks}

    def test_ready_nodes_pass(self) -> None:
        found = self.checks(node("a"), node("b"))
        assert found["Nodes of core"].status == "pass"
        assert found["Nodes of core"].found == "2/2 Ready, m5.xlarge"
        assert found["Version of the nodes"].status == "pass"
        assert found["Accelerators nvidia.com/gpu"].status == "skip"

    def test_a_lost_node_fails_and_a_joining_node_warns(self) -> None:
        found = self.checks(node("a"), node("b", ready="False"))
        assert found["Nodes of core"].status == "fail"
        assert "b: KubeletNotReady" in found["Nodes of core"].why
        found = self.checks(node("a"), node("b", ready="False", age=timedelta(minutes=1)))
        assert found["Nodes of core"].status == "warn"

    def test_accelerators(self) -> None:
        gpu = {"nvidia.com/gpu": "4"}
        with_gpus = node("g", pool="g6", taint="nvidia.com/gpu", allocatable=gpu)
        without_gpus = node("h", pool="g6", taint="nvidia.com/gpu")
        assert self.checks(with_gpus)["Accelerators nvidia.com/gpu"].found == "4 on 1 nodes"
        check = self.checks(with_gpus, without_gpus)["Accelerators nvidia.com/gpu"]
        assert (check.status, check.why) == ("fail", "h")
        assert check.fix.endswith(": kubectl get daemonsets -A")

    def test_no_nodes_fail_and_an_older_version_warns(self) -> None:
        assert self.checks()["Nodes"].status == "fail"
        assert self.checks(node("a", version="v1.20.1"))["Version of the nodes"].status == "warn"


ADDON = Addon.model_validate(
    {
        "name": "jupyterhub",
        "title": "JupyterHub",
        "what": "x",
        "group": "Notebooks",
        "install": "manifests",
        "namespace": "jupyterhub",
        "link": "https://example.org",
    }
)

HUB = AddonWorkload(kind="Deployment", name="hub", replicas=2)


class TestWorkloads:
    def test_a_row_per_workload(self) -> None:
        row = health_checks.check_workload(ADDON, HUB, ReplicaStatus(2, 2))
        assert (row.name, row.found, row.status) == ("Deployment jupyterhub/hub", "2/2", "pass")
        daemon_set = AddonWorkload(kind="DaemonSet", name="agent")
        assert health_checks.check_workload(ADDON, daemon_set, ReplicaStatus(0, 0)).status == "pass"

    def test_a_workload_that_is_not_ready_has_a_reason(self) -> None:
        failure = PodFailure("JK-ADDON-IMAGE", "pod a/b cannot pull", "Fix it.", "not found")
        row = health_checks.check_workload(ADDON, HUB, ReplicaStatus(1, 2), failure)
        assert (row.status, row.code, row.fix) == ("fail", "JK-ADDON-IMAGE", "Fix it.")
        assert "not found" in row.why
        assert (
            health_checks.check_workload(ADDON, HUB, ReplicaStatus(1, 2)).code == "JK-ADDON-TIMEOUT"
        )

    def test_a_missing_or_scaled_down_workload_fails(self) -> None:
        assert health_checks.check_workload(ADDON, HUB, None).found == "does not exist"
        assert health_checks.check_workload(ADDON, HUB, ReplicaStatus(1, 1)).status == "fail"


def storage_class(name: str, default: bool = True, kind: str = "gp3") -> dict[str, Any]:
    annotations = {health_checks.DEFAULT_CLASS_ANNOTATION: "true"} if default else {}
    meta = {"name": name, "annotations": annotations}
    return {"metadata": meta, "provisioner": "ebs.csi.aws.com", "parameters": {"type": kind}}


@pytest.mark.parametrize(
    ("classes", "status"),
    [
        ([storage_class("gp3"), storage_class("gp2", default=False, kind="gp2")], "pass"),
        ([storage_class("gp3"), storage_class("gp2", kind="gp2")], "fail"),
        ([storage_class("gp2", kind="gp2")], "fail"),
        ([], "fail"),
    ],
)
def test_the_default_storage_class(classes: list[dict[str, Any]], status: str) -> None:
    (check,) = health_checks.check_default_storage_class(resolved(SETTINGS), classes)
    assert check.status == status
    assert bool(check.fix) is (status == "fail")


def with_conditions(name: str, **statuses: str) -> dict[str, Any]:
    conditions = [
        {"type": kind, "status": status, "message": f"{kind} is {status}"}
        for kind, status in statuses.items()
    ]
    spec = {"limits": {"cpu": "64"}}
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": conditions}}


def test_node_pools_and_node_classes() -> None:
    pools = [
        with_conditions("cpu", Ready="True"),
        with_conditions("g6", Ready="False", Valid="False"),
    ]
    classes = [with_conditions("cpu", Ready="True")]
    found = {
        check.name: check
        for check in health_checks.check_node_pools(resolved(SETTINGS), pools, classes)
    }
    assert found["Node pool cpu"].found == "Ready, 0 of 64 vCPUs"
    assert "Valid is False" in found["Node pool g6"].why
    assert found["Node class accelerator"].found == "does not exist"


def test_pod_identities() -> None:
    env = [{"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "x"}]
    with_them = pod(containers=[{"name": "a", "image": "a", "env": env}])
    assert health_checks.check_pod_identity("hub", "a", "b", None).status == "fail"
    assert health_checks.check_pod_identity("hub", "a", "b", [with_them]).status == "pass"
    assert (
        health_checks.check_pod_identity("hub", "a", "b", [with_them, pod("late")]).status == "warn"
    )
    assert (
        health_checks.check_pod_identity("hub", "a", "b", [pod()], rehearsal=True).status == "pass"
    )
