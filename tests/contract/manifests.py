"""Manifests of the tests: small, harmless, and the same for a real cluster and a sandbox.

On a real cluster the container does what the test is about. In the sandbox, where no container
runs, an annotation simulates it.
"""

from __future__ import annotations

from typing import Any

from tests.contract.cluster import SANDBOX_PREFIX, Object

PAUSE = "registry.k8s.io/pause:3.10"
SHELL = "public.ecr.aws/docker/library/busybox:1.37"
MISSING_IMAGE = "localhost:1/none"
SMALL_RESOURCES = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}
TOLERATE_ALL = [{"operator": "Exists"}]


def make_object(kind: str, name: str, api_version: str = "v1", **fields: Any) -> Object:
    """Return an object of any kind."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **fields}


def container(name: str = "app", **fields: Any) -> Object:
    """Return a container that runs until it is stopped."""
    return {"name": name, "image": PAUSE, "resources": SMALL_RESOURCES, **fields}


def shell(script: str, name: str = "app", **fields: Any) -> Object:
    """Return a container that runs a shell script."""
    return container(name, image=SHELL, command=["sh", "-c", script], **fields)


def pod_spec(*containers: Object, **fields: Any) -> Object:
    """Return a pod's spec with a short grace period."""
    return {
        "containers": list(containers) or [container()],
        "terminationGracePeriodSeconds": 1,
        **fields,
    }


def sandbox_annotations(annotations: dict[str, str] | None) -> dict[str, str]:
    """Return annotations that only the sandbox reads."""
    return {f"{SANDBOX_PREFIX}/{key}": value for key, value in (annotations or {}).items()}


def pod(
    name: str, *containers: Object, annotations: dict[str, str] | None = None, **fields: Any
) -> Object:
    """Return a bare pod. `annotations`: what the sandbox simulates."""
    made = make_object("Pod", name, spec=pod_spec(*containers, **fields))
    made["metadata"] |= {"annotations": sandbox_annotations(annotations), "labels": {"app": name}}
    return made


def template(
    name: str, *containers: Object, annotations: dict[str, str] | None = None, **fields: Any
) -> Object:
    """Return the template of a workload's pods."""
    meta = {"labels": {"app": name}, "annotations": sandbox_annotations(annotations)}
    return {"metadata": meta, "spec": pod_spec(*containers, **fields)}


def deployment(name: str, replicas: int = 1, of: Object | None = None, **fields: Any) -> Object:
    """Return a Deployment; by default its pods run until they are stopped."""
    return _workload("Deployment", name, of, replicas=replicas, **fields)


def stateful_set(name: str, replicas: int, of: Object | None = None, **fields: Any) -> Object:
    """Return a StatefulSet."""
    return _workload("StatefulSet", name, of, replicas=replicas, serviceName=name, **fields)


def daemon_set(name: str, of: Object | None = None) -> Object:
    """Return a DaemonSet."""
    return _workload("DaemonSet", name, of)


def _workload(kind: str, name: str, of: Object | None, **fields: Any) -> Object:
    selector = {"matchLabels": {"app": name}}
    spec = {"selector": selector, "template": of or template(name), **fields}
    return make_object(kind, name, "apps/v1", spec=spec)


def job(name: str, of: Object, **fields: Any) -> Object:
    """Return a Job whose containers are not restarted in place."""
    of["spec"]["restartPolicy"] = "Never"
    return make_object("Job", name, "batch/v1", spec={"template": of, **fields})


def claim(name: str, storage_class: str, size: str = "1Gi") -> Object:
    """Return a PersistentVolumeClaim."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": size}},
    }
    return make_object("PersistentVolumeClaim", name, spec=spec)
