"""Finds out why kubelet does not start a scheduled pod's containers, from its warnings. Pure.

The messages are those of kubelet 1.30 to 1.36, of the VPC CNI and of the EBS and EFS CSI drivers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jarkkit.decisions.cluster.pod_status import (
    Object,
    PodFailure,
    as_evidence,
    event_text,
    is_about,
    pod_name,
)

# Reasons of kubelet's and the attach controller's warnings before a container starts.
_REASONS = (
    "FailedCreatePodSandBox", "FailedMount", "FailedAttachVolume", "FailedMapVolume",
    "NetworkNotReady", "FailedCreatePodContainer", "VolumeResizeFailed",
)  # fmt: skip
_STARTING = ("ContainerCreating", "PodInitializing")
# Only the sum of what other warnings explain.
_VAGUE = re.compile(r"timed out waiting for the condition|[Uu]nable to attach or mount volumes")


class _Warning(NamedTuple):
    pattern: str
    words: str
    fix: str


_WARNINGS = (
    _Warning(
        r"failed to assign an IP address|InsufficientFreeAddresses|no (free|available) "
        "(IP|address)",
        "the VPC CNI has no free address for it",
        "The subnet of its node has no free address or prefix. Delete unused pods and interfaces "
        "there, or use larger subnets: jarkkit quotas counts free addresses.",
    ),
    _Warning(
        r'no runtime for "?nvidia|nvidia-container|OCI runtime create failed.*nvidia',
        "the GPU's container runtime does not work on its node",
        "Check the pods of the device plugin or GPU operator on that node, then replace the node.",
    ),
    _Warning(
        r"aws-cni|cni plugin not initialized|[Nn]etwork(Plugin)?( plugin is)? ?[Nn]ot ?[Rr]eady|"
        r"failed to (set ?up|setup) network|failed to find plugin",
        "the VPC CNI on its node does not set up its network",
        "Check the CNI's pod on that node: kubectl -n kube-system get pods -l k8s-app=aws-node "
        "-o wide",
    ),
    _Warning(
        r"Multi-Attach error|volume is already (exclusively )?(attached|used)",
        "its volume is still attached to another node",
        "The pod that used the volume must end first. After a node is lost, Kubernetes detaches "
        "the volume in about six minutes. An EBS volume cannot serve pods on two nodes: use a "
        "claim of class efs for that.",
    ),
    _Warning(
        r"InvalidVolume\.NotFound|volume .*(does not exist|not found)",
        "the EBS volume of its claim does not exist any more",
        "Restore the volume from a snapshot. If its data may be lost, delete the claim and the "
        "pod.",
    ),
    _Warning(
        r"AttachmentLimitExceeded|maximum number of (volumes|attachments)",
        "no more volumes can be attached to its node",
        "Move pods with volumes to another node, or use a larger instance type.",
    ),
    _Warning(
        r"not found in the list of registered CSI drivers",
        "the CSI driver of its volume does not run on its node",
        "Check the driver's node pod: kubectl -n kube-system get pods -o wide | grep csi. A pod "
        "with a taint that it does not tolerate is missing there.",
    ),
    _Warning(
        r"[Ff]ailed to resolve|no such host|Name or service not known",
        "its node cannot resolve the file system's name",
        "Check that the VPC has DNS hostnames and DNS support, and that the file system has a "
        "mount target in the node's zone: jarkkit preflight checks an existing VPC.",
    ),
    _Warning(
        r"access denied by server|AccessDenied|UnauthorizedOperation|not authorized",
        "AWS denies access to its volume",
        "Check the permissions of the CSI driver (jarkkit verify: AWS permissions). The file "
        "system's policy admits only mounts with the options tls and iam, through an access point.",
    ),
    _Warning(
        r"Connection (timed out|refused)|mount\.nfs4?: .*timed out|i/o timeout",
        "its node cannot reach the file system",
        "Check that the security group of the mount targets admits port 2049 from the nodes, and "
        "that there is a mount target in the node's zone.",
    ),
    _Warning(
        r'(secret|configmap) "[^"]+" not found|references non-existent (secret|config) key',
        "a Secret or ConfigMap that it mounts does not exist",
        "Create what the evidence names, in the pod's namespace. The pod then starts by itself.",
    ),
    _Warning(
        r"wrong fs type|bad superblock|fsck",
        "its volume has no file system that the node can mount",
        "Attach the volume to an instance and repair it, or restore it from a snapshot.",
    ),
    _Warning(
        r"hostPath type check failed|is not a directory|no such file or directory",
        "a path that it mounts does not exist on its node",
        "Correct the path of the volume (hostPath or subPath), or create it on the node.",
    ),
    _Warning(
        r"failed to sync (secret|configmap) cache|object .* not registered",
        "kubelet has not read its Secrets and ConfigMaps yet",
        "It retries by itself. If the message stays, the node cannot reach the cluster's API.",
    ),
    _Warning(
        r"(pull|get) .*(pause|sandbox image)|failed to get sandbox image",
        "its node cannot pull the image that every pod needs (pause)",
        "The node has no route to Amazon ECR: check NAT gateway, routes or VPC endpoints.",
    ),
)


def not_started(pod: Object, events: Sequence[Object]) -> PodFailure | None:
    """Return why no container of a pod starts that has a node; None if no warning says so.

    Args:
        events: the warnings, oldest first.
    """
    if not pod["spec"].get("nodeName") or any(map(_has_run, _statuses(pod))):
        return None
    own = [e for e in events if is_about(e, pod) and e.get("reason") in _REASONS]
    if not own:
        return None
    precise = [e for e in own if not _VAGUE.search(str(e.get("message", "")))]
    newest = (precise or own)[-1]
    message = str(newest.get("message", ""))
    known = next((w for w in _WARNINGS if re.search(w.pattern, message)), None)
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    return PodFailure(
        "JK-ADDON-FAILED",
        f"{pod_name(pod)} cannot start its containers: "
        + (known.words if known else f"kubelet reports {newest.get('reason', 'a warning')}"),
        known.fix
        if known
        else "jarkkit does not know this message; the evidence is kubelet's newest warning. "
        f"Others: kubectl -n {namespace} describe pod {name}",
        as_evidence(event_text(newest)),
    )


def _statuses(pod: Object) -> Iterator[Object]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _has_run(status: Object) -> bool:
    """Return True for a container that runs or ran, or waits for another reason than its start."""
    if status.get("lastState") or "running" in status.get("state", {}):
        return True
    waiting = status.get("state", {}).get("waiting")
    return "terminated" in status.get("state", {}) or bool(
        waiting and waiting.get("reason") not in (*_STARTING, None, "")
    )
