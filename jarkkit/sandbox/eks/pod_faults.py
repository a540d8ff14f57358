"""Faults of pods by name: pods that are created meanwhile are marked, and recover afterwards.

The API server marks them (a policy of admission that reads a ConfigMap, so that a change is felt at
once); what the marks do is said in stages/pod.yaml. A mark that a user has made is the user's.
"""

from __future__ import annotations

from collections.abc import Iterable

from jarkkit.sandbox import faults
from jarkkit.sandbox.cluster.api import Object, key_of
from jarkkit.sandbox.cluster.informer import Informer
from jarkkit.sandbox.eks import images
from jarkkit.sandbox.eks.controller import Controller
from jarkkit.sandbox.eks.objects import PODS

FAULT = "sandbox.jarkkit.io/fault"
# Which line of the ConfigMap a mark comes from.
_FROM = "sandbox.jarkkit.io/fault-from"
# What a fault's name does to pods.
MARKS = {
    "image-pull": "image-pull",
    "crash-loop": "crash-loop",
    "oom": "oom",
    "helm-timeout": "not-ready",
}
_NAME = "pod-faults.sandbox.jarkkit.io"
_CONFIG = {"name": "sandbox-pod-faults", "namespace": "kube-system"}


def objects() -> list[Object]:
    """The policy and its binding. A line is a mark and what the pod's `namespace/name` begins with
    or its image contains; without that it is about all pods."""
    variables = {
        "pod": "request.namespace + '/' + object.metadata.?name.orValue("
        "object.metadata.?generateName.orValue(''))",
        "hits": r"has(params.data) ? params.data.lines.split('\n').filter(line, line != ''"
        " && (variables.pod.startsWith(line.split(' ')[1])"
        " || object.spec.containers.exists(c, c.image.contains(line.split(' ')[1])))) : []",
    }
    marked = f"'{FAULT}' in object.metadata.?annotations.orValue({{}})"
    marks = f"{{'{FAULT}': variables.hits[0].split(' ')[0], '{_FROM}': variables.hits[0]}}"
    policy, binding = images.policy(
        _NAME, variables, f"size(variables.hits) == 0 || {marked}", marks
    )
    policy["spec"]["paramKind"] = {"apiVersion": "v1", "kind": "ConfigMap"}
    binding["spec"]["paramRef"] = {**_CONFIG, "parameterNotFoundAction": "Allow"}
    return [policy, binding]


def lines(active: Iterable[faults.Fault]) -> list[str]:
    """The ConfigMap's lines for these faults."""
    return [
        f"{MARKS[fault.name]} {place}"
        for fault in active
        if fault.name in MARKS
        for place in fault.places or ("",)
    ]


class PodFaults(Controller):
    """Keeps the ConfigMap and the marks as the named faults are."""

    name = "pod-faults"
    follows_account = True

    def start(self) -> None:
        """Begin; what an earlier life has written is not known."""
        self._written: list[str] | None = None
        super().start()

    def watched(self) -> tuple[Informer, ...]:
        """A pod may have been created while its fault was switched off."""
        return (self.cluster.informer(PODS),)

    def reconcile(self) -> float | None:
        """Write what is on, and take marks away that came from what is off."""
        wanted = lines(faults.ACTIVE.faults)
        if wanted != self._written:
            self.cluster.api.apply(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": _CONFIG,
                    "data": {"lines": "\n".join(wanted)},
                }
            )
            self._written = wanted
        for pod in self.cluster.pods():
            source = pod["metadata"].get("annotations", {}).get(_FROM)
            if source is not None and source not in wanted:
                self._recover(pod)
        return None

    def _recover(self, pod: Object) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        if self.cluster.api.find(path) is not None:
            marks = {FAULT: None, _FROM: None}
            self.cluster.api.patch(path, {"metadata": {"annotations": marks}})
            self.cluster.log(f"{key_of(pod)} may recover")
