"""Judges what a cluster says of itself: nodes, workloads, storage, pools, identities. Pure.

The step `verify` asks; everything that could be decided differently is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from jarkkit.addons import choice
from jarkkit.addons.catalogue import Addon, Workload
from jarkkit.addons.pools import node_pools, resource
from jarkkit.checks import Check
from jarkkit.cluster.conditions import values_at
from jarkkit.cluster.pod_troubles import Trouble
from jarkkit.cluster.readiness import Key, Standing, is_up, key
from jarkkit.settings import Settings

Object = Mapping[str, Any]

_GROUPS = ("karpenter.sh/nodepool", "eks.amazonaws.com/nodegroup")
_TYPE = "node.kubernetes.io/instance-type"
_ACCELERATORS = ("nvidia.com/gpu", "aws.amazon.com/neuron")
_NAMED = 3
# From launch to Ready: a node with accelerators takes longest.
_JOINING = timedelta(minutes=10)
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


# -- nodes -----------------------------------------------------------------------------------------


class Node(NamedTuple):
    """What is judged of a node; ten thousand whole ones would fill the memory.

    Attributes:
        group: the Karpenter pool or the managed node group.
        trouble: why it is not Ready; empty when it is.
        joining: it is not Ready, and may just need more time.
        accelerators: what it announces, by the resource's name.
        wanted: the resource that its taint promises.
    """

    name: str
    group: str
    instance_type: str
    version: str
    trouble: str
    joining: bool
    accelerators: tuple[tuple[str, int], ...]
    wanted: str


def node(thing: Object, now: datetime) -> Node:
    """What a Node object says."""
    meta, status = thing["metadata"], thing.get("status", {})
    labels = meta.get("labels") or {}
    ready: Object = next((c for c in status.get("conditions") or () if c["type"] == "Ready"), {})
    announced = status.get("allocatable") or {}
    taints = [taint["key"] for taint in thing.get("spec", {}).get("taints") or ()]
    trouble = ready.get("reason") or "says nothing"
    return Node(
        name=meta["name"],
        group=next((labels[name] for name in _GROUPS if name in labels), "others"),
        instance_type=labels.get(_TYPE, ""),
        version=status.get("nodeInfo", {}).get("kubeletVersion", ""),
        trouble="" if ready.get("status") == "True" else trouble,
        joining=now - datetime.fromisoformat(meta["creationTimestamp"]) < _JOINING,
        accelerators=tuple((n, int(announced[n])) for n in _ACCELERATORS if _some(announced, n)),
        wanted=next((name for name in _ACCELERATORS if name in taints), ""),
    )


def _some(announced: Object, name: str) -> bool:
    return str(announced.get(name, "0")) != "0"


def judge_nodes(settings: Settings, nodes: Iterable[Node]) -> tuple[Check, ...]:
    """Each group's nodes: Ready, of which versions and types, with which accelerators."""
    groups: dict[str, list[Node]] = {}
    for each in nodes:
        groups.setdefault(each.group, []).append(each)
    if not groups:
        fix = "Deploy again: jarkkit plan, then jarkkit deploy"
        return (_failed("Nodes", "none", "core nodes", fix=fix),)
    checks = [_judge_group(name, members) for name, members in sorted(groups.items())]
    everyone = [each for members in groups.values() for each in members]
    return (*checks, _versions(settings, everyone), *_accelerators(settings, everyone))


def _judge_group(name: str, members: list[Node]) -> Check:
    unready = [each for each in members if each.trouble]
    lost = [each for each in unready if not each.joining]
    types = ", ".join(sorted({each.instance_type for each in members if each.instance_type}))
    found = f"{len(members) - len(unready)}/{len(members)} Ready"
    return Check(
        name=f"Nodes of {name}",
        status="fail" if lost else "warn" if unready else "pass",
        found=f"{found}, {types}" if types else found,
        needed=f"{len(members)}/{len(members)} Ready",
        why=_listed([f"{each.name}: {each.trouble}" for each in lost or unready]),
        fix="They are still joining: look again in some minutes."
        if unready and not lost
        else "What the node says: kubectl describe node NAME. Karpenter replaces its own by itself."
        if lost
        else "",
        code="JK-VERIFY-FAILED" if lost else "",
    )


