"""A cluster that is a dictionary, a Helm that creates its workloads, and charts of one file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jarkkit.catalog.addons import Addon, Chart
from jarkkit.decisions.stack import ResolvedStack
from jarkkit.ports.charts import LocatedChart
from jarkkit.ports.helm import Release
from jarkkit.ports.workspace import Workspace
from jarkkit.settings import Settings
from jarkkit.steps.cluster.cluster_layer import ClusterLayer
from jarkkit.steps.cluster.install_state import InstallState

Object = dict[str, Any]
Key = tuple[str, str, str]

OUTPUTS: dict[str, Any] = {
    "cluster_name": "demo",
    "cluster_endpoint": "https://127.0.0.1:1",
    "cluster_certificate_authority": "Q0E=",
    "node_instance_profile_name": "demo-node",
    "node_subnet_ids": ["subnet-1"],
    "node_security_group_id": "sg-1",
}


@dataclass
class FakeKube:
    """Objects by kind, namespace and name.

    Attributes:
        calls: the changes, in order: `apply Kind name`, `delete Kind name`.
        stuck: kinds whose objects are never deleted.
        creates_with: by kind, the object that an operator creates when one is applied.
    """

    objects: dict[Key, Object] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    stuck: set[str] = field(default_factory=set)
    creates_with: dict[str, Object] = field(default_factory=dict)

    def version(self) -> str:
        return "v1.36.3"

    def patch(
        self, api_version: str, kind: str, name: str, change: Object, namespace: str = ""
    ) -> None:
        self.calls.append(f"patch {kind} {name}")
        self.objects[kind, namespace, name] |= change

    def serves_kind(self, api_version: str, kind: str) -> bool:
        return True

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        return self.objects.get((kind, namespace, name))

    def list(
        self, api_version: str, kind: str, namespace: str = "", **chosen: str
    ) -> Iterator[Object]:
        found = [o for (k, n, _), o in self.objects.items() if k == kind]
        return iter([o for o in found if namespace in ("", o["metadata"].get("namespace", ""))])

    def apply(self, manifest: Object) -> Object:
        self.calls.append(f"apply {manifest['kind']} {manifest['metadata']['name']}")
        self.put(manifest)
        if created := self.creates_with.get(manifest["kind"]):
            self.put(created)
        return manifest

    def create(self, manifest: Object) -> bool:
        meta = manifest["metadata"]
        if (manifest["kind"], meta.get("namespace", ""), meta["name"]) in self.objects:
            return False
        self.calls.append(f"create {manifest['kind']} {meta['name']}")
        self.put(manifest)
        return True

    def delete(self, api_version: str, kind: str, name: str, namespace: str = "") -> bool:
        exists = (kind, namespace, name) in self.objects
        if exists:
            self.calls.append(f"delete {kind} {name}")
            if kind not in self.stuck:
                del self.objects[kind, namespace, name]
        return exists

    def logs(self, namespace: str, pod: str, container: str = "", **options: Any) -> str:
        return "last words"

    def events(self, namespace: str, name: str) -> tuple[Object, ...]:
        return ()

    def put(self, manifest: Object) -> None:
        meta = manifest["metadata"]
        self.objects[manifest["kind"], meta.get("namespace", ""), meta["name"]] = manifest


@dataclass
class FakeHelm:
    """Every release creates the workloads of its add-on, ready at once.

    Attributes:
        failing: by release, the errors of its next attempts.
        uninstall_errors: by release, the error of its removal.
        never_ready: releases whose workloads do not become ready.
        gate: an installation waits for it.
    """

    kube: FakeKube
    by_release: dict[str, Addon]
    calls: list[str] = field(default_factory=list)
    installed: dict[str, Release] = field(default_factory=dict)
    failing: dict[str, list[Exception]] = field(default_factory=dict)
    uninstall_errors: dict[str, Exception] = field(default_factory=dict)
    never_ready: set[str] = field(default_factory=set)
    gate: threading.Event | None = None
    cancelled: bool = False

    def releases(self) -> tuple[Release, ...]:
        return tuple(self.installed.values())

    def apply(
        self, name: str, namespace: str, chart: Path, values: Object, *, timeout: float
    ) -> Release:
        self.calls.append(f"apply {name}")
        if self.gate is not None:
            self.gate.wait(5)
        if errors := self.failing.get(name):
            raise errors.pop(0)
        for workload in self.by_release[name].workloads:
            if workload.by == "chart":
                self.kube.put(
                    workload_object(namespace, workload, ready=name not in self.never_ready)
                )
        self.installed[name] = Release(name, namespace, name, "1.0.0", "deployed", 1)
        return self.installed[name]

    def render(self, chart: Path, name: str, namespace: str, values: Object) -> list[Object]:
        return [crd(f"mades.{name}")]

    def uninstall(self, name: str, namespace: str, *, timeout: float) -> bool:
        if name in self.uninstall_errors:
            raise self.uninstall_errors[name]
        self.calls.append(f"uninstall {name}")
        self.kube.calls.append(f"uninstall {name}")
        return self.installed.pop(name, None) is not None

    def cancel(self) -> None:
        self.cancelled = True
        if self.gate is not None:
            self.gate.set()


def crd(name: str) -> Object:
    return {"kind": "CustomResourceDefinition", "metadata": {"name": name}}


def workload_object(namespace: str, workload: Any, *, ready: bool = True) -> Object:
    replicas = workload.replicas or 0
    done = replicas if ready else 0
    return {
        "kind": workload.kind,
        "metadata": {"name": workload.name, "namespace": namespace, "generation": 1},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": workload.name}}},
        "status": {
            "observedGeneration": 1,
            "readyReplicas": done,
            "updatedReplicas": done,
            "desiredNumberScheduled": 0,
        },
    }


@dataclass
class FakeCharts:
    """Every chart is the same file.

    Attributes:
        real: whether every chart counts as a real one (not a stub chart).
    """

    path: Path
    real: bool = True

    def find(self, chart: Chart) -> LocatedChart:
        return LocatedChart(self.path, self.real)


def cluster_layer(
    workspace: Workspace,
    addons: tuple[Addon, ...],
    *,
    settings: Settings | None = None,
    all_addons: Mapping[str, Addon] | None = None,
    kube: FakeKube | None = None,
    helm: FakeHelm | None = None,
    resolve_secret: Callable[[str], str] = str,
) -> ClusterLayer:
    """Return a cluster layer on fakes."""
    kube = kube or FakeKube()
    by_name = {addon.name: addon for addon in addons}
    switches = {name: name in by_name for name in {**by_name, **(all_addons or {})}}
    by_name = {**by_name, **{k: v for k, v in (all_addons or {}).items() if k not in by_name}}
    enabled = {"addons": switches, "karpenter": switches.get("karpenter", True)}
    releases = {a.chart.release: a for a in by_name.values() if a.chart}
    archive = workspace.folder / "chart.tgz"
    archive.write_bytes(b"chart")
    return ClusterLayer(
        install_state=InstallState(workspace, OUTPUTS),
        stack=ResolvedStack.from_settings(
            (settings or Settings()).model_copy(update=enabled), by_name
        ),
        outputs=OUTPUTS,
        kube=kube,  # type: ignore[arg-type]
        helm=helm or FakeHelm(kube, releases),  # type: ignore[arg-type]
        charts=FakeCharts(archive),  # type: ignore[arg-type]
        latest_ami_version=lambda: "v20261101",
        resolve_secret=resolve_secret,
    )
