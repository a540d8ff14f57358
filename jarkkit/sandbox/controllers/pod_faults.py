"""Pod faults by name: pods created while a fault is active are marked, and recover afterwards.

The API server marks them: an admission policy reads a ConfigMap, so a change takes effect
immediately. kwok_stages/pod.yaml defines what the marks do. Marks that users set are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from jarkkit.sandbox import faults
from jarkkit.sandbox.controllers import process_admission
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.controllers.objects import PODS, pod_path
from jarkkit.sandbox.kubernetes.api import Object, key_of
from jarkkit.sandbox.kubernetes.informer import Informer

FAULT_ANNOTATION = "sandbox.jarkkit.io/fault"
# The line of the ConfigMap that a mark comes from.
_FROM = "sandbox.jarkkit.io/fault-from"
# The mark of each named fault.
FAULT_EFFECTS = {
    "image-pull": "image-pull",
    "crash-loop": "crash-loop",
    "oom": "oom",
    "helm-timeout": "not-ready",
}
_NAME = "pod-faults.sandbox.jarkkit.io"
_CONFIG = {"name": "sandbox-pod-faults", "namespace": "kube-system"}


def policy_manifests() -> list[Object]:
    """Return the policy and its binding.

    A line is a mark and a text that the pod's `namespace/name` starts with or its image contains;
    a line without text applies to all pods.
    """
    variables = {
        "pod": "request.namespace + '/' + object.metadata.?name.orValue("
        "object.metadata.?generateName.orValue(''))",
        "hits": r"has(params.data) ? params.data.lines.split('\n').filter(line, line != ''"
        " && (variables.pod.startsWith(line.split(' ')[1])"
        " || object.spec.containers.exists(c, c.image.contains(line.split(' ')[1])))) : []",
    }
    marked = f"'{FAULT_ANNOTATION}' in object.metadata.?annotations.orValue({{}})"
    marks = (
        f"{{'{FAULT_ANNOTATION}': variables.hits[0].split(' ')[0], '{_FROM}': variables.hits[0]}}"
    )
    policy, binding = process_admission.mutating_policy(
        _NAME, variables, f"size(variables.hits) == 0 || {marked}", marks
    )
    policy["spec"]["paramKind"] = {"apiVersion": "v1", "kind": "ConfigMap"}
    binding["spec"]["paramRef"] = {**_CONFIG, "parameterNotFoundAction": "Allow"}
    return [policy, binding]


def config_lines(active: Iterable[faults.Fault]) -> list[str]:
    """Return the ConfigMap's lines for these faults."""
    return [
        f"{FAULT_EFFECTS[fault.name]} {target}"
        for fault in active
        if fault.name in FAULT_EFFECTS
        for target in fault.targets or ("",)
    ]


class PodFaultController(Controller):
    """Reconciles the ConfigMap and the marks with the active faults."""

    name = "pod-faults"
    follows_account = True

    def start(self) -> None:
        """Start; what an earlier run has written is unknown."""
        self._written: list[str] | None = None
        super().start()

    def watched(self) -> tuple[Informer, ...]:
        """Return the informer of pods: one may be created while its fault is switched off."""
        return (self.cluster.informer(PODS),)

    def reconcile(self) -> float | None:
        """Write the active faults, and remove the marks of inactive ones."""
        desired = config_lines(faults.ACTIVE.faults)
        if desired != self._written:
            self.cluster.api.apply(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": _CONFIG,
                    "data": {"lines": "\n".join(desired)},
                }
            )
            self._written = desired
        for pod in self.cluster.pods():
            source = pod["metadata"].get("annotations", {}).get(_FROM)
            if source is not None and source not in desired:
                self._recover(pod)
        return None

    def _recover(self, pod: Object) -> None:
        path = pod_path(pod)
        if self.cluster.api.find(path) is not None:
            marks = {FAULT_ANNOTATION: None, _FROM: None}
            self.cluster.api.patch(path, {"metadata": {"annotations": marks}})
            self.cluster.log(f"removed the fault of {key_of(pod)}")
