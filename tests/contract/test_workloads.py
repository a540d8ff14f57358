"""What Deployments, StatefulSets, DaemonSets and Jobs do with pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, watch

from tests.contract.cluster import Cluster, LiveObject, NamespaceFactory, Object, ScratchNamespace
from tests.contract.manifests import (
    MISSING_IMAGE,
    TOLERATE_ALL,
    claim,
    container,
    daemon_set,
    deployment,
    job,
    make_object,
    shell,
    stateful_set,
    template,
)
from tests.support.poll import wait_for

ROLLED = ("rollout", "status", "--timeout=120s")


@pytest.fixture(scope="module", autouse=True)
def cron_jobs(new_namespace: NamespaceFactory) -> Iterator[ScratchNamespace]:
    """Two CronJobs, created first because a minute must pass."""
    made = new_namespace()
    for name in ("goes", "rests"):
        once = {"spec": {"template": job(name, template(name, shell("true")))["spec"]["template"]}}
        spec = {"schedule": "* * * * *", "suspend": name == "rests", "jobTemplate": once}
        made.create(make_object("CronJob", name, "batch/v1", spec=spec))
    try:
        yield made
    finally:
        made.delete_all()


# -- Deployments -------------------------------------------------------------------------------


def images(namespace: ScratchNamespace, name: str) -> set[str]:
    """Return the images of a Deployment's current pods."""
    pods = namespace.all("Pod", label_selector=f"app={name}")
    return {
        pod["spec"]["containers"][0]["image"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    }


def test_a_deployment_is_rolled_out_and_rolled_back(namespace: ScratchNamespace) -> None:
    namespace.create(deployment("web", 2))
    namespace.kubectl(*ROLLED, "deploy/web")
    (before,) = images(namespace, "web")
    namespace.kubectl("set", "image", "deploy/web", "app=registry.k8s.io/pause:3.9")
    namespace.kubectl(*ROLLED, "deploy/web")
    assert images(namespace, "web") == {"registry.k8s.io/pause:3.9"}
    namespace.kubectl("rollout", "undo", "deploy/web")
    namespace.kubectl(*ROLLED, "deploy/web")
    assert images(namespace, "web") == {before}
    revisions = namespace.kubectl("rollout", "history", "deploy/web").split()
    assert {"2", "3"} <= {*revisions}
    assert "1" not in revisions


def test_a_failed_rollout_is_reported_and_keeps_the_old_pods(namespace: ScratchNamespace) -> None:
    web = namespace.create(deployment("web", 1, progressDeadlineSeconds=4))
    wait_for(lambda: web.status.get("availableReplicas") == 1)
    broken = template("web", container(image=MISSING_IMAGE), annotations={"fault": "image-pull"})
    web.patch({"spec": {"template": broken}})
    wait_for(lambda: web.condition("Progressing")["reason"] == "ProgressDeadlineExceeded")
    assert web.condition("Progressing")["status"] == "False"
    assert web.condition("Available")["status"] == "True"
    output = namespace.kubectl("rollout", "status", "deploy/web", check=False)
    assert "exceeded its progress deadline" in output


def test_a_deployment_is_scaled(namespace: ScratchNamespace) -> None:
    web = namespace.create(deployment("web", 1))
    namespace.kubectl("scale", "deploy/web", "--replicas=3")
    wait_for(lambda: web.status.get("readyReplicas") == 3)
    namespace.kubectl("scale", "deploy/web", "--replicas=0")
    wait_for(lambda: not namespace.names("Pod"))
    wait_for(lambda: web.status.get("replicas", 0) == 0)


# -- StatefulSets ------------------------------------------------------------------------------


def is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def test_pods_of_a_stateful_set_start_in_order(namespace: ScratchNamespace) -> None:
    namespace.create(stateful_set("store", 3))
    api = client.CoreV1Api(namespace.cluster.api)
    seen: dict[str, set[str]] = {}
    stream = watch.Watch().stream(api.list_namespaced_pod, namespace.name, timeout_seconds=300)
    are_ready: set[str] = set()
    for event in stream:
        pod = event["raw_object"]
        seen.setdefault(pod["metadata"]["name"], {*are_ready})
        if is_ready(pod):
            are_ready.add(pod["metadata"]["name"])
        if len(are_ready) == 3:
            break
    assert seen == {
        "store-0": set(),
        "store-1": {"store-0"},
        "store-2": {"store-0", "store-1"},
    }


def test_an_unready_pod_of_a_stateful_set_blocks_the_next(namespace: ScratchNamespace) -> None:
    broken = template("store", container(image=MISSING_IMAGE), annotations={"fault": "image-pull"})
    store = namespace.create(stateful_set("store", 2, broken))
    wait_for(lambda: namespace.events("store-0", "Failed"))
    assert namespace.names("Pod") == {"store-0"}
    wait_for(lambda: store.status.get("replicas") == 1)


def test_a_stateful_set_deletes_its_last_pod_first(namespace: ScratchNamespace) -> None:
    store = namespace.create(stateful_set("store", 2, podManagementPolicy="Parallel"))
    wait_for(lambda: store.status.get("readyReplicas") == 2)
    namespace.kubectl("scale", "sts/store", "--replicas=1")
    wait_for(lambda: namespace.names("Pod") == {"store-0"})


@pytest.mark.parametrize(("policy", "kept"), [("Retain", True), ("Delete", False)])
def test_claims_of_a_stateful_set_follow_its_retention_policy(
    namespace: ScratchNamespace, policy: str, kept: bool
) -> None:
    # The storage class does not exist: only the claims matter here.
    claims = [claim("data", f"{namespace.name}-none")]
    retention = {"whenDeleted": policy, "whenScaled": "Retain"}
    store = namespace.create(
        stateful_set(
            "store",
            1,
            volumeClaimTemplates=claims,
            persistentVolumeClaimRetentionPolicy=retention,
        )
    )

    def owner_names() -> bool:
        (found,) = namespace.all("PersistentVolumeClaim")
        return bool(found["metadata"].get("ownerReferences"))

    wait_for(lambda: namespace.names("PersistentVolumeClaim") == {"data-store-0"})
    wait_for(lambda: owner_names() is not kept)
    store.delete("Foreground")
    wait_for(store.is_gone)
    if kept:
        assert namespace.names("PersistentVolumeClaim") == {"data-store-0"}
    else:
        wait_for(lambda: not namespace.names("PersistentVolumeClaim"))


# -- DaemonSets --------------------------------------------------------------------------------


def nodes_of(namespace: ScratchNamespace, name: str) -> set[str]:
    pods = namespace.all("Pod", label_selector=f"app={name}", field_selector="status.phase=Running")
    return {pod["spec"]["nodeName"] for pod in pods}


def test_a_daemon_set_with_all_tolerations_runs_on_every_node(
    namespace: ScratchNamespace, cluster: Cluster, tainted_node: Object
) -> None:
    namespace.create(daemon_set("agent", template("agent", tolerations=TOLERATE_ALL)))
    real = "eks.amazonaws.com/compute-type!=fargate"
    wait_for(
        lambda: (
            nodes_of(namespace, "agent")
            == {n["metadata"]["name"] for n in cluster.all("Node", label_selector=real)}
        )
    )
    assert tainted_node["metadata"]["name"] in nodes_of(namespace, "agent")


def test_a_daemon_set_without_tolerations_skips_a_tainted_node(
    namespace: ScratchNamespace, tainted_node: Object
) -> None:
    agent = namespace.create(daemon_set("agent"))
    wait_for(lambda: agent.status.get("desiredNumberScheduled"))
    wait_for(lambda: agent.status["numberReady"] == agent.status["desiredNumberScheduled"])
    assert nodes_of(namespace, "agent")
    assert tainted_node["metadata"]["name"] not in nodes_of(namespace, "agent")


# -- Jobs --------------------------------------------------------------------------------------


def exit_codes(namespace: ScratchNamespace, job: LiveObject) -> list[int]:
    """Return the exit codes of the Job's containers that have terminated."""
    pods = namespace.all("Pod", label_selector=f"batch.kubernetes.io/job-name={job.name}")
    states = [s["state"] for p in pods for s in p["status"].get("containerStatuses") or ()]
    return [state["terminated"]["exitCode"] for state in states if "terminated" in state]


def test_a_job_completes(namespace: ScratchNamespace) -> None:
    done = namespace.create(
        job("sum", template("sum", shell("true")), completions=2, parallelism=2)
    )
    wait_for(lambda: done.condition("Complete")["status"] == "True")
    assert done.status["succeeded"] == 2
    assert exit_codes(namespace, done) == [0, 0]
    assert "condition met" in namespace.kubectl("wait", "--for=condition=complete", "job/sum")


def failing_job(name: str, **fields: Any) -> Object:
    """Return a Job whose pod exits with 3."""
    return job(name, template(name, shell("exit 3"), annotations={"exit-code": "3"}), **fields)


def test_a_job_fails_after_its_last_retry_with_its_pods_exit_code(
    namespace: ScratchNamespace,
) -> None:
    failed = namespace.create(failing_job("sum", backoffLimit=1))
    wait_for(lambda: failed.condition("Failed")["status"] == "True")
    assert failed.condition("Failed")["reason"] == "BackoffLimitExceeded"
    assert failed.status["failed"] == 2
    assert exit_codes(namespace, failed) == [3, 3]


def test_a_pod_failure_policy_fails_a_job_at_once(namespace: ScratchNamespace) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}}
    failed = namespace.create(
        failing_job("sum", backoffLimit=5, podFailurePolicy={"rules": [rule]})
    )
    wait_for(lambda: failed.condition("Failed")["reason"] == "PodFailurePolicy")
    assert exit_codes(namespace, failed) == [3]


def test_a_finished_job_is_deleted_after_its_ttl(namespace: ScratchNamespace) -> None:
    short = job("sum", template("sum", shell("true")), ttlSecondsAfterFinished=0)
    wait_for(namespace.create(short).is_gone)


def test_a_suspended_job_has_no_pods_until_it_is_resumed(namespace: ScratchNamespace) -> None:
    resting = namespace.create(job("sum", template("sum", shell("true")), suspend=True))
    wait_for(lambda: resting.condition("Suspended")["status"] == "True")
    assert namespace.names("Pod") == set()
    resting.patch({"spec": {"suspend": False}})
    wait_for(lambda: resting.condition("Complete")["status"] == "True")


def test_a_suspended_cron_job_runs_only_when_triggered_manually(
    cron_jobs: ScratchNamespace,
) -> None:
    owners = lambda: {  # noqa: E731
        made["metadata"]["ownerReferences"][0]["name"] for made in cron_jobs.all("Job", "batch/v1")
    }
    wait_for(lambda: "goes" in owners(), 90)
    assert owners() == {"goes"}
    cron_jobs.kubectl("create", "job", "now", "--from=cronjob/rests")
    cron_jobs.kubectl("wait", "--for=condition=complete", "job/now", "--timeout=120s")
