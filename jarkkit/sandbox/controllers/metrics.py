"""Serves metrics.k8s.io/v1beta1 as metrics-server does, for simulated pods.

Usage is invented: a constant share of what a container requests. The numbers are consistent: a
node uses what its pods use plus a small amount of its own. Every item carries the annotation
`sandbox.jarkkit.io/simulated`. Formats as in https://github.com/kubernetes-sigs/metrics-server
(pkg/api) and k8s.io/metrics.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jarkkit.model.kubernetes_values import quantity_value
from jarkkit.sandbox.controllers.objects import is_running
from jarkkit.sandbox.kubernetes.api import Object

# Annotation of a pod: the share of its requested CPU that it uses, such as "0.9".
CPU_USAGE_ANNOTATION = "sandbox.jarkkit.io/cpu-use"
_SIMULATED = {"sandbox.jarkkit.io/simulated": "true"}
GROUP = "metrics.k8s.io"
_VERSION = f"{GROUP}/v1beta1"
_ROOT = f"/apis/{_VERSION}"
_MI = 2**20
_WINDOW = "15s"  # metrics-server's resolution
# Usage of a container without requests.
_LITTLE_CPU, _LITTLE_MEMORY = 0.01, 32 * _MI
# Approximate usage of kubelet, container runtime and operating system.
_SYSTEM_CPU, _SYSTEM_MEMORY = 0.06, 600 * _MI

ResourceUsage = tuple[float, float]
Answer = tuple[int, Object]


def handle_get(target: str, pods: Iterable[Object], nodes: Iterable[Object]) -> Answer:
    """Return status and body for a GET of that path and query."""
    url = urlsplit(target)
    words = url.path.removeprefix(_ROOT).strip("/").split("/")
    selector = parse_qs(url.query).get("labelSelector", [""])[0]
    if url.path in _DOCUMENTS:
        return 200, _DOCUMENTS[url.path]
    running = list(filter(is_running, pods))
    match words if url.path.startswith(f"{_ROOT}/") else []:
        case ["nodes"]:
            found = [n for n in nodes if matches_selector(selector, _labels(n))]
            return 200, _list("NodeMetricsList", [_of_node(n, running) for n in found])
        case ["nodes", name]:
            one = [_of_node(n, running) for n in nodes if n["metadata"]["name"] == name]
            return _one(one, "nodes", name)
        case ["pods"]:
            found = [p for p in running if matches_selector(selector, _labels(p))]
            return 200, _list("PodMetricsList", [_of_pod(p) for p in found])
        case ["namespaces", namespace, "pods", *rest]:
            inside = [p for p in running if p["metadata"]["namespace"] == namespace]
            if rest:
                one = [_of_pod(p) for p in inside if p["metadata"]["name"] == rest[0]]
                return _one(one, "pods", f"{namespace}/{rest[0]}")
            found = [p for p in inside if matches_selector(selector, _labels(p))]
            return 200, _list("PodMetricsList", [_of_pod(p) for p in found])
    return 404, _missing(f"the server could not find the requested resource {url.path}")


def container_usage(pod: Object, container: Object) -> ResourceUsage:
    """Return cores and bytes: 10 to 40 % of the requested CPU, 30 to 60 % of the memory."""
    requests = container.get("resources", {}).get("requests", {})
    seed = f"{pod['metadata'].get('uid')}/{container['name']}".encode()
    spread = hashlib.sha256(seed).digest()[0] / 255 * 0.3
    share = float(pod["metadata"].get("annotations", {}).get(CPU_USAGE_ANNOTATION, 0.1 + spread))
    cpu = quantity_value(requests["cpu"]) * share if "cpu" in requests else _LITTLE_CPU
    memory = _LITTLE_MEMORY
    if "memory" in requests:
        memory = int(quantity_value(requests["memory"]) * (0.3 + spread))
    return cpu, memory


def node_usage(name: str, running: Iterable[Object]) -> ResourceUsage:
    """Return cores and bytes that a node uses: those of its pods and its own."""
    uses = [
        container_usage(pod, container)
        for pod in running
        if pod["spec"]["nodeName"] == name
        for container in pod["spec"]["containers"]
    ]
    return _SYSTEM_CPU + sum(u[0] for u in uses), _SYSTEM_MEMORY + sum(u[1] for u in uses)


_REQUIREMENT = re.compile(
    r"\s*(?P<absent>!)?(?P<key>[\w./-]+)"
    r"(?:\s*(?P<equals>==?|!=)\s*(?P<value>[\w.-]*)|\s+(?P<word>in|notin)\s*\((?P<values>[^)]*)\))?"
    r"\s*(?:,|$)"
)


def matches_selector(selector: str, labels: Mapping[str, str]) -> bool:
    """Return True when a label selector, given as a string, matches."""
    return all(_matches(found, labels) for found in _REQUIREMENT.finditer(selector))


def _matches(found: re.Match[str], labels: Mapping[str, str]) -> bool:
    have = labels.get(found["key"])
    if found["equals"]:
        return (have == found["value"]) is (found["equals"] != "!=")
    if found["word"]:
        values = [value.strip() for value in found["values"].split(",")]
        return (have in values) is (found["word"] == "in")
    return (have is None) is bool(found["absent"])


def _labels(obj: Object) -> dict[str, str]:
    labels: dict[str, str] = obj["metadata"].get("labels", {})
    return labels


def _of_node(node: Object, running: list[Object]) -> Object:
    name = node["metadata"]["name"]
    return {**_metrics("NodeMetrics", node), "usage": _usage(node_usage(name, running))}


def _of_pod(pod: Object) -> Object:
    containers = [
        {"name": container["name"], "usage": _usage(container_usage(pod, container))}
        for container in pod["spec"]["containers"]
    ]
    return {**_metrics("PodMetrics", pod), "containers": containers}


def _metrics(kind: str, obj: Object) -> Object:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    meta = {k: obj["metadata"][k] for k in ("name", "namespace") if k in obj["metadata"]}
    meta |= {"labels": _labels(obj), "annotations": _SIMULATED, "creationTimestamp": now}
    about = {"kind": kind, "apiVersion": _VERSION, "metadata": meta}
    return {**about, "timestamp": now, "window": _WINDOW}


def _usage(use: ResourceUsage) -> dict[str, str]:
    return {"cpu": f"{use[0] * 1e9:.0f}n", "memory": f"{use[1] / 1024:.0f}Ki"}


def _list(kind: str, items: list[Object]) -> Object:
    return {"kind": kind, "apiVersion": _VERSION, "metadata": {}, "items": items}


def _one(found: list[Object], plural: str, name: str) -> Answer:
    if found:
        return 200, found[0]
    return 404, _missing(f'{plural}.{GROUP} "{name}" not found')


def _missing(message: str) -> Object:
    about = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return {**about, "message": message, "reason": "NotFound", "code": 404}


def _resource(name: str, kind: str, namespaced: bool) -> dict[str, Any]:
    about = {"name": name, "singularName": "", "namespaced": namespaced, "kind": kind}
    return {**about, "verbs": ["get", "list"]}


_SERVED = {"groupVersion": _VERSION, "version": "v1beta1"}
_GROUP = {"name": GROUP, "versions": [_SERVED], "preferredVersion": _SERVED}
_DOCUMENTS: dict[str, Object] = {
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_GROUP]},
    f"/apis/{GROUP}": {"kind": "APIGroup", "apiVersion": "v1", **_GROUP},
    _ROOT: {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": _VERSION,
        "resources": [
            _resource("nodes", "NodeMetrics", False),
            _resource("pods", "PodMetrics", True),
        ],
    },
}
