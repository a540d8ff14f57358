"""What the annotation `connects-to` names, and what has an address in a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.sandbox.controllers.reachability import (
    ConnectionRequest,
    endpoint_at,
    enforces_network_policies,
    parse_request,
)

MOUNT_TARGETS = {"fs-1": "10.0.1.5"}


@pytest.mark.parametrize(
    ("annotation", "request_"),
    [
        ("tcp://100.64.0.9:8888", ConnectionRequest("tcp", "100.64.0.9", 8888)),
        ("metadata", ConnectionRequest("metadata", "169.254.169.254", 80)),
        ("nfs://fs-1", ConnectionRequest("nfs", "10.0.1.5", 2049, "fs-1")),
    ],
)
def test_an_annotation_names_a_target(annotation: str, request_: ConnectionRequest) -> None:
    assert parse_request(annotation, MOUNT_TARGETS) == request_


@pytest.mark.parametrize(
    "annotation", ["tcp://100.64.0.9", "tcp://hub:8081", "tcp://1.2.3.4:99999", "nfs://fs-2", "udp"]
)
def test_another_annotation_is_rejected(annotation: str) -> None:
    with pytest.raises(ValueError, match=r"is not tcp://|IPv4|Port"):
        parse_request(annotation, MOUNT_TARGETS)


def pod(namespace: str, phase: str) -> dict[str, Any]:
    ports = [{"name": "notebook", "containerPort": 8888}]
    return {
        "metadata": {"namespace": namespace, "name": "a"},
        "spec": {"containers": [{"ports": ports}]},
        "status": {"podIP": "100.64.0.9", "phase": phase},
    }


def test_an_address_belongs_to_the_pod_that_still_runs() -> None:
    found = endpoint_at("100.64.0.9", [pod("ended", "Succeeded"), pod("running", "Running")])
    assert (found.namespace, found.named_ports) == ("running", {"notebook": 8888})
    assert endpoint_at("1.1.1.1", [pod("running", "Running")]).namespace == ""


def test_only_the_argument_of_the_cnis_agent_enforces_policies() -> None:
    def workload(name: str, *arguments: str) -> dict[str, Any]:
        template = {"spec": {"containers": [{}, {"args": list(arguments)}]}}
        return {
            "metadata": {"namespace": "kube-system", "name": name},
            "spec": {"template": template},
        }

    on = "--enable-network-policy=true"
    assert enforces_network_policies([workload("aws-node", on)])
    assert not enforces_network_policies([workload("aws-node"), workload("other", on)])
