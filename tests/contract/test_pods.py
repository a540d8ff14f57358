"""Pods: how they start, run, are looked into, and what they say when they do not."""

from __future__ import annotations

import re
import subprocess
import urllib.error
import urllib.request

from tests.contract.cluster import Object, Space, Thing, until
from tests.contract.manifests import NOWHERE, container, pod, shell, thing


def first(made: Thing) -> Object:
    """The status of its container; without content before there is one."""
    return next(iter(made.status.get("containerStatuses") or [{}]))


def waits(made: Thing) -> Object:
    """Why its container waits."""
    found: Object = first(made).get("state", {}).get("waiting") or {}
    return found


def is_ready(made: Thing) -> bool:
    return bool(made.condition("Ready")["status"] == "True")


# -- starting ----------------------------------------------------------------------------------


def test_init_containers_are_done_before_the_others_begin(space: Space) -> None:
    made = space.create(pod("it", initContainers=[shell("true", "one"), shell("true", "two")]))
    until(lambda: is_ready(made))
    statuses = made.status["initContainerStatuses"]
    ended = [s["state"]["terminated"] for s in statuses]
    assert [
        (s["name"], e["exitCode"], e["reason"]) for s, e in zip(statuses, ended, strict=True)
    ] == [
        ("one", 0, "Completed"),
        ("two", 0, "Completed"),
    ]
    started = first(made)["state"]["running"]["startedAt"]
    assert ended[0]["finishedAt"] <= ended[1]["finishedAt"] <= started
    assert made.condition("Initialized")["status"] == "True"


def test_a_sidecar_counts_among_the_containers_that_are_ready(space: Space) -> None:
    sidecar = container("sidecar", restartPolicy="Always")
    made = space.create(pod("it", initContainers=[sidecar]))
    until(lambda: is_ready(made))
    assert space.kubectl("get", "pod", "it", "--no-headers").split()[1] == "2/2"


def endpoints(space: Space, service: str) -> dict[str, bool]:
    """The pods behind a Service, and whether they are ready."""
    selector = f"kubernetes.io/service-name={service}"
    slices = space.all("EndpointSlice", "discovery.k8s.io/v1", label_selector=selector)
    return {
        end["targetRef"]["name"]: end["conditions"]["ready"]
        for found in slices
        for end in found.get("endpoints") or ()
    }


