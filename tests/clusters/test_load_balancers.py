"""Services and Ingresses become load balancers of the account, and go again, or are left behind."""

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

from jarkkit.sandbox import control
from jarkkit.sandbox.cluster.api import Object
from jarkkit.sandbox.eks import load_balancer_model as model
from tests.clusters.conftest import (
    NAME,
    World,
    create_cluster,
    needs_programs,
    wait_for,
    world_of,
)
from tests.clusters.things import SYSTEM, a_node, instance_of, pod_named, running, said

CONTROLLER = {"app.kubernetes.io/name": "aws-load-balancer-controller"}
CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"


@pytest.fixture
def node(world: World) -> Object:
    return a_node(world, "balanced")


@contextlib.contextmanager
def controller_up(world: World) -> Iterator[None]:
    with running(world, SYSTEM, "aws-load-balancer-controller-0", labels=CONTROLLER):
        yield


@pytest.fixture
def controller(world: World, node: Object) -> Iterator[None]:
    with controller_up(world):
        yield


@pytest.fixture
def web(world: World, namespace: str, node: Object) -> Iterator[Object]:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    with running(world, pods, "web", labels={"app": "web"}) as pod:
        yield pod


def service(
    world: World, namespace: str, *, kind: str = "LoadBalancer", nlb: bool = True, **notes: str
) -> Callable[[], Object | None]:
    """Make a Service `web`; answers how it is now."""
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
    world.api.create(path, {"metadata": {"name": "web", "annotations": annotations}, "spec": spec})
    return lambda: world.api.find(f"{path}/web")


def host_of(now: Callable[[], Object | None]) -> str:
    ingress = ((now() or {}).get("status", {}).get("loadBalancer") or {}).get("ingress")
    return str(ingress[0]["hostname"]) if ingress else ""


def balancers(world: World, stack: str) -> list[dict[str, Any]]:
    """Those with a stack's tag."""
    elb = world.client("elbv2")
    found = elb.describe_load_balancers()["LoadBalancers"]
    return [b for b in found if stack in tags_of(world, b["LoadBalancerArn"]).values()]


def tags_of(world: World, arn: str) -> dict[str, str]:
    (found,) = world.client("elbv2").describe_tags(ResourceArns=[arn])["TagDescriptions"]
    return {tag["Key"]: tag["Value"] for tag in found["Tags"]}


def groups_of(world: World, balancer: dict[str, Any]) -> dict[str, str]:
    """Names of a balancer's security groups, by id."""
    ids = balancer["SecurityGroups"]
    found = world.client("ec2").describe_security_groups(GroupIds=ids)["SecurityGroups"]
    return {group["GroupId"]: group["GroupName"] for group in found}


def interfaces(world: World, owner: str) -> list[dict[str, Any]]:
    filters = [{"Name": "description", "Values": [f"ELB {owner}*"]}]
    return list(
        world.client("ec2").describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
    )


def targets(world: World, balancer: dict[str, Any]) -> dict[str, set[tuple[str, int]]]:
    """Registered targets by the name of their group."""
    elb = world.client("elbv2")
    found = elb.describe_target_groups(LoadBalancerArn=balancer["LoadBalancerArn"])
    return {
        group["TargetGroupName"]: {
            (health["Target"]["Id"], int(health["Target"]["Port"]))
            for health in elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])[
                "TargetHealthDescriptions"
            ]
        }
        for group in found["TargetGroups"]
    }


def refused(call: Callable[..., Any], **given: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**given)
    return str(caught.value.response["Error"]["Code"])


def drop(world: World, namespace: str, plural: str = "services", name: str = "web") -> None:
    root = "/api/v1" if plural == "services" else "/apis/networking.k8s.io/v1"
    world.api.delete(f"{root}/namespaces/{namespace}/{plural}/{name}")


# -- Network Load Balancers ----------------------------------------------------------------------


