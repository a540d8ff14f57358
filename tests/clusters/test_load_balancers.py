"""Services and Ingresses get load balancers in the account; these are deleted or left behind."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jarkkit.sandbox import daemon_client
from jarkkit.sandbox.controllers import load_balancer_model as model
from jarkkit.sandbox.kubernetes.api import Object
from tests.support.cluster_objects import (
    SYSTEM_PODS,
    ensure_node,
    event_message,
    instance_id_of,
    make_pod,
    running_pod,
)
from tests.support.clusters import (
    NAME,
    RehearsalCluster,
    create_cluster,
    needs_programs,
    rehearsal_cluster,
)
from tests.support.poll import wait_for

CONTROLLER = {"app.kubernetes.io/name": "aws-load-balancer-controller"}
CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"


@pytest.fixture
def node(cluster: RehearsalCluster) -> Object:
    return ensure_node(cluster, "balanced")


@contextlib.contextmanager
def running_controller(cluster: RehearsalCluster, *arguments: str) -> Iterator[None]:
    with running_pod(
        cluster,
        SYSTEM_PODS,
        "aws-load-balancer-controller-0",
        labels=CONTROLLER,
        containers=[{"name": "c", "image": "i", "args": list(arguments)}],
    ):
        yield


@pytest.fixture
def controller(cluster: RehearsalCluster, node: Object) -> Iterator[None]:
    with running_controller(cluster):
        yield


@pytest.fixture
def web(cluster: RehearsalCluster, namespace: str, node: Object) -> Iterator[Object]:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    with running_pod(cluster, pods, "web", labels={"app": "web"}) as pod:
        yield pod


def service(
    cluster: RehearsalCluster,
    namespace: str,
    *,
    kind: str = "LoadBalancer",
    nlb: bool = True,
    **notes: str,
) -> Callable[[], Object | None]:
    """Create a Service `web`; return a function that reads its current state."""
    path = f"/api/v1/namespaces/{namespace}/services"
    prefix = "service.beta.kubernetes.io/aws-load-balancer-"
    annotations = {f"{prefix}{k.replace('_', '-')}": v for k, v in notes.items()}
    spec: Object = {
        "type": kind,
        "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": 8080}],
    }
    if nlb:
        spec["loadBalancerClass"] = "service.k8s.aws/nlb"
    cluster.api.create(
        path, {"metadata": {"name": "web", "annotations": annotations}, "spec": spec}
    )
    return lambda: cluster.api.find(f"{path}/web")


def host_of(current: Callable[[], Object | None]) -> str:
    ingress = ((current() or {}).get("status", {}).get("loadBalancer") or {}).get("ingress")
    return str(ingress[0]["hostname"]) if ingress else ""


def load_balancers(cluster: RehearsalCluster, stack: str) -> list[dict[str, Any]]:
    """Return the load balancers with a stack's tag."""
    elb = cluster.client("elbv2")
    found = elb.describe_load_balancers()["LoadBalancers"]
    return [b for b in found if stack in tags_of(cluster, b["LoadBalancerArn"]).values()]


def tags_of(cluster: RehearsalCluster, arn: str) -> dict[str, str]:
    (found,) = cluster.client("elbv2").describe_tags(ResourceArns=[arn])["TagDescriptions"]
    return {tag["Key"]: tag["Value"] for tag in found["Tags"]}


def groups_of(cluster: RehearsalCluster, balancer: dict[str, Any]) -> dict[str, str]:
    """Return the names of a load balancer's security groups, by ID."""
    ids = balancer["SecurityGroups"]
    found = cluster.client("ec2").describe_security_groups(GroupIds=ids)["SecurityGroups"]
    return {group["GroupId"]: group["GroupName"] for group in found}


def interfaces(cluster: RehearsalCluster, owner: str) -> list[dict[str, Any]]:
    filters = [{"Name": "description", "Values": [f"ELB {owner}*"]}]
    return list(
        cluster.client("ec2").describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
    )


