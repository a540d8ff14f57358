"""Takes add-ons away again, in the order that leaves nothing behind in the account.

Three musts: what owns things in the account (load balancers, volumes, nodes) goes while its
controller is still there; Karpenter ends its nodes before it is removed; the load balancer
controller is among the last (docs/architecture.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from jarkkit.addons.catalogue import Addon
from jarkkit.addons.order import needs, reversed_order
from jarkkit.clock import monotonic, now
from jarkkit.cluster.layer import ClusterLayer
from jarkkit.kube import Kube
from jarkkit.records import Event, Installed, ObjectName, Step

_LOOK_SECONDS = 0.5
_HEARTBEAT_SECONDS = 10.0
# Until something that owns things in the account must be gone. Karpenter drains a node for as long
# as its pods take to end; a load balancer takes a minute or two.
_GONE_SECONDS = 600.0
_UNINSTALL_SECONDS = 300.0
# Namespaces that are the cluster's, or hold what is needed to the end.
_KEPT = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
_BALANCED = "load-balancers"


def remove(layer: ClusterLayer, step: Step, names: Iterable[str]) -> Iterator[Event]:
    """Remove these add-ons and nothing else. Their volumes stay: they are somebody's data."""
    for addon in _in_order(layer, names):
        installed = layer.state.addons[addon.name]
        yield from _away(layer, step, addon, installed)


def remove_all(layer: ClusterLayer, step: Step) -> Iterator[Event]:
    """Empty the cluster before it is destroyed: workloads of users, volumes and nodes too.

    What does not go in time is a warning: the account is looked at afterwards in any case.
    """
    # EKS' own add-ons are Terraform's.
    addons = [a for a in _in_order(layer, layer.state.addons) if a.install != "eks"]
    first = [addon for addon in addons if not _is_last(addon)]
    last = [addon for addon in addons if _is_last(addon)]
    yield _phase(step, "started", f"{len(addons)} add-ons")
    yield from _owned_resources(layer, step, addons)
    yield from _load_balancers(layer, step)
    for addon in first:
        yield from _away(layer, step, addon, layer.state.addons[addon.name])
    yield from _volumes(layer, step)
    yield from _nodes(layer, step)
    for addon in last:
        yield from _away(layer, step, addon, layer.state.addons[addon.name])
    yield _phase(step, "done", "the cluster is empty")


def _in_order(layer: ClusterLayer, names: Iterable[str]) -> list[Addon]:
    """Nothing goes before what needs it."""
    known = layer.known
    here = [known[name] for name in names if name in known]
    inside = {addon.name for addon in here}
    trimmed = [a.model_copy(update={"needs": tuple(inside & set(a.needs))}) for a in here]
    return [known[name] for name in reversed_order(needs(trimmed))]


def _is_last(addon: Addon) -> bool:
    """What ends nodes and load balancers."""
    return addon.core or addon.name == "aws-load-balancer-controller"


# -- one add-on ------------------------------------------------------------------------------------


def _away(layer: ClusterLayer, step: Step, addon: Addon, installed: Installed) -> Iterator[Event]:
    began = monotonic()
    yield _event(step, addon, "started", began)
    layer.remember(addon.name, installed.model_copy(update={"digest": ""}))
    yield from _owned_resources(layer, step, [addon])
    for thing in reversed(installed.after):
        _delete(layer.kube, thing)
    if installed.release:
        layer.helm.uninstall(installed.release, installed.namespace, timeout=_UNINSTALL_SECONDS)
    for thing in reversed(installed.before):
        _delete(layer.kube, thing)
    layer.remember(addon.name, None)
    yield _event(step, addon, "done", began)


def _owned_resources(layer: ClusterLayer, step: Step, addons: Iterable[Addon]) -> Iterator[Event]:
    """Delete their custom resources that own things, and wait until their operators are done."""
    for addon in addons:
        if addon.core:
            continue  # nodes go when nothing needs them any more
        for kind in addon.leaves:
            api_version, _, word = kind.rpartition("/")
            yield from _all_gone(layer, step, api_version, word)


def _all_gone(layer: ClusterLayer, step: Step, api_version: str, kind: str) -> Iterator[Event]:
    if not layer.kube.knows(api_version, kind):
        return

    def left() -> list[ObjectName]:
        return [_name(api_version, kind, thing) for thing in layer.kube.list(api_version, kind)]

    for thing in left():
        _delete(layer.kube, thing)
    yield from _until_none(step, kind, left)


# -- what owns things in the account -------------------------------------------------------------


