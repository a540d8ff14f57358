"""Classic load balancers: plays what EKS' cloud controller manager does for Services.

It takes every Service of type LoadBalancer that no other controller claims, and it is always there,
as on EKS. Names, tags and words after cloud-provider-aws (pkg/providers/v1, read 2026-11). Its own
Network Load Balancers (annotation `nlb`) are not played.
"""

from __future__ import annotations

import contextlib
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.exceptions import DependencyViolationError

from jarkkit.sandbox.backends import Backends
from jarkkit.sandbox.cluster.api import ApiError, Object, key_of
from jarkkit.sandbox.cluster.informer import Informer
from jarkkit.sandbox.eks import events
from jarkkit.sandbox.eks import load_balancer_stack as account
from jarkkit.sandbox.eks.controller import Controller
from jarkkit.sandbox.eks.events import Said
from jarkkit.sandbox.eks.load_balancer_model import Subnet
from jarkkit.sandbox.eks.load_balancer_stack import Place
from jarkkit.sandbox.eks.load_balancers import SERVICES
from jarkkit.sandbox.eks.objects import NODES, is_ready_node
from jarkkit.sandbox.eks.patience import Patience
from jarkkit.sandbox.eks.volume_model import instance_of

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
_NOTE = "service.beta.kubernetes.io/aws-load-balancer-"
_ROLES = {True: "kubernetes.io/role/internal-elb", False: "kubernetes.io/role/elb"}


class CloudError(Exception):
    """The cloud controller manager cannot make a balancer, in its words."""


def is_ours(service: Object) -> bool:
    """True for a Service that no other controller makes a load balancer for."""
    spec, notes = service["spec"], service["metadata"].get("annotations") or {}
    return (
        spec.get("type") == "LoadBalancer"
        and not spec.get("loadBalancerClass")
        and notes.get(f"{_NOTE}type") not in ("external", "nlb-ip", "nlb")
        and "deletionTimestamp" not in service["metadata"]
    )


def name_of(service: Object) -> str:
    """A balancer's name: the Service's UID, as far as it fits."""
    return f"a{service['metadata']['uid']}".replace("-", "")[:32]


def choose_subnets(known: list[Subnet], *, internal: bool, cluster: str) -> list[str]:
    """One subnet per zone; public ones towards the internet. Raises CloudError."""
    mine, by_zone = f"kubernetes.io/cluster/{cluster}", dict[str, Subnet]()
    fit = [subnet for subnet in known if internal or subnet.public]
    for subnet in sorted(
        fit, key=lambda s: (_ROLES[internal] not in s.tags, mine not in s.tags, s.identity)
    ):
        by_zone.setdefault(subnet.zone, subnet)
    if not by_zone:
        raise CloudError("could not find any suitable subnets for creating the ELB")
    return [by_zone[zone].identity for zone in sorted(by_zone)]


