"""Classic load balancers: simulates what EKS' cloud controller manager does for Services.

It handles every Service of type LoadBalancer that no other controller claims, and it always runs,
as on EKS. Names, tags and messages follow cloud-provider-aws (pkg/providers/v1, read 2026-11). Its
own Network Load Balancers (annotation `nlb`) are not simulated.
"""

from __future__ import annotations

import contextlib
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.exceptions import DependencyViolationError

from jarkkit.sandbox.account_backends import Backends
from jarkkit.sandbox.controllers import kubernetes_events
from jarkkit.sandbox.controllers import load_balancer_stack as account
from jarkkit.sandbox.controllers.backoff import Backoff
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.controllers.kubernetes_events import EventContent
from jarkkit.sandbox.controllers.load_balancer_model import SubnetCandidate
from jarkkit.sandbox.controllers.load_balancer_stack import ClusterNetwork
from jarkkit.sandbox.controllers.load_balancers import SERVICES
from jarkkit.sandbox.controllers.objects import NODES, instance_id_of, is_ready_node
from jarkkit.sandbox.kubernetes.api import ApiError, Object, key_of
from jarkkit.sandbox.kubernetes.informer import Informer

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
_NOTE = "service.beta.kubernetes.io/aws-load-balancer-"
_ROLES = {True: "kubernetes.io/role/internal-elb", False: "kubernetes.io/role/elb"}


class CloudError(Exception):
    """The cloud controller manager cannot create a load balancer; the text is its own."""


def is_managed(service: Object) -> bool:
    """Return True for a Service that gets its load balancer from no other controller."""
    spec, notes = service["spec"], service["metadata"].get("annotations") or {}
    return (
        spec.get("type") == "LoadBalancer"
        and not spec.get("loadBalancerClass")
        and notes.get(f"{_NOTE}type") not in ("external", "nlb-ip", "nlb")
        and "deletionTimestamp" not in service["metadata"]
    )


def load_balancer_name(service: Object) -> str:
    """Return a load balancer's name: the Service's UID, cut to 32 characters."""
    return f"a{service['metadata']['uid']}".replace("-", "")[:32]


def choose_subnets(known: list[SubnetCandidate], *, internal: bool, cluster: str) -> list[str]:
    """Return one subnet per zone, public ones unless internal. Raises CloudError."""
    cluster_tag, by_zone = f"kubernetes.io/cluster/{cluster}", dict[str, SubnetCandidate]()
    fit = [subnet for subnet in known if internal or subnet.public]
    for subnet in sorted(
        fit, key=lambda s: (_ROLES[internal] not in s.tags, cluster_tag not in s.tags, s.subnet_id)
    ):
        by_zone.setdefault(subnet.zone, subnet)
    if not by_zone:
        raise CloudError("could not find any suitable subnets for creating the ELB")
    return [by_zone[zone].subnet_id for zone in sorted(by_zone)]


class ClassicLoadBalancerController(Controller):
    """Reconciles the account's classic load balancers with Services."""

    name = "classic load balancers"

    def start(self) -> None:
        """Start, with every Service to be checked."""
        self._backoff = Backoff()
        self._done: dict[str, Any] = {}
        super().start()

    def watched(self) -> tuple[Informer, ...]:
        """Return informers of Services and of the nodes behind them."""
        return self.cluster.informer(SERVICES), self.cluster.informer(NODES)

    def reconcile(self) -> float | None:
        """Create or update load balancers, delete those without a Service."""
        found = [
            {"apiVersion": "v1", "kind": "Service", **service}
            for service in self.cluster.informer(SERVICES).all()
            if is_managed(service) or FINALIZER in service["metadata"].get("finalizers", ())
        ]
        self._backoff.retain(service["metadata"]["uid"] for service in found)
        for service in found:
            if self._backoff.is_due(service["metadata"]["uid"]):
                self._try(service)
        return self._backoff.seconds_until_retry()

    def _try(self, service: Object) -> None:
        uid = service["metadata"]["uid"]
        try:
            if is_managed(service):
                self._ensure(service)
            else:
                self._remove(service)
            self._backoff.record_success(uid)
        except (CloudError, ServiceException) as error:
            words = account.sdk_error_text(error) if isinstance(error, ServiceException) else error
            message = f"Error syncing load balancer: failed to ensure load balancer: {words}"
            self._record_event(service, "SyncLoadBalancerFailed", message, kind="Warning")
            self._backoff.record_failure(uid)
        except ApiError as error:
            self.cluster.log(f"{self.name}: {uid}: {error}")
            self._backoff.record_failure(uid)

    def _ensure(self, service: Object) -> None:
        uid, path = service["metadata"]["uid"], self.cluster.api.path_of(service)
        nodes = [n for n in self.cluster.informer(NODES).all() if is_ready_node(n)]
        instances = frozenset(filter(None, map(instance_id_of, nodes)))
        desired = (service["spec"], service["metadata"].get("annotations"), instances)
        if self._done.get(uid) == desired:
            return
        self._record_event(service, "EnsuringLoadBalancer", "Ensuring load balancer")
        self._set_finalizers(service, [FINALIZER], [])
        with self.cluster.change_account() as aws:
            network = account.cluster_network(aws, self.cluster.name)
            host = ensure_load_balancer(aws, network, service, instances)
        shown = {"loadBalancer": {"ingress": [{"hostname": host}]}}
        self.cluster.api.patch(f"{path}/status", {"status": shown})
        self._done[uid] = desired
        self._record_event(service, "EnsuredLoadBalancer", "Ensured load balancer")

    def _remove(self, service: Object) -> None:
        self._record_event(service, "DeletingLoadBalancer", "Deleting load balancer")
        with self.cluster.change_account() as aws:
            delete_load_balancer(
                aws, account.cluster_network(aws, self.cluster.name), load_balancer_name(service)
            )
        self._done.pop(service["metadata"]["uid"], None)
        self._set_finalizers(service, [], [FINALIZER])
        self._record_event(service, "DeletedLoadBalancer", "Deleted load balancer")

    def _set_finalizers(self, service: Object, add: list[str], drop: list[str]) -> None:
        path = self.cluster.api.path_of(service)
        now = self.cluster.api.find(path)
        if now is None:
            return
        has = now["metadata"].get("finalizers", [])
        desired = [name for name in has if name not in drop]
        desired += [name for name in add if name not in has]
        if desired != has:
            version = now["metadata"]["resourceVersion"]
            change = {"metadata": {"resourceVersion": version, "finalizers": desired}}
            self.cluster.api.patch(path, change)

    def _record_event(
        self, service: Object, reason: str, message: str, *, kind: str = "Normal"
    ) -> None:
        content = EventContent(kind, reason, message, "service-controller")
        kubernetes_events.record_event(self.cluster.api, service, content)


