"""Finds out from a pod's status and the events about it why it does not become ready. Pure.

Sources: kubelet's reasons of waiting containers, the scheduler's and Karpenter's events
(https://karpenter.sh/docs/troubleshooting/, checked against Karpenter 1.14).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jarkkit.model.errors import (
    CapacityUnavailable,
    JarkkitError,
    QuotaExceeded,
    Unschedulable,
)

Object = dict[str, Any]

_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_CONFIG = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
QUOTA_MESSAGES = ("VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "vCPU limit", "limit of 0")
CAPACITY_MESSAGES = (
    "InsufficientCapacity",
    "InsufficientInstanceCapacity",
    "UnfulfillableCapacity",
)
_ACCELERATORS = ("nvidia.com/", "aws.amazon.com/neuron")
_POOL = "jarkkit/pool"
# Reason of Karpenter's event on a pod for which it adds a node, and the message when it adds none.
NOMINATED = "Nominated"
_KARPENTER_FAILED = "Failed to schedule pod"
_LONGEST = 600
_LOG_LINES = 8
_REMEMBERED = timedelta(minutes=3)


@dataclass(frozen=True)
class PodFailure:
    """The reason why pods are not ready.

    Attributes:
        code: one of `jarkkit.model.errors.CODES`.
        message: what is wrong, with the pod's name; without a full stop.
        fix: what to do next.
        evidence: lines that show it, cut to a readable length.
    """

    code: str
    message: str
    fix: str
    evidence: str = ""

    @property
    def lacks_supply(self) -> bool:
        """True if AWS launches no node for the pod."""
        return QuotaExceeded.has_code(self.code) or CapacityUnavailable.has_code(self.code)

    @property
    def is_unscheduled(self) -> bool:
        """True if the pod waits for a node, or for a volume; waiting may help."""
        return self.lacks_supply or Unschedulable.has_code(self.code)

    def to_error(self, subject: str) -> JarkkitError:
        """Return the error to raise; `subject` names what failed because of it."""
        return JarkkitError(
            self.code, f"{subject}: {self.message}.", self.fix, evidence=self.evidence
        )


def find_failure(
    pods: Sequence[Object], events: Sequence[Object], logs: Mapping[str, str] | None = None
) -> PodFailure | None:
    """Return what is wrong with a workload's pods; None while they may just need more time.

    Args:
        pods: the pods of one workload. It ignores pods that are ready or being deleted.
        events: events about the pods, their owner, their claims and Karpenter's NodeClaims and
            NodePools, oldest first.
        logs: the last lines of containers that ended, by pod name (see `failed_container`).
    """
    waiting = [pod for pod in pods if not _is_settled(pod)]
    for find in (_image, _out_of_memory, _crash, _configuration):
        for pod in waiting:
            if failure := find(pod, events, logs or {}):
                return failure
    if rejected := _not_created(pods, events):
        return rejected
    pending = [pod for pod in waiting if not pod["spec"].get("nodeName")]
    return _no_node(pending, events) if pending else None


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
                f"{_name(pod)} cannot pull the image {status.get('image', '?')}",
                "Check the image's name, the registry's credentials and that the nodes can reach "
                "the registry. Kubernetes keeps retrying by itself.",
                _cut(f"{waiting['reason']}: {waiting.get('message', '')}", _last(pod, events)),
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
                f"{_name(pod)} was killed because container {status['name']} needed more memory "
                f"than {limit or 'its limit'}",
                "Raise the memory limit in the add-on's values, or reduce its load.",
                _cut(f"OOMKilled, restarted {status.get('restartCount', 0)} times"),
            )
    return None


def _crash(pod: Object, events: Sequence[Object], logs: Mapping[str, str]) -> PodFailure | None:
    for status in _containers(pod):
        waiting = status.get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
        ended = _failure_of(status)
        if not ended or not (waiting or pod["status"].get("phase") == "Failed"):
            continue
        name = _name(pod)
        return PodFailure(
            "JK-ADDON-CRASH",
            f"{name} does not stay up: container {status['name']} ended with exit code "
            f"{ended.get('exitCode', '?')}",
            f"Read its log: kubectl -n {pod['metadata']['namespace']} logs "
            f"{pod['metadata']['name']} -c {status['name']} --previous",
            _cut(_last_lines(logs.get(pod["metadata"]["name"], "")), ended.get("message", "")),
        )
    return None


def _configuration(
    pod: Object, events: Sequence[Object], logs: Mapping[str, str]
) -> PodFailure | None:
    """Check for a missing Secret, ConfigMap or volume that the pod's spec names."""
    reasons = [s.get("state", {}).get("waiting", {}) for s in _containers(pod)]
    failed = next((w for w in reasons if w.get("reason") in _CONFIG), None)
    mounts = _last(pod, events, "FailedMount", "FailedAttachVolume")
    if failed is None and not mounts:
        return None
    evidence = f"{failed['reason']}: {failed.get('message', '')}" if failed else mounts
    return PodFailure(
        "JK-ADDON-FAILED",
        f"{_name(pod)} cannot start its containers",
        "Create what is missing; the evidence names it: a Secret, a ConfigMap or a volume. Then "
        "deploy again: jarkkit deploy",
        _cut(evidence),
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
        _cut(message),
    )


