"""What holds pods back: quotas, limits, security levels, disruption budgets, priorities."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kubernetes import client

from tests.contract.cluster import Cluster, Object, Space, refused, until
from tests.contract.conftest import GPU, Spaces
from tests.contract.manifests import container, deployment, pod, shell, template, thing

ROLLED = ("rollout", "status", "--timeout=120s")

# -- ResourceQuota and LimitRange --------------------------------------------------------------


def quota(space: Space, **hard: str) -> None:
    """Returns when it counts."""
    named = {key.replace("_", "."): value for key, value in hard.items()}
    made = space.create(thing("ResourceQuota", "few", spec={"hard": named}))
    until(lambda: made.status.get("hard") == named)


def test_a_quota_refuses_what_is_too_much_and_says_what_there_is(space: Space) -> None:
    quota(space, pods="1")
    space.create(pod("one"))
    with refused(403, "exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1"):
        space.create(pod("two"))


def test_a_quota_can_be_of_gpus(space: Space) -> None:
    made = {"hard": {f"requests.{GPU}": "0"}}
    few = space.create(thing("ResourceQuota", "few", spec=made))
    until(lambda: few.status.get("hard") == made["hard"])
    with refused(403, f"exceeded quota: few, requested: requests.{GPU}=1"):
        space.create(pod("cuda", container(resources={"limits": {GPU: "1"}})))


def test_a_workload_whose_pods_are_refused_says_why(space: Space) -> None:
    quota(space, pods="0")
    web = space.create(deployment("web"))
    until(lambda: web.condition("ReplicaFailure")["status"] == "True")
    assert "exceeded quota: few" in web.condition("ReplicaFailure")["message"]


def test_limits_fill_in_what_a_container_does_not_say_and_refuse_too_much(space: Space) -> None:
    of_containers = {
        "type": "Container",
        "default": {"memory": "64Mi"},
        "defaultRequest": {"cpu": "10m", "memory": "32Mi"},
        "max": {"memory": "128Mi"},
    }
    space.create(thing("LimitRange", "usual", spec={"limits": [of_containers]}))

    def filled_in() -> Object:
        made = space.would_create(pod("plain", container(resources={})))
        found: Object = made["spec"]["containers"][0]["resources"]
        return found

    until(filled_in)  # the API server takes it up soon, not at once
    assert filled_in()["limits"] == {"memory": "64Mi"}
    assert filled_in()["requests"] == {"cpu": "10m", "memory": "32Mi"}
    with refused(403, "maximum memory usage per Container is 128Mi, but limit is 1Gi"):
        space.create(pod("large", container(resources={"limits": {"memory": "1Gi"}})))


# -- PodSecurity -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def restricted(spaces: Spaces) -> Iterator[Space]:
    """A namespace that admits only what is harmless."""
    made = spaces(**{"pod-security.kubernetes.io/enforce": "restricted"})
    try:
        yield made
    finally:
        made.tidy()


HARMLESS = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def test_a_restricted_namespace_refuses_a_privileged_pod(restricted: Space) -> None:
    with refused(403, 'violates PodSecurity "restricted:latest": privileged'):
        restricted.create(pod("root", container(securityContext={"privileged": True})))


def test_a_restricted_namespace_takes_a_pod_that_is_harmless(restricted: Space) -> None:
    made = restricted.create(pod("modest", container(securityContext=HARMLESS)))
    until(lambda: made.condition("Ready")["status"] == "True")


def test_a_workload_in_a_restricted_namespace_is_taken_and_its_pods_are_not(
    restricted: Space,
) -> None:
    web = restricted.create(deployment("web"))
    until(lambda: web.condition("ReplicaFailure")["reason"] == "FailedCreate")
    assert 'violates PodSecurity "restricted:latest"' in web.condition("ReplicaFailure")["message"]


# -- disruption --------------------------------------------------------------------------------


def budget(space: Space, name: str, least: int) -> None:
    """Returns when it counts."""
    spec = {"minAvailable": least, "selector": {"matchLabels": {"app": name}}}
    made = space.create(thing("PodDisruptionBudget", name, "policy/v1", spec=spec))
    until(lambda: made.status.get("currentHealthy"))


def evict(space: Space, name: str) -> None:
    """As `kubectl drain` and Karpenter do."""
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=name, namespace=space.name))
    client.CoreV1Api(space.cluster.api).create_namespaced_pod_eviction(name, space.name, eviction)


def test_a_budget_refuses_an_eviction_and_says_so(space: Space) -> None:
    space.create(deployment("web"))
    space.kubectl(*ROLLED, "deploy/web")
    budget(space, "web", 1)
    (name,) = space.names("Pod")
    with refused(429, "Cannot evict pod as it would violate the pod's disruption budget"):
        evict(space, name)


def test_a_budget_that_has_room_lets_a_pod_be_evicted(space: Space) -> None:
    space.create(deployment("web", 2))
    space.kubectl(*ROLLED, "deploy/web")
    budget(space, "web", 1)
    before = space.names("Pod")
    name = min(before)
    evict(space, name)
    until(lambda: name not in space.names("Pod"))
    space.kubectl(*ROLLED, "deploy/web")
    assert len(space.names("Pod") - before) == 1


@pytest.fixture
def cordoned(cluster: Cluster, space: Space) -> Iterator[str]:
    """A node with our pod on it, which takes pods again after the test."""
    name = f"web-{space.name}"
    space.create(deployment(name))
    space.kubectl(*ROLLED, f"deploy/{name}")
    (found,) = space.all("Pod")
    node = found["spec"]["nodeName"]
    yield node
    cluster.kubectl("uncordon", node)


def test_a_node_is_drained_and_its_pod_is_elsewhere(
    cluster: Cluster, space: Space, cordoned: str
) -> None:
    # Pods of others stay where they are.
    ours = f"--pod-selector=app=web-{space.name}"
    said = cluster.kubectl("drain", cordoned, "--ignore-daemonsets", "--timeout=120s", ours)
    assert f"node/{cordoned} drained" in said
    node = cluster.find("Node", cordoned)
    assert node
    assert node["spec"]["unschedulable"]
    assert "node.kubernetes.io/unschedulable" in {t["key"] for t in node["spec"]["taints"]}

    def moved() -> bool:
        places = {p["spec"].get("nodeName") for p in space.all("Pod")}
        return cordoned not in places and None not in places

    until(moved)


# -- priorities --------------------------------------------------------------------------------


def test_a_priority_class_gives_its_pods_a_number(space: Space) -> None:
    spec = {"value": -10, "preemptionPolicy": "Never"}
    space.create(thing("PriorityClass", space.name, "scheduling.k8s.io/v1", **spec))
    made = until(lambda: space.would_create(pod("low", priorityClassName=space.name)))
    assert (made["spec"]["priority"], made["spec"]["preemptionPolicy"]) == (-10, "Never")


def test_a_priority_class_that_there_is_not_is_refused(space: Space) -> None:
    with refused(403, "no PriorityClass with name", "was found"):
        space.would_create(pod("low", priorityClassName=space.name))


# -- network policies --------------------------------------------------------------------------


def test_a_network_policy_is_taken(space: Space) -> None:
    own = {"podSelector": {}}
    spec = {"podSelector": {}, "ingress": [{"from": [own]}], "policyTypes": ["Ingress"]}
    made = space.create(thing("NetworkPolicy", "inside", "networking.k8s.io/v1", spec=spec))
    assert made.now["spec"]["ingress"] == [{"from": [own]}]


def test_a_network_policy_without_sense_is_refused(space: Space) -> None:
    peer = {"ipBlock": {"cidr": "10.0.0.0/33"}}
    spec = {"podSelector": {}, "ingress": [{"from": [peer]}]}
    with refused(422, "spec.ingress[0].from[0].ipBlock.cidr"):
        space.create(thing("NetworkPolicy", "odd", "networking.k8s.io/v1", spec=spec))


# -- HorizontalPodAutoscaler -------------------------------------------------------------------


def test_a_deployment_that_is_busy_gets_another_pod(space: Space, metrics_server: None) -> None:
    small = {"requests": {"cpu": "20m"}, "limits": {"cpu": "100m"}}
    busy = template("busy", shell("while :; do :; done", resources=small), notes={"cpu-use": "0.9"})
    space.create(deployment("busy", 1, busy))
    # The autoscaler looks every 15 seconds, so let it find something at once.
    until(lambda: space.all("PodMetrics", "metrics.k8s.io/v1beta1"))
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"}
    spec = {
        "scaleTargetRef": scaled,
        "minReplicas": 1,
        "maxReplicas": 2,
        "metrics": [{"type": "Resource", "resource": cpu}],
    }
    hpa = space.create(thing("HorizontalPodAutoscaler", "busy", "autoscaling/v2", spec=spec))
    until(lambda: hpa.status.get("desiredReplicas") == 2, 300)
    assert hpa.condition("ScalingActive")["reason"] == "ValidMetricFound"
    (metric,) = hpa.status["currentMetrics"]
    assert metric["resource"]["current"]["averageUtilization"] > 50
    until(lambda: len(space.names("Pod")) == 2)
