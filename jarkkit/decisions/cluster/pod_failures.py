"""Finds out from a pod's status and the events about it why it does not become ready. Pure.

Sources: kubelet's reasons of waiting containers, the scheduler's and Karpenter's events
(https://karpenter.sh/docs/troubleshooting/, checked against Karpenter 1.14).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from jarkkit.decisions.cluster.container_start import not_started
from jarkkit.decisions.cluster.pod_status import (
    Object,
    PodFailure,
    as_evidence,
    claim_names,
    event_text,
    is_about,
    last_event,
    pod_condition,
    pod_name,
)
from jarkkit.decisions.cluster.scheduling import unscheduled
from jarkkit.decisions.cluster.supply import ClusterSupply
from jarkkit.model.kubernetes_values import event_time

_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_CONFIG = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
QUOTA_MESSAGES = ("VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "vCPU limit", "limit of 0")
CAPACITY_MESSAGES = (
    "InsufficientCapacity",
    "InsufficientInstanceCapacity",
    "UnfulfillableCapacity",
)
_DELETE = "If a controller owns it, a new pod has replaced it: delete this one."
# Reasons of pods that kubelet ends itself.
_ENDED = {
    "Evicted": "Its node was short of what the message names. Set requests and limits that fit, or "
    f"use nodes with larger disks or more memory. {_DELETE}",
    "UnexpectedAdmissionError": "The node had no free device of the kind that it requests. Its "
    f"device plugin may have restarted. {_DELETE}",
    "OutOf": f"The node had too little left when the pod arrived. {_DELETE}",
}
_ACCELERATORS = ("nvidia.com/", "aws.amazon.com/neuron")
_POOL = "jarkkit/pool"
# Reason of Karpenter's event on a pod for which it adds a node, and the message when it adds none.
NOMINATED = "Nominated"
_KARPENTER_FAILED = "Failed to schedule pod"
_LOG_LINES = 8
_REMEMBERED = timedelta(minutes=3)


def find_failure(
    pods: Sequence[Object],
    events: Sequence[Object],
    logs: Mapping[str, str] | None = None,
    supply: ClusterSupply | None = None,
) -> PodFailure | None:
    """Return what is wrong with a workload's pods; None while they may just need more time.

    Args:
        pods: the pods of one workload. It ignores pods that are ready or being deleted.
        events: events about the pods, their owner, their claims and Karpenter's NodeClaims and
            NodePools, oldest first.
        logs: the last lines of containers that ended, by pod name (see `failed_container`).
        supply: the cluster's nodes, pools and volumes; None if they are unknown.
    """
    waiting = [pod for pod in pods if not _is_settled(pod)]
    for find in (_image, _out_of_memory, _crash, _ended, _configuration):
        for pod in waiting:
            if failure := find(pod, events, logs or {}):
                return failure
    if rejected := _not_created(pods, events):
        return rejected
    pending = [pod for pod in waiting if not pod["spec"].get("nodeName")]
    return _no_node(pending, events, supply) if pending else None


def failed_container(pods: Sequence[Object]) -> tuple[str, str, str, bool] | None:
    """Return namespace, pod and name of the first container that failed, and whether it restarted.

    After a restart, the log of the previous container is the one to read.
    """
    for pod in pods:
        for status in _containers(pod):
            if _failure_of(status) and not _is_settled(pod):
                meta = pod["metadata"]
                restarted = "terminated" not in status.get("state", {})
                return meta["namespace"], meta["name"], status["name"], restarted
    return None


# -- containers ------------------------------------------------------------------------------------


def _image(pod: Object, events: Sequence[Object], logs: Mapping[str, str]) -> PodFailure | None:
    for status in _containers(pod):
        waiting = status.get("state", {}).get("waiting", {})
        if waiting.get("reason") in _IMAGE:
            return PodFailure(
                "JK-ADDON-IMAGE",
                f"{pod_name(pod)} cannot pull the image {status.get('image', '?')}",
                "Check the image's name, the registry's credentials and that the nodes can reach "
                "the registry. Kubernetes keeps retrying by itself.",
                as_evidence(
                    f"{waiting['reason']}: {waiting.get('message', '')}", last_event(pod, events)
                ),
            )
    return None


def _out_of_memory(
    pod: Object, events: Sequence[Object], logs: Mapping[str, str]
) -> PodFailure | None:
    for status in _containers(pod):
        if _failure_of(status).get("reason") == "OOMKilled":
            limit = _limit(pod, status["name"])
            return PodFailure(
                "JK-ADDON-CRASH",
                f"{pod_name(pod)} was killed because container {status['name']} needed more memory "
                f"than {limit or 'its limit'}",
                "Raise the memory limit in the add-on's values, or reduce its load.",
                as_evidence(f"OOMKilled, restarted {status.get('restartCount', 0)} times"),
            )
    return None


def _crash(pod: Object, events: Sequence[Object], logs: Mapping[str, str]) -> PodFailure | None:
    for status in _containers(pod):
        waiting = status.get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
        ended = _failure_of(status)
        if not ended or not (waiting or pod["status"].get("phase") == "Failed"):
            continue
        name = pod_name(pod)
        return PodFailure(
            "JK-ADDON-CRASH",
            f"{name} does not stay up: container {status['name']} ended with exit code "
            f"{ended.get('exitCode', '?')}",
            f"Read its log: kubectl -n {pod['metadata']['namespace']} logs "
            f"{pod['metadata']['name']} -c {status['name']} --previous",
            as_evidence(
                _last_lines(logs.get(pod["metadata"]["name"], "")), ended.get("message", "")
            ),
        )
    return None


def _configuration(
    pod: Object, events: Sequence[Object], logs: Mapping[str, str]
) -> PodFailure | None:
    """Check for a missing Secret, ConfigMap or volume that the pod's spec names."""
    reasons = [s.get("state", {}).get("waiting", {}) for s in _containers(pod)]
    failed = next((w for w in reasons if w.get("reason") in _CONFIG), None)
    if failed is None:
        return not_started(pod, events)
    return PodFailure(
        "JK-ADDON-FAILED",
        f"{pod_name(pod)} cannot start its containers",
        "Create what is missing; the evidence names it: a Secret, a ConfigMap or a volume. The pod "
        "then starts by itself.",
        as_evidence(f"{failed['reason']}: {failed.get('message', '')}"),
    )


