"""Pods: start, readiness, failures, events, logs, exec and port forwarding."""

from __future__ import annotations

import re
import subprocess
import urllib.error
import urllib.request

from tests.contract.cluster import LiveObject, Object, ScratchNamespace
from tests.contract.manifests import MISSING_IMAGE, container, make_object, pod, shell
from tests.support.poll import wait_for


def container_status(made: LiveObject) -> Object:
    """Return the status of the first container; empty before there is one."""
    return next(iter(made.status.get("containerStatuses") or [{}]))


def waiting_state(made: LiveObject) -> Object:
    """Return why the container waits; empty when it does not."""
    found: Object = container_status(made).get("state", {}).get("waiting") or {}
    return found


def is_ready(made: LiveObject) -> bool:
    return bool(made.condition("Ready")["status"] == "True")


# -- starting ----------------------------------------------------------------------------------


def test_init_containers_finish_before_the_others_start(namespace: ScratchNamespace) -> None:
    made = namespace.create(pod("it", initContainers=[shell("true", "one"), shell("true", "two")]))
    wait_for(lambda: is_ready(made))
    statuses = made.status["initContainerStatuses"]
    ended = [s["state"]["terminated"] for s in statuses]
    assert [
        (s["name"], e["exitCode"], e["reason"]) for s, e in zip(statuses, ended, strict=True)
    ] == [
        ("one", 0, "Completed"),
        ("two", 0, "Completed"),
    ]
    started = container_status(made)["state"]["running"]["startedAt"]
    assert ended[0]["finishedAt"] <= ended[1]["finishedAt"] <= started
    assert made.condition("Initialized")["status"] == "True"


def test_a_sidecar_counts_as_a_ready_container(namespace: ScratchNamespace) -> None:
    sidecar = container("sidecar", restartPolicy="Always")
    made = namespace.create(pod("it", initContainers=[sidecar]))
    wait_for(lambda: is_ready(made))
    assert namespace.kubectl("get", "pod", "it", "--no-headers").split()[1] == "2/2"


def ready_by_pod(namespace: ScratchNamespace, service: str) -> dict[str, bool]:
    """Return whether each pod behind a Service is ready, by the pod's name."""
    selector = f"kubernetes.io/service-name={service}"
    slices = namespace.all("EndpointSlice", "discovery.k8s.io/v1", label_selector=selector)
    return {
        end["targetRef"]["name"]: end["conditions"]["ready"]
        for found in slices
        for end in found.get("endpoints") or ()
    }