def _versions(settings: Settings, nodes: Sequence[Node]) -> Check:
    versions = sorted({each.version for each in nodes if each.version})
    wanted = settings.cluster_version
    other = [version for version in versions if minor(version) != wanted]
    return Check(
        name="Version of the nodes",
        status="warn" if other else "pass",
        found=", ".join(versions),
        needed=f"v{wanted}",
        why="Nodes may be up to three minor versions older than the control plane."
        if other
        else "",
        fix="Deploy again; Karpenter replaces its nodes one by one." if other else "",
    )


def minor(version: str) -> str:
    """`1.36` of `v1.36.3-eks-1234`."""
    found = re.match(r"v?(\d+\.\d+)", version)
    return found[1] if found else ""


def _accelerators(settings: Settings, nodes: Sequence[Node]) -> list[Check]:
    checks = []
    for name in dict.fromkeys(resource(pool.family) for pool in settings.accelerators):
        ready = [each for each in nodes if each.wanted == name and not each.trouble]
        silent = [
            each for each in ready if name not in dict(each.accelerators) and not each.joining
        ]
        have = [dict(each.accelerators).get(name, 0) for each in ready]
        checks.append(
            Check(
                name=f"Accelerators {name}",
                status="fail" if silent else "pass" if ready else "skip",
                found=f"{sum(have)} on {len(ready)} nodes" if ready else "no node has any now",
                needed="announced by every node of such a pool",
                why=_listed([each.name for each in silent])
                or ("" if ready else "Karpenter launches one when a pod asks for it."),
                fix="Its device plugin does not run there: look at the DaemonSets below."
                if silent
                else "",
                code="JK-VERIFY-FAILED" if silent else "",
            )
        )
    return checks


# -- workloads -------------------------------------------------------------------------------------


def expected(settings: Settings) -> tuple[tuple[Addon, Workload], ...]:
    """Every workload that the chosen add-ons bring, in the order of add-ons."""
    return tuple(
        (addon, workload)
        for addon in choice.chosen(settings)
        for workload in choice.workloads(addon, settings)
    )


def judge_workload(
    addon: Addon, workload: Workload, found: Standing | None, wrong: Trouble | None = None
) -> Check:
    """A row of the table: namespace and name, ready n/m; when it is not, why."""
    name = f"{workload.kind} {addon.namespace}/{workload.name}"
    replicas = workload.replicas or (found.wanted if found else 0)
    wanted = f"{replicas}/{replicas}" if replicas or found else "some"
    if is_up(workload, found):
        return Check(name=name, status="pass", found=str(found), needed=wanted, why=addon.title)
    if found is None:
        fix = f"{addon.title} is not installed whole. Deploy again: jarkkit deploy"
        return _failed(name, "not there", wanted, why=addon.title, fix=fix)
    words = wrong or Trouble(
        "JK-ADDON-TIMEOUT",
        "its pods are not ready, and nothing says why",
        "It may need more time: look again in some minutes. What its pods say: "
        f"kubectl -n {addon.namespace} describe {workload.kind.lower()} {workload.name}",
    )
    evidence = f" Evidence: {words.evidence}" if words.evidence else ""
    why = f"{addon.title}: {words.message}.{evidence}"
    return _failed(name, str(found), wanted, why=why, fix=words.fix, code=words.code)


def judge_workloads(
    settings: Settings, there: Mapping[Key, Standing], wrong: Mapping[Key, Trouble]
) -> tuple[Check, ...]:
    """The table: all that the chosen add-ons should have brought up."""
    return tuple(
        judge_workload(addon, workload, there.get(at), wrong.get(at))
        for addon, workload in expected(settings)
        for at in (key(addon, workload),)
    )


# -- storage ---------------------------------------------------------------------------------------


def judge_storage(settings: Settings, classes: Sequence[Object]) -> tuple[Check, ...]:
    """Exactly one default storage class, and that is EBS gp3."""
    if not settings.addons.get("aws-ebs-csi-driver", True):
        return (Check(name="Default storage class", status="skip", found="no EBS CSI driver"),)
    default = [c for c in classes if _is_default(c)]
    names = ", ".join(sorted(c["metadata"]["name"] for c in default))
    sound = len(default) == 1 and _is_gp3(default[0])
    check = Check(name="Default storage class", status="pass", found=names, needed="one, of gp3")
    if sound:
        return (check,)
    why = (
        "Kubernetes then takes the newest of them."
        if len(default) > 1
        else "Claims without a class stay pending."
        if not default
        else "It does not make EBS gp3 volumes."
    )
    fix = "Deploy again: jarkkit deploy. Take the mark of others away: kubectl annotate sc NAME "
    return (
        _failed(
            check.name,
            names or "none",
            check.needed,
            why=why,
            fix=f"{fix}{DEFAULT_CLASS}-",
        ),
    )


