"""Makes a volume of the default storage class, with a pod that uses it, and takes both away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from jarkkit.checks import Check
from jarkkit.clock import monotonic
from jarkkit.cluster.pod_inquiry import inquire_pod
from jarkkit.kube import Kube

Object = dict[str, Any]

NAMESPACE = "jarkkit-verify"
_NAME = "probe"
_TITLE = "A volume can be made and used"
_IMAGE = "registry.k8s.io/pause:3.10.1"
_PATIENCE_SECONDS = 240.0
_LOOK_SECONDS = 0.5


def probe_volume(kube: Kube, sleep: Callable[[float], None] = time.sleep) -> Check:
    """Try it. Whatever happens, what was made is deleted again. Raises JK-KUBE-…"""
    began = monotonic()
    try:
        for thing in objects():
            kube.apply(thing)
        pod = _started(kube, sleep)
        seconds = monotonic() - began
        if pod is None or pod.get("status", {}).get("phase") != "Running":
            return _failed(kube, pod)
        return Check(name=_TITLE, status="pass", found=f"after {seconds:.0f} s", needed="yes")
    finally:
        _remove(kube, sleep)


def objects() -> tuple[Object, ...]:
    """What is made, in this order."""
    place = {"name": _NAME, "namespace": NAMESPACE, "labels": {"app": "jarkkit-verify"}}
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
            "metadata": place,
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": place,
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
                "volumes": [volume],
            },
        },
    )


def _started(kube: Kube, sleep: Callable[[float], None]) -> Object | None:
    """The pod as soon as it runs, or as it is when patience ends."""
    until = monotonic() + _PATIENCE_SECONDS
    while True:
        pod = kube.get("v1", "Pod", _NAME, NAMESPACE)
        if pod is None or pod.get("status", {}).get("phase") == "Running" or monotonic() > until:
            return pod
        sleep(_LOOK_SECONDS)


def _failed(kube: Kube, pod: Object | None) -> Check:
    wrong = inquire_pod(kube, pod) if pod else None
    return Check(
        name=_TITLE,
        status="fail",
        found=f"not within {_PATIENCE_SECONDS:.0f} s",
        needed="yes",
        why=f"{wrong.message}. {wrong.evidence}".strip() if wrong else "",
        fix=wrong.fix if wrong else "Is the EBS CSI driver ready? Look at kube-system above.",
        code=wrong.code if wrong else "JK-VERIFY-FAILED",
    )


def _remove(kube: Kube, sleep: Callable[[float], None]) -> None:
    """Pod and claim before their namespace, so that the volume goes in order."""
    until = monotonic() + _PATIENCE_SECONDS
    try:
        for kind in ("Pod", "PersistentVolumeClaim"):
            kube.delete("v1", kind, _NAME, NAMESPACE)
            while kube.get("v1", kind, _NAME, NAMESPACE) is not None and monotonic() < until:
                sleep(_LOOK_SECONDS)
    finally:
        kube.delete("v1", "Namespace", NAMESPACE)
