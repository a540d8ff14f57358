"""What several tests of clusters put into them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from jarkkit.sandbox.cluster.api import Object
from jarkkit.sandbox.eks.objects import is_ready
from tests.clusters.conftest import World, wait_for
from tests.clusters.test_nodes import node_group, nodes_of, status

SYSTEM = "/api/v1/namespaces/kube-system/pods"


def a_node(world: World, group: str) -> Object:
    """A node of a managed group, which is made if it is not there."""
    if not nodes_of(world, group):
        node_group(world, group)
        wait_for(lambda: status(world, group) == "ACTIVE")
    return wait_for(lambda: nodes_of(world, group))[0]


def instance_of(node: Object) -> str:
    return str(node["spec"]["providerID"]).rsplit("/", 1)[-1]


def zone_of(node: Object) -> str:
    return str(node["metadata"]["labels"]["topology.kubernetes.io/zone"])


def pod_named(name: str, labels: dict[str, str], **spec: Any) -> Object:
    """A pod that runs anywhere."""
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "containers": [{"name": "it", "image": "none"}],
            "tolerations": [{"operator": "Exists"}],
            **spec,
        },
    }


@contextlib.contextmanager
def running(world: World, path: str, name: str, **more: Any) -> Iterator[Object]:
    """A pod that is Ready, and gone afterwards."""
    world.api.create(path, pod_named(name, more.pop("labels", {}), **more))
    try:
        wait_for(lambda: is_ready(world.api.get(f"{path}/{name}")))
        yield world.api.get(f"{path}/{name}")
    finally:
        world.api.delete(f"{path}/{name}")
        wait_for(lambda: not world.api.find(f"{path}/{name}"))


def said(world: World, namespace: str, name: str, reason: str, words: str = "") -> str:
    """The message of an event about an object; waits for one with those words."""

    def messages() -> list[str]:
        events = world.api.list(f"/api/v1/namespaces/{namespace}/events")
        about = [e for e in events if e["involvedObject"].get("name") == name]
        return [e["message"] for e in about if e["reason"] == reason and words in e["message"]]

    return wait_for(messages)[-1]
