"""Findings about Ray, Argo, batch and load balancers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jarkkit.decisions.addons.node_pools import node_pools
from jarkkit.decisions.diagnosis.custom_resources import disruption_findings, workload_findings
from jarkkit.decisions.diagnosis.findings import Finding, group_by_cause
from jarkkit.decisions.diagnosis.load_balancers import pending_findings
from jarkkit.decisions.diagnosis.nodes import accelerator_findings, foreign_pool_findings
from jarkkit.decisions.diagnosis.pods import PodGroup, pod_findings, unready_groups
from jarkkit.settings import Settings
from tests.unit import test_scheduling as scheduling

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
RAY, ARGO = "ray.io/v1", "argoproj.io/v1alpha1"
Object = dict[str, Any]


def ago(minutes: float) -> str:
    return (NOW - timedelta(minutes=minutes)).isoformat()


def resource(api: str, kind: str, status: Object | None = None, **more: Any) -> Object:
    meta = {"name": "mine", "namespace": "team", "creationTimestamp": ago(10)}
    return {"apiVersion": api, "kind": kind, "metadata": meta, "status": status or {}, **more}


def warning(kind: str, reason: str, message: str, **about: str) -> Object:
    involved = {"kind": kind, "name": "mine", "namespace": "team", **about}
    return {"involvedObject": involved, "reason": reason, "message": message}


def one(item: Object, *events: Object) -> Finding:
    (found,) = workload_findings([item], events, NOW)
    return found


def condition(kind: str, message: str = "", reason: str = "") -> Object:
    return {"type": kind, "status": "True", "message": message, "reason": reason}


class TestWorkloads:
    @pytest.mark.parametrize(
        ("item", "words"),
        [
            (resource(RAY, "RayJob", {
                "jobDeploymentStatus": "ValidationFailed", "message": "both are set"}), "both"),
            (resource(RAY, "RayJob", {
                "jobDeploymentStatus": "Failed", "reason": "AppFailed", "message": "exit 1"}),
             "exit 1"),
            (resource(RAY, "RayJob", {"jobStatus": "STOPPED"}), "STOPPED"),
            (resource(RAY, "RayCluster", {
                "conditions": [condition("ReplicaFailure", "exceeded quota", "FailedCreate")]}),
             "exceeded quota"),
            (resource(RAY, "RayService", {"pendingServiceStatus": {"applicationStatuses": {
                "app": {"status": "DEPLOY_FAILED", "message": "No module named app"}}}}),
             "No module named app"),
            (resource(RAY, "RayService", {"activeServiceStatus": {"applicationStatuses": {
                "app": {"status": "UNHEALTHY", "serveDeploymentStatuses": {
                    "d": {"message": "replica died"}}}}}}), "replica died"),
            (resource(ARGO, "Workflow", {
                "phase": "Error", "message": 'workflowtemplates "x" not found'}), "not found"),
            (resource(ARGO, "Workflow", {"phase": "Failed", "nodes": {
                "a": {"phase": "Failed", "message": "OOMKilled"}}}), "OOMKilled"),
            (resource(ARGO, "CronWorkflow", {
                "conditions": [condition("SpecError", "bad schedule")]}), "bad schedule"),
            (resource(ARGO, "Application", {
                "conditions": [{"type": "ComparisonError", "message": "no such repository"}]}),
             "no such repository"),
            (resource(ARGO, "Application", {"health": {"status": "Degraded"}}), "Degraded"),
            (resource(ARGO, "Application", {
                "operationState": {"phase": "Failed", "message": "one sync task failed"}}),
             "sync task"),
            (resource("batch/v1", "Job", {
                "conditions": [condition("Failed", "reached limit", "BackoffLimitExceeded")]}),
             "reached limit"),
            (resource("kubeflow.org/v2beta1", "MPIJob", {
                "conditions": [condition("Failed", "launcher failed")]}), "launcher failed"),
            (resource("batch.volcano.sh/v1alpha1", "Job", {
                "state": {"phase": "Aborted", "message": "no quota"}}), "no quota"),
            (resource(RAY, "RayCluster"), "no status"),
        ],
    )  # fmt: skip
    def test_a_failure_is_reported_with_the_resources_own_words(
        self, item: Object, words: str
    ) -> None:
        found = one(item)
        assert found.code == "JK-WORKLOAD-FAILED"
        assert found.grave
        assert words in found.found
        assert found.fix
        assert item["kind"] in found.subject

    @pytest.mark.parametrize(
        "item",
        [
            resource(RAY, "RayJob", {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}),
            resource(RAY, "RayJob", {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}),
            resource(RAY, "RayCluster", {"state": "ready"}),
            resource(RAY, "RayService", {"activeServiceStatus": {"applicationStatuses": {
                "app": {"status": "RUNNING"}}}}),
            resource(ARGO, "Workflow", {"phase": "Succeeded"}),
            resource(ARGO, "Application", {
                "health": {"status": "Progressing"}, "sync": {"status": "OutOfSync"}}),
            resource("batch/v1", "Job", {"active": 1}),
        ],
    )  # fmt: skip
    def test_what_runs_is_no_finding(self, item: Object) -> None:
        assert not list(workload_findings([item], (), NOW))

    def test_a_warning_of_the_operator_counts_where_the_status_has_none(self) -> None:
        long = resource(RAY, "RayCluster", {"state": ""} | {"observedGeneration": 1})
        event = warning("RayCluster", "InvalidRayClusterMetadata", "name has more than 53 letters")
        assert "53 letters" in one(long, event).found
        elsewhere = warning("RayCluster", "InvalidRayClusterSpec", "x", namespace="other")
        assert not list(workload_findings([long], [elsewhere], NOW))

    @pytest.mark.parametrize(
        "message",
        [
            'error looking up service account team/argo-workflow: serviceaccounts "argo-workflow" '
            "not found",
            'pods "x" is forbidden: error looking up service account team/argo-workflow: '
            'serviceaccount "argo-workflow" not found',
        ],
    )
    def test_a_missing_service_account_comes_with_the_commands(self, message: str) -> None:
        found = one(resource(ARGO, "Workflow", {"phase": "Error", "message": message}))
        assert "argo-workflow" in found.why
        assert "kubectl -n team create serviceaccount argo-workflow;" in found.fix
        assert "--verb=create,patch --resource=workflowtaskresults.argoproj.io" in found.fix

    def test_missing_rights_come_with_the_role(self) -> None:
        status = {"phase": "Error", "nodes": {"a": {"phase": "Error", "message":
            'workflowtaskresults.argoproj.io is forbidden: User "system:serviceaccount:team:bare" '
            'cannot create resource "workflowtaskresults"'}}}  # fmt: skip
        found = one(resource(ARGO, "Workflow", status, spec={"serviceAccountName": "bare"}))
        assert "bare may not write" in found.why
        assert "--serviceaccount=team:bare" in found.fix

    def test_what_failed_long_ago_is_a_warning(self) -> None:
        status = {"phase": "Failed", "finishedAt": ago(300), "message": "exit 1"}
        assert not one(resource(ARGO, "Workflow", status)).grave

    def test_a_new_resource_without_a_status_gets_some_time(self) -> None:
        new = resource(RAY, "RayJob")
        new["metadata"]["creationTimestamp"] = ago(1)
        assert not list(workload_findings([new], (), NOW))

    def test_a_failed_ray_job_follows_from_the_pods_of_its_cluster(self) -> None:
        status = {"jobDeploymentStatus": "Failed", "rayClusterName": "mine-abc"}
        assert "pods:team/mine-abc" in one(resource(RAY, "RayJob", status)).follows

    def test_a_job_of_an_operator_is_left_to_its_owner(self) -> None:
        job = resource("batch/v1", "Job", {"conditions": [condition("Failed")]})
        job["metadata"]["ownerReferences"] = [{"kind": "RayJob", "name": "mine"}]
        assert not list(workload_findings([job], (), NOW))


class TestDisruption:
    POOLS = node_pools(Settings())

    def cluster(self, annotations: Object, selector: Object) -> Object:
        template = {"metadata": {"annotations": annotations}, "spec": {"nodeSelector": selector}}
        return resource(RAY, "RayCluster", spec={"headGroupSpec": {"template": template}})

    def test_a_head_that_karpenter_may_move_is_a_warning(self) -> None:
        (found,) = disruption_findings([self.cluster({}, {})], self.POOLS)
        assert not found.grave
        assert "team/mine" in found.found
        assert 'karpenter.sh/do-not-disrupt: "true"' in found.fix

    @pytest.mark.parametrize(
        ("annotations", "selector"),
        [
            ({"karpenter.sh/do-not-disrupt": "true"}, {}),
            ({}, {"jarkkit/nodes": "core"}),
            ({}, {"jarkkit/pool": "g6"}),
        ],
    )
    def test_a_head_that_stays_is_none(self, annotations: Object, selector: Object) -> None:
        assert not list(disruption_findings([self.cluster(annotations, selector)], self.POOLS))
        assert not list(disruption_findings([self.cluster({}, {})], ()))


class TestLoadBalancers:
    def service(self, **status: Any) -> Object:
        return {**resource("v1", "Service", status), "spec": {"type": "LoadBalancer"}}

    @pytest.mark.parametrize(
        ("message", "advice"),
        [
            ("Failed build model due to unable to resolve at least one subnet (0 match VPC and "
             "tags: [kubernetes.io/role/elb])", "kubernetes.io/role/elb=1"),
            ("couldn't auto-discover subnets: unable to discover a subnet", "create-tags"),
            ("api error AccessDenied: not authorized to perform: elasticloadbalancing:x", "Deploy"),
            ("TooManyLoadBalancers: the maximum number", "increase"),
            ("operation error EC2: DescribeSubnets, api error RequestLimitExceeded: Request limit "
             "exceeded.", "repeats the call by itself"),
            ("no certificate found for host: hub.example.org", "Certificate Manager"),
            ("something new", "controller's message"),
        ],
    )  # fmt: skip
    def test_the_controllers_message_decides(self, message: str, advice: str) -> None:
        event = warning("Service", "FailedBuildModel", message)
        (found,) = pending_findings([self.service()], (), [event], NOW)
        assert message in found.found
        assert advice in found.fix
        assert found.code == "JK-LOAD-BALANCER-PENDING"

    def test_without_a_message_the_controller_may_not_run(self) -> None:
        (found,) = pending_findings([self.service()], (), (), NOW)
        assert "aws-load-balancer-controller" in found.fix
        assert "addon:aws-load-balancer-controller" in found.follows

    def test_an_ingress_without_a_class(self) -> None:
        (found,) = pending_findings((), [resource("networking.k8s.io/v1", "Ingress")], (), NOW)
        assert "ingressClassName" in found.fix

    def test_what_has_an_address_or_is_new_is_no_finding(self) -> None:
        there = self.service(loadBalancer={"ingress": [{"hostname": "x.elb.amazonaws.com"}]})
        new = self.service()
        new["metadata"]["creationTimestamp"] = ago(1)
        internal = {**self.service(), "spec": {"type": "ClusterIP"}}
        assert not list(pending_findings([there, new, internal], (), (), NOW))


def test_a_node_class_that_does_not_exist_is_reported_for_foreign_pools_only() -> None:
    status = {"conditions": [
        {"type": "Ready", "status": "False", "message": ""},
        {"type": "NodeClassReady", "status": "False", "message": "NodeClass not found on cluster"},
    ]}  # fmt: skip
    pool = {"kind": "NodePool", "metadata": {"name": "own-pool"}, "status": status}
    (found,) = foreign_pool_findings([pool], (), {"cpu"})
    assert found.subject == "NodePool own-pool"
    assert "NodeClass not found" in found.found
    assert not list(foreign_pool_findings([pool], (), {"own-pool"}))


def test_a_worker_of_a_ray_service_without_a_replica_is_as_it_should_be() -> None:
    state = {"name": "w", "ready": False, "state": {"running": {"startedAt": ago(9)}}}
    labels = {"ray.io/originated-from-crd": "RayService", "ray.io/node-type": "worker"}
    meta = {"name": "w-1", "namespace": "team", "labels": labels, "creationTimestamp": ago(10)}
    pod = {"metadata": meta, "spec": {}, "status": {"containerStatuses": [state]}}
    assert unready_groups([pod]) == ()
    crashed = {**state, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    assert unready_groups([{**pod, "status": {"containerStatuses": [crashed]}}])
    head = {**meta, "labels": {**labels, "ray.io/node-type": "head"}}
    assert unready_groups([{**pod, "metadata": head}])


def test_a_pending_gpu_pod_follows_from_the_gpu_that_is_not_announced() -> None:
    labels = {"node.kubernetes.io/instance-type": "g5.xlarge"}
    silent = scheduling.node("gpu-1", labels=labels)
    supply = scheduling.supply(scheduling.node("n1"), silent)
    pending = scheduling.requesting("nvidia.com/gpu")
    failure = scheduling.found(pending, supply)
    (group,) = unready_groups([pending])
    waits = pod_findings(
        [PodGroup(group.owner, group.pods, failure)], {}, (), lambda node: False, NOW
    )
    accelerators = accelerator_findings(supply, ["nvidia-device-plugin"])
    (cause,) = group_by_cause([*waits, *accelerators])
    assert cause.finding.subject == "Accelerators nvidia.com/gpu"
    assert "gpu-1 (g5.xlarge)" in cause.finding.found
    assert len(cause.symptoms) == 1
    assert "addon:nvidia-device-plugin" in cause.finding.follows
