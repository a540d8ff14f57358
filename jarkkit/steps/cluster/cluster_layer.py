"""The cluster layer of a deployment: what each enabled add-on consists of, and the clients that
install it.

`installer` installs the add-ons, `uninstaller` deletes them. The add-ons themselves are data
(`jarkkit/catalog/addons/`).
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from jarkkit.catalog.addons import Addon, Chart, Secret
from jarkkit.decisions.addons.immutable_objects import (
    FIXED_KINDS,
    fixed_differences,
    replacement_note,
)
from jarkkit.decisions.addons.templating import render, render_objects
from jarkkit.decisions.cluster.node_capacity import schedulable
from jarkkit.decisions.cluster.readiness import ReplicaStatus, WorkloadKey, all_replica_statuses
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.model.errors import JarkkitError
from jarkkit.model.polling import poll, wait_until
from jarkkit.model.records import AddonState, ObjectName
from jarkkit.ports.charts import ChartStore
from jarkkit.ports.helm import Helm, Release
from jarkkit.ports.kube import Kube
from jarkkit.settings import Settings
from jarkkit.steps.cluster.install_state import InstallState
from jarkkit.steps.cluster.retry import CRD

Object = dict[str, Any]

# Builds the cluster layer from Terraform's outputs.
Connect = Callable[[Mapping[str, Any]], "ClusterLayer"]

# Deleting one of these deletes stored data: only cleanup may do that.
DATA_KINDS = frozenset({"PersistentVolumeClaim", "PersistentVolume"})
_NAMESPACE_DELETION_SECONDS, _POLL_SECONDS = 60.0, 0.5
_OBJECT_DELETION_SECONDS = 60.0
_BCRYPT = re.compile(r"\{bcrypt:([^}]+)\}")
MANAGED_BY = {"app.kubernetes.io/managed-by": "jarkkit"}


def _ignore(_: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class AddonSpec:
    """The desired state of an add-on, with all references rendered.

    Attributes:
        digest: hash of the chart, its archive, the values, objects and secrets.
    """

    addon: Addon
    values: Object
    before: tuple[Object, ...]
    after: tuple[Object, ...]
    archive: Any = None
    real: bool | None = None
    digest: str = ""

    def change_since(self, previous: AddonState | None) -> Literal["install", "change", "none"]:
        """Return what must be done about the add-on, given its record from an earlier run."""
        if previous is None or not previous.digest:
            return "install"
        return "none" if previous.digest == self.digest else "change"

    def record(self, digest: str = "", seconds: float | None = None) -> AddonState:
        """Return the record of this add-on for the deployment's folder."""
        chart = self.addon.chart
        return AddonState(
            namespace=self.addon.namespace,
            release=chart.release if chart else "",
            chart=f"{chart.name} {chart.version}" if chart else "",
            real=self.real,
            digest=digest,
            before=tuple(map(object_name, self.before)),
            after=tuple(map(object_name, self.after)),
            seconds=seconds,
        )