def test_a_service_is_a_network_load_balancer_until_it_goes(
    world: World, namespace: str, web: Object, controller: None
) -> None:
    now = service(world, namespace, nlb_target_type="ip")
    host = wait_for(lambda: host_of(now))
    (balancer,) = balancers(world, f"{namespace}/web")
    short = namespace.replace("-", "")[:8]
    assert balancer["LoadBalancerName"].startswith(f"k8s-{short}-web-")
    assert balancer["DNSName"].lower() == host
    assert (balancer["Type"], balancer["Scheme"]) == ("network", "internal")
    assert tags_of(world, balancer["LoadBalancerArn"]) == {
        "elbv2.k8s.aws/cluster": NAME,
        "service.k8s.aws/stack": f"{namespace}/web",
        "service.k8s.aws/resource": "LoadBalancer",
    }
    names = groups_of(world, balancer).values()
    assert {name.rsplit("-", 1)[0] for name in names} == {
        f"k8s-{short}-web",
        f"k8s-traffic-{NAME}",
    }
    held = interfaces(world, f"net/{balancer['LoadBalancerName']}")
    assert {i["SubnetId"] for i in held} == {z["SubnetId"] for z in balancer["AvailabilityZones"]}
    assert all(i["RequesterManaged"] and i["Status"] == "in-use" for i in held)
    (registered,) = targets(world, balancer).values()
    assert registered == {(web["status"]["podIP"], 8080)}
    assert "Successfully" in said(world, namespace, "web", "SuccessfullyReconciled")
    assert model.SERVICE_FINALIZER in (now() or {})["metadata"]["finalizers"]
    drop(world, namespace)
    wait_for(lambda: now() is None)
    assert balancers(world, f"{namespace}/web") == []
    assert interfaces(world, f"net/{balancer['LoadBalancerName']}") == []
    names = {
        group["GroupName"]
        for group in world.client("ec2").describe_security_groups()["SecurityGroups"]
    }
    assert not [name for name in names if name.startswith(f"k8s-{short}")]


def test_targets_follow_pods_and_nodes(
    world: World, namespace: str, node: Object, controller: None
) -> None:
    now = service(world, namespace)
    wait_for(lambda: host_of(now))
    (balancer,) = balancers(world, f"{namespace}/web")
    port = (now() or {})["spec"]["ports"][0]["nodePort"]
    (registered,) = targets(world, balancer).values()
    assert (instance_of(node), port) in registered
    change = {"metadata": {"annotations": {f"{model._SERVICE}nlb-target-type": "ip"}}}
    world.api.patch(f"/api/v1/namespaces/{namespace}/services/web", change)
    wait_for(lambda: list(targets(world, balancer).values()) == [set()])
    pods = f"/api/v1/namespaces/{namespace}/pods"
    with running(world, pods, "web", labels={"app": "web"}) as pod:
        wanted = [{(pod["status"]["podIP"], 8080)}]
        wait_for(lambda: list(targets(world, balancer).values()) == wanted)
    wait_for(lambda: list(targets(world, balancer).values()) == [set()])
    drop(world, namespace)
    wait_for(lambda: now() is None)


