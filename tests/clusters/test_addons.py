"""EKS add-ons: what they bring into the cluster, and how the account sees them do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.sandbox.account.eks import facts
from jarkkit.sandbox.eks.addons import Order, conflicts, is_ready, render
from tests.clusters.conftest import NAME, World, wait_for
from tests.clusters.things import a_node

APPS = "/apis/apps/v1/namespaces"
COREDNS = f"{APPS}/kube-system/deployments/coredns"
SURROUNDINGS = {"cluster": "c", "dns": "172.20.0.10", "registry": "r"}
Install = Callable[..., dict[str, Any]]


@pytest.fixture
def install(world: World) -> Iterator[Install]:
    """Creates an add-on, which is gone with its objects after the test."""
    eks = world.client("eks")
    made: list[str] = []

    def create(name: str, **more: Any) -> dict[str, Any]:
        made.append(name)
        return dict(eks.create_addon(clusterName=NAME, addonName=name, **more)["addon"])

    yield create
    for name in dict.fromkeys(made):
        eks.delete_addon(clusterName=NAME, addonName=name)
        wait_for(lambda name=name: not workloads(world, name))


def workloads(world: World, addon: str) -> list[Any]:
    labelled = {"labelSelector": f"sandbox.jarkkit.io/addon={addon}"}
    return [
        thing
        for kind in ("deployments", "daemonsets")
        for thing in world.api.list(f"/apis/apps/v1/{kind}", **labelled)
    ]


def described(world: World, name: str) -> dict[str, Any]:
    return dict(world.client("eks").describe_addon(clusterName=NAME, addonName=name)["addon"])


def status(world: World, name: str) -> str:
    return str(described(world, name)["status"])


def finished(world: World, update: dict[str, Any], name: str) -> dict[str, Any]:
    """The update of an add-on, when it is no longer under way."""

    def now() -> dict[str, Any] | None:
        at = {"name": NAME, "addonName": name, "updateId": update["update"]["id"]}
        found: dict[str, Any] = world.client("eks").describe_update(**at)["update"]
        return None if found["status"] == "InProgress" else found

    found = wait_for(now)
    assert found is not None
    return found


@pytest.mark.parametrize("name", facts.ADDONS)
def test_every_addon_is_written_down(name: str) -> None:
    things = render(Order(name, "v1.2.3-eksbuild.1", "", "NONE", "it"), SURROUNDINGS)
    assert any(thing["kind"] in ("Deployment", "DaemonSet") for thing in things)
    accounts = {t["metadata"]["name"] for t in things if t["kind"] == "ServiceAccount"}
    for thing in things:
        assert thing["metadata"]["labels"]["sandbox.jarkkit.io/addon"] == name
        if thing["kind"] in ("Deployment", "DaemonSet"):
            template = thing["spec"]["template"]
            selected = thing["spec"]["selector"]["matchLabels"].items()
            assert selected <= template["metadata"]["labels"].items()
            assert template["spec"].get("serviceAccountName") in {None, *accounts}


def test_a_configuration_changes_the_part_that_it_names() -> None:
    wanted = {"controller": {"replicaCount": 1, "tolerations": [], "nodeSelector": {"a": "b"}}}
    order = Order("aws-ebs-csi-driver", "v1.54.0-eksbuild.1", json.dumps(wanted), "NONE", "it")
    found = {t["metadata"]["name"]: t for t in render(order, SURROUNDINGS)}
    controller, node = (found[n]["spec"] for n in ("ebs-csi-controller", "ebs-csi-node"))
    assert controller["replicas"] == 1
    assert controller["template"]["spec"]["tolerations"] == []
    assert controller["template"]["spec"]["nodeSelector"] == {"a": "b"}
    assert node["template"]["spec"]["tolerations"] == [{"operator": "Exists"}]
    image = node["template"]["spec"]["containers"][0]["image"]
    assert image == "r/eks/aws-ebs-csi-driver:v1.54.0"


def test_variables_of_a_configuration_replace_those_of_the_addon() -> None:
    values = json.dumps({"env": {"ENABLE_PREFIX_DELEGATION": "true", "NEW": "1"}})
    (daemon_set,) = [
        thing
        for thing in render(Order("vpc-cni", "v1.21.1", values, "NONE", "it"), SURROUNDINGS)
        if thing["kind"] == "DaemonSet"
    ]
    container = daemon_set["spec"]["template"]["spec"]["containers"][0]
    env = [(variable["name"], variable["value"]) for variable in container["env"]]
    assert ("ENABLE_PREFIX_DELEGATION", "true") in env
    assert ("NEW", "1") in env
    assert len(dict(env)) == len(env)


@pytest.mark.parametrize(("name", "attached"), [("ebs", True), ("efs", False), ("fsx", False)])
def test_storage_drivers_say_whether_volumes_are_attached(name: str, attached: bool) -> None:
    things = render(Order(f"aws-{name}-csi-driver", "v1", "", "NONE", "it"), SURROUNDINGS)
    (driver,) = [thing for thing in things if thing["kind"] == "CSIDriver"]
    assert driver["metadata"]["name"] == f"{name}.csi.aws.com"
    assert driver["spec"]["attachRequired"] is attached


def test_ready_is_what_was_asked_for_last() -> None:
    workload = {"metadata": {"generation": 2}, "spec": {"replicas": 2}}
    assert not is_ready(workload)
    old = {"observedGeneration": 1, "availableReplicas": 2}
    assert not is_ready({**workload, "status": old})
    assert is_ready({**workload, "status": {**old, "observedGeneration": 2}})
    few = {"observedGeneration": 2, "availableReplicas": 1}
    assert not is_ready({**workload, "status": few})
    nowhere = {"observedGeneration": 1, "numberReady": 0, "desiredNumberScheduled": 0}
    assert is_ready({"metadata": {"generation": 1}, "spec": {}, "status": nowhere})


def test_conflicts_are_worded_as_eks_does() -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "coredns"}}
    one = 'Apply failed with 1 conflict: conflict with "kubectl" using apps/v1: .spec.replicas'
    assert conflicts(deployment, one) == ["Deployment.apps coredns - .spec.replicas"]
    two = 'Apply failed with 2 conflicts: conflicts with "k":\n- .data.Corefile\n- .data.x'
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "coredns"}}
    assert conflicts(config, two) == [
        "ConfigMap coredns - .data.Corefile",
        "ConfigMap coredns - .data.x",
    ]


def test_an_addon_brings_its_workloads_and_takes_them_away(world: World, install: Install) -> None:
    a_node(world, "for-addons")
    made = install("coredns", configurationValues='{"replicaCount": 1}')
    assert made["status"] == "CREATING"
    wait_for(lambda: status(world, "coredns") == "ACTIVE")
    deployment = world.api.get(COREDNS)
    assert deployment["status"]["availableReplicas"] == 1
    (image,) = [c["image"] for c in deployment["spec"]["template"]["spec"]["containers"]]
    version = facts.addon_version("coredns", "1.36")
    assert image == f"602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/coredns:{version}"
    service = world.api.get("/api/v1/namespaces/kube-system/services/kube-dns")
    assert service["spec"]["clusterIP"] == "172.20.0.10"
    world.client("eks").delete_addon(clusterName=NAME, addonName="coredns")
    wait_for(lambda: not world.api.find(COREDNS))
    assert not world.api.find("/api/v1/namespaces/kube-system/services/kube-dns")
    install("coredns")


def test_daemons_are_ready_before_there_are_nodes_for_them(world: World, install: Install) -> None:
    install("eks-node-monitoring-agent", resolveConflicts="OVERWRITE")
    wait_for(lambda: status(world, "eks-node-monitoring-agent") == "ACTIVE")
    assert described(world, "eks-node-monitoring-agent")["health"]["issues"] == []


def test_an_addon_whose_pods_fit_nowhere_is_not_ready(world: World, install: Install) -> None:
    nowhere = json.dumps({"nodeSelector": {"there-is": "no-such-node"}})
    install("coredns", configurationValues=nowhere)
    wait_for(lambda: world.api.get(COREDNS)["status"].get("unavailableReplicas") == 2)
    assert status(world, "coredns") == "CREATING"
    a_node(world, "for-addons")
    values = {"configurationValues": "{}", "resolveConflicts": "OVERWRITE"}
    eks = world.client("eks")
    update = eks.update_addon(clusterName=NAME, addonName="coredns", **values)
    assert finished(world, update, "coredns")["status"] == "Successful"
    assert status(world, "coredns") == "ACTIVE"
    assert world.api.get(COREDNS)["status"]["availableReplicas"] == 2


def test_what_somebody_else_has_set_is_a_conflict_unless_it_is_to_be_overwritten(
    world: World, install: Install
) -> None:
    a_node(world, "for-addons")
    install("coredns")
    wait_for(lambda: status(world, "coredns") == "ACTIVE")
    eks, at = world.client("eks"), {"clusterName": NAME, "addonName": "coredns"}
    world.api.patch(COREDNS, {"spec": {"replicas": 3}})
    refused = finished(world, eks.update_addon(**at), "coredns")
    assert refused["status"] == "Failed"
    (error,) = refused["errors"]
    assert error["errorCode"] == "ConfigurationConflict"
    assert "Deployment.apps coredns - .spec.replicas" in error["errorMessage"]
    assert status(world, "coredns") == "UPDATE_FAILED"
    kept = finished(world, eks.update_addon(**at, resolveConflicts="PRESERVE"), "coredns")
    assert kept["status"] == "Successful"
    assert world.api.get(COREDNS)["spec"]["replicas"] == 3
    forced = finished(world, eks.update_addon(**at, resolveConflicts="OVERWRITE"), "coredns")
    assert forced["status"] == "Successful"
    assert world.api.get(COREDNS)["spec"]["replicas"] == 2


def test_a_conflict_fails_a_creation(world: World, install: Install) -> None:
    path = "/api/v1/namespaces/kube-system/configmaps"
    world.api.create(path, {"metadata": {"name": "coredns"}, "data": {"Corefile": "mine"}})
    install("coredns")
    wait_for(lambda: status(world, "coredns") == "CREATE_FAILED")
    (issue,) = described(world, "coredns")["health"]["issues"]
    assert issue["code"] == "ConfigurationConflict"
    assert issue["message"].endswith("ConfigMap coredns - .data.Corefile")
    assert workloads(world, "coredns") == []
    world.api.delete(f"{path}/coredns")


def test_an_addon_that_is_refused_does_not_hold_up_the_others(
    world: World, install: Install
) -> None:
    values = '{"tolerations": [{"operator": "Perhaps"}]}'
    install("coredns", configurationValues=values, resolveConflicts="OVERWRITE")
    install("eks-node-monitoring-agent")
    wait_for(lambda: status(world, "eks-node-monitoring-agent") == "ACTIVE")
    wait_for(lambda: "add-on coredns: 422 Invalid" in world.log())
    assert status(world, "coredns") == "CREATING"
    service = "/api/v1/namespaces/kube-system/services/kube-dns"
    assert world.api.find(service)
    world.client("eks").delete_addon(clusterName=NAME, addonName="coredns")
    wait_for(lambda: not world.api.find(service))
    install("coredns")


def test_preserved_workloads_outlive_their_addon(world: World, install: Install) -> None:
    at = {"clusterName": NAME, "addonName": "snapshot-controller"}
    install("snapshot-controller")
    wait_for(lambda: workloads(world, "snapshot-controller"))
    world.client("eks").delete_addon(**at, preserve=True)
    # The next look at the account comes with another add-on, which is there after it.
    install("eks-node-monitoring-agent")
    wait_for(lambda: status(world, "eks-node-monitoring-agent") == "ACTIVE")
    assert len(workloads(world, "snapshot-controller")) == 1
    install("snapshot-controller")


def test_a_deleted_workload_comes_back(world: World, install: Install) -> None:
    path = f"{APPS}/kube-system/daemonsets/eks-pod-identity-agent"
    install("eks-pod-identity-agent")
    before = wait_for(lambda: world.api.find(path))
    assert before is not None
    world.api.delete(path)

    def again() -> bool:
        found = world.api.find(path)
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    wait_for(again)


@pytest.mark.parametrize(
    ("name", "values", "complaint"),
    [
        ("coredns", {"replicas": 2}, "$.replicas: is not defined in the schema"),
        ("coredns", {"replicaCount": "2"}, "$.replicaCount: string found, integer expected"),
        ("vpc-cni", {"enablePrefixDelegation": "true"}, "$.enablePrefixDelegation: is not defined"),
        ("vpc-cni", {"env": {"WARM_ENI_TARGET": 1}}, "integer found, string expected"),
        ("kube-proxy", {"resources": {"request": {}}}, "$.resources.request: is not defined"),
    ],
)
def test_a_configuration_that_eks_would_refuse_is_refused(
    world: World, name: str, values: dict[str, Any], complaint: str
) -> None:
    eks = world.client("eks")
    with pytest.raises(ClientError) as caught:
        eks.create_addon(clusterName=NAME, addonName=name, configurationValues=json.dumps(values))
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"
    assert complaint in caught.value.response["Error"]["Message"]
