"""Small questions that several controllers ask of Kubernetes objects."""

from __future__ import annotations

import sys

from jarkkit.sandbox.cluster.api import Object

PODS = "/api/v1/pods"
NODES = "/api/v1/nodes"


def is_ready(pod: Object) -> bool:
    """True for a pod that runs, is Ready and is not being deleted."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )


def without_managers(thing: Object) -> Object:
    """An object without the record of who set which field."""
    thing["metadata"].pop("managedFields", None)
    return thing


def slim_pod(pod: Object) -> Object:
    """What controllers ask of a pod; ten thousand whole ones would fill the memory.

    Of the conditions that is Ready alone: names and values in JSON are strings of their own in each
    pod, so every field counts.
    """
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    kept = ("name", "namespace", "uid", "labels", "annotations", "deletionTimestamp")
    return {
        "metadata": {name: meta[name] for name in kept if name in meta},
        "spec": {
            "nodeName": spec.get("nodeName", ""),
            "serviceAccountName": spec.get("serviceAccountName", "default"),
            "containers": [
                {
                    "name": container["name"],
                    "image": container.get("image", ""),
                    "resources": container.get("resources", {}),
                }
                for container in spec["containers"]
            ],
        },
        "status": {
            **{name: status[name] for name in ("phase", "podIP") if name in status},
            "conditions": [
                {"type": "Ready", "status": sys.intern(condition["status"])}
                for condition in status.get("conditions") or ()
                if condition["type"] == "Ready"
            ],
        },
    }


def is_ready_node(node: Object) -> bool:
    """True for a Node that is Ready."""
    conditions = node.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
