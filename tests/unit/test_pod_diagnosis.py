"""Diagnosis of a workload's pods through the Kubernetes API."""

from __future__ import annotations

from typing import Any, cast

from jarkkit.ports.kube import Kube
from jarkkit.steps.cluster.pod_diagnosis import diagnose_pods, label_selector
from tests.support.pods import event, pod, waiting


class FakeCluster:
    """Returns the given pods and events, and records the queries."""

    def __init__(self, pods: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
        self.pods, self.recorded_events, self.queries = pods, events, list[str]()

    def list(self, _: str, kind: str, namespace: str = "", **chosen: str) -> Any:
        self.queries.append(f"{kind} {namespace} {''.join(chosen.values())}")
        return iter(self.pods if kind == "Pod" else self.recorded_events)

    def logs(self, namespace: str, pod: str, container: str = "", **_: Any) -> str:
        return f"last words of {container}"


class TestDiagnosePods:
    OWNER = {  # noqa: RUF012 - never changed
        "metadata": {"name": "hub", "namespace": "jupyterhub"},
        "spec": {
            "selector": {
                "matchLabels": {"app": "hub"},
                "matchExpressions": [
                    {"key": "tier", "operator": "In", "values": ["a", "b"]},
                    {"key": "old", "operator": "DoesNotExist"},
                ],
            }
        },
    }

    def test_the_selector_has_the_form_of_the_api(self) -> None:
        assert label_selector(self.OWNER) == "app=hub,tier in (a,b),!old"

    def test_only_the_pods_of_the_workload_are_listed(self) -> None:
        last: dict[str, Any] = {"lastState": {"terminated": {"exitCode": 1}}}
        cluster = FakeCluster([pod(status=waiting("CrashLoopBackOff", **last))], [])
        failure = diagnose_pods(cast("Kube", cluster), self.OWNER)
        assert failure is not None
        assert failure.evidence == "last words of hub"
        assert cluster.queries[0].startswith("Pod jupyterhub app=hub")

    def test_events_of_other_workloads_are_ignored(self) -> None:
        other_event = event("ReplicaSet", "proxy-1", "FailedCreate", "exceeded quota")
        with_other_event = FakeCluster([], [other_event])
        assert diagnose_pods(cast("Kube", with_other_event), self.OWNER) is None
        own_event = event("ReplicaSet", "hub-1", "FailedCreate", "exceeded quota")
        with_own_event = FakeCluster([], [own_event])
        assert diagnose_pods(cast("Kube", with_own_event), self.OWNER) is not None
