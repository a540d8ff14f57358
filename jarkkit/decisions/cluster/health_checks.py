"""Health checks of a cluster: nodes, workloads, storage, node pools, Pod Identity. Pure.

The step `verify` queries the cluster; this module decides what the answers mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from jarkkit.catalog.addons import Addon, AddonWorkload
from jarkkit.decisions.addons.node_pools import accelerator_resource
from jarkkit.decisions.cluster.pod_status import PodFailure
from jarkkit.decisions.cluster.readiness import (
    ReplicaStatus,
    WorkloadKey,
    has_all_replicas,
    is_scaled_to_zero,
    scale_command,
    workload_key,
)
from jarkkit.decisions.cluster.scheduling import UNANNOUNCED
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.assertions import values_at
from jarkkit.model.checks import Check
from jarkkit.settings import Settings

Object = Mapping[str, Any]

_GROUPS = ("karpenter.sh/nodepool", "eks.amazonaws.com/nodegroup")
_TYPE = "node.kubernetes.io/instance-type"
_ACCELERATORS = ("nvidia.com/gpu", "aws.amazon.com/neuron")
_MAX_NAMED = 3
# From launch to Ready; a node with accelerators takes longest.
_JOINING = timedelta(minutes=10)
DEFAULT_CLASS_ANNOTATION = "storageclass.kubernetes.io/is-default-class"


# -- nodes -----------------------------------------------------------------------------------------


class NodeStatus(NamedTuple):
    """The checked fields of a node; ten thousand whole objects would fill the memory.

    Attributes:
        group: the Karpenter node pool or the managed node group.
        not_ready_reason: why it is not Ready; empty when it is.
        is_joining: it is so new that it may just need more time to be Ready.
        accelerators: allocatable accelerators, by resource name.
        expected_accelerator: the accelerator resource of its taint.
    """

    name: str
    group: str
    instance_type: str
    version: str
    not_ready_reason: str
    is_joining: bool
    accelerators: tuple[tuple[str, int], ...]
    expected_accelerator: str


def node_status(manifest: Object, now: datetime) -> NodeStatus:
    """Return the checked fields of a Node object."""
    meta, status = manifest["metadata"], manifest.get("status", {})
    labels = meta.get("labels") or {}
    ready: Object = next((c for c in status.get("conditions") or () if c["type"] == "Ready"), {})
    allocatable = status.get("allocatable") or {}
    taints = [taint["key"] for taint in manifest.get("spec", {}).get("taints") or ()]
    not_ready_reason = ready.get("reason") or "no reason given"
    return NodeStatus(
        name=meta["name"],
        group=next((labels[name] for name in _GROUPS if name in labels), "others"),
        instance_type=labels.get(_TYPE, ""),
        version=status.get("nodeInfo", {}).get("kubeletVersion", ""),
        not_ready_reason="" if ready.get("status") == "True" else not_ready_reason,
        is_joining=now - datetime.fromisoformat(meta["creationTimestamp"]) < _JOINING,
        accelerators=tuple((n, int(allocatable[n])) for n in _ACCELERATORS if _any(allocatable, n)),
        expected_accelerator=next((name for name in _ACCELERATORS if name in taints), ""),
    )


def _any(allocatable: Object, name: str) -> bool:
    return str(allocatable.get(name, "0")) != "0"


def check_nodes(settings: Settings, nodes: Iterable[NodeStatus]) -> tuple[Check, ...]:
    """Check each group's nodes: readiness, instance types, versions and accelerators."""
    groups: dict[str, list[NodeStatus]] = {}
    for each in nodes:
        groups.setdefault(each.group, []).append(each)
    if not groups:
        fix = "Deploy again: jarkkit plan, then jarkkit deploy"
        return (_failed("Nodes", "none", "core nodes", fix=fix, about=("nodes",)),)
    checks = [_check_group(name, members) for name, members in sorted(groups.items())]
    every = [each for members in groups.values() for each in members]
    return (*checks, _versions(settings, every), *_accelerators(settings, every))


def _check_group(name: str, members: list[NodeStatus]) -> Check:
    unready = [each for each in members if each.not_ready_reason]
    lost = [each for each in unready if not each.is_joining]
    types = ", ".join(sorted({each.instance_type for each in members if each.instance_type}))
    found = f"{len(members) - len(unready)}/{len(members)} Ready"
    return Check(
        name=f"Nodes of {name}",
        status="fail" if lost else "warn" if unready else "pass",
        found=f"{found}, {types}" if types else found,
        needed=f"{len(members)}/{len(members)} Ready",
        why=_listed([f"{each.name}: {each.not_ready_reason}" for each in lost or unready]),
        fix="They are still joining: check again in a few minutes."
        if unready and not lost
        else "Inspect the node: kubectl describe node NAME. Karpenter replaces its own nodes."
        if lost
        else "",
        code="JK-VERIFY-FAILED" if lost else "",
        about=tuple(f"node:{each.name}" for each in lost or unready),
    )


