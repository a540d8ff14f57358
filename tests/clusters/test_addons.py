"""EKS add-ons: the objects that they create in the cluster, and the status that EKS reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.sandbox.account import eks_reference_data as facts
from jarkkit.sandbox.controllers.addons import DesiredAddon, conflicting_fields, is_ready, render
from jarkkit.sandbox.controllers.objects import tags_argument
from tests.support.cluster_objects import ensure_node
from tests.support.clusters import NAME, RehearsalCluster
from tests.support.poll import wait_for

APPS = "/apis/apps/v1/namespaces"
COREDNS = f"{APPS}/kube-system/deployments/coredns"
CONTEXT = {"cluster": "c", "dns": "172.20.0.10", "registry": "r"}
Install = Callable[..., dict[str, Any]]


@pytest.fixture
def install(cluster: RehearsalCluster) -> Iterator[Install]:
    """Create add-ons; after the test, delete them and wait until their objects are gone."""
    eks = cluster.client("eks")
    made: list[str] = []

    def create(name: str, **more: Any) -> dict[str, Any]:
        made.append(name)
        return dict(eks.create_addon(clusterName=NAME, addonName=name, **more)["addon"])

    yield create
    for name in dict.fromkeys(made):
        eks.delete_addon(clusterName=NAME, addonName=name)
        wait_for(partial(has_no_workloads, cluster, name))


def has_no_workloads(cluster: RehearsalCluster, addon: str) -> bool:
    return not workloads(cluster, addon)


def workloads(cluster: RehearsalCluster, addon: str) -> list[Any]:
    labelled = {"labelSelector": f"sandbox.jarkkit.io/addon={addon}"}
    return [
        resource
        for kind in ("deployments", "daemonsets")
        for resource in cluster.api.list(f"/apis/apps/v1/{kind}", **labelled)
    ]


def described(cluster: RehearsalCluster, name: str) -> dict[str, Any]:
    return dict(cluster.client("eks").describe_addon(clusterName=NAME, addonName=name)["addon"])


def status(cluster: RehearsalCluster, name: str) -> str:
    return str(described(cluster, name)["status"])


def finished_update(cluster: RehearsalCluster, update: dict[str, Any], name: str) -> dict[str, Any]:
    """Wait until an add-on's update has ended, and return it."""

    def now() -> dict[str, Any] | None:
        at = {"name": NAME, "addonName": name, "updateId": update["update"]["id"]}
        found: dict[str, Any] = cluster.client("eks").describe_update(**at)["update"]
        return None if found["status"] == "InProgress" else found

    found = wait_for(now)
    assert found is not None
    return found


@pytest.mark.parametrize("name", facts.ADDONS)
def test_every_addon_renders_labeled_workloads_with_known_service_accounts(name: str) -> None:
    resources = render(DesiredAddon(name, "v1.2.3-eksbuild.1", "", "NONE", "it"), CONTEXT)
    assert any(resource["kind"] in ("Deployment", "DaemonSet") for resource in resources)
    accounts = {t["metadata"]["name"] for t in resources if t["kind"] == "ServiceAccount"}
    for resource in resources:
        assert resource["metadata"]["labels"]["sandbox.jarkkit.io/addon"] == name
        if resource["kind"] in ("Deployment", "DaemonSet"):
            template = resource["spec"]["template"]
            selected = resource["spec"]["selector"]["matchLabels"].items()
            assert selected <= template["metadata"]["labels"].items()
            assert template["spec"].get("serviceAccountName") in {None, *accounts}


