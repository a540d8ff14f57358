"""Takes add-ons away again, in the order that leaves nothing behind in the account.

Three musts: what owns things in the account (load balancers, volumes, nodes) goes while its
controller is still there; Karpenter ends its nodes before it is removed; the load balancer
controller is among the last (docs/architecture.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

from jarkkit.addons.catalogue import Addon
from jarkkit.addons.order import needs, reversed_order
from jarkkit.clock import monotonic, now
from jarkkit.cluster.layer import DATA, ClusterLayer
from jarkkit.errors import JarkkitError
from jarkkit.kube import Kube
from jarkkit.records import Event, Installed, ObjectName, Step

Object = dict[str, Any]

_LOOK_SECONDS = 0.5
_HEARTBEAT_SECONDS = 10.0
# Until something that owns things in the account must be gone. Karpenter drains a node for as long
# as its pods take to end; a load balancer takes a minute or two.
_GONE_SECONDS = 600.0
_UNINSTALL_SECONDS = 300.0
# Namespaces that are the cluster's, or hold what is needed to the end.
_KEPT = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
_KARPENTER, _BALANCER = "karpenter", "aws-load-balancer-controller"
# What makes pods in a namespace.
_MAKERS = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
)


def remove(layer: ClusterLayer, step: Step, names: Iterable[str]) -> Iterator[Event]:
    """Remove these add-ons and what they made of themselves. What users have made with them, and
    what is stored on volumes, stays and is named."""
    known = layer.memory.load().addons
    for addon in _in_order(layer, names):
        if addon.name == _BALANCER:
            yield from _load_balancers(layer, step)
        if addon.name == _KARPENTER:
            yield from _nodes(layer, step)
            if left := _claims(layer):
                raise _still_there(left)
        yield from _away(layer, step, addon, known[addon.name])
        yield from _users_objects(layer, step, addon)


def remove_all(layer: ClusterLayer, step: Step) -> Iterator[Event]:
    """Empty the cluster before it is destroyed: workloads of users, volumes and nodes too.

    What cannot be done, or does not go in time, is a warning, and the rest goes on: the account is
    looked at afterwards in any case.
    """
    known = layer.memory.load().addons
    # EKS' own add-ons are Terraform's.
    addons = [addon for addon in _in_order(layer, known) if addon.install != "eks"]
    yield _phase(step, "started", f"{len(addons)} add-ons")
    for addon in addons:
        yield from _trying(step, addon.name, _owned_resources(layer, step, addon))
    yield from _trying(step, "load balancers", _load_balancers(layer, step))
    for addon in addons:
        if not _is_last(addon):
            yield from _trying(step, addon.name, _away(layer, step, addon, known[addon.name]))
    yield from _trying(step, "volumes", _volumes(layer, step))
    yield from _trying(step, "nodes", _nodes(layer, step))
    for addon in filter(_is_last, addons):
        yield from _trying(step, addon.name, _finally(layer, step, addon, known[addon.name]))
    yield _phase(step, "done", "the cluster is empty")


def _trying(step: Step, subject: str, work: Iterator[Event]) -> Iterator[Event]:
    """Go on after a failure: what is not removed here costs more the less of the rest is."""
    try:
        yield from work
    except JarkkitError as error:
        if error.code == "JK-INTERRUPTED":
            raise
        yield _warning(step, subject, f"{subject}: {error.message}", error.code)


def _in_order(layer: ClusterLayer, names: Iterable[str]) -> list[Addon]:
    """Nothing goes before what needs it."""
    known = layer.known
    here = [known[name] for name in names if name in known]
    inside = {addon.name for addon in here}
    trimmed = [a.model_copy(update={"needs": tuple(inside & set(a.needs))}) for a in here]
    return [known[name] for name in reversed_order(needs(trimmed))]


def _is_last(addon: Addon) -> bool:
    """What ends nodes and load balancers."""
    return addon.core or addon.name == _BALANCER


# -- one add-on ------------------------------------------------------------------------------------


def _away(layer: ClusterLayer, step: Step, addon: Addon, installed: Installed) -> Iterator[Event]:
    began = monotonic()
    yield _event(step, addon, "started", began)
    layer.memory.remember(addon.name, installed.model_copy(update={"digest": ""}))
    yield from _gone(layer, step, addon.name, installed.after)
    if installed.release:
        layer.helm.uninstall(installed.release, installed.namespace, timeout=_UNINSTALL_SECONDS)
    for thing in reversed(installed.before):
        if thing.kind not in DATA:
            _delete(layer.kube, thing)
    for pod in list(_pods_it_leaves(layer, addon)):
        _delete(layer.kube, _name("v1", "Pod", pod))
    layer.memory.remember(addon.name, None)
    yield _event(step, addon, "done", began)


def _finally(layer: ClusterLayer, step: Step, addon: Addon, it: Installed) -> Iterator[Event]:
    """Karpenter stays as long as it has instances: nobody else would end them."""
    if addon.name == _KARPENTER and (left := _claims(layer)):
        raise _still_there(left)
    yield from _away(layer, step, addon, it)


def _gone(
    layer: ClusterLayer, step: Step, subject: str, things: Sequence[ObjectName]
) -> Iterator[Event]:
    """Delete its custom resources, and wait while its operator takes away what belongs to them."""
    deleted = [thing for thing in reversed(things) if thing.kind not in DATA]
    for thing in deleted:
        _delete(layer.kube, thing)

    def left() -> list[ObjectName]:
        return [t for t in deleted if layer.kube.get(t.api_version, t.kind, t.name, t.namespace)]

    yield from _until_none(step, subject, left)


def _pods_it_leaves(layer: ClusterLayer, addon: Addon) -> Iterator[Object]:
    """Pods that it has started by itself, which nobody would end any more."""
    if not addon.leaves_pods:
        return iter(())
    return layer.kube.list("v1", "Pod", addon.namespace, labels=addon.leaves_pods)


def _users_objects(layer: ClusterLayer, step: Step, addon: Addon) -> Iterator[Event]:
    """Tell of custom resources that others have made: nothing looks after them from now on."""
    for kind in addon.leaves:
        api_version, _, word = kind.rpartition("/")
        found = _all(layer.kube, api_version, word)
        if found:
            text = f"{len(found)} {word} are still there, and nothing looks after them any more"
            yield _warning(step, addon.name, f"{text}: {_named(found)}")


def _owned_resources(layer: ClusterLayer, step: Step, addon: Addon) -> Iterator[Event]:
    """Delete all custom resources that own things, and wait until their operator is done."""
    if addon.core:
        return  # nodes go when nothing needs them any more
    for kind in addon.leaves:
        api_version, _, word = kind.rpartition("/")
        yield from _all_gone(layer, step, api_version, word)


def _all_gone(layer: ClusterLayer, step: Step, api_version: str, kind: str) -> Iterator[Event]:
    for thing in _all(layer.kube, api_version, kind):
        _delete(layer.kube, thing)
    yield from _until_none(step, kind, lambda: _all(layer.kube, api_version, kind))


# -- what owns things in the account -------------------------------------------------------------


def _load_balancers(layer: ClusterLayer, step: Step) -> Iterator[Event]:
    """Services and Ingresses with load balancers, whoever made them."""

    def left() -> list[ObjectName]:
        services = [
            _name("v1", "Service", service)
            for service in layer.kube.list("v1", "Service")
            if service["spec"].get("type") == "LoadBalancer"
        ]
        return services + _all(layer.kube, "networking.k8s.io/v1", "Ingress")

    for thing in left():
        _delete(layer.kube, thing)
    yield from _until_none(step, "load balancers", left)


def _volumes(layer: ClusterLayer, step: Step) -> Iterator[Event]:
    """Namespaces of add-ons and users, with all that is in them, then every volume."""
    core = {a.namespace for a in layer.known.values() if _is_last(a)}
    for space in _all(layer.kube, "v1", "Namespace"):
        if space.name not in _KEPT | core:
            _delete(layer.kube, space)
    for api_version, kind in _MAKERS:  # or they would make pods and claims again
        for thing in _all(layer.kube, api_version, kind):
            if thing.namespace == "default":
                _delete(layer.kube, thing)
    for claim in _all(layer.kube, "v1", "PersistentVolumeClaim"):
        _delete(layer.kube, claim)
        _delete_users(layer.kube, claim)

    def left() -> list[ObjectName]:
        return [
            _name("v1", "PersistentVolume", volume)
            for volume in layer.kube.list("v1", "PersistentVolume")
            if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
            and volume["spec"].get("claimRef")
        ]

    yield from _until_none(step, "volumes", left)


def _delete_users(kube: Kube, claim: ObjectName) -> None:
    """A claim that a pod uses stays; where the namespace stays, pods go one by one."""
    if claim.namespace not in _KEPT:
        return  # the namespace goes as a whole
    for pod in list(kube.list("v1", "Pod", claim.namespace)):
        volumes = pod["spec"].get("volumes", ())
        if claim.name in [v.get("persistentVolumeClaim", {}).get("claimName") for v in volumes]:
            _delete(kube, _name("v1", "Pod", pod))


def _nodes(layer: ClusterLayer, step: Step) -> Iterator[Event]:
    """Karpenter's pools, and with them its instances, while Karpenter lives."""
    for pool in _all(layer.kube, "karpenter.sh/v1", "NodePool"):
        _delete(layer.kube, pool)
    # A pod that is not to be disrupted, or has a budget, would keep its node for ever.
    launched = {
        node["metadata"]["name"]
        for node in layer.kube.list("v1", "Node", labels="karpenter.sh/nodepool")
    }
    for pod in list(layer.kube.list("v1", "Pod")) if launched else []:
        if pod["spec"].get("nodeName") in launched and not _is_of_daemon_set(pod):
            _delete(layer.kube, _name("v1", "Pod", pod))
    yield from _until_none(step, "nodes", lambda: _claims(layer))
    yield from _all_gone(layer, step, "karpenter.sh/v1", "NodePool")
    yield from _all_gone(layer, step, "karpenter.k8s.aws/v1", "EC2NodeClass")


