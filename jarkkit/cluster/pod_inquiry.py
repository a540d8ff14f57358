"""Asks a cluster why a workload is not ready. What the answers mean: `pod_troubles`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from jarkkit.addons.catalogue import Workload
from jarkkit.clock import now
from jarkkit.cluster.pod_troubles import NOMINATED, Object, Trouble, trouble, whose_log
from jarkkit.cluster.readiness import is_unsteady
from jarkkit.errors import JarkkitError
from jarkkit.kube import Kube, happened_at

# A workload's pods mostly share one trouble; a DaemonSet has as many as there are nodes.
_PODS = 20


def inquire(kube: Kube, workload: Object) -> Trouble | None:
    """What keeps a Deployment, StatefulSet, DaemonSet or Job from being ready; None when its pods
    may just need more time. Asks for its own pods only. Raises the JK-KUBE-… of the calls."""
    meta = workload["metadata"]
    pods = tuple(islice(_pods(kube, workload), _PODS))
    events = [e for e in _events(kube, meta["namespace"], pods) if not _of_others(e, meta["name"])]
    return judged(kube, pods, events)


def judged(kube: Kube, pods: Sequence[Object], events: Sequence[Object]) -> Trouble | None:
    """The same for pods of one workload, with what was said about them and Karpenter's nodes."""
    return trouble(pods, events, _logs(kube, pods))


def inquire_pod(kube: Kube, pod: Object) -> Trouble | None:
    """The same for one pod."""
    namespace = pod["metadata"]["namespace"]
    return trouble((pod,), _events(kube, namespace, (pod,)), _logs(kube, (pod,)))


def unsteady(kube: Kube, namespace: str, workloads: Iterable[Workload]) -> list[Workload]:
    """Those whose pods crash again and again, whatever their count of ready pods says."""
    at = datetime.fromisoformat(now())

    def any_in(pods: Iterable[Object]) -> bool:
        return any(is_unsteady(pod, at) for pod in pods)

    def crashes(workload: Workload) -> bool:
        thing = kube.get("apps/v1", workload.kind, workload.name, namespace)
        return thing is not None and any_in(
            kube.list("v1", "Pod", namespace, labels=selector(thing))
        )

    # Mostly none does, and one call tells.
    return [w for w in workloads if crashes(w)] if any_in(kube.list("v1", "Pod", namespace)) else []


def selector(workload: Object) -> str:
    """A workload's label selector, as the API takes it."""
    chosen = workload["spec"].get("selector") or {}
    equal = [f"{key}={value}" for key, value in (chosen.get("matchLabels") or {}).items()]
    return ",".join(equal + [_expression(e) for e in chosen.get("matchExpressions") or ()])


def _expression(expression: Object) -> str:
    key, operator = expression["key"], expression["operator"]
    if operator in ("Exists", "DoesNotExist"):
        return str(key) if operator == "Exists" else f"!{key}"
    return f"{key} {'in' if operator == 'In' else 'notin'} ({','.join(expression['values'])})"


def _pods(kube: Kube, workload: Object) -> Iterator[Object]:
    """Those that are not ready; one that is ready is in nobody's way."""
    found = kube.list("v1", "Pod", workload["metadata"]["namespace"], labels=selector(workload))
    return (pod for pod in found if not is_ready(pod))


def is_ready(pod: Mapping[str, Any]) -> bool:
    """True for a pod that is Ready and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _events(kube: Kube, namespace: str, pods: Sequence[Object]) -> tuple[Object, ...]:
    """What went wrong in the namespace, and what Karpenter says where a pod has no node."""
    found = list(kube.list("v1", "Event", namespace, fields="type!=Normal"))
    if any(not pod["spec"].get("nodeName") for pod in pods):
        found += kube.list("v1", "Event", namespace, fields=f"reason={NOMINATED}")
        for kind in ("NodeClaim", "NodePool"):
            found += kube.list("v1", "Event", fields=f"involvedObject.kind={kind}")
    return tuple(sorted(found, key=happened_at))


def _of_others(event: Object, workload: str) -> bool:
    """True where pods of another workload could not be made: its ReplicaSet, or itself."""
    owner = event.get("involvedObject", {}).get("name", "")
    return event.get("reason") == "FailedCreate" and not f"{owner}-".startswith(f"{workload}-")


def _logs(kube: Kube, pods: Sequence[Object]) -> dict[str, str]:
    """The last lines of a container that ended; nothing where they cannot be had any more."""
    found = whose_log(pods)
    if found is None:
        return {}
    namespace, pod, container, previous = found
    with contextlib.suppress(JarkkitError):
        return {pod: kube.logs(namespace, pod, container, lines=8, previous=previous)}
    return {}