@dataclass(frozen=True)
class ClusterLayer:
    """The clients and facts that the cluster layer works with. Creating one makes no calls.

    Args:
        outputs: Terraform's outputs.
        latest_ami_version: looks up the newest version of the AMIs that Karpenter launches; called
            once, then the version is pinned.
        resolve_secret: resolves a setting that refers to a secret to its value.
    """

    install_state: InstallState
    stack: ResolvedStack
    outputs: Mapping[str, Any]
    kube: Kube
    helm: Helm
    charts: ChartStore
    latest_ami_version: Callable[[], str]
    resolve_secret: Callable[[str], str]

    @property
    def settings(self) -> Settings:
        """The settings of the stack."""
        return self.stack.settings

    # -- desired state -------------------------------------------------------------------------

    @cached_property
    def pinned_ami_version(self) -> str:
        """The AMI version: from the settings, else the pinned one, else the newest one now.

        A pin is valid for one Kubernetes version only, because AMIs contain the kubelet.
        """
        saved, version = self.install_state.load(), self.settings.cluster_version
        pinned = saved.ami_version if saved.cluster_version == version else ""
        return self.settings.ami_version or pinned or self.latest_ami_version()

    @cached_property
    def _context(self) -> Mapping[str, Any]:
        return self.stack.reference_values(self.outputs, self.pinned_ami_version)

    def addon_spec(self, addon: Addon) -> AddonSpec:
        """Return an add-on of the stack, rendered. Raises JK-CHART-MISSING."""
        found = self.charts.find(addon.chart) if addon.chart else None
        values = render(addon.values, self._context)
        before, after = (
            tuple(render_objects(objects, self._context)) for objects in (addon.before, addon.after)
        )
        parts = (
            addon.chart.model_dump() if addon.chart else None,
            (found.real, hashlib.sha256(found.path.read_bytes()).hexdigest()) if found else None,
            values,
            before,
            after,
            [secret.model_dump() for secret in addon.secrets],
        )
        canonical = json.dumps(parts, sort_keys=True)
        return AddonSpec(
            addon=addon,
            values=values,
            before=before,
            after=after,
            archive=found.path if found else None,
            real=found.real if found else None,
            digest=hashlib.sha256(canonical.encode()).hexdigest()[:16],
        )

    # -- actual state --------------------------------------------------------------------------

    def replica_statuses(self) -> dict[WorkloadKey, ReplicaStatus]:
        """Return the replica status of every workload in the cluster."""
        return all_replica_statuses(lambda kind: self.kube.list("apps/v1", kind))

    def releases(self) -> dict[tuple[str, str], Release]:
        """Return the Helm releases by namespace and name."""
        return {(r.namespace, r.name): r for r in self.helm.releases()}

    def schedulable(self) -> frozenset[str]:
        """Return the names of the add-ons that fit on the current nodes."""
        core = [workload for addon, workload in self.stack.workloads if addon.core]
        others = {addon.name: addon.workloads for addon in self.stack.addons if not addon.core}
        return schedulable(list(self.kube.list("v1", "Node")), core, others)

    # -- installing ----------------------------------------------------------------------------

    def pin_ami_version(self) -> None:
        """Save the AMI version before any node is launched with it."""
        self.install_state.pin_ami_version(self.pinned_ami_version, self.settings.cluster_version)

    def install(
        self,
        spec: AddonSpec,
        previous: AddonState | None,
        *,
        release: bool,
        report: Callable[[str], None] = _ignore,
    ) -> None:
        """Apply everything up to and including the Helm release.

        Raises JK-ADDON-FAILED, JK-HELM-…, JK-KUBE-….

        Args:
            previous: the add-on's record from an earlier run.
            release: False when the release is up to date already.
            report: called with what became of an object that had to be made again.
        """
        self._make_namespace(spec.addon.namespace)
        for secret in spec.addon.secrets:
            self._make_secret(secret, spec.addon.namespace)
        for manifest in spec.before:
            self._apply(manifest, report)
        if spec.addon.chart and release:
            self._release(spec, spec.addon.chart, previous)

    def configure(
        self,
        spec: AddonSpec,
        previous: AddonState | None,
        report: Callable[[str], None] = _ignore,
    ) -> None:
        """Apply the custom resources, once the workloads are ready. Delete the objects that are no
        longer part of the add-on."""
        for manifest in spec.after:
            self._apply(manifest, report)
        kept = {*map(object_name, spec.before), *map(object_name, spec.after)}
        past = (*previous.before, *previous.after) if previous else ()
        for obsolete in reversed([name for name in past if name not in kept]):
            if obsolete.kind not in DATA_KINDS and self.kube.serves_kind(
                obsolete.api_version, obsolete.kind
            ):
                self.kube.delete(
                    obsolete.api_version, obsolete.kind, obsolete.name, obsolete.namespace
                )

    def _apply(self, manifest: Object, report: Callable[[str], None]) -> None:
        """Apply an object, or make it again where Kubernetes cannot change it."""
        name = object_name(manifest)
        found = self.kube.get(*_identity(name)) if name.kind in FIXED_KINDS else None
        if found is not None and fixed_differences(found, manifest):
            note = replacement_note(found, manifest, self._bound_volume(found))
            if claim := found.get("spec", {}).get("claimRef"):
                self._delete_and_wait(
                    ObjectName(
                        api_version="v1",
                        kind="PersistentVolumeClaim",
                        name=claim["name"],
                        namespace=claim["namespace"],
                    )
                )
            self._delete_and_wait(name)
            report(note)
        self.kube.apply(manifest)

    def _bound_volume(self, claim: Object) -> Object | None:
        """Return the volume that a claim is bound to; None for an unbound one and other kinds."""
        name = claim.get("spec", {}).get("volumeName", "")
        return self.kube.get("v1", "PersistentVolume", name) if name else None

    def _delete_and_wait(self, name: ObjectName) -> None:
        """Delete an object and wait until it is gone. Raises JK-ADDON-FAILED."""
        self.kube.delete(*_identity(name))
        for _ in poll(_POLL_SECONDS, _OBJECT_DELETION_SECONDS):
            if self.kube.get(*_identity(name)) is None:
                return
        raise JarkkitError(
            "JK-ADDON-FAILED",
            f"{name.kind} {name.name} must be made again, and something still uses it.",
            "End the pods that use it, then deploy again: kubectl describe "
            f"{name.kind.lower()} {name.name}"
            + (f" -n {name.namespace}" if name.namespace else ""),
        )

    def timeout(self, addon: Addon) -> float:
        """Return the seconds within which the add-on's workloads must be ready."""
        return float(self.settings.addon_timeout_seconds or addon.timeout_seconds)

    def _release(self, spec: AddonSpec, chart: Chart, before: AddonState | None) -> None:
        release = (chart.release, spec.addon.namespace)
        timeout = self.timeout(spec.addon)
        if before and None not in (before.real, spec.real) and before.real != spec.real:
            # A stub chart and the real chart have workloads with the same names but different
            # selectors, and selectors are immutable.
            self.helm.uninstall(*release, timeout=timeout)
            self._update_crds(spec, chart)
            self._adopt_crds(spec.addon, chart)
        elif before and (not before.digest or before.chart != spec.record().chart):
            self._update_crds(spec, chart)
        self.helm.apply(*release, spec.archive, spec.values, timeout=timeout)

    def _make_namespace(self, name: str) -> None:
        """Create the namespace. Wait first while one of that name is being deleted."""
        wait_until(
            lambda: self.kube.get("v1", "Namespace", name),
            lambda found: not found or not found["metadata"].get("deletionTimestamp"),
            _POLL_SECONDS,
            _NAMESPACE_DELETION_SECONDS,
        )
        self.kube.create(namespace_manifest(name))

    def _adopt_crds(self, addon: Addon, chart: Chart) -> None:
        """Mark existing CRDs as part of the release.

        CRDs stay when a release is uninstalled. Helm rejects CRDs without its ownership metadata,
        and deleting them would delete all their custom resources.
        """
        ownership = {
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {
                "meta.helm.sh/release-name": chart.release,
                "meta.helm.sh/release-namespace": addon.namespace,
            },
        }
        for resource in addon.definitions:
            name = f"{resource.plural}.{resource.group}"
            if self.kube.get(*CRD, name) is not None:
                self.kube.patch(*CRD, name, {"metadata": ownership})

    def _update_crds(self, spec: AddonSpec, chart: Chart) -> None:
        """Apply the CRDs of another chart version: Helm never updates CRDs from `crds/`."""
        release = (chart.release, spec.addon.namespace)
        for manifest in self.helm.render(spec.archive, *release, spec.values):
            if manifest["kind"] == "CustomResourceDefinition":
                self.kube.apply(manifest)

    def _make_secret(self, secret: Secret, namespace: str) -> None:
        """Create the Secret unless it exists. Generated values never change; values that come from
        a setting are updated."""
        exists = self.kube.get("v1", "Secret", secret.name, namespace) is not None
        if exists and not any(recipe.startswith("setting:") for recipe in secret.data.values()):
            return
        data = secret_data(secret, self.settings, self.resolve_secret)
        if exists:
            updates = {k: v for k, v in data.items() if secret.data[k].startswith("setting:")}
            self.kube.patch("v1", "Secret", secret.name, {"stringData": updates}, namespace)
            return
        self.kube.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": secret.name, "namespace": namespace, "labels": MANAGED_BY},
                "stringData": data,
            }
        )