def test_a_configuration_value_changes_only_the_workload_it_names() -> None:
    wanted = {"controller": {"replicaCount": 1, "tolerations": [], "nodeSelector": {"a": "b"}}}
    desired = DesiredAddon(
        "aws-ebs-csi-driver", "v1.54.0-eksbuild.1", json.dumps(wanted), "NONE", "it"
    )
    found = {t["metadata"]["name"]: t for t in render(desired, CONTEXT)}
    controller, node = (found[n]["spec"] for n in ("ebs-csi-controller", "ebs-csi-node"))
    assert controller["replicas"] == 1
    assert controller["template"]["spec"]["tolerations"] == []
    assert controller["template"]["spec"]["nodeSelector"] == {"a": "b"}
    assert node["template"]["spec"]["tolerations"] == [{"operator": "Exists"}]
    image = node["template"]["spec"]["containers"][0]["image"]
    assert image == "r/eks/aws-ebs-csi-driver:v1.54.0"


def test_tags_of_a_configuration_are_an_argument_of_the_ebs_driver() -> None:
    values = json.dumps({"controller": {"extraVolumeTags": {"team": "a b", "cost": "4711"}}})
    desired = DesiredAddon("aws-ebs-csi-driver", "v1.54.0-eksbuild.1", values, "NONE", "it")
    found = {t["metadata"]["name"]: t for t in render(desired, CONTEXT)}
    pod = found["ebs-csi-controller"]["spec"]["template"]
    assert pod["spec"]["containers"][0]["args"][-1] == "--extra-tags=cost=4711,team=a b"
    assert tags_argument(pod, "--extra-tags") == {"team": "a b", "cost": "4711"}
    assert tags_argument(pod, "--other-tags") == {}


def test_environment_variables_of_a_configuration_replace_the_defaults() -> None:
    values = json.dumps({"env": {"ENABLE_PREFIX_DELEGATION": "true", "NEW": "1"}})
    (daemon_set,) = [
        resource
        for resource in render(DesiredAddon("vpc-cni", "v1.21.1", values, "NONE", "it"), CONTEXT)
        if resource["kind"] == "DaemonSet"
    ]
    container = daemon_set["spec"]["template"]["spec"]["containers"][0]
    env = [(variable["name"], variable["value"]) for variable in container["env"]]
    assert ("ENABLE_PREFIX_DELEGATION", "true") in env
    assert ("NEW", "1") in env
    assert len(dict(env)) == len(env)


@pytest.mark.parametrize("values", [{}, {"enableNetworkPolicy": "true"}])
def test_the_configuration_turns_on_network_policies(values: dict[str, str]) -> None:
    desired = DesiredAddon("vpc-cni", "v1.21.1", json.dumps(values), "NONE", "it")
    found = {resource["kind"]: resource for resource in render(desired, CONTEXT)}
    state = values.get("enableNetworkPolicy", "false")
    assert found["ConfigMap"]["data"]["enable-network-policy-controller"] == state
    agent = found["DaemonSet"]["spec"]["template"]["spec"]["containers"][1]
    assert f"--enable-network-policy={state}" in agent["args"]


@pytest.mark.parametrize(("name", "attached"), [("ebs", True), ("efs", False), ("fsx", False)])
def test_a_csi_driver_declares_whether_volumes_are_attached(name: str, attached: bool) -> None:
    resources = render(DesiredAddon(f"aws-{name}-csi-driver", "v1", "", "NONE", "it"), CONTEXT)
    (driver,) = [resource for resource in resources if resource["kind"] == "CSIDriver"]
    assert driver["metadata"]["name"] == f"{name}.csi.aws.com"
    assert driver["spec"]["attachRequired"] is attached


def test_a_workload_is_ready_when_its_latest_generation_is_available() -> None:
    workload = {"metadata": {"generation": 2}, "spec": {"replicas": 2}}
    assert not is_ready(workload)
    old = {"observedGeneration": 1, "availableReplicas": 2}
    assert not is_ready({**workload, "status": old})
    assert is_ready({**workload, "status": {**old, "observedGeneration": 2}})
    few = {"observedGeneration": 2, "availableReplicas": 1}
    assert not is_ready({**workload, "status": few})
    nowhere = {"observedGeneration": 1, "numberReady": 0, "desiredNumberScheduled": 0}
    assert is_ready({"metadata": {"generation": 1}, "spec": {}, "status": nowhere})