def test_a_pod_that_is_not_ready_gets_no_traffic(space: Space) -> None:
    never = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    well, ill = (
        pod("well"),
        pod("ill", shell("sleep 600", readinessProbe=never), notes={"fault": "not-ready"}),
    )
    for one in (well, ill):
        one["metadata"]["labels"] = {"app": "web"}
    space.create(well)
    broken = space.create(ill)
    space.create(
        thing("Service", "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]})
    )
    until(lambda: endpoints(space, "web") == {"well": True, "ill": False})
    assert "Readiness probe failed" in until(lambda: space.said("ill", "Unhealthy"))
    assert broken.status["phase"] == "Running"
    assert broken.condition("ContainersReady")["reason"] == "ContainersNotReady"


def test_a_pod_has_the_address_and_the_node_that_it_says(space: Space) -> None:
    made = space.create(pod("it"))
    until(lambda: is_ready(made))
    node = space.cluster.find("Node", made.now["spec"]["nodeName"])
    assert node
    addresses = {a["address"] for a in node["status"]["addresses"]}
    assert made.status["hostIP"] in addresses
    assert made.status["podIP"] not in addresses
    assert made.status["qosClass"] == "Burstable"


# -- what goes wrong ---------------------------------------------------------------------------


def test_an_image_that_cannot_be_pulled_is_told_in_kubelets_words(space: Space) -> None:
    made = space.create(pod("it", container(image=NOWHERE), notes={"fault": "image-pull"}))
    until(lambda: waits(made).get("reason") == "ImagePullBackOff")
    assert waits(made)["message"].startswith(f'Back-off pulling image "{NOWHERE}"')
    assert made.status["phase"] == "Pending"
    failed = until(
        lambda: "ImagePullBackOff" in space.said("it", "Failed") and space.said("it", "Failed")
    )
    assert f'Failed to pull image "{NOWHERE}": ' in failed
    assert "failed to pull and unpack image" in failed
    assert {"Error: ErrImagePull", "Error: ImagePullBackOff"} <= {*failed.splitlines()}
    assert space.said("it", "BackOff").startswith(f'Back-off pulling image "{NOWHERE}"')
    assert re.search("ErrImagePull|ImagePullBackOff", space.kubectl("get", "pod", "it"))


def test_a_container_that_crashes_backs_off_and_its_last_end_is_kept(space: Space) -> None:
    made = space.create(pod("it", shell("exit 1"), notes={"fault": "crash-loop"}))
    until(lambda: waits(made).get("reason") == "CrashLoopBackOff" and first(made)["restartCount"])
    back_off = (
        rf"back-off [0-9ms]+ restarting failed container=app pod=it_{space.name}\({made.uid}\)"
    )
    until(lambda: re.fullmatch(back_off, waits(made).get("message", "")))
    ended = first(made)["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (1, "Error")
    said = until(lambda: space.said("it", "BackOff"))
    assert f"Back-off restarting failed container app in pod it_{space.name}({made.uid})" in said
    assert made.status["phase"] == "Running"


def test_a_container_that_takes_too_much_memory_is_killed(space: Space) -> None:
    greedy = shell("tail /dev/zero", resources={"limits": {"memory": "32Mi"}})
    made = space.create(pod("it", greedy, notes={"fault": "oom"}))
    until(lambda: first(made).get("lastState", {}).get("terminated"))
    ended = first(made)["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


def test_a_pod_that_ends_badly_has_failed(space: Space) -> None:
    made = space.create(pod("it", shell("exit 3"), notes={"exit-code": "3"}, restartPolicy="Never"))
    until(lambda: made.status["phase"] == "Failed")
    assert first(made)["state"]["terminated"]["exitCode"] == 3


# -- events ------------------------------------------------------------------------------------


def test_events_tell_the_story_of_a_pod(space: Space) -> None:
    made = space.create(pod("it"))
    until(lambda: space.events("it", "Started"))
    told = {
        e["reason"]: e for e in space.all("Event", field_selector=f"involvedObject.uid={made.uid}")
    }
    assert {"Scheduled", "Pulled", "Created", "Started"} <= {*told}
    node = made.now["spec"]["nodeName"]
    assert told["Scheduled"]["message"] == f"Successfully assigned {space.name}/it to {node}"
    assert told["Scheduled"]["reportingComponent"] == "default-scheduler"
    kubelet = told["Pulled"]
    assert (kubelet["type"], kubelet["count"], kubelet["source"]["component"]) == (
        "Normal",
        1,
        "kubelet",
    )
    assert kubelet["source"]["host"] == node
    assert kubelet["firstTimestamp"] <= kubelet["lastTimestamp"]
    about = kubelet["involvedObject"]
    assert (about["kind"], about["namespace"], about["uid"]) == ("Pod", space.name, made.uid)
    assert about["fieldPath"] == "spec.containers{app}"


def test_a_pod_that_is_deleted_says_that_it_is_stopped(space: Space) -> None:
    made = space.create(pod("it"))
    until(lambda: is_ready(made))
    made.delete()
    until(made.is_gone)
    assert until(lambda: space.said("it", "Killing")).startswith("Stopping container")


# -- looking into one --------------------------------------------------------------------------


def test_logs_are_what_the_container_has_said(space: Space) -> None:
    """The sandbox, where no container runs, says just that."""
    made = space.create(pod("it", shell("echo hello; sleep 600")))
    until(lambda: is_ready(made))
    said = until(lambda: space.kubectl("logs", "it"))
    assert ("simulated" if space.cluster.sandbox else "hello") in said


def test_exec_runs_a_command_but_in_the_sandbox_it_is_refused(space: Space) -> None:
    """KWOK would run it on this machine."""
    made = space.create(pod("it", shell("sleep 600")))
    until(lambda: is_ready(made))
    said = space.kubectl("exec", "it", "--", "echo", "hello", check=False)
    assert ("no exec found" if space.cluster.sandbox else "hello") in said


def test_a_forwarded_port_answers(space: Space) -> None:
    listens = {"tcpSocket": {"port": 8080}}
    made = space.create(pod("it", shell("httpd -f -p 8080", readinessProbe=listens)))
    until(lambda: is_ready(made))
    command = space.cluster.command("--namespace", space.name, "port-forward", "pod/it", ":8080")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout is not None
            port = int(forward.stdout.readline().split(":")[1].split()[0])
            try:
                answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)
            except urllib.error.HTTPError as error:  # an answer as well
                answer = error
            with answer:
                assert answer.status in (200, 404)
        finally:
            forward.terminate()
