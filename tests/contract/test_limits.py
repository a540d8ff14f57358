"""What limits pods: quotas, limit ranges, pod security, disruption budgets, priorities."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kubernetes import client

from tests.contract.cluster import (
    GPU,
    Cluster,
    NamespaceFactory,
    Object,
    ScratchNamespace,
    rejected,
)
from tests.contract.manifests import container, deployment, make_object, pod, shell, template
from tests.support.poll import wait_for

ROLLED = ("rollout", "status", "--timeout=120s")

# -- ResourceQuota and LimitRange --------------------------------------------------------------


def create_quota(namespace: ScratchNamespace, **hard: str) -> None:
    """Returns when it counts."""
    named = {key.replace("_", "."): value for key, value in hard.items()}
    made = namespace.create(make_object("ResourceQuota", "few", spec={"hard": named}))
    wait_for(lambda: made.status.get("hard") == named)


def test_a_quota_rejects_an_object_beyond_it_and_reports_the_usage(
    namespace: ScratchNamespace,
) -> None:
    create_quota(namespace, pods="1")
    namespace.create(pod("one"))
    with rejected(403, "exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1"):
        namespace.create(pod("two"))


def test_a_quota_can_limit_gpus(namespace: ScratchNamespace) -> None:
    made = {"hard": {f"requests.{GPU}": "0"}}
    few = namespace.create(make_object("ResourceQuota", "few", spec=made))
    wait_for(lambda: few.status.get("hard") == made["hard"])
    with rejected(403, f"exceeded quota: few, requested: requests.{GPU}=1"):
        namespace.create(pod("cuda", container(resources={"limits": {GPU: "1"}})))


def test_a_workload_reports_why_its_pods_are_rejected(namespace: ScratchNamespace) -> None:
    create_quota(namespace, pods="0")
    web = namespace.create(deployment("web"))
    wait_for(lambda: web.condition("ReplicaFailure")["status"] == "True")
    assert "exceeded quota: few" in web.condition("ReplicaFailure")["message"]


def test_a_limit_range_sets_defaults_and_rejects_higher_limits(namespace: ScratchNamespace) -> None:
    of_containers = {
        "type": "Container",
        "default": {"memory": "64Mi"},
        "defaultRequest": {"cpu": "10m", "memory": "32Mi"},
        "max": {"memory": "128Mi"},
    }
    namespace.create(make_object("LimitRange", "usual", spec={"limits": [of_containers]}))

    def default_resources() -> Object:
        made = namespace.dry_run(pod("plain", container(resources={})))
        found: Object = made["spec"]["containers"][0]["resources"]
        return found

    wait_for(default_resources)  # the API server applies it soon, not at once
    assert default_resources()["limits"] == {"memory": "64Mi"}
    assert default_resources()["requests"] == {"cpu": "10m", "memory": "32Mi"}
    with rejected(403, "maximum memory usage per Container is 128Mi, but limit is 1Gi"):
        namespace.create(pod("large", container(resources={"limits": {"memory": "1Gi"}})))


# -- PodSecurity -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def restricted_namespace(new_namespace: NamespaceFactory) -> Iterator[ScratchNamespace]:
    """A namespace that enforces the Pod Security Standard `restricted`."""
    made = new_namespace(**{"pod-security.kubernetes.io/enforce": "restricted"})
    try:
        yield made
    finally:
        made.delete_all()


HARMLESS = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def test_a_restricted_namespace_rejects_a_privileged_pod(
    restricted_namespace: ScratchNamespace,
) -> None:
    with rejected(403, 'violates PodSecurity "restricted:latest": privileged'):
        restricted_namespace.create(pod("root", container(securityContext={"privileged": True})))


def test_a_restricted_namespace_admits_a_restricted_pod(
    restricted_namespace: ScratchNamespace,
) -> None:
    made = restricted_namespace.create(pod("modest", container(securityContext=HARMLESS)))
    wait_for(lambda: made.condition("Ready")["status"] == "True")


def test_a_restricted_namespace_admits_a_workload_but_not_its_pods(
    restricted_namespace: ScratchNamespace,
) -> None:
    web = restricted_namespace.create(deployment("web"))
    wait_for(lambda: web.condition("ReplicaFailure")["reason"] == "FailedCreate")
    assert 'violates PodSecurity "restricted:latest"' in web.condition("ReplicaFailure")["message"]


# -- disruption --------------------------------------------------------------------------------


def create_budget(namespace: ScratchNamespace, name: str, least: int) -> None:
    """Returns when it counts."""
    spec = {"minAvailable": least, "selector": {"matchLabels": {"app": name}}}
    made = namespace.create(make_object("PodDisruptionBudget", name, "policy/v1", spec=spec))
    wait_for(lambda: made.status.get("currentHealthy"))


def evict(namespace: ScratchNamespace, name: str) -> None:
    """Evict a pod as `kubectl drain` and Karpenter do."""
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=name, namespace=namespace.name))
    client.CoreV1Api(namespace.cluster.api).create_namespaced_pod_eviction(
        name, namespace.name, eviction
    )


def test_a_disruption_budget_rejects_an_eviction_with_its_reason(
    namespace: ScratchNamespace,
) -> None:
    namespace.create(deployment("web"))
    namespace.kubectl(*ROLLED, "deploy/web")
    create_budget(namespace, "web", 1)
    (name,) = namespace.names("Pod")
    with rejected(429, "Cannot evict pod as it would violate the pod's disruption budget"):
        evict(namespace, name)


def test_a_disruption_budget_allows_an_eviction_within_it(namespace: ScratchNamespace) -> None:
    namespace.create(deployment("web", 2))
    namespace.kubectl(*ROLLED, "deploy/web")
    create_budget(namespace, "web", 1)
    before = namespace.names("Pod")
    name = min(before)
    evict(namespace, name)
    wait_for(lambda: name not in namespace.names("Pod"))
    namespace.kubectl(*ROLLED, "deploy/web")
    assert len(namespace.names("Pod") - before) == 1


@pytest.fixture
def node_to_drain(cluster: Cluster, namespace: ScratchNamespace) -> Iterator[str]:
    """A node with the test's pod on it; after the test it is schedulable again."""
    name = f"web-{namespace.name}"
    namespace.create(deployment(name))
    namespace.kubectl(*ROLLED, f"deploy/{name}")
    (found,) = namespace.all("Pod")
    node = found["spec"]["nodeName"]
    yield node
    cluster.kubectl("uncordon", node)