def _claims(layer: ClusterLayer) -> list[ObjectName]:
    return _all(layer.kube, "karpenter.sh/v1", "NodeClaim")


def _is_of_daemon_set(pod: Object) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner["kind"] == "DaemonSet" for owner in owners)


def _still_there(left: Sequence[ObjectName]) -> JarkkitError:
    return JarkkitError(
        "JK-ADDON-FAILED",
        f"Karpenter still has {len(left)} instances, so it is not removed: {_named(left)}.",
        "See what holds them (kubectl describe nodeclaims), then run the step again.",
    )


# -- helpers ---------------------------------------------------------------------------------------


def _until_none(step: Step, subject: str, left: Callable[[], list[ObjectName]]) -> Iterator[Event]:
    """Wait until nothing is left; after ten minutes go on with a warning that names it."""
    began = told = monotonic()
    while things := left():
        spent = monotonic() - began
        names = _named(things)
        if spent > _GONE_SECONDS:
            yield _warning(step, subject, f"{subject}: {len(things)} do not go: {names}")
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


def _all(kube: Kube, api_version: str, kind: str) -> list[ObjectName]:
    """Every object of that kind; none where the cluster does not know it."""
    if not kube.knows(api_version, kind):
        return []
    return [_name(api_version, kind, thing) for thing in kube.list(api_version, kind)]


def _named(things: Sequence[ObjectName]) -> str:
    return ", ".join(f"{t.namespace}/{t.name}".lstrip("/") for t in things[:4])


def _warning(step: Step, subject: str, message: str, code: str = "") -> Event:
    return Event(time=now(), step=step, kind="warning", subject=subject, message=message, code=code)


def _delete(kube: Kube, thing: ObjectName) -> None:
    # Its kind may have gone with the release that defined it.
    if kube.knows(thing.api_version, thing.kind):
        kube.delete(thing.api_version, thing.kind, thing.name, thing.namespace)


def _name(api_version: str, kind: str, thing: Object) -> ObjectName:
    meta = thing["metadata"]
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