def _load_balancers(layer: ClusterLayer, step: Step) -> Iterator[Event]:
    """Services and Ingresses with load balancers, whoever made them."""

    def left() -> list[ObjectName]:
        services = [
            _name("v1", "Service", service)
            for service in layer.kube.list("v1", "Service")
            if service["spec"].get("type") == "LoadBalancer"
        ]
        api = "networking.k8s.io/v1"
        return services + [_name(api, "Ingress", i) for i in layer.kube.list(api, "Ingress")]

    for thing in left():
        _delete(layer.kube, thing)
    yield from _until_none(step, _BALANCED, left)


def _volumes(layer: ClusterLayer, step: Step) -> Iterator[Event]:
    """Namespaces of add-ons and users, with all that is in them, then every volume."""
    core = {a.namespace for a in layer.known.values() if a.core or _is_last(a)}

    def spaces() -> list[ObjectName]:
        names = [_name("v1", "Namespace", n) for n in layer.kube.list("v1", "Namespace")]
        return [name for name in names if name.name not in _KEPT | core]

    for thing in spaces():
        _delete(layer.kube, thing)
    for claim in list(layer.kube.list("v1", "PersistentVolumeClaim")):
        thing = _name("v1", "PersistentVolumeClaim", claim)
        _delete_users(layer.kube, thing)
        _delete(layer.kube, thing)

    def left() -> list[ObjectName]:
        return [
            _name("v1", "PersistentVolume", volume)
            for volume in layer.kube.list("v1", "PersistentVolume")
            if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        ]

    yield from _until_none(step, "volumes", left)


def _delete_users(kube: Kube, claim: ObjectName) -> None:
    """A claim that a pod uses stays; in `default` and `kube-system` pods go one by one."""
    if claim.namespace not in _KEPT:
        return  # the namespace goes as a whole
    for pod in list(kube.list("v1", "Pod", claim.namespace)):
        claims = [
            v.get("persistentVolumeClaim", {}).get("claimName")
            for v in pod["spec"].get("volumes", ())
        ]
        if claim.name in claims:
            _delete(kube, _name("v1", "Pod", pod))


def _nodes(layer: ClusterLayer, step: Step) -> Iterator[Event]:
    """Karpenter's pools, and with them its instances, while Karpenter lives."""
    if not layer.kube.knows("karpenter.sh/v1", "NodePool"):
        return
    for pool in list(layer.kube.list("karpenter.sh/v1", "NodePool")):
        _delete(layer.kube, _name("karpenter.sh/v1", "NodePool", pool))

    def left() -> list[ObjectName]:
        kinds = ("NodeClaim", "NodePool")
        return [
            _name("karpenter.sh/v1", kind, thing)
            for kind in kinds
            for thing in layer.kube.list("karpenter.sh/v1", kind)
        ]

    yield from _until_none(step, "nodes", left)
    yield from _all_gone(layer, step, "karpenter.k8s.aws/v1", "EC2NodeClass")


# -- helpers ---------------------------------------------------------------------------------------


def _until_none(step: Step, subject: str, left: Callable[[], list[ObjectName]]) -> Iterator[Event]:
    """Wait until nothing is left; after ten minutes go on with a warning that names it."""
    began = told = monotonic()
    while things := left():
        spent = monotonic() - began
        names = ", ".join(f"{t.namespace}/{t.name}".lstrip("/") for t in things[:4])
        if spent > _GONE_SECONDS:
            text = f"{subject}: {len(things)} do not go: {names}"
            yield Event(time=now(), step=step, kind="warning", subject=subject, message=text)
            return
        if monotonic() - told > _HEARTBEAT_SECONDS:
            told = monotonic()
            yield Event(
                time=now(),
                step=step,
                kind="phase",
                subject=subject,
                status="running",
                seconds=round(spent, 1),
                message=f"waiting until {len(things)} are gone: {names}",
            )
        time.sleep(_LOOK_SECONDS)


def _delete(kube: Kube, thing: ObjectName) -> None:
    # Its kind may have gone with the release that defined it.
    if kube.knows(thing.api_version, thing.kind):
        kube.delete(thing.api_version, thing.kind, thing.name, thing.namespace)


def _name(api_version: str, kind: str, thing: dict[str, object]) -> ObjectName:
    meta: dict[str, str] = thing["metadata"]  # type: ignore[assignment]
    return ObjectName(
        api_version=api_version,
        kind=kind,
        name=meta["name"],
        namespace=meta.get("namespace", ""),
    )


def _event(step: Step, addon: Addon, status: Literal["started", "done"], began: float) -> Event:
    return Event(
        time=now(),
        step=step,
        kind="addon",
        subject=addon.name,
        action="delete",
        status=status,
        seconds=round(monotonic() - began, 1),
    )


def _phase(step: Step, status: Literal["started", "done"], message: str) -> Event:
    return Event(
        time=now(), step=step, kind="phase", subject="add-ons", status=status, message=message
    )