def _no_node(pending: Sequence[Object], events: Sequence[Object]) -> PodFailure | None:
    pod = pending[0]
    if found := _no_volume(pod, events):
        return found
    karpenter = [_text(event) for event in events if _concerns(event, pod)]
    for texts, build in ((QUOTA_MESSAGES, _quota), (CAPACITY_MESSAGES, _capacity)):
        for message in reversed(karpenter):
            if any(text in message for text in texts):
                return build(pod, message)
    if nomination := _nomination(pod, events):
        return PodFailure(
            "JK-ADDON-PENDING",
            f"{_name(pod)} is pending until the node that Karpenter is adding is ready",
            "A node takes a minute or two. If it does not come: jarkkit diagnose",
            _cut(nomination),
        )
    failed = [_text(e) for e in events if _about(e, pod) and e.get("reason") == "FailedScheduling"]
    condition = _condition(pod, "PodScheduled").get("message", "")
    return _unschedulable(pod, _joined([*failed[-2:], condition])) if failed or condition else None


def _nomination(pod: Object, events: Sequence[Object]) -> str:
    """Return Karpenter's latest `Nominated` event of the pod, unless a later one reports a failure.

    The scheduler keeps reporting that no node has capacity until the new node is ready.
    """
    own = (event for event in events if _about(event, pod))
    from_karpenter = [
        event
        for event in own
        if event.get("reason") == NOMINATED or _KARPENTER_FAILED in event.get("message", "")
    ]
    if not from_karpenter or from_karpenter[-1]["reason"] != NOMINATED:
        return ""
    return _text(from_karpenter[-1])


def _quota(pod: Object, message: str) -> PodFailure:
    limit = re.search(r"limit of (\d+)", message)
    return PodFailure(
        "JK-AWS-QUOTA",
        f"{_name(pod)} gets no node: the account's quota allows "
        f"{f'only {limit[1]} vCPUs' if limit else 'no more vCPUs'} of this kind of instance",
        "Request an increase in the Service Quotas console (Amazon EC2, running instances), or "
        "choose another instance family in the settings. Preflight shows which quota it is.",
        _cut(message),
    )


def _capacity(pod: Object, message: str) -> PodFailure:
    return PodFailure(
        "JK-AWS-CAPACITY",
        f"{_name(pod)} gets no node: AWS has no capacity for an instance that fits",
        "Karpenter retries every few minutes. To give it more choice, add another family, "
        "capacity type or zone in the settings.",
        _cut(message),
    )


def _no_volume(pod: Object, events: Sequence[Object]) -> PodFailure | None:
    condition = str(_condition(pod, "PodScheduled").get("message", ""))
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume
    }
    failed = [
        _text(event)
        for event in events
        if event.get("reason") == "ProvisioningFailed"
        and event.get("involvedObject", {}).get("name") in claims
    ]
    if not failed and not ("PersistentVolumeClaim" in condition or "persistentvolume" in condition):
        return None
    return PodFailure(
        "JK-ADDON-PENDING",
        f"{_name(pod)} is pending because it has no volume yet",
        "Check that there is a default storage class and that its CSI driver is ready: jarkkit "
        "verify shows both.",
        _cut(*failed[-1:], condition),
    )


def _unschedulable(pod: Object, text: str) -> PodFailure:
    if "limits" in text and "nodepool" in text.lower():
        reason = "the node pool that fits has reached its vCPU limit"
        fix = "Raise the pool's max_vcpus in the settings and deploy again."
    elif "untolerated taint" in text or "did not tolerate" in text:
        reason = "it does not tolerate the taint of any node that would fit"
        fix = "Add the toleration, or choose a node pool without the taint."
    elif "node affinity" in text or "incompatible requirements" in text or "selector" in text:
        reason = "no node and no node pool has the labels that it requires"
        fix = "Choose the accelerator family in the settings, or correct the node selector."
    else:
        reason = "no node has enough free capacity, and no node pool may add one"
        fix = "Check with jarkkit verify that Karpenter is ready, and raise its pools' limits."
    return PodFailure(
        "JK-ADDON-PENDING", f"{_name(pod)} is unschedulable: {reason}", fix, _cut(text)
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
    return bool(_condition(pod, "Ready").get("status") == "True")


def _condition(pod: Object, kind: str) -> Object:
    conditions = pod.get("status", {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == kind), {})


def _name(pod: Object) -> str:
    return f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _about(event: Object, pod: Object) -> bool:
    about = event.get("involvedObject", {})
    return bool(about.get("kind") == "Pod" and about.get("name") == pod["metadata"]["name"])


def _last(pod: Object, events: Sequence[Object], *reasons: str) -> str:
    """Return the latest event about the pod, with one of these reasons if there are any."""
    about = (event for event in events if _about(event, pod))
    found = [_text(e) for e in about if not reasons or e.get("reason") in reasons]
    return found[-1] if found else ""


def _text(event: Object) -> str:
    return f"{event.get('reason', '')}: {event.get('message', '')}"


def _long_before(event: Object, pod: Object) -> bool:
    """Return True for an event too old to be about this pod.

    Karpenter remembers unavailable capacity for three minutes and emits no event meanwhile.
    """
    meta = event.get("metadata", {})
    times = (event.get("lastTimestamp"), event.get("eventTime"), meta.get("creationTimestamp"))
    happened = next((time for time in times if time), None)
    created = pod["metadata"].get("creationTimestamp")
    if not happened or not created:
        return False
    return bool(datetime.fromisoformat(happened) < datetime.fromisoformat(created) - _REMEMBERED)


def _last_lines(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-_LOG_LINES:])


def _joined(texts: Sequence[str]) -> str:
    return "\n".join(dict.fromkeys(text for text in texts if text))


def _cut(*texts: str) -> str:
    whole = _joined(texts)
    return whole if len(whole) <= _LONGEST else f"{whole[: _LONGEST - 1]}…"
