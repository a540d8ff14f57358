"""EKS add-ons bring their workloads: written down as data, applied as EKS' own field manager.

`addon_manifests/` has a file per add-on, a small but truthful picture of what EKS installs. What a
configuration value changes is said there too: a workload's annotation `configured-by` names the
part of the configuration that is about it (`.` is the whole).
"""

from __future__ import annotations

import ipaddress
import json
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from jarkkit.sandbox.backends import Backends
from jarkkit.sandbox.cluster.api import ApiError, Object
from jarkkit.sandbox.cluster.informer import Informer
from jarkkit.sandbox.clusters import Health
from jarkkit.sandbox.eks.controller import Controller

if TYPE_CHECKING:
    from jarkkit.sandbox.eks.cluster import Cluster

ADDON = "sandbox.jarkkit.io/addon"
_CONFIGURED_BY = "sandbox.jarkkit.io/configured-by"
_REVISION = "sandbox.jarkkit.io/revision"
_FOLDER = Path(__file__).parent / "addon_manifests"
_WORKLOADS = ("/apis/apps/v1/deployments", "/apis/apps/v1/daemonsets")
_AGAIN_SECONDS = 5.0
# What may hold things of others stays when its add-on goes.
_STAYS = ("Namespace", "CustomResourceDefinition")
# Codes and texts are those of AddonIssue:
# https://docs.aws.amazon.com/eks/latest/APIReference/API_AddonIssue.html
UNHEALTHY = (
    "InsufficientNumberOfReplicas: The add-on is unhealthy because it doesn't have the desired "
    "number of replicas."
)
CONFLICT = (
    "ConfigurationConflict: Conflicts found when trying to apply. Will not continue due to "
    "resolve conflicts mode. Conflicts:\n"
)


@dataclass(frozen=True)
class Order:
    """An add-on as the account has it.

    Attributes:
        configuration: JSON or YAML; empty for the defaults.
        conflicts: OVERWRITE, PRESERVE or NONE: what becomes of fields that others have set.
        revision: of the add-on in the account, another one after each change. It is written on the
            workloads, so that a restart does not apply everything anew.
    """

    name: str
    version: str
    configuration: str
    conflicts: str
    revision: str


