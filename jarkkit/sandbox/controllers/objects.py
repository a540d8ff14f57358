"""Small predicates and projections of Kubernetes objects that several controllers share."""

from __future__ import annotations

import sys

from jarkkit.sandbox.kubernetes.api import Object

PODS = "/api/v1/pods"
NODES = "/api/v1/nodes"


def pod_path(pod: Object) -> str:
    """Return the path of a pod in the API."""
    meta = pod["metadata"]
    return f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"


def is_running(pod: Object) -> bool:
    """Return True for a pod in the phase Running, whether it is Ready or not."""
    return bool(pod.get("status", {}).get("phase") == "Running")


def has_ended(pod: Object) -> bool:
    """Return True for a pod whose containers have ended for good."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def is_ready(pod: Object) -> bool:
    """Return True for a pod that is Ready and is not being deleted."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )


def tags_argument(pod: Object, flag: str) -> dict[str, str]:
    """Return the tags that a controller's pod gets with `FLAG=key=value,…`."""
    for container in pod["spec"]["containers"]:
        for argument in container.get("args", ()):
            if argument.startswith(f"{flag}="):
                pairs = argument.removeprefix(f"{flag}=").split(",")
                return {k.strip(): v for k, _, v in (p.partition("=") for p in pairs) if k.strip()}
    return {}


def without_managed_fields(obj: Object) -> Object:
    """Remove `managedFields`, the record of who set which field, from an object."""
    obj["metadata"].pop("managedFields", None)
    return obj


def slim_pod(pod: Object) -> Object:
    """Return the fields of a pod that controllers read; ten thousand whole pods fill the memory.

    Of the conditions it keeps only Ready: names and values in parsed JSON are separate strings in
    each pod, so every field counts. Arguments are those of AWS' own controllers, in kube-system.
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
                    **(
                        {"args": container["args"]}
                        if "args" in container and meta.get("namespace") == "kube-system"
                        else {}
                    ),
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


def provider_path(node: Object) -> tuple[str, str]:
    """Return zone and instance id from a Node's `providerID`, both empty without an instance."""
    provider = str(node["spec"].get("providerID", ""))
    if not provider.startswith("aws:///"):
        return "", ""
    zone, _, instance_id = provider.removeprefix("aws:///").partition("/")
    return zone, instance_id


def instance_id_of(node: Object) -> str:
    """Return the instance id of a Node, empty for a manually created one."""
    return provider_path(node)[1]


def is_ready_node(node: Object) -> bool:
    """Return True for a Node that is Ready."""
    conditions = node.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
