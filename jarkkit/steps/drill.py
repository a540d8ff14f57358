"""A drill's part in the cluster: something is made to feel the fault, and taken away again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from jarkkit.clock import monotonic
from jarkkit.drills import NAMESPACE, Drill
from jarkkit.errors import JarkkitError
from jarkkit.kube import Kube, Object

_TYPE = "node.kubernetes.io/instance-type"
_LOOK_SECONDS = 0.3
_GONE_SECONDS = 60.0


def refused(name: str) -> JarkkitError:
    """What is answered in a real account."""
    return JarkkitError(
        "JK-DRILL-REFUSED",
        f"The deployment {name!r} is in a real account; nothing is broken there on purpose.",
        "Practise in a rehearsal: jarkkit run demo --sandbox. What is wrong here: jarkkit diagnose",
    )


def provoke(kube: Kube, drill: Drill) -> None:
    """Make the pods that are to feel it: others anew, or some of its own. Raises JK-KUBE-…."""
    if drill.objects:
        calm(kube)
        meta = {"name": NAMESPACE}
        kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        types = {node["metadata"].get("labels", {}).get(_TYPE) for node in kube.list("v1", "Node")}
        for thing in drill.objects:
            kube.apply(for_a_new_node(thing, sorted(filter(None, types))))
    if drill.restart is not None:
        where = drill.restart.namespace
        for pod in list(kube.list("v1", "Pod", where, labels=drill.restart.labels)):
            kube.delete("v1", "Pod", pod["metadata"]["name"], where)


def for_a_new_node(pod: Object, types: Sequence[str]) -> Object:
    """The pod in the drills' namespace, and such that it fits on no node that is there already.

    Args:
        types: instance types of the nodes that there are.
    """
    other = {"matchExpressions": [{"key": _TYPE, "operator": "NotIn", "values": list(types)}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [other]}}
    affinity = {"affinity": {"nodeAffinity": required}} if types else {}
    return {
        **pod,
        "metadata": {**pod["metadata"], "namespace": NAMESPACE},
        "spec": {**pod["spec"], **affinity},
    }


def calm(kube: Kube, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Take away what was made for a drill, and wait until it is gone. Raises JK-DRILL-TIMEOUT."""
    if not kube.delete("v1", "Namespace", NAMESPACE):
        return
    until = monotonic() + _GONE_SECONDS
    while kube.get("v1", "Namespace", NAMESPACE) is not None:
        if monotonic() > until:
            raise JarkkitError(
                "JK-DRILL-TIMEOUT",
                f"The namespace {NAMESPACE} does not go away.",
                f"What holds it: kubectl get all -n {NAMESPACE}; then run the drill again.",
            )
        sleep(_LOOK_SECONDS)