def _versions(settings: Settings, nodes: Sequence[NodeStatus]) -> Check:
    versions = sorted({each.version for each in nodes if each.version})
    expected = settings.cluster_version
    other = [version for version in versions if minor_version(version) != expected]
    return Check(
        name="Version of the nodes",
        status="warn" if other else "pass",
        found=", ".join(versions),
        needed=f"v{expected}",
        why="Nodes may be up to three minor versions older than the control plane."
        if other
        else "",
        fix="Deploy again: Karpenter replaces its nodes one by one." if other else "",
    )


def minor_version(version: str) -> str:
    """Return `1.36` for `v1.36.3-eks-1234`."""
    found = re.match(r"v?(\d+\.\d+)", version)
    return found[1] if found else ""


def _accelerators(settings: Settings, nodes: Sequence[NodeStatus]) -> list[Check]:
    checks = []
    for name in dict.fromkeys(accelerator_resource(pool.family) for pool in settings.accelerators):
        ready = [
            each
            for each in nodes
            if each.expected_accelerator == name and not each.not_ready_reason
        ]
        without = [
            each for each in ready if name not in dict(each.accelerators) and not each.is_joining
        ]
        counts = [dict(each.accelerators).get(name, 0) for each in ready]
        checks.append(
            Check(
                name=f"Accelerators {name}",
                status="fail" if without else "pass" if ready else "skip",
                found=f"{sum(counts)} on {len(ready)} nodes" if ready else "no node has any now",
                needed="allocatable on every node of such a node pool",
                why=_listed([each.name for each in without])
                or ("" if ready else "Karpenter launches a node when a pod requests one."),
                fix="Their device plugin does not run there. Look for its DaemonSet's ready pods: "
                "kubectl get daemonsets -A"
                if without
                else "",
                code="JK-VERIFY-FAILED" if without else "",
                about=(UNANNOUNCED,),
            )
        )
    return checks


# -- workloads -------------------------------------------------------------------------------------


def check_workload(
    addon: Addon,
    workload: AddonWorkload,
    found: ReplicaStatus | None,
    failure: PodFailure | None = None,
) -> Check:
    """Check one workload: its namespace and name, ready n/m, and the reason if it is not ready."""
    name = f"{workload.kind} {addon.namespace}/{workload.name}"
    replicas = workload.replicas or (found.desired if found else 0)
    expected = f"{replicas}/{replicas}" if replicas or found else "some"
    about = (f"pods:{addon.namespace}/{workload.name}", f"addon:{addon.name}")
    if has_all_replicas(workload, found):
        return Check(name=name, status="pass", found=str(found), needed=expected, why=addon.title)
    if found is None:
        fix = f"{addon.title} is not completely installed. Deploy again: jarkkit deploy"
        return _failed(name, "does not exist", expected, why=addon.title, fix=fix, about=about)
    if is_scaled_to_zero(workload, found):
        why = f"{addon.title} was scaled to 0, so it does not run."
        fix, code = scale_command(addon, workload), "JK-ADDON-FAILED"
        return _failed(name, str(found), expected, why=why, fix=fix, code=code, about=about)
    failure = failure or PodFailure(
        "JK-ADDON-TIMEOUT",
        "its pods are not ready, and neither status nor events show why",
        "It may need more time: check again in a few minutes, or inspect it: "
        f"kubectl -n {addon.namespace} describe {workload.kind.lower()} {workload.name}",
    )
    evidence = f" Evidence: {failure.evidence}" if failure.evidence else ""
    why = f"{addon.title}: {failure.message}.{evidence}"
    return _failed(
        name, str(found), expected, why=why, fix=failure.fix, code=failure.code, about=about
    )


def check_workloads(
    stack: ResolvedStack,
    there: Mapping[WorkloadKey, ReplicaStatus],
    failures: Mapping[WorkloadKey, PodFailure | None],
) -> tuple[Check, ...]:
    """Check all workloads of the enabled add-ons."""
    return tuple(
        check_workload(addon, workload, there.get(at), failures.get(at))
        for addon, workload in stack.workloads
        for at in (workload_key(addon, workload),)
    )


# -- storage ---------------------------------------------------------------------------------------


def check_default_storage_class(
    stack: ResolvedStack, classes: Sequence[Object]
) -> tuple[Check, ...]:
    """Check that there is exactly one default storage class, and that it is EBS gp3."""
    if "aws-ebs-csi-driver" not in stack.addon_names:
        return (Check(name="Default storage class", status="skip", found="no EBS CSI driver"),)
    default = [c for c in classes if _is_default(c)]
    names = ", ".join(sorted(c["metadata"]["name"] for c in default))
    check = Check(name="Default storage class", status="pass", found=names, needed="one, EBS gp3")
    if len(default) == 1 and _is_gp3(default[0]):
        return (check,)
    why = (
        "Kubernetes then uses the newest of them."
        if len(default) > 1
        else "Claims without a class stay pending."
        if not default
        else "It does not create EBS gp3 volumes."
    )
    fix = "Deploy again: jarkkit deploy. Remove other defaults: kubectl annotate sc NAME "
    return (
        _failed(
            check.name,
            names or "none",
            check.needed,
            why=why,
            fix=f"{fix}{DEFAULT_CLASS_ANNOTATION}-",
        ),
    )