class Addons(Controller):
    """Keeps every add-on's objects as the account has it, and tells how they do."""

    name = "EKS add-ons"
    follows_account = True
    rest = 0.2

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._rendered: dict[Order, tuple[Object, ...]] = {}
        self._conflicts: dict[Order, str] = {}
        self._trouble: dict[Order, str] = {}
        self._kept: set[Order] = set()

    def watched(self) -> tuple[Informer, ...]:
        """Workloads: how they do, and that they are there."""
        return tuple(self.cluster.informer(path) for path in _WORKLOADS)

    def reconcile(self) -> float | None:
        """Apply what is ordered, delete what is not, tell how all of it does."""
        with self.cluster.read() as aws:
            orders, preserved = _ordered(aws, self.cluster.name)
        there = self._there()
        for order in orders:
            self._try(order, there.get(order.name, []))
        begun = there.keys() | {order.name for order in self._trouble}
        for name in begun - {order.name for order in orders} - preserved:
            self._remove(name)
        there = self._there()
        self.cluster.addons = {o.name: self._health(o, there.get(o.name, [])) for o in orders}
        return _AGAIN_SECONDS if self._trouble else None

    def _there(self) -> dict[str, list[Object]]:
        """The workloads in the cluster by add-on."""
        found: dict[str, list[Object]] = {}
        for path in _WORKLOADS:
            for workload in self.cluster.informer(path).all():
                name = workload["metadata"].get("labels", {}).get(ADDON)
                if name:
                    found.setdefault(name, []).append(workload)
        return found

    def _things(self, order: Order) -> tuple[Object, ...]:
        if order not in self._rendered:
            self._forget(order.name)
            self._rendered[order] = render(order, self._surroundings())
        return self._rendered[order]

    def _forget(self, name: str) -> None:
        """What is known of earlier orders."""
        self._rendered = {o: things for o, things in self._rendered.items() if o.name != name}
        self._conflicts = {o: text for o, text in self._conflicts.items() if o.name != name}
        self._trouble = {o: text for o, text in self._trouble.items() if o.name != name}
        self._kept = {o for o in self._kept if o.name != name}

    def _surroundings(self) -> dict[str, str]:
        services = ipaddress.ip_network(self.cluster.spec.service_cidr)
        return {
            "cluster": self.cluster.name,
            "dns": str(services[10]),
            "registry": f"602401143452.dkr.ecr.{self.cluster.region}.amazonaws.com",
        }

    def _try(self, order: Order, there: list[Object]) -> None:
        """Install it; what the API server refuses, by a webhook say, is tried again later."""
        try:
            self._install(order, there)
        except ApiError as error:
            if error.status == 0:
                raise
            if self._trouble.get(order) != str(error):
                self.cluster.log(f"add-on {order.name}: {error}")
            self._trouble[order] = str(error)
        else:
            self._trouble.pop(order, None)

    def _install(self, order: Order, there: list[Object]) -> None:
        things = self._things(order)
        if order in self._conflicts or self._is_applied(order, there):
            return
        if order.conflicts == "NONE" and (fields := self._disputed(things)):
            self._conflicts[order] = CONFLICT + "\n".join(fields)
            return
        for thing in things:
            self._apply(thing, order)
        self.cluster.log(f"add-on {order.name} {order.version} is applied")

    def _is_applied(self, order: Order, there: list[Object]) -> bool:
        """True when its workloads are there, as of this revision or kept as others want them."""
        whole = len(there) >= sum(map(_is_workload, self._things(order)))
        revisions = {w["metadata"].get("annotations", {}).get(_REVISION) for w in there}
        return whole and (order in self._kept or revisions == {order.revision})

    def _disputed(self, things: Iterable[Object]) -> list[str]:
        """Fields that somebody else has set otherwise, as EKS lists them."""
        found: list[str] = []
        for thing in things:
            try:
                self._patch(thing, force="false", dryRun="All")
            except ApiError as error:
                if error.status == 409:
                    found += conflicts(thing, str(error))
                elif error.status != 404:  # in a namespace that is yet to be made
                    raise
        return found

    def _apply(self, thing: Object, order: Order) -> None:
        try:
            self._patch(thing, force=str(order.conflicts == "OVERWRITE").lower())
        except ApiError as error:
            if error.status != 409:
                raise
            self._kept.add(order)  # to preserve: the whole object stays as it is

    def _patch(self, thing: Object, **query: str) -> None:
        words = "&".join(f"{k}={v}" for k, v in {"fieldManager": "eks", **query}.items())
        self.cluster.api.patch(f"{self.cluster.api.path_of(thing)}?{words}", thing, kind="apply")

    def _remove(self, name: str) -> None:
        """Delete its objects; the workloads, by which it is known to be there, last."""
        for thing in render(Order(name, "any", "", "", ""), self._surroundings()):
            if thing["kind"] not in _STAYS:
                self.cluster.api.delete(self.cluster.api.path_of(thing))
        self._forget(name)
        self.cluster.log(f"add-on {name} is removed")

    def _health(self, order: Order, there: list[Object]) -> Health:
        if order in self._conflicts:
            return Health(ready=False, message=self._conflicts[order], revision=order.revision)
        if order in self._trouble:
            text = f"AdmissionRequestDenied: {self._trouble[order]}"
            return Health(ready=False, message=text, revision=order.revision)
        ready = self._is_applied(order, there) and all(map(is_ready, there))
        return Health(ready, "" if ready else UNHEALTHY, order.revision)


# -- decisions ---------------------------------------------------------------------------------


