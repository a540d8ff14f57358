"""Removes add-ons in the order that leaves nothing behind in the account.

Three rules: objects that own AWS resources (load balancers, volumes, nodes) are deleted while their
controller still runs; Karpenter terminates its nodes before it is removed; the load balancer
controller is among the last add-ons to be removed (docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Literal

from jarkkit.catalog.addons import Addon
from jarkkit.decisions.addons.dependency_order import dependencies, removal_order
from jarkkit.decisions.cluster.pod_status import owner_of
from jarkkit.model.clock import monotonic
from jarkkit.model.errors import Interrupted, JarkkitError
from jarkkit.model.events import AddonProgress, PhaseProgress, StepEvent, warning
from jarkkit.model.polling import poll
from jarkkit.model.records import AddonState, ObjectName
from jarkkit.ports.kube import Kube
from jarkkit.steps.cluster.cluster_layer import DATA_KINDS, ClusterLayer

Object = dict[str, Any]

_POLL_SECONDS = 0.5
_HEARTBEAT_SECONDS = 10.0
# Timeout for deleting objects that own AWS resources. Karpenter drains a node for as long as its
# pods take to end; a load balancer takes a minute or two.
_DELETION_SECONDS = 600.0
_UNINSTALL_SECONDS = 300.0
# Kubernetes' own namespaces; kube-system also holds what is needed to the end.
_KEPT = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
_KARPENTER, _BALANCER = "karpenter", "aws-load-balancer-controller"
# Kinds that create pods.
_POD_OWNERS = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
)


def remove(layer: ClusterLayer, names: Iterable[str]) -> Iterator[StepEvent]:
    """Remove these add-ons and the objects that they created themselves.

    Custom resources of users and data on volumes stay; a warning lists the custom resources.
    """
    records = layer.install_state.load().addons
    for addon in _in_order(layer, names):
        if addon.name == _BALANCER:
            yield from _load_balancers(layer)
        if addon.name == _KARPENTER:
            yield from _nodes(layer)
            if left := _claims(layer):
                raise _has_instances(left)
        yield from _remove_addon(layer, addon, records[addon.name])
        yield from _remaining_custom_resources(layer, addon)


def remove_all(layer: ClusterLayer) -> Generator[StepEvent, None, tuple[str, ...]]:
    """Empty the cluster before it is destroyed, including users' workloads, volumes and nodes.

    A failure or a timeout yields a warning, and the rest continues. Returns those that can leave
    resources in the account: of load balancers, volumes, nodes and custom resources. An add-on
    whose release stays leaves nothing there.
    """
    records = layer.install_state.load().addons
    # Terraform deletes the EKS managed add-ons.
    addons = [addon for addon in _in_order(layer, records) if addon.install != "eks"]
    left: list[str] = []
    yield PhaseProgress("add-ons", "started", f"{len(addons)} add-ons")
    for addon in addons:
        left += yield from _attempt(addon.name, _finalize_first(layer, addon))
    left += yield from _attempt("load balancers", _load_balancers(layer))
    for addon in addons:
        if not _is_last(addon):
            record = records[addon.name]
            yield from _attempt(addon.name, _remove_addon(layer, addon, record))
    left += yield from _attempt("volumes", _volumes(layer))
    left += yield from _attempt("nodes", _nodes(layer))
    for addon in filter(_is_last, addons):
        yield from _attempt(addon.name, _remove_last(layer, addon, records[addon.name]))
    yield PhaseProgress("add-ons", "done", "" if left else "the cluster is empty")
    return tuple(left)


def _attempt(subject: str, work: Iterator[StepEvent]) -> Generator[StepEvent, None, list[str]]:
    """Continue after a failure: stopping here would leave even more resources that cost money.

    Returns the messages of the failure and of all warnings.
    """
    problems: list[str] = []
    try:
        for event in work:
            problems += [event.message] if event.kind == "warning" else []
            yield event
    except Interrupted:
        raise
    except JarkkitError as error:
        problems.append(f"{subject}: {error.message}")
        yield warning(problems[-1], error.code, subject=subject)
    return problems


def _in_order(layer: ClusterLayer, names: Iterable[str]) -> list[Addon]:
    """Sort the add-ons so that each is removed after all that depend on it."""
    known = layer.stack.catalog
    addons = [known[name] for name in names if name in known]
    included = {addon.name for addon in addons}
    trimmed = [a.model_copy(update={"needs": tuple(included & set(a.needs))}) for a in addons]
    return [known[name] for name in removal_order(dependencies(trimmed))]


def _is_last(addon: Addon) -> bool:
    """Return True for add-ons that terminate nodes or delete load balancers."""
    return addon.core or addon.name == _BALANCER


# -- one add-on ------------------------------------------------------------------------------------


def _remove_addon(layer: ClusterLayer, addon: Addon, installed: AddonState) -> Iterator[StepEvent]:
    began = monotonic()
    yield _event(addon, "started", began)
    layer.install_state.save_addon(addon.name, installed.model_copy(update={"digest": ""}))
    yield from _delete_custom_resources(layer, addon.name, installed.after)
    if installed.release:
        layer.helm.uninstall(installed.release, installed.namespace, timeout=_UNINSTALL_SECONDS)
    for applied in reversed(installed.before):
        if applied.kind not in DATA_KINDS:
            _delete(layer.kube, applied)
    for pod in list(_unmanaged_pods(layer, addon)):
        _delete(layer.kube, _name("v1", "Pod", pod))
    layer.install_state.save_addon(addon.name, None)
    yield _event(addon, "done", began)


def _remove_last(layer: ClusterLayer, addon: Addon, installed: AddonState) -> Iterator[StepEvent]:
    """Remove a last add-on. Keep Karpenter while it has instances: only Karpenter terminates
    them."""
    if addon.name == _KARPENTER and (left := _claims(layer)):
        raise _has_instances(left)
    yield from _remove_addon(layer, addon, installed)


def _delete_custom_resources(
    layer: ClusterLayer, subject: str, names: Sequence[ObjectName]
) -> Iterator[StepEvent]:
    """Delete an add-on's custom resources, and wait until its operator has finalized them."""
    deleted = [name for name in reversed(names) if name.kind not in DATA_KINDS]
    for name in deleted:
        _delete(layer.kube, name)

    def left() -> list[ObjectName]:
        return [n for n in deleted if layer.kube.get(n.api_version, n.kind, n.name, n.namespace)]

    yield from _until_none(subject, left)


