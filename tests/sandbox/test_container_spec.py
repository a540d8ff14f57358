"""The command line and environment of a process that runs in place of a container."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest

from jarkkit.sandbox.account.eks.principals import POD_ACTIONS, is_trusting
from jarkkit.sandbox.controllers import container_spec, loopback
from jarkkit.sandbox.controllers.container_spec import ConfigError
from jarkkit.sandbox.controllers.pod_identity import AUDIENCE

POD = {
    "metadata": {"name": "p", "namespace": "ns", "labels": {"app.kubernetes.io/name": "it"}},
    "spec": {"nodeName": "n"},
}
OBJECTS: dict[tuple[str, str], Any] = {
    ("secrets", "s"): {"data": {"key": base64.b64encode(b"hidden").decode()}},
    ("configmaps", "c"): {"data": {"key": "shown", "other": "too"}},
}


def lookup(kind: str, name: str) -> Any:
    return OBJECTS.get((kind, name))


def variables(*pairs: dict[str, Any], **container: Any) -> dict[str, str]:
    return container_spec.environment(POD, {"env": list(pairs), **container}, lookup)


def from_(name: str, **source: Any) -> dict[str, Any]:
    return {"name": name, "valueFrom": source}


class TestEnvironment:
    def test_a_variable_can_refer_to_earlier_ones(self) -> None:
        found = variables({"name": "A", "value": "1"}, {"name": "B", "value": "$(A)$(C)$$(A)"})
        assert found["B"] == "1$(C)$(A)"

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("metadata.name", "p"),
            ("metadata.labels['app.kubernetes.io/name']", "it"),
            ("spec.nodeName", "n"),
            ("status.podIP", ""),
        ],
    )
    def test_a_variable_can_come_from_a_field_of_the_pod(self, path: str, value: str) -> None:
        assert variables(from_("A", fieldRef={"fieldPath": path})) == {"A": value}

    def test_variables_can_come_from_secrets_and_config_maps(self) -> None:
        secret = from_("A", secretKeyRef={"name": "s", "key": "key"})
        config = from_("B", configMapKeyRef={"name": "c", "key": "key"})
        assert variables(secret, config) == {"A": "hidden", "B": "shown"}
        everything = [{"configMapRef": {"name": "c"}, "prefix": "X_"}]
        assert variables(envFrom=everything) == {"X_key": "shown", "X_other": "too"}

    def test_a_missing_reference_is_reported_as_by_kubelet(self) -> None:
        with pytest.raises(ConfigError, match='secret "none" not found'):
            variables(from_("A", secretKeyRef={"name": "none", "key": "k"}))
        with pytest.raises(ConfigError, match="couldn't find key none"):
            variables(from_("A", configMapKeyRef={"name": "c", "key": "none"}))
        optional = from_("A", secretKeyRef={"name": "none", "key": "k", "optional": True})
        assert variables(optional) == {}

    def test_a_variable_can_come_from_a_resource_limit(self) -> None:
        limit = from_("A", resourceFieldRef={"resource": "limits.memory", "divisor": "1Mi"})
        assert variables(limit, resources={"limits": {"memory": "1Gi"}}) == {"A": "1024"}
        milli = from_("A", resourceFieldRef={"resource": "limits.cpu", "divisor": "1m"})
        assert variables(milli, resources={"limits": {"cpu": "1100m"}}) == {"A": "1100"}
        whole = from_("A", resourceFieldRef={"resource": "limits.cpu", "divisor": "0"})
        assert variables(whole, resources={"limits": {"cpu": "1100m"}}) == {"A": "2"}

    def test_variables_in_arguments_are_expanded(self) -> None:
        container = {"command": ["/manager", "--first"], "args": ["--name=$(A)"]}
        assert container_spec.arguments(container, {"A": "x"}) == ["--first", "--name=x"]


def ports(port: int) -> int:
    return 50000 + port


class TestLoopback:
    def test_karpenter_is_configured_by_its_environment(self) -> None:
        how = loopback.LOOPBACK_CONFIGS["karpenter"]
        _, environ = loopback.bind_to_loopback(how, [], {"METRICS_PORT": "9000"}, "ns", ports)
        assert environ["METRICS_PORT"] == "59000"
        assert environ["HEALTH_PROBE_PORT"] == "58081"
        assert environ["LEADER_ELECTION_NAMESPACE"] == "ns"

    @pytest.mark.parametrize("given", [["--metrics-addr", ":9090"], ["-metrics-addr=:9090"]])
    def test_kuberay_is_configured_by_flags(self, given: list[str]) -> None:
        how = loopback.LOOPBACK_CONFIGS["kuberay-operator"]
        arguments, _ = loopback.bind_to_loopback(how, ["--leader", *given], {}, "ns", ports)
        assert arguments == [
            "--leader-election-namespace=ns",
            "--leader",
            "--metrics-addr=127.0.0.1:59090",
            "--health-probe-bind-address=127.0.0.1:58082",
        ]

    def test_an_image_that_cannot_listen_on_loopback_is_rejected(self) -> None:
        how = loopback.LOOPBACK_CONFIGS["kuberay-operator"]
        with pytest.raises(ConfigError, match="all interfaces"):
            loopback.bind_to_loopback(how, ["--config=/etc/file"], {}, "ns", ports)


@pytest.mark.parametrize(
    ("actions", "service", "trusts"),
    [
        (["sts:AssumeRole", "sts:TagSession"], "pods.eks.amazonaws.com", True),
        ("sts:AssumeRole", "pods.eks.amazonaws.com", False),
        (["sts:AssumeRole", "sts:TagSession"], "ec2.amazonaws.com", False),
    ],
)
def test_a_role_must_trust_pod_identity(actions: Any, service: str, trusts: bool) -> None:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": actions}
    role = SimpleNamespace(assume_role_policy_document=json.dumps({"Statement": [statement]}))
    assert is_trusting(role, AUDIENCE, POD_ACTIONS) is trusts
