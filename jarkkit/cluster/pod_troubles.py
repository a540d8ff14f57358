"""Why a pod does not become ready, from its status and from what was said about it. Pure.

Words: kubelet's reasons of waiting containers, the scheduler's and Karpenter's events
(https://karpenter.sh/docs/troubleshooting/, checked against Karpenter 1.14).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jarkkit.errors import JarkkitError

Object = dict[str, Any]

_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_CONFIG = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
QUOTA = ("VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "vCPU limit", "limit of 0")
CAPACITY = ("InsufficientCapacity", "InsufficientInstanceCapacity", "UnfulfillableCapacity")
_ACCELERATORS = ("nvidia.com/", "aws.amazon.com/neuron")
_POOL = "jarkkit/pool"
# Reason of Karpenter's event on a pod for which a node is on its way, and how it says that none is.
NOMINATED = "Nominated"
_KARPENTER_FAILED = "Failed to schedule pod"
_LONGEST = 600
_LOG_LINES = 8
_REMEMBERED = timedelta(minutes=3)


@dataclass(frozen=True)
class Trouble:
    """What keeps pods from being ready.

    Attributes:
        code: of `jarkkit.errors.CODES`.
        message: what is wrong, naming the pod; without a full stop.
        fix: what to do next.
        evidence: lines that show it, cut to a readable length.
    """

    code: str
    message: str
    fix: str
    evidence: str = ""

    def error(self, subject: str) -> JarkkitError:
        """The error to raise; `subject` says what could not go on because of it."""
        return JarkkitError(
            self.code, f"{subject}: {self.message}.", self.fix, evidence=self.evidence
        )


def trouble(
    pods: Sequence[Object], events: Sequence[Object], logs: Mapping[str, str] | None = None
) -> Trouble | None:
    """What is wrong with a workload's pods; None while they may just need more time.

    Args:
        pods: of one workload. Those that are ready or on their way out do not matter.
        events: about the pods, their owner, their claims and Karpenter's NodeClaims and NodePools,
            oldest first.
        logs: the last lines of containers that ended, by the pod's name (see `whose_log`).
    """
    waiting = [pod for pod in pods if not _settled(pod)]
    for judge in (_image, _out_of_memory, _crash, _configuration):
        for pod in waiting:
            if wrong := judge(pod, events, logs or {}):
                return wrong
    if refused := _not_created(pods, events):
        return refused
    pending = [pod for pod in waiting if not pod["spec"].get("nodeName")]
    return _no_node(pending, events) if pending else None


def whose_log(pods: Sequence[Object]) -> tuple[str, str, str, bool] | None:
    """Namespace, pod and container of the first one that ended badly, and whether it has been
    started again since: then the log of the one before is the one to read."""
    for pod in pods:
        for status in _containers(pod):
            if _ended(status) and not _settled(pod):
                meta = pod["metadata"]
                again = "terminated" not in status.get("state", {})
                return meta["namespace"], meta["name"], status["name"], again
    return None


# -- containers ------------------------------------------------------------------------------------


def _image(pod: Object, events: Sequence[Object], logs: Mapping[str, str]) -> Trouble | None:
    for status in _containers(pod):
        waiting = status.get("state", {}).get("waiting", {})
        if waiting.get("reason") in _IMAGE:
            return Trouble(
                "JK-ADDON-IMAGE",
                f"{_name(pod)} cannot pull the image {status.get('image', '?')}",
                "Is the name right, does the registry let you in, and do the nodes reach it? "
                "Kubernetes goes on trying by itself.",
                _cut(f"{waiting['reason']}: {waiting.get('message', '')}", _said(pod, events)),
            )
    return None


def _out_of_memory(
    pod: Object, events: Sequence[Object], logs: Mapping[str, str]
) -> Trouble | None:
    for status in _containers(pod):
        if _ended(status).get("reason") == "OOMKilled":
            limit = _limit(pod, status["name"])
            return Trouble(
                "JK-ADDON-CRASH",
                f"{_name(pod)} was ended because container {status['name']} needed more memory "
                f"than {limit or 'its limit'}",
                "Give it a higher memory limit in the add-on's values, or less to do.",
                _cut(f"OOMKilled, started again {status.get('restartCount', 0)} times"),
            )
    return None


def _crash(pod: Object, events: Sequence[Object], logs: Mapping[str, str]) -> Trouble | None:
    for status in _containers(pod):
        waiting = status.get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
        ended = _ended(status)
        if not ended or not (waiting or pod["status"].get("phase") == "Failed"):
            continue
        name = _name(pod)
        return Trouble(
            "JK-ADDON-CRASH",
            f"{name} does not stay up: container {status['name']} ended with exit code "
            f"{ended.get('exitCode', '?')}",
            f"Read what it says: kubectl -n {pod['metadata']['namespace']} logs "
            f"{pod['metadata']['name']} -c {status['name']} --previous",
            _cut(_last_lines(logs.get(pod["metadata"]["name"], "")), ended.get("message", "")),
        )
    return None


def _configuration(
    pod: Object, events: Sequence[Object], logs: Mapping[str, str]
) -> Trouble | None:
    """What its specification names is not there: a Secret, a ConfigMap, a volume."""
    reasons = [s.get("state", {}).get("waiting", {}) for s in _containers(pod)]
    wrong = next((w for w in reasons if w.get("reason") in _CONFIG), None)
    mounts = _said(pod, events, "FailedMount", "FailedAttachVolume")
    if wrong is None and not mounts:
        return None
    evidence = f"{wrong['reason']}: {wrong.get('message', '')}" if wrong else mounts
    return Trouble(
        "JK-ADDON-FAILED",
        f"{_name(pod)} cannot start its containers",
        "The evidence names what is missing: a Secret, a ConfigMap or a volume. Deploy again "
        "when it is there: jarkkit deploy",
        _cut(evidence),
    )


def _containers(pod: Object) -> Iterator[Object]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _ended(status: Object) -> Object:
    """How it ended badly; empty when it did not."""
    for state in (status.get("state", {}), status.get("lastState", {})):
        ended: Object = state.get("terminated") or {}
        if ended and ended.get("exitCode") != 0:
            return ended
    return {}


def _limit(pod: Object, container: str) -> str:
    spec = pod["spec"]
    every: list[Object] = [*(spec.get("initContainers") or ()), *spec["containers"]]
    found = next((c for c in every if c["name"] == container), {})
    return str(found.get("resources", {}).get("limits", {}).get("memory", ""))


# -- no pod, no node -------------------------------------------------------------------------------


def _not_created(pods: Sequence[Object], events: Sequence[Object]) -> Trouble | None:
    refused = [e for e in events if e.get("reason") == "FailedCreate"]
    if not refused or pods:
        return None
    said = str(refused[-1].get("message", ""))
    quota = "exceeded quota" in said
    return Trouble(
        "JK-ADDON-FAILED",
        "its pods are refused: " + ("a ResourceQuota is used up" if quota else "see the evidence"),
        "Raise the namespace's ResourceQuota, or free something in it."
        if quota
        else "Remove what refuses them, then deploy again: jarkkit deploy",
        _cut(said),
    )


def _no_node(pending: Sequence[Object], events: Sequence[Object]) -> Trouble | None:
    pod = pending[0]
    if found := _no_volume(pod, events):
        return found
    karpenter = [_text(event) for event in events if _concerns(event, pod)]
    for words, judged in ((QUOTA, _quota), (CAPACITY, _capacity)):
        for text in reversed(karpenter):
            if any(word in text for word in words):
                return judged(pod, text)
    if promise := _promise(pod, events):
        return Trouble(
            "JK-ADDON-PENDING",
            f"{_name(pod)} waits for a node that Karpenter is adding",
            "A node takes a minute or two. When it does not come: jarkkit diagnose",
            _cut(promise),
        )
    said = [_text(e) for e in events if _about(e, pod) and e.get("reason") == "FailedScheduling"]
    condition = _condition(pod, "PodScheduled").get("message", "")
    return _unschedulable(pod, _joined([*said[-2:], condition])) if said or condition else None


def _promise(pod: Object, events: Sequence[Object]) -> str:
    """For which of its new nodes Karpenter means the pod, where that is the last that it said of
    it. The scheduler goes on saying that no node has room, until the node is there."""
    own = (event for event in events if _about(event, pod))
    karpenters = [
        event
        for event in own
        if event.get("reason") == NOMINATED or _KARPENTER_FAILED in event.get("message", "")
    ]
    if not karpenters or karpenters[-1]["reason"] != NOMINATED:
        return ""
    return _text(karpenters[-1])


def _quota(pod: Object, said: str) -> Trouble:
    limit = re.search(r"limit of (\d+)", said)
    return Trouble(
        "JK-AWS-QUOTA",
        f"{_name(pod)} gets no node: the account may have "
        f"{f'only {limit[1]} vCPUs' if limit else 'no more vCPUs'} of this kind of instance",
        "Ask for more in the Service Quotas console (Amazon EC2, running instances), or choose "
        "another instance family in the settings. Preflight says which quota it is.",
        _cut(said),
    )


def _capacity(pod: Object, said: str) -> Trouble:
    return Trouble(
        "JK-AWS-CAPACITY",
        f"{_name(pod)} gets no node: AWS has no instance to give that would fit",
        "Karpenter tries again every few minutes. To widen the choice add another family, "
        "capacity type or zone in the settings.",
        _cut(said),
    )


def _no_volume(pod: Object, events: Sequence[Object]) -> Trouble | None:
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
    return Trouble(
        "JK-ADDON-PENDING",
        f"{_name(pod)} waits for a volume",
        "Is there a default storage class, and is its CSI driver ready? jarkkit verify shows both.",
        _cut(*failed[-1:], condition),
    )


def _unschedulable(pod: Object, said: str) -> Trouble:
    if "limits" in said and "nodepool" in said.lower():
        reason = "the pool that fits has reached its limit of vCPUs"
        fix = "Raise the pool's max_vcpus in the settings and deploy again."
    elif "untolerated taint" in said or "did not tolerate" in said:
        reason = "it does not tolerate the taint of any node that would fit"
        fix = "Add the toleration, or choose a pool without the taint."
    elif "node affinity" in said or "incompatible requirements" in said or "selector" in said:
        reason = "no node and no pool has the labels that it asks for"
        fix = "Choose the accelerator family in the settings, or correct the node selector."
    else:
        reason = "no node has room, and no pool may add one"
        fix = "Is Karpenter ready? jarkkit verify says so. Give its pools a higher limit."
    return Trouble("JK-ADDON-PENDING", f"{_name(pod)} finds no node: {reason}", fix, _cut(said))


def _concerns(event: Object, pod: Object) -> bool:
    """True for what Karpenter said of a node that could be for the pod. The events of a pod itself
    may cite other pools and never mention capacity."""
    about = event.get("involvedObject", {})
    if about.get("kind") not in ("NodeClaim", "NodePool") or _long_before(event, pod):
        return False
    pool = (pod["spec"].get("nodeSelector") or {}).get(_POOL)
    named = str(about.get("name", "")) + "-"
    if pool:
        return named.startswith(f"{pool}-")
    return named.startswith("cpu-") is not _asks_for_accelerator(pod)


def _asks_for_accelerator(pod: Object) -> bool:
    asked = (
        name
        for container in pod["spec"]["containers"]
        for name in container.get("resources", {}).get("limits", {})
    )
    return any(name.startswith(_ACCELERATORS) for name in asked)


# -- small questions -------------------------------------------------------------------------------


def _settled(pod: Object) -> bool:
    """Ready, done, or on its way out."""
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


def _said(pod: Object, events: Sequence[Object], *reasons: str) -> str:
    """The last thing that was said of it, with one of these reasons."""
    about = (event for event in events if _about(event, pod))
    found = [_text(e) for e in about if not reasons or e.get("reason") in reasons]
    return found[-1] if found else ""


def _text(event: Object) -> str:
    return f"{event.get('reason', '')}: {event.get('message', '')}"


def _long_before(event: Object, pod: Object) -> bool:
    """True for an event too old to be about this pod. Karpenter remembers for three minutes what
    it could not have, and says nothing more of it."""
    meta = event.get("metadata", {})
    times = (event.get("lastTimestamp"), event.get("eventTime"), meta.get("creationTimestamp"))
    said = next((time for time in times if time), None)
    made = pod["metadata"].get("creationTimestamp")
    if not said or not made:
        return False
    return bool(datetime.fromisoformat(said) < datetime.fromisoformat(made) - _REMEMBERED)


def _last_lines(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-_LOG_LINES:])


def _joined(texts: Sequence[str]) -> str:
    return "\n".join(dict.fromkeys(text for text in texts if text))


def _cut(*texts: str) -> str:
    whole = _joined(texts)
    return whole if len(whole) <= _LONGEST else f"{whole[: _LONGEST - 1]}…"
