"""Installs the workloads of EKS add-ons from manifests, with EKS' own field manager.

`addon_manifests/` has a file per add-on, a small but faithful version of what EKS installs. A
workload's annotation `configured-by` names the part of the add-on's configuration that applies to
the workload (`.` is all of it).
"""

from __future__ import annotations

import ipaddress
import json
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jarkkit.sandbox.account_backends import Backends
from jarkkit.sandbox.cluster_host import AddonHealth
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.controllers.cluster_context import ClusterContext
from jarkkit.sandbox.kubernetes.api import ApiError, Object
from jarkkit.sandbox.kubernetes.informer import Informer

ADDON_LABEL = "sandbox.jarkkit.io/addon"
_CONFIGURED_BY = "sandbox.jarkkit.io/configured-by"
_REVISION = "sandbox.jarkkit.io/revision"
_FOLDER = Path(__file__).parent / "addon_manifests"
_WORKLOADS = ("/apis/apps/v1/deployments", "/apis/apps/v1/daemonsets")
_AGAIN_SECONDS = 5.0
# These kinds may contain objects of others, so they stay when their add-on is deleted.
_STAYS = ("Namespace", "CustomResourceDefinition")
# Codes and texts are those of AddonIssue:
# https://docs.aws.amazon.com/eks/latest/APIReference/API_AddonIssue.html
UNHEALTHY_MESSAGE = (
    "InsufficientNumberOfReplicas: The add-on is unhealthy because it doesn't have the desired "
    "number of replicas."
)
CONFLICT_MESSAGE = (
    "ConfigurationConflict: Conflicts found when trying to apply. Will not continue due to "
    "resolve conflicts mode. Conflicts:\n"
)


@dataclass(frozen=True)
class DesiredAddon:
    """The desired state of an add-on, from the account.

    Attributes:
        configuration: JSON or YAML; empty for the defaults.
        resolve_conflicts: what to do about fields that others have set: OVERWRITE, PRESERVE or
            NONE.
        revision: of the add-on in the account; each change gives it a new one. Workloads carry it
            as an annotation, so that a restart does not apply everything again.
    """

    name: str
    version: str
    configuration: str
    resolve_conflicts: str
    revision: str