def test_without_the_controller_a_balancer_is_left_and_holds_its_network(
    world: World, namespace: str, node: Object
) -> None:
    ec2 = world.client("ec2")
    now = service(world, namespace)
    with controller_up(world):
        wait_for(lambda: host_of(now))
    drop(world, namespace)
    assert "deletionTimestamp" in (now() or {})["metadata"]
    (balancer,) = balancers(world, f"{namespace}/web")
    subnet = balancer["AvailabilityZones"][0]["SubnetId"]
    assert refused(ec2.delete_subnet, SubnetId=subnet) == "DependencyViolation"
    group = next(iter(groups_of(world, balancer)))
    assert refused(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    (held, *_) = interfaces(world, f"net/{balancer['LoadBalancerName']}")
    interface = held["NetworkInterfaceId"]
    assert (
        refused(ec2.delete_network_interface, NetworkInterfaceId=interface)
        == "InvalidParameterValue"
    )
    with controller_up(world):
        wait_for(lambda: now() is None)
    assert balancers(world, f"{namespace}/web") == []


def test_a_fault_leaks_balancers(world: World, namespace: str, controller: None) -> None:
    now = service(world, namespace)
    wait_for(lambda: host_of(now))
    control.set_faults(world.running.home, ["leaked-load-balancer"])
    try:
        drop(world, namespace)
        wait_for(lambda: now() is None)
    finally:
        control.set_faults(world.running.home, [])
    (balancer,) = balancers(world, f"{namespace}/web")
    elb = world.client("elbv2")
    elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    assert interfaces(world, f"net/{balancer['LoadBalancerName']}") == []


def test_without_subnets_it_says_so(world: World, namespace: str, controller: None) -> None:
    now = service(world, namespace, scheme="internet-facing")
    words = said(world, namespace, "web", "FailedBuildModel")
    assert "unable to resolve at least one subnet. Evaluated 0 subnets" in words
    assert host_of(now) == ""
    assert "finalizers" not in (now() or {})["metadata"]


def test_a_certificate_that_is_not_there_is_an_event(
    world: World, namespace: str, controller: None
) -> None:
    arn = "arn:aws:acm:us-west-2:123456789012:certificate/none"
    service(world, namespace, ssl_cert=arn)
    words = said(world, namespace, "web", "FailedDeployModel")
    assert "CertificateNotFound" in words
    drop(world, namespace)
    wait_for(lambda: not balancers(world, f"{namespace}/web"))


@pytest.fixture
def bindings(world: World) -> Iterator[str]:
    """The path of TargetGroupBindings, whose definition a chart would bring."""
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
    there = world.api.find(f"{definitions}/{name}")
    if not there:
        world.api.create(definitions, {"metadata": {"name": name}, "spec": spec})
        wait_for(lambda: world.api.find("/apis/elbv2.k8s.aws/v1beta1"))
    yield "/apis/elbv2.k8s.aws/v1beta1/targetgroupbindings"
    if not there:
        world.api.delete(f"{definitions}/{name}")


def test_target_groups_are_bound_where_the_definition_is_installed(
    world: World, namespace: str, bindings: str, controller: None
) -> None:
    now = service(world, namespace, nlb_target_type="ip")
    wait_for(lambda: host_of(now))
    (bound,) = [b for b in world.api.list(bindings) if b["metadata"]["namespace"] == namespace]
    (balancer,) = balancers(world, f"{namespace}/web")
    assert [bound["metadata"]["name"]] == list(targets(world, balancer))
    assert bound["spec"]["serviceRef"] == {"name": "web", "port": 80}
    drop(world, namespace)
    wait_for(lambda: now() is None)
    assert not [b for b in world.api.list(bindings) if b["metadata"]["namespace"] == namespace]


def test_a_restart_makes_nothing_twice_and_a_deleted_cluster_leaves_it_behind() -> None:
    needs_programs()
    home = Path(tempfile.mkdtemp(prefix="jarkkit-test-"))
    try:
        sandbox = control.start(home)
        identity = create_cluster(sandbox)["identity"]["oidc"]["issuer"].rsplit("/", 1)[-1]
        world = world_of(sandbox, identity)
        a_node(world, "balanced")
        world.api.create(SYSTEM, pod_named("aws-load-balancer-controller-0", CONTROLLER))
        now = service(world, "default")
        host = wait_for(lambda: host_of(now))
        control.stop(home)
        world = world_of(control.start(home), identity)
        events = "/api/v1/namespaces/default/events"
        wait_for(
            lambda: [
                event
                for event in world.api.list(events)
                if event["reason"] == "SuccessfullyReconciled" and event["count"] > 1
            ]
        )
        (balancer,) = balancers(world, "default/web")
        assert balancer["DNSName"].lower() == host
        eks = world.client("eks")
        eks.delete_nodegroup(clusterName=NAME, nodegroupName="balanced")
        wait_for(lambda: not eks.list_nodegroups(clusterName=NAME)["nodegroups"])
        eks.delete_cluster(name=NAME)
        wait_for(lambda: not eks.list_clusters()["clusters"])
        (still,) = balancers(world, "default/web")
        assert still["LoadBalancerArn"] == balancer["LoadBalancerArn"]
        subnet = balancer["AvailabilityZones"][0]["SubnetId"]
        assert refused(world.client("ec2").delete_subnet, SubnetId=subnet) == "DependencyViolation"
    finally:
        control.stop(home)
        shutil.rmtree(home)


# -- classic -------------------------------------------------------------------------------------


def test_a_service_of_nobody_is_a_classic_load_balancer(
    world: World, namespace: str, node: Object
) -> None:
    now = service(world, namespace, nlb=False, internal="true")
    host = wait_for(lambda: host_of(now))
    uid = (now() or {})["metadata"]["uid"]
    name = f"a{uid.replace('-', '')}"[:32]
    elb = world.client("elb")
    (balancer,) = elb.describe_load_balancers(LoadBalancerNames=[name])["LoadBalancerDescriptions"]
    assert (balancer["DNSName"], balancer["Scheme"]) == (host, "internal")
    assert {"InstanceId": instance_of(node)} in balancer["Instances"]
    assert list(groups_of(world, balancer).values()) == [f"k8s-elb-{name}"]
    (described,) = elb.describe_tags(LoadBalancerNames=[name])["TagDescriptions"]
    tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}
    assert tags == {
        f"kubernetes.io/cluster/{NAME}": "owned",
        "kubernetes.io/service-name": f"{namespace}/web",
    }
    assert interfaces(world, name)
    drop(world, namespace)
    wait_for(lambda: now() is None)
    assert refused(elb.describe_load_balancers, LoadBalancerNames=[name]) == "LoadBalancerNotFound"
    assert interfaces(world, name) == []