class ClassicLoadBalancers(Controller):
    """Keeps the account's classic load balancers as Services want them."""

    name = "classic load balancers"

    def start(self) -> None:
        """Begin; nothing is known to be done."""
        self._patience = Patience()
        self._done: dict[str, Any] = {}
        super().start()

    def watched(self) -> tuple[Informer, ...]:
        """Services, and the nodes behind them."""
        return self.cluster.informer(SERVICES), self.cluster.informer(NODES)

    def reconcile(self) -> float | None:
        """Make what is wanted, remove what is not."""
        found = [
            {"apiVersion": "v1", "kind": "Service", **service}
            for service in self.cluster.informer(SERVICES).all()
            if is_ours(service) or FINALIZER in service["metadata"].get("finalizers", ())
        ]
        self._patience.keep(service["metadata"]["uid"] for service in found)
        for service in found:
            if self._patience.due(service["metadata"]["uid"]):
                self._try(service)
        return self._patience.wait()

    def _try(self, service: Object) -> None:
        uid = service["metadata"]["uid"]
        try:
            if is_ours(service):
                self._ensure(service)
            else:
                self._remove(service)
            self._patience.done(uid)
        except (CloudError, ServiceException) as error:
            words = account.words(error) if isinstance(error, ServiceException) else error
            said = f"Error syncing load balancer: failed to ensure load balancer: {words}"
            self._tell(service, "SyncLoadBalancerFailed", said, kind="Warning")
            self._patience.failed(uid)
        except ApiError as error:
            self.cluster.log(f"{self.name}: {uid}: {error}")
            self._patience.failed(uid)

    def _ensure(self, service: Object) -> None:
        uid, path = service["metadata"]["uid"], self.cluster.api.path_of(service)
        nodes = [n for n in self.cluster.informer(NODES).all() if is_ready_node(n)]
        instances = frozenset(filter(None, map(instance_of, nodes)))
        wanted = (service["spec"], service["metadata"].get("annotations"), instances)
        if self._done.get(uid) == wanted:
            return
        self._tell(service, "EnsuringLoadBalancer", "Ensuring load balancer")
        self._set_finalizers(service, [FINALIZER], [])
        with self.cluster.change() as aws:
            place = account.place_of(aws, self.cluster.name)
            host = ensure(aws, place, service, instances)
        shown = {"loadBalancer": {"ingress": [{"hostname": host}]}}
        self.cluster.api.patch(f"{path}/status", {"status": shown})
        self._done[uid] = wanted
        self._tell(service, "EnsuredLoadBalancer", "Ensured load balancer")

    def _remove(self, service: Object) -> None:
        self._tell(service, "DeletingLoadBalancer", "Deleting load balancer")
        with self.cluster.change() as aws:
            remove(aws, account.place_of(aws, self.cluster.name), name_of(service))
        self._done.pop(service["metadata"]["uid"], None)
        self._set_finalizers(service, [], [FINALIZER])
        self._tell(service, "DeletedLoadBalancer", "Deleted load balancer")

    def _set_finalizers(self, service: Object, add: list[str], drop: list[str]) -> None:
        path = self.cluster.api.path_of(service)
        now = self.cluster.api.find(path)
        if now is None:
            return
        has = now["metadata"].get("finalizers", [])
        wanted = [name for name in has if name not in drop]
        wanted += [name for name in add if name not in has]
        if wanted != has:
            version = now["metadata"]["resourceVersion"]
            change = {"metadata": {"resourceVersion": version, "finalizers": wanted}}
            self.cluster.api.patch(path, change)

    def _tell(self, service: Object, reason: str, message: str, *, kind: str = "Normal") -> None:
        said = Said(kind, reason, message, "service-controller")
        events.tell(self.cluster.api, service, said)


# -- the account: call with its lock held ----------------------------------------------------------


def ensure(aws: Backends, place: Place, service: Object, instances: frozenset[str]) -> str:
    """Make the balancer as the Service says; returns its host name. Raises CloudError."""
    name, notes = name_of(service), service["metadata"].get("annotations") or {}
    internal = notes.get(f"{_NOTE}internal", "false") not in ("", "false")
    balancer = aws.elb.load_balancers.get(name)
    owned = {f"kubernetes.io/cluster/{place.cluster}": "owned"}
    ports = service["spec"]["ports"]
    if balancer is None:
        known = account.subnets_of(aws, place.vpc)
        subnets = choose_subnets(known, internal=internal, cluster=place.cluster)
        about = f"Security group for Kubernetes ELB {name} ({key_of(service)})"
        group = account.ensure_group(aws, place, f"k8s-elb-{name}", about, owned)
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
    account.let_in(
        aws, group, frozenset(("tcp", p["port"], cidr) for p in ports for cidr in ranges)
    )
    account.open_nodes(aws, place, group.id, {"-1": None}, "")
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
    wanted = {(int(p["port"]), int(p["nodePort"])) for p in ports}
    balancer.listeners = [
        listener
        for listener in balancer.listeners
        if (int(listener.load_balancer_port), int(listener.instance_port)) in wanted
    ]
    there = {int(listener.load_balancer_port) for listener in balancer.listeners}
    new = [_listener(port) for port in ports if port["port"] not in there]
    aws.elb.create_load_balancer_listeners(balancer.name, new)


def remove(aws: Backends, place: Place, name: str) -> None:
    """Delete a balancer and its security group."""
    aws.elb.delete_load_balancer(name)
    group = aws.ec2.get_security_group_from_name(f"k8s-elb-{name}", place.vpc)
    if group is not None:
        account.open_nodes(aws, place, group.id, {}, "")
        with contextlib.suppress(DependencyViolationError):  # somebody else uses it: it stays
            aws.ec2.delete_security_group(group_id=group.id)
