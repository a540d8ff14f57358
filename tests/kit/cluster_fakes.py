"""A cluster that is a dictionary, a Helm that makes what it is told, and charts that are a file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jarkkit.addons.catalogue import Addon, Chart
from jarkkit.charts import Found
from jarkkit.cluster.layer import ClusterLayer
from jarkkit.cluster.memory import ClusterMemory
from jarkkit.helm import Release
from jarkkit.settings import Settings
from jarkkit.workspace import Workspace

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
        calls: what was changed, in order: `apply Kind name`, `delete Kind name`.
        stuck: kinds whose objects do not go.
        makes: what an operator makes of a kind, as soon as it is applied.
    """

    objects: dict[Key, Object] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    stuck: set[str] = field(default_factory=set)
    makes: dict[str, Object] = field(default_factory=dict)

    def version(self) -> str:
        return "v1.36.3"

    def patch(
        self, api_version: str, kind: str, name: str, change: Object, namespace: str = ""
    ) -> None:
        self.calls.append(f"patch {kind} {name}")
        self.objects[kind, namespace, name] |= change

    def knows(self, api_version: str, kind: str) -> bool:
        return True

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        return self.objects.get((kind, namespace, name))

    def list(self, _: str, kind: str, namespace: str = "", **chosen: str) -> Iterator[Object]:
        found = [o for (k, n, _), o in self.objects.items() if k == kind]
        return iter([o for o in found if namespace in ("", o["metadata"].get("namespace", ""))])

    def apply(self, thing: Object) -> Object:
        self.calls.append(f"apply {thing['kind']} {thing['metadata']['name']}")
        self.put(thing)
        if made := self.makes.get(thing["kind"]):
            self.put(made)
        return thing

    def create(self, thing: Object) -> bool:
        meta = thing["metadata"]
        if (thing["kind"], meta.get("namespace", ""), meta["name"]) in self.objects:
            return False
        self.calls.append(f"create {thing['kind']} {meta['name']}")
        self.put(thing)
        return True

    def delete(self, api_version: str, kind: str, name: str, namespace: str = "") -> bool:
        there = (kind, namespace, name) in self.objects
        if there:
            self.calls.append(f"delete {kind} {name}")
            if kind not in self.stuck:
                del self.objects[kind, namespace, name]
        return there

    def logs(self, namespace: str, pod: str, container: str = "", **options: Any) -> str:
        return "last words"

    def events(self, namespace: str, name: str) -> tuple[Object, ...]:
        return ()

    def put(self, thing: Object) -> None:
        meta = thing["metadata"]
        self.objects[thing["kind"], meta.get("namespace", ""), meta["name"]] = thing


@dataclass
class FakeHelm:
    """Every release brings the workloads of its add-on, ready at once.

    Attributes:
        failing: by release the errors of its next tries.
        not_removed: by release why it cannot be.
        idle: releases whose workloads do not become ready.
        gate: an installation waits for it.
    """

    kube: FakeKube
    by_release: dict[str, Addon]
    calls: list[str] = field(default_factory=list)
    there: dict[str, Release] = field(default_factory=dict)
    failing: dict[str, list[Exception]] = field(default_factory=dict)
    not_removed: dict[str, Exception] = field(default_factory=dict)
    idle: set[str] = field(default_factory=set)
    gate: threading.Event | None = None
    cancelled: bool = False

    def releases(self) -> tuple[Release, ...]:
        return tuple(self.there.values())

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
                self.kube.put(workload_object(namespace, workload, ready=name not in self.idle))
        self.there[name] = Release(name, namespace, name, "1.0.0", "deployed", 1)
        return self.there[name]

    def render(self, chart: Path, name: str, namespace: str, values: Object) -> list[Object]:
        return [definition(f"mades.{name}")]

    def uninstall(self, name: str, namespace: str, *, timeout: float) -> bool:
        if name in self.not_removed:
            raise self.not_removed[name]
        self.calls.append(f"uninstall {name}")
        self.kube.calls.append(f"uninstall {name}")
        return self.there.pop(name, None) is not None

    def cancel(self) -> None:
        self.cancelled = True
        if self.gate is not None:
            self.gate.set()


def definition(name: str) -> Object:
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
        real: what it says of each.
    """

    path: Path
    real: bool = True

    def find(self, chart: Chart) -> Found:
        return Found(self.path, self.real)


def cluster_layer(
    workspace: Workspace,
    addons: tuple[Addon, ...],
    *,
    settings: Settings | None = None,
    known: Mapping[str, Addon] | None = None,
    kube: FakeKube | None = None,
    helm: FakeHelm | None = None,
    secret: Callable[[str], str] = str,
) -> ClusterLayer:
    """A layer on fakes."""
    kube = kube or FakeKube()
    everything = dict(known or {addon.name: addon for addon in addons})
    releases = {a.chart.release: a for a in everything.values() if a.chart}
    archive = workspace.folder / "chart.tgz"
    archive.write_bytes(b"chart")
    return ClusterLayer(
        memory=ClusterMemory(workspace, OUTPUTS),
        settings=settings or Settings(),
        outputs=OUTPUTS,
        kube=kube,  # type: ignore[arg-type]
        helm=helm or FakeHelm(kube, releases),  # type: ignore[arg-type]
        charts=FakeCharts(archive),  # type: ignore[arg-type]
        ami_version=lambda: "v20261101",
        secret=secret,
        addons=addons,
        known=everything,
    )