def test_a_drained_nodes_pod_runs_elsewhere(
    cluster: Cluster, namespace: ScratchNamespace, node_to_drain: str
) -> None:
    # Drain only this test's pod.
    our_pods = f"--pod-selector=app=web-{namespace.name}"
    output = cluster.kubectl(
        "drain", node_to_drain, "--ignore-daemonsets", "--timeout=120s", our_pods
    )
    assert f"node/{node_to_drain} drained" in output
    node = cluster.find("Node", node_to_drain)
    assert node
    assert node["spec"]["unschedulable"]
    assert "node.kubernetes.io/unschedulable" in {t["key"] for t in node["spec"]["taints"]}

    def is_rescheduled() -> bool:
        nodes = {p["spec"].get("nodeName") for p in namespace.all("Pod")}
        return node_to_drain not in nodes and None not in nodes

    wait_for(is_rescheduled)


# -- priorities --------------------------------------------------------------------------------


def test_a_priority_class_sets_the_priority_of_its_pods(namespace: ScratchNamespace) -> None:
    spec = {"value": -10, "preemptionPolicy": "Never"}
    namespace.create(make_object("PriorityClass", namespace.name, "scheduling.k8s.io/v1", **spec))
    made = wait_for(lambda: namespace.dry_run(pod("low", priorityClassName=namespace.name)))
    assert (made["spec"]["priority"], made["spec"]["preemptionPolicy"]) == (-10, "Never")


def test_a_missing_priority_class_is_rejected(namespace: ScratchNamespace) -> None:
    with rejected(403, "no PriorityClass with name", "was found"):
        namespace.dry_run(pod("low", priorityClassName=namespace.name))


# -- network policies --------------------------------------------------------------------------


def test_a_network_policy_is_accepted(namespace: ScratchNamespace) -> None:
    own: Object = {"podSelector": {}}
    spec = {"podSelector": {}, "ingress": [{"from": [own]}], "policyTypes": ["Ingress"]}
    made = namespace.create(
        make_object("NetworkPolicy", "inside", "networking.k8s.io/v1", spec=spec)
    )
    assert made.current["spec"]["ingress"] == [{"from": [own]}]


def test_an_invalid_network_policy_is_rejected(namespace: ScratchNamespace) -> None:
    peer = {"ipBlock": {"cidr": "10.0.0.0/33"}}
    spec = {"podSelector": {}, "ingress": [{"from": [peer]}]}
    with rejected(422, "spec.ingress[0].from[0].ipBlock.cidr"):
        namespace.create(make_object("NetworkPolicy", "odd", "networking.k8s.io/v1", spec=spec))


# -- HorizontalPodAutoscaler -------------------------------------------------------------------


def test_a_busy_deployment_is_scaled_up(namespace: ScratchNamespace, metrics_server: None) -> None:
    small = {"requests": {"cpu": "20m"}, "limits": {"cpu": "100m"}}
    busy = template(
        "busy", shell("while :; do :; done", resources=small), annotations={"cpu-use": "0.9"}
    )
    namespace.create(deployment("busy", 1, busy))
    # The autoscaler reads metrics every 15 seconds: wait until there are some.
    wait_for(lambda: namespace.all("PodMetrics", "metrics.k8s.io/v1beta1"))
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"}
    spec = {
        "scaleTargetRef": scaled,
        "minReplicas": 1,
        "maxReplicas": 2,
        "metrics": [{"type": "Resource", "resource": cpu}],
    }
    hpa = namespace.create(
        make_object("HorizontalPodAutoscaler", "busy", "autoscaling/v2", spec=spec)
    )
    wait_for(lambda: hpa.status.get("desiredReplicas") == 2, 300)
    assert hpa.condition("ScalingActive")["reason"] == "ValidMetricFound"
    (metric,) = hpa.status["currentMetrics"]
    assert metric["resource"]["current"]["averageUtilization"] > 50
    wait_for(lambda: len(namespace.names("Pod")) == 2)
