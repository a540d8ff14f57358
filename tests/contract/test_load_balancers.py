"""Services and Ingresses of AWS Load Balancer Controller get a host name until their deletion."""

from __future__ import annotations

import re

import pytest

from tests.contract.cluster import LiveObject, Object, ScratchNamespace
from tests.contract.manifests import deployment, make_object
from tests.support.poll import wait_for

pytestmark = pytest.mark.usefixtures("load_balancer_controller")


def create_service(namespace: ScratchNamespace, **spec: object) -> LiveObject:
    """Create a Service in front of a pod."""
    namespace.create(deployment("web"))
    ports = [{"port": 80, "targetPort": 8080}]
    return namespace.create(
        make_object("Service", "web", spec={"selector": {"app": "web"}, "ports": ports, **spec})
    )


def host_of(load_balanced: LiveObject) -> str:
    """Return the host name of the load balancer; empty before there is one."""
    (first, *_) = load_balanced.status.get("loadBalancer", {}).get("ingress") or [{"hostname": ""}]
    return str(first["hostname"])


def test_a_service_gets_a_host_name_until_it_is_deleted(namespace: ScratchNamespace) -> None:
    load_balanced = create_service(
        namespace, type="LoadBalancer", loadBalancerClass="service.k8s.aws/nlb"
    )
    wait_for(lambda: host_of(load_balanced))
    assert re.fullmatch(
        r"[a-z0-9-]+\.elb\.[a-z0-9-]+\.amazonaws\.com(\.cn)?", host_of(load_balanced)
    )
    assert "service.k8s.aws/resources" in load_balanced.current["metadata"]["finalizers"]
    wait_for(lambda: namespace.event_messages("web", "SuccessfullyReconciled"))
    load_balanced.delete()
    wait_for(load_balanced.is_gone)


def test_a_service_loses_its_load_balancer_when_its_type_changes(
    namespace: ScratchNamespace,
) -> None:
    load_balanced = create_service(
        namespace, type="LoadBalancer", loadBalancerClass="service.k8s.aws/nlb"
    )
    wait_for(lambda: host_of(load_balanced))
    load_balanced.patch({"spec": {"type": "ClusterIP", "loadBalancerClass": None}})
    wait_for(
        lambda: (
            not host_of(load_balanced) and not load_balanced.current["metadata"].get("finalizers")
        )
    )


def test_an_ingress_gets_a_host_name_until_it_is_deleted(namespace: ScratchNamespace) -> None:
    create_service(namespace, type="NodePort")
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    path: Object = {"path": "/", "pathType": "Prefix", "backend": backend}
    spec = {"ingressClassName": namespace.name, "rules": [{"http": {"paths": [path]}}]}
    controller = {"controller": "ingress.k8s.aws/alb"}
    namespace.create(
        make_object("IngressClass", namespace.name, "networking.k8s.io/v1", spec=controller)
    )
    load_balanced = namespace.create(
        make_object("Ingress", "web", "networking.k8s.io/v1", spec=spec)
    )
    wait_for(lambda: host_of(load_balanced))
    assert ".elb.amazonaws.com" in host_of(load_balanced)
    assert load_balanced.current["metadata"]["finalizers"] == ["ingress.k8s.aws/resources"]
    load_balanced.delete()
    wait_for(load_balanced.is_gone)
