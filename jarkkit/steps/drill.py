"""A drill's part in the cluster: pods that the fault affects, created and deleted again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from jarkkit.catalog.drills import NAMESPACE, Drill
from jarkkit.model.errors import JarkkitError
from jarkkit.model.polling import poll
from jarkkit.ports.kube import Kube, Object

_TYPE = "node.kubernetes.io/instance-type"
_POLL_SECONDS = 0.3
_DELETION_SECONDS = 60.0


def real_account_error(name: str) -> JarkkitError:
    """Build the error for a deployment in a real account."""
    return JarkkitError(
        "JK-DRILL-REFUSED",
        f"Deployment {name!r} is in a real account. Drills break resources on purpose, so they run "
        "only in a rehearsal.",
        "Practice in a rehearsal: jarkkit run demo --sandbox. To diagnose this deployment, run: "
        "jarkkit diagnose",
    )


def inject(kube: Kube, drill: Drill) -> None:
    """Create or restart the pods that the fault affects. Raises JK-KUBE-…."""
    if drill.objects:
        revert(kube)
        meta = {"name": NAMESPACE}
        kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        types = {node["metadata"].get("labels", {}).get(_TYPE) for node in kube.list("v1", "Node")}
        for pod in drill.objects:
            kube.apply(require_new_node(pod, sorted(filter(None, types))))
    if drill.restart is not None:
        where = drill.restart.namespace
        for pod in list(kube.list("v1", "Pod", where, labels=drill.restart.labels)):
            kube.delete("v1", "Pod", pod["metadata"]["name"], where)


def require_new_node(pod: Object, types: Sequence[str]) -> Object:
    """Return the pod in the drills' namespace, with an affinity that excludes existing nodes.

    Args:
        types: instance types of the existing nodes.
    """
    other = {"matchExpressions": [{"key": _TYPE, "operator": "NotIn", "values": list(types)}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [other]}}
    affinity = {"affinity": {"nodeAffinity": required}} if types else {}
    return {
        **pod,
        "metadata": {**pod["metadata"], "namespace": NAMESPACE},
        "spec": {**pod["spec"], **affinity},
    }


def revert(kube: Kube, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Delete what a drill created, and wait until it is gone. Raises JK-DRILL-TIMEOUT."""
    if not kube.delete("v1", "Namespace", NAMESPACE):
        return
    for _ in poll(_POLL_SECONDS, _DELETION_SECONDS, sleep=sleep):
        if kube.get("v1", "Namespace", NAMESPACE) is None:
            return
    raise JarkkitError(
        "JK-DRILL-TIMEOUT",
        f"The namespace {NAMESPACE} was not deleted within {_DELETION_SECONDS:.0f} s.",
        f"See what blocks it: kubectl get all -n {NAMESPACE}. Then run the drill again.",
    )
