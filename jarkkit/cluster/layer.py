"""The cluster layer of a deployment: what each chosen add-on consists of, and the ports to install
it through.

`installer` decides what happens when; `removal` takes it away again. What an add-on is, is data
(`addons`).
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jarkkit.addons import choice
from jarkkit.addons.catalogue import Addon, Chart, Secret, Workload, catalogue
from jarkkit.addons.words import fill, fill_objects, words
from jarkkit.charts import Charts
from jarkkit.clock import monotonic
from jarkkit.cluster.memory import ClusterMemory
from jarkkit.cluster.readiness import Key, Standing, all_standings
from jarkkit.cluster.room import fitting
from jarkkit.errors import JarkkitError
from jarkkit.helm import Helm, Release
from jarkkit.kube import Kube
from jarkkit.records import Installed, ObjectName
from jarkkit.settings import Settings

Object = dict[str, Any]

# Makes the cluster layer from Terraform's outputs.
Connect = Callable[[Mapping[str, Any]], "ClusterLayer"]

# Deleting one of these deletes what somebody has stored: that is for cleanup alone.
DATA = frozenset({"PersistentVolumeClaim", "PersistentVolume"})
_DEFINITION = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
_GONE_SECONDS, _LOOK_SECONDS = 60.0, 0.5
_HASHED = re.compile(r"\{bcrypt:([^}]+)\}")
MANAGED_BY = {"app.kubernetes.io/managed-by": "jarkkit"}


@dataclass(frozen=True)
class Wanted:
    """An add-on as these settings want it.

    Attributes:
        digest: of everything below.
    """

    addon: Addon
    values: Object
    secrets: tuple[Secret, ...]
    before: tuple[Object, ...]
    after: tuple[Object, ...]
    workloads: tuple[Workload, ...]
    archive: Any = None
    real: bool | None = None
    digest: str = ""

    def record(self, digest: str = "", seconds: float | None = None) -> Installed:
        """What is written down about it."""
        chart = self.addon.chart
        return Installed(
            namespace=self.addon.namespace,
            release=chart.release if chart else "",
            chart=f"{chart.name} {chart.version}" if chart else "",
            real=self.real,
            digest=digest,
            before=tuple(map(name_of, self.before)),
            after=tuple(map(name_of, self.after)),
            seconds=seconds,
        )


@dataclass(frozen=True)
class ClusterLayer:
    """The ports and facts that the cluster layer works with. Making one calls nobody.

    Args:
        outputs: Terraform's.
        ami_version: of the machine images that Karpenter launches; asked once, then pinned.
        secret: what a setting that refers to a secret stands for.
        addons: those that are switched on.
        known: all that the kit has.
    """

    memory: ClusterMemory
    settings: Settings
    outputs: Mapping[str, Any]
    kube: Kube
    helm: Helm
    charts: Charts
    ami_version: Callable[[], str]
    secret: Callable[[str], str]
    addons: tuple[Addon, ...]
    known: Mapping[str, Addon] = field(default_factory=catalogue)

    # -- what there should be ------------------------------------------------------------------

    @cached_property
    def images(self) -> str:
        """The version of machine images: as set, else as pinned, else the newest there is now.

        A pin is for one version of Kubernetes: images have it in them.
        """
        saved, version = self.memory.load(), self.settings.cluster_version
        pinned = saved.ami_version if saved.cluster_version == version else ""
        return self.settings.ami_version or pinned or self.ami_version()

    @cached_property
    def _meaning(self) -> Mapping[str, Any]:
        return words(self.settings, self.outputs, self.images)

    def wanted(self, addon: Addon) -> Wanted:
        """The add-on with its values and objects filled in. Raises JK-CHART-MISSING."""
        found = self.charts.find(addon.chart) if addon.chart else None
        values = fill(choice.values(addon, self.settings), self._meaning)
        before, after = (
            tuple(fill_objects(choice.objects(addon, self.settings, moment), self._meaning))
            for moment in ("before", "after")
        )
        made = choice.secrets(addon, self.settings)
        parts = (
            addon.chart.model_dump() if addon.chart else None,
            (found.real, hashlib.sha256(found.path.read_bytes()).hexdigest()) if found else None,
            values,
            before,
            after,
            [secret.model_dump() for secret in made],
        )
        canonical = json.dumps(parts, sort_keys=True)
        return Wanted(
            addon=addon,
            values=values,
            secrets=made,
            before=before,
            after=after,
            workloads=choice.workloads(addon, self.settings),
            archive=found.path if found else None,
            real=found.real if found else None,
            digest=hashlib.sha256(canonical.encode()).hexdigest()[:16],
        )

    # -- what there is -------------------------------------------------------------------------

    def standings(self) -> dict[Key, Standing]:
        """Every workload of the cluster."""
        return all_standings(lambda kind: self.kube.list("apps/v1", kind))

    def releases(self) -> dict[tuple[str, str], Release]:
        """Helm's releases by namespace and name."""
        return {(r.namespace, r.name): r for r in self.helm.releases()}

    def fitting(self) -> frozenset[str]:
        """Names of the add-ons that have room on the nodes that are there."""
        workloads = {a.name: choice.workloads(a, self.settings) for a in self.addons}
        core = [w for a in self.addons if a.core for w in workloads[a.name]]
        others = {a.name: workloads[a.name] for a in self.addons if not a.core}
        return fitting(list(self.kube.list("v1", "Node")), core, others)

    # -- installing ----------------------------------------------------------------------------

    def pin(self) -> None:
        """Write the image version down, before nodes are launched with it."""
        self.memory.pin(self.images, self.settings.cluster_version)

    def install(self, wanted: Wanted, before: Installed | None, *, release: bool) -> None:
        """Everything up to the release; with `release` false that is as wanted already.

        Raises JK-HELM-…, JK-KUBE-….

        Args:
            before: what was known of it.
        """
        self._make_namespace(wanted.addon.namespace)
        for secret in wanted.secrets:
            self._make_secret(secret, wanted.addon.namespace)
        for thing in wanted.before:
            self.kube.apply(thing)
        if wanted.addon.chart and release:
            self._release(wanted, wanted.addon.chart, before)

    def configure(self, wanted: Wanted, before: Installed | None) -> None:
        """What comes when the workloads are ready: its custom resources. Those that are no longer
        wanted go."""
        for thing in wanted.after:
            self.kube.apply(thing)
        kept = {*map(name_of, wanted.before), *map(name_of, wanted.after)}
        past = (*before.before, *before.after) if before else ()
        for gone in reversed([thing for thing in past if thing not in kept]):
            if gone.kind not in DATA and self.kube.knows(gone.api_version, gone.kind):
                self.kube.delete(gone.api_version, gone.kind, gone.name, gone.namespace)

    def patience(self, addon: Addon) -> float:
        """Seconds until its workloads must be ready."""
        return float(self.settings.addon_timeout_seconds or addon.timeout_seconds)

    def _release(self, wanted: Wanted, chart: Chart, before: Installed | None) -> None:
        where = (chart.release, wanted.addon.namespace)
        if before and None not in (before.real, wanted.real) and before.real != wanted.real:
            # A stand-in and the real chart have workloads of the same names with other selectors,
            # which cannot be changed.
            self.helm.uninstall(*where, timeout=self.patience(wanted.addon))
            self._renew_definitions(wanted, chart)
            self._take_over_definitions(wanted.addon, chart)
        elif before and (not before.digest or before.chart != wanted.record().chart):
            self._renew_definitions(wanted, chart)
        self.helm.apply(*where, wanted.archive, wanted.values, timeout=self.patience(wanted.addon))

    def _make_namespace(self, name: str) -> None:
        """Make it; one that is going away is waited for."""
        until = monotonic() + _GONE_SECONDS
        while monotonic() < until:
            found = self.kube.get("v1", "Namespace", name)
            if found is None or not found["metadata"].get("deletionTimestamp"):
                break
            time.sleep(_LOOK_SECONDS)
        self.kube.create(namespace(name))

    def _take_over_definitions(self, addon: Addon, chart: Chart) -> None:
        """Definitions stay when a release goes. Helm refuses those that are not marked as its own,
        and to delete them would delete what was made with them."""
        marks = {
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {
                "meta.helm.sh/release-name": chart.release,
                "meta.helm.sh/release-namespace": addon.namespace,
            },
        }
        for definition in addon.definitions:
            name = f"{definition.plural}.{definition.group}"
            if self.kube.get(*_DEFINITION, name) is not None:
                self.kube.patch(*_DEFINITION, name, {"metadata": marks})

    def _renew_definitions(self, wanted: Wanted, chart: Chart) -> None:
        """Another version of a chart: Helm never changes what it has once made from `crds/`."""
        place = (chart.release, wanted.addon.namespace)
        for thing in self.helm.render(wanted.archive, *place, wanted.values):
            if thing["kind"] == "CustomResourceDefinition":
                self.kube.apply(thing)

    def _make_secret(self, secret: Secret, where: str) -> None:
        """Make it unless it is there. What is generated stays as it is; what a setting refers to
        may have changed."""
        there = self.kube.get("v1", "Secret", secret.name, where) is not None
        if there and not any(recipe.startswith("setting:") for recipe in secret.data.values()):
            return
        data = secret_data(secret, self.settings, self.secret)
        if there:
            named = {k: v for k, v in data.items() if secret.data[k].startswith("setting:")}
            self.kube.patch("v1", "Secret", secret.name, {"stringData": named}, where)
            return
        self.kube.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": secret.name, "namespace": where, "labels": MANAGED_BY},
                "stringData": data,
            }
        )