def _unmanaged_pods(layer: ClusterLayer, addon: Addon) -> Iterator[Object]:
    """Yield the pods that the add-on started itself; without it they would run on."""
    if not addon.leaves_pods:
        return iter(())
    return layer.kube.list("v1", "Pod", addon.namespace, labels=addon.leaves_pods)


def _remaining_custom_resources(layer: ClusterLayer, addon: Addon) -> Iterator[StepEvent]:
    """Warn about custom resources of users: no operator reconciles them from now on."""
    for api_version, kind in _finalized_kinds(addon):
        if found := _all(layer.kube, api_version, kind):
            text = f"{len(found)} {kind} still exist, and no operator reconciles them any more"
            yield warning(f"{text}: {_named(found)}", subject=addon.name)


def _finalize_first(layer: ClusterLayer, addon: Addon) -> Iterator[StepEvent]:
    """Delete all custom resources that own resources, and wait until the operator finalized
    them."""
    if addon.core:
        return  # nodes are deleted when nothing needs them any more
    for api_version, kind in _finalized_kinds(addon):
        yield from _delete_all(layer, api_version, kind)


def _finalized_kinds(addon: Addon) -> Iterator[tuple[str, str]]:
    """Yield API version and kind of the custom resources that must be deleted first."""
    for entry in addon.finalize_first:
        api_version, _, kind = entry.rpartition("/")
        yield api_version, kind


def _delete_all(layer: ClusterLayer, api_version: str, kind: str) -> Iterator[StepEvent]:
    for name in _all(layer.kube, api_version, kind):
        _delete(layer.kube, name)
    yield from _until_none(kind, lambda: _all(layer.kube, api_version, kind))


# -- objects that own AWS resources ----------------------------------------------------------------


def _load_balancers(layer: ClusterLayer) -> Iterator[StepEvent]:
    """Delete all Services and Ingresses with load balancers, also those of users."""

    def left() -> list[ObjectName]:
        services = [
            _name("v1", "Service", service)
            for service in layer.kube.list("v1", "Service")
            if service["spec"].get("type") == "LoadBalancer"
        ]
        return services + _all(layer.kube, "networking.k8s.io/v1", "Ingress")

    for name in left():
        _delete(layer.kube, name)
    yield from _until_none("load balancers", left)


