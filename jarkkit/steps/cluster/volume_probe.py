"""Creates a volume of the default storage class and a pod that uses it, then deletes both."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from jarkkit.model.checks import Check
from jarkkit.model.clock import monotonic
from jarkkit.model.polling import poll, wait_until
from jarkkit.ports.kube import Kube
from jarkkit.steps.cluster.pod_diagnosis import diagnose_pod

Object = dict[str, Any]

NAMESPACE = "jarkkit-verify"
_NAME = "probe"
_TITLE = "A volume can be created and used"
_IMAGE = "registry.k8s.io/pause:3.10.1"
_TIMEOUT_SECONDS = 240.0
_POLL_SECONDS = 0.5


def probe_volume(kube: Kube, sleep: Callable[[float], None] = time.sleep) -> Check:
    """Run the probe, and delete its objects in any case. Raises JK-KUBE-…"""
    began = monotonic()
    try:
        for manifest in probe_objects():
            kube.apply(manifest)
        pod = _started(kube, sleep)
        seconds = monotonic() - began
        if pod is None or pod.get("status", {}).get("phase") != "Running":
            return _failed(kube, pod)
        return Check(name=_TITLE, status="pass", found=f"after {seconds:.0f} s", needed="yes")
    finally:
        _remove(kube, sleep)


def probe_objects() -> tuple[Object, ...]:
    """Return the manifests to apply, in this order."""
    metadata = {"name": _NAME, "namespace": NAMESPACE, "labels": {"app": "jarkkit-verify"}}
    container = {
        "name": "holds",
        "image": _IMAGE,
        "volumeMounts": [{"name": "volume", "mountPath": "/volume"}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}},
    }
    volume = {"name": "volume", "persistentVolumeClaim": {"claimName": _NAME}}
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
                "volumes": [volume],
            },
        },
    )


def _started(kube: Kube, sleep: Callable[[float], None]) -> Object | None:
    """Return the pod as soon as it runs, or as it is after the timeout."""
    return wait_until(
        lambda: kube.get("v1", "Pod", _NAME, NAMESPACE),
        lambda pod: pod is None or pod.get("status", {}).get("phase") == "Running",
        _POLL_SECONDS,
        _TIMEOUT_SECONDS,
        sleep=sleep,
    )


def _failed(kube: Kube, pod: Object | None) -> Check:
    failure = diagnose_pod(kube, pod) if pod else None
    return Check(
        name=_TITLE,
        status="fail",
        found=f"not within {_TIMEOUT_SECONDS:.0f} s",
        needed="yes",
        why=f"{failure.message}. {failure.evidence}".strip() if failure else "",
        fix=failure.fix
        if failure
        else "Check that the EBS CSI driver is ready: see kube-system above.",
        code=failure.code if failure else "JK-VERIFY-FAILED",
    )


def _remove(kube: Kube, sleep: Callable[[float], None]) -> None:
    """Delete pod and claim before their namespace, so that the volume is detached and deleted."""
    until = monotonic() + _TIMEOUT_SECONDS
    try:
        for kind in ("Pod", "PersistentVolumeClaim"):
            kube.delete("v1", kind, _NAME, NAMESPACE)
            for _ in poll(_POLL_SECONDS, until - monotonic(), sleep=sleep):
                if kube.get("v1", kind, _NAME, NAMESPACE) is None:
                    break
    finally:
        kube.delete("v1", "Namespace", NAMESPACE)