def targets(cluster: RehearsalCluster, balancer: dict[str, Any]) -> dict[str, set[tuple[str, int]]]:
    """Return the registered targets by the name of their target group.

    A group that the controller replaces meanwhile is left out.
    """
    elb = cluster.client("elbv2")
    found = elb.describe_target_groups(LoadBalancerArn=balancer["LoadBalancerArn"])
    registered = {}
    for group in found["TargetGroups"]:
        with contextlib.suppress(elb.exceptions.TargetGroupNotFoundException):
            health = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
            registered[group["TargetGroupName"]] = {
                (each["Target"]["Id"], int(each["Target"]["Port"]))
                for each in health["TargetHealthDescriptions"]
            }
    return registered


def refused(call: Callable[..., Any], **given: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**given)
    return str(caught.value.response["Error"]["Code"])


def delete(
    cluster: RehearsalCluster, namespace: str, plural: str = "services", name: str = "web"
) -> None:
    root = "/api/v1" if plural == "services" else "/apis/networking.k8s.io/v1"
    cluster.api.delete(f"{root}/namespaces/{namespace}/{plural}/{name}")


# -- Network Load Balancers ----------------------------------------------------------------------


def test_a_service_gets_a_network_load_balancer_until_it_is_deleted(
    cluster: RehearsalCluster, namespace: str, web: Object, controller: None
) -> None:
    current = service(cluster, namespace, nlb_target_type="ip")
    host = wait_for(lambda: host_of(current))
    (balancer,) = load_balancers(cluster, f"{namespace}/web")
    short = namespace.replace("-", "")[:8]
    assert balancer["LoadBalancerName"].startswith(f"k8s-{short}-web-")
    assert balancer["DNSName"].lower() == host
    assert (balancer["Type"], balancer["Scheme"]) == ("network", "internal")
    assert tags_of(cluster, balancer["LoadBalancerArn"]) == {
        "elbv2.k8s.aws/cluster": NAME,
        "service.k8s.aws/stack": f"{namespace}/web",
        "service.k8s.aws/resource": "LoadBalancer",
    }
    names = groups_of(cluster, balancer).values()
    assert {name.rsplit("-", 1)[0] for name in names} == {
        f"k8s-{short}-web",
        f"k8s-traffic-{NAME}",
    }
    held = interfaces(cluster, f"net/{balancer['LoadBalancerName']}")
    assert {i["SubnetId"] for i in held} == {z["SubnetId"] for z in balancer["AvailabilityZones"]}
    assert all(i["RequesterManaged"] and i["Status"] == "in-use" for i in held)
    (registered,) = targets(cluster, balancer).values()
    assert registered == {(web["status"]["podIP"], 8080)}
    assert "Successfully" in event_message(cluster, namespace, "web", "SuccessfullyReconciled")
    assert model.SERVICE_FINALIZER in (current() or {})["metadata"]["finalizers"]
    delete(cluster, namespace)
    wait_for(lambda: current() is None)
    assert load_balancers(cluster, f"{namespace}/web") == []
    assert interfaces(cluster, f"net/{balancer['LoadBalancerName']}") == []
    groups = cluster.client("ec2").describe_security_groups()["SecurityGroups"]
    assert not [g for g in groups if g["GroupName"].startswith(f"k8s-{short}")]


def test_the_controllers_default_tags_reach_everything_it_creates(
    cluster: RehearsalCluster, namespace: str, node: Object
) -> None:
    current = service(cluster, namespace, additional_resource_tags="team=service,own=1")
    with running_controller(cluster, "--default-tags=team=ml,jarkkit:deployment=lab1"):
        wait_for(lambda: host_of(current))
        (balancer,) = load_balancers(cluster, f"{namespace}/web")
        expected = {"team": "ml", "own": "1", "jarkkit:deployment": "lab1"}
        assert expected.items() <= tags_of(cluster, balancer["LoadBalancerArn"]).items()
        found = cluster.client("elbv2").describe_target_groups(
            LoadBalancerArn=balancer["LoadBalancerArn"]
        )
        (group,) = found["TargetGroups"]
        assert expected.items() <= tags_of(cluster, group["TargetGroupArn"]).items()
        groups = cluster.client("ec2").describe_security_groups(GroupIds=balancer["SecurityGroups"])
        for each in groups["SecurityGroups"]:
            assert {"Key": "jarkkit:deployment", "Value": "lab1"} in each["Tags"]
    with running_controller(cluster, "--default-tags=team=other"):
        wait_for(lambda: tags_of(cluster, balancer["LoadBalancerArn"])["team"] == "other")
        delete(cluster, namespace)
        wait_for(lambda: current() is None)


