"""What the tests put into a cluster: small, harmless, and the same for a real one and a sandbox.

A container really does what the test is about. In the sandbox, where nothing runs, an annotation
says what that would have been.
"""

from __future__ import annotations

from typing import Any

from tests.contract.cluster import SANDBOX, Object

PAUSE = "registry.k8s.io/pause:3.10"
SHELL = "public.ecr.aws/docker/library/busybox:1.37"
NOWHERE = "localhost:1/none"
SMALL = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}
EVERYTHING = [{"operator": "Exists"}]


def thing(kind: str, name: str, api_version: str = "v1", **fields: Any) -> Object:
    """An object of any kind."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **fields}


def container(name: str = "app", **fields: Any) -> Object:
    """One that runs for ever, without further ado."""
    return {"name": name, "image": PAUSE, "resources": SMALL, **fields}


def shell(script: str, name: str = "app", **fields: Any) -> Object:
    """One that runs a line of shell."""
    return container(name, image=SHELL, command=["sh", "-c", script], **fields)


def pod_spec(*containers: Object, **fields: Any) -> Object:
    """Quick to end."""
    return {
        "containers": list(containers) or [container()],
        "terminationGracePeriodSeconds": 1,
        **fields,
    }


def sandbox_notes(notes: dict[str, str] | None) -> dict[str, str]:
    """Annotations that only the sandbox reads."""
    return {f"{SANDBOX}/{key}": value for key, value in (notes or {}).items()}


def pod(
    name: str, *containers: Object, notes: dict[str, str] | None = None, **fields: Any
) -> Object:
    """A bare pod. `notes`: what the sandbox is to make of it."""
    made = thing("Pod", name, spec=pod_spec(*containers, **fields))
    made["metadata"] |= {"annotations": sandbox_notes(notes), "labels": {"app": name}}
    return made


def template(
    name: str, *containers: Object, notes: dict[str, str] | None = None, **fields: Any
) -> Object:
    """Of a workload's pods."""
    meta = {"labels": {"app": name}, "annotations": sandbox_notes(notes)}
    return {"metadata": meta, "spec": pod_spec(*containers, **fields)}


def deployment(name: str, replicas: int = 1, of: Object | None = None, **fields: Any) -> Object:
    """Of pods that run for ever, unless told otherwise."""
    return _workload("Deployment", name, of, replicas=replicas, **fields)


def stateful_set(name: str, replicas: int, of: Object | None = None, **fields: Any) -> Object:
    """The same with names that stay."""
    return _workload("StatefulSet", name, of, replicas=replicas, serviceName=name, **fields)


def daemon_set(name: str, of: Object | None = None) -> Object:
    """One pod per node."""
    return _workload("DaemonSet", name, of)


def _workload(kind: str, name: str, of: Object | None, **fields: Any) -> Object:
    selector = {"matchLabels": {"app": name}}
    spec = {"selector": selector, "template": of or template(name), **fields}
    return thing(kind, name, "apps/v1", spec=spec)


def job(name: str, of: Object, **fields: Any) -> Object:
    """A Job whose pods are not started again in place."""
    of["spec"]["restartPolicy"] = "Never"
    return thing("Job", name, "batch/v1", spec={"template": of, **fields})


def claim(name: str, storage_class: str, size: str = "1Gi") -> Object:
    """A PersistentVolumeClaim."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": size}},
    }
    return thing("PersistentVolumeClaim", name, spec=spec)