def _ended(pod: Object, events: Sequence[Object], logs: Mapping[str, str]) -> PodFailure | None:
    """Report a pod that kubelet rejected or evicted: no container shows why."""
    status = pod.get("status", {})
    if status.get("phase") != "Failed" or not status.get("reason"):
        return None
    fix = next((fix for reason, fix in _ENDED.items() if reason in status["reason"]), _DELETE)
    return PodFailure(
        "JK-ADDON-FAILED",
        f"{pod_name(pod)} has ended: {status['reason']}",
        fix,
        as_evidence(f"{status['reason']}: {status.get('message', '')}"),
    )


def _containers(pod: Object) -> Iterator[Object]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _failure_of(status: Object) -> Object:
    """Return the container's terminated state with a non-zero exit code; empty without one."""
    for state in (status.get("state", {}), status.get("lastState", {})):
        ended: Object = state.get("terminated") or {}
        if ended and ended.get("exitCode") != 0:
            return ended
    return {}


def _limit(pod: Object, container: str) -> str:
    spec = pod["spec"]
    containers: list[Object] = [*(spec.get("initContainers") or ()), *spec["containers"]]
    found = next((c for c in containers if c["name"] == container), {})
    return str(found.get("resources", {}).get("limits", {}).get("memory", ""))


# -- no pod, no node -------------------------------------------------------------------------------


def _not_created(pods: Sequence[Object], events: Sequence[Object]) -> PodFailure | None:
    rejected = [e for e in events if e.get("reason") == "FailedCreate"]
    if not rejected or pods:
        return None
    message = str(rejected[-1].get("message", ""))
    quota = "exceeded quota" in message
    return PodFailure(
        "JK-ADDON-FAILED",
        "its pods are rejected: "
        + ("a ResourceQuota is exhausted" if quota else "see the evidence"),
        "Raise the namespace's ResourceQuota, or delete workloads in it."
        if quota
        else "Remove what rejects them, then deploy again: jarkkit deploy",
        as_evidence(message),
    )