def test_targets_follow_pods_and_nodes(
    cluster: RehearsalCluster, namespace: str, node: Object, controller: None
) -> None:
    current = service(cluster, namespace)
    wait_for(lambda: host_of(current))
    (balancer,) = load_balancers(cluster, f"{namespace}/web")
    port = (current() or {})["spec"]["ports"][0]["nodePort"]
    (registered,) = targets(cluster, balancer).values()
    assert (instance_id_of(node), port) in registered
    change = {"metadata": {"annotations": {f"{model._SERVICE}nlb-target-type": "ip"}}}
    cluster.api.patch(f"/api/v1/namespaces/{namespace}/services/web", change)
    wait_for(lambda: list(targets(cluster, balancer).values()) == [set()])
    pods = f"/api/v1/namespaces/{namespace}/pods"
    with running_pod(cluster, pods, "web", labels={"app": "web"}) as pod:
        wanted = [{(pod["status"]["podIP"], 8080)}]
        wait_for(lambda: list(targets(cluster, balancer).values()) == wanted)
    wait_for(lambda: list(targets(cluster, balancer).values()) == [set()])
    delete(cluster, namespace)
    wait_for(lambda: current() is None)


def test_without_the_controller_a_load_balancer_stays_and_blocks_its_network(
    cluster: RehearsalCluster, namespace: str, node: Object
) -> None:
    ec2 = cluster.client("ec2")
    current = service(cluster, namespace)
    with running_controller(cluster):
        wait_for(lambda: host_of(current))
    delete(cluster, namespace)
    assert "deletionTimestamp" in (current() or {})["metadata"]
    (balancer,) = load_balancers(cluster, f"{namespace}/web")
    subnet = balancer["AvailabilityZones"][0]["SubnetId"]
    assert refused(ec2.delete_subnet, SubnetId=subnet) == "DependencyViolation"
    group = next(iter(groups_of(cluster, balancer)))
    assert refused(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    (held, *_) = interfaces(cluster, f"net/{balancer['LoadBalancerName']}")
    interface = held["NetworkInterfaceId"]
    assert (
        refused(ec2.delete_network_interface, NetworkInterfaceId=interface)
        == "InvalidParameterValue"
    )
    with running_controller(cluster):
        wait_for(lambda: current() is None)
    assert load_balancers(cluster, f"{namespace}/web") == []


def test_a_fault_leaks_load_balancers(
    cluster: RehearsalCluster, namespace: str, controller: None
) -> None:
    current = service(cluster, namespace)
    wait_for(lambda: host_of(current))
    daemon_client.set_faults(cluster.running.home, ["leaked-load-balancer"])
    try:
        delete(cluster, namespace)
        wait_for(lambda: current() is None)
    finally:
        daemon_client.set_faults(cluster.running.home, [])
    (balancer,) = load_balancers(cluster, f"{namespace}/web")
    elb = cluster.client("elbv2")
    elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    assert interfaces(cluster, f"net/{balancer['LoadBalancerName']}") == []


def test_missing_subnets_are_reported_as_an_event(
    cluster: RehearsalCluster, namespace: str, controller: None
) -> None:
    current = service(cluster, namespace, scheme="internet-facing")
    message = event_message(cluster, namespace, "web", "FailedBuildModel")
    assert "unable to resolve at least one subnet. Evaluated 0 subnets" in message
    assert host_of(current) == ""
    assert "finalizers" not in (current() or {})["metadata"]


def test_a_missing_certificate_is_reported_as_an_event(
    cluster: RehearsalCluster, namespace: str, controller: None
) -> None:
    arn = "arn:aws:acm:us-west-2:123456789012:certificate/none"
    service(cluster, namespace, ssl_cert=arn)
    message = event_message(cluster, namespace, "web", "FailedDeployModel")
    assert f"CertificateNotFound: Certificate '{arn}' not found" in message
    delete(cluster, namespace)
    wait_for(lambda: not load_balancers(cluster, f"{namespace}/web"))


@pytest.fixture
def target_group_bindings(cluster: RehearsalCluster) -> Iterator[str]:
    """Install the CRD of TargetGroupBindings, as a chart would; yield their path."""
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    name, kind = "targetgroupbindings.elbv2.k8s.aws", "TargetGroupBinding"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1beta1", "served": True, "storage": True}
    spec = {
        "group": "elbv2.k8s.aws",
        "scope": "Namespaced",
        "names": {"plural": "targetgroupbindings", "singular": kind.lower(), "kind": kind},
        "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
    }
    installed = cluster.api.find(f"{definitions}/{name}")
    if not installed:
        cluster.api.create(definitions, {"metadata": {"name": name}, "spec": spec})
        wait_for(lambda: cluster.api.find("/apis/elbv2.k8s.aws/v1beta1"))
    yield "/apis/elbv2.k8s.aws/v1beta1/targetgroupbindings"
    if not installed:
        cluster.api.delete(f"{definitions}/{name}")


def test_target_groups_are_bound_when_the_crd_is_installed(
    cluster: RehearsalCluster, namespace: str, target_group_bindings: str, controller: None
) -> None:
    current = service(cluster, namespace, nlb_target_type="ip")
    wait_for(lambda: host_of(current))
    (bound,) = [
        b
        for b in cluster.api.list(target_group_bindings)
        if b["metadata"]["namespace"] == namespace
    ]
    (balancer,) = load_balancers(cluster, f"{namespace}/web")
    assert [bound["metadata"]["name"]] == list(targets(cluster, balancer))
    assert bound["spec"]["serviceRef"] == {"name": "web", "port": 80}
    delete(cluster, namespace)
    wait_for(lambda: current() is None)
    assert not [
        b
        for b in cluster.api.list(target_group_bindings)
        if b["metadata"]["namespace"] == namespace
    ]


def test_a_load_balancer_survives_a_restart_and_outlives_a_deleted_cluster() -> None:
    needs_programs()
    home = Path(tempfile.mkdtemp(prefix="jarkkit-test-"))
    try:
        sandbox = daemon_client.start(home)
        identity = create_cluster(sandbox)["identity"]["oidc"]["issuer"].rsplit("/", 1)[-1]
        cluster = rehearsal_cluster(sandbox, identity)
        ensure_node(cluster, "balanced")
        cluster.api.create(SYSTEM_PODS, make_pod("aws-load-balancer-controller-0", CONTROLLER))
        current = service(cluster, "default")
        host = wait_for(lambda: host_of(current))
        daemon_client.stop(home)
        cluster = rehearsal_cluster(daemon_client.start(home), identity)
        events = "/api/v1/namespaces/default/events"
        wait_for(
            lambda: [
                event
                for event in cluster.api.list(events)
                if event["reason"] == "SuccessfullyReconciled" and event["count"] > 1
            ]
        )
        (balancer,) = load_balancers(cluster, "default/web")
        assert balancer["DNSName"].lower() == host
        eks = cluster.client("eks")
        eks.delete_nodegroup(clusterName=NAME, nodegroupName="balanced")
        wait_for(lambda: not eks.list_nodegroups(clusterName=NAME)["nodegroups"])
        eks.delete_cluster(name=NAME)
        wait_for(lambda: not eks.list_clusters()["clusters"])
        (remaining,) = load_balancers(cluster, "default/web")
        assert remaining["LoadBalancerArn"] == balancer["LoadBalancerArn"]
        subnet = balancer["AvailabilityZones"][0]["SubnetId"]
        assert (
            refused(cluster.client("ec2").delete_subnet, SubnetId=subnet) == "DependencyViolation"
        )
    finally:
        daemon_client.stop(home)
        shutil.rmtree(home)


# -- classic -------------------------------------------------------------------------------------


def test_a_service_without_a_class_gets_a_classic_load_balancer(
    cluster: RehearsalCluster, namespace: str, node: Object
) -> None:
    current = service(cluster, namespace, nlb=False, internal="true")
    host = wait_for(lambda: host_of(current))
    uid = (current() or {})["metadata"]["uid"]
    name = f"a{uid.replace('-', '')}"[:32]
    elb = cluster.client("elb")
    (balancer,) = elb.describe_load_balancers(LoadBalancerNames=[name])["LoadBalancerDescriptions"]
    assert (balancer["DNSName"], balancer["Scheme"]) == (host, "internal")
    assert {"InstanceId": instance_id_of(node)} in balancer["Instances"]
    assert list(groups_of(cluster, balancer).values()) == [f"k8s-elb-{name}"]
    (described,) = elb.describe_tags(LoadBalancerNames=[name])["TagDescriptions"]
    tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}
    assert tags == {
        f"kubernetes.io/cluster/{NAME}": "owned",
        "kubernetes.io/service-name": f"{namespace}/web",
    }
    assert interfaces(cluster, name)
    delete(cluster, namespace)
    wait_for(lambda: current() is None)
    assert refused(elb.describe_load_balancers, LoadBalancerNames=[name]) == "LoadBalancerNotFound"
    assert interfaces(cluster, name) == []