class AddonController(Controller):
    """Reconciles every add-on's objects with the account, and reports their health."""

    name = "EKS add-ons"
    follows_account = True
    rest = 0.2

    def __init__(self, cluster: ClusterContext) -> None:
        super().__init__(cluster)
        self._rendered: dict[DesiredAddon, tuple[Object, ...]] = {}
        self._conflicts: dict[DesiredAddon, str] = {}
        self._errors: dict[DesiredAddon, str] = {}
        self._preserved: set[DesiredAddon] = set()

    def watched(self) -> tuple[Informer, ...]:
        """Return the informers of workloads."""
        return tuple(self.cluster.informer(path) for path in _WORKLOADS)

    def reconcile(self) -> float | None:
        """Apply the account's add-ons, delete the others, report the health of all."""
        with self.cluster.read_account() as aws:
            addons, preserved = _desired_addons(aws, self.cluster.name)
        there = self._there()
        for addon in addons:
            self._try(addon, there.get(addon.name, []))
        begun = there.keys() | {addon.name for addon in self._errors}
        for name in begun - {addon.name for addon in addons} - preserved:
            self._remove(name)
        there = self._there()
        self.cluster.addon_health = {o.name: self._health(o, there.get(o.name, [])) for o in addons}
        return _AGAIN_SECONDS if self._errors else None

    def _there(self) -> dict[str, list[Object]]:
        """Return the cluster's workloads by add-on."""
        found: dict[str, list[Object]] = {}
        for path in _WORKLOADS:
            for workload in self.cluster.informer(path).all():
                name = workload["metadata"].get("labels", {}).get(ADDON_LABEL)
                if name:
                    found.setdefault(name, []).append(workload)
        return found

    def _manifests(self, addon: DesiredAddon) -> tuple[Object, ...]:
        if addon not in self._rendered:
            self._forget(addon.name)
            self._rendered[addon] = render(addon, self._variables())
        return self._rendered[addon]

    def _forget(self, name: str) -> None:
        """Forget everything about earlier revisions of an add-on."""
        self._rendered = {o: found for o, found in self._rendered.items() if o.name != name}
        self._conflicts = {o: text for o, text in self._conflicts.items() if o.name != name}
        self._errors = {o: text for o, text in self._errors.items() if o.name != name}
        self._preserved = {o for o in self._preserved if o.name != name}

    def _variables(self) -> dict[str, str]:
        services = ipaddress.ip_network(self.cluster.spec.service_cidr)
        return {
            "cluster": self.cluster.name,
            "dns": str(services[10]),
            "registry": f"602401143452.dkr.ecr.{self.cluster.region}.amazonaws.com",
        }

    def _try(self, addon: DesiredAddon, there: list[Object]) -> None:
        """Install an add-on; retry later what the API server rejects, for example by a webhook."""
        try:
            self._install(addon, there)
        except ApiError as error:
            if error.status == 0:
                raise
            if self._errors.get(addon) != str(error):
                self.cluster.log(f"add-on {addon.name}: {error}")
            self._errors[addon] = str(error)
        else:
            self._errors.pop(addon, None)

    def _install(self, addon: DesiredAddon, there: list[Object]) -> None:
        manifests = self._manifests(addon)
        if addon in self._conflicts or self._is_applied(addon, there):
            return
        if addon.resolve_conflicts == "NONE" and (fields := self._disputed(manifests)):
            self._conflicts[addon] = CONFLICT_MESSAGE + "\n".join(fields)
            return
        for manifest in manifests:
            self._apply(manifest, addon)
        self.cluster.log(f"applied add-on {addon.name} {addon.version}")

    def _is_applied(self, addon: DesiredAddon, there: list[Object]) -> bool:
        """Return True when its workloads exist, of this revision or preserved with changes."""
        whole = len(there) >= sum(map(_is_workload, self._manifests(addon)))
        revisions = {w["metadata"].get("annotations", {}).get(_REVISION) for w in there}
        return whole and (addon in self._preserved or revisions == {addon.revision})

    def _disputed(self, manifests: Iterable[Object]) -> list[str]:
        """Return the fields that another manager has set to other values, as EKS lists them."""
        found: list[str] = []
        for manifest in manifests:
            try:
                self._patch(manifest, force="false", dryRun="All")
            except ApiError as error:
                if error.status == 409:
                    found += conflicting_fields(manifest, str(error))
                elif error.status != 404:  # in a namespace that does not exist yet
                    raise
        return found

    def _apply(self, manifest: Object, addon: DesiredAddon) -> None:
        try:
            self._patch(manifest, force=str(addon.resolve_conflicts == "OVERWRITE").lower())
        except ApiError as error:
            if error.status != 409:
                raise
            self._preserved.add(addon)  # PRESERVE: leave the whole object unchanged

    def _patch(self, manifest: Object, **query: str) -> None:
        words = "&".join(f"{k}={v}" for k, v in {"fieldManager": "eks", **query}.items())
        self.cluster.api.patch(
            f"{self.cluster.api.path_of(manifest)}?{words}", manifest, kind="apply"
        )

    def _remove(self, name: str) -> None:
        """Delete its objects; the workloads last, because they show that the add-on exists."""
        for manifest in render(DesiredAddon(name, "any", "", "", ""), self._variables()):
            if manifest["kind"] not in _STAYS:
                self.cluster.api.delete(self.cluster.api.path_of(manifest))
        self._forget(name)
        self.cluster.log(f"removed add-on {name}")

    def _health(self, addon: DesiredAddon, there: list[Object]) -> AddonHealth:
        if addon in self._conflicts:
            return AddonHealth(ready=False, message=self._conflicts[addon], revision=addon.revision)
        if addon in self._errors:
            text = f"AdmissionRequestDenied: {self._errors[addon]}"
            return AddonHealth(ready=False, message=text, revision=addon.revision)
        ready = self._is_applied(addon, there) and all(map(is_ready, there))
        return AddonHealth(ready, "" if ready else UNHEALTHY_MESSAGE, addon.revision)


