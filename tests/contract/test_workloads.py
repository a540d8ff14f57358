"""What Deployments, StatefulSets, DaemonSets and Jobs do with pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, watch

from tests.contract.cluster import Cluster, Object, Space, Thing, until
from tests.contract.conftest import Spaces
from tests.contract.manifests import (
    EVERYTHING,
    NOWHERE,
    claim,
    container,
    daemon_set,
    deployment,
    job,
    shell,
    stateful_set,
    template,
    thing,
)

ROLLED = ("rollout", "status", "--timeout=120s")


@pytest.fixture(scope="module", autouse=True)
def every_minute(spaces: Spaces) -> Iterator[Space]:
    """Two CronJobs, made first because a minute must pass."""
    made = spaces()
    for name in ("goes", "rests"):
        once = {"spec": {"template": job(name, template(name, shell("true")))["spec"]["template"]}}
        spec = {"schedule": "* * * * *", "suspend": name == "rests", "jobTemplate": once}
        made.create(thing("CronJob", name, "batch/v1", spec=spec))
    try:
        yield made
    finally:
        made.tidy()


# -- Deployments -------------------------------------------------------------------------------


def images(space: Space, name: str) -> set[str]:
    """Of the pods that a Deployment has now."""
    pods = space.all("Pod", label_selector=f"app={name}")
    return {
        pod["spec"]["containers"][0]["image"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    }


def test_a_deployment_rolls_out_and_back(space: Space) -> None:
    space.create(deployment("web", 2))
    space.kubectl(*ROLLED, "deploy/web")
    (before,) = images(space, "web")
    space.kubectl("set", "image", "deploy/web", "app=registry.k8s.io/pause:3.9")
    space.kubectl(*ROLLED, "deploy/web")
    assert images(space, "web") == {"registry.k8s.io/pause:3.9"}
    space.kubectl("rollout", "undo", "deploy/web")
    space.kubectl(*ROLLED, "deploy/web")
    assert images(space, "web") == {before}
    revisions = space.kubectl("rollout", "history", "deploy/web").split()
    assert {"2", "3"} <= {*revisions}
    assert "1" not in revisions


def test_a_rollout_that_comes_to_nothing_is_told_and_leaves_the_old_pods(space: Space) -> None:
    web = space.create(deployment("web", 1, progressDeadlineSeconds=4))
    until(lambda: web.status.get("availableReplicas") == 1)
    worse = template("web", container(image=NOWHERE), notes={"fault": "image-pull"})
    web.patch({"spec": {"template": worse}})
    until(lambda: web.condition("Progressing")["reason"] == "ProgressDeadlineExceeded")
    assert web.condition("Progressing")["status"] == "False"
    assert web.condition("Available")["status"] == "True"
    said = space.kubectl("rollout", "status", "deploy/web", check=False)
    assert "exceeded its progress deadline" in said


def test_a_deployment_is_scaled(space: Space) -> None:
    web = space.create(deployment("web", 1))
    space.kubectl("scale", "deploy/web", "--replicas=3")
    until(lambda: web.status.get("readyReplicas") == 3)
    space.kubectl("scale", "deploy/web", "--replicas=0")
    until(lambda: not space.names("Pod"))
    until(lambda: web.status.get("replicas", 0) == 0)


# -- StatefulSets ------------------------------------------------------------------------------


def ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def test_pods_of_a_stateful_set_come_one_after_the_other(space: Space) -> None:
    space.create(stateful_set("store", 3))
    api = client.CoreV1Api(space.cluster.api)
    seen: dict[str, set[str]] = {}
    stream = watch.Watch().stream(api.list_namespaced_pod, space.name, timeout_seconds=300)
    are_ready: set[str] = set()
    for event in stream:
        pod = event["raw_object"]
        seen.setdefault(pod["metadata"]["name"], {*are_ready})
        if ready(pod):
            are_ready.add(pod["metadata"]["name"])
        if len(are_ready) == 3:
            break
    assert seen == {
        "store-0": set(),
        "store-1": {"store-0"},
        "store-2": {"store-0", "store-1"},
    }


def test_a_pod_of_a_stateful_set_that_is_not_ready_holds_up_the_next(space: Space) -> None:
    broken = template("store", container(image=NOWHERE), notes={"fault": "image-pull"})
    store = space.create(stateful_set("store", 2, broken))
    until(lambda: space.events("store-0", "Failed"))
    assert space.names("Pod") == {"store-0"}
    until(lambda: store.status.get("replicas") == 1)


def test_a_stateful_set_gives_up_its_last_pod_first(space: Space) -> None:
    store = space.create(stateful_set("store", 2, podManagementPolicy="Parallel"))
    until(lambda: store.status.get("readyReplicas") == 2)
    space.kubectl("scale", "sts/store", "--replicas=1")
    until(lambda: space.names("Pod") == {"store-0"})


@pytest.mark.parametrize(("policy", "kept"), [("Retain", True), ("Delete", False)])
def test_claims_of_a_stateful_set_stay_or_go_with_it(space: Space, policy: str, kept: bool) -> None:
    # Of a class that there is not: it is about the claims alone.
    claims = [claim("data", f"{space.name}-none")]
    retention = {"whenDeleted": policy, "whenScaled": "Retain"}
    store = space.create(
        stateful_set(
            "store",
            1,
            volumeClaimTemplates=claims,
            persistentVolumeClaimRetentionPolicy=retention,
        )
    )

    def owned() -> bool:
        (found,) = space.all("PersistentVolumeClaim")
        return bool(found["metadata"].get("ownerReferences"))

    until(lambda: space.names("PersistentVolumeClaim") == {"data-store-0"})
    until(lambda: owned() is not kept)
    store.delete("Foreground")
    until(store.is_gone)
    if kept:
        assert space.names("PersistentVolumeClaim") == {"data-store-0"}
    else:
        until(lambda: not space.names("PersistentVolumeClaim"))


# -- DaemonSets --------------------------------------------------------------------------------


def nodes_of(space: Space, name: str) -> set[str]:
    pods = space.all("Pod", label_selector=f"app={name}", field_selector="status.phase=Running")
    return {pod["spec"]["nodeName"] for pod in pods}


def test_a_daemon_set_that_tolerates_everything_is_on_every_node(
    space: Space, cluster: Cluster, tainted_node: Object
) -> None:
    space.create(daemon_set("agent", template("agent", tolerations=EVERYTHING)))
    real = "eks.amazonaws.com/compute-type!=fargate"
    until(
        lambda: (
            nodes_of(space, "agent")
            == {n["metadata"]["name"] for n in cluster.all("Node", label_selector=real)}
        )
    )
    assert tainted_node["metadata"]["name"] in nodes_of(space, "agent")


def test_a_daemon_set_that_tolerates_nothing_is_not_on_a_tainted_node(
    space: Space, tainted_node: Object
) -> None:
    agent = space.create(daemon_set("agent"))
    until(lambda: agent.status.get("desiredNumberScheduled"))
    until(lambda: agent.status["numberReady"] == agent.status["desiredNumberScheduled"])
    assert nodes_of(space, "agent")
    assert tainted_node["metadata"]["name"] not in nodes_of(space, "agent")


# -- Jobs --------------------------------------------------------------------------------------


def exit_codes(space: Space, job: Thing) -> list[int]:
    """Of its pods' containers that have ended."""
    pods = space.all("Pod", label_selector=f"batch.kubernetes.io/job-name={job.name}")
    states = [s["state"] for p in pods for s in p["status"].get("containerStatuses") or ()]
    return [state["terminated"]["exitCode"] for state in states if "terminated" in state]