def test_a_public_classic_load_balancer_needs_public_subnets(
    cluster: RehearsalCluster, namespace: str, node: Object
) -> None:
    service(cluster, namespace, nlb=False)
    message = event_message(cluster, namespace, "web", "SyncLoadBalancerFailed")
    assert "could not find any suitable subnets for creating the ELB" in message
    delete(cluster, namespace)


# -- Application Load Balancers ------------------------------------------------------------------


def ingress(
    cluster: RehearsalCluster, namespace: str, name: str, path: str, **notes: str
) -> Callable[[], Object | None]:
    """Create an Ingress of class `alb`; return a function that reads its current state."""
    root = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
    annotations = {
        f"alb.ingress.kubernetes.io/{k.replace('__', '.').replace('_', '-')}": v
        for k, v in notes.items()
    }
    if not cluster.api.find(f"{CLASSES}/alb"):
        spec = {"controller": "ingress.k8s.aws/alb"}
        cluster.api.create(CLASSES, {"metadata": {"name": "alb"}, "spec": spec})
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {
        "host": f"{name}.example.com",
        "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]},
    }
    cluster.api.create(
        root,
        {
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"ingressClassName": "alb", "rules": [rule]},
        },
    )
    return lambda: cluster.api.find(f"{root}/{name}")