def test_an_unready_pod_gets_no_traffic(namespace: ScratchNamespace) -> None:
    never = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    healthy, unhealthy = (
        pod("healthy"),
        pod(
            "unhealthy",
            shell("sleep 600", readinessProbe=never),
            annotations={"fault": "not-ready"},
        ),
    )
    for one in (healthy, unhealthy):
        one["metadata"]["labels"] = {"app": "web"}
    namespace.create(healthy)
    broken = namespace.create(unhealthy)
    namespace.create(
        make_object("Service", "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]})
    )
    wait_for(lambda: ready_by_pod(namespace, "web") == {"healthy": True, "unhealthy": False})
    assert "Readiness probe failed" in wait_for(
        lambda: namespace.event_messages("unhealthy", "Unhealthy")
    )
    assert broken.status["phase"] == "Running"
    assert broken.condition("ContainersReady")["reason"] == "ContainersNotReady"


def test_a_pods_host_address_is_that_of_its_node(namespace: ScratchNamespace) -> None:
    made = namespace.create(pod("it"))
    wait_for(lambda: is_ready(made))
    node = namespace.cluster.find("Node", made.current["spec"]["nodeName"])
    assert node
    addresses = {a["address"] for a in node["status"]["addresses"]}
    assert made.status["hostIP"] in addresses
    assert made.status["podIP"] not in addresses
    assert made.status["qosClass"] == "Burstable"


# -- what goes wrong ---------------------------------------------------------------------------


def test_a_failed_image_pull_is_reported_as_by_kubelet(namespace: ScratchNamespace) -> None:
    made = namespace.create(
        pod("it", container(image=MISSING_IMAGE), annotations={"fault": "image-pull"})
    )
    wait_for(lambda: waiting_state(made).get("reason") == "ImagePullBackOff")
    assert waiting_state(made)["message"].startswith(f'Back-off pulling image "{MISSING_IMAGE}"')
    assert made.status["phase"] == "Pending"
    wait_for(lambda: "ImagePullBackOff" in namespace.event_messages("it", "Failed"))
    failed = namespace.event_messages("it", "Failed")
    assert f'Failed to pull image "{MISSING_IMAGE}": ' in failed
    assert "failed to pull and unpack image" in failed
    assert {"Error: ErrImagePull", "Error: ImagePullBackOff"} <= {*failed.splitlines()}
    assert namespace.event_messages("it", "BackOff").startswith(
        f'Back-off pulling image "{MISSING_IMAGE}"'
    )
    assert re.search("ErrImagePull|ImagePullBackOff", namespace.kubectl("get", "pod", "it"))


def test_a_crashing_container_backs_off_and_keeps_its_last_state(
    namespace: ScratchNamespace,
) -> None:
    made = namespace.create(pod("it", shell("exit 1"), annotations={"fault": "crash-loop"}))
    wait_for(
        lambda: (
            waiting_state(made).get("reason") == "CrashLoopBackOff"
            and container_status(made)["restartCount"]
        )
    )
    back_off = (
        rf"back-off [0-9ms]+ restarting failed container=app pod=it_{namespace.name}\({made.uid}\)"
    )
    wait_for(lambda: re.fullmatch(back_off, waiting_state(made).get("message", "")))
    ended = container_status(made)["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (1, "Error")
    message = wait_for(lambda: namespace.event_messages("it", "BackOff"))
    assert (
        f"Back-off restarting failed container app in pod it_{namespace.name}({made.uid})"
        in message
    )
    assert made.status["phase"] == "Running"


def test_a_container_beyond_its_memory_limit_is_killed(namespace: ScratchNamespace) -> None:
    greedy = shell("tail /dev/zero", resources={"limits": {"memory": "32Mi"}})
    made = namespace.create(pod("it", greedy, annotations={"fault": "oom"}))
    wait_for(lambda: container_status(made).get("lastState", {}).get("terminated"))
    ended = container_status(made)["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


def test_a_pod_with_a_nonzero_exit_code_has_failed(namespace: ScratchNamespace) -> None:
    made = namespace.create(
        pod("it", shell("exit 3"), annotations={"exit-code": "3"}, restartPolicy="Never")
    )
    wait_for(lambda: made.status["phase"] == "Failed")
    assert container_status(made)["state"]["terminated"]["exitCode"] == 3


# -- events ------------------------------------------------------------------------------------


def test_events_record_the_start_of_a_pod(namespace: ScratchNamespace) -> None:
    made = namespace.create(pod("it"))
    wait_for(lambda: namespace.events("it", "Started"))
    events = {
        e["reason"]: e
        for e in namespace.all("Event", field_selector=f"involvedObject.uid={made.uid}")
    }
    assert {"Scheduled", "Pulled", "Created", "Started"} <= {*events}
    node = made.current["spec"]["nodeName"]
    assert events["Scheduled"]["message"] == f"Successfully assigned {namespace.name}/it to {node}"
    assert events["Scheduled"]["reportingComponent"] == "default-scheduler"
    kubelet = events["Pulled"]
    assert (kubelet["type"], kubelet["count"], kubelet["source"]["component"]) == (
        "Normal",
        1,
        "kubelet",
    )
    assert kubelet["source"]["host"] == node
    assert kubelet["firstTimestamp"] <= kubelet["lastTimestamp"]
    about = kubelet["involvedObject"]
    assert (about["kind"], about["namespace"], about["uid"]) == ("Pod", namespace.name, made.uid)
    assert about["fieldPath"] == "spec.containers{app}"


def test_a_deleted_pod_gets_a_killing_event(namespace: ScratchNamespace) -> None:
    made = namespace.create(pod("it"))
    wait_for(lambda: is_ready(made))
    made.delete()
    wait_for(made.is_gone)
    assert wait_for(lambda: namespace.event_messages("it", "Killing")).startswith(
        "Stopping container"
    )


# -- logs, exec and port forwarding ------------------------------------------------------------


def test_logs_show_the_output_of_the_container(namespace: ScratchNamespace) -> None:
    """In the sandbox, where no container runs, the log says so."""
    made = namespace.create(pod("it", shell("echo hello; sleep 600")))
    wait_for(lambda: is_ready(made))
    output = wait_for(lambda: namespace.kubectl("logs", "it"))
    assert ("simulated" if namespace.cluster.sandbox else "hello") in output


def test_exec_runs_a_command_but_not_in_the_sandbox(namespace: ScratchNamespace) -> None:
    """In the sandbox, KWOK would run the command on this machine."""
    made = namespace.create(pod("it", shell("sleep 600")))
    wait_for(lambda: is_ready(made))
    output = namespace.kubectl("exec", "it", "--", "echo", "hello", check=False)
    assert ("no exec found" if namespace.cluster.sandbox else "hello") in output


def test_a_forwarded_port_answers(namespace: ScratchNamespace) -> None:
    listens = {"tcpSocket": {"port": 8080}}
    made = namespace.create(pod("it", shell("httpd -f -p 8080", readinessProbe=listens)))
    wait_for(lambda: is_ready(made))
    command = namespace.cluster.command(
        "--namespace", namespace.name, "port-forward", "pod/it", ":8080"
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout is not None
            port = int(forward.stdout.readline().split(":")[1].split()[0])
            try:
                answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)
            except urllib.error.HTTPError as error:  # an answer, too
                answer = error
            with answer:
                assert answer.status in (200, 404)
        finally:
            forward.terminate()