def _identity(name: ObjectName) -> tuple[str, str, str, str]:
    return name.api_version, name.kind, name.name, name.namespace


def namespace_manifest(name: str) -> Object:
    """Return the manifest of a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def object_name(manifest: Object) -> ObjectName:
    """Return the API version, kind, name and namespace of a manifest."""
    return ObjectName(
        api_version=manifest["apiVersion"],
        kind=manifest["kind"],
        name=manifest["metadata"]["name"],
        namespace=manifest["metadata"].get("namespace", ""),
    )


def secret_data(
    secret: Secret, settings: Settings, resolve: Callable[[str], str]
) -> dict[str, str]:
    """Return the Secret's content. Raises JK-SETTINGS-INVALID where a setting refers to nothing."""
    data: dict[str, str] = {}
    for key, recipe in secret.data.items():
        prefix, _, setting = recipe.partition(":")
        if recipe == "random":
            data[key] = secrets.token_urlsafe(24)
        elif recipe.startswith("="):
            data[key] = _BCRYPT.sub(lambda found: _bcrypt(data[found.group(1)]), recipe[1:])
        elif prefix == "setting":
            data[key] = _of_setting(setting, settings, resolve)
        else:
            raise JarkkitError(
                "JK-ADDON-INVALID",
                f"Secret {secret.name}: {key} is neither random, =TEXT nor setting:NAME.",
                "Fix the YAML file in jarkkit/catalog/addons/.",
            )
    return data


def _of_setting(name: str, settings: Settings, resolve: Callable[[str], str]) -> str:
    reference = str(getattr(settings, name))
    return resolve(reference) if reference else ""


def _bcrypt(text: str) -> str:
    import bcrypt

    return str(bcrypt.hashpw(text.encode(), bcrypt.gensalt()).decode())