def _is_default(storage_class: Object) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return bool(annotations.get(DEFAULT_CLASS_ANNOTATION) == "true")


def _is_gp3(storage_class: Object) -> bool:
    kind = (storage_class.get("parameters") or {}).get("type", "gp3")
    return bool(storage_class["provisioner"] == "ebs.csi.aws.com" and kind == "gp3")


# -- Karpenter -------------------------------------------------------------------------------------


def check_node_pools(
    stack: ResolvedStack, pools: Iterable[Object], classes: Iterable[Object]
) -> tuple[Check, ...]:
    """Check that every node pool of the settings and its node class are Ready."""
    there = {pool["metadata"]["name"]: pool for pool in pools}
    known = {each["metadata"]["name"]: each for each in classes}
    expected = stack.node_pools
    used = dict.fromkeys(p["spec"]["template"]["spec"]["nodeClassRef"]["name"] for p in expected)
    return (
        *(_check_ready("Node pool", p["metadata"]["name"], there) for p in expected),
        *(_check_ready("Node class", name, known) for name in used),
    )


def _check_ready(what: str, name: str, there: Mapping[str, Object]) -> Check:
    manifest = there.get(name)
    title, about = f"{what} {name}", (f"pool:{name}",)
    if manifest is None:
        fix = "Deploy again: jarkkit deploy"
        return _failed(title, "does not exist", "Ready", fix=fix, about=about)
    conditions = manifest.get("status", {}).get("conditions") or ()
    if values_at(manifest, "status.conditions[?type=='Ready'].status") == ["True"]:
        return Check(name=title, status="pass", found=_usage(manifest) or "Ready", needed="Ready")
    messages = [
        f"{c['type']}: {c.get('message') or c.get('reason', '')}"
        for c in conditions
        if c["status"] != "True"
    ]
    return _failed(
        title,
        "not Ready",
        "Ready",
        why=_listed(messages) or "Karpenter has not reconciled it.",
        fix="Correct what the message names, or read Karpenter's log: "
        "kubectl -n karpenter logs deploy/karpenter",
        about=about,
    )


def _usage(pool: Object) -> str:
    limit = values_at(pool, "spec.limits.cpu")
    used = values_at(pool, "status.resources.cpu")
    return f"Ready, {used[0] if used else 0} of {limit[0]} vCPUs" if limit else ""


# -- identities ------------------------------------------------------------------------------------


def check_pod_identity(
    name: str,
    namespace: str,
    account: str,
    pods: Sequence[Object] | None,
    *,
    rehearsal: bool = False,
) -> Check:
    """Check that a service account exists and that its pods have the credentials of its role.

    Pods get the credentials only if the association exists when they are created.

    Args:
        name: as in `ResolvedStack.pod_identities`: the add-on, or its driver that mounts volumes.
        pods: pods of the service account; None when it does not exist.
        rehearsal: a sandbox runs some pods as processes and gives them credentials directly, not
            through the pod's spec.
    """
    title = f"AWS permissions of {name}"
    needed = f"{namespace}/{account}"
    if pods is None:
        fix = f"Compare the name with the add-on's service account: kubectl -n {namespace} get sa"
        why = "No pod uses these permissions."
        about = (f"addon:{name.removesuffix('-mount')}",)
        return _failed(title, "no such service account", needed, why=why, fix=fix, about=about)
    without = [pod["metadata"]["name"] for pod in pods if not _has_credentials(pod)]
    if without and not rehearsal:
        return Check(
            name=title,
            status="warn",
            found=f"{len(pods) - len(without)} of {len(pods)} pods have them",
            needed=needed,
            why=f"Created before the association: {_listed(without)}",
            fix="Restart them: kubectl rollout restart",
        )
    found = f"{len(pods)} pods" if pods else "exists, no pod now"
    return Check(name=title, status="pass", found=found, needed=needed)


def _has_credentials(pod: Object) -> bool:
    names = values_at(pod, "spec.containers[].env[].name")
    return "AWS_CONTAINER_CREDENTIALS_FULL_URI" in names


# -- helpers ---------------------------------------------------------------------------------------


def _failed(
    name: str,
    found: str,
    needed: str,
    *,
    fix: str,
    why: str = "",
    code: str = "JK-VERIFY-FAILED",
    about: tuple[str, ...] = (),
) -> Check:
    return Check(
        name=name,
        status="fail",
        found=found,
        needed=needed,
        why=why,
        fix=fix,
        code=code,
        about=about,
    )


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MAX_NAMED} more" if len(texts) > _MAX_NAMED else ""
    return "; ".join(texts[:_MAX_NAMED]) + more
