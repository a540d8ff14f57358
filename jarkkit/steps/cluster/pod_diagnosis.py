"""Queries a cluster for the reason why a workload is not ready. `pod_failures` interprets it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice

from jarkkit.catalog.addons import AddonWorkload
from jarkkit.decisions.cluster.pod_failures import NOMINATED, failed_container, find_failure
from jarkkit.decisions.cluster.pod_status import Object, PodFailure
from jarkkit.decisions.cluster.readiness import is_crash_looping, is_ready
from jarkkit.decisions.cluster.supply import ClusterSupply
from jarkkit.model.clock import now
from jarkkit.model.errors import JarkkitError
from jarkkit.ports.kube import Kube, event_time

# A workload's pods mostly fail for the same reason, and a DaemonSet has a pod on each node.
_PODS = 20


def diagnose_pods(kube: Kube, workload: Object) -> PodFailure | None:
    """Return what keeps a Deployment, StatefulSet, DaemonSet or Job from being ready.

    None when its pods may just need more time. Lists only the workload's own pods. Raises the
    JK-KUBE-… of the calls.
    """
    meta = workload["metadata"]
    pods = tuple(islice(_pods(kube, workload), _PODS))
    events = [e for e in _events(kube, meta["namespace"], pods) if not _of_others(e, meta["name"])]
    return diagnose_events(kube, pods, events)


def diagnose_events(
    kube: Kube,
    pods: Sequence[Object],
    events: Sequence[Object],
    get_supply: Callable[[], ClusterSupply | None] | None = None,
) -> PodFailure | None:
    """Do the same for pods of one workload, given the events about them and Karpenter's nodes.

    Args:
        get_supply: returns the cluster's supply, if a pod has no node; by default it asks the API.
    """
    pending = any(not pod["spec"].get("nodeName") for pod in pods)
    supply = (get_supply or partial(cluster_supply, kube))() if pending else None
    return find_failure(pods, events, _logs(kube, pods), supply)


def diagnose_pod(kube: Kube, pod: Object) -> PodFailure | None:
    """Do the same for one pod."""
    return diagnose_events(kube, (pod,), _events(kube, pod["metadata"]["namespace"], (pod,)))


def cluster_supply(
    kube: Kube, listed: Callable[[str, str], Iterable[Object]] | None = None
) -> ClusterSupply | None:
    """Return the nodes, node pools and bound volumes; None if a permission is missing.

    Args:
        listed: returns all objects of a kind, if the caller lists them, too; else the API does.
    """
    pool, list_all = ("karpenter.sh/v1", "NodePool"), listed or kube.list
    with contextlib.suppress(JarkkitError):
        return ClusterSupply(
            nodes=tuple(list_all("v1", "Node")),
            pools=tuple(list_all(*pool)) if kube.serves_kind(*pool) else (),
            volumes={
                f"{claim['namespace']}/{claim['name']}": volume
                for volume in kube.list("v1", "PersistentVolume")
                if (claim := volume.get("spec", {}).get("claimRef"))
            },
            now=datetime.fromisoformat(now()),
        )
    return None


def crash_looping(
    kube: Kube, namespace: str, workloads: Iterable[AddonWorkload]
) -> list[AddonWorkload]:
    """Return the workloads with crash-looping pods, whatever their number of ready pods."""
    at = datetime.fromisoformat(now())

    def any_in(pods: Iterable[Object]) -> bool:
        return any(is_crash_looping(pod, at) for pod in pods)

    def crashes(workload: AddonWorkload) -> bool:
        found = kube.get("apps/v1", workload.kind, workload.name, namespace)
        return found is not None and any_in(
            kube.list("v1", "Pod", namespace, labels=label_selector(found))
        )

    # Usually none does, and one call is enough to see that.
    return [w for w in workloads if crashes(w)] if any_in(kube.list("v1", "Pod", namespace)) else []


def label_selector(workload: Object) -> str:
    """Return a workload's label selector in the syntax of the API's query parameter."""
    spec = workload["spec"].get("selector") or {}
    equal = [f"{key}={value}" for key, value in (spec.get("matchLabels") or {}).items()]
    return ",".join(equal + [_expression(e) for e in spec.get("matchExpressions") or ()])


def _expression(expression: Object) -> str:
    key, operator = expression["key"], expression["operator"]
    if operator in ("Exists", "DoesNotExist"):
        return str(key) if operator == "Exists" else f"!{key}"
    return f"{key} {'in' if operator == 'In' else 'notin'} ({','.join(expression['values'])})"


def _pods(kube: Kube, workload: Object) -> Iterator[Object]:
    """Return the workload's pods that are not ready."""
    found = kube.list(
        "v1", "Pod", workload["metadata"]["namespace"], labels=label_selector(workload)
    )
    return (pod for pod in found if not is_ready(pod))


def _events(kube: Kube, namespace: str, pods: Sequence[Object]) -> tuple[Object, ...]:
    """List the namespace's warnings and, when a pod has no node, Karpenter's events."""
    found = list(kube.list("v1", "Event", namespace, fields="type!=Normal"))
    if any(not pod["spec"].get("nodeName") for pod in pods):
        found += kube.list("v1", "Event", namespace, fields=f"reason={NOMINATED}")
        for kind in ("NodeClaim", "NodePool"):
            found += kube.list("v1", "Event", fields=f"involvedObject.kind={kind}")
    return tuple(sorted(found, key=event_time))


def _of_others(event: Object, workload: str) -> bool:
    """Return True for a FailedCreate event of another workload or its ReplicaSet."""
    owner = event.get("involvedObject", {}).get("name", "")
    return event.get("reason") == "FailedCreate" and not f"{owner}-".startswith(f"{workload}-")


def _logs(kube: Kube, pods: Sequence[Object]) -> dict[str, str]:
    """Return the last log lines of a container that ended; empty when they are no longer there."""
    found = failed_container(pods)
    if found is None:
        return {}
    namespace, pod, container, previous = found
    with contextlib.suppress(JarkkitError):
        return {pod: kube.logs(namespace, pod, container, lines=8, previous=previous)}
    return {}