def test_a_public_classic_balancer_wants_public_subnets(
    world: World, namespace: str, node: Object
) -> None:
    service(world, namespace, nlb=False)
    words = said(world, namespace, "web", "SyncLoadBalancerFailed")
    assert "could not find any suitable subnets for creating the ELB" in words
    drop(world, namespace)


# -- Application Load Balancers ------------------------------------------------------------------


def ingress(
    world: World, namespace: str, name: str, path: str, **notes: str
) -> Callable[[], Object | None]:
    """Make an Ingress of class `alb`; answers how it is now."""
    root = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
    annotations = {
        f"alb.ingress.kubernetes.io/{k.replace('__', '.').replace('_', '-')}": v
        for k, v in notes.items()
    }
    if not world.api.find(f"{CLASSES}/alb"):
        spec = {"controller": "ingress.k8s.aws/alb"}
        world.api.create(CLASSES, {"metadata": {"name": "alb"}, "spec": spec})
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {
        "host": f"{name}.example.com",
        "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]},
    }
    world.api.create(
        root,
        {
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"ingressClassName": "alb", "rules": [rule]},
        },
    )
    return lambda: world.api.find(f"{root}/{name}")


def test_an_ingress_is_an_application_load_balancer_until_it_goes(
    world: World, namespace: str, web: Object, controller: None
) -> None:
    service(world, namespace, kind="ClusterIP", nlb=False)
    ports = json.dumps([{"HTTP": 80}, {"HTTP": 8080}])
    now = ingress(world, namespace, "shop", "/cart", target_type="ip", listen_ports=ports)
    host = wait_for(lambda: host_of(now))
    (balancer,) = balancers(world, f"{namespace}/shop")
    assert (balancer["Type"], balancer["Scheme"]) == ("application", "internal")
    assert balancer["DNSName"].lower() == host
    tags = tags_of(world, balancer["LoadBalancerArn"])
    assert tags["ingress.k8s.aws/resource"] == "LoadBalancer"
    (registered,) = targets(world, balancer).values()
    assert registered == {(web["status"]["podIP"], 8080)}
    elb = world.client("elbv2")
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    assert {listener["Port"] for listener in listeners} == {80, 8080}
    rules = elb.describe_rules(ListenerArn=listeners[0]["ListenerArn"])["Rules"]
    (rule,) = [rule for rule in rules if not rule["IsDefault"]]
    conditions = {c["Field"]: c for c in rule["Conditions"]}
    assert conditions["host-header"]["HostHeaderConfig"]["Values"] == ["shop.example.com"]
    assert conditions["path-pattern"]["PathPatternConfig"]["Values"] == ["/cart", "/cart/*"]
    assert listeners[0]["DefaultActions"][0]["FixedResponseConfig"]["StatusCode"] == "404"
    assert model.INGRESS_FINALIZER in (now() or {})["metadata"]["finalizers"]
    drop(world, namespace, "ingresses", "shop")
    wait_for(lambda: now() is None)
    assert balancers(world, f"{namespace}/shop") == []