def namespace(name: str) -> Object:
    """A namespace of the kit's."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def name_of(thing: Object) -> ObjectName:
    """Which object it is."""
    return ObjectName(
        api_version=thing["apiVersion"],
        kind=thing["kind"],
        name=thing["metadata"]["name"],
        namespace=thing["metadata"].get("namespace", ""),
    )


def secret_data(
    secret: Secret, settings: Settings, resolve: Callable[[str], str]
) -> dict[str, str]:
    """The Secret's content. Raises JK-SETTINGS-INVALID where a setting refers to nothing."""
    data: dict[str, str] = {}
    for key, recipe in secret.data.items():
        word, _, rest = recipe.partition(":")
        if recipe == "random":
            data[key] = secrets.token_urlsafe(24)
        elif recipe.startswith("="):
            data[key] = _HASHED.sub(lambda found: _bcrypt(data[found.group(1)]), recipe[1:])
        elif word == "setting":
            data[key] = _of_setting(rest, settings, resolve)
        else:
            raise JarkkitError(
                "JK-ADDON-INVALID",
                f"Secret {secret.name}: {key} is neither random, =TEXT nor setting:NAME.",
                "Correct the file in jarkkit/addons/catalog/.",
            )
    return data


def _of_setting(name: str, settings: Settings, resolve: Callable[[str], str]) -> str:
    reference = str(getattr(settings, name))
    return resolve(reference) if reference else ""


def _bcrypt(text: str) -> str:
    import bcrypt

    return str(bcrypt.hashpw(text.encode(), bcrypt.gensalt()).decode())
