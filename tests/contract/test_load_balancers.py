"""Services and Ingresses of AWS Load Balancer Controller: an address comes, and goes with them."""

from __future__ import annotations

import re

import pytest

from tests.contract.cluster import Object, Space, Thing, until
from tests.contract.manifests import deployment, thing

pytestmark = pytest.mark.usefixtures("load_balancer_controller")


def service(space: Space, **spec: object) -> Thing:
    """In front of a pod."""
    space.create(deployment("web"))
    ports = [{"port": 80, "targetPort": 8080}]
    return space.create(
        thing("Service", "web", spec={"selector": {"app": "web"}, "ports": ports, **spec})
    )


def host_of(made: Thing) -> str:
    """The name of its load balancer; empty before there is one."""
    (first, *_) = made.status.get("loadBalancer", {}).get("ingress") or [{"hostname": ""}]
    return str(first["hostname"])


def test_a_service_gets_a_host_name_and_gives_it_back(space: Space) -> None:
    made = service(space, type="LoadBalancer", loadBalancerClass="service.k8s.aws/nlb")
    until(lambda: host_of(made))
    assert re.fullmatch(r"[a-z0-9-]+\.elb\.[a-z0-9-]+\.amazonaws\.com(\.cn)?", host_of(made))
    assert "service.k8s.aws/resources" in made.now["metadata"]["finalizers"]
    until(lambda: space.said("web", "SuccessfullyReconciled"))
    made.delete()
    until(made.is_gone)


def test_a_service_that_wants_no_load_balancer_any_more_loses_it(space: Space) -> None:
    made = service(space, type="LoadBalancer", loadBalancerClass="service.k8s.aws/nlb")
    until(lambda: host_of(made))
    made.patch({"spec": {"type": "ClusterIP", "loadBalancerClass": None}})
    until(lambda: not host_of(made) and not made.now["metadata"].get("finalizers"))


def test_an_ingress_gets_a_host_name_and_gives_it_back(space: Space) -> None:
    service(space, type="NodePort")
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    path: Object = {"path": "/", "pathType": "Prefix", "backend": backend}
    spec = {"ingressClassName": space.name, "rules": [{"http": {"paths": [path]}}]}
    controller = {"controller": "ingress.k8s.aws/alb"}
    space.create(thing("IngressClass", space.name, "networking.k8s.io/v1", spec=controller))
    made = space.create(thing("Ingress", "web", "networking.k8s.io/v1", spec=spec))
    until(lambda: host_of(made))
    assert ".elb.amazonaws.com" in host_of(made)
    assert made.now["metadata"]["finalizers"] == ["ingress.k8s.aws/resources"]
    made.delete()
    until(made.is_gone)