def _volumes(layer: ClusterLayer) -> Iterator[StepEvent]:
    """Delete the namespaces of add-ons and users with all their objects, then every volume."""
    core = {a.namespace for a in layer.stack.catalog.values() if _is_last(a)}
    for namespace in _all(layer.kube, "v1", "Namespace"):
        if namespace.name not in _KEPT | core:
            _delete(layer.kube, namespace)
    for api_version, kind in _POD_OWNERS:  # or they would create pods and claims again
        for owner in _all(layer.kube, api_version, kind):
            if owner.namespace == "default":
                _delete(layer.kube, owner)
    for claim in _all(layer.kube, "v1", "PersistentVolumeClaim"):
        _delete(layer.kube, claim)
        _delete_pods_using(layer.kube, claim)

    def left() -> list[ObjectName]:
        return [
            _name("v1", "PersistentVolume", volume)
            for volume in layer.kube.list("v1", "PersistentVolume")
            if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
            and volume["spec"].get("claimRef")
        ]

    yield from _until_none("volumes", left)


def _delete_pods_using(kube: Kube, claim: ObjectName) -> None:
    """Delete the pods that use a claim, where the namespace itself stays.

    Kubernetes keeps a claim as long as a pod uses it.
    """
    if claim.namespace not in _KEPT:
        return  # the whole namespace is deleted
    for pod in list(kube.list("v1", "Pod", claim.namespace)):
        volumes = pod["spec"].get("volumes", ())
        if claim.name in [v.get("persistentVolumeClaim", {}).get("claimName") for v in volumes]:
            _delete(kube, _name("v1", "Pod", pod))


def _nodes(layer: ClusterLayer) -> Iterator[StepEvent]:
    """Delete Karpenter's node pools and wait for its instances to end, while Karpenter runs."""
    for pool in _all(layer.kube, "karpenter.sh/v1", "NodePool"):
        _delete(layer.kube, pool)
    # A pod with the do-not-disrupt annotation or a disruption budget would block its node's drain.
    launched = {
        node["metadata"]["name"]
        for node in layer.kube.list("v1", "Node", labels="karpenter.sh/nodepool")
    }
    for pod in list(layer.kube.list("v1", "Pod")) if launched else []:
        if pod["spec"].get("nodeName") in launched and owner_of(pod).kind != "DaemonSet":
            _delete(layer.kube, _name("v1", "Pod", pod))
    yield from _until_none("nodes", lambda: _claims(layer))
    yield from _delete_all(layer, "karpenter.sh/v1", "NodePool")
    yield from _delete_all(layer, "karpenter.k8s.aws/v1", "EC2NodeClass")


def _claims(layer: ClusterLayer) -> list[ObjectName]:
    return _all(layer.kube, "karpenter.sh/v1", "NodeClaim")


def _has_instances(left: Sequence[ObjectName]) -> JarkkitError:
    return JarkkitError(
        "JK-ADDON-FAILED",
        f"Karpenter is not removed, because it still has {len(left)} instances: {_named(left)}.",
        "See what blocks them (kubectl describe nodeclaims), then run the step again.",
        subjects=("karpenter",),
    )


# -- helpers ---------------------------------------------------------------------------------------


def _until_none(subject: str, left: Callable[[], list[ObjectName]]) -> Iterator[StepEvent]:
    """Wait until nothing is left. After ten minutes, continue with a warning that names the
    rest."""
    last_heartbeat = 0.0
    for spent in poll(_POLL_SECONDS, _DELETION_SECONDS):
        if not (remaining := left()):
            return
        names = _named(remaining)
        if spent - last_heartbeat > _HEARTBEAT_SECONDS:
            last_heartbeat = spent
            yield PhaseProgress(
                subject,
                "running",
                f"waiting for the deletion of {len(remaining)}: {names}",
                round(spent, 1),
            )
    text = f"{subject}: {len(remaining)} not deleted in time: {names}"
    yield warning(text, subject=subject)


def _all(kube: Kube, api_version: str, kind: str) -> list[ObjectName]:
    """List every object of that kind; empty when the cluster does not have the kind."""
    if not kube.serves_kind(api_version, kind):
        return []
    return [_name(api_version, kind, manifest) for manifest in kube.list(api_version, kind)]


def _named(names: Sequence[ObjectName]) -> str:
    return ", ".join(f"{n.namespace}/{n.name}".lstrip("/") for n in names[:4])


def _delete(kube: Kube, name: ObjectName) -> None:
    # Its CRD may have been deleted with the release that contained it.
    if kube.serves_kind(name.api_version, name.kind):
        kube.delete(name.api_version, name.kind, name.name, name.namespace)


def _name(api_version: str, kind: str, manifest: Object) -> ObjectName:
    meta = manifest["metadata"]
    return ObjectName(
        api_version=api_version,
        kind=kind,
        name=meta["name"],
        namespace=meta.get("namespace", ""),
    )


def _event(addon: Addon, status: Literal["started", "done"], began: float) -> StepEvent:
    return AddonProgress(addon.name, "delete", status, round(monotonic() - began, 1))