def render(order: Order, surroundings: Mapping[str, str]) -> tuple[Object, ...]:
    """An add-on's objects, the workloads last. Raises FileNotFoundError for an unknown add-on."""
    text = string.Template((_FOLDER / f"{order.name}.yaml").read_text()).substitute(
        surroundings,
        version=order.version,
        release=order.version.partition("-eksbuild")[0],
    )
    # Through JSON, as YAML's aliases are one and the same object.
    things: list[Object] = json.loads(json.dumps(yaml.safe_load(text)["items"]))
    configuration = yaml.safe_load(order.configuration or "{}")
    for thing in things:
        meta = thing["metadata"]
        meta.setdefault("labels", {})[ADDON] = order.name
        if _is_workload(thing):
            part = meta["annotations"].pop(_CONFIGURED_BY)
            meta["annotations"][_REVISION] = order.revision
            configure(thing, _part_of(configuration, part))
    return tuple(sorted(things, key=_is_workload))


def configure(workload: Object, values: Mapping[str, Any]) -> None:
    """Change a workload as the configuration says, as far as it is about scheduling and size."""
    replicas = values.get("replicaCount", values.get("replicas"))
    if workload["kind"] == "Deployment" and replicas is not None:
        workload["spec"]["replicas"] = replicas
    template = workload["spec"]["template"]
    pod, container = template["spec"], template["spec"]["containers"][0]
    for word in ("affinity", "nodeSelector", "tolerations", "topologySpreadConstraints"):
        if values.get(word) is not None:
            pod[word] = values[word]
    if values.get("resources") is not None:
        container["resources"] = values["resources"]
    for word, place in (("podLabels", "labels"), ("podAnnotations", "annotations")):
        template["metadata"].setdefault(place, {}).update(values.get(word) or {})
    container["env"] = _environment(container.get("env", []), values.get("env") or {})


def _environment(default: list[Object], given: Any) -> list[Object]:
    """Variables by name; a configuration has them as a mapping or as a list."""
    pairs = (
        given if isinstance(given, list) else [{"name": k, "value": v} for k, v in given.items()]
    )
    return list({variable["name"]: variable for variable in (*default, *pairs)}.values())


def is_ready(workload: Object) -> bool:
    """True when as many pods do well as should be there, of what was asked for last."""
    meta, spec, status = workload["metadata"], workload["spec"], workload.get("status", {})
    if status.get("observedGeneration", 0) < meta["generation"]:
        return False
    if "replicas" in spec:  # a Deployment: what a list contains does not say its kind
        return bool(status.get("availableReplicas", 0) >= spec["replicas"])
    return bool(status["numberReady"] >= status["desiredNumberScheduled"])


def conflicts(thing: Object, message: str) -> list[str]:
    """The fields of an object that the API server says others have set, as EKS words them."""
    group = thing["apiVersion"].rpartition("/")[0]
    kind = f"{thing['kind']}.{group}" if group else thing["kind"]
    fields = re.findall(r"(?:- |: )(\.\S.*)", message)
    return [f"{kind} {thing['metadata']['name']} - {field}" for field in fields]


def _part_of(configuration: Any, path: str) -> Mapping[str, Any]:
    """The part at a dotted path; `.` is the whole, and what is not there is empty."""
    part = configuration
    for word in filter(None, path.split(".")):
        part = part.get(word) if isinstance(part, dict) else None
    return part if isinstance(part, dict) else {}


def _is_workload(thing: Object) -> bool:
    return thing["kind"] in ("Deployment", "DaemonSet")


def _ordered(aws: Backends, cluster: str) -> tuple[list[Order], set[str]]:
    """What is to be there, and what was left behind on purpose."""
    extras = aws.eks.extras.get(cluster)
    if extras is None:
        return [], set()
    orders = [
        Order(
            name=addon.addon_name,
            version=addon.addon_version,
            configuration=addon.configuration_values or "",
            conflicts=addon.resolve_conflicts,
            revision=addon.revision,
        )
        for addon in extras.addons.values()
        if addon.status != "DELETING"
    ]
    return orders, set(extras.preserved)
