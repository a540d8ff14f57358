"""Network policies: what they mean, and what notebooks can reach with ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jarkkit.catalog.addons import addon_catalog
from jarkkit.decisions.addons import enabled_addons
from jarkkit.sandbox.controllers.network_policies import (
    Connection,
    NetworkEndpoint,
    is_allowed,
    selects,
)
from jarkkit.settings import Settings

HUB = addon_catalog()["jupyterhub"]
NAMESPACES = {
    name: {"kubernetes.io/metadata.name": name}
    for name in ("jupyterhub", "kube-system", "mlflow", "team", "other")
}


def pod(
    address: str, namespace: str = "team", labels: dict[str, str] | None = None, **more: Any
) -> NetworkEndpoint:
    return NetworkEndpoint(address, namespace, labels or {}, **more)


def policy(namespace: str = "team", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace}, "spec": {"podSelector": {}, **spec}}


ONE, TWO = pod("100.64.0.1", labels={"app": "one"}), pod("100.64.0.2", labels={"app": "two"})
FOREIGN = pod("100.64.0.3", "other", {"app": "one"})


def allowed(
    policies: list[dict[str, Any]],
    source: NetworkEndpoint = ONE,
    target: NetworkEndpoint = TWO,
    port: int = 80,
    protocol: str = "TCP",
) -> bool:
    return is_allowed(Connection(source, target, port, protocol), policies, NAMESPACES)


class TestMeaning:
    def test_pods_without_a_policy_are_open(self) -> None:
        assert allowed([])
        assert allowed([policy("other", policyTypes=["Ingress", "Egress"])])

    def test_a_policy_without_rules_isolates_in_its_directions(self) -> None:
        into, out = policy(policyTypes=["Ingress"]), policy(policyTypes=["Egress"])
        assert not allowed([into])
        assert not allowed([out])
        assert allowed([into], TWO, FOREIGN)
        assert allowed([out], FOREIGN, TWO)

    def test_the_direction_follows_from_the_rules(self) -> None:
        assert not allowed([policy()])
        assert allowed([policy()], TWO, FOREIGN)
        assert not allowed([policy(egress=[])], TWO, FOREIGN)

    def test_policies_add_up(self) -> None:
        nothing = policy(policyTypes=["Ingress"])
        everything = policy(policyTypes=["Ingress"], ingress=[{}])
        assert allowed([nothing, everything])

    def test_a_pod_selector_means_pods_of_the_same_namespace(self) -> None:
        ones = policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "one"}}}]}])
        assert allowed([ones])
        assert not allowed([ones], FOREIGN)
        assert not allowed([ones], pod("100.64.0.9", labels={"app": "three"}))

    def test_a_namespace_selector_means_all_pods_of_the_namespaces(self) -> None:
        others = {"matchLabels": {"kubernetes.io/metadata.name": "other"}}
        assert allowed([policy(ingress=[{"from": [{"namespaceSelector": others}]}])], FOREIGN)
        assert not allowed([policy(ingress=[{"from": [{"namespaceSelector": others}]}])], ONE)
        both = {"namespaceSelector": others, "podSelector": {"matchLabels": {"app": "two"}}}
        assert not allowed([policy(ingress=[{"from": [both]}])], FOREIGN)

    @pytest.mark.parametrize(
        ("address", "expected"), [("8.8.8.8", True), ("10.1.2.3", False), ("10.9.0.1", True)]
    )
    def test_a_block_of_addresses_has_exceptions(self, address: str, expected: bool) -> None:
        block = {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/13"]}
        outside = NetworkEndpoint(address)
        assert allowed([policy(egress=[{"to": [{"ipBlock": block}]}])], ONE, outside) is expected

    @pytest.mark.parametrize(
        ("ports", "expected"),
        [
            ([], True),
            ([{"port": 80}], True),
            ([{"port": 80, "protocol": "UDP"}], False),
            ([{"port": 81}], False),
            ([{"port": 70, "endPort": 90}], True),
            ([{"port": "web"}], True),
            ([{"port": "other"}], False),
            ([{"protocol": "TCP"}], True),
        ],
    )
    def test_ports(self, ports: list[dict[str, Any]], expected: bool) -> None:
        target = replace(TWO, named_ports={"web": 80})
        assert allowed([policy(ingress=[{"ports": ports}])], target=target) is expected

    def test_pods_in_the_host_network_are_not_restricted(self) -> None:
        nothing = policy(policyTypes=["Ingress", "Egress"])
        assert not allowed([nothing], ONE, FOREIGN)
        assert allowed([nothing], replace(ONE, in_host_network=True), FOREIGN)

    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ({"key": "app", "operator": "In", "values": ["one", "x"]}, True),
            ({"key": "app", "operator": "NotIn", "values": ["one"]}, False),
            ({"key": "none", "operator": "NotIn", "values": ["one"]}, True),
            ({"key": "app", "operator": "Exists"}, True),
            ({"key": "app", "operator": "DoesNotExist"}, False),
        ],
    )
    def test_label_expressions(self, expression: dict[str, Any], expected: bool) -> None:
        assert selects({"matchExpressions": [expression]}, {"app": "one"}) is expected


def notebook_policies(**settings: Any) -> list[dict[str, Any]]:
    objects = enabled_addons.resolve(HUB, Settings(**settings), addon_catalog()).before
    return [o for o in objects if isinstance(o, dict) and o["kind"] == "NetworkPolicy"]


def notebook(number: int) -> NetworkEndpoint:
    labels = {"app": "jupyterhub", "component": "singleuser-server"}
    return pod(f"100.64.0.{number}", "jupyterhub", labels)


def of_hub(component: str) -> NetworkEndpoint:
    return pod("100.64.1.1", "jupyterhub", {"app": "jupyterhub", "component": component})


DNS = pod("100.64.1.2", "kube-system", {"k8s-app": "kube-dns"})


def mlflow() -> NetworkEndpoint:
    found = [o for o in addon_catalog()["mlflow"].before if isinstance(o, dict)]
    (deployment,) = [o for o in found if o["kind"] == "Deployment"]
    return pod("100.64.1.3", "mlflow", deployment["spec"]["template"]["metadata"]["labels"])


class TestNotebooks:
    @pytest.mark.parametrize(
        ("target", "port", "protocol"),
        [
            (of_hub("hub"), 8081, "TCP"),
            (of_hub("proxy"), 8000, "TCP"),
            (DNS, 53, "UDP"),
            (DNS, 53, "TCP"),
            (mlflow(), 5000, "TCP"),
            (NetworkEndpoint("151.101.0.223"), 443, "TCP"),  # PyPI
        ],
    )
    def test_a_notebook_reaches_what_it_needs(
        self, target: NetworkEndpoint, port: int, protocol: str
    ) -> None:
        assert allowed(notebook_policies(), notebook(1), target, port, protocol)

    @pytest.mark.parametrize(
        ("target", "port"),
        [
            (notebook(2), 8888),  # another learner's server
            (NetworkEndpoint("100.64.2.3"), 2049),  # a mount target in a subnet of the nodes
            (NetworkEndpoint("10.0.2.3"), 2049),  # and in an existing VPC
            (NetworkEndpoint("169.254.169.254"), 80),  # the metadata service
            (NetworkEndpoint("169.254.170.23"), 80),  # the Pod Identity agent
            (NetworkEndpoint("172.20.0.1"), 443),  # the Kubernetes API
            (NetworkEndpoint("10.0.0.10"), 443),
            (NetworkEndpoint("100.64.2.4"), 10250),  # a kubelet
            (of_hub("proxy"), 8001),  # the proxy's API, which routes users
            (pod("100.64.1.4", "team", {"ray.io/node-type": "head"}), 8265),
            (DNS, 9153),
        ],
    )
    def test_a_notebook_reaches_nothing_else(self, target: NetworkEndpoint, port: int) -> None:
        assert not allowed(notebook_policies(), notebook(1), target, port)

    def test_only_hub_and_proxy_reach_a_notebook(self) -> None:
        for component in ("hub", "proxy"):
            assert allowed(notebook_policies(), of_hub(component), notebook(1), 8888)
        for other in (notebook(2), pod("100.64.1.4", "argo"), NetworkEndpoint("100.64.2.4")):
            assert not allowed(notebook_policies(), other, notebook(1), 8888)

    def test_you_can_open_a_pod_to_notebooks(self) -> None:
        ray = pod("100.64.1.4", "team", {"jarkkit/notebooks": "allowed"})
        assert allowed(notebook_policies(), notebook(1), ray, 10001)

    def test_credentials_for_the_bucket_come_from_the_agent(self) -> None:
        policies = notebook_policies(artifact_bucket=True)
        assert allowed(policies, notebook(1), NetworkEndpoint("169.254.170.23"), 80)
        assert not allowed(policies, notebook(1), NetworkEndpoint("169.254.169.254"), 80)

    def test_the_policies_select_the_pods_that_the_hub_starts(self) -> None:
        assert HUB.leaves_pods == "component=singleuser-server"
        assert HUB.values["singleuser"]["networkPolicy"] == {"enabled": False}