def _no_node(
    pending: Sequence[Object], events: Sequence[Object], supply: ClusterSupply | None
) -> PodFailure | None:
    pod = pending[0]
    if found := _no_volume(pod, events):
        return found
    karpenter = [event_text(event) for event in events if _concerns(event, pod)]
    for texts, build in ((QUOTA_MESSAGES, _quota), (CAPACITY_MESSAGES, _capacity)):
        for message in reversed(karpenter):
            if any(text in message for text in texts):
                return build(pod, message)
    if nomination := _nomination(pod, events):
        return PodFailure(
            "JK-ADDON-PENDING",
            f"{pod_name(pod)} is pending until the node that Karpenter is adding is ready",
            "A node takes a minute or two. If it does not come: jarkkit diagnose",
            as_evidence(nomination),
        )
    return unscheduled(pod, events, supply)


def _nomination(pod: Object, events: Sequence[Object]) -> str:
    """Return Karpenter's latest `Nominated` event of the pod, unless a later one reports a failure.

    The scheduler keeps reporting that no node has capacity until the new node is ready.
    """
    own = (event for event in events if is_about(event, pod))
    from_karpenter = [
        event
        for event in own
        if event.get("reason") == NOMINATED or _KARPENTER_FAILED in event.get("message", "")
    ]
    if not from_karpenter or from_karpenter[-1]["reason"] != NOMINATED:
        return ""
    return event_text(from_karpenter[-1])


def _quota(pod: Object, message: str) -> PodFailure:
    limit = re.search(r"limit of (\d+)", message)
    return PodFailure(
        "JK-AWS-QUOTA",
        f"{pod_name(pod)} gets no node: the account's quota allows "
        f"{f'only {limit[1]} vCPUs' if limit else 'no more vCPUs'} of this kind of instance",
        "Request an increase in the Service Quotas console (Amazon EC2, running instances), or "
        "choose another instance family in the settings. Preflight shows which quota it is.",
        as_evidence(message),
    )


def _capacity(pod: Object, message: str) -> PodFailure:
    return PodFailure(
        "JK-AWS-CAPACITY",
        f"{pod_name(pod)} gets no node: AWS has no capacity for an instance that fits",
        "Karpenter retries every few minutes. To give it more choice, add another family, "
        "capacity type or zone in the settings.",
        as_evidence(message),
    )


def _no_volume(pod: Object, events: Sequence[Object]) -> PodFailure | None:
    """Report a claim for which the CSI driver creates no volume."""
    claims = claim_names(pod)
    failed = [
        event_text(event)
        for event in events
        if event.get("reason") == "ProvisioningFailed"
        and event.get("involvedObject", {}).get("name") in claims
    ]
    if not failed:
        return None
    return PodFailure(
        "JK-ADDON-PENDING",
        f"{pod_name(pod)} is pending because it has no volume yet",
        "Check that there is a default storage class and that its CSI driver is ready: jarkkit "
        "verify shows both.",
        as_evidence(failed[-1], str(pod_condition(pod, "PodScheduled").get("message", ""))),
    )


def _concerns(event: Object, pod: Object) -> bool:
    """Return True for Karpenter's event about a node that could be for the pod.

    The events of a pod itself may cite other node pools and never mention capacity.
    """
    about = event.get("involvedObject", {})
    if about.get("kind") not in ("NodeClaim", "NodePool") or _long_before(event, pod):
        return False
    pool = (pod["spec"].get("nodeSelector") or {}).get(_POOL)
    named = str(about.get("name", "")) + "-"
    if pool:
        return named.startswith(f"{pool}-")
    return named.startswith("cpu-") is not _asks_for_accelerator(pod)


def _asks_for_accelerator(pod: Object) -> bool:
    limits = (
        name
        for container in pod["spec"]["containers"]
        for name in container.get("resources", {}).get("limits", {})
    )
    return any(name.startswith(_ACCELERATORS) for name in limits)


# -- helpers ---------------------------------------------------------------------------------------


def _is_settled(pod: Object) -> bool:
    """Return True for a pod that is ready, done or being deleted."""
    if pod["metadata"].get("deletionTimestamp"):
        return True
    if pod.get("status", {}).get("phase") == "Succeeded":
        return True
    return bool(pod_condition(pod, "Ready").get("status") == "True")


def _long_before(event: Object, pod: Object) -> bool:
    """Return True for an event too old to be about this pod.

    Karpenter remembers unavailable capacity for three minutes and emits no event meanwhile.
    """
    happened = event_time(event)
    created = pod["metadata"].get("creationTimestamp")
    if not happened or not created:
        return False
    return bool(datetime.fromisoformat(happened) < datetime.fromisoformat(created) - _REMEMBERED)


def _last_lines(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-_LOG_LINES:])