def test_a_group_of_ingresses_shares_a_balancer(
    world: World, namespace: str, node: Object, controller: None
) -> None:
    service(world, namespace, kind="NodePort", nlb=False)
    first = ingress(world, namespace, "first", "/", group__name=namespace)
    second = ingress(world, namespace, "second", "/", group__name=namespace)
    host = wait_for(lambda: host_of(first))
    wait_for(lambda: host_of(second) == host)
    (balancer,) = balancers(world, namespace)
    assert len(targets(world, balancer)) == 2
    drop(world, namespace, "ingresses", "first")
    wait_for(lambda: first() is None)
    (still,) = balancers(world, namespace)
    assert still["LoadBalancerArn"] == balancer["LoadBalancerArn"]
    wait_for(lambda: len(targets(world, balancer)) == 1)
    drop(world, namespace, "ingresses", "second")
    wait_for(lambda: second() is None)
    assert balancers(world, namespace) == []


def test_an_ingress_for_instances_wants_a_node_port(
    world: World, namespace: str, controller: None
) -> None:
    service(world, namespace, kind="ClusterIP", nlb=False)
    ingress(world, namespace, "shop", "/")
    words = said(world, namespace, "shop", "FailedBuildModel")
    assert "your service be must of type 'NodePort' or 'LoadBalancer'" in words


# -- decisions -----------------------------------------------------------------------------------


def test_names_are_the_controllers_own() -> None:
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


def test_tags_choose_one_subnet_per_zone() -> None:
    role = {"kubernetes.io/role/internal-elb": "1"}
    known = [
        model.Subnet("subnet-1", "a", role, 100, False),
        model.Subnet("subnet-2", "a", {**role, "kubernetes.io/cluster/mine": "shared"}, 100, False),
        model.Subnet("subnet-3", "b", {**role, "kubernetes.io/cluster/other": ""}, 100, False),
        model.Subnet("subnet-4", "c", role, 7, False),
        model.Subnet("subnet-5", "d", {}, 100, False),
    ]
    given: Any = {"cluster": "mine", "scheme": "internal", "asked": ()}
    assert model.choose_subnets(known, kind="network", **given) == ["subnet-2"]
    with pytest.raises(model.BuildError, match="1 < 2"):
        model.choose_subnets(known, kind="application", **given)
    with pytest.raises(
        model.BuildError, match="1 are tagged for other clusters, and 1 have insuff"
    ):
        model.choose_subnets(known[2:4], kind="network", **given)
    assert model.choose_subnets(known[4:], kind="network", **given) == ["subnet-5"]


def test_what_cannot_be_read_is_said() -> None:
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