def test_a_job_completes(space: Space) -> None:
    done = space.create(job("sum", template("sum", shell("true")), completions=2, parallelism=2))
    until(lambda: done.condition("Complete")["status"] == "True")
    assert done.status["succeeded"] == 2
    assert exit_codes(space, done) == [0, 0]
    assert "condition met" in space.kubectl("wait", "--for=condition=complete", "job/sum")


def failing(name: str, **fields: Any) -> Object:
    """A Job whose pod ends with 3."""
    return job(name, template(name, shell("exit 3"), notes={"exit-code": "3"}), **fields)


def test_a_job_fails_after_its_last_try_with_the_exit_code_of_its_pods(space: Space) -> None:
    failed = space.create(failing("sum", backoffLimit=1))
    until(lambda: failed.condition("Failed")["status"] == "True")
    assert failed.condition("Failed")["reason"] == "BackoffLimitExceeded"
    assert failed.status["failed"] == 2
    assert exit_codes(space, failed) == [3, 3]


def test_an_exit_code_can_end_a_job_at_once(space: Space) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}}
    failed = space.create(failing("sum", backoffLimit=5, podFailurePolicy={"rules": [rule]}))
    until(lambda: failed.condition("Failed")["reason"] == "PodFailurePolicy")
    assert exit_codes(space, failed) == [3]


def test_a_job_that_is_done_goes_when_its_time_is_up(space: Space) -> None:
    short = job("sum", template("sum", shell("true")), ttlSecondsAfterFinished=0)
    until(space.create(short).is_gone)


def test_a_suspended_job_has_no_pods_until_it_goes_on(space: Space) -> None:
    resting = space.create(job("sum", template("sum", shell("true")), suspend=True))
    until(lambda: resting.condition("Suspended")["status"] == "True")
    assert space.names("Pod") == set()
    resting.patch({"spec": {"suspend": False}})
    until(lambda: resting.condition("Complete")["status"] == "True")


def test_a_suspended_cron_job_does_not_run_but_by_hand(every_minute: Space) -> None:
    owners = lambda: {  # noqa: E731
        made["metadata"]["ownerReferences"][0]["name"]
        for made in every_minute.all("Job", "batch/v1")
    }
    until(lambda: "goes" in owners(), 90)
    assert owners() == {"goes"}
    every_minute.kubectl("create", "job", "now", "--from=cronjob/rests")
    every_minute.kubectl("wait", "--for=condition=complete", "job/now", "--timeout=120s")