def test_an_ingress_gets_an_application_load_balancer_until_it_is_deleted(
    cluster: RehearsalCluster, namespace: str, web: Object, controller: None
) -> None:
    service(cluster, namespace, kind="ClusterIP", nlb=False)
    ports = json.dumps([{"HTTP": 80}, {"HTTP": 8080}])
    current = ingress(cluster, namespace, "shop", "/cart", target_type="ip", listen_ports=ports)
    host = wait_for(lambda: host_of(current))
    (balancer,) = load_balancers(cluster, f"{namespace}/shop")
    assert (balancer["Type"], balancer["Scheme"]) == ("application", "internal")
    assert balancer["DNSName"].lower() == host
    tags = tags_of(cluster, balancer["LoadBalancerArn"])
    assert tags["ingress.k8s.aws/resource"] == "LoadBalancer"
    (registered,) = targets(cluster, balancer).values()
    assert registered == {(web["status"]["podIP"], 8080)}
    elb = cluster.client("elbv2")
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    assert {listener["Port"] for listener in listeners} == {80, 8080}
    rules = elb.describe_rules(ListenerArn=listeners[0]["ListenerArn"])["Rules"]
    (rule,) = [rule for rule in rules if not rule["IsDefault"]]
    conditions = {c["Field"]: c for c in rule["Conditions"]}
    assert conditions["host-header"]["HostHeaderConfig"]["Values"] == ["shop.example.com"]
    assert conditions["path-pattern"]["PathPatternConfig"]["Values"] == ["/cart", "/cart/*"]
    assert listeners[0]["DefaultActions"][0]["FixedResponseConfig"]["StatusCode"] == "404"
    assert model.INGRESS_FINALIZER in (current() or {})["metadata"]["finalizers"]
    delete(cluster, namespace, "ingresses", "shop")
    wait_for(lambda: current() is None)
    assert load_balancers(cluster, f"{namespace}/shop") == []