# -- the account (call with its lock held) ---------------------------------------------------------


def ensure_load_balancer(
    aws: Backends, network: ClusterNetwork, service: Object, instances: frozenset[str]
) -> str:
    """Create or update a Service's load balancer; return its host name. Raises CloudError."""
    name, notes = load_balancer_name(service), service["metadata"].get("annotations") or {}
    internal = notes.get(f"{_NOTE}internal", "false") not in ("", "false")
    balancer = aws.elb.load_balancers.get(name)
    owned = {f"kubernetes.io/cluster/{network.cluster}": "owned"}
    ports = service["spec"]["ports"]
    if balancer is None:
        known = account.subnets_of(aws, network.vpc)
        subnets = choose_subnets(known, internal=internal, cluster=network.cluster)
        about = f"Security group for Kubernetes ELB {name} ({key_of(service)})"
        group = account.ensure_security_group(aws, network, f"k8s-elb-{name}", about, owned)
        balancer = aws.elb.create_load_balancer(
            name=name,
            zones=[],
            ports=[_listener(port) for port in ports],
            scheme="internal" if internal else "internet-facing",
            subnets=subnets,
            security_groups=[group.id],
        )
        balancer.tags.update({**owned, "kubernetes.io/service-name": key_of(service)})
    group = aws.ec2.get_security_group_from_id(balancer.security_groups[0])
    ranges = service["spec"].get("loadBalancerSourceRanges") or ["0.0.0.0/0"]
    account.sync_ingress(
        aws, group, frozenset(("tcp", p["port"], cidr) for p in ports for cidr in ranges)
    )
    account.sync_node_ingress(aws, network, group.id, {"-1": None}, "")
    _listen(aws, balancer, ports)
    gone, new = {*balancer.instance_ids} - instances, instances - {*balancer.instance_ids}
    aws.elb.deregister_instances(name, sorted(gone))
    aws.elb.register_instances(name, sorted(new))
    return str(balancer.dns_name)


def _listener(port: Object) -> dict[str, Any]:
    return {
        "Protocol": port.get("protocol", "TCP"),
        "LoadBalancerPort": port["port"],
        "InstancePort": port["nodePort"],
    }


def _listen(aws: Backends, balancer: Any, ports: list[Object]) -> None:
    desired = {(int(p["port"]), int(p["nodePort"])) for p in ports}
    balancer.listeners = [
        listener
        for listener in balancer.listeners
        if (int(listener.load_balancer_port), int(listener.instance_port)) in desired
    ]
    there = {int(listener.load_balancer_port) for listener in balancer.listeners}
    new = [_listener(port) for port in ports if port["port"] not in there]
    aws.elb.create_load_balancer_listeners(balancer.name, new)


def delete_load_balancer(aws: Backends, network: ClusterNetwork, name: str) -> None:
    """Delete a load balancer and its security group."""
    aws.elb.delete_load_balancer(name)
    group = aws.ec2.get_security_group_from_name(f"k8s-elb-{name}", network.vpc)
    if group is not None:
        account.sync_node_ingress(aws, network, group.id, {}, "")
        with contextlib.suppress(DependencyViolationError):  # still in use elsewhere: it stays
            aws.ec2.delete_security_group(group_id=group.id)