def test_field_conflicts_are_listed_in_the_format_of_eks() -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "coredns"}}
    one = 'Apply failed with 1 conflict: conflict with "kubectl" using apps/v1: .spec.replicas'
    assert conflicting_fields(deployment, one) == ["Deployment.apps coredns - .spec.replicas"]
    two = 'Apply failed with 2 conflicts: conflicts with "k":\n- .data.Corefile\n- .data.x'
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "coredns"}}
    assert conflicting_fields(config, two) == [
        "ConfigMap coredns - .data.Corefile",
        "ConfigMap coredns - .data.x",
    ]


def test_an_addon_creates_its_workloads_and_deletes_them(
    cluster: RehearsalCluster, install: Install
) -> None:
    ensure_node(cluster, "for-addons")
    made = install("coredns", configurationValues='{"replicaCount": 1}')
    assert made["status"] == "CREATING"
    wait_for(lambda: status(cluster, "coredns") == "ACTIVE")
    deployment = cluster.api.get(COREDNS)
    assert deployment["status"]["availableReplicas"] == 1
    (image,) = [c["image"] for c in deployment["spec"]["template"]["spec"]["containers"]]
    version = facts.addon_versions("coredns", "1.36")[0]
    assert image == f"602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/coredns:{version}"
    service = cluster.api.get("/api/v1/namespaces/kube-system/services/kube-dns")
    assert service["spec"]["clusterIP"] == "172.20.0.10"
    cluster.client("eks").delete_addon(clusterName=NAME, addonName="coredns")
    wait_for(lambda: not cluster.api.find(COREDNS))
    assert not cluster.api.find("/api/v1/namespaces/kube-system/services/kube-dns")
    install("coredns")


def test_a_daemon_set_without_matching_nodes_counts_as_ready(
    cluster: RehearsalCluster, install: Install
) -> None:
    install("eks-node-monitoring-agent", resolveConflicts="OVERWRITE")
    wait_for(lambda: status(cluster, "eks-node-monitoring-agent") == "ACTIVE")
    assert described(cluster, "eks-node-monitoring-agent")["health"]["issues"] == []


def test_an_addon_with_unschedulable_pods_stays_creating_until_updated(
    cluster: RehearsalCluster, install: Install
) -> None:
    nowhere = json.dumps({"nodeSelector": {"there-is": "no-such-node"}})
    install("coredns", configurationValues=nowhere)
    wait_for(lambda: cluster.api.get(COREDNS)["status"].get("unavailableReplicas") == 2)
    assert status(cluster, "coredns") == "CREATING"
    ensure_node(cluster, "for-addons")
    values = {"configurationValues": "{}", "resolveConflicts": "OVERWRITE"}
    eks = cluster.client("eks")
    update = eks.update_addon(clusterName=NAME, addonName="coredns", **values)
    assert finished_update(cluster, update, "coredns")["status"] == "Successful"
    assert status(cluster, "coredns") == "ACTIVE"
    assert cluster.api.get(COREDNS)["status"]["availableReplicas"] == 2


def test_a_field_of_another_manager_is_a_conflict_unless_overwritten(
    cluster: RehearsalCluster, install: Install
) -> None:
    ensure_node(cluster, "for-addons")
    install("coredns")
    wait_for(lambda: status(cluster, "coredns") == "ACTIVE")
    eks, at = cluster.client("eks"), {"clusterName": NAME, "addonName": "coredns"}
    cluster.api.patch(COREDNS, {"spec": {"replicas": 3}})
    conflicting = finished_update(cluster, eks.update_addon(**at), "coredns")
    assert conflicting["status"] == "Failed"
    (error,) = conflicting["errors"]
    assert error["errorCode"] == "ConfigurationConflict"
    assert "Deployment.apps coredns - .spec.replicas" in error["errorMessage"]
    assert status(cluster, "coredns") == "UPDATE_FAILED"
    kept = finished_update(cluster, eks.update_addon(**at, resolveConflicts="PRESERVE"), "coredns")
    assert kept["status"] == "Successful"
    assert cluster.api.get(COREDNS)["spec"]["replicas"] == 3
    forced = finished_update(
        cluster, eks.update_addon(**at, resolveConflicts="OVERWRITE"), "coredns"
    )
    assert forced["status"] == "Successful"
    assert cluster.api.get(COREDNS)["spec"]["replicas"] == 2