def _is_default(thing: Object) -> bool:
    marks = thing["metadata"].get("annotations") or {}
    return bool(marks.get(DEFAULT_CLASS) == "true")


def _is_gp3(thing: Object) -> bool:
    kind = (thing.get("parameters") or {}).get("type", "gp3")
    return bool(thing["provisioner"] == "ebs.csi.aws.com" and kind == "gp3")


# -- Karpenter -------------------------------------------------------------------------------------


def judge_pools(
    settings: Settings, pools: Iterable[Object], classes: Iterable[Object]
) -> tuple[Check, ...]:
    """Every pool that the settings ask for, and the node class that it launches from: Ready."""
    there = {pool["metadata"]["name"]: pool for pool in pools}
    known = {each["metadata"]["name"]: each for each in classes}
    wanted = node_pools(settings)
    used = dict.fromkeys(p["spec"]["template"]["spec"]["nodeClassRef"]["name"] for p in wanted)
    return (
        *(_judge_ready("Pool", p["metadata"]["name"], there) for p in wanted),
        *(_judge_ready("Node class", name, known) for name in used),
    )


def _judge_ready(what: str, name: str, there: Mapping[str, Object]) -> Check:
    thing = there.get(name)
    title = f"{what} {name}"
    if thing is None:
        fix = "Deploy again: jarkkit deploy"
        return _failed(title, "not there", "Ready", fix=fix)
    conditions = thing.get("status", {}).get("conditions") or ()
    if values_at(thing, ".status.conditions[type=Ready].status") == ["True"]:
        return Check(name=title, status="pass", found=_room(thing) or "Ready", needed="Ready")
    said = [
        f"{c['type']}: {c.get('message') or c.get('reason', '')}"
        for c in conditions
        if c["status"] != "True"
    ]
    return _failed(
        title,
        "not Ready",
        "Ready",
        why=_listed(said) or "Karpenter has not looked at it.",
        fix="Correct what it names. Karpenter's own words: "
        "kubectl -n karpenter logs deploy/karpenter",
    )


def _room(pool: Object) -> str:
    limit = values_at(pool, ".spec.limits.cpu")
    used = values_at(pool, ".status.resources.cpu")
    return f"Ready, {used[0] if used else 0} of {limit[0]} vCPUs" if limit else ""


# -- identities ------------------------------------------------------------------------------------


def identities(settings: Settings) -> tuple[tuple[str, str, str], ...]:
    """Add-on, namespace and service account of every Pod Identity association."""
    return tuple(
        (name, wanted["namespace"], wanted["service_account"])
        for name, wanted in choice.pod_identities(settings).items()
    )


def judge_identity(
    name: str,
    namespace: str,
    account: str,
    pods: Sequence[Object] | None,
    *,
    rehearsal: bool = False,
) -> Check:
    """An association is in use when its service account is there and the account's pods got its
    credentials when they were made.

    Args:
        pods: those of the service account; None where it does not exist.
        rehearsal: a sandbox gives credentials to the pods that processes play, and not by way of
            the pod's specification.
    """
    title = f"AWS permissions of {name}"
    needed = f"{namespace}/{account}"
    if pods is None:
        fix = f"Does the add-on name its service account otherwise? kubectl -n {namespace} get sa"
        return _failed(title, "no such service account", needed, why="Nobody uses them.", fix=fix)
    without = [pod["metadata"]["name"] for pod in pods if not _has_credentials(pod)]
    if without and not rehearsal:
        return Check(
            name=title,
            status="warn",
            found=f"{len(pods) - len(without)} of {len(pods)} pods have them",
            needed=needed,
            why=f"Made before the association: {_listed(without)}",
            fix="Restart them: kubectl rollout restart",
        )
    found = f"{len(pods)} pods" if pods else "there, no pod now"
    return Check(name=title, status="pass", found=found, needed=needed)


def _has_credentials(pod: Object) -> bool:
    names = values_at(pod, ".spec.containers[*].env[*].name")
    return "AWS_CONTAINER_CREDENTIALS_FULL_URI" in names


# -- small things ----------------------------------------------------------------------------------


def _failed(
    name: str, found: str, needed: str, *, fix: str, why: str = "", code: str = "JK-VERIFY-FAILED"
) -> Check:
    return Check(name=name, status="fail", found=found, needed=needed, why=why, fix=fix, code=code)


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more