def test_a_group_of_ingresses_shares_a_load_balancer(
    cluster: RehearsalCluster, namespace: str, node: Object, controller: None
) -> None:
    service(cluster, namespace, kind="NodePort", nlb=False)
    first = ingress(cluster, namespace, "first", "/", group__name=namespace)
    second = ingress(cluster, namespace, "second", "/", group__name=namespace)
    host = wait_for(lambda: host_of(first))
    wait_for(lambda: host_of(second) == host)
    (balancer,) = load_balancers(cluster, namespace)
    assert len(targets(cluster, balancer)) == 2
    delete(cluster, namespace, "ingresses", "first")
    wait_for(lambda: first() is None)
    (remaining,) = load_balancers(cluster, namespace)
    assert remaining["LoadBalancerArn"] == balancer["LoadBalancerArn"]
    wait_for(lambda: len(targets(cluster, balancer)) == 1)
    delete(cluster, namespace, "ingresses", "second")
    wait_for(lambda: second() is None)
    assert load_balancers(cluster, namespace) == []


def test_an_ingress_for_instances_needs_a_node_port(
    cluster: RehearsalCluster, namespace: str, controller: None
) -> None:
    service(cluster, namespace, kind="ClusterIP", nlb=False)
    ingress(cluster, namespace, "shop", "/")
    message = event_message(cluster, namespace, "shop", "FailedBuildModel")
    assert "your service be must of type 'NodePort' or 'LoadBalancer'" in message


# -- decisions -----------------------------------------------------------------------------------


def test_names_match_those_of_the_controller() -> None:
    """Values from the controller's own tests."""
    assert model.backend_group_name("testCluster") == "k8s-traffic-testCluster-411a1bcdb1"
    stack = model.ingress_stack("awesome-ns/ing-1", [_bare_ingress("internet-facing")], {}, "")
    assert stack.name == "k8s-awesomen-ing1-43b698093c"
    stack = model.ingress_stack("explicit-group", [_bare_ingress("internal")], {}, "")
    assert stack.name == "k8s-explicitgroup-5bf9e53c23"


def _bare_ingress(scheme: str) -> Object:
    notes = {"alb.ingress.kubernetes.io/scheme": scheme}
    meta = {"namespace": "awesome-ns", "name": "ing-1", "annotations": notes}
    return {"metadata": meta, "spec": {}}


def test_tags_select_one_subnet_per_zone() -> None:
    role = {"kubernetes.io/role/internal-elb": "1"}
    known = [
        model.SubnetCandidate("subnet-1", "a", role, 100, False),
        model.SubnetCandidate(
            "subnet-2", "a", {**role, "kubernetes.io/cluster/mine": "shared"}, 100, False
        ),
        model.SubnetCandidate(
            "subnet-3", "b", {**role, "kubernetes.io/cluster/other": ""}, 100, False
        ),
        model.SubnetCandidate("subnet-4", "c", role, 7, False),
        model.SubnetCandidate("subnet-5", "d", {}, 100, False),
    ]
    given: Any = {"cluster": "mine", "scheme": "internal", "requested": ()}
    assert model.choose_subnets(known, kind="network", **given) == ["subnet-2"]
    with pytest.raises(model.BuildError, match="1 < 2"):
        model.choose_subnets(known, kind="application", **given)
    with pytest.raises(
        model.BuildError, match="1 are tagged for other clusters, and 1 have insuff"
    ):
        model.choose_subnets(known[2:4], kind="network", **given)
    assert model.choose_subnets(known[4:], kind="network", **given) == ["subnet-5"]


def test_an_invalid_annotation_is_an_error_that_names_it() -> None:
    ingress = _bare_ingress("internal")
    notes = ingress["metadata"]["annotations"]
    notes["alb.ingress.kubernetes.io/group.order"] = "first"
    with pytest.raises(model.BuildError, match="failed to parse int32 annotation"):
        model.ingress_stack("a/b", [ingress], {}, "")
    notes["alb.ingress.kubernetes.io/group.order"] = "1"
    notes["alb.ingress.kubernetes.io/listen-ports"] = "80"
    with pytest.raises(model.BuildError, match="failed to parse listen-ports configuration: `80`"):
        model.ingress_stack("a/b", [ingress], {}, "")
    notes["alb.ingress.kubernetes.io/listen-ports"] = '[{"HTTP": 80}]'
    notes["alb.ingress.kubernetes.io/ssl-redirect"] = "443"
    with pytest.raises(model.BuildError, match="does not exist for SSLRedirect port: 443"):
        model.ingress_stack("a/b", [ingress], {}, "")