def test_a_conflict_fails_the_creation_of_an_addon(
    cluster: RehearsalCluster, install: Install
) -> None:
    path = "/api/v1/namespaces/kube-system/configmaps"
    cluster.api.create(path, {"metadata": {"name": "coredns"}, "data": {"Corefile": "mine"}})
    install("coredns")
    wait_for(lambda: status(cluster, "coredns") == "CREATE_FAILED")
    (issue,) = described(cluster, "coredns")["health"]["issues"]
    assert issue["code"] == "ConfigurationConflict"
    assert issue["message"].endswith("ConfigMap coredns - .data.Corefile")
    assert workloads(cluster, "coredns") == []
    cluster.api.delete(f"{path}/coredns")


def test_a_rejected_addon_does_not_block_the_others(
    cluster: RehearsalCluster, install: Install
) -> None:
    values = '{"tolerations": [{"operator": "Perhaps"}]}'
    install("coredns", configurationValues=values, resolveConflicts="OVERWRITE")
    install("eks-node-monitoring-agent")
    wait_for(lambda: status(cluster, "eks-node-monitoring-agent") == "ACTIVE")
    wait_for(lambda: "add-on coredns: 422 Invalid" in cluster.log())
    assert status(cluster, "coredns") == "CREATING"
    service = "/api/v1/namespaces/kube-system/services/kube-dns"
    assert cluster.api.find(service)
    cluster.client("eks").delete_addon(clusterName=NAME, addonName="coredns")
    wait_for(lambda: not cluster.api.find(service))
    install("coredns")


def test_preserved_workloads_outlive_their_addon(
    cluster: RehearsalCluster, install: Install
) -> None:
    at = {"clusterName": NAME, "addonName": "snapshot-controller"}
    install("snapshot-controller")
    wait_for(lambda: workloads(cluster, "snapshot-controller"))
    cluster.client("eks").delete_addon(**at, preserve=True)
    # When another add-on is active, the sandbox has reconciled this deletion, too.
    install("eks-node-monitoring-agent")
    wait_for(lambda: status(cluster, "eks-node-monitoring-agent") == "ACTIVE")
    assert len(workloads(cluster, "snapshot-controller")) == 1
    install("snapshot-controller")


def test_a_deleted_workload_is_created_again(cluster: RehearsalCluster, install: Install) -> None:
    path = f"{APPS}/kube-system/daemonsets/eks-pod-identity-agent"
    install("eks-pod-identity-agent")
    before = wait_for(lambda: cluster.api.find(path))
    assert before is not None
    cluster.api.delete(path)

    def is_recreated() -> bool:
        found = cluster.api.find(path)
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    wait_for(is_recreated)


@pytest.mark.parametrize(
    ("name", "values", "error"),
    [
        ("coredns", {"replicas": 2}, "$.replicas: is not defined in the schema"),
        ("coredns", {"replicaCount": "2"}, "$.replicaCount: string found, integer expected"),
        ("vpc-cni", {"enablePrefixDelegation": "true"}, "$.enablePrefixDelegation: is not defined"),
        ("vpc-cni", {"env": {"WARM_ENI_TARGET": 1}}, "integer found, string expected"),
        ("kube-proxy", {"resources": {"request": {}}}, "$.resources.request: is not defined"),
    ],
)
def test_a_configuration_outside_the_schema_is_rejected(
    cluster: RehearsalCluster, name: str, values: dict[str, Any], error: str
) -> None:
    eks = cluster.client("eks")
    with pytest.raises(ClientError) as caught:
        eks.create_addon(clusterName=NAME, addonName=name, configurationValues=json.dumps(values))
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"
    assert error in caught.value.response["Error"]["Message"]