# -- decisions ---------------------------------------------------------------------------------


def render(addon: DesiredAddon, variables: Mapping[str, str]) -> tuple[Object, ...]:
    """Return an add-on's manifests, workloads last. Raises FileNotFoundError for an unknown one."""
    configuration = yaml.safe_load(addon.configuration or "{}")
    text = string.Template((_FOLDER / f"{addon.name}.yaml").read_text()).substitute(
        variables,
        version=addon.version,
        release=addon.version.partition("-eksbuild")[0],
        network_policies=configuration.get("enableNetworkPolicy", "false"),
    )
    # Through JSON, because YAML aliases are one shared object.
    manifests: list[Object] = json.loads(json.dumps(yaml.safe_load(text)["items"]))
    for manifest in manifests:
        meta = manifest["metadata"]
        meta.setdefault("labels", {})[ADDON_LABEL] = addon.name
        if _is_workload(manifest):
            part = meta["annotations"].pop(_CONFIGURED_BY)
            meta["annotations"][_REVISION] = addon.revision
            configure(manifest, _part_of(configuration, part))
    return tuple(sorted(manifests, key=_is_workload))


def configure(workload: Object, values: Mapping[str, Any]) -> None:
    """Apply the parts of the configuration that concern scheduling and size to a workload."""
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
    for word, key in (("podLabels", "labels"), ("podAnnotations", "annotations")):
        template["metadata"].setdefault(key, {}).update(values.get(word) or {})
    container["env"] = _environment(container.get("env", []), values.get("env") or {})
    if tags := values.get("extraVolumeTags"):  # the EBS CSI driver's
        pairs = ",".join(f"{key}={value}" for key, value in sorted(tags.items()))
        container["args"] = [*container.get("args", []), f"--extra-tags={pairs}"]


def _environment(default: list[Object], given: Any) -> list[Object]:
    """Merge variables by name; a configuration has them as a mapping or as a list."""
    pairs = (
        given if isinstance(given, list) else [{"name": k, "value": v} for k, v in given.items()]
    )
    return list({variable["name"]: variable for variable in (*default, *pairs)}.values())


def is_ready(workload: Object) -> bool:
    """Return True when all desired pods of the latest generation are ready."""
    meta, spec, status = workload["metadata"], workload["spec"], workload.get("status", {})
    if status.get("observedGeneration", 0) < meta["generation"]:
        return False
    if "replicas" in spec:  # a Deployment: items of a list have no kind
        return bool(status.get("availableReplicas", 0) >= spec["replicas"])
    return bool(status["numberReady"] >= status["desiredNumberScheduled"])


def conflicting_fields(manifest: Object, message: str) -> list[str]:
    """Return the conflicting fields in an API server's error, in the wording of EKS."""
    group = manifest["apiVersion"].rpartition("/")[0]
    kind = f"{manifest['kind']}.{group}" if group else manifest["kind"]
    fields = re.findall(r"(?:- |: )(\.\S.*)", message)
    return [f"{kind} {manifest['metadata']['name']} - {field}" for field in fields]


def _part_of(configuration: Any, path: str) -> Mapping[str, Any]:
    """Return the part at a dotted path; `.` is the whole, a missing part is empty."""
    part = configuration
    for word in filter(None, path.split(".")):
        part = part.get(word) if isinstance(part, dict) else None
    return part if isinstance(part, dict) else {}


def _is_workload(manifest: Object) -> bool:
    return manifest["kind"] in ("Deployment", "DaemonSet")


def _desired_addons(aws: Backends, cluster: str) -> tuple[list[DesiredAddon], set[str]]:
    """Return the desired add-ons, and names of deleted add-ons whose objects are preserved."""
    extras = aws.eks.extras.get(cluster)
    if extras is None:
        return [], set()
    addons = [
        DesiredAddon(
            name=addon.addon_name,
            version=addon.addon_version,
            configuration=addon.configuration_values or "",
            resolve_conflicts=addon.resolve_conflicts,
            revision=addon.revision,
        )
        for addon in extras.addons.values()
        if addon.status != "DELETING"
    ]
    return addons, set(extras.preserved)
